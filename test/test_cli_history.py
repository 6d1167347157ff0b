"""Every command line of the documentation of hyper 0.3.0 works, and prints what it did.

What it printed then was a dictionary of Python; what is printed now is the JSON that
the server sent. So the two are compared as data. The host is another one, and what a
proxy of that service had put in (Connection, Via) is not there.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command import Result, Shell, shell

from hyper import http2bin

EXAMPLES: list[tuple[str, dict[str, Any]]] = [
    (
        "hyper GET https://http2bin.org/get",
        {"args": {}, "headers": {"Host": "http2bin.org"}},
    ),
    (
        "hyper GET https://http2bin.org/get "
        "User-Agent:hyper/0.2.0 X-Totally-Real-Header:someval",
        {
            "args": {},
            "headers": {
                "Host": "http2bin.org",
                "User-Agent": "hyper/0.2.0",
                "X-Totally-Real-Header": "someval",
            },
        },
    ),
    (
        "hyper GET https://http2bin.org/get search==hyper",
        {
            "args": {"search": "hyper"},
            "headers": {"Host": "http2bin.org"},
            "url": "https://http2bin.org/get?search=hyper",
        },
    ),
    (
        "hyper POST https://http2bin.org/post name=Hyper language=Python "
        "description='CLI HTTP client'",
        {
            "args": {},
            # The fields are in the order of the command line now, not of a hash.
            "data": '{"name": "Hyper", "language": "Python", '
            '"description": "CLI HTTP client"}',
            "files": {},
            "form": {},
            "headers": {
                "Content-Length": "73",
                "Content-Type": "application/json; charset=utf-8",
                "Host": "http2bin.org",
            },
            "json": {
                "description": "CLI HTTP client",
                "language": "Python",
                "name": "Hyper",
            },
            "url": "https://http2bin.org/post",
        },
    ),
]


@pytest.fixture(scope="module")
def server() -> Iterator[http2bin.Server]:
    with http2bin.serve() as server:
        yield server


@pytest.fixture(scope="module")
def prompt(server: http2bin.Server, tmp_path_factory: Any) -> Iterator[Shell]:
    directory = tmp_path_factory.mktemp("history")
    with shell({"SSL_CERT_FILE": server.ca_file or ""}, directory) as prompt:
        yield prompt


@pytest.mark.parametrize(("line", "shown"), EXAMPLES, ids=lambda value: str(value)[:60])
@pytest.mark.parametrize("debug", ["", " --debug"])
def test_an_example_prints_what_it_did(
    line: str, shown: dict[str, Any], debug: str, server: http2bin.Server, prompt: Shell
) -> None:
    here = f"localhost:{server.port}"
    result = prompt.run(line.replace("http2bin.org", here) + debug)
    assert (result.status, bool(result.err)) == (0, bool(debug)), result
    path = line.split("http2bin.org")[1].split()[0]
    expected = {
        "origin": "127.0.0.1",
        "url": f"https://{here}{path}",
        **_moved(shown, here),
    }
    assert result.json == expected
    if debug:
        assert " send HEADERS " in result.err
        assert " recv DATA " in result.err
        assert " table: " in result.err


def test_the_very_lines_work_where_the_name_leads_to_the_server(
    server: http2bin.Server, prompt: Shell
) -> None:
    there = f" --sni localhost --connect-to http2bin.org:443:localhost:{server.port}"
    for line, shown in EXAMPLES:
        result: Result = prompt.run(line + there)
        for name, value in shown.items():
            assert result.json[name] == value


def test_the_usage_is_printed_as_it_was() -> None:
    usage = (
        "usage: hyper [-h] [--version] [--debug] [METHOD] URL "
        "[REQUEST_ITEM [REQUEST_ITEM ...]]\n"
    )
    words = shlex.split(f"{sys.executable} -m hyper -h")
    run = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent,
    )
    assert run.stdout.startswith(usage)


def _moved(value: Any, here: str) -> Any:
    """Return what was shown, with the host that is asked here."""
    if isinstance(value, dict):
        return {name: _moved(one, here) for name, one in value.items()}
    return value.replace("http2bin.org", here) if isinstance(value, str) else value
