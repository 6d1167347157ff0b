"""The body of a response, for people and for programs.

Into a pipe or a file go the exact bytes of the body, decoded, each piece as soon as it
has come: ``hyper URL | jq`` and ``hyper URL > file`` are what they look like. On a
terminal a person reads: JSON is formatted, text can play no tricks, and of what is no
text only its size is told.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import TextIO

from ..response import Response
from .terminal import Painter, formatted_json, human, one_line, plain, wants_colours

#: A body of more bytes is shown as it is, so that one without end is shown at all.
LARGEST_JSON = 1024 * 1024
#: Charsets of text, as Python calls them. It has codecs that are none, such as rot13
#: and base64, and some that are but serve for tricks, such as UTF-7.
_CHARSETS = re.compile(
    r"ascii|utf-8.*|iso8859-\d+|cp\d+|koi8-.|mac-.*|big5.*|euc_.*|"
    r"gb.*|shift_jis.*|tis-620"
)
#: What no text has. ESC is not among them: it is shown as what it is.
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


class CannotWrite(Exception):
    """The body cannot be written where it should go.

    :ivar broken_pipe: True if its reader has seen enough, which is no mishap.
    """

    def __init__(self, error: OSError, what: str = "the body") -> None:
        super().__init__(f"cannot write {what}: {error.strerror or error}")
        self.broken_pipe = isinstance(error, BrokenPipeError)


class BodyView:
    """Shows bodies on standard output.

    :param out: a text stream with a binary ``buffer``, as ``sys.stdout`` is.
    :param pretty: the value of ``--pretty``.
    :param raw: whether to leave them as they were sent.
    """

    def __init__(self, out: TextIO, pretty: str = "auto", raw: bool = False) -> None:
        self._out = out
        self._for_people = out.isatty()
        self._raw = raw
        self._paint = Painter(wants_colours(out, pretty))
        self._indent = pretty in ("all", "format") or (
            pretty == "auto" and self._for_people
        )

    def show(self, response: Response, pieces: Iterator[bytes] | None = None) -> None:
        """Write the body of a response.

        :param pieces: the body, if it was read already.
        :raises HyperError: if the body does not come whole; what came is written.
        :raises CannotWrite: if ``out`` does not take it; ``out`` is closed then.
        """
        if pieces is None:
            pieces = pieces_of(response, self._raw)
        if not self._raw and (self._indent or self._paint.active) and is_json(response):
            pieces = self._show_json(pieces)
        if self._for_people:
            self._show_text(response, pieces)
        else:
            for piece in pieces:
                self.write(piece)

    def _show_json(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Show a body that is JSON; return what is left to be shown as it is."""
        body = bytearray()
        complete = False
        try:
            for piece in pieces:
                body += piece
                if len(body) > LARGEST_JSON:
                    break
            else:
                complete = True
        except BaseException:
            self._write_text(bytes(body).decode("utf-8", "backslashreplace"))
            raise
        if complete:
            try:
                text = body.decode("utf-8-sig")
                made = formatted_json(text, self._indent, self._paint)
                self.write(made.encode("utf-8"))
                return iter(())
            except (ValueError, RecursionError):
                pass  # The server said JSON and sent something else.
        return _chain(bytes(body), pieces)

    def _show_text(self, response: Response, pieces: Iterator[bytes]) -> None:
        """Show a body to a person, or tell that it is none for people."""
        first = next(pieces, b"")
        decoder = _decoder(response)
        if is_binary(first, decoder is None):
            self._write_text(f"(binary{_size(response)}, use -o FILE)\n")
            return
        reader = codecs.getincrementaldecoder(decoder or "utf-8")("backslashreplace")
        held = ""  # a CR that may be a part of CR LF
        for piece in _chain(first, pieces):
            text = held + reader.decode(piece)
            held = "\r" if text.endswith("\r") else ""
            self._write_text(text.removesuffix("\r") if held else text)
        self._write_text(held + reader.decode(b"", True))

    def _write_text(self, text: str) -> None:
        if self._for_people:
            text = plain(text.replace("\r\n", "\n"))
        self.write(text.encode("utf-8", "backslashreplace"))

    def write(self, data: bytes) -> None:
        """Write bytes to standard output.

        :raises CannotWrite: if it does not take them; it is closed then.
        """
        try:
            self._out.buffer.write(data)
            self._out.buffer.flush()
        except OSError as error:
            # It keeps what it could not write and would try once more when Python ends.
            try:
                self._out.close()
            except OSError:
                pass  # The same again.
            raise CannotWrite(error) from error


def pieces_of(response: Response, raw: bool = False) -> Iterator[bytes]:
    """Iterate over the body in the pieces in which it comes."""
    return iter(lambda: response.read1(decode_content=not raw), b"")


def is_json(response: Response) -> bool:
    kind = (response.getheader("content-type") or "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def is_binary(data: bytes, strict: bool) -> bool:
    """Return True if the beginning of a body is that of no text.

    :param strict: whether it would have to be UTF-8.
    """
    if _BINARY.search(data):
        return True
    if not strict:
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
    except ValueError:
        return True
    return False


def head_lines(response: Response, as_on_wire: bool, paint: Painter) -> list[str]:
    """Return the head of a response, and of interim ones before it, line by line.

    :param as_on_wire: whether HTTP/2's status is shown as the pseudo-header it is.
    """
    version = response.version.value
    blocks = [
        (one.status, "", list(one.headers.iter_raw())) for one in response.informational
    ]
    blocks.append((response.status, response.reason, list(response.headers.iter_raw())))
    lines = []
    for status, reason, fields in blocks:
        if as_on_wire and version == "HTTP/2":
            lines.append(f"{paint('bold', ':status')}: {status}")
        else:
            lines.append(f"{version} {status} {one_line(reason)}".rstrip())
        lines += [field_line(name, value, paint) for name, value in fields]
        lines.append("")
    return lines


def field_line(name: bytes, value: bytes, paint: Painter) -> str:
    """Return a field as a line that does nothing to a terminal."""
    shown = one_line(value.decode("utf-8", "backslashreplace"))
    return f"{paint('bold', one_line(name.decode('latin-1')))}: {shown}"


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _decoder(response: Response) -> str | None:
    """Return the charset that the server says the body is in, if Python knows it."""
    kind = response.getheader("content-type") or ""
    found = re.search(r'charset="?([^";\s]+)', kind, re.IGNORECASE)
    if found is None:
        return None
    try:
        name = codecs.lookup(found[1]).name
    except LookupError:
        return None
    return name if _CHARSETS.fullmatch(name) else None


def _size(response: Response) -> str:
    length = response.getheader("content-length") or ""
    if response.getheader("content-encoding") or not re.fullmatch("[0-9]+", length):
        return ""
    return f", {human(int(length))}"
