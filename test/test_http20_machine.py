"""Our own state machine against its reference, on real servers' bytes and random ones.

What both machines have to do by themselves is in ``test_http20_reference.py``, and what
users see of it in ``test_scenarios_http2.py``: those tests are for both.
"""

import hashlib
import random
import struct

import pytest
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    PushedStreamReceived,
    ResponseReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
    UnknownFrameReceived,
)
from h2.exceptions import (
    FlowControlError,
    FrameTooLargeError,
    NoAvailableStreamIDError,
    NoSuchStreamError,
    ProtocolError,
    StreamClosedError,
    StreamIDTooLowError,
    TooManyStreamsError,
)
from h2.settings import SettingCodes
from hpack import Encoder
from hyperframe.frame import (
    AltSvcFrame,
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    HeadersFrame,
    PriorityFrame,
    PushPromiseFrame,
    SettingsFrame,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from peer import Frames, frames_of, wire
from servers import HELLO, SERVERS, ten_mebibytes, ten_mebibytes_sha256
from test_everyday import connect, fetch
from twins import Twins, one_by_one, plain

from hyper.http20.dialect import DataRunReceived, MalformedResponse
from hyper.http20.machine import ENDED_KEPT, ClientMachine

REQUEST = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"a.test"),
    (b":path", b"/"),
]
CONNECT = [(b":method", b"CONNECT"), (b":authority", b"a.test:443")]
TRAILERS = [(b"x-sum", b"1")]


def raw(kind, flags, stream_id, body):
    head = len(body).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream_id.to_bytes(4, "big") + body


# Real servers.


@pytest.mark.parametrize(
    "name", [n for n in SERVERS if not SERVERS[n].cannot.get("h2")]
)
def test_both_machines_understand_a_server_alike(name, real_server):
    twins = []

    def make(wanted):
        twins.append(Twins(wanted))
        return twins[-1]

    server = real_server(name, "h2")
    cannot = SERVERS[name].cannot
    with connect(server, "h2", state_machine=make) as conn:
        for _ in range(3):
            assert fetch(conn, "GET", "/hello")[1] == HELLO
        conn.get_response(conn.request("HEAD", "/hello")).read()
        conn.get_response(conn.request("GET", "/missing")).read()
        ids = [conn.request("GET", "/hello") for _ in range(20)]
        assert {response.read() for response in conn.as_completed(ids)} == {HELLO}
        if "download" not in cannot:
            digest = hashlib.sha256(fetch(conn, "GET", "/10mb")[1]).hexdigest()
            assert digest == ten_mebibytes_sha256()
            response = conn.get_response(conn.request("GET", "/10mb"))
            response.read(100_000)
            response.close()
        if "upload" not in cannot:
            fetch(conn, "POST", "/upload", ten_mebibytes()[:1_000_000])
        conn.ping()
    for pair in twins:
        replay(pair, bytes_of)
        replay(pair, lambda data: split(data, random.Random(7)))


def replay(twins, cut):
    """See that the same comes of what came, however it is cut."""
    machine = ClientMachine(twins.settings)
    events = []
    for one in twins.history:
        if callable(one):
            one(machine)
        else:
            for piece in cut(one):
                events += machine.receive_data(piece)
    assert [*map(plain, one_by_one(events))] == [*map(plain, twins.events)]


def bytes_of(data):
    """Return a read byte by byte; of a large one, only its ends."""
    head, tail = data[:3000], data[3000:][-3000:]
    return [*map(one_byte, head), data[3000:-3000], *map(one_byte, tail)]


def one_byte(value):
    return bytes([value])


def split(data, chance):
    at = 0
    while at < len(data):
        size = chance.choice([1, 8, 9, 10, 100, 1000, 16393, 50_000])
        yield data[at : at + size]
        at += size


# Random traffic, legal and other.

IDS = st.sampled_from([1, 1, 1, 3, 3, 5, 0, 2, 4, 7])
ODD = st.sampled_from([1, 3, 5])
SECTIONS = st.sampled_from(
    [
        [(b":status", b"200")],
        [(b":status", b"200"), (b"x-a", b"b" * 50), (b"content-length", b"5")],
        [(b":status", b"103"), (b"link", b"</a>")],
        [(b":status", b"101")],
        [(b":status", b"407")],
        TRAILERS,
        [(b"Upper", b"1")],
        REQUEST,
        [],
    ]
)


@st.composite
def responses(draw):
    """Return what makes the frames of a header block, given an encoder."""
    stream_id, section = draw(IDS), draw(SECTIONS)
    flags = draw(st.sampled_from([[], ["END_STREAM"], ["END_STREAM", "PRIORITY"]]))
    promised = draw(st.sampled_from([None] * 5 + [2, 4, 4, 6, 2**31 + 8]))
    cuts, cut_short = draw(st.sampled_from([0, 0, 1, 2])), draw(st.booleans())
    padding = draw(st.sampled_from([None, 0, 3]))

    def build(encoder):
        block = encoder.encode(section)
        size = len(block) // (cuts + 1) + 1
        pieces = [block[i : i + size] for i in range(0, len(block), size)] or [b""]
        if promised is None:
            first = HeadersFrame(stream_id or 1, pieces[0], flags=flags)
        else:
            first = PushPromiseFrame(stream_id or 1, promised, pieces[0])
        if padding is not None and pieces[0]:
            first.flags.add("PADDED")
            first.pad_length = min(padding, len(pieces[0]))
        frames = [first, *(ContinuationFrame(stream_id or 1, p) for p in pieces[1:])]
        if not (cut_short and cuts == 2):
            frames[-1].flags.add("END_HEADERS")
        return wire(*frames)

    return build


def as_frame(frame):
    return lambda encoder: frame if isinstance(frame, bytes) else wire(frame)


FRAMES = st.one_of(
    responses(),
    responses(),
    st.builds(
        lambda stream_id, data, end, padding: raw(
            0,
            end | (0 if padding is None else 8),
            stream_id,
            data if padding is None else bytes([padding]) + data + bytes(padding),
        ),
        IDS,
        st.sampled_from([b"", b"body", b"b" * 16000]),
        st.integers(0, 1),
        st.sampled_from([None, None, 0, 5]),
    ).map(as_frame),
    st.builds(
        lambda stream_id, size, number: raw(0, 0, stream_id, bytes(size)) * number,
        IDS,
        st.sampled_from([1, 5, 16000]),
        st.integers(2, 6),
    ).map(as_frame),
    # WINDOW_UPDATE, RST_STREAM, PING and SETTINGS, right and wrong.
    st.builds(
        lambda i, n: raw(8, 0, i, struct.pack(">L", n)),
        IDS,
        st.sampled_from([0, 1, 2**31 - 1, 2**31 + 5]),
    ).map(as_frame),
    st.builds(
        lambda i, n: raw(3, 0, i, struct.pack(">L", n)),
        IDS,
        st.sampled_from([0, 8, 7, 99]),
    ).map(as_frame),
    st.builds(lambda flag: raw(6, flag, 0, b"12345678"), st.integers(0, 1)).map(
        as_frame
    ),
    st.builds(
        lambda codes: raw(4, 0, 0, b"".join(struct.pack(">HL", *c) for c in codes)),
        st.lists(
            st.sampled_from(
                [(1, 0), (1, 100), (1, 9999), (3, 1), (3, 100), (4, 0), (4, 99999)]
                + [(5, 16384), (5, 20000), (6, 9), (8, 1), (8, 0), (9, 1), (77, 7)]
                + [(2, 0), (4, 2**31 - 1), (5, 1), (4, 2**31)]
            ),
            max_size=4,
        ),
    ).map(as_frame),
    st.sampled_from(
        [
            raw(4, 1, 0, b""),
            raw(7, 0, 0, bytes(8) + b"bye"),
            raw(7, 0, 0, b"\x00\x00\x00\x01\x00\x00\x00\x63"),
            raw(9, 4, 1, b"\x88"),
            raw(10, 0, 0, b"\x00\x01ah2"),
            raw(10, 0, 1, b"\x00\x00h2"),
            raw(12, 0, 0, b"\x00\x01a"),
            raw(16, 0, 0, b"\x00\x00\x00\x01u=0"),
            raw(0xB0, 7, 1, b"unknown"),
            wire(PriorityFrame(1, depends_on=3, stream_weight=7)),
        ]
    ).map(as_frame),
    st.builds(
        raw,
        st.integers(0, 17),
        st.sampled_from([0, 1, 4, 5, 0x20, 0x25]),
        IDS,
        st.binary(max_size=12),
    ).map(as_frame),
)


def on_stream(verb):
    """Return what does something with a stream that is picked, if there is one."""

    def say(machine, pick):
        ids = sorted(machine.streams)
        if ids:
            verb(machine, ids[pick % len(ids)])

    return say


def send_some(machine, stream_id, end=False, amount=5):
    window = machine.local_flow_control_window(stream_id)
    machine.send_data(stream_id, bytes(max(0, min(amount, window))), end)


VERBS = st.sampled_from(
    [
        *[
            lambda m, pick: m.send_headers(
                m.get_next_available_stream_id(), REQUEST, end_stream=pick % 3 > 0
            )
        ]
        * 4,
        lambda m, pick: m.send_headers(m.get_next_available_stream_id(), CONNECT),
        on_stream(lambda m, i: m.send_headers(i, TRAILERS, end_stream=True)),
        on_stream(send_some),
        on_stream(lambda m, i: send_some(m, i, amount=16384)),
        on_stream(lambda m, i: send_some(m, i, end=True)),
        on_stream(lambda m, i: m.end_stream(i)),
        on_stream(lambda m, i: m.reset_stream(i, 8)),
        on_stream(lambda m, i: m.increment_flow_control_window(5000, i)),
        on_stream(lambda m, i: m.acknowledge_received_data(16000, i)),
        on_stream(lambda m, i: m.local_flow_control_window(i)),
        on_stream(lambda m, i: m.remote_flow_control_window(i)),
        lambda m, pick: m.increment_flow_control_window(70_000),
        lambda m, pick: m.increment_flow_control_window(2**31 - 1),
        lambda m, pick: m.acknowledge_received_data(500, 1),
        lambda m, pick: m.update_settings({pick % 6 + 1: 20_000 + pick % 2}),
        lambda m, pick: m.ping(b"87654321"),
        lambda m, pick: m.prioritize_update(1, b"u=1"),
        lambda m, pick: m.open_outbound_streams,
        lambda m, pick: m.outbound_flow_control_window,
        lambda m, pick: m.max_outbound_frame_size,
    ]
)
#: What is said, if anything is, what comes then, and what the verb is about.
STEPS = st.tuples(st.none() | VERBS, FRAMES, st.integers(0, 63))


@given(st.booleans(), st.lists(STEPS, max_size=25), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=300)
def test_both_machines_understand_random_frames_alike(push, steps, chance):
    twins = Twins({SettingCodes.ENABLE_PUSH: int(push)})
    encoder = Encoder()
    twins.initiate_connection()
    data = wire(SettingsFrame(0))
    for verb, frames, pick in steps:
        if verb is not None:
            # What came before it is read before it.
            if not read(twins, split(data, chance)):
                return
            data = b""
            try:
                verb(twins, pick)
            except (ProtocolError, ValueError):
                return  # h2 does not go on after all of these.
        data += frames(encoder)
    read(twins, split(data, chance))


def read(twins, pieces):
    """Let the pieces arrive; return whether the connection has survived them."""
    for piece in pieces:
        try:
            twins.receive_data(piece)
        except ProtocolError:
            twins.data_to_send()
            return False
    twins.data_to_send()
    return True


# What h2 has and hyper does not use, or what h2 does otherwise.


@pytest.fixture
def server():
    return Frames()


@pytest.fixture
def machine(server):
    """A machine that has greeted and been greeted, with a request on stream 1."""
    machine = greeted(server)
    machine.send_headers(1, REQUEST)
    machine.data_to_send()
    return machine


def greeted(server, announced=None):
    machine = ClientMachine(announced)
    machine.initiate_connection()
    machine.receive_data(wire(server.settings()))
    machine.data_to_send()
    return machine


def kinds(events):
    return [type(event) for event in events]


def sent(machine):
    return frames_of(machine.data_to_send())


def assert_refused(machine, data, code, match):
    with pytest.raises(ProtocolError, match=match) as caught:
        machine.receive_data(data)
    assert caught.value.error_code == code
    assert [frame.error_code for frame in sent(machine)[-1:]] == [code]


def test_what_is_queued_may_be_taken_in_pieces(machine):
    machine.ping(b"12345678")
    machine.ping(b"87654321")
    first = machine.data_to_send(5)
    assert len(first) == 5
    rest = machine.data_to_send(1000)
    assert [frame.opaque_data for frame in frames_of(first + rest)] == [
        b"12345678",
        b"87654321",
    ]
    assert machine.data_to_send() == machine.data_to_send(5) == b""


def test_ids_are_given_out_in_order_until_there_are_none(server):
    machine = greeted(server)
    assert machine.get_next_available_stream_id() == 1
    machine.send_headers(2**31 - 3, REQUEST)
    assert machine.get_next_available_stream_id() == 2**31 - 1
    machine.send_headers(2**31 - 1, REQUEST)
    with pytest.raises(NoAvailableStreamIDError):
        machine.get_next_available_stream_id()


def test_a_connection_may_begin_with_a_request_in_http1(server):
    machine = ClientMachine({SettingCodes.INITIAL_WINDOW_SIZE: 99})
    value = machine.initiate_upgrade_connection()
    (first,) = sent(machine)
    assert first.settings[SettingCodes.INITIAL_WINDOW_SIZE] == 99
    assert value.strip(b"=").isalnum()
    with pytest.raises(StreamClosedError):
        machine.send_data(1, b"too late")
    response = server.headers(1, 200), server.data(1, b"hello", end=True)
    events = machine.receive_data(wire(server.settings(), *response))
    assert kinds(events)[1:] == [ResponseReceived, DataReceived, StreamEnded]


@pytest.mark.parametrize("size", [4096, 8192])
def test_after_an_upgrade_the_size_of_the_table_is_told_if_it_is_another(size):
    machine = ClientMachine({SettingCodes.HEADER_TABLE_SIZE: size})
    machine.initiate_upgrade_connection()
    (first,) = sent(machine)
    assert first.settings.get(SettingCodes.HEADER_TABLE_SIZE, 4096) == size
    assert (SettingCodes.HEADER_TABLE_SIZE in first.settings) == (size != 4096)


def test_windows_open_as_what_came_is_consumed(machine, server):
    machine.receive_data(wire(server.headers(1, 200)))
    for amount, increments in [(16000, []), (16000, []), (16000, [48000, 48000])]:
        machine.receive_data(wire(server.data(1, bytes(amount))))
        machine.acknowledge_received_data(amount, 1)
        assert [frame.window_increment for frame in sent(machine)] == increments
    assert machine.remote_flow_control_window(1) == 65535
    machine.reset_stream(1, ErrorCodes.CANCEL)
    machine.acknowledge_received_data(40000, 1)
    for amount, stream_id in ((-1, 1), (1, 0)):
        with pytest.raises(ValueError, match="stream"):
            machine.acknowledge_received_data(amount, stream_id)
    with pytest.raises(ProtocolError):
        machine.acknowledge_received_data(1, 3)


def test_a_window_that_is_used_up_opens_as_soon_as_something_is_consumed(server):
    machine = greeted(server, {SettingCodes.INITIAL_WINDOW_SIZE: 16000})
    machine.send_headers(1, REQUEST)
    machine.data_to_send()
    machine.receive_data(wire(server.headers(1, 200), server.data(1, bytes(16000))))
    machine.acknowledge_received_data(1024, 1)
    assert sent(machine) == []
    machine.acknowledge_received_data(1, 1)
    assert [frame.window_increment for frame in sent(machine)] == [1025]


def test_more_than_a_window_allows_ends_the_connection(server):
    for limits, amount in (
        ({SettingCodes.INITIAL_WINDOW_SIZE: 5}, 6),
        ({SettingCodes.INITIAL_WINDOW_SIZE: 10**6}, 65536),
    ):
        machine = greeted(Frames(), limits)
        machine.send_headers(1, REQUEST)
        machine.receive_data(wire(Frames().headers(1, 200)))
        data = b"".join(
            wire(server.data(1, bytes(min(16384, amount - start))))
            for start in range(0, amount, 16384)
        )
        assert_refused(machine, data, ErrorCodes.FLOW_CONTROL_ERROR, "window allows")


@pytest.mark.parametrize("trailing", [b"", raw(0, 0, 1, b"abc"), raw(0, 0, 1, b"")])
def test_one_event_may_tell_of_equal_frames_in_a_row(machine, server, trailing):
    machine.receive_data(wire(server.headers(1, 200)))
    pieces = [bytes([number]) * 100 for number in range(20)]
    data = b"".join(raw(0, 0, 1, piece) for piece in pieces)
    events = machine.receive_data(data + trailing[:-1])
    assert kinds(events) == [DataRunReceived]
    assert list(events[0].run) == pieces
    assert events[0].stream_id == 1
    events += machine.receive_data(trailing[-1:])
    told = [event.data for event in one_by_one(events)]
    assert told == pieces + [trailing[9:]] * bool(trailing)
    assert machine.remote_flow_control_window(1) == 65535 - sum(map(len, told))


@pytest.mark.parametrize("size", [1, 8, 9, 10, 108, 109, 110, 400])
def test_equal_frames_may_be_cut_anywhere(machine, server, size):
    machine.receive_data(wire(server.headers(1, 200)))
    pieces = [bytes([number]) * 100 for number in range(20)]
    data = b"".join(raw(0, 0, 1, piece) for piece in pieces) + raw(0, 1, 1, b"end")
    events = []
    for start in range(0, len(data), size):
        events += machine.receive_data(data[start : start + size])
    assert kinds(events[-1:]) == [StreamEnded]
    assert [event.data for event in one_by_one(events[:-1])] == [*pieces, b"end"]


def test_settings_of_ours_are_in_force_once_they_are_acknowledged(machine, server):
    for code, value in (
        (SettingCodes.INITIAL_WINDOW_SIZE, 100_000),
        (SettingCodes.MAX_FRAME_SIZE, 20_000),
        (SettingCodes.MAX_HEADER_LIST_SIZE, 1234),
        (SettingCodes.HEADER_TABLE_SIZE, 0),
    ):
        machine.update_settings({code: value})
        (frame,) = sent(machine)
        assert frame.settings == {code: value}
    acknowledgement = wire(server.settings(ack=True))
    events = [machine.receive_data(acknowledgement)[0] for _ in range(5)]
    assert kinds(events) == [SettingsAcknowledged] * 5
    assert machine.local_settings.initial_window_size == 100_000
    machine.increment_flow_control_window(10**6)
    assert machine.remote_flow_control_window(1) == 100_000
    assert machine.max_inbound_frame_size == 20_000
    assert machine.decoder.max_header_list_size == 1234
    assert machine.decoder.max_allowed_table_size == 0


@pytest.mark.parametrize("amount", [2**31 - 1, 2**31 - 65535])
@pytest.mark.parametrize("stream_id", [None, 1])
def test_a_window_cannot_be_larger_than_any_may_be(machine, stream_id, amount):
    machine.increment_flow_control_window(1, stream_id)
    machine.data_to_send()
    with pytest.raises(FlowControlError):
        machine.increment_flow_control_window(amount, stream_id)
    for increment in (0, 2**31):
        with pytest.raises(ValueError, match="increment"):
            machine.increment_flow_control_window(increment, stream_id)
    assert machine.data_to_send() == b""


def test_a_verb_that_is_refused_sends_nothing_and_ends_nothing(machine, server):
    machine.receive_data(
        wire(server.settings({SettingCodes.MAX_CONCURRENT_STREAMS: 2}))
    )
    machine.data_to_send()
    for error, verb in (
        (ProtocolError, lambda: machine.send_headers(4, REQUEST)),
        (ProtocolError, lambda: machine.send_headers(2**31 + 1, REQUEST)),
        (ProtocolError, lambda: machine.send_headers(1, TRAILERS)),
        (FlowControlError, lambda: machine.send_data(1, bytes(65536))),
        (FrameTooLargeError, lambda: machine.send_data(1, bytes(16385))),
        (NoSuchStreamError, lambda: machine.send_data(3, b"")),
        (NoSuchStreamError, lambda: machine.reset_stream(2)),
        (NoSuchStreamError, lambda: machine.local_flow_control_window(5)),
        (ValueError, lambda: machine.ping("12345678")),
        (ValueError, lambda: machine.ping(b"1234567")),
    ):
        with pytest.raises(error):
            verb()
    assert machine.data_to_send() == b""
    machine.send_headers(3, REQUEST, end_stream=True)
    for error, verb in (
        (TooManyStreamsError, lambda: machine.send_headers(5, REQUEST)),
        (StreamClosedError, lambda: machine.send_data(3, b"more")),
        (StreamClosedError, lambda: machine.send_headers(3, TRAILERS, end_stream=True)),
    ):
        with pytest.raises(error):
            verb()
    machine.reset_stream(1, ErrorCodes.CANCEL)
    with pytest.raises(StreamIDTooLowError):
        machine.send_headers(1, REQUEST)
    machine.send_headers(5, REQUEST)
    machine.end_stream(5)
    assert [frame.stream_id for frame in sent(machine)] == [3, 1, 5, 5]


def test_a_body_may_be_a_view(machine):
    machine.send_data(1, memoryview(b"body"))
    (frame,) = sent(machine)
    assert frame.data == b"body"


def test_a_goaway_says_what_it_is_told_to(machine):
    machine.close_connection(ErrorCodes.CANCEL, b"bye", last_stream_id=8)
    (frame,) = sent(machine)
    assert (frame.last_stream_id, frame.error_code) == (8, ErrorCodes.CANCEL)
    assert frame.additional_data == b"bye"


def test_nothing_is_sent_after_the_end_and_little_taken(machine, server):
    machine.close_connection()
    machine.data_to_send()
    for verb in (
        lambda: machine.send_headers(3, REQUEST),
        lambda: machine.send_data(1, b"x"),
        lambda: machine.reset_stream(1),
        lambda: machine.increment_flow_control_window(1),
        lambda: machine.acknowledge_received_data(1, 1),
        lambda: machine.ping(bytes(8)),
        lambda: machine.update_settings({1: 0}),
    ):
        with pytest.raises(ProtocolError, match="ended"):
            verb()
    assert machine.data_to_send() == b""
    assert kinds(machine.receive_data(wire(server.goaway(1)))) == [ConnectionTerminated]
    assert machine.receive_data(wire(PriorityFrame(1))) == []
    data = wire(server.headers(1, 200))
    assert_refused(machine, data, ErrorCodes.PROTOCOL_ERROR, "after the end")


def test_nothing_is_taken_after_a_fault(machine, server):
    data = wire(server.headers(2, 200))
    assert_refused(machine, data, ErrorCodes.PROTOCOL_ERROR, "opened")
    for frame in (server.goaway(1), server.headers(1, 200), server.settings()):
        assert_refused(machine, wire(frame), ErrorCodes.PROTOCOL_ERROR, "after the end")


def test_padding_may_fill_the_rest_of_headers_and_no_more(server):
    block = server.encoder.encode([(b":status", b"200")])
    for flags, before in ((0x0C, b""), (0x2C, bytes(5))):
        machine = greeted(server)
        machine.send_headers(1, REQUEST)
        machine.data_to_send()
        full = raw(1, 8, 1, b"\x03" + bytes(3)) + raw(9, 4, 1, block)
        assert kinds(machine.receive_data(full)) == [ResponseReceived]
        over = bytes([len(block) + 1]) + before + block
        data = raw(1, flags, 1, over)
        assert_refused(machine, data, ErrorCodes.PROTOCOL_ERROR, "padding")


def test_padding_may_fill_the_rest_of_a_promise_and_no_more(server):
    machine = greeted(server, {SettingCodes.ENABLE_PUSH: 1})
    machine.send_headers(1, REQUEST)
    block = server.encoder.encode(REQUEST)
    promise = b"\x00\x00\x00\x02"
    full = raw(5, 8, 1, b"\x02" + promise + bytes(2)) + raw(9, 4, 1, block)
    assert kinds(machine.receive_data(full)) == [PushedStreamReceived]
    data = raw(5, 12, 1, b"\x03\x00\x00\x00\x04" + bytes(2))
    machine.data_to_send()
    assert_refused(machine, data, ErrorCodes.PROTOCOL_ERROR, "padding")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (raw(0, 8, 1, b""), ErrorCodes.FRAME_SIZE_ERROR),
        (raw(1, 8, 1, b""), ErrorCodes.FRAME_SIZE_ERROR),
        (raw(1, 0x24, 1, bytes(4)), ErrorCodes.FRAME_SIZE_ERROR),
        (raw(1, 0x2C, 1, bytes(5)), ErrorCodes.FRAME_SIZE_ERROR),
        (raw(5, 4, 1, bytes(3)), ErrorCodes.FRAME_SIZE_ERROR),
        (raw(5, 12, 1, bytes(4)), ErrorCodes.FRAME_SIZE_ERROR),
        (raw(5, 4, 1, bytes(4)), ErrorCodes.PROTOCOL_ERROR),
        (raw(5, 4, 1, b"\0\0\0\3"), ErrorCodes.PROTOCOL_ERROR),
        (raw(3, 0, 1, bytes(3)), ErrorCodes.FRAME_SIZE_ERROR),
        (raw(6, 0, 0, bytes(7)), ErrorCodes.FRAME_SIZE_ERROR),
        (raw(6, 0, 1, bytes(8)), ErrorCodes.PROTOCOL_ERROR),
        (raw(8, 0, 0, bytes(3)), ErrorCodes.FRAME_SIZE_ERROR),
        (raw(2, 0, 1, bytes(6)), ErrorCodes.FRAME_SIZE_ERROR),
        (raw(7, 0, 0, bytes(7)), ErrorCodes.FRAME_SIZE_ERROR),
        *(
            (raw(kind, 0, 0, bytes(8)), ErrorCodes.PROTOCOL_ERROR)
            for kind in (0, 1, 2, 3, 5)
        ),
    ],
)
def test_a_frame_that_cannot_be_ends_the_connection(machine, data, code):
    assert_refused(machine, data, code, ".")


def test_windows_that_a_server_makes_too_large(machine, server):
    machine.send_headers(3, REQUEST)
    machine.data_to_send()
    events = machine.receive_data(wire(server.window_update(1, 2**31 - 1)))
    assert kinds(events) == [StreamReset]
    assert events[0].error_code == ErrorCodes.FLOW_CONTROL_ERROR
    assert events[0].remote_reset is False
    (reset,) = sent(machine)
    assert (reset.stream_id, reset.error_code) == (1, ErrorCodes.FLOW_CONTROL_ERROR)
    machine.receive_data(wire(server.window_update(3, 2**31 - 65536)))
    data = wire(server.settings({SettingCodes.INITIAL_WINDOW_SIZE: 65536}))
    assert_refused(machine, data, ErrorCodes.FLOW_CONTROL_ERROR, "window")
    machine = greeted(Frames())
    data = wire(server.window_update(0, 2**31 - 1))
    assert_refused(machine, data, ErrorCodes.FLOW_CONTROL_ERROR, "window")


def test_what_means_nothing_is_told_and_ignored(machine):
    (event,) = machine.receive_data(wire(ExtensionFrame(0xBE, 0)))
    assert isinstance(event, UnknownFrameReceived)
    assert machine.receive_data(wire(AltSvcFrame(1, b"a", b"b"))) == []


def test_few_streams_that_have_ended_are_remembered(server):
    machine = greeted(server)
    last = 2 * ENDED_KEPT
    for stream_id in range(1, 2 * last, 2):
        machine.send_headers(stream_id, REQUEST, end_stream=True)
        machine.receive_data(wire(server.headers(stream_id, 200, end=True)))
    machine.data_to_send()
    for stream_id, answers in ((1, 0), (2 * last - 1, 1), (2 * last - 1, 0)):
        machine.receive_data(wire(server.data(stream_id, b"late")))
        assert len(sent(machine)) == answers


def test_many_different_heads_are_each_looked_at(machine, server):
    for number in range(200):
        stream_id = 3 + 2 * number
        machine.send_headers(stream_id, REQUEST, end_stream=True)
        good = server.headers(stream_id, 200, [("etag", str(number))], end=True)
        assert kinds(machine.receive_data(wire(good)))[0] is ResponseReceived
    bad = server.headers(1, 200, [("Etag", "1")], end=True)
    assert kinds(machine.receive_data(wire(bad))) == [MalformedResponse]


def test_a_large_frame_that_comes_slowly_costs_no_more_than_its_size(server):
    size = 2**22
    machine = greeted(
        server,
        {SettingCodes.MAX_FRAME_SIZE: size, SettingCodes.INITIAL_WINDOW_SIZE: size},
    )
    machine.increment_flow_control_window(size)
    machine.send_headers(1, REQUEST)
    body = random.Random(1).randbytes(size)
    data = wire(server.headers(1, 200), DataFrame(1, body))
    events = []
    for start in range(0, len(data), 100):
        events += machine.receive_data(data[start : start + 100])
    assert kinds(events) == [ResponseReceived, DataReceived]
    assert events[1].data == body
