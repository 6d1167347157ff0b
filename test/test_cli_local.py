"""``hyper --local``: a server for one command."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from command import shell

from hyper.cli import main
from hyper.cli.local import NoServer, serving


def test_a_request_needs_no_server(tmp_path: Path) -> None:
    with shell({"PATH": os.environ["PATH"]}, tmp_path) as prompt:
        first = prompt.run("hyper --local -i get search==hyper")
        assert (first.status, first.json["args"]) == (0, {"search": "hyper"})
        assert first.err.startswith("HTTP/2 200 OK\n")
        assert prompt.run("hyper --local --fail /status/404").status == 22


def test_it_is_trusted_for_as_long_as_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "before")
    with serving() as url:
        assert url.startswith("https://localhost:")
        trusted = os.environ["SSL_CERT_FILE"]
        assert Path(trusted).exists()
    assert os.environ["SSL_CERT_FILE"] == "before"
    assert not Path(trusted).exists()


def test_without_trustme_it_speaks_http2_all_the_same(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "trustme.py").write_text("raise ImportError('not here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert main(["--local", "-i", "/ip"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"origin": "127.0.0.1"}
    assert err.startswith("HTTP/2 200 OK\n")


def test_a_server_that_does_not_start_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(NoServer), serving():
        pass
    assert main(["--local"]) == 7
    assert capsys.readouterr().err == "hyper: hyper.http2bin does not start\n"


# The signal may come before there is an object that could wait for the process.
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_a_server_that_takes_its_time_is_ended_by_ctrl_c_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, fifo = tmp_path / "server", tmp_path / "fifo"
    program.write_text(
        f"#!/bin/sh\nexec 3> {fifo}\nkill -INT {os.getpid()}\ncat\necho end >&3\n"
    )
    program.chmod(0o755)
    os.mkfifo(fifo)
    with open(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)) as told:
        monkeypatch.setattr(sys, "executable", str(program))
        # A shell may have started this process with the signal ignored.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            assert main(["--local"]) == 130
        finally:
            signal.signal(signal.SIGINT, before)
        os.set_blocking(told.fileno(), True)
        assert told.read() == "end\n"
