"""HTTPie's own tests, with requests' adapter and with hyper's plugins, side by side.

    $ pip download --no-deps --no-binary :all: httpie   # and unpack it
    $ pip install 'pytest<8' httpie pytest-httpbin pytest-lazy-fixture responses
    $ python test/downstream/httpie_suite.py PATH

PATH is the unpacked sdist of HTTPie, of the version that is installed; nothing of it is
part of hyper. In the run with hyper its plugins are registered for ``http://`` and
``https://``, as their entry points would do; ``sides.py`` has the rest.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sides import main

#: Where tests use the network.
SUBSET = (
    *("httpie", "output", "downloads", "uploads", "ssl", "sessions", "redirects"),
    "transport_plugin",
)
#: Why tests differ, by their names.
REASONS = {
    "test_double_quiet_on_error": (
        "hyper says what is wrong with the host $$$..., and asks no DNS for it"
    ),
}


def install() -> None:
    """Register the plugins."""
    from httpie.plugins.registry import plugin_manager

    from hyper.contrib.httpie import HTTP2TransportPlugin, HTTPTransportPlugin

    for plugin in (HTTPTransportPlugin, HTTP2TransportPlugin):
        plugin.package_name = "httpie-hyper"
        plugin_manager.register(plugin)


def options(checkout: Path) -> list[str]:
    """Return what pytest is to run."""
    return [str(checkout / "tests" / f"test_{name}.py") for name in SUBSET]


if __name__ == "__main__":
    sys.exit(main("requests", REASONS, options, install))
