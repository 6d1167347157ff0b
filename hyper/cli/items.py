"""What the words of a command line ask for.

A command line names one request in the way that HTTPie made familiar::

    [METHOD] URL [REQUEST_ITEM ...]

Two things about it are less obvious than they look.

*The method is optional*, so the first word may be either. It is the method if another
word follows and it looks like one: it is a known method, in any case, or all capitals.

*A separator may occur inside a value*: ``time==12:30`` is a query parameter and
``url=http://a.example/`` a field. So the separator that stands first in an item
decides, and of those that begin at the same place the longest. A backslash takes a
character's power to separate: ``a\\:b=c`` is a field named ``a:b``.

All of it is pure: words in, an :class:`Order` out, or a :class:`UsageError`. Files are
named here and read by :mod:`.content`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes, urlencode

#: RFC 9110 section 9.3, and PATCH (RFC 5789).
METHODS = frozenset(
    ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE")
)

HEADER, EMPTY_HEADER, QUERY = ":", ";", "=="
FIELD, FIELD_FROM_FILE = "=", "=@"
JSON, JSON_FROM_FILE = ":=", ":=@"
FILE = "@"
#: All of them, the longest first.
_SEPARATORS = sorted(
    (HEADER, EMPTY_HEADER, QUERY, FIELD, FIELD_FROM_FILE, JSON, JSON_FROM_FILE, FILE),
    key=len,
    reverse=True,
)
#: One character of an item, or one that a backslash keeps from separating.
_CHARACTER = re.compile(r"\\([:=@;])|(.)", re.DOTALL)

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
#: ``:8443/path`` and ``:/path``, but not ``::1``.
_LOCALHOST = re.compile(r":(?!:)")
_AUTHORITY = re.compile(r"([^/?#]*)(.*)", re.DOTALL)


class UsageError(Exception):
    """The command line does not say what to do. The text is one line."""


@dataclass(frozen=True, slots=True)
class Part:
    """A field of the body, or a file in it."""

    name: str
    #: One of the separators of fields and files.
    separator: str
    #: The value, or the path of a file.
    value: str


@dataclass(slots=True)
class Items:
    """The request items of a command line, sorted by what they are."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    #: In lower case: those that are not to be sent by default.
    dropped: set[str] = field(default_factory=set)
    #: What goes into the request line: ``method``, ``path``.
    pseudo: dict[str, str] = field(default_factory=dict)
    query: list[tuple[str, str]] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    #: The path of the file that is the body, ``-`` being standard input.
    body_file: str | None = None

    @property
    def has_body(self) -> bool:
        return bool(self.parts) or self.body_file is not None


@dataclass(frozen=True, slots=True)
class Location:
    """A URL, taken apart."""

    #: ``http`` or ``https``, ``://`` and the authority without its userinfo.
    server: str
    #: Path and query.
    target: str
    #: ``user:password``, decoded; None if the URL has none.
    credentials: bytes | None


@dataclass(frozen=True, slots=True)
class Order:
    """The request to be made, but for its body."""

    #: None if it was not given.
    method: str | None
    #: What :class:`hyper.HTTPConnection` takes as its host.
    server: str
    target: str
    credentials: bytes | None
    items: Items


def parse_words(words: Sequence[str], default: str | None = None) -> Order:
    """Return the request that the words of a command line ask for.

    :param words: ``[METHOD] URL [REQUEST_ITEM ...]``.
    :param default: the server for URLs that are only a path, or missing; with one, the
        first word is the method even if no word follows.
    :raises UsageError: if they do not ask for a request.
    """
    for word in words:
        if not _is_unicode(word):
            raise UsageError(f"the argument {word!a} is not valid UTF-8")
    method, rest = _split_method(words, default is not None)
    if default is not None:
        if not rest or not rest[0].startswith("/"):
            rest = (
                ["/get", *rest]
                if not method or method == "GET"
                else ["/anything", *rest]
            )
        rest = [default + rest[0], *rest[1:]]
    if not rest:
        raise UsageError("the URL is missing")
    location = parse_url(rest[0])
    items = parse_items(rest[1:])
    target = items.pseudo.get("path", location.target)
    return Order(
        items.pseudo.get("method", method),
        location.server,
        _add_query(target, items.query),
        location.credentials,
        items,
    )


def basic(credentials: bytes) -> str:
    """Return the value of Authorization for ``user:password`` (RFC 7617)."""
    return "Basic " + base64.b64encode(credentials).decode("ascii")


def parse_url(url: str) -> Location:
    """Take a URL apart, as far as a connection does not do so itself.

    Without a scheme it is an https URL, without a host one of this machine. The
    fragment is dropped: it is nobody's business but the client's.

    :raises UsageError: if its scheme is neither http nor https.
    """
    scheme = "https"
    rest = url
    written = _SCHEME.match(url)
    if written:
        scheme, rest = written.group(1).lower(), written.group(2)
        if scheme not in ("http", "https"):
            raise UsageError(f"the scheme {scheme!r} is neither http nor https")
    elif _LOCALHOST.match(url):
        rest = "localhost" + url
    parts = _AUTHORITY.match(rest)
    assert parts is not None  # it matches anything
    authority, target = parts.groups()
    userinfo, at, host = authority.rpartition("@")
    credentials = None
    if at:
        # A user without a password has an empty one (RFC 7617 section 2).
        name, _, password = userinfo.partition(":")
        credentials = unquote_to_bytes(name) + b":" + unquote_to_bytes(password)
    target = target.partition("#")[0]
    if not target.startswith("/"):
        target = "/" + target
    return Location(f"{scheme}://{host}", target, credentials)


def parse_items(texts: Sequence[str]) -> Items:
    """Sort request items by their separators.

    :raises UsageError: if one of them has none, or they contradict each other.
    """
    items = Items()
    for text in texts:
        name, separator, value = split_item(text)
        if separator == QUERY:
            items.query.append((name, value))
        elif separator == EMPTY_HEADER:
            if value:
                raise UsageError(f"{text!r}: nothing may follow the {separator!r}")
            items.headers.append((name, ""))
        elif separator == HEADER:
            _add_header(items, name, value, text)
        elif not name:
            if items.body_file is not None:
                raise UsageError("the body cannot be two files")
            items.body_file = value
        else:
            items.parts.append(Part(name, separator, value))
    if items.parts and items.body_file is not None:
        raise UsageError("the body is either a file or made of fields")
    return items


def _add_header(items: Items, name: str, value: str, text: str) -> None:
    lower = name.lower()
    if name == ":authority":
        # A word of HTTP/2, whose meaning HTTP/1.1 has in Host.
        items.headers.append(("Host", value))
    elif name in (":method", ":path"):
        items.pseudo[name[1:]] = value
    elif name.startswith(":"):
        raise UsageError(
            f"{text!r}: of the pseudo-headers, :authority, :method and :path can be set"
        )
    elif value:
        items.headers.append((name, value))
    elif lower in ("host", "content-length"):
        raise UsageError(f"{text!r}: HTTP cannot do without this header")
    else:
        items.dropped.add(lower)


def split_item(text: str) -> tuple[str, str, str]:
    """Return the name, the separator and the value. Only a file may have no name.

    :raises UsageError: if there is no separator, or no name before it.
    """
    # Characters, and beside them the same with a blank for each that is escaped: no
    # separator begins or goes on there.
    literal, powerful = "", ""
    for escaped, plain in _CHARACTER.findall(text):
        literal += escaped or plain
        powerful += " " if escaped else plain
    # The colon of a pseudo-header's name is a part of the name.
    pseudo = re.match(r":[a-z]+:", powerful) is not None
    for place in range(pseudo, len(powerful)):
        for separator in _SEPARATORS:
            if powerful.startswith(separator, place):
                break
        else:
            continue
        value = literal[place + len(separator) :]
        if place == 0 and not (separator == FILE and value):
            raise UsageError(f"{text!r}: there is no name before the {separator!r}")
        return literal[:place], separator, value
    raise UsageError(
        f"{text!r} is not a request item: Name:value, name==value, name=value, "
        f"name:=JSON, name@file or @file"
    )


def _split_method(
    words: Sequence[str], alone: bool = False
) -> tuple[str | None, Sequence[str]]:
    if len(words) > 1 or (words and alone):
        word = words[0]
        if word.upper() in METHODS or re.fullmatch("[A-Z]+", word):
            return word.upper(), words[1:]
    return None, words


def _add_query(target: str, query: list[tuple[str, str]]) -> str:
    if not query:
        return target
    _, mark, written = target.partition("?")
    joint = "&" if written else "" if mark else "?"
    return target + joint + urlencode(query)


def _is_unicode(word: str) -> bool:
    try:
        word.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
