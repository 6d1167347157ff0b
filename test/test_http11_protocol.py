"""HTTP/1.1 without a socket: what each sequence of bytes means to a client.

``SHAPES`` is a table of responses. Each is delivered whole, byte by byte and with bytes
after its end, must come out the same every time, and is given to h11 and to http.client
as well. Where they read it differently, the table says who is right and why: a
disagreement that is not in the table fails.
"""

from __future__ import annotations

import gc
import http.client
import io
import itertools
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyper.common.exceptions import (
    ChunkedDecodeError,
    ConnectionLost,
    HyperError,
    IncompleteRead,
    InvalidResponseError,
    LineTooLongError,
    LocalProtocolError,
    RemoteProtocolError,
    StreamResetError,
)
from hyper.common.protocol import CANCEL, EVERYONE, HEADS, NO_ERROR, HTTPVersion
from hyper.common.request import Request
from hyper.common.stream import Fields, Interim, Stream
from hyper.http11.protocol import H11Protocol, Limits

scenario = pytest.mark.scenario

POISON = b"HTTP/1.1 200 Poison\r\nContent-Length: 4\r\n\r\nevil"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE: Fields = [(b"Upgrade", b"h2c"), (b"Connection", b"upgrade")]


def request(
    method: bytes = b"GET",
    headers: Fields | None = None,
    body_length: int | None = 0,
    target: bytes = b"/",
    authority: bytes = b"example.com",
    protocol: bytes | None = None,
) -> Request:
    return Request(
        method, b"http", authority, target, headers or [], body_length, protocol
    )


def start(
    protocol: H11Protocol,
    method: bytes = b"GET",
    headers: Fields | None = None,
    body_length: int | None = 0,
) -> Stream:
    """Open an exchange and let its head go out."""
    end_stream = body_length == 0
    stream = protocol.open(request(method, headers, body_length), end_stream)
    assert protocol.data_to_send()
    protocol.touched.clear()
    return stream


def deliver(protocol: H11Protocol, data: bytes, how: str) -> None:
    if how == "byte by byte":
        for at in range(len(data)):
            protocol.receive_data(data[at : at + 1])
    elif how == "with trailing bytes":
        protocol.receive_data(data + POISON)
    else:
        protocol.receive_data(data)


def body_of(stream: Stream) -> bytes:
    assert b"" not in stream.chunks
    body = b"".join(stream.chunks)
    assert stream.buffered == len(body)
    return body


# The table


@dataclass(frozen=True)
class Shape:
    name: str
    data: bytes
    #: None: no response has come.
    status: int | None = 200
    fields: Fields | None = None
    reason: bytes | None = None
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    interim: list[Interim] = field(default_factory=list)
    error: type[HyperError] | None = None
    #: The connection can be used again.
    again: bool = True
    #: The server closes the connection after it.
    eof: bool = False
    method: bytes = b"GET"
    asking: Fields = field(default_factory=list)
    rows: tuple[int, ...] = ()
    #: Why h11, or http.client, reads it differently; empty: it does not.
    h11: str = ""
    http_client: str = ""


STRICTER = "http.client splits on blanks or calls int(), we match the grammar of "
TAKES = "http.client takes what it can read of it; we follow "
KEEPS = "http.client keeps the line end in the value"
FIRST = "9112 2.2: a first line has nothing to continue"
GRAMMAR = STRICTER + "9112 7.1"
NO_1XX = "http.client skips 100 only, and takes any other 1xx for the response"
TWICE = "9112 6.1 forbids senders to say it twice; it is done once"
ONE_LENGTH = "h11 hands on one Content-Length; what came is what users get from us"


def status_line(line: bytes, status: int | None, **more: object) -> Shape:
    name = "status line " + repr(line)[1:]
    data = line + b"\r\nContent-Length: 2\r\n\r\nhi"
    if status is None:
        more = {"error": InvalidResponseError, "again": False} | more
    else:
        more = {"body": b"hi"} | more
    return Shape(name, data, status, rows=(167,), **more)  # type: ignore[arg-type]


def bad_field(
    line: bytes, row: int = 170, http_client: str = TAKES + "9112 5.1", h11: str = ""
) -> Shape:
    return Shape(
        "field " + repr(line)[1:],
        b"HTTP/1.1 200 OK\r\n" + line + b"\r\nContent-Length: 2\r\n\r\nhi",
        None,
        error=InvalidResponseError,
        again=False,
        rows=(row,),
        h11=h11,
        http_client=http_client,
    )


def good_field(line: bytes, value: bytes, **more: object) -> Shape:
    return Shape(
        "field " + repr(line)[1:],
        b"HTTP/1.1 200 OK\r\n" + line + b"\r\nContent-Length: 2\r\n\r\nhi",
        fields=[(b"A", value), (b"Content-Length", b"2")],
        body=b"hi",
        **more,  # type: ignore[arg-type]
    )


def length(value: bytes, row: int = 177, **more: object) -> Shape:
    """A Content-Length that is as good as 5."""
    data = b"HTTP/1.1 200 OK\r\nContent-Length:" + value + b"\r\n\r\nhello"
    more = {"body": b"hello"} | more
    return Shape("length " + repr(value)[1:], data, rows=(row,), **more)  # type: ignore[arg-type]


def bad_length(value: bytes, http_client: str = STRICTER + "9110 8.6") -> Shape:
    name = "length " + repr(value[:9])[1:]
    data = b"HTTP/1.1 200 OK\r\nContent-Length:" + value + b"\r\n\r\nhello"
    return Shape(
        name,
        data,
        None,
        error=InvalidResponseError,
        again=False,
        rows=(177,),
        http_client=http_client,
    )


def bad_coding(lines: bytes, **more: object) -> Shape:
    more = {"http_client": TAKES + "9112 6.1: chunked last, others unknown"} | more
    return Shape(
        "coding " + repr(lines)[1:],
        b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        None,
        error=InvalidResponseError,
        again=False,
        rows=(175, 176) if b"Content-Length" in lines else (176,),
        **more,  # type: ignore[arg-type]
    )


def coding(lines: bytes, **more: object) -> Shape:
    return Shape(
        "coding " + repr(lines)[1:],
        b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        body=b"hi",
        rows=(175, 176) if b"Content-Length" in lines else (176,),
        **more,  # type: ignore[arg-type]
    )


def chunks(data: bytes, body: bytes, row: int = 179, **more: object) -> Shape:
    name = "chunks " + repr(data[:20])[1:]
    return Shape(name, CHUNKED + data, body=body, rows=(row,), **more)  # type: ignore[arg-type]


def bad_chunks(
    data: bytes,
    body: bytes = b"",
    row: int = 178,
    error: type[HyperError] = ChunkedDecodeError,
    http_client: str = "",
    h11: str = "",
) -> Shape:
    return Shape(
        "chunks " + repr(data[:30])[1:],
        CHUNKED + data,
        body=body,
        error=error,
        again=False,
        rows=(row,),
        http_client=http_client,
        h11=h11,
    )


def cut(name: str, data: bytes, body: bytes = b"", http_client: str = "") -> Shape:
    return Shape(
        "cut " + name, data, body=body, error=IncompleteRead, again=False, eof=True,
        rows=(183, 219), http_client=http_client,
    )  # fmt: skip


def bodyless(name: str, first: bytes, status: int, **more: object) -> Shape:
    data = first + b"\r\nX: y\r\n\r\n"
    return Shape("no body: " + name, data, status, rows=(188,), **more)  # type: ignore[arg-type]


NOT_THE_END = "9112 8: without the last CRLF a chunked body is incomplete"
TRAILER = b"2\r\nhi\r\n0\r\n"

SHAPES = [
    # Status lines
    status_line(b"HTTP/1.1 200 OK", 200, reason=b"OK"),
    status_line(b"HTTP/1.1 200", 200, reason=b""),
    status_line(b"HTTP/1.1 200 ", 200, reason=b""),
    status_line(b"HTTP/1.1 200  Very  well\t", 200, reason=b"Very  well"),
    status_line(b"HTTP/1.1 200 \xc3\xa4\xff", 200, reason=b"\xc3\xa4\xff"),
    status_line(b"HTTP/1.2 200 OK", 200),
    status_line(b"HTTP/1.9 404 No", 404),
    status_line(b"HTTP/1.1 599 x", 599),
    status_line(b"HTTP/1.1 999 Request denied", 999),
    status_line(b"HTTP/1.1 099 x", None),
    status_line(b"HTTP/1.1 000 x", None),
    status_line(b"HTTP/1.1 20 OK", None),
    status_line(b"HTTP/1.1 2000 OK", None),
    status_line(b"HTTP/1.1 200OK", None),
    status_line(b"HTTP/1.1 +20 OK", None),
    status_line(b"HTTP/1.1 \xd9\xa2\xd9\xa0\xd9\xa0 OK", None),
    status_line(b"HTTP/1.1  200 OK", None, http_client=STRICTER + "9112 4"),
    status_line(b"HTTP/1.1\t200 OK", None, http_client=STRICTER + "9112 4"),
    status_line(b"HTTP/1.1 200\tOK", None, http_client=STRICTER + "9112 4"),
    status_line(b"HTTP/1.1 200 O\0K", None, http_client=STRICTER + "9112 4"),
    status_line(b"HTTP/1.1 200 O\rK", None, http_client=STRICTER + "9112 2.2"),
    status_line(b"HTTP/1.1", None),
    status_line(b"HTTP/1.10 200 OK", None, http_client=STRICTER + "9112 2.3"),
    status_line(b"HTTP/01.1 200 OK", None),
    status_line(b"HTTP/2.0 200 OK", None,
                h11="9112 2.3: another major version is another protocol"),
    status_line(b"HTTP/2 200 OK", None),
    status_line(b"http/1.1 200 OK", None),
    status_line(b"HTTP 200 OK", None),
    status_line(b" HTTP/1.1 200 OK", None, http_client=STRICTER + "9112 4"),
    status_line(b"ICY 200 OK", None),
    status_line(b"SSH-2.0-OpenSSH_9.6", None),
    Shape("HTTP/0.9", b"<html>hello</html>", None, error=InvalidResponseError,
          again=False, rows=(168,), h11="9112 2.2: it waits for a line; we need not"),
    Shape("an HTTP/2 SETTINGS frame", b"\0\0\0\x04\0\0\0\0\0", None,
          error=InvalidResponseError, again=False, rows=(168,)),
    # Empty lines before it
    Shape("an empty line first", b"\r\n" + EMPTY, rows=(169,),
          h11="9112 2.2: robust readers skip an empty line; h11 does for requests only",
          http_client="9112 2.2: robust readers skip an empty line"),
    Shape("a bare LF first", b"\n" + EMPTY, rows=(169, 172),
          h11="9112 2.2: robust readers skip an empty line; h11 does for requests only",
          http_client="9112 2.2: robust readers skip an empty line"),
    Shape("two empty lines first", b"\r\n\r\n" + EMPTY, None,
          error=InvalidResponseError, again=False, rows=(169,)),
    Shape("a bare CR first", b"\r" + EMPTY, None,
          error=InvalidResponseError, again=False, rows=(169, 172),
          http_client=STRICTER + "9112 4"),
    # Fields
    Shape("no fields at all", b"HTTP/1.1 200 OK\r\n\r\nhi", body=b"hi", fields=[],
          again=False, eof=True, rows=(184,)),
    good_field(b"A:b", b"b"),
    good_field(b"A:", b""),
    good_field(b"A: \t ", b""),
    good_field(b"A: \t b c \t", b"b c"),
    good_field(b"A: b:c: \"d\"", b"b:c: \"d\""),
    good_field(b"A: \xe4\xff\x80", b"\xe4\xff\x80"),
    good_field(b"A: b\x01\x1f\x7f", b"b\x01\x1f\x7f"),
    good_field(b"A: b\x0bc", b"b\x0bc",
               h11="9110 5.5 lets controls be kept; h11 keeps those that isspace() "
               "does not know"),
    Shape("every token character",
          b"HTTP/1.1 204 No\r\n!#$%&'*+-.^_`|~09AZaz: b\r\n\r\n",
          204, fields=[(b"!#$%&'*+-.^_`|~09AZaz", b"b")], rows=(170,)),
    Shape("names twice, in order",
          b"HTTP/1.1 204 No\r\nb: 1\r\nA: 2\r\nB: 3\r\na: 2\r\n\r\n", 204,
          fields=[(b"b", b"1"), (b"A", b"2"), (b"B", b"3"), (b"a", b"2")], rows=(75,)),
    Shape("a hundred cookies",
          b"HTTP/1.1 204 No\r\n" + b"Set-Cookie: a=b, c\r\n" * 100 + b"X: y\r\n\r\n",
          204, fields=[(b"Set-Cookie", b"a=b, c")] * 100 + [(b"X", b"y")],
          rows=(75, 174), http_client="it stops at 100 fields"),
    bad_field(b"no colon"),
    bad_field(b"A : b"),
    bad_field(b"A\t: b"),
    bad_field(b": b"),
    bad_field(b"A b: c"),
    bad_field(b"\xe4: b"),
    bad_field(b"A(: b"),
    bad_field(b"A\0: b", 173),
    bad_field(b"A: b\0c", 173),
    bad_field(b"A: b\rc", 172),
    bad_field(b"A: b\rContent-Length: 9", 172, http_client=""),
    bad_field(b"A: b\r", 172),
    bad_field(b"\rA: b", 172),
    # Continued lines
    good_field(b"A: b\r\n c", b"b c", rows=(171,), http_client=KEEPS),
    good_field(b"A: b \t\r\n\t \tc\r\n  d ", b"b c d", rows=(171,),
               h11="9112 5.2 says one space or more; h11 keeps what ended the line",
               http_client=KEEPS),
    good_field(b"A:\r\n b", b"b", rows=(171,), http_client=KEEPS),
    good_field(b"A: b\n c", b"b c", rows=(171, 172), http_client=KEEPS),
    good_field(b"A: b\r\n \r\n c", b"b  c", rows=(171,), http_client=KEEPS),
    bad_field(b" A: b", 171, http_client=FIRST),
    bad_field(b" A: b\r\nB: c", 171, http_client=FIRST),
    bad_field(b"A: b\r\n c\0", 171),
    bad_field(b"A: b\r\r\n c", 172),
    # Bare LF
    Shape("LF everywhere", b"HTTP/1.1 200 OK\nA: b\nContent-Length: 2\n\nhi",
          body=b"hi", fields=[(b"A", b"b"), (b"Content-Length", b"2")], rows=(172,)),
    Shape("LF, and CRLF twice in the body",
          b"HTTP/1.1 200 OK\nContent-Length: 6\n\na\r\n\r\nb", body=b"a\r\n\r\nb",
          rows=(172,)),
    Shape("CRLF, then LF LF", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nhi",
          body=b"hi", rows=(172,)),
    Shape("LF, then LF CRLF", b"HTTP/1.1 200 OK\nContent-Length: 2\n\r\nhi",
          body=b"hi", rows=(172,)),
    # Content-Length
    length(b" 5"),
    length(b"5"),
    length(b" \t5 \t"),
    length(b" 05"),
    length(b" 5\r\nContent-Length: 5", h11=ONE_LENGTH),
    length(b" 5, 5", h11=ONE_LENGTH),
    length(b" 5,5 ,5\r\ncontent-length: 5", h11=ONE_LENGTH),
    bad_length(b" 5\r\nContent-Length: 6", TAKES + "9112 6.3 step 5"),
    bad_length(b" 5,6"),
    bad_length(b" 5, 05"),
    bad_length(b" 5,"),
    bad_length(b" ,"),
    bad_length(b" +5"),
    bad_length(b" -5"),
    bad_length(b" 0x5"),
    bad_length(b" 5_0", ""),
    bad_length(b" 5 a"),
    bad_length(b" 5 5"),
    bad_length(b" 5;"),
    bad_length(b" 5.0"),
    bad_length(b""),
    bad_length(b"\r\n 5\r\n 5"),
    bad_length(b" \xd9\xa5"),
    bad_length(b" " + b"9" * 400, ""),
    bad_length(b" " + b"0" * 20 + b"5"),
    # Transfer-Encoding
    coding(b"Transfer-Encoding: chunked"),
    coding(b"transfer-encoding: Chunked \t",
           h11="h11 hands on the coding in lower case",
           http_client="9112 5: blanks around a value are not part of it"),
    coding(b"Transfer-Encoding: , chunked,",
           h11="9110 5.6.1: empty members of a list are ignored",
           http_client="9110 5.6.1: empty members of a list are ignored"),
    coding(b"Content-Length: 3\r\nTransfer-Encoding: chunked", again=False,
           h11="9112 6.1: close after a message that has both"),
    bad_coding(b"Transfer-Encoding: chunked\r\nContent-Length: x"),
    bad_coding(b"Transfer-Encoding: identity, chunked"),
    bad_coding(b"Transfer-Encoding: chunked, identity"),
    bad_coding(b"Transfer-Encoding: identity"),
    coding(b"Transfer-Encoding: chunked, chunked", again=False, h11=TWICE,
           http_client=TWICE),
    coding(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: Chunked", again=False,
           h11=TWICE),
    bad_coding(b"Transfer-Encoding: chunked, chunked, gzip"),
    bad_coding(b"Transfer-Encoding: gzip, chunked"),
    bad_coding(b"Transfer-Encoding: gzip"),
    bad_coding(b"Transfer-Encoding: xchunked"),
    bad_coding(b"Transfer-Encoding: chunked;q=1"),
    bad_coding(b"Transfer-Encoding: \"chunked\""),
    bad_coding(b"Transfer-Encoding: chu nked"),
    bad_coding(b"Transfer-Encoding: \x0bchunked"),
    bad_coding(b"Transfer-Encoding:"),
    bad_coding(b"Transfer-Encoding: gzip\r\nContent-Length: 5"),
    Shape("coding in HTTP/1.0",
          b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n"
          b"Connection: keep-alive\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
          body=b"hi", again=False, rows=(176,)),
    # Chunks
    chunks(b"2\r\nhi\r\n3\r\n it\r\n0\r\n\r\n", b"hi it"),
    chunks(b"0\r\n\r\n", b""),
    chunks(b"000\r\n\r\n", b""),
    chunks(b"00000000000000aA\r\n" + b"x" * 170 + b"\r\n0\r\n\r\n", b"x" * 170),
    chunks(b"2;a\r\nhi\r\n0;b=c\r\n\r\n", b"hi"),
    chunks(b"2 \t; a = \"b;\"\r\nhi\r\n0\r\n\r\n", b"hi",
           h11="9112 7.1.1: BWS is permitted before a semicolon"),
    chunks(b"2;\xff;;=\r\nhi\r\n0\r\n\r\n", b"hi"),
    chunks(b"2 \r\nhi\r\n0 \t \r\n\r\n", b"hi", 178),
    chunks(b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
    bad_chunks(b"\r\nhi"),
    bad_chunks(b" 2\r\nhi\r\n0\r\n\r\n", http_client=GRAMMAR),
    bad_chunks(b"-2\r\nhi\r\n0\r\n\r\n"),
    bad_chunks(b"+2\r\nhi\r\n0\r\n\r\n", http_client=GRAMMAR),
    bad_chunks(b"0x2\r\nhi\r\n0\r\n\r\n", http_client=GRAMMAR),
    bad_chunks(b"0_2\r\nhi\r\n0\r\n\r\n", http_client=GRAMMAR),
    bad_chunks(b"g\r\nhi\r\n0\r\n\r\n"),
    bad_chunks(b"2 2\r\nhi\r\n0\r\n\r\n"),
    bad_chunks(b"\xd9\xa2\r\nhi\r\n0\r\n\r\n"),
    bad_chunks(b"0" * 16 + b"2\r\nhi\r\n0\r\n\r\n",
               h11="9112 7.1: beware of overflow; h11 stops at 20 digits, we at 16",
               http_client=GRAMMAR),
    bad_chunks(b"fffffffffffffffff\r\nhi",
               h11="9112 7.1: beware of overflow; h11 stops at 20 digits, we at 16"),
    bad_chunks(b"2\nhi\r\n0\r\n\r\n", http_client=GRAMMAR),
    bad_chunks(b"2;a\0\r\nhi\r\n0\r\n\r\n", row=179,
               h11="9110 5.5: NUL is dangerous wherever it is",
               http_client=GRAMMAR),
    bad_chunks(b"2;\r\r\nhi\r\n0\r\n\r\n", row=179,
               h11="9112 2.2: a bare CR is never part of an element",
               http_client=GRAMMAR),
    bad_chunks(b"2;a=\"\n\"\r\nhi\r\n0\r\n\r\n", row=179),
    bad_chunks(b"2;a=\"\r\n\"\r\n0\r\n\r\n", b"\"\r", row=179),
    bad_chunks(b"2\r\nhixx0\r\n\r\n", b"hi", 180, http_client=GRAMMAR),
    bad_chunks(b"2\r\nhi\n\n0\r\n\r\n", b"hi", 180, http_client=GRAMMAR),
    bad_chunks(b"2\r\nhi\n0\r\n\r\n", b"hi", 180),
    bad_chunks(b"2\r\nhiii\r\n0\r\n\r\n", b"hi", 180),
    # Trailers
    chunks(TRAILER + b"A: b\r\n\tc\r\na:d\r\n\r\n", b"hi", 181,
           trailers=[(b"A", b"b c"), (b"a", b"d")]),
    chunks(TRAILER + b"A: b\n\n", b"hi", 181, trailers=[(b"A", b"b")]),
    chunks(TRAILER + b"\n", b"hi", 181),
    chunks(TRAILER + b"Content-Length: 9\r\nA: b\r\nHost: c\r\nTE: d\r\n"
           b"Set-Cookie: e\r\nTransfer-Encoding: chunked\r\nAuthorization: f\r\n"
           b"Content-Type: g\r\n\r\n", b"hi", 76, trailers=[(b"A", b"b")],
           h11="9110 6.5.1: fields for framing, routing and such cannot be trailers"),
    bad_chunks(TRAILER + b"no colon\r\n\r\n", b"hi", 181, InvalidResponseError,
               TAKES + "9112 7.1.2"),
    bad_chunks(TRAILER + b"A : b\r\n\r\n", b"hi", 181, InvalidResponseError,
               TAKES + "9112 7.1.2"),
    bad_chunks(TRAILER + b" A: b\r\n\r\n", b"hi", 181, InvalidResponseError,
               TAKES + "9112 7.1.2"),
    # The end of the connection
    Shape("EOF at once", b"", None, error=ConnectionLost, again=False, eof=True,
          rows=(182,)),
    Shape("EOF after an empty line", b"\r\n", None, error=ConnectionLost, again=False,
          eof=True, rows=(182,)),
    Shape("EOF in the status line", b"HTTP/1.1 2", None, error=ConnectionLost,
          again=False, eof=True, rows=(182,)),
    Shape("EOF in the fields", b"HTTP/1.1 200 OK\r\nA: b\r\n", None,
          error=ConnectionLost, again=False, eof=True, rows=(182,),
          http_client="9112 8: a header section without its end is incomplete"),
    Shape("EOF after a 1xx", b"HTTP/1.1 100 Continue\r\n\r\n", None,
          interim=[Interim(100, [])], error=ConnectionLost, again=False, eof=True,
          rows=(182, 187)),
    cut("before a body", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    cut("in a body", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", b"hell"),
    cut("before a chunk", CHUNKED),
    cut("in a chunk size", CHUNKED + b"1"),
    cut("in a chunk line", CHUNKED + b"2\r"),
    cut("in a chunk", CHUNKED + b"5\r\nhell", b"hell"),
    cut("after a chunk", CHUNKED + b"5\r\nhello", b"hello"),
    cut("in the CRLF after a chunk", CHUNKED + b"5\r\nhello\r", b"hello"),
    cut("after a chunk's CRLF", CHUNKED + b"5\r\nhello\r\n", b"hello"),
    cut("before the last CRLF", CHUNKED + b"2\r\nhi\r\n0\r\n", b"hi", NOT_THE_END),
    cut("in the last CRLF", CHUNKED + b"2\r\nhi\r\n0\r\n\r", b"hi", NOT_THE_END),
    cut("in the trailers", CHUNKED + b"2\r\nhi\r\n0\r\nA: b\r\n", b"hi", NOT_THE_END),
    Shape("EOF after all", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
          body=b"hi", again=False, eof=True, rows=(183,)),
    Shape("EOF as the end", b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nto\r\n\r\nthe end",
          body=b"to\r\n\r\nthe end", again=False, eof=True, rows=(184,)),
    Shape("EOF as the end of nothing", b"HTTP/1.1 200 OK\r\n\r\n",
          again=False, eof=True, rows=(184,)),
    # Interim responses
    Shape("100, 102 and 103",
          b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nA: b\r\n\r\n"
          b"\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\nLink: </y>\r\n\r\n" + EMPTY,
          interim=[Interim(100, []), Interim(102, [(b"A", b"b")]),
                   Interim(103, [(b"Link", b"</x>"), (b"Link", b"</y>")])],
          rows=(187,), h11="the empty line, as above", http_client=NO_1XX),
    Shape("1xx with a length and close",
          b"HTTP/1.1 103 x\r\nContent-Length: 5\r\nConnection: close\r\n\r\n" + EMPTY,
          interim=[
              Interim(103, [(b"Content-Length", b"5"), (b"Connection", b"close")])
          ],
          rows=(187, 188), http_client=NO_1XX),
    Shape("1xx with a coding",
          b"HTTP/1.1 100 x\r\nTransfer-Encoding: chunked\r\n\r\n" + EMPTY,
          interim=[Interim(100, [(b"Transfer-Encoding", b"chunked")])],
          rows=(187, 188)),
    Shape("101 that nobody asked for",
          b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", None,
          error=InvalidResponseError, again=False, rows=(187,), http_client=NO_1XX),
    # No body
    bodyless("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5", 200, method=b"HEAD"),
    bodyless("HEAD, chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", 200,
             method=b"HEAD"),
    bodyless("HEAD without framing", b"HTTP/1.1 200 OK", 200, method=b"HEAD"),
    bodyless("HEAD with a bad length", b"HTTP/1.1 200 OK\r\nContent-Length: x", 200,
             method=b"HEAD", h11="9112 6.3 step 1 comes before the length"),
    bodyless("HEAD with a 404", b"HTTP/1.1 404 No\r\nContent-Length: 5", 404,
             method=b"HEAD"),
    bodyless("204", b"HTTP/1.1 204 No Content", 204),
    bodyless("204 with length 0", b"HTTP/1.1 204 No Content\r\nContent-Length: 0", 204),
    bodyless("204 with a length", b"HTTP/1.1 204 No Content\r\nContent-Length: 5", 204,
             again=False, h11="9110 8.6: it must not have one, so a body may follow"),
    bodyless("204 with a coding", b"HTTP/1.1 204 x\r\nTransfer-Encoding: chunked", 204,
             again=False, h11="9112 6.1: it must not have one, so a body may follow",
             http_client="9112 6.3 step 1: it has no body"),
    bodyless("304", b"HTTP/1.1 304 Not Modified", 304),
    bodyless("304 with a length", b"HTTP/1.1 304 x\r\nContent-Length: 5", 304),
    Shape("205 with a body", b"HTTP/1.1 205 x\r\nContent-Length: 2\r\n\r\nhi", 205,
          body=b"hi", rows=(188,)),
    # CONNECT that is refused; what happens if it is not is below
    Shape("CONNECT refused", b"HTTP/1.1 407 x\r\nContent-Length: 2\r\n\r\nhi", 407,
          body=b"hi", method=b"CONNECT", rows=(189,)),
    Shape("CONNECT sent elsewhere", b"HTTP/1.1 300 x\r\nContent-Length: 2\r\n\r\nhi",
          300, body=b"hi", method=b"CONNECT", rows=(189,)),
    # Connection
    *(
        Shape("connection " + repr(line)[1:],
              b"HTTP/1.1 200 OK\r\n" + line + b"\r\nContent-Length: 2\r\n\r\nhi",
              body=b"hi", again=False, rows=(190,))
        for line in (b"Connection: close", b"connection: CLOSE",
                     b"Connection: a, Close ,b", b"Connection: a\r\nConnection: close",
                     b"Connection: keep-alive, close")
    ),
    *(
        Shape("connection " + repr(line)[1:],
              b"HTTP/1.1 200 OK\r\n" + line + b"\r\nContent-Length: 2\r\n\r\nhi",
              body=b"hi", rows=(190,))
        for line in (b"Connection: keep-alive", b"Connection: closed", b"Connection:",
                     b"Connection: \"close\"", b"Proxy-Connection: close")
    ),
    Shape("HTTP/1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", body=b"hi",
          again=False, rows=(190,)),
    Shape("HTTP/1.0 that keeps alive",
          b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nhi",
          body=b"hi", rows=(190,),
          h11="9112 9.3 lets us honour it; h11 chose not to"),
    Shape("HTTP/1.0 that keeps alive and does not",
          b"HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\n"
          b"Content-Length: 2\r\n\r\nhi",
          body=b"hi", again=False, rows=(190,)),
    Shape("keep-alive without an end",
          b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\nhi", body=b"hi",
          again=False, eof=True, rows=(190,)),
    Shape("close was asked for", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
          body=b"hi", again=False, asking=[(b"Connection", b"Close")], rows=(190,)),
]  # fmt: skip


def marked(shapes: list[Shape]) -> list[object]:
    return [
        pytest.param(shape, id=shape.name, marks=[scenario(row) for row in shape.rows])
        for shape in shapes
    ]


def read(shape: Shape, how: str) -> tuple[H11Protocol, Stream]:
    protocol = H11Protocol()
    stream = start(protocol, shape.method, shape.asking)
    deliver(protocol, shape.data, how)
    if shape.eof:
        protocol.receive_eof(True)
    return protocol, stream


def check(shape: Shape, stream: Stream) -> None:
    assert type(stream.error) is (shape.error or type(None))
    assert stream.ended is (shape.error is None)
    assert stream.status == shape.status
    assert body_of(stream) == shape.body
    assert stream.trailers == shape.trailers
    assert stream.informational == shape.interim
    assert shape.fields is None or stream.headers == shape.fields
    assert shape.reason is None or stream.reason == shape.reason


@pytest.mark.parametrize("how", ["whole", "byte by byte"])
@pytest.mark.parametrize("shape", marked(SHAPES))
def test_a_response_is_the_same_however_it_arrives(shape: Shape, how: str) -> None:
    protocol, stream = read(shape, how)
    check(shape, stream)
    assert protocol.accepting is shape.again
    assert protocol.free_places == int(shape.again)
    assert protocol.finished is not shape.again
    assert protocol.open_streams == 0
    assert protocol.failure is stream.error


@scenario(185)
@pytest.mark.parametrize("shape", marked([s for s in SHAPES if not s.eof]))
def test_bytes_after_a_response_end_the_connection_and_leave_the_response_good(
    shape: Shape,
) -> None:
    protocol, stream = read(shape, "with trailing bytes")
    check(shape, stream)
    assert protocol.finished
    assert not protocol.accepting


@settings(deadline=None)
@given(shape=st.sampled_from(SHAPES), cuts=st.lists(st.integers(0, 400), max_size=9))
def test_any_split_of_the_wire_gives_the_same_stream(
    shape: Shape, cuts: list[int]
) -> None:
    protocol = H11Protocol()
    stream = start(protocol, shape.method, shape.asking)
    edges = sorted({0, len(shape.data), *(cut % (len(shape.data) + 1) for cut in cuts)})
    for first, last in itertools.pairwise(edges):
        protocol.receive_data(shape.data[first:last])
    if shape.eof:
        protocol.receive_eof(True)
    check(shape, stream)
    assert protocol.accepting is shape.again


# The oracles


@dataclass
class Reading:
    """What a parser made of the bytes, as far as all parsers say it."""

    status: int | None = None
    fields: Fields = field(default_factory=list)
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    interim: list[Interim] = field(default_factory=list)
    failed: bool = False
    again: bool = False


def hyper_reads(shape: Shape) -> Reading:
    protocol, stream = read(shape, "whole")
    return Reading(
        stream.status, stream.headers, body_of(stream), stream.trailers,
        stream.informational, stream.error is not None, protocol.accepting,
    )  # fmt: skip


def h11_events(connection: h11.Connection) -> Iterator[h11.Event]:
    while True:
        event = connection.next_event()
        if event in (h11.NEED_DATA, h11.PAUSED):
            return
        assert isinstance(event, h11.Event)
        yield event
        if isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
            return


def h11_reads(shape: Shape) -> Reading:
    connection = h11.Connection(h11.CLIENT)
    target = "example.com:80" if shape.method == b"CONNECT" else "/"
    headers = [(b"Host", b"example.com"), *shape.asking]
    connection.send(h11.Request(method=shape.method, target=target, headers=headers))
    connection.send(h11.EndOfMessage())
    reading = Reading()
    try:
        connection.receive_data(shape.data)
        take_h11(connection, reading)
        if shape.eof:
            connection.receive_data(b"")
            take_h11(connection, reading)
    except h11.RemoteProtocolError:
        reading.failed = True
    reading.again = (
        connection.our_state is connection.their_state is h11.DONE and not shape.eof
    )
    return reading


def take_h11(connection: h11.Connection, reading: Reading) -> None:
    for event in h11_events(connection):
        if isinstance(event, h11.InformationalResponse):
            fields = list(event.headers.raw_items())
            reading.interim.append(Interim(event.status_code, fields))
        elif isinstance(event, h11.Response):
            reading.status = event.status_code
            reading.fields = list(event.headers.raw_items())
        elif isinstance(event, h11.Data):
            reading.body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            reading.trailers = list(event.headers.raw_items())


@pytest.mark.parametrize("shape", marked(SHAPES))
def test_h11_reads_the_same_unless_the_table_says_why_not(shape: Shape) -> None:
    ours, theirs = hyper_reads(shape), h11_reads(shape)
    if shape.h11:
        assert ours != theirs
    else:
        assert ours == theirs


class FakeSocket:
    """As much of a socket as http.client wants of one that has ended."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self.data)


def http_client_reads(shape: Shape) -> Reading:
    reading = Reading()
    method = shape.method.decode()
    response = http.client.HTTPResponse(FakeSocket(shape.data), method=method)  # type: ignore[arg-type]
    try:
        response.begin()
        reading.status = response.status
        reading.fields = [
            (name.encode("latin-1"), value.strip(" \t").encode("latin-1"))
            for name, value in response.getheaders()
        ]
        reading.body = response.read()
    except http.client.IncompleteRead as error:
        reading.body, reading.failed = error.partial, True
    except (http.client.HTTPException, ConnectionError, ValueError, OverflowError):
        reading.failed = True
    response.close()
    return reading


@pytest.mark.parametrize("shape", marked(SHAPES))
def test_http_client_reads_the_same_unless_the_table_says_why_not(shape: Shape) -> None:
    """It knows no trailers and no 1xx, and its errors leave less behind.

    A disagreement may go away: security releases of Python make it stricter.
    """
    ours, theirs = hyper_reads(shape), http_client_reads(shape)
    alike = ours.failed == theirs.failed and (
        ours.failed
        or (ours.status, ours.fields, ours.body)
        == (theirs.status, theirs.fields, theirs.body)
    )
    assert alike or shape.http_client


# The request


def test_a_request_begins_with_its_line_and_host_and_keeps_its_fields_as_given() -> (
    None
):
    protocol = H11Protocol()
    fields = [(b"b", b"1"), (b"A", b""), (b"B", b"2"), (b"content-LENGTH", b"3")]
    stream = protocol.open(
        request(b"POST", fields, 3, b"/p?q=r", b"example.com:81"), False
    )
    assert protocol.data_to_send() == (
        b"POST /p?q=r HTTP/1.1\r\nHost: example.com:81\r\n"
        b"b: 1\r\nA: \r\nB: 2\r\ncontent-LENGTH: 3\r\n\r\n"
    )
    assert (stream.stream_id, stream.method, stream.sent) == (1, b"POST", False)
    assert protocol.data_to_send() == b""


def test_options_may_ask_for_the_server_itself() -> None:
    protocol = H11Protocol()
    protocol.open(request(b"OPTIONS", target=b"*"), True)
    assert protocol.data_to_send().startswith(b"OPTIONS * HTTP/1.1\r\nHost: example")


def test_connect_asks_for_the_authority() -> None:
    protocol = H11Protocol()
    protocol.open(request(b"CONNECT", authority=b"[::1]:443", target=b"/x"), True)
    assert protocol.data_to_send() == (
        b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n"
    )


def test_h11_understands_the_requests() -> None:
    protocol, server = H11Protocol(), h11.Connection(h11.SERVER)
    stream = protocol.open(request(b"PUT", [(b"A", b"b")], None, b"/x?y"), False)
    for piece in (b"one", b"", b"twenty-two bytes of it"):
        protocol.send_data(stream, piece, False)
    protocol.send_data(stream, b"end", True)
    server.receive_data(protocol.data_to_send())
    got = list(h11_events(server))
    assert isinstance(got[0], h11.Request)
    assert (got[0].method, got[0].target) == (b"PUT", b"/x?y")
    assert got[0].headers.raw_items() == [
        (b"Host", b"example.com"), (b"A", b"b"), (b"Transfer-Encoding", b"chunked"),
    ]  # fmt: skip
    body = [bytes(event.data) for event in got if isinstance(event, h11.Data)]
    assert b"".join(body) == b"onetwenty-two bytes of itend"
    assert isinstance(got[-1], h11.EndOfMessage)


def test_a_body_of_unknown_size_goes_out_in_chunks() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=None)
    protocol.send_data(stream, b"x" * 31, False)
    protocol.send_data(stream, b"", False)
    assert protocol.data_to_send() == b"1f\r\n" + b"x" * 31 + b"\r\n"
    protocol.send_data(stream, b"", True)
    assert protocol.data_to_send() == b"0\r\n\r\n"
    assert stream.sent


def test_a_chunked_request_may_have_no_body() -> None:
    protocol = H11Protocol()
    stream = protocol.open(request(b"POST", body_length=None), True)
    head = b"POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert protocol.data_to_send() == head + b"0\r\n\r\n"
    assert stream.sent


@scenario(217)
def test_a_sized_body_goes_out_as_it_is_and_once() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=5)
    protocol.send_data(stream, b"he", False)
    assert protocol.data_to_send() == b"he"
    protocol.send_data(stream, b"", False)
    protocol.send_data(stream, b"llo", False)
    assert not stream.sent
    protocol.send_data(stream, b"", True)
    assert stream.sent
    assert protocol.data_to_send() == b"llo"
    assert protocol.data_to_send() == b""


def test_an_empty_body_may_be_ended_later() -> None:
    protocol = H11Protocol()
    stream = protocol.open(request(b"POST"), False)
    protocol.send_data(stream, b"", True)
    assert stream.sent


@pytest.mark.parametrize(
    ("data", "end", "message"),
    [
        (b"abcdef", False, "the request body is 1 bytes longer than its declared"),
        (b"abcdef", True, "the request body is 1 bytes longer than its declared"),
        (b"abc", True, "the request body ended 2 bytes before its declared"),
    ],
)
def test_a_body_of_another_length_than_declared_is_refused_and_ends_the_connection(
    data: bytes, end: bool, message: str
) -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=5)
    with pytest.raises(LocalProtocolError, match=message) as refused:
        protocol.send_data(stream, data, end)
    assert protocol.data_to_send() == b""
    assert isinstance(stream.error, LocalProtocolError)
    assert not refused.value.retry_safe  # the head had been sent
    assert not stream.error.retry_safe
    assert stream.error.__traceback__ is None
    assert protocol.finished
    assert not protocol.accepting
    assert protocol.failure is None  # nobody else did anything wrong


def test_a_body_that_is_wrong_before_anything_was_sent_can_be_sent_again() -> None:
    protocol = H11Protocol()
    stream = protocol.open(request(b"POST", body_length=1), False)
    with pytest.raises(LocalProtocolError) as refused:
        protocol.send_data(stream, b"ab", True)
    assert refused.value.retry_safe
    assert protocol.data_to_send() == b""


def test_a_body_that_never_comes_is_refused_before_anything_is_queued() -> None:
    protocol = H11Protocol()
    with pytest.raises(LocalProtocolError, match="ended 5 bytes before"):
        protocol.open(request(b"POST", body_length=5), True)
    assert protocol.data_to_send() == b""
    assert protocol.free_places == 1
    assert protocol.next_stream_id == 1


def test_a_request_cannot_be_sent_on_after_its_end() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    with pytest.raises(LocalProtocolError, match="request on stream 1 is complete"):
        protocol.send_data(stream, b"x", False)
    protocol.receive_data(EMPTY)
    with pytest.raises(LocalProtocolError, match="request on stream 1 is complete"):
        protocol.send_data(stream, b"x", False)
    assert protocol.data_to_send() == b""
    assert protocol.free_places == 1


def test_there_is_always_room_for_a_piece_of_body() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=None)
    assert protocol.sendable(stream) == 65536
    protocol.receive_eof(True)
    assert protocol.sendable(stream) == 65536


# One exchange after another


@scenario(192)
def test_a_second_request_waits_for_the_end_of_the_first() -> None:
    protocol = H11Protocol()
    assert (protocol.accepting, protocol.free_places, protocol.open_streams) == (
        True, 1, 0,
    )  # fmt: skip
    first = start(protocol)
    assert (protocol.accepting, protocol.free_places, protocol.open_streams) == (
        True, 0, 1,
    )  # fmt: skip
    with pytest.raises(LocalProtocolError, match="takes no further request"):
        protocol.open(request(), True)
    assert protocol.data_to_send() == b""
    protocol.receive_data(EMPTY)
    assert first.ended
    second = start(protocol)
    assert (first.stream_id, second.stream_id, protocol.next_stream_id) == (1, 2, 3)
    protocol.receive_data(EMPTY)
    assert second.ended


def test_many_exchanges_leave_nothing_of_one_another() -> None:
    protocol = H11Protocol(next_stream_id=7)
    for number in range(20):
        stream = start(protocol)
        body = b"x" * number
        protocol.receive_data(b"HTTP/1.1 103 x\r\n\r\n" * 8)
        protocol.receive_data(CHUNKED + b"%x\r\n%b\r\n" % (number or 1, body or b"y"))
        protocol.receive_data(b"0\r\nNumber: %d\r\n\r\n" % number)
        assert stream.stream_id == 7 + number
        assert len(stream.informational) == 8
        assert body_of(stream) == (body or b"y")
        assert stream.trailers == [(b"Number", b"%d" % number)]


def test_the_version_of_the_latest_response_is_known() -> None:
    protocol = H11Protocol()
    assert protocol.version is HTTPVersion.http11
    assert protocol.response_version == "HTTP/1.1"
    start(protocol)
    protocol.receive_data(
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"
    )
    assert protocol.response_version == "HTTP/1.0"
    start(protocol)
    protocol.receive_data(b"HTTP/1.7 204 No\r\n\r\n")
    assert protocol.response_version == "HTTP/1.1"


@scenario(190)
def test_who_asks_to_close_gets_no_second_place_from_the_start() -> None:
    protocol = H11Protocol()
    stream = protocol.open(request(headers=[(b"Connection", b"close")]), True)
    assert not protocol.accepting
    assert EVERYONE in protocol.touched
    assert protocol.data_to_send()
    assert not protocol.finished
    protocol.receive_data(EMPTY)
    assert stream.ended
    assert protocol.finished


@scenario(190)
def test_the_server_may_say_close_before_the_body_has_come() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nh"
    )
    assert not protocol.accepting
    assert not protocol.finished
    assert EVERYONE in protocol.touched
    protocol.receive_data(b"i")
    assert body_of(stream) == b"hi"
    assert protocol.finished


@scenario(185)
@scenario(186)
@pytest.mark.parametrize(
    "data", [POISON, b"\r\n", b"H", b"HTTP/1.1 408 Request Timeout\r\n\r\n"]
)
def test_bytes_that_nobody_asked_for_end_an_idle_connection_without_noise(
    data: bytes,
) -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(EMPTY)
    protocol.touched.clear()
    protocol.receive_data(data)
    assert protocol.finished
    assert not protocol.accepting
    assert protocol.free_places == 0
    assert protocol.failure is None
    assert stream.error is None
    assert EVERYONE in protocol.touched


@scenario(185)
@scenario(186)
def test_bytes_that_come_before_the_request_has_left_are_no_answer_to_it() -> None:
    """They arrived while the connection was idle: 408, or a planted response."""
    protocol = H11Protocol()
    stream = protocol.open(request(), True)
    protocol.receive_data(POISON)
    assert type(stream.error) is RemoteProtocolError
    assert stream.error.retry_safe
    assert str(stream.error).startswith("server answered before it was asked: b'HTTP/")
    assert stream.status is None
    assert protocol.finished
    assert protocol.data_to_send() == b""


@scenario(182)
def test_a_request_that_never_left_can_be_sent_again() -> None:
    protocol = H11Protocol()
    stream = protocol.open(request(b"POST"), True)
    protocol.receive_eof(True)
    assert isinstance(stream.error, ConnectionLost)
    assert stream.error.retry_safe


@scenario(182)
def test_a_request_that_left_is_not_known_to_be_safe_to_repeat() -> None:
    protocol = H11Protocol()
    start(protocol)
    protocol.receive_data(EMPTY)
    stream = start(protocol, b"DELETE")
    protocol.receive_eof(True)
    assert isinstance(stream.error, ConnectionLost)
    assert not stream.error.retry_safe
    assert str(stream.error) == (
        "server closed the connection without answering DELETE on stream 2"
    )


@pytest.mark.parametrize("clean", [True, False])
def test_the_end_of_an_idle_connection_is_no_failure(clean: bool) -> None:
    protocol = H11Protocol()
    protocol.receive_eof(clean)
    assert protocol.finished
    assert not protocol.accepting
    assert protocol.failure is None
    assert protocol.touched == {EVERYONE}


# Uploads


@scenario(191)
@scenario(218)
def test_a_response_may_come_before_the_request_is_complete() -> None:
    """If the rest is sent the connection can be used again."""
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=None)
    protocol.receive_data(b"HTTP/1.1 413 Too large\r\nContent-Length: 2\r\n\r\nno")
    assert (stream.status, stream.ended, stream.sent) == (413, True, False)
    assert body_of(stream) == b"no"
    assert (protocol.accepting, protocol.free_places, protocol.open_streams) == (
        True, 0, 1,
    )  # fmt: skip
    protocol.send_data(stream, b"rest", True)
    assert protocol.data_to_send() == b"4\r\nrest\r\n0\r\n\r\n"
    assert protocol.free_places == 1
    assert not protocol.finished


@scenario(191)
def test_an_upload_that_is_given_up_after_its_response_ends_the_connection() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=None)
    protocol.receive_data(EMPTY)
    protocol.reset(stream, LocalProtocolError("no more"), CANCEL)
    assert stream.ended
    assert stream.error is None
    assert protocol.finished
    protocol.send_data(stream, b"rest", True)
    assert protocol.data_to_send() == b""


@scenario(191)
def test_a_server_that_answers_and_closes_does_not_get_the_rest() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=None)
    protocol.send_data(stream, b"some", False)
    protocol.receive_data(
        b"HTTP/1.1 413 x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"
    )
    assert stream.ended
    assert protocol.finished
    assert protocol.data_to_send() == b""
    protocol.send_data(stream, b"rest", True)
    assert stream.error is None
    assert protocol.data_to_send() == b""


@scenario(219)
def test_a_server_that_closes_after_an_early_response_harms_only_the_connection() -> (
    None
):
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=9)
    protocol.receive_data(EMPTY)
    protocol.receive_eof(True)
    assert stream.ended
    assert stream.error is None
    assert protocol.finished
    assert protocol.failure is None


@scenario(185)
@scenario(191)
def test_bytes_after_an_early_response_end_the_connection() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=9)
    protocol.receive_data(EMPTY)
    protocol.receive_data(POISON)
    assert stream.ended
    assert stream.error is None
    assert protocol.finished


@scenario(219)
def test_a_server_that_closes_during_an_upload_has_not_answered() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"PUT", body_length=9)
    protocol.send_data(stream, b"four", False)
    protocol.receive_eof(True)
    assert type(stream.error) is ConnectionLost
    assert not stream.error.retry_safe
    assert stream.error is protocol.failure
    protocol.send_data(stream, b" more", True)
    assert protocol.data_to_send() == b""


# Bodies


def test_a_chunk_is_one_piece_if_it_comes_in_one() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(CHUNKED + b"3\r\none\r\n3\r\ntwo\r\n5\r\nth")
    assert list(stream.chunks) == [b"one", b"two", b"th"]
    protocol.receive_data(b"ree\r\n0\r\n\r\n")
    assert list(stream.chunks) == [b"one", b"two", b"th", b"ree"]
    assert stream.buffered == 11
    assert stream.ended


def test_a_sized_body_is_handed_on_as_it_arrived() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
    piece = b"cdefg"
    protocol.receive_data(piece)
    assert stream.chunks[-1] is piece  # not copied
    protocol.receive_data(b"hi")
    assert list(stream.chunks) == [b"ab", b"cdefg", b"hi"]
    assert stream.ended


@scenario(180)
def test_a_chunk_that_is_too_long_is_an_error_as_soon_as_that_is_known() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(CHUNKED + b"2\r\nhi\r")
    assert stream.error is None
    protocol.receive_data(b"x")
    assert isinstance(stream.error, ChunkedDecodeError)


@scenario(184)
def test_a_body_without_length_is_known_to_be_the_last_before_it_ends() -> None:
    protocol = H11Protocol()
    start(protocol)
    protocol.receive_data(b"HTTP/1.1 200 OK\r\n\r\n")
    assert not protocol.accepting
    assert EVERYONE in protocol.touched
    assert not protocol.finished


@scenario(161)
def test_a_huge_length_reserves_nothing() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nx" % 2**63)
    protocol.receive_eof(True)
    assert isinstance(stream.error, IncompleteRead)
    assert stream.error.expected == 2**63 - 1


@scenario(183)
@pytest.mark.parametrize(
    ("data", "expected", "message"),
    [
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
            4,
            "server closed the connection within the body on stream 1, "
            "4 bytes or more before its end",
        ),
        (
            CHUNKED + b"5\r\nhello\r\n9\r\n",
            9,
            "server closed the connection within the body on stream 1, "
            "9 bytes or more before its end",
        ),
        (
            CHUNKED + b"5\r\nhello\r\n",
            None,
            "server closed the connection within the body on stream 1",
        ),
    ],
)
def test_a_body_cut_short_says_how_much_was_announced(
    data: bytes, expected: int | None, message: str
) -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(data)
    protocol.receive_eof(True)
    assert isinstance(stream.error, IncompleteRead)
    assert stream.error.expected == expected
    assert str(stream.error) == message
    assert body_of(stream) == b"hello"
    assert not stream.ended


@scenario(184)
def test_a_body_without_length_needs_an_end_that_tls_confirms() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(b"HTTP/1.1 200 OK\r\n\r\nall of")
    protocol.receive_eof(False)
    assert isinstance(stream.error, IncompleteRead)
    assert "without TLS's close_notify" in str(stream.error)
    assert body_of(stream) == b"all of"
    assert not stream.ended


@scenario(184)
@scenario(219)
def test_a_connection_that_breaks_in_a_body_leaves_what_came() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(b"HTTP/1.1 200 OK\r\n\r\nall of")
    broken = ConnectionLost("connection reset")
    protocol.fail(broken)
    assert stream.error is broken
    assert body_of(stream) == b"all of"
    assert protocol.failure is broken
    assert protocol.finished


# Other protocols


@scenario(189)
@pytest.mark.parametrize(
    "fields", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
               b"Content-Length: x\r\n", b"Connection: keep-alive\r\n"]
)  # fmt: skip
@pytest.mark.parametrize("how", ["whole", "byte by byte"])
def test_a_tunnel_begins_at_the_empty_line_whatever_the_fields_say(
    fields: bytes, how: str
) -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"CONNECT")
    deliver(protocol, b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\nHTTP/1.1 raw", how)
    assert (stream.status, stream.ended, stream.error) == (200, False, None)
    assert not protocol.accepting
    assert not protocol.finished
    assert b"".join(stream.chunks) == b"\r\nHTTP/1.1 raw"
    protocol.receive_data(b"more")
    protocol.receive_eof(False)
    assert stream.ended
    assert protocol.finished
    assert protocol.failure is None
    assert b"".join(stream.chunks) == b"\r\nHTTP/1.1 rawmore"


def test_what_is_sent_through_a_tunnel_goes_as_it_is() -> None:
    protocol = H11Protocol()
    asked = request(b"CONNECT", authority=b"a.test:443", body_length=None)
    stream = protocol.open(asked, False)
    assert protocol.data_to_send() == (
        b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n"
    )
    protocol.receive_data(b"HTTP/1.1 200 OK\r\n\r\n")
    protocol.send_data(stream, b"\x16\x03", False)
    protocol.send_data(stream, b"more", False)
    assert protocol.data_to_send() == b"\x16\x03more"
    protocol.send_data(stream, b"", True)
    assert protocol.data_to_send() == b""
    assert not protocol.finished, "the other direction is still open"
    protocol.receive_data(b"answer")
    protocol.receive_eof(True)
    assert (b"".join(stream.chunks), stream.ended) == (b"answer", True)
    assert protocol.finished


@scenario(189)
def test_nothing_is_sent_through_a_tunnel_that_is_not_open() -> None:
    protocol = H11Protocol()
    asked = request(b"CONNECT", authority=b"a.test:443", body_length=None)
    stream = protocol.open(asked, False)
    protocol.data_to_send()
    with pytest.raises(LocalProtocolError, match="not open"):
        protocol.send_data(stream, b"GET / HTTP/1.1\r\n\r\n", False)
    protocol.receive_data(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(LocalProtocolError, match="not open"):
        protocol.send_data(stream, b"GET / HTTP/1.1\r\n\r\n", False)
    assert protocol.data_to_send() == b""


def test_http11_has_no_connect_with_a_protocol() -> None:
    protocol = H11Protocol()
    with pytest.raises(LocalProtocolError, match=r"HTTP/1\.1 has no CONNECT"):
        protocol.open(request(b"CONNECT", protocol=b"websocket"), False)
    assert protocol.data_to_send() == b""
    assert protocol.free_places == 1


@scenario(187)
@pytest.mark.parametrize("how", ["whole", "byte by byte"])
def test_a_switch_that_was_asked_for_is_the_response(how: str) -> None:
    protocol = H11Protocol()
    stream = start(protocol, headers=UPGRADE)
    head = b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n"
    deliver(protocol, b"HTTP/1.1 100 Continue\r\n\r\n" + head + b"\0\0\0\x04", how)
    assert (stream.status, stream.ended, stream.error) == (101, True, None)
    assert stream.headers == [(b"Upgrade", b"h2c")]
    assert stream.informational == [Interim(100, [])]
    assert protocol.switched
    assert not protocol.accepting
    assert protocol.take_leftover() == b"\0\0\0\x04"


def test_a_switch_that_is_declined_is_an_ordinary_response() -> None:
    protocol = H11Protocol()
    stream = start(protocol, headers=UPGRADE)
    protocol.receive_data(EMPTY)
    assert stream.status == 200
    assert not protocol.switched
    assert protocol.take_leftover() == b""
    assert protocol.free_places == 1
    assert protocol.data_to_send() == b""


def test_a_request_is_completed_in_http_even_if_the_switch_comes_early() -> None:
    """RFC 9110 7.8: the new protocol begins when the request has been sent."""
    protocol = H11Protocol()
    stream = start(protocol, b"POST", UPGRADE, body_length=4)
    protocol.receive_data(b"HTTP/1.1 101 Switching\r\n\r\nnew")
    assert stream.ended
    assert protocol.open_streams == 1
    protocol.send_data(stream, b"body", True)
    assert protocol.data_to_send() == b"body"
    assert protocol.open_streams == 0
    assert protocol.switched
    assert protocol.take_leftover() == b"new"


def test_a_tunnel_that_nobody_reads_makes_the_peer_wait() -> None:
    protocol = H11Protocol(limits=Limits(high_water=80))
    stream = start(protocol, b"CONNECT")
    protocol.receive_data(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 9)
    assert not protocol.paused
    protocol.receive_data(b"x" * 7)
    assert protocol.paused
    stream.chunks.clear()
    protocol.consumed(stream, 16)
    assert not protocol.paused


def test_another_protocol_that_nobody_takes_makes_the_peer_wait() -> None:
    protocol = H11Protocol(limits=Limits(high_water=10))
    start(protocol, headers=UPGRADE)
    protocol.receive_data(b"HTTP/1.1 101 Switching\r\n\r\n" + b"x" * 9)
    assert not protocol.paused
    protocol.receive_data(b"x")
    assert protocol.paused
    protocol.take_leftover()
    assert not protocol.paused


# Limits

LIMITS = Limits(
    max_line=100,
    max_fields=5,
    max_header_bytes=200,
    max_trailer_bytes=120,
    max_chunk_line=20,
    max_interim=2,
    max_interim_bytes=150,
)
OK = b"HTTP/1.1 204 No\r\n"  # 17 bytes


@scenario(174)
@pytest.mark.parametrize("how", ["whole", "byte by byte"])
@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(OK + b"A:" + b"b" * 97 + b"\r\n\r\n", None, id="line"),
        pytest.param(
            OK + b"A:" + b"b" * 98 + b"\r\n\r\n", LineTooLongError, id="line+"
        ),
        pytest.param(OK + b"A: b\r\n" * 5 + b"\r\n", None, id="fields"),
        pytest.param(OK + b"A: b\r\n" * 6 + b"\r\n", LineTooLongError, id="fields+"),
        pytest.param(
            OK + (b"A:" + b"b" * 88 + b"\r\n") * 2 + b"\n", LineTooLongError, id="head+"
        ),
        pytest.param(
            OK + b"A:" + b"b" * 87 + b"\r\nA:" + b"b" * 88 + b"\r\n\n", None, id="head"
        ),
        pytest.param(OK + b"A:" + b"b" * 300, LineTooLongError, id="no end of line"),
        pytest.param(OK + b"A: b\r\n" * 60, LineTooLongError, id="no end of fields"),
        pytest.param(
            OK[:-6] + b"x" * 101 + b"\r\n\r\n", LineTooLongError, id="reason+"
        ),
        pytest.param(
            CHUNKED + b"1;" + b"x" * 16 + b"\r\nx\r\n0\r\n\r\n", None, id="ext"
        ),
        pytest.param(
            CHUNKED + b"1;" + b"x" * 17 + b"\r\nx\r\n0\r\n\r\n",
            LineTooLongError,
            id="ext+",
            marks=scenario(179),
        ),
        pytest.param(
            CHUNKED + b"1;" + b"x" * 60,
            LineTooLongError,
            id="no end of an extension",
            marks=scenario(179),
        ),
        pytest.param(
            CHUNKED + b"0\r\n" + b"A: b\r\n" * 5 + b"\r\n", None, id="trailers"
        ),
        pytest.param(
            CHUNKED + b"0\r\n" + b"A: b\r\n" * 6 + b"\r\n",
            LineTooLongError,
            id="trailers+",
            marks=scenario(181),
        ),
        pytest.param(
            CHUNKED + b"0\r\n" + (b"A:" + b"b" * 60 + b"\r\n") * 2 + b"\r\n",
            LineTooLongError,
            id="trailer bytes+",
            marks=scenario(181),
        ),
        pytest.param(
            CHUNKED + b"0\r\n" + b"A: b\r\n" * 60,
            LineTooLongError,
            id="no end of trailers",
            marks=scenario(181),
        ),
        pytest.param(
            b"HTTP/1.1 103 x\r\n\r\n" * 2 + OK + b"\r\n",
            None,
            id="interim",
            marks=scenario(187),
        ),
        pytest.param(
            b"HTTP/1.1 103 x\r\n\r\n" * 3 + OK + b"\r\n",
            RemoteProtocolError,
            id="interim+",
            marks=scenario(187),
        ),
        pytest.param(
            (b"HTTP/1.1 103 x\r\nA:" + b"b" * 60 + b"\r\n\r\n") * 2 + OK + b"\r\n",
            RemoteProtocolError,
            id="interim bytes+",
            marks=scenario(187),
        ),
    ],
)
def test_what_is_longer_than_its_limit_is_an_error(
    data: bytes, error: type[HyperError] | None, how: str
) -> None:
    protocol = H11Protocol(limits=LIMITS)
    stream = start(protocol)
    deliver(protocol, data, how)
    assert type(stream.error) is (error or type(None))
    assert stream.ended is (error is None)
    assert protocol.finished is (error is not None)


@scenario(174)
def test_the_limits_leave_room_for_what_servers_send() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    cookies = b"Set-Cookie: " + b"x" * 1000 + b"\r\n"
    deliver(protocol, OK + cookies * 250 + b"\r\n", "byte by byte")
    assert stream.ended
    assert len(stream.headers) == 250


# Back-pressure


def test_a_slow_reader_makes_the_server_wait() -> None:
    protocol = H11Protocol(limits=Limits(high_water=1000, queued_high_water=5000))
    stream = start(protocol)
    protocol.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
    assert not protocol.paused
    protocol.receive_data(b"x" * 1000)
    assert protocol.paused
    stream.chunks.clear()
    stream.buffered = 0
    assert protocol.paused  # taken, and not yet consumed
    protocol.consumed(stream, 600)
    assert not protocol.paused
    protocol.receive_data(b"x" * 600)
    assert protocol.paused
    assert stream.buffered == 600


def test_a_slow_reader_holds_up_the_queue_only_beyond_a_higher_mark() -> None:
    protocol = H11Protocol(limits=Limits(high_water=1000, queued_high_water=5000))
    start(protocol)
    protocol.receive_data(
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + b"x" * 4000
    )
    assert protocol.paused
    protocol.queue.append("next")
    assert not protocol.paused
    protocol.receive_data(b"x" * 1000)
    assert protocol.paused


def test_small_chunks_count_for_the_memory_that_they_take() -> None:
    protocol = H11Protocol(limits=Limits(high_water=1000))
    start(protocol)
    protocol.receive_data(CHUNKED + b"2\r\nxx\r\n" * 16)
    assert protocol.paused


def test_an_unread_response_that_is_complete_does_not_hold_up_the_next() -> None:
    protocol = H11Protocol(limits=Limits(high_water=10))
    first = start(protocol)
    protocol.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + b"x" * 99)
    assert first.ended
    assert not protocol.paused
    start(protocol)
    protocol.consumed(first, 99)
    protocol.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + b"x" * 10)
    assert protocol.paused


# Who is woken


def test_every_change_of_a_stream_touches_it() -> None:
    protocol = H11Protocol()
    stream = start(protocol)

    def touches(data: bytes) -> bool:
        protocol.touched.clear()
        protocol.receive_data(data)
        return protocol.touched - {HEADS} == {stream}

    assert not touches(b"HTTP/1.1 103 x\r\n\r")
    assert touches(b"\n")
    assert not touches(CHUNKED[:-1])
    assert touches(b"\n")
    assert not touches(b"3\r\n")
    assert touches(b"a")
    assert touches(b"bc")
    assert not touches(b"\r\n0\r\nA: b\r\n")
    assert touches(b"\r\n")


def test_a_place_that_comes_free_touches_the_first_of_the_queue() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.queue.extend(["first", "second"])
    protocol.receive_data(EMPTY)
    assert protocol.touched == {stream, HEADS, "first"}


def test_a_place_that_an_upload_leaves_touches_the_first_of_the_queue() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=2)
    protocol.queue.append("first")
    protocol.receive_data(EMPTY)
    assert "first" not in protocol.touched
    protocol.send_data(stream, b"hi", True)
    assert "first" in protocol.touched


def test_a_failure_touches_everyone() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(b"nonsense")
    assert protocol.touched == {stream, HEADS, EVERYONE}


# The end


def test_a_failed_connection_does_nothing_more() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    broken = ConnectionLost("connection reset")
    protocol.fail(broken)
    protocol.fail(ConnectionLost("again"))
    assert stream.error is broken
    protocol.touched.clear()
    protocol.receive_data(EMPTY)
    protocol.receive_eof(True)
    protocol.reset(stream, None, CANCEL)
    protocol.consumed(stream, 5)
    protocol.send_data(stream, b"x", True)
    assert protocol.failure is broken
    assert protocol.take_leftover() == b""
    assert protocol.data_to_send() == b""
    assert stream.status is None
    assert not protocol.paused
    assert protocol.touched == set()
    with pytest.raises(LocalProtocolError, match="takes no further request"):
        protocol.open(request(), True)


def test_an_idle_connection_that_breaks_fails_nobody() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(EMPTY)
    protocol.touched.clear()
    protocol.fail(ConnectionLost("connection reset"))
    assert stream.error is None
    assert protocol.finished
    assert protocol.touched == {EVERYONE}


@scenario(216)
def test_a_request_that_fails_half_written_takes_its_bytes_with_it() -> None:
    protocol = H11Protocol()
    stream = protocol.open(request(b"POST", body_length=9), False)
    broken = ConnectionLost("interrupted")
    protocol.fail(broken)
    assert protocol.data_to_send() == b""
    assert isinstance(stream.error, ConnectionLost)
    assert stream.error.retry_safe  # nothing of it had left
    assert stream.error.__cause__ is broken
    assert not broken.retry_safe


def test_giving_up_a_response_ends_the_connection() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi")
    error = ConnectionLost("closed here")
    protocol.reset(stream, error, CANCEL)
    assert stream.error is error
    assert stream in protocol.touched
    assert protocol.finished
    assert protocol.failure is None


def test_a_response_that_is_given_up_without_a_reason_says_so() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.reset(stream, None, CANCEL)
    assert isinstance(stream.error, StreamResetError)
    assert str(stream.error) == "stream 1 was given up by this side"
    assert (stream.error.stream_id, stream.error.error_code) == (1, CANCEL)
    assert not stream.error.by_peer


def test_giving_up_a_finished_exchange_does_nothing() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(EMPTY)
    protocol.reset(stream, ConnectionLost("closed here"), NO_ERROR)
    assert stream.error is None
    assert protocol.free_places == 1


def test_an_abandoned_response_is_given_up_with_the_next_bytes_out() -> None:
    protocol = H11Protocol()
    finished = start(protocol)
    protocol.receive_data(EMPTY)
    protocol.abandoned.append(finished)
    assert protocol.data_to_send() == b""
    assert protocol.free_places == 1
    stream = start(protocol)
    protocol.abandoned.append(stream)
    assert protocol.data_to_send() == b""
    assert protocol.finished
    assert isinstance(stream.error, StreamResetError)


def test_closing_an_idle_connection_ends_it() -> None:
    protocol = H11Protocol()
    protocol.close()
    protocol.close()
    assert protocol.finished
    assert not protocol.accepting
    assert protocol.data_to_send() == b""
    assert protocol.failure is None


def test_closing_lets_the_exchange_under_way_finish() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.close()
    protocol.close()
    assert not protocol.accepting
    assert not protocol.finished
    protocol.receive_data(EMPTY)
    assert stream.ended
    assert protocol.finished


def test_messages_quote_the_server_and_no_more_than_sixty_bytes() -> None:
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(CHUNKED + b"0x5\r\n")
    assert str(stream.error) == (
        "server sent a chunk size that is not hexadecimal: b'0x5\\r\\n'"
    )
    protocol = H11Protocol()
    stream = start(protocol)
    protocol.receive_data(b"X" * 1000)
    assert str(stream.error) == (
        "server sent what is not HTTP/1: b'" + "X" * 60 + "'..."
    )


@pytest.mark.parametrize("data", [b"nonsense", EMPTY, CHUNKED + b"x\r\n"])
def test_a_dropped_connection_is_freed_without_the_cycle_collector(data: bytes) -> None:
    protocol = H11Protocol()
    start(protocol)
    protocol.receive_data(data)
    gone = weakref.ref(protocol)
    gc.disable()
    try:
        del protocol
        assert gone() is None
    finally:
        gc.enable()


# Trailers of requests


def test_a_chunked_request_may_end_with_trailers() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=None)
    protocol.send_data(stream, b"body", False)
    protocol.send_trailers(stream, [(b"Checksum", b"1")])
    assert protocol.data_to_send() == b"4\r\nbody\r\n0\r\nChecksum: 1\r\n\r\n"
    assert stream.sent
    with pytest.raises(LocalProtocolError, match="no trailers"):
        protocol.send_trailers(stream, [(b"Checksum", b"1")])


def test_a_request_with_a_length_has_no_trailers() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=4)
    with pytest.raises(LocalProtocolError, match="no trailers"):
        protocol.send_trailers(stream, [(b"Checksum", b"1")])


def test_trailers_of_a_request_that_failed_are_not_sent() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=None)
    protocol.fail(ConnectionLost("gone"))
    protocol.send_trailers(stream, [(b"Checksum", b"1")])
    assert protocol.data_to_send() == b""


def test_a_request_that_was_stopped_takes_the_connection_along() -> None:
    protocol = H11Protocol()
    stream = start(protocol, b"POST", body_length=4)
    stream.stopped = True
    protocol.receive_data(EMPTY)
    assert stream.ended
    assert protocol.finished


def test_a_call_that_sends_does_not_stop_a_server_that_answers_meanwhile() -> None:
    limits = Limits(high_water=50, sending_high_water=150)  # 64 for each piece
    protocol = H11Protocol(limits=limits)
    stream = start(protocol, b"POST", body_length=4)
    protocol.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + b"x" * 20)
    assert protocol.paused
    stream.sending = True
    assert not protocol.paused
    protocol.receive_data(b"x" * 20)
    assert protocol.paused
