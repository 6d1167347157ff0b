"""Content codings undone, a bounded piece at a time."""

from __future__ import annotations

import gzip
import sys
import tracemalloc
import zlib
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyper.common.decoder import accept_encoding, decoder_for
from hyper.common.exceptions import DecodingError

ZSTD = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
needs_brotli = pytest.mark.skipif(not find_spec("brotli"), reason="brotli is missing")
needs_zstd = pytest.mark.skipif(not find_spec(ZSTD), reason="zstd is missing")

EVERY = [
    "gzip",
    "deflate",
    pytest.param("br", marks=needs_brotli),
    pytest.param("zstd", marks=needs_zstd),
]
TEXT = b"".join(b"line %d of %d\n" % (n, n * n % 977) for n in range(4_000))


def raw_deflate(data, level=6):
    deflate = zlib.compressobj(level, wbits=-zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


def encode(coding, data):
    if coding in ("gzip", "x-gzip"):
        return gzip.compress(data, 6)
    if coding == "deflate":
        return zlib.compress(data)
    if coding == "br":
        return import_module("brotli").compress(data, quality=5)
    return import_module(ZSTD).compress(data)


def decode(codings, pieces, limit=65536):
    """Decode pieces of a body as a reader would, and check every promise on the way."""
    decoder = decoder_for([coding.encode() for coding in codings])
    output = bytearray()
    for piece in pieces:
        output += bounded(decoder, piece, limit)
        while not decoder.needs_input:
            output += bounded(decoder, b"", limit)
    decoder.finish()
    return bytes(output)


def bounded(decoder, piece, limit):
    output = decoder.decode(piece, limit)
    assert len(output) <= limit
    return output


def split(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.fixture
def modules(monkeypatch):
    """Install and hide libraries, forgetting what is known about them."""

    def put(**libraries):
        for name, library in libraries.items():
            monkeypatch.setitem(sys.modules, name.replace("_", "."), library)

    accept_encoding.cache_clear()
    yield put
    accept_encoding.cache_clear()


class TestEveryCoding:
    @pytest.mark.parametrize("coding", [*EVERY, "x-gzip"])
    @pytest.mark.parametrize("limit", [1, 1000, 65536, 1 << 30])
    @pytest.mark.parametrize("size", [1, 1000, 1 << 30])
    def test_content_comes_back(self, coding, limit, size):
        text = TEXT[:5_000] if limit == 1 else TEXT
        body = encode(coding, text)
        assert decode([coding], split(body, size), limit) == text

    @pytest.mark.parametrize("coding", EVERY)
    @settings(deadline=None)
    @given(data=st.data())
    def test_how_it_is_split_and_read_makes_no_difference(self, coding, data):
        content = data.draw(st.binary(max_size=200)) * data.draw(st.integers(0, 2000))
        body = encode(coding, content)
        cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=5).map(sorted))
        ends = [*cuts, len(body)]
        pieces = [body[a:b] for a, b in zip([0, *cuts], ends, strict=True)]
        limit = data.draw(st.integers(200, 100_000))
        assert decode([coding], pieces, limit) == content

    @pytest.mark.parametrize("coding", EVERY)
    def test_one_call_gives_no_more_than_was_asked_for(self, coding):
        decoder = decoder_for([coding.encode()])
        assert decoder.decode(encode(coding, TEXT), 7) == TEXT[:7]
        assert not decoder.needs_input
        assert decoder.decode(b"", 1) == TEXT[7:8]
        assert decoder.decode(b"", 9) == TEXT[8:17]

    @pytest.mark.parametrize("coding", EVERY)
    def test_input_may_come_before_the_last_output_was_taken(self, coding):
        decoder = decoder_for([coding.encode()])
        output = b"".join(
            decoder.decode(piece, 10) for piece in split(encode(coding, TEXT), 100)
        )
        while not decoder.needs_input:
            output += decoder.decode(b"", 1 << 20)
        decoder.finish()
        assert output == TEXT

    @pytest.mark.scenario(164)
    @pytest.mark.parametrize("coding", EVERY)
    def test_a_body_without_bytes_is_fine(self, coding):
        assert decode([coding], []) == b""
        assert decode([coding], [b"", b""]) == b""

    @pytest.mark.parametrize("coding", EVERY)
    def test_empty_content_is_fine(self, coding):
        assert decode([coding], [encode(coding, b"")]) == b""

    @pytest.mark.parametrize("coding", EVERY)
    def test_a_body_cut_short_is_an_error_at_its_end(self, coding):
        body = encode(coding, b"Some content, some more content.")
        for end in range(1, len(body)):
            decoder = decoder_for([coding.encode()])
            decoder.decode(body[:end], 1000)
            with pytest.raises(DecodingError, match=f"{coding} coding is cut short"):
                decoder.finish()

    @pytest.mark.scenario(164)
    @pytest.mark.parametrize("coding", EVERY)
    def test_another_format_is_an_error_and_stays_one(self, coding):
        decoder = decoder_for([coding.encode()])
        with pytest.raises(DecodingError, match=f"not valid {coding}"):
            decoder.decode(b"\xff<html>This was never encoded.</html>", 1000)
        with pytest.raises(DecodingError, match=f"not valid {coding}"):
            decoder.decode(b"", 1000)
        with pytest.raises(DecodingError, match=f"not valid {coding}"):
            decoder.finish()

    @pytest.mark.parametrize("coding", ["gzip", "deflate"])
    def test_a_wrong_checksum_is_an_error(self, coding):
        body = bytearray(encode(coding, TEXT))
        body[-5 if coding == "gzip" else -1] ^= 1
        with pytest.raises(DecodingError, match=coding):
            decode([coding], [bytes(body)])

    @pytest.mark.parametrize("coding", EVERY)
    @settings(deadline=None)
    @given(body=st.binary(max_size=100))
    def test_any_bytes_are_decoded_or_an_error(self, coding, body):
        try:
            decode([coding], [body])
        except DecodingError:
            pass

    @pytest.mark.parametrize("limit", [0, -1])
    def test_there_is_no_reading_without_a_limit(self, limit):
        with pytest.raises(ValueError, match="max_length"):
            decoder_for([b"gzip"]).decode(b"", limit)


@pytest.mark.scenario(164)
class TestMembers:
    @pytest.mark.parametrize("coding", ["gzip", pytest.param("zstd", marks=needs_zstd)])
    @pytest.mark.parametrize("size", [1, 7, 1 << 20])
    def test_all_of_several_members_are_decoded(self, coding, size):
        parts = [b"one", b"", TEXT, b"four"]
        body = b"".join(encode(coding, part) for part in parts)
        assert decode([coding], split(body, size)) == b"".join(parts)

    @pytest.mark.parametrize("coding", ["gzip", pytest.param("zstd", marks=needs_zstd)])
    def test_a_second_member_may_not_be_cut_short(self, coding):
        body = encode(coding, b"one") + encode(coding, b"two")[:-1]
        with pytest.raises(DecodingError, match="cut short"):
            decode([coding], [body])

    @pytest.mark.parametrize("garbage", [b"\0" * 1000, b"\n", b"garbage \x1f\x8b"])
    @pytest.mark.parametrize("coding", ["gzip", "deflate"])
    @pytest.mark.parametrize("size", [1, 1 << 20])
    def test_what_follows_the_last_member_is_ignored(self, coding, garbage, size):
        body = encode(coding, b"content") + garbage
        assert decode([coding], split(body, size)) == b"content"

    def test_a_second_member_of_gzip_may_not_be_corrupt(self):
        with pytest.raises(DecodingError, match="gzip"):
            decode(["gzip"], [encode("gzip", b"one") + b"\x1f\x8bgarbage"])

    def test_deflate_has_one_member(self):
        assert decode(["deflate"], [zlib.compress(b"one") * 2]) == b"one"

    @pytest.mark.parametrize(
        "coding",
        [
            pytest.param("br", marks=needs_brotli),
            pytest.param("zstd", marks=needs_zstd),
        ],
    )
    @pytest.mark.parametrize("size", [1, 1 << 20])
    def test_nothing_may_follow_where_nobody_adds_anything(self, coding, size):
        body = encode(coding, b"content") + b"garbage"
        with pytest.raises(DecodingError, match=coding):
            decode([coding], split(body, size))


class TestDeflate:
    @pytest.mark.parametrize("level", [0, 1, 6, 9])
    @pytest.mark.parametrize("content", [b"", b"x", TEXT[:20_000], bytes(50_000)])
    @pytest.mark.parametrize("size", [1, 1 << 20])
    def test_both_formats_are_understood(self, level, content, size):
        for body in (zlib.compress(content, level), raw_deflate(content, level)):
            assert decode(["deflate"], split(body, size)) == content

    @pytest.mark.parametrize("window_bits", range(9, 16))
    def test_every_window_is_understood(self, window_bits):
        deflate = zlib.compressobj(wbits=window_bits)
        body = deflate.compress(TEXT) + deflate.flush()
        assert decode(["deflate"], [body]) == TEXT


class TestChains:
    @pytest.mark.parametrize(
        "codings",
        [
            ["gzip", "deflate"],
            ["deflate", "gzip", "gzip", "deflate", "x-gzip"],
            pytest.param(["br", "zstd", "gzip"], marks=[needs_brotli, needs_zstd]),
        ],
    )
    @pytest.mark.parametrize("size", [1, 1000, 1 << 20])
    def test_the_last_coding_is_undone_first(self, codings, size):
        body = TEXT
        for coding in codings:
            body = encode(coding, body)
        assert decode(codings, split(body, size), 1000) == TEXT

    def test_a_list_in_one_value_is_a_chain_too(self):
        body = encode("gzip", zlib.compress(b"x"))
        assert decode([" Deflate ,, identity,\tGZIP"], [body]) == b"x"

    @pytest.mark.scenario(164)
    def test_more_than_five_codings_are_refused(self):
        assert decoder_for([b"gzip"] * 5)
        for codings in ([b"gzip"] * 6, [b"gzip,gzip"] * 3, [b"identity"] * 1000):
            with pytest.raises(DecodingError, match="more than 5"):
                decoder_for(codings)

    def test_every_coding_has_to_be_complete(self):
        outer = encode("gzip", zlib.compress(b"content")[:-1])
        with pytest.raises(DecodingError, match="deflate coding is cut short"):
            decode(["deflate", "gzip"], [outer])
        with pytest.raises(DecodingError, match="gzip coding is cut short"):
            decode(["deflate", "gzip"], [encode("gzip", zlib.compress(b"x"))[:-1]])

    def test_codings_that_expand_to_nothing_give_the_caller_a_break(self):
        empty_blocks = b"\x00\x00\x00\xff\xff" * 2_000_000
        body = encode("gzip", empty_blocks + raw_deflate(b"content"))
        assert len(body) < 20_000
        decoder = decoder_for([b"deflate", b"gzip"])
        breaks = 0
        output = decoder.decode(body, 1000)
        while not decoder.needs_input:
            breaks += not output
            output += decoder.decode(b"", 1000)
        decoder.finish()
        assert breaks
        assert output == b"content"


class TestBombs:
    """Small bodies of great content, read in steps."""

    STEP = 65536

    def peak_of_reading(self, codings, body, size):
        """Return the most memory that Python allocated, and check the content."""
        decoder = decoder_for(codings)
        tracemalloc.start()
        try:
            total = len(decoder.decode(body, self.STEP))
            while not decoder.needs_input:
                total += len(decoder.decode(b"", self.STEP))
            decoder.finish()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            assert total == size

    def zeros(self, mebibytes):
        """Return deflated zeros: a mebibyte, repeated at no cost."""
        deflate = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
        one = deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
        return one * mebibytes + deflate.flush()

    @pytest.mark.scenario(162)
    def test_a_gibibyte_in_a_mebibyte_stays_flat(self):
        body = self.zeros(1024)
        assert len(body) < 1.1 * (1 << 20)
        assert self.peak_of_reading([b"deflate"], body, 1 << 30) < 4 << 20

    @pytest.mark.scenario(162)
    @pytest.mark.parametrize("coding", EVERY)
    def test_every_coding_stays_flat(self, coding):
        size = 1 << 26
        body = encode(coding, bytes(size))
        assert self.peak_of_reading([coding.encode()], body, size) < 4 << 20

    @pytest.mark.scenario(162)
    def test_a_bomb_in_a_bomb_stays_flat(self):
        body = encode("gzip", encode("gzip", self.zeros(64)))
        codings = [b"deflate", b"gzip", b"gzip"]
        assert self.peak_of_reading(codings, body, 1 << 26) < 4 << 20

    @pytest.mark.scenario(165)
    @needs_zstd
    @pytest.mark.parametrize(("window_log", "accepted"), [(23, True), (24, False)])
    def test_zstd_may_use_a_window_of_8_mib(self, window_log, accepted):
        zstd = import_module(ZSTD)
        options = {zstd.CompressionParameter.window_log: window_log}
        compress = zstd.ZstdCompressor(options=options)
        # Its size unknown at the start, the frame has to state its window.
        body = compress.compress(b"x", compress.FLUSH_BLOCK) + compress.flush()
        if accepted:
            assert decode(["zstd"], [body]) == b"x"
        else:
            with pytest.raises(DecodingError, match="zstd"):
                decode(["zstd"], [body])


class TestWhatCanBeDecoded:
    @pytest.mark.scenario(164)
    @pytest.mark.parametrize(
        "codings",
        [[], [b""], [b"identity"], [b"compress"], [b"x-unknown"], [b"\xff"]]
        + [[b"gzip", b"unknown"], [b"unknown", b"gzip"], [b"gzip;q=1"]],
    )
    def test_what_is_unknown_or_nothing_leaves_the_body_as_it_is(self, codings):
        assert decoder_for(codings) is None

    def test_names_are_compared_without_case(self):
        assert decode(["GZip"], [encode("gzip", b"x")]) == b"x"

    @needs_brotli
    @needs_zstd
    def test_everything_that_is_installed_is_accepted(self, modules):
        assert accept_encoding() == b"gzip, deflate, br, zstd"

    def test_what_is_missing_is_neither_accepted_nor_decoded(self, modules):
        modules(brotli=None, brotlicffi=None)
        modules(compression_zstd=None, backports_zstd=None)
        assert accept_encoding() == b"gzip, deflate"
        assert decoder_for([b"br"]) is None
        assert decoder_for([b"zstd"]) is None
        assert decoder_for([b"gzip"]) is not None

    @needs_brotli
    def test_brotlicffi_serves_as_well(self, modules):
        modules(brotli=None, brotlicffi=import_module("brotli"))
        assert b"br" in accept_encoding().split(b", ")
        assert decoder_for([b"br"]) is not None

    def test_a_brotli_that_cannot_bound_its_output_does_not_count(self, modules):
        old = ModuleType("brotli")
        old.Decompressor = type("Decompressor", (), {"process": None})
        modules(brotli=old, brotlicffi=None)
        assert b"br" not in accept_encoding().split(b", ")
        assert decoder_for([b"br"]) is None

    @needs_zstd
    def test_the_standard_library_s_zstd_serves_as_well(self, modules):
        modules(compression_zstd=import_module(ZSTD), backports_zstd=None)
        assert b"zstd" in accept_encoding().split(b", ")
        assert decoder_for([b"zstd"]) is not None
