"""hyper, as its documentation tells a user who wants speed to use it."""

from __future__ import annotations

from contextlib import nullcontext

from meter import Task, Work, check, in_threads, main, number, repeat

from hyper import HTTP11Connection, HTTP20Connection
from hyper.tls import init_context

Connection = HTTP20Connection | HTTP11Connection


def connect(task: Task) -> Connection:
    kind = HTTP11Connection if task.http1 else HTTP20Connection
    context = init_context(task.ca) if task.secure else None
    return kind("localhost", task.port, task.secure, ssl_context=context)


def get(task: Task) -> Work:
    conn = connect(task)
    path = task.path

    def call() -> None:
        response = conn.get_response(conn.request("GET", path))
        check(response.status, len(response.read()), task)

    return in_threads(call, task.width) if task.width > 1 else repeat(call)


def distinct(task: Task) -> Work:
    conn = connect(task)

    def call(each: int) -> None:
        response = conn.get_response(conn.request("GET", f"{task.path}{each}"))
        check(response.status, len(response.read()), task)

    return number(call)


def in_flight(task: Task) -> Work:
    conn = connect(task)
    batch = getattr(conn, "batch", nullcontext)

    def work(count: int) -> None:
        for done in range(0, count, task.width):
            with batch():
                ids = [
                    conn.request("GET", task.path)
                    for _ in range(min(task.width, count - done))
                ]
            for stream_id in ids:
                response = conn.get_response(stream_id)
                check(response.status, len(response.read()), task)

    return work


def download(task: Task) -> Work:
    conn = connect(task)

    def call() -> None:
        response = conn.get_response(conn.request("GET", task.path))
        size = 0
        while piece := response.read1():
            size += len(piece)
        check(response.status, size, task)

    return repeat(call)


def upload(task: Task) -> Work:
    conn = connect(task)
    body = bytes(task.size)

    def call() -> None:
        response = conn.get_response(conn.request("POST", task.path, body))
        response.read()
        check(response.status, task.size, task)

    return repeat(call)


WORKS = {
    "get": get,
    "distinct": distinct,
    "in flight": in_flight,
    "download": download,
    "upload": upload,
}

if __name__ == "__main__":
    main(WORKS)
