"""HPACK, against the hpack package, the examples of RFC 7541 and other encoders."""

import hpack
import pytest
from hpack import HeaderTuple, NeverIndexedHeaderTuple
from hpack.exceptions import (
    HPACKDecodingError,
    InvalidTableIndexError,
    InvalidTableSizeError,
    OversizedHeaderListError,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from stories import cases_of, each_story

from hyper.http20 import hpack as ours
from hyper.http20.hpack import Decoder, Encoder

REQUEST = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"www.example.com"),
    (b":path", b"/"),
    (b"user-agent", b"hyper"),
    (b"x-custom", b"a value that is used again"),
]

NAMES = st.sampled_from(
    [b":path", b":status", b"cookie", b"date", b"x-a", b"x-b", b"x-long" * 20, b""]
) | st.binary(max_size=12)
VALUES = st.sampled_from([b"", b"/", b"200", b"GET", b"\xff" * 40]) | st.binary(
    max_size=80
)
FIELDS = st.tuples(NAMES, VALUES) | st.builds(NeverIndexedHeaderTuple, NAMES, VALUES)
SECTIONS = st.lists(FIELDS, max_size=8)
TABLE_SIZES = st.sampled_from([0, 40, 100, 300, 4096])


def kinds(fields):
    """Return of each field whether it is never indexed."""
    return [type(field) is NeverIndexedHeaderTuple for field in fields]


def mirror(encoder):
    """Return a decoder of the hpack package for what the encoder makes."""
    decoder = hpack.Decoder(max_header_list_size=1 << 20)
    decoder.max_allowed_table_size = max(4096, encoder.header_table_size)
    return decoder


# Both ways, against hpack.


@given(st.lists(st.tuples(SECTIONS, st.none() | TABLE_SIZES), max_size=12))
@settings(deadline=None)
def test_hpack_reads_whatever_is_encoded(story):
    encoder, decoder = Encoder(), hpack.Decoder()
    for section, size in story:
        if size is not None:
            encoder.header_table_size = size
        for _ in range(2):
            fields = list(decoder.decode(encoder.encode(section), raw=True))
            assert fields == section
            assert kinds(fields) == kinds(section)
            assert decoder.header_table_size == encoder.header_table_size


@given(st.lists(st.tuples(SECTIONS, st.none() | TABLE_SIZES), max_size=12))
@settings(deadline=None)
def test_whatever_hpack_encodes_is_read(story):
    encoder, decoder = hpack.Encoder(), Decoder()
    theirs = hpack.Decoder()
    for section, size in story:
        if size is not None:
            encoder.header_table_size = size
        # The third time it may be known.
        for huffman in (True, False, False):
            block = encoder.encode(section, huffman)
            fields = decoder.decode(block, raw=True)
            assert fields == section
            assert kinds(fields) == kinds(theirs.decode(block, raw=True))
            assert decoder.header_table_size == theirs.header_table_size


@given(st.lists(st.binary(max_size=60), max_size=4))
@settings(deadline=None)
def test_random_bytes_are_read_as_hpack_reads_them(blocks):
    decoder, theirs = Decoder(2000), hpack.Decoder(2000)
    for block in blocks:
        result, expected = outcome(decoder, block), outcome(theirs, block)
        if result == "a header block that resizes the table again":
            return  # hpack lets it resize without end
        assert type(result) is type(expected)
        if isinstance(expected, str):
            return
        assert result == expected


def outcome(decoder, block):
    """Return the fields of a block, or what is wrong with it."""
    try:
        return list(decoder.decode(block, raw=True))
    except HPACKDecodingError as fault:
        return str(fault)


@given(
    st.lists(
        st.lists(
            st.tuples(NAMES.filter(lambda name: name != b":path"), VALUES), max_size=8
        ),
        max_size=12,
    )
)
@settings(deadline=None)
def test_a_block_without_path_is_never_longer_than_that_of_hpack(story):
    encoder, theirs = Encoder(), hpack.Encoder()
    for section in story:
        assert len(encoder.encode(section)) <= len(theirs.encode(section))


@given(st.binary(max_size=300))
def test_huffman_code_goes_there_and_back(text):
    encoder, decoder = Encoder(), Decoder()
    for _ in range(2):
        block = encoder.encode([(b"a", text)])
        assert decoder.decode(block, raw=True) == [(b"a", text)]


# Other encoders.


@each_story
def test_the_stories_of_hpack_test_case_are_read_and_told_in_fewer_bytes(path):
    decoder, encoder = Decoder(), Encoder()
    theirs, back = hpack.Encoder(), mirror(encoder)
    told = told_by_hpack = 0
    for fields, block, size in cases_of(path):
        decoder.max_allowed_table_size = max(size, decoder.max_allowed_table_size)
        assert decoder.decode(block, raw=True) == fields
        ours = encoder.encode(fields)
        assert list(back.decode(ours, raw=True)) == fields
        told += len(ours)
        told_by_hpack += len(theirs.encode(fields))
    assert told <= told_by_hpack


def test_the_example_of_rfc_7541_with_huffman_code():
    # Appendix C.4.
    requests = [
        ([(b"www.example.com", b"/")], "828684418cf1e3c2e5f23a6ba0ab90f4ff"),
        ([(b"www.example.com", b"/")], "828684be5886a8eb10649cbf"),
    ]
    encoder, decoder = Encoder(), Decoder()
    section = [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":path", b"/"),
        (b":authority", b"www.example.com"),
    ]
    for extra, (_, wire) in zip(
        ([], [(b"cache-control", b"no-cache")]), requests, strict=True
    ):
        assert encoder.encode(section + extra).hex() == wire
        assert decoder.decode(bytes.fromhex(wire), raw=True) == section + extra


# What may be given, and what comes out.


def test_headers_may_be_given_as_hpack_takes_them():
    encoder, decoder = Encoder(), Decoder()
    mapping = {"x-a": "1", ":path": "/\xe9", b":method": b"GET"}
    assert decoder.decode(encoder.encode(mapping)) == [
        (":path", "/\xe9"),
        (":method", "GET"),
        ("x-a", "1"),
    ]
    given = [("a", "1"), (b"b", "2", True), (b"c", b"3", False), HeaderTuple("d", "4")]
    fields = decoder.decode(encoder.encode(iter(given)), raw=True)
    assert fields == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3"), (b"d", b"4")]
    assert kinds(fields) == [False, True, False, False]
    # Text finds what bytes have put into the table.
    assert len(encoder.encode([("c", "3"), (":method", "GET")])) == 2


def test_what_is_decoded_is_the_callers_own():
    encoder, decoder = Encoder(), Decoder()
    encoder.encode(REQUEST)
    decoder.decode(Encoder().encode(REQUEST))
    block = encoder.encode(REQUEST)
    for _ in range(3):
        fields = decoder.decode(block, raw=True)
        assert fields == REQUEST
        fields.clear()


def test_a_section_that_is_sent_again_takes_a_byte_a_field():
    encoder = Encoder()
    encoder.encode(REQUEST)
    assert len(encoder.encode(REQUEST)) == len(REQUEST)
    assert len(encoder.encode([*REQUEST, (b"new", b"field")])) > len(REQUEST)
    assert len(encoder.encode(REQUEST)) == len(REQUEST)


def test_a_section_that_is_sent_again_after_the_table_has_changed_is_read_right():
    encoder, decoder = Encoder(), hpack.Decoder()
    for number in range(300):
        for section in (REQUEST, REQUEST, [(b"x-%d" % number, b"y" * 40)]):
            assert decoder.decode(encoder.encode(section), raw=True) == section


def test_a_field_that_is_never_indexed_is_told_from_one_that_is():
    secret = [NeverIndexedHeaderTuple(b"authorization", b"secret")]
    public = [HeaderTuple(b"authorization", b"secret")]
    encoder, decoder = Encoder(), Decoder()
    for section in (secret, public, public, secret, public):
        fields = decoder.decode(encoder.encode(section), raw=True)
        if section is secret:
            assert kinds(fields) == [True]
    assert len(encoder.encode(public)) == 1
    assert len(encoder.encode(secret)) > 1, "not even if an equal one is in the table"


def test_of_many_paths_those_that_come_again_come_into_the_table():
    encoder, theirs = Encoder(), hpack.Decoder()
    encoder.encode([(b"x-padding", b"x" * 1000)])
    theirs.decode(Encoder().encode([(b"x-padding", b"x" * 1000)]))
    indexed = []
    for path in [b"/once", b"/often", b"/often", b"/often", b"/once", b"/often"]:
        block = encoder.encode([(b":path", path)])
        assert theirs.decode(block, raw=True) == [(b":path", path)]
        indexed.append(len(block) == 1)
    assert indexed == [False, False, False, True, False, True]


def test_paths_that_never_come_again_leave_the_table_to_other_fields():
    encoder = Encoder()
    encoder.encode([(b"user-agent", b"hyper")])
    for number in range(1000):
        encoder.encode([(b":path", b"/%d" % number)])
    assert len(encoder.encode([(b"user-agent", b"hyper")])) == 1


def test_without_huffman_code_text_stays_readable():
    block = Encoder().encode([(b"name", b"value")], huffman=False)
    assert block == b"\x40\x04name\x05value"
    assert Encoder().encode([(b"name", b"value")]) != block


def test_a_field_larger_than_the_table_does_not_empty_it():
    encoder, decoder = Encoder(), hpack.Decoder()
    for section in (REQUEST, [(b"huge", b"x" * 5000)], [(b"cookie", b"y" * 5000)]):
        assert decoder.decode(encoder.encode(section), raw=True) == section
    assert len(encoder.encode(REQUEST)) == len(REQUEST)


def test_a_table_of_hundreds_of_entries_is_indexed():
    encoder, decoder = Encoder(), Decoder()
    encoder.header_table_size = decoder.max_allowed_table_size = 65536
    theirs = mirror(encoder)
    sections = [[(b"x-%d" % number, b"")] for number in range(1000)]
    for section in sections + sections:
        block = encoder.encode(section)
        assert theirs.decode(block, raw=True) == section
        assert decoder.decode(block, raw=True) == section
    assert len(encoder.encode(sections[0])) == 3


# The size of the table.


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ([4096], []),
        ([64], [64]),
        ([64, 64], [64]),
        ([0, 0], [0]),
        ([64, 4096], [64, 4096]),
        ([64, 4096, 64], [64]),
        ([100, 4096, 50, 2000], [50, 2000]),
    ],
)
def test_the_smallest_size_of_the_table_and_the_last_are_told_once(sizes, told):
    encoder = Encoder()
    encoder.encode(REQUEST)
    for size in sizes:
        encoder.header_table_size = size
    block = encoder.encode(REQUEST)
    seen = []
    while block[0] & 0xE0 == 0x20:
        size, length = hpack.hpack.decode_integer(block, 5)
        seen.append(size)
        block = block[length:]
    assert seen == told
    assert encoder.encode(REQUEST)[0] & 0xE0 != 0x20


def test_a_table_that_was_made_smaller_has_lost_what_it_had():
    block = Encoder().encode([(b"a", b"1"), (b"b", b"2")])
    decoder = Decoder()
    decoder.decode(block)
    assert decoder.decode(b"\xbe\xbf") == [("b", "2"), ("a", "1")]
    decoder.decode(b"\x3f\x05\x3f\xe1\x1f")  # to 36 and back to 4096
    assert decoder.header_table_size == 4096
    assert decoder.decode(b"\xbe") == [("b", "2")]
    with pytest.raises(InvalidTableIndexError):
        decoder.decode(b"\xbf")


def test_an_entry_larger_than_the_table_empties_it():
    decoder = Decoder()
    decoder.decode(Encoder().encode([(b"a", b"1")]))
    huge = hpack.Encoder().encode([(b"b", b"2" * 5000)])
    assert decoder.decode(huge) == [("b", "2" * 5000)]
    for block in (b"\xbe", b"\xbf"):
        with pytest.raises(InvalidTableIndexError):
            decoder.decode(block)


def test_a_block_that_is_known_still_obeys_the_limits():
    decoder = Decoder()
    whole = Encoder().encode(REQUEST)
    encoder = hpack.Encoder()
    encoder.encode(REQUEST)
    bound = encoder.encode(REQUEST)
    for _ in range(2):
        assert decoder.decode(whole, raw=True) == REQUEST
    decoder = Decoder()
    for block in (whole, bound, bound):
        assert decoder.decode(block, raw=True) == REQUEST
    decoder.max_header_list_size = 100
    for block in (whole, bound):
        with pytest.raises(OversizedHeaderListError):
            decoder.decode(block, raw=True)
    decoder.max_header_list_size = 65536
    decoder.max_allowed_table_size = 1000
    for block in (whole, bound):
        with pytest.raises(InvalidTableSizeError):
            decoder.decode(block, raw=True)


def test_a_block_is_not_known_after_the_table_has_changed():
    encoder, decoder = hpack.Encoder(), Decoder()
    decoder.decode(encoder.encode([(b"a", b"1")]))
    for _ in range(2):
        assert decoder.decode(b"\xbe") == [("a", "1")]
    decoder.decode(encoder.encode([(b"b", b"2")]))
    assert decoder.decode(b"\xbe") == [("b", "2")]
    decoder.decode(b"\x20")
    with pytest.raises(InvalidTableIndexError):
        decoder.decode(b"\xbe")


def test_what_is_kept_has_bounds():
    # Blocks and strings that never come again, far more than are kept.
    encoder, decoder, theirs = Encoder(), Decoder(), hpack.Decoder()
    for number in range(5 * max(ours.BLOCKS_KEPT, ours.STRINGS_KEPT)):
        section = [(b":status", b"200"), (b"etag", b"%x" % (number * 7919**3))]
        block = encoder.encode(section)
        assert decoder.decode(block, raw=True) == section
        assert theirs.decode(block, raw=True) == section
        secret = [(b"cookie", b"%x" % number, True)]
        assert theirs.decode(encoder.encode(secret), raw=True) == [secret[0][:2]]


# Faults.


@pytest.mark.parametrize(
    ("block", "error"),
    [
        ("80", InvalidTableIndexError),
        ("be", InvalidTableIndexError),
        ("7f00", InvalidTableIndexError),
        ("0f2f0161", InvalidTableIndexError),
        ("ff8080808001", InvalidTableIndexError),
        ("ff808080808001", HPACKDecodingError),
        ("ff", HPACKDecodingError),
        ("ff80", HPACKDecodingError),
        ("40", HPACKDecodingError),
        ("4001", HPACKDecodingError),
        ("400161", HPACKDecodingError),
        ("4001610162", None),
        ("40016102", HPACKDecodingError),
        ("4001610262", HPACKDecodingError),
        ("00017f7fffffffff7f61", HPACKDecodingError),
        ("8820", HPACKDecodingError),
        ("3fe21f", InvalidTableSizeError),
        ("3fe11f", None),
        ("3f", HPACKDecodingError),
        ("202020", HPACKDecodingError),
        ("203f0088", None),
        # Huffman code: of '0' and five ones; and what may not be.
        ("0f0d8107", None),
        ("0f0d8100", HPACKDecodingError),
        ("0f0d81ff", HPACKDecodingError),
        ("0f0d8207ff", HPACKDecodingError),
        ("0f0d84ffffffff", HPACKDecodingError),
        ("0f0d85ffffffffff", HPACKDecodingError),
    ],
)
def test_a_block_that_cannot_be_is_refused(block, error):
    block = bytes.fromhex(block)
    if error is None:
        Decoder().decode(block, raw=True)
        hpack.Decoder().decode(block, raw=True)
        return
    with pytest.raises(error):
        Decoder().decode(block, raw=True)


@pytest.mark.parametrize("end", range(1, 60))
def test_a_block_that_is_cut_short_is_refused_or_means_what_hpack_says(end):
    block = Encoder().encode(REQUEST)[:end]
    try:
        expected = list(hpack.Decoder().decode(block, raw=True))
    except HPACKDecodingError:
        with pytest.raises(HPACKDecodingError):
            Decoder().decode(block, raw=True)
    else:
        assert Decoder().decode(block, raw=True) == expected


def test_a_section_over_the_limit_is_refused():
    block = Encoder().encode([(b"a", b"b" * 67)])
    assert len(Decoder(max_header_list_size=100).decode(block)) == 1
    with pytest.raises(OversizedHeaderListError):
        Decoder(max_header_list_size=99).decode(block)


def test_a_bomb_of_indexed_fields_is_refused():
    decoder = Decoder()
    decoder.decode(Encoder().encode([(b"a", b"b" * 4000)]))
    with pytest.raises(OversizedHeaderListError):
        decoder.decode(b"\xbe" * 100_000)


def test_text_that_is_not_utf_8_is_left_to_those_who_want_bytes():
    block = Encoder().encode([(b"a", b"\xff")])
    assert Decoder().decode(block, raw=True) == [(b"a", b"\xff")]
    with pytest.raises(HPACKDecodingError):
        Decoder().decode(block)
