"""A body in a file: what the file is called, how it goes on, and how far it has got.

A server that chooses a file's name chooses a name only: never a directory, nothing that
is hidden, nothing that is there already.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TextIO
from urllib.parse import unquote

from ..common.exceptions import HyperError
from ..response import Response
from .output import CannotWrite, pieces_of
from .terminal import TRICKS, columns, human

#: How long a download takes before progress is shown, and how often then, in seconds.
PATIENCE = 0.5
PAUSE = 0.1
LONGEST_NAME = 200
#: How many bytes are written to a file at once.
BUFFER = 65536
#: A parameter: its name, and its value in quotation marks or without.
_PARAMETER = re.compile(
    r';\s*([^\s;="]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s"]*))|"(?:[^"\\]|\\.)*"'
)


class CannotResume(Exception):
    """The rest of a file cannot be had. The file is as it was."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        #: The status of the response, if that was the reason.
        self.status = status


class Progress:
    """Shows how far a transfer has got, on a terminal, once it takes its time.

    :param more: returns what else there is to know of it.
    """

    def __init__(
        self,
        out: TextIO,
        shown: bool,
        clock: Callable[[], float] = time.monotonic,
        more: Callable[[], str] = str,
    ) -> None:
        self._out = out
        self._shown = shown
        self._clock = clock
        self._more = more
        self._began = clock()
        self._next = self._began + PATIENCE
        self._width = 0

    def update(self, done: int, total: int | None, before: int = 0) -> None:
        """Tell of so many bytes, ``before`` of which were there already."""
        if not self._shown:
            return
        now = self._clock()
        if now < self._next:
            return
        self._next = now + PAUSE
        rate = (done - before) / (now - self._began)
        if total:
            text = f"{human(done)} of {human(total)}  {done * 100 // total}%"
        else:
            text = human(done)
        text += f"  {human(rate)}/s"
        if total and rate:
            text += f"  eta {(total - done) / rate:.0f} s"
        # A line that is too long would go on in the next one, and stay there.
        text = f"{text}  {self._more()}".rstrip()[: columns(self._out) - 1]
        self._out.write(f"\r{text.ljust(self._width)}")
        self._out.flush()
        self._width = len(text)

    def end(self) -> None:
        """Take away what was shown."""
        if self._width:
            self._out.write("\r" + " " * self._width + "\r")
            self._out.flush()
            self._width = 0


def name_for(response: Response, target: str) -> str:
    """Return what to call a download, as the server or the URL says."""
    said = _parameters(response.getheader("content-disposition") or "")
    charset, _, extended = said.get("filename*", "").partition("'")
    name = ""
    if charset.lower() == "utf-8":  # RFC 6266 section 4.3 prefers it.
        name = unquote(extended.partition("'")[2], errors="replace")
    # UTF-8 is none of HTTP's charsets, and sent all the same.
    usual = said.get("filename", "").encode("latin-1").decode(errors="replace")
    return safe_name(name) or safe_name(usual) or name_of(target)


def name_of(target: str) -> str:
    """Return what to call a download of which only the URL's path is known."""
    return safe_name(unquote(target.partition("?")[0], errors="replace")) or "index"


def _parameters(text: str) -> dict[str, str]:
    """Return the parameters of a field's value (RFC 9110 section 5.6.6)."""
    found: dict[str, str] = {}
    for name, quoted, token in _PARAMETER.findall(text):
        found.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) or token)
    return found


def safe_name(name: str) -> str:
    """Return a name of this directory, visible, short and no option; "" if none is."""
    name = re.split(r"[/\\]", name)[-1]
    name = re.sub(r"[\n\t]", "_", TRICKS.sub("_", name)).strip().lstrip(".-")
    # Where the locale has no such character, it is not there: "?" is the replacement.
    encoding = sys.getfilesystemencoding()
    name = name.encode(encoding, "replace").decode(encoding).strip()
    if len(name.encode()) > LONGEST_NAME:
        suffix = Path(name).suffix if len(Path(name).suffix.encode()) < 20 else ""
        room = LONGEST_NAME - len(suffix.encode())
        name = name.encode()[:room].decode(errors="ignore") + suffix
    return name


def create(path: Path) -> Path:
    """Make a new, empty file of this name, or with a number if it is taken.

    It is made here and now, so that nobody puts a link there meanwhile.

    :raises CannotWrite: if it cannot be made.
    """
    candidate = path
    for number in count(1):
        try:
            candidate.touch(exist_ok=False)
            break
        except FileExistsError:
            candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
        except OSError as error:
            raise CannotWrite(error, str(candidate)) from error
    return candidate


def range_for(path: Path) -> int:
    """Return how many bytes of a file are there already."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def save(
    response: Response, path: Path, have: int, progress: Progress, raw: bool = False
) -> int:
    """Write a body to a file and return how many bytes the file has now.

    :param have: how many bytes of it the file has, which were not asked for.
    :raises CannotResume: if what came is not what is missing.
    :raises CannotWrite: if the file does not take it.
    :raises HyperError: if the body does not come whole; what came is written.
    """
    if have and _is_complete(response, have):
        return have
    if have and response.status == 206:
        _check_range(response, have)
    elif have and response.status != 200:
        raise CannotResume(
            f"the server answered {response.status}; {path} is left as it is",
            response.status,
        )
    else:
        have = 0
    total = _total(response, have)
    done = have
    try:
        # Frames may be small; as many writes as frames would cost more than the rest.
        with open(path, "ab" if have else "wb", BUFFER) as file:
            for piece in pieces_of(response, raw):
                file.write(piece)
                done += len(piece)
                progress.update(done, total, have)
    except OSError as error:
        if isinstance(error, HyperError):
            raise
        raise CannotWrite(error, str(path)) from error
    finally:
        progress.end()
    return done


def _is_complete(response: Response, have: int) -> bool:
    """Return True if the server says that there is nothing beyond what is there."""
    said = response.getheader("content-range") or ""
    return response.status == 416 and said.strip() == f"bytes */{have}"


def _check_range(response: Response, have: int) -> None:
    said = response.getheader("content-range") or ""
    if not re.match(rf"bytes {have}-[0-9]", said):
        raise CannotResume(f"the server sent another part: {said!r}")
    if response.getheader("content-encoding"):
        raise CannotResume("a part of a compressed body cannot be added")


def _total(response: Response, have: int) -> int | None:
    """Return how many bytes the file will have; None if that is not known."""
    length = response.getheader("content-length") or ""
    if response.getheader("content-encoding") or not re.fullmatch("[0-9]+", length):
        return None
    return have + int(length)
