"""The reference state machine: the h2 package behind a gate.

h2 implements RFC 9113 with care, but as a neutral machine for both sides. A client that
lives among real servers needs some things of it that it does not do, all reproduced
with h2 4.4.1:

* A GOAWAY moves it to CLOSED and drops what was not sent. Here streams up to
  ``last_stream_id`` go on (RFC 9113 section 6.8): GOAWAY never reaches h2.
* A malformed response kills the connection; section 8.1.1 says: the stream.
* An error drops the events of the good frames before it. Here they are in the
  exception's ``events``.
* A frame on a stream that was reset is answered with RST_STREAM, each time, and
  nghttp2 bans a client after a thousand; an interim response there, or any frame on a
  stream that it has forgotten, ends the connection. Here one answer is given if the
  stream had ended, and none if it was reset or is forgotten (section 5.1).
* It buffers a frame whole before it looks at its length, accepts any first frame and
  takes an HTTP/1.1 error page for the head of a frame of 4.7 MB.
* It does whatever a peer asks, however often. Here work without progress has a budget.
* Some faults have the wrong error code, or go unnoticed. The gate finds them first.
* hpack obeys a resizing of its table only roughly (RFC 7541 section 4.2), both ways.

The gate cuts the input into frames, looks at each, and gives h2 one frame a call.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping

from h2.config import H2Configuration
from h2.connection import ConnectionInputs, H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event
from h2.exceptions import (
    DenialOfServiceError,
    FrameTooLargeError,
    ProtocolError,
    StreamClosedError,
)
from h2.settings import SettingCodes
from h2.stream import H2Stream, StreamClosedBy, StreamState
from hpack import Decoder, Encoder, HeaderTuple, HPACKError, OversizedHeaderListError
from hyperframe.frame import (
    DataFrame,
    ExtensionFrame,
    Frame,
    HeadersFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
)

from ..common.stream import Fields
from ..common.validation import response_head_fault, trailer_fault
from .dialect import (
    CONTROL_FRAME_BUDGET,
    CompressionError,
    MalformedResponse,
    OriginReceived,
    client_settings,
    goaway,
    known_settings,
    origins,
    protocol_error,
    settings_body,
)

#: How many streams that have closed are remembered.
CLOSED_KEPT = 1000
_DATA, _HEADERS, _PRIORITY, _RST_STREAM, _SETTINGS, _PUSH_PROMISE = range(6)
_PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = range(6, 10)
_ORIGIN = 0xC
_PRIORITY_UPDATE = 0x10
_ACK = 0x1
_END_HEADERS = 0x4
_PADDED = 0x8
_HEADER = struct.Struct(">HBBBL")
#: What may not come on a stream that nobody opened (RFC 9113 section 5.1).
_NOT_WHILE_IDLE = frozenset(
    (_DATA, _HEADERS, _RST_STREAM, _PUSH_PROMISE, _WINDOW_UPDATE)
)
#: What is not answered: streams that we have reset, and those that are forgotten.
_NOT_ANSWERED = (StreamClosedBy.SEND_RST_STREAM, None)
#: Three changes of the table's size in front of a header block.
_RESIZINGS = re.compile(rb"(?:[\x20-\x3e]|\x3f[\x80-\xff]*[\x00-\x7f]){3}")


class BlockDecoder(Decoder):
    """hpack's decoder, with the errors of HTTP/2."""

    def decode(self, data: bytes, raw: bool = False) -> list[HeaderTuple]:
        """Return the fields of a header block.

        :raises DenialOfServiceError: if they are more than was allowed.
        :raises CompressionError: if it cannot be decoded.
        """
        # RFC 7541 section 4.2: two are enough, and hpack would do a million.
        if _RESIZINGS.match(data):
            raise CompressionError("a header block that resizes the table again")
        try:
            return list(super().decode(data, raw))
        except OversizedHeaderListError as error:
            raise DenialOfServiceError(f"the server's headers: {error}") from error
        except HPACKError as error:
            raise CompressionError(f"undecodable header block: {error}") from error


class BlockEncoder(Encoder):
    """hpack's encoder, whose peer may change the table more than once between blocks.

    The next block has to tell the smallest of the sizes and the last (RFC 7541 section
    4.2). hpack tells all of them, and none if the last two are equal.
    """

    @property
    def header_table_size(self) -> int:
        return self.header_table.maxsize

    @header_table_size.setter
    def header_table_size(self, value: int) -> None:
        if value == self.header_table.maxsize and not self.table_size_changes:
            return
        smallest = min([value, *self.table_size_changes])
        self.table_size_changes = [smallest] if smallest == value else [smallest, value]
        self.header_table.maxsize = value
        self.header_table.resized = True


class H2Machine(H2Connection):
    """h2 behind the gate, with the interface of :class:`h2.connection.H2Connection`.

    Where it differs: :meth:`receive_data` raises exceptions that have an attribute
    ``events``, a GOAWAY leaves streams alone, a malformed response is a
    :class:`MalformedResponse` event, and an ORIGIN frame an :class:`OriginReceived`.
    Header blocks to be sent are not validated: the caller has done so. Not thread-safe.

    :param settings: what the first SETTINGS frame says beside, or instead of, hyper's
        defaults, by code.
    """

    # h2 needs 65,536 of them to tell a late frame from an illegal one. The gate knows
    # that from the id, and only has to know who was answered.
    MAX_CLOSED_STREAMS = CLOSED_KEPT

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
        self.encoder = BlockEncoder()
        self.decoder = BlockDecoder()
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
        _, _, kind, flags, stream_id = _HEADER.unpack_from(frame)
        stream_id &= 0x7FFFFFFF
        stream = self.streams.get(stream_id)
        self._spend(frame, kind, flags, stream)
        if self._in_header_block:
            if kind != _CONTINUATION:  # Before h2 finds another fault in it.
                raise self._fault("a frame in the middle of a header block")
            self._in_header_block = not flags & _END_HEADERS
            return super().receive_data(frame)
        if stream is None and kind in _NOT_WHILE_IDLE and self._is_idle(stream_id):
            raise self._fault(f"nobody has opened stream {stream_id}")
        look = _LOOKS.get(kind)
        if look is not None:
            return look(self, frame, flags, stream_id)
        return super().receive_data(frame)

    def _spend(
        self, frame: bytes, kind: int, flags: int, stream: H2Stream | None
    ) -> None:
        """Count a frame against the budget of those that bring nothing."""
        wanted = stream is not None and not stream.closed
        if kind == _HEADERS or (kind == _DATA and _has_data(frame, flags)):
            # What still comes on a stream that is closed was under way: it costs
            # nothing, but is no progress.
            if wanted:
                self._budget = CONTROL_FRAME_BUDGET
            return
        if kind == _RST_STREAM and wanted:
            return  # It ends what we have begun: there are no more of these.
        self._budget -= kind != _CONTINUATION  # h2 counts these itself
        if self._budget < 0:
            raise self._terminate(
                DenialOfServiceError(
                    f"the server sent {CONTROL_FRAME_BUDGET} control frames in a row"
                )
            )

    def _is_idle(self, stream_id: int) -> bool:
        """Tell whether neither side has opened this stream, nor one after it."""
        if stream_id % 2:
            return stream_id > self.highest_outbound_stream_id
        return stream_id > self.highest_inbound_stream_id

    # The gate's looks: each takes the kinds of frames that it is filed under.

    def _look_at_headers(self, frame: bytes, flags: int, stream_id: int) -> list[Event]:
        self._in_header_block = not flags & _END_HEADERS
        return super().receive_data(frame)

    def _look_at_settings(
        self, frame: bytes, flags: int, stream_id: int
    ) -> list[Event]:
        if flags & _ACK:
            if len(frame) > 9:  # RFC 9113 section 6.5
                raise self._fault(
                    "an acknowledgement with settings", ErrorCodes.FRAME_SIZE_ERROR
                )
        elif stream_id == 0 and len(frame) % 6 == 3:
            frame = self._known_settings(frame)
        return super().receive_data(frame)

    def _known_settings(self, frame: bytes) -> bytes:
        """Return a SETTINGS frame without what a client neither knows nor wants.

        h2 would keep every unknown setting for ever, and follow the peer with its
        encoder's table up to 4 GiB.
        """
        kept: dict[int, int] = {}
        try:
            for code, value in known_settings(frame[9:], self.remote_settings):
                kept[code] = value
                if code == SettingCodes.HEADER_TABLE_SIZE:
                    # Of several in a frame h2 sees the last, but each counts.
                    self.encoder.header_table_size = value
        except ProtocolError as fault:
            raise self._terminate(fault) from None
        body = settings_body(kept)
        return len(body).to_bytes(3, "big") + frame[3:9] + body

    def _look_at_goaway(self, frame: bytes, flags: int, stream_id: int) -> list[Event]:
        if stream_id or len(frame) < 17:
            return super().receive_data(frame)  # which refuses it
        return [goaway(frame[9:])]

    def _look_at_window_update(
        self, frame: bytes, flags: int, stream_id: int
    ) -> list[Event]:
        stream = self.streams.get(stream_id)
        if stream is not None and _is_reserved(stream):  # RFC 9113 section 5.1
            raise self._fault(f"a window update on the promised stream {stream_id}")
        if len(frame) == 13:
            # Section 6.9: the reserved bit is ignored; h2 takes it for a number's.
            frame = frame[:9] + bytes([frame[9] & 0x7F]) + frame[10:]
            if stream_id and frame[9:] == bytes(4):
                # An increment of 0 is an error of the stream.
                if stream is None or stream.closed:
                    return []
                return self._refuse(stream, "a window update of 0")
        return super().receive_data(frame)

    def _look_at_origin(self, frame: bytes, flags: int, stream_id: int) -> list[Event]:
        # RFC 8336 section 2.1: on other streams, or with flags of the future.
        found = None if stream_id or flags & 0xF else origins(frame[9:])
        return [] if found is None else [OriginReceived(found)]

    def _refuse_continuation(
        self, frame: bytes, flags: int, stream_id: int
    ) -> list[Event]:
        # RFC 9113 section 6.10. On a stream that was reset, h2 would let it pass.
        raise self._fault("a CONTINUATION without HEADERS")

    def _refuse_priority_update(
        self, frame: bytes, flags: int, stream_id: int
    ) -> list[Event]:
        # RFC 9218 section 7.1.
        raise self._fault("a PRIORITY_UPDATE, which is for clients to send")

    # Frames that h2 has parsed: its methods, but for what they get wrong.

    def _receive_headers_frame(
        self, frame: HeadersFrame
    ) -> tuple[list[Frame], list[Event]]:
        # Decoded in any case, to keep the HPACK state in step with the peer's.
        fields: Fields = list(self.decoder.decode(frame.data, raw=True))
        self.state_machine.process_input(ConnectionInputs.RECV_HEADERS)
        stream = self.streams.get(frame.stream_id)
        if stream is None or stream.closed:
            return self._answer_on_closed(frame.stream_id), []
        end_stream = "END_STREAM" in frame.flags
        state = stream.state_machine
        if state.state is StreamState.HALF_CLOSED_REMOTE:
            code = ErrorCodes.STREAM_CLOSED
            return [], self._refuse(stream, "HEADERS after the end", code)
        fault = _header_fault(stream, fields, end_stream)
        if fault:
            return [], self._refuse(stream, fault)
        if state.state is StreamState.RESERVED_REMOTE:
            # Section 5.1. By an interim response as well, which h2 does not know of.
            state.state = StreamState.HALF_CLOSED_LOCAL
        if not state.headers_received and not _opens_tunnel(stream, fields):
            stream.request_method = None
        # Lengths are counted by whoever reads the body: h2 takes a wrong one for the
        # connection's fault, and the trailers' for the body's.
        unmeasured = [field for field in fields if field[0] != b"content-length"]
        frames, events = stream.receive_headers(unmeasured, end_stream, None)
        events[0].headers = fields  # type: ignore[attr-defined]
        return frames, events

    def _receive_data_frame(self, frame: DataFrame) -> tuple[list[Frame], list[Event]]:
        stream = self.streams.get(frame.stream_id)
        refused: list[Event] = []
        if stream and not stream.closed:
            state = stream.state_machine
            if _is_reserved(stream):  # RFC 9113 section 5.1
                raise ProtocolError(f"DATA on the promised stream {frame.stream_id}")
            # h2 finds a refused stream closed, and the DATA is as good as consumed.
            if not state.headers_received:
                refused = self._refuse(stream, "DATA before HEADERS")
            elif state.state is StreamState.HALF_CLOSED_REMOTE:
                code = ErrorCodes.STREAM_CLOSED
                refused = self._refuse(stream, "DATA after the end", code)
        frames, events = super()._receive_data_frame(frame)
        return frames, refused + events

    def _handle_data_on_closed_stream(
        self, events: list[Event], exc: StreamClosedError, frame: DataFrame
    ) -> tuple[list[Frame], list[Event]]:
        """Tell of the window that the DATA has used.

        h2 would give the window back by its own reckoning, at half of the window, and
        tell nobody: whoever manages the window then waits for bytes that do not come.
        """
        used = DataReceived(stream_id=frame.stream_id)
        used.data = b""
        used.flow_controlled_length = frame.flow_controlled_length
        return self._answer_on_closed(frame.stream_id), [*events, used]

    def _receive_push_promise_frame(
        self, frame: PushPromiseFrame
    ) -> tuple[list[Frame], list[Event]]:
        frame.promised_stream_id &= 0x7FFFFFFF
        promised = frame.promised_stream_id
        if not self._is_idle(promised):  # RFC 9113 section 6.6
            raise ProtocolError(f"the server promised stream {promised} too late")
        if frame.stream_id % 2 == 0:
            raise ProtocolError("a promise on a promised stream")
        self._open_streams(0)  # drops those that are closed, as a new request does
        stream = self.streams.get(frame.stream_id)
        if stream is not None and not stream.closed:
            if stream.state_machine.state is StreamState.HALF_CLOSED_REMOTE:
                raise ProtocolError("a promise on a stream that the server has ended")
            return super()._receive_push_promise_frame(frame)
        closed_by = self._stream_closed_by(frame.stream_id)
        if not self.local_settings.enable_push or closed_by not in _NOT_ANSWERED:
            raise ProtocolError("a promise on a stream that is closed")
        # It was under way when we reset its stream.
        self.decoder.decode(frame.data, raw=True)
        self.highest_inbound_stream_id = promised
        reset = RstStreamFrame(promised, error_code=ErrorCodes.REFUSED_STREAM)
        return [reset], []

    def _receive_priority_frame(
        self, frame: HeadersFrame | PriorityFrame
    ) -> tuple[list[Frame], list[Event]]:
        """Ignore it: RFC 9113 section 5.3.2 took the meaning of all that it says."""
        return [], []

    def _answer_on_closed(self, stream_id: int) -> list[Frame]:
        """Return what to say to DATA or HEADERS on a closed stream: RST_STREAM, once.

        Nothing if it was under way when we reset the stream (RFC 9113 section 5.1), or
        if nobody remembers how the stream was closed.
        """
        if self._stream_closed_by(stream_id) in _NOT_ANSWERED:
            return []
        self.streams.pop(stream_id, None)
        self._closed_streams[stream_id] = StreamClosedBy.SEND_RST_STREAM
        return [RstStreamFrame(stream_id, error_code=ErrorCodes.STREAM_CLOSED)]

    def _refuse(
        self,
        stream: H2Stream,
        fault: str,
        code: ErrorCodes = ErrorCodes.PROTOCOL_ERROR,
    ) -> list[Event]:
        """Reset a stream for a fault of the peer's (RFC 9113 section 8.1.1)."""
        self._prepare_for_sending(stream.reset_stream(code))
        event = MalformedResponse(
            stream_id=stream.stream_id, error_code=code, remote_reset=False
        )
        event.reason = fault
        return [event]

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

    def prioritize_update(self, stream_id: int, value: bytes) -> None:
        """Queue a PRIORITY_UPDATE frame (RFC 9218 section 7.1).

        :param stream_id: the request's; it need not have been sent yet.
        :param value: what its field ``priority`` would say, in ASCII, at most
            1000 bytes.
        :raises ValueError: if there is no such id, or the value is something else.
        :raises ProtocolError: if the connection has ended.
        """
        if not 0 < stream_id < 2**31 or not value.isascii() or len(value) > 1000:
            raise ValueError(f"no priority for stream {stream_id}: {value[:60]!r}")
        self.state_machine.process_input(ConnectionInputs.SEND_PRIORITY)
        body = stream_id.to_bytes(4, "big") + value
        frame = ExtensionFrame(_PRIORITY_UPDATE, 0, body=body)
        frame.body_len = len(body)
        self._prepare_for_sending([frame])

    def _fault(
        self, text: str, code: ErrorCodes = ErrorCodes.PROTOCOL_ERROR
    ) -> ProtocolError:
        return self._terminate(protocol_error(text, code))

    def _terminate(self, fault: ProtocolError) -> ProtocolError:
        self._terminate_connection(fault.error_code)
        return fault


_LOOKS: dict[int, Callable[[H2Machine, bytes, int, int], list[Event]]] = {
    _HEADERS: H2Machine._look_at_headers,
    _SETTINGS: H2Machine._look_at_settings,
    _PUSH_PROMISE: H2Machine._look_at_headers,
    _GOAWAY: H2Machine._look_at_goaway,
    _WINDOW_UPDATE: H2Machine._look_at_window_update,
    _CONTINUATION: H2Machine._refuse_continuation,
    _ORIGIN: H2Machine._look_at_origin,
    _PRIORITY_UPDATE: H2Machine._refuse_priority_update,
}


def _has_data(frame: bytes, flags: int) -> bool:
    """Tell whether a DATA frame has more than padding."""
    padding = frame[9] + 1 if flags & _PADDED and len(frame) > 9 else 0
    return len(frame) > 9 + padding


def _is_reserved(stream: H2Stream) -> bool:
    return stream.state_machine.state is StreamState.RESERVED_REMOTE


def _opens_tunnel(stream: H2Stream, fields: Fields) -> bool:
    """Tell whether a response's head means, or may yet mean, that CONNECT went well."""
    return stream.request_method == b"CONNECT" and fields[0][1][:1] in (b"1", b"2")


def _header_fault(stream: H2Stream, fields: Fields, end_stream: bool) -> str | None:
    """Return what makes a header section malformed in its place on the stream."""
    if stream.state_machine.headers_received:
        if stream.request_method == b"CONNECT":
            return "HEADERS in a tunnel"  # RFC 9113 section 8.5
        if not end_stream:
            return "trailers that do not end the stream"
        return trailer_fault(fields)
    fault = response_head_fault(fields)
    if fault is None and end_stream and fields[0][1].startswith(b"1"):
        return "an interim response that ends the stream"
    return fault
