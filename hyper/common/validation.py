"""What may be sent, and what of an HTTP/2 response may be believed.

Everything that a user hands in and that becomes part of a message's head passes
through this file first, for both protocols, before a stream is opened or a byte is
encoded: a request that is refused leaves the connection as it was. The characters
that could end a line early and start another message (CR, LF, NUL) are the reason
(CVE-2019-9740 and its many sisters); that a name is a token and a value free of
controls is the rule (RFC 9110 sections 5.1 and 5.5).

What a server sends is judged by the same tables but never raises here: the functions
whose names end in ``fault`` return what is wrong, in words, and leave the verdict (an
error of this stream only, RFC 9113 section 8.1.1) to the protocol.

Two choices, where others differ:

- A str becomes UTF-8, as every other str does in hyper. Latin-1 would be what
  ``http.client`` does, but cannot say everything, and a fallback from one to the other
  would make the bytes of ``é`` depend on its neighbours.
- Controls other than CR, LF and NUL are refused in what we send and accepted in what
  we receive (RFC 9110 section 5.5 lets a recipient choose): they can do no harm until
  printed, and what hyper prints of a peer's is always a ``repr``.

The checks run for every message, so they look at all fields at once: names are joined
and everything legal is deleted from the whole by one ``bytes.translate``. Only if that
leaves something is the culprit looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from .exceptions import LocalProtocolError
from .stream import Fields

Name: TypeAlias = str | bytes
Value: TypeAlias = str | bytes | int


class RawFields(Protocol):
    """What can name its fields as they are: an ``HTTPHeaderMap``."""

    def iter_raw(self) -> Iterable[tuple[bytes, bytes]]: ...


#: What users may give as ``headers``.
Headers: TypeAlias = (
    RawFields
    | Mapping[str, Value]
    | Mapping[bytes, Value]
    | Iterable[tuple[Name, Value]]
)

# RFC 9110 section 5.6.2: the characters of a token.
_LOWER_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
_TOKEN = _LOWER_TOKEN + b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: Every control character but HTAB.
_CONTROLS = bytes(range(0x09)) + bytes(range(0x0A, 0x20)) + b"\x7f"
_BLANK = b" \t"

#: Nineteen digits are more than any file system holds, and int() stays quick.
_LENGTH = re.compile(rb"[0-9]{1,19}")
_STATUS = re.compile(rb"[1-9][0-9][0-9]")
#: The characters of RFC 3986's ``host [":" port]``.
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=:%\[\]-]+")

#: Fields about one HTTP/1.1 connection, which HTTP/2 forbids (RFC 9113 section 8.2.2).
CONNECTION_SPECIFIC = frozenset(
    b"connection keep-alive proxy-connection transfer-encoding upgrade".split()
)
_SUSPICIOUS = CONNECTION_SPECIFIC | {b"te"}

#: Fields that a recipient acts on before the body ends (RFC 9110 section 6.5.1): in a
#: trailer section they are too late, or an attack.
_NOT_IN_TRAILERS = CONNECTION_SPECIFIC.union(
    # Framing and routing.
    b"content-length trailer te host".split(),
    # The body's format.
    b"content-encoding content-type content-range".split(),
    # Request modifiers.
    b"cache-control expect max-forwards pragma range".split(),
    b"if-match if-none-match if-modified-since if-unmodified-since if-range".split(),
    # Authentication and state.
    b"authorization proxy-authorization www-authenticate proxy-authenticate".split(),
    b"cookie set-cookie".split(),
    # Response control data.
    b"age date expires location retry-after vary warning".split(),
)


# What a user hands in: returned fit to be sent, or refused by an exception.


class RequestFields(NamedTuple):
    """A request's fields, sorted by who has to know them."""

    #: The value of Host, which takes the place of the connection's own authority.
    host: bytes | None
    #: The size that the user declares the body to have.
    content_length: int | None
    #: True if the user wants the body sent without its size being known.
    chunked: bool
    #: All other fields, in order.
    rest: Fields


def method(value: str | bytes) -> bytes:
    """Return the method as it goes onto the wire, in the case given.

    :raises LocalProtocolError: if it is not a token.
    :raises TypeError: if it is neither str nor bytes.
    """
    name = _encode("the method", value)
    if not _is_token(name):
        raise LocalProtocolError(f"the method {_show(name)} is not a token")
    return name


def protocol_name(value: str | bytes) -> bytes:
    """Return the ``:protocol`` of a CONNECT (RFC 8441 section 4), as ``websocket``.

    :raises LocalProtocolError: if it is not a token.
    :raises TypeError: if it is neither str nor bytes.
    """
    name = _encode("the protocol", value)
    if not _is_token(name):
        raise LocalProtocolError(f"the protocol {_show(name)} is not a token")
    return name


def priority_value(value: int | str | bytes) -> bytes:
    """Return the value of a Priority field (RFC 9218 section 4).

    :param value: the urgency, from 0, the most urgent, to 7; or the whole value, such
        as ``u=1, i``.
    :raises LocalProtocolError: if the urgency is another one, or the value has
        characters that are not visible ASCII, or more than 1000 of them.
    :raises TypeError: if it is neither int, str nor bytes.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value <= 7:
            raise LocalProtocolError(f"the urgency {value} is not from 0 to 7")
        return b"u=%d" % value
    text = field_value(b"priority", value)
    if not text.isascii():
        raise LocalProtocolError("the value of the field 'priority' is not ASCII")
    if len(text) > 1000:
        raise LocalProtocolError("the value of the field 'priority' is over 1000 bytes")
    return text


def field_name(value: Name, pseudo: bool = False) -> bytes:
    """Return a field's name as it goes onto the wire, in the case given.

    :param pseudo: accept a pseudo-header's name, with its colon, as well.
    :raises LocalProtocolError: if it is not a token.
    :raises TypeError: if it is neither str nor bytes.
    """
    name = _encode("the name of a field", value)
    if not _is_token(name.removeprefix(b":") if pseudo else name):
        if not pseudo and name.startswith(b":"):
            raise LocalProtocolError(
                f"{_show(name)} is a pseudo-header: hyper sets these itself, from the "
                f"method, the URL and Host"
            )
        raise LocalProtocolError(f"the field name {_show(name)} is not a token")
    return name


def field_value(name: bytes, value: Value) -> bytes:
    """Return a field's value in bytes: str as UTF-8, int in decimal, bytes as is.

    Errors name the field and never the value, which may be a secret.

    :raises LocalProtocolError: if it has a control character other than HTAB.
    :raises TypeError: if it is None, a float, a list or anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return b"%d" % value
    if not isinstance(value, (str, bytes)):
        raise TypeError(
            f"the value of the field {_show(name)} must be str, bytes or int, "
            f"not {type(value).__name__}"
        )
    if isinstance(value, str):
        try:
            value = value.encode("utf-8")
        except UnicodeEncodeError:
            raise LocalProtocolError(
                f"the value of the field {_show(name)} is not valid Unicode"
            ) from None
    if len(value.translate(None, _CONTROLS)) != len(value):
        raise LocalProtocolError(
            f"the value of the field {_show(name)} has a control character"
        )
    return value


def fields(headers: Headers | None) -> Fields:
    """Return what a user gave as headers, checked, as pairs of bytes in order.

    :param headers: a mapping (or whatever has ``items()``) of names to values, an
        iterable of pairs, an ``HTTPHeaderMap``, or None for no fields. A value is str,
        bytes or int. Names keep their case; blanks around a value are stripped, as
        they are not part of it (RFC 9110 section 5.5).
    :raises LocalProtocolError: if a name is not a token (pseudo-headers are not) or a
        value has a control character.
    :raises TypeError: if there is something else in it.
    """
    if headers is None:
        return []
    result: Fields = []
    for given_name, given_value in pairs(headers):
        name = field_name(given_name)
        result.append((name, field_value(name, given_value).strip(_BLANK)))
    return result


def pairs(headers: Headers) -> Iterable[tuple[Name, Value]]:
    """Return an iterable of the pairs in what a user gave as headers, unchecked.

    :raises TypeError: if it is neither a mapping nor pairs; perhaps while iterating.
    """
    if hasattr(headers, "iter_raw"):
        return headers.iter_raw()
    if hasattr(headers, "items"):
        return map(_pair, headers.items())
    if isinstance(headers, Iterable):
        return map(_pair, headers)
    raise TypeError(
        f"headers must be a mapping or pairs of name and value, "
        f"not {type(headers).__name__}"
    )


def split_request(fields: Fields) -> RequestFields:
    """Take the fields that say where the body ends, and Host, out of the others.

    :param fields: as :func:`fields` returned them.
    :raises LocalProtocolError: for two Hosts or an impossible one; a Content-Length
        that is not one number (the same one may be repeated); a Transfer-Encoding
        other than ``chunked``, or one beside a Content-Length (RFC 9112 section 6.2).
    """
    host: bytes | None = None
    length: int | None = None
    chunked = False
    rest = []
    for field in fields:
        name = field[0].lower()
        value = field[1]
        if name == b"host":
            if host is not None:
                raise LocalProtocolError("two Host fields were given")
            if not _HOST.fullmatch(value):
                raise LocalProtocolError("the value of Host is not a host")
            host = value
        elif name == b"content-length":
            if not _LENGTH.fullmatch(value):
                raise LocalProtocolError("the value of Content-Length is not a number")
            if length is not None and length != int(value):
                raise LocalProtocolError("two different Content-Lengths were given")
            length = int(value)
        elif name == b"transfer-encoding":
            if chunked or value.lower() != b"chunked":
                raise LocalProtocolError(
                    "no Transfer-Encoding but one 'chunked' can be asked for"
                )
            chunked = True
        else:
            rest.append(field)
    if chunked and length is not None:
        raise LocalProtocolError(
            "Content-Length and Transfer-Encoding exclude each other"
        )
    return RequestFields(host, length, chunked, rest)


# What an HTTP/2 server sent: judged, in words.


def response_head_fault(fields: Fields) -> str | None:
    """Say what is wrong with the header section of an HTTP/2 response, or None.

    The section has to begin with its only pseudo-header, ``:status`` (RFC 9113 section
    8.3.2), which is three digits from 100 on and not 101 (section 8.6). Names are
    lower-case tokens, values without CR, LF and NUL (section 8.2.1), no field is
    connection-specific (section 8.2.2), and there is one length (section 8.1.1).
    """
    if not fields or fields[0][0] != b":status":
        return "the response does not begin with :status"
    status = fields[0][1]
    if not _STATUS.fullmatch(status) or status == b"101":
        return f"the status {_show(status)} is not one of HTTP/2"
    fault = _section_fault(fields, 1)
    if fault is None and b"content-length" in dict(fields):
        return _length_fault(
            [value for name, value in fields if name == b"content-length"]
        )
    return fault


def promise_fault(fields: Fields) -> str | None:
    """Say what is wrong with the header section of a PUSH_PROMISE frame, or None.

    It has to be a whole request that is safe and has no body (RFC 9113 section 8.4):
    the four pseudo-headers first, each once (section 8.3.1), the method GET or HEAD.
    """
    pseudo = dict(fields[:4])
    if set(pseudo) != {b":method", b":scheme", b":authority", b":path"}:
        return "the promise is not a whole request"
    if pseudo[b":method"] not in (b"GET", b"HEAD"):
        return (
            f"the promised method {_show(pseudo[b':method'])} is neither GET nor HEAD"
        )
    fault = _section_fault(fields, 4)
    if fault is None and any(name == b"content-length" for name, _ in fields):
        return "the promised request has a body"
    return fault


def trailer_fault(fields: Fields) -> str | None:
    """Say what is wrong with the trailer section of an HTTP/2 response, or None.

    As :func:`response_head_fault`, but there are no pseudo-headers, and a length means
    nothing here: :func:`drop_forbidden_trailers` drops it.
    """
    return _section_fault(fields, 0)


def strip_values(fields: Sequence[tuple[bytes, bytes]]) -> Fields:
    """Return the fields with the blanks around their values removed.

    RFC 9113 section 8.2.1 calls such a field malformed; servers send them, and curl
    and the browsers accept them, because no other meaning is possible.
    """
    return [(name, value.strip(_BLANK)) for name, value in fields]


def content_length(fields: Fields) -> int | None:
    """Return the declared size of the body; None if there is none.

    :param fields: of a response in which :func:`response_head_fault` found none.
    """
    length = dict(fields).get(b"content-length")
    return None if length is None else int(length)


def drop_forbidden_trailers(fields: Fields) -> Fields:
    """Return the trailer section without the fields that may not be in one.

    They are ignored rather than punished (RFC 9110 section 6.5.1). Names may be in any
    case: this serves HTTP/1.1 as well.
    """
    return [field for field in fields if field[0].lower() not in _NOT_IN_TRAILERS]


# The parts.


def _pair(item: object) -> tuple[Name, Value]:
    """Return an item of headers if it is a pair; what is in it is checked later."""
    # The str 'ab' has two items as well.
    if isinstance(item, (tuple, list)) and len(item) == 2:
        return item[0], item[1]
    raise TypeError("headers must be a mapping or pairs of name and value")


def _encode(what: str, value: object) -> bytes:
    """Return a token in bytes; what is not ASCII is encoded so that it is refused."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace")
    if isinstance(value, bytes):
        return value
    raise TypeError(f"{what} must be str or bytes, not {type(value).__name__}")


def _is_token(text: bytes) -> bool:
    return text != b"" and not text.translate(None, _TOKEN)


def _show(text: bytes) -> str:
    """Return text that may be hostile, fit for a message."""
    shown = repr(text[:60].decode("utf-8", "replace"))
    return shown if len(text) <= 60 else f"{shown}..."


def _section_fault(fields: Fields, start: int) -> str | None:
    """Say what is wrong with the fields from ``start`` on, or None."""
    if len(fields) == start:
        return None
    names, values = zip(*fields[start:], strict=True)
    # LF separates: it may be in neither, so there have to be just as many as gaps.
    gaps = b"\n" * (len(names) - 1)
    joined = b"\n".join(values)
    if (
        b"\n".join(names).translate(None, _LOWER_TOKEN) == gaps
        and b"" not in names
        and joined.count(b"\n") == len(gaps)
        and b"\r" not in joined
        and b"\0" not in joined
        and _SUSPICIOUS.isdisjoint(names)
    ):
        return None
    for name, value in zip(names, values, strict=True):
        fault = _field_fault(name, value)
        if fault is not None:
            return fault
    return None


def _field_fault(name: bytes, value: bytes) -> str | None:
    """Say what is wrong with one field, or None."""
    if name.startswith(b":"):
        return f"the pseudo-header {_show(name)} is out of place"
    if not name or name.translate(None, _LOWER_TOKEN):
        return f"the field name {_show(name)} is not a token in lower case"
    if b"\n" in value or b"\r" in value or b"\0" in value:
        return f"the value of the field {_show(name)} has a CR, LF or NUL"
    if name in CONNECTION_SPECIFIC:
        return f"the field {_show(name)} is of HTTP/1.1 only"
    if name == b"te" and value.strip(_BLANK).lower() != b"trailers":
        return "the field 'te' says something else than 'trailers'"
    return None


def _length_fault(lengths: list[bytes]) -> str | None:
    """Say what is wrong with the values of all content-length fields, or None."""
    numbers = set()
    for value in lengths:
        value = value.strip(_BLANK)
        if not _LENGTH.fullmatch(value):
            return f"the content-length {_show(value)} is not a number"
        numbers.add(int(value))
    if len(numbers) > 1:
        return "there are different content-lengths"
    return None
