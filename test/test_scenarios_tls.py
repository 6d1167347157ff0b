"""Rows of the table of scenarios about TLS that no other file shows.

The servers are Python's own ``ssl`` and, where it is too well-behaved to be one, a few
bytes put together by hand.
"""

import contextlib
import datetime
import fcntl
import select
import shutil
import socket
import ssl
import struct
import subprocess
import termios

import pytest
import truststore
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from peer import PATIENCE, Peer
from servers import ServerMissing
from servers.fixtures import skip_or_fail
from test_transport_tls import encrypted_key
from threads import background, wait_for

from hyper import (
    ConnectionLost,
    HTTP11Connection,
    HTTP20Connection,
    HTTPConnection,
    HTTPVersion,
    TLSError,
    http2bin,
)
from hyper.tls import init_context

every_kind = pytest.mark.parametrize(
    "kind", [HTTP20Connection, HTTP11Connection, HTTPConnection]
)


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
@every_kind
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


@pytest.mark.scenario(23)
def test_a_cipher_that_http2_forbids_is_taken_all_the_same(tls_peer, ca):
    serving = server_context(ca)
    serving.maximum_version = ssl.TLSVersion.TLSv1_2
    serving.set_ciphers("ECDHE-ECDSA-AES256-SHA384")  # RFC 9113 appendix A has it
    peer = tls_peer(serving)
    conn = peer.connection(secure=True, ssl_context=init_context(ca.ca_file))
    asking = background(conn.request, "GET", "/")
    peer.greet()
    assert peer.sock.cipher()[0] == "ECDHE-ECDSA-AES256-SHA384"
    peer.respond(asking.result(), b"body")
    assert conn.get_response().read() == b"body"


def unread(pipe):
    """Return how many bytes in a pipe its reader has not taken."""
    (count,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
    return count


class OpenSSLServer:
    """``openssl s_server``, which sends what it is told, and new keys at a ``K``."""

    def __init__(self, ca):
        program = shutil.which("openssl")
        if program is None:
            skip_or_fail(ServerMissing("openssl", "apt-get install openssl"))
        command = [program, "s_server", "-accept", "127.0.0.1:0", "-alpn", "http/1.1"]
        command += ["-cert", str(ca.cert_file), "-key", str(ca.key_file)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )
        self.port = int(self.want(b"ACCEPT").rpartition(b":")[2])

    def say(self, data):
        """Have it send this, or do it: the first letter tells which."""
        self._process.stdin.write(data)
        wait_for(lambda: not unread(self._process.stdin))

    def want(self, beginning):
        """Return the next line of its output that begins so."""
        line = b""
        while not line.startswith(beginning):
            assert select.select([self._process.stdout], [], [], PATIENCE)[0]
            line = self._process.stdout.readline()
            assert line, "it has ended"
        return line

    def close(self):
        self._process.kill()
        self._process.communicate()


@pytest.mark.scenario(25)
def test_new_keys_in_the_middle_of_a_transfer_are_not_noticed(ca):
    context = init_context(ca.ca_file)
    with contextlib.closing(OpenSSLServer(ca)) as server:
        with HTTP11Connection(
            "127.0.0.1", server.port, True, ssl_context=context, timeout=PATIENCE
        ) as conn:
            conn.request("GET", "/first")
            server.want(b"GET /first")
            server.say(b"HTTP/1.1 200 OK\nContent-Length: 8\n\nold\n")
            response = conn.get_response()
            assert response.read(4) == b"old\n"
            server.say(b"K\n")
            server.say(b"new\n")
            assert response.read() == b"new\n"
            # It has asked us for new keys as well.
            conn.request("GET", "/second")
            server.want(b"GET /second")
            server.say(b"HTTP/1.1 204 Done\n\n")
            assert conn.get_response().status == 204


@every_kind
@pytest.mark.scenario(11)
def test_whom_the_system_trusts_is_asked_through_truststore(ca, monkeypatch, kind):
    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with http2bin.serve() as service:
        with kind(service.url, ssl_context=context, timeout=PATIENCE) as conn:
            # On Linux the system is OpenSSL, and trusts whom this names.
            monkeypatch.setenv("SSL_CERT_FILE", str(ca.ca_file))
            with pytest.raises(TLSError, match="localhost was not accepted"):
                conn.request("GET", "/get")
            monkeypatch.setenv("SSL_CERT_FILE", service.ca_file)
            conn.request("GET", "/get")
            assert conn.get_response().status == 200
            expected = {HTTP11Connection: HTTPVersion.http11}
            assert conn.version is expected.get(kind, HTTPVersion.http20)


@every_kind
@pytest.mark.scenario(27)
def test_a_client_certificate_is_shown_whose_key_has_a_password(
    text_peer, ca, tmp_path, kind
):
    client = ca.issuer.issue_cert("client@a.test")
    file = tmp_path / "client.pem"
    file.write_bytes(
        client.cert_chain_pems[0].bytes() + encrypted_key(client, b"secret")
    )
    text_peer.tls = server_context(ca)
    text_peer.tls.verify_mode = ssl.CERT_REQUIRED
    text_peer.tls.load_verify_locations(ca.ca_file)
    text_peer.tls.set_alpn_protocols(["h2", "http/1.1"])
    context = init_context(ca.ca_file, str(file), "secret")
    conn = text_peer.client(kind, secure=True, ssl_context=context)
    asking = background(conn.request, "GET", "/")
    text_peer.accept()
    shown = text_peer.sock.getpeercert(binary_form=True)
    assert ssl.DER_cert_to_PEM_cert(shown).encode() == client.cert_chain_pems[0].bytes()
    text_peer.want_bytes(10)
    asking.result()


@every_kind
@pytest.mark.scenario(27)
def test_a_server_that_misses_a_client_certificate_is_an_error(text_peer, ca, kind):
    text_peer.tls = server_context(ca)
    text_peer.tls.verify_mode = ssl.CERT_REQUIRED
    text_peer.tls.load_verify_locations(ca.ca_file)
    text_peer.tls.set_alpn_protocols(["h2", "http/1.1"])
    context = init_context(ca.ca_file)
    conn = text_peer.client(kind, secure=True, ssl_context=context)
    # In TLS 1.3 the server says so when the client has done with the handshake, and
    # perhaps has asked for something. If it has not, it tries once more.
    asking = background(lambda: conn.get_response(conn.request("GET", "/")))
    while asking.running:
        wait_for(lambda: text_peer.has_caller or not asking.running)
        if text_peer.has_caller:
            with pytest.raises(ssl.SSLError):
                text_peer.accept()
    error = asking.error()
    assert isinstance(error, TLSError)
    assert "certificate required" in str(error)


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
