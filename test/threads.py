"""Threads in tests: start a call, get its outcome, wait for a state. Nobody sleeps.

    leader = background(wait_for_line, wire, "a")
    wait_for(lambda: wire.polling == 1)
    ...
    assert leader.result() == b"hello"

A test never asks how long something took. It waits until a state is there that can be
asked for from outside, and a state that never comes fails it.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Generic, TypeVar

#: Seconds after which what has not happened never will: far more than anything needs.
PATIENCE = 10.0

_T = TypeVar("_T")


def frames() -> dict[int, FrameType]:
    """Return where every thread is.

    The interpreter holds the lock of its list of threads meanwhile. A collection would
    let another thread run, which may want that lock to start or to end: a deadlock,
    seen with CPython 3.11 and 80 threads.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames()
    finally:
        if enabled:
            gc.enable()


class Background(Generic[_T]):
    """A call that runs in a thread of its own."""

    def __init__(self, call: Callable[[], _T]) -> None:
        self._call = call
        self._returned: list[_T] = []
        self._raised: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._returned.append(self._call())
        except BaseException as error:
            self._raised = error

    @property
    def running(self) -> bool:
        """True until the call has returned or raised."""
        return self._thread.is_alive()

    def waits_in(self, *functions: str) -> bool:
        """Return True if the thread is inside a function of one of these names."""
        frame = frames().get(self._thread.ident or 0)
        while frame is not None:
            if frame.f_code.co_name in functions:
                return True
            frame = frame.f_back
        return False

    def result(self, timeout: float = PATIENCE) -> _T:
        """Wait for the call's end; return what it returned, raise what it raised."""
        self._thread.join(timeout)
        assert not self._thread.is_alive(), f"the call did not end in {timeout} s"
        if self._raised is not None:
            raise self._raised
        return self._returned[0]

    def error(self, timeout: float = PATIENCE) -> BaseException:
        """Wait for the call's end and return what it raised; it has to have raised."""
        self._thread.join(timeout)
        assert not self._thread.is_alive(), f"the call did not end in {timeout} s"
        assert self._raised is not None, "the call raised nothing"
        return self._raised


def background(
    call: Callable[..., _T], *args: object, **options: object
) -> Background[_T]:
    """Start ``call(*args, **options)`` in a thread and return at once."""
    return Background(lambda: call(*args, **options))


def wait_for(condition: Callable[[], object], timeout: float = PATIENCE) -> None:
    """Return as soon as ``condition()`` is true; fail the test if it never is."""
    pause = threading.Event()  # Never set.
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"it did not become true in {timeout} s"
        pause.wait(0.001)


class Interrupted(BaseException):
    """What the signal handler of :func:`interruptions` raises, as Ctrl-C would."""


@contextmanager
def interruptions() -> Iterator[list[int]]:
    """Let a signal raise in the main thread; yield a list that grows by each.

    There is no collection meanwhile: one that finds what earlier tests left would run
    callbacks of the interpreter's, which say so if something is raised in them.
    """
    seen: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, interrupt)
    gc.disable()
    try:
        yield seen
    finally:
        gc.enable()
        signal.signal(signal.SIGUSR1, before)


def interrupt_main_thread(seen: list[int]) -> None:
    """Send the signal, and return when its handler has run.

    :param seen: what :func:`interruptions` yielded.
    """
    before = len(seen)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
    wait_for(lambda: len(seen) > before)


def _raise_interrupted() -> None:
    raise Interrupted


@contextmanager
def interrupted_at(
    number: int, *files: str, handler: Callable[[], None] = _raise_interrupted
) -> Iterator[list[str]]:
    """Do in this thread as a signal handler does, at one of these points.

    That is where a function begins, and where a call of C code has ended.

    :param number: which of the points, from 0.
    :param files: where the code is that has them. What begins with ``__exit__`` is left
        out: the interpreter has no way to give up what was entered.
    :param handler: what is called; if it is not given, it raises.
    :returns: a list that gets the point's name.
    """
    hit: list[str] = []
    points = 0

    def look(frame: FrameType, event: str, argument: object) -> None:
        nonlocal points
        if event not in ("call", "c_return") or frame.f_code.co_filename not in files:
            return
        if event == "call" and frame.f_code.co_name == "__exit__":
            return
        points += 1
        if points > number and not hit:
            hit.append(f"{event} in {frame.f_code.co_name}, line {frame.f_lineno}")
            sys.setprofile(before)
            handler()

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield hit
    finally:
        sys.setprofile(before)


def wait_until_main_thread_blocks() -> None:
    """Return when the main thread has stood at one instruction for a while."""
    seen: list[object] = []

    def stands_still() -> bool:
        frame = frames()[threading.main_thread().ident or 0]
        seen.append((frame.f_code, frame.f_lasti))
        return len(seen) >= 20 and len(set(seen[-20:])) == 1

    wait_for(stands_still)
