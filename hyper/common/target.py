"""Where a request goes: the origin it is for, and the target on its first line.

Users name a server in many ways (``example.com``, ``example.com:8443``, ``[::1]:80``,
``::1``, ``https://example.com/``) and a resource in as many. Both are read here, once,
before anything is resolved or sent, and become values that every other file relies
on without a second look:

- an :class:`Origin`, whose host can hold neither a space nor a control character nor a
  delimiter of URLs. What is not written in the one canonical way is refused rather
  than guessed at: ``127.1`` or ``0x7f000001`` reaches 127.0.0.1 in one library and is
  a name to be verified in another, and such a difference is a hole (RFC 6943 section
  3.1.1).
- a request target in origin-form (RFC 9112 section 3.2.1), pure printable ASCII.

Userinfo (``user:password@``) is dropped: it never gets onto the wire from here, and
no message repeats text in which it could stand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from .exceptions import LocalProtocolError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_DEFAULT_PORTS = {"http": 80, "https": 443}

_NAME = re.compile(r"[a-z0-9_~-]{1,63}(?:\.[a-z0-9_~-]{1,63})*\.?")
_ZONE = re.compile(r"[A-Za-z0-9._~-]+")
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
#: What ``inet_aton`` may take for an IPv4 address, in decimal, octal or hexadecimal.
_NUMBER = r"(?:[0-9]+|0x[0-9a-f]*)"
_NUMBERS = re.compile(rf"{_NUMBER}(?:\.{_NUMBER})*\.?")
#: What the DNS can carry (RFC 1035 section 2.3.4), and a final dot.
_LONGEST_NAME = 254

_FORBIDDEN_IN_TARGET = re.compile(rb"[\x00-\x20\x7f]")
_ABSOLUTE = re.compile(rb"https?://[^/?#]+", re.IGNORECASE)
_SERVER = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
#: A target that is taken as it is, perhaps after a server.
_PLAIN_TARGET = re.compile(
    rb"(?:[hH][tT][tT][pP][sS]?://[\x21\x22\x24-\x2e\x30-\x3e\x40-\x7e]+)?"
    rb"(/[\x21\x22\x24-\x7e]*)"
)
_NON_ASCII = re.compile(rb"[\x80-\xff]")


@dataclass(frozen=True, slots=True)
class Origin:
    """A server, as RFC 6454 section 4 and RFC 9110 section 4.3.1 identify one."""

    #: ``http`` or ``https``.
    scheme: str
    #: What to resolve: a name in lower-case ASCII, perhaps with its final dot, or an
    #: address without brackets, an IPv6 one perhaps with its zone (``fe80::1%eth0``).
    host: str
    port: int

    @property
    def secure(self) -> bool:
        """True if TLS is spoken with this origin."""
        return self.scheme == "https"

    @property
    def tls_name(self) -> str:
        """The name or address that the server's certificate has to show.

        It has neither a final dot (RFC 6066 section 3) nor a zone, which means
        something to this machine only.
        """
        return self.host.partition("%")[0].removesuffix(".")


def parse_host(
    host: str,
    port: int | None = None,
    secure: bool | None = None,
    default_port: int = 443,
) -> Origin:
    """Read what a user gave as the server to talk to.

    :param host: ``name``, ``name:port``, an IPv4 address, an IPv6 one with or without
        brackets, port and zone, or an ``http`` or ``https`` URL without a path.
        Userinfo is dropped. An internationalised name becomes its IDNA form.
    :param port: None to take it from ``host``. If both have one, they must agree.
    :param secure: None to conclude it: from the URL's scheme, else from the port,
        which means TLS exactly if it is 443.
    :param default_port: the port if none is given and neither ``secure`` nor a scheme
        implies one (443 for TLS, 80 without).
    :raises LocalProtocolError: for what names no server, or contradicts itself.
    :raises TypeError: if ``host`` is no str or ``port`` no int.
    """
    if not isinstance(host, str):
        raise TypeError(f"the host must be a str, not {type(host).__name__}")
    scheme, authority = _split_scheme(host)
    name, written_port = _split_authority(authority)
    port = _agree_on_port(port, written_port)
    if scheme is not None:
        if secure is not None and secure != (scheme == "https"):
            raise LocalProtocolError(
                f"the host is an {scheme} URL, but secure={secure} was given"
            )
        secure = scheme == "https"
    if port is None:
        port = default_port if secure is None else 443 if secure else 80
    if secure is None:
        secure = port == 443
    return Origin("https" if secure else "http", _check_host(name), port)


def authority(origin: Origin) -> bytes:
    """Return what goes into Host and ``:authority``.

    The port is part of it only where it is not the scheme's own (RFC 9110 section
    4.2.3), a zone never (RFC 6874 section 1).
    """
    host = origin.host
    if ":" in host:
        host = f"[{host.partition('%')[0]}]"
    if origin.port != _DEFAULT_PORTS[origin.scheme]:
        host = f"{host}:{origin.port}"
    return host.encode("ascii")


def request_target(url: str | bytes) -> bytes:
    """Return the request target for what a user gave as ``url``.

    - A path with or without a query is taken as it is (``//host/x`` is a path), its
      fragment is dropped. ``''`` means ``/``, ``?q`` means ``/?q``, ``*`` itself.
    - Of an absolute ``http`` or ``https`` URL only path and query are used: the
      connection has decided already where the request goes.
    - What is not ASCII is percent-encoded, a str as UTF-8.

    :raises LocalProtocolError: if it contains a space or a control character, or
        does not begin with a slash. The text is not repeated: it may hold secrets.
    :raises TypeError: if ``url`` is neither str nor bytes.
    """
    if isinstance(url, str):
        try:
            url = url.encode("utf-8")
        except UnicodeEncodeError:
            raise LocalProtocolError("the URL is not valid Unicode") from None
    elif not isinstance(url, bytes):
        raise TypeError(f"the URL must be str or bytes, not {type(url).__name__}")
    plain = _PLAIN_TARGET.fullmatch(url)
    if plain:
        return plain[1]
    found = _FORBIDDEN_IN_TARGET.search(url)
    if found:
        raise LocalProtocolError(
            f"the URL holds the character {found.group()!r} at position "
            f"{found.start()}: spaces and controls have to be percent-encoded"
        )
    absolute = _ABSOLUTE.match(url)
    target = url[absolute.end() if absolute else 0 :].partition(b"#")[0]
    if not target or target.startswith(b"?"):
        target = b"/" + target
    if not target.startswith(b"/") and target != b"*":
        raise LocalProtocolError("the URL has to begin with '/' or to be absolute")
    return _NON_ASCII.sub(lambda byte: b"%%%02X" % byte.group()[0], target)


def split_url(url: str | bytes) -> tuple[Origin, bytes]:
    """Return the server that an absolute URL names, and the request target.

    Userinfo is dropped; so is the fragment.

    :raises LocalProtocolError: if it is no absolute http or https URL, names no server,
        or contains a space or a control character. The text is not repeated.
    :raises TypeError: if ``url`` is neither str nor bytes.
    """
    target = request_target(url)
    text = url.decode("utf-8", "replace") if isinstance(url, bytes) else url
    server = _SERVER.match(text)
    if server is None:
        raise LocalProtocolError("the URL has to be absolute: https://name/path")
    name = server.group()
    # What may hold a password is not remembered.
    return parse_host(name) if "@" in name else _known_host(name), target


@lru_cache(maxsize=256)
def _known_host(host: str) -> Origin:
    """Do as :func:`parse_host`, once for each of the servers that were used lately."""
    return parse_host(host)


def connect_target(target: str | bytes) -> bytes:
    """Return the authority that a CONNECT request names: ``host:port``.

    RFC 9110 section 9.3.6: the port has to be there, as nothing implies one.

    :raises LocalProtocolError: if it is anything else.
    :raises TypeError: if ``target`` is neither str nor bytes.
    """
    if isinstance(target, bytes):
        target = target.decode("latin-1")
    elif not isinstance(target, str):
        raise TypeError(f"the target must be str or bytes, not {type(target).__name__}")
    if re.search(r"[/?#@\\]", target):
        raise LocalProtocolError("CONNECT goes to 'host:port' and to nothing more")
    name, port = _split_authority(target)
    port = _agree_on_port(port, None)
    if port is None:
        raise LocalProtocolError("CONNECT goes to 'host:port': the port is missing")
    return host_and_port(_check_host(name), port)


def host_and_port(host: str, port: int) -> bytes:
    """Return ``host:port`` of a host as in an :class:`Origin`, without its zone."""
    if ":" in host:
        host = f"[{host.partition('%')[0]}]"
    return f"{host}:{port}".encode("ascii")


def _split_scheme(host: str) -> tuple[str | None, str]:
    """Return (scheme or None, authority), with the userinfo taken away."""
    url = _SCHEME.match(host)
    scheme = None
    if url:
        scheme, host = url.group(1).lower(), url.group(2)
        if scheme not in _DEFAULT_PORTS:
            raise LocalProtocolError(
                f"the host is a URL of the scheme {scheme!r}: hyper speaks http and "
                f"https"
            )
        host = host.removesuffix("/")
    if re.search(r"[/?#\\]", host):
        raise LocalProtocolError(
            "the host is more than a host: a path or a query belongs to the request"
        )
    userinfo, _, authority_ = host.rpartition("@")
    if "@" in userinfo:
        raise LocalProtocolError("the host has more than one '@'")
    return scheme, authority_


def _split_authority(text: str) -> tuple[str, int | None]:
    """Split ``host:port``. A host with a colon in it is an IPv6 address."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in host:
            raise LocalProtocolError("'[' begins an IPv6 address and ']' ends it")
        # RFC 6874 writes the zone's '%' as '%25'; most people write '%'.
        address, percent, zone = host.partition("%")
        if zone.startswith("25") and zone != "25":
            zone = zone[2:]
        host = address + percent + zone
        if rest and not rest.startswith(":"):
            raise LocalProtocolError("only ':' and a port may follow ']'")
        return host, _read_port(rest[1:])
    if text.count(":") > 1:
        return text, None
    host, _, digits = text.partition(":")
    return host, _read_port(digits)


def _read_port(digits: str) -> int | None:
    """Read the port of an authority, which may be empty (RFC 3986 section 3.2.3)."""
    if not digits:
        return None
    # What stands there may be half a password, so the message does not repeat it.
    if not re.fullmatch(r"[0-9]{1,5}", digits):
        raise LocalProtocolError("the port after the host's ':' is not a number")
    return int(digits)


def _agree_on_port(given: int | None, written: int | None) -> int | None:
    """Return the one port there is, checked."""
    if given is not None and (isinstance(given, bool) or not isinstance(given, int)):
        raise TypeError(f"the port must be an int, not {type(given).__name__}")
    port = written if given is None else given
    if written is not None and port != written:
        raise LocalProtocolError(f"the host says port {written}, the argument {port}")
    if port is not None and not 1 <= port <= 65535:
        raise LocalProtocolError(f"the port {port} is not between 1 and 65535")
    return port


def _check_host(host: str) -> str:
    """Return a host that can be resolved, verified and written into a message."""
    if not host:
        raise LocalProtocolError("the host is empty")
    if ":" in host:
        return _check_ipv6(host)
    if len(host) > _LONGEST_NAME:
        raise LocalProtocolError("the host is longer than 253 characters")
    if not host.isascii():
        # The codec also maps full-width digits and dots, so that the checks follow.
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise LocalProtocolError(
                f"the host {host!r} is not a valid internationalised name: {error}"
            ) from None
    host = host.lower()
    if not _NAME.fullmatch(host) or len(host.removesuffix(".")) >= _LONGEST_NAME:
        raise LocalProtocolError(
            f"the host {host!r} is not a name: labels of 1 to 63 letters, digits, '-' "
            f"and '_' between single dots"
        )
    if _NUMBERS.fullmatch(host) and not _IPV4.fullmatch(host):
        raise LocalProtocolError(
            f"the host {host!r} is a number, but not an IPv4 address as in 192.0.2.1"
        )
    return host


def _check_ipv6(host: str) -> str:
    """Return an IPv6 address in lower case, its zone as it is."""
    from ipaddress import IPv6Address  # here, since few hosts are IPv6 literals

    address, percent, zone = host.partition("%")
    try:
        IPv6Address(address)
    except ValueError:
        raise LocalProtocolError(
            f"the host {address!r} is not an IPv6 address"
        ) from None
    if percent and not _ZONE.fullmatch(zone):
        raise LocalProtocolError("the zone after the IPv6 address's '%' is not a name")
    return address.lower() + percent + zone
