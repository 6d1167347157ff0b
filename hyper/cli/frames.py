"""Frames for people: a line for each, as it passes, in both directions.

The layout is nghttp's, with two things added: what flow control leaves after each DATA
and WINDOW_UPDATE, and how HPACK wrote every field. All that came from the server has
been made harmless for a terminal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from ..trace import Record, Table, Windows
from .terminal import Painter, one_line

#: The kinds of ``--frames`` by the names of frames; all others are ``other``.
_KINDS = {
    "DATA": "data",
    "BODY": "data",
    "HEADERS": "headers",
    "CONTINUATION": "headers",
    "REQUEST": "headers",
    "RESPONSE": "headers",
    "PRIORITY": "priority",
    "PRIORITY_UPDATE": "priority",
    "RST_STREAM": "reset",
    "SETTINGS": "settings",
    "PUSH_PROMISE": "push",
    "PING": "ping",
    "GOAWAY": "goaway",
    "WINDOW_UPDATE": "window",
}
_MARGIN = " " * 10
#: Bytes in a line of a hexdump, and lines of one frame that are shown.
_ROW = 16
_ROWS = 64

Sink = Callable[[Record], None]


class FrameView:
    """Shows records as they are made.

    :param out: where to.
    :param kinds: which: names of ``FRAME_KINDS``.
    :param hpack: whether to show how fields were written, and the table.
    :param hexdump: whether to show what is in the frames.
    """

    def __init__(
        self,
        out: TextIO,
        paint: Painter,
        kinds: frozenset[str],
        hpack: bool = False,
        hexdump: bool = False,
    ) -> None:
        self._out = out
        self._paint = paint
        self._kinds = kinds
        self._hpack = hpack
        self._hexdump = hexdump

    def __call__(self, record: Record) -> None:
        """Show a record. It is written in one piece, so that threads do not mix."""
        kind = _KINDS.get(record.kind, "other") if record.direction else "connection"
        if kind in self._kinds:
            self._out.write("\n".join(self._lines(record)) + "\n")
            self._out.flush()

    def _lines(self, record: Record) -> list[str]:
        paint = self._paint
        stamp = f"[{record.time:7.3f}] "
        if record.connection > 1:
            stamp += f"({record.connection}) "
        if not record.direction:
            said = " ".join(f"{k}={one_line(str(v))}" for k, v in record.detail.items())
            colour = "error" if record.is_error else "dim"
            return [stamp + paint(colour, f"{record.kind} {said}".rstrip())]
        colour = "dim" if "ACK" in record.flags else record.direction
        if record.is_error:
            colour = "error"
        named = f"{record.direction} {one_line(record.kind):13}"
        line = f"{stamp}{paint(colour, named)} {_head(record)}{_tail(record)}"
        lines = [line]
        lines += [_MARGIN + self._field(*one) for one in _fields(record)]
        if self._hpack and record.table is not None:
            lines += [_MARGIN + paint("dim", text) for text in _table(record.table)]
        if self._hexdump:
            lines += [_MARGIN + paint("dim", text) for text in _dump(record.payload)]
        return lines

    def _field(self, name: str, value: str, how: str) -> str:
        text = f"{self._paint('bold', one_line(name))}: {one_line(value)}"
        if self._hpack and how:
            width = len(one_line(name)) + len(one_line(value)) + 2
            text += " " * max(2, 36 - width) + self._paint("dim", how)
        return text


def _head(record: Record) -> str:
    flags = "|".join(record.flags) or "-"
    return f"<len={record.length} flags={flags} stream={record.stream_id}>"


def _tail(record: Record) -> str:
    """Return what a frame says beside its head, in the words of its kind."""
    detail = record.detail
    said = ""
    if record.kind == "RST_STREAM":
        said = f" {detail.get('error')}"
        if detail.get("error") == "REFUSED_STREAM":
            said += ": safe to retry"
    elif record.kind == "WINDOW_UPDATE":
        said = f" +{detail.get('increment')}"
    elif "start" in detail:
        said = f" {one_line(str(detail['start']))}"
    elif detail:
        pairs = (f"{name}={one_line(str(value))}" for name, value in detail.items())
        said = " " + " ".join(pairs)
    return said + _windows(record.windows)


def _windows(windows: Windows | None) -> str:
    if windows is None:
        return ""
    stream = ""
    if windows.stream is not None:
        stream = f"stream {windows.stream}/{windows.stream_size}, "
    return f"  window {stream}connection {windows.connection}/{windows.connection_size}"


def _fields(record: Record) -> list[tuple[str, str, str]]:
    return [
        (one.name, one.value, f"{one.how}, {one.size} B" if one.how else "")
        for one in record.fields
    ]


def _table(table: Table) -> list[str]:
    lines = [f"table: {table.size} of {table.limit} B, {len(table.entries)} entries"]
    for number, (name, value) in enumerate(table.entries, 62):
        lines.append(f"  {number}  {one_line(name)}: {one_line(value)}")
    return lines


def _dump(data: bytes) -> list[str]:
    """Return bytes as ``hexdump -C`` shows them."""
    lines = []
    for at in range(0, min(len(data), _ROW * _ROWS), _ROW):
        row = data[at : at + _ROW]
        digits = f"{row[:8].hex(' ')}  {row[8:].hex(' ')}"
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{at:08x}  {digits:48}  |{text}|")
    if len(data) > _ROW * _ROWS:
        lines.append(f"... {len(data) - _ROW * _ROWS} bytes more")
    return lines


class HeadView:
    """Shows the heads of requests as they are on the wire.

    :param out: where to.
    """

    def __init__(self, out: TextIO, paint: Painter) -> None:
        self._out = out
        self._paint = paint

    def __call__(self, record: Record) -> None:
        """Show a record, if it is the head of a request."""
        if record.direction != "send" or not record.fields:
            return
        lines = [one_line(str(record.detail["start"]))] if record.detail else []
        lines += [
            f"{self._paint('bold', one_line(one.name))}: {one_line(one.value)}"
            for one in record.fields
        ]
        self._out.write("\n".join(lines) + "\n\n")
        self._out.flush()
