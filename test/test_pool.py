"""The pool: who shares a connection, who waits, and what is closed when."""

import contextlib
import gc
import json
import socket
import ssl
import subprocess
import sys
import textwrap
import weakref

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import PingFrame
from peer import wire
from test_exchange import unused_port
from test_pinning import OTHER as OTHER_PIN
from test_pinning import pin_of_server
from text_peer import TextPeer
from threads import (
    PATIENCE,
    Interrupted,
    background,
    interrupt_main_thread,
    interruptions,
    wait_for,
    wait_until_main_thread_blocks,
)

from hyper import (
    ConnectError,
    ConnectionLost,
    ConnectionPool,
    ConnectTimeout,
    HTTP11Response,
    HTTP20Response,
    HTTPVersion,
    LocalProtocolError,
    PoolTimeout,
    ReadTimeout,
    Timeout,
    TLSError,
    http2bin,
)
from hyper.common.moment import Moment
from hyper.tls import init_context
from hyper.trace import Recorder

DONE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"
HALF = DONE[:-2]
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\ndone"


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make_pool():
    """Return a function that returns a pool, closed when the test ends."""
    with contextlib.ExitStack() as stack:

        def make(**options):
            options.setdefault("timeout", PATIENCE)
            return stack.enter_context(ConnectionPool(**options))

        yield make


@pytest.fixture
def text_peers():
    """Three scripted HTTP/1.1 servers."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(TextPeer())) for _ in range(3)]


def url(peer, path="/", scheme="http", host="127.0.0.1"):
    return f"{scheme}://{host}:{peer.port}{path}"


def ask(pool, peer, path="/", **options):
    """Begin a request in a thread of its own."""
    scheme = "https" if peer.tls else "http"
    host = "localhost" if peer.tls else "127.0.0.1"
    return background(pool.request, "GET", url(peer, path, scheme, host), **options)


def path_asked_for(sock):
    """Read the head of a request from a connection of a server, return its path."""
    received = b""
    while b"\r\n\r\n" not in received:
        data = sock.recv(65536)
        assert data, "the client closed the connection"
        received += data
    return received.split()[1].decode()


def accept(peer, path="/"):
    """Take a new connection and the request for ``path`` on it."""
    peer.accept()
    assert path_asked_for(peer.sock) == path
    return peer.sock


def is_closed(sock):
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def exchange(pool, peer, answer=DONE):
    """Do a whole exchange on a new connection, and return that."""
    asking = ask(pool, peer)
    sock = accept(peer)
    sock.sendall(answer)
    assert asking.result().read() == b"done"
    return sock


def again(pool, peer, sock):
    """See that the next request goes over a connection that is there."""
    asking = ask(pool, peer, "/again")
    assert path_asked_for(sock) == "/again"
    sock.sendall(DONE)
    assert asking.result().read() == b"done"
    assert not peer.has_caller


def hold(pool, peer, path="/held"):
    """Begin an exchange whose response has not come completely."""
    asking = ask(pool, peer, path)
    sock = accept(peer, path)
    sock.sendall(HALF)
    return sock, asking.result()


def speak_tls(peer, ca, *alpn):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca.cert_file, ca.key_file)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    peer.tls = context


# HTTP/2: one connection.


@pytest.mark.scenario(240)
def test_50_threads_that_ask_at_once_dial_once_and_share_http2(peer, make_pool, ca):
    speak_tls(peer, ca, "h2")
    pool = make_pool(verify=ca.ca_file)
    tasks = [ask(pool, peer) for _ in range(50)]
    peer.greet()
    for stream_id in range(1, 101, 2):
        peer.want_headers(stream_id)
    for stream_id in range(1, 101, 2):
        peer.respond(stream_id, b"done")
    for task in tasks:
        response = task.result()
        assert isinstance(response, HTTP20Response)
        assert response.read() == b"done"
    assert peer.connections == 1
    assert not peer.has_caller
    assert pool.connections == 1


def test_http2_requests_beyond_what_the_server_allows_queue_there(peer, make_pool):
    pool = make_pool(h2c="prior-knowledge", max_connections_per_host=1)
    first = ask(pool, peer, "/1")
    peer.greet({3: 1})  # MAX_CONCURRENT_STREAMS
    peer.want_headers(1)
    peer.respond(1, b"done")
    assert first.result().read() == b"done"
    second = ask(pool, peer, "/2")
    assert peer.want_headers(3)[b":path"] == b"/2"
    third = ask(pool, peer, "/3")
    wait_for(lambda: third.waits_in("wait_until"))
    assert pool.waiting == 0
    peer.respond(3, b"done")
    assert second.result().read() == b"done"
    assert peer.want_headers(5)[b":path"] == b"/3"
    peer.respond(5, b"done")
    assert third.result().read() == b"done"


def test_an_http2_connection_with_a_response_under_way_is_not_idle(
    peer, make_pool, clock
):
    pool = make_pool(h2c="prior-knowledge", clock=clock, idle_timeout=60)
    asking = ask(pool, peer)
    peer.greet()
    peer.want_headers(1)
    peer.send_headers(1)
    response = asking.result()
    clock.now += 1000
    assert pool.connections == 1
    peer.send_data(1, b"done", end=True)
    assert response.read() == b"done"
    clock.now += 59
    assert pool.connections == 1
    clock.now += 1
    assert pool.connections == 0
    assert peer.want_goaway() == ErrorCodes.NO_ERROR


def test_an_http2_response_that_is_dropped_leaves_the_connection(peer, make_pool):
    peer.ignore = (*peer.ignore, PingFrame)
    pool = make_pool(h2c="prior-knowledge")
    asking = ask(pool, peer)
    peer.greet()
    peer.want_headers(1)
    peer.send_headers(1)
    asking.result()
    del asking
    assert peer.want_reset(1) == ErrorCodes.CANCEL
    second = ask(pool, peer)
    peer.want_headers(3)
    peer.respond(3)
    assert second.result().status == 200
    assert peer.connections == 1


@pytest.mark.scenario(130)
def test_a_goaway_while_idle_is_not_noticed_by_who_asks_next(peer, make_pool):
    pool = make_pool(h2c="prior-knowledge")
    for number in range(2):
        asking = ask(pool, peer)
        peer.greet()
        peer.want_headers()
        peer.respond(1 + 2 * number, b"done")
        assert asking.result().read() == b"done"
        peer.send_goaway(last=1 + 2 * number)
    assert peer.connections == 2


# HTTP/1.1: as many as are needed, up to a limit.


def test_one_thread_needs_one_connection(text_peer, make_pool):
    pool = make_pool()
    sock = exchange(pool, text_peer)
    for _ in range(3):
        again(pool, text_peer, sock)
    assert pool.connections == 1


@pytest.mark.scenario(241)
@pytest.mark.parametrize("tls", [False, True])
def test_many_threads_get_as_many_connections_as_the_limit_allows(
    text_peer, make_pool, ca, tls
):
    if tls:
        speak_tls(text_peer, ca)
    pool = make_pool(max_connections_per_host=3, verify=ca.ca_file)
    tasks = [ask(pool, text_peer) for _ in range(10)]
    socks = [accept(text_peer) for _ in range(3)]
    wait_for(lambda: pool.waiting == 7)
    assert pool.connections == 3
    assert not text_peer.has_caller
    for number in range(10):
        sock = socks[number % 3]
        sock.sendall(DONE)
        if number < 7:
            assert path_asked_for(sock) == "/"
    for task in tasks:
        response = task.result()
        assert isinstance(response, HTTP11Response)
        assert response.read() == b"done"
    assert pool.connections == 3
    assert not text_peer.has_caller


def test_who_waits_is_served_in_the_order_of_coming(text_peer, make_pool):
    pool = make_pool(max_connections_per_host=1)
    sock, held = hold(pool, text_peer)
    tasks = []
    for number in range(5):
        tasks.append(ask(pool, text_peer, f"/{number}"))
        wait_for(lambda: pool.waiting == len(tasks))
    sock.sendall(b"ne")
    assert held.read() == b"done"
    for number, task in enumerate(tasks):
        assert path_asked_for(sock) == f"/{number}"
        sock.sendall(DONE)
        assert task.result().read() == b"done"


def test_the_connection_that_was_used_last_is_used_next(text_peer, make_pool, clock):
    pool = make_pool(clock=clock)
    first, one = hold(pool, text_peer)
    second, other = hold(pool, text_peer)
    second.sendall(b"ne")
    assert other.read() == b"done"
    clock.now += 1
    first.sendall(b"ne")
    assert one.read() == b"done"
    again(pool, text_peer, first)
    again(pool, text_peer, first)


def test_a_response_that_came_completely_needs_no_reading_to_free_its_place(
    text_peer, make_pool
):
    pool = make_pool(max_connections_per_host=1)
    asking = ask(pool, text_peer)
    sock = accept(text_peer)
    sock.sendall(DONE)
    unread = asking.result()
    again(pool, text_peer, sock)
    assert unread.read() == b"done"


@pytest.mark.scenario(275)
@pytest.mark.parametrize("way", ["close", "with", "drop", "fail"])
def test_a_response_that_is_given_up_frees_its_place(text_peer, make_pool, way):
    pool = make_pool(max_connections_per_host=1)
    sock, held = hold(pool, text_peer)
    waiting = ask(pool, text_peer)
    wait_for(lambda: pool.waiting == 1)
    if way == "close":
        held.close()
    elif way == "with":
        with held:
            pass
    elif way == "drop":
        del held
    else:
        text_peer.die()
        with pytest.raises(ConnectionLost):
            held.read()
    other = accept(text_peer)
    if way != "fail":
        assert is_closed(sock), "the rest of a response must not come after it"
    other.sendall(DONE)
    assert waiting.result().read() == b"done"
    assert pool.connections == 1


def test_a_response_of_which_too_little_came_in_time_frees_its_place(
    text_peer, make_pool
):
    pool = make_pool(max_connections_per_host=1)
    asking = ask(pool, text_peer, timeout=Timeout(read=0.05))
    sock = accept(text_peer)
    sock.sendall(HALF)
    with pytest.raises(ReadTimeout):
        asking.result().read()
    assert is_closed(sock)
    exchange(pool, text_peer)


def test_a_request_that_fails_frees_its_place(text_peer, make_pool):
    pool = make_pool(max_connections_per_host=1)
    asking = ask(pool, text_peer, timeout=Timeout(read=0.05))
    accept(text_peer)
    assert isinstance(asking.error(), ReadTimeout)
    assert pool.connections == 0
    with pytest.raises(LocalProtocolError):
        pool.request("G T", url(text_peer))
    exchange(pool, text_peer)


def test_a_place_may_be_given_back_in_a_thread_that_holds_the_pools_lock(
    text_peer, make_pool, clock
):
    # A clock is what a pool calls inside; the collector may drop things there as well.
    held = []

    def drop_and_tell():
        held.clear()
        return clock()

    pool = make_pool(max_connections_per_host=1, clock=drop_and_tell)
    asking = ask(pool, text_peer)
    sock = accept(text_peer)
    sock.sendall(HALF)
    held.append(asking.result())
    del asking
    waiting = ask(pool, text_peer)
    other = accept(text_peer)
    assert is_closed(sock)
    other.sendall(DONE)
    assert waiting.result().read() == b"done"


def test_a_response_closed_by_two_threads_gives_its_place_back_once(
    text_peer, make_pool
):
    pool = make_pool(max_connections_per_host=1)
    _, held = hold(pool, text_peer)
    held.close()
    held.close()
    del held
    _, held = hold(pool, text_peer)
    waiting = ask(pool, text_peer)
    wait_for(lambda: pool.waiting == 1)
    held.close()
    accept(text_peer).sendall(DONE)
    assert waiting.result().status == 200


def test_after_connection_close_the_next_request_connects_anew(text_peer, make_pool):
    pool = make_pool(max_connections_per_host=1)
    for _ in range(3):
        sock = exchange(pool, text_peer, CLOSING)
        assert pool.connections == 0
        assert is_closed(sock)
    assert text_peer.connections == 3


@pytest.mark.scenario(222)
def test_that_a_server_closed_an_idle_connection_is_not_noticed(text_peer, make_pool):
    pool = make_pool(max_connections_per_host=1)
    for _ in range(3):
        exchange(pool, text_peer)
        text_peer.hang_up()
    assert pool.connections == 1


# Waiting has an end.


@pytest.mark.scenario(248)
@pytest.mark.parametrize(
    ("timeout", "reason"),
    [
        (0, "write timeout: 0 s"),
        (Timeout(write=0.05), "write timeout: 0.05 s"),
        (Timeout(total=0.05), "total timeout: 0.05 s"),
    ],
)
def test_a_wait_for_a_connection_ends_in_time(text_peer, make_pool, timeout, reason):
    pool = make_pool(max_connections_per_host=1)
    sock, held = hold(pool, text_peer)
    with pytest.raises(PoolTimeout, match=f"a connection to 127.0.0.1.*{reason}") as e:
        pool.request("POST", url(text_peer, "/late"), b"body", timeout=timeout)
    assert e.value.retry_safe
    assert pool.waiting == 0
    sock.sendall(b"ne")
    assert held.read() == b"done"
    again(pool, text_peer, sock)


def test_who_gives_up_waiting_holds_up_nobody_behind(text_peer, make_pool):
    pool = make_pool(max_connections_per_host=1)
    sock, held = hold(pool, text_peer)
    hasty = ask(pool, text_peer, "/hasty", timeout=Timeout(write=0.1))
    wait_for(lambda: pool.waiting == 1)
    patient = ask(pool, text_peer, "/patient")
    assert isinstance(hasty.error(), PoolTimeout)
    sock.sendall(b"ne")
    assert held.read() == b"done"
    assert path_asked_for(sock) == "/patient"
    sock.sendall(DONE)
    assert patient.result().read() == b"done"


def test_the_total_begins_before_the_wait(text_peer, make_pool):
    pool = make_pool(max_connections_per_host=1)
    sock, held = hold(pool, text_peer)
    waiting = ask(pool, text_peer, timeout=Timeout(total=0.2))
    wait_for(lambda: pool.waiting == 1)
    sock.sendall(b"ne")
    assert held.read() == b"done"
    path_asked_for(sock)
    error = waiting.error()
    assert isinstance(error, ReadTimeout)
    assert "total timeout: 0.2 s" in str(error)


def test_an_interrupted_wait_leaves_no_trace(text_peer, make_pool):
    pool = make_pool(max_connections_per_host=1)
    sock, held = hold(pool, text_peer)
    with interruptions() as seen:

        def interrupt():
            wait_for(lambda: pool.waiting == 1)
            wait_until_main_thread_blocks()
            interrupt_main_thread(seen)

        interrupting = background(interrupt)
        with pytest.raises(Interrupted):
            pool.request("GET", url(text_peer))
        interrupting.result()
    assert pool.waiting == 0
    sock.sendall(b"ne")
    assert held.read() == b"done"
    again(pool, text_peer, sock)


def test_an_interrupted_request_is_cancelled_in_http1(text_peer, make_pool):
    pool = make_pool(max_connections_per_host=1)
    with interruptions() as seen:

        def interrupt():
            sock = accept(text_peer)
            wait_until_main_thread_blocks()
            interrupt_main_thread(seen)
            return sock

        interrupting = background(interrupt)
        with pytest.raises(Interrupted):
            pool.request("GET", url(text_peer))
        assert is_closed(interrupting.result())
    exchange(pool, text_peer)


def test_an_interrupted_request_is_cancelled_in_http2(peer, make_pool):
    peer.ignore = (*peer.ignore, PingFrame)
    pool = make_pool(h2c="prior-knowledge")
    with interruptions() as seen:

        def interrupt():
            peer.greet()
            peer.want_headers(1)
            wait_until_main_thread_blocks()
            interrupt_main_thread(seen)

        interrupting = background(interrupt)
        with pytest.raises(Interrupted):
            pool.request("GET", url(peer))
        interrupting.result()
    assert peer.want_reset(1) == ErrorCodes.CANCEL
    asking = ask(pool, peer)
    peer.want_headers(3)
    peer.respond(3)
    assert asking.result().status == 200


# Limits over all servers.


@pytest.mark.scenario(241)
def test_for_one_too_many_the_one_not_used_for_longest_is_closed(
    text_peers, make_pool, clock
):
    pool = make_pool(max_connections=2, clock=clock)
    a, b, c = text_peers
    first = exchange(pool, a)
    second = exchange(pool, b)
    again(pool, a, first)
    third = exchange(pool, c)
    assert is_closed(second)
    again(pool, a, first)
    again(pool, c, third)
    assert pool.connections == 2
    exchange(pool, b)
    assert is_closed(first)


def test_where_all_are_busy_other_servers_wait_too(text_peers, make_pool):
    pool = make_pool(max_connections=1)
    a, b, _ = text_peers
    sock, held = hold(pool, a)
    waiting = ask(pool, b)
    wait_for(lambda: pool.waiting == 1)
    sock.sendall(b"ne")
    assert held.read() == b"done"
    accept(b).sendall(DONE)
    assert waiting.result().read() == b"done"
    assert is_closed(sock)
    assert pool.connections == 1


def test_a_server_at_its_limit_holds_up_no_other(text_peers, make_pool):
    pool = make_pool(max_connections_per_host=1)
    a, b, _ = text_peers
    sock, held = hold(pool, a)
    waiting = ask(pool, a)
    wait_for(lambda: pool.waiting == 1)
    exchange(pool, b)
    sock.sendall(b"ne")
    assert held.read() == b"done"
    path_asked_for(sock)
    sock.sendall(DONE)
    assert waiting.result().read() == b"done"


@pytest.mark.scenario(250)
def test_what_was_unused_for_too_long_is_closed_by_the_next_call(
    text_peers, make_pool, clock
):
    pool = make_pool(idle_timeout=60, clock=clock)
    a, b, _ = text_peers
    first = exchange(pool, a)
    clock.now += 59
    again(pool, a, first)
    clock.now += 1
    second = exchange(pool, b)
    clock.now += 59
    again(pool, b, second)
    assert is_closed(first)
    assert pool.connections == 1


@pytest.mark.scenario(250)
def test_a_request_that_comes_when_its_connection_is_too_old_gets_a_new_one(
    text_peer, make_pool, clock
):
    pool = make_pool(idle_timeout=60, clock=clock)
    for _ in range(3):
        sock = exchange(pool, text_peer)
        clock.now += 60
    assert pool.connections == 0
    assert is_closed(sock)


def test_a_connection_is_idle_from_when_its_response_ended(text_peer, make_pool, clock):
    pool = make_pool(idle_timeout=60, clock=clock)
    sock, held = hold(pool, text_peer)
    clock.now += 1000
    assert pool.connections == 1, "a response under way is not idle"
    sock.sendall(b"ne")
    assert held.read() == b"done"
    clock.now += 59
    again(pool, text_peer, sock)


def test_without_an_idle_timeout_connections_stay(text_peer, make_pool, clock):
    pool = make_pool(idle_timeout=None, clock=clock)
    sock = exchange(pool, text_peer)
    clock.now += 1e9
    again(pool, text_peer, sock)


def test_of_the_idle_ones_those_used_last_are_kept(text_peers, make_pool):
    pool = make_pool(max_idle=2)
    socks = [exchange(pool, one) for one in text_peers]
    assert pool.connections == 2
    assert is_closed(socks[0])
    again(pool, text_peers[1], socks[1])
    again(pool, text_peers[2], socks[2])


def test_a_connection_that_may_not_be_idle_is_still_for_who_waits(text_peer, make_pool):
    pool = make_pool(max_idle=0, max_connections_per_host=1)
    sock, held = hold(pool, text_peer)
    waiting = ask(pool, text_peer, "/waits")
    wait_for(lambda: pool.waiting)
    sock.sendall(b"ne")
    assert held.read() == b"done"
    assert path_asked_for(sock) == "/waits"
    sock.sendall(DONE)
    assert waiting.result().read() == b"done"
    assert pool.connections == 0
    assert is_closed(sock)


# Ways to speak.


def test_a_pool_without_http2_speaks_http1_to_who_could_do_more(make_pool):
    with http2bin.serve() as service:
        pool = make_pool(http2=False, verify=service.ca_file)
        response = pool.request("GET", f"{service.url}/get")
        assert response.version is HTTPVersion.http11
        assert response.read()


def test_every_connection_of_a_pool_is_in_its_trace(make_pool):
    trace = Recorder()
    with http2bin.serve() as service, http2bin.serve(tls=False) as other:
        pool = make_pool(verify=service.ca_file, trace=trace)
        for url in (service.url, other.url):
            assert pool.request("GET", f"{url}/ip").read()
    requests = [one.kind for one in trace.records if one.direction == "send"]
    assert "HEADERS" in requests
    assert "REQUEST" in requests
    assert {one.connection for one in trace.records} == {1, 2}


def test_a_pool_without_http1_wants_http2(peer, text_peer, make_pool, ca):
    speak_tls(text_peer, ca, "http/1.1")
    pool = make_pool(http1=False, verify=ca.ca_file)
    asking = ask(pool, text_peer)
    text_peer.accept()
    assert isinstance(asking.error(), TLSError)
    assert pool.connections == 0
    asking = ask(pool, peer)
    peer.greet()
    peer.want_headers(1)
    peer.respond(1, b"done")
    assert asking.result().version is HTTPVersion.http20


@pytest.mark.scenario(214)
def test_a_pool_may_lead_to_a_unix_socket(make_pool, tmp_path):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(PATIENCE)
        for options in ({}, {"http2": False}):
            pool = make_pool(uds=path, **options)
            asking = background(pool.request, "GET", "http://a.test/x")
            sock, _ = listener.accept()
            with sock:
                assert path_asked_for(sock) == "/x"
                sock.sendall(DONE)
                assert asking.result().read() == b"done"


def test_a_pool_may_choose_its_address_and_the_options_of_its_sockets(
    text_peer, make_pool
):
    pool = make_pool(
        source_address=("127.0.0.2", 0),
        socket_options=iter([(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)]),
    )
    sock = exchange(pool, text_peer)
    assert sock.getpeername()[0] == "127.0.0.2"
    hopeless = make_pool(socket_options=[(socket.SOL_SOCKET, 12345, 1)])
    with pytest.raises(ConnectError, match="Protocol not available"):
        hopeless.request("GET", url(text_peer))


def test_what_is_asked_for_need_not_be_a_path(text_peer, make_pool):
    pool = make_pool()
    asking = background(pool.request, "OPTIONS", url(text_peer, "/x"), target="*")
    text_peer.accept()
    assert text_peer.want_head()[0] == b"OPTIONS * HTTP/1.1"
    text_peer.send_bytes(DONE)
    assert asking.result().read() == b"done"


def test_a_pool_tells_of_the_dial_too(make_pool):
    told = []
    with http2bin.serve() as service:
        pool = make_pool(verify=service.ca_file)
        for _ in range(2):
            pool.request(
                "GET", f"{service.url}/get", watch=lambda *one: told.append(one)
            )
    dial = [Moment.connecting, Moment.connected, Moment.securing, Moment.secured]
    send = [Moment.sending, Moment.head_sent, Moment.body_sent]
    assert told == [
        *[(moment, None) for moment in dial],
        *[(moment, HTTPVersion.http20) for moment in send * 2],
    ]


# Identities.


def test_names_to_be_verified_keep_connections_apart(make_pool):
    with http2bin.serve() as service:
        pool = make_pool(verify=service.ca_file)
        address = f"https://127.0.0.1:{service.port}/get"
        for name in ("localhost", None, "localhost"):
            assert pool.request("GET", address, server_hostname=name).read()
        assert pool.connections == 2
        with pytest.raises(TLSError, match=r"a\.test"):
            pool.request("GET", address, server_hostname="a.test")


@pytest.mark.scenario(28)
def test_who_verifies_does_not_get_the_connection_of_who_does_not(
    text_peer, make_pool, ca
):
    speak_tls(text_peer, ca)
    pool = make_pool()
    for _ in range(2):
        trusting = ask(pool, text_peer, verify=False)
        if not text_peer.connections:
            text_peer.accept()
        path_asked_for(text_peer.sock)
        text_peer.send_bytes(DONE)
        assert trusting.result().read() == b"done"
        careful = ask(pool, text_peer)
        with pytest.raises(ssl.SSLError):
            text_peer.accept()
        assert isinstance(careful.error(), TLSError)
    assert text_peer.connections == 1


@pytest.mark.scenario(267)
def test_a_certificate_for_two_names_does_not_make_them_one_server(peer, make_pool, ca):
    speak_tls(peer, ca, "h2")
    pool = make_pool(verify=ca.ca_file)
    for host in ("localhost", "127.0.0.1"):
        asking = background(pool.request, "GET", url(peer, "/", "https", host))
        peer.greet()
        assert peer.want_headers(1)[b":authority"] == f"{host}:{peer.port}".encode()
        peer.respond(1, b"done")
        assert asking.result().read() == b"done"
    assert peer.connections == 2


@pytest.mark.scenario(27)
@pytest.mark.scenario(268)
def test_everything_about_tls_keeps_connections_apart(make_pool, ca, monkeypatch):
    with http2bin.serve() as service:
        monkeypatch.setenv("SSL_CERT_FILE", service.ca_file)
        pin = pin_of_server(service.port)
        before = service.connections
        certificate = (str(ca.cert_file), str(ca.key_file))
        pool = make_pool()
        choices = [
            {},
            {"verify": service.ca_file},
            {"verify": False},
            {"cert": certificate},
            {"verify": False, "cert": certificate},
            {"ssl_context": init_context(service.ca_file)},
            {"ssl_context": init_context(service.ca_file)},
            {"pins": pin},
            {"pins": [pin, OTHER_PIN]},
            {"server_hostname": "127.0.0.1"},
        ]
        for _ in range(2):
            for choice in choices:
                response = pool.request("GET", f"{service.url}/get", **choice)
                assert response.read()
        assert service.connections == before + len(choices)
        assert pool.connections == len(choices)


def test_a_pool_may_have_pins_for_all_its_requests(make_pool):
    with http2bin.serve() as service:
        pool = make_pool(verify=service.ca_file, pins=pin_of_server(service.port))
        address = f"{service.url}/get"
        assert pool.request("GET", address).read()
        with pytest.raises(TLSError, match="not one of the pins"):
            pool.request("GET", address, pins=OTHER_PIN)
        assert pool.connections == 1
        with pytest.raises(LocalProtocolError, match="pins are for TLS"):
            pool.request("GET", "http://a.test/")
    with pytest.raises(LocalProtocolError, match="is no pin"):
        make_pool(pins="a pin")


def test_what_a_request_says_about_tls_comes_before_what_the_pool_says(make_pool):
    with http2bin.serve() as service:
        context = init_context(service.ca_file)
        pool = make_pool(ssl_context=context)
        address = f"{service.url}/get"
        assert pool.request("GET", address).read()
        assert pool.request("GET", address, ssl_context=context).read()
        assert service.connections == 1
        with pytest.raises(TLSError, match="not accepted"):
            pool.request("GET", address, verify=True)
        pool = make_pool(verify=False)
        assert pool.request("GET", address).read()
        with pytest.raises(TLSError, match="not accepted"):
            pool.request("GET", address, verify=True)


def test_ssl_context_and_verify_contradict_each_other(make_pool):
    context = init_context()
    for other in ({"verify": False}, {"cert": "client.pem"}):
        with pytest.raises(ValueError, match="ssl_context decides"):
            make_pool(ssl_context=context, **other)
        with pytest.raises(ValueError, match="ssl_context decides"):
            make_pool().request("GET", "https://a.test/", ssl_context=context, **other)


def test_schemes_and_ports_keep_connections_apart(text_peers, make_pool):
    pool = make_pool()
    a, b, _ = text_peers
    first, second = exchange(pool, a), exchange(pool, b)
    again(pool, a, first)
    again(pool, b, second)


@pytest.mark.scenario(203)
def test_a_user_in_the_url_is_not_sent_and_makes_no_difference(text_peer, make_pool):
    pool = make_pool()
    sock = exchange(pool, text_peer)
    address = url(text_peer, "/x?y#z", host="alice:sesame@127.0.0.1")
    asking = background(pool.request, "GET", address)
    assert text_peer.want_head() == [
        b"GET /x?y HTTP/1.1",
        b"Host: 127.0.0.1:%d" % text_peer.port,
    ]
    sock.sendall(DONE)
    assert asking.result().read() == b"done"
    assert text_peer.connections == 1


@pytest.mark.parametrize(
    "address", ["/path", "a.test", "ftp://a.test/", "https://", "https://a b/", ""]
)
def test_a_url_that_names_no_server_is_refused(make_pool, address):
    with pytest.raises(LocalProtocolError):
        make_pool().request("GET", address)


# Versions come and go.


def test_a_server_that_goes_over_to_http1_gets_more_connections(peer, make_pool, ca):
    speak_tls(peer, ca, "h2")
    pool = make_pool(verify=ca.ca_file)
    asking = ask(pool, peer)
    peer.greet()
    peer.want_headers(1)
    peer.respond(1, b"done")
    assert asking.result().version is HTTPVersion.http20
    peer.sock.close()
    speak_tls(peer, ca)
    first = exchange(pool, peer)
    tasks = [ask(pool, peer) for _ in range(2)]
    path_asked_for(first)
    second = accept(peer)
    first.sendall(DONE)
    second.sendall(DONE)
    assert [task.result().read() for task in tasks] == [b"done"] * 2


def test_a_server_that_goes_over_to_http2_shares_its_connection(peer, make_pool, ca):
    speak_tls(peer, ca)
    pool = make_pool(verify=ca.ca_file)
    exchange(pool, peer)
    peer.sock.close()
    speak_tls(peer, ca, "h2")
    asking = ask(pool, peer)
    peer.greet()
    peer.want_headers()
    peer.respond(3, b"done")
    assert asking.result().version is HTTPVersion.http20
    tasks = [ask(pool, peer) for _ in range(2)]
    for _ in tasks:
        peer.want_headers()
    for stream_id in (5, 7):
        peer.respond(stream_id, b"done")
    assert [task.result().read() for task in tasks] == [b"done"] * 2
    assert not peer.has_caller


def test_an_http2_connection_is_shared_beside_one_of_http1_that_still_ends(
    peer, make_pool, ca
):
    speak_tls(peer, ca)
    pool = make_pool(verify=ca.ca_file)
    old, held = hold(pool, peer)
    exchange(pool, peer).close()
    speak_tls(peer, ca, "h2")
    asking = ask(pool, peer)
    peer.greet()
    peer.want_headers()
    peer.respond(3, b"done")
    assert asking.result().read() == b"done"
    tasks = [ask(pool, peer) for _ in range(3)]
    for _ in tasks:
        peer.want_headers()
    for stream_id in (5, 7, 9):
        peer.respond(stream_id, b"done")
    assert [task.result().read() for task in tasks] == [b"done"] * 3
    old.sendall(b"ne")
    assert held.read() == b"done"


def test_a_server_with_http2_upgraded_to_is_shared(make_pool):
    with http2bin.serve(tls=False) as service:
        pool = make_pool(h2c="upgrade")
        response = pool.request("GET", f"{service.url}/get")
        assert response.read()
        assert service.connections == pool.connections == 1


# Failures.


def test_a_server_that_is_not_there_leaves_nothing_behind(make_pool):
    pool = make_pool(max_connections=1)
    for scheme in ("http", "https"):
        with pytest.raises(ConnectError):
            pool.request("GET", f"{scheme}://127.0.0.1:{unused_port()}/")
        assert pool.connections == 0


def test_who_asks_for_what_cannot_be_is_told_and_nobody_else(
    text_peer, make_pool, tmp_path
):
    pool = make_pool(max_connections_per_host=1, uds=str(tmp_path / "nobody"))
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="exclude each other"):
            pool.request("GET", url(text_peer), proxy="http://a.test")
    with pytest.raises(ConnectError, match="No such file"):
        pool.request("GET", url(text_peer))
    assert pool.connections == pool.waiting == 0


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_connect_that_takes_too_long_is_a_connect_timeout(
    make_pool, full_listener, scheme
):
    pool = make_pool(timeout=Timeout(connect=0.1))
    with pytest.raises(ConnectTimeout):
        pool.request("GET", f"{scheme}://127.0.0.1:{full_listener}/")
    assert pool.connections == 0


@pytest.mark.scenario(240)
def test_threads_that_share_a_dial_that_fails_all_hear_of_it(text_peer, make_pool, ca):
    speak_tls(text_peer, ca)
    pool = make_pool()
    tasks = [ask(pool, text_peer) for _ in range(5)]
    for _ in tasks:
        with pytest.raises(ssl.SSLError):
            text_peer.accept()
    assert all(isinstance(task.error(), TLSError) for task in tasks)
    assert pool.connections == 0


# What a request may say, and ways to a server.


def test_a_request_may_be_watched_and_be_urgent(peer, make_pool):
    pool = make_pool(h2c="prior-knowledge")
    seen = []
    asking = background(
        pool.request,
        "POST",
        url(peer),
        b"body",
        progress=lambda sent, of: seen.append((sent, of)),
        priority=1,
    )
    peer.greet()
    assert peer.want_headers(1)[b"priority"] == b"u=1"
    assert peer.want_body(1) == b"body"
    peer.respond(1)
    assert asking.result().status == 200
    assert seen == [(4, 4)]


def test_a_pool_connects_from_where_and_as_it_is_told(text_peer, make_pool):
    option = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    pool = make_pool(source_address=("127.0.0.2", 0), socket_options=[option])
    sock = exchange(pool, text_peer)
    assert sock.getpeername()[0] == "127.0.0.2"
    with pytest.raises(ConnectError, match="cannot connect"):
        make_pool(socket_options=[(socket.SOL_SOCKET, -1, 1)]).request(
            "GET", url(text_peer)
        )


# The end.


def test_clearing_closes_what_is_idle_and_lets_the_rest_finish(text_peer, make_pool):
    pool = make_pool(max_connections_per_host=2)
    busy, held = hold(pool, text_peer)
    idle = exchange(pool, text_peer)
    pool.clear()
    assert is_closed(idle)
    assert pool.connections == 1
    new = exchange(pool, text_peer)
    busy.sendall(b"ne")
    assert held.read() == b"done"
    assert is_closed(busy), "it does not wait for the next call of the pool"
    again(pool, text_peer, new)
    assert pool.connections == 1


def test_after_clearing_http2_requests_use_a_new_connection(peer, make_pool):
    peer.ignore = (*peer.ignore, PingFrame)
    pool = make_pool(h2c="prior-knowledge")
    asking = ask(pool, peer)
    peer.greet()
    old = peer.sock
    peer.want_headers(1)
    peer.send_headers(1)
    response = asking.result()
    pool.clear()
    asking = ask(pool, peer)
    peer.greet()
    peer.want_headers(1)
    peer.respond(1, b"new")
    assert asking.result().read() == b"new"
    old.sendall(wire(peer.data(1, b"old", end=True)))
    assert response.read() == b"old"
    assert pool.connections == 1


def test_what_is_being_connected_while_clearing_is_closed_after_use(
    peer, make_pool, ca
):
    speak_tls(peer, ca, "h2")
    pool = make_pool(verify=ca.ca_file)
    asking = ask(pool, peer)
    wait_for(lambda: asking.waits_in("add_filter"))
    pool.clear()
    peer.greet()
    peer.want_headers(1)
    peer.respond(1, b"done")
    assert asking.result().read() == b"done"
    assert pool.connections == 0
    assert peer.want_goaway() == ErrorCodes.NO_ERROR
    peer.want_eof()


def test_a_pool_that_has_nothing_can_be_cleared(make_pool):
    pool = make_pool()
    pool.clear()
    pool.close()
    pool.clear()
    assert pool.connections == 0


def test_a_pool_that_is_abandoned_closes_each_connection_when_it_is_unused(
    text_peer, make_pool
):
    pool = make_pool()
    idle = exchange(pool, text_peer)
    asking = ask(pool, text_peer)
    assert path_asked_for(idle) == "/"
    busy, held = hold(pool, text_peer)
    idle.sendall(DONE)
    assert asking.result().read() == b"done"
    pool.abandon()
    assert is_closed(idle)
    busy.sendall(b"ne")
    assert held.read() == b"done"
    assert is_closed(busy)


def test_a_closed_pool_takes_no_requests(text_peer, make_pool):
    pool = make_pool()
    with pool:
        sock = exchange(pool, text_peer)
    assert is_closed(sock)
    assert pool.connections == 0
    with pytest.raises(LocalProtocolError, match="the pool is closed"):
        pool.request("GET", url(text_peer))
    pool.close()


def test_closing_ends_the_calls_of_other_threads(text_peer, make_pool):
    pool = make_pool(max_connections_per_host=2)
    _, held = hold(pool, text_peer)
    asking = ask(pool, text_peer)
    accept(text_peer)
    waiting = ask(pool, text_peer, timeout=None)
    wait_for(lambda: pool.waiting == 1)
    reading = background(held.read)
    wait_for(lambda: reading.waits_in("wait_until"))
    pool.close()
    for task in (asking, waiting, reading):
        assert isinstance(task.error(), ConnectionLost)
    assert waiting.error().retry_safe
    assert pool.waiting == 0


def test_closing_ends_a_dial(make_pool, full_listener):
    pool = make_pool()
    dialing = background(pool.request, "GET", f"http://127.0.0.1:{full_listener}/")
    wait_for(lambda: dialing.waits_in("_wait"))
    pool.close()
    assert isinstance(dialing.error(), ConnectionLost)


def test_a_body_that_closes_the_pool_ends_its_own_request(text_peer, make_pool):
    pool = make_pool()

    def body():
        pool.close()
        yield b"body"

    asking = background(pool.request, "POST", url(text_peer), body())
    text_peer.accept()
    assert isinstance(asking.error(), ConnectionLost)
    assert pool.connections == 0


def test_a_request_that_begins_while_its_pool_is_closed_leaves_no_connection(
    text_peer, make_pool
):
    pool = make_pool()

    def fields():
        pool.close()  # Before anything of the request is sent: it connects anew.
        yield "X-A", "b"

    asking = background(pool.request, "GET", url(text_peer), headers=fields())
    sock = accept(text_peer)
    sock.sendall(DONE)
    assert isinstance(asking.error(), ConnectionLost)
    assert is_closed(sock)


def test_a_complete_response_survives_its_pool(text_peer, make_pool):
    pool = make_pool()
    asking = ask(pool, text_peer)
    accept(text_peer).sendall(DONE)
    response = asking.result()
    pool.close()
    assert response.read() == b"done"


@pytest.mark.scenario(276)
def test_a_pool_that_is_dropped_needs_no_collector(text_peer):
    pool = ConnectionPool(max_connections_per_host=1)
    held = hold(pool, text_peer)
    with contextlib.suppress(PoolTimeout):
        pool.request("GET", url(text_peer), timeout=0)
    pool.close()
    gone = weakref.ref(pool)
    gc.disable()
    try:
        del pool
        assert gone() is None
        held[1].close()
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "options",
    [
        {"max_connections": 0},
        {"max_connections_per_host": 0},
        {"idle_timeout": 0},
        {"idle_timeout": -1},
        {"timeout": -1},
        {"h2c": "perhaps"},
        {"keepalive": (0, 1)},
        {"max_idle": -1},
        {"http1": False, "http2": False},
        {"h2c": "upgrade", "http2": False},
        {"proxy": "http://a.test", "uds": "/path"},
    ],
)
def test_limits_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError):
        ConnectionPool(**options)


@pytest.mark.scenario(225)
def test_a_child_begins_with_an_empty_pool_and_does_its_parents_no_harm():
    program = """
        import gc, os, sys
        from hyper import ConnectionPool

        url = sys.argv[1] + "/get"
        pool = ConnectionPool(verify=sys.argv[2])
        pool.request("GET", url).read()
        unread = pool.request("GET", sys.argv[1] + "/never")
        child = os.fork()
        if not child:
            assert pool.connections == 0
            pool.request("GET", url).read()
            assert pool.connections == 1
            del unread
            gc.collect()
            pool.close()
            sys.exit(0)  # The interpreter takes leave of all that it had.
        assert os.waitpid(child, 0)[1] == 0
        assert pool.connections == 1
        assert unread.read(1)
        assert pool.request("GET", url).status == 200
        pool.close()
        print("connected")
    """
    with http2bin.serve() as service:
        done = subprocess.run(
            [
                *(sys.executable, "-c", textwrap.dedent(program)),
                *(service.url, service.ca_file),
            ],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("connected\n", "")
        assert service.connections == 2, "the parent's and the child's own"


# Real servers.


@pytest.mark.scenario(240)
def test_50_threads_share_one_connection_to_a_real_server(real_server, make_pool):
    server = real_server("nginx", "h2", "echo")
    pool = make_pool(verify=server.ca_file, timeout=20)

    def fetch(number):
        response = pool.request("GET", server.url(f"/echo/{number}"))
        assert response.version is HTTPVersion.http20
        return response.read()

    tasks = [background(fetch, number) for number in range(50)]
    answers = [task.result() for task in tasks]
    assert answers == [b"%d" % number for number in range(50)]
    assert pool.connections == 1


@pytest.mark.scenario(241)
def test_no_request_is_lost_or_doubled_where_connections_keep_ending(
    fresh_server, make_pool
):
    # What it counts, see its recipe: this is MaxKeepAliveRequests 10.
    server = fresh_server(
        *("apache", "h1", "count", "keepalive-requests-h1"), keepalive_requests=11
    )
    pool = make_pool(max_connections_per_host=4, timeout=60)
    threads, requests = 16, 125

    def work(thread):
        most = 0
        for number in range(requests):
            if number % 2:
                response = pool.request("GET", server.h1_url("/hello"))
                assert response.read() == b"hello\n"
            else:
                name = f"{thread}-{number}"
                response = pool.request("POST", server.h1_url(f"/count/{name}"), b"")
                assert response.read() == b"1\n"
            assert response.status == 200
            most = max(most, pool.connections)
        return most

    tasks = [background(work, thread) for thread in range(threads)]
    assert max(task.result(120) for task in tasks) <= 4
    counted = json.loads(pool.request("GET", server.h1_url("/count")).read())
    posted = [f"{t}-{n}" for t in range(threads) for n in range(0, requests, 2)]
    assert counted == dict.fromkeys(posted, 1)
    assert pool.waiting == 0


# Proxies.


@pytest.mark.scenario(257)
def test_connections_through_different_proxies_are_kept_apart(text_peer):
    others = TextPeer()
    with contextlib.closing(others), ConnectionPool(timeout=10) as pool:
        ways = [
            (text_peer, f"http://127.0.0.1:{text_peer.port}"),
            (others, f"http://127.0.0.1:{others.port}"),
            (others, f"http://user:secret@127.0.0.1:{others.port}"),
        ]
        for proxy, url in ways:
            for new in (True, False):
                asking = background(pool.request, "GET", "http://a.test/", proxy=url)
                if new:
                    proxy.accept()
                head = proxy.want_head()
                assert head[0] == b"GET http://a.test/ HTTP/1.1"
                assert any(b"Proxy-Auth" in line for line in head) is ("@" in url)
                proxy.send_bytes(DONE)
                assert asking.result().read() == b"done"
        assert pool.connections == 3


@pytest.mark.scenario(255)
def test_tls_with_a_proxy_is_as_the_pool_says_whatever_the_server_speaks(
    text_peer, make_pool, ca
):
    speak_tls(text_peer, ca)
    proxy = f"https://localhost:{text_peer.port}"
    pool = make_pool(verify=ca.ca_file, proxy=proxy)
    asking = background(pool.request, "GET", "http://a.test/")
    text_peer.accept()
    assert text_peer.want_head()[0] == b"GET http://a.test/ HTTP/1.1"
    text_peer.send_bytes(DONE)
    assert asking.result().read() == b"done"
    asking = background(pool.request, "GET", "http://a.test/", verify=True)
    with pytest.raises(ssl.SSLError):
        text_peer.accept()
    assert isinstance(asking.error(), TLSError)


def test_a_pool_may_have_a_proxy_for_all_its_requests(text_peer):
    with ConnectionPool(proxy=f"127.0.0.1:{text_peer.port}", timeout=10) as pool:
        asking = background(pool.request, "GET", "http://a.test/")
        text_peer.accept()
        assert text_peer.want_head()[0] == b"GET http://a.test/ HTTP/1.1"
        text_peer.send_bytes(DONE)
        assert asking.result().read() == b"done"
    with pytest.raises(LocalProtocolError):
        ConnectionPool(proxy="ftp://a.test")
