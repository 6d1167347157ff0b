"""Granian, an ASGI server on Rust's hyper; the application is apps/asgi_app.py.

A process listens on one port, so there are two: one with TLS, one without.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .recipe import Place, Recipe, python_package

APP = Path(__file__).with_name("apps") / "asgi_app.py"


def prepare(place: Place) -> list[list[str]]:
    common = [sys.executable, "-m", place.program, f"{APP}:app"]
    common += ["--interface", "asgi", "--host", "127.0.0.1", "--http", "auto"]
    common += ["--no-ws", "--loop", "asyncio", "--workers-kill-timeout", "1"]
    if place.options.max_concurrent_streams is not None:
        # Granian wants 10 or more of them.
        number = str(place.options.max_concurrent_streams)
        common += ["--http2-max-concurrent-streams", number]
    tls = ["--ssl-certificate", str(place.authority.cert_file)]
    tls += ["--ssl-keyfile", str(place.authority.key_file)]
    return [
        [*common, "--port", str(place.ports.tls), *tls],
        [*common, "--port", str(place.ports.h2c)],
    ]


RECIPE = Recipe(
    name="granian",
    package="pip install granian",
    find=python_package("granian"),
    prepare=prepare,
    ports=(("tls",), ("h2c", "h1")),
    cannot={
        "h1-tls": "it would take a third process",
        "trailers": "it does not have ASGI's trailers extension",
        "early-hints": "it does not have ASGI's early hints extension",
        "push": "it does not have ASGI's push extension",
        "count": "the process of each port counts for itself",
        "count-kept": "the counts are in the server itself",
        "keepalive-requests": "it has no such limit",
        "websocket": "its WebSockets are switched off",
        "keepalive-requests-h1": "it has no such limit",
        "reload": "it has no graceful reload",
    },
)
