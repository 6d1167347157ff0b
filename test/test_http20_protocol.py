"""HTTP/2 between the state machine and the Streams, without a socket."""

import pytest
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from hyperframe.frame import (
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from peer import Frames, frames_of, wire

from hyper.common.exceptions import (
    ConnectionLost,
    ConnectionTerminated,
    IncompleteRead,
    InvalidResponseError,
    LocalProtocolError,
    RemoteProtocolError,
    RequestNotProcessed,
    StreamResetError,
)
from hyper.common.protocol import CANCEL, EVERYONE, NO_ERROR
from hyper.common.request import Request
from hyper.http20.machine import ClientMachine
from hyper.http20.protocol import (
    LARGEST_FRAME,
    MAX_INTERIM,
    MAX_PIECES,
    MAX_UNREAD_WHILE_SENDING,
    PIECE,
    STREAMS_BEFORE_SETTINGS,
    UPLOAD_SIZE,
    H2Protocol,
    header_section,
)
from hyper.http20.reference import H2Machine
from hyper.http20.window import (
    AutoFlowControlManager,
    BaseFlowControlManager,
    FlowControlManager,
    Windows,
)

WINDOW = 100_000
CONNECTION_WINDOW = Windows().connection


@pytest.fixture(params=[H2Machine, ClientMachine])
def make(request):
    """The class of the state machine: each test is for both."""
    return request.param


@pytest.fixture
def windowed(make):
    """Return a function that returns a machine that announces windows of a size."""
    return lambda size: make({SettingsFrame.INITIAL_WINDOW_SIZE: size})


def make_request(method=b"GET", headers=(), body_length=0):
    return Request(method, b"https", b"a.test", b"/", list(headers), body_length)


@pytest.fixture
def server():
    return Frames()


@pytest.fixture
def protocol(windowed):
    return H2Protocol(windowed(WINDOW), FlowControlManager)


def sent(protocol):
    """Return the frames that the protocol wants to send, less the preface."""
    return frames_of(protocol.data_to_send())


def of(kind, frames):
    return [frame for frame in frames if isinstance(frame, kind)]


def greet(protocol, server, settings=None):
    protocol.receive_data(wire(server.settings(settings)))
    sent(protocol)


def open_stream(protocol, **kwargs):
    end_stream = kwargs.pop("end_stream", True)
    stream = protocol.open(make_request(**kwargs), end_stream)
    sent(protocol)
    protocol.touched.clear()
    return stream


# The beginning.


def test_the_connection_window_is_opened_at_once(protocol):
    first, update = sent(protocol)
    assert isinstance(first, SettingsFrame)
    assert isinstance(update, WindowUpdateFrame)
    assert (update.stream_id, update.window_increment) == (
        0,
        CONNECTION_WINDOW - 65535,
    )


@pytest.mark.scenario(10)
def test_before_the_settings_a_hundred_requests_may_be_opened(protocol, server):
    assert not protocol.settings_received
    assert protocol.free_places == STREAMS_BEFORE_SETTINGS
    greet(protocol, server, {SettingsFrame.MAX_CONCURRENT_STREAMS: 7})
    assert protocol.settings_received
    assert protocol.free_places == 7
    open_stream(protocol)
    assert (protocol.free_places, protocol.open_streams) == (6, 1)


@pytest.mark.scenario(41)
def test_fewer_places_than_streams_are_no_places(protocol, server):
    greet(protocol, server)
    open_stream(protocol), open_stream(protocol)
    greet(protocol, server, {SettingsFrame.MAX_CONCURRENT_STREAMS: 1})
    assert protocol.free_places == 0
    assert EVERYONE in protocol.touched


# Requests.


def test_ids_are_odd_and_grow(protocol):
    assert [open_stream(protocol).stream_id for _ in range(3)] == [1, 3, 5]
    assert protocol.next_stream_id == 7


@pytest.mark.scenario(237)
def test_ids_run_out(make, server):
    protocol = H2Protocol(make(), FlowControlManager, 5, highest_stream_id=7)
    open_stream(protocol), open_stream(protocol)
    assert not protocol.accepting
    assert protocol.free_places == 0


@pytest.mark.scenario(197)
def test_a_request_is_pseudo_headers_and_fields_in_lower_case():
    request = make_request(headers=[(b"X-A", b"b"), (b"X-A", b"c")])
    assert header_section(request) == [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":authority", b"a.test"),
        (b":path", b"/"),
        (b"x-a", b"b"),
        (b"x-a", b"c"),
    ]


def test_connect_has_neither_scheme_nor_path():
    assert header_section(make_request(b"CONNECT")) == [
        (b":method", b"CONNECT"),
        (b":authority", b"a.test"),
    ]


@pytest.mark.scenario(198)
def test_fields_of_one_hop_are_dropped_with_those_that_connection_names():
    headers = [
        (b"Connection", b"close, X-Hop"),
        (b"Keep-Alive", b"5"),
        (b"Upgrade", b"h2c"),
        (b"Proxy-Connection", b"close"),
        (b"X-Hop", b"1"),
        (b"X-Stays", b"1"),
    ]
    assert header_section(make_request(headers=headers))[4:] == [(b"x-stays", b"1")]


@pytest.mark.scenario(199)
def test_te_may_only_say_trailers():
    headers = [(b"TE", b"trailers"), (b"TE", b"gzip"), (b"Connection", b"TE")]
    assert header_section(make_request(headers=headers))[4:] == [(b"te", b"trailers")]


@pytest.mark.scenario(204)
@pytest.mark.parametrize("name", [b"Authorization", b"Cookie", b"Proxy-Authorization"])
def test_secrets_are_kept_out_of_the_compression_table(name):
    (field,) = header_section(make_request(headers=[(name, b"secret")]))[4:]
    assert not field.indexable


@pytest.mark.scenario(45)
def test_headers_larger_than_the_server_takes_are_not_sent(protocol, server):
    greet(protocol, server, {SettingsFrame.MAX_HEADER_LIST_SIZE: 200})
    with pytest.raises(LocalProtocolError, match="the server takes 200"):
        protocol.open(make_request(headers=[(b"a", b"b" * 100)]), True)
    assert sent(protocol) == []
    assert open_stream(protocol).stream_id == 1


@pytest.mark.scenario(207)
def test_headers_larger_than_a_frame_are_continued(protocol, server):
    greet(protocol, server)
    protocol.open(make_request(headers=[(b"a", b"\xff" * 20_000)]), True)
    frames = sent(protocol)
    assert isinstance(frames[0], HeadersFrame)
    assert len(frames) > 1


def test_a_machine_that_refuses_a_request_is_not_used_again(make):
    class Stubborn(make):
        def send_headers(self, *args, **kwargs):
            raise ProtocolError("not today")

    protocol = H2Protocol(Stubborn(), FlowControlManager)
    with pytest.raises(ConnectionLost, match="refused a request"):
        protocol.open(make_request(headers=[(b"a", b"b")]), True)
    assert not protocol.accepting


# Uploads.


@pytest.mark.scenario(109)
def test_a_frame_is_limited_by_the_peer_and_by_fairness(protocol, server):
    greet(protocol, server)
    stream = open_stream(protocol, method=b"POST", end_stream=False)
    body = bytes(range(256)) * 200
    protocol.send_data(stream, memoryview(body), False)
    pieces = [frame.data for frame in sent(protocol)]
    assert [*map(len, pieces)] == [16384, 16384, 16384, 2048]
    assert b"".join(pieces) == body
    greet(
        protocol,
        server,
        {
            SettingsFrame.MAX_FRAME_SIZE: 2**24 - 1,
            SettingsFrame.INITIAL_WINDOW_SIZE: 2**30,
        },
    )
    protocol.receive_data(wire(server.window_update(0, 2**30)))
    assert protocol.sendable(stream) == UPLOAD_SIZE
    protocol.send_data(stream, bytes(UPLOAD_SIZE), True)
    frames = sent(protocol)
    sizes = [len(frame.data) for frame in frames]
    assert sizes == [*[LARGEST_FRAME] * (len(frames) - 1), UPLOAD_SIZE % LARGEST_FRAME]
    *others, last = ["END_STREAM" in frame.flags for frame in frames]
    assert last
    assert not any(others)


@pytest.mark.scenario(91)
def test_a_window_that_turned_negative_waits(protocol, server):
    greet(protocol, server)
    stream = open_stream(protocol, method=b"POST", end_stream=False)
    protocol.send_data(stream, bytes(10000), False)
    greet(protocol, server, {SettingsFrame.INITIAL_WINDOW_SIZE: 100})
    assert protocol.sendable(stream) == 0
    protocol.receive_data(wire(server.window_update(1, 9901)))
    assert stream in protocol.touched
    assert protocol.sendable(stream) == 1


@pytest.mark.scenario(93)
def test_the_connections_window_wakes_those_that_wait_for_it(protocol, server):
    greet(protocol, server)
    first = open_stream(protocol, method=b"POST", end_stream=False)
    other = open_stream(protocol)
    while protocol.sendable(first):
        protocol.send_data(first, bytes(protocol.sendable(first)), False)
    protocol.touched.clear()
    protocol.receive_data(wire(server.window_update(1, 5)))
    assert protocol.sendable(first) == 0, "the connection's window is used up"
    protocol.touched.clear()
    protocol.receive_data(wire(server.window_update(0, 5)))
    assert protocol.touched == {first}
    assert other not in protocol.touched
    assert protocol.sendable(first) == 5


def test_an_exchange_that_is_over_takes_nothing(protocol, server):
    stream = open_stream(protocol)
    protocol.receive_data(wire(server.settings(), server.headers(1, 200, end=True)))
    assert protocol.sendable(stream) == 0


# Responses.


def test_a_response_fills_its_stream(protocol, server):
    stream = open_stream(protocol)
    protocol.receive_data(
        wire(
            server.settings(),
            server.headers(1, 103, [("link", "</a>")]),
            server.headers(1, 200, [("a", " b ")]),
            server.data(1, b"one"),
            server.data(1, b""),
            server.data(1, b"two"),
            server.headers(1, None, [("t", "u"), ("content-length", "5")], end=True),
        )
    )
    assert stream.informational == [(103, [(b"link", b"</a>")])]
    assert (stream.status, stream.headers) == (200, [(b"a", b"b")])
    assert list(stream.chunks) == [b"one", b"", b"two"]
    assert stream.buffered == 6
    assert stream.trailers == [(b"t", b"u")], "framing fields have no place there"
    assert stream.ended
    assert stream.error is None
    assert stream in protocol.touched
    assert protocol.open_streams == 0


@pytest.mark.scenario(71)
def test_interim_responses_are_limited_in_number(protocol, server):
    stream = open_stream(protocol)
    greet(protocol, server)
    for _ in range(MAX_INTERIM + 1):
        protocol.receive_data(wire(server.headers(1, 103)))
    assert isinstance(stream.error, InvalidResponseError)
    assert [f.stream_id for f in of(RstStreamFrame, sent(protocol))] == [1]


@pytest.mark.scenario(71)
def test_interim_responses_are_limited_in_size(protocol, server):
    stream = open_stream(protocol)
    greet(protocol, server)
    for index in range(MAX_INTERIM):
        fields = [(f"x-{index}", "y" * 15000)]
        protocol.receive_data(wire(server.headers(1, 103, fields)))
    assert isinstance(stream.error, InvalidResponseError)


@pytest.mark.scenario(64)
def test_a_body_shorter_than_announced_is_an_error_of_its_stream(protocol, server):
    stream = open_stream(protocol)
    protocol.receive_data(
        wire(
            server.settings(),
            server.headers(1, 200, [("content-length", "10")]),
            server.data(1, b"abc", end=True),
        )
    )
    assert isinstance(stream.error, IncompleteRead)
    assert stream.error.expected == 7
    assert list(stream.chunks) == [b"abc"]
    assert protocol.failure is None


@pytest.mark.scenario(65)
@pytest.mark.scenario(66)
@pytest.mark.parametrize("end", ["headers", "trailers"])
def test_a_body_may_not_end_early_by_headers_or_trailers(protocol, server, end):
    stream = open_stream(protocol)
    length = [("content-length", "10")]
    frames = [server.headers(1, 200, length, end=end == "headers")]
    if end == "trailers":
        frames.append(server.headers(1, None, [("t", "u")], end=True))
    protocol.receive_data(wire(server.settings(), *frames))
    assert isinstance(stream.error, IncompleteRead)


@pytest.mark.scenario(64)
def test_a_body_longer_than_announced_is_an_error_of_its_stream(protocol, server):
    stream = open_stream(protocol)
    greet(protocol, server)
    protocol.receive_data(
        wire(
            server.headers(1, 200, [("content-length", "2")]),
            server.data(1, b"ab"),
            server.data(1, b"c"),
        )
    )
    assert isinstance(stream.error, InvalidResponseError)
    assert list(stream.chunks) == [b"ab"]
    assert of(RstStreamFrame, sent(protocol))
    assert protocol.failure is None


@pytest.mark.scenario(64)
def test_a_surplus_in_the_last_frame_resets_nothing_any_more(protocol, server):
    stream = open_stream(protocol)
    greet(protocol, server)
    protocol.receive_data(
        wire(
            server.headers(1, 200, [("content-length", "2")]),
            server.data(1, b"abc", end=True),
        )
    )
    assert isinstance(stream.error, InvalidResponseError)
    assert of(RstStreamFrame, sent(protocol)) == []


@pytest.mark.scenario(67)
@pytest.mark.scenario(69)
@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 304)])
def test_a_response_without_a_body_may_still_say_its_length(
    protocol, server, method, status
):
    stream = open_stream(protocol, method=method)
    protocol.receive_data(
        wire(
            server.settings(),
            server.headers(1, status, [("content-length", "10")]),
            server.data(1, b"", end=True),
        )
    )
    assert stream.ended
    assert stream.error is None


@pytest.mark.scenario(68)
def test_a_response_to_head_with_a_body_is_an_error_of_its_stream(protocol, server):
    stream = open_stream(protocol, method=b"HEAD")
    protocol.receive_data(
        wire(server.settings(), server.headers(1, 200), server.data(1, b"x"))
    )
    assert stream.status == 200
    assert isinstance(stream.error, InvalidResponseError)


def test_a_malformed_response_says_what_is_wrong(protocol, server):
    stream = open_stream(protocol)
    protocol.receive_data(
        wire(server.settings(), server.headers(1, 200, [("connection", "close")]))
    )
    assert isinstance(stream.error, InvalidResponseError)
    assert "'connection'" in str(stream.error)
    assert protocol.failure is None


@pytest.mark.scenario(88)
def test_a_body_in_tiny_frames_takes_little_more_memory_than_its_bytes(
    protocol, server
):
    greet(protocol, server)
    stream = open_stream(protocol)
    protocol.receive_data(wire(server.headers(1)))
    body = bytes(range(250)) * 40
    pieces = [body[start : start + 2] for start in range(0, len(body), 2)]
    protocol.receive_data(wire(*(server.data(1, piece) for piece in pieces)))
    assert (stream.buffered, b"".join(stream.chunks)) == (len(body), body)
    assert len(stream.chunks) == MAX_PIECES + 1
    assert max(map(len, stream.chunks)) == PIECE


# Resets.


@pytest.mark.scenario(110)
def test_a_refused_stream_was_not_processed(protocol, server):
    stream = open_stream(protocol)
    protocol.receive_data(
        wire(server.settings(), server.reset(1, ErrorCodes.REFUSED_STREAM))
    )
    assert isinstance(stream.error, RequestNotProcessed)
    assert stream.error.retry_safe


@pytest.mark.scenario(113)
@pytest.mark.parametrize(
    ("code", "name"), [(ErrorCodes.INTERNAL_ERROR, "INTERNAL_ERROR"), (0xFF, "0xff")]
)
def test_a_reset_stream_has_its_code(protocol, server, code, name):
    stream = open_stream(protocol)
    protocol.receive_data(wire(server.settings(), server.reset(1, code)))
    assert isinstance(stream.error, StreamResetError)
    assert stream.error.error_code == code
    assert stream.error.stream_id == 1
    assert stream.error.by_peer
    assert not stream.error.retry_safe
    assert f"the server reset stream 1: {name}" in str(stream.error).replace(
        "error 0xff", "0xff"
    )


@pytest.mark.scenario(96)
def test_a_stream_that_the_machine_reset_is_not_the_peers_doing(protocol, server):
    greet(protocol, server)
    stream = open_stream(protocol, method=b"POST", end_stream=False)
    protocol.receive_data(wire(server.window_update(1, 2**31 - 1)))
    assert isinstance(stream.error, StreamResetError)
    assert not stream.error.by_peer


@pytest.mark.scenario(99)
def test_a_reset_after_the_whole_response_only_stops_the_upload(protocol, server):
    stream = open_stream(protocol, method=b"POST", end_stream=False)
    protocol.receive_data(
        wire(server.settings(), server.headers(1, 200, end=True), server.reset(1, 0))
    )
    assert stream.ended
    assert stream.error is None
    assert protocol.open_streams == 0


@pytest.mark.scenario(117)
def test_a_cancelled_stream_frees_its_place_and_is_reset_once(protocol, server):
    greet(protocol, server)
    stream = open_stream(protocol)
    protocol.receive_data(wire(server.headers(stream.stream_id)))
    protocol.reset(stream, None, CANCEL)
    protocol.reset(stream, None, CANCEL)
    (frame,) = sent(protocol)
    assert frame.error_code == CANCEL
    assert isinstance(stream.error, StreamResetError)
    assert not stream.error.by_peer
    assert protocol.open_streams == 0
    assert protocol.free_places == protocol.max_concurrent_streams


@pytest.mark.scenario(118)
def test_a_cancel_on_a_silent_connection_keeps_its_place_until_a_ping_is_answered(
    protocol, server
):
    greet(protocol, server, {SettingsFrame.MAX_CONCURRENT_STREAMS: 3})
    first, second = open_stream(protocol), open_stream(protocol)
    protocol.queue.append("next")
    protocol.reset(first, None, CANCEL)
    protocol.reset(second, None, CANCEL)
    frames = sent(protocol)
    assert len(of(RstStreamFrame, frames)) == 2
    (ping,) = of(PingFrame, frames)
    assert (protocol.open_streams, protocol.free_places) == (0, 1)
    protocol.touched.clear()
    protocol.receive_data(wire(server.ping(ping.opaque_data, ack=True)))
    assert protocol.free_places == 3
    assert "next" in protocol.touched


@pytest.mark.scenario(118)
def test_cancels_without_any_response_between_them_do_not_send_ping_after_ping(
    protocol, server
):
    greet(protocol, server)
    protocol.reset(open_stream(protocol), None, CANCEL)
    (ping,) = of(PingFrame, sent(protocol))
    protocol.receive_data(wire(server.ping(ping.opaque_data, ack=True)))
    protocol.reset(open_stream(protocol), None, CANCEL)
    assert not of(PingFrame, sent(protocol))
    answered = open_stream(protocol)
    protocol.receive_data(wire(server.headers(answered.stream_id, end=True)))
    protocol.reset(open_stream(protocol), None, CANCEL)
    assert of(PingFrame, sent(protocol))


@pytest.mark.scenario(112)
def test_a_connection_that_reset_us_for_a_protocol_error_takes_no_new_requests(
    protocol, server
):
    greet(protocol, server)
    stream, other = open_stream(protocol), open_stream(protocol)
    protocol.receive_data(
        wire(server.reset(stream.stream_id, ErrorCodes.PROTOCOL_ERROR))
    )
    assert isinstance(stream.error, StreamResetError)
    assert not protocol.accepting
    assert not protocol.finished
    protocol.receive_data(wire(server.headers(other.stream_id, end=True)))
    assert other.ended
    assert protocol.finished


# Uploads share the window.


@pytest.mark.scenario(108)
def test_uploads_take_turns_some_frames_each(protocol, server):
    greet(protocol, server)
    first, second, third = (
        open_stream(protocol, method=b"PUT", end_stream=False) for _ in range(3)
    )
    assert protocol.sendable(first) == 65535
    assert protocol.sendable(second) == 0, "it is the first one's turn"
    assert protocol.sendable(third) == 0
    assert protocol.sendable(first) == 16384, "others wait"
    protocol.touched.clear()
    protocol.send_data(first, b"x", False)
    assert second in protocol.touched
    assert protocol.sendable(first) == 0
    assert protocol.sendable(third) == 0
    assert protocol.sendable(second) > 0
    protocol.touched.clear()
    protocol.reset(second, None, CANCEL)
    assert third in protocol.touched
    assert protocol.sendable(third) > 0


@pytest.mark.scenario(108)
def test_an_upload_whose_own_window_is_closed_lets_the_others_pass(protocol, server):
    greet(protocol, server, {SettingsFrame.INITIAL_WINDOW_SIZE: 1})
    first, second = (
        open_stream(protocol, method=b"PUT", end_stream=False) for _ in range(2)
    )
    protocol.send_data(first, b"x", False)
    assert protocol.sendable(first) == 0
    assert protocol.sendable(second) == 1


@pytest.mark.scenario(108)
def test_uploads_that_wait_for_the_connection_keep_their_turns(protocol, server):
    greet(protocol, server)
    first, second, third = (
        open_stream(protocol, method=b"PUT", end_stream=False) for _ in range(3)
    )
    while amount := protocol.sendable(first):
        protocol.send_data(first, bytes(amount), False)
    assert protocol.sendable(second) == protocol.sendable(third) == 0
    protocol.touched.clear()
    protocol.receive_data(wire(server.window_update(0, 100)))
    assert {first, second} <= protocol.touched
    assert protocol.sendable(second) == 0
    assert protocol.sendable(first) == 0, "its own window is closed too"
    assert second in protocol.touched
    assert protocol.sendable(second) == 100


def test_an_abandoned_stream_is_cancelled_with_the_next_bytes(protocol, server):
    greet(protocol, server)
    stream = open_stream(protocol)
    protocol.abandoned.append(stream)
    (reset,) = of(RstStreamFrame, sent(protocol))
    assert reset.error_code == CANCEL


@pytest.mark.scenario(98)
def test_a_request_that_is_not_wanted_any_more_is_stopped(protocol, server):
    stream = open_stream(protocol, method=b"POST", end_stream=False)
    protocol.receive_data(wire(server.settings(), server.headers(1, 413, end=True)))
    assert stream.ended
    assert protocol.open_streams == 1, "its own side is still open"
    sent(protocol)
    protocol.reset(stream, None, NO_ERROR)
    assert [frame.error_code for frame in sent(protocol)] == [NO_ERROR]
    assert stream.error is None
    assert protocol.open_streams == 0


def test_an_upload_whose_response_came_up_short_is_cancelled(protocol, server):
    stream = open_stream(protocol, method=b"POST", end_stream=False)
    greet(protocol, server)
    protocol.receive_data(
        wire(server.headers(1, 200, [("content-length", "1")], end=True))
    )
    assert isinstance(stream.error, IncompleteRead)
    assert [frame.error_code for frame in sent(protocol)] == [CANCEL]


def test_a_place_that_comes_free_is_for_the_first_in_the_queue(protocol, server):
    greet(protocol, server, {SettingsFrame.MAX_CONCURRENT_STREAMS: 1})
    open_stream(protocol)
    first, second = object(), object()
    protocol.queue.extend([first, second])
    protocol.receive_data(wire(server.headers(1, 200, end=True)))
    assert first in protocol.touched
    assert second not in protocol.touched


@pytest.mark.scenario(84)
def test_what_still_comes_on_a_closed_stream_is_of_no_interest(protocol, server):
    greet(protocol, server)
    stream = open_stream(protocol)
    protocol.receive_data(wire(server.headers(1, 200)))
    protocol.reset(stream, None, CANCEL)
    protocol.receive_data(
        wire(
            server.data(1, b"late"),
            server.headers(1, None, [("t", "u")], end=True),
            server.reset(1, 0),
        )
    )
    assert not stream.chunks
    assert protocol.failure is None


# Credit.


def test_the_connections_credit_is_given_on_receipt(windowed, protocol, server):
    open_stream(protocol)
    greet(protocol, server)
    protocol.receive_data(wire(server.headers(1, 200)))
    given = 0
    other = H2Protocol(windowed(2**24), FlowControlManager)
    open_stream(other)
    frames = Frames()
    other.receive_data(wire(frames.settings(), frames.headers(1, 200)))
    sent(other)
    for _ in range(CONNECTION_WINDOW // 16384 - 1):
        other.receive_data(wire(frames.data(1, bytes(16384))))
    for update in of(WindowUpdateFrame, sent(other)):
        assert update.stream_id == 0
        given += update.window_increment
    assert given > CONNECTION_WINDOW // 2


@pytest.mark.scenario(83)
@pytest.mark.scenario(87)
def test_a_streams_credit_is_given_when_the_user_has_read(protocol, server):
    stream = open_stream(protocol)
    greet(protocol, server)
    protocol.receive_data(wire(server.headers(1, 200)))
    for _ in range(6):
        protocol.receive_data(wire(server.data(1, bytes(16000))))
    assert of(WindowUpdateFrame, sent(protocol)) == []
    protocol.consumed(stream, 96000)
    (update,) = sent(protocol)
    assert (update.stream_id, update.window_increment) == (1, 96000)


@pytest.mark.scenario(84)
def test_data_on_streams_that_are_closed_costs_the_connection_no_credit(make, server):
    protocol = H2Protocol(make(), AutoFlowControlManager)
    greet(protocol, server)
    credit = 0
    for _ in range(40):
        stream = open_stream(protocol)
        protocol.receive_data(wire(server.headers(stream.stream_id)))
        protocol.reset(stream, None, CANCEL)
        late = server.data(stream.stream_id, bytes(16384))
        for _ in range(30):
            protocol.receive_data(wire(late))
        for frame in of(WindowUpdateFrame, sent(protocol)):
            assert frame.stream_id == 0
            credit += frame.window_increment
    used = 40 * 30 * 16384
    assert CONNECTION_WINDOW - used + credit >= CONNECTION_WINDOW // 2


@pytest.mark.parametrize("end", ["end", "reset", "fault"])
def test_padding_in_the_last_frames_is_nobodys_fault(protocol, server, end):
    stream = open_stream(protocol)
    greet(protocol, server)
    padded = DataFrame(1, b"x", flags=["PADDED"], pad_length=5)
    last = {
        "end": server.data(1, b"y", end=True),
        "reset": server.reset(1, ErrorCodes.CANCEL),
        "fault": server.settings({SettingsFrame.ENABLE_PUSH: 1}),
    }[end]
    protocol.receive_data(wire(server.headers(1, 200), padded, last))
    assert stream.chunks[0] == b"x"
    assert stream.over


def test_what_came_before_a_fault_is_taken_though_nothing_can_be_answered(
    protocol, server
):
    greet(protocol, server)
    longer, late, early = (open_stream(protocol) for _ in range(3))
    upload = open_stream(protocol, method=b"POST", end_stream=False)
    protocol.receive_data(
        wire(
            server.headers(1, 200, [("content-length", "1")]),
            server.data(1, b"too long"),
            server.headers(5, 200),
            server.data(5, bytes(16384)),
            server.headers(7, 200, [("content-length", "9")], end=True),
            server.settings({SettingsFrame.ENABLE_PUSH: 1}),
        )
    )
    assert isinstance(longer.error, InvalidResponseError)
    assert isinstance(late.error, RemoteProtocolError)
    assert len(early.chunks) == 1
    assert isinstance(upload.error, IncompleteRead)
    protocol.abandoned.append(early)
    assert of(GoAwayFrame, sent(protocol))


def test_two_pings_of_the_same_bytes_are_answered_one_by_one(protocol, server):
    greet(protocol, server)
    first, second = protocol.ping(b"--------"), protocol.ping(b"--------")
    protocol.receive_data(wire(server.ping(b"--------", ack=True)))
    assert (first.answered, second.answered) == (True, False)
    protocol.receive_data(wire(server.ping(b"--------", ack=True)))
    assert second.answered


@pytest.mark.parametrize("end", ["closed", "lost"])
def test_a_connection_that_has_ended_sends_no_ping(make, protocol, server, end):
    greet(protocol, server)
    if end == "closed":
        protocol.close()
    else:
        protocol.receive_eof(True)
    with pytest.raises(ConnectionLost):
        protocol.ping()
    stream = open_stream(H2Protocol(make()))
    protocol.abandoned.append(stream)
    protocol.data_to_send()


# Frames of one size in a row, which may be told of at once.


@pytest.fixture(params=[AutoFlowControlManager, FlowControlManager])
def download(request, windowed, server):
    """A protocol, and the stream of a response of 10,000 bytes whose head has come."""
    protocol = H2Protocol(windowed(WINDOW), request.param)
    greet(protocol, server)
    stream = open_stream(protocol, method=b"POST", end_stream=False)
    head = server.headers(1, 200, [("content-length", "10000")])
    protocol.receive_data(wire(head))
    sent(protocol)
    protocol.touched.clear()
    return protocol, stream


def frames_in_a_row(server, number, size=1000):
    return b"".join(wire(server.data(1, bytes([n]) * size)) for n in range(number))


def all_pieces(stream):
    chunks = ([c] if isinstance(c, bytes) else c for c in stream.chunks)
    return [piece for pieces in chunks for piece in pieces]


@pytest.mark.parametrize("cut", [1, 1009, 5000, 100_000])
def test_frames_in_a_row_are_pieces_of_a_body(download, server, cut):
    protocol, stream = download
    data = frames_in_a_row(server, 9)
    for start in range(0, len(data), cut):
        protocol.receive_data(data[start : start + cut])
    assert stream in protocol.touched
    assert all_pieces(stream) == [bytes([n]) * 1000 for n in range(9)]
    assert stream.buffered == 9000
    protocol.receive_data(wire(server.data(1, bytes(1000), end=True)))
    assert stream.ended


def test_frames_in_a_row_that_are_too_many_are_refused(download, server):
    protocol, stream = download
    protocol.receive_data(frames_in_a_row(server, 11) + frames_in_a_row(server, 3, 99))
    assert "longer than its 10000 bytes" in str(stream.error)
    assert len(stream.chunks) == 10
    (reset,) = of(RstStreamFrame, sent(protocol))
    assert reset.error_code == ErrorCodes.PROTOCOL_ERROR
    assert protocol.failure is None


def test_a_manager_of_the_users_is_told_of_each_frame(windowed, server):
    told = []

    class Manager(BaseFlowControlManager):
        def increase_window_size(self, frame_size):
            told.append(frame_size)
            return 0

    protocol = H2Protocol(windowed(WINDOW), Manager)
    greet(protocol, server)
    stream = open_stream(protocol)
    protocol.receive_data(wire(server.headers(1, 200)) + frames_in_a_row(server, 3))
    assert told == [1000] * 3, "by the connection"
    protocol.consumed(stream, *map(len, stream.chunks))
    assert told == [1000] * 6


@pytest.mark.scenario(81)
def test_padding_is_given_back_at_once(protocol, server):
    open_stream(protocol)
    greet(protocol, server)
    protocol.receive_data(wire(server.headers(1, 200)))
    padded = DataFrame(1, b"x", flags=["PADDED"], pad_length=255)
    protocol.receive_data(wire(padded))
    (update,) = sent(protocol)
    assert (update.stream_id, update.window_increment) == (1, 256)
    last = DataFrame(1, b"x", flags=["PADDED", "END_STREAM"], pad_length=255)
    protocol.receive_data(wire(last))
    assert of(WindowUpdateFrame, sent(protocol)) == []


def test_a_stream_that_is_over_needs_no_credit(protocol, server):
    stream = open_stream(protocol)
    protocol.receive_data(
        wire(server.settings(), server.headers(1, 200), server.data(1, b"x", end=True))
    )
    sent(protocol)
    protocol.consumed(stream, 1)
    assert sent(protocol) == []


def test_window_managers_of_users_decide(windowed, server):
    class Generous(BaseFlowControlManager):
        def increase_window_size(self, frame_size):
            return frame_size + 1

    protocol = H2Protocol(windowed(WINDOW), Generous)
    stream = open_stream(protocol)
    greet(protocol, server)
    protocol.receive_data(wire(server.headers(1, 200), server.data(1, b"12345")))
    protocol.consumed(stream, 5)
    assert [(f.stream_id, f.window_increment) for f in sent(protocol)] == [
        (0, 6),
        (1, 6),
    ]


def test_window_managers_are_told_the_size_of_the_document(windowed, server):
    seen = []

    class Curious(FlowControlManager):
        def increase_window_size(self, frame_size):
            seen.append((frame_size, self.document_size))
            return 0

    protocol = H2Protocol(windowed(WINDOW), Curious)
    stream = open_stream(protocol)
    greet(protocol, server)
    length = [("content-length", "10")]
    protocol.receive_data(
        wire(server.headers(1, 200, length), server.data(1, b"12345"))
    )
    protocol.consumed(stream, 5)
    assert seen == [(5, None), (5, 10)], "the connection's, and the stream's"


# Windows that grow.


def probing(protocol, server, received):
    """Let so much of a response arrive; return the PINGs that this sent."""
    while received:
        piece = min(received, 16384)
        protocol.receive_data(wire(server.data(1, bytes(piece))))
        received -= piece
    return of(PingFrame, sent(protocol))


class Downloading(H2Protocol):
    """A protocol that knows the stream of its one download."""


@pytest.fixture
def growing(windowed, server):
    """A protocol with one download under way, its window 100,000 bytes."""
    windows = Windows(stream=WINDOW, max_stream=5 * WINDOW, total=6 * WINDOW)
    protocol = Downloading(
        windowed(WINDOW),
        AutoFlowControlManager,
        windows=windows,
    )
    protocol.stream = open_stream(protocol)
    greet(protocol, server)
    protocol.receive_data(wire(server.headers(1, 200)))
    return protocol


def read_all(protocol):
    """Do as a user who reads all there is; return the credit that this gives."""
    amount, protocol.stream.buffered = protocol.stream.buffered, 0
    protocol.consumed(protocol.stream, amount)
    updates = of(WindowUpdateFrame, sent(protocol))
    return sum(u.window_increment for u in updates if u.stream_id == 1)


def test_a_short_response_is_not_measured(growing, server):
    assert probing(growing, server, WINDOW // 4 - 1) == []


@pytest.mark.scenario(142)
def test_a_window_of_which_half_comes_in_a_round_trip_grows(growing, server):
    (ping,) = probing(growing, server, WINDOW // 4)
    assert probing(growing, server, WINDOW // 2 - 1) == [], "one at a time"
    assert read_all(growing) == WINDOW * 3 // 4 - 1
    probing(growing, server, 1)
    assert read_all(growing) == 3 * WINDOW + 1, "not only when the PING is answered"
    growing.receive_data(wire(server.ping(ping.opaque_data, ack=True)))
    assert probing(growing, server, 1), "the larger one is measured"


def fill_a_round_trip(protocol, server, ping, received):
    """Let so much arrive and be read before the PING is answered."""
    while received > 0:
        protocol.receive_data(wire(server.data(1, bytes(10_000))))
        read_all(protocol)
        received -= 10_000
    protocol.receive_data(wire(server.ping(ping.opaque_data, ack=True)))


def test_a_window_grows_no_further_than_its_limit(growing, server):
    (ping,) = probing(growing, server, WINDOW // 2)
    # To four times its size, and to five times.
    fill_a_round_trip(growing, server, ping, 3 * WINDOW)
    for _ in range(2):
        assert probing(growing, server, 3 * WINDOW) == [], "nothing is to be found out"
        credit = read_all(growing)
    assert credit == 3 * WINDOW


@pytest.mark.scenario(142)
def test_a_window_that_holds_nobody_up_is_soon_left_alone(growing, server):
    for _ in range(3):
        (ping,) = probing(growing, server, WINDOW // 4)
        read_all(growing)
        fill_a_round_trip(growing, server, ping, 10_000)
    assert probing(growing, server, WINDOW // 2) == []


def test_windows_together_grow_no_further_than_their_limit(windowed, server):
    windows = Windows(stream=WINDOW, max_stream=4 * WINDOW, total=4 * WINDOW)
    protocol = Downloading(
        windowed(WINDOW),
        AutoFlowControlManager,
        windows=windows,
    )
    protocol.stream = open_stream(protocol)
    others = [open_stream(protocol) for _ in range(3)]
    greet(protocol, server)
    protocol.receive_data(wire(server.headers(1, 200)))
    (ping,) = probing(protocol, server, WINDOW // 2)
    probing(protocol, server, WINDOW // 2)
    protocol.receive_data(wire(server.ping(ping.opaque_data, ack=True)))
    assert read_all(protocol) == WINDOW
    assert len(others) == 3


# A server that answers while it is still being asked.


@pytest.mark.scenario(103)
@pytest.mark.parametrize("manager", [AutoFlowControlManager, FlowControlManager])
def test_while_a_call_sends_its_own_stream_gets_credit_on_receipt(
    windowed, manager, server
):
    protocol = H2Protocol(windowed(WINDOW), manager)
    greet(protocol, server)
    stream = open_stream(protocol, method=b"POST", end_stream=False)
    stream.sending = True
    protocol.receive_data(wire(server.headers(1, 200)))
    given = 0
    for _ in range(10):
        protocol.receive_data(wire(*[server.data(1, bytes(16000))] * 2))
        given += sum(f.window_increment for f in sent(protocol) if f.stream_id == 1)
    assert given >= 320_000 - WINDOW
    protocol.consumed(stream, 320_000)
    assert of(WindowUpdateFrame, sent(protocol)) == [], "it was given already"


def test_what_came_before_the_call_began_to_send_gets_credit_too(protocol, server):
    greet(protocol, server)
    stream = open_stream(protocol, method=b"POST", end_stream=False)
    protocol.receive_data(wire(server.headers(1, 200)))
    for _ in range(6):
        protocol.receive_data(wire(server.data(1, bytes(16000))))
    assert of(WindowUpdateFrame, sent(protocol)) == []
    stream.sending = True
    protocol.sendable(stream)
    (update,) = of(WindowUpdateFrame, sent(protocol))
    assert (update.stream_id, update.window_increment) == (1, 96000)


def test_what_comes_while_a_call_sends_is_bounded(windowed, server):
    protocol = H2Protocol(windowed(2**26), FlowControlManager)
    greet(protocol, server)
    stream = open_stream(protocol, method=b"POST", end_stream=False)
    stream.sending = True
    protocol.receive_data(wire(server.headers(1, 200)))
    frame = wire(server.data(1, bytes(16384)))
    for _ in range(MAX_UNREAD_WHILE_SENDING // 16384):
        protocol.receive_data(frame)
        sent(protocol)
    assert stream.error is None
    protocol.receive_data(frame)
    assert isinstance(stream.error, LocalProtocolError)
    assert "another thread" in str(stream.error)
    assert [f.error_code for f in of(RstStreamFrame, sent(protocol))] == [CANCEL]


# PING.


@pytest.mark.scenario(137)
def test_a_ping_is_answered_by_its_own_acknowledgement(protocol, server):
    greet(protocol, server)
    first, second = protocol.ping(), protocol.ping(b"12345678")
    pings = of(PingFrame, sent(protocol))
    assert pings[1].opaque_data == b"12345678"
    assert pings[0].opaque_data != pings[1].opaque_data
    protocol.touched.clear()
    protocol.receive_data(wire(server.ping(b"unasked!", ack=True)))
    assert not protocol.touched
    protocol.receive_data(wire(server.ping(b"12345678", ack=True)))
    assert (first.answered, second.answered) == (False, True)
    assert protocol.touched == {second}


# The end of the connection.


@pytest.mark.scenario(125)
@pytest.mark.scenario(124)
def test_a_goaway_divides_the_streams(protocol, server):
    greet(protocol, server)
    first, second = open_stream(protocol), open_stream(protocol)
    protocol.receive_data(wire(server.goaway(1, 0, b"why")))
    assert isinstance(second.error, RequestNotProcessed)
    assert "NO_ERROR b'why'" in str(second.error)
    assert first.error is None
    assert not protocol.accepting
    assert not protocol.finished
    protocol.receive_data(wire(server.headers(1, 200, end=True)))
    assert first.ended
    assert protocol.finished


@pytest.mark.scenario(123)
def test_of_two_goaways_the_second_counts(protocol, server):
    greet(protocol, server)
    first, second = open_stream(protocol), open_stream(protocol)
    protocol.receive_data(wire(server.goaway(2**31 - 1)))
    assert second.error is None
    assert not protocol.accepting
    protocol.receive_data(wire(server.goaway(1)))
    assert first.error is None
    assert isinstance(second.error, RequestNotProcessed)


@pytest.mark.scenario(128)
def test_a_second_goaway_brings_nothing_back(protocol, server):
    greet(protocol, server)
    first, second = open_stream(protocol), open_stream(protocol)
    protocol.receive_data(wire(server.goaway(1), server.goaway(3)))
    assert isinstance(second.error, RequestNotProcessed)
    protocol.receive_eof(True)
    assert isinstance(first.error, ConnectionTerminated)
    assert first.error.last_stream_id == 1


@pytest.mark.scenario(127)
@pytest.mark.scenario(129)
def test_streams_that_a_goaway_left_fail_with_its_reason(protocol, server):
    greet(protocol, server)
    stream = open_stream(protocol)
    debug = b"\x1b[31m" + b"x" * 1000
    protocol.receive_data(wire(server.goaway(1, ErrorCodes.ENHANCE_YOUR_CALM, debug)))
    protocol.receive_eof(True)
    error = stream.error
    assert isinstance(error, ConnectionTerminated)
    assert error.error_code == ErrorCodes.ENHANCE_YOUR_CALM
    assert error.debug_data == debug
    assert "ENHANCE_YOUR_CALM" in str(error)
    assert "\x1b" not in str(error)
    assert len(str(error)) < 400
    assert not error.retry_safe


def test_the_end_of_the_bytes_fails_what_is_open(protocol, server):
    greet(protocol, server)
    stream = open_stream(protocol)
    protocol.receive_eof(True)
    assert isinstance(stream.error, ConnectionLost)
    assert protocol.failure is stream.error
    assert protocol.finished
    assert protocol.touched == {EVERYONE}
    protocol.fail(RemoteProtocolError("later"))
    assert isinstance(protocol.failure, ConnectionLost), "the first reason stays"
    protocol.receive_data(wire(server.headers(1, 200)))
    assert stream.status is None


@pytest.mark.scenario(101)
def test_a_response_that_is_complete_survives_the_connection(protocol, server):
    stream = open_stream(protocol)
    protocol.receive_data(
        wire(server.settings(), server.headers(1, 200), server.data(1, b"x", end=True))
    )
    protocol.receive_eof(True)
    assert stream.error is None
    assert list(stream.chunks) == [b"x"]


@pytest.mark.scenario(100)
def test_what_came_before_a_failure_stays(protocol, server):
    stream = open_stream(protocol)
    protocol.receive_data(
        wire(
            server.settings(),
            server.headers(1, 200),
            server.data(1, b"x"),
            server.reset(1, ErrorCodes.CANCEL),
        )
    )
    assert list(stream.chunks) == [b"x"]
    assert isinstance(stream.error, StreamResetError)


def test_a_fault_of_the_peer_ends_the_connection_with_its_reason(protocol, server):
    first, second = open_stream(protocol), open_stream(protocol)
    protocol.receive_data(
        wire(
            server.settings(),
            server.headers(1, 200, end=True),
            server.headers(2, 200),
        )
    )
    assert first.ended
    assert isinstance(second.error, RemoteProtocolError)
    assert "opened stream 2" in str(second.error)
    assert [f.error_code for f in of(GoAwayFrame, sent(protocol))] == [
        ErrorCodes.PROTOCOL_ERROR
    ]
    assert protocol.finished


@pytest.mark.scenario(133)
def test_closing_says_goodbye_once(protocol, server):
    greet(protocol, server)
    protocol.close()
    protocol.close()
    (goaway,) = sent(protocol)
    assert (goaway.error_code, goaway.last_stream_id) == (NO_ERROR, 0)
    assert protocol.finished
    assert not protocol.accepting


def test_flow_control_never_pauses_the_reading(protocol):
    assert protocol.paused is False


def test_what_comes_on_streams_that_a_goaway_disowned_is_of_no_interest(
    protocol, server
):
    greet(protocol, server)
    streams = [open_stream(protocol) for _ in range(4)]
    protocol.receive_data(wire(server.goaway(1)))
    protocol.receive_data(
        wire(
            server.headers(3, 103),
            server.headers(3, 200),
            server.data(3, b"x"),
            server.headers(3, None, [("t", "u")], end=True),
            server.reset(5, 0),
            server.headers(7, 200, end=True),
        )
    )
    assert all(stream.status is None for stream in streams)
    assert all(isinstance(s.error, RequestNotProcessed) for s in streams[1:])
    assert protocol.failure is None


def test_a_goaway_takes_nothing_from_a_response_that_is_complete(protocol, server):
    greet(protocol, server)
    open_stream(protocol)
    stream = open_stream(protocol, method=b"POST", end_stream=False)
    protocol.receive_data(wire(server.headers(3, 200, end=True), server.goaway(1)))
    assert stream.ended
    assert stream.error is None


def test_a_failure_takes_nothing_from_a_response_that_is_complete(protocol, server):
    stream = open_stream(protocol, method=b"POST", end_stream=False)
    protocol.receive_data(wire(server.settings(), server.headers(1, 200, end=True)))
    protocol.receive_eof(False)
    assert stream.ended
    assert stream.error is None


def test_the_end_of_the_request_is_noted(protocol, server):
    greet(protocol, server)
    stream = open_stream(protocol, method=b"POST", end_stream=False)
    protocol.send_data(stream, b"all", True)
    assert stream.sent
    (frame,) = sent(protocol)
    assert (frame.data, frame.flags) == (b"all", {"END_STREAM"})


def test_a_ping_of_the_server_concerns_no_stream(protocol, server):
    greet(protocol, server)
    protocol.touched.clear()
    protocol.receive_data(wire(server.ping(b"12345678")))
    assert not protocol.touched
