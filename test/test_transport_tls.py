"""TLS as a filter over memory: handshakes, ends, failures; and contexts.

Most tests hold both ends in memory, :class:`Server` the other one, so that every byte
between them passes through the test. The last ones put the filter into a
BufferedSocket and speak with Python's own ``SSLSocket``.
"""

from __future__ import annotations

import datetime
import hashlib
import socket
import ssl
import threading
import warnings

import certifi
import pytest
import trustme
from collector import Collector
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.x509.oid import NameOID
from threads import PATIENCE, background

from hyper.common.exceptions import ConnectionLost, TLSError
from hyper.tls import init_context as handed_on
from hyper.transport.bufsocket import BufferedSocket
from hyper.transport.deadline import Timeout
from hyper.transport.tls import (
    H2,
    HTTP11,
    TLSFilter,
    default_context,
    init_context,
)

ENVIRONMENT = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


class Server:
    """The server's end of one TLS connection."""

    def __init__(self, context):
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.established = False
        self.ended = False
        self.received = bytearray()
        self.error = None

    def take(self, data):
        """Take bytes from the wire; return what goes back onto it."""
        self._incoming.write(data)
        try:
            if not self.established:
                self.tls.do_handshake()
                self.established = True
            while data := self.tls.read():
                self.received += data
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            self.error = error
        return self._outgoing.read()

    def say(self, data):
        self.tls.write(data)
        return self._outgoing.read()

    def close(self):
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        return self._outgoing.read()


def shake_hands(layer, server):
    """Carry bytes both ways until there are no more."""
    plain = b""
    while data := layer.encrypt(b""):
        plain += layer.decrypt(server.take(data))
    assert plain == b""


def server_context(certificate=None, alpn=()):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if certificate is not None:
        certificate.configure_cert(context)
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture(scope="module")
def certificate(ca):
    return ca.issue_cert("server.test", "127.0.0.1")


@pytest.fixture
def context(ca, plain_environment):
    context = init_context()
    ca.configure_trust(context)
    return context


@pytest.fixture
def ends(context, certificate):
    """Returns a connected pair: the filter and the server."""

    def ends(alpn=(), offered=(), name="server.test"):
        layer = TLSFilter(context, name, alpn)
        server = Server(server_context(certificate, offered))
        shake_hands(layer, server)
        return layer, server

    return ends


@pytest.fixture
def plain_environment(monkeypatch):
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


class TestHandshake:
    def test_bytes_pass_both_ways_once_it_is_done(self, ends):
        layer, server = ends()
        assert layer.established
        assert layer.failure is None
        assert server.take(layer.encrypt(b"hello")) == b""
        assert server.received == b"hello"
        assert layer.decrypt(server.say(b"world")) == b"world"

    @pytest.mark.scenario(25)
    def test_the_session_tickets_of_tls_1_3_are_no_data_and_no_end(self, ends):
        layer, server = ends()
        assert layer.tls.version() == "TLSv1.3"
        assert not layer.ended
        assert layer.decrypt(server.say(b"data after tickets")) == b"data after tickets"

    def test_nothing_plain_goes_out_before_it_is_done(self, context):
        layer = TLSFilter(context, "server.test")
        hello = layer.encrypt(b"SECRET")
        assert hello[0] == 22  # A handshake record.
        assert b"SECRET" not in hello
        assert not layer.established
        assert layer.encrypt(b"SECRET") == b""

    def test_the_connection_can_be_asked_for_its_certificate(self, ends):
        layer, _ = ends()
        names = layer.tls.getpeercert()["subjectAltName"]
        assert ("DNS", "server.test") in names

    @pytest.mark.parametrize("size", [1, 16384, 16385, 1_000_000])
    def test_any_amount_passes_whole(self, ends, size):
        layer, server = ends()
        data = bytes(range(256)) * (size // 256) + b"." * (size % 256)
        server.take(layer.encrypt(data))
        assert server.received == data
        assert layer.decrypt(server.say(data)) == data

    @pytest.mark.parametrize("size", [18 * 16384 - 1, 18 * 16384, 18 * 16384 + 1])
    def test_what_comes_between_much_and_the_end_is_not_lost(self, ends, size):
        layer, server = ends()
        data = bytes(range(256)) * (size // 256) + b"." * (size % 256)
        assert layer.decrypt(server.say(data) + server.close()) == data
        assert layer.ended
        assert layer.failure is None

    def test_it_can_be_cut_at_every_byte(self, context, certificate):
        layer = TLSFilter(context, "server.test", [H2])
        server = Server(server_context(certificate, [H2]))
        got = b""
        while data := layer.encrypt(b""):
            answer = b"".join(server.take(data[i : i + 1]) for i in range(len(data)))
            got += b"".join(
                layer.decrypt(answer[i : i + 1]) for i in range(len(answer))
            )
        assert layer.established
        for data in (server.say(b"first"), server.say(b"second"), server.close()):
            assert not layer.ended
            for i in range(len(data)):
                got += layer.decrypt(data[i : i + 1])
        assert got == b"firstsecond"
        assert layer.ended
        assert layer.failure is None

    def test_data_right_after_the_handshake_is_returned_with_it(
        self, context, certificate
    ):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        layer = TLSFilter(context, "server.test")
        server = Server(server_context(certificate))
        layer.decrypt(server.take(layer.encrypt(b"")))
        finished = server.take(layer.encrypt(b""))
        assert layer.decrypt(finished + server.say(b"welcome")) == b"welcome"


class TestALPN:
    @pytest.mark.scenario(1, 2, 3)
    @pytest.mark.parametrize(
        ("wanted", "offered", "chosen"),
        [
            ([H2, HTTP11], [H2, HTTP11], H2),
            ([H2, HTTP11], [HTTP11], HTTP11),
            ([HTTP11], [HTTP11, H2], HTTP11),
            ([H2, HTTP11], [], None),
            ([], [H2], None),
            ([H2], [HTTP11], None),
        ],
    )
    def test_the_servers_choice_is_told(self, ends, wanted, offered, chosen):
        layer, _ = ends(wanted, offered)
        assert layer.established
        assert layer.alpn == chosen

    def test_connections_that_share_a_context_offer_what_each_was_told_to(
        self, context, certificate
    ):
        wanted = [[H2], [HTTP11], [], [H2, HTTP11], []]
        layers = [TLSFilter(context, "server.test", alpn) for alpn in wanted]
        for layer in layers:
            shake_hands(layer, Server(server_context(certificate, [H2, HTTP11])))
        assert [layer.alpn for layer in layers] == [H2, HTTP11, None, H2, None]

    @pytest.mark.parametrize("name", ["", "x" * 256])
    def test_a_protocol_that_has_no_proper_name_is_an_error(self, context, name):
        with pytest.raises(TLSError, match="TLS cannot start"):
            TLSFilter(context, "server.test", [name])


class TestWhoIsTrusted:
    @pytest.mark.scenario(13, 14, 15, 16, 18)
    @pytest.mark.parametrize(
        ("shown", "name", "good"),
        [
            (["a.test"], "a.test", True),
            (["a.test"], "A.TEST", True),
            (["a.test"], "b.test", False),
            (["a.test"], "sub.a.test", False),
            (["*.a.test"], "sub.a.test", True),
            (["*.a.test"], "a.test", False),
            (["*.a.test"], "x.sub.a.test", False),
            (["127.0.0.1"], "127.0.0.1", True),
            (["127.0.0.1"], "127.0.0.2", False),
            (["a.test"], "127.0.0.1", False),
            (["::1"], "::1", True),
            (["::1"], "0:0:0:0:0:0:0:1", True),
            (["::1"], "::2", False),
            ([], "a.test", False),  # Its common name is a.test.
        ],
    )
    def test_a_certificate_counts_for_the_names_it_is_made_out_for(
        self, ca, context, shown, name, good
    ):
        layer = TLSFilter(context, name)
        issued = ca.issue_cert(*shown, common_name="a.test")
        server = Server(server_context(issued))
        shake_hands(layer, server)
        assert layer.established is good
        if not good:
            assert isinstance(layer.failure, TLSError)
            text = f"the certificate of {name} was not accepted: "
            assert str(layer.failure).startswith(text)
            assert "mismatch" in str(layer.failure)
            assert isinstance(layer.failure.__cause__, ssl.SSLCertVerificationError)

    @pytest.mark.scenario(11, 21)
    def test_an_unknown_authority_is_not_trusted_and_the_server_is_told(self, context):
        layer = TLSFilter(context, "server.test")
        server = Server(server_context(trustme.CA().issue_cert("server.test")))
        shake_hands(layer, server)
        assert not layer.established
        assert "unable to get local issuer certificate" in str(layer.failure)
        assert server.error.reason == "TLSV1_ALERT_UNKNOWN_CA"

    @pytest.mark.scenario(21)
    @pytest.mark.parametrize("complete", [True, False])
    def test_a_chain_has_to_be_complete(self, ca, context, complete, tmp_path):
        issued = ca.create_child_ca().issue_cert("server.test")
        chain = tmp_path / "chain.pem"
        pems = issued.cert_chain_pems if complete else issued.cert_chain_pems[:1]
        chain.write_bytes(
            issued.private_key_pem.bytes() + b"".join(pem.bytes() for pem in pems)
        )
        serving = server_context()
        serving.load_cert_chain(chain)
        layer = TLSFilter(context, "server.test")
        shake_hands(layer, Server(serving))
        assert layer.established is complete

    @pytest.mark.scenario(12)
    @pytest.mark.parametrize(
        ("first_day", "last_day", "reason"),
        [(-10, -1, "has expired"), (1, 10, "not yet valid")],
    )
    def test_a_certificate_counts_in_its_time_only(
        self, ca, context, first_day, last_day, reason
    ):
        today = datetime.datetime.now(datetime.timezone.utc)
        issued = ca.issue_cert(
            "server.test",
            not_before=today + datetime.timedelta(first_day),
            not_after=today + datetime.timedelta(last_day),
        )
        layer = TLSFilter(context, "server.test")
        shake_hands(layer, Server(server_context(issued)))
        assert reason in str(layer.failure)

    @pytest.mark.scenario(16)
    @pytest.mark.parametrize(
        ("name", "told"), [("server.test", "server.test"), ("127.0.0.1", None)]
    )
    def test_the_server_is_told_a_name_but_never_an_address(
        self, context, certificate, name, told
    ):
        seen = []
        serving = server_context(certificate)
        serving.sni_callback = lambda tls, name, context: seen.append(name)
        layer = TLSFilter(context, name)
        shake_hands(layer, Server(serving))
        assert layer.established
        assert seen == [told]

    def test_who_does_not_check_names_need_not_give_one(self, certificate):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        layer = TLSFilter(context, None)
        shake_hands(layer, Server(server_context(certificate)))
        assert layer.established

    @pytest.mark.parametrize("name", [None, "", ".a.test"])
    def test_a_name_that_cannot_be_checked_is_an_error(self, context, name):
        with pytest.raises(TLSError, match="TLS cannot start"):
            TLSFilter(context, name)


class TestTheEnd:
    @pytest.mark.scenario(29)
    def test_the_peers_close_notify_ends_it_after_what_came_before(self, ends):
        layer, server = ends()
        assert layer.decrypt(server.say(b"last") + server.close()) == b"last"
        assert layer.ended
        assert layer.failure is None
        assert layer.decrypt(b"whatever follows") == b""

    def test_after_the_peers_end_sending_goes_on(self, ends):
        layer, server = ends()
        layer.decrypt(server.close())
        assert layer.encrypt(b"still uploading")
        assert layer.failure is None

    @pytest.mark.scenario(133)
    def test_closing_tells_the_peer(self, ends):
        layer, server = ends()
        server.take(layer.encrypt(b"last") + layer.close())
        assert server.received == b"last"
        assert server.ended

    def test_closing_after_the_peer_tells_it_too(self, ends):
        layer, server = ends()
        layer.decrypt(server.close())
        server.take(layer.close())
        assert server.ended

    def test_closing_before_the_handshake_is_done_says_nothing_more(self, context):
        layer = TLSFilter(context, "server.test")
        layer.encrypt(b"")
        assert layer.close() == b""

    def test_sending_after_closing_is_a_failure_and_nothing_goes_out(self, ends):
        layer, _ = ends()
        layer.close()
        assert layer.encrypt(b"too late") == b""
        assert "protocol is shutdown" in str(layer.failure)


class TestFailures:
    def test_a_corrupt_record_is_a_failure_and_what_came_before_is_good(self, ends):
        layer, server = ends()
        good, bad = server.say(b"good"), bytearray(server.say(b"bad"))
        bad[-1] ^= 1
        assert layer.decrypt(good + bad) == b"good"
        assert isinstance(layer.failure, TLSError)
        assert isinstance(layer.failure.__cause__, ssl.SSLError)
        assert "TLS with server.test failed" in str(layer.failure)
        assert "_ssl.c" not in str(layer.failure)

    def test_what_came_before_is_good_if_it_is_much(self, ends):
        layer, server = ends()
        data = bytes(range(256)) * 1000
        good, bad = server.say(data), bytearray(server.say(b"bad"))
        bad[-1] ^= 1
        assert layer.decrypt(good + bad) == data
        assert isinstance(layer.failure, TLSError)

    def test_after_a_failure_only_the_alert_goes_out(self, ends):
        layer, server = ends()
        bad = bytearray(server.say(b"bad"))
        bad[-1] ^= 1
        layer.decrypt(bad)
        assert layer.decrypt(server.say(b"more")) == b""
        server.take(layer.encrypt(b"SECRET"))
        assert server.error.reason == "SSLV3_ALERT_BAD_RECORD_MAC"
        assert server.received == b""
        assert layer.encrypt(b"SECRET") == b""
        assert layer.close() == b""

    @pytest.mark.scenario(7)
    @pytest.mark.parametrize(
        "said",
        [
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"<html>",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"220 mail.test ESMTP\r\n",
            b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18),  # HTTP/2's SETTINGS
        ],
    )
    def test_a_server_that_speaks_no_tls_is_recognised(self, context, said):
        layer = TLSFilter(context, "server.test")
        layer.encrypt(b"")
        assert layer.decrypt(said) == b""
        assert "perhaps the server does not speak TLS on this port" in str(
            layer.failure
        )

    @pytest.mark.scenario(22)
    def test_a_server_that_has_only_tls_1_1_is_refused(self, context, certificate):
        serving = server_context(certificate)
        serving.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            serving.minimum_version = ssl.TLSVersion.TLSv1
            serving.maximum_version = ssl.TLSVersion.TLSv1_1
        layer = TLSFilter(context, "server.test")
        shake_hands(layer, Server(serving))
        assert not layer.established
        assert "version" in str(layer.failure)

    @pytest.mark.scenario(27)
    @pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
    def test_a_server_that_misses_our_certificate_says_so(
        self, ca, context, certificate, version
    ):
        context.maximum_version = ssl.TLSVersion[version]
        serving = server_context(certificate)
        serving.verify_mode = ssl.CERT_REQUIRED
        ca.configure_trust(serving)
        layer = TLSFilter(context, "server.test")
        server = Server(serving)
        shake_hands(layer, server)
        # TLS 1.3 tells it only after the client has begun to talk.
        layer.decrypt(server.take(layer.encrypt(b"request")))
        assert server.received == b""
        assert "alert" in str(layer.failure)


def subject_hash(certificate):
    """Return the name that OpenSSL looks a certificate up by in a directory."""
    canonical = x509.Name(
        x509.NameAttribute(part.oid, " ".join(part.value.split()).lower())
        for part in certificate.subject
    ).public_bytes()
    header = 2 + (canonical[1] & 0x7F if canonical[1] & 0x80 else 0)
    digest = hashlib.sha1(canonical[header:]).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}.0"


def first_record_opened(record, secret):
    """Return what is in the first record under a secret of TLS 1.3 (RFC 8446)."""

    def expanded(label, size):  # section 7.1
        name = b"tls13 " + label
        info = size.to_bytes(2, "big") + bytes([len(name)]) + name + b"\0"
        return HKDFExpand(hashes.SHA384(), size, info).derive(secret)

    nonce = expanded(b"iv", 12)  # Section 5.3: the number of the first record is 0.
    return AESGCM(expanded(b"key", 32)).decrypt(nonce, record[5:], record[:5])


@pytest.fixture(scope="module")
def authority_file(ca, tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "authority.pem"
    ca.cert_pem.write_to_path(path)
    return path


@pytest.fixture(scope="module")
def authority_directory(ca, tmp_path_factory):
    path = tmp_path_factory.mktemp("directory")
    certificate = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    ca.cert_pem.write_to_path(path / subject_hash(certificate))
    return path


def encrypted_key(issued, password):
    """Return in PEM the key of a certificate that trustme has issued."""
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )


@pytest.mark.usefixtures("plain_environment")
class TestContexts:
    def trusts(self, context, certificate):
        layer = TLSFilter(context, "server.test")
        shake_hands(layer, Server(server_context(certificate)))
        return layer.established

    @pytest.mark.scenario(24)
    def test_it_checks_all_and_allows_nothing_old(self):
        context = init_context()
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_COMPRESSION
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert context.keylog_filename is None

    def test_it_trusts_the_authorities_of_certifi(self, certificate):
        context = init_context()
        with open(certifi.where(), encoding="ascii") as file:
            known = file.read().count("BEGIN CERTIFICATE")
        assert context.cert_store_stats()["x509_ca"] == known
        assert not self.trusts(context, certificate)

    @pytest.mark.parametrize("kind", [str, lambda path: path])
    def test_a_file_of_authorities_replaces_them(
        self, certificate, authority_file, kind
    ):
        context = init_context(kind(authority_file))
        assert context.cert_store_stats()["x509_ca"] == 1
        assert self.trusts(context, certificate)

    def test_a_directory_of_authorities_replaces_them(
        self, certificate, authority_directory
    ):
        context = init_context(authority_directory)
        assert context.cert_store_stats()["x509_ca"] == 0  # It looks when it has to.
        assert self.trusts(context, certificate)

    @pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
    def test_the_environment_names_a_file_or_a_directory(
        self, monkeypatch, certificate, authority_file, authority_directory, variable
    ):
        path = authority_file if variable == "SSL_CERT_FILE" else authority_directory
        monkeypatch.setenv(variable, str(path))
        assert self.trusts(init_context(), certificate)

    def test_what_the_call_says_counts_more_than_the_environment(
        self, monkeypatch, certificate, authority_file
    ):
        monkeypatch.setenv("SSL_CERT_FILE", str(authority_file))
        assert not self.trusts(init_context(certifi.where()), certificate)

    def test_a_file_that_is_not_there_is_an_error(self, monkeypatch, tmp_path):
        missing = str(tmp_path / "missing.pem")
        with pytest.raises(FileNotFoundError):
            init_context(missing)
        with pytest.raises(FileNotFoundError):
            init_context(cert=missing)
        monkeypatch.setenv("SSL_CERT_FILE", missing)
        with pytest.raises(FileNotFoundError):
            init_context()

    def test_a_file_of_something_else_is_an_error(self, tmp_path):
        wrong = tmp_path / "wrong.pem"
        wrong.write_text("not a certificate")
        with pytest.raises(ssl.SSLError):
            init_context(wrong)
        with pytest.raises(ssl.SSLError):
            init_context(cert=str(wrong))

    @pytest.mark.scenario(27)
    @pytest.mark.parametrize("password", [b"secret", "secret", lambda: "secret"])
    @pytest.mark.parametrize("files", [1, 2])
    def test_a_certificate_of_our_own_is_shown_to_a_server_that_asks(
        self, ca, certificate, authority_file, tmp_path, password, files
    ):
        client = ca.issue_cert("client@client.test", common_name="client")
        key_pem = encrypted_key(client, b"secret")
        cert_path, key_path = tmp_path / "cert.pem", tmp_path / "key.pem"
        chain = client.cert_chain_pems[0].bytes()
        cert_path.write_bytes(chain + key_pem if files == 1 else chain)
        key_path.write_bytes(key_pem)
        cert = str(cert_path) if files == 1 else (str(cert_path), str(key_path))
        context = init_context(authority_file, cert, password)

        serving = server_context(certificate)
        serving.verify_mode = ssl.CERT_REQUIRED
        ca.configure_trust(serving)
        layer, server = TLSFilter(context, "server.test"), Server(serving)
        shake_hands(layer, server)
        server.take(layer.encrypt(b"request"))
        assert server.received == b"request"
        subject = x509.load_der_x509_certificate(server.tls.getpeercert(True)).subject
        assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "client"

    def test_a_wrong_password_is_an_error(self, ca, tmp_path):
        client = ca.issue_cert("client@client.test")
        path = tmp_path / "client.pem"
        path.write_bytes(
            client.cert_chain_pems[0].bytes() + encrypted_key(client, b"secret")
        )
        with pytest.raises(ssl.SSLError):
            init_context(cert=str(path), cert_password="wrong")

    @pytest.mark.scenario(30)
    def test_what_is_logged_where_the_environment_says_decrypts_a_recording(
        self, monkeypatch, certificate, authority_file, tmp_path
    ):
        log = tmp_path / "keys.log"
        monkeypatch.setenv("SSLKEYLOGFILE", str(log))
        layer = TLSFilter(init_context(authority_file), "server.test")
        shake_hands(layer, Server(server_context(certificate)))
        lines = (
            line.split() for line in log.read_text().splitlines() if line[0] != "#"
        )
        secrets = {label: bytes.fromhex(secret) for label, _, secret in lines}
        assert secrets.keys() >= {
            "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
            "SERVER_HANDSHAKE_TRAFFIC_SECRET",
            "CLIENT_TRAFFIC_SECRET_0",
            "SERVER_TRAFFIC_SECRET_0",
        }
        assert layer.tls.cipher()[0] == "TLS_AES_256_GCM_SHA384"
        record = layer.encrypt(b"GET / HTTP/1.1")
        opened = first_record_opened(record, secrets["CLIENT_TRAFFIC_SECRET_0"])
        assert opened == b"GET / HTTP/1.1" + b"\x17"  # the type of what it holds

    def test_the_default_is_made_once_for_each_environment(
        self, monkeypatch, certificate, authority_file
    ):
        first = default_context()
        assert default_context() is first
        monkeypatch.setenv("SSL_CERT_FILE", str(authority_file))
        other = default_context()
        assert other is not first
        assert self.trusts(other, certificate)
        assert default_context() is other
        monkeypatch.delenv("SSL_CERT_FILE")
        assert default_context() is first

    def test_threads_that_ask_for_the_default_at_once_get_the_same(
        self, monkeypatch, authority_file
    ):
        # A pool would have a connection for each of the others.
        monkeypatch.setenv("SSL_CERT_FILE", str(authority_file))
        together = threading.Barrier(8)

        def ask():
            together.wait(PATIENCE)
            return default_context()

        asking = [background(ask) for _ in range(8)]
        assert len({one.result() for one in asking}) == 1

    def test_users_find_it_under_its_old_name(self):
        assert handed_on is init_context


class TestOnASocket:
    """The filter in its place: between a BufferedSocket and a Protocol."""

    @pytest.fixture
    def sockets(self):
        ours, theirs = socket.socketpair()
        theirs.settimeout(PATIENCE)
        yield ours, theirs
        ours.close()
        theirs.close()

    def deadline(self):
        return Timeout(read=PATIENCE).start().read()

    def add_filter(self, wire, context, name="server.test"):
        with wire:
            layer = TLSFilter(context, name)
            wire.add_filter(layer, self.deadline(), f"in the handshake with {name}")

    def accept(self, theirs, certificate):
        return server_context(certificate).wrap_socket(theirs, server_side=True)

    def collect(self, wire, amount):
        protocol = Collector()
        with wire:
            wire.speak(protocol)
            wire.wait_until(
                lambda: len(protocol.received) >= amount,
                protocol,
                self.deadline(),
                "collecting",
            )
        return protocol

    @pytest.mark.scenario(29)
    @pytest.mark.parametrize("notified", [True, False])
    def test_the_protocol_learns_whether_the_end_was_told(
        self, sockets, context, certificate, notified
    ):
        ours, theirs = sockets
        wire = BufferedSocket(ours)
        accepting = background(self.accept, theirs, certificate)
        self.add_filter(wire, context)
        peer = accepting.result()
        peer.sendall(b"all of it")
        protocol = self.collect(wire, 9)
        assert protocol.received == b"all of it"
        if notified:
            unwrapping = background(peer.unwrap)
        else:
            peer.shutdown(socket.SHUT_WR)
        with wire, pytest.raises(ConnectionLost, match="the end"):
            wire.wait_until(lambda: False, protocol, self.deadline(), "waiting")
        assert protocol.clean is notified
        with wire:
            wire.close(ConnectionLost("done"))
        if notified:
            unwrapping.result()
        peer.close()

    @pytest.mark.scenario(251, 255)
    def test_tls_goes_through_tls(self, sockets, ca, context, certificate):
        ours, theirs = sockets
        wire = BufferedSocket(ours)
        inner = Server(server_context(ca.issue_cert("inner.test")))

        def serve():
            outer = self.accept(theirs, certificate)
            with outer:
                while not inner.received.endswith(b"hello"):
                    outer.sendall(inner.take(outer.recv(16384)))
                outer.sendall(inner.say(b"from within") + inner.close())
                while data := outer.recv(16384):
                    inner.take(data)
                return inner.ended

        serving = background(serve)
        self.add_filter(wire, context)
        self.add_filter(wire, context, "inner.test")
        protocol = Collector()
        protocol.to_send = b"hello"
        with wire:
            wire.speak(protocol)
            with pytest.raises(ConnectionLost, match="the end"):
                wire.wait_until(lambda: False, protocol, self.deadline(), "waiting")
        assert protocol.received == b"from within"
        assert protocol.clean
        with wire:
            wire.close(ConnectionLost("done"))
        assert serving.result(), "the inner server was not told of the end"

    def test_a_record_that_is_corrupt_ends_the_connection_and_tells_the_peer(
        self, sockets, context, certificate
    ):
        ours, theirs = sockets
        wire = BufferedSocket(ours)
        server = Server(server_context(certificate))

        def serve():
            while not server.established:
                theirs.sendall(server.take(theirs.recv(16384)))
            bad = bytearray(server.say(b"bad"))
            bad[-1] ^= 1
            theirs.sendall(bad)
            while server.error is None:
                server.take(theirs.recv(16384))
            return server.error.reason

        serving = background(serve)
        self.add_filter(wire, context)
        protocol = Collector()
        with wire:
            wire.speak(protocol)
            with pytest.raises(TLSError, match=r"TLS with server\.test failed"):
                wire.wait_until(lambda: False, protocol, self.deadline(), "waiting")
        assert serving.result() == "SSLV3_ALERT_BAD_RECORD_MAC"
        assert isinstance(protocol.failure, TLSError)
        assert wire.closed
