"""A scripted HTTP/2 server: the test is the dialogue.

The peer speaks raw frames, on hyperframe and hpack alone. h2 is not involved, so that
its mistakes cannot hide themselves. It listens on loopback and every method runs in the
test's own thread, because most of a dialogue needs no second one: a request is sent
without waiting for the server, and an answer is in the kernel's buffer before the
client asks for it.

    conn = peer.connection()
    stream_id = conn.request("GET", "/")
    peer.greet()
    peer.want_headers(stream_id)
    peer.send_headers(stream_id, status=200, end=True)
    assert conn.get_response(stream_id).status == 200

What the client sends is read with ``want_...``: each returns the next frame of its kind
and fails if another kind comes first, except those that ``ignore`` names. Every read
has a deadline, so a client that says nothing fails the test.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
from collections.abc import Iterable
from typing import Any, TypeVar

from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from hyper import HTTP11Connection, HTTP20Connection

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#: How long the client may take to say what it is expected to say, in seconds.
PATIENCE = 10.0

F = TypeVar("F", bound=Frame)
C = TypeVar("C", HTTP11Connection, HTTP20Connection)


class Frames:
    """Builds the frames of one server, which share the state of its encoder."""

    def __init__(self) -> None:
        self.encoder = Encoder()

    def headers(
        self,
        stream_id: int,
        status: int | str | None = 200,
        fields: Iterable[tuple[str, str]] = (),
        end: bool = False,
    ) -> HeadersFrame:
        """Return a HEADERS frame; ``status`` None makes it trailers."""
        pseudo = [] if status is None else [(":status", str(status))]
        frame = HeadersFrame(stream_id)
        frame.data = self.encoder.encode([*pseudo, *fields])
        frame.flags.add("END_HEADERS")
        if end:
            frame.flags.add("END_STREAM")
        return frame

    def data(self, stream_id: int, data: bytes = b"", end: bool = False) -> DataFrame:
        frame = DataFrame(stream_id, data)
        if end:
            frame.flags.add("END_STREAM")
        return frame

    def settings(
        self, settings: dict[int, int] | None = None, ack: bool = False
    ) -> SettingsFrame:
        return SettingsFrame(0, settings=settings or {}, flags=["ACK"] if ack else [])

    def window_update(self, stream_id: int, increment: int) -> WindowUpdateFrame:
        return WindowUpdateFrame(stream_id, window_increment=increment)

    def ping(self, data: bytes, ack: bool = False) -> PingFrame:
        return PingFrame(0, data, flags=["ACK"] if ack else [])

    def reset(self, stream_id: int, code: int) -> RstStreamFrame:
        return RstStreamFrame(stream_id, error_code=code)

    def goaway(self, last: int, code: int = 0, debug: bytes = b"") -> GoAwayFrame:
        return GoAwayFrame(
            0, last_stream_id=last, error_code=code, additional_data=debug
        )


def wire(*frames: Frame) -> bytes:
    """Return the frames as they go over the wire."""
    return b"".join(frame.serialize() for frame in frames)


def frames_of(data: bytes) -> list[Frame]:
    """Return the frames that a client has sent, less the preface."""
    view = memoryview(data.removeprefix(PREFACE))
    frames = []
    while view:
        frame, length = Frame.parse_frame_header(view[:9])
        frame.parse_body(view[9 : 9 + length])
        frames.append(frame)
        view = view[9 + length :]
    return frames


class Listener:
    """One listening socket, the connections it accepted, and its clients."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self._accepted: list[socket.socket] = []
        self._clients: list[HTTP11Connection | HTTP20Connection] = []
        #: How to speak TLS with those that connect; None: not at all.
        self.tls: ssl.SSLContext | None = None

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    @property
    def connections(self) -> int:
        return len(self._accepted)

    @property
    def has_caller(self) -> bool:
        """True if a connection waits to be accepted."""
        return bool(select.select([self._listener], [], [], 0)[0])

    @property
    def sock(self) -> socket.socket:
        """The connection that was accepted last."""
        return self._accepted[-1]

    def client(self, of: type[C], **options: Any) -> C:
        """Return a client of this peer, closed when the test ends."""
        options.setdefault("timeout", PATIENCE)
        conn = of("127.0.0.1", self.port, **options)
        self._clients.append(conn)
        return conn

    def close(self) -> None:
        for conn in self._clients:
            conn.close()
        for sock in [*self._accepted, self._listener]:
            sock.close()

    def narrow(self) -> None:
        """Let the network take little that is not read at once, from now on."""
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)

    def accept(self) -> None:
        """Take the client's next connection."""
        sock, _ = self._listener.accept()
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is not None:
            sock = self.tls.wrap_socket(sock, server_side=True)
        self._accepted.append(sock)

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Speak TLS with the client from now on."""
        self._accepted[-1] = context.wrap_socket(self.sock, server_side=True)

    def send_bytes(self, data: bytes) -> None:
        self.sock.sendall(data)

    def hang_up(self) -> None:
        """Send FIN: nothing more will come from this side."""
        self.sock.shutdown(socket.SHUT_WR)

    def die(self) -> None:
        """Send a TCP RST, as a server that dies does."""
        self.sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.sock.close()

    def want_eof(self) -> None:
        """Read until the client has closed the connection."""
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionResetError:
            pass  # It closed with bytes of ours unread.


class Peer(Listener, Frames):
    """A server that is told frame by frame what to say."""

    def __init__(self) -> None:
        Listener.__init__(self)
        Frames.__init__(self)
        self._input = bytearray()
        self.decoder = Decoder()
        #: What its clients are made with in any case.
        self.options: dict[str, Any] = {}
        #: What the client said in its first SETTINGS.
        self.client_settings: dict[int, int] = {}
        #: Kinds of frames that ``want_...`` passes over.
        self.ignore: tuple[type[Frame], ...] = (WindowUpdateFrame, SettingsFrame)

    def connection(self, **options: Any) -> HTTP20Connection:
        """Return a client of this peer, closed when the test ends."""
        return self.client(HTTP20Connection, **self.options, **options)

    def accept(self) -> None:
        """Take the client's connection, and forget the one before."""
        super().accept()
        self._input.clear()
        self.encoder = Encoder()
        self.decoder = Decoder()

    def greet(self, settings: dict[int, int] | None = None) -> None:
        """Accept, read the preface and the first SETTINGS, and send our own."""
        self.accept()
        self.answer_greeting(settings)

    def answer_greeting(self, settings: dict[int, int] | None = None) -> None:
        """Do so on a connection that was accepted already."""
        assert self._read(len(PREFACE)) == PREFACE
        first = self.next_frame()
        assert isinstance(first, SettingsFrame)
        self.client_settings = dict(first.settings)
        self.send_settings(settings or {})

    # What the client said.

    def next_frame(self) -> Frame:
        """Return the next frame, whatever it is."""
        head = memoryview(self._read(9))
        frame, length = Frame.parse_frame_header(head)
        frame.parse_body(memoryview(self._read(length)))
        return frame

    def want(self, kind: type[F]) -> F:
        """Return the next frame that is not ignored, which has to be a ``kind``."""
        while True:
            frame = self.next_frame()
            if isinstance(frame, kind):
                return frame
            assert isinstance(frame, self.ignore), f"wanted {kind.__name__}: {frame!r}"

    def want_headers(self, stream_id: int | None = None) -> dict[bytes, bytes]:
        """Return the fields of the next request, which is to be on ``stream_id``."""
        return dict(self.want_fields(stream_id))

    def want_fields(self, stream_id: int | None = None) -> list[tuple[bytes, bytes]]:
        """Return the same with order and repetition."""
        frame = self.want(HeadersFrame)
        assert stream_id in (None, frame.stream_id)
        block = bytes(frame.data)
        while "END_HEADERS" not in frame.flags:
            frame = self.want(ContinuationFrame)  # type: ignore[assignment]
            block += frame.data
        return [tuple(field) for field in self.decoder.decode(block, raw=True)]

    def want_body(self, stream_id: int) -> bytes:
        """Return a request's body up to END_STREAM, giving credit for it."""
        body = b""
        while True:
            frame = self.want(DataFrame)
            assert frame.stream_id == stream_id
            body += frame.data
            if "END_STREAM" in frame.flags:
                return body
            if frame.data:
                self.send_window_update(0, len(frame.data))
                self.send_window_update(stream_id, len(frame.data))

    def want_reset(self, stream_id: int) -> int:
        """Return the error code with which the client resets ``stream_id``."""
        frame = self.want(RstStreamFrame)
        assert frame.stream_id == stream_id
        return frame.error_code

    def want_goaway(self) -> int:
        """Return the error code with which the client ends the connection."""
        return self.want(GoAwayFrame).error_code

    def want_nothing(self, conn: HTTP20Connection) -> None:
        """See that the client has nothing to say but the answer to a PING."""
        self.send_ping(b"anything")
        assert conn.remote_settings is not None  # a call that looks at the connection
        assert self.want(PingFrame).opaque_data == b"anything"

    # What the peer says.

    def send(self, *frames: Frame) -> None:
        """Send the frames in one piece."""
        self.send_bytes(wire(*frames))

    def send_headers(self, stream_id: int, *args: Any, **kwargs: Any) -> None:
        self.send(self.headers(stream_id, *args, **kwargs))

    def send_data(self, stream_id: int, data: bytes = b"", end: bool = False) -> None:
        self.send(self.data(stream_id, data, end))

    def send_trailers(self, stream_id: int, fields: list[tuple[str, str]]) -> None:
        self.send(self.headers(stream_id, None, fields, end=True))

    def send_settings(self, settings: dict[int, int]) -> None:
        self.send(self.settings(settings))

    def send_window_update(self, stream_id: int, increment: int) -> None:
        self.send(self.window_update(stream_id, increment))

    def send_ping(self, data: bytes, ack: bool = False) -> None:
        self.send(self.ping(data, ack))

    def send_reset(self, stream_id: int, code: int) -> None:
        self.send(self.reset(stream_id, code))

    def send_goaway(self, last: int, code: int = 0, debug: bytes = b"") -> None:
        self.send(self.goaway(last, code, debug))

    def respond(self, stream_id: int, body: bytes = b"", status: int = 200) -> None:
        """Send a whole response."""
        self.send(
            self.headers(stream_id, status, end=not body),
            *([self.data(stream_id, body, end=True)] if body else []),
        )

    def _read(self, amount: int) -> bytes:
        while len(self._input) < amount:
            data = self.sock.recv(65536)
            assert data, "the client closed the connection"
            self._input += data
        taken = bytes(self._input[:amount])
        del self._input[:amount]
        return taken
