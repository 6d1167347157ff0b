"""How long a call may take, and the only clock in hyper.

A user says :class:`Timeout`: seconds, by phase. A request turns it into its own
:class:`Deadlines` when it starts. Each single wait asks those for a :class:`Deadline`,
a point in time that is handed down through every layer and asked for what is left of
it, so that a layer never starts a countdown of its own.

``connect`` bounds the whole of a dial (name resolution, TCP and TLS together), because
a user who says five seconds does not mean five for each. ``read`` and ``write`` bound
one *wait for progress*, not the transfer: a slow but living download goes on. ``total``
bounds the request from its start to the last byte of its response.

Clocks are passed in, so that tests own the time.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ..common import exceptions

#: Returns seconds that never go back.
Clock = Callable[[], float]

#: The clock of those that are given none.
MONOTONIC: Clock = time.monotonic

#: Seconds that one wait may last. ``poll`` takes milliseconds in an ``int`` of C, which
#: end after 24 days; whoever waits for longer asks again what is left.
LONGEST_WAIT = 2_000_000


@dataclass(frozen=True, slots=True)
class Timeout:
    """Limits in seconds, each a positive number, 0 (do not wait) or None (no limit).

    :param connect: for all of connecting: name resolution, TCP and TLS together.
    :param read: for the peer to send the next piece of a response.
    :param write: for the peer to take the next piece of a request.
    :param total: for the whole exchange, from the request to the end of the response.
    :param pool: for a free place: a connection of a pool, or a stream on a connection
        that has no more. None: as for ``write``; ``math.inf`` is no limit.
    :raises ValueError: if a limit is negative or not a number.
    :raises TypeError: if a limit is not a number.
    """

    connect: float | None = None
    read: float | None = None
    write: float | None = None
    total: float | None = None
    pool: float | None = None

    def __post_init__(self) -> None:
        for name in Timeout.__slots__:
            limit = getattr(self, name)
            if limit is None:
                continue
            if isinstance(limit, bool) or not isinstance(limit, (int, float)):
                raise TypeError(
                    f"the {name} timeout is a number of seconds or None, not {limit!r}"
                )
            if not limit >= 0:
                raise ValueError(f"the {name} timeout is negative: {limit!r}")

    @classmethod
    def of(cls, value: TimeoutLike) -> Timeout:
        """Return the Timeout that ``value`` stands for.

        A number limits connecting, reading and writing alike; a pair is (connect,
        read), and writing is limited as reading is; None is no limit at all.
        """
        if value is None:
            return _NO_LIMIT
        if isinstance(value, Timeout):
            return value
        if isinstance(value, tuple):
            if len(value) != 2:
                raise ValueError(
                    f"a timeout tuple is (connect, read); it has {len(value)} items"
                )
            connect, read = value
            return cls(connect=connect, read=read, write=read)
        return cls(connect=value, read=value, write=value)

    def start(self, clock: Clock = time.monotonic) -> Deadlines:
        """Start counting: return the deadlines of a request that begins now."""
        return Deadlines(self, clock)


_NO_LIMIT = Timeout()


@dataclass(frozen=True, slots=True)
class Keepalive:
    """When to ask a peer that is silent whether it is still there.

    :param idle: after so many seconds of silence it is asked.
    :param timeout: if it is silent for so many seconds more, it is given up.
    :raises ValueError: if one of them is not a positive number.
    """

    idle: float
    timeout: float

    def __post_init__(self) -> None:
        for seconds in (self.idle, self.timeout):
            if not seconds > 0:
                raise ValueError(f"keepalive is two positive numbers, not {seconds!r}")


#: What a ``timeout=`` argument may be.
TimeoutLike = float | tuple[float | None, float | None] | Timeout | None


class Deadline:
    """The point in time at which one wait has failed, and how it fails then."""

    __slots__ = ("_clock", "_expires", "_failure", "_limit", "_phase")

    def __init__(
        self,
        expires: float | None,
        failure: type[exceptions.Timeout],
        phase: str,
        limit: float,
        clock: Clock,
    ) -> None:
        self._expires = expires
        self._failure = failure
        self._phase = phase
        self._limit = limit
        self._clock = clock

    def left(self) -> float | None:
        """Return the seconds left, at least 0; None if there is no limit.

        Never more than the system can wait at once, so that what is waited for may
        have to be waited for again.
        """
        if self._expires is None:
            return None
        return min(max(0.0, self._expires - self._clock()), LONGEST_WAIT)

    @property
    def passed(self) -> bool:
        """True once no time is left."""
        return self._expires is not None and self._clock() >= self._expires

    def error(self, doing: str) -> exceptions.Timeout:
        """Return the error to raise, for a call that was busy ``doing`` something."""
        limit = f"{self._phase} timeout: {self._limit:g} s"
        return self._failure(f"timed out {doing} ({limit})")


#: Of all waits without a limit. It has no error that anybody sees.
_NEVER = Deadline(None, exceptions.Timeout, "no", math.inf, MONOTONIC)


class Deadlines:
    """The deadlines of one request, by what is waited for. Immutable, thread-safe."""

    __slots__ = ("_clock", "_endless", "_ends", "_timeout")

    def __init__(self, timeout: Timeout, clock: Clock) -> None:
        self._timeout = timeout
        self._clock = clock
        self._endless = timeout is _NO_LIMIT
        self._ends = None if timeout.total is None else clock() + timeout.total

    def connect(self) -> Deadline:
        """Return when a dial that starts now has failed."""
        return self._deadline(
            self._timeout.connect, exceptions.ConnectTimeout, "connect"
        )

    def read(self) -> Deadline:
        """Return when a wait for the peer's bytes that starts now has failed."""
        if self._endless:
            return _NEVER
        return self._deadline(self._timeout.read, exceptions.ReadTimeout, "read")

    def write(self) -> Deadline:
        """Return when a wait for the peer to take bytes that starts now has failed."""
        if self._endless:
            return _NEVER
        return self._deadline(self._timeout.write, exceptions.WriteTimeout, "write")

    def place(self) -> Deadline:
        """Return when a wait for a free place on a connection has failed."""
        if self._endless:
            return _NEVER
        limit, phase = self._timeout.pool, "pool"
        if limit is None:
            limit, phase = self._timeout.write, "write"
        return self._deadline(limit, exceptions.PoolTimeout, phase)

    def patience(self, seconds: float) -> Deadline:
        """Return when a wait that may fail has to end: soon, and never after the rest.

        :raises ReadTimeout: is what the deadline's error is.
        """
        deadline = self.read()
        left = deadline.left()
        if left is not None and left < seconds:
            return deadline
        return Deadline(
            self._clock() + seconds,
            exceptions.ReadTimeout,
            "patience",
            seconds,
            self._clock,
        )

    def check(self, doing: str) -> None:
        """Raise if the total has passed: data that is there already does not count.

        :raises ReadTimeout: so.
        """
        if self._ends is not None and self._clock() >= self._ends:
            raise self.read().error(doing)

    def now(self) -> float:
        """Return the time by the clock of these deadlines, in seconds."""
        return self._clock()

    def _deadline(
        self, limit: float | None, failure: type[exceptions.Timeout], phase: str
    ) -> Deadline:
        ends = self._ends
        if limit is None and ends is None:
            return _NEVER
        if limit is not None:
            expires = self._clock() + limit
            if ends is None or expires < ends:
                return Deadline(expires, failure, phase, limit, self._clock)
        total = self._timeout.total or 0
        return Deadline(ends, failure, "total", total, self._clock)


class Mutex:
    """A lock whose waits have deadlines. Not re-entrant.

    :ivar release: gives the lock back.
    """

    __slots__ = ("_lock", "release")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # In C: no signal handler can raise before it has begun.
        self.release: Callable[[], None] = self._lock.release

    def acquire(self, held: list[bool], deadline: Deadline, doing: str) -> None:
        """Take the lock, or raise the deadline's error.

        :param held: an empty list, in which True says that the lock is taken, whatever
            a signal handler raises and wherever.
        """
        left = deadline.left()
        limit = -1 if left is None else left
        # By an assignment: a signal handler runs at the end of a call, and if it raised
        # there, nobody would know that the lock is taken.
        held[:] = map(self._lock.acquire, (True,), (limit,))
        if True not in held:
            raise deadline.error(doing)


def new_lock() -> AbstractContextManager[bool]:
    """Return a lock to be held for a few instructions, by a ``with`` statement.

    It is the interpreter's own, whose ``with`` no signal handler can break in two; and
    re-entrant, so that a handler which interrupts its holder cannot wait for itself.
    """
    return threading.RLock()


class PerThread(threading.local):
    """Attributes that every thread has for itself."""
