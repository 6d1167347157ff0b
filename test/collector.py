"""A Protocol for tests of what is beneath Protocols."""

from __future__ import annotations

from hyper.common.exceptions import ConnectionLost
from hyper.common.protocol import EVERYONE


class Collector:
    """A Protocol that keeps what comes, and says what it is told to."""

    def __init__(self):
        self.touched = set()
        self.failure = None
        self.paused = False
        self.finished = False
        self.received = b""
        self.to_send = b""
        self.clean = None

    def receive_data(self, data):
        self.received += data
        self.touched.add(EVERYONE)

    def receive_eof(self, clean):
        self.clean = clean
        self.fail(ConnectionLost("the end"))

    def data_to_send(self):
        data, self.to_send = self.to_send, b""
        return data

    def fail(self, error):
        self.failure = self.failure or error
        self.touched.add(EVERYONE)
