"""A TCP proxy that makes loopback as long and as narrow as a wire.

    with Shaper(("127.0.0.1", port), delay=0.05, rate=40e6) as shaper:
        connect to 127.0.0.1, shaper.port

The kernel can do this (netem), for those who are root and have the module. This needs
neither, and one thread.

Each direction of each connection is a link. Bytes wait until those before them have
been sent, and arrive ``delay`` after they were sent; so one number per link, when it
will be free, is all there is to reckon with. What has been read is queued with the time
at which it arrives. The queue is bounded, as a router's is: by what is on the wire, and
a round trip's worth before it. When it is full nothing is read, and TCP holds the
sender up.

What it cannot show: loss, and TCP's slow start over a long way, since both halves of
each connection are on loopback. The rate is that of HTTP alone.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import deque
from types import TracebackType

READ_SIZE = 64 * 1024
#: How many seconds earlier than due bytes may be handed over: how well select waits.
SLACK = 0.0005


class Link:
    """One direction of one connection."""

    def __init__(
        self, source: socket.socket, sink: socket.socket, delay: float, rate: float
    ) -> None:
        self.source = source
        self.sink = sink
        self._delay = delay
        self._rate = rate
        self._free_at = 0.0
        #: What is under way, with the time when it arrives. Empty bytes are the end.
        self._queue: deque[tuple[float, memoryview]] = deque()
        self._queued = 0
        self._limit = int(3 * delay * rate) + READ_SIZE
        self._ended = False
        #: The sink takes no more bytes for now.
        self.stuck = False
        #: The end has come and was passed on.
        self.done = False

    @property
    def has_room(self) -> bool:
        return not self._ended and self._queued < self._limit

    @property
    def due(self) -> float | None:
        """When there is something to hand over; None if only others can tell."""
        return self._queue[0][0] if self._queue and not self.stuck else None

    def read(self, now: float) -> None:
        """Put what has come onto the link."""
        try:
            data = self.source.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._ended = not data
        self._free_at = max(now, self._free_at) + len(data) / self._rate
        self._queued += len(data)
        self._queue.append((self._free_at + self._delay, memoryview(data)))

    def write(self, now: float) -> None:
        """Hand over what has arrived, as much as the sink takes."""
        self.stuck = False
        while self._queue and self._queue[0][0] <= now + SLACK and not self.stuck:
            due, data = self._queue.popleft()
            try:
                if not data:
                    self.sink.shutdown(socket.SHUT_WR)
                    self.done = True
                    return
                sent = self.sink.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:  # The sink is gone.
                self.done = self._ended = True
                self._queue.clear()
                return
            self._queued -= sent
            if sent < len(data):
                self._queue.appendleft((due, data[sent:]))
                self.stuck = True


class Shaper:
    """A listening proxy in a thread of its own, for as long as the context lasts.

    :param target: the address to connect to.
    :param delay: what each byte takes in each direction, in seconds.
    :param rate: of each direction, in bytes per second.
    """

    def __init__(self, target: tuple[str, int], delay: float, rate: float) -> None:
        self._target = target
        self._delay = delay
        self._rate = rate
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._bell = socket.socketpair()
        self._pairs: list[tuple[Link, Link]] = []
        self._thread = threading.Thread(target=self._run)

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def __enter__(self) -> Shaper:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bell[1].close()
        self._thread.join()
        self._bell[0].close()
        self._listener.close()

    def _run(self) -> None:
        bell = self._bell[0]
        while True:
            links = [link for pair in self._pairs for link in pair]
            reading = [link.source for link in links if link.has_room]
            writing = [link.sink for link in links if link.stuck]
            patience = self._patience(links)
            ready, _, _ = select.select(
                [bell, self._listener, *reading], writing, [], patience
            )
            if bell in ready:
                break
            if self._listener in ready:
                self._accept()
            now = time.monotonic()
            for link in links:
                if link.source in ready:
                    link.read(now)
                link.write(now)
            self._close_what_is_done()
        for pair in self._pairs:
            self._close(pair[0])

    def _patience(self, links: list[Link]) -> float | None:
        """Return how long to wait for events: until the next bytes arrive."""
        dues = [link.due for link in links if link.due is not None]
        return max(0.0, min(dues) - time.monotonic()) if dues else None

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        far = socket.create_connection(self._target)
        for sock in near, far:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        there = Link(near, far, self._delay, self._rate)
        back = Link(far, near, self._delay, self._rate)
        self._pairs.append((there, back))

    def _close_what_is_done(self) -> None:
        for there, back in list(self._pairs):
            if there.done and back.done:
                self._pairs.remove((there, back))
                self._close(there)

    def _close(self, link: Link) -> None:
        link.source.close()
        link.sink.close()
