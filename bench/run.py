"""Measure hyper against its peers: `make bench`.

One nginx on loopback, TLS 1.3. Every client runs every workload in a process of its
own; the rounds of all clients are interleaved, so that a machine that gets slower does
so for all of them. The figures are medians over the rounds, and what counts are the
ratios: they are all that survives a change of machine.

This is the beginning of the benchmark: more workloads and peers come with the work on
speed.
"""

from __future__ import annotations

import argparse
import json
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from machine import describe

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "test"))

#: (workload, what one unit of it is)
WORKLOADS = {
    "one at a time": "request",
    "100 in flight": "request",
    "16 threads": "request",
    "10 MiB download": "download",
    "HTTP/1.1 one at a time": "request",
    "HTTP/1.1 10 MiB": "download",
}

Work = Callable[[int], None]


def hyper_client(port: int, ca: str) -> dict[str, Work]:
    from hyper import HTTP11Connection, HTTP20Connection
    from hyper.tls import init_context

    context = init_context(ca)
    conn = HTTP20Connection("localhost", port, True, ssl_context=context)
    http11 = HTTP11Connection("localhost", port, True, ssl_context=context)

    def get(path: str = "/hello") -> None:
        conn.get_response(conn.request("GET", path)).read()

    def get_http11(path: str = "/hello") -> None:
        http11.get_response(http11.request("GET", path)).read()

    def in_flight(count: int) -> None:
        for _ in range(count // 100):
            for stream_id in [conn.request("GET", "/hello") for _ in range(100)]:
                conn.get_response(stream_id).read()

    return {
        "one at a time": lambda count: repeat(get, count),
        "100 in flight": in_flight,
        "16 threads": lambda count: in_threads(get, count),
        "10 MiB download": lambda count: repeat(lambda: get("/10mb"), count),
        "HTTP/1.1 one at a time": lambda count: repeat(get_http11, count),
        "HTTP/1.1 10 MiB": lambda count: repeat(lambda: get_http11("/10mb"), count),
    }


def http_client(port: int, ca: str) -> dict[str, Work]:
    import http.client

    context = ssl.create_default_context(cafile=ca)
    conn = http.client.HTTPSConnection("localhost", port, context=context)

    def get(path: str = "/hello") -> None:
        conn.request("GET", path)
        conn.getresponse().read()

    return {
        "HTTP/1.1 one at a time": lambda count: repeat(get, count),
        "HTTP/1.1 10 MiB": lambda count: repeat(lambda: get("/10mb"), count),
    }


def httpx_client(port: int, ca: str) -> dict[str, Work]:
    import httpx

    context = ssl.create_default_context(cafile=ca)
    client = httpx.Client(http2=True, verify=context)
    url = f"https://localhost:{port}"

    def get(path: str = "/hello") -> None:
        client.get(url + path)

    return {
        "one at a time": lambda count: repeat(get, count),
        "10 MiB download": lambda count: repeat(lambda: get("/10mb"), count),
    }


CLIENTS = {
    "hyper": hyper_client,
    "httpx[http2]": httpx_client,
    "http.client": http_client,
}


def repeat(call: Callable[[], None], count: int) -> None:
    for _ in range(count):
        call()


def in_threads(call: Callable[[], None], count: int, threads: int = 16) -> None:
    running = [
        threading.Thread(target=repeat, args=(call, count // threads))
        for _ in range(threads)
    ]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def measure(client: str, workload: str, count: int, port: int, ca: str) -> None:
    """In a process of its own: run the workload, print CPU and wall seconds."""
    work = CLIENTS[client](port, ca)[workload]
    work(count // 10 or 1)  # connect, import, warm up
    used = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    work(count)
    wall = time.perf_counter() - started
    now = resource.getrusage(resource.RUSAGE_SELF)
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    print(json.dumps([cpu / count, wall / count]))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure hyper against its peers.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--downloads", type=int, default=10)
    parser.add_argument("--measure", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        client, workload, count, port, ca = options.measure
        measure(client, workload, int(count), int(port), ca)
        return

    from servers import make_authority, start

    results: dict[tuple[str, str], list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as directory:
        tmp_path = Path(directory)
        ca = make_authority(tmp_path)
        # Not every peer survives nginx's goodbye after 1,000 requests.
        with start(
            "nginx", tmp_path=tmp_path, ca=ca, keepalive_requests=10_000_000
        ) as server:
            for _ in range(options.rounds):
                for workload, unit in WORKLOADS.items():
                    many = unit == "request"
                    count = options.requests if many else options.downloads
                    for client in CLIENTS:
                        if workload not in workloads_of(client):
                            continue
                        told = subprocess.run(
                            [sys.executable, __file__, "--measure", client, workload]
                            + [str(count), str(server.tls_port), str(server.ca_file)],
                            check=True,
                            capture_output=True,
                            text=True,
                        ).stdout
                        results.setdefault((workload, client), []).append(
                            json.loads(told)
                        )
    report(results, options.rounds)


def workloads_of(client: str) -> set[str]:
    """Return what a client can do: only hyper may be shared, or has many in flight."""
    if client == "hyper":
        return set(WORKLOADS)
    http11 = {workload for workload in WORKLOADS if workload.startswith("HTTP/1.1")}
    if client == "http.client":
        return http11
    return {"one at a time", "10 MiB download"}


def report(results: dict[tuple[str, str], list[list[float]]], rounds: int) -> None:
    print(
        f"{describe('httpx ' + version('httpx'))}; "
        f"medians of {rounds} rounds; ratio: CPU of hyper / CPU of the client\n"
    )
    row = "{:22} {:13} {:>10} {:>11} {:>7}"
    print(row.format("workload", "client", "CPU us", "per second", "ratio"))
    for workload in WORKLOADS:
        ours = median(results[workload, "hyper"], 0)
        for client in CLIENTS:
            if (workload, client) in results:
                runs = results[workload, client]
                cpu, wall = median(runs, 0), median(runs, 1)
                figures = f"{cpu * 1e6:.0f}", f"{1 / wall:.1f}", f"{ours / cpu:.2f}"
                print(row.format(workload, client, *figures))


def median(runs: list[list[float]], column: int) -> float:
    return statistics.median(run[column] for run in runs)


if __name__ == "__main__":
    main()
