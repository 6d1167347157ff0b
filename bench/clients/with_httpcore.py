"""httpcore, what httpx stands on, without httpx."""

from __future__ import annotations

import ssl

import httpcore
from meter import Task, Work, check, in_pieces, main, number, repeat


def connect(task: Task) -> httpcore.ConnectionPool:
    context = ssl.create_default_context(cafile=task.ca)
    return httpcore.ConnectionPool(
        ssl_context=context, max_connections=1, http2=not task.http1
    )


def get(task: Task) -> Work:
    pool = connect(task)

    def call() -> None:
        response = pool.request("GET", task.url)
        check(response.status, len(response.content), task)

    return repeat(call)


def distinct(task: Task) -> Work:
    pool = connect(task)

    def call(each: int) -> None:
        response = pool.request("GET", f"{task.url}{each}")
        check(response.status, len(response.content), task)

    return number(call)


def download(task: Task) -> Work:
    pool = connect(task)

    def call() -> None:
        with pool.stream("GET", task.url) as response:
            size = sum(len(piece) for piece in response.iter_stream())
        check(response.status, size, task)

    return repeat(call)


def upload(task: Task) -> Work:
    pool = connect(task)
    headers = {"content-length": str(task.size)}

    def call() -> None:
        response = pool.request(
            "POST", task.url, content=in_pieces(task.size), headers=headers
        )
        check(response.status, task.size, task)

    return repeat(call)


WORKS = {"get": get, "distinct": distinct, "download": download, "upload": upload}

if __name__ == "__main__":
    main(WORKS)
