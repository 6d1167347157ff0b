"""One accepted socket, with or without TLS, that several threads may use.

Two threads inside one OpenSSL object crash the interpreter, and a thread that
blocks in send() while it should read can deadlock with a client that does the
same. Both are ruled out the same way: the socket never blocks, TLS works on
memory, everything that touches either holds ``lock``, and whoever has to wait
for the socket polls it without the lock. Bytes that the kernel would not take
stay in ``_unsent``, in order; the thread that put them there comes back for them
in ``drain``, and the reading thread polls for room as well while there are any.

Methods that say "lock held" need ``lock``; the others must be called without it.
The descriptor is closed by ``close`` alone, when no other thread can be polling.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time

from hyper.http2bin.message import Cancelled

RECEIVE_SIZE = 256 * 1024
LINGER = 1.0
"""Seconds that a client gets to close its side when we have ended ours early."""


class Wire:
    """A non-blocking socket, and a TLS filter over memory if there is TLS."""

    def __init__(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        sock.setblocking(False)
        with contextlib.suppress(OSError):  # the client may have left already
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lock = threading.Lock()
        # All of these are guarded by lock.
        self._sock = sock
        self._unsent = bytearray()
        self._ended = False  # nothing more will be read
        self._broken = False  # nothing more can be written
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        if tls is not None:
            self._tls = tls.wrap_bio(self._incoming, self._outgoing, server_side=True)

    @property
    def scheme(self) -> str:
        """The scheme of URLs on this connection."""
        return "https" if self._tls else "http"

    @property
    def alpn(self) -> str | None:
        """The protocol that ALPN chose; None before the handshake or without TLS."""
        return self._tls.selected_alpn_protocol() if self._tls else None

    # -- lock not held: these may block --------------------------------------

    def handshake(self) -> bool:
        """Wait for the TLS handshake, if any; return whether it succeeded."""
        while True:
            with self.lock:
                done = self._advance_handshake()
            if done is not None:
                return done
            self._poll(select.POLLIN, None)

    def receive(self) -> bytes:
        """Wait for bytes and return them; b"" when no more will come."""
        while True:
            with self.lock:
                self._flush()
                data = self.read()
                mask = select.POLLIN | (select.POLLOUT if self._unsent else 0)
            if data is not None:
                return data
            self._poll(mask, None)

    def drain(self) -> None:
        """Wait until all that was written is sent. Raises Cancelled if it cannot."""
        while True:
            with self.lock:
                self._flush()
                if self._broken:
                    raise Cancelled
                if not self._unsent:
                    return
            self._poll(select.POLLOUT, None)

    def linger(self) -> None:
        """End our side, then give the client a moment to read and end its own.

        Without this the kernel answers what the client still sends with a reset,
        which may destroy our last words before they are read.
        """
        limit = time.monotonic() + LINGER
        with self.lock:
            self.end()
        while (left := limit - time.monotonic()) > 0:
            with self.lock:
                if self._receive_raw() == b"":
                    return
            self._poll(select.POLLIN, left)

    def abort(self) -> None:
        """End both directions now, from any thread; everyone waiting wakes."""
        with self.lock:
            self.end()
            self._ended = self._broken = True
            try:
                self._sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the client was faster

    def close(self) -> None:
        """Close the descriptor; only when no other thread uses this any more."""
        with self.lock:
            self._sock.close()

    def _poll(self, mask: int, timeout: float | None) -> None:
        """Wait for the socket to be ready, for ``timeout`` seconds at most."""
        poll = select.poll()  # a poll object must not be shared by threads
        poll.register(self._sock, mask)
        poll.poll(None if timeout is None else timeout * 1000)

    # -- lock held: these never block ----------------------------------------

    def read(self) -> bytes | None:
        """Return bytes that are here, b"" when no more will come, else None."""
        if self._incoming.pending and (plain := self._decrypt()):
            return plain  # it came in the same packet as the handshake's end
        raw = b"" if self._ended else self._receive_raw()
        if self._tls is None or not raw:
            return raw
        self._incoming.write(raw)
        return self._decrypt() or (b"" if self._ended else None)

    def write(self, data: bytes) -> None:
        """Encrypt these bytes and send as many as the kernel takes now."""
        if self._broken:
            return
        if self._tls is not None:
            rest = memoryview(data)
            while rest:
                rest = rest[self._tls.write(rest) :]
            data = self._outgoing.read()
        self._send(data)

    def end(self) -> None:
        """Say that we write no more; what is unsent and finds no room is lost."""
        if self._broken:
            return
        if self._tls is not None:
            try:
                self._tls.unwrap()
            except (ssl.SSLError, OSError):
                pass  # it waits for the client's goodbye, or never shook hands
            self._send(self._outgoing.read())
        self._broken = True
        self._unsent.clear()
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the client was faster

    def _advance_handshake(self) -> bool | None:
        """Do what can be done of the handshake; None when it needs more input."""
        if self._tls is None:
            return True
        result = self._try_handshake(self._tls)
        self._send(self._outgoing.read())
        if result is None:
            raw = self._receive_raw()
            if raw == b"":
                return False
            if raw:
                self._incoming.write(raw)
                return self._advance_handshake()
        return result

    @staticmethod
    def _try_handshake(tls: ssl.SSLObject) -> bool | None:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLError, OSError):
            return False
        return True

    def _decrypt(self) -> bytes:
        """Return all the plain text that the received records hold."""
        assert self._tls is not None
        pieces: list[bytes] = []
        try:
            while piece := self._tls.read(RECEIVE_SIZE):
                pieces.append(piece)
            self._ended = True  # close_notify
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self._ended = True  # a record that is none
        return b"".join(pieces)

    def _receive_raw(self) -> bytes | None:
        """Return what the kernel has, b"" at the end, None for nothing yet."""
        try:
            raw = self._sock.recv(RECEIVE_SIZE)
        except BlockingIOError:
            return None
        except OSError:
            raw = b""
        self._ended = self._ended or not raw
        return raw

    def _send(self, data: bytes) -> None:
        if not self._unsent:
            data = data[self._send_raw(data) :]
        self._unsent += data

    def _flush(self) -> None:
        if self._unsent:
            del self._unsent[: self._send_raw(self._unsent)]

    def _send_raw(self, data: bytes | bytearray) -> int:
        """Return how many bytes the kernel took; all of them if nobody listens."""
        try:
            return self._sock.send(data) if data else 0
        except BlockingIOError:
            return 0
        except OSError:
            self._broken = True
            return len(data)
