"""Names that code written for older versions imports from here."""

from __future__ import annotations

from .protocol import HTTPVersion
from .target import parse_host

__all__ = [
    "HTTPVersion",
    "to_bytestring",
    "to_bytestring_tuple",
    "to_host_port_tuple",
    "to_native_string",
]


def to_bytestring(element: str | bytes) -> bytes:
    """Return bytes as they are, and a str as UTF-8.

    :raises ValueError: if it is neither.
    """
    if isinstance(element, str):
        return element.encode("utf-8")
    if isinstance(element, bytes):
        return element
    raise ValueError("Non string type.")


def to_bytestring_tuple(*x: str | bytes) -> tuple[bytes, ...]:
    """Return the same of each, in a tuple."""
    return tuple(map(to_bytestring, x))


def to_native_string(string: str | bytes, encoding: str = "utf-8") -> str:
    """Return a str as it is, and bytes decoded."""
    return string if isinstance(string, str) else string.decode(encoding)


def to_host_port_tuple(host_port_str: str, default_port: int = 80) -> tuple[str, int]:
    """Return host, without the brackets of IPv6, and port of ``host:port``.

    :raises LocalProtocolError: (a ValueError) if it names no server.
    """
    origin = parse_host(host_port_str, default_port=default_port)
    return origin.host, origin.port
