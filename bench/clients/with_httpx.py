"""httpx, and httpx2, which is httpx under a new name; by the environment it runs in.

The work "hyper get" is the same with hyper's transport.
"""

from __future__ import annotations

import ssl

from meter import Task, Work, check, in_pieces, in_threads, main, number, repeat

try:
    import httpx2 as httpx
except ModuleNotFoundError:
    import httpx  # type: ignore[no-redef]


def connect(task: Task) -> httpx.Client:
    context = ssl.create_default_context(cafile=task.ca)
    limits = httpx.Limits(max_connections=1)
    return httpx.Client(http2=not task.http1, verify=context, limits=limits, timeout=60)


def connect_hyper(task: Task) -> httpx.Client:
    from hyper.contrib.httpx import HyperTransport

    return httpx.Client(transport=HyperTransport(verify=task.ca), timeout=60)


def getter(client: httpx.Client, task: Task) -> Work:
    def call() -> None:
        response = client.get(task.url)
        check(response.status_code, len(response.content), task)

    return in_threads(call, task.width) if task.width > 1 else repeat(call)


def get(task: Task) -> Work:
    return getter(connect(task), task)


def hyper_get(task: Task) -> Work:
    return getter(connect_hyper(task), task)


def distinct(task: Task) -> Work:
    client = connect(task)

    def call(each: int) -> None:
        response = client.get(f"{task.url}{each}")
        check(response.status_code, len(response.content), task)

    return number(call)


def download(task: Task) -> Work:
    client = connect(task)

    def call() -> None:
        with client.stream("GET", task.url) as response:
            size = sum(len(piece) for piece in response.iter_raw())
        check(response.status_code, size, task)

    return repeat(call)


def upload(task: Task) -> Work:
    client = connect(task)
    headers = {"content-length": str(task.size)}

    def call() -> None:
        response = client.post(task.url, content=in_pieces(task.size), headers=headers)
        check(response.status_code, task.size, task)

    return repeat(call)


WORKS = {
    "get": get,
    "distinct": distinct,
    "download": download,
    "upload": upload,
    "hyper get": hyper_get,
}

if __name__ == "__main__":
    main(WORKS)
