"""One HTTP/2 connection on the state machine of the h2 package.

The connection's thread reads and feeds h2; a worker per stream runs its route and
sends its reply. Both work on h2 under ``Wire.lock`` only, in short steps: check
that the stream still lives, call h2, hand its bytes to the wire. Since the check
and the call are one critical section, h2 has nothing to complain of, and what it
raises while sending is a bug here.

Flow control. Of what we receive, each stream may have STREAM_WINDOW bytes waiting
for its route, and gets credit when the route takes them. The connection's window
is the sum of all streams', so a route that does not read starves no other. What
we send waits for both windows of the client, in ``Http2._send``.

A request whose reply is complete before its body is goes on for a while: its
body is dropped as it comes, up to DISCARD_LIMIT, and only then reset with NO_ERROR
(RFC 9113 8.1). So small bodies that nobody wanted end quietly.

h2 itself treats a stream above MAX_CONCURRENT_STREAMS as an error of the whole
connection. A client may well send some before it has seen our settings, so h2 is
given a limit it never meets and the true one is kept here, with REFUSED_STREAM.
It also closes the connection when it sends GOAWAY; that one frame is therefore
written here.
"""

from __future__ import annotations

import contextlib
import logging
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Executor

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from hyper.http2bin.message import Cancelled, Fields, Reply, Request
from hyper.http2bin.wire import Wire

log = logging.getLogger("hyper.http2bin")

STREAM_WINDOW = 1024 * 1024
DISCARD_LIMIT = 1024 * 1024
HEADER_LIST_LIMIT = 64 * 1024
LARGEST_WINDOW = 2**31 - 1
BURST = 256 * 1024
"""The most bytes of DATA that are framed at once, under the lock."""

Handler = Callable[[Request], Reply]


class Stream:
    """One exchange; the Channel of its request. Guarded by the connection's lock."""

    def __init__(self, owner: Http2, stream_id: int) -> None:
        self.stream_id = stream_id
        self.trailers: Fields = []
        self.request: Request | None = None
        self.changed = threading.Condition(owner.wire.lock)
        self.pieces: list[bytes] = []
        self.credit = 0  # the flow-controlled bytes that the pieces stand for
        self.received_all = False
        self.sent_all = False
        self.cancelled = False
        self.unwanted: int | None = None  # bytes dropped, once nobody reads them
        self._owner = owner

    def read(self) -> bytes:
        """Wait for more of the request's body and return it; b"" at its end."""
        with self._owner.wire.lock:
            while not self.pieces and not self.received_all:
                self.check()
                self.changed.wait()
            self.check()
            data = b"".join(self.pieces)
            self._owner.give_credit(self)
        self._owner.wire.drain()  # or the credit might wait for the next writer
        return data

    def wait(self, seconds: float) -> None:
        """Wait for this long, or raise Cancelled as soon as the stream is over."""
        with self._owner.wire.lock:
            self.changed.wait_for(lambda: self.cancelled, seconds)
            self.check()

    def can_push(self) -> bool:
        """Return whether the client takes pushed responses to this request."""
        with self._owner.wire.lock:
            return self._owner.can_push(self)

    def check(self) -> None:
        """Raise Cancelled when nobody is interested any more; lock held."""
        if self.cancelled:
            raise Cancelled

    def cancel(self) -> None:
        """Have the route stop where it is; lock held."""
        self.cancelled = True
        self.changed.notify_all()


class Http2:
    """Runs one connection."""

    def __init__(
        self,
        wire: Wire,
        handler: Handler,
        origin: str,
        first: bytes,
        *,
        pool: Executor,
        max_concurrent_streams: int,
    ) -> None:
        self.wire = wire
        self._handler = handler
        self._origin = origin
        self._first = first
        self._pool = pool
        self._limit = max_concurrent_streams
        # All of these are guarded by wire.lock.
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False)
        )
        self._streams: dict[int, Stream] = {}
        self._fresh: list[Stream] = []  # to be handed to workers after this batch
        self._last_id = 0
        self._closing: int | None = None  # the last stream id that our GOAWAY named
        self._over = False
        self._workers = 0
        self._no_workers = threading.Condition(wire.lock)

    # -- the connection's thread ---------------------------------------------

    def run(self) -> None:
        """Serve streams until either side has had enough."""
        try:
            with self.wire.lock:
                self._greet()
            data = self._first or self.wire.receive()
            while data and not self._over:
                self._receive(data)
                data = b"" if self._over else self.wire.receive()
            if self._over:
                self.wire.linger()
        finally:
            self._leave()

    def _greet(self) -> None:
        values = {
            SettingCodes.MAX_CONCURRENT_STREAMS: self._limit,
            SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            SettingCodes.MAX_HEADER_LIST_SIZE: HEADER_LIST_LIMIT,
        }
        self._h2.local_settings = h2.settings.Settings(False, values)
        self._h2.initiate_connection()
        values[SettingCodes.MAX_CONCURRENT_STREAMS] = LARGEST_WINDOW
        self._h2.local_settings = h2.settings.Settings(False, values)
        window = min((self._limit + 1) * STREAM_WINDOW, LARGEST_WINDOW)
        self._h2.increment_flow_control_window(window - 65535)
        self._flush()

    def _receive(self, data: bytes) -> None:
        """Feed what was received to h2, and start what it asked for."""
        with self.wire.lock:
            try:
                events = self._h2.receive_data(data)
            except h2.exceptions.ProtocolError as error:
                log.info("%s broke HTTP/2: %s", self._origin, error)
                self._over = True
                events = []
            if any(type(event) is h2.events.ConnectionTerminated for event in events):
                # h2 sends nothing more, whatever the client would still read.
                self._over = True
                events = []
            if self._over:
                self._cancel_all()
            for event in events:
                if action := ACTIONS.get(type(event)):
                    action(self, event)
            self._flush()
            fresh, self._fresh = self._fresh, []
        for stream in fresh:
            self._pool.submit(self._work, stream)

    def _leave(self) -> None:
        """Stop every worker of this connection and wait until they have gone."""
        self.abort()
        with self.wire.lock:
            self._over = True
            self._cancel_all()
            self._no_workers.wait_for(lambda: not self._workers)

    # -- any thread ----------------------------------------------------------

    def finish(self) -> bool:
        """Send GOAWAY, end after the last stream; return whether there is none."""
        with self.wire.lock:
            if self._closing is None:
                self._closing = self._last_id
                frame = struct.pack(
                    ">BHBBIII", 0, 8, 7, 0, 0, self._last_id, ErrorCodes.NO_ERROR
                )
                self._flush()
                self.wire.write(frame)
            self._end_if_idle()
            return not self._streams

    def abort(self) -> None:
        """End now."""
        self.wire.abort()

    # -- events, in the connection's thread; lock held ------------------------

    def _on_request(self, event: h2.events.RequestReceived) -> None:
        stream_id = event.stream_id
        # Not h2.open_inbound_streams: it counts the whole batch of frames at once.
        running = sum(known % 2 for known in self._streams)
        if self._closing is not None or running >= self._limit:
            self._reset(stream_id, ErrorCodes.REFUSED_STREAM)
            return
        self._last_id = stream_id
        self._fresh.append(self._open(stream_id, decoded(event.headers)))

    def _on_data(self, event: h2.events.DataReceived) -> None:
        size = event.flow_controlled_length
        stream = self._streams.get(event.stream_id)
        if stream is None:
            self._h2.acknowledge_received_data(size, event.stream_id)
            return
        stream.credit += size
        if stream.unwanted is None:
            stream.pieces.append(event.data)
            stream.changed.notify_all()
        else:
            stream.unwanted += size
            self.give_credit(stream)
            self._reset_if_endless(stream)

    def _on_trailers(self, event: h2.events.TrailersReceived) -> None:
        if stream := self._streams.get(event.stream_id):
            stream.trailers = decoded(event.headers)

    def _on_end(self, event: h2.events.StreamEnded) -> None:
        if stream := self._streams.get(event.stream_id):
            stream.received_all = True
            stream.changed.notify_all()
            self._forget_if_done(stream)

    def _on_reset(self, event: h2.events.StreamReset) -> None:
        if stream := self._streams.get(event.stream_id):
            stream.cancel()
            self._forget_if_done(stream)

    def _on_window(self, event: h2.events.WindowUpdated) -> None:
        if event.stream_id:
            if stream := self._streams.get(event.stream_id):
                stream.changed.notify_all()
        else:
            self._wake_all()

    def _on_settings(self, event: h2.events.RemoteSettingsChanged) -> None:
        self._wake_all()  # INITIAL_WINDOW_SIZE moves the window of every stream

    # -- streams; lock held ---------------------------------------------------

    def _open(self, stream_id: int, fields: Fields) -> Stream:
        """Return the record of a new stream, which a worker shall be given."""
        stream = Stream(self, stream_id)
        pseudo = {name: value for name, value in fields if name.startswith(":")}
        regular = [field for field in fields if not field[0].startswith(":")]
        hosts = [value for name, value in regular if name == "host"]
        stream.request = Request(
            pseudo[":method"],
            pseudo.get(":scheme", self.wire.scheme),
            pseudo.get(":authority") or (hosts or [""])[0],
            pseudo.get(":path", "*"),
            regular,
            self._origin,
            stream,
        )
        self._streams[stream_id] = stream
        self._workers += 1
        return stream

    def _forget_if_done(self, stream: Stream) -> None:
        """Drop the record of a stream that has ended, and what it still held."""
        if stream.cancelled or (stream.received_all and stream.sent_all):
            self.give_credit(stream)
            self._streams.pop(stream.stream_id, None)
            self._end_if_idle()

    def _reset_if_endless(self, stream: Stream) -> None:
        """Stop a body that nobody reads and that is long (RFC 9113 8.1)."""
        if stream.unwanted is not None and stream.unwanted > DISCARD_LIMIT:
            self._reset(stream.stream_id, ErrorCodes.NO_ERROR)
            stream.cancel()
            self._forget_if_done(stream)

    def _end_if_idle(self) -> None:
        """After GOAWAY, end our side of the connection with its last stream."""
        if self._closing is not None and not self._streams:
            self.wire.end()

    def give_credit(self, stream: Stream) -> None:
        """Let the client send as much again as the stream's pieces hold."""
        size, stream.credit = stream.credit, 0
        stream.pieces.clear()
        if size and not self._over:
            self._h2.acknowledge_received_data(size, stream.stream_id)
            self._flush()

    def can_push(self, stream: Stream) -> bool:
        """Return whether pushes may be promised on this stream."""
        settings = self._h2.remote_settings
        allowed = settings.enable_push and settings.max_concurrent_streams > 0
        return bool(allowed) and stream.stream_id % 2 == 1 and not stream.cancelled

    def _reset(self, stream_id: int, code: ErrorCodes) -> None:
        try:
            self._h2.reset_stream(stream_id, code)
        except h2.exceptions.ProtocolError:
            pass  # a later frame of the same batch has ended the stream

    def _cancel_all(self) -> None:
        for stream in self._streams.values():
            stream.cancel()

    def _wake_all(self) -> None:
        for stream in self._streams.values():
            stream.changed.notify_all()

    def _flush(self) -> None:
        if data := self._h2.data_to_send():
            self.wire.write(data)

    # -- a stream's worker ----------------------------------------------------

    def _work(self, stream: Stream) -> None:
        """Run the route of a stream and send its reply."""
        assert stream.request is not None
        try:
            self._send_reply(stream, self._handler(stream.request))
        except Cancelled:
            pass  # nobody is left to be told
        except Exception:
            log.exception("the body of %s failed", stream.request.target)
            self._fail(stream)
        finally:
            self._retire(stream)

    def _fail(self, stream: Stream) -> None:
        with self.wire.lock:
            if not stream.cancelled:
                self._reset(stream.stream_id, ErrorCodes.INTERNAL_ERROR)
                self._flush()
                stream.cancel()
                self._forget_if_done(stream)

    def _retire(self, stream: Stream) -> None:
        """Leave a stream to the reading thread, which drops what still comes."""
        with self.wire.lock:
            stream.unwanted = stream.credit
            self.give_credit(stream)
            self._forget_if_done(stream)
        with contextlib.suppress(Cancelled):
            self.wire.drain()
        with self.wire.lock:
            self._workers -= 1
            if not self._workers:
                self._no_workers.notify_all()

    def _send_reply(self, stream: Stream, reply: Reply) -> None:
        for status, fields in reply.interim:
            self._send_head(stream, status, fields)
        for path in reply.pushes:
            self._promise(stream, path)
        if isinstance(reply.body, bytes):
            self._send_head(stream, reply.status, reply.headers, end=not reply.body)
            if reply.body:
                self._send(stream, reply.body, end=True)
            return
        self._send_head(stream, reply.status, reply.headers)
        for piece in reply.body:
            self._send(stream, piece)
        if reply.trailers:
            self._send_fields(stream, reply.trailers(), end=True)
        else:
            self._send(stream, b"", end=True)

    def _send_head(
        self, stream: Stream, status: int, fields: Fields, *, end: bool = False
    ) -> None:
        self._send_fields(stream, [(":status", str(status)), *fields], end=end)

    def _send_fields(self, stream: Stream, fields: Fields, *, end: bool) -> None:
        with self.wire.lock:
            stream.check()
            self._h2.send_headers(stream.stream_id, fields, end_stream=end)
            self._flush()
            self._note_sent(stream, end)

    def _promise(self, parent: Stream, path: str) -> None:
        """Promise a resource and have another worker send it."""
        assert parent.request is not None
        with self.wire.lock:
            if not self.can_push(parent):
                return
            stream_id = self._h2.get_next_available_stream_id()
            fields = [
                (":method", "GET"),
                (":scheme", parent.request.scheme),
                (":authority", parent.request.authority),
                (":path", path),
            ]
            self._h2.push_stream(parent.stream_id, stream_id, fields)
            self._flush()
            stream = self._open(stream_id, fields)
            stream.received_all = True
        self._pool.submit(self._work, stream)

    def _send(self, stream: Stream, data: bytes, *, end: bool = False) -> None:
        """Send DATA as the client's windows allow, and wait for the kernel."""
        rest = memoryview(data)
        while True:
            with self.wire.lock:
                rest = rest[self._send_frames(stream, rest, end) :]
                self._flush()
                self._note_sent(stream, end and not rest)
            self.wire.drain()
            if not rest:
                return

    def _send_frames(self, stream: Stream, data: memoryview, end: bool) -> int:
        """Frame what the windows allow of the data; return how much; lock held."""
        stream.check()
        if not data:
            self._h2.send_data(stream.stream_id, b"", end_stream=end)
            return 0
        while (room := self._h2.local_flow_control_window(stream.stream_id)) <= 0:
            stream.changed.wait()
            stream.check()
        size = min(room, len(data), BURST)
        step = self._h2.max_outbound_frame_size
        for start in range(0, size, step):
            stop = min(start + step, size)
            last = end and stop == len(data)
            self._h2.send_data(stream.stream_id, data[start:stop], end_stream=last)
        return size

    def _note_sent(self, stream: Stream, end: bool) -> None:
        """Record that END_STREAM has gone out; lock held."""
        if end:
            stream.sent_all = True
            self._forget_if_done(stream)


def decoded(fields: object) -> Fields:
    """Return the fields of an event as text."""
    assert isinstance(fields, list)
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]


ACTIONS: dict[type[h2.events.Event], Callable[..., None]] = {
    h2.events.RequestReceived: Http2._on_request,
    h2.events.DataReceived: Http2._on_data,
    h2.events.TrailersReceived: Http2._on_trailers,
    h2.events.StreamEnded: Http2._on_end,
    h2.events.StreamReset: Http2._on_reset,
    h2.events.WindowUpdated: Http2._on_window,
    h2.events.RemoteSettingsChanged: Http2._on_settings,
}
