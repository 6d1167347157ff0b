"""One descriptor, one lock, one way to block: who reads, who sleeps, who is woken.

The peer is the other end of a socketpair or of a loopback connection, and the Protocol
is :class:`Lines`: ``a:hello`` and a line feed is a word for whoever waits for ``a``.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import warnings
from collections import defaultdict, deque

import pytest
from threads import (
    PATIENCE,
    Interrupted,
    background,
    frames,
    interrupt_main_thread,
    interrupted_at,
    interruptions,
    wait_for,
)

from hyper.common.exceptions import (
    ConnectionLost,
    HyperError,
    LocalProtocolError,
    ReadTimeout,
    RemoteProtocolError,
    TLSError,
    WriteTimeout,
)
from hyper.common.protocol import EVERYONE
from hyper.transport import bufsocket
from hyper.transport.bufsocket import (
    MAX_UNSENT,
    PUMP_SIZE,
    READ_SIZE,
    BufferedSocket,
)
from hyper.transport.deadline import Timeout

#: More than any kernel here keeps for a peer that does not read, less than MAX_UNSENT.
MUCH = 3 * 1024 * 1024


class Lines:
    """A Protocol of lines: a key, a colon, a word."""

    def __init__(self):
        self.touched = set()
        self.failure = None
        self.paused = False
        self.finished = False
        self.words = defaultdict(deque)
        self.received = 0
        self.to_send = b""
        self.clean = None
        self._rest = b""

    def receive_data(self, data):
        self.received += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            key, _, word = line.decode().partition(":")
            self.words[key].append(word)
            self.touched.add(key)

    def receive_eof(self, clean):
        self.clean = clean
        self.fail(ConnectionLost("the peer said goodbye"))

    def data_to_send(self):
        data, self.to_send = self.to_send, b""
        return data

    def fail(self, error):
        if self.failure is None:
            self.failure = error
        self.touched.add(EVERYONE)


class HalfOpen(Lines):
    """It goes on sending after the peer's end, as HTTP may."""

    def receive_eof(self, clean):
        self.clean = clean
        self.touched.add(EVERYONE)


class Fragile(Lines):
    """It has a bug."""

    def receive_data(self, data):
        super().receive_data(data)
        if b"bomb" in data:
            raise KeyError("a bug")


class Veil:
    """A filter that inverts every byte; ``+`` is its handshake, ``.`` its last word."""

    def __init__(self):
        self.established = False
        self.ended = False
        self.failure = None
        self._alerts = b"+"

    def decrypt(self, data):
        plain = b""
        for byte in data:
            if byte == ord("!"):
                self.failure = TLSError("the veil is torn")
                self._alerts += b"!"
                break
            if byte == ord("."):
                self.ended = True
            elif byte == ord("+"):
                self.established = True
            else:
                plain += bytes((255 - byte,))
        return plain

    def encrypt(self, data):
        alerts, self._alerts = self._alerts, b""
        return alerts + veiled(data)

    def close(self):
        return b"."


def veiled(data):
    return bytes(255 - byte for byte in data)


def within(seconds=3 * PATIENCE):
    """A deadline; one that is not given is never reached in a test that passes."""
    return Timeout(read=seconds).start().read()


class Line:
    """Our end and the peer's end of one connection."""

    def __init__(self, ours, theirs, protocol):
        self.sock = ours
        self.peer = theirs
        self.wire = BufferedSocket(ours)
        self.protocol = protocol
        if protocol is not None:
            with self.wire:
                self.wire.speak(protocol)

    def receive(self, key, seconds=3 * PATIENCE):
        """Wait for a word."""
        words = self.protocol.words[key]
        with self.wire:
            self.wire.wait_until(
                lambda: bool(words), key, within(seconds), f"waiting for {key}"
            )
            return words.popleft()

    def send(self, data):
        """Queue bytes, and leave without waiting."""
        with self.wire:
            self.protocol.to_send += data

    def drain(self, data=b"", at_most=0, seconds=3 * PATIENCE):
        """Queue bytes and wait until the kernel has taken them."""
        with self.wire:
            self.protocol.to_send += data
            deadline = Timeout(write=seconds).start().write()
            self.wire.wait_drained(deadline, "sending", at_most)

    def send_soon(self, data, at_most=MUCH):
        """Queue bytes, which others may send."""
        with self.wire:
            self.protocol.to_send += data
            deadline = Timeout(write=3 * PATIENCE).start().write()
            self.wire.send_soon(lambda: deadline, "sending", at_most)

    def hold(self, data, at_most=MUCH):
        """Queue bytes, to be sent by whoever comes next."""
        with self.wire.unlooked() as wire:
            self.protocol.to_send += data
            if not wire.hold(at_most):
                wire.wait_drained(within(), "sending")

    @property
    def blocked(self):
        return self.wire.polling + self.wire.waiting

    def start(self, call, *args):
        """Start a call in a thread and return when it blocks."""
        before = self.blocked
        running = background(call, *args)
        wait_for(lambda: self.blocked == before + 1)
        return running

    def peer_takes(self, amount=None):
        """Read on the peer's side: so many bytes, or until the connection ends."""
        taken = bytearray()
        while amount is None or len(taken) < amount:
            data = self.peer.recv(65536 if amount is None else amount - len(taken))
            if not data:
                break
            taken += data
        return bytes(taken)

    def peer_resets(self):
        self.peer.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.peer.close()


def tcp_pair():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        return ours, listener.accept()[0]


@pytest.fixture
def connect():
    """Connects a Protocol, ``Lines`` if not told otherwise, with a peer."""
    lines = []

    def connect(protocol=None, pair=socket.socketpair):
        line = Line(*pair(), Lines() if protocol is None else protocol)
        line.peer.settimeout(PATIENCE)
        lines.append(line)
        return line

    yield connect
    for line in lines:
        line.peer.close()
        with line.wire:
            line.wire.close(ConnectionLost("the test is over"))
        wait_for(lambda: line.blocked == 0)  # noqa: B023
        assert line.sock.fileno() == -1


@pytest.fixture
def line(connect):
    return connect()


@pytest.fixture
def silent():
    """A connection on which nobody speaks yet."""
    raw = Line(*socket.socketpair(), None)
    raw.peer.settimeout(PATIENCE)
    yield raw
    raw.peer.close()
    with raw.wire:
        raw.wire.close(ConnectionLost("the test is over"))


class TestOneReadsForAll:
    def test_a_call_that_need_not_wait_does_not(self, line):
        line.peer.sendall(b"a:hello\n")
        assert line.receive("a") == "hello"

    def test_a_word_that_comes_later_is_waited_for(self, line):
        waiting = line.start(line.receive, "a")
        assert (line.wire.polling, line.wire.waiting) == (1, 0)
        line.peer.sendall(b"a:he")
        line.peer.sendall(b"llo\n")
        assert waiting.result() == "hello"
        assert (line.wire.polling, line.wire.waiting) == (0, 0)

    def test_there_is_one_leader_and_the_others_follow(self, line):
        calls = [line.start(line.receive, key) for key in "abcd"]
        assert (line.wire.polling, line.wire.waiting) == (1, 3)
        line.peer.sendall(b"d:4\nc:3\nb:2\na:1\n")
        assert [call.result() for call in calls] == ["1", "2", "3", "4"]
        assert (line.wire.polling, line.wire.waiting) == (0, 0)

    @pytest.mark.scenario(229)
    def test_a_follower_is_woken_for_its_own_key_and_no_other(self, line):
        asked = {"a": 0, "b": 0, "c": 0}

        def receive(key):
            def ready():
                asked[key] += 1
                return bool(line.protocol.words[key])

            with line.wire:
                line.wire.wait_until(ready, key, within(), "waiting")
                return line.protocol.words[key].popleft()

        leader, woken, asleep = (line.start(receive, key) for key in "abc")
        before = asked["c"]
        line.peer.sendall(b"b:for b\n")
        assert woken.result() == "for b"
        wait_for(lambda: line.wire.polling == 1)
        assert leader.running
        assert asleep.running
        assert asked["c"] == before
        line.peer.sendall(b"c:for c\na:for a\n")
        assert (asleep.result(), leader.result()) == ("for c", "for a")

    def test_followers_of_one_key_are_all_woken(self, line):
        leader = line.start(line.receive, "a")
        followers = [line.start(line.receive, "b") for _ in range(3)]
        line.peer.sendall(b"b:1\nb:2\nb:3\n")
        assert {call.result() for call in followers} == {"1", "2", "3"}
        assert leader.running
        line.peer.sendall(b"a:4\n")
        assert leader.result() == "4"

    def test_a_change_that_concerns_everyone_wakes_everyone(self, line):
        calls = [line.start(line.receive, key) for key in "abc"]
        with line.wire:
            line.protocol.fail(ConnectionLost("everything is over"))
        for call in calls:
            assert "everything is over" in str(call.error())

    @pytest.mark.scenario(243)
    def test_a_follower_times_out_on_its_own_while_the_leader_goes_on(self, line):
        leader = line.start(line.receive, "a")
        with pytest.raises(ReadTimeout, match="timed out waiting for b"):
            line.receive("b", 0.01)
        assert leader.running
        assert (line.wire.polling, line.wire.waiting) == (1, 0)
        line.peer.sendall(b"a:still here\n")
        assert leader.result() == "still here"

    def test_of_two_followers_of_a_key_one_may_time_out(self, line):
        leader = line.start(line.receive, "a")
        patient = line.start(line.receive, "b")
        with pytest.raises(ReadTimeout):
            line.receive("b", 0.01)
        line.peer.sendall(b"b:1\na:2\n")
        assert (patient.result(), leader.result()) == ("1", "2")

    @pytest.mark.scenario(234)
    def test_a_leader_that_has_what_it_wants_leaves_to_a_follower(self, line):
        leader = line.start(line.receive, "a")
        follower = line.start(line.receive, "b")
        other = line.start(line.receive, "c")
        line.peer.sendall(b"a:1\n")
        assert leader.result() == "1"
        wait_for(lambda: (line.wire.polling, line.wire.waiting) == (1, 1))
        line.peer.sendall(b"c:3\nb:2\n")
        assert (follower.result(), other.result()) == ("2", "3")

    @pytest.mark.scenario(233)
    def test_a_leader_that_times_out_leaves_to_a_follower(self, line):
        leader = line.start(line.receive, "a", 0.1)
        follower = line.start(line.receive, "b")
        assert "timed out waiting for a" in str(leader.error())
        wait_for(lambda: (line.wire.polling, line.wire.waiting) == (1, 0))
        line.peer.sendall(b"b:2\n")
        assert follower.result() == "2"

    @pytest.mark.scenario(247)
    def test_a_deadline_of_zero_asks_once_and_does_not_wait(self, line):
        with pytest.raises(ReadTimeout):
            line.receive("a", 0)
        line.peer.sendall(b"a:1\n")
        assert line.receive("a", 0) == "1"

    def test_a_limit_of_a_thousand_years_is_waited_for(self, line):
        leader = line.start(line.receive, "a", 3e10)
        follower = line.start(line.receive, "b", float("inf"))
        line.peer.sendall(b"a:1\nb:2\n")
        assert (leader.result(), follower.result()) == ("1", "2")

    @pytest.mark.scenario(227)
    def test_many_threads_get_their_own_words_and_no_others(self, line):
        def ask(key):
            words = []
            for number in range(50):
                with line.wire:
                    line.protocol.to_send += b"%s:%d\n" % (key.encode(), number)
                words.append(line.receive(key))
            return words

        def echo():
            while data := line.peer.recv(4096):
                line.peer.sendall(data)

        answering = background(echo)
        calls = [background(ask, f"key{number}") for number in range(8)]
        for call in calls:
            assert call.result(30) == [str(number) for number in range(50)]
        line.peer.shutdown(socket.SHUT_RD)
        answering.result()


class TestBeingWokenByOthers:
    """A thread that polls may get what it waits for without a byte for it to read."""

    @pytest.mark.scenario(120, 231)
    @pytest.mark.parametrize("followers", [0, 1])
    def test_a_leader_is_woken_by_what_another_thread_does(self, line, followers):
        leader = line.start(line.receive, "a")
        others = [line.start(line.receive, "b") for _ in range(followers)]
        with line.wire:
            line.protocol.words["a"].append("a place is free")
            line.protocol.touched.add("a")
        assert leader.result() == "a place is free"
        assert all(other.running for other in others)
        line.peer.sendall(b"b:2\n")
        assert all(other.result() == "2" for other in others)

    def test_a_leader_is_not_woken_by_what_concerns_others(self, line):
        asked = []

        def lead():
            with line.wire:
                line.wire.wait_until(
                    lambda: bool(asked.append(1) or line.protocol.words["a"]),
                    "a",
                    within(),
                    "waiting",
                )

        leader = line.start(lead)
        before = len(asked)
        for _ in range(10):
            with line.wire:
                line.protocol.touched.add("b")
        assert len(asked) == before
        line.peer.sendall(b"a:1\n")
        leader.result()

    @pytest.mark.scenario(103)
    def test_bytes_that_a_thread_leaves_behind_are_sent_by_the_leader(self, line):
        leader = line.start(line.receive, "a")
        line.send(bytes(MUCH))
        assert line.wire.unsent
        assert line.peer_takes(MUCH) == bytes(MUCH)
        line.peer.sendall(b"a:1\n")
        assert leader.result() == "1"

    def test_a_writer_reads_as_soon_as_the_protocol_goes_on(self, line):
        line.protocol.paused = True
        writer = line.start(line.drain, bytes(MUCH))
        reader = line.start(line.receive, "a")
        line.peer.sendall(b"a:1\n")
        with line.wire:
            assert line.protocol.received == 0
            line.protocol.paused = False
        assert reader.result() == "1"
        assert writer.running
        line.peer_takes(MUCH)
        writer.result()

    def test_a_reader_and_a_writer_do_not_take_each_others_wake_ups(self, connect):
        line = connect(pair=tcp_pair)
        line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        rounds = 40

        def ask(key):
            for _ in range(rounds):
                line.send(b"ask " + key.encode() + b"\n")
                assert line.receive(key) == "answer"

        def upload():
            for _ in range(rounds):
                line.drain(b"x" * 20_000 + b"\n")

        def answer():
            with line.peer.makefile("rb") as requests:
                for request in requests:
                    if request.startswith(b"ask "):
                        line.peer.sendall(request[4:5] + b":answer\n")

        answering = background(answer)
        for call in [background(ask, "a"), background(ask, "b"), background(upload)]:
            call.result()
        line.peer.shutdown(socket.SHUT_RD)
        answering.result()


class TestEntering:
    @pytest.mark.scenario(235, 141)
    def test_a_call_that_finds_nobody_reading_reads_what_has_come(self, line):
        line.peer.sendall(b"a:1\n")
        with line.wire:
            assert list(line.protocol.words["a"]) == ["1"]

    @pytest.mark.scenario(141, 186)
    def test_the_end_of_the_connection_is_seen_on_entry(self, line):
        line.peer.close()
        with line.wire:
            assert line.protocol.clean
        assert str(line.wire.failure) == "the peer said goodbye"

    def test_a_call_beside_a_leader_leaves_the_reading_to_it(self, line):
        leader = line.start(line.receive, "a")
        with line.wire:
            line.peer.sendall(b"a:1\n")
            assert line.protocol.received == 0
        assert leader.result() == "1"

    def test_leaving_sends_what_was_queued(self, line):
        line.send(b"hello")
        assert line.peer_takes(5) == b"hello"
        assert line.wire.sent_bytes == line.wire.queued_bytes == 5
        assert line.wire.unsent == 0

    def test_a_pump_gives_the_lock_to_others_after_a_mebibyte(self, connect):
        class Endless(Lines):
            peer = None

            def receive_data(self, data):
                super().receive_data(data)
                if self.peer is not None:
                    self.peer.sendall(bytes(READ_SIZE))  # There is always more.

        line = connect(Endless())
        line.protocol.peer = line.peer
        line.peer.sendall(bytes(READ_SIZE))
        with line.wire:
            assert line.protocol.received == PUMP_SIZE
            line.protocol.peer = None

    def test_entering_a_closed_connection_does_nothing(self, line):
        with line.wire:
            line.wire.close(ConnectionLost("done"))
        with line.wire:
            assert line.wire.closed
            assert str(line.wire.failure) == "done"


class TestSleepingWithoutTheLock:
    def sleep(self, line, key, seconds=3 * PATIENCE):
        """Wait for a word without taking it."""
        words = line.protocol.words[key]
        return line.wire.sleep_until(lambda: bool(words), key, within(seconds))

    def test_nobody_sleeps_while_nobody_reads(self, line):
        assert not self.sleep(line, "a")
        assert line.wire.waiting == 0

    def test_what_is_there_already_is_not_waited_for(self, line):
        leader = line.start(line.receive, "a")
        line.peer.sendall(b"b:1\n")
        wait_for(lambda: line.protocol.words["b"])
        assert self.sleep(line, "b")
        assert line.wire.waiting == 0
        line.peer.sendall(b"a:2\n")
        assert leader.result() == "2"

    def test_who_sleeps_is_woken_by_the_leader(self, line):
        leader = line.start(line.receive, "a")
        asleep = line.start(self.sleep, line, "b")
        assert (line.wire.polling, line.wire.waiting) == (1, 1)
        line.peer.sendall(b"b:1\n")
        assert asleep.result()
        assert leader.running
        line.peer.sendall(b"a:2\n")
        assert leader.result() == "2"

    def test_who_sleeps_too_long_comes_back_empty_handed(self, line):
        leader = line.start(line.receive, "a")
        assert not self.sleep(line, "b", 0.01)
        assert line.wire.waiting == 0
        line.peer.sendall(b"a:1\n")
        assert leader.result() == "1"

    def test_only_one_sleeps_for_a_key(self, line):
        leader = line.start(line.receive, "a")
        asleep = line.start(self.sleep, line, "b")
        assert not self.sleep(line, "b")
        line.peer.sendall(b"b:1\n")
        assert asleep.result()
        line.peer.sendall(b"a:2\n")
        assert leader.result() == "2"

    def test_nobody_sleeps_while_bytes_have_to_be_sent(self, connect):
        line = connect()
        leader = line.start(line.receive, "a")
        line.send(bytes(MUCH))
        assert line.wire.unsent
        assert not self.sleep(line, "b")
        assert len(line.peer_takes(line.wire.queued_bytes - line.wire.unsent))
        line.peer.sendall(b"a:1\n")
        assert leader.result() == "1"

    def test_a_leader_that_leaves_wakes_one_that_sleeps(self, line):
        leader = line.start(line.receive, "a")
        asleep = line.start(self.sleep, line, "b")
        line.peer.sendall(b"a:1\n")
        assert leader.result() == "1"
        assert not asleep.result(), "it has to lead"
        assert line.wire.waiting == 0

    def test_who_is_woken_to_lead_and_need_not_wait_leaves_it_to_another(self, line):
        done = []
        leader = line.start(line.receive, "a")
        asleep = line.start(
            line.wire.sleep_until, lambda: bool(done), "unheard of", within()
        )
        follower = line.start(line.receive, "b")
        done.append(True)  # which nobody is told
        line.peer.sendall(b"a:1\n")
        assert leader.result() == "1"
        assert asleep.result()
        wait_for(lambda: line.wire.polling == 1)
        line.peer.sendall(b"b:2\n")
        assert follower.result() == "2"

    @pytest.mark.parametrize("moment", range(1, 4))
    def test_who_lies_down_while_others_are_woken_keeps_its_entry(self, line, moment):
        class Key:
            looks = 0

            def __hash__(self):
                if threading.current_thread() is threading.main_thread():
                    self.looks += 1
                    if self.looks == moment and not asleep:
                        lie_down()
                return 1

        def lie_down():
            asleep.append(
                line.start(line.wire.sleep_until, lambda: bool(done), key, within())
            )

        key, done, asleep = Key(), [], []
        leader = line.start(line.receive, "a")
        follower = line.start(line.receive, "b")
        with line.wire:
            line.protocol.touched.add(key)
        if not asleep:
            lie_down()
        with line.wire:
            done.append(True)
            line.protocol.touched.add(key)
        assert asleep[0].result()
        line.peer.sendall(b"a:1\nb:2\n")
        assert (leader.result(), follower.result()) == ("1", "2")

    def test_the_end_of_the_connection_wakes_who_sleeps(self, line):
        leader = line.start(line.receive, "a")
        asleep = line.start(self.sleep, line, "b")
        with line.wire:
            line.wire.close(ConnectionLost("we closed it"))
        assert not asleep.result()
        assert "we closed it" in str(leader.error())

    def test_what_is_held_back_is_sent_first(self, line):
        leader = line.start(line.receive, "a")
        line.hold(b"word")
        assert not self.sleep(line, "b")
        line.peer.sendall(b"a:1\n")
        assert leader.result() == "1"
        assert line.peer_takes(4) == b"word"

    def test_one_that_a_signal_interrupts_is_forgotten(self, line):
        leader = line.start(line.receive, "a")

        def interrupt():
            wait_for(lambda: line.wire.waiting == 1)
            interrupt_main_thread(seen)

        with interruptions() as seen:
            interrupting = background(interrupt)
            with pytest.raises(Interrupted):
                self.sleep(line, "b")
            interrupting.result()
        assert line.wire.waiting == 0
        line.peer.sendall(b"a:1\n")
        assert leader.result() == "1"


class TestHoldingBack:
    def test_what_is_held_back_is_sent_by_the_next_call(self, connect):
        line = connect(pair=counting_pair)
        for word in (b"one", b"two"):
            line.hold(word)
        assert line.wire.holds_back
        assert line.sock.sends == 0
        with line.wire:
            pass
        assert not line.wire.holds_back
        assert line.sock.sends == 1
        assert line.peer_takes(6) == b"onetwo"

    def test_too_much_is_not_held_back(self, line):
        line.hold(b"word", 8)
        line.hold(b"word", 8)
        assert line.wire.holds_back
        line.hold(b"word", 8)
        assert not line.wire.holds_back
        assert line.peer_takes(12) == b"word" * 3

    def test_what_another_thread_has_left_is_not_held_back(self, connect):
        line = connect()
        with line.wire:
            holding = background(line.hold, b"held")
            wait_for(lambda: line.wire.queuing == 1)
            line.protocol.to_send += b"left,"
        holding.result()
        assert not line.wire.holds_back
        assert line.peer_takes(9) == b"left,held"

    def test_what_is_held_back_when_the_connection_fails_was_never_sent(self, line):
        line.send(b"sent")
        queued = line.wire.queued_bytes
        line.hold(b"held")
        line.peer.close()
        with line.wire:
            pass
        assert line.wire.closed
        assert line.wire.has_sent(0)
        assert not line.wire.has_sent(queued)


class TestBackPressure:
    def test_a_paused_protocol_is_not_read(self, line):
        line.protocol.paused = True
        line.peer.sendall(b"a:1\n")
        with line.wire:
            assert line.protocol.received == 0
            line.protocol.paused = False
        with line.wire:
            assert list(line.protocol.words["a"]) == ["1"]

    def test_who_waits_while_it_is_paused_reads_when_somebody_goes_on(self, line):
        line.protocol.paused = True
        line.peer.sendall(b"a:1\n")
        waiting = line.start(line.receive, "a")
        assert (line.wire.polling, line.wire.waiting) == (0, 1)
        with line.wire:
            line.protocol.paused = False
        assert waiting.result() == "1"

    def test_reading_stops_as_soon_as_it_is_paused(self, connect):
        class Careful(Lines):
            def receive_data(self, data):
                super().receive_data(data)
                self.paused = True

        line = connect(Careful())
        line.peer.sendall(bytes(2 * READ_SIZE))
        with line.wire:
            assert line.protocol.received == READ_SIZE

    def test_a_paused_protocol_can_still_send(self, line):
        line.protocol.paused = True
        line.peer.sendall(b"a:1\n")
        sending = line.start(line.drain, bytes(MUCH))
        assert line.peer_takes(MUCH) == bytes(MUCH)
        sending.result()
        assert line.protocol.received == 0

    def test_a_paused_connection_whose_peer_is_gone_is_not_polled_in_circles(
        self, line
    ):
        line.protocol.paused = True
        line.peer.close()
        asked = []
        with line.wire, pytest.raises(ReadTimeout):
            line.wire.wait_until(lambda: bool(asked.append(1)), "a", within(0.1), "")
        assert len(asked) < 20


class Counting(socket.socket):
    """Counts the system calls that send."""

    sends = 0

    def send(self, data, *flags):
        self.sends += 1
        return super().send(data, *flags)


def counting_pair():
    ours, theirs = socket.socketpair()
    return Counting(fileno=ours.detach()), theirs


class TestSending:
    def test_threads_that_queue_for_the_lock_send_together(self, connect):
        line = connect(pair=counting_pair)
        with line.wire:
            calls = [background(line.send_soon, b"word") for _ in range(5)]
            wait_for(lambda: line.wire.queuing == 5)
            before = line.sock.sends
        for call in calls:
            call.result()
        assert line.peer_takes(20) == b"word" * 5
        assert line.sock.sends == before + 1

    def test_nobody_leaves_bytes_to_others_while_too_many_are_left(self, connect):
        line = connect()
        line.send(bytes(MUCH))
        with line.wire:
            assert line.wire.unsent
            calls = [background(line.send_soon, b"word", 0) for _ in range(2)]
            wait_for(lambda: line.wire.queuing == 2)
        wait_for(lambda: line.blocked == 2)
        assert line.peer_takes(MUCH + 8).endswith(b"\0wordword")
        for call in calls:
            call.result()

    @pytest.mark.scenario(218)
    @pytest.mark.parametrize("pair", [socket.socketpair, tcp_pair])
    def test_two_peers_that_flood_each_other_both_finish(self, pair):
        ends = pair()
        wires, protocols = [], []
        for sock in ends:
            wires.append(BufferedSocket(sock))
            protocols.append(Lines())
            with wires[-1]:
                wires[-1].speak(protocols[-1])

        def flood(wire, protocol):
            with wire:
                protocol.to_send += bytes(MUCH)
                wire.wait_drained(within(), "sending")
                wire.wait_until(
                    lambda: protocol.received == MUCH, object(), within(), "receiving"
                )

        pairs = zip(wires, protocols, strict=True)
        for call in [background(flood, *pair) for pair in pairs]:
            call.result()
        for wire in wires:
            with wire:
                wire.close(ConnectionLost("done"))

    @pytest.mark.scenario(217)
    @pytest.mark.parametrize("pair", [socket.socketpair, tcp_pair])
    def test_a_tiny_send_buffer_gets_every_byte_once_and_in_order(self, connect, pair):
        line = connect(pair=pair)
        line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        data = b"".join(b"%06d" % number for number in range(50_000))
        sending = background(line.drain, data)
        assert line.peer_takes(len(data)) == data
        sending.result()
        assert line.wire.sent_bytes == len(data)

    def test_waiting_until_little_is_unsent_ends_before_all_is_sent(self, line):
        sending = line.start(line.drain, bytes(MUCH), MUCH // 2)
        line.peer_takes(MUCH // 2)
        sending.result()
        assert 0 < line.wire.unsent <= MUCH // 2
        sending = line.start(line.drain)
        line.peer_takes(MUCH // 2)
        sending.result()

    @pytest.mark.scenario(244)
    def test_a_peer_that_takes_nothing_lets_the_write_time_out(self, line):
        with pytest.raises(WriteTimeout, match="timed out sending"):
            line.drain(bytes(MUCH), seconds=0.01)
        assert line.wire.unsent
        sending = line.start(line.drain)
        assert line.peer_takes(MUCH) == bytes(MUCH)
        sending.result()

    def test_who_waits_to_write_reads_too(self, line):
        sending = line.start(line.drain, bytes(MUCH))
        assert line.wire.polling == 1
        follower = line.start(line.receive, "a")
        line.peer.sendall(b"a:1\n")
        assert follower.result() == "1"
        assert sending.running
        line.peer_takes(MUCH)
        sending.result()

    def test_a_second_thread_that_waits_to_write_follows_the_first(self, line):
        first = line.start(line.drain, bytes(MUCH // 2))
        second = line.start(line.drain, bytes(MUCH // 2))
        assert (line.wire.polling, line.wire.waiting) == (1, 1)
        line.peer_takes(MUCH)
        first.result()
        second.result()

    def test_a_follower_that_waits_for_less_is_woken_before_all_is_sent(self, line):
        leader = line.start(line.drain, bytes(MUCH))
        follower = line.start(line.drain, b"", MUCH // 2)
        line.peer_takes(MUCH * 3 // 4)
        follower.result()
        assert leader.running
        line.peer_takes(MUCH // 4)
        leader.result()

    def test_a_writer_that_gives_up_leaves_the_writing_to_a_follower(self, line):
        reader = line.start(line.receive, "a")
        writer = line.start(line.drain, bytes(MUCH), 0, 0.2)
        follower = line.start(line.receive, "b")
        assert isinstance(writer.error(), WriteTimeout)
        assert line.peer_takes(MUCH) == bytes(MUCH)
        line.peer.sendall(b"a:1\nb:2\n")
        assert (reader.result(), follower.result()) == ("1", "2")

    def test_what_sending_brings_about_is_seen_before_sleeping(self, connect):
        class Tidy(Lines):
            """Sending resets what nobody wants any more, which makes a place free."""

            free = False

            def data_to_send(self):
                self.free = armed
                return super().data_to_send()

        armed = False
        line = connect(Tidy())

        def wait():
            nonlocal armed
            with line.wire:
                armed = True
                line.wire.wait_until(
                    lambda: line.protocol.free, "place", within(), "waiting"
                )

        background(wait).result(PATIENCE / 2)

    @pytest.mark.scenario(191, 98)
    def test_the_last_words_of_a_peer_that_stopped_listening_are_read(self, line):
        with line.wire:  # Entering reads nothing: there is nothing.
            line.peer.sendall(b"a:413\n")
            line.peer.close()
            line.protocol.to_send += b"more of the upload"
            line.wire.wait_drained(within(), "sending")
            assert line.wire.unsent == 0
            line.wire.wait_until(
                lambda: bool(line.protocol.words["a"]), "a", within(), "waiting"
            )
        assert line.receive("a") == "413"
        assert line.wire.sent_bytes == 0
        with pytest.raises(ConnectionLost, match="the peer said goodbye"):
            line.receive("b")

    @pytest.mark.scenario(219)
    def test_after_the_peers_end_sending_goes_on(self, connect):
        line = connect(HalfOpen())
        line.peer.shutdown(socket.SHUT_WR)
        with line.wire:
            assert line.protocol.clean
        line.drain(b"and yet")
        assert line.peer_takes(7) == b"and yet"

    @pytest.mark.scenario(219)
    def test_a_peer_that_ended_and_then_stops_listening_is_lost(self, connect):
        line = connect(HalfOpen())
        line.peer.shutdown(socket.SHUT_WR)
        with line.wire:
            assert line.protocol.clean
        line.peer.close()
        line.send(b"and yet")
        assert "Broken pipe" in str(line.wire.failure)
        assert isinstance(line.wire.failure.__cause__, BrokenPipeError)
        assert line.wire.closed

    @pytest.mark.scenario(219)
    def test_a_connection_whose_peer_has_ended_is_not_polled_in_circles(self, connect):
        line = connect(HalfOpen())
        line.peer.shutdown(socket.SHUT_WR)
        line.send(bytes(MUCH))
        asked = []
        with line.wire, pytest.raises(ReadTimeout):
            line.wire.wait_until(lambda: bool(asked.append(1)), "a", within(0.1), "")
        assert len(asked) < 20
        sending = line.start(line.drain)
        line.peer_takes(MUCH)
        sending.result()

    @pytest.mark.scenario(219)
    def test_after_the_peers_end_and_ours_there_is_nothing_to_wait_for(self, connect):
        line = connect(HalfOpen())
        line.peer.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionLost, match="the peer sends nothing more"):
            line.receive("a")

    @pytest.mark.scenario(138)
    def test_a_peer_that_makes_work_and_never_reads_is_left(self, line):
        waiting = line.start(line.receive, "a")
        for _ in range(MAX_UNSENT // MUCH + 2):
            line.send(bytes(MUCH))
        wait_for(lambda: line.wire.closed)  # The other thread may be the one to send.
        assert isinstance(line.wire.failure, RemoteProtocolError)
        assert "makes work and reads no answers" in str(waiting.error())


class TestSpeaking:
    @pytest.mark.scenario(253)
    def test_bytes_that_came_before_the_protocol_are_delivered_to_it(self, silent):
        silent.peer.sendall(b"a:early\n")
        with silent.wire:
            silent.protocol = Lines()
            silent.protocol.to_send = b"preface"
            silent.wire.speak(silent.protocol)
        assert silent.protocol.words["a"].popleft() == "early"
        assert silent.peer_takes(7) == b"preface"

    def test_a_protocol_that_comes_later_takes_over(self, line):
        successor = Lines()
        line.peer.sendall(b"a:1\n")
        with line.wire:
            line.wire.speak(successor)
        line.peer.sendall(b"a:2\n")
        with line.wire:
            assert list(line.protocol.words["a"]) == ["1"]
            assert list(successor.words["a"]) == ["2"]

    @pytest.mark.scenario(182)
    def test_a_peer_that_closes_before_anybody_spoke_is_lost(self, silent):
        silent.peer.close()
        with silent.wire:
            assert str(silent.wire.failure) == "the peer closed the connection"
        assert silent.wire.closed

    def test_a_protocol_that_comes_after_the_end_is_told_of_it(self, silent):
        silent.peer.sendall(b"a:last words\n")
        silent.peer.close()
        protocol = Lines()
        for _ in range(2):  # the words, and then the end
            with silent.wire:
                pass
        with silent.wire:
            silent.wire.speak(protocol)
        assert protocol.words["a"].popleft() == "last words"
        assert str(protocol.failure) == "the peer closed the connection"


class TestTheEnd:
    @pytest.mark.scenario(221)
    @pytest.mark.parametrize("pair", [socket.socketpair, tcp_pair])
    def test_the_end_of_the_stream_reaches_everyone_who_waits(self, connect, pair):
        line = connect(pair=pair)
        calls = [line.start(line.receive, key) for key in "abc"]
        line.peer.close()
        for call in calls:
            assert str(call.error()) == "the peer said goodbye"
        assert line.protocol.clean

    @pytest.mark.scenario(219, 221, 238)
    def test_a_reset_reaches_everyone_each_with_an_error_of_his_own(self, connect):
        line = connect(pair=tcp_pair)
        calls = [line.start(line.receive, key) for key in "abc"]
        line.peer_resets()
        errors = [call.error() for call in calls]
        assert len({id(error) for error in errors}) == 3
        assert len({id(error.__cause__) for error in errors}) == 1
        for error in errors:
            assert isinstance(error, ConnectionLost)
            assert str(error) == "the connection was lost: Connection reset by peer"
            assert isinstance(error.__cause__.__cause__, ConnectionResetError)
        assert errors[0].__cause__ is line.wire.failure
        assert line.sock.fileno() == -1

    @pytest.mark.scenario(232)
    def test_closing_wakes_everyone_and_the_last_poller_closes_the_descriptor(
        self, line
    ):
        calls = [line.start(line.receive, key) for key in "abc"]
        with line.wire:
            line.wire.close(ConnectionLost("we closed it"))
            # Polled still: another file could get the number of a closed one.
            assert line.sock.fileno() != -1
        for call in calls:
            assert str(call.error()) == "we closed it"
        assert line.sock.fileno() == -1
        assert line.peer_takes() == b""

    @pytest.mark.scenario(133)
    def test_closing_sends_what_is_queued_and_a_second_time_does_nothing(self, line):
        with line.wire:
            line.protocol.to_send += b"the last words"
            line.wire.close(ConnectionLost("we closed it"))
            line.wire.close(ConnectionLost("we closed it again"))
        assert str(line.wire.failure) == "we closed it"
        assert line.peer_takes() == b"the last words"
        with pytest.raises(ConnectionLost, match="we closed it"):
            line.receive("a")

    def test_closing_what_turns_out_to_be_lost_keeps_the_first_reason(self, connect):
        line = connect(HalfOpen())
        line.peer.shutdown(socket.SHUT_WR)
        with line.wire:
            line.peer.close()
            line.protocol.to_send += b"too late"
            line.wire.close(ConnectionLost("we closed it"))
        assert "Broken pipe" in str(line.wire.failure)

    def test_last_words_that_a_failure_leaves_are_sent_and_counted(self, connect):
        class Polite(Lines):
            def fail(self, error):
                super().fail(error)
                self.to_send += b"goodbye"

        line = connect(Polite())
        with line.wire:
            line.wire.close(ConnectionLost("we closed it"))
        assert line.peer_takes() == b"goodbye"
        assert line.wire.sent_bytes == 7

    def test_a_finished_protocol_ends_the_connection(self, line):
        with line.wire:
            line.protocol.to_send += b"bye"
            line.protocol.finished = True
        assert line.wire.closed
        assert line.wire.failure is None
        assert line.sock.fileno() == -1
        assert line.peer_takes() == b"bye"
        with pytest.raises(ConnectionLost, match="the connection is closed"):
            line.receive("a")

    def test_a_protocol_that_finishes_while_others_wait_wakes_them(self, line):
        calls = [line.start(line.receive, key) for key in "ab"]
        with line.wire:
            line.protocol.finished = True
        for call in calls:
            assert str(call.error()) == "the connection is closed"
        assert line.sock.fileno() == -1

    def test_a_failure_of_the_protocol_is_the_connections(self, line):
        with line.wire:
            line.protocol.fail(RemoteProtocolError("nonsense"))
        assert str(line.wire.failure) == "nonsense"
        with pytest.raises(RemoteProtocolError, match="nonsense") as caught:
            line.receive("a")
        assert caught.value is not line.wire.failure
        assert caught.value.__cause__ is line.wire.failure


def running_function():
    """Return the code that the main thread is in."""
    return frames()[threading.main_thread().ident].f_code


class TestAccidents:
    @pytest.mark.scenario(215, 233)
    def test_a_leader_that_a_signal_interrupts_leaves_to_a_follower(self, line):
        def follow():
            wait_for(lambda: line.wire.polling == 1)
            return line.receive("b")

        def interrupt():
            wait_for(lambda: (line.wire.polling, line.wire.waiting) == (1, 1))
            interrupt_main_thread(seen)

        with interruptions() as seen:
            follower = background(follow)
            interrupting = background(interrupt)
            with pytest.raises(Interrupted):
                line.receive("a")
            interrupting.result()
        wait_for(lambda: (line.wire.polling, line.wire.waiting) == (1, 0))
        line.peer.sendall(b"b:2\n")
        assert follower.result() == "2"

    @pytest.mark.scenario(215)
    def test_a_follower_that_a_signal_interrupts_is_forgotten(self, line):
        leader = line.start(line.receive, "a")

        def interrupt():
            wait_for(lambda: line.wire.waiting == 1)
            interrupt_main_thread(seen)

        with interruptions() as seen:
            interrupting = background(interrupt)
            with pytest.raises(Interrupted):
                line.receive("b")
            interrupting.result()
        assert (line.wire.polling, line.wire.waiting) == (1, 0)
        line.peer.sendall(b"a:1\n")
        assert leader.result() == "1"

    @pytest.mark.scenario(216)
    @pytest.mark.parametrize("role", ["leader", "follower"])
    def test_a_signal_that_comes_while_the_lock_is_taken_back_loses_no_lock(
        self, line, role
    ):
        leader = line.start(line.receive, "a") if role == "follower" else None
        blocked = line.blocked + 1

        def hold_the_lock():
            wait_for(lambda: line.blocked == blocked)
            with line.wire:
                before = running_function()
                line.protocol.touched.add("b")
                line.wire.wait_drained(within(), "nothing")
                # The main thread's wait is over, and it wants the lock.
                wait_for(lambda: running_function() is not before)
                interrupt_main_thread(seen)
                interrupt_main_thread(seen)

        with interruptions() as seen:
            holding = background(hold_the_lock)
            with pytest.raises(Interrupted):
                line.receive("b")
            holding.result()
        wait_for(lambda: line.blocked == blocked - 1)
        line.peer.sendall(b"a:1\n")
        assert (leader.result() if leader else line.receive("a")) == "1"

    @pytest.mark.scenario(216, 233)
    @pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # of half a bell
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    @pytest.mark.parametrize(
        "role", ["alone", "follower", "asleep", "queuing", "giving way"]
    )
    def test_a_signal_that_comes_at_any_point_leaves_nobody_waiting(
        self, connect, role
    ):
        def queue_for_the_lock(line):
            with line.wire:
                pass

        def hold_the_lock(line, over):
            with line.wire:
                held.append(line)
                wait_for(lambda: line.wire.queuing or over)

        def use(line):
            if role == "giving way":
                with line.wire:
                    others.append(background(queue_for_the_lock, line))
                    wait_for(lambda: line.wire.queuing)
                    line.wire.give_way()
            elif role == "alone":
                line.peer.sendall(b"a:1\n")
                line.protocol.to_send += b"question"
                with line.wire.unlooked():  # so that it leads
                    line.wire.wait_until(
                        lambda: line.protocol.words["a"], "a", within(), "waiting"
                    )
            elif role == "asleep":
                wait_for(lambda: line.wire.polling)
                line.wire.sleep_until(
                    lambda: line.protocol.words["a"], "a", within(0.001)
                )
            else:
                line.receive("a", seconds=0.001)

        held = []
        for point in range(1000):
            line = connect()
            over, others = [], []
            if role != "alone":
                others.append(line.start(line.receive, "b"))
            if role == "queuing":
                others.append(background(hold_the_lock, line, over))
                wait_for(lambda: line in held)  # noqa: B023
            try:
                with interrupted_at(point, bufsocket.__file__) as hit:
                    use(line)
            except (Interrupted, ReadTimeout):
                pass
            over.append(True)
            with contextlib.suppress(BrokenPipeError):  # It may be closed by now.
                line.peer.sendall(b"b:2\n")
            for other in others:
                wait_for(lambda: not other.running)  # noqa: B023
                with contextlib.suppress(ConnectionLost):  # It may be abandoned.
                    other.result()
            assert line.wire.queuing == 0
            queue_for_the_lock(line)
            if not hit:
                break
        assert point > 10

    @pytest.mark.scenario(216, 233)
    def test_a_bug_in_the_protocol_ends_the_connection_for_all(self, connect):
        line = connect(Fragile())
        leader = line.start(line.receive, "a")
        followers = [line.start(line.receive, key) for key in "bc"]
        line.peer.sendall(b"a:bomb\n")
        assert isinstance(leader.error(), KeyError)
        for follower in followers:
            error = follower.error()
            assert isinstance(error, ConnectionLost)
            assert "abandoned: KeyError('a bug')" in str(error)
        assert line.sock.fileno() == -1

    @pytest.mark.scenario(216)
    def test_a_bug_that_shows_on_entry_ends_the_connection_and_frees_the_lock(
        self, connect
    ):
        line = connect(Fragile())
        line.peer.sendall(b"a:bomb\n")
        with pytest.raises(KeyError), line.wire:
            pass
        with pytest.raises(ConnectionLost, match="abandoned"):
            line.receive("b")

    @pytest.mark.scenario(216)
    @pytest.mark.parametrize("where", ["leaving", "waiting", "speaking"])
    @pytest.mark.parametrize("times", [1, 2])
    def test_an_interruption_in_the_middle_of_sending_ends_the_connection(
        self, connect, where, times
    ):
        class Interruptible(Lines):
            interruptions = 0

            def data_to_send(self):
                if self.interruptions:
                    self.interruptions -= 1
                    raise Interrupted
                return super().data_to_send()

        def send():
            with line.wire:
                line.protocol.interruptions = times
                if where == "waiting":
                    line.wire.wait_until(lambda: False, "b", within(), "waiting")
                elif where == "speaking":
                    line.wire.speak(line.protocol)

        line = connect(Interruptible())
        follower = line.start(line.receive, "a")
        with pytest.raises(Interrupted):
            send()
        assert "abandoned: Interrupted()" in str(follower.error())
        assert line.sock.fileno() == -1

    @pytest.mark.parametrize(
        ("error", "lasts"),
        [(LocalProtocolError("a wish"), True), (LookupError("a bug"), False)],
    )
    def test_only_an_error_of_our_own_leaves_the_connection_alone(
        self, line, error, lasts
    ):
        # A timer's signal handler may raise any exception, in the middle of a verb.
        def stumble():
            with line.wire:
                line.protocol.to_send += b"sent all the same"
                raise error

        with pytest.raises(type(error)):
            stumble()
        assert line.peer_takes(17) == b"sent all the same"
        assert (line.wire.failure is None) == lasts

    def test_who_holds_the_lock_is_told_so_when_it_asks_again(self, line):
        with line.wire:
            for again in (line.wire, line.wire.unlooked()):
                with pytest.raises(RuntimeError, match="signal handler"), again:
                    pass
            assert line.wire.held_here

    def test_what_is_left_to_the_holder_is_done_when_it_gives_the_lock_up(self, line):
        done = []
        with line.wire:
            line.wire.do_afterwards(lambda: done.append(line.wire.held_here))
            assert not done
        assert done == [True]


class TestDescriptors:
    @pytest.mark.scenario(226, 273)
    @pytest.mark.parametrize("closed", [True, False])
    def test_all_are_given_back_even_by_a_connection_that_is_only_dropped(self, closed):
        def count():
            return len(os.listdir("/proc/self/fd"))

        before = count()
        line = Line(*socket.socketpair(), Lines())
        reader = line.start(line.receive, "a")
        writer = line.start(line.drain, bytes(MUCH))
        line.peer.sendall(b"a:1\n")
        line.peer_takes(MUCH)
        reader.result()
        writer.result()
        del reader, writer
        line.peer.close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            if closed:
                with line.wire:
                    line.wire.close(ConnectionLost("done"))
            else:
                del line
            assert count() == before


class TestFilters:
    def veil(self, raw):
        """Put a veil over a connection; return what the peer does."""
        raw.peer.sendall(b"+")
        with raw.wire:
            raw.wire.add_filter(Veil(), within(), "in the handshake")
        assert raw.peer_takes(1) == b"+"

    def speak(self, raw):
        raw.protocol = Lines()
        with raw.wire:
            raw.wire.speak(raw.protocol)

    def test_bytes_pass_through_the_filter_both_ways(self, silent):
        self.veil(silent)
        self.speak(silent)
        silent.peer.sendall(veiled(b"a:hidden\n"))
        assert silent.receive("a") == "hidden"
        silent.send(b"hello")
        assert silent.peer_takes(5) == veiled(b"hello")

    @pytest.mark.scenario(251)
    def test_the_second_filter_lies_within_the_first(self, silent):
        self.veil(silent)
        silent.peer.sendall(veiled(b"+"))
        with silent.wire:
            silent.wire.add_filter(Veil(), within(), "in the second handshake")
        assert silent.peer_takes(1) == veiled(b"+")
        self.speak(silent)
        silent.peer.sendall(b"a:twice is not at all\n")
        assert silent.receive("a") == "twice is not at all"
        with silent.wire:
            silent.wire.close(ConnectionLost("done"))
        assert silent.peer_takes() == veiled(b".") + b"."

    @pytest.mark.scenario(253)
    def test_bytes_that_came_before_the_filter_are_its_own(self, silent):
        silent.peer.sendall(b"+" + veiled(b"a:early\n"))
        with silent.wire:
            silent.wire.add_filter(Veil(), within(), "in the handshake")
        self.speak(silent)
        assert silent.receive("a") == "early"

    def test_the_handshake_is_waited_for(self, silent):
        layer = Veil()

        def shake():
            with silent.wire:
                silent.wire.add_filter(layer, within(), "in the handshake")

        shaking = silent.start(shake)
        assert silent.peer_takes(1) == b"+"
        silent.peer.sendall(b"+")
        shaking.result()
        assert layer.established

    @pytest.mark.parametrize("early", [True, False])
    def test_a_handshake_that_fails_raises_and_tells_the_peer(self, silent, early):
        def shake():
            with silent.wire:
                if not early:
                    silent.peer.sendall(b"!")
                try:
                    silent.wire.add_filter(Veil(), within(), "in the handshake")
                except HyperError as error:
                    silent.wire.close(error)
                    raise

        if early:
            silent.peer.sendall(b"!")
        with pytest.raises(TLSError, match="the veil is torn"):
            shake()
        assert silent.peer_takes() == b"+!."

    @pytest.mark.scenario(26)
    def test_a_peer_that_closes_in_the_handshake_is_lost(self, silent):
        with silent.wire:
            silent.peer.shutdown(socket.SHUT_WR)
            with pytest.raises(ConnectionLost, match="during TLS"):
                silent.wire.add_filter(Veil(), within(), "in the handshake")

    @pytest.mark.scenario(29)
    @pytest.mark.parametrize("goodbye", [b".", b""])
    def test_the_protocol_learns_whether_the_filter_saw_a_proper_end(
        self, silent, goodbye
    ):
        self.veil(silent)
        self.speak(silent)
        silent.peer.sendall(veiled(b"a:1\n") + goodbye)
        silent.peer.shutdown(socket.SHUT_WR)
        assert silent.receive("a") == "1"
        with pytest.raises(ConnectionLost, match="the peer said goodbye"):
            silent.receive("b")
        assert silent.protocol.clean is bool(goodbye)

    def test_what_came_before_a_filter_broke_is_delivered(self, silent):
        self.veil(silent)
        self.speak(silent)
        silent.peer.sendall(veiled(b"a:1\n") + b"!" + veiled(b"a:2\n"))
        assert silent.receive("a") == "1"
        with pytest.raises(TLSError, match="the veil is torn"):
            silent.receive("a")
        assert isinstance(silent.wire.failure, TLSError)


def test_the_address_of_a_peer_that_is_gone_is_not_known():
    with socket.socket() as gone:
        wire = BufferedSocket(gone)
        assert wire.peer_address is None
        assert wire.local_address == ("0.0.0.0", 0)
