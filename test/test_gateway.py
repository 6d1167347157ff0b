"""The gateway: bytes of HTTP/1.1 in and out on this side, frames on the other.

What ``http.client`` makes of it is in ``test_httplib_compat.py``. Here are the bytes,
in every shape that ``http.client`` or its user can write them in.
"""

from __future__ import annotations

import http.client
import socket
import ssl

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, HeadersFrame, RstStreamFrame
from threads import background

from hyper.common.exceptions import LocalProtocolError
from hyper.gateway import Gateway, NotSent
from hyper.tls import init_context

GET = b"GET /path?q HTTP/1.1\r\nHost: a.test\r\nX: y\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a.test\r\n"


@pytest.fixture
def gateway(tls_peer, ca):
    """A gateway to the peer, which has not been greeted yet."""

    def connect():
        context = init_context(str(ca.ca_file))
        context.set_alpn_protocols(["h2"])
        raw = socket.create_connection(("127.0.0.1", tls_peer.port), timeout=10)
        return context.wrap_socket(raw, server_hostname="localhost")

    connecting = background(connect)
    tls_peer.accept()
    gateway = Gateway(connecting.result())
    yield gateway
    gateway.close()


def want_request(peer, stream_id=1):
    """Return a request's fields, its body, and its trailers if it has any."""
    fields = dict(peer.want_fields(stream_id))
    body = b""
    frame = peer.want((DataFrame, HeadersFrame))
    while isinstance(frame, DataFrame):
        body += frame.data
        if "END_STREAM" in frame.flags:
            return fields, body, None
        frame = peer.want((DataFrame, HeadersFrame))
    assert "END_STREAM" in frame.flags
    return fields, body, peer.decoder.decode(frame.data)


class TestRequests:
    @pytest.mark.parametrize("step", [1, 7, 1000])
    def test_a_head_becomes_a_stream_however_it_is_cut(self, gateway, tls_peer, step):
        for begin in range(0, len(GET), step):
            gateway.sendall(GET[begin : begin + step])
        tls_peer.answer_greeting()
        assert tls_peer.want_fields(1) == [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", b"a.test"),
            (b":path", b"/path?q"),
            (b"x", b"y"),
        ]

    def test_without_a_body_it_ends_with_its_head(self, gateway, tls_peer):
        gateway.sendall(GET)
        tls_peer.answer_greeting()
        assert "END_STREAM" in tls_peer.want(HeadersFrame).flags

    def test_continued_lines_become_one(self, gateway, tls_peer):
        gateway.sendall(POST[:-2] + b"\r\nX: a\r\n\tb\n c\r d\r\n\r\n")
        tls_peer.answer_greeting()
        assert tls_peer.want_headers(1)[b"x"] == b"a b c d"

    @pytest.mark.parametrize("step", [1, 3, 1000])
    @pytest.mark.parametrize(
        ("fields", "text", "body"),
        [
            (b"Content-Length: 5\r\n", b"hello", b"hello"),
            (b"content-length:5\r\nContent-Length: 5\r\n", b"hello", b"hello"),
            (b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b""),
            (
                b"transfer-encoding: Chunked\r\n",
                b"4\r\nhell\r\n00A;x=y\r\no, worlds!\r\n0\r\n\r\n",
                b"hello, worlds!",
            ),
        ],
    )
    def test_a_body_ends_where_it_would_in_http1(
        self, gateway, tls_peer, fields, text, body, step
    ):
        gateway.sendall(POST + fields + b"\r\n")
        for begin in range(0, len(text), step):
            gateway.sendall(text[begin : begin + step])
        tls_peer.answer_greeting()
        head, received, _ = want_request(tls_peer)
        assert received == body
        assert b"transfer-encoding" not in head
        assert (b"content-length" in head) is (b"ength" in fields)

    def test_a_body_of_no_bytes_ends_with_the_head(self, gateway, tls_peer):
        gateway.sendall(POST + b"Content-Length: 0\r\n\r\n")
        tls_peer.answer_greeting()
        assert "END_STREAM" in tls_peer.want(HeadersFrame).flags

    def test_trailers_are_sent(self, gateway, tls_peer):
        gateway.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        gateway.sendall(b"1\r\nx\r\n0\r\nA: b\r\nC:d\r\n\r\n")
        tls_peer.answer_greeting()
        _, body, trailers = want_request(tls_peer)
        assert body == b"x"
        assert trailers == [("a", "b"), ("c", "d")]

    def test_what_nothing_has_announced_ends_when_its_response_is_asked_for(
        self, gateway, tls_peer
    ):
        gateway.sendall(POST + b"\r\n")
        gateway.sendall(b"some")
        gateway.sendall(b"thing")
        tls_peer.answer_greeting()
        file = background(gateway.makefile, "rb").result()
        _, body, _ = want_request(tls_peer)
        assert body == b"something"
        file.close()

    def test_a_connect_stays_open(self, gateway, tls_peer):
        gateway.sendall(b"CONNECT b.test:22 HTTP/1.1\r\nHost: b.test:22\r\n\r\n")
        tls_peer.answer_greeting()
        assert tls_peer.want_headers(1)[b":authority"] == b"b.test:22"
        tls_peer.send_headers(1)
        with gateway.makefile("rb") as file:
            assert file.readline() == b"HTTP/1.1 200 OK\r\n"
            gateway.sendall(b"ping")
            assert tls_peer.want(DataFrame).data == b"ping"
            tls_peer.send_data(1, b"pong")
            assert file.read(6) == b"\r\npong"

    def test_an_unfinished_one_is_forgotten_for_the_next(self, gateway, tls_peer):
        gateway.sendall(POST + b"Content-Length: 10\r\n\r\nhalf")
        gateway.begin()
        gateway.sendall(GET)
        tls_peer.answer_greeting()
        tls_peer.want_headers(1)
        assert tls_peer.want(DataFrame).data == b"half"
        assert tls_peer.want_headers(3)[b":method"] == b"GET"

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (b"GET  / HTTP/1.1\r\n\r\n", "3 words"),
            (b"GET / x HTTP/1.1\r\n\r\n", "3 words"),
            (b"GET / HTTP/2\r\n\r\n", "3 words"),
            (b"GET / HTTP/1.1\r\nX\r\nA Y: b\r\n\r\n", "'A Y' is not a token"),
            (b"GET / HTTP/1.1\r\n: b\r\n\r\n", "not a token"),
            (b"GET / HTTP/1.1\r\nX: a\0\r\n\r\n", "control character"),
            (b"GET x HTTP/1.1\r\n\r\n", "begin with '/'"),
            (GET + b"x", "has ended"),
            (POST + b"Content-Length: 1\r\n\r\nxy", "has ended"),
            (POST + b"Content-Length: x\r\n\r\n", "not a number"),
            (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "two diff"),
            (
                POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                "exclude each other",
            ),
            (POST + b"Transfer-Encoding: gzip\r\n\r\n", "no Transfer-Encoding but"),
            (POST + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", "not chunked"),
            (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab", "not chunked"),
            (
                POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nHost: x\r\n\r\n",
                "may not be in trailers",
            ),
        ],
    )
    def test_what_has_no_one_meaning_is_refused(self, gateway, text, reason):
        with pytest.raises(LocalProtocolError, match=reason):
            gateway.sendall(text)

    @pytest.mark.parametrize("data", ["text", 1, None])
    def test_what_is_not_made_of_bytes_is_refused(self, gateway, data):
        with pytest.raises(TypeError):
            gateway.sendall(data)

    def test_a_connection_that_has_ended_says_that_nothing_was_sent(
        self, gateway, tls_peer
    ):
        tls_peer.hang_up()
        with pytest.raises(NotSent) as caught:
            gateway.sendall(GET)
        reason = caught.value.reason()
        assert isinstance(reason, http.client.RemoteDisconnected)
        assert "closed the connection" in str(reason)

    def test_one_whose_tls_has_broken_says_so(self, gateway, tls_peer):
        gateway.sendall(GET)
        tls_peer.answer_greeting()
        tls_peer.want_headers(1)
        socket.socket.sendall(tls_peer.sock, b"\x17\x03\x03\x00\x05bytes")
        gateway.begin()
        with pytest.raises(NotSent) as caught:
            gateway.sendall(GET)
        assert isinstance(caught.value.reason(), ssl.SSLError)


class TestResponses:
    def test_a_response_is_one_of_http1(self, gateway, tls_peer):
        gateway.sendall(GET)
        tls_peer.answer_greeting()
        tls_peer.want_headers(1)
        tls_peer.send_headers(1, 299, [("a", "b"), ("set-cookie", "x"), ("a", "c")])
        tls_peer.send_data(1, b"body", end=True)
        with gateway.makefile("rb") as file:
            assert file.read() == (
                b"HTTP/1.1 299 \r\na: b\r\nset-cookie: x\r\na: c\r\n\r\nbody"
            )
            assert file.fileno() == gateway.sock.fileno()
            assert not file.raw.will_close

    def test_responses_are_for_the_oldest_request(self, gateway, tls_peer):
        gateway.sendall(GET)
        gateway.begin()
        gateway.sendall(GET)
        tls_peer.answer_greeting()
        tls_peer.respond(3, b"second")
        tls_peer.respond(1, b"first")
        for word in (b"first", b"second"):
            with gateway.makefile("rb") as file:
                assert file.read().endswith(word)

    def test_without_a_request_there_is_none(self, gateway):
        with gateway.makefile("rb") as file:
            assert file.read() == b""

    def test_one_that_is_not_waited_for_is_cancelled(self, gateway, tls_peer):
        gateway.sendall(GET)
        gateway.makefile("rb").close()
        tls_peer.answer_greeting()
        tls_peer.want_headers(1)
        assert tls_peer.want_reset(1) == ErrorCodes.CANCEL

    def test_one_that_is_dropped_is_cancelled(self, gateway, tls_peer):
        gateway.sendall(GET)
        tls_peer.answer_greeting()
        tls_peer.want_headers(1)
        tls_peer.send_headers(1)
        file = gateway.makefile("rb")
        assert file.readline()
        del file
        assert tls_peer.want_reset(1) == ErrorCodes.CANCEL

    def test_it_lives_on_when_the_gateway_is_closed(self, gateway, tls_peer):
        gateway.sendall(GET)
        tls_peer.answer_greeting()
        tls_peer.want_headers(1)
        file = gateway.makefile("rb")
        gateway.close()
        gateway.close()
        assert gateway.sock.fileno() >= 0
        tls_peer.respond(1, b"after all")
        assert file.read().endswith(b"after all")
        file.close()
        file.raw.close()
        assert gateway.sock.fileno() < 0
        assert tls_peer.want_goaway() == ErrorCodes.NO_ERROR

    @pytest.mark.parametrize("method", [b"GET", b"HEAD"])
    def test_one_that_was_read_may_end_a_moment_later(self, gateway, tls_peer, method):
        gateway.sendall(GET.replace(b"GET", method))
        tls_peer.answer_greeting()
        tls_peer.want_headers(1)
        tls_peer.send_headers(1, 200, [("content-length", "4")])
        file = gateway.makefile("rb")
        if method == b"GET":
            tls_peer.send_data(1, b"body")
            assert file.read(42).endswith(b"body")
        else:
            assert file.readline()
        file.close()
        tls_peer.send_data(1, b"", end=True)
        gateway.begin()
        gateway.sendall(GET)
        tls_peer.want_headers(3)  # and no RST_STREAM before it

    def test_one_that_never_ends_is_cancelled_at_the_next_request(
        self, gateway, tls_peer
    ):
        gateway.sendall(GET)
        tls_peer.answer_greeting()
        tls_peer.want_headers(1)
        tls_peer.send_headers(1, 204)
        file = gateway.makefile("rb")
        assert file.readline()
        file.close()
        gateway.begin()
        gateway.sendall(GET)
        frame = tls_peer.want(RstStreamFrame)
        assert (frame.stream_id, frame.error_code) == (1, ErrorCodes.CANCEL)

    def test_a_body_that_is_cut_short_says_why(self, gateway, tls_peer):
        gateway.sendall(GET)
        tls_peer.answer_greeting()
        tls_peer.want_headers(1)
        tls_peer.send_headers(1)
        tls_peer.send_data(1, b"half of")
        tls_peer.send_reset(1, ErrorCodes.INTERNAL_ERROR)
        with gateway.makefile("rb") as file:
            assert file.read().endswith(b"half of")
            assert file.read() == b""
            assert "INTERNAL_ERROR" in str(file.raw.failure)


class TestTimeouts:
    def test_it_is_that_of_the_socket_at_the_time(self, gateway, tls_peer):
        gateway.sendall(GET)
        with gateway.makefile("rb") as file:
            gateway.sock.settimeout(0.01)
            with pytest.raises(TimeoutError, match="0\\.01 s"):
                file.read()

    def test_it_may_change_while_a_body_is_read(self, gateway, tls_peer):
        gateway.sendall(GET)
        tls_peer.answer_greeting()
        tls_peer.send_headers(1)
        with gateway.makefile("rb") as file:
            assert file.readline()
            gateway.sock.settimeout(0.01)
            with pytest.raises(TimeoutError):
                file.read(100)

    def test_a_server_that_takes_nothing_is_one(self, gateway):
        gateway.sock.settimeout(0.01)
        with pytest.raises(TimeoutError):
            gateway.sendall(
                POST + b"Content-Length: 1000000\r\n\r\n" + bytes(1_000_000)
            )
