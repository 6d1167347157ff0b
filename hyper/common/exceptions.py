"""Every failure that reaches a user, in one tree.

Two questions order the tree, because they are the two that a caller asks: *who is at
fault* (you, the peer, or the path between) and *may I send it again*. The first is the
class, the second is :attr:`HyperError.retry_safe`.

::

    HyperError
    ├── LocalProtocolError (ValueError)     you asked for something illegal
    ├── RemoteProtocolError                 the peer broke HTTP
    │   ├── InvalidResponseError
    │   ├── LineTooLongError
    │   └── ChunkedDecodeError
    ├── ConnectError (OSError)              DNS, TCP, a unix socket
    ├── TLSError (ssl.SSLError)             the handshake, a certificate, ALPN
    ├── ProxyError (ConnectionError)        the proxy said no
    ├── ConnectionLost (ConnectionResetError)  EOF, a reset, a dead peer
    │   └── ConnectionTerminated            the peer's GOAWAY
    ├── Timeout (TimeoutError)
    │   ├── ConnectTimeout
    │   ├── ReadTimeout
    │   ├── WriteTimeout
    │   └── PoolTimeout
    ├── StreamResetError                    one stream ended by RST_STREAM
    │   └── RequestNotProcessed             the peer promised that it did nothing
    ├── IncompleteRead                      the body ended early
    └── DecodingError                       a corrupt or exploding content-coding

A failure of a connection concerns many threads at once. It is stored once and every
thread raises a :meth:`~HyperError.fresh` copy of it, because an exception object that
is raised twice grows one traceback out of two.

What hyper 0.7 had here under other names is at the end, so that what was written to
catch it goes on catching.
"""

from __future__ import annotations

import builtins
import copy
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from .headers import HTTPHeaderMap

_E = TypeVar("_E", bound="HyperError")

#: RFC 9113 section 7.
REFUSED_STREAM = 0x7


class HyperError(Exception):
    """The base of all of hyper's errors."""

    #: True if the server cannot have acted on the request: sending it again is safe
    #: with any method.
    retry_safe: bool = False

    def fresh(self: _E) -> _E:
        """Return a copy to raise in one thread, with this error as its cause."""
        twin = copy.copy(self)
        twin.__cause__ = self
        return twin


class LocalProtocolError(HyperError, ValueError):
    """The call asked for something HTTP forbids. Nothing of it was sent."""

    retry_safe = True


class RemoteProtocolError(HyperError):
    """The peer broke the rules of HTTP."""


class InvalidResponseError(RemoteProtocolError):
    """The peer's response is malformed (RFC 9112 section 4, RFC 9113 section 8.1.1)."""


class LineTooLongError(RemoteProtocolError):
    """A line, or all fields together, of a message are longer than the limit."""


class ChunkedDecodeError(RemoteProtocolError):
    """The chunked coding of a body is malformed (RFC 9112 section 7.1)."""


class ConnectError(HyperError, OSError):
    """No connection could be made: name resolution, TCP or a unix socket failed."""

    retry_safe = True

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class TLSError(HyperError, ssl.SSLError):
    """TLS failed: the handshake, a certificate, or the choice of protocol.

    The :class:`ssl.SSLError` that was the reason, if there was one, is the cause.
    """

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


@dataclass(frozen=True, slots=True)
class ProxyResponse:
    """What an HTTP proxy said instead of opening a tunnel."""

    status: int
    #: The phrase that goes with the status, as the proxy sent it.
    reason: str
    headers: HTTPHeaderMap
    #: The content, as far as it came before the connection was given up, 64 KiB at
    #: most, with its content-coding. Empty if it was chunked.
    body: bytes

    def read(self) -> bytes:
        """Return the whole ``body``, every time."""
        return self.body


class ProxyError(HyperError, builtins.ConnectionError):
    """The proxy did not connect to the server. Nothing was sent to the server.

    :ivar response: what an HTTP proxy answered, a
        :class:`~hyper.common.exceptions.ProxyResponse`; None if it gave no answer that
        could be read, or speaks SOCKS.
    """

    retry_safe = True

    def __init__(self, message: str, response: ProxyResponse | None = None) -> None:
        super().__init__(message)
        self.response = response


class ConnectionLost(HyperError, builtins.ConnectionResetError):
    """The connection ended before the exchange did.

    It is a :class:`ConnectionResetError` whoever ended it, and however, for those who
    catch that alone, as ``http.client`` has it too.
    """


class ConnectionTerminated(ConnectionLost):
    """The peer ended the connection with GOAWAY (RFC 9113 section 6.8).

    :ivar error_code: the code of the frame, an ``int`` that may be a
        :class:`h2.errors.ErrorCodes`.
    :ivar last_stream_id: the highest stream the peer may have acted on.
    :ivar debug_data: what the peer sent to explain itself, often empty.
    """

    def __init__(
        self,
        message: str,
        error_code: int = 0,
        last_stream_id: int = 0,
        debug_data: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.last_stream_id = last_stream_id
        self.debug_data = debug_data


class Timeout(HyperError, TimeoutError):
    """A deadline passed."""


class ConnectTimeout(Timeout):
    """No connection was made in time. Nothing of the request was sent."""

    retry_safe = True


class ReadTimeout(Timeout):
    """The peer sent nothing for this exchange in time."""


class WriteTimeout(Timeout):
    """The peer or the network did not take the request in time."""


class PoolTimeout(Timeout):
    """No connection, or no place on one, came free in time. Nothing was sent."""

    retry_safe = True


class StreamResetError(HyperError):
    """A stream was ended by RST_STREAM (RFC 9113 section 6.4).

    :ivar stream_id: the stream.
    :ivar error_code: the code of the frame, an ``int`` that may be a
        :class:`h2.errors.ErrorCodes`.
    :ivar by_peer: False if this side reset the stream.
    """

    def __init__(
        self,
        message: str,
        stream_id: int | None = None,
        error_code: int = 0,
        by_peer: bool = True,
    ) -> None:
        super().__init__(message)
        self.stream_id = stream_id
        self.error_code = error_code
        self.by_peer = by_peer


class RequestNotProcessed(StreamResetError):
    """The peer promised that it did nothing with the request.

    It refused the stream, or its GOAWAY named a lower one, which means the same (RFC
    9113 section 8.7). ``error_code`` is that of a refusal in both cases.
    """

    retry_safe = True

    def __init__(self, message: str, stream_id: int | None = None) -> None:
        super().__init__(message, stream_id, REFUSED_STREAM)


class IncompleteRead(HyperError):
    """The body ended before its end.

    :ivar partial: the bytes of the body that this call had read before, if any.
    :ivar expected: how many more bytes the peer had announced, or None.
    """

    def __init__(
        self, message: str, partial: bytes = b"", expected: int | None = None
    ) -> None:
        super().__init__(message)
        self.partial = partial
        self.expected = expected


class DecodingError(HyperError):
    """The body's content-coding is corrupt, unsupported or expands past its limit."""


# The names of hyper 0.7.

ConnectionError = builtins.ConnectionError
ConnectionResetError = builtins.ConnectionResetError
SocketError = ConnectionLost
#: What ``init_context`` raises if there is no such file.
MissingCertFile = FileNotFoundError


class TLSUpgrade(Exception):
    """Not raised any more: that ALPN has chosen HTTP/2 is not an error."""


class HTTPUpgrade(Exception):
    """Not raised any more: nor is it one that Upgrade has."""
