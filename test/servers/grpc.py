"""Google's grpcio, which is a core in C; the service is apps/grpc_app.py.

It speaks gRPC alone, so it offers none of what all the others do.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .recipe import FEATURES, Place, Recipe, python_package

SCRIPT = Path(__file__).with_name("apps") / "grpc_app.py"


def prepare(place: Place) -> list[list[str]]:
    settings = {
        "cert": str(place.authority.cert_file),
        "key": str(place.authority.key_file),
        "tls": place.ports.tls,
        "h2c": place.ports.h2c,
    }
    path = place.write("settings.json", json.dumps(settings))
    return [[sys.executable, str(SCRIPT), str(path)]]


RECIPE = Recipe(
    name="grpc",
    package="pip install grpcio",
    find=python_package("grpc"),
    prepare=prepare,
    ports=(("tls",), ("h2c",)),
    cannot=dict.fromkeys(FEATURES, "it speaks gRPC alone"),
)
