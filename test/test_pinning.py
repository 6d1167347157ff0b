"""Pinning: a server is refused for its key, in whatever way TLS with it is spoken."""

from __future__ import annotations

import ssl

import pytest
import truststore
from OpenSSL import SSL
from test_common_pins import not_der
from threads import background

from hyper import (
    HTTP11Connection,
    HTTP20Connection,
    HTTPConnection,
    LocalProtocolError,
    TLSError,
    http2bin,
)
from hyper.common.pins import pin_of
from hyper.tls import init_context

OTHER = "sha256:" + "00" * 32

every_connection = pytest.mark.parametrize(
    "of", [HTTP11Connection, HTTP20Connection, HTTPConnection]
)


def unverified(ca_file):
    context = init_context(ca_file)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def of_pyopenssl(ca_file):
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_PEER)
    context.load_verify_locations(str(ca_file))
    return context


def unverified_of_pyopenssl(ca_file):
    return SSL.Context(SSL.TLS_CLIENT_METHOD)


def of_truststore(ca_file):
    # It trusts whom the system trusts, and on Linux that is whom SSL_CERT_FILE names.
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


every_context = pytest.mark.parametrize(
    "make_context",
    [
        init_context,
        unverified,
        of_truststore,
        of_pyopenssl,
        unverified_of_pyopenssl,
    ],
)


@pytest.fixture(scope="module")
def service():
    with http2bin.serve() as service:
        yield service


def pin_of_server(port):
    """Return the pin of whoever listens on a port of the loopback."""
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    return pin_of(ssl.PEM_cert_to_DER_cert(pem))


@every_connection
@every_context
def test_the_right_key_is_let_through(service, monkeypatch, of, make_context):
    monkeypatch.setenv("SSL_CERT_FILE", service.ca_file)
    pin = pin_of_server(service.port)
    with of(
        service.url,
        ssl_context=make_context(service.ca_file),
        pins=[OTHER, pin],
        timeout=10,
    ) as conn:
        conn.request("GET", "/get")
        assert conn.get_response().status == 200


@every_connection
@every_context
def test_a_server_with_another_key_gets_no_byte_of_a_request(
    peer, ca, monkeypatch, of, make_context
):
    monkeypatch.setenv("SSL_CERT_FILE", str(ca.ca_file))
    peer.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    peer.tls.load_cert_chain(ca.cert_file, ca.key_file)
    peer.tls.set_alpn_protocols(["h2"])
    pin = pin_of(ssl.PEM_cert_to_DER_cert(ca.cert_file.read_text()))
    with of(
        "127.0.0.1",
        peer.port,
        True,
        ssl_context=make_context(ca.ca_file),
        pins=OTHER,
        timeout=10,
    ) as conn:
        asking = background(conn.request, "POST", "/", b"a secret")
        peer.accept()
        assert peer.sock.recv(1) == b""
        error = asking.error()
    assert isinstance(error, TLSError)
    assert str(error) == f"the key of 127.0.0.1 is not one of the pins: it is {pin}"
    assert error.retry_safe


def test_a_server_without_a_certificate_has_no_key(peer):
    peer.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    peer.tls.set_ciphers("aNULL:@SECLEVEL=0")
    peer.tls.maximum_version = ssl.TLSVersion.TLSv1_2
    context = unverified(None)
    context.set_ciphers("aNULL:@SECLEVEL=0")
    conn = peer.connection(secure=True, ssl_context=context, pins=OTHER)
    asking = background(conn.connect)
    peer.accept()
    assert "showed no certificate" in str(asking.error())


@pytest.mark.parametrize("make_context", [unverified, unverified_of_pyopenssl])
def test_a_certificate_that_is_not_der_has_no_pin(peer, tmp_path, make_context):
    file, pin = not_der(tmp_path)
    peer.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    peer.tls.load_cert_chain(file)
    context = make_context(None)
    conn = peer.connection(secure=True, ssl_context=context, pins=pin)
    asking = background(conn.connect)
    peer.accept()
    assert "has no pin: a length" in str(asking.error())


@pytest.mark.scenario(255)
def test_behind_a_proxy_it_is_the_key_of_the_server_that_counts(real_server, service):
    proxy = real_server("squid", "tls")
    context = init_context(service.ca_file)
    context.load_verify_locations(proxy.ca_file)
    target, other = pin_of_server(service.port), pin_of_server(proxy.ports.proxy_tls)
    for pin, refused in ((target, False), (other, True)):
        with HTTP20Connection(
            service.url,
            ssl_context=context,
            proxy=proxy.proxy_url("https"),
            pins=pin,
            timeout=10,
        ) as conn:
            connecting = background(conn.connect)
            if refused:
                assert isinstance(connecting.error(), TLSError)
            else:
                connecting.result()


@every_connection
def test_pins_without_tls_are_refused_at_once(of):
    with pytest.raises(LocalProtocolError, match="pins are for TLS"):
        of("a.test", 80, pins=OTHER)


@every_connection
def test_pins_that_are_none_are_refused_at_once(of):
    for wrong in ("", [], ["sha1//"]):
        with pytest.raises(LocalProtocolError):
            of("a.test", 443, pins=wrong)
