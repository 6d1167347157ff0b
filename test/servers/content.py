"""The files which every real server serves.

All servers must give the same bytes, so the bytes are made in one place and written
to a directory; a static server points its document root there and a dynamic one
reads the files at its start. The ten mebibytes are 8-byte lines which count upward:
a piece that is lost, doubled or out of order then changes both the digest and the
place where a reader first sees the wrong number.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

HELLO = b"hello\n"
TEXT = b"".join(b"line %05d of a text that compresses well\n" % i for i in range(1524))


@cache
def ten_mebibytes() -> bytes:
    """Return the body of ``/10mb``; it is made once, on the first call."""
    return b"".join(b"%07d\n" % number for number in range(10 * 1024 * 1024 // 8))


@cache
def ten_mebibytes_sha256() -> str:
    """Return the SHA-256 of the body of ``/10mb`` in hexadecimal digits."""
    return hashlib.sha256(ten_mebibytes()).hexdigest()


def write_files(docroot: Path) -> None:
    """Write ``hello``, ``10mb`` and ``text`` into the directory, which must exist."""
    (docroot / "hello").write_bytes(HELLO)
    (docroot / "10mb").write_bytes(ten_mebibytes())
    (docroot / "text").write_bytes(TEXT)
