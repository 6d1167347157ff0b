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
  wakes. A thread that sleeps while its condition holds would be a bug here. A leader
  sleeps too: what it waits for may be read by the thread that polls in order to write,
  or be done by a call in a third, so each poll listens to a :class:`_Bell` as well.
* Who needs the lock for nothing but to wait does not take it: it leaves its entry
  first and looks second, and whoever changes what it looks at does so first and looks
  for entries second. One of the two sees the other.
* One thread at a time is woken to lead, the *heir*. Until it comes, reading is left to
  it; what it need not do itself it passes on.
* A call that finds nobody reading reads once on entry, so that RST_STREAM, GOAWAY and
  the end of the stream are seen before the next write.
* Writes combine. Who leaves while others queue for the lock leaves the bytes too, and
  the last of them sends for all: one TLS record and one system call carry the requests
  of many threads. Nobody leaves bytes behind where nobody queues, and nobody blocks
  without having sent them. There is one exception: a caller that is going to queue
  more may hold its own bytes back; whoever uses the socket next sends them too.

TLS is a filter between descriptor and Protocol, see :mod:`hyper.transport.tls`. Two
threads inside one OpenSSL object crash the interpreter; under the one lock they cannot
meet.
"""

from __future__ import annotations

import math
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache, partial
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias
from typing import Protocol as Interface

from ..common.exceptions import ConnectionLost, HyperError, RemoteProtocolError
from ..common.protocol import EVERYONE, Protocol
from .deadline import Clock, Deadline, Keepalive

if TYPE_CHECKING:
    from ..trace.recorder import Tap

#: How much one ``recv`` asks for at first, and how much once there was so much.
READ_SIZE = 65536
LARGE_READ_SIZE = 4 * READ_SIZE
#: How much a pump reads before it lets other threads have the lock.
PUMP_SIZE = 1024 * 1024
#: How often a thread that gives way looks whether another has gone: about 100 us.
YIELDS = 100
#: The arguments of ``acquire``, for ``map``; see :meth:`_take_the_lock`.
_AT_ONCE, _PATIENTLY = (False,), (True,)
#: Bytes that may wait to be sent. Uploads stay far below it; a peer that makes us
#: answer and does not read the answers reaches it (CVE-2019-9517).
MAX_UNSENT = 4 * 1024 * 1024


#: The address of a socket: a tuple of TCP's, the path of a unix socket.
Address: TypeAlias = "tuple[str | int, ...] | str | bytes"


class StreamSocket(Interface):
    """What carries the bytes: a socket, or what behaves as one that does not block."""

    def setblocking(self, flag: bool, /) -> None: ...

    def fileno(self) -> int: ...

    def getsockname(self) -> Address: ...

    def getpeername(self) -> Address: ...

    def recv(self, amount: int, /) -> bytes: ...

    def send(self, data: bytes | bytearray, /) -> int: ...

    def shutdown(self, how: int, /) -> None: ...

    def close(self) -> None: ...


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


class HandshakeProtocol(Protocol, Interface):
    """A Protocol that ends when another may begin."""

    #: The other one may begin.
    established: bool
    #: The beginning of what belongs to the other one.
    leftover: bytes


class _Reentered(RuntimeError):
    """A thread that has the lock asks for it again."""


class _Bell:
    """Wakes a thread out of ``poll``. Guarded by the BufferedSocket's lock."""

    def __init__(self) -> None:
        # Not a pipe: these are closed with a connection that is only dropped.
        self._ends = socket.socketpair()
        self._rung = False

    def fileno(self) -> int:
        return self._ends[0].fileno()

    def ring(self) -> None:
        """Wake the thread that polls, or the one that polls next."""
        if not self._rung:
            self._rung = True
            self._ends[1].send(b"!")

    def silence(self) -> None:
        if self._rung:
            self._rung = False
            self._ends[0].recv(1)

    def close(self) -> None:
        for end in self._ends:
            end.close()


class _Post:
    """A place for one thread to poll from. Guarded by the BufferedSocket's lock.

    A poll object must not be used by two threads at once, and a thread that is woken
    must not silence the bell of another. So there are two posts: one for the thread
    that only reads, and one for the thread that has to write and reads meanwhile.
    """

    def __init__(self, sock: StreamSocket) -> None:
        self.bell = _Bell()
        self.poll = select.poll()
        self.poll.register(self.bell, select.POLLIN)
        self.poll.register(sock, select.POLLIN)
        #: What the thread that polls waits for; None if nobody does.
        self.key: object = None


class BufferedSocket:
    """A connected socket that threads share, and the Protocol spoken on it.

    Use it as a context manager to hold its lock: entering reads what has arrived,
    leaving sends what is queued and passes leadership on. Thread-safe. Not re-entrant.

    :param sock: a connected stream socket, which now belongs to this object.
    :param tap: what is told what passes, in plain text; None: nothing is.
    """

    # Not a dict: with so many entries, it would be the largest part of an idle one.
    __slots__ = (
        "_at_eof",
        "_attention",
        "_clock",
        "_closed",
        "_contenders",
        "_deaf",
        "_dropped",
        "_due",
        "_early",
        "_errands",
        "_failure",
        "_filters",
        "_harmless",
        "_heard",
        "_heir",
        "_held",
        "_holding",
        "_keepalive",
        "_lock",
        "_marks",
        "_outgoing",
        "_owner",
        "_pollers",
        "_probed",
        "_process",
        "_protocol",
        "_read_size",
        "_reader",
        "_readers",
        "_received_bytes",
        "_sent_bytes",
        "_sock",
        "_stuck",
        "_tap",
        "_waiters",
        "_writer",
        "_writers",
        "local_address",
        "peer_address",
    )

    def __init__(
        self,
        sock: StreamSocket,
        clock: Clock = time.monotonic,
        tap: Tap | None = None,
    ) -> None:
        sock.setblocking(False)
        # Constant.
        self._clock = clock
        self._tap = tap
        self._process = os.getpid()
        self._sock = sock
        #: The addresses of both ends, as the ``socket`` module writes them.
        self.local_address = sock.getsockname()
        self.peer_address = _peer_address(sock)
        self._lock = threading.Lock()
        #: The thread that holds the lock; 0 if none does. Read without the lock.
        self._owner = 0
        #: One entry for each thread that queues for the lock. Needs no lock.
        self._contenders: list[None] = []
        #: Somebody left work for the next holder of the lock. Needs no lock.
        self._attention = False
        #: What is to be done by the next holder of the lock. Needs no lock.
        self._errands: list[Callable[[], None]] = []
        #: What signal handlers raised in threads that waited without the lock, by
        #: thread: nothing was torn. Each thread's entry is its own.
        self._harmless: dict[int, BaseException] = {}
        # All that follows is guarded by _lock.
        self._filters: list[Filter] = []  # outermost, next to the socket, first
        self._protocol: Protocol | None = None
        self._early = b""  # plain bytes that came before the Protocol
        self._read_size = READ_SIZE  # of the next recv
        # What may not wait for long: a filter has something to say for itself, or the
        # Protocol an answer, or another thread has left its bytes.
        self._due = False
        self._held = bytearray()  # plain, held back until somebody uses the socket
        self._holding = False  # the thread with the lock leaves that as it is
        self._dropped = -1  # what queued_bytes was when that was given up
        self._outgoing = bytearray()  # encrypted, waiting for the kernel
        self._sent_bytes = 0
        self._received_bytes = 0
        self._keepalive: Keepalive | None = None
        self._heard = 0.0  # when the peer gave its latest sign of life
        self._probed: float | None = None  # when it was asked for one, and is silent
        self._stuck = False  # the kernel had no room for more
        # What has to have been sent for a wait_drained to end, one for each.
        self._marks: list[int] = []
        self._at_eof = False
        self._deaf: OSError | None = None  # the peer takes no more bytes
        self._failure: HyperError | None = None
        self._closed = False
        self._pollers = 0  # threads that poll: at most one at each post
        self._readers = 0  # those of them that read
        self._writers = 0  # those of them that wait to write
        self._reader: _Post | None = None  # made when first needed, as is:
        self._writer: _Post | None = None
        # Sleeping followers: each is a lock that is released to wake it. Entries are
        # added without _lock too, and are only changed or taken out under it.
        self._waiters: dict[object, list[threading.Lock]] = {}
        # The one that was woken to lead, until it has taken the lock or another leads.
        self._heir: threading.Lock | None = None

    def __enter__(self) -> BufferedSocket:
        try:
            self._take_the_lock()
            # To be told by poll() that there is nothing costs less than by recv().
            post = self._reader
            if (
                not self._readers
                and self._heir is None
                and (post is None or post.poll.poll(0))
            ):
                self._take_in()
        except _Reentered:
            raise  # The lock is that of the call which was interrupted.
        except BaseException:
            self._let_go()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._leave(error)
        finally:
            self._owner = 0
            self._lock.release()
            if self._attention:
                self.attend()

    def _leave(self, error: BaseException | None) -> None:
        """Do what has to be done before the lock is given up."""
        harmless = None
        if self._harmless:
            harmless = self._harmless.pop(threading.get_ident(), None)
        if not (error is None or isinstance(error, HyperError) or error is harmless):
            # A bug, or a signal handler did it: perhaps in the middle of a verb.
            self._abandon(error)
            return
        try:
            if self._holding and not self._closed:
                self._holding = False
                self._wake()
            elif self._contenders and not self._closed:
                self._due = True
                self._wake()  # The last of those who queue sends for all.
            else:
                self._send()
            if self._waiters or self._pollers:
                self._promote()
        except BaseException as interruption:
            self._abandon(interruption)  # Perhaps not all were woken who should be.
            raise

    def unlooked(self) -> AbstractContextManager[BufferedSocket]:
        """Return a context manager that holds the lock without reading first.

        For a caller that has looked, and that only adds to what it holds back: whoever
        sends that will look before.
        """
        return _Unlooked(self)

    def _take_the_lock(self) -> None:
        """Take the lock, and note that it is taken.

        Signal handlers run when a function begins and when a call of C code has ended.
        One that raises must not come between the two, or nobody would ever release the
        lock. Here unpacking takes it, which is no call, and none follows.
        """
        me = threading.get_ident()
        (taken,) = map(self._lock.acquire, _AT_ONCE)
        if taken:
            self._owner = me
        else:
            self._queue_for_the_lock(me)

    def _queue_for_the_lock(self, me: int) -> None:
        if self._owner == me:
            raise _Reentered(
                "a signal handler cannot use the connection that it interrupts a call "
                "of; close() is all that it may do"
            )
        try:
            self._contenders.append(None)
            (_,) = map(self._lock.acquire, _PATIENTLY)
            self._owner = me
        finally:
            self._contenders.pop()

    def _let_go(self) -> None:
        """Give the lock up, if this thread has it, when it could not be used."""
        if self.held_here:
            self._owner = 0
            self._lock.release()
        self.attend()  # Somebody may have left bytes for this thread to send.

    def attend(self) -> None:
        """Let the Protocol do what it was left to do, without waiting for the lock.

        For callers that must not block, such as a finalizer, which may run in the very
        thread that holds the lock: whoever holds it attends to it when giving it up.
        Does nothing in a process that was forked: the connection is its parent's.
        """
        if os.getpid() != self._process:
            return
        self._attention = True
        while self._attention:
            me = threading.get_ident()
            (taken,) = map(self._lock.acquire, _AT_ONCE)
            if not taken:
                return
            self._owner = me
            try:
                self._attention = False
                while self._errands:
                    self._errands.pop()()
                self._leave(None)
            finally:
                self._owner = 0
                self._lock.release()

    @property
    def held_here(self) -> bool:
        """True if this very thread holds the lock. Needs no lock."""
        return self._owner == threading.get_ident()

    def do_afterwards(self, errand: Callable[[], None]) -> None:
        """Have something done under the lock when this thread gives it up.

        For signal handlers and finalizers that interrupt the thread that holds it.
        """
        self._errands.append(errand)
        self._attention = True

    # What callers ask. The lock is held unless said otherwise.

    @property
    def failure(self) -> HyperError | None:
        """Why the connection is of no more use; None while it is. Needs no lock."""
        protocol = self._protocol
        if self._failure is None and protocol is not None:
            return protocol.failure
        return self._failure

    @property
    def innermost_filter(self) -> Filter | None:
        """The encryption next to the Protocol; None if there is none."""
        return self._filters[-1] if self._filters else None

    @property
    def closed(self) -> bool:
        """True once the connection is closed from this side. Needs no lock."""
        return self._closed

    @property
    def polling(self) -> int:
        """How many threads poll the descriptor: leaders. Needs no lock."""
        return self._pollers

    @property
    def waiting(self) -> int:
        """How many threads sleep until they are woken: followers. Needs no lock."""
        return sum(map(len, list(self._waiters.values())))

    @property
    def queuing(self) -> int:
        """How many threads queue for the lock. Needs no lock."""
        return len(self._contenders)

    @property
    def queued_bytes(self) -> int:
        """How many bytes were ever queued for the kernel."""
        return self._sent_bytes + len(self._outgoing)

    @property
    def sent_bytes(self) -> int:
        """How many bytes the kernel took: the peer may have seen these, and no more."""
        return self._sent_bytes

    def has_sent(self, queued: int) -> bool:
        """Return whether the peer may have seen any of what was queued next.

        :param queued: what ``queued_bytes`` was before.
        """
        return self._sent_bytes > queued and queued != self._dropped

    @property
    def holds_back(self) -> bool:
        """True if bytes wait for whoever uses the socket next. Needs no lock."""
        return bool(self._held)

    @property
    def received_bytes(self) -> int:
        """How many bytes came from the peer."""
        return self._received_bytes

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
        looked = False
        while not ready():
            self._send()  # What the answer waits for must not wait in our buffers.
            if ready():  # Sending brought it about: nobody would wake us for it.
                return
            self._raise_if_failed()
            if looked and deadline.passed:
                raise deadline.error(doing)
            looked = True  # What is there already takes no time.
            if self._keepalive is not None:
                self._look_for_life()
                self._raise_if_failed()
            reading, writing = self._unread, self._unwritten
            if reading or writing:
                self._lead(key, deadline, reading, writing)
            else:
                self._follow(key, deadline)

    def sleep_until(
        self, ready: Callable[[], bool], key: object, deadline: Deadline
    ) -> bool:
        """Sleep until ``ready()`` without the lock, if another thread reads meanwhile.

        For callers that need the lock for nothing but to wait: of many threads, each
        that need not take it on its way to sleep and back is two less that queue.

        :param key: as for :meth:`wait_until`.
        :returns: whether it is ready. If not, take the lock and wait there: nobody
            reads, the time is up, or something else is the matter.
        """
        if not self._readers or self._held or self._keepalive is not None:
            return False
        waiter = threading.Lock()
        waiter.acquire()
        mine = [waiter]
        woken = False
        try:
            # First the entry, then the look: who changes what is looked at does so
            # first, and then looks for entries. If somebody waits for the same, no.
            if (
                self._waiters.setdefault(key, mine) is mine
                and self._readers
                and not self._unwritten
                and not ready()
            ):
                left = deadline.left()
                woken = waiter.acquire(timeout=-1 if left is None else left)
        finally:
            if not woken or self._heir is waiter:
                try:
                    self._withdraw(key, waiter)
                except BaseException:
                    self._withdraw(key, waiter)  # The first one may not have begun.
                    raise
        return ready()

    def _withdraw(self, key: object, waiter: threading.Lock) -> None:
        """Take back the entry of a thread that slept, or what it was woken to do.

        May be called once more.
        """
        me = threading.get_ident()
        interruption: BaseException | None = None
        while self._owner != me:
            try:
                self._take_the_lock()
            except BaseException as error:
                interruption = error
        try:
            self._forget(key, waiter)
            if self._heir is waiter:
                self._heir = None
        finally:
            self.__exit__(None, None, None)  # makes another thread the leader
        if interruption is not None:
            raise interruption

    def wait_drained(self, deadline: Deadline, doing: str, at_most: int = 0) -> None:
        """Block until the kernel has taken all but ``at_most`` of the bytes queued now.

        What others queue meanwhile does not count, or they could keep this thread here
        for ever. Returns at once if the peer takes no more bytes: what it has still to
        say, an early response or a GOAWAY, is found by reading.
        """
        self._send()
        mark = self.queued_bytes - at_most
        if self._sent_bytes >= mark:
            return
        self._marks.append(mark)
        try:
            self.wait_until(
                lambda: self._sent_bytes >= mark or not self._outgoing,
                self,
                deadline,
                doing,
            )
        finally:
            self._marks.remove(mark)

    def send_soon(
        self, start: Callable[[], Deadline], doing: str, at_most: int
    ) -> None:
        """Have what is queued now sent, at the latest when the lock is given up.

        Blocks first, as :meth:`wait_drained` does, if more than ``at_most`` bytes wait
        for the kernel already; ``start()`` returns the deadline of that.
        """
        if len(self._outgoing) > at_most:
            self.wait_drained(start(), doing, at_most)

    def hold(self, at_most: int) -> bool:
        """Leave what is queued to whoever uses the socket next: the caller will.

        :returns: False if it may not wait: it is more than ``at_most`` bytes, or others
            wait for some of it.
        """
        if self._due or self._protocol is None:
            return False
        self._held += self._protocol.data_to_send()
        self._holding = len(self._held) + len(self._outgoing) <= at_most
        return self._holding

    def keep_alive(self, keepalive: Keepalive | None) -> None:
        """Ask the peer for signs of life while somebody waits, and before reuse."""
        self._keepalive = keepalive
        self._heard = self._clock()

    @property
    def silent(self) -> bool:
        """True if the peer has said nothing for so long that it has to be asked."""
        keepalive = self._keepalive
        return keepalive is not None and (self._clock() - self._heard >= keepalive.idle)

    def wait_alive(self, deadline: Deadline, doing: str) -> None:
        """If the peer has been silent for long, wait for a sign of life.

        :raises ConnectionLost: if there was none.
        """
        if self.silent:
            self._look_for_life()
            self.wait_until(
                lambda: self._probed is None, self._keepalive, deadline, doing
            )

    def give_way(self) -> None:
        """Give the lock up for a moment, if other threads queue for it.

        For those that would hold it for long: whoever takes a lock back at once gets it
        back, before those that were woken for it.
        """
        if not self._contenders:
            return
        queued = len(self._contenders)

        def step_aside() -> None:
            for _ in range(YIELDS):
                time.sleep(0)
                if len(self._contenders) < queued:
                    return

        self._without_the_lock(step_aside)

    def speak(self, protocol: Protocol) -> None:
        """Let ``protocol`` have the connection, with all bytes that came before it."""
        self._protocol = protocol
        early, self._early = self._early, b""
        if self._tap is not None:
            version = getattr(protocol, "version", None)  # handshakes have none
            if version is not None:
                self._tap.speaks(version)
        if early:
            self._deliver(early)
        if self._failure is not None:
            protocol.fail(self._failure)  # It ended right after the handshake.
        self._send()

    def add_filter(self, layer: Filter, deadline: Deadline, doing: str) -> None:
        """Put ``layer`` between the socket's other filters and the Protocol.

        Returns when its handshake is done.
        """
        early, self._early = self._early, b""
        self._filters.append(layer)
        self._due = True  # Its first message.
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

    def converse(
        self, handshake: HandshakeProtocol, deadline: Deadline, doing: str
    ) -> None:
        """Speak ``handshake`` until it is established; what follows is kept."""
        self.speak(handshake)
        self.wait_until(lambda: handshake.established, EVERYONE, deadline, doing)
        self._protocol, self._early = None, handshake.leftover

    def close(self, error: HyperError) -> None:
        """Close the connection: every exchange and every waiting thread gets ``error``.

        What is queued is sent as far as the kernel takes it at once. Idempotent.
        """
        if self._closed:
            return
        self._send()
        self._fail(error)

    # Blocking.

    def _look_for_life(self) -> None:
        """Ask a peer that has been silent for a sign of life, or give it up."""
        keepalive = self._keepalive
        if keepalive is None or self._protocol is None:
            return
        now = self._clock()
        if self._probed is None:
            if now - self._heard >= keepalive.idle:
                self._probed = now
                self._protocol.probe()
                self._send()
        elif now - self._probed >= keepalive.timeout:
            self._fail(
                ConnectionLost(
                    f"the peer is dead: nothing came from it for "
                    f"{now - self._heard:.3g} s, and no answer to a PING within "
                    f"{keepalive.timeout:g} s"
                )
            )

    def _alive(self) -> None:
        """Note a sign of life."""
        self._heard = self._clock()
        if self._probed is not None and self._protocol is not None:
            self._probed = None
            self._protocol.touched.add(self._keepalive)

    def _patience(self, deadline: Deadline) -> float | None:
        """Return for how many seconds to poll; None: for as long as it takes."""
        left = deadline.left()
        if self._keepalive is None:
            return left
        if self._probed is None:
            due = self._heard + self._keepalive.idle
        else:
            due = self._probed + self._keepalive.timeout
        look = max(0.0, due - self._clock())
        return look if left is None else min(look, left)

    @property
    def _listening(self) -> bool:
        """True if more may come from the peer, and may come now."""
        if self._at_eof:
            return False
        return self._protocol is None or not self._protocol.paused

    @property
    def _unread(self) -> bool:
        """True if somebody should poll for bytes from the peer, and nobody does."""
        return not self._readers and self._listening

    @property
    def _unwritten(self) -> bool:
        """True if somebody should poll for room in the kernel, and nobody does."""
        return bool(self._outgoing) and not self._writers

    def _raise_if_failed(self) -> None:
        protocol, failure = self._protocol, self._failure
        if failure is None and protocol is not None:
            failure = protocol.failure
        if failure is not None:
            raise failure.fresh()
        if self._closed:
            raise ConnectionLost("the connection is closed")
        if self._at_eof and not self._outgoing:
            raise ConnectionLost("the peer sends nothing more")

    def _lead(
        self, key: object, deadline: Deadline, reading: bool, writing: bool
    ) -> None:
        """Poll for what nobody polls for, without the lock, and read for everybody."""
        left = deadline.left() if self._keepalive is None else self._patience(deadline)
        # Rounded up: a poll that returns early would be called again and again.
        milliseconds = None if left is None else math.ceil(left * 1000)
        post = self._take_post(reading, writing)
        post.key = key
        self._heir = None
        self._pollers += 1
        self._readers += reading
        self._writers += writing
        try:
            self._without_the_lock(partial(post.poll.poll, milliseconds))
        finally:
            self._pollers -= 1
            self._readers -= reading
            self._writers -= writing
            post.key = None
            post.bell.silence()
            if self._closed and not self._pollers:
                self._close_descriptors()
        self._take_in()

    def _take_post(self, reading: bool, writing: bool) -> _Post:
        if not writing:
            if self._reader is None:
                self._reader = _Post(self._sock)
            return self._reader
        if self._writer is None:
            self._writer = _Post(self._sock)
        events = select.POLLOUT | (select.POLLIN if reading else 0)
        self._writer.poll.modify(self._sock, events)
        return self._writer

    def _follow(self, key: object, deadline: Deadline) -> None:
        """Sleep, without the lock, until woken or out of time."""
        waiter = threading.Lock()
        waiter.acquire()
        self._waiters.setdefault(key, []).append(waiter)
        left = deadline.left()
        limit = -1 if left is None else left
        try:
            self._without_the_lock(partial(waiter.acquire, True, limit))
        finally:
            self._forget(key, waiter)
            if self._heir is waiter:
                self._heir = None

    def _without_the_lock(self, block: Callable[[], object]) -> None:
        """Call ``block`` without the lock, and have it again whatever happens.

        What a signal handler raises meanwhile is raised when the lock is back: else the
        caller's books would be wrong, and its caller would give back a lock that it
        does not have.
        """
        me = self._owner
        interruption: BaseException | None = None
        try:
            self._owner = 0
            self._lock.release()
            if self._attention:
                self.attend()
            block()
        except BaseException as error:
            interruption = error
        while self._owner != me:
            try:
                self._queue_for_the_lock(me)
            except BaseException as error:
                interruption = error
        if interruption is not None:
            self._harmless[me] = interruption
            raise interruption

    def _forget(self, key: object, waiter: threading.Lock) -> None:
        others = self._waiters.get(key)
        if others is None:
            return
        if waiter in others:
            others.remove(waiter)
        if not others:  # Perhaps since a call before this one was interrupted.
            self._waiters.pop(key, None)

    def _promote(self) -> None:
        """If nobody polls for what has to be polled for, wake a thread that then does.

        A thread that polls already, for something else, comes before a follower.
        """
        if self._heir is not None or not (self._waiters or self._pollers):
            return
        if not self._unread and not self._unwritten:
            return
        if self._pollers:
            self._ring(lambda key: True)
        else:
            entries = list(self._waiters.items())  # in one step: others add to it
            key, waiters = entries[0]
            self._heir = waiters[0]
            self._forget(key, self._heir)
            self._heir.release()

    def _wake(self) -> None:
        """Wake the threads that wait for what was touched."""
        touched = self._protocol.touched if self._protocol is not None else set()
        if not touched and not self._marks and not self._closed:
            return
        if self._waiters or self._pollers:
            if self._marks and (
                self._sent_bytes >= min(self._marks) or not self._outgoing
            ):
                touched.add(self)  # the key of those that wait until enough is sent
            everyone = EVERYONE in touched or self._closed
            for key in list(self._waiters) if everyone else touched:
                waiters = self._waiters.get(key)
                if waiters is None:
                    continue  # Who adds an entry from now on has not looked yet.
                for waiter in waiters:
                    if waiter.locked():  # else an interruption came after this once
                        waiter.release()
                del self._waiters[key]
            self._ring(lambda key: everyone or key in touched)
        touched.clear()

    def _ring(self, concerned: Callable[[object], bool]) -> None:
        """Wake the threads that poll and wait for a key that is ``concerned``."""
        for post in (self._reader, self._writer):
            if post is not None and post.key is not None and concerned(post.key):
                post.bell.ring()

    # Moving bytes.

    def _take_in(self) -> None:
        """Take in what has arrived, without blocking, and wake who waits for it."""
        try:
            self._receive()
            self._wake()
        except BaseException as error:
            self._abandon(error)
            raise

    def _receive(self) -> None:
        room = PUMP_SIZE
        protocol = self._protocol
        while room > 0:
            if self._closed or self._at_eof:
                return
            if protocol is not None and protocol.paused:
                return
            try:
                data = self._sock.recv(self._read_size)
            except BlockingIOError:
                return
            except OSError as error:
                self._lost(error)
                return
            self._received_bytes += len(data)
            if self._keepalive is not None:
                self._alive()
            self._feed(data)
            if len(data) < READ_SIZE:
                self._read_size = READ_SIZE
                return
            self._read_size = LARGE_READ_SIZE
            _keep_freed_memory()
            room -= len(data)

    def _feed(self, data: bytes) -> None:
        """Pass what ``recv`` returned through the filters to the Protocol."""
        ended = not data
        clean = ended
        self._due = True
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
            if self._tap is not None:
                self._tap.received(data)
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
        protocol = self._protocol
        try:
            data = protocol.data_to_send() if protocol is not None else b""
            if self._held:
                data = self._release_held() + data
            due, self._due = self._due, False
            if data or (due and self._filters):
                data = self._encrypted(data)
            elif not self._outgoing and (
                protocol is None or not (protocol.touched or protocol.finished)
            ):
                return  # Most calls have nothing to do here.
            self._push(data)
            self._wake()
        except BaseException as error:
            self._abandon(error)
            raise
        if protocol is not None and protocol.finished:
            self._shut()
        elif len(self._outgoing) > MAX_UNSENT:
            self._fail(RemoteProtocolError("the peer makes work and reads no answers"))

    def _release_held(self) -> bytes:
        """Return what was held back and is to be sent now.

        After a failure, that is nothing: who asks a lost cause would only make it
        unclear what the peer may have acted on.
        """
        held = bytes(self._held)
        self._held.clear()
        if held and self.failure is not None:
            self._dropped = self.queued_bytes
            return b""
        return held

    def _encrypted(self, data: bytes) -> bytes:
        """Pass what the Protocol wants sent through the filters.

        They are also asked for nothing, after they were given something to decrypt:
        they have handshakes and alerts of their own to send.
        """
        if self._tap is not None and data:
            self._tap.sent(data)
        for layer in reversed(self._filters):
            data = layer.encrypt(data)
        return data

    def _push(self, data: bytes) -> None:
        """Hand the kernel what waits and then ``data``, as much as it takes."""
        outgoing = self._outgoing
        if self._deaf is not None:
            return
        if len(data) > READ_SIZE:
            _keep_freed_memory()
        # As a rule nothing waits, and the kernel takes all: no copy is made.
        if outgoing:
            outgoing += data
        waiting = outgoing or data
        if not waiting:
            return
        try:
            sent = self._sock.send(waiting)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            # What the peer said before it stopped listening is still to be read: an
            # early response, a GOAWAY. Reading finds the end as well.
            self._deaf = error
            outgoing.clear()
            if self._at_eof:
                self._lost(error)
            return
        self._sent_bytes += sent
        if sent and self._stuck:
            self._alive()  # There is room again: the peer has taken something.
        self._stuck = sent < len(waiting)
        if outgoing:
            del outgoing[:sent]
        elif self._stuck:
            outgoing += memoryview(data)[sent:]

    def _abandon(self, error: BaseException) -> None:
        """Fail for an exception that came up in the middle of moving bytes.

        It is a bug, or what a signal handler raised just here. The state may be torn,
        so nobody may use the connection again.
        """
        self._fail(ConnectionLost(f"the connection was abandoned: {error!r}"))

    def _fail(self, error: HyperError) -> None:
        if self._failure is None:
            self._failure = error
        try:
            last_words = b""  # GOAWAY, for one; TLS adds an alert.
            if self._protocol is not None:
                self._protocol.fail(error)
                last_words = self._release_held() + self._protocol.data_to_send()
            self._outgoing += self._encrypted(last_words)
        finally:
            self._shut()

    def _shut(self) -> None:
        """Close the descriptor; a thread that polls it does so when it wakes up."""
        if self._closed:
            return
        self._closed = True
        if self._tap is not None:
            self._tap.closed(self.failure)
        goodbye = b""
        for layer in reversed(self._filters):
            goodbye = layer.encrypt(goodbye) + layer.close()
        self._outgoing += goodbye
        try:
            if self._deaf is None:
                self._sent_bytes += self._sock.send(self._outgoing)
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # The peer was faster.
        self._outgoing.clear()
        self._wake()
        if not self._pollers:
            self._close_descriptors()

    def _close_descriptors(self) -> None:
        self._sock.close()
        for post in (self._reader, self._writer):
            if post is not None:
                post.bell.close()


class _Unlooked:
    """Holds the lock of a BufferedSocket, which has not read what has arrived."""

    __slots__ = ("_wire",)

    def __init__(self, wire: BufferedSocket) -> None:
        self._wire = wire

    def __enter__(self) -> BufferedSocket:
        try:
            self._wire._take_the_lock()
        except _Reentered:
            raise
        except BaseException:
            self._wire._let_go()
            raise
        return self._wire

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._wire.__exit__(kind, error, traceback)


@cache
def _keep_freed_memory() -> None:
    """Have the C library keep the memory of one large read or write for the next.

    glibc hands the end of its heap back to the kernel as soon as 128 KiB of it are
    free, and gets it again page by page: a third of the processor's time in a download,
    more than half in an upload.
    It learns to keep more when it frees a block that was larger than that: twice the
    size of the block (``M_MMAP_THRESHOLD`` in mallopt(3)). The block is never touched,
    so that it takes no memory; with other libraries nothing happens.
    """
    bytearray(2 * PUMP_SIZE)


def _peer_address(sock: StreamSocket) -> Address | None:
    """Return the address of the other end; None if it is gone already."""
    try:
        return sock.getpeername()
    except OSError:
        return None
