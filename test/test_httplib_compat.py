"""http.client's twin: the same names, the same behaviour, and HTTP/2.

Three witnesses. CPython's own tests of ``http.client`` run with this module in its
place. Every way of reading a response is tried on one that came over HTTP/2 and, by
``http.client`` itself, on the same one over HTTP/1.1. And dialogues with scripted
servers show what each call means in frames. Real servers are in
``test_httplib_compat_servers.py``.
"""

from __future__ import annotations

import array
import contextlib
import http.client
import inspect
import io
import json
import socket
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import xmlrpc.client
from importlib.util import find_spec

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, RstStreamFrame
from threads import background

from hyper import http2bin, httplib_compat
from hyper.common.exceptions import StreamResetError
from hyper.httplib_compat import (
    BadStatusLine,
    CannotSendHeader,
    CannotSendRequest,
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    HTTPSConnection,
    IncompleteRead,
    InvalidURL,
    NotConnected,
    RemoteDisconnected,
    ResponseNotReady,
    patch,
)

OWN = {"HTTPConnection", "HTTPSConnection", "HTTPResponse"}


class TestNames:
    def test_all_of_http_client_is_here(self):
        assert sorted(httplib_compat.__all__) == sorted(http.client.__all__)
        for name, value in vars(http.client).items():
            if name not in {*OWN, "_create_https_context"} and name[:2] != "__":
                assert getattr(httplib_compat, name) is value, name

    def test_what_it_has_not_is_not_here_either(self):
        with pytest.raises(AttributeError, match="has no attribute 'missing'"):
            httplib_compat.missing  # noqa: B018

    @pytest.mark.parametrize("name", sorted(OWN))
    def test_the_classes_are_made_of_those_they_replace(self, name):
        theirs, ours = getattr(http.client, name), getattr(httplib_compat, name)
        assert issubclass(ours, theirs)
        assert issubclass(HTTPSConnection, HTTPConnection)

        def parameters(of):
            found = inspect.signature(of).parameters.values()
            return [(one.name, one.kind, one.default) for one in found]

        assert parameters(ours) == parameters(theirs)


# CPython's tests, where they are installed: Debian leaves them out.

RUN = """
import io, json, sys, unittest
import test.test_httplib as tests
if sys.argv[1] == "hyper":
    from hyper import httplib_compat
    tests.client = httplib_compat
suite = unittest.defaultTestLoader.loadTestsFromModule(tests)
result = unittest.TextTestRunner(stream=io.StringIO(), verbosity=0).run(suite)
bad = {test.id(): text for test, text in result.failures + result.errors}
skipped = sorted(test.id() for test, _ in result.skipped)
print(json.dumps([result.testsRun, skipped, bad]))
"""

#: Why they fail: it wants every public class to be defined in a module of the name
#: ``http.client``, and to be in ``__all__``. Ours are in ``__all__``.
EXPECTED_TO_FAIL = {"test.test_httplib.OfflineTest.test_all"}


@pytest.mark.skipif(
    find_spec("test") is None or find_spec("test.test_httplib") is None,
    reason="this interpreter came without test.test_httplib",
)
def test_the_tests_of_http_client_pass(tmp_path):
    def run(of):
        process = subprocess.run(
            [sys.executable, "-c", RUN, of],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return json.loads(process.stdout.splitlines()[-1])

    number, skipped, bad = run("http.client")
    assert number >= 115
    assert bad == {}, "http.client itself fails"
    number_of_ours, skipped_of_ours, bad_of_ours = run("hyper")
    assert number_of_ours == number
    assert skipped_of_ours == skipped
    assert set(bad_of_ours) == EXPECTED_TO_FAIL, bad_of_ours


# Dialogues. Every test has a server that has accepted, and a connection to it.


def context_for(ca, *alpn):
    context = ssl.create_default_context(cafile=str(ca.ca_file))
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def accept(peer, conn):
    """Let ``conn`` connect to the peer."""
    connecting = background(conn.connect)
    peer.accept()
    connecting.result()


@pytest.fixture
def conn(tls_peer, ca):
    """A connection to ``tls_peer``."""
    context = context_for(ca, "h2", "http/1.1")
    conn = HTTPSConnection("localhost", tls_peer.port, timeout=10, context=context)
    accept(tls_peer, conn)
    yield conn
    conn.close()


def ask(peer, conn, *request, **options):
    """Make a request on a fresh connection, and have the server take its head."""
    conn.request(*(request or ("GET", "/")), **options)
    peer.answer_greeting()
    return peer.want_headers(1)


def get(peer, conn, body=b"", fields=(), status=200):
    """Return the response to the first request."""
    ask(peer, conn)
    peer.send_headers(1, status, fields, end=not body)
    if body:
        peer.send_data(1, body, end=True)
    return conn.getresponse()


class TestRequests:
    def test_a_request_has_the_fields_of_http_client(self, tls_peer, conn):
        conn.request("GET", "/a?b", headers={"X-Y": "z", "Connection": "keep-alive"})
        tls_peer.answer_greeting()
        assert tls_peer.want_fields(1) == [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", b"localhost:%d" % tls_peer.port),
            (b":path", b"/a?b"),
            (b"accept-encoding", b"identity"),
            (b"x-y", b"z"),
        ]

    def test_the_user_may_say_it_all_himself(self, tls_peer, conn):
        conn.putrequest("GET", "", skip_host=True, skip_accept_encoding=True)
        conn.putheader("Host", "b.test")
        conn.putheader(b"X", "a", b"b", 3)
        conn.endheaders()
        tls_peer.answer_greeting()
        assert tls_peer.want_fields(1) == [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", b"b.test"),
            (b":path", b"/"),
            (b"x", b"a b 3"),
        ]

    @pytest.mark.parametrize(
        ("body", "length", "sent"),
        [
            (b"bytes", b"5", b"bytes"),
            ("l\xe4tin-1", b"7", b"l\xe4tin-1"),
            (bytearray(b"array"), b"5", b"array"),
            (array.array("H", [0x6161, 0x6262]), b"4", b"aabb"),
            (io.BytesIO(b"a file"), None, b"a file"),
            (io.StringIO("a t\xe4xt"), None, b"a t\xe4xt"),
            ([b"pie", b"", b"ces"], None, b"pieces"),
            ((piece for piece in (b"gene", b"rated")), None, b"generated"),
            (None, b"0", b""),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_every_kind_of_body_goes_out_as_data(
        self, tls_peer, conn, body, length, sent
    ):
        fields = ask(tls_peer, conn, "POST", "/", body)
        assert fields.get(b"content-length") == length
        assert b"transfer-encoding" not in fields
        if sent:
            assert tls_peer.want_body(1) == sent
        tls_peer.respond(1, b"taken")
        assert conn.getresponse().read() == b"taken"

    def test_a_body_may_be_chunked_by_request(self, tls_peer, conn):
        fields = ask(
            tls_peer,
            conn,
            *("POST", "/", iter([b"a", b"b"])),
            headers={"Transfer-Encoding": "chunked"},
            encode_chunked=True,
        )
        assert not fields.keys() & {b"transfer-encoding", b"content-length"}
        assert tls_peer.want_body(1) == b"ab"

    def test_a_body_may_be_chunked_by_endheaders(self, tls_peer, conn):
        conn.putrequest("POST", "/")
        conn.putheader("Transfer-Encoding", "chunked")
        conn.endheaders(io.BytesIO(b"x" * 20_000), encode_chunked=True)
        tls_peer.answer_greeting()
        tls_peer.want_headers(1)
        assert tls_peer.want_body(1) == b"x" * 20_000

    def test_a_body_may_be_chunked_by_the_user(self, tls_peer, conn):
        ask(
            tls_peer,
            conn,
            *("POST", "/", [b"3\r\nabc\r\n", b"0\r\n\r\n"]),
            headers={"Transfer-Encoding": "chunked"},
        )
        assert tls_peer.want_body(1) == b"abc"

    def test_a_body_may_be_sent_piece_by_piece(self, tls_peer, conn):
        conn.putrequest("PUT", "/")
        conn.putheader("Content-Length", 10)
        conn.endheaders()
        conn.send(b"piece")
        conn.send(io.BytesIO(b"by"))
        conn.send([b"p", b"ie"])
        tls_peer.answer_greeting()
        tls_peer.want_headers(1)
        assert tls_peer.want_body(1) == b"piecebypie"

    def test_a_body_that_nothing_announced_ends_with_getresponse(self, tls_peer, conn):
        conn.putrequest("POST", "/")
        conn.endheaders()
        conn.send(b"hello")
        tls_peer.answer_greeting()
        tls_peer.want_headers(1)
        assert tls_peer.want(DataFrame).data == b"hello"
        answer = background(conn.getresponse)
        assert "END_STREAM" in tls_peer.want(DataFrame).flags
        tls_peer.respond(1)
        assert answer.result().status == 200

    def test_requests_go_over_one_connection(self, tls_peer, conn):
        for number in range(3):
            conn.request("GET", f"/{number}")
            if number == 0:
                tls_peer.answer_greeting()
            fields = tls_peer.want_headers(2 * number + 1)
            assert fields[b":path"] == b"/%d" % number
            tls_peer.respond(2 * number + 1, b"%d" % number)
            assert conn.getresponse().read() == b"%d" % number
        assert tls_peer.connections == 1

    def test_the_next_may_begin_while_the_last_is_read(self, tls_peer, conn):
        first = get(tls_peer, conn, b"first", [("content-length", "5")])
        assert first.read(2) == b"fi"
        conn.request("GET", "/next")
        with pytest.raises(ResponseNotReady):
            conn.getresponse()
        assert first.read() == b"rst"
        tls_peer.want_headers(3)
        tls_peer.respond(3, b"second")
        assert conn.getresponse().read() == b"second"

    def test_a_response_may_come_before_the_end_of_the_request(self, tls_peer, conn):
        conn.putrequest("POST", "/")
        conn.putheader("Content-Length", 1000)
        conn.endheaders(b"the beginning")
        tls_peer.answer_greeting()
        tls_peer.want_headers(1)
        tls_peer.respond(1, b"too much", status=413)
        response = conn.getresponse()
        assert (response.status, response.read()) == (413, b"too much")
        conn.request("GET", "/next")
        tls_peer.ignore += (DataFrame,)
        assert tls_peer.want_reset(1) == ErrorCodes.CANCEL
        assert tls_peer.want_headers(3)[b":path"] == b"/next"

    @pytest.mark.parametrize("framing", ["sized", "chunked"])
    def test_pieces_that_nobody_wants_any_more_are_dropped(
        self, tls_peer, conn, framing
    ):
        def pieces():
            yield b"first"
            tls_peer.answer_greeting()
            tls_peer.want_headers(1)
            tls_peer.respond(1, b"enough", status=413)
            for _ in range(3):
                yield b"more"

        headers = {"Content-Length": "17"} if framing == "sized" else {}
        conn.request("POST", "/", pieces(), headers)
        response = conn.getresponse()
        assert (response.status, response.read()) == (413, b"enough")
        conn.request("GET", "/next")
        tls_peer.ignore += (DataFrame, RstStreamFrame)
        assert tls_peer.want_headers(3)[b":path"] == b"/next"

    def test_a_body_waits_for_100_continue(self, tls_peer, conn):
        headers = {"Expect": "100-continue"}
        asking = background(conn.request, "POST", "/", b"body", headers)
        tls_peer.answer_greeting()
        assert tls_peer.want_headers(1)[b"expect"] == b"100-continue"
        tls_peer.send_headers(1, 100)
        assert tls_peer.want_body(1) == b"body"
        asking.result()

    def test_whoever_makes_the_body_may_use_the_connection(self, tls_peer, conn):
        def pieces():
            yield b"a"
            conn.send(b"b")
            yield b"c"

        conn.putrequest("POST", "/")
        conn.putheader("Content-Length", 3)
        conn.endheaders()
        conn.send(pieces())
        assert isinstance(conn.sock, ssl.SSLSocket)
        tls_peer.answer_greeting()
        tls_peer.want_headers(1)
        assert tls_peer.want_body(1) == b"abc"

    def test_what_is_sent_is_printed(self, tls_peer, conn, capsys):
        conn.set_debuglevel(1)
        get(tls_peer, conn, b"body", [("x-y", "z")]).close()
        printed = capsys.readouterr().out
        assert "send: b'GET / HTTP/1.1\\r\\n" in printed
        assert "reply: 'HTTP/1.1 200 OK\\r\\n'" in printed
        assert "header: x-y: z" in printed


class TestStates:
    """The errors of http.client's own states, while HTTP/2 is spoken."""

    def test_a_second_request_has_to_wait_for_the_first_response(self, tls_peer, conn):
        conn.request("GET", "/")
        with pytest.raises(CannotSendRequest, match="Request-sent"):
            conn.request("GET", "/")

    def test_headers_come_after_a_request_and_before_their_end(self, conn):
        with pytest.raises(CannotSendHeader):
            conn.putheader("X", "y")
        with pytest.raises(CannotSendHeader):
            conn.endheaders()

    def test_without_a_request_there_is_no_response(self, tls_peer, conn):
        with pytest.raises(ResponseNotReady, match="Idle"):
            conn.getresponse()
        get(tls_peer, conn).read()
        with pytest.raises(ResponseNotReady, match="Idle"):
            conn.getresponse()

    def test_it_connects_by_itself_unless_told_not_to(self, conn):
        conn.close()
        conn.auto_open = 0
        with pytest.raises(NotConnected):
            conn.request("GET", "/")

    def test_a_tunnel_comes_before_the_connection(self, conn):
        with pytest.raises(RuntimeError, match="established connection"):
            conn.set_tunnel("b.test")

    @pytest.mark.parametrize(
        ("method", "url", "headers", "error"),
        [
            ("GET", "/ HTTP/1.1\r\nX: y", {}, InvalidURL),
            ("GET\r\n", "/", {}, ValueError),
            ("GET", "/", {"X\r\nY": "z"}, ValueError),
            ("GET", "/", {"X": "y\r\nZ: a"}, ValueError),
            ("GET", "/\xe4", {}, UnicodeEncodeError),
            # http.client sends these.
            ("A B", "/", {}, ValueError),
            ("GET", "/", {"X Y": "z"}, ValueError),
            ("GET", "/", {"X": "\x00"}, ValueError),
        ],
    )
    def test_what_may_not_be_sent_is_a_value_error(
        self, conn, method, url, headers, error
    ):
        with pytest.raises(error):
            conn.request(method, url, headers=headers)


class TestResponses:
    FIELDS = (
        ("content-type", "text/plain"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("content-length", "4"),
    )

    def test_it_has_the_attributes_of_http_client(self, tls_peer, conn):
        response = get(tls_peer, conn, b"body", self.FIELDS)
        assert isinstance(response, HTTPResponse)
        assert (response.version, response.status, response.reason) == (20, 200, "OK")
        assert response.code == response.getcode() == 200
        assert response.msg is response.headers is response.info()
        assert isinstance(response.msg, http.client.HTTPMessage)
        assert response.msg.get_all("Set-Cookie") == ["a=1", "b=2"]
        assert response.getheader("Set-Cookie") == "a=1, b=2"
        assert response.getheader("X", "none") == "none"
        assert response.getheaders() == list(self.FIELDS)
        assert response.length == 4
        assert response.chunked is False
        assert response.will_close is False
        assert response.fileno() == conn.sock.fileno()
        assert not response.isclosed()
        assert not response.closed
        assert response.read() == b"body"
        assert response.isclosed()
        assert response.length == 0
        response.url = "https://a.test/"
        assert response.geturl() == "https://a.test/"

    def test_the_socket_is_there_to_be_asked(self, conn):
        assert isinstance(conn.sock, ssl.SSLSocket)
        assert conn.sock.selected_alpn_protocol() == "h2"
        assert conn.sock.getpeercert()["subjectAltName"]

    @pytest.mark.parametrize("status", [204, 304])
    def test_some_have_no_body(self, tls_peer, conn, status):
        response = get(tls_peer, conn, status=status)
        assert (response.length, response.read()) == (0, b"")
        assert response.isclosed()

    def test_that_to_a_head_has_none(self, tls_peer, conn):
        ask(tls_peer, conn, "HEAD", "/")
        tls_peer.send_headers(1, 200, [("content-length", "1000")], end=True)
        response = conn.getresponse()
        assert response.getheader("Content-Length") == "1000"
        assert response.read() == b""
        assert response.isclosed()

    def test_interim_ones_are_passed_over(self, tls_peer, conn):
        ask(tls_peer, conn)
        for status in (100, 102, 103):
            tls_peer.send_headers(1, status, [("link", "</style>")])
        tls_peer.respond(1, b"final")
        response = conn.getresponse()
        assert (response.status, response.read()) == (200, b"final")
        assert response.getheader("Link") is None

    def test_one_that_is_not_read_leaves_the_connection_as_it_is(self, tls_peer, conn):
        ask(tls_peer, conn)
        tls_peer.send_headers(1)
        tls_peer.send_data(1, b"some")
        response = conn.getresponse()
        assert response.read(4) == b"some"
        response.close()
        assert tls_peer.want_reset(1) == ErrorCodes.CANCEL
        conn.request("GET", "/")
        tls_peer.want_headers(3)
        tls_peer.respond(3, b"next")
        assert conn.getresponse().read() == b"next"

    def test_another_class_for_responses_sees_http1(self, tls_peer, conn):
        class Response(http.client.HTTPResponse):
            pass

        conn.response_class = Response
        response = get(tls_peer, conn, b"body", [("content-length", "4")])
        assert isinstance(response, Response)
        assert (response.version, response.read()) == (11, b"body")

    @pytest.mark.parametrize("length", [True, False])
    @pytest.mark.parametrize(
        "read",
        [
            lambda r: r.read(),
            lambda r: [r.read(0), r.read(3), r.read(3), r.read(), r.read()],
            lambda r: [r.read(n) for n in (1, 100, 100)],
            lambda r: [r.readline() for _ in range(6)],
            lambda r: [r.readline(2), r.readline(100), r.read()],
            lambda r: r.readlines(),
            lambda r: list(r),
            lambda r: [next(r), r.read(2), r.readline()],
            lambda r: [r.read1(4), r.read1(0), r.read()],
            lambda r: b"".join(iter(r.read1, b"")),
            lambda r: [r.peek(3)[:3], r.peek()[:3], r.read(4), r.peek(1)[:1], r.read()],
            lambda r: [into(r, 4), into(r, 0), into(r, 100), into(r, 1)],
            lambda r: [r.read(2), r.close(), r.read(), r.closed],
            lambda r: [r.readable(), r.flush(), r.readline(), r.isclosed(), r.read()],
            lambda r: list(io.TextIOWrapper(r)),
            lambda r: io.BufferedReader(r).read(),
        ],
    )
    def test_reading_gives_what_http_client_gives(
        self, tls_peer, conn, text_peer, read, length
    ):
        body = b"first\nsecond\n\nlast"
        fields = [("content-length", str(len(body)))] if length else []
        ours = get(tls_peer, conn, body, fields)
        plain = http.client.HTTPConnection("127.0.0.1", text_peer.port, timeout=10)
        with contextlib.closing(plain):
            plain.request("GET", "/")
            text_peer.accept()
            text_peer.want_head()
            if length:
                text_peer.respond(body)
            else:
                text_peer.send_bytes(b"HTTP/1.1 200 OK\r\n\r\n" + body)
                text_peer.hang_up()
            theirs = plain.getresponse()
            assert read(ours) == read(theirs)
            assert ours.isclosed() == theirs.isclosed()
            assert ours.length == theirs.length
            theirs.close()


def into(response, size):
    buffer = bytearray(size)
    return response.readinto(buffer), bytes(buffer)


class TestTheEndOfTheConnection:
    def test_whoever_asks_for_it_gets_it(self, tls_peer, conn):
        ask(tls_peer, conn, "GET", "/", headers={"Connection": "close"})
        tls_peer.send_headers(1)
        response = conn.getresponse()
        assert response.will_close
        assert conn.sock is None
        tls_peer.send_data(1, b"still there", end=True)
        assert response.read() == b"still there"
        assert tls_peer.want_goaway() == ErrorCodes.NO_ERROR
        tls_peer.want_eof()

    def test_a_server_that_goes_away_answers_before(self, tls_peer, conn):
        ask(tls_peer, conn)
        tls_peer.send_goaway(1)
        tls_peer.send_headers(1)
        response = conn.getresponse()
        assert response.will_close
        tls_peer.send_data(1, b"goodbye", end=True)
        assert response.read() == b"goodbye"

    @pytest.mark.parametrize("how", ["GOAWAY", "FIN", "RST"])
    def test_one_that_has_ended_while_it_was_idle_is_replaced(
        self, tls_peer, conn, how
    ):
        get(tls_peer, conn, b"first").read()
        if how == "GOAWAY":
            tls_peer.send_goaway(1)
        elif how == "FIN":
            tls_peer.hang_up()
        else:
            tls_peer.die()
        asking = background(conn.request, "POST", "/again", iter([b"body"]))
        tls_peer.greet()
        asking.result()
        assert tls_peer.want_headers(1)[b":path"] == b"/again"
        assert tls_peer.want_body(1) == b"body"
        tls_peer.respond(1, b"second")
        assert conn.getresponse().read() == b"second"

    def test_its_successor_may_speak_http1(self, tls_peer, conn):
        get(tls_peer, conn).read()
        tls_peer.send_goaway(1)
        tls_peer.tls.set_alpn_protocols(["http/1.1"])
        asking = background(conn.request, "GET", "/again")
        tls_peer.accept()
        asking.result()
        assert tls_peer.sock.recv(65536).startswith(b"GET /again HTTP/1.1\r\n")
        tls_peer.send_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold")
        response = conn.getresponse()
        assert (response.version, response.read()) == (11, b"old")

    def test_one_that_may_not_be_replaced_is_disconnected(self, tls_peer, conn):
        conn.auto_open = 0
        get(tls_peer, conn).read()
        tls_peer.hang_up()
        with pytest.raises(RemoteDisconnected, match="closed the connection"):
            conn.request("GET", "/")

    def test_one_whose_successor_has_ended_too_is_disconnected(self, tls_peer, conn):
        get(tls_peer, conn).read()
        tls_peer.hang_up()
        connect, ended = conn.connect, threading.Event()

        def connect_slowly():
            connect()
            assert ended.wait(10)

        conn.connect = connect_slowly
        asking = background(conn.request, "GET", "/")
        tls_peer.accept()
        tls_peer.hang_up()
        ended.set()
        assert isinstance(asking.error(), RemoteDisconnected)

    @pytest.mark.parametrize("how", ["GOAWAY", "REFUSED", "RST_STREAM", "FIN", "RST"])
    def test_one_that_ends_without_a_response_is_disconnected(
        self, tls_peer, conn, how
    ):
        ask(tls_peer, conn, "POST", "/", iter([b"once"]))
        tls_peer.want_body(1)
        if how == "GOAWAY":
            tls_peer.send_goaway(0)
        elif how == "REFUSED":
            tls_peer.send_reset(1, ErrorCodes.REFUSED_STREAM)
        elif how == "RST_STREAM":
            tls_peer.send_reset(1, ErrorCodes.INTERNAL_ERROR)
        elif how == "FIN":
            tls_peer.hang_up()
        else:
            tls_peer.die()
        with pytest.raises(RemoteDisconnected) as caught:
            conn.getresponse()
        assert str(caught.value) == str(caught.value.__cause__)
        assert conn.sock is None
        asking = background(conn.request, "GET", "/")
        tls_peer.greet()
        asking.result()

    def test_a_response_that_is_malformed_is_a_bad_status_line(self, tls_peer, conn):
        ask(tls_peer, conn)
        tls_peer.send_headers(1, 200, [("X-Upper", "case")])
        with pytest.raises(BadStatusLine, match="malformed"):
            conn.getresponse()

    def test_a_certificate_that_is_asked_for_later_is_an_error_of_tls(
        self, tls_peer, conn, ca
    ):
        # As in TLS 1.3 a server does that misses the client's certificate.
        conn.close()
        tls_peer.tls.verify_mode = ssl.CERT_REQUIRED
        tls_peer.tls.load_verify_locations(ca.ca_file)
        connecting = background(conn.connect)
        with pytest.raises(ssl.SSLError):
            tls_peer.accept()
        connecting.result()
        conn.connect = None  # which no new connection is to hide
        with pytest.raises(ssl.SSLError, match="certificate required"):
            conn.request("GET", "/")

    def test_its_user_may_close_the_socket_before_he_reads(self, tls_peer, conn):
        response = get(tls_peer, conn, b"body", [("content-length", "4")])
        conn.sock.close()
        conn.sock = None
        assert response.read() == b"body"
        asking = background(conn.request, "GET", "/")
        tls_peer.greet()
        asking.result()
        assert tls_peer.connections == 2

    def test_closing_ends_a_response_too(self, tls_peer, conn):
        response = get(tls_peer, conn, b"body", [("content-length", "4")])
        conn.close()
        assert response.isclosed()
        assert response.read() == b""
        conn.close()


class TestBodiesThatAreCutShort:
    @pytest.mark.parametrize("length", [10, None])
    @pytest.mark.parametrize(
        ("read", "partial"),
        [
            (lambda r: r.read(), b"half of"),
            (lambda r: r.read(100), b"half of"),
            (lambda r: [r.read(4), r.read()], b" of"),
            (lambda r: [r.readline(), r.readline()], b""),
            (lambda r: list(r), b""),
            (lambda r: [r.read1(), r.read1()], b""),
            (lambda r: [r.peek(), r.read(7), r.peek(), r.read()], b""),
            (lambda r: [into(r, 100), into(r, 100)], b""),
        ],
    )
    def test_are_incomplete_in_every_way_of_reading(
        self, tls_peer, conn, read, partial, length
    ):
        ask(tls_peer, conn)
        tls_peer.send_headers(1, 200, [("content-length", str(length))] * bool(length))
        tls_peer.send_data(1, b"half of")
        tls_peer.send_reset(1, ErrorCodes.INTERNAL_ERROR)
        response = conn.getresponse()
        with pytest.raises(IncompleteRead) as caught:
            read(response)
        assert caught.value.partial == partial
        assert caught.value.expected == (None if length is None else 3)
        assert isinstance(caught.value.__cause__, StreamResetError)
        assert response.isclosed()
        assert response.read() == response.read1() == response.readline() == b""
        # The connection has seen nothing of it.
        conn.request("GET", "/")
        tls_peer.want_headers(3)

    def test_may_have_lost_their_connection(self, tls_peer, conn):
        ask(tls_peer, conn)
        tls_peer.send_headers(1)
        tls_peer.send_data(1, b"half of")
        response = conn.getresponse()
        tls_peer.die()
        with pytest.raises(IncompleteRead, match="7 bytes read"):
            response.read()


class TestTimeouts:
    def test_a_silent_server_is_a_timeout(self, tls_peer, conn):
        conn.request("GET", "/")
        conn.sock.settimeout(0.01)
        with pytest.raises(TimeoutError):
            conn.getresponse()

    def test_in_a_body_too(self, tls_peer, conn):
        ask(tls_peer, conn)
        tls_peer.send_headers(1)
        tls_peer.send_data(1, b"some")
        response = conn.getresponse()
        conn.sock.settimeout(0.01)
        with pytest.raises(TimeoutError):
            response.read()

    def test_that_of_the_connection_is_the_first(self, tls_peer, ca):
        context = context_for(ca, "h2")
        conn = HTTPSConnection("localhost", tls_peer.port, timeout=0.5, context=context)
        with contextlib.closing(conn):
            accept(tls_peer, conn)
            conn.request("GET", "/")
            with pytest.raises(TimeoutError, match=r"0\.5 s"):
                conn.getresponse()

    def test_none_is_for_ever(self, tls_peer, conn):
        conn.sock.settimeout(0.01)
        conn.sock.settimeout(None)
        ask(tls_peer, conn)
        answer = background(conn.getresponse)
        tls_peer.respond(1)
        assert answer.result().status == 200


class TestOverHTTP1:
    @pytest.fixture
    def asked(self, text_peer):
        """A connection whose request was sent, and read by ``text_peer``."""
        conn = HTTPConnection("127.0.0.1", text_peer.port, timeout=10)
        conn.request("GET", "/")
        text_peer.accept()
        text_peer.want_head()
        yield conn
        conn.close()

    def test_interim_responses_are_passed_over(self, text_peer, asked):
        text_peer.send_bytes(b"HTTP/1.1 100 Continue\r\n\r\n")
        text_peer.send_bytes(b"HTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\n")
        text_peer.send_bytes(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        text_peer.respond(b"final")
        response = asked.getresponse()
        assert (response.status, response.read()) == (200, b"final")
        assert response.getheader("Link") is None

    def test_switching_protocols_is_final(self, text_peer, asked):
        text_peer.send_bytes(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        assert asked.getresponse().status == 101

    def test_interim_responses_have_an_end(self, text_peer, asked):
        text_peer.send_bytes(b"HTTP/1.1 102 Processing\r\n\r\n" * 101)
        with pytest.raises(HTTPException, match="more than 100 interim"):
            asked.getresponse()

    def test_a_body_that_is_cut_short_is_what_it_always_was(self, text_peer, asked):
        text_peer.send_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        text_peer.hang_up()
        with pytest.raises(IncompleteRead, match="4 bytes read, 6 more expected"):
            asked.getresponse().read()


class TestContexts:
    """Who decides whether HTTP/2 is offered."""

    @pytest.fixture
    def default_context(self, ca, monkeypatch):
        """The one that http.client finds if it is given none."""
        context = context_for(ca)
        monkeypatch.setattr(ssl, "_create_default_https_context", lambda: context)
        return context

    def offered(self, peer, conn):
        """Return what a server chooses that prefers HTTP/2."""
        peer.tls.set_alpn_protocols(["h2", "http/1.1"])
        accept(peer, conn)
        conn.close()
        return peer.sock.selected_alpn_protocol()

    def test_the_default_one_offers_it(self, tls_peer, default_context):
        conn = HTTPSConnection("localhost", tls_peer.port, timeout=10)
        assert self.offered(tls_peer, conn) == "h2"

    def test_the_default_one_is_left_to_http_client_as_it_was(
        self, tls_peer, default_context
    ):
        ours = HTTPSConnection("localhost", tls_peer.port, timeout=10)
        theirs = http.client.HTTPSConnection("localhost", tls_peer.port, timeout=10)
        assert self.offered(tls_peer, ours) == "h2"
        assert self.offered(tls_peer, theirs) == "http/1.1"
        assert self.offered(tls_peer, ours) == "h2"

    def test_one_of_the_users_offers_what_he_has_said(self, tls_peer, ca):
        for alpn in (["h2"], ["http/1.1"], []):
            context = context_for(ca, *alpn)
            conn = HTTPSConnection("localhost", tls_peer.port, context=context)
            assert self.offered(tls_peer, conn) == (alpn[0] if alpn else None)

    def test_a_certificate_that_is_not_trusted_is_refused(self, tls_peer):
        conn = HTTPSConnection("localhost", tls_peer.port, timeout=10)

        def refused():
            with pytest.raises(ssl.SSLError):
                tls_peer.accept()

        refusing = background(refused)
        with pytest.raises(ssl.SSLCertVerificationError):
            conn.request("GET", "/")
        refusing.result()
        conn.close()

    def test_http_1_0_is_not_joined_with_it(self, tls_peer, default_context):
        class Old(HTTPSConnection):
            _http_vsn = 10
            _http_vsn_str = "HTTP/1.0"

        conn = Old("localhost", tls_peer.port, timeout=10)
        assert self.offered(tls_peer, conn) is None

    def test_a_subclass_may_connect_in_its_own_way(self, tls_peer, ca):
        class Own(HTTPConnection):
            def connect(self):
                raw = socket.create_connection(("127.0.0.1", self.port), timeout=10)
                context = context_for(ca, "h2")
                self.sock = context.wrap_socket(raw, server_hostname="localhost")

        conn = Own("a.test", tls_peer.port)
        with contextlib.closing(conn):
            accept(tls_peer, conn)
            assert get(tls_peer, conn, b"body").read() == b"body"
            first = conn.sock
            accept(tls_peer, conn)
            assert conn.sock is not first
            assert get(tls_peer, conn, b"other").read() == b"other"
            first.close()


@pytest.fixture(scope="module")
def service():
    with http2bin.serve() as service:
        yield service


@pytest.fixture
def trusted(service, monkeypatch):
    """The service, trusted by default contexts."""
    monkeypatch.setenv("SSL_CERT_FILE", service.ca_file)
    return service


def versions_of_urllib(service):
    """Return in what urllib.request is answered, by both of its doors."""
    urllib.request.install_opener(None)  # It would keep the context of the last test.
    try:
        opened = (urllib.request.urlopen, urllib.request.build_opener().open)
        responses = [open_url(service.url + "/get") for open_url in opened]
    finally:
        urllib.request.install_opener(None)
    for response in responses:
        with response:
            assert json.load(response)["url"] == service.url + "/get"
    return [response.version for response in responses]


class TestPatch:
    def test_urllib_speaks_http2_while_it_lasts(self, trusted):
        assert versions_of_urllib(trusted) == [11, 11]
        with patch():
            assert versions_of_urllib(trusted) == [20, 20]
        assert versions_of_urllib(trusted) == [11, 11]

    def test_urllib_posts(self, trusted):
        with patch():
            opener = urllib.request.build_opener()
        # It has kept the class, not the name.
        with patch(), opener.open(trusted.url + "/post", b"a=b") as response:
            assert response.version == 20
            assert json.load(response)["form"] == {"a": "b"}

    def test_an_opener_that_outlives_it_goes_back_to_http1(self, trusted):
        with patch():
            opener = urllib.request.build_opener()
            with opener.open(trusted.url + "/get") as response:
                assert response.version == 20
        with opener.open(trusted.url + "/get") as response:
            assert response.version == 11

    def test_an_error_of_http_is_one_of_urllib(self, trusted):
        with patch(), pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.build_opener().open(trusted.url + "/status/404")
        with caught.value as response:
            assert (response.code, response.fp.version) == (404, 20)

    def test_xmlrpc_calls_over_one_connection(self, tls_peer, ca):
        def answer(stream_id):
            tls_peer.want_headers(stream_id)
            numbers, name = xmlrpc.client.loads(tls_peer.want_body(stream_id))
            assert name == "add"
            result = xmlrpc.client.dumps((sum(numbers),), methodresponse=True)
            tls_peer.respond(stream_id, result.encode())

        url = f"https://localhost:{tls_peer.port}/RPC2"
        context = context_for(ca, "h2")
        with patch(), xmlrpc.client.ServerProxy(url, context=context) as proxy:
            calling = background(proxy.add, 1, 2)
            tls_peer.greet()
            answer(1)
            assert calling.result() == 3
            calling = background(proxy.add, 3, 4)
            answer(3)
            assert calling.result() == 7
            tls_peer.send_goaway(3)
            calling = background(proxy.add, 5, 6)
            tls_peer.greet()
            answer(1)
            assert calling.result() == 11

    def test_names_are_given_back_when_the_last_one_ends(self):
        def found():
            return http.client.HTTPConnection, http.client.HTTPSConnection

        def by_import():
            from http.client import HTTPConnection, HTTPSConnection

            return HTTPConnection, HTTPSConnection

        for look in (found, by_import):
            before = look()
            for _ in range(1000):  # The interpreter learns what does not change.
                assert look() is not None
            with patch():
                with contextlib.suppress(KeyError), patch():
                    assert look() == (HTTPConnection, HTTPSConnection)
                    raise KeyError
                assert look() == (HTTPConnection, HTTPSConnection)
            assert look() == before
        assert type(http.client) is type(socket)

    def test_a_mock_may_take_the_place_of_a_class_in_it(self, monkeypatch):
        before = http.client.HTTPConnection
        with patch():
            monkeypatch.setattr(http.client, "HTTPConnection", int)
            assert http.client.HTTPConnection is int
            monkeypatch.undo()
            assert http.client.HTTPConnection is HTTPConnection
        assert http.client.HTTPConnection is before

    def test_it_may_begin_and_end_in_several_threads(self):
        begun, end = threading.Barrier(5), threading.Event()

        def work():
            with patch():
                begun.wait(10)
                assert end.wait(10)
                assert http.client.HTTPConnection is HTTPConnection

        working = [background(work) for _ in range(4)]
        begun.wait(10)
        assert http.client.HTTPConnection is HTTPConnection
        end.set()
        for one in working:
            one.result()
        assert http.client.HTTPConnection is not HTTPConnection

    def test_it_is_a_decorator(self):
        @patch()
        def work():
            return http.client.HTTPConnection

        assert work() is HTTPConnection
        assert http.client.HTTPConnection is not HTTPConnection

    def test_who_has_the_classes_already_keeps_them(self, trusted):
        before = http.client.HTTPSConnection

        class Own(before):
            pass

        with patch():
            for of in (before, Own, HTTPSConnection, http.client.HTTPSConnection):
                conn = of("localhost", trusted.port, timeout=10)
                with contextlib.closing(conn):
                    conn.request("GET", "/get")
                    response = conn.getresponse()
                    assert response.read()
                    ours = issubclass(of, HTTPSConnection)
                    assert response.version == (20 if ours else 11)
