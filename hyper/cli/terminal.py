"""What a person sees: text without tricks, and colours where they are wanted.

What a server sends is never written to a terminal as it is: an escape sequence in a
header could rename the window, move the cursor over what was printed before, or answer
for the user (CVE-2020-8177 and its kin). Controls are shown as what they are, and so
are the characters that turn the direction of writing.

What is said on standard error is said as far as somebody hears it. That it cannot be
said, because a disk is full or a pipe has no reader any more, is no failure of what the
command does, and must not look like one of the connection.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
from collections.abc import Mapping
from typing import TextIO

#: Controls but tab and line feed, and what changes the direction of text.
TRICKS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)

_INDENT = "  "
#: In valid JSON: a string, a character of its structure, or a number or a word.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')

#: The colours by what they are for (ECMA-48 SGR).
_CODES = {
    "send": "36",
    "recv": "32",
    "error": "31",
    "dim": "2",
    "bold": "1",
    "key": "34",
    "string": "32",
    "number": "36",
    "word": "35",
}


class Voice(io.TextIOBase):
    """Standard error: it falls silent when nobody can hear it.

    :param out: where it is heard; None: nowhere.
    :ivar unheard: True once its reader is gone. That ends the command as Ctrl-C does:
        ``hyper --frames URL 2>&1 | head`` has seen enough.
    """

    def __init__(self, out: TextIO | None) -> None:
        self._out = out
        self.unheard = False

    def write(self, text: str) -> int:
        """Say something, at once. Returns how many characters it had; never fails."""
        out = self._out
        if out is not None:
            try:
                out.write(text)
                out.flush()
            except OSError as error:
                self._out = None
                with contextlib.suppress(OSError):
                    out.close()  # Or Python would try once more when it ends.
                if isinstance(error, BrokenPipeError):
                    self.unheard = True
                    os.kill(os.getpid(), signal.SIGINT)
        return len(text)

    def isatty(self) -> bool:
        """Return True if it is heard on a terminal."""
        return self._out is not None and self._out.isatty()

    def fileno(self) -> int:
        """Return the descriptor of where it is heard.

        :raises OSError: if it is heard nowhere.
        """
        return super().fileno() if self._out is None else self._out.fileno()


def plain(text: str) -> str:
    """Return text that does nothing to a terminal but to be shown on it."""
    return TRICKS.sub(_escaped, text)


def one_line(text: str) -> str:
    """Return text as one line that does nothing but to be shown."""
    return plain(" ".join(text.split(" "))).replace("\n", r"\n").replace("\t", r"\t")


def _escaped(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def columns(out: TextIO) -> int:
    """Return how wide a terminal is; 80 if it does not tell."""
    try:
        return os.get_terminal_size(out.fileno()).columns or 80
    except OSError:
        return 80


def wants_colours(
    out: TextIO, pretty: str = "auto", environ: Mapping[str, str] = os.environ
) -> bool:
    """Return True if what goes to ``out`` should be coloured.

    :param pretty: the value of ``--pretty``.
    """
    if pretty != "auto":
        return pretty in ("all", "colors")
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return out.isatty() and environ.get("TERM") != "dumb"


class Painter:
    """Colours text, or leaves it as it is.

    :param active: whether to colour.
    """

    def __init__(self, active: bool) -> None:
        self.active = active

    def __call__(self, kind: str, text: str) -> str:
        """Return ``text`` in the colour of what it is."""
        return f"\x1b[{_CODES[kind]}m{text}\x1b[0m" if self.active and text else text


def formatted_json(text: str, indent: bool, paint: Painter) -> str:
    """Return JSON for people, every token as the server wrote it.

    To parse and write it again would round large numbers, drop the first of two equal
    keys and replace escapes, and whoever debugs a server wants to see what it sent.

    :param indent: whether to give each item a line of its own.
    :raises ValueError: if it is not JSON.
    :raises RecursionError: if it is nested too deeply to tell.
    """
    json.loads(text)
    if not indent:
        return _TOKEN.sub(lambda found: _painted(found.group(), False, paint), text)
    tokens = _TOKEN.findall(text)
    lines = [""]
    depth = 0
    fresh = True  # nothing stands in the brackets that were opened last
    for token, following in zip(tokens, [*tokens[1:], ""], strict=True):
        if token in "]}" and not fresh:
            depth -= 1
            lines.append(_INDENT * depth)
        fresh = token in "[{"
        lines[-1] += ": " if token == ":" else _painted(token, following == ":", paint)
        if fresh and following not in ("]", "}"):
            depth += 1
            lines.append(_INDENT * depth)
            fresh = False
        elif token == ",":
            lines.append(_INDENT * depth)
    return "\n".join(lines) + "\n"


def _painted(token: str, is_key: bool, paint: Painter) -> str:
    if token in "[]{},:":
        return token
    # In the way of JSON, so that it stays the same string.
    token = TRICKS.sub(lambda found: f"\\u{ord(found.group()):04x}", token)
    if token.startswith('"'):
        return paint("key" if is_key else "string", token)
    return paint("word" if token.isalpha() else "number", token)


def human(count: float) -> str:
    """Return a number of bytes for people: ``12.3 KB``."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
