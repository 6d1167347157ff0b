"""The names of the package, what is loaded for them, and what connections hold.

What is loaded, and what is held in memory, is asked of fresh processes: this one has
loaded everything, and holds the servers.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module

import pytest
from threads import background

import hyper
from hyper import http2bin

SECONDS = 30
#: Packages and modules that cost much to load, and are for few programs.
HEAVY = {
    "OpenSSL", "asyncio", "brotli", "certifi", "concurrent", "email", "hashlib",
    "http.client", "httpx", "ipaddress", "json", "multiprocessing", "pathlib",
    "queue", "requests", "rich", "tempfile", "trustme", "urllib", "zstandard",
    "backports.zstd", "compression.zstd", "hyper.cli", "hyper.contrib",
    "hyper.http2bin", "hyper.pool", "hyper.trace", "h2.connection",
}  # fmt: skip
HTTP2 = {"h2", "hpack", "hyperframe", "hyper.http20"}


def loaded(program: str, *args: str) -> set[str]:
    """Return what a program loads beside what Python itself does."""
    whole = (
        f"import sys\nbefore = set(sys.modules)\n{program}\n"
        f"print(sorted(set(sys.modules) - before))"
    )
    run = subprocess.run(
        [sys.executable, "-c", whole, *args],
        capture_output=True,
        check=True,
        text=True,
        timeout=SECONDS,
    )
    return set(ast.literal_eval(run.stdout))


def those_of(names: set[str], modules: set[str]) -> set[str]:
    """Return which of the names are loaded, as themselves or by what is in them."""
    return {
        name
        for name in names
        if any(f"{module}.".startswith(f"{name}.") for module in modules)
    }


def test_importing_hyper_loads_nothing():
    assert loaded("import hyper") <= {"__future__", "hyper", "hyper.version"}


@pytest.mark.parametrize("name", hyper.__all__)
def test_every_name_is_found_and_listed(name):
    assert hasattr(hyper, name)
    assert name in dir(hyper)


def test_a_name_is_the_same_thing_each_time_and_in_its_module():
    connection = import_module("hyper.connection")
    assert hyper.HTTPConnection is hyper.HTTPConnection is connection.HTTPConnection


def test_modules_are_found_by_way_of_the_package():
    program = (
        "import hyper\n"
        "hyper.common.exceptions.HyperError, hyper.http20.window.Windows, "
        "hyper.transport.dial.Route, hyper.pool.ConnectionPool"
    )
    assert "hyper.pool" in loaded(program)


def test_what_does_not_exist_is_not_found():
    with pytest.raises(AttributeError, match="'hyper' has no attribute 'HTTP30"):
        hyper.HTTP30Connection  # noqa: B018


@pytest.mark.parametrize(
    "name", ["HTTPConnection", "HTTP20Connection", "HTTP11Connection", "HyperError"]
)
def test_a_connection_loads_nothing_that_only_some_programs_need(name):
    assert those_of(HEAVY, loaded(f"from hyper import {name}")) == set()


def test_http1_needs_nothing_of_http2(text_peer):
    program = (
        "from hyper import HTTP11Connection\n"
        "with HTTP11Connection('127.0.0.1', int(sys.argv[1])) as connection:\n"
        "    connection.request('GET', '/')\n"
        "    assert connection.get_response().read() == b'hello'\n"
    )
    modules = background(loaded, program, str(text_peer.port))
    text_peer.accept()
    text_peer.want_head()
    text_peer.respond(b"hello")
    assert those_of(HEAVY | HTTP2 | {"logging"}, modules.result(SECONDS)) == set()


@pytest.mark.parametrize(("requests", "most"), [(1, 20), (300, 36)])
def test_an_idle_connection_is_light(requests, most):
    # In KiB, without what OpenSSL has for it: 23 more, which nobody can change.
    program = """
import gc, sys, tracemalloc
from hyper import HTTP20Connection
from hyper.tls import init_context

port, ca_file, requests = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
context = init_context(ca_file)

def idle():
    conn = HTTP20Connection("localhost", port, secure=True, ssl_context=context)
    for number in range(requests):
        conn.request("GET", f"/response-headers?etag={number}-{id(conn)}")
        conn.get_response().read()
    return conn

before = [idle()]
gc.collect()
tracemalloc.start()
connections = [idle() for _ in range(10)]
gc.collect()
print(tracemalloc.get_traced_memory()[0] / 10 / 1024)
"""
    with http2bin.serve() as server:
        run = subprocess.run(
            [
                *(sys.executable, "-c", program),
                *(str(server.port), server.ca_file, str(requests)),
            ],
            capture_output=True,
            check=True,
            text=True,
            timeout=4 * SECONDS,
        )
    assert float(run.stdout) < most
