"""A scripted HTTP/1.1 server: bytes out as given, requests in as text.

As in test/peer.py, every method runs in the test's own thread and every read has a
deadline.
"""

from __future__ import annotations

from typing import Any

from peer import Listener

from hyper import HTTP11Connection


class TextPeer(Listener):
    """A server that is told byte by byte what to say."""

    def __init__(self) -> None:
        super().__init__()
        self._input = b""

    def connection(self, **options: Any) -> HTTP11Connection:
        """Return a client of this peer, closed when the test ends."""
        return self.client(HTTP11Connection, **options)

    def accept(self) -> None:
        """Take the client's connection, and forget the one before."""
        super().accept()
        self._input = b""

    def want_head(self) -> list[bytes]:
        """Return the lines of the next request's head."""
        while b"\r\n\r\n" not in self._input:
            self._receive()
        head, _, self._input = self._input.partition(b"\r\n\r\n")
        return head.split(b"\r\n")

    def want_bytes(self, amount: int) -> bytes:
        """Return the next ``amount`` bytes of the request's body."""
        while len(self._input) < amount:
            self._receive()
        taken, self._input = self._input[:amount], self._input[amount:]
        return taken

    def respond(self, body: bytes = b"", fields: bytes = b"") -> None:
        """Send a whole response, after which the connection lives on."""
        length = b"Content-Length: %d\r\n" % len(body)
        self.send_bytes(b"HTTP/1.1 200 OK\r\n" + length + fields + b"\r\n" + body)

    def _receive(self) -> None:
        data = self.sock.recv(65536)
        assert data, "the client closed the connection"
        self._input += data
