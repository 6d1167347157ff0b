"""What the words of the ``hyper`` command ask for. Nothing is sent anywhere here."""

from __future__ import annotations

import pytest

from hyper.cli.items import (
    Items,
    Location,
    Part,
    UsageError,
    basic,
    parse_items,
    parse_url,
    parse_words,
    split_item,
)


class TestMethod:
    def test_without_one_there_is_none(self) -> None:
        assert parse_words(["x.example", "a=1"]).method is None

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
        assert order.method is None
        assert order.server == "https://x.example"
        assert order.target == "/get?search=hyper"

    def test_a_server_to_go_to_leaves_only_the_path_to_say(self) -> None:
        def said(*words: str) -> tuple[str | None, str, str]:
            order = parse_words(words, "https://localhost:1")
            return order.method, order.server, order.target

        assert said() == (None, "https://localhost:1", "/get")
        assert said("a==b") == (None, "https://localhost:1", "/get?a=b")
        assert said("/ip") == (None, "https://localhost:1", "/ip")
        assert said("PUT") == ("PUT", "https://localhost:1", "/anything")
        assert said("head", "/ip", "a==b") == ("HEAD", "https://localhost:1", "/ip?a=b")


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

    @pytest.mark.scenario(266)
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

    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            ("n:=1", ("n", ":=", "1")),
            ('n:=["a=b"]', ("n", ":=", '["a=b"]')),
            ("n:=@file", ("n", ":=@", "file")),
            ("n=@file", ("n", "=@", "file")),
            ("n@file:1", ("n", "@", "file:1")),
            ("@file", ("", "@", "file")),
            ("@-", ("", "@", "-")),
            ("Name;", ("Name", ";", "")),
            ("Name:", ("Name", ":", "")),
            (r"n\@=file", ("n@", "=", "file")),
            (":path:/a:b", (":path", ":", "/a:b")),
        ],
    )
    def test_those_of_httpie_are_all_there(
        self, text: str, parts: tuple[str, str, str]
    ) -> None:
        assert split_item(text) == parts

    @pytest.mark.parametrize("text", ["foo", "", r"a\=b", r"a\:b\@c\;d"])
    def test_one_without_a_separator_is_refused(self, text: str) -> None:
        with pytest.raises(UsageError, match="is not a request item"):
            split_item(text)

    @pytest.mark.parametrize("text", ["=v", "==v", ":", "@", ":=1", "=@f", ":v", ";"])
    def test_one_without_a_name_is_refused(self, text: str) -> None:
        with pytest.raises(UsageError, match="there is no name before"):
            split_item(text)

    def test_they_are_sorted_by_what_they_are_and_keep_their_order(self) -> None:
        texts = ["b=1", "X:1", "q==1", "a:=2", "X:2", "q==2", "Accept:", "Y;", "f@p"]
        assert parse_items(texts) == Items(
            headers=[("X", "1"), ("X", "2"), ("Y", "")],
            dropped={"accept"},
            query=[("q", "1"), ("q", "2")],
            parts=[Part("b", "=", "1"), Part("a", ":=", "2"), Part("f", "@", "p")],
        )

    def test_a_file_may_be_the_body(self) -> None:
        items = parse_items(["@a:b"])
        assert (items.body_file, items.has_body) == ("a:b", True)
        assert not parse_items(["a:b"]).has_body

    @pytest.mark.parametrize(
        ("texts", "message"),
        [
            (["@a", "@b"], "cannot be two files"),
            (["@a", "b=c"], "a file or made of fields"),
            (["Name;x"], "nothing may follow"),
            (["Host:"], "cannot do without"),
            (["content-length:"], "cannot do without"),
            ([":scheme:http"], ":authority, :method and :path"),
        ],
    )
    def test_what_contradicts_itself_is_refused(
        self, texts: list[str], message: str
    ) -> None:
        with pytest.raises(UsageError, match=message):
            parse_items(texts)

    def test_the_authority_is_sent_as_host(self) -> None:
        assert parse_items([":authority:x.example"]).headers == [("Host", "x.example")]


class TestOrder:
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
        assert order.credentials == b"Aladdin:open sesame"
        # The example of RFC 7617 section 2.
        assert basic(order.credentials) == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="

    def test_method_and_path_may_be_given_as_http2_calls_them(self) -> None:
        order = parse_words(["x.example/a", ":method:purge", ":path:*", "b==c"])
        assert (order.method, order.target) == ("purge", "*?b=c")

    @pytest.mark.parametrize("words", [[], ["https://x.example", "a=\udcff"]])
    def test_what_cannot_be_sent_is_refused(self, words: list[str]) -> None:
        with pytest.raises(UsageError, match=r"the URL is missing|'a=\\udcff' is not"):
            parse_words(words)
