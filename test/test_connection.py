"""The connection that takes what the server speaks."""

import ssl

import pytest
from h2.errors import ErrorCodes
from threads import background

from hyper import (
    HTTP11Response,
    HTTP20Response,
    HTTPConnection,
    HTTPVersion,
    LocalProtocolError,
    http2bin,
)
from hyper.tls import init_context


@pytest.fixture(scope="module")
def service():
    with http2bin.serve() as service:
        yield service


@pytest.mark.scenario(1)
def test_with_tls_and_a_server_that_can_it_is_http2(service):
    context = init_context(service.ca_file)
    with HTTPConnection(service.url, ssl_context=context) as conn:
        assert conn.version is HTTPVersion.http11, "as long as nothing is known"
        conn.request("GET", "/get")
        assert isinstance(conn.get_response(), HTTP20Response)
        assert conn.version is HTTPVersion.http20


@pytest.mark.scenario(2)
def test_with_tls_and_a_server_that_cannot_it_is_http1(real_server):
    server = real_server("nginx", "h1-tls")
    context = init_context(server.ca_file)
    with HTTPConnection(
        "localhost", server.h1_tls_port, True, ssl_context=context
    ) as conn:
        conn.request("GET", "/hello")
        response = conn.get_response()
        assert isinstance(response, HTTP11Response)
        assert response.read() == b"hello\n"
        assert conn.version is HTTPVersion.http11


def test_without_tls_it_is_http1():
    with http2bin.serve(tls=False) as service:
        with HTTPConnection(service.url) as conn:
            conn.request("GET", "/get")
            assert conn.get_response().version is HTTPVersion.http11


@pytest.mark.parametrize("tls", [True, False])
def test_ids_work_alike_in_both_versions(tls):
    with http2bin.serve(tls=tls) as service:
        context = init_context(service.ca_file) if tls else None
        with HTTPConnection(service.url, ssl_context=context, timeout=10) as conn:
            first = conn.request("GET", "/get")
            second = conn.request("POST", "/post", data="key=value")
            third = conn.request("GET", "/ip")
            assert len({first, second, third}) == 3
            answers = [conn.getresponse(i).read() for i in (second, first, third)]
    assert b"key=value" in answers[0]
    assert b'"url"' in answers[1]
    assert b'"origin"' in answers[2]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("a.test",), ("a.test", 80, False)),
        (("a.test", 443), ("a.test", 443, True)),
        (("https://a.test",), ("a.test", 443, True)),
    ],
)
def test_the_port_decides_about_tls_unless_told(args, expected):
    conn = HTTPConnection(*args)
    assert (conn.host, conn.port, conn.secure) == expected


@pytest.mark.parametrize("option", [{"proxy_host": "p"}])
def test_what_is_not_there_yet_says_so(option):
    with pytest.raises(NotImplementedError, match="not available yet"):
        HTTPConnection("a.test", **option)


@pytest.mark.parametrize("tls", [True, False])
def test_threads_share_it_in_both_versions(tls):
    with http2bin.serve(tls=tls) as service:
        context = init_context(service.ca_file) if tls else None
        with HTTPConnection(service.url, ssl_context=context, timeout=20) as conn:

            def fetch(number):
                stream_id = conn.request("POST", "/echo", b"%d" % number)
                return conn.get_response(stream_id).read()

            tasks = [background(fetch, number) for number in range(30)]
            assert [task.result() for task in tasks] == [
                b"%d" % number for number in range(30)
            ]
        assert service.connections == 1


@pytest.mark.scenario(114)
@pytest.mark.parametrize("how", ["RST_STREAM", "GOAWAY"])
def test_a_server_that_requires_http1_gets_it_from_then_on(peer, ca, how):
    peer.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    peer.tls.load_cert_chain(ca.cert_file, ca.key_file)
    peer.tls.set_alpn_protocols(["h2", "http/1.1"])
    context = init_context(ca.ca_file)
    conn = peer.client(HTTPConnection, secure=True, ssl_context=context)
    asking = background(conn.request, "POST", "/", b"body")
    peer.greet()
    peer.want_headers(1)
    peer.want_body(1)
    stream_id = asking.result()
    answer = background(conn.get_response, stream_id)
    if how == "GOAWAY":
        peer.send_goaway(0, ErrorCodes.HTTP_1_1_REQUIRED)
    else:
        peer.send_reset(1, ErrorCodes.HTTP_1_1_REQUIRED)
    for _ in range(2):
        peer.accept()
        assert peer.sock.selected_alpn_protocol() == "http/1.1"
        received = b""
        while not received.endswith(b"body"):
            received += peer.sock.recv(65536)
        assert received.startswith(b"POST / HTTP/1.1\r\n")
        peer.send_bytes(b"HTTP/1.1 204 No\r\nConnection: close\r\n\r\n")
        assert answer.result().version is HTTPVersion.http11
        again = background(conn.request, "POST", "/", b"body")
        answer = background(lambda task=again: conn.get_response(task.result()))
    peer.accept()
    peer.die()
    answer.error()


def test_what_only_http2_can_do_is_refused_over_http1():
    with http2bin.serve(tls=False) as service:
        with HTTPConnection(service.url, timeout=10) as conn:
            with pytest.raises(LocalProtocolError, match=r"speaks HTTP/1\.1"):
                conn.ping()
