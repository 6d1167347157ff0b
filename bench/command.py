"""Download 2 GiB to a file, with the command and with the library, in turn.

What is to be seen: the command's memory does not grow with the file, and it is as fast
as a program of a few lines. nginx answers over TLS; each download is a process of its
own. The figures are medians of rounds in which both take turns, of the CPU time as
well, which others on the machine disturb less, and the most memory of any round.

A disk is slower than either, and would be all that is measured. So the files are in
memory, if there is no other ``--directory``.
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
from typing import NamedTuple

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


class Run(NamedTuple):
    """What one download took."""

    seconds: float
    #: Of this process, in user and kernel mode.
    cpu: float
    #: In KiB.
    peak: int


def measure(words: list[str], environment: dict[str, str]) -> Run:
    """Run a program to its end."""
    began = time.perf_counter()
    process = subprocess.Popen(words, env=environment)
    status = Path(f"/proc/{process.pid}/status")
    peak = 0
    # Not by getrusage(): its figure begins with that of the parent.
    while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
        found = re.search(r"VmHWM:\s+(\d+)", status.read_text())
        peak = int(found[1]) if found else peak
        time.sleep(0.02)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(ended[1])
    if process.returncode:
        sys.exit(f"{words} ended with {process.returncode}")
    return Run(seconds, ended[2].ru_utime + ended[2].ru_stime, peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2 * 1024**3, help="in bytes")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--directory", default="/dev/shm", help="where the files are")
    options = parser.parse_args()

    from servers import start
    from servers.authority import make_authority

    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        place = Path(directory)
        ca = make_authority(place)
        with start("nginx", tmp_path=place, ca=ca) as server:
            with (server.docroot / "large").open("wb") as file:
                file.truncate(options.size)
            target = place / "target"
            origin = server.url("/").removesuffix("/")
            clients = {
                "library": ["-c", PROGRAM, origin, "/large", str(target)],
                "command": ["-m", "hyper", "-o", str(target), f"{origin}/large"],
            }
            environment = {
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "SSL_CERT_FILE": str(ca.ca_file),
            }
            seen: dict[str, list[Run]] = {name: [] for name in clients}
            for number in range(options.rounds):
                # Whoever is first is the other one in each round.
                for name in sorted(clients, reverse=bool(number % 2)):
                    words = [sys.executable, *clients[name]]
                    seen[name].append(measure(words, environment))
                    assert target.stat().st_size == options.size
                    target.unlink()
    print(
        f"{describe(version_of('nginx'))}; {options.size} bytes to "
        f"{options.directory}; medians of {options.rounds} rounds; ratio: that of the "
        f"client / that of the library in the same round\n"
    )
    print(
        "client   seconds ratio  CPU s ratio    MB/s  MiB at most  CPU s of all rounds"
    )
    library = seen["library"]
    for name, runs in seen.items():
        seconds = statistics.median(run.seconds for run in runs)
        cpu = statistics.median(run.cpu for run in runs)
        pairs = list(zip(runs, library, strict=True))
        slower = statistics.median(one.seconds / other.seconds for one, other in pairs)
        dearer = statistics.median(one.cpu / other.cpu for one, other in pairs)
        peak = max(run.peak for run in runs) / 1024
        print(
            f"{name:8} {seconds:7.2f} {slower:5.2f} {cpu:6.2f} {dearer:5.2f} "
            f"{options.size / seconds / 1e6:7.0f} {peak:12.0f}  "
            + " ".join(f"{run.cpu:.2f}" for run in runs)
        )


if __name__ == "__main__":
    main()
