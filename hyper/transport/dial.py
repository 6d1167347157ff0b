"""Making a connection: names, addresses, TCP, TLS, under one deadline.

Addresses are tried as RFC 8305 ("happy eyeballs") says: IPv6 and IPv4 in turn, a new
one every 250 ms or as soon as one fails, and the first that connects wins. All of it
happens in the calling thread, with non-blocking connects and one ``poll``.

A :class:`Route` says what else there is to it: a proxy on the way, a unix socket in the
place of TCP, a socket that somebody has connected already.

Name resolution is the one thing that cannot be interrupted. Where there is a deadline
and a real name, ``getaddrinfo`` runs in a thread that is left behind when the deadline
passes; it ends with the resolver's own.
"""

from __future__ import annotations

import errno
import math
import os
import select
import socket
import ssl
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..common.exceptions import (
    ConnectError,
    ConnectionLost,
    HyperError,
    LocalProtocolError,
    ProxyError,
    TLSError,
)
from ..common.moment import Moment, Watch
from ..common.pins import Pins, parse_pins, pin_of
from ..common.stream import Fields
from ..common.target import Origin, authority
from ..common.validation import Headers
from .bufsocket import BufferedSocket
from .deadline import Deadline, new_lock
from .proxy import Handshake, Proxy, Socks, Tunnel, proxy_fields
from .tls import HTTP11, Context, TLSFilter, TLSLayer, default_context, tls_filter
from .tlssocket import SpokenTLS, TLSSocket

if TYPE_CHECKING:
    from ..trace.recorder import Recorder, Tap

#: How soon a dial that another thread ends notices, in seconds.
HANG_UP_DELAY = 0.1
#: RFC 8305 section 5: how long an address may take before the next is tried too.
ATTEMPT_DELAY = 0.25

#: What ``getaddrinfo`` returns, an item each: family, type, protocol, name, address.
Address = tuple[
    socket.AddressFamily, socket.SocketKind, int, str, tuple[str | int, ...]
]


@dataclass(frozen=True, slots=True)
class TLSParameters:
    """How to speak TLS with an origin."""

    context: Context
    #: Protocols to offer, best first.
    alpn: tuple[str, ...]
    #: Whose certificate to accept, and the name for SNI; None: the origin's.
    server_hostname: str | None = None
    #: Which keys the certificate may be for; none: any.
    pins: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        origin: Origin,
        ssl_context: Context | None,
        alpn: tuple[str, ...],
        server_hostname: str | None = None,
        pins: Pins = None,
    ) -> TLSParameters | None:
        """Return what a connection's constructor describes; None: without TLS.

        :raises LocalProtocolError: for pins that are none, or without TLS.
        """
        wanted = parse_pins(pins)
        if origin.secure:
            context = ssl_context or default_context()
            return cls(context, alpn, server_hostname, wanted)
        if wanted:
            raise LocalProtocolError("pins are for TLS, which this connection has not")
        return None


#: What users have connected themselves.
Socket = socket.socket


def secure_by(secure: bool | None, sock: Socket | None) -> bool | None:
    """Return ``secure``; True if nobody has said so and the socket speaks TLS."""
    return True if secure is None and isinstance(sock, ssl.SSLSocket) else secure


#: An option for ``setsockopt``: level, name, value.
SocketOption = tuple[int, int, int | bytes]

#: The port of a proxy that was given by ``proxy_host`` alone, as in hyper 0.7.
OLD_PROXY_PORT = 8080


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """The way to a server, where it is not simply TCP. Made by :meth:`of`."""

    proxy: Proxy | None = None
    #: How to speak TLS with an https proxy.
    proxy_context: Context | None = None
    #: Requests without TLS are given to the proxy, not through it.
    forward: bool = False
    #: The path of a unix socket.
    uds: str | None = None
    #: Connected sockets, each of which is used once.
    socks: deque[socket.socket] | None = None
    source_address: tuple[str, int] | None = None
    socket_options: tuple[SocketOption, ...] = field(default=())
    #: Where to connect to in the place of the server: a name or an address, and a port.
    connect_to: tuple[str, int] | None = None
    #: What records the connections that are made.
    trace: Recorder | None = None

    @classmethod
    def of(
        cls,
        proxy: str | Proxy | None = None,
        proxy_host: str | None = None,
        proxy_port: int | None = None,
        proxy_headers: Headers | None = None,
        ssl_context: Context | None = None,
        uds: str | None = None,
        sock: socket.socket | None = None,
        source_address: tuple[str, int] | None = None,
        socket_options: Iterable[SocketOption] = (),
        forward: bool = False,
        connect_to: tuple[str, int] | None = None,
        trace: Recorder | None = None,
    ) -> Route:
        """Return the way that the arguments of a connection's constructor describe.

        :raises LocalProtocolError: if they contradict each other, or name no proxy.
        """
        if proxy_host is not None:
            if proxy is not None:
                raise LocalProtocolError("both proxy and proxy_host were given")
            port = "" if proxy_port is None else f":{proxy_port}"
            proxy = Proxy.parse(proxy_host + port, proxy_headers, OLD_PROXY_PORT)
        elif isinstance(proxy, str):
            proxy = Proxy.parse(proxy, proxy_headers)
        ways = {"a proxy": proxy, "uds": uds, "sock": sock}
        given = [name for name, value in ways.items() if value is not None]
        if len(given) > 1:
            raise LocalProtocolError(f"{' and '.join(given)} exclude each other")
        context = None
        if proxy is not None and proxy.origin.secure:
            context = proxy.context or ssl_context or default_context()
        return cls(
            proxy,
            context,
            forward and proxy is not None and not proxy.is_socks,
            uds,
            None if sock is None else deque([sock]),
            source_address,
            tuple(socket_options),
            connect_to,
            trace,
        )

    def through(self, proxy: Origin, headers: Headers | None) -> Route:
        """Return the way on through what this one leads to, an HTTP proxy.

        :param headers: fields for the proxy.
        :raises LocalProtocolError: if they are not fit to be sent, or there is a proxy.
        """
        if self.proxy is not None:
            raise LocalProtocolError("the connection has a proxy already")
        given = tuple(proxy_fields(headers))
        return replace(self, proxy=Proxy("http", proxy.host, proxy.port, headers=given))

    @property
    def used_up(self) -> bool:
        """True if it has been gone, and cannot be gone again."""
        return self.socks is not None and not self.socks

    def forwarded(self, tls: TLSLayer | None) -> Fields | None:
        """Return the fields that requests to a proxy have; None: there is a tunnel."""
        if self.proxy is None or not self.forward or tls is not None:
            return None
        return self.proxy.request_fields()


#: The way that most connections take.
STRAIGHT = Route()


class Call:
    """A dial that another thread may end. Thread-safe.

    :param watch: what is told how far it has got, in the thread that dials.
    :ivar tap: what records each step that is done; None: nothing does.
    """

    def __init__(self, watch: Watch | None = None) -> None:
        self.tap: Tap | None = None
        self._watch = watch
        self._lock = new_lock()
        # Guarded by _lock.
        self._ended: HyperError | None = None
        self._wire: BufferedSocket | None = None

    def hang_up(self, error: HyperError) -> None:
        """End the dial with ``error``, within a tenth of a second. Idempotent."""
        with self._lock:
            self._ended = error
            wire = self._wire
        if wire is not None:
            with wire:
                wire.close(error)

    def connected(self, wire: BufferedSocket) -> None:
        """Note the connection, so that it can be closed in the TLS handshake."""
        with self._lock:
            self._wire = wire
        self.check()

    def tell(self, moment: Moment) -> None:
        """Tell who watches; no lock may be held."""
        if self._watch is not None:
            self._watch(moment, None)

    def check(self) -> None:
        """Raise if the dial was ended."""
        if self._ended is not None:
            raise self._ended.fresh()


def open_connection(
    origin: Origin,
    tls: TLSParameters | None,
    deadline: Deadline,
    call: Call | None = None,
    route: Route = STRAIGHT,
) -> tuple[BufferedSocket, TLSLayer | None]:
    """Connect to ``origin`` and return the connection and its TLS, if there is any.

    :param tls: how to speak TLS; None for a cleartext connection.
    :param call: what another thread may end this with.
    :raises ConnectError: if no address could be connected to, or the connection was
        lost before TLS was established.
    :raises ProxyError: if a proxy did not connect us.
    :raises TLSError: if the handshake failed, with a proxy or with the server.
    :raises ConnectTimeout: if the deadline passed before TLS was established.
    """
    call = call or Call()
    call.tell(Moment.connecting)
    if route.trace is not None:
        call.tap = route.trace.open(f"{origin.scheme}://{authority(origin).decode()}")
    try:
        sock = _connected(origin, deadline, call, route)
    except BaseException as error:
        if call.tap is not None:
            call.tap.closed(error)
        raise
    wire, spoken = _wire(sock, call.tap)
    handshake = None
    doing = f"in the TLS handshake with {origin.host}"
    try:
        call.tell(Moment.connected)
        call.connected(wire)
        if spoken is not None:
            with wire:
                wire.add_filter(spoken, deadline, doing)
        if route.proxy is not None:
            with wire:
                handshake = _greet_proxy(wire, origin, tls, deadline, call, route)
        if route.proxy is not None and call.tap is not None:
            call.tap.step("proxy", proxy=str(route.proxy))
        if tls is None:
            return wire, None
        name = tls.server_hostname or origin.tls_name
        layer: TLSLayer
        if spoken is not None and route.proxy is None:
            layer = spoken
        else:
            call.tell(Moment.securing)
            layer = tls_filter(tls.context, name, tls.alpn)
            with wire:
                wire.add_filter(layer, deadline, doing)
        if call.tap is not None:
            call.tap.step("tls", **_agreed(layer))
        if tls.pins:
            _check_pin(layer, tls.pins, name)
        if layer is not spoken:
            call.tell(Moment.secured)
    except BaseException as error:
        with wire:
            wire.close(error if isinstance(error, HyperError) else ConnectError(doing))
        call.check()
        if isinstance(error, ProxyError):
            raise
        if handshake is not None and isinstance(handshake.failure, ProxyError):
            # It had refused before the time was over, or the connection lost.
            raise handshake.failure from error
        if isinstance(error, TLSError):
            error.retry_safe = True
        if isinstance(error, ConnectionLost):  # Nothing was asked of the server.
            where = f"{origin.host} port {origin.port}"
            raise ConnectError(f"cannot connect to {where}: {error}") from error
        raise
    return wire, layer


def _wire(
    sock: socket.socket, tap: Tap | None
) -> tuple[BufferedSocket, SpokenTLS | None]:
    """Return what to speak through, and the TLS that is spoken on it already."""
    if not isinstance(sock, ssl.SSLSocket):
        return BufferedSocket(sock, tap=tap), None
    taken = TLSSocket(sock)
    return BufferedSocket(taken, tap=tap), taken.layer


def _agreed(layer: TLSLayer) -> dict[str, str]:
    """Return what the two sides of TLS have agreed on, by name, for people."""
    if isinstance(layer, (TLSFilter, SpokenTLS)):
        cipher = layer.tls.cipher()
        version, name = layer.tls.version(), cipher[0] if cipher else None
    else:
        version = layer.tls.get_protocol_version_name()
        name = layer.tls.get_cipher_name()
    return {"version": version or "", "cipher": name or "", "alpn": layer.alpn or ""}


def _check_pin(layer: TLSLayer, pins: frozenset[str], name: str) -> None:
    """Refuse a server whose key is none of those that are wanted."""
    certificate = layer.certificate
    if certificate is None:
        raise TLSError(f"{name} showed no certificate to compare with the pins")
    try:
        seen = pin_of(certificate)
    except ValueError as error:
        raise TLSError(f"the certificate of {name} has no pin: {error}") from error
    if seen not in pins:
        raise TLSError(f"the key of {name} is not one of the pins: it is {seen}")


def _greet_proxy(
    wire: BufferedSocket,
    origin: Origin,
    tls: TLSParameters | None,
    deadline: Deadline,
    call: Call,
    route: Route,
) -> Handshake | None:
    """Make the proxy at the other end connect us; return how that went."""
    proxy = route.proxy
    assert proxy is not None
    if route.proxy_context is not None:
        layer = tls_filter(route.proxy_context, proxy.origin.tls_name, (HTTP11,))
        wire.add_filter(layer, deadline, f"in the TLS handshake with {proxy}")
    if route.forward and tls is None:
        return None
    handshake: Handshake
    if not proxy.is_socks:
        handshake = Tunnel(proxy, origin)
    elif proxy.resolves:
        handshake = Socks(proxy, origin)
    else:
        handshake = Socks(proxy, _with_address(proxy, origin, deadline, call))
    wire.converse(handshake, deadline, f"waiting for {proxy} to connect us")
    return handshake


def _with_address(
    proxy: Proxy, origin: Origin, deadline: Deadline, call: Call
) -> Origin:
    """Return an origin whose host is an address that the proxy can be given."""
    addresses = _resolve(origin, deadline, call)
    for family, *_, address in addresses:
        if family == socket.AF_INET or proxy.scheme != "socks4":
            return replace(origin, host=str(address[0]))
    raise ConnectError(f"{origin.host} has no address that {proxy} can be given")


def _connected(
    origin: Origin, deadline: Deadline, call: Call, route: Route
) -> socket.socket:
    """Return a socket that is connected to the server, or to what leads to it."""
    if route.socks is not None:
        try:
            return route.socks.pop()
        except IndexError:
            raise ConnectError("the socket that was given has been used") from None
    if route.uds is not None:
        return _connect_unix(route.uds, deadline, call)
    first = origin if route.proxy is None else route.proxy.origin
    if route.connect_to is not None and route.proxy is None:
        host, port = route.connect_to
        first = replace(origin, host=host, port=port)
    return connect(first, deadline, call, route)


def _connect_unix(path: str, deadline: Deadline, call: Call) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.setblocking(False)
        while True:
            try:
                sock.connect(path)
                return sock
            except BlockingIOError:
                # Its queue is full: the system has no way to wait for a place in it.
                call.check()
                if deadline.passed:
                    raise deadline.error(f"connecting to {path}") from None
                select.poll().poll(HANG_UP_DELAY * 1000)
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError) and not isinstance(error, HyperError):
            reason = f"cannot connect to {path}: {error.strerror or error}"
            raise ConnectError(reason) from error
        raise


def connect(
    origin: Origin,
    deadline: Deadline,
    call: Call | None = None,
    route: Route = STRAIGHT,
) -> socket.socket:
    """Return a TCP socket connected to the first address of ``origin`` that answers.

    :raises ConnectError: if the name has no address or none of them answers; the text
        has every address's reason.
    :raises ConnectTimeout: if the deadline passed.
    """
    call = call or Call()
    addresses = _in_turn(_resolve(origin, deadline, call))
    if call.tap is not None:
        call.tap.step("dns", addresses=" ".join(str(one[4][0]) for one in addresses))
    race = _Race(origin, addresses, call, route)
    try:
        winner = race.run(deadline)
    finally:
        race.close()
    if call.tap is not None:
        host, port = winner.getpeername()[:2]
        call.tap.step("tcp", address=host, port=port)
    winner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return winner


def _resolve(origin: Origin, deadline: Deadline, call: Call) -> list[Address]:
    def look_up() -> list[Address]:
        found = socket.getaddrinfo(
            origin.host, origin.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
        return found  # type: ignore[return-value]  # typeshed has flow labels apart

    try:
        if deadline.left() is None or _is_address(origin.host):
            return look_up()
        import queue

        answer: queue.SimpleQueue[list[Address] | Exception] = queue.SimpleQueue()

        def work() -> None:
            try:
                answer.put(look_up())
            except Exception as error:
                answer.put(error)

        threading.Thread(target=work, name="hyper-resolver", daemon=True).start()
        found = None
        while found is None:
            left = deadline.left()
            try:
                pause = HANG_UP_DELAY if left is None else min(HANG_UP_DELAY, left)
                found = answer.get(timeout=pause)
            except queue.Empty:
                call.check()
                if left == 0:
                    raise deadline.error(f"resolving {origin.host}") from None
        if isinstance(found, Exception):
            raise found
        return found
    except (OSError, UnicodeError) as error:
        if isinstance(error, HyperError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise ConnectError(f"cannot resolve {origin.host}: {reason}") from error


def _is_address(host: str) -> bool:
    from ipaddress import ip_address

    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _in_turn(addresses: list[Address]) -> list[Address]:
    """Alternate the families, beginning with the resolver's first (RFC 8305 s. 4)."""
    if not addresses:
        return []
    first = addresses[0][0]
    ours = [address for address in addresses if address[0] == first]
    others = [address for address in addresses if address[0] != first]
    turns = []
    for index in range(max(len(ours), len(others))):
        turns += ours[index : index + 1] + others[index : index + 1]
    return turns


class _Race:
    """Connection attempts to the addresses of one origin. Used by one thread."""

    def __init__(
        self, origin: Origin, addresses: list[Address], call: Call, route: Route
    ) -> None:
        self._origin = origin
        self._route = route
        self._call = call
        self._waiting = addresses[::-1]
        self._running: dict[int, tuple[socket.socket, str]] = {}
        self._failures: list[str] = []
        self._cause: OSError | None = None
        self._poll = select.poll()

    def run(self, deadline: Deadline) -> socket.socket:
        while self._waiting or self._running:
            winner = self._start_next() if self._waiting else None
            if winner is None and self._running:
                winner = self._wait(ATTEMPT_DELAY if self._waiting else None, deadline)
            if winner is not None:
                return winner
        where = f"{self._origin.host} port {self._origin.port}"
        reasons = "; ".join(self._failures) or "the name has no address"
        raise ConnectError(f"cannot connect to {where}: {reasons}") from self._cause

    def close(self) -> None:
        """Close every attempt that did not win."""
        for sock, _ in self._running.values():
            sock.close()

    def _start_next(self) -> socket.socket | None:
        family, kind, protocol, _, address = self._waiting.pop()
        where = str(address[0])
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            self._failed(where, error)
            return None
        sock.setblocking(False)
        try:
            for option in self._route.socket_options:
                sock.setsockopt(*option)
            if self._route.source_address is not None:
                sock.bind(self._route.source_address)
            code = sock.connect_ex(address)
        except OSError as error:
            sock.close()
            self._failed(where, error)
            return None
        except BaseException:
            sock.close()
            raise
        if code == 0:
            return sock
        if code == errno.EINPROGRESS:
            self._running[sock.fileno()] = sock, where
            self._poll.register(sock, select.POLLOUT)
        else:
            sock.close()
            self._failed(where, OSError(code, os.strerror(code)))
        return None

    def _wait(self, patience: float | None, deadline: Deadline) -> socket.socket | None:
        """Wait for an attempt to end; return its socket if it won.

        Returns None when an attempt failed or ``patience`` ran out: in both cases the
        next address is due.
        """
        while patience is None or patience > 0:
            self._call.check()
            left = deadline.left()
            if left == 0:
                raise deadline.error(
                    f"connecting to {self._origin.host} port {self._origin.port}"
                )
            limits = [HANG_UP_DELAY, left, patience]
            pause = min(limit for limit in limits if limit is not None)
            for descriptor, _ in self._poll.poll(math.ceil(pause * 1000)):
                return self._finish(descriptor)
            if patience is not None:
                patience -= pause
        return None

    def _finish(self, descriptor: int) -> socket.socket | None:
        """Take an attempt that has ended out of the race; return it if it won."""
        sock, where = self._running.pop(descriptor)
        self._poll.unregister(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0:
            return sock
        sock.close()
        self._failed(where, OSError(code, os.strerror(code)))
        return None

    def _failed(self, where: str, error: OSError) -> None:
        self._failures.append(f"{where}: {error.strerror}")
        self._cause = error
