"""Measure hyper against curl over a long way: 50 milliseconds each way, 40 MB/s.

What counts here is whether the windows open in time: a window of 64 KiB makes 0.6 MB/s
of this link, one of 8 MiB all of it. hyper's begin at 1 MiB and grow. curl's are of
32 MiB from the start, so it shows what the link gives.

One Node serves zeros (`zeros.js`), the shaper stands before it, and the rounds of both
clients are interleaved. Every transfer is a process and a connection of its own; making
the connection counts, starting Python does not. The ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from machine import describe, version_of
from shaper import Shaper

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "test")]

DIRECTIONS = ("download", "upload")
#: Seconds after which a transfer is given up.
PATIENCE = 300


def measure(direction: str, port: int, ca: str, file: str) -> float:
    """In a process of its own: transfer as much as the file has; return the seconds."""
    from hyper import HTTP20Connection
    from hyper.tls import init_context

    size = Path(file).stat().st_size
    conn = HTTP20Connection("localhost", port, True, ssl_context=init_context(ca))
    started = time.perf_counter()
    if direction == "upload":
        with open(file, "rb") as body:
            transferred = int(conn.get_response(conn.request("PUT", "/", body)).read())
    else:
        response = conn.get_response(conn.request("GET", f"/{size}"))
        transferred = 0
        while piece := response.read1():
            transferred += len(piece)
    taken = time.perf_counter() - started
    assert transferred == size
    return taken


def run_hyper(direction: str, port: int, ca: str, file: str) -> float:
    command = [sys.executable, __file__, "--measure", direction, str(port), ca, file]
    return float(run(command))


def run_curl(direction: str, port: int, ca: str, file: str) -> float:
    size = Path(file).stat().st_size
    url = f"https://localhost:{port}/"
    command = ["curl", "-q", "--http2", "-sS", "--cacert", ca, "-o", "/dev/null"]
    command += ["-w", "%{http_version} %{size_download} %{size_upload} %{time_total}"]
    if direction == "upload":
        command += ["-H", "Expect:", "-T", file, url]
    else:
        command += [f"{url}{size}"]
    version, down, up, seconds = run(command).split()
    assert version == "2"
    assert int(up if direction == "upload" else down) == size
    return float(seconds)


def run(command: list[str]) -> str:
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, timeout=PATIENCE
    ).stdout


CLIENTS: dict[str, Callable[[str, int, str, str], float]] = {
    "hyper": run_hyper,
    "curl": run_curl,
}


@contextmanager
def serve_zeros(node: str, cert_file: Path, key_file: Path) -> Iterator[int]:
    """Run `zeros.js`; the value is its port on 127.0.0.1."""
    script = Path(__file__).with_name("zeros.js")
    child = subprocess.Popen(
        [node, str(script), str(cert_file), str(key_file)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        try:
            yield int(child.stdout.readline())
        finally:
            child.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=float, default=100.0, help="in MB")
    parser.add_argument("--delay", type=float, default=50.0, help="each way, in ms")
    parser.add_argument("--rate", type=float, default=40.0, help="in MB/s")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        direction, port, ca, file = options.measure
        print(measure(direction, int(port), ca, file))
        return

    from servers import make_authority

    node = shutil.which("node") or shutil.which("nodejs") or sys.exit("Node is missing")
    size = int(options.size * 1e6)
    print(
        f"{describe(version_of('curl', '-V'), version_of(node))}; {options.size:g} MB "
        f"over 2 x {options.delay:g} ms and {options.rate:g} MB/s; medians of "
        f"{options.rounds} rounds; ratio: rate of the client / rate of curl\n"
    )
    taken: dict[tuple[str, str], list[float]] = {}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        ca = make_authority(Path(directory))
        file = Path(directory) / "zeros"
        with open(file, "wb") as zeros:
            zeros.truncate(size)
        with (
            serve_zeros(node, ca.cert_file, ca.key_file) as port,
            Shaper(
                ("127.0.0.1", port), options.delay / 1000, options.rate * 1e6
            ) as shaper,
        ):
            for _ in range(options.rounds):
                for way in DIRECTIONS:
                    for client, call in CLIENTS.items():
                        seconds = call(way, shaper.port, str(ca.ca_file), str(file))
                        taken.setdefault((way, client), []).append(seconds)
    report(taken, size)
    # The clients and the server have processes of their own.
    busy = time.process_time() / (time.perf_counter() - started)
    print(f"\nThe shaper was busy {busy:.0%} of the time.")


def report(taken: dict[tuple[str, str], list[float]], size: int) -> None:
    row = "{:9} {:6} {:>8} {:>7} {:>6}  {}"
    print(row.format("direction", "client", "seconds", "MB/s", "ratio", "all rounds"))
    for way in DIRECTIONS:
        reference = statistics.median(taken[way, "curl"])
        for client in CLIENTS:
            seconds = taken[way, client]
            median = statistics.median(seconds)
            figures = f"{median:.2f}", f"{size / median / 1e6:.1f}"
            rounds = " ".join(f"{one:.2f}" for one in seconds)
            ratio = f"{reference / median:.2f}"
            print(row.format(way, client, *figures, ratio, rounds))


if __name__ == "__main__":
    main()
