"""The words of a trace: one kind of record for all that happens on a connection.

A record is plain data that can be written as JSON and read back with nothing lost, so
that a trace can be shown in other ways later than when it was made. Bytes of the wire
that are text become str by Latin-1, which loses none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: In the place of a secret.
REDACTED = "[redacted]"
#: Names of fields whose values are secrets.
SECRET = frozenset(("authorization", "proxy-authorization", "cookie", "set-cookie"))

#: What a detail of a record may be.
Detail = str | int


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a header section, and how it was written."""

    name: str
    value: str
    #: How HPACK (RFC 7541 section 6) wrote it, such as ``static 2``; "" in HTTP/1.1.
    how: str = ""
    #: How many bytes it took; 0 in HTTP/1.1.
    size: int = 0


@dataclass(frozen=True, slots=True)
class Windows:
    """What flow control leaves to the sender of a frame (RFC 9113 section 5.2)."""

    #: Bytes left on the stream, and the most there have been; None if it is not known.
    stream: int | None
    stream_size: int | None
    #: The same of the connection.
    connection: int
    connection_size: int


@dataclass(frozen=True, slots=True)
class Table:
    """The dynamic table of HPACK after a header section (RFC 7541 section 2.3.2)."""

    #: Bytes used, as section 4.1 counts them, and allowed.
    size: int
    limit: int
    #: The entries, the newest, which is number 62, first.
    entries: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame, or a piece of HTTP/1.1, that a reader has found; the words of a Record.

    A reader knows neither time nor connection.
    """

    kind: str
    stream_id: int = 0
    length: int = 0
    flags: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    detail: Mapping[str, Detail] = field(default_factory=dict)
    windows: Windows | None = None
    table: Table | None = None
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that happened on a connection."""

    #: Seconds since the trace began.
    time: float
    #: Which connection it was, from 1.
    connection: int
    #: The name of a frame of HTTP/2; ``REQUEST``, ``RESPONSE`` or ``BODY`` of HTTP/1.1;
    #: or a step of the connection: ``start``, ``dns``, ``tcp``, ``proxy``, ``tls``,
    #: ``speak``, ``closed``.
    kind: str
    #: ``send``, ``recv``, or "" for a step.
    direction: str = ""
    #: The stream; 0 for the connection; in HTTP/1.1 the number of the exchange.
    stream_id: int = 0
    #: Bytes of the frame without its head, or of the piece of HTTP/1.1.
    length: int = 0
    flags: tuple[str, ...] = ()
    #: The header section that is complete with this frame.
    fields: tuple[Field, ...] = ()
    #: What else there is to know, by name.
    detail: Mapping[str, Detail] = field(default_factory=dict)
    windows: Windows | None = None
    #: Only if the recorder was asked for tables.
    table: Table | None = None
    #: Only if the recorder was asked for payloads.
    payload: bytes = b""

    @property
    def ends_stream(self) -> bool:
        """True if its sender has nothing more to say on the stream."""
        return "END_STREAM" in self.flags

    @property
    def is_error(self) -> bool:
        """True if it tells of a failure: of a stream, or of the connection."""
        if self.kind == "RST_STREAM":
            return self.detail.get("error") not in ("NO_ERROR", "CANCEL")
        if self.kind == "GOAWAY":
            return self.detail.get("error") != "NO_ERROR"
        return "failure" in self.detail

    @property
    def promised(self) -> int:
        """Which stream a PUSH_PROMISE promises; 0 if it is none."""
        number = self.detail.get("promised")
        return number if isinstance(number, int) else 0

    def value(self, name: str) -> str | None:
        """Return the value of the first field of this name; None if there is none."""
        return next((one.value for one in self.fields if one.name == name), None)


def redacted(name: str, value: str, secrets: bool) -> str:
    """Return a field's value, or what stands for it if it is a secret."""
    return value if secrets or name.lower() not in SECRET else REDACTED
