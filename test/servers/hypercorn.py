"""Hypercorn, an ASGI server on hyper-h2; the application is apps/asgi_app.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .recipe import Place, Recipe, python_package

APP = Path(__file__).with_name("apps") / "asgi_app.py"


def prepare(place: Place) -> list[list[str]]:
    settings: dict[str, object] = {
        "bind": f"127.0.0.1:{place.ports.tls}",
        "insecure_bind": f"127.0.0.1:{place.ports.h2c}",
        "certfile": str(place.authority.cert_file),
        "keyfile": str(place.authority.key_file),
        # No process but its own: it starts sooner and leaves nobody behind.
        "workers": 0,
        "keep_alive_timeout": 60,
        # At the limit (1000 by itself) 0.18 sends GOAWAY, claims in it the streams that
        # are under way, and then loses their responses.
        "keep_alive_max_requests": 10**9,
        "graceful_timeout": 1,
    }
    if place.options.max_concurrent_streams is not None:
        settings["h2_max_concurrent_streams"] = place.options.max_concurrent_streams
    # A string, a number or a list of them is written in TOML as in JSON.
    lines = (f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    configuration = place.write("hypercorn.toml", "".join(lines))
    command = [sys.executable, "-m", place.program, "-c", str(configuration)]
    return [[*command, f"{APP}:app"]]


RECIPE = Recipe(
    name="hypercorn",
    package="pip install hypercorn",
    find=python_package("hypercorn"),
    prepare=prepare,
    ports=(("tls",), ("h2c", "h1")),
    cannot={
        "h1-tls": "its list of ALPN names is for all its ports",
        "keepalive-requests": "it loses the responses that are under way",
        "keepalive-requests-h1": "its limit is for both versions, see above",
        "count-kept": "the counts are in the server itself",
        "reload": "it has no graceful reload",
    },
)
