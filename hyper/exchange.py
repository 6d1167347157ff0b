"""What the connections of every HTTP version do alike: whole exchanges.

A connection object is not a socket. It is a promise to talk to one origin: it dials
when it has to, lets any number of threads send requests at once, and dials anew when
the server has closed what there was. What is on the wire is a :class:`Line`, a
BufferedSocket with a Protocol; an old one goes on until its exchanges have ended, while
new requests use a new one.

A request that the server cannot have acted on (it said so, or not a byte of it left
this machine) is sent once more, without the user noticing. So is one that is idempotent
and met the end of a connection that was kept alive. Nothing else ever is.

Locks, in the order in which they may be taken: ``_dialing``, held while connecting, so
that threads that ask at once share one connection; its waits have deadlines. Then a
BufferedSocket's own. Then ``_mutex``, held for a few instructions.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Generic, TypeVar

from .common.body import Body, Meter
from .common.exceptions import (
    ConnectError,
    ConnectionLost,
    ConnectionTerminated,
    HyperError,
    LocalProtocolError,
    RequestNotProcessed,
    Timeout,
)
from .common.moment import Moment, Watch
from .common.protocol import CANCEL, HEADS, NO_ERROR, HTTPVersion, WireProtocol
from .common.request import Request
from .common.stats import Stats
from .common.stream import Stream
from .common.target import Origin, authority
from .response import Line, Response
from .transport import dial
from .transport.bufsocket import BufferedSocket
from .transport.deadline import (
    Deadline,
    Deadlines,
    Mutex,
    PerThread,
    TimeoutLike,
    new_lock,
)
from .transport.deadline import Timeout as Limits
from .transport.tls import TLSLayer

#: How many connections may close under a waiting request before it gives up.
MAX_DIALS = 4
#: Bytes of one upload that may wait for the kernel: enough to keep it busy.
MAX_QUEUED = 65536
#: RFC 9110 section 9.2.2.
IDEMPOTENT = frozenset(b"GET HEAD OPTIONS TRACE PUT DELETE".split())
#: How long to wait for 100 Continue, in seconds: curl's figure.
CONTINUE_PATIENCE = 1.0


#: What is told how much of a body was sent, and how much there is if that is known.
Progress = Callable[[int, "int | None"], None]


class Unset:
    """The type of an argument that was not given, where None means something."""


UNSET = Unset()


class _Batch(PerThread):
    """What a thread that queues many requests has for itself."""

    #: How many blocks of ``batch()`` it is in, one inside the other.
    depth = 0


R = TypeVar("R", bound=Response, covariant=True)
_Self = TypeVar("_Self", bound="Exchanger[Response]")


@dataclass(slots=True, eq=False)
class Exchange:
    """A request, and where it is on the wire.

    Used by one thread at a time: the one that sends, then the one that receives.
    """

    request: Request
    body: Body
    deadlines: Deadlines
    #: How often the user had closed the connection when the request began.
    closings: int
    #: The id that the user knows it by; 0 for the one that it is sent with. It may have
    #: another on the wire: if ids above it were used before, and when it is retried.
    stream_id: int = 0
    retried: bool = False
    #: Told (bytes sent, bytes in all or None) after each piece of the body.
    progress: Progress | None = None
    #: Told how far it has got.
    watch: Watch | None = None
    #: Whether the request ends when the body that is being sent does.
    final: bool = True
    #: Of a request with a body; made anew each time that it is sent.
    meter: Meter = field(init=False)
    #: The line it was sent on, the last time it was, and the record of it there.
    line: Line = field(init=False)
    stream: Stream = field(init=False)
    #: How much had been queued and received there before.
    _queued_before: int = 0
    _received_before: int = 0

    @property
    def sends_body(self) -> bool:
        """True if a body that is there already follows the head, in the same packet."""
        return self.final and self.body.whole and self.watch is None

    @property
    def unseen(self) -> bool:
        """True if no byte of it can have reached the server."""
        return not self.line.socket.has_sent(self._queued_before)

    @property
    def repeatable(self) -> bool:
        """True if it met a server that was just closing a connection it had used.

        RFC 9112 section 9.5: HTTP/1.1 has no GOAWAY, so that the end of a connection
        and the next request may pass each other. Nothing came in answer, and a method
        that is idempotent may be tried again even if the request had been acted on.
        """
        line = self.line
        return (
            line.protocol.version is HTTPVersion.http11
            and line.protocol.opened > 1
            and line.socket.received_bytes == self._received_before
            and self.request.method in IDEMPOTENT
        )

    def tell(self, moment: Moment, line: Line) -> None:
        """Tell who watches; no lock may be held."""
        if self.watch is not None:
            self.watch(moment, line.protocol.version)

    def sent(
        self, line: Line, stream: Stream, queued_before: int, received_before: int
    ) -> None:
        """Note where it was sent."""
        self.line = line
        self.stream = stream
        self._queued_before = queued_before
        self._received_before = received_before
        self.stream_id = self.stream_id or stream.stream_id


class Exchanger(Generic[R]):
    """Whole exchanges with one origin, from any number of threads.

    Every method may be called from any thread at any time.

    :param origin: the server.
    :param tls: how to speak TLS; None for cleartext.
    :param timeout: the limits of requests that give none of their own.
    :param route: the way there.
    """

    def __init__(
        self,
        origin: Origin,
        tls: dial.TLSParameters | None,
        timeout: TimeoutLike,
        route: dial.Route = dial.STRAIGHT,
    ) -> None:
        # Changed by set_tunnel(), before anything is connected.
        self._origin = origin
        self._route = route
        self._authority = authority(origin)
        # Constant.
        self._given = origin, route
        self._tls = tls  # of the next dial
        self._limits = Limits.of(timeout)
        # Deadlines that have no end of their own do for every request.
        self._endless = self._limits.start() if self._limits.total is None else None
        self._dialing = Mutex()
        self._batch = _Batch()
        self._mutex = new_lock()
        # Guarded by _mutex; _line is read without it where an old one does no harm.
        self._line: Line | None = None  # where new requests go
        self._lines: weakref.WeakSet[Line] = weakref.WeakSet()  # all that are in use
        self._exchanges: dict[int, Exchange] = {}  # sent, and no response asked for yet
        self._closed: dict[int, Exchange] = {}  # those of a connection that was closed
        self._unfinished: dict[int, Exchange] = {}  # more of the request is to be sent
        self._call: dial.Call | None = None  # the dial that is under way
        self._next_stream_id = 1  # of the next line
        self._unreserved = 0  # the first id that was not promised to any request
        self._closings = 0
        self._round_trip: float | None = None

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def host(self) -> str:
        """The host that is talked to; after ``set_tunnel`` that at the tunnel's end."""
        return self._origin.host

    @property
    def port(self) -> int:
        """The port of ``host``."""
        return self._origin.port

    @property
    def secure(self) -> bool:
        """True if TLS is spoken."""
        return self._origin.secure

    @property
    def is_connected(self) -> bool:
        """True if the next request will not have to connect, as far as is known."""
        line = self._line
        return line is not None and _usable(line)

    @property
    def open_streams(self) -> int:
        """How many exchanges are under way on the current connection."""
        line = self._line
        return 0 if line is None else line.protocol.open_streams

    @property
    def stats(self) -> Stats:
        """What has happened on the current connection; zeros if there is none."""
        line = self._line
        if line is None:
            return Stats()
        with line.socket as wire:
            sent, received = line.protocol.frames or (None, None)
            return Stats(
                line.protocol.opened,
                wire.sent_bytes,
                wire.received_bytes,
                {} if sent is None else sent.by_name(),
                {} if received is None else received.by_name(),
                self._round_trip,
            )

    def close(self) -> None:
        """Close the connection. Idempotent; a later request connects anew.

        Every call of another thread that waits is woken and raises ConnectionLost.
        Responses that have come completely can still be read. A signal handler may call
        it; if that interrupts a call on this connection, it is closed a little later.
        """
        self._close(NO_ERROR)

    def _close(self, code: int) -> None:
        with self._mutex:
            self._closings += 1
            lines = list(self._lines)
            call = self._call
            self._line = None
            # Whoever asks for one by its id still learns what became of it.
            if self._exchanges:
                self._closed, self._exchanges = self._exchanges, {}
            self._unfinished = {}
        error = _closed_here()
        if call is not None:
            call.hang_up(error)
        for line in lines:
            hang_up = partial(_hang_up, line, code, error)
            if line.socket.held_here:
                line.socket.do_afterwards(hang_up)
            else:
                with line.socket:
                    hang_up()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Hold back the requests of this thread, to send them in one piece.

        What the thread queues in a ``with`` block goes out together when the block
        ends, also if it ends by an exception: in a system call and a TLS record or
        two, not one for each request. It goes earlier, as far as it is queued, when
        the thread calls anything that waits or looks at the connection, such as
        :meth:`get_response`, when another thread does, when the server allows no more
        requests at a time, and when there are 64 KiB of it. So a batch saves work and
        never changes what happens. Of bodies, ``bytes`` and ``str`` are held back,
        others are sent as they come.

        Blocks may be nested; the outermost counts. Other threads are not concerned.
        With HTTP/1.1, where requests go one by one, there is little to hold back.

        To leave the block never waits for the network. If the connection is lost
        before the requests are sent, they are sent on another, as always.
        """
        own = self._batch
        own.depth += 1
        try:
            yield
        finally:
            own.depth -= 1
            if not own.depth:
                self._flush()

    def _flush(self) -> None:
        """Send what was held back."""
        with self._mutex:
            lines = list(self._lines)
        for line in lines:
            with line.socket:
                pass  # leaving sends

    def retire(self) -> None:
        """Close the connection when what is under way on it has ended.

        A later request connects anew. Idempotent; finalizers may call it.
        """
        line = self._line
        # The collector may run inside of one of our calls: let that go on.
        if line is not None and not line.socket.held_here:
            with line.socket:
                if line.protocol.open_streams:
                    line.protocol.retire()
                else:
                    line.protocol.close(NO_ERROR)

    # What the versions of HTTP differ in.

    def _make_protocol(self, tls: TLSLayer | None, next_stream_id: int) -> WireProtocol:
        """Return the Protocol to speak, given what TLS agreed on; None is cleartext.

        :raises TLSError: if the server does not speak what this connection does.
        """
        raise NotImplementedError

    def _start(
        self,
        wire: BufferedSocket,
        tls: TLSLayer | None,
        next_stream_id: int,
        deadline: Deadline,
    ) -> WireProtocol:
        """Begin to speak on a new connection, and return the Protocol that is spoken.

        The lock of ``wire`` is held.

        :raises HyperError: if the server does not speak what it should.
        """
        protocol = self._make_protocol(tls, next_stream_id)
        wire.speak(protocol)
        return protocol

    def _make_response(self, exchange: Exchange) -> R:
        """Return the response of an exchange whose head has come."""
        raise NotImplementedError

    # Sending.

    def _reserve_stream_id(self) -> int:
        """Return an id for a request that is to be sent later."""
        with self._mutex:
            stream_id = max(self._unreserved, self._next_stream_id)
            self._unreserved = stream_id + 2  # odd, as HTTP/2 needs them
            return stream_id

    def _deadlines(self, timeout: TimeoutLike | Deadlines | Unset) -> Deadlines:
        if isinstance(timeout, Deadlines):
            return timeout
        if isinstance(timeout, Unset):
            return self._endless or self._limits.start()
        return Limits.of(timeout).start()

    def _send(self, exchange: Exchange) -> None:
        """Send the request, on a new connection where the present one is done for.

        Other threads may use up a connection before this one gets its turn, as often
        as they like. Connections that nobody could use are the server's fault.
        """
        place = exchange.deadlines.place()
        unused = 0
        while True:
            line = self._get_line(exchange.deadlines, exchange.closings, exchange.watch)
            exchange.tell(Moment.sending, line)
            if self._open(exchange, line, place):
                self._send_body(exchange)
                return
            if place.passed:
                raise place.error(f"waiting for a connection to {self.host}")
            if line.unused:
                unused += 1
                failure = line.socket.failure
                if unused > 1 and failure and not isinstance(failure, ConnectionLost):
                    raise failure.fresh()
                if unused == MAX_DIALS:
                    error = ConnectionLost(
                        f"{self.host} closed {unused} connections before they were used"
                    )
                    error.retry_safe = True
                    raise error
            exchange.tell(Moment.again, line)

    def _send_body(self, exchange: Exchange) -> None:
        """Send what comes after the head, as far as the server wants it."""
        if exchange.request.body_length == 0 and exchange.watch is None:
            return
        try:
            exchange.tell(Moment.head_sent, exchange.line)
            if exchange.request.body_length != 0 and self._is_wanted(exchange):
                self._upload(exchange, exchange.body)
            if exchange.stream.error is None or exchange.stream.status is not None:
                exchange.tell(Moment.body_sent, exchange.line)
        except BaseException as error:
            self._give_up(exchange, error)
            raise

    def _give_up(self, exchange: Exchange, error: BaseException) -> None:
        """Cancel an exchange for what came up while it was sent."""
        reason = error if isinstance(error, HyperError) else None
        with exchange.line.socket:
            exchange.line.protocol.reset(exchange.stream, reason, CANCEL)

    def _get_line(
        self, deadlines: Deadlines, closings: int, watch: Watch | None = None
    ) -> Line:
        """Return a line that takes requests, connecting if there is none."""
        line = self._usable_line(closings)
        if line is not None:
            return line
        deadline = deadlines.connect()
        held: list[bool] = []
        try:
            doing = f"while another thread connects to {self.host}"
            self._dialing.acquire(held, deadline, doing)
            return self._usable_line(closings) or self._dial(deadline, closings, watch)
        finally:
            if True in held:
                self._dialing.release()

    def _usable_line(self, closings: int) -> Line | None:
        if self._closings != closings:
            raise _closed_here()
        line = self._line
        return line if line is not None and _usable(line) else None

    def _dial(self, deadline: Deadline, closings: int, watch: Watch | None) -> Line:
        call = dial.Call(watch)
        with self._mutex:
            self._call = call
            first_stream_id = self._next_stream_id
        last = self._line
        try:
            wire, tls = dial.open_connection(
                self._origin, self._tls, deadline, call, self._route
            )
        except ConnectError as error:
            if self._route.used_up and last is not None:
                error.__cause__ = last.socket.failure  # why there is a need for another
            raise
        finally:
            self._call = None
        try:
            with wire:
                protocol = self._start(wire, tls, first_stream_id, deadline)
            line = Line(wire, protocol, protocol.next_stream_id)
            with self._mutex:
                if self._closings != closings:
                    raise _closed_here()
                self._line = line
                self._lines.add(line)
                if protocol.next_stream_id < first_stream_id:
                    self._unreserved = 0  # The ids start over.
        except BaseException as error:
            with wire:
                wire.close(error if isinstance(error, HyperError) else _closed_here())
            raise
        return line

    def _open(self, exchange: Exchange, line: Line, place: Deadline) -> bool:
        """Send the head of the request; return False if the line takes no more."""
        protocol = line.protocol
        batched = self._batch.depth > 0
        # What is held back and can be sent again is looked at when it is sent.
        looked = batched and line.socket.holds_back and exchange.body.replayable
        with line.socket.unlooked() if looked else line.socket as wire:
            if not self._wait_for_place(exchange, line, place):
                return False
            queued_before = wire.queued_bytes
            end_stream = exchange.request.body_length == 0
            # Under _mutex, so that no line opens an id that another has been given.
            with self._mutex:
                if self._line is not line:
                    return False
                next_stream_id = protocol.next_stream_id
                own = exchange.stream_id >= next_stream_id
                wanted = exchange.stream_id if own else self._unreserved
                if wanted > next_stream_id:
                    protocol.skip_to(wanted)
                    self._next_stream_id = protocol.next_stream_id
                    if not protocol.accepting:
                        return False  # There are no more ids.
                stream = protocol.open(exchange.request, end_stream)
                self._next_stream_id = protocol.next_stream_id
            exchange.sent(line, stream, queued_before, wire.received_bytes)
            if not end_stream:
                exchange.meter = Meter(exchange.request.body_length)
            hold = batched or (not end_stream and exchange.sends_body)
            if hold and wire.hold(MAX_QUEUED):
                return True
            doing = f"sending the request on stream {stream.stream_id}"
            try:
                wire.send_soon(exchange.deadlines.write, doing, MAX_QUEUED)
            except HyperError as error:
                if isinstance(error, Timeout):
                    protocol.reset(stream, error, CANCEL)
                    raise
                # The stream knows; get_response tells, or sends it again.
            except BaseException:
                protocol.reset(stream, None, CANCEL)
                raise
        return True

    def _wait_for_place(self, exchange: Exchange, line: Line, place: Deadline) -> bool:
        """Queue until the request may be opened; return False if it never may."""
        protocol = line.protocol
        queue = protocol.queue
        if (
            not queue
            and protocol.accepting
            and protocol.may_open(exchange.request)
            and not line.socket.silent
        ):
            return True  # As a rule.
        queue.append(exchange)
        try:
            line.socket.wait_alive(place, f"waiting for a sign of life of {self.host}")
            line.socket.wait_until(
                lambda: (
                    not protocol.accepting
                    or (queue[0] is exchange and protocol.may_open(exchange.request))
                ),
                exchange,
                place,
                f"waiting until {self.host} allows one more request at a time",
            )
        except Timeout:
            raise
        except HyperError:
            return False
        finally:
            queue.remove(exchange)
            if queue:
                protocol.touched.add(queue[0])
        return protocol.accepting

    def _is_wanted(self, exchange: Exchange) -> bool:
        """Wait until the server asks for the body, if the request expects that.

        RFC 9110 section 10.1.1: the wait has an end, as many servers never ask. If the
        final response comes instead, the body is not sent.
        """
        expects = any(
            name.lower() == b"expect" and value.lower() == b"100-continue"
            for name, value in exchange.request.headers
        )
        if not expects:
            return True
        stream = exchange.stream
        with exchange.line.socket as wire:
            try:
                wire.wait_until(
                    lambda: has_head(exchange) or bool(stream.informational),
                    stream,
                    exchange.deadlines.patience(CONTINUE_PATIENCE),
                    "waiting for 100 Continue",
                )
            except Timeout:
                return True
            if not has_head(exchange):
                return True
            stream.stopped = True
            if stream.over:
                exchange.line.protocol.reset(stream, None, NO_ERROR)
        return False

    def _upload(self, exchange: Exchange, body: Body) -> None:
        """Send some of the body, until it or the server's interest ends."""
        stream = exchange.stream
        meter = exchange.meter
        stream.sending = True
        try:
            for piece in body:
                last = meter.add(len(piece)) or (exchange.final and body.whole)
                if not self._send_piece(exchange, piece, last):
                    return
                if exchange.progress is not None:
                    exchange.progress(meter.seen, meter.expected)
            if exchange.final:
                meter.finish()
                if not stream.sent:
                    self._send_piece(exchange, b"", True)
        finally:
            stream.sending = False

    def _send_piece(self, exchange: Exchange, piece: bytes, last: bool) -> bool:
        """Send some of the body; return False if the server wants no more of it."""
        rest = memoryview(piece)
        since = 0
        with exchange.line.socket as wire:
            while True:
                sent = self._send_frame(exchange, wire, rest, last)
                if sent is None:
                    return False
                rest = rest[sent:]
                if not rest:
                    return True
                since += sent
                if since >= MAX_QUEUED:
                    since = 0
                    wire.give_way()

    def _send_frame(
        self, exchange: Exchange, wire: BufferedSocket, rest: memoryview, last: bool
    ) -> int | None:
        """Send as much of ``rest`` as may go in one piece; return how much that was.

        Returns None if the exchange is over: the response came before the end of the
        request (RFC 9113 section 8.1), or an error did.
        """
        stream = exchange.stream
        protocol = exchange.line.protocol
        doing = f"sending the body on stream {stream.stream_id}"
        while True:
            # First its turn, then room for what it sends: whoever has the turn waits
            # for the room alone.
            wire.wait_until(
                lambda: (
                    stream.unwanted
                    or stream.sent
                    or not rest
                    or protocol.sendable(stream) > 0
                ),
                stream,
                exchange.deadlines.write(),
                doing,
            )
            if stream.sent:
                raise LocalProtocolError(
                    f"the request on stream {stream.stream_id} is complete already"
                )
            if stream.unwanted or wire.unsent <= MAX_QUEUED:
                break
            wire.wait_drained(exchange.deadlines.write(), doing, MAX_QUEUED)
        if stream.unwanted:
            protocol.reset(stream, None, NO_ERROR)
            return None
        amount = min(len(rest), protocol.sendable(stream))
        whole = amount == len(rest)
        protocol.send_data(stream, rest[:amount], last and whole)
        batched = self._batch.depth > 0 and exchange.body.whole
        if not (batched and wire.hold(MAX_QUEUED)):
            # Of the last frame nothing stays behind: this thread may not come back.
            at_most = 0 if whole else MAX_QUEUED
            wire.wait_drained(exchange.deadlines.write(), doing, at_most)
        return amount

    # Receiving.

    def _peek(self, stream_id: int) -> Exchange:
        exchange = self._exchanges.get(stream_id) or self._closed.get(stream_id)
        if exchange is None:
            raise LocalProtocolError(
                f"no request with the id {stream_id!r} is waiting for its response"
            )
        return exchange

    def _wait_for_any_head(self, exchanges: list[Exchange]) -> None:
        """Wait for one of the exchanges on the line of the first.

        There is more than one line only while an old one ends, so that this one's
        exchanges are the ones to wait for.
        """
        first = exchanges[0]
        here = [one for one in exchanges if one.line is first.line]
        with first.line.socket as wire:
            try:
                wire.wait_until(
                    lambda: any(map(has_head, here)),
                    HEADS,
                    first.deadlines.read(),
                    f"waiting for any of {len(here)} responses",
                )
            except Timeout as error:
                first.line.protocol.reset(first.stream, error, CANCEL)

    def _claim(self, stream_id: int | None) -> Exchange:
        """Take an exchange out of the list of those nobody has asked for."""
        with self._mutex:
            if stream_id is None:
                if not self._exchanges:
                    raise LocalProtocolError("no request is waiting for its response")
                stream_id = next(iter(self._exchanges))
            exchange = self._exchanges.pop(stream_id, None)
            if exchange is None:
                exchange = self._peek(stream_id)
                del self._closed[stream_id]
            return exchange

    def _wait_for_head(self, exchange: Exchange) -> HyperError | None:
        """Wait for the response's head; return the error if there will be none."""
        stream = exchange.stream
        if stream.status is not None:
            return None
        line = exchange.line
        deadline = exchange.deadlines.read()
        if line.socket.sleep_until(partial(has_head, exchange), stream, deadline):
            return None if stream.status is not None else stream.error
        # What has come is seen by the poll, if it is not there already.
        with line.socket.unlooked() as wire:
            try:
                wire.wait_until(
                    lambda: (
                        stream.status is not None
                        or stream.ended
                        or stream.error is not None
                    ),
                    stream,
                    deadline,
                    f"waiting for the response on stream {stream.stream_id}",
                )
            except Timeout as error:
                line.protocol.reset(stream, error, CANCEL)
                raise
            except HyperError as error:
                return stream.error or error
            if stream.status is not None:
                return None
        return stream.error

    def _try_again(self, exchange: Exchange, error: HyperError) -> bool:
        """Tell whether to send a request again that failed: once, as a rule.

        Only if the server cannot have acted on it, or it does no harm if it has; and
        the body can be read again.
        """
        if not self._replayable(exchange):
            return False
        if self._falls_back(exchange, error):
            return self._try_once_more(exchange)
        if not isinstance(error, RequestNotProcessed):
            return (
                isinstance(error, ConnectionLost)
                and (exchange.unseen or exchange.repeatable)
                and self._try_once_more(exchange)
            )
        goaway = error.__cause__
        if isinstance(goaway, ConnectionTerminated):
            served = goaway.last_stream_id >= exchange.line.first_stream_id
            if served and not goaway.error_code:
                # Servers that take a few requests per connection say so to all that
                # are too many, as often as it takes: each time one has got through.
                return True
            if not served and goaway.error_code:
                return False  # It went wrong before anything was asked; so it would be.
        return self._try_once_more(exchange)

    def _try_once_more(self, exchange: Exchange) -> bool:
        again = not exchange.retried
        exchange.retried = True
        return again

    def _replayable(self, exchange: Exchange) -> bool:
        """Return True if the very same can be sent again, and the user still wants."""
        return (
            exchange.body.replayable
            and not (exchange.request.is_connect and exchange.meter.seen)
            and exchange.closings == self._closings
            and (not self._route.used_up or _usable(exchange.line))
        )

    def _falls_back(self, exchange: Exchange, error: HyperError) -> bool:
        """Return True if the request is to be sent in an older version of HTTP."""
        return False

    def _was_misdirected(self, exchange: Exchange) -> bool:
        """Return True if the server is not the right one, and another is to be tried.

        RFC 9110 section 15.5.20: it has not acted, and another connection may lead to a
        server that does.
        """
        if exchange.stream.status != 421 or self._route.used_up:
            return False
        if not self._replayable(exchange):
            return False
        if not self._try_once_more(exchange):
            return False
        with exchange.line.socket:
            exchange.line.protocol.retire()
            exchange.line.protocol.reset(exchange.stream, None, CANCEL)
        return True

    def _explain(self, exchange: Exchange, error: HyperError) -> HyperError:
        fresh = error.fresh()
        fresh.retry_safe = fresh.retry_safe or exchange.unseen
        return fresh


def _hang_up(line: Line, code: int, error: HyperError) -> None:
    line.protocol.close(code)
    line.socket.close(error)


def _closed_here() -> ConnectionLost:
    return ConnectionLost("the connection was closed by this side")


def has_head(exchange: Exchange) -> bool:
    """Return True if the response has begun, or never will."""
    return exchange.stream.status is not None or exchange.stream.over


def _usable(line: Line) -> bool:
    return line.protocol.accepting and not line.socket.closed
