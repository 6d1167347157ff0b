"""TLS as a filter over memory, and the contexts it is made from.

A :class:`TLSFilter` holds an ``SSLObject`` between two memory BIOs: encrypted bytes go
in, plain bytes come out, and the other way round. It never sees a socket. There are
three reasons. OpenSSL allows one thread at a time in one object, and CPython's
``SSLSocket`` leaves that to its callers: a thread in ``recv`` beside one in ``send``
ends in SIGSEGV, and the one release that locked it (3.13.6) deadlocked instead. Under
the BufferedSocket's lock neither happens. ``poll`` sees the bare descriptor, so bytes
that OpenSSL has decrypted already are never waited for. And TLS inside TLS, for an
https proxy, is just a second filter.

Every function here is sans-IO but for reading certificate files, and for
:func:`wrap_socket`, which users have and hyper does not use. A TLSFilter is guarded by
the lock of the BufferedSocket that holds it.
"""

from __future__ import annotations

import functools
import os
import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeAlias, cast

from ..common.exceptions import (
    ConnectError,
    ConnectTimeout,
    HyperError,
    TLSError,
)

if TYPE_CHECKING:
    from OpenSSL import SSL

    from .pyopenssl import PyOpenSSLFilter
    from .tlssocket import SpokenTLS

#: ALPN names (RFC 7301, RFC 9113 section 3.1).
H2 = "h2"
HTTP11 = "http/1.1"

# What SSLObject.read is asked for at once; OpenSSL gives one record, 16 KiB at most.
_RECORD = 16384

# What plain text is collected in where there is more than a record of it. The buffers
# belong to all connections: one is taken for the length of a call, so that a connection
# that is idle has none. Taking one and giving it back is atomic each.
_PLENTY = 18 * _RECORD
_buffers: list[bytearray] = []

# ALPN is a property of a context, but contexts are shared: by users, between
# connections, between HTTP versions. OpenSSL copies the list when it makes an object
# from a context, so setting it and making the object under one lock keeps them apart.
_alpn_lock = threading.Lock()

# Held while a default context is made: the cache would give one to each thread that
# asks meanwhile, and a pool have a connection for each context.
_default_lock = threading.Lock()

#: How to speak TLS: the standard library's context, or one of pyOpenSSL.
Context: TypeAlias = "ssl.SSLContext | SSL.Context"

#: A certificate as the ``ssl`` module shows one that was verified.
Certificate: TypeAlias = "Mapping[str, object]"

Password = str | bytes | Callable[[], str | bytes]


class TLSFilter:
    """One TLS connection of a client, between two buffers.

    :param context: what to trust and to offer.
    :param server_hostname: whose certificate to accept, and the name for SNI; None only
        if ``context`` does not check host names.
    :param alpn: the protocols to offer, best first; empty to offer none.
    :raises TLSError: if ``context`` cannot be used.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        server_hostname: str | None,
        alpn: Sequence[str] = (),
    ) -> None:
        self.established = False
        self.ended = False
        self.failure: HyperError | None = None
        self._server_hostname = server_hostname
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        if context.check_hostname and server_hostname is None:
            raise TLSError("TLS cannot start: there is no host name to check")
        try:
            with _alpn_lock:
                # An empty list too: another connection may have left its own.
                context.set_alpn_protocols(list(alpn))
                self._tls = context.wrap_bio(
                    self._incoming, self._outgoing, server_hostname=server_hostname
                )
        except (ssl.SSLError, ValueError) as error:
            raise TLSError(f"TLS cannot start: {error}") from error
        self._shake_hands()

    @property
    def tls(self) -> ssl.SSLObject:
        """The TLS connection, to ask it for its certificate, cipher and version."""
        return self._tls

    @property
    def alpn(self) -> str | None:
        """The protocol that the server chose; None if it chose none."""
        return self._tls.selected_alpn_protocol()

    @property
    def certificate(self) -> bytes | None:
        """The server's certificate in DER, verified or not; None if it showed none."""
        return self._tls.getpeercert(binary_form=True)

    @property
    def names(self) -> frozenset[str]:
        """The DNS names in the server's certificate, wildcards as they stand there."""
        return dns_names(self._tls)

    def decrypt(self, data: bytes) -> bytes:
        """Take bytes from the wire and return the plain bytes they complete.

        Sets ``ended`` when the peer's close_notify has come, and ``failure`` when TLS
        broke; what is returned came before either.
        """
        if self.failure is not None or self.ended:
            return b""
        self._incoming.write(data)
        if not self.established and not self._shake_hands():
            return b""
        return self._read_few() if len(data) < 2 * _RECORD else self._read_many()

    def _read_few(self) -> bytes:
        pieces = []
        try:
            while True:
                piece = self._tls.read(_RECORD)
                if not piece:
                    self.ended = True
                    break
                pieces.append(piece)
                if not self._incoming.pending and not self._tls.pending():
                    break  # To be told so by an exception costs more.
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._fail(error)
        return b"".join(pieces)

    def _read_many(self) -> bytes:
        """Do as :meth:`_read_few`, with one piece of memory for all records."""
        try:
            buffer = _buffers.pop()
        except IndexError:
            buffer = bytearray(_PLENTY)
        pieces = []
        end = 0
        read = self._tls.read
        with memoryview(buffer) as view:
            try:
                while True:
                    size: int = read(_RECORD, view[end:])  # type: ignore[assignment]
                    if not size:
                        self.ended = True
                        break
                    end += size
                    if end == _PLENTY:
                        pieces.append(bytes(view))
                        end = 0
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                self._fail(error)
            pieces.append(bytes(view[:end]))
        _buffers.append(buffer)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def encrypt(self, data: bytes) -> bytes:
        """Take plain bytes and return what has to go onto the wire now.

        Handshake messages and alerts come out whatever goes in. Once TLS has failed,
        plain bytes are dropped: they must not go out unprotected.
        """
        if data and self.established and self.failure is None:
            try:
                self._tls.write(data)
            except ssl.SSLError as error:
                self._fail(error)
        return self._outgoing.read()

    def close(self) -> bytes:
        """Return the close_notify alert, if one can still be sent."""
        if self.established and self.failure is None:
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                pass  # Expected: it would wait for the peer's alert.
        return self._outgoing.read()

    def _shake_hands(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except (ssl.SSLError, ValueError) as error:
            self._fail(error)
            return False
        self.established = True
        return True

    def _fail(self, error: Exception) -> None:
        self.failure = TLSError(describe(error, self._server_hostname))
        self.failure.__cause__ = error


class SharedTLS:
    """What may be asked of a TLS connection that threads share.

    The words are those of :class:`ssl.SSLSocket`. Every method takes the lock of the
    connection, as two threads must not be in one object of OpenSSL at a time.
    Thread-safe; works after the connection has been closed, too.
    """

    def __init__(self, tls: ssl.SSLObject, lock: AbstractContextManager[object]):
        self._tls = tls
        self._lock = lock

    @property
    def server_hostname(self) -> str | None:
        """The name that was asked for and verified."""
        return self._tls.server_hostname

    def getpeercert(self, binary_form: bool = False) -> Certificate | bytes | None:
        """Return the server's certificate.

        :param binary_form: whether to return it whole, in DER, verified or not.
        :returns: what :meth:`ssl.SSLSocket.getpeercert` does: a dictionary that is
            empty if nothing was verified, or bytes.
        """
        with self._lock:
            return self._tls.getpeercert(binary_form)

    def cipher(self) -> tuple[str, str, int] | None:
        """Return the name of the cipher, the protocol that defines it, its bits."""
        with self._lock:
            return self._tls.cipher()

    def version(self) -> str | None:
        """Return the version of TLS, such as ``TLSv1.3``."""
        with self._lock:
            return self._tls.version()

    def selected_alpn_protocol(self) -> str | None:
        """Return what the server chose by ALPN, such as ``h2``."""
        with self._lock:
            return self._tls.selected_alpn_protocol()


#: A TLS connection, of whichever library it is.
TLSLayer: TypeAlias = "TLSFilter | PyOpenSSLFilter | SpokenTLS"


def tls_filter(
    context: Context, server_hostname: str, alpn: Sequence[str] = ()
) -> TLSLayer:
    """Return the filter for a context, of whichever library that is.

    :raises TLSError: if ``context`` cannot be used.
    :raises TypeError: if it is no context of TLS.
    """
    if isinstance(context, ssl.SSLContext):
        return TLSFilter(context, server_hostname, alpn)
    if not type(context).__module__.startswith("OpenSSL"):
        raise TypeError(f"a context of TLS is needed, not {type(context).__name__}")
    from .pyopenssl import PyOpenSSLFilter

    return PyOpenSSLFilter(context, server_hostname, alpn)


def dns_names(tls: ssl.SSLObject | ssl.SSLSocket) -> frozenset[str]:
    """Return the DNS names in the peer's certificate, if that was verified."""
    certificate = tls.getpeercert() or {}
    found = cast("tuple[tuple[str, str], ...]", certificate.get("subjectAltName", ()))
    return frozenset(name.lower() for kind, name in found if kind == "DNS")


def describe(error: Exception, server_hostname: str | None) -> str:
    """Say what went wrong, and with whom, without OpenSSL's file and line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {server_hostname} was not accepted: "
            f"{error.verify_message}"
        )
    reason = getattr(error, "reason", None) or str(error)
    text = f"TLS with {server_hostname} failed: {reason.replace('_', ' ').lower()}"
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        text += "; perhaps the server does not speak TLS on this port"
    return text


def init_context(
    cert_path: str | os.PathLike[str] | None = None,
    cert: str | tuple[str, str | None] | None = None,
    cert_password: Password | None = None,
) -> ssl.SSLContext:
    """Return a context that verifies servers as hyper does by default.

    TLS 1.2 or later, certificates and host names checked, the latter against the
    subjectAltName only, no compression and no renegotiation (RFC 9113 section 9.2),
    secrets logged to ``$SSLKEYLOGFILE`` if set.

    :param cert_path: a PEM file, or a directory made by ``c_rehash``, of the
        authorities to trust. None: those named by the environment variables
        ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` where one is set, else certifi's.
    :param cert: a client certificate: the path of a PEM file with certificate and key,
        or a pair of paths (certificate, key), where None is a key that is in the same
        file.
    :param cert_password: what decrypts the key, or a function that returns it.
    :raises FileNotFoundError: if a file is not there.
    :raises ssl.SSLError: if a file is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False  # RFC 9110 section 4.3.4
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    _load_authorities(context, cert_path)
    if cert is not None:
        certificate, key = (cert, None) if isinstance(cert, str) else cert
        context.load_cert_chain(certificate, key, cert_password)
    keylog = os.environ.get("SSLKEYLOGFILE")
    if keylog:
        # SSLContext() does not look at it; only create_default_context() does.
        context.keylog_filename = keylog
    return context


def wrap_socket(
    sock: socket.socket,
    server_hostname: str,
    ssl_context: ssl.SSLContext | None = None,
    force_proto: str | None = None,
) -> tuple[ssl.SSLSocket, str | None]:
    """Speak TLS on a connected socket; return the new socket and what ALPN chose.

    For programs that speak a protocol of their own. Connections of hyper speak TLS by
    themselves; they take the plain socket as ``sock``, or this one. Blocks as long as
    the timeout of ``sock`` allows, which is of no use afterwards.

    :param ssl_context: None for one that verifies as hyper does by default.
    :param force_proto: return this as what ALPN has chosen, whatever it has.
    :raises TLSError, ConnectError, ConnectTimeout: if the handshake fails. The socket
        is closed then.
    """
    context = default_context() if ssl_context is None else ssl_context
    try:
        wrapped = secure_socket(context, sock, server_hostname, (H2, HTTP11))
    except OSError as error:
        if isinstance(error, ssl.SSLError):
            raise TLSError(describe(error, server_hostname)) from error
        kind = ConnectTimeout if isinstance(error, TimeoutError) else ConnectError
        raise kind(f"TLS with {server_hostname} failed: {error}") from error
    return wrapped, force_proto or wrapped.selected_alpn_protocol()


def secure_socket(
    context: ssl.SSLContext,
    sock: socket.socket,
    server_hostname: str,
    alpn: Sequence[str],
    usual_alpn: Sequence[str] | None = None,
) -> ssl.SSLSocket:
    """Speak TLS on a connected socket, as :meth:`ssl.SSLContext.wrap_socket` does.

    :param sock: is of no use afterwards, and closed if the handshake fails.
    :param alpn: the protocols to offer, best first.
    :param usual_alpn: what ``context`` is left with, for others who use it without
        setting it; None: with ``alpn``.
    :raises OSError: if the handshake fails.
    """
    with _alpn_lock:
        context.set_alpn_protocols(list(alpn))
        try:
            wrapped = context.wrap_socket(
                sock, server_hostname=server_hostname, do_handshake_on_connect=False
            )
        finally:
            if usual_alpn is not None:
                context.set_alpn_protocols(list(usual_alpn))
    try:
        wrapped.do_handshake()
    except BaseException:
        wrapped.close()
        raise
    return wrapped


def default_context() -> ssl.SSLContext:
    """Return the context of connections that are given none.

    It is made once for each set of the environment variables that it depends on.
    """
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")
    environment = [os.environ.get(name) for name in names]
    with _default_lock:
        return _default_context(*environment)


@functools.lru_cache(maxsize=8)
def _default_context(*environment: str | None) -> ssl.SSLContext:
    return init_context()


def _load_authorities(
    context: ssl.SSLContext, path: str | os.PathLike[str] | None
) -> None:
    file = os.environ.get("SSL_CERT_FILE")
    directory = os.environ.get("SSL_CERT_DIR")
    if path is not None:
        path = os.fspath(path)
        if os.path.isdir(path):
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    elif file or directory:
        context.load_verify_locations(cafile=file or None, capath=directory or None)
    else:
        # What it takes to find its own file is a tenth of what hyper takes to load.
        import certifi

        context.load_verify_locations(cafile=certifi.where())
