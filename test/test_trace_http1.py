"""Heads and content out of the bytes of HTTP/1.1."""

from __future__ import annotations

import pytest

from hyper.trace.http1 import MAX_HEAD, MessageReader
from hyper.trace.record import Field, Seen

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


def whole(pieces: list[Seen]) -> list[tuple[str, int, int, bool]]:
    """Return kinds, numbers and lengths, the pieces of one content put together."""
    found: list[tuple[str, int, int, bool]] = []
    for piece in pieces:
        last = bool(piece.flags)
        one = piece.kind, piece.stream_id, piece.length, last
        if found and found[-1][:2] == one[:2] and piece.kind == "BODY":
            one = (*one[:2], found.pop()[2] + piece.length, last)
        found.append(one)
    return found


def read(sent: bytes, received: bytes, size: int = 10**6) -> list[Seen]:
    """Return what a reader makes of it, fed in pieces."""
    reader = MessageReader()
    pieces: list[Seen] = []
    for at in range(0, len(sent), size):
        pieces += reader.sent(sent[at : at + size])
    for at in range(0, len(received), size):
        pieces += reader.received(received[at : at + size])
    return pieces


@pytest.mark.parametrize("size", [1, 3, 10**6])
@pytest.mark.parametrize(
    ("head", "content"),
    [
        (b"Content-Length: 5\r\n", b"hello"),
        (b"Transfer-Encoding: chunked\r\n", b"5;x=y\r\nhello\r\n0\r\n\r\n"),
        (
            b"Transfer-Encoding: chunked\r\n",
            b"2\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\n\r\n",
        ),
    ],
)
def test_content_ends_where_it_says(head: bytes, content: bytes, size: int) -> None:
    response = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n"
    pieces = read(GET * 2, (response + content) * 2, size)
    assert whole(pieces) == [
        ("REQUEST", 1, len(GET), True),
        ("REQUEST", 2, len(GET), True),
        ("RESPONSE", 1, len(response), False),
        ("BODY", 1, len(content), True),
        ("RESPONSE", 2, len(response), False),
        ("BODY", 2, len(content), True),
    ]


def test_requests_have_content_too() -> None:
    post = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n"
    assert whole(read(post + b"hi" + GET, b"", 5)) == [
        ("REQUEST", 1, len(post), False),
        ("BODY", 1, 2, True),
        ("REQUEST", 2, len(GET), True),
    ]


@pytest.mark.parametrize(
    ("request_", "response"),
    [
        (b"HEAD / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        (GET, b"HTTP/1.1 204 No\r\n\r\n"),
        (GET, b"HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (GET, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ],
)
def test_some_responses_have_no_content(request_: bytes, response: bytes) -> None:
    pieces = read(request_, response)
    assert whole(pieces)[1:] == [("RESPONSE", 1, len(response), True)]


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    ],
)
def test_else_all_that_comes_is_content(response: bytes) -> None:
    pieces = read(GET, response + b"nonsense\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 8)
    assert whole(pieces)[1:] == [
        ("RESPONSE", 1, len(response), False),
        ("BODY", 1, 31, False),
    ]


@pytest.mark.parametrize("size", [b"-5", b"0x5", b"1_0", b"", b"f" * 17])
def test_a_chunk_of_no_size_is_followed_by_content(size: bytes) -> None:
    response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    content = size + b"\r\nhello\r\n0\r\n\r\n"
    for step in (1, 1000):
        assert whole(read(GET, response + content, step))[1:] == [
            ("RESPONSE", 1, len(response), False),
            ("BODY", 1, len(content), False),
        ]


def test_interim_responses_are_not_the_last() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    final = b"HTTP/1.1 204 No\r\n\r\n"
    assert whole(read(GET, interim + final))[1:] == [
        ("RESPONSE", 1, len(interim), False),
        ("RESPONSE", 1, len(final), True),
    ]


def test_after_connect_all_is_content() -> None:
    connect = b"CONNECT a:1 HTTP/1.1\r\n\r\n"
    pieces = read(connect + GET, b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1")
    assert [piece.kind for piece in pieces] == ["REQUEST", "BODY", "RESPONSE", "BODY"]


def test_what_comes_after_a_switch_is_left() -> None:
    reader = MessageReader()
    list(reader.sent(GET))
    head = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
    (piece,) = reader.received(head + b"abc")
    assert piece.detail["start"] == "HTTP/1.1 101 Switching Protocols"
    assert list(reader.received(b"def")) == []
    assert reader.leftover == b"abcdef"


def test_a_head_is_taken_apart_without_its_secrets() -> None:
    data = b"GET /?\xff HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\nodd\r\n\r\n"
    (piece,) = MessageReader().sent(data)
    assert piece.detail["start"] == "GET /?\xff HTTP/1.1"
    assert piece.fields == (
        Field("Host", "x"),
        Field("Cookie", "[redacted]"),
        Field("odd", ""),
    )
    (open_,) = MessageReader(secrets=True).sent(data)
    assert open_.fields[1] == Field("Cookie", "a=b")


def test_a_head_without_end_is_content() -> None:
    reader = MessageReader()
    assert list(reader.received(b"x" * (MAX_HEAD + 1))) == []
    assert [piece.kind for piece in reader.received(b"more")] == ["BODY"]


def test_a_response_that_nobody_asked_for_is_one_all_the_same() -> None:
    (piece,) = MessageReader().received(b"nonsense\r\n\r\n")
    assert (piece.kind, piece.stream_id) == ("RESPONSE", 1)
    assert piece.detail == {"start": "nonsense"}
