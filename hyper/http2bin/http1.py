"""One HTTP/1.1 connection: its thread reads a request, runs the route, replies.

The reading is small and strict rather than complete: no line folding, no bare
line feeds, no transfer-coding but chunked. What breaks the rules gets an answer
that says so and ends the connection, because where the next request would begin
is no longer known (RFC 9112 11.2).

Only this connection's thread uses these objects, except ``finish`` and ``abort``,
which any thread may call; ``_busy`` and ``_finishing`` are guarded by Wire.lock.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus

from hyper.http2bin.message import (
    Cancelled,
    Fields,
    Refusal,
    Reply,
    Request,
    origin_form,
)
from hyper.http2bin.wire import Wire

log = logging.getLogger("hyper.http2bin")

HEAD_LIMIT = 64 * 1024
"""The most bytes of a header or trailer section."""
LINE_LIMIT = 4096
"""The most bytes of the line before a chunk."""
DISCARD_LIMIT = 1024 * 1024
"""The most bytes of an unwanted body that are read to keep the connection."""

REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/(\d)\.(\d)")
FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r\n]*?)[ \t]*")

Handler = Callable[[Request], Reply]


class Http1:
    """Runs one connection."""

    def __init__(self, wire: Wire, handler: Handler, origin: str, first: bytes) -> None:
        self._wire = wire
        self._handler = handler
        self._origin = origin
        self._input = Input(wire, first)
        self._stopped = threading.Event()
        self._answering = False  # the head of the current reply has gone out
        self._busy = False
        self._finishing = False

    def run(self) -> None:
        """Serve requests until either side has had enough."""
        try:
            while self._serve_one():
                pass
            self._wire.linger()
        except Refusal as refusal:
            # A reply that has begun cannot be taken back.
            if not self._answering:
                self._refuse(refusal)
        except Cancelled:
            pass  # nobody is left to be told
        except Exception:
            log.exception("a reply to %s failed", self._origin)
        finally:
            self._wire.abort()

    def finish(self) -> bool:
        """End after the current request; return whether there was none."""
        with self._wire.lock:
            self._finishing = True
            if not self._busy:
                self._wire.end()
            return not self._busy

    def abort(self) -> None:
        """End now."""
        self._stopped.set()
        self._wire.abort()

    def _serve_one(self) -> bool:
        """Serve one request; return whether another may follow."""
        head = self._input.read_head(first=True)
        if not head:
            return False
        with self._wire.lock:
            self._busy = True
        self._answering = False
        request, body, keep = self._parse(head)
        reply = self._handler(request)
        keep = keep and not body.failed
        if body.owes_continue:
            if isinstance(reply.body, bytes):
                keep = False  # whether the client sends its body is its guess now
            else:
                body.say_continue()  # the route streams, and may yet read it
        self._send_reply(request, reply, body.version, keep)
        with self._wire.lock:
            self._busy = False
            keep = keep and not self._finishing
        return keep and body.discard()

    def _parse(self, head: str) -> tuple[Request, Body, bool]:
        """Return a request, its body, and whether the connection may persist."""
        first, *lines = head.split("\r\n")
        match = REQUEST_LINE.fullmatch(first)
        if match is None:
            raise Refusal(400, "the request line is malformed")
        method, target, major, minor = match.groups()
        if major != "1":
            raise Refusal(505, "this is HTTP/1.1")
        version = (1, min(int(minor), 1))
        fields = parse_fields(lines)
        hosts = [value for name, value in fields if name == "host"]
        if len(hosts) > 1 or (not hosts and version == (1, 1)):
            raise Refusal(400, "there must be one Host")
        authority, target = origin_form(target)
        body = Body(self._input, self._wire, self._stopped, version, fields)
        request = Request(
            method,
            self._wire.scheme,
            authority or (hosts or [""])[0],
            target,
            fields,
            self._origin,
            body,
        )
        options = request.header("connection").lower().replace(" ", "").split(",")
        return request, body, version == (1, 1) and "close" not in options

    def _send_reply(
        self, request: Request, reply: Reply, version: tuple[int, int], keep: bool
    ) -> None:
        """Send a reply and wait until the kernel has it."""
        if version == (1, 1):
            for status, fields in reply.interim:
                self._write(head_bytes(status, fields))
        fields = reply.headers if keep else reply.headers + [("connection", "close")]
        sized = isinstance(reply.body, bytes) or request.method == "HEAD"
        sized = sized or any(name == "content-length" for name, _ in fields)
        chunked = not sized and version == (1, 1)
        if chunked:
            fields = fields + [("transfer-encoding", "chunked")]
        head = head_bytes(reply.status, fields)
        self._answering = True
        if isinstance(reply.body, bytes):
            self._write(head + reply.body)
            return
        self._write(head)
        for piece in filter(None, reply.body):  # an empty chunk would be the last
            self._write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            last = reply.trailers() if reply.trailers else []
            self._write(b"0\r\n" + field_bytes(last) + b"\r\n")

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what could not be understood, and end the connection."""
        reply = refusal.reply()
        assert isinstance(reply.body, bytes)
        size = ("content-length", str(len(reply.body)))
        fields = [*reply.headers, size, ("connection", "close")]
        try:
            self._write(head_bytes(reply.status, fields) + reply.body)
        except Cancelled:
            return
        self._wire.linger()

    def _write(self, data: bytes) -> None:
        with self._wire.lock:
            self._wire.write(data)
        self._wire.drain()


class Input:
    """What was received and not yet used. Raises Cancelled when cut short."""

    def __init__(self, wire: Wire, first: bytes) -> None:
        self._wire = wire
        self._bytes = bytearray(first)

    def __bool__(self) -> bool:
        return bool(self._bytes)

    def read_head(self, first: bool) -> str:
        """Return the lines up to an empty one; "" at the end of the connection.

        ``first`` tells that a request may begin here: blank lines before it are
        skipped (RFC 9112 2.2), and the client may leave instead.
        """
        while True:
            while first and self._bytes.startswith(b"\r\n"):
                del self._bytes[:2]
            if not first and self._bytes.startswith(b"\r\n"):
                del self._bytes[:2]
                return ""
            end = self._bytes.find(b"\r\n\r\n")
            if 0 <= end <= HEAD_LIMIT:
                return self._take(end + 4)[:-4].decode("latin-1")
            if len(self._bytes) > HEAD_LIMIT:
                raise Refusal(431, f"a header is longer than {HEAD_LIMIT} bytes")
            if not self._fill():
                if first and not self._bytes:
                    return ""
                raise Cancelled

    def read_line(self) -> str:
        """Return one line without its end."""
        while (end := self._bytes.find(b"\r\n")) < 0:
            if len(self._bytes) > LINE_LIMIT:
                raise Refusal(400, f"a chunk's line is longer than {LINE_LIMIT} bytes")
            if not self._fill():
                raise Cancelled
        return self._take(end + 2)[:-2].decode("latin-1")

    def read_exactly(self, size: int) -> Iterator[bytes]:
        """Give this many bytes, as they come."""
        while size:
            if not self._bytes and not self._fill():
                raise Cancelled
            piece = self._take(size)
            size -= len(piece)
            yield piece

    def _take(self, size: int) -> bytes:
        piece = bytes(self._bytes[:size])
        del self._bytes[:size]
        return piece

    def _fill(self) -> bool:
        data = self._wire.receive()
        self._bytes += data
        return bool(data)


class Body:
    """The body of one request; the Channel of its exchange."""

    def __init__(
        self,
        source: Input,
        wire: Wire,
        stopped: threading.Event,
        version: tuple[int, int],
        fields: Fields,
    ) -> None:
        self.trailers: Fields = []
        self.version = version
        self.failed = False  # it was malformed; where it ends is unknown
        self._input = source
        self._wire = wire
        self._stopped = stopped
        coding, size = framing(fields)
        self._pieces = self._chunks() if coding else source.read_exactly(size)
        expects = any(n == "expect" and v.lower() == "100-continue" for n, v in fields)
        self.owes_continue = expects and version == (1, 1) and (coding or size > 0)

    def read(self) -> bytes:
        """Wait for more of the body and return it; b"" at its end."""
        if self.owes_continue:
            self.say_continue()
        try:
            return next(self._pieces, b"")
        except Refusal:
            self.failed = True
            raise

    def wait(self, seconds: float) -> None:
        """Wait for this long, or raise Cancelled when the server stops."""
        if self._stopped.wait(seconds):
            raise Cancelled

    def can_push(self) -> bool:
        """Return False: HTTP/1.1 cannot."""
        return False

    def say_continue(self) -> None:
        """Tell the client to send its body, unless it did not wait to be told."""
        self.owes_continue = False
        if not self._input:
            with self._wire.lock:
                self._wire.write(head_bytes(100, []))
            self._wire.drain()

    def discard(self) -> bool:
        """Skip the rest of the body; return whether it ended within reason."""
        size = 0
        for piece in self._pieces:
            size += len(piece)
            if size > DISCARD_LIMIT:
                return False
        return True

    def _chunks(self) -> Iterator[bytes]:
        """Give a chunked body as it comes, then set its trailers (RFC 9112 7.1)."""
        while True:
            digits = self._input.read_line().partition(";")[0].strip(" \t")
            if not re.fullmatch(r"[0-9A-Fa-f]{1,16}", digits):
                raise Refusal(400, "a chunk's size is malformed")
            size = int(digits, 16)
            if not size:
                break
            yield from self._input.read_exactly(size)
            if self._input.read_line():
                raise Refusal(400, "a chunk is longer than its size")
        tail = self._input.read_head(first=False)
        self.trailers = parse_fields(tail.split("\r\n") if tail else [])


def parse_fields(lines: list[str]) -> Fields:
    """Return the fields of these lines, names in lower case. Raises Refusal(400)."""
    fields: Fields = []
    for line in lines:
        match = FIELD.fullmatch(line)
        if match is None:
            raise Refusal(400, "a header field is malformed")
        fields.append((match[1].lower(), match[2]))
    return fields


def framing(fields: Fields) -> tuple[bool, int]:
    """Return (is it chunked, else how long) by RFC 9112 6.3. Raises Refusal."""
    codings = [v.lower() for n, v in fields if n == "transfer-encoding"]
    sizes = {v for n, v in fields if n == "content-length"}
    if codings and sizes:
        raise Refusal(400, "Content-Length and Transfer-Encoding exclude each other")
    if codings not in ([], ["chunked"]):
        raise Refusal(501, "no transfer-coding but chunked is known")
    if len(sizes) > 1 or not all(re.fullmatch("[0-9]{1,18}", v) for v in sizes):
        raise Refusal(400, "the Content-Length is malformed")
    return bool(codings), int(sizes.pop()) if sizes else 0


def head_bytes(status: int, fields: Fields) -> bytes:
    """Return a status line and the fields, with the empty line after them."""
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = ""
    line = f"HTTP/1.1 {status} {reason}\r\n".encode("latin-1")
    return line + field_bytes(fields) + b"\r\n"


def field_bytes(fields: Fields) -> bytes:
    """Return the lines of these fields."""
    return b"".join(f"{n}: {v}\r\n".encode("latin-1") for n, v in fields)
