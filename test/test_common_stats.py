"""Counting frames in bytes that come in pieces."""

import pytest
from hyperframe.frame import DataFrame, PingFrame, SettingsFrame
from peer import PREFACE, wire

from hyper.common.stats import FrameCounter

FRAMES = [
    SettingsFrame(0, {1: 2}),
    DataFrame(1, bytes(300)),
    PingFrame(0, b"12345678"),
    DataFrame(1, b""),
]
UNKNOWN = b"\0\0\x09" + b"\x2a\0" + bytes(4) + b"who knows"
COUNTS = {"DATA": 2, "SETTINGS": 1, "PING": 1, "0x2a": 1}


@pytest.mark.parametrize("size", [1, 2, 8, 9, 10, 17, 100, 1000])
def test_frames_are_counted_by_type_however_they_come(size):
    counter = FrameCounter(skip=len(PREFACE))
    data = PREFACE + wire(*FRAMES[:2]) + UNKNOWN + wire(*FRAMES[2:])
    for start in range(0, len(data), size):
        counter.feed(data[start : start + size])
    assert counter.counts.by_name() == COUNTS


def test_a_frame_counts_as_soon_as_its_head_is_there():
    counter = FrameCounter()
    counter.feed(wire(DataFrame(1, b"x"))[:8])
    assert counter.counts.by_name() == {}
    counter.feed(b"\x01")
    assert counter.counts.by_name() == {"DATA": 1}
