"""The words that the routes and the two protocols share; nothing here does I/O.

A route is a function from a Request to a Reply. What cannot be known when the
request's header comes (its body, its trailers, whether its client is still there)
is asked of the request's Channel, which is the protocol's side of the exchange.
Names of header fields are lower-case throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

Fields = list[tuple[str, str]]


class Cancelled(Exception):
    """The exchange is over: its client left or reset it, or the server stops."""


class Refusal(Exception):
    """A request that gets an error status and a line of text for an answer."""

    def __init__(self, status: int, text: str, headers: Fields | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers or []

    def reply(self) -> Reply:
        """Return the reply that says so."""
        return text_reply(self.text, status=self.status, headers=self.headers)


class Channel(Protocol):
    """The protocol's side of one exchange, as a route sees it."""

    trailers: Fields
    """The request's trailer fields; complete once read() has returned b""."""

    def read(self) -> bytes:
        """Wait for more of the request's body and return it; b"" at its end.

        Raises Cancelled.
        """
        ...

    def wait(self, seconds: float) -> None:
        """Wait for this long. Raises Cancelled as soon as nobody waits for us."""
        ...

    def can_push(self) -> bool:
        """Return whether the client takes pushed responses."""
        ...


@dataclass(frozen=True)
class Request:
    """One request, as far as its header tells."""

    method: str
    scheme: str
    authority: str
    target: str
    headers: Fields
    origin: str
    channel: Channel

    @property
    def path(self) -> str:
        """The target without its query, still percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def args(self) -> dict[str, list[str]]:
        """The values of each name in the query."""
        return parse_qs(self.target.partition("?")[2], keep_blank_values=True)

    @property
    def url(self) -> str:
        """The absolute URL that was asked for."""
        return f"{self.scheme}://{self.authority}{self.target}"

    def header(self, name: str, default: str = "") -> str:
        """Return the values of this field joined by commas."""
        return ", ".join(v for n, v in self.headers if n == name) or default


@dataclass
class Reply:
    """What a route answers.

    ``body`` may block and may raise Cancelled when it is an iterator; it is then
    sent piece by piece as it comes. ``trailers`` is called after the body.
    ``interim`` are 1xx responses to send first, ``pushes`` paths to promise.
    """

    status: int = 200
    headers: Fields = field(default_factory=list)
    body: bytes | Iterator[bytes] = b""
    trailers: Callable[[], Fields] | None = None
    interim: list[tuple[int, Fields]] = field(default_factory=list)
    pushes: tuple[str, ...] = ()


def text_reply(text: str, status: int = 200, headers: Fields | None = None) -> Reply:
    """Return a reply of plain text."""
    kind = ("content-type", "text/plain; charset=utf-8")
    return Reply(status, [kind, *(headers or [])], f"{text}\n".encode())


def origin_form(target: str) -> tuple[str, str]:
    """Split a request target into (authority or "", path with query)."""
    if "://" not in target.partition("?")[0]:
        return "", target
    parts = urlsplit(target)
    query = f"?{parts.query}" if parts.query else ""
    return parts.netloc, f"{parts.path or '/'}{query}"
