"""Proxies that the environment names: ``http_proxy``, ``no_proxy`` and their kin.

There is no standard, only habits that differ (curl's, Go's, urllib's). Where they do,
these are hyper's:

- A name in lower case comes before the one in upper case. One that is set and empty
  means "no proxy", and no other is asked.
- ``HTTP_PROXY`` does not count in a CGI script, where ``REQUEST_METHOD`` is set: there
  it is the field ``Proxy`` of whoever sent the request ("httpoxy", CVE-2016-1000110).
- An entry of ``no_proxy`` is a domain, which stands for its subdomains as well, with or
  without a dot or ``*.`` in front; an address; a network such as ``10.0.0.0/8``; or
  ``*``. It may end with a port. Commas or blanks are between entries.
- Nothing is resolved: an address in ``no_proxy`` does not except a name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

#: ``host``, ``host:port``, ``[address]`` or ``[address]:port``. What has more colons is
#: an IPv6 address or network without brackets.
_ENTRY = re.compile(r"(\[[^\]]*\]|[^:\[]*)(?::([0-9]{1,5}))?")


def proxy_from_environment(
    scheme: str, host: str, port: int, environ: Mapping[str, str] = os.environ
) -> str | None:
    """Return the URL of the proxy for an origin, as it was written; None: no proxy.

    :param scheme: ``http`` or ``https``.
    :param host: a name, or an address without brackets.
    :param environ: the environment; its names are case-sensitive.
    """
    url = _variable(f"{scheme}_proxy", environ)
    if url is None:
        url = _variable("all_proxy", environ)
    if not url or _is_excepted(host, port, _variable("no_proxy", environ) or ""):
        return None
    return url


def proxy_variables(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return of an environment what :func:`proxy_from_environment` looks at."""
    return {
        name: value
        for name, value in environ.items()
        if name.lower().endswith("_proxy") or name == "REQUEST_METHOD"
    }


def _variable(name: str, environ: Mapping[str, str]) -> str | None:
    """Return a variable's value, perhaps ``""``; None if it is not set."""
    for spelling in (name, name.upper()):
        if spelling == "HTTP_PROXY" and "REQUEST_METHOD" in environ:
            continue
        if spelling in environ:
            return environ[spelling].strip()
    return None


def _is_excepted(host: str, port: int, exceptions: str) -> bool:
    """Return True if an entry of ``no_proxy`` is for this host and port."""
    host = host.partition("%")[0].lower().rstrip(".")
    address = _address(host)
    for entry in re.split(r"[\s,]+", exceptions.lower()):
        found = _ENTRY.fullmatch(entry)
        name, only_port = found.groups() if found else (entry, None)
        if only_port is not None and int(only_port) != port:
            continue
        if name == "*":
            return True
        if address is None:
            domain = name.removeprefix("*").strip(".")
            if domain and f".{host}".endswith(f".{domain}"):
                return True
        elif _is_in(address, name.strip("[]")):
            return True
    return False


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_in(address: IPv4Address | IPv6Address, network: str) -> bool:
    """Return True if the address is this one or in this network."""
    try:
        return address in ip_network(network, strict=False)
    except ValueError:
        return False
