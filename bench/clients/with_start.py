"""Python itself, started again and again: to import a library, or for one response.

A work is a statement that imports something, "nothing", or "first NAME", which starts
the client program of this name for one request. The time is that of the whole process,
and the median of many of them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from meter import Cost, Task, Wrong, run_task


def command(task: Task) -> list[str]:
    if task.work == "nothing":
        return [sys.executable, "-c", "pass"]
    verb, _, name = task.work.partition(" ")
    if verb != "first":
        return [sys.executable, "-c", task.work]
    once = replace(task, work="get", count=1, warm_up=0)
    program = Path(__file__).with_name(f"with_{name}.py")
    return [sys.executable, str(program), json.dumps(asdict(once))]


def start(task: Task) -> Cost:
    cpus, walls = [], []
    for _ in range(task.warm_up + task.count):
        began = time.perf_counter()
        child = subprocess.Popen(command(task), stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise Wrong(f"{task.work} ended with {child.returncode}")
        walls.append(time.perf_counter() - began)
        cpus.append(used.ru_utime + used.ru_stime)
    # The first have read files that the others find in memory.
    kept = slice(task.warm_up, None)
    return Cost(1, statistics.median(cpus[kept]), statistics.median(walls[kept]))


if __name__ == "__main__":
    run_task(start)
