"""The body of a request: what the items of a command line, or ``--data``, make of it.

JSON, a form (``application/x-www-form-urlencoded``) and ``multipart/form-data`` (RFC
7578) are made of fields. Files are never read into memory: not as a body, and not as a
part of a multipart one, whose size is known all the same, so that the server is told.
A body that can be read twice can be sent again after a redirect.
"""

from __future__ import annotations

import errno
import json
import mimetypes
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from ..common.body import BodyLike
from .items import (
    FIELD_FROM_FILE,
    FILE,
    JSON,
    JSON_FROM_FILE,
    Items,
    Part,
    UsageError,
)

PIECE = 65536
FORM = "application/x-www-form-urlencoded"


class CannotRead(Exception):
    """What should be sent, or shown, cannot be read."""

    def __init__(self, error: OSError, what: str = "the body") -> None:
        super().__init__(f"cannot read {what}: {error.strerror or error}")


@dataclass(frozen=True, slots=True)
class Content:
    """A body and what is said of it."""

    #: Bytes, a path, or a multipart body; None is standard input.
    source: bytes | Path | Multipart | None
    #: Its Content-Type; None: nothing is said.
    kind: str | None = None

    @property
    def replayable(self) -> bool:
        """True if it can be sent a second time."""
        return self.source is not None

    @property
    def size(self) -> int | None:
        """Its size in bytes; None if only its end will tell."""
        if self.source is None:
            return None
        if isinstance(self.source, Path):
            return self.source.stat().st_size
        return len(self.source)

    @contextmanager
    def opened(self) -> Iterator[BodyLike]:
        """Have what to give to ``request`` for as long as the block runs.

        :raises OSError: if a file cannot be opened, or standard input is closed.
        """
        if isinstance(self.source, Path):
            with self.source.open("rb") as file:
                yield file
        elif self.source is not None:
            yield self.source
        elif sys.stdin is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        else:
            yield sys.stdin.buffer


@dataclass(frozen=True, slots=True)
class Multipart:
    """A body of several parts. Iterating over it reads the files anew."""

    #: The head of each part, and its content.
    parts: tuple[tuple[bytes, bytes | Path], ...]
    boundary: str

    def __len__(self) -> int:
        ends = sum(len(head) + 2 for head, _ in self.parts) + len(self._end)
        return ends + sum(
            len(content) if isinstance(content, bytes) else content.stat().st_size
            for _, content in self.parts
        )

    def __iter__(self) -> Iterator[bytes]:
        for head, content in self.parts:
            yield head
            if isinstance(content, bytes):
                yield content
            else:
                with content.open("rb") as file:
                    yield from iter(lambda file=file: file.read(PIECE), b"")  # type: ignore[misc]
            yield b"\r\n"
        yield self._end

    @property
    def _end(self) -> bytes:
        return f"--{self.boundary}--\r\n".encode()


def content_of(
    items: Items, data: str | None, form: bool, multipart: bool
) -> Content | None:
    """Return the body that was asked for; None if none was.

    :param data: the body itself.
    :param form: whether fields are sent as a form rather than as JSON.
    :param multipart: whether they are sent in parts. So they are if a file is one.
    :raises UsageError: if two bodies were asked for, a field is not what it should be,
        or a file cannot be read.
    """
    if data is not None:
        if items.has_body:
            raise UsageError("--data is a body of its own: there can be no other")
        return Content(data.encode(), FORM)
    if items.body_file == "-":
        return Content(None)
    if items.body_file is not None:
        path = _readable(items.body_file)
        return Content(path, mimetypes.guess_type(path.name)[0])
    if multipart or any(part.separator == FILE for part in items.parts):
        return _multipart(items.parts)
    if not items.parts:
        return None
    if form:
        pairs = [(part.name, _text(part)) for part in items.parts]
        return Content(urlencode(pairs).encode(), FORM)
    return _json(items.parts)


def _json(parts: list[Part]) -> Content:
    fields: dict[str, object] = {}
    for part in parts:
        if part.name in fields:
            raise UsageError(
                f"the field {part.name!r} is there twice, which JSON cannot say: "
                f"--form can, or {part.name}:=[...]"
            )
        fields[part.name] = (
            _parsed(part) if part.separator in (JSON, JSON_FROM_FILE) else _text(part)
        )
    return Content(json.dumps(fields).encode(), "application/json; charset=utf-8")


def _parsed(part: Part) -> object:
    text = _text(part)
    try:
        parsed: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the field {part.name!r} is not JSON: {error}") from error
    return parsed


def _text(part: Part) -> str:
    """Return a field's value, which may be in a file."""
    if part.separator not in (FIELD_FROM_FILE, JSON_FROM_FILE):
        return part.value
    path = _readable(part.value)
    try:
        return path.read_text(encoding="utf-8")
    except ValueError:
        raise UsageError(
            f"{part.value!r} is not UTF-8: {part.name}@{part.value} sends any file"
        ) from None


def _multipart(parts: list[Part]) -> Content:
    boundary = "hyper-" + secrets.token_hex(16)
    made = []
    for part in parts:
        about = f'form-data; name="{_quoted(part.name)}"'
        content: bytes | Path
        if part.separator == FILE:
            content = _readable(part.value)
            kind = mimetypes.guess_type(content.name)[0] or "application/octet-stream"
            about += f'; filename="{_quoted(content.name)}"\r\nContent-Type: {kind}'
        else:
            content = _text(part).encode()
        head = f"--{boundary}\r\nContent-Disposition: {about}\r\n\r\n"
        made.append((head.encode(), content))
    body = Multipart(tuple(made), boundary)
    return Content(body, f"multipart/form-data; boundary={boundary}")


def _quoted(text: str) -> str:
    """Return what stands between quotation marks, as browsers write it."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _readable(name: str) -> Path:
    """Return the path of a file that can be read.

    :raises UsageError: if it cannot.
    """
    path = Path(name)
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{name!r} is no regular file: send it by @- and a pipe")
        with path.open("rb"):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read {name!r}: {reason}") from error
    return path
