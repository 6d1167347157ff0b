"""nginx: static files by itself, all that is dynamic by the backend."""

from __future__ import annotations

import os
import signal

from .recipe import Place, Recipe, Reload, program

SITE = """
        root {docroot};
        location = /hello {{ default_type text/plain; }}
        location = /10mb {{ default_type application/octet-stream; }}
        location = /text {{ default_type text/plain; gzip on; gzip_types text/plain; }}
        location ~ ^/echo/(?<text>.+)$ {{ default_type text/plain; return 200 $text; }}
        location / {{
            proxy_pass {backend};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header TE $http_te;
            proxy_buffering off;
            # A request is handed on once: tests count how often it was executed.
            proxy_next_upstream off;
            # Since 1.25.1 there is no push, and this only a warning.
            http2_push_preload on;
        }}
"""

# 1.22 has no "http2 on", and with "listen ... http2" a cleartext port speaks h2 alone:
# hence the port for HTTP/1.1 beside it. One worker, so that each reload logs once
# that a worker shuts down.
CONFIGURATION = """
{user}
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log notice;
events {{ worker_connections 512; }}
http {{
    access_log off;
    types {{ }}
    client_max_body_size 0;
    client_body_temp_path {directory}/client_body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    ssl_certificate {cert_file};
    ssl_certificate_key {key_file};
    {options}
    server {{
        listen 127.0.0.1:{tls} ssl http2;
        listen 127.0.0.1:{h2c} http2;
        {site}
    }}
    server {{
        listen 127.0.0.1:{h1};
        listen 127.0.0.1:{h1_tls} ssl;
        {site}
    }}
}}
"""


def prepare(place: Place) -> list[list[str]]:
    options = []
    if place.options.max_concurrent_streams is not None:
        number = place.options.max_concurrent_streams
        options.append(f"http2_max_concurrent_streams {number};")
    if place.options.keepalive_requests is not None:
        options.append(f"keepalive_requests {place.options.keepalive_requests};")
    ports = place.ports
    text = CONFIGURATION.format(
        # Workers of root run as "nobody" otherwise, who may not enter the directory.
        user="user root root;" if os.geteuid() == 0 else "",
        directory=place.directory,
        cert_file=place.authority.cert_file,
        key_file=place.authority.key_file,
        options="\n    ".join(options),
        tls=ports.tls,
        h2c=ports.h2c,
        h1=ports.h1,
        h1_tls=ports.h1_tls,
        site=SITE.format(docroot=place.docroot, backend=place.backend),
    )
    path = place.write("nginx.conf", text)
    early_log = str(place.directory / "error.log")
    directory = str(place.directory)
    return [[place.program, "-e", early_log, "-p", directory, "-c", str(path)]]


RECIPE = Recipe(
    name="nginx",
    package="apt-get install nginx-light",
    find=program("nginx"),
    prepare=prepare,
    ports=(("tls",), ("h2c",), ("h1",), ("h1_tls",)),
    needs_backend=True,
    # It accepts before it handles signals: one to reload would end it.
    ready_words="start worker process ",
    reload=Reload(signal.SIGHUP, "gracefully shutting down"),
    cannot={
        "trailers": "its proxy drops the trailers of the backend",
        "early-hints": "its proxy drops 1xx responses of the backend",
        "websocket": "it does not know RFC 8441",
    },
)
