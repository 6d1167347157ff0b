"""A gateway: HTTP/1.1 on this side, HTTP/2 on the server's.

``http.client`` writes requests to a socket with ``sendall`` and reads responses from
the file that ``makefile`` gives, and there is a long list of things that its users see
of how it does so: what is in which order, what is printed, audited, counted, clipped,
and raised in which state. To have all of that over HTTP/2 too, nothing of it is written
again here. ``http.client`` is left to do its work, and this is what it does it on: an
object with those methods, which reads the bytes of a request and makes a stream of
them, and makes the bytes of a response of what comes back.

Nothing is guessed. What is read was written by ``http.client`` a moment ago, in one
shape, and goes through the checks of all that hyper sends. A body ends where HTTP/1.1
would have it end, by Content-Length or by its last chunk, and chunks become DATA. What
HTTP/1.1 has no words for, a POST whose body is not announced at all, ends when its
response is asked for.

The connection has been made and its TLS spoken: a :class:`Gateway` takes the
``SSLSocket`` and leaves the object to its user, who may want to see its certificate. It
lives until its owner has closed it and the last response is done with, as a socket does
under ``makefile``.

Errors are those of ``http.client``, with hyper's as their causes. Timeouts, errors of
TLS and bad arguments go through as they are, since they are :exc:`TimeoutError`,
:exc:`ssl.SSLError` and :exc:`ValueError` already. Not thread-safe, as ``http.client``
is not.
"""

from __future__ import annotations

import io
import re
import ssl
from collections import deque
from collections.abc import Callable
from http.client import BadStatusLine, RemoteDisconnected
from typing import NamedTuple

from .common.exceptions import (
    ChunkedDecodeError,
    ConnectError,
    HyperError,
    LocalProtocolError,
    RemoteProtocolError,
    Timeout,
    TLSError,
)
from .common.grammar import Buffer, parse_chunk_size, tokens
from .common.stream import Fields
from .http20.connection import HTTP20Connection
from .http20.response import HTTP20Response
from .transport.deadline import MONOTONIC, Deadline, Deadlines
from .transport.deadline import Timeout as Limits

#: What is read of a response at once where its reader does not say.
READ_SIZE = 65536

#: RFC 9112 section 5.2: where a value is continued, as ``http.client`` lets it be.
_FOLD = re.compile(rb"(?:\r?\n|\r)[ \t]+")
_REQUEST_LINE = re.compile(rb"([^ ]+) ([^ ]+) HTTP/1\.[01]")
#: Methods whose requests may have a body that nothing has announced.
_MAY_HAVE_BODY = frozenset((b"POST", b"PUT", b"PATCH"))


class NotSent(Exception):
    """The connection takes no more requests, and nothing was sent. The cause says why.

    For whoever can make another connection: it does not get through to users.
    """

    def reason(self) -> OSError:
        """Return the error for users."""
        failure = self.__cause__ and self.__cause__.__cause__
        if isinstance(failure, TLSError):
            return failure.fresh()
        return RemoteDisconnected(str(failure or "the server closed the connection"))


class _Asked(NamedTuple):
    """A request that was sent."""

    stream_id: int
    method: bytes
    #: It said that the connection is to be closed after it.
    closes: bool


class Gateway:
    """What ``http.client`` takes for the socket of a connection that speaks HTTP/2.

    :param sock: a connected ``SSLSocket`` whose ALPN has chosen ``h2``. It must not be
        read or written by anybody else. Its timeout is that of each wait, and may be
        changed at any time.
    """

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.sock = sock
        # As a socket lives on while there are files made of it: a response can be read
        # when the socket is closed already.
        self._hold = sock.makefile("rb", buffering=0)
        self._deadlines = _SocketTimeout(sock)
        self._conn = HTTP20Connection(*_address(sock), True, sock=sock)
        self._users = 1  # the owner, and every response
        self._closed = False
        self._lingering: HTTP20Response | None = None
        self._asked: deque[_Asked] = deque()  # no response was asked for yet
        # The request that is being read.
        self._buffer = Buffer()
        self._read: Callable[[Gateway], bool] = Gateway._read_head
        self._stream_id = 0
        self._left = 0  # bytes of the body, or of the chunk
        self._trailers: list[tuple[bytes, bytes]] = []

    @property
    def usable(self) -> bool:
        """True if another request may be sent, as far as is known."""
        return self._conn.is_connected

    # What http.client calls.

    def sendall(self, data: bytes) -> None:
        """Take bytes of a request in HTTP/1.1 and send what they say.

        :param data: anything bytes-like.
        :raises NotSent: if the connection takes no more requests.
        :raises LocalProtocolError: if it cannot be said in HTTP/2, or there is more
            than was announced.
        :raises WriteTimeout: if the server did not take it in time.
        """
        self._deadlines.refresh()
        self._buffer.feed(bytes(memoryview(data)))
        while len(self._buffer) and self._read(self):
            pass

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return a file of the response to the oldest request that has none yet.

        :param mode: ``rb``.
        """
        if self._read is Gateway._read_unframed:
            self._send(b"", final=True)
        asked = self._asked.popleft() if self._asked else None
        self._users += 1
        return io.BufferedReader(ResponseFile(self, asked), READ_SIZE)

    def close(self) -> None:
        """Take no more requests. Responses that are under way can still be read."""
        if not self._closed:
            self._closed = True
            self.sock.close()  # In fact with the last response: see _hold.
            self.leave()

    # What its owner calls besides, and the files of its responses.

    def begin(self) -> None:
        """Expect a new request, and nothing more of the one before."""
        self._buffer.clear()
        self._read = Gateway._read_head

    def response(self, asked: _Asked) -> HTTP20Response:
        """Wait for a response.

        :raises HyperError: as :meth:`hyper.HTTP20Connection.get_response` does.
        """
        self._deadlines.refresh()
        return self._conn.get_response(asked.stream_id)

    def read_some(self, response: HTTP20Response, amount: int) -> bytes:
        """Return the next bytes of a body, at most ``amount``; ``b""`` at its end.

        :raises HyperError: as :meth:`hyper.HTTP20Response.read1` does.
        """
        self._deadlines.refresh()
        return response.read1(amount, decode_content=False)

    def cancel(self, asked: _Asked) -> None:
        """Give up a request whose response nobody waits for any more."""
        self._deadlines.refresh()
        self._conn.cancel(asked.stream_id)

    def linger(self, response: HTTP20Response | None) -> None:
        """Give the end of a response time to come, until the next one lingers."""
        self._deadlines.refresh()
        if self._lingering is not None:
            self._lingering.close()
        self._lingering = response

    def leave(self) -> None:
        """Note that one of the users is done."""
        self._users -= 1
        if not self._users:
            self._deadlines.refresh()
            self._conn.close()
            self._hold.close()

    # Reading a request, part by part. Each returns whether it got further.

    def _read_head(self) -> bool:
        block = self._buffer.take_block()
        if block is None:
            return False
        self.linger(None)
        line, *lines = _FOLD.sub(b" ", block.removesuffix(b"\r\n")).split(b"\r\n")
        parts = _REQUEST_LINE.fullmatch(line)
        if parts is None:
            raise LocalProtocolError("the request line has more or less than 3 words")
        method, target = parts.groups()
        fields = []
        for field in lines:
            name, _, value = field.partition(b":")
            fields.append((name, value))
        self._open(method, target, fields)
        return True

    def _open(self, method: bytes, target: bytes, fields: Fields) -> None:
        values: dict[bytes, list[bytes]] = {}
        self._conn.putrequest(method, target, timeout=self._deadlines)
        for name, value in fields:
            self._conn.putheader(name, value)
            values.setdefault(name.lower(), []).append(value)
        read = Gateway._read_surplus
        if method == b"CONNECT":
            read = Gateway._read_tunnel
        elif b"transfer-encoding" in values:
            read = Gateway._read_chunk_size
        elif b"content-length" in values:
            read = Gateway._read_sized
        elif method in _MAY_HAVE_BODY:
            read = Gateway._read_unframed
        # This refuses what has both of them, or what they should not be.
        final = read is Gateway._read_surplus
        try:
            self._stream_id = self._conn.endheaders(final=final)
        except ConnectError as error:
            raise NotSent(str(error)) from error
        if read is Gateway._read_sized:
            self._left = int(values[b"content-length"][0])
            if not self._left:
                read = Gateway._read_surplus
        self._read = read
        closes = b"close" in tokens(values.get(b"connection", ()))
        self._asked.append(_Asked(self._stream_id, method, closes))

    def _read_sized(self) -> bool:
        piece = self._buffer.take(self._left)
        self._left -= len(piece)
        self._send(piece, final=not self._left)
        return True

    def _read_unframed(self) -> bool:
        self._send(self._buffer.take(len(self._buffer)), final=False)
        return True

    def _read_tunnel(self) -> bool:
        return self._read_unframed()

    def _read_surplus(self) -> bool:
        raise LocalProtocolError(
            "the request has ended: what it has more would need a Content-Length, or a "
            "Transfer-Encoding, that says so"
        )

    def _read_chunk_size(self) -> bool:
        line = self._buffer.take_line()
        if line is None:
            return False
        try:
            self._left = parse_chunk_size(line)
        except ChunkedDecodeError:
            raise _not_chunked() from None
        self._trailers.clear()
        self._read = Gateway._read_chunk if self._left else Gateway._read_trailers
        return True

    def _read_chunk(self) -> bool:
        piece = self._buffer.take(self._left)
        self._left -= len(piece)
        self._send(piece, final=False)
        if not self._left:
            self._read = Gateway._read_chunk_end
        return True

    def _read_chunk_end(self) -> bool:
        end = self._buffer.take_empty_line()
        if end:
            self._read = Gateway._read_chunk_size
        elif end is False:
            raise _not_chunked()
        return end is not None

    def _read_trailers(self) -> bool:
        line = self._buffer.take_line()
        if line is None:
            return False
        name, _, value = line.strip().partition(b":")
        if name:
            self._trailers.append((name, value))
        elif self._trailers:
            self._conn.send_trailers(self._trailers, self._stream_id)
            self._read = Gateway._read_surplus
        else:
            self._send(b"", final=True)
        return True

    def _send(self, data: bytes, final: bool) -> None:
        self._conn.send(data, final, self._stream_id)
        if final:
            self._read = Gateway._read_surplus


class ResponseFile(io.RawIOBase):
    """The bytes of one response, as HTTP/1.1 would have them. Made by gateways.

    The head waits for the response. A body that is cut short ends there, and why is in
    ``failure``: if reading raised instead, what a buffer has gathered would be lost.
    """

    def __init__(self, gateway: Gateway, asked: _Asked | None) -> None:
        super().__init__()
        self.failure: HyperError | None = None
        self._gateway = gateway
        self._asked = asked
        self._head = b""
        self._response: HTTP20Response | None = None
        self._left: int | None = None  # bytes of the body that were announced

    @property
    def will_close(self) -> bool:
        """True if no further request can go over the connection."""
        closes = self._asked is not None and self._asked.closes
        return closes or not self._gateway.usable

    def readable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the connection."""
        return self._gateway.sock.fileno()

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read what is there, waiting only if that is nothing; return how much it was.

        :raises RemoteDisconnected: if the response has not begun, and never will.
        :raises BadStatusLine: if it has, and is malformed.
        :raises ReadTimeout: if nothing came in time.
        """
        view = memoryview(buffer).cast("B")
        piece = self._next_piece(len(view))
        view[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        """End the exchange. The connection lives on, if it has other users."""
        if self.closed:
            return
        super().close()
        response = self._response
        if response is None:
            if self._asked is not None:
                self._gateway.cancel(self._asked)
        elif self._left == 0 and not response.closed:
            # All was read. That it was all is often said a moment later.
            self._gateway.linger(response)
        else:
            response.close()
        self._gateway.leave()

    def _next_piece(self, amount: int) -> bytes:
        if self._response is None and self._asked is not None:
            self._response = self._wait(self._asked)
        if self._head:
            piece, self._head = self._head[:amount], self._head[amount:]
            return piece
        if self._response is None or self.failure is not None:
            return b""
        try:
            piece = self._gateway.read_some(self._response, amount)
        except (Timeout, TLSError):
            raise
        except HyperError as error:
            self.failure = error
            return b""
        if self._left is not None:
            self._left -= len(piece)
        return piece

    def _wait(self, asked: _Asked) -> HTTP20Response:
        try:
            response = self._gateway.response(asked)
        except (Timeout, TLSError, LocalProtocolError):
            raise
        except RemoteProtocolError as error:
            raise BadStatusLine(str(error)) from error
        except HyperError as error:
            raise RemoteDisconnected(str(error)) from error
        lines = [b"HTTP/1.1 %d %b" % (response.status, response.reason.encode())]
        for name, value in response.headers.iter_raw():
            lines.append(b"%b: %b" % (name, value))
            if name == b"content-length":
                self._left = int(value)
        if asked.method == b"HEAD" or response.status in (204, 304):
            self._left = 0
        self._head = b"\r\n".join(lines) + b"\r\n\r\n"
        return response


class _SocketTimeout(Deadlines):
    """The timeout of a socket, as it is when something is waited for.

    The socket itself must not block: its timeout is 0, unless the user has set another
    one since it was looked at last.
    """

    __slots__ = ("_seconds", "_sock")

    def __init__(self, sock: ssl.SSLSocket) -> None:
        super().__init__(Limits(), MONOTONIC)
        self._sock = sock
        self._seconds = sock.gettimeout()

    def refresh(self) -> None:
        """Look whether the user has set another timeout."""
        seconds = self._sock.gettimeout()
        if seconds != 0 and self._sock.fileno() >= 0:
            self._seconds = seconds
            self._sock.setblocking(False)

    def connect(self) -> Deadline:
        return self._now().connect()

    def read(self) -> Deadline:
        return self._now().read()

    def write(self) -> Deadline:
        return self._now().write()

    def place(self) -> Deadline:
        return self._now().place()

    def _now(self) -> Deadlines:
        self.refresh()
        return Limits.of(self._seconds).start()


def _address(sock: ssl.SSLSocket) -> tuple[str, int | None]:
    """Return whom to name in messages, and where a request has no Host of its own."""
    try:
        peer = sock.getpeername()
    except OSError:
        peer = None  # It has gone already.
    return peer[:2] if isinstance(peer, tuple) else ("localhost", None)


def _not_chunked() -> LocalProtocolError:
    return LocalProtocolError(
        "the body is not chunked, as Transfer-Encoding says it is"
    )
