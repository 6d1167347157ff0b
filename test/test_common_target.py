"""Where a request goes: hosts, ports, schemes and request targets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyper.common.exceptions import LocalProtocolError
from hyper.common.target import (
    Origin,
    authority,
    parse_host,
    request_target,
    split_url,
)


class TestHosts:
    @pytest.mark.parametrize(
        ("text", "host", "port"),
        [
            ("example.com", "example.com", 443),
            ("Example.COM", "example.com", 443),
            ("example.com:8443", "example.com", 8443),
            ("example.com:", "example.com", 443),
            ("my_service", "my_service", 443),
            ("web.1", "web.1", 443),
            ("127.0.0.1", "127.0.0.1", 443),
            ("127.0.0.1:80", "127.0.0.1", 80),
            ("[::1]:8443", "::1", 8443),
            ("[::1]:", "::1", 443),
            ("[::1]", "::1", 443),
            ("::1", "::1", 443),
            ("2001:DB8::1", "2001:db8::1", 443),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1", 443),
        ],
    )
    def test_a_host_is_read_in_every_usual_form(self, text, host, port):
        origin = parse_host(text)
        assert (origin.host, origin.port) == (host, port)

    @pytest.mark.scenario(18)
    @pytest.mark.parametrize(
        "text", ["[fe80::1%eth0]:443", "[fe80::1%25eth0]", "fe80::1%eth0"]
    )
    def test_a_zone_is_resolved_but_neither_verified_nor_sent(self, text):
        origin = parse_host(text)
        assert origin.host == "fe80::1%eth0"
        assert origin.tls_name == "fe80::1"
        assert authority(origin) == b"[fe80::1]"

    def test_a_zone_may_be_the_number_25(self):
        assert parse_host("[fe80::1%25]").host == "fe80::1%25"
        assert parse_host("fe80::1%25").host == "fe80::1%25"

    @pytest.mark.scenario(19)
    def test_a_final_dot_is_for_the_resolver_only(self):
        origin = parse_host("example.com.")
        assert origin.host == "example.com."
        assert origin.tls_name == "example.com"
        assert authority(origin) == b"example.com."

    @pytest.mark.scenario(19)
    @pytest.mark.parametrize(
        "text", ["a..b", "example.com..", ".", "..", ".example.com", "b\xfccher..de"]
    )
    def test_an_empty_label_is_refused(self, text):
        with pytest.raises(LocalProtocolError, match=r"name"):
            parse_host(text)

    @pytest.mark.scenario(17)
    @pytest.mark.parametrize(
        "text",
        [
            "0x7f000001",
            "2130706433",
            "127.1",
            "127.0.0.1.",
            "127.0.0.01",
            "256.0.0.1",
            "0x7f.0.0.1",
            "1.2.3.4.5",
            "0x",
            "\uff12\uff11\uff13\uff10\uff17\uff10\uff16\uff14\uff13\uff13",
        ],
    )
    def test_an_address_in_an_unusual_form_is_refused(self, text):
        with pytest.raises(LocalProtocolError, match=r"not an IPv4 address"):
            parse_host(text)

    def test_an_internationalised_name_becomes_ascii(self):
        origin = parse_host("b\xfccher.example:8443")
        assert origin.host == "xn--bcher-kva.example"
        assert authority(origin) == b"xn--bcher-kva.example:8443"

    def test_a_name_that_becomes_too_long_in_ascii_is_refused(self):
        with pytest.raises(LocalProtocolError, match="name"):
            parse_host("\xfc" * 63 + ".example")
        label = "\xfc" * 40
        with pytest.raises(LocalProtocolError, match="name"):
            parse_host(".".join([label] * 6))

    def test_a_name_may_have_253_characters_and_a_final_dot(self):
        name = ".".join(["a" * 63] * 3 + ["a" * 61])
        assert parse_host(name).host == name
        assert parse_host(name + ".").host == name + "."
        for longer in (name + "a", name + "aa"):
            with pytest.raises(LocalProtocolError):
                parse_host(longer)
        with pytest.raises(LocalProtocolError):
            parse_host("a" * 64 + ".example")

    @pytest.mark.scenario(196)
    @pytest.mark.parametrize("bad", list("\r\n\0\t \x7f<>^|`{}\"'%*,;\\/?#["))
    @pytest.mark.parametrize("place", ["{}example.com", "exa{}mple.com", "a.test{}"])
    def test_a_character_that_no_host_has_is_refused(self, bad, place):
        with pytest.raises(LocalProtocolError):
            parse_host(place.format(bad))

    @pytest.mark.scenario(196)
    @pytest.mark.parametrize(
        "text",
        [
            "",
            ":443",
            "[",
            "[]",
            "[]:443",
            "[::1",
            "[::1]443",
            "[::1]:x",
            "[a.test]:443",
            "[::1\r\n]:443",
            "::g",
            "1:2:3",
            "[fe80::1%]",
            "[fe80::1%a b]",
            "fe80::1%eth0\r\n",
            "a.test:99999999999",
            "a.test:-1",
            "a.test:+1",
            "a.test: 1",
            "a.test:\u0661",
            "a.test:80\r\n",
            "\u2100.test",
        ],
    )
    def test_what_names_no_server_is_refused(self, text):
        with pytest.raises(LocalProtocolError):
            parse_host(text)

    def test_the_host_has_to_be_a_str(self):
        with pytest.raises(TypeError, match="bytes"):
            parse_host(b"example.com")

    @settings(deadline=None)
    @given(st.text(max_size=40))
    def test_any_text_is_either_refused_or_safe_to_send(self, text):
        try:
            origin = parse_host(text)
        except LocalProtocolError:
            return
        sent = authority(origin)
        assert sent.isascii()
        assert not set(sent) & set(b"\r\n\0 /?#@")
        assert parse_host(sent.decode(), secure=origin.secure).port == origin.port


class TestUrls:
    @pytest.mark.parametrize(
        ("url", "origin"),
        [
            ("https://a.test", Origin("https", "a.test", 443)),
            ("https://a.test/", Origin("https", "a.test", 443)),
            ("HTTPS://a.test:8443/", Origin("https", "a.test", 8443)),
            ("http://a.test", Origin("http", "a.test", 80)),
            ("http://a.test:443", Origin("http", "a.test", 443)),
            ("http://[::1]:8080/", Origin("http", "::1", 8080)),
        ],
    )
    @pytest.mark.parametrize("default_port", [80, 443])
    def test_the_scheme_decides_about_tls_and_the_port(self, url, origin, default_port):
        assert parse_host(url, default_port=default_port) == origin

    @pytest.mark.parametrize(
        ("url", "secure"), [("http://a.test", True), ("https://a.test", False)]
    )
    def test_a_scheme_that_contradicts_secure_is_refused(self, url, secure):
        assert parse_host(url, secure=not secure).secure is not secure
        with pytest.raises(LocalProtocolError, match="secure="):
            parse_host(url, secure=secure)

    @pytest.mark.parametrize("url", ["ftp://a.test", "h2://a.test", "file:///etc"])
    def test_another_scheme_is_refused(self, url):
        with pytest.raises(LocalProtocolError, match="scheme"):
            parse_host(url)

    @pytest.mark.parametrize("rest", ["/path", "//", "?q", "#f", "/?q", "\\"])
    def test_a_path_in_the_host_is_refused(self, rest):
        with pytest.raises(LocalProtocolError, match="belongs to the request"):
            parse_host("https://a.test" + rest)

    @pytest.mark.parametrize("url", ["https://", "https:///", "http://:80"])
    def test_a_url_without_a_host_is_refused(self, url):
        with pytest.raises(LocalProtocolError):
            parse_host(url)

    @pytest.mark.scenario(203)
    @pytest.mark.parametrize(
        "text",
        ["me:secret@a.test:8443", "https://me:secret@a.test:8443/", "@a.test:8443"],
    )
    def test_userinfo_is_dropped(self, text):
        origin = parse_host(text)
        assert authority(origin) == b"a.test:8443"
        assert "secret" not in repr(origin)

    @pytest.mark.scenario(203)
    @pytest.mark.parametrize(
        "text",
        [
            "me:secret@",
            "me:secret@a b",
            "me:secret@a@b",
            "https://me:secret/@a.test",
            "https://me:secret#@a.test",
            "me:secret@a.test:x",
            "me:secret",
        ],
    )
    def test_no_message_shows_userinfo(self, text):
        with pytest.raises(LocalProtocolError) as caught:
            parse_host(text)
        assert "secret" not in str(caught.value)


class TestPortAndSecure:
    @pytest.mark.parametrize(
        ("port", "secure", "default_port", "expected"),
        [
            (None, None, 443, ("https", 443)),
            (None, None, 80, ("http", 80)),
            (None, True, 80, ("https", 443)),
            (None, False, 443, ("http", 80)),
            (443, None, 80, ("https", 443)),
            (8443, None, 443, ("http", 8443)),
            (443, False, 443, ("http", 443)),
            (8443, True, 80, ("https", 8443)),
            (80, True, 80, ("https", 80)),
        ],
    )
    def test_what_is_not_given_follows_from_what_is(
        self, port, secure, default_port, expected
    ):
        origin = parse_host("a.test", port, secure, default_port)
        assert (origin.scheme, origin.port) == expected
        assert origin.secure is (expected[0] == "https")

    def test_a_port_written_twice_has_to_be_the_same(self):
        assert parse_host("a.test:8443", 8443).port == 8443
        with pytest.raises(LocalProtocolError, match="8443"):
            parse_host("a.test:8443", 443)

    @pytest.mark.parametrize("port", [0, -1, 65536])
    def test_a_port_out_of_range_is_refused(self, port):
        with pytest.raises(LocalProtocolError, match="65535"):
            parse_host("a.test", port)

    @pytest.mark.parametrize("port", ["443", 443.0, True, b"443"])
    def test_the_port_has_to_be_an_int(self, port):
        with pytest.raises(TypeError, match=type(port).__name__):
            parse_host("a.test", port)


class TestAuthority:
    @pytest.mark.parametrize(
        ("origin", "expected"),
        [
            (Origin("https", "a.test", 443), b"a.test"),
            (Origin("http", "a.test", 80), b"a.test"),
            (Origin("http", "a.test", 443), b"a.test:443"),
            (Origin("https", "a.test", 80), b"a.test:80"),
            (Origin("https", "::1", 443), b"[::1]"),
            (Origin("https", "::1", 8443), b"[::1]:8443"),
        ],
    )
    def test_the_port_is_sent_only_where_it_is_unusual(self, origin, expected):
        assert authority(origin) == expected

    def test_origins_can_be_compared_and_be_keys(self):
        assert {parse_host("A.test"): 1}[parse_host("https://a.test:443/")] == 1


@pytest.mark.scenario(195)
class TestRequestTargets:
    @pytest.mark.parametrize(
        ("url", "target"),
        [
            ("/", b"/"),
            ("/path?q=1&r", b"/path?q=1&r"),
            ("", b"/"),
            ("*", b"*"),
            ("?q", b"/?q"),
            ("//host/x", b"//host/x"),
            ("/a%20b", b"/a%20b"),
            ('/"<>\\^`{|}', b'/"<>\\^`{|}'),
            (b"/bytes", b"/bytes"),
            (b"", b"/"),
        ],
    )
    def test_a_path_goes_out_as_given(self, url, target):
        assert request_target(url) == target

    @pytest.mark.parametrize("url", ["/a#f", "/a#", "/a#f?q#g", "http://h/a#f"])
    def test_a_fragment_is_not_sent(self, url):
        assert request_target(url) == b"/a"

    @pytest.mark.parametrize("url", ["#f", "http://h#f", "http://h", "HTTPS://h:1"])
    def test_nothing_but_a_host_or_a_fragment_means_the_root(self, url):
        assert request_target(url) == b"/"

    @pytest.mark.scenario(203)
    @pytest.mark.parametrize("scheme", ["http", "HTTPS"])
    def test_an_absolute_url_gives_its_path_and_query(self, scheme):
        assert request_target(f"{scheme}://me:pw@h:1/p/?q=http://x") == (
            b"/p/?q=http://x"
        )
        assert request_target(f"{scheme}://h?q") == b"/?q"

    @pytest.mark.parametrize(
        ("url", "target"),
        [
            ("/b\xfccher?\u20ac", b"/b%C3%BCcher?%E2%82%AC"),
            (b"/b\xfccher", b"/b%FCcher"),
        ],
    )
    def test_what_is_not_ascii_is_percent_encoded(self, url, target):
        assert request_target(url) == target

    @pytest.mark.parametrize("bad", [chr(c) for c in range(0x21)] + ["\x7f"])
    @pytest.mark.parametrize(
        "place", ["{}/", "/a{}b", "/a?b{}", "/a#{}", "http://h{}/", "*{}"]
    )
    def test_spaces_and_controls_are_refused(self, bad, place):
        for url in (place.format(bad), place.format(bad).encode()):
            with pytest.raises(LocalProtocolError, match="percent-encoded"):
                request_target(url)

    @pytest.mark.parametrize(
        "url", ["foo", "foo/bar", "*a", "h:1", "ftp://h/", "http:///x", "\xfc"]
    )
    def test_what_begins_with_no_slash_is_refused(self, url):
        with pytest.raises(LocalProtocolError, match="begin with '/'"):
            request_target(url)

    def test_a_lone_surrogate_is_refused(self):
        with pytest.raises(LocalProtocolError, match="Unicode"):
            request_target("/\ud800")

    @pytest.mark.parametrize("url", [None, 1, bytearray(b"/")])
    def test_the_url_has_to_be_text_or_bytes(self, url):
        with pytest.raises(TypeError, match=type(url).__name__):
            request_target(url)

    def test_no_message_shows_the_url(self):
        with pytest.raises(LocalProtocolError) as caught:
            request_target("/?token=secret word")
        assert "secret" not in str(caught.value)

    @settings(deadline=None)
    @given(st.text() | st.binary())
    def test_any_url_is_either_refused_or_safe_to_send(self, url):
        try:
            target = request_target(url)
        except LocalProtocolError:
            return
        assert target == b"*" or target.startswith(b"/")
        assert all(0x20 < byte < 0x7F for byte in target)
        assert request_target(target) == target


class TestWholeUrls:
    @pytest.mark.parametrize(
        ("url", "scheme", "host", "port", "target"),
        [
            ("http://a.test", "http", "a.test", 80, b"/"),
            ("https://a.test/", "https", "a.test", 443, b"/"),
            ("HTTPS://A.test:8443/B?c=d#e", "https", "a.test", 8443, b"/B?c=d"),
            (b"https://a.test?q", "https", "a.test", 443, b"/?q"),
            ("https://a.test#f", "https", "a.test", 443, b"/"),
            ("http://[::1]:8080/x", "http", "::1", 8080, b"/x"),
            ("https://\u00fc.test/\u00fc", "https", "xn--tda.test", 443, b"/%C3%BC"),
            ("http://a.test//x/@y", "http", "a.test", 80, b"//x/@y"),
        ],
    )
    def test_name_a_server_and_a_target(self, url, scheme, host, port, target):
        assert split_url(url) == (Origin(scheme, host, port), target)

    @pytest.mark.scenario(203)
    @pytest.mark.parametrize("userinfo", ["alice", "alice:sesame", ":", "a%40b:c"])
    def test_userinfo_is_dropped(self, userinfo):
        expected = Origin("https", "a.test", 443), b"/x"
        assert split_url(f"https://{userinfo}@a.test/x") == expected

    @pytest.mark.parametrize(
        "url",
        [
            *("", "/", "a.test", "a.test/x", "//a.test/x", "https:/a.test", "https:"),
            *("https://", "https:///x", "ftp://a.test/", "https://a.test:sesame/"),
            *("https://good.test\\@evil.test/", "https://a@b@evil.test/"),
            *(
                "https://a.test /",
                "https://a.test/a b",
                "https://a.test/\n",
                " https://a",
            ),
            *(b"https://\xff.test/", "https://127.1/", "https://a.test:65536/"),
        ],
    )
    def test_what_is_no_whole_url_is_refused_without_repeating_secrets(self, url):
        with pytest.raises(LocalProtocolError) as caught:
            split_url(url)
        assert "sesame" not in str(caught.value)

    def test_it_is_text_or_bytes(self):
        with pytest.raises(TypeError, match="str or bytes"):
            split_url(None)
