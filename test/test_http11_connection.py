"""What is special about connections that speak HTTP/1.1."""

import gc
import socket
import threading

import h11
import pytest
from threads import PATIENCE, background, wait_for

from hyper import (
    ConnectionLost,
    HTTP11Connection,
    HTTPVersion,
    IncompleteRead,
    InvalidResponseError,
    LocalProtocolError,
    PoolTimeout,
    ReadTimeout,
    StreamResetError,
    Timeout,
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


def test_a_length_that_is_said_twice_in_one_field_is_that_of_the_body(text_peer):
    conn = text_peer.connection()
    conn.request("GET", "/")
    text_peer.accept()
    text_peer.want_head()
    text_peer.send_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\nab")
    text_peer.hang_up()
    with pytest.raises(IncompleteRead) as caught:
        conn.get_response().read()
    assert (caught.value.partial, caught.value.expected) == (b"ab", 2)


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


# What users hand in.


def put(conn, method, url, body, headers):
    """Send a request as ``conn.request`` does, in pieces."""
    conn.putrequest(method, url)
    for name, value in headers if isinstance(headers, list) else headers.items():
        conn.putheader(name, value)
    return conn.endheaders(body, final=True)


@pytest.mark.parametrize(
    ("method", "url", "headers", "body"),
    [
        *(
            pytest.param(*request, None, marks=pytest.mark.scenario(row))
            for bad in ("\r", "\n", "\0", "\r\nX: y", "\x7f")
            for row, request in [
                (193, ("GET", "/", {f"a{bad}": "b"})),
                (193, ("GET", "/", {"Cookie": f"a=b{bad}"})),
                (193, ("GET", "/", {b"a": f"b{bad}c".encode()})),
                (193, ("GET", "/", {"Host": f"a.test{bad}"})),
                (194, (f"GET{bad}", "/", {})),
                (195, ("GET", f"/a{bad}", {})),
                (195, ("GET", f"http://127.0.0.1/?{bad}", {})),
                (196, ("CONNECT", f"a.test{bad}:443", {})),
                (196, ("CONNECT", f"a.test:443{bad}", {})),
            ]
        ),
        pytest.param("GET /", "/", {}, None, marks=pytest.mark.scenario(194)),
        pytest.param("", "/", {}, None, marks=pytest.mark.scenario(194)),
        pytest.param("GET", "/a b", {}, None, marks=pytest.mark.scenario(195)),
        pytest.param("GET", "a", {}, None, marks=pytest.mark.scenario(195)),
        pytest.param("GET", "*", {}, None, marks=pytest.mark.scenario(195)),
        pytest.param("GET", "/", {"a b": "c"}, None, marks=pytest.mark.scenario(193)),
        pytest.param(
            "GET", "/", {"a": "\ud800"}, None, marks=pytest.mark.scenario(206)
        ),
        pytest.param("GET", "/", {":path": "/"}, None, marks=pytest.mark.scenario(200)),
        pytest.param(
            "GET", "/", {"Host": "a b"}, None, marks=pytest.mark.scenario(201)
        ),
        pytest.param(
            "GET",
            "/",
            [("Host", "a"), ("host", "a")],
            None,
            marks=pytest.mark.scenario(201),
        ),
        pytest.param(
            "GET",
            "/",
            {"Host": "me:secret@a.test"},
            None,
            marks=pytest.mark.scenario(203),
        ),
        pytest.param(
            "POST", "/", {"Content-Length": 5}, b"four", marks=pytest.mark.scenario(202)
        ),
        pytest.param(
            "POST",
            "/",
            {"Content-Length": "+4"},
            b"four",
            marks=pytest.mark.scenario(202),
        ),
        pytest.param(
            "POST",
            "/",
            [("Content-Length", "4"), ("content-length", "5")],
            b"four",
            marks=pytest.mark.scenario(202),
        ),
        pytest.param(
            "POST",
            "/",
            {"Content-Length": "4", "Transfer-Encoding": "chunked"},
            b"four",
            marks=pytest.mark.scenario(202),
        ),
        pytest.param(
            "POST",
            "/",
            {"Transfer-Encoding": "gzip"},
            b"four",
            marks=pytest.mark.scenario(202),
        ),
    ],
)
def test_what_http_forbids_is_refused_before_connecting(
    text_peer, method, url, headers, body
):
    conn = text_peer.connection()
    with pytest.raises(LocalProtocolError) as refused:
        conn.request(method, url, body, headers)
    assert "secret" not in str(refused.value)
    with pytest.raises(LocalProtocolError):
        put(conn, method, url, body, headers)
    assert not text_peer.has_caller


@pytest.mark.scenario(206)
@pytest.mark.parametrize("value", [None, 1.5, ["secret"]])
def test_a_value_of_another_type_is_refused_before_connecting(text_peer, value):
    conn = text_peer.connection()
    with pytest.raises(TypeError, match="'X-Token'") as refused:
        conn.request("GET", "/", headers={"X-Token": value})
    assert "secret" not in str(refused.value)
    assert not text_peer.has_caller


@pytest.mark.scenario(196)
@pytest.mark.parametrize("bad", ["\r\n", "\0", " ", "/x", "é\n"])
@pytest.mark.parametrize("place", ["host", "proxy", "proxy_host", "proxy_headers"])
def test_a_way_that_could_end_a_line_is_refused_at_once(place, bad):
    options = {
        "host": {"host": f"a{bad}b"},
        "proxy": {"host": "a", "proxy": f"http://p{bad}:80"},
        "proxy_host": {"host": "a", "proxy_host": f"p{bad}"},
        "proxy_headers": {
            "host": "a",
            "proxy": "p",
            "proxy_headers": {f"X{bad}": "y"},
        },
    }
    with pytest.raises(LocalProtocolError):
        HTTP11Connection(**options[place])


@pytest.mark.parametrize(
    ("url", "target"),
    [
        pytest.param("", "/", marks=pytest.mark.scenario(195)),
        pytest.param("?q", "/?q", marks=pytest.mark.scenario(195)),
        pytest.param("/a?b#c", "/a?b", marks=pytest.mark.scenario(195)),
        pytest.param("//host/x", "//host/x", marks=pytest.mark.scenario(195)),
        pytest.param("/\xe9", "/%C3%A9", marks=pytest.mark.scenario(195)),
        pytest.param(b"/\xe9", "/%E9", marks=pytest.mark.scenario(195)),
        pytest.param("/%0d%0a", "/%0d%0a", marks=pytest.mark.scenario(195)),
        pytest.param(
            "http://me:secret@a.test/x?y", "/x?y", marks=pytest.mark.scenario(203)
        ),
    ],
)
def test_a_request_line_has_one_target(text_peer, url, target):
    conn = text_peer.connection()
    conn.request("GET", url)
    text_peer.accept()
    assert text_peer.want_head() == [
        f"GET {target} HTTP/1.1".encode(),
        b"Host: 127.0.0.1:%d" % text_peer.port,
    ]


@pytest.mark.scenario(195)
def test_options_may_ask_for_the_server_itself(text_peer):
    conn = text_peer.connection()
    conn.request("OPTIONS", "*")
    text_peer.accept()
    assert text_peer.want_head()[0] == b"OPTIONS * HTTP/1.1"


@pytest.mark.scenario(197)
@pytest.mark.scenario(201)
@pytest.mark.scenario(205)
@pytest.mark.scenario(206)
def test_fields_go_out_as_given_behind_the_users_host(text_peer):
    conn = text_peer.connection()
    headers = [("x-A", "1"), ("HOST", "b.test:81"), ("X-a", " \t2 "), ("C", "\xe9")]
    conn.request("GET", "/", headers=[*headers, ("D", 4), (b"E", b"\xe9"), ("F", "")])
    text_peer.accept()
    assert text_peer.want_head()[1:] == [
        b"Host: b.test:81",
        b"x-A: 1",
        b"X-a: 2",
        b"C: \xc3\xa9",
        b"D: 4",
        b"E: \xe9",
        b"F: ",
    ]


@pytest.mark.scenario(203)
def test_a_user_in_the_url_of_the_server_is_neither_sent_nor_shown(text_peer):
    conn = HTTP11Connection(f"http://me:secret@127.0.0.1:{text_peer.port}", timeout=10)
    with conn:
        conn.request("GET", "/")
        text_peer.accept()
        assert text_peer.want_head()[1:] == [b"Host: 127.0.0.1:%d" % text_peer.port]
        assert "secret" not in repr(conn)


@pytest.mark.scenario(207)
@pytest.mark.parametrize("closes", [True, False])
def test_a_megabyte_of_headers_is_sent_and_what_the_server_says_is_the_response(
    text_peer, closes
):
    text_peer.narrow()
    conn = text_peer.connection()
    headers = {f"X-{number}": "y" * 10_000 for number in range(100)}
    asking = background(conn.request, "GET", "/", None, headers)
    text_peer.accept()
    if closes:
        assert text_peer.want_bytes(4) == b"GET "
        answer = b"HTTP/1.1 431 Too Large\r\nConnection: close\r\n"
        text_peer.send_bytes(answer + b"Content-Length: 3\r\n\r\nno!")
    else:
        assert len(text_peer.want_head()) == 102
        text_peer.respond(b"yes")
    response = conn.get_response(asking.result())
    assert response.read() == (b"no!" if closes else b"yes")
    assert conn.is_connected is not closes


# Bodies.


def test_a_body_of_known_size_may_be_sent_in_chunks(text_peer):
    conn = text_peer.connection()
    conn.request("POST", "/", "b\xf6dy", {"Transfer-Encoding": "chunked"})
    text_peer.accept()
    head = text_peer.want_head()
    assert b"Transfer-Encoding: chunked" in head
    assert not any(line.startswith(b"Content-Length") for line in head)
    assert text_peer.want_bytes(15) == b"5\r\nb\xc3\xb6dy\r\n0\r\n\r\n"


def test_a_stream_whose_size_is_declared_goes_out_as_it_is(text_peer):
    conn = text_peer.connection()
    conn.request("PUT", "/", iter([b"one", b"three"]), {"Content-Length": 8})
    text_peer.accept()
    assert text_peer.want_head()[2:] == [b"Content-Length: 8"]
    assert text_peer.want_bytes(8) == b"onethree"


@pytest.mark.scenario(104)
@pytest.mark.parametrize("pieces", [[b"abc"], [b"abc", b"def"]])
def test_a_body_that_is_not_as_long_as_declared_takes_its_connection_along(
    text_peer, pieces
):
    conn = text_peer.connection()
    with pytest.raises(LocalProtocolError, match="Content-Length") as refused:
        conn.request("POST", "/", iter(pieces), {"Content-Length": 5})
    assert not refused.value.retry_safe, "the server has seen the beginning"
    text_peer.accept()
    text_peer.want_head()
    assert text_peer.want_bytes(3) == b"abc"
    text_peer.want_eof()
    conn.request("GET", "/next")
    text_peer.accept()
    assert text_peer.want_head()[0] == b"GET /next HTTP/1.1"


@pytest.mark.scenario(105)
def test_an_exception_of_the_body_takes_the_connection_along(text_peer):
    def body():
        yield b"some"
        raise ZeroDivisionError

    conn = text_peer.connection()
    with pytest.raises(ZeroDivisionError):
        conn.request("POST", "/", body())
    text_peer.accept()
    text_peer.want_head()
    assert text_peer.want_bytes(9) == b"4\r\nsome\r\n"
    text_peer.want_eof()
    assert not conn.is_connected


def test_a_request_may_end_with_trailers(text_peer):
    conn = text_peer.connection()
    conn.putrequest("POST", "/")
    stream_id = conn.endheaders()
    conn.send(b"body")
    conn.send_trailers([("X-Sum", "\xe9"), ("x-sum", 2)])
    text_peer.accept()
    assert b"Transfer-Encoding: chunked" in text_peer.want_head()
    expected = b"4\r\nbody\r\n0\r\nX-Sum: \xc3\xa9\r\nx-sum: 2\r\n\r\n"
    assert text_peer.want_bytes(len(expected)) == expected
    text_peer.respond(b"done")
    assert conn.get_response(stream_id).read() == b"done"
    assert conn.is_connected


@pytest.mark.scenario(193)
@pytest.mark.parametrize(
    "trailers",
    [
        {"a": "b\r\nc"},
        {"a\0": "b"},
        {"Content-Length": "5"},
        {"Host": "a"},
        {":a": "b"},
    ],
)
def test_trailers_that_are_not_fit_to_be_sent_are_refused(text_peer, trailers):
    conn = text_peer.connection()
    conn.putrequest("POST", "/")
    conn.endheaders()
    with pytest.raises(LocalProtocolError):
        conn.send_trailers(trailers)
    conn.send(b"end", final=True)
    text_peer.accept()
    text_peer.want_head()
    assert text_peer.want_bytes(13) == b"3\r\nend\r\n0\r\n\r\n"


def test_a_request_with_a_length_has_no_room_for_trailers(text_peer):
    conn = text_peer.connection()
    conn.putrequest("POST", "/")
    conn.putheader("Content-Length", 3)
    conn.endheaders()
    conn.send(b"")
    with pytest.raises(LocalProtocolError):
        conn.send_trailers({"a": "b"})
    conn.send(b"end")
    text_peer.accept()
    text_peer.want_head()
    assert text_peer.want_bytes(3) == b"end"


# Expect: 100-continue.


@pytest.mark.scenario(107)
@pytest.mark.parametrize("body", [b"body", iter([b"bo", b"dy"])])
def test_a_body_is_held_back_until_the_server_wants_it(text_peer, body):
    conn = text_peer.connection()
    headers = {"Expect": "100-continue", "Transfer-Encoding": "chunked"}
    asking = background(conn.request, "POST", "/", body, headers)
    text_peer.accept()
    assert b"Expect: 100-continue" in text_peer.want_head()
    wait_for(lambda: asking.waits_in("wait_until"))
    text_peer.send_bytes(b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n")
    assert text_peer.want_bytes(3) in (b"4\r\n", b"2\r\n")
    text_peer.respond(b"yes")
    response = conn.get_response(asking.result())
    assert response.read() == b"yes"
    (interim,) = response.informational
    assert (interim.status, interim.headers["a"]) == (100, [b"b"])


@pytest.mark.scenario(107)
@pytest.mark.scenario(191)
@pytest.mark.parametrize("late", [b"", b"no"])
def test_a_body_that_is_not_wanted_is_not_sent_nor_the_connection_used_again(
    text_peer, late
):
    """The server may still wait for the body, and would take a request for it."""
    conn = text_peer.connection()
    headers = {"Expect": "100-continue"}
    asking = background(conn.request, "POST", "/", b"body", headers)
    text_peer.accept()
    text_peer.want_head()
    length = b"Content-Length: %d\r\n\r\n" % len(late)
    text_peer.send_bytes(b"HTTP/1.1 417 Expectation Failed\r\n" + length)
    response = conn.get_response(asking.result())
    text_peer.send_bytes(late)
    assert (response.status, response.read()) == (417, late)
    with pytest.raises(AssertionError, match="closed the connection"):
        text_peer.want_bytes(1)
    conn.request("GET", "/next")
    text_peer.accept()
    assert text_peer.want_head()[0] == b"GET /next HTTP/1.1"


# One exchange at a time.


@pytest.mark.scenario(192)
@pytest.mark.scenario(231)
def test_who_waits_too_long_for_its_turn_gives_up_and_holds_up_nobody(text_peer):
    conn = text_peer.connection()
    first = conn.request("GET", "/1")
    text_peer.accept()
    text_peer.want_head()
    second = background(conn.request, "GET", "/2")
    wait_for(lambda: second.waits_in("wait_until"))
    with pytest.raises(PoolTimeout):
        conn.request("GET", "/never", timeout=Timeout(write=0.01))
    with pytest.raises(PoolTimeout):
        conn.request("GET", "/never", timeout=Timeout(total=0.01))
    third = background(conn.request, "GET", "/3")
    wait_for(lambda: third.waits_in("wait_until"))
    text_peer.respond(b"1")
    for number, asking in ((b"2", second), (b"3", third)):
        assert text_peer.want_head()[0] == b"GET /%b HTTP/1.1" % number
        text_peer.respond(number)
        assert conn.get_response(asking.result()).read() == number
    assert conn.get_response(first).read() == b"1"
    assert text_peer.connections == 1


@pytest.mark.scenario(192)
def test_a_request_waits_for_the_end_of_an_upload_even_if_its_response_has_come(
    text_peer,
):
    more = threading.Event()

    def body():
        yield b"some"
        more.wait(PATIENCE)
        yield b"more"

    conn = text_peer.connection()
    upload = background(conn.request, "POST", "/upload", body())
    text_peer.accept()
    text_peer.want_head()
    assert text_peer.want_bytes(9) == b"4\r\nsome\r\n"
    text_peer.respond(b"enough")
    second = background(conn.request, "GET", "/second")
    wait_for(lambda: second.waits_in("wait_until"))
    more.set()
    # The rest is not wanted any more, which only the end of the connection can say.
    text_peer.want_eof()
    text_peer.accept()
    assert text_peer.want_head()[0] == b"GET /second HTTP/1.1"
    text_peer.respond(b"2")
    assert conn.get_response(upload.result()).read() == b"enough"
    assert conn.get_response(second.result()).read() == b"2"


def serve_strictly(peer, requests):
    """Answer so many requests with their own bodies; h11 sees that each is whole."""
    peer.accept()
    answered = []
    connection = h11.Connection(h11.SERVER)
    while len(answered) < requests:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(peer.sock.recv(65536))
        elif isinstance(event, h11.Request):
            target, body = event.target, b""
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            answered.append((target, body))
            peer.respond(target + b" " + body)
            connection = h11.Connection(h11.SERVER)
            assert event.headers == []
    return answered


@pytest.mark.scenario(192)
@pytest.mark.scenario(229)
def test_requests_of_many_threads_never_mix(text_peer):
    def ask(thread):
        bodies = []
        for number in range(5):
            word = b"%d.%d " % (thread, number)
            body = [word * 500] * 4 if thread % 2 else word * 2000
            stream_id = conn.request("POST", f"/{thread}", body)
            bodies.append(conn.get_response(stream_id).read())
        return bodies

    conn = text_peer.connection()
    serving = background(serve_strictly, text_peer, 40)
    threads = [background(ask, thread) for thread in range(8)]
    for thread, asking in enumerate(threads):
        assert asking.result() == [
            b"/%d " % thread + b"%d.%d " % (thread, number) * 2000
            for number in range(5)
        ]
    assert len(serving.result()) == 40
    assert text_peer.connections == 1


@pytest.mark.scenario(105)
@pytest.mark.scenario(192)
def test_a_request_in_line_behind_one_that_fails_goes_elsewhere(text_peer):
    failing = threading.Event()

    def body():
        yield b"some"
        failing.wait(PATIENCE)
        raise ZeroDivisionError

    conn = text_peer.connection()
    upload = background(conn.request, "POST", "/", body())
    text_peer.accept()
    text_peer.want_head()
    second = background(conn.request, "GET", "/second")
    wait_for(lambda: second.waits_in("wait_until"))
    failing.set()
    assert isinstance(upload.error(), ZeroDivisionError)
    text_peer.want_eof()
    text_peer.accept()
    assert text_peer.want_head() == [
        b"GET /second HTTP/1.1",
        b"Host: 127.0.0.1:%d" % text_peer.port,
    ]
    assert second.result() == 2


@pytest.mark.scenario(182)
@pytest.mark.scenario(192)
def test_requests_in_line_move_on_when_the_server_hangs_up(text_peer):
    conn = text_peer.connection()
    first = conn.request("GET", "/1")
    text_peer.accept()
    text_peer.want_head()
    second = background(conn.request, "POST", "/2", b"once")
    wait_for(lambda: second.waits_in("wait_until"))
    text_peer.respond(b"1", b"Connection: close\r\n")
    text_peer.hang_up()
    text_peer.accept()
    assert text_peer.want_head()[0] == b"POST /2 HTTP/1.1"
    text_peer.respond(b"2")
    assert conn.get_response(first).read() == b"1"
    assert conn.get_response(second.result()).read() == b"2"
    assert text_peer.connections == 2


# Responses that are not read.


def test_a_response_of_which_all_has_come_may_be_closed_unread(text_peer):
    conn = text_peer.connection()
    conn.request("GET", "/")
    text_peer.accept()
    text_peer.want_head()
    text_peer.send_bytes(OK + b"Content-Length: 100000\r\n\r\n" + bytes(50_000))
    response = conn.get_response()
    assert response.read(5) == bytes(5)
    text_peer.send_bytes(bytes(50_000))
    wait_for(lambda: conn.stats.bytes_received > 100_000)
    response.close()
    conn.request("GET", "/next")
    assert text_peer.want_head()[0] == b"GET /next HTTP/1.1"
    assert text_peer.connections == 1


@pytest.mark.scenario(275)
def test_a_response_that_is_dropped_unread_takes_its_connection_along(text_peer):
    conn = text_peer.connection()
    conn.request("GET", "/")
    text_peer.accept()
    text_peer.want_head()
    text_peer.send_bytes(OK + b"Content-Length: 10\r\n\r\nabc")
    response = conn.get_response()
    del response
    gc.collect()
    text_peer.want_eof()
    conn.request("GET", "/next")
    text_peer.accept()
    assert text_peer.want_head()[0] == b"GET /next HTTP/1.1"
