"""What is special about connections that speak HTTP/1.1."""

import socket

import pytest
from threads import background, wait_for

from hyper import (
    ConnectionLost,
    HTTP11Connection,
    HTTPVersion,
    IncompleteRead,
    InvalidResponseError,
    ReadTimeout,
    StreamResetError,
    http2bin,
)
from hyper.tls import init_context

OK = b"HTTP/1.1 200 OK\r\n"


def test_its_version_is_1_1():
    assert HTTP11Connection.version is HTTPVersion.http11


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("a.test",), ("a.test", 80, False)),
        (("a.test:443",), ("a.test", 443, True)),
        (("a.test", 8080, True), ("a.test", 8080, True)),
        (("https://a.test",), ("a.test", 443, True)),
    ],
)
def test_the_port_decides_about_tls_unless_told(args, expected):
    conn = HTTP11Connection(*args)
    assert (conn.host, conn.port, conn.secure) == expected


def test_a_request_and_its_response(text_peer):
    conn = text_peer.connection()
    assert conn.request("POST", "/path?query", b"body", {"X-Name": "value"}) == 1
    text_peer.accept()
    head = text_peer.want_head()
    assert head[0] == b"POST /path?query HTTP/1.1"
    assert b"Host: 127.0.0.1:%d" % text_peer.port in head
    assert b"X-Name: value" in head
    assert b"Content-Length: 4" in head
    assert text_peer.want_bytes(4) == b"body"
    text_peer.send_bytes(b"HTTP/1.1 404 Nope\r\nContent-Length: 2\r\nA: b\r\n\r\nno")
    response = conn.get_response(1)
    assert (response.status, response.reason) == (404, "Nope")
    assert response.version is HTTPVersion.http11
    assert response.headers["a"] == [b"b"]
    assert response.read() == b"no"


def test_a_stream_of_unknown_length_is_sent_in_chunks(text_peer):
    conn = text_peer.connection()
    conn.request("POST", "/", iter([b"one", b"", b"three"]))
    text_peer.accept()
    assert b"Transfer-Encoding: chunked" in text_peer.want_head()
    expected = b"3\r\none\r\n5\r\nthree\r\n0\r\n\r\n"
    assert text_peer.want_bytes(len(expected)) == expected


@pytest.mark.scenario(190)
def test_the_connection_is_kept_for_the_next_request(text_peer):
    conn = text_peer.connection()
    for number in (1, 2, 3):
        assert conn.request("GET", "/") == number
        if number == 1:
            text_peer.accept()
        text_peer.want_head()
        text_peer.respond(b"body")
        assert conn.get_response(number).read() == b"body"
    assert text_peer.connections == 1


def test_chunks_are_given_as_they_came(text_peer):
    conn = text_peer.connection()
    conn.request("GET", "/")
    text_peer.accept()
    text_peer.send_bytes(
        OK + b"Transfer-Encoding: chunked\r\n\r\n"
        b"3\r\none\r\n5;ext\r\nthree\r\n0\r\nT: u\r\n\r\n"
    )
    response = conn.get_response()
    assert list(response.read_chunked()) == [b"one", b"three"]
    assert response.trailers["t"] == [b"u"]


@pytest.mark.scenario(184)
def test_a_body_may_end_with_the_connection(text_peer):
    conn = text_peer.connection()
    conn.request("GET", "/")
    text_peer.accept()
    text_peer.send_bytes(OK + b"\r\nall of it")
    text_peer.hang_up()
    assert conn.get_response().read() == b"all of it"
    assert not conn.is_connected


@pytest.mark.scenario(188)
@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304)])
def test_a_response_without_a_body_leaves_the_connection_usable(
    text_peer, method, status
):
    conn = text_peer.connection()
    conn.request(method, "/")
    text_peer.accept()
    text_peer.want_head()
    text_peer.send_bytes(b"HTTP/1.1 %d X\r\nContent-Length: 9\r\n\r\n" % status)
    assert conn.get_response().read() == b""
    conn.request("GET", "/next")
    assert text_peer.want_head()[0] == b"GET /next HTTP/1.1"


@pytest.mark.scenario(187)
def test_interim_responses_are_kept_apart(text_peer):
    conn = text_peer.connection()
    conn.request("GET", "/")
    text_peer.accept()
    text_peer.send_bytes(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    text_peer.respond(b"body")
    response = conn.get_response()
    assert response.status == 200
    assert [interim.status for interim in response.informational] == [103]


@pytest.mark.scenario(192)
def test_a_second_request_waits_for_the_first_response(text_peer):
    conn = text_peer.connection()
    first = conn.request("GET", "/first")
    text_peer.accept()
    assert text_peer.want_head()[0] == b"GET /first HTTP/1.1"
    second = background(conn.request, "GET", "/second")
    wait_for(lambda: second.waits_in("wait_until"))
    third = background(conn.request, "GET", "/third")
    wait_for(lambda: third.waits_in("wait_until"))
    text_peer.respond(b"1")
    assert text_peer.want_head()[0] == b"GET /second HTTP/1.1"
    text_peer.respond(b"2")
    assert text_peer.want_head()[0] == b"GET /third HTTP/1.1"
    text_peer.respond(b"3")
    bodies = [
        conn.get_response(stream_id).read()
        for stream_id in (third.result(), first, second.result())
    ]
    assert bodies == [b"3", b"1", b"2"]
    assert text_peer.connections == 1


def test_one_thread_may_ask_several_times_before_it_reads():
    with http2bin.serve(tls=False) as service:
        with HTTP11Connection(service.host, service.port, timeout=10) as conn:
            ids = [conn.request("GET", f"/bytes/{n}") for n in (5, 50_000, 500)]
            sizes = [len(conn.get_response(i).read()) for i in reversed(ids)]
    assert sizes == [500, 50_000, 5]


@pytest.mark.scenario(182)
@pytest.mark.scenario(186)
@pytest.mark.parametrize("end", ["fin", "rst", "surplus"])
def test_a_connection_that_ended_while_idle_is_replaced_unnoticed(text_peer, end):
    conn = text_peer.connection()
    conn.request("GET", "/")
    text_peer.accept()
    text_peer.respond(b"body")
    assert conn.get_response().read() == b"body"
    if end == "fin":
        text_peer.hang_up()
    elif end == "rst":
        text_peer.die()
    else:
        text_peer.send_bytes(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    conn.request("POST", "/again", b"x")
    text_peer.accept()
    assert text_peer.want_head()[0] == b"POST /again HTTP/1.1"
    text_peer.respond(b"here")
    assert conn.get_response().read() == b"here"


@pytest.mark.scenario(182)
def test_a_server_that_hangs_up_without_an_answer_is_an_error(text_peer):
    conn = text_peer.connection()
    conn.request("GET", "/")
    text_peer.accept()
    text_peer.want_head()
    text_peer.hang_up()
    with pytest.raises(ConnectionLost) as caught:
        conn.get_response()
    assert not caught.value.retry_safe, "it may have acted on the request"


def lose_the_second_of_two(text_peer, conn, method, answer=b""):
    """Have the connection end in the answer to its second request."""
    conn.request("GET", "/")
    text_peer.accept()
    text_peer.want_head()
    text_peer.respond(b"body")
    assert conn.get_response().read() == b"body"
    stream_id = conn.request(method, "/again", b"x" if method == "POST" else None)
    text_peer.want_head()
    text_peer.send_bytes(answer)
    text_peer.hang_up()
    return stream_id


@pytest.mark.scenario(182)
def test_a_server_may_hang_up_just_when_the_next_request_comes(text_peer):
    conn = text_peer.connection()
    lose_the_second_of_two(text_peer, conn, "GET")
    waiting = background(conn.get_response)
    text_peer.accept()
    assert text_peer.want_head()[0] == b"GET /again HTTP/1.1"
    text_peer.respond(b"here")
    assert waiting.result().read() == b"here"


@pytest.mark.scenario(182)
@pytest.mark.parametrize(
    ("method", "answer"),
    [("POST", b""), ("GET", b"HTTP/1.1 20"), ("GET", b"HTTP/1.1 103 Hints\r\n\r\n")],
)
def test_it_may_have_acted_on_what_is_not_idempotent_or_half_answered(
    text_peer, method, answer
):
    conn = text_peer.connection()
    lose_the_second_of_two(text_peer, conn, method, answer)
    with pytest.raises(ConnectionLost) as caught:
        conn.get_response()
    assert not caught.value.retry_safe


@pytest.mark.scenario(182)
def test_a_request_that_is_lost_twice_is_not_sent_a_third_time(text_peer):
    conn = text_peer.connection()
    lose_the_second_of_two(text_peer, conn, "GET")
    waiting = background(conn.get_response)
    text_peer.accept()
    text_peer.want_head()
    text_peer.hang_up()
    assert isinstance(waiting.error(), ConnectionLost)


@pytest.mark.scenario(183)
def test_a_body_cut_short_raises(text_peer):
    conn = text_peer.connection()
    conn.request("GET", "/")
    text_peer.accept()
    text_peer.send_bytes(OK + b"Content-Length: 10\r\n\r\nabc")
    text_peer.hang_up()
    response = conn.get_response()
    with pytest.raises(IncompleteRead) as caught:
        response.read()
    assert caught.value.partial == b"abc"


@pytest.mark.scenario(29)
def test_a_body_that_ends_with_a_tls_connection_cut_off_is_incomplete(real_tls):
    with real_tls(OK + b"\r\nperhaps not all") as (port, context):
        with HTTP11Connection("localhost", port, True, context, timeout=10) as conn:
            conn.request("GET", "/")
            with pytest.raises(IncompleteRead):
                conn.get_response().read()


@pytest.mark.scenario(167)
def test_a_response_that_is_none_is_an_error(text_peer):
    conn = text_peer.connection()
    conn.request("GET", "/")
    text_peer.accept()
    text_peer.send_bytes(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    with pytest.raises(InvalidResponseError):
        conn.get_response()


@pytest.mark.scenario(7)
def test_a_server_that_speaks_tls_is_recognised(text_peer):
    conn = text_peer.connection()
    conn.request("GET", "/")
    text_peer.accept()
    alert = b"\x15\x03\x01\x00\x02\x02\x46"  # protocol_version, as OpenSSL sends it
    text_peer.send_bytes(alert)
    with pytest.raises(InvalidResponseError, match="perhaps it speaks TLS"):
        conn.get_response()


@pytest.mark.scenario(191)
def test_an_early_refusal_stops_the_upload(text_peer):
    conn = text_peer.connection()
    upload = background(conn.request, "POST", "/", b"x" * 50_000_000)
    text_peer.accept()
    text_peer.want_head()
    text_peer.send_bytes(
        b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!"
    )
    text_peer.hang_up()
    response = conn.get_response(upload.result())
    assert (response.status, response.read()) == (413, b"no!")


@pytest.mark.scenario(191)
def test_an_answer_is_read_even_from_a_server_that_has_hung_up(text_peer):
    conn = text_peer.connection()
    conn.connect()
    text_peer.accept()
    text_peer.send_bytes(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    text_peer.hang_up()
    # What came before the request answers no request: a new connection is made.
    conn.request("GET", "/")
    text_peer.accept()
    text_peer.want_head()
    text_peer.respond(b"fine")
    assert conn.get_response().read() == b"fine"


def test_a_response_closed_early_takes_its_connection_along(text_peer):
    conn = text_peer.connection()
    conn.request("GET", "/")
    text_peer.accept()
    text_peer.send_bytes(OK + b"Content-Length: 10\r\n\r\nabc")
    with conn.get_response() as response:
        assert response.read(1) == b"a"
    text_peer.want_eof()
    conn.request("GET", "/next")
    text_peer.accept()
    assert text_peer.want_head()[0] == b"GET /next HTTP/1.1"


def test_a_read_timeout_takes_its_connection_along(text_peer):
    conn = text_peer.connection()
    conn.request("GET", "/", timeout=0.05)
    with pytest.raises(ReadTimeout):
        conn.get_response()
    assert not conn.is_connected


def test_a_reader_that_is_slow_makes_the_server_wait(text_peer):
    conn = text_peer.connection()
    conn.request("GET", "/")
    text_peer.accept()
    text_peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    body = bytes(50_000_000)
    sending = background(
        text_peer.send_bytes, OK + b"Content-Length: 50000000\r\n\r\n" + body
    )
    response = conn.get_response()
    for _ in range(100):
        assert conn.open_streams == 1
        assert response.read(10) == bytes(10)
    assert sending.running, "what nobody reads stays with the server"
    assert len(response.read()) == 50_000_000 - 1000
    sending.result()


def test_a_request_waits_behind_a_response_that_nobody_reads(text_peer):
    conn = text_peer.connection()
    conn.request("GET", "/")
    text_peer.accept()
    body = bytes(30_000_000)
    sending = background(
        text_peer.send_bytes, OK + b"Content-Length: 30000000\r\n\r\n" + body
    )
    response = conn.get_response()
    second = background(conn.request, "GET", "/second")
    wait_for(lambda: second.waits_in("wait_until"))
    assert len(response.read()) == 30_000_000
    sending.result()
    assert second.result() == 2


@pytest.mark.scenario(236)
def test_a_thread_that_reads_is_woken_when_another_closes(text_peer):
    conn = text_peer.connection()
    conn.request("GET", "/")
    text_peer.accept()
    text_peer.send_bytes(OK + b"Content-Length: 10\r\n\r\nabc")
    response = conn.get_response()
    reader = background(response.read)
    wait_for(lambda: reader.waits_in("wait_until"))
    response.close()
    with pytest.raises((StreamResetError, ConnectionLost)):
        reader.result()


def test_over_tls_http1_is_offered_alone():
    with http2bin.serve() as service:
        context = init_context(service.ca_file)
        with HTTP11Connection(service.url, ssl_context=context) as conn:
            conn.request("GET", "/get")
            response = conn.get_response()
            assert response.version is HTTPVersion.http11
            assert response.status == 200
