"""Many URLs, of any number of servers, fetched by many threads.

    python docs/examples/crawl.py 32 < urls.txt

fetches the URLs in the input with 32 threads, shows how far it has got, and lists what
failed. There is one connection to each server that speaks HTTP/2.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from hyper import ConnectionPool, HyperError


@dataclass(frozen=True)
class Page:
    url: str
    #: None: it did not come.
    status: int | None
    content: bytes = b""
    error: str = ""


def crawl(
    pool: ConnectionPool, urls: Iterable[str], threads: int = 32
) -> Iterator[Page]:
    """Fetch pages, and yield them in the order in which they come."""

    def fetch(url: str) -> Page:
        try:
            with pool.request("GET", url) as response:
                return Page(url, response.status, response.read())
        except HyperError as error:
            return Page(url, None, error=str(error))

    with ThreadPoolExecutor(threads) as executor:
        for fetched in as_completed([executor.submit(fetch, url) for url in urls]):
            yield fetched.result()


def main(threads: str = "32") -> None:
    urls = sys.stdin.read().split()
    started = time.monotonic()
    good = size = 0
    with ConnectionPool(timeout=30) as pool:
        for count, page in enumerate(crawl(pool, urls, int(threads)), 1):
            if page.status == 200:
                good += 1
                size += len(page.content)
            else:
                print(f"{page.url}: {page.status or page.error}")
            if count % 100 == 0 or count == len(urls):
                seconds = time.monotonic() - started
                print(f"{count} of {len(urls)} in {seconds:.1f} seconds", flush=True)
    print(f"{good} pages, {size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
