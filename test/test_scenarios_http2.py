"""Rows of the table of scenarios about HTTP/2 that no other file shows.

Everything is said with raw frames to a connection as users have it, so that what is
shown does not depend on the state machine that it is made with.
"""

import random

import pytest
from h2.errors import ErrorCodes
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    HeadersFrame,
    PingFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from peer import Frames, wire
from test_exchange import finish, start
from threads import background, wait_for

from hyper import (
    DecodingError,
    HyperError,
    PoolTimeout,
    ReadTimeout,
    RemoteProtocolError,
    StreamResetError,
    Timeout,
    WriteTimeout,
)
from hyper.http20.machine import ClientMachine
from hyper.http20.reference import H2Machine
from hyper.http20.window import BaseFlowControlManager, Windows

REQUEST = [(":method", "GET"), (":scheme", "http"), (":path", "/pushed")]


@pytest.fixture(params=[H2Machine, ClientMachine])
def peer(request, peer):
    """A server whose clients have either state machine: each test is for both."""
    peer.options["state_machine"] = request.param
    return peer


def frame(kind, flags, stream_id, body):
    """Return the bytes of a frame that hyperframe would not make."""
    head = len(body).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream_id.to_bytes(4, "big") + body


def header_block(stream_id, *pieces):
    """Return HEADERS and CONTINUATION frames of one header section that ends there."""
    frames = [HeadersFrame(stream_id, pieces[0], flags=["END_STREAM"])]
    frames += [ContinuationFrame(stream_id, piece) for piece in pieces[1:]]
    frames[-1].flags.add("END_HEADERS")
    return frames


def assert_given_up(peer, conn, stream_id, code):
    """The client ends the connection with this code, and its thread gets an error."""
    with pytest.raises(RemoteProtocolError):
        conn.get_response(stream_id).read()
    assert peer.want_goaway() == code
    peer.want_eof()


# SETTINGS.


@pytest.mark.scenario(34)
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(4, 0, 1, b""), ErrorCodes.PROTOCOL_ERROR),
        (frame(4, 0, 0, b"\x00\x03\x00"), ErrorCodes.FRAME_SIZE_ERROR),
        (frame(4, 1, 0, b"\x00\x03" + bytes(4)), ErrorCodes.FRAME_SIZE_ERROR),
    ],
    ids=["on a stream", "half a setting", "acknowledged"],
)
def test_malformed_settings_end_the_connection(peer, data, code):
    conn, first = start(peer)
    peer.send_bytes(data)
    assert_given_up(peer, conn, first, code)


@pytest.mark.scenario(37)
@pytest.mark.parametrize("size", [0, 16383, 2**24])
def test_a_frame_size_that_http2_does_not_allow_ends_the_connection(peer, size):
    conn, first = start(peer)
    peer.send_settings({SettingsFrame.MAX_FRAME_SIZE: size})
    assert_given_up(peer, conn, first, ErrorCodes.PROTOCOL_ERROR)


@pytest.mark.scenario(35)
def test_an_acknowledgement_of_settings_that_nobody_sent_does_no_harm(peer):
    conn, first = start(peer)
    for _ in range(3):
        peer.send(peer.settings(ack=True))
    finish(peer, conn, first)


@pytest.mark.scenario(48)
def test_a_server_that_never_acknowledges_our_settings_is_put_up_with(peer):
    conn, first = start(peer)  # The peer sends its own and no acknowledgement.
    finish(peer, conn, first)
    for _ in range(3):
        stream_id = conn.request("POST", "/", b"body")
        peer.want_headers(stream_id)
        peer.want_body(stream_id)
        finish(peer, conn, stream_id)
    assert peer.connections == 1


@pytest.mark.scenario(46)
def test_the_next_frames_of_an_upload_obey_a_new_frame_size(peer):
    conn = peer.connection()
    conn.putrequest("POST", "/")
    stream_id = conn.endheaders()
    peer.greet()
    peer.want_headers(stream_id)

    def sizes(amount):
        conn.send(bytes(amount))
        seen = []
        while sum(seen) < amount:
            seen.append(len(peer.want(DataFrame).data))
        peer.send_window_update(0, amount)
        peer.send_window_update(stream_id, amount)
        return seen

    assert sizes(20_000) == [16_384, 3_616]
    peer.send_settings({SettingsFrame.MAX_FRAME_SIZE: 20_000})
    assert conn.remote_settings.max_frame_size == 20_000
    assert sizes(20_001) == [20_000, 1]
    peer.send_settings({SettingsFrame.MAX_FRAME_SIZE: 16_384})
    assert conn.remote_settings.max_frame_size == 16_384
    assert sizes(20_000) == [16_384, 3_616]


@pytest.mark.scenario(41)
def test_requests_over_a_limit_that_was_lowered_finish_and_new_ones_wait(peer):
    conn, first = start(peer)
    others = [conn.request("GET", "/") for _ in range(4)]
    peer.send_settings({SettingsFrame.MAX_CONCURRENT_STREAMS: 1})
    assert conn.max_concurrent_streams == 1
    waiting = background(conn.request, "GET", "/waiting")
    wait_for(lambda: waiting.waits_in("wait_until"))
    for stream_id in (first, *others):
        assert waiting.running
        finish(peer, conn, stream_id)
    assert waiting.result() == 11
    peer.ignore = (*peer.ignore, HeadersFrame)
    finish(peer, conn, 11)


@pytest.mark.scenario(42)
def test_a_server_that_allows_no_requests_at_first_gets_them_all_later(peer):
    conn = peer.connection()
    conn.connect()
    peer.greet({SettingsFrame.MAX_CONCURRENT_STREAMS: 0})
    assert conn.max_concurrent_streams == 0
    tasks = [background(conn.request, "GET", "/") for _ in range(5)]
    for task in tasks:
        wait_for(lambda task=task: task.waits_in("wait_until"))
    peer.send_settings({SettingsFrame.MAX_CONCURRENT_STREAMS: 5})
    assert {task.result() for task in tasks} == {1, 3, 5, 7, 9}


# DATA and flow control.


class Never(BaseFlowControlManager):
    """Opens no window."""

    def increase_window_size(self, frame_size):
        return 0


@pytest.mark.scenario(80)
@pytest.mark.parametrize("whose", ["stream", "connection"])
def test_a_server_that_sends_more_than_a_window_is_given_up(peer, whose):
    if whose == "stream":
        windows = Windows(stream=1000, max_stream=1000)
        data = [peer.data(1, bytes(1001))]
    else:
        windows = Windows(connection=65_535)
        data = [peer.data(1, bytes(13_108)) for _ in range(5)]  # 5 bytes too many
    conn, first = start(peer, windows=windows, window_manager=Never)
    peer.send(peer.headers(first), *data)
    assert_given_up(peer, conn, first, ErrorCodes.FLOW_CONTROL_ERROR)


@pytest.mark.scenario(88)
def test_a_hundred_responses_that_nobody_reads_hold_up_no_other(peer):
    window = 2000
    windows = Windows(stream=window, max_stream=window, connection=65_535)
    conn = peer.connection(windows=windows)
    unread = [conn.request("GET", "/") for _ in range(100)]
    peer.greet()
    kept = []
    for stream_id in unread:
        peer.want_headers(stream_id)
        peer.send(peer.headers(stream_id), peer.data(stream_id, bytes(window)))
        kept.append(conn.get_response(stream_id))
    last = conn.request("GET", "/")
    credit = dict.fromkeys((0, *unread), 0)
    while not isinstance(said := peer.next_frame(), HeadersFrame):
        if isinstance(said, WindowUpdateFrame):
            credit[said.stream_id] += said.window_increment
    assert credit.pop(0) >= 100 * window - 65_535 // 2, "there is room for all"
    assert not any(credit.values()), "each may fill its window once, and no more"
    finish(peer, conn, last)
    assert len(kept) == 100


@pytest.mark.scenario(90)
def test_a_window_that_begins_closed_may_be_opened_by_an_update(peer):
    conn, _ = start(peer, {SettingsFrame.INITIAL_WINDOW_SIZE: 0})
    assert conn.remote_settings.initial_window_size == 0
    upload = background(conn.request, "POST", "/", b"hello")
    peer.want_headers(3)
    for letter in b"hello":
        peer.send_window_update(3, 1)
        assert peer.want(DataFrame).data == bytes([letter])
    assert upload.result() == 3


@pytest.mark.scenario(89)
def test_a_window_that_opens_a_byte_at_a_time_lets_a_byte_at_a_time_through(peer):
    conn, _ = start(peer, {SettingsFrame.INITIAL_WINDOW_SIZE: 0})
    assert conn.remote_settings.initial_window_size == 0
    body = bytes(range(200))
    upload = background(conn.request, "POST", "/", body)
    peer.want_headers(3)
    received = b""
    while True:
        peer.send_window_update(3, 1)
        piece = peer.want(DataFrame)
        assert len(piece.data) == 1, "neither more nor nothing"
        received += piece.data
        if "END_STREAM" in piece.flags:
            break
    assert received == body
    assert upload.result() == 3


@pytest.mark.scenario(96)
def test_a_connection_window_that_overflows_ends_the_connection(peer):
    conn, first = start(peer)
    peer.send_window_update(0, 2**31 - 1)
    assert_given_up(peer, conn, first, ErrorCodes.FLOW_CONTROL_ERROR)


@pytest.mark.scenario(85)
def test_data_on_a_stream_that_was_never_opened_ends_the_connection(peer):
    conn, first = start(peer)
    peer.send_data(7, b"x")
    assert_given_up(peer, conn, first, ErrorCodes.PROTOCOL_ERROR)


# RST_STREAM.


@pytest.mark.scenario(115)
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(3, 0, 0, bytes(4)), ErrorCodes.PROTOCOL_ERROR),
        (frame(3, 0, 1, bytes(3)), ErrorCodes.FRAME_SIZE_ERROR),
        (frame(3, 0, 7, bytes(4)), ErrorCodes.PROTOCOL_ERROR),
        (frame(3, 0, 2, bytes(4)), ErrorCodes.PROTOCOL_ERROR),
    ],
    ids=["on no stream", "too short", "of no request", "of no push"],
)
def test_a_malformed_reset_ends_the_connection(peer, data, code):
    conn, first = start(peer)
    peer.send_bytes(data)
    assert_given_up(peer, conn, first, code)


@pytest.mark.scenario(116)
def test_a_thousand_requests_may_be_reset_and_the_connection_lives(peer):
    conn, first = start(peer)
    for _ in range(10):
        ids = [conn.request("GET", "/") for _ in range(99)]
        for stream_id in ids:
            peer.want_headers(stream_id)
        peer.send(*[peer.reset(n, ErrorCodes.INTERNAL_ERROR) for n in ids])
        for stream_id in ids:
            with pytest.raises(StreamResetError):
                conn.get_response(stream_id)
    assert conn.open_streams == 1
    finish(peer, conn, first)
    assert peer.connections == 1


@pytest.mark.scenario(116)
def test_more_than_a_thousand_open_requests_may_be_reset_in_a_row(peer):
    conn, first = start(peer, {SettingsFrame.MAX_CONCURRENT_STREAMS: 5000})
    assert conn.max_concurrent_streams == 5000
    ids = [conn.request("GET", "/") for _ in range(1500)]
    for stream_id in ids:
        peer.want_headers(stream_id)
    peer.send(*[peer.reset(stream_id, ErrorCodes.CANCEL) for stream_id in ids])
    for stream_id in ids:
        with pytest.raises(StreamResetError):
            conn.get_response(stream_id)
    finish(peer, conn, first)


@pytest.mark.scenario(84)
def test_a_response_that_was_under_way_to_a_cancelled_request_is_ignored(peer):
    conn, first = start(peer)
    peer.send_headers(first)
    conn.get_response(first).close()
    assert peer.want_reset(first) == ErrorCodes.CANCEL
    peer.send_headers(first, 103, [("link", "</a>")])
    peer.send_headers(first, 200, [("a", "b")])
    peer.send_data(first, b"late", end=True)
    peer.want_nothing(conn)
    second = conn.request("GET", "/")
    peer.want_headers(second)
    finish(peer, conn, second)


@pytest.mark.scenario(122)
def test_what_comes_on_a_stream_that_was_closed_long_ago_is_ignored(peer):
    conn, first = start(peer)
    old = conn.request("GET", "/")
    peer.want_headers(old)
    finish(peer, conn, old)
    for _ in range(11):
        ids = [conn.request("GET", "/") for _ in range(99)]
        for stream_id in ids:
            peer.want_headers(stream_id)
        peer.send(*[peer.headers(stream_id, 204, end=True) for stream_id in ids])
        for stream_id in ids:
            assert conn.get_response(stream_id).status == 204
    last = conn.request("GET", "/")
    peer.want_headers(last)
    for _ in range(2):
        peer.send(
            peer.headers(old, 103, [("link", "</a>")]),
            peer.headers(old, 200, [("a", "b")]),
            peer.data(old, b"late"),
            peer.window_update(old, 5),
            peer.reset(old, ErrorCodes.CANCEL),
        )
    peer.want_nothing(conn)
    finish(peer, conn, last)
    finish(peer, conn, first)


@pytest.mark.scenario(119)
def test_a_request_given_up_before_it_could_be_sent_leaves_no_trace(peer):
    conn, first = start(peer, {SettingsFrame.MAX_CONCURRENT_STREAMS: 1})
    assert conn.max_concurrent_streams == 1
    with pytest.raises(PoolTimeout):
        conn.request("GET", "/given-up", timeout=0.05)
    peer.want_nothing(conn)
    finish(peer, conn, first)
    assert conn.request("GET", "/next") == 3
    assert peer.want_headers(3)[b":path"] == b"/next"


# PING.


@pytest.mark.scenario(136)
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(6, 0, 1, bytes(8)), ErrorCodes.PROTOCOL_ERROR),
        (frame(6, 0, 0, bytes(7)), ErrorCodes.FRAME_SIZE_ERROR),
    ],
    ids=["on a stream", "too short"],
)
def test_a_malformed_ping_ends_the_connection(peer, data, code):
    conn, first = start(peer)
    peer.send_bytes(data)
    assert_given_up(peer, conn, first, code)


@pytest.mark.scenario(140)
def test_a_ping_that_the_network_does_not_take_times_out(peer):
    conn, _ = start(peer, {SettingsFrame.INITIAL_WINDOW_SIZE: 2**30})
    peer.send_window_update(0, 2**30)
    assert conn.remote_settings.initial_window_size == 2**30
    upload = background(conn.request, "POST", "/", bytes(50_000_000))
    wait_for(lambda: upload.waits_in("wait_drained"))
    with pytest.raises((ReadTimeout, WriteTimeout)):
        conn.ping(timeout=0.05)
    conn.close()
    upload.result()


# Hostile servers.


@pytest.mark.scenario(144)
@pytest.mark.parametrize("count", [1, 62])
def test_a_header_section_may_come_in_empty_pieces(peer, count):
    conn, first = start(peer)
    block = peer.encoder.encode([(":status", "200"), ("a", "b")])
    peer.send(*header_block(first, block, *[b""] * count))
    assert conn.get_response(first).headers["a"] == [b"b"]


@pytest.mark.scenario(144)
@pytest.mark.scenario(143)
def test_a_header_section_in_too_many_pieces_ends_the_connection(peer):
    conn, first = start(peer)
    block = peer.encoder.encode([(":status", "200")])
    peer.send(*header_block(first, block, *[b""] * 1000))
    assert_given_up(peer, conn, first, ErrorCodes.PROTOCOL_ERROR)


@pytest.mark.scenario(145)
@pytest.mark.parametrize(
    "between",
    [DataFrame(1, b"x"), HeadersFrame(3, b""), SettingsFrame(0), PingFrame(0)],
    ids=lambda between: type(between).__name__,
)
def test_a_frame_inside_a_header_section_ends_the_connection(peer, between):
    conn, first = start(peer)
    conn.request("GET", "/")
    peer.want_headers(3)
    head, tail = header_block(first, peer.encoder.encode([(":status", "200")]), b"")
    peer.send(head, between, tail)
    assert_given_up(peer, conn, first, ErrorCodes.PROTOCOL_ERROR)


@pytest.mark.scenario(145)
@pytest.mark.parametrize(
    "between",
    [frame(7, 0, 0, bytes(8)), frame(8, 0, 1, bytes(4)), frame(0xC, 0, 0, b"")],
    ids=["GOAWAY", "WINDOW_UPDATE of 0", "ORIGIN"],
)
def test_what_is_otherwise_ignored_is_not_inside_a_header_section(peer, between):
    conn, first = start(peer)
    head, tail = header_block(first, peer.encoder.encode([(":status", "200")]), b"")
    peer.send_bytes(head.serialize() + between + tail.serialize())
    assert_given_up(peer, conn, first, ErrorCodes.PROTOCOL_ERROR)


@pytest.mark.scenario(146)
def test_a_few_bytes_that_stand_for_megabytes_of_headers_end_the_connection(peer):
    conn, first = start(peer)
    block = Encoder().encode([(":status", "200"), ("a", "b" * 4000)])
    block += b"\xbe" * 12_000  # "a" again, out of the table
    peer.send(*header_block(first, block[:16_000], block[16_000:]))
    assert_given_up(peer, conn, first, ErrorCodes.ENHANCE_YOUR_CALM)


@pytest.mark.scenario(148)
@pytest.mark.parametrize(
    "block",
    [
        b"\x3f\xe2\x1f\x88",
        b"\x88\x20",
        b"\x20\x20\x20\x88",
        b"\x20" * 1_000_000 + b"\x88",
    ],
    ids=["to more than was allowed", "in the middle", "three times", "for ever"],
)
def test_a_table_resized_against_the_rules_ends_the_connection(peer, block):
    conn, first = start(peer)
    pieces = [block[n : n + 16_384] for n in range(0, len(block), 16_384)]
    sending = background(peer.send, *header_block(first, *pieces))
    assert_given_up(peer, conn, first, ErrorCodes.COMPRESSION_ERROR)
    sending.result()


@pytest.mark.scenario(149)
def test_fields_of_no_length_count_against_the_limit(peer):
    conn, first = start(peer)
    block = Encoder().encode([(":status", "200")])
    block += b"\x00\x00\x00" * 2100  # An empty name with an empty value.
    peer.send(*header_block(first, block))
    assert_given_up(peer, conn, first, ErrorCodes.ENHANCE_YOUR_CALM)


@pytest.mark.scenario(153)
def test_a_server_that_dribbles_is_not_answered_byte_by_byte(peer):
    conn, first = start(peer)
    peer.send_headers(first)
    response = conn.get_response(first)
    for _ in range(500):
        peer.send_data(first, b"x")
        assert response.read(1) == b"x"
    peer.ignore = (SettingsFrame,)
    peer.want_nothing(conn)


@pytest.mark.scenario(154)
def test_a_push_that_was_not_allowed_ends_the_connection(peer):
    conn, first = start(peer)
    fields = [*REQUEST, (":authority", f"127.0.0.1:{peer.port}")]
    promise = PushPromiseFrame(1, promised_stream_id=2)
    promise.data = peer.encoder.encode(fields)
    promise.flags.add("END_HEADERS")
    peer.send(promise)
    assert_given_up(peer, conn, first, ErrorCodes.PROTOCOL_ERROR)


@pytest.mark.scenario(156)
def test_what_http2_does_not_know_yet_is_ignored(peer):
    conn, first = start(peer)
    peer.send_bytes(frame(0xB0, 0xFF, 0, b"a frame of a type to come"))
    peer.send_bytes(frame(0xB0, 0, first, b"and one on a stream"))
    block = peer.encoder.encode([(":status", "200")])
    peer.send_bytes(frame(1, 0x04 | 0xD2, 2**31 | first, block))  # all other flags
    peer.send_bytes(frame(0, 0xF6, 2**31 | first, b"hello"))
    peer.send_bytes(frame(0, 0xF7, 2**31 | first, b", you"))
    assert conn.get_response(first).read() == b"hello, you"


def garbled(seed):
    """Return what a server might say, with some of it wrong."""
    chance = random.Random(seed)
    frames = Frames()
    good = [
        frames.settings({SettingsFrame.MAX_CONCURRENT_STREAMS: 50}),
        frames.settings(ack=True),
        frames.headers(1, 103, [("link", "</a>")]),
        frames.headers(1, 200, [("content-length", "11"), ("a", "b" * 50)]),
        frames.ping(b"12345678"),
        frames.data(1, b"hello "),
        frames.window_update(0, 1000),
        frames.headers(3, 200, [("a", "b" * 50)]),
        frames.data(1, b"world", end=True),
        frames.reset(3, 8),
        frames.goaway(3),
    ]
    if seed % 3 == 0:
        return wire(good[0]) + chance.randbytes(200)
    if seed % 3 == 1:
        del good[chance.randrange(len(good))]
        chance.shuffle(good)
        return wire(*good)
    data = bytearray(wire(*good))
    for _ in range(chance.randrange(1, 5)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


@pytest.mark.scenario(158)
@pytest.mark.parametrize("seed", range(0, 300, 30))
def test_a_garbled_server_is_an_answer_or_an_error_and_never_a_hang(peer, seed):
    for variant in range(seed, seed + 30):
        with peer.connection() as conn:
            # Bodies that are read once: nothing is sent again, to nobody.
            ids = [conn.request("POST", "/", iter([b"body"])) for _ in range(2)]
            peer.accept()
            peer.send_bytes(garbled(variant))
            peer.hang_up()
            for stream_id in ids:
                try:
                    assert len(conn.get_response(stream_id).read()) <= 11
                except TimeoutError:
                    raise  # A hang.
                except HyperError:
                    pass


@pytest.mark.scenario(159)
@pytest.mark.parametrize("limit", [{"read": 0.1}, {"read": 10, "total": 0.1}])
def test_headers_that_drip_meet_the_deadline(peer, limit):
    conn = peer.connection(timeout=Timeout(**limit))
    stream_id = conn.request("GET", "/")
    peer.greet()
    head = iter(wire(peer.headers(stream_id, 200, [("a", "b" * 16_000)])))
    waiting = background(conn.get_response, stream_id)

    def drip():
        peer.send_bytes(bytes([next(head)]))
        return not waiting.running

    wait_for(drip)
    with pytest.raises(ReadTimeout):
        waiting.result()


@pytest.mark.scenario(160)
def test_a_body_without_end_is_read_as_far_as_is_wanted(peer):
    window = 20_000
    windows = Windows(stream=window, max_stream=window)
    conn, first = start(peer, windows=windows)
    peer.send_headers(first)
    response = conn.get_response(first)
    for _ in range(20):
        peer.send_data(first, bytes(10_000))
        assert len(response.read(10_000)) == 10_000
    response.close()
    peer.send_data(first, bytes(10_000))
    assert peer.want_reset(first) == ErrorCodes.CANCEL
    second = conn.request("GET", "/")
    peer.want_headers(second)
    finish(peer, conn, second)


@pytest.mark.scenario(163)
@pytest.mark.parametrize("way", ["close", "trailers", "drop"])
def test_what_is_thrown_away_is_not_decoded(peer, way):
    conn, first = start(peer)
    # What is no gzip at all cannot have been decoded where nobody complains.
    peer.send_headers(first, 200, [("content-encoding", "gzip")])
    response = conn.get_response(first)
    peer.send_data(first, b"this is not gzip")
    if way == "trailers":
        peer.send_trailers(first, [("t", "u")])
        assert response.trailers["t"] == [b"u"]
        with pytest.raises(DecodingError):
            response.read()
    elif way == "close":
        response.close()
        assert peer.want_reset(first) == ErrorCodes.CANCEL
    else:
        del response
    second = conn.request("GET", "/")
    peer.ignore = (*peer.ignore, RstStreamFrame)
    peer.want_headers(second)
    finish(peer, conn, second)


@pytest.mark.scenario(166)
def test_many_tiny_fields_are_no_trouble(peer):
    conn, first = start(peer)
    fields = [(f"x-{n}", str(n)) for n in range(1500)]
    for stream_id in range(first, 11, 2):
        block = peer.encoder.encode([(":status", "200"), *fields])
        pieces = [block[n : n + 16_000] for n in range(0, len(block), 16_000)]
        peer.send(*header_block(stream_id, *pieces))
        response = conn.get_response(stream_id)
        assert response.getheaders() == fields
        assert response.headers["X-1499"] == [b"1499"]
        assert conn.request("GET", "/") == stream_id + 2
        peer.want_headers(stream_id + 2)


@pytest.mark.scenario(147)
@pytest.mark.parametrize(
    "block",
    [b"\x80", b"\xff\x80\x01", b"\x40\x81\xff", b"\x40\x05abc", b"\xff" * 12],
    ids=["index 0", "no such index", "bad huffman", "cut short", "no number"],
)
def test_headers_that_cannot_be_decompressed_end_the_connection(peer, block):
    conn, first = start(peer)
    peer.send(*header_block(first, block))
    assert_given_up(peer, conn, first, ErrorCodes.COMPRESSION_ERROR)


@pytest.mark.scenario(132)
def test_a_goaway_that_is_too_short_ends_the_connection(peer):
    conn, first = start(peer)
    peer.send_bytes(frame(7, 0, 0, bytes(7)))
    assert_given_up(peer, conn, first, ErrorCodes.FRAME_SIZE_ERROR)
