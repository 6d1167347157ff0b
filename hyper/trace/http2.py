"""The frames of one HTTP/2 connection, read from the bytes of both directions.

The bytes are the very ones that go to the peer and come from it, before and after TLS.
Frames are cut by hyperframe and header blocks decoded by a second hpack decoder, so
this works with any state machine, and says what is on the wire even where the state
machine is wrong. Settings and windows are followed for what they mean to the other
direction: nothing is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import (
    AltSvcFrame,
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from ..common.stats import FRAME_NAMES
from .hpack import BlockReader
from .record import Detail, Field, Seen, Windows

#: What a client sends before its first frame (RFC 9113 section 3.4).
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#: Where windows and tables begin (RFC 9113 sections 6.5.2 and 6.9.2).
FIRST_WINDOW = 65535
#: How much of what a peer says for people is kept.
MAX_TEXT = 256
#: Streams whose windows are remembered: those that opened last.
MAX_WINDOWS = 1000


class _Window:
    """How much may still be sent, and the most that it has been."""

    __slots__ = ("left", "size")

    def __init__(self, size: int) -> None:
        self.left = self.size = size

    def move(self, amount: int) -> None:
        self.left += amount
        self.size = max(self.size, self.left)


class _Flow:
    """The windows that limit one sender."""

    def __init__(self) -> None:
        self._initial = FIRST_WINDOW
        self._connection = _Window(FIRST_WINDOW)
        self._streams: dict[int, _Window] = {}

    def resize(self, initial: int) -> None:
        """Note a new SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 section 6.9.2)."""
        for window in self._streams.values():
            window.move(initial - self._initial)
        self._initial = initial

    def move(self, stream_id: int, amount: int) -> Windows:
        """Note DATA (negative) or WINDOW_UPDATE; return what is left."""
        stream = None
        if stream_id:
            stream = self._streams.get(stream_id)
            if stream is None:
                stream = self._streams[stream_id] = _Window(self._initial)
                if len(self._streams) > MAX_WINDOWS:
                    del self._streams[min(self._streams)]
            stream.move(amount)
        if amount < 0 or not stream_id:
            self._connection.move(amount)
        return Windows(
            stream.left if stream else None,
            stream.size if stream else None,
            self._connection.left,
            self._connection.size,
        )


class _Side:
    """One direction: the bytes that are not a whole frame yet, and a header block."""

    def __init__(self, secrets: bool, skip: int) -> None:
        self.buffer = bytearray()
        self.skip = skip
        self.block = bytearray()
        self.headers = BlockReader(secrets)
        #: What limits the DATA that this side sends.
        self.flow = _Flow()


class FrameReader:
    """Turns the bytes of a connection into frames.

    :param secrets: whether to keep the values of secret fields.
    :param tables: whether to tell the table after each header section.
    :param payloads: whether to keep what is in the frames.
    """

    def __init__(
        self, secrets: bool = False, tables: bool = False, payloads: bool = False
    ) -> None:
        self._secrets = secrets
        self._tables = tables
        self._payloads = payloads
        self._ours = _Side(secrets, len(PREFACE))
        self._theirs = _Side(secrets, 0)

    def sent(self, data: bytes) -> Iterator[Seen]:
        """Take the next bytes that this side sends, and yield their frames."""
        return self._feed(self._ours, self._theirs, data)

    def received(self, data: bytes) -> Iterator[Seen]:
        """Take the next bytes that the peer sends, and yield their frames."""
        return self._feed(self._theirs, self._ours, data)

    def _feed(self, side: _Side, other: _Side, data: bytes) -> Iterator[Seen]:
        if side.skip:
            skipped = min(side.skip, len(data))
            side.skip -= skipped
            data = data[skipped:]
        side.buffer += data
        at = 0
        while len(side.buffer) - at >= 9:
            head = bytes(side.buffer[at : at + 9])
            length = int.from_bytes(head[:3], "big")
            if len(side.buffer) - at < 9 + length:
                break
            payload = bytes(side.buffer[at + 9 : at + 9 + length])
            at += 9 + length
            yield self._read(side, other, head, payload)
        del side.buffer[:at]

    def _read(self, side: _Side, other: _Side, head: bytes, payload: bytes) -> Seen:
        kind, stream_id = head[3], int.from_bytes(head[5:], "big") & 0x7FFFFFFF
        length = len(payload)
        name = FRAME_NAMES.get(kind, f"{kind:#x}")
        try:
            frame, _ = Frame.parse_frame_header(memoryview(head))
            frame.parse_body(memoryview(payload))
        except (HyperframeError, ValueError) as error:
            detail: dict[str, Detail] = {"failure": f"malformed: {error}"}
            return Seen(name, stream_id, length, detail=detail)
        detail = _detail(frame, payload, name)
        fields: tuple[Field, ...] = ()
        table = None
        if isinstance(frame, (HeadersFrame, PushPromiseFrame, ContinuationFrame)):
            side.block += frame.data
            if "END_HEADERS" in frame.flags:
                block, side.block = bytes(side.block), bytearray()
                found = side.headers.read(block)
                if found is None:
                    detail["failure"] = "the header block cannot be decoded"
                fields = found or ()
                table = side.headers.table() if self._tables else None
            if not self._secrets:
                payload = b""  # Secrets could be read in it.
        return Seen(
            name,
            stream_id,
            length,
            _flags(frame),
            fields,
            detail,
            _follow(side, other, frame),
            table,
            payload if self._payloads else b"",
        )


def _follow(side: _Side, other: _Side, frame: Frame) -> Windows | None:
    """Note what a frame changes, and return the windows it leaves, if it moves them."""
    if isinstance(frame, DataFrame):
        return side.flow.move(frame.stream_id, -frame.flow_controlled_length)
    if isinstance(frame, WindowUpdateFrame):
        return other.flow.move(frame.stream_id, frame.window_increment)
    if isinstance(frame, SettingsFrame):
        settings = frame.settings
        if SettingsFrame.INITIAL_WINDOW_SIZE in settings:
            other.flow.resize(settings[SettingsFrame.INITIAL_WINDOW_SIZE])
        if SettingsFrame.HEADER_TABLE_SIZE in settings:
            other.headers.allow(settings[SettingsFrame.HEADER_TABLE_SIZE])
    return None


def _flags(frame: Frame) -> tuple[str, ...]:
    return tuple(one.name for one in frame.defined_flags if one.name in frame.flags)


def _settings(frame: SettingsFrame, payload: bytes) -> dict[str, Detail]:
    return {_setting(code): value for code, value in frame.settings.items()}


def _goaway(frame: GoAwayFrame, payload: bytes) -> dict[str, Detail]:
    detail: dict[str, Detail] = {
        "last_stream_id": frame.last_stream_id,
        "error": _error(frame.error_code),
    }
    if frame.additional_data:
        detail["debug_data"] = _text(frame.additional_data)
    return detail


def _headers(frame: HeadersFrame, payload: bytes) -> dict[str, Detail]:
    return _priority(frame, payload) if "PRIORITY" in frame.flags else {}


def _priority(frame: HeadersFrame | PriorityFrame, payload: bytes) -> dict[str, Detail]:
    return {
        "depends_on": frame.depends_on,
        "weight": frame.stream_weight + 1,
        "exclusive": int(frame.exclusive),
    }


def _altsvc(frame: AltSvcFrame, payload: bytes) -> dict[str, Detail]:
    return {"origin": _text(frame.origin), "value": _text(frame.field)}


# What else than its head a frame says, for those that say more.
_DETAILS: dict[type[Frame], Callable[..., dict[str, Detail]]] = {
    SettingsFrame: _settings,
    GoAwayFrame: _goaway,
    HeadersFrame: _headers,
    PriorityFrame: _priority,
    AltSvcFrame: _altsvc,
    RstStreamFrame: lambda frame, payload: {"error": _error(frame.error_code)},
    PingFrame: lambda frame, payload: {"data": frame.opaque_data.hex()},
    WindowUpdateFrame: lambda frame, payload: {"increment": frame.window_increment},
    PushPromiseFrame: lambda frame, payload: {"promised": frame.promised_stream_id},
}


def _detail(frame: Frame, payload: bytes, name: str) -> dict[str, Detail]:
    detail: dict[str, Detail] = {}
    look = _DETAILS.get(type(frame))
    if look is not None:
        detail = look(frame, payload)
    elif name == "PRIORITY_UPDATE":  # RFC 9218 section 7.1.
        detail = {
            "prioritized": int.from_bytes(payload[:4], "big") & 0x7FFFFFFF,
            "priority": _text(payload[4:]),
        }
    elif name == "ORIGIN":
        detail = {"origins": _text(payload)}
    padding = getattr(frame, "pad_length", 0)
    if padding:
        detail["padding"] = padding
    return detail


def _setting(code: int) -> str:
    if code == 9:  # RFC 9218 section 2.1; h2 has no name for it.
        return "NO_RFC7540_PRIORITIES"
    try:
        return SettingCodes(code).name
    except ValueError:
        return f"{code:#x}"


def _error(code: int) -> str:
    try:
        return ErrorCodes(code).name
    except ValueError:
        return f"{code:#x}"


def _text(data: bytes) -> str:
    return data[:MAX_TEXT].decode("latin-1")
