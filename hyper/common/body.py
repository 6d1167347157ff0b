"""A request's body: what users hand in, as pieces of bytes.

A body is looked at before anything is sent, for two facts: how long it is, which
becomes Content-Length, and whether it can be read a second time, which decides whether
a request that the server did not process may be sent again without the user noticing.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from .exceptions import LocalProtocolError

#: How much of a file is read at once: enough for four DATA frames.
READ_SIZE = 65536


@runtime_checkable
class Readable(Protocol):
    """Anything with a ``read`` that returns bytes."""

    def read(self, amount: int, /) -> bytes: ...


#: What users may give as ``body``.
BodyLike: TypeAlias = (
    "str | bytes | bytearray | memoryview | Readable | Iterable[bytes] | None"
)


@dataclass(frozen=True, slots=True)
class Body:
    """The body of one request.

    Iterating over it calls the user's code, so no lock may be held meanwhile.
    """

    #: Its size in bytes; None if only its end will tell.
    length: int | None
    #: Whether iterating a second time gives the same bytes again.
    replayable: bool
    _source: bytes | Readable | Iterable[bytes]
    #: Where a file stood when it was handed in; None if it cannot go back there.
    _start: int | None = None

    @property
    def whole(self) -> bool:
        """True if it comes in one piece, so that the first is the last."""
        return isinstance(self._source, bytes)

    @classmethod
    def of(cls, given: BodyLike) -> Body:
        """Return the Body for what a user gave.

        :param given: str (sent as UTF-8), bytes, anything with ``read`` that returns
            bytes, an iterable of bytes, or None for no body.
        :raises TypeError: for anything else, such as a mapping or a text file.
        """
        if given is None:
            return _NOTHING
        if isinstance(given, str):
            given = given.encode("utf-8")
        if isinstance(given, (bytes, bytearray, memoryview)):
            data = bytes(given)
            return cls(len(data), True, data)
        if isinstance(given, Readable):
            return cls._of_file(given)
        if isinstance(given, Mapping) or not isinstance(given, Iterable):
            raise TypeError(
                f"a body is str, bytes, a binary file or an iterable of bytes, "
                f"not {type(given).__name__}"
            )
        if isinstance(given, (list, tuple)):
            given = [_piece(item) for item in given]
        return cls(None, not isinstance(given, Iterator), given)

    @classmethod
    def _of_file(cls, file: Readable) -> Body:
        if isinstance(file, io.TextIOBase):
            raise TypeError("a file used as a body has to be opened in binary mode")
        start, length = _measure(file)
        return cls(length, start is not None, file, start)

    def __iter__(self) -> Iterator[bytes]:
        """Return the pieces from the beginning, none of them empty."""
        source = self._source
        if isinstance(source, bytes):
            return iter((source,) if source else ())
        if isinstance(source, Readable):
            return _read(source, self._start)
        return filter(None, map(_piece, source))


_NOTHING = Body(0, True, b"")


def _measure(file: Readable) -> tuple[int | None, int | None]:
    """Return (position, bytes from there to the end) of a file; None if unknown."""
    try:
        descriptor = file.fileno()  # type: ignore[attr-defined]
        if stat.S_ISCHR(os.fstat(descriptor).st_mode):
            return None, None  # Of /dev/urandom, both would be 0.
    except (AttributeError, OSError, TypeError, ValueError):
        pass  # Not one of the system's.
    try:
        start = file.tell()  # type: ignore[attr-defined]
        file.seek(0, io.SEEK_END)  # type: ignore[attr-defined]
        end = file.tell()  # type: ignore[attr-defined]  # mmap.seek returns nothing
        file.seek(start)  # type: ignore[attr-defined]
    except (AttributeError, OSError):  # io.UnsupportedOperation is an OSError
        return None, None
    if not isinstance(start, int) or not isinstance(end, int):
        return None, None  # Somebody's own idea of a file.
    return start, max(0, end - start)


def _read(file: Readable, start: int | None) -> Iterator[bytes]:
    if start is not None:
        file.seek(start)  # type: ignore[attr-defined]
    while True:
        # A short read is not the end: sockets and pipes give what they have.
        piece = _piece(file.read(READ_SIZE))
        if not piece:
            return
        yield piece


def _piece(item: object) -> bytes:
    if isinstance(item, (bytes, bytearray, memoryview)):
        return bytes(item)
    raise TypeError(f"a body yields bytes, not {type(item).__name__}")


class Meter:
    """Compares a body's bytes with the size that was announced for it.

    What it raises is not ``retry_safe``: the announcement has been sent.

    :ivar expected: the size in bytes, or None if none was announced.
    :ivar seen: how many bytes there were so far.
    """

    def __init__(self, expected: int | None) -> None:
        self.expected = expected
        self.seen = 0

    def add(self, amount: int) -> bool:
        """Note ``amount`` more bytes; return True if they are the last.

        :raises LocalProtocolError: if they are more than was announced.
        """
        self.seen += amount
        if self.expected is not None and self.seen > self.expected:
            raise _mismatch(
                f"the body is longer than its Content-Length of {self.expected}"
            )
        return self.seen == self.expected

    def finish(self) -> None:
        """Note the end of the body.

        :raises LocalProtocolError: if it came too early.
        """
        if self.expected is not None and self.seen < self.expected:
            raise _mismatch(
                f"the body has {self.seen} bytes; its Content-Length says "
                f"{self.expected}"
            )


def _mismatch(text: str) -> LocalProtocolError:
    error = LocalProtocolError(text)
    error.retry_safe = False
    return error
