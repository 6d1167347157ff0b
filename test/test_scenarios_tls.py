"""Rows of the table of scenarios about TLS that no other file shows.

The servers are Python's own ``ssl`` and, where it is too well-behaved to be one, a few
bytes put together by hand.
"""

import contextlib
import datetime
import socket
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from peer import PATIENCE, Peer
from threads import background

from hyper import (
    ConnectionLost,
    HTTP11Connection,
    HTTP20Connection,
    HTTPConnection,
    TLSError,
)
from hyper.tls import init_context


class TLSPeer(Peer):
    """A scripted HTTP/2 server that speaks TLS."""

    def __init__(self, context):
        super().__init__()
        self._context = context

    def accept(self):
        """Take the next connection; the client shakes hands in another thread."""
        super().accept()
        self._accepted[-1] = self._context.wrap_socket(self.sock, server_side=True)

    def cut_off(self):
        """Close TCP with a FIN, and without the close_notify of TLS."""
        self.sock.shutdown(socket.SHUT_WR)


@pytest.fixture
def tls_peer():
    """Starts a TLSPeer with the context it is given; all end with the test."""
    with contextlib.ExitStack() as stack:

        def start(context):
            context.set_alpn_protocols(["h2", "http/1.1"])
            peer = TLSPeer(context)
            stack.callback(peer.close)
            return peer

        yield start


def server_context(ca):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca.cert_file, ca.key_file)
    return context


def self_signed(directory, common_name, dns_name):
    """Return the file of a certificate, which is its own authority, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(1))
        .not_valid_after(now + datetime.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(dns_name)]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    file = directory / "self-signed.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


def vector(size, data):
    """Return ``data`` with its length before it in ``size`` bytes, as TLS has it."""
    return len(data).to_bytes(size, "big") + data


def server_hello(protocol):
    """Return a ServerHello of TLS 1.2 that says ALPN chose ``protocol``."""
    alpn = b"\x00\x10" + vector(2, vector(2, vector(1, protocol)))
    extensions = b"\xff\x01\x00\x01\x00" + alpn  # renegotiation_info, empty
    hello = b"\x03\x03" + bytes(32) + b"\x00" + b"\xc0\x2f" + b"\x00"
    handshake = b"\x02" + vector(3, hello + vector(2, extensions))
    return b"\x16\x03\x03" + vector(2, handshake)


@pytest.mark.scenario(4)
@pytest.mark.parametrize("kind", [HTTP20Connection, HTTP11Connection, HTTPConnection])
def test_a_protocol_that_was_not_offered_is_no_choice(kind):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def choose_another():
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(PATIENCE)
                said = sock.recv(65536)
                sock.sendall(server_hello(b"h3"))
                while data := sock.recv(65536):
                    said += data
                return said

        serving = background(choose_another)
        port = listener.getsockname()[1]
        with kind("127.0.0.1", port, True, timeout=PATIENCE) as conn:
            with pytest.raises(TLSError):
                conn.request("GET", "/")
        said = serving.result()
    assert said.startswith(b"\x16\x03"), "a ClientHello"
    alert = said[-7:]
    assert alert[:3] == b"\x15\x03\x03", "and then nothing but an alert"
    assert alert[5] == 2, "a fatal one"


@pytest.mark.scenario(20)
@pytest.mark.parametrize("where", ["common name", "alternative name"])
def test_a_name_does_not_end_at_a_nul(tls_peer, tmp_path, where):
    evil = "localhost\0.evil.test"
    file = self_signed(
        tmp_path,
        common_name=evil if where == "common name" else "localhost",
        dns_name=evil if where == "alternative name" else "evil.test",
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    peer = tls_peer(context)
    refusing = background(peer.accept)
    with HTTP20Connection(
        "localhost", peer.port, True, ssl_context=init_context(file), timeout=PATIENCE
    ) as conn:
        with pytest.raises(TLSError, match="localhost was not accepted"):
            conn.request("GET", "/")
    assert isinstance(refusing.error(), ssl.SSLError)


@pytest.mark.scenario(28)
def test_who_does_not_verify_opens_no_door_for_who_does(tls_peer, ca):
    careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    careless.check_hostname = False
    careless.verify_mode = ssl.CERT_NONE
    peer = tls_peer(server_context(ca))
    first = HTTP20Connection(
        "127.0.0.1", peer.port, True, ssl_context=careless, timeout=PATIENCE
    )
    connecting = background(first.connect)
    peer.greet()
    connecting.result()
    refusing = background(peer.accept)
    with HTTP20Connection("127.0.0.1", peer.port, True, timeout=PATIENCE) as second:
        with pytest.raises(TLSError, match="was not accepted"):
            second.request("GET", "/")
    assert isinstance(refusing.error(), ssl.SSLError)
    assert first.is_connected
    assert peer.connections == 2
    first.close()


@pytest.mark.scenario(29)
def test_an_end_without_close_notify_concerns_unfinished_responses_only(tls_peer, ca):
    peer = tls_peer(server_context(ca))
    context = init_context(ca.ca_file)
    conn = peer.connection(secure=True, ssl_context=context)
    asking = background(lambda: [conn.request("GET", "/") for _ in range(2)])
    peer.greet()
    finished, unfinished = asking.result()
    peer.respond(finished, b"all of it")
    peer.send(peer.headers(unfinished), peer.data(unfinished, b"some"))
    peer.cut_off()
    assert conn.get_response(finished).read() == b"all of it"
    response = conn.get_response(unfinished)
    assert response.read1() == b"some"
    with pytest.raises(ConnectionLost):
        response.read()
