"""What was measured, and the figures that follow from it.

Rounds are paired: the ratio of two clients is the median of the ratios of each round,
in which they ran one after the other. So a machine that gets slower, for it has other
things to do, does so for both.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from clients.meter import Cost


@dataclass(frozen=True, slots=True)
class Run:
    """A client doing a workload."""

    title: str
    client: str

    def __str__(self) -> str:
        return f"{self.title}, {self.client}"

    def name_beside(self, other: Run) -> str:
        """Return what tells this run from another."""
        return self.client if self.title == other.title else self.title


def figure_of(name: str, cost: Cost) -> float | None:
    """Return CPU seconds for one, how many in a second, or memory in KiB; None: n/a."""
    if name == "cpu":
        return cost.cpu / cost.count
    if name == "rate":
        return cost.count / cost.wall
    return cost.peak if name == "peak" else cost.held


@dataclass(slots=True)
class Results:
    """The costs of each run, round by round.

    The runs that failed, or could not be made, are in ``failures``, with the reason.
    """

    costs: dict[Run, list[Cost]] = field(default_factory=dict)
    failures: dict[Run, str] = field(default_factory=dict)

    def add(self, run: Run, cost: Cost) -> None:
        self.costs.setdefault(run, []).append(cost)

    def fail(self, run: Run, reason: str) -> None:
        """Nothing counts of a run that failed once."""
        self.failures[run] = reason
        self.costs.pop(run, None)

    def of(self, title: str) -> list[Run]:
        return [run for run in self.costs if run.title == title]

    def figures(self, name: str, run: Run) -> list[float]:
        """Return a figure of each round; none if there are no results of it."""
        found = [figure_of(name, cost) for cost in self.costs.get(run, [])]
        return [figure for figure in found if figure is not None]

    def median(self, name: str, run: Run) -> float | None:
        figures = self.figures(name, run)
        return statistics.median(figures) if figures else None

    def compare(
        self, name: str, ours: Run, theirs: Run | None = None, less: Run | None = None
    ) -> float | None:
        """Return the ratio of two runs; that of one is its own figure.

        :param less: what to take off both before.
        """
        if theirs is None:
            return self.median(name, ours)
        mine, other = self.figures(name, ours), self.figures(name, theirs)
        base = self.figures(name, less) if less else [0.0] * len(mine)
        # Some have fewer rounds than others.
        ratios = [(a - c) / (b - c) for a, b, c in zip(mine, other, base, strict=False)]
        return statistics.median(ratios) if ratios else None
