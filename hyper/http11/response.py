"""The response to an HTTP/1.1 request."""

from __future__ import annotations

from ..response import Response


class HTTP11Response(Response):
    """The response of the one exchange that an HTTP/1.1 connection has at a time.

    Until it is read to its end or closed, later requests on the connection wait.
    Closing it before its end closes the connection; the next request makes a new one.
    """
