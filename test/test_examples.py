"""The programs in docs/examples do what they say, against servers of others' making.

gRPC is spoken with Google's grpcio, WebSockets with Node.js and hypercorn, and so on.
What those do not do on demand, a scripted peer does, and a push service made of h2.
"""

from __future__ import annotations

import importlib.util
import json
import os
import ssl
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, SettingsFrame
from servers import ten_mebibytes
from servers.apns import FakeAPNs
from threads import background

import hyper
from hyper import (
    ConnectionPool,
    HTTP20Connection,
    LocalProtocolError,
    StreamResetError,
    http2bin,
)
from hyper.tls import init_context

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
SECONDS = 20


def load(name):
    """Return an example as a module."""
    spec = importlib.util.spec_from_file_location(
        f"example_{name}", EXAMPLES / f"{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclass() looks there
    spec.loader.exec_module(module)
    return module


apple_push = load("apple_push")
crawl = load("crawl")
download = load("download")
grpc_call = load("grpc_call")
server_sent_events = load("server_sent_events")
websocket = load("websocket")


def connect(server, way):
    if way == "h2c":
        return HTTP20Connection(server.host, server.h2c_port, timeout=SECONDS)
    context = init_context(server.ca_file)
    return HTTP20Connection(
        server.host, server.tls_port, True, ssl_context=context, timeout=SECONDS
    )


def run(example, server, *words, typed=""):
    """Run an example as a program that trusts a server; return what it prints."""
    root = str(Path(hyper.__file__).parent.parent)
    process = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{example}.py", *words],
        env={**os.environ, "PYTHONPATH": root, "SSL_CERT_FILE": str(server.ca_file)},
        input=typed,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout


@pytest.fixture(scope="module")
def service():
    with http2bin.serve() as server:
        yield server


# gRPC.


def method(name):
    return f"/test.Service/{name}"


@pytest.fixture(params=["h2", "h2c"])
def grpc(request, real_server):
    """A connection to the gRPC server."""
    with connect(real_server("grpc"), request.param) as conn:
        yield conn


def test_a_grpc_call_returns_its_response(grpc):
    for message in (b"", b"hello", bytes(range(256))):
        assert grpc_call.unary(grpc, method("Echo"), message) == message


def test_a_grpc_message_of_four_mebibytes_comes_back(grpc):
    message = os.urandom(4 * 1024 * 1024)
    assert grpc_call.unary(grpc, method("Echo"), message) == message


def test_a_grpc_call_that_fails_says_why(grpc):
    with pytest.raises(grpc_call.RPCError, match=r"^status 9: 100 % früh\n$") as caught:
        grpc_call.unary(grpc, method("Fail"), "100 % früh\n".encode())
    assert (caught.value.code, caught.value.message) == (9, "100 % früh\n")


def test_a_grpc_method_that_does_not_exist_is_unimplemented(grpc):
    with pytest.raises(grpc_call.RPCError) as caught:
        grpc_call.unary(grpc, method("None"), b"")
    assert caught.value.code == 12


def test_a_grpc_call_takes_metadata_and_a_timeout(grpc):
    answer = grpc_call.unary(
        grpc, method("Headers"), b"", timeout=60, metadata=[("x-name", "value")]
    )
    told, seconds = json.loads(answer)
    assert told["x-name"] == "value"
    assert 0 < seconds <= 60


def test_a_grpc_server_ends_a_call_whose_time_is_up(grpc):
    with pytest.raises(grpc_call.RPCError) as caught:
        grpc_call.unary(grpc, method("Sleep"), b"", timeout=0.1)
    assert caught.value.code == 4


def test_each_grpc_message_may_wait_for_the_answer_to_the_one_before(grpc):
    call = grpc_call.Call(grpc, method("Talk"))
    call.send(b"0")
    answers = iter(call)
    for number in range(100):
        assert next(answers) == b"%d" % number
        call.send(b"%d" % (number + 1))
    call.finish()
    assert list(answers) == [b"100"]


def test_one_thread_sends_grpc_messages_while_another_takes_the_answers(grpc):
    call = grpc_call.Call(grpc, method("Talk"))
    messages = [bytes([number]) * 50_000 for number in range(200)]

    def send_all():
        for message in messages:
            call.send(message)
        call.finish()

    sending = background(send_all)
    assert list(call) == messages
    sending.result()


def test_a_grpc_server_streams_a_thousand_messages(grpc):
    call = grpc_call.Call(grpc, method("Count"))
    call.send(b"1000")
    call.finish()
    assert list(call) == [b"%d" % number for number in range(1000)]


def test_the_grpc_messages_before_a_failure_are_not_lost(grpc):
    call = grpc_call.Call(grpc, method("Refuse"))
    call.send(b"one")
    answers = iter(call)
    assert next(answers) == b"one"
    with pytest.raises(grpc_call.RPCError, match="status 8: one is enough"):
        next(answers)


def test_threads_make_grpc_calls_on_one_connection(grpc):
    def call_often(name):
        for number in range(20):
            message = b"%s %d" % (name, number)
            assert grpc_call.unary(grpc, method("Echo"), message) == message

    for thread in [background(call_often, b"%d" % n) for n in range(8)]:
        thread.result()


def test_closing_the_iterator_cancels_a_grpc_call(grpc):
    call = grpc_call.Call(grpc, method("Forever"))
    answers = iter(call)
    assert [next(answers) for _ in range(100)] == [b"more"] * 100
    answers.close()
    assert grpc_call.unary(grpc, method("WasGivenUp"), b"") == b"yes"


@pytest.mark.parametrize(
    ("status", "fields", "body", "problem"),
    [
        (503, {}, b"", "status 2: HTTP status 503"),
        (200, {}, b"", "status 2: $"),
        (200, {"grpc-status": "0"}, b"", "status 13: 0 messages"),
        (200, {}, bytes(5) * 2, "status 13: 2 messages"),
        (200, {}, b"\x01\0\0\0\0", "status 13: .* compressed"),
        (200, {}, b"\0\0\0", "status 13: .* cut short"),
        (200, {}, b"\0\0\0\0\2a", "status 13: .* cut short"),
    ],
)
def test_an_answer_that_is_not_of_grpc_is_an_error(peer, status, fields, body, problem):
    calling = background(grpc_call.unary, peer.connection(), "/s/m", b"ask")
    peer.greet()
    assert peer.want_headers(1)[b"te"] == b"trailers"
    assert peer.want_body(1) == b"\0\0\0\0\3ask"
    peer.send_headers(1, status, fields.items(), end=not body)
    if body:
        peer.send_data(1, body)
        peer.send_trailers(1, [("grpc-status", "0")])
    with pytest.raises(grpc_call.RPCError, match=problem):
        calling.result()


@pytest.mark.parametrize("way", ["h2", "h2c"])
def test_the_grpc_program_prints_what_comes(real_server, way):
    server = real_server("grpc")
    url = server.url() if way == "h2" else server.h2c_url()
    assert run("grpc_call", server, url, method("Talk"), "one", "two") == "one\ntwo\n"


# WebSockets.


@pytest.fixture(
    params=[f"{n} {way}" for n in ("node", "hypercorn") for way in ("h2", "h2c")]
)
def chat(request, real_server):
    """A connection to a server with WebSockets at /websocket."""
    name, way = request.param.split()
    with connect(real_server(name, "websocket", "echo"), way) as conn:
        yield conn
        assert conn.open_streams == 0


def receive_all(socket):
    """Receive up to the end; return the messages and the exception that ended them."""
    received = []
    while True:
        try:
            received.append(socket.receive())
        except websocket.Closed as closed:
            return received, closed


@pytest.mark.parametrize("message", ["", "grüße", b"", bytes(range(256)), "x" * 70_000])
def test_a_websocket_carries_texts_and_bytes(chat, message):
    socket = websocket.WebSocket(chat, "/websocket")
    socket.send(message)
    assert socket.receive() == message
    socket.close(4321)
    assert receive_all(socket)[1].code == 4321


def test_one_thread_sends_on_a_websocket_while_another_receives(chat):
    socket = websocket.WebSocket(chat, "/websocket")
    messages = [bytes([number]) * 50_000 for number in range(100)]

    def send_all():
        for message in messages:
            socket.send(message)

    sending = background(send_all)
    assert [socket.receive() for _ in messages] == messages
    sending.result()
    socket.close()
    received, closed = receive_all(socket)
    assert (received, closed.code) == ([], 1000)


def test_many_websockets_and_requests_share_a_connection(chat):
    sockets = [websocket.WebSocket(chat, "/websocket") for _ in range(10)]
    for number, socket in enumerate(sockets):
        socket.send(f"{number}")
    assert chat.get_response(chat.request("GET", "/echo/me")).read() == b"me"
    for number, socket in reversed(list(enumerate(sockets))):
        assert socket.receive() == f"{number}"
        socket.close()
        assert receive_all(socket)[0] == []


def test_a_websocket_that_the_server_closes_says_why(chat):
    socket = websocket.WebSocket(chat, "/websocket")
    socket.send("close")
    for _ in range(2):
        with pytest.raises(websocket.Closed, match="4000 as you wish") as caught:
            socket.receive()
        assert (caught.value.code, caught.value.reason) == (4000, "as you wish")
    with pytest.raises(websocket.LocalProtocolError):
        socket.send("too late")
    socket.close()


def test_a_websocket_that_the_server_refuses_is_an_error(chat):
    with pytest.raises(ConnectionError, match=r"answered 40[34]"):
        websocket.WebSocket(chat, "/elsewhere")


def test_a_server_without_websockets_is_not_asked(real_server):
    with connect(real_server("nginx"), "h2") as conn:
        with pytest.raises(LocalProtocolError, match="RFC 8441"):
            websocket.WebSocket(conn, "/websocket")


def test_a_websocket_answers_pings(real_server):
    with connect(real_server("node", "websocket"), "h2") as conn:
        socket = websocket.WebSocket(conn, "/websocket")
        socket.send("ping")
        assert socket.receive() == "are you there?"


def test_a_refusal_that_goes_on_is_cancelled(peer):
    opening = background(websocket.WebSocket, peer.connection(), "/")
    peer.greet({SettingsFrame.ENABLE_CONNECT_PROTOCOL: 1})
    peer.want_headers(1)
    peer.send_headers(1, 404)
    assert isinstance(opening.error(), ConnectionError)
    assert peer.want_reset(1) == ErrorCodes.CANCEL


@pytest.fixture
def scripted(peer):
    """A WebSocket to the scripted peer."""
    opening = background(websocket.WebSocket, peer.connection(), "/")
    peer.greet({SettingsFrame.ENABLE_CONNECT_PROTOCOL: 1})
    fields = peer.want_headers(1)
    assert fields[b":protocol"] == b"websocket"
    assert fields[b"sec-websocket-version"] == b"13"
    peer.send_headers(1)
    return opening.result()


def want_frame(peer):
    """Return the first byte and the payload of a frame of the client's."""
    data = peer.want(DataFrame).data
    assert data[1] & 0x80, "a client masks"
    mask, payload = data[2:6], data[6:]
    return data[0], bytes(byte ^ mask[i & 3] for i, byte in enumerate(payload))


def test_a_message_may_come_in_any_pieces_with_pings_between(peer, scripted):
    frames = b"\x01\x03gr\xc3" + b"\x89\x01?" + b"\x80\x04\xbc\xc3\x9fe" + b"\x82\x01b"
    for byte in frames:
        peer.send_data(1, bytes([byte]))
    assert scripted.receive() == "grüße"
    assert want_frame(peer) == (0x8A, b"?")
    assert scripted.receive() == b"b"


def test_after_our_goodbye_messages_still_come_and_pings_are_not_answered(
    peer, scripted
):
    scripted.close(1000, "enough")
    assert want_frame(peer) == (0x88, b"\x03\xe8enough")
    peer.send_data(1, b"\x89\x00" + b"\x81\x04last" + b"\x88\x02\x03\xe8", end=True)
    received, closed = receive_all(scripted)
    assert (received, closed.code) == (["last"], 1000)
    assert peer.want_reset(1) == ErrorCodes.CANCEL


def test_a_goodbye_of_the_server_is_answered_and_the_stream_ended(peer, scripted):
    peer.send_data(1, b"\x88\x00")
    assert receive_all(scripted)[1].code == 1005
    assert want_frame(peer) == (0x88, b"")
    assert peer.want_reset(1) == ErrorCodes.CANCEL


def test_a_server_that_breaks_the_rules_is_told_so(peer, scripted):
    peer.send_data(1, b"\xf1\x00")
    assert receive_all(scripted)[1].code == 1002
    first, payload = want_frame(peer)
    assert (first, payload[:2]) == (0x88, b"\x03\xea")


def test_a_server_that_goes_without_goodbye_closed_abnormally(peer, scripted):
    peer.send_data(1, b"\x01\x02ha", end=True)
    assert receive_all(scripted)[1].code == 1006


def test_a_websocket_that_is_reset_raises_the_error_of_hyper(peer, scripted):
    peer.send_reset(1, ErrorCodes.CANCEL)
    with pytest.raises(StreamResetError):
        scripted.receive()


def test_the_websocket_program_sends_lines_and_prints_messages(real_server):
    server = real_server("node", "websocket")
    printed = run("websocket", server, server.url(), "/websocket", typed="one\ntwo\n")
    assert printed == "one\ntwo\n"


# Notifications to Apple devices.


TOKENS = [f"{number:064x}" for number in range(1000)]
GONE = dict.fromkeys(TOKENS[::100], 1454402113000)


def send_all(service, tokens=TOKENS):
    context = init_context(service.ca_file)
    with HTTP20Connection(service.url, ssl_context=context, timeout=SECONDS) as conn:
        payloads = [(token, token.encode()) for token in tokens]
        return list(apple_push.send_all(conn, "com.example.app", payloads))


def test_a_thousand_notifications_are_sent_over_one_connection(ca):
    with FakeAPNs(ca) as service:
        assert send_all(service) == [apple_push.Outcome(one, 200) for one in TOKENS]
        assert service.delivered == dict.fromkeys(TOKENS, 1)
        assert service.payloads == {token: token.encode() for token in TOKENS}
        assert service.connections == 1


def test_no_notification_is_lost_or_doubled_by_goaways(ca):
    with FakeAPNs(ca, goaway_after=[1, 250, 500, 750], inactive=GONE) as service:
        outcomes = send_all(service)
        assert service.delivered == dict.fromkeys(TOKENS, 1)
        assert service.connections == 5
        assert service.ignored >= 4
    assert [outcome.token for outcome in outcomes] == TOKENS
    since = datetime(2016, 2, 2, 8, 35, 13, tzinfo=timezone.utc)
    gone = apple_push.Outcome(TOKENS[0], 410, "Unregistered", since)
    assert outcomes[0] == gone
    assert {one.token for one in outcomes if one.gone_since} == set(GONE)
    assert {one.status for one in outcomes} == {200, 410}


def test_a_notification_that_may_have_been_delivered_is_not_sent_again(peer):
    sending = background(
        lambda: list(apple_push.send_all(peer.connection(), "topic", [("a", b"1")]))
    )
    peer.greet()
    assert peer.want_headers(1)[b"apns-topic"] == b"topic"
    assert peer.want_body(1) == b"1"
    peer.hang_up()
    (outcome,) = sending.result()
    assert (outcome.status, outcome.retry_safe) == (None, False)
    assert "closed the connection" in outcome.reason
    assert not peer.has_caller


def test_a_notification_that_cannot_have_been_delivered_may_be_sent_again(ca):
    with FakeAPNs(ca) as service:
        pass
    (outcome,) = send_all(service, TOKENS[:1])
    assert (outcome.status, outcome.retry_safe) == (None, True)


def test_the_push_program_says_which_devices_are_gone(ca, tmp_path):
    certificate = tmp_path / "push.pem"
    leaf = ca.issuer.issue_cert("com.example.app")
    certificate.write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
    with FakeAPNs(
        ca, goaway_after=[400, 700], inactive=GONE, asks_for_certificates=True
    ) as service:
        printed = run(
            "apple_push",
            service,
            service.url,
            str(certificate),
            "com.example.app",
            "Dinner is ready",
            typed="\n".join([*TOKENS, "nonsense"]),
        )
        assert service.delivered == dict.fromkeys(TOKENS, 1)
        assert set(service.payloads.values()) == {
            b'{"aps": {"alert": "Dinner is ready"}}'
        }
    *gone, bad, total = printed.splitlines()
    assert gone == [f"{token} is gone since 2016-02-02" for token in GONE]
    assert bad == "nonsense 400 BadDeviceToken"
    assert total == "990 of 1001 sent"


# Server-sent events.


def ask_for_events(peer, **options):
    """Return an iterator over events that is waiting for the first, and its source."""
    source = server_sent_events.EventSource(
        peer.connection(), "/events", retry=0, **options
    )
    return iter(source), source


def send_events(peer, stream_id, *pieces, end=False):
    peer.send_headers(stream_id, fields=[("content-type", "text/event-stream")])
    for piece in pieces:
        peer.send_data(stream_id, piece)
    if end:
        peer.send_data(stream_id, end=True)


EVENTS = (
    b"\xef\xbb\xbf: a comment\n\n"
    b"data: one\n\n"
    b"event: greeting\r\nid: 2\r\n"
    b"data: gr\xc3\xbc\xc3\x9fe\r\ndata\r\ndata:  you\r\n\r\n"
    b"id: 3\rretry: 0\rretry: soon\rother: field\rdata:three\r\r"
    b"event: without data\n\n"
    b"id\ndata: four\n\n"
)


@pytest.mark.parametrize("size", [1, 7, len(EVENTS)])
def test_events_are_read_in_pieces_of_any_size(peer, size):
    pieces = [EVENTS[at : at + size] for at in range(0, len(EVENTS), size)]
    events, source = ask_for_events(peer)
    reading = background(lambda: [next(events) for _ in range(4)])
    peer.greet()
    assert peer.want_headers(1)[b"accept"] == b"text/event-stream"
    send_events(peer, 1, *pieces)
    Event = server_sent_events.Event
    assert reading.result() == [
        Event("one"),
        Event("grüße\n\n you", "greeting", "2"),
        Event("three", id="3"),
        Event("four"),
    ]
    assert (source.last_event_id, source.retry) == ("", 0)
    events.close()
    assert peer.want_reset(1) == ErrorCodes.CANCEL


def test_the_server_is_told_which_event_was_the_last_that_came_whole(peer):
    events, source = ask_for_events(peer)
    reading = background(list, events)
    peer.greet()
    assert b"last-event-id" not in peer.want_headers(1)
    send_events(peer, 1, b"id: 1\ndata: whole\n\nid: 2\ndata: cut off")
    peer.send_reset(1, ErrorCodes.INTERNAL_ERROR)
    assert peer.want_headers(3)[b"last-event-id"] == b"1"
    send_events(peer, 3, b"id: 2\ndata: whole too\n\n", b"data: cut", end=True)
    assert peer.want_headers(5)[b"last-event-id"] == b"2"
    peer.hang_up()
    peer.greet()
    assert peer.want_headers(7)[b"last-event-id"] == b"2"
    peer.send_headers(7, 204, end=True)
    assert [event.data for event in reading.result()] == ["whole", "whole too"]
    assert source.last_event_id == "2"


@pytest.mark.parametrize("answer", [(404, "text/event-stream"), (200, "text/html")])
def test_what_is_no_stream_of_events_is_an_error(peer, answer):
    status, kind = answer
    events, _ = ask_for_events(peer, last_event_id="7")
    reading = background(list, events)
    peer.greet()
    assert peer.want_headers(1)[b"last-event-id"] == b"7"
    peer.send_headers(1, status, [("content-type", kind)])
    with pytest.raises(ValueError, match=f"{status} and '{kind}'"):
        reading.result()


@pytest.mark.parametrize("way", ["h2", "h1"])
def test_the_events_program_prints_events_until_there_are_no_more(real_server, way):
    server = real_server("hypercorn")
    url = server.url() if way == "h2" else server.h1_url()
    printed = run("server_sent_events", server, url.removesuffix("/"), "/events")
    assert printed == "".join(f"{n} count {n}\nof 5\n" for n in range(1, 6))


# Downloads.


FILE = bytes(range(256)) * 40


@pytest.fixture
def fetch(peer, ca):
    """Return what downloads a file in a thread, from the peer and over HTTP/2."""
    peer.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    peer.tls.load_cert_chain(ca.cert_file, ca.key_file)
    peer.tls.set_alpn_protocols(["h2"])
    url = f"https://127.0.0.1:{peer.port}/file"
    with ConnectionPool(timeout=SECONDS, verify=ca.ca_file) as pool:

        def fetch(path, **options):
            return background(download.download, pool, url, path, pause=0, **options)

        yield fetch


def send_part(peer, stream_id, start, end, *, etag='"1"'):
    """Send what a request for the rest from ``start`` gets, up to ``end``."""
    fields = [("content-length", str(len(FILE) - start))]
    if etag:
        fields.append(("etag", etag))
    if start:
        size = len(FILE)
        fields.append(("content-range", f"bytes {start}-{size - 1}/{size}"))
    peer.send_headers(stream_id, 206 if start else 200, fields)
    peer.send_data(stream_id, FILE[start:end], end=end == len(FILE))


def test_a_download_goes_on_where_it_was_cut_off(peer, fetch, tmp_path, caplog):
    path = tmp_path / "file"
    loading = fetch(path)
    peer.greet()
    assert b"range" not in peer.want_headers(1)
    send_part(peer, 1, 0, 4000)
    peer.send_reset(1, ErrorCodes.INTERNAL_ERROR)
    fields = peer.want_headers(3)
    assert (fields[b"range"], fields[b"if-range"]) == (b"bytes=4000-", b'"1"')
    send_part(peer, 3, 4000, 9000)
    peer.hang_up()
    peer.greet()
    assert peer.want_headers(1)[b"range"] == b"bytes=9000-"
    send_part(peer, 1, 9000, len(FILE))
    loading.result()
    assert path.read_bytes() == FILE
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert "file.part: 4000 bytes, then: the server reset stream 1" in caplog.text
    assert "file.part: 9000 bytes, then: the server closed" in caplog.text


def test_a_file_that_has_changed_is_downloaded_anew(peer, fetch, tmp_path):
    path = tmp_path / "file"
    (tmp_path / "file.part").write_bytes(b"of an old one")
    (tmp_path / "file.etag").write_text('"0"')
    loading = fetch(path)
    peer.greet()
    assert peer.want_headers(1)[b"if-range"] == b'"0"'
    send_part(peer, 1, 0, len(FILE))
    loading.result()
    assert path.read_bytes() == FILE


@pytest.mark.parametrize("etag", ['W/"1"', ""])
def test_a_file_that_cannot_be_told_from_another_begins_anew(
    peer, fetch, tmp_path, etag
):
    path = tmp_path / "file"
    loading = fetch(path)
    peer.greet()
    peer.want_headers(1)
    send_part(peer, 1, 0, 4000, etag=etag)
    peer.send_reset(1, ErrorCodes.INTERNAL_ERROR)
    assert b"range" not in peer.want_headers(3)
    send_part(peer, 3, 0, len(FILE), etag=etag)
    loading.result()
    assert path.read_bytes() == FILE


def test_a_download_that_was_complete_already_is_kept(peer, fetch, tmp_path):
    path = tmp_path / "file"
    (tmp_path / "file.part").write_bytes(FILE)
    (tmp_path / "file.etag").write_text('"1"')
    loading = fetch(path)
    peer.greet()
    size = len(FILE)
    assert peer.want_headers(1)[b"range"] == b"bytes=%d-" % size
    peer.send_headers(1, 416, [("content-range", f"bytes */{size}")], end=True)
    loading.result()
    assert path.read_bytes() == FILE


def test_a_download_that_brings_nothing_is_given_up(peer, fetch, tmp_path):
    loading = fetch(tmp_path / "file", tries=3)
    peer.greet()
    for stream_id in (1, 3, 5):
        peer.want_headers(stream_id)
        peer.send_reset(stream_id, ErrorCodes.INTERNAL_ERROR)
    with pytest.raises(StreamResetError, match="stream 5"):
        loading.result()


@pytest.mark.parametrize(
    ("status", "content_range"),
    [(404, ""), (206, "bytes 7-8/9"), (416, "bytes */3")],
)
def test_an_answer_that_is_no_file_is_an_error(
    peer, fetch, tmp_path, status, content_range
):
    (tmp_path / "file.part").write_bytes(b"part")
    (tmp_path / "file.etag").write_text('"1"')
    loading = fetch(tmp_path / "file")
    peer.greet()
    peer.want_headers(1)
    peer.send_headers(1, status, [("content-range", content_range)], end=True)
    with pytest.raises(ValueError, match=f"status {status}"):
        loading.result()


def test_the_download_program_goes_on_with_what_is_there(real_server, tmp_path):
    server = real_server("nginx", "download")
    with connect(server, "h2") as conn:
        etag = conn.get_response(conn.request("HEAD", "/10mb")).getheader("etag")
    whole = ten_mebibytes()
    # Were it not for the mark, nobody could see that it was not downloaded anew.
    (tmp_path / "file.part").write_bytes(b"mark" + whole[4:5_000_000])
    (tmp_path / "file.etag").write_text(etag)
    printed = run("download", server, server.url("/10mb"), str(tmp_path / "file"))
    assert printed == f"file: {len(whole)} bytes\n"
    assert (tmp_path / "file").read_bytes() == b"mark" + whole[4:]


def test_the_download_program_says_where_it_was_cut_off(text_peer, ca, tmp_path):
    url = f"http://127.0.0.1:{text_peer.port}/file"
    loading = background(run, "download", ca, url, str(tmp_path / "file"))
    text_peer.accept()
    text_peer.want_head()
    text_peer.send_bytes(
        b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 10\r\n\r\nhalf '
    )
    text_peer.hang_up()
    text_peer.accept()
    assert b"range: bytes=5-" in text_peer.want_head()
    text_peer.send_bytes(
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/10\r\n"
        b"Content-Length: 5\r\n\r\nwhole"
    )
    cut, end = loading.result(SECONDS).splitlines()
    assert cut.startswith("file.part: 5 bytes, then: ")
    assert end == "file: 10 bytes"
    assert (tmp_path / "file").read_bytes() == b"half whole"


# Crawling.


def test_the_crawling_program_fetches_a_thousand_pages(service):
    urls = [f"{service.url}/bytes/{n}" for n in range(1000)]
    bad = f"{service.url}/none"
    connections = service.connections
    printed = run("crawl", service, "32", typed="\n".join([*urls, bad, "nonsense"]))
    assert service.connections == connections + 1
    *shown, total = printed.splitlines()
    assert total == f"1000 pages, {sum(range(1000))} bytes"
    assert f"{bad}: 404" in shown
    (failed,) = (line for line in shown if line.startswith("nonsense"))
    assert failed == "nonsense: the URL has to begin with '/' or to be absolute"
    progress = [line.partition(" in ")[0] for line in shown if " of 1002 in " in line]
    assert progress == [f"{n} of 1002" for n in (*range(100, 1001, 100), 1002)]


def test_pages_of_several_servers_are_fetched(service, real_server):
    other = real_server("nginx", "echo")
    urls = [f"{service.url}/bytes/{n}" for n in range(50)]
    urls += [other.url(f"/echo/{n}") for n in range(50)]
    with ConnectionPool(timeout=SECONDS, verify=False) as pool:
        pages = {page.url: page for page in crawl.crawl(pool, urls, threads=8)}
        assert pool.connections == 2
    assert [pages[url].status for url in urls] == [200] * 100
    assert [pages[url].content for url in urls[50:]] == [b"%d" % n for n in range(50)]
    assert [len(pages[url].content) for url in urls[:50]] == list(range(50))


def test_a_page_of_a_server_that_is_gone_is_an_error():
    with http2bin.serve(tls=False) as server:
        url = f"{server.url}/"
    with ConnectionPool(timeout=SECONDS) as pool:
        (page,) = crawl.crawl(pool, [url])
    assert (page.status, page.content) == (None, b"")
    assert "refused" in page.error
