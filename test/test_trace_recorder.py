"""A recorder at real connections, and the files that it writes."""

from __future__ import annotations

import itertools
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from peer import Peer
from text_peer import TextPeer
from threads import background

import hyper
from hyper import http2bin
from hyper.common.protocol import HTTPVersion
from hyper.tls import init_context
from hyper.trace import Record, Recorder, load
from hyper.trace.exchanges import exchanges


@pytest.fixture(scope="module")
def service() -> Iterator[http2bin.Server]:
    with http2bin.serve() as server:
        yield server


@pytest.fixture(scope="module")
def context(service: http2bin.Server) -> ssl.SSLContext:
    return init_context(service.ca_file)


def kinds(trace: Recorder) -> list[str]:
    return [f"{one.direction} {one.kind}".strip() for one in trace.records]


class TestConnections:
    def test_all_steps_and_frames_of_one_are_recorded(
        self, service: http2bin.Server, context: ssl.SSLContext
    ) -> None:
        trace = Recorder()
        with hyper.HTTP20Connection(
            service.url, ssl_context=context, trace=trace
        ) as conn:
            conn.request("POST", "/echo", b"hi")
            assert conn.get_response().read() == b"hi"
        found = kinds(trace)
        assert found[:5] == ["start", "dns", "tcp", "tls", "speak"]
        # A server's may come together with the end of the handshake.
        assert found[5] in ("send SETTINGS", "recv SETTINGS")
        assert found[-2:] == ["send GOAWAY", "closed"]
        for kind in ("HEADERS", "DATA", "SETTINGS"):
            assert f"send {kind}" in found
            assert f"recv {kind}" in found
        times = [record.time for record in trace.records]
        assert times == sorted(times)
        assert trace.records[3].detail["alpn"] == "h2"

    def test_http11_is_recorded_as_heads_and_content(self, text_peer: TextPeer) -> None:
        trace = Recorder()
        conn = text_peer.client(hyper.HTTP11Connection, trace=trace)
        asking = background(conn.request, "GET", "/", headers={"Cookie": "a"})
        text_peer.accept()
        asking.result()
        text_peer.send_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        assert conn.get_response().read() == b"hi"
        conn.close()
        assert kinds(trace) == [
            *("start", "dns", "tcp", "speak"),
            *("send REQUEST", "recv RESPONSE", "recv BODY", "closed"),
        ]
        assert trace.records[4].value("Cookie") == "[redacted]"

    def test_a_connection_that_is_not_made_is_recorded(self) -> None:
        trace = Recorder()
        with hyper.HTTPConnection("http://[fe80::1%25nosuch]", trace=trace) as conn:
            with pytest.raises(hyper.ConnectError):
                conn.request("GET", "/")
        assert kinds(trace) == ["start", "closed"]
        assert "cannot resolve" in str(trace.records[1].detail["reason"])

    def test_each_connection_has_a_number(
        self, service: http2bin.Server, context: ssl.SSLContext
    ) -> None:
        trace = Recorder()
        for _ in range(2):
            with hyper.HTTPConnection(
                service.url, ssl_context=context, trace=trace
            ) as conn:
                conn.connect()
        assert {record.connection for record in trace.records} == {1, 2}

    def test_another_place_may_be_connected_to(
        self, service: http2bin.Server, context: ssl.SSLContext
    ) -> None:
        with hyper.HTTPConnection(
            "https://elsewhere.test",
            ssl_context=context,
            server_hostname="localhost",
            connect_to=("127.0.0.1", service.port),
        ) as conn:
            conn.request("GET", "/headers")
            body = json.loads(conn.get_response().read())
            assert body["headers"]["Host"] == "elsewhere.test"

    def test_a_failure_of_the_server_shows(self, peer: Peer) -> None:
        trace = Recorder()
        conn = peer.connection(trace=trace)
        asking = background(conn.request, "GET", "/")
        peer.greet()
        asking.result()
        peer.want_headers(1)
        peer.send_reset(1, 2)
        with pytest.raises(hyper.StreamResetError):
            conn.get_response()
        (reset,) = (one for one in trace.records if one.kind == "RST_STREAM")
        assert (reset.direction, reset.is_error) == ("recv", True)
        (exchange,) = exchanges(trace.records)
        assert exchange.error == "server reset it: INTERNAL_ERROR"


class TestRecorders:
    def test_a_sink_gets_each_record_and_nothing_is_kept(self) -> None:
        taken: list[Record] = []
        trace = Recorder(taken.append, clock=itertools.count().__next__)
        tap = trace.open("https://x.test")
        tap.speaks(HTTPVersion.http11)
        tap.sent(b"GET / HTTP/1.1\r\n\r\n")
        tap.closed(ValueError("why"))
        assert trace.records == []
        assert [(one.time, one.kind) for one in taken] == [
            *((1, "start"), (2, "speak"), (3, "REQUEST"), (4, "closed"))
        ]
        assert taken[-1].detail == {"reason": "why"}

    def test_bytes_before_anything_is_spoken_are_a_handshakes(self) -> None:
        trace = Recorder()
        tap = trace.open("https://x.test")
        tap.sent(b"CONNECT x:1 HTTP/1.1\r\n\r\n")
        tap.received(b"HTTP/1.1 200 OK\r\n\r\n")
        assert kinds(trace) == ["start"]

    def test_what_follows_an_upgrade_is_http2(self) -> None:
        trace = Recorder()
        tap = trace.open("http://x.test")
        tap.speaks(HTTPVersion.http11)
        tap.sent(b"OPTIONS / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n")
        settings = b"\0\0\0\4\0\0\0\0\0"
        tap.received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + settings)
        tap.speaks(HTTPVersion.http20)
        tap.received(settings)
        assert kinds(trace)[-4:] == [
            *("recv RESPONSE", "speak", "recv SETTINGS", "recv SETTINGS")
        ]

    def test_a_sink_that_fails_ends_the_trace_and_hurts_nobody(self) -> None:
        taken: list[Record] = []

        def sink(record: Record) -> None:
            if record.kind == "SETTINGS":
                raise OSError("the disk is full")
            taken.append(record)

        tap = Recorder(sink).open("https://x.test")
        tap.speaks(HTTPVersion.http20)
        for _ in range(2):
            tap.received(b"\0\0\0\4\0\0\0\0\0")
        tap.closed(None)
        assert [record.kind for record in taken] == ["start", "speak", "trace"]
        assert taken[-1].is_error

    def test_a_sink_that_always_fails_hurts_nobody_either(self) -> None:
        called: list[Record] = []

        def sink(record: Record) -> None:
            called.append(record)
            raise OSError("nobody is there")

        tap = Recorder(sink).open("https://x.test")
        tap.speaks(HTTPVersion.http20)
        tap.received(b"\0\0\0\4\0\0\0\0\0")
        tap.closed(None)
        assert [record.kind for record in called] == ["start", "trace"]


class TestFiles:
    @pytest.fixture(scope="class")
    @classmethod
    def trace(cls, service: http2bin.Server, context: ssl.SSLContext) -> Recorder:
        trace = Recorder(tables=True, payloads=True)
        with hyper.HTTPConnection(
            service.url, ssl_context=context, trace=trace, enable_push=True
        ) as conn:
            conn.request("POST", "/upload?a=b", b"hi", {"Content-Type": "text/plain"})
            conn.get_response().read()
            conn.request("GET", "/push")
            conn.get_response().read()
            for push in conn.get_pushes():
                push.get_response().read()
            conn.request("GET", "/trailers")
            conn.get_response().read()
            conn.request("GET", "/never")
            conn.get_response().close()
        with hyper.HTTPConnection(
            service.url, ssl_context=context, trace=trace
        ) as again:
            again.request("GET", "/never")
            with again.get_response() as response:
                response.read1()
                again.close()
        with http2bin.serve(tls=False) as clear:
            with hyper.HTTPConnection(clear.url, trace=trace) as plain:
                plain.request("GET", "/redirect/1")
                plain.get_response().read()
        return trace

    def test_a_trace_is_read_as_it_was_written(
        self, trace: Recorder, tmp_path: Path
    ) -> None:
        trace.save(tmp_path / "a.jsonl")
        assert load(tmp_path / "a.jsonl") == (trace.records, trace.started)

    @pytest.mark.parametrize(
        "text",
        [
            *("", "nonsense", "{}", '{"started":1}'),
            *(
                f'{{"started":"2026-01-01"}}\n{record}\n'
                for record in (
                    *("[" * 100_000, "1", '{"x":1}', '{"time":0}'),
                    '{"time":"x","connection":1,"kind":"start"}',
                    '{"time":-1,"connection":1,"kind":"start"}',
                    '{"time":0,"connection":[],"kind":"start"}',
                    '{"time":0,"connection":1,"kind":"start","flags":1}',
                    '{"time":0,"connection":1,"kind":"start","detail":[]}',
                    '{"time":0,"connection":1,"kind":"start","detail":{"a":[]}}',
                    '{"time":0,"connection":1,"kind":"x","fields":[{"name":1}]}',
                    '{"time":0,"connection":1,"kind":"x","payload":"?"}',
                    '{"time":0,"connection":1,"kind":"x","table":{"entries":[[1]]}}',
                )
            ),
        ],
        ids=lambda text: text[-50:].strip(),
    )
    def test_what_is_no_trace_is_refused(self, text: str, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_text(text)
        with pytest.raises(ValueError, match=r"a\.jsonl is no trace"):
            load(path)

    def test_the_suffix_says_what_to_write(
        self, trace: Recorder, tmp_path: Path
    ) -> None:
        with pytest.raises(ValueError, match=r"\.jsonl, \.html, \.json or \.har"):
            trace.save(tmp_path / "a.txt")
        assert list(tmp_path.iterdir()) == []

    def test_exchanges_are_put_together(self, trace: Recorder) -> None:
        found = exchanges(trace.records)
        upload = found[0]
        assert (upload.method, upload.path) == ("POST", "/upload?a=b")
        assert (upload.status, upload.uploaded) == (200, 2)
        assert (upload.complete, upload.error) == (True, "")
        pushed = [one for one in found if one.path.startswith("/pushed/")]
        assert [one.stream_id for one in pushed] == [2, 4]
        assert all(one.status == 200 and one.complete for one in pushed)
        (trailers,) = (one for one in found if one.path == "/trailers")
        assert [field.name for field in trailers.trailers] == ["x-checksum"]
        cancelled, cut = (one for one in found if one.path == "/never")
        assert cancelled.error == "client reset it: CANCEL"
        assert not cut.complete
        assert found[-1].protocol == "HTTP/1.1"
        assert (found[-1].reason, found[-1].status) == ("Found", 302)
        for one in found:
            assert one.start <= one.sent
            assert one.first is None or one.start <= one.first <= one.end

    def test_an_archive_has_every_exchange(
        self, trace: Recorder, tmp_path: Path
    ) -> None:
        trace.save(tmp_path / "a.har")
        log = json.loads((tmp_path / "a.har").read_text())["log"]
        assert (log["version"], log["creator"]["name"]) == ("1.2", "hyper")
        entries = log["entries"]
        assert len(entries) == len(exchanges(trace.records))
        first = entries[0]
        assert first["request"]["queryString"] == [{"name": "a", "value": "b"}]
        assert first["request"]["postData"]["mimeType"] == "text/plain"
        assert first["response"]["content"]["mimeType"] == "application/json"
        assert first["timings"]["ssl"] > 0
        assert entries[1]["timings"]["ssl"] == -1
        assert entries[-1]["response"]["redirectURL"] == "/get"
        for entry in entries:
            phases = entry["timings"]
            assert all(phases[name] >= 0 for name in ("send", "wait", "receive"))
            assert entry["time"] >= 0
            assert entry["serverIPAddress"] == "127.0.0.1"

    def test_a_viewer_of_chrome_gets_slices_instants_and_counters(
        self, trace: Recorder, tmp_path: Path
    ) -> None:
        trace.save(tmp_path / "a.json")
        events = json.loads((tmp_path / "a.json").read_text())["traceEvents"]
        by_phase: dict[str, list[dict[str, object]]] = {}
        for event in events:
            by_phase.setdefault(event["ph"], []).append(event)
        assert len(by_phase["M"]) == 3
        assert len(by_phase["X"]) == len(exchanges(trace.records))
        assert len(by_phase["i"]) == len(trace.records)
        names = {event["name"] for event in by_phase["C"]}
        assert {"server may send", "client may send on 1"} <= names
