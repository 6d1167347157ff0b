"""A header block, field by field, with the way that each was written (RFC 7541).

The decoder of the hpack package says what the fields are, and only this file how each
of them was written: indexed or literal, from which table, in how many bytes. So the
block is walked a second time, which needs no table.
"""

from __future__ import annotations

from collections.abc import Iterator

from hpack import Decoder, HPACKError

from .record import Field, Table, redacted

#: The static table's entries are numbered up to here (RFC 7541 appendix A).
STATIC = 61
#: How large a header section may be. The trace sees it before anybody has refused it,
#: and a block of one byte for each field can stand for a thousand times as much.
MAX_SECTION = 16 * 1024 * 1024
#: Bits of the largest integer.
MAX_BITS = 63


class BlockReader:
    """Decodes the header blocks that one side of a connection sends, in order.

    :param secrets: whether to keep the values of secret fields.
    """

    def __init__(self, secrets: bool) -> None:
        self._secrets = secrets
        self._decoder = Decoder(MAX_SECTION)
        self._torn = False

    def allow(self, size: int) -> None:
        """Note the limit that the other side has set for the table."""
        self._decoder.max_allowed_table_size = size

    def read(self, block: bytes) -> tuple[Field, ...] | None:
        """Return the fields of a block; None once something cannot be decoded."""
        if self._torn:
            return None
        try:
            ways = list(_ways(block))
            decoded = self._decoder.decode(block, raw=True)
        except (HPACKError, IndexError):
            self._torn = True
            return None
        fields = []
        for (how, size), (name, value) in zip(ways, decoded, strict=True):
            text = bytes(name).decode("latin-1")
            shown = redacted(text, bytes(value).decode("latin-1"), self._secrets)
            fields.append(Field(text, shown, how, size))
        return tuple(fields)

    def table(self) -> Table:
        """Return the dynamic table as it is now."""
        entries = self._decoder.header_table.dynamic_entries
        size = sum(len(name) + len(value) + 32 for name, value in entries)
        texts = []
        for raw_name, raw_value in entries:
            name = bytes(raw_name).decode("latin-1")
            value = bytes(raw_value).decode("latin-1")
            texts.append((name, redacted(name, value, self._secrets)))
        return Table(size, self._decoder.header_table.maxsize, tuple(texts))


def _ways(block: bytes) -> Iterator[tuple[str, int]]:
    """Yield how each field of a block is written, and in how many bytes.

    :raises IndexError: if the block ends too early.
    """
    at = 0
    while at < len(block):
        start, first = at, block[at]
        if first & 0x80:  # Section 6.1.
            index, at = _integer(block, at, 7)
            yield _place(index), at - start
            continue
        if first & 0xE0 == 0x20:  # Section 6.3: a new size of the table is no field.
            _, at = _integer(block, at, 5)
            continue
        if first & 0xC0 == 0x40:  # Section 6.2.
            how, bits = "literal, indexed", 6
        else:
            how = "literal, never indexed" if first & 0x10 else "literal, not indexed"
            bits = 4
        index, at = _integer(block, at, bits)
        if index:
            how += f", name {_place(index)}"
        else:
            at = _string(block, at)
        at = _string(block, at)
        yield how, at - start


def _place(index: int) -> str:
    return f"static {index}" if index <= STATIC else f"dynamic {index}"


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """Read an integer (section 5.1); return it and where the next byte is."""
    limit = (1 << bits) - 1
    value = block[at] & limit
    at += 1
    if value == limit:
        shift = 0
        while True:
            byte = block[at]
            at += 1
            value += (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
            if shift > MAX_BITS:
                raise IndexError("the integer has no end")
    return value, at


def _string(block: bytes, at: int) -> int:
    """Skip a string (section 5.2); return where the next byte is."""
    length, at = _integer(block, at, 7)
    return at + length
