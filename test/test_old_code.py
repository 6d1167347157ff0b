"""Programs written for hyper 0.3 to 0.7 run as they are.

Each test is such a program, in the manner of the documentation of that time or of a
kind that was found in public, and in its spelling: nothing here is how one would write
it today. docs/migrating.rst says what has become of the rest.
"""

from __future__ import annotations

import importlib
import socket
from json import loads
from threading import Event, Thread

import pytest
from cryptography.hazmat.primitives import serialization
from h2.errors import ErrorCodes
from hyperframe.frame import PingFrame, SettingsFrame
from servers.apns import FakeAPNs
from threads import background, wait_for

from hyper import http2bin

SECONDS = 10


@pytest.fixture(scope="module")
def service():
    with http2bin.serve() as server:
        yield server


@pytest.fixture
def server(service, monkeypatch):
    """What such a program was given: a host and a port, and trust in it."""
    monkeypatch.setenv("SSL_CERT_FILE", service.ca_file)
    return f"localhost:{service.port}"


@pytest.fixture
def port(service, server):
    return service.port


@pytest.fixture
def client_certificate(ca, tmp_path):
    """The path of a certificate and its key, which the password "secret" opens."""
    leaf = ca.issuer.issue_cert("com.example.App")
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    path = tmp_path / "client.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.BestAvailableEncryption(b"secret"),
        )
        + leaf.cert_chain_pems[0].bytes()
    )
    return str(path)


# What the names and the order of arguments were.


def test_everything_is_imported_by_a_star():
    names = {}
    exec("from hyper import *", names)
    assert {"HTTPConnection", "HTTP20Connection", "HTTP20Push"} < set(names)
    assert {"HTTP11Connection", "HTTP11Response", "HTTP20Response"} < set(names)


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (
            "common.exceptions",
            "ChunkedDecodeError ConnectionError InvalidResponseError",
        ),
        ("common.exceptions", "ConnectionResetError LineTooLongError MissingCertFile"),
        ("common.exceptions", "HTTPUpgrade ProxyError SocketError TLSUpgrade"),
        ("common.headers", "HTTPHeaderMap"),
        ("common.util", "HTTPVersion to_bytestring to_bytestring_tuple"),
        ("common.util", "to_host_port_tuple to_native_string"),
        ("http11.connection", "HTTP11Connection"),
        ("http11.response", "HTTP11Response"),
        ("http20.connection", "HTTP20Connection"),
        ("http20.errors", "H2_ERRORS get_data REFUSED_STREAM"),
        ("http20.exceptions", "ConnectionError HTTP20Error HPACKDecodingError"),
        ("http20.exceptions", "HPACKEncodingError ProtocolError StreamResetError"),
        ("http20.response", "HTTP20Response"),
        ("http20.window", "BaseFlowControlManager FlowControlManager"),
        ("tls", "H2C_PROTOCOL H2_NPN_PROTOCOLS NPN_PROTOCOL SUPPORTED_NPN_PROTOCOLS"),
        ("tls", "cert_loc init_context wrap_socket"),
    ],
)
def test_what_people_import_is_where_it_was(module, names):
    found = importlib.import_module(f"hyper.{module}")
    assert [name for name in names.split() if not hasattr(found, name)] == []


def test_arguments_are_in_their_order(service, port):
    from hyper import HTTP11Connection, HTTP20Connection, HTTPConnection
    from hyper.http20.window import FlowControlManager
    from hyper.tls import init_context

    context = init_context(service.ca_file)
    for c in (
        HTTP20Connection(
            "localhost", port, True, FlowControlManager, False, context, None, None
        ),
        HTTPConnection("localhost", port, True, FlowControlManager, False, context),
        HTTP11Connection("localhost", port, True, context, None, None),
    ):
        assert (c.host, c.port, c.secure) == ("localhost", port, True)
        c.request("GET", "/ip", None, {"accept": "*/*"})
        assert "origin" in loads(c.get_response().read())
        c.close()


# The documentation of 0.3.


def test_the_first_request(server):
    from hyper import HTTP20Connection

    c = HTTP20Connection(server, secure=True)
    assert c.request("GET", "/") == 1
    resp = c.get_response()
    assert resp.headers["content-type"] == [b"text/html; charset=utf-8"]
    assert repr(resp.headers).startswith("HTTPHeaderMap([(b'")
    assert resp.status == 200
    body = resp.read()
    assert body.startswith(b"<!DOCTYPE html>")
    c.close()


def test_three_streams(server):
    from hyper import HTTP20Connection

    c = HTTP20Connection(server, secure=True)
    first = c.request("GET", "/get")
    second = c.request("POST", "/post", data="key=value")
    third = c.request("GET", "/ip")
    second_response = c.getresponse(second)
    first_response = c.getresponse(first)
    third_response = c.getresponse(third)
    assert loads(second_response.read())["data"] == "key=value"
    assert "args" in loads(first_response.read())
    assert "origin" in loads(third_response.read())
    c.close()


def test_the_first_request_of_http11(server):
    from hyper import HTTP11Connection

    c = HTTP11Connection(server, secure=True)
    c.request("GET", "/deflate")
    resp = c.get_response()
    assert resp.headers["content-encoding"] == [b"deflate"]
    assert loads(resp.read())["deflated"]
    c.close()


def test_connections_are_context_managers(server):
    from hyper import HTTP11Connection, HTTP20Connection

    for cls in (HTTP20Connection, HTTP11Connection):
        with cls(server, secure=True) as conn:
            conn.request("GET", "/get")
            data = conn.getresponse().read()
        assert loads(data)["args"] == {}


def test_chunked_responses(server):
    import zlib

    from hyper import HTTP20Connection

    conn = HTTP20Connection(server, secure=True)
    conn.request("GET", "/stream/3")
    lines = b"".join(conn.get_response().read_chunked()).splitlines()
    assert [loads(line)["id"] for line in lines] == [0, 1, 2]
    conn.request("GET", "/gzip")
    decompressor = zlib.decompressobj(16 + zlib.MAX_WBITS)
    text = b""
    for compressed_chunk in conn.get_response().read_chunked(decode_content=False):
        text += decompressor.decompress(compressed_chunk)
    assert loads(text)["gzipped"]
    conn.request("GET", "/gzip")
    assert conn.get_response().read(decode_content=False)[:2] == b"\x1f\x8b"
    conn.close()


def test_streaming_uploads_with_a_content_length(server, tmp_path):
    from hyper import HTTP20Connection

    path = tmp_path / "upload"
    path.write_bytes(b"x" * 5000)
    conn = HTTP20Connection(server, secure=True)
    with open(path, "rb") as f:
        conn.request("POST", "/upload", body=f, headers={"content-length": "5000"})
        assert loads(conn.get_response().read())["received"] == 5000
    conn.close()


def test_a_very_stupid_flow_control_manager(server):
    from hyper import HTTP20Connection
    from hyper.http20.window import BaseFlowControlManager

    class StupidFlowControlManager(BaseFlowControlManager):
        def increase_window_size(self, frame_size):
            return frame_size

    conn = HTTP20Connection(
        server, secure=True, window_manager=StupidFlowControlManager
    )
    size = 20 * 1024 * 1024  # more than the window of the connection
    conn.request("GET", f"/bytes/{size}")
    assert len(conn.get_response().read()) == size
    conn.close()


def test_server_push(server):
    from hyper import HTTP20Connection

    conn = HTTP20Connection(server, secure=True, enable_push=True)
    conn.request("GET", "/push")
    response = conn.get_response()
    paths = [push.path for push in conn.get_pushes()]
    response.read()
    for push in conn.get_pushes():
        paths.append(push.path)
        push.cancel()
    assert paths == [b"/pushed/1", b"/pushed/2"]

    conn.request("GET", "/push")
    for push in conn.get_pushes(capture_all=True):
        assert (push.scheme, push.method) == (b"https", b"GET")
        assert push.authority == server.encode()
        assert list(push.request_headers) == []
        assert push.get_response().status == 200
    assert conn.get_response().status == 200
    conn.close()


# What came after it.


def test_the_better_version_is_taken(server):
    from hyper import HTTPConnection

    conn = HTTPConnection(server, secure=True)
    stream_id = conn.request("GET", "/get")
    response = conn.get_response(stream_id)
    assert response.version == conn.version
    assert conn.version.value == "HTTP/2"
    assert response.read()
    conn.close()


def test_a_request_in_pieces_is_known_by_its_id(server):
    from hyper import HTTP20Connection

    conn = HTTP20Connection(server, secure=True)
    stream_ids = []
    for name in ("one", "two"):
        stream_id = conn.putrequest("POST", "/anything/" + name)
        conn.putheader("x-name", name, stream_id=stream_id)
        stream_ids.append(stream_id)
    assert stream_ids == [1, 3]
    for stream_id in reversed(stream_ids):
        conn.endheaders(b"some ", stream_id=stream_id)
    for stream_id in stream_ids:
        conn.send(b"more", final=True, stream_id=stream_id)
    for stream_id, name in zip(stream_ids, ("one", "two"), strict=True):
        told = loads(conn.get_response(stream_id).read())
        assert told["data"] == "some more"
        assert told["headers"]["X-Name"] == name
    conn.close()


def test_a_window_manager_that_looks_at_its_window(peer):
    from hyper.http20.window import FlowControlManager

    seen = []

    class Generous(FlowControlManager):
        """Ten times the window, as its author found the default too slow."""

        def __init__(self, initial_window_size):
            super().__init__(initial_window_size)

        def increase_window_size(self, frame_size):
            seen.append((self.document_size, self.window_size, frame_size))
            return 10 * frame_size if self.document_size else 0

    conn = peer.connection(window_manager=Generous)
    stream_id = conn.request("GET", "/")
    peer.greet()
    peer.want_headers(stream_id)
    peer.send_headers(stream_id, fields=[("content-length", "8")])
    peer.send_data(stream_id, b"part")
    response = conn.get_response(stream_id)
    assert response.read(4) == b"part"
    peer.send_data(stream_id, b"rest", end=True)
    assert response.read() == b"rest"
    of_the_stream = [one for one in seen if one[0]]
    initial = of_the_stream[0][1]
    assert of_the_stream == [(8, initial, 4)]


def test_how_many_streams_there_may_be_is_known_after_connecting(peer):
    conn = peer.connection()
    conn.connect()
    peer.greet({SettingsFrame.MAX_CONCURRENT_STREAMS: 7})
    with conn._conn as connection:
        assert connection.remote_settings.max_concurrent_streams == 7
    assert conn.remote_settings.max_concurrent_streams == 7


def test_settings_that_are_late_are_waited_for(peer):
    conn = peer.connection()
    conn.connect()
    asking = background(lambda: conn.remote_settings.max_concurrent_streams)
    wait_for(lambda: asking.waits_in("wait_until"))
    peer.greet({SettingsFrame.MAX_CONCURRENT_STREAMS: 7})
    assert asking.result() == 7


def test_notifications_are_sent_by_who_counts_streams_itself(ca, client_certificate):
    """A client of Apple's push service, as the most used one was."""
    from hyper import HTTP20Connection
    from hyper.tls import init_context

    context = init_context(
        str(ca.ca_file), cert=client_certificate, cert_password="secret"
    )
    tokens = [f"{n:064x}" for n in range(300)]
    gone = dict.fromkeys(tokens[::100], 1454402113000)
    with FakeAPNs(
        ca, goaway_after=[100, 200], inactive=gone, asks_for_certificates=True
    ) as service:
        conn = HTTP20Connection(
            "localhost",
            service.port,
            ssl_context=context,
            force_proto="h2",
            secure=True,
            proxy_host=None,
            proxy_port=None,
        )
        conn.connect()
        results = {}
        waiting = []
        left = list(tokens)
        while left or waiting:
            with conn._conn as connection:
                allowed = connection.remote_settings.max_concurrent_streams
            if left and len(waiting) < allowed:
                token = left.pop()
                body = b'{"aps":{"alert":"Hello"}}'
                headers = {"apns-topic": "com.example.App"}
                path = f"/3/device/{token}"
                waiting.append((conn.request("POST", path, body, headers), token))
                continue
            stream_id, token = waiting.pop(0)
            with conn.get_response(stream_id) as response:
                results[token] = "Success"
                if response.status != 200:
                    told = loads(response.read().decode("utf-8"))
                    results[token] = told["reason"], told["timestamp"]
        conn.close()
        assert results == {
            token: ("Unregistered", gone[token]) if token in gone else "Success"
            for token in tokens
        }
        assert service.delivered == dict.fromkeys(tokens, 1)
        assert service.connections == 3


def test_a_second_thread_pings_while_the_first_waits(peer):
    conn = peer.connection()
    stream_id = conn.request("GET", "/downchannel")
    peer.greet()
    peer.want_headers(stream_id)
    waiting = background(conn.get_response, stream_id)
    wait_for(lambda: waiting.waits_in("wait_until"))
    pinging = background(conn.ping, "-" * 8)
    assert peer.want(PingFrame).opaque_data == b"--------"
    peer.send_ping(b"--------", ack=True)
    pinging.result()
    peer.respond(stream_id, b"directive")
    assert waiting.result().read() == b"directive"


def test_a_stream_that_never_ends_leaves_room_for_others(server):
    """A voice assistant: one thread reads a stream for ever, others ask and ping."""
    from hyper import HTTP20Connection
    from hyper.http20.exceptions import StreamResetError

    conn = HTTP20Connection(server, secure=True)
    downchannel = conn.get_response(conn.request("GET", "/never"))
    received, ended = Event(), []

    def read():
        try:
            for chunk in downchannel.read_chunked():
                if chunk:
                    received.set()
        except StreamResetError as error:
            ended.append(error)

    thread = Thread(target=read)
    thread.start()
    assert received.wait(SECONDS)
    for _ in range(20):
        conn.ping("-" * 8)
        stream_id = conn.request("POST", "/post", body="{}")
        assert loads(conn.get_response(stream_id).read())["data"] == "{}"
    downchannel.close()
    thread.join(SECONDS)
    assert len(ended) == 1
    conn.close()


def test_what_was_refused_is_queued_again(peer):
    """A scanner: many ids, and another try for those that fail."""
    from hyper.http20.exceptions import StreamResetError

    conn = peer.connection()
    queue = ["/a", "/b"]
    streams = {conn.request("HEAD", path): path for path in queue}
    queue = []
    peer.greet()
    peer.want_headers(1), peer.want_headers(3)
    peer.send_reset(1, ErrorCodes.INTERNAL_ERROR)
    peer.respond(3)
    for stream_id, path in streams.items():
        try:
            assert conn.get_response(stream_id).status == 200
        except StreamResetError:
            queue.append(path)
    assert queue == ["/a"]


def test_a_connection_is_closed_with_an_error_code(peer):
    conn = peer.connection()
    conn.connect()
    peer.greet()
    conn.close(error_code=ErrorCodes.ENHANCE_YOUR_CALM)
    assert peer.want_goaway() == ErrorCodes.ENHANCE_YOUR_CALM
    conn.close(error_code=0)
    conn.request("GET", "/")
    peer.greet()
    conn.close()
    peer.want_headers()
    assert peer.want_goaway() == ErrorCodes.NO_ERROR


def test_headers_are_lists_of_bytes(server):
    from hyper import HTTP20Connection
    from hyper.common.headers import HTTPHeaderMap
    from hyper.common.util import to_native_string

    conn = HTTP20Connection(server, secure=True)
    headers = HTTPHeaderMap()
    headers["x-many"] = "a"
    headers["x-many"] = b"b"
    conn.request("GET", "/get", headers=headers)
    resp = conn.get_response()
    body = resp.read()
    assert int(resp.headers["Content-Length"][0]) == len(body)
    assert loads(body)["headers"]["X-Many"] == "a, b"
    assert resp.headers.get("x-missing") is None
    types = [to_native_string(v) for k, v in resp.headers.items() if b"type" in k]
    assert types == ["application/json"]
    conn.close()


def test_a_timeout_is_a_number_or_a_pair(server):
    from hyper import HTTP20Connection

    for timeout in (0.05, (SECONDS, 0.05)):
        conn = HTTP20Connection(server, secure=True, timeout=timeout)
        conn.request("GET", "/delay/60")
        try:
            conn.get_response()
        except socket.timeout:  # noqa: UP041
            pass
        else:
            pytest.fail("there was an answer")
        conn.close()


def test_trailers_are_there_when_the_body_is_read(server):
    from hyper import HTTP20Connection

    with HTTP20Connection(server, secure=True) as conn:
        conn.request("GET", "/trailers")
        resp = conn.get_response()
        assert resp.read()
        assert b"x-checksum" in resp.trailers


def test_a_missing_file_of_authorities_is_an_error(tmp_path):
    from hyper.common.exceptions import MissingCertFile
    from hyper.tls import init_context

    with pytest.raises(MissingCertFile):
        init_context(cert_path=str(tmp_path / "missing.pem"))


def test_cleartext_is_spoken_on_other_ports(peer):
    from hyper import HTTP20Connection

    conn = HTTP20Connection("localhost", peer.port)
    assert not conn.secure
    conn.request("GET", "/")
    peer.greet()
    assert peer.want_headers(1)[b":scheme"] == b"http"
    conn.close()
