"""pycurl: one handle that is used again; many of them for many in flight."""

from __future__ import annotations

import pycurl
from meter import Task, Work, check, main, number, repeat


def handle(task: Task) -> pycurl.Curl:
    curl = pycurl.Curl()
    version = pycurl.CURL_HTTP_VERSION_1_1
    if not task.http1:
        version = pycurl.CURL_HTTP_VERSION_2TLS
    curl.setopt(pycurl.HTTP_VERSION, version)
    curl.setopt(pycurl.CAINFO, task.ca)
    curl.setopt(pycurl.URL, task.url)
    # As much at once as the curl command takes, or what is faster.
    curl.setopt(pycurl.BUFFERSIZE, 256 * 1024)
    return curl


def get(task: Task) -> Work:
    curl = handle(task)
    pieces: list[bytes] = []
    curl.setopt(pycurl.WRITEFUNCTION, pieces.append)

    def call() -> None:
        curl.perform()
        check(curl.getinfo(pycurl.RESPONSE_CODE), len(b"".join(pieces)), task)
        pieces.clear()

    return repeat(call)


def distinct(task: Task) -> Work:
    curl = handle(task)
    pieces: list[bytes] = []
    curl.setopt(pycurl.WRITEFUNCTION, pieces.append)

    def call(each: int) -> None:
        curl.setopt(pycurl.URL, f"{task.url}{each}")
        curl.perform()
        check(curl.getinfo(pycurl.RESPONSE_CODE), len(b"".join(pieces)), task)
        pieces.clear()

    return number(call)


def in_flight(task: Task) -> Work:
    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
    multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, 1)
    multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, task.width)
    bodies: dict[pycurl.Curl, list[bytes]] = {}
    for _ in range(task.width):
        curl = handle(task)
        curl.setopt(pycurl.PIPEWAIT, 1)
        bodies[curl] = []
        curl.setopt(pycurl.WRITEFUNCTION, bodies[curl].append)

    def work(count: int) -> None:
        left = count
        for curl in list(bodies)[:count]:
            multi.add_handle(curl)
            left -= 1
        running = True
        while running:
            _, running = multi.perform()
            _, done, failed = multi.info_read()
            if failed:
                raise pycurl.error(*failed[0][1:])
            for curl in done:
                pieces = bodies[curl]
                status = curl.getinfo(pycurl.RESPONSE_CODE)
                check(status, len(b"".join(pieces)), task)
                pieces.clear()
                multi.remove_handle(curl)
                if left:
                    multi.add_handle(curl)
                    left -= 1
                    running = True
            if running and not done:
                multi.select(1.0)

    return work


def download(task: Task) -> Work:
    curl = handle(task)
    sizes: list[int] = []
    curl.setopt(pycurl.WRITEFUNCTION, lambda piece: sizes.append(len(piece)))

    def call() -> None:
        curl.perform()
        check(curl.getinfo(pycurl.RESPONSE_CODE), sum(sizes), task)
        sizes.clear()

    return repeat(call)


def upload(task: Task) -> Work:
    curl = handle(task)
    body = memoryview(bytes(task.size))
    curl.setopt(pycurl.POST, 1)
    curl.setopt(pycurl.POSTFIELDSIZE_LARGE, task.size)
    curl.setopt(pycurl.UPLOAD_BUFFERSIZE, 256 * 1024)
    curl.setopt(pycurl.HTTPHEADER, ["Expect:"])
    curl.setopt(pycurl.WRITEFUNCTION, len)

    def call() -> None:
        given = 0

        def read(size: int) -> bytes:
            nonlocal given
            piece = bytes(body[given : given + size])
            given += len(piece)
            return piece

        curl.setopt(pycurl.READFUNCTION, read)
        curl.perform()
        check(curl.getinfo(pycurl.RESPONSE_CODE), given, task)

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
