"""Two state machines in the place of one: they have to say the same.

    conn = HTTP20Connection(..., state_machine=Twins)

Each verb and each read goes to :class:`ClientMachine` and to its reference, and what
comes of it is compared at once: events, errors, and the frames to be sent. Header
blocks are compared by what they mean, as they may be encoded in more than one way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from h2.events import DataReceived, Event
from h2.exceptions import ProtocolError
from hpack import Decoder
from hyperframe.frame import ContinuationFrame, HeadersFrame, SettingsFrame
from peer import frames_of

from hyper.http20.dialect import DataRunReceived
from hyper.http20.machine import ClientMachine
from hyper.http20.reference import H2Machine

#: Events of h2 that have no fields but attributes, or refer to others.
_PLAIN = (bool, int, str, bytes, tuple, type(None))


def plain(event: Event) -> tuple[str, dict[str, object]]:
    """Return an event in a form that can be compared."""
    attributes: dict[str, object] = {}
    for name, value in vars(event).items():
        if name == "headers":
            value = [tuple(field) for field in value]
        elif name == "changed_settings":
            value = {
                int(code): (change.original_value, change.new_value)
                for code, change in value.items()
            }
        elif not isinstance(value, _PLAIN):
            value = repr(value)
        attributes[name] = value
    return type(event).__name__, attributes


def one_by_one(events: Iterable[Event]) -> Iterator[Event]:
    """Yield an event for each frame of DATA, also where one tells of several."""
    for event in events:
        if not isinstance(event, DataRunReceived):
            yield event
            continue
        for piece in event.run:
            yield DataReceived(
                stream_id=event.stream_id,
                data=piece,
                flow_controlled_length=len(piece),
            )


class Mouth:
    """Reads what a machine sends."""

    def __init__(self, machine: ClientMachine | H2Machine) -> None:
        self._machine = machine
        self._decoder = Decoder(max_header_list_size=1 << 24)
        self._block: HeadersFrame | None = None

    def frames(self, data: bytes) -> list[object]:
        """Return the frames, with header blocks put together and decoded."""
        told: list[object] = []
        for frame in frames_of(data):
            if isinstance(frame, SettingsFrame) and "ACK" in frame.flags:
                size = self._machine.encoder.header_table_size
                self._decoder.max_allowed_table_size = max(4096, size)
            if isinstance(frame, HeadersFrame):
                self._block = frame
            if isinstance(frame, ContinuationFrame) and self._block is not None:
                self._block.data += frame.data
            if isinstance(frame, HeadersFrame | ContinuationFrame):
                if "END_HEADERS" in frame.flags and self._block is not None:
                    told.append(self._section(self._block))
            else:
                told.append(frame.serialize())
        return told

    def _section(self, frame: HeadersFrame) -> object:
        fields = self._decoder.decode(frame.data, raw=True)
        end = "END_STREAM" in frame.flags
        return frame.stream_id, end, [(type(f).__name__, tuple(f)) for f in fields]


class Twins:
    """Both machines; what is asked of it is answered by :class:`ClientMachine`.

    :ivar reads: what came, in the pieces in which it did, and between them what was
        said: functions that say it to another machine.
    """

    def __init__(self, settings: Mapping[int, int] | None = None) -> None:
        self.settings = settings
        self.machine = ClientMachine(settings)
        self.reference = H2Machine(settings)
        self._mouths = Mouth(self.machine), Mouth(self.reference)
        self.history: list[bytes | Callable[[Any], object]] = []
        self.events: list[Event] = []

    def receive_data(self, data: bytes) -> list[Event]:
        self.history.append(data)
        result, events = outcome(self.machine, data)
        expected, expected_events = outcome(self.reference, data)
        assert [*map(plain, one_by_one(events))] == [*map(plain, expected_events)]
        assert getattr(result, "error_code", None) == getattr(
            expected, "error_code", None
        ), (result, expected)
        self.events += one_by_one(events)
        if result is not None:
            raise result
        return events

    def data_to_send(self, amount: int | None = None) -> bytes:
        assert amount is None
        said, expected = self.machine.data_to_send(), self.reference.data_to_send()
        ours, theirs = self._mouths
        assert ours.frames(said) == theirs.frames(expected)
        return said

    def __getattr__(self, name: str) -> object:
        value, expected = getattr(self.machine, name), getattr(self.reference, name)
        if not callable(value):
            if isinstance(value, int):
                assert value == expected, name
            return value

        def verb(*args: object, **kwargs: object) -> object:
            self.history.append(lambda machine: getattr(machine, name)(*args, **kwargs))
            result = attempt(lambda: value(*args, **kwargs))
            wanted = attempt(lambda: expected(*args, **kwargs))
            if isinstance(wanted, Exception):
                assert isinstance(result, Exception), (name, args, wanted)
                raise result
            assert result == wanted, (name, args)
            return result

        return verb


def attempt(verb: Callable[[], object]) -> object:
    try:
        return verb()
    except (ProtocolError, KeyError, ValueError) as error:
        return error


def outcome(
    machine: ClientMachine | H2Machine, data: bytes
) -> tuple[ProtocolError | None, list[Event]]:
    """Return the error that a read ends in, if it does, and the events."""
    try:
        return None, machine.receive_data(data)
    except ProtocolError as fault:
        return fault, fault.events  # type: ignore[attr-defined]
