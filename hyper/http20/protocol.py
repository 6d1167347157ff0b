"""HTTP/2 as a Protocol: between the state machine and the Streams.

The state machine (h2's interface, see :mod:`hyper.http20.dialect`) knows frames and
what order they may come in. This file knows exchanges: which Stream an event belongs
to, when a body is complete, how much credit to give back, what a GOAWAY means for whom.

Lengths of bodies are counted here (RFC 9113 section 8.1.1): a response that is shorter
or longer than it said ends in an error of its stream.

Flow control: the connection's window is opened on receipt, a stream's when the user
has consumed (RFC 9113 section 5.2.2). Memory is bounded by streams times window, and a
slow reader holds up nobody else. There is one exception: while a call sends a body it
cannot read, so the window of its own stream is opened on receipt as well, or a server
that echoes what it gets would stop, and the upload with it.

Everything here is guarded by the lock of the BufferedSocket that holds the Protocol.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol as Interface

from h2.errors import ErrorCodes
from h2.events import (
    AlternativeServiceAvailable,
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    PingAckReceived,
    PushedStreamReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import Settings
from hpack import NeverIndexedHeaderTuple

from ..common import exceptions
from ..common.exceptions import (
    ConnectionLost,
    HyperError,
    IncompleteRead,
    LocalProtocolError,
    RemoteProtocolError,
    RequestNotProcessed,
    StreamResetError,
)
from ..common.memo import keep
from ..common.protocol import CANCEL, EVERYONE, HEADS, NO_ERROR, HTTPVersion
from ..common.request import Request
from ..common.stats import FrameCounter, FrameCounts
from ..common.stream import Fields, Interim, Promise, Stream
from ..common.validation import (
    CONNECTION_SPECIFIC,
    content_length,
    drop_forbidden_trailers,
    promise_fault,
    strip_values,
)
from .dialect import DataRunReceived, OriginReceived
from .window import AutoFlowControlManager, BaseFlowControlManager, Windows

#: RFC 9113 section 5.1.1.
HIGHEST_STREAM_ID = 2**31 - 1
#: How many streams to open before the server's SETTINGS say how many it allows. Section
#: 6.5.2 recommends that no server allows fewer.
STREAMS_BEFORE_SETTINGS = 100
#: Interim responses of one stream, in number and in bytes of their fields.
MAX_INTERIM = 8
MAX_INTERIM_BYTES = 65536
#: The size of what a client's connection begins with (RFC 9113 section 3.4).
PREFACE_SIZE = 24
#: The largest DATA frame to send. nginx allows 16 MiB, but others have to get between.
LARGEST_FRAME = 65536
#: How much of an upload that is alone is sent at once. With the heads of frames of the
#: usual length, it fills 24 records of TLS. With eight, an upload took a third longer;
#: others that want to send wait for a third of a millisecond.
UPLOAD_SIZE = 24 * (16384 - 9)
#: How much of a response may come while its request is still being sent.
MAX_UNREAD_WHILE_SENDING = 64 * 1024 * 1024
#: How many frames of a body may wait to be read before those that follow are put
#: together, up to so many bytes: each costs its object as well, and in frames of two
#: bytes a window would take thirty times the memory that it promises.
MAX_PIECES = 1000
PIECE = 4096
#: Frames in a row that are smaller are not kept as they came, with their heads.
SMALLEST_OF_RUN = 64
#: The part of its window that a stream has to receive before its round trips are
#: measured: short responses are not worth a PING.
PROBE_AFTER = 4
#: How many round trips in a row may leave the window as it is before the measuring
#: ends: servers take exception to clients that PING without end.
PROBES_IN_VAIN = 3
#: How many pushed responses may be under way at a time, and how many may wait beside
#: one response for the user to take them; more are refused.
MAX_PUSHES = 32
#: How many origins a server may announce to be remembered.
MAX_ANNOUNCED = 100
#: How many header sections are kept: of a connection's requests, and of responses for
#: all connections together.
REQUESTS_KEPT = 8
HEADS_KEPT = 64
#: How much a peer's explanation may add to a message.
MAX_DEBUG_DATA = 256

#: Never put into the compression table, which is shared by all requests of the
#: connection: who can have requests sent could guess them (RFC 7541 section 7.1.3).
SENSITIVE = frozenset(
    (b"authorization", b"proxy-authorization", b"cookie", b"set-cookie")
)


#: The status that a header section says, its other fields, and the body's length.
_Head = tuple[int, Fields, int | None]

#: What was worked out for the responses of every connection.
_HEADS: dict[tuple[tuple[bytes, bytes], ...], _Head] = {}

#: What makes a window manager: its class.
WindowManagerClass = Callable[[int], BaseFlowControlManager]


class Machine(Interface):
    """The part of the interface of ``h2.connection.H2Connection`` that is used."""

    local_settings: Settings
    remote_settings: Settings
    max_outbound_frame_size: int
    outbound_flow_control_window: int

    def initiate_connection(self) -> None: ...
    def initiate_upgrade_connection(self) -> bytes | None: ...
    def send_headers(
        self, stream_id: int, headers: Fields, end_stream: bool = ...
    ) -> None: ...
    def send_data(
        self, stream_id: int, data: bytes | memoryview, end_stream: bool = ...
    ) -> None: ...
    def increment_flow_control_window(
        self, increment: int, stream_id: int | None = ...
    ) -> None: ...
    def local_flow_control_window(self, stream_id: int) -> int: ...
    def reset_stream(self, stream_id: int, error_code: int = ...) -> None: ...
    def ping(self, opaque_data: bytes) -> None: ...
    def prioritize_update(self, stream_id: int, value: bytes) -> None: ...
    def close_connection(self, error_code: int = ...) -> None: ...
    def receive_data(self, data: bytes) -> list[Event]: ...
    def data_to_send(self, amount: int | None = ...) -> bytes: ...


#: What makes a state machine of the settings to announce, by code.
MachineClass = Callable[[Mapping[int, int]], Machine]


@dataclass(slots=True, eq=False)
class Ping:
    """A PING that was sent."""

    #: Set once the peer has answered.
    answered: bool = False


@dataclass(slots=True, eq=False)
class _Exchange:
    """What the Protocol alone has to know of a Stream."""

    stream: Stream
    window: BaseFlowControlManager
    #: What ``_batches`` of the connection was when it began.
    began: int = 0
    #: What the response said its body's size is; None if it did not.
    expected: int | None = None
    received: int = 0
    interim_bytes: int = 0
    #: Credit given for bytes that nobody has consumed yet.
    advanced: int = 0
    #: What ``received`` was when the round trip now measured began, or the window grew.
    received_before: int = 0
    #: How many round trips were measured since the window grew.
    probes_in_vain: int = 0


class H2Protocol:
    """One HTTP/2 connection of a client.

    :param machine: the state machine, new.
    :param next_stream_id: the id of the first request, odd.
    :param window_manager: the class that manages the windows.
    :param highest_stream_id: the last id that may be used; lower only in tests.
    :param windows: the sizes of the windows.
    :param authorities: for whom the server may push: what its certificate shows it to
        be. Promises for others are refused (RFC 9113 section 8.4).
    :param sensitive: names of fields, in lower case, whose values are never put into
        the compression table, beside those of :data:`SENSITIVE`.
    :param upgrade: whether the connection begins as HTTP/1.1 (RFC 7540 section 3.2):
        the request that asks for the upgrade, with :attr:`upgrade_settings`, is stream
        1, and what comes there is ignored.
    """

    # Not a dict: with so many entries, it would be the largest part of an idle one.
    __slots__ = (
        "_authorities",
        "_batches",
        "_blocked",
        "_broken",
        "_closing",
        "_counters",
        "_exchanges",
        "_goaway",
        "_heads",
        "_highest_stream_id",
        "_lingering",
        "_max_header_list",
        "_max_streams",
        "_may_probe_silence",
        "_new_window",
        "_ping_count",
        "_pings",
        "_probe",
        "_pushes",
        "_regular",
        "_sensitive",
        "_silence",
        "_stream_window",
        "_turns",
        "_window",
        "_windows",
        "abandoned",
        "accepting",
        "alternative_services",
        "failure",
        "frames",
        "machine",
        "next_stream_id",
        "opened",
        "origins",
        "queue",
        "settings_received",
        "touched",
        "upgrade_settings",
    )

    version = HTTPVersion.http20

    def __init__(
        self,
        machine: Machine,
        window_manager: WindowManagerClass = AutoFlowControlManager,
        next_stream_id: int = 1,
        highest_stream_id: int = HIGHEST_STREAM_ID,
        windows: Windows | None = None,
        authorities: frozenset[bytes] = frozenset(),
        sensitive: frozenset[bytes] = frozenset(),
        upgrade: bool = False,
    ) -> None:
        self.touched: set[object] = set()
        self.failure: HyperError | None = None
        self.queue: deque[object] = deque()
        self.abandoned: list[Stream] = []
        self.settings_received = False
        self.machine = machine
        self.next_stream_id = max(3, next_stream_id) if upgrade else next_stream_id
        self.accepting = self.next_stream_id <= highest_stream_id
        self.opened = 0
        counts: tuple[FrameCounts, FrameCounts] | None = getattr(
            machine, "frames", None
        )
        # Of the bytes that are sent and received, if the machine does not count.
        self._counters: tuple[FrameCounter, FrameCounter] | None = None
        if counts is None:
            self._counters = FrameCounter(skip=PREFACE_SIZE), FrameCounter()
            counts = self._counters[0].counts, self._counters[1].counts
        self.frames: tuple[FrameCounts, FrameCounts] | None = counts
        #: The value of the field HTTP2-Settings.
        self.upgrade_settings = b""
        self._sensitive = SENSITIVE | sensitive if sensitive else SENSITIVE
        self._highest_stream_id = highest_stream_id
        self._new_window = window_manager
        self._exchanges: dict[int, _Exchange] = {}
        self._pushes = 0  # how many of them the server opened
        self._authorities = authorities
        self._blocked: set[Stream] = set()  # wait for the peer's window
        self._turns: dict[Stream, None] = {}  # wait to send a frame, the next one first
        self._pings: dict[bytes, deque[Ping]] = {}  # by what they carry, oldest first
        self._ping_count = 0
        self._goaway: ConnectionTerminated | None = None
        self._closing = False
        #: What else the server claims to be, and where else what is to be found.
        self.origins: dict[str, None] = {}
        self.alternative_services: dict[str, str] = {}
        self._batches = 0  # how often bytes came
        self._lingering = 0  # cancelled, and nothing has come since they were asked
        self._silence: Ping | None = None  # sent to learn whether anything will
        self._may_probe_silence = True
        self._broken = False  # the machine ended the connection: it takes no verb more
        self._windows = windows or Windows()
        self._probe: Ping | None = None  # measures a round trip
        # Taken out of the settings, which are looked up slowly, for every request.
        self._stream_window = machine.local_settings.initial_window_size
        self._max_streams = STREAMS_BEFORE_SETTINGS
        self._max_header_list: int | None = None
        # What was worked out for earlier requests.
        self._regular: dict[tuple[tuple[bytes, bytes], ...], Fields] = {}
        self._heads = _HEADS
        if upgrade:
            # Section 3.2.1: without the '=' at the end, which h2 leaves.
            value = machine.initiate_upgrade_connection() or b""
            self.upgrade_settings = value.rstrip(b"=")
        else:
            machine.initiate_connection()
        size = self._windows.connection
        self._window = window_manager(size)
        if size > 65535:  # RFC 9113 section 6.9.2: where it begins.
            machine.increment_flow_control_window(size - 65535)

    # What the BufferedSocket asks.

    @property
    def paused(self) -> bool:
        """Never: flow control limits what the peer sends."""
        return False

    @property
    def finished(self) -> bool:
        if self.accepting:
            return False
        return self.failure is not None or self._closing or not self._exchanges

    def data_to_send(self) -> bytes:
        while self.abandoned:
            self.reset(self.abandoned.pop(), None, CANCEL)
        data = self.machine.data_to_send()
        if data and self._counters is not None:
            self._counters[0].feed(data)
        return data

    def receive_data(self, data: bytes) -> None:
        if self.failure is not None:
            return
        if self._counters is not None:
            self._counters[1].feed(data)
        self._batches += 1
        try:
            events = self.machine.receive_data(data)
        except ProtocolError as fault:
            self._broken = True
            for event in getattr(fault, "events", ()):
                self._take(event)
            error = RemoteProtocolError(f"HTTP/2 failed: {fault}")
            error.__cause__ = fault
            self.fail(error)
            return
        for event in events:
            take = _EVENTS.get(type(event))
            if take is not None:
                take(self, event)
            else:
                self._take(event)

    def receive_eof(self, clean: bool) -> None:
        """Take the end of what arrives; without close_notify it means the same here."""
        if self._goaway is not None:
            self.fail(_terminated(self._goaway))
        else:
            self.fail(ConnectionLost("the server closed the connection"))

    def fail(self, error: HyperError) -> None:
        if self.failure is not None:
            return
        self.failure = error
        self.accepting = False
        for exchange in list(self._exchanges.values()):
            stream = exchange.stream
            if not stream.over:
                stream.error = error
        self._exchanges.clear()
        self._pushes = 0
        self.touched.add(EVERYONE)

    # What connections ask.

    @property
    def open_streams(self) -> int:
        return len(self._exchanges) - self._pushes

    @property
    def max_concurrent_streams(self) -> int:
        """How many requests the server allows at a time."""
        return self._max_streams

    @property
    def free_places(self) -> int:
        if not self.accepting:
            return 0
        taken = len(self._exchanges) - self._pushes + self._lingering
        return max(0, self._max_streams - taken)

    def may_open(self, request: Request) -> bool:
        if request.protocol is not None and not self.settings_received:
            return False  # Only they say whether the server knows RFC 8441.
        return self.free_places > 0

    def open(self, request: Request, end_stream: bool) -> Stream:
        """Queue the HEADERS of a request and return the record of its exchange.

        :raises LocalProtocolError: if the server said that it takes no such header
            section (SETTINGS_MAX_HEADER_LIST_SIZE), or no CONNECT with a protocol
            (SETTINGS_ENABLE_CONNECT_PROTOCOL). Nothing was sent.
        """
        if (
            request.protocol is not None
            and not self.machine.remote_settings.enable_connect_protocol
        ):
            raise LocalProtocolError(
                "the server does not take CONNECT with a protocol (RFC 8441)"
            )
        fields = self._section(request)
        limit = self._max_header_list
        if limit is not None:
            size = sum(len(name) + len(value) + 32 for name, value in fields)
            if size > limit:
                raise LocalProtocolError(
                    f"the request's headers have {size} bytes; the server takes {limit}"
                )
        stream = Stream(self.next_stream_id, request.method, sent=end_stream)
        self.skip_to(self.next_stream_id + 2)
        self.opened += 1
        try:
            self.machine.send_headers(stream.stream_id, fields, end_stream=end_stream)
        except ProtocolError as fault:
            # The compression state may be torn: the next request would be read wrong.
            error = ConnectionLost(f"HTTP/2 refused a request: {fault}")
            error.__cause__ = fault
            self.fail(error)
            raise error from fault
        window = self._new_window(self._stream_window)
        self._exchanges[stream.stream_id] = _Exchange(stream, window, self._batches)
        return stream

    def _section(self, request: Request) -> Fields:
        """Return the header section of a request: the regular fields seldom change."""
        key = tuple(request.headers)
        regular = self._regular.get(key)
        if regular is None:
            regular = regular_fields(request.headers, self._sensitive)
            keep(self._regular, key, regular, REQUESTS_KEPT)
        return pseudo_headers(request) + regular

    def sendable(self, stream: Stream) -> int:
        exchange = self._exchanges.get(stream.stream_id)
        if exchange is not None and stream.sending:
            self._advance(exchange)
        if stream.stream_id not in self._exchanges or stream.sent:
            return 0
        window = self.machine.local_flow_control_window(stream.stream_id)
        if window <= 0:  # SETTINGS can make it negative (RFC 9113 section 6.9.2).
            self._blocked.add(stream)
            if self.machine.outbound_flow_control_window > 0:
                self._end_turn(stream)  # Its own window is closed, not everybody's.
                return 0
        else:
            self._blocked.discard(stream)
        # Uploads take turns, a frame each, or one would have all of the connection's
        # window until it is done.
        self._turns.setdefault(stream)
        if window <= 0 or next(iter(self._turns)) is not stream:
            return 0
        return min(window, UPLOAD_SIZE if len(self._turns) == 1 else self._frame_size)

    @property
    def _frame_size(self) -> int:
        """How much of a body to send in one frame."""
        return min(self.machine.max_outbound_frame_size, LARGEST_FRAME)

    def _end_turn(self, stream: Stream) -> None:
        """Let the next upload have its turn."""
        if stream in self._turns:
            del self._turns[stream]
            if self._turns:
                self.touched.add(next(iter(self._turns)))

    def send_data(
        self, stream: Stream, data: bytes | memoryview, end_stream: bool
    ) -> None:
        size = self._frame_size
        rest = data
        if len(data) > size:
            rest = memoryview(data)
            while len(rest) > size:
                self.machine.send_data(stream.stream_id, rest[:size], end_stream=False)
                rest = rest[size:]
        self.machine.send_data(stream.stream_id, rest, end_stream=end_stream)
        self._end_turn(stream)
        if end_stream:
            stream.sent = True
            self._settle(stream)

    def send_trailers(self, stream: Stream, fields: Fields) -> None:
        section = [(name.lower(), value) for name, value in fields]
        self.machine.send_headers(stream.stream_id, section, end_stream=True)
        self._end_turn(stream)
        stream.sent = True
        self._settle(stream)

    def consumed(self, stream: Stream, *sizes: int) -> None:
        exchange = self._exchanges.get(stream.stream_id)
        if exchange is None or stream.over:
            return
        if type(exchange.window) is AutoFlowControlManager:
            sizes = (sum(sizes),)  # Managers of users are told of each frame.
        for size in sizes:
            paid = min(size, exchange.advanced)
            exchange.advanced -= paid
            if size > paid:
                self._credit_stream(exchange, size - paid)

    def _credit_stream(self, exchange: _Exchange, amount: int) -> None:
        increment = exchange.window.credit(amount)
        if increment:
            stream_id = exchange.stream.stream_id
            self._open_window(increment, stream_id)

    def reset(self, stream: Stream, error: HyperError | None, code: int) -> None:
        exchange = self._exchanges.get(stream.stream_id)
        if exchange is None:
            return
        self._send_reset(stream.stream_id, code)
        if code == CANCEL and exchange.began == self._batches:
            self._doubt()
        while stream.promises:
            # Who gives up the page does not want what belongs to it.
            self.reset(stream.promises.pop(0).stream, error, code)
        if not stream.over:
            stream.error = error or StreamResetError(
                f"stream {stream.stream_id} was reset by this side: {_code_name(code)}",
                stream.stream_id,
                code,
                by_peer=False,
            )
        self._close(stream)

    def _doubt(self) -> None:
        """Keep the place of a request that was cancelled before anything came.

        The server may be dead or overwhelmed, and must not be buried under requests
        that are cancelled at once: their places become free when it shows, by the
        answer to a PING, that it has caught up. Go's client does so. As there, PINGs
        without any response between them are not repeated: gRPC's servers punish that.
        """
        if self._ended or not self._may_probe_silence:
            return
        self._lingering += 1
        if self._silence is None:
            self._silence = self.ping()

    def ping(self, data: bytes | None = None) -> Ping:
        """Queue a PING and return the record that its answer will be noted in.

        :param data: eight bytes; None for ones of our own.
        :raises ConnectionLost: if the connection has ended.
        """
        if self.failure is not None:
            raise self.failure.fresh()
        if self._closing:
            raise ConnectionLost("the connection is closed")
        if data is None:
            self._ping_count += 1
            data = b"hyp" + self._ping_count.to_bytes(5, "big")
        ping = Ping()
        self._pings.setdefault(data, deque()).append(ping)
        self.machine.ping(data)
        return ping

    def update_priority(self, stream_id: int, value: bytes) -> None:
        """Queue a PRIORITY_UPDATE, if the stream is open (RFC 9218 section 7.1)."""
        if stream_id in self._exchanges and not self._ended:
            self.machine.prioritize_update(stream_id, value)

    def probe(self) -> None:
        if not self._ended:
            self.ping()

    def retire(self) -> None:
        self.accepting = False
        self.touched.add(EVERYONE)

    def skip_to(self, stream_id: int) -> None:
        # Ids of clients are odd (RFC 9113 section 5.1.1).
        if stream_id > self.next_stream_id:
            self.next_stream_id = stream_id | 1
            if self.next_stream_id > self._highest_stream_id:
                self.accepting = False

    def close(self, code: int = NO_ERROR) -> None:
        if self.failure is None and not self._closing:
            self._closing = True
            self.accepting = False
            self.machine.close_connection(code)

    # What the server said.

    def _take(self, event: Event) -> None:
        take = _EVENTS.get(type(event))
        if take is not None:
            take(self, event)
        elif isinstance(event, StreamReset):
            self._take_reset(event)

    def _exchange_of(self, stream_id: int) -> _Exchange | None:
        """Return the exchange, unless it is over on this side already."""
        exchange = self._exchanges.get(stream_id)
        if exchange is not None:
            self.touched.add(exchange.stream)
        return exchange

    def _take_interim(self, event: InformationalResponseReceived) -> None:
        exchange = self._exchange_of(event.stream_id)
        if exchange is None:
            return
        status, fields, _ = self._head(event.headers)
        exchange.interim_bytes += sum(len(name) + len(value) for name, value in fields)
        informational = exchange.stream.informational
        informational.append(Interim(status, fields))
        if (
            len(informational) > MAX_INTERIM
            or exchange.interim_bytes > MAX_INTERIM_BYTES
        ):
            self._refuse(exchange, "the server sent interim responses without end")

    def _take_response(self, event: ResponseReceived) -> None:
        exchange = self._exchange_of(event.stream_id)
        if exchange is None:
            return
        self.touched.add(HEADS)
        self._may_probe_silence = True
        stream = exchange.stream
        status, fields, length = self._head(event.headers)
        stream.headers = fields.copy()
        stream.status = status
        exchange.expected = _expected_length(stream, length)
        exchange.window.document_size = length or 0

    def _head(self, headers: Sequence[tuple[bytes, bytes]]) -> _Head:
        """Return what a response's header section says."""
        key = tuple(headers)
        head = self._heads.get(key)
        if head is None:
            head = _read_head(headers)
            keep(self._heads, key, head, HEADS_KEPT)
        return head

    def _take_push(self, event: PushedStreamReceived) -> None:
        """Note a promise with the request that it came for, if it may be believed."""
        pushed_id = event.pushed_stream_id or 0
        parent = self._exchange_of(event.parent_stream_id or 0)
        fields = _plain(event.headers)
        pseudo = dict(fields[:4])
        fault = promise_fault(fields)
        if fault is not None:
            self._send_reset(pushed_id, ErrorCodes.PROTOCOL_ERROR)
        elif (
            parent is None
            or self._pushes >= MAX_PUSHES
            or len(parent.stream.promises) >= MAX_PUSHES
            or pseudo[b":authority"].lower() not in self._authorities
        ):
            self._send_reset(pushed_id, ErrorCodes.REFUSED_STREAM)
        else:
            stream = Stream(pushed_id, pseudo[b":method"], sent=True)
            window = self._new_window(self._stream_window)
            self._exchanges[pushed_id] = _Exchange(stream, window)
            self._pushes += 1
            parent.stream.promises.append(
                Promise(
                    stream,
                    strip_values(fields[4:]),
                    pseudo[b":scheme"],
                    pseudo[b":authority"],
                    pseudo[b":path"],
                )
            )

    def _take_data(self, event: DataReceived) -> None:
        length = event.flow_controlled_length or 0
        self._credit_connection(length)
        exchange = self._exchange_of(event.stream_id)
        if exchange is None:
            return
        data = event.data or b""
        padding = length - len(data)
        if padding and event.stream_ended is None:
            # Nobody will consume it.
            self._open_window(padding, event.stream_id)
        exchange.received += len(data)
        if exchange.expected is not None and exchange.received > exchange.expected:
            self._refuse(
                exchange, f"the body is longer than its {exchange.expected} bytes"
            )
            return
        stream = exchange.stream
        chunks = stream.chunks
        last = chunks[-1] if len(chunks) >= MAX_PIECES else None
        if isinstance(last, bytes) and len(last) + len(data) <= PIECE:
            chunks[-1] = last + data
        else:
            chunks.append(data)
        stream.buffered += len(data)
        if event.stream_ended is None:
            if stream.sending:
                self._advance(exchange)
            self._measure(exchange)

    def _take_run(self, event: DataRunReceived) -> None:
        """Take frames of DATA at once, as they would be taken one by one."""
        run = event.run
        length = len(run)
        exchange = self._exchanges.get(event.stream_id)
        if (
            exchange is None
            or type(exchange.window) is not AutoFlowControlManager  # others count them
            or run.length < SMALLEST_OF_RUN
            or (
                exchange.expected is not None
                and exchange.received + length > exchange.expected
            )
        ):
            for piece in run:
                self._take_data(
                    DataReceived(
                        stream_id=event.stream_id,
                        data=piece,
                        flow_controlled_length=len(piece),
                    )
                )
            return
        self._credit_connection(length)
        exchange.received += length
        stream = exchange.stream
        stream.chunks.append(run)
        stream.buffered += length
        self.touched.add(stream)
        if stream.sending:
            self._advance(exchange)
        self._measure(exchange)

    def _advance(self, exchange: _Exchange) -> None:
        """Give credit for what is not consumed yet: its consumer is busy sending."""
        amount = exchange.stream.buffered - exchange.advanced
        if amount <= 0 or exchange.stream.over:
            return
        if exchange.stream.buffered > MAX_UNREAD_WHILE_SENDING:
            self.reset(
                exchange.stream,
                LocalProtocolError(
                    f"stream {exchange.stream.stream_id}: more than "
                    f"{MAX_UNREAD_WHILE_SENDING} bytes of the response came while the "
                    f"request was still being sent; read it from another thread"
                ),
                CANCEL,
            )
            return
        exchange.advanced += amount
        self._credit_stream(exchange, amount)

    def _measure(self, exchange: _Exchange) -> None:
        """Measure a round trip, if this stream's window might be too small.

        What is enough for the window to grow need not wait until the round trip is
        over: the sender would wait as well.
        """
        window = exchange.window
        if (
            self._ended
            or not isinstance(window, AutoFlowControlManager)
            or window.target >= self._windows.max_stream
        ):
            return
        if self._probe is not None:
            received = exchange.received - exchange.received_before
            growth = window.growth(received, self._windows.max_stream)
            if growth:
                exchange.received_before = exchange.received
                exchange.probes_in_vain = 0
                window.target += max(0, min(growth, self._spare()))
        elif (
            exchange.probes_in_vain < PROBES_IN_VAIN
            and exchange.received * PROBE_AFTER >= window.initial_window_size
        ):
            for other in self._exchanges.values():
                other.received_before = other.received
            exchange.probes_in_vain += 1
            self._probe = self.ping()

    def _spare(self) -> int:
        """Return by how many bytes the windows together may still grow."""
        windows = [exchange.window for exchange in self._exchanges.values()]
        return self._windows.total - sum(
            window.target
            for window in windows
            if isinstance(window, AutoFlowControlManager)
        )

    def _credit_connection(self, length: int) -> None:
        if length:
            increment = self._window.credit(length)
            if increment:
                self._open_window(increment)

    def _take_trailers(self, event: TrailersReceived) -> None:
        exchange = self._exchange_of(event.stream_id)
        if exchange is not None:
            fields = strip_values(_plain(event.headers))
            exchange.stream.trailers = drop_forbidden_trailers(fields)

    def _take_end(self, event: StreamEnded) -> None:
        exchange = self._exchange_of(event.stream_id)
        if exchange is None:
            return
        stream = exchange.stream
        missing = (exchange.expected or 0) - exchange.received
        if missing > 0:
            stream.error = IncompleteRead(
                f"the server ended stream {stream.stream_id} {missing} bytes "
                f"before the end of the body",
                expected=missing,
            )
        else:
            stream.ended = True
        self._settle(stream)

    def _take_reset(self, event: StreamReset) -> None:
        exchange = self._exchange_of(event.stream_id)
        if exchange is None:
            return
        stream = exchange.stream
        if event.error_code == ErrorCodes.PROTOCOL_ERROR and event.remote_reset:
            self.retire()  # The two sides do not understand each other.
        if not stream.over:
            stream.error = _reset_error(event)
        # After a complete response it only stops our upload (RFC 9113 section 8.1).
        self._close(stream)

    def _take_goaway(self, event: ConnectionTerminated) -> None:
        """Obey GOAWAY: streams up to the last one go on, the others never were."""
        if self._goaway is not None:
            # The second of two (RFC 9113 section 6.8) may only lower the id.
            event.last_stream_id = min(
                event.last_stream_id or 0, self._goaway.last_stream_id or 0
            )
        self._goaway = event
        self.accepting = False
        last = event.last_stream_id or 0
        reason = _terminated(event)
        for stream_id, exchange in list(self._exchanges.items()):
            if stream_id > last:
                stream = exchange.stream
                if not stream.over:
                    stream.error = RequestNotProcessed(
                        f"the server ended the connection before stream {stream_id}: "
                        f"{reason}",
                        stream_id,
                    )
                    stream.error.__cause__ = reason
                self._close(stream)
        self.touched.add(EVERYONE)

    def _take_settings(self, event: RemoteSettingsChanged) -> None:
        self.settings_received = True
        settings = self.machine.remote_settings
        self._max_streams = settings.max_concurrent_streams
        self._max_header_list = settings.max_header_list_size
        self.touched.add(EVERYONE)

    def _take_window(self, event: WindowUpdated) -> None:
        if event.stream_id:
            self._exchange_of(event.stream_id)
        else:
            self.touched |= self._blocked

    def _take_ping(self, event: PingAckReceived) -> None:
        data = event.ping_data or b""
        waiting = self._pings.get(data)
        if waiting:
            ping = waiting.popleft()
            if not waiting:
                del self._pings[data]
            ping.answered = True
            self.touched.add(ping)
            if ping is self._probe:
                self._probe = None
            if ping is self._silence:
                self._silence = None
                self._lingering = 0
                self._may_probe_silence = False
                if self.queue:
                    self.touched.add(self.queue[0])

    def _take_origins(self, event: OriginReceived) -> None:
        for origin in event.origins:
            if len(self.origins) < MAX_ANNOUNCED:
                self.origins[origin.decode("ascii")] = None

    def _take_alternative(self, event: AlternativeServiceAvailable) -> None:
        origin = (event.origin or b"").decode("latin-1")
        known = self.alternative_services
        if origin in known or len(known) < MAX_ANNOUNCED:
            known[origin] = (event.field_value or b"").decode("latin-1")

    def _refuse(self, exchange: _Exchange, fault: str) -> None:
        """Reset a stream for what the server did on it."""
        stream = exchange.stream
        self._send_reset(stream.stream_id, ErrorCodes.PROTOCOL_ERROR)
        stream.error = exceptions.InvalidResponseError(
            f"stream {stream.stream_id}: {fault}"
        )
        self._close(stream)

    # The end of a stream.

    def _send_reset(self, stream_id: int, code: int) -> None:
        if self._ended:
            return
        try:
            self.machine.reset_stream(stream_id, code)
        except ProtocolError:
            pass  # The frame at fault was the last of both sides: nothing to reset.

    def _open_window(self, increment: int, stream_id: int | None = None) -> None:
        if self._ended:
            return
        try:
            self.machine.increment_flow_control_window(increment, stream_id)
        except (ProtocolError, KeyError):
            pass  # The stream ended in the same batch of frames: it needs no credit.

    @property
    def _ended(self) -> bool:
        """True once the machine takes no verb more."""
        return self._broken or self._closing or self.failure is not None

    def _settle(self, stream: Stream) -> None:
        """Forget the stream if both sides are done with it."""
        if stream.error is not None and not stream.sent:
            # Our side is still open, and nobody is interested any more.
            self._send_reset(stream.stream_id, CANCEL)
            self._close(stream)
        elif stream.ended and stream.stopped:
            self._send_reset(stream.stream_id, NO_ERROR)
            self._close(stream)
        elif stream.sent and stream.over:
            self._close(stream)

    def _close(self, stream: Stream) -> None:
        """Forget the stream; the first in the queue may have its place."""
        if self._exchanges.pop(stream.stream_id, None) and stream.stream_id % 2 == 0:
            self._pushes -= 1
        self._blocked.discard(stream)
        if self._turns:
            self._end_turn(stream)
        self.touched.add(stream)
        self.touched.add(HEADS)
        if self.queue:
            self.touched.add(self.queue[0])


# Each method takes the event that it is filed under.
_EVENTS: dict[type[Event], Callable[..., None]] = {
    InformationalResponseReceived: H2Protocol._take_interim,
    ResponseReceived: H2Protocol._take_response,
    PushedStreamReceived: H2Protocol._take_push,
    DataReceived: H2Protocol._take_data,
    DataRunReceived: H2Protocol._take_run,
    TrailersReceived: H2Protocol._take_trailers,
    StreamEnded: H2Protocol._take_end,
    StreamReset: H2Protocol._take_reset,
    ConnectionTerminated: H2Protocol._take_goaway,
    RemoteSettingsChanged: H2Protocol._take_settings,
    WindowUpdated: H2Protocol._take_window,
    PingAckReceived: H2Protocol._take_ping,
    OriginReceived: H2Protocol._take_origins,
    AlternativeServiceAvailable: H2Protocol._take_alternative,
}


def header_section(request: Request, sensitive: frozenset[bytes] = SENSITIVE) -> Fields:
    """Return the header section of a request (RFC 9113 sections 8.2 and 8.3.1)."""
    return pseudo_headers(request) + regular_fields(request.headers, sensitive)


def pseudo_headers(request: Request) -> Fields:
    """Return the pseudo-headers of a request (RFC 9113 section 8.3.1)."""
    fields = [(b":method", request.method)]
    if request.protocol is not None:
        fields.append((b":protocol", request.protocol))
    if request.is_connect and request.protocol is None:  # RFC 9113 section 8.5.
        fields.append((b":authority", request.authority))
    else:
        fields.append((b":scheme", request.scheme))
        fields.append((b":authority", request.authority))
        fields.append((b":path", request.target))
    return fields


def regular_fields(headers: Fields, sensitive: frozenset[bytes]) -> Fields:
    """Return the fields that are not pseudo-headers.

    Names become lower-case, and fields that are about one HTTP/1.1 connection go, with
    those that Connection names.
    """
    fields: Fields = []
    unwanted = _hop_by_hop(headers)
    for given, value in headers:
        name = given.lower()
        if name in unwanted or (name == b"te" and value.lower() != b"trailers"):
            continue
        if name in sensitive:
            fields.append(NeverIndexedHeaderTuple(name, value))
        else:
            fields.append((name, value))
    return fields


def _hop_by_hop(headers: Fields) -> frozenset[bytes]:
    """Return the names of fields that must not leave this hop (RFC 9110 s. 7.6.1)."""
    unwanted = CONNECTION_SPECIFIC
    for name, value in headers:
        if name.lower() == b"connection":
            named = {token.strip().lower() for token in value.split(b",")}
            unwanted = unwanted | named
    return unwanted - {b"te"}


def _plain(headers: object) -> Fields:
    """Return an event's fields as plain pairs of bytes."""
    return [(bytes(name), bytes(value)) for name, value in headers]  # type: ignore[attr-defined]


def _read_head(headers: Sequence[tuple[bytes, bytes]]) -> _Head:
    """Return what a header section says that was found in order."""
    fields = strip_values(headers[1:])
    return int(headers[0][1]), fields, content_length(fields)


def _expected_length(stream: Stream, declared: int | None) -> int | None:
    """Return how many bytes the body has to have; None if that is open.

    Responses to HEAD and those with 204 or 304 have no body, whatever they say of its
    length (RFC 9110 sections 6.4.1 and 8.6); nor does it mean anything once CONNECT has
    succeeded (section 9.3.6).
    """
    if stream.connected:
        return None
    if stream.method == b"HEAD" or stream.status in (204, 304):
        return 0
    return declared


def _reset_error(event: StreamReset) -> HyperError:
    stream_id = event.stream_id
    code = int(event.error_code or 0)
    reason = getattr(event, "reason", "")
    if reason:
        return exceptions.InvalidResponseError(
            f"the server's response on stream {stream_id} is malformed: {reason}"
        )
    if code == ErrorCodes.REFUSED_STREAM:
        return RequestNotProcessed(
            f"the server reset stream {stream_id}: REFUSED_STREAM", stream_id
        )
    by_peer = event.remote_reset is not False
    who = "the server" if by_peer else "this side"
    return StreamResetError(
        f"{who} reset stream {stream_id}: {_code_name(code)}", stream_id, code, by_peer
    )


def _terminated(event: ConnectionTerminated) -> exceptions.ConnectionTerminated:
    code = int(event.error_code or 0)
    debug = bytes(event.additional_data or b"")
    text = f"the server sent GOAWAY: {_code_name(code)}"
    if debug:
        text += f" {debug[:MAX_DEBUG_DATA]!r}"
    return exceptions.ConnectionTerminated(text, code, event.last_stream_id or 0, debug)


def _code_name(code: int) -> str:
    try:
        return ErrorCodes(code).name
    except ValueError:
        return f"error {code:#x}"
