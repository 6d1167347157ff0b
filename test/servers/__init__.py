"""Real servers for the tests, and proxies: one way to start, restart and end them.

    with start("nginx", tmp_path=tmp_path, ca=ca) as server:
        server.url("/hello"), server.ca_file, server.features

What every server answers at which path is `FEATURES`, in `recipe`; the bytes it
answers with are in `content`. The pytest fixtures are in `fixtures`. A tenth, "grpc",
is started in the same way and speaks gRPC alone. `PROXIES` are servers like the others,
with ports and features of their own:

    with start("squid", tmp_path=tmp_path, ca=ca) as proxy:
        proxy.proxy_url("http", f"{USERNAME}:{PASSWORD}"), proxy.backend_port
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from . import (
    apache,
    caddy,
    dante,
    granian,
    grpc,
    h2o,
    haproxy,
    haproxy_tinyproxy,
    hypercorn,
    microsocks,
    nghttpd,
    nghttpx_tinyproxy,
    nginx,
    node,
    squid,
    tinyproxy,
)
from .authority import Authority, make_authority
from .content import HELLO, TEXT, ten_mebibytes, ten_mebibytes_sha256
from .realserver import RealServer, ServerFailed, ServerMissing
from .recipe import (
    FEATURES,
    PASSWORD,
    PROXY_FEATURES,
    USERNAME,
    Options,
    Ports,
    Recipe,
)

__all__ = [
    "FEATURES",
    "HELLO",
    "PASSWORD",
    "PROXIES",
    "PROXY_FEATURES",
    "RECIPES",
    "SERVERS",
    "TEXT",
    "USERNAME",
    "Authority",
    "Ports",
    "RealServer",
    "Recipe",
    "ServerFailed",
    "ServerMissing",
    "make_authority",
    "start",
    "ten_mebibytes",
    "ten_mebibytes_sha256",
]

MODULES = (nginx, apache, caddy, h2o, nghttpd, haproxy, node, hypercorn, granian)
SERVERS: Mapping[str, Recipe] = {
    module.RECIPE.name: module.RECIPE for module in MODULES
}
PROXIES: Mapping[str, Recipe] = {
    module.RECIPE.name: module.RECIPE
    for module in (
        *(tinyproxy, squid, haproxy_tinyproxy, nghttpx_tinyproxy),
        *(microsocks, dante),
    )
}
RECIPES: Mapping[str, Recipe] = {
    **SERVERS,
    **PROXIES,
    grpc.RECIPE.name: grpc.RECIPE,
}


def start(
    name: str,
    *,
    tmp_path: Path,
    ca: Authority,
    max_concurrent_streams: int | None = None,
    keepalive_requests: int | None = None,
) -> RealServer:
    """Start a server of `RECIPES` and return it when it accepts on all its ports.

    All it writes it writes in a new directory in ``tmp_path``. With
    ``max_concurrent_streams`` it announces that many (feature "max-streams"), with
    ``keepalive_requests`` it ends an HTTP/2 connection by GOAWAY after that many
    requests (feature "keepalive-requests"), or an HTTP/1.1 connection by ``Connection:
    close`` (feature "keepalive-requests-h1"); None leaves its own default.

    Raises ServerMissing when the program is not installed, ServerFailed, with the
    server's log, when it does not start, and AssertionError for an option that the
    server does not have.
    """
    recipe = RECIPES[name]
    for value, *features in (
        (max_concurrent_streams, "max-streams"),
        (keepalive_requests, "keepalive-requests", "keepalive-requests-h1"),
    ):
        if value is not None:
            reasons = [recipe.cannot.get(feature) for feature in features]
            assert None in reasons, f"{name}: {reasons[0]}"
    program = recipe.find()
    if program is None:
        raise ServerMissing(name, f"not installed ({recipe.package})")
    home = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=tmp_path))
    options = Options(max_concurrent_streams, keepalive_requests)
    return RealServer(recipe, program, home, ca, options)
