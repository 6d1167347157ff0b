"""Clients of httpx and httpx2 on the connections of hyper: every test, with both."""

import contextlib
import gc
import gzip
import importlib.util
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import DataFrame
from test_exchange import unused_port
from text_peer import TextPeer
from threads import PATIENCE, background, wait_for

import hyper
from hyper import HyperError, http2bin
from hyper.contrib import HyperTransport

#: nginx ends a connection after 1,000 requests.
SERVERS = ["nginx", "node"] if os.environ.get("HYPER_STRESS") == "1" else ["nginx"]
ROOT = Path(__file__).parent.parent
DONE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"


@pytest.fixture(params=["httpx", "httpx2"])
def httpx(request):
    """Either library, by the name of the first."""
    return pytest.importorskip(
        request.param, reason="it does not run on this Python", exc_type=ImportError
    )


@pytest.fixture(scope="module")
def service():
    with http2bin.serve() as service:
        yield service


@pytest.fixture
def make_client(httpx):
    """Return a function that returns a client with hyper's transport."""
    with contextlib.ExitStack() as stack:

        def make(timeout=PATIENCE, **options):
            transport = HyperTransport(**options)
            client = httpx.Client(transport=transport, timeout=timeout)
            return stack.enter_context(client)

        yield make


@pytest.fixture
def talk(make_client, peer):
    """Return a client that has greeted the peer, in HTTP/2."""
    client = make_client(http1=False)
    asking = background(client.get, url(peer))
    peer.greet()
    peer.want_headers(1)
    peer.respond(1)
    asking.result()
    return client


def url(peer, path="/", scheme="http"):
    return f"{scheme}://{'localhost' if peer.tls else '127.0.0.1'}:{peer.port}{path}"


def ask(client, peer, path="/", method="GET", **options):
    """Begin a request in a thread of its own."""
    scheme = "https" if peer.tls else "http"
    return background(client.request, method, url(peer, path, scheme), **options)


def exchange(client, text_peer, answer=DONE, **options):
    """Do a whole exchange on a new connection; return the response and the head."""
    asking = ask(client, text_peer, **options)
    text_peer.accept()
    head = text_peer.want_head()
    text_peer.send_bytes(answer)
    return asking.result(), head


def streamed(client, peer, stream_id=3, **options):
    """Return a response over HTTP/2 whose body has not begun."""
    request = client.build_request("GET", url(peer), **options)
    asking = background(client.send, request, stream=True)
    peer.want_headers(stream_id)
    peer.send_headers(stream_id)
    return asking.result()


def speak_tls(peer, ca, *alpn, verify=False):
    peer.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    peer.tls.load_cert_chain(ca.cert_file, ca.key_file)
    peer.tls.set_alpn_protocols(list(alpn))
    if verify:
        peer.tls.load_verify_locations(ca.ca_file)
        peer.tls.verify_mode = ssl.CERT_REQUIRED


def python(code):
    """Run code in an interpreter of its own; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# The two libraries.


def test_hyper_contrib_needs_no_library():
    code = """
        import sys, hyper.contrib
        print({"httpx", "httpx2", "requests"} & set(sys.modules))
    """
    assert python(code) == "set()"


def test_hyper_contrib_knows_what_it_has():
    assert "HyperTransport" in dir(hyper.contrib)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = hyper.contrib.Nothing


def test_one_library_is_enough(httpx):
    other = {"httpx": "httpx2", "httpx2": "httpx"}[httpx.__name__]
    code = f"""
        import sys
        sys.modules[{other!r}] = None  # It cannot be imported.
        from hyper.contrib import HyperTransport
        import {httpx.__name__}
        {httpx.__name__}.Client(transport=HyperTransport()).close()
        print("fine")
    """
    assert python(code) == "fine"


def test_that_there_is_no_library_is_said():
    code = """
        import sys
        sys.modules["httpx"] = sys.modules["httpx2"] = None
        try:
            from hyper.contrib import HyperTransport
        except ModuleNotFoundError as error:
            print(error)
    """
    assert python(code) == "this needs httpx or httpx2 to be installed"


def test_a_library_that_is_broken_is_not_taken_for_none(httpx):
    code = f"""
        import sys
        sys.modules["idna"] = None  # It cannot be imported, and the library needs it.
        for name in {{"httpx", "httpx2"}} - {{{httpx.__name__!r}}}:
            sys.modules[name] = None
        try:
            from hyper.contrib import HyperTransport
        except ModuleNotFoundError as error:
            print(error.name)
    """
    assert python(code) == "idna"


@pytest.mark.skipif(
    importlib.util.find_spec("httpx2") is None, reason="it does not run on this Python"
)
def test_httpx2_by_the_name_of_httpx_is_one_library():
    code = """
        import httpx2
        httpx2.alias_httpx()
        from hyper.contrib import HyperTransport
        import httpx
        httpx.Client(transport=HyperTransport()).close()
        print(httpx.__name__)
    """
    assert python(code) == "httpx2"


def test_it_is_a_transport_and_its_bodies_are_streams(httpx, make_client, service):
    transport = HyperTransport(verify=service.ca_file)
    assert isinstance(transport, httpx.BaseTransport)
    with transport:
        response = transport.handle_request(httpx.Request("GET", f"{service.url}/get"))
        assert isinstance(response, httpx.Response)
        assert isinstance(response.stream, httpx.SyncByteStream)
        assert response.read()


def test_a_request_of_no_library_is_refused():
    with HyperTransport() as transport:
        with pytest.raises(TypeError, match="not str"):
            transport.handle_request("GET /")


# Requests.


def test_fields_go_out_as_they_are_and_in_their_order(make_client, text_peer):
    response, head = exchange(
        make_client(),
        text_peer,
        headers=[("X-B", "1"), ("x-a", "2"), ("X-B", b"caf\xe9"), ("Host", "a.test")],
    )
    assert head[:2] == [b"GET / HTTP/1.1", b"Host: a.test"]
    assert head[-3:] == [b"X-B: 1", b"x-a: 2", b"X-B: caf\xe9"]
    assert b"Connection: keep-alive" in head
    assert response.content == b"done"


def test_http2_gets_an_authority_and_nothing_of_the_connection(talk, peer):
    asking = ask(talk, peer, "/a%20b?c=d", headers={"X-A": "b"})
    fields = peer.want_fields(3)
    assert fields[:4] == [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", b"127.0.0.1:%d" % peer.port),
        (b":path", b"/a%20b?c=d"),
    ]
    assert (b"x-a", b"b") in fields
    assert not {b"host", b"connection"} & {name for name, _ in fields}
    peer.respond(3)
    asking.result()


@pytest.mark.parametrize(
    "make_content",
    [lambda: b"bytes", lambda: [b"by", b"tes"], lambda: iter([b"by", b"tes"])],
)
def test_a_body_is_bytes_or_a_stream(make_client, text_peer, make_content):
    content = make_content()
    asking = ask(make_client(), text_peer, method="POST", content=content)
    text_peer.accept()
    head = text_peer.want_head()
    if content == b"bytes":
        assert b"Content-Length: 5" in head
        assert text_peer.want_bytes(5) == b"bytes"
    else:
        assert b"Transfer-Encoding: chunked" in head
        assert text_peer.want_bytes(20) == b"2\r\nby\r\n3\r\ntes\r\n0\r\n\r\n"
    text_peer.send_bytes(DONE)
    assert asking.result().status_code == 200


def test_a_stream_may_have_its_length_announced(talk, peer):
    asking = ask(
        talk,
        peer,
        method="POST",
        content=iter([b"by", b"tes"]),
        headers={"Content-Length": "5"},
    )
    assert peer.want_headers(3)[b"content-length"] == b"5"
    assert peer.want_body(3) == b"bytes"
    peer.respond(3)
    asking.result()


def test_a_post_without_a_body_says_so(make_client, text_peer):
    _, head = exchange(make_client(), text_peer, method="POST")
    assert b"Content-Length: 0" in head


def test_a_file_is_sent_in_a_form(make_client, service, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100_000)
    client = make_client(verify=service.ca_file)
    with path.open("rb") as file:
        response = client.post(
            f"{service.url}/post", data={"a": "b"}, files={"file": file}
        )
    assert response.http_version == "HTTP/2"
    assert b"x" * 100_000 in response.content


def test_what_a_stream_raises_cancels_the_request_and_is_passed_on(talk, peer):
    def content():
        yield b"some"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        talk.post(url(peer), content=content())
    peer.want_headers(3)
    peer.ignore = (*peer.ignore, DataFrame)
    assert peer.want_reset(3) == ErrorCodes.CANCEL


def test_a_request_that_the_server_refused_is_sent_again_unless_its_body_is_gone(
    httpx, talk, peer
):
    asking = ask(talk, peer, method="POST", content=b"body")
    peer.want_headers(3)
    assert peer.want_body(3) == b"body"
    peer.send_reset(3, ErrorCodes.REFUSED_STREAM)
    peer.want_headers(5)
    assert peer.want_body(5) == b"body"
    peer.respond(5)
    assert asking.result().status_code == 200
    asking = ask(talk, peer, method="POST", content=iter([b"body"]))
    peer.want_headers(7)
    assert peer.want_body(7) == b"body"
    peer.send_reset(7, ErrorCodes.REFUSED_STREAM)
    error = asking.error()
    assert type(error) is httpx.RemoteProtocolError
    assert error.__cause__.retry_safe


def test_another_target_may_be_asked_for(make_client, text_peer):
    client = make_client()
    for target in (b"*", b"/not/normal/../x%7e"):
        asking = ask(client, text_peer, "/x", "OPTIONS", extensions={"target": target})
        if not text_peer.connections:
            text_peer.accept()
        assert text_peer.want_head()[0] == b"OPTIONS %b HTTP/1.1" % target
        text_peer.send_bytes(DONE)
        asking.result()


@pytest.mark.parametrize("target", [b"http://a.test/", b"a.test:443", b"", b"/a b"])
def test_a_target_that_is_no_path_is_refused(httpx, make_client, target):
    with pytest.raises(httpx.LocalProtocolError):
        make_client().get("http://127.0.0.1:1/", extensions={"target": target})


def test_what_takes_a_whole_connection_is_refused(httpx, make_client):
    for method, headers in [("CONNECT", {}), ("GET", {"upgrade": "websocket"})]:
        with pytest.raises(httpx.LocalProtocolError, match=r"hyper\.HTTPConnection"):
            make_client().request(method, "http://127.0.0.1:1", headers=headers)


def test_the_name_for_tls_may_be_chosen(httpx, make_client, service):
    client = make_client(verify=service.ca_file)
    address = f"https://127.0.0.1:{service.port}/get"
    for _ in range(2):
        assert client.get(address, extensions={"sni_hostname": "localhost"}).content
    with pytest.raises(httpx.ConnectError, match=r"a\.test"):
        client.get(address, extensions={"sni_hostname": "a.test"})


# Responses.


def test_a_response_over_http1_is_as_it_was_sent(make_client, text_peer):
    response, _ = exchange(
        make_client(),
        text_peer,
        b"HTTP/1.1 200 Fine \xe9\r\nX-B: 1\r\nx-a: 2\r\nX-b: 3, 4\r\n"
        b"Content-Length: 4\r\n\r\ndone",
    )
    assert response.headers.raw == [
        (b"X-B", b"1"),
        (b"x-a", b"2"),
        (b"X-b", b"3, 4"),
        (b"Content-Length", b"4"),
    ]
    assert response.extensions["http_version"] == b"HTTP/1.1"
    assert response.extensions["reason_phrase"] == b"Fine \xe9"
    assert "stream_id" not in response.extensions
    assert response.content == b"done"


def test_a_response_over_http2_is_as_it_was_sent(talk, peer):
    asking = ask(talk, peer)
    peer.want_headers(3)
    fields = [("x-b", "1"), ("x-a", "2"), ("x-b", "3")]
    peer.send_headers(3, 404, fields, end=True)
    response = asking.result()
    raw = [(name.encode(), value.encode()) for name, value in fields]
    assert response.headers.raw == raw
    assert response.extensions["http_version"] == b"HTTP/2"
    assert response.extensions["stream_id"] == 3
    assert "reason_phrase" not in response.extensions
    assert response.reason_phrase == "Not Found"


def test_bodies_are_decoded_by_httpx(make_client, service):
    client = make_client(verify=service.ca_file)
    assert client.get(f"{service.url}/gzip").json()["gzipped"]
    with client.stream("GET", f"{service.url}/gzip") as response:
        raw = b"".join(response.iter_raw())
    assert json.loads(gzip.decompress(raw))["gzipped"]


def test_a_body_comes_in_the_pieces_that_were_sent(talk, peer):
    response = streamed(talk, peer)
    pieces = response.iter_raw()
    for piece in (b"one", b"two"):
        peer.send(peer.data(3, piece), peer.data(3, b""))
        assert next(pieces) == piece
    peer.send_data(3, end=True)
    assert [*pieces] == []


def test_a_stream_that_is_closed_early_is_reset_and_no_other(talk, peer):
    response = streamed(talk, peer)
    peer.send_data(3, b"some")
    assert next(response.iter_raw()) == b"some"
    response.close()
    assert peer.want_reset(3) == ErrorCodes.CANCEL
    asking = ask(talk, peer)
    peer.want_headers(5)
    peer.respond(5, b"done")
    assert asking.result().content == b"done"


def test_a_response_that_is_dropped_unread_is_reset(talk, peer):
    response = streamed(talk, peer)
    assert response.status_code == 200
    del response
    gc.collect()
    assert peer.want_reset(3) == ErrorCodes.CANCEL


def test_over_http1_a_body_that_is_closed_early_takes_its_connection_along(
    make_client, text_peer
):
    client = make_client()
    asking = background(
        lambda: client.send(client.build_request("GET", url(text_peer)), stream=True)
    )
    text_peer.accept()
    text_peer.want_head()
    text_peer.send_bytes(DONE[:-1])
    asking.result().close()
    text_peer.want_eof()
    exchange(client, text_peer)
    assert text_peer.connections == 2


def test_redirects_and_cookies_are_followed_by_httpx(make_client, service):
    client = make_client(verify=service.ca_file)
    response = client.get(f"{service.url}/cookies/set?a=b", follow_redirects=True)
    assert response.json() == {"cookies": {"a": "b"}}
    assert len(response.history) == 1


# The connection.


def test_a_response_knows_the_ends_of_its_connection(make_client, peer, talk):
    asking = ask(talk, peer)
    peer.want_headers(3)
    peer.respond(3)
    stream = asking.result().extensions["network_stream"]
    assert stream.get_extra_info("server_addr") == peer.sock.getsockname()
    assert stream.get_extra_info("client_addr") == peer.sock.getpeername()
    assert stream.get_extra_info("ssl_object") is None
    assert stream.get_extra_info("socket") is None


def test_a_response_knows_its_tls(make_client, service):
    client = make_client(verify=service.ca_file)
    stream = client.get(f"{service.url}/get").extensions["network_stream"]
    tls = stream.get_extra_info("ssl_object")
    assert tls.selected_alpn_protocol() == "h2"
    assert tls.version() == "TLSv1.3"
    assert tls.cipher()[2] >= 128
    assert ("DNS", "localhost") in tls.getpeercert()["subjectAltName"]


# Errors: a test for each row of the table in docs/httpx.rst.


def fails(httpx, call, name):
    """See that a call fails with an error of this name; return hyper's error."""
    with pytest.raises(getattr(httpx, name)) as caught:
        call()
    error = caught.value
    assert type(error) is getattr(httpx, name)
    assert error.request.url.host
    assert isinstance(error.__cause__, HyperError)
    assert str(error) == str(error.__cause__)
    return error.__cause__


def test_a_dial_that_takes_too_long(httpx, make_client, full_listener):
    client = make_client(timeout=httpx.Timeout(PATIENCE, connect=0.05))
    address = f"http://127.0.0.1:{full_listener}"
    fails(httpx, lambda: client.get(address), "ConnectTimeout")


def test_a_server_that_is_not_there(httpx, make_client):
    address = f"http://127.0.0.1:{unused_port()}"
    error = fails(httpx, lambda: make_client().get(address), "ConnectError")
    assert error.retry_safe


def test_a_certificate_that_is_not_trusted(httpx, make_client, service):
    error = fails(httpx, lambda: make_client().get(service.url), "ConnectError")
    assert isinstance(error, hyper.TLSError)


def test_a_head_that_does_not_come(httpx, talk, peer):
    asking = ask(talk, peer, timeout=httpx.Timeout(PATIENCE, read=0.05))
    peer.want_headers(3)
    fails(httpx, asking.result, "ReadTimeout")
    assert peer.want_reset(3) == ErrorCodes.CANCEL


def test_a_body_that_does_not_go_on(httpx, talk, peer):
    response = streamed(talk, peer, timeout=httpx.Timeout(PATIENCE, read=0.05))
    fails(httpx, response.read, "ReadTimeout")


def test_a_request_that_the_server_does_not_take(httpx, talk, peer):
    timeout = httpx.Timeout(PATIENCE, write=0.05)
    asking = ask(talk, peer, method="POST", content=b"x" * 100_000, timeout=timeout)
    fails(
        httpx, asking.result, "WriteTimeout"
    )  # It gives no credit beyond the first 64 KiB.


def test_no_connection_that_is_free(httpx, make_client, text_peer):
    client = make_client(limits=httpx.Limits(max_connections=1))
    held = ask(client, text_peer)
    text_peer.accept()
    text_peer.want_head()
    second = ask(client, text_peer, timeout=httpx.Timeout(PATIENCE, pool=0.05))
    error = fails(httpx, second.result, "PoolTimeout")
    assert "pool timeout" in str(error)
    text_peer.send_bytes(DONE)
    held.result()


def test_no_stream_that_is_free(httpx, talk, peer):
    peer.send_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 1})
    held = ask(talk, peer)
    peer.want_headers(3)
    second = ask(talk, peer, timeout=httpx.Timeout(PATIENCE, pool=0.05))
    fails(httpx, second.result, "PoolTimeout")
    peer.respond(3)
    held.result()


def test_a_wait_for_a_connection_may_be_endless(httpx, make_client, text_peer):
    client = make_client(limits=httpx.Limits(max_connections=1))
    held = ask(client, text_peer)
    text_peer.accept()
    text_peer.want_head()
    timeout = httpx.Timeout(PATIENCE, write=0.001, pool=None)
    second = ask(client, text_peer, timeout=timeout)
    wait_for(lambda: second.waits_in("_wait_for_service"))
    text_peer.send_bytes(DONE)
    held.result()
    text_peer.want_head()
    text_peer.send_bytes(DONE)
    assert second.result().content == b"done"


def test_a_connection_that_is_lost_while_it_is_made(httpx, full_listener):
    transport = HyperTransport()
    client = httpx.Client(transport=transport, timeout=PATIENCE)
    asking = background(client.get, f"http://127.0.0.1:{full_listener}")
    wait_for(lambda: asking.waits_in("_wait"))
    transport.close()
    fails(httpx, asking.result, "ConnectError")


def test_a_connection_that_is_lost_while_a_request_is_sent(httpx, talk, peer):
    def content():
        yield b"some"
        peer.want_headers(3)
        peer.die()
        yield b"more"
        yield b"x" * 100_000

    fails(httpx, lambda: talk.post(url(peer), content=content()), "WriteError")


def test_a_connection_that_is_lost_before_the_response(httpx, talk, peer):
    asking = ask(talk, peer)
    peer.want_headers(3)
    peer.hang_up()
    fails(httpx, asking.result, "ReadError")


def test_a_connection_that_is_lost_within_the_response(httpx, talk, peer):
    response = streamed(talk, peer)
    peer.die()
    fails(httpx, response.read, "ReadError")


def test_tls_that_breaks_within_the_response(httpx, make_client, text_peer, ca):
    speak_tls(text_peer, ca, "http/1.1")
    client = make_client(verify=str(ca.ca_file))
    asking = ask(client, text_peer)
    text_peer.accept()
    text_peer.want_head()
    broken = b"\x17\x03\x03\x00\x20" + bytes(32)  # An encrypted record of zeros.
    os.write(text_peer.sock.fileno(), broken)
    error = fails(httpx, asking.result, "ReadError")
    assert isinstance(error, hyper.TLSError)


def test_a_connection_that_the_server_ends_for_an_error(httpx, talk, peer):
    asking = ask(talk, peer)
    peer.want_headers(3)
    peer.send_goaway(3, ErrorCodes.INTERNAL_ERROR)
    peer.hang_up()
    error = fails(httpx, asking.result, "RemoteProtocolError")
    assert isinstance(error, hyper.ConnectionTerminated)


def test_a_proxy_that_says_no(httpx, make_client, text_peer):
    client = make_client(proxy=f"http://127.0.0.1:{text_peer.port}")
    asking = background(client.get, "https://a.test/")
    text_peer.accept()
    text_peer.want_head()
    text_peer.send_bytes(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
    assert fails(httpx, asking.result, "ProxyError").response.status == 403


def test_a_request_that_http_does_not_allow(httpx, make_client):
    client = make_client()
    broken = httpx.Request("GET", "http://127.0.0.1:1/", headers={"X": "a\r\nb"})
    fails(httpx, lambda: client.send(broken), "LocalProtocolError")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        DONE[:-2],
    ],
    ids=["no HTTP", "too long a line", "a broken chunk", "half a body"],
)
def test_a_response_that_breaks_the_rules(httpx, make_client, text_peer, answer):
    asking = ask(make_client(), text_peer)
    text_peer.accept()
    text_peer.want_head()
    text_peer.send_bytes(answer)
    text_peer.hang_up()
    fails(httpx, asking.result, "RemoteProtocolError")


def test_a_stream_that_the_server_resets(httpx, talk, peer):
    response = streamed(talk, peer)
    peer.send_reset(3, ErrorCodes.INTERNAL_ERROR)
    error = fails(httpx, response.read, "RemoteProtocolError")
    assert isinstance(error, hyper.StreamResetError)


def test_a_coding_that_is_broken(httpx, make_client, text_peer):
    with pytest.raises(httpx.DecodingError) as caught:
        exchange(
            make_client(),
            text_peer,
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
            b"Content-Length: 4\r\n\r\ndone",
        )
    assert not isinstance(caught.value.__cause__, HyperError), "httpx decodes itself"


@pytest.mark.parametrize("address", ["ftp://a.test/", "//a.test/"])
def test_a_scheme_that_is_not_spoken(httpx, make_client, address):
    with pytest.raises(httpx.UnsupportedProtocol, match="Request URL"):
        make_client().get(address)


def test_every_error_of_hyper_is_in_the_table():
    def errors(kind):
        yield kind.__name__
        for narrower in kind.__subclasses__():
            yield from errors(narrower)

    table = (ROOT / "docs" / "httpx.rst").read_text("utf-8")
    named = set(re.findall(r"[A-Za-z]+", table))
    assert {*errors(HyperError)} - {"HyperError", "Timeout"} <= named


# Events.


class Events(list):
    """What was told of a request."""

    def __call__(self, name, info):
        self.append((name, info))

    @property
    def names(self):
        return [name for name, _ in self]


def steps(*names):
    return [f"{name}.{end}" for name in names for end in ("started", "complete")]


def test_events_of_a_request_over_http2_are_told(make_client, service):
    events = Events()
    client = make_client(verify=service.ca_file)
    for _ in range(2):
        response = client.post(
            f"{service.url}/echo", content=b"body", extensions={"trace": events}
        )
    names = [
        "send_request_headers",
        "send_request_body",
        "receive_response_headers",
        "receive_response_body",
        "response_closed",
    ]
    assert events.names == [
        *steps("connection.connect_tcp", "connection.start_tls"),
        *steps(*(f"http2.{name}" for name in names * 2)),
    ]
    assert events[0][1] == {"host": "localhost", "port": service.port}
    assert events[2][1] == {"server_hostname": "localhost"}
    told = dict(events)
    assert told["http2.send_request_headers.started"]["request"] is response.request
    received = told["http2.receive_response_headers.complete"]["return_value"]
    assert received == (200, response.headers.raw)


def test_events_of_a_request_over_http1_are_told(make_client, text_peer):
    events = Events()
    response, _ = exchange(make_client(), text_peer, extensions={"trace": events})
    names = [
        "send_request_headers",
        "send_request_body",
        "receive_response_headers",
        "receive_response_body",
        "response_closed",
    ]
    assert events.names == steps(
        "connection.connect_tcp", *(f"http11.{name}" for name in names)
    )
    told = dict(events)
    assert told["http11.send_request_headers.started"]["request"] is response.request
    assert told["http11.receive_response_headers.complete"]["return_value"] == (
        b"HTTP/1.1",
        200,
        b"OK",
        response.headers.raw,
    )


def test_the_step_that_fails_is_told(httpx, talk, peer):
    events = Events()
    asking = ask(talk, peer, extensions={"trace": events})
    peer.want_headers(3)
    peer.send_reset(3, ErrorCodes.INTERNAL_ERROR)
    error = asking.error()
    assert events[-1] == ("http2.receive_response_headers.failed", {"exception": error})
    events.clear()
    response = streamed(talk, peer, 5, extensions={"trace": events})
    peer.send_reset(5, ErrorCodes.INTERNAL_ERROR)
    with pytest.raises(httpx.RemoteProtocolError) as caught:
        response.read()
    failed = ("http2.receive_response_body.failed", {"exception": caught.value})
    assert failed in events


def test_that_a_request_is_sent_again_is_told(talk, peer):
    events = Events()
    asking = ask(talk, peer, extensions={"trace": events})
    peer.want_headers(3)
    peer.send_reset(3, ErrorCodes.REFUSED_STREAM)
    peer.want_headers(5)
    peer.respond(5)
    asking.result()
    sent = steps("http2.send_request_headers", "http2.send_request_body")
    receive = "http2.receive_response_headers"
    assert events.names[:12] == [
        *sent,
        f"{receive}.started",
        f"{receive}.failed",
        *sent,
        f"{receive}.started",
        f"{receive}.complete",
    ]


def test_what_a_listener_raises_cancels_the_request(talk, peer):
    def trace(name, info):
        if name == "http2.send_request_body.started":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        talk.get(url(peer), extensions={"trace": trace})
    peer.want_headers(3)
    assert peer.want_reset(3) == ErrorCodes.CANCEL


def test_that_connecting_is_tried_again_is_told(httpx, make_client):
    events = Events()
    with pytest.raises(httpx.ConnectError):
        make_client(retries=1).get(
            f"http://127.0.0.1:{unused_port()}", extensions={"trace": events}
        )
    connect = ["connection.connect_tcp.started", "connection.connect_tcp.failed"]
    assert events.names == [*connect, *steps("connection.retry"), *connect]
    assert isinstance(events[1][1]["exception"], httpx.ConnectError)


# Options.


def test_a_dial_may_be_tried_again(make_client, ca):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        address = f"https://localhost:{listener.getsockname()[1]}"
        asking = background(make_client(retries=2, verify=str(ca.ca_file)).get, address)
        for _ in range(2):
            listener.accept()[0].close()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(ca.cert_file, ca.key_file)
        with context.wrap_socket(listener.accept()[0], server_side=True) as sock:
            assert sock.recv(65536).startswith(b"GET / HTTP/1.1")
            sock.sendall(DONE)
            assert asking.result().content == b"done"


def test_versions_may_be_chosen(httpx, make_client, service, text_peer, ca):
    address = f"{service.url}/get"
    client = make_client(http2=False, verify=service.ca_file)
    assert client.get(address).http_version == "HTTP/1.1"
    client = make_client(http1=False, verify=service.ca_file)
    assert client.get(address).http_version == "HTTP/2"
    speak_tls(text_peer, ca, "http/1.1")
    asking = ask(make_client(http1=False, verify=str(ca.ca_file)), text_peer)
    text_peer.accept()
    fails(httpx, asking.result, "ConnectError")


def test_whom_to_trust_may_be_chosen(httpx, make_client, service, monkeypatch):
    address = f"{service.url}/get"
    for trusting in (
        {"verify": False},
        {"verify": service.ca_file},
        {"verify": Path(service.ca_file)},
        {"verify": hyper.tls.init_context(service.ca_file)},
        {"verify": service.ca_file, "trust_env": False},
    ):
        assert make_client(**trusting).get(address).http_version == "HTTP/2"
    monkeypatch.setenv("SSL_CERT_FILE", service.ca_file)
    assert make_client().get(address).is_success
    with pytest.raises(httpx.ConnectError, match="not accepted"):
        make_client(trust_env=False).get(address)


def test_a_client_may_have_a_certificate(make_client, text_peer, ca, tmp_path):
    key = serialization.load_pem_private_key(ca.key_file.read_bytes(), None)
    encrypted = tmp_path / "encrypted.pem"
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"sesame"),
        )
    )
    speak_tls(text_peer, ca, verify=True)
    for cert in [
        (str(ca.cert_file), str(ca.key_file)),
        (str(ca.cert_file), str(encrypted), "sesame"),
    ]:
        client = make_client(verify=str(ca.ca_file), cert=cert)
        assert exchange(client, text_peer)[0].content == b"done"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"retries": -1}, ValueError),
        ({"http1": False, "http2": False}, ValueError),
        ({"verify": ssl.create_default_context(), "cert": "client.pem"}, ValueError),
        ({"verify": "/nonexistent/ca.pem"}, OSError),
        ({"cert": "/nonexistent/client.pem"}, OSError),
        ({"proxy": "ftp://a.test"}, ValueError),
        ({"proxy": "http://a.test", "uds": "/path"}, ValueError),
        ({"max_connections": 10}, TypeError),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(options, error):
    with pytest.raises(error):
        HyperTransport(**options)


def test_limits_of_httpx_are_kept_to(httpx, make_client, text_peer):
    for limits, connections in [
        (httpx.Limits(), 1),
        (httpx.Limits(max_keepalive_connections=0), 2),
        (httpx.Limits(keepalive_expiry=0), 2),
        (httpx.Limits(keepalive_expiry=None), 1),
    ]:
        before = text_peer.connections
        client = make_client(limits=limits)
        exchange(client, text_peer)
        asking = ask(client, text_peer)
        if connections == 2:
            text_peer.accept()
        text_peer.want_head()
        text_peer.send_bytes(DONE)
        assert asking.result().content == b"done"
        assert text_peer.connections == before + connections


def test_a_unix_socket_may_be_the_way(make_client, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    path = str(tmp_path / "socket")
    events = Events()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(PATIENCE)
        asking = background(
            make_client(uds=path).get, "http://a.test/x", extensions={"trace": events}
        )
        sock, _ = listener.accept()
        with sock:
            assert sock.recv(65536).startswith(b"GET /x HTTP/1.1\r\nHost: a.test\r\n")
            sock.sendall(DONE)
            assert asking.result().content == b"done"
    assert events[0] == ("connection.connect_unix_socket.started", {"path": path})


def test_an_address_and_options_of_sockets_may_be_chosen(make_client, text_peer):
    client = make_client(
        local_address="127.0.0.2",
        socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)],
    )
    exchange(client, text_peer)
    assert text_peer.sock.getpeername()[0] == "127.0.0.2"


# Proxies.


def test_a_proxy_is_a_url_or_what_httpx_calls_a_proxy(httpx, make_client, text_peer):
    address = f"http://user:p%40ss@127.0.0.1:{text_peer.port}"
    bare = f"http://127.0.0.1:{text_peer.port}"
    for proxy in (
        address,
        httpx.URL(address),
        httpx.Proxy(address, headers={"X-Via": "1"}),
        httpx.Proxy(bare, auth=("user", "p@ss"), headers={"X-Via": "1"}),
    ):
        events = Events()
        asking = background(
            make_client(proxy=proxy).get,
            "http://a.test/x",
            extensions={"trace": events},
        )
        text_peer.accept()
        head = text_peer.want_head()
        assert head[0] == b"GET http://a.test/x HTTP/1.1"
        assert b"Proxy-Authorization: Basic dXNlcjpwQHNz" in head
        assert (b"X-Via: 1" in head) == isinstance(proxy, httpx.Proxy)
        text_peer.send_bytes(DONE)
        assert asking.result().content == b"done"
        assert events[0][1] == {"host": "127.0.0.1", "port": text_peer.port}


def test_tls_with_a_proxy_may_have_a_context_of_its_own(httpx, make_client, peer, ca):
    speak_tls(peer, ca)
    context = hyper.tls.init_context(ca.ca_file)
    address = f"https://localhost:{peer.port}"
    client = make_client(proxy=httpx.Proxy(address, ssl_context=context))
    asking = background(client.get, "https://a.test/")
    peer.accept()
    assert peer.sock.recv(65536).startswith(b"CONNECT a.test:443 HTTP/1.1\r\n")
    peer.sock.close()
    fails(httpx, asking.result, "ProxyError")


def test_the_environment_names_proxies(httpx, make_client, text_peer, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{text_peer.port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    client = make_client()
    asking = background(client.get, "http://a.test/")
    text_peer.accept()
    assert text_peer.want_head()[0] == b"GET http://a.test/ HTTP/1.1"
    text_peer.send_bytes(DONE)
    asking.result()
    other = TextPeer()
    with contextlib.closing(other):
        _, head = exchange(client, other)
        assert head[0] == b"GET / HTTP/1.1"
        monkeypatch.delenv("no_proxy")
        _, head = exchange(make_client(trust_env=False), other)
        assert head[0] == b"GET / HTTP/1.1"
    monkeypatch.setenv("http_proxy", "ftp://a.test")
    fails(httpx, lambda: make_client().get("http://a.test/"), "LocalProtocolError")


# Threads.


def test_closing_wakes_who_waits_and_is_for_good(httpx, text_peer):
    transport = HyperTransport()
    client = httpx.Client(transport=transport, timeout=PATIENCE)
    asking = ask(client, text_peer)
    text_peer.accept()
    text_peer.want_head()
    for _ in range(2):
        transport.close()
    fails(httpx, asking.result, "ReadError")
    fails(httpx, lambda: client.get(url(text_peer)), "LocalProtocolError")


@pytest.mark.parametrize("name", SERVERS)
def test_40_threads_get_2000_right_answers_over_http2(httpx, real_server, name):
    server = real_server(name, "h2", "echo-body")
    right = Counter()
    with httpx.Client(
        transport=HyperTransport(verify=str(server.ca_file)), timeout=60
    ) as client:

        def work(thread):
            for number in range(50):
                body = b"the body of request %d of thread %d" % (number, thread)
                response = client.post(server.url("/echo"), content=body)
                assert response.http_version == "HTTP/2"
                right[thread] += response.content == body

        for task in [background(work, thread) for thread in range(40)]:
            task.result(120)
    assert right == dict.fromkeys(range(40), 50)
