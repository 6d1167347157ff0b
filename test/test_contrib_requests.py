"""The adapter for requests: a Session that speaks HTTP/2, and is otherwise as it was.

The peers are hyper.http2bin for what is everyday, the scripted ones for what is not,
and real proxies. The same is run against requests' own tests by
test/downstream/requests_suite.py.
"""

import contextlib
import faulthandler
import io
import os
import pickle
import ssl
import subprocess
import sys
import textwrap
import threading
import zlib
from pathlib import Path
from typing import ClassVar

import pytest
import requests
import urllib3
from cryptography.hazmat.primitives import serialization
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame
from peer import Peer
from requests import exceptions
from servers import HELLO, PASSWORD, USERNAME
from test_exchange import unused_port
from test_pool import DONE, HALF, path_asked_for, speak_tls
from text_peer import TextPeer
from threads import (
    PATIENCE,
    Interrupted,
    background,
    interrupt_main_thread,
    interruptions,
    wait_for,
    wait_until_main_thread_blocks,
)
from urllib3 import PoolManager
from urllib3.exceptions import (
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
)
from urllib3.response import BaseHTTPResponse
from urllib3.util import SKIP_HEADER, Retry
from urllib3.util import Timeout as Limits

import hyper.contrib
from hyper import ConnectionPool, HTTP20Connection, HTTPConnection, http2bin
from hyper.contrib import HTTP20Adapter
from hyper.http20.window import FlowControlManager
from hyper.tls import init_context

#: HYPER_STRESS=1 makes it the promise: 32 threads of 1,000 requests each.
REQUESTS = 1000 if os.environ.get("HYPER_STRESS") == "1" else 20
#: urllib3-future is in the place of urllib3.
FUTURE = hasattr(urllib3, "AsyncPoolManager")
PLAIN = {"h2c": "prior-knowledge"}


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """Requests reads proxies and authorities from the environment."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def service():
    with http2bin.serve() as server:
        yield server


@pytest.fixture(scope="module")
def plain_service():
    with http2bin.serve(tls=False) as server:
        yield server


@pytest.fixture
def other_peer():
    """A second HTTP/1.1 server."""
    with contextlib.closing(TextPeer()) as peer:
        yield peer


@pytest.fixture
def make_session():
    """Return a function that makes a Session, closed when the test ends."""
    with contextlib.ExitStack() as stack:

        def make(adapter=None, **options):
            session = stack.enter_context(requests.Session())
            adapter = adapter or HTTP20Adapter(**options)
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            return session

        yield make


@pytest.fixture
def session(make_session, service):
    """A Session that trusts the service."""
    session = make_session()
    session.verify = service.ca_file
    return session


def url(peer, path="/"):
    scheme, host = ("https", "localhost") if peer.tls else ("http", "127.0.0.1")
    return f"{scheme}://{host}:{peer.port}{path}"


def ask(session, peer, path="/", method="GET", **options):
    """Begin a request in a thread of its own."""
    options.setdefault("timeout", PATIENCE)
    return background(session.request, method, url(peer, path), **options)


def fields_of(head):
    """Return the fields of a head that a TextPeer read, by lower-case name."""
    return {
        name.lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in head[1:])
    }


class Counting(Retry):
    """A Retry that notes how long it is to sleep, and does not."""

    slept: ClassVar[list[float]] = []

    def sleep(self, response=None):
        pause = response and self.get_retry_after(response)
        self.slept.append(pause or self.get_backoff_time())


@pytest.fixture
def slept(monkeypatch):
    monkeypatch.setattr(Counting, "slept", [])
    return Counting.slept


# The package.


def test_importing_the_package_imports_none_of_the_libraries():
    program = """
        import sys, hyper, hyper.contrib
        assert "HTTP20Adapter" in dir(hyper.contrib)
        assert not {"requests", "urllib3", "httpx"} & sys.modules.keys()
        from hyper.contrib import HTTP20Adapter
        assert "requests" in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)


def test_what_the_package_does_not_have_it_says():
    assert "HTTP20Adapter" in dir(hyper.contrib)
    with pytest.raises(AttributeError, match=r"hyper\.contrib.*HTTP30Adapter"):
        hyper.contrib.HTTP30Adapter  # noqa: B018 - it raises


# Everyday.


def test_mounting_the_adapter_is_all_that_it_takes(service, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", service.ca_file)
    with requests.Session() as session:
        session.mount("https://", HTTP20Adapter())
        response = session.get(f"{service.url}/get", params={"a": "b c"})
        assert response.status_code == 200
        assert response.reason == "OK"
        assert response.json()["args"] == {"a": "b c"}
        assert response.headers["Content-Type"] == "application/json"
        assert response.elapsed.total_seconds() > 0
        assert response.raw.version == 20


@pytest.mark.parametrize("alpn", [["http/1.1"], []])
def test_a_server_without_http2_is_spoken_to_in_http1(
    text_peer, make_session, ca, alpn
):
    speak_tls(text_peer, ca, *alpn)
    session = make_session()
    for _ in range(2):
        asking = ask(session, text_peer, "/?a=b", verify=str(ca.ca_file))
        if not text_peer.connections:
            text_peer.accept()
        head = text_peer.want_head()
        assert head[0] == b"GET /?a=b HTTP/1.1"
        assert fields_of(head)[b"connection"] == b"keep-alive"
        text_peer.respond(b"done", b"X: 1\r\n")
        response = asking.result()
        assert response.content == b"done"
        assert response.raw.version == 11
        assert response.raw.version_string == "HTTP/1.1"


def test_a_response_in_http_1_0_says_so(text_peer, session):
    asking = background(session.get, f"http://127.0.0.1:{text_peer.port}/")
    text_peer.accept()
    text_peer.want_head()
    text_peer.send_bytes(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
    raw = asking.result().raw
    assert (raw.version, raw.version_string) == (10, "HTTP/1.0")


def test_http_urls_are_spoken_to_in_http1_unless_told_otherwise(
    plain_service, make_session
):
    for options, version in (({}, 11), (PLAIN, 20)):
        response = make_session(**options).get(f"{plain_service.url}/get")
        assert response.json()["url"].endswith("/get")
        assert response.raw.version == version


def test_the_reason_is_that_of_the_server_or_the_standard_one(
    peer, text_peer, make_session
):
    asking = ask(make_session(**PLAIN), peer)
    peer.greet()
    peer.want_headers(1)
    peer.respond(1, status=404)
    assert asking.result().reason == "Not Found"
    asking = ask(make_session(), text_peer)
    text_peer.accept()
    text_peer.want_head()
    text_peer.send_bytes(b"HTTP/1.1 404 Gone Fishing\r\nContent-Length: 0\r\n\r\n")
    assert asking.result().reason == "Gone Fishing"


def test_every_cookie_is_kept_and_sent_back(session, service):
    address = f"{service.url}/cookies/set?a=1&b=2&c=3"
    assert session.get(address).json()["cookies"] == {"a": "1", "b": "2", "c": "3"}
    assert session.cookies.get_dict() == {"a": "1", "b": "2", "c": "3"}


def test_a_cookie_with_a_comma_is_one_and_other_repeated_fields_are_joined(
    peer, make_session
):
    asking = ask(make_session(**PLAIN), peer)
    peer.greet()
    peer.want_headers(1)
    expires = "Expires=Fri, 01 Jan 2100 00:00:00 GMT"
    cookies = [("set-cookie", f"a=1; {expires}"), ("set-cookie", f"b=2; {expires}")]
    peer.send_headers(1, 200, [*cookies, ("x", "1"), ("x", "2")], end=True)
    response = asking.result()
    assert response.cookies.get_dict() == {"a": "1", "b": "2"}
    assert response.headers["X"] == "1, 2"
    assert response.raw.headers.getlist("X") == ["1", "2"]
    assert response.raw._original_response.msg.get_all("Set-Cookie") == [
        f"a=1; {expires}",
        f"b=2; {expires}",
    ]


def test_redirects_are_followed_over_the_same_connection(session, service):
    before = service.connections
    response = session.get(f"{service.url}/redirect/3")
    assert [one.status_code for one in response.history] == [302] * 3
    assert response.json()["url"].endswith("/get")
    assert service.connections == before + 1


@pytest.mark.scenario(261)
def test_credentials_do_not_follow_to_another_server(
    text_peer, other_peer, make_session
):
    session = make_session()
    session.cookies.set("secret", "1", domain="127.0.0.1")
    secrets = {"Proxy-Authorization": "Basic c2VjcmV0"}
    asking = ask(session, text_peer, auth=("user", "secret"), headers=secrets)
    text_peer.accept()
    fields = fields_of(text_peer.want_head())
    assert fields.keys() >= {b"authorization", b"cookie", b"proxy-authorization"}
    redirect(text_peer, f"http://localhost:{other_peer.port}/")
    other_peer.accept()
    fields = fields_of(other_peer.want_head())
    assert not fields.keys() & {b"authorization", b"cookie", b"proxy-authorization"}
    other_peer.respond()
    assert asking.result().ok


def redirect(peer, location, status=b"302 Found"):
    """Answer a request of HTTP/1.1 by sending the client elsewhere."""
    fields = b"Content-Length: 0\r\nLocation: %b\r\n\r\n" % location.encode()
    peer.send_bytes(b"HTTP/1.1 %b\r\n" % status + fields)


@pytest.mark.scenario(262)
def test_credentials_do_not_follow_from_https_to_http(
    text_peer, other_peer, make_session, ca
):
    speak_tls(text_peer, ca, "http/1.1")
    asking = ask(
        make_session(), text_peer, auth=("user", "secret"), verify=str(ca.ca_file)
    )
    text_peer.accept()
    assert b"authorization" in fields_of(text_peer.want_head())
    redirect(text_peer, f"http://localhost:{other_peer.port}/")
    other_peer.accept()
    assert b"authorization" not in fields_of(other_peer.want_head())
    other_peer.respond()
    assert asking.result().ok


@pytest.mark.scenario(263)
def test_a_redirected_post_becomes_a_get_without_a_body(text_peer, make_session):
    asking = ask(make_session(), text_peer, method="POST", json={"secret": 1})
    text_peer.accept()
    text_peer.want_bytes(int(fields_of(text_peer.want_head())[b"content-length"]))
    redirect(text_peer, "/next", b"303 See Other")
    head = text_peer.want_head()
    assert head[0] == b"GET /next HTTP/1.1"
    assert not fields_of(head).keys() & {b"content-length", b"content-type"}
    text_peer.respond()
    assert asking.result().ok


@pytest.mark.scenario(263)
def test_a_body_follows_where_it_should_from_where_it_began(text_peer, make_session):
    asking = ask(make_session(), text_peer, method="PUT", data=mid_file())
    text_peer.accept()
    for path in (b"/", b"/next"):
        head = text_peer.want_head()
        assert head[0] == b"PUT %b HTTP/1.1" % path
        assert text_peer.want_bytes(13) == b"one two three"
        if path == b"/":
            redirect(text_peer, "/next", b"307 Temporary Redirect")
    text_peer.respond()
    assert asking.result().ok


@pytest.mark.scenario(264)
@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://a/", "data:,a"])
def test_a_redirect_out_of_http_is_not_followed(text_peer, make_session, location):
    asking = ask(make_session(), text_peer)
    text_peer.accept()
    text_peer.want_head()
    redirect(text_peer, location)
    with pytest.raises(exceptions.InvalidSchema):
        asking.result()


@pytest.mark.scenario(265)
def test_redirects_come_to_an_end(session, service):
    session.max_redirects = 5
    with pytest.raises(exceptions.TooManyRedirects):
        session.get(f"{service.url}/redirect/6")
    response = session.get(f"{service.url}/redirect/6", allow_redirects=False)
    assert response.status_code == 302


@pytest.mark.scenario(266)
def test_netrc_is_for_the_host_that_is_connected_to(
    text_peer, make_session, monkeypatch, tmp_path
):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine example.com login user password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    address = f"http://example.com:@127.0.0.1:{text_peer.port}/"
    asking = background(make_session().get, address, timeout=PATIENCE)
    text_peer.accept()
    fields = fields_of(text_peer.want_head())
    assert fields[b"host"] == b"127.0.0.1:%d" % text_peer.port
    assert fields.get(b"authorization") == b"Basic ZXhhbXBsZS5jb206"  # example.com:
    text_peer.respond()
    assert asking.result().ok


def test_a_user_in_the_url_becomes_a_field_and_nothing_else(peer, make_session):
    session = make_session(**PLAIN)
    address = f"http://user:password@127.0.0.1:{peer.port}/"
    asking = background(session.get, address, timeout=PATIENCE)
    peer.greet()
    fields = peer.want_headers(1)
    assert fields[b"authorization"] == b"Basic dXNlcjpwYXNzd29yZA=="
    assert fields[b":authority"] == b"127.0.0.1:%d" % peer.port
    peer.respond(1)
    assert asking.result().ok


# What is sent.


def test_fields_of_one_connection_are_not_sent_over_http2(peer, make_session):
    asking = ask(
        make_session(**PLAIN),
        peer,
        headers={
            "Connection": "keep-alive, X-Hop",
            "X-Hop": "1",
            "Keep-Alive": "5",
            "Proxy-Connection": "close",
            "TE": "gzip",
            "Host": "example.com",
            "User-Agent": None,
            "Accept-Encoding": SKIP_HEADER,
            "X-Kept": "a, b",
        },
    )
    peer.greet()
    fields = peer.want_fields(1)
    assert sorted(fields) == [
        *((b":authority", b"example.com"), (b":method", b"GET"), (b":path", b"/")),
        *((b":scheme", b"http"), (b"accept", b"*/*"), (b"x-kept", b"a, b")),
    ]
    peer.respond(1)
    assert asking.result().ok


def test_names_and_values_may_be_bytes_and_repeat(peer, make_session):
    class Pairs(dict):
        """Headers as HTTPie has them."""

        def items(self):
            return [(b"X", b"1"), ("X", "2"), ("Agent", SKIP_HEADER.encode())]

    session = make_session(**PLAIN)
    prepared = session.prepare_request(requests.Request("GET", url(peer)))
    prepared.headers = Pairs()
    asking = background(session.send, prepared, timeout=PATIENCE)
    peer.greet()
    sent = peer.want_fields(1)
    assert [field for field in sent if field[0][:1] != b":"] == [
        (b"x", b"1"),
        (b"x", b"2"),
    ]
    peer.respond(1)
    assert asking.result().ok


def test_text_in_fields_is_sent_as_latin1(peer, make_session):
    session = make_session(**PLAIN)
    asking = ask(session, peer, headers={"X": "caf\xe9"})
    peer.greet()
    assert peer.want_headers(1)[b"x"] == b"caf\xe9"
    peer.respond(1)
    assert asking.result().ok
    with pytest.raises(exceptions.InvalidHeader, match="Latin-1"):
        session.get(url(peer), headers={"X": "\u20ac"})


def lines():
    yield b"one "
    yield "two "
    yield b"three"


class Unseekable(io.BytesIO):
    def tell(self):
        raise OSError("it cannot tell")


def mid_file():
    file = io.BytesIO(b"skipped one two three")
    file.seek(8)
    return file


@pytest.mark.parametrize("version", [20, 11])
@pytest.mark.parametrize(
    ("body", "length"),
    [
        (b"one two three", "13"),
        ("one two three", "13"),
        (bytearray(b"one two three"), "13"),
        (mid_file, "13"),
        (lambda: io.StringIO("one two three"), "13"),
        (lambda: Unseekable(b"one two three"), None),
        (lines, None),
    ],
)
def test_a_body_may_be_whatever_requests_takes(
    service, plain_service, make_session, version, body, length
):
    server = service if version == 20 else plain_service
    given = body() if callable(body) else body
    address = f"{server.url}/put"
    response = make_session().put(address, data=given, verify=service.ca_file)
    assert response.raw.version == version
    assert response.json()["data"] == "one two three"
    assert response.json()["headers"].get("Content-Length") == length


def test_a_body_is_sent_as_it_comes(peer, make_session):
    go_on = threading.Event()

    def body():
        yield b"early"
        assert go_on.wait(PATIENCE)
        yield b"late"

    asking = ask(make_session(**PLAIN), peer, method="POST", data=body(), stream=True)
    peer.greet()
    assert b"content-length" not in peer.want_headers(1)
    assert peer.want(DataFrame).data == b"early"
    go_on.set()
    assert peer.want_body(1) == b"late"
    peer.respond(1)
    assert asking.result().ok


def test_files_and_fields_of_a_form_arrive(session, service):
    response = session.post(
        f"{service.url}/post", data={"a": "1"}, files={"f": io.BytesIO(b"content")}
    )
    assert response.json()["form"] == {"a": "1"}
    assert response.json()["files"] == {"f": "content"}
    assert session.post(f"{service.url}/post", json=[1]).json()["json"] == [1]


def test_what_a_body_raises_comes_out_and_the_connection_lives(session, service):
    def broken():
        yield b"one"
        raise ZeroDivisionError

    session.get(f"{service.url}/get")
    before = service.connections
    with pytest.raises(ZeroDivisionError):
        session.post(f"{service.url}/post", data=broken())
    assert session.get(f"{service.url}/get").ok
    assert service.connections == before


# What is received.


def test_the_raw_response_is_one_of_urllib3(session, service):
    raw = session.get(f"{service.url}/bytes/10", stream=True).raw
    assert isinstance(raw, BaseHTTPResponse)
    assert (raw.version, raw.version_string, raw.status) == (20, "HTTP/2", 200)
    assert raw._original_response.version == 20
    assert not raw.closed
    assert len(raw.read(4)) == 4
    assert raw.tell() == 4
    buffer = bytearray(3)
    assert raw.readinto(buffer) == 3
    assert not raw.closed
    assert len(raw.read()) == 3
    assert raw.closed
    assert raw.isclosed()
    assert raw.read() == raw.read(1) == raw.read1() == b""
    assert raw._original_response.read() == raw._original_response.read1() == b""


@pytest.mark.parametrize("path", ["gzip", "deflate", "brotli", "zstd"])
def test_content_is_decoded_or_is_not(session, service, path):
    raw = session.get(f"{service.url}/{path}", stream=True).raw
    assert len(raw.read(decode_content=False)) == int(raw.headers["Content-Length"])
    if raw.headers["Content-Encoding"] not in session.headers["Accept-Encoding"]:
        pytest.skip("this urllib3 does not know the coding")
    assert session.get(f"{service.url}/{path}").json()["method"] == "GET"


def begin(session, peer, fields=(), **options):
    """Return a response whose head has come over HTTP/2, on stream 1."""
    asking = ask(session, peer, stream=True, **options)
    peer.greet()
    peer.want_headers(1)
    peer.send_headers(1, 200, fields)
    return asking.result()


@pytest.mark.parametrize("size", [None, 1000])
def test_of_a_body_of_unknown_size_a_piece_is_what_has_come(peer, make_session, size):
    response = begin(make_session(**PLAIN), peer)
    pieces = response.iter_content(size)
    for piece in (b"data: 1", b"data: 2"):
        peer.send_data(1, piece)
        assert next(pieces) == piece
    assert response.raw.tell() == 14
    peer.send_data(1, b"data: 3", end=True)
    assert list(pieces) == [b"data: 3"]
    assert response.raw.closed


def test_of_a_body_of_known_size_all_pieces_but_the_last_are_as_large_as_asked_for(
    peer, make_session
):
    response = begin(make_session(**PLAIN), peer, [("content-length", "7")])
    peer.send_data(1, b"1")
    peer.send_data(1, b"234567", end=True)
    pieces = response.iter_content(3)
    assert next(pieces) == b"123"
    assert response.raw.tell() == 3
    assert response.raw.length_remaining == 4
    assert list(pieces) == [b"456", b"7"]
    assert response.raw.length_remaining == 0
    assert response.raw.closed


def test_pieces_are_not_larger_than_asked_for(peer, make_session):
    response = begin(make_session(**PLAIN), peer)
    peer.send_data(1, b"12345", end=True)
    assert list(response.iter_content(2)) == [b"12", b"34", b"5"]


@pytest.mark.skipif(FUTURE, reason="it waits until there is as much as asked for")
def test_what_has_come_of_a_coded_body_is_decoded_at_once(peer, make_session):
    response = begin(make_session(**PLAIN), peer, [("content-encoding", "gzip")])
    packer = zlib.compressobj(wbits=31)
    lines = response.iter_lines()
    for line in (b"one", b"two"):
        data = packer.compress(line + b"\nrest") + packer.flush(zlib.Z_SYNC_FLUSH)
        peer.send_data(1, data)
        assert next(lines).endswith(line)
    peer.send_data(1, packer.flush(), end=True)
    assert list(lines) == [b"rest"]


def test_of_a_body_of_known_size_pieces_are_as_large_as_asked_for(peer, make_session):
    response = begin(make_session(**PLAIN), peer, [("content-length", "5")])
    peer.send_data(1, b"1")
    peer.send_data(1, b"23")
    peer.send_data(1, b"45", end=True)
    assert list(response.iter_content(4)) == [b"1234", b"5"]


def test_chunks_of_http1_come_as_they_do(text_peer, make_session):
    asking = ask(make_session(), text_peer, stream=True)
    text_peer.accept()
    text_peer.want_head()
    text_peer.send_bytes(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"
    )
    response = asking.result()
    pieces = response.raw.read_chunked()
    assert next(pieces) == b"one"
    text_peer.send_bytes(b"3\r\ntwo\r\n0\r\n\r\n")
    assert list(pieces) == [b"two"]


def test_somebody_may_listen_in_to_what_is_read(peer, make_session):
    class Listening:
        """A cache's, such as CacheControl's, in the place of what is read from."""

        def __init__(self, source):
            self.heard = b""
            self._source = source

        def read(self, amount=None):
            data = self._source.read(amount)
            self.heard += data
            return data

        def __getattr__(self, name):
            return getattr(self._source, name)

    response = begin(make_session(**PLAIN), peer)
    response.raw._fp = listening = Listening(response.raw._fp)
    peer.send_data(1, b"12345", end=True)
    assert response.content == b"12345"
    assert listening.heard == b"12345"


def test_what_urllib3_has_no_name_for_can_be_had(session, service):
    response = session.get(f"{service.url}/early-hints")
    received = response.raw.hyper
    assert [interim.status for interim in received.informational] == [103]
    assert received.peer_address[1] == service.port
    assert ("DNS", "localhost") in received.tls.getpeercert()["subjectAltName"]


def test_trailers_can_be_had(session, service):
    response = session.get(f"{service.url}/trailers")
    assert len(response.raw.trailers["X-Checksum"]) == 64


@pytest.mark.parametrize("way", ["close", "drain", "shutdown", "drop", "leave"])
def test_who_closes_early_resets_this_stream_alone(peer, make_session, way):
    session = make_session(**PLAIN)
    response = begin(session, peer)
    peer.send_data(1, b"some")
    assert next(response.iter_content(4)) == b"some"
    if way == "leave":
        with response:
            pass
    elif way == "drop":
        del response
    else:
        call = {"close": response.close, "drain": response.raw.drain_conn}
        call.get(way, response.raw.shutdown)()
        assert response.raw.closed
    assert peer.want_reset(1) == ErrorCodes.CANCEL
    asking = ask(session, peer)
    peer.want_headers(3)
    peer.respond(3, b"done")
    assert asking.result().content == b"done"


def test_draining_reads_the_rest_in_http1(text_peer, make_session):
    session = make_session()
    asking = ask(session, text_peer, stream=True)
    text_peer.accept()
    text_peer.want_head()
    text_peer.respond(b"done")
    response = asking.result()
    response.raw.drain_conn()
    assert response.raw.closed
    asking = ask(session, text_peer)
    text_peer.want_head()
    text_peer.respond()
    assert asking.result().ok


def test_a_response_may_be_read_after_its_session_is_closed(peer, make_session):
    session = make_session(**PLAIN)
    response = begin(session, peer)
    session.close()
    peer.send_data(1, b"done", end=True)
    assert response.content == b"done"
    peer.want_eof()


def test_a_session_may_be_used_after_it_is_closed(session, service):
    before = service.connections
    for _ in range(2):
        assert session.get(f"{service.url}/get").ok
        session.close()
    assert service.connections == before + 2


# Timeouts.


@pytest.mark.parametrize(
    "timeout", [0.05, (PATIENCE, 0.05), Limits(read=0.05), Limits(total=0.05)]
)
def test_a_response_that_does_not_begin_in_time_is_a_read_timeout(
    peer, make_session, timeout
):
    asking = ask(make_session(**PLAIN), peer, timeout=timeout)
    peer.greet()
    peer.want_headers(1)
    with pytest.raises(exceptions.ReadTimeout, match="Read timed out"):
        asking.result()
    assert peer.want_reset(1) == ErrorCodes.CANCEL


@pytest.mark.parametrize("timeout", [0.05, (0.05, None), Limits(connect=0.05)])
def test_a_connect_that_takes_too_long_is_a_connect_timeout(
    full_listener, make_session, timeout
):
    with pytest.raises(exceptions.ConnectTimeout, match=r"connect timeout: 0\.05 s"):
        make_session().get(f"http://127.0.0.1:{full_listener}/", timeout=timeout)


@pytest.mark.parametrize("timeout", [(1, 2, 3), "soon", -1])
def test_a_timeout_that_is_none_is_a_value_error(make_session, timeout):
    with pytest.raises(ValueError):
        make_session().get("http://127.0.0.1:1/", timeout=timeout)


def test_each_request_has_its_own_timeout(peer, make_session):
    session = make_session(**PLAIN)
    patient = ask(session, peer)
    peer.greet()
    peer.want_headers(1)
    hasty = ask(session, peer, timeout=0.05)
    peer.want_headers(3)
    with pytest.raises(exceptions.ReadTimeout):
        hasty.result()
    peer.respond(1, b"done")
    assert patient.result().content == b"done"


# TLS.


@pytest.mark.scenario(268)
def test_a_server_is_verified_unless_told_otherwise(service, make_session):
    session = make_session()
    address = f"{service.url}/get"
    with pytest.raises(exceptions.SSLError, match="was not accepted"):
        session.get(address)
    assert session.get(address, verify=False).ok
    assert session.get(address, verify=service.ca_file).ok
    # Who verifies does not get the connection of who does not (CVE-2024-35195). Nor
    # does who says it by a value that is equal to False, and is not.
    for verify in (True, 0):
        with pytest.raises(exceptions.SSLError):
            session.get(address, verify=verify)
    assert session.adapters["https://"].poolmanager.connections == 2


def test_authorities_may_be_in_a_file_a_directory_or_the_environment(
    service, make_session, monkeypatch, tmp_path
):
    address = f"{service.url}/get"
    with pytest.raises(exceptions.SSLError):  # It is a directory, of nobody.
        make_session().get(address, verify=str(tmp_path))
    assert make_session().get(address, verify=Path(service.ca_file)).ok
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", service.ca_file)
    assert make_session().get(address).ok


def test_files_that_are_not_there_or_not_what_they_should_be(
    service, make_session, tmp_path
):
    session = make_session()
    nowhere = str(tmp_path / "nowhere.pem")
    for options in ({"verify": nowhere}, {"cert": nowhere}, {"cert": (nowhere,) * 2}):
        with pytest.raises(OSError, match=r"invalid path: .*nowhere\.pem"):
            session.get(service.url, **options)
    empty = tmp_path / "empty.pem"
    empty.touch()
    for options in ({"verify": str(empty)}, {"cert": str(empty)}):
        with pytest.raises(exceptions.SSLError):
            session.get(service.url, **options)


@pytest.fixture
def client_files(ca, tmp_path):
    """The paths of a client's certificate, its key, both, and the key locked."""
    leaf = ca.issuer.issue_cert("client@example.com")
    certificate, key, both, locked = (
        str(tmp_path / name) for name in ("cert.pem", "key.pem", "both.pem", "locked")
    )
    leaf.cert_chain_pems[0].write_to_path(certificate)
    leaf.private_key_pem.write_to_path(key)
    leaf.private_key_and_cert_chain_pem.write_to_path(both)
    private = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    Path(locked).write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"sesame"),
        )
    )
    return certificate, key, both, locked


@pytest.mark.parametrize("form", ["both", "pair", "password"])
def test_a_client_certificate_is_shown(peer, make_session, ca, client_files, form):
    speak_tls(peer, ca, "h2")
    peer.tls.verify_mode = ssl.CERT_REQUIRED
    peer.tls.load_verify_locations(ca.ca_file)
    certificate, key, both, locked = client_files
    cert = {
        "both": both,
        "pair": (certificate, key),
        # As HTTPie gives it.
        "password": (certificate, locked, "sesame"),
    }
    asking = ask(make_session(), peer, verify=str(ca.ca_file), cert=cert[form])
    peer.greet()
    assert peer.sock.getpeercert()["subjectAltName"] == (
        ("email", "client@example.com"),
    )
    peer.want_headers(1)
    peer.respond(1)
    assert asking.result().ok


def test_the_adapter_may_have_a_context_of_its_own(service, make_session):
    session = make_session(ssl_context=init_context(service.ca_file))
    assert session.get(f"{service.url}/get").ok
    # A request that says something about TLS says all of it.
    assert session.get(f"{service.url}/get", verify=False).ok
    assert session.adapters["https://"].poolmanager.connections == 2


class ContextInPool(HTTP20Adapter):
    """The older way to have a context: requests' documentation shows it."""

    ca_file = None

    def init_poolmanager(self, *args, **kwargs):
        kwargs["ssl_context"] = init_context(self.ca_file)
        return super().init_poolmanager(*args, **kwargs)


class ContextInKey(HTTP20Adapter):
    """The newer way."""

    def __init__(self, **keys):
        super().__init__()
        self.keys = keys

    def build_connection_pool_key_attributes(self, request, verify, cert=None):
        server, keys = super().build_connection_pool_key_attributes(
            request, verify, cert
        )
        return server, keys | self.keys


def test_a_subclass_may_have_a_context_in_the_ways_of_requests(
    service, make_session, monkeypatch
):
    monkeypatch.setattr(ContextInPool, "ca_file", service.ca_file)
    session = make_session(ContextInPool())
    assert session.get(f"{service.url}/get").ok
    copy = pickle.loads(pickle.dumps(session))
    assert copy.get(f"{service.url}/get").ok
    copy.close()
    session = make_session(ContextInKey(ssl_context=init_context(service.ca_file)))
    assert session.get(f"{service.url}/get").ok
    with pytest.raises(ValueError, match="ssl_context decides"):
        session.get(f"{service.url}/get", verify=False)
    session = make_session(ContextInKey(cert_reqs="CERT_REQUIRED"))
    with pytest.raises(exceptions.SSLError):
        session.get(f"{service.url}/get", verify=False)


def test_a_subclass_may_have_another_name_in_the_certificate(service, make_session):
    address = f"https://127.0.0.1:{service.port}/get"
    verify = service.ca_file
    session = make_session(ContextInKey(server_hostname="localhost"))
    assert session.get(address, verify=verify).json()["url"] == address
    session = make_session(ContextInKey(server_hostname="example.com"))
    with pytest.raises(exceptions.SSLError, match=r"example\.com"):
        session.get(address, verify=verify)


def test_a_subclass_that_wants_what_hyper_does_not_have_is_told(service, make_session):
    session = make_session(ContextInKey(assert_hostname="example.com"))
    with pytest.raises(TypeError, match="assert_hostname"):
        session.get(f"{service.url}/get")

    class PoolOfUrllib3(HTTP20Adapter):
        def init_poolmanager(self, connections, maxsize, block=False):
            self.poolmanager = PoolManager(connections)

    with pytest.raises(TypeError, match="init_poolmanager"):
        PoolOfUrllib3()


# Proxies.


def test_a_proxy_forwards_http_and_is_told_its_own_credentials(text_peer, make_session):
    asking = background(
        make_session().get,
        "http://user:secret@example.com/path?a=b",
        proxies={"http": f"http://proxy:sesame@127.0.0.1:{text_peer.port}"},
        headers={"Proxy-Authorization": "Basic b3RoZXI="},
        timeout=PATIENCE,
    )
    text_peer.accept()
    head = text_peer.want_head()
    assert head[0] == b"GET http://example.com/path?a=b HTTP/1.1"
    credentials = [line for line in head if line.lower().startswith(b"proxy-")]
    assert credentials == [b"Proxy-Authorization: Basic cHJveHk6c2VzYW1l"]
    assert fields_of(head)[b"host"] == b"example.com"
    text_peer.respond(b"done")
    response = asking.result()
    assert response.content == b"done"
    assert response.raw.version == 11


def test_what_is_for_the_proxy_does_not_go_through_the_tunnel(
    text_peer, make_session, ca
):
    asking = background(
        make_session().get,
        "https://localhost:1/path",
        proxies={"https": f"http://proxy:sesame@127.0.0.1:{text_peer.port}"},
        headers={"Proxy-Authorization": "Basic c2VjcmV0", "Authorization": "for you"},
        verify=str(ca.ca_file),
        timeout=PATIENCE,
    )
    text_peer.accept()
    head = text_peer.want_head()
    assert head[0] == b"CONNECT localhost:1 HTTP/1.1"
    fields = fields_of(head)
    assert fields[b"proxy-authorization"] == b"Basic cHJveHk6c2VzYW1l"
    assert b"authorization" not in fields
    text_peer.send_bytes(b"HTTP/1.1 200 OK\r\n\r\n")
    speak_tls(text_peer, ca, "http/1.1")
    text_peer.start_tls(text_peer.tls)
    fields = fields_of(text_peer.want_head())
    assert b"proxy-authorization" not in fields
    assert fields[b"authorization"] == b"for you"
    text_peer.respond()
    assert asking.result().ok


def test_without_a_proxy_a_field_for_one_is_sent_as_any_other(text_peer, make_session):
    # Requests' own tests want it: there are proxies that nobody is told of.
    asking = ask(
        make_session(), text_peer, headers={"Proxy-Authorization": "Basic eA=="}
    )
    text_peer.accept()
    assert fields_of(text_peer.want_head())[b"proxy-authorization"] == b"Basic eA=="
    text_peer.respond()
    assert asking.result().ok


def test_a_subclass_may_have_more_to_say_to_the_proxy(text_peer, make_session):
    class Talkative(HTTP20Adapter):
        def proxy_headers(self, proxy):
            return {"X-Proxy": "1"}

    asking = background(
        make_session(Talkative()).get,
        "http://example.com/",
        proxies={"http": f"127.0.0.1:{text_peer.port}"},
        timeout=PATIENCE,
    )
    text_peer.accept()
    assert fields_of(text_peer.want_head())[b"x-proxy"] == b"1"
    text_peer.respond()
    assert asking.result().ok


@pytest.mark.parametrize("name", ["squid", "tinyproxy"])
def test_real_proxies_lead_to_the_server(
    real_server, make_session, service, name, monkeypatch
):
    proxy = real_server(name, "connect", "forward", "auth")
    session = make_session()
    address = proxy.proxy_url("http", f"{USERNAME}:{PASSWORD}")
    monkeypatch.setenv("https_proxy", address)
    monkeypatch.setenv("http_proxy", address)
    session.verify = service.ca_file
    response = session.get(f"{service.url}/get")
    assert response.raw.version == 20
    backend = f"http://127.0.0.1:{proxy.backend_port}/hello"
    assert session.get(backend).content == HELLO


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_socks_proxy_leads_to_the_server(real_server, make_session, service, scheme):
    proxy = real_server("microsocks", "socks5", "auth")
    address = proxy.proxy_url("socks5", f"{USERNAME}:{PASSWORD}")
    session = make_session()
    session.proxies = {"all": address.replace("socks5", scheme, 1)}
    response = session.get(f"{service.url}/get", verify=service.ca_file)
    assert response.raw.version == 20


@pytest.mark.parametrize(
    "proxy", ["http:/nowhere:3128", "http://:3128", "ftp://127.0.0.1", "http://a b"]
)
def test_the_url_of_a_proxy_has_to_name_one(make_session, proxy):
    with pytest.raises(exceptions.InvalidURL):
        make_session().get("http://127.0.0.1/", proxies={"http": proxy})


# Retries.


def test_connecting_is_tried_again_as_often_as_asked_for(make_session, slept):
    retries = Counting(total=5, connect=2, backoff_factor=0.5)
    session = make_session(max_retries=retries)
    with pytest.raises(exceptions.ConnectionError) as caught:
        session.post(f"http://127.0.0.1:{unused_port()}/", data=b"x")
    assert isinstance(caught.value.args[0].reason, NewConnectionError)
    assert slept == [0, 1.0]


def test_without_retries_nothing_is_tried_again(text_peer, make_session):
    asking = ask(make_session(), text_peer)
    text_peer.accept()
    text_peer.want_head()
    text_peer.die()
    with pytest.raises(exceptions.ConnectionError, match="connection was lost"):
        asking.result()
    assert not text_peer.has_caller


def test_a_request_that_may_have_been_acted_on_is_sent_again_if_that_is_safe(
    text_peer, make_session, slept
):
    session = make_session(max_retries=Counting(total=3, read=1))
    asking = ask(session, text_peer)
    for _ in range(2):
        text_peer.accept()
        text_peer.want_head()
        text_peer.die()
    with pytest.raises(exceptions.ConnectionError):
        asking.result()
    asking = ask(session, text_peer, method="POST", data=b"x")
    text_peer.accept()
    text_peer.want_head()
    text_peer.die()
    with pytest.raises(exceptions.ConnectionError):
        asking.result()
    assert slept == [0]
    session = make_session(max_retries=Counting(total=1, allowed_methods=["POST"]))
    asking = ask(session, text_peer, method="POST", data=b"x")
    text_peer.accept()
    text_peer.want_head()
    text_peer.die()
    text_peer.accept()
    text_peer.want_head()
    assert text_peer.want_bytes(1) == b"x"
    text_peer.respond(b"done")
    assert asking.result().content == b"done"
    assert slept == [0, 0]


BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nRetry-After: 7\r\n\r\nbusy"


def test_a_status_that_is_to_be_tried_again_is_and_when_the_server_says(
    text_peer, make_session, slept
):
    session = make_session(max_retries=Counting(total=1, status_forcelist=[503]))
    asking = ask(session, text_peer, method="PUT", data=io.BytesIO(b"again"))
    text_peer.accept()
    for answer in (BUSY, DONE):
        text_peer.want_head()
        assert text_peer.want_bytes(5) == b"again"
        text_peer.send_bytes(answer)
    response = asking.result()
    assert response.content == b"done"
    assert [past.status for past in response.raw.retries.history] == [503]
    assert slept == [7]


@pytest.mark.parametrize("raise_on_status", [True, False])
def test_a_status_that_stays_is_an_error_or_the_response(
    text_peer, make_session, slept, raise_on_status
):
    retries = Counting(1, status_forcelist=[503], raise_on_status=raise_on_status)
    asking = ask(make_session(max_retries=retries), text_peer)
    text_peer.accept()
    for _ in range(2):
        text_peer.want_head()
        text_peer.send_bytes(BUSY)
    if raise_on_status:
        with pytest.raises(exceptions.RetryError, match="too many 503"):
            asking.result()
    else:
        assert asking.result().content == b"busy"
    assert slept == [7]


def test_a_response_over_http2_that_is_not_wanted_is_not_read(peer, make_session):
    session = make_session(max_retries=Retry(1, status_forcelist=[503]), **PLAIN)
    asking = ask(session, peer)
    peer.greet()
    peer.want_headers(1)
    peer.send_headers(1, 503)
    assert peer.want_reset(1) == ErrorCodes.CANCEL
    peer.want_headers(3)
    peer.respond(3, b"done")
    assert asking.result().content == b"done"


@pytest.mark.parametrize("total", [3, None])
@pytest.mark.parametrize("fails", ["status", "lost"])
def test_a_body_that_comes_once_is_not_sent_twice(
    text_peer, make_session, slept, fails, total
):
    retries = Counting(total, status_forcelist=[503], allowed_methods=None)
    asking = ask(
        make_session(max_retries=retries), text_peer, method="PUT", data=lines()
    )
    text_peer.accept()
    text_peer.want_head()
    if fails == "status":
        text_peer.send_bytes(BUSY)
        with pytest.raises(exceptions.RetryError):
            asking.result()
    else:
        text_peer.want_bytes(10)
        text_peer.die()
        with pytest.raises(exceptions.ConnectionError):
            asking.result()
    assert not text_peer.has_caller
    assert slept == []


def test_a_body_that_was_not_begun_is_sent_when_there_is_a_connection(
    text_peer, make_session, slept
):
    session = make_session(max_retries=Counting(1))
    refused = f"http://127.0.0.1:{unused_port()}"
    with pytest.raises(exceptions.ConnectionError):
        session.put(f"{refused}/", data=lines())
    assert slept == [0]


def test_text_of_a_file_is_read_again(text_peer, make_session, slept):
    session = make_session(max_retries=Counting(1, status_forcelist=[503]))
    asking = ask(session, text_peer, method="PUT", data=io.StringIO("again"))
    text_peer.accept()
    for answer in (BUSY, DONE):
        text_peer.want_head()
        assert text_peer.want_bytes(5) == b"again"
        text_peer.send_bytes(answer)
    assert asking.result().ok


def test_what_the_server_has_not_seen_is_sent_again_and_not_counted(peer, make_session):
    session = make_session(**PLAIN)
    asking = ask(session, peer, method="POST", data=b"x")
    peer.greet()
    peer.want_headers(1)
    assert peer.want_body(1) == b"x"
    peer.send_reset(1, ErrorCodes.REFUSED_STREAM)
    peer.want_headers(3)
    assert peer.want_body(3) == b"x"
    peer.respond(3, b"done")
    response = asking.result()
    assert response.content == b"done"
    assert response.raw.retries.history == ()


def test_what_it_refuses_again_counts_as_not_connected(peer, make_session, slept):
    session = make_session(max_retries=Counting(connect=1, read=0, total=5), **PLAIN)
    asking = ask(session, peer, method="POST", data=b"x")
    peer.greet()
    for stream_id in (1, 3):
        peer.want_headers(stream_id)
        peer.want_body(stream_id)
        peer.send_reset(stream_id, ErrorCodes.REFUSED_STREAM)
    peer.want_headers(5)
    peer.want_body(5)
    peer.respond(5, b"done")
    assert asking.result().content == b"done"
    assert slept == [0]


# Errors: the rows of the table in docs/requests.rst that are not above.


def test_a_name_that_is_unknown_is_a_connection_error(make_session):
    with pytest.raises(exceptions.ConnectionError, match="to resolve") as caught:
        make_session().get("http://nowhere.invalid/", timeout=PATIENCE)
    assert isinstance(caught.value.args[0].reason, NameResolutionError)


def test_a_server_that_is_not_there_is_a_connection_error(make_session):
    address = f"http://127.0.0.1:{unused_port()}/"
    with pytest.raises(exceptions.ConnectionError, match="refused") as caught:
        make_session().get(address)
    assert str(caught.value).startswith(address.removesuffix("/"))
    assert caught.value.request.url == address
    assert not isinstance(caught.value, (exceptions.Timeout, exceptions.ProxyError))


def test_an_address_is_shown_as_a_url_has_it(make_session):
    address = f"http://[::1]:{unused_port()}"
    with pytest.raises(exceptions.ConnectionError) as caught:
        make_session().get(address)
    assert str(caught.value).startswith(f"{address}: ")


def test_a_wait_for_a_connection_that_is_too_long_is_a_connect_timeout(
    text_peer, make_session
):
    session = make_session(pool_maxsize=1, pool_block=True)
    asking = ask(session, text_peer, stream=True)
    text_peer.accept()
    text_peer.want_head()
    text_peer.send_bytes(HALF)
    held = asking.result()
    with pytest.raises(exceptions.ConnectTimeout, match="waiting for a connection"):
        session.get(url(text_peer), timeout=0.05)
    held.close()


def test_a_proxy_that_is_not_there_is_a_proxy_error(make_session):
    proxies = {"all": f"http://127.0.0.1:{unused_port()}"}
    for scheme in ("http", "https"):
        with pytest.raises(exceptions.ProxyError):
            make_session().get(f"{scheme}://localhost/", proxies=proxies)


def test_a_proxy_that_refuses_is_a_proxy_error(text_peer, make_session):
    proxies = {"https": f"http://127.0.0.1:{text_peer.port}"}
    asking = background(make_session().get, "https://localhost/", proxies=proxies)
    text_peer.accept()
    text_peer.want_head()
    text_peer.send_bytes(b"HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(exceptions.ProxyError, match="407"):
        asking.result()


class PeerBehindProxy(Peer):
    """A server at the end of a tunnel, and the proxy."""

    def accept(self):
        super().accept()
        assert path_asked_for(self.sock).startswith("127.0.0.1:")
        self.send_bytes(b"HTTP/1.1 200 OK\r\n\r\n")


def test_what_a_server_refuses_is_not_the_fault_of_the_proxy(make_session):
    with contextlib.closing(PeerBehindProxy()) as peer:
        proxies = {"http": f"http://127.0.0.1:{peer.port}"}
        asking = ask(make_session(**PLAIN), peer, proxies=proxies)
        peer.greet()
        for stream_id in (1, 3):
            peer.want_headers(stream_id)
            peer.send_reset(stream_id, ErrorCodes.REFUSED_STREAM)
        error = asking.error()
        assert isinstance(error, exceptions.ConnectionError)
        assert not isinstance(error, exceptions.ProxyError)


def test_a_stream_that_is_reset_before_the_response_is_a_connection_error(
    peer, make_session
):
    asking = ask(make_session(**PLAIN), peer)
    peer.greet()
    peer.want_headers(1)
    peer.send_reset(1, ErrorCodes.INTERNAL_ERROR)
    with pytest.raises(exceptions.ConnectionError, match="INTERNAL_ERROR"):
        asking.result()


def test_a_response_that_is_none_is_a_connection_error(text_peer, make_session):
    asking = ask(make_session(), text_peer)
    text_peer.accept()
    text_peer.want_head()
    text_peer.send_bytes(b"SSH-2.0-OpenSSH_9.2\r\n")
    with pytest.raises(exceptions.ConnectionError):
        asking.result()


def test_an_upload_that_nobody_takes_is_a_read_timeout(peer, make_session):
    peer.narrow()
    session = make_session(**PLAIN)
    asking = ask(session, peer, method="POST", data=b"x" * 100_000, timeout=0.1)
    peer.greet()
    with pytest.raises(exceptions.ReadTimeout):
        asking.result()


@pytest.mark.parametrize(
    ("method", "fields", "body"),
    [
        ("GE T", {}, None),
        ("PUT", {"Host": "a b"}, None),
        ("PUT", {"Content-Length": "5"}, b"one"),
        ("PUT", {"Content-Length": "5"}, iter([b"one"])),
        ("PUT", {"Transfer-Encoding": "gzip"}, iter([b"one"])),
    ],
)
def test_a_request_that_http_does_not_allow_is_an_invalid_header(
    session, service, method, fields, body
):
    prepared = requests.Request(method, f"{service.url}/put").prepare()
    prepared.headers.update(fields)
    prepared.body = body
    with pytest.raises(exceptions.InvalidHeader):
        session.send(prepared, verify=service.ca_file)


@pytest.mark.parametrize(
    "address", ["http://127.1/", "http://example.com:0/", "http://-:x/"]
)
def test_a_url_that_names_no_server_is_an_invalid_url(make_session, address):
    prepared = requests.Request("GET", "http://example.com/").prepare()
    prepared.url = address
    with pytest.raises(exceptions.InvalidURL):
        make_session().send(prepared)


def test_a_url_that_cannot_be_sent_is_an_invalid_url(make_session, service):
    session = make_session()
    session.verify = service.ca_file
    prepared = requests.Request("GET", f"{service.url}/get").prepare()
    address = prepared.url
    for _ in range(2):
        prepared.url = f"{address}?a b"
        with pytest.raises(exceptions.InvalidURL):
            session.send(prepared, verify=service.ca_file)
        prepared.url = address
        assert session.send(prepared, verify=service.ca_file).ok


def test_the_server_of_a_url_is_not_the_one_of_another_that_begins_alike(
    service, make_session
):
    session = make_session()
    session.verify = service.ca_file
    assert session.get(f"{service.url}/get").ok
    for address in (f"{service.url}@127.0.0.1:1/", f"{service.url}0/"):
        prepared = requests.Request("GET", f"{service.url}/get").prepare()
        prepared.url = address
        with pytest.raises((exceptions.InvalidURL, exceptions.ConnectionError)):
            session.send(prepared, verify=service.ca_file)


def test_an_adapter_finds_its_way_to_more_servers_than_it_remembers(make_session):
    adapter = make_session().get_adapter("http://")
    for number in (*range(2100), 0):
        request = requests.Request("GET", f"http://{number}.example/").prepare()
        route = adapter.get_connection_with_tls_context(request, True)
        assert str(route) == f"http://{number}.example:80"


@pytest.mark.parametrize("scheme", ["ftp", "file"])
def test_other_schemes_are_refused_even_if_they_are_mounted(make_session, scheme):
    session = make_session()
    session.mount(f"{scheme}://", session.adapters["http://"])
    with pytest.raises(exceptions.InvalidURL):
        session.get(f"{scheme}://localhost/")


# Errors while the body is read.


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("end", ["reset", "lost", "goaway"])
def test_a_body_that_does_not_come_completely_is_a_chunked_encoding_error(
    peer, make_session, end, coded
):
    fields = [("content-encoding", "gzip")] if coded else []
    response = begin(make_session(**PLAIN), peer, fields)
    if end == "reset":
        peer.send_reset(1, ErrorCodes.INTERNAL_ERROR)
    elif end == "goaway":
        peer.send_goaway(0, ErrorCodes.INTERNAL_ERROR)
    else:
        peer.die()
    with pytest.raises(exceptions.ChunkedEncodingError, match="Connection broken"):
        response.content  # noqa: B018 - it reads
    assert response.raw.closed


def test_a_body_of_http1_that_is_cut_short_is_a_chunked_encoding_error(
    text_peer, make_session
):
    asking = ask(make_session(), text_peer)
    text_peer.accept()
    text_peer.want_head()
    text_peer.send_bytes(HALF)
    text_peer.hang_up()
    with pytest.raises(exceptions.ChunkedEncodingError):
        asking.result()


def test_a_pause_in_the_body_that_is_too_long_is_a_connection_error(peer, make_session):
    response = begin(make_session(**PLAIN), peer, timeout=(PATIENCE, 0.1))
    with pytest.raises(exceptions.ConnectionError, match="Read timed out"):
        response.content  # noqa: B018 - it reads
    assert peer.want_reset(1) == ErrorCodes.CANCEL


def test_content_that_is_coded_wrongly_is_a_content_decoding_error(peer, make_session):
    response = begin(make_session(**PLAIN), peer, [("content-encoding", "gzip")])
    peer.send_data(1, b"this is not gzip", end=True)
    with pytest.raises(exceptions.ContentDecodingError):
        response.content  # noqa: B018 - it reads


def test_tls_that_breaks_within_the_body_is_an_ssl_error(peer, make_session, ca):
    speak_tls(peer, ca, "h2")
    response = begin(make_session(), peer, verify=str(ca.ca_file))
    # A record that nobody encrypted, past the TLS that the peer speaks.
    os.write(peer.sock.fileno(), b"\x17\x03\x03\x00\x20" + b"x" * 32)
    with pytest.raises(exceptions.SSLError):
        response.content  # noqa: B018 - it reads


def test_trailers_that_do_not_come_are_an_error_of_urllib3(peer, make_session):
    response = begin(make_session(**PLAIN), peer)
    peer.send_reset(1, ErrorCodes.INTERNAL_ERROR)
    with pytest.raises(ProtocolError, match="Connection broken"):
        response.raw.trailers  # noqa: B018 - it waits


# Pools.


def test_http1_gets_as_many_connections_as_are_needed_and_keeps_some(
    text_peer, make_session
):
    session = make_session(pool_connections=1, pool_maxsize=2)
    pool = session.adapters["http://"].poolmanager
    held = []
    for _ in range(4):
        asking = ask(session, text_peer, stream=True)
        text_peer.accept()
        text_peer.want_head()
        text_peer.send_bytes(HALF)
        held.append((text_peer.sock, asking.result()))
    assert pool.connections == 4
    for sock, response in held:
        sock.sendall(DONE[-2:])
        assert response.content == b"done"
    assert pool.connections == 2


def test_a_pool_that_blocks_has_no_more_connections_than_it_should(
    text_peer, make_session
):
    session = make_session(pool_maxsize=1, pool_block=True)
    first = ask(session, text_peer, "/1")
    text_peer.accept()
    assert text_peer.want_head()[0].startswith(b"GET /1 ")
    second = ask(session, text_peer, "/2")
    wait_for(lambda: session.adapters["http://"].poolmanager.waiting)
    text_peer.respond()
    assert first.result().ok
    assert text_peer.want_head()[0].startswith(b"GET /2 ")
    text_peer.respond()
    assert second.result().ok


def test_32_threads_get_their_own_answers_over_one_connection(session, service):
    # pytest would have the stacks of all threads printed after a minute. They are read
    # while the threads run: with CPython 3.11 one of four such runs ended in SIGSEGV.
    faulthandler.cancel_dump_traceback_later()
    before = service.connections
    answered = []

    def ask_often(thread):
        for number in range(REQUESTS):
            body = f"request {number} of thread {thread}"
            response = session.post(
                f"{service.url}/post", data=body, headers={"X-Thread": str(thread)}
            )
            assert response.json()["data"] == body
            assert response.json()["headers"]["X-Thread"] == str(thread)
            assert response.raw.version == 20
            answered.append(body)

    tasks = [background(ask_often, thread) for thread in range(32)]
    for task in tasks:
        task.result(600)
    assert len(set(answered)) == len(answered) == 32 * REQUESTS
    assert service.connections == before + 1


def test_a_session_that_is_dropped_leaves_no_connection_of_http2(peer):
    session = requests.Session()
    session.mount("http://", HTTP20Adapter(**PLAIN))
    asking = ask(session, peer)
    peer.greet()
    peer.want_headers(1)
    peer.respond(1)
    assert asking.result().ok
    del session, asking
    assert peer.want_goaway() == ErrorCodes.NO_ERROR
    peer.want_eof()


def test_a_session_that_is_dropped_leaves_no_connection_of_http1(text_peer):
    session = requests.Session()
    session.mount("http://", HTTP20Adapter())
    asking = ask(session, text_peer, stream=True)
    text_peer.accept()
    text_peer.want_head()
    text_peer.send_bytes(HALF)
    response = asking.result()
    del session, asking
    text_peer.send_bytes(DONE[-2:])
    assert response.content == b"done"
    del response
    text_peer.want_eof()


# Pickles and subclasses.


def test_an_adapter_can_be_pickled_with_its_session(service, make_session):
    session = make_session(
        window_manager=FlowControlManager, max_retries=2, h2c="upgrade", pool_block=True
    )
    session.verify = service.ca_file
    assert session.get(f"{service.url}/get").ok
    with pickle.loads(pickle.dumps(session)) as copy:
        adapter = copy.adapters["https://"]
        assert adapter.max_retries.total == 2
        assert adapter.window_manager is FlowControlManager
        assert adapter.h2c == "upgrade"
        assert adapter.poolmanager.connections == 0
        assert copy.get(f"{service.url}/get").raw.version == 20


def test_a_response_can_be_pickled(session, service):
    response = session.get(f"{service.url}/get")
    assert pickle.loads(pickle.dumps(response)).json() == response.json()


def test_an_adapter_is_one_of_requests_and_takes_its_arguments():
    adapter = HTTP20Adapter(FlowControlManager, 1, 2, Retry(3), True)
    assert isinstance(adapter, requests.adapters.HTTPAdapter)
    assert isinstance(adapter.poolmanager, ConnectionPool)
    assert adapter.max_retries.total == 3
    adapter.close()
    with pytest.raises(ValueError):
        HTTP20Adapter(h2c="perhaps")
    with pytest.raises(TypeError, match="pool_connections=100"):
        HTTP20Adapter(100, 100)  # As it is written for requests' own.


class OwnConnections(HTTP20Adapter):
    """As code for hyper 0.7 does it."""

    def __init__(self, **options):
        super().__init__(**options)
        self.asked = []

    def get_connection(
        self, host, port, scheme, cert=None, verify=True, proxy=None, timeout=None
    ):
        self.asked.append((host, port, scheme, cert, verify, proxy, timeout))
        return super().get_connection(
            host, port, scheme, cert, verify, proxy, timeout=timeout
        )


def test_a_subclass_may_give_the_connection(service, make_session, client_files):
    adapter = OwnConnections()
    session = make_session(adapter)
    before = service.connections
    for _ in range(2):
        response = session.get(
            f"{service.url}/get",
            verify=service.ca_file,
            cert=client_files[2],
            timeout=(PATIENCE, PATIENCE + 1),
        )
        assert response.raw.version == 20
    assert service.connections == before + 1
    assert adapter.poolmanager.connections == 0
    assert (
        adapter.asked
        == [
            (
                *("localhost", service.port, "https", client_files[2], service.ca_file),
                *(None, (PATIENCE, PATIENCE + 1)),
            )
        ]
        * 2
    )
    (conn,) = adapter.connections.values()
    assert isinstance(conn, HTTPConnection)
    session.close()
    assert not conn.is_connected
    assert adapter.connections == {}


def test_a_connection_of_a_subclass_keeps_to_the_context_of_the_adapter(
    service, make_session
):
    adapter = OwnConnections(ssl_context=init_context(service.ca_file))
    assert make_session(adapter).get(f"{service.url}/get").ok

    class Both(ContextInKey, OwnConnections):
        pass

    session = make_session(Both(ssl_context=init_context(service.ca_file)))
    with pytest.raises(TypeError, match="ssl_context"):
        session.get(f"{service.url}/get")


def test_a_connection_of_a_subclass_may_go_through_a_proxy(text_peer, make_session):
    adapter = OwnConnections()
    proxy = f"http://127.0.0.1:{text_peer.port}"
    asking = background(
        make_session(adapter).get, "http://a.test/", proxies={"http": proxy}
    )
    text_peer.accept()
    assert text_peer.want_head()[0] == b"GET http://a.test/ HTTP/1.1"
    text_peer.respond()
    assert asking.result().ok
    assert adapter.asked[0][5] == proxy


def test_a_connection_of_a_subclass_may_be_of_any_kind(peer, make_session):
    conn = peer.connection()
    session = make_session()
    session.adapters["http://"].get_connection = lambda *args, **options: conn
    asking = ask(session, peer)
    peer.greet()
    peer.want_headers(1)
    peer.respond(1, b"done")
    assert asking.result().content == b"done"
    assert isinstance(conn, HTTP20Connection)


def test_who_interrupts_a_request_cancels_it(peer, make_session):
    conn = peer.connection()
    session = make_session()
    session.adapters["http://"].get_connection = lambda *args, **options: conn
    begun = conn.request("GET", "/begun")
    peer.greet()
    peer.want_headers(begun)
    with interruptions() as seen:

        def interrupt():
            peer.want_headers(3)
            wait_until_main_thread_blocks()
            interrupt_main_thread(seen)

        interrupting = background(interrupt)
        with pytest.raises(Interrupted):
            session.get(url(peer))
        interrupting.result()
    assert peer.want_reset(3) == ErrorCodes.CANCEL
