"""The real servers do what the table of their features says.

The witness is curl, which shares no code with hyper: when a test of the client fails
against a server, these tests tell whether the fault is the server's. Where frames
matter (trailers behind a content-length, settings, push) it is nghttp.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from servers import (
    FEATURES,
    HELLO,
    SERVERS,
    TEXT,
    Authority,
    RealServer,
    ServerFailed,
    ServerMissing,
    realserver,
    start,
    ten_mebibytes_sha256,
)
from servers.fixtures import FreshServers, SharedServers

every_server = pytest.mark.parametrize("name", SERVERS)


@dataclass(frozen=True)
class Reply:
    """What curl printed: all the header blocks, and the body apart from them."""

    blocks: list[str]
    body: bytes

    @property
    def head(self) -> str:
        """The block of the final response."""
        finals = [
            block for block in self.blocks if not block.split()[1].startswith("1")
        ]
        return finals[-1]

    @property
    def version(self) -> str:
        return self.head.split()[0].removeprefix("HTTP/")

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    def field(self, name: str) -> str | None:
        for line in self.head.splitlines()[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name:
                return value.strip()
        return None


class Curl:
    """curl, with a directory for what it prints."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def command(self, server: RealServer, url: str, *arguments: str) -> list[str]:
        return [
            *("curl", "--silent", "--show-error", "--max-time", "20"),
            # -q must be first to keep a user's own configuration away; --noproxy
            # does so for the environment's.
            *("--noproxy", "*", "--cacert", str(server.ca_file), *arguments, url),
        ]

    def fetch(self, server: RealServer, url: str, *arguments: str) -> Reply:
        head, body = self.directory / "head", self.directory / "body"
        more = ("--dump-header", str(head), "--output", str(body), *arguments)
        body.write_bytes(b"")
        done = subprocess.run(
            self.command(server, url, *more), capture_output=True, timeout=30
        )
        log = server.log() if done.returncode else ""
        assert done.returncode == 0, f"{done.args}\n{done.stderr.decode()}\n{log}"
        text = head.read_text("latin-1").replace("\r\n", "\n")
        blocks = [block for block in text.split("\n\n") if block.startswith("HTTP/")]
        return Reply(blocks, body.read_bytes())

    def get(self, server: RealServer, path: str, *arguments: str) -> Reply:
        reply = self.fetch(server, server.url(path), "--http2", *arguments)
        assert reply.version == "2"
        return reply


@cache
def reason_against_curl() -> str | None:
    if shutil.which("curl") is None:
        return "curl is not installed"
    said = subprocess.run(["curl", "--version"], capture_output=True, text=True).stdout
    return None if "HTTP2" in said else "this curl was built without HTTP/2"


@pytest.fixture
def curl(tmp_path: Path) -> Curl:
    reason = reason_against_curl()
    if reason is not None:
        pytest.skip(reason)
    return Curl(tmp_path)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# What each server offers


@every_server
def test_tls_port_speaks_h2_by_alpn(real_server: SharedServers, curl: Curl, name: str):
    server = real_server(name, "h2")
    reply = curl.get(server, "/hello")
    assert (reply.status, reply.body) == (200, HELLO)


@every_server
def test_tls_port_speaks_http11_too(real_server: SharedServers, curl: Curl, name: str):
    server = real_server(name, "h1")
    reply = curl.fetch(server, server.url("/hello"), "--http1.1")
    assert (reply.version, reply.status, reply.body) == ("1.1", 200, HELLO)


@every_server
def test_cleartext_port_speaks_h2_with_prior_knowledge(
    real_server: SharedServers, curl: Curl, name: str
):
    server = real_server(name, "h2c")
    reply = curl.fetch(server, server.h2c_url("/hello"), "--http2-prior-knowledge")
    assert (reply.version, reply.status, reply.body) == ("2", 200, HELLO)


@every_server
def test_cleartext_port_speaks_http11(
    real_server: SharedServers, curl: Curl, name: str
):
    server = real_server(name, "h1")
    reply = curl.fetch(server, server.h1_url("/hello"), "--http1.1")
    assert (reply.version, reply.status, reply.body) == ("1.1", 200, HELLO)


@every_server
def test_port_without_h2_falls_back_to_http11(
    real_server: SharedServers, curl: Curl, name: str
):
    server = real_server(name, "h1-tls")
    reply = curl.fetch(server, server.h1_tls_url("/hello"), "--http2")
    assert (reply.version, reply.status, reply.body) == ("1.1", 200, HELLO)


@every_server
def test_head_has_the_head_of_get_and_no_body(
    real_server: SharedServers, curl: Curl, name: str
):
    reply = curl.get(real_server(name), "/hello", "--head")
    assert (reply.status, reply.field("content-length")) == (200, "6")
    assert reply.body.lower().startswith(b"http/2 200")


@every_server
def test_validator_turns_get_into_304(
    real_server: SharedServers, curl: Curl, name: str
):
    server = real_server(name, "conditional")
    first = curl.get(server, "/hello")
    etag, modified = first.field("etag"), first.field("last-modified")
    assert etag or modified
    condition = f"if-none-match: {etag}" if etag else f"if-modified-since: {modified}"
    second = curl.get(server, "/hello", "--header", condition)
    assert (second.status, second.body) == (304, b"")


@every_server
def test_download_is_ten_mebibytes(real_server: SharedServers, curl: Curl, name: str):
    server = real_server(name, "download")
    reply = curl.get(server, "/10mb", "--header", "accept-encoding: gzip")
    assert reply.field("content-length") == str(10 * 1024 * 1024)
    assert sha256(reply.body) == ten_mebibytes_sha256()


@every_server
def test_upload_is_read_whole(real_server: SharedServers, curl: Curl, name: str):
    server = real_server(name, "upload")
    reply = curl.get(server, "/upload", "--data-binary", "x" * 100_000)
    assert reply.status == 200


@every_server
def test_upload_of_unknown_length_is_digested(
    real_server: SharedServers, curl: Curl, tmp_path: Path, name: str
):
    server = real_server(name, "upload-digest")
    data = bytes(range(256)) * 4096
    file = tmp_path / "upload"
    file.write_bytes(data)
    for more in ((), ("--header", "content-length:")):
        arguments = ("--data-binary", f"@{file}", "--header", "content-type:", *more)
        reply = curl.get(server, "/upload", *arguments)
        assert json.loads(reply.body) == {"length": len(data), "sha256": sha256(data)}


@every_server
def test_echo_gives_the_text_of_the_path(
    real_server: SharedServers, curl: Curl, name: str
):
    server = real_server(name, "echo")
    assert curl.get(server, "/echo/a-text-17_b").body == b"a-text-17_b"


@every_server
def test_echo_gives_the_body_back(real_server: SharedServers, curl: Curl, name: str):
    server = real_server(name, "echo-body")
    data = "this comes back " * 5000
    assert curl.get(server, "/echo", "--data-binary", data).body == data.encode()


@every_server
def test_text_is_gzipped_for_those_who_accept_it(
    real_server: SharedServers, curl: Curl, name: str
):
    server = real_server(name, "gzip")
    reply = curl.get(server, "/text", "--header", "accept-encoding: gzip")
    assert reply.field("content-encoding") == "gzip"
    assert gzip.decompress(reply.body) == TEXT
    assert curl.get(server, "/text").body == TEXT


@every_server
def test_slow_answers_in_the_end(real_server: SharedServers, curl: Curl, name: str):
    server = real_server(name, "slow")
    assert curl.get(server, "/slow").body == b"slow\n"


@every_server
def test_never_gives_one_byte_after_the_other(
    real_server: SharedServers, curl: Curl, name: str
):
    server = real_server(name, "never")
    command = curl.command(server, server.url("/never"), "--http2", "--no-buffer")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert os.read(child.stdout.fileno(), 1) == b"."
        assert os.read(child.stdout.fileno(), 1) == b"."
        child.terminate()


@every_server
def test_trailers_come_after_the_body(real_server: SharedServers, name: str):
    server = real_server(name, "trailers")
    frames = nghttp(server, "/trailers", "--header=te: trailers")
    assert frames.index("recv DATA") < frames.index(" x-trailer: yes")


@every_server
def test_early_hints_come_before_the_answer(
    real_server: SharedServers, curl: Curl, name: str
):
    server = real_server(name, "early-hints")
    reply = curl.get(server, "/early-hints")
    statuses = [block.split()[1] for block in reply.blocks]
    assert (statuses, reply.body) == (["103", "200"], b"hinted\n")
    assert "</style.css>" in reply.blocks[0]


@every_server
def test_each_post_is_counted(real_server: SharedServers, curl: Curl, name: str):
    server = real_server(name, "count")
    for count in (b"1\n", b"2\n"):
        assert curl.get(server, "/count/twice", "--data", "").body == count
    curl.fetch(server, server.h2c_url("/count/twice"), "--http2-prior-knowledge", "-d.")
    assert json.loads(curl.get(server, "/count").body)["twice"] == 3


@every_server
def test_hello_is_pushed_to_those_who_allow_it(real_server: SharedServers, name: str):
    server = real_server(name, "push")
    frames = nghttp(server, "/pushing")
    assert "PUSH_PROMISE" in frames
    assert ":path: /hello" in frames


@every_server
def test_number_of_streams_can_be_set(fresh_server: FreshServers, name: str):
    server = fresh_server(name, "max-streams", max_concurrent_streams=17)
    assert "SETTINGS_MAX_CONCURRENT_STREAMS(0x03):17" in nghttp(server, "/hello")


def nghttp(server: RealServer, path: str, *arguments: str) -> str:
    """Return the frames of an exchange, as text."""
    if shutil.which("nghttp") is None:
        pytest.skip("nghttp is not installed (apt-get install nghttp2-client)")
    done = subprocess.run(
        ["nghttp", "-y", "-nv", "-t20", *arguments, server.url(path)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.stdout


@every_server
def test_connection_is_given_up_after_so_many_requests(
    fresh_server: FreshServers, curl: Curl, name: str
):
    server = fresh_server(name, "keepalive-requests", keepalive_requests=3)
    urls = [server.url("/hello")] * 6
    command = curl.command(server, urls[0], "--http2", "-w", "%{num_connects}", *urls)
    done = subprocess.run(command, capture_output=True, timeout=30)
    assert done.stdout == b"hello\n1hello\n0hello\n0" * 2 + b"hello\n1"


@every_server
def test_http1_connection_is_given_up_after_so_many_requests(
    fresh_server: FreshServers, curl: Curl, name: str
):
    features = ("h1", "keepalive-requests-h1")
    server = fresh_server(name, *features, keepalive_requests=3)
    urls = [server.h1_url("/hello")] * 6
    command = curl.command(server, urls[0], "-w", "%{num_connects}", *urls)
    done = subprocess.run(command, capture_output=True, timeout=30)
    assert done.stdout == b"hello\n1hello\n0hello\n0" * 2 + b"hello\n1"


@every_server
def test_what_a_server_cannot_do_has_a_reason(name: str):
    recipe = SERVERS[name]
    assert recipe.features | recipe.cannot.keys() == FEATURES.keys()
    assert all(recipe.cannot.values())


@every_server
def test_ports_are_those_of_the_features(real_server: SharedServers, name: str):
    server = real_server(name)
    listening = {
        "h2": server.tls_port,
        "h2c": server.h2c_port,
        "h1": server.h1_port,
        "h1-tls": server.h1_tls_port,
    }
    offered = {feature for feature, port in listening.items() if port is not None}
    assert offered == server.features & listening.keys()


# How they live


@every_server
def test_restart_is_on_the_same_ports_in_another_process(
    fresh_server: FreshServers, curl: Curl, name: str
):
    server = fresh_server(name)
    ports, pid = server.ports, server.pid
    server.restart()
    assert server.ports == ports
    assert server.pid != pid
    assert curl.get(server, "/hello").body == HELLO


@every_server
def test_restart_tears_open_connections(
    fresh_server: FreshServers, ca: Authority, name: str
):
    server = fresh_server(name)
    with connect(server, ca) as client:
        server.restart()
        assert reads_to_the_end(client)
        # The ports are in use again although the old connection is not closed here.
        connect(server, ca).close()


def connect(server: RealServer, ca: Authority) -> ssl.SSLSocket:
    """Return a connection on which the server has answered."""
    context = ssl.create_default_context(cafile=ca.ca_file)
    context.set_alpn_protocols(["h2"])
    address = (realserver.ADDRESS, server.tls_port)
    with socket.create_connection(address, timeout=20) as client:
        return context.wrap_socket(client, server_hostname=server.host)


def reads_to_the_end(client: ssl.SSLSocket) -> bool:
    try:
        while client.recv(65536):
            # The server's SETTINGS.
            pass
    except (ConnectionResetError, ssl.SSLEOFError):
        # Torn without a word of TLS.
        pass
    return True


@every_server
def test_counts_outlive_a_restart(fresh_server: FreshServers, curl: Curl, name: str):
    server = fresh_server(name, "count-kept")
    curl.get(server, "/count/once", "--data", "")
    server.restart()
    assert json.loads(curl.get(server, "/count").body) == {"once": 1}


@every_server
def test_reload_keeps_the_server_and_answers(
    fresh_server: FreshServers, curl: Curl, name: str
):
    server = fresh_server(name, "reload")
    pid = server.pid
    for _ in range(2):
        server.reload()
        assert curl.get(server, "/hello").body == HELLO
    assert server.running
    assert server.pid == pid


@every_server
def test_reload_lets_a_running_response_go_on(
    fresh_server: FreshServers, curl: Curl, name: str
):
    server = fresh_server(name, "reload", "never")
    command = curl.command(server, server.url("/never"), "--http2", "--no-buffer")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert os.read(child.stdout.fileno(), 1) == b"."
        server.reload()
        assert curl.get(server, "/hello").body == HELLO
        assert [os.read(child.stdout.fileno(), 1) for _ in range(3)] == [b"."] * 3
        child.terminate()


@every_server
def test_stopped_server_leaves_no_process_and_no_listener(
    fresh_server: FreshServers, name: str
):
    server = fresh_server(name)
    group, port = server.pid, server.tls_port
    assert port is not None
    server.stop()
    server.stop()
    assert not server.running
    assert not realserver.accepts(port)
    assert wait_ended(group)


def wait_ended(group: int) -> bool:
    """Wait until all of a process group have ended; return False after a while."""
    for _ in range(500):
        listed = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True)
        states = [line.split() for line in listed.stdout.decode().splitlines()]
        # One that is but a zombie has ended; init reaps it when it likes.
        if not any(int(g) == group and s[0] != "Z" for g, s in states):
            return True
        realserver.NEVER.wait(0.02)
    return False


@every_server
def test_server_with_a_response_that_never_ends_stops(
    fresh_server: FreshServers, curl: Curl, name: str
):
    server = fresh_server(name, "never")
    command = curl.command(server, server.url("/never"), "--http2", "--no-buffer")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        assert child.stdout is not None
        assert os.read(child.stdout.fileno(), 1) == b"."
        server.stop()
        child.communicate()


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no program of nginx found."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)


@pytest.mark.usefixtures("nowhere")
def test_missing_server_is_named_with_its_package(tmp_path: Path, ca: Authority):
    with pytest.raises(ServerMissing, match="apt-get install nginx-light") as caught:
        start("nginx", tmp_path=tmp_path, ca=ca)
    assert caught.value.name == "nginx"


@pytest.mark.usefixtures("nowhere")
def test_missing_server_skips_a_test(
    fresh_server: FreshServers, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("HYPER_REQUIRE_SERVERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="nginx: not installed"):
        fresh_server("nginx")


@pytest.mark.usefixtures("nowhere")
def test_missing_server_fails_a_test_where_all_are_required(
    fresh_server: FreshServers, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYPER_REQUIRE_SERVERS", "1")
    with pytest.raises(pytest.fail.Exception, match="nginx: not installed"):
        fresh_server("nginx")


def test_missing_feature_skips_a_test_with_the_reason(real_server: SharedServers):
    with pytest.raises(pytest.skip.Exception, match="it speaks HTTP/2 alone"):
        real_server("nghttpd", "h1")


def test_server_that_cannot_start_fails_with_its_log(fresh_server: FreshServers):
    with pytest.raises(ServerFailed, match="invalid number"):
        fresh_server("nginx", max_concurrent_streams=-1)


def test_ports_stay_reserved_while_the_server_is_down(
    fresh_server: FreshServers, monkeypatch: pytest.MonkeyPatch
):
    server = fresh_server("node")
    attempts = []

    def try_to_take(port: int) -> None:
        with socket.socket() as other:
            with pytest.raises(OSError, match="in use"):
                other.bind((realserver.ADDRESS, port))
        attempts.append(port)

    original = realserver.end_child

    def end_child_and_try(child: subprocess.Popen[bytes], *, hard: bool) -> None:
        original(child, hard=hard)
        try_to_take(server.tls_port)

    monkeypatch.setattr(realserver, "end_child", end_child_and_try)
    server.restart()
    assert attempts == [server.tls_port]
