"""niquests, on urllib3-future: the one that has many requests in flight as well."""

from __future__ import annotations

import niquests
from meter import Task, Work, check, in_threads, main, number, repeat


def connect(task: Task, multiplexed: bool = False) -> niquests.Session:
    session = niquests.Session(
        multiplexed=multiplexed, disable_http3=True, pool_connections=1, pool_maxsize=1
    )
    session.verify = task.ca
    # Neither to look for proxies nor for revoked certificates is what is measured.
    session.trust_env = False
    return session


def get(task: Task) -> Work:
    session = connect(task)

    def call() -> None:
        response = session.get(task.url)
        check(response.status_code, len(response.content), task)

    return in_threads(call, task.width) if task.width > 1 else repeat(call)


def distinct(task: Task) -> Work:
    session = connect(task)

    def call(each: int) -> None:
        response = session.get(f"{task.url}{each}")
        check(response.status_code, len(response.content), task)

    return number(call)


def in_flight(task: Task) -> Work:
    session = connect(task, multiplexed=True)

    def work(count: int) -> None:
        for done in range(0, count, task.width):
            responses = [
                session.get(task.url) for _ in range(min(task.width, count - done))
            ]
            session.gather(*responses)
            for response in responses:
                check(response.status_code, len(response.content), task)

    return work


def download(task: Task) -> Work:
    session = connect(task)

    def call() -> None:
        response = session.get(task.url, stream=True)
        size = sum(len(piece) for piece in response.iter_content(256 * 1024))
        check(response.status_code, size, task)

    return repeat(call)


def upload(task: Task) -> Work:
    session = connect(task)
    body = bytes(task.size)

    def call() -> None:
        response = session.post(task.url, data=body)
        check(response.status_code, task.size, task)

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
