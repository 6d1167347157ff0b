"""Server-sent events, followed across every loss of the connection.

    python docs/examples/server_sent_events.py https://localhost:8443 /events

prints events until the server says that there will be no more. When the connection is
lost, or the response ends, the server is asked again, and told by Last-Event-ID which
event was the last to come, so that it can go on with the next.
"""

from __future__ import annotations

import codecs
import io
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from hyper import (
    ConnectError,
    ConnectionLost,
    HTTP11Response,
    HTTP20Connection,
    HTTP20Response,
    HTTPConnection,
    IncompleteRead,
    StreamResetError,
)

#: What may be otherwise the next time; all of hyper's timeouts are TimeoutErrors.
PASSING = (ConnectError, ConnectionLost, IncompleteRead, StreamResetError, TimeoutError)


@dataclass(frozen=True)
class Event:
    data: str
    type: str = "message"
    id: str = ""


class EventSource:
    """The events of one resource. Iterate over it; once.

    :ivar last_event_id: that of the last event that came, sent when asking again.
    :ivar retry: the seconds to wait before that. The server may change it.
    """

    def __init__(
        self,
        conn: HTTP20Connection | HTTPConnection,
        path: str,
        last_event_id: str = "",
        retry: float = 3.0,
    ) -> None:
        self._conn = conn
        self._path = path
        self.last_event_id = last_event_id
        self.retry = retry

    def __iter__(self) -> Iterator[Event]:
        """Yield events until the server has no more (204) or refuses."""
        while True:
            try:
                with self._ask() as response:
                    if response.status == 204:
                        return
                    check(response)
                    yield from self._events(response)
            except PASSING:
                pass
            time.sleep(self.retry)

    def _ask(self) -> HTTP11Response | HTTP20Response:
        headers = {"accept": "text/event-stream", "cache-control": "no-store"}
        if self.last_event_id:
            headers["last-event-id"] = self.last_event_id
        return self._conn.get_response(
            self._conn.request("GET", self._path, headers=headers)
        )

    def _events(self, response: HTTP11Response | HTTP20Response) -> Iterator[Event]:
        data: list[str] = []
        kind, last_event_id = "", self.last_event_id
        for line in lines(response):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                # Only now has the event come: one that is cut off was not the last.
                self.last_event_id = last_event_id
                if data:
                    yield Event("\n".join(data), kind or "message", last_event_id)
                data, kind = [], ""
            elif name == "data":
                data.append(value)
            elif name == "event":
                kind = value
            elif name == "id" and "\0" not in value:
                last_event_id = value
            elif name == "retry" and value.isascii() and value.isdecimal():
                self.retry = int(value) / 1000


def check(response: HTTP11Response | HTTP20Response) -> None:
    kind = response.getheader("content-type", "")
    if response.status != 200 or not kind.startswith("text/event-stream"):
        raise ValueError(f"no events, but status {response.status} and {kind!r}")


def lines(response: HTTP11Response | HTTP20Response) -> Iterator[str]:
    """Yield the lines of a body that have come whole. CR, LF and CRLF end one."""
    text = codecs.getincrementaldecoder("utf-8-sig")("replace")
    decoder = io.IncrementalNewlineDecoder(text, translate=True)
    rest = ""
    while piece := response.read1():
        *whole, rest = (rest + decoder.decode(piece)).split("\n")
        yield from whole


def main(url: str, path: str) -> None:
    # A server that has nothing to say is asked now and then whether it is still there.
    with HTTPConnection(url, keepalive=(30, 10)) as conn:
        for event in EventSource(conn, path):
            print(event.id, event.type, event.data, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
