"""Random traffic: H2Protocol against a model of a server that keeps the rules.

The other tests show what somebody thought of. Here Hypothesis makes up the traffic, and
an independent model says what has to come of it. Three parties take part:

* :class:`Server` builds raw frames and keeps the books of RFC 9113 for its own side:
  windows, states of streams, settings that were not acknowledged yet. It sends only
  what is legal, and fails when the client sends what is not.
* :class:`Wire` holds the Protocol as a BufferedSocket does, and what is on its way in
  either direction, so that frames cross each other: either direction can be held back,
  and bytes arrive in pieces of any size. It keeps a second set of books, of what the
  client has to know given what has arrived, and compares after each step.
* :class:`Traffic` is the users and their threads: it asks, sends, reads and gives up.

Frames that arrive whole are noted in the client's books when their last byte has.

The rule on waking up is checked in each step: of every condition that a thread may
sleep for, its key is ``touched`` if the step has made the condition true. For a thread
that waits for the peer's window, the condition is taken from the books, because asking
the Protocol itself has effects.

HYPER_STRESS=1 in the environment makes it 20,000 steps and more; HYPER_EXPLORE=1 makes
them other ones each time, or those of ``--hypothesis-seed``.
"""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, TypeVar

import pytest
from h2.errors import ErrorCodes
from hpack import Decoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from peer import PREFACE, Frames, wire

from hyper.common.exceptions import (
    ConnectionTerminated,
    HyperError,
    RequestNotProcessed,
    StreamResetError,
)
from hyper.common.protocol import CANCEL, EVERYONE, HEADS, NO_ERROR
from hyper.common.request import Request
from hyper.common.stream import Stream
from hyper.http20.machine import ClientMachine
from hyper.http20.protocol import (
    LARGEST_FRAME,
    MAX_INTERIM,
    STREAMS_BEFORE_SETTINGS,
    UPLOAD_SIZE,
    H2Protocol,
    Ping,
)
from hyper.http20.reference import H2Machine
from hyper.http20.window import (
    AutoFlowControlManager,
    BaseFlowControlManager,
    FlowControlManager,
    Windows,
)

PROMISE = os.environ.get("HYPER_STRESS") == "1"
EXPLORE = os.environ.get("HYPER_EXPLORE") == "1"
EXAMPLES, STEPS = (300, 100) if PROMISE else (30, 100)
#: How many steps the promise is.
PROMISED_STEPS = 20_000

LARGEST_WINDOW = 2**31 - 1
#: What a server that has not said otherwise uses (RFC 9113 section 6.5.2).
DEFAULTS = {
    SettingsFrame.HEADER_TABLE_SIZE: 4096,
    SettingsFrame.MAX_CONCURRENT_STREAMS: 2**32 + 1,  # no limit
    SettingsFrame.INITIAL_WINDOW_SIZE: 65535,
    SettingsFrame.MAX_FRAME_SIZE: 16384,
}
#: The largest INITIAL_WINDOW_SIZE that the model announces: windows of streams stay so
#: far below the largest window, as a change must not lift one above it.
LARGEST_INITIAL = 200_000
#: What the server lets the client's table for headers have.
TABLE_SIZES = (4096, 65536, 64, 0)
BLOCK = random.Random(0).randbytes(1 << 18)


def pattern(offset: int, length: int) -> bytes:
    """Return the bytes that a body has from ``offset`` on."""
    start = offset % 65521
    return BLOCK[start : start + length]


def parse(data: bytes) -> list[Frame]:
    view = memoryview(data.removeprefix(PREFACE))
    frames = []
    while view:
        frame, length = Frame.parse_frame_header(view[:9])
        frame.parse_body(view[9 : 9 + length])
        frame.body_len = length
        frames.append(frame)
        view = view[9 + length :]
    return frames


S = TypeVar("S")

# The server.


@dataclass(eq=False)
class Served:
    """One stream as the server sees it."""

    stream_id: int
    method: bytes
    window: int  # how much the client may send
    credit: int  # how much the server may send
    request: bytearray = field(default_factory=bytearray)
    request_over: bool = False
    interims: int = 0
    head: bool = False
    #: How much of the announced Content-Length is left; None if there is none.
    left: int | None = None
    offset: int = 0
    over: bool = False  # END_STREAM was sent
    dead: bool = False  # RST_STREAM was sent or received, or GOAWAY left it out

    @property
    def closed(self) -> bool:
        return self.dead or (self.over and self.request_over)

    @property
    def acted(self) -> bool:
        return self.head or self.interims > 0 or self.over

    @property
    def answerable(self) -> bool:
        return not self.over and not self.dead

    @property
    def may_end(self) -> bool:
        return self.answerable and self.head and not self.left


class Server:
    """What a server knows, and what it may do. Sends nothing itself."""

    def __init__(self, first_stream_id: int) -> None:
        self.frames = Frames()
        self.decoder = Decoder()
        self.settings = dict(DEFAULTS)  # that the client has acknowledged
        self.unacknowledged: deque[dict[int, int]] = deque()
        self.client_settings: dict[int, int] = {}
        self.streams: dict[int, Served] = {}
        self.last_stream_id = first_stream_id - 2
        self.window = 65535
        self.credit = 65535
        self.leaving = False  # GOAWAY was sent
        self.last_taken = LARGEST_WINDOW  # as the latest one said
        self.pings: deque[bytes] = deque()  # that the client has to answer, in order
        self.owed: deque[PingFrame] = deque()  # answers of the server to PINGs
        self._block: HeadersFrame | None = None

    # What the client says.

    def take(self, frame: Frame) -> None:
        assert self._block is None or isinstance(frame, ContinuationFrame)
        assert frame.body_len <= self.settings[SettingsFrame.MAX_FRAME_SIZE]
        self.TAKES[type(frame)](self, frame)

    def _take_settings(self, frame: SettingsFrame) -> None:
        if "ACK" not in frame.flags:
            self.client_settings.update(frame.settings)
            return
        changed = self.unacknowledged.popleft()
        new = changed.get(SettingsFrame.INITIAL_WINDOW_SIZE)
        if new is not None:
            difference = new - self.settings[SettingsFrame.INITIAL_WINDOW_SIZE]
            for served in self.streams.values():
                served.window += difference
        self.settings.update(changed)
        table = self.settings[SettingsFrame.HEADER_TABLE_SIZE]
        self.decoder.max_allowed_table_size = table

    def _take_headers(self, frame: HeadersFrame) -> None:
        self._block = frame
        self._end_block(frame)

    def _take_continuation(self, frame: ContinuationFrame) -> None:
        assert self._block is not None
        assert frame.stream_id == self._block.stream_id
        self._block.data = bytes(self._block.data) + bytes(frame.data)
        self._end_block(frame)

    def _end_block(self, frame: HeadersFrame | ContinuationFrame) -> None:
        if "END_HEADERS" not in frame.flags:
            return
        block, self._block = self._block, None
        assert block is not None
        fields = dict(self.decoder.decode(bytes(block.data), raw=True))
        if block.stream_id not in self.streams:
            self._take_request(block.stream_id, fields)
        else:
            assert not any(name.startswith(b":") for name in fields)
            assert "END_STREAM" in block.flags
        if "END_STREAM" in block.flags:
            served = self.streams[block.stream_id]
            assert not served.request_over
            served.request_over = True

    def _take_request(self, stream_id: int, fields: dict[bytes, bytes]) -> None:
        assert stream_id % 2
        assert stream_id > self.last_stream_id, "ids grow"
        self.last_stream_id = stream_id
        served = self.streams[stream_id] = Served(
            stream_id,
            fields[b":method"],
            self.settings[SettingsFrame.INITIAL_WINDOW_SIZE],
            self.client_settings[SettingsFrame.INITIAL_WINDOW_SIZE],
        )
        served.dead = stream_id > self.last_taken
        limit = self.settings[SettingsFrame.MAX_CONCURRENT_STREAMS]
        assert served.dead or self.open_streams <= limit, "more than allowed"

    def _take_data(self, frame: DataFrame) -> None:
        served = self.streams[frame.stream_id]
        length = frame.flow_controlled_length
        assert not served.request_over
        assert length == 0 or length <= served.window, "more than the stream's window"
        assert length <= self.window, "more than the connection's window"
        served.window -= length
        self.window -= length
        served.request += frame.data
        served.request_over = "END_STREAM" in frame.flags

    def _take_reset(self, frame: RstStreamFrame) -> None:
        served = self.streams[frame.stream_id]
        served.dead = served.request_over = True

    def _take_window_update(self, frame: WindowUpdateFrame) -> None:
        assert frame.window_increment > 0
        if frame.stream_id == 0:
            self.credit += frame.window_increment
            assert self.credit <= LARGEST_WINDOW
        else:
            served = self.streams[frame.stream_id]
            served.credit += frame.window_increment
            assert served.credit <= LARGEST_WINDOW

    def _take_ping(self, frame: PingFrame) -> None:
        if "ACK" in frame.flags:
            assert frame.opaque_data == self.pings.popleft()
        else:
            self.owed.append(self.frames.ping(frame.opaque_data, ack=True))

    TAKES: ClassVar = {
        SettingsFrame: _take_settings,
        HeadersFrame: _take_headers,
        ContinuationFrame: _take_continuation,
        DataFrame: _take_data,
        RstStreamFrame: _take_reset,
        WindowUpdateFrame: _take_window_update,
        PingFrame: _take_ping,
    }

    # What it knows.

    @property
    def open_streams(self) -> int:
        return sum(not served.closed for served in self.streams.values())

    def room(self, served: Served) -> int:
        """Return how much body may be sent on the stream."""
        room = min(served.credit, self.credit)
        if served.method == b"HEAD":
            return 0
        return room if served.left is None else min(room, served.left)

    def update_room(self, served: Served | None) -> int:
        """Return by how much a window of the client's may be opened."""
        if served is None:
            return LARGEST_WINDOW - self.window
        return LARGEST_WINDOW - 2 * LARGEST_INITIAL - served.window


# The client's books.


@dataclass(eq=False)
class Seen:
    """What the client has to know of a stream, given what has arrived."""

    stream: Stream
    manager: BaseFlowControlManager
    window: int  # how much it may send
    request: bytearray = field(default_factory=bytearray)
    interims: list[int] = field(default_factory=list)
    status: int | None = None
    body: list[bytes] = field(default_factory=list)
    trailers: bool = False
    ended: bool = False
    error: type[HyperError] | None = None
    #: Both sides are done with it: not an exchange any more.
    gone: bool = False
    #: RST_STREAM frames of the client, at most one.
    resets: int = 0
    #: A thread sleeps until it may send more.
    blocked: bool = False
    #: What the user took.
    taken: list[bytes] = field(default_factory=list)
    #: Received, and neither consumed nor credited in advance.
    uncredited: int = 0
    #: How often bytes had come when it began.
    began: int = 0

    @property
    def over(self) -> bool:
        return self.ended or self.error is not None

    @property
    def uploading(self) -> bool:
        stream = self.stream
        return not (self.gone or stream.sent or stream.stopped)


def recording(of: type[BaseFlowControlManager], made: list[BaseFlowControlManager]):
    """Return a window manager like ``of``, which adds what is made of it to a list."""

    class Recording(of):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append(self)

    return Recording


@dataclass(frozen=True)
class Plan:
    """What a connection is made with."""

    manager: type[BaseFlowControlManager]
    stream_window: int
    settings: dict[int, int]
    ids: int  # how many streams it may open

    @property
    def max_stream_window(self) -> int:
        return 4 * self.stream_window


Effect = Callable[[], None]


class Wire:
    """One connection: the Protocol, the server, and what is between them."""

    def __init__(self, machine, next_stream_id: int, plan: Plan) -> None:
        self.managers: list[BaseFlowControlManager] = []
        self.server = Server(next_stream_id)
        self.protocol = H2Protocol(
            machine({SettingsFrame.INITIAL_WINDOW_SIZE: plan.stream_window}),
            recording(plan.manager, self.managers),
            next_stream_id,
            next_stream_id + 2 * plan.ids - 2,
            Windows(plan.stream_window, plan.max_stream_window, 65535, 10**7),
        )
        self.last_id = next_stream_id + 2 * plan.ids - 2
        self.plan = plan
        self.seen: dict[int, Seen] = {}
        self.pings: list[Ping] = []
        self.answered: list[Ping] = []
        self.hold_down = self.hold_up = False
        # On the way.
        self._down = bytearray()
        self._arrivals: deque[tuple[int, Effect]] = deque()
        self._arrived = self._queued = 0
        self._up: deque[Frame] = deque()
        # What the client knows.
        self.settings = dict(DEFAULTS)
        self.limit: int = STREAMS_BEFORE_SETTINGS
        self.window = 65535
        self.last_taken = LARGEST_WINDOW
        self.going_away = False
        self.turns: list[Seen] = []  # of the threads that send, the next one first
        self.batches = 0
        # Requests that were cancelled before anything came, and the PING they wait for.
        self.lingering = 0
        self.silence: bytes | None = None
        self.may_probe = True
        self.send_settings(plan.settings)

    # Each thing that happens to the Protocol is a step.

    @contextmanager
    def step(self) -> Iterator[None]:
        """What is done inside is one step: drain and check after it."""
        self.sound = False  # until the checks have passed
        before = self._conditions()
        closed = {number for number, seen in self.seen.items() if seen.gone}
        yield
        for frame in parse(self.protocol.data_to_send()):
            assert frame.stream_id not in closed, "a frame on a closed stream"
            self._count_reset(frame)
            if isinstance(frame, PingFrame) and self.silence == b"the next PING":
                self.silence = frame.opaque_data
            self._up.append(frame)
        self._check_wakes(before)
        self._check_books()
        self.protocol.touched.clear()
        self.sound = True

    def _count_reset(self, frame: Frame) -> None:
        if isinstance(frame, RstStreamFrame):
            seen = self.seen[frame.stream_id]
            seen.resets += 1
            assert seen.resets == 1, "a stream is reset once"

    def _conditions(self) -> dict[tuple[object, object], bool]:
        """Return what threads may wait for, by key, and whether it holds."""
        protocol = self.protocol
        held: dict[tuple[object, object], bool] = {
            (protocol, "settings"): protocol.settings_received
        }
        for seen in self.seen.values():
            stream = seen.stream
            has_head = stream.status is not None or stream.over
            held[stream, "head"] = held[HEADS, stream] = has_head
            held[stream, "100"] = has_head or bool(stream.informational)
            held[stream, "body"] = bool(stream.chunks) or stream.over
            if seen.blocked:
                held[stream, "window"] = stream.over or self.sendable(seen) > 0
        for ping in self.pings:
            held[ping, "answer"] = ping.answered
        if protocol.queue:
            place = not protocol.accepting or protocol.free_places > 0
            held[protocol.queue[0], "place"] = place
        return held

    def _check_wakes(self, before: dict[tuple[object, object], bool]) -> None:
        touched = self.protocol.touched
        if EVERYONE in touched:
            return
        for condition, holds in self._conditions().items():
            if holds and not before.get(condition):
                assert condition[0] in touched, f"nobody wakes {condition}"

    def _check_books(self) -> None:
        protocol = self.protocol
        assert protocol.open_streams == self.open_streams
        assert protocol.accepting == self.accepting
        assert protocol.free_places == self.free_places
        done = not self.accepting and not self.open_streams
        assert protocol.finished == (protocol.failure is not None or done)
        assert [ping for ping in self.pings if ping.answered] == self.answered
        for seen in self.seen.values():
            self._check_stream(seen)

    def _check_stream(self, seen: Seen) -> None:
        stream = seen.stream
        assert [one.status for one in stream.informational] == seen.interims
        assert stream.status == seen.status
        assert [*seen.taken, *stream.chunks] == seen.body
        assert stream.buffered == sum(map(len, stream.chunks))
        assert bool(stream.trailers) == seen.trailers
        assert stream.ended == seen.ended
        assert (seen.error or type(None)) is type(stream.error)
        assert not (stream.ended and stream.error)

    # What the client has to know.

    @property
    def open_streams(self) -> int:
        return sum(not seen.gone for seen in self.seen.values())

    @property
    def accepting(self) -> bool:
        ids_left = self.protocol.next_stream_id <= self.last_id
        return not self.going_away and ids_left and self.protocol.failure is None

    @property
    def free_places(self) -> int:
        taken = self.open_streams + self.lingering
        return max(0, self.limit - taken) if self.accepting else 0

    def sendable(self, seen: Seen) -> int:
        """Return how much may be sent on the stream in one piece, if it is its turn."""
        if seen.gone or self.turns[:1] not in ([], [seen]):
            return 0
        frame = min(self.settings[SettingsFrame.MAX_FRAME_SIZE], LARGEST_FRAME)
        alone = self.turns in ([], [seen])
        return max(0, min(seen.window, self.window, UPLOAD_SIZE if alone else frame))

    def forget(self, seen: Seen, error: type[HyperError] | None = None) -> None:
        """Note that the exchange has ended, with ``error`` if it was not over."""
        if not seen.over:
            seen.error = error
        seen.gone = True
        seen.blocked = False
        if seen in self.turns:
            self.turns.remove(seen)

    # The network.

    def send(self, effect: Effect, *frames: Frame) -> None:
        """Put frames of the server on the way; ``effect`` notes that they arrived."""
        data = wire(*frames)
        self._down += data
        self._queued += len(data)
        self._arrivals.append((self._queued, effect))

    @property
    def held(self) -> int:
        """How many bytes are on the way to the client."""
        return len(self._down)

    @property
    def quiet(self) -> bool:
        return not self._down and not self._up

    def deliver(self, amount: int) -> None:
        """Let some bytes arrive at the client."""
        if self.protocol.finished:
            self._down.clear()  # The socket is closed.
            return
        with self.step():
            data = bytes(self._down[:amount])
            del self._down[:amount]
            self.batches += 1
            self._arrived += len(data)
            while self._arrivals and self._arrivals[0][0] <= self._arrived:
                self._arrivals.popleft()[1]()
            self.protocol.receive_data(data)
            assert self.protocol.failure is None, self.protocol.failure
        self._wake_senders()

    def read(self, amount: int) -> None:
        """Let the server take some of the client's frames."""
        self.sound = False
        for _ in range(min(amount, len(self._up))):
            frame = self._up.popleft()
            self.server.take(frame)
            if isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
                self.send(_nothing, self.server.frames.settings(ack=True))
        self.sound = True

    def flow(self) -> None:
        """Let all arrive that is not held back."""
        while True:
            if self._down and not self.hold_down:
                self.deliver(len(self._down))
            elif self._up and not self.hold_up:
                self.read(len(self._up))
            else:
                return

    def _wake_senders(self) -> None:
        """Let the threads that wait for the peer's window look again."""
        for seen in self.seen.values():
            if seen.blocked:
                self.ask_sendable(seen)

    # What the users' threads do, and what it means for the books.

    def admit(self, request: Request) -> Seen | None:
        """Send the first request of the queue if there is a place for it."""
        protocol = self.protocol
        if not protocol.queue or protocol.free_places == 0:
            return None
        with self.step():
            end_stream = request.body_length == 0
            stream = protocol.open(request, end_stream)
            window = self.settings[SettingsFrame.INITIAL_WINDOW_SIZE]
            seen = Seen(stream, self.managers[-1], window, began=self.batches)
            self.seen[stream.stream_id] = seen
            protocol.queue.popleft()
            if protocol.queue:
                protocol.touched.add(protocol.queue[0])
        return seen

    def ask_sendable(self, seen: Seen) -> int:
        """Ask how much may be sent, as a thread that sends does before it sleeps."""
        with self.step():
            amount = self.protocol.sendable(seen.stream)
            if seen.stream.sending and not seen.over:
                seen.uncredited = 0
            self._queue_for_turn(seen)
            assert amount == self.sendable(seen)
            seen.blocked = amount == 0 and not seen.over
        return amount

    def _queue_for_turn(self, seen: Seen) -> None:
        """A thread waits for its turn unless it is its own window that is closed."""
        if seen.gone:
            return
        if seen.window <= 0 < self.window:
            if seen in self.turns:
                self.turns.remove(seen)
        elif seen not in self.turns:
            self.turns.append(seen)

    def send_piece(self, seen: Seen, amount: int, end: bool) -> None:
        with self.step():
            data = pattern(len(seen.request), amount)
            seen.request += data
            seen.window -= amount
            self.window -= amount
            self.protocol.send_data(seen.stream, data, end)
            if seen in self.turns:
                self.turns.remove(seen)
            if end:
                self._sent(seen)

    def send_trailers(self, seen: Seen) -> None:
        with self.step():
            self.protocol.send_trailers(seen.stream, [(b"X-Sum", b"1")])
            self._sent(seen)

    def _sent(self, seen: Seen) -> None:
        assert seen.stream.sent
        seen.blocked = False
        if seen in self.turns:
            self.turns.remove(seen)
        seen.stream.sending = False
        if seen.over:
            self.forget(seen)

    def consume(self, seen: Seen) -> None:
        """Take all that has come of a body, as a Response does."""
        stream = seen.stream
        with self.step():
            taken = list(stream.chunks)
            stream.chunks.clear()
            stream.buffered = 0
            seen.taken += taken
            for chunk in taken:
                self.protocol.consumed(stream, len(chunk))
            if taken and not seen.gone:
                seen.uncredited = 0

    def reset(self, seen: Seen, code: int) -> None:
        with self.step(), self._doubts(seen, code):
            self.protocol.reset(seen.stream, None, code)
            self.forget(seen, StreamResetError)

    def abandon(self, seen: Seen) -> None:
        with self.step(), self._doubts(seen, CANCEL):
            self.protocol.abandoned.append(seen.stream)
            self.forget(seen, StreamResetError)

    @contextmanager
    def _doubts(self, seen: Seen, code: int) -> Iterator[None]:
        """Note a place that is kept until the server has shown that it lives."""
        doubted = code == CANCEL and not seen.gone and seen.began == self.batches
        yield
        if doubted and self.may_probe:
            self.lingering += 1
            if self.silence is None:
                self.silence = b"the next PING"

    def stop(self, seen: Seen) -> None:
        """Give up sending the body, as after Expect: 100-continue."""
        with self.step():
            seen.stream.stopped = True
            seen.stream.sending = False
            seen.blocked = False
            if seen.over:
                self.protocol.reset(seen.stream, None, NO_ERROR)
                self.forget(seen)

    def ping(self, data: bytes) -> None:
        with self.step():
            self.pings.append(self.protocol.ping(data))

    def end(self) -> None:
        """The server closes the connection after its GOAWAY."""
        with self.step():
            self.protocol.receive_eof(True)
            for seen in self.seen.values():
                if not seen.gone:
                    self.forget(seen, ConnectionTerminated)

    # What the server does.

    def send_settings(self, changed: dict[int, int]) -> None:
        self.server.unacknowledged.append(changed)
        arrived = partial(self._settings_arrived, changed)
        self.send(arrived, self.server.frames.settings(changed))

    def send_head(
        self, served: Served, status: int, length: int | None, cuts: int, end: bool
    ) -> None:
        fields = [("x-one", "1"), ("x-id", str(served.stream_id))]
        if length is not None:
            fields.append(("content-length", str(length)))
            served.left = 0 if served.method == b"HEAD" else length
        frame = self.server.frames.headers(served.stream_id, status, fields, end=end)
        if status >= 200:
            served.head = True
        else:
            served.interims += 1
        served.over = end
        arrived = partial(self._head_arrived, served.stream_id, status, end)
        self.send(arrived, *cut(frame, cuts))

    def send_body(self, served: Served, length: int, padding: int, end: bool) -> None:
        data = pattern(served.offset, length)
        frame = self.server.frames.data(served.stream_id, data, end=end)
        if padding:
            frame.flags.add("PADDED")
            frame.pad_length = padding - 1
        served.offset += length
        served.credit -= length + padding
        self.server.credit -= length + padding
        assert min(served.credit, self.server.credit) >= 0, "a fault of the model"
        if served.left is not None:
            served.left -= length
        served.over = end
        arrived = partial(self._body_arrived, served.stream_id, data, end)
        self.send(arrived, frame)

    def send_response_trailers(self, served: Served, cuts: int) -> None:
        fields = [("x-sum", "1")]
        frame = self.server.frames.headers(served.stream_id, None, fields, end=True)
        served.over = True
        arrived = partial(self._end_arrived, served.stream_id, True)
        self.send(arrived, *cut(frame, cuts))

    def send_reset(self, served: Served, code: int) -> None:
        served.dead = True
        arrived = partial(self._reset_arrived, served.stream_id, code)
        self.send(arrived, self.server.frames.reset(served.stream_id, code))

    def send_window_update(self, served: Served | None, increment: int) -> None:
        stream_id = 0 if served is None else served.stream_id
        if served is None:
            self.server.window += increment
        else:
            served.window += increment
        arrived = partial(self._window_arrived, stream_id, increment)
        self.send(arrived, self.server.frames.window_update(stream_id, increment))

    def send_answer(self) -> None:
        """Answer the client's oldest PING."""
        answer = self.server.owed.popleft()
        users = answer.opaque_data.startswith(b"user")
        arrived = partial(self._sign_of_life, answer.opaque_data)
        self.send(self._answer_arrived if users else arrived, answer)

    def _sign_of_life(self, data: bytes) -> None:
        if data == self.silence:
            self.silence = None
            self.lingering = 0
            self.may_probe = False

    def send_ping(self, data: bytes) -> None:
        self.server.pings.append(data)
        self.send(_nothing, self.server.frames.ping(data))

    def send_goaway(self, last: int) -> None:
        self.server.leaving = True
        self.server.last_taken = last
        for served in self.server.streams.values():
            served.dead = served.dead or served.stream_id > last
        arrived = partial(self._goaway_arrived, last)
        self.send(arrived, self.server.frames.goaway(last, NO_ERROR, b"bye"))

    def send_noise(self, stream_id: int, unknown: bool) -> None:
        """Send a frame that means nothing to a client."""
        frame: Frame = PriorityFrame(stream_id or 1, depends_on=0, stream_weight=7)
        if unknown:
            frame = ExtensionFrame(0xBE, stream_id, flag_byte=0xFF, body=b"?")
            frame.body_len = 1
        self.send(_nothing, frame)

    # What the client has to know once it has arrived.

    def _live(self, stream_id: int) -> Seen | None:
        seen = self.seen[stream_id]
        return None if seen.gone else seen

    def _settings_arrived(self, changed: dict[int, int]) -> None:
        new = changed.get(SettingsFrame.INITIAL_WINDOW_SIZE)
        if new is not None:
            difference = new - self.settings[SettingsFrame.INITIAL_WINDOW_SIZE]
            for seen in self.seen.values():
                seen.window += difference
        self.settings.update(changed)
        self.limit = self.settings[SettingsFrame.MAX_CONCURRENT_STREAMS]

    def _head_arrived(self, stream_id: int, status: int, end: bool) -> None:
        seen = self._live(stream_id)
        if seen is None:
            return
        if status < 200:
            seen.interims.append(status)
        else:
            seen.status = status
            self.may_probe = True
        if end:
            self._end_arrived(stream_id, False)

    def _body_arrived(self, stream_id: int, data: bytes, end: bool) -> None:
        seen = self._live(stream_id)
        if seen is None:
            return
        seen.body.append(data)
        seen.uncredited += len(data)
        if end:
            self._end_arrived(stream_id, False)
        elif seen.stream.sending:
            seen.uncredited = 0

    def _end_arrived(self, stream_id: int, trailers: bool) -> None:
        seen = self._live(stream_id)
        if seen is not None:
            seen.ended = True
            seen.trailers = trailers
            if seen.stream.sent or seen.stream.stopped:
                self.forget(seen)

    def _reset_arrived(self, stream_id: int, code: int) -> None:
        seen = self._live(stream_id)
        if seen is not None:
            refused = code == ErrorCodes.REFUSED_STREAM
            self.forget(seen, RequestNotProcessed if refused else StreamResetError)

    def _window_arrived(self, stream_id: int, increment: int) -> None:
        if stream_id == 0:
            self.window += increment
        else:
            self.seen[stream_id].window += increment

    def _answer_arrived(self) -> None:
        self.answered.append(self.pings[len(self.answered)])

    def _goaway_arrived(self, last: int) -> None:
        self.going_away = True
        self.last_taken = min(last, self.last_taken)
        for stream_id, seen in self.seen.items():
            if stream_id > self.last_taken and not seen.gone:
                self.forget(seen, RequestNotProcessed)

    # What has to hold when nothing is on the way.

    def check_quiet(self) -> None:
        self.sound = False
        server = self.server
        assert not server.unacknowledged
        assert not server.pings
        assert server.window == self.window
        assert server.settings == self.settings
        self._check_credit(self.managers[0], server.credit)
        for stream_id, seen in self.seen.items():
            served = server.streams[stream_id]
            assert served.request == seen.request
            if not seen.gone:
                assert served.window == seen.window
            if not seen.over:
                self._check_credit(seen.manager, served.credit + seen.uncredited)
        self.sound = True

    def _check_credit(self, manager: BaseFlowControlManager, window: int) -> None:
        """See that none of the window got lost: all of it is open, or soon will be."""
        initial = manager.initial_window_size
        auto = isinstance(manager, AutoFlowControlManager)
        if auto:
            assert initial <= manager.target <= 4 * initial
        assert window >= initial // (2 if auto else 4), "credit has leaked"
        assert window == manager.window_size


def _nothing() -> None:
    pass


def cut(frame: HeadersFrame, cuts: int) -> list[Frame]:
    """Return the header block in so many more pieces."""
    block = bytes(frame.data)
    size = len(block) // (cuts + 1) + 1
    pieces = [block[start : start + size] for start in range(0, len(block), size)]
    frame.data = pieces[0]
    frames: list[Frame] = [frame]
    for piece in pieces[1:]:
        frames.append(ContinuationFrame(frame.stream_id, piece))
    if len(frames) > 1:
        frame.flags.discard("END_HEADERS")
        frames[-1].flags.add("END_HEADERS")
    return frames


# The users.

LARGE = Request(b"GET", b"https", b"a.test", b"/", [(b"X-Large", b"\xff" * 20_000)], 0)
REQUESTS = (
    Request(b"POST", b"https", b"a.test", b"/", [], None),
    Request(b"GET", b"https", b"a.test", b"/", [(b"X-A", b"b")], 0),
    Request(b"POST", b"https", b"a.test", b"/other", [(b"X-A", b"c")], None),
    Request(b"HEAD", b"https", b"a.test", b"/", [(b"Cookie", b"secret")], 0),
    Request(b"PUT", b"https", b"a.test", b"/long", [], None),
    LARGE,
)
CODES = (
    ErrorCodes.CANCEL,
    ErrorCodes.NO_ERROR,
    ErrorCodes.INTERNAL_ERROR,
    ErrorCodes.REFUSED_STREAM,
    0x1234,
)
SETTINGS = (
    (SettingsFrame.MAX_CONCURRENT_STREAMS, (5, 100, 2, 1, 0)),
    (SettingsFrame.INITIAL_WINDOW_SIZE, (65535, LARGEST_INITIAL, 5000, 65535, 0, 1)),
    (SettingsFrame.MAX_FRAME_SIZE, (16384, 16385, 70000, 2**24 - 1)),
    (SettingsFrame.HEADER_TABLE_SIZE, TABLE_SIZES),
)

#: What may happen, each a method of Traffic, and how often. Not rules of their own:
#: Hypothesis turns some rules off in each run, and not much happens then.
WEIGHTS = {
    "ask": 12,
    "admit": 5,
    "upload": 26,
    "end_upload": 3,
    "read_body": 18,
    "reset": 2,
    "reset_too_late": 1,
    "drop": 2,
    "stop": 1,
    "ping": 1,
    "head": 12,
    "interim": 3,
    "body": 26,
    "end": 3,
    "trailers": 2,
    "server_reset": 2,
    "server_ping": 1,
    "answer_ping": 5,
    "update_stream": 7,
    "update_connection": 7,
    "server_settings": 5,
    "noise": 1,
    "goaway": 4,
    "hold": 6,
    "let_bytes_through": 5,
    "let_frames_through": 3,
    "dial_anew": 3,
}


@dataclass(frozen=True)
class Act:
    """One thing that happens, as far as it can."""

    kind: str
    pick: int  # to which of the streams that it can happen to
    size: int
    extra: int  # what else there is to choose


ACTS = st.builds(
    Act,
    st.sampled_from([kind for kind, weight in WEIGHTS.items() for _ in range(weight)]),
    st.integers(0, 63),
    st.sampled_from([5000, 0, 1, 9, 255, 16384, 50_000]) | st.integers(300, 40_000),
    st.integers(0, 5),
)
PLANS = st.builds(
    Plan,
    manager=st.sampled_from([AutoFlowControlManager, FlowControlManager]),
    stream_window=st.sampled_from([20_000, 1, 1000, 65535, 300_000]),
    settings=st.fixed_dictionaries(
        {}, optional={code: st.sampled_from(values) for code, values in SETTINGS}
    ),
    ids=st.sampled_from([1000, 1000, 1000, 3]),
)


class Traffic(RuleBasedStateMachine):
    """Users of one connection object, which dials anew when it has to."""

    machine = H2Machine
    steps = 0  # of all runs together

    @initialize(plans=st.lists(PLANS, min_size=1, max_size=3), hold=st.booleans())
    def dial(self, plans: list[Plan], hold: bool) -> None:
        self.next_ping = 0
        self.plans = deque(plans)
        self.connect(1)
        self.wire.hold_down = hold
        self.wire.flow()

    def connect(self, next_stream_id: int) -> None:
        self.wire = Wire(self.machine, next_stream_id, self.plans[0])
        self.plans.rotate()
        with self.wire.step():
            pass  # The preface.
        self.tickets: dict[object, Request] = {}

    @rule(act=ACTS)
    def act(self, act: Act) -> None:
        if act.extra:
            self.keep_busy(act)
        getattr(self, act.kind)(act)
        self.wire.flow()
        type(self).steps += 1

    def keep_busy(self, act: Act) -> None:
        """Begin something if nothing is under way, so that acts find what to act on."""
        wire = self.wire
        if wire.open_streams:
            return
        if not wire.accepting:
            self.dial_anew(act)
        elif wire.free_places:
            self.ask(act)
        elif wire.quiet:
            wire.send_settings({SettingsFrame.MAX_CONCURRENT_STREAMS: 5})
        self.wire.flow()

    def seen(self, act: Act, fits: Callable[[Seen], bool]) -> list[Seen]:
        """Return the one that the act picks of the streams that fit, if any does."""
        return self._picked(act, [*filter(fits, self.wire.seen.values())])

    def served(self, act: Act, fits: Callable[[Served], bool]) -> list[Served]:
        return self._picked(act, [*filter(fits, self.wire.server.streams.values())])

    def _picked(self, act: Act, fitting: list[S]) -> list[S]:
        return [fitting[act.pick % len(fitting)]] if fitting else []

    # What users do.

    def ask(self, act: Act) -> None:
        if self.wire.accepting:
            ticket = object()
            self.tickets[ticket] = REQUESTS[act.pick % len(REQUESTS)]
            self.wire.protocol.queue.append(ticket)
            if act.extra:
                self.admit(act)

    def admit(self, act: Act) -> None:
        queue = self.wire.protocol.queue
        if queue:
            self.wire.admit(self.tickets[queue[0]])

    def upload(self, act: Act) -> None:
        # The one whose turn it is, or the others could not send for all of the run.
        turns = [seen for seen in self.wire.turns[:1] if act.extra]
        for seen in turns or self.seen(act, lambda seen: seen.uploading):
            seen.stream.sending = True
            if seen.over:
                self.wire.reset(seen, NO_ERROR)
            else:
                self.upload_some(seen, act)
            if not seen.blocked:
                # The call may go on, as its iterable is slow; or return, as send does.
                seen.stream.sending = act.extra > 2 and not seen.stream.sent

    def end_upload(self, act: Act) -> None:
        self.upload(act)

    def upload_some(self, seen: Seen, act: Act) -> None:
        left = act.size
        last = act.kind == "end_upload"
        while left:
            amount = min(left, self.wire.ask_sendable(seen))
            if amount == 0:
                return
            left -= amount
            at_once = last and not left and act.extra % 3 == 0
            self.wire.send_piece(seen, amount, at_once)
        if last and not seen.stream.sent:
            if act.extra % 3 == 1:
                self.wire.send_trailers(seen)
            else:
                self.wire.send_piece(seen, 0, True)

    def read_body(self, act: Act) -> None:
        for seen in self.seen(act, lambda seen: bool(seen.stream.chunks)):
            self.wire.consume(seen)

    def reset(self, act: Act) -> None:
        for seen in self.seen(act, lambda seen: not seen.gone):
            self.wire.reset(seen, CANCEL)

    def reset_too_late(self, act: Act) -> None:
        for seen in self.seen(act, lambda seen: seen.gone):
            self.wire.reset(seen, CANCEL)

    def drop(self, act: Act) -> None:
        for seen in self.seen(act, lambda seen: not seen.gone):
            self.wire.abandon(seen)

    def stop(self, act: Act) -> None:
        for seen in self.seen(act, lambda one: one.uploading and not one.blocked):
            self.wire.stop(seen)

    def ping(self, act: Act) -> None:
        if not self.wire.protocol.finished:
            self.next_ping += 1
            self.wire.ping(b"user%04d" % self.next_ping)

    # What the server does.

    def head(self, act: Act) -> None:
        for served in self.served(act, lambda one: one.answerable and not one.head):
            if act.extra == 5:
                self.wire.send_head(served, 204, None, 0, True)
                return
            length = None
            if act.extra > 1:  # Such that it needs not too many frames.
                length = min(act.size, 50 * self.wire.plan.stream_window)
            end = act.size == 0 and (act.extra == 0 or length == 0)
            self.wire.send_head(served, 200, length, act.extra % 3, end)

    def interim(self, act: Act) -> None:
        for served in self.served(act, lambda one: one.answerable and not one.head):
            if served.interims < MAX_INTERIM:
                status = 103 if act.extra else 100
                self.wire.send_head(served, status, None, act.extra % 3, False)

    def body(self, act: Act) -> None:
        for served in self.served(act, lambda one: one.answerable and one.head):
            for _ in range(act.extra + 1):
                room = self.wire.server.room(served)
                padding = min(room, act.extra and act.size % 257)
                length = min(act.size, room - padding, 16384 - padding)
                self.wire.send_body(served, length, padding, False)

    def end(self, act: Act) -> None:
        for served in self.served(act, lambda one: one.may_end):
            length = min(act.size, 16384, self.wire.server.room(served))
            self.wire.send_body(served, length, 0, True)

    def trailers(self, act: Act) -> None:
        for served in self.served(act, lambda one: one.may_end):
            self.wire.send_response_trailers(served, act.extra % 3)

    def server_reset(self, act: Act) -> None:
        for served in self.served(act, lambda one: not one.closed):
            code = CODES[act.size % len(CODES)]
            if served.over:
                code = ErrorCodes.NO_ERROR
            elif code == ErrorCodes.REFUSED_STREAM and served.head:
                code = ErrorCodes.CANCEL
            self.wire.send_reset(served, code)

    def server_ping(self, act: Act) -> None:
        self.next_ping += 1
        self.wire.send_ping(b"serv%04d" % self.next_ping)

    def answer_ping(self, act: Act) -> None:
        if self.wire.server.owed:
            self.wire.send_answer()

    def update_stream(self, act: Act) -> None:
        for served in self.served(act, lambda one: not one.dead):
            self.update(served, act)

    def update_connection(self, act: Act) -> None:
        self.update(None, act)

    def update(self, served: Served | None, act: Act) -> None:
        largest = act.extra == 5 and act.pick < 16
        wanted = LARGEST_WINDOW if largest else act.size
        increment = min(wanted, self.wire.server.update_room(served))
        if increment > 0:
            self.wire.send_window_update(served, increment)

    def server_settings(self, act: Act) -> None:
        changed = {}
        for index in {act.extra, act.pick % 8}:
            code, values = SETTINGS[index % len(SETTINGS)]
            changed[code] = values[act.size % len(values)]
        self.wire.send_settings(changed)

    def noise(self, act: Act) -> None:
        ids = [0, *self.wire.server.streams]
        self.wire.send_noise(ids[act.pick % len(ids)], act.extra > 2)

    def goaway(self, act: Act) -> None:
        """Say goodbye at once; or say that one will, and then do (section 6.8)."""
        server = self.wire.server
        if not server.leaving and act.pick % 4:
            return  # Once it has begun it is not long until the end.
        if not server.leaving and act.extra % 2:
            self.wire.send_goaway(LARGEST_WINDOW)
        else:
            acted = (one for one in server.streams.values() if one.acted)
            least = max((one.stream_id for one in acted), default=0)
            choices = [one for one in [least, *server.streams] if one >= least]
            last = choices[act.pick % len(choices)]
            self.wire.send_goaway(min(server.last_taken, last))

    # The network.

    def hold(self, act: Act) -> None:
        """Hold a direction back, or let it go."""
        self.wire.hold_down = act.extra in (1, 5)
        self.wire.hold_up = act.extra == 2

    def let_bytes_through(self, act: Act) -> None:
        self.wire.deliver(act.size)

    def let_frames_through(self, act: Act) -> None:
        self.wire.read(act.extra)

    # The end of a connection.

    def dial_anew(self, act: Act) -> None:
        old = self.wire
        if old.accepting:
            return
        if act.extra > 2 or not old.going_away:
            self.finish()
        else:
            old.end()
            self.check_ends()
        self.connect(old.protocol.next_stream_id)

    def finish(self) -> None:
        """Let all that is under way come to its end, in order."""
        wire = self.wire
        wire.hold_down = wire.hold_up = False
        wire.flow()
        while wire.server.owed:
            wire.send_answer()
            wire.flow()
        for served in list(wire.server.streams.values()):
            if not served.closed:
                self.finish_stream(wire, served)
        self.check_ends()
        assert wire.open_streams == 0

    def finish_stream(self, wire: Wire, served: Served) -> None:
        seen = wire.seen[served.stream_id]
        if served.answerable:
            if not served.head:
                wire.send_head(served, 200, None, 0, False)
            while served.left:
                wire.consume(seen)
                wire.flow()
                length = min(wire.server.room(served), 16384)
                assert length > 0, "the window has leaked"
                wire.send_body(served, length, 0, False)
                wire.flow()
            wire.send_body(served, 0, 0, True)
        wire.flow()
        if not seen.gone:
            wire.reset(seen, NO_ERROR)
            wire.flow()

    def check_ends(self) -> None:
        for seen in self.wire.seen.values():
            assert seen.gone
            assert seen.stream.ended == (seen.stream.error is None)

    # At all times.

    @invariant()
    def nothing_is_lost(self) -> None:
        wire = getattr(self, "wire", None)
        if wire is not None and wire.quiet and not wire.protocol.finished:
            wire.check_quiet()

    def teardown(self) -> None:
        wire = getattr(self, "wire", None)
        if wire is not None and not wire.protocol.finished and wire.sound:
            self.finish()


@pytest.mark.parametrize("machine", [H2Machine, ClientMachine])
def test_whatever_a_server_may_do_the_books_agree(machine, capsys):
    class Driven(Traffic):
        pass

    Driven.machine = machine
    Driven.steps = 0
    run_state_machine_as_test(
        Driven,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            # The same in each run, so that what fails is the change's fault.
            derandomize=not EXPLORE,
            suppress_health_check=list(HealthCheck),
        ),
    )
    if PROMISE:
        with capsys.disabled():
            print(f"\n{Driven.steps} steps of random traffic with {machine.__name__}")
        assert Driven.steps >= PROMISED_STEPS
