"""Window managers: how much a peer may send, and when it may send more.

RFC 9113 section 5.2 gives every stream, and the connection as a whole, a window: the
number of bytes of DATA the peer may still send. A manager decides when to open it
again. One instance serves one window: a connection makes one for itself and one for
each stream, which is why users pass the *class*.

hyper tells the connection's manager about a frame when it arrives, and a stream's when
the user has read the frame. So what is held in memory is bounded by the streams'
windows, and a reader that is slow holds up its own stream and no other.

Managers are called under the connection's lock: they must not block.

The window limits the rate: a sender may have one window of bytes on the way, so it
sends at most a window per round trip. :class:`AutoFlowControlManager`, the default,
finds out whether that is what holds a download up. While one is under way the
connection sends a PING now and then, and tells the manager how much has come since, as
long as it waits for the answer: bytes of one round trip, measured without a clock. As
soon as they are a good part of the window, it becomes four times as large. It is never
made smaller: what was announced cannot be taken back.
"""

from __future__ import annotations

from dataclasses import dataclass

#: RFC 9113 section 6.9.1.
LARGEST_WINDOW = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Windows:
    """How large the windows of a connection are and may become, all in bytes.

    :param stream: what is announced as the window of each new stream.
    :param max_stream: what the window of one stream may grow to.
    :param connection: the window of the connection as a whole. It is opened as data
        arrives, so it only limits what is on the way.
    :param total: what the windows of all streams together may grow to. It bounds the
        memory that responses take which nobody reads.
    :raises ValueError: if a window is not between 1 and 2**31 - 1, or a limit is
        smaller than what it limits.
    """

    stream: int = 1024 * 1024
    max_stream: int = 16 * 1024 * 1024
    connection: int = 16 * 1024 * 1024
    total: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        for size in (self.stream, self.max_stream, self.connection):
            if not 1 <= size <= LARGEST_WINDOW:
                raise ValueError(f"a window has 1 to 2**31 - 1 bytes, not {size}")
        if self.connection < 65535:
            # RFC 9113 section 6.9.2: it cannot be made smaller than it begins.
            raise ValueError("the connection's window has at least 65535 bytes")
        if not self.stream <= self.max_stream <= self.total:
            raise ValueError("it has to be that stream <= max_stream <= total")


class BaseFlowControlManager:
    """What a window manager is. Override :meth:`increase_window_size`.

    :param initial_window_size: the size of the window in bytes when it is opened.
    :param document_size: the length of the body in bytes, if it is known.
    """

    #: The size of the window at the beginning, in bytes.
    initial_window_size: int
    #: The bytes that the peer may still send. Kept by hyper: do not write it.
    window_size: int
    #: The Content-Length of the response; 0 if there is none. Kept by hyper.
    document_size: int | None

    def __init__(
        self, initial_window_size: int, document_size: int | None = None
    ) -> None:
        self.initial_window_size = initial_window_size
        self.window_size = initial_window_size
        self.document_size = document_size

    def increase_window_size(self, frame_size: int) -> int:
        """Return by how many bytes to open the window, 0 for not now.

        Called for every DATA frame, before ``window_size`` is lowered by it.

        :param frame_size: the bytes of the window that the frame has used.
        """
        raise NotImplementedError("a window manager says how to open its window")

    def blocked(self) -> int:
        """Return by how many bytes to open the window of a peer that is blocked.

        Kept for managers written for older versions; HTTP/2 has no such frame, and
        hyper never calls it.
        """
        raise NotImplementedError("HTTP/2 does not tell when a peer is blocked")

    def credit(self, frame_size: int) -> int:
        """Note a frame; return by how many bytes the window is to be opened."""
        increment = max(0, self.increase_window_size(frame_size))
        self.window_size -= frame_size
        increment = min(increment, LARGEST_WINDOW - self.window_size)
        self.window_size += increment
        return increment


class FlowControlManager(BaseFlowControlManager):
    """Fills the window up when less than a quarter of it is left."""

    def increase_window_size(self, frame_size: int) -> int:
        left = self.window_size - frame_size
        if left < self.initial_window_size // 4 or left < 1000:
            return self.initial_window_size - left
        return 0

    def blocked(self) -> int:
        return self.initial_window_size - self.window_size


class AutoFlowControlManager(BaseFlowControlManager):
    """The default: opens the window when half of it is used, and makes it grow.

    :ivar target: the size to which the window is filled up, in bytes.
    """

    def __init__(
        self, initial_window_size: int, document_size: int | None = None
    ) -> None:
        super().__init__(initial_window_size, document_size)
        self.target = initial_window_size

    def increase_window_size(self, frame_size: int) -> int:
        left = self.window_size - frame_size
        return self.target - left if left <= self.target // 2 else 0

    def blocked(self) -> int:
        return self.target - self.window_size

    def growth(self, received: int, at_most: int) -> int:
        """Return by how many bytes the target should grow, given one round trip.

        The window holds the sender up if it could send half of it in a round trip: the
        other half is what it needs until our updates, which are sent for halves,
        arrive. From 1 MiB to 16 MiB the target grows twice.

        :param received: how many bytes have come during the round trip so far.
        :param at_most: the largest target.
        """
        if 2 * received < self.target:
            return 0
        return max(0, min(4 * self.target, at_most) - self.target)
