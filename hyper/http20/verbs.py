"""The verbs that only HTTP/2 has, and what an HTTP/2 connection is made with."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

from h2.settings import SettingCodes, Settings

from ..common.exceptions import LocalProtocolError
from ..common.protocol import NO_ERROR, WireProtocol
from ..common.target import Origin
from ..common.validation import field_name, priority_value
from ..exchange import UNSET, Exchange, R, Unset
from ..response import Line
from ..transport.bufsocket import BufferedSocket
from ..transport.deadline import Deadline, Deadlines, Keepalive, TimeoutLike
from ..transport.dial import STRAIGHT, Route, TLSParameters
from ..transport.tls import TLSLayer
from ..verbs import Connection
from .dialect import NO_RFC7540_PRIORITIES
from .machine import ClientMachine
from .protocol import (
    HIGHEST_STREAM_ID,
    H2Protocol,
    MachineClass,
    WindowManagerClass,
)
from .push import HTTP20Push
from .window import AutoFlowControlManager, Windows

_NOBODY: frozenset[bytes] = frozenset()  # Python makes a new one each time.
#: How many requests are remembered for what was pushed with them.
PARENTS_KEPT = 100


@dataclass(frozen=True, slots=True)
class HTTP2Options:
    """What users may choose about HTTP/2; see :class:`~hyper.HTTP20Connection`.

    :raises LocalProtocolError: if a setting has no such name, or is not the user's to
        choose.
    """

    window_manager: WindowManagerClass | None = None
    enable_push: bool = False
    state_machine: MachineClass = ClientMachine
    windows: Windows = field(default_factory=Windows)
    settings: Mapping[str | int, int] = field(default_factory=dict)
    keepalive: tuple[float, float] | None = None
    sensitive: Collection[str] = ()

    def __post_init__(self) -> None:
        if SettingCodes.ENABLE_PUSH in self._codes():
            raise LocalProtocolError("enable_push is an argument of its own")
        if self.keepalive is not None:
            Keepalive(*self.keepalive)
        if isinstance(self.sensitive, str):
            raise TypeError("sensitive is a collection of names, not a name")
        for name in self.sensitive:
            field_name(name)

    def protocol(
        self,
        next_stream_id: int,
        authorities: frozenset[bytes],
        upgrade: bool = False,
    ) -> H2Protocol:
        """Return the Protocol of a new connection.

        Ids of clients are odd (RFC 9113 section 5.1.1), and go on where the last
        connection's ended: servers accept any first id, and users never see one twice.
        """
        settings = self._codes()
        windows = self.windows
        stream = settings.setdefault(SettingCodes.INITIAL_WINDOW_SIZE, windows.stream)
        if stream != windows.stream:
            windows = replace(
                windows,
                stream=max(1, stream),
                max_stream=max(1, stream, windows.max_stream),
                total=max(stream, windows.total),
            )
        settings[SettingCodes.ENABLE_PUSH] = int(self.enable_push)
        return H2Protocol(
            self.state_machine(settings),
            self.window_manager or AutoFlowControlManager,
            # The highest id ends a connection; the next one may begin anew.
            next_stream_id | 1 if next_stream_id <= HIGHEST_STREAM_ID else 1,
            windows=windows,
            authorities=authorities if self.enable_push else _NOBODY,
            sensitive=frozenset(name.lower().encode() for name in self.sensitive),
            upgrade=upgrade,
        )

    def _codes(self) -> dict[int, int]:
        return {_code(name): value for name, value in self.settings.items()}


def _code(name: str | int) -> int:
    if isinstance(name, int):
        return name
    if name.lower() == "no_rfc7540_priorities":
        return NO_RFC7540_PRIORITIES
    try:
        return SettingCodes[name.upper()]
    except KeyError:
        raise LocalProtocolError(f"no setting is called {name!r}") from None


class HTTP2Verbs(Connection[R]):
    """A connection that can speak HTTP/2."""

    def __init__(
        self,
        origin: Origin,
        tls: TLSParameters | None,
        timeout: TimeoutLike,
        options: HTTP2Options,
        route: Route = STRAIGHT,
    ) -> None:
        super().__init__(origin, tls, timeout, route)
        self._options = options
        # Requests that pushes may come for, the latest last. Guarded by _mutex.
        self._parents: OrderedDict[int, Exchange] = OrderedDict()

    def close(self, error_code: int | None = None) -> None:
        """Close the connection. Idempotent; a later request connects anew.

        Every call of another thread that waits is woken and raises ConnectionLost.
        Responses that have come completely can still be read.

        :param error_code: what to tell the server by GOAWAY; None for NO_ERROR.
        """
        self._close(NO_ERROR if error_code is None else error_code)

    def ping(
        self,
        opaque_data: str | bytes | None = None,
        *,
        timeout: TimeoutLike | Unset = UNSET,
    ) -> float:
        """Send a PING, wait for its answer and return the round trip in seconds.

        :param opaque_data: eight bytes to send. None: some of hyper's own.
        :param timeout: as for :meth:`request`; its ``read`` limit bounds the wait.
        :raises ValueError: if ``opaque_data`` is not eight bytes.
        :raises LocalProtocolError: if the server speaks HTTP/1.1.
        :raises ReadTimeout: if no answer came in time. The connection is left alone.
        """
        data = opaque_data.encode() if isinstance(opaque_data, str) else opaque_data
        if data is not None and len(data) != 8:
            raise ValueError(f"a PING carries 8 bytes, not {len(data)}")
        deadlines = self._deadlines(timeout)
        line, protocol = self._get_h2_line(deadlines)
        with line.socket:
            pass  # looks at what came: the server may have closed it while it was idle
        if line.socket.closed or not protocol.accepting:
            line, protocol = self._get_h2_line(deadlines)
        with line.socket as wire:
            started = deadlines.now()
            ping = protocol.ping(data)
            wire.wait_until(
                lambda: ping.answered,
                ping,
                deadlines.read(),
                f"waiting for {self.host} to answer a PING",
            )
            self._round_trip = deadlines.now() - started
            return self._round_trip

    @property
    def remote_settings(self) -> Settings:
        """The server's settings, waiting until they have come.

        :raises LocalProtocolError: if the server speaks HTTP/1.1.
        :raises HyperError: if no connection can be made, or it ends first.
        """
        deadlines = self._deadlines(UNSET)
        line, protocol = self._get_h2_line(deadlines)
        with line.socket as wire:
            wire.wait_until(
                lambda: protocol.settings_received,
                protocol,
                deadlines.read(),
                f"waiting for the settings of {self.host}",
            )
        return protocol.machine.remote_settings

    @property
    def max_concurrent_streams(self) -> int:
        """How many requests the server allows at a time; waits as the settings do."""
        return self.remote_settings.max_concurrent_streams

    @property
    def _conn(self) -> AbstractContextManager[HTTP2Verbs[R]]:
        """What 0.7 kept h2's connection in, and its lock.

        No public name led to the server's settings then, so that programs went by this
        one: ``with conn._conn as c: c.remote_settings.max_concurrent_streams``.
        """
        return nullcontext(self)

    def update_priority(self, stream_id: int, priority: int | str | bytes) -> None:
        """Tell the server anew how soon a response is needed (RFC 9218 section 7.1).

        Does nothing if the request is not under way on the current connection.

        :param stream_id: what :meth:`request` returned.
        :param priority: as for :meth:`request`.
        :raises LocalProtocolError: if it is no priority, or the server speaks HTTP/1.1.
        """
        value = priority_value(priority)
        line = self._line
        if line is None:
            return
        if not isinstance(line.protocol, H2Protocol):
            raise self._not_in_http11()
        with self._mutex:
            exchange = self._exchanges.get(stream_id)
        with line.socket:
            line.protocol.update_priority(
                exchange.stream.stream_id if exchange else stream_id, value
            )

    @property
    def origins(self) -> tuple[str, ...]:
        """What else the server of the current connection claims to be (RFC 8336).

        Only a certificate could prove it. Nothing is concluded from it.
        """
        protocol = self._h2_protocol()
        return tuple(protocol.origins) if protocol else ()

    @property
    def alternative_services(self) -> Mapping[str, str]:
        """Where else origins are to be found, as the server said by ALTSVC frames.

        The value of Alt-Svc (RFC 7838 section 3) for each origin. Nothing is concluded
        from it.
        """
        protocol = self._h2_protocol()
        return dict(protocol.alternative_services) if protocol else {}

    def _h2_protocol(self) -> H2Protocol | None:
        """Return what the current connection speaks, having looked at what came."""
        line = self._line
        if line is None or not isinstance(line.protocol, H2Protocol):
            return None
        with line.socket:
            return line.protocol

    def get_pushes(
        self, stream_id: int | None = None, capture_all: bool = False
    ) -> Iterator[HTTP20Push]:
        """Iterate over what the server promised to push beside a response.

        What was returned once is not returned again. A promise that nobody takes is
        cancelled when its request's response is closed early, or with the connection;
        there are never more than 32 at a time.

        :param stream_id: the request; None for the latest. It may be done already.
        :param capture_all: whether to wait for more promises, until the response ends.
        :raises LocalProtocolError: if there is no such request, or the connection was
            made without ``enable_push``.
        :raises HyperError: if ``capture_all`` waits and the response fails.
        """
        if not self._options.enable_push:
            raise LocalProtocolError("the connection was made without enable_push")
        with self._mutex:
            if stream_id is None and self._parents:
                stream_id = next(reversed(self._parents))
            parent = self._parents.get(stream_id or 0)
        if parent is None:
            raise LocalProtocolError(f"no request {stream_id!r} is known")
        return self._take_pushes(parent, capture_all)

    def _take_pushes(self, parent: Exchange, capture_all: bool) -> Iterator[HTTP20Push]:
        stream = parent.stream
        while True:
            with parent.line.socket as wire:
                if capture_all:
                    wire.wait_until(
                        lambda: bool(stream.promises) or stream.over,
                        stream,
                        parent.deadlines.read(),
                        f"waiting for pushes on stream {stream.stream_id}",
                    )
                if not stream.promises:
                    if capture_all and stream.error is not None:
                        raise stream.error.fresh()
                    return
                promise = stream.promises.pop(0)
            yield HTTP20Push(parent.line, promise, parent.deadlines)

    def _begin(self, exchange: Exchange) -> int:
        stream_id = super()._begin(exchange)
        if self._options.enable_push:
            with self._mutex:
                self._parents[stream_id] = exchange
                if len(self._parents) > PARENTS_KEPT:
                    self._parents.popitem(last=False)
        return stream_id

    def _get_h2_line(self, deadlines: Deadlines) -> tuple[Line, H2Protocol]:
        line = self._get_line(deadlines, self._closings)
        if not isinstance(line.protocol, H2Protocol):
            raise self._not_in_http11()
        return line, line.protocol

    def _not_in_http11(self) -> LocalProtocolError:
        return LocalProtocolError(f"{self.host} speaks HTTP/1.1, which has no such")

    def _new_h2_protocol(
        self, tls: TLSLayer | None, next_stream_id: int, upgrade: bool = False
    ) -> H2Protocol:
        return self._options.protocol(next_stream_id, self._authorities(tls), upgrade)

    def _start(
        self,
        wire: BufferedSocket,
        tls: TLSLayer | None,
        next_stream_id: int,
        deadline: Deadline,
    ) -> WireProtocol:
        protocol = super()._start(wire, tls, next_stream_id, deadline)
        if isinstance(protocol, H2Protocol):
            self._keep_alive(wire)
        return protocol

    def _keep_alive(self, wire: BufferedSocket) -> None:
        if self._options.keepalive is not None:
            wire.keep_alive(Keepalive(*self._options.keepalive))

    def _authorities(self, tls: TLSLayer | None) -> frozenset[bytes]:
        """Return for whom the server may speak: the names of its certificate.

        Wildcards are left out: they say too little about who may push for whom.
        """
        if tls is None or not self._options.enable_push:
            return frozenset([self._authority])
        port = self._authority[len(self._origin.host.encode()) :]
        names = {name.encode() + port for name in tls.names if "*" not in name}
        return frozenset(names | {self._authority})
