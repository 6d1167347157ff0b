"""h2load and curl, as commands: what the machine and the servers give at most.

Their time is that of their process, from its start to its end; with as many requests as
are made, hardly any of it is the start. h2load does not verify certificates.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile

from meter import Cost, Task, Wrong, check, run_task


def timed(command: list[str]) -> tuple[float, str]:
    """Run a command; return its CPU seconds, and what it printed."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        told = child.stdout.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise Wrong(f"{command[0]} ended with {child.returncode}")
    return used.ru_utime + used.ru_stime, told


def h2load(task: Task) -> Cost:
    command = ["h2load", "-c", "1", "-m", str(task.width), "-n", str(task.count)]
    cpu, told = timed([*command, task.url])
    rate = re.search(r"([\d.]+) req/s", told)
    if f" {task.count} 2xx," not in told or rate is None:
        raise Wrong("not all requests were answered by 200")
    return Cost(task.count, cpu, task.count / float(rate[1]))


def curl(task: Task, file: str = "") -> Cost:
    """Make each transfer by a new process, for it says how long that took."""
    words = ["curl", "-q", "-sS", "--http1.1" if task.http1 else "--http2"]
    words += ["--cacert", task.ca, "-o", "/dev/null"]
    words += ["-w", "%{response_code} %{size_download} %{size_upload} %{time_total}"]
    if file:
        words += ["-H", "Expect:", "-X", "POST", "-T", file]
    cpu = wall = 0.0
    for _ in range(task.count):
        used, told = timed([*words, task.url])
        status, down, up, seconds = told.split()
        check(int(status), int(up if file else down), task)
        cpu, wall = cpu + used, wall + float(seconds)
    return Cost(task.count, cpu, wall)


def upload(task: Task) -> Cost:
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(task.size)
        return curl(task, file.name)


WORKS = {"h2load": h2load, "download": curl, "upload": upload}

if __name__ == "__main__":
    run_task(lambda task: WORKS[task.work](task))
