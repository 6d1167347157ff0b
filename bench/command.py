"""Download 2 GiB to a file, with the command and with the library, in turn.

What is to be seen: the command's memory does not grow with the file, and it is as fast
as a program of a few lines. nginx answers over TLS; each download is a process of its
own. The figures are medians, and the peak of the memory that each process had.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe, version_of

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "test")]

PROGRAM = """
import sys
from hyper import HTTPConnection
url, path, target = sys.argv[1:]
with HTTPConnection(url) as conn, open(target, "wb", buffering=0) as file:
    conn.request("GET", path)
    response = conn.get_response()
    while piece := response.read1():
        file.write(piece)
"""


def measure(words: list[str], environment: dict[str, str]) -> tuple[float, int]:
    """Run a program; return the seconds that it took and its peak memory in KiB."""
    began = time.perf_counter()
    process = subprocess.Popen(words, env=environment)
    status = Path(f"/proc/{process.pid}/status")
    peak = 0
    # Not by getrusage(): its figure begins with that of the parent.
    while process.poll() is None:
        found = re.search(r"VmHWM:\s+(\d+)", status.read_text())
        peak = int(found[1]) if found else peak
        time.sleep(0.1)
    if process.returncode:
        sys.exit(f"{words} ended with {process.returncode}")
    return time.perf_counter() - began, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2 * 1024**3, help="in bytes")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    from servers import start
    from servers.authority import make_authority

    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        ca = make_authority(place)
        with start("nginx", tmp_path=place, ca=ca) as server:
            with (server.docroot / "large").open("wb") as file:
                file.truncate(options.size)
            target = str(place / "target")
            origin = server.url("/").removesuffix("/")
            clients = {
                "library": ["-c", PROGRAM, origin, "/large", target],
                "command": ["-m", "hyper", "-o", target, f"{origin}/large"],
            }
            environment = {
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "SSL_CERT_FILE": str(ca.ca_file),
            }
            seen: dict[str, list[tuple[float, int]]] = {name: [] for name in clients}
            for _ in range(options.rounds):
                for name, words in clients.items():
                    seen[name].append(measure([sys.executable, *words], environment))
                    assert Path(target).stat().st_size == options.size
                    os.unlink(target)
    print(f"{describe(version_of('nginx'))}, {options.size} bytes")
    for name, results in seen.items():
        seconds = statistics.median(one for one, _ in results)
        memory = max(peak for _, peak in results)
        rate = options.size / seconds / 1e6
        print(
            f"{name}: {seconds:.2f} s, {rate:.0f} MB/s, at most {memory / 1024:.0f} MiB"
        )


if __name__ == "__main__":
    main()
