"""Whole exchanges: sending, waiting, retrying, closing, from one thread and many."""

import atexit
import contextlib
import gc
import http.server
import io
import select
import socket
import threading
import weakref
from functools import cache

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import (
    DataFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)
from peer import Frames, frames_of, wire
from threads import (
    Interrupted,
    background,
    interrupt_main_thread,
    interrupted_at,
    interruptions,
    wait_for,
    wait_until_main_thread_blocks,
)

import hyper
import hyper.exchange
import hyper.http2bin
import hyper.http11.protocol
import hyper.http20.machine
import hyper.http20.protocol
import hyper.response
import hyper.transport.bufsocket
import hyper.transport.dial
import hyper.verbs
from hyper import (
    ConnectionLost,
    ConnectionTerminated,
    ConnectTimeout,
    HTTP11Connection,
    HTTP20Connection,
    HTTPHeaderMap,
    HTTPVersion,
    InvalidResponseError,
    LocalProtocolError,
    PoolTimeout,
    ReadTimeout,
    RemoteProtocolError,
    RequestNotProcessed,
    StreamResetError,
    Timeout,
    WriteTimeout,
)
from hyper.common.moment import Moment
from hyper.http20.protocol import H2Protocol
from hyper.http20.reference import H2Machine
from hyper.http20.verbs import HTTP2Options
from hyper.http20.window import FlowControlManager
from hyper.tls import init_context


@cache
def _reserved():
    """Return a socket that does not listen, and keeps others off its port."""
    reserved = socket.socket()
    atexit.register(reserved.close)
    reserved.bind(("127.0.0.1", 0))
    return reserved


def unused_port():
    """Return a port at which nobody listens, nor will."""
    return _reserved().getsockname()[1]


def start(peer, settings=None, **options):
    """Return a connection that has greeted, its first request still unanswered."""
    conn = peer.connection(**options)
    stream_id = conn.request("GET", "/first")
    peer.greet(settings)
    peer.want_headers(stream_id)
    return conn, stream_id


def finish(peer, conn, stream_id):
    peer.respond(stream_id, b"done")
    assert conn.get_response(stream_id).read() == b"done"


# Requests.


def test_a_request_returns_its_id_without_waiting_for_the_server(peer):
    conn = peer.connection()
    assert [conn.request("GET", f"/{n}") for n in range(3)] == [1, 3, 5]
    peer.greet()
    assert [peer.want_headers()[b":path"] for _ in range(3)] == [b"/0", b"/1", b"/2"]


def test_responses_may_be_fetched_in_any_order(peer):
    conn = peer.connection()
    ids = [conn.request("GET", "/") for _ in range(3)]
    peer.greet()
    for stream_id in (ids[2], ids[0], ids[1]):
        peer.respond(stream_id, b"%d" % stream_id)
    for stream_id in (ids[1], ids[2], ids[0]):
        response = conn.get_response(stream_id)
        assert response.stream_id == stream_id
        assert response.read() == b"%d" % stream_id


def test_without_an_id_the_oldest_response_comes_first(peer):
    conn = peer.connection()
    ids = [conn.request("GET", "/") for _ in range(3)]
    peer.greet()
    for stream_id in reversed(ids):
        peer.respond(stream_id)
    assert conn.get_response(ids[0]).stream_id == ids[0]
    assert [conn.getresponse().stream_id for _ in range(2)] == ids[1:]


def test_a_response_that_nobody_asked_for_is_an_error_of_the_caller(peer):
    conn, stream_id = start(peer)
    finish(peer, conn, stream_id)
    with pytest.raises(LocalProtocolError, match="no request is waiting"):
        conn.get_response()
    with pytest.raises(LocalProtocolError, match="no request with the id 1"):
        conn.get_response(stream_id)


def test_headers_may_be_given_in_every_way(peer):
    conn = peer.connection()
    given = [
        {"X-A": "b"},
        [("X-A", b"b")],
        HTTPHeaderMap([("X-A", "b")]),
        ((b"X-A", "b"),),
    ]
    for headers in given:
        conn.request("GET", "/", headers=headers)
    peer.greet()
    for _ in given:
        assert peer.want_fields()[4:] == [(b"x-a", b"b")]


def test_the_authority_is_the_host_with_its_port_or_the_users_host(peer):
    conn = peer.connection()
    conn.request("GET", "/")
    conn.request("GET", "/", headers={"Host": "other.test"})
    peer.greet()
    assert peer.want_headers()[b":authority"] == b"127.0.0.1:%d" % peer.port
    fields = peer.want_headers()
    assert fields[b":authority"] == b"other.test"
    assert b"host" not in fields


def test_the_url_may_be_absolute_and_its_fragment_stays_at_home(peer):
    conn = peer.connection()
    conn.request("GET", "http://127.0.0.1/a?b=c#d")
    peer.greet()
    assert peer.want_headers()[b":path"] == b"/a?b=c"


@pytest.mark.scenario(193)
@pytest.mark.scenario(194)
@pytest.mark.scenario(195)
@pytest.mark.scenario(200)
@pytest.mark.scenario(201)
@pytest.mark.scenario(202)
@pytest.mark.parametrize(
    ("method", "url", "headers", "body"),
    [
        ("GET\r\n", "/", {}, None),
        ("GET", "/a b", {}, None),
        ("GET", "/\r\nX: y", {}, None),
        ("GET", "/", {"a\r\n": "b"}, None),
        ("GET", "/", {"a": "b\r\nc"}, None),
        ("GET", "/", {":path": "/x"}, None),
        ("GET", "/", [("Host", "a"), ("Host", "b")], None),
        ("POST", "/", {"Content-Length": "5"}, b"four"),
        ("POST", "/", {"Content-Length": "x"}, b"four"),
    ],
)
def test_what_http_forbids_is_refused_before_anything_is_sent(
    peer, method, url, headers, body
):
    conn = peer.connection()
    with pytest.raises(LocalProtocolError):
        conn.request(method, url, headers=headers, body=body)
    assert not conn.is_connected


def test_body_and_data_exclude_each_other(peer):
    with pytest.raises(TypeError, match="two names"):
        peer.connection().request("POST", "/", body=b"a", data=b"b")


# Bodies.


class Slow(io.RawIOBase):
    """A file that gives a few bytes at a time and cannot be measured."""

    def __init__(self, data):
        self._data = data

    def read(self, amount=-1):
        piece, self._data = self._data[:3], self._data[3:]
        return piece


@pytest.mark.parametrize(
    ("body", "length"),
    [
        (b"a body", b"6"),
        ("a body", b"6"),
        (bytearray(b"a body"), b"6"),
        (memoryview(b"a body"), b"6"),
        (io.BytesIO(b"a body"), b"6"),
        ([b"a ", b"", b"body"], None),
        ((piece for piece in (b"a ", b"body")), None),
        (Slow(b"a body"), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_body_may_be_given_in_every_way(peer, body, length):
    conn = peer.connection()
    stream_id = conn.request("POST", "/", data=body)
    peer.greet()
    assert peer.want_headers(stream_id).get(b"content-length") == length
    assert peer.want_body(stream_id) == b"a body"


@pytest.mark.scenario(106)
@pytest.mark.parametrize("body", [None, b"", "", io.BytesIO()])
def test_an_empty_body_ends_with_the_headers(peer, body):
    conn = peer.connection()
    conn.request("POST", "/", body=body)
    peer.greet()
    frame = peer.want(HeadersFrame)
    assert "END_STREAM" in frame.flags
    assert (b"content-length", b"0") in peer.decoder.decode(frame.data, raw=True)


def test_a_get_without_a_body_says_nothing_of_its_length(peer):
    conn = peer.connection()
    conn.request("GET", "/")
    peer.greet()
    assert b"content-length" not in peer.want_headers()


def test_a_declared_length_of_a_stream_is_sent_and_kept(peer):
    conn = peer.connection()
    stream_id = conn.request(
        "POST", "/", body=iter([b"ab", b"cd"]), headers={"Content-Length": 4}
    )
    peer.greet()
    assert peer.want_headers(stream_id)[b"content-length"] == b"4"
    assert peer.want_body(stream_id) == b"abcd"


def test_a_body_of_known_length_may_be_sent_as_if_it_were_not(peer):
    conn = peer.connection()
    headers = {"Transfer-Encoding": "chunked"}
    stream_id = conn.request("POST", "/", b"body", headers)
    peer.greet()
    fields = peer.want_headers(stream_id)
    assert b"content-length" not in fields
    assert b"transfer-encoding" not in fields
    assert peer.want_body(stream_id) == b"body"


@pytest.mark.scenario(104)
@pytest.mark.parametrize("pieces", [[b"abc"], [b"abc", b"def"]])
def test_a_body_that_is_not_as_long_as_declared_is_cancelled(peer, pieces):
    conn, first = start(peer)
    with pytest.raises(LocalProtocolError, match="Content-Length"):
        conn.request("POST", "/", body=iter(pieces), headers={"Content-Length": 5})
    peer.want_headers(3)
    peer.ignore = (*peer.ignore, DataFrame)
    assert peer.want_reset(3) == ErrorCodes.CANCEL
    finish(peer, conn, first)


@pytest.mark.scenario(105)
def test_an_exception_of_the_body_cancels_the_request_and_is_passed_on(peer):
    def body():
        yield b"some"
        raise ZeroDivisionError

    conn, first = start(peer)
    with pytest.raises(ZeroDivisionError):
        conn.request("POST", "/", body=body())
    peer.want_headers(3)
    assert peer.want(DataFrame).data == b"some"
    assert peer.want_reset(3) == ErrorCodes.CANCEL
    finish(peer, conn, first)


def test_an_upload_waits_for_the_window_and_goes_on(peer):
    conn, _ = start(peer)
    upload = background(conn.request, "POST", "/", b"x" * 200_000)
    peer.want_headers(3)
    assert peer.want_body(3) == b"x" * 200_000
    assert upload.result() == 3


@pytest.mark.scenario(92)
def test_settings_may_open_the_window(peer):
    conn, _ = start(peer, {SettingsFrame.INITIAL_WINDOW_SIZE: 0})
    conn.remote_settings  # noqa: B018  # they have come
    upload = background(conn.request, "POST", "/", b"hello")
    peer.want_headers(3)
    peer.send_settings({SettingsFrame.INITIAL_WINDOW_SIZE: 5})
    assert peer.want(DataFrame).data == b"hello"
    assert upload.result() == 3


@pytest.mark.scenario(94)
def test_a_window_that_never_opens_is_a_write_timeout_of_its_stream(peer):
    conn, first = start(peer, {SettingsFrame.INITIAL_WINDOW_SIZE: 0})
    conn.remote_settings  # noqa: B018
    with pytest.raises(WriteTimeout, match="stream 3"):
        conn.request("POST", "/", b"hello", timeout=Timeout(write=0.05))
    peer.want_headers(3)
    assert peer.want_reset(3) == ErrorCodes.CANCEL
    finish(peer, conn, first)


@pytest.mark.scenario(98)
@pytest.mark.parametrize("status", [200, 413])
def test_a_response_before_the_end_of_the_request_stops_the_upload(peer, status):
    conn, _ = start(peer)
    upload = background(conn.request, "POST", "/", b"x" * 10_000_000)
    peer.want_headers(3)
    peer.respond(3, b"enough", status)
    assert upload.result() == 3
    response = conn.get_response(3)
    assert (response.status, response.read()) == (status, b"enough")
    peer.ignore = (*peer.ignore, DataFrame)
    assert peer.want_reset(3) == ErrorCodes.NO_ERROR


@pytest.mark.scenario(102)
def test_a_reset_wakes_the_upload_that_waits_for_its_window(peer):
    conn, first = start(peer, {SettingsFrame.INITIAL_WINDOW_SIZE: 0})
    conn.remote_settings  # noqa: B018
    upload = background(conn.request, "POST", "/", b"hello")
    peer.want_headers(3)
    peer.send_reset(3, ErrorCodes.INTERNAL_ERROR)
    assert upload.result() == 3
    with pytest.raises(StreamResetError, match="INTERNAL_ERROR"):
        conn.get_response(3)
    finish(peer, conn, first)


# Waiting for a place.


@pytest.mark.scenario(230)
@pytest.mark.scenario(43)
def test_requests_over_the_limit_wait_in_line(peer):
    conn, first = start(peer, {SettingsFrame.MAX_CONCURRENT_STREAMS: 1})
    assert conn.max_concurrent_streams == 1
    second = background(conn.request, "GET", "/second")
    wait_for(lambda: second.waits_in("wait_until"))
    third = background(conn.request, "GET", "/third")
    wait_for(lambda: third.waits_in("wait_until"))
    peer.want_nothing(conn)
    finish(peer, conn, first)
    assert second.result() == 3
    assert peer.want_headers(3)[b":path"] == b"/second"
    peer.send_settings({SettingsFrame.MAX_CONCURRENT_STREAMS: 2})
    assert third.result() == 5
    assert peer.want_headers(5)[b":path"] == b"/third"


@pytest.mark.scenario(42)
@pytest.mark.scenario(231)
@pytest.mark.scenario(248)
def test_a_place_that_never_comes_free_is_a_pool_timeout(peer):
    conn, first = start(peer, {SettingsFrame.MAX_CONCURRENT_STREAMS: 1})
    assert conn.max_concurrent_streams == 1
    with pytest.raises(PoolTimeout) as caught:
        conn.request("GET", "/", timeout=0.05)
    assert caught.value.retry_safe
    finish(peer, conn, first)
    assert conn.request("GET", "/") == 3, "no id was used, and the place is free"


@pytest.mark.scenario(244)
def test_a_server_that_reads_nothing_is_a_write_timeout(peer):
    conn, _ = start(peer, {SettingsFrame.INITIAL_WINDOW_SIZE: 2**30})
    peer.send_window_update(0, 2**30)
    assert conn.remote_settings.initial_window_size == 2**30
    with pytest.raises(WriteTimeout, match="sending the body on stream 3"):
        conn.request("POST", "/", b"x" * 100_000_000, timeout=0.05)


def test_headers_that_the_network_does_not_take_are_a_write_timeout(peer):
    conn, _ = start(peer, {SettingsFrame.INITIAL_WINDOW_SIZE: 2**30})
    peer.send_window_update(0, 2**30)
    assert conn.remote_settings.initial_window_size == 2**30
    upload = background(conn.request, "POST", "/", b"x" * 100_000_000)
    wait_for(lambda: conn.open_streams == 2)

    headers = {f"x-{number}": "\xff" * 500 for number in range(40)}

    def fill():
        while True:
            conn.request("GET", "/", headers=headers, timeout=0.2)

    with pytest.raises(WriteTimeout, match="sending the request"):
        fill()
    conn.close()
    assert upload.result() == 3


@pytest.mark.parametrize("end", ["goaway", "rst"])
def test_a_request_in_line_moves_on_when_the_connection_ends(peer, end):
    conn, _ = start(peer, {SettingsFrame.MAX_CONCURRENT_STREAMS: 1})
    assert conn.max_concurrent_streams == 1
    waiting = background(conn.request, "POST", "/waiting", b"body")
    wait_for(lambda: waiting.waits_in("wait_until"))
    if end == "goaway":
        peer.send_goaway(1)
    else:
        peer.die()
    peer.greet()
    stream_id = waiting.result()
    assert peer.want_headers(stream_id)[b":path"] == b"/waiting"
    finish(peer, conn, stream_id)


def test_a_request_in_line_does_not_outlive_close(peer):
    conn, _ = start(peer, {SettingsFrame.MAX_CONCURRENT_STREAMS: 1})
    assert conn.max_concurrent_streams == 1
    waiting = background(conn.request, "GET", "/")
    wait_for(lambda: waiting.waits_in("wait_until"))
    conn.close()
    with pytest.raises(ConnectionLost, match="closed by this side"):
        waiting.result()


# Waiting for a response.


@pytest.mark.scenario(243)
def test_a_read_timeout_ends_its_own_stream_and_no_other(peer):
    conn, first = start(peer)
    second = conn.request("GET", "/")
    peer.want_headers(second)
    other = background(conn.get_response, first)
    wait_for(lambda: other.waits_in("wait_until"))
    slow = conn.request("GET", "/", timeout=0.05)
    with pytest.raises(ReadTimeout, match="response on stream 5"):
        conn.get_response(slow)
    peer.want_headers(slow)
    assert peer.want_reset(slow) == ErrorCodes.CANCEL
    peer.respond(first, b"fine")
    assert other.result().read() == b"fine"


@pytest.mark.scenario(159)
@pytest.mark.scenario(245)
def test_the_total_timeout_counts_from_the_request(peer):
    conn = peer.connection()
    stream_id = conn.request("GET", "/", timeout=Timeout(total=0.1))
    peer.greet()
    peer.send_headers(stream_id)
    response = conn.get_response(stream_id)

    def drip():
        while True:
            peer.send_data(stream_id, b"drip")
            response.read(4)

    with pytest.raises(ReadTimeout, match="total timeout"):
        drip()
    peer.ignore = (*peer.ignore, HeadersFrame)
    assert peer.want_reset(stream_id) == ErrorCodes.CANCEL


@pytest.mark.scenario(229)
@pytest.mark.scenario(234)
def test_each_thread_gets_its_own_response_whoever_reads_it(peer):
    conn = peer.connection()
    ids = [conn.request("GET", "/") for _ in range(5)]
    peer.greet()
    tasks = [background(conn.get_response, stream_id) for stream_id in ids]
    for task in tasks:
        wait_for(lambda task=task: task.waits_in("wait_until", "sleep_until"))
    for stream_id, task in reversed(list(zip(ids, tasks, strict=True))):
        peer.respond(stream_id, b"%d" % stream_id)
        response = task.result()
        assert response.stream_id == stream_id
        assert response.read() == b"%d" % stream_id


@pytest.mark.scenario(233)
def test_a_leader_that_times_out_leaves_the_others_reading(peer):
    conn = peer.connection()
    leads = conn.request("GET", "/", timeout=0.2)
    follows = conn.request("GET", "/")
    leader = background(conn.get_response, leads)
    wait_for(lambda: leader.waits_in("wait_until"))
    follower = background(conn.get_response, follows)
    with pytest.raises(ReadTimeout):
        leader.result()
    peer.greet()
    peer.respond(follows, b"still here")
    assert follower.result().read() == b"still here"


# The end of a connection.


@pytest.mark.scenario(232)
@pytest.mark.parametrize(
    "wait",
    ["a response", "a body", "a place", "a window", "an answer to a ping"],
)
def test_close_wakes_every_thread_that_waits(peer, wait):
    conn = peer.connection()
    first = conn.request("GET", "/")
    peer.greet(
        {
            SettingsFrame.MAX_CONCURRENT_STREAMS: 1 if wait == "a place" else 10,
            SettingsFrame.INITIAL_WINDOW_SIZE: 0,
        }
    )
    assert conn.max_concurrent_streams
    if wait == "a response":
        task = background(conn.get_response, first)
    elif wait == "a body":
        peer.send_headers(first)
        task = background(conn.get_response(first).read)
    elif wait == "a place":
        task = background(conn.request, "GET", "/")
    elif wait == "a window":
        task = background(conn.request, "POST", "/", b"hello")
        wait_for(lambda: task.waits_in("wait_until"))
        conn.close()
        task = background(conn.get_response, task.result())
    else:
        task = background(conn.ping)
    wait_for(lambda: not task.running or task.waits_in("wait_until"))
    conn.close()
    with pytest.raises((ConnectionLost, LocalProtocolError)):
        task.result()


@pytest.mark.scenario(133)
def test_close_says_goodbye_and_may_be_called_twice(peer):
    conn, _ = start(peer)
    conn.close()
    conn.close()
    assert peer.want_goaway() == ErrorCodes.NO_ERROR
    peer.want_eof()


def test_after_close_a_request_connects_anew_and_ids_go_on(peer):
    conn, first = start(peer)
    finish(peer, conn, first)
    conn.close()
    second = conn.request("GET", "/")
    peer.greet()
    assert second == 3
    peer.want_headers(second)
    finish(peer, conn, second)


def test_a_connection_that_is_retired_ends_with_what_is_under_way(peer):
    conn, first = start(peer)
    conn.retire()
    assert not conn.is_connected
    peer.respond(first, b"done")
    assert conn.get_response(first).read() == b"done"
    peer.want_eof()
    second = conn.request("GET", "/")
    peer.greet()
    peer.want_headers(second)
    finish(peer, conn, second)


def test_one_that_is_retired_when_nothing_is_ends_at_once(peer):
    conn = peer.connection()
    conn.retire()
    first = conn.request("GET", "/")
    peer.greet()
    peer.want_headers(first)
    finish(peer, conn, first)
    conn.retire()
    conn.retire()
    assert peer.want_goaway() == ErrorCodes.NO_ERROR
    peer.want_eof()


def test_a_with_statement_closes_the_connection(peer):
    with peer.connection() as conn:
        conn.request("GET", "/")
        peer.greet()
        assert conn.is_connected
    assert not conn.is_connected
    peer.want_headers()
    peer.want_goaway()


def test_what_became_of_a_request_is_known_after_any_number_of_closes(peer):
    conn, first = start(peer)
    conn.close()
    conn.close()
    with pytest.raises(ConnectionLost, match="closed by this side"):
        conn.get_response(first)


def test_a_response_that_came_completely_survives_close(peer):
    conn, first = start(peer)
    peer.respond(first, b"all of it")
    response = conn.get_response(first)
    conn.close()
    assert response.read() == b"all of it"


def test_a_response_that_had_not_come_completely_does_not(peer):
    conn, first = start(peer)
    peer.send_headers(first)
    response = conn.get_response(first)
    peer.send_data(first, b"part")
    assert response.read(2) == b"pa"
    conn.close()
    assert response.read1() == b"rt"
    with pytest.raises(ConnectionLost, match="closed by this side"):
        response.read()


@pytest.mark.scenario(130)
@pytest.mark.scenario(222)
@pytest.mark.parametrize("end", ["goaway", "fin", "goaway and fin", "rst"])
def test_a_connection_that_the_server_closed_is_replaced_unnoticed(peer, end):
    conn, first = start(peer)
    finish(peer, conn, first)
    if "goaway" in end:
        peer.send_goaway(first)
    if "fin" in end:
        peer.hang_up()
    if end == "rst":
        peer.die()
    second = conn.request("POST", "/second", b"body")
    peer.greet()
    assert peer.want_headers(second)[b":path"] == b"/second"
    peer.respond(second, b"here")
    assert conn.get_response(second).read() == b"here"


@pytest.mark.scenario(124)
def test_after_a_goaway_what_was_begun_goes_on_and_new_requests_go_elsewhere(peer):
    conn, first = start(peer)
    old = peer.sock
    peer.send_goaway(first)
    second = conn.request("GET", "/second")
    peer.greet()
    peer.want_headers(second)
    peer.respond(second, b"new")
    assert conn.get_response(second).read() == b"new"
    frames = Frames()  # of the old connection's own compression state
    old.sendall(wire(frames.headers(first), frames.data(first, b"old", end=True)))
    assert conn.get_response(first).read() == b"old"


@pytest.mark.scenario(125)
@pytest.mark.scenario(131)
def test_a_request_above_the_last_stream_is_sent_again_by_itself(peer):
    conn = peer.connection()
    first = conn.request("GET", "/")
    second = conn.request("POST", "/again", b"body", {"X-A": "b"})
    peer.greet()
    peer.want_headers(first)
    peer.want_headers(second)
    peer.respond(first)
    peer.send_goaway(first)
    task = background(conn.get_response, second)
    peer.greet()
    fields = peer.want_headers()
    assert (fields[b":path"], fields[b"x-a"]) == (b"/again", b"b")
    assert peer.want_body(5) == b"body"
    peer.respond(5, b"done")
    response = task.result()
    assert response.read() == b"done"
    assert response.stream_id == second, "the user knows it by its first id"


@pytest.mark.scenario(110)
def test_a_refused_request_is_sent_again_on_the_same_connection(peer):
    conn, first = start(peer)
    peer.send_reset(first, ErrorCodes.REFUSED_STREAM)
    task = background(conn.get_response, first)
    peer.want_headers(3)
    peer.respond(3, b"now")
    assert task.result().read() == b"now"


@pytest.mark.scenario(111)
def test_a_request_is_sent_again_only_once(peer):
    conn, first = start(peer)
    peer.send_reset(first, ErrorCodes.REFUSED_STREAM)
    task = background(conn.get_response, first)
    peer.want_headers(3)
    peer.send_reset(3, ErrorCodes.REFUSED_STREAM)
    with pytest.raises(RequestNotProcessed) as caught:
        task.result()
    assert caught.value.retry_safe


@pytest.mark.scenario(112)
def test_a_server_that_finds_us_at_fault_gets_new_requests_on_a_new_connection(peer):
    conn, first = start(peer)
    peer.send_reset(first, ErrorCodes.PROTOCOL_ERROR)
    with pytest.raises(StreamResetError):
        conn.get_response(first)
    asking = background(conn.request, "GET", "/")
    peer.greet()
    assert asking.result() == 3


@pytest.mark.scenario(126)
def test_an_error_goaway_for_the_first_request_of_all_is_not_answered_by_another(peer):
    conn, first = start(peer)
    peer.send_goaway(0, ErrorCodes.INTERNAL_ERROR)
    with pytest.raises(RequestNotProcessed, match="INTERNAL_ERROR") as caught:
        conn.get_response(first)
    assert caught.value.retry_safe
    assert peer.connections == 1


@pytest.mark.scenario(125)
def test_a_server_that_takes_one_request_per_connection_answers_all_in_the_end(peer):
    conn = peer.connection()
    ids = [conn.request("GET", "/") for _ in range(5)]
    tasks = [background(conn.get_response, stream_id) for stream_id in ids]
    for unanswered in range(5, 0, -1):
        peer.greet()
        asked = [peer.want(HeadersFrame).stream_id for _ in range(unanswered)]
        peer.send_goaway(asked[0])
        peer.respond(asked[0], b"once")
    assert [task.result().read() for task in tasks] == [b"once"] * 5


@pytest.mark.scenario(31)
def test_421_is_tried_once_more_on_a_new_connection(peer):
    conn, first = start(peer)
    peer.respond(first, b"wrong server", status=421)
    asking = background(conn.get_response, first)
    peer.greet()
    peer.want_headers(3)
    peer.respond(3, b"right server")
    assert asking.result().read() == b"right server"


@pytest.mark.scenario(31)
def test_421_from_every_server_is_the_response(peer):
    conn, first = start(peer)
    peer.respond(first, b"wrong server", status=421)
    asking = background(conn.get_response, first)
    peer.greet()
    peer.want_headers(3)
    peer.respond(3, b"wrong again", status=421)
    response = asking.result()
    assert (response.status, response.read()) == (421, b"wrong again")


@pytest.mark.scenario(31)
def test_421_to_a_body_that_is_gone_is_the_response(peer):
    conn = peer.connection()
    stream_id = conn.request("POST", "/", iter([b"once"]))
    peer.greet()
    peer.want_headers(stream_id)
    peer.respond(stream_id, status=421)
    assert conn.get_response(stream_id).status == 421


def test_nothing_of_a_body_stays_behind_when_request_returns(peer):
    peer.narrow()
    small = (socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    conn = peer.connection(socket_options=[small])
    conn.connect()
    peer.greet({SettingsFrame.INITIAL_WINDOW_SIZE: 2**24})
    peer.send_window_update(0, 2**24)
    assert conn.remote_settings.initial_window_size == 2**24
    uploading = background(conn.request, "POST", "/", bytes(300_000))
    peer.want_headers(1)
    received = 0
    while received < 300_000:
        received += len(peer.want(DataFrame).data)
    assert uploading.result() == 1


@pytest.mark.scenario(108)
@pytest.mark.parametrize(
    ("window", "size"),
    [(0, 400_000), (2**30, 16_000_000)],
    ids=["the server's window is short", "the network is slow"],
)
def test_parallel_uploads_share_what_there_is(peer, window, size):
    peer.narrow()
    conn = peer.connection()
    conn.connect()
    peer.greet({SettingsFrame.INITIAL_WINDOW_SIZE: 2**24})
    if window:
        peer.send_window_update(0, window)
    assert conn.remote_settings.initial_window_size == 2**24
    uploads = [background(conn.request, "POST", "/", bytes(size)) for _ in range(8)]
    wait_for(lambda: conn.open_streams == 8)
    peer.ignore = (*peer.ignore, HeadersFrame)
    received = dict.fromkeys(range(1, 17, 2), 0)
    ended = set()
    at_first_end = []
    while len(ended) < 8:
        data = peer.want(DataFrame)
        received[data.stream_id] += len(data.data)
        if "END_STREAM" in data.flags:
            ended.add(data.stream_id)
            at_first_end = at_first_end or sorted(received.values())
        if data.data and not window:
            peer.send_window_update(0, len(data.data))
    for upload in uploads:
        upload.result()
    # The first one had the buffers of both kernels for itself.
    assert at_first_end[0] >= size / 3, at_first_end


@pytest.mark.scenario(121)
def test_a_request_whose_body_is_gone_is_not_sent_again(peer):
    conn = peer.connection()
    stream_id = conn.request("POST", "/", iter([b"once"]))
    peer.greet()
    peer.want_headers(stream_id)
    peer.send_reset(stream_id, ErrorCodes.REFUSED_STREAM)
    with pytest.raises(RequestNotProcessed, match="REFUSED_STREAM") as caught:
        conn.get_response(stream_id)
    assert caught.value.retry_safe


def test_a_file_is_sent_again_from_where_it_stood(peer):
    file = io.BytesIO(b"not this, but this")
    file.seek(10)
    conn = peer.connection()
    stream_id = conn.request("POST", "/", file)
    peer.greet()
    peer.want_headers(stream_id)
    assert peer.want_body(stream_id) == b"but this"
    peer.send_reset(stream_id, ErrorCodes.REFUSED_STREAM)
    task = background(conn.get_response, stream_id)
    peer.want_headers(3)
    assert peer.want_body(3) == b"but this"
    peer.respond(3)
    assert task.result().status == 200


@pytest.mark.scenario(113)
@pytest.mark.parametrize("code", [ErrorCodes.CANCEL, ErrorCodes.INTERNAL_ERROR, 0xFF])
def test_any_other_reset_is_an_error(peer, code):
    conn, first = start(peer)
    peer.send_reset(first, code)
    with pytest.raises(StreamResetError) as caught:
        conn.get_response(first)
    assert caught.value.error_code == code
    assert not caught.value.retry_safe


@pytest.mark.scenario(129)
def test_what_the_server_may_have_acted_on_is_not_sent_again(peer):
    conn, first = start(peer)
    peer.send_goaway(first, ErrorCodes.INTERNAL_ERROR, b"out of memory")
    peer.hang_up()
    with pytest.raises(ConnectionTerminated, match="out of memory") as caught:
        conn.get_response(first)
    assert not caught.value.retry_safe
    assert caught.value.last_stream_id == first


@pytest.mark.scenario(221)
@pytest.mark.scenario(238)
def test_every_thread_gets_an_error_of_its_own_when_the_server_dies(peer):
    conn = peer.connection()
    ids = [conn.request("GET", "/") for _ in range(50)]
    peer.greet()
    for stream_id in ids:
        peer.want_headers(stream_id)
    tasks = [background(conn.get_response, stream_id) for stream_id in ids]
    peer.die()
    errors = []
    for task in tasks:
        with pytest.raises(ConnectionLost) as caught:
            task.result()
        errors.append(caught.value)
    assert len({id(error) for error in errors}) == len(ids)
    assert len({id(error.__cause__) for error in errors}) == 1


def test_a_connection_that_ends_before_the_request_is_sent_is_replaced(peer):
    conn = peer.connection()
    conn.connect()
    peer.greet()
    peer.send_goaway(0)
    stream_id = conn.request("GET", "/")
    peer.greet()
    peer.want_headers(stream_id)
    finish(peer, conn, stream_id)


@pytest.mark.scenario(5)
def test_a_server_that_speaks_http1_is_named_at_once(peer):
    conn = peer.connection()
    stream_id = conn.request("GET", "/")
    peer.accept()
    peer.send_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(RemoteProtocolError, match="speaks HTTP/1"):
        conn.get_response(stream_id)


def test_a_fault_of_the_server_on_one_stream_leaves_the_others(peer):
    conn, first = start(peer)
    second = conn.request("GET", "/")
    peer.send_headers(first, "abc")
    with pytest.raises(InvalidResponseError, match="'abc'"):
        conn.get_response(first)
    peer.want_headers(second)
    finish(peer, conn, second)


# Connecting.


@pytest.mark.scenario(240)
def test_threads_that_ask_at_once_share_one_connection(peer):
    conn = peer.connection()
    tasks = [background(conn.request, "GET", "/") for _ in range(20)]
    ids = sorted(task.result() for task in tasks)
    assert ids == list(range(1, 41, 2))
    peer.greet()
    order = [peer.want(HeadersFrame).stream_id for _ in ids]
    assert order == ids, "ids grow on the wire as well"


@pytest.mark.scenario(208)
def test_a_server_that_is_not_there_is_an_error_that_says_so():
    with HTTP20Connection("127.0.0.1", unused_port()) as conn:
        with pytest.raises(
            hyper.ConnectError, match=r"127\.0\.0\.1.*refused"
        ) as caught:
            conn.request("GET", "/")
    assert caught.value.retry_safe


def test_threads_that_wait_for_another_to_connect_have_deadlines(full_listener):
    conn = HTTP20Connection("127.0.0.1", full_listener, timeout=5)
    dialing = background(conn.connect)
    wait_for(lambda: dialing.waits_in("connect"))
    with pytest.raises(ConnectTimeout, match="another thread connects"):
        conn.request("GET", "/", timeout=0.05)


def test_connect_may_be_called_before_and_again(peer):
    conn = peer.connection()
    conn.connect()
    assert conn.is_connected
    conn.connect()
    conn.request("GET", "/")
    peer.greet()
    peer.want_headers(1)


def test_a_connection_knows_its_server(peer):
    conn = peer.connection()
    assert (conn.host, conn.port, conn.secure) == ("127.0.0.1", peer.port, False)
    assert conn.open_streams == 0
    conn.request("GET", "/")
    assert conn.open_streams == 1


# Memory.


@pytest.mark.scenario(276)
def test_a_connection_that_is_dropped_is_freed_at_once(peer):
    gc.disable()
    try:
        conn = HTTP20Connection("127.0.0.1", peer.port)
        first = conn.request("GET", "/")
        peer.greet()
        peer.respond(first, b"x")
        conn.get_response(first).read()
        conn.close()
        gone = weakref.ref(conn)
        del conn
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.scenario(275)
def test_a_response_that_is_dropped_unread_gives_its_stream_back(peer):
    conn, first = start(peer)
    peer.send_headers(first)
    conn.get_response(first)
    second = conn.request("GET", "/")
    assert peer.want(RstStreamFrame).stream_id == first
    peer.want_headers(second)
    assert conn.open_streams == 1


def test_no_thread_is_left_over(peer):
    before = threading.active_count()
    conn, first = start(peer)
    finish(peer, conn, first)
    assert threading.active_count() == before


# Several responses at a time.


def test_responses_may_be_taken_as_they_come(peer):
    conn = peer.connection()
    ids = [conn.request("GET", "/") for _ in range(4)]
    peer.greet()
    order = [ids[2], ids[0], ids[3], ids[1]]
    seen = []
    peer.send_headers(order[0])
    for response in conn.as_completed(ids):
        seen.append(response.stream_id)
        if len(seen) < len(order):
            peer.send_headers(order[len(seen)])
    assert seen == order
    with pytest.raises(LocalProtocolError):
        next(conn.as_completed(ids))


def test_without_ids_all_that_nobody_asked_for_are_taken(peer):
    conn = peer.connection()
    ids = [conn.request("GET", "/") for _ in range(3)]
    peer.greet()
    peer.respond(ids[0])
    conn.get_response(ids[0])
    peer.respond(ids[2])
    peer.respond(ids[1])
    assert {response.stream_id for response in conn.as_completed()} == set(ids[1:])


def test_a_thread_that_waits_for_any_response_is_woken_by_another_that_reads(peer):
    conn = peer.connection()
    first, second, third = (conn.request("GET", "/") for _ in range(3))
    peer.greet()
    leader = background(conn.get_response, first)
    wait_for(lambda: leader.waits_in("wait_until"))
    follower = background(lambda: next(conn.as_completed([second, third])))
    wait_for(lambda: follower.waits_in("wait_until"))
    peer.send_headers(third)
    assert follower.result().stream_id == third
    peer.send_headers(first)
    leader.result()


def test_one_that_fails_leaves_the_others_to_be_asked_for(peer):
    conn = peer.connection()
    first, second = conn.request("GET", "/"), conn.request("GET", "/")
    peer.greet()
    peer.send_reset(first, ErrorCodes.CANCEL)
    with pytest.raises(StreamResetError) as caught:
        next(conn.as_completed([first, second]))
    assert caught.value.stream_id == first
    peer.send_headers(second)
    assert [r.stream_id for r in conn.as_completed()] == [second]


def test_waiting_for_any_response_has_a_deadline(peer):
    conn = peer.connection(timeout=0.05)
    ids = [conn.request("GET", "/") for _ in range(2)]
    with pytest.raises(ReadTimeout):
        list(conn.as_completed(ids))


# Requests in pieces.


@pytest.mark.scenario(103)
def test_a_request_may_be_sent_while_its_response_is_read(peer):
    conn = peer.connection()
    conn.putrequest("POST", "/both")
    conn.putheader("X-Many", "a", b"b", 3)
    conn.putheader("X-One", "old")
    conn.putheader("x-one", "new", replace=True)
    stream_id = conn.endheaders()
    peer.greet()
    fields = peer.want_headers(stream_id)
    assert fields[b":path"] == b"/both"
    assert (fields[b"x-many"], fields[b"x-one"]) == (b"a, b, 3", b"new")
    peer.send_headers(stream_id)
    response = conn.get_response(stream_id)
    for number in range(3):
        conn.send(b"question %d" % number)
        assert peer.want(DataFrame).data == b"question %d" % number
        peer.send_data(stream_id, b"answer %d" % number)
        assert response.read(8) == b"answer %d" % number
    conn.send(b"", final=True)
    assert "END_STREAM" in peer.want(DataFrame).flags
    peer.send_data(stream_id, end=True)
    assert response.read() == b""
    with pytest.raises(LocalProtocolError, match="still being sent"):
        conn.send(b"more")


def test_a_request_in_pieces_has_its_id_from_the_beginning(peer):
    conn = peer.connection()
    assert conn.putrequest("GET", "/put") == 1
    assert conn.request("GET", "/sent") == 3
    assert conn.endheaders(final=True) == 1
    peer.greet()
    assert peer.want_headers(3)[b":path"] == b"/sent"
    # On the wire ids have to grow.
    assert peer.want_headers(5)[b":path"] == b"/put"
    peer.respond(5, b"put")
    assert conn.get_response(1).read() == b"put"
    peer.respond(3, b"sent")
    assert conn.get_response(3).read() == b"sent"
    assert conn.request("GET", "/") == 7


def test_one_thread_may_put_several_requests_together(peer):
    conn = peer.connection()
    ids = [conn.putrequest("GET", f"/{n}") for n in range(3)]
    assert ids == [1, 3, 5]
    for stream_id in ids:
        conn.putheader("X-Id", stream_id, stream_id=stream_id)
    conn.endheaders(final=True, stream_id=3)
    conn.endheaders(final=True)
    conn.endheaders(final=True)
    with pytest.raises(LocalProtocolError, match="putrequest"):
        conn.endheaders(stream_id=3)
    peer.greet()
    for on_the_wire, own in ((3, 3), (5, 5), (7, 1)):
        fields = peer.want_headers(on_the_wire)
        assert fields[b"x-id"] == b"%d" % own
        peer.respond(on_the_wire, fields[b":path"])
    for number, stream_id in enumerate(ids):
        assert conn.get_response(stream_id).read() == b"/%d" % number


def test_a_request_in_pieces_that_is_never_sent_leaves_its_id_unused(peer):
    conn, first = start(peer)
    assert conn.putrequest("GET", "/never") == 3
    assert conn.request("GET", "/") == 5
    peer.want_headers(5)
    finish(peer, conn, first)
    finish(peer, conn, 5)


def test_the_oldest_of_too_many_requests_in_pieces_is_forgotten(peer):
    conn = peer.connection()
    first, *others = [conn.putrequest("GET", "/") for _ in range(101)]
    with pytest.raises(LocalProtocolError, match="putrequest"):
        conn.endheaders(stream_id=first)
    assert conn.endheaders(final=True, stream_id=others[0]) == 3


def test_requests_in_pieces_of_http11_have_their_ids_from_the_beginning(text_peer):
    conn = text_peer.connection()
    assert conn.putrequest("GET", "/put") == 1
    assert conn.request("GET", "/sent") == 3
    text_peer.accept()
    text_peer.want_head()
    text_peer.respond(b"sent")
    assert conn.get_response(3).read() == b"sent"
    assert conn.endheaders(final=True) == 1
    text_peer.want_head()
    text_peer.respond(b"put")
    assert conn.get_response(1).read() == b"put"


class FewIds(HTTP20Connection):
    """A connection that runs out of ids at 5."""

    def _make_protocol(self, tls, next_stream_id):
        return H2Protocol(
            H2Machine(),
            next_stream_id=next_stream_id if next_stream_id <= 5 else 1,
            highest_stream_id=5,
        )


def test_an_id_that_was_promised_is_not_given_away_where_ids_run_out(peer):
    conn = peer.client(FewIds)
    for stream_id in (1, 3):
        assert conn.request("GET", "/") == stream_id
    peer.greet()
    for stream_id in (1, 3):
        peer.want_headers(stream_id)
        finish(peer, conn, stream_id)
    assert conn.putrequest("GET", "/promised") == 5
    assert conn.request("GET", "/") == 1
    peer.greet()
    peer.want_headers(1)
    assert peer.connections == 2
    assert conn.endheaders(final=True) == 5
    assert peer.want_headers(5)[b":path"] == b"/promised"
    finish(peer, conn, 5)
    finish(peer, conn, 1)


def test_each_thread_puts_its_own_request_together(peer):
    conn = peer.connection()
    conn.putrequest("GET", "/mine")

    def other():
        with pytest.raises(LocalProtocolError, match="putrequest"):
            conn.putheader("a", "b")
        conn.putrequest("GET", "/other")
        return conn.endheaders(final=True)

    assert background(other).result() == 3
    assert conn.endheaders(final=True) == 1
    peer.greet()
    assert [peer.want_headers()[b":path"] for _ in range(2)] == [b"/other", b"/mine"]


@pytest.mark.parametrize(("body", "flags"), [(None, {"END_STREAM"}), (b"all", set())])
def test_the_headers_may_take_the_whole_body_along(peer, body, flags):
    conn = peer.connection()
    conn.putrequest("PUT", "/")
    stream_id = conn.endheaders(body, final=True)
    peer.greet()
    frame = peer.want(HeadersFrame)
    assert set(frame.flags) - {"END_HEADERS"} == flags
    fields = dict(peer.decoder.decode(frame.data, raw=True))
    assert fields[b"content-length"] == b"%d" % len(body or b"")
    if body:
        assert peer.want_body(stream_id) == body


def test_a_declared_length_ends_the_request_when_it_is_reached(peer):
    conn = peer.connection()
    conn.putrequest("PUT", "/")
    conn.putheader("Content-Length", 6)
    stream_id = conn.endheaders(b"one")
    conn.send("two")
    peer.greet()
    assert peer.want_headers(stream_id)[b"content-length"] == b"6"
    assert peer.want_body(stream_id) == b"onetwo"


def test_a_request_in_pieces_is_not_sent_again(peer):
    conn = peer.connection()
    conn.putrequest("PUT", "/")
    stream_id = conn.endheaders(b"one")
    peer.greet()
    peer.send_reset(stream_id, ErrorCodes.REFUSED_STREAM)
    with pytest.raises(RequestNotProcessed):
        conn.get_response(stream_id)
    conn.send(b"two", final=True)


def test_a_request_may_end_with_trailers(peer):
    conn = peer.connection()
    conn.putrequest("POST", "/")
    stream_id = conn.endheaders(b"body")
    conn.send_trailers({"Checksum": "1"})
    peer.greet()
    peer.want_headers(stream_id)
    assert peer.want(DataFrame).data == b"body"
    frame = peer.want(HeadersFrame)
    assert "END_STREAM" in frame.flags
    assert peer.decoder.decode(frame.data, raw=True) == [(b"checksum", b"1")]
    finish(peer, conn, stream_id)


def test_trailers_may_not_frame_or_route(peer):
    conn = peer.connection()
    conn.putrequest("POST", "/")
    conn.endheaders(b"body")
    with pytest.raises(LocalProtocolError, match="trailers"):
        conn.send_trailers({"Content-Length": "4"})


def test_trailers_after_the_response_are_not_sent(peer):
    conn = peer.connection()
    conn.putrequest("POST", "/")
    stream_id = conn.endheaders(b"body")
    peer.greet()
    peer.respond(stream_id, b"early")
    assert conn.get_response(stream_id).read() == b"early"
    conn.send_trailers({"a": "b"})
    assert conn.open_streams <= 1


# Expect: 100-continue.


@pytest.mark.scenario(107)
@pytest.mark.parametrize("answer", ["100", "never", "413"])
def test_a_body_is_held_back_until_the_server_wants_it(peer, answer):
    conn = peer.connection()
    task = background(
        lambda: conn.request("POST", "/", b"body", {"Expect": "100-continue"})
    )
    peer.greet()
    peer.want_headers(1)
    if answer == "413":
        peer.respond(1, b"no", status=413)
        assert task.result() == 1
        assert peer.want_reset(1) == ErrorCodes.NO_ERROR
        assert conn.get_response(1).read() == b"no"
        return
    if answer == "100":
        peer.send_headers(1, 100)
    assert peer.want_body(1) == b"body"
    peer.respond(1, b"yes")
    response = conn.get_response(task.result())
    assert response.read() == b"yes"
    assert len(response.informational) == (answer == "100")


def test_a_refusal_whose_body_comes_later_stops_the_request_too(peer):
    conn = peer.connection()
    task = background(
        lambda: conn.request("POST", "/", b"body", {"Expect": "100-continue"})
    )
    peer.greet()
    peer.want_headers(1)
    peer.send_headers(1, 403)
    response = conn.get_response(task.result())
    peer.send_data(1, b"no", end=True)
    assert (response.status, response.read()) == (403, b"no")
    assert peer.want_reset(1) == ErrorCodes.NO_ERROR
    assert conn.open_streams == 0


# Progress.


def test_an_upload_tells_how_far_it_is(peer):
    conn = peer.connection()
    told = []
    body = io.BytesIO(bytes(150_000))
    task = background(
        lambda: conn.request("POST", "/", body, progress=lambda *p: told.append(p))
    )
    peer.greet()
    peer.want_headers(1)
    peer.want_body(1)
    task.result()
    assert told == [(65536, 150_000), (131_072, 150_000), (150_000, 150_000)]


def test_an_exception_of_the_progress_cancels_the_request(peer):
    conn = peer.connection()

    def stop(sent, total):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        conn.request("POST", "/", iter([b"a", b"b"]), progress=stop)
    peer.greet()
    peer.want_headers(1)
    peer.want(DataFrame)
    assert peer.want_reset(1) == ErrorCodes.CANCEL


# What a second pair of eyes found.


@pytest.mark.scenario(275)
def test_a_response_that_is_dropped_wakes_who_waits_for_its_place(peer):
    conn, first = start(peer, {SettingsFrame.MAX_CONCURRENT_STREAMS: 1})
    assert conn.max_concurrent_streams == 1
    peer.send_headers(first)
    response = conn.get_response(first)
    waiting = background(conn.request, "GET", "/")
    wait_for(lambda: waiting.waits_in("wait_until"))
    del response
    assert waiting.result() == 3


def test_a_finalizer_may_close_a_response_inside_of_our_own_calls(peer):
    """Window managers are called under the lock, as the collector may be."""
    closing = []

    class Closes(FlowControlManager):
        def increase_window_size(self, frame_size):
            while closing:
                closing.pop().close()
            return super().increase_window_size(frame_size)

    conn = peer.connection(window_manager=Closes)
    first, second = conn.request("GET", "/"), conn.request("GET", "/")
    peer.greet()
    peer.send_headers(first)
    closing.append(conn.get_response(first))
    peer.respond(second, b"fine")
    assert conn.get_response(second).read() == b"fine"
    peer.want_headers(first)
    peer.want_headers(second)
    assert peer.want_reset(first) == ErrorCodes.CANCEL


def test_a_finalizer_may_retire_a_connection_inside_of_our_own_calls(peer):
    class Retires(FlowControlManager):
        def increase_window_size(self, frame_size):
            conn.retire()
            return super().increase_window_size(frame_size)

    conn = peer.connection(window_manager=Retires)
    first = conn.request("GET", "/")
    peer.greet()
    peer.respond(first, b"fine")
    assert conn.get_response(first).read() == b"fine"


@pytest.mark.scenario(232)
def test_close_wakes_a_thread_that_connects(full_listener):
    conn = HTTP20Connection("127.0.0.1", full_listener)
    dialing = background(conn.connect)
    wait_for(lambda: dialing.waits_in("connect"))
    waiting = background(conn.request, "GET", "/")
    wait_for(lambda: waiting.waits_in("acquire"))
    conn.close()
    for task in (dialing, waiting):
        with pytest.raises(ConnectionLost, match="closed by this side"):
            task.result()


@pytest.mark.scenario(232)
def test_close_wakes_a_thread_in_the_tls_handshake(peer):
    conn = HTTP20Connection("127.0.0.1", peer.port, secure=True)
    dialing = background(conn.connect)
    peer.accept()
    wait_for(lambda: dialing.waits_in("wait_until"))
    conn.close()
    with pytest.raises(ConnectionLost, match="closed by this side"):
        dialing.result()


def test_a_request_may_be_asked_for_by_its_id_after_close(peer):
    conn = peer.connection()
    whole, part = conn.request("GET", "/"), conn.request("GET", "/")
    peer.greet()
    peer.respond(whole, b"all of it")
    assert conn.remote_settings is not None
    conn.close()
    assert conn.get_response(whole).read() == b"all of it"
    with pytest.raises(ConnectionLost, match="closed by this side"):
        conn.get_response(part)
    with pytest.raises(LocalProtocolError):
        conn.get_response()


@pytest.mark.scenario(216)
def test_a_call_that_a_signal_ended_may_be_made_again(peer):
    conn, first = start(peer)
    with interruptions() as seen:
        task = background(
            lambda: (
                wait_until_main_thread_blocks(),
                interrupt_main_thread(seen),
            )
        )
        with pytest.raises(Interrupted):
            conn.get_response(first)
        task.result()
    finish(peer, conn, first)


def test_a_server_that_closes_after_each_response_serves_many_threads():
    """Threads take each other's connections away, which is nobody's fault."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.path.encode())

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = background(server.serve_forever)
        with hyper.HTTPConnection("127.0.0.1", server.server_port) as conn:

            def ask(number):
                response = conn.get_response(conn.request("GET", f"/{number}"))
                return response.read()

            tasks = [background(ask, number) for number in range(16)]
            answers = [task.result() for task in tasks]
        server.shutdown()
        serving.result()
    assert answers == [b"/%d" % number for number in range(16)]


def test_many_uploads_that_wait_for_one_window_do_not_flood_the_line(peer):
    settings = {
        SettingsFrame.MAX_FRAME_SIZE: 2**24 - 1,
        SettingsFrame.INITIAL_WINDOW_SIZE: 2**30,
        SettingsFrame.MAX_CONCURRENT_STREAMS: 200,
    }
    conn, _ = start(peer, settings)
    assert conn.max_concurrent_streams == 200
    uploads = [background(conn.request, "POST", "/", bytes(200_000)) for _ in range(80)]
    wait_for(lambda: conn.open_streams == 81)
    peer.send_window_update(0, 2**30)
    received = 0
    peer.ignore = (*peer.ignore, HeadersFrame)
    while received < 80 * 200_000:
        received += len(peer.want(DataFrame).data)
    assert len({upload.result() for upload in uploads}) == 80


@pytest.mark.scenario(11)
def test_a_server_that_is_not_trusted_was_not_asked_for_anything():
    with hyper.http2bin.serve() as service:
        with HTTP20Connection(service.url) as conn:
            with pytest.raises(hyper.TLSError) as caught:
                conn.request("POST", "/post", b"secret")
            assert caught.value.retry_safe
        assert service.requests == 0


@pytest.mark.scenario(237)
def test_when_ids_run_out_a_new_connection_starts_over():
    assert HTTP2Options().protocol(2**31 + 1, frozenset()).next_stream_id == 1
    assert HTTP2Options().protocol(2**31 - 1, frozenset()).next_stream_id == 2**31 - 1


# What is told of a request.


def test_each_moment_of_a_request_is_told(peer):
    told = []
    conn = peer.connection()
    for _ in range(2):
        stream_id = conn.request(
            "POST", "/", b"body", watch=lambda *moment: told.append(moment)
        )
    peer.greet()
    assert told == [
        (Moment.connecting, None),
        (Moment.connected, None),
        *[
            (Moment.sending, HTTPVersion.http20),
            (Moment.head_sent, HTTPVersion.http20),
            (Moment.body_sent, HTTPVersion.http20),
        ]
        * 2,
    ]
    assert stream_id == 3


def test_that_a_request_is_sent_once_more_is_told(peer):
    told = []
    conn, stream_id = start(peer)
    finish(peer, conn, stream_id)
    stream_id = conn.request(
        "GET", "/", watch=lambda moment, version: told.append(moment)
    )
    peer.want_headers(stream_id)
    peer.send_reset(stream_id, ErrorCodes.REFUSED_STREAM)
    asking = background(conn.get_response, stream_id)
    peer.want_headers()
    peer.respond(stream_id + 2)
    assert asking.result().status == 200
    sending = [Moment.sending, Moment.head_sent, Moment.body_sent]
    assert told == [*sending, Moment.again, *sending]


def test_that_a_request_has_to_look_for_another_connection_is_told(peer):
    told = []
    conn, first = start(peer, {SettingCodes.MAX_CONCURRENT_STREAMS: 1})
    asking = background(
        conn.request, "GET", "/", watch=lambda moment, version: told.append(moment)
    )
    wait_for(lambda: asking.waits_in("wait_until"))
    peer.send_goaway(first)
    peer.greet()
    assert asking.result()
    sending = [Moment.sending, Moment.head_sent, Moment.body_sent]
    dialling = [Moment.connecting, Moment.connected]
    assert told == [Moment.sending, Moment.again, *dialling, *sending]


def test_a_request_that_fails_on_its_way_is_not_told_to_be_sent(peer):
    told = []

    def body():
        peer.want_headers(3)
        peer.send_reset(3, ErrorCodes.INTERNAL_ERROR)
        yield b"more"

    conn, _ = start(peer)
    stream_id = conn.request(
        "POST", "/", body(), watch=lambda moment, version: told.append(moment)
    )
    with pytest.raises(StreamResetError):
        conn.get_response(stream_id)
    assert told == [Moment.sending, Moment.head_sent]


@pytest.mark.parametrize("moment", [Moment.head_sent, Moment.body_sent])
def test_who_is_told_of_a_request_may_end_it(peer, moment):
    def watch(told, version):
        if told is moment:
            raise ZeroDivisionError

    conn, stream_id = start(peer)
    with pytest.raises(ZeroDivisionError):
        conn.request("GET", "/", watch=watch)
    peer.want_headers(3)
    assert peer.want_reset(3) == ErrorCodes.CANCEL
    finish(peer, conn, stream_id)


@pytest.mark.parametrize("moment", [Moment.connecting, Moment.connected])
def test_who_is_told_of_a_dial_may_end_it(peer, moment):
    def watch(told, version):
        if told is moment:
            raise ZeroDivisionError

    conn = peer.connection()
    with pytest.raises(ZeroDivisionError):
        conn.connect(watch=watch)
    assert not conn.is_connected
    conn.connect()
    assert conn.is_connected


def test_who_is_told_may_close_the_connection(peer):
    conn = peer.connection()

    def watch(told, version):
        if told is Moment.connected:
            conn.close()

    with pytest.raises(ConnectionLost, match="closed by this side"):
        conn.request("GET", "/", watch=watch)


def test_tls_is_told_of(real_tls):
    told = []
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"
    with real_tls(answer) as (port, context):
        with HTTP11Connection("localhost", port, True, context, timeout=10) as conn:
            conn.connect(watch=lambda *moment: told.append(moment))
            conn.request("GET", "/")
            assert conn.get_response().read() == b"done"
    moments = [Moment.connecting, Moment.connected, Moment.securing, Moment.secured]
    assert told == [(moment, None) for moment in moments]


# Batches.


def settle(peer):
    """Do as start(), and read all that the client says of itself."""
    conn, stream_id = start(peer)
    peer.want_nothing(conn)
    return conn, stream_id


def silent(peer):
    """Return True if nothing more has come from the client."""
    return not select.select([peer.sock], [], [], 0)[0]


def test_a_batch_goes_out_in_one_tls_record(tls_peer, ca):
    conn = tls_peer.connection(secure=True, ssl_context=init_context(ca.ca_file))
    connecting = background(conn.connect)
    tls_peer.greet()
    connecting.result()
    tls_peer.want_nothing(conn)
    with conn.batch():
        ids = [conn.request("GET", f"/{number}") for number in range(100)]
        assert silent(tls_peer)
    frames = frames_of(tls_peer.sock.recv(16384))  # one record, whatever is asked for
    assert [frame.stream_id for frame in frames] == ids
    assert {type(frame) for frame in frames} == {HeadersFrame}


def test_bodies_of_bytes_are_part_of_the_batch(peer):
    conn, first = settle(peer)
    finish(peer, conn, first)
    with conn.batch():
        ids = [conn.request("POST", "/", body) for body in (b"bytes", "str")]
        assert silent(peer)
        ids.append(conn.request("POST", "/", iter([b"pieces"])))
        assert not silent(peer)
    for stream_id, body in zip(ids, (b"bytes", b"str", b"pieces"), strict=True):
        peer.want_headers(stream_id)
        assert peer.want_body(stream_id) == body


def test_a_batch_goes_out_when_there_is_much_of_it(peer):
    conn, first = settle(peer)
    finish(peer, conn, first)
    with conn.batch():
        conn.request("POST", "/", bytes(30000))
        assert silent(peer)
        conn.request("POST", "/", bytes(30000))
        assert silent(peer)
        conn.request("POST", "/", bytes(5500))
        assert not silent(peer)


def test_a_wait_in_a_batch_sends_it(peer):
    conn, first = settle(peer)
    with conn.batch():
        second = conn.request("GET", "/second")
        assert silent(peer)
        task = background(conn.get_response, second)
        peer.want_headers(second)
        peer.respond(second)
        peer.respond(first)
        assert task.result().status == conn.get_response(first).status == 200
        third = conn.request("GET", "/third")
        assert silent(peer)
        peer.respond(third)  # before it was asked for: there is only this thread
        assert conn.get_response(third).status == 200
        assert not silent(peer)


def test_a_ping_in_a_batch_sends_it(peer):
    conn, _ = settle(peer)

    def batch():
        with conn.batch():
            conn.request("GET", "/second")
            return conn.ping("question")

    task = background(batch)
    peer.want_headers(3)
    assert peer.want(PingFrame).opaque_data == b"question"
    peer.send_ping(b"question", ack=True)
    assert task.result() >= 0


def test_a_batch_of_more_than_the_server_allows_waits_in_line(peer):
    conn, _ = start(peer, {SettingCodes.MAX_CONCURRENT_STREAMS: 2})
    assert conn.max_concurrent_streams == 2

    def batch():
        with conn.batch():
            return [conn.request("GET", f"/{number}") for number in range(3)]

    task = background(batch)
    for stream_id in (3, 5, 7):
        peer.want_headers(stream_id)
        peer.respond(stream_id - 2)
    assert task.result() == [3, 5, 7]
    finish(peer, conn, 7)


def test_what_a_batch_has_queued_is_sent_if_it_ends_by_an_exception(peer):
    conn, _ = settle(peer)

    def batch():
        with conn.batch():
            conn.request("GET", "/second")
            raise EOFError

    with pytest.raises(EOFError):
        batch()
    peer.want_headers(3)
    finish(peer, conn, 3)


def test_the_outermost_batch_counts(peer):
    conn, _ = settle(peer)
    with conn.batch():
        with conn.batch():
            ids = [conn.request("GET", "/second")]
        ids.append(conn.request("GET", "/third"))
        assert silent(peer)
    ids.append(conn.request("GET", "/fourth"))
    for stream_id in ids:
        peer.want_headers(stream_id)


def test_a_batch_holds_back_no_other_thread(peer):
    conn, first = settle(peer)
    with conn.batch():
        second = conn.request("GET", "/second")
        assert silent(peer)
        third = background(conn.request, "GET", "/third").result()
        peer.want_headers(second)
        peer.want_headers(third)
        fourth = conn.request("GET", "/fourth")
        assert silent(peer)
        peer.respond(first)
        assert background(conn.get_response, first).result().status == 200
        peer.want_headers(fourth)


def test_a_batch_holds_back_no_answer(peer):
    conn, _ = settle(peer)
    with conn.batch():
        peer.send_ping(b"question")
        conn.request("GET", "/second")
        assert not silent(peer)
        conn.request("GET", "/third")
    assert peer.want(PingFrame).opaque_data == b"question"
    assert peer.want_headers(3) != peer.want_headers(5)


def test_a_batch_whose_connection_is_lost_before_it_is_sent_goes_to_another(peer):
    conn, first = settle(peer)
    finish(peer, conn, first)
    with conn.batch():
        ids = [conn.request("POST", "/", b"body") for _ in range(2)]
        peer.hang_up()
    for stream_id, again in zip(ids, (7, 9), strict=True):
        task = background(conn.get_response, stream_id)
        if again == 7:
            peer.greet()
        peer.want_headers(again)
        assert peer.want_body(again) == b"body"
        peer.respond(again)
        assert task.result().stream_id == stream_id
    assert peer.connections == 2


def test_a_batch_that_a_goaway_forestalls_goes_elsewhere(peer):
    conn, first = settle(peer)
    finish(peer, conn, first)
    with conn.batch():
        ids = [conn.request("GET", f"/{number}") for number in range(2)]
        peer.send_goaway(first)
    peer.want_eof()
    for number, stream_id in enumerate(ids):
        task = background(conn.get_response, stream_id)
        if number == 0:
            peer.greet()
        assert peer.want_headers()[b":path"] == b"/%d" % number
        peer.respond(7 + 2 * number)
        assert task.result().stream_id == stream_id


def test_closing_in_a_batch_sends_it_first(peer):
    conn, _ = settle(peer)
    with conn.batch():
        second = conn.request("GET", "/second")
        conn.close()
    peer.want_headers(second)
    assert peer.want_goaway() == ErrorCodes.NO_ERROR


def test_an_empty_batch_does_nothing(peer):
    conn = peer.connection()
    with conn.batch():
        pass
    assert not peer.has_caller


def test_a_batch_of_http11_goes_one_by_one(text_peer):
    conn = text_peer.connection()
    with conn.batch():
        ids = [conn.request("POST", "/first", b"body")]
        text_peer.accept()
        task = background(conn.get_response, ids[0])
        assert text_peer.want_head()[0] == b"POST /first HTTP/1.1"
        assert text_peer.want_bytes(4) == b"body"
        text_peer.respond(b"first")
        assert task.result().read() == b"first"
        ids.append(conn.request("GET", "/second"))
    assert text_peer.want_head()[0] == b"GET /second HTTP/1.1"
    text_peer.respond(b"second")
    assert conn.get_response(ids[1]).read() == b"second"


def test_a_body_that_is_there_already_goes_out_with_the_headers(tls_peer, ca):
    conn = tls_peer.connection(secure=True, ssl_context=init_context(ca.ca_file))
    connecting = background(conn.connect)
    tls_peer.greet()
    connecting.result()
    tls_peer.want_nothing(conn)
    conn.request("POST", "/", b"body")
    frames = frames_of(tls_peer.sock.recv(16384))
    assert [type(frame) for frame in frames] == [HeadersFrame, DataFrame]


def test_the_head_of_a_tunnel_waits_for_nothing(peer):
    conn, _ = settle(peer)
    stream_id = conn.request("CONNECT", "far.test:1")
    assert peer.want_headers(stream_id)[b":authority"] == b"far.test:1"


# Signal handlers.

INTERRUPTED = [
    module.__file__
    for module in (
        hyper.exchange,
        hyper.http11.protocol,
        hyper.http20.machine,
        hyper.http20.protocol,
        hyper.response,
        hyper.transport.bufsocket,
        hyper.transport.dial,
        hyper.verbs,
    )
]


@pytest.mark.parametrize("kind", [HTTP11Connection, HTTP20Connection])
def test_a_signal_handler_may_close_the_connection_that_it_interrupts(kind):
    def use(conn, point):
        with interrupted_at(point, *INTERRUPTED, handler=conn.close) as hit:
            with contextlib.suppress(ConnectionLost):
                assert conn.get_response(conn.request("POST", "/post", b"x")).read()
        return hit

    points = 0
    with hyper.http2bin.serve(tls=False) as service:
        conn = kind("localhost", service.port, timeout=10)
        while background(use, conn, points).result():
            assert conn.open_streams == 0
            points += 1
        assert conn.get_response(conn.request("GET", "/get")).status == 200
        conn.close()
    assert points > 100
