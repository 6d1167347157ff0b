"""What the words of a command line ask for.

A command line names one request in the way that HTTPie made familiar::

    [METHOD] URL [REQUEST_ITEM ...]

Three things about it are less obvious than they look.

*The method is optional*, so the first word may be either. It is the method if another
word follows and it looks like one: it is a known method, in any case, or all capitals.

*A separator may occur inside a value*: ``time==12:30`` is a query parameter and
``url=http://a.example/`` a field. So the separator that stands first in an item
decides, and of those that begin at the same place the longest. A backslash takes a
character's power to separate: ``a\\:b=c`` is a field named ``a:b``.

*More separators will come.* Those of HTTPie that do nothing yet are refused rather than
read as a part of a name or a value, so that no command changes its meaning later.

All of it is pure: words in, an :class:`Order` out, or a :class:`UsageError`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes, urlencode

#: RFC 9110 section 9.3, and PATCH (RFC 5789).
METHODS = frozenset(
    ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE")
)

_HEADER, _QUERY, _FIELD = ":", "==", "="
#: What each separator that is recognised but does nothing yet is for.
_LATER = {
    ":=": "a field of raw JSON",
    ":=@": "a field of JSON from a file",
    "=@": "a field from a file",
    "@": "a file",
    ";": "a header without a value",
}
#: All of them, the longest first.
_SEPARATORS = sorted((_HEADER, _QUERY, _FIELD, *_LATER), key=len, reverse=True)
#: One character of an item, or one that a backslash keeps from separating.
_CHARACTER = re.compile(r"\\([:=@;])|(.)", re.DOTALL)

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
#: ``:8443/path`` and ``:/path``, but not ``::1``.
_LOCALHOST = re.compile(r":(?!:)")
_AUTHORITY = re.compile(r"([^/?#]*)(.*)", re.DOTALL)


class UsageError(Exception):
    """The command line does not say what to do. The text is one line."""


@dataclass(slots=True)
class Items:
    """The request items of a command line, sorted by what they are."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    query: list[tuple[str, str]] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)


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
    """The request to be made."""

    method: str
    #: What :class:`hyper.HTTPConnection` takes as its host.
    server: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes | None


def parse_words(words: Sequence[str]) -> Order:
    """Return the request that the words of a command line ask for.

    :param words: ``[METHOD] URL [REQUEST_ITEM ...]``.
    :raises UsageError: if they do not ask for one.
    """
    for word in words:
        if not _is_unicode(word):
            raise UsageError(f"the argument {word!a} is not valid UTF-8")
    method, rest = _split_method(words)
    if not rest:
        raise UsageError("the URL is missing")
    location = parse_url(rest[0])
    items = parse_items(rest[1:])
    headers = list(items.headers)
    given = {name.lower() for name, _ in headers}
    body = None
    if items.fields:
        body = json.dumps(items.fields).encode("ascii")
        if "content-type" not in given:
            headers.append(("Content-Type", "application/json; charset=utf-8"))
    if location.credentials is not None and "authorization" not in given:
        encoded = base64.b64encode(location.credentials).decode("ascii")
        headers.append(("Authorization", f"Basic {encoded}"))
    return Order(
        method or ("GET" if body is None else "POST"),
        location.server,
        _add_query(location.target, items.query),
        headers,
        body,
    )


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

    :raises UsageError: if one of them has none, or one that does nothing yet.
    """
    items = Items()
    for text in texts:
        name, separator, value = split_item(text)
        if separator == _QUERY:
            items.query.append((name, value))
        elif separator == _FIELD:
            items.fields[name] = value
        else:
            if not value:
                raise UsageError(
                    f"{text!r}: a header without a value is not available yet"
                )
            # The words of HTTP/2, whose meaning HTTP/1.1 has in Host.
            items.headers.append(("Host" if name == ":authority" else name, value))
    return items


def split_item(text: str) -> tuple[str, str, str]:
    """Return the name, the separator (``:``, ``==`` or ``=``) and the value.

    :raises UsageError: if there is no separator, no name before it, or it is one that
        does nothing yet.
    """
    # Characters, and beside them the same with a blank for each that is escaped: no
    # separator begins or goes on there.
    literal, powerful = "", ""
    for escaped, plain in _CHARACTER.findall(text):
        literal += escaped or plain
        powerful += " " if escaped else plain
    # The colon of a pseudo-header's name is a part of the name.
    for place in range(powerful.startswith(":"), len(powerful)):
        for separator in _SEPARATORS:
            if powerful.startswith(separator, place):
                break
        else:
            continue
        if separator in _LATER:
            raise UsageError(
                f"{text!r}: {_LATER[separator]} ({separator}) is not available yet; "
                f"a backslash before it takes it literally"
            )
        if place == 0:
            raise UsageError(f"{text!r}: there is no name before the {separator!r}")
        return literal[:place], separator, literal[place + len(separator) :]
    raise UsageError(
        f"{text!r} is not a request item: Name:value, name==value or name=value"
    )


def _split_method(words: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    if len(words) > 1:
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
