"""A scripted HTTP/1.1 server: bytes out as given, requests in as text.

As in test/peer.py, every method runs in the test's own thread and every read has a
deadline.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

from peer import PATIENCE

from hyper import HTTP11Connection


class TextPeer:
    """One listening socket, and the connection that was accepted last."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self._accepted: list[socket.socket] = []
        self._clients: list[HTTP11Connection] = []
        self._input = b""

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    @property
    def connections(self) -> int:
        return len(self._accepted)

    def connection(self, **options: Any) -> HTTP11Connection:
        """Return a client of this peer, closed when the test ends."""
        options.setdefault("timeout", PATIENCE)
        conn = HTTP11Connection("127.0.0.1", self.port, **options)
        self._clients.append(conn)
        return conn

    def close(self) -> None:
        for conn in self._clients:
            conn.close()
        for sock in [*self._accepted, self._listener]:
            sock.close()

    @property
    def sock(self) -> socket.socket:
        return self._accepted[-1]

    def accept(self) -> None:
        sock, _ = self._listener.accept()
        sock.settimeout(PATIENCE)
        self._accepted.append(sock)
        self._input = b""

    def want_head(self) -> list[bytes]:
        """Return the lines of the next request's head."""
        while b"\r\n\r\n" not in self._input:
            data = self.sock.recv(65536)
            assert data, "the client closed the connection"
            self._input += data
        head, _, self._input = self._input.partition(b"\r\n\r\n")
        return head.split(b"\r\n")

    def want_bytes(self, amount: int) -> bytes:
        """Return the next ``amount`` bytes of the request's body."""
        while len(self._input) < amount:
            data = self.sock.recv(65536)
            assert data, "the client closed the connection"
            self._input += data
        taken, self._input = self._input[:amount], self._input[amount:]
        return taken

    def want_eof(self) -> None:
        """Read until the client has closed the connection."""
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionResetError:
            pass  # It closed with bytes of ours unread.

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def respond(self, body: bytes = b"", fields: bytes = b"") -> None:
        """Send a whole response, after which the connection lives on."""
        length = b"Content-Length: %d\r\n" % len(body)
        self.send(b"HTTP/1.1 200 OK\r\n" + length + fields + b"\r\n" + body)

    def hang_up(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def die(self) -> None:
        """Send a TCP RST, as a server that dies does."""
        self.sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.sock.close()
