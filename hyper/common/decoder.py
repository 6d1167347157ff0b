"""Content codings undone, a bounded piece at a time (RFC 9110 section 8.4).

A megabyte of gzip can stand for a gigabyte, and five codings one inside the other for
more than there is. So a :class:`Decoder` is asked for *at most so many bytes*, and
makes no more than that: what it holds between calls is the input it was fed, the
windows of its codings and at most :data:`_PIECE` bytes between each two of them.
Whoever reads decides how much comes out, and may stop at any time.

The libraries differ in how they say "there is more", so each is put behind one small
:class:`_Engine`, for *one* member (gzip) or frame (zstd) of a body. The
:class:`_Stage` above it strings members together, and the :class:`Decoder` the stages.

What is at the edges:

- A body of no bytes is fine in any coding: servers send it with HEAD, 304 and errors.
- Members of gzip follow each other (RFC 1952 section 2.2), as do frames of zstd (RFC
  8878 section 3). What follows a member and begins no other, such as padding with
  zeros, is ignored, as by gzip(1), curl and the browsers; so is what follows deflate.
  After br and zstd it is an error, as in their own tools.
- ``deflate`` means zlib's format (RFC 9110 section 8.4.1.2), but some servers send
  the bare one. A first byte tells: in the bare format it would begin a stored block
  with padding that is not zero, which nobody writes.
- A coding that is unknown, or whose library is not installed, leaves the whole body as
  it is (:func:`decoder_for` returns None). The user did not ask for it, or asked for it
  in order to decode it.
- brotli below 1.2 cannot bound what it makes (CVE-2025-6176) and counts as missing.
- zstd may use a window of 8 MiB at most (RFC 9659).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Protocol

from .exceptions import DecodingError

#: More codings than this, one inside the other, are an attack.
_MOST_CODINGS = 5
#: How much one coding may hand to the next at a time.
_PIECE = 65536
#: How much input an engine gets at a time. It copies what it does not take.
_SLICE = 16384
#: How many pieces the inner codings may make in one call without any output.
_PATIENCE = 64
#: The logarithm of 8 MiB.
_ZSTD_WINDOW_LOG = 23

_BROTLI = ("brotli", "brotlicffi")
_ZSTD = ("compression.zstd", "backports.zstd")


class Decoder:
    """The codings of one body. Not safe for use by several threads at once."""

    __slots__ = ("_fault", "_patience", "_stages")

    def __init__(self, stages: list[_Stage]) -> None:
        """Make one with :func:`decoder_for`. The first stage takes what arrived."""
        self._stages = stages
        self._patience = 0
        # What went wrong: the words alone, as an error would hold on to its frames.
        self._fault: str | None = None

    @property
    def needs_input(self) -> bool:
        """False while :meth:`decode` may give more output without more input."""
        return all(stage.needs_input for stage in self._stages)

    def decode(self, data: bytes, max_length: int) -> bytes:
        """Take the next bytes of the body and return the next bytes of its content.

        :param data: may be empty, and should be while :attr:`needs_input` is False.
        :param max_length: how many bytes to return at most; at least 1.
        :returns: ``b''`` if more input is needed. But while :attr:`needs_input` is
            False, ``b''`` only says that this took long enough for one call: that is
            the chance to look at a deadline.
        :raises DecodingError: if the body is corrupt; and from then on.
        """
        if max_length < 1:
            raise ValueError("max_length must be at least 1")
        if self._fault is not None:
            raise DecodingError(self._fault)
        self._stages[0].feed(data)
        self._patience = _PATIENCE
        try:
            return self._pull(len(self._stages) - 1, max_length)
        except DecodingError as error:
            self._fault = str(error)
            raise

    def finish(self) -> None:
        """Take the end of the body, once :attr:`needs_input` is True.

        :raises DecodingError: if a coding is cut short; or as :meth:`decode` did.
        """
        if self._fault is not None:
            raise DecodingError(self._fault)
        for stage in self._stages:
            if stage.unfinished:
                raise DecodingError(f"the body's {stage.coding} coding is cut short")

    def _pull(self, place: int, limit: int) -> bytes:
        """Get output from a stage, feeding it from the one before as need be."""
        stage = self._stages[place]
        while True:
            output = stage.take(limit)
            if output or place == 0 or self._patience == 0:
                return output
            self._patience -= 1
            piece = self._pull(place - 1, _PIECE)
            if not piece:
                return b""
            stage.feed(piece)


def decoder_for(codings: Iterable[bytes]) -> Decoder | None:
    """Return what undoes the codings, or None if the body is to be left as it is.

    :param codings: the values of Content-Encoding, in the order in which the codings
        were applied; each may itself be a list. None is returned for nothing but
        ``identity``, and if any coding cannot be undone here.
    :raises DecodingError: if there are more than five.
    """
    names = [name.strip(b" \t").lower() for name in b",".join(codings).split(b",")]
    names = [name for name in names if name]
    if len(names) > _MOST_CODINGS:
        raise DecodingError(
            f"the body has {len(names)} content-codings, more than {_MOST_CODINGS}"
        )
    stages = []
    for name in reversed(names):
        if name == b"identity":
            continue
        make = _STARTERS.get(name)
        start = make() if make else None
        if start is None:
            return None
        stages.append(_Stage(name.decode("ascii"), start))
    return Decoder(stages) if stages else None


@cache
def accept_encoding() -> bytes:
    """Return a value for Accept-Encoding: what can be decoded here.

    Whether zstd can is found out without importing it. brotli is imported (it takes
    less than a millisecond), since only the module itself knows its version.
    """
    codings = [b"gzip", b"deflate"]
    if _brotli() is not None:
        codings.append(b"br")
    if any(map(_installed, _ZSTD)):
        codings.append(b"zstd")
    return b", ".join(codings)


class _Engine(Protocol):
    """Decodes one member."""

    #: What the library raises for corrupt data.
    error: type[Exception]

    def decompress(self, data: bytes, limit: int) -> bytes:
        """Return at most ``limit`` bytes. ``data`` is empty unless ``hungry``."""

    @property
    def hungry(self) -> bool:
        """True if input may be given."""

    @property
    def left(self) -> bytes:
        """The end of the last input that has not been taken and has to come again."""

    @property
    def eof(self) -> bool:
        """True after the member's last byte of output."""


#: Makes the engine of the next member out of its first byte; True for the first member.
#: None: there is none, and whatever follows is to be ignored.
_Start = Callable[[int, bool], _Engine | None]


class _Stage:
    """One coding: input in, output out, member after member."""

    __slots__ = (
        *("_at", "_engine", "_first", "_ignoring", "_input", "_more", "_start"),
        "coding",
    )

    def __init__(self, coding: str, start: _Start) -> None:
        self.coding = coding
        self._start = start
        self._engine: _Engine | None = None
        self._first = True
        self._ignoring = False
        #: What was fed, and how much of that an engine has taken.
        self._input = b""
        self._at = 0
        #: The engine may give more output without more input.
        self._more = False

    @property
    def needs_input(self) -> bool:
        return not self._more and self._at == len(self._input)

    @property
    def unfinished(self) -> bool:
        """True in the middle of a member."""
        return self._engine is not None

    def feed(self, data: bytes) -> None:
        if data and not self._ignoring:
            self._input = self._input[self._at :] + data
            self._at = 0

    def take(self, limit: int) -> bytes:
        """Return at most ``limit`` bytes of output; none if there is too little input.

        :raises DecodingError: if the input is corrupt.
        """
        while not self.needs_input:
            if self._engine is None:
                self._engine = self._start(self._input[self._at], self._first)
                self._first = False
                if self._engine is None:
                    self._ignoring = True
                    break
            output = self._step(self._engine, limit)
            if output:
                return output
        self._input = b""
        self._at = 0
        return b""

    def _step(self, engine: _Engine, limit: int) -> bytes:
        """Let the engine work on one slice of input."""
        data = b""
        try:
            if engine.hungry:
                data = self._input[self._at : self._at + _SLICE]
            output = engine.decompress(data, limit)
            self._at += len(data) - len(engine.left)
            if engine.eof:
                self._engine = None
                self._more = False
            else:
                # An engine that filled its limit may be in the middle of a copy.
                self._more = len(output) == limit or not engine.hungry
        except engine.error as error:
            what = f"the body is not valid {self.coding}"
            raise DecodingError(f"{what}: {error}") from error
        return output


class _Inflate:
    """gzip, zlib and the bare deflate format."""

    error: type[Exception] = zlib.error
    hungry = True

    def __init__(self, wbits: int) -> None:
        self._inner = zlib.decompressobj(wbits)

    def decompress(self, data: bytes, limit: int) -> bytes:
        return self._inner.decompress(data, limit)

    @property
    def left(self) -> bytes:
        return self._inner.unused_data or self._inner.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._inner.eof


class _Brotli:
    """br. The library's limit is about right: what it makes too much of is kept.

    It "can accept more data" as soon as it has no more input, even while it has output
    (seen in 1.2.1). Only a result below the limit tells that there is none left.
    """

    left = b""

    def __init__(self, library: ModuleType) -> None:
        self.error: type[Exception] = library.error
        self._inner = library.Decompressor()
        self._surplus = b""
        self._at = 0
        self._full = False

    def decompress(self, data: bytes, limit: int) -> bytes:
        if self._at == len(self._surplus):
            self._surplus = self._inner.process(data, output_buffer_limit=limit)
            self._at = 0
            self._full = len(self._surplus) >= limit
        output = self._surplus[self._at : self._at + limit]
        self._at += len(output)
        return output

    @property
    def hungry(self) -> bool:
        if self._full or self._at < len(self._surplus):
            return False
        return bool(self._inner.can_accept_more_data())

    @property
    def eof(self) -> bool:
        return self._at == len(self._surplus) and bool(self._inner.is_finished())


class _Zstd:
    """zstd. The library keeps the input that it has not come to."""

    def __init__(self, library: ModuleType) -> None:
        self.error: type[Exception] = library.ZstdError
        self._inner = library.ZstdDecompressor(
            options={library.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        )

    def decompress(self, data: bytes, limit: int) -> bytes:
        output: bytes = self._inner.decompress(data, limit)
        return output

    @property
    def hungry(self) -> bool:
        return bool(self._inner.needs_input)

    @property
    def left(self) -> bytes:
        unused: bytes = self._inner.unused_data
        return unused

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)


def _start_gzip(byte: int, first: bool) -> _Engine | None:
    return _Inflate(16 + zlib.MAX_WBITS) if first or byte == 0x1F else None


def _start_deflate(byte: int, first: bool) -> _Engine | None:
    if not first:
        return None
    # RFC 1950 section 2.2: CM is 8, CINFO at most 7.
    wrapped = byte & 0x8F == 0x08
    return _Inflate(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)


def _starter_of_brotli() -> _Start | None:
    library = _brotli()
    if library is None:
        return None

    def start(byte: int, first: bool) -> _Engine:
        if not first:
            raise DecodingError("the body is not valid br: there is more after its end")
        return _Brotli(library)

    return start


def _starter_of_zstd() -> _Start | None:
    library = next(_imported(_ZSTD), None)
    return None if library is None else lambda byte, first: _Zstd(library)


#: What makes the starter of a coding, or says None if its library is missing.
_STARTERS: dict[bytes, Callable[[], _Start | None]] = {
    b"gzip": lambda: _start_gzip,
    b"x-gzip": lambda: _start_gzip,
    b"deflate": lambda: _start_deflate,
    b"br": _starter_of_brotli,
    b"zstd": _starter_of_zstd,
}


def _brotli() -> ModuleType | None:
    """Return a brotli library that can bound its output."""
    for library in _imported(_BROTLI):
        if hasattr(library.Decompressor, "can_accept_more_data"):
            return library
    return None


def _imported(names: Iterable[str]) -> Iterator[ModuleType]:
    """Import those of the modules that there are, one at a time."""
    for name in names:
        try:
            yield import_module(name)
        except ImportError:
            pass


def _installed(name: str) -> bool:
    """Return True if there is a module of this name; its package may be imported."""
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
