"""The fields of a message as a mapping that forgets nothing.

A section of fields is a list of pairs, not a dict: names repeat, order can matter, and
some recipients care about case. People still want to write ``headers['server']``. So
:class:`HTTPHeaderMap` stores the pairs exactly as they came or are to go out, and shows
them through a *canonical* view, in which a name is in lower case and a value that is a
comma-separated list is as many values.

Which values are such lists cannot be seen in them: ``Tue, 01 Jan 2030 00:00:00 GMT`` is
one date. RFC 9110 section 5.5 leaves it to each field's definition, so the fields known
to have *one* value are named here and never split; every other one is taken for a list
(section 5.6.1), as hyper always did, and split at the commas outside quoted strings.
Whoever needs the bytes themselves has :meth:`HTTPHeaderMap.iter_raw`.

An index by lower-case name is built at the first look-up and kept up to date by what
appends; whatever removes drops it. A map that is only read may be shared by threads,
one that is being changed may not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, MutableMapping, Sequence

from .stream import Fields
from .validation import Headers, Name, Value, field_name, field_value, pairs

#: Fields whose value is never split at its commas.
_SINGLE = frozenset(
    # Dates.
    b"date expires last-modified if-modified-since if-unmodified-since if-range "
    b"retry-after sunset memento-datetime accept-datetime "
    # Products and comments.
    b"user-agent server "
    # URLs and names.
    b"location content-location referer origin host from refresh sourcemap "
    # Credentials and state: lists to RFC 9110, but of what has commas inside.
    b"authorization proxy-authorization www-authenticate proxy-authenticate "
    b"authentication-info proxy-authentication-info "
    b"cookie cookie2 set-cookie set-cookie2 "
    # Numbers and ranges.
    b"age content-length content-range max-forwards range "
    # Others that are defined as one value, as JSON or as free text.
    b"content-type content-disposition etag http2-settings sec-websocket-accept "
    b"sec-websocket-key strict-transport-security report-to nel grpc-message".split()
)

#: A quoted string (RFC 9110 section 5.6.4), which the end of the value ends as well,
#: or a comma outside one. It cannot fail half-way, so it takes linear time.
_QUOTED_OR_COMMA = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|,', re.DOTALL)
_BLANK = b" \t"


class HTTPHeaderMap(MutableMapping[Name, list[bytes]]):
    """Fields in order, looked up by name without regard to case.

    Names and values go in as str (encoded as UTF-8) or bytes, values also as int, and
    come out as bytes. Looking a name up gives a list of all its values; iterating
    gives pairs of name and value, one for each value, as ``items()`` does. Assigning
    *appends*; :meth:`replace` replaces.

    ``HTTPHeaderMap(*headers, **fields)`` takes mappings, iterables of pairs and other
    maps, one after the other, and then the keyword arguments.

    :raises LocalProtocolError: (a ValueError) if a name is not a token, apart from the
        colon of a pseudo-header, or a value has a control character such as CR, LF or
        NUL. The value is not shown. Every method that takes a new field raises it.
    :raises TypeError: if a name or a value is of another type.
    """

    __slots__ = ("_fields", "_index")

    #: The pairs as they came.
    _fields: Fields
    #: The canonical values by lower-case name, or None until somebody looks.
    _index: dict[bytes, list[bytes]] | None

    def __init__(self, *headers: Headers, **fields: Value) -> None:
        self._fields = []
        self._index = None
        for some in headers:
            self.merge(some)
        self.merge(fields)

    @classmethod
    def from_wire(cls, fields: Iterable[tuple[bytes, bytes]]) -> HTTPHeaderMap:
        """Return a map of fields that a parser has checked already: nothing is here."""
        headers = cls.__new__(cls)
        headers._fields = list(fields)
        headers._index = None
        return headers

    # The canonical view.

    def __getitem__(self, key: Name) -> list[bytes]:
        """Return all values of a field, in order, in a list of their own.

        :raises KeyError: if there is no such field.
        """
        try:
            return self._by_name()[_fold(key)].copy()
        except KeyError:
            raise KeyError(f"Nonexistent header key: {key!r}") from None

    def __contains__(self, key: object) -> bool:
        return _fold(key) in self._by_name()

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:  # type: ignore[override]
        """Yield (lower-case name, value) for every value."""
        for name, value in self._fields:
            name = name.lower()
            for single in _values(name, value):
                yield name, single

    def __len__(self) -> int:
        """Return how many pairs iterating yields."""
        return sum(map(len, self._by_name().values()))

    def items(self) -> Iterator[tuple[bytes, bytes]]:  # type: ignore[override]
        """Yield (lower-case name, value) for every value."""
        return iter(self)

    def keys(self) -> Iterator[bytes]:  # type: ignore[override]
        """Yield the lower-case name of every value, so that names repeat."""
        return (name for name, _ in self)

    def values(self) -> Iterator[bytes]:  # type: ignore[override]
        """Yield every value."""
        return (value for _, value in self)

    # The fields as they are.

    def iter_raw(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the pairs as given or received: their case, their order, unsplit."""
        return iter(self._fields)

    def __eq__(self, other: object) -> bool:
        """Return True for a map of the same pairs, in the same case and order."""
        if isinstance(other, HTTPHeaderMap):
            return self._fields == other._fields
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._fields})"

    def __reduce__(self) -> tuple[object, tuple[Fields]]:
        """Copy and pickle by the pairs, which the copy does not share."""
        return type(self).from_wire, (self._fields.copy(),)

    # Changing them.

    def __setitem__(self, key: Name, value: Value | Sequence[Value]) -> None:
        """Append a field, or one for each value if ``value`` is a list or tuple."""
        name = field_name(key, pseudo=True)
        if isinstance(value, (list, tuple)):
            checked = [field_value(name, single) for single in value]
        else:
            # No other sequence passes field_value().
            checked = [field_value(name, value)]  # type: ignore[arg-type]
        for single in checked:
            self._append(name, single)

    def __delitem__(self, key: Name) -> None:
        """Remove all fields of this name.

        :raises KeyError: if there is none.
        """
        folded = _fold(key)
        if folded not in self._by_name():
            raise KeyError(f"Nonexistent header key: {key!r}")
        self._fields = [pair for pair in self._fields if pair[0].lower() != folded]
        self._index = None

    def replace(self, key: Name, value: Value) -> None:
        """Put a field in the place of the first of its name, and drop the others.

        If there is none it is appended.
        """
        name = field_name(key, pseudo=True)
        new = (name, field_value(name, value))
        folded = name.lower()
        if folded not in self._by_name():
            self._append(*new)
            return
        kept: Fields = []
        placed = False
        for pair in self._fields:
            if pair[0].lower() != folded:
                kept.append(pair)
            elif not placed:
                kept.append(new)
                placed = True
        self._fields = kept
        self._index = None

    def merge(self, other: Headers) -> None:
        """Append the fields of a mapping, of an iterable of pairs or of another map.

        A map's fields are appended as they are; merging a map into itself does nothing.
        """
        if other is self:
            return
        for key, value in list(pairs(other)):  # other may be a view of this map
            self[key] = value

    def update(self, other: Headers = (), /, **fields: Value) -> None:  # type: ignore[override]
        """Append fields, as :meth:`merge` does."""
        self.merge(other)
        self.merge(fields)

    def popitem(self) -> tuple[bytes, list[bytes]]:
        """Remove the name that came last; return it, in lower case, and its values.

        :raises KeyError: if the map is empty.
        """
        if not self._fields:
            raise KeyError("popitem(): the header map is empty")
        name = self._fields[-1][0].lower()
        return name, self.pop(name)

    def clear(self) -> None:
        """Remove everything."""
        self._fields = []
        self._index = None

    # The parts.

    def _append(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))
        if self._index is not None:
            folded = name.lower()
            self._index.setdefault(folded, []).extend(_values(folded, value))

    def _by_name(self) -> dict[bytes, list[bytes]]:
        """Return the index, made if need be."""
        index = self._index
        if index is None:
            index = {}
            for name, value in self:
                index.setdefault(name, []).append(value)
            # Threads that get here together each make the same one.
            self._index = index
        return index


def _fold(key: object) -> bytes:
    """Return a name to look up by: any str or bytes, since what is odd is not found."""
    if isinstance(key, str):
        return key.encode("utf-8", "backslashreplace").lower()
    if isinstance(key, bytes):
        return key.lower()
    raise TypeError(
        f"the name of a field must be str or bytes, not {type(key).__name__}"
    )


def _values(name: bytes, value: bytes) -> list[bytes]:
    """Return the canonical values of one field, whose name is in lower case."""
    if b"," not in value or name in _SINGLE:
        return [value.strip(_BLANK)]
    if b'"' not in value:
        return [single.strip(_BLANK) for single in value.split(b",")]
    found = []
    start = 0
    for token in _QUOTED_OR_COMMA.finditer(value):
        if token.group() == b",":
            found.append(value[start : token.start()].strip(_BLANK))
            start = token.end()
    found.append(value[start:].strip(_BLANK))
    return found
