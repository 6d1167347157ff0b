"""Contexts of pyOpenSSL in the place of the standard library's."""

from __future__ import annotations

import ssl

import pytest
from OpenSSL import SSL
from test_common_pins import not_der
from threads import background

from hyper import (
    ConnectError,
    ConnectionLost,
    HTTP11Connection,
    HTTP20Connection,
    HTTPConnection,
    HTTPVersion,
    TLSError,
    http2bin,
)
from hyper.transport.pyopenssl import PyOpenSSLFilter
from hyper.transport.tls import H2, HTTP11, tls_filter

BODY = bytes(range(256)) * 8192  # 2 MiB


@pytest.fixture(scope="module")
def service():
    with http2bin.serve() as service:
        yield service


@pytest.fixture
def context(service):
    return trusting(service.ca_file)


def trusting(ca_file=None):
    """Return a context that verifies servers, against one authority or none."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_PEER)
    if ca_file is not None:
        context.load_verify_locations(str(ca_file))
    return context


@pytest.mark.parametrize(
    ("of", "version"),
    [
        (HTTP20Connection, HTTPVersion.http20),
        (HTTP11Connection, HTTPVersion.http11),
        (HTTPConnection, HTTPVersion.http20),
    ],
)
def test_every_connection_speaks_through_it(service, context, of, version):
    with of(service.url, ssl_context=context, timeout=10) as conn:
        ids = [conn.request("POST", "/echo", BODY) for _ in range(2)]
        for stream_id in ids:
            response = conn.get_response(stream_id)
            assert response.version is version
            assert response.read() == BODY


def test_threads_share_it(service, context):
    with HTTP20Connection(service.url, ssl_context=context, timeout=20) as conn:

        def fetch(number):
            body = b"%d" % number * 5000
            assert conn.get_response(conn.request("POST", "/echo", body)).read() == body

        for task in [background(fetch, number) for number in range(16)]:
            task.result()


def test_a_server_that_nobody_vouches_for_is_refused(service):
    conn = HTTP20Connection(service.url, ssl_context=trusting(), timeout=10)
    with pytest.raises(TLSError, match="certificate verify failed") as caught:
        conn.request("GET", "/")
    assert caught.value.retry_safe


@pytest.mark.parametrize("name", ["a.test", "192.0.2.1"])
def test_a_certificate_for_another_host_is_refused(service, context, name):
    conn = HTTP20Connection(
        "localhost",
        service.port,
        True,
        ssl_context=context,
        server_hostname=name,
        timeout=10,
    )
    with pytest.raises(TLSError, match=f"of {name} was not accepted"):
        conn.request("GET", "/")


def test_an_address_is_verified_as_one(service, context):
    conn = HTTP20Connection("127.0.0.1", service.port, True, ssl_context=context)
    with conn:
        conn.request("GET", "/get")
        assert conn.get_response().status == 200


def test_a_certificate_that_cannot_be_read_is_refused(peer, tmp_path):
    # OpenSSL can: see not_der(). The cryptography package wants it to the letter.
    file, _ = not_der(tmp_path)
    peer.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    peer.tls.load_cert_chain(file)
    conn = peer.connection(
        secure=True, server_hostname="localhost", ssl_context=trusting(file)
    )
    asking = background(conn.connect)
    peer.accept()
    assert "localhost was not accepted" in str(asking.error())


def test_who_verifies_nobody_is_not_stopped_by_a_name(service):
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    with HTTP20Connection(
        "localhost",
        service.port,
        True,
        ssl_context=context,
        server_hostname="a.test",
        timeout=10,
    ) as conn:
        conn.request("GET", "/get")
        assert conn.get_response().status == 200


def test_the_names_of_the_certificate_say_who_may_push(service, context):
    with HTTP20Connection(
        service.url, ssl_context=context, enable_push=True, timeout=10
    ) as conn:
        stream_id = conn.request("GET", "/get")
        assert conn.get_response(stream_id).read()
        assert list(conn.get_pushes(stream_id, capture_all=True)) == []


def test_a_certificate_that_was_not_verified_lets_nobody_push(server):
    layer = tls_filter(SSL.Context(SSL.TLS_CLIENT_METHOD), "localhost", ())
    server.shake_hands(layer)
    assert layer.certificate is not None
    assert layer.names == frozenset()


def test_what_is_no_context_is_a_type_error(service):
    conn = HTTP20Connection(service.url, ssl_context="secure", timeout=10)
    with pytest.raises(TypeError, match="not str"):
        conn.request("GET", "/")


def test_a_server_that_hangs_up_in_the_handshake_is_an_error(text_peer):
    conn = HTTP20Connection(
        "localhost", text_peer.port, True, ssl_context=trusting(), timeout=10
    )
    asking = background(conn.connect)
    text_peer.accept()
    text_peer.hang_up()
    assert isinstance(asking.error(), (ConnectError, ConnectionLost))


# The filter alone, between two buffers.


@pytest.fixture
def server(ca):
    """A TLS server without a socket."""
    return Server(ca)


class Server:
    def __init__(self, ca):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(ca.cert_file, ca.key_file)
        context.set_alpn_protocols([H2])
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)

    def shake_hands(self, layer):
        for _ in range(4):
            self.incoming.write(layer.encrypt(b""))
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
            layer.decrypt(self.outgoing.read())
        assert layer.established


def test_plain_bytes_go_in_and_come_out(server, ca):
    layer = tls_filter(trusting(ca.ca_file), "localhost", (H2, HTTP11))
    assert isinstance(layer, PyOpenSSLFilter)
    server.shake_hands(layer)
    assert layer.alpn == H2
    assert layer.names == {"localhost"}
    assert layer.tls.get_protocol_version_name() == "TLSv1.3"
    server.incoming.write(layer.encrypt(b"question"))
    assert server.tls.read() == b"question"
    server.tls.write(b"answer" * 10_000)
    assert layer.decrypt(server.outgoing.read()) == b"answer" * 10_000
    assert not layer.ended


def test_the_end_is_told_both_ways(server, ca):
    layer = tls_filter(trusting(ca.ca_file), "localhost", ())
    server.shake_hands(layer)
    assert layer.alpn is None
    server.incoming.write(layer.close())
    assert server.tls.read() == b""
    server.tls.unwrap()
    layer.decrypt(server.outgoing.read())
    assert layer.ended
    assert layer.decrypt(b"more") == b""


def test_a_broken_record_is_a_failure(server, ca):
    layer = tls_filter(trusting(ca.ca_file), "localhost", ())
    server.shake_hands(layer)
    assert layer.decrypt(b"\x17\x03\x03\x00\x20" + bytes(32)) == b""
    assert isinstance(layer.failure, TLSError)
    assert "localhost" in str(layer.failure)
    assert b"secret" not in layer.encrypt(b"secret")
    assert layer.close() == b""


def test_before_the_handshake_there_are_no_names(ca):
    layer = tls_filter(trusting(ca.ca_file), "localhost", (H2,))
    assert isinstance(layer, PyOpenSSLFilter)
    assert layer.names == frozenset()
    assert layer.certificate is None
    assert layer.alpn is None
