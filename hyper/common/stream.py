"""The record of one exchange: what a Protocol writes and a Response reads.

A Stream is plain data and has no behaviour but the answer to "is there anything more
to come". It knows neither the protocol that fills it nor the response that empties
it, so that HTTP/2 and HTTP/1.1 share it and each can be tested without the other.

Every field is guarded by the lock of the BufferedSocket that holds the Protocol,
except the ones marked *constant*.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .exceptions import HyperError

#: Fields in the order received: names and values are bytes, names as on the wire.
Fields = list[tuple[bytes, bytes]]


class Interim(NamedTuple):
    """A 1xx response that came before the final one (RFC 9110 section 15.2)."""

    status: int
    headers: Fields


class Promise(NamedTuple):
    """A response that the server sends without being asked (RFC 9113 section 8.4)."""

    stream: Stream
    #: The request that it answers: its fields without pseudo-headers.
    headers: Fields
    scheme: bytes
    authority: bytes
    path: bytes


class Run:
    """Pieces of a body that have the same length, in the bytes that they came in.

    They are copied once, when it is known whether they are wanted one by one. Not
    thread-safe: as the Stream that has it, and then the Response, it has one owner.

    :param data: bytes that have the pieces at equal distances.
    :param start: where in ``data`` the first one begins.
    :param end: where the last one ends.
    :param length: how long each is; also an attribute.
    :param step: how far it is from one to the next.
    """

    __slots__ = ("_at", "_data", "_end", "_step", "length")

    def __init__(
        self, data: bytes, start: int, end: int, length: int, step: int
    ) -> None:
        self._data = data
        self._at = start
        self._end = end
        self.length = length
        self._step = step

    def __len__(self) -> int:
        """Return how many bytes of body are left."""
        return len(range(self._at, self._end, self._step)) * self.length

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the pieces that are left; they stay."""
        for at in range(self._at, self._end, self._step):
            yield self._data[at : at + self.length]

    def next(self) -> bytes:
        """Take the next piece out."""
        piece = self._data[self._at : self._at + self.length]
        self._at += self._step
        return piece

    def rest(self) -> bytes:
        """Return all that is left, in one piece."""
        length = self.length
        with memoryview(self._data) as view:
            starts = range(self._at, self._end, self._step)
            return b"".join([view[at : at + length] for at in starts])


@dataclass(slots=True, eq=False)
class Stream:
    """One request and its response.

    The peer is done when :attr:`ended` or :attr:`error` is set, and :attr:`chunks`
    may then still hold unread body.
    """

    #: The id on the wire. *Constant.*
    stream_id: int
    #: The request's method; HEAD and CONNECT change what a response means. *Constant.*
    method: bytes
    #: Interim responses, oldest first.
    informational: list[Interim] = field(default_factory=list)
    #: The status of the final response; None until its header section has come. Set
    #: after all else that the section says, for those who look at it without the lock.
    status: int | None = None
    #: The reason phrase as sent by an HTTP/1.1 server; empty in HTTP/2.
    reason: bytes = b""
    #: The response came in HTTP/1.0, as the answer to a request in HTTP/1.1.
    http10: bool = False
    #: The final response's fields, without pseudo-headers.
    headers: Fields = field(default_factory=list)
    #: Body received and not yet read, a DATA frame or chunk each; some may be empty. Or
    #: several of them.
    chunks: deque[bytes | Run] = field(default_factory=deque)
    #: How many bytes ``chunks`` holds.
    buffered: int = 0
    #: The trailer section, once the response has ended.
    trailers: Fields = field(default_factory=list)
    #: What the server promised to push beside the response, and nobody has taken yet.
    promises: list[Promise] = field(default_factory=list)
    #: The response is complete.
    ended: bool = False
    #: The request is complete: this side will send nothing more.
    sent: bool = False
    #: A call is busy sending the body, so that it cannot read the response meanwhile.
    sending: bool = False
    #: This side has given up sending the body: the response came before its end.
    stopped: bool = False
    #: Why the exchange failed. What ``chunks`` holds came before the failure.
    error: HyperError | None = None

    @property
    def over(self) -> bool:
        """True if the peer will send nothing more."""
        return self.ended or self.error is not None

    @property
    def connected(self) -> bool:
        """True if the stream has become a connection by CONNECT (RFC 9110 9.3.6).

        Its two directions end independently of each other.
        """
        return self.method == b"CONNECT" and 200 <= (self.status or 0) < 300

    @property
    def unwanted(self) -> bool:
        """True if the peer takes no more of the request, so that it may end here."""
        return self.error is not None or (self.ended and not self.connected)
