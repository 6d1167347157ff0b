"""Window managers."""

import pytest

from hyper.http20.window import (
    LARGEST_WINDOW,
    AutoFlowControlManager,
    BaseFlowControlManager,
    FlowControlManager,
    Windows,
)


def test_the_base_class_decides_nothing():
    manager = BaseFlowControlManager(65535)
    with pytest.raises(NotImplementedError):
        manager.increase_window_size(1)
    with pytest.raises(NotImplementedError):
        manager.blocked()


def test_a_manager_knows_its_window():
    manager = FlowControlManager(65535, document_size=10)
    assert manager.initial_window_size == manager.window_size == 65535
    assert manager.document_size == 10
    assert FlowControlManager(65535).document_size is None


def test_a_large_window_is_filled_up_when_less_than_a_quarter_is_left():
    manager = FlowControlManager(65535)
    assert manager.credit(49000) == 0
    assert manager.window_size == 16535
    assert manager.credit(1000) == 50000
    assert manager.window_size == 65535


def test_a_small_window_is_filled_up_when_less_than_a_thousand_is_left():
    manager = FlowControlManager(1500)
    assert manager.credit(499) == 0
    assert manager.credit(2) == 501
    assert manager.window_size == 1500


def test_a_blocked_peer_would_get_all_that_was_used():
    manager = FlowControlManager(1500)
    manager.credit(300)
    assert manager.blocked() == 300


def test_the_example_of_the_documentation_works():
    class StupidFlowControlManager(BaseFlowControlManager):
        def increase_window_size(self, frame_size):
            return frame_size

    manager = StupidFlowControlManager(65535)
    assert [manager.credit(size) for size in (1, 1000, 65535)] == [1, 1000, 65535]
    assert manager.window_size == 65535


@pytest.mark.parametrize(("wish", "given"), [(-5, 0), (2**40, LARGEST_WINDOW - 990)])
def test_no_wish_opens_a_window_further_than_the_protocol_allows(wish, given):
    class Greedy(BaseFlowControlManager):
        def increase_window_size(self, frame_size):
            return wish

    assert Greedy(1000).credit(10) == given


def test_the_default_fills_a_window_up_when_half_of_it_is_used():
    manager = AutoFlowControlManager(1000)
    assert manager.credit(499) == 0
    assert manager.blocked() == 499
    assert manager.credit(1) == 500
    assert manager.window_size == 1000


@pytest.mark.parametrize(
    ("received", "at_most", "growth"),
    [(499, 9000, 0), (500, 9000, 3000), (5000, 1500, 500), (5000, 900, 0)],
)
def test_the_default_grows_where_half_of_the_window_came_in_a_round_trip(
    received, at_most, growth
):
    assert AutoFlowControlManager(1000).growth(received, at_most) == growth


@pytest.mark.parametrize(
    "sizes",
    [
        {"stream": 0},
        {"max_stream": 2**31},
        {"connection": 65534},
        {"stream": 20 * 1024 * 1024},
        {"total": 1024},
    ],
)
def test_windows_that_cannot_be_are_an_error(sizes):
    with pytest.raises(ValueError):
        Windows(**sizes)
