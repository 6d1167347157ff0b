"""HPACK by libnghttp2, the C library, for those who prefer its coder to hyper's own.

::

    from hyper.contrib.nghttp2 import Nghttp2Machine

    conn = HTTP20Connection('http2bin.org', state_machine=Nghttp2Machine)

:class:`HDDeflater` and :class:`HDInflater` have the interface of nghttp2's own Python
bindings, by ``ctypes``; :class:`Encoder` and :class:`Decoder` have that of the
``hpack`` package on top of them, which is what state machines take.

It has to be asked for, because it is slower. C takes a microsecond for a section, but
each field has to be handed over, and objects made of each that comes back, every time;
hyper's own coder knows a section that it has seen before by one look into a dict.
docs/advanced.rst has figures.

What is to hold with any coder is seen to here. Fields that are sensitive are never
indexed (RFC 7541 section 7.1.3). A section that is too large is given up while it is
being decoded: a block of 64 KiB can stand for a hundred megabytes. The interface of
nghttp2's own bindings has no place for either, and so they are not used, even where
they are installed.

Importing this raises ImportError if the library is not there. Nothing is thread-safe.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
from ctypes.util import find_library

from hpack import HeaderTuple, NeverIndexedHeaderTuple
from hpack.exceptions import (
    HPACKDecodingError,
    HPACKError,
    OversizedHeaderListError,
)

from ..http20.hpack import (
    DEFAULT_MAX_HEADER_LIST_SIZE,
    DEFAULT_TABLE_SIZE,
    Field,
    in_order,
    plain,
    texts,
)
from ..http20.machine import ClientMachine

__all__ = ["Decoder", "Encoder", "HDDeflater", "HDInflater", "Nghttp2Machine"]

#: Octets that a field counts beside its name and value (RFC 9113 section 6.5.2).
_OVERHEAD = 32
#: More than any dynamic table may have: it is for the caller to say how much.
_NO_LIMIT = 2**32 - 1

# Of nghttp2.h.
_FLAG_NO_INDEX = 0x01
_INFLATE_FINAL, _INFLATE_EMIT = 0x01, 0x02


class _Given(ctypes.Structure):
    """``nghttp2_nv``: a field that C is to read."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("value", ctypes.c_char_p),
        ("name_size", ctypes.c_size_t),
        ("value_size", ctypes.c_size_t),
        ("flags", ctypes.c_uint8),
    )


class _Got(ctypes.Structure):
    """``nghttp2_nv``: a field that C has written. It may have zeros in it."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("value", ctypes.c_void_p),
        ("name_size", ctypes.c_size_t),
        ("value_size", ctypes.c_size_t),
        ("flags", ctypes.c_uint8),
    )

    name: int | None
    value: int | None
    name_size: int
    value_size: int
    flags: int


def _load() -> ctypes.CDLL:
    # To find a library by its name may start a compiler: first where most have it.
    for name in ("libnghttp2.so.14", find_library("nghttp2")):
        if name is not None:
            try:
                return ctypes.CDLL(name)
            except OSError:
                continue
    raise ImportError("hyper.contrib.nghttp2 needs the library libnghttp2")


_library = _load()
_deflate = _library.nghttp2_hd_deflate_hd
_inflate = _library.nghttp2_hd_inflate_hd2
_bound = _library.nghttp2_hd_deflate_bound
_deflate_limit = _library.nghttp2_hd_deflate_get_max_dynamic_table_size
_inflate_limit = _library.nghttp2_hd_inflate_get_max_dynamic_table_size
_deflate.restype = _inflate.restype = ctypes.c_ssize_t
_bound.restype = _deflate_limit.restype = _inflate_limit.restype = ctypes.c_size_t
for _name in ("deflate_del", "inflate_del", "inflate_end_headers"):
    _library[f"nghttp2_hd_{_name}"].argtypes = (ctypes.c_void_p,)


class HDDeflater:
    """Encodes header sections: the interface of nghttp2's own Python bindings.

    :param hd_table_bufsize_max: the largest dynamic table to use, in octets.
    :raises MemoryError: if there is none left.
    """

    def __init__(self, hd_table_bufsize_max: int = DEFAULT_TABLE_SIZE) -> None:
        self._self = ctypes.c_void_p()
        size = ctypes.c_size_t(hd_table_bufsize_max)
        if _library.nghttp2_hd_deflate_new(ctypes.byref(self._self), size):
            raise MemoryError("nghttp2 has no memory for a deflater")

    def __del__(self) -> None:
        if self._self:
            _library.nghttp2_hd_deflate_del(self._self)

    @property
    def table_size(self) -> int:
        """The limit of the dynamic table, in octets."""
        return int(_deflate_limit(self._self))

    def deflate(
        self, headers: Iterable[tuple[bytes, bytes] | tuple[bytes, bytes, bool]]
    ) -> bytes:
        """Return the block of a header section.

        :param headers: names in lower case and values; a third item that is true
            keeps a field out of every table. nghttp2 itself does that to some more.
        :raises hpack.HPACKError: if it cannot be done.
        """
        given = []
        for field in headers:
            name, value = field[:2]
            flags = _FLAG_NO_INDEX if len(field) > 2 and field[2] else 0
            given.append(_Given(name, value, len(name), len(value), flags))
        count = ctypes.c_size_t(len(given))
        fields = (_Given * len(given))(*given)
        size = _bound(self._self, fields, count)
        buffer = ctypes.create_string_buffer(size)
        length = _deflate(self._self, buffer, ctypes.c_size_t(size), fields, count)
        if length < 0:
            raise HPACKError(f"nghttp2 does not encode it: error {length}")
        return buffer.raw[:length]

    def change_table_size(self, hd_table_bufsize_max: int) -> None:
        """Change the limit of the dynamic table; the next block tells the peer."""
        _library.nghttp2_hd_deflate_change_table_size(
            self._self, ctypes.c_size_t(hd_table_bufsize_max)
        )


class HDInflater:
    """Decodes header blocks: the interface of nghttp2's own Python bindings.

    :raises MemoryError: if there is none left.
    """

    def __init__(self) -> None:
        self._self = ctypes.c_void_p()
        if _library.nghttp2_hd_inflate_new(ctypes.byref(self._self)):
            raise MemoryError("nghttp2 has no memory for an inflater")

    def __del__(self) -> None:
        if self._self:
            _library.nghttp2_hd_inflate_del(self._self)

    @property
    def table_size(self) -> int:
        """The size that the peer has chosen for the dynamic table, in octets."""
        return int(_inflate_limit(self._self))

    def inflate(self, data: bytes, limit: int | None = None) -> list[HeaderTuple]:
        """Return the fields of a block.

        :param limit: of the section, in the octets of RFC 9113 section 6.5.2; None for
            none, as in nghttp2's own bindings.
        :raises hpack.OversizedHeaderListError: if it is over the limit.
        :raises hpack.HPACKDecodingError: if the block is not right. No other can be
            decoded then.
        """
        fields: list[HeaderTuple] = []
        got, flags = _Got(), ctypes.c_int()
        address = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0
        at = size = 0
        while not flags.value & _INFLATE_FINAL:
            taken = _inflate(
                self._self,
                ctypes.byref(got),
                ctypes.byref(flags),
                ctypes.c_void_p(address + at),
                ctypes.c_size_t(len(data) - at),
                1,
            )
            if taken < 0:
                raise HPACKDecodingError(f"nghttp2 does not decode it: error {taken}")
            at += taken
            if flags.value & _INFLATE_EMIT:
                size += got.name_size + got.value_size + _OVERHEAD
                if limit is not None and size > limit:
                    raise OversizedHeaderListError(
                        f"a header section of more than {limit} octets"
                    )
                fields.append(_field(got))
        _library.nghttp2_hd_inflate_end_headers(self._self)
        return fields

    def change_table_size(self, hd_table_bufsize_max: int) -> None:
        """Change what the peer may choose for its dynamic table.

        If it has chosen more, its next block has to begin with a smaller choice.
        """
        _library.nghttp2_hd_inflate_change_table_size(
            self._self, ctypes.c_size_t(hd_table_bufsize_max)
        )


def _field(got: _Got) -> HeaderTuple:
    kind = NeverIndexedHeaderTuple if got.flags & _FLAG_NO_INDEX else HeaderTuple
    return kind(
        ctypes.string_at(got.name or 0, got.name_size),
        ctypes.string_at(got.value or 0, got.value_size),
    )


class Encoder:
    """As :class:`hyper.http20.hpack.Encoder`, by nghttp2."""

    def __init__(self) -> None:
        self._deflater = HDDeflater(_NO_LIMIT)

    @property
    def header_table_size(self) -> int:
        """The limit of the dynamic table, in octets; the next block tells a change."""
        return self._deflater.table_size

    @header_table_size.setter
    def header_table_size(self, value: int) -> None:
        self._deflater.change_table_size(value)

    def encode(
        self,
        headers: Iterable[Field] | Mapping[bytes | str, bytes | str],
        huffman: bool = True,
    ) -> bytes:
        """Return the block of a header section.

        :param headers: as for :class:`hyper.http20.hpack.Encoder`.
        :param huffman: without meaning: nghttp2 uses Huffman code where it is shorter.
        :raises hpack.HPACKError: if nghttp2 cannot encode it.
        """
        return self._deflater.deflate(map(plain, in_order(headers)))


class Decoder:
    """As :class:`hyper.http20.hpack.Decoder`, by nghttp2.

    A field of more than 64 KiB is refused, whatever the limit.

    :param max_header_list_size: the limit of one header section, in the octets of RFC
        9113 section 6.5.2. May be changed.
    """

    def __init__(
        self, max_header_list_size: int = DEFAULT_MAX_HEADER_LIST_SIZE
    ) -> None:
        self.max_header_list_size = max_header_list_size
        self._inflater = HDInflater()
        self._allowed = DEFAULT_TABLE_SIZE

    @property
    def header_table_size(self) -> int:
        """The size that the peer has chosen for the dynamic table, in octets."""
        return self._inflater.table_size

    @property
    def max_allowed_table_size(self) -> int:
        """The largest dynamic table that the peer may choose, in octets."""
        return self._allowed

    @max_allowed_table_size.setter
    def max_allowed_table_size(self, value: int) -> None:
        self._allowed = value
        self._inflater.change_table_size(value)

    def decode(self, data: bytes, raw: bool = False) -> list[HeaderTuple]:
        """Return the fields of a block, in order.

        :param raw: whether names and values are bytes; if not, they are str.
        :raises hpack.OversizedHeaderListError: if the section is over the limit.
        :raises hpack.HPACKDecodingError: for all other faults, and text that is not
            UTF-8.
        """
        fields = self._inflater.inflate(bytes(data), self.max_header_list_size)
        return fields if raw else texts(fields)


class Nghttp2Machine(ClientMachine):
    """hyper's HTTP/2 state machine, with header sections coded by nghttp2."""

    def __init__(self, settings: Mapping[int, int] | None = None) -> None:
        super().__init__(settings)
        ours = self.decoder
        self.encoder = Encoder()
        self.decoder = Decoder(ours.max_header_list_size)
        self.decoder.max_allowed_table_size = ours.max_allowed_table_size
