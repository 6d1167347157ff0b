"""``python -m hyper.http2bin``: run the server until Ctrl-C or SIGTERM.

The signals are blocked in every thread and taken with sigwait, rather than
handled: a handler may run at any point of the main thread, with any lock held.

A program that starts it with ``--until-eof`` and a pipe for its standard input can be
sure that it ends: at the latest when that program does, in whatever way.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from hyper.http2bin.server import Server, serve

SIGNALS = {signal.SIGINT, signal.SIGTERM}


def wait_for_signal(server: Server) -> None:
    """Wait until this process is asked to end."""
    signal.sigwait(SIGNALS)


def end_with_input() -> None:
    """End this process when its standard input ends."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def main(
    argv: Sequence[str] | None = None,
    until: Callable[[Server], object] = wait_for_signal,
) -> int:
    """Serve until ``until`` returns; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m hyper.http2bin",
        description="A small httpbin that speaks HTTP/2 and HTTP/1.1 on localhost.",
    )
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument("--no-tls", action="store_true", help="speak cleartext")
    parser.add_argument(
        "--ca-file",
        type=Path,
        metavar="PATH",
        help="write the certificate of the authority here, and leave it there",
    )
    parser.add_argument(
        "--until-eof", action="store_true", help="end when standard input does, too"
    )
    options = parser.parse_args(argv)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        with serve(tls=not options.no_tls, port=options.port) as server:
            announce(server, options.ca_file)
            if options.until_eof:
                end_with_input()
            until(server)
    except (OSError, RuntimeError) as error:
        print(f"http2bin: {error}", file=sys.stderr)
        return 1
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return 0


def announce(server: Server, ca_file: Path | None) -> None:
    """Print where the server is and how to trust it."""
    lines = [server.url]
    if server.ca_file:
        if ca_file:
            ca_file.write_bytes(server.ca_pem)
        trusted = ca_file or server.ca_file
        lines.append(f"SSL_CERT_FILE={trusted} hyper {server.url}/get")
    else:
        lines.append(f"hyper {server.url}/get")
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    sys.exit(main())
