"""The client's HTTP/2 state machine: bytes to events, and verbs to bytes.

It has the interface of :class:`h2.connection.H2Connection`, with h2's events, settings,
error codes and exceptions, and the verdicts of its reference,
:class:`~hyper.http20.reference.H2Machine`, in whose place it may be put. What it does
not have is h2's price: 450 microseconds of CPU for a small response, because h2 makes
an object of every frame, asks two state machines about each, and looks at every byte of
every header. Here:

* All frames of a read are parsed in one loop over the bytes as they came. A payload is
  copied once, out of the read. Only a frame that two reads share is put together first.
* What may come is a table of readers by the type of the frame. One is in force: for the
  first frame, the usual, within a header block, after our GOAWAY, or after a fault.
* A stream that is closed is forgotten. All that has to be remembered is whether late
  frames on it get an answer: only those that the peer has ended itself, once each.
* A header section is validated once, however often it comes.

Malformed responses are errors of their stream (RFC 9113 section 8.1.1); a GOAWAY leaves
streams alone; work without progress has a budget. Sections are those of RFC 9113.

Where it differs from the reference: padding of HEADERS and PUSH_PROMISE may fill what
is left of the frame, and no more (section 6.2); of two faults in one frame, the other
may be named; a verb that is refused does not end the connection; one event may tell of
several frames of DATA.
"""

from __future__ import annotations

import struct
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import cast

from h2.errors import ErrorCodes
from h2.events import (
    AlternativeServiceAvailable,
    DataReceived,
    Event,
    InformationalResponseReceived,
    PingAckReceived,
    PingReceived,
    PushedStreamReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    UnknownFrameReceived,
    WindowUpdated,
)
from h2.exceptions import (
    DenialOfServiceError,
    FlowControlError,
    FrameDataMissingError,
    FrameTooLargeError,
    NoAvailableStreamIDError,
    NoSuchStreamError,
    ProtocolError,
    StreamClosedError,
    StreamIDTooLowError,
    TooManyStreamsError,
)
from h2.settings import SettingCodes, Settings
from hpack import HeaderTuple
from hpack.exceptions import HPACKError, OversizedHeaderListError
from hyperframe.frame import ExtensionFrame

from ..common.memo import keep
from ..common.stats import FrameCounts
from ..common.stream import Fields, Run
from ..common.validation import response_head_fault, trailer_fault
from .dialect import (
    CONTROL_FRAME_BUDGET,
    CompressionError,
    DataRunReceived,
    MalformedResponse,
    OriginReceived,
    client_settings,
    error_code,
    goaway,
    known_settings,
    lean,
    origins,
    protocol_error,
    settings_body,
)
from .hpack import Decoder, Encoder, HeaderDecoder, HeaderEncoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#: Section 6.9.1: the largest window.
LARGEST_WINDOW = 2**31 - 1
HIGHEST_STREAM_ID = 2**31 - 1
#: The frames that one header block may take.
MAX_BLOCK_FRAMES = 64
#: How many streams that the peer has ended are remembered, at least.
ENDED_KEPT = 16
#: How many header sections that were found in order are remembered, by all connections
#: together, and how large a block may be for that.
SOUND_KEPT = 64
LARGEST_BLOCK_KEPT = 1024

# The types of frames (section 6, RFC 7838, RFC 8336, RFC 9218) and their flags.
_DATA, _HEADERS, _PRIORITY, _RST_STREAM, _SETTINGS, _PUSH_PROMISE = range(6)
_PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION, _ALTSVC = range(6, 11)
_ORIGIN, _PRIORITY_UPDATE = 0x0C, 0x10
_END_STREAM = _ACK = 0x01
_END_HEADERS, _PADDED, _HAS_PRIORITY = 0x04, 0x08, 0x20

#: Length and type, flags, stream (section 4.1).
_HEAD = struct.Struct(">LBL")
_HEAD_SIZE = 9
_LONG = struct.Struct(">L")
#: What a request for a tunnel has in its header section (section 8.5).
_CONNECT = (b":method", b"CONNECT")
#: Types that count against the budget always; the others say when they do.
_COSTLY = [
    kind not in (_DATA, _HEADERS, _RST_STREAM, _CONTINUATION) for kind in range(256)
]


class State(IntEnum):
    """The states of a stream, as far as one exists for a client (section 5.1)."""

    RESERVED_REMOTE = 0
    OPEN = 1
    HALF_CLOSED_REMOTE = 2
    HALF_CLOSED_LOCAL = 3
    CLOSED = 4


_RESERVED, _OPEN, _HALF_CLOSED_REMOTE, _HALF_CLOSED_LOCAL, _CLOSED = State
#: What END_STREAM makes of a state, from the peer and from us.
_AFTER_ITS_END = {_OPEN: _HALF_CLOSED_REMOTE, _HALF_CLOSED_LOCAL: _CLOSED}
_AFTER_OUR_END = {_OPEN: _HALF_CLOSED_LOCAL, _HALF_CLOSED_REMOTE: _CLOSED}


class Credit:
    """What the peer may send in one window, and what of it was given back."""

    __slots__ = ("largest", "processed", "size")

    def __init__(self, size: int) -> None:
        self.size = self.largest = size
        self.processed = 0

    def open(self, increment: int) -> None:
        """Let the peer send more.

        :raises FlowControlError: if the window would be larger than any may be.
        """
        self.size += increment
        if self.size > LARGEST_WINDOW:
            raise FlowControlError(f"a window of {self.size} bytes")
        self.largest = max(self.largest, self.size)

    def process(self, amount: int) -> int:
        """Note that so much was consumed; return what to open the window by now.

        Not each time: when half of the window was consumed, or all was received.
        """
        self.processed += amount
        least = min(1024, self.largest // 4) + 1 if self.size == 0 else LARGEST_WINDOW
        if self.processed < min(least, self.largest // 2):
            return 0
        increment = min(self.processed, self.largest - self.size)
        self.processed = 0
        self.size += increment
        return increment


class StreamRecord:
    """What the machine knows of a stream that is not closed."""

    __slots__ = (
        "credit",
        "request",
        "responded",
        "state",
        "stream_id",
        "tunnel",
        "window",
    )

    def __init__(
        self,
        stream_id: int,
        state: State,
        window: int,
        credit: int,
        request: Sequence[tuple[bytes, bytes]],
    ) -> None:
        self.stream_id = stream_id
        self.state = state
        #: What we may send; below 0 when the peer's settings have shrunk it.
        self.window = window
        self.credit = Credit(credit)
        #: Whether the final response's head has come.
        self.responded = False
        #: Whether the request is a CONNECT, and the server has agreed.
        self.tunnel = False
        #: The header section of the request, which the meaning of later frames
        #: depends on.
        self.request = request


class _Block:
    """A header block of which not all frames have come."""

    __slots__ = ("end_stream", "parts", "promised", "stream_id")

    def __init__(
        self, stream_id: int, part: bytes, end_stream: int, promised: int
    ) -> None:
        self.stream_id = stream_id
        self.parts = [part]
        self.end_stream = end_stream
        #: The stream that PUSH_PROMISE announces; 0 in HEADERS.
        self.promised = promised


#: Heads of responses that were found in order, and whether they are interim.
_SOUND: dict[tuple[tuple[bytes, bytes], ...], bool] = {}


class ClientMachine:
    """The state of one HTTP/2 connection of a client. Not thread-safe.

    Verbs are those of :class:`h2.connection.H2Connection` that a client needs, and
    raise the :class:`h2.exceptions.ProtocolError` that h2 does if the connection, or
    their stream, is not in the state for them. Header sections to be sent are taken as
    they are: the caller has validated them. :attr:`encoder` and :attr:`decoder` may be
    replaced, before the first verb, by any with the interface of the hpack package.

    :param settings: what the first SETTINGS frame says beside, or instead of, hyper's
        defaults, by code.
    """

    def __init__(self, settings: Mapping[int, int] | None = None) -> None:
        self.local_settings = lean(client_settings(settings or {}))
        self.remote_settings = lean(Settings(client=False))
        self.encoder: HeaderEncoder = Encoder()
        self.decoder: HeaderDecoder = Decoder()
        # Smaller limits are not enforced at once: the peer may not know them yet.
        self.decoder.max_allowed_table_size = max(
            4096, self.local_settings.header_table_size
        )
        self.decoder.max_header_list_size = (
            self.local_settings.max_header_list_size or 0
        )
        self.max_inbound_frame_size = self.local_settings.max_frame_size
        self.max_outbound_frame_size = self.remote_settings.max_frame_size
        self.outbound_flow_control_window = self.remote_settings.initial_window_size
        self.highest_inbound_stream_id = 0
        self.highest_outbound_stream_id = 0
        #: The streams that are not closed.
        self.streams: dict[int, StreamRecord] = {}
        #: How many of them are requests.
        self.open_outbound_streams = 0
        self._credit = Credit(65535)  # section 6.9.2; no setting changes it
        # Settings that every request needs, taken out of their mapping.
        self._most_streams = self.remote_settings.max_concurrent_streams
        self._first_window = self.remote_settings.initial_window_size
        self._first_credit = self.local_settings.initial_window_size
        self._output: list[bytes | memoryview] = []
        self._sent_frames = FrameCounts()
        self._received_frames = FrameCounts()
        self._events: list[Event] = []  # of the read that is under way
        self._rest = bytearray()  # the beginning of a frame
        self._missing = 0  # the bytes of it that are still to come, at least
        self._readers = _FIRST
        self._block: _Block | None = None
        self._budget = CONTROL_FRAME_BUDGET
        self._ended = False  # a GOAWAY was sent
        # Streams that the peer has ended, or reset, and had no answer since: those of
        # late, and those before them.
        self._late: set[int] = set()
        self._later: set[int] = set()
        self._sound = _SOUND

    @property
    def frames(self) -> tuple[FrameCounts, FrameCounts]:
        """The frames that were sent and received, by type."""
        return self._sent_frames, self._received_frames

    # Verbs.

    def initiate_connection(self) -> None:
        """Queue what a client's connection begins with (section 3.4)."""
        self._begin(settings_body(self.local_settings))

    def initiate_upgrade_connection(self) -> bytes:
        """Begin a connection whose stream 1 is a request that was sent in HTTP/1.1.

        Returns the value of its field HTTP2-Settings (RFC 7540 section 3.2.1). The size
        of the table is only told if it is not what it is anyway: Go's servers begin to
        write the response, and then resize it in the middle of the header section.
        """
        settings = dict(self.local_settings)
        if settings[SettingCodes.HEADER_TABLE_SIZE] == 4096:  # section 6.5.2
            del settings[SettingCodes.HEADER_TABLE_SIZE]
        body = settings_body(settings)
        self._begin(body)
        self._open_request(1, ()).state = _HALF_CLOSED_LOCAL
        return urlsafe_b64encode(body)

    def _begin(self, settings: bytes) -> None:
        self._output.append(PREFACE)
        self._send(_SETTINGS, 0, 0, settings)

    def get_next_available_stream_id(self) -> int:
        """Return the id for the next request."""
        highest = self.highest_outbound_stream_id
        stream_id = highest + 2 if highest else 1
        if stream_id > HIGHEST_STREAM_ID:
            raise NoAvailableStreamIDError("no stream ids are left")
        return stream_id

    def send_headers(
        self, stream_id: int, headers: Fields, end_stream: bool = False
    ) -> None:
        """Queue a request's header section, or its trailers, which end the stream."""
        self._check_open()
        self._budget = CONTROL_FRAME_BUDGET
        stream = self.streams.get(stream_id)
        if stream is None:
            if self.open_outbound_streams >= self._most_streams:
                raise TooManyStreamsError(f"there are {self._most_streams} streams")
            stream = self._open_request(stream_id, headers)
        elif not end_stream:
            raise ProtocolError("trailers that do not end the stream")
        else:
            self._check_sendable(stream)
        block = self.encoder.encode(headers)
        flags = _END_STREAM if end_stream else 0
        size = self.max_outbound_frame_size
        if len(block) <= size:
            self._send(_HEADERS, flags | _END_HEADERS, stream_id, block)
        else:
            self._send(_HEADERS, flags, stream_id, block[:size])
            for start in range(size, len(block), size):
                last = start + size >= len(block)
                part = block[start : start + size]
                self._send(_CONTINUATION, _END_HEADERS if last else 0, stream_id, part)
        if end_stream:
            self._end_ours(stream)

    def send_data(
        self, stream_id: int, data: bytes | memoryview, end_stream: bool = False
    ) -> None:
        """Queue a frame of a request's body, or its end.

        :param data: not copied: a view must stay as it is until :meth:`data_to_send`.
        :raises FlowControlError: if a window does not allow that much.
        :raises FrameTooLargeError: if a frame may not have that much.
        """
        self._check_open()
        stream = self._stream(stream_id)
        self._check_sendable(stream)
        size = len(data)
        window = min(stream.window, self.outbound_flow_control_window)
        if size > window and size:
            raise FlowControlError(f"{size} bytes, and the window is {window}")
        if size > self.max_outbound_frame_size:
            raise FrameTooLargeError(f"a frame of {size} bytes")
        # A peer may open our window a byte at a time, each in a frame of its own.
        self._budget = CONTROL_FRAME_BUDGET
        head = _HEAD.pack(
            size << 8 | _DATA, _END_STREAM if end_stream else 0, stream_id
        )
        self._output += (head, data)
        self._sent_frames[_DATA] += 1
        stream.window -= size
        self.outbound_flow_control_window -= size
        if end_stream:
            self._end_ours(stream)

    def end_stream(self, stream_id: int) -> None:
        """Queue the end of a request."""
        self.send_data(stream_id, b"", end_stream=True)

    def reset_stream(self, stream_id: int, error_code: int = 0) -> None:
        """Queue an RST_STREAM frame, and close the stream."""
        self._check_open()
        self._reset(self._stream(stream_id), error_code)

    def increment_flow_control_window(
        self, increment: int, stream_id: int | None = None
    ) -> None:
        """Let the peer send more.

        :param stream_id: None for the window of the connection.
        :raises ValueError: if the increment is none.
        :raises FlowControlError: if the window would be larger than any may be.
        """
        if not 1 <= increment <= LARGEST_WINDOW:
            raise ValueError(f"no increment: {increment}")
        self._check_open()
        if stream_id is None:
            self._credit.open(increment)
        else:
            self._stream(stream_id).credit.open(increment)
        self._send(_WINDOW_UPDATE, 0, stream_id or 0, _LONG.pack(increment))

    def acknowledge_received_data(self, acknowledged_size: int, stream_id: int) -> None:
        """Note that DATA was consumed, padding included; the windows open at times.

        :raises ValueError: if there cannot be such an amount, or stream.
        """
        if acknowledged_size < 0 or stream_id <= 0:
            raise ValueError(f"{acknowledged_size} bytes of stream {stream_id}")
        self._check_open()
        increment = self._credit.process(acknowledged_size)
        if increment:
            self._send(_WINDOW_UPDATE, 0, 0, _LONG.pack(increment))
        stream = self.streams.get(stream_id)
        if stream is None:
            self._check_opened(stream_id)
        else:
            increment = stream.credit.process(acknowledged_size)
            if increment:
                self._send(_WINDOW_UPDATE, 0, stream_id, _LONG.pack(increment))

    def local_flow_control_window(self, stream_id: int) -> int:
        """Return how many bytes of DATA may be sent; below 0 means none."""
        return min(self._stream(stream_id).window, self.outbound_flow_control_window)

    def remote_flow_control_window(self, stream_id: int) -> int:
        """Return how many bytes of DATA the peer may send."""
        return min(self._stream(stream_id).credit.size, self._credit.size)

    def ping(self, opaque_data: str | bytes) -> None:
        """Queue a PING.

        :raises ValueError: if ``opaque_data`` is not eight bytes.
        """
        if not isinstance(opaque_data, bytes) or len(opaque_data) != 8:
            raise ValueError(f"a PING carries eight bytes, not {opaque_data!r}")
        self._check_open()
        self._budget += 1  # for the answer
        self._send(_PING, 0, 0, opaque_data)

    def update_settings(self, new_settings: Mapping[int, int]) -> None:
        """Queue a SETTINGS frame; they are in force once the peer acknowledges."""
        self._check_open()
        for code, value in new_settings.items():
            self.local_settings[code] = value
        self._send(_SETTINGS, 0, 0, settings_body(new_settings))

    def prioritize_update(self, stream_id: int, value: bytes) -> None:
        """Queue a PRIORITY_UPDATE frame (RFC 9218 section 7.1).

        :param stream_id: the request's; it need not have been sent yet.
        :param value: what its field ``priority`` would say, in ASCII, at most
            1000 bytes.
        :raises ValueError: if there is no such id, or the value is something else.
        """
        if not 0 < stream_id < 2**31 or not value.isascii() or len(value) > 1000:
            raise ValueError(f"no priority for stream {stream_id}: {value[:60]!r}")
        self._check_open()
        self._send(_PRIORITY_UPDATE, 0, 0, _LONG.pack(stream_id) + value)

    def close_connection(
        self,
        error_code: int = 0,
        additional_data: bytes | None = None,
        last_stream_id: int | None = None,
    ) -> None:
        """Queue a GOAWAY. Nothing else may be sent after it, nor anything received."""
        if last_stream_id is None:
            last_stream_id = self.highest_inbound_stream_id
        body = _LONG.pack(last_stream_id) + _LONG.pack(error_code)
        self._send(_GOAWAY, 0, 0, body + (additional_data or b""))
        self._ended = True
        self._readers = _LAST

    def data_to_send(self, amount: int | None = None) -> bytes:
        """Return what was queued and take it out; at most ``amount`` bytes."""
        output = self._output
        if not output:
            return b""
        data = b"".join(output)
        output.clear()
        if amount is not None and len(data) > amount:
            output.append(data[amount:])
            data = data[:amount]
        return data

    # Input.

    def receive_data(self, data: bytes) -> list[Event]:
        """Take bytes from the peer and return what they mean.

        :raises ProtocolError: if the peer broke the rules for the whole connection.
            What came before the fault is in the exception's ``events``, and
            ``data_to_send`` has the GOAWAY.
        """
        try:
            if self._readers is _FIRST:
                self._check_greeting(bytes(self._rest) + data[:_HEAD_SIZE])
            start = self._finish_frame(data) if self._rest else 0
            if start < len(data):
                self._read_frames(data, start)
        except ProtocolError as fault:
            self.close_connection(fault.error_code)
            self._readers = _DEAD  # nobody knows any more where a frame begins
            fault.events = self._events  # type: ignore[attr-defined]
            raise
        events, self._events = self._events, []
        return events

    def _check_greeting(self, start: bytes) -> None:
        """Refuse a peer that does not speak HTTP/2, as soon as that can be told."""
        if start[:5] == b"HTTP/":
            raise protocol_error("the server speaks HTTP/1 here, not HTTP/2")
        if start[:2] in (b"\x15\x03", b"\x16\x03"):
            raise protocol_error("the server speaks TLS here, not cleartext HTTP/2")
        # Section 3.4.
        if len(start) >= _HEAD_SIZE and (start[3] != _SETTINGS or start[4] & _ACK):
            raise protocol_error("the server did not begin with a SETTINGS frame")

    def _finish_frame(self, data: bytes) -> int:
        """Add what was missing of a frame; return how much of ``data`` that took."""
        rest = self._rest
        at = 0
        while rest and at < len(data):
            if len(data) - at < self._missing:
                rest += data[at:]
                self._missing -= len(data) - at
                return len(data)
            rest += data[at : at + self._missing]
            at += self._missing
            frame = bytes(rest)
            rest.clear()
            # If it was only the head that was missing, this tells what else is.
            self._read_frames(frame, 0)
        return at

    def _read_frames(self, data: bytes, start: int) -> None:
        """Read all whole frames, and keep what is left."""
        unpack = _HEAD.unpack_from
        size = len(data)
        self._missing = _HEAD_SIZE
        while start + _HEAD_SIZE <= size:
            word, flags, stream_id = unpack(data, start)
            at = start + _HEAD_SIZE
            end = at + (word >> 8)
            if end - at > self.max_inbound_frame_size:
                raise FrameTooLargeError(f"the server sent a frame of {end - at} bytes")
            if end > size:
                self._missing = end - start
                break
            if not word & 0xFF and not flags and data.startswith(data[start:at], end):
                run = self._read_run(data, start, end, stream_id)
                if run > start:
                    start = run
                    continue
            start = end
            kind = word & 0xFF
            self._received_frames[kind] += 1
            if _COSTLY[kind]:
                self._spend()
            reader = self._readers[kind]
            reader(self, kind, flags, stream_id & 0x7FFFFFFF, data[at:end])
        if start < size:
            self._rest += data[start:]
            self._missing -= size - start

    def _read_run(self, data: bytes, start: int, end: int, stream_id: int) -> int:
        """Read frames of DATA that have the same head; return where they end.

        A download is hardly anything else: servers cut a body into equal pieces. One
        event tells of them all. Returns ``start`` if they have to be read one by one:
        they are out of order, or more than a window allows.
        """
        stream = self.streams.get(stream_id)
        size = end - start
        length = size - _HEAD_SIZE
        if not length or stream is None or stream.state not in _AFTER_ITS_END:
            return start
        if not stream.responded or self._readers is not _USUAL:
            return start
        allowed = min(stream.credit.size, self._credit.size) // length
        last = min(len(data), start + allowed * size) - size
        head = data[start : start + _HEAD_SIZE]
        end = start
        while end <= last and data.startswith(head, end):
            end += size
        if end == start:
            return start
        number = (end - start) // size
        self._received_frames[_DATA] += number
        self._credit.size -= length * number
        stream.credit.size -= length * number
        self._budget = CONTROL_FRAME_BUDGET
        if (end - start) * 2 >= len(data):
            run = Run(data, start + _HEAD_SIZE, end, length, size)
        else:  # Those who do not read shall not keep what is not theirs.
            run = Run(data[start:end], _HEAD_SIZE, end - start, length, size)
        self._events.append(DataRunReceived(stream_id, run))
        return end

    def _spend(self) -> None:
        """Count a frame that brings nothing against the budget for them."""
        self._budget -= 1
        if self._budget < 0:
            raise DenialOfServiceError(
                f"the server sent {CONTROL_FRAME_BUDGET} control frames in a row"
            )

    # Readers, each for the types of frames that it is filed under below.

    def _read_data(self, kind: int, flags: int, stream_id: int, body: bytes) -> None:
        length = len(body)  # padding counts (section 6.9.1)
        stream = self.streams.get(stream_id)
        if stream is None:
            self._check_opened(stream_id)
        if flags & _PADDED:
            body = _without_padding(body, 0)
        if not body:
            self._spend()
        elif stream is not None:
            self._budget = CONTROL_FRAME_BUDGET
        if stream is not None and (
            not stream.responded or stream.state is _HALF_CLOSED_REMOTE
        ):
            self._refuse_data(stream)
            stream = None
        self._credit.size -= length
        if self._credit.size < 0:
            raise FlowControlError("the server sent more than the window allows")
        if stream is None:
            # It is told for the sake of the window that it has used.
            self._answer(stream_id)
            self._events.append(
                DataReceived(
                    stream_id=stream_id, data=b"", flow_controlled_length=length
                )
            )
            return
        stream.credit.size -= length
        if stream.credit.size < 0:
            raise FlowControlError(
                f"the server sent more than stream {stream_id}'s window allows"
            )
        event = DataReceived(
            stream_id=stream_id, data=body, flow_controlled_length=length
        )
        self._events.append(event)
        if flags & _END_STREAM:
            event.stream_ended = self._end_its(stream)

    def _refuse_data(self, stream: StreamRecord) -> None:
        if stream.state is _RESERVED:  # section 5.1
            raise protocol_error(f"DATA on the promised stream {stream.stream_id}")
        if stream.state is _HALF_CLOSED_REMOTE:
            code = ErrorCodes.STREAM_CLOSED
            self._refuse(stream, "DATA after the end", code)
        else:
            self._refuse(stream, "DATA before HEADERS")

    def _read_headers(self, kind: int, flags: int, stream_id: int, body: bytes) -> None:
        if stream_id in self.streams:
            self._budget = CONTROL_FRAME_BUDGET
        else:
            self._check_opened(stream_id)
        priority = 5 if flags & _HAS_PRIORITY else 0  # without meaning (section 5.3.2)
        if flags & _PADDED:
            body = _without_padding(body, priority)
        elif len(body) < priority:
            raise FrameDataMissingError("HEADERS that are cut short")
        block = body[priority:]
        if flags & _END_HEADERS:
            self._take_headers(stream_id, block, flags & _END_STREAM)
        else:
            self._block = _Block(stream_id, block, flags & _END_STREAM, 0)
            self._readers = _IN_BLOCK

    def _read_continuation(
        self, kind: int, flags: int, stream_id: int, body: bytes
    ) -> None:
        block = self._block
        if block is None or block.stream_id != stream_id:
            raise protocol_error("a CONTINUATION of another stream's header block")
        block.parts.append(body)
        if len(block.parts) > MAX_BLOCK_FRAMES:
            raise protocol_error(f"a header block of {MAX_BLOCK_FRAMES} continuations")
        if not flags & _END_HEADERS:
            return
        self._block = None
        self._readers = _USUAL
        whole = b"".join(block.parts)
        if block.promised:
            self._take_promise(stream_id, block.promised, whole)
        else:
            self._take_headers(stream_id, whole, block.end_stream)

    def _take_headers(self, stream_id: int, block: bytes, end_stream: int) -> None:
        """Take a header section: of an interim or a final response, or trailers."""
        # Decoded in any case, to keep the HPACK state in step with the peer's.
        fields = self._decode(block)
        stream = self.streams.get(stream_id)
        if stream is None:
            self._answer(stream_id)
        elif stream.state is _HALF_CLOSED_REMOTE:
            code = ErrorCodes.STREAM_CLOSED
            self._refuse(stream, "HEADERS after the end", code)
        elif stream.responded:
            self._take_trailers(stream, fields, end_stream)
        else:
            self._take_response(stream, fields, len(block), end_stream)

    def _take_response(
        self,
        stream: StreamRecord,
        fields: list[HeaderTuple],
        size: int,
        end_stream: int,
    ) -> None:
        key = tuple(fields)
        interim = self._sound.get(key)
        if interim is None:
            fault = response_head_fault(cast(Fields, fields))
            if fault is not None:
                self._refuse(stream, fault)
                return
            interim = fields[0][1].startswith(b"1")
            if size <= LARGEST_BLOCK_KEPT:
                keep(self._sound, key, interim, SOUND_KEPT)
        stream_id = stream.stream_id
        if interim and end_stream:
            fault = "an interim response that ends the stream"
            self._refuse(stream, fault)
            return
        if stream.state is _RESERVED:  # section 5.1; also by an interim response
            stream.state = _HALF_CLOSED_LOCAL
        if interim:
            self._events.append(
                InformationalResponseReceived(stream_id=stream_id, headers=[*fields])
            )
            return
        stream.responded = True
        if _CONNECT in stream.request:
            stream.tunnel = fields[0][1].startswith(b"2")
        event = ResponseReceived(stream_id=stream_id, headers=[*fields])
        self._events.append(event)
        if end_stream:
            event.stream_ended = self._end_its(stream)

    def _take_trailers(
        self,
        stream: StreamRecord,
        fields: list[HeaderTuple],
        end_stream: int,
    ) -> None:
        fault: str | None
        if stream.tunnel:
            fault = "HEADERS in a tunnel"  # section 8.5
        elif not end_stream:
            fault = "trailers that do not end the stream"
        else:
            fault = trailer_fault(cast(Fields, fields))
        if fault is not None:
            self._refuse(stream, fault)
            return
        event = TrailersReceived(stream_id=stream.stream_id, headers=[*fields])
        self._events.append(event)
        event.stream_ended = self._end_its(stream)

    def _decode(self, block: bytes) -> list[HeaderTuple]:
        try:
            return self.decoder.decode(block, raw=True)
        except OversizedHeaderListError as error:
            raise DenialOfServiceError(f"the server's headers: {error}") from error
        except HPACKError as error:
            raise CompressionError(f"undecodable header block: {error}") from error

    def _read_priority(
        self, kind: int, flags: int, stream_id: int, body: bytes
    ) -> None:
        """Ignore it: section 5.3.2 took the meaning of all that it says."""
        _check_has_stream(stream_id)
        _check_size("PRIORITY", len(body), 5)

    def _read_rst_stream(
        self, kind: int, flags: int, stream_id: int, body: bytes
    ) -> None:
        stream = self.streams.get(stream_id)
        if stream is None:
            self._spend()
            self._check_opened(stream_id)
        # One that ends what we have begun costs nothing: there are no more of these.
        _check_size("RST_STREAM", len(body), 4)
        if stream is not None:
            (code,) = _LONG.unpack_from(body)
            self._close(stream, answer=True)
            self._events.append(
                StreamReset(stream_id=stream_id, error_code=error_code(code))
            )

    def _read_settings(
        self, kind: int, flags: int, stream_id: int, body: bytes
    ) -> None:
        self._readers = _USUAL  # the first frame was one
        if flags & _ACK and body:  # section 6.5
            raise FrameDataMissingError("an acknowledgement with settings")
        _check_no_stream(stream_id)
        if flags & _ACK:
            self._take_acknowledgement()
            return
        if len(body) % 6:
            raise FrameDataMissingError("settings that are cut short")
        changed: dict[int, int] = {}
        for code, value in known_settings(body, self.remote_settings):
            changed[code] = value
            if code == SettingCodes.HEADER_TABLE_SIZE:
                self.encoder.header_table_size = value
        remote = self.remote_settings
        for code, value in changed.items():
            remote.validate_received_setting(code, value)
        remote.update(changed)
        event = RemoteSettingsChanged.from_settings(remote, changed)
        lean(remote).acknowledge()
        self._obey_settings()
        self._events.append(event)
        self._send(_SETTINGS, _ACK, 0, b"")

    def _obey_settings(self) -> None:
        remote = self.remote_settings
        self._most_streams = remote.max_concurrent_streams
        self.max_outbound_frame_size = remote.max_frame_size
        growth = remote.initial_window_size - self._first_window
        self._first_window += growth
        for stream in self.streams.values() if growth else ():
            stream.window += growth  # section 6.9.2
            if stream.window > LARGEST_WINDOW:
                raise FlowControlError("settings that make a window too large")

    def _take_acknowledgement(self) -> None:
        event = SettingsAcknowledged()
        event.changed_settings = self.local_settings.acknowledge()
        self._events.append(event)
        local = self.local_settings
        growth = local.initial_window_size - self._first_credit
        self._first_credit += growth
        for stream in self.streams.values() if growth else ():
            largest = stream.credit.largest + growth
            stream.credit.open(growth)
            stream.credit.largest = largest
        for code in event.changed_settings:
            if code == SettingCodes.MAX_HEADER_LIST_SIZE:
                self.decoder.max_header_list_size = local[code]
            elif code == SettingCodes.MAX_FRAME_SIZE:
                self.max_inbound_frame_size = local[code]
            elif code == SettingCodes.HEADER_TABLE_SIZE:
                self.decoder.max_allowed_table_size = local[code]

    def _read_push_promise(
        self, kind: int, flags: int, stream_id: int, body: bytes
    ) -> None:
        if stream_id not in self.streams:
            self._check_opened(stream_id)
        if flags & _PADDED:
            body = _without_padding(body, 4)
        elif len(body) < 4:
            raise FrameDataMissingError("a PUSH_PROMISE that is cut short")
        promised = _LONG.unpack_from(body)[0] & 0x7FFFFFFF
        if promised % 2 or promised == 0:
            raise protocol_error(f"the server promised stream {promised}")
        block = body[4:]
        if flags & _END_HEADERS:
            self._take_promise(stream_id, promised, block)
        else:
            self._block = _Block(stream_id, block, 0, promised)
            self._readers = _IN_BLOCK

    def _take_promise(self, stream_id: int, promised: int, block: bytes) -> None:
        if promised <= self.highest_inbound_stream_id:  # section 6.6
            raise protocol_error(f"the server promised stream {promised} too late")
        if not self.local_settings.enable_push:
            raise protocol_error("a promise, and pushes are not allowed")
        if stream_id % 2 == 0:
            raise protocol_error("a promise on a promised stream")
        stream = self.streams.get(stream_id)
        if stream is None and self._is_late(stream_id):
            raise protocol_error("a promise on a stream that is closed")
        if stream is not None and stream.state is _HALF_CLOSED_REMOTE:
            raise protocol_error("a promise on a stream that the server has ended")
        fields = self._decode(block)
        self.highest_inbound_stream_id = promised
        if stream is None:
            # It was under way when we reset its stream.
            self._send(_RST_STREAM, 0, promised, _LONG.pack(ErrorCodes.REFUSED_STREAM))
            return
        self._new_stream(promised, _RESERVED, fields)
        event = PushedStreamReceived()
        event.parent_stream_id = stream_id
        event.pushed_stream_id = promised
        event.headers = [*fields]
        self._events.append(event)

    def _read_ping(self, kind: int, flags: int, stream_id: int, body: bytes) -> None:
        _check_no_stream(stream_id)
        _check_size("PING", len(body), 8)
        if flags & _ACK:
            self._events.append(PingAckReceived(ping_data=body))
        else:
            self._send(_PING, _ACK, 0, body)
            self._events.append(PingReceived(ping_data=body))

    def _read_goaway(self, kind: int, flags: int, stream_id: int, body: bytes) -> None:
        _check_no_stream(stream_id)
        if len(body) < 8:
            raise FrameDataMissingError("a GOAWAY that is cut short")
        self._events.append(goaway(body))

    def _read_window_update(
        self, kind: int, flags: int, stream_id: int, body: bytes
    ) -> None:
        stream = self.streams.get(stream_id)
        if stream is None and stream_id:
            self._check_opened(stream_id)
        if stream is not None and stream.state is _RESERVED:  # section 5.1
            raise protocol_error(f"a window update on the promised stream {stream_id}")
        _check_size("WINDOW_UPDATE", len(body), 4)
        increment = _LONG.unpack_from(body)[0] & 0x7FFFFFFF  # section 6.9
        if stream is not None:
            self._open_our_window(stream, increment)
        elif stream_id == 0:
            if increment == 0:
                raise protocol_error("a window update of 0")
            self.outbound_flow_control_window += increment
            if self.outbound_flow_control_window > LARGEST_WINDOW:
                raise FlowControlError("the server made the window too large")
            self._events.append(WindowUpdated(stream_id=0, delta=increment))

    def _open_our_window(self, stream: StreamRecord, increment: int) -> None:
        if increment == 0:
            self._refuse(stream, "a window update of 0")
            return
        stream.window += increment
        if stream.window <= LARGEST_WINDOW:
            event = WindowUpdated(stream_id=stream.stream_id, delta=increment)
            self._events.append(event)
            return
        code = ErrorCodes.FLOW_CONTROL_ERROR
        self._reset(stream, code)
        self._events.append(
            StreamReset(stream_id=stream.stream_id, error_code=code, remote_reset=False)
        )

    def _read_altsvc(self, kind: int, flags: int, stream_id: int, body: bytes) -> None:
        start = 2 + int.from_bytes(body[:2], "big")
        if len(body) < start:
            raise FrameDataMissingError("an ALTSVC that is cut short")
        origin: bytes | None = body[2:start]
        if stream_id:
            # RFC 7838 section 4: it is of the request's own origin, and names none.
            stream = self.streams.get(stream_id)
            if origin or stream is None or stream.responded:
                return
            origin = dict(stream.request).get(b":authority")
        if origin:
            event = AlternativeServiceAvailable()
            event.origin = origin
            event.field_value = body[start:]
            self._events.append(event)

    def _read_origin(self, kind: int, flags: int, stream_id: int, body: bytes) -> None:
        # RFC 8336 section 2.1: on other streams, or with flags of the future.
        found = None if stream_id or flags & 0xF else origins(body)
        if found is not None:
            self._events.append(OriginReceived(found))

    def _read_unknown(self, kind: int, flags: int, stream_id: int, body: bytes) -> None:
        """Tell of a frame of another extension; it means nothing (section 5.5)."""
        frame = ExtensionFrame(kind, stream_id, flags, body)
        frame.body_len = len(body)
        self._events.append(UnknownFrameReceived(frame=frame))

    def _refuse_continuation(self, *_: object) -> None:
        raise protocol_error("a CONTINUATION without HEADERS")  # section 6.10

    def _refuse_priority_update(self, *_: object) -> None:
        # RFC 9218 section 7.1.
        raise protocol_error("a PRIORITY_UPDATE, which is for clients to send")

    def _refuse_in_block(self, *_: object) -> None:
        raise protocol_error("a frame in the middle of a header block")  # section 6.10

    def _refuse_at_end(self, *_: object) -> None:
        raise protocol_error("a frame after the end of the connection")

    # Streams.

    def _open_request(
        self, stream_id: int, request: Sequence[tuple[bytes, bytes]]
    ) -> StreamRecord:
        highest = self.highest_outbound_stream_id
        if stream_id <= highest:
            raise StreamIDTooLowError(stream_id, highest)
        if stream_id % 2 == 0 or stream_id > HIGHEST_STREAM_ID:
            raise ProtocolError(f"a request cannot have the stream {stream_id}")
        self.highest_outbound_stream_id = stream_id
        self.open_outbound_streams += 1
        return self._new_stream(stream_id, _OPEN, request)

    def _new_stream(
        self, stream_id: int, state: State, request: Sequence[tuple[bytes, bytes]]
    ) -> StreamRecord:
        stream = StreamRecord(
            stream_id, state, self._first_window, self._first_credit, request
        )
        self.streams[stream_id] = stream
        return stream

    def _stream(self, stream_id: int) -> StreamRecord:
        """Return a stream for a verb."""
        stream = self.streams.get(stream_id)
        if stream is None:
            if stream_id > self._highest(stream_id):
                raise NoSuchStreamError(stream_id)
            raise StreamClosedError(stream_id)
        return stream

    def _highest(self, stream_id: int) -> int:
        """Return the highest id of those that are opened by the same side."""
        if stream_id % 2:
            return self.highest_outbound_stream_id
        return self.highest_inbound_stream_id

    def _check_opened(self, stream_id: int) -> None:
        """Refuse a frame on a stream that neither side has opened (section 5.1)."""
        _check_has_stream(stream_id)
        if stream_id > self._highest(stream_id):
            raise protocol_error(f"nobody has opened stream {stream_id}")

    def _check_open(self) -> None:
        if self._ended:
            raise ProtocolError("the connection has ended")

    def _check_sendable(self, stream: StreamRecord) -> None:
        if stream.state not in _AFTER_OUR_END:
            raise StreamClosedError(stream.stream_id)

    def _end_ours(self, stream: StreamRecord) -> None:
        stream.state = _AFTER_OUR_END[stream.state]
        if stream.state is _CLOSED:
            self._close(stream, answer=True)

    def _end_its(self, stream: StreamRecord) -> StreamEnded:
        """Note that the peer has ended the stream, and return the event."""
        stream.state = _AFTER_ITS_END[stream.state]
        if stream.state is _CLOSED:
            self._close(stream, answer=True)
        event = StreamEnded(stream_id=stream.stream_id)
        self._events.append(event)
        return event

    def _close(self, stream: StreamRecord, answer: bool) -> None:
        """Forget a stream; ``answer`` says whether late frames on it get one."""
        stream.state = _CLOSED
        stream_id = stream.stream_id
        del self.streams[stream_id]
        if stream_id % 2:
            self.open_outbound_streams -= 1
        if answer:
            self._late.add(stream_id)
            if len(self._late) >= ENDED_KEPT:
                self._later = self._late
                self._late = set()

    def _is_late(self, stream_id: int) -> bool:
        """Tell whether the peer has ended this stream, of late, and nobody said so."""
        return stream_id in self._late or stream_id in self._later

    def _answer(self, stream_id: int) -> None:
        """Say, once, that a stream is closed, to DATA or HEADERS that came on it.

        Nothing if they were under way when we reset the stream (section 5.1), or if
        nobody remembers how it was closed.
        """
        if self._is_late(stream_id):
            self._late.discard(stream_id)
            self._later.discard(stream_id)
            self._send(_RST_STREAM, 0, stream_id, _LONG.pack(ErrorCodes.STREAM_CLOSED))

    def _refuse(
        self,
        stream: StreamRecord,
        fault: str,
        code: ErrorCodes = ErrorCodes.PROTOCOL_ERROR,
    ) -> None:
        """Reset a stream for a fault of the peer's (section 8.1.1)."""
        self._reset(stream, code)
        event = MalformedResponse(
            stream_id=stream.stream_id, error_code=code, remote_reset=False
        )
        event.reason = fault
        self._events.append(event)

    def _reset(self, stream: StreamRecord, code: int) -> None:
        self._close(stream, answer=False)
        self._send(_RST_STREAM, 0, stream.stream_id, _LONG.pack(code))

    def _send(self, kind: int, flags: int, stream_id: int, body: bytes) -> None:
        self._output.append(_HEAD.pack(len(body) << 8 | kind, flags, stream_id) + body)
        self._sent_frames[kind] += 1


Reader = Callable[[ClientMachine, int, int, int, bytes], None]


def _table(others: Reader, *readers: tuple[int, Reader]) -> list[Reader]:
    """Return a table of readers by type."""
    table = [others] * 256
    for kind, reader in readers:
        table[kind] = reader
    return table


_KNOWN: list[tuple[int, Reader]] = [
    (_DATA, ClientMachine._read_data),
    (_HEADERS, ClientMachine._read_headers),
    (_RST_STREAM, ClientMachine._read_rst_stream),
    (_SETTINGS, ClientMachine._read_settings),
    (_PUSH_PROMISE, ClientMachine._read_push_promise),
    (_PING, ClientMachine._read_ping),
    (_WINDOW_UPDATE, ClientMachine._read_window_update),
    (_ALTSVC, ClientMachine._read_altsvc),
]
_ALWAYS: list[tuple[int, Reader]] = [
    (_PRIORITY, ClientMachine._read_priority),
    (_GOAWAY, ClientMachine._read_goaway),
    (_CONTINUATION, ClientMachine._refuse_continuation),
    (_ORIGIN, ClientMachine._read_origin),
    (_PRIORITY_UPDATE, ClientMachine._refuse_priority_update),
]
_USUAL = _table(ClientMachine._read_unknown, *_KNOWN, *_ALWAYS)
#: Equal to the usual, but another: what is not SETTINGS was refused before.
_FIRST = list(_USUAL)
_IN_BLOCK = _table(
    ClientMachine._refuse_in_block, (_CONTINUATION, ClientMachine._read_continuation)
)
_DEAD = _table(ClientMachine._refuse_at_end)
_LAST = _table(
    ClientMachine._read_unknown,
    *((kind, ClientMachine._refuse_at_end) for kind, _ in _KNOWN),
    *_ALWAYS,
)


def _without_padding(body: bytes, least: int) -> bytes:
    """Return the payload of a padded frame less the padding (section 6.1).

    :param least: how much of it is no padding at least.
    """
    if len(body) <= least:
        raise FrameDataMissingError("a padded frame that is cut short")
    end = len(body) - body[0]
    if end <= least:
        raise protocol_error("more padding than frame")
    return body[1:end]


def _check_size(name: str, size: int, right: int) -> None:
    if size != right:
        raise FrameDataMissingError(f"{name} with {size} bytes, not {right}")


def _check_has_stream(stream_id: int) -> None:
    if stream_id == 0:
        raise protocol_error("a frame without the stream that it is about")


def _check_no_stream(stream_id: int) -> None:
    if stream_id:
        raise protocol_error(f"a frame of the connection on stream {stream_id}")
