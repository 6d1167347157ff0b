"""The server: it listens, gives each connection a thread, and stops them all.

``Server.stop`` is the one way out, and leaves nothing behind: no thread, no
socket, no file. It first closes the listening sockets, then asks every connection
to finish (GOAWAY; idle ones end at once), gives those that are busy ``grace``
seconds, cuts what is left, and joins every thread.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

from hyper.http2bin import routes
from hyper.http2bin.http1 import Http1
from hyper.http2bin.http2 import Http2
from hyper.http2bin.message import Reply, Request
from hyper.http2bin.wire import Wire

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_WORKERS = 4096
GRACE = 0.5
PORT_ATTEMPTS = 8


@contextlib.contextmanager
def serve(
    *,
    tls: bool = True,
    host: str = "localhost",
    port: int = 0,
    max_concurrent_streams: int = 128,
) -> Iterator[Server]:
    """Run a server for as long as the block runs; see Server."""
    server = Server(
        tls=tls, host=host, port=port, max_concurrent_streams=max_concurrent_streams
    )
    try:
        yield server
    finally:
        server.stop()


class Server:
    """A running server. Every method may be called from any thread.

    tls: speak TLS with a certificate made on the spot; else cleartext.
    host: the name to listen on; "localhost" is 127.0.0.1 and, if there is IPv6, ::1.
    port: 0 lets the system choose one.
    max_concurrent_streams: what each HTTP/2 connection is allowed.

    Raises OSError when it cannot listen, RuntimeError when TLS is asked for and
    trustme is not installed.
    """

    def __init__(
        self,
        *,
        tls: bool = True,
        host: str = "localhost",
        port: int = 0,
        max_concurrent_streams: int = 128,
    ) -> None:
        self._identity = make_identity(host) if tls else None
        try:
            self._listeners = listen(host, port)
        except OSError:
            self._remove_ca_file()
            raise
        self.host = host
        self.port: int = self._listeners[0].getsockname()[1]
        self._pool = ThreadPoolExecutor(MAX_WORKERS, "http2bin-worker")
        self._service = Service(self._answer, self._pool, max_concurrent_streams)
        self._stop_lock = threading.Lock()  # held while stopping
        self._stopped = False  # guarded by _stop_lock
        self._lock = threading.Lock()  # guards the next three
        self._links: dict[Link, threading.Thread] = {}
        self._connections = 0
        self._requests = 0
        self._wake, self._woken = socket.socketpair()
        self._acceptor = threading.Thread(
            target=self._accept_all, name="http2bin-accept", daemon=True
        )
        self._acceptor.start()

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        scheme = "https" if self._identity else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"

    @property
    def ca_pem(self) -> bytes:
        """The certificate of its authority; b"" without TLS."""
        return self._identity.ca_pem if self._identity else b""

    @property
    def ca_file(self) -> str | None:
        """A file with ca_pem, there until stop(); None without TLS."""
        return self._identity.ca_file if self._identity else None

    @property
    def connections(self) -> int:
        """The number of connections accepted so far."""
        with self._lock:
            return self._connections

    @property
    def requests(self) -> int:
        """The number of requests whose routes have been run so far, or begun."""
        with self._lock:
            return self._requests

    def goaway(self) -> None:
        """Ask every connection that there is to finish; go on accepting others."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.finish()

    def stop(self, grace: float = GRACE) -> None:
        """End everything; wait ``grace`` seconds for requests that are running."""
        with self._stop_lock:
            if self._stopped:
                return
            self._stopped = True
            self._wake.close()
            self._acceptor.join()
            self._woken.close()
            # Nothing adds to the links any more.
            for link in self._links:
                if link.finish():
                    link.abort()
            limit = time.monotonic() + grace
            for thread in self._links.values():
                thread.join(max(0.0, limit - time.monotonic()))
            for link, thread in self._links.items():
                link.abort()
                thread.join()
            self._pool.shutdown()
            self._remove_ca_file()

    def _remove_ca_file(self) -> None:
        if self._identity:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._identity.ca_file)

    def _accept_all(self) -> None:
        """Accept until stop() closes the other end of the pair."""
        poll = select.poll()
        for listener in (*self._listeners, self._woken):
            poll.register(listener, select.POLLIN)
        by_number = {listener.fileno(): listener for listener in self._listeners}
        while self._woken.fileno() not in (ready := dict(poll.poll())):
            for number in ready:
                try:
                    sock, address = by_number[number].accept()
                except OSError:
                    continue  # the client has left between the poll and here
                self._start(sock, address[0])
        for listener in self._listeners:
            listener.close()

    def _start(self, sock: socket.socket, origin: str) -> None:
        """Give a connection its thread, and forget those whose threads have ended."""
        wire = Wire(sock, self._identity.context if self._identity else None)
        link = Link(wire, origin, self._service)
        with self._lock:
            self._connections += 1
            name = f"http2bin-connection-{self._connections}"
            thread = threading.Thread(target=link.run, name=name, daemon=True)
            thread.start()
            self._links = {k: v for k, v in self._links.items() if v.is_alive()}
            self._links[link] = thread

    def _answer(self, request: Request) -> Reply:
        """Count a request and run its route."""
        with self._lock:
            self._requests += 1
        return routes.answer(request)


@dataclass(frozen=True)
class Service:
    """What every connection of one server shares."""

    handler: Callable[[Request], Reply]
    pool: Executor
    max_concurrent_streams: int


class Link:
    """One connection from its first byte, when its protocol is not known yet."""

    def __init__(self, wire: Wire, origin: str, service: Service) -> None:
        self._wire = wire
        self._origin = origin
        self._service = service
        self._lock = threading.Lock()  # guards the next two
        self._session: Http1 | Http2 | None = None
        self._aborted = False

    def run(self) -> None:
        """Serve the connection to its end, and close its socket."""
        try:
            if self._wire.handshake():
                session = self._choose()
                with self._lock:
                    self._session = None if self._aborted else session
                if self._session:
                    self._session.run()
        finally:
            self._wire.close()

    def finish(self) -> bool:
        """End after what is running; return whether nothing is."""
        with self._lock:
            session = self._session
        return session is None or session.finish()

    def abort(self) -> None:
        """End now."""
        with self._lock:
            self._aborted = True
            session = self._session
        (session or self._wire).abort()

    def _choose(self) -> Http1 | Http2:
        """Wait for what tells the protocol, and return it ready to run.

        That is ALPN, or else how the first bytes look (RFC 9113 3.3).
        """
        first = b""
        if self._wire.alpn is None:
            while len(first) < len(PREFACE) and PREFACE.startswith(first):
                piece = self._wire.receive()
                if not piece:
                    break
                first += piece
            if first.startswith(b"\x16"):
                # A TLS ClientHello has no line end to wait for: refuse it as a request.
                first = b"TLS\r\n\r\n"
        if self._wire.alpn != "h2" and not first.startswith(PREFACE):
            return Http1(self._wire, self._service.handler, self._origin, first)
        return Http2(
            self._wire,
            self._service.handler,
            self._origin,
            first,
            pool=self._service.pool,
            max_concurrent_streams=self._service.max_concurrent_streams,
        )


@dataclass(frozen=True)
class Identity:
    """A TLS configuration and the authority that vouches for it."""

    context: ssl.SSLContext
    ca_pem: bytes
    ca_file: str


def make_identity(host: str) -> Identity:
    """Make an authority and a certificate for the loopback. Raises RuntimeError."""
    try:
        import trustme
    except ImportError:
        raise RuntimeError(
            "TLS needs the package trustme: pip install hyper[http2bin]"
        ) from None
    authority = trustme.CA()
    names = dict.fromkeys(["localhost", "127.0.0.1", "::1", host])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert(*names).configure_cert(context)
    number, path = tempfile.mkstemp(prefix="http2bin-", suffix=".pem")
    pem = authority.cert_pem.bytes()
    with open(number, "wb") as file:
        file.write(pem)
    return Identity(context, pem, path)


def listen(host: str, port: int) -> list[socket.socket]:
    """Return listening sockets, all on one port. Raises OSError."""
    if host != "localhost":
        (family, *_, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )
        return [bind(family, str(address[0]), port)]
    for _ in range(PORT_ATTEMPTS):
        listeners = [bind(socket.AF_INET, "127.0.0.1", port)]
        chosen = listeners[0].getsockname()[1]
        try:
            listeners.append(bind(socket.AF_INET6, "::1", chosen))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                listeners[0].close()
                continue  # the port that IPv4 chose is taken in IPv6
            # There is no IPv6 here; IPv4 alone serves.
        return listeners
    raise OSError(errno.EADDRINUSE, f"port {port} is taken on ::1")


def bind(family: int, address: str, port: int) -> socket.socket:
    """Return one listening socket. Raises OSError."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(1024)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
