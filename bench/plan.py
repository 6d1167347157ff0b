"""What is measured: the workloads, and who does them. Data, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

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
REQUESTS = Client("requests", "requests", "requests", 5)
HTTP_CLIENT = Client("http.client", "http_client")
H2LOAD = Client("h2load", "command")
CURL = Client("curl", "command")
HTTPX2_HYPER = replace(HTTPX2, name="httpx2+hyper")
REQUESTS_HYPER = replace(REQUESTS, name="requests+hyper")


class Kind(Enum):
    """What the figures of a workload are about."""

    requests = "requests"
    transfers = "transfers"
    starts = "starts"
    memory = "memory"


@dataclass(frozen=True, slots=True)
class Workload:
    """One line of the plan: all of its clients do the same.

    ``letter`` is what to ask for it by; several workloads may have the same.
    """

    letter: str
    title: str
    #: "SERVER/PATH", see `origin`.
    place: str
    #: The work that each client is asked for. The first is hyper, or has it inside.
    clients: Mapping[Client, str]
    count: int
    warm_up: int
    kind: Kind = Kind.requests
    size: int = len(HELLO)
    width: int = 1
    http1: bool = False
    #: The places of clients that are to ask elsewhere.
    elsewhere: Mapping[Client, str] = field(default_factory=dict)
    #: No more rounds than these, for each takes long.
    rounds: int = 100

    @property
    def ours(self) -> str:
        """The client that the others are compared with."""
        return next(iter(self.clients)).name


def all_do(work: str, *clients: Client) -> dict[Client, str]:
    return dict.fromkeys(clients, work)


def plan(scale: float) -> list[Workload]:
    """Return the workloads, with as many requests as take seconds, times ``scale``."""
    return [
        *requests(int(10_000 * scale), int(500 * scale)),
        *transfers(max(1, int(4 * scale))),
        *starts(max(3, int(20 * scale))),
        # Of fewer, what is made once for all would count.
        *memory(200, 1000, int(50 * scale)),
        *growth(int(10_000 * scale), scale),
    ]


def requests(count: int, warm_up: int) -> list[Workload]:
    numbers = count, warm_up
    python = (HTTPX2, HTTPX, HTTPCORE, NIQUESTS)
    small = all_do("get", HYPER, PYCURL, PRIMP, *python)
    distinct = all_do("distinct", HYPER, PYCURL, PRIMP, *python)
    flight = all_do("in flight", HYPER, PYCURL, NIQUESTS)
    threads = all_do("get", HYPER, PRIMP, HTTPX2, NIQUESTS)
    http1 = all_do("get", HYPER, HTTP_CLIENT, PYCURL, REQUESTS, HTTPX)
    limit = {H2LOAD: "h2load"}
    return [
        Workload("a", "small GETs", "h2/hello", small | limit, *numbers),
        Workload("b", "distinct GETs", "h2/distinct/", distinct, *numbers),
        in_flight("c", flight | limit, *numbers, 100),
        *(
            Workload("d", f"{n} threads", "h2/hello", threads, *numbers, width=n)
            for n in (4, 16, 64)
        ),
        Workload("h", "HTTP/1.1, TLS", "h1s/hello", http1, *numbers, http1=True),
        Workload("h", "HTTP/1.1", "h1/hello", http1, *numbers, http1=True),
        Workload(
            *("i", "requests", "h2/hello"),
            {REQUESTS_HYPER: "hyper get", REQUESTS: "get"},
            *numbers,
            elsewhere={REQUESTS: "h1s/hello"},
        ),
        Workload(
            *("i", "httpx2", "h2/hello"),
            {HTTPX2_HYPER: "hyper get", HTTPX2: "get"},
            *numbers,
        ),
    ]


def in_flight(
    letter: str, clients: Mapping[Client, str], count: int, warm_up: int, width: int
) -> Workload:
    title = f"{width:,} in flight"
    return Workload(letter, title, "h2/hello", clients, count, warm_up, width=width)


def transfers(count: int) -> list[Workload]:
    python = (HTTPX2, HTTPX, HTTPCORE, NIQUESTS)
    down = all_do("download", HYPER, PYCURL, PRIMP, *python, CURL)
    up = all_do("upload", HYPER, PYCURL, PRIMP, *python, CURL)
    far_down = all_do("download", HYPER, PYCURL, HTTPX, CURL)
    far_up = all_do("upload", HYPER, PYCURL, HTTPX, CURL)
    http1 = all_do("download", HYPER, HTTP_CLIENT, PYCURL, REQUESTS, HTTPX, CURL)
    return [
        Workload(
            *(letter, title, place, clients, times, warm_up, Kind.transfers, LARGE),
            http1=place.startswith("h1"),
        )
        for letter, title, place, clients, times, warm_up in (
            ("e", "download", "h2/large", down, count, 1),
            ("f", "upload", "sink/hello", up, count, 1),
            # The connection is made within the time, and its windows are to grow.
            ("g", "download at 100 ms", "far/large", far_down, 1, 0),
            ("g", "upload at 100 ms", "far-sink/hello", far_up, 1, 0),
            ("h", "HTTP/1.1 download, TLS", "h1s/large", http1, count, 1),
            ("h", "HTTP/1.1 download", "h1/large", http1, count, 1),
        )
    ]


def starts(count: int) -> list[Workload]:
    """Return the time that it takes to import a library, and to get a first response.

    The programs are those of the clients; here they are started over and over.
    """
    libraries = (HYPER, HTTP_CLIENT, PYCURL, PRIMP, HTTPX2, HTTPX, NIQUESTS, REQUESTS)
    again = {each: replace(each, program="start", share=1) for each in libraries}
    imports = {again[each]: f"import {each.name}" for each in libraries}
    # A package may load the most of itself later.
    imports[Client("HTTP20Connection", "start")] = "from hyper import HTTP20Connection"
    imports[Client("nothing", "start")] = "nothing"
    firsts = {again[each]: f"first {each.program}" for each in libraries}
    old = dict.fromkeys((again[HTTP_CLIENT], again[REQUESTS]), "h1s/hello")
    return [
        Workload("j", "import", "h2/", imports, count, 1, Kind.starts),
        Workload(
            *("j", "first response", "h2/hello", firsts, count, 1, Kind.starts),
            elsewhere=old,
        ),
    ]


def memory(idle: int, waiting: int, different: int) -> list[Workload]:
    libraries = (HYPER, HTTP_CLIENT, HTTPX)
    held = {each: replace(each, program="memory", share=1) for each in libraries}
    idles = {held[each]: f"idle {each.program}" for each in libraries}
    bare = Client("bare TLS", "memory")
    old = dict.fromkeys((held[HTTP_CLIENT], bare), "h1s/distinct/")
    return [
        *(
            Workload(
                *("k", title, "h2/distinct/", idles | {bare: "idle bare"}),
                *(idle, 20, Kind.memory),
                width=width,
                elsewhere=old,
            )
            for title, width in (
                ("idle connection", 1),
                (f"after {different} responses", different),
            )
        ),
        Workload(
            *("k", "waiting stream", "h2/wait", {held[HYPER]: "waiting hyper"}),
            *(waiting, 50, Kind.memory),
        ),
    ]


def growth(count: int, scale: float) -> list[Workload]:
    """Return what is to cost the same: with more at a time, and after more of them."""
    hyper = all_do("in flight", HYPER)
    some = in_flight("l", hyper, count, 1000, 100)
    points = (1000, 10_000, 100_000, 1_000_000) if scale >= 1 else (1000, 10_000)
    return [
        *(
            replace(some, title=f"{width:,} at a time", width=width)
            for width in (1, 10, 100, 1000)
        ),
        *(
            replace(some, title=f"after {before:,}", warm_up=before, rounds=3)
            for before in points
        ),
    ]
