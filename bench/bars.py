"""The bars: what hyper wants to reach, and whether it does. All of it is computed."""

from __future__ import annotations

from dataclasses import dataclass

from results import Results


@dataclass(frozen=True, slots=True)
class Bar:
    """``ours`` is to have at most, or at least, so many times what ``theirs`` has.

    ``figure`` is "cpu", CPU time, of which less is better, or "rate", of which more is.
    """

    letter: str
    title: str
    figure: str
    limit: float
    theirs: str
    ours: str = "hyper"


BARS = (
    Bar("a", "small GETs", "cpu", 1.0, "pycurl"),
    Bar("a", "small GETs", "cpu", 0.15, "httpx"),
    Bar("b", "distinct GETs", "cpu", 1.2, "pycurl"),
    Bar("c", "100 in flight", "rate", 1.0, "pycurl"),
    Bar("c", "100 in flight", "rate", 0.6, "h2load"),
    Bar("d", "16 threads", "rate", 1.0, "primp"),
    Bar("e", "download", "rate", 1.0, "pycurl"),
    Bar("f", "upload", "rate", 1.0, "pycurl"),
    Bar("g", "download at 100 ms", "rate", 0.9, "curl"),
    Bar("h", "HTTP/1.1, TLS", "cpu", 0.6, "http.client"),
    Bar("h", "HTTP/1.1", "cpu", 0.6, "http.client"),
    Bar("i", "requests", "cpu", 0.6, "requests", "requests+hyper"),
    Bar("i", "httpx2", "cpu", 0.6, "httpx2", "httpx2+hyper"),
)
WORDS = {"cpu": ("CPU time", "at most"), "rate": ("per second", "at least")}


def judge(bar: Bar, results: Results) -> str | None:
    """Return the line for a bar; None if its workload was not run."""
    if bar.title not in results.workloads:
        return None
    what, bound = WORDS[bar.figure]
    wanted = f"({bar.letter}) {bar.title}: {what} {bound} {bar.limit:g} x {bar.theirs}"
    ratio = results.ratio(bar.title, bar.figure, bar.ours, bar.theirs)
    if ratio is None:
        return f"NOT MET   {wanted}: {bar.ours} or {bar.theirs} has no result"
    met = ratio <= bar.limit if bar.figure == "cpu" else ratio >= bar.limit
    return f"{'met      ' if met else 'NOT MET  '} {wanted}: {ratio:.2f}"
