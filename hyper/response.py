"""A response: a file-like view of a Stream.

A Stream is filled by whichever thread reads the connection. A Response empties it: it
waits, takes the body, gives the peer credit for what it took, and decodes. Decoding is
the user's time, so it happens outside the connection's lock.

A Response belongs to one thread at a time. :meth:`Response.close` may be called from
any: it ends the exchange, and the thread that reads gets an error.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from types import TracebackType
from typing import NamedTuple, TypeVar, cast, overload
from typing import Protocol as Interface

from .common.decoder import Decoder, decoder_for
from .common.exceptions import (
    IncompleteRead,
    LocalProtocolError,
    StreamResetError,
    Timeout,
)
from .common.headers import HTTPHeaderMap
from .common.protocol import CANCEL, HTTPVersion, WireProtocol
from .common.stream import Run, Stream
from .transport.bufsocket import Address, BufferedSocket
from .transport.deadline import Deadlines
from .transport.tls import SharedTLS, TLSFilter

#: How much a decoder may give at once where the user sets no limit.
PIECE = 256 * 1024

#: How much memory a body may get before it is there: what a server announces is free.
MOST_ROOM = 32 * 1024 * 1024

_PHRASES = {int(status): status.phrase for status in HTTPStatus}

T = TypeVar("T")
_Self = TypeVar("_Self", bound="Response")


@dataclass(frozen=True, eq=False)
class Line:
    """A connection on the wire, and the Protocol that is spoken on it."""

    socket: BufferedSocket
    #: Guarded by the socket's lock.
    protocol: WireProtocol
    #: The id of the first request that it may carry.
    first_stream_id: int

    @property
    def unused(self) -> bool:
        """True if no request was ever opened on it."""
        return self.protocol.next_stream_id == self.first_stream_id


class Place(Interface):
    """What a response occupies while it is under way, such as a pool's connection."""

    def give_back(self) -> None:
        """Let others have it. Takes no lock, as finalizers call it; idempotent."""


class Informational(NamedTuple):
    """An interim response (RFC 9110 section 15.2)."""

    status: int
    headers: HTTPHeaderMap


class Response:
    """The response to one request. Made by connections.

    :ivar status: the status code, an ``int``.
    :ivar reason: the phrase that goes with it, a ``str``: the server's own in HTTP/1.1,
        the standard one in HTTP/2, which sends none.
    :ivar headers: the fields, an :class:`~hyper.common.headers.HTTPHeaderMap`.
    :ivar stream_id: the id that ``request()`` returned.
    :ivar version: the :class:`~hyper.common.util.HTTPVersion` it came in.
    """

    #: What is given back once the response has come, failed, or was given up.
    _place: Place | None = None
    #: How the body is read, decoded or not; None: not begun.
    _decoded: bool | None = None
    _decoder: Decoder | None = None
    #: The ``decode_content`` with which pieces are read as they are; None: with none.
    _as_received: bool | None = None
    _closed = False
    _cut_short = False

    def __init__(
        self, line: Line, stream: Stream, stream_id: int, deadlines: Deadlines
    ) -> None:
        self.status = stream.status or 0
        self.reason = stream.reason.decode("latin-1") or _PHRASES.get(self.status, "")
        self.headers = HTTPHeaderMap.from_wire(stream.headers)
        self.stream_id = stream_id
        self.version: HTTPVersion = (
            HTTPVersion.http10 if stream.http10 else line.protocol.version
        )
        self._line = line
        self._stream = stream
        self._deadlines = deadlines
        #: Taken from the Stream, as received.
        self._chunks: deque[bytes | Run] = deque()
        self._buffer = bytearray()  # of the body, in the form it is read in

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.status} {self.reason}, "
            f"stream {self.stream_id}>"
        )

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # The collector may run in any thread, one that holds the lock too.
        stream = getattr(self, "_stream", None)
        if stream is not None and not (stream.over and stream.sent):
            self._line.protocol.abandoned.append(stream)
            self._line.socket.attend()
        if self._place is not None:
            self._leave()

    # The body.

    def read(self, amt: int | None = None, decode_content: bool = True) -> bytes:
        """Read the body, or the next ``amt`` bytes of it.

        Blocks until there are so many bytes, or the body ends; see :meth:`read1` for
        what is there already.

        :param amt: how many bytes at most, counted after decoding. None: all.
        :param decode_content: whether to undo the Content-Encoding. It has to be the
            same for all of a body.
        :returns: the bytes; ``b""`` at the end of the body.
        :raises IncompleteRead: if the body ended before its end. What had come is in
            ``partial``.
        :raises ReadTimeout: if nothing came in time. The exchange is over then.
        :raises StreamResetError, ConnectionLost: if the server or the network ended the
            exchange. What had come before can still be had from :meth:`read1`.
        :raises DecodingError: if the content-coding is broken.
        """
        self._begin(decode_content)
        if amt is None or amt < 0:
            return self._read_all()
        buffer = self._buffer
        while len(buffer) < amt:
            try:
                piece = self._pull(amt - len(buffer))
            except IncompleteRead as error:
                error.partial = bytes(buffer)
                buffer.clear()
                raise
            if not piece:
                break
            buffer += piece
        return self._take_buffered(amt)

    def read1(self, amt: int = -1, decode_content: bool = True) -> bytes:
        """Read what there is of the body, waiting only if there is nothing.

        :param amt: how many bytes at most; negative for no limit.
        :returns: at least one byte, or ``b""`` at the end of the body.
        :raises HyperError: as :meth:`read` does.
        """
        if (
            self._as_received is decode_content
            and amt < 0
            and self._chunks
            and not self._buffer
        ):
            piece = self._pop()
            if piece:
                return piece  # As a rule, in a download.
        self._begin(decode_content)
        if self._buffer:
            return self._take_buffered(None if amt < 0 else amt)
        if amt == 0:
            return b""
        piece = self._pull(PIECE if amt < 0 else amt)
        if amt < 0 or len(piece) <= amt:
            return piece
        self._buffer += piece
        return self._take_buffered(amt)

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Read decoded bytes into ``buffer`` until it is full or the body ends.

        :returns: how many bytes were read.
        :raises HyperError: as :meth:`read` does.
        """
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def readline(self, limit: int = -1) -> bytes:
        """Read decoded bytes up to and including the next LF.

        :param limit: how many bytes at most; negative for no limit.
        :returns: the line; ``b""`` at the end of the body.
        :raises HyperError: as :meth:`read` does.
        """
        self._begin(True)
        searched = 0
        while True:
            end = self._buffer.find(b"\n", searched) + 1
            if end == 0 and (limit < 0 or len(self._buffer) < limit):
                searched = len(self._buffer)
                piece = self._pull(PIECE)
                if piece:
                    self._buffer += piece
                    continue
            end = end or len(self._buffer)
            return self._take_buffered(end if limit < 0 else min(end, limit))

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the lines of the decoded body, each with its LF."""
        return iter(self.readline, b"")

    def read_chunked(self, decode_content: bool = True) -> Iterator[bytes]:
        """Iterate over the body in the pieces that the server sent it in.

        A piece is a DATA frame of HTTP/2 or a chunk of HTTP/1.1, and may be empty.
        Where a thousand frames wait to be read, small ones after them are joined.
        Where a Content-Encoding is undone, it is what the decoder made of one: that may
        be nothing yet, or several pieces, each of limited size.

        :raises HyperError: as :meth:`read` does.
        """
        self._begin(decode_content)
        if self._buffer:
            yield self._take_buffered(None)
        while True:
            if self._decoder is not None and not self._decoder.needs_input:
                yield self._decoder.decode(b"", PIECE)
                continue
            if not self._has_chunk():
                return
            first = self._chunks[0]
            if type(first) is Run:
                chunk = first.next()
                if not len(first):
                    self._chunks.popleft()
            else:
                chunk = self._pop()
            if self._decoder is not None:
                chunk = self._decoder.decode(chunk, PIECE)
            yield chunk

    # All else.

    @property
    def trailers(self) -> HTTPHeaderMap:
        """The trailer fields; empty if there are none.

        They come after the body, so this waits for its end, and keeps in memory what is
        not yet read of it.

        :raises HyperError: as :meth:`read` does.
        """
        while not self._stream.over:
            self._receive()
        if self._stream.error is not None:
            raise self._stream.error.fresh()
        return HTTPHeaderMap.from_wire(self._stream.trailers)

    @property
    def informational(self) -> list[Informational]:
        """The interim responses that came before this one, oldest first."""
        return [
            Informational(status, HTTPHeaderMap.from_wire(fields))
            for status, fields in self._stream.informational
        ]

    @property
    def local_address(self) -> Address:
        """This side's address on the connection, as the ``socket`` module writes it."""
        return self._line.socket.local_address

    @property
    def peer_address(self) -> Address | None:
        """The other side's, which is a proxy if there is one; None if it is unknown."""
        return self._line.socket.peer_address

    @property
    def tls(self) -> SharedTLS | None:
        """The TLS that the response came through, to ask for certificate and cipher.

        None if there is none, or it is not hyper's own: if it is made with a context of
        pyOpenSSL, or by the user, who gave it as ``sock``.
        """
        wire = self._line.socket
        layer = wire.innermost_filter
        return SharedTLS(layer.tls, wire) if isinstance(layer, TLSFilter) else None

    @overload
    def getheader(self, name: str, default: None = None) -> str | None: ...
    @overload
    def getheader(self, name: str, default: str) -> str: ...
    def getheader(self, name: str, default: str | None = None) -> str | None:
        """Return a field's value, as ``http.client`` does: values joined with ", "."""
        values = self.headers.get(name)
        if values is None:
            return default
        return ", ".join(value.decode("latin-1") for value in values)

    def getheaders(self) -> list[tuple[str, str]]:
        """Return all fields as received, as pairs of str."""
        return [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in self.headers.iter_raw()
        ]

    def fileno(self) -> int:
        """Raise: many responses share one descriptor.

        :raises io.UnsupportedOperation: always.
        """
        raise io.UnsupportedOperation("a response has no descriptor of its own")

    @property
    def closed(self) -> bool:
        """True once the response is closed, or read to its end."""
        return self._closed or self._at_end()

    def close(self) -> None:
        """End the exchange: what has not come yet is not wanted any more.

        The connection lives on where its protocol allows (HTTP/2 resets the stream).
        Idempotent; may be called from any thread.
        """
        if self._closed:
            return
        self._closed = True
        stream = self._stream
        if not (stream.over and stream.sent):
            self._cut_short = True
            self._as_received = None
            error = StreamResetError(
                f"the response on stream {self.stream_id} was closed by this side",
                self.stream_id,
                CANCEL,
                by_peer=False,
            )
            if self._line.socket.held_here:
                # The collector runs a finalizer of the user's inside one of our calls.
                self._line.protocol.abandoned.append(stream)
                self._line.socket.attend()
            else:
                with self._line.socket:
                    self._line.protocol.reset(stream, error, CANCEL)
        self._leave()

    def occupy(self, place: Place) -> None:
        """Have ``place`` until the response has come completely, or failed.

        That may be so already, and else is noticed when the response is read, closed or
        dropped.
        """
        self._place = place
        if self._stream.over:
            self._leave()

    # Inside.

    def _leave(self) -> None:
        place, self._place = self._place, None
        if place is not None:
            place.give_back()

    def _begin(self, decoded: bool) -> None:
        """Settle how the body is read, the first time it is."""
        if self._cut_short:
            raise ValueError("read of a response that was closed before its end")
        if self._decoded is None:
            self._decoded = decoded
            if decoded and self._has_coding():
                self._decoder = decoder_for(self.headers.get(b"content-encoding") or [])
            if self._decoder is None:
                self._as_received = decoded
        elif self._decoded != decoded:
            raise LocalProtocolError(
                "decode_content has to be the same for all of a body"
            )

    def _read_all(self) -> bytes:
        if self._decoder is None:
            return self._read_as_received()
        pieces = [self._take_buffered(None)] if self._buffer else []
        try:
            while piece := self._pull(PIECE):
                pieces.append(piece)
        except IncompleteRead as error:
            error.partial = b"".join(pieces)
            raise
        except BaseException:
            self._buffer += b"".join(pieces)  # It can still be had from read1().
            raise
        return b"".join(pieces)

    def _read_as_received(self) -> bytes:
        """Read to the end, and copy what is more than one piece as it comes.

        Each piece is freed at once: the next one is received into the same memory,
        which the processor has at hand.
        """
        if not self._buffer:
            if not self._chunks and not self._receive():
                return b""
            if len(self._chunks) == 1 and self._is_last():
                return self._pop()
        whole = io.BytesIO(bytes(self._announced()))
        try:
            if self._buffer:
                whole.write(self._take_buffered(None))
            while self._chunks or self._receive():
                for index, chunk in enumerate(self._chunks):
                    if type(chunk) is Run:
                        self._chunks[index] = chunk.rest()
                chunks = _emptied(self._chunks, len(self._chunks))
                whole.writelines(cast("Iterator[bytes]", chunks))
                if self._at_end():
                    break
        except IncompleteRead as error:
            error.partial = whole.getvalue()[: whole.tell()]
            raise
        except BaseException:
            self._buffer += whole.getvalue()[: whole.tell()]  # for read1()
            raise
        return whole.getvalue()[: whole.tell()]

    def _announced(self) -> int:
        """Return for how many bytes of body to make room; 0 if nobody knows."""
        for length in self.headers.get(b"content-length", ()):
            if length.isdigit():
                return min(int(length), MOST_ROOM)
        return 0

    def _has_coding(self) -> bool:
        """Return whether the body has a Content-Encoding, without an index of fields.

        Most have none, and most fields are never looked at.
        """
        names = dict(self.headers.iter_raw())
        return b"content-encoding" in map(bytes.lower, names)

    def _at_end(self) -> bool:
        """Return True if nothing more of the body will come."""
        return (
            not self._chunks
            and not self._buffer
            and self._is_last()
            and (self._decoder is None or self._decoder.needs_input)
        )

    def _is_last(self) -> bool:
        """Return True if nothing comes after what was taken from the Stream."""
        return self._stream.ended and not self._stream.chunks

    def _take_buffered(self, limit: int | None) -> bytes:
        buffer = self._buffer
        if limit is None or limit >= len(buffer):
            data = bytes(buffer)
            buffer.clear()
        else:
            data = bytes(buffer[:limit])
            del buffer[:limit]
        return data

    def _pull(self, limit: int) -> bytes:
        """Return at least one more byte; b"" at the end.

        That is one piece as it was received, or at most ``limit`` decoded bytes.
        """
        while True:
            if self._decoder is not None and not self._decoder.needs_input:
                data = self._decoder.decode(b"", limit)
            else:
                if not self._has_chunk():
                    return b""
                data = self._pop()
                if self._decoder is not None:
                    data = self._decoder.decode(data, limit)
            if data:
                return data

    def _has_chunk(self) -> bool:
        """Wait for the next piece as received; return False at the end of the body."""
        if self._chunks or self._receive():
            return True
        if self._decoder is not None:
            self._decoder.finish()
        return False

    def _pop(self) -> bytes:
        """Take out the first of what was taken from the Stream."""
        first = self._chunks[0]
        if type(first) is Run:
            self._chunks[0] = first.rest()
        return cast("bytes", self._chunks.popleft())

    def _receive(self) -> bool:
        """Take all that has come of the body, waiting if that is nothing.

        :returns: False at the end of the body, where there is nothing to take.
        """
        try:
            self._take_chunks()
        finally:
            if self._place is not None and self._stream.over:
                self._leave()
        return bool(self._chunks)

    def _take_chunks(self) -> None:
        stream = self._stream
        doing = f"reading the response on stream {self.stream_id}"
        if stream.ended and stream.sent:
            # Nobody else has anything to do with it any more: no lock is needed.
            self._deadlines.check(doing)
            self._chunks.extend(_emptied(stream.chunks, len(stream.chunks)))
            stream.buffered = 0
            return
        with self._line.socket as wire:
            try:
                self._deadlines.check(doing)
                wire.wait_until(
                    lambda: bool(stream.chunks) or stream.over,
                    stream,
                    self._deadlines.read(),
                    doing,
                )
            except Timeout as error:
                self._line.protocol.reset(stream, error, CANCEL)
                raise
            sizes = list(map(len, stream.chunks))
            taken = len(sizes)
            self._chunks.extend(_emptied(stream.chunks, taken))
            stream.buffered = 0
            self._line.protocol.consumed(stream, *sizes)
        if not taken and stream.error is not None:
            raise stream.error.fresh()


def _emptied(chunks: deque[T], number: int) -> Iterator[T]:
    """Iterate over so many pieces while taking them out.

    ``extend`` does it in one call of C code: a signal handler that raises may come at
    any other point, and a piece must be in one place or the other.
    """
    return islice(iter(chunks.popleft, None), number)
