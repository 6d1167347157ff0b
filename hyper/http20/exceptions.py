"""The errors of HTTP/2 by the names that they had in hyper 0.7.

There is one tree of errors now, in :mod:`hyper.common.exceptions`, for all versions of
HTTP. Each name here is the class of that tree that is raised where 0.7 raised the one
of this name, or a base of it, so that what was written to catch it goes on catching.
"""

from __future__ import annotations

from ..common.exceptions import (
    ConnectionLost,
    HyperError,
    LocalProtocolError,
    RemoteProtocolError,
    StreamResetError,
)

__all__ = [
    "ConnectionError",
    "HPACKDecodingError",
    "HPACKEncodingError",
    "HTTP20Error",
    "ProtocolError",
    "StreamResetError",
]

HTTP20Error = HyperError
ConnectionError = ConnectionLost
ProtocolError = RemoteProtocolError
HPACKEncodingError = LocalProtocolError
HPACKDecodingError = RemoteProtocolError
