"""What the words of the ``hyper`` command ask for. Nothing is sent anywhere here."""

from __future__ import annotations

import json

import pytest

from hyper.cli.items import (
    Items,
    Location,
    UsageError,
    parse_items,
    parse_url,
    parse_words,
    split_item,
)


class TestMethod:
    def test_without_one_it_is_get(self) -> None:
        assert parse_words(["x.example"]).method == "GET"

    def test_without_one_it_is_post_if_there_are_fields(self) -> None:
        assert parse_words(["x.example", "a=1"]).method == "POST"

    def test_fields_do_not_change_a_method_that_is_given(self) -> None:
        assert parse_words(["PUT", "x.example", "a=1"]).method == "PUT"

    @pytest.mark.parametrize("word", ["get", "Get", "GET"])
    def test_a_known_one_may_be_in_any_case(self, word: str) -> None:
        order = parse_words([word, "x.example"])
        assert (order.method, order.server) == ("GET", "https://x.example")

    def test_an_unknown_one_is_all_capitals(self) -> None:
        assert parse_words(["PROPFIND", "x.example"]).method == "PROPFIND"

    def test_the_only_word_is_the_url_whatever_it_looks_like(self) -> None:
        assert parse_words(["delete"]).server == "https://delete"

    def test_a_word_that_looks_like_no_method_is_the_url(self) -> None:
        order = parse_words(["https://x.example/get", "search==hyper"])
        assert order.method == "GET"
        assert order.server == "https://x.example"
        assert order.target == "/get?search=hyper"


class TestURL:
    @pytest.mark.parametrize(
        ("url", "server", "target"),
        [
            ("https://x.example/get", "https://x.example", "/get"),
            ("http://x.example/get", "http://x.example", "/get"),
            ("HTTPS://x.example", "https://x.example", "/"),
            ("x.example", "https://x.example", "/"),
            ("x.example/get", "https://x.example", "/get"),
            ("x.example:8443/y", "https://x.example:8443", "/y"),
            ("x.example?q=1", "https://x.example", "/?q=1"),
            (":8443/p", "https://localhost:8443", "/p"),
            (":/p", "https://localhost:", "/p"),
            (":8443", "https://localhost:8443", "/"),
            ("[::1]:8443/p", "https://[::1]:8443", "/p"),
            ("https://[::1]:8443/", "https://[::1]:8443", "/"),
            ("::1", "https://::1", "/"),
            ("x.example/a?b=c#d", "https://x.example", "/a?b=c"),
            ("x.example#d", "https://x.example", "/"),
            ("x.example/a@b:c", "https://x.example", "/a@b:c"),
            ("x.example/?u=http://a", "https://x.example", "/?u=http://a"),
        ],
    )
    def test_it_is_taken_apart(self, url: str, server: str, target: str) -> None:
        assert parse_url(url) == Location(server, target, None)

    def test_the_user_is_not_a_part_of_the_server(self) -> None:
        assert parse_url("https://me:my%20word@x.example:1/") == Location(
            "https://x.example:1", "/", b"me:my word"
        )

    def test_a_user_without_a_password_has_an_empty_one(self) -> None:
        assert parse_url("me@x.example").credentials == b"me:"

    def test_the_last_at_sign_ends_the_user(self) -> None:
        assert parse_url("me:a@b@x.example") == Location(
            "https://x.example", "/", b"me:a@b"
        )

    def test_another_scheme_is_refused(self) -> None:
        with pytest.raises(UsageError, match="'ftp' is neither http nor https"):
            parse_url("ftp://x.example/")


class TestItems:
    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            ("User-Agent:hyper/0.2.0", ("User-Agent", ":", "hyper/0.2.0")),
            ("search==hyper", ("search", "==", "hyper")),
            ("name=Hyper", ("name", "=", "Hyper")),
            ("empty=", ("empty", "=", "")),
            ("empty==", ("empty", "==", "")),
            # The separator that stands first.
            ("url=http://a.b/c", ("url", "=", "http://a.b/c")),
            ("time==12:30", ("time", "==", "12:30")),
            ("Referer:http://a.b/?c=d", ("Referer", ":", "http://a.b/?c=d")),
            ("mail=me@x.example", ("mail", "=", "me@x.example")),
            ("a=b==c", ("a", "=", "b==c")),
            # The longest of those that stand there.
            ("a===b", ("a", "==", "=b")),
            ("a=:b", ("a", "=", ":b")),
            # A backslash takes a character's power.
            (r"a\:b=c", ("a:b", "=", "c")),
            (r"a\=b==c", ("a=b", "==", "c")),
            (r"a=\=b", ("a", "=", "=b")),
            (r"a=\@b", ("a", "=", "@b")),
            (r"a:\=b", ("a", ":", "=b")),
            (r"a\;b=c", ("a;b", "=", "c")),
            # Before any other character it is one itself.
            (r"path=C:\new", ("path", "=", r"C:\new")),
            ("a=b\\", ("a", "=", "b\\")),
            ("a=b\nc", ("a", "=", "b\nc")),
            # A pseudo-header's name begins with a separator.
            (":authority:x.example", (":authority", ":", "x.example")),
        ],
    )
    def test_they_are_split_at_the_first_and_longest_separator(
        self, text: str, parts: tuple[str, str, str]
    ) -> None:
        assert split_item(text) == parts

    @pytest.mark.parametrize("text", ["foo", "", r"a\=b", r"a\:b\@c\;d", ":"])
    def test_one_without_a_separator_is_refused(self, text: str) -> None:
        with pytest.raises(UsageError, match="is not a request item"):
            split_item(text)

    @pytest.mark.parametrize("text", ["=v", "==v"])
    def test_one_without_a_name_is_refused(self, text: str) -> None:
        with pytest.raises(UsageError, match="there is no name before"):
            split_item(text)

    @pytest.mark.parametrize(
        ("text", "what"),
        [
            ("n:=1", "raw JSON"),
            ("n:=@file", "JSON from a file"),
            ("n=@file", "a field from a file"),
            ("n@file", "a file"),
            ("@file", "a file"),
            ("Name;", "a header without a value"),
            ("Name:", "a header without a value"),
        ],
    )
    def test_what_does_nothing_yet_is_refused_by_name(
        self, text: str, what: str
    ) -> None:
        with pytest.raises(UsageError, match=f"{what}.* is not available yet"):
            parse_items([text])

    def test_they_are_sorted_by_what_they_are_and_keep_their_order(self) -> None:
        assert parse_items(["b=1", "X:1", "q==1", "a=2", "X:2", "q==2"]) == Items(
            headers=[("X", "1"), ("X", "2")],
            query=[("q", "1"), ("q", "2")],
            fields={"b": "1", "a": "2"},
        )

    def test_the_authority_is_sent_as_host(self) -> None:
        assert parse_items([":authority:x.example"]).headers == [("Host", "x.example")]


class TestOrder:
    def test_fields_are_sent_as_a_json_object(self) -> None:
        order = parse_words(["x.example", "name=Hyper", "language=Python"])
        assert order.body == b'{"name": "Hyper", "language": "Python"}'
        assert order.headers == [("Content-Type", "application/json; charset=utf-8")]

    def test_text_of_any_language_survives(self) -> None:
        body = parse_words(["x.example", "name=Grüße"]).body
        assert body is not None
        assert json.loads(body) == {"name": "Grüße"}

    def test_a_content_type_that_is_given_stays(self) -> None:
        order = parse_words(["x.example", "a=1", "content-type:application/x"])
        assert order.headers == [("content-type", "application/x")]

    @pytest.mark.parametrize(
        ("url", "target"),
        [
            ("x.example/get", "/get?b=2&c=3+4"),
            ("x.example/get?a=1", "/get?a=1&b=2&c=3+4"),
            ("x.example/get?", "/get?b=2&c=3+4"),
        ],
    )
    def test_parameters_are_added_to_the_query(self, url: str, target: str) -> None:
        assert parse_words([url, "b==2", "c==3 4"]).target == target

    def test_the_user_becomes_basic_authentication(self) -> None:
        order = parse_words(["https://Aladdin:open%20sesame@x.example/"])
        # The example of RFC 7617 section 2.
        assert order.headers == [
            ("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
        ]

    def test_an_authorization_that_is_given_counts_for_more(self) -> None:
        order = parse_words(["https://me:word@x.example/", "authorization:Bearer x"])
        assert order.headers == [("authorization", "Bearer x")]

    @pytest.mark.parametrize("words", [[], ["https://x.example", "a=\udcff"]])
    def test_what_cannot_be_sent_is_refused(self, words: list[str]) -> None:
        with pytest.raises(UsageError, match=r"the URL is missing|'a=\\udcff' is not"):
            parse_words(words)
