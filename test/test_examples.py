"""The programs in docs/examples do what they say, against servers of others' making.

gRPC is spoken with Google's grpcio, WebSockets with Node.js and hypercorn. What those
do not do on demand, a scripted peer does.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, SettingsFrame
from threads import background

import hyper
from hyper import HTTP20Connection, LocalProtocolError, StreamResetError
from hyper.tls import init_context

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
SECONDS = 20


def load(name):
    """Return an example as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


grpc_call = load("grpc_call")
websocket = load("websocket")


def connect(server, way):
    if way == "h2c":
        return HTTP20Connection(server.host, server.h2c_port, timeout=SECONDS)
    context = init_context(server.ca_file)
    return HTTP20Connection(
        server.host, server.tls_port, True, ssl_context=context, timeout=SECONDS
    )


def run(example, server, url, *words, typed=""):
    """Run an example as a program and return what it prints."""
    root = str(Path(hyper.__file__).parent.parent)
    process = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{example}.py", url, *words],
        env={**os.environ, "PYTHONPATH": root, "SSL_CERT_FILE": str(server.ca_file)},
        input=typed,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout


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
