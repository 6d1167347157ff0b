"""``http.client``, with HTTP/2 where the server speaks it.

Everything of :mod:`http.client` is here under its name and means the same. Three
classes are hyper's own, each made of the one that it replaces, and they add little:
they leave HTTP/1.1 alone, and where ALPN (RFC 7301) has chosen HTTP/2 they put a
:class:`~hyper.gateway.Gateway` between ``http.client`` and the socket. So the states
and their errors, what is printed, audited, counted and clipped are those of
``http.client``, because it is what runs.

ALPN is a property of an ``SSLContext``, and contexts belong to users. ``http.client``
sets it on a context of its own, and documents that who brings one sets it himself. Here
it is the same: the default context offers HTTP/2, a user's offers what it was told to,
and none that others may hold is changed for longer than it takes to begin a handshake.

:func:`patch` lends the classes to ``http.client``, and so to all that is built upon it.
"""

from __future__ import annotations

import contextlib
import http.client
import inspect
import ssl
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.client import HTTP_PORT as HTTP_PORT
from http.client import HTTPS_PORT as HTTPS_PORT
from http.client import (
    BadStatusLine,
    CannotSendHeader,
    CannotSendRequest,
    HTTPException,
    ImproperConnectionState,
    IncompleteRead,
    InvalidURL,
    LineTooLong,
    NotConnected,
    RemoteDisconnected,
    ResponseNotReady,
    UnimplementedFileMode,
    UnknownProtocol,
    UnknownTransferEncoding,
    error,
    responses,
)
from http.client import HTTPConnection as _HTTPConnection
from http.client import HTTPMessage as HTTPMessage
from http.client import HTTPResponse as _HTTPResponse
from http.client import HTTPSConnection as _HTTPSConnection
from http.client import parse_headers as parse_headers
from typing import TypeGuard, cast

from .gateway import Gateway, NotSent, ResponseFile
from .transport.deadline import new_lock
from .transport.dial import Socket
from .transport.tls import H2, HTTP11, secure_socket

__all__ = [
    "BadStatusLine",
    "CannotSendHeader",
    "CannotSendRequest",
    "HTTPConnection",
    "HTTPException",
    "HTTPResponse",
    "HTTPSConnection",
    "ImproperConnectionState",
    "IncompleteRead",
    "InvalidURL",
    "LineTooLong",
    "NotConnected",
    "RemoteDisconnected",
    "ResponseNotReady",
    "UnimplementedFileMode",
    "UnknownProtocol",
    "UnknownTransferEncoding",
    "error",
    "responses",
]

globals().update(HTTPStatus.__members__)

#: How many interim responses may come before the final one.
MAX_INTERIM = 100

_DEFAULT_TIMEOUT: float = (
    inspect.signature(_HTTPConnection).parameters["timeout"].default
)

#: Contexts that no user has brought.
_default_contexts: weakref.WeakSet[ssl.SSLContext] = weakref.WeakSet()


def __getattr__(name: str) -> object:
    """Return what else ``http.client`` has, which it does not document."""
    return getattr(http.client, name)


class HTTPResponse(_HTTPResponse):
    """A response, as :class:`http.client.HTTPResponse`.

    ``version`` is 20 if it came over HTTP/2. Interim responses (1xx) are passed over,
    except 101, which is a final one in all but name.
    """

    def __init__(
        self,
        sock: Socket,
        debuglevel: int = 0,
        method: str | None = None,
        url: str | None = None,
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        raw = getattr(self.fp, "raw", None)
        self._file = raw if isinstance(raw, ResponseFile) else None

    def begin(self) -> None:
        super().begin()
        interim = 0
        while 100 < self.status < 200 and self.status != HTTPStatus.SWITCHING_PROTOCOLS:
            interim += 1
            if interim > MAX_INTERIM:
                raise HTTPException(f"got more than {MAX_INTERIM} interim responses")
            self.headers = self.msg = None  # type: ignore[assignment]  # as at first
            super().begin()
        if self._file is not None:
            self.version = 20
            self.will_close = self._file.will_close

    # Over HTTP/2 a body is never cut short silently.

    def read(self, amt: int | None = None) -> bytes:
        try:
            data = super().read(amt)
        except IncompleteRead as error:
            self._raise_if_cut_short(error.partial, error.expected)
            raise
        self._raise_if_cut_short(data, self.length)
        return data

    def read1(self, n: int = -1) -> bytes:
        data = super().read1(n)
        if not data:
            self._raise_if_cut_short(b"", self.length)
        return data

    def readinto(self, b: bytearray | memoryview) -> int:  # type: ignore[override]
        amount = super().readinto(b)
        if not amount:
            self._raise_if_cut_short(b"", self.length)
        return amount

    def readline(self, limit: int = -1) -> bytes:  # type: ignore[override]
        line = super().readline(limit)
        if not line:
            self._raise_if_cut_short(b"", self.length)
        return line

    def _raise_if_cut_short(self, partial: bytes, missing: int | None) -> None:
        """Raise what became of the body, the first time that its end is reached."""
        if self._file is None or self._file.failure is None:
            return
        failure, self._file.failure = self._file.failure, None
        self.close()
        raise IncompleteRead(partial, missing) from failure


class HTTPConnection(_HTTPConnection):
    """A connection, as :class:`http.client.HTTPConnection`.

    HTTP/2 is spoken wherever ``sock`` is an ``SSLSocket`` that has agreed to it, even
    one that a subclass or a user has put there. Not thread-safe.
    """

    response_class = HTTPResponse

    #: Of the socket that is used now, if HTTP/2 is spoken.
    _gateway: Gateway | None = None

    def putrequest(
        self,
        method: str,
        url: str,
        skip_host: bool = False,
        skip_accept_encoding: bool = False,
    ) -> None:
        super().putrequest(method, url, skip_host, skip_accept_encoding)
        if self._gateway is not None:
            self._gateway.begin()

    def send(self, data: object) -> None:
        reconnected = False
        while True:
            if self.sock is None and self.auto_open:
                self.connect()
            gateway = self._find_gateway()
            if gateway is None:
                super().send(data)  # type: ignore[arg-type]
                return
            try:
                with self._behind(gateway):
                    super().send(data)  # type: ignore[arg-type]
                return
            except NotSent as error:
                # The server has ended the connection while it was not used.
                if reconnected or not self.auto_open:
                    raise error.reason() from error
                reconnected = True
                self._gateway = self.sock = None
                gateway.close()

    def getresponse(self) -> _HTTPResponse:
        gateway = self._find_gateway()
        if gateway is None:
            return super().getresponse()
        with self._behind(gateway):
            return super().getresponse()

    def close(self) -> None:
        gateway, self._gateway = self._gateway, None
        try:
            super().close()
        finally:
            if gateway is not None:
                gateway.close()

    def _find_gateway(self) -> Gateway | None:
        """Return the gateway to HTTP/2, if the socket of now speaks that."""
        gateway = self._gateway
        if gateway is not None and self.sock not in (gateway.sock, gateway):
            gateway.close()  # The user has put another socket there.
            self._gateway = None
        if self._gateway is None and _speaks_http2(self.sock):
            self._gateway = Gateway(self.sock)
        return self._gateway

    @contextlib.contextmanager
    def _behind(self, gateway: Gateway) -> Iterator[None]:
        """Have ``http.client`` take the gateway for the socket."""
        sock, stand_in = self.sock, cast(Socket, gateway)
        self.sock = stand_in
        try:
            yield
        finally:
            if self.sock is stand_in:  # It was not closed.
                self.sock = sock


class HTTPSConnection(HTTPConnection, _HTTPSConnection):
    """A connection with TLS, as :class:`http.client.HTTPSConnection`.

    If no ``context`` is given, HTTP/2 is offered, and spoken if the server takes it.
    Else the context decides: ``context.set_alpn_protocols(["h2", "http/1.1"])``.
    """

    # Of http.client, which typeshed does not tell.
    _context: ssl.SSLContext
    _http_vsn: int
    _tunnel_host: str | None

    if sys.version_info >= (3, 12):

        def __init__(
            self,
            host: str,
            port: int | None = None,
            *,
            timeout: float | None = _DEFAULT_TIMEOUT,
            source_address: tuple[str, int] | None = None,
            context: ssl.SSLContext | None = None,
            blocksize: int = 8192,
        ) -> None:
            super().__init__(
                host,
                port,
                timeout=timeout,
                source_address=source_address,
                context=context,
                blocksize=blocksize,
            )
            if context is None:
                _default_contexts.add(self._context)

    else:

        def __init__(
            self,
            host: str,
            port: int | None = None,
            key_file: str | None = None,
            cert_file: str | None = None,
            timeout: float | None = _DEFAULT_TIMEOUT,
            source_address: tuple[str, int] | None = None,
            *,
            context: ssl.SSLContext | None = None,
            check_hostname: bool | None = None,
            blocksize: int = 8192,
        ) -> None:
            super().__init__(
                host,
                port,
                key_file,
                cert_file,
                timeout,
                source_address,
                context=context,
                check_hostname=check_hostname,
                blocksize=blocksize,
            )
            if context is None:
                _default_contexts.add(self._context)

    def connect(self) -> None:
        if self._http_vsn != 11 or self._context not in _default_contexts:
            super().connect()
            return
        super(_HTTPSConnection, self).connect()  # TCP, and the tunnel
        name = self._tunnel_host or self.host
        self.sock = secure_socket(
            self._context, self.sock, name, (H2, HTTP11), (HTTP11,)
        )


_patch_lock = new_lock()
_patches = 0  # how many are in force; guarded by _patch_lock, as is:
_module_class: type[types.ModuleType] = types.ModuleType  # of http.client by itself


@contextlib.contextmanager
def patch() -> Iterator[None]:
    """Let all who look into ``http.client`` find the classes of this module there.

    ::

        with httplib_compat.patch():
            urllib.request.urlopen("https://example.org/")

    A context manager, and a decorator. It is in force in all threads, and for modules
    that look the classes up when they use them, as ``urllib.request`` and
    ``xmlrpc.client`` do. Who has imported them by name before, or derived from them,
    keeps what he has; connections that are made in it stay what they are.

    Thread-safe, and may be nested: it lasts until the last one ends.
    """
    global _patches
    with _patch_lock:
        if not _patches:
            _lend()
        _patches += 1
    try:
        yield
    finally:
        with _patch_lock:
            _patches -= 1
            if not _patches:
                http.client.__class__ = _module_class


def _lend() -> None:
    """Show others our classes, and ``http.client`` its own.

    That has to find them under their names in its own namespace, as it says
    ``super(HTTPSConnection, self)``.
    """
    global _module_class
    _module_class = type(http.client)
    lent: dict[str, object] = {
        "HTTPConnection": _Lent(HTTPConnection),
        "HTTPSConnection": _Lent(HTTPSConnection),
    }
    if hasattr(http.client, "_create_https_context"):  # since Python 3.12
        lent["_create_https_context"] = _Lent(_create_https_context)
    http.client.__class__ = type("Patched", (_module_class,), lent)


class _Lent:
    """An attribute of a module that hides the one in its namespace."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __get__(self, module: object, owner: object = None) -> object:
        return self._value

    def __set__(self, module: object, value: object) -> None:
        self._value = value


def _create_https_context(http_version: int) -> ssl.SSLContext:
    """Return the context that ``urllib.request`` uses where it is given none."""
    make: Callable[[int], ssl.SSLContext] = vars(http.client)["_create_https_context"]
    context = make(http_version)
    _default_contexts.add(context)
    return context


def _speaks_http2(sock: object) -> TypeGuard[ssl.SSLSocket]:
    return isinstance(sock, ssl.SSLSocket) and sock.selected_alpn_protocol() == H2
