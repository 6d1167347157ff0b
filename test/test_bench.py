"""The parts of the benchmark hold together; what it measures is not looked at here.

hyper's client program runs, against `http2bin`. Of the others,
whose libraries are not installed here, it is seen that they are there and know the work
that the plan asks them for.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hyper import http2bin

BENCH = Path(__file__).parent.parent / "bench"
CLIENTS = BENCH / "clients"
WORKS = ("get", "distinct", "in flight", "download", "upload")
EACH_WORK = """
import sys
from meter import Task, measure
from with_hyper import WORKS
url, ca = sys.argv[1:]
for work in WORKS:
    path = "/post" if work == "upload" else "/bytes/6?"
    task = Task(work, url + path, 5, 1, ca, width=2)
    print(work, measure(WORKS[work](task), task).count)
"""


@pytest.fixture
def bench(monkeypatch):
    """Import a module of the benchmark by its name, which is forgotten afterwards."""
    monkeypatch.syspath_prepend(BENCH)
    monkeypatch.syspath_prepend(CLIENTS)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        origin = getattr(sys.modules[name], "__file__", None)
        if origin and BENCH in Path(origin).parents:
            del sys.modules[name]


@pytest.fixture
def plan(bench):
    return bench("plan").plan(1.0)


def cost(bench, **seconds: float):
    return bench("clients.meter").Cost(10, **{"cpu": 1.0, "wall": 1.0, **seconds})


def test_each_client_has_its_program_and_its_environment(plan) -> None:
    for workload in plan:
        for client in workload.clients:
            assert (CLIENTS / f"with_{client.program}.py").exists()
            pinned = BENCH / f"requirements-{client.environment}.txt"
            assert client.environment == "own" or pinned.exists()


def test_each_client_knows_the_work_that_it_is_asked_for(plan) -> None:
    for workload in plan:
        for client, work in workload.clients.items():
            if client.program == "start":
                verb, _, name = work.partition(" ")
                assert verb != "first" or (CLIENTS / f"with_{name}.py").exists()
            else:
                program = CLIENTS / f"with_{client.program}.py"
                assert f'"{work}"' in program.read_text()


def test_each_bar_is_about_runs_of_the_plan(bench, plan) -> None:
    names = {(each.title, client.name) for each in plan for client in each.clients}
    for bar in bench("bars").BARS:
        runs = [run for run in (bar.ours, bar.theirs, bar.less) if run]
        assert {(run.title, run.client) for run in runs} <= names


def test_hypers_client_does_all_of_its_work() -> None:
    with http2bin.serve() as server:
        done = subprocess.run(
            [sys.executable, "-c", EACH_WORK, server.url, server.ca_file],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": f"{CLIENTS}:{BENCH.parent}"},
        )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [f"{work} 5" for work in WORKS]


def test_a_response_that_is_not_whole_is_an_error_in_whichever_thread(bench) -> None:
    meter = bench("meter")
    task = meter.Task("get", "http://localhost:1/", 5, 1, "")
    meter.check(200, 6, task)
    with pytest.raises(meter.Wrong, match="status 200, 5 bytes of 6"):
        meter.in_threads(lambda: meter.check(200, 5, task), 2)(5)


def test_a_bar_is_met_by_the_median_of_the_ratios_of_the_rounds(bench) -> None:
    bars, results = bench("bars"), bench("results").Results()
    run = bench("results").Run
    bar = bars.Bar("x", "cpu", 1.0, run("w", "hyper"), run("w", "peer"))
    for ours, theirs in ((1.0, 2.0), (1.0, 2.0), (9.0, 1.0)):
        results.add(bar.ours, cost(bench, cpu=ours))
        results.add(bar.theirs, cost(bench, cpu=theirs))
    expected = "met     (x) w, hyper: CPU time at most 1 x peer: 0.50"
    assert bars.judge(bar, results) == expected


def test_more_is_better_where_it_is_a_rate(bench) -> None:
    bars, results = bench("bars"), bench("results").Results()
    run = bench("results").Run
    bar = bars.Bar("x", "rate", 1.0, run("w", "hyper"), run("w", "peer"))
    results.add(bar.ours, cost(bench, wall=4.0))
    results.add(bar.theirs, cost(bench, wall=1.0))
    expected = "NOT MET (x) w, hyper: per second at least 1 x peer: 0.25"
    assert bars.judge(bar, results) == expected


def test_what_both_have_in_common_does_not_count(bench) -> None:
    bars, results = bench("bars"), bench("results").Results()
    (bar,) = (bar for bar in bars.BARS if bar.less)
    for run, seconds in ((bar.ours, 3.0), (bar.theirs, 2.0), (bar.less, 1.0)):
        results.add(run, cost(bench, cpu=seconds))
    assert bars.judge(bar, results).endswith(": 2.00")


def test_a_bar_without_a_result_is_not_met(bench) -> None:
    bars, results = bench("bars"), bench("results").Results()
    for bar in bars.BARS:
        results.fail(bar.ours, "it is not here")
        line = bars.judge(bar, results)
        assert line.startswith("NOT MET")
        assert line.endswith(": no result")


def test_the_table_has_each_run_and_the_reason_of_each_that_is_missing(
    bench, plan, capsys
) -> None:
    results, run = bench("results").Results(), bench("results").Run
    for workload in plan:
        for client in workload.clients:
            if client.name == "primp":
                results.fail(run(workload.title, client.name), "it is not here")
            else:
                results.add(run(workload.title, client.name), cost(bench, held=3.0))
    bench("table").print_tables(plan, results)
    lines = capsys.readouterr().out.splitlines()
    for workload in plan:
        for client in workload.clients:
            if client.name == "primp":
                reason = f"left out: {workload.title}, primp: it is not here"
                assert reason in lines
            else:
                start = f"{workload.letter} {workload.title:22} {client.name} "
                assert [line for line in lines if line.startswith(start)]
