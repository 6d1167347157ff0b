"""HTTP/1.1 connections: what users hold in their hands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ..common.exceptions import TLSError
from ..common.pins import Pins
from ..common.protocol import HTTPVersion
from ..common.target import parse_host
from ..exchange import Exchange
from ..transport.deadline import TimeoutLike
from ..transport.dial import (
    Route,
    Socket,
    SocketOption,
    TLSParameters,
    secure_by,
)
from ..transport.proxy import Proxy
from ..transport.tls import HTTP11, Context, TLSLayer
from ..verbs import Connection
from .protocol import H11Protocol
from .response import HTTP11Response

if TYPE_CHECKING:
    from ..trace.recorder import Recorder


class HTTP11Connection(Connection[HTTP11Response]):
    """A connection to one server over HTTP/1.1, shared by any number of threads.

    HTTP/1.1 carries one exchange at a time. A request that is made while another's
    response is under way waits for its turn; requests take turns in the order in which
    they came. ``request()`` returns ids all the same, so that code is the same for both
    versions.

    :param host: ``name``, ``name:port``, ``[v6]:port``, an IPv6 address, or an http or
        https URL.
    :param port: None for the one in ``host``, else 80, or 443 if ``secure``.
    :param secure: whether to speak TLS. None: exactly if the port is 443, the URL says
        https, or ``sock`` speaks it.
    :param ssl_context: as for :class:`~hyper.HTTP20Connection`.
    :param proxy_host: the older way to name an HTTP proxy, with ``proxy_port`` (8080 if
        it is not given) and ``proxy_headers``, which are sent to the proxy alone.
    :param timeout: seconds for connecting and for each wait; a pair (connect, read); a
        :class:`hyper.Timeout`; or None for no limit.
    :param proxy: as for :class:`~hyper.HTTP20Connection`, as are ``source_address``,
        ``server_hostname``, ``pins``, ``uds``, ``sock``, ``socket_options``,
        ``connect_to`` and ``trace``.
    :raises LocalProtocolError: as for :class:`~hyper.HTTP20Connection`.
    """

    version = HTTPVersion.http11

    def __init__(
        self,
        host: str,
        port: int | None = None,
        secure: bool | None = None,
        ssl_context: Context | None = None,
        proxy_host: str | None = None,
        proxy_port: int | None = None,
        proxy_headers: Mapping[str, str] | None = None,
        timeout: TimeoutLike = None,
        *,
        proxy: str | Proxy | None = None,
        source_address: tuple[str, int] | None = None,
        server_hostname: str | None = None,
        pins: Pins = None,
        uds: str | None = None,
        sock: Socket | None = None,
        socket_options: Iterable[SocketOption] = (),
        connect_to: tuple[str, int] | None = None,
        trace: Recorder | None = None,
    ) -> None:
        origin = parse_host(host, port, secure_by(secure, sock), default_port=80)
        tls = TLSParameters.of(origin, ssl_context, (HTTP11,), server_hostname, pins)
        route = Route.of(
            proxy,
            proxy_host,
            proxy_port,
            proxy_headers,
            ssl_context,
            uds,
            sock,
            source_address,
            socket_options,
            forward=True,
            connect_to=connect_to,
            trace=trace,
        )
        super().__init__(origin, tls, timeout, route)

    def _make_protocol(self, tls: TLSLayer | None, next_stream_id: int) -> H11Protocol:
        if tls is not None and tls.alpn not in (None, HTTP11):
            raise TLSError(f"{self.host} has agreed by ALPN to speak {tls.alpn}")
        return H11Protocol(
            next_stream_id=next_stream_id,
            forward=self._route.forwarded(tls),
            authority=self._authority,
        )

    def _make_response(self, exchange: Exchange) -> HTTP11Response:
        return HTTP11Response(
            exchange.line, exchange.stream, exchange.stream_id, exchange.deadlines
        )
