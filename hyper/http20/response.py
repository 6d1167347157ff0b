"""The response to an HTTP/2 request."""

from __future__ import annotations

from ..response import Response


class HTTP20Response(Response):
    """A response on one stream of an HTTP/2 connection.

    Closing it before its end resets the stream and leaves the connection as it is.
    """
