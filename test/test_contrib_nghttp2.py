"""HPACK by libnghttp2: against hyper's own coder, both ways, and in a connection."""

from __future__ import annotations

import json
import os

import pytest
from hpack import HeaderTuple, NeverIndexedHeaderTuple
from hpack.exceptions import HPACKDecodingError, OversizedHeaderListError
from hypothesis import given, settings
from hypothesis import strategies as st
from stories import cases_of, each_story

from hyper import HTTP20Connection, http2bin
from hyper.http20 import hpack as ours

try:
    from hyper.contrib.nghttp2 import (
        Decoder,
        Encoder,
        HDDeflater,
        HDInflater,
        Nghttp2Machine,
    )
except ImportError as missing:
    if os.environ.get("HYPER_REQUIRE_SERVERS"):
        raise
    pytest.skip(str(missing), allow_module_level=True)

NAMES = st.sampled_from(
    [b":path", b":status", b"cookie", b"date", b"x-a", b"x-long" * 20]
) | st.binary(min_size=1, max_size=12)
VALUES = st.sampled_from([b"", b"/", b"200", b"\xff" * 40, b"\0"]) | st.binary(
    max_size=80
)
FIELDS = st.tuples(NAMES, VALUES) | st.builds(NeverIndexedHeaderTuple, NAMES, VALUES)
SECTIONS = st.lists(FIELDS, max_size=8)
TABLE_SIZES = st.sampled_from([0, 40, 100, 300, 4096, 10_000])
STORY = st.lists(st.tuples(SECTIONS, st.none() | TABLE_SIZES), max_size=12)


@given(STORY)
@settings(deadline=None)
def test_what_it_encodes_is_read_by_ours(story):
    encoder, decoder = Encoder(), ours.Decoder()
    decoder.max_allowed_table_size = 10_000
    for section, size in story:
        if size is not None:
            encoder.header_table_size = size
        for _ in range(2):
            fields = decoder.decode(encoder.encode(section), raw=True)
            assert fields == section
            assert decoder.header_table_size == encoder.header_table_size
            for asked, told in zip(section, fields, strict=True):
                if type(asked) is NeverIndexedHeaderTuple:
                    assert type(told) is NeverIndexedHeaderTuple


@given(STORY)
@settings(deadline=None)
def test_what_ours_encodes_is_read_by_it(story):
    encoder, decoder = ours.Encoder(), Decoder()
    decoder.max_allowed_table_size = 10_000
    assert decoder.max_allowed_table_size == 10_000
    for section, size in story:
        if size is not None:
            encoder.header_table_size = size
        for _ in range(2):
            fields = decoder.decode(encoder.encode(section), raw=True)
            assert fields == section
            assert decoder.header_table_size == encoder.header_table_size
            assert [type(field) is NeverIndexedHeaderTuple for field in fields] == [
                type(field) is NeverIndexedHeaderTuple for field in section
            ]


@given(st.lists(st.binary(max_size=60), max_size=4))
@settings(deadline=None)
def test_random_bytes_are_read_as_ours_reads_them(blocks):
    decoder, theirs = Decoder(2000), ours.Decoder(2000)
    for block in blocks:
        result, expected = outcome(decoder, block), outcome(theirs, block)
        if expected == "a header block that resizes the table again":
            return  # nghttp2 lets it resize without end, as hpack does
        assert type(result) is type(expected)
        if isinstance(expected, str):
            return
        assert result == expected


def outcome(decoder, block):
    """Return the fields of a block, or what is wrong with it."""
    try:
        return decoder.decode(block, raw=True)
    except HPACKDecodingError as fault:
        return str(fault)


@each_story
def test_the_stories_of_hpack_test_case_are_read_and_told(path):
    decoder, encoder, back = Decoder(1 << 20), Encoder(), ours.Decoder(1 << 20)
    for fields, block, size in cases_of(path):
        decoder.max_allowed_table_size = max(size, decoder.max_allowed_table_size)
        assert decoder.decode(block, raw=True) == fields
        assert back.decode(encoder.encode(fields), raw=True) == fields


@pytest.mark.parametrize(
    "headers",
    [
        {"a": "1", ":path": "/"},
        [(":path", "/"), ("a", "1")],
        [HeaderTuple(b":path", b"/"), (b"a", b"1", False)],
        [NeverIndexedHeaderTuple(b":path", b"/"), (b"a", b"1", True)],
    ],
)
def test_headers_may_be_given_as_hpack_takes_them(headers):
    block = Encoder().encode(headers)
    assert Decoder().decode(block) == [(":path", "/"), ("a", "1")]
    assert ours.Decoder().decode(block) == [(":path", "/"), ("a", "1")]


def test_a_sensitive_field_is_never_indexed():
    encoder, decoder = Encoder(), Decoder()
    for secret in [NeverIndexedHeaderTuple(b"x-key", b"1"), (b"x-key", b"1", True)]:
        for _ in range(2):
            block = encoder.encode([secret])
            (field,) = decoder.decode(block, raw=True)
            assert block[0] >> 4 == 1
            assert type(field) is NeverIndexedHeaderTuple


def test_a_table_that_was_made_smaller_has_to_be_obeyed():
    encoder, decoder = Encoder(), Decoder()
    decoder.max_allowed_table_size = 100
    assert decoder.max_allowed_table_size == 100
    with pytest.raises(HPACKDecodingError):
        decoder.decode(encoder.encode([(b"a", b"1")]))


def test_a_larger_table_than_allowed_is_refused():
    encoder = ours.Encoder()
    encoder.header_table_size = 5000
    with pytest.raises(HPACKDecodingError):
        Decoder().decode(encoder.encode([(b"a", b"1")]))


def test_a_section_over_the_limit_is_refused():
    block = ours.Encoder().encode([(b"a", b"1" * 100)])
    assert Decoder(133).decode(block, raw=True) == [(b"a", b"1" * 100)]
    with pytest.raises(OversizedHeaderListError):
        Decoder(132).decode(block)


def test_a_bomb_of_indexed_fields_is_refused():
    block = ours.Encoder().encode([(b"a", b"1" * 3000)]) + b"\xbe" * 1_000_000
    with pytest.raises(OversizedHeaderListError):
        Decoder().decode(block)


def test_text_that_is_not_utf_8_is_left_to_those_who_want_bytes():
    block = Encoder().encode([(b"a", b"\xff")])
    assert Decoder().decode(block, raw=True) == [(b"a", b"\xff")]
    with pytest.raises(HPACKDecodingError, match="UTF-8"):
        Decoder().decode(block)


def test_the_bindings_are_used_as_those_of_nghttp2():
    deflater, inflater = HDDeflater(), HDInflater()
    headers = [(b":status", b"200"), (b"x-a", b"a\0b")]
    first, second = deflater.deflate(headers), deflater.deflate(headers)
    assert len(second) < len(first)
    assert inflater.inflate(first) == inflater.inflate(second) == headers
    deflater.change_table_size(0)
    inflater.change_table_size(0)
    assert inflater.inflate(deflater.deflate(headers)) == headers
    assert deflater.table_size == inflater.table_size == 0


def test_a_field_that_is_too_large_for_it_is_refused():
    block = ours.Encoder().encode([(b"a", b"\xff" * 70_000)])
    with pytest.raises(HPACKDecodingError):
        Decoder(1 << 20).decode(block)


def test_a_connection_uses_it_when_it_is_asked_to():
    machines = []

    def machine(settings):
        machines.append(Nghttp2Machine(settings))
        return machines[-1]

    with (
        http2bin.serve(tls=False) as server,
        HTTP20Connection("localhost", server.port, state_machine=machine) as conn,
    ):
        for number in range(3):
            conn.request("GET", "/headers", headers={"X-Number": str(number)})
            with conn.get_response() as response:
                assert response.status == 200
                answer = json.loads(response.read())
            assert answer["headers"]["x-number".title()] == str(number)
    assert isinstance(machines[0].decoder, Decoder)
    assert isinstance(machines[0].encoder, Encoder)
