"""tinyproxy: an HTTP proxy with one port, so there are two of it."""

from __future__ import annotations

from collections.abc import Callable

from .recipe import PASSWORD, PROXY_FEATURES, USERNAME, Place, Recipe, program

CONFIGURATION = """
Listen 127.0.0.1
Port {port}
Timeout 60
MaxClients 100
LogLevel Connect
{options}
"""


HTTP = "it is an HTTP proxy"
IN_FRONT = "without TLS there is only tinyproxy itself"


def prepare(place: Place) -> list[list[str]]:
    return commands(place, place.program)


def commands(place: Place, program: str) -> list[list[str]]:
    wanted = {
        place.ports.proxy: "",
        place.ports.proxy_auth: f"BasicAuth {USERNAME} {PASSWORD}",
    }
    paths = [
        place.write(f"{port}.conf", CONFIGURATION.format(port=port, options=options))
        for port, options in wanted.items()
    ]
    return [[program, "-d", "-c", str(path)] for path in paths]


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
        "tls-auth": "it speaks no TLS",
        "socks4": HTTP,
        "socks5": HTTP,
    },
)


def behind(
    front: str, package: str, prepare_front: Callable[[Place], list[list[str]]]
) -> Recipe:
    """Return the recipe for tinyproxy behind a program that speaks TLS for it."""

    def find() -> str | None:
        return RECIPE.find() and program(front)()

    def prepare(place: Place) -> list[list[str]]:
        tinyproxy = RECIPE.find()
        assert tinyproxy is not None
        return [*prepare_front(place), *commands(place, tinyproxy)]

    return Recipe(
        name=f"{front}-tinyproxy",
        package=f"apt-get install {package} tinyproxy",
        find=find,
        prepare=prepare,
        ports=(("proxy",), ("proxy_auth",), ("proxy_tls",), ("proxy_tls_auth",)),
        needs_backend=True,
        words=PROXY_FEATURES,
        cannot={
            "connect": IN_FRONT,
            "forward": IN_FRONT,
            "auth": IN_FRONT,
            "socks4": HTTP,
            "socks5": HTTP,
        },
    )
