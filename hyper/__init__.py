"""Synchronous, thread-safe HTTP/2 and HTTP/1.1 with the words of ``http.client``.

::

    from hyper import HTTP20Connection

    conn = HTTP20Connection('http2bin.org:443')
    conn.request('GET', '/get')
    resp = conn.getresponse()
    print(resp.read())

One connection may be shared by any number of threads: every request is a stream.

Nothing is loaded before its name is asked for: a program that only may need HTTP starts
as quickly as without, and one that needs HTTP/1.1 alone never loads HTTP/2.
"""

from __future__ import annotations

from .version import __version__

TYPE_CHECKING = False  # Type checkers know the name; to load typing takes longer.

if TYPE_CHECKING:
    from .common.exceptions import (
        ChunkedDecodeError,
        ConnectError,
        ConnectionLost,
        ConnectionTerminated,
        ConnectTimeout,
        DecodingError,
        HyperError,
        IncompleteRead,
        InvalidResponseError,
        LineTooLongError,
        LocalProtocolError,
        PoolTimeout,
        ProxyError,
        ReadTimeout,
        RemoteProtocolError,
        RequestNotProcessed,
        StreamResetError,
        TLSError,
        WriteTimeout,
    )
    from .common.headers import HTTPHeaderMap
    from .common.protocol import HTTPVersion
    from .connection import HTTPConnection
    from .http11.connection import HTTP11Connection
    from .http11.response import HTTP11Response
    from .http20.connection import HTTP20Connection
    from .http20.push import HTTP20Push
    from .http20.response import HTTP20Response
    from .pool import ConnectionPool
    from .transport.deadline import Timeout

__all__ = [
    "ChunkedDecodeError",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionLost",
    "ConnectionPool",
    "ConnectionTerminated",
    "DecodingError",
    "HTTP11Connection",
    "HTTP11Response",
    "HTTP20Connection",
    "HTTP20Push",
    "HTTP20Response",
    "HTTPConnection",
    "HTTPHeaderMap",
    "HTTPVersion",
    "HyperError",
    "IncompleteRead",
    "InvalidResponseError",
    "LineTooLongError",
    "LocalProtocolError",
    "PoolTimeout",
    "ProxyError",
    "ReadTimeout",
    "RemoteProtocolError",
    "RequestNotProcessed",
    "StreamResetError",
    "TLSError",
    "Timeout",
    "WriteTimeout",
    "__version__",
]

#: The module that each name is in.
_HOMES = {
    "ChunkedDecodeError": "common.exceptions",
    "ConnectError": "common.exceptions",
    "ConnectTimeout": "common.exceptions",
    "ConnectionLost": "common.exceptions",
    "ConnectionTerminated": "common.exceptions",
    "DecodingError": "common.exceptions",
    "HyperError": "common.exceptions",
    "IncompleteRead": "common.exceptions",
    "InvalidResponseError": "common.exceptions",
    "LineTooLongError": "common.exceptions",
    "LocalProtocolError": "common.exceptions",
    "PoolTimeout": "common.exceptions",
    "ProxyError": "common.exceptions",
    "ReadTimeout": "common.exceptions",
    "RemoteProtocolError": "common.exceptions",
    "RequestNotProcessed": "common.exceptions",
    "StreamResetError": "common.exceptions",
    "TLSError": "common.exceptions",
    "WriteTimeout": "common.exceptions",
    "HTTPHeaderMap": "common.headers",
    "HTTPVersion": "common.protocol",
    "HTTPConnection": "connection",
    "HTTP11Connection": "http11.connection",
    "HTTP11Response": "http11.response",
    "HTTP20Connection": "http20.connection",
    "HTTP20Push": "http20.push",
    "HTTP20Response": "http20.response",
    "ConnectionPool": "pool",
    "Timeout": "transport.deadline",
}
#: The modules that ``import hyper`` has always made attributes of it.
_MODULES = {
    *("common", "connection", "exchange", "http11", "http20"),
    *("pool", "response", "transport", "verbs"),
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _HOMES:
        value: object = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value  # The next time it is found without this function.
        return value
    if name in _MODULES:
        # Whoever goes by way of modules finds all that is below them, too.
        for home in dict.fromkeys(_HOMES.values()):
            import_module(f".{home}", __name__)
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})
