"""Redirects: where the next request goes, and what it must not take along."""

from __future__ import annotations

import pytest

from hyper.cli.content import Content
from hyper.cli.items import UsageError
from hyper.cli.transfer import Ask, BadRedirect, redirected

SECRETS = (("Authorization", "Basic x"), ("COOKIE", "a=b"), ("Host", "other.test"))


def ask(
    method: str = "GET",
    headers: tuple[tuple[str, str], ...] = (),
    content: Content | None = None,
    server: str = "https://a.test",
) -> Ask:
    return Ask(method, server, "/here/it?is", headers, content)


@pytest.mark.parametrize(
    ("location", "server", "target"),
    [
        ("/there", "https://a.test", "/there"),
        ("there?x#part", "https://a.test", "/here/there?x"),
        ("//b.test/x", "https://b.test", "/x"),
        ("http://a.test", "http://a.test", "/"),
        ("https://B.test:8443/x", "https://b.test:8443", "/x"),
        ("https://me:word@a.test/x", "https://a.test", "/x"),
        ("/a b?\u00c3\u00a9%20", "https://a.test", "/a%20b?%C3%A9%20"),
    ],
)
def test_a_location_may_be_relative(location: str, server: str, target: str) -> None:
    onward = redirected(ask(), 302, location)
    assert (onward.server, onward.target, onward.headers) == (server, target, ())


@pytest.mark.scenario(261)
@pytest.mark.scenario(262)
@pytest.mark.parametrize(
    "location",
    ["https://b.test/", "https://a.test:8443/", "http://a.test/", "//a.test.evil/"],
)
def test_what_is_for_one_server_is_not_told_to_another(location: str) -> None:
    onward = redirected(ask(headers=(*SECRETS, ("X", "y"))), 302, location)
    assert onward.headers == (("X", "y"),)


def test_the_same_server_gets_it_again() -> None:
    assert redirected(ask(headers=SECRETS), 302, "/there").headers == SECRETS


@pytest.mark.scenario(263)
@pytest.mark.parametrize(
    ("status", "before", "after"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (301, "PUT", "PUT"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
    ],
)
def test_a_method_that_changes_takes_the_body_away(
    status: int, before: str, after: str
) -> None:
    body = Content(b"x")
    headers = (("Content-Type", "a/b"), ("Expect", "100-continue"), ("X", "y"))
    onward = redirected(ask(before, headers, body), status, "/there")
    kept = after == before
    assert onward.method == after
    assert onward.content is (body if kept or before == "HEAD" else None)
    assert onward.headers == (headers if kept else (("X", "y"),))


@pytest.mark.scenario(264)
@pytest.mark.parametrize(
    "location",
    [
        *("file:///etc/passwd", "ftp://a.test", "data:x", "mailto:443"),
        *("https://[", "http://a b/", "http://\x1b[31m/", "http://a.test:99999/"),
    ],
)
def test_it_leads_to_http_or_nowhere(location: str) -> None:
    with pytest.raises(BadRedirect, match="neither http nor https") as caught:
        redirected(ask(), 302, location)
    assert "\x1b" not in str(caught.value)


def test_standard_input_is_not_sent_twice() -> None:
    with pytest.raises(UsageError, match="cannot be sent a second time"):
        redirected(ask("POST", content=Content(None)), 307, "/x")
    assert redirected(ask("POST", content=Content(None)), 303, "/x").content is None
