"""Caddy, which is Go's own net/http and http2; the backend by reverse_proxy."""

from __future__ import annotations

from .recipe import Place, Recipe, program

CONFIGURATION = """
{{
    admin off
    auto_https off
    grace_period 1s
    default_bind 127.0.0.1
    servers 127.0.0.1:{plain} {{
        protocols h1 h2c
    }}
    servers 127.0.0.1:{tls} {{
        protocols h1 h2
    }}
    servers 127.0.0.1:{h1_tls} {{
        protocols h1
    }}
}}

(site) {{
    root * {docroot}
    handle /hello {{
        file_server
    }}
    handle /10mb {{
        header Content-Type application/octet-stream
        file_server
    }}
    handle /text {{
        encode gzip
        header Content-Type text/plain
        file_server
    }}
    @echo path_regexp echo ^/echo/(.+)$
    handle @echo {{
        respond "{{re.echo.1}}"
    }}
    handle {{
        push
        reverse_proxy {backend} {{
            flush_interval -1
        }}
    }}
}}

https://:{tls} {{
    tls {cert_file} {key_file}
    import site
}}

https://:{h1_tls} {{
    tls {cert_file} {key_file}
    import site
}}

http://:{plain} {{
    import site
}}
"""


def prepare(place: Place) -> list[list[str]]:
    text = CONFIGURATION.format(
        docroot=place.docroot,
        backend=place.backend,
        cert_file=place.authority.cert_file,
        key_file=place.authority.key_file,
        tls=place.ports.tls,
        plain=place.ports.h2c,
        h1_tls=place.ports.h1_tls,
    )
    path = place.write("Caddyfile", text)
    return [[place.program, "run", "--config", str(path), "--adapter", "caddyfile"]]


RECIPE = Recipe(
    name="caddy",
    package="apt-get install caddy",
    find=program("caddy"),
    prepare=prepare,
    ports=(("tls",), ("h2c", "h1"), ("h1_tls",)),
    needs_backend=True,
    cannot={
        "max-streams": "it has no setting for it",
        "keepalive-requests": "it has no such limit",
        "keepalive-requests-h1": "it has no such limit",
        "reload": "it needs the administration port, which is off",
        "websocket": "the backend speaks no WebSocket",
    },
)
