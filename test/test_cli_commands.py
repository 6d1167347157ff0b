"""Command lines, each in a process of its own: standard output, error, exit status."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import shutil
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from command import Result, Shell, shell

from hyper import http2bin
from hyper.common.pins import pin_of
from hyper.trace import load


def answer(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    """Return a response of HTTP/1.1."""
    size = f"Content-Length: {len(body)}"
    head = [f"HTTP/1.1 {status}", *fields, size, "Connection: close", "", ""]
    return "\r\n".join(head).encode() + body


#: What a server answers that has no good intentions, or little to say.
ANSWERS = {
    "/file": answer(b"0123456789"),
    "/part": answer(
        b"456789", "Content-Range: bytes 4-9/10", status="206 Partial Content"
    ),
    "/wrong-part": answer(
        b"0123456789", "Content-Range: bytes 0-9/10", status="206 Partial Content"
    ),
    "/packed-part": answer(
        b"4567", "Content-Range: bytes 4-7/8", "Content-Encoding: gzip", status="206 -"
    ),
    "/complete": answer(b"", "Content-Range: bytes */4", status="416 No"),
    "/named": answer(
        b"hi", 'Content-Disposition: attachment; filename="../../.evil name.txt"'
    ),
    "/tricks": answer(
        b"\x1b[2Jhello\r\nover\rwrite \xe2\x80\xae!!\n",
        "X-Title: \x1b]0;owned\x07",
        "Content-Type: text/plain",
    ),
    "/json-tricks": answer(b'{"a":"\xc2\x9b1"}', "Content-Type: application/json"),
    "/binary": answer(bytes(12345)),
    "/codec": answer(b"aXB-", "Content-Type: text/plain; charset=base64"),
    "/hidden": answer(b"+ABs-[2J", "Content-Type: text/plain; charset=utf-7"),
    "/bom": answer(b"\xef\xbb\xbf[]", "Content-Type: application/json"),
    "/latin": answer(b"a\xe4b", "Content-Type: text/plain; charset=iso-8859-1"),
    "/elsewhere": answer(b"", "Location: file:///etc/passwd", status="302 Found"),
    "/again": answer(b"", "Location: /file", status="307 Temporary Redirect"),
    "/short": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123",
    "/gzip": answer(gzip.compress(b"packed", mtime=0), "Content-Encoding: gzip"),
    "/broken-gzip": answer(b"nonsense", "Content-Encoding: gzip"),
    "/404": answer(b"nope\n", status="404 Not Found"),
}


class Handler(socketserver.StreamRequestHandler):
    """Answers one request with what is written, and hangs up."""

    def handle(self) -> None:
        line = self.rfile.readline()
        size = 0
        while field := self.rfile.readline().strip().lower():
            name, _, value = field.partition(b":")
            size = int(value) if name == b"content-length" else size
        self.rfile.read(size)  # Who hangs up before resets the connection.
        if line:
            # A proxy is asked for a whole URL.
            path = "/" + unquote(line.split()[1].decode()).split("/")[-1].split("?")[0]
            self.wfile.write(ANSWERS[path])


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = False
    allow_reuse_address = True


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = False


@contextlib.contextmanager
def running(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class World:
    """All servers, and a shell to reach them from."""

    shell: Shell
    places: dict[str, str]

    def run(self, line: str, stdin: bytes = b"", **env: str) -> Result:
        return self.shell.run(self.located(line), stdin, **env)

    def show(self, line: str, **env: str) -> tuple[int, str]:
        return self.shell.show(self.located(line), **env)

    def located(self, text: str) -> str:
        for name, place in self.places.items():
            text = text.replace(f"<{name}>", place)
        return text

    def path(self, name: str) -> Path:
        return self.shell.directory / name


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("commands")
    with contextlib.ExitStack() as stack:
        tls = stack.enter_context(http2bin.serve())
        clear = stack.enter_context(http2bin.serve(tls=False))
        answers = Server(("127.0.0.1", 0), Handler)
        stack.enter_context(running(answers))
        unix = UnixServer(str(directory / "socket"), Handler)
        stack.enter_context(running(unix))
        dead = stack.enter_context(socket.socket())
        dead.bind(("127.0.0.1", 0))
        certificate = ssl.get_server_certificate(("localhost", tls.port))
        environment = {
            "PATH": os.environ["PATH"],
            "SSL_CERT_FILE": tls.ca_file or "",
            "TERM": "xterm",
            "LANG": "C.UTF-8",
        }
        places = {
            "tls": tls.url,
            "port": str(tls.port),
            "ca": tls.ca_file or "",
            "clear": clear.url,
            "clear-port": str(clear.port),
            "answers": f"http://127.0.0.1:{answers.server_address[1]}",
            "dead": f"127.0.0.1:{dead.getsockname()[1]}",
            "pin": pin_of(ssl.PEM_cert_to_DER_cert(certificate)),
        }
        (directory / "text.txt").write_text("some text\n")
        (directory / "numbers.json").write_text("[1, 2]")
        yield World(stack.enter_context(shell(environment, directory)), places)


def at(document: Any, path: str) -> Any:
    """Return what is at ``a.b.c`` of a JSON document."""
    for name in path.split("/"):
        document = document[name]
    return document


def matches(pattern: str, text: str) -> bool:
    """Return True if this is the text, ``~`` in the pattern being anything."""
    parts = map(re.escape, pattern.split("~"))
    return re.fullmatch(".*".join(parts), text, re.DOTALL) is not None


@dataclass(frozen=True)
class Case:
    """A command line and what it does."""

    line: str
    #: Parts of the JSON on standard output, by where they are.
    json: dict[str, Any] = field(default_factory=dict)
    #: Or all of standard output, where ``~`` stands for anything.
    out: str = ""
    #: All of standard error, in the same way.
    err: str = ""
    status: int = 0
    stdin: bytes = b""
    env: dict[str, str] = field(default_factory=dict)

    def check(self, world: World) -> None:
        env = {name: world.located(value) for name, value in self.env.items()}
        result = world.run(self.line, self.stdin, **env)
        assert result.status == self.status, result
        assert matches(world.located(self.err), result.err), result.err
        for path, value in self.json.items():
            expected = world.located(value) if isinstance(value, str) else value
            assert at(result.json, path) == expected
        if not self.json:
            shown = result.out.decode("latin-1")
            assert matches(world.located(self.out), shown), result


REQUESTS = [
    Case("hyper <tls>/get search==hyper", {"args": {"search": "hyper"}}),
    Case("hyper <tls>/post name=Hyper", {"json": {"name": "Hyper"}}),
    Case("hyper POST <tls>/post url=http://a.b/c", {"json": {"url": "http://a.b/c"}}),
    Case("hyper GET <tls>/get time==12:30", {"args": {"time": "12:30"}}),
    Case("hyper GET '<tls>/get?a=1' b==2", {"args": {"a": "1", "b": "2"}}),
    Case("hyper GET localhost:<port>/get", {"url": "<tls>/get"}),
    Case("hyper :<port>/get", {"url": "<tls>/get"}),
    Case("hyper get '<tls>/get#part'", {"url": "<tls>/get"}),
    Case("hyper <tls>/get -- -a==1", {"args": {"-a": "1"}}),
    Case("hyper PROPFIND <tls>/anything", {"method": "PROPFIND"}),
    Case("hyper delete <tls>/anything", {"method": "DELETE"}),
    Case("hyper <tls>/headers X-A:1", {"headers/X-A": "1"}),
    Case("hyper <tls>/headers 'X-A;'", {"headers/X-A": ""}),
    Case("hyper <tls>/headers :authority:other.org", {"headers/Host": "other.org"}),
    Case("hyper <tls>/ip :path:/headers", {"headers/Host": "localhost:<port>"}),
    Case(
        "hyper https://me:word@localhost:<port>/headers",
        {"headers/Authorization": "Basic bWU6d29yZA=="},
    ),
    Case("hyper <tls>/post n:=3 't:=[1, \"x\"]'", {"json": {"n": 3, "t": [1, "x"]}}),
    Case(
        "hyper <tls>/post t=@text.txt n:=@numbers.json",
        {"json": {"t": "some text\n", "n": [1, 2]}},
    ),
    Case(
        "hyper <tls>/post @text.txt",
        {
            "data": "some text\n",
            "headers/Content-Type": "text/plain",
            "headers/Content-Length": "10",
        },
    ),
    Case("hyper <tls>/post @-", {"data": "piped"}, stdin=b"piped"),
    Case("hyper -f <tls>/post a=1 a=2 b=", {"form": {"a": ["1", "2"], "b": ""}}),
    Case("hyper --multipart <clear>/post a=1", {"form": {"a": "1"}}),
    Case(
        "hyper <tls>/post up@text.txt a=1",
        {"files": {"up": "some text\n"}, "form": {"a": "1"}},
    ),
    Case("hyper -d x=1 <tls>/post", {"form": {"x": "1"}}),
    Case("hyper PUT <tls>/put -d hi Content-Type:text/plain", {"data": "hi"}),
    Case("hyper --expect-continue <clear>/upload @text.txt", {"received": 10}),
    Case("hyper --trailer X-Sum:1 <tls>/upload @text.txt", {"trailers/x-sum": "1"}),
]
PROTOCOL = [
    Case("hyper --h2 -i <clear>/ip", out="~", err="HTTP/2 200 OK\n~"),
    Case("hyper --upgrade -i <clear>/ip", out="~", err="HTTP/1.1 200 OK\n~"),
    Case("hyper --http1.1 -i <tls>/ip", out="~", err="HTTP/1.1 200 OK\n~"),
    Case(
        "hyper -v <tls>/ip",
        err=":method: GET\n:scheme: https\n:authority: localhost:<port>\n:path: /ip\n\n"
        ":status: 200\ncontent-type: application/json\ncontent-length: ~\n\n",
        out="~",
    ),
    Case(
        "hyper -v <clear>/ip",
        err="GET /ip HTTP/1.1\nHost: localhost:<clear-port>\n\nHTTP/1.1 200 OK\n~\n\n",
        out="~",
    ),
    Case("hyper --te -p H <tls>/ip", out="~", err="~te: trailers\n\n"),
    Case(
        "hyper --priority u=1,i -p H <tls>/ip",
        out="~",
        err="~priority: u=1,i\n\n",
    ),
    Case("hyper --priority 7 -p H <tls>/ip", out="~", err="~priority: u=7\n\n"),
    Case(
        "hyper --settings initial_window_size=1M,header_table_size=0 --frames=settings "
        "-n <tls>/ip",
        err="~send SETTINGS ~ HEADER_TABLE_SIZE=0 ~ INITIAL_WINDOW_SIZE=1048576 ~",
    ),
    Case(
        "hyper --push -n <tls>/push",
        err="pushed /pushed/1: 200, ~ B\npushed /pushed/2: 200, ~ B\n",
    ),
    Case("hyper --push -n <clear>/push"),
    Case(
        "hyper --settings nonsense=1 <tls>/ip",
        status=2,
        err="hyper: no setting is called 'nonsense'\n",
    ),
    Case("hyper --settings 09=1 -n <tls>/ip"),
    Case("hyper --settings 0x9=1 -n <tls>/ip"),
    Case(
        "hyper --settings 9x=1 <tls>/ip",
        status=2,
        err="usage: ~argument --settings: '9x' is no setting\n",
    ),
    Case(
        "hyper --settings a=x <tls>/ip",
        status=2,
        err="usage: ~argument --settings: 'x' is not a number such as 64K\n",
    ),
]
CONNECTIONS = [
    Case(
        "hyper --proxy http://<dead> <answers>/file",
        status=7,
        err="hyper: cannot connect to 127.0.0.1 port ~\n",
    ),
    Case(
        "hyper <answers>/file",
        status=7,
        err="hyper: cannot connect ~\n",
        env={"http_proxy": "http://<dead>"},
    ),
    Case("hyper --noproxy '*' --proxy http://<dead> <answers>/file", out="0123456789"),
    Case(
        "hyper --proxy <answers> --fail <clear>/404",
        status=22,
        err="hyper: the server answered 404 Not Found\n",
    ),
    Case(
        "hyper -k --resolve somewhere.test:<port>:127.0.0.1 "
        "https://somewhere.test:<port>/ip",
        {"origin": "127.0.0.1"},
    ),
    Case(
        "hyper --sni localhost --connect-to ::127.0.0.1:<port> https://a.test/headers",
        {"headers/Host": "a.test"},
    ),
    Case("hyper --unix-socket socket http://any.test/file", out="0123456789"),
    Case(
        "hyper --unix-socket nothing http://any.test/file",
        status=7,
        err="hyper: cannot connect to nothing: No such file or directory\n",
    ),
    Case("hyper --interface lo <answers>/file", out="0123456789"),
    Case("hyper --interface 127.0.0.1 <answers>/file", out="0123456789"),
    Case("hyper -4 <answers>/file", out="0123456789"),
    Case("hyper -6 <answers>/file", status=7, err="hyper: cannot connect ~\n"),
    Case(
        "hyper --timeout 0.05 <tls>/delay/9",
        status=28,
        err="hyper: timed out ~\n",
    ),
    Case(
        "hyper 'https://[fe80::1%25nosuch]/'",
        status=6,
        err="hyper: cannot resolve ~. Is the name right? ~\n",
    ),
    Case(
        "hyper --resolve nonsense <tls>/ip",
        status=2,
        err="usage: ~'nonsense' does not have 3 parts\n",
    ),
]
TLS = [
    Case(
        "hyper <tls>/ip",
        status=60,
        err="hyper: the certificate of localhost was not accepted: ~. "
        "Use --cacert FILE to trust its authority, or -k to skip the check.\n",
        env={"SSL_CERT_FILE": ""},
    ),
    Case("hyper -k <tls>/ip", {"origin": "127.0.0.1"}, env={"SSL_CERT_FILE": ""}),
    Case(
        "hyper --cacert <ca> <tls>/ip",
        {"origin": "127.0.0.1"},
        env={"SSL_CERT_FILE": ""},
    ),
    Case(
        "hyper --verify nothing.pem <tls>/ip",
        status=77,
        err="hyper: cannot load the authorities to trust: No such file or directory\n",
    ),
    Case(
        "hyper --cert nothing.pem:word <tls>/ip",
        status=58,
        err="hyper: cannot load the certificate to show: No such file or directory\n",
    ),
    Case("hyper --pin <pin> <tls>/ip", {"origin": "127.0.0.1"}),
    Case(
        "hyper --pin sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= <tls>/ip",
        status=90,
        err="hyper: the key of localhost is not one of the pins: it is <pin>\n",
    ),
    Case("hyper --tls-max 1.2 --frames=connection -n <tls>/ip", err="~TLSv1.2~"),
    Case(
        "hyper https://localhost:<clear-port>/",
        status=35,
        err="hyper: TLS with localhost failed: ~; perhaps the server does not speak "
        "TLS on this port. Try http://.\n",
    ),
]
OUTPUT = [
    Case("hyper -n <tls>/bytes/100"),
    Case("hyper -q -v <tls>/ip"),
    Case("hyper -o - <answers>/file", out="0123456789"),
    Case(
        "hyper -p h <answers>/404",
        err="HTTP/1.1 404 Not Found\nContent-Length: 5\n~\n\n",
    ),
    Case("hyper -p Bb <tls>/upload -d hi", {"received": 2}, err="hi\n"),
    Case(
        "hyper -p B <tls>/upload @text.txt",
        err="(10 B)\n",
        out="~",
    ),
    Case("hyper -p m <answers>/file", err="HTTP/1.1 200 on stream 1 in ~ s\n"),
    Case("hyper -p t <tls>/trailers", err="x-checksum: ~\n"),
    Case(
        "hyper -i <tls>/early-hints",
        out="~",
        err="HTTP/2 103\nlink: ~\n\nHTTP/2 200 OK\n~",
    ),
    Case("hyper --pretty all <answers>/json-tricks", out="~\\u009b1~"),
    Case("hyper --pretty colors <clear>/ip", out='{\n  \x1b[32m"origin"\x1b[0m~'),
    Case(
        "hyper --pretty format --raw <clear>/stream/1",
        out='{"args": {}, ~}\n',
    ),
    Case("hyper <answers>/tricks", out="\x1b[2J~"),
    Case("hyper <answers>/gzip", out="packed"),
    Case("hyper --raw <answers>/gzip", out="\x1f\x8b~"),
    Case(
        "hyper <answers>/broken-gzip",
        status=61,
        err="hyper: ~. --raw shows the body as it was sent.\n",
    ),
    Case("hyper <answers>/short", out="0123", status=18, err="hyper: ~\n"),
    Case("hyper -F <tls>/redirect/3", {"url": "<tls>/get"}),
    Case(
        "hyper -F --max-redirs 2 <tls>/redirect/3",
        status=47,
        err="hyper: there were more than 2 redirects. --max-redirs N allows more.\n",
    ),
    Case(
        "hyper -F <answers>/elsewhere",
        status=1,
        err="hyper: the server redirects to file:///etc/passwd, which is ~\n",
    ),
    Case("hyper -F <answers>/again a=b", out="0123456789"),
    Case(
        "hyper -F <answers>/again @-",
        status=2,
        err="hyper: ~standard input cannot be sent a second time\n",
    ),
    Case("hyper <answers>/404", out="nope\n"),
    Case(
        "hyper --fail <answers>/404",
        status=22,
        err="hyper: the server answered 404 Not Found\n",
    ),
]
DEBUGGING = [
    Case(
        "hyper --frames=headers,settings,-settings -n <tls>/ip",
        err="[~] send HEADERS       <len=~ flags=END_STREAM|END_HEADERS stream=1>\n"
        "          :method: GET\n~[~] recv HEADERS  ~",
    ),
    Case("hyper --frames -n <tls>/ip", err="~ dns addresses=~ send GOAWAY ~ closed\n"),
    Case("hyper --frames -n <clear>/ip", err="~ send REQUEST ~ recv BODY ~"),
    Case("hyper --hpack -n <tls>/ip", err="~:method: GET ~ static 2, 1 B\n~ table: ~"),
    Case("hyper --hexdump --frames=data -n <answers>/file", err="~ BODY ~"),
    Case(
        "hyper --hexdump --frames=data -n <tls>/ip",
        err='~ 00000000  7b 0a 20 20 22 6f 72 69  67 69 6e ~|{.  "origin":~',
    ),
    Case(
        "hyper --stat -n <tls>/bytes/5000",
        err="dns ~ tcp ~ tls ~ settings ~ ms  ~HTTP/2\n ~id ~start ~first ~done code ~"
        "size path\n~1 ~ 200 ~5.0 KB /bytes/5000\n",
    ),
    Case("hyper --stat -n <clear>/ip", err="~ ms  HTTP/1.1\n~ 200 ~ /ip\n"),
    Case("hyper --stat --push -n <tls>/push", err="~ 2 ~ 200 ~ /pushed/1\n~"),
    Case("hyper --ping=2 -n <tls>/ip", err="ping 1: ~ ms\nping 2: ~ ms\n"),
    Case("hyper --ping 2 -n <tls>/ip", err="ping 1: ~ ms\nping 2: ~ ms\n"),
    Case("hyper -n --ping <tls>/ip", err="ping 1: ~ ms\n"),
    Case(
        "hyper --ping -n <clear>/ip",
        status=2,
        err="hyper: --ping needs HTTP/2\n",
    ),
    Case("hyper --ping --http1.1 <tls>/ip", status=2, err="hyper: --ping needs ~\n"),
    Case(
        "hyper -m 3 <tls>/ip 'Na me:v'", status=2, err="hyper: the field name ~ token\n"
    ),
    Case("hyper -m 3 <tls>/stream/1", out="{~}\n{~}\n{~}\n"),
    Case("hyper -m 3 --threads 2 <tls>/stream/1", out="{~}\n{~}\n{~}\n"),
    Case("hyper -m 3 --http1.1 <tls>/stream/1", out="{~}\n{~}\n{~}\n"),
    Case(
        "hyper --also /ip --also <tls>/user-agent <tls>/get",
        out="~args~origin~user-agent~",
    ),
    Case(
        "hyper --also https://b.test/ <tls>/get",
        status=2,
        err="hyper: --also 'https://b.test/': not on the server of the first URL\n",
    ),
    Case(
        "hyper --fail -m 2 <tls>/status/404",
        status=22,
        err="hyper: the server answered 404 Not Found\n" * 2,
    ),
    Case(
        "hyper --fail -m 2 --threads 2 <tls>/status/404",
        status=22,
        err="hyper: the server answered 404 Not Found\n" * 2,
    ),
    Case("hyper -m 2 -F <tls>/ip", status=2, err="hyper: redirects of several ~\n"),
    Case("hyper -m 2 <tls>/post @-", status=2, err="hyper: standard input ~\n"),
    Case(
        "hyper --trace - <tls>/ip",
        out='{"hyper": 1, ~"kind":"GOAWAY"~',
    ),
    Case("hyper --trace x.txt <tls>/ip", status=2, err="hyper: --trace 'x.txt' ~\n"),
]
USAGE = [
    Case("hyper", status=2, err="hyper: the URL is missing\n"),
    Case(
        "hyper <tls>/get foo", status=2, err="hyper: 'foo' is not a request item: ~\n"
    ),
    Case("hyper ftp://x.test", status=2, err="hyper: the scheme 'ftp' ~\n"),
    Case("hyper <tls>/post a=1 a=2", status=2, err="hyper: the field 'a' is there ~\n"),
    Case("hyper <tls>/post a:=x", status=2, err="hyper: the field 'a' is not JSON~\n"),
    Case("hyper <tls>/post @nothing", status=2, err="hyper: cannot read 'nothing'~\n"),
    Case("hyper <tls>/post @/dev/null", status=2, err="hyper: ~no regular file~\n"),
    Case("hyper -d a <tls>/post b=c", status=2, err="hyper: --data is a body ~\n"),
    Case("hyper --h2 --http1.1 <tls>", status=2, err="hyper: --h2 and --http11 ~\n"),
    Case("hyper -c <tls>", status=2, err="hyper: --continue needs ~\n"),
    Case("hyper -m 0 <tls>", status=2, err="hyper: -m takes ~\n"),
    Case("hyper -m 2 -o x <tls>", status=2, err="hyper: several bodies ~\n"),
    Case("hyper --key x <tls>", status=2, err="hyper: --key needs --cert\n"),
    Case("hyper --timeout no <tls>", status=2, err="usage: ~not a number of seconds\n"),
    Case("hyper --frames=x <tls>", status=2, err="usage: ~'x' is none of data, ~\n"),
    Case("hyper -p x <tls>", status=2, err="usage: ~'x' is none of H, ~\n"),
    Case("hyper --trailer x <tls>", status=2, err="usage: ~'x' is not NAME:VALUE\n"),
    Case("hyper --settings x <tls>", status=2, err="usage: ~'x' is not NAME=N\n"),
    Case(
        "hyper --connect-to a:99999:: <tls>", status=2, err="usage: ~99999 is not ~\n"
    ),
    Case("hyper --resolve a::b <tls>", status=2, err="usage: ~is not HOST:PORT:~\n"),
    Case("hyper --ping=x <tls>", status=2, err="usage: ~'x' is not a number\n"),
    Case("hyper --priority 9 <tls>", status=2, err="hyper: ~\n"),
]


@pytest.mark.parametrize(
    "case",
    [
        *REQUESTS,
        *PROTOCOL,
        *CONNECTIONS,
        *TLS,
        *OUTPUT,
        *DEBUGGING,
        *USAGE,
    ],
    ids=lambda case: case.line,
)
def test_a_command_line_does_what_it_says(case: Case, world: World) -> None:
    case.check(world)


@pytest.mark.scenario(265)
def test_redirects_end(world: World) -> None:
    assert world.run("hyper -F <tls>/redirect/31").status == 47
    assert world.run("hyper -F <tls>/redirect/30").status == 0
    assert world.run("hyper -F --max-redirs 0 <tls>/redirect/1").status == 47
    assert world.run("hyper -i <tls>/redirect/1").err.startswith("HTTP/2 302 ")


class TestFiles:
    @pytest.fixture(autouse=True)
    def directory(self, world: World) -> Iterator[Path]:
        """Have an empty directory for each test."""
        where = world.shell.directory
        inner = where / "files"
        inner.mkdir()
        world.shell.directory = inner
        yield inner
        world.shell.directory = where
        shutil.rmtree(inner)

    def test_the_body_goes_to_a_file(self, world: World, directory: Path) -> None:
        assert world.run("hyper -o x <answers>/file") == Result(0, b"", "")
        assert (directory / "x").read_bytes() == b"0123456789"

    def test_the_url_names_a_download(self, world: World, directory: Path) -> None:
        result = world.run("hyper --download '<answers>/file?a=b'")
        assert result == Result(0, b"", "saved file, 10 B\n")
        assert (directory / "file").read_bytes() == b"0123456789"

    def test_nothing_is_written_over(self, world: World, directory: Path) -> None:
        (directory / "file").write_bytes(b"mine")
        result = world.run("hyper --download <answers>/file")
        assert result.err == "saved file-1, 10 B\n"
        assert (directory / "file").read_bytes() == b"mine"

    def test_a_name_may_be_given(self, world: World, directory: Path) -> None:
        world.run("hyper -q --download=mine <answers>/file")
        assert (directory / "mine").read_bytes() == b"0123456789"

    @pytest.mark.scenario(271)
    def test_a_server_chooses_a_name_and_no_more(
        self, world: World, directory: Path
    ) -> None:
        result = world.run("hyper --download <answers>/named")
        assert result.err == "saved evil name.txt, 2 B\n"
        assert [path.name for path in directory.iterdir()] == ["evil name.txt"]

    @pytest.mark.parametrize(
        ("line", "content", "status"),
        [
            ("hyper -c -o x <answers>/part", b"0123456789", 0),
            ("hyper -c -o x <answers>/file", b"0123456789", 0),
            ("hyper -c -o x <answers>/complete", b"0123", 0),
            ("hyper -c -o x --fail <answers>/complete", b"0123", 0),
            ("hyper -c -o x <answers>/wrong-part", b"0123", 33),
            ("hyper -c -o x <answers>/packed-part", b"0123", 33),
            ("hyper -c -o x <answers>/404", b"0123", 22),
            ("hyper -c -o x --fail <answers>/404", b"0123", 22),
        ],
    )
    def test_a_download_goes_on_where_it_ended(
        self, world: World, directory: Path, line: str, content: bytes, status: int
    ) -> None:
        (directory / "x").write_bytes(b"0123")
        result = world.run(line)
        assert (result.status, result.out) == (status, b"")
        assert bool(result.err) == bool(status)
        assert (directory / "x").read_bytes() == content

    def test_only_the_rest_is_asked_for(self, world: World, directory: Path) -> None:
        (directory / "part").write_bytes(b"0123")
        result = world.run("hyper -p H -c --download <answers>/part")
        assert "\nRange: bytes=4-\n" in result.err
        assert (directory / "part").read_bytes() == b"0123456789"

    def test_a_name_is_the_same_in_both_ways(
        self, world: World, directory: Path
    ) -> None:
        (directory / "part").write_bytes(b"0123")
        assert world.run("hyper -c --download '<answers>/p%61rt'").status == 0
        assert (directory / "part").read_bytes() == b"0123456789"

    def test_what_came_is_kept_when_the_rest_does_not(
        self, world: World, directory: Path
    ) -> None:
        assert world.run("hyper -o x <answers>/short").status == 18
        assert (directory / "x").read_bytes() == b"0123"

    @pytest.mark.parametrize("where", ["nowhere/x", "/dev/full"])
    def test_a_file_that_cannot_be_written_is_23(
        self, world: World, where: str
    ) -> None:
        result = world.run(f"hyper -o {where} <answers>/file")
        assert result.status == 23
        assert result.err.startswith(f"hyper: cannot write {where}: ")

    def test_a_trace_that_cannot_be_written_is_23(self, world: World) -> None:
        result = world.run("hyper --trace nowhere/x.har -n <answers>/file")
        assert (result.status, result.err) == (
            23,
            "hyper: cannot write nowhere/x.har: No such file or directory\n",
        )

    def test_a_trace_is_read_and_written_in_other_ways(
        self, world: World, directory: Path
    ) -> None:
        files = "--trace a.jsonl --trace a.har --trace a.json --trace a.html"
        assert world.run(f"hyper {files} -n <tls>/ip") == Result(0, b"", "")
        again = "--trace a.jsonl --trace b.har --trace b.json --trace b.html"
        assert world.run(f"hyper {again}") == Result(0, b"", "")
        for suffix in ("har", "json", "html"):
            made = (directory / f"b.{suffix}").read_bytes()
            assert made == (directory / f"a.{suffix}").read_bytes()

    @pytest.mark.parametrize(
        ("files", "status", "error"),
        [
            ("--trace no.jsonl --trace b.har", 26, "cannot read 'no.jsonl'"),
            ("--trace bad.jsonl --trace b.har", 2, "bad.jsonl is no trace"),
            ("--trace a.jsonl --trace -", 2, "written to files only"),
        ],
    )
    def test_a_trace_that_is_none_is_refused(
        self, world: World, directory: Path, files: str, status: int, error: str
    ) -> None:
        (directory / "bad.jsonl").write_text("{}\n")
        result = world.run(f"hyper {files}")
        assert result.status == status
        assert error in result.err


class TestTerminals:
    """On a pseudo-terminal, with what it got of both outputs."""

    def test_json_is_formatted_and_coloured(self, world: World) -> None:
        _, shown = world.show("hyper <tls>/ip")
        assert shown == '{\n  \x1b[34m"origin"\x1b[0m: \x1b[32m"127.0.0.1"\x1b[0m\n}\n'

    @pytest.mark.parametrize(
        ("line", "env"),
        [
            ("hyper <tls>/ip", {"NO_COLOR": "1"}),
            ("hyper <tls>/ip", {"TERM": "dumb"}),
            ("hyper --pretty format <tls>/ip", {}),
        ],
    )
    def test_colours_can_be_had_without(
        self, world: World, line: str, env: dict[str, str]
    ) -> None:
        assert world.show(line, **env) == (0, '{\n  "origin": "127.0.0.1"\n}\n')

    def test_colours_can_be_had_elsewhere(self, world: World) -> None:
        assert b"\x1b[32m" in world.run("hyper <tls>/ip", FORCE_COLOR="1").out

    @pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}])
    @pytest.mark.scenario(271)
    def test_a_server_plays_no_tricks(self, world: World, env: dict[str, str]) -> None:
        status, shown = world.show("hyper -v <answers>/tricks", **env)
        ours = re.sub("\x1b\\[[0-9]+m", "", shown)
        assert status == 0
        assert "X-Title: \\x1b]0;owned\\x07\n" in ours
        assert ours.endswith("\\x1b[2Jhello\nover\\x0dwrite \\u202e!!\n")

    @pytest.mark.parametrize("options", ["--raw", "-m 2", "-m 2 --threads 2"])
    def test_none_that_is_asked_in_another_way(
        self, world: World, options: str
    ) -> None:
        status, shown = world.show(f"hyper {options} <answers>/tricks", NO_COLOR="1")
        assert status == 0
        assert shown.count("\\x1b[2Jhello\nover\\x0dwrite \\u202e!!\n") in (1, 2)
        assert "\x1b" not in shown

    def test_neither_does_one_with_json(self, world: World) -> None:
        _, shown = world.show("hyper <answers>/json-tricks", NO_COLOR="1")
        assert shown == '{\n  "a": "\\u009b1"\n}\n'

    def test_what_is_no_text_is_not_shown(self, world: World) -> None:
        shown = world.show("hyper <answers>/binary")
        assert shown == (0, "(binary, 12.3 KB, use -o FILE)\n")

    @pytest.mark.parametrize(
        ("path", "text"), [("codec", "aXB-"), ("hidden", "+ABs-[2J"), ("bom", "[]\n")]
    )
    def test_a_charset_is_one_of_text(self, world: World, path: str, text: str) -> None:
        assert world.show(f"hyper <answers>/{path}") == (0, text)

    def test_text_in_another_charset_is_read(self, world: World) -> None:
        assert world.show("hyper <answers>/latin") == (0, "a\u00e4b")

    def test_frames_have_the_colours_of_their_directions(self, world: World) -> None:
        _, shown = world.show("hyper --frames -n <tls>/ip")
        assert "\x1b[36msend HEADERS      \x1b[0m <len=" in shown
        assert "\x1b[32mrecv DATA         \x1b[0m <len=" in shown
        assert "\x1b[2mrecv SETTINGS     \x1b[0m <len=0 flags=ACK" in shown

    def test_a_transfer_that_takes_its_time_shows_how_far_it_is(
        self, world: World
    ) -> None:
        line = "hyper -o dripped '<tls>/drip?numbytes=20&duration=0.8'"
        status, shown = world.show(line)
        assert status == 0
        assert re.search(
            r"\r1\d B of 20 B  \d\d%  \d+ B/s  eta 0 s  "
            r"\[stream 1, window 1\.0 MB\]",
            shown,
        )
        assert re.search(r"\r +\r$", shown)

    def test_a_failure_is_one_line(self, world: World) -> None:
        assert world.show("hyper --fail <answers>/404") == (
            22,
            "hyper: the server answered 404 Not Found\n",
        )


def wait_for_sleep(pid: int) -> None:
    """Wait until a process of one thread waits for something itself."""
    while "\nState:\tS" not in Path(f"/proc/{pid}/status").read_text():
        os.sched_yield()


class TestInterrupts:
    def test_ctrl_c_cancels_the_stream_and_says_goodbye(self, world: World) -> None:
        reading, writing = os.pipe()
        with open("/dev/null") as nothing, open(world.path("frames"), "w+") as frames:
            running = world.shell.start(
                world.located("hyper --frames <tls>/never"),
                nothing.fileno(),
                writing,
                frames.fileno(),
            )
            os.close(writing)
            assert os.read(reading, 1) == b"."
            wait_for_sleep(running.pid)
            running.interrupt()
            assert running.wait() == 130
            os.close(reading)
            frames.seek(0)
            shown = frames.read()
        assert re.search(r"send RST_STREAM .* CANCEL\n", shown)
        assert re.search(r"send GOAWAY .* error=NO_ERROR\n.* closed\n$", shown)

    def test_it_ends_threads_and_the_trace_is_written(self, world: World) -> None:
        reading, writing = os.pipe()
        with open("/dev/null", "r+") as nothing, open(reading, "rb") as shown:
            running = world.shell.start(
                world.located(
                    "hyper --frames=data -m 2 --threads 2 --trace cut.jsonl <tls>/never"
                ),
                *(nothing.fileno(), nothing.fileno(), writing),
            )
            os.close(writing)
            for _ in range(2):
                assert b" recv DATA " in shown.readline()
            running.interrupt()
            assert running.wait() == 130
        records, _ = load(world.path("cut.jsonl"))
        assert records[-1].kind == "closed"
