"""An SSLSocket of somebody else's under a BufferedSocket.

The far end is an ``SSLObject`` over memory, so that the test says which bytes arrive
together: several records, half a record, a record and the end.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct

import pytest
from collector import Collector
from threads import PATIENCE, background

from hyper.common.exceptions import ConnectionLost, LocalProtocolError, TLSError
from hyper.tls import init_context
from hyper.transport.bufsocket import BufferedSocket
from hyper.transport.deadline import Timeout
from hyper.transport.tlssocket import RECORD, TLSSocket


class Far:
    """The far end of a TLS connection. Words go on the wire when told to."""

    def __init__(self, sock, ca):
        sock.settimeout(PATIENCE)
        self.sock = sock
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(ca.cert_file, ca.key_file)
        context.set_alpn_protocols(["h2"])
        context.num_tickets = 0  # Nothing comes that was not said here.
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def shake_hands(self):
        while True:
            try:
                self._tls.do_handshake()
                self.sock.sendall(self._outgoing.read())
                return
            except ssl.SSLWantReadError:
                self.sock.sendall(self._outgoing.read())
                self._incoming.write(self.sock.recv(65536))

    def record(self, data):
        """Return the bytes of one record."""
        assert self._tls.write(data) == len(data)
        return self._outgoing.read()

    def goodbye(self):
        """Return a close_notify alert."""
        with pytest.raises(ssl.SSLWantReadError):
            self._tls.unwrap()
        return self._outgoing.read()

    def send(self, *records):
        self.sock.sendall(b"".join(records))

    def hear(self, amount):
        """Return so many bytes of what was said to it; less at the end, or at 0 all."""
        heard = b""
        while len(heard) < amount or not amount:
            try:
                piece = self._tls.read(RECORD)
            except ssl.SSLWantReadError:
                data = self.sock.recv(65536)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
                continue
            if not piece:
                break
            heard += piece
        return heard

    def hear_what_is_there(self):
        """Return all that can be understood of what has arrived."""
        self.sock.setblocking(False)
        heard = b""
        try:
            while data := self.sock.recv(65536):
                self._incoming.write(data)
        except BlockingIOError:
            pass
        try:
            while True:
                heard += self._tls.read(RECORD)
        except ssl.SSLWantReadError:
            self.sock.settimeout(PATIENCE)
            return heard


def deadline():
    return Timeout(PATIENCE, PATIENCE, PATIENCE).start().read()


@pytest.fixture
def ends(ca):
    """An SSLSocket that has shaken hands with a Far, and that."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # Buffers that are full soon.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        ours = socket.create_connection(listener.getsockname())
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        theirs, _ = listener.accept()
    far = Far(theirs, ca)
    shaking = background(far.shake_hands)
    context = init_context(str(ca.ca_file))
    context.set_alpn_protocols(["h2"])
    near = context.wrap_socket(ours, server_hostname="localhost")
    shaking.result()
    yield near, far
    near.close()
    theirs.close()


def take_over(near):
    """Return a BufferedSocket on an SSLSocket, and its Protocol."""
    taken = TLSSocket(near)
    wire = BufferedSocket(taken)
    protocol = Collector()
    with wire:
        wire.add_filter(taken.layer, deadline(), "taking over")
        wire.speak(protocol)
    return wire, protocol


@pytest.fixture
def line(ends):
    """A BufferedSocket on the near end, its Protocol, and the far end."""
    near, far = ends
    wire, protocol = take_over(near)
    yield wire, protocol, far
    with wire:
        wire.close(ConnectionLost("done"))


def wait(wire, protocol, amount):
    """Wait until so much has come."""
    with wire:
        wire.wait_until(
            lambda: len(protocol.received) >= amount, protocol, deadline(), "collecting"
        )


def wait_for_the_end(wire, protocol):
    with wire:
        wire.wait_until(lambda: False, protocol, deadline(), "waiting for the end")


class TestWhatWasAgreedOn:
    def test_the_layer_tells_what_the_handshake_did(self, ends):
        near, _ = ends
        layer = TLSSocket(near).layer
        assert layer.established
        assert layer.alpn == "h2"
        assert layer.names == {"localhost"}
        assert layer.certificate == near.getpeercert(binary_form=True)
        assert layer.tls is near
        near.shutdown(socket.SHUT_RDWR)
        assert layer.alpn == "h2"

    def test_the_handshake_has_to_be_done(self):
        ours, theirs = socket.socketpair()
        raw = ssl.create_default_context().wrap_socket(
            ours, server_hostname="a.test", do_handshake_on_connect=False
        )
        with raw, theirs, pytest.raises(LocalProtocolError, match="not done yet"):
            TLSSocket(raw)


class TestReceiving:
    @pytest.mark.parametrize("size", [1, 1000, RECORD])
    @pytest.mark.parametrize("number", [1, 3, 4, 20, 80])
    def test_all_records_come_that_arrive_together(self, line, size, number):
        wire, protocol, far = line
        sending = background(
            far.send, *(far.record(b"x" * size) for _ in range(number))
        )
        wait(wire, protocol, size * number)
        assert protocol.received == b"x" * size * number
        sending.result()

    def test_a_record_may_come_byte_by_byte(self, line):
        wire, protocol, far = line
        for byte in far.record(b"hello"):
            with wire:
                assert protocol.received == b""
            far.send(bytes([byte]))
        wait(wire, protocol, 5)
        assert protocol.received == b"hello"

    def test_what_the_user_has_left_half_read_is_not_waited_for(self, ends):
        near, far = ends
        far.send(far.record(b"said too early"))
        assert near.recv(5) == b"said "
        wire, protocol = take_over(near)
        wait(wire, protocol, 9)
        assert protocol.received == b"too early"
        with wire:
            wire.close(ConnectionLost("done"))


class TestTheEnd:
    @pytest.mark.parametrize("notified", [True, False])
    @pytest.mark.parametrize("last", [b"", b"all of it"])
    def test_the_protocol_learns_whether_it_was_told(self, line, notified, last):
        wire, protocol, far = line
        words = [far.record(last)] if last else []
        if notified:
            far.send(*words, far.goodbye())  # and TCP does not end
        else:
            far.send(*words)
            far.sock.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionLost, match="the end"):
            wait_for_the_end(wire, protocol)
        assert protocol.received == last
        assert protocol.clean is notified

    def test_a_corrupt_record_is_an_error_of_tls_after_what_came_before(self, line):
        wire, protocol, far = line
        good, bad = far.record(b"good"), bytearray(far.record(b"bad"))
        bad[-1] ^= 1
        far.send(good, bad)
        with pytest.raises(TLSError, match=r"TLS with localhost failed: .*decrypt"):
            wait_for_the_end(wire, protocol)
        assert protocol.received == b"good"
        assert wire.closed

    def test_a_reset_is_an_end_that_was_not_told(self, line):
        wire, protocol, far = line
        linger = struct.pack("ii", 1, 0)
        far.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        far.sock.close()
        # OpenSSL calls it an end, or since Python 3.13 by its name.
        with pytest.raises(ConnectionLost, match=r"the end|reset by peer"):
            wait_for_the_end(wire, protocol)
        assert not protocol.clean

    def test_a_socket_that_somebody_has_closed_is_a_connection_that_was_lost(
        self, ends
    ):
        near, _ = ends
        wire, protocol = take_over(near)
        near.close()
        with pytest.raises(ConnectionLost, match="lost: Bad file descriptor"):
            wait_for_the_end(wire, protocol)
        assert wire.closed

    def test_the_peer_is_told(self, line):
        wire, protocol, far = line
        protocol.to_send = b"goodbye"
        with wire:
            wire.close(ConnectionLost("done"))
        # An end without close_notify would raise.
        assert far.hear(0) == b"goodbye"

    def test_an_end_from_elsewhere_does_no_harm(self, ends):
        near, _ = ends
        taken = TLSSocket(near)
        wire = BufferedSocket(taken)
        near.shutdown(socket.SHUT_RDWR)
        with wire:
            wire.close(ConnectionLost("done"))
        assert wire.closed


class TestSending:
    def test_words_go_out(self, line):
        wire, protocol, far = line
        with wire:
            protocol.to_send = b"hello"
        assert far.hear(5) == b"hello"

    def test_a_peer_that_reads_slowly_gets_everything_in_order(self, line):
        wire, protocol, far = line
        words = bytes(range(251)) * 8000
        with wire:
            for begin in range(0, len(words), 100_000):
                # It grows while a record is stuck in OpenSSL.
                protocol.to_send = words[begin : begin + 100_000]
                wire.wait_drained(deadline(), "sending", len(words))
            assert wire.unsent, "the kernel took everything"
        hearing = background(far.hear, len(words))
        with wire:
            wire.wait_drained(deadline(), "sending")
        assert hearing.result() == words

    def test_no_byte_is_seen_that_does_not_count_as_sent(self, ends):
        near, far = ends
        taken = TLSSocket(near)
        taken.setblocking(False)
        words = b"x" * 3_000_000
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < len(words):
                sent += taken.send(words)
        assert 0 < sent < len(words)
        assert 0 < len(far.hear_what_is_there()) <= sent

    def test_nothing_is_sent_of_nothing(self, ends):
        near, _ = ends
        assert TLSSocket(near).send(b"") == 0

    def test_a_goodbye_does_not_wait_for_a_peer_that_reads_nothing(self, line):
        wire, protocol, _ = line
        with wire:
            protocol.to_send = b"x" * 3_000_000
        with wire:
            assert wire.unsent
            wire.close(ConnectionLost("done"))
        assert wire.closed
