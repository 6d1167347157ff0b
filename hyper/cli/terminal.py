"""What a person sees: text without tricks, and colours where they are wanted.

What a server sends is never written to a terminal as it is: an escape sequence in a
header could rename the window, move the cursor over what was printed before, or answer
for the user (CVE-2020-8177 and its kin). Controls are shown as what they are, and so
are the characters that turn the direction of writing.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import TextIO

#: Controls but tab and line feed, and what changes the direction of text.
_TRICKS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
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


def plain(text: str) -> str:
    """Return text that does nothing to a terminal but to be shown on it."""
    return _TRICKS.sub(_escaped, text)


def one_line(text: str) -> str:
    """Return text as one line that does nothing but to be shown."""
    return plain(" ".join(text.split(" "))).replace("\n", r"\n").replace("\t", r"\t")


def _escaped(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


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
    token = _TRICKS.sub(lambda found: f"\\u{ord(found.group()):04x}", token)
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
