"""The recorder, and its end at each connection.

A connection that is given a :class:`Recorder` asks it for a :class:`Tap` at each dial,
and tells the tap what it does and each byte that it sends and receives, in plain text.
One that is given none has ``None`` in the place of the tap, which is all it costs.

A tap is called under the lock of its BufferedSocket, and so are sinks. Nothing that
goes wrong in here may hurt a connection: a tap that fails says so in the trace, and
is silent from then on.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from datetime import datetime, timezone

from ..common.protocol import HTTPVersion
from ..transport.deadline import MONOTONIC, Clock
from .http1 import MessageReader
from .http2 import FrameReader
from .record import Detail, Record

#: What is given each record as it is made.
Sink = Callable[[Record], None]


class Recorder:
    """Records what happens on connections: give it to them as ``trace``.

    Any number of connections may share one, in any number of threads.

    :param sink: a function that gets each :class:`Record` when it is made, under the
        lock of a connection, so it must be quick and must not call the connection.
        None: they are kept in ``records``.
    :param secrets: whether to record the values of Authorization, Proxy-Authorization,
        Cookie and Set-Cookie.
    :param tables: whether to record HPACK's table after each header section.
    :param payloads: whether to record what is in the frames.
    :param clock: returns seconds.
    :ivar records: what was recorded, in the order in which it happened.
    :ivar started: when the recorder was made, in UTC.
    """

    def __init__(
        self,
        sink: Sink | None = None,
        *,
        secrets: bool = False,
        tables: bool = False,
        payloads: bool = False,
        clock: Clock = MONOTONIC,
    ) -> None:
        self.records: list[Record] = []
        self.started = datetime.now(timezone.utc)
        self._sink: Sink = sink or self.records.append
        self._secrets = secrets
        self._tables = tables
        self._payloads = payloads
        self._clock = clock
        self._zero = clock()
        self._numbers = iter(range(1, 2**63))  # next() is one step, in any thread

    def open(self, origin: str) -> Tap:
        """Return the tap of a connection that is about to be made.

        :param origin: what it leads to, for people.
        """
        tap = Tap(self, next(self._numbers))
        tap.step("start", origin=origin)
        return tap

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the records to a file; see :func:`hyper.trace.save`.

        :raises OSError: if it cannot be written.
        :raises ValueError: if its suffix names none of the four kinds.
        """
        from .file import save

        save(self.records, path, self.started)

    def _now(self) -> float:
        return round(self._clock() - self._zero, 6)


class Tap:
    """What one connection tells a recorder. Guarded by the connection's own lock."""

    def __init__(self, recorder: Recorder, number: int) -> None:
        self._recorder = recorder
        self._number = number
        self._frames: FrameReader | None = None
        self._messages: MessageReader | None = None
        self._silent = False

    def step(self, kind: str, **detail: Detail) -> None:
        """Note that a step of the connection is done."""
        self._note(kind, detail)

    def speaks(self, version: HTTPVersion) -> None:
        """Note what is spoken from the next byte on."""
        recorder = self._recorder
        self._note("speak", {"protocol": version.value})
        if version is HTTPVersion.http11:
            self._messages = MessageReader(recorder._secrets)
            return
        early = self._messages.leftover if self._messages else b""
        self._frames = FrameReader(
            recorder._secrets, recorder._tables, recorder._payloads
        )
        if early:
            self._feed("recv", early)

    def sent(self, data: bytes) -> None:
        """Note bytes that go to the peer. The first ones after :meth:`speaks` count."""
        self._feed("send", data)

    def received(self, data: bytes) -> None:
        """Note bytes that come from the peer."""
        self._feed("recv", data)

    def closed(self, failure: BaseException | None) -> None:
        """Note the end of the connection, and why."""
        self._note("closed", {"reason": str(failure)} if failure else {})

    def _feed(self, direction: str, data: bytes) -> None:
        if self._silent:
            return
        reader = self._frames or self._messages
        if reader is None:
            return
        try:
            seen = reader.sent(data) if direction == "send" else reader.received(data)
            now = self._recorder._now()
            for one in seen:
                self._recorder._sink(
                    Record(
                        now,
                        self._number,
                        one.kind,
                        direction,
                        one.stream_id,
                        one.length,
                        one.flags,
                        one.fields,
                        one.detail,
                        one.windows,
                        one.table,
                        one.payload,
                    )
                )
        except Exception as error:
            self._fail(error)

    def _note(self, kind: str, detail: Mapping[str, Detail]) -> None:
        if self._silent:
            return
        try:
            self._tell(kind, detail)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """End the trace: it is at fault, not the connection, which must not suffer."""
        self._silent = True
        with contextlib.suppress(Exception):
            self._tell("trace", {"failure": f"the trace ends here: {error!r}"})

    def _tell(self, kind: str, detail: Mapping[str, Detail]) -> None:
        now = self._recorder._now()
        self._recorder._sink(Record(now, self._number, kind, detail=detail))
