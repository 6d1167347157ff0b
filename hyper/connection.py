"""The connection that takes what the server speaks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from .common.exceptions import (
    ConnectionTerminated,
    HyperError,
    RemoteProtocolError,
    StreamResetError,
    TLSError,
)
from .common.pins import Pins
from .common.protocol import (
    CANCEL,
    HTTP_1_1_REQUIRED,
    HTTPVersion,
    WireProtocol,
)
from .common.request import Request
from .common.target import parse_host
from .exchange import Exchange
from .http11.protocol import H11Protocol
from .http11.response import HTTP11Response
from .http20.connection import no_http2
from .http20.machine import ClientMachine
from .http20.protocol import MachineClass, WindowManagerClass
from .http20.response import HTTP20Response
from .http20.verbs import HTTP2Options, HTTP2Verbs
from .http20.window import Windows
from .transport.bufsocket import BufferedSocket
from .transport.deadline import Deadline, TimeoutLike
from .transport.dial import (
    Route,
    Socket,
    SocketOption,
    TLSParameters,
    secure_by,
)
from .transport.proxy import Proxy
from .transport.tls import H2, HTTP11, Context, TLSLayer

if TYPE_CHECKING:
    from .trace.recorder import Recorder

#: How much of the answer to a question for HTTP/2 is read to keep the connection.
MAX_OPTIONS_BODY = 65536


class HTTPConnection(HTTP2Verbs[HTTP11Response | HTTP20Response]):
    """A connection to one server in the best version of HTTP that it speaks.

    With TLS the server chooses by ALPN, anew at each connect; without it, HTTP/1.1 is
    spoken. Ids work alike in both, so code need not know which it was. If the server
    asks for HTTP/1.1 instead of HTTP/2 (HTTP_1_1_REQUIRED), it gets it from then on.
    Every method may be called from any thread at any time.

    :param host: ``name``, ``name:port``, ``[v6]:port``, an IPv6 address, or an http or
        https URL.
    :param port: None for the one in ``host``, else 80, or 443 if ``secure``.
    :param secure: whether to speak TLS. None: exactly if the port is 443, the URL says
        https, or ``sock`` speaks it.
    :param window_manager: as for :class:`~hyper.HTTP20Connection`, as are
        ``enable_push``, ``ssl_context``, ``state_machine``, ``windows``,
        ``settings``, ``keepalive`` and ``sensitive``.
    :param proxy_host: the older way to name an HTTP proxy, with ``proxy_port`` (8080 if
        it is not given) and ``proxy_headers``, which are sent to the proxy alone.
    :param timeout: seconds for connecting and for each wait; a pair (connect, read); a
        :class:`hyper.Timeout`; or None for no limit.
    :param h2c: what to do without TLS. ``off``: speak HTTP/1.1. ``upgrade``: ask the
        server, by a request of its own, to go over to HTTP/2 (RFC 7540 section 3.2),
        and speak what it chooses. ``prior-knowledge``: speak HTTP/2.
    :param http1: whether HTTP/1.1 may be spoken. If not, a server that does not speak
        HTTP/2 is a TLSError, and without TLS it is spoken by prior knowledge.
    :param http2: whether HTTP/2 may be spoken.
    :param proxy: as for :class:`~hyper.HTTP20Connection`, as are ``source_address``,
        ``server_hostname``, ``pins``, ``uds``, ``sock``, ``socket_options``,
        ``connect_to`` and ``trace``.
    :raises LocalProtocolError: as for :class:`~hyper.HTTP20Connection`.
    :raises ValueError: if ``h2c`` is none of these, or leaves a choice that there is
        not, or nothing may be spoken.
    """

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
        proxy_headers: Mapping[str, str] | None = None,
        timeout: TimeoutLike = None,
        *,
        state_machine: MachineClass = ClientMachine,
        windows: Windows | None = None,
        settings: Mapping[str | int, int] | None = None,
        keepalive: tuple[float, float] | None = None,
        sensitive: Collection[str] = (),
        h2c: str = "off",
        http1: bool = True,
        http2: bool = True,
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
        if h2c not in ("off", "upgrade", "prior-knowledge"):
            raise ValueError(f"h2c is 'off', 'upgrade' or 'prior-knowledge', not {h2c}")
        if not http1 and not http2:
            raise ValueError("nothing may be spoken: http1 and http2 are both off")
        if h2c != "off" and not (http1 and http2):
            raise ValueError(f"h2c is {h2c!r}, but only one version may be spoken")
        origin = parse_host(host, port, secure_by(secure, sock), default_port=80)
        # http/1.1 is offered in any case, so that a server without HTTP/2 can say so.
        alpn = (H2, HTTP11) if http2 else (HTTP11,)
        tls = TLSParameters.of(origin, ssl_context, alpn, server_hostname, pins)
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
            forward=http1 and h2c == "off",
            connect_to=connect_to,
            trace=trace,
        )
        super().__init__(origin, tls, timeout, options, route)
        self._h2c = h2c if http1 else "prior-knowledge"
        self._http1 = http1
        self._http2 = http2
        # Whether the server went over to HTTP/2 and has answered nothing in it yet.
        # Needs no lock: an old value may only cost HTTP/2 on one connection.
        self._only_switched = False

    @property
    def version(self) -> HTTPVersion:
        """What is spoken now; before anything is, HTTP/1.1 if it may be."""
        line = self._line
        if line is None:
            return HTTPVersion.http11 if self._http1 else HTTPVersion.http20
        return line.protocol.version

    def _make_protocol(self, tls: TLSLayer | None, next_stream_id: int) -> WireProtocol:
        known = tls.alpn == H2 if tls else self._h2c == "prior-knowledge"
        if known:
            if not self._http2:
                raise TLSError(f"{self.host} has agreed by ALPN to speak h2")
            return self._new_h2_protocol(tls, next_stream_id)
        if tls is not None and not self._http1:
            raise no_http2(self.host, tls)
        return H11Protocol(
            next_stream_id=next_stream_id,
            forward=self._route.forwarded(tls),
            authority=self._authority,
        )

    def _start(
        self,
        wire: BufferedSocket,
        tls: TLSLayer | None,
        next_stream_id: int,
        deadline: Deadline,
    ) -> WireProtocol:
        protocol = super()._start(wire, tls, next_stream_id, deadline)
        if isinstance(protocol, H11Protocol) and tls is None and self._h2c == "upgrade":
            if not self._only_switched:
                return self._upgrade(wire, protocol, deadline)
            # Apache may end a connection that it finds idle just after the question,
            # and would do it every time.
            self._only_switched = False
        return protocol

    def _upgrade(
        self, wire: BufferedSocket, http11: H11Protocol, deadline: Deadline
    ) -> WireProtocol:
        """Ask the server to go over to HTTP/2; return what it speaks then.

        The question is an OPTIONS of its own: a request with a body would have to be
        sent in HTTP/1.1 whole before anything else (RFC 7540 section 3.2), and the
        user's first request may be anything. Not of "*": Apache then ends the
        connection at once.
        """
        http20 = self._new_h2_protocol(None, http11.next_stream_id, upgrade=True)
        fields = [
            (b"Connection", b"Upgrade, HTTP2-Settings"),
            (b"Upgrade", b"h2c"),
            (b"HTTP2-Settings", http20.upgrade_settings),
        ]
        question = Request(b"OPTIONS", b"http", self._authority, b"/", fields)
        if not http11.may_open(question):
            raise self._incomprehensible()
        stream = http11.open(question, True)
        wire.wait_until(
            lambda: stream.over or stream.buffered > MAX_OPTIONS_BODY,
            stream,
            deadline,
            f"waiting whether {self.host} goes over to HTTP/2",
        )
        if http11.switched:
            early = http11.take_leftover()
            wire.speak(http20)
            self._only_switched = True
            http20.receive_data(early)
            self._keep_alive(wire)
            return http20
        if isinstance(stream.error, RemoteProtocolError):
            raise self._incomprehensible() from stream.error
        self._h2c = "off"  # It need not be asked again.
        if not stream.ended:
            http11.reset(stream, None, CANCEL)
        return http11

    def _incomprehensible(self) -> RemoteProtocolError:
        return RemoteProtocolError(
            f"{self.host} does not speak HTTP/1.1: if it is HTTP/2, "
            f"h2c='prior-knowledge' is the way"
        )

    def _falls_back(self, exchange: Exchange, error: HyperError) -> bool:
        reason = error.__cause__ or error  # a GOAWAY is the cause
        if (
            self._tls is None
            or not self._http1
            or self._route.used_up
            or not isinstance(reason, (ConnectionTerminated, StreamResetError))
            or reason.error_code != HTTP_1_1_REQUIRED
        ):
            return False
        self._tls = replace(self._tls, alpn=(HTTP11,))
        with exchange.line.socket:
            exchange.line.protocol.retire()
        return True

    def _make_response(self, exchange: Exchange) -> HTTP11Response | HTTP20Response:
        of_version: type[HTTP11Response | HTTP20Response] = HTTP11Response
        if exchange.line.protocol.version is HTTPVersion.http20:
            self._only_switched = False
            of_version = HTTP20Response
        return of_version(
            exchange.line, exchange.stream, exchange.stream_id, exchange.deadlines
        )
