"""What hyper's state machines say and obey beside what h2's interface has.

There are two of them, :class:`~hyper.http20.machine.ClientMachine` and its reference,
:class:`~hyper.http20.reference.H2Machine`, and either may take the other's place: the
events and the error that h2 does not know, the first settings and the limits are the
same for both.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, Event, StreamReset
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from ..common.stream import Run

#: Frames that ask for work and bring nothing, in a row, before the peer is given up.
CONTROL_FRAME_BUDGET = 1000
#: Go, curl and hyperium/h2 cap the encoder's table at the same size: a larger one costs
#: memory for each connection, and saves little.
MAX_ENCODER_TABLE = 4096
#: The size of a header section, by the reckoning of RFC 9113 section 6.5.2.
MAX_HEADER_LIST_SIZE = 65536
#: The setting that says that the priorities of RFC 7540 mean nothing (RFC 9218 s. 2.1).
NO_RFC7540_PRIORITIES = 0x9

_KNOWN_SETTINGS = frozenset((*map(int, SettingCodes), NO_RFC7540_PRIORITIES))
_ENTRY = struct.Struct(">HL")


class CompressionError(ProtocolError):
    """A header block could not be decoded: the HPACK state is lost."""

    error_code = ErrorCodes.COMPRESSION_ERROR


class MalformedResponse(StreamReset):
    """A stream that the machine reset, and why: ``reason`` is a text for people."""

    reason: str = ""


@dataclass(frozen=True)
class OriginReceived(Event):
    """An ORIGIN frame: what else the server says to be (RFC 8336).

    ``origins`` are ASCII and not empty, and otherwise not looked at.
    """

    origins: tuple[bytes, ...]


@dataclass(frozen=True)
class DataRunReceived(Event):
    """Frames of DATA came in a row, all of one stream and of one length.

    It stands for an event ``DataReceived`` for each. None of them has padding, is
    empty, or ends the stream.
    """

    stream_id: int
    #: What the frames hold.
    run: Run


def client_settings(wanted: Mapping[int, int]) -> Settings:
    """Return what a client says in its first SETTINGS frame."""
    values: dict[int, int] = {
        SettingCodes.ENABLE_PUSH: 0,
        SettingCodes.MAX_CONCURRENT_STREAMS: 100,
        SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEADER_LIST_SIZE,
        NO_RFC7540_PRIORITIES: 1,
    }
    values.update(wanted)
    settings = Settings(
        client=True, initial_values=cast("dict[SettingCodes, int]", values)
    )
    if SettingCodes.ENABLE_CONNECT_PROTOCOL not in wanted:
        # A server's setting (RFC 8441 section 3); some servers refuse a client's.
        del settings[SettingCodes.ENABLE_CONNECT_PROTOCOL]
    return settings


class _Values(list[int]):
    """The value of a setting, and behind it those that wait for acknowledgement."""

    __slots__ = ()

    def popleft(self) -> int:
        return self.pop(0)


def lean(settings: Settings) -> Settings:
    """Return the settings themselves, in a tenth of the memory.

    h2 has a deque of 760 bytes for every setting: they would be the largest part of
    what an idle connection takes.
    """
    values = cast("dict[int, object]", settings._settings)
    for code, deque in settings._settings.items():
        values[code] = _Values(deque)
    return settings


def protocol_error(
    text: str, code: ErrorCodes = ErrorCodes.PROTOCOL_ERROR
) -> ProtocolError:
    """Return an error of the connection, for those to raise who find its reason."""
    fault = ProtocolError(text)
    fault.error_code = code
    return fault


def known_settings(body: bytes, remote: Settings) -> Iterator[tuple[int, int]]:
    """Yield the settings in a frame that a client knows, as the peer has put them.

    What is not known is not kept, or a peer could have it kept without end. The size of
    the encoder's table is capped.

    :param remote: the peer's settings before.
    :raises ProtocolError: if a value is not allowed.
    """
    connect = remote.enable_connect_protocol
    for code, value in _ENTRY.iter_unpack(body):
        if code == SettingCodes.HEADER_TABLE_SIZE:
            value = min(value, MAX_ENCODER_TABLE)
        elif code == SettingCodes.ENABLE_CONNECT_PROTOCOL:
            if value < connect:  # RFC 8441 section 3
                raise protocol_error("the server took extended CONNECT back")
            connect = value
        elif code == NO_RFC7540_PRIORITIES and value > 1:  # RFC 9218 section 2.1
            raise protocol_error(f"the setting {code} is {value}")
        if code in _KNOWN_SETTINGS:
            yield code, value


def settings_body(settings: Mapping[int, int]) -> bytes:
    """Return what a SETTINGS frame with these settings consists of."""
    return b"".join(_ENTRY.pack(code, value) for code, value in settings.items())


def goaway(body: bytes) -> ConnectionTerminated:
    """Return the event of a GOAWAY frame of eight bytes or more."""
    last_stream_id, code = struct.unpack_from(">LL", body)
    event = ConnectionTerminated()
    event.error_code = error_code(code)
    event.last_stream_id = last_stream_id & 0x7FFFFFFF
    event.additional_data = body[8:] or None
    return event


def error_code(code: int) -> ErrorCodes | int:
    """Return an error code by its name, if it has one."""
    try:
        return ErrorCodes(code)
    except ValueError:
        return code


def origins(body: bytes) -> tuple[bytes, ...] | None:
    """Return what an ORIGIN frame names; None if it cannot be read.

    What cannot be an origin is passed over (RFC 8336 appendix A).
    """
    found = []
    start = 0
    while start < len(body):
        end = start + 2 + int.from_bytes(body[start : start + 2], "big")
        origin = body[start + 2 : end]
        if end > len(body):
            return None
        if origin and origin.isascii():
            found.append(origin)
        start = end
    return tuple(found)
