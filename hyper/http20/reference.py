"""The reference state machine: the h2 package behind a gate.

h2 implements RFC 9113 with care, but as a neutral machine for both sides. A client that
lives among real servers needs six things of it that it does not do, all reproduced with
h2 4.4.1:

* A GOAWAY moves it to CLOSED and drops what was not sent. Here streams up to
  ``last_stream_id`` go on (RFC 9113 section 6.8): GOAWAY never reaches h2.
* A malformed response kills the connection; section 8.1.1 says: the stream.
* An error drops the events of the good frames before it. Here they are in the
  exception's ``events``.
* A frame on a stream that was reset is answered with RST_STREAM, each time, and
  nghttp2 bans a client after a thousand. Here it is answered once.
* It buffers a frame whole before it looks at its length, accepts any first frame and
  takes an HTTP/1.1 error page for the head of a frame of 4.7 MB.
* It does whatever a peer asks, however often. Here work without progress has a budget.

The gate cuts the input into frames, and gives h2 one frame a call.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Mapping
from typing import cast

from h2.config import H2Configuration
from h2.connection import AllowedStreamIDs, ConnectionInputs, H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, Event, StreamReset
from h2.exceptions import (
    DenialOfServiceError,
    FrameTooLargeError,
    ProtocolError,
    StreamClosedError,
)
from h2.settings import SettingCodes, Settings
from h2.stream import H2Stream
from hpack import HPACKError, OversizedHeaderListError
from hyperframe.frame import DataFrame, Frame, HeadersFrame, RstStreamFrame

from ..common.stream import Fields
from ..common.validation import response_head_fault, trailer_fault

#: Frames that ask for work and bring nothing, in a row, before the peer is given up.
CONTROL_FRAME_BUDGET = 1000
#: The encoder's table is searched for every field, so a larger one costs more than it
#: saves; Go, curl and hyperium/h2 cap it at the same size.
MAX_ENCODER_TABLE = 4096
#: How many streams that were reset are remembered.
RESETS_KEPT = 4096

_DATA, _HEADERS, _PRIORITY, _RST_STREAM, _SETTINGS, _PUSH_PROMISE = range(6)
_PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = range(6, 10)
_ACK = 0x1
_END_HEADERS = 0x4
_HEADER = struct.Struct(">HBBBL")
_ENTRY = struct.Struct(">HL")
_KNOWN_SETTINGS = frozenset(int(code) for code in SettingCodes)


class CompressionError(ProtocolError):
    """A header block could not be decoded: the HPACK state is lost."""

    error_code = ErrorCodes.COMPRESSION_ERROR


class MalformedResponse(StreamReset):
    """A stream that the machine reset, and why: ``reason`` is a text for people."""

    reason: str = ""


def client_settings(wanted: Mapping[int, int]) -> Settings:
    """Return what a client says in its first SETTINGS frame."""
    values: dict[int, int] = {
        SettingCodes.ENABLE_PUSH: 0,
        SettingCodes.MAX_CONCURRENT_STREAMS: 100,
        SettingCodes.MAX_HEADER_LIST_SIZE: H2Connection.DEFAULT_MAX_HEADER_LIST_SIZE,
    }
    values.update(wanted)
    settings = Settings(
        client=True, initial_values=cast("dict[SettingCodes, int]", values)
    )
    if SettingCodes.ENABLE_CONNECT_PROTOCOL not in wanted:
        # A server's setting (RFC 8441 section 3); some servers refuse a client's.
        del settings[SettingCodes.ENABLE_CONNECT_PROTOCOL]
    return settings


class H2Machine(H2Connection):
    """h2 behind the gate, with the interface of :class:`h2.connection.H2Connection`.

    Where it differs: :meth:`receive_data` raises exceptions that have an attribute
    ``events``, a GOAWAY leaves streams alone, and a malformed response is a
    :class:`MalformedResponse` event. Header blocks to be sent are not validated: the
    caller has done so. Not thread-safe.

    :param settings: what the first SETTINGS frame says beside, or instead of, hyper's
        defaults, by code.
    """

    def __init__(self, settings: Mapping[int, int] | None = None) -> None:
        super().__init__(
            H2Configuration(
                client_side=True,
                header_encoding=None,
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.local_settings = client_settings(settings or {})
        # h2 enforces its own defaults until a *change* of a setting is acknowledged.
        # Smaller limits are not enforced at all: until then the peer may not know them.
        self.max_inbound_frame_size = self.local_settings.max_frame_size
        self.decoder.max_allowed_table_size = max(
            4096, self.local_settings.header_table_size
        )
        self.decoder.max_header_list_size = (
            self.local_settings.max_header_list_size or 0
        )
        self._input = bytearray()
        self._greeted = False
        self._in_header_block = False
        self._budget = CONTROL_FRAME_BUDGET
        self._resets: deque[int] = deque(maxlen=RESETS_KEPT)

    # Input.

    def receive_data(self, data: bytes) -> list[Event]:  # type: ignore[override]
        """Take bytes from the peer and return what they mean.

        :raises ProtocolError: if the peer broke the rules for the whole connection.
            What came before the fault is in the exception's ``events``, and
            ``data_to_send`` has the GOAWAY.
        """
        self._input += data
        events: list[Event] = []
        try:
            if not self._greeted:
                self._check_greeting()
            while True:
                frame = self._next_frame()
                if frame is None:
                    return events
                events += self._receive_one(frame)
        except ProtocolError as fault:
            fault.events = events  # type: ignore[attr-defined]
            raise

    def _check_greeting(self) -> None:
        """Refuse a peer that does not speak HTTP/2, as soon as that can be told."""
        start = bytes(self._input[:9])
        if start[:5] == b"HTTP/":
            raise self._fault("the server speaks HTTP/1 here, not HTTP/2")
        if start[:2] in (b"\x15\x03", b"\x16\x03"):
            raise self._fault("the server speaks TLS here, not cleartext HTTP/2")
        if len(start) == 9:
            # RFC 9113 section 3.4.
            if start[3] != _SETTINGS or start[4] & _ACK:
                raise self._fault("the server did not begin with a SETTINGS frame")
            self._greeted = True

    def _next_frame(self) -> bytes | None:
        """Cut the next whole frame off the input."""
        if len(self._input) < 9:
            return None
        length = int.from_bytes(self._input[:3], "big")
        if length > self.max_inbound_frame_size:
            fault = FrameTooLargeError(f"the server sent a frame of {length} bytes")
            raise self._terminate(fault)
        end = 9 + length
        if len(self._input) < end:
            return None
        frame = bytes(self._input[:end])
        del self._input[:end]
        return frame

    def _receive_one(self, frame: bytes) -> list[Event]:
        high, low, kind, flags, stream_id = _HEADER.unpack_from(frame)
        length = high << 8 | low
        stream_id &= 0x7FFFFFFF
        self._spend(kind, length, stream_id)
        if self._in_header_block:
            # Nothing may come between; h2 has the right words for what does.
            self._in_header_block = not flags & _END_HEADERS
            return super().receive_data(frame)
        if kind in (_HEADERS, _PUSH_PROMISE):
            self._in_header_block = not flags & _END_HEADERS
        if kind == _GOAWAY and stream_id == 0 and length >= 8:
            return [_goaway(frame)]
        if kind == _SETTINGS and not flags & _ACK and stream_id == 0:
            frame = _known_settings(frame)
        elif (
            kind == _HEADERS
            and stream_id % 2 == 0
            and stream_id > self.highest_inbound_stream_id  # nobody promised it
        ):
            raise self._fault(f"the server opened stream {stream_id}")
        elif kind == _WINDOW_UPDATE and frame[9:] == bytes(4) and stream_id:
            # RFC 9113 section 6.9: an increment of 0 is an error of the stream.
            return self._refuse_if_open(stream_id, "a window update of 0")
        return super().receive_data(frame)

    def _spend(self, kind: int, length: int, stream_id: int) -> None:
        """Count a frame against the budget of those that bring nothing."""
        if kind == _HEADERS or (kind == _DATA and length):
            self._budget = CONTROL_FRAME_BUDGET
            return
        if kind == _RST_STREAM:
            stream = self.streams.get(stream_id)
            if stream is not None and not stream.closed:
                return  # It ends what we have begun: there are no more of these.
        self._budget -= kind != _CONTINUATION  # h2 counts these itself
        if self._budget < 0:
            raise self._terminate(
                DenialOfServiceError(
                    f"the server sent {CONTROL_FRAME_BUDGET} control frames in a row"
                )
            )

    def _receive_headers_frame(
        self, frame: HeadersFrame
    ) -> tuple[list[Frame], list[Event]]:
        """Take a header block: h2's method, but for what is malformed in it."""
        # Decoded in any case, to keep the HPACK state in step with the peer's.
        try:
            fields: Fields = list(self.decoder.decode(frame.data, raw=True))
        except OversizedHeaderListError as error:
            raise DenialOfServiceError(f"the server's headers: {error}") from error
        except HPACKError as error:
            raise CompressionError(f"undecodable header block: {error}") from error
        self.state_machine.process_input(ConnectionInputs.RECV_HEADERS)
        stream = self._get_or_create_stream(frame.stream_id, AllowedStreamIDs.EVEN)
        end_stream = "END_STREAM" in frame.flags
        if not stream.closed:
            fault = _header_fault(stream, fields, end_stream)
            if fault:
                return self._refuse(stream, fault)
        # Lengths are counted by whoever reads the body: h2 takes a wrong one for the
        # connection's fault, and the trailers' for the body's.
        unmeasured = [field for field in fields if field[0] != b"content-length"]
        stream.request_method = None
        frames, events = stream.receive_headers(unmeasured, end_stream, None)
        events[0].headers = fields  # type: ignore[attr-defined]
        return frames, events

    def _receive_data_frame(self, frame: DataFrame) -> tuple[list[Frame], list[Event]]:
        stream = self.streams.get(frame.stream_id)
        refused: list[Event] = []
        if stream and not stream.closed and not stream.state_machine.headers_received:
            frames, refused = self._refuse(stream, "DATA before HEADERS")
            self._prepare_for_sending(frames)
            # h2 now finds the stream closed, and the DATA is as good as consumed.
        frames, events = super()._receive_data_frame(frame)
        return frames, refused + events

    def _handle_data_on_closed_stream(
        self, events: list[Event], exc: StreamClosedError, frame: DataFrame
    ) -> tuple[list[Frame], list[Event]]:
        """Tell of the window that the DATA has used, and reset the stream.

        h2 would give the window back by its own reckoning, at half of the window, and
        tell nobody: whoever manages the window then waits for bytes that do not come.
        """
        reset = RstStreamFrame(exc.stream_id)
        reset.error_code = exc.error_code
        used = DataReceived(stream_id=frame.stream_id)
        used.data = b""
        used.flow_controlled_length = frame.flow_controlled_length
        return [reset], [*events, *exc._events, used]

    def _refuse_if_open(self, stream_id: int, fault: str) -> list[Event]:
        stream = self.streams.get(stream_id)
        if stream is None or stream.closed:
            return []
        frames, events = self._refuse(stream, fault)
        self._prepare_for_sending(frames)
        return events

    def _refuse(self, stream: H2Stream, fault: str) -> tuple[list[Frame], list[Event]]:
        """Reset a stream for a fault of the peer's (RFC 9113 section 8.1.1)."""
        event = MalformedResponse(
            stream_id=stream.stream_id,
            error_code=ErrorCodes.PROTOCOL_ERROR,
            remote_reset=False,
        )
        event.reason = fault
        return stream.reset_stream(ErrorCodes.PROTOCOL_ERROR), [event]

    # Output.

    def send_headers(self, *args: object, **kwargs: object) -> None:
        self._budget = CONTROL_FRAME_BUDGET
        super().send_headers(*args, **kwargs)  # type: ignore[arg-type]

    def send_data(self, *args: object, **kwargs: object) -> None:
        # A peer may open our window a byte at a time, each in a frame of its own.
        self._budget = CONTROL_FRAME_BUDGET
        super().send_data(*args, **kwargs)  # type: ignore[arg-type]

    def ping(self, opaque_data: str | bytes) -> None:
        self._budget += 1  # for the answer
        super().ping(opaque_data)

    def _prepare_for_sending(self, frames: list[Frame]) -> None:
        kept = []
        for frame in frames:
            if isinstance(frame, RstStreamFrame):
                if frame.stream_id in self._resets:
                    continue
                self._resets.append(frame.stream_id)
            kept.append(frame)
        super()._prepare_for_sending(kept)

    def _fault(self, text: str) -> ProtocolError:
        return self._terminate(ProtocolError(text))

    def _terminate(self, fault: ProtocolError) -> ProtocolError:
        self._terminate_connection(fault.error_code)
        return fault


def _header_fault(stream: H2Stream, fields: Fields, end_stream: bool) -> str | None:
    """Return what makes a header section malformed in its place on the stream."""
    if stream.state_machine.headers_received:
        if not end_stream:
            return "trailers that do not end the stream"
        return trailer_fault(fields)
    fault = response_head_fault(fields)
    if fault is None and end_stream and fields[0][1].startswith(b"1"):
        return "an interim response that ends the stream"
    return fault


def _goaway(frame: bytes) -> ConnectionTerminated:
    last_stream_id, code = struct.unpack_from(">LL", frame, 9)
    event = ConnectionTerminated()
    event.error_code = _error_code(code)
    event.last_stream_id = last_stream_id & 0x7FFFFFFF
    event.additional_data = frame[17:] or None
    return event


def _error_code(code: int) -> ErrorCodes | int:
    try:
        return ErrorCodes(code)
    except ValueError:
        return code


def _known_settings(frame: bytes) -> bytes:
    """Return a SETTINGS frame without what a client neither knows nor wants.

    h2 would keep every unknown setting for ever, and follow the peer with its
    encoder's table up to 4 GiB.
    """
    if len(frame) % 6 != 3:
        return frame  # h2 has the right words for that.
    kept: dict[int, int] = {}
    for code, value in _ENTRY.iter_unpack(frame[9:]):
        if code in _KNOWN_SETTINGS:
            if code == SettingCodes.HEADER_TABLE_SIZE:
                value = min(value, MAX_ENCODER_TABLE)
            kept[code] = value
    body = b"".join(_ENTRY.pack(code, value) for code, value in kept.items())
    return len(body).to_bytes(3, "big") + frame[3:9] + body
