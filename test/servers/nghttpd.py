"""nghttpd, the server of nghttp2's own tools: HTTP/2 and nothing else.

A process listens on one port, so there are two: one with TLS, one without.
"""

from __future__ import annotations

from .recipe import Place, Recipe, program

STATIC = "it serves files only"


def prepare(place: Place) -> list[list[str]]:
    (place.docroot / "pushing").write_bytes(b"pushing\n")
    (place.docroot / "trailers").write_bytes(b"trailers follow\n")
    common = [place.program, "-a", "127.0.0.1", "-d", str(place.docroot)]
    common += ["--echo-upload", "--trailer", "x-trailer: yes", "-p/pushing=/hello"]
    if place.options.max_concurrent_streams is not None:
        common += ["-m", str(place.options.max_concurrent_streams)]
    files = [str(place.authority.key_file), str(place.authority.cert_file)]
    return [
        [*common, str(place.ports.tls), *files],
        [*common, "--no-tls", str(place.ports.h2c)],
    ]


RECIPE = Recipe(
    name="nghttpd",
    package="apt-get install nghttp2-server",
    find=program("nghttpd"),
    prepare=prepare,
    ports=(("tls",), ("h2c",)),
    cannot={
        "h1": "it speaks HTTP/2 alone",
        "h1-tls": "it speaks HTTP/2 alone",
        "upload-digest": "it answers an upload with the upload",
        "echo": STATIC,
        "gzip": STATIC,
        "slow": STATIC,
        "never": STATIC,
        "early-hints": STATIC,
        "count": STATIC,
        "count-kept": STATIC,
        "websocket": STATIC,
        "keepalive-requests": "it has no such limit",
        "keepalive-requests-h1": "it speaks HTTP/2 alone",
        "reload": "it has no reload",
    },
)
