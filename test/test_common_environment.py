"""Proxies from the environment: which one, and when none."""

from __future__ import annotations

import pytest

from hyper.common.environment import proxy_from_environment

pytestmark = pytest.mark.scenario(258)

PROXY = "http://proxy.example:3128"


def ask(environ, scheme="http", host="example.com", port=80):
    return proxy_from_environment(scheme, host, port, environ)


class TestWhichVariable:
    def test_an_empty_environment_names_no_proxy(self):
        assert ask({}) is None

    def test_the_process_has_an_environment_of_its_own(self, monkeypatch):
        monkeypatch.setenv("http_proxy", PROXY)
        monkeypatch.setenv("no_proxy", "")
        assert proxy_from_environment("http", "example.com", 80) == PROXY

    @pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY"])
    def test_each_scheme_has_its_own_variable(self, name):
        assert ask({name: PROXY}) == PROXY
        assert ask({name: PROXY}, "https") is None

    @pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY"])
    def test_an_https_origin_has_another_one_than_http(self, name):
        assert ask({name: PROXY}, "https") == PROXY
        assert ask({name: PROXY}, "http") is None

    @pytest.mark.parametrize("name", ["all_proxy", "ALL_PROXY"])
    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_all_proxy_is_for_those_that_have_none(self, name, scheme):
        assert ask({name: "socks5h://p"}, scheme) == "socks5h://p"
        own = {name: "socks5h://p", f"{scheme}_proxy": PROXY}
        assert ask(own, scheme) == PROXY

    @pytest.mark.parametrize("name", ["http_proxy", "all_proxy"])
    def test_lower_case_comes_before_upper_case(self, name):
        assert ask({name: PROXY, name.upper(): "http://wrong"}) == PROXY

    def test_an_empty_variable_means_no_proxy(self):
        others = {"HTTP_PROXY": "http://wrong", "all_proxy": "http://wrong"}
        assert ask({"http_proxy": "", **others}) is None

    def test_blanks_around_a_url_are_no_part_of_it(self):
        assert ask({"http_proxy": f" {PROXY}\n"}) == PROXY

    def test_names_in_mixed_case_are_not_looked_at(self):
        assert ask({"Http_Proxy": PROXY}) is None


class TestInACGIScript:
    def test_http_proxy_in_upper_case_is_the_visitors_and_does_not_count(self):
        visited = {"REQUEST_METHOD": "GET", "HTTP_PROXY": "http://evil.example"}
        assert ask(visited) is None
        assert ask({**visited, "all_proxy": PROXY}) == PROXY

    def test_http_proxy_in_lower_case_counts(self):
        assert ask({"REQUEST_METHOD": "GET", "http_proxy": PROXY}) == PROXY

    def test_no_field_of_a_request_becomes_https_proxy(self):
        environ = {"REQUEST_METHOD": "GET", "HTTPS_PROXY": PROXY}
        assert ask(environ, "https") == PROXY


def excepted(no_proxy, host, port=80):
    """Return whether the host is reached without the proxy, however it is spelt."""
    answers = {
        ask({"http_proxy": PROXY, name: no_proxy}, host=host, port=port)
        for name in ("no_proxy", "NO_PROXY")
    }
    (answer,) = answers
    assert answer in (None, PROXY)
    return answer is None


class TestExceptions:
    @pytest.mark.parametrize(
        "entry", ["example.com", ".example.com", "*.example.com", "Example.COM."]
    )
    @pytest.mark.parametrize(
        "host", ["example.com", "www.example.com", "a.b.example.com", "example.com."]
    )
    def test_a_domain_stands_for_itself_and_its_subdomains(self, entry, host):
        assert excepted(entry, host)

    @pytest.mark.parametrize(
        "host", ["notexample.com", "example.com.evil.net", "com", "example.org"]
    )
    @pytest.mark.parametrize("entry", ["example.com", ".example.com", "*.example.com"])
    def test_a_domain_stands_for_no_other(self, entry, host):
        assert not excepted(entry, host)

    @pytest.mark.parametrize("entries", ["a.net,example.com", "a.net example.com,"])
    def test_there_may_be_several_entries(self, entries):
        assert excepted(entries, "example.com")
        assert excepted(entries, "a.net")
        assert not excepted(entries, "b.net")

    @pytest.mark.parametrize("entries", ["*", "a.net, *", "*:80"])
    @pytest.mark.parametrize("host", ["example.com", "192.0.2.1", "2001:db8::1"])
    def test_a_star_stands_for_all(self, entries, host):
        assert excepted(entries, host)

    @pytest.mark.parametrize("entries", ["", " ", ",,", ".", "*.", "[]", ":80", "..."])
    @pytest.mark.parametrize("host", ["example.com", "192.0.2.1", "2001:db8::1"])
    def test_an_empty_entry_stands_for_nothing(self, entries, host):
        assert not excepted(entries, host)

    @pytest.mark.parametrize(
        ("entry", "host"),
        [
            ("example.com:8080", "www.example.com"),
            ("*:8080", "example.com"),
            ("192.0.2.1:8080", "192.0.2.1"),
            ("[2001:db8::1]:8080", "2001:db8::1"),
        ],
    )
    def test_a_port_restricts_an_entry(self, entry, host):
        assert excepted(entry, host, 8080)
        assert not excepted(entry, host, 80)

    def test_a_port_that_is_no_number_makes_an_entry_void(self):
        assert not excepted("example.com:http", "example.com")

    @pytest.mark.parametrize(
        ("entry", "host"),
        [
            ("192.0.2.1", "192.0.2.1"),
            ("10.0.0.0/8", "10.255.0.1"),
            ("10.1.2.3/8", "10.255.0.1"),
            ("0.0.0.0/0", "192.0.2.1"),
            ("2001:db8::/32", "2001:db8:1::1"),
            ("[2001:db8::/32]", "2001:db8:1::1"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("[::1]", "::1"),
            ("::1", "::1"),
            ("fe80::/10", "fe80::1%eth0"),
        ],
    )
    def test_addresses_and_networks_stand_for_addresses(self, entry, host):
        assert excepted(entry, host)

    @pytest.mark.parametrize(
        ("entry", "host"),
        [
            ("192.0.2.1", "192.0.2.10"),
            ("2.1", "192.0.2.1"),
            (".2.1", "192.0.2.1"),
            ("10.0.0.0/8", "11.0.0.1"),
            ("10.0.0.0/8", "2001:db8::1"),
            ("2001:db8::/32", "2001:db9::1"),
            ("10.0.0.0/33", "10.0.0.1"),
            ("10.0.0.0/8", "ten.example.com"),
            ("10", "10.0.0.1"),
        ],
    )
    def test_addresses_and_networks_stand_for_no_others(self, entry, host):
        assert not excepted(entry, host)

    def test_exceptions_hold_for_all_proxy_as_well(self):
        assert ask({"all_proxy": PROXY, "no_proxy": "example.com"}) is None
