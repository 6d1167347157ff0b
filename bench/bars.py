"""The bars: what hyper wants to reach, and whether it does. All of it is computed."""

from __future__ import annotations

from dataclasses import dataclass

from results import Results, Run


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure of ``ours`` is to be at most, or at least, so many times another's.

    A figure without another to compare with is to be at most the limit itself.

    :param less: what both have in common, which does not count.
    """

    letter: str
    figure: str
    limit: float
    ours: Run
    theirs: Run | None = None
    less: Run | None = None


def peers(letter: str, figure: str, title: str, **limits: float) -> list[Bar]:
    return [
        Bar(letter, figure, limit, Run(title, "hyper"), Run(title, peer))
        for peer, limit in limits.items()
    ]


HTTP_CLIENT = "http.client"
BARS = (
    *peers("a", "cpu", "small GETs", pycurl=1.0, httpx=0.15),
    *peers("b", "cpu", "distinct GETs", pycurl=1.2),
    *peers("c", "rate", "100 in flight", pycurl=1.0, h2load=0.6),
    *peers("d", "rate", "16 threads", primp=1.0),
    *peers("e", "rate", "download", pycurl=1.0),
    *peers("f", "rate", "upload", pycurl=1.0),
    *peers("g", "rate", "download at 100 ms", curl=0.9),
    *peers("g", "rate", "upload at 100 ms", curl=0.9),
    *peers("h", "cpu", "HTTP/1.1, TLS", **{HTTP_CLIENT: 0.6}),
    *peers("h", "cpu", "HTTP/1.1", **{HTTP_CLIENT: 0.6}),
    *(
        Bar("i", "cpu", 0.6, Run(name, f"{name}+hyper"), Run(name, name))
        for name in ("requests", "httpx2")
    ),
    Bar(
        *("j", "cpu", 1.2),
        Run("import", "hyper"),
        Run("import", HTTP_CLIENT),
        less=Run("import", "nothing"),
    ),
    Bar("k", "held", 40, Run("idle connection", "hyper")),
    Bar("k", "held", 4, Run("waiting stream", "hyper")),
    Bar(
        *("l", "cpu", 1.15),
        Run("1,000 at a time", "hyper"),
        Run("100 at a time", "hyper"),
    ),
    Bar(
        *("l", "cpu", 1.15),
        Run("after 1,000,000", "hyper"),
        Run("after 1,000", "hyper"),
    ),
)
NAMES = {"cpu": "CPU time", "rate": "per second", "held": "KiB"}


def judge(bar: Bar, results: Results) -> str:
    """Return the line that says whether a bar is met, with the figure."""
    value = results.compare(bar.figure, bar.ours, bar.theirs, bar.less)
    return f"{verdict(bar, value)} {words(bar)}: " + (
        "no result" if value is None else f"{value:.2f}"
    )


def verdict(bar: Bar, value: float | None) -> str:
    met = value is not None and (
        value >= bar.limit if bar.figure == "rate" else value <= bar.limit
    )
    return "met    " if met else "NOT MET"


def words(bar: Bar) -> str:
    bound = "at least" if bar.figure == "rate" else "at most"
    limit = f"{bar.limit:g}"
    if bar.theirs:
        limit += f" x {bar.theirs.name_beside(bar.ours)}"
    return f"({bar.letter}) {bar.ours}: {NAMES[bar.figure]} {bound} {limit}"


def concerns(bar: Bar, titles: set[str]) -> bool:
    """Return whether a bar can be judged by workloads of these titles."""
    runs = (bar.ours, bar.theirs, bar.less)
    return all(run.title in titles for run in runs if run)
