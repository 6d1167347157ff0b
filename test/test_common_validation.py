"""What may be sent, and what of an HTTP/2 response may be believed."""

from __future__ import annotations

from types import MappingProxyType

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hyper.common.exceptions import LocalProtocolError
from hyper.common.validation import (
    content_length,
    drop_forbidden_trailers,
    field_value,
    fields,
    method,
    response_head_fault,
    split_request,
    strip_values,
    trailer_fault,
)

CONTROLS = [chr(c) for c in range(0x20) if c != 0x09] + ["\x7f"]
TOKEN = set(b"!#$%&'*+-.^_`|~0123456789") | set(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)


class RawHeaders:
    """The part of an HTTPHeaderMap that counts here."""

    def iter_raw(self):
        return iter([(b"A", b"1, 2"), (b"a", b"3")])

    def items(self):
        raise AssertionError("the raw fields are the ones to send")


@pytest.mark.scenario(194)
class TestMethods:
    @pytest.mark.parametrize(
        "value", ["GET", b"GET", "get", "M-SEARCH", "!#$%&'*+^`|~"]
    )
    def test_a_token_is_sent_as_given(self, value):
        expected = value if isinstance(value, bytes) else value.encode()
        assert method(value) == expected

    @pytest.mark.parametrize(
        "value",
        ["", b"", "GET ", " GET", "GET /", "G\tT", "GET:", "G\xcaT", "\ud800", b"\xff"]
        + [f"GE{control}T" for control in CONTROLS],
    )
    def test_anything_else_is_refused(self, value):
        with pytest.raises(LocalProtocolError, match="token"):
            method(value)

    @pytest.mark.parametrize("value", [None, 1, ["GET"]])
    def test_another_type_is_refused(self, value):
        with pytest.raises(TypeError, match=type(value).__name__):
            method(value)


class TestFields:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Aa": "1", "b": "2"},
            {b"Aa": b"1", b"b": b"2"},
            MappingProxyType({"Aa": "1", "b": "2"}),
            [("Aa", "1"), (b"b", b"2")],
            (["Aa", 1], ["b", 2]),
            {"Aa": "1", "b": "2"}.items(),
            iter([("Aa", "1"), ("b", "2")]),
        ],
    )
    def test_headers_come_as_mappings_or_pairs(self, headers):
        assert fields(headers) == [(b"Aa", b"1"), (b"b", b"2")]

    def test_no_headers_are_no_fields(self):
        assert fields(None) == []
        assert fields({}) == []

    def test_the_fields_of_a_header_map_are_sent_as_they_are(self):
        assert fields(RawHeaders()) == [(b"A", b"1, 2"), (b"a", b"3")]

    @pytest.mark.scenario(205)
    @pytest.mark.parametrize("value", [" x", "x ", "\t x y\t ", b" x "])
    def test_blanks_around_a_value_are_stripped(self, value):
        assert fields({"a": value})[0][1] in (b"x", b"x y")

    def test_an_empty_value_is_a_value(self):
        assert fields({"a": "", "b": " "}) == [(b"a", b""), (b"b", b"")]

    @pytest.mark.scenario(206)
    def test_a_str_is_sent_as_utf_8_and_an_int_in_decimal(self):
        assert fields({"a": "\xe9\u20ac", "b": 12, "c": -1, "d": b"\xe9"}) == [
            (b"a", b"\xc3\xa9\xe2\x82\xac"),
            (b"b", b"12"),
            (b"c", b"-1"),
            (b"d", b"\xe9"),
        ]

    @pytest.mark.scenario(206)
    @pytest.mark.parametrize(
        "value", [None, True, 1.5, ["secret"], ("secret",), bytearray(b"secret")]
    )
    def test_a_value_of_another_type_is_refused_by_name(self, value):
        with pytest.raises(TypeError, match="'X-Token'") as caught:
            fields({"X-Token": value})
        assert "secret" not in str(caught.value)

    @pytest.mark.scenario(193)
    @pytest.mark.parametrize("control", CONTROLS)
    @pytest.mark.parametrize("place", ["{}secret", "sec{}ret", "secret{}"])
    def test_a_control_in_a_value_is_refused_by_name(self, control, place):
        for value in (place.format(control), place.format(control).encode()):
            with pytest.raises(LocalProtocolError, match="'X-Token'") as caught:
                fields({"X-Token": value})
            assert "secret" not in str(caught.value)

    def test_a_lone_surrogate_in_a_value_is_refused(self):
        with pytest.raises(LocalProtocolError, match=r"'a'.*Unicode"):
            fields({"a": "\ud800"})

    @pytest.mark.scenario(193)
    @pytest.mark.parametrize(
        "name",
        ["", "a b", "a:", "a\t", " a", "a ", "(a)", 'a"', "\xe9", "\ud800", b"\xe9"]
        + [f"a{control}b" for control in CONTROLS],
    )
    def test_a_name_that_is_no_token_is_refused(self, name):
        with pytest.raises(LocalProtocolError, match="not a token"):
            fields([(name, "x")])

    def test_a_long_bad_name_is_not_repeated_in_full(self):
        with pytest.raises(LocalProtocolError) as caught:
            fields([("a " * 5000, "x")])
        assert len(str(caught.value)) < 200

    @pytest.mark.scenario(200)
    @pytest.mark.parametrize("name", [":authority", ":path", b":status", ":", ":x"])
    def test_a_pseudo_header_is_refused(self, name):
        with pytest.raises(LocalProtocolError, match="pseudo-header"):
            fields([(name, "x")])

    @pytest.mark.parametrize(
        "headers",
        [
            42,
            "ab",
            b"ab",
            ["ab"],
            [b"ab"],
            [1],
            [("a",)],
            [("a", "b", "c")],
            [None],
            [(None, "x")],
            [(1, "x")],
            {1: "x"},
        ],
    )
    def test_what_is_neither_mapping_nor_pairs_is_a_type_error(self, headers):
        with pytest.raises(TypeError):
            fields(headers)

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.text() | st.binary(), st.text() | st.binary())))
    def test_any_fields_are_either_refused_or_safe_to_send(self, headers):
        try:
            result = fields(headers)
        except LocalProtocolError:
            return
        assert len(result) == len(headers)
        for name, value in result:
            assert name
            assert set(name) <= TOKEN
            assert not set(value) & set(b"\r\n\0")
            assert value == value.strip(b" \t")

    def test_a_value_alone_keeps_its_blanks(self):
        assert field_value(b"a", " x ") == b" x "


class TestSplitRequest:
    def test_what_is_not_special_is_left_in_order(self):
        rest = [(b"B", b"1"), (b"a", b"2"), (b"B", b"3")]
        split = split_request(rest)
        assert split.rest == rest
        assert (split.host, split.content_length, split.chunked) == (None, None, False)

    @pytest.mark.scenario(201)
    @pytest.mark.parametrize("host", [b"a.test", b"a.test:8443", b"[::1]:80", b"A_b"])
    def test_host_is_taken_out(self, host):
        split = split_request([(b"a", b"1"), (b"HOST", host)])
        assert split.host == host
        assert split.rest == [(b"a", b"1")]

    @pytest.mark.scenario(201)
    @pytest.mark.parametrize("second", [b"a.test", b"b.test"])
    def test_a_second_host_is_refused(self, second):
        with pytest.raises(LocalProtocolError, match="two Host"):
            split_request([(b"Host", b"a.test"), (b"host", second)])

    @pytest.mark.scenario(193)
    @pytest.mark.scenario(203)
    @pytest.mark.parametrize(
        "host",
        [b"", b"a b", b"me:pw@a.test", b"a/b", b"a?b", b"a#b", b"a\r\nb", b"\xe9"],
    )
    def test_a_host_that_is_none_is_refused(self, host):
        with pytest.raises(LocalProtocolError, match="Host"):
            split_request([(b"host", host)])

    @pytest.mark.scenario(202)
    @pytest.mark.parametrize(
        "values", [[b"5"], [b"5", b"5"], [b"05"], [b"5", b"05", b"5"]]
    )
    def test_one_length_is_taken_out(self, values):
        split = split_request([(b"Content-Length", value) for value in values])
        assert split.content_length == 5
        assert split.rest == []

    def test_a_length_may_be_zero(self):
        assert split_request([(b"content-length", b"0")]).content_length == 0

    @pytest.mark.scenario(202)
    @pytest.mark.parametrize(
        "values",
        [
            [b"5", b"6"],
            [b""],
            [b"+5"],
            [b"-1"],
            [b"5, 5"],
            [b"0x5"],
            [b"1_0"],
            [b"\xd9\xa1"],
            [b"9" * 5000],
        ],
    )
    def test_any_other_length_is_refused(self, values):
        with pytest.raises(LocalProtocolError, match="Content-Length"):
            split_request([(b"Content-Length", value) for value in values])

    @pytest.mark.scenario(202)
    def test_chunked_means_that_the_size_is_unknown(self):
        split = split_request([(b"Transfer-Encoding", b"Chunked"), (b"a", b"1")])
        assert split.chunked is True
        assert split.rest == [(b"a", b"1")]

    @pytest.mark.scenario(202)
    @pytest.mark.parametrize(
        "values",
        [[b"gzip"], [b"gzip, chunked"], [b""], [b"identity"], [b"chunked", b"chunked"]],
    )
    def test_another_transfer_coding_is_refused(self, values):
        with pytest.raises(LocalProtocolError, match="Transfer-Encoding"):
            split_request([(b"Transfer-Encoding", value) for value in values])

    @pytest.mark.scenario(202)
    def test_a_length_and_chunked_exclude_each_other(self):
        both = [(b"transfer-encoding", b"chunked"), (b"content-length", b"0")]
        for section in (both, both[::-1]):
            with pytest.raises(LocalProtocolError, match="exclude"):
                split_request(section)


def head(*pairs, status=b"200"):
    """A response's header section."""
    return [(b":status", status), *pairs]


class TestResponseHeads:
    def test_an_ordinary_head_has_no_fault(self):
        assert response_head_fault(head()) is None
        assert (
            response_head_fault(
                head(
                    (b"content-type", b"text/html"),
                    (b"content-length", b"5"),
                    (b"set-cookie", b"a=1; Path=/"),
                    (b"set-cookie", b""),
                )
            )
            is None
        )

    @pytest.mark.scenario(49)
    @pytest.mark.scenario(54)
    @pytest.mark.parametrize(
        "section", [[], [(b"a", b"1")], [(b"a", b"1"), (b":status", b"200")]]
    )
    def test_the_status_has_to_come_first(self, section):
        assert "does not begin with :status" in response_head_fault(section)

    @pytest.mark.scenario(50)
    def test_there_is_one_status(self):
        twice = head((b":status", b"200"))
        assert "':status' is out of place" in response_head_fault(twice)

    @pytest.mark.scenario(51)
    @pytest.mark.parametrize("status", [b"100", b"103", b"200", b"599", b"999"])
    def test_a_status_has_three_digits(self, status):
        assert response_head_fault(head(status=status)) is None

    @pytest.mark.scenario(51)
    @pytest.mark.scenario(52)
    @pytest.mark.parametrize(
        "status",
        [b"", b"abc", b"99", b"099", b"000", b"1000", b"+200", b"+20", b"-1", b"2 0"]
        + [b" 200", b"200 ", b"200\n", b"20", b"101", "٢٠٠".encode()],
    )
    def test_anything_else_is_no_status(self, status):
        assert "status" in response_head_fault(head(status=status))

    @pytest.mark.scenario(53)
    @pytest.mark.parametrize("name", [b":path", b":method", b":protocol", b":", b":x"])
    def test_another_pseudo_header_is_a_fault(self, name):
        fault = response_head_fault(head((name, b"x"), (b"a", b"1")))
        assert "pseudo-header" in fault
        assert response_head_fault([(name, b"x"), *head()])

    @pytest.mark.scenario(54)
    def test_a_pseudo_header_after_a_field_is_a_fault(self):
        fault = response_head_fault(head((b"a", b"1"), (b":path", b"/")))
        assert "pseudo-header" in fault

    @pytest.mark.scenario(55)
    @pytest.mark.scenario(56)
    @pytest.mark.scenario(57)
    @pytest.mark.parametrize(
        "name",
        [b"A", b"content-Type", b"", b"a b", b"a:", b"a\xff", b"a\x7f", b'x"', b"a\n"]
        + [b"a\0b", b"a\nb", b"(", b"a,b", b"a/b"],
    )
    @pytest.mark.parametrize("extra", [[], [(b"b", b"2")]])
    def test_a_name_is_a_token_in_lower_case(self, name, extra):
        fault = response_head_fault(head((b"a", b"1"), (name, b"x"), *extra))
        assert "field name" in fault
        assert "\n" not in fault

    @pytest.mark.scenario(58)
    @pytest.mark.parametrize("bad", [b"\r", b"\n", b"\0", b"\r\n"])
    @pytest.mark.parametrize("place", [b"%bx", b"x%bx", b"x%b", b"%b"])
    def test_a_value_has_no_line_break_and_no_nul(self, bad, place):
        fault = response_head_fault(head((b"a", b"1"), (b"b", place % bad)))
        assert "'b' has a CR, LF or NUL" in fault

    @pytest.mark.scenario(59)
    @pytest.mark.parametrize("value", [b"\x01", b"a\x7fb", b"\x1b[31m"])
    def test_other_controls_in_a_value_are_accepted(self, value):
        assert response_head_fault(head((b"a", value))) is None

    @pytest.mark.scenario(61)
    def test_a_value_may_have_any_byte_above_ascii(self):
        assert response_head_fault(head((b"a", bytes(range(0x80, 0x100))))) is None

    @pytest.mark.scenario(60)
    def test_blanks_around_a_value_are_accepted_and_stripped(self):
        section = head((b"a", b" \tx y\t "), (b"content-length", b" 5"))
        assert response_head_fault(section) is None
        assert strip_values(section) == head((b"a", b"x y"), (b"content-length", b"5"))

    @pytest.mark.scenario(62)
    @pytest.mark.parametrize(
        "name",
        [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding"]
        + [b"upgrade"],
    )
    def test_a_field_about_the_connection_is_a_fault(self, name):
        assert name.decode() in response_head_fault(head((b"a", b"1"), (name, b"x")))

    @pytest.mark.scenario(62)
    def test_te_may_only_say_trailers(self):
        assert response_head_fault(head((b"te", b"Trailers "), (b"a", b"1"))) is None
        assert "'te'" in response_head_fault(head((b"te", b"gzip")))

    @pytest.mark.scenario(63)
    @pytest.mark.parametrize(
        "values",
        [
            [b"5", b"6"],
            [b"5, 5"],
            [b"+5"],
            [b"-1"],
            [b""],
            [b"5" * 5000],
            [b"5", b"x"],
            [b"0x5"],
            [b"5 5"],
            [b"1_0"],
        ],
    )
    def test_a_length_that_is_none_is_a_fault(self, values):
        section = head(*((b"content-length", value) for value in values))
        assert "content-length" in response_head_fault(section)

    @pytest.mark.scenario(63)
    @pytest.mark.parametrize("values", [[b"5"], [b"5", b"5"], [b"5", b"05 "]])
    def test_a_length_may_be_repeated(self, values):
        section = head((b"a", b"1"), *((b"content-length", value) for value in values))
        assert response_head_fault(section) is None
        assert content_length(section) == 5

    def test_there_need_not_be_a_length(self):
        assert content_length(head((b"a", b"1"))) is None

    def test_a_hostile_text_is_shortened_and_escaped(self):
        for section in (head(status=b"\x1b" * 9999), head((b"\x1b" * 9999, b""))):
            fault = response_head_fault(section)
            assert len(fault) < 400
            assert "\x1b" not in fault

    @settings(deadline=None)
    @given(
        st.lists(st.tuples(st.binary(max_size=3), st.binary(max_size=3)), max_size=4)
    )
    @example([(b"a\nb", b"")])
    @example([(b"a", b"\n"), (b"b", b"")])
    def test_what_has_no_fault_follows_the_rules(self, pairs):
        sound = all(
            name
            and set(name) <= TOKEN - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
            and not set(value) & set(b"\r\n\0")
            and name != b"te"
            for name, value in pairs
        )
        assert (trailer_fault(pairs) is None) is sound
        assert (response_head_fault(head(*pairs)) is None) is sound


class TestTrailers:
    @pytest.mark.scenario(76)
    def test_trailers_are_judged_like_fields(self):
        assert trailer_fault([]) is None
        assert trailer_fault([(b"grpc-status", b"0")]) is None
        assert "field name" in trailer_fault([(b"A", b"1")])
        assert "NUL" in trailer_fault([(b"a", b"\0")])

    @pytest.mark.scenario(77)
    @pytest.mark.parametrize("name", [b":status", b":path", b":x"])
    def test_a_pseudo_header_in_trailers_is_a_fault(self, name):
        assert "pseudo-header" in trailer_fault([(b"a", b"1"), (name, b"200")])
        assert "pseudo-header" in trailer_fault([(name, b"200")])

    @pytest.mark.scenario(76)
    def test_what_may_not_be_a_trailer_is_dropped(self):
        names = (
            b"Content-Length transfer-encoding te HOST content-type set-cookie trailer"
        )
        section = [(name, b"1") for name in names.split()]
        kept = [(b"ETag", b'"x"'), (b"grpc-status", b"0")]
        assert trailer_fault(
            [(b"content-length", b"1"), (b"content-length", b"x")]
        ) is (None)
        assert drop_forbidden_trailers(section[:4] + kept + section[4:]) == kept
