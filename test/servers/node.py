"""Node.js with its own http2 module, which is nghttp2; the script is beside this."""

from __future__ import annotations

import json
from pathlib import Path

from .recipe import Place, Recipe, program

SCRIPT = Path(__file__).with_name("apps") / "node_server.js"


def prepare(place: Place) -> list[list[str]]:
    settings = {
        "docroot": str(place.docroot),
        "cert": str(place.authority.cert_file),
        "key": str(place.authority.key_file),
        "tls": place.ports.tls,
        "h2c": place.ports.h2c,
        "h1": place.ports.h1,
        "h1_tls": place.ports.h1_tls,
        "maxConcurrentStreams": place.options.max_concurrent_streams,
    }
    path = place.write("settings.json", json.dumps(settings))
    return [[place.program, str(SCRIPT), str(path)]]


RECIPE = Recipe(
    name="node",
    package="apt-get install nodejs",
    find=program("node", "nodejs"),
    prepare=prepare,
    ports=(("tls",), ("h2c",), ("h1",), ("h1_tls",)),
    cannot={
        "count-kept": "the counts are in the server itself",
        "keepalive-requests": "it has no such limit for HTTP/2",
        "keepalive-requests-h1": "node_server.js does not set maxRequestsPerSocket",
        "reload": "it has no reload",
    },
)
