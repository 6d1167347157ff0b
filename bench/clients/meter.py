"""What each client program is made of: it reads a task, does it, prints what it cost.

A client is a program that is started with a task as JSON and prints one line of JSON.
It runs in the environment of its library, so this module and the clients import nothing
that is not there: no other part of the benchmark, and of it all only this one.

A client has a table of *works*: functions that take the task, make whatever is made
once, and return a function that does the work so many times. That one is called twice:
to warm up, and to be measured. It checks each response: nothing is lost silently.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Task:
    """What a client is asked for, in words of JSON."""

    #: The name of the work.
    work: str
    url: str
    #: How often, and how often before that to warm up.
    count: int
    warm_up: int
    #: The file of the authority to trust.
    ca: str
    #: How many bytes each response has, or each upload.
    size: int = 6
    #: How many requests are in flight, or how many threads there are.
    width: int = 1
    #: Whether to speak HTTP/1.1.
    http1: bool = False

    @property
    def origin(self) -> str:
        return "/".join(self.url.split("/")[:3])

    @property
    def path(self) -> str:
        return self.url.removeprefix(self.origin)

    @property
    def port(self) -> int:
        return int(self.origin.rpartition(":")[2])

    @property
    def secure(self) -> bool:
        return self.url.startswith("https:")


@dataclass(frozen=True, slots=True)
class Cost:
    """What it took: seconds, and the most memory that the process had, in KiB.

    ``held`` is the memory that one of what was made keeps, in KiB.
    """

    count: int
    cpu: float
    wall: float
    peak: int | None = None
    held: float | None = None


#: How much of an upload some are given at a time.
PIECE = 64 * 1024

Work = Callable[[int], object]
Works = Mapping[str, Callable[[Task], Work]]


class Wrong(Exception):
    """A response is not the one that it should be."""


def check(status: int, size: int, task: Task) -> None:
    """Count nothing that did not arrive whole."""
    if status != 200 or size != task.size:
        raise Wrong(f"status {status}, {size} bytes of {task.size}")


def in_pieces(size: int) -> Iterator[bytes]:
    """Iterate over a body of ``size`` bytes.

    For those who copy all that is left of a large piece for every frame.
    """
    body = bytes(size)
    for start in range(0, size, PIECE):
        yield body[start : start + PIECE]


def repeat(call: Callable[[], object]) -> Work:
    def work(count: int) -> None:
        for _ in range(count):
            call()

    return work


def number(call: Callable[[int], object]) -> Work:
    """Do it with a number that is another each time, warm-up or not."""
    given = iter(range(10**9))

    def work(count: int) -> None:
        for _ in range(count):
            call(next(given))

    return work


def in_threads(call: Callable[[], object], threads: int) -> Work:
    """Share the work between threads; the error of one of them is that of all."""

    def work(count: int) -> None:
        errors: list[BaseException] = []

        def run(share: int) -> None:
            try:
                for _ in range(share):
                    call()
            except BaseException as error:
                errors.append(error)

        shares = [count // threads + (n < count % threads) for n in range(threads)]
        running = [threading.Thread(target=run, args=(share,)) for share in shares]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        if errors:
            raise errors[0]

    return work


def status_of_process(name: str) -> int:
    """Return a figure of the kernel's on this process, in KiB.

    Not by getrusage(), whose peak begins with that of the parent.
    """
    found = re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(work: Work, task: Task) -> Cost:
    work(task.warm_up)
    cpu, wall = cpu_seconds(), time.perf_counter()
    work(task.count)
    cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
    return Cost(task.count, cpu, wall, status_of_process("VmHWM"))


def main(works: Works) -> None:
    """Do the task that the command line tells, by one of the works."""
    run_task(lambda task: measure(works[task.work](task), task))


def run_task(do: Callable[[Task], Cost]) -> None:
    """Read the task, do it, print the cost."""
    task = Task(**json.loads(sys.argv[1]))
    print(json.dumps(asdict(do(task))))
