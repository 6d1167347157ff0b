"""The words of HTTP/1.1. What they do in responses is in ``test_http11_protocol``."""

from __future__ import annotations

import pytest

from hyper.common.exceptions import InvalidResponseError, LineTooLongError
from hyper.common.grammar import Buffer, Head, parse_head, request_head, shown
from hyper.common.request import Request

HEAD = b"HTTP/1.1 200 OK\r\nA: 1\r\n\r\n"


class TestHeads:
    def test_a_head_is_a_status_line_and_fields(self):
        block = b"HTTP/1.0 404 Not Found\r\nA: 1\nB:\t2 \r\n"
        fields = [(b"A", b"1"), (b"B", b"2")]
        assert parse_head(block, 2) == Head(0, 404, b"Not Found", fields)

    @pytest.mark.parametrize("line", [b"HTTP/2 200", b"200 OK", b"HTTP/1.1 20"])
    def test_a_status_line_that_is_none_is_shown(self, line):
        with pytest.raises(InvalidResponseError, match=line.decode()):
            parse_head(line + b"\r\n", 2)

    def test_fields_are_counted(self):
        with pytest.raises(LineTooLongError, match="more than 1 fields"):
            parse_head(b"HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n", 1)

    def test_a_request_begins_with_its_host(self):
        request = Request(b"GET", b"http", b"example.com", b"/x", [(b"a", b"b")])
        head = b"GET /x HTTP/1.1\r\nHost: example.com\r\na: b\r\n\r\n"
        assert request_head(request) == head

    def test_connect_names_an_authority(self):
        request = Request(b"CONNECT", b"http", b"example.com:443", b"", [])
        head = b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"
        assert request_head(request) == head

    def test_what_is_long_is_shown_in_part(self):
        assert shown(b"\x1b[2J") == r"b'\x1b[2J'"
        assert shown(b"a" * 61) == repr(b"a" * 60) + "..."


class TestBuffers:
    @pytest.mark.parametrize("size", [1, 2, 3, len(HEAD)])
    def test_a_block_is_found_however_it_comes(self, size):
        buffer = Buffer()
        for at in range(0, len(HEAD), size):
            assert buffer.take_block() is None
            buffer.feed(HEAD[at : at + size])
        buffer.feed(b"rest")
        assert buffer.take_block() == HEAD[:-2]
        assert len(buffer) == 4
        assert buffer.take(9) == b"rest"

    def test_a_line_is_taken_with_its_end(self):
        buffer = Buffer()
        buffer.feed(b"a\r\nb")
        assert buffer.take_line() == b"a\r\n"
        assert buffer.take_line() is None
        buffer.feed(b"\n")
        assert buffer.take_line() == b"b\n"

    def test_peeking_takes_nothing(self):
        buffer = Buffer()
        buffer.feed(b"abc")
        assert (buffer.peek(2), buffer.peek(9), len(buffer)) == (b"ab", b"abc", 3)
        assert buffer.agrees_with(b"abcd")
        assert buffer.agrees_with(b"a")
        assert not buffer.agrees_with(b"b")
