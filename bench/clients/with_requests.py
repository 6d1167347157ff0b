"""requests: HTTP/1.1. The work "hyper get" is the same with hyper's adapter."""

from __future__ import annotations

import requests
from meter import Task, Work, check, main, repeat


def connect(task: Task) -> requests.Session:
    session = requests.Session()
    session.verify = task.ca
    # To look for proxies and .netrc each time is not what is measured.
    session.trust_env = False
    return session


def connect_hyper(task: Task) -> requests.Session:
    from hyper.contrib import HTTP20Adapter

    session = connect(task)
    session.mount("https://", HTTP20Adapter())
    return session


def getter(session: requests.Session, task: Task) -> Work:
    def call() -> None:
        response = session.get(task.url)
        check(response.status_code, len(response.content), task)

    return repeat(call)


def get(task: Task) -> Work:
    return getter(connect(task), task)


def hyper_get(task: Task) -> Work:
    return getter(connect_hyper(task), task)


def download(task: Task) -> Work:
    session = connect(task)

    def call() -> None:
        response = session.get(task.url, stream=True)
        size = sum(len(piece) for piece in response.iter_content(256 * 1024))
        check(response.status_code, size, task)

    return repeat(call)


WORKS = {"get": get, "hyper get": hyper_get, "download": download}

if __name__ == "__main__":
    main(WORKS)
