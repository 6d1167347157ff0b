"""pyOpenSSL as a filter over memory, for those who bring an ``OpenSSL.SSL.Context``.

It has the shape of :class:`~hyper.transport.tls.TLSFilter`, and the same reasons: see
there. What the standard library does by itself is done here by hand: the certificate's
names are compared by the ``service-identity`` package, as OpenSSL through pyOpenSSL
verifies the chain alone.

Needs the extra ``pyopenssl``. This file is imported only for such a context.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from cryptography import x509
from OpenSSL import SSL, crypto
from service_identity.pyopenssl import verify_hostname, verify_ip_address

from ..common.exceptions import HyperError, TLSError

#: What is read at once: one record, as OpenSSL gives no more.
_RECORD = 16384


class PyOpenSSLFilter:
    """One TLS connection of a client, between two buffers.

    :param context: what to trust and to offer. Unless it verifies nobody
        (``VERIFY_NONE``), the certificate has to be for ``server_hostname``.
    :param server_hostname: whose certificate to accept, and the name for SNI.
    :param alpn: the protocols to offer, best first; empty to offer none.
    """

    def __init__(
        self, context: SSL.Context, server_hostname: str, alpn: Sequence[str] = ()
    ) -> None:
        self.established = False
        self.ended = False
        self.failure: HyperError | None = None
        self._server_hostname = server_hostname
        self._verifies = context.get_verify_mode() != SSL.VERIFY_NONE
        self._tls = SSL.Connection(context, None)
        self._tls.set_connect_state()
        if alpn:
            self._tls.set_alpn_protos([name.encode("ascii") for name in alpn])
        self._is_address = _is_address(server_hostname)
        if not self._is_address:  # RFC 6066 section 3
            self._tls.set_tlsext_host_name(server_hostname.encode("ascii"))
        self._shake_hands()

    @property
    def tls(self) -> SSL.Connection:
        """The TLS connection, to ask it for its certificate, cipher and version."""
        return self._tls

    @property
    def alpn(self) -> str | None:
        """The protocol that the server chose; None if it chose none."""
        return self._tls.get_alpn_proto_negotiated().decode("ascii") or None

    @property
    def certificate(self) -> bytes | None:
        """The server's certificate in DER, verified or not; None if it showed none."""
        certificate = self._tls.get_peer_certificate()
        if certificate is None:
            return None
        return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)

    @property
    def names(self) -> frozenset[str]:
        """The DNS names in the server's certificate, wildcards as they stand there.

        None before the handshake is done, nor of a certificate that is not verified.
        """
        if not self.established or not self._verifies:
            return frozenset()
        certificate = self._tls.get_peer_certificate()
        assert certificate is not None  # Its names have been checked.
        extensions = certificate.to_cryptography().extensions
        found = extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = found.value.get_values_for_type(x509.DNSName)
        return frozenset(name.lower() for name in names)

    def decrypt(self, data: bytes) -> bytes:
        """Take bytes from the wire and return the plain bytes they complete.

        Sets ``ended`` when the peer's close_notify has come, and ``failure`` when TLS
        broke; what is returned came before either.
        """
        if self.failure is not None or self.ended:
            return b""
        while data:
            data = data[self._tls.bio_write(data) :]
        if not self.established and not self._shake_hands():
            return b""
        pieces = []
        try:
            while True:
                pieces.append(self._tls.recv(_RECORD))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.ended = True
        except SSL.Error as error:
            self._fail(error)
        return b"".join(pieces)

    def encrypt(self, data: bytes) -> bytes:
        """Take plain bytes and return what has to go onto the wire now.

        Handshake messages and alerts come out whatever goes in. Once TLS has failed,
        plain bytes are dropped: they must not go out unprotected.
        """
        rest = memoryview(data)
        while rest and self.established and self.failure is None:
            try:
                rest = rest[self._tls.send(rest) :]
            except SSL.Error as error:
                self._fail(error)
        return self._outgoing()

    def close(self) -> bytes:
        """Return the close_notify alert, if one can still be sent."""
        if self.established and self.failure is None:
            try:
                self._tls.shutdown()
            except SSL.Error:
                pass  # The peer has said something that it should not have.
        return self._outgoing()

    def _outgoing(self) -> bytes:
        pieces = []
        try:
            while True:
                pieces.append(self._tls.bio_read(65536))
        except SSL.WantReadError:
            return b"".join(pieces)

    def _shake_hands(self) -> bool:
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            self._fail(error)
            return False
        try:
            if self._verifies:
                self._check_name()
        except Exception as error:
            # Of service-identity, or of cryptography, which refuses to read some of the
            # certificates that OpenSSL takes and has no one name for that.
            what = f"the certificate of {self._server_hostname} was not accepted"
            self.failure = TLSError(f"{what}: {error!r}")
            self.failure.__cause__ = error
            return False
        self.established = True
        return True

    def _check_name(self) -> None:
        if self._is_address:
            verify_ip_address(self._tls, self._server_hostname)
        else:
            verify_hostname(self._tls, self._server_hostname)

    def _fail(self, error: SSL.Error) -> None:
        what = "TLS with" if self.established else "the TLS handshake with"
        reason = f"{what} {self._server_hostname} failed: {_reason(error)}"
        self.failure = TLSError(reason)
        self.failure.__cause__ = error


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _reason(error: SSL.Error) -> str:
    """Return what OpenSSL says, without its library and function."""
    queue = error.args[0] if error.args else None
    if isinstance(queue, list) and queue:
        return "; ".join(str(entry[-1]) for entry in queue)
    return str(error) or type(error).__name__
