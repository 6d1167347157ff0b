"""The header map: a list of fields, looked up like a mapping."""

from __future__ import annotations

import copy
import pickle
from collections.abc import MutableMapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyper.common.exceptions import LocalProtocolError
from hyper.common.headers import HTTPHeaderMap
from hyper.common.validation import fields

TOKENS = st.text("abcXYZ09-_!", min_size=1, max_size=6).map(str.encode)
VALUES = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"),
    max_size=12,
).map(lambda text: text.encode("latin-1"))
PAIRS = st.lists(st.tuples(TOKENS, VALUES), max_size=8)


@pytest.fixture
def headers():
    return HTTPHeaderMap([("A", "1"), (b"Bb", b"2, 3"), ("a", "4")])


def raw(headers):
    return list(headers.iter_raw())


class TestMaking:
    @pytest.mark.parametrize(
        "source",
        [
            {"Ab": "12", "c": "3"},
            {b"Ab": b"12", b"c": b"3"},
            [("Ab", "12"), ("c", "3")],
            iter([("Ab", b"12"), [b"c", 3]]),
            HTTPHeaderMap([("Ab", "12"), ("c", "3")]),
        ],
    )
    def test_a_map_is_made_of_a_mapping_of_pairs_or_of_a_map(self, source):
        assert raw(HTTPHeaderMap(source)) == [(b"Ab", b"12"), (b"c", b"3")]

    def test_several_sources_follow_each_other(self):
        made = HTTPHeaderMap({"a": "1"}, [("b", "2")], HTTPHeaderMap(c="3"), a="4")
        assert raw(made) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3"), (b"a", b"4")]

    def test_a_map_of_nothing_is_empty(self):
        assert not HTTPHeaderMap()
        assert len(HTTPHeaderMap({}, [])) == 0

    @pytest.mark.parametrize("source", [None, 42, "ab", ["ab"], [("a",)], [1]])
    def test_anything_else_is_a_type_error(self, source):
        with pytest.raises(TypeError):
            HTTPHeaderMap(source)

    def test_a_map_can_be_made_again_of_its_dict(self):
        made = HTTPHeaderMap([("a", "1"), ("b", "3"), ("a", "2")])
        assert dict(made) == {b"a": [b"1", b"2"], b"b": [b"3"]}
        assert raw(HTTPHeaderMap(dict(made))) == [
            (b"a", b"1"),
            (b"a", b"2"),
            (b"b", b"3"),
        ]

    @pytest.mark.scenario(61)
    def test_what_came_from_the_wire_is_kept_byte_for_byte(self):
        received = [(b"A b", b"\xff\x01 "), (b":status", b"200")]
        made = HTTPHeaderMap.from_wire(received)
        received.clear()
        assert raw(made) == [(b"A b", b"\xff\x01 "), (b":status", b"200")]
        assert made["a B"][0].decode("latin-1") == "\xff\x01"


class TestLookingUp:
    @pytest.mark.parametrize("key", ["A", "a", b"A", b"a"])
    def test_case_does_not_matter(self, headers, key):
        assert headers[key] == [b"1", b"4"]
        assert key in headers
        assert headers.get(key) == [b"1", b"4"]

    def test_a_list_is_as_many_values(self, headers):
        assert headers["bb"] == [b"2", b"3"]

    @pytest.mark.parametrize("key", ["c", b"c", "", "\ud800", b"\xff", "A\r\n"])
    def test_what_is_not_there_is_a_key_error(self, headers, key):
        assert key not in headers
        assert headers.get(key) is None
        assert headers.get(key, []) == []
        with pytest.raises(KeyError, match="Nonexistent header key"):
            headers[key]

    @pytest.mark.parametrize("key", [1, None, ("a",)])
    def test_a_key_of_another_type_is_a_type_error(self, headers, key):
        with pytest.raises(TypeError):
            key in headers  # noqa: B015
        with pytest.raises(TypeError):
            headers[key]
        with pytest.raises(TypeError):
            headers.get(key)

    def test_the_list_that_is_returned_is_not_the_maps_own(self, headers):
        headers["a"].clear()
        assert headers["a"] == [b"1", b"4"]

    def test_an_empty_value_is_one_value(self):
        assert HTTPHeaderMap(a="")["a"] == [b""]
        assert HTTPHeaderMap(a=" , ")["a"] == [b"", b""]

    def test_a_value_can_be_read_as_a_number(self):
        received = HTTPHeaderMap.from_wire([(b"content-length", b"12")])
        assert int(received["Content-Length"][0]) == 12

    def test_iterating_gives_every_value_with_its_name(self, headers):
        every = [(b"a", b"1"), (b"bb", b"2"), (b"bb", b"3"), (b"a", b"4")]
        assert list(headers) == every
        assert list(headers.items()) == every
        assert list(headers.keys()) == [b"a", b"bb", b"bb", b"a"]
        assert list(headers.values()) == [b"1", b"2", b"3", b"4"]
        assert len(headers) == 4

    def test_it_is_a_mutable_mapping(self, headers):
        assert isinstance(headers, MutableMapping)

    def test_its_repr_shows_the_fields_as_they_are(self, headers):
        assert repr(headers) == str(headers)
        assert repr(headers) == (
            "HTTPHeaderMap([(b'A', b'1'), (b'Bb', b'2, 3'), (b'a', b'4')])"
        )


class TestSplitting:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("Date", "Tue, 01 Jan 2030 00:00:00 GMT"),
            ("Expires", "Tue, 01 Jan 2030 00:00:00 GMT"),
            ("Last-Modified", "Tue, 01 Jan 2030 00:00:00 GMT"),
            ("If-Modified-Since", "Tue, 01 Jan 2030 00:00:00 GMT"),
            ("If-Unmodified-Since", "Tue, 01 Jan 2030 00:00:00 GMT"),
            ("If-Range", "Tue, 01 Jan 2030 00:00:00 GMT"),
            ("Retry-After", "Tue, 01 Jan 2030 00:00:00 GMT"),
            ("User-Agent", "Mozilla/5.0 (KHTML, like Gecko) Chrome/1"),
            ("Server", "Apache/2 (a, b)"),
            ("Location", "/a,b"),
            ("Content-Location", "/a,b"),
            ("Referer", "http://a.test/a,b"),
            ("Set-Cookie", "a=1; Expires=Tue, 01 Jan 2030 00:00:00 GMT"),
            ("Set-Cookie2", "a=1, b=2"),
            ("Cookie", "a=1,2; b=3"),
            ("WWW-Authenticate", 'Digest realm="a, b", nonce=c'),
            ("Proxy-Authenticate", 'Digest realm="a", nonce=c'),
            ("Authorization", 'Digest username="a", nonce=c'),
            ("Proxy-Authorization", 'Digest username="a", nonce=c'),
            ("ETag", '"a,b"'),
            ("Content-Disposition", "attachment; filename=a,b"),
            ("Content-Type", "text/plain; x=a,b"),
            ("Range", "bytes=0-1,4-5"),
            ("Content-Length", "5, 5"),
        ],
    )
    def test_a_field_of_one_value_is_never_split(self, name, value):
        received = HTTPHeaderMap([(name, f" {value}"), (name, "x")])
        assert received[name] == [value.encode(), b"x"]

    @pytest.mark.parametrize(
        ("value", "values"),
        [
            ("a", ["a"]),
            ("a,b", ["a", "b"]),
            (" a ,\tb ", ["a", "b"]),
            ("a,,b,", ["a", "", "b", ""]),
            ('"a, b", c', ['"a, b"', "c"]),
            ('x="a,b";q=1 , y', ['x="a,b";q=1', "y"]),
            (r'"a\", b", c', [r'"a\", b"', "c"]),
            (r'"a\\", b', [r'"a\\"', "b"]),
            ('W/"a,b", "c"', ['W/"a,b"', '"c"']),
            ('"a"', ['"a"']),
            ('a, "b, c', ["a", '"b, c']),
            ('a, "b, c\\', ["a", '"b, c\\']),
            ('a,"', ["a", '"']),
        ],
    )
    @pytest.mark.parametrize("name", ["Cache-Control", "Link", "X-Unknown"])
    def test_another_field_is_split_outside_quoted_strings(self, name, value, values):
        assert HTTPHeaderMap({name: value})[name] == [v.encode() for v in values]

    def test_the_raw_field_is_not_split(self):
        given = [(b"Accept", b"a, b"), (b"ACCEPT", b"c")]
        assert raw(HTTPHeaderMap(given)) == given
        assert fields(HTTPHeaderMap(given)) == given

    def test_splitting_a_hostile_value_ends(self):
        value = b'\\",' * 50_000
        received = HTTPHeaderMap.from_wire([(b"a", value)])
        assert b",".join(received["a"]) == value

    @settings(deadline=None)
    @given(VALUES)
    def test_splitting_loses_nothing_but_blanks(self, value):
        values = HTTPHeaderMap.from_wire([(b"a", value)])["a"]
        blanks = bytes.maketrans(b"\t", b" ")
        joined = b",".join(values).translate(blanks, b" ")
        assert joined == value.translate(blanks, b" ")


class TestChanging:
    def test_assigning_appends(self, headers):
        headers["A"] = "5"
        assert headers["a"] == [b"1", b"4", b"5"]
        headers["New"] = b"6, 7"
        assert headers["new"] == [b"6", b"7"]
        assert raw(headers)[-2:] == [(b"A", b"5"), (b"New", b"6, 7")]

    def test_assigning_a_list_appends_all_of_it_or_nothing(self, headers):
        headers["c"] = ["1", b"2"]
        assert raw(headers)[-2:] == [(b"c", b"1"), (b"c", b"2")]
        with pytest.raises(LocalProtocolError):
            headers["d"] = ("1", "\n")
        assert "d" not in headers

    def test_deleting_removes_all_of_a_name(self, headers):
        del headers["A"]
        assert raw(headers) == [(b"Bb", b"2, 3")]
        assert "a" not in headers
        with pytest.raises(KeyError, match="Nonexistent header key"):
            del headers["A"]

    def test_replacing_keeps_the_first_place(self, headers):
        headers.replace("a", "9")
        assert raw(headers) == [(b"a", b"9"), (b"Bb", b"2, 3")]
        assert headers["a"] == [b"9"]

    def test_replacing_what_is_not_there_appends(self, headers):
        headers.replace("C", "9")
        assert raw(headers)[-1] == (b"C", b"9")
        assert headers["c"] == [b"9"]

    @pytest.mark.parametrize("change", [HTTPHeaderMap.merge, HTTPHeaderMap.update])
    @pytest.mark.parametrize(
        "other",
        [{"A": "5, 6"}, [("A", "5, 6")], HTTPHeaderMap(A="5, 6"), {"A": ["5, 6"]}],
    )
    def test_merging_appends_what_the_other_has(self, headers, change, other):
        change(headers, other)
        assert raw(headers)[-1] == (b"A", b"5, 6")
        assert headers["a"] == [b"1", b"4", b"5", b"6"]

    def test_updating_takes_keywords(self, headers):
        headers.update(a="5")
        headers.update({"b": "6"}, c="7")
        assert raw(headers)[3:] == [(b"a", b"5"), (b"b", b"6"), (b"c", b"7")]

    def test_merging_a_map_into_itself_does_nothing(self, headers):
        before = raw(headers)
        headers.merge(headers)
        headers.update(headers)
        assert raw(headers) == before

    def test_merging_a_view_of_the_map_itself_ends(self, headers):
        headers.merge(headers.items())
        assert len(headers) == 8

    def test_popping_gives_the_values(self, headers):
        assert headers.pop("A") == [b"1", b"4"]
        assert headers.pop("A", None) is None
        with pytest.raises(KeyError):
            headers.pop("A")
        assert raw(headers) == [(b"Bb", b"2, 3")]

    def test_items_are_popped_from_the_end(self, headers):
        assert headers.popitem() == (b"a", [b"1", b"4"])
        assert headers.popitem() == (b"bb", [b"2", b"3"])
        with pytest.raises(KeyError, match="empty"):
            headers.popitem()

    def test_a_default_is_stored_where_nothing_is(self, headers):
        assert headers.setdefault("A", "9") == [b"1", b"4"]
        assert headers.setdefault("C", "9") == "9"
        assert headers["c"] == [b"9"]

    def test_clearing_removes_everything(self, headers):
        assert len(headers) == 4
        headers.clear()
        assert not headers
        assert "a" not in headers
        assert raw(headers) == []


class TestComparingAndCopying:
    def test_maps_are_equal_if_their_fields_are(self, headers):
        assert headers == HTTPHeaderMap(raw(headers))
        assert headers == HTTPHeaderMap.from_wire(raw(headers))
        assert headers != HTTPHeaderMap(reversed(raw(headers)))
        assert HTTPHeaderMap(a="1") != HTTPHeaderMap(A="1")
        assert HTTPHeaderMap(a="1, 2") != HTTPHeaderMap([("a", "1"), ("a", "2")])

    @pytest.mark.parametrize("other", [{}, None, [], (), 1, "", object()])
    def test_nothing_else_is_equal_to_a_map(self, other):
        empty = HTTPHeaderMap()
        assert empty != other
        assert other != empty
        assert not empty == other  # noqa: SIM201

    def test_a_map_has_no_hash(self, headers):
        with pytest.raises(TypeError):
            hash(headers)

    @pytest.mark.parametrize(
        "duplicate",
        [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))],
    )
    def test_a_copy_is_equal_and_independent(self, headers, duplicate):
        twin = duplicate(headers)
        assert twin == headers
        assert type(twin) is HTTPHeaderMap
        twin["new"] = "1"
        del twin["a"]
        assert "new" not in headers
        assert headers["a"] == [b"1", b"4"]


ADDING = [
    lambda name, value: HTTPHeaderMap({name: value}),
    lambda name, value: HTTPHeaderMap().__setitem__(name, value),
    lambda name, value: HTTPHeaderMap().replace(name, value),
    lambda name, value: HTTPHeaderMap().merge([(name, value)]),
    lambda name, value: HTTPHeaderMap().setdefault(name, value),
]


@pytest.mark.scenario(193)
@pytest.mark.parametrize("add", ADDING)
class TestRefusing:
    @pytest.mark.parametrize("bad", ["\r", "\n", "\0", "\r\nX: y", "\x1b"])
    def test_a_value_that_could_end_its_line_is_refused_by_name(self, add, bad):
        for value in (f"secret{bad}", f"secret{bad}".encode()):
            with pytest.raises(ValueError, match="'X-Token'") as caught:
                add("X-Token", value)
            assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(
        "name", ["", "a b", "a:", "a\r\n", "\xe9", b"\xff", ":", "::a", ":a b", " a"]
    )
    def test_a_name_that_is_no_token_is_refused(self, add, name):
        with pytest.raises(ValueError, match="token"):
            add(name, "x")

    @pytest.mark.scenario(206)
    @pytest.mark.parametrize("value", [None, 1.5, bytearray(b"x"), {}])
    def test_a_value_of_another_type_is_refused_by_name(self, add, value):
        with pytest.raises(TypeError, match="'X-Token'"):
            add("X-Token", value)

    def test_a_name_of_another_type_is_refused(self, add):
        with pytest.raises(TypeError, match="int"):
            add(1, "x")

    def test_a_pseudo_header_can_be_described(self, add):
        add(":authority", "a.test")


@settings(deadline=None)
@given(PAIRS)
def test_fields_come_out_as_they_went_in(pairs):
    made = HTTPHeaderMap(pairs)
    assert raw(made) == pairs
    assert raw(HTTPHeaderMap(made)) == pairs
    assert made == HTTPHeaderMap.from_wire(pairs)
    assert len(made) == len(list(made))


@settings(deadline=None)
@given(st.data())
def test_any_changes_leave_look_ups_and_fields_in_step(data):
    made = HTTPHeaderMap()
    names = st.sampled_from(["a", "A", "b", "date"])
    for _ in range(data.draw(st.integers(0, 8))):
        name = data.draw(names)
        verb = data.draw(st.sampled_from(["append", "replace", "delete", "look"]))
        if verb == "append":
            made[name] = data.draw(VALUES)
        elif verb == "replace":
            made.replace(name, data.draw(VALUES))
        elif verb == "delete":
            made.pop(name, None)
        else:
            made.get(name)
    afresh = HTTPHeaderMap.from_wire(made.iter_raw())
    assert list(made) == list(afresh)
    assert dict(made) == dict(afresh)
    assert len(made) == len(afresh)
