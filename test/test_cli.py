"""The ``hyper`` command: what it prints, where, and the status it ends with."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from command import PATIENCE, Result
from hyperframe.frame import Frame, HeadersFrame
from peer import PREFACE, Frames, wire

import hyper
from hyper import http2bin
from hyper.cli import main
from hyper.cli.main import exit_status
from hyper.cli.output import LARGEST_JSON

USAGE = (
    "hyper [-h] [--version] [--debug] [METHOD] URL [REQUEST_ITEM [REQUEST_ITEM ...]]"
)


Command = Callable[..., Result]


@pytest.fixture(scope="module")
def service() -> Iterator[http2bin.Server]:
    with http2bin.serve() as server:
        yield server


@pytest.fixture(scope="module")
def cleartext() -> Iterator[http2bin.Server]:
    with http2bin.serve(tls=False) as server:
        yield server


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Signs the certificates of the scripted servers."""
    return trustme.CA()


@pytest.fixture(autouse=True)
def _trust(
    service: http2bin.Server,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Have the command trust every server of these tests."""
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(service.ca_pem + authority.cert_pem.bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def command(capfdbinary: pytest.CaptureFixture[bytes]) -> Command:
    """The command, run in this process with its output in pipes."""

    def run(*words: str) -> Result:
        capfdbinary.readouterr()
        status = main(words)
        out, err = capfdbinary.readouterr()
        return Result(status, out, err.decode())

    return run


@contextlib.contextmanager
def scripted(answer: bytes, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Run a server that answers one request with these bytes and hangs up.

    It speaks what its context lets ALPN choose, or cleartext if it has none.
    """

    def serve() -> None:
        conn, _ = listener.accept()
        conn.settimeout(PATIENCE)
        http2 = False
        if tls:
            conn = tls.wrap_socket(conn, server_side=True)
            http2 = conn.selected_alpn_protocol() == "h2"
        with conn:
            data = b""
            while not (has_headers_frame(data) if http2 else data):
                data += conn.recv(65536)
            conn.sendall(answer)
            conn.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                while conn.recv(65536):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def has_headers_frame(data: bytes) -> bool:
    """Return True if these bytes of an HTTP/2 client have a whole HEADERS frame."""
    data = data[len(PREFACE) :]
    while len(data) >= 9:
        frame, length = Frame.parse_frame_header(memoryview(data[:9]))
        if len(data) >= 9 + length and isinstance(frame, HeadersFrame):
            return True
        data = data[9 + length :]
    return False


@pytest.fixture
def h2_context(authority: trustme.CA) -> ssl.SSLContext:
    """TLS of a server that speaks HTTP/2 only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(["h2"])
    return context


class Terminal(io.TextIOWrapper):
    """A standard output that says it is a terminal."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())

    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> bytes:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue()


def on_terminal(*words: str) -> tuple[int, bytes]:
    """Run the command on a terminal; return its status and what it showed."""
    terminal = Terminal()
    with contextlib.redirect_stdout(terminal):
        status = main(words)
    return status, terminal.shown


class TestRequests:
    def test_the_body_is_printed_and_nothing_else(
        self, command: Command, service: http2bin.Server
    ) -> None:
        result = command("GET", f"{service.url}/bytes/100000")
        with hyper.HTTP20Connection(service.url) as conn:
            conn.request("GET", "/bytes/100000")
            assert result == Result(0, conn.get_response().read(), "")

    def test_a_compressed_body_is_printed_decoded(
        self, command: Command, service: http2bin.Server
    ) -> None:
        assert command(f"{service.url}/gzip").json["gzipped"] is True

    def test_cleartext_is_http11(
        self, command: Command, cleartext: http2bin.Server
    ) -> None:
        result = command("--debug", f"{cleartext.url}/get")
        assert result.json["url"] == f"{cleartext.url}/get"
        assert "HTTP/1.1 200 OK" in result.err

    def test_with_tls_the_server_chooses(
        self, command: Command, service: http2bin.Server
    ) -> None:
        assert "HTTP/2 200 OK" in command("--debug", f"{service.url}/get").err

    def test_a_server_without_http2_is_asked_over_http11(
        self, command: Command, h2_context: ssl.SSLContext
    ) -> None:
        h2_context.set_alpn_protocols(["http/1.1"])
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
        with scripted(answer, h2_context) as port:
            result = command(f"https://localhost:{port}/")
        assert result == Result(0, b"hi", "")

    def test_headers_are_sent(self, command: Command, service: http2bin.Server) -> None:
        result = command(f"{service.url}/headers", "X-Totally-Real-Header:someval")
        headers = result.json["headers"]
        assert isinstance(headers, dict)
        assert headers["X-Totally-Real-Header"] == "someval"

    def test_parameters_are_added_to_the_query(
        self, command: Command, service: http2bin.Server
    ) -> None:
        result = command(f"{service.url}/get?a=1", "b==2")
        assert result.json["args"] == {"a": "1", "b": "2"}

    def test_fields_are_posted_as_json(
        self, command: Command, service: http2bin.Server
    ) -> None:
        result = command(f"{service.url}/post", "name=Hyper", "language=Python")
        assert result.json["json"] == {"name": "Hyper", "language": "Python"}
        headers = result.json["headers"]
        assert isinstance(headers, dict)
        assert headers["Content-Type"] == "application/json; charset=utf-8"

    def test_a_port_alone_is_one_of_this_machine(
        self, command: Command, service: http2bin.Server
    ) -> None:
        assert command(f":{service.port}/ip").status == 0

    def test_an_error_of_the_server_is_a_response_like_others(
        self, command: Command, service: http2bin.Server
    ) -> None:
        assert command(f"{service.url}/status/500") == Result(0, b"", "")

    def test_head_prints_nothing(
        self, command: Command, service: http2bin.Server
    ) -> None:
        assert command("HEAD", f"{service.url}/get") == Result(0, b"", "")


class TestTerminal:
    def test_json_is_indented_anew(self, cleartext: http2bin.Server) -> None:
        shown = b'{\n  "origin": "127.0.0.1"\n}\n'
        assert on_terminal(f"{cleartext.url}/ip") == (0, shown)

    def test_other_kinds_are_shown_as_they_are(
        self, cleartext: http2bin.Server
    ) -> None:
        _, shown = on_terminal(f"{cleartext.url}/")
        assert shown.startswith(b"<!DOCTYPE html>\n<title>http2bin")

    @pytest.mark.parametrize("lines", [3, 20_000])
    def test_what_is_no_json_but_says_so_is_shown_as_it_is(
        self, cleartext: http2bin.Server, lines: int
    ) -> None:
        _, shown = on_terminal(f"{cleartext.url}/stream/{lines}")
        assert shown.count(b"\n") == lines
        assert shown.startswith(b'{"args": {}, ')

    def test_json_that_is_very_long_is_shown_as_it_is(self) -> None:
        body = b"[" + b"1," * LARGEST_JSON + b"1]"
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
        with scripted(head + body) as port:
            assert on_terminal(f"http://localhost:{port}/") == (0, body)

    def test_what_came_of_json_is_shown_if_the_rest_does_not_come(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: a/b+json\r\nContent-Length: 9\r\n\r\n"
        with scripted(head + b'{"a": ') as port:
            assert on_terminal(f"http://localhost:{port}/") == (18, b'{"a": ')

    def test_a_real_one_is_recognised(self, cleartext: http2bin.Server) -> None:
        ours, theirs = pty.openpty()
        try:
            process = run_process(f"{cleartext.url}/ip", stdout=theirs)
            assert (process.returncode, process.stderr) == (0, b"")
            assert os.read(ours, 4096) == b'{\r\n  "origin": "127.0.0.1"\r\n}\r\n'
        finally:
            os.close(ours)
            os.close(theirs)


class TestFailures:
    """One line on standard error, and a status that tells the kind."""

    def check(self, result: Result, status: int, text: str) -> None:
        assert (result.status, result.out) == (status, b"")
        assert result.err.startswith("hyper: ")
        assert result.err.count("\n") == 1
        assert text in result.err

    @pytest.mark.parametrize(
        ("words", "text"),
        [
            ([], "the URL is missing"),
            (["https://x.example", "foo"], "'foo' is not a request item"),
            (["ftp://x.example"], "neither http nor https"),
            (["https://x y/"], "the host 'x y' is not a name"),
            (["https://localhost/a b"], "spaces and controls"),
            (["https://localhost", "Na me:v"], "not a token"),
        ],
    )
    def test_a_wrong_command_line_is_2(
        self, command: Command, words: list[str], text: str
    ) -> None:
        self.check(command(*words), 2, text)

    def test_an_unknown_option_is_2_and_shows_the_usage(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as caught:
            main(["--nonsense", "https://x.example"])
        assert caught.value.code == 2
        assert capsys.readouterr().err.startswith(f"usage: {USAGE}\n")

    def test_a_name_without_an_address_is_6(self, command: Command) -> None:
        # An interface that does not exist: the resolver knows without the network.
        result = command("https://[fe80::1%25nosuch]/")
        self.check(result, 6, "cannot resolve")

    def test_a_port_where_nobody_listens_is_7(self, command: Command) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        result = command(f"https://127.0.0.1:{port}/")
        self.check(result, 7, "Connection refused")

    def test_a_server_that_ends_the_connection_with_a_code_is_16(
        self, command: Command, h2_context: ssl.SSLContext
    ) -> None:
        frames = Frames()
        answer = wire(frames.settings(), frames.goaway(1, 11, b"calm down"))
        with scripted(answer, h2_context) as port:
            result = command(f"https://localhost:{port}/")
        self.check(result, 16, "ENHANCE_YOUR_CALM")

    def test_a_server_that_breaks_http2_is_16(
        self, command: Command, h2_context: ssl.SSLContext
    ) -> None:
        with scripted(wire(Frames().ping(bytes(8))), h2_context) as port:
            result = command(f"https://localhost:{port}/")
        self.check(result, 16, "SETTINGS")

    def test_a_body_that_is_cut_short_is_18(
        self, command: Command, h2_context: ssl.SSLContext
    ) -> None:
        frames = Frames()
        answer = wire(
            frames.settings(),
            frames.headers(1, fields=[("content-length", "10")]),
            frames.data(1, b"half ", end=True),
        )
        with scripted(answer, h2_context) as port:
            result = command(f"https://localhost:{port}/")
        assert (result.status, result.out) == (18, b"half ")
        assert result.err.startswith("hyper: ")

    def test_plain_http_where_tls_is_expected_is_35(self, command: Command) -> None:
        with scripted(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
            result = command(f"https://localhost:{port}/")
        self.check(result, 35, "perhaps the server does not speak TLS on this port")

    def test_a_server_that_breaks_http11_is_56(self, command: Command) -> None:
        with scripted(b"HTTP/1.1 nonsense\r\n\r\n") as port:
            result = command(f"http://localhost:{port}/")
        self.check(result, 56, "")

    def test_a_server_that_hangs_up_is_56(self, command: Command) -> None:
        with scripted(b"") as port:
            result = command(f"http://localhost:{port}/")
        self.check(result, 56, "closed the connection")

    def test_a_certificate_that_is_not_trusted_is_60(
        self,
        command: Command,
        service: http2bin.Server,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.delenv("SSL_CERT_FILE")
        result = command(f"{service.url}/")
        self.check(result, 60, "the certificate of localhost was not accepted")

    def test_a_body_that_cannot_be_decoded_is_61(self, command: Command) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
        with scripted(head + b"this is no gzip") as port:
            result = command(f"http://localhost:{port}/")
        self.check(result, 61, "gzip")

    @pytest.mark.parametrize("content", [b"this is no certificate", None])
    def test_authorities_that_cannot_be_loaded_are_77(
        self,
        command: Command,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        content: bytes | None,
    ) -> None:
        path = tmp_path / "broken.pem"
        if content is not None:
            path.write_bytes(content)
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        result = command("https://localhost:1/")
        self.check(result, 77, "cannot load the authorities to trust")

    def test_a_stream_that_the_server_resets_is_92(
        self, command: Command, h2_context: ssl.SSLContext
    ) -> None:
        frames = Frames()
        with scripted(wire(frames.settings(), frames.reset(1, 2)), h2_context) as port:
            result = command(f"https://localhost:{port}/")
        self.check(result, 92, "INTERNAL_ERROR")

    def test_a_malformed_response_on_a_stream_is_92(
        self, command: Command, h2_context: ssl.SSLContext
    ) -> None:
        frames = Frames()
        answer = wire(frames.settings(), frames.headers(1, status=None, end=True))
        with scripted(answer, h2_context) as port:
            result = command(f"https://localhost:{port}/")
        self.check(result, 92, "stream 1")

    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (hyper.ProxyError("no"), 5),
            (hyper.ReadTimeout("late"), 28),
            (hyper.ConnectTimeout("late"), 28),
            (hyper.RequestNotProcessed("no"), 92),
            (hyper.ConnectionTerminated("bye", error_code=0), 56),
            (hyper.TLSError("ALPN"), 35),
            (hyper.HyperError("?"), 56),
        ],
    )
    def test_the_others_have_the_numbers_of_curl(
        self, error: hyper.HyperError, status: int
    ) -> None:
        assert exit_status(error, hyper.HTTPVersion.http20) == status

    def test_an_output_that_is_full_is_23(
        self,
        cleartext: http2bin.Server,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        with open("/dev/full", "w") as full, contextlib.redirect_stdout(full):
            assert main([f"{cleartext.url}/ip"]) == 23
        assert "No space left on device" in capsys.readouterr().err

    def test_a_reader_that_is_gone_is_23_without_a_word(
        self, cleartext: http2bin.Server, capsys: pytest.CaptureFixture[str]
    ) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        with open(writing, "w") as out, contextlib.redirect_stdout(out):
            assert main([f"{cleartext.url}/ip"]) == 23
        assert capsys.readouterr().err == ""


class TestDebug:
    def test_frames_tables_and_log_go_to_standard_error(
        self, command: Command, service: http2bin.Server
    ) -> None:
        result = command("--debug", f"{service.url}/ip", "X-Name:value")
        assert result.json == {"origin": "127.0.0.1"}
        assert f"hyper.cli: GET /ip of {service.url}\n" in result.err
        assert "recv DATA " in result.err
        assert re.search(r"x-name: value +literal, indexed, \d+ B\n", result.err)
        assert re.search(r" table: \d+ of 4096 B, \d entries\n", result.err)

    def test_it_may_stand_anywhere(
        self, command: Command, service: http2bin.Server
    ) -> None:
        result = command("get", "--debug", f"{service.url}/get", "--", "-a==1")
        assert result.json["args"] == {"-a": "1"}
        assert "hyper.cli: GET /get?-a=1" in result.err

    def test_it_ends_with_the_command(
        self, command: Command, service: http2bin.Server
    ) -> None:
        command("--debug", f"{service.url}/ip")
        assert command(f"{service.url}/ip").err == ""

    def test_a_failure_shows_its_traceback(self, command: Command) -> None:
        result = command("--debug", "https://localhost", "foo")
        assert "Traceback (most recent call last)" in result.err
        assert result.err.splitlines()[-1].startswith("hyper: 'foo' is not")


#: The command, if a shell has started this process with Ctrl-C ignored, too.
PROGRAM = (
    sys.executable,
    "-c",
    "import signal, sys; from hyper.cli import main;"
    "signal.signal(signal.SIGINT, signal.default_int_handler);"
    "sys.exit(main())",
)


def run_process(
    *words: str, stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[bytes]:
    """Run ``python -m hyper`` to its end."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "hyper", *words],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=environment(),
        timeout=PATIENCE,
        check=False,
    )


def environment() -> dict[str, str]:
    """Return this environment, with hyper where this process found it."""
    found = Path(hyper.__file__).parent.parent
    return {**os.environ, "PYTHONPATH": str(found)}


class TestProcess:
    def test_help_begins_with_the_usage(self) -> None:
        process = run_process("--help")
        assert (process.returncode, process.stderr) == (0, b"")
        assert process.stdout.decode().startswith(f"usage: {USAGE}\n")

    def test_version_is_that_of_the_library(self) -> None:
        process = run_process("--version")
        assert process.stdout.decode() == f"hyper {hyper.__version__}\n"

    def test_a_request_is_made(self, service: http2bin.Server) -> None:
        process = run_process(f"{service.url}/ip")
        assert process.stderr == b""
        assert json.loads(process.stdout) == {"origin": "127.0.0.1"}

    def test_a_failure_ends_with_its_status(self) -> None:
        process = run_process("https://localhost", "foo")
        assert process.returncode == 2
        assert process.stderr.startswith(b"hyper: 'foo' is not a request item")

    def test_a_reader_that_has_seen_enough_ends_it_quietly(
        self, service: http2bin.Server
    ) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "hyper", f"{service.url}/never"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        assert process.stdout is not None
        assert process.stdout.read(1) == b"."
        process.stdout.close()
        assert process.stderr is not None
        with process.stderr:
            assert process.stderr.read() == b""
        assert process.wait(PATIENCE) == 23

    def test_an_interrupt_ends_it_quietly(self, service: http2bin.Server) -> None:
        process = subprocess.Popen(
            [*PROGRAM, f"{service.url}/never"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        assert process.stdout is not None
        assert process.stdout.read(1) == b"."
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, err) == (130, b"")


class TestStreams:
    """Standard streams that are closed, full, or have nobody at the other end."""

    def run(self, line: str, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Run the command in a shell, with what ``line`` adds."""
        return subprocess.run(
            ["sh", "-c", f'"$@" {line}', "sh", *PROGRAM, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(),
            timeout=PATIENCE,
            check=False,
        )

    @pytest.mark.parametrize(
        ("line", "status", "out", "err"),
        [
            ("2>&-", 0, b'{"origin', b""),
            (">&-", 23, b"", b"hyper: cannot write the body: Bad file descriptor\n"),
            ("2>/dev/full", 0, b'{"origin', b""),
            (">/dev/full 2>/dev/full", 23, b"", b""),
        ],
    )
    def test_outputs_that_are_closed_or_full_are_told_as_far_as_they_can_be(
        self,
        cleartext: http2bin.Server,
        line: str,
        status: int,
        out: bytes,
        err: bytes,
    ) -> None:
        process = self.run(line, "--frames", f"{cleartext.url}/ip")
        shown = b"".join(process.stdout.split())
        assert (process.returncode, shown.startswith(out)) == (status, True)
        assert process.stderr.endswith(err)

    def test_an_input_that_is_closed_is_26(self, cleartext: http2bin.Server) -> None:
        process = self.run("<&-", f"{cleartext.url}/post", "@-")
        assert (process.returncode, process.stderr) == (
            26,
            b"hyper: cannot read the body: Bad file descriptor\n",
        )

    def test_one_that_nobody_reads_any_more_ends_it(
        self, service: http2bin.Server
    ) -> None:
        process = self.run(
            "2>&1 >/dev/null | head -n 1", "--frames", f"{service.url}/never"
        )
        assert process.stdout.endswith(f"start origin={service.url}\n".encode())

    def test_the_manual_may_be_too_long_for_a_disk(self) -> None:
        process = self.run(">/dev/full", "--manual")
        assert process.returncode == 23
        assert b"No space left on device" in process.stderr
