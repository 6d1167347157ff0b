"""tinyproxy: an HTTP proxy with one port, so there are two of it."""

from __future__ import annotations

from .recipe import PASSWORD, PROXY_FEATURES, USERNAME, Place, Recipe, program

CONFIGURATION = """
Listen 127.0.0.1
Port {port}
Timeout 60
MaxClients 100
LogLevel Connect
{options}
"""


def prepare(place: Place) -> list[list[str]]:
    wanted = {
        place.ports.proxy: "",
        place.ports.proxy_auth: f"BasicAuth {USERNAME} {PASSWORD}",
    }
    paths = [
        place.write(f"{port}.conf", CONFIGURATION.format(port=port, options=options))
        for port, options in wanted.items()
    ]
    return [[place.program, "-d", "-c", str(path)] for path in paths]


RECIPE = Recipe(
    name="tinyproxy",
    package="apt-get install tinyproxy",
    find=program("tinyproxy"),
    prepare=prepare,
    ports=(("proxy",), ("proxy_auth",)),
    needs_backend=True,
    words=PROXY_FEATURES,
    cannot={
        "tls": "it speaks no TLS",
        "socks4": "it is an HTTP proxy",
        "socks5": "it is an HTTP proxy",
    },
)
