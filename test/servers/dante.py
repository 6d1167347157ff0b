"""Dante: a SOCKS proxy that speaks version 4 as well, without the names of 4a."""

from __future__ import annotations

import os

from .recipe import PROXY_FEATURES, Place, Recipe, program

HTTP = "it is a SOCKS proxy"

CONFIGURATION = """
logoutput: stderr
internal: 127.0.0.1 port = {proxy}
external: 127.0.0.1
clientmethod: none
socksmethod: none
{user}
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
"""


def prepare(place: Place) -> list[list[str]]:
    user = "user.unprivileged: nobody" if os.geteuid() == 0 else ""
    text = CONFIGURATION.format(proxy=place.ports.proxy, user=user)
    path = place.write("dante.conf", text)
    return [[place.program, "-f", str(path), "-p", str(place.directory / "pid")]]


RECIPE = Recipe(
    name="dante",
    package="apt-get install dante-server",
    find=program("danted", "sockd"),
    prepare=prepare,
    ports=(("proxy",),),
    needs_backend=True,
    words=PROXY_FEATURES,
    cannot={
        "connect": HTTP,
        "forward": HTTP,
        "tls": HTTP,
        "tls-auth": HTTP,
        "auth": "its users are those of the machine",
    },
)
