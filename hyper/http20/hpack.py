"""HPACK (RFC 7541): header sections to bytes and back, for one direction each.

The interface is that of the ``hpack`` package, whose tables, records and exceptions are
used; the code is not. What shaped it: a client sends nearly the same header section
again and again, and gets nearly the same back, and ``hpack`` spends as much on the
thousandth as on the first. Here what was worked out is kept, where that is exact:

* :class:`Encoder` finds a field in its dynamic table by a dict. A block that has put
  nothing into the table is kept whole until the table changes; strings in Huffman code
  are kept whatever happens to the table.
* :class:`Decoder` keeps two kinds of blocks. What has no index into the dynamic table
  always means the same, and does the same to the table: nginx sends nothing else. What
  has such an index, but puts nothing into the table, means the same until the table
  changes: most others send that.

All that is kept is bounded, and dropped when it is full: a peer that never repeats
itself costs what it cost before. What is true of every connection is kept once for all
of them, so that a thousand idle ones cost little more than their dynamic tables.

The encoder decides what to index as ``hpack`` does, with three exceptions. A field that
does not fit into the table is not put into it, as that would only empty it. A field
that is never indexed is a literal even if somebody has put an equal one into the table
(RFC 7541 section 7.1.3). Once a quarter of the table is taken, a path is put into it
only when it comes again: nghttp2 puts none there at all. Who asks for a thousand things
once each keeps in the table what these requests have in common, and little else in
memory. Strings are in Huffman code if that is shorter, as nghttp2's are. Neither class
is thread-safe.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Protocol as Interface

from hpack import HeaderTuple, NeverIndexedHeaderTuple
from hpack.exceptions import (
    HPACKDecodingError,
    InvalidTableIndexError,
    InvalidTableSizeError,
    OversizedHeaderListError,
)
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.table import HeaderTable

from ..common.memo import keep
from ..common.stream import Fields

#: A field as it is given to the encoder; a third item says whether it is sensitive.
Field = tuple[bytes | str, bytes | str] | tuple[bytes | str, bytes | str, bool | None]

#: RFC 9113 section 6.5.2: the size of both tables until SETTINGS say otherwise.
DEFAULT_TABLE_SIZE = 4096
DEFAULT_MAX_HEADER_LIST_SIZE = 65536
#: Octets of an integer after its prefix: enough for 32 bits.
MAX_INTEGER_OCTETS = 5
#: How many blocks are kept for one connection, and how many blocks, and strings, for
#: all of them; and how large they may be.
BLOCKS_KEPT = 8
SHARED_BLOCKS_KEPT = 64
LARGEST_BLOCK_KEPT = 1024
STRINGS_KEPT = 512
LARGEST_STRING_KEPT = 256
#: How many paths are remembered to tell whether one comes again.
PATHS_KEPT = 8
#: How many entries of the decoder's table may be evicted and still be there.
EVICTED_KEPT = 16
#: How many steps of the Huffman decoder are kept; ordinary text needs a third of them.
STEPS_KEPT = 10_000

_STATIC = (None, *(HeaderTuple(*entry) for entry in HeaderTable.STATIC_TABLE))
_FIRST_DYNAMIC = len(_STATIC)
_ENTRY_OVERHEAD = 32  # RFC 7541 section 4.1
_INCREMENTAL, _UPDATE, _NEVER, _WITHOUT = 0x40, 0x20, 0x10, 0x00

# The codes of RFC 7541 appendix B: by symbol, as digits; and to symbols. There, a code
# has a 1 before its digits, which keeps its leading zeros. The last symbol is EOS.
_DIGITS = [
    f"{code:0{length}b}"
    for code, length in zip(REQUEST_CODES, REQUEST_CODES_LENGTH, strict=True)
]
_SYMBOLS = {int(f"1{digits}", 2): symbol for symbol, digits in enumerate(_DIGITS)}
_EOS = len(_DIGITS) - 1
_LONGEST_PADDING = 0xFF  # seven ones, after the 1


def _integer(value: int, prefix: int, bits: int) -> bytes:
    """Return an integer whose prefix has so many bits, in an octet with ``prefix``.

    RFC 7541 section 5.1.
    """
    limit = (1 << bits) - 1
    if value < limit:
        return bytes((prefix | value,))
    octets = [prefix | limit]
    value -= limit
    while value > 0x7F:
        octets.append(0x80 | (value & 0x7F))
        value >>= 7
    octets.append(value)
    return bytes(octets)


_STATIC_FIELDS = {
    field: _integer(index, 0x80, 7) for index, field in enumerate(_STATIC) if field
}
#: The lowest index of each name.
_STATIC_NAMES = {
    field[0]: index for index, field in reversed([*enumerate(_STATIC)]) if field
}
_INDEXED = tuple(_integer(index, 0x80, 7) for index in range(256))


def _huffman(text: bytes) -> bytes:
    """Return the text in Huffman code (RFC 7541 section 5.2)."""
    digits = "".join(map(_DIGITS.__getitem__, text))
    digits += "1" * (-len(digits) % 8)
    return int(digits, 2).to_bytes(len(digits) // 8, "big") if digits else b""


def _string(text: bytes, huffman: bool = True) -> bytes:
    """Return the text as a string literal, in whichever form is shorter."""
    if huffman:
        code = _huffman(text)
        if len(code) < len(text):
            return _integer(len(code), 0x80, 7) + code
    return _integer(len(text), 0, 7) + text


class HeaderEncoder(Interface):
    """What a state machine asks of an encoder, whoever has made it."""

    header_table_size: int

    def encode(self, headers: Fields) -> bytes: ...


class HeaderDecoder(Interface):
    """What a state machine asks of a decoder, whoever has made it."""

    max_header_list_size: int
    max_allowed_table_size: int

    def decode(self, data: bytes, raw: bool = ...) -> list[HeaderTuple]: ...


#: What has no part in any connection, for all of them: text to string literals, and
#: Huffman code to text.
_LITERALS: dict[bytes, bytes] = {}
_TEXTS: dict[bytes, bytes] = {}


class Encoder:
    """Turns the header sections of one direction of a connection into blocks."""

    def __init__(self) -> None:
        self._limit = DEFAULT_TABLE_SIZE
        self._size = 0
        self._told: list[int] = []  # sizes that the next block has to tell
        # The dynamic table, oldest first. Entries are numbered as they are added.
        self._numbers: dict[tuple[bytes, bytes], int] = {}
        self._newest = 0
        self._names: dict[bytes, int] = {}  # the newest entry of each name
        # Good while the table is as it is, and whatever it is.
        self._blocks: dict[object, bytes] = {}
        self._strings = _LITERALS
        self._paths: dict[bytes, None] = {}  # that came once, lately

    @property
    def header_table_size(self) -> int:
        """The limit of the dynamic table, in the octets of RFC 7541 section 4.1.

        The next block tells the peer of a change: the smallest limit that there was
        since the last block, and the last (section 4.2).
        """
        return self._limit

    @header_table_size.setter
    def header_table_size(self, value: int) -> None:
        if value == self._limit and not self._told:
            return
        smallest = min([value, *self._told])
        self._told = [smallest] if smallest == value else [smallest, value]
        self._limit = value
        self._make_room(0)
        self._blocks.clear()

    def encode(
        self,
        headers: Iterable[Field] | Mapping[bytes | str, bytes | str],
        huffman: bool = True,
    ) -> bytes:
        """Return the block of a header section.

        :param headers: the fields in order, pairs of a name in lower case and a value:
            bytes, or str that becomes UTF-8. One that is a
            :class:`hpack.NeverIndexedHeaderTuple`, or has a third item that is true, is
            kept out of the tables, here and at every hop. Of a mapping, the names that
            begin with a colon come first.
        :param huffman: whether to use Huffman code where it is shorter.
        """
        fields = in_order(headers)
        kinds = tuple(map(type, fields))  # equal tuples may differ in being sensitive
        key = (fields, kinds, huffman)
        block = self._blocks.get(key)
        if block is not None:
            return block
        before = self._newest, len(self._paths)
        parts = [_integer(size, _UPDATE, 5) for size in self._told]
        reusable = not parts
        self._told = []
        for field, kind in zip(fields, kinds, strict=True):
            if kind is tuple or kind is HeaderTuple:
                number = self._numbers.get(field)  # type: ignore[arg-type]
                if number is not None:
                    parts.append(_indexed(self._newest - number + _FIRST_DYNAMIC))
                    continue
                indexed = _STATIC_FIELDS.get(field)  # type: ignore[call-overload]
                if indexed is not None:
                    parts.append(indexed)
                    continue
                if len(field) == 2 and type(field[0]) is type(field[1]) is bytes:
                    parts.append(self._unknown(field[0], field[1], huffman))
                    continue
            parts.append(self._other(field, huffman))
        block = b"".join(parts)
        after = self._newest, len(self._paths)
        if reusable and before == after and len(block) <= LARGEST_BLOCK_KEPT:
            keep(self._blocks, key, block, BLOCKS_KEPT)
        return block

    def _other(self, field: Field, huffman: bool) -> bytes:
        """Return the representation of a field, in whatever form it was given."""
        name, value, sensitive = plain(field)
        if sensitive:
            return self._literal(name, value, _NEVER, 4, huffman)
        found = self._numbers.get((name, value))
        if found is not None:
            return _indexed(self._newest - found + _FIRST_DYNAMIC)
        indexed = _STATIC_FIELDS.get((name, value))  # type: ignore[call-overload]
        if indexed is not None:
            return bytes(indexed)
        return self._unknown(name, value, huffman)

    def _unknown(self, name: bytes, value: bytes, huffman: bool) -> bytes:
        """Return the representation of a field that is in no table, and add it."""
        size = _ENTRY_OVERHEAD + len(name) + len(value)
        if size > self._limit or (
            name == b":path"
            and 4 * (self._size + size) > self._limit
            and not self._comes_again(value)
        ):
            return self._literal(name, value, _WITHOUT, 4, huffman)
        literal = self._literal(name, value, _INCREMENTAL, 6, huffman)
        self._add(name, value, size)
        return literal

    def _comes_again(self, path: bytes) -> bool:
        if path in self._paths:
            del self._paths[path]
            return True
        keep(self._paths, path, None, PATHS_KEPT)
        return False

    def _literal(
        self, name: bytes, value: bytes, kind: int, bits: int, huffman: bool
    ) -> bytes:
        """Return a literal, with the index of its name if that is in a table."""
        index = _STATIC_NAMES.get(name, 0)
        if not index and name in self._names:
            index = self._newest - self._names[name] + _FIRST_DYNAMIC
        start = _integer(index, kind, bits)
        if not index:
            start += self._string(name, huffman)
        if kind == _NEVER:  # What is secret is not kept.
            return start + _string(value, huffman)
        return start + self._string(value, huffman)

    def _string(self, text: bytes, huffman: bool) -> bytes:
        if not huffman or len(text) > LARGEST_STRING_KEPT:
            return _string(text, huffman)
        string = self._strings.get(text)
        if string is None:
            string = _string(text)
            keep(self._strings, text, string, STRINGS_KEPT)
        return string

    def _add(self, name: bytes, value: bytes, size: int) -> None:
        self._make_room(size)
        self._size += size
        self._newest += 1
        self._numbers[name, value] = self._names[name] = self._newest
        if self._blocks:
            self._blocks.clear()

    def _make_room(self, size: int) -> None:
        """Evict the oldest entries until so much more fits into the table."""
        while self._size + size > self._limit and self._numbers:
            name, value = oldest = next(iter(self._numbers))
            number = self._numbers.pop(oldest)
            if self._names[name] == number:
                del self._names[name]
            self._size -= _ENTRY_OVERHEAD + len(name) + len(value)


def _indexed(index: int) -> bytes:
    return _INDEXED[index] if index < len(_INDEXED) else _integer(index, 0x80, 7)


def in_order(
    headers: Iterable[Field] | Mapping[bytes | str, bytes | str],
) -> tuple[Field, ...]:
    """Return the fields of a section; of a mapping, those with a colon come first."""
    if not isinstance(headers, Mapping):
        return tuple(headers)
    first = sorted(headers.items(), key=lambda field: _octets(field[0])[:1] != b":")
    return tuple(first)


def plain(field: Field) -> tuple[bytes, bytes, bool]:
    """Return a field's name and value, and whether it is never to be indexed."""
    if isinstance(field, HeaderTuple):
        sensitive = not field.indexable
    else:
        sensitive = len(field) > 2 and bool(field[2])
    return _octets(field[0]), _octets(field[1]), sensitive


def _octets(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8")


class _Steps(dict[int, tuple[int, bytes]]):
    """What an octet of Huffman code does, worked out when it is first asked for.

    A key is a state of the decoder plus the octet; a value is the next state and the
    symbols that have come to their end. A state is 256 times the digits of the code
    that has begun, with a 1 before them. One for all decoders, of any thread.
    """

    def __missing__(self, key: int) -> tuple[int, bytes]:
        code = key >> 8
        symbols = []
        for shift in range(7, -1, -1):
            code = code << 1 | (key >> shift & 1)
            symbol = _SYMBOLS.get(code)
            if symbol is not None:
                if symbol == _EOS:
                    raise HPACKDecodingError("EOS within Huffman code")
                symbols.append(symbol)
                code = 1
        step = code << 8, bytes(symbols)
        keep(self, key, step, STEPS_KEPT)
        return step


_STEPS = _Steps()


def _plain(code: bytes) -> bytes:
    """Return the text of Huffman code (RFC 7541 section 5.2)."""
    steps = _STEPS
    state = 1 << 8
    parts = []
    for octet in code:
        state, symbols = steps[state | octet]
        parts.append(symbols)
    # The rest is padding: the first digits of EOS, which are ones, and fewer than 8.
    rest = state >> 8
    if rest > _LONGEST_PADDING or rest & (rest + 1):
        raise HPACKDecodingError("Huffman code with wrong padding")
    return b"".join(parts)


def _read_integer(data: bytes, at: int, limit: int) -> tuple[int, int]:
    """Return an integer whose prefix was ``limit``, and where it ends.

    :raises HPACKDecodingError: if it is longer than any that makes sense.
    :raises IndexError: if it does not end.
    """
    value = limit
    for octet in range(MAX_INTEGER_OCTETS):
        digits = data[at + octet]
        value += (digits & 0x7F) << 7 * octet
        if digits < 0x80:
            return value, at + octet + 1
    raise HPACKDecodingError("an integer of too many octets")


#: By the first four bits of a field: the bits of its index, and what it becomes (RFC
#: 7541 section 6). Changes of the table's size have no place among fields.
_FORMS: list[tuple[int, type[HeaderTuple]]] = [
    (0x0F, HeaderTuple),
    (0x0F, NeverIndexedHeaderTuple),
    *[(0x00, HeaderTuple)] * 2,
    *[(0x3F, HeaderTuple)] * 4,
    *[(0x7F, HeaderTuple)] * 8,
]


class Decoder:
    """Turns the blocks of one direction of a connection into header sections.

    Once a block could not be decoded, no other can.

    :param max_header_list_size: the limit of one header section, in the octets of RFC
        9113 section 6.5.2: of each field name, value and 32 more. May be changed.
    """

    def __init__(
        self, max_header_list_size: int = DEFAULT_MAX_HEADER_LIST_SIZE
    ) -> None:
        self.max_header_list_size = max_header_list_size
        #: The largest dynamic table that the peer may choose, in octets.
        self.max_allowed_table_size = DEFAULT_TABLE_SIZE
        self._limit = DEFAULT_TABLE_SIZE
        # The dynamic table, oldest first, and where each entry begins if all that were
        # ever added are put in a row. What is too old is still in it: whether an entry
        # was evicted is found when it is asked for.
        self._entries: list[HeaderTuple] = []
        self._starts: list[int] = []
        self._end = 0
        self._longest = EVICTED_KEPT
        # Blocks without index into the dynamic table, and with.
        self._whole = _WHOLE
        self._bound: dict[bytes, tuple[list[HeaderTuple], int]] = {}
        self._strings = _TEXTS

    @property
    def header_table_size(self) -> int:
        """The size that the peer has chosen for the dynamic table, in octets."""
        return self._limit

    @header_table_size.setter
    def header_table_size(self, value: int) -> None:
        self._limit = min(value, self._limit)
        self._drop_evicted()
        self._limit = value
        self._bound.clear()

    def decode(self, data: bytes, raw: bool = False) -> list[HeaderTuple]:
        """Return the fields of a block, in order.

        :param raw: whether names and values are bytes; if not, they are str.
        :raises hpack.OversizedHeaderListError: if the section is over the limit.
        :raises hpack.InvalidTableIndexError: if an index is not of the tables.
        :raises hpack.InvalidTableSizeError: if the dynamic table is larger than was
            allowed.
        :raises hpack.HPACKDecodingError: the base of these; for all other faults, and
            text that is not UTF-8.
        """
        data = bytes(data)
        fields = self._known(data)
        if fields is None:
            fields = self._decode(data)
        if raw:
            return fields.copy()
        return texts(fields)

    def _known(self, data: bytes) -> list[HeaderTuple] | None:
        """Return what is known of a block, and do what it does to the table."""
        if self._limit > self.max_allowed_table_size:
            return None
        whole = self._whole.get(data)
        if whole is not None:
            fields, size, added, starts, growth = whole
            if size > self.max_header_list_size:
                return None
            if added:
                end = self._end
                self._entries += added
                self._starts += [end + start for start in starts]
                self._end = end + growth
                self._table_changed()
            return fields
        bound = self._bound.get(data)
        if bound is not None and bound[1] <= self.max_header_list_size:
            return bound[0]
        return None

    def _decode(self, data: bytes) -> list[HeaderTuple]:
        """Read a block field by field, and keep it if it may be kept."""
        fields: list[HeaderTuple] = []
        added: list[HeaderTuple] = []
        starts: list[int] = []
        size, begin = 0, self._end
        uses_table = False
        strings, length = self._strings, len(data)
        try:
            at = first = self._read_updates(data)
            while at < length:
                octet = data[at]
                at += 1
                mask, kind = _FORMS[octet >> 4]
                index = octet & mask
                if index == mask:
                    if not mask:
                        raise HPACKDecodingError("the table resized after a field")
                    index, at = _read_integer(data, at, mask)
                if index < _FIRST_DYNAMIC:
                    entry = _STATIC[index]
                else:
                    entry = self._entry(index)
                    uses_table = True
                if octet & 0x80:
                    if entry is None:
                        raise InvalidTableIndexError("there is no index 0")
                    field = entry
                    size += _ENTRY_OVERHEAD + len(field[0]) + len(field[1])
                else:
                    if entry is not None:
                        name = entry[0]
                    else:
                        name, at = self._read_string(data, at)
                    # Most values are short: a call for each would cost more than it.
                    start = at + 1
                    end = start + (data[at] & 0x7F)
                    if end - start < 0x7F and end <= length:
                        value = data[start:end]
                        if data[at] > 0x7F:
                            value = strings.get(value) or self._decoded(value)
                        at = end
                    else:
                        value, at = self._read_string(data, at)
                    entry_size = _ENTRY_OVERHEAD + len(name) + len(value)
                    size += entry_size
                    field = tuple.__new__(kind, (name, value))
                    if octet & _INCREMENTAL:
                        added.append(field)
                        starts.append(self._end - begin)
                        self._entries.append(field)
                        self._starts.append(self._end)
                        self._end += entry_size
                fields.append(field)
                if size > self.max_header_list_size:
                    raise OversizedHeaderListError(
                        f"a header section of more than {self.max_header_list_size} "
                        f"octets"
                    )
        except IndexError:
            raise HPACKDecodingError("a header block that is cut short") from None
        if self._limit > self.max_allowed_table_size:
            raise InvalidTableSizeError("the table was not made smaller")
        if added:
            self._table_changed()
        if first == 0 and len(data) <= LARGEST_BLOCK_KEPT:
            if not uses_table:
                whole = (fields, size, added, starts, self._end - begin)
                keep(self._whole, data, whole, SHARED_BLOCKS_KEPT)
            elif not added:
                keep(self._bound, data, (fields, size), BLOCKS_KEPT)
        return fields

    def _read_updates(self, data: bytes) -> int:
        """Obey the changes of the table's size before the first field.

        Two are enough for all that can have happened (RFC 7541 section 4.2).
        """
        at = updates = 0
        while at < len(data) and data[at] & 0xE0 == _UPDATE:
            updates += 1
            if updates > 2:
                raise HPACKDecodingError("a header block that resizes the table again")
            size = data[at] & 0x1F
            at += 1
            if size == 0x1F:
                size, at = _read_integer(data, at, 0x1F)
            if size > self.max_allowed_table_size:
                raise InvalidTableSizeError(f"a table of {size} octets")
            self.header_table_size = size
        return at

    def _entry(self, index: int) -> HeaderTuple:
        """Return what an index into the dynamic table stands for (section 2.3.3)."""
        place = len(self._entries) - 1 - (index - _FIRST_DYNAMIC)
        if place < 0 or self._end - self._starts[place] > self._limit:
            raise InvalidTableIndexError(f"there is no index {index}")
        return self._entries[place]

    def _read_string(self, data: bytes, at: int) -> tuple[bytes, int]:
        octet = data[at]
        at += 1
        length = octet & 0x7F
        if length == 0x7F:
            length, at = _read_integer(data, at, 0x7F)
        end = at + length
        text = data[at:end]
        if len(text) < length:
            raise HPACKDecodingError("a header block that is cut short")
        if octet < 0x80:
            return text, end
        return self._strings.get(text) or self._decoded(text), end

    def _decoded(self, code: bytes) -> bytes:
        """Return the text of Huffman code, and keep it if it may be kept."""
        plain = _plain(code)
        if len(code) <= LARGEST_STRING_KEPT:
            keep(self._strings, code, plain, STRINGS_KEPT)
        return plain

    def _table_changed(self) -> None:
        if self._bound:
            self._bound.clear()
        if len(self._entries) > self._longest:
            self._drop_evicted()

    def _drop_evicted(self) -> None:
        evicted = bisect_left(self._starts, self._end - self._limit)
        del self._entries[:evicted]
        del self._starts[:evicted]
        self._longest = EVICTED_KEPT + len(self._entries)


#: The fields of a block and their size; the entries that it adds to the table, where
#: each begins and where the last ends, counted from the end of what was there.
_Whole = tuple[list[HeaderTuple], int, list[HeaderTuple], list[int], int]
#: Blocks that mean the same on every connection.
_WHOLE: dict[bytes, _Whole] = {}


def texts(fields: Iterable[HeaderTuple]) -> list[HeaderTuple]:
    """Return fields of bytes as fields of str.

    :raises HPACKDecodingError: if one is not UTF-8.
    """
    try:
        return [
            type(field)(field[0].decode("utf-8"), field[1].decode("utf-8"))
            for field in fields
        ]
    except UnicodeDecodeError as error:
        raise HPACKDecodingError("a field that is not UTF-8") from error
