"""An adapter for requests: a Session that has it speaks HTTP/2.

Where a Session meets the network there is an adapter. The one of requests asks urllib3
for the pool that leads to a server and calls ``urlopen()`` of it, once for a request;
all that its users know happens around that call: which proxy and certificates count,
what a timeout may be, which exception says what, how a response is made. So this
adapter *is* requests' own, and puts something else in the place of the pool: a
:class:`Route`, made for one request, whose ``urlopen()`` sends it by hyper.

What comes back is read by requests as urllib3's, so it is one: a :class:`RawResponse`
on top of an :class:`Incoming`, which is to it what ``http.client``'s response is to
others. It is read undecoded. What Accept-Encoding promises comes from urllib3, and the
same urllib3 has to keep it.

Errors are hyper's below, urllib3's where requests looks for them, and requests' own in
the end. The first step is made here: :func:`sending_failure`, :func:`reading_failure`.

A retry of ``max_retries`` is one that the user asked for, and is counted. What hyper
sends again by itself, where that is safe, is not.

Nothing in here is imported before somebody asks for the adapter. It works with
urllib3-future in the place of urllib3 as well, which looks the same from outside.
"""

from __future__ import annotations

import io
import re
import socket
import ssl
import sys
import weakref
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPMessage
from typing import TYPE_CHECKING, TypeAlias, TypedDict, cast

from requests import PreparedRequest
from requests.adapters import (
    DEFAULT_POOLBLOCK,
    DEFAULT_POOLSIZE,
    DEFAULT_RETRIES,
    HTTPAdapter,
)
from requests.exceptions import InvalidProxyURL, InvalidURL
from requests.utils import prepend_scheme_if_needed, select_proxy
from urllib3 import HTTPHeaderDict
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    InvalidHeader,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.exceptions import ProxyError as ProxyFailed
from urllib3.response import HTTPResponse
from urllib3.util import SKIP_HEADER, Retry, parse_url
from urllib3.util import Timeout as Limits

from ..common.body import READ_SIZE, BodyLike, Readable
from ..common.exceptions import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    HyperError,
    LocalProtocolError,
    PoolTimeout,
    ProxyError,
    RequestNotProcessed,
    Timeout,
)
from ..common.protocol import HTTPVersion
from ..common.stream import Fields
from ..common.target import Origin, parse_host, request_target
from ..connection import HTTPConnection
from ..http11.response import HTTP11Response
from ..http20.protocol import WindowManagerClass
from ..http20.response import HTTP20Response
from ..pool import Certificate, ConnectionPool, Verify, make_context
from ..transport.deadline import TimeoutLike
from ..transport.proxy import Proxy
from ..transport.tls import Context

if TYPE_CHECKING:
    from http.client import HTTPResponse as ClientResponse

    from urllib3.connection import HTTPConnection as Urllib3Connection
    from urllib3.connectionpool import HTTPConnectionPool

#: How urllib3 writes the versions of HTTP.
VERSIONS = {
    HTTPVersion.http10: 10,
    HTTPVersion.http11: 11,
    HTTPVersion.http20: 20,
}

#: What of a URL names its server, if that is all it does.
SERVER = re.compile(r"https?://[^/?#@]+(?![^/?#])")
#: How many servers an adapter knows its way to without reading their URLs.
KNOWN_SERVERS = 1000
#: What stands for a field that urllib3 is not to add.
LEAVE_OUT = SKIP_HEADER.encode()
#: A response of hyper, in either version.
Received: TypeAlias = HTTP11Response | HTTP20Response
#: What requests may hand over as the body of a request.
Given: TypeAlias = "BodyLike | Iterable[bytes | str] | io.TextIOBase"


class HTTP20Adapter(HTTPAdapter):
    """Sends what a :class:`requests.Session` sends, over HTTP/2 where it can.

    Where a server does not speak HTTP/2, it is HTTP/1.1. Whatever may be done with
    requests' own adapter may be done with this one. It may be shared by threads and
    sessions; it may be pickled, unless it was given an ``ssl_context``.

    :param window_manager: as for :class:`hyper.HTTPConnection`, as are ``keepalive``
        and ``h2c``.
    :param pool_connections: how many unused connections are kept: so many times
        ``pool_maxsize``.
    :param pool_maxsize: how many connections there may be at a time to a server that
        speaks HTTP/1.1, if ``pool_block`` is True. HTTP/2 needs one.
    :param max_retries: how often to try again to connect, or urllib3's ``Retry``. What
        hyper sends again by itself is not counted.
    :param pool_block: whether a request waits when there are ``pool_maxsize``
        connections, instead of opening one more.
    :param ssl_context: what to speak TLS with, for requests that say nothing about it:
        ``verify`` is True, and there is no ``cert``.
    :raises ValueError: if ``h2c`` or ``keepalive`` is none.
    :raises TypeError: if ``window_manager`` is none, or a subclass has made another
        pool.

    :ivar poolmanager: the :class:`hyper.ConnectionPool`.
    """

    __attrs__ = [  # noqa: RUF012 - requests declares it for objects
        *HTTPAdapter.__attrs__,
        *("window_manager", "ssl_context", "keepalive", "h2c"),
    ]

    poolmanager: ConnectionPool  # type: ignore[assignment]

    def __init__(
        self,
        window_manager: WindowManagerClass | None = None,
        pool_connections: int = DEFAULT_POOLSIZE,
        pool_maxsize: int = DEFAULT_POOLSIZE,
        max_retries: int | Retry = DEFAULT_RETRIES,
        pool_block: bool = DEFAULT_POOLBLOCK,
        *,
        ssl_context: Context | None = None,
        keepalive: tuple[float, float] | None = None,
        h2c: str = "off",
    ) -> None:
        if window_manager is not None and not callable(window_manager):
            raise TypeError(
                "the first argument is window_manager, a class: name the others, as in "
                f"pool_connections={window_manager!r}"
            )
        self.window_manager = window_manager
        self.ssl_context = ssl_context
        self.keepalive = keepalive
        self.h2c = h2c
        super().__init__(pool_connections, pool_maxsize, max_retries, pool_block)
        if not isinstance(self.poolmanager, ConnectionPool):
            raise TypeError("init_poolmanager() has to call that of HTTP20Adapter")

    def init_poolmanager(  # type: ignore[override]  # it takes nothing for urllib3
        self,
        connections: int,
        maxsize: int,
        block: bool = DEFAULT_POOLBLOCK,
        *,
        ssl_context: Context | None = None,
    ) -> None:
        """Make the pool, as requests does when the adapter is made or unpickled.

        :param ssl_context: for subclasses that make one here, which can be pickled.
        """
        self._pool_connections = connections
        self._pool_maxsize = maxsize
        self._pool_block = block
        #: What :meth:`get_connection` has made.
        self.connections: dict[object, HTTPConnection] = {}
        #: What was read of URLs, by their servers, and of ``verify``.
        self._known: dict[tuple[str, bool | str], tuple[Origin, TLSChoice]] = {}
        self._context = ssl_context or self.ssl_context
        self.poolmanager = ConnectionPool(
            max_connections=sys.maxsize,
            max_connections_per_host=max(1, maxsize) if block else sys.maxsize,
            max_idle=connections * maxsize,
            ssl_context=self._context,
            window_manager=self.window_manager,
            keepalive=self.keepalive,
            h2c=self.h2c,
        )
        # Many never close a Session, and those of requests do not complain.
        weakref.finalize(self, self.poolmanager.abandon)

    def close(self) -> None:
        """Close all connections, those in use when their responses have ended.

        The adapter can be used again.
        """
        super().close()
        connections, self.connections = self.connections, {}
        for conn in connections.values():
            conn.retire()

    def get_connection(  # type: ignore[override]  # hyper's, older than requests'
        self,
        host: str,
        port: int | None,
        scheme: str,
        cert: Certificate | None = None,
        verify: Verify = True,
        proxy: str | None = None,
        timeout: TimeoutLike = None,
    ) -> HTTPConnection:
        """Return the connection for requests to one server.

        A hook: a subclass that has this method gets all requests sent over what it
        returns. Else the pool decides, and nobody calls it.

        :param port: None for the scheme's own.
        :param proxy: the URL of a proxy.
        :param timeout: what the connection does without where requests say nothing.
        """
        key = (host, port, scheme, cert, verify, proxy)
        conn = self.connections.get(key)
        if conn is None:
            said = verify is not True or cert is not None
            made = HTTPConnection(
                host,
                port,
                scheme == "https",
                self.window_manager,
                ssl_context=make_context(verify, cert) if said else self._context,
                timeout=timeout,
                keepalive=self.keepalive,
                h2c=self.h2c,
                proxy=None if proxy is None else find_proxy(self, proxy),
            )
            # Two threads may come here at once. Both have to leave with the same one.
            conn = self.connections.setdefault(key, made)
        return conn

    def get_connection_with_tls_context(  # type: ignore[override]  # see Route
        self,
        request: PreparedRequest,
        verify: Verify | None,
        proxies: dict[str, str] | None = None,
        cert: Certificate | None = None,
    ) -> Route:
        """Return the way that a request takes, in the place of urllib3's pool.

        :raises requests.exceptions.InvalidURL: if the URL, or the proxy's, is none.
        :raises TypeError: if a subclass asks for something of TLS that hyper does not
            know.
        """
        url = request.url or ""
        try:
            request_target(url)
            origin, tls = self._server_of(request, url, verify, cert)
        except ValueError as error:
            raise InvalidURL(error, request=request) from error
        # Without proxies, requests would parse the URL for nothing.
        return Route(self, origin, tls, select_proxy(url, proxies) if proxies else None)

    def _server_of(
        self,
        request: PreparedRequest,
        url: str,
        verify: Verify | None,
        cert: Certificate | None,
    ) -> tuple[Origin, TLSChoice]:
        """Return the server that a request goes to, and what of TLS counts there.

        It is remembered, unless a subclass has a say in it.
        """
        hook = self.build_connection_pool_key_attributes
        own = HTTPAdapter.build_connection_pool_key_attributes
        key = None
        if cert is None and getattr(hook, "__func__", None) is own:
            key = server_key(url, verify)
        known = None if key is None else self._known.get(key)
        if known is None:
            server, keys = hook(
                request,
                verify,  # type: ignore[arg-type]  # the path may be of any kind
                cert,  # type: ignore[arg-type]  # there may be a password
            )
            origin = read_origin(server["scheme"], server["host"], server["port"])
            known = origin, TLSChoice.of(cast("TLSKeys", keys), verify)
            if key is not None:
                if len(self._known) >= KNOWN_SERVERS:
                    self._known.clear()
                self._known[key] = known
        return known

    def request_url(
        self, request: PreparedRequest, proxies: dict[str, str] | None
    ) -> str:
        """Return what to ask the server, or a proxy, for, as requests does."""
        # Without proxies, requests would parse the URL for nothing.
        return super().request_url(request, proxies) if proxies else request.path_url


class TLSKeys(TypedDict, total=False):
    """What hyper knows of what is about TLS in the keys of urllib3's pools."""

    ssl_context: Context
    cert_reqs: str | int
    ca_certs: str
    ca_cert_dir: str
    cert_file: Certificate
    key_file: str | None
    key_password: str | None
    server_hostname: str | None


@dataclass(frozen=True, slots=True)
class TLSChoice:
    """What a request says about TLS, as :class:`hyper.ConnectionPool` takes it."""

    context: Context | None
    verify: Verify
    cert: Certificate | None
    server_hostname: str | None

    @classmethod
    def of(cls, keys: TLSKeys, verify: Verify | None) -> TLSChoice:
        """Read what a subclass may have changed.

        :param verify: what was asked for at first, as not all of it is in ``keys``.
        :raises TypeError: if something in ``keys`` is unknown.
        """
        unknown = keys.keys() - TLSKeys.__annotations__
        if unknown:
            raise TypeError(f"hyper knows no {', '.join(sorted(unknown))} of TLS")
        path = keys.get("ca_certs") or keys.get("ca_cert_dir") or verify or True
        insecure = keys.get("cert_reqs") in ("CERT_NONE", ssl.CERT_NONE)
        cert, key = keys.get("cert_file"), keys.get("key_file")
        password = keys.get("key_password")
        if isinstance(cert, str) and (key or password):
            cert = (cert, key, password) if password else (cert, key)
        return cls(
            keys.get("ssl_context"),
            False if insecure else path,
            cert,
            keys.get("server_hostname"),
        )


class Route:
    """The way of one request to its server. Requests takes it for a pool of urllib3.

    It has no slots: ``cert_verify()`` of requests, which sees whether the files are
    there, writes them into it.
    """

    def __init__(
        self, adapter: HTTP20Adapter, origin: Origin, tls: TLSChoice, proxy: str | None
    ) -> None:
        self._adapter = adapter
        self._origin = origin
        self._tls = tls
        self._proxy_url = proxy or None
        self._proxy = find_proxy(adapter, proxy) if proxy else None
        #: Names of fields that are not sent, though the request has them.
        self._not_sent: set[bytes] = set()
        if self._proxy is not None:
            if origin.secure or self._proxy.is_socks or adapter.h2c != "off":
                # There is a tunnel: the server would see what opens the proxy.
                self._not_sent = {b"proxy-authorization"}
            else:
                # The proxy reads the request, and is told these already.
                self._not_sent = {name.lower() for name, _ in self._proxy.headers}

    @property
    def host(self) -> str:
        """The name or address of the server."""
        return self._origin.host

    @property
    def proxied(self) -> bool:
        """True if it leads through a proxy."""
        return self._proxy is not None

    def __str__(self) -> str:
        host = self._origin.host
        if ":" in host:
            host = f"[{host}]"
        return f"{self._origin.scheme}://{host}:{self._origin.port}"

    def urlopen(
        self,
        method: str,
        url: str,
        body: Given,
        headers: Mapping[str | bytes, str | bytes],
        *,
        redirect: bool,
        assert_same_host: bool,
        preload_content: bool,
        decode_content: bool,
        retries: Retry,
        timeout: Limits,
        chunked: bool,
    ) -> RawResponse:
        """Send a request, again if ``retries`` say so, and return its response.

        Redirects and content are left to requests, and how the body is framed to hyper:
        what says something about that is ignored.

        :raises urllib3.exceptions.HTTPError: of the kind that requests expects.
        """
        upload = Upload(body)
        fields = self._fields(headers)
        pool = cast("HTTPConnectionPool", self)
        while True:
            try:
                received = self._exchange(method, url, upload.body, fields, timeout)
            except LocalProtocolError as error:
                raise InvalidHeader(str(error)) from error
            except (HyperError, ssl.SSLError) as error:
                failure = sending_failure(error, self, url)
                failure.__cause__ = error
                retries = upload.again(retries).increment(
                    method, url, None, failure, pool, error.__traceback__
                )
                retries.sleep()
                continue
            raw = RawResponse(Incoming(received, self), method, url, retries)
            if not retries.is_retry(method, raw.status, "Retry-After" in raw.headers):
                return raw
            try:
                retries = upload.again(retries).increment(method, url, raw, None, pool)
            except MaxRetryError:
                if not retries.raise_on_status:
                    return raw
                raw.drain_conn()
                raise
            raw.drain_conn()
            retries.sleep(raw)

    def _exchange(
        self, method: str, url: str, body: BodyLike, fields: Fields, timeout: Limits
    ) -> Received:
        if timeout.total is not None:
            timeout = timeout.clone()
            timeout.start_connect()  # It is asked what is left of the total.
        connect = Limits.resolve_default_timeout(timeout.connect_timeout)
        read = Limits.resolve_default_timeout(timeout.read_timeout)
        adapter, tls = self._adapter, self._tls
        hook = adapter.get_connection
        if getattr(hook, "__func__", None) is HTTP20Adapter.get_connection:
            return adapter.poolmanager.request(
                method,
                f"{self}{request_target(url).decode()}",
                body,
                fields,
                timeout=None if connect is read is None else (connect, read),
                ssl_context=tls.context,
                verify=None if tls.verify is True else tls.verify,
                cert=tls.cert,
                proxy=self._proxy,
                server_hostname=tls.server_hostname,
            )
        if tls.context is not None or tls.server_hostname is not None:
            raise TypeError("get_connection() takes no ssl_context or server_hostname")
        origin = self._origin
        conn = hook(
            origin.host,
            origin.port,
            origin.scheme,
            cert=tls.cert,
            verify=tls.verify,
            proxy=self._proxy_url,
            timeout=(connect, read),
        )
        stream_id = conn.request(method, url, body, fields, timeout=(connect, read))
        try:
            return conn.get_response(stream_id)
        except BaseException:
            conn.cancel(stream_id)  # If it was interrupted, nobody will ask again.
            raise

    def _fields(self, headers: Mapping[str | bytes, str | bytes]) -> Fields:
        """Return the fields to send.

        :raises InvalidHeader: if one cannot be.
        """
        fields: Fields = []
        for name, value in headers.items():
            field = latin1(name), latin1(value)
            if field[0].lower() not in self._not_sent and field[1] != LEAVE_OUT:
                fields.append(field)
        return fields


class Upload:
    """The body of a request, in a form that hyper sends.

    Text becomes UTF-8, as it does in urllib3: that of files and in iterables, too.
    """

    def __init__(self, given: Given) -> None:
        self._given = given
        #: Where a file stood when it was handed over; None if it cannot go back there.
        self._start = position(given)
        self._begun = False

    @property
    def body(self) -> BodyLike:
        """What to send now."""
        given = self._given
        if given is None or isinstance(given, (str, bytes, bytearray, memoryview)):
            return given
        if self._start is not None and not isinstance(given, io.TextIOBase):
            return cast("BodyLike", given)
        return self._pieces()

    def again(self, retries: Retry) -> Retry:
        """Get ready to be sent again; return ``retries``, or that there are none left.

        What comes once cannot be sent twice.
        """
        if self._start is not None:
            self._given.seek(self._start)  # type: ignore[union-attr]
        elif self._begun and retries.total is not False:
            return retries.new(total=0)
        return retries

    def _pieces(self) -> Iterator[bytes]:
        self._begun = True
        given = self._given
        if isinstance(given, Readable):
            while piece := given.read(READ_SIZE):
                yield utf8(piece)
        else:
            yield from map(utf8, cast("Iterable[str | bytes]", given))


class Incoming:
    """A response of hyper, in the shape of one of ``http.client``.

    urllib3's response is built on such a one, and http.cookiejar reads ``msg``. Errors
    are urllib3's. Thread-safe as hyper's response is.

    :ivar headers: the fields, as urllib3 has them.
    :ivar version: 10, 11 or 20.
    """

    def __init__(self, response: Received, route: Route) -> None:
        self._response = response
        self._route = route
        self.status = response.status
        self.reason = response.reason
        self.version = VERSIONS[response.version]
        self.version_string = response.version.value
        self._fields = response.getheaders()
        self.headers = HTTPHeaderDict()
        for name, value in self._fields:
            self.headers.add(name, value)

    @property
    def hyper(self) -> Received:
        """The response itself."""
        return self._response

    @cached_property
    def msg(self) -> HTTPMessage:
        """The fields, as the standard library has them."""
        message = HTTPMessage()
        for name, value in self._fields:
            message.set_raw(name, value)  # A parser's way, without a look at each.
        return message

    @property
    def trailers(self) -> HTTPHeaderDict:
        """The trailer fields; waits for the end of the response."""
        try:
            trailers = self._response.trailers
        except HyperError as error:
            raise self._failure(error) from error
        fields = HTTPHeaderDict()
        for name, value in trailers.iter_raw():
            fields.add(name.decode("latin-1"), value.decode("latin-1"))
        return fields

    def read(self, amt: int | None = None) -> bytes:
        """Return ``amt`` bytes as they came, fewer at the end; None: all."""
        if self.closed:
            return b""
        try:
            return self._response.read(amt, decode_content=False)
        except HyperError as error:
            raise self._failure(error) from error

    def read1(self, amt: int = -1) -> bytes:
        """Return what there is, at most ``amt`` bytes if that is not negative.

        Waits only while there is nothing; returns b"" at the end.
        """
        if self.closed:
            return b""
        try:
            return self._response.read1(amt, decode_content=False)
        except HyperError as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """Give up what has not come yet: over HTTP/2, of this response alone."""
        self._response.close()

    @property
    def closed(self) -> bool:
        """True once it is closed, or read to its end."""
        return self._response.closed

    def isclosed(self) -> bool:
        """Return ``closed``, by its older name."""
        return self.closed

    def _failure(self, error: HyperError) -> HTTPError:
        """Return urllib3's error, after which there is nothing more to be read."""
        self.close()
        return reading_failure(error, self._route)


class RawResponse(HTTPResponse):
    """urllib3's response, read from a connection of hyper: ``raw`` of a response.

    :ivar version: 10, 11 or 20.
    :ivar version_string: ``"HTTP/1.0"``, ``"HTTP/1.1"`` or ``"HTTP/2"``.
    """

    def __init__(
        self, incoming: Incoming, method: str, url: str, retries: Retry
    ) -> None:
        super().__init__(
            cast("ClientResponse", incoming),
            incoming.headers,
            incoming.status,
            incoming.version,
            reason=incoming.reason,
            preload_content=False,
            decode_content=False,
            original_response=cast("ClientResponse", incoming),
            retries=retries,
            request_method=method,
            request_url=url,
        )
        self._incoming = incoming
        # urllib3-future takes no argument of this name.
        self.version_string = incoming.version_string

    @property
    def hyper(self) -> Received:
        """hyper's own response, to ask it for what urllib3 has no name for.

        Such as ``peer_address``, ``tls`` and ``informational``. Its body is read here.
        """
        return self._incoming.hyper

    @property
    def trailers(self) -> HTTPHeaderDict:
        """The trailer fields; waits for the end of the response.

        What is not read yet is kept in memory.
        """
        return self._incoming.trailers

    def stream(
        self, amt: int | None = READ_SIZE, decode_content: bool | None = None
    ) -> Generator[bytes, None, None]:
        """Iterate over the body in pieces of at most ``amt`` bytes; None: of any size.

        Where the size of the body was not announced, a piece is what has come. Whoever
        reads a stream of events does not wait for the next one.
        """
        if decode_content is None:
            decode_content = self.decode_content
        coded = decode_content and "Content-Encoding" in self.headers
        sized = self.length_remaining is not None
        if (sized and coded) or self._fp is not self._original_response:
            # The latter is so if somebody listens in, such as a cache.
            yield from super().stream(amt, decode_content)
        elif coded:
            while piece := self.read1(amt, decode_content):
                yield piece
        elif self.length_remaining is not None:
            while piece := self._incoming.read(amt):
                self._fp_bytes_read += len(piece)
                self.length_remaining -= len(piece)
                yield piece
        else:
            while piece := self._incoming.read1(-1 if amt is None else amt):
                self._fp_bytes_read += len(piece)
                yield piece

    def read_chunked(
        self, amt: int | None = None, decode_content: bool | None = None
    ) -> Generator[bytes, None, None]:
        """Do as :meth:`stream`: there are no chunks that could be told apart."""
        return self.stream(amt, decode_content)

    def drain_conn(self) -> None:
        """Have the connection ready for others: HTTP/2 needs no reading for that."""
        if self.version == VERSIONS[HTTPVersion.http20]:
            self.close()
        else:
            super().drain_conn()

    def shutdown(self) -> None:
        """Do as :meth:`close`, which may be called while another thread reads."""
        self.close()


# Errors. What requests makes of urllib3's is in docs/requests.rst.


def sending_failure(
    error: HyperError | ssl.SSLError, route: Route, url: str
) -> HTTPError:
    """Return what urllib3 raises where hyper raises ``error`` before a response."""
    text = str(error)
    if isinstance(error, (ConnectTimeout, PoolTimeout)):
        return ConnectTimeoutError(route, f"Connection timed out. ({text})")
    if isinstance(error, Timeout):
        return timed_out(route, url, text)
    if isinstance(error, ssl.SSLError):
        return SSLError(error)
    if isinstance(error, ProxyError):
        return ProxyFailed(text, error)
    unsent = isinstance(error, (ConnectionLost, RequestNotProcessed))
    if isinstance(error, ConnectError) or (unsent and error.retry_safe):
        # What Retry concludes: any method may be tried again.
        return not_connected(error, route)
    return ProtocolError(text, error)


def reading_failure(error: HyperError, route: Route) -> HTTPError:
    """Return what urllib3 raises where hyper raises ``error`` in a response."""
    if isinstance(error, Timeout):
        return timed_out(route, None, str(error))
    if isinstance(error, ssl.SSLError):
        return SSLError(error)
    return ProtocolError(f"Connection broken: {error!r}", error)


def not_connected(error: HyperError, route: Route) -> HTTPError:
    """Return the error for a request that no server can have acted on."""
    conn = cast("Urllib3Connection", route)
    failure = NewConnectionError(conn, str(error))
    if route.proxied and isinstance(error, ConnectError):
        return ProxyFailed(str(error), failure)
    if isinstance(error.__cause__, socket.gaierror):
        return NameResolutionError(route.host, conn, error.__cause__)
    return failure


def timed_out(route: Route, url: str | None, text: str) -> ReadTimeoutError:
    """Return the error for too long a wait, in words that programs look for."""
    pool = cast("HTTPConnectionPool", route)
    return ReadTimeoutError(pool, url, f"Read timed out. ({text})")


# The parts.


def read_origin(scheme: str, host: str | None, port: int | None) -> Origin:
    """Return the server that parts of a URL name.

    :raises LocalProtocolError: if they name none.
    """
    name = host or ""
    return parse_host(f"{scheme}://{f'[{name}]' if ':' in name else name}", port)


def server_key(url: str, verify: Verify | None) -> tuple[str, bool | str] | None:
    """Return what to remember a server by, and what is asked of it; None: do not."""
    # Not by any verify: 0 is equal to False, but does not mean it.
    found = SERVER.match(url)
    if found is None or not isinstance(verify, (bool, str)):
        return None
    return found.group(), verify


def find_proxy(adapter: HTTPAdapter, url: str) -> Proxy:
    """Return the proxy that a URL names, with what ``proxy_headers()`` adds.

    :raises requests.exceptions.InvalidProxyURL: if it names none.
    """
    url = prepend_scheme_if_needed(url, "http")
    parts = parse_url(url)
    if not parts.host:
        raise InvalidProxyURL("the URL of the proxy has no host")
    # For HTTP, user and password are in the headers.
    socks = (parts.scheme or "").startswith("socks")
    user = f"{parts.auth}@" if parts.auth and socks else ""
    port = "" if parts.port is None else f":{parts.port}"
    headers = None if socks else adapter.proxy_headers(url)
    try:
        return Proxy.parse(f"{parts.scheme}://{user}{parts.host}{port}", headers)
    except LocalProtocolError as error:
        raise InvalidProxyURL(error) from error


def latin1(text: str | bytes) -> bytes:
    """Return a name or a value as ``http.client`` sends it.

    :raises InvalidHeader: if it cannot be.
    """
    try:
        return text.encode("latin-1") if isinstance(text, str) else text
    except UnicodeEncodeError:
        raise InvalidHeader(
            "a header that is str has characters that are not Latin-1: "
            "give bytes to say how they are to be encoded"
        ) from None


def utf8(piece: str | bytes) -> bytes:
    return piece.encode() if isinstance(piece, str) else piece


def position(given: Given) -> int | None:
    """Return where a file stands, if it can go back there."""
    if given is None or isinstance(given, (str, bytes)):
        return None
    try:
        start = given.tell()  # type: ignore[union-attr]
        given.seek(start)  # type: ignore[union-attr]
    except (AttributeError, OSError):
        return None
    return cast("int", start)
