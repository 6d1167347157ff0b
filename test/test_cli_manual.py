"""Man page and completion: made of the parser, taken by the programs they are for."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hyper.cli import main
from hyper.cli.manual import completion, manual
from hyper.cli.options import SHELLS, build_parser

OPTIONS = [
    name
    for action in build_parser()._actions
    for name in action.option_strings
    if name.startswith("--")
]


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed"
        if os.environ.get("HYPER_REQUIRE_SERVERS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def run(*words: str, text: str = "") -> str:
    done = subprocess.run(
        words, input=text, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def test_the_man_page_has_every_option_and_troff_takes_it() -> None:
    page = manual()
    for option in OPTIONS:
        assert option.replace("-", r"\-") in page
    shown = run(program("man"), "--warnings", "-E", "UTF-8", "-l", "-", text=page)
    assert "hyper - make HTTP/2 and HTTP/1.1 requests" in shown


@pytest.mark.parametrize("shell", SHELLS)
def test_a_completion_has_every_option_and_its_shell_takes_it(
    shell: str, tmp_path: Path
) -> None:
    script = completion(shell)
    for option in OPTIONS:
        assert option.lstrip("-") in script
    path = tmp_path / "completion"
    path.write_text(script)
    run(program(shell), "-n", str(path))


def test_bash_completes_options_and_their_values(tmp_path: Path) -> None:
    path = tmp_path / "completion"
    path.write_text(completion("bash"))
    line = (
        f"source {path}; COMP_WORDS=(hyper {{}}); COMP_CWORD=$((${{{{#COMP_WORDS[@]}}}}"
        '-1)); _hyper; echo "${{COMPREPLY[@]}}"'
    )
    bash = program("bash")
    assert (
        run(bash, "-c", line.format("--tra")) == "--trailer --trace --trace-secrets\n"
    )
    assert run(bash, "-c", line.format("--pretty for")) == "format\n"
    assert run(bash, "-c", line.format("PU")) == "PUT\n"


@pytest.mark.parametrize("words", [["--manual"], ["--completion", "fish"]])
def test_the_command_prints_them(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    assert capsys.readouterr().out in (manual(), completion("fish"))
