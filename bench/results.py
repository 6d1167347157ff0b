"""What was measured, and the figures that follow from it.

Rounds are paired: the ratio of two clients is the median of the ratios of each round,
in which they ran one after the other. So a machine that gets slower, for it has other
things to do, does so for both.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from clients.meter import Cost

FIGURES: dict[str, Callable[[Cost], float]] = {
    "cpu": lambda cost: cost.cpu / cost.count,
    "rate": lambda cost: cost.count / cost.wall,
    "peak": lambda cost: cost.peak / 1024,
}


@dataclass(slots=True)
class Results:
    """The costs of each round, by the title of the workload and the client's name.

    A client that failed, or could not be had, is in ``failures``, with the reason.
    """

    costs: dict[tuple[str, str], list[Cost]] = field(default_factory=dict)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def workloads(self) -> list[str]:
        return list(dict.fromkeys(title for title, _ in [*self.costs, *self.failures]))

    def clients_of(self, title: str) -> list[str]:
        return [client for each, client in self.costs if each == title]

    def add(self, title: str, client: str, cost: Cost) -> None:
        self.costs.setdefault((title, client), []).append(cost)

    def fail(self, title: str, client: str, reason: str) -> None:
        """Nothing counts of a client that failed once."""
        self.failures[title, client] = reason
        self.costs.pop((title, client), None)

    def median(self, title: str, figure: str, client: str) -> float:
        return statistics.median(map(FIGURES[figure], self.costs[title, client]))

    def ratio(self, title: str, figure: str, ours: str, theirs: str) -> float | None:
        """Return ours / theirs; None if one of them has no figures."""
        pairs = [self.costs.get((title, client)) for client in (ours, theirs)]
        if None in pairs:
            return None
        of = FIGURES[figure]
        return statistics.median(of(a) / of(b) for a, b in zip(*pairs, strict=True))
