"""What downloads are called, and what is shown of them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from text_peer import TextPeer
from threads import background

import hyper
from hyper.cli.download import (
    LONGEST_NAME,
    Progress,
    create,
    name_for,
    range_for,
    safe_name,
)
from hyper.cli.output import CannotWrite


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
        ("-rf", "rf"),
        ("\u202etxt.exe", "_txt.exe"),
        ("é" * 200 + ".tar", "é" * 98 + ".tar"),
        ("x" * 300, "x" * LONGEST_NAME),
        ("a." + "x" * 300, "a." + "x" * (LONGEST_NAME - 2)),
    ],
)
def test_a_name_is_one_of_this_directory(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@pytest.mark.scenario(271)
@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("attachment; filename=a.txt", "a.txt"),
        ('attachment; filename="a; filename=b.txt"', "a; filename=b.txt"),
        (r'attachment; filename="a\"b"', 'a"b'),
        ("attachment; xfilename=evil", "path"),
        ('attachment; name="a; filename=b"', "path"),
        ("attachment; filename=a; filename*=UTF-8''%e2%82%ac", "\u20ac"),
        ("attachment; filename=a; filename*=ISO-8859-1''%80", "a"),
        ("attachment; filename*=UTF-8'en'..%2f..%2fpasswd", "passwd"),
        ('attachment; filename="\u00c3\u00a9"', "\u00e9"),
        ('attachment; filename="\u00e9"', "\ufffd"),
        ("", "path"),
    ],
)
def test_the_server_says_what_a_download_is_called(
    text_peer: TextPeer, said: str, name: str
) -> None:
    conn = text_peer.client(hyper.HTTP11Connection)
    asking = background(conn.request, "GET", "/a/path?b")
    text_peer.accept()
    asking.result()
    field = f"Content-Disposition: {said}\r\n" if said else ""
    text_peer.send_bytes(f"HTTP/1.1 204 OK\r\n{field}\r\n".encode("latin-1"))
    assert name_for(conn.get_response(), "/a/path?b") == name


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    assert create(path) == path
    assert path.read_bytes() == b""
    (tmp_path / "a-1.txt").symlink_to(tmp_path / "nowhere")
    assert create(path) == tmp_path / "a-2.txt"
    with pytest.raises(CannotWrite, match="No such file"):
        create(tmp_path / "nowhere" / "a.txt")


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


def test_progress_stays_in_one_line() -> None:
    out = io.StringIO()
    now = 0.0
    progress = Progress(out, True, lambda: now, lambda: "x" * 100)
    now = 1.0
    progress.update(1, None)
    assert out.getvalue() == "\r1 B  1 B/s  " + "x" * (79 - 12)


def test_progress_is_for_those_who_look() -> None:
    out = io.StringIO()
    now = 0.0
    progress = Progress(out, False, lambda: now)
    now = 9.0
    progress.update(1, 2)
    progress.end()
    assert out.getvalue() == ""
