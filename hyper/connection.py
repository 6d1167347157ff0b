"""The connection that takes what the server speaks."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

from .common.exceptions import ConnectionTerminated, HyperError, StreamResetError
from .common.protocol import HTTP_1_1_REQUIRED, HTTPVersion, WireProtocol
from .common.target import parse_host
from .exchange import Exchange
from .http11.protocol import H11Protocol
from .http11.response import HTTP11Response
from .http20.protocol import MachineClass, WindowManagerClass
from .http20.reference import H2Machine
from .http20.response import HTTP20Response
from .http20.verbs import HTTP2Options, HTTP2Verbs
from .http20.window import Windows
from .transport.deadline import TimeoutLike
from .transport.dial import TLSParameters
from .transport.tls import H2, HTTP11, TLSFilter, default_context


class HTTPConnection(HTTP2Verbs[HTTP11Response | HTTP20Response]):
    """A connection to one server in the best version of HTTP that it speaks.

    With TLS the server chooses by ALPN, anew at each connect; without it, HTTP/1.1 is
    spoken. Ids work alike in both, so code need not know which it was. If the server
    asks for HTTP/1.1 instead of HTTP/2 (HTTP_1_1_REQUIRED), it gets it from then on.
    Every method may be called from any thread at any time.

    :param host: ``name``, ``name:port``, ``[v6]:port``, an IPv6 address, or an http or
        https URL.
    :param port: None for the one in ``host``, else 80, or 443 if ``secure``.
    :param secure: whether to speak TLS. None: exactly if the port is 443 or the URL
        says https.
    :param window_manager: as for :class:`~hyper.HTTP20Connection`, as are
        ``enable_push``, ``ssl_context``, ``state_machine``, ``windows`` and
        ``settings``.
    :param proxy_host: not available yet, nor are the other ``proxy_`` parameters.
    :param timeout: seconds for connecting and for each wait; a pair (connect, read); a
        :class:`hyper.Timeout`; or None for no limit.
    :raises LocalProtocolError: if ``host`` names no server.
    """

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
        proxy_headers: Mapping[str, str] | None = None,
        timeout: TimeoutLike = None,
        *,
        state_machine: MachineClass = H2Machine,
        windows: Windows | None = None,
        settings: Mapping[str | int, int] | None = None,
    ) -> None:
        if proxy_host is not None:
            raise NotImplementedError("proxies are not available yet")
        origin = parse_host(host, port, secure, default_port=80)
        tls = None
        if origin.secure:
            tls = TLSParameters(ssl_context or default_context(), (H2, HTTP11))
        options = HTTP2Options(
            window_manager,
            enable_push,
            state_machine,
            windows or Windows(),
            settings or {},
        )
        super().__init__(origin, tls, timeout, options)

    @property
    def version(self) -> HTTPVersion:
        """What is spoken now; HTTP/1.1 before anything is."""
        line = self._line
        return HTTPVersion.http11 if line is None else line.protocol.version

    def _make_protocol(
        self, tls: TLSFilter | None, next_stream_id: int
    ) -> WireProtocol:
        if tls is None or tls.alpn != H2:
            return H11Protocol(next_stream_id=next_stream_id)
        return self._new_h2_protocol(tls, next_stream_id)

    def _falls_back(self, exchange: Exchange, error: HyperError) -> bool:
        reason = error.__cause__ or error  # a GOAWAY is the cause
        if (
            self._tls is None
            or not isinstance(reason, (ConnectionTerminated, StreamResetError))
            or reason.error_code != HTTP_1_1_REQUIRED
        ):
            return False
        self._tls = TLSParameters(self._tls.context, (HTTP11,))
        with exchange.line.socket:
            exchange.line.protocol.retire()
        return True

    def _make_response(self, exchange: Exchange) -> HTTP11Response | HTTP20Response:
        of_version = (
            HTTP20Response
            if exchange.line.protocol.version is HTTPVersion.http20
            else HTTP11Response
        )
        return of_version(
            exchange.line, exchange.stream, exchange.stream_id, exchange.deadlines
        )
