"""A download that goes on where it was cut off.

    python docs/examples/download.py https://localhost:8443/large.iso large.iso

What has come is in ``large.iso.part`` until all of it is there. If the connection is
lost, or the program ended and started again, only the rest is asked for (Range), and
only if the file is still the same (If-Range): else the server sends all of the new one.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

from hyper import (
    ConnectError,
    ConnectionLost,
    ConnectionPool,
    IncompleteRead,
    StreamResetError,
)

logger = logging.getLogger(__name__)

#: What may be otherwise the next time; all of hyper's timeouts are TimeoutErrors.
PASSING = (ConnectError, ConnectionLost, IncompleteRead, StreamResetError, TimeoutError)


def download(
    pool: ConnectionPool, url: str, path: Path, tries: int = 5, pause: float = 1.0
) -> None:
    """Download a file, trying again until ``tries`` in a row have brought nothing.

    :param pause: for how many seconds to wait in between.
    """
    part, etag = Path(f"{path}.part"), Path(f"{path}.etag")
    in_vain = 0
    while True:
        before = size_of(part)
        try:
            fetch(pool, url, part, etag)
            break
        except PASSING as error:
            size = size_of(part)
            in_vain = in_vain + 1 if size <= before else 0
            if in_vain == tries:
                raise
            logger.warning("%s: %d bytes, then: %s", part.name, size, error)
            time.sleep(pause)
    part.replace(path)
    etag.unlink(missing_ok=True)


def fetch(pool: ConnectionPool, url: str, part: Path, etag: Path) -> None:
    """Add to ``part`` what it lacks, or begin it anew."""
    have = size_of(part) if etag.exists() else 0
    headers = {"accept-encoding": "identity"}
    if have:
        headers["range"] = f"bytes={have}-"
        headers["if-range"] = etag.read_text()
    with pool.request("GET", url, headers=headers) as response:
        range_sent = response.getheader("content-range", "")
        if response.status == 416 and range_sent == f"bytes */{have}":
            return  # Nothing is lacking.
        if response.status == 206 and range_sent.startswith(f"bytes {have}-"):
            mode = "ab"
        elif response.status == 200:
            mode = "wb"
            etag.unlink(missing_ok=True)
        else:
            raise ValueError(f"status {response.status} and range {range_sent!r}")
        with part.open(mode) as file:
            tag = response.getheader("etag", "")
            if tag.startswith('"'):  # A weak one, W/"...", would not do.
                etag.write_text(tag)
            for piece in response.read_chunked(decode_content=False):
                file.write(piece)


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def main(url: str, name: str) -> None:
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    path = Path(name)
    with ConnectionPool(timeout=30) as pool:
        download(pool, url, path)
    print(f"{path.name}: {size_of(path)} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
