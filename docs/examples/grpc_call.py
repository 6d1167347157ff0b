"""gRPC over hyper: one request and one response, or streams of them both ways.

    python docs/examples/grpc_call.py http://localhost:50051 /echo.Echo/Talk one two

A call is a POST whose body is a sequence of messages, each behind five bytes: a flag
(compressed or not) and a length. So is the response, and its trailers say how the call
ended. Messages are bytes here; what makes objects of them is for you to choose.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Iterator
from threading import Thread
from urllib.parse import unquote

from hyper import HTTP20Connection, HTTP20Response

UNKNOWN, INTERNAL = 2, 13
Metadata = Iterable[tuple[str, str]]


class RPCError(Exception):
    """The call ended with another status than OK; ``code`` is its number."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"status {code}: {message}")
        self.code = code
        self.message = message


def unary(
    conn: HTTP20Connection,
    method: str,
    request: bytes,
    *,
    timeout: float | None = None,
    metadata: Metadata = (),
) -> bytes:
    """Call ``method``, such as ``/package.Service/Method``, and return its response.

    The server gives up after ``timeout`` seconds. How long this side waits is for the
    connection's own limits to say.
    """
    headers = call_headers(timeout, metadata)
    stream_id = conn.request("POST", method, body=frame(request), headers=headers)
    with conn.get_response(stream_id) as response:
        responses = list(read_messages(response))
    if len(responses) != 1:
        raise RPCError(INTERNAL, f"{len(responses)} messages came instead of one")
    return responses[0]


class Call:
    """A call with streams of messages: one thread may send while another iterates."""

    def __init__(
        self,
        conn: HTTP20Connection,
        method: str,
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> None:
        conn.putrequest("POST", method)
        for name, value in call_headers(timeout, metadata):
            conn.putheader(name, value)
        self._conn = conn
        self._stream_id = conn.endheaders()

    def send(self, request: bytes) -> None:
        self._conn.send(frame(request), stream_id=self._stream_id)

    def finish(self) -> None:
        """Say that no more requests will be sent; responses may go on."""
        self._conn.send(b"", final=True, stream_id=self._stream_id)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the responses as they come; to close the iterator cancels the call."""
        with self._conn.get_response(self._stream_id) as response:
            yield from read_messages(response)


def call_headers(timeout: float | None, metadata: Metadata) -> list[tuple[str, str]]:
    headers = [("te", "trailers"), ("content-type", "application/grpc"), *metadata]
    if timeout is not None:
        headers.append(("grpc-timeout", f"{round(timeout * 1000)}m"))  # milliseconds
    return headers


def frame(message: bytes) -> bytes:
    return struct.pack(">?I", False, len(message)) + message


def read_messages(response: HTTP20Response) -> Iterator[bytes]:
    if response.status != 200:
        raise RPCError(UNKNOWN, f"HTTP status {response.status}")
    while prefix := response.read(5):
        if len(prefix) < 5 or prefix[0] != 0:
            raise RPCError(INTERNAL, "the response is cut short or compressed")
        (length,) = struct.unpack(">I", prefix[1:])
        message = response.read(length)
        if len(message) < length:
            raise RPCError(INTERNAL, "the response is cut short")
        yield message
    # A response without messages may have its status among the headers.
    ended = response.trailers or response.headers
    code = int(ended.get("grpc-status", [b"%d" % UNKNOWN])[0])
    if code != 0:
        message = ended.get("grpc-message", [b""])[0]
        raise RPCError(code, unquote(message.decode("latin-1")))


def main(url: str, method: str, *requests: str) -> None:
    with HTTP20Connection(url) as conn:
        call = Call(conn, method)

        def send_all() -> None:
            for request in requests:
                call.send(request.encode())
            call.finish()

        sender = Thread(target=send_all)
        sender.start()
        for response in call:
            print(response.decode())
        sender.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
