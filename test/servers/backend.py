"""The application behind the servers that only proxy: a stdlib http.server.

It is run as a script in a process of its own, on a listening socket it inherits, so
that it is reachable from before its first instruction and nobody waits for it. It
outlives a restart of the server in front of it, and with it live the counts of POSTs:
that is how a test proves that a request was executed exactly once although the
connection on which it went was torn.

It imports nothing of this package and nothing that has to be installed.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FILES: dict[str, bytes] = {}

counts_lock = threading.Lock()
counts: Counter[str] = Counter()  # guarded by counts_lock

# One Event that is never set, to wait a given time on.
NEVER = threading.Event()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without this a small answer waits 40 ms for the peer's delayed acknowledgement.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.drain()
        path = self.path.partition("?")[0]
        if path.startswith("/echo/"):
            self.answer(path.removeprefix("/echo/").encode())
        elif path[1:] in FILES:
            self.answer_file(FILES[path[1:]], compressible=path == "/text")
        elif path == "/count":
            with counts_lock:
                told = json.dumps(counts)
            self.answer(told.encode(), "application/json")
        elif path in self.SPECIAL:
            self.SPECIAL[path](self)
        else:
            self.answer(b"not found\n", status=404)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/upload":
            digest, length = hashlib.sha256(), 0
            for piece in self.request_body():
                digest.update(piece)
                length += len(piece)
            told = json.dumps({"length": length, "sha256": digest.hexdigest()})
            self.answer(told.encode(), "application/json")
            return
        body = b"".join(self.request_body())
        if path == "/echo":
            self.answer(body, "application/octet-stream")
        elif path.startswith("/count/"):
            name = path.removeprefix("/count/")
            with counts_lock:
                counts[name] += 1
                count = counts[name]
            self.answer(f"{count}\n".encode())
        else:
            self.answer(b"not found\n", status=404)

    do_PUT = do_POST

    def slow(self) -> None:
        NEVER.wait(0.5)
        self.answer(b"slow\n")

    def never(self) -> None:
        self.start_chunked()
        while self.command != "HEAD":
            self.write_chunk(b".")
            NEVER.wait(0.2)

    def trailers(self) -> None:
        self.start_chunked(trailer="x-trailer")
        if self.command != "HEAD":
            self.write_chunk(b"trailers follow\n")
            self.wfile.write(b"0\r\nx-trailer: yes\r\n\r\n")

    def early_hints(self) -> None:
        self.send_response_only(103)
        self.send_header("link", "</style.css>; rel=preload; as=style")
        self.end_headers()
        self.answer(b"hinted\n")

    def pushing(self) -> None:
        # The servers in front of this take the header for the wish to push.
        self.answer(b"pushing\n", headers={"link": "</hello>; rel=preload; as=fetch"})

    SPECIAL = {  # noqa: RUF012
        "/slow": slow,
        "/never": never,
        "/trailers": trailers,
        "/early-hints": early_hints,
        "/pushing": pushing,
    }

    def answer_file(self, body: bytes, *, compressible: bool) -> None:
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        headers = {"etag": etag}
        if self.headers.get("if-none-match") == etag:
            self.answer(b"", status=304, headers=headers)
            return
        if compressible:
            headers["vary"] = "accept-encoding"
            if "gzip" in self.headers.get("accept-encoding", ""):
                headers["content-encoding"] = "gzip"
                body = gzip.compress(body, 1)
        self.answer(body, headers=headers)

    def answer(
        self,
        body: bytes,
        content_type: str = "text/plain",
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def start_chunked(self, trailer: str | None = None) -> None:
        # An intermediary that speaks HTTP/1.0 gets neither of those that need chunks.
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.send_header("transfer-encoding", "chunked")
        if trailer is not None:
            self.send_header("trailer", trailer)
        self.end_headers()

    def write_chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def drain(self) -> None:
        for _ in self.request_body():
            pass

    def request_body(self) -> Iterator[bytes]:
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                yield self.read_exactly(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return
        left = int(self.headers.get("content-length", 0))
        while left:
            piece = self.read_exactly(min(left, 65536))
            left -= len(piece)
            yield piece

    def read_exactly(self, size: int) -> bytes:
        data = self.rfile.read(size)
        if len(data) < size:
            # Torn: a POST that did not arrive whole must not be counted.
            raise ConnectionResetError("the request body ended early")
        return data


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(listener.getsockname()[:2], Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that goes away is everyday business here, and not worth a traceback.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listener", type=int, required=True, help="a descriptor")
    parser.add_argument("--docroot", type=Path, required=True)
    arguments = parser.parse_args()
    for file in arguments.docroot.iterdir():
        FILES[file.name] = file.read_bytes()
    Server(socket.socket(fileno=arguments.listener)).serve_forever()


if __name__ == "__main__":
    main()
