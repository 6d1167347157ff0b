"""The fixtures that tests of more than one file use."""

import contextlib
import socket
import ssl
from collections.abc import Iterator

import pytest
from peer import Peer
from text_peer import TextPeer
from threads import background

from hyper.tls import init_context

pytest_plugins = ("servers.fixtures",)


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A scripted HTTP/2 server."""
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def tls_peer(peer, ca) -> Peer:
    """The same with TLS, in which it chooses HTTP/2."""
    peer.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    peer.tls.load_cert_chain(ca.cert_file, ca.key_file)
    peer.tls.set_alpn_protocols(["h2"])
    return peer


@pytest.fixture
def text_peer() -> Iterator[TextPeer]:
    """A scripted HTTP/1.1 server."""
    peer = TextPeer()
    yield peer
    peer.close()


@pytest.fixture
def full_listener():
    """The port of a listener whose queue is full: connecting to it hangs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.fixture
def real_tls(ca):
    """Return a context manager: a TLS server that answers once and drops the line.

    ``with real_tls(answer) as (port, context)``: it reads a request's head, sends
    ``answer`` and closes TCP without TLS's close_notify.
    """

    @contextlib.contextmanager
    def serve(answer):
        server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_side.load_cert_chain(ca.cert_file, ca.key_file)

        def answer_once():
            sock, _ = listener.accept()
            with server_side.wrap_socket(sock, server_side=True) as tls:
                received = b""
                while b"\r\n\r\n" not in received:
                    received += tls.recv(65536)
                tls.sendall(answer)

        with socket.create_server(("127.0.0.1", 0)) as listener:
            serving = background(answer_once)
            yield listener.getsockname()[1], init_context(ca.ca_file)
            serving.result()

    return serve
