"""The application that the ASGI servers (Hypercorn, Granian) run.

The server is started in its own directory, where the files to serve are in docroot.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

FILES = {file.name: file.read_bytes() for file in Path("docroot").iterdir()}
ETAGS = {
    name: b'"%b"' % hashlib.sha256(FILES[name]).hexdigest()[:16].encode()
    for name in FILES
}
COMPRESSED_TEXT = gzip.compress(FILES["text"], 1)

counts: Counter[str] = Counter()


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    if scope["type"] == "websocket":
        await websocket(scope["path"], receive, send)
        return
    assert scope["type"] == "http"
    path, method = scope["path"], scope["method"]
    headers = dict(scope["headers"])
    extensions = scope.get("extensions") or {}
    if method == "HEAD":
        # Hypercorn does this by itself. Granian sends the body.
        send = without_body(send)
    if method in ("POST", "PUT"):
        await post(path, receive, send)
    elif path[1:] in FILES:
        await request_body(receive)
        await send_file(path[1:], headers, send)
    elif path.startswith("/echo/"):
        await answer(send, path.removeprefix("/echo/").encode())
    elif path == "/count":
        await answer(send, json.dumps(counts).encode(), b"application/json")
    elif path == "/slow":
        await asyncio.sleep(0.5)
        await answer(send, b"slow\n")
    elif path == "/never":
        await never(receive, send)
    elif path == "/events":
        await events(int(headers.get(b"last-event-id", b"0")), send)
    elif path == "/trailers" and "http.response.trailers" in extensions:
        await answer(send, b"trailers follow\n", trailers=True)
        fields = [(b"x-trailer", b"yes")]
        await send({"type": "http.response.trailers", "headers": fields})
    elif path == "/early-hints" and "http.response.early_hint" in extensions:
        link = b"</style.css>; rel=preload; as=style"
        await send({"type": "http.response.early_hint", "links": [link]})
        await answer(send, b"hinted\n")
    elif path == "/pushing" and "http.response.push" in extensions:
        await send({"type": "http.response.push", "path": "/hello", "headers": []})
        await answer(send, b"pushing\n")
    else:
        await answer(send, b"not found\n", status=404)


def without_body(send: Send) -> Send:
    async def send_without_body(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_without_body


async def lifespan(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def websocket(path: str, receive: Receive, send: Send) -> None:
    await receive()
    if path != "/websocket":
        # Hypercorn answers 403.
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        text, data = message.get("text"), message.get("bytes")
        if text == "close":
            goodbye = {"code": 4000, "reason": "as you wish"}
            await send({"type": "websocket.close", **goodbye})
            return
        await send({"type": "websocket.send", "text": text, "bytes": data})


async def post(path: str, receive: Receive, send: Send) -> None:
    body = await request_body(receive)
    if path == "/upload":
        told = {"length": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        await answer(send, json.dumps(told).encode(), b"application/json")
    elif path == "/echo":
        await answer(send, body, b"application/octet-stream")
    elif path.startswith("/count/"):
        name = path.removeprefix("/count/")
        counts[name] += 1
        await answer(send, b"%d\n" % counts[name])
    else:
        await answer(send, b"not found\n", status=404)


async def never(receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    gone = asyncio.ensure_future(wait_disconnected(receive))
    while not gone.done():
        await send({"type": "http.response.body", "body": b".", "more_body": True})
        await asyncio.wait([gone], timeout=0.2)


async def events(last: int, send: Send) -> None:
    """Send the next two of five server-sent events, or say that there are no more."""
    if last == 5:
        await answer(send, b"", status=204)
        return
    body = b"retry: 0\n\n" if last == 0 else b""
    for number in range(last + 1, min(last + 2, 5) + 1):
        body += b"id: %d\nevent: count\ndata: %d\ndata: of 5\n\n" % (number, number)
    await answer(send, body, b"text/event-stream")


async def wait_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def request_body(receive: Receive) -> bytes:
    pieces = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            # Torn: a POST that did not arrive whole must not be counted.
            raise ConnectionResetError("the request body ended early")
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


async def send_file(name: str, headers: dict[bytes, bytes], send: Send) -> None:
    more = [(b"etag", ETAGS[name])]
    if headers.get(b"if-none-match") == ETAGS[name]:
        await answer(send, b"", status=304, more=more)
        return
    body = FILES[name]
    if name == "text":
        more.append((b"vary", b"accept-encoding"))
        if b"gzip" in headers.get(b"accept-encoding", b""):
            more.append((b"content-encoding", b"gzip"))
            body = COMPRESSED_TEXT
    await answer(send, body, more=more)


async def answer(
    send: Send,
    body: bytes,
    content_type: bytes = b"text/plain",
    *,
    status: int = 200,
    more: list[tuple[bytes, bytes]] | None = None,
    trailers: bool = False,
) -> None:
    headers = more or []
    if status not in (204, 304):
        length = b"%d" % len(body)
        headers = [
            *headers,
            (b"content-type", content_type),
            (b"content-length", length),
        ]
    start: Message = {"type": "http.response.start", "status": status}
    await send({**start, "headers": headers, "trailers": trailers})
    await send({"type": "http.response.body", "body": body})
