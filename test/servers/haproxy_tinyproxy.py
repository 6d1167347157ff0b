"""HAProxy as the end of TLS in front of tinyproxy, which speaks none."""

from __future__ import annotations

from . import tinyproxy
from .recipe import Place

CONFIGURATION = """
global
    log stderr format raw local0 notice
    maxconn 256
    nbthread 1

defaults
    mode http
    log global
    # tinyproxy does not say that it will hang up.
    option http-server-close
    retries 0
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
    default-server maxconn 100

listen open
    bind 127.0.0.1:{ports.proxy_tls} ssl crt {pair_file} alpn http/1.1
    server tinyproxy 127.0.0.1:{ports.proxy}

listen closed
    bind 127.0.0.1:{ports.proxy_tls_auth} ssl crt {pair_file} alpn http/1.1
    server tinyproxy 127.0.0.1:{ports.proxy_auth}
"""


def prepare(place: Place) -> list[list[str]]:
    pair_file = place.authority.pair_file
    text = CONFIGURATION.format(ports=place.ports, pair_file=pair_file)
    path = place.write("haproxy.cfg", text)
    return [[place.program, "-db", "-f", str(path)]]


RECIPE = tinyproxy.behind("haproxy", "haproxy", prepare)
