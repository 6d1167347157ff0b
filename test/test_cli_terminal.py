"""Text that does nothing to a terminal, colours, and JSON for people."""

from __future__ import annotations

import io
import json

import pytest

from hyper.cli.terminal import (
    Painter,
    formatted_json,
    human,
    one_line,
    plain,
    wants_colours,
)

PLAIN = Painter(False)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc é", "a\tb\nc é"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b2J\x7f\r\0", r"\x9b2J\x7f\x0d\x00"),
        ("\u202eabc\u2066\u200f", r"\u202eabc\u2066\u200f"),
    ],
)
def test_controls_and_changes_of_direction_are_shown(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_a_line_stays_one() -> None:
    assert one_line("a\nb\tc\r") == r"a\nb\tc\x0d"


@pytest.mark.parametrize(
    ("pretty", "environ", "terminal", "wanted"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"FORCE_COLOR": "0"}, False, False),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ("all", {"NO_COLOR": "1"}, False, True),
        ("colors", {}, False, True),
        ("format", {}, True, False),
        ("none", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_colours_are_for_terminals_and_those_who_want_them(
    pretty: str, environ: dict[str, str], terminal: bool, wanted: bool
) -> None:
    out = Terminal() if terminal else io.StringIO()
    assert wants_colours(out, pretty, environ) is wanted


class TestJSON:
    @pytest.mark.parametrize(
        "text",
        [
            "{}",
            "[ ]",
            '"a"',
            '{"a":[1,{"b":[]}],"c":{ },"d":[[2]]}',
            "[[],[]]",
            '{"a:b,{":"[]"}',
        ],
    )
    def test_every_item_gets_a_line(self, text: str) -> None:
        made = formatted_json(text, True, PLAIN)
        assert made == json.dumps(json.loads(text), indent=2) + "\n"

    @pytest.mark.parametrize(
        "text",
        [
            "12345678901234567890.123456789",
            "1E400",
            r'"\u00e9\ud800 \" [,:] é"',
            "true",
        ],
    )
    def test_tokens_stay_as_the_server_wrote_them(self, text: str) -> None:
        assert formatted_json(text, True, PLAIN) == text + "\n"

    def test_equal_keys_all_stay(self) -> None:
        made = formatted_json('{"a":1,"a":2}', True, PLAIN)
        assert made == '{\n  "a": 1,\n  "a": 2\n}\n'

    def test_controls_become_escapes_of_the_same_string(self) -> None:
        made = formatted_json('["\x9b\u202e"]', False, PLAIN)
        assert made == r'["\u009b\u202e"]'
        assert json.loads(made) == ["\x9b\u202e"]

    def test_each_kind_of_token_has_its_colour(self) -> None:
        made = formatted_json('{"k":["s",1,null]}', True, Painter(True))
        assert '\x1b[34m"k"\x1b[0m: [' in made
        for token, colour in (('"s"', 32), ("1", 36), ("null", 35)):
            assert f"\x1b[{colour}m{token}\x1b[0m" in made

    def test_colours_do_without_lines(self) -> None:
        made = formatted_json("[1,\n 2]", False, Painter(True))
        assert made == "[\x1b[36m1\x1b[0m,\n \x1b[36m2\x1b[0m]"

    @pytest.mark.parametrize("text", ["", "{", "[1,]", "nonsense"])
    def test_what_is_no_json_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="line 1 column"):
            formatted_json(text, True, PLAIN)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (12345, "12.3 KB"),
        (2**31, "2.1 GB"),
        (10**13, "10000.0 GB"),
    ],
)
def test_sizes_are_for_people(count: int, text: str) -> None:
    assert human(count) == text
