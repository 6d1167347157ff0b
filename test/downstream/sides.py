"""A library's own tests, run with its own transport and with hyper's, side by side.

Each run is a process of its own. What differs is listed, with the reason where one is
known. The exit status is 0 if one is known for all that passes without hyper alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest


class Recorder:
    """A plugin of pytest that notes how each test ended, and why."""

    def __init__(self) -> None:
        self.outcomes: dict[str, tuple[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            crash = getattr(report.longrepr, "reprcrash", None)
            why = str(getattr(crash, "message", "")).partition("\n")[0]
            self.outcomes.setdefault(report.nodeid, (report.outcome, why))


def main(
    stock: str,
    reasons: Mapping[str, str],
    options: Callable[[Path], list[str]],
    install: Callable[[], None],
) -> int:
    """Do as the command line says: compare, or be one of the two runs.

    :param stock: what the library's own transport is called in what is printed.
    :param reasons: why tests differ, by their names without parameters.
    :param options: returns what pytest is to run, of a checkout.
    :param install: has the library use hyper.
    :returns: the exit status.
    """
    match [Path(sys.argv[1]).resolve(), *sys.argv[2:]]:
        case [Path() as checkout]:
            return 1 if compare(checkout, stock, reasons) else 0
        case [Path() as checkout, str() as transport, str() as results]:
            # It is this script's folder, whose modules are named as libraries are.
            sys.path[0] = str(checkout)
            if transport == "hyper":
                install()
            recorder = Recorder()
            common = ("-q", "--no-header", "--tb=no", "-p", "no:cacheprovider")
            pytest.main(
                [*common, "--rootdir", str(checkout), *options(checkout)],
                plugins=[recorder],
            )
            Path(results).write_text(json.dumps(recorder.outcomes), "utf-8")
    return 0


def run(transport: str, checkout: Path) -> dict[str, tuple[str, str]]:
    """Run the tests in a process of their own; return the outcome of each, and why."""
    print(f"== With the transport of {transport}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        results = Path(directory) / "results"
        script = Path(sys.argv[0]).resolve()
        command = [sys.executable, script, checkout, transport, results]
        subprocess.run(command, cwd=checkout, check=True)
        outcomes: dict[str, tuple[str, str]] = json.loads(results.read_text("utf-8"))
    if not any(outcome == "passed" for outcome, _ in outcomes.values()):
        raise SystemExit("no test has passed: there is nothing to compare")
    return outcomes


def compare(checkout: Path, stock: str, reasons: Mapping[str, str]) -> int:
    """Run with both, say what differs; return how much of that has no known reason."""
    before, after = run(stock, checkout), run("hyper", checkout)
    unknown = 0
    print("== What differs")
    for test in sorted({*before, *after}):
        old, new = before.get(test, ("none", "")), after.get(test, ("none", ""))
        if old[0] == new[0]:
            continue
        reason = reasons.get(test.partition("[")[0].rpartition("::")[2])
        print(f"{test}: {old[0]} with {stock}, {new[0]} with hyper")
        print(f"    {new[1] or old[1]}")
        print(f"    reason: {reason or 'not known'}")
        unknown += reason is None and old[0] == "passed"
    for name, outcomes in ((stock, before), ("hyper", after)):
        print(f"{name}: {dict(Counter(outcome for outcome, _ in outcomes.values()))}")
    return unknown
