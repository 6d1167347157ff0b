"""Responses that a server sends without being asked (RFC 9113 section 8.4)."""

from __future__ import annotations

from ..common.exceptions import Timeout
from ..common.headers import HTTPHeaderMap
from ..common.protocol import CANCEL
from ..common.stream import Promise
from ..response import Line
from ..transport.deadline import Deadlines
from .response import HTTP20Response


class HTTP20Push:
    """A promise of the server's, and the way to the response it promises.

    Made by ``get_pushes``. The server's certificate shows that it may speak for
    ``authority``.

    :ivar scheme: of the request that is answered, as are ``method``, ``authority`` and
        ``path``: all ``bytes``.
    :ivar request_headers: its other fields, an
        :class:`~hyper.common.headers.HTTPHeaderMap`.
    :ivar stream_id: the stream on which the response comes, an even number.
    """

    def __init__(self, line: Line, promise: Promise, deadlines: Deadlines) -> None:
        self.scheme = promise.scheme
        self.method = promise.stream.method
        self.authority = promise.authority
        self.path = promise.path
        self.request_headers = HTTPHeaderMap.from_wire(promise.headers)
        self.stream_id = promise.stream.stream_id
        self._line = line
        self._stream = promise.stream
        self._deadlines = deadlines

    def get_response(self) -> HTTP20Response:
        """Wait for the head of the pushed response, and return the response.

        :raises HyperError: as ``get_response`` of a connection does.
        """
        stream = self._stream
        with self._line.socket as wire:
            try:
                wire.wait_until(
                    lambda: stream.status is not None or stream.over,
                    stream,
                    self._deadlines.read(),
                    f"waiting for the pushed response on stream {stream.stream_id}",
                )
            except Timeout as error:
                self._line.protocol.reset(stream, error, CANCEL)
                raise
            if stream.status is None and stream.error is not None:
                raise stream.error.fresh()
        return HTTP20Response(self._line, stream, self.stream_id, self._deadlines)

    def cancel(self) -> None:
        """Tell the server not to send the response. Idempotent, from any thread."""
        with self._line.socket:
            self._line.protocol.reset(self._stream, None, CANCEL)
