"""requests' own tests, with hyper's adapter in the place of requests' own.

    python test/downstream/requests_suite.py CHECKOUT

CHECKOUT is a clone of psf/requests or its unpacked sdist, from outside this repository.
The interpreter has to have hyper, requests and what requests' tests need:

    pip install -r requirements-dev.txt hypercorn trustme

The tests run four times. First as they are, with either adapter: there the server is
pytest-httpbin, which speaks HTTP/1.1. Then those that ask a httpbin, with either
adapter, of one behind hypercorn with TLS; there hyper's adapter has to speak HTTP/2, or
the test fails. What one adapter passes and the other does not has to be in
:data:`DIFFERENCES`, with the reason.

This file is the pytest plugin of those runs, too.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

POOLS = "looks into urllib3's pools; the connections are apart here too"
#: The tests that only requests' own adapter passes, and why.
DIFFERENCES = {
    "test_chunked_encoding_error": (
        "a head that is cut short is no response: ConnectionError"
    ),
    "test_conflicting_content_lengths": (
        "nor is one with two lengths: ConnectionError, as nothing in it is believed"
    ),
    "test_different_connection_pool_for_tls_settings_verify_True": POOLS,
    "test_different_connection_pool_for_tls_settings_verify_bundle_expired_cert": POOLS,
    "test_different_connection_pool_for_tls_settings_verify_bundle_unexpired_cert": (
        POOLS
    ),
}
#: How many more tests requests' own adapter may pass.
TOLERATED = 10
#: What a name has for an address where there is no DNS: nobody is there (RFC 5737).
NOBODY = "192.0.2.1"
#: How long hypercorn may take to start, in seconds.
PATIENCE = 20.0

PLUGIN = Path(__file__).stem
ADAPTER = "HYPER_DOWNSTREAM_ADAPTER"
HTTPBIN = "HYPER_DOWNSTREAM_HTTPBIN"


# The plugin.


def pytest_configure(config: pytest.Config) -> None:
    import requests.adapters
    import requests.sessions

    lend_an_address("httpbin.org")
    if HTTPBIN in os.environ:
        # As if it were an authority that everybody knows. hyper looks there, too.
        requests.adapters.DEFAULT_CA_BUNDLE_PATH = os.environ["SSL_CERT_FILE"]
    if os.environ[ADAPTER] == "stock":
        return

    from hyper.contrib import HTTP20Adapter

    requests.adapters.HTTPAdapter = requests.sessions.HTTPAdapter = HTTP20Adapter
    if HTTPBIN not in os.environ:
        return
    send = HTTP20Adapter.send

    def send_checked(self, request, *args, **options):
        """Fail where it was not HTTP/2 that was spoken with httpbin."""
        response = send(self, request, *args, **options)
        if request.url.startswith(os.environ[HTTPBIN]):
            assert response.raw.version == 20
            over_http2.update([request.method])
        return response

    HTTP20Adapter.send = send_checked


over_http2: Counter[str] = Counter()


def pytest_terminal_summary(terminalreporter) -> None:
    if over_http2:
        terminalreporter.write_line(
            f"{over_http2.total()} responses over HTTP/2: {dict(over_http2)}"
        )


def lend_an_address(name: str) -> None:
    """Have a name resolved where there is no DNS.

    Tests send it to SOCKS proxies, to which hyper speaks when it has the address.
    """
    try:
        socket.getaddrinfo(name, 80)
    except OSError:
        resolve = socket.getaddrinfo

        def lend(host, *args, **options):
            return resolve(NOBODY if host == name else host, *args, **options)

        socket.getaddrinfo = lend


if HTTPBIN in os.environ:

    @pytest.fixture(scope="session")
    def httpbin():
        return SimpleNamespace(url=os.environ[HTTPBIN])

    httpbin_secure = httpbin

    @pytest.fixture
    def httpbin_ca_bundle():
        """Nothing is to be done: it is trusted already."""


# The command.


def main(checkout: Path) -> int:
    print("== with pytest-httpbin, over HTTP/1.1 ==")
    same = compare(run(checkout, "stock"), run(checkout, "hyper"))
    print("== with httpbin behind hypercorn, over HTTP/2 ==")
    with tempfile.TemporaryDirectory() as directory:
        with hypercorn(Path(directory)) as there:
            same &= compare(
                run(checkout, "stock", there), run(checkout, "hyper", there)
            )
    return 0 if same else 1


def run(
    checkout: Path, adapter: str, httpbin: dict[str, str] | None = None
) -> dict[tuple[str, str], str]:
    """Run the tests; return the outcome of each, by its place and name."""
    environment = {**os.environ, **(httpbin or {}), ADAPTER: adapter}
    environment["PYTHONPATH"] = str(Path(__file__).parent)
    which = [] if httpbin is None else ["-p", "no:httpbin", "tests/test_requests.py"]
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", PLUGIN),
                *("-p", "no:cacheprovider", f"--junitxml={report.name}", *which),
            ],
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode > 1:
            raise SystemExit(done.stdout + done.stderr)
        lines = done.stdout.splitlines()
        print(f"{adapter}: {lines[-1]}")
        for line in lines:
            if "over HTTP/2" in line:
                print(f"  {line}")
        cases = ElementTree.parse(report.name).iter("testcase")
        return {
            (case.get("classname"), case.get("name")): (
                "passed" if len(case) == 0 else case[0].tag
            )
            for case in cases
        }


def compare(
    stock: dict[tuple[str, str], str], hyper: dict[tuple[str, str], str]
) -> bool:
    """Show what only requests' own adapter passes; return whether that is known."""
    lost = [
        name
        for (place, name), outcome in stock.items()
        if outcome == "passed" and hyper.get((place, name)) != "passed"
    ]
    for name in lost:
        print(f"  not passed: {name}: {DIFFERENCES.get(name, 'NOT EXPLAINED')}")
    print(f"{len(lost)} fewer than with requests' own adapter")
    return len(lost) <= TOLERATED and DIFFERENCES.keys() >= set(lost)


@contextmanager
def hypercorn(directory: Path) -> Iterator[dict[str, str]]:
    """Run httpbin behind hypercorn; yield the environment that leads there."""
    import trustme

    ca = trustme.CA()
    ca_file, server_file = directory / "ca.pem", directory / "server.pem"
    ca.cert_pem.write_to_path(str(ca_file))
    ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        str(server_file)
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "hypercorn", "--workers", "0"),
                *("--certfile", server_file, "--keyfile", server_file),
                *("--bind", f"fd://{listener.fileno()}", f"wsgi:{PLUGIN}:app"),
            ],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
            pass_fds=[listener.fileno()],
            stderr=subprocess.DEVNULL,
        )
    try:
        wait_for_tls(port, ca_file)
        yield {
            HTTPBIN: f"https://localhost:{port}/",
            "SSL_CERT_FILE": str(ca_file),
            "REQUESTS_CA_BUNDLE": "",
            "CURL_CA_BUNDLE": "",
        }
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def app(environ, start_response):
    """Be httpbin. Hypercorn sends no head before there is a first piece."""
    import httpbin

    pieces = httpbin.app(environ, start_response)
    try:
        yield b""
        yield from pieces
    finally:
        pieces.close()


def wait_for_tls(port: int, ca_file: Path) -> None:
    """Return when a server speaks TLS on a port."""
    # Not at the top: requests' tests are not to find the modules of ours.
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from threads import wait_for

    context = ssl.create_default_context(cafile=ca_file)

    def speaks() -> bool:
        try:
            with socket.create_connection(("localhost", port), PATIENCE) as sock:
                context.wrap_socket(sock, server_hostname="localhost").close()
        except OSError:
            return False
        return True

    wait_for(speaks, PATIENCE)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(f"usage: {sys.argv[0]} CHECKOUT")
    raise SystemExit(main(Path(sys.argv[1])))
