"""Window managers: how much a peer may send, and when it may send more.

RFC 9113 section 5.2 gives every stream, and the connection as a whole, a window: the
number of bytes of DATA the peer may still send. A manager decides when to open it
again. One instance serves one window: a connection makes one for itself and one for
each stream, which is why users pass the *class*.

hyper tells the connection's manager about a frame when it arrives, and a stream's when
the user has read the frame. So what is held in memory is bounded by the streams'
windows, and a reader that is slow holds up its own stream and no other.

Managers are called under the connection's lock: they must not block.
"""

from __future__ import annotations

#: What a connection announces as the window of each new stream.
STREAM_WINDOW = 1024 * 1024
#: The window of the connection as a whole.
CONNECTION_WINDOW = 16 * 1024 * 1024
#: RFC 9113 section 6.9.1.
LARGEST_WINDOW = 2**31 - 1


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
    """The default: fill the window up when less than a quarter of it is left."""

    def increase_window_size(self, frame_size: int) -> int:
        left = self.window_size - frame_size
        if left < self.initial_window_size // 4 or left < 1000:
            return self.initial_window_size - left
        return 0

    def blocked(self) -> int:
        return self.initial_window_size - self.window_size
