"""The small functions that older code imports."""

from __future__ import annotations

import pytest

from hyper import HTTPVersion, LocalProtocolError
from hyper.common import util
from hyper.common.util import (
    to_bytestring,
    to_bytestring_tuple,
    to_host_port_tuple,
    to_native_string,
)


def test_the_version_of_http_is_where_it_was():
    assert util.HTTPVersion is HTTPVersion
    assert HTTPVersion.http11.value == "HTTP/1.1"
    assert HTTPVersion.http20.value == "HTTP/2"


def test_a_str_becomes_bytes_in_utf_8():
    assert to_bytestring("grüße") == "grüße".encode()
    assert to_bytestring(b"\xff") == b"\xff"
    assert to_bytestring_tuple("a", b"b") == (b"a", b"b")
    assert to_bytestring_tuple() == ()


@pytest.mark.parametrize("thing", [1, None, bytearray(b"a"), ["a"]])
def test_what_is_no_string_is_refused(thing):
    with pytest.raises(ValueError, match="string"):
        to_bytestring(thing)
    with pytest.raises(ValueError, match="string"):
        to_bytestring_tuple("a", thing)


def test_bytes_become_a_str():
    assert to_native_string("grüße".encode()) == "grüße"
    assert to_native_string(b"\xfc", "latin-1") == "ü"
    assert to_native_string("ü") == "ü"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost", ("localhost", 80)),
        ("localhost:1234", ("localhost", 1234)),
        ("localhost:", ("localhost", 80)),
        ("192.0.2.1:1234", ("192.0.2.1", 1234)),
        ("[::1]", ("::1", 80)),
        ("[::1]:1234", ("::1", 1234)),
        ("user:secret@localhost:1234", ("localhost", 1234)),
    ],
)
def test_a_host_is_split_from_its_port(text, expected):
    assert to_host_port_tuple(text) == expected


def test_the_port_may_have_another_default():
    assert to_host_port_tuple("localhost", default_port=443) == ("localhost", 443)
    assert to_host_port_tuple("[::1]", 443) == ("::1", 443)


@pytest.mark.parametrize("text", ["", ":80", "localhost:port", "[::1", "a/b"])
def test_what_is_no_host_is_refused(text):
    with pytest.raises(LocalProtocolError):
        to_host_port_tuple(text)
