"""httpx2's own tests, with its own transport and with hyper's, side by side.

    $ pip install 'httpx2[brotli,cli,http2,socks,zstd]' chardet cryptography pytest \\
          trio trustme uvicorn werkzeug
    $ python test/downstream/httpx2.py PATH

PATH is a checkout of httpx2, whose tests are in ``tests/httpx2``; nothing of it is part
of hyper. It may be of another version than the httpx2 that is installed: what then
fails does so with both transports, and what is compared is one run with the other.

In the run with hyper every client gets its transport from ``HTTPTransport``, which is
:class:`hyper.contrib.HyperTransport` there; ``sides.py`` has the rest.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sides import main

#: Where tests use the network. What is left out tests models, multipart, or the
#: transports for ASGI and WSGI.
SUBSET = [
    *("client", "test_api.py", "test_auth.py", "test_config.py"),
    *("test_exceptions.py", "test_main.py", "test_timeouts.py", "test_utils.py"),
]
#: Why tests differ, by their names.
REASONS = {
    **dict.fromkeys(
        ("test_proxies_environ", "test_socks_proxy", "test_transport_for_request"),
        "looks into httpcore's pool for the proxy",
    ),
    "test_httpcore_lazy_loading": "wants httpcore2 to be imported by a request",
    "test_httpcore_exception_mapping": (
        "hyper refuses the port 123456 as a LocalProtocolError, before it connects"
    ),
    **dict.fromkeys(
        ("test_verbose", "test_auth"),
        "httpx -v shows httpcore's request and stream, which events of hyper lack",
    ),
}


def install() -> None:
    """Have every client of httpx2 use hyper."""
    import httpx2
    import httpx2._client

    from hyper.contrib import HyperTransport

    httpx2.HTTPTransport = HyperTransport
    httpx2._client.HTTPTransport = HyperTransport


def options(checkout: Path) -> list[str]:
    """Return what pytest is to run."""
    tests = [str(checkout / "tests" / "httpx2" / name) for name in SUBSET]
    return ["-r", "N", "-c", str(checkout / "pyproject.toml"), *tests]


if __name__ == "__main__":
    sys.exit(main("httpx2", REASONS, options, install))
