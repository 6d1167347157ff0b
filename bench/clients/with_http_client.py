"""http.client, of the standard library: HTTP/1.1."""

from __future__ import annotations

import ssl
from http.client import HTTPConnection, HTTPSConnection

from meter import Task, Work, check, main, number, repeat


def connect(task: Task) -> HTTPConnection:
    if not task.secure:
        return HTTPConnection("localhost", task.port)
    context = ssl.create_default_context(cafile=task.ca)
    return HTTPSConnection("localhost", task.port, context=context)


def get(task: Task) -> Work:
    conn = connect(task)

    def call() -> None:
        conn.request("GET", task.path)
        response = conn.getresponse()
        check(response.status, len(response.read()), task)

    return repeat(call)


def distinct(task: Task) -> Work:
    conn = connect(task)

    def call(each: int) -> None:
        conn.request("GET", f"{task.path}{each}")
        response = conn.getresponse()
        check(response.status, len(response.read()), task)

    return number(call)


def download(task: Task) -> Work:
    conn = connect(task)
    buffer = memoryview(bytearray(256 * 1024))

    def call() -> None:
        conn.request("GET", task.path)
        response = conn.getresponse()
        size = 0
        while read := response.readinto(buffer):
            size += read
        check(response.status, size, task)

    return repeat(call)


WORKS = {"get": get, "distinct": distinct, "download": download}

if __name__ == "__main__":
    main(WORKS)
