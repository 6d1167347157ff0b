"""Responses as files: reading, decoding, iterating, closing."""

import gzip
import io
import zlib

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import PingFrame, SettingsFrame, WindowUpdateFrame
from OpenSSL import SSL
from threads import background, wait_for

from hyper import (
    DecodingError,
    HTTPConnection,
    HTTPVersion,
    IncompleteRead,
    LocalProtocolError,
    ReadTimeout,
    StreamResetError,
    http2bin,
)
from hyper.tls import init_context


@pytest.fixture
def respond(peer):
    """Return a function that answers a request and returns the response.

    ``respond(fields, *pieces, end=True, status=200, timeout=...)``: every piece of the
    body is a DATA frame; the last one ends the stream if ``end``.
    """
    conn = peer.connection()
    stream_id = conn.request("GET", "/")
    peer.greet()
    peer.want_headers(stream_id)

    def respond(fields, *pieces, end=True, status=200):
        peer.send_headers(stream_id, status, fields, end=end and not pieces)
        for index, piece in enumerate(pieces):
            peer.send_data(stream_id, piece, end=end and index == len(pieces) - 1)
        return conn.get_response(stream_id)

    respond.conn = conn
    return respond


GZIP = [("content-encoding", "gzip")]


# The head.


def test_a_response_knows_its_head(respond):
    response = respond([("Date".lower(), "Tue, 01 Jan"), ("a", "b, c")], status=404)
    assert response.status == 404
    assert response.reason == "Not Found"
    assert response.version is HTTPVersion.http20
    assert response.stream_id == 1
    assert response.headers["Date"] == [b"Tue, 01 Jan"]
    assert response.headers["a"] == [b"b", b"c"]
    assert repr(response) == "<HTTP20Response 404 Not Found, stream 1>"


def test_a_status_that_nobody_named_has_no_reason(respond):
    assert respond([], status=599).reason == ""


def test_a_response_knows_who_sent_it(respond, peer):
    response = respond([])
    assert response.local_address == peer.sock.getpeername()
    assert response.peer_address == peer.sock.getsockname()
    assert response.tls is None


def test_a_response_knows_its_tls_even_after_the_connection():
    with http2bin.serve() as service:
        context = init_context(service.ca_file)
        with HTTPConnection(service.url, ssl_context=context) as conn:
            conn.request("GET", "/")
            tls = conn.get_response().tls
        for _ in range(2):
            assert tls.server_hostname == "localhost"
            assert tls.selected_alpn_protocol() == "h2"
            assert tls.version() == "TLSv1.3"
            assert tls.cipher()[1] == "TLSv1.3"
            assert ("DNS", "localhost") in tls.getpeercert()["subjectAltName"]
            assert tls.getpeercert(binary_form=True)[:1] == b"0"  # a DER sequence


def test_tls_of_pyopenssl_is_not_shown():
    with http2bin.serve() as service:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        with HTTPConnection(service.url, ssl_context=context) as conn:
            conn.request("GET", "/")
            assert conn.get_response().tls is None


@pytest.mark.scenario(61)
@pytest.mark.scenario(75)
def test_fields_may_be_asked_for_as_http_client_does(respond):
    response = respond(
        [("set-cookie", "a=1"), ("set-cookie", "b=2, 3"), ("x", "caf\u00e9")]
    )
    assert response.getheader("Set-Cookie") == "a=1, b=2, 3"
    assert response.getheader("x").encode("latin-1").decode() == "caf\u00e9"
    assert response.getheader("y") is None
    assert response.getheader("y", "z") == "z"
    assert response.getheaders()[:2] == [
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2, 3"),
    ]


@pytest.mark.scenario(70)
def test_interim_responses_are_kept_apart(peer, respond):
    peer.send_headers(1, 100)
    peer.send_headers(1, 103, [("link", "</a>")])
    response = respond([("a", "b")])
    assert [interim.status for interim in response.informational] == [100, 103]
    assert response.informational[1].headers["link"] == [b"</a>"]
    assert "link" not in response.headers


# Reading.


def test_read_gives_the_whole_body_and_then_nothing(respond):
    response = respond([], b"one ", b"", b"two")
    assert not response.closed
    assert response.read() == b"one two"
    assert response.closed
    assert response.read() == b""
    assert response.read(5) == b""
    assert response.read1() == b""


def test_a_body_of_one_piece_is_given_as_it_is(respond):
    assert respond([], b"all").read() == b"all"


def test_an_empty_body_is_empty(respond):
    assert respond([]).read() == b""


def test_read_gives_as_many_bytes_as_were_asked_for(respond):
    response = respond([], b"abcd", b"efgh", b"ij")
    assert response.read(0) == b""
    assert response.read(3) == b"abc"
    assert response.read(3) == b"def"
    assert response.read(-1) == b"ghij"


def test_read1_gives_what_there_is(peer, respond):
    response = respond([], b"abcd", end=False)
    assert response.read1(2) == b"ab"
    assert response.read1() == b"cd"
    assert response.read1(0) == b""
    peer.send_data(1, b"ef", end=True)
    assert response.read1() == b"ef"
    assert response.read1() == b""


def test_read1_gives_equal_frames_that_came_at_once_in_one_piece(peer, respond):
    one, two, six, ten = (word * 100 for word in (b"one", b"two", b"six", b"ten"))
    response = respond([], one, b"", two, six, ten, end=False)
    assert response.read(300) == one
    peer.send_data(1, b"end", end=True)
    assert list(iter(response.read1, b"")) == [two + six + ten, b"end"]


def test_frames_are_told_apart_in_whatever_order_they_are_read(peer, respond):
    pieces = [b"%d" % number * 50 for number in range(10, 16)]
    response = respond([], *pieces, end=False)
    frames = response.read_chunked()
    assert [next(frames), next(frames)] == pieces[:2]
    assert response.read(150) == pieces[2] + pieces[3][:50]
    assert response.read1() == pieces[3][50:] + pieces[4] + pieces[5]
    peer.send_data(1, b"16")
    peer.send_data(1, b"17", end=True)
    assert list(response.read_chunked()) == [b"16", b"17"]


def test_read1_after_closing_gives_nothing_that_had_come(respond):
    response = respond([], b"one", b"two", b"six", end=False)
    assert response.read(3) == b"one"
    response.close()
    with pytest.raises(ValueError, match="closed before its end"):
        response.read1()


def test_read1_begins_with_what_read_had_left(respond):
    response = respond(GZIP, gzip.compress(b"line 1\nline 2\n"))
    assert response.readline() == b"line 1\n"
    assert response.read1(3) == b"lin"
    assert response.read1() == b"e 2\n"


def test_readinto_fills_a_buffer(respond):
    response = respond([], b"abcde")
    buffer = bytearray(3)
    assert response.readinto(buffer) == 3
    assert buffer == b"abc"
    assert response.readinto(buffer) == 2
    assert buffer == b"dec"


def test_iterating_gives_lines(respond):
    response = respond([], b"one\ntw", b"o\n\nthree")
    assert list(response) == [b"one\n", b"two\n", b"\n", b"three"]


def test_readline_may_be_limited(respond):
    response = respond([], b"one\ntwo\n")
    assert response.readline(2) == b"on"
    assert response.readline(10) == b"e\n"
    assert response.readline(4) == b"two\n"
    assert response.readline(4) == b""


def test_read_chunked_gives_the_frames_as_they_came(respond):
    response = respond([], b"one", b"", b"two")
    assert list(response.read_chunked()) == [b"one", b"", b"two"]


def test_read_chunked_begins_with_what_read_had_left(respond):
    response = respond([], b"one\ntwo", b"three")
    assert response.readline() == b"one\n"
    assert list(response.read_chunked()) == [b"two", b"three"]


def test_a_response_has_no_descriptor(respond):
    with pytest.raises(io.UnsupportedOperation):
        respond([]).fileno()


@pytest.mark.scenario(87)
def test_what_is_read_gives_the_peer_credit(peer, respond):
    response = respond([], *[bytes(16000)] * 60, end=False)
    assert len(response.read(960_000)) == 960_000
    peer.ignore = (SettingsFrame, PingFrame)
    assert peer.want(WindowUpdateFrame).stream_id == 1


# Decoding.


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("gzip, deflate", lambda data: zlib.compress(gzip.compress(data))),
    ],
)
def test_a_coded_body_is_decoded(respond, coding, encode):
    content = b"content " * 1000
    response = respond([("content-encoding", coding)], encode(content))
    assert response.read() == content
    assert response.closed


def test_a_coded_body_may_be_read_as_it_came(respond):
    coded = gzip.compress(b"content")
    response = respond(GZIP, coded)
    assert response.read(decode_content=False) == coded


def test_how_a_body_is_read_cannot_be_changed_on_the_way(respond):
    response = respond(GZIP, gzip.compress(b"content"))
    assert response.read(2) == b"co"
    with pytest.raises(LocalProtocolError, match="decode_content"):
        response.read(decode_content=False)


@pytest.mark.scenario(162)
def test_an_amount_counts_decoded_bytes(respond):
    response = respond(GZIP, gzip.compress(bytes(10_000_000)))
    assert response.read(5) == bytes(5)
    assert len(response.read1()) <= 256 * 1024
    assert sum(len(piece) for piece in iter(lambda: response.read(100_000), b"")) > 0


@pytest.mark.scenario(162)
def test_the_pieces_of_read_chunked_are_limited(respond):
    response = respond(GZIP, gzip.compress(bytes(1_000_000)))
    pieces = list(response.read_chunked())
    assert sum(map(len, pieces)) == 1_000_000
    assert max(map(len, pieces)) <= 256 * 1024


def test_read_chunked_may_leave_the_coding_alone(respond):
    coded = gzip.compress(b"content")
    response = respond(GZIP, coded[:5], coded[5:])
    assert list(response.read_chunked(decode_content=False)) == [coded[:5], coded[5:]]


@pytest.mark.scenario(164)
@pytest.mark.parametrize(
    "body",
    [b"not gzip at all", gzip.compress(b"content")[:-4]],
    ids=["not gzip at all", "cut short"],
)
def test_a_broken_coding_is_an_error(respond, body):
    with pytest.raises(DecodingError):
        respond(GZIP, body).read()


@pytest.mark.scenario(164)
def test_a_coding_that_nobody_knows_is_left_alone(respond):
    assert respond([("content-encoding", "x-rot13")], b"nope").read() == b"nope"


# Trailers.


@pytest.mark.scenario(76)
def test_trailers_come_after_the_body(peer, respond):
    response = respond([("a", "b")], b"body", end=False)
    peer.send_trailers(1, [("checksum", "1"), ("content-length", "4")])
    assert response.read() == b"body"
    assert response.trailers["Checksum"] == [b"1"]
    assert "content-length" not in response.trailers
    assert "checksum" not in response.headers


def test_asking_for_trailers_keeps_the_body(peer, respond):
    response = respond([], b"bo", end=False)
    peer.send_data(1, b"dy")
    peer.send_trailers(1, [("t", "u")])
    assert response.trailers["t"] == [b"u"]
    assert response.read() == b"body"


def test_no_trailers_are_an_empty_map(respond):
    assert len(respond([], b"body").trailers) == 0


def test_trailers_of_a_broken_response_are_its_error(peer, respond):
    response = respond([], b"body", end=False)
    peer.send_reset(1, ErrorCodes.INTERNAL_ERROR)
    with pytest.raises(StreamResetError):
        response.trailers  # noqa: B018


# Bodies that end early.


@pytest.mark.scenario(64)
def test_a_body_cut_short_raises_and_hands_over_what_came(respond):
    response = respond([("content-length", "10")], b"abc")
    with pytest.raises(IncompleteRead, match="7 bytes") as caught:
        response.read()
    assert caught.value.partial == b"abc"
    assert caught.value.expected == 7


def test_no_memory_is_taken_for_what_is_only_announced(peer, respond):
    response = respond([("content-length", "1" + 15 * "0")], b"abc", end=False)
    peer.send_reset(1, ErrorCodes.INTERNAL_ERROR)
    with pytest.raises(StreamResetError):
        response.read()
    assert response.read1() == b"abc"


def test_a_body_that_comes_in_many_pieces_is_put_together(peer, respond):
    response = respond([("content-length", "300003")], b"abc", end=False)
    assert response.read(1) == b"a"
    reading = background(response.read)
    for index in range(30):
        peer.send_data(1, b"%d" % (index % 10) * 10_000, end=index == 29)
    expected = b"bc" + b"".join(b"%d" % (one % 10) * 10_000 for one in range(30))
    assert reading.result() == expected


@pytest.mark.scenario(65)
def test_a_body_that_was_announced_and_never_came_raises(respond):
    response = respond([("content-length", "10")])
    assert response.status == 200
    with pytest.raises(IncompleteRead):
        response.read()


@pytest.mark.scenario(100)
def test_a_reset_in_the_body_raises_after_what_came_before(peer, respond):
    response = respond([], b"abc", end=False)
    peer.send_reset(1, ErrorCodes.INTERNAL_ERROR)
    with pytest.raises(StreamResetError, match="INTERNAL_ERROR"):
        response.read()
    assert response.read1() == b"abc"
    with pytest.raises(StreamResetError):
        response.read1()


def test_a_read_that_times_out_ends_the_exchange(peer):
    conn = peer.connection()
    stream_id = conn.request("GET", "/", timeout=0.05)
    peer.greet()
    peer.send_headers(stream_id)
    response = conn.get_response(stream_id)
    for _ in range(2):
        with pytest.raises(ReadTimeout, match="reading the response on stream 1"):
            response.read()
    peer.want_headers()
    assert peer.want_reset(stream_id) == ErrorCodes.CANCEL


# Closing.


def test_closing_early_resets_the_stream_once(peer, respond):
    response = respond([], b"abc", end=False)
    with response:
        assert response.read(1) == b"a"
    response.close()
    assert response.closed
    assert peer.want_reset(1) == ErrorCodes.CANCEL
    with pytest.raises(ValueError, match="closed before its end"):
        response.read()


def test_closing_after_the_end_says_nothing(peer, respond):
    response = respond([], b"abc")
    assert response.read() == b"abc"
    response.close()
    assert response.read() == b""
    peer.want_nothing(respond.conn)


@pytest.mark.scenario(236)
def test_a_thread_that_reads_is_woken_when_another_closes(respond):
    response = respond([], b"abc", end=False)
    reader = background(response.read)
    wait_for(lambda: reader.waits_in("wait_until"))
    response.close()
    with pytest.raises(StreamResetError, match="closed by this side"):
        reader.result()
