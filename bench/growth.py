"""Send many small requests on one connection, and see what is left behind.

Memory, descriptors and threads are looked at after 1,000 requests, when all that is
made once has been made, and at the end. nginx answers, over cleartext HTTP/2, and is
told to let one connection have them all.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

from machine import describe, version_of

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "test")]

WARM_UP = 1000


class State(NamedTuple):
    """What this process holds."""

    memory: int  # RSS, in KiB
    descriptors: int
    threads: int

    @classmethod
    def now(cls) -> State:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        memory = pages * os.sysconf("SC_PAGE_SIZE") // 1024
        descriptors = len(os.listdir("/proc/self/fd"))
        return cls(memory, descriptors, threading.active_count())


def ask(conn, count: int, at_once: int) -> None:
    """Send so many requests, some of them at a time, and read the answers."""
    for _ in range(count // at_once):
        for stream_id in [conn.request("GET", "/hello") for _ in range(at_once)]:
            with conn.get_response(stream_id) as response:
                assert response.status == 200
                response.read()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=200_000)
    options = parser.parse_args()

    from servers import SERVERS, make_authority, start

    from hyper import HTTP20Connection

    connects: list[object] = []

    def note(event: str, details: object) -> None:
        if event == "socket.connect":
            connects.append(details)

    with tempfile.TemporaryDirectory() as directory:
        ca = make_authority(Path(directory))
        with start(
            "nginx", tmp_path=Path(directory), ca=ca, keepalive_requests=10**9
        ) as server:
            sys.addaudithook(note)
            states = {"at the beginning": State.now()}
            with HTTP20Connection("127.0.0.1", server.h2c_port, timeout=30) as conn:
                # One at a time first: to have waited makes descriptors.
                ask(conn, WARM_UP, 1)
                states[f"after {WARM_UP:,} requests"] = State.now()
                started = time.perf_counter()
                ask(conn, options.requests - WARM_UP, 50)
                taken = time.perf_counter() - started
                states[f"after {options.requests:,} requests"] = State.now()
            states["closed"] = State.now()
            connections = len(connects)

    print(f"{describe(version_of(SERVERS['nginx'].find() or ''))}\n")
    row = "{:23} {:>9} {:>12} {:>8}"
    print(row.format("", "RSS, KiB", "descriptors", "threads"))
    for name, state in states.items():
        print(row.format(name, f"{state.memory:,}", *state[1:]))
    _, warm, last, _ = states.values()
    rate = (options.requests - WARM_UP) / taken
    print(
        f"\nRSS grew by {last.memory - warm.memory:,} KiB; {rate:,.0f} requests a "
        f"second; connections used: {connections}"
    )


if __name__ == "__main__":
    main()
