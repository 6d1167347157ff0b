"""httpx2's own tests, with its own transport and with hyper's, side by side.

    $ pip install 'httpx2[brotli,cli,http2,socks,zstd]' chardet cryptography pytest \\
          trio trustme uvicorn werkzeug
    $ python test/downstream/httpx2.py PATH

PATH is a checkout of httpx2, whose tests are in ``tests/httpx2``; nothing of it is part
of hyper. It may be of another version than the httpx2 that is installed: what then
fails does so with both transports, and what is compared is one run with the other.

Each run is a process of its own, in which every client gets its transport from
``HTTPTransport``: with hyper, that name is :class:`hyper.contrib.HyperTransport`. What
differs is listed with the reason where one is known. The exit status is 0 if a reason
is known for all that passes with httpx2's transport alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

#: Where tests use the network. What is left out tests models, multipart, or the
#: transports for ASGI and WSGI.
SUBSET = [
    *("client", "test_api.py", "test_auth.py", "test_config.py"),
    *("test_exceptions.py", "test_main.py", "test_timeouts.py", "test_utils.py"),
]
#: Why tests differ, by their names.
REASONS = {
    **dict.fromkeys(
        ("test_proxies_environ", "test_socks_proxy", "test_transport_for_request"),
        "looks into httpcore's pool for the proxy",
    ),
    "test_httpcore_lazy_loading": "wants httpcore2 to be imported by a request",
    "test_httpcore_exception_mapping": (
        "hyper refuses the port 123456 as a LocalProtocolError, before it connects"
    ),
    **dict.fromkeys(
        ("test_verbose", "test_auth"),
        "httpx -v shows httpcore's request and stream, which events of hyper lack",
    ),
}


class Recorder:
    """A plugin of pytest that notes how each test ended, and why."""

    def __init__(self) -> None:
        self.outcomes: dict[str, tuple[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            crash = getattr(report.longrepr, "reprcrash", None)
            why = str(getattr(crash, "message", "")).partition("\n")[0]
            self.outcomes.setdefault(report.nodeid, (report.outcome, why))


def run_here(transport: str, checkout: Path, results: Path) -> None:
    """Run the tests in this process, and write what came of them."""
    # The first entry is this file's folder, where httpx2 is this file.
    sys.path[0] = str(checkout)
    import httpx2
    import httpx2._client

    if transport == "hyper":
        from hyper.contrib import HyperTransport

        httpx2.HTTPTransport = HyperTransport
        httpx2._client.HTTPTransport = HyperTransport
    recorder = Recorder()
    pytest.main(
        [
            *("-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "-r", "N"),
            *("--rootdir", str(checkout), "-c", str(checkout / "pyproject.toml")),
            *(str(checkout / "tests" / "httpx2" / name) for name in SUBSET),
        ],
        plugins=[recorder],
    )
    results.write_text(json.dumps(recorder.outcomes), "utf-8")


def run(transport: str, checkout: Path) -> dict[str, tuple[str, str]]:
    """Run the tests in a process of their own; return the outcome of each, and why."""
    print(f"== With the transport of {transport}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        results = Path(directory) / "results"
        command = [sys.executable, __file__, str(checkout), transport, str(results)]
        subprocess.run(command, cwd=checkout, check=True)
        outcomes: dict[str, tuple[str, str]] = json.loads(results.read_text("utf-8"))
    return outcomes


def compare(checkout: Path) -> int:
    """Run with both, say what differs; return how much of that has no known reason."""
    stock, ours = run("httpx2", checkout), run("hyper", checkout)
    unknown = 0
    print("== What differs")
    for test in sorted({*stock, *ours}):
        before, after = stock.get(test, ("none", "")), ours.get(test, ("none", ""))
        if before[0] == after[0]:
            continue
        reason = REASONS.get(test.partition("[")[0].rpartition("::")[2])
        print(f"{test}: {before[0]} with httpx2, {after[0]} with hyper")
        print(f"    {after[1] or before[1]}")
        print(f"    reason: {reason or 'not known'}")
        unknown += reason is None and before[0] == "passed"
    for name, outcomes in (("httpx2", stock), ("hyper", ours)):
        counts: dict[str, int] = {}
        for outcome, _ in outcomes.values():
            counts[outcome] = counts.get(outcome, 0) + 1
        print(f"{name}: {counts}")
    return unknown


if __name__ == "__main__":
    match [Path(sys.argv[1]).resolve(), *sys.argv[2:]]:
        case [Path() as checkout]:
            sys.exit(1 if compare(checkout) else 0)
        case [Path() as checkout, str() as transport, str() as results]:
            run_here(transport, checkout, Path(results))
