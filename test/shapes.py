"""What servers send in HTTP/1.1, and what a client has to make of it: a table.

A shape is a response, or what there is instead of one, with the verdict on it. The
table is data, for three readers: ``test_http11_oracles.py`` gives every shape to hyper,
in pieces of all sizes, and to two other clients; ``docs/make_http11.py`` writes those
to the documentation that others read differently; and people find here what was
decided and why.

Where h11 or http.client read a shape differently, ``h11`` and ``http_client`` give the
reason, with the section of RFC 9110 or RFC 9112 that it rests on. Where they agree with
hyper there is none: a wrong reason fails, as a missing one does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hyper.common.exceptions import (
    ChunkedDecodeError,
    ConnectionLost,
    HyperError,
    IncompleteRead,
    InvalidResponseError,
    LineTooLongError,
    RemoteProtocolError,
)
from hyper.common.stream import Fields, Interim

OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = OK + b"Content-Length: 0\r\n\r\n"
SIZED = OK + b"Content-Length: 2\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
#: A response that an attacker would like the next request to get.
POISON = b"HTTP/1.1 200 Poison\r\nContent-Length: 4\r\n\r\nevil"
UPGRADE: Fields = [(b"Upgrade", b"h2c"), (b"Connection", b"upgrade")]


@dataclass(frozen=True)
class Shape:
    """Some bytes that a server sends, and what they mean."""

    name: str
    data: bytes
    #: None: no response has come.
    status: int | None = 200
    #: None where they are of no interest, as is the reason phrase.
    fields: Fields | None = None
    reason: bytes | None = None
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    interim: list[Interim] = field(default_factory=list)
    error: type[HyperError] | None = None
    #: The connection may carry another exchange.
    again: bool = True
    #: The server closes the connection after it.
    eof: bool = False
    #: What came after the head that made the connection another protocol's.
    tunnel: bytes | None = None
    method: bytes = b"GET"
    #: The fields of the request.
    asking: Fields = field(default_factory=list)
    #: So many bytes of the request's body have not been sent yet.
    upload: int = 0
    #: The rows of the table of scenarios that it is an example of.
    rows: tuple[int, ...] = ()
    #: Why h11, or http.client, reads it differently; empty: it does not.
    h11: str = ""
    http_client: str = ""


# Reasons: what the other client does, and the section that speaks against it, such as
# "9112 4" for section 4 of RFC 9112.

BLANKS = "splits at any blanks; 9112 4: at one space"
INT = "takes what int() takes; 9110 15: three digits"
ANY_VERSION = "takes any HTTP/1.*; 9112 2.3: a digit, a dot, a digit"
OTHER_VERSION = "takes any digits; 9112 2.3: another major version is another protocol"
ANY_REASON = "takes any character; 9112 4: no control character"
REASON = "refuses it; 9112 4: the reason phrase is to be ignored"
WAITS = "waits for the line's end; 9112 4: no status line begins like that"
NO_EMPTY_LINE = "refuses it; 9112 2.2: servers skip an empty line, and clients can"
BARE_CR = "takes CR for a line end, or for any blank; 9112 2.2: it makes a line invalid"
NUL = "keeps it; 9110 5.5: a value with NUL is invalid"
NUL_EXTENSION = "skips it; 9112 7.1.1: no extension has NUL"
SKIPS = "skips it, at times with what follows; 9112 5: a name, a colon, a value"
ANY_NAME = "takes it for a name; 9110 5.1: a name is a token"
CONTROLS = "refuses some controls; 9110 5.5: those that divide nothing may be kept"
KEEPS_FOLD = "keeps the line end in the value; 9112 5.2: a space takes its place"
KEEPS_BLANKS = "keeps blanks before a line end; 9112 5.2: they are part of the fold"
FIRST = "skips it, which 9112 2.2 permits; but it could hide a field"
NO_LIMIT = "has a larger limit, or none; 9110 5.4: a reader needs one"
LIMIT = "stops at 100; 9110 5.4 leaves the limit to the reader"
LENGTH_INT = "takes what int() takes; 9110 8.6: digits only"
LENGTH_LOST = "reads until the end; 9112 6.3: a length that is none is an error"
ONE_OF_TWO = "takes the first; 9112 6.3: different lengths are an error"
NO_LIST = "reads until the end; 9112 6.3: the same number may be repeated"
ONE_LENGTH = "hands on one Content-Length; 9110 8.6: users are shown what came"
LOWER = "hands it on in lower case; 9112 7: names of codings have no case, users see it"
EMPTY_MEMBER = "sees another word than chunked; 9110 5.6.1: empty members do not count"
BLANK_VALUE = "sees another word than chunked; 9112 5: blanks are not part of a value"
BOTH = "goes on to use the connection; 9112 6.3: having both may be an attack"
TWICE = "does not read it as chunked; 9112 6.1: senders do it once, whatever they say"
TWICE_KEPT = "goes on to use the connection; 9112 6.1: senders do not say it twice"
OLD_CHUNKED = "goes on to use the connection; 9112 6.1: HTTP/1.0 has no codings"
CODING = "does without the field; 9112 7.4: no other than chunked was asked for"
SIZE_INT = "takes what int() takes; 9112 7.1: hexadecimal digits only"
OVERFLOW = "takes 20 digits; 9112 7.1 warns of overflow: 16 are 64 bits"
LF = "takes LF for its end; 9112 2.2: that is for first lines and fields only"
BWS = "refuses it; 9112 7.1.1: blanks may be before the semicolon"
NO_CRLF = "takes any two bytes for the end of a chunk; 9112 7.1: CRLF"
TRAILERS = "hands them on; 9110 6.5.1: fields for framing, routing and such are none"
UNREAD = "skips trailers unread; 9112 7.1.2: they are fields"
END = "takes it for the end; 9112 7.1: CRLF ends a chunked body"
HEAD_END = "takes it for the end; 9112 8: a section without its end is incomplete"
ONLY_100 = "takes it for the response; 9110 15.2: any 1xx comes before one"
NO_BODY = "looks for a body; 9112 6.3: there is none, whatever the fields say"
BODY_204 = "goes on to use the connection; 9110 8.6 forbids it: a body may follow"
NO_SWITCH = "knows no other protocol; 9110 7.8: it begins after the 101"
NO_TUNNEL = "takes it for a body; 9110 9.3.6: a tunnel begins after the head"
TUNNEL_FIELDS = "refuses the field; 9110 9.3.6: it is ignored"
UNLIMITED_1XX = "takes any number; 9110 15.2 sets no limit: a reader has to"
FIRST_LINE = "looks at the first line only; 9110 5.3: repeated lines are one list"
SUBSTRING = "looks for the letters; 9110 7.6.1: the field is a list of words"
KEEPS_OLD = "closes after any HTTP/1.0; 9112 9.3: keep-alive may be honoured"
CLOSE_WINS = "keeps it alive; 9112 9.3: close is looked at first"
NOT_CONNECTION = "keeps it alive; 9112 9.3: Connection decides, and no other field"
ASKED = "leaves it to its user; 9112 9.6: who sent close sends nothing more"
SURPLUS = "keeps them for the next request; 9112 9.2: they answer none"


# How shapes are made.


def quoted(data: bytes) -> str:
    """Return the bytes as text, and how many they are if that is not all of them."""
    text = repr(data)[1:]
    return text if len(text) <= 70 else f"{text[:50]}... ({len(data)} bytes)"


def status_line(line: bytes, status: int | None = None, **more: object) -> Shape:
    """A status line before an ordinary rest; no status: it is refused."""
    name = "status line " + quoted(line)
    data = line + b"\r\nContent-Length: 2\r\n\r\nhi"
    if status is None:
        more = {"error": InvalidResponseError, "again": False} | more
    else:
        more = {"body": b"hi"} | more
    return Shape(name, data, status, rows=(167,), **more)  # type: ignore[arg-type]


def no_http(name: str, data: bytes, **more: object) -> Shape:
    return Shape(
        name, data, None, error=InvalidResponseError, again=False, rows=(168,),
        **more,  # type: ignore[arg-type]
    )  # fmt: skip


def bad_field(
    line: bytes, row: int = 170, http_client: str = SKIPS, h11: str = ""
) -> Shape:
    return Shape(
        "field " + quoted(line),
        OK + line + b"\r\nContent-Length: 2\r\n\r\nhi",
        None,
        error=InvalidResponseError,
        again=False,
        rows=(row,),
        h11=h11,
        http_client=http_client,
    )


def good_field(line: bytes, value: bytes, row: int = 170, **more: object) -> Shape:
    return Shape(
        "field " + quoted(line),
        OK + line + b"\r\nContent-Length: 2\r\n\r\nhi",
        fields=[(b"A", value), (b"Content-Length", b"2")],
        body=b"hi",
        rows=(row,),
        **more,  # type: ignore[arg-type]
    )


def framed(line: bytes, body: bytes, row: int, **more: object) -> Shape:
    """A field that has to do with framing, before five bytes or until the end."""
    name = "field " + quoted(line)
    data = OK + line + b"\r\n\r\nhello"
    return Shape(name, data, body=body, rows=(row,), **more)  # type: ignore[arg-type]


def length(value: bytes, **more: object) -> Shape:
    """A Content-Length that is as good as 5."""
    data = OK + b"Content-Length:" + value + b"\r\n\r\nhello"
    more = {"body": b"hello"} | more
    return Shape("length " + quoted(value), data, rows=(177,), **more)  # type: ignore[arg-type]


def bad_length(value: bytes, http_client: str = LENGTH_LOST) -> Shape:
    name = "length " + quoted(value)
    data = OK + b"Content-Length:" + value + b"\r\n\r\nhello"
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
    more = {"http_client": CODING} | more
    return Shape(
        "coding " + quoted(lines),
        OK + lines + b"\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        None,
        error=InvalidResponseError,
        again=False,
        rows=(175, 176) if b"Content-Length" in lines else (176,),
        **more,  # type: ignore[arg-type]
    )


def coding(lines: bytes, **more: object) -> Shape:
    return Shape(
        "coding " + quoted(lines),
        OK + lines + b"\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        body=b"hi",
        rows=(175, 176) if b"Content-Length" in lines else (176,),
        **more,  # type: ignore[arg-type]
    )


def chunks(data: bytes, body: bytes, row: int = 179, **more: object) -> Shape:
    name = "chunks " + quoted(data)
    return Shape(name, CHUNKED + data, body=body, rows=(row,), **more)  # type: ignore[arg-type]


def bad_chunks(
    data: bytes,
    body: bytes = b"",
    row: int = 178,
    error: type[HyperError] = ChunkedDecodeError,
    **more: object,
) -> Shape:
    return chunks(data, body, row, error=error, again=False, **more)


def bad_trailers(section: bytes, **more: object) -> Shape:
    data = b"2\r\nhi\r\n0\r\n" + section
    more = {"error": InvalidResponseError, "http_client": UNREAD} | more
    return bad_chunks(data, b"hi", 181, **more)  # type: ignore[arg-type]


def cut(name: str, data: bytes, body: bytes = b"", http_client: str = "") -> Shape:
    return Shape(
        "EOF " + name, data, body=body, error=IncompleteRead, again=False, eof=True,
        rows=(183, 219), http_client=http_client,
    )  # fmt: skip


def no_answer(name: str, data: bytes, **more: object) -> Shape:
    return Shape(
        "EOF " + name, data, None, error=ConnectionLost, again=False, eof=True,
        rows=(182,), **more,  # type: ignore[arg-type]
    )  # fmt: skip


def bodyless(name: str, first: bytes, status: int, **more: object) -> Shape:
    data = first + b"\r\nX: y\r\n\r\n"
    return Shape(name, data, status, rows=(188,), **more)  # type: ignore[arg-type]


def tunnel(name: str, fields: bytes = b"", **more: object) -> Shape:
    """The answer to a CONNECT, and what comes through the tunnel."""
    more = {"tunnel": b"\r\nraw", "http_client": NO_TUNNEL} | more
    return Shape(
        "CONNECT " + name, b"HTTP/1.1 " + fields + b"\r\n\r\n\r\nraw",
        again=False, method=b"CONNECT", rows=(189,), **more,  # type: ignore[arg-type]
    )  # fmt: skip


def connection(lines: bytes, again: bool, **more: object) -> Shape:
    return Shape(
        "connection " + quoted(lines),
        OK + lines + b"\r\nContent-Length: 2\r\n\r\nhi",
        body=b"hi", again=again, rows=(190,), **more,  # type: ignore[arg-type]
    )  # fmt: skip


def old(name: str, fields: bytes, again: bool = False, **more: object) -> Shape:
    """A response in HTTP/1.0."""
    more = {"body": b"hi"} | more
    data = b"HTTP/1.0 200 OK\r\n" + fields + b"Content-Length: 2\r\n\r\nhi"
    return Shape("HTTP/1.0 " + name, data, again=again, rows=(190,), **more)  # type: ignore[arg-type]


def surplus(name: str, data: bytes, status: int = 200, **more: object) -> Shape:
    """A complete response, and bytes behind it that nobody asked for."""
    return Shape(
        "surplus: " + name, data, status, again=False, rows=(185,),
        h11=SURPLUS, http_client=SURPLUS, **more,  # type: ignore[arg-type]
    )  # fmt: skip


# The table, by topics.

STATUS_LINES = [
    status_line(b"HTTP/1.1 200 OK", 200, reason=b"OK"),
    status_line(b"HTTP/1.1 200", 200, reason=b""),
    status_line(b"HTTP/1.1 200 ", 200, reason=b""),
    status_line(b"HTTP/1.1 200  Very  well\t", 200, reason=b"Very  well"),
    status_line(b"HTTP/1.1 200 \xc3\xa4\xff", 200, reason=b"\xc3\xa4\xff"),
    status_line(b"HTTP/1.1 200 \x1b[31m", 200, reason=b"\x1b[31m"),
    status_line(b"HTTP/1.1 200 O\x0bK", 200, reason=b"O\x0bK", h11=REASON),
    status_line(b"HTTP/1.2 200 OK", 200),
    status_line(b"HTTP/1.9 404 No", 404),
    status_line(b"HTTP/1.1 201 Created", 201),
    status_line(b"HTTP/1.1 599 x", 599),
    status_line(b"HTTP/1.1 600 x", 600),
    status_line(b"HTTP/1.1 999 Request denied", 999),
    status_line(b"HTTP/1.1 099 x"),
    status_line(b"HTTP/1.1 000 x"),
    status_line(b"HTTP/1.1 20 OK"),
    status_line(b"HTTP/1.1 2 00 OK"),
    status_line(b"HTTP/1.1 2000 OK"),
    status_line(b"HTTP/1.1 200OK"),
    status_line(b"HTTP/1.1 200.0 OK"),
    status_line(b"HTTP/1.1 OK"),
    status_line(b"HTTP/1.1 0x2 OK"),
    status_line(b"HTTP/1.1 +20 OK"),
    status_line(b"HTTP/1.1 -200 OK"),
    status_line(b"HTTP/1.1 +200 OK", http_client=INT),
    status_line(b"HTTP/1.1 20_0 OK", http_client=INT),
    status_line(b"HTTP/1.1 \xd9\xa2\xd9\xa0\xd9\xa0 OK"),
    status_line(b"HTTP/1.1  200 OK", http_client=BLANKS),
    status_line(b"HTTP/1.1\t200 OK", http_client=BLANKS),
    status_line(b"HTTP/1.1\xa0200 OK", http_client=BLANKS),
    status_line(b"HTTP/1.1 200\tOK", http_client=BLANKS),
    status_line(b"HTTP/1.1 200\xa0OK", http_client=BLANKS),
    status_line(b"HTTP/1.1 200 O\0K", http_client=ANY_REASON),
    status_line(b"HTTP/1.1 200 O\rK", http_client=BARE_CR),
    status_line(b"HTTP/1.1 200 OK\r", http_client=BARE_CR),
    status_line(b"HTTP/1.1"),
    status_line(b"HTTP/1.1 "),
    status_line(b"HTTP/1.10 200 OK", http_client=ANY_VERSION),
    status_line(b"HTTP/01.1 200 OK"),
    status_line(b"HTTP/1. 200 OK", http_client=ANY_VERSION),
    status_line(b"HTTP/1 200 OK"),
    status_line(b"HTTP/1.x 200 OK", http_client=ANY_VERSION),
    status_line(b"HTTP/1,1 200 OK"),
    status_line(b"HTTP/-1.1 200 OK"),
    status_line(b"HTTP/ 1.1 200 OK"),
    status_line(b"HTTP /1.1 200 OK"),
    status_line(b"HTTP/0.9 200 OK", h11=OTHER_VERSION, http_client=OTHER_VERSION),
    status_line(b"HTTP/2.0 200 OK", h11=OTHER_VERSION),
    status_line(b"HTTP/2 200 OK"),
    status_line(b"HTTP/3.0 200 OK", h11=OTHER_VERSION),
    status_line(b"http/1.1 200 OK"),
    status_line(b"HTTPS/1.1 200 OK"),
    status_line(b"HTTP 200 OK"),
    status_line(b" HTTP/1.1 200 OK", http_client=BLANKS),
    status_line(b"\xef\xbb\xbfHTTP/1.1 200 OK"),
    status_line(b"ICY 200 OK"),
    status_line(b"HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK", http_client=SKIPS),
    Shape("status line ended by LF", b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nhi",
          body=b"hi", reason=b"OK", rows=(167, 172)),
    Shape("status line ended by CR", b"HTTP/1.1 200 OK\rContent-Length: 2\r\n\r\nhi",
          None, error=InvalidResponseError, again=False, rows=(167, 172),
          http_client=BARE_CR),
    no_http("HTTP/0.9", b"<html>hello</html>", h11=WAITS),
    no_http("HTTP/0.9 in lines", b"<html>\r\nhello\r\n\r\n</html>\r\n"),
    no_http("an HTTP/2 SETTINGS frame", b"\0\0\0\x04\0\0\0\0\0"),
    no_http("a TLS alert", b"\x15\x03\x01\x00\x02\x02\x50"),
    no_http("SSH", b"SSH-2.0-OpenSSH_9.6\r\n", h11=WAITS),
    no_http("our own request", b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"),
    Shape("an empty line first", b"\r\n" + EMPTY, rows=(169,),
          h11=NO_EMPTY_LINE, http_client=NO_EMPTY_LINE),
    Shape("a bare LF first", b"\n" + EMPTY, rows=(169, 172),
          h11=NO_EMPTY_LINE, http_client=NO_EMPTY_LINE),
    *(
        Shape("first " + quoted(data), data + EMPTY, None, error=InvalidResponseError,
              again=False, rows=(169,), http_client=BARE_CR if data == b"\r" else "")
        for data in (b"\r\n\r\n", b"\n\r\n", b"\r", b"\r\r\n", b" \r\n", b"\0")
    ),
]  # fmt: skip

FIELDS = [
    Shape("no fields at all", OK + b"\r\nhi", body=b"hi", fields=[],
          again=False, eof=True, rows=(184,)),
    good_field(b"A:b", b"b"),
    good_field(b"A:", b""),
    good_field(b"A: \t ", b""),
    good_field(b"A: \t b c \t", b"b c"),
    good_field(b"A: b:c: \"d\"", b"b:c: \"d\""),
    good_field(b"A: \xe4\xff\x80", b"\xe4\xff\x80"),
    good_field(b"A: \xa0b\x85", b"\xa0b\x85"),
    good_field(b"A: b\x01\x1f\x7f", b"b\x01\x1f\x7f"),
    good_field(b"A: b\x0bc", b"b\x0bc", h11=CONTROLS),
    good_field(b"A: b\x0c", b"b\x0c", h11=CONTROLS),
    good_field(b"A: " + b"b" * 999, b"b" * 999),
    Shape("every token character",
          b"HTTP/1.1 204 No\r\n!#$%&'*+-.^_`|~09AZaz: b\r\n\r\n",
          204, fields=[(b"!#$%&'*+-.^_`|~09AZaz", b"b")], rows=(170,)),
    Shape("names twice, in order",
          b"HTTP/1.1 204 No\r\nb: 1\r\nA: 2\r\nB: 3\r\na: 2\r\n\r\n", 204,
          fields=[(b"b", b"1"), (b"A", b"2"), (b"B", b"3"), (b"a", b"2")], rows=(75,)),
    bad_field(b"no colon"),
    bad_field(b"A"),
    bad_field(b":"),
    bad_field(b": b"),
    bad_field(b":A: b"),
    bad_field(b"A : b"),
    bad_field(b"A\t: b"),
    bad_field(b"A\x0b: b"),
    bad_field(b"A b: c"),
    bad_field(b"A\xa0: b"),
    bad_field(b"\xe4: b"),
    *(bad_field(b"A%c: b" % each, http_client=ANY_NAME)
      for each in b"(),/;<=>?@[\\]{}\""),
    bad_field(b"A\x01: b"),
    bad_field(b"A\x7f: b"),
    bad_field(b"A\0: b", 173),
    bad_field(b"\0A: b", 173),
    bad_field(b"A: b\0c", 173, http_client=NUL),
    bad_field(b"A: \0", 173, http_client=NUL),
    bad_field(b"A: b\rc", 172, http_client=BARE_CR),
    bad_field(b"A: b\rContent-Length: 9", 172, http_client=""),
    bad_field(b"A: b\rTransfer-Encoding: chunked", 172, http_client=""),
    bad_field(b"A: b\r\r\nB: c", 172, http_client=BARE_CR),
    bad_field(b"A: b\r", 172, http_client=BARE_CR),
    bad_field(b"A: \rb", 172, http_client=BARE_CR),
    bad_field(b"A\r: b", 172),
    bad_field(b"\rA: b", 172),
    bad_field(b"\r", 172),
]  # fmt: skip

LINES = [
    good_field(b"A: b\r\n c", b"b c", 171, http_client=KEEPS_FOLD),
    good_field(b"A: b\r\n\tc", b"b c", 171, http_client=KEEPS_FOLD),
    good_field(b"A: b \t\r\n\t \tc\r\n  d ", b"b c d", 171,
               h11=KEEPS_BLANKS, http_client=KEEPS_FOLD),
    good_field(b"A:\r\n b", b"b", 171, http_client=KEEPS_FOLD),
    good_field(b"A: b\n c", b"b c", 171, http_client=KEEPS_FOLD),
    good_field(b"A: b\r\n \r\n c", b"b  c", 171, http_client=KEEPS_FOLD),
    good_field(b"A: b\r\n ", b"b", 171, http_client=KEEPS_FOLD),
    good_field(b"A: b\r\n c: d", b"b c: d", 171, http_client=KEEPS_FOLD),
    Shape("a fold that hides a length", OK + b"A: b\r\n Content-Length: 2\r\n\r\nhi!",
          body=b"hi!", fields=[(b"A", b"b Content-Length: 2")], again=False, eof=True,
          rows=(171,), http_client=KEEPS_FOLD),
    Shape("a fold in the last line", OK + b"Content-Length: 2\r\nA: b\r\n c\r\n\r\nhi",
          body=b"hi", fields=[(b"Content-Length", b"2"), (b"A", b"b c")], rows=(171,),
          http_client=KEEPS_FOLD),
    bad_field(b" A: b", 171, http_client=FIRST),
    bad_field(b"\tA: b", 171, http_client=FIRST),
    bad_field(b" A: b\r\nB: c", 171, http_client=FIRST),
    bad_field(b" Content-Length: 9", 171, http_client=FIRST),
    bad_field(b" ", 171, http_client=FIRST),
    bad_field(b"A: b\r\n c\0", 171, http_client=NUL),
    bad_field(b"A\r\n : b", 171),
    bad_field(b"A: b\r\r\n c", 172, http_client=BARE_CR),
    Shape("LF everywhere", b"HTTP/1.1 200 OK\nA: b\nContent-Length: 2\n\nhi",
          body=b"hi", fields=[(b"A", b"b"), (b"Content-Length", b"2")], rows=(172,)),
    Shape("LF, and CRLF twice in the body",
          b"HTTP/1.1 200 OK\nContent-Length: 6\n\na\r\n\r\nb", body=b"a\r\n\r\nb",
          rows=(172,)),
    Shape("CRLF, then LF LF", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nhi",
          body=b"hi", rows=(172,)),
    Shape("LF, then LF CRLF", b"HTTP/1.1 200 OK\nContent-Length: 2\n\r\nhi",
          body=b"hi", rows=(172,)),
    Shape("CRLF, then CR CRLF", SIZED[:-2] + b"\r\r\nhi\r\n\r\n", None,
          error=InvalidResponseError, again=False, rows=(172,)),
    Shape("CR everywhere", SIZED.replace(b"\n", b"") + b"hi\r\n\r\n", None,
          error=InvalidResponseError, again=False, rows=(172,), http_client=BARE_CR),
    # Limits: most are in test_http11_protocol.py, with smaller numbers.
    Shape("a hundred cookies",
          b"HTTP/1.1 204 No\r\n" + b"Set-Cookie: a=b, c\r\n" * 100 + b"X: y\r\n\r\n",
          204, fields=[(b"Set-Cookie", b"a=b, c")] * 100 + [(b"X", b"y")],
          rows=(75, 174), http_client=LIMIT),
    Shape("256 fields", b"HTTP/1.1 204 No\r\n" + b"A:\r\n" * 256 + b"\r\n", 204,
          rows=(174,), http_client=LIMIT),
    Shape("257 fields", b"HTTP/1.1 204 No\r\n" + b"A:\r\n" * 257 + b"\r\n", None,
          error=LineTooLongError, again=False, rows=(174,), h11=NO_LIMIT),
    Shape("a line of 64 KiB", b"HTTP/1.1 204 No\r\nA: " + b"b" * 65530 + b"\r\n\r\n",
          204, rows=(174,)),
    Shape("a longer line", b"HTTP/1.1 204 No\r\nA: " + b"b" * 65536 + b"\r\n\r\n",
          None, error=LineTooLongError, again=False, rows=(174,), h11=NO_LIMIT),
]  # fmt: skip

LENGTHS = [
    length(b" 5"),
    length(b"5"),
    length(b" \t5 \t"),
    length(b" 05"),
    length(b" " + b"0" * 19 + b"5"),
    length(b"\r\n 5", http_client=KEEPS_FOLD),
    length(b" 5\r\nContent-Length: 5", h11=ONE_LENGTH),
    length(b" 5\r\nX: y\r\nCONTENT-LENGTH:5", h11=ONE_LENGTH),
    length(b" 5, 5", h11=ONE_LENGTH, http_client=NO_LIST),
    length(b" 5,5 ,5\r\ncontent-length: 5", h11=ONE_LENGTH, http_client=NO_LIST),
    bad_length(b" 5\r\nContent-Length: 6", ONE_OF_TWO),
    bad_length(b" 5\r\nContent-Length: 05", ONE_OF_TWO),
    bad_length(b" 5\r\nContent-Length:", ONE_OF_TWO),
    bad_length(b" 5\r\nContent-Length: 5, 6", ONE_OF_TWO),
    bad_length(b" 5,6"),
    bad_length(b" 5, 05"),
    bad_length(b" 5,"),
    bad_length(b" ,5"),
    bad_length(b" ,"),
    bad_length(b" +5", LENGTH_INT),
    bad_length(b" -5"),
    bad_length(b" 0x5"),
    bad_length(b" 0b1"),
    bad_length(b" 0_5", LENGTH_INT),
    bad_length(b" 5_0", ""),
    bad_length(b" 5e0"),
    bad_length(b" 5 a"),
    bad_length(b" 5 5"),
    bad_length(b" 5;"),
    bad_length(b" 5.0"),
    bad_length(b" \"5\""),
    bad_length(b" five"),
    bad_length(b" 5\x0b", LENGTH_INT),
    bad_length(b" \xa05", LENGTH_INT),
    bad_length(b" 5\x85", LENGTH_INT),
    bad_length(b" 5\x1f"),
    bad_length(b""),
    bad_length(b" \t"),
    bad_length(b"\r\n 5\r\n 5"),
    bad_length(b" \xd9\xa5"),
    bad_length(b" \xb2"),
    bad_length(b" " + b"9" * 400, ""),
    bad_length(b" " + b"0" * 20 + b"5", LENGTH_INT),
    framed(b"Content-Length: 0", b"", 185, again=False,
           h11=SURPLUS, http_client=SURPLUS),
    framed(b"Content-Length: 4", b"hell", 185, again=False,
           h11=SURPLUS, http_client=SURPLUS),
    framed(b"Content_Length: 4", b"hello", 177, again=False, eof=True),
    framed(b"X-Content-Length: 4", b"hello", 177, again=False, eof=True),
    Shape("length 0", EMPTY, fields=[(b"Content-Length", b"0")], rows=(177,)),
    Shape("length 2^64 + 5", OK + b"Content-Length: 18446744073709551621\r\n\r\nhello",
          body=b"hello", error=IncompleteRead, again=False, eof=True, rows=(161, 177)),
    *(
        Shape("field " + quoted(line), OK + line + b"\r\n\r\nhello\r\n\r\n", None,
              error=InvalidResponseError, again=False, rows=(170, 177),
              http_client=SKIPS if line[-1:] != b"\0" else LENGTH_LOST)
        for line in (b"Content-Length : 5", b"Content-Length\x0b: 5", b"Content-Length",
                     b"Content Length: 5", b"Content-Length 5", b"\0Content-Length: 5",
                     b"Content-Length\0: 5", b"Content-Length: 5\0")
    ),
]  # fmt: skip

TRANSFER_CODINGS = [
    coding(b"Transfer-Encoding: chunked"),
    coding(b"transfer-encoding: Chunked \t", h11=LOWER, http_client=BLANK_VALUE),
    coding(b"tRANSFER-eNCODING:CHUNKED", h11=LOWER),
    coding(b"Transfer-Encoding:\r\n chunked", http_client=KEEPS_FOLD),
    coding(b"X: y\nTransfer-Encoding: chunked"),
    coding(b"Transfer-Encoding: , chunked,",
           h11=EMPTY_MEMBER, http_client=EMPTY_MEMBER),
    coding(b"Transfer-Encoding: chunked\r\nTransfer-Encoding:", h11=EMPTY_MEMBER),
    coding(b"Content-Length: 3\r\nTransfer-Encoding: chunked", again=False,
           h11=BOTH, http_client=BOTH),
    coding(b"Transfer-Encoding: chunked\r\nContent-Length: 12", again=False,
           h11=BOTH, http_client=BOTH),
    coding(b"Transfer-Encoding: chunked\r\nContent-Length: 0", again=False,
           h11=BOTH, http_client=BOTH),
    coding(b"Transfer-Encoding: chunked, chunked", again=False,
           h11=TWICE, http_client=TWICE),
    coding(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: Chunked", again=False,
           h11=TWICE, http_client=TWICE_KEPT),
    bad_coding(b"Transfer-Encoding: chunked\r\nContent-Length: x", http_client=BOTH),
    bad_coding(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\nContent-Length: 6",
               http_client=BOTH),
    bad_coding(b"Transfer-Encoding: chunked, chunked, gzip"),
    bad_coding(b"Transfer-Encoding: identity, chunked"),
    bad_coding(b"Transfer-Encoding: chunked, identity"),
    bad_coding(b"Transfer-Encoding: identity"),
    bad_coding(b"Transfer-Encoding: identity\r\nContent-Length: 2"),
    bad_coding(b"Transfer-Encoding: gzip, chunked"),
    bad_coding(b"Transfer-Encoding: gzip"),
    bad_coding(b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
               http_client=FIRST_LINE),
    bad_coding(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip",
               http_client=FIRST_LINE),
    bad_coding(b"Transfer-Encoding: chunked\r\n , gzip"),
    bad_coding(b"Transfer-Encoding: cow"),
    bad_coding(b"Transfer-Encoding: xchunked"),
    bad_coding(b"Transfer-Encoding: chunkedx"),
    bad_coding(b"Transfer-Encoding: chunke"),
    bad_coding(b"Transfer-Encoding: chunked;q=1"),
    bad_coding(b"Transfer-Encoding: chunked; a=b"),
    bad_coding(b"Transfer-Encoding: \"chunked\""),
    bad_coding(b"Transfer-Encoding: 'chunked'"),
    bad_coding(b"Transfer-Encoding: chu nked"),
    bad_coding(b"Transfer-Encoding: chunked gzip"),
    bad_coding(b"Transfer-Encoding: \x0bchunked"),
    bad_coding(b"Transfer-Encoding: chunked\x0c"),
    bad_coding(b"Transfer-Encoding: \xa0chunked"),
    bad_coding(b"Transfer-Encoding: chunk\xe9d"),
    bad_coding(b"Transfer-Encoding: \xe2\x84\xaachunked"),
    bad_coding(b"Transfer-Encoding:"),
    bad_coding(b"Transfer-Encoding: ,"),
    bad_coding(b"Transfer-Encoding: gzip\r\nContent-Length: 5"),
    bad_coding(b"Transfer-Encoding: chunked\0", http_client=NUL),
    bad_coding(b"Transfer-Encoding: chunked\r", http_client=BARE_CR),
    bad_coding(b"Transfer-Encoding: \rchunked", http_client=BARE_CR),
    bad_coding(b"Transfer-Encoding : chunked", http_client=SKIPS),
    bad_coding(b"Transfer-Encoding\t: chunked", http_client=SKIPS),
    bad_coding(b"Transfer-Encoding\r\n : chunked", http_client=SKIPS),
    bad_coding(b"Transfer Encoding: chunked", http_client=SKIPS),
    bad_coding(b"Transfer-Encoding chunked", http_client=SKIPS),
    bad_coding(b" Transfer-Encoding: chunked", http_client=FIRST),
    bad_coding(b"\x00Transfer-Encoding: chunked", http_client=SKIPS),
    bad_coding(b"Content-Length: 3\r\nTransfer-Encoding : chunked", http_client=SKIPS),
    bad_coding(b"Content-Length: 3\r\nTransfer-Encoding: xchunked"),
    bad_coding(b"X: y\rTransfer-Encoding: chunked", http_client=BARE_CR),
    framed(b"Transfer_Encoding: chunked", b"hello", 176, again=False, eof=True),
    framed(b"X: y\r\n Transfer-Encoding: chunked", b"hello", 176, again=False,
           eof=True, http_client=KEEPS_FOLD),
    framed(b"Transfer-Encoding-: chunked", b"hello", 176, again=False, eof=True),
    framed(b"TE: chunked", b"hello", 176, again=False, eof=True),
    Shape("HTTP/1.0 chunked",
          b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
          body=b"hi", again=False, rows=(176,)),
    Shape("HTTP/1.0 chunked that keeps alive",
          b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n"
          b"Connection: keep-alive\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
          body=b"hi", again=False, rows=(176,), http_client=OLD_CHUNKED),
]  # fmt: skip

CHUNKS = [
    chunks(b"2\r\nhi\r\n3\r\n it\r\n0\r\n\r\n", b"hi it"),
    chunks(b"0\r\n\r\n", b""),
    chunks(b"000\r\n\r\n", b""),
    chunks(b"0;a=b\r\n\r\n", b""),
    chunks(b"00000000000000aA\r\n" + b"x" * 170 + b"\r\n0\r\n\r\n", b"x" * 170),
    chunks(b"2\r\n\r\n\r\n2\r\n0\r\r\n0\r\n\r\n", b"\r\n0\r"),
    chunks(b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
    chunks(b"2 \r\nhi\r\n0 \t \r\n\r\n", b"hi", 178),
    chunks(b"2\t\r\nhi\r\n0\r\n\r\n", b"hi", 178),
    chunks(b"2;a\r\nhi\r\n0;b=c\r\n\r\n", b"hi"),
    chunks(b"2;\r\nhi\r\n0;\r\n\r\n", b"hi"),
    chunks(b"2 \t; a = \"b;\"\r\nhi\r\n0\r\n\r\n", b"hi", h11=BWS),
    chunks(b"2;a=\"\\\"0\"\r\nhi\r\n0\r\n\r\n", b"hi"),
    chunks(b"2;\xff;;=\r\nhi\r\n0\r\n\r\n", b"hi"),
    chunks(b"2;" + b"x" * 4092 + b"\r\nhi\r\n0\r\n\r\n", b"hi"),
    bad_chunks(b"2;" + b"x" * 4093 + b"\r\nhi\r\n0\r\n\r\n", row=179,
               error=LineTooLongError, h11=NO_LIMIT, http_client=NO_LIMIT),
    bad_chunks(b"2;" + b"x" * 70000 + b"\r\nhi\r\n0\r\n\r\n", row=179,
               error=LineTooLongError, h11=NO_LIMIT),
    bad_chunks(b"0" * 5000, error=LineTooLongError, h11=NO_LIMIT, http_client=NO_LIMIT),
    bad_chunks(b"\r\nhi"),
    bad_chunks(b"\n2\r\nhi\r\n0\r\n\r\n"),
    bad_chunks(b";a\r\nhi"),
    bad_chunks(b" 2\r\nhi\r\n0\r\n\r\n", http_client=SIZE_INT),
    bad_chunks(b"-2\r\nhi\r\n0\r\n\r\n"),
    bad_chunks(b"-0\r\n\r\n", http_client=SIZE_INT),
    bad_chunks(b"+2\r\nhi\r\n0\r\n\r\n", http_client=SIZE_INT),
    bad_chunks(b"0x2\r\nhi\r\n0\r\n\r\n", http_client=SIZE_INT),
    bad_chunks(b"0_2\r\nhi\r\n0\r\n\r\n", http_client=SIZE_INT),
    bad_chunks(b"2h\r\nhi\r\n0\r\n\r\n"),
    bad_chunks(b"g\r\nhi\r\n0\r\n\r\n"),
    bad_chunks(b"2.0\r\nhi\r\n0\r\n\r\n"),
    bad_chunks(b"2,\r\nhi\r\n0\r\n\r\n"),
    bad_chunks(b"2 2\r\nhi\r\n0\r\n\r\n"),
    bad_chunks(b"2 a\r\nhi\r\n0\r\n\r\n"),
    bad_chunks(b"2\xa0\r\nhi\r\n0\r\n\r\n"),
    bad_chunks(b"2\x0b\r\nhi\r\n0\r\n\r\n", http_client=SIZE_INT),
    bad_chunks(b"2\0\r\nhi\r\n0\r\n\r\n"),
    bad_chunks(b"\"2\"\r\nhi\r\n0\r\n\r\n"),
    bad_chunks(b"\xd9\xa2\r\nhi\r\n0\r\n\r\n"),
    bad_chunks(b"hi\r\n\r\n"),
    bad_chunks(b"0" * 16 + b"2\r\nhi\r\n0\r\n\r\n", h11=OVERFLOW, http_client=OVERFLOW),
    bad_chunks(b"fffffffffffffffff\r\nhi", h11=OVERFLOW),
    bad_chunks(b"10000000000000002\r\nhi\r\n0\r\n\r\n", h11=OVERFLOW),
    bad_chunks(b"2\nhi\r\n0\r\n\r\n", http_client=LF),
    bad_chunks(b"2\r\r\nhi\r\n0\r\n\r\n", http_client=BARE_CR),
    bad_chunks(b"2\rhi\r\n0\r\n\r\n"),
    bad_chunks(b"2;a\nhi\r\n0\r\n\r\n", row=179, http_client=LF),
    bad_chunks(b"2;a\0\r\nhi\r\n0\r\n\r\n", row=179, h11=NUL_EXTENSION,
               http_client=NUL_EXTENSION),
    bad_chunks(b"2;\r\r\nhi\r\n0\r\n\r\n", row=179, h11=BARE_CR, http_client=BARE_CR),
    bad_chunks(b"2;a\rb\r\nhi\r\n0\r\n\r\n", row=179, h11=BARE_CR, http_client=BARE_CR),
    bad_chunks(b"2;a=\"\n\"\r\nhi\r\n0\r\n\r\n", row=179),
    bad_chunks(b"2;a=\"\r\n\"\r\n0\r\n\r\n", b"\"\r", row=179),
    bad_chunks(b"2\r\nhixx0\r\n\r\n", b"hi", 180, http_client=NO_CRLF),
    bad_chunks(b"2\r\nhi\n\n0\r\n\r\n", b"hi", 180, http_client=NO_CRLF),
    bad_chunks(b"2\r\nhi\n\r0\r\n\r\n", b"hi", 180, http_client=NO_CRLF),
    bad_chunks(b"2\r\nhi\r\r0\r\n\r\n", b"hi", 180, http_client=NO_CRLF),
    bad_chunks(b"2\r\nhi\n0\r\n\r\n", b"hi", 180),
    bad_chunks(b"2\r\nhi0\r\n\r\n", b"hi", 180),
    bad_chunks(b"2\r\nhiii\r\n0\r\n\r\n", b"hi", 180),
    bad_chunks(b"3\r\nhi\r\n0\r\n\r\n", b"hi\r", 180),
    bad_chunks(b"2\r\nhi\r\n" + POISON, b"hi", 180),
]  # fmt: skip

TRAILER_SECTIONS = [
    chunks(b"2\r\nhi\r\n0\r\nA: b\r\n\tc\r\na:d\r\n\r\n", b"hi", 181,
           trailers=[(b"A", b"b c"), (b"a", b"d")]),
    chunks(b"0\r\nA: b\n\n", b"", 181, trailers=[(b"A", b"b")]),
    chunks(b"0\r\n\n", b"", 181),
    chunks(b"0\r\nContent-Length: 9\r\nA: b\r\nHost: c\r\nTE: d\r\n"
           b"Set-Cookie: e\r\nTransfer-Encoding: chunked\r\nAuthorization: f\r\n"
           b"Content-Type: g\r\nConnection: close\r\n\r\n", b"", 76,
           trailers=[(b"A", b"b")], h11=TRAILERS),
    chunks(b"0\r\n" + b"A:\r\n" * 256 + b"\r\n", b"", 181,
           trailers=[(b"A", b"")] * 256),
    bad_trailers(b"A:\r\n" * 257 + b"\r\n", error=LineTooLongError, h11=NO_LIMIT),
    bad_trailers(b"A: " + b"b" * 65600, error=LineTooLongError, http_client=""),
    bad_trailers(b"no colon\r\n\r\n"),
    bad_trailers(b"A : b\r\n\r\n"),
    bad_trailers(b": b\r\n\r\n"),
    bad_trailers(b"A b: c\r\n\r\n"),
    bad_trailers(b" A: b\r\n\r\n"),
    bad_trailers(b"A: b\0\r\n\r\n"),
    bad_trailers(b"A: b\rc\r\n\r\n"),
    bad_trailers(b"\r\r\n\r\n"),
    bad_trailers(POISON),
    bad_trailers(b"A: b\r\n" + POISON),
]  # fmt: skip

ENDS = [
    no_answer("at once", b""),
    no_answer("after an empty line", b"\r\n"),
    no_answer("after a CR", b"\r"),
    no_answer("in the version", b"HTT"),
    no_answer("in the status line", b"HTTP/1.1 2"),
    no_answer("in the line end", b"HTTP/1.1 204 No\r", http_client=HEAD_END),
    no_answer("after the status line", b"HTTP/1.1 204 No\r\n", http_client=HEAD_END),
    no_answer("in the fields", OK + b"A: b\r\n", http_client=HEAD_END),
    no_answer("in a field", OK + b"Content-Length: 2"),
    no_answer("in the empty line", SIZED[:-1]),
    no_answer("in a malformed field", OK + b"no colon\r\n", http_client=HEAD_END),
    no_answer("after a 1xx", b"HTTP/1.1 100 Continue\r\n\r\n",
              interim=[Interim(100, [])]),
    no_answer("in the fields of a 1xx", b"HTTP/1.1 100 Continue\r\nA: b\r\n"),
    cut("before a body", OK + b"Content-Length: 5\r\n\r\n"),
    cut("in a body", OK + b"Content-Length: 5\r\n\r\nhell", b"hell"),
    cut("before a chunk", CHUNKED),
    cut("in a chunk size", CHUNKED + b"1"),
    cut("in a chunk line", CHUNKED + b"2\r"),
    cut("in an extension", CHUNKED + b"2;a"),
    cut("in a chunk", CHUNKED + b"5\r\nhell", b"hell"),
    cut("after a chunk", CHUNKED + b"5\r\nhello", b"hello"),
    cut("in the CRLF after a chunk", CHUNKED + b"5\r\nhello\r", b"hello"),
    cut("after a chunk's CRLF", CHUNKED + b"5\r\nhello\r\n", b"hello"),
    cut("in the last chunk's size", CHUNKED + b"2\r\nhi\r\n0", b"hi", END),
    cut("before the last CRLF", CHUNKED + b"2\r\nhi\r\n0\r\n", b"hi", END),
    cut("in the last CRLF", CHUNKED + b"2\r\nhi\r\n0\r\n\r", b"hi", END),
    cut("in a trailer", CHUNKED + b"2\r\nhi\r\n0\r\nA: b", b"hi", END),
    cut("in the trailers", CHUNKED + b"2\r\nhi\r\n0\r\nA: b\r\n", b"hi", END),
    cut("in a chunk of 2^64 - 1 bytes", CHUNKED + b"f" * 16 + b"\r\nhi", b"hi"),
    Shape("EOF after all", SIZED + b"hi", body=b"hi", again=False, eof=True,
          rows=(183,)),
    Shape("EOF after all chunks", CHUNKED + b"2\r\nhi\r\n0\r\n\r\n", body=b"hi",
          again=False, eof=True, rows=(183,)),
    Shape("EOF after a 204", b"HTTP/1.1 204 No\r\n\r\n", 204, again=False, eof=True,
          rows=(183, 188)),
    Shape("EOF after a HEAD", SIZED, again=False, eof=True, method=b"HEAD",
          rows=(183, 188)),
    Shape("EOF as the end", OK + b"A: b\r\n\r\nto\r\n\r\nthe end",
          body=b"to\r\n\r\nthe end", again=False, eof=True, rows=(184,)),
    Shape("EOF as the end in HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\nthe end",
          body=b"the end", again=False, eof=True, rows=(184,)),
    Shape("EOF as the end of nothing", OK + b"\r\n", again=False, eof=True,
          rows=(184,)),
    Shape("EOF as the end of what looks like a response", OK + b"\r\n" + POISON,
          body=POISON, again=False, eof=True, rows=(184, 185)),
]  # fmt: skip

INTERIM = [
    Shape("100, 102 and 103",
          b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nA: b\r\n\r\n"
          b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nLink: </y>\r\n\r\n" + EMPTY,
          interim=[Interim(100, []), Interim(102, [(b"A", b"b")]),
                   Interim(103, [(b"Link", b"</x>"), (b"Link", b"</y>")])],
          rows=(187,), http_client=ONLY_100),
    Shape("1xx with an empty line behind",
          b"HTTP/1.1 100 Continue\r\n\r\n\r\n" + EMPTY,
          interim=[Interim(100, [])], rows=(169, 187),
          h11=NO_EMPTY_LINE, http_client=NO_EMPTY_LINE),
    Shape("1xx that nobody knows", b"HTTP/1.1 199 x\r\n\r\n" + EMPTY,
          interim=[Interim(199, [])], rows=(187,), http_client=ONLY_100),
    Shape("1xx in HTTP/1.0", b"HTTP/1.0 100 x\r\n\r\n" + EMPTY,
          interim=[Interim(100, [])], rows=(187,)),
    Shape("1xx with LF", b"HTTP/1.1 100 x\nA: b\n\n" + EMPTY,
          interim=[Interim(100, [(b"A", b"b")])], rows=(172, 187)),
    Shape("1xx with a length and close",
          b"HTTP/1.1 103 x\r\nContent-Length: 5\r\nConnection: close\r\n\r\n" + EMPTY,
          interim=[
              Interim(103, [(b"Content-Length", b"5"), (b"Connection", b"close")])
          ],
          rows=(187, 188), http_client=ONLY_100),
    Shape("1xx with a coding",
          b"HTTP/1.1 100 x\r\nTransfer-Encoding: chunked\r\n\r\n" + EMPTY,
          interim=[Interim(100, [(b"Transfer-Encoding", b"chunked")])],
          rows=(187, 188)),
    Shape("1xx with a bad length",
          b"HTTP/1.1 100 x\r\nContent-Length: x\r\n\r\n" + EMPTY,
          interim=[Interim(100, [(b"Content-Length", b"x")])], rows=(187, 188),
          h11=NO_BODY),
    Shape("1xx with a body", b"HTTP/1.1 100 x\r\nContent-Length: 2\r\n\r\nhi" + EMPTY,
          None, interim=[Interim(100, [(b"Content-Length", b"2")])],
          error=InvalidResponseError, again=False, rows=(187, 188)),
    Shape("1xx with a malformed field", b"HTTP/1.1 100 x\r\nno colon\r\n\r\n" + EMPTY,
          None, error=InvalidResponseError, again=False, rows=(170, 187),
          http_client=SKIPS),
    Shape("1xx, then no HTTP", b"HTTP/1.1 100 x\r\n\r\nhello", None,
          interim=[Interim(100, [])], error=InvalidResponseError, again=False,
          rows=(168, 187), h11=WAITS),
    Shape("1xx before a HEAD", b"HTTP/1.1 100 x\r\n\r\n" + SIZED,
          interim=[Interim(100, [])], method=b"HEAD", rows=(187, 188)),
    Shape("eight times 1xx", b"HTTP/1.1 100 x\r\n\r\n" * 8 + EMPTY,
          interim=[Interim(100, [])] * 8, rows=(187,)),
    Shape("nine times 1xx", b"HTTP/1.1 100 x\r\n\r\n" * 9 + EMPTY, None,
          interim=[Interim(100, [])] * 8, error=RemoteProtocolError, again=False,
          rows=(187,), h11=UNLIMITED_1XX, http_client=UNLIMITED_1XX),
    Shape("1xx without end", b"HTTP/1.1 100 x\r\n\r\n" * 20, None,
          interim=[Interim(100, [])] * 8, error=RemoteProtocolError, again=False,
          rows=(187,), h11=UNLIMITED_1XX),
]  # fmt: skip

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"

SWITCHES = [
    Shape("101 that nobody asked for", SWITCHED, None,
          error=InvalidResponseError, again=False, rows=(187,), http_client=ONLY_100),
    Shape("101 that nobody asked for, with a response", SWITCHED + EMPTY, None,
          error=InvalidResponseError, again=False, rows=(187,), http_client=ONLY_100),
    Shape("101 to an Upgrade", SWITCHED, 101, again=False, tunnel=b"",
          asking=UPGRADE, rows=(187,), http_client=NO_SWITCH),
    Shape("101 to an Upgrade, and more", SWITCHED + POISON, 101, again=False,
          tunnel=POISON, asking=UPGRADE, rows=(187,), http_client=NO_SWITCH),
    Shape("101 to an Upgrade, with a length",
          b"HTTP/1.1 101 x\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi!", 101,
          again=False, tunnel=b"hi!", asking=UPGRADE, rows=(187, 188),
          http_client=NO_SWITCH),
    Shape("101 to an Upgrade, then EOF", SWITCHED, 101, again=False, eof=True,
          tunnel=b"", asking=UPGRADE, rows=(187,)),
    Shape("100, then 101 to an Upgrade", b"HTTP/1.1 100 x\r\n\r\n" + SWITCHED, 101,
          interim=[Interim(100, [])], again=False, tunnel=b"", asking=UPGRADE,
          rows=(187,), http_client=NO_SWITCH),
    Shape("200 to an Upgrade", SIZED + b"hi", body=b"hi", asking=UPGRADE, rows=(187,)),
    Shape("426 to an Upgrade",
          b"HTTP/1.1 426 x\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi", 426,
          body=b"hi", asking=UPGRADE, rows=(187,)),
    tunnel("is answered by 200", b"200 OK"),
    tunnel("is answered by 299", b"299 x", status=299),
    tunnel("is answered by 204", b"204 x", status=204),
    tunnel("is answered with a length", b"200 OK\r\nContent-Length: 3"),
    tunnel("is answered with length 0", b"200 OK\r\nContent-Length: 0"),
    tunnel("is answered with a bad length", b"200 OK\r\nContent-Length: x",
           h11=TUNNEL_FIELDS),
    tunnel("is answered with a coding", b"200 OK\r\nTransfer-Encoding: chunked"),
    tunnel("is answered with a bad coding", b"200 OK\r\nTransfer-Encoding: gzip",
           h11=TUNNEL_FIELDS),
    tunnel("is answered with close", b"200 OK\r\nConnection: close"),
    tunnel("is answered after 100", b"100 x\r\n\r\nHTTP/1.1 200 OK",
           interim=[Interim(100, [])]),
    tunnel("ends", b"200 OK", eof=True),
    Shape("CONNECT in HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\nraw", again=False,
          tunnel=b"raw", method=b"CONNECT", rows=(189,), http_client=NO_TUNNEL),
    Shape("CONNECT refused", b"HTTP/1.1 407 x\r\nContent-Length: 2\r\n\r\nhi", 407,
          body=b"hi", method=b"CONNECT", rows=(189,)),
    Shape("CONNECT refused in chunks",
          b"HTTP/1.1 407 x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
          407, body=b"hi", method=b"CONNECT", rows=(189,)),
    Shape("CONNECT refused until EOF", b"HTTP/1.1 502 x\r\n\r\nhi", 502,
          body=b"hi", again=False, eof=True, method=b"CONNECT", rows=(189,)),
    Shape("CONNECT sent elsewhere", b"HTTP/1.1 300 x\r\nContent-Length: 2\r\n\r\nhi",
          300, body=b"hi", method=b"CONNECT", rows=(189,)),
]  # fmt: skip

BODILESS = [
    bodyless("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5", 200, method=b"HEAD"),
    bodyless("HEAD, chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", 200,
             method=b"HEAD"),
    bodyless("HEAD without framing", b"HTTP/1.1 200 OK", 200, method=b"HEAD"),
    bodyless("HEAD with a bad length", b"HTTP/1.1 200 OK\r\nContent-Length: x", 200,
             method=b"HEAD", h11=NO_BODY),
    bodyless("HEAD with two lengths",
             b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6", 200,
             method=b"HEAD", h11=NO_BODY),
    bodyless("HEAD with a bad coding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: x", 200,
             method=b"HEAD", h11=NO_BODY),
    bodyless("HEAD with a 404", b"HTTP/1.1 404 No\r\nContent-Length: 5", 404,
             method=b"HEAD"),
    bodyless("HEAD in HTTP/1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 5", 200,
             method=b"HEAD", again=False),
    bodyless("HEAD and close", b"HTTP/1.1 200 OK\r\nConnection: close", 200,
             method=b"HEAD", again=False),
    bodyless("204", b"HTTP/1.1 204 No Content", 204),
    bodyless("204 with length 0", b"HTTP/1.1 204 No Content\r\nContent-Length: 0", 204),
    bodyless("204 with a length", b"HTTP/1.1 204 No Content\r\nContent-Length: 5", 204,
             again=False, h11=BODY_204, http_client=BODY_204),
    bodyless("204 with a coding", b"HTTP/1.1 204 x\r\nTransfer-Encoding: chunked", 204,
             again=False, h11=BODY_204, http_client=NO_BODY),
    bodyless("204 in HTTP/1.0", b"HTTP/1.0 204 x", 204, again=False),
    bodyless("304", b"HTTP/1.1 304 Not Modified", 304),
    bodyless("304 with a length", b"HTTP/1.1 304 x\r\nContent-Length: 5", 304),
    bodyless("304 with a bad coding", b"HTTP/1.1 304 x\r\nTransfer-Encoding: x", 304,
             h11=NO_BODY),
    Shape("205 with a body", b"HTTP/1.1 205 x\r\nContent-Length: 2\r\n\r\nhi", 205,
          body=b"hi", rows=(188,)),
    Shape("205 without a length", b"HTTP/1.1 205 x\r\n\r\nhi", 205, body=b"hi",
          again=False, eof=True, rows=(188,)),
]  # fmt: skip

KEEPING = [
    connection(b"Connection: close", False),
    connection(b"connection: CLOSE", False),
    connection(b"Connection: a, Close ,b", False),
    connection(b"Connection: a\r\nConnection: close", False, http_client=FIRST_LINE),
    connection(b"Connection: keep-alive, close", False),
    connection(b"Connection:\r\n close", False, http_client=KEEPS_FOLD),
    connection(b"Connection: ,,close,", False),
    connection(b"Connection: keep-alive", True),
    connection(b"Connection: closed", True, http_client=SUBSTRING),
    connection(b"Connection: disclose", True, http_client=SUBSTRING),
    connection(b"Connection: close;q=1", True, http_client=SUBSTRING),
    connection(b"Connection: \"close\"", True, http_client=SUBSTRING),
    connection(b"Connection: x-close", True, http_client=SUBSTRING),
    connection(b"Connection:", True),
    connection(b"Connection: upgrade", True),
    connection(b"Proxy-Connection: close", True),
    connection(b"Keep-Alive: timeout=5, max=1", True),
    old("alone", b""),
    old("that keeps alive", b"Connection: Keep-Alive\r\n", True, h11=KEEPS_OLD),
    old("that keeps alive in a list", b"Connection: a, keep-alive\r\n", True,
        h11=KEEPS_OLD),
    old("that keeps alive and does not", b"Connection: keep-alive, close\r\n",
        http_client=CLOSE_WINS),
    old("with Keep-Alive only", b"Keep-Alive: timeout=5\r\n",
        http_client=NOT_CONNECTION),
    old("with Proxy-Connection", b"Proxy-Connection: keep-alive\r\n",
        http_client=NOT_CONNECTION),
    old("with another word", b"Connection: no-keep-alive\r\n", http_client=SUBSTRING),
    Shape("keep-alive without an end",
          b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\nhi", body=b"hi",
          again=False, eof=True, rows=(190,)),
    Shape("close was asked for", SIZED + b"hi", body=b"hi", again=False,
          asking=[(b"Connection", b"Close")], rows=(190,), http_client=ASKED),
    Shape("an answer during the upload", SIZED + b"hi", body=b"hi", method=b"POST",
          upload=9, rows=(191,)),
    Shape("a refusal during the upload",
          b"HTTP/1.1 413 x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", 413,
          body=b"hi", again=False, method=b"POST", upload=9, rows=(191,)),
    Shape("an answer during the upload, then EOF", SIZED + b"hi", body=b"hi",
          again=False, eof=True, method=b"POST", upload=9, rows=(191,)),
    Shape("100 during the upload", b"HTTP/1.1 100 Continue\r\n\r\n" + SIZED + b"hi",
          body=b"hi", interim=[Interim(100, [])], method=b"POST", upload=9,
          rows=(187, 191)),
]  # fmt: skip

SURPLUSES = [
    surplus("a response", EMPTY + POISON),
    surplus("a response after a body", SIZED + b"hi" + POISON, body=b"hi"),
    surplus("a response after chunks", CHUNKED + b"0\r\n\r\n" + POISON),
    surplus("a response after trailers", CHUNKED + b"0\r\nA: b\r\n\r\n" + POISON,
            trailers=[(b"A", b"b")]),
    surplus("a response after a HEAD", SIZED + POISON, method=b"HEAD"),
    surplus("a response after a 204", b"HTTP/1.1 204 x\r\n\r\n" + POISON, 204),
    surplus("a response after a 304", b"HTTP/1.1 304 x\r\n\r\n" + POISON, 304),
    surplus("the body of a HEAD", SIZED + b"hi", method=b"HEAD"),
    surplus("the chunks of a HEAD", CHUNKED + b"0\r\n\r\n", method=b"HEAD"),
    surplus("the body of a 204",
            b"HTTP/1.1 204 x\r\nContent-Length: 2\r\n\r\nhi", 204),
    surplus("the body of a 304",
            b"HTTP/1.1 304 x\r\nContent-Length: 2\r\n\r\nhi", 304),
    surplus("the chunks of a 304",
            b"HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 304),
    surplus("more of a body", SIZED + b"hi!", body=b"hi"),
    surplus("CRLF after a body", SIZED + b"hi\r\n", body=b"hi"),
    surplus("CRLF after chunks", CHUNKED + b"0\r\n\r\n\r\n"),
    surplus("a chunk after the last", CHUNKED + b"0\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
    surplus("NUL", EMPTY + b"\0"),
    surplus("a 408", EMPTY + b"HTTP/1.1 408 Request Timeout\r\n\r\n"),
    surplus("a 100", EMPTY + b"HTTP/1.1 100 Continue\r\n\r\n"),
    surplus("a response after a refused CONNECT",
            b"HTTP/1.1 407 x\r\nContent-Length: 0\r\n\r\n" + POISON, 407,
            method=b"CONNECT"),
]  # fmt: skip

#: Every shape, by topic, in the order of the documentation.
TOPICS = {
    "Status lines": STATUS_LINES,
    "Fields": FIELDS,
    "Folds, line ends and limits": LINES,
    "Content-Length": LENGTHS,
    "Transfer-Encoding": TRANSFER_CODINGS,
    "Chunks": CHUNKS,
    "Trailers": TRAILER_SECTIONS,
    "The end of the connection": ENDS,
    "Interim responses": INTERIM,
    "Upgrade and CONNECT": SWITCHES,
    "Responses without a body": BODILESS,
    "Keeping the connection": KEEPING,
    "Bytes after a response": SURPLUSES,
}
SHAPES = [shape for shapes in TOPICS.values() for shape in shapes]
