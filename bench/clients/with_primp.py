"""primp: reqwest and hyper of Rust. One client is shared by all threads."""

from __future__ import annotations

import primp
from meter import Task, Work, check, in_threads, main, number, repeat


def connect(task: Task) -> primp.Client:
    return primp.Client(
        ca_cert_file=task.ca, http2_only=not task.http1, timeout=60, cookie_store=False
    )


def get(task: Task) -> Work:
    client = connect(task)

    def call() -> None:
        response = client.get(task.url)
        check(response.status_code, len(response.content), task)

    return in_threads(call, task.width) if task.width > 1 else repeat(call)


def distinct(task: Task) -> Work:
    client = connect(task)

    def call(each: int) -> None:
        response = client.get(f"{task.url}{each}")
        check(response.status_code, len(response.content), task)

    return number(call)


def download(task: Task) -> Work:
    client = connect(task)

    def call() -> None:
        with client.get(task.url, stream=True) as response:
            size = sum(len(piece) for piece in response.iter_bytes(256 * 1024))
        check(response.status_code, size, task)

    return repeat(call)


def upload(task: Task) -> Work:
    client = connect(task)
    body = bytes(task.size)

    def call() -> None:
        response = client.post(task.url, content=body)
        check(response.status_code, task.size, task)

    return repeat(call)


WORKS = {"get": get, "distinct": distinct, "download": download, "upload": upload}

if __name__ == "__main__":
    main(WORKS)
