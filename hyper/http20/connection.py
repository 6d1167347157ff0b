"""HTTP/2 connections: what users hold in their hands."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

from h2.settings import Settings

from ..common.exceptions import TLSError
from ..common.protocol import HTTPVersion
from ..common.target import parse_host
from ..exchange import UNSET, Exchange, Unset
from ..response import Line
from ..transport.deadline import Deadlines, TimeoutLike
from ..transport.dial import TLSParameters
from ..transport.tls import H2, HTTP11, default_context
from ..verbs import Connection
from .protocol import H2Protocol, MachineClass, WindowManagerClass
from .reference import H2Machine
from .response import HTTP20Response
from .window import AutoFlowControlManager, Windows


def new_protocol(
    state_machine: MachineClass,
    window_manager: WindowManagerClass | None,
    windows: Windows,
    next_stream_id: int,
) -> H2Protocol:
    """Return the Protocol of a new connection.

    Ids of clients are odd (RFC 9113 section 5.1.1), and go on where the last
    connection's ended: servers accept any first id, and users never see one twice.
    """
    return H2Protocol(
        state_machine(windows.stream, False),
        window_manager or AutoFlowControlManager,
        next_stream_id | 1,
        windows=windows,
    )


class HTTP20Connection(Connection[HTTP20Response]):
    """A connection to one server over HTTP/2, shared by any number of threads.

    Each request is a stream of its own: requests of many threads, and many of one, are
    under way at the same time, and every response finds its request by its id. Every
    method may be called from any thread at any time.

    Connecting happens with the first request. When the server closes the connection,
    what it has taken goes on, and the next request connects anew.

    :param host: ``name``, ``name:port``, ``[v6]:port``, an IPv6 address, or an http or
        https URL.
    :param port: None for the one in ``host``, else 443.
    :param secure: whether to speak TLS. None: exactly if the port is 443 or the URL
        says https. Without TLS, HTTP/2 is spoken from the first byte ("prior
        knowledge", RFC 9113 section 3.3).
    :param window_manager: a class made like
        :class:`~hyper.http20.window.BaseFlowControlManager`.
    :param enable_push: not available yet.
    :param ssl_context: an :class:`ssl.SSLContext` to use. None: one that verifies
        certificates against certifi's authorities, or those that ``SSL_CERT_FILE`` or
        ``SSL_CERT_DIR`` name.
    :param proxy_host: not available yet, nor are the other ``proxy_`` parameters.
    :param force_proto: take this as what ALPN chose, whatever it chose.
    :param timeout: seconds for connecting and for each wait; a pair (connect, read); a
        :class:`hyper.Timeout`; or None for no limit.
    :param state_machine: the HTTP/2 state machine: a class with the interface of
        :class:`h2.connection.H2Connection`, called with the window size of streams and
        whether push is allowed.
    :param windows: the sizes of the flow-control windows, and what they may grow to.
    :raises LocalProtocolError: if ``host`` names no server.
    """

    version = HTTPVersion.http20

    def __init__(
        self,
        host: str,
        port: int | None = None,
        secure: bool | None = None,
        window_manager: WindowManagerClass | None = None,
        enable_push: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        proxy_host: str | None = None,
        proxy_port: int | None = None,
        force_proto: str | None = None,
        proxy_headers: Mapping[str, str] | None = None,
        timeout: TimeoutLike = None,
        *,
        state_machine: MachineClass = H2Machine,
        windows: Windows | None = None,
    ) -> None:
        if proxy_host is not None:
            raise NotImplementedError("proxies are not available yet")
        if enable_push:
            raise NotImplementedError("server push is not available yet")
        origin = parse_host(host, port, secure, default_port=443)
        tls = None
        if origin.secure:
            # http/1.1 is offered so that a server without HTTP/2 can say so.
            tls = TLSParameters(ssl_context or default_context(), (H2, HTTP11))
        super().__init__(origin, tls, timeout)
        self._force_proto = force_proto
        self._window_manager = window_manager
        self._state_machine = state_machine
        self._windows = windows or Windows()

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
        :raises ReadTimeout: if no answer came in time. The connection is left alone.
        """
        data = opaque_data.encode() if isinstance(opaque_data, str) else opaque_data
        if data is not None and len(data) != 8:
            raise ValueError(f"a PING carries 8 bytes, not {len(data)}")
        deadlines = self._deadlines(timeout)
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
            return deadlines.now() - started

    @property
    def remote_settings(self) -> Settings:
        """The server's settings, waiting until they have come.

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

    def _get_h2_line(self, deadlines: Deadlines) -> tuple[Line, H2Protocol]:
        line = self._get_line(deadlines, self._closings)
        assert isinstance(line.protocol, H2Protocol)
        return line, line.protocol

    def _make_protocol(self, alpn: str | None, next_stream_id: int) -> H2Protocol:
        chosen = self._force_proto or alpn
        if self._tls is not None and chosen != H2:
            raise TLSError(
                f"{self.host} does not speak HTTP/2: of h2 and http/1.1, ALPN chose "
                f"{alpn or 'neither'}"
            )
        return new_protocol(
            self._state_machine, self._window_manager, self._windows, next_stream_id
        )

    def _make_response(self, exchange: Exchange) -> HTTP20Response:
        return HTTP20Response(
            exchange.line, exchange.stream, exchange.stream_id, exchange.deadlines
        )
