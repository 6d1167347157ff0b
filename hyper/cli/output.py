"""The body on standard output, and nothing else there.

Into a pipe or a file go the exact bytes of the body, decoded, each piece as soon as it
has come: ``hyper URL | jq`` and ``hyper URL > file`` are what they look like. On a
terminal a person reads, so JSON is indented anew.

Only the space between the tokens of the JSON is changed. Parsing and writing it again
would round large numbers, drop the first of two equal keys and replace escapes, and
whoever debugs a server wants to see what it sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TextIO

from ..response import Response

#: A body of more bytes is shown as it is, so that one without end is shown at all.
LARGEST_JSON = 1024 * 1024

_INDENT = "  "
#: In valid JSON: a string, a character of its structure, or a number or a word.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')


class CannotWrite(Exception):
    """Standard output does not take the body.

    :ivar broken_pipe: True if its reader has seen enough, which is no mishap.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(f"cannot write the body: {error.strerror or error}")
        self.broken_pipe = isinstance(error, BrokenPipeError)


def show_body(response: Response, out: TextIO) -> None:
    """Write the body of a response.

    :param out: a text stream with a binary ``buffer``, as ``sys.stdout`` is.
    :raises HyperError: if the body does not come whole; what came is written.
    :raises CannotWrite: if ``out`` does not take it; ``out`` is closed then.
    """
    if out.isatty() and _is_json(response):
        _show_json(response, out)
    for piece in _pieces(response):
        _write(out, piece)


def reindent(text: str) -> str:
    """Return JSON with each item on a line of its own, every token as it was.

    :raises ValueError: if it is not JSON.
    :raises RecursionError: if it is nested too deeply to tell.
    """
    json.loads(text)
    tokens = _TOKEN.findall(text)
    lines = [""]
    depth = 0
    for token, following in zip(tokens, [*tokens[1:], ""], strict=True):
        if token in "]}" and lines[-1][-1:] not in ("[", "{"):
            depth -= 1
            lines.append(_INDENT * depth)
        lines[-1] += ": " if token == ":" else token
        if token in "[{" and following not in ("]", "}"):
            depth += 1
            lines.append(_INDENT * depth)
        elif token == ",":
            lines.append(_INDENT * depth)
    return "\n".join(lines) + "\n"


def _show_json(response: Response, out: TextIO) -> None:
    """Write a body indented anew, or the beginning of it if it is too long."""
    body = bytearray()
    complete = False
    try:
        for piece in _pieces(response):
            body += piece
            if len(body) > LARGEST_JSON:
                break
        else:
            complete = True
    finally:
        _write(out, _reindented(bytes(body)) if complete else bytes(body))


def _reindented(body: bytes) -> bytes:
    try:
        return reindent(body.decode("utf-8")).encode("utf-8")
    except (ValueError, RecursionError):
        return body  # The server said JSON and sent something else.


def _is_json(response: Response) -> bool:
    kind = (response.getheader("content-type") or "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _pieces(response: Response) -> Iterator[bytes]:
    return iter(response.read1, b"")


def _write(out: TextIO, data: bytes) -> None:
    try:
        out.buffer.write(data)
        out.buffer.flush()
    except OSError as error:
        # It keeps what it could not write and would try once more when Python ends.
        try:
            out.close()
        except OSError:
            pass  # The same again.
        raise CannotWrite(error) from error
