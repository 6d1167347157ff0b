"""Making a connection: names, addresses, TCP, TLS, under one deadline.

Addresses are tried as RFC 8305 ("happy eyeballs") says: IPv6 and IPv4 in turn, a new
one every 250 ms or as soon as one fails, and the first that connects wins. All of it
happens in the calling thread, with non-blocking connects and one ``poll``.

Name resolution is the one thing that cannot be interrupted. Where there is a deadline
and a real name, ``getaddrinfo`` runs in a thread that is left behind when the deadline
passes; it ends with the resolver's own.
"""

from __future__ import annotations

import errno
import ipaddress
import math
import os
import queue
import select
import socket
import ssl
import threading
from dataclasses import dataclass

from ..common.exceptions import ConnectError, ConnectionLost, HyperError, TLSError
from ..common.target import Origin
from .bufsocket import BufferedSocket
from .deadline import Deadline, new_lock
from .tls import TLSFilter

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

    context: ssl.SSLContext
    #: Protocols to offer, best first.
    alpn: tuple[str, ...]


class Call:
    """A dial that another thread may end. Thread-safe."""

    def __init__(self) -> None:
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

    def check(self) -> None:
        """Raise if the dial was ended."""
        if self._ended is not None:
            raise self._ended.fresh()


def open_connection(
    origin: Origin,
    tls: TLSParameters | None,
    deadline: Deadline,
    call: Call | None = None,
) -> tuple[BufferedSocket, TLSFilter | None]:
    """Connect to ``origin`` and return the connection and its TLS, if there is any.

    :param tls: how to speak TLS; None for a cleartext connection.
    :param call: what another thread may end this with.
    :raises ConnectError: if no address could be connected to, or the connection was
        lost before TLS was established.
    :raises TLSError: if the handshake failed.
    :raises ConnectTimeout: if the deadline passed before TLS was established.
    """
    call = call or Call()
    wire = BufferedSocket(connect(origin, deadline, call))
    doing = f"in the TLS handshake with {origin.host}"
    with wire:
        try:
            call.connected(wire)
            if tls is None:
                return wire, None
            layer = TLSFilter(tls.context, origin.tls_name, tls.alpn)
            wire.add_filter(layer, deadline, doing)
        except BaseException as error:
            wire.close(error if isinstance(error, HyperError) else ConnectError(doing))
            call.check()
            if isinstance(error, TLSError):
                error.retry_safe = True
            if isinstance(error, ConnectionLost):  # Nothing was asked of the server.
                where = f"{origin.host} port {origin.port}"
                raise ConnectError(f"cannot connect to {where}: {error}") from error
            raise
    return wire, layer


def connect(
    origin: Origin, deadline: Deadline, call: Call | None = None
) -> socket.socket:
    """Return a TCP socket connected to the first address of ``origin`` that answers.

    :raises ConnectError: if the name has no address or none of them answers; the text
        has every address's reason.
    :raises ConnectTimeout: if the deadline passed.
    """
    call = call or Call()
    race = _Race(origin, _in_turn(_resolve(origin, deadline, call)), call)
    try:
        winner = race.run(deadline)
    finally:
        race.close()
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
    try:
        ipaddress.ip_address(host)
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

    def __init__(self, origin: Origin, addresses: list[Address], call: Call) -> None:
        self._origin = origin
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
            code = sock.connect_ex(address)
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
