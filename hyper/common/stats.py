"""What a connection has done so far, in numbers."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

_LENGTH_AND_TYPE = struct.Struct(">L").unpack_from  # RFC 9113 section 4.1

#: The names of HTTP/2's frames by their types (RFC 9113 section 6, RFC 7838 section 4,
#: RFC 8336 section 2, RFC 9218 section 7.1).
FRAME_NAMES = {
    0x0: "DATA",
    0x1: "HEADERS",
    0x2: "PRIORITY",
    0x3: "RST_STREAM",
    0x4: "SETTINGS",
    0x5: "PUSH_PROMISE",
    0x6: "PING",
    0x7: "GOAWAY",
    0x8: "WINDOW_UPDATE",
    0x9: "CONTINUATION",
    0xA: "ALTSVC",
    0xC: "ORIGIN",
    0x10: "PRIORITY_UPDATE",
}


@dataclass(frozen=True, slots=True)
class Stats:
    """The numbers of one connection on the wire, at one moment.

    Bytes are those of TCP: with TLS, the encrypted ones.
    """

    #: Requests that were opened on it.
    streams: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    #: How many frames of each type there were, by its name; nothing in HTTP/1.1.
    frames_sent: Mapping[str, int] = field(default_factory=dict)
    frames_received: Mapping[str, int] = field(default_factory=dict)
    #: What the latest :meth:`ping` has measured, in seconds; None before the first.
    round_trip: float | None = None


class FrameCounts(defaultdict[int, int]):
    """How many frames there were of each type."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(int)

    def by_name(self) -> dict[str, int]:
        """Return the same by the names of the types; unknown ones as ``0x2a``."""
        return {
            FRAME_NAMES.get(kind, f"{kind:#x}"): count
            for kind, count in sorted(self.items())
        }


class FrameCounter:
    """Counts the frames in a sequence of bytes that comes in pieces of any size.

    For machines that do not count what they read and write.

    :ivar counts: how many there were.
    :param skip: how many bytes come before the first frame.
    """

    def __init__(self, skip: int = 0) -> None:
        self._skip = skip  # bytes until the next frame begins
        self._head = b""  # the beginning of a frame's head
        self.counts = FrameCounts()

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        at, end = self._skip, len(data)
        if self._head:
            missing = 9 - len(self._head)
            self._head += data[:missing]
            if len(self._head) < 9:
                return
            head, self._head = self._head, b""
            self.counts[head[3]] += 1
            at = missing + int.from_bytes(head[:3], "big")
        counts = self.counts
        while at + 9 <= end:
            (word,) = _LENGTH_AND_TYPE(data, at)
            counts[word & 0xFF] += 1
            at += 9 + (word >> 8)
        if at < end:
            self._head = data[at:]
            at = end
        self._skip = at - end
