"""Dialing: names, addresses, TCP and TLS, under one deadline.

Everything is on the loopback. Where a name has to resolve to what a test needs, the
standard library's ``getaddrinfo`` is replaced by the test's own.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import threading

import pytest
import trustme
from threads import (
    PATIENCE,
    Interrupted,
    background,
    interrupt_main_thread,
    interruptions,
    wait_for,
    wait_until_main_thread_blocks,
)

from hyper.common.exceptions import ConnectError, ConnectionLost, ConnectTimeout
from hyper.common.exceptions import TLSError as OurTLSError
from hyper.common.target import Origin
from hyper.transport.deadline import Timeout
from hyper.transport.dial import TLSParameters, connect, open_connection
from hyper.transport.tls import H2, HTTP11, init_context

TCP = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 loopback")


def within(seconds=PATIENCE):
    return Timeout(connect=seconds).start().connect()


def open_descriptors():
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def nothing_is_left():
    """Every test gives its descriptors and its threads back."""
    descriptors, threads = open_descriptors(), threading.active_count()
    yield
    wait_for(lambda: threading.active_count() == threads)
    assert open_descriptors() == descriptors


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        yield listener


@pytest.fixture
def refused():
    """A port at which nobody listens, and nobody will during the test."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture
def blackhole():
    """A port whose queue is full: the kernel answers nothing to who connects."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for filler in fillers:
            filler.close()


@pytest.fixture
def resolve(monkeypatch):
    """Makes every name resolve to the addresses given, or raise the error given."""

    def resolve(*answers):
        def getaddrinfo(host, port, **_):
            if isinstance(answers[0], Exception):
                raise answers[0]
            return list(answers)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return resolve


def v4(port, host="127.0.0.1"):
    return (socket.AF_INET, *TCP, (host, port))


def v6(port, host="::1"):
    return (socket.AF_INET6, *TCP, (host, port, 0, 0))


def origin(port, host="server.test", scheme="http"):
    return Origin(scheme, host, port)


class TestConnecting:
    def test_an_address_that_answers_is_connected_to(self, listener):
        port = listener.getsockname()[1]
        with connect(origin(port, "127.0.0.1"), within()) as ours:
            with listener.accept()[0] as theirs:
                assert ours.getpeername() == theirs.getsockname()

    def test_small_writes_are_not_held_back(self, listener):
        port = listener.getsockname()[1]
        with connect(origin(port, "127.0.0.1"), within()) as ours:
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    @pytest.mark.parametrize("seconds", [None, PATIENCE])
    def test_a_name_is_resolved_with_and_without_a_deadline(self, listener, seconds):
        port = listener.getsockname()[1]
        with connect(origin(port, "localhost"), within(seconds)) as ours:
            assert ours.getpeername()[1] == port

    @needs_ipv6
    @pytest.mark.scenario(213)
    def test_an_ipv6_address_is_connected_to(self):
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
            port = listener.getsockname()[1]
            with connect(origin(port, "::1"), within()) as ours:
                assert ours.family == socket.AF_INET6

    def test_an_address_is_not_looked_up_in_a_thread(self, listener, monkeypatch):
        port, threads = listener.getsockname()[1], []

        def getaddrinfo(host, port, **_):
            threads.append(threading.current_thread())
            return [v4(port)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        for host in ("127.0.0.1", "::1", "server.test"):
            connect(origin(port, host), within()).close()
        assert threads[:2] == [threading.main_thread()] * 2
        assert threads[2] is not threading.main_thread()
        assert threads[2].daemon

    def test_an_attempt_that_succeeds_at_once_is_not_waited_for(
        self, listener, resolve, monkeypatch
    ):
        class Instant(socket.socket):
            """A socket of a system where the loopback connects at once."""

            def connect_ex(self, address):
                self.setblocking(True)
                self.connect(address)
                return 0

        resolve(v4(listener.getsockname()[1]))
        monkeypatch.setattr(socket, "socket", Instant)
        connect(origin(1), within(0)).close()


class TestSeveralAddresses:
    @pytest.mark.scenario(210)
    def test_the_first_that_answers_is_taken(self, listener, refused, resolve):
        port = listener.getsockname()[1]
        resolve(v4(refused), v4(refused, "127.0.0.2"), v4(port))
        with connect(origin(80), within()) as ours:
            assert ours.getpeername() == ("127.0.0.1", port)

    @pytest.mark.scenario(211)
    def test_one_that_does_not_answer_holds_up_nobody(
        self, listener, blackhole, resolve
    ):
        port = listener.getsockname()[1]
        resolve(v4(blackhole), v4(port))
        with connect(origin(80), within(None)) as ours:
            assert ours.getpeername() == ("127.0.0.1", port)

    @needs_ipv6
    @pytest.mark.scenario(212)
    def test_families_take_turns_and_the_error_has_every_reason(self, refused, resolve):
        resolve(
            v6(refused),
            v6(1),
            v4(refused),
            v4(refused, "127.0.0.2"),
            v4(refused, "127.0.0.3"),
        )
        with pytest.raises(ConnectError) as caught:
            connect(origin(80), within())
        assert str(caught.value) == (
            "cannot connect to server.test port 80: "
            "::1: Connection refused; 127.0.0.1: Connection refused; "
            "::1: Connection refused; 127.0.0.2: Connection refused; "
            "127.0.0.3: Connection refused"
        )
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)

    @pytest.mark.scenario(213, 220)
    def test_one_whose_family_the_system_does_not_have_is_passed_over(
        self, listener, resolve
    ):
        port = listener.getsockname()[1]
        unknown = (socket.AF_APPLETALK, *TCP, ("nowhere", 1))
        resolve(unknown, v4(port))
        connect(origin(80), within()).close()
        resolve(unknown)
        with pytest.raises(ConnectError, match="port 80: nowhere: "):
            connect(origin(80), within())

    @pytest.mark.scenario(208)
    def test_one_that_fails_at_once_is_passed_over(self, listener, resolve):
        port = listener.getsockname()[1]
        multicast = v4(1, "224.0.0.1")  # Nobody speaks TCP with a group.
        resolve(multicast, v4(port))
        connect(origin(80), within()).close()
        resolve(multicast)
        with pytest.raises(ConnectError, match=r"224\.0\.0\.1: Network is unreach"):
            connect(origin(80), within())

    def test_while_one_is_under_way_the_failure_of_another_ends_nothing(
        self, blackhole, refused, resolve
    ):
        resolve(v4(blackhole), v4(refused), v4(1, "224.0.0.1"))
        with pytest.raises(ConnectTimeout):
            connect(origin(80), within(0.6))


class TestFailures:
    @pytest.mark.scenario(208)
    def test_a_refused_connection_says_so(self, refused):
        with pytest.raises(ConnectError) as caught:
            connect(origin(refused, "127.0.0.1"), within())
        assert str(caught.value) == (
            f"cannot connect to 127.0.0.1 port {refused}: 127.0.0.1: Connection refused"
        )
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)
        assert caught.value.retry_safe

    @pytest.mark.scenario(242)
    @pytest.mark.parametrize("seconds", [0, 0.05])
    def test_a_deadline_that_passes_while_connecting_is_a_connect_timeout(
        self, blackhole, seconds
    ):
        with pytest.raises(ConnectTimeout) as caught:
            connect(origin(blackhole, "127.0.0.1"), within(seconds))
        assert str(caught.value) == (
            f"timed out connecting to 127.0.0.1 port {blackhole} "
            f"(connect timeout: {seconds:g} s)"
        )
        assert caught.value.retry_safe

    @pytest.mark.scenario(209)
    @pytest.mark.parametrize("seconds", [None, PATIENCE])
    def test_a_name_that_does_not_exist_is_named(self, resolve, seconds):
        error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        resolve(error)
        with pytest.raises(ConnectError) as caught:
            connect(origin(80), within(seconds))
        assert str(caught.value) == (
            "cannot resolve server.test: Name or service not known"
        )
        assert caught.value.__cause__ is error

    @pytest.mark.scenario(209)
    def test_a_name_that_cannot_be_encoded_is_named(self, resolve):
        resolve(UnicodeError("label too long"))
        with pytest.raises(ConnectError, match=r"server\.test: label too long"):
            connect(origin(80), within())

    @pytest.mark.scenario(209)
    def test_a_name_without_an_address_is_named(self, monkeypatch):
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
        with pytest.raises(ConnectError, match="80: the name has no address"):
            connect(origin(80), within())

    @pytest.mark.scenario(209, 242)
    def test_a_resolver_that_never_answers_is_left_behind(self, monkeypatch):
        answer, threads = threading.Event(), []

        def getaddrinfo(host, port, **_):
            threads.append(threading.current_thread())
            answer.wait()
            return []

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        with pytest.raises(ConnectTimeout, match=r"timed out resolving server\.test"):
            connect(origin(80), within(0.05))
        assert threads[0].is_alive()
        answer.set()
        threads[0].join(PATIENCE)
        assert not threads[0].is_alive()

    def test_an_address_that_is_nonsense_is_not_hidden(self, resolve):
        resolve(v4("not a port"))
        with pytest.raises(TypeError):
            connect(origin(80), within())

    @pytest.mark.scenario(215)
    def test_an_interrupted_attempt_is_closed(self, blackhole):
        def interrupt():
            wait_until_main_thread_blocks()
            interrupt_main_thread(seen)

        with interruptions() as seen:
            interrupting = background(interrupt)
            with pytest.raises(Interrupted):
                connect(origin(blackhole, "127.0.0.1"), within())
            interrupting.result()


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture
def tls(ca):
    context = init_context()
    ca.configure_trust(context)
    return TLSParameters(context, (H2, HTTP11))


@pytest.fixture
def serve(listener):
    """Starts a server of one connection; returns its origin and the running call."""
    running = []

    def serve(behave, host="127.0.0.1"):
        def accept():
            theirs = listener.accept()[0]
            theirs.settimeout(PATIENCE)
            with theirs:
                return behave(theirs)

        running.append(background(accept))
        return Origin("https", host, listener.getsockname()[1]), running[-1]

    yield serve
    for call in running:
        call.result()


def close(wire):
    with wire:
        wire.close(ConnectionLost("the test is over"))


class TestOpening:
    def test_a_cleartext_connection_has_no_tls(self, serve):
        place, serving = serve(lambda theirs: theirs.recv(10))
        wire, layer = open_connection(place, None, within())
        assert layer is None
        close(wire)
        assert serving.result() == b""

    @pytest.mark.scenario(1, 2, 3)
    @pytest.mark.parametrize(
        ("offered", "chosen"),
        [([H2, HTTP11], H2), ([HTTP11], HTTP11), ([], None)],
    )
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_tls_is_spoken_and_alpn_told(self, ca, tls, serve, offered, chosen, host):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert(host).configure_cert(context)
        context.set_alpn_protocols(offered)

        def behave(theirs):
            with context.wrap_socket(theirs, server_side=True) as secure:
                return secure.selected_alpn_protocol(), secure.recv(10)

        place, serving = serve(behave, host)
        wire, layer = open_connection(place, tls, within())
        assert layer.alpn == chosen
        assert layer.names == ({host} if host == "localhost" else set())
        close(wire)
        assert serving.result() == (chosen, b"")

    @pytest.mark.scenario(11, 13, 273)
    @pytest.mark.parametrize("fault", ["host", "authority"])
    def test_a_server_that_is_not_trusted_is_told_and_left(self, ca, tls, serve, fault):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issuer = trustme.CA() if fault == "authority" else ca
        name = "127.0.0.2" if fault == "host" else "127.0.0.1"
        issuer.issue_cert(name).configure_cert(context)

        def behave(theirs):
            with context.wrap_socket(theirs, server_side=True) as secure:
                return secure.recv(10)

        place, serving = serve(lambda theirs: background(behave, theirs).error())
        with pytest.raises(OurTLSError, match=r"certificate of 127\.0\.0\.1 was not"):
            open_connection(place, tls, within())
        assert "ALERT" in serving.result().reason

    @pytest.mark.scenario(7)
    def test_a_server_that_speaks_no_tls_is_recognised(self, tls, serve):
        def behave(theirs):
            theirs.recv(10_000)
            theirs.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return theirs.recv(10_000)

        place, _ = serve(behave)
        with pytest.raises(OurTLSError, match="perhaps the server does not speak TLS"):
            open_connection(place, tls, within())

    @pytest.mark.scenario(26, 242)
    def test_a_handshake_that_stalls_is_a_connect_timeout(self, tls, serve):
        def behave(theirs):
            received = b""
            while data := theirs.recv(10_000):
                received += data
            return received

        place, serving = serve(behave)
        with pytest.raises(ConnectTimeout, match="in the TLS handshake with 127"):
            open_connection(place, tls, within(0.1))
        assert serving.result().startswith(b"\x16\x03")

    @pytest.mark.scenario(26)
    def test_a_peer_that_closes_in_the_handshake_is_a_connect_error(self, tls, serve):
        place, _ = serve(lambda theirs: theirs.recv(10_000))
        with pytest.raises(ConnectError) as caught:
            open_connection(place, tls, within())
        assert str(caught.value) == (
            f"cannot connect to 127.0.0.1 port {place.port}: "
            "the peer closed the connection during TLS"
        )
        assert caught.value.retry_safe

    @pytest.mark.scenario(26, 208)
    def test_a_reset_in_the_handshake_is_a_connect_error(self, tls, serve):
        def behave(theirs):
            theirs.recv(10_000)
            linger = struct.pack("ii", 1, 0)
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

        place, _ = serve(behave)
        with pytest.raises(ConnectError, match="Connection reset by peer") as caught:
            open_connection(place, tls, within())
        assert isinstance(caught.value.__cause__, ConnectionLost)

    def test_a_context_that_cannot_be_used_closes_the_connection(self, tls, serve):
        place, serving = serve(lambda theirs: theirs.recv(10_000))
        wrong = TLSParameters(tls.context, ("",))
        with pytest.raises(OurTLSError, match="TLS cannot start"):
            open_connection(place, wrong, within())
        assert serving.result() == b""

    @pytest.mark.scenario(215)
    def test_an_interrupted_handshake_closes_the_connection(self, tls, serve):
        def behave(theirs):
            theirs.recv(10_000)
            wait_until_main_thread_blocks()
            interrupt_main_thread(seen)
            return theirs.recv(10_000)

        with interruptions() as seen:
            place, serving = serve(behave)
            with pytest.raises(Interrupted):
                open_connection(place, tls, within())
        assert serving.result() == b""

    @pytest.mark.scenario(273)
    def test_many_failures_leave_nothing_open(self, tls, refused, listener):
        port = listener.getsockname()[1]
        before = open_descriptors()
        for _ in range(50):
            with pytest.raises(ConnectError):
                connect(origin(refused, "127.0.0.1"), within())
            with pytest.raises(ConnectTimeout):
                open_connection(Origin("https", "127.0.0.1", port), tls, within(0))
        assert open_descriptors() == before
