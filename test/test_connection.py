"""The connection that takes what the server speaks."""

import re
import ssl

import pytest
from h2.errors import ErrorCodes
from peer import PREFACE, Frames, wire
from test_exchange import finish
from threads import background

from hyper import (
    HTTP11Response,
    HTTP20Response,
    HTTPConnection,
    HTTPVersion,
    LocalProtocolError,
    RemoteProtocolError,
    TLSError,
    http2bin,
)
from hyper.tls import init_context
from hyper.trace import Recorder


@pytest.fixture(scope="module")
def service():
    with http2bin.serve() as service:
        yield service


@pytest.mark.scenario(1)
def test_with_tls_and_a_server_that_can_it_is_http2(service):
    context = init_context(service.ca_file)
    with HTTPConnection(service.url, ssl_context=context) as conn:
        assert conn.version is HTTPVersion.http11, "as long as nothing is known"
        conn.request("GET", "/get")
        assert isinstance(conn.get_response(), HTTP20Response)
        assert conn.version is HTTPVersion.http20


@pytest.mark.scenario(2)
def test_with_tls_and_a_server_that_cannot_it_is_http1(real_server):
    server = real_server("nginx", "h1-tls")
    context = init_context(server.ca_file)
    with HTTPConnection(
        "localhost", server.h1_tls_port, True, ssl_context=context
    ) as conn:
        conn.request("GET", "/hello")
        response = conn.get_response()
        assert isinstance(response, HTTP11Response)
        assert response.read() == b"hello\n"
        assert conn.version is HTTPVersion.http11


def test_without_tls_it_is_http1():
    with http2bin.serve(tls=False) as service:
        with HTTPConnection(service.url) as conn:
            conn.request("GET", "/get")
            assert conn.get_response().version is HTTPVersion.http11


@pytest.mark.parametrize("tls", [True, False])
def test_ids_work_alike_in_both_versions(tls):
    with http2bin.serve(tls=tls) as service:
        context = init_context(service.ca_file) if tls else None
        with HTTPConnection(service.url, ssl_context=context, timeout=10) as conn:
            first = conn.request("GET", "/get")
            second = conn.request("POST", "/post", data="key=value")
            third = conn.request("GET", "/ip")
            assert len({first, second, third}) == 3
            answers = [conn.getresponse(i).read() for i in (second, first, third)]
    assert b"key=value" in answers[0]
    assert b'"url"' in answers[1]
    assert b'"origin"' in answers[2]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("a.test",), ("a.test", 80, False)),
        (("a.test", 443), ("a.test", 443, True)),
        (("https://a.test",), ("a.test", 443, True)),
    ],
)
def test_the_port_decides_about_tls_unless_told(args, expected):
    conn = HTTPConnection(*args)
    assert (conn.host, conn.port, conn.secure) == expected


@pytest.mark.parametrize("tls", [True, False])
def test_threads_share_it_in_both_versions(tls):
    with http2bin.serve(tls=tls) as service:
        context = init_context(service.ca_file) if tls else None
        with HTTPConnection(service.url, ssl_context=context, timeout=20) as conn:

            def fetch(number):
                stream_id = conn.request("POST", "/echo", b"%d" % number)
                return conn.get_response(stream_id).read()

            tasks = [background(fetch, number) for number in range(30)]
            assert [task.result() for task in tasks] == [
                b"%d" % number for number in range(30)
            ]
        assert service.connections == 1


@pytest.mark.scenario(114)
@pytest.mark.parametrize("how", ["RST_STREAM", "GOAWAY"])
def test_a_server_that_requires_http1_gets_it_from_then_on(peer, ca, how):
    peer.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    peer.tls.load_cert_chain(ca.cert_file, ca.key_file)
    peer.tls.set_alpn_protocols(["h2", "http/1.1"])
    context = init_context(ca.ca_file)
    conn = peer.client(HTTPConnection, secure=True, ssl_context=context)
    asking = background(conn.request, "POST", "/", b"body")
    peer.greet()
    peer.want_headers(1)
    peer.want_body(1)
    stream_id = asking.result()
    answer = background(conn.get_response, stream_id)
    if how == "GOAWAY":
        peer.send_goaway(0, ErrorCodes.HTTP_1_1_REQUIRED)
    else:
        peer.send_reset(1, ErrorCodes.HTTP_1_1_REQUIRED)
    accept_http1_post(peer)
    assert answer.result().version is HTTPVersion.http11
    again = background(conn.request, "POST", "/", b"body")
    accept_http1_post(peer)
    assert conn.get_response(again.result()).version is HTTPVersion.http11


def accept_http1_post(peer):
    peer.accept()
    assert peer.sock.selected_alpn_protocol() == "http/1.1"
    received = b""
    while not received.endswith(b"body"):
        received += peer.sock.recv(65536)
    assert received.startswith(b"POST / HTTP/1.1\r\n")
    peer.send_bytes(b"HTTP/1.1 204 No\r\nConnection: close\r\n\r\n")


def test_what_only_http2_can_do_is_refused_over_http1():
    with http2bin.serve(tls=False) as service:
        with HTTPConnection(service.url, timeout=10) as conn:
            with pytest.raises(LocalProtocolError, match=r"speaks HTTP/1\.1"):
                conn.ping()


# Going over to HTTP/2 without TLS.


SWITCH = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"


@pytest.fixture
def asking_peer(text_peer):
    """A scripted server, and a client that asks it to go over to HTTP/2."""
    conn = text_peer.client(HTTPConnection, h2c="upgrade")
    asking = background(conn.request, "POST", "/path", b"body")
    text_peer.accept()
    head = text_peer.want_head()
    assert head[0] == b"OPTIONS / HTTP/1.1"
    assert b"Upgrade: h2c" in head
    assert b"Connection: Upgrade, HTTP2-Settings" in head
    assert any(re.fullmatch(rb"HTTP2-Settings: [\w-]+", line) for line in head)
    return text_peer, conn, asking


@pytest.mark.parametrize("early", [True, False])
def test_a_server_that_upgrades_is_spoken_to_in_http2(asking_peer, early):
    peer, conn, asking = asking_peer
    frames = Frames()
    answer = wire(frames.settings(), frames.headers(1, 200, end=True))
    if early:
        peer.send_bytes(SWITCH + answer)
        assert peer.want_bytes(len(PREFACE)) == PREFACE
    else:
        peer.send_bytes(SWITCH)
        assert peer.want_bytes(len(PREFACE)) == PREFACE
        peer.send_bytes(answer)
    stream_id = asking.result()
    assert stream_id == 3, "stream 1 was the question"
    peer.send_bytes(
        wire(frames.headers(3), frames.data(3, b"answer"), frames.data(3, end=True))
    )
    response = conn.get_response(stream_id)
    assert response.version is HTTPVersion.http20
    assert response.read() == b"answer"


@pytest.mark.parametrize("sent", [True, False], ids=["sent", "not yet sent"])
def test_a_server_that_goes_over_and_ends_at_once_is_spoken_to_in_http1(
    asking_peer, sent
):
    peer, conn, asking = asking_peer
    frames = Frames()
    answer = SWITCH + wire(frames.settings(), frames.headers(1, 200, end=True))
    goodbye = wire(frames.goaway(1))
    if sent:
        peer.send_bytes(answer)
        response = background(conn.get_response, asking.result())
        peer.send_bytes(goodbye)
    else:
        peer.send_bytes(answer + goodbye)
    peer.hang_up()
    peer.accept()
    assert peer.want_head()[0] == b"POST /path HTTP/1.1"
    assert peer.want_bytes(4) == b"body"
    peer.respond(b"answer")
    if not sent:
        response = background(conn.get_response, asking.result())
    assert response.result().version is HTTPVersion.http11
    assert response.result().read() == b"answer"


def test_a_server_that_does_not_upgrade_is_spoken_to_in_http1(asking_peer):
    peer, conn, asking = asking_peer
    peer.respond(b"some options")
    assert peer.want_head()[0] == b"POST /path HTTP/1.1"
    assert peer.want_bytes(4) == b"body"
    peer.respond(b"answer")
    response = conn.get_response(asking.result())
    assert response.version is HTTPVersion.http11
    assert response.read() == b"answer"
    assert peer.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 405 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + bytes(100_000),
    ],
    ids=["the connection ends", "the answer has no end"],
)
def test_a_server_that_is_not_worth_asking_twice_is_not(asking_peer, answer):
    peer, conn, asking = asking_peer
    peer.send_bytes(answer)
    peer.accept()
    assert peer.want_head()[0] == b"POST /path HTTP/1.1"
    assert peer.want_bytes(4) == b"body"
    peer.respond(b"answer")
    assert conn.get_response(asking.result()).read() == b"answer"


def test_a_server_that_hangs_up_at_the_question_is_not_asked_again(asking_peer):
    peer, _, asking = asking_peer
    peer.hang_up()
    peer.accept()
    assert peer.want_head()[0] == b"POST /path HTTP/1.1"
    asking.result()


def test_a_server_that_speaks_http2_at_once_is_recognised(peer):
    conn = peer.client(HTTPConnection, h2c="upgrade")
    asking = background(conn.connect)
    peer.accept()
    peer.send_settings({})
    error = asking.error()
    assert isinstance(error, RemoteProtocolError)
    assert "prior-knowledge" in str(error)


def test_what_is_known_beforehand_need_not_be_asked(peer):
    conn = peer.client(HTTPConnection, h2c="prior-knowledge")
    stream_id = conn.request("GET", "/")
    peer.greet()
    peer.want_headers(stream_id)
    finish(peer, conn, stream_id)


def test_without_http1_a_server_that_speaks_nothing_else_is_refused(real_server):
    server = real_server("nginx", "h1-tls")
    conn = HTTPConnection(
        f"https://localhost:{server.h1_tls_port}",
        ssl_context=init_context(server.ca_file),
        http1=False,
    )
    assert conn.version is HTTPVersion.http20
    with pytest.raises(TLSError, match="does not speak HTTP/2"):
        conn.connect()


def test_without_http1_there_is_no_question_in_cleartext(peer):
    conn = peer.client(HTTPConnection, http1=False)
    stream_id = conn.request("GET", "/")
    peer.greet()
    peer.want_headers(stream_id)
    finish(peer, conn, stream_id)


@pytest.mark.parametrize(
    "options",
    [
        {"http1": False, "http2": False},
        {"http2": False, "h2c": "upgrade"},
        {"http1": False, "h2c": "prior-knowledge"},
    ],
)
def test_something_may_be_spoken_and_a_choice_needs_two(options):
    with pytest.raises(ValueError, match="may be spoken"):
        HTTPConnection("a.test", **options)


def test_h2c_is_one_of_three_words():
    with pytest.raises(ValueError, match="prior-knowledge"):
        HTTPConnection("a.test", h2c="yes")


@pytest.mark.parametrize("name", ["apache", "caddy", "h2o", "hypercorn"])
def test_real_servers_go_over_to_http2(real_server, name):
    server = real_server(name)
    trace = Recorder()
    with HTTPConnection(
        "127.0.0.1", server.h2c_port, h2c="upgrade", timeout=10, trace=trace
    ) as conn:
        ids = [conn.request("GET", "/hello") for _ in range(3)]
        for stream_id in ids:
            response = conn.get_response(stream_id)
            # Apache may end a connection that is idle after the question.
            assert response.version is HTTPVersion.http20 or name == "apache"
            assert response.read() == b"hello\n"
    answers = [record for record in trace.records if record.kind == "RESPONSE"]
    assert answers[0].detail["start"].startswith("HTTP/1.1 101")


@pytest.mark.parametrize("name", ["nginx", "haproxy", "node"])
def test_real_servers_that_do_not_stay_with_http1(real_server, name):
    server = real_server(name, "h1")
    with HTTPConnection("127.0.0.1", server.h1_port, h2c="upgrade", timeout=10) as conn:
        conn.request("GET", "/hello")
        response = conn.get_response()
        assert response.version is HTTPVersion.http11
        assert response.read() == b"hello\n"
