"""The reference machine: h2 behind the gate, fed with raw frames."""

import struct

import pytest
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    InformationalResponseReceived,
    PingReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from peer import PREFACE, Frames, wire

from hyper.http20.reference import CONTROL_FRAME_BUDGET, H2Machine, MalformedResponse

REQUEST = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"a.test"),
    (b":path", b"/"),
]


@pytest.fixture
def server():
    return Frames()


@pytest.fixture
def machine(server):
    """A machine that has greeted and been greeted."""
    machine = H2Machine()
    machine.initiate_connection()
    machine.receive_data(wire(server.settings()))
    machine.data_to_send()
    return machine


def request(machine, stream_id=1, end_stream=True):
    machine.send_headers(stream_id, REQUEST, end_stream=end_stream)
    machine.data_to_send()


def sent(machine):
    """Return the frames that the machine wants to send."""
    data = memoryview(machine.data_to_send())
    frames = []
    while data:
        frame, length = Frame.parse_frame_header(data[:9])
        frame.parse_body(data[9 : 9 + length])
        frames.append(frame)
        data = data[9 + length :]
    return frames


def kinds(events):
    return [type(event) for event in events]


def assert_refused(machine, data, code, match):
    """The bytes end the connection with a GOAWAY of this code."""
    with pytest.raises(ProtocolError, match=match) as caught:
        machine.receive_data(data)
    goaways = [frame for frame in sent(machine) if isinstance(frame, GoAwayFrame)]
    assert [goaway.error_code for goaway in goaways] == [code]
    return caught.value


# The greeting.


@pytest.mark.scenario(32)
def test_the_first_settings_refuse_push_and_limit_the_headers(server):
    machine = H2Machine({SettingsFrame.INITIAL_WINDOW_SIZE: 1234})
    machine.initiate_connection()
    data = machine.data_to_send()
    assert data.startswith(PREFACE)
    frame, length = Frame.parse_frame_header(memoryview(data[24:33]))
    frame.parse_body(memoryview(data[33 : 33 + length]))
    assert frame.settings[SettingsFrame.ENABLE_PUSH] == 0
    assert frame.settings[SettingsFrame.INITIAL_WINDOW_SIZE] == 1234
    assert frame.settings[SettingsFrame.MAX_HEADER_LIST_SIZE] == 65536
    assert SettingsFrame.ENABLE_CONNECT_PROTOCOL not in frame.settings
    assert len(data) == 33 + length, "there is one frame"


def fresh():
    machine = H2Machine()
    machine.initiate_connection()
    machine.data_to_send()
    return machine


@pytest.mark.scenario(8)
def test_a_server_that_does_not_begin_with_settings_is_refused(server):
    for first in (server.ping(bytes(8)), server.settings(ack=True)):
        assert_refused(fresh(), wire(first), ErrorCodes.PROTOCOL_ERROR, "SETTINGS")


@pytest.mark.scenario(5)
def test_a_server_that_answers_in_http1_is_recognised_at_once():
    machine = fresh()
    assert machine.receive_data(b"HTT") == []
    assert_refused(machine, b"P/1.1", ErrorCodes.PROTOCOL_ERROR, "HTTP/1")


@pytest.mark.scenario(7)
def test_a_server_that_answers_in_tls_is_recognised_at_once():
    assert_refused(fresh(), b"\x15\x03\x01", ErrorCodes.PROTOCOL_ERROR, "TLS")


# Settings.


@pytest.mark.scenario(33)
def test_settings_are_acknowledged_once(machine, server):
    machine.receive_data(wire(server.settings({SettingsFrame.MAX_FRAME_SIZE: 20000})))
    assert [frame.flags for frame in sent(machine)] == [{"ACK"}]
    assert machine.max_outbound_frame_size == 20000


@pytest.mark.scenario(150)
@pytest.mark.scenario(39)
def test_unknown_settings_are_not_kept(machine, server):
    before = set(machine.remote_settings)
    body = b"".join(struct.pack(">HL", code, 1) for code in range(1000, 3000))
    machine.receive_data(len(body).to_bytes(3, "big") + b"\x04\x00" + bytes(4) + body)
    assert set(machine.remote_settings) == before


@pytest.mark.scenario(40)
def test_the_last_of_two_equal_settings_counts(machine):
    body = b"\x00\x05\x00\x00\x50\x00" + b"\x00\x05\x00\x00\x60\x00"
    frame = len(body).to_bytes(3, "big") + b"\x04\x00" + bytes(4) + body
    machine.receive_data(frame)
    assert machine.remote_settings.max_frame_size == 0x6000


@pytest.mark.scenario(44)
@pytest.mark.parametrize("size", [2**32 - 1, 65536])
def test_the_encoders_table_does_not_follow_the_peer_without_end(machine, server, size):
    machine.receive_data(wire(server.settings({SettingsFrame.HEADER_TABLE_SIZE: size})))
    assert machine.encoder.header_table_size == 4096


@pytest.mark.scenario(44)
def test_the_encoders_table_obeys_zero(machine, server):
    machine.receive_data(wire(server.settings({SettingsFrame.HEADER_TABLE_SIZE: 0})))
    assert machine.encoder.header_table_size == 0


@pytest.mark.scenario(34)
def test_settings_of_a_wrong_length_are_refused(machine):
    frame = b"\x00\x00\x05\x04\x00" + bytes(4) + bytes(5)
    assert_refused(machine, frame, ErrorCodes.FRAME_SIZE_ERROR, ".")


@pytest.mark.parametrize(
    ("code", "value", "error"),
    [
        pytest.param(
            SettingCodes.INITIAL_WINDOW_SIZE,
            2**31,
            ErrorCodes.FLOW_CONTROL_ERROR,
            marks=pytest.mark.scenario(36),
        ),
        pytest.param(
            SettingCodes.MAX_FRAME_SIZE,
            0,
            ErrorCodes.PROTOCOL_ERROR,
            marks=pytest.mark.scenario(37),
        ),
        pytest.param(
            SettingCodes.ENABLE_PUSH,
            1,
            ErrorCodes.PROTOCOL_ERROR,
            marks=pytest.mark.scenario(38),
        ),
    ],
)
def test_impossible_settings_are_refused(machine, server, code, value, error):
    assert_refused(machine, wire(server.settings({code: value})), error, ".")


# Responses.


def test_a_response_gives_the_events_of_h2(machine, server):
    request(machine)
    events = machine.receive_data(
        wire(
            server.headers(1, 103, [("link", "</a>")]),
            server.headers(1, 200, [("a", "b")]),
            server.data(1, b"body"),
            server.headers(1, None, [("t", "u")], end=True),
        )
    )
    assert kinds(events) == [
        InformationalResponseReceived,
        ResponseReceived,
        DataReceived,
        TrailersReceived,
        StreamEnded,
    ]
    assert events[1].headers == [(b":status", b"200"), (b"a", b"b")]
    assert events[2].data == b"body"
    assert events[3].headers == [(b"t", b"u")]


def test_bytes_may_come_one_by_one(server):
    machine = fresh()
    request(machine)
    data = wire(
        server.settings(),
        server.headers(1, 200, [("a", "b" * 300)]),
        server.data(1, b"body", end=True),
    )
    events = []
    for index in range(len(data)):
        events += machine.receive_data(data[index : index + 1])
    assert kinds(events) == [
        RemoteSettingsChanged,
        ResponseReceived,
        DataReceived,
        StreamEnded,
    ]


MALFORMED = [
    pytest.param([], "does not begin with :status", marks=pytest.mark.scenario(49)),
    pytest.param(
        [(b":status", b"200"), (b":status", b"200")],
        "out of place",
        marks=pytest.mark.scenario(50),
    ),
    *(
        pytest.param([(b":status", status)], "status", marks=pytest.mark.scenario(51))
        for status in (b"", b"abc", b"99", b"1000", b"+200", b"-1", b"2 0")
    ),
    pytest.param([(b":status", b"101")], "101", marks=pytest.mark.scenario(52)),
    pytest.param(
        [(b":status", b"200"), (b":path", b"/")],
        "out of place",
        marks=pytest.mark.scenario(53),
    ),
    pytest.param(
        [(b"a", b"b"), (b":status", b"200")],
        "does not begin",
        marks=pytest.mark.scenario(54),
    ),
    pytest.param(
        [(b":status", b"200"), (b"Upper", b"b")],
        "lower case",
        marks=pytest.mark.scenario(55),
    ),
    pytest.param(
        [(b":status", b"200"), (b"", b"b")], "token", marks=pytest.mark.scenario(56)
    ),
    pytest.param(
        [(b":status", b"200"), (b'x"', b"b")], "token", marks=pytest.mark.scenario(57)
    ),
    pytest.param(
        [(b":status", b"200"), (b"a", b"b\r\nc")],
        "CR",
        marks=pytest.mark.scenario(58),
    ),
    pytest.param(
        [(b":status", b"200"), (b"connection", b"close")],
        "HTTP/1.1",
        marks=pytest.mark.scenario(62),
    ),
    pytest.param(
        [(b":status", b"200"), (b"content-length", b"+5")],
        "content-length",
        marks=pytest.mark.scenario(63),
    ),
    pytest.param(
        [(b":status", b"200"), (b"content-length", b"5"), (b"content-length", b"6")],
        "content-lengths",
        marks=pytest.mark.scenario(63),
    ),
]


@pytest.mark.parametrize(("fields", "reason"), MALFORMED)
def test_a_malformed_response_ends_its_stream_and_no_other(
    machine, server, fields, reason
):
    request(machine, 1)
    request(machine, 3)
    bad = HeadersFrame(1, server.encoder.encode(fields), flags=["END_HEADERS"])
    events = machine.receive_data(
        wire(bad, server.headers(3, 200), server.data(3, b"fine", end=True))
    )
    assert kinds(events) == [
        MalformedResponse,
        ResponseReceived,
        DataReceived,
        StreamEnded,
    ]
    assert events[0].stream_id == 1
    assert events[0].error_code == ErrorCodes.PROTOCOL_ERROR
    assert events[0].remote_reset is False
    assert reason in events[0].reason
    assert [(frame.stream_id, frame.error_code) for frame in sent(machine)] == [
        (1, ErrorCodes.PROTOCOL_ERROR)
    ]


@pytest.mark.scenario(72)
@pytest.mark.parametrize("case", ["1xx ends", "data after 1xx", "1xx after final"])
def test_an_interim_response_out_of_place_ends_its_stream(machine, server, case):
    request(machine, 1)
    request(machine, 3)
    if case == "1xx ends":
        frames = [server.headers(1, 103, end=True)]
    elif case == "data after 1xx":
        frames = [server.headers(1, 103), server.data(1, b"x")]
    else:
        frames = [server.headers(1, 200), server.headers(1, 103, end=True)]
    events = machine.receive_data(wire(*frames, server.headers(3, 200, end=True)))
    assert MalformedResponse in kinds(events)
    assert kinds(events)[-2:] == [ResponseReceived, StreamEnded]


@pytest.mark.scenario(77)
@pytest.mark.parametrize("case", ["no end", "pseudo"])
def test_malformed_trailers_end_their_stream(machine, server, case):
    request(machine, 1)
    head = server.headers(1, 200)
    if case == "no end":
        trailers = server.headers(1, None, [("a", "b")])
    else:
        trailers = server.headers(1, 200, end=True)
    events = machine.receive_data(wire(head, trailers))
    assert kinds(events) == [ResponseReceived, MalformedResponse]


@pytest.mark.scenario(86)
def test_data_before_headers_ends_its_stream_and_is_accounted_for(machine, server):
    request(machine, 1)
    request(machine, 3)
    events = machine.receive_data(
        wire(*[server.data(1, bytes(16000)) for _ in range(3)])
    )
    assert MalformedResponse in kinds(events)
    used = [event for event in events if isinstance(event, DataReceived)]
    assert sum(event.flow_controlled_length for event in used) == 48000
    assert all(event.data == b"" for event in used)
    assert [frame.stream_id for frame in sent(machine)] == [1]


@pytest.mark.scenario(66)
def test_lengths_are_left_to_whoever_reads_the_body(machine, server):
    request(machine, 1)
    events = machine.receive_data(
        wire(
            server.headers(1, 200, [("content-length", "10")]),
            server.data(1, b"abc", end=True),
        )
    )
    assert kinds(events) == [ResponseReceived, DataReceived, StreamEnded]
    assert (b"content-length", b"10") in events[0].headers


@pytest.mark.scenario(67)
def test_a_response_to_head_may_end_with_an_empty_frame(machine, server):
    head = [(b":method", b"HEAD"), *REQUEST[1:]]
    machine.send_headers(1, head, end_stream=True)
    events = machine.receive_data(
        wire(
            server.headers(1, 200, [("content-length", "10")]),
            server.data(1, b"", end=True),
        )
    )
    assert kinds(events)[-1] is StreamEnded


@pytest.mark.scenario(73)
def test_padding_and_priority_in_headers_are_accepted(machine, server):
    request(machine, 1)
    block = server.encoder.encode([(":status", "200")])
    frame = HeadersFrame(
        1,
        block,
        flags=["END_HEADERS", "PADDED", "PRIORITY"],
        pad_length=10,
        depends_on=0,
        stream_weight=15,
    )
    assert kinds(machine.receive_data(wire(frame))) == [ResponseReceived]


@pytest.mark.scenario(78)
def test_a_stream_that_the_server_opens_ends_the_connection(machine, server):
    request(machine, 1)
    assert_refused(
        machine, wire(server.headers(2, 200)), ErrorCodes.PROTOCOL_ERROR, "stream 2"
    )


@pytest.mark.scenario(79)
def test_a_response_on_an_idle_stream_ends_the_connection(machine, server):
    assert_refused(
        machine, wire(server.headers(5, 200)), ErrorCodes.PROTOCOL_ERROR, "."
    )


@pytest.mark.scenario(85)
def test_data_after_the_end_of_a_stream_resets_it(machine, server):
    request(machine, 1, end_stream=False)
    machine.receive_data(wire(server.headers(1, 200, end=True)))
    events = machine.receive_data(wire(server.data(1, b"more")))
    assert kinds(events) == [StreamReset, DataReceived]
    assert [frame.error_code for frame in sent(machine)] == [ErrorCodes.STREAM_CLOSED]


@pytest.mark.scenario(82)
def test_padding_longer_than_the_frame_ends_the_connection(machine):
    request(machine, 1)
    frame = b"\x00\x00\x02\x00\x08\x00\x00\x00\x01" + b"\x05x"
    assert_refused(machine, frame, ErrorCodes.PROTOCOL_ERROR, ".")


@pytest.mark.scenario(74)
def test_a_header_list_over_the_limit_ends_the_connection(machine, server):
    request(machine, 1)
    block = Encoder().encode([(":status", "200")] + [("a", "b" * 4000)] * 20)
    frames = [HeadersFrame(1, block[:16000])]
    for start in range(16000, len(block), 16000):
        frames.append(ContinuationFrame(1, block[start : start + 16000]))
    frames[-1].flags.add("END_HEADERS")
    assert_refused(machine, wire(*frames), ErrorCodes.ENHANCE_YOUR_CALM, "header")


@pytest.mark.scenario(147)
def test_an_undecodable_header_block_ends_the_connection(machine):
    request(machine, 1)
    for block in (b"\x80", b"\xff\xff\xff\xff\xff\xff\xff", b"\x40"):
        machine = fresh()
        machine.receive_data(wire(SettingsFrame(0)))
        request(machine, 1)
        frame = HeadersFrame(1, block, flags=["END_HEADERS"])
        assert_refused(machine, wire(frame), ErrorCodes.COMPRESSION_ERROR, "header")


# Resets.


@pytest.mark.scenario(84)
def test_a_reset_stream_is_reset_once_however_much_still_comes(machine, server):
    request(machine, 1)
    machine.receive_data(wire(server.headers(1, 200)))
    machine.reset_stream(1, ErrorCodes.CANCEL)
    events = machine.receive_data(
        wire(*[server.data(1, bytes(1000)) for _ in range(60)])
    )
    assert sum(event.flow_controlled_length for event in events) == 60_000
    frames = sent(machine)
    assert [f.error_code for f in frames if isinstance(f, RstStreamFrame)] == [
        ErrorCodes.CANCEL
    ]


@pytest.mark.scenario(97)
def test_frames_about_a_closed_stream_are_ignored(machine, server):
    request(machine, 1)
    machine.receive_data(wire(server.headers(1, 200, end=True)))
    assert (
        machine.receive_data(
            wire(
                server.window_update(1, 5),
                server.reset(1, 0),
                WindowUpdateFrame(1, window_increment=1),
            )
        )
        == []
    )
    zero = b"\x00\x00\x04\x08\x00\x00\x00\x00\x01" + bytes(4)
    assert machine.receive_data(zero) == []


@pytest.mark.scenario(95)
def test_a_window_update_of_zero_is_the_fault_of_its_stream(machine, server):
    request(machine, 1)
    request(machine, 3)
    zero = b"\x00\x00\x04\x08\x00\x00\x00\x00\x01" + bytes(4)
    events = machine.receive_data(zero + wire(server.window_update(3, 5)))
    assert kinds(events) == [MalformedResponse, WindowUpdated]
    assert [frame.stream_id for frame in sent(machine)] == [1]


@pytest.mark.scenario(95)
def test_a_window_update_of_zero_for_the_connection_ends_it(machine):
    zero = b"\x00\x00\x04\x08\x00\x00\x00\x00\x00" + bytes(4)
    assert_refused(machine, zero, ErrorCodes.PROTOCOL_ERROR, ".")


# GOAWAY.


@pytest.mark.scenario(124)
def test_a_goaway_leaves_the_streams_alone(machine, server):
    request(machine, 1, end_stream=False)
    events = machine.receive_data(wire(server.goaway(1, 0, b"bye")))
    assert kinds(events) == [ConnectionTerminated]
    assert (events[0].last_stream_id, events[0].error_code) == (1, ErrorCodes.NO_ERROR)
    assert events[0].additional_data == b"bye"
    machine.send_data(1, b"still sent", end_stream=True)
    assert [frame.data for frame in sent(machine)] == [b"still sent"]
    events = machine.receive_data(wire(server.headers(1, 200, end=True)))
    assert kinds(events) == [ResponseReceived, StreamEnded]


@pytest.mark.scenario(134)
def test_a_goaway_does_not_drop_what_was_not_sent_yet(machine, server):
    request(machine, 1, end_stream=False)
    machine.send_data(1, b"queued")
    machine.receive_data(wire(server.goaway(1)))
    assert [frame.data for frame in sent(machine)] == [b"queued"]


def test_a_goaway_may_have_a_code_that_nobody_knows(machine, server):
    (event,) = machine.receive_data(wire(server.goaway(0, 0xDEAD)))
    assert event.error_code == 0xDEAD


@pytest.mark.scenario(132)
def test_a_goaway_on_a_stream_or_too_short_ends_the_connection(machine):
    frame = b"\x00\x00\x08\x07\x00\x00\x00\x00\x01" + bytes(8)
    assert_refused(machine, frame, ErrorCodes.PROTOCOL_ERROR, ".")


# Limits.


@pytest.mark.scenario(157)
def test_a_frame_too_large_is_refused_at_its_head(machine):
    head = (16385).to_bytes(3, "big") + b"\x00\x00\x00\x00\x00\x01"
    assert_refused(machine, head, ErrorCodes.FRAME_SIZE_ERROR, "16385")


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(PingFrame(0, bytes(8)), marks=pytest.mark.scenario(138)),
        pytest.param(SettingsFrame(0), marks=pytest.mark.scenario(47, 150)),
        pytest.param(
            WindowUpdateFrame(0, window_increment=1), marks=pytest.mark.scenario(151)
        ),
        pytest.param(ExtensionFrame(0xB0, 0), marks=pytest.mark.scenario(151)),
        pytest.param(DataFrame(1), marks=pytest.mark.scenario(152)),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_work_without_progress_has_a_budget(machine, server, frame):
    request(machine, 1)
    machine.receive_data(wire(server.headers(1, 200)))
    machine.receive_data(wire(frame) * CONTROL_FRAME_BUDGET)
    sent(machine)
    with pytest.raises(ProtocolError, match="control frames") as caught:
        machine.receive_data(wire(frame))
    assert caught.value.error_code == ErrorCodes.ENHANCE_YOUR_CALM


@pytest.mark.scenario(89)
def test_progress_renews_the_budget(machine, server):
    request(machine, 1, end_stream=False)
    drip = wire(server.window_update(1, 1)) * (CONTROL_FRAME_BUDGET - 1)
    for _ in range(3):
        machine.receive_data(drip)
        machine.send_data(1, b"x")
    machine.receive_data(drip)
    machine.receive_data(wire(server.headers(1, 200)))
    machine.receive_data(drip)
    machine.receive_data(wire(server.data(1, b"x")))
    assert len(machine.receive_data(drip)) == CONTROL_FRAME_BUDGET - 1


@pytest.mark.scenario(143)
def test_a_header_block_without_end_ends_the_connection(machine):
    request(machine, 1)
    frames = [HeadersFrame(1, b"")] + [ContinuationFrame(1, b"")] * 100
    assert_refused(machine, wire(*frames), ErrorCodes.PROTOCOL_ERROR, "ontinuation")


# Errors.


def test_what_came_before_a_fault_is_not_lost(machine, server):
    request(machine, 1)
    with pytest.raises(ProtocolError) as caught:
        machine.receive_data(
            wire(server.headers(1, 200, end=True), server.headers(2, 200))
        )
    assert kinds(caught.value.events) == [ResponseReceived, StreamEnded]


@pytest.mark.scenario(135)
def test_a_ping_is_answered(machine, server):
    events = machine.receive_data(wire(server.ping(b"12345678")))
    assert kinds(events) == [PingReceived]
    (answer,) = sent(machine)
    assert answer.opaque_data == b"12345678"
    assert "ACK" in answer.flags


def test_answers_to_our_own_pings_are_no_work_without_progress(machine, server):
    for number in range(CONTROL_FRAME_BUDGET + 1):
        data = number.to_bytes(8, "big")
        machine.ping(data)
        machine.receive_data(wire(server.ping(data, ack=True)))


@pytest.mark.scenario(145)
@pytest.mark.parametrize(
    "between",
    [
        b"\x00\x00\x08\x07\x00" + bytes(12),
        b"\x00\x00\x04\x08\x00\x00\x00\x00\x01" + bytes(4),
    ],
    ids=["GOAWAY", "WINDOW_UPDATE of 0"],
)
def test_nothing_may_come_in_the_middle_of_a_header_block(machine, server, between):
    request(machine)
    block = server.encoder.encode([(":status", "200")])
    head = HeadersFrame(1, block[:1])
    assert_refused(machine, wire(head) + between, ErrorCodes.PROTOCOL_ERROR, ".")


def test_a_header_block_in_pieces_ends(machine, server):
    request(machine)
    block = server.encoder.encode([(":status", "200"), ("a", "b")])
    head = HeadersFrame(1, block[:1])
    rest = ContinuationFrame(1, block[1:2]), ContinuationFrame(1, block[2:])
    rest[1].flags.add("END_HEADERS")
    events = machine.receive_data(wire(head, *rest, server.goaway(1)))
    assert kinds(events) == [ResponseReceived, ConnectionTerminated]


@pytest.mark.scenario(116)
def test_resets_of_open_streams_are_not_work_without_progress(machine, server):
    machine.receive_data(
        wire(server.settings({SettingsFrame.MAX_CONCURRENT_STREAMS: 5000}))
    )
    ids = range(1, 2 * CONTROL_FRAME_BUDGET + 3, 2)
    for stream_id in ids:
        request(machine, stream_id)
    resets = [server.reset(stream_id, ErrorCodes.CANCEL) for stream_id in ids]
    assert len(machine.receive_data(wire(*resets))) == len(ids)
    machine.receive_data(wire(*resets[:-1]))
    with pytest.raises(ProtocolError, match="control frames"):
        machine.receive_data(wire(*resets))
