"""The table that `make bench` prints."""

from __future__ import annotations

from collections.abc import Sequence

from plan import Workload
from results import Results

ROW = "{:22} {:14} {:>9} {:>9} {:>8} {:>8} {:>9} {:>9}"
HEADS = ("workload", "client", "CPU us", "a second", "MB/s", "peak MiB")
RATIOS = ("CPU", "rate")


def print_table(workloads: Sequence[Workload], results: Results) -> None:
    """Print a row for each client of each workload, and the reasons of those missing.

    The last columns are the ratios of hyper to the client.
    """
    print(ROW.format(*HEADS, *RATIOS).rstrip())
    for workload in workloads:
        for client in results.clients_of(workload.title):
            print(row(workload, client, results))
    for (title, _), reason in results.failures.items():
        print(f"left out of {title!r}: {reason}")


def row(workload: Workload, client: str, results: Results) -> str:
    title = workload.title
    cpu = results.median(title, "cpu", client) * 1e6
    rate = results.median(title, "rate", client)
    speed = f"{rate * workload.size / 1e6:.0f}" if workload.transfers else ""
    peak = results.median(title, "peak", client)
    memory = f"{peak:.0f}" if peak else ""
    ratios = [
        "" if ratio is None else f"{ratio:.2f}"
        for figure in ("cpu", "rate")
        for ratio in [results.ratio(title, figure, "hyper", client)]
    ]
    figures = f"{cpu:.0f}", f"{rate:.0f}" if rate > 100 else f"{rate:.1f}", speed
    return ROW.format(title, client, *figures, memory, *ratios).rstrip()
