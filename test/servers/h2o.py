"""h2o: static files by itself, all that is dynamic by the backend."""

from __future__ import annotations

import json
import os

from .recipe import Place, Recipe, program


def prepare(place: Place) -> list[list[str]]:
    def file(name: str, content_type: str) -> dict[str, object]:
        path = str(place.docroot / name)
        mime = {"file.mime.setdefaulttype": content_type}
        return {"file.file": path, **mime}

    def proxied(path: str) -> dict[str, object]:
        return {"proxy.reverse.url": f"{place.backend}{path}"}

    site = {
        "/hello": file("hello", "text/plain"),
        "/10mb": file("10mb", "application/octet-stream"),
        "/text": {**file("text", "text/plain"), "compress": ["gzip"]},
        "/": proxied("/"),
    }
    tls = {
        "certificate-file": str(place.authority.cert_file),
        "key-file": str(place.authority.key_file),
    }
    listen = {"host": "127.0.0.1"}
    listeners = [
        {**listen, "port": place.ports.tls, "ssl": tls},
        {**listen, "port": place.ports.h2c},
    ]
    configuration: dict[str, object] = {
        "hosts": {"default": {"paths": site}},
        "num-threads": 1,
        "temp-buffer-path": str(place.directory),
        "http2-graceful-shutdown-timeout": 1,
        "http2-idle-timeout": 60,
        "http1-request-timeout": 60,
        # A connection to the backend serves one request, so that none is repeated
        # because the backend had closed it.
        "proxy.timeout.keepalive": 0,
    }
    if os.geteuid() == 0:
        # It becomes "nobody" otherwise, who may not enter the directory.
        configuration["user"] = "root"
    # A line of YAML for each setting, its value in JSON, which is YAML too. "listen" is
    # there twice, against YAML's rules: h2o wants it so.
    settings = [("listen", listener) for listener in listeners]
    settings += configuration.items()
    lines = [f"{name}: {json.dumps(value)}\n" for name, value in settings]
    path = place.write("h2o.conf", "".join(lines))
    return [[place.program, "-m", "worker", "-c", str(path)]]


RECIPE = Recipe(
    name="h2o",
    package="apt-get install h2o",
    find=program("h2o"),
    prepare=prepare,
    ports=(("tls",), ("h2c", "h1")),
    needs_backend=True,
    cannot={
        "h1-tls": "its list of ALPN names is for all its ports",
        "trailers": "its proxy drops the trailers of the backend",
        "early-hints": "its proxy drops 1xx responses of the backend",
        "max-streams": "it announces 100, whatever it is set to handle",
        "keepalive-requests": "it has no such limit for HTTP/2",
        "keepalive-requests-h1": "it has no such limit",
        "reload": "it needs the perl script start_server as master",
        "websocket": "the backend speaks no WebSocket",
    },
)
