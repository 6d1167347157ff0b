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
from twins import Twins, plain

from hyper.http20.dialect import MalformedResponse
from hyper.http20.machine import ENDED_KEPT, ClientMachine

REQUEST = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"a.test"),
    (b":path", b"/"),
]
CONNECT = [(b":method", b"CONNECT"), (b":authority", b"a.test:443")]
TRAILERS = [(b"x-sum", b"1")]


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
    assert [*map(plain, events)] == [*map(plain, twins.events)]


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


def raw(kind, flags, stream_id, body):
    head = len(body).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream_id.to_bytes(4, "big") + body


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
