"""A server for one command: ``hyper.http2bin`` in a process of its own.

In a process of its own, so that the times that are measured are those of the network
and not of two programs that share an interpreter.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


class NoServer(Exception):
    """The server does not start."""


@contextmanager
def serving() -> Iterator[str]:
    """Run the server for as long as the block runs, trusted; its URL is given.

    Without trustme, which makes its certificate, it speaks HTTP/2 without TLS.

    :raises NoServer: if it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="hyper-") as directory, ExitStack() as ends:
        ca_file = Path(directory) / "ca.pem"
        url = ends.enter_context(_running("--ca-file", str(ca_file)))
        if url:
            ends.enter_context(_trusting(ca_file))
        else:
            url = ends.enter_context(_running("--no-tls"))
        if not url:
            raise NoServer("hyper.http2bin does not start")
        yield url


@contextmanager
def _trusting(ca_file: Path) -> Iterator[None]:
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = str(ca_file)
    try:
        yield
    finally:
        if before is None:
            del os.environ["SSL_CERT_FILE"]
        else:
            os.environ["SSL_CERT_FILE"] = before


@contextmanager
def _running(*arguments: str) -> Iterator[str]:
    """Run the server; its URL is given, "" if it ended instead."""
    # A session of its own: Ctrl-C is for the command, which then ends it. If that comes
    # before there is a process to end, the pipe does.
    process = subprocess.Popen(
        [sys.executable, "-m", "hyper.http2bin", "--until-eof", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdout as told:
        try:
            yield told.readline().strip()
        finally:
            process.stdin.close()
            process.wait()
