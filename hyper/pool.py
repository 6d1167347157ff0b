"""Connections to many servers, shared by many threads, and no more of them than needed.

A connection object of hyper never wears out: it dials when it has to, again and again.
So a pool has little to do. For each *identity*, which is all that two requests must
have in common to share a connection, it holds a few connection objects, and says which
request goes where:

* Over HTTP/2 all requests of an identity share one connection, and queue there when
  the server allows no more streams.
* HTTP/1.1 carries one exchange at a time. A request takes an idle connection, the one
  that was used last; else it opens one; else it waits.

Which it is, is known when the first connection is made. Threads that come before that
make it together: the connection object lets one of them dial.

A request occupies a :class:`_Place` from when it is let in until its response has come
completely, or was given up. Those that wait are served strictly in the order in which
they came, but for those whose server is at its limit while another's is not.

Places are given back wherever responses end: in any thread, and in finalizers, which
may run in a thread that holds the pool's own lock. So giving back takes no lock. It
leaves a note and wakes the oldest that waits; whoever next has the lock, at the latest
that thread, reads the notes and serves all. :class:`_Desk` says why none is overlooked.

There is no thread in the background. What has to happen in time, such as closing idle
connections, happens when the pool is called.

Locks: ``_mutex`` is held for a few instructions, and no other lock is taken under it.
Dialling and closing happen without it.
"""

from __future__ import annotations

import os
import queue
import ssl
import weakref
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from .common.body import BodyLike
from .common.exceptions import ConnectionLost, HyperError, LocalProtocolError
from .common.moment import Watch
from .common.pins import Pins, parse_pins
from .common.protocol import HTTPVersion
from .common.target import Origin, split_url
from .common.validation import Headers
from .connection import HTTPConnection
from .exchange import UNSET, Progress, Unset
from .http11.response import HTTP11Response
from .http20.protocol import WindowManagerClass
from .http20.response import HTTP20Response
from .transport.deadline import (
    MONOTONIC,
    Clock,
    Deadline,
    Deadlines,
    TimeoutLike,
    new_lock,
)
from .transport.deadline import Timeout as Limits
from .transport.dial import SocketOption
from .transport.proxy import Proxy
from .transport.tls import Context, Password, default_context, init_context
from .verbs import Priority

if TYPE_CHECKING:
    from .trace.recorder import Recorder

#: How to verify a server: with the default authorities, not at all, or with those in a
#: file or directory.
Verify = bool | str | os.PathLike[str]
#: A client certificate: the path of a PEM file with certificate and key; or the paths
#: of both, None for the key that is with the certificate; or these and the password.
Certificate = str | tuple[str, str | None] | tuple[str, str | None, Password | None]

_Self = TypeVar("_Self", bound="ConnectionPool")


@dataclass(frozen=True, slots=True)
class _Identity:
    """What requests must have in common to share a connection.

    A context stands for nearly all of TLS: authorities, whether to verify, the client's
    certificate, versions, ciphers. Contexts are compared as objects, since what they
    hold can neither be seen nor is it constant.
    """

    origin: Origin
    #: Of the server or, where that speaks none, of an https proxy.
    tls: Context | None = None
    #: With its credentials and headers, all of which are compared.
    proxy: Proxy | None = None
    #: Whom the certificate is to be of, if not of the origin's host.
    server_hostname: str | None = None
    pins: frozenset[str] = frozenset()


@dataclass(slots=True, eq=False)
class _Member:
    """A connection of the pool. All but ``conn`` is guarded by ``_mutex``."""

    conn: HTTPConnection
    identity: _Identity
    #: How many requests have a place on it.
    active: int = 0
    #: When the last of them gave it back.
    idle_since: float = 0.0
    #: It takes no more requests.
    retired: bool = False


@dataclass(slots=True, eq=False)
class _Host:
    """What the pool has for one identity. Guarded by ``_mutex``, but for ``http11``."""

    identity: _Identity
    #: Each connection takes one request at a time, as the server was last heard to
    #: speak HTTP/1.1. False: it speaks HTTP/2, or nothing is known yet. Set by anyone.
    http11: bool
    members: list[_Member] = field(default_factory=list)


class _Place:
    """The right to have one request under way on a connection."""

    def __init__(self, host: _Host, member: _Member, shared: bool, desk: _Desk) -> None:
        self.host = host
        self.conn = member.conn
        #: Others may use the connection at the same time, if it speaks HTTP/2.
        self.shared = shared
        self._desk = desk
        self._held = [member]  # Empty once it is given back: pop() decides who does.

    def give_back(self) -> None:
        """Let others have it. Takes no lock; idempotent."""
        try:
            member = self._held.pop()
        except IndexError:
            return
        self._desk.give_back(member)


@dataclass(slots=True, eq=False)
class _Ticket:
    """A request that waits for a place."""

    identity: _Identity
    #: Set under ``_mutex``, when the ticket is taken out of the queue.
    place: _Place | None = None
    #: Something is put in when its owner has to look. May be rung by anyone.
    bell: queue.SimpleQueue[None] = field(default_factory=queue.SimpleQueue)


class _Desk:
    """Where places are given back and waited for. Knows no pool, as responses know it.

    No note is overlooked: it is there before the oldest ticket is looked at. If that
    is found in the queue, its owner reads the notes after it was rung, or else when it
    has left the queue. If none is found, who comes next reads the notes first.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: What was given back, and when. Anyone may append at any time.
        self.returned: deque[tuple[_Member, float]] = deque()
        #: Those who wait, oldest first. Changed under ``_mutex``.
        self.queue: deque[_Ticket] = deque()

    def give_back(self, member: _Member) -> None:
        """Note that a place is free. Takes no lock."""
        self.returned.append((member, self._clock()))
        try:
            oldest = self.queue[0]
        except IndexError:
            return
        oldest.bell.put(None)


class ConnectionPool:
    """Connections to any number of servers, shared by any number of threads.

    Requests share a connection only if they agree in scheme, host, port, proxy and
    everything about TLS. To a server that speaks HTTP/2 there is one connection, on
    which requests run side by side; to one that speaks HTTP/1.1 there are as many as
    are needed, up to the limit. Every method may be called from any thread at any time.

    There is no background thread: idle connections are closed when the pool is called
    next. In a process that was forked the pool is empty, and its parent's is left
    alone.

    :param max_connections: how many connections there may be in all. For one more, the
        idle one that was not used for the longest time is closed.
    :param max_connections_per_host: how many there may be to one server that speaks
        HTTP/1.1. Requests that get none wait, in the order in which they came.
    :param max_idle: how many unused connections are kept. None: all.
    :param idle_timeout: for how many seconds a connection may be unused. None: no
        limit but the server's.
    :param timeout: the limits of requests that give none of their own: seconds for
        connecting and for each wait; a pair (connect, read); a :class:`hyper.Timeout`;
        or None for no limit.
    :param ssl_context: an :class:`ssl.SSLContext` to use, instead of the next two. It
        is taken for what it is: another object is another set of connections.
    :param verify: whether to verify the certificates of servers, or the path of a file
        or directory with the authorities to trust.
    :param cert: a client certificate: the path of a PEM file with certificate and key;
        a pair of paths (certificate, key); or (certificate, key, password), with None
        for what there is not.
    :param pins: the keys that servers may have, as for
        :class:`~hyper.HTTP20Connection`. With them there are no http URLs.
    :param proxy: the URL of a proxy to connect through, as for
        :class:`~hyper.HTTP20Connection`, as are ``source_address``, ``uds`` and
        ``socket_options``. With an https proxy, too, TLS is spoken as the above says.
    :param window_manager: as for :class:`~hyper.HTTPConnection`, as are ``keepalive``,
        ``h2c``, ``http1``, ``http2`` and ``trace``.
    :param clock: what tells the time to ``idle_timeout``: returns seconds that never go
        back.
    :raises ValueError: if a limit is not positive, ``h2c`` is unknown,
        ``ssl_context`` is not alone, ``proxy`` or ``pins`` are none, or nothing may be
        spoken.
    """

    def __init__(
        self,
        *,
        max_connections: int = 100,
        max_connections_per_host: int = 10,
        max_idle: int | None = None,
        idle_timeout: float | None = 90.0,
        timeout: TimeoutLike = None,
        ssl_context: Context | None = None,
        verify: Verify = True,
        cert: Certificate | None = None,
        pins: Pins = None,
        proxy: str | Proxy | None = None,
        source_address: tuple[str, int] | None = None,
        uds: str | None = None,
        socket_options: Iterable[SocketOption] = (),
        window_manager: WindowManagerClass | None = None,
        keepalive: tuple[float, float] | None = None,
        h2c: str = "off",
        http1: bool = True,
        http2: bool = True,
        trace: Recorder | None = None,
        clock: Clock = MONOTONIC,
    ) -> None:
        for limit in (max_connections, max_connections_per_host):
            if limit < 1:
                raise ValueError(f"a pool has at least one connection, not {limit}")
        if max_idle is not None and max_idle < 0:
            raise ValueError(f"max_idle is not negative, as {max_idle} is")
        if idle_timeout is not None and not idle_timeout > 0:
            raise ValueError(f"idle_timeout is positive or None, not {idle_timeout}")
        if ssl_context is not None and (verify is not True or cert is not None):
            raise ValueError("ssl_context decides what verify and cert do: give one")
        # Constant.
        self._max_connections = max_connections
        self._max_per_host = max_connections_per_host
        self._max_idle = max_idle
        self._idle_timeout = idle_timeout
        self._limits = Limits.of(timeout)
        self._ssl_context = ssl_context
        self._verify = verify
        self._cert = cert
        self._pins = parse_pins(pins)
        self._proxy = _proxy(proxy)
        self._source_address = source_address
        self._uds = uds
        self._socket_options = tuple(socket_options)
        self._clock = clock
        self._window_manager = window_manager
        self._keepalive = keepalive
        self._h2c = h2c
        self._http1 = http1
        self._http2 = http2
        self._trace = trace
        # What is wrong with these is to be said now.
        self._new_connection(
            _Identity(Origin("http", "localhost", 80), None, self._proxy)
        )
        self._closed = False
        self._contexts: dict[tuple[Verify, Certificate | None], ssl.SSLContext] = {}
        self._start_empty()
        _pools.add(self)

    def _start_empty(self) -> None:
        self._mutex = new_lock()
        self._desk = _Desk(self._clock)
        # Connections to be closed. Appended to under _mutex, emptied by anyone.
        self._doomed: deque[HTTPConnection] = deque()
        # Guarded by _mutex.
        self._hosts: dict[_Identity, _Host] = {}
        self._idle: dict[_Member, None] = {}  # the one that was idle longest first
        self._count = 0

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def connections(self) -> int:
        """How many connections there are now, idle ones included.

        Asking is a call of the pool: it closes those that were idle for too long.
        """
        self.close_idle()
        return self._count

    def close_idle(self) -> None:
        """Close connections that were idle for too long, or that are too many.

        Requests do so too: this is for those who make none for a while.
        """
        with self._mutex:
            self._settle()
        self._close_doomed()

    @property
    def waiting(self) -> int:
        """How many requests wait for a connection."""
        return len(self._desk.queue)

    def request(
        self,
        method: str | bytes,
        url: str | bytes,
        body: BodyLike = None,
        headers: Headers | None = None,
        *,
        data: BodyLike = None,
        timeout: TimeoutLike | Unset = UNSET,
        ssl_context: Context | None = None,
        verify: Verify | None = None,
        cert: Certificate | None = None,
        proxy: str | Proxy | None = None,
        pins: Pins = None,
        server_hostname: str | None = None,
        target: str | bytes | None = None,
        progress: Progress | None = None,
        priority: Priority = None,
        watch: Watch | None = None,
    ) -> HTTP11Response | HTTP20Response:
        """Send a request, wait for its response, and return it when its head is there.

        Redirects are not followed and cookies not kept. Over HTTP/1.1 the response has
        a connection for itself until it is read to its end, closed or dropped; one that
        has not come completely by then takes its connection with it.

        :param method: a token such as ``GET``, sent as given.
        :param url: an absolute http or https URL. A user and password in it are not
            used.
        :param body: as for :meth:`~hyper.HTTP20Connection.request`, as are ``headers``,
            ``data``, ``progress``, ``priority``, ``watch`` and ``timeout``, whose
            ``total`` begins now.
        :param ssl_context: to be used instead of what the pool was made with.
        :param verify: the same, as is ``cert``. What is not given is as the pool has
            it, except that an ``ssl_context`` of the pool does not count then.
        :param proxy: the proxy to go through, instead of the pool's.
        :param pins: the keys that the server may have, instead of the pool's.
        :param server_hostname: the name to ask for by SNI, and that the certificate has
            to show, instead of the URL's. Requests share a connection only if it is the
            same.
        :param target: what to ask for, instead of the URL's path and query: ``*``, or
            a path that is to be sent as it is.
        :raises LocalProtocolError: if the URL is no such, the arguments contradict each
            other, HTTP does not allow such a request, or the pool is closed.
        :raises TypeError: if an argument is of the wrong type.
        :raises ValueError: if ``ssl_context`` comes with ``verify`` or ``cert``.
        :raises OSError: if a file that ``verify`` or ``cert`` names cannot be read.
        :raises ConnectError, TLSError, ConnectTimeout: if no connection can be made.
        :raises PoolTimeout: if no connection came free in time.
        :raises HyperError: why there is no response. ``retry_safe`` tells whether the
            server can have acted on the request.
        """
        origin, path = split_url(url)
        through = self._proxy if proxy is None else _proxy(proxy)
        tls = None
        if origin.secure or (through is not None and through.origin.secure):
            tls = self._choose_tls(ssl_context, verify, cert)
        wanted = self._pins if pins is None else parse_pins(pins)
        identity = _Identity(origin, tls, through, server_hostname, wanted)
        if identity not in self._hosts:
            # What is wrong with it is to be said here and not to who opens the next.
            self._new_connection(identity)
        limits = self._limits if isinstance(timeout, Unset) else Limits.of(timeout)
        deadlines = limits.start()
        place = self._enter(identity, deadlines, watch)
        conn = place.conn
        stream_id = 0
        try:
            if self._closed:
                raise _closed_here(retry_safe=True)
            stream_id = conn.request(
                method,
                path if target is None else target,
                body,
                headers,
                data=data,
                timeout=deadlines,
                progress=progress,
                priority=priority,
                watch=watch,
            )
            response = conn.get_response(stream_id)
            if self._closed:
                # close() may have come before the request, which then connected anew.
                raise _closed_here(retry_safe=False)
        except BaseException as error:
            if not isinstance(error, HyperError):
                conn.cancel(stream_id)  # Nobody will ask for the response.
            if self._closed:
                conn.close()
            place.give_back()
            raise
        place.host.http11 = response.version is not HTTPVersion.http20
        response.occupy(place)
        return response

    def clear(self) -> None:
        """Close the connections that are idle, and each other one when it becomes so.

        Requests that come later use new ones: for a program that waits for long now, or
        whose network has changed. What is under way is not disturbed.
        """
        with self._mutex:
            self._settle()
            members = [one for host in self._hosts.values() for one in host.members]
            for member in members:
                member.retired = True
                if not member.active:
                    self._discard(member)
        self._close_doomed()
        for member in members:
            member.conn.retire()  # It need not wait for the next call of the pool.

    def close(self) -> None:
        """Close all connections; the pool takes no more requests. Idempotent.

        Every call of another thread that waits is woken and raises ConnectionLost.
        Responses that have come completely can still be read.
        """
        with self._mutex:
            self._closed = True
            for host in self._hosts.values():
                self._doomed.extend(member.conn for member in host.members)
            self._hosts.clear()
            self._idle.clear()
            self._count = 0
            waiting = list(self._desk.queue)
            self._desk.queue.clear()
        for ticket in waiting:
            ticket.bell.put(None)
        self._close_doomed()

    def abandon(self) -> None:
        """Let go of the connections of a pool that nobody uses any more.

        Each is closed when nobody uses it. Takes no lock of the pool: a finalizer may
        call this wherever it runs.
        """
        for host in list(self._hosts.values()):
            for member in host.members.copy():
                member.conn.retire()

    # TLS.

    def _choose_tls(
        self,
        ssl_context: Context | None,
        verify: Verify | None,
        cert: Certificate | None,
    ) -> Context:
        """Return the context to use, the same object whenever the same is asked for."""
        if ssl_context is not None:
            if verify is not None or cert is not None:
                raise ValueError("ssl_context decides what verify and cert do")
            return ssl_context
        if verify is None and cert is None and self._ssl_context is not None:
            return self._ssl_context
        verify = self._verify if verify is None else verify
        cert = self._cert if cert is None else cert
        if verify is True and cert is None:
            return default_context()
        context = self._contexts.get((verify, cert))
        if context is None:
            # Two threads may come here at once. Both have to leave with the same one.
            made = make_context(verify, cert)
            context = self._contexts.setdefault((verify, cert), made)
        return context

    # Waiting for a place.

    def _enter(
        self, identity: _Identity, deadlines: Deadlines, watch: Watch | None
    ) -> _Place:
        """Return a place on a connection whose version is known."""
        while True:
            place = self._wait_for_place(identity, deadlines.place())
            if not place.shared:
                return place
            conn = place.conn
            try:
                if not conn.is_connected:
                    conn.connect(timeout=deadlines, watch=watch)
            except BaseException:
                place.give_back()
                raise
            if conn.version is HTTPVersion.http20:
                return place
            place.host.http11 = True
            place.give_back()

    def _wait_for_place(self, identity: _Identity, deadline: Deadline) -> _Place:
        ticket = _Ticket(identity)
        try:
            with self._mutex:
                if self._closed:
                    raise LocalProtocolError("the pool is closed")
                self._read_notes()
                if not self._desk.queue:
                    ticket.place = self._find(identity)  # As a rule.
                if ticket.place is None:
                    self._desk.queue.append(ticket)
                    self._settle()  # Notes that came meanwhile have rung nobody.
                else:
                    self._trim()
            self._close_doomed()
            if ticket.place is None:
                self._wait_for_service(ticket, deadline)
                self._leave(ticket)
        except BaseException:
            self._leave(ticket)
            if ticket.place is not None:
                ticket.place.give_back()
            raise
        assert ticket.place is not None
        return ticket.place

    def _wait_for_service(self, ticket: _Ticket, deadline: Deadline) -> None:
        """Sleep until the ticket has its place, reading notes for all when rung."""
        host = ticket.identity.origin.host
        while ticket.place is None:
            if self._closed:
                raise _closed_here(retry_safe=True)
            if deadline.passed:
                raise deadline.error(f"waiting for a connection to {host}")
            try:
                ticket.bell.get(timeout=deadline.left())
            except queue.Empty:
                continue
            with self._mutex:
                self._settle()
            self._close_doomed()

    def _leave(self, ticket: _Ticket) -> None:
        """See that a ticket is not in the queue, and do what it may be rung for."""
        with self._mutex:
            if ticket in self._desk.queue:
                self._desk.queue.remove(ticket)
            self._settle()
        self._close_doomed()

    # All that follows is called with _mutex held.

    def _settle(self) -> None:
        """Read the notes, close what was idle for too long, and serve who waits."""
        self._read_notes()
        self._serve()
        self._trim()

    def _read_notes(self) -> None:
        """Take back what was given back, and close what was idle for too long."""
        returned = self._desk.returned
        while returned:
            member, when = returned.popleft()
            member.active -= 1
            if not member.active:
                self._rest(member, when)
        if self._idle_timeout is not None:
            since = self._clock() - self._idle_timeout
            while self._idle:
                oldest = next(iter(self._idle))
                if oldest.idle_since > since:
                    break
                self._discard(oldest)

    def _trim(self) -> None:
        """Close the idle connections that are too many."""
        if self._max_idle is not None:
            while len(self._idle) > self._max_idle:
                self._discard(next(iter(self._idle)))

    def _rest(self, member: _Member, since: float) -> None:
        """Keep a connection that nobody uses now, if it can be used again."""
        member.idle_since = since
        if self._closed:
            self._doomed.append(member.conn)
        elif member.conn.is_connected and not member.retired:
            self._idle[member] = None
        else:
            self._discard(member)

    def _discard(self, member: _Member) -> None:
        """Take a connection that nobody uses out of the pool."""
        host = self._hosts[member.identity]
        host.members.remove(member)
        if not host.members:
            del self._hosts[member.identity]
        self._idle.pop(member, None)
        self._count -= 1
        self._doomed.append(member.conn)

    def _serve(self) -> None:
        """Give places to those who wait, the oldest first."""
        full = set()
        for ticket in list(self._desk.queue):
            if ticket.identity in full:
                continue
            place = self._find(ticket.identity)
            if place is None:
                full.add(ticket.identity)
                continue
            self._desk.queue.remove(ticket)
            ticket.place = place
            ticket.bell.put(None)

    def _find(self, identity: _Identity) -> _Place | None:
        """Return a free place, opening a connection if there may be one more."""
        host = self._hosts.get(identity)
        if host is None:
            host = _Host(identity, self._is_http11(identity))
        shared = not host.http11
        member = self._choose(host, shared) or self._add(host)
        if member is None:
            return None
        self._idle.pop(member, None)
        member.active += 1
        return _Place(host, member, shared, self._desk)

    def _choose(self, host: _Host, shared: bool) -> _Member | None:
        """Return the best of a host's connections for one more request."""
        members = [member for member in host.members if not member.retired]
        if not shared:
            idle = [member for member in members if not member.active]
            return max(idle, key=lambda member: member.idle_since, default=None)
        for member in members:
            if member.conn.version is HTTPVersion.http20:
                return member
        return members[0] if members else None

    def _add(self, host: _Host) -> _Member | None:
        """Open a connection, closing an idle one if there are too many."""
        if len(host.members) >= self._max_per_host:
            return None
        if self._count >= self._max_connections:
            if not self._idle:
                return None
            self._discard(next(iter(self._idle)))
        member = _Member(self._new_connection(host.identity), host.identity)
        host.members.append(member)
        self._hosts[host.identity] = host
        self._count += 1
        return member

    # Without _mutex, as a rule.

    def _is_http11(self, identity: _Identity) -> bool:
        """Return True if a server is known to be spoken to in nothing else."""
        if self._http1 and self._http2:
            return not identity.origin.secure and self._h2c == "off"
        return self._http1

    def _new_connection(self, identity: _Identity) -> HTTPConnection:
        """Return a connection that has not connected yet."""
        origin = identity.origin
        return HTTPConnection(
            origin.host,
            origin.port,
            origin.secure,
            self._window_manager,
            ssl_context=identity.tls,
            keepalive=self._keepalive,
            h2c=self._h2c,
            http1=self._http1,
            http2=self._http2,
            proxy=identity.proxy,
            source_address=self._source_address,
            server_hostname=identity.server_hostname,
            pins=identity.pins or None,
            uds=self._uds,
            socket_options=self._socket_options,
            trace=self._trace,
        )

    def _close_doomed(self) -> None:
        while self._doomed:
            try:
                conn = self._doomed.popleft()
            except IndexError:
                return  # Another thread was faster.
            conn.close()


def _proxy(given: str | Proxy | None) -> Proxy | None:
    return Proxy.parse(given) if isinstance(given, str) else given


def make_context(verify: Verify, cert: Certificate | None) -> ssl.SSLContext:
    """Return a new context that does what a pool's ``verify`` and ``cert`` say.

    :raises OSError: if a file that they name cannot be read.
    """
    path = None if isinstance(verify, bool) else verify
    if isinstance(cert, tuple) and len(cert) == 3:
        context = init_context(path, cert[:2], cert[2])
    else:
        context = init_context(path, cert)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _closed_here(*, retry_safe: bool) -> ConnectionLost:
    error = ConnectionLost("the pool was closed by this side")
    error.retry_safe = retry_safe
    return error


#: All pools of this process.
_pools: weakref.WeakSet[ConnectionPool] = weakref.WeakSet()


def _empty_pools_after_fork() -> None:
    # Before any other code of the child, so that nobody uses what is its parent's. The
    # connections are only dropped: to close them would say goodbye for the parent.
    for pool in list(_pools):
        pool._start_empty()


os.register_at_fork(after_in_child=_empty_pools_after_fork)
