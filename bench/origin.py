"""The servers of the benchmark: nginx for nearly all, nghttpd for uploads.

They are started and ended by what the tests have for that, `servers`, with
configurations of their own: one connection may have as many requests and streams as the
benchmark wants, and nothing but the client is to be the limit.

nginx does not read the body of a request that it answers itself; nghttpd reads it to
its end and answers then.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "test"))

from servers import Authority, RealServer, make_authority
from servers.realserver import ADDRESS, ServerMissing
from servers.recipe import Options, Place, Recipe, program
from shaper import Shaper

#: The size of a transfer, in bytes.
LARGE = 100_000_000
HELLO = b"hello\n"
#: A long way: seconds in each direction, and bytes a second.
DELAY, RATE = 0.05, 40e6

# The responses of /distinct/ have an etag and an id that are others each time, and a
# date that is another each second. A request for /wait is delayed by minutes, with
# hardly anything kept for it; all but the first, that is.
SITE = """
        root {docroot};
        location / {{ default_type application/octet-stream; }}
        location = /hello {{ default_type text/plain; }}
        location /distinct/ {{
            default_type text/plain;
            add_header ETag '"$request_id"';
            add_header X-Request-Id $request_id;
            return 200 "hello\\n";
        }}
        location = /wait {{
            limit_req zone=waiting burst=100000;
            try_files /hello =404;
        }}
"""
NGINX = """
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 8192;
pid {directory}/nginx.pid;
error_log {directory}/error.log notice;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    types {{ }}
    keepalive_requests 1000000000;
    keepalive_time 1d;
    keepalive_timeout 1d;
    http2_max_concurrent_streams 4096;
    limit_req_zone $uri zone=waiting:1m rate=1r/m;
    client_body_temp_path {directory}/client_body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    ssl_protocols TLSv1.3;
    ssl_certificate {cert_file};
    ssl_certificate_key {key_file};
    server {{
        listen 127.0.0.1:{tls} ssl http2;
        listen 127.0.0.1:{h2c} http2;
        # Nobody is to be measured in another version than is thought.
        if ($server_protocol != "HTTP/2.0") {{ return 426; }}
        {site}
    }}
    server {{
        listen 127.0.0.1:{h1};
        listen 127.0.0.1:{h1_tls} ssl;
        {site}
    }}
}}
"""


def prepare_nginx(place: Place) -> list[list[str]]:
    with open(place.docroot / "large", "wb") as file:
        file.truncate(LARGE)
    ports = place.ports
    text = NGINX.format(
        # Workers of root run as "nobody" otherwise, who may not enter the directory.
        user="user root root;" if os.geteuid() == 0 else "",
        directory=place.directory,
        cert_file=place.authority.cert_file,
        key_file=place.authority.key_file,
        tls=ports.tls,
        h2c=ports.h2c,
        h1=ports.h1,
        h1_tls=ports.h1_tls,
        site=SITE.format(docroot=place.docroot),
    )
    path = place.write("nginx.conf", text)
    directory = str(place.directory)
    early_log = str(place.directory / "error.log")
    return [[place.program, "-e", early_log, "-p", directory, "-c", str(path)]]


def prepare_nghttpd(place: Place) -> list[list[str]]:
    command = [place.program, "-a", "127.0.0.1", "-d", str(place.docroot)]
    command += ["-w", "24", "-W", "24", "-m", "4096", str(place.ports.tls)]
    return [
        [*command, str(place.authority.key_file), str(place.authority.cert_file)],
    ]


RECIPES = (
    Recipe(
        name="nginx",
        package="apt-get install nginx-light",
        find=program("nginx"),
        prepare=prepare_nginx,
        ports=(("tls",), ("h2c",), ("h1",), ("h1_tls",)),
        ready_words="start worker process ",
    ),
    Recipe(
        name="nghttpd",
        package="apt-get install nghttp2-server",
        find=program("nghttpd"),
        prepare=prepare_nghttpd,
        ports=(("tls",),),
    ),
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the servers are."""

    ca: Path
    nginx: RealServer
    nghttpd: RealServer
    #: The same two, a long way off.
    far: Shaper
    far_sink: Shaper

    def url(self, place: str) -> str:
        """Return the URL of "SERVER/PATH", where SERVER is a key of `servers`."""
        server, _, path = place.partition("/")
        return f"{self.servers[server]}/{path}"

    @property
    def servers(self) -> dict[str, str]:
        return {
            "h2": f"https://localhost:{self.nginx.tls_port}",
            "h2c": f"http://localhost:{self.nginx.h2c_port}",
            "h1": f"http://localhost:{self.nginx.h1_port}",
            "h1s": f"https://localhost:{self.nginx.h1_tls_port}",
            "far": f"https://localhost:{self.far.port}",
            "far-sink": f"https://localhost:{self.far_sink.port}",
            "sink": f"https://localhost:{self.nghttpd.tls_port}",
        }


@contextmanager
def serve(directory: Path) -> Iterator[Origin]:
    """Run the servers for as long as the context lasts.

    :raises ServerMissing: if one is not installed.
    """
    ca = make_authority(directory)
    with ExitStack() as stack:
        nginx, nghttpd = (
            stack.enter_context(run(recipe, directory, ca)) for recipe in RECIPES
        )
        far, far_sink = (
            stack.enter_context(Shaper((ADDRESS, server.tls_port or 0), DELAY, RATE))
            for server in (nginx, nghttpd)
        )
        yield Origin(ca.ca_file, nginx, nghttpd, far, far_sink)


def run(recipe: Recipe, directory: Path, ca: Authority) -> RealServer:
    found = recipe.find()
    if found is None:
        raise ServerMissing(recipe.name, f"not installed ({recipe.package})")
    home = directory / recipe.name
    home.mkdir()
    return RealServer(recipe, found, home, ca, Options())
