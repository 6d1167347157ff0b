"""Proxies, and what is said to them, without a socket; then to those that exist.

What a proxy answers is delivered whole, byte by byte and split at every point, with and
without bytes after it, and must mean the same every time.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import socket
import ssl
import weakref

import pytest
from servers import HELLO as PAGE
from servers import PASSWORD, PROXIES, USERNAME
from threads import PATIENCE

from hyper.common.exceptions import (
    ConnectionLost,
    HyperError,
    LocalProtocolError,
    ProxyError,
    ReadTimeout,
)
from hyper.common.protocol import EVERYONE
from hyper.common.target import Origin
from hyper.transport.proxy import MAX_BODY, MAX_HEADS, Proxy, Socks, Tunnel

scenario = pytest.mark.scenario

SECRET = "f8W3qN"
ORIGIN = Origin("https", "example.com", 443)
#: What the server sends first, in TLS.
HELLO = b"\x16\x03\x03\x00\x04\r\n\r\n"


def deliveries(data):
    """Yield the pieces of data as they may come, in every way there is."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]


def answered(make, *answers):
    """Yield a handshake for each way in which the last of the answers may come."""
    *earlier, last = answers
    for pieces in deliveries(last):
        handshake = asked(make)
        for piece in earlier:
            handshake.receive_data(piece)
            assert handshake.data_to_send()
        for piece in pieces:
            handshake.receive_data(piece)
        yield handshake


def failure_of(handshake):
    """Return the failure, having checked that all agree on it."""
    assert not handshake.established
    assert handshake.finished
    assert not handshake.paused
    assert handshake.leftover == b""
    assert handshake.data_to_send() == b""
    assert EVERYONE in handshake.touched
    assert handshake.failure is not None
    return handshake.failure


def refusal_of(handshake):
    failure = failure_of(handshake)
    assert isinstance(failure, ProxyError)
    assert failure.retry_safe
    return failure


def check_established(handshake, leftover=b""):
    assert handshake.established
    assert handshake.paused
    assert not handshake.finished
    assert handshake.failure is None
    assert handshake.leftover == leftover
    assert handshake.data_to_send() == b""
    assert EVERYONE in handshake.touched


class TestURLs:
    @pytest.mark.parametrize(
        ("url", "scheme", "host", "port"),
        [
            ("http://proxy.example:3128", "http", "proxy.example", 3128),
            ("http://proxy.example", "http", "proxy.example", 80),
            ("HTTPS://Proxy.Example/", "https", "proxy.example", 443),
            ("https://proxy.example:80", "https", "proxy.example", 80),
            ("http://proxy.example:443", "http", "proxy.example", 443),
            ("proxy.example:3128", "http", "proxy.example", 3128),
            ("proxy.example", "http", "proxy.example", 80),
            ("socks4://192.0.2.1", "socks4", "192.0.2.1", 1080),
            ("socks4a://p", "socks4a", "p", 1080),
            ("socks5://[2001:db8::1]", "socks5", "2001:db8::1", 1080),
            ("socks5h://[::1]:9050/", "socks5h", "::1", 9050),
            ("http://b\xfccher.example", "http", "xn--bcher-kva.example", 80),
        ],
    )
    def test_a_proxy_is_read_in_every_usual_form(self, url, scheme, host, port):
        proxy = Proxy.parse(url)
        assert (proxy.scheme, proxy.host, proxy.port) == (scheme, host, port)
        assert not proxy.has_credentials
        assert proxy.request_fields() == []

    def test_who_needs_another_default_port_says_so(self):
        assert Proxy.parse("proxy.example", default_port=8080).port == 8080
        assert Proxy.parse("proxy.example:80", default_port=8080).port == 80

    @pytest.mark.parametrize(
        ("userinfo", "username", "password"),
        [
            ("user:pass@", b"user", b"pass"),
            ("user@", b"user", b""),
            ("user:@", b"user", b""),
            (":pass@", b"", b"pass"),
            ("@", b"", b""),
            ("a%40b:c%3Ad%2f@", b"a@b", b"c:d/"),
            ("user:a:b@", b"user", b"a:b"),
            ("us er:p%zz%4@", b"us er", b"p%zz%4"),
            ("\xfc:%C3%BC@", b"\xc3\xbc", b"\xc3\xbc"),
        ],
    )
    def test_credentials_are_decoded(self, userinfo, username, password):
        proxy = Proxy.parse(f"http://{userinfo}proxy.example")
        assert (proxy.username, proxy.password) == (username, password)
        assert proxy.has_credentials == (username + password != b"")
        assert proxy.host == "proxy.example"

    @scenario(196)
    @pytest.mark.parametrize(
        "url",
        [
            "",
            "http://",
            "http://:8080",
            "ftp://proxy.example",
            "socks://proxy.example",
            "http://http://proxy.example",
            "http://proxy.example/path",
            "http://proxy.example?query",
            "http://proxy.example#fragment",
            "http://proxy.example:99999",
            "http://proxy.example:0",
            "http://proxy.example:port",
            "http://proxy example",
            "http://proxy.example\r\nX: y",
            "http://proxy.example:80\r\nX: y",
            "http://[::1",
            "http://0x7f000001",
            "http://a@b@proxy.example",
            "http://user:pa/ss@proxy.example",
            "http://user:pa#ss@proxy.example",
            "http://us%3aer:pass@proxy.example",
            "http://user%0d%0a:pass@proxy.example",
            "socks4://user:pass@proxy.example",
            "socks4a://us%00er@proxy.example",
            "socks5://:pass@proxy.example",
            "http://\udcff@proxy.example",
        ],
    )
    def test_what_names_no_proxy_is_refused(self, url):
        with pytest.raises(LocalProtocolError):
            Proxy.parse(url)

    @scenario(259)
    @pytest.mark.parametrize(
        "userinfo", ["u" * 256, "u:" + "p" * 256, "%C3%BC" * 128 + ":p"]
    )
    def test_users_and_passwords_that_socks5_cannot_carry_are_refused(self, userinfo):
        with pytest.raises(LocalProtocolError, match="255"):
            Proxy.parse(f"socks5h://{userinfo}@proxy.example")

    @pytest.mark.parametrize("url", [b"http://p", None, 80])
    def test_a_proxy_is_a_str(self, url):
        with pytest.raises(TypeError):
            Proxy.parse(url)


class TestAProxy:
    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("user:pass@proxy.example", "http://proxy.example:80"),
            ("socks5h://[fe80::1%25eth0]:1", "socks5h://[fe80::1]:1"),
        ],
    )
    def test_it_is_shown_as_a_url(self, url, shown):
        assert str(Proxy.parse(url)) == shown

    @scenario(256)
    def test_nothing_that_is_shown_has_its_credentials(self):
        url = f"http://{SECRET}:{SECRET}@proxy.example"
        proxy = Proxy.parse(url, {"X-Token": SECRET})
        assert SECRET not in repr(proxy) + str(proxy)
        tunnel = asked(lambda: Tunnel(proxy, ORIGIN))
        tunnel.receive_data(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
        shown = repr(tunnel) + repr(tunnel.failure)
        assert SECRET not in shown
        assert base64.b64encode(SECRET.encode()).decode() not in shown

    @scenario(256)
    @pytest.mark.parametrize(
        "url",
        [
            f"http://user:{SECRET}",
            f"http://user:{SECRET}@",
            f"http://user:{SECRET}@@proxy.example",
            f"http://user:{SECRET}/@proxy.example",
            f"http://user:{SECRET}@proxy.example/path",
            f"http://{SECRET}%00:{SECRET}@proxy.example",
            f"http://{SECRET}%3a:{SECRET}@proxy.example",
            f"http://user:{SECRET}@proxy.example:port",
            f"http://user:{SECRET}@proxy example",
            f"socks4://user:{SECRET}@proxy.example",
            f"ftp://user:{SECRET}@proxy.example",
        ],
    )
    def test_no_error_about_its_url_has_its_credentials(self, url):
        with pytest.raises(LocalProtocolError) as caught:
            Proxy.parse(url)
        assert SECRET not in str(caught.value)

    @scenario(257)
    def test_those_that_differ_in_credentials_are_different(self):
        urls = ["p", "u@p", "u:a@p", "u:b@p", "p:81", "https://p", "socks5://p"]
        proxies = {Proxy.parse(url) for url in urls}
        proxies.add(Proxy.parse("p", {"X": "y"}))
        assert len(proxies) == len(urls) + 1
        assert Proxy.parse("http://u:a@P:80/") in proxies
        assert Proxy.parse("p", [("X", b"y")]) in proxies

    @scenario(255)
    def test_an_https_proxy_is_verified_by_its_own_name(self):
        origin = Proxy.parse("https://proxy.example.:8443").origin
        assert origin.secure
        assert (origin.tls_name, origin.port) == ("proxy.example", 8443)

    @pytest.mark.parametrize("url", ["http://p:443", "socks5://p:443"])
    def test_any_other_is_spoken_to_without_tls(self, url):
        assert not Proxy.parse(url).origin.secure

    def test_it_says_who_resolves_names(self):
        schemes = ["http", "https", "socks4a", "socks5h", "socks4", "socks5"]
        resolves = [Proxy.parse(f"{scheme}://p").resolves for scheme in schemes]
        assert resolves == [True, True, True, True, False, False]

    def test_its_fields_are_its_credentials_and_its_headers(self):
        proxy = Proxy.parse("http://Aladdin:open%20sesame@p", {"X": "1"})
        assert proxy.request_fields([("Y", "2")]) == [
            (b"Proxy-Authorization", b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            (b"X", b"1"),
            (b"Y", b"2"),
        ]

    def test_credentials_that_were_given_as_a_field_come_first(self):
        token = {"proxy-authorization": "Bearer x"}
        fields = [(b"proxy-authorization", b"Bearer x")]
        assert Proxy.parse("http://u:p@p", token).request_fields() == fields
        assert Proxy.parse("http://u:p@p").request_fields(token) == fields

    @scenario(196)
    @pytest.mark.parametrize(
        "headers",
        [
            {"X": "a\r\nY: b"},
            {"X": "a\0"},
            {"X\r\nY": "a"},
            {"X Y": "a"},
            {":authority": "a"},
            {"Host": "evil.example"},
            {"content-length": "5"},
            {"Transfer-Encoding": "chunked"},
        ],
    )
    def test_headers_that_are_not_fit_to_be_sent_are_refused(self, headers):
        with pytest.raises(LocalProtocolError):
            Proxy.parse("http://p", headers)
        with pytest.raises(LocalProtocolError):
            Tunnel(Proxy.parse("http://p"), ORIGIN, headers)

    def test_socks_has_no_headers(self):
        with pytest.raises(LocalProtocolError, match="no headers"):
            Proxy.parse("socks5://p", {"X": "y"})


def asked(make):
    """Return a handshake that has sent its first words."""
    handshake = make()
    assert handshake.data_to_send()
    return handshake


def tunnel():
    return Tunnel(Proxy.parse("http://proxy.example:3128"), ORIGIN)


REFUSED = "http://proxy.example:3128 refused to connect to example.com:443: "


class TestTunnels:
    def test_a_tunnel_is_asked_for_by_connect(self):
        assert tunnel().data_to_send() == (
            b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"
        )

    def test_the_request_is_sent_once(self):
        handshake = tunnel()
        assert handshake.data_to_send()
        assert handshake.data_to_send() == b""

    @pytest.mark.parametrize(
        ("origin", "target"),
        [
            (Origin("http", "example.com", 80), b"example.com:80"),
            (Origin("https", "2001:db8::1", 443), b"[2001:db8::1]:443"),
            (Origin("https", "fe80::1%eth0", 443), b"[fe80::1]:443"),
        ],
    )
    def test_the_port_is_always_part_of_the_target(self, origin, target):
        request = Tunnel(Proxy.parse("p"), origin).data_to_send()
        lines = request.split(b"\r\n")
        assert lines[:2] == [b"CONNECT %b HTTP/1.1" % target, b"Host: " + target]

    @scenario(256)
    def test_credentials_and_headers_are_sent_to_the_proxy(self):
        proxy = Proxy.parse("http://u:p@p", {"X": "1"})
        lines = Tunnel(proxy, ORIGIN, {"Y": "2"}).data_to_send().split(b"\r\n")
        assert lines[2:] == [
            b"Proxy-Authorization: Basic dTpw",
            b"X: 1",
            b"Y: 2",
            b"",
            b"",
        ]

    @scenario(251, 253)
    @pytest.mark.parametrize("leftover", [b"", b"\r\n", HELLO, b"HTTP/1.1 200 OK\r\n"])
    @pytest.mark.parametrize(
        "head",
        [
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.0 200 Connection established\r\n\r\n",
            b"HTTP/1.1 200\r\nVia: 1.1 p\r\n\r\n",
            b"HTTP/1.1 299 Fine\n\n",
        ],
    )
    def test_a_2xx_opens_it_and_what_follows_is_kept(self, head, leftover):
        for handshake in answered(tunnel, head + leftover):
            check_established(handshake, leftover)

    @scenario(189)
    @pytest.mark.parametrize(
        "field",
        [
            b"Content-Length: 8",
            b"Content-Length: x",
            b"Transfer-Encoding: chunked",
            b"Transfer-Encoding: gzip",
        ],
    )
    def test_the_length_of_a_2xx_means_nothing(self, field):
        head = b"HTTP/1.1 200 OK\r\n" + field + b"\r\n\r\n"
        for handshake in answered(tunnel, head + HELLO):
            check_established(handshake, HELLO)

    @scenario(252)
    def test_interim_responses_are_passed_over(self):
        interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Wait\r\nA: b\r\n\r\n"
        for handshake in answered(tunnel, interim + b"HTTP/1.1 200 OK\r\n\r\nx"):
            check_established(handshake, b"x")

    @scenario(252)
    @pytest.mark.parametrize(
        ("status", "reason"),
        [
            (101, "Switching Protocols"),
            (302, "Found"),
            (304, "Not Modified"),
            (403, "Forbidden"),
            (407, "Proxy Authentication Required"),
            (502, ""),
            (999, "\x1b[2J"),
        ],
    )
    def test_any_other_status_is_a_refusal(self, status, reason):
        head = f"HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\nA: b, c\r\n\r\n"
        for handshake in answered(tunnel, head.encode()):
            error = refusal_of(handshake)
            assert str(error) == f"{REFUSED}{status} {reason!r}"
            assert error.response.status == status
            assert error.response.reason == reason
            assert error.response.headers["a"] == [b"b", b"c"]
            assert error.response.read() == b""

    @scenario(252)
    def test_the_content_of_a_refusal_is_kept(self):
        head = b"HTTP/1.1 403 No\r\nContent-Length: 13\r\n\r\n"
        for handshake in answered(tunnel, head + b"<html>\r\n\r\nNo"):
            assert not handshake.finished  # One byte is missing.
            handshake.receive_data(b"!more")
            assert refusal_of(handshake).response.read() == b"<html>\r\n\r\nNo!"

    @scenario(252)
    def test_content_of_unknown_length_ends_with_the_connection(self):
        for handshake in answered(tunnel, b"HTTP/1.1 403 No\r\n\r\n<html>"):
            assert not handshake.finished
            handshake.receive_eof(True)
            assert refusal_of(handshake).response.read() == b"<html>"

    @scenario(252)
    @pytest.mark.parametrize("length", [b"", b"Content-Length: 9999999\r\n"])
    def test_no_more_content_is_waited_for_than_is_kept(self, length):
        handshake = asked(tunnel)
        handshake.receive_data(b"HTTP/1.1 403 No\r\n" + length + b"\r\n")
        handshake.receive_data(b"x" * (MAX_BODY - 1))
        assert not handshake.finished
        handshake.receive_data(b"xy")
        assert refusal_of(handshake).response.read() == b"x" * MAX_BODY

    @scenario(252)
    @pytest.mark.parametrize(
        "field",
        [b"Transfer-Encoding: chunked", b"Content-Length: x", b"Content-Length: 1, 2"],
    )
    def test_content_whose_end_is_not_known_is_not_waited_for(self, field):
        head = b"HTTP/1.1 403 No\r\n" + field + b"\r\n\r\n"
        for handshake in answered(tunnel, head):
            assert refusal_of(handshake).response.read() == b""

    @scenario(252, 254)
    @pytest.mark.parametrize(
        "error", [ConnectionLost("reset"), ReadTimeout("too late"), ProxyError("x")]
    )
    def test_a_refusal_whose_content_does_not_come_is_a_refusal(self, error):
        handshake = asked(tunnel)
        handshake.receive_data(b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nabc")
        handshake.fail(error)
        assert str(refusal_of(handshake)) == f"{REFUSED}403 'No'"
        assert handshake.failure.response.body == b"abc"

    @scenario(252)
    @pytest.mark.parametrize(
        "answer",
        [
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"220 mail.example ESMTP\r\n",
            b"\x15\x03\x01\x00\x02\x02\x50",
            b"<html>",
            b"\r\n",
            b"ICY 200 OK\r\n\r\n",
        ],
    )
    def test_what_is_not_http_is_found_at_its_first_bytes(self, answer):
        for handshake in answered(tunnel, answer):
            error = refusal_of(handshake)
            assert "is not HTTP/1: b" in str(error)
            assert error.response is None

    @scenario(252)
    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/2 200 OK\r\n\r\n",
            b"HTTP/1.1 20 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno field\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            b"HTTP/1.1 200 OK\0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 257 + b"\r\n",
        ],
    )
    def test_a_malformed_head_opens_nothing(self, answer):
        handshake = asked(tunnel)
        handshake.receive_data(answer)
        error = refusal_of(handshake)
        assert error.response is None
        assert isinstance(error.__cause__, HyperError)

    @scenario(252)
    @pytest.mark.parametrize("size", [1, 8191, 10 * MAX_HEADS])
    def test_a_head_has_a_limit(self, size):
        start = b"HTTP/1.1 200 OK\r\nA: "
        data = start + b"x" * (MAX_HEADS - len(start) - 2) + b"\r\n\r\n"
        handshake = asked(tunnel)
        for at in range(0, len(data), size):
            handshake.receive_data(data[at : at + size])
        check_established(handshake)
        handshake = asked(tunnel)
        data = data.replace(b": ", b": x")
        for at in range(0, len(data), size):
            handshake.receive_data(data[at : at + size])
        assert "more than 65536 bytes" in str(refusal_of(handshake))

    @scenario(252)
    def test_interim_responses_count_towards_it(self):
        handshake = asked(tunnel)
        interim = b"HTTP/1.1 100 Continue\r\n\r\n"
        handshake.receive_data(interim * (MAX_HEADS // (len(interim) - 2)))
        assert not handshake.finished
        handshake.receive_data(interim)
        assert "more than 65536 bytes" in str(refusal_of(handshake))

    @scenario(254)
    @pytest.mark.parametrize(
        ("answer", "how"),
        [
            (b"", "without an answer"),
            (b"HTT", "within its answer"),
            (b"HTTP/1.1 200 OK\r\nA: b\r\n", "within its answer"),
            (b"HTTP/1.1 100 Continue\r\n\r\n", "without an answer"),
        ],
    )
    @pytest.mark.parametrize("clean", [True, False])
    def test_a_proxy_that_hangs_up_is_an_error(self, answer, how, clean):
        handshake = asked(tunnel)
        handshake.receive_data(answer)
        handshake.receive_eof(clean)
        error = refusal_of(handshake)
        assert str(error) == f"http://proxy.example:3128 closed the connection {how}"
        assert error.response is None


def socks(url, host="example.com", port=443):
    return lambda: Socks(Proxy.parse(url), Origin("https", host, port))


NAME = b"\x03\x0bexample.com\x01\xbb"
OFFER = b"\5\1\0"
ASK = b"\5\1\0"
BOUND = b"\1\x7f\0\0\1\x10\0"


def converse(handshake, *talk):
    """Go through pairs of what is said and what is answered."""
    for said, answer in talk:
        assert handshake.data_to_send() == said
        assert not handshake.established
        for at in range(len(answer)):
            handshake.receive_data(answer[at : at + 1])
    return handshake


@scenario(259)
class TestSocks5:
    def test_a_name_is_for_the_proxy_to_resolve(self):
        handshake = socks("socks5h://p")()
        converse(handshake, (OFFER, b"\5\0"), (ASK + NAME, b"\5\0\0" + BOUND))
        check_established(handshake)

    @pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
    @pytest.mark.parametrize(
        ("host", "address"),
        [
            ("192.0.2.1", b"\1\xc0\0\2\1"),
            ("2001:db8::1", b"\4\x20\x01\x0d\xb8" + bytes(11) + b"\1"),
            ("fe80::1%eth0", b"\4\xfe\x80" + bytes(13) + b"\1"),
        ],
    )
    def test_an_address_is_sent_as_one(self, scheme, host, address):
        handshake = socks(f"{scheme}://p", host)()
        converse(
            handshake,
            (OFFER, b"\5\0"),
            (ASK + address + b"\x01\xbb", b"\5\0\0" + BOUND),
        )
        check_established(handshake)

    def test_names_have_to_be_resolved_for_plain_socks5(self):
        with pytest.raises(LocalProtocolError, match="takes addresses"):
            socks("socks5://p")()

    def test_the_longest_of_names_fits(self):
        host = ".".join(["a" * 63] * 3 + ["b" * 61])
        handshake = socks("socks5h://p", host)()
        converse(handshake, (OFFER, b"\5\0"))
        request = ASK + b"\3\xfd" + host.encode() + b"\x01\xbb"
        assert handshake.data_to_send() == request

    @pytest.mark.parametrize(
        ("userinfo", "login"),
        [
            ("user:pass", b"\1\4user\4pass"),
            ("user", b"\1\4user\0"),
            (
                "u" * 255 + ":" + "p" * 255,
                b"\1\xff" + b"u" * 255 + b"\xff" + b"p" * 255,
            ),
        ],
    )
    def test_credentials_are_given_if_they_are_wanted(self, userinfo, login):
        handshake = socks(f"socks5h://{userinfo}@p")()
        converse(
            handshake,
            (b"\5\2\0\2", b"\5\2"),
            (login, b"\1\0"),
            (ASK + NAME, b"\5\0\0" + BOUND),
        )
        check_established(handshake)

    def test_credentials_are_not_given_if_they_are_not_wanted(self):
        handshake = socks("socks5h://user:pass@p")()
        converse(handshake, (b"\5\2\0\2", b"\5\0"), (ASK + NAME, b"\5\0\0" + BOUND))
        check_established(handshake)

    @scenario(253)
    @pytest.mark.parametrize("leftover", [b"", b"\5\0", HELLO])
    @pytest.mark.parametrize(
        "bound",
        [
            BOUND,
            b"\4" + bytes(18),
            b"\3\4host\1\2",
            b"\3\0\1\2",
            b"\3\xff" + b"h" * 255 + b"\1\2",
        ],
    )
    def test_what_follows_the_reply_is_kept(self, bound, leftover):
        reply = b"\5\0\0" + bound + leftover
        for handshake in answered(socks("socks5h://p"), b"\5\0", reply):
            check_established(handshake, leftover)

    @pytest.mark.parametrize(
        ("url", "answers", "text"),
        [
            ("socks5h://p", [b"\4\0"], "does not speak SOCKS5"),
            ("socks5h://p", [b"HTTP/1.1 400 Bad\r\n"], "does not speak SOCKS5"),
            ("socks5h://p", [b"\5\xff"], "wants credentials"),
            ("socks5h://p", [b"\5\2"], "said 2"),
            ("socks5h://u:p@p", [b"\5\xff"], "said 255"),
            ("socks5h://u:p@p", [b"\5\1"], "said 1"),
            ("socks5h://u:p@p", [b"\5\2", b"\1\1"], "refused the user and password"),
            ("socks5h://u:p@p", [b"\5\2", b"\5\0"], "refused the user and password"),
            ("socks5h://p", [b"\5\0", b"\4\0"], "reply is not SOCKS5"),
            ("socks5h://p", [b"\5\0", b"\5\1"], r"general failure \(it said 1\)"),
            ("socks5h://p", [b"\5\0", b"\5\2\0" + BOUND], "rules do not allow it"),
            ("socks5h://p", [b"\5\0", b"\5\3\0" + BOUND], "network unreachable"),
            ("socks5h://p", [b"\5\0", b"\5\4\0" + BOUND], "host unreachable"),
            ("socks5h://p", [b"\5\0", b"\5\5\0" + BOUND], "connection refused"),
            ("socks5h://p", [b"\5\0", b"\5\6\0" + BOUND], "time to live"),
            ("socks5h://p", [b"\5\0", b"\5\7\0" + BOUND], "command"),
            ("socks5h://p", [b"\5\0", b"\5\x08\0" + BOUND], "address"),
            ("socks5h://p", [b"\5\0", b"\5\x5b\0" + BOUND], r"reason.* \(it said 91\)"),
            ("socks5h://p", [b"\5\0", b"\5\0\0\2" + bytes(6)], "unknown type 2"),
        ],
    )
    def test_a_refusal_says_why(self, url, answers, text):
        for handshake in answered(socks(url), *answers):
            error = refusal_of(handshake)
            start = "socks5h://p:1080 did not connect to example.com:443: "
            assert str(error).startswith(start)
            assert error.response is None
            with pytest.raises(ProxyError, match=text):
                raise error

    def test_credentials_are_not_sent_to_what_does_not_speak_socks(self):
        handshake = socks(f"socks5h://{SECRET}:{SECRET}@p")()
        offer = handshake.data_to_send()
        handshake.receive_data(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert SECRET.encode() not in offer + handshake.data_to_send()

    @scenario(254)
    @pytest.mark.parametrize(
        "answers", [[b""], [b"\5"], [b"\5\0", b""], [b"\5\0", b"\5\0\0\1\0"]]
    )
    def test_a_proxy_that_hangs_up_is_an_error(self, answers):
        for handshake in answered(socks("socks5h://p"), *answers):
            handshake.receive_eof(True)
            assert "closed the connection" in str(refusal_of(handshake))


@scenario(259)
class TestSocks4:
    GRANTED = b"\0\x5a" + bytes(6)

    @pytest.mark.parametrize("scheme", ["socks4", "socks4a"])
    @pytest.mark.parametrize(("userinfo", "user"), [("", b""), ("me@", b"me")])
    def test_an_address_is_sent_as_one(self, scheme, userinfo, user):
        handshake = socks(f"{scheme}://{userinfo}p", "192.0.2.1")()
        request = b"\4\1\x01\xbb\xc0\0\2\1" + user + b"\0"
        check_established(converse(handshake, (request, self.GRANTED)))

    def test_4a_leaves_a_name_to_the_proxy(self):
        handshake = socks("socks4a://me@p")()
        request = b"\4\1\x01\xbb\0\0\0\1me\0example.com\0"
        check_established(converse(handshake, (request, self.GRANTED)))

    def test_4_takes_no_names(self):
        with pytest.raises(LocalProtocolError, match="takes addresses"):
            socks("socks4://p")()

    @pytest.mark.parametrize("scheme", ["socks4", "socks4a"])
    def test_neither_takes_ipv6(self, scheme):
        with pytest.raises(LocalProtocolError, match="IPv6"):
            socks(f"{scheme}://p", "::1")()

    @scenario(253)
    def test_what_follows_the_reply_is_kept(self):
        for handshake in answered(socks("socks4a://p"), self.GRANTED + HELLO):
            check_established(handshake, HELLO)

    @pytest.mark.parametrize(
        ("answer", "text"),
        [
            (b"\0\x5b" + bytes(6), "rejected or failed"),
            (b"\0\x5c" + bytes(6), "cannot reach identd"),
            (b"\0\x5d" + bytes(6), "another user"),
            (b"\0\0" + bytes(6), "it said 0"),
            (b"\4\x5a" + bytes(6), "does not speak SOCKS4"),
            (b"HTTP/1.1", "does not speak SOCKS4"),
        ],
    )
    def test_a_refusal_says_why(self, answer, text):
        for handshake in answered(socks("socks4a://p"), answer):
            assert text in str(refusal_of(handshake))


HANDSHAKES = [
    pytest.param(tunnel, [b"HTTP/1.1 200 OK\r\n\r\n"], id="tunnel"),
    pytest.param(socks("socks4a://p"), [b"\0\x5a" + bytes(6)], id="socks4"),
    pytest.param(socks("socks5h://p"), [b"\5\0", b"\5\0\0" + BOUND], id="socks5"),
]


@pytest.mark.parametrize(("make", "answers"), HANDSHAKES)
class TestEveryHandshake:
    def test_one_that_is_under_way_wants_to_read(self, make, answers):
        handshake = make()
        assert not handshake.paused
        assert not handshake.finished
        assert not handshake.touched

    @scenario(253)
    def test_all_that_comes_after_the_answer_is_kept(self, make, answers):
        for handshake in answered(make, *answers):
            for piece in (b"a", b"", b"bc"):
                handshake.receive_data(piece)
            check_established(handshake, b"abc")

    def test_the_end_of_the_connection_undoes_nothing(self, make, answers):
        for handshake in answered(make, *answers[:-1], answers[-1] + b"x"):
            handshake.receive_eof(True)
            handshake.fail(ConnectionLost("gone"))
            check_established(handshake, b"x")

    @scenario(252)
    def test_what_comes_unasked_is_no_answer(self, make, answers):
        for number in range(len(answers)):
            handshake = make()
            for answer in answers[:number]:
                handshake.data_to_send()
                handshake.receive_data(answer)
            handshake.receive_data(answers[number])
            assert "before it was asked" in str(refusal_of(handshake))

    def test_it_fails_once(self, make, answers):
        handshake = asked(make)
        error = ReadTimeout("too late")
        handshake.fail(error)
        handshake.fail(ReadTimeout("later still"))
        handshake.receive_data(answers[0])
        handshake.receive_eof(True)
        assert failure_of(handshake) is error

    @scenario(252)
    def test_one_that_failed_before_it_began_says_nothing(self, make, answers):
        handshake = make()
        handshake.fail(ReadTimeout("too late"))
        assert handshake.data_to_send() == b""

    @scenario(254)
    def test_a_lost_connection_is_an_error_of_the_proxy(self, make, answers):
        handshake = asked(make)
        lost = ConnectionLost("connection reset by peer")
        handshake.fail(lost)
        error = refusal_of(handshake)
        assert "connection reset by peer" in str(error)
        assert error.__cause__ is lost

    @pytest.mark.parametrize("last", [b"", b"H", None, b"HTTP/1.1 x\r\n\r\n"])
    def test_one_that_is_dropped_is_freed_without_the_collector(
        self, make, answers, last
    ):
        last = answers[-1] if last is None else last
        gc.disable()
        try:
            handshake = asked(make)
            for answer in [*answers[:-1], last]:
                handshake.receive_data(answer)
                handshake.data_to_send()
            gone = weakref.ref(handshake)
            del handshake
            assert gone() is None
        finally:
            gc.enable()


KNOWN = f"{USERNAME}:{PASSWORD}"
every_proxy = pytest.mark.parametrize("name", PROXIES)


@contextlib.contextmanager
def through(server, url, host="127.0.0.1", port=None):
    """Yield a socket and the handshake with a real proxy that is over on it."""
    proxy = Proxy.parse(url)
    origin = Origin("http", host, port or server.backend_port)
    with contextlib.ExitStack() as stack:
        address = ("127.0.0.1", proxy.port)
        sock = stack.enter_context(socket.create_connection(address, PATIENCE))
        if proxy.origin.secure:
            context = ssl.create_default_context(cafile=server.ca_file)
            name = proxy.origin.tls_name
            sock = stack.enter_context(context.wrap_socket(sock, server_hostname=name))
        handshake = (Socks if proxy.is_socks else Tunnel)(proxy, origin)
        while not (handshake.established or handshake.finished):
            sock.sendall(handshake.data_to_send())
            data = sock.recv(65536)
            if data:
                handshake.receive_data(data)
            else:
                handshake.receive_eof(True)
        yield sock, handshake


def check_page(server, url, host="127.0.0.1"):
    """Get the page of the server behind the proxy."""
    with through(server, url, host) as (sock, handshake):
        assert handshake.failure is None
        sock.sendall(b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received = handshake.leftover
        while data := sock.recv(65536):
            received += data
        assert received.startswith(b"HTTP/1.1 200 ")
        assert received.endswith(b"\r\n\r\n" + PAGE)


@pytest.fixture
def closed_port():
    """A port of the loopback at which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@every_proxy
class TestRealProxies:
    @scenario(251)
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_a_tunnel_leads_to_the_server(self, real_server, name, host):
        server = real_server(name, "connect")
        check_page(server, server.proxy_url("http"), host)

    @scenario(256)
    def test_credentials_open_a_tunnel(self, real_server, name):
        server = real_server(name, "connect", "auth")
        check_page(server, server.proxy_url("http", KNOWN))

    @scenario(252)
    @pytest.mark.parametrize("credentials", [":", f"{USERNAME}:wrong"])
    def test_wrong_credentials_open_none(self, real_server, name, credentials):
        server = real_server(name, "connect", "auth")
        url = server.proxy_url("http", credentials)
        with through(server, url) as (_, handshake):
            response = refusal_of(handshake).response
            assert response.status in (401, 407)
            assert b"html" in response.read().lower()

    @scenario(252)
    def test_a_server_that_is_not_there_is_a_refusal(
        self, real_server, name, closed_port
    ):
        server = real_server(name, "connect")
        url = server.proxy_url("http")
        with through(server, url, port=closed_port) as (_, handshake):
            response = refusal_of(handshake).response
            assert 500 <= response.status < 600
            assert b"html" in response.read().lower()

    @scenario(255)
    def test_a_tunnel_leads_through_an_https_proxy(self, real_server, name):
        server = real_server(name, "connect", "tls")
        check_page(server, server.proxy_url("https"))

    @scenario(259)
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_socks5_leads_to_the_server(self, real_server, name, host):
        server = real_server(name, "socks5")
        check_page(server, server.proxy_url("socks5h"), host)

    @scenario(259)
    def test_socks4_leads_to_the_server(self, real_server, name):
        server = real_server(name, "socks4")
        check_page(server, server.proxy_url("socks4"))

    @scenario(259)
    def test_socks5_takes_credentials(self, real_server, name):
        server = real_server(name, "socks5", "auth")
        check_page(server, server.proxy_url("socks5h", KNOWN))
        for credentials in (":", f"{USERNAME}:wrong"):
            url = server.proxy_url("socks5h", credentials)
            with through(server, url) as (_, handshake):
                refusal_of(handshake)

    @scenario(259)
    def test_socks5_says_that_a_server_is_not_there(
        self, real_server, name, closed_port
    ):
        server = real_server(name, "socks5")
        url = server.proxy_url("socks5h")
        with through(server, url, port=closed_port) as (_, handshake):
            assert "connection refused" in str(refusal_of(handshake))
