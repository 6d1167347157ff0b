"""Connections, made as the options of a command line say."""

from __future__ import annotations

import os
import socket
import ssl
from ipaddress import ip_address

from ..common.environment import proxy_from_environment
from ..common.target import Origin, parse_host
from ..connection import HTTPConnection
from ..http20.window import AutoFlowControlManager
from ..trace import Recorder
from ..transport.deadline import Timeout
from ..transport.tls import init_context
from .options import Options, Replacement

_TLS_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class BadTLSFile(Exception):
    """A file of authorities or of a certificate is of no use.

    :ivar of_client: whether it is the client's certificate.
    """

    def __init__(self, message: str, of_client: bool) -> None:
        super().__init__(message)
        self.of_client = of_client


class Connector:
    """Makes connections, one for each server.

    :param trace: what records them; None: nothing does.
    """

    def __init__(self, options: Options, trace: Recorder | None) -> None:
        self._options = options
        self._trace = trace
        self._context: ssl.SSLContext | None = None
        #: The window of the stream that was opened last; None before any was.
        self.window: AutoFlowControlManager | None = None
        self._made: dict[str, HTTPConnection] = {}

    def __enter__(self) -> Connector:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; may be called from any thread."""
        for connection in list(self._made.values()):
            connection.close()

    def to(self, server: str) -> HTTPConnection:
        """Return the connection to a server.

        :param server: an http or https URL without a path.
        :raises LocalProtocolError: if it names none.
        :raises BadTLSFile: if a file of certificates cannot be used.
        """
        if server not in self._made:
            self._made[server] = self._make(server, parse_host(server))
        return self._made[server]

    def proxied(self, server: str) -> bool:
        """Return whether a server is reached through a proxy."""
        return self._proxy(parse_host(server)) is not None

    def _make(self, server: str, origin: Origin) -> HTTPConnection:
        options = self._options
        proxy = self._proxy(origin)
        source, socket_options = self._source()
        return HTTPConnection(
            server,
            window_manager=self._new_window,
            enable_push=options.push,
            ssl_context=self._tls() if origin.secure or proxy else None,
            timeout=Timeout(
                options.connect_timeout or options.timeout,
                options.timeout,
                options.timeout,
            ),
            settings=options.settings,
            h2c="upgrade" if options.upgrade and not origin.secure else "off",
            http1=not options.h2,
            http2=not options.http11,
            proxy=proxy,
            source_address=source,
            server_hostname=options.sni,
            pins=options.pins or None,
            uds=options.unix_socket,
            socket_options=socket_options,
            connect_to=self._replacement(origin),
            trace=self._trace,
        )

    def _new_window(self, size: int) -> AutoFlowControlManager:
        self.window = AutoFlowControlManager(size)
        return self.window

    def _proxy(self, origin: Origin) -> str | None:
        """Return the URL of the proxy for a server; None: there is none."""
        if self._options.unix_socket is not None:
            return None
        environ = dict(os.environ)
        if self._options.proxy is not None:
            environ[f"{origin.scheme}_proxy"] = self._options.proxy
        if self._options.noproxy is not None:
            environ["no_proxy"] = self._options.noproxy
        return proxy_from_environment(origin.scheme, origin.host, origin.port, environ)

    def _replacement(self, origin: Origin) -> tuple[str, int] | None:
        """Return where to connect to in the place of a server; None: to itself."""
        for one in (*self._options.connect_to, *self._options.resolve):
            if _fits(one, origin):
                return one.to_host or origin.host, one.to_port or origin.port
        return None

    def _source(self) -> tuple[tuple[str, int] | None, list[tuple[int, int, bytes]]]:
        """Return the address to connect from, and options of the socket."""
        interface = self._options.interface
        if interface is not None:
            try:
                return (str(ip_address(interface)), 0), []
            except ValueError:
                name = interface.encode() + b"\0"
                return None, [(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)]
        # An address of the one family cannot be the source for one of the other.
        if self._options.ipv4:
            return ("0.0.0.0", 0), []
        if self._options.ipv6:
            return ("::", 0), []
        return None, []

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = _make_context(self._options)
        return self._context


def _fits(one: Replacement, origin: Origin) -> bool:
    return one.host in ("", origin.host) and one.port in (0, origin.port)


def _make_context(options: Options) -> ssl.SSLContext:
    verify = options.verify
    path = None if verify in ("yes", "no") else verify
    try:
        context = init_context(path)
    except OSError as error:
        raise BadTLSFile(
            f"cannot load the authorities to trust: {error.strerror or error}", False
        ) from error
    if verify == "no":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.tls_max is not None:
        context.maximum_version = _TLS_VERSIONS[options.tls_max]
    if options.cert is not None:
        certificate, password = _split_password(options.cert)
        try:
            context.load_cert_chain(certificate, options.key, password)
        except OSError as error:
            raise BadTLSFile(
                f"cannot load the certificate to show: {error.strerror or error}", True
            ) from error
    return context


def _split_password(text: str) -> tuple[str, str | None]:
    """Return the path of a certificate, and the password of its key."""
    path, colon, password = text.rpartition(":")
    if not colon or os.path.exists(text):
        return text, None
    return path, password
