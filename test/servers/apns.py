"""A push service like Apple's, for those who send many notifications.

Nobody can run the real one. At its worst it does this to a client: it allows one
request at a time until it has seen some, then many; it ends the connection by a GOAWAY
in the middle, with requests under way that it will not act on; it answers in an order
of its own; and it tells of devices that are gone, and since when.

    with FakeAPNs(ca, goaway_after=[400]) as service:
        ...
        assert service.delivered == Counter(tokens)

HTTP/2 is spoken by the h2 package, but for GOAWAY, after which h2 says nothing more. A
thread accepts, and each connection has a thread of its own. ``_lock`` guards what they
share.
"""

from __future__ import annotations

import json
import math
import re
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RequestReceived,
    SettingsAcknowledged,
    StreamEnded,
)
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from .authority import Authority

if TYPE_CHECKING:
    from typing_extensions import Self

DEVICE = re.compile(r"/3/device/([0-9a-f]+)")


@dataclass
class Notification:
    """A request that is coming in."""

    headers: dict[str, str]
    payload: bytearray = field(default_factory=bytearray)


class FakeAPNs:
    """The service, on a port of 127.0.0.1 that the system picks.

    :param authority: whose certificate it shows; clients need one of it as well if
        ``asks_for_certificates``.
    :param max_streams: how many requests it allows at a time, at first and when it has
        got ``raise_after`` notifications.
    :param goaway_after: after how many notifications in all it ends the connection.
    :param inactive: devices that are gone, by token, and since when in milliseconds.
    """

    def __init__(
        self,
        authority: Authority,
        *,
        max_streams: tuple[int, int] = (1, 100),
        raise_after: int = 10,
        goaway_after: Iterable[int] = (),
        inactive: Mapping[str, int] | None = None,
        asks_for_certificates: bool = False,
    ) -> None:
        self.max_streams = max_streams
        self.raise_after = raise_after
        self._goaway_after = sorted(goaway_after)
        self._inactive = inactive or {}
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(authority.cert_file, authority.key_file)
        self._tls.set_alpn_protocols(["h2"])
        if asks_for_certificates:
            self._tls.load_verify_locations(authority.ca_file)
            self._tls.verify_mode = ssl.CERT_REQUIRED
        self._lock = threading.Lock()
        self._socks: list[socket.socket] = []
        #: How often each device was sent a notification, whether it is gone or not.
        self.delivered: Counter[str] = Counter()
        self.payloads: dict[str, bytes] = {}
        #: How many requests were refused, as there were too many at a time.
        self.refused = 0
        #: How many were not acted on, as they came after the last of a GOAWAY.
        self.ignored = 0
        self.connections = 0
        self.ca_file = authority.ca_file
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            socks = [self._listener, *self._socks]
        for sock in socks:
            # Wakes who reads or accepts, which closing does not.
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._socks.append(sock)
            thread = threading.Thread(target=self._serve, args=[sock], daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with suppress(OSError), sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._tls.wrap_socket(sock, server_side=True) as tls:
                Link(self, tls).run()

    @property
    def limit(self) -> int:
        """How many requests are allowed at a time, now."""
        few, many = self.max_streams
        return many if self.delivered.total() >= self.raise_after else few

    def take(self, token: str, payload: bytes) -> tuple[int, dict[str, object]]:
        """Act on a notification, and return status and content of the answer."""
        with self._lock:
            self.delivered[token] += 1
            self.payloads[token] = payload
        gone = self._inactive.get(token)
        if gone is not None:
            return 410, {"reason": "Unregistered", "timestamp": gone}
        return 200, {}

    def ends_now(self) -> bool:
        """Return True, once, if it is time to end a connection."""
        with self._lock:
            due = self.delivered.total() >= (self._goaway_after or [math.inf])[0]
            if due:
                del self._goaway_after[0]
            return due

    def ignore(self) -> None:
        with self._lock:
            self.ignored += 1

    def refuse(self) -> None:
        with self._lock:
            self.refused += 1


class Link:
    """One connection."""

    def __init__(self, service: FakeAPNs, sock: ssl.SSLSocket) -> None:
        self._service = service
        self._sock = sock
        self._http = H2Connection(
            H2Configuration(client_side=False, header_encoding="utf-8")
        )
        self._requests: dict[int, Notification] = {}
        self._limit = service.limit
        #: The client has said that it knows the limit.
        self._limit_known = False
        #: The highest stream that was acted on.
        self._highest = 0
        #: The highest one to act on, once a GOAWAY has said so.
        self._last: int | None = None

    def run(self) -> None:
        limit = {SettingCodes.MAX_CONCURRENT_STREAMS: self._limit}
        self._http.local_settings = Settings(client=False, initial_values=limit)
        self._http.initiate_connection()
        # h2 would end the connection for requests that were sent before the client
        # could know the limit. They have to be refused.
        self._http.local_settings = Settings(client=False)
        self._sock.sendall(self._http.data_to_send())
        while not self._ended and (data := self._sock.recv(65536)):
            self._answer(self._http.receive_data(data))
        if self._ended:
            self._sock.shutdown(socket.SHUT_WR)
            while self._sock.recv(65536):
                pass  # To close it with bytes unread would take answers back.

    @property
    def _ended(self) -> bool:
        """True once everything was answered that a GOAWAY has left."""
        last = self._last
        return last is not None and all(number > last for number in self._requests)

    def _answer(self, events: list[Event]) -> None:
        answers = []
        for event in events:
            if isinstance(event, SettingsAcknowledged):
                self._limit_known = True
            elif isinstance(event, RequestReceived):
                self._begin(event)
            elif isinstance(event, DataReceived) and event.stream_id in self._requests:
                self._requests[event.stream_id].payload += event.data
                self._http.acknowledge_received_data(
                    event.flow_controlled_length, event.stream_id
                )
            elif isinstance(event, StreamEnded) and event.stream_id in self._requests:
                request = self._requests.pop(event.stream_id)
                if self._is_too_late(event.stream_id):
                    self._service.ignore()
                else:
                    answers.append((event.stream_id, *self._act(request)))
                    self._highest = max(self._highest, event.stream_id)
        for stream_id, status, content in reversed(answers):
            self._http.send_headers(
                stream_id, [(":status", str(status))], end_stream=not content
            )
            if content:
                body = json.dumps(content).encode()
                self._http.send_data(stream_id, body, end_stream=True)
        self._sock.sendall(self._http.data_to_send())

    def _begin(self, event: RequestReceived) -> None:
        if len(self._requests) >= self._limit:
            assert not self._limit_known, "more requests at a time than allowed"
            self._http.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
            self._service.refuse()
            return
        self._requests[event.stream_id] = Notification(dict(event.headers))

    def _is_too_late(self, stream_id: int) -> bool:
        """Return True if the connection has ended, or ends now, before a stream."""
        if (
            self._last is None
            and stream_id > self._highest > 0
            and self._service.ends_now()
        ):
            self._last = self._highest
            goaway = GoAwayFrame(0, last_stream_id=self._last)
            self._sock.sendall(self._http.data_to_send() + goaway.serialize())
        return self._last is not None and stream_id > self._last

    def _act(self, request: Notification) -> tuple[int, dict[str, object]]:
        """Return status and content of the answer."""
        device = DEVICE.fullmatch(request.headers[":path"])
        if device is None:
            return 400, {"reason": "BadDeviceToken"}
        if "apns-topic" not in request.headers:
            return 400, {"reason": "MissingTopic"}
        answer = self._service.take(device[1], bytes(request.payload))
        if self._limit != self._service.limit:
            self._limit = self._service.limit
            self._http.update_settings(
                {SettingCodes.MAX_CONCURRENT_STREAMS: self._limit}
            )
        return answer
