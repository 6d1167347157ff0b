"""CONNECT and priorities: what the verbs make of their rarer arguments."""

import gc

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, SettingsFrame
from threads import background, wait_for

from hyper import (
    HTTP11Connection,
    HTTP20Connection,
    HTTPHeaderMap,
    LocalProtocolError,
    ReadTimeout,
    Timeout,
)
from hyper.exchange import Exchange

WEBSOCKETS = {SettingsFrame.ENABLE_CONNECT_PROTOCOL: 1}

# Tunnels.


def test_a_tunnel_over_http2_carries_bytes_both_ways(peer):
    conn = peer.connection()
    stream_id = conn.request("CONNECT", "a.test:443", headers={"x-name": "value"})
    peer.greet()
    assert peer.want_fields(stream_id) == [
        (b":method", b"CONNECT"),
        (b":authority", b"a.test:443"),
        (b"x-name", b"value"),
    ]
    peer.send_headers(stream_id, fields=[("content-length", "0")])
    response = conn.get_response(stream_id)
    conn.send(b"ping", stream_id=stream_id)
    assert peer.want(DataFrame).data == b"ping"
    peer.send_data(stream_id, b"pong")
    assert response.read1() == b"pong"
    conn.send(b"", final=True, stream_id=stream_id)
    assert "END_STREAM" in peer.want(DataFrame).flags
    peer.send_data(stream_id, b"bye", end=True)
    assert response.read() == b"bye"


def test_a_tunnel_whose_other_end_has_finished_can_still_be_sent_to(peer):
    conn = peer.connection()
    stream_id = conn.request("CONNECT", "a.test:443")
    peer.greet()
    peer.want_headers(stream_id)
    peer.send(peer.headers(stream_id), peer.data(stream_id, b"all", end=True))
    response = conn.get_response(stream_id)
    assert response.read() == b"all"
    conn.send(b"thanks", final=True)
    assert peer.want_body(stream_id) == b"thanks"
    peer.want_nothing(conn)
    assert conn.open_streams == 0


def test_a_tunnel_that_is_refused_is_not_sent_to(peer):
    conn = peer.connection()
    stream_id = conn.request("CONNECT", "a.test:443")
    peer.greet()
    peer.want_headers(stream_id)
    peer.respond(stream_id, b"no", status=403)
    response = conn.get_response(stream_id)
    assert response.status == 403
    conn.send(b"data", stream_id=stream_id)
    assert peer.want_reset(stream_id) == ErrorCodes.NO_ERROR


def test_a_tunnel_that_is_closed_is_cancelled(peer):
    conn = peer.connection()
    stream_id = conn.request("CONNECT", "a.test:443")
    peer.greet()
    peer.want_headers(stream_id)
    peer.send_headers(stream_id)
    conn.get_response(stream_id).close()
    assert peer.want_reset(stream_id) == ErrorCodes.CANCEL


def test_a_tunnel_over_http11_carries_bytes_both_ways(text_peer):
    conn = text_peer.connection()
    stream_id = conn.request("CONNECT", "[::1]:443")
    text_peer.accept()
    assert text_peer.want_head() == [b"CONNECT [::1]:443 HTTP/1.1", b"Host: [::1]:443"]
    text_peer.send_bytes(b"HTTP/1.1 200 Connection established\r\n\r\nhello")
    response = conn.get_response(stream_id)
    assert response.read1() == b"hello"
    conn.send(b"ping")
    assert text_peer.want_bytes(4) == b"ping"
    text_peer.hang_up()
    assert response.read() == b""


@pytest.mark.parametrize(
    "target",
    ["a.test", "a.test:", "/path", "https://a.test:443", "u@a.test:1", "a.test:0", "*"],
)
@pytest.mark.parametrize("of", [HTTP11Connection, HTTP20Connection])
def test_connect_goes_to_a_host_and_a_port(of, target):
    with pytest.raises(LocalProtocolError):
        of("localhost", 1).request("CONNECT", target)


@pytest.mark.parametrize(
    ("body", "headers"),
    [(b"x", {}), (None, {"content-length": "1"}), ([b""], {}), (None, {"te": "x"})],
)
def test_connect_has_no_content(body, headers):
    headers = {"transfer-encoding": "chunked"} if "te" in headers else headers
    if isinstance(body, list):
        headers = {"transfer-encoding": "chunked"}
    with pytest.raises(LocalProtocolError, match="no content"):
        HTTP20Connection("localhost", 1).request("CONNECT", "a.test:443", body, headers)


# Other protocols on a stream.


def test_a_protocol_is_connected_to_once_the_server_has_said_that_it_can(peer):
    conn = peer.connection()
    asking = background(conn.request, "CONNECT", "/chat?x", protocol="websocket")
    peer.greet(WEBSOCKETS)
    assert peer.want_fields(1) == [
        (b":method", b"CONNECT"),
        (b":protocol", b"websocket"),
        (b":scheme", b"http"),
        (b":authority", b"127.0.0.1:%d" % peer.port),
        (b":path", b"/chat?x"),
    ]
    assert asking.result() == 1
    peer.send(peer.headers(1), peer.data(1, b"\x81\x00"))
    assert conn.get_response(1).read1() == b"\x81\x00"


def test_putrequest_takes_a_protocol_too(peer):
    conn = peer.connection()
    conn.connect()
    peer.greet(WEBSOCKETS)
    conn.putrequest("CONNECT", "/chat", protocol=b"websocket")
    conn.putheader("sec-websocket-version", "13")
    stream_id = conn.endheaders()
    fields = peer.want_headers(stream_id)
    assert fields[b":protocol"] == b"websocket"
    assert fields[b"sec-websocket-version"] == b"13"


def test_a_server_that_knows_no_protocols_is_not_asked_for_one(peer):
    conn = peer.connection()
    asking = background(conn.request, "CONNECT", "/", protocol="websocket")
    peer.greet()
    assert isinstance(asking.error(), LocalProtocolError)
    assert conn.request("GET", "/") == 1
    assert peer.want_headers(1)[b":method"] == b"GET"


def test_http11_has_no_protocols_to_connect_to(text_peer):
    conn = text_peer.connection()
    with pytest.raises(LocalProtocolError, match=r"HTTP/1\.1"):
        conn.request("CONNECT", "/", protocol="websocket")


@pytest.mark.parametrize(
    ("method", "protocol", "problem"),
    [("GET", "websocket", "only CONNECT"), ("CONNECT", "web socket", "not a token")],
)
def test_a_protocol_is_a_token_and_belongs_to_connect(method, protocol, problem):
    with pytest.raises(LocalProtocolError, match=problem):
        HTTP20Connection("localhost", 1).request(method, "/", protocol=protocol)


# Priorities.


@pytest.mark.parametrize(
    ("priority", "value"), [(0, b"u=0"), (7, b"u=7"), ("u=1, i", b"u=1, i")]
)
def test_a_priority_is_sent_as_a_field(peer, priority, value):
    conn = peer.connection()
    stream_id = conn.request("GET", "/", priority=priority)
    peer.greet()
    assert peer.want_headers(stream_id)[b"priority"] == value


def test_putrequest_takes_a_priority_too(text_peer):
    conn = text_peer.connection()
    conn.putrequest("GET", "/", priority=6)
    conn.endheaders(final=True)
    text_peer.accept()
    assert b"Priority: u=6" in text_peer.want_head()


@pytest.mark.parametrize(
    ("priority", "error"),
    [
        (8, LocalProtocolError),
        (-1, LocalProtocolError),
        ("u=1\r\n", LocalProtocolError),
        ("ü", LocalProtocolError),
        ("u=1," * 251, LocalProtocolError),
        (True, TypeError),
        (1.5, TypeError),
    ],
)
def test_a_priority_that_is_none_is_refused(priority, error):
    with pytest.raises(error):
        HTTP20Connection("localhost", 1).request("GET", "/", priority=priority)


# Headers that are given again.


@pytest.mark.parametrize("kind", [dict, list, HTTPHeaderMap])
def test_headers_that_are_given_again_are_checked_once_and_sent_as_before(peer, kind):
    conn = peer.connection()
    given = kind([("X-A", "1"), ("Cookie", "b=2")])
    for priority in (None, 1, None):
        stream_id = conn.request("GET", "/", headers=given, priority=priority)
        if stream_id == 1:
            peer.greet()
        sent = peer.want_fields(stream_id)
        expected = [(b"x-a", b"1"), (b"cookie", b"b=2")]
        if priority is not None:
            expected.append((b"priority", b"u=1"))
        assert sent[4:] == expected


def test_headers_that_only_look_like_those_before_are_checked(peer):
    conn = peer.connection()
    for value in (1, 1):
        conn.request("GET", "/", headers={"X-A": value})
    for wrong in ({"X-A": True}, {"X-A": 1.0}, [["X-A", None]], [("X-A", [1])]):
        with pytest.raises(TypeError, match="must be str, bytes or int"):
            conn.request("GET", "/", headers=wrong)
    assert conn.open_streams == 2


def test_only_a_few_headers_are_remembered(peer):
    conn = peer.connection()
    names = [*range(20), *range(20)]
    for name in names:
        conn.request("GET", "/", headers={f"X-{name}": "x" * 100 * name})
    peer.greet()
    for stream_id, name in enumerate(names):
        sent = peer.want_headers(2 * stream_id + 1)
        assert sent[f"x-{name}".encode()] == b"x" * 100 * name


# Requests in pieces.


def test_the_last_piece_ends_the_request_in_the_same_frame(peer):
    conn = peer.connection()
    conn.putrequest("POST", "/")
    stream_id = conn.endheaders()
    peer.greet()
    peer.want_headers(stream_id)
    conn.send(b"some")
    conn.send(b"more", final=True)
    first, second = peer.want(DataFrame), peer.want(DataFrame)
    assert (first.data, "END_STREAM" in first.flags) == (b"some", False)
    assert (second.data, "END_STREAM" in second.flags) == (b"more", True)


def test_requests_that_are_given_up_before_their_end_are_forgotten(peer):
    conn = peer.connection()
    conn.connect()
    peer.greet()
    for _ in range(300):
        conn.putrequest("POST", "/")
        stream_id = conn.endheaders()
        peer.want_headers(stream_id)
        peer.send_headers(stream_id)
        response = conn.get_response(stream_id)
        response.close()
        assert peer.want_reset(stream_id) == ErrorCodes.CANCEL
    gc.collect()  # what other tests have left behind
    kept = [one for one in gc.get_objects() if isinstance(one, Exchange)]
    assert len(kept) < 150


def test_a_request_that_another_thread_has_ended_is_not_sent_to(peer):
    conn = peer.connection()
    conn.putrequest("POST", "/")
    stream_id = conn.endheaders()
    peer.greet({SettingsFrame.INITIAL_WINDOW_SIZE: 0})
    peer.want_headers(stream_id)
    assert conn.remote_settings.initial_window_size == 0
    sending = background(conn.send, b"late", stream_id=stream_id)
    wait_for(lambda: sending.waits_in("wait_until"))
    conn.send_trailers({"x-sum": "1"}, stream_id)
    assert peer.want_headers(stream_id) == {b"x-sum": b"1"}
    peer.send_window_update(stream_id, 10)
    peer.send_headers(stream_id)
    assert isinstance(sending.error(), LocalProtocolError)


# Requests that are part of something larger.


def test_a_request_that_nobody_wants_any_more_is_cancelled_over_http2(peer):
    conn = peer.connection()
    unwanted, wanted = conn.request("GET", "/1"), conn.request("GET", "/2")
    peer.greet()
    peer.want_headers(unwanted)
    peer.want_headers(wanted)
    conn.cancel(unwanted)
    assert peer.want_reset(unwanted) == ErrorCodes.CANCEL
    with pytest.raises(LocalProtocolError, match="no request with the id"):
        conn.get_response(unwanted)
    peer.respond(wanted, b"done")
    assert conn.get_response(wanted).read() == b"done"


def test_a_request_that_nobody_wants_any_more_is_cancelled_over_http11(text_peer):
    conn = text_peer.connection()
    unwanted = conn.request("GET", "/1")
    text_peer.accept()
    conn.cancel(unwanted)
    text_peer.want_eof()
    wanted = conn.request("GET", "/2")
    text_peer.accept()
    text_peer.respond(b"done")
    assert conn.get_response(wanted).read() == b"done"


def test_to_cancel_what_is_unknown_or_has_its_response_does_nothing(peer):
    conn = peer.connection()
    stream_id = conn.request("GET", "/")
    peer.greet()
    peer.want_headers(stream_id)
    peer.send_headers(stream_id)
    response = conn.get_response(stream_id)
    conn.cancel(stream_id)
    conn.cancel(99)
    peer.send_data(stream_id, b"done", end=True)
    assert response.read() == b"done"


def test_deadlines_that_run_already_are_not_begun_anew(peer):
    now = [1000.0]
    deadlines = Timeout(total=5).start(lambda: now[0])
    conn = peer.connection()
    stream_id = conn.request("GET", "/", timeout=deadlines)
    peer.greet()
    peer.want_headers(stream_id)
    now[0] += 5
    with pytest.raises(ReadTimeout, match="total timeout: 5 s"):
        conn.get_response(stream_id)
