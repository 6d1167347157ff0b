"""What downloads are called, and what is shown of them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from hyper.cli.download import LONGEST_NAME, Progress, range_for, safe_name, unused


@pytest.mark.scenario(271)
@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a.txt", "a.txt"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\a", "a"),
        ("..", ""),
        (".bashrc", "bashrc"),
        ("a/", ""),
        ("a\x1b\n\0b", "a___b"),
        (" a b ", "a b"),
        ("é" * 200 + ".tar", "é" * 98 + ".tar"),
        ("x" * 300, "x" * LONGEST_NAME),
        ("a." + "x" * 300, "a." + "x" * (LONGEST_NAME - 2)),
    ],
)
def test_a_name_is_one_of_this_directory(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    assert unused(path) == path
    path.symlink_to(tmp_path / "nowhere")
    (tmp_path / "a-1.txt").touch()
    assert unused(path) == tmp_path / "a-2.txt"


def test_what_is_there_already_is_measured(tmp_path: Path) -> None:
    assert range_for(tmp_path / "a") == 0
    (tmp_path / "a").write_bytes(b"abc")
    assert range_for(tmp_path / "a") == 3


def test_progress_shows_after_a_while_and_not_too_often() -> None:
    out = io.StringIO()
    now = 0.0
    progress = Progress(out, True, lambda: now)
    progress.update(10, 1000)
    assert out.getvalue() == ""
    now = 1.0
    progress.update(500_000, 1_000_000)
    progress.update(510_000, 1_000_000)
    shown = "500.0 KB of 1.0 MB  50%  500.0 KB/s  eta 1 s"
    assert out.getvalue() == f"\r{shown}"
    now = 2.0
    progress.update(600_000, None, 600_000)
    assert out.getvalue().endswith("\r" + "600.0 KB  0 B/s".ljust(len(shown)))
    progress.end()
    progress.end()
    assert out.getvalue().endswith("\r" + " " * 15 + "\r")


def test_progress_is_for_those_who_look() -> None:
    out = io.StringIO()
    now = 0.0
    progress = Progress(out, False, lambda: now)
    now = 9.0
    progress.update(1, 2)
    progress.end()
    assert out.getvalue() == ""
