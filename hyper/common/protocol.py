"""What every Protocol is: bytes in, bytes out, verbs in between.

A Protocol is a state machine that does no I/O: it imports no socket, thread or clock,
never blocks and never locks. The BufferedSocket that holds it feeds it what arrived,
sends what it wants sent, and calls every one of its methods under its own lock.

Results go up as data, never as callbacks. A Protocol says what it changed by adding
keys to :attr:`Protocol.touched`, and the BufferedSocket wakes whoever waits for one of
them, once, after the whole batch. A key is the object that is waited for (a Stream, a
ticket of the queue for streams), or :data:`EVERYONE`.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import Protocol as Interface

from .exceptions import HyperError
from .request import Request
from .stats import FrameCounts
from .stream import Fields, Stream


class HTTPVersion(enum.Enum):
    """A version of HTTP, by its name.

    hyper speaks the latter two. Responses come in HTTP/1.0, too.
    """

    http10 = "HTTP/1.0"
    http11 = "HTTP/1.1"
    http20 = "HTTP/2"


#: The key of a change that every waiting thread has to look at.
EVERYONE = "everyone"

#: The key of a change that some response has begun, or never will.
HEADS = "heads"

#: The error codes of RFC 9113 section 7 that hyper itself sends.
NO_ERROR = 0x0
CANCEL = 0x8
#: What a server says with it: ask again, but not in HTTP/2.
HTTP_1_1_REQUIRED = 0xD


class Protocol(Interface):
    """The part of a Protocol that a BufferedSocket needs."""

    #: Keys of what changed since the BufferedSocket last woke its waiters.
    touched: set[object]
    #: Why the connection is of no more use; None while it is.
    failure: HyperError | None

    @property
    def paused(self) -> bool:
        """True while no more bytes should be read from the peer (back-pressure)."""

    @property
    def finished(self) -> bool:
        """True once nothing more will be received or sent: close the connection."""

    def receive_data(self, data: bytes) -> None:
        """Take bytes that arrived. Never raises: a peer's fault fails the Protocol."""

    def receive_eof(self, clean: bool) -> None:
        """Take the end of what arrives.

        ``clean`` is False if TLS ended without a close_notify alert, so that the end
        may be an attacker's.
        """

    def probe(self) -> None:
        """Ask the peer for a sign of life, if there are words for that."""

    def data_to_send(self) -> bytes:
        """Hand over the bytes to be sent since the last call."""

    def fail(self, error: HyperError) -> None:
        """End every exchange with ``error``: the connection broke. Idempotent."""


class WireProtocol(Protocol, Interface):
    """A Protocol that carries HTTP exchanges."""

    #: The version of HTTP it speaks.
    version: HTTPVersion
    #: The id of the next request.
    next_stream_id: int
    #: How many requests were opened.
    opened: int
    #: The frames that were sent and received; None where there are no frames.
    frames: tuple[FrameCounts, FrameCounts] | None

    #: Requests that wait for a free place, oldest first; they are keys of waiters.
    queue: deque[object]
    #: Streams whose response nobody holds any more. Anyone may append at any time, the
    #: garbage collector too; ``data_to_send`` resets them.
    abandoned: list[Stream]

    @property
    def accepting(self) -> bool:
        """False once no further request may ever be opened on this connection."""

    @property
    def open_streams(self) -> int:
        """How many exchanges are under way."""

    def may_open(self, request: Request) -> bool:
        """Return False while this request has to wait for a place, or for settings."""

    def open(self, request: Request, end_stream: bool) -> Stream:
        """Queue the head of a request and return the record of its exchange.

        Call it only while ``accepting`` and ``may_open`` say yes. ``end_stream`` is
        True if no body follows.

        :raises LocalProtocolError: if the peer takes no such request.
        """

    def sendable(self, stream: Stream) -> int:
        """Return how many bytes of body may be queued in one piece now; 0: wait."""

    def send_data(
        self, stream: Stream, data: bytes | memoryview, end_stream: bool
    ) -> None:
        """Queue a piece of the body, of at most ``sendable`` bytes."""

    def send_trailers(self, stream: Stream, fields: Fields) -> None:
        """Queue the trailer section of a request, which ends it.

        :raises LocalProtocolError: if this request can have none.
        """

    def consumed(self, stream: Stream, *sizes: int) -> None:
        """The user took pieces of the body of these sizes: so much more may come."""

    def reset(self, stream: Stream, error: HyperError | None, code: int) -> None:
        """Give the exchange up, telling the peer ``code`` where that can be told.

        ``error`` becomes the stream's error unless the stream is over already. Does
        nothing if both sides are done.
        """

    def retire(self) -> None:
        """Take no further request, and end with those that are under way."""

    def skip_to(self, stream_id: int) -> None:
        """Let the next request have this id, or one above it."""

    def close(self, code: int) -> None:
        """Say goodbye: queue what ends the connection in order. Idempotent.

        The peer is told ``code`` where that can be told.
        """
