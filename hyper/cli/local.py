"""A server for one command: ``hyper.http2bin`` in a process of its own.

In a process of its own, so that the times that are measured are those of the network
and not of two programs that share an interpreter.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


class NoServer(Exception):
    """The server does not start."""


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Run the server for as long as the block runs, trusted; its URL is given.

    Without trustme, which makes its certificate, it speaks HTTP/2 without TLS.

    :raises NoServer: if it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="hyper-") as directory:
        ca_file = Path(directory) / "ca.pem"
        process, url = _start("--ca-file", str(ca_file))
        if not url:
            process, url = _start("--no-tls")
        if not url:
            raise NoServer("hyper.http2bin does not start")
        before = os.environ.get("SSL_CERT_FILE")
        if ca_file.exists():
            os.environ["SSL_CERT_FILE"] = str(ca_file)
        try:
            yield url
        finally:
            if before is None:
                os.environ.pop("SSL_CERT_FILE", None)
            else:
                os.environ["SSL_CERT_FILE"] = before
            _stop(process)


def _start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
    """Start the server; return it and its URL, "" if it ended instead."""
    # A session of its own: Ctrl-C is for the command, which then ends it.
    process = subprocess.Popen(
        [sys.executable, "-m", "hyper.http2bin", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    if not url:
        _stop(process)
    return process, url


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
