"""The JSON that describes a request, in the shape that httpbin made familiar."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from email.message import Message
from urllib.parse import parse_qs

from hyper.http2bin.message import Fields, Refusal, Reply, Request

JSON = Mapping[str, object]

BODY_LIMIT = 16 * 1024 * 1024
"""The most bytes of a body that are held to be shown; /upload counts any number."""


def json_reply(value: JSON, headers: Fields | None = None) -> Reply:
    """Return a reply that carries this as JSON."""
    kind = ("content-type", "application/json")
    return Reply(200, [kind, *(headers or [])], encode(value))


def encode(value: JSON) -> bytes:
    """Return the JSON of a document, indented by 2 with sorted keys."""
    return json.dumps(value, indent=2, sort_keys=True).encode() + b"\n"


def about(request: Request) -> dict[str, object]:
    """Describe a request without its body."""
    return {
        "args": singles(request.args),
        "headers": header_document(request),
        "origin": request.origin,
        "url": request.url,
    }


def about_with_body(request: Request) -> dict[str, object]:
    """Describe a request and its body. Raises Refusal(413) and Cancelled."""
    body = read_all(request)
    found = about(request) | {"data": "", "files": {}, "form": {}, "json": None}
    kind, options = content_type(request.header("content-type"))
    if kind == "application/x-www-form-urlencoded":
        form = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
        found["form"] = singles(form)
    elif kind == "multipart/form-data" and options.get("boundary"):
        found["form"], found["files"] = multipart(body, options["boundary"])
    else:
        found["data"] = readable(body)
        found["json"] = parsed_json(body)
    return found


def header_document(request: Request) -> dict[str, str]:
    """Return the fields in Canonical-Case; repeated ones are joined."""
    found: dict[str, str] = {"Host": request.authority}
    for name in dict.fromkeys(name for name, _ in request.headers):
        values = [v for n, v in request.headers if n == name]
        # RFC 9113 8.2.3: the crumbs of a cookie are joined by semicolons.
        found[canonical(name)] = ("; " if name == "cookie" else ", ").join(values)
    return found


def canonical(name: str) -> str:
    """Return x-some-name as X-Some-Name."""
    return "-".join(word.capitalize() for word in name.split("-"))


def singles(values: Mapping[str, list[str]]) -> dict[str, object]:
    """Return a name's only value as a string, several as a list."""
    return {n: v[0] if len(v) == 1 else v for n, v in values.items()}


def read_all(request: Request) -> bytes:
    """Return the whole body. Raises Refusal(413) above BODY_LIMIT, Cancelled."""
    pieces: list[bytes] = []
    size = 0
    while piece := request.channel.read():
        size += len(piece)
        if size > BODY_LIMIT:
            raise Refusal(413, f"the body is longer than {BODY_LIMIT} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def readable(body: bytes) -> str:
    """Return the text of a body; a data: URL when it is no text."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        encoded = base64.b64encode(body).decode()
        return f"data:application/octet-stream;base64,{encoded}"


def parsed_json(body: bytes) -> object:
    """Return the value of a JSON body; None when it is not JSON."""
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value


def content_type(value: str) -> tuple[str, dict[str, str]]:
    """Split the value of a field like Content-Type into its word and parameters."""
    message = Message()
    message["content-type"] = value
    pairs = message.get_params(failobj=[("", "")], header="content-type")
    (word, _), *options = pairs
    return word.lower(), dict(options)


def multipart(body: bytes, boundary: str) -> tuple[dict[str, object], ...]:
    """Return (form, files) of a multipart/form-data body (RFC 7578)."""
    form: dict[str, list[str]] = {}
    files: dict[str, list[str]] = {}
    # The body's first boundary has no line before it; give it one.
    parts = (b"\r\n" + body).split(b"\r\n--" + boundary.encode())
    for part in parts[1:]:
        head, blank, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        if not blank:
            continue  # the "--" that ends the last part, or no part at all
        options = disposition(head.decode("utf-8", "replace"))
        into = files if "filename" in options else form
        into.setdefault(options.get("name", ""), []).append(readable(content))
    return singles(form), singles(files)


def disposition(head: str) -> dict[str, str]:
    """Return the parameters of the Content-Disposition in a part's header."""
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-disposition":
            return content_type(value)[1]
    return {}
