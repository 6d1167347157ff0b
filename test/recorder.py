"""Keeps what a client says, for tests that look at the wire of a real server.

recorder = Recorder()
conn = HTTP20Connection(..., state_machine=recorder.machine)
...
assert len(recorder.of(RstStreamFrame)) == 1
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from hyperframe.frame import Frame
from peer import frames_of

from hyper.http20.machine import ClientMachine

F = TypeVar("F", bound=Frame)


class Recorder:
    """What was said on each wire connection that was made with :meth:`machine`."""

    def __init__(self) -> None:
        self.connections: list[bytearray] = []

    def machine(self, settings: Mapping[int, int]) -> ClientMachine:
        """Make the state machine of a new wire connection."""
        said = bytearray()
        self.connections.append(said)

        class Recorded(ClientMachine):
            def data_to_send(self, amount: int | None = None) -> bytes:
                data = super().data_to_send(amount)
                said.extend(data)
                return data

        return Recorded(settings)

    def of(self, kind: type[F]) -> list[F]:
        """Return the frames of one kind that were sent."""
        frames = [f for said in self.connections for f in frames_of(bytes(said))]
        return [frame for frame in frames if isinstance(frame, kind)]
