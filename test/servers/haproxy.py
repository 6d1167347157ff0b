"""HAProxy: its own HTTP/2 in front, and everything from the backend."""

from __future__ import annotations

from .recipe import Place, Recipe, program

CONFIGURATION = """
global
    log stderr format raw local0 notice
    maxconn 256
    nbthread 1
{options}

defaults
    mode http
    log global
    retries 0
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s
    http-reuse never

frontend front
    bind 127.0.0.1:{tls} ssl crt {pair_file} alpn h2,http/1.1
    bind 127.0.0.1:{plain}
    bind 127.0.0.1:{h1_tls} ssl crt {pair_file} alpn http/1.1
    default_backend back

backend back
    server one 127.0.0.1:{backend_port}
"""


def prepare(place: Place) -> list[list[str]]:
    options = []
    if place.options.max_concurrent_streams is not None:
        number = place.options.max_concurrent_streams
        options.append(f"    tune.h2.max-concurrent-streams {number}")
    text = CONFIGURATION.format(
        options="\n".join(options),
        pair_file=place.authority.pair_file,
        backend_port=place.backend_port,
        tls=place.ports.tls,
        plain=place.ports.h2c,
        h1_tls=place.ports.h1_tls,
    )
    path = place.write("haproxy.cfg", text)
    return [[place.program, "-db", "-f", str(path)]]


RECIPE = Recipe(
    name="haproxy",
    package="apt-get install haproxy",
    find=program("haproxy"),
    prepare=prepare,
    ports=(("tls",), ("h2c", "h1"), ("h1_tls",)),
    needs_backend=True,
    cannot={
        "keepalive-requests": "it has no such limit",
        "keepalive-requests-h1": "it has no such limit",
        "reload": "its master loses a signal that comes soon after its start",
        "push": "it has no server push",
        "websocket": "the backend speaks no WebSocket",
    },
)
