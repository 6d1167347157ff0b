"""Plugins for HTTPie: ``http`` and ``https`` speak HTTP/2 where they can.

HTTPie sends with a :class:`requests.Session`, and asks each of its transport plugins
for an adapter and for the URLs that it is for. So this is hyper's adapter for requests,
with the one thing that HTTPie's own adapters add: header fields of the same name stay
apart.

HTTPie finds plugins by their entry points, in whatever is installed beside it. Those of
these are not in hyper's own distribution but in ``contrib/httpie-hyper``: who has hyper
for other reasons does not want another HTTPie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from httpie.cli.dicts import HTTPHeadersDict
from httpie.plugins import TransportPlugin

from .requests import HTTP20Adapter

if TYPE_CHECKING:
    from requests import PreparedRequest, Response
    from urllib3 import BaseHTTPResponse


class HTTPieAdapter(HTTP20Adapter):
    """Gives HTTPie the header fields of responses as it wants them."""

    def build_response(self, req: PreparedRequest, resp: BaseHTTPResponse) -> Response:
        response = super().build_response(req, resp)
        response.headers = HTTPHeadersDict(resp.headers)
        return response


class HTTP2TransportPlugin(TransportPlugin):  # type: ignore[misc]  # it is not typed
    """HTTP/2 for ``https://``, or HTTP/1.1 where the server does not speak it."""

    name = "hyper"
    description = "HTTP/2 where the server speaks it, else HTTP/1.1"
    prefix = "https://"

    def get_adapter(self) -> HTTPieAdapter:
        return HTTPieAdapter()


class HTTPTransportPlugin(HTTP2TransportPlugin):
    """HTTP/1.1 for ``http://``, by the same code."""

    description = "HTTP/1.1"
    prefix = "http://"
