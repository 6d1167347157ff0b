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

from ..common.exceptions import ConnectError, ConnectionLost, HyperError
from ..common.target import Origin
from .bufsocket import BufferedSocket
from .deadline import Deadline
from .tls import TLSFilter

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


def open_connection(
    origin: Origin, tls: TLSParameters | None, deadline: Deadline
) -> tuple[BufferedSocket, TLSFilter | None]:
    """Connect to ``origin`` and return the connection and its TLS, if there is any.

    :param tls: how to speak TLS; None for a cleartext connection.
    :raises ConnectError: if no address could be connected to, or the connection was
        lost before TLS was established.
    :raises TLSError: if the handshake failed.
    :raises ConnectTimeout: if the deadline passed before TLS was established.
    """
    wire = BufferedSocket(connect(origin, deadline))
    if tls is None:
        return wire, None
    doing = f"in the TLS handshake with {origin.host}"
    with wire:
        try:
            layer = TLSFilter(tls.context, origin.tls_name, tls.alpn)
            wire.add_filter(layer, deadline, doing)
        except BaseException as error:
            wire.close(error if isinstance(error, HyperError) else ConnectError(doing))
            if isinstance(error, ConnectionLost):  # Nothing was asked of the server.
                where = f"{origin.host} port {origin.port}"
                raise ConnectError(f"cannot connect to {where}: {error}") from error
            raise
    return wire, layer


def connect(origin: Origin, deadline: Deadline) -> socket.socket:
    """Return a TCP socket connected to the first address of ``origin`` that answers.

    :raises ConnectError: if the name has no address or none of them answers; the text
        has every address's reason.
    :raises ConnectTimeout: if the deadline passed.
    """
    race = _Race(origin, _in_turn(_resolve(origin, deadline)))
    try:
        winner = race.run(deadline)
    finally:
        race.close()
    winner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return winner


def _resolve(origin: Origin, deadline: Deadline) -> list[Address]:
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
        try:
            found = answer.get(timeout=deadline.left())
        except queue.Empty:
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

    def __init__(self, origin: Origin, addresses: list[Address]) -> None:
        self._origin = origin
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
        left = deadline.left()
        if left == 0:
            raise deadline.error(
                f"connecting to {self._origin.host} port {self._origin.port}"
            )
        limits = [limit for limit in (left, patience) if limit is not None]
        milliseconds = math.ceil(min(limits) * 1000) if limits else None
        for descriptor, _ in self._poll.poll(milliseconds):
            sock, where = self._running.pop(descriptor)
            self._poll.unregister(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                return sock
            sock.close()
            self._failed(where, OSError(code, os.strerror(code)))
            return None
        return None

    def _failed(self, where: str, error: OSError) -> None:
        self._failures.append(f"{where}: {error.strerror}")
        self._cause = error
