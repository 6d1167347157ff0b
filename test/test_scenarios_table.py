"""The table of scenarios: its rows, the markers that point at them, and its page."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from threads import PATIENCE

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def table():
    """docs/make_scenarios.py, which is a script, as a module."""
    spec = importlib.util.spec_from_file_location(
        "make_scenarios", DOCS / "make_scenarios.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Dataclasses look themselves up there.
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def rows(table):
    return table.read_rows((DOCS / "scenarios.csv").read_text(encoding="utf-8"))


def make_test(table, name="test_a.py::test_b", *outcomes):
    test = table.Test(name)
    for outcome in outcomes:
        test.add(outcome)
    return test


def test_there_are_277_rows_in_order(rows):
    assert [row.number for row in rows] == list(range(1, 278))


def test_every_row_has_a_title_of_its_own_and_a_group(rows, table):
    assert len({row.title for row in rows}) == len(rows)
    assert all(row.title and row.title == row.title.strip() for row in rows)
    groups = [row.group for row in rows]
    assert groups == sorted(groups)
    assert list(dict.fromkeys(groups)) == list(table.GROUPS)


def test_every_marker_names_a_row(rows, table, request):
    known = {row.number for row in rows}
    for item in request.session.items:
        unknown = table.rows_of(item.iter_markers("scenario")) - known
        assert not unknown, item.nodeid


def test_markers_may_name_several_rows(table):
    markers = [pytest.mark.scenario(1, 2).mark, pytest.mark.scenario(3).mark]
    assert table.rows_of(markers) == {1, 2, 3}


def test_a_row_without_a_test_has_a_note(rows, table, request):
    if len({item.path for item in request.session.items}) < 30:
        pytest.skip("this is a part of the suite")
    shown = set()
    for item in request.session.items:
        shown |= table.rows_of(item.iter_markers("scenario"))
    assert [row for row in rows if row.number not in shown and not row.note] == []


@pytest.mark.parametrize(
    ("nodeid", "name"),
    [
        ("test/test_a.py::test_b", "test_a.py::test_b"),
        ("test/test_a.py::TestB::test_c[d-[e]]", "test_a.py::TestB::test_c"),
    ],
)
def test_a_test_is_named_without_its_parameters(table, nodeid, name):
    assert table.short_name(nodeid) == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("test_a.py::test_it_is_so", "``test_a.py``: it is so"),
        ("test_a.py::TestB::test_it_is_so", "``test_a.py``, ``TestB``: it is so"),
    ],
)
def test_a_name_is_read_as_a_sentence(table, name, expected):
    assert table.sentence(name) == expected


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], "not run"),
        (["skipped"], "skipped"),
        (["skipped", "passed"], "passed"),
        (["passed", "failed", "skipped"], "failed"),
    ],
)
def test_a_test_comes_out_as_the_worst_of_its_parameters(table, outcomes, expected):
    assert make_test(table, "test_a.py::test_b", *outcomes).outcome == expected


def test_a_row_comes_out_as_the_worst_of_its_tests(table):
    passed, failed = (make_test(table, "n", each) for each in ("passed", "failed"))
    assert table.outcome([]) == "none"
    assert table.outcome([passed]) == "passed"
    assert table.outcome([failed, passed]) == "failed"


def test_rows_are_counted_by_group_and_in_all(table):
    rows = [
        table.Row(1, "A", "one"),
        table.Row(2, "A", "two", "step 3: pool"),
        table.Row(3, "B", "three", "open: all of it"),
    ]
    counts = table.count(rows, {1: [make_test(table, "n", "passed")]})
    assert counts["A"] == {"rows": 2, "passed": 1, "none": 1, "open": 0}
    assert counts["B"] == {"rows": 1, "none": 1, "open": 1}
    assert counts[""] == {"rows": 3, "passed": 1, "none": 2, "open": 1}
    assert not counts["C"]


def test_the_page_has_titles_tests_results_and_notes(table):
    rows = [
        table.Row(1, "A", "a *star* happens"),
        table.Row(2, "A", "nothing", "step 3: proxies"),
        table.Row(3, "B", "half of it", "open: the other half"),
    ]
    skipped = make_test(table, "test_a.py::test_c")
    skipped.add("skipped", "no such server")
    page = table.render(
        rows,
        {
            1: [make_test(table, "test_a.py::test_b", "passed")],
            3: [skipped],
        },
    )
    assert "   * - 1\n     - a \\*star\\* happens\n" in page
    assert "     - - ``test_a.py``: b\n     - passed\n" in page
    assert "     - nothing\n     -\n     - none; step 3: proxies\n" in page
    assert "     - skipped; no such server; open: the other half\n" in page
    assert "2 have tests: 1 passed, 0 failed, 1 skipped" in " ".join(page.split())
    assert max(map(len, page.splitlines())) <= 79
    of_all = page.partition("   * - All\n")[2].partition("\n\n")[0]
    assert of_all.split() == [
        "-",
        "3",
        "-",
        "1",
        "-",
        "0",
        "-",
        "1",
        "-",
        "0",
        "-",
        "1",
        "-",
        "1",
    ]


def test_what_was_skipped_in_part_says_so(table):
    row = table.Row(1, "A", "a")
    test = make_test(table, "n", "passed")
    test.add("skipped", "not here")
    assert table.result(row, [test]) == "passed; some skipped"


TESTS = """
import pytest

@pytest.mark.scenario(1, 2)
def test_passes():
    pass

@pytest.mark.scenario(2)
def test_fails():
    assert False

@pytest.mark.scenario(3)
def test_skips():
    pytest.skip("not here")

@pytest.mark.parametrize("number", [
    pytest.param(1, marks=pytest.mark.scenario(3)),
    pytest.param(2, marks=pytest.mark.scenario(4)),
    3,
])
def test_partly(number):
    assert number < 3

@pytest.fixture
def broken():
    raise OSError

@pytest.mark.scenario(5)
def test_cannot_begin(broken):
    pass

def test_nothing_of_interest():
    pass
"""
PROGRAM = """
import json, pytest, sys

sys.path.insert(0, sys.argv[1])
from make_scenarios import Recorder

recorder = Recorder()
pytest.main(sys.argv[2:], plugins=[recorder])
said = {
    number: [[test.name, test.outcome, *test.reasons] for test in tests]
    for number, tests in recorder.shown().items()
}
with open("said.json", "w") as file:
    json.dump(said, file)
"""


def test_a_run_is_taken_down(tmp_path):
    (tmp_path / "test_a.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = scenario: rows\n")
    subprocess.run(
        [sys.executable, "-c", PROGRAM, DOCS, "-p", "no:cacheprovider", "test_a.py"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        timeout=PATIENCE,
        check=True,
    )
    assert json.loads((tmp_path / "said.json").read_text()) == {
        "1": [["test_a.py::test_passes", "passed"]],
        "2": [
            ["test_a.py::test_passes", "passed"],
            ["test_a.py::test_fails", "failed"],
        ],
        "3": [
            ["test_a.py::test_skips", "skipped", "not here"],
            ["test_a.py::test_partly", "passed"],
        ],
        "4": [["test_a.py::test_partly", "passed"]],
        "5": [["test_a.py::test_cannot_begin", "failed"]],
    }
