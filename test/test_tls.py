"""What users import to speak TLS, under the names it always had."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
from threads import background

import hyper.tls
from hyper import (
    ConnectError,
    ConnectTimeout,
    HTTP20Connection,
    TLSError,
    http2bin,
)
from hyper.tls import init_context, wrap_socket


@pytest.fixture(scope="module")
def service():
    with http2bin.serve() as server:
        yield server


@pytest.fixture
def sock(service):
    """A socket that is connected to a server with TLS."""
    with socket.create_connection(("localhost", service.port), 10) as sock:
        yield sock


def test_every_name_is_there():
    assert hyper.tls.NPN_PROTOCOL == "h2"
    assert hyper.tls.H2_NPN_PROTOCOLS == ["h2"]
    assert hyper.tls.SUPPORTED_NPN_PROTOCOLS == ["h2", "http/1.1"]
    assert hyper.tls.H2C_PROTOCOL == "h2c"
    authorities = ssl.create_default_context(cafile=hyper.tls.cert_loc)
    assert authorities.get_ca_certs()
    assert Path(hyper.tls.cert_loc).is_file()


def test_a_socket_is_wrapped_and_the_protocol_negotiated(service, sock):
    wrapped, protocol = wrap_socket(sock, "localhost", init_context(service.ca_file))
    with wrapped:
        assert protocol == "h2"
        assert wrapped.version() >= "TLSv1.2"


def test_a_socket_is_wrapped_with_the_context_of_the_environment(
    service, sock, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", service.ca_file)
    wrapped, protocol = wrap_socket(sock, "localhost", force_proto="spdy")
    with wrapped:
        assert protocol == "spdy"


def test_a_server_that_is_not_trusted_is_refused(sock):
    with pytest.raises(TLSError, match="certificate of localhost"):
        wrap_socket(sock, "localhost", init_context())
    assert sock.fileno() == -1, "it was closed"


def test_a_server_that_says_nothing_is_waited_for_as_long_as_the_socket_does():
    ours, theirs = socket.socketpair()
    ours.settimeout(0.01)
    with theirs, pytest.raises(ConnectTimeout, match="localhost"):
        wrap_socket(ours, "localhost", init_context())


def test_a_server_that_dies_in_the_handshake_is_an_error(peer):
    sock = socket.create_connection(("127.0.0.1", peer.port), 10)
    peer.accept()
    wrapping = background(wrap_socket, sock, "localhost", init_context())
    peer.sock.recv(1)
    peer.die()
    assert isinstance(wrapping.error(), ConnectError)


def test_a_connection_takes_the_socket_over(service, sock):
    wrapped, protocol = wrap_socket(sock, "localhost", init_context(service.ca_file))
    assert protocol == "h2"
    with HTTP20Connection("localhost", sock=wrapped, timeout=10) as conn:
        conn.request("GET", "/get")
        assert conn.get_response().status == 200
