"""Timeouts, deadlines, and a lock that has them. The tests own the clock."""

from __future__ import annotations

import math
import time

import pytest
from threads import Interrupted, background, interrupted_at

from hyper.common import exceptions
from hyper.transport import deadline as deadline_module
from hyper.transport.deadline import Mutex, Timeout, new_lock


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


class TestWhatATimeoutMayBe:
    @pytest.mark.scenario(247)
    @pytest.mark.parametrize(
        ("given", "meant"),
        [
            (None, Timeout()),
            (5, Timeout(connect=5, read=5, write=5)),
            (0.5, Timeout(connect=0.5, read=0.5, write=0.5)),
            (0, Timeout(connect=0, read=0, write=0)),
            ((3, 7), Timeout(connect=3, read=7, write=7)),
            ((None, 7), Timeout(read=7, write=7)),
            (Timeout(total=9), Timeout(total=9)),
        ],
    )
    def test_a_number_a_pair_none_and_a_timeout_are_understood(self, given, meant):
        assert Timeout.of(given) == meant

    @pytest.mark.scenario(247)
    @pytest.mark.parametrize("limit", [-1, -0.001, math.nan])
    @pytest.mark.parametrize("phase", ["connect", "read", "write", "total", "pool"])
    def test_a_negative_limit_is_refused_by_name(self, phase, limit):
        with pytest.raises(ValueError, match=f"the {phase} timeout is negative"):
            Timeout(**{phase: limit})

    @pytest.mark.scenario(247)
    @pytest.mark.parametrize("limit", ["5", True, b"5", [5]])
    def test_what_is_no_number_is_refused_by_name(self, limit):
        with pytest.raises(TypeError, match="the connect timeout is a number"):
            Timeout.of(limit)

    @pytest.mark.scenario(247)
    @pytest.mark.parametrize("pair", [(), (1,), (1, 2, 3)])
    def test_a_tuple_has_two_items(self, pair):
        with pytest.raises(ValueError, match=f"it has {len(pair)} items"):
            Timeout.of(pair)


class TestDeadline:
    def test_it_counts_down_and_stops_at_zero(self, clock):
        deadline = Timeout(read=5).start(clock).read()
        assert deadline.left() == 5
        clock.now += 4.5
        assert deadline.left() == 0.5
        assert not deadline.passed
        clock.now += 0.5
        assert deadline.left() == 0
        assert deadline.passed
        clock.now += 100
        assert deadline.left() == 0
        assert deadline.passed

    def test_none_is_no_limit(self, clock):
        deadline = Timeout().start(clock).read()
        clock.now += 1e12
        assert deadline.left() is None
        assert not deadline.passed

    @pytest.mark.scenario(247)
    def test_zero_has_passed_at_once(self, clock):
        deadline = Timeout(read=0).start(clock).read()
        assert deadline.left() == 0
        assert deadline.passed

    @pytest.mark.parametrize("limit", [math.inf, 1e300, 1e10])
    def test_a_limit_beyond_what_the_system_can_wait_is_waited_in_parts(
        self, clock, limit
    ):
        deadline = Timeout(read=limit).start(clock).read()
        assert 1e6 < deadline.left() < 2**31 / 1000  # poll takes an int of ms
        clock.now += 1e8
        assert not deadline.passed

    @pytest.mark.scenario(224)
    def test_the_clock_is_monotonic_where_none_is_given(self):
        before = time.monotonic()
        assert before <= Timeout().start().now() <= time.monotonic()


class TestDeadlines:
    def test_now_is_the_clocks_time(self, clock):
        deadlines = Timeout().start(clock)
        clock.now += 7
        assert deadlines.now() == 1007

    def test_a_wait_counts_from_its_own_start(self, clock):
        deadlines = Timeout(connect=1, read=2, write=3).start(clock)
        clock.now += 100
        assert deadlines.connect().left() == 1
        assert deadlines.read().left() == 2
        assert deadlines.write().left() == 3
        assert deadlines.place().left() == 3

    def test_the_wait_for_a_place_has_a_limit_of_its_own(self, clock):
        place = Timeout(write=3, pool=1).start(clock).place()
        assert place.left() == 1
        error = place.error("waiting")
        assert type(error) is exceptions.PoolTimeout
        assert str(error) == "timed out waiting (pool timeout: 1 s)"
        endless = Timeout(write=3, pool=math.inf).start(clock).place()
        clock.now += 1e9
        assert not endless.passed

    @pytest.mark.scenario(245)
    def test_the_total_counts_from_the_start_of_the_request(self, clock):
        deadlines = Timeout(read=5, total=8).start(clock)
        assert deadlines.read().left() == 5
        clock.now += 6
        assert deadlines.read().left() == 2
        assert deadlines.connect().left() == 2
        clock.now += 2
        assert deadlines.read().passed

    @pytest.mark.scenario(245)
    @pytest.mark.parametrize("read", [None, 0, 5])
    def test_the_total_can_be_checked_without_waiting(self, clock, read):
        deadlines = Timeout(read=read, total=8).start(clock)
        clock.now += 7.9
        deadlines.check("reading")
        clock.now += 0.1
        with pytest.raises(exceptions.ReadTimeout, match="total timeout: 8 s"):
            deadlines.check("reading")

    def test_without_a_total_the_check_never_fails(self, clock):
        deadlines = Timeout(read=1).start(clock)
        clock.now += 1e9
        deadlines.check("reading")

    @pytest.mark.parametrize(
        ("wait", "failure"),
        [
            ("connect", exceptions.ConnectTimeout),
            ("read", exceptions.ReadTimeout),
            ("write", exceptions.WriteTimeout),
            ("place", exceptions.PoolTimeout),
        ],
    )
    def test_each_wait_fails_in_its_own_way_and_says_which_limit_it_was(
        self, clock, wait, failure
    ):
        phase = "write" if wait == "place" else wait
        deadlines = Timeout(connect=1.5, read=1.5, write=1.5, total=60).start(clock)
        error = getattr(deadlines, wait)().error("doing this")
        assert type(error) is failure
        assert str(error) == f"timed out doing this ({phase} timeout: 1.5 s)"
        clock.now += 59
        error = getattr(deadlines, wait)().error("doing this")
        assert type(error) is failure
        assert str(error) == "timed out doing this (total timeout: 60 s)"


class TestMutex:
    def test_one_at_a_time_has_it(self):
        mutex = Mutex()
        mutex.acquire([], Timeout().start().read(), "taking turns")
        now = Timeout(read=0).start().read()
        with pytest.raises(exceptions.ReadTimeout, match="timed out taking turns"):
            mutex.acquire([], now, "taking turns")
        mutex.release()
        mutex.acquire([], now, "taking turns")
        mutex.release()

    @pytest.mark.scenario(216)
    def test_who_is_interrupted_knows_whether_to_give_it_back(self):
        mutex = Mutex()
        forever = Timeout().start().read()
        for point in range(100):
            held = []
            try:
                with interrupted_at(point, deadline_module.__file__) as hit:
                    mutex.acquire(held, forever, "taking turns")
            except Interrupted:
                pass
            if True in held:
                mutex.release()
            mutex.acquire([], Timeout(read=0).start().read(), "seeing that it is free")
            mutex.release()
            if not hit:
                break
        assert point

    def test_one_that_waits_gets_it_when_it_is_given_back(self):
        mutex = Mutex()
        mutex.acquire([], Timeout().start().read(), "taking turns")
        waiting = background(mutex.acquire, [], Timeout().start().read(), "waiting")
        assert waiting.running
        mutex.release()
        waiting.result()
        mutex.release()


def test_a_lock_for_a_few_instructions_is_given_back_by_exceptions():
    lock = new_lock()
    with pytest.raises(KeyError), lock:
        raise KeyError
    with lock:
        pass
