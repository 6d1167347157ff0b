"""HTTP/2 connections: what users hold in their hands."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
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
from ..transport.tls import H2, HTTP11, Context, TLSLayer
from .machine import ClientMachine
from .protocol import H2Protocol, MachineClass, WindowManagerClass
from .response import HTTP20Response
from .verbs import HTTP2Options, HTTP2Verbs
from .window import Windows

if TYPE_CHECKING:
    from ..trace.recorder import Recorder


class HTTP20Connection(HTTP2Verbs[HTTP20Response]):
    """A connection to one server over HTTP/2, shared by any number of threads.

    Each request is a stream of its own: requests of many threads, and many of one, are
    under way at the same time, and every response finds its request by its id. Every
    method may be called from any thread at any time.

    Connecting happens with the first request. When the server closes the connection,
    what it has taken goes on, and the next request connects anew.

    :param host: ``name``, ``name:port``, ``[v6]:port``, an IPv6 address, or an http or
        https URL.
    :param port: None for the one in ``host``, else 443.
    :param secure: whether to speak TLS. None: exactly if the port is 443, the URL says
        https, or ``sock`` speaks it. Without TLS, HTTP/2 is spoken from the first byte
        ("prior knowledge", RFC 9113 section 3.3).
    :param window_manager: a class made like
        :class:`~hyper.http20.window.BaseFlowControlManager`.
    :param enable_push: whether the server may push; see :meth:`get_pushes`.
    :param ssl_context: an :class:`ssl.SSLContext` to use. None: one that verifies
        certificates against certifi's authorities, or those that ``SSL_CERT_FILE`` or
        ``SSL_CERT_DIR`` name.
    :param proxy_host: the older way to name an HTTP proxy, with ``proxy_port`` (8080 if
        it is not given) and ``proxy_headers``, which are sent to the proxy alone.
    :param force_proto: take this as what ALPN chose, whatever it chose.
    :param timeout: seconds for connecting and for each wait; a pair (connect, read); a
        :class:`hyper.Timeout`; or None for no limit.
    :param state_machine: the HTTP/2 state machine: a class with the interface of
        :class:`h2.connection.H2Connection`, called with the settings to announce.
    :param windows: the sizes of the flow-control windows, and what they may grow to.
    :param settings: what the first SETTINGS frame says beside hyper's own, by name
        (``header_table_size``) or code; of equal ones, these count.
    :param keepalive: a pair of seconds, (idle, timeout). When nothing has come for
        ``idle`` seconds and a call waits, or a request is about to be sent, the server
        is asked by a PING whether it is there; after ``timeout`` seconds more without
        anything, it is given up for dead. None: never.
    :param sensitive: names of fields with secrets in them, as ``x-api-key``: they are
        never put into the compression table (RFC 7541 section 7.1.3). Authorization,
        Proxy-Authorization and Cookie always are treated so.
    :param proxy: the URL of a proxy to connect through, with credentials if it asks
        for them: ``http://user:password@host:port``, or with the scheme ``https``,
        ``socks4``, ``socks4a``, ``socks5`` or ``socks5h``. It gets ``proxy_headers``.
    :param source_address: a pair (host, port) to connect from.
    :param server_hostname: the name to ask for by SNI, and that the certificate has to
        show, in the place of ``host``.
    :param pins: the keys that the server may have, whoever vouches for it: each the
        SHA-256 of its SubjectPublicKeyInfo, ``sha256//BASE64`` or ``sha256:HEX``. One
        has to match that of the certificate, or there is a TLSError that tells it,
        before anything of a request is sent. None: any key will do.
    :param uds: the path of a unix socket to connect to, in the place of ``host``.
    :param sock: a connected socket to use. It belongs to the connection from then on,
        and there is no other when it has ended. With an :class:`ssl.SSLSocket` whose
        handshake is done, TLS is taken as it is: who made it has chosen whom to trust
        and what to offer by ALPN.
    :param socket_options: what to give to ``setsockopt`` before connecting.
    :param connect_to: a pair (host, port) to connect to in the place of ``host`` and
        ``port``, which all else is about. Not used where there is a proxy.
    :param trace: a :class:`hyper.trace.Recorder`, which records all that happens on
        the wire. None: nothing does.
    :raises LocalProtocolError: if ``host`` or ``proxy`` names no server, a setting is
        unknown, or ``pins`` are none or come without TLS.
    """

    version = HTTPVersion.http20

    def __init__(
        self,
        host: str,
        port: int | None = None,
        secure: bool | None = None,
        window_manager: WindowManagerClass | None = None,
        enable_push: bool = False,
        ssl_context: Context | None = None,
        proxy_host: str | None = None,
        proxy_port: int | None = None,
        force_proto: str | None = None,
        proxy_headers: Mapping[str, str] | None = None,
        timeout: TimeoutLike = None,
        *,
        state_machine: MachineClass = ClientMachine,
        windows: Windows | None = None,
        settings: Mapping[str | int, int] | None = None,
        keepalive: tuple[float, float] | None = None,
        sensitive: Collection[str] = (),
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
        origin = parse_host(host, port, secure_by(secure, sock), default_port=443)
        # http/1.1 is offered so that a server without HTTP/2 can say so.
        tls = TLSParameters.of(origin, ssl_context, (H2, HTTP11), server_hostname, pins)
        options = HTTP2Options(
            window_manager,
            enable_push,
            state_machine,
            windows or Windows(),
            settings or {},
            keepalive,
            sensitive,
        )
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
            forward=False,
            connect_to=connect_to,
            trace=trace,
        )
        super().__init__(origin, tls, timeout, options, route)
        self._force_proto = force_proto

    def _make_protocol(self, tls: TLSLayer | None, next_stream_id: int) -> H2Protocol:
        if tls is not None and (self._force_proto or tls.alpn) != H2:
            raise no_http2(self.host, tls)
        return self._new_h2_protocol(tls, next_stream_id)

    def _make_response(self, exchange: Exchange) -> HTTP20Response:
        return HTTP20Response(
            exchange.line, exchange.stream, exchange.stream_id, exchange.deadlines
        )


def no_http2(host: str, tls: TLSLayer) -> TLSError:
    """Return what is to be said when ALPN was offered h2 and has not chosen it."""
    return TLSError(
        f"{host} does not speak HTTP/2: of h2 and http/1.1, ALPN chose "
        f"{tls.alpn or 'neither'}"
    )
