"""A WebSocket on one stream of an HTTP/2 connection (RFC 8441), with wsproto.

    python docs/examples/websocket.py https://localhost:8443 /chat

sends each line of its input as a message, and prints those that come. The connection
stays free for other requests, and for more WebSockets, all the while.
"""

from __future__ import annotations

import sys
from collections import deque
from contextlib import suppress
from threading import Lock, Thread

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.utilities import LocalProtocolError

from hyper import HTTP20Connection


class Closed(Exception):
    """The WebSocket has ended; ``code`` is 1006 if the server did not say goodbye."""

    def __init__(self, code: int, reason: str | None) -> None:
        super().__init__(f"the WebSocket was closed: {code} {reason or ''}".rstrip())
        self.code = code
        self.reason = reason


class WebSocket:
    """Messages both ways: any threads may send while one receives."""

    def __init__(self, conn: HTTP20Connection, path: str) -> None:
        conn.putrequest("CONNECT", path, protocol="websocket")
        conn.putheader("sec-websocket-version", "13")
        self._conn = conn
        self._stream_id = conn.endheaders()
        self._response = conn.get_response(self._stream_id)
        if self._response.status // 100 != 2:
            self._response.close()
            raise ConnectionError(f"the server answered {self._response.status}")
        # What wsproto knows changes under a lock that nobody holds while waiting; to
        # send takes another one as well, so that frames go out whole and in order.
        self._frames = Connection(ConnectionType.CLIENT)
        self._lock = Lock()
        self._sending = Lock()
        self._events: deque[Event] = deque()
        self._goodbye: CloseConnection | None = None

    def send(self, message: str | bytes) -> None:
        """Send a text or a binary message."""
        if isinstance(message, str):
            self._send(TextMessage(message))
        else:
            self._send(BytesMessage(message))

    def receive(self) -> str | bytes:
        """Wait for a message and return it; raise Closed when there are no more.

        Pings are answered from here, so some thread has to be receiving.
        """
        text, data = "", bytearray()
        while self._goodbye is None:
            event = self._next_event()
            if isinstance(event, TextMessage):
                text += event.data
                if event.message_finished:
                    return text
            elif isinstance(event, BytesMessage):
                data += event.data
                if event.message_finished:
                    return bytes(data)
            elif isinstance(event, Ping):
                self._answer(event.response())
            elif isinstance(event, CloseConnection):
                self._answer(event.response())
                # Which resets the stream, as in browsers: not all servers end it.
                self._response.close()
                self._goodbye = event
        raise Closed(self._goodbye.code, self._goodbye.reason)

    def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Say goodbye. ``receive`` goes on until the server has answered."""
        self._answer(CloseConnection(code, reason))

    def _send(self, event: Event) -> None:
        with self._sending:
            with self._lock:
                data = self._frames.send(event)
            self._conn.send(data, stream_id=self._stream_id)

    def _answer(self, event: Event) -> None:
        # After a goodbye there is nothing more to say.
        with suppress(LocalProtocolError):
            self._send(event)

    def _next_event(self) -> Event:
        while not self._events:
            data = self._response.read1()
            with self._lock:
                self._frames.receive_data(data or None)
                self._events.extend(self._frames.events())
        return self._events.popleft()


def main(url: str, path: str) -> None:
    with HTTP20Connection(url) as conn:
        socket = WebSocket(conn, path)

        def send_lines() -> None:
            for line in sys.stdin:
                socket.send(line.rstrip("\n"))
            socket.close()

        sender = Thread(target=send_lines, daemon=True)
        sender.start()
        with suppress(Closed):
            while True:
                print(socket.receive(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
