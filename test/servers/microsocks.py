"""microsocks: a SOCKS5 proxy with one port, so there are two of it."""

from __future__ import annotations

from .recipe import PASSWORD, PROXY_FEATURES, USERNAME, Place, Recipe, program

HTTP = "it is a SOCKS proxy"


def prepare(place: Place) -> list[list[str]]:
    common = [place.program, "-i", "127.0.0.1", "-p"]
    return [
        [*common, str(place.ports.proxy)],
        [*common, str(place.ports.proxy_auth), "-u", USERNAME, "-P", PASSWORD],
    ]


RECIPE = Recipe(
    name="microsocks",
    package="apt-get install microsocks",
    find=program("microsocks"),
    prepare=prepare,
    ports=(("proxy",), ("proxy_auth",)),
    needs_backend=True,
    words=PROXY_FEATURES,
    cannot={
        "connect": HTTP,
        "forward": HTTP,
        "tls": HTTP,
        "tls-auth": HTTP,
        "socks4": "it speaks SOCKS5 alone",
    },
)
