"""HTTP/1.1 without a socket: what each sequence of bytes means to a client.

What responses of all kinds come out as is in ``test_http11_oracles.py``; this is about
sequences of them, requests, limits, and what becomes of the connection.
"""

from __future__ import annotations

import gc
import weakref

import pytest
from shapes import CHUNKED, EMPTY, POISON, UPGRADE

from hyper.common.exceptions import (
    ChunkedDecodeError,
    ConnectionLost,
    HyperError,
    IncompleteRead,
    LineTooLongError,
    LocalProtocolError,
    RemoteProtocolError,
    StreamResetError,
)
from hyper.common.protocol import CANCEL, EVERYONE, HEADS, NO_ERROR, HTTPVersion
from hyper.common.request import Request
from hyper.common.stream import Fields, Interim, Stream
from hyper.http11.protocol import H11Protocol, Limits

scenario = pytest.mark.scenario


def request(
    method: bytes = b"GET",
    headers: Fields | None = None,
    body_length: int | None = 0,
    target: bytes = b"/",
    authority: bytes = b"example.com",
    protocol: bytes | None = None,
) -> Request:
    return Request(
        method, b"http", authority, target, headers or [], body_length, protocol
    )


def start(
    protocol: H11Protocol,
    method: bytes = b"GET",
    headers: Fields | None = None,
    body_length: int | None = 0,
) -> Stream:
    """Open an exchange and let its head go out."""
    end_stream = body_length == 0
    stream = protocol.open(request(method, headers, body_length), end_stream)
    assert protocol.data_to_send()
    protocol.touched.clear()
    return stream


def deliver(protocol: H11Protocol, data: bytes, how: str) -> None:
    if how == "byte by byte":
        for at in range(len(data)):
            protocol.receive_data(data[at : at + 1])
    else:
        protocol.receive_data(data)


def body_of(stream: Stream) -> bytes:
    assert b"" not in stream.chunks
    body = b"".join(stream.chunks)
    assert stream.buffered == len(body)
    return body


# The request


def test_a_request_begins_with_its_line_and_host_and_keeps_its_fields_as_given() -> (
    None
):
    protocol = H11Protocol()
    fields = [(b"b", b"1"), (b"A", b""), (b"B", b"2"), (b"content-LENGTH", b"3")]
    stream = protocol.open(
        request(b"POST", fields, 3, b"/p?q=r", b"example.com:81"), False
    )
    assert protocol.data_to_send() == (
        b"POST /p?q=r HTTP/1.1\r\nHost: example.com:81\r\n"
        b"b: 1\r\nA: \r\nB: 2\r\ncontent-LENGTH: 3\r\n\r\n"
    )
    assert (stream.stream_id, stream.method, stream.sent) == (1, b"POST", False)
    assert protocol.data_to_send() == b""


def test_options_may_ask_for_the_server_itself() -> None:
    protocol = H11Protocol()
    protocol.open(request(b"OPTIONS", target=b"*"), True)
    assert protocol.data_to_send().startswith(b"OPTIONS * HTTP/1.1\r\nHost: example")


def test_connect_asks_for_the_authority() -> None:
    protocol = H11Protocol()
    protocol.open(request(b"CONNECT", authority=b"[::1]:443", target=b"/x"), True)
    assert protocol.data_to_send() == (
        b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("method", "target", "line"),
    [
        (b"GET", b"/x?y", b"GET http://a.test:81/x?y HTTP/1.1"),
        (b"OPTIONS", b"*", b"OPTIONS http://a.test:81 HTTP/1.1"),
    ],
)
def test_a_request_that_is_forwarded_says_where_to_and_keeps_its_host(
    method: bytes, target: bytes, line: bytes
) -> None:
    protocol = H11Protocol(forward=[(b"For", b"proxy")], authority=b"a.test:81")
    asked = request(method, [(b"A", b"b")], target=target, authority=b"b.test")
    protocol.open(asked, True)
    assert protocol.data_to_send() == (
        line + b"\r\nHost: b.test\r\nFor: proxy\r\nA: b\r\n\r\n"
    )


def test_a_body_of_unknown_size_goes_out_in_chunks() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=None)
    protocol.send_data(stream, b"x" * 31, False)
    protocol.send_data(stream, b"", False)
    assert protocol.data_to_send() == b"1f\r\n" + b"x" * 31 + b"\r\n"
    protocol.send_data(stream, b"", True)
    assert protocol.data_to_send() == b"0\r\n\r\n"
    assert stream.sent


def test_a_chunked_request_may_have_no_body() -> None:
    protocol = H11Protocol()
    stream = protocol.open(request(b"POST", body_length=None), True)
    head = b"POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert protocol.data_to_send() == head + b"0\r\n\r\n"
    assert stream.sent


@scenario(217)
def test_a_sized_body_goes_out_as_it_is_and_once() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=5)
    protocol.send_data(stream, b"he", False)
    assert protocol.data_to_send() == b"he"
    protocol.send_data(stream, b"", False)
    protocol.send_data(stream, b"llo", False)
    assert not stream.sent
    protocol.send_data(stream, b"", True)
    assert stream.sent
    assert protocol.data_to_send() == b"llo"
    assert protocol.data_to_send() == b""


def test_an_empty_body_may_be_ended_later() -> None:
    protocol = H11Protocol()
    stream = protocol.open(request(b"POST"), False)
    protocol.send_data(stream, b"", True)
    assert stream.sent


@pytest.mark.parametrize(
    ("data", "end", "message"),
    [
        (b"abcdef", False, "the request body is 1 bytes longer than its declared"),
        (b"abcdef", True, "the request body is 1 bytes longer than its declared"),
        (b"abc", True, "the request body ended 2 bytes before its declared"),
    ],
)
def test_a_body_of_another_length_than_declared_is_refused_and_ends_the_connection(
    data: bytes, end: bool, message: str
) -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=5)
    with pytest.raises(LocalProtocolError, match=message) as refused:
        protocol.send_data(stream, data, end)
    assert protocol.data_to_send() == b""
    assert isinstance(stream.error, LocalProtocolError)
    assert not refused.value.retry_safe  # the head had been sent
    assert not stream.error.retry_safe
    assert stream.error.__traceback__ is None
    assert protocol.finished
    assert not protocol.accepting
    assert protocol.failure is None  # nobody else did anything wrong


def test_a_body_that_is_wrong_before_anything_was_sent_can_be_sent_again() -> None:
    protocol = H11Protocol()
    stream = protocol.open(request(b"POST", body_length=1), False)
    with pytest.raises(LocalProtocolError) as refused:
        protocol.send_data(stream, b"ab", True)
    assert refused.value.retry_safe
    assert protocol.data_to_send() == b""


def test_a_body_that_never_comes_is_refused_before_anything_is_queued() -> None:
    protocol = H11Protocol()
    with pytest.raises(LocalProtocolError, match="ended 5 bytes before"):
        protocol.open(request(b"POST", body_length=5), True)
    assert protocol.data_to_send() == b""
    assert protocol.free_places == 1
    assert protocol.next_stream_id == 1


def test_a_request_cannot_be_sent_on_after_its_end() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    with pytest.raises(LocalProtocolError, match="request on stream 1 is complete"):
        protocol.send_data(stream, b"x", False)
    protocol.receive_data(EMPTY)
    with pytest.raises(LocalProtocolError, match="request on stream 1 is complete"):
        protocol.send_data(stream, b"x", False)
    assert protocol.data_to_send() == b""
    assert protocol.free_places == 1


def test_there_is_always_room_for_a_piece_of_body() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=None)
    assert protocol.sendable(stream) == 65536
    protocol.receive_eof(True)
    assert protocol.sendable(stream) == 65536


# One exchange after another


@scenario(192)
def test_a_second_request_waits_for_the_end_of_the_first() -> None:
    protocol = H11Protocol()
    assert (protocol.accepting, protocol.free_places, protocol.open_streams) == (
        True, 1, 0,
    )  # fmt: skip
    first = start(protocol)
    assert (protocol.accepting, protocol.free_places, protocol.open_streams) == (
        True, 0, 1,
    )  # fmt: skip
    with pytest.raises(LocalProtocolError, match="takes no further request"):
        protocol.open(request(), True)
    assert protocol.data_to_send() == b""
    protocol.receive_data(EMPTY)
    assert first.ended
    second = start(protocol)
    assert (first.stream_id, second.stream_id, protocol.next_stream_id) == (1, 2, 3)
    protocol.receive_data(EMPTY)
    assert second.ended


def test_many_exchanges_leave_nothing_of_one_another() -> None:
    protocol = H11Protocol(next_stream_id=7)
    for number in range(20):
        stream = start(protocol)
        body = b"x" * number
        protocol.receive_data(b"HTTP/1.1 103 x\r\n\r\n" * 8)
        protocol.receive_data(CHUNKED + b"%x\r\n%b\r\n" % (number or 1, body or b"y"))
        protocol.receive_data(b"0\r\nNumber: %d\r\n\r\n" % number)
        assert stream.stream_id == 7 + number
        assert len(stream.informational) == 8
        assert body_of(stream) == (body or b"y")
        assert stream.trailers == [(b"Number", b"%d" % number)]


def test_responses_in_http_1_0_are_known_as_such() -> None:
    protocol = H11Protocol()
    assert protocol.version is HTTPVersion.http11
    old = start(protocol)
    protocol.receive_data(
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"
    )
    new = start(protocol)
    protocol.receive_data(b"HTTP/1.7 204 No\r\n\r\n")
    assert (old.http10, new.http10) == (True, False)


@scenario(190)
def test_who_asks_to_close_gets_no_second_place_from_the_start() -> None:
    protocol = H11Protocol()
    stream = protocol.open(request(headers=[(b"Connection", b"close")]), True)
    assert not protocol.accepting
    assert EVERYONE in protocol.touched
    assert protocol.data_to_send()
    assert not protocol.finished
    protocol.receive_data(EMPTY)
    assert stream.ended
    assert protocol.finished


@scenario(190)
def test_the_server_may_say_close_before_the_body_has_come() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nh"
    )
    assert not protocol.accepting
    assert not protocol.finished
    assert EVERYONE in protocol.touched
    protocol.receive_data(b"i")
    assert body_of(stream) == b"hi"
    assert protocol.finished


@scenario(185)
@scenario(186)
@pytest.mark.parametrize(
    "data", [POISON, b"\r\n", b"H", b"HTTP/1.1 408 Request Timeout\r\n\r\n"]
)
def test_bytes_that_nobody_asked_for_end_an_idle_connection_without_noise(
    data: bytes,
) -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(EMPTY)
    protocol.touched.clear()
    protocol.receive_data(data)
    assert protocol.finished
    assert not protocol.accepting
    assert protocol.free_places == 0
    assert protocol.failure is None
    assert stream.error is None
    assert EVERYONE in protocol.touched


@scenario(185)
@scenario(186)
def test_bytes_that_come_before_the_request_has_left_are_no_answer_to_it() -> None:
    """They arrived while the connection was idle: 408, or a planted response."""
    protocol = H11Protocol()
    stream = protocol.open(request(), True)
    protocol.receive_data(POISON)
    assert type(stream.error) is RemoteProtocolError
    assert stream.error.retry_safe
    assert str(stream.error).startswith("server answered before it was asked: b'HTTP/")
    assert stream.status is None
    assert protocol.finished
    assert protocol.data_to_send() == b""


@scenario(182)
def test_a_request_that_never_left_can_be_sent_again() -> None:
    protocol = H11Protocol()
    stream = protocol.open(request(b"POST"), True)
    protocol.receive_eof(True)
    assert isinstance(stream.error, ConnectionLost)
    assert stream.error.retry_safe


@scenario(182)
def test_a_request_that_left_is_not_known_to_be_safe_to_repeat() -> None:
    protocol = H11Protocol()
    start(protocol)
    protocol.receive_data(EMPTY)
    stream = start(protocol, b"DELETE")
    protocol.receive_eof(True)
    assert isinstance(stream.error, ConnectionLost)
    assert not stream.error.retry_safe
    assert str(stream.error) == (
        "server closed the connection without answering DELETE on stream 2"
    )


@pytest.mark.parametrize("clean", [True, False])
def test_the_end_of_an_idle_connection_is_no_failure(clean: bool) -> None:
    protocol = H11Protocol()
    protocol.receive_eof(clean)
    assert protocol.finished
    assert not protocol.accepting
    assert protocol.failure is None
    assert protocol.touched == {EVERYONE}


# Uploads


@scenario(191)
@scenario(218)
def test_a_response_may_come_before_the_request_is_complete() -> None:
    """If the rest is sent the connection can be used again."""
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=None)
    protocol.receive_data(b"HTTP/1.1 413 Too large\r\nContent-Length: 2\r\n\r\nno")
    assert (stream.status, stream.ended, stream.sent) == (413, True, False)
    assert body_of(stream) == b"no"
    assert (protocol.accepting, protocol.free_places, protocol.open_streams) == (
        True, 0, 1,
    )  # fmt: skip
    protocol.send_data(stream, b"rest", True)
    assert protocol.data_to_send() == b"4\r\nrest\r\n0\r\n\r\n"
    assert protocol.free_places == 1
    assert not protocol.finished


@scenario(191)
def test_an_upload_that_is_given_up_after_its_response_ends_the_connection() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=None)
    protocol.receive_data(EMPTY)
    protocol.reset(stream, LocalProtocolError("no more"), CANCEL)
    assert stream.ended
    assert stream.error is None
    assert protocol.finished
    protocol.send_data(stream, b"rest", True)
    assert protocol.data_to_send() == b""


@scenario(191)
def test_a_server_that_answers_and_closes_does_not_get_the_rest() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=None)
    protocol.send_data(stream, b"some", False)
    protocol.receive_data(
        b"HTTP/1.1 413 x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"
    )
    assert stream.ended
    assert protocol.finished
    assert protocol.data_to_send() == b""
    protocol.send_data(stream, b"rest", True)
    assert stream.error is None
    assert protocol.data_to_send() == b""


@scenario(219)
def test_a_server_that_closes_after_an_early_response_harms_only_the_connection() -> (
    None
):
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=9)
    protocol.receive_data(EMPTY)
    protocol.receive_eof(True)
    assert stream.ended
    assert stream.error is None
    assert protocol.finished
    assert protocol.failure is None


@scenario(185)
@scenario(191)
def test_bytes_after_an_early_response_end_the_connection() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=9)
    protocol.receive_data(EMPTY)
    protocol.receive_data(POISON)
    assert stream.ended
    assert stream.error is None
    assert protocol.finished


@scenario(219)
def test_a_server_that_closes_during_an_upload_has_not_answered() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"PUT", body_length=9)
    protocol.send_data(stream, b"four", False)
    protocol.receive_eof(True)
    assert type(stream.error) is ConnectionLost
    assert not stream.error.retry_safe
    assert stream.error is protocol.failure
    protocol.send_data(stream, b" more", True)
    assert protocol.data_to_send() == b""


# Bodies


def test_a_chunk_is_one_piece_if_it_comes_in_one() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(CHUNKED + b"3\r\none\r\n3\r\ntwo\r\n5\r\nth")
    assert list(stream.chunks) == [b"one", b"two", b"th"]
    protocol.receive_data(b"ree\r\n0\r\n\r\n")
    assert list(stream.chunks) == [b"one", b"two", b"th", b"ree"]
    assert stream.buffered == 11
    assert stream.ended


def test_a_sized_body_is_handed_on_as_it_arrived() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
    piece = b"cdefg"
    protocol.receive_data(piece)
    assert stream.chunks[-1] is piece  # not copied
    protocol.receive_data(b"hi")
    assert list(stream.chunks) == [b"ab", b"cdefg", b"hi"]
    assert stream.ended


@scenario(180)
def test_a_chunk_that_is_too_long_is_an_error_as_soon_as_that_is_known() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(CHUNKED + b"2\r\nhi\r")
    assert stream.error is None
    protocol.receive_data(b"x")
    assert isinstance(stream.error, ChunkedDecodeError)


@scenario(184)
def test_a_body_without_length_is_known_to_be_the_last_before_it_ends() -> None:
    protocol = H11Protocol()
    start(protocol)
    protocol.receive_data(b"HTTP/1.1 200 OK\r\n\r\n")
    assert not protocol.accepting
    assert EVERYONE in protocol.touched
    assert not protocol.finished


@scenario(161)
def test_a_huge_length_reserves_nothing() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nx" % 2**63)
    protocol.receive_eof(True)
    assert isinstance(stream.error, IncompleteRead)
    assert stream.error.expected == 2**63 - 1


@scenario(183)
@pytest.mark.parametrize(
    ("data", "expected", "message"),
    [
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
            4,
            "server closed the connection within the body on stream 1, "
            "4 bytes or more before its end",
        ),
        (
            CHUNKED + b"5\r\nhello\r\n9\r\n",
            9,
            "server closed the connection within the body on stream 1, "
            "9 bytes or more before its end",
        ),
        (
            CHUNKED + b"5\r\nhello\r\n",
            None,
            "server closed the connection within the body on stream 1",
        ),
    ],
)
def test_a_body_cut_short_says_how_much_was_announced(
    data: bytes, expected: int | None, message: str
) -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(data)
    protocol.receive_eof(True)
    assert isinstance(stream.error, IncompleteRead)
    assert stream.error.expected == expected
    assert str(stream.error) == message
    assert body_of(stream) == b"hello"
    assert not stream.ended


@scenario(184)
def test_a_body_without_length_needs_an_end_that_tls_confirms() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(b"HTTP/1.1 200 OK\r\n\r\nall of")
    protocol.receive_eof(False)
    assert isinstance(stream.error, IncompleteRead)
    assert "without TLS's close_notify" in str(stream.error)
    assert body_of(stream) == b"all of"
    assert not stream.ended


@scenario(184)
@scenario(219)
def test_a_connection_that_breaks_in_a_body_leaves_what_came() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(b"HTTP/1.1 200 OK\r\n\r\nall of")
    broken = ConnectionLost("connection reset")
    protocol.fail(broken)
    assert stream.error is broken
    assert body_of(stream) == b"all of"
    assert protocol.failure is broken
    assert protocol.finished


# Other protocols


@scenario(189)
@pytest.mark.parametrize(
    "fields", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
               b"Content-Length: x\r\n", b"Connection: keep-alive\r\n"]
)  # fmt: skip
@pytest.mark.parametrize("how", ["whole", "byte by byte"])
def test_a_tunnel_begins_at_the_empty_line_whatever_the_fields_say(
    fields: bytes, how: str
) -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"CONNECT")
    deliver(protocol, b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\nHTTP/1.1 raw", how)
    assert (stream.status, stream.ended, stream.error) == (200, False, None)
    assert not protocol.accepting
    assert not protocol.finished
    assert b"".join(stream.chunks) == b"\r\nHTTP/1.1 raw"
    protocol.receive_data(b"more")
    protocol.receive_eof(False)
    assert stream.ended
    assert protocol.finished
    assert protocol.failure is None
    assert b"".join(stream.chunks) == b"\r\nHTTP/1.1 rawmore"


def test_what_is_sent_through_a_tunnel_goes_as_it_is() -> None:
    protocol = H11Protocol()
    asked = request(b"CONNECT", authority=b"a.test:443", body_length=None)
    stream = protocol.open(asked, False)
    assert protocol.data_to_send() == (
        b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n"
    )
    protocol.receive_data(b"HTTP/1.1 200 OK\r\n\r\n")
    protocol.send_data(stream, b"\x16\x03", False)
    protocol.send_data(stream, b"more", False)
    assert protocol.data_to_send() == b"\x16\x03more"
    protocol.send_data(stream, b"", True)
    assert protocol.data_to_send() == b""
    assert not protocol.finished, "the other direction is still open"
    protocol.receive_data(b"answer")
    protocol.receive_eof(True)
    assert (b"".join(stream.chunks), stream.ended) == (b"answer", True)
    assert protocol.finished


@scenario(189)
def test_nothing_is_sent_through_a_tunnel_that_is_not_open() -> None:
    protocol = H11Protocol()
    asked = request(b"CONNECT", authority=b"a.test:443", body_length=None)
    stream = protocol.open(asked, False)
    protocol.data_to_send()
    with pytest.raises(LocalProtocolError, match="not open"):
        protocol.send_data(stream, b"GET / HTTP/1.1\r\n\r\n", False)
    protocol.receive_data(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(LocalProtocolError, match="not open"):
        protocol.send_data(stream, b"GET / HTTP/1.1\r\n\r\n", False)
    assert protocol.data_to_send() == b""


def test_http11_has_no_connect_with_a_protocol() -> None:
    protocol = H11Protocol()
    with pytest.raises(LocalProtocolError, match=r"HTTP/1\.1 has no CONNECT"):
        protocol.open(request(b"CONNECT", protocol=b"websocket"), False)
    assert protocol.data_to_send() == b""
    assert protocol.free_places == 1


@scenario(187)
@pytest.mark.parametrize("how", ["whole", "byte by byte"])
def test_a_switch_that_was_asked_for_is_the_response(how: str) -> None:
    protocol = H11Protocol()
    stream = start(protocol, headers=UPGRADE)
    head = b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n"
    deliver(protocol, b"HTTP/1.1 100 Continue\r\n\r\n" + head + b"\0\0\0\x04", how)
    assert (stream.status, stream.ended, stream.error) == (101, True, None)
    assert stream.headers == [(b"Upgrade", b"h2c")]
    assert stream.informational == [Interim(100, [])]
    assert protocol.switched
    assert not protocol.accepting
    assert protocol.take_leftover() == b"\0\0\0\x04"


def test_a_switch_that_is_declined_is_an_ordinary_response() -> None:
    protocol = H11Protocol()
    stream = start(protocol, headers=UPGRADE)
    protocol.receive_data(EMPTY)
    assert stream.status == 200
    assert not protocol.switched
    assert protocol.take_leftover() == b""
    assert protocol.free_places == 1
    assert protocol.data_to_send() == b""


def test_a_request_is_completed_in_http_even_if_the_switch_comes_early() -> None:
    """RFC 9110 7.8: the new protocol begins when the request has been sent."""
    protocol = H11Protocol()
    stream = start(protocol, b"POST", UPGRADE, body_length=4)
    protocol.receive_data(b"HTTP/1.1 101 Switching\r\n\r\nnew")
    assert stream.ended
    assert protocol.open_streams == 1
    protocol.send_data(stream, b"body", True)
    assert protocol.data_to_send() == b"body"
    assert protocol.open_streams == 0
    assert protocol.switched
    assert protocol.take_leftover() == b"new"


def test_a_tunnel_that_nobody_reads_makes_the_peer_wait() -> None:
    protocol = H11Protocol(limits=Limits(high_water=80))
    stream = start(protocol, b"CONNECT")
    protocol.receive_data(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 9)
    assert not protocol.paused
    protocol.receive_data(b"x" * 7)
    assert protocol.paused
    stream.chunks.clear()
    protocol.consumed(stream, 16)
    assert not protocol.paused


def test_another_protocol_that_nobody_takes_makes_the_peer_wait() -> None:
    protocol = H11Protocol(limits=Limits(high_water=10))
    start(protocol, headers=UPGRADE)
    protocol.receive_data(b"HTTP/1.1 101 Switching\r\n\r\n" + b"x" * 9)
    assert not protocol.paused
    protocol.receive_data(b"x")
    assert protocol.paused
    protocol.take_leftover()
    assert not protocol.paused


# Limits

LIMITS = Limits(
    max_line=100,
    max_fields=5,
    max_header_bytes=200,
    max_trailer_bytes=120,
    max_chunk_line=20,
    max_interim=2,
    max_interim_bytes=150,
)
OK = b"HTTP/1.1 204 No\r\n"  # 17 bytes


@scenario(174)
@pytest.mark.parametrize("how", ["whole", "byte by byte"])
@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(OK + b"A:" + b"b" * 97 + b"\r\n\r\n", None, id="line"),
        pytest.param(
            OK + b"A:" + b"b" * 98 + b"\r\n\r\n", LineTooLongError, id="line+"
        ),
        pytest.param(OK + b"A: b\r\n" * 5 + b"\r\n", None, id="fields"),
        pytest.param(OK + b"A: b\r\n" * 6 + b"\r\n", LineTooLongError, id="fields+"),
        pytest.param(
            OK + (b"A:" + b"b" * 88 + b"\r\n") * 2 + b"\n", LineTooLongError, id="head+"
        ),
        pytest.param(
            OK + b"A:" + b"b" * 87 + b"\r\nA:" + b"b" * 88 + b"\r\n\n", None, id="head"
        ),
        pytest.param(OK + b"A:" + b"b" * 300, LineTooLongError, id="no end of line"),
        pytest.param(OK + b"A: b\r\n" * 60, LineTooLongError, id="no end of fields"),
        pytest.param(
            OK[:-6] + b"x" * 101 + b"\r\n\r\n", LineTooLongError, id="reason+"
        ),
        pytest.param(
            CHUNKED + b"1;" + b"x" * 16 + b"\r\nx\r\n0\r\n\r\n", None, id="ext"
        ),
        pytest.param(
            CHUNKED + b"1;" + b"x" * 17 + b"\r\nx\r\n0\r\n\r\n",
            LineTooLongError,
            id="ext+",
            marks=scenario(179),
        ),
        pytest.param(
            CHUNKED + b"1;" + b"x" * 60,
            LineTooLongError,
            id="no end of an extension",
            marks=scenario(179),
        ),
        pytest.param(
            CHUNKED + b"0\r\n" + b"A: b\r\n" * 5 + b"\r\n", None, id="trailers"
        ),
        pytest.param(
            CHUNKED + b"0\r\n" + b"A: b\r\n" * 6 + b"\r\n",
            LineTooLongError,
            id="trailers+",
            marks=scenario(181),
        ),
        pytest.param(
            CHUNKED + b"0\r\n" + (b"A:" + b"b" * 60 + b"\r\n") * 2 + b"\r\n",
            LineTooLongError,
            id="trailer bytes+",
            marks=scenario(181),
        ),
        pytest.param(
            CHUNKED + b"0\r\n" + b"A: b\r\n" * 60,
            LineTooLongError,
            id="no end of trailers",
            marks=scenario(181),
        ),
        pytest.param(
            b"HTTP/1.1 103 x\r\n\r\n" * 2 + OK + b"\r\n",
            None,
            id="interim",
            marks=scenario(187),
        ),
        pytest.param(
            b"HTTP/1.1 103 x\r\n\r\n" * 3 + OK + b"\r\n",
            RemoteProtocolError,
            id="interim+",
            marks=scenario(187),
        ),
        pytest.param(
            (b"HTTP/1.1 103 x\r\nA:" + b"b" * 60 + b"\r\n\r\n") * 2 + OK + b"\r\n",
            RemoteProtocolError,
            id="interim bytes+",
            marks=scenario(187),
        ),
    ],
)
def test_what_is_longer_than_its_limit_is_an_error(
    data: bytes, error: type[HyperError] | None, how: str
) -> None:
    protocol = H11Protocol(limits=LIMITS)
    stream = start(protocol)
    deliver(protocol, data, how)
    assert type(stream.error) is (error or type(None))
    assert stream.ended is (error is None)
    assert protocol.finished is (error is not None)


@scenario(174)
def test_the_limits_leave_room_for_what_servers_send() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    cookies = b"Set-Cookie: " + b"x" * 1000 + b"\r\n"
    deliver(protocol, OK + cookies * 250 + b"\r\n", "byte by byte")
    assert stream.ended
    assert len(stream.headers) == 250


# Back-pressure


def test_a_slow_reader_makes_the_server_wait() -> None:
    protocol = H11Protocol(limits=Limits(high_water=1000, queued_high_water=5000))
    stream = start(protocol)
    protocol.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
    assert not protocol.paused
    protocol.receive_data(b"x" * 1000)
    assert protocol.paused
    stream.chunks.clear()
    stream.buffered = 0
    assert protocol.paused  # taken, and not yet consumed
    protocol.consumed(stream, 600)
    assert not protocol.paused
    protocol.receive_data(b"x" * 600)
    assert protocol.paused
    assert stream.buffered == 600


def test_a_slow_reader_holds_up_the_queue_only_beyond_a_higher_mark() -> None:
    protocol = H11Protocol(limits=Limits(high_water=1000, queued_high_water=5000))
    start(protocol)
    protocol.receive_data(
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + b"x" * 4000
    )
    assert protocol.paused
    protocol.queue.append("next")
    assert not protocol.paused
    protocol.receive_data(b"x" * 1000)
    assert protocol.paused


def test_small_chunks_count_for_the_memory_that_they_take() -> None:
    protocol = H11Protocol(limits=Limits(high_water=1000))
    start(protocol)
    protocol.receive_data(CHUNKED + b"2\r\nxx\r\n" * 16)
    assert protocol.paused


def test_an_unread_response_that_is_complete_does_not_hold_up_the_next() -> None:
    protocol = H11Protocol(limits=Limits(high_water=10))
    first = start(protocol)
    protocol.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + b"x" * 99)
    assert first.ended
    assert not protocol.paused
    start(protocol)
    protocol.consumed(first, 99)
    protocol.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + b"x" * 10)
    assert protocol.paused


# Who is woken


def test_every_change_of_a_stream_touches_it() -> None:
    protocol = H11Protocol()
    stream = start(protocol)

    def touches(data: bytes) -> bool:
        protocol.touched.clear()
        protocol.receive_data(data)
        return protocol.touched - {HEADS} == {stream}

    assert not touches(b"HTTP/1.1 103 x\r\n\r")
    assert touches(b"\n")
    assert not touches(CHUNKED[:-1])
    assert touches(b"\n")
    assert not touches(b"3\r\n")
    assert touches(b"a")
    assert touches(b"bc")
    assert not touches(b"\r\n0\r\nA: b\r\n")
    assert touches(b"\r\n")


def test_the_same_head_means_what_the_method_says_each_time() -> None:
    protocol = H11Protocol()
    for method, body in ((b"GET", b"ab"), (b"HEAD", b""), (b"GET", b"cd")):
        stream = start(protocol, method)
        protocol.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + body)
        assert (body_of(stream), stream.ended) == (body, True)
        assert protocol.free_places == 1


def test_a_place_that_comes_free_touches_the_first_of_the_queue() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.queue.extend(["first", "second"])
    protocol.receive_data(EMPTY)
    assert protocol.touched == {stream, HEADS, "first"}


def test_a_place_that_an_upload_leaves_touches_the_first_of_the_queue() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=2)
    protocol.queue.append("first")
    protocol.receive_data(EMPTY)
    assert "first" not in protocol.touched
    protocol.send_data(stream, b"hi", True)
    assert "first" in protocol.touched


def test_a_failure_touches_everyone() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(b"nonsense")
    assert protocol.touched == {stream, HEADS, EVERYONE}


# The end


def test_a_failed_connection_does_nothing_more() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    broken = ConnectionLost("connection reset")
    protocol.fail(broken)
    protocol.fail(ConnectionLost("again"))
    assert stream.error is broken
    protocol.touched.clear()
    protocol.receive_data(EMPTY)
    protocol.receive_eof(True)
    protocol.reset(stream, None, CANCEL)
    protocol.consumed(stream, 5)
    protocol.send_data(stream, b"x", True)
    assert protocol.failure is broken
    assert protocol.take_leftover() == b""
    assert protocol.data_to_send() == b""
    assert stream.status is None
    assert not protocol.paused
    assert protocol.touched == set()
    with pytest.raises(LocalProtocolError, match="takes no further request"):
        protocol.open(request(), True)


def test_an_idle_connection_that_breaks_fails_nobody() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(EMPTY)
    protocol.touched.clear()
    protocol.fail(ConnectionLost("connection reset"))
    assert stream.error is None
    assert protocol.finished
    assert protocol.touched == {EVERYONE}


@scenario(216)
def test_a_request_that_fails_half_written_takes_its_bytes_with_it() -> None:
    protocol = H11Protocol()
    stream = protocol.open(request(b"POST", body_length=9), False)
    broken = ConnectionLost("interrupted")
    protocol.fail(broken)
    assert protocol.data_to_send() == b""
    assert isinstance(stream.error, ConnectionLost)
    assert stream.error.retry_safe  # nothing of it had left
    assert stream.error.__cause__ is broken
    assert not broken.retry_safe


def test_giving_up_a_response_ends_the_connection() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi")
    error = ConnectionLost("closed here")
    protocol.reset(stream, error, CANCEL)
    assert stream.error is error
    assert stream in protocol.touched
    assert protocol.finished
    assert protocol.failure is None


def test_a_response_that_is_given_up_without_a_reason_says_so() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.reset(stream, None, CANCEL)
    assert isinstance(stream.error, StreamResetError)
    assert str(stream.error) == "stream 1 was given up by this side"
    assert (stream.error.stream_id, stream.error.error_code) == (1, CANCEL)
    assert not stream.error.by_peer


def test_giving_up_a_finished_exchange_does_nothing() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(EMPTY)
    protocol.reset(stream, ConnectionLost("closed here"), NO_ERROR)
    assert stream.error is None
    assert protocol.free_places == 1


def test_an_abandoned_response_is_given_up_with_the_next_bytes_out() -> None:
    protocol = H11Protocol()
    finished = start(protocol)
    protocol.receive_data(EMPTY)
    protocol.abandoned.append(finished)
    assert protocol.data_to_send() == b""
    assert protocol.free_places == 1
    stream = start(protocol)
    protocol.abandoned.append(stream)
    assert protocol.data_to_send() == b""
    assert protocol.finished
    assert isinstance(stream.error, StreamResetError)


def test_closing_an_idle_connection_ends_it() -> None:
    protocol = H11Protocol()
    protocol.close()
    protocol.close()
    assert protocol.finished
    assert not protocol.accepting
    assert protocol.data_to_send() == b""
    assert protocol.failure is None


def test_closing_lets_the_exchange_under_way_finish() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.close()
    protocol.close()
    assert not protocol.accepting
    assert not protocol.finished
    protocol.receive_data(EMPTY)
    assert stream.ended
    assert protocol.finished


def test_messages_quote_the_server_and_no_more_than_sixty_bytes() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(CHUNKED + b"0x5\r\n")
    assert str(stream.error) == (
        "server sent a chunk size that is not hexadecimal: b'0x5\\r\\n'"
    )
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(b"X" * 1000)
    assert str(stream.error) == (
        "server sent what is not HTTP/1: b'" + "X" * 60 + "'..."
    )


@pytest.mark.parametrize("data", [b"nonsense", EMPTY, CHUNKED + b"x\r\n"])
def test_a_dropped_connection_is_freed_without_the_cycle_collector(data: bytes) -> None:
    protocol = H11Protocol()
    start(protocol)
    protocol.receive_data(data)
    gone = weakref.ref(protocol)
    gc.disable()
    try:
        del protocol
        assert gone() is None
    finally:
        gc.enable()


# Trailers of requests


def test_a_chunked_request_may_end_with_trailers() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=None)
    protocol.send_data(stream, b"body", False)
    protocol.send_trailers(stream, [(b"Checksum", b"1")])
    assert protocol.data_to_send() == b"4\r\nbody\r\n0\r\nChecksum: 1\r\n\r\n"
    assert stream.sent
    with pytest.raises(LocalProtocolError, match="no trailers"):
        protocol.send_trailers(stream, [(b"Checksum", b"1")])


def test_a_request_with_a_length_has_no_trailers() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=4)
    with pytest.raises(LocalProtocolError, match="no trailers"):
        protocol.send_trailers(stream, [(b"Checksum", b"1")])


def test_trailers_of_a_request_that_failed_are_not_sent() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=None)
    protocol.fail(ConnectionLost("gone"))
    protocol.send_trailers(stream, [(b"Checksum", b"1")])
    assert protocol.data_to_send() == b""


def test_a_request_that_was_stopped_takes_the_connection_along() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=4)
    stream.stopped = True
    protocol.receive_data(EMPTY)
    assert stream.ended
    assert protocol.finished


def test_a_call_that_sends_does_not_stop_a_server_that_answers_meanwhile() -> None:
    limits = Limits(high_water=50, sending_high_water=150)  # 64 for each piece
    protocol = H11Protocol(limits=limits)
    stream = start(protocol, b"POST", body_length=4)
    protocol.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + b"x" * 20)
    assert protocol.paused
    stream.sending = True
    assert not protocol.paused
    protocol.receive_data(b"x" * 20)
    assert protocol.paused
