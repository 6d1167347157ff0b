"""The tables that `make bench` prints: one for each kind of workload."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from plan import Kind, Workload
from results import Results, Run

ROW = "{} {:22} {:16}"
CELL = "{:>10}"


def print_tables(workloads: Sequence[Workload], results: Results) -> None:
    """Print a row for each run, and the reasons of those that are missing.

    The columns with an "x" have the ratios of hyper to the client.
    """
    for kind, group in groupby(workloads, lambda workload: workload.kind):
        heads = "".join(CELL.format(head) for head, _, _ in COLUMNS[kind])
        print(ROW.format(" ", "workload", "client") + heads)
        for workload in group:
            for run in results.of(workload.title):
                print_row(workload, run, results)
        print()
    for run, reason in results.failures.items():
        print(f"left out: {run}: {reason}")
    if results.failures:
        print()


#: By kind: the head of a column, the figure in it, and what to multiply it by; None if
#: it is the ratio of hyper's figure to this one.
COLUMNS: dict[Kind, tuple[tuple[str, str, float | None], ...]] = {
    Kind.requests: (
        ("CPU us", "cpu", 1e6),
        ("a second", "rate", 1),
        ("peak MiB", "peak", 1 / 1024),
        ("x CPU", "cpu", None),
        ("x rate", "rate", None),
    ),
    Kind.transfers: (
        ("CPU ms", "cpu", 1e3),
        ("MB/s", "rate", 100),
        ("peak MiB", "peak", 1 / 1024),
        ("x CPU", "cpu", None),
        ("x rate", "rate", None),
    ),
    Kind.starts: (
        ("CPU ms", "cpu", 1e3),
        ("a second", "rate", 1),
        ("x CPU", "cpu", None),
        ("x rate", "rate", None),
    ),
    Kind.memory: (
        ("KiB each", "held", 1),
        ("peak MiB", "peak", 1 / 1024),
        ("x KiB", "held", None),
    ),
}


def print_row(workload: Workload, run: Run, results: Results) -> None:
    cells = []
    for _, figure, factor in COLUMNS[workload.kind]:
        if factor is None:
            value = results.compare(figure, Run(run.title, workload.ours), run)
            cells.append("" if value is None else f"{value:.2f}")
        else:
            value = results.median(figure, run)
            cells.append("" if value is None else shorten(value * factor))
    print(
        (
            ROW.format(workload.letter, run.title, run.client)
            + "".join(map(CELL.format, cells))
        ).rstrip()
    )


def shorten(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
