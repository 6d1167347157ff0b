"""Write docs/scenarios.rst: what may happen, and which tests show what hyper does then.

    python docs/make_scenarios.py                  run the suite and write the page
    python docs/make_scenarios.py test/test_x.py   run a part: the rest has no test
    python docs/make_scenarios.py --collect-only   run nothing, only find the tests

The rows are in docs/scenarios.csv: number, group, title, and a note that says why a row
has no test, or what is still wrong. A test says what it shows by a marker,
``@pytest.mark.scenario(87)``. This script joins the two with the outcome of one run, to
which everything given on the command line goes as pytest's own arguments.

The exit status is pytest's: the page is written if tests failed, and says so.
"""

from __future__ import annotations

import csv
import os
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
TITLES = DOCS / "scenarios.csv"
PAGE = DOCS / "scenarios.rst"

GROUPS = {
    "A": "Connecting and TLS",
    "B": "SETTINGS",
    "C": "Response headers",
    "D": "DATA and flow control",
    "E": "Resets and retries",
    "F": "GOAWAY",
    "G": "PING",
    "H": "Hostile servers",
    "I": "HTTP/1.1 responses",
    "J": "What users hand in",
    "K": "Sockets and the system",
    "L": "Threads",
    "M": "Timeouts",
    "N": "Proxies",
    "O": "Origins, redirects, credentials",
    "P": "Leaks",
}

#: What a row may come out as, worst last: the worst of its tests counts.
NOT_RUN, SKIPPED, PASSED, FAILED = "not run", "skipped", "passed", "failed"
WORST_LAST = (NOT_RUN, SKIPPED, PASSED, FAILED)
NONE = "none"
ROWS, OPEN = "rows", "open"


@dataclass(frozen=True)
class Row:
    """A line of docs/scenarios.csv."""

    number: int
    group: str
    title: str
    #: Why there is no test, or after "open:" what is not right yet; may be empty.
    note: str = ""

    @property
    def open(self) -> bool:
        """True if it is known that hyper does not do all that it should."""
        return "open:" in self.note


@dataclass
class Test:
    """A test function: all its parameters together, and what became of them."""

    #: ``test_exchange.py::test_close_wakes_every_thread_that_waits``
    name: str
    outcome: str = NOT_RUN
    #: Why some of it was skipped.
    reasons: set[str] = field(default_factory=set)

    def add(self, outcome: str, reason: str = "") -> None:
        """Note how one more of its parameters came out."""
        self.outcome = max(self.outcome, outcome, key=WORST_LAST.index)
        if reason:
            self.reasons.add(reason)


#: The tests of each row, by its number.
Shown = Mapping[int, Iterable[Test]]


def read_rows(text: str) -> list[Row]:
    """Return the rows of the CSV, in its order."""
    return [
        Row(int(line["row"]), line["group"], line["title"], line["note"])
        for line in csv.DictReader(text.splitlines())
    ]


def rows_of(markers: Iterable[pytest.Mark]) -> set[int]:
    """Return the rows that the markers of a test name."""
    return {number for marker in markers for number in marker.args}


def short_name(nodeid: str) -> str:
    """Return a test's name without its folder and its parameters."""
    return nodeid.partition("[")[0].removeprefix("test/")


def sentence(name: str) -> str:
    """Return a test's name as the sentence that it is, behind where it stands."""
    file, *classes, function = name.split("::")
    where = ", ".join(f"``{part}``" for part in (file, *classes))
    words = function.removeprefix("test_").replace("_", " ")
    return f"{where}: {words}"


def outcome(tests: Iterable[Test]) -> str:
    """Return what a row comes out as: its worst test, or that it has none."""
    outcomes = [test.outcome for test in tests]
    return max(outcomes, key=WORST_LAST.index) if outcomes else NONE


def count(rows: Iterable[Row], shown: Shown) -> dict[str, Counter[str]]:
    """Return how many rows of each group come out as what; of all under ``""``.

    Open ones are counted beside that, under ``OPEN``.
    """
    counts = {group: Counter[str]() for group in (*GROUPS, "")}
    for row in rows:
        for group in (row.group, ""):
            counts[group].update(
                {ROWS: 1, outcome(shown.get(row.number, ())): 1, OPEN: int(row.open)}
            )
    return counts


def escape(text: str) -> str:
    """Return text for a page that has no markup in it."""
    return "".join("\\" + c if c in "\\*`|_" else c for c in text)


def result(row: Row, tests: list[Test]) -> str:
    """Return the text of the last column."""
    said = [outcome(tests)]
    reasons = sorted({reason for test in tests for reason in test.reasons})
    if said == [SKIPPED]:
        said += reasons
    elif reasons:
        said.append("some skipped")
    if row.note:
        said.append(row.note)
    return escape("; ".join(said))


def render(rows: list[Row], shown: Shown) -> str:
    """Return the page."""
    counts = count(rows, shown)
    every = counts[""]
    summary = (
        f"{len(rows)} things that happen to a client, and the tests that show what "
        f"``hyper`` does then. {every[ROWS] - every[NONE]} have tests: "
        f"{every[PASSED]} passed, {every[FAILED]} failed, {every[SKIPPED]} skipped "
        f"where the page was made, {every[NOT_RUN]} not run. {every[OPEN]} are open: "
        f"it is known that ``hyper`` does not do all that it should, and the note "
        f"says what. The names of tests are written as the sentences that they are."
    )
    lines = [
        ".. Written by docs/make_scenarios.py: do not edit.",
        "",
        "=========",
        "Scenarios",
        "=========",
        "",
        *wrap("", summary),
        "",
        *_counts_table(counts),
    ]
    for group, title in GROUPS.items():
        lines += ["", f"{group}. {title}", "=" * (len(title) + 3), ""]
        lines += _table("6 30 44 20", ("Row", "What happens", "Tests", "Result"))
        for row in rows:
            if row.group == group:
                lines += _cells(row, list(shown.get(row.number, ())))
    return "\n".join(lines) + "\n"


def _counts_table(counts: dict[str, Counter[str]]) -> list[str]:
    columns = (ROWS, PASSED, FAILED, SKIPPED, NOT_RUN, NONE, OPEN)
    lines = _table("37 9 9 9 9 9 9 9", ("Group", *columns))
    for group, title in {**GROUPS, "": "All"}.items():
        lines.append(f"   * - {group}. {title}" if group else f"   * - {title}")
        lines += [f"     - {counts[group][column]}" for column in columns]
    return lines


def _table(widths: str, heads: Iterable[str]) -> list[str]:
    first, *others = heads
    return [
        ".. list-table::",
        "   :header-rows: 1",
        f"   :widths: {widths}",
        "",
        f"   * - {first}",
        *(f"     - {head}" for head in others),
    ]


def _cells(row: Row, tests: list[Test]) -> list[str]:
    lines = [f"   * - {row.number}", *wrap("     - ", escape(row.title))]
    names = sorted(test.name for test in tests)
    for index, name in enumerate(names):
        lines += wrap("     - - " if index == 0 else "       - ", sentence(name))
    if not names:
        lines.append("     -")
    return [*lines, *wrap("     - ", result(row, tests))]


def wrap(bullet: str, text: str) -> list[str]:
    """Return lines of at most 79 characters that begin with the bullet."""
    return textwrap.wrap(
        text,
        79,
        initial_indent=bullet,
        subsequent_indent=" " * len(bullet),
        break_long_words=False,
        break_on_hyphens=False,
    )


class Recorder:
    """A plugin of pytest that notes which test shows which row, and what it did."""

    def __init__(self) -> None:
        self._rows: dict[str, set[int]] = {}
        self._tests: dict[str, Test] = {}

    def shown(self) -> dict[int, list[Test]]:
        """Return the tests of each row."""
        shown: dict[int, list[Test]] = {}
        for nodeid, numbers in self._rows.items():
            test = self._tests[short_name(nodeid)]
            for number in numbers:
                tests = shown.setdefault(number, [])
                if test not in tests:
                    tests.append(test)
        return shown

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            numbers = rows_of(item.iter_markers("scenario"))
            if numbers:
                self._rows[item.nodeid] = numbers
                name = short_name(item.nodeid)
                self._tests.setdefault(name, Test(name))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A parameter may have rows that the others have not: those without count not.
        if report.nodeid not in self._rows:
            return
        test = self._tests[short_name(report.nodeid)]
        if report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            test.add(SKIPPED, reason.removeprefix("Skipped: "))
        elif report.failed or report.when == "call":
            test.add(report.outcome)


def main(arguments: list[str]) -> int:
    """Run pytest with these arguments, write the page, return pytest's status."""
    os.chdir(ROOT)
    # What is tested is the code beside this folder, installed or not.
    sys.path.insert(0, str(ROOT))
    recorder = Recorder()
    status = pytest.main(["-q", *arguments], plugins=[recorder])
    rows = read_rows(TITLES.read_text(encoding="utf-8"))
    shown = recorder.shown()
    PAGE.write_text(render(rows, shown), encoding="utf-8")
    counts = count(rows, shown)
    for group, numbers in counts.items():
        tested = numbers[ROWS] - numbers[NONE]
        print(f"{group or 'all':>3} {tested:4d} of {numbers[ROWS]} have tests")
    print(f"written: {PAGE.relative_to(ROOT)}")
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
