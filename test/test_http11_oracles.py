"""The table of HTTP/1.1 responses in ``shapes.py``, read by hyper and by two others.

hyper is given every shape whole, byte by byte, in two pieces that meet at every point,
and with a planted response behind it: the verdict has to be that of the table each
time. h11 and http.client read the same bytes, and whatever they make of them that hyper
does not is in the table with its reason.
"""

from __future__ import annotations

import http.client
import io
import itertools
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapes import POISON, SHAPES, Shape
from threads import PATIENCE

from hyper.common.exceptions import HyperError
from hyper.common.request import Request
from hyper.common.stream import Fields, Interim
from hyper.http11.protocol import H11Protocol

DOCS = Path(__file__).parent.parent / "docs"
RFC_SECTION = re.compile(r"\b91(10|12) [1-9]")
#: Data up to this size is cut at every point.
CUT_EVERYWHERE = 2500


@dataclass
class Reading:
    """What a client made of the bytes."""

    status: int | None = None
    fields: Fields = field(default_factory=list)
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    interim: list[Interim] = field(default_factory=list)
    #: What came after the connection had become another protocol's; None: it has not.
    tunnel: bytes | None = None
    failed: bool = False
    #: The connection may carry another exchange.
    again: bool = False


@dataclass
class Verdict(Reading):
    """The same with what only hyper is asked for."""

    reason: bytes = b""
    error: type[HyperError] | None = None
    ended: bool = False


def read(
    shape: Shape, pieces: Iterable[bytes], protocol: H11Protocol | None = None
) -> Verdict:
    """Give the pieces to hyper; see that it does not contradict itself."""
    protocol = protocol or H11Protocol()
    request = Request(
        shape.method, b"http", b"example.com", b"/", shape.asking, shape.upload
    )
    stream = protocol.open(request, not shape.upload)
    assert protocol.data_to_send()
    for piece in pieces:
        protocol.receive_data(piece)
    if shape.eof:
        protocol.receive_eof(True)
    body, tunnel = b"".join(stream.chunks), None
    assert stream.buffered == len(body)
    assert b"" not in stream.chunks
    if stream.connected:
        body, tunnel = b"", body
    elif stream.status == 101:
        assert protocol.switched is not shape.eof
        tunnel = protocol.take_leftover()
    again = protocol.accepting
    assert protocol.finished is not (again or (tunnel is not None and not shape.eof))
    assert protocol.failure is stream.error
    if again and shape.upload:
        assert protocol.free_places == 0
        protocol.send_data(stream, bytes(shape.upload), True)
    assert protocol.free_places == int(again)
    return Verdict(
        stream.status, stream.headers, body, stream.trailers, stream.informational,
        tunnel, stream.error is not None, again, stream.reason,
        type(stream.error) if stream.error else None, stream.ended,
    )  # fmt: skip


def check(shape: Shape, got: Verdict) -> None:
    # A tunnel ends with the connection, and not with the response.
    goes_on = shape.method == b"CONNECT" and shape.tunnel is not None and not shape.eof
    assert got == Verdict(
        shape.status,
        got.fields if shape.fields is None else shape.fields,
        shape.body,
        shape.trailers,
        shape.interim,
        shape.tunnel,
        shape.error is not None,
        shape.again,
        got.reason if shape.reason is None else shape.reason,
        shape.error,
        shape.error is None and not goes_on,
    )


def bytewise(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


def cuts(data: bytes) -> Iterable[int]:
    """Return the points to cut at: all, or those around the ends of what is long.

    What is long is so because one byte is repeated: its middle is all alike.
    """
    size = len(data)
    if size <= CUT_EVERYWHERE:
        return range(1, size)
    return {*range(1, 300), *range(300, size, size // 50), *range(size - 300, size)}


def marked(shapes: Iterable[Shape]) -> list[object]:
    return [
        pytest.param(shape, id=shape.name, marks=[pytest.mark.scenario(*shape.rows)])
        for shape in shapes
    ]


@pytest.mark.parametrize("shape", marked(one for one in SHAPES if one.again))
def test_a_response_is_the_same_when_it_comes_again(shape: Shape) -> None:
    protocol = H11Protocol()
    for _ in range(3):
        check(shape, read(shape, [shape.data], protocol))


@pytest.mark.parametrize("shape", marked(SHAPES))
def test_a_response_is_the_same_however_it_arrives(shape: Shape) -> None:
    data = shape.data
    whole = read(shape, [data])
    check(shape, whole)
    assert read(shape, bytewise(data)) == whole
    for cut in cuts(data):
        assert read(shape, (data[:cut], data[cut:])) == whole, cut


@settings(deadline=None)
@given(
    shape=st.sampled_from([shape for shape in SHAPES if len(shape.data) < 500]),
    cuts=st.lists(st.integers(0, 400), max_size=9),
)
def test_any_split_of_the_wire_gives_the_same_stream(
    shape: Shape, cuts: list[int]
) -> None:
    size = len(shape.data)
    edges = sorted({0, size, *(cut % (size + 1) for cut in cuts)})
    check(shape, read(shape, [shape.data[a:b] for a, b in itertools.pairwise(edges)]))


@pytest.mark.scenario(185)
@pytest.mark.parametrize(
    "shape",
    marked(shape for shape in SHAPES if not shape.eof and shape.tunnel is None),
)
def test_bytes_after_a_response_end_the_connection_and_leave_the_response_good(
    shape: Shape,
) -> None:
    check(replace(shape, again=False), read(shape, [shape.data + POISON]))


# The oracles.


def h11_events(connection: h11.Connection) -> Iterator[h11.Event]:
    while isinstance(event := connection.next_event(), h11.Event):
        yield event
        if isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
            return


def h11_reads(shape: Shape) -> Reading:
    connection = h11.Connection(h11.CLIENT)
    target = "example.com:80" if shape.method == b"CONNECT" else "/"
    headers = [(b"Host", b"example.com"), *shape.asking]
    if shape.upload:
        headers.append((b"Content-Length", b"%d" % shape.upload))
    connection.send(h11.Request(method=shape.method, target=target, headers=headers))
    if not shape.upload:
        connection.send(h11.EndOfMessage())
    reading = Reading()
    try:
        connection.receive_data(shape.data)
        take_events(connection, reading)
        if shape.eof:
            connection.receive_data(b"")
            take_events(connection, reading)
    except h11.RemoteProtocolError:
        reading.failed = True
    if connection.their_state is h11.SWITCHED_PROTOCOL:
        reading.tunnel = connection.trailing_data[0]
    reading.again = connection.their_state is h11.DONE and not shape.eof
    if not shape.upload:
        # It wants to close after a request that said so.
        reading.again &= connection.our_state is h11.DONE
    return reading


def take_events(connection: h11.Connection, reading: Reading) -> None:
    for event in h11_events(connection):
        if isinstance(event, h11.EndOfMessage):
            reading.trailers = list(event.headers.raw_items())
        elif isinstance(event, h11.Data):
            reading.body += bytes(event.data)
        elif isinstance(event, (h11.Response, h11.InformationalResponse)):
            status, fields = event.status_code, list(event.headers.raw_items())
            if status >= 200 or status == 101:
                reading.status, reading.fields = status, fields
            else:
                reading.interim.append(Interim(status, fields))


@pytest.mark.parametrize("shape", marked(SHAPES))
def test_h11_reads_the_same_unless_the_table_says_why_not(shape: Shape) -> None:
    ours, theirs = read(shape, [shape.data]), h11_reads(shape)
    same = all(getattr(ours, name) == value for name, value in vars(theirs).items())
    assert same is not bool(shape.h11)


class FakeSocket:
    """As much of a socket as http.client wants of one that has ended."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self.data)


def http_client_reads(shape: Shape) -> Reading:
    reading = Reading()
    method = shape.method.decode()
    response = http.client.HTTPResponse(FakeSocket(shape.data), method=method)  # type: ignore[arg-type]
    try:
        response.begin()
        reading.status = response.status
        reading.fields = [
            (name.encode("latin-1"), value.strip(" \t").encode("latin-1"))
            for name, value in response.getheaders()
        ]
        reading.again = not response.will_close and not shape.eof
        reading.body = response.read()
    except (http.client.HTTPException, ConnectionError, ValueError, OverflowError):
        reading.failed = True
    response.close()
    return reading


@pytest.mark.parametrize("shape", marked(SHAPES))
def test_http_client_reads_the_same_unless_the_table_says_why_not(shape: Shape) -> None:
    """It shows no trailers and no 1xx, and its errors leave nothing behind."""
    ours, theirs = read(shape, [shape.data]), http_client_reads(shape)
    same = ours.failed is theirs.failed
    if not ours.failed:
        same &= (ours.status, ours.fields) == (theirs.status, theirs.fields)
        same &= (ours.body, ours.again) == (theirs.body, theirs.again)
    assert same is not bool(shape.http_client)


@pytest.mark.parametrize(
    ("request_", "pieces", "trailers"),
    [
        pytest.param(Request(b"GET", b"http", b"a.test", b"/?q", []), [], [], id="GET"),
        pytest.param(
            Request(b"PUT", b"http", b"a.test:81", b"/x", [(b"A", b"b")], None),
            [b"one", b"", b"twenty-two bytes of it"],
            [],
            id="chunked",
        ),
        pytest.param(
            Request(b"PUT", b"http", b"a.test", b"/", [], None),
            [b"one"],
            [(b"A", b"b"), (b"a", b"")],
            id="trailers",
        ),
        pytest.param(
            Request(b"POST", b"http", b"[::1]", b"/", [(b"Content-Length", b"7")], 7),
            [b"one", b"", b"more"],
            [],
            id="sized",
        ),
        pytest.param(
            Request(
                b"POST", b"http", b"a.test", b"/", [(b"Expect", b"100-continue")], None
            ),
            [b"one"],
            [],
            id="Expect",
        ),
        pytest.param(
            Request(b"OPTIONS", b"http", b"a.test", b"*", []), [], [], id="OPTIONS"
        ),
    ],
)
def test_h11_understands_the_requests(
    request_: Request, pieces: list[bytes], trailers: Fields
) -> None:
    protocol, server = H11Protocol(), h11.Connection(h11.SERVER)
    stream = protocol.open(request_, request_.body_length == 0)
    for piece in pieces:
        protocol.send_data(stream, piece, False)
    if trailers:
        protocol.send_trailers(stream, trailers)
    elif pieces:
        protocol.send_data(stream, b"", True)
    assert stream.sent
    server.receive_data(protocol.data_to_send())
    head, *body, end = h11_events(server)
    assert isinstance(head, h11.Request)
    assert (head.method, head.target) == (request_.method, request_.target)
    expected = [(b"Host", request_.authority), *request_.headers]
    if request_.body_length is None:
        expected.append((b"Transfer-Encoding", b"chunked"))
    assert head.headers.raw_items() == expected
    assert b"".join(bytes(event.data) for event in body) == b"".join(pieces)
    assert isinstance(end, h11.EndOfMessage)
    assert end.headers.raw_items() == trailers


# The table itself, and the page about it.


def test_there_are_more_than_250_shapes_and_no_two_are_alike() -> None:
    sent = {(s.data, s.eof, s.method, tuple(s.asking), s.upload) for s in SHAPES}
    assert len(SHAPES) == len(sent) > 250
    assert len(SHAPES) == len({shape.name for shape in SHAPES})


def test_every_reason_names_its_section() -> None:
    reasons = {reason for s in SHAPES for reason in (s.h11, s.http_client)} - {""}
    assert [one for one in reasons if not RFC_SECTION.search(one)] == []


def test_the_page_shows_the_table_as_it_is() -> None:
    done = subprocess.run(
        [sys.executable, DOCS / "make_http11.py", "--print"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    page = (DOCS / "http11.rst").read_text(encoding="utf-8")
    assert page == done.stdout, "run docs/make_http11.py"
    assert max(map(len, page.splitlines())) <= 79
