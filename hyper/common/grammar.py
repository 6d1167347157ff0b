"""The words of HTTP/1.1: from bytes to words and back, without any state.

A Protocol knows what comes next and what it means, in an exchange with a server or in
the handshake with a proxy; this file knows how it is spelt. Everything is matched by
regular expressions that are the grammar of RFC 9112, never by ``int()`` and
``split()``, which take ``+5``, ``1_0`` and ``0x5``. Where the RFC permits leniency it
is taken only where no second reader of the same bytes could see other fields or another
length.

A header section is split by one regular expression in one pass; only one that does not
match is looked at again, for continued lines, and then for what to complain about.

Section numbers are RFC 9112's unless another RFC is named. Whatever is raised here is a
:class:`~hyper.common.exceptions.RemoteProtocolError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .exceptions import (
    ChunkedDecodeError,
    InvalidResponseError,
    LineTooLongError,
)
from .request import Request
from .stream import Fields

# The grammar. A class that is repeated is never followed by one that it overlaps, so
# that no input makes the engine try again from every position.

#: Section 4, except that reason and the space before it may be missing, as http.client
#: and h11 permit. Codes over 599 are in use, and RFC 9110 15 asks us to go on.
_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9][0-9])(?: ([^\r\n\0]*))?\r?\n")

#: Section 5. A lone LF ends a line as well (2.2). Control characters other than CR, LF
#: and NUL are kept in values: RFC 9110 5.5 lets us, and they divide nothing. The one
#: space that nearly every value begins with is no part of it.
_FIELD_LINE = re.compile(
    rb"^([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?([^\r\n\0]*)\r?\n", re.MULTILINE
)

#: What is in a section if a value has further blanks around it.
_BLANKS = (b":  ", b" \r", b" \n", b"\t")

#: Section 5.2.
_FOLD = re.compile(rb"\r?\n(?=[ \t])")

#: RFC 9110 8.6; 20 digits, as h11, are 2^66 bytes.
_LENGTH = re.compile(rb"[0-9]{1,20}")

#: Section 7.1, to 64 bits. A lone LF does not end this line: 2.2 permits it in start
#: lines and fields only, and a proxy that takes it for part of an extension would see
#: other chunks than we do ("chunk extension" smuggling of 2025). Blanks at the end are
#: sent by real servers and accepted by h11, curl and the browsers.
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n\0]*)?\r\n")

_STEERING = frozenset(
    (b"content-length", b"transfer-encoding", b"connection", b"upgrade")
)


class _Roles(dict[bytes, bytes]):
    """By a field's name, as it is spelt: what it steers, in lower case, or nothing.

    A memo, since few names are ever seen. Shared by all threads, of which two may at
    the worst find the same out.
    """

    def __missing__(self, name: bytes) -> bytes:
        folded = name.lower()
        role = folded if folded in _STEERING else b""
        if len(self) < 1000 and len(name) < 100:
            self[name] = role
        return role


_ROLES = _Roles()

#: The values of those fields that steer a connection and are there, by lower-case name.
Control = Mapping[bytes, Sequence[bytes]]


class Head(NamedTuple):
    minor: int
    status: int
    reason: bytes
    fields: Fields


def parse_head(block: bytes, max_fields: int) -> Head:
    """Read a status line and the fields after it, each line ended by LF or CRLF."""
    match = _STATUS_LINE.match(block)
    if match is None:
        line = block[: block.index(b"\n")]
        raise InvalidResponseError(
            f"server sent a malformed status line: {shown(line)}"
        )
    minor, status, reason = match.groups(b"")
    fields = parse_fields(block, max_fields, match.end())
    return Head(int(minor), int(status), reason.strip(b" \t"), fields)


def parse_fields(block: bytes, max_fields: int, start: int = 0) -> Fields:
    """Split lines that each end in LF into names and values without outer blanks."""
    fields: Fields = _FIELD_LINE.findall(block, start)
    # A match is one whole line: as many matches as lines, and no line is unmatched.
    if len(fields) != block.count(b"\n", start):
        fields = _parse_folded(block[start:])
    if len(fields) > max_fields:
        raise LineTooLongError(f"server sent more than {max_fields} fields")
    for blanks in _BLANKS:
        if blanks in block:
            return [(name, value.strip(b" \t")) for name, value in fields]
    return fields


def _parse_folded(block: bytes) -> Fields:
    """Try again with continued lines joined by one space (5.2).

    A first line that begins with a blank continues nothing and is rejected (2.2).
    """
    first, *rest = _FOLD.split(block)
    pieces = [first.rstrip(b" \t"), *(piece.strip(b" \t") for piece in rest)]
    block = b" ".join(pieces)
    fields: Fields = _FIELD_LINE.findall(block)
    if len(fields) != block.count(b"\n"):
        lines = block.split(b"\n")
        bad = next(line for line in lines if not _FIELD_LINE.match(line + b"\n"))
        raise InvalidResponseError(f"server sent a malformed field: {shown(bad)}")
    return fields


def parse_chunk_size(line: bytes) -> int:
    match = _CHUNK_LINE.fullmatch(line)
    if match is None:
        raise ChunkedDecodeError(
            f"server sent a chunk size that is not hexadecimal: {shown(line)}"
        )
    return int(match[1], 16)


def check_codings(values: Sequence[bytes]) -> int:
    """Accept "chunked", alone, and return how often it is named.

    Proxies name it once more (6.1 forbids it) but never do it twice: curl, the browsers
    and we take it for said once.

    Other codings were not offered (no TE field is sent), so a server may not use them
    (7.4), and a body that is handed on still coded is silently wrong. This rejects
    ``identity`` too, which left HTTP with RFC 7230; Go's client does so since 1.15.
    """
    codings = [coding.strip(b" \t") for coding in b",".join(values).split(b",")]
    named = [coding.lower() for coding in codings if coding]
    if set(named) != {b"chunked"}:
        raise InvalidResponseError(
            "server sent a Transfer-Encoding that is not chunked: "
            + shown(b", ".join(values))
        )
    return len(named)


def parse_length(values: Sequence[bytes]) -> int:
    """Read Content-Length, repeated perhaps by a careless proxy (6.3 step 5)."""
    if len(values) == 1 and _LENGTH.fullmatch(values[0]):
        return int(values[0])
    parts = {part.strip(b" \t") for value in values for part in value.split(b",")}
    first = parts.pop()
    if parts or not _LENGTH.fullmatch(first):
        raise InvalidResponseError(
            "server sent a Content-Length that is not one number: "
            + shown(b", ".join(values))
        )
    return int(first)


def persists(minor: int, control: Control) -> bool:
    """True if the server will take another request after this one (9.3).

    The keep-alive of HTTP/1.0 is honoured: the response says itself where it ends, or
    the framing has already closed the connection.
    """
    if b"connection" not in control:
        return minor > 0
    options = tokens(control[b"connection"])
    return b"close" not in options and (minor > 0 or b"keep-alive" in options)


def control_fields(fields: Fields) -> Control:
    """Pick the values of the fields that steer the connection, in one pass."""
    control: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        role = _ROLES[name]
        if role:
            control.setdefault(role, []).append(value)
    return control


def tokens(values: Iterable[bytes]) -> set[bytes]:
    """Return the members of a list field, in lower case."""
    return {part.strip(b" \t").lower() for v in values for part in v.split(b",")}


class Buffer:
    """Bytes received and not yet parsed.

    What arrives at an empty buffer is kept as it is, so that a body passes through
    without being copied. Only what has to be joined becomes a bytearray, whose appends
    are cheap. A search that failed is resumed where it stopped, so that a line that
    comes byte by byte costs no more than one that comes whole.
    """

    __slots__ = ("_at", "_searched", "data")

    def __init__(self) -> None:
        self.clear()

    def __len__(self) -> int:
        return len(self.data) - self._at

    def clear(self) -> None:
        #: Empty if there is no rest; else what was fed, with some that may be taken.
        self.data: bytes | bytearray = b""
        self._at = 0  # where the rest begins
        self._searched = 0  # what was looked for is not before this

    def feed(self, data: bytes) -> None:
        if not self.data:
            self.data = data
            return
        if self._at or isinstance(self.data, bytes):
            self.data = bytearray(memoryview(self.data)[self._at :])
            self._searched = max(0, self._searched - self._at)
            self._at = 0
        self.data += data

    def peek(self, amount: int) -> bytes:
        return bytes(self.data[self._at : self._at + amount])

    def begins_with(self, prefix: bytes) -> bool:
        return self.data.startswith(prefix, self._at)

    def take(self, amount: int) -> bytes:
        """Take ``amount`` bytes, or all if there are fewer."""
        data, at = self.data, self._at
        end = at + amount
        if end < len(data):
            self._at = end
            return bytes(data[at:end])
        self.data, self._at, self._searched = b"", 0, 0
        return bytes(data[at:])

    def agrees_with(self, prefix: bytes) -> bool:
        """True if the rest begins with ``prefix``, or may yet."""
        return prefix.startswith(self.peek(len(prefix)))

    def take_empty_line(self) -> bool | None:
        """Take CRLF or LF and return True; None if what is there may become one."""
        start = self.peek(2)
        if start == b"\r":
            return None
        if start == b"\r\n":
            self.take(2)
            return True
        if start[:1] == b"\n":
            self.take(1)
            return True
        return False

    def take_line(self) -> bytes | None:
        """Take what ends with the next LF; None if there is none."""
        end = self.data.find(b"\n", max(self._at, self._searched))
        if end < 0:
            self._searched = len(self.data)
            return None
        return self.take(end + 1 - self._at)

    def take_block(self) -> bytes | None:
        """Take the lines before the next empty one, and drop that one; None: none."""
        data, at = self.data, self._at
        start = max(at, self._searched)
        end, length = data.find(b"\n\r\n", start), 2
        # The same for bare LF, which counts if it comes first.
        bare = data.find(b"\n\n", start, len(data) if end < 0 else end + 1)
        if bare >= 0:
            end, length = bare, 1
        if end < 0:
            self._searched = max(at, len(data) - 2)
            return None
        block = bytes(data[at : end + 1])
        self.take(end + 1 + length - at)
        return block


def request_head(request: Request) -> bytes:
    """Write the request line and the fields (3, 5).

    Host comes first, as RFC 9110 7.2 asks.
    """
    # 3.2.3: authority-form is for CONNECT, and only for it.
    target = request.authority if request.is_connect else request.target
    head = b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (
        request.method,
        target,
        request.authority,
    )
    if request.headers:
        head += b"".join([b"%b: %b\r\n" % field for field in request.headers])
    if request.body_length is None and not request.is_connect:
        head += b"Transfer-Encoding: chunked\r\n"
    return head + b"\r\n"


def shown(data: bytes) -> str:
    """Show bytes of the server's, of which there may be very many."""
    return repr(data[:60]) + ("..." if len(data) > 60 else "")
