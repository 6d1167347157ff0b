"""nghttpx as the end of TLS in front of tinyproxy, which speaks none.

It offers HTTP/2 to its clients, and HTTP/1.1 to those that want no other.
"""

from __future__ import annotations

from . import tinyproxy
from .recipe import Place


def prepare(place: Place) -> list[list[str]]:
    authority, ports = place.authority, place.ports
    return [
        [
            *(place.program, "--conf", "/dev/null", "--http2-proxy", "--workers=1"),
            # tinyproxy does not say that it will hang up: nothing is to be kept.
            "--backend-keep-alive-timeout=1ms",
            *("--frontend", f"127.0.0.1,{port}"),
            *("--backend", f"127.0.0.1,{behind}"),
            *(str(authority.key_file), str(authority.cert_file)),
        ]
        for port, behind in (
            (ports.proxy_tls, ports.proxy),
            (ports.proxy_tls_auth, ports.proxy_auth),
        )
    ]


RECIPE = tinyproxy.behind("nghttpx", "nghttp2-proxy", prepare)
