"""What a connection takes that idles, and a stream whose response has not come.

Every work makes one thing; as many are made as the task says, and all of them kept. A
work is "idle NAME" or "waiting hyper". Each connection that idles has had ``width``
responses, each another, and all share one TLS context.
"""

from __future__ import annotations

import gc
import ssl
import time
from collections.abc import Callable
from itertools import count

from meter import Cost, Task, Wrong, check, cpu_seconds, run_task, status_of_process

Maker = Callable[[], object]


def bare(task: Task) -> Maker:
    """Nothing but a TLS socket, and a request in a few bytes."""
    import socket

    context = ssl.create_default_context(cafile=task.ca)

    def make() -> object:
        sock = socket.create_connection(("localhost", task.port))
        tls = context.wrap_socket(sock, server_hostname="localhost")
        for n in range(task.width):
            request = f"GET {task.path}{n} HTTP/1.1\r\nHost: localhost\r\n\r\n"
            tls.sendall(request.encode())
            while not tls.recv(4096).endswith(b"hello\n"):
                pass
        return tls

    return make


def http_client(task: Task) -> Maker:
    from http.client import HTTPSConnection

    context = ssl.create_default_context(cafile=task.ca)

    def make() -> object:
        conn = HTTPSConnection("localhost", task.port, context=context)
        for n in range(task.width):
            conn.request("GET", f"{task.path}{n}")
            response = conn.getresponse()
            check(response.status, len(response.read()), task)
        return conn

    return make


def hyper(task: Task) -> Maker:
    from hyper import HTTP11Connection, HTTP20Connection
    from hyper.tls import init_context

    context = init_context(task.ca)
    kind = HTTP11Connection if task.http1 else HTTP20Connection

    def make() -> object:
        conn = kind("localhost", task.port, True, ssl_context=context)
        for n in range(task.width):
            response = conn.get_response(conn.request("GET", f"{task.path}{n}"))
            check(response.status, len(response.read()), task)
        return conn

    return make


def httpx(task: Task) -> Maker:
    import httpx

    context = ssl.create_default_context(cafile=task.ca)

    def make() -> object:
        client = httpx.Client(http2=True, verify=context)
        for n in range(task.width):
            response = client.get(f"{task.url}{n}")
            check(response.status_code, len(response.content), task)
        return client

    return make


def waiting(task: Task) -> Maker:
    """Make streams, all on one connection."""
    from hyper import HTTP20Connection
    from hyper.tls import init_context

    context = init_context(task.ca)
    conn = HTTP20Connection("localhost", task.port, True, ssl_context=context)
    # So many streams are allowed as the server says; the first /wait is answered.
    conn.get_response(conn.request("GET", "/hello")).read()
    conn.request("GET", task.path)
    opened = count(1)

    def make() -> object:
        stream_id = conn.request("GET", task.path)
        if conn.open_streams < next(opened):
            raise Wrong("a stream does not wait")
        return conn, stream_id

    return make


WORKS = {
    "idle bare": bare,
    "idle http_client": http_client,
    "idle hyper": hyper,
    "idle httpx": httpx,
    "waiting hyper": waiting,
}


def hold(task: Task) -> Cost:
    make = WORKS[task.work](task)
    kept = [make() for _ in range(task.warm_up)]
    gc.collect()
    cpu, wall = cpu_seconds(), time.perf_counter()
    before = status_of_process("VmRSS")
    kept += [make() for _ in range(task.count)]
    gc.collect()
    held = (status_of_process("VmRSS") - before) / task.count
    cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
    peak = status_of_process("VmHWM")
    return Cost(task.count, cpu, wall, peak, held)


if __name__ == "__main__":
    run_task(hold)
