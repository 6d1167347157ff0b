"""HTTP/1.1 as a client speaks it: bytes in, bytes out, one exchange at a time.

The theory
==========

HTTP/1.1 has no frames and no stream ids on the wire. Which bytes answer which request
is known only because both sides count the same way, so a client that counts wrongly
gives one user's response to another. Everything here follows from that fear:

- **Strict where it counts.** :mod:`hyper.common.grammar` takes the bytes apart.
- **No pipelining.** The next request goes out when the last one and its response are
  both complete. Bytes that nobody asked for end the connection, unread.
- **One doubt and the connection is not used again.** A finished response stays good
  whatever comes after it.

The parser is laid out as h11's is. The state says what comes next on the wire, and
:data:`READERS` says who reads it: a reader takes what it can from the buffer, and
answers True (look again: the state or the buffer has changed) or False (more bytes are
needed). :data:`ENDINGS` says what the end of the connection means in each state.
:func:`body_framing` is the only place that decides where a body ends. ::

    IDLE --open()--> HEAD --> LENGTH ------------------------> DONE --> IDLE
                     |  ^     UNTIL_EOF -------------------->   |
                     +--+     CHUNK_SIZE > CHUNK_DATA > CHUNK_END
                     1xx              \\--> TRAILERS -------->   v
                              SWITCHED (101)                 CLOSED

DONE is left for IDLE when the request, too, is complete, and for CLOSED if the
connection cannot be used again. What comes out of the tunnel that a CONNECT has opened
is a body without end.

Section numbers are RFC 9112's unless another RFC is named.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from ..common.exceptions import (
    ChunkedDecodeError,
    ConnectionLost,
    HyperError,
    IncompleteRead,
    InvalidResponseError,
    LineTooLongError,
    LocalProtocolError,
    RemoteProtocolError,
    StreamResetError,
)
from ..common.grammar import (
    Buffer,
    Control,
    Head,
    check_codings,
    control_fields,
    parse_chunk_size,
    parse_fields,
    parse_head,
    parse_length,
    persists,
    request_head,
    shown,
    tokens,
)
from ..common.protocol import (
    CANCEL,
    EVERYONE,
    HEADS,
    NO_ERROR,
    HTTPVersion,
)
from ..common.request import Request
from ..common.stats import FrameCounts
from ..common.stream import Fields, Interim, Stream
from ..common.validation import drop_forbidden_trailers


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a peer's appetite is tolerated. All sizes are in bytes."""

    #: One line of a header or trailer section: ``http.client``'s limit.
    max_line: int = 65536
    #: Fields in one section. ``http.client`` stops at 100, and sites that set a
    #: hundred cookies exist: their other fields need room as well.
    max_fields: int = 256
    #: A header section with its status line: Chrome's limit; curl's is 300 KiB.
    max_header_bytes: int = 262144
    #: A trailer section.
    max_trailer_bytes: int = 65536
    #: A chunk's size and extensions: the limit of Go's ``net/http``.
    max_chunk_line: int = 4096
    #: Interim (1xx) responses before a final one, in number and together in bytes.
    max_interim: int = 8
    max_interim_bytes: int = 65536
    #: Unread body at which the peer is made to wait.
    high_water: int = 262144
    #: The same while other requests wait for this connection: reading ahead is all
    #: that a slow reader leaves them to hope for. HTTP/2's largest window.
    queued_high_water: int = 16777216
    #: The same while a call sends the request's body, so that it cannot read.
    sending_high_water: int = 67108864


class State(IntEnum):
    """What the next bytes from the server are part of."""

    IDLE = 0  # nothing: no request is under way
    HEAD = 1
    LENGTH = 2  # a body of which `_remaining` bytes are missing
    UNTIL_EOF = 3
    CHUNK_SIZE = 4
    CHUNK_DATA = 5  # a chunk of which `_remaining` bytes are missing
    CHUNK_END = 6
    TRAILERS = 7
    DONE = 8  # nothing: the response is complete, the request may not be
    SWITCHED = 9  # another protocol
    CLOSED = 10  # nothing, ever again


class H11Protocol:
    """The client side of one HTTP/1.1 connection.

    Beyond a :class:`~hyper.common.protocol.WireProtocol` it has :attr:`switched` and
    :meth:`take_leftover`, for connections that become something else.

    Not thread-safe: its owner calls it under one lock.
    """

    version = HTTPVersion.http11

    def __init__(
        self,
        *,
        next_stream_id: int = 1,
        limits: Limits | None = None,
        forward: Fields | None = None,
        authority: bytes = b"",
    ) -> None:
        """Begin.

        :param next_stream_id: the id of the first exchange.
        :param forward: None if the server is at the other end. Else a proxy is, which
            forwards requests: they are in absolute-form (3.2.2), with these fields.
        :param authority: where the proxy is to forward them, whatever Host says.
        """
        self._forward = forward
        self._authority = authority
        self.touched: set[object] = set()
        self.failure: HyperError | None = None
        self.queue: deque[object] = deque()
        self.abandoned: list[Stream] = []
        self.next_stream_id = next_stream_id
        self.opened = 0
        self.frames: tuple[FrameCounts, FrameCounts] | None = None
        self._limits = limits or Limits()
        self._state = State.IDLE
        #: False once no further request may ever be opened on this connection.
        self.accepting = True
        #: True once the connection is good for nothing more and has to be closed.
        self.finished = False
        self._stream = _NOBODY  # the exchange under way
        # Receiving.
        self._buffer = Buffer()
        self._remaining = 0  # see State
        self._known = _UNKNOWN
        self._may_skip_line = True  # an empty line may precede the status line
        self._interim_bytes = 0
        self._unread = 0  # bytes of the exchange's body that the user has not taken
        # Sending.
        self._outgoing: list[bytes | memoryview] = []
        self._exposed = False  # some of the request may have left
        self._body_left: int | None = 0  # bytes of request body to come; None: chunked
        self._asked_to_upgrade = False

    # What the owner may ask

    @property
    def open_streams(self) -> int:
        """1 from the opening of an exchange until both its sides are done, else 0."""
        return int(self._stream is not _NOBODY)

    @property
    def free_places(self) -> int:
        """1 if a request may be opened now, else 0."""
        return int(self.accepting and self._stream is _NOBODY)

    def may_open(self, request: Request) -> bool:
        """Return False while this request has to wait for the one before it."""
        return self.accepting and self._stream is _NOBODY

    @property
    def paused(self) -> bool:
        """True while enough unread body is held that the peer should wait."""
        limits = self._limits
        if not self._unread:
            switched = self._state is State.SWITCHED
            return switched and len(self._buffer) >= limits.high_water
        # An entry costs its object as well as its bytes: without counting them, chunks
        # of two bytes would take twenty times the memory that the limit promises.
        held = self._unread + 64 * len(self._stream.chunks)
        if self._stream.sending:
            return held >= limits.sending_high_water
        return held >= (limits.queued_high_water if self.queue else limits.high_water)

    @property
    def switched(self) -> bool:
        """True once the connection carries another protocol.

        That is after a 101 that was asked for, until the peer ends it. ``finished`` is
        False, ``accepting`` too, and what arrives is kept for :meth:`take_leftover`.
        """
        return self._state is State.SWITCHED

    # Verbs: the request

    def open(self, request: Request, end_stream: bool) -> Stream:
        """Queue the head of a request and return the record of its exchange.

        :raises LocalProtocolError: if there is no free place, if ``end_stream`` comes
            with a ``body_length`` that is not zero, or for a CONNECT of HTTP/2's kind,
            with a protocol. Nothing was queued.
        """
        if request.protocol is not None:
            raise LocalProtocolError("HTTP/1.1 has no CONNECT with a protocol")
        if not self.may_open(request):
            raise LocalProtocolError("this connection takes no further request now")
        if end_stream and request.body_length:
            raise LocalProtocolError(_wrong_length(request.body_length))
        stream = self._stream = Stream(self.next_stream_id, request.method)
        self.next_stream_id += 1
        self.opened += 1
        if self._forward is not None and not request.is_connect:
            # 3.2.4: "OPTIONS *" is that of a URL without a path.
            path = b"" if request.target == b"*" else request.target
            request = request._replace(
                target=request.scheme + b"://" + self._authority + path,
                headers=[*self._forward, *request.headers],
            )
        self._outgoing.append(request_head(request))
        self._state = State.HEAD
        self._may_skip_line = True
        self._interim_bytes = 0
        self._exposed = False
        self._body_left = request.body_length
        control = control_fields(request.headers) if request.headers else {}
        self._asked_to_upgrade = b"upgrade" in control
        if b"connection" in control and b"close" in tokens(control[b"connection"]):
            self.retire()
        if self._body_left is None and end_stream:
            self.send_data(stream, b"", True)
        else:
            stream.sent = end_stream
        return stream

    def sendable(self, stream: Stream) -> int:
        """Return how many bytes of body may be queued in one piece: always 65536.

        HTTP/1.1 has no flow control but TCP's, so this is never 0, not even for a
        stream that is over.
        """
        return 65536

    def send_data(
        self, stream: Stream, data: bytes | memoryview, end_stream: bool
    ) -> None:
        """Queue a piece of the body; do nothing if the stream or connection failed.

        A stream whose response has come early may be sent on: that is what keeps the
        connection. What is sent on a CONNECT goes through the tunnel as it is.

        :raises LocalProtocolError: if the request is complete already; if a tunnel is
            not open yet, so that the proxy might take what is meant for its other end
            for the next request; or if the body is longer or, with ``end_stream``,
            shorter than its declared length. Then none of ``data`` is sent, and the
            connection is of no more use: the server waits for a body that will not
            come.
        """
        if stream.error is not None or self._state is State.CLOSED:
            return
        if stream.method == b"CONNECT":
            self._send_through_tunnel(stream, data, end_stream)
            return
        if stream is not self._stream or stream.sent:
            raise LocalProtocolError(
                f"the request on stream {stream.stream_id} is complete already"
            )
        if self._body_left is None:
            self._send_chunk(data, end_stream)
        else:
            self._send_sized(data, end_stream, self._body_left)
        if end_stream:
            stream.sent = True
            self._settle()

    def send_trailers(self, stream: Stream, fields: Fields) -> None:
        """Queue the trailer section of a request (7.1.2), which ends it.

        :raises LocalProtocolError: if the request is not chunked, or complete already.
        """
        if stream.error is not None or self._state is State.CLOSED:
            return
        if stream is not self._stream or stream.sent or self._body_left is not None:
            raise LocalProtocolError(
                f"the request on stream {stream.stream_id} can have no trailers"
            )
        lines = [b"0", *(b"%b: %b" % field for field in fields), b"", b""]
        self._outgoing.append(b"\r\n".join(lines))
        stream.sent = True
        self._settle()

    def data_to_send(self) -> bytes:
        """Hand over the bytes to be sent since the last call, b"" if there are none."""
        while self.abandoned:
            self.reset(self.abandoned.pop(), None, CANCEL)
        if not self._outgoing:
            return b""
        self._exposed = True
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        return data

    # Verbs: the end

    def consumed(self, stream: Stream, *sizes: int) -> None:
        """The user took pieces of the body of these sizes: so much more may come.

        ``stream.buffered`` is not changed: it says what ``stream.chunks`` holds, and
        is kept by whoever takes from it.
        """
        if stream is self._stream:
            self._unread -= sum(sizes)

    def reset(self, stream: Stream, error: HyperError | None, code: int) -> None:
        """Give the exchange up, which in HTTP/1.1 takes the connection with it.

        ``code`` cannot be told to the peer. Does nothing if both sides are done.
        """
        if stream is not self._stream:
            return
        self._blame(
            error
            or StreamResetError(
                f"stream {stream.stream_id} was given up by this side",
                stream.stream_id,
                code,
                by_peer=False,
            )
        )
        self._finish()

    def probe(self) -> None:
        """Do nothing: HTTP/1.1 has no words that ask for nothing but an answer."""

    def fail(self, error: HyperError) -> None:
        """End the exchange with ``error``: the connection broke. Idempotent."""
        if self._state is State.CLOSED:
            return
        self.failure = error
        self._blame(error)
        self._finish()

    def retire(self) -> None:
        """Take no further request, and end with the one that is under way."""
        if self.accepting:
            self.accepting = False
            self.touched.add(EVERYONE)
            if self._stream is _NOBODY:
                self._finish()

    def skip_to(self, stream_id: int) -> None:
        """Let the next request have this id, or one above it."""
        self.next_stream_id = max(self.next_stream_id, stream_id)

    def close(self, code: int = NO_ERROR) -> None:
        """Take no further request; end at once unless an exchange is under way.

        HTTP/1.1 has no word for goodbye but that. Idempotent.
        """
        self.retire()
        if self._stream is _NOBODY:
            self._finish()

    def take_leftover(self) -> bytes:
        """Return, once, what came after the head that switched the protocol.

        b"" if nothing did, or if the connection has not switched.
        """
        # A CLOSED connection holds bytes only if it had switched.
        if self._state in (State.SWITCHED, State.CLOSED):
            return self._buffer.take(len(self._buffer))
        return b""

    # Verbs: the response

    def receive_data(self, data: bytes) -> None:
        """Take bytes that arrived. Never raises: a peer's fault fails the Protocol."""
        if self._state is State.CLOSED:
            return
        buffer = self._buffer
        buffer.feed(data)
        try:
            while buffer.data and READERS[self._state](self):
                pass
        except RemoteProtocolError as error:
            # The traceback holds this frame, which holds the stream: a cycle.
            self.fail(error.with_traceback(None))

    def receive_eof(self, clean: bool) -> None:
        """Take the end of what arrives; not ``clean`` if TLS did not confirm it."""
        error = ENDINGS[self._state](self, clean)
        if error is not None:
            self.fail(error)
        elif self._state is not State.CLOSED:
            self._finish()

    # Readers, by state

    def _read_unasked(self) -> bool:
        """IDLE and DONE: drop the connection rather than guess whose bytes these are.

        They are a 408 to nobody, the body of a HEAD, or a response planted for the
        next request to find (9.2, 11.2). No exchange is harmed.
        """
        self._finish()
        return False

    def _read_head(self) -> bool:
        if not self._exposed:
            start = shown(self._buffer.peek(61))
            raise RemoteProtocolError(f"server answered before it was asked: {start}")
        known = self._known
        if self._buffer.begins_with(known.wire) and self._stream.method == known.method:
            self._buffer.take(len(known.wire))
            self._begin_response(known)
            return True
        if not self._buffer.begins_with(b"HTTP/"):
            if self._may_skip_line:
                skipped = self._buffer.take_empty_line()
                if skipped is None:
                    return False
                self._may_skip_line = False
                if skipped:
                    return True
            if not self._buffer.agrees_with(b"HTTP/"):
                said = self._buffer.peek(61)
                hint = "; perhaps it speaks TLS on this port" * (said[0] == 0x15)
                raise InvalidResponseError(
                    f"server sent what is not HTTP/1: {shown(said)}{hint}"
                )
        block = self._take_block(self._limits.max_header_bytes, "a header section")
        if block is None:
            return False
        self._receive_head(parse_head(block, self._limits.max_fields), block)
        return True

    def _read_until_length(self) -> bool:
        self._deliver(self._buffer.take(self._remaining))
        if not self._remaining:
            self._end_response()
        return True

    def _read_until_eof(self) -> bool:
        self._deliver(self._buffer.take(len(self._buffer)))
        return False

    def _read_chunk_size(self) -> bool:
        limit = self._limits.max_chunk_line
        line = self._buffer.take_line()
        size = len(self._buffer) if line is None else len(line)
        if size > limit:
            raise LineTooLongError(f"server sent a chunk line over {limit} bytes long")
        if line is None:
            return False
        self._remaining = parse_chunk_size(line)
        self._state = State.CHUNK_DATA if self._remaining else State.TRAILERS
        return True

    def _read_chunk_data(self) -> bool:
        self._deliver(self._buffer.take(self._remaining))
        if not self._remaining:
            self._state = State.CHUNK_END
        return True

    def _read_chunk_end(self) -> bool:
        if len(self._buffer) < 2:
            return False
        end = self._buffer.take(2)
        if end != b"\r\n":
            raise ChunkedDecodeError(
                f"server sent a chunk longer than its size: {shown(end)} "
                "where CRLF was to be"
            )
        self._state = State.CHUNK_SIZE
        return True

    def _read_trailers(self) -> bool:
        empty = self._buffer.take_empty_line()
        if empty is None:
            return False
        if not empty:
            limits = self._limits
            block = self._take_block(limits.max_trailer_bytes, "a trailer section")
            if block is None:
                return False
            fields = parse_fields(block, limits.max_fields)
            self._stream.trailers = drop_forbidden_trailers(fields)
        self._end_response()
        return True

    def _read_other_protocol(self) -> bool:
        return False

    # What readers share

    def _take_block(self, limit: int, what: str) -> bytes | None:
        """Take the lines up to an empty one; None if that has not come."""
        block = self._buffer.take_block()
        # Minus 3, as some of an empty line may be there, so that the verdict does not
        # depend on how the bytes were split.
        size = len(self._buffer) - 3 if block is None else len(block)
        if size > limit:
            raise LineTooLongError(f"server sent {what} of more than {limit} bytes")
        limit = self._limits.max_line
        if block and size > limit and max(map(len, block.split(b"\n"))) > limit:
            raise LineTooLongError(f"server sent a line of more than {limit} bytes")
        return block

    def _receive_head(self, head: Head, block: bytes) -> None:
        if head.status < 200 and head.status != 101:
            self._add_interim(head, len(block))
            return
        if head.status == 101 and not self._asked_to_upgrade:
            raise InvalidResponseError(
                "server switched protocols (101) without having been asked"
            )
        method, control = self._stream.method, control_fields(head.fields)
        framing = body_framing(method, head.status, head.minor, control)
        closes = framing.closes or not persists(head.minor, control)
        known = KnownHead(block + b"\r\n", method, head, framing, closes)
        if len(block) <= MAX_KNOWN and not closes:
            self._known = known
        self._begin_response(known)

    def _add_interim(self, head: Head, size: int) -> None:
        """Record a 1xx, which has no body whatever its fields say (6.3 step 1)."""
        limits, interim = self._limits, self._stream.informational
        size = self._interim_bytes = self._interim_bytes + size
        number = len(interim) + 1
        if number > limits.max_interim or size > limits.max_interim_bytes:
            raise RemoteProtocolError(
                "server sent too much before its response: "
                f"{number} interim responses of {size} bytes"
            )
        self.touched.add(self._stream)
        interim.append(Interim(head.status, head.fields))
        self._may_skip_line = True

    def _begin_response(self, known: KnownHead) -> None:
        stream, head, framing = self._stream, known.head, known.framing
        self.touched |= {stream, HEADS}
        stream.reason, stream.headers = head.reason, head.fields
        stream.http10 = head.minor == 0
        stream.status = head.status
        if known.closes:
            self.retire()
        self._state, self._remaining = framing.state, framing.length
        if framing.state in (State.DONE, State.SWITCHED):
            self._end_response()

    def _deliver(self, piece: bytes) -> None:
        """Hand a piece of body, never empty, to the user."""
        stream, size = self._stream, len(piece)
        stream.chunks.append(piece)
        stream.buffered += size
        self._unread += size
        self._remaining -= size
        self.touched.add(stream)

    def _end_response(self) -> None:
        self._stream.ended = True
        self.touched.add(self._stream)
        if self._state is not State.SWITCHED:
            self._state = State.DONE
        self._settle()

    # What becomes of the connection

    def _settle(self) -> None:
        """Make the place free if the exchange is complete.

        A connection that will not be used again is closed when the response is
        complete, even if the request is not: the server, which said so, does not read
        the rest (9.6).
        """
        stream = self._stream
        if self._state is State.DONE and (not self.accepting or stream.stopped):
            self._finish()
        elif stream.ended and stream.sent:
            self._forget_exchange()
            if self._state is State.DONE:
                self._state = State.IDLE
            if self.queue:
                self.touched.add(self.queue[0])

    def _forget_exchange(self) -> None:
        # What the user has not read of a finished response holds nobody up: else two
        # responses read in the wrong order would wait for each other.
        self._stream = _NOBODY
        self._unread = 0

    def _blame(self, error: HyperError) -> None:
        """Fail the exchange under way, if its response is not complete."""
        stream = self._stream
        if stream.over:
            return
        if not self._exposed:
            error = error.fresh()
            error.retry_safe = True
        stream.error = error
        self.touched |= {stream, HEADS}

    def _finish(self) -> None:
        """Become CLOSED. Whatever was to be sent is of no use to anybody."""
        if self._state is not State.SWITCHED:
            self._buffer.clear()
        self.accepting = False
        self.finished = True
        self._state = State.CLOSED
        self._outgoing.clear()
        self._forget_exchange()
        self.touched.add(EVERYONE)

    # Endings, by state: what the end of the connection means to the exchange

    def _end_quietly(self, clean: bool) -> HyperError | None:
        return None

    def _end_in_head(self, clean: bool) -> HyperError:
        stream = self._stream
        did = "within its answer to" if self._buffer else "without answering"
        return ConnectionLost(
            f"server closed the connection {did} {stream.method.decode('latin-1')} "
            f"on stream {stream.stream_id}"
        )

    def _end_in_body(self, clean: bool) -> HyperError:
        missing = self._remaining or None
        return IncompleteRead(
            f"server closed the connection within the body on stream "
            f"{self._stream.stream_id}"
            + (f", {missing} bytes or more before its end" if missing else ""),
            expected=missing,
        )

    def _end_of_body(self, clean: bool) -> HyperError | None:
        """A body without a length ends here, if the end is the server's own (8).

        A tunnel does in any case: what is spoken in it knows its own ends.
        """
        if not clean and not self._stream.connected:
            return IncompleteRead(
                "the connection ended without TLS's close_notify in a body of unknown "
                f"length on stream {self._stream.stream_id}: it may be cut short"
            )
        self._end_response()
        return None

    # Sending

    def _send_chunk(self, data: bytes | memoryview, end_stream: bool) -> None:
        if data:  # an empty chunk would be the last (7.1)
            self._outgoing += (b"%x\r\n" % len(data), data, b"\r\n")
        if end_stream:
            self._outgoing.append(b"0\r\n\r\n")

    def _send_through_tunnel(
        self, stream: Stream, data: bytes | memoryview, end_stream: bool
    ) -> None:
        if data:
            if not stream.connected:
                raise LocalProtocolError(
                    "the tunnel is not open: wait for the response to CONNECT first"
                )
            self._outgoing.append(data)
        if end_stream:
            stream.sent = True
            self._settle()

    def _send_sized(
        self, data: bytes | memoryview, end_stream: bool, left: int
    ) -> None:
        left -= len(data)
        if left < 0 or (end_stream and left):
            # Its own class says that nothing was sent. This time that is not so.
            error = LocalProtocolError(_wrong_length(left))
            error.retry_safe = not self._exposed
            self._blame(error)
            self._finish()
            raise error.fresh()
        self._body_left = left
        if data:
            self._outgoing.append(data)


_Reader = Callable[[H11Protocol], bool]
_Ending = Callable[[H11Protocol, bool], "HyperError | None"]

#: Who reads what comes next; CLOSED is missing, for nothing is read then.
READERS: Mapping[State, _Reader] = {
    State.IDLE: H11Protocol._read_unasked,
    State.HEAD: H11Protocol._read_head,
    State.LENGTH: H11Protocol._read_until_length,
    State.UNTIL_EOF: H11Protocol._read_until_eof,
    State.CHUNK_SIZE: H11Protocol._read_chunk_size,
    State.CHUNK_DATA: H11Protocol._read_chunk_data,
    State.CHUNK_END: H11Protocol._read_chunk_end,
    State.TRAILERS: H11Protocol._read_trailers,
    State.DONE: H11Protocol._read_unasked,
    State.SWITCHED: H11Protocol._read_other_protocol,
}

#: What the end of the connection means: an error, or None if nothing is lost.
ENDINGS: Mapping[State, _Ending] = {
    State.IDLE: H11Protocol._end_quietly,
    State.HEAD: H11Protocol._end_in_head,
    State.LENGTH: H11Protocol._end_in_body,
    State.UNTIL_EOF: H11Protocol._end_of_body,
    State.CHUNK_SIZE: H11Protocol._end_in_body,
    State.CHUNK_DATA: H11Protocol._end_in_body,
    State.CHUNK_END: H11Protocol._end_in_body,
    State.TRAILERS: H11Protocol._end_in_body,
    State.DONE: H11Protocol._end_quietly,
    State.SWITCHED: H11Protocol._end_quietly,
    State.CLOSED: H11Protocol._end_quietly,
}


class Framing(NamedTuple):
    """How a response's body is delimited."""

    #: What follows the header section: LENGTH, CHUNK_SIZE, UNTIL_EOF, or, if there is
    #: no body, DONE or SWITCHED.
    state: State
    #: The size of the body in bytes, for LENGTH.
    length: int = 0
    #: The connection must not carry another exchange.
    closes: bool = False


class KnownHead(NamedTuple):
    """The head of a final response, and all that follows from it.

    Whoever asks a server for the same again and again gets the same bytes, for as long
    as a second lasts, if not longer: they are read once.
    """

    #: With the empty line that ends it, which has a CR.
    wire: bytes
    #: The request's.
    method: bytes
    head: Head
    framing: Framing
    #: The connection must not carry another exchange.
    closes: bool


#: How large a head may be, in bytes, to be kept while a connection has nothing to do.
MAX_KNOWN = 2048


def body_framing(method: bytes, status: int, minor: int, control: Control) -> Framing:
    """Choose where a response's body ends, in the order of section 6.3.

    :param method: the request's method.
    :param minor: 0 if the response is HTTP/1.0.
    :param control: the values of ``content-length`` and ``transfer-encoding``.
    :raises InvalidResponseError: if that cannot be known for certain.
    """
    lengths = control.get(b"content-length")
    codings = control.get(b"transfer-encoding")
    # Step 2, before step 1 as a 101 that gets here was asked for. The fields of a 2xx
    # to CONNECT are ignored (RFC 9110 9.3.6).
    if status == 101:
        return Framing(State.SWITCHED, closes=True)
    if method == b"CONNECT" and status < 300:
        return Framing(State.UNTIL_EOF, closes=True)
    # Step 1. Interim responses never get here. If a 204 speaks of a body, against 6.1
    # and RFC 9110 8.6, one may follow and be taken for the next response.
    if method == b"HEAD" or status in (204, 304):
        speaks = bool(codings or (lengths and {*lengths} != {b"0"}))
        return Framing(State.DONE, closes=status == 204 and speaks)
    # Steps 3 and 4. A response with both, or in HTTP/1.0, or "chunked" twice, may be an
    # attempt at smuggling: it is chunked, and the connection is not trusted (6.1).
    if codings:
        if lengths:
            parse_length(lengths)
        twice = check_codings(codings) > 1
        return Framing(State.CHUNK_SIZE, closes=twice or bool(lengths) or minor == 0)
    # Steps 5 and 6.
    if lengths:
        length = parse_length(lengths)
        return Framing(State.LENGTH if length else State.DONE, length)
    # Step 8; step 7 is about requests.
    return Framing(State.UNTIL_EOF, closes=True)


def _wrong_length(left: int) -> str:
    if left < 0:
        return f"the request body is {-left} bytes longer than its declared length"
    return f"the request body ended {left} bytes before its declared length"


#: The exchange of a connection that has none. Both its sides are done, so that nothing
#: is ever written to it.
_NOBODY = Stream(0, b"", ended=True, sent=True)

#: The head that no response has.
_UNKNOWN = KnownHead(b"", b"", Head(1, 0, b"", []), Framing(State.DONE), False)
