"""Synchronous, thread-safe HTTP/2 and HTTP/1.1 with the words of ``http.client``.

::

    from hyper import HTTP20Connection

    conn = HTTP20Connection('http2bin.org:443')
    conn.request('GET', '/get')
    resp = conn.getresponse()
    print(resp.read())

One connection may be shared by any number of threads: every request is a stream.
"""

import logging

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
from .version import __version__

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

# A library leaves it to the program where its log goes.
logging.getLogger("hyper").addHandler(logging.NullHandler())
