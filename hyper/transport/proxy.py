"""Proxies: what is known of one, and the handshakes that make it connect us.

An HTTP proxy is asked by CONNECT (RFC 9110 section 9.3.6), a SOCKS proxy by a few bytes
(SOCKS4 and its extension 4a, RFC 1928, RFC 1929). Either handshake is a Protocol that
has the connection for one answer and then is :attr:`Handshake.established`: what comes
next belongs to whatever is spoken with the server, most often TLS. Two things follow:

- **Not a byte too many.** What arrives behind the answer is kept as it is, in
  :attr:`Handshake.leftover`, and no more is read until somebody has taken it. It goes
  where all that the server sends goes: through TLS. A proxy that puts a response there
  cannot have it taken for the server's.
- **A proxy is not the server.** Whatever it says but yes ends in a
  :class:`~hyper.common.exceptions.ProxyError`: its responses are never those of the
  request, and where it redirects to nobody goes.

A proxy sees credentials, and nothing else does: they are no part of what a
:class:`Proxy` looks like or of any message.

SOCKS is spoken here and not by a package. It is five short messages; those packages
that can be had without their sockets want each answer to come in one piece, so that
most of the work, to know where it ends, would be here anyway.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from ..common.exceptions import (
    ConnectionLost,
    HyperError,
    InvalidResponseError,
    LocalProtocolError,
    ProxyError,
    ProxyResponse,
    RemoteProtocolError,
)
from ..common.grammar import (
    Buffer,
    Head,
    control_fields,
    parse_head,
    parse_length,
    request_head,
    shown,
)
from ..common.headers import HTTPHeaderMap
from ..common.protocol import EVERYONE, Protocol
from ..common.request import Request
from ..common.stream import Fields
from ..common.target import Origin, host_and_port, parse_host
from ..common.validation import Headers, fields

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    from .tls import Context

#: The schemes, and the port of each where the URL has none.
DEFAULT_PORTS = {
    "http": 80,
    "https": 443,
    "socks4": 1080,
    "socks4a": 1080,
    "socks5": 1080,
    "socks5h": 1080,
}

#: What a proxy may say before a tunnel is open, with all its interim responses, and
#: how many fields may be in one.
MAX_HEADS = 65536
MAX_FIELDS = 256
#: How much of the content of a refusal is kept.
MAX_BODY = 65536

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")
#: Fields that are not the user's to give: hyper says where to, and nothing follows.
_NOT_FOR_PROXIES = {b"host", b"content-length", b"transfer-encoding"}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy and what it has to be told. Made by :meth:`parse`.

    Equal proxies may share connections: everything that tells them apart is compared.
    """

    #: ``http`` or ``https`` (the proxy itself speaks TLS), ``socks4``, ``socks4a``,
    #: ``socks5`` or ``socks5h``.
    scheme: str
    #: A name or an address, as in an :class:`~hyper.common.target.Origin`.
    host: str
    port: int
    #: Both are empty if there are no credentials.
    username: bytes = field(default=b"", repr=False)
    password: bytes = field(default=b"", repr=False)
    #: Fields for the proxy alone, in order. They may hold credentials.
    headers: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)
    #: How to speak TLS with it, if ``scheme`` is ``https``; None: as with the server.
    context: Context | None = field(default=None, repr=False)

    @classmethod
    def parse(
        cls,
        url: str,
        headers: Headers | None = None,
        default_port: int | None = None,
        context: Context | None = None,
    ) -> Proxy:
        """Read what a user or the environment gave as a proxy.

        :param url: ``scheme://user:password@host:port``, in which the scheme (then
            ``http``), the port and the credentials may be missing. Characters that
            mean something in a URL are percent-encoded in user and password.
        :param headers: fields to send to an HTTP proxy with every request to it.
        :param default_port: the port if the URL has none; None for the scheme's own:
            80, 443 and, for SOCKS, 1080.
        :param context: how to speak TLS with an https proxy. None: as with the server.
        :raises LocalProtocolError: for what names no proxy, for credentials that the
            scheme cannot carry, and for headers that are not fit to be sent. The
            message holds no credentials.
        :raises TypeError: if an argument is of another type.
        """
        if not isinstance(url, str):
            raise TypeError(f"the proxy must be a str, not {type(url).__name__}")
        found = _SCHEME.fullmatch(url)
        scheme, rest = found.groups() if found else ("http", url)
        scheme = scheme.lower()
        if scheme not in DEFAULT_PORTS:
            raise LocalProtocolError(
                f"the proxy's scheme {scheme!r} is none of {', '.join(DEFAULT_PORTS)}"
            )
        if default_port is None:
            default_port = DEFAULT_PORTS[scheme]
        userinfo, _, authority = rest.removesuffix("/").rpartition("@")
        if re.search(r"[@/?#\\]", userinfo + authority):
            raise LocalProtocolError(
                "the proxy's URL is more than user:password@host:port; in a user or "
                "a password '@', '/', '?', '#' and '\\' have to be percent-encoded"
            )
        from urllib.parse import unquote_to_bytes  # Only those with a proxy need it.

        try:
            origin = parse_host(authority, default_port=default_port)
            pieces = userinfo.partition(":")
            username, password = (unquote_to_bytes(text) for text in pieces[::2])
        except LocalProtocolError as error:
            raise LocalProtocolError(f"in the proxy's URL {error}") from None
        except UnicodeEncodeError:
            raise LocalProtocolError("the proxy's URL is not valid Unicode") from None
        proxy = cls(
            scheme,
            origin.host,
            origin.port,
            username,
            password,
            tuple(proxy_fields(headers)),
            context,
        )
        proxy._check()
        return proxy

    def __str__(self) -> str:
        """Return the URL without the credentials."""
        return f"{self.scheme}://{host_and_port(self.host, self.port).decode()}"

    @property
    def origin(self) -> Origin:
        """What to connect to, with TLS if ``secure``."""
        scheme = "https" if self.scheme == "https" else "http"
        return Origin(scheme, self.host, self.port)

    @property
    def is_socks(self) -> bool:
        """True if it knows nothing of HTTP."""
        return self.scheme.startswith("socks")

    @property
    def resolves(self) -> bool:
        """True if the proxy looks names up; False if it has to be given an address."""
        return self.scheme not in ("socks4", "socks5")

    @property
    def has_credentials(self) -> bool:
        """True if there is a user, a password or both."""
        return self.username != b"" or self.password != b""

    def request_fields(self, headers: Headers | None = None) -> Fields:
        """Return the fields of a request to an HTTP proxy: to it, not through it.

        They are Proxy-Authorization (RFC 7617), if there are credentials and no such
        field was given; then ``headers`` of the proxy; then those of this request.

        :raises LocalProtocolError: if ``headers`` are not fit to be sent.
        """
        given = [*self.headers, *proxy_fields(headers)]
        if self.has_credentials and not any(
            name.lower() == b"proxy-authorization" for name, _ in given
        ):
            secret = base64.b64encode(self.username + b":" + self.password)
            given.insert(0, (b"Proxy-Authorization", b"Basic " + secret))
        return given

    def _check(self) -> None:
        """Refuse what the proxy could not be told."""
        user, password = self.username, self.password
        if self.is_socks and self.headers:
            raise LocalProtocolError(f"a {self.scheme} proxy takes no headers")
        if _CONTROLS.search(user + password):
            raise LocalProtocolError(
                "the user or the password for the proxy has a control character"
            )
        if not self.is_socks:
            if b":" in user:  # RFC 7617 section 2
                raise LocalProtocolError("the user for the proxy has a ':'")
        elif self.scheme.startswith("socks4"):
            if password:
                raise LocalProtocolError("SOCKS4 has no passwords")
        elif max(len(user), len(password)) > 255 or (password and not user):
            raise LocalProtocolError(
                "SOCKS5 takes users of 1 to 255 bytes and passwords of at most 255"
            )


def proxy_fields(headers: Headers | None) -> Fields:
    """Return fields for a proxy, checked.

    :raises LocalProtocolError: if they are not fit to be sent.
    """
    checked = fields(headers)
    for name, _ in checked:
        if name.lower() in _NOT_FOR_PROXIES:
            raise LocalProtocolError(
                f"the field {name.decode()!r} is not for the user to send to a proxy"
            )
    return checked


class Handshake(Protocol):
    """What is said to a proxy before it connects us to a server.

    Not thread-safe: its owner calls it under one lock.
    """

    def __init__(self, proxy: Proxy, origin: Origin) -> None:
        self.touched: set[object] = set()
        #: A :class:`~hyper.common.exceptions.ProxyError` if the proxy is to blame.
        self.failure: HyperError | None = None
        #: The proxy has connected us: what is sent from now on, the server gets.
        self.established = False
        #: What came after the proxy's answer.
        self.leftover = b""
        self._proxy = proxy
        self._where = host_and_port(origin.host, origin.port).decode()
        self._outgoing = b""
        self._buffer = Buffer()

    @property
    def paused(self) -> bool:
        """True once established: more is for whoever takes ``leftover`` to read."""
        return self.established

    @property
    def finished(self) -> bool:
        """True once it has failed."""
        return self.failure is not None

    def receive_data(self, data: bytes) -> None:
        """Take bytes that arrived. Never raises: a proxy's fault is the failure."""
        if self.established:
            self.leftover += data
            return
        if self.failure is None:
            self._buffer.feed(data)
        while self._buffer and not self.established and self.failure is None:
            if self._outgoing:  # What answers no question is no answer.
                early = f"spoke before it was asked: {shown(self._buffer.peek(61))}"
                self.fail(ProxyError(f"{self._proxy} {early}"))
            elif not self._read():
                break

    def receive_eof(self, clean: bool) -> None:
        """Take the end of what arrives. What was established is not undone by it."""
        if not self.established:
            did = "within its answer" if self._buffer else "without an answer"
            self.fail(ProxyError(f"{self._proxy} closed the connection {did}"))

    def probe(self) -> None:
        """Do nothing: an answer is awaited already."""

    def data_to_send(self) -> bytes:
        """Hand over the bytes to be sent since the last call."""
        data, self._outgoing = self._outgoing, b""
        return data

    def fail(self, error: HyperError) -> None:
        """End the handshake with ``error``, if it has not ended. Idempotent."""
        if self.failure is not None or self.established:
            return
        if isinstance(error, ConnectionLost):
            lost = ProxyError(f"{self._proxy} did not answer: {error}")
            lost.__cause__ = error
            error = lost
        self.failure = error
        self._outgoing = b""  # Nobody is told credentials who has been given up.
        self.touched.add(EVERYONE)

    def _read(self) -> bool:
        """Read on; return False if more bytes are needed for that."""
        raise NotImplementedError

    def _establish(self) -> None:
        self.established = True
        self.leftover = self._buffer.take(len(self._buffer))
        self.touched.add(EVERYONE)


class Tunnel(Handshake):
    """Ask an HTTP proxy for a tunnel by CONNECT.

    A refusal is complete with its head. Its content is waited for so that the error can
    show it; if anything goes wrong or the time is over meanwhile, :meth:`fail` makes
    the refusal the failure all the same.
    """

    def __init__(
        self, proxy: Proxy, origin: Origin, headers: Headers | None = None
    ) -> None:
        """Make the request.

        :param origin: what to be connected to.
        :param headers: further fields for this tunnel.
        :raises LocalProtocolError: if ``headers`` are not fit to be sent.
        """
        super().__init__(proxy, origin)
        where = self._where.encode("ascii")
        given = proxy.request_fields(headers)
        self._outgoing = request_head(Request(b"CONNECT", b"http", where, b"", given))
        self._heads_size = 0  # of those that have come
        self._refusal: Head | None = None
        self._body_size = 0  # how much of the refusal's content is awaited

    def fail(self, error: HyperError) -> None:
        """End the handshake with the refusal that has begun, else with ``error``."""
        if self._refusal is not None:
            error = self._refused(self._refusal)
        super().fail(error)

    def _read(self) -> bool:
        if self._refusal is None:
            return self._read_head()
        return self._read_body(self._refusal)

    def _read_head(self) -> bool:
        if not self._buffer.agrees_with(b"HTTP/"):
            self._misunderstood(self._buffer.peek(61))
            return False
        block = self._buffer.take_block()
        # Minus 3, as some of an empty line may be there, so that the verdict does not
        # depend on how the bytes were split.
        size = len(self._buffer) - 3 if block is None else len(block)
        if self._heads_size + size > MAX_HEADS:
            too_much = f"answered CONNECT with more than {MAX_HEADS} bytes of fields"
            self.fail(ProxyError(f"{self._proxy} {too_much}"))
        elif block is not None:
            self._heads_size += size
            try:
                self._judge(parse_head(block, MAX_FIELDS))
            except RemoteProtocolError as error:
                # The traceback holds this frame, which holds the handshake: a cycle.
                self._misunderstood(block, error.with_traceback(None))
        return block is not None

    def _judge(self, head: Head) -> None:
        if 200 <= head.status < 300:
            # RFC 9110 9.3.6: Content-Length and Transfer-Encoding mean nothing here.
            self._establish()
        elif head.status == 101 or head.status >= 300:
            self._refusal = head
            self._body_size = _awaited(head)
            self._read_body(head)

    def _read_body(self, head: Head) -> bool:
        if len(self._buffer) >= self._body_size:
            super().fail(self._refused(head))
        return False

    def _refused(self, head: Head) -> ProxyError:
        reason = head.reason.decode("latin-1")
        return ProxyError(
            f"{self._proxy} refused to connect to {self._where}: {head.status} "
            f"{reason!r}",
            ProxyResponse(
                head.status,
                reason,
                HTTPHeaderMap.from_wire(head.fields),
                self._buffer.peek(self._body_size),
            ),
        )

    def _misunderstood(self, what: bytes, cause: HyperError | None = None) -> None:
        error = ProxyError(
            f"{self._proxy} answered CONNECT with what is not HTTP/1: {shown(what)}"
        )
        error.__cause__ = cause
        self.fail(error)


def _awaited(head: Head) -> int:
    """Return how much content of a refusal to wait for, until the end at most."""
    control = control_fields(head.fields)
    lengths = control.get(b"content-length")
    if head.status in (101, 204, 304) or b"transfer-encoding" in control:
        return 0
    try:
        return min(parse_length(lengths), MAX_BODY) if lengths else MAX_BODY
    except InvalidResponseError:
        return 0


#: Yields what to send and how many bytes of answer to wait for; is sent these bytes;
#: returns what went wrong, or None.
_Talk: TypeAlias = Generator[tuple[bytes, int], bytes, str | None]


class Socks(Handshake):
    """Ask a SOCKS proxy for a connection."""

    def __init__(self, proxy: Proxy, origin: Origin) -> None:
        """Begin.

        :param origin: what to be connected to; its host has to be an address unless
            the proxy ``resolves``.
        :raises LocalProtocolError: if the proxy cannot be asked for such a host.
        """
        super().__init__(proxy, origin)
        host = origin.host.partition("%")[0]
        address = _address(host)
        if address is None and not proxy.resolves:
            raise LocalProtocolError(f"{proxy.scheme} takes addresses, not names")
        if proxy.scheme.startswith("socks5"):
            self._talk = _socks5(proxy, address or host, origin.port)
        elif address is not None and address.version == 6:
            raise LocalProtocolError("SOCKS4 knows no IPv6 addresses")
        else:
            self._talk = _socks4(proxy, address or host, origin.port)
        self._outgoing, self._wanted = next(self._talk)

    def _read(self) -> bool:
        if len(self._buffer) < self._wanted:
            return False
        try:
            more, self._wanted = self._talk.send(self._buffer.take(self._wanted))
            self._outgoing += more
        except StopIteration as end:
            if end.value is None:
                self._establish()
            else:
                what = f"did not connect to {self._where}: {end.value}"
                self.fail(ProxyError(f"{self._proxy} {what}"))
        return True


_Address: TypeAlias = "IPv4Address | IPv6Address"


def _address(host: str) -> _Address | None:
    from ipaddress import ip_address

    try:
        return ip_address(host)
    except ValueError:
        return None


_SOCKS4_REPLIES = {
    91: "rejected or failed",
    92: "the proxy cannot reach identd on this machine",
    93: "identd on this machine names another user",
}


def _socks4(proxy: Proxy, host: _Address | str, port: int) -> _Talk:
    """SOCKS4; with a name, 4a: an address that cannot be, and the name at the end."""
    if isinstance(host, str):
        address, name = b"\0\0\0\1", host.encode("ascii") + b"\0"
    else:
        address, name = host.packed, b""
    request = b"\4\1" + port.to_bytes(2, "big") + address + proxy.username + b"\0"
    version, code, *_ = yield request + name, 8
    if version != 0:
        return "it does not speak SOCKS4"
    return None if code == 90 else _said(_SOCKS4_REPLIES, code)


#: RFC 1928 section 6.
_SOCKS5_REPLIES = {
    1: "general failure",
    2: "its rules do not allow it",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "the time to live expired",
    7: "it does not know the command",
    8: "it does not know this type of address",
}


def _socks5(proxy: Proxy, host: _Address | str, port: int) -> _Talk:
    """RFC 1928, with users and passwords of RFC 1929."""
    # Section 3. Without credentials is always offered, as by curl.
    methods = b"\0\2" if proxy.has_credentials else b"\0"
    version, method = yield b"\5%c%b" % (len(methods), methods), 2
    if version != 5:
        return "it does not speak SOCKS5"
    if method == 255 and not proxy.has_credentials:
        return "it wants credentials, or what hyper cannot give"
    if method not in methods:
        return f"it accepts no way to log in that was offered (it said {method})"
    if method == 2:
        user, password = proxy.username, proxy.password
        login = b"\1%c%b%c%b" % (len(user), user, len(password), password)
        version, status = yield login, 2
        if (version, status) != (1, 0):
            return "it refused the user and password"
    # Section 4.
    if isinstance(host, str):
        name = host.encode("ascii")
        address = b"\3%c%b" % (len(name), name)
    else:
        address = (b"\1" if host.version == 4 else b"\4") + host.packed
    # Section 6. The reply is read in pieces: its length is within it, and after a
    # failure not all of it may come.
    version, code = yield b"\5\1\0" + address + port.to_bytes(2, "big"), 2
    if version != 5:
        return "its reply is not SOCKS5"
    if code != 0:
        return _said(_SOCKS5_REPLIES, code)
    _, kind = yield b"", 2
    if kind == 3:
        (size,) = yield b"", 1
    elif kind in (1, 4):
        size = 4 if kind == 1 else 16
    else:
        return f"its reply has an address of the unknown type {kind}"
    # Where it connected from is of no interest.
    yield b"", size + 2
    return None


def _said(replies: dict[int, str], code: int) -> str:
    return f"{replies.get(code, 'for a reason that it did not name')} (it said {code})"
