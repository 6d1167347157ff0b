"""What each path answers.

A route is a function under the ``route`` decorator, which names its path, its
methods and the line that the page at / says of it. ``{}`` in a path is one
segment, given to the function as a string. ``answer`` finds the route of a
request and finishes its reply, so that a protocol need only send it.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import html
import importlib
import json
import logging
import math
import random
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

from hyper.http2bin.document import (
    about,
    about_with_body,
    header_document,
    json_reply,
    singles,
)
from hyper.http2bin.message import (
    Cancelled,
    Fields,
    Refusal,
    Reply,
    Request,
    text_reply,
)

log = logging.getLogger("hyper.http2bin")

GIB = 1024**3
MAX_BYTES = 10 * GIB
MAX_DRIP = 10 * 1024 * 1024
MAX_SECONDS = 60.0
PATTERN_SIZE = 1_048_573
"""The largest prime below 1 MiB: no frame or buffer size divides it, so a piece
that is lost, doubled or moved shows in the checksum."""
PIECE_SIZE = 256 * 1024

Route = Callable[..., Reply]


@dataclass(frozen=True)
class Entry:
    """One line of the table of routes; no methods means any."""

    path: str
    pattern: re.Pattern[str]
    methods: tuple[str, ...]
    purpose: str
    function: Route


ROUTES: list[Entry] = []


def route(
    path: str, purpose: str, methods: str = "GET HEAD"
) -> Callable[[Route], Route]:
    """Enter a function in the table."""
    pattern = re.compile(re.escape(path).replace(r"\{\}", "([^/]+)"))

    def enter(function: Route) -> Route:
        names = tuple(methods.split())
        ROUTES.append(Entry(path, pattern, names, purpose, function))
        return function

    return enter


def answer(request: Request) -> Reply:
    """Return the complete reply to a request. Raises Cancelled."""
    try:
        reply = dispatch(request)
    except Refusal as refusal:
        reply = refusal.reply()
    except Cancelled:
        raise
    except Exception:
        log.exception("%s %s failed", request.method, request.target)
        reply = text_reply("the route failed", status=500)
    # RFC 9110 8.6: no Content-Length with 204; one with 304 would have to be
    # that of the 200, which is not known here.
    if isinstance(reply.body, bytes) and reply.status not in (204, 304):
        reply.headers.append(("content-length", str(len(reply.body))))
    if request.method == "HEAD":
        return replace(reply, body=b"", trailers=None)
    return reply


def dispatch(request: Request) -> Reply:
    """Run the route of this path and method."""
    for entry in ROUTES:
        if match := entry.pattern.fullmatch(request.path):
            if entry.methods and request.method not in entry.methods:
                allow = ", ".join(entry.methods)
                raise Refusal(405, f"use {allow}", [("allow", allow)])
            return entry.function(request, *map(unquote, match.groups()))
    raise Refusal(404, f"there is nothing at {request.path}")


def number(text: str, low: int, high: int) -> int:
    """Return an integer within bounds. Raises Refusal(400)."""
    if not re.fullmatch(r"[0-9]{1,20}", text) or not low <= int(text) <= high:
        raise Refusal(400, f"{text!r} is no number from {low} to {high}")
    return int(text)


def seconds(text: str) -> float:
    """Return a duration, cut to MAX_SECONDS. Raises Refusal(400)."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value >= 0:
        raise Refusal(400, f"{text!r} is no number of seconds")
    return min(value, MAX_SECONDS)


def argument(request: Request, name: str, default: str) -> str:
    """Return the first value of this name in the query."""
    return request.args.get(name, [default])[0]


# -- what was asked ----------------------------------------------------------


@route("/", "this page")
def index(request: Request) -> Reply:
    lines = "".join(
        f"<li><code>{html.escape(entry.path.replace('{}', 'N'))}</code>"
        f" {html.escape(' '.join(entry.methods) or 'any method')}:"
        f" {html.escape(entry.purpose)}</li>\n"
        for entry in ROUTES
    )
    page = f"<!DOCTYPE html>\n<title>http2bin</title>\n<ul>\n{lines}</ul>\n"
    return Reply(
        headers=[("content-type", "text/html; charset=utf-8")], body=page.encode()
    )


@route("/get", "the request as JSON")
def get(request: Request) -> Reply:
    return json_reply(about(request))


@route("/post", "the request and its body as JSON", "POST")
@route("/put", "the request and its body as JSON", "PUT")
@route("/patch", "the request and its body as JSON", "PATCH")
@route("/delete", "the request and its body as JSON", "DELETE")
def post(request: Request) -> Reply:
    return json_reply(about_with_body(request))


@route("/anything", "the request and its body as JSON", "")
@route("/anything/{}", "the same", "")
def anything(request: Request, *_: str) -> Reply:
    return json_reply(about_with_body(request) | {"method": request.method})


@route("/ip", "the address of the client")
def ip(request: Request) -> Reply:
    return json_reply({"origin": request.origin})


@route("/headers", "the fields of the request")
def headers(request: Request) -> Reply:
    return json_reply({"headers": header_document(request)})


@route("/user-agent", "the User-Agent of the request")
def user_agent(request: Request) -> Reply:
    return json_reply({"user-agent": request.header("user-agent") or None})


# -- statuses, redirects, cookies, validators --------------------------------


@route("/status/{}", "this status")
def status(request: Request, code: str) -> Reply:
    value = number(code, 200, 599)
    extra: Fields = []
    if value in (301, 302, 303, 307, 308):
        extra = [("location", "/get")]
    elif value == 401:
        extra = [("www-authenticate", 'Basic realm="http2bin"')]
    return Reply(value, extra)


@route("/redirect/{}", "this many redirects, then /get")
def redirect(request: Request, times: str) -> Reply:
    left = number(times, 1, 1000) - 1
    return Reply(302, [("location", f"/redirect/{left}" if left else "/get")])


@route("/cookies", "the cookies of the request")
def cookies(request: Request) -> Reply:
    crumbs = "; ".join(v for n, v in request.headers if n == "cookie").split(";")
    pairs = (crumb.strip().partition("=") for crumb in crumbs if crumb.strip())
    return json_reply({"cookies": {name: value for name, _, value in pairs}})


@route("/cookies/set", "sets a cookie for each name of the query")
def set_cookies(request: Request) -> Reply:
    fields = [
        ("set-cookie", f"{quote(name)}={quote(value)}; Path=/")
        for name, values in request.args.items()
        for value in values
    ]
    return Reply(302, [("location", "/cookies"), *fields])


@route("/etag/{}", "a page with this entity tag; honours If-None-Match")
def etag(request: Request, tag: str) -> Reply:
    quoted = f'"{quote(tag)}"'
    # RFC 9110 13.1.2: the weak comparison, which ignores W/.
    known = re.findall(r'"[^"]*"|^\s*\*\s*$', request.header("if-none-match"))
    if any(found.strip() in (quoted, "*") for found in known):
        return Reply(304, [("etag", quoted)])
    return json_reply(about(request), [("etag", quoted)])


# -- codings -----------------------------------------------------------------


def coded(
    request: Request, coding: str, word: str, pack: Callable[[bytes], bytes]
) -> Reply:
    """Return the JSON of a request, compressed."""
    document = {
        "headers": header_document(request),
        "method": request.method,
        "origin": request.origin,
        word: True,
    }
    reply = json_reply(document, [("content-encoding", coding)])
    assert isinstance(reply.body, bytes)
    reply.body = pack(reply.body)
    return reply


def packer(module: str, package: str) -> Callable[[bytes], bytes]:
    """Return the compress function of a module. Raises Refusal(501)."""
    try:
        found = importlib.import_module(module)
    except ImportError:
        raise Refusal(501, f"the package {package} is not installed here") from None
    return lambda data: bytes(found.compress(data))


@route("/gzip", "gzip-coded JSON")
def gzipped(request: Request) -> Reply:
    return coded(request, "gzip", "gzipped", lambda body: gzip.compress(body, mtime=0))


@route("/deflate", "deflate-coded JSON")
def deflated(request: Request) -> Reply:
    return coded(request, "deflate", "deflated", zlib.compress)


@route("/brotli", "br-coded JSON")
def brotli(request: Request) -> Reply:
    return coded(request, "br", "brotli", packer("brotli", "brotli"))


@route("/zstd", "zstd-coded JSON")
def zstd(request: Request) -> Reply:
    module = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    return coded(request, "zstd", "zstd", packer(module, "backports.zstd"))


# -- bodies that take time or room -------------------------------------------


@route("/bytes/{}", "this many bytes, the same for the same ?seed=")
def many_bytes(request: Request, count: str) -> Reply:
    size = number(count, 0, MAX_BYTES)
    pattern = pattern_of(argument(request, "seed", "0"))
    fields = [
        ("content-type", "application/octet-stream"),
        ("content-length", str(size)),
    ]
    return Reply(headers=fields, body=repeat(pattern, size))


@functools.lru_cache(maxsize=4)
def pattern_of(seed: str) -> bytes:
    """Return the bytes that /bytes repeats, for this seed."""
    return random.Random(seed).randbytes(PATTERN_SIZE)


def repeat(pattern: bytes, size: int) -> Iterator[bytes]:
    """Give ``size`` bytes of a repeated pattern, in pieces."""
    start = 0
    while size:
        piece = pattern[start : start + min(size, PIECE_SIZE)]
        yield piece
        size -= len(piece)
        start = (start + len(piece)) % len(pattern)


@route("/stream/{}", "this many lines of JSON, of no stated length")
def stream(request: Request, count: str) -> Reply:
    document = about(request)
    lines = (
        json.dumps(document | {"id": i}, sort_keys=True).encode() + b"\n"
        for i in range(number(count, 0, 1_000_000))
    )
    return Reply(headers=[("content-type", "application/json")], body=lines)


@route("/delay/{}", "the request as JSON, after this many seconds", "")
def delay(request: Request, time_text: str) -> Reply:
    request.channel.wait(seconds(time_text))
    return json_reply(about(request))


@route("/drip", "?numbytes= trickle in ?duration= seconds, after ?delay=")
def drip(request: Request) -> Reply:
    count = number(argument(request, "numbytes", "10"), 1, MAX_DRIP)
    duration = seconds(argument(request, "duration", "2"))
    first = seconds(argument(request, "delay", "0"))
    fields = [
        ("content-type", "application/octet-stream"),
        ("content-length", str(count)),
    ]
    request.channel.wait(first)
    return Reply(headers=fields, body=drops(request, count, duration))


def drops(request: Request, count: int, duration: float) -> Iterator[bytes]:
    """Give ``count`` bytes one by one, the last when ``duration`` is over."""
    began = time.monotonic()
    for sent in range(count):
        yield b"*"
        due = began + duration * (sent + 1) / count
        request.channel.wait(max(0.0, due - time.monotonic()))


@route("/never", "a byte every second, until the client goes")
def never(request: Request) -> Reply:
    fields = [("content-type", "application/octet-stream")]
    return Reply(headers=fields, body=for_ever(request))


def for_ever(request: Request) -> Iterator[bytes]:
    """Give a byte every second."""
    while True:
        yield b"."
        request.channel.wait(1.0)


# -- both directions ---------------------------------------------------------


@route("/echo", "the body of the request, as it arrives", "")
def echo(request: Request) -> Reply:
    kind = request.header("content-type", "application/octet-stream")
    pieces = iter(request.channel.read, b"")
    return Reply(headers=[("content-type", kind)], body=pieces)


@route("/upload", "counts the body of the request", "POST PUT")
def upload(request: Request) -> Reply:
    checksum = hashlib.sha256()
    received = 0
    while piece := request.channel.read():
        checksum.update(piece)
        received += len(piece)
    trailers: dict[str, list[str]] = {}
    for name, value in request.channel.trailers:
        trailers.setdefault(name, []).append(value)
    return json_reply(
        {
            "received": received,
            "sha256": checksum.hexdigest(),
            "trailers": singles(trailers),
        }
    )


# -- what only HTTP can say --------------------------------------------------


@route("/trailers", "a body, then its checksum in a trailer field")
def trailers(request: Request) -> Reply:
    body = json_reply(about(request)).body
    assert isinstance(body, bytes)
    checksum = hashlib.sha256(body).hexdigest()
    return Reply(
        headers=[("content-type", "application/json"), ("trailer", "x-checksum")],
        body=iter([body]),
        trailers=lambda: [("x-checksum", checksum)],
    )


@route("/early-hints", "103 with links, then the request as JSON")
def early_hints(request: Request) -> Reply:
    links = [
        ("link", "</style.css>; rel=preload; as=style"),
        ("link", "</script.js>; rel=preload; as=script"),
    ]
    reply = json_reply(about(request))
    reply.interim = [(103, links)]
    return reply


@route("/push", "pushes /pushed/1 and /pushed/2, if it may")
def push(request: Request) -> Reply:
    paths = ("/pushed/1", "/pushed/2") if request.channel.can_push() else ()
    reply = json_reply({"pushed": paths})
    reply.pushes = paths
    return reply


@route("/pushed/{}", "what /push pushes: 1 or 2")
def pushed(request: Request, which: str) -> Reply:
    return json_reply({"resource": number(which, 1, 2), "url": request.url})
