"""The picture of a trace, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from browser import Browser, browsing

import hyper
from hyper import http2bin
from hyper.tls import init_context
from hyper.trace import Field, Record, Recorder, save

DOWNLOADS = 50
#: What a trace must not be able to do to the page.
TRICK = '</script><script>throw "tricked"</script><b>'


@pytest.fixture(scope="module")
def trace() -> Recorder:
    """A trace of downloads that are under way at the same time, and some that fail.

    A millisecond lies between one record and the next, whatever the machine took, so
    that everything in the picture has its width and its distance everywhere.
    """
    trace = Recorder()
    with (
        http2bin.serve() as server,
        hyper.HTTPConnection(
            server.url, ssl_context=init_context(server.ca_file), trace=trace
        ) as conn,
    ):
        ids = [conn.request("GET", f"/bytes/{10000 + n}") for n in range(DOWNLOADS)]
        for stream_id in ids:
            assert conn.get_response(stream_id).read()
        conn.request("GET", "/never", headers={"X-Trick": TRICK})
        conn.get_response().close()
        failing = conn.request("GET", "/status/404")
        conn.get_response(failing).close()
    refused = {"error": "REFUSED_STREAM"}
    trace.records += [Record(0, 1, "RST_STREAM", "recv", failing, 4, detail=refused)]
    trace.records = [
        replace(record, time=number / 1000)
        for number, record in enumerate(trace.records)
    ]
    return trace


@pytest.fixture(scope="module")
def browser(
    trace: Recorder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    directory = tmp_path_factory.mktemp("browser")
    trace.save(directory / "trace.html")
    with browsing(directory) as browser:
        browser.open((directory / "trace.html").as_uri())
        yield browser
        assert browser.complaints == []


def rows(browser: Browser) -> list[str]:
    found: list[str] = browser.evaluate(
        "[...document.querySelectorAll('.row text')].map((one) => one.textContent)"
    )
    return found


def middle_of(browser: Browser, selector: str) -> tuple[float, float]:
    x, y = browser.evaluate(
        f"(() => {{ const box = document.querySelector('{selector}')"
        ".getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    return x, y


def tip(browser: Browser) -> str:
    text: str = browser.evaluate(
        "getComputedStyle(document.getElementById('tip')).display === 'none' ? '' :"
        "document.getElementById('tip').textContent"
    )
    return text


def test_each_connection_and_each_stream_has_a_row(browser: Browser) -> None:
    connection, *streams = rows(browser)
    assert connection.startswith("https://localhost:")
    assert len(streams) == DOWNLOADS + 2
    assert streams[0] == "1  200  GET /bytes/10000"


def test_steps_frames_windows_and_errors_are_drawn(browser: Browser) -> None:
    for kind in (
        *("dns", "tcp", "tls", "wait", "receive", "recv", "send", "window"),
        *("failed", "bad", "error"),
    ):
        assert browser.evaluate(f"document.querySelectorAll('.{kind}').length"), kind


def test_it_asks_nobody_for_anything(browser: Browser) -> None:
    assert browser.evaluate("performance.getEntriesByType('resource').length") == 0


def test_the_mouse_tells_of_connection_stream_and_frame(browser: Browser) -> None:
    browser.mouse("mouseMoved", *middle_of(browser, '[data-row="1.0"] text'))
    assert "\\n" not in tip(browser)
    assert "tls version TLSv1.3" in tip(browser)
    browser.mouse("mouseMoved", *middle_of(browser, '[data-row="1.3"] text'))
    assert tip(browser).startswith("stream 3: GET /bytes/10001\nstatus 200, 10.0 KB")
    browser.mouse("mouseMoved", *middle_of(browser, '[data-row="1.1"] .send'))
    assert "send HEADERS  stream 1" in tip(browser)
    assert "\n:path: /bytes/10000" in tip(browser)
    browser.mouse("mouseMoved", 700, 8)
    assert tip(browser) == ""


def shown(browser: Browser) -> tuple[float, float]:
    """Which time the picture shows, in milliseconds."""
    text = browser.evaluate("document.getElementById('about').textContent")
    found = re.search(r"([\d.]+) ms to ([\d.]+) ms", text)
    assert found
    return float(found[1]), float(found[2])


def test_the_wheel_zooms_and_a_double_click_resets(browser: Browser) -> None:
    whole = shown(browser)
    x, y = middle_of(browser, '[data-row="1.1"] .receive')
    browser.mouse("mouseWheel", x, y, deltaX=0, deltaY=-100)
    zoomed = shown(browser)
    # Bars are cut where the picture ends, so that their widths tell nothing.
    assert whole[0] < zoomed[0] < zoomed[1] < whole[1]
    browser.mouse("mousePressed", x, y, button="left", clickCount=1)
    browser.mouse("mouseMoved", x - 50, y, button="left", buttons=1)
    browser.mouse("mouseReleased", x - 50, y, button="left", clickCount=1)
    assert shown(browser) != zoomed
    for count in (1, 2):
        browser.mouse("mousePressed", x, y, button="left", clickCount=count)
        browser.mouse("mouseReleased", x, y, button="left", clickCount=count)
    assert shown(browser) == whole


def test_a_filter_leaves_the_streams_that_fit(browser: Browser) -> None:
    fill = (
        "document.getElementById('filter').value = '{}';"
        "document.getElementById('filter').dispatchEvent(new Event('input'))"
    )
    browser.evaluate(fill.format("never"))
    assert rows(browser)[1:] == [f"{DOWNLOADS * 2 + 1}  200  GET /never"]
    browser.evaluate(fill.format(""))
    assert len(rows(browser)) == DOWNLOADS + 3


def test_it_can_be_seen(browser: Browser) -> None:
    assert browser.screenshot().startswith(b"\x89PNG")


def test_a_trace_of_nothing_or_of_a_failure_is_a_page_too(tmp_path: Path) -> None:
    began = datetime(2026, 1, 1, tzinfo=timezone.utc)
    path = tmp_path / "trace.html"
    save([], path, began)
    assert "hyper, 2026-01-01 00:00:00 UTC" in path.read_text("utf-8")
    fields = (Field("x", TRICK),)
    save([Record(0.1, 1, "HEADERS", "send", 1, fields=fields)], path, began)
    assert TRICK not in path.read_text("utf-8")
