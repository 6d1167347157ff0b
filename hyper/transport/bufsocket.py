"""One descriptor, one lock, one way to block.

Many threads share one connection, and nobody owns a background thread. So whoever
needs bytes reads them for everybody: the first thread that has to wait becomes the
*leader* and polls the descriptor; those that come after are *followers* and sleep
until what they wait for has changed. A leader that leaves promotes a follower. It is
the pattern of libxcb, which has carried every X11 program for twenty years.

The rules that make it right:

* The lock is never held while blocking. It guards the descriptor, the TLS filters, the
  Protocol and every Stream of it, so that "take an id, compress the header, queue the
  bytes" is one step that nobody can come between.
* The descriptor is non-blocking and waiting is ``poll``. Nobody ever sleeps inside
  OpenSSL, and timeouts belong to calls, not to the socket.
* A thread that waits to write also reads. Both peers' buffers full is not a deadlock.
* Whoever makes a condition true wakes those who wait for it, under the lock, once,
  after the whole batch: Protocols say what they touched, :meth:`BufferedSocket._wake`
  wakes. A follower that sleeps while its condition holds would be a bug here.
* A call that finds nobody reading reads once on entry, so that RST_STREAM, GOAWAY and
  the end of the stream are seen before the next write.

TLS is a filter between descriptor and Protocol, see :mod:`hyper.transport.tls`. Two
threads inside one OpenSSL object crash the interpreter; under the one lock they cannot
meet.
"""

from __future__ import annotations

import math
import select
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Protocol as Interface

from ..common.exceptions import ConnectionLost, HyperError, RemoteProtocolError
from ..common.protocol import EVERYONE, Protocol
from .deadline import Deadline

#: How much one ``recv`` asks for: four TLS records. Larger reads were no faster.
READ_SIZE = 65536
#: How often a pump reads before it lets other threads have the lock: 1 MiB.
READS_PER_PUMP = 16
#: Bytes that may wait to be sent. Uploads stay far below it; a peer that makes us
#: answer and does not read the answers reaches it (CVE-2019-9517).
MAX_UNSENT = 4 * 1024 * 1024


class Filter(Interface):
    """A layer of encryption between descriptor and Protocol, itself without I/O."""

    #: The handshake is done: data may pass.
    established: bool
    #: The peer said that nothing more will come.
    ended: bool
    #: Why nothing more can pass; what :meth:`decrypt` returned before is good.
    failure: HyperError | None

    def decrypt(self, data: bytes) -> bytes:
        """Take bytes from the wire and return what they hold."""

    def encrypt(self, data: bytes) -> bytes:
        """Take plain bytes and return what has to go onto the wire now.

        After a failure the plain bytes are dropped; the alert is still returned.
        """

    def close(self) -> bytes:
        """Say that nothing more will be encrypted; return the alert that tells it."""


class BufferedSocket:
    """A connected socket that threads share, and the Protocol spoken on it.

    Use it as a context manager to hold its lock: entering reads what has arrived,
    leaving sends what is queued and passes leadership on. Thread-safe. Not re-entrant.

    :param sock: a connected stream socket, which now belongs to this object.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        # Constant.
        self._sock = sock
        self._lock = threading.Lock()
        # All that follows is guarded by _lock.
        self._filters: list[Filter] = []  # outermost, next to the socket, first
        self._protocol: Protocol | None = None
        self._early = b""  # plain bytes that came before the Protocol
        self._outgoing = bytearray()  # encrypted, waiting for the kernel
        self._sent_bytes = 0
        self._at_eof = False
        self._deaf: OSError | None = None  # the peer takes no more bytes
        self._failure: HyperError | None = None
        self._closed = False
        # A poll object must not be used by two threads at once. There are at most two
        # pollers: one that reads, and one that reads and writes.
        self._readers = 0
        self._writers = 0
        self._reader = select.poll()
        self._writer = select.poll()
        self._reader.register(sock, select.POLLIN)
        self._writer.register(sock, select.POLLIN | select.POLLOUT)
        # Sleeping followers: each is a lock that is released to wake it.
        self._waiters: dict[object, list[threading.Lock]] = {}

    def __enter__(self) -> BufferedSocket:
        self._lock.acquire()
        try:
            if not self._readers:
                self._pump()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._send()
            self._promote()
        finally:
            self._lock.release()

    # What callers ask. The lock is held unless said otherwise.

    @property
    def failure(self) -> HyperError | None:
        """Why the connection is of no more use; None while it is. Needs no lock."""
        protocol = self._protocol
        if self._failure is None and protocol is not None:
            return protocol.failure
        return self._failure

    @property
    def closed(self) -> bool:
        """True once the connection is closed from this side. Needs no lock."""
        return self._closed

    @property
    def polling(self) -> int:
        """How many threads poll the descriptor: leaders. Needs no lock."""
        return self._readers

    @property
    def waiting(self) -> int:
        """How many threads sleep until they are woken: followers. Needs no lock."""
        return sum(map(len, list(self._waiters.values())))

    @property
    def queued_bytes(self) -> int:
        """How many bytes were ever queued for the kernel."""
        return self._sent_bytes + len(self._outgoing)

    @property
    def sent_bytes(self) -> int:
        """How many bytes the kernel took: the peer may have seen these, and no more."""
        return self._sent_bytes

    @property
    def unsent(self) -> int:
        """How many bytes wait for the kernel to take them."""
        return len(self._outgoing)

    def wait_until(
        self, ready: Callable[[], bool], key: object, deadline: Deadline, doing: str
    ) -> None:
        """Block until ``ready()``, reading for everybody meanwhile.

        The lock is held on entry, on return and whenever ``ready`` is called; it is
        given up while blocking.

        :param key: what the Protocol adds to ``touched`` when it changes what ``ready``
            looks at; a call of :meth:`wait_drained` is woken when all is sent.
        :param doing: what the caller is about, for the error's text.
        :raises HyperError: the connection's failure, or the deadline's error.
        """
        while not ready():
            self._send()  # What the answer waits for must not wait in our buffers.
            self._raise_if_failed()
            if deadline.passed:
                raise deadline.error(doing)
            writing = bool(self._outgoing)
            if self._writers if writing else (self._readers or self._paused):
                self._follow(key, deadline)
            else:
                self._lead(writing, deadline)

    def wait_drained(self, deadline: Deadline, doing: str, at_most: int = 0) -> None:
        """Block until the kernel has taken all but ``at_most`` of the queued bytes.

        Returns at once if the peer takes no more bytes: what it has still to say, an
        early response or a GOAWAY, is found by reading.
        """
        self._send()
        self.wait_until(lambda: len(self._outgoing) <= at_most, self, deadline, doing)

    def speak(self, protocol: Protocol) -> None:
        """Let ``protocol`` have the connection, with all bytes that came before it."""
        self._protocol = protocol
        early, self._early = self._early, b""
        if early:
            protocol.receive_data(early)
        self._send()

    def add_filter(self, layer: Filter, deadline: Deadline, doing: str) -> None:
        """Put ``layer`` between the socket's other filters and the Protocol.

        Returns when its handshake is done.
        """
        early, self._early = self._early, b""
        self._filters.append(layer)
        if early:
            self._early = layer.decrypt(early)
        self.wait_until(
            lambda: layer.established or layer.failure is not None,
            layer,
            deadline,
            doing,
        )
        if layer.failure is not None:
            raise layer.failure

    def close(self, error: HyperError) -> None:
        """Close the connection: every exchange and every waiting thread gets ``error``.

        What is queued is sent as far as the kernel takes it at once. Idempotent.
        """
        if self._closed:
            return
        self._send()
        self._fail(error)

    # Blocking.

    @property
    def _paused(self) -> bool:
        return self._protocol is not None and self._protocol.paused

    def _raise_if_failed(self) -> None:
        failure = self.failure
        if failure is not None:
            raise failure.fresh()
        if self._closed:
            raise ConnectionLost("the connection is closed")

    def _lead(self, writing: bool, deadline: Deadline) -> None:
        """Poll, without the lock, and read for everybody."""
        left = deadline.left()
        # Rounded up: a poll that returns early would be called again and again.
        milliseconds = None if left is None else math.ceil(left * 1000)
        poll = self._reader
        if writing:
            poll = self._writer
            events = select.POLLOUT if self._paused else select.POLLIN | select.POLLOUT
            poll.modify(self._sock, events)
        self._readers += 1
        self._writers += writing
        self._lock.release()
        try:
            poll.poll(milliseconds)
        finally:
            self._lock.acquire()
            self._readers -= 1
            self._writers -= writing
            if self._closed and not self._readers:
                self._sock.close()
        self._pump()

    def _follow(self, key: object, deadline: Deadline) -> None:
        """Sleep, without the lock, until woken or out of time."""
        waiter = threading.Lock()
        waiter.acquire()
        self._waiters.setdefault(key, []).append(waiter)
        left = deadline.left()
        self._lock.release()
        try:
            waiter.acquire(timeout=-1 if left is None else left)
        finally:
            self._lock.acquire()
            self._forget(key, waiter)

    def _forget(self, key: object, waiter: threading.Lock) -> None:
        others = self._waiters.get(key)
        if others is not None and waiter in others:
            others.remove(waiter)
            if not others:
                del self._waiters[key]

    def _promote(self) -> None:
        """Wake one follower if nobody reads any more: it becomes the leader."""
        if self._waiters and not self._readers and not self._paused:
            waiters = next(iter(self._waiters.values()))
            waiters[0].release()
            self._forget(next(iter(self._waiters)), waiters[0])

    def _wake(self) -> None:
        """Wake the followers of what the Protocol touched."""
        if self._waiters:
            touched = self._protocol.touched if self._protocol is not None else ()
            if not self._outgoing:
                self._wake_followers_of(self)
            if EVERYONE in touched or self._closed:
                for key in list(self._waiters):
                    self._wake_followers_of(key)
            else:
                for key in touched:
                    self._wake_followers_of(key)
        if self._protocol is not None:
            self._protocol.touched.clear()

    def _wake_followers_of(self, key: object) -> None:
        for waiter in self._waiters.pop(key, ()):
            waiter.release()

    # Moving bytes.

    def _pump(self) -> None:
        """Take in what has arrived and send what is queued, without blocking."""
        if self._closed:
            return
        try:
            self._receive()
            self._send()
        except BaseException as error:
            # A bug, or an exception that a signal handler raised just here. The state
            # may be torn, so nobody may use the connection again.
            self._fail(ConnectionLost(f"the connection was abandoned: {error!r}"))
            raise

    def _receive(self) -> None:
        for _ in range(READS_PER_PUMP):
            if self._at_eof or self._closed or self._paused:
                return
            try:
                data = self._sock.recv(READ_SIZE)
            except BlockingIOError:
                return
            except OSError as error:
                self._lost(error)
                return
            self._feed(data)
            if len(data) < READ_SIZE:
                return

    def _feed(self, data: bytes) -> None:
        """Pass what ``recv`` returned through the filters to the Protocol."""
        ended = not data
        clean = ended
        for layer in self._filters:
            if data:
                data = layer.decrypt(data)
            if layer.failure is not None:
                self._deliver(data)
                self._fail(layer.failure)
                return
            clean = layer.ended
            ended = ended or layer.ended
        self._deliver(data)
        if ended:
            self._at_eof = True
            self._end(clean)

    def _deliver(self, data: bytes) -> None:
        if not data:
            return
        if self._protocol is not None:
            self._protocol.receive_data(data)
        else:
            self._early += data

    def _end(self, clean: bool) -> None:
        if self._protocol is not None:
            self._protocol.receive_eof(clean)
        elif all(layer.established for layer in self._filters):
            self._fail(ConnectionLost("the peer closed the connection"))
        else:
            self._fail(ConnectionLost("the peer closed the connection during TLS"))

    def _lost(self, error: OSError) -> None:
        self._at_eof = True
        reason = ConnectionLost(f"the connection was lost: {error.strerror or error}")
        reason.__cause__ = error
        self._fail(reason)

    def _send(self) -> None:
        """Hand the kernel what is queued, as much as it takes; wake; settle the end."""
        if self._closed:
            return
        self._queue()
        self._push()
        self._wake()
        if self._protocol is not None and self._protocol.finished:
            self._shut()
        elif len(self._outgoing) > MAX_UNSENT:
            self._fail(RemoteProtocolError("the peer makes work and reads no answers"))

    def _queue(self) -> None:
        """Move what the Protocol wants sent through the filters to the kernel's queue.

        The filters are always asked, even for nothing: they have handshakes and alerts
        of their own to send.
        """
        data = self._protocol.data_to_send() if self._protocol is not None else b""
        for layer in reversed(self._filters):
            data = layer.encrypt(data)
        if self._deaf is None:
            self._outgoing += data

    def _push(self) -> None:
        while self._outgoing:
            try:
                sent = self._sock.send(self._outgoing)
            except BlockingIOError:
                return
            except OSError as error:
                # What the peer said before it stopped listening is still to be read:
                # an early response, a GOAWAY. Reading finds the end as well.
                self._deaf = error
                self._outgoing.clear()
                if self._at_eof:
                    self._lost(error)
                return
            self._sent_bytes += sent
            del self._outgoing[:sent]

    def _fail(self, error: HyperError) -> None:
        if self._failure is None:
            self._failure = error
        if self._protocol is not None:
            self._protocol.fail(error)
        self._queue()  # The last words: GOAWAY, a TLS alert.
        self._shut()

    def _shut(self) -> None:
        """Close the descriptor; a thread that polls it does so when it wakes up."""
        if self._closed:
            return
        self._closed = True
        goodbye = b""
        for layer in reversed(self._filters):
            goodbye = layer.encrypt(goodbye) + layer.close()
        self._outgoing += goodbye
        try:
            if self._deaf is None:
                self._sock.send(self._outgoing)
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # The peer was faster.
        self._outgoing.clear()
        self._wake()
        if not self._readers:
            self._sock.close()
