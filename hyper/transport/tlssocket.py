"""A TLS connection that somebody else has made, under a BufferedSocket.

hyper's own TLS is a filter over memory, see :mod:`hyper.transport.tls`. A user who
hands over a connected :class:`ssl.SSLSocket` has an OpenSSL object that does its own
reading and writing, and that cannot be taken out of it. So here TLS is below the
descriptor's edge and not above it, and is split in two. A :class:`TLSSocket` moves the
bytes, and looks to the BufferedSocket like any socket that does not block. Its
:class:`SpokenTLS` takes the place of the filter: it changes nothing, and knows how TLS
ended and what the handshake agreed on.

What makes that safe:

* Every call into OpenSSL happens under the BufferedSocket's lock and returns at once,
  as two threads in one object crash the interpreter. Waiting is ``poll`` on the bare
  descriptor: :exc:`ssl.SSLWantReadError` and :exc:`ssl.SSLWantWriteError` are EAGAIN.
* OpenSSL takes a record at a time from the kernel, so that ``poll`` tells the truth as
  long as no record is left half read. Each read therefore has room for a whole one.
  What the user has left half read is taken by the first call, which asks before it
  polls.
* A write is one record, since OpenSSL tells of several only when the last of them is
  out: bytes that the peer has seen would count as unsent, and a request as one that can
  be sent again. One that was begun is begun again with the same bytes.

Renegotiation, which HTTP/2 forbids (RFC 9113 section 9.2.1), is left to OpenSSL. A
thread that waits for the peer's part of it while it has something to send may poll more
often than it needs to.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl

from ..common.exceptions import ConnectionLost, HyperError, LocalProtocolError, TLSError
from .bufsocket import Address
from .tls import describe, dns_names

#: The content of the largest record (RFC 8446 section 5.1).
RECORD = 16384

_WOULD_BLOCK = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class SpokenTLS:
    """TLS that is spoken below: lets everything through. The end is noted from there.

    :param sock: is asked now for what the handshake has agreed on, as it forgets that
        when it is shut down.

    :ivar tls: the TLS connection, to ask it for its cipher and version.
    :ivar alpn: the protocol that the server chose; None if it chose none.
    :ivar certificate: the server's, in DER, verified or not; None if it showed none.
    :ivar names: the DNS names in it, wildcards as they stand there.
    """

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.established = True
        self.ended = False
        self.failure: HyperError | None = None
        self.tls = sock
        self.alpn = sock.selected_alpn_protocol()
        self.certificate = sock.getpeercert(binary_form=True)
        self.names = dns_names(sock)

    def decrypt(self, data: bytes) -> bytes:
        """Return ``data``, which the socket has decrypted."""
        return data

    def encrypt(self, data: bytes) -> bytes:
        """Return ``data``, which the socket will encrypt."""
        return data

    def close(self) -> bytes:
        """Return nothing: the socket says goodbye for itself."""
        return b""


class TLSSocket:
    """An ``SSLSocket`` that behaves as a socket does that does not block.

    Guarded by the lock of the BufferedSocket that holds it.

    :param sock: connected, and its handshake done. Whoever made it has verified the
        peer as far as he wanted to.
    :raises LocalProtocolError: if the handshake is not done.

    :ivar layer: what is to be put into the place of a filter.
    """

    def __init__(self, sock: ssl.SSLSocket) -> None:
        if sock.version() is None:
            raise LocalProtocolError("the TLS handshake on the socket is not done yet")
        # An end without close_notify has to be told from one with it.
        sock.suppress_ragged_eofs = False  # type: ignore[attr-defined]  # not in typeshed
        self.layer = SpokenTLS(sock)
        self._sock = sock
        self._over = False  # nothing more will come
        self._begun = 0  # the size of a record that OpenSSL could not get rid of

    def setblocking(self, flag: bool) -> None:
        """Set whether the socket blocks; see :meth:`socket.socket.setblocking`."""
        self._sock.setblocking(flag)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._sock.fileno()

    def getsockname(self) -> Address:
        """Return this side's address."""
        address: Address = self._sock.getsockname()
        return address

    def getpeername(self) -> Address:
        """Return the other side's address."""
        address: Address = self._sock.getpeername()
        return address

    def recv(self, amount: int) -> bytes:
        """Return what has come, at most ``amount`` bytes; ``b""`` at the end.

        :param amount: at least :data:`RECORD`.

        Why it ended is in :attr:`layer`, as soon as what came before is returned.

        :raises BlockingIOError: if nothing has come.
        """
        pieces: list[bytes] = []
        while amount >= RECORD and not self._over:
            try:
                piece = self._sock.recv(RECORD)
            except _WOULD_BLOCK:
                if not pieces:
                    raise _would_block() from None
                break
            except OSError as error:
                self._end(error)
                break
            if not piece:
                self._over = self.layer.ended = True
            pieces.append(piece)
            amount -= len(piece)
        return b"".join(pieces)

    def send(self, data: bytes | bytearray) -> int:
        """Send the beginning of ``data`` and return its size.

        :raises BlockingIOError: if that is nothing. ``data`` has to begin with the same
            bytes next time.
        :raises OSError: if the connection is lost, or TLS is broken.
        """
        size = self._begun or min(len(data), RECORD)
        if not size:
            return 0
        self._begun = size
        with memoryview(data) as view, view[:size] as record:
            try:
                sent = self._sock.send(record)
            except _WOULD_BLOCK:
                raise _would_block() from None
        self._begun = 0
        return sent

    def shutdown(self, how: int) -> None:
        """End the connection, with a close_notify alert if that can be sent at once."""
        try:
            self._sock.unwrap()
        except (OSError, ValueError):
            pass  # It would wait for the peer's, or there is no TLS any more.
        # SSLSocket's own would forget the certificate.
        socket.socket.shutdown(self._sock, how)

    def close(self) -> None:
        """Close the descriptor."""
        self._sock.close()

    def _end(self, error: OSError) -> None:
        """Note that reading has failed, and how."""
        self._over = True
        if isinstance(error, ssl.SSLEOFError):
            return  # TCP ended in order, and TLS did not.
        if isinstance(error, ssl.SSLError):
            failure: HyperError = TLSError(describe(error, self._sock.server_hostname))
        else:
            failure = ConnectionLost(f"the connection was lost: {error.strerror}")
        failure.__cause__ = error
        self.layer.failure = failure


def _would_block() -> BlockingIOError:
    return BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
