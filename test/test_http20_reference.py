"""The state machines, fed with raw frames: h2 behind the gate, and our own."""

import struct

import pytest
from h2.errors import ErrorCodes
from h2.events import (
    AlternativeServiceAvailable,
    ConnectionTerminated,
    DataReceived,
    InformationalResponseReceived,
    PingReceived,
    PushedStreamReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hpack import Decoder, Encoder
from hyperframe.frame import (
    AltSvcFrame,
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from peer import PREFACE, Frames, wire

from hyper.http20.dialect import (
    CONTROL_FRAME_BUDGET,
    NO_RFC7540_PRIORITIES,
    MalformedResponse,
    OriginReceived,
)
from hyper.http20.machine import ClientMachine
from hyper.http20.reference import CLOSED_KEPT, H2Machine

REQUEST = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"a.test"),
    (b":path", b"/"),
]


@pytest.fixture
def server():
    return Frames()


@pytest.fixture(params=[H2Machine, ClientMachine])
def make(request):
    """The class of a machine: each test is for both."""
    return request.param


@pytest.fixture
def fresh(make):
    """Return a function that returns a machine that has greeted."""

    def fresh(settings=None):
        machine = make(settings)
        machine.initiate_connection()
        machine.data_to_send()
        return machine

    return fresh


@pytest.fixture
def machine(fresh, server):
    """A machine that has greeted and been greeted."""
    machine = fresh()
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


def raw(kind, flags, stream_id, body):
    """Return the bytes of a frame that hyperframe would not make."""
    head = len(body).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream_id.to_bytes(4, "big") + body


def resets(machine):
    """Return stream and code of the RST_STREAM frames that the machine sends."""
    frames = [frame for frame in sent(machine) if isinstance(frame, RstStreamFrame)]
    return [(frame.stream_id, frame.error_code) for frame in frames]


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
def test_the_first_settings_refuse_push_and_limit_the_headers(make, server):
    machine = make({SettingsFrame.INITIAL_WINDOW_SIZE: 1234})
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


@pytest.mark.scenario(8)
def test_a_server_that_does_not_begin_with_settings_is_refused(fresh, server):
    for first in (server.ping(bytes(8)), server.settings(ack=True)):
        assert_refused(fresh(), wire(first), ErrorCodes.PROTOCOL_ERROR, "SETTINGS")


@pytest.mark.scenario(5)
def test_a_server_that_answers_in_http1_is_recognised_at_once(fresh):
    machine = fresh()
    assert machine.receive_data(b"HTT") == []
    assert_refused(machine, b"P/1.1", ErrorCodes.PROTOCOL_ERROR, "HTTP/1")


@pytest.mark.scenario(7)
def test_a_server_that_answers_in_tls_is_recognised_at_once(fresh):
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


@pytest.mark.scenario(34)
def test_an_acknowledgement_with_settings_is_a_frame_size_error(machine):
    frame = raw(4, 1, 0, b"\x00\x03\x00\x00\x00\x01")
    assert_refused(machine, frame, ErrorCodes.FRAME_SIZE_ERROR, "acknowledgement")


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
        (SettingCodes.ENABLE_CONNECT_PROTOCOL, 2, ErrorCodes.PROTOCOL_ERROR),
        (NO_RFC7540_PRIORITIES, 2, ErrorCodes.PROTOCOL_ERROR),
    ],
)
def test_impossible_settings_are_refused(machine, server, code, value, error):
    assert_refused(machine, wire(server.settings({code: value})), error, ".")


def test_a_client_may_say_that_it_uses_no_priorities_of_rfc_7540(make):
    machine = make({NO_RFC7540_PRIORITIES: 1})
    machine.initiate_connection()
    assert b"\x00\x09\x00\x00\x00\x01" in machine.data_to_send()


@pytest.mark.parametrize("value", [0, 1])
def test_the_server_may_say_that_it_uses_no_priorities_of_rfc_7540(
    machine, server, value
):
    assert NO_RFC7540_PRIORITIES not in machine.remote_settings
    machine.receive_data(wire(server.settings({NO_RFC7540_PRIORITIES: value})))
    assert machine.remote_settings[NO_RFC7540_PRIORITIES] == value


@pytest.mark.parametrize("frames", [1, 2])
def test_a_server_cannot_take_extended_connect_back(machine, frames):
    offer, withdrawal = (b"\x00\x08" + bytes([0, 0, 0, value]) for value in (1, 0))
    if frames == 2:
        machine.receive_data(raw(4, 0, 0, offer))
        assert machine.remote_settings.enable_connect_protocol == 1
        machine.receive_data(raw(4, 0, 0, offer))
        frame = raw(4, 0, 0, withdrawal)
    else:
        frame = raw(4, 0, 0, offer + withdrawal)
    assert_refused(machine, frame, ErrorCodes.PROTOCOL_ERROR, "extended CONNECT")


@pytest.mark.scenario(44)
@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ([4096], []),
        ([64], [64]),
        ([64, 64], [64]),
        ([0, 0], [0]),
        ([64, 0], [0]),
        ([100, 50], [50]),
        ([64, 4096], [64, 4096]),
        ([64, 4096, 64], [64]),
        ([100, 4096, 50, 2000], [50, 2000]),
    ],
)
@pytest.mark.parametrize("together", [False, True])
def test_the_next_headers_tell_the_smallest_size_of_the_table_and_the_last(
    machine, sizes, told, together
):
    entries = [b"\x00\x01" + size.to_bytes(4, "big") for size in sizes]
    for body in [b"".join(entries)] if together else entries:
        machine.receive_data(raw(4, 0, 0, body))
    machine.data_to_send()
    plain, resized = Encoder(), b""
    for size in told:
        plain.header_table_size = size
        plain.table_size_changes = [size]
        resized += plain.encode([])
    machine.send_headers(1, REQUEST, end_stream=True)
    (headers,) = sent(machine)
    assert headers.data.startswith(resized)
    assert headers.data[len(resized)] & 0x80, "and no other: here is :method"
    decoder = Decoder()
    assert decoder.decode(headers.data, raw=True) == REQUEST
    assert decoder.header_table_size == (sizes[-1] if told else 4096)
    machine.send_headers(3, REQUEST, end_stream=True)
    (headers,) = sent(machine)
    assert headers.data[0] & 0x80, "it is told once"


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


def test_bytes_may_come_one_by_one(fresh, server):
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
    assert kinds(events) == [MalformedResponse, DataReceived]
    assert events[0].error_code == ErrorCodes.STREAM_CLOSED
    assert [frame.error_code for frame in sent(machine)] == [ErrorCodes.STREAM_CLOSED]


@pytest.mark.scenario(85)
@pytest.mark.parametrize("end", [False, True])
def test_headers_after_the_end_of_a_stream_reset_it(machine, server, end):
    request(machine, 1, end_stream=False)
    machine.receive_data(wire(server.headers(1, 200, end=True)))
    events = machine.receive_data(wire(server.headers(1, None, [("t", "u")], end=end)))
    assert kinds(events) == [MalformedResponse]
    assert resets(machine) == [(1, ErrorCodes.STREAM_CLOSED)]


@pytest.mark.scenario(85)
@pytest.mark.parametrize("remembered_by", ["stream", "id"])
def test_what_comes_after_a_whole_exchange_is_answered_once(
    machine, server, remembered_by
):
    request(machine, 1)
    machine.receive_data(wire(server.headers(1, 200, end=True)))
    if remembered_by == "id":
        request(machine, 3)
    for _ in range(2):
        events = machine.receive_data(
            wire(server.data(1, b"more"), server.headers(1, None, [("t", "u")]))
        )
        assert [event.flow_controlled_length for event in events] == [4]
    assert resets(machine) == [(1, ErrorCodes.STREAM_CLOSED)]


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
def test_an_undecodable_header_block_ends_the_connection(fresh):
    for block in (b"\x80", b"\xff\xff\xff\xff\xff\xff\xff", b"\x40"):
        machine = fresh()
        machine.receive_data(wire(SettingsFrame(0)))
        request(machine, 1)
        frame = HeadersFrame(1, block, flags=["END_HEADERS"])
        assert_refused(machine, wire(frame), ErrorCodes.COMPRESSION_ERROR, "header")


@pytest.mark.scenario(148)
@pytest.mark.parametrize(
    "block",
    [b"\x20\x20\x20\x88", b"\x20\x3f\x00\x3e\x88", b"\x3f\x80\x00" * 3],
)
def test_a_table_resized_more_than_twice_is_refused(machine, block):
    request(machine, 1)
    frame = HeadersFrame(1, block, flags=["END_HEADERS"])
    assert_refused(machine, wire(frame), ErrorCodes.COMPRESSION_ERROR, "resizes")


@pytest.mark.scenario(148)
def test_a_table_may_be_resized_twice(machine):
    request(machine, 1)
    frame = HeadersFrame(1, b"\x20\x3f\xe1\x1f\x88", flags=["END_HEADERS"])
    (event,) = machine.receive_data(wire(frame))
    assert event.headers == [(b":status", b"200")]


# CONNECT.


CONNECT = [(b":method", b"CONNECT"), (b":authority", b"a.test:443")]
WEBSOCKET = [
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    (b":scheme", b"https"),
    (b":path", b"/chat"),
    (b":authority", b"a.test"),
]


@pytest.mark.parametrize("fields", [CONNECT, WEBSOCKET], ids=["plain", "extended"])
def test_a_tunnel_carries_data_both_ways(machine, server, fields):
    machine.receive_data(
        wire(server.settings({SettingCodes.ENABLE_CONNECT_PROTOCOL: 1}))
    )
    machine.data_to_send()
    machine.send_headers(1, fields)
    (headers,) = sent(machine)
    assert Decoder().decode(headers.data, raw=True) == fields
    assert "END_STREAM" not in headers.flags
    events = machine.receive_data(
        wire(server.headers(1, 103), server.headers(1, 200), server.data(1, b"hello"))
    )
    assert kinds(events) == [
        InformationalResponseReceived,
        ResponseReceived,
        DataReceived,
    ]
    machine.send_data(1, b"hi")
    machine.increment_flow_control_window(5, 1)
    events = machine.receive_data(wire(server.data(1, b"bye", end=True)))
    assert kinds(events) == [DataReceived, StreamEnded]
    machine.send_data(1, b"bye", end_stream=True)
    said = [frame.data for frame in sent(machine) if isinstance(frame, DataFrame)]
    assert said == [b"hi", b"bye"]


@pytest.mark.parametrize("fields", [CONNECT, WEBSOCKET], ids=["plain", "extended"])
def test_headers_in_a_tunnel_end_it(machine, server, fields):
    machine.send_headers(1, fields)
    trailers = server.headers(1, None, [("t", "u")], end=True)
    events = machine.receive_data(wire(server.headers(1, 200), trailers))
    assert kinds(events) == [ResponseReceived, MalformedResponse]
    assert "tunnel" in events[1].reason


def test_a_refusal_of_connect_is_a_response_like_others(machine, server):
    machine.send_headers(1, CONNECT)
    events = machine.receive_data(
        wire(
            server.headers(1, 407),
            server.data(1, b"no"),
            server.headers(1, None, [("t", "u")], end=True),
        )
    )
    assert kinds(events) == [
        ResponseReceived,
        DataReceived,
        TrailersReceived,
        StreamEnded,
    ]


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


@pytest.mark.scenario(84)
@pytest.mark.parametrize("remembered_by", ["stream", "id"])
def test_a_response_that_was_under_way_to_a_reset_stream_is_ignored(
    machine, server, remembered_by
):
    request(machine, 1)
    machine.reset_stream(1, ErrorCodes.CANCEL)
    if remembered_by == "id":
        request(machine, 3)
    machine.data_to_send()
    events = machine.receive_data(
        wire(
            server.headers(1, 100),
            server.headers(1, 103, [("link", "</a>")]),
            server.headers(1, 200, [("a", "b")]),
            server.data(1, b"body"),
            server.headers(1, None, [("t", "u")], end=True),
        )
    )
    assert [event.flow_controlled_length for event in events] == [4]
    assert sent(machine) == []
    request(machine, 5)
    (event,) = machine.receive_data(wire(server.headers(5, 200, [("link", "</a>")])))
    assert event.headers == [(b":status", b"200"), (b"link", b"</a>")]


@pytest.mark.scenario(122)
@pytest.mark.parametrize("ended_by", ["us", "the server", "both"])
def test_frames_of_a_stream_that_is_long_forgotten_are_ignored(
    machine, server, ended_by
):
    request(machine, 1)
    if ended_by == "us":
        machine.reset_stream(1, ErrorCodes.CANCEL)
    elif ended_by == "the server":
        machine.receive_data(wire(server.reset(1, ErrorCodes.CANCEL)))
    else:
        machine.receive_data(wire(server.headers(1, 200, end=True)))
    last = 2 * CLOSED_KEPT + 5
    for stream_id in range(3, last, 2):
        request(machine, stream_id)
        machine.receive_data(wire(server.headers(stream_id, 200, end=True)))
    request(machine, last)
    machine.data_to_send()
    for _ in range(2):
        events = machine.receive_data(
            wire(
                server.headers(1, 103, [("link", "</a>")]),
                server.headers(1, 200, [("a", "b")]),
                server.data(1, b"body"),
                server.headers(1, None, [("t", "u")], end=True),
                server.window_update(1, 5),
                server.reset(1, 0),
            )
        )
        assert kinds(events) == [DataReceived]
        assert (events[0].data, events[0].flow_controlled_length) == (b"", 4)
    assert sent(machine) == []
    (event,) = machine.receive_data(wire(server.headers(last, 200, [("a", "b")])))
    assert event.headers == [(b":status", b"200"), (b"a", b"b")]


@pytest.mark.scenario(115)
@pytest.mark.parametrize("stream_id", [5, 2])
@pytest.mark.parametrize(
    "frame",
    [
        lambda stream_id: raw(3, 0, stream_id, bytes(4)),
        lambda stream_id: raw(8, 0, stream_id, b"\x00\x00\x00\x01"),
        lambda stream_id: raw(8, 0, stream_id, bytes(4)),
        lambda stream_id: raw(0, 0, stream_id, b"x"),
        lambda stream_id: raw(1, 4, stream_id, b"\x88"),
    ],
    ids=["RST_STREAM", "WINDOW_UPDATE", "WINDOW_UPDATE of 0", "DATA", "HEADERS"],
)
def test_frames_of_a_stream_that_nobody_opened_end_the_connection(
    machine, frame, stream_id
):
    request(machine, 3)
    assert_refused(
        machine, frame(stream_id), ErrorCodes.PROTOCOL_ERROR, f"stream {stream_id}"
    )


def test_streams_before_the_first_are_closed_and_not_idle(machine, server):
    request(machine, 101)
    assert machine.receive_data(wire(server.reset(1, 0))) == []
    assert machine.receive_data(wire(server.window_update(99, 1))) == []


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


@pytest.mark.parametrize("stream_id", [0, 1])
def test_the_reserved_bit_of_a_window_update_is_ignored(machine, stream_id):
    request(machine, 1)
    (event,) = machine.receive_data(raw(8, 0, stream_id, b"\x80\x00\x00\x05"))
    assert (event.stream_id, event.delta) == (stream_id, 5)


@pytest.mark.scenario(95)
def test_a_window_update_of_zero_for_the_connection_ends_it(machine):
    zero = b"\x00\x00\x04\x08\x00\x00\x00\x00\x00" + bytes(4)
    assert_refused(machine, zero, ErrorCodes.PROTOCOL_ERROR, ".")


# Pushes.


@pytest.fixture
def pushed(fresh, server):
    """A machine that allows pushes and has a request under way, on stream 1."""
    machine = fresh({SettingCodes.ENABLE_PUSH: 1})
    machine.receive_data(wire(server.settings()))
    request(machine, 1)
    return machine


def promise(server, promised, parent=1):
    block = server.encoder.encode(REQUEST)
    return PushPromiseFrame(parent, promised, data=block, flags=["END_HEADERS"])


def test_a_promise_that_was_not_allowed_ends_the_connection(machine, server):
    request(machine, 1)
    frame = wire(promise(server, 2))
    assert_refused(machine, frame, ErrorCodes.PROTOCOL_ERROR, "push")


def test_a_client_may_offer_extended_connect(make):
    machine = make({SettingCodes.ENABLE_CONNECT_PROTOCOL: 1})
    machine.initiate_connection()
    assert b"\x00\x08\x00\x00\x00\x01" in machine.data_to_send()


def test_a_promise_and_its_response_give_the_events_of_h2(pushed, server):
    response = server.headers(2, 200, end=True)
    events = pushed.receive_data(wire(promise(server, 2), response))
    assert kinds(events) == [PushedStreamReceived, ResponseReceived, StreamEnded]
    assert events[0].headers == REQUEST


def test_a_pushed_response_may_be_preceded_by_an_interim_one(pushed, server):
    frames = server.headers(2, 103), server.headers(2, 200, end=True)
    events = pushed.receive_data(wire(promise(server, 2), *frames))
    assert kinds(events) == [
        PushedStreamReceived,
        InformationalResponseReceived,
        ResponseReceived,
        StreamEnded,
    ]


@pytest.mark.parametrize(
    "frame",
    [raw(0, 0, 2, b"x"), raw(8, 0, 2, b"\x00\x00\x00\x01")],
    ids=["DATA", "WINDOW_UPDATE"],
)
def test_a_promised_stream_begins_with_headers(pushed, server, frame):
    pushed.receive_data(wire(promise(server, 2)))
    assert_refused(pushed, frame, ErrorCodes.PROTOCOL_ERROR, "promised stream 2")


@pytest.mark.parametrize("refused", [True, False])
def test_a_promise_on_a_promised_stream_ends_the_connection(pushed, server, refused):
    pushed.receive_data(wire(promise(server, 2)))
    if refused:
        pushed.reset_stream(2, ErrorCodes.REFUSED_STREAM)
    pushed.data_to_send()
    again = wire(promise(server, 4, parent=2))
    assert_refused(pushed, again, ErrorCodes.PROTOCOL_ERROR, "stream")


@pytest.mark.parametrize("remembered_by", ["stream", "id"])
def test_a_promise_that_was_under_way_to_a_reset_stream_is_refused(
    pushed, server, remembered_by
):
    pushed.reset_stream(1, ErrorCodes.CANCEL)
    if remembered_by == "id":
        request(pushed, 3)
    pushed.data_to_send()
    response = server.headers(2, 200), server.data(2, b"body", end=True)
    events = pushed.receive_data(wire(promise(server, 2), *response))
    assert [event.flow_controlled_length for event in events] == [4]
    assert resets(pushed) == [(2, ErrorCodes.REFUSED_STREAM)]


def test_a_promise_on_a_stream_that_the_server_has_ended_ends_the_connection(
    pushed, server
):
    request(pushed, 3, end_stream=False)
    for parent in (1, 3):
        pushed.receive_data(wire(server.headers(parent, 200, end=True)))
    late = wire(promise(server, 2, parent=3))
    assert_refused(pushed, late, ErrorCodes.PROTOCOL_ERROR, "promise")


def test_a_promise_on_a_closed_stream_ends_the_connection(pushed, server):
    pushed.receive_data(wire(server.headers(1, 200, end=True)))
    late = wire(promise(server, 2))
    assert_refused(pushed, late, ErrorCodes.PROTOCOL_ERROR, "promise")


@pytest.mark.parametrize("ended_by", ["us", "the server"])
@pytest.mark.parametrize("again", [2, 4])
def test_a_stream_is_promised_once_and_in_order(pushed, server, ended_by, again):
    pushed.receive_data(wire(promise(server, 4)))
    if ended_by == "us":
        pushed.reset_stream(4, ErrorCodes.CANCEL)
    else:
        pushed.receive_data(wire(server.headers(4, 200, end=True)))
    pushed.data_to_send()
    late = wire(promise(server, again))
    assert_refused(pushed, late, ErrorCodes.PROTOCOL_ERROR, f"stream {again}")


def test_the_reserved_bit_of_a_promise_is_ignored(pushed, server):
    (event,) = pushed.receive_data(wire(promise(server, 2**31 + 2)))
    assert event.pushed_stream_id == 2


def test_an_undecodable_promise_ends_the_connection(pushed):
    frame = PushPromiseFrame(1, 2, data=b"\x80", flags=["END_HEADERS"])
    assert_refused(pushed, wire(frame), ErrorCodes.COMPRESSION_ERROR, "header")


def test_pushes_that_were_refused_are_not_kept(pushed, server):
    for stream_id in range(2, 200, 2):
        pushed.receive_data(wire(promise(server, stream_id)))
        pushed.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
    assert len(pushed.streams) <= 2


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


# Extensions.


@pytest.mark.parametrize(
    ("body", "origins"),
    [
        (b"", ()),
        (b"\x00\x0ehttps://a.test", (b"https://a.test",)),
        (
            b"\x00\x0ehttps://a.test\x00\x13https://b.test:8443",
            (b"https://a.test", b"https://b.test:8443"),
        ),
        (b"\x00\x00\x00\x02\xc3\xa9\x00\x0ehttps://a.test", (b"https://a.test",)),
    ],
    ids=["none", "one", "two", "some that cannot be"],
)
def test_an_origin_frame_is_handed_up(machine, body, origins):
    events = machine.receive_data(raw(0xC, 0xF0, 0, body))
    assert events == [OriginReceived(origins)]


@pytest.mark.parametrize(
    "frame",
    [
        raw(0xC, 0, 1, b"\x00\x01a"),
        *(raw(0xC, flag, 0, b"\x00\x01a") for flag in (1, 2, 4, 8)),
        raw(0xC, 0, 0, b"\x00\x01a\x00"),
        raw(0xC, 0, 0, b"\x00\x02a"),
    ],
    ids=["on a stream", *"1248", "half a length", "half an origin"],
)
def test_an_invalid_origin_frame_is_ignored(machine, frame):
    request(machine, 1)
    assert machine.receive_data(frame) == []


@pytest.mark.parametrize(
    ("frame", "origin"),
    [
        (AltSvcFrame(0, b"https://a.test", b'h2=":8443"'), b"https://a.test"),
        (AltSvcFrame(1, b"", b'h2=":8443"'), b"a.test"),
    ],
    ids=["of an origin", "of a request"],
)
def test_an_alternative_service_is_handed_up(machine, frame, origin):
    request(machine, 1)
    (event,) = machine.receive_data(wire(frame))
    assert isinstance(event, AlternativeServiceAvailable)
    assert (event.origin, event.field_value) == (origin, b'h2=":8443"')


@pytest.mark.parametrize(
    "frame",
    [
        AltSvcFrame(0, b"", b'h2=":8443"'),
        AltSvcFrame(1, b"https://a.test", b'h2=":8443"'),
        AltSvcFrame(5, b"", b'h2=":8443"'),
        AltSvcFrame(2, b"", b'h2=":8443"'),
    ],
    ids=["of nothing", "of two things", "of no request", "of no push"],
)
def test_an_invalid_alternative_service_is_ignored(machine, frame):
    request(machine, 1)
    assert machine.receive_data(wire(frame)) == []


@pytest.mark.parametrize("body", [b"\x00", b"\x00\x05abcd"])
def test_an_alternative_service_that_is_cut_short_is_a_frame_size_error(machine, body):
    assert_refused(machine, raw(0xA, 0, 0, body), ErrorCodes.FRAME_SIZE_ERROR, ".")


@pytest.mark.parametrize("opened", [False, True])
def test_a_request_may_be_given_another_priority(machine, opened):
    if opened:
        request(machine, 1)
    machine.prioritize_update(1, b"u=0, i")
    assert machine.data_to_send() == raw(0x10, 0, 0, b"\x00\x00\x00\x01u=0, i")


@pytest.mark.parametrize(
    ("stream_id", "value"),
    [(0, b"u=0"), (2**31, b"u=0"), (1, b"\xff"), (1, b"u" * 20_000)],
)
def test_a_priority_that_cannot_be_is_not_sent(machine, stream_id, value):
    with pytest.raises(ValueError, match="priority"):
        machine.prioritize_update(stream_id, value)
    assert machine.data_to_send() == b""


def test_a_priority_is_not_sent_after_the_end(machine):
    machine.close_connection()
    with pytest.raises(ProtocolError):
        machine.prioritize_update(1, b"u=0")


def test_a_server_cannot_update_priorities(machine):
    frame = raw(0x10, 0, 0, b"\x00\x00\x00\x01u=0")
    assert_refused(machine, frame, ErrorCodes.PROTOCOL_ERROR, "PRIORITY_UPDATE")


@pytest.mark.parametrize("stream_id", [1, 5])
def test_a_priority_of_rfc_7540_is_ignored(machine, server, stream_id):
    request(machine, 1)
    frame = PriorityFrame(stream_id, depends_on=stream_id, stream_weight=15)
    assert machine.receive_data(wire(frame)) == []


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
        pytest.param(ExtensionFrame(0xC, 0), marks=pytest.mark.scenario(151)),
        pytest.param(AltSvcFrame(0, b"a"), marks=pytest.mark.scenario(151)),
        pytest.param(PriorityFrame(1), marks=pytest.mark.scenario(151)),
        pytest.param(DataFrame(1), marks=pytest.mark.scenario(152)),
        pytest.param(
            DataFrame(1, pad_length=9, flags=["PADDED"]),
            marks=pytest.mark.scenario(152),
        ),
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


def test_what_comes_on_a_closed_stream_is_no_progress(machine, server):
    request(machine, 1)
    request(machine, 3)
    machine.reset_stream(1, ErrorCodes.CANCEL)
    ping = wire(server.ping(bytes(8)))
    machine.receive_data(ping * CONTROL_FRAME_BUDGET)
    machine.receive_data(wire(server.headers(1, 200), server.data(1, b"x")))
    with pytest.raises(ProtocolError, match="control frames"):
        machine.receive_data(ping)


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
        raw(0xC, 0, 0, b""),
        raw(0xB0, 0, 0, b""),
        raw(9, 4, 3, b""),
    ],
    ids=["GOAWAY", "WINDOW_UPDATE of 0", "ORIGIN", "unknown", "another's end"],
)
def test_nothing_may_come_in_the_middle_of_a_header_block(machine, server, between):
    request(machine)
    block = server.encoder.encode([(":status", "200")])
    head = HeadersFrame(1, block[:1])
    assert_refused(machine, wire(head) + between, ErrorCodes.PROTOCOL_ERROR, ".")


@pytest.mark.parametrize("case", ["open", "ended", "reset", "idle"])
def test_a_header_block_without_beginning_ends_the_connection(machine, server, case):
    request(machine, 1)
    if case == "ended":
        machine.receive_data(wire(server.headers(1, 200, end=True)))
    elif case == "reset":
        machine.reset_stream(1, ErrorCodes.CANCEL)
        machine.data_to_send()
    frame = raw(9, 4, 5 if case == "idle" else 1, b"\x88")
    assert_refused(machine, frame, ErrorCodes.PROTOCOL_ERROR, "CONTINUATION")


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
