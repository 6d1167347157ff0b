"""What is measured: the workloads, and who does them. Data, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from environments import OWN
from origin import HELLO, LARGE


@dataclass(frozen=True, slots=True)
class Client:
    """A program in `clients/`, and the environment that it runs in."""

    name: str
    program: str
    environment: str = OWN
    #: So many times less is asked of it, for it takes longer.
    share: int = 1


HYPER = Client("hyper", "hyper")
PYCURL = Client("pycurl", "pycurl", "pycurl")
PRIMP = Client("primp", "primp", "primp")
HTTPX = Client("httpx", "httpx", "httpx", 5)
HTTPX2 = Client("httpx2", "httpx", "httpx2", 5)
HTTPCORE = Client("httpcore", "httpcore", "httpx", 5)
NIQUESTS = Client("niquests", "niquests", "niquests", 5)
REQUESTS = Client("requests", "requests", "requests", 3)
HTTP_CLIENT = Client("http.client", "http_client")
H2LOAD = Client("h2load", "command")
CURL = Client("curl", "command")
HTTPX2_HYPER = Client("httpx2+hyper", "httpx", "httpx2", 3)
REQUESTS_HYPER = Client("requests+hyper", "requests", "requests", 3)


@dataclass(frozen=True, slots=True)
class Workload:
    """One line of the plan: all of its clients do the same.

    ``letter`` is what to ask for it by; several workloads may have the same.
    """

    letter: str
    title: str
    #: "SERVER/PATH", see `origin`.
    place: str
    #: The work that each client is asked for.
    clients: Mapping[Client, str]
    count: int
    warm_up: int
    size: int = len(HELLO)
    width: int = 1
    http1: bool = False
    #: The places of clients that are to ask elsewhere.
    elsewhere: Mapping[Client, str] = field(default_factory=dict)

    @property
    def transfers(self) -> bool:
        """Whether MB/s are what counts, not requests."""
        return self.size == LARGE


def all_do(work: str, *clients: Client) -> dict[Client, str]:
    return dict.fromkeys(clients, work)


def plan(scale: float) -> list[Workload]:
    """Return the workloads, with as many requests as take seconds, times ``scale``."""
    many, some = int(10_000 * scale), int(500 * scale)
    python = (HTTPX2, HTTPX, HTTPCORE, NIQUESTS)
    limit = {H2LOAD: "h2load"}
    small = all_do("get", HYPER, PYCURL, PRIMP, *python) | limit
    distinct = all_do("distinct", HYPER, PYCURL, PRIMP, *python)
    flight = all_do("in flight", HYPER, PYCURL, NIQUESTS) | limit
    threads = all_do("get", HYPER, PRIMP, HTTPX2, NIQUESTS)
    far = all_do("download", HYPER, PYCURL, HTTPX, CURL)
    old = (HYPER, HTTP_CLIENT, PYCURL, REQUESTS, HTTPX)
    transfer = {"count": max(1, int(4 * scale)), "warm_up": 1, "size": LARGE}
    down = all_do("download", HYPER, PYCURL, PRIMP, *python, CURL)
    up = all_do("upload", HYPER, PYCURL, PRIMP, *python, CURL)
    once = {"count": 1, "warm_up": 0, "size": LARGE}
    return [
        Workload("a", "small GETs", "h2/hello", small, many, some),
        Workload("b", "distinct GETs", "h2/distinct/", distinct, many, some),
        Workload("c", "100 in flight", "h2/hello", flight, many * 3, some, width=100),
        *(
            Workload("d", f"{n} threads", "h2/hello", threads, many, some, width=n)
            for n in (4, 16, 64)
        ),
        Workload("e", "download", "h2/large", down, **transfer),
        Workload("f", "upload", "sink/hello", up, **transfer),
        Workload("g", "download at 100 ms", "far/large", far, **once),
        *(
            Workload("h", *words, many, some, http1=True)
            for words in (
                ("HTTP/1.1, TLS", "h1s/hello", all_do("get", *old)),
                ("HTTP/1.1", "h1/hello", all_do("get", *old)),
            )
        ),
        *(
            Workload("h", *words, all_do("download", *old), **transfer, http1=True)
            for words in (
                ("HTTP/1.1 download, TLS", "h1s/large"),
                ("HTTP/1.1 download", "h1/large"),
            )
        ),
        Workload(
            *("i", "requests", "h2/hello"),
            {REQUESTS_HYPER: "hyper get", REQUESTS: "get"},
            *(many // 2, some),
            elsewhere={REQUESTS: "h1s/hello"},
        ),
        Workload(
            *("i", "httpx2", "h2/hello"),
            {HTTPX2_HYPER: "hyper get", HTTPX2: "get"},
            *(many // 2, some),
        ),
    ]
