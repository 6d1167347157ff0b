"""``--curl``: curl, given the line, makes the same request."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import PATIENCE, Shell, shell

from hyper import http2bin


@pytest.fixture(scope="module")
def prompt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    directory = tmp_path_factory.mktemp("curl")
    (directory / "a text;x.txt").write_text("some text\n")
    (directory / "numbers.json").write_text("[1, 2]")
    (directory / "netrc").write_text("machine localhost login me password word\n")
    (directory / "default").write_text("default login me\n")
    (directory / "broken").write_text("machine localhost nonsense\n")
    with contextlib.ExitStack() as stack:
        tls = stack.enter_context(http2bin.serve())
        clear = stack.enter_context(http2bin.serve(tls=False))
        environment = {
            "PATH": os.environ["PATH"],
            "SSL_CERT_FILE": tls.ca_file or "",
            "TLS": f"{tls.url}/anything",
            "PORT": str(tls.port),
            "CLEAR": f"{clear.url}/anything",
        }
        yield stack.enter_context(shell(environment, directory))


def located(line: str, prompt: Shell) -> str:
    for name in ("TLS", "PORT", "CLEAR"):
        line = line.replace(f"${name}", prompt.environment[name])
    return line


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    "line",
    [
        "$TLS",
        "'$TLS?a=1#part' b==2 'c==[3]'",
        "DELETE $TLS X-A:1 'X-B;' :authority:other.test",
        "--http1.1 $TLS",
        "--h2 $CLEAR",
        "--upgrade $CLEAR",
        "$CLEAR a=1 n:=2",
        "PUT -d 'it'\\''s @text' $TLS",
        "-f $TLS a=1 b=2 Content-Type:text/other",
        "$TLS '@a text;x.txt'",
        "$TLS '@a text;x.txt' Content-Type:",
        "--multipart $CLEAR a=@numbers.json 'b=<x'",
        "$TLS 'up@a text;x.txt' a=1",
        "--priority 2 --te $TLS",
        "--netrc=netrc $TLS",
        "-k --resolve a.test:$PORT:127.0.0.1 https://a.test:$PORT/anything",
        "-k --connect-to ::127.0.0.1:$PORT --tls-max 1.2 https://a.test/anything",
        "-F $TLS User-Agent:hyper Accept:text/html Accept-Encoding:gzip",
        "'$TLS/{a,b}'",
    ],
)
def test_curl_makes_the_same_request(line: str, prompt: Shell) -> None:
    line = located(line, prompt)
    ours = prompt.run(f"hyper {line}").json
    told = prompt.run(f"hyper --curl {line}")
    assert (told.status, told.err) == (0, "")
    process = subprocess.run(
        ["sh", "-c", "exec " + told.out.decode().rstrip() + " --silent --show-error"],
        env=prompt.environment,
        cwd=prompt.directory,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert process.stderr == b""
    theirs = json.loads(process.stdout)
    for one in (ours, theirs):
        kind = one["headers"].get("Content-Type", "")
        if kind.startswith("multipart/"):  # Each has a boundary of its own.
            del one["headers"]["Content-Type"], one["headers"]["Content-Length"]
            one["data"] = ""
        for name in ("Connection", "Upgrade", "Http2-Settings"):
            one["headers"].pop(name, None)  # of hyper's own question
    assert theirs == ours


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--proxy http://p.test:1 --noproxy a b.test", ["--proxy", "--noproxy"]),
        ("--unix-socket s --interface lo -4 b.test", ["--unix-socket s", "-4"]),
        ("-6 --timeout 2 b.test", ["-6", "--connect-timeout 2", "--speed-time 2"]),
        ("--cacert ca.pem b.test", ["--cacert ca.pem"]),
        ("--cacert . b.test", ["--capath ."]),
        ("--cert c:pw --key k b.test", ["--cert c:pw", "--key k"]),
        ("--pin sha256//a --pin sha256//b b.test", ["'sha256//a;sha256//b'"]),
        ("-o f -c -i b.test", ["--output f", "--continue-at -", "--include"]),
        ("--download=f b.test", ["--output f"]),
        ("--download b.test", ["--remote-name --remote-header-name"]),
        ("-n -q -v --fail b.test", ["--output /dev/null", "--verbose", "--fail"]),
        ("-F b.test", ["--location --max-redirs 30"]),
        ("HEAD b.test", ["--head"]),
        ("b.test :path:*", ["--request-target '*'"]),
        ("--also /x b.test", ["--parallel https://b.test/ https://b.test/x"]),
        ("b.test @-", ["--data-binary @-"]),
    ],
)
def test_options_have_their_counterparts(
    line: str, words: list[str], prompt: Shell
) -> None:
    told = prompt.run(f"hyper --curl {line}").out.decode()
    assert told.startswith("curl ")
    for word in words:
        assert f" {word}" in told


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("--push b.test", "curl has nothing like --push"),
        ("--trailer a:b b.test", "curl has nothing like --trailer"),
        ("--local /get", "--local and --curl exclude each other"),
        ("'https://a b/'", "the host 'a b' is not a name"),
    ],
)
def test_what_curl_cannot_do_is_refused(line: str, error: str, prompt: Shell) -> None:
    told = prompt.run(f"hyper --curl {line}")
    assert (told.status, told.out) == (2, b"")
    assert error in told.err


class TestNetrc:
    """``--netrc``, which is seen best in what is sent."""

    def sent(self, prompt: Shell, line: str, **env: str) -> str | None:
        result = prompt.run(located(f"hyper {line}", prompt), **env)
        assert (result.status, result.err) == (0, "")
        found: str | None = result.json["headers"].get("Authorization")
        return found

    @pytest.mark.parametrize(
        ("line", "sent"),
        [
            ("$TLS", None),
            ("--netrc $TLS", None),
            ("--netrc=netrc $TLS", "Basic bWU6d29yZA=="),
            pytest.param(
                *("--netrc=default $TLS", "Basic bWU6"),
                marks=pytest.mark.skipif(
                    sys.version_info < (3, 11),
                    reason="the netrc module wanted a password in every entry",
                ),
            ),
            ("--netrc=netrc $TLS Authorization:mine", "mine"),
            ("--netrc=netrc https://you@localhost:$PORT/anything", "Basic eW91Og=="),
        ],
    )
    def test_a_file_has_the_password_for_a_host(
        self, prompt: Shell, line: str, sent: str | None
    ) -> None:
        home = str(prompt.directory / "nowhere")
        assert self.sent(prompt, line, HOME=home) == sent

    def test_the_environment_may_name_the_file(self, prompt: Shell) -> None:
        assert self.sent(prompt, "--netrc $TLS", NETRC="netrc") == "Basic bWU6d29yZA=="

    def test_that_of_another_host_is_not_sent(
        self, prompt: Shell, tmp_path: Path
    ) -> None:
        path = tmp_path / "netrc"
        path.write_text("machine other.test login me password word\n")
        assert self.sent(prompt, f"--netrc={path} $TLS") is None

    @pytest.mark.parametrize(
        ("name", "status", "error"),
        [
            ("nothing", 26, "cannot read 'nothing': No such file"),
            ("broken", 2, "broken: bad"),
        ],
    )
    def test_a_file_that_is_none_is_told(
        self, prompt: Shell, name: str, status: int, error: str
    ) -> None:
        told = prompt.run(located(f"hyper --netrc={name} $TLS", prompt))
        assert told.status == status
        assert error in told.err
