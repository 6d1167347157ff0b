"""The messages of one HTTP/1.1 connection, read from the bytes of both directions.

It follows messages that somebody else has checked, or will, only as far as to know
where a head begins: by Content-Length, by the chunked coding, or to the end of the
connection (RFC 9112 section 6.3). What it does not understand it takes for content.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

from .record import Field, Seen, redacted

#: A head that is longer is no head.
MAX_HEAD = 1024 * 1024


class _Extent:
    """Finds the end of a message's content.

    :param length: how many bytes it has; None if the connection's end is its end.
    :param chunked: whether it is in chunks, which say where they end.
    """

    def __init__(self, length: int | None, chunked: bool) -> None:
        self._left = 0 if chunked else length
        self._chunked = chunked
        self._line = b""  # of the chunked coding, as far as it has come
        self._gap = False  # the line to come ends a chunk
        self._trailers = False
        self.done = self._left == 0 and not chunked

    def feed(self, data: bytes) -> int:
        """Take bytes and return how many of them are in it."""
        if self._left is None:
            return len(data)
        at = 0
        while at < len(data) and not self.done:
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                self.done = not self._left and not self._chunked
                continue
            end = data.find(b"\n", at)
            if end < 0:
                self._line += data[at:]
                return len(data)
            line = (self._line + data[at:end]).strip()
            self._line = b""
            at = end + 1
            self._read(line)
            if self._left is None:
                return len(data)
        return at

    def _read(self, line: bytes) -> None:
        if self._trailers:
            self.done = not line
        elif self._gap:
            self._gap = False
        else:
            size = line.partition(b";")[0].strip()
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}", size):
                self._left = None  # Broken: all of the rest is content.
                return
            self._left = int(size, 16)
            self._gap = True
            self._trailers = not self._left


class _Side:
    """One direction."""

    def __init__(self) -> None:
        self.head = b""
        self.extent: _Extent | None = None  # None between messages
        self.number = 0


class MessageReader:
    """Turns the bytes of a connection into heads and content.

    :param secrets: whether to keep the values of secret fields.
    """

    def __init__(self, secrets: bool = False) -> None:
        self._secrets = secrets
        self._ours = _Side()
        self._theirs = _Side()
        self._methods: deque[str] = deque()  # of requests without a response
        #: What came after the head of a response with status 101.
        self.leftover = b""
        self._switched = False

    def sent(self, data: bytes) -> Iterator[Seen]:
        """Take the next bytes that this side sends."""
        side = self._ours
        while data:
            if side.extent is not None:
                taken = side.extent.feed(data)
                yield self._content(side, taken)
                data = data[taken:]
                continue
            head, data = self._take_head(side, data)
            if not head:
                return
            side.number += 1
            start, fields = self._parse(head)
            method = start.partition(" ")[0]
            self._methods.append(method)
            length = _length(fields) or 0
            extent = _Extent(None if method == "CONNECT" else length, _chunked(fields))
            if not extent.done:
                side.extent = extent
            yield _head("REQUEST", side.number, head, start, fields, extent.done)

    def received(self, data: bytes) -> Iterator[Seen]:
        """Take the next bytes that the peer sends."""
        side = self._theirs
        while data and not self._switched:
            if side.extent is not None:
                taken = side.extent.feed(data)
                yield self._content(side, taken)
                data = data[taken:]
                continue
            head, data = self._take_head(side, data)
            if not head:
                return
            start, fields = self._parse(head)
            status = (start.split(" ") + [""])[1]
            if status == "101":
                self._switched = True
            interim = status.startswith("1")
            number = side.number + 1
            extent = _Extent(0, False)
            if not interim:
                side.number = number
                method = self._methods.popleft() if self._methods else ""
                bare = method == "HEAD" or status in ("204", "304")
                length = 0 if bare else _length(fields)
                extent = _Extent(length, not bare and _chunked(fields))
                if not extent.done:
                    side.extent = extent
            last = extent.done and not interim
            yield _head("RESPONSE", number, head, start, fields, last)
        if self._switched:
            self.leftover += data

    def _content(self, side: _Side, length: int) -> Seen:
        assert side.extent is not None
        done = side.extent.done
        if done:
            side.extent = None
        return Seen("BODY", side.number, length, _flags(done))

    def _take_head(self, side: _Side, data: bytes) -> tuple[bytes, bytes]:
        """Return a whole head, or b"", and the bytes behind it."""
        before = len(side.head)
        side.head += data
        end = side.head.find(b"\r\n\r\n", max(0, before - 3))
        if end < 0:
            if len(side.head) > MAX_HEAD:
                side.head = b""
                side.extent = _Extent(None, False)
            return b"", b""
        head, rest = side.head[: end + 4], side.head[end + 4 :]
        side.head = b""
        return head, rest

    def _parse(self, head: bytes) -> tuple[str, tuple[Field, ...]]:
        start, *lines = head.decode("latin-1").strip("\r\n").split("\r\n")
        fields = []
        for line in lines:
            name, _, value = line.partition(":")
            value = value.strip()
            fields.append(Field(name, redacted(name, value, self._secrets)))
        return start, tuple(fields)


def _head(
    kind: str,
    number: int,
    head: bytes,
    start: str,
    fields: tuple[Field, ...],
    last: bool,
) -> Seen:
    return Seen(kind, number, len(head), _flags(last), fields, {"start": start})


def _flags(last: bool) -> tuple[str, ...]:
    """Return what HTTP/2 would say of the last piece of a message."""
    return ("END_STREAM",) if last else ()


def _value(fields: tuple[Field, ...], name: str) -> str | None:
    return next((one.value for one in fields if one.name.lower() == name), None)


def _length(fields: tuple[Field, ...]) -> int | None:
    value = (_value(fields, "content-length") or "").partition(",")[0]
    return int(value) if re.fullmatch("[0-9]{1,19}", value) else None


def _chunked(fields: tuple[Field, ...]) -> bool:
    value = _value(fields, "transfer-encoding") or ""
    return value.lower().rstrip().endswith("chunked")
