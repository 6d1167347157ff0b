"""Measure hyper against its peers: `make bench`.

    make bench ARGS='a c'        two of the workloads; all, if none is named
    make bench ARGS=--quick      fewer requests and rounds

nginx and nghttpd serve on loopback, with TLS 1.3. Every client does every workload in a
process of its own, in the environment of its library; the rounds of all clients are
interleaved. Then the table is printed, and for each bar whether it is met.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bars import BARS, concerns, judge
from clients.meter import Cost, Task
from environments import Missing, pins, python_of
from machine import describe, version_of
from origin import Origin, serve
from plan import Client, Workload, plan
from results import Results, Run
from table import print_tables

HERE = Path(__file__).parent
#: Seconds after which a client is given up.
PATIENCE = 300


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure hyper against its peers.")
    parser.add_argument("letters", nargs="*", metavar="LETTER", help="a, b, ...")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true", help="for a first look")
    parser.add_argument("--clients", nargs="+", metavar="NAME", help="and hyper")
    options = parser.parse_args()
    # The servers have to be ended in any case.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    workloads = plan(0.2 if options.quick else 1)
    letters = set("".join(options.letters)) or {each.letter for each in workloads}
    workloads = [each for each in workloads if each.letter in letters]
    rounds = options.rounds or (2 if options.quick else 5)
    results = Results()
    with tempfile.TemporaryDirectory() as directory, serve(Path(directory)) as origin:
        for number in range(rounds):
            for workload in workloads:
                if number >= workload.rounds:
                    continue
                print(f"{number + 1}/{rounds} {workload.title}", file=sys.stderr)
                run_round(workload, origin, results, options.clients)
    print_conditions(workloads, rounds)
    print_tables(workloads, results)
    titles = {workload.title for workload in workloads}
    for bar in BARS:
        if concerns(bar, titles):
            print(judge(bar, results))


def print_conditions(workloads: Sequence[Workload], rounds: int) -> None:
    """Print without which the figures mean nothing."""
    environments = {
        client.environment: None for each in workloads for client in each.clients
    }
    peers = [pin for environment in environments for pin in pins(environment)]
    programs = (
        version_of("nginx"),
        *(version_of(name, "--version") for name in ("nghttpd", "h2load", "curl")),
    )
    text = f"{describe(*programs, *dict.fromkeys(peers))}; medians of {rounds} rounds"
    print(textwrap.fill(text, 88, break_on_hyphens=False) + "\n")


def run_round(
    workload: Workload, origin: Origin, results: Results, names: list[str] | None
) -> None:
    for client, work in workload.clients.items():
        run = Run(workload.title, client.name)
        if run in results.failures:
            continue
        if names and client.name not in names and client.name != workload.ours:
            continue
        try:
            results.add(run, run_client(client, work, workload, origin))
        except Missing as reason:
            results.fail(run, str(reason))


def run_client(client: Client, work: str, workload: Workload, origin: Origin) -> Cost:
    """Have a client do its work, in a process of its own.

    :raises Missing: if it cannot be had, or fails.
    """
    task = Task(
        work,
        origin.url(workload.elsewhere.get(client, workload.place)),
        max(1, workload.count // client.share),
        workload.warm_up // client.share,
        str(origin.ca),
        workload.size,
        workload.width,
        workload.http1,
    )
    program = HERE / "clients" / f"with_{client.program}.py"
    if not program.exists():
        raise Missing(f"{client.name}: there is no {program.name}")
    command = [python_of(client.environment), str(program), json.dumps(asdict(task))]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "LC_ALL": "C.UTF-8"}
    # To compile all that is imported takes long, and leaves much free memory behind.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, env=environment
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"{client.name}: not done in {PATIENCE} seconds") from None
    if done.returncode:
        last = (done.stderr.splitlines() or ["?"])[-1]
        raise Missing(f"{client.name} failed: {last}")
    return Cost(**json.loads(done.stdout))


if __name__ == "__main__":
    main()
