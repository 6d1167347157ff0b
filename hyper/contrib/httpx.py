"""A transport for httpx and for httpx2: their clients, on the connections of hyper.

httpx2 is httpx under a new name. Both have a ``Client``, which does cookies, redirects
and decoding, and leaves the rest to a *transport*: it gets one request and returns one
response whose body has not been read. So does a :class:`~hyper.ConnectionPool`, and all
that is left to do here is to translate, in both directions:

* Requests and responses. The pool keeps to what was given: order and case of the
  fields, and the body undecoded.
* Errors. Those who use httpx catch those of httpx, so no error of hyper may leave this
  file as it is. What it means that a connection is lost depends on what the request was
  doing, which :class:`_Progress` is told by the pool.
* What httpx calls *extensions*: limits of time, a name for TLS, events.

One class serves both libraries. It is a transport of all that are installed, as are the
bodies of its responses; and every request brings its own library with it, from which
its response and its errors are taken. Hence neither is needed for the other.

Thread-safe, without a lock: a transport is constant, and all else here belongs to one
request.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, cast, overload

import certifi

from ..common.body import BodyLike
from ..common.environment import proxy_from_environment, proxy_variables
from ..common.exceptions import (
    ConnectError,
    ConnectionLost,
    ConnectionTerminated,
    ConnectTimeout,
    DecodingError,
    HyperError,
    IncompleteRead,
    LocalProtocolError,
    PoolTimeout,
    ProxyError,
    ReadTimeout,
    RemoteProtocolError,
    RequestNotProcessed,
    StreamResetError,
    TLSError,
    WriteTimeout,
)
from ..common.moment import Moment
from ..common.protocol import HTTPVersion
from ..pool import Certificate, ConnectionPool, Verify, make_context
from ..response import Response
from ..transport.deadline import Timeout
from ..transport.dial import SocketOption
from ..transport.proxy import Proxy
from ..transport.tls import Context

#: What httpx's own transport keeps to, where it is given no limits.
MAX_CONNECTIONS = 100
MAX_IDLE = 20
IDLE_TIMEOUT = 5.0
#: Seconds before the third attempt to connect; twice as many before each that follows.
#: The second comes at once.
BACKOFF = 0.5

#: The errors that stand for those of hyper; "" where it depends on how far the request
#: has got: see :data:`_LOST`.
_NAMES: dict[type[HyperError], str] = {
    ConnectTimeout: "ConnectTimeout",
    ReadTimeout: "ReadTimeout",
    WriteTimeout: "WriteTimeout",
    PoolTimeout: "PoolTimeout",
    ConnectError: "ConnectError",
    TLSError: "",
    ConnectionLost: "",
    ConnectionTerminated: "RemoteProtocolError",
    ProxyError: "ProxyError",
    LocalProtocolError: "LocalProtocolError",
    RemoteProtocolError: "RemoteProtocolError",
    RequestNotProcessed: "RemoteProtocolError",
    StreamResetError: "RemoteProtocolError",
    IncompleteRead: "RemoteProtocolError",
    DecodingError: "DecodingError",
    HyperError: "TransportError",
}
#: What it is called from each moment on if the connection, or its TLS, breaks.
_LOST = {
    Moment.connecting: "ConnectError",
    Moment.sending: "WriteError",
    Moment.body_sent: "ReadError",
    Moment.again: "ConnectError",
}
#: The steps that begin at these moments, by the names that httpcore has for them, less
#: the version of HTTP.
_STEPS = {
    Moment.sending: "send_request_headers",
    Moment.head_sent: "send_request_body",
    Moment.body_sent: "receive_response_headers",
}
_PREFIXES = {
    HTTPVersion.http20: "http2",
    HTTPVersion.http11: "http11",
    HTTPVersion.http10: "http11",
}

#: The step of a request that nobody traces.
_SILENCE = nullcontext()

DEFAULT_PORTS = {"http": 80, "https": 443}

#: What is told of a request: the name of an event, and what belongs to it.
Trace = Callable[[str, "dict[str, object]"], object]


def _installed(*names: str) -> list[ModuleType]:
    """Return the libraries that are there.

    :raises ImportError: if none is.
    """
    found: list[ModuleType] = []
    for name in names:
        try:
            module = import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
        else:
            if module not in found:  # httpx2.alias_httpx() gives it both names.
                found.append(module)
    if not found:
        raise ModuleNotFoundError(f"this needs {' or '.join(names)} to be installed")
    return found


_LIBRARIES = _installed("httpx", "httpx2")

if TYPE_CHECKING:
    import httpx
    import httpx2

    AnyRequest = httpx.Request | httpx2.Request
    AnyResponse = httpx.Response | httpx2.Response

    class _Transport(httpx.BaseTransport, httpx2.BaseTransport):
        @overload
        def handle_request(self, request: httpx.Request) -> httpx.Response: ...

        @overload
        def handle_request(self, request: httpx2.Request) -> httpx2.Response: ...

        def handle_request(self, request: AnyRequest) -> AnyResponse: ...

    class _ByteStream(httpx.SyncByteStream, httpx2.SyncByteStream): ...
else:
    _Transport, _ByteStream = (
        type(name, tuple(getattr(library, name) for library in _LIBRARIES), {})
        for name in ("BaseTransport", "SyncByteStream")
    )


class HyperTransport(_Transport):
    """A transport for ``httpx.Client`` and ``httpx2.Client``, on hyper's connections.

    It speaks HTTP/2 with servers that do, and one connection then carries the requests
    of all threads; else HTTP/1.1. Every method may be called from any thread at any
    time. The arguments are those of ``httpx.HTTPTransport``.

    :param verify: True: verify servers by the authorities that ``SSL_CERT_FILE`` or
        ``SSL_CERT_DIR`` names, else by certifi's. False: do not. Or the path of a file
        or directory with the authorities to trust; or a context: an
        :class:`ssl.SSLContext` or one of pyOpenSSL.
    :param cert: a client certificate: the path of a PEM file with certificate and key;
        a pair of paths (certificate, key); or (certificate, key, password).
    :param trust_env: whether the environment names authorities, as said above, and
        proxies: ``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy`` as they
        are now, which count if neither ``proxy`` nor ``uds`` is given. A client looks
        for proxies itself only if it is given no transport.
    :param http1: whether HTTP/1.1 may be spoken. If not, HTTP/2 is spoken without TLS
        too.
    :param http2: whether HTTP/2 may be spoken.
    :param limits: a ``Limits``; None: 100 connections, of which 20 are kept idle for 5
        seconds, as in httpx. Those idle for too long are closed when the transport is
        used next.
    :param proxy: the proxy to go through: a URL, or a ``Proxy``. ``socks4``,
        ``socks4a``, ``socks5`` and ``socks5h`` need no other package.
    :param uds: the path of a unix socket to connect to, whatever the URL's host.
    :param local_address: the address to connect from.
    :param retries: how often to try again if no connection can be made.
    :param socket_options: what to give to ``setsockopt`` before connecting.
    :raises ValueError: if arguments contradict each other, or a value is impossible.
    :raises OSError: if a file with certificates cannot be read.
    """

    def __init__(
        self,
        verify: Verify | Context = True,
        cert: Certificate | None = None,
        trust_env: bool = True,
        http1: bool = True,
        http2: bool = True,
        limits: httpx.Limits | httpx2.Limits | None = None,
        proxy: str | httpx.URL | httpx2.URL | httpx.Proxy | httpx2.Proxy | None = None,
        uds: str | None = None,
        local_address: str | None = None,
        retries: int = 0,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> None:
        if retries < 0:
            raise ValueError(f"retries is not negative, as {retries} is")
        most, idle, timeout = _limits(limits)
        # Constant.
        self._proxy = None if proxy is None else _proxy(proxy)
        asks_environment = trust_env and proxy is None and uds is None
        self._environment = proxy_variables() if asks_environment else {}
        self._uds = uds
        self._retries = retries
        self._pool = ConnectionPool(
            max_connections=most,
            max_connections_per_host=most,
            max_idle=idle,
            idle_timeout=timeout,
            ssl_context=_context(verify, cert, trust_env),
            proxy=self._proxy,
            http1=http1,
            http2=http2,
            source_address=None if local_address is None else (local_address, 0),
            uds=uds,
            socket_options=socket_options or (),
        )

    @overload
    def handle_request(self, request: httpx.Request) -> httpx.Response: ...

    @overload
    def handle_request(self, request: httpx2.Request) -> httpx2.Response: ...

    def handle_request(self, request: AnyRequest) -> AnyResponse:
        """Send a request, and return its response when its head is there.

        What ``request.extensions`` says counts: ``timeout``, ``sni_hostname``,
        ``target`` and ``trace``. The response's have ``http_version`` and
        ``network_stream``, and ``stream_id`` in HTTP/2, ``reason_phrase`` in HTTP/1.1.

        Raises a ``TransportError`` of the library that ``request`` is of. Its cause is
        hyper's own error, which knows ``retry_safe``.

        :raises TypeError: if ``request`` is of neither library.
        """
        library = _library_of(request)
        progress = _Progress(library, request)
        try:
            response = self._ask(request, library, progress)
        except HyperError as error:
            failure = progress.translated(error)
            progress.fail(failure)
            raise failure from error
        except BaseException as error:
            progress.fail(error)
            raise
        version = response.version.value.encode("ascii")
        status, fields = response.status, list(response.headers.iter_raw())
        extensions: dict[str, object] = {
            "http_version": version,
            "network_stream": NetworkStream(response),
        }
        if response.version is HTTPVersion.http20:
            extensions["stream_id"] = response.stream_id
            progress.complete((status, fields))
        else:
            reason = response.reason.encode("latin-1")
            extensions["reason_phrase"] = reason
            progress.complete((version, status, reason, fields))
        made: AnyResponse = library.Response(
            status_code=status,
            headers=fields,
            stream=_ResponseStream(response, progress, self._pool),
            extensions=extensions,
        )
        return made

    def close(self) -> None:
        """Close all connections; the transport takes no more requests. Idempotent.

        Every call of another thread that waits is woken and raises a NetworkError.
        """
        self._pool.close()

    def _ask(
        self, request: AnyRequest, library: ModuleType, progress: _Progress
    ) -> Response:
        """Do what the pool does, as often as it takes to connect, and is allowed."""
        url = request.url
        if url.scheme not in DEFAULT_PORTS:
            # In the words of httpx, which people look for.
            fault = (
                f"has an unsupported protocol '{url.scheme}://'."
                if url.scheme
                else "is missing an 'http://' or 'https://' protocol."
            )
            raise library.UnsupportedProtocol(f"Request URL {fault}", request=request)
        proxy = self._proxy or self._proxy_of_environment(request)
        if progress.traced:
            progress.connecting = self._first_step(request, proxy)
        body = _body(request, library)
        retries = self._retries
        pause = 0.0
        while True:
            try:
                return self._pool.request(
                    request.method,
                    b"%b://%b%b" % (url.raw_scheme, url.netloc, url.raw_path),
                    body,
                    request.headers.raw,
                    timeout=_timeout(request),
                    proxy=proxy,
                    server_hostname=_sni(request),
                    target=_target(request),
                    watch=progress,
                )
            except (ConnectError, ConnectTimeout) as error:
                if not retries:
                    raise
                progress.fail(progress.translated(error))
            with progress.step("connection.retry"):
                time.sleep(pause)
            retries -= 1
            pause = pause * 2 or BACKOFF

    def _proxy_of_environment(self, request: AnyRequest) -> Proxy | None:
        url = request.url
        if not self._environment:
            return None
        found = proxy_from_environment(
            url.scheme, url.host, _port(request), self._environment
        )
        return None if found is None else Proxy.parse(found)

    def _first_step(
        self, request: AnyRequest, proxy: Proxy | None
    ) -> tuple[str, dict[str, object]]:
        """Return what connecting is called, and where it leads."""
        if self._uds is not None:
            return "connection.connect_unix_socket", {"path": self._uds}
        host, port = request.url.host, _port(request)
        if proxy is not None:
            host, port = proxy.host, proxy.port
        return "connection.connect_tcp", {"host": host, "port": port}


class _Progress:
    """How far a request has got, for those who trace it, and to name what goes wrong.

    One step is under way at a time, from when it begins until it is complete or fails;
    those of the response's body are told by themselves.
    """

    def __init__(self, library: ModuleType, request: AnyRequest) -> None:
        self._library = library
        self._request = request
        self._trace: Trace | None = request.extensions.get("trace")
        self._under_way = ""
        #: What it is called if the connection, or its TLS, breaks now.
        self._lost = "ConnectError"
        #: What connecting is called, and what belongs to it.
        self.connecting: tuple[str, dict[str, object]] = ("", {})

    @property
    def traced(self) -> bool:
        """True if somebody wants to be told."""
        return self._trace is not None

    def __call__(self, moment: Moment, version: HTTPVersion | None) -> None:
        """Note a moment of the request: a pool is to call this as its ``watch``."""
        self._lost = _LOST.get(moment, self._lost)
        if self._trace is None:
            return
        if moment is Moment.again:
            self.fail(self._library.RemoteProtocolError("not acted on: sent once more"))
            return
        self.complete(None)
        if moment is Moment.connecting:
            self._begin(*self.connecting)
        elif moment is Moment.securing:
            name = _sni(self._request) or self._request.url.host
            self._begin("connection.start_tls", {"server_hostname": name})
        elif moment in _STEPS and version is not None:
            name = f"{_PREFIXES[version]}.{_STEPS[moment]}"
            self._begin(name, {"request": self._request})

    def complete(self, value: object) -> None:
        """Tell that the step under way is complete, and what came of it."""
        self._end("complete", {"return_value": value})

    def fail(self, error: BaseException) -> None:
        """Tell that the step under way has failed, if there is one."""
        self._end("failed", {"exception": error})

    def _begin(self, name: str, info: dict[str, object]) -> None:
        self._under_way = name
        self._tell(f"{name}.started", info)

    def _end(self, how: str, info: dict[str, object]) -> None:
        name, self._under_way = self._under_way, ""
        if name:
            self._tell(f"{name}.{how}", info)

    def step(self, name: str) -> AbstractContextManager[None]:
        """Tell of what is done meanwhile, beside the step that is under way."""
        return _SILENCE if self._trace is None else self._told(name)

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        self._tell(f"{name}.started", {"request": self._request})
        try:
            yield
        except BaseException as error:
            self._tell(f"{name}.failed", {"exception": error})
            raise
        self._tell(f"{name}.complete", {"return_value": None})

    def _tell(self, event: str, info: dict[str, object]) -> None:
        if self._trace is not None:
            self._trace(event, info)

    def translated(self, error: HyperError) -> Exception:
        """Return what stands for an error of hyper."""
        name = next(_NAMES[kind] for kind in type(error).__mro__ if kind in _NAMES)
        of = getattr(self._library, name or self._lost)
        translated: Exception = of(str(error), request=self._request)
        return translated


class _ResponseStream(_ByteStream):
    """The body of a response, undecoded. Read by one thread at a time."""

    def __init__(
        self, response: Response, progress: _Progress, pool: ConnectionPool
    ) -> None:
        self._pool = pool
        self._response = response
        self._progress = progress
        self._prefix = _PREFIXES[response.version]

    def __iter__(self) -> Iterator[bytes]:
        with self._progress.step(f"{self._prefix}.receive_response_body"):
            try:
                yield from filter(None, self._response.read_chunked(False))
            except HyperError as error:
                raise self._progress.translated(error) from error

    def close(self) -> None:
        """Give up what has not come yet; may be called from any thread.

        HTTP/2 resets the stream, HTTP/1.1 closes the connection.
        """
        with self._progress.step(f"{self._prefix}.response_closed"):
            self._response.close()
            self._pool.close_idle()


class NetworkStream:
    """What may be asked of the connection that a response came over.

    It can be neither read nor written: the connection is shared. Thread-safe.
    """

    def __init__(self, response: Response) -> None:
        self._response = response

    def get_extra_info(self, info: str) -> object:
        """Return what is known of the connection, in httpcore's words.

        :param info: ``client_addr`` or ``server_addr``, of this end and of the other;
            or ``ssl_object``, which has ``getpeercert()``, ``cipher()``, ``version()``
            and ``selected_alpn_protocol()``.
        :returns: None for anything else, and for what is not known.
        """
        if info == "client_addr":
            return self._response.local_address
        if info == "server_addr":
            return self._response.peer_address
        if info == "ssl_object":
            return self._response.tls
        return None


def _library_of(request: AnyRequest) -> ModuleType:
    for library in _LIBRARIES:
        if isinstance(request, library.Request):
            return library
    raise TypeError(f"a Request of httpx is needed, not {type(request).__name__}")


# What a transport is made with.


def _limits(
    limits: httpx.Limits | httpx2.Limits | None,
) -> tuple[int, int | None, float | None]:
    """Return the most connections, the most idle ones, for how long they are kept."""
    if limits is None:
        return MAX_CONNECTIONS, MAX_IDLE, IDLE_TIMEOUT
    most = limits.max_connections
    idle = limits.max_keepalive_connections
    timeout = limits.keepalive_expiry
    if timeout == 0:  # They are not kept at all.
        idle, timeout = 0, None
    return sys.maxsize if most is None else most, idle, timeout


def _context(
    verify: Verify | Context, cert: Certificate | None, trust_env: bool
) -> Context | None:
    """Return how to speak TLS; None: as hyper does by default."""
    if not isinstance(verify, bool | str | os.PathLike):
        if cert is not None:
            raise ValueError("a context has its certificate already, so cert is wrong")
        return verify
    if verify is True and not trust_env:
        verify = certifi.where()
    if verify is True and cert is None:
        return None
    return make_context(verify, cert)


def _proxy(given: str | httpx.URL | httpx2.URL | httpx.Proxy | httpx2.Proxy) -> Proxy:
    if not isinstance(given, tuple(library.Proxy for library in _LIBRARIES)):
        return Proxy.parse(str(given))
    proxy = cast("httpx.Proxy", given)
    url = proxy.url
    if proxy.auth is not None:
        username, password = proxy.auth
        url = url.copy_with(username=username, password=password)
    return Proxy.parse(str(url), proxy.headers.raw, context=proxy.ssl_context)


# What a request is made of.


def _port(request: AnyRequest) -> int:
    return request.url.port or DEFAULT_PORTS[request.url.scheme]


def _timeout(request: AnyRequest) -> Timeout:
    limits = request.extensions.get("timeout", {})
    return _limits_of(*map(limits.get, ("connect", "read", "write", "pool")))


@lru_cache(maxsize=64, typed=True)  # typed, for 1 is equal to True
def _limits_of(
    connect: float | None, read: float | None, write: float | None, pool: float | None
) -> Timeout:
    return Timeout(connect, read, write, pool=math.inf if pool is None else pool)


def _sni(request: AnyRequest) -> str | None:
    name: str | None = request.extensions.get("sni_hostname")
    return name


def _target(request: AnyRequest) -> bytes | None:
    """Return what to ask for instead of the URL's path, if the request says so.

    :raises LocalProtocolError: for what only a connection of its own can carry.
    """
    if request.method == "CONNECT" or "Upgrade" in request.headers:
        raise LocalProtocolError(
            "CONNECT and Upgrade take a whole connection, and these are shared: "
            "hyper.HTTPConnection is the way"
        )
    target: bytes | None = request.extensions.get("target")
    if target is not None and not target.startswith(b"/") and target != b"*":
        raise LocalProtocolError("the target has to be '*' or to begin with '/'")
    return target


def _body(request: AnyRequest, library: ModuleType) -> BodyLike:
    """Return the body; as an iterator, which is read but once, if it is a stream."""
    stream = cast("Iterable[bytes]", request.stream)
    if isinstance(stream, library.ByteStream):
        return b"".join(stream)
    return iter(stream)
