"""The local test service, driven by clients that are not ours.

HTTP/1.1 is spoken by http.client, or by bytes on a socket where http.client would
hide what is looked for; HTTP/2 by the h2 package on a blocking socket; both once
more by curl. A test that has to see inside a route adds one of its own, through
the same decorator that the real ones use, and waits on an Event.
"""

from __future__ import annotations

import contextlib
import gc
import gzip
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import brotli
import h2.config
import h2.connection
import h2.events
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes, Settings

from hyper import http2bin
from hyper.http2bin import __main__ as command
from hyper.http2bin import routes
from hyper.http2bin.message import Cancelled, Reply, Request

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PATIENCE = 20.0
MB = 1_000_000

Fields = Iterable[tuple[str, str]]


# -- the clients --------------------------------------------------------------


@dataclass
class Answer:
    """A response, whatever carried it."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | bytearray = field(default_factory=bytearray)
    trailers: list[tuple[str, str]] = field(default_factory=list)
    interim: list[list[tuple[str, str]]] = field(default_factory=list)
    ended: bool = False
    reset: int | None = None

    def __getitem__(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    def all(self, name: str) -> list[str]:
        return [v for n, v in self.headers if n == name]

    @property
    def json(self):
        return json.loads(self.body)


def dial(server: http2bin.Server, *alpn: str, address: str = "127.0.0.1"):
    """Connect to a server, with TLS if it has TLS."""
    sock = socket.create_connection((address, server.port), timeout=PATIENCE)
    if server.ca_file is None:
        return sock
    context = ssl.create_default_context(cafile=server.ca_file)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context.wrap_socket(sock, server_hostname="localhost")


class Http2Client:
    """Enough of a client for a dialogue; h2 checks that the server obeys."""

    def __init__(self, server: http2bin.Server, settings=None, window: int = 0):
        self.sock = dial(server, "h2")
        self.scheme = server.url.partition(":")[0]
        self.authority = server.url.partition("//")[2]
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(header_encoding="latin-1")
        )
        initial = {SettingCodes.ENABLE_PUSH: 0} | (settings or {})
        self.h2.local_settings = Settings(client=True, initial_values=initial)
        self.h2.initiate_connection()
        if window:
            self.h2.increment_flow_control_window(window)
        self.answers: dict[int, Answer] = {}
        self.pushes: dict[int, list[tuple[str, str]]] = {}
        self.goaways: list[h2.events.ConnectionTerminated] = []
        self.eof = False
        self.flush()

    def __enter__(self) -> Http2Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def flush(self) -> None:
        self.sock.sendall(self.h2.data_to_send())

    def queue(self, method: str, path: str, headers: Fields = (), end=True) -> int:
        stream_id = self.h2.get_next_available_stream_id()
        fields = [
            (":method", method),
            (":scheme", self.scheme),
            (":authority", self.authority),
            (":path", path),
            *headers,
        ]
        self.h2.send_headers(stream_id, fields, end_stream=end)
        self.answers[stream_id] = Answer()
        return stream_id

    def request(self, method: str, path: str, headers: Fields = (), end=True) -> int:
        stream_id = self.queue(method, path, headers, end)
        self.flush()
        return stream_id

    def send(self, stream_id: int, data: bytes, end: bool = False) -> None:
        rest = memoryview(data)
        while rest:
            room = self.h2.local_flow_control_window(stream_id)
            size = min(room, self.h2.max_outbound_frame_size, len(rest))
            if size:
                self.h2.send_data(stream_id, rest[:size])
                self.flush()
                rest = rest[size:]
            else:
                self.listen()
                if self.answers[stream_id].reset is not None:
                    return
        if end:
            self.h2.end_stream(stream_id)
            self.flush()

    def listen(self) -> None:
        """Take in what comes next."""
        data = self.sock.recv(65536)
        self.eof = not data
        for event in self.h2.receive_data(data) if data else ():
            self.note(event)
        self.flush_if_possible()

    def flush_if_possible(self) -> None:
        with contextlib.suppress(OSError):
            self.flush()

    def note(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaways.append(event)
        if isinstance(event, h2.events.PushedStreamReceived):
            self.pushes[event.pushed_stream_id] = event.headers
            self.answers[event.pushed_stream_id] = Answer()
        answer = self.answers.setdefault(getattr(event, "stream_id", 0), Answer())
        if isinstance(event, h2.events.ResponseReceived):
            (_, status), *answer.headers = event.headers
            answer.status = int(status)
        elif isinstance(event, h2.events.InformationalResponseReceived):
            answer.interim.append(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            answer.body += event.data
            size = event.flow_controlled_length
            self.h2.acknowledge_received_data(size, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            answer.trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            answer.ended = True
        elif isinstance(event, h2.events.StreamReset):
            answer.reset = event.error_code

    def want(self, ready: Callable[[], object]) -> None:
        """Listen until this holds."""
        while not ready():
            assert not self.eof, "the server closed the connection"
            self.listen()

    def want_answer(self, stream_id: int) -> Answer:
        """Listen until this stream is over."""
        answer = self.answers[stream_id]
        self.want(lambda: answer.ended or answer.reset is not None)
        return answer

    def want_eof(self) -> None:
        while not self.eof:
            with contextlib.suppress(ConnectionError):
                self.listen()

    def fetch(self, method: str, path: str, headers: Fields = (), body=b"") -> Answer:
        stream_id = self.request(method, path, headers, end=not body)
        if body:
            self.send(stream_id, body, end=True)
        return self.want_answer(stream_id)


def connect_http1(server: http2bin.Server) -> http.client.HTTPConnection:
    if server.ca_file is None:
        return http.client.HTTPConnection("localhost", server.port, timeout=PATIENCE)
    context = ssl.create_default_context(cafile=server.ca_file)
    return http.client.HTTPSConnection(
        "localhost", server.port, context=context, timeout=PATIENCE
    )


def fetch_http1(conn, method: str, path: str, headers: Fields = (), body=b"") -> Answer:
    conn.request(method, path, body or None, dict(headers))
    response = conn.getresponse()
    fields = [(n.lower(), v) for n, v in response.getheaders()]
    return Answer(response.status, fields, response.read(), ended=True)


def say(server: http2bin.Server, data: bytes) -> bytes:
    """Send these bytes and return all that comes until the server closes."""
    with dial(server, "http/1.1") as sock:
        sock.sendall(data)
        return read_to_end(sock)


def read_to_end(sock: socket.socket) -> bytes:
    pieces = []
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def read_until(sock: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        piece = sock.recv(1)
        assert piece, data
        data += piece
    return data


# -- the servers --------------------------------------------------------------


@pytest.fixture(scope="module")
def over_tls() -> Iterator[http2bin.Server]:
    with http2bin.serve() as server:
        yield server


@pytest.fixture(scope="module")
def in_clear() -> Iterator[http2bin.Server]:
    with http2bin.serve(tls=False) as server:
        yield server


@pytest.fixture(params=["over_tls", "in_clear"])
def server(request: pytest.FixtureRequest) -> http2bin.Server:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["HTTP/2", "HTTP/1.1"])
def fetch(request: pytest.FixtureRequest, server: http2bin.Server):
    """Ask and be answered, in each protocol, with TLS and without."""
    if request.param == "HTTP/2":
        with Http2Client(server) as client:
            yield client.fetch
    else:
        with contextlib.closing(connect_http1(server)) as conn:
            yield lambda *args: fetch_http1(conn, *args)


@pytest.fixture
def client(server: http2bin.Server) -> Iterator[Http2Client]:
    with Http2Client(server) as client:
        yield client


@pytest.fixture
def add_route(monkeypatch: pytest.MonkeyPatch):
    """Add a route for the length of one test."""
    monkeypatch.setattr(routes, "ROUTES", list(routes.ROUTES))
    return lambda path, function: routes.route(path, "a test's", "")(function)


# -- what was asked -----------------------------------------------------------


def test_the_first_page_lists_every_route(fetch):
    answer = fetch("GET", "/")
    assert answer["content-type"] == "text/html; charset=utf-8"
    for entry in routes.ROUTES:
        assert entry.path.replace("{}", "N").encode() in answer.body


def test_get_describes_the_request(fetch, server):
    answer = fetch("GET", "/get?search=hyper", [("x-totally-real-header", "someval")])
    assert answer.status == 200
    assert answer["content-type"] == "application/json"
    found = answer.json
    assert found["args"] == {"search": "hyper"}
    assert found["headers"]["X-Totally-Real-Header"] == "someval"
    assert found["headers"]["Host"] == f"localhost:{server.port}"
    assert found["origin"] in ("127.0.0.1", "::1")
    assert found["url"] == f"{server.url}/get?search=hyper"
    assert answer.body.startswith(b'{\n  "args": {\n')


def test_an_argument_that_is_given_twice_is_a_list(fetch):
    answer = fetch("GET", "/get?a=1&b=&a=2")
    assert answer.json["args"] == {"a": ["1", "2"], "b": ""}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_json_body_is_shown_as_text_and_as_json(fetch, method):
    body = b'{"name": "Hyper"}'
    answer = fetch(method, f"/{method.lower()}", [], body)
    found = answer.json
    assert found["data"] == body.decode()
    assert found["json"] == {"name": "Hyper"}
    assert (found["args"], found["files"], found["form"]) == ({}, {}, {})
    assert {"headers", "origin", "url"} < set(found)


def test_a_form_is_taken_apart(fetch):
    kind = [("content-type", "application/x-www-form-urlencoded")]
    found = fetch("POST", "/post", kind, b"a=1&b=2&b=3").json
    assert found["form"] == {"a": "1", "b": ["2", "3"]}
    assert (found["data"], found["json"]) == ("", None)


def test_a_multipart_body_is_taken_apart_into_fields_and_files(fetch):
    kind = [("content-type", 'multipart/form-data; boundary="-x-"')]
    body = (
        b'---x-\r\nContent-Disposition: form-data; name="word"\r\n\r\nhello\r\n'
        b"---x-\r\nContent-Type: text/plain\r\n"
        b'Content-Disposition: form-data; name="up"; filename="a.txt"\r\n\r\n'
        b"line\r\n\r\nline\r\n"
        b"---x-\r\nX-Other: 1\r\n\r\nnameless\r\n---x---\r\n"
    )
    found = fetch("POST", "/post", kind, body).json
    assert found["form"] == {"word": "hello", "": "nameless"}
    assert found["files"] == {"up": "line\r\n\r\nline"}


def test_a_body_that_is_no_text_is_shown_as_a_data_url(fetch):
    found = fetch("POST", "/post", [], b"\xff\x00").json
    assert found["data"] == "data:application/octet-stream;base64,/wA="
    assert found["json"] is None


def test_a_body_too_long_to_be_shown_is_refused(fetch):
    assert fetch("POST", "/post", [], bytes(16 * 1024 * 1024 + 1)).status == 413


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "QUERY"])
@pytest.mark.parametrize("path", ["/anything", "/anything/else"])
def test_anything_takes_any_method(fetch, method, path):
    found = fetch(method, path, [], b"x" if method == "POST" else b"").json
    assert found["method"] == method


def test_the_small_mirrors_show_one_thing_each(fetch):
    agent = [("user-agent", "hyper/1"), ("x-a", "1")]
    assert set(fetch("GET", "/ip").json) == {"origin"}
    assert fetch("GET", "/headers", agent).json["headers"]["X-A"] == "1"
    assert fetch("GET", "/user-agent", agent).json == {"user-agent": "hyper/1"}
    assert fetch("GET", "/user-agent").json == {"user-agent": None}


# -- statuses, redirects, cookies, validators ---------------------------------


@pytest.mark.parametrize("status", [200, 204, 205, 304, 404, 418, 503, 599])
def test_status_answers_with_that_status(fetch, status):
    answer = fetch("GET", f"/status/{status}")
    assert answer.status == status
    assert answer.body == b""


def test_some_statuses_come_with_the_field_they_need(fetch):
    assert fetch("GET", "/status/307")["location"] == "/get"
    assert fetch("GET", "/status/401")["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    "path",
    [
        "/status/199",
        "/status/600",
        "/status/ok",
        "/delay/soon",
        "/delay/-1",
        "/delay/nan",
        "/bytes/10737418241",
        "/redirect/0",
        "/pushed/3",
        "/drip?numbytes=0",
    ],
)
def test_a_number_that_makes_no_sense_is_a_bad_request(fetch, path):
    answer = fetch("GET", path)
    assert answer.status == 400
    assert answer.body


def test_an_unknown_path_is_not_found(fetch):
    assert fetch("GET", "/nowhere").status == 404


def test_a_wrong_method_is_told_the_right_ones(fetch):
    assert fetch("POST", "/get", [], b"unwanted")["allow"] == "GET, HEAD"
    answer = fetch("GET", "/upload")
    assert (answer.status, answer["allow"]) == (405, "POST, PUT")


def test_a_redirect_leads_to_get_in_as_many_steps(fetch):
    path, steps = "/redirect/3", 0
    while (answer := fetch("GET", path)).status == 302:
        path, steps = answer["location"], steps + 1
    assert (path, steps) == ("/get", 3)
    assert answer.status == 200


def test_cookies_are_shown(fetch):
    found = fetch("GET", "/cookies", [("cookie", "a=1; b=x=y;")]).json
    assert found == {"cookies": {"a": "1", "b": "x=y"}}
    assert fetch("GET", "/cookies").json == {"cookies": {}}


def test_cookies_are_set_one_field_each(fetch):
    answer = fetch("GET", "/cookies/set?a=1&b=two%20words&a=2")
    assert (answer.status, answer["location"]) == (302, "/cookies")
    assert answer.all("set-cookie") == [
        "a=1; Path=/",
        "a=2; Path=/",
        "b=two%20words; Path=/",
    ]


def test_the_crumbs_of_a_cookie_are_one_cookie(client):
    found = client.fetch("GET", "/cookies", [("cookie", "a=1"), ("cookie", "b=2")])
    assert found.json == {"cookies": {"a": "1", "b": "2"}}
    found = client.fetch("GET", "/headers", [("cookie", "a=1"), ("cookie", "b=2")])
    assert found.json["headers"]["Cookie"] == "a=1; b=2"


@pytest.mark.parametrize("known", ['"v1"', 'W/"v1"', '"v0", "v1"', "*"])
def test_a_known_entity_is_not_sent_again(fetch, known):
    answer = fetch("GET", "/etag/v1", [("if-none-match", known)])
    assert (answer.status, answer["etag"], answer.body) == (304, '"v1"', b"")


def test_an_entity_that_is_not_known_is_sent_with_its_tag(fetch):
    answer = fetch("GET", "/etag/v1", [("if-none-match", '"v0"')])
    assert (answer.status, answer["etag"]) == (200, '"v1"')
    assert answer.json["url"].endswith("/etag/v1")


# -- codings ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "coding", "word", "unpack"),
    [
        ("/gzip", "gzip", "gzipped", gzip.decompress),
        ("/deflate", "deflate", "deflated", zlib.decompress),
        ("/brotli", "br", "brotli", brotli.decompress),
        ("/zstd", "zstd", "zstd", zstd.decompress),
    ],
)
def test_a_coded_body_says_which_coding_it_has(fetch, path, coding, word, unpack):
    answer = fetch("GET", path)
    assert answer["content-encoding"] == coding
    assert int(answer["content-length"]) == len(answer.body)
    found = json.loads(unpack(answer.body))
    assert found[word] is True
    assert found["method"] == "GET"


@pytest.mark.parametrize("path", ["/brotli", "/zstd"])
def test_a_coding_that_is_not_installed_is_not_implemented(fetch, monkeypatch, path):
    for module in ("brotli", "backports.zstd", "compression.zstd"):
        monkeypatch.setitem(sys.modules, module, None)
    answer = fetch("GET", path)
    assert answer.status == 501
    assert b"not installed" in answer.body


# -- bodies that take time or room --------------------------------------------


def test_bytes_are_as_many_as_asked_and_always_the_same(fetch):
    one = fetch("GET", "/bytes/1500000?seed=7")
    two = fetch("GET", "/bytes/1500000?seed=7")
    assert len(one.body) == int(one["content-length"]) == 1_500_000
    assert one.body == two.body
    assert one.body != fetch("GET", "/bytes/1500000").body
    assert fetch("GET", "/bytes/0").body == b""


def test_a_download_of_20_mb_arrives_whole(server):
    size = 20 * MB
    with contextlib.closing(connect_http1(server)) as conn:
        one = fetch_http1(conn, "GET", f"/bytes/{size}")
    window = {SettingCodes.INITIAL_WINDOW_SIZE: MB}
    with Http2Client(server, window, window=MB) as client:
        two = client.fetch("GET", f"/bytes/{size}")
    assert len(one.body) == size
    assert one.body == two.body


def test_an_upload_of_20_mb_arrives_whole(fetch):
    body = bytes(range(250)) * (20 * MB // 250)
    found = fetch("POST", "/upload", [], body).json
    assert found == {
        "received": 20 * MB,
        "sha256": hashlib.sha256(body).hexdigest(),
        "trailers": {},
    }


def test_a_stream_is_lines_of_json_of_no_stated_length(fetch):
    answer = fetch("GET", "/stream/3")
    assert answer.all("content-length") == []
    assert [json.loads(line)["id"] for line in answer.body.splitlines()] == [0, 1, 2]


def test_a_delay_ends(fetch):
    assert fetch("GET", "/delay/0.01").json["url"].endswith("/delay/0.01")


def test_a_drip_gives_all_its_bytes(fetch):
    answer = fetch("GET", "/drip?numbytes=5&duration=0.01&delay=0.01")
    assert answer["content-length"] == "5"
    assert answer.body == b"*****"


def test_an_echo_gives_back_what_it_was_given(fetch):
    answer = fetch("POST", "/echo", [("content-type", "text/x")], b"abc" * 20_000)
    assert answer["content-type"] == "text/x"
    assert answer.body == b"abc" * 20_000
    assert fetch("GET", "/echo").body == b""


def test_head_is_get_without_the_body(fetch):
    for path in ("/get", "/bytes/1000", "/etag/v1"):
        head, get = fetch("HEAD", path), fetch("GET", path)
        assert head.status == 200
        assert head.headers == get.headers
        assert head.body == b""
    assert fetch("HEAD", "/stream/3").body == b""
    assert fetch("HEAD", "/trailers").body == b""


def test_a_route_that_fails_is_an_internal_error(fetch, add_route, caplog):
    add_route("/broken", lambda request: 1 / 0)
    assert fetch("GET", "/broken").status == 500
    assert "GET /broken failed" in caplog.text


# -- HTTP/2 -------------------------------------------------------------------


def test_an_echo_gives_back_each_piece_as_it_arrives(client):
    stream_id = client.request("POST", "/echo", end=False)
    answer = client.answers[stream_id]
    client.want(lambda: answer.status == 200)
    for word in (b"one", b"two"):
        client.send(stream_id, word)
        client.want(lambda word=word: answer.body.endswith(word))
    client.h2.end_stream(stream_id)
    client.flush()
    assert client.want_answer(stream_id).body == b"onetwo"


def test_trailers_follow_the_body(client):
    answer = client.fetch("GET", "/trailers")
    assert answer["trailer"] == "x-checksum"
    checksum = hashlib.sha256(answer.body).hexdigest()
    assert answer.trailers == [("x-checksum", checksum)]


def test_trailers_of_an_upload_are_told(client):
    stream_id = client.request("PUT", "/upload", end=False)
    client.send(stream_id, b"data")
    trailers = [("x-a", "1"), ("x-b", "2"), ("x-b", "3")]
    client.h2.send_headers(stream_id, trailers, end_stream=True)
    client.flush()
    found = client.want_answer(stream_id).json
    assert found["received"] == 4
    assert found["trailers"] == {"x-a": "1", "x-b": ["2", "3"]}


def test_early_hints_come_before_the_answer(client):
    answer = client.fetch("GET", "/early-hints")
    (hints,) = answer.interim
    assert hints[0] == (":status", "103")
    assert [name for name, _ in hints[1:]] == ["link", "link"]
    assert answer.status == 200


def test_push_promises_two_resources_to_a_client_that_wants_them(server):
    with Http2Client(server, {SettingCodes.ENABLE_PUSH: 1}) as client:
        answer = client.fetch("GET", "/push")
        assert answer.json == {"pushed": ["/pushed/1", "/pushed/2"]}
        assert [dict(fields)[":path"] for fields in client.pushes.values()] == [
            "/pushed/1",
            "/pushed/2",
        ]
        for stream_id, number in zip(client.pushes, "12", strict=True):
            pushed = client.want_answer(stream_id)
            assert pushed.json["resource"] == int(number)
            assert client.fetch("GET", f"/pushed/{number}").body == pushed.body


def test_push_promises_nothing_to_a_client_that_does_not_want_it(fetch):
    assert fetch("GET", "/push").json == {"pushed": []}
    assert fetch("GET", "/pushed/2").json["resource"] == 2


def test_push_promises_nothing_when_the_client_has_room_for_no_stream(server):
    settings = {SettingCodes.ENABLE_PUSH: 1, SettingCodes.MAX_CONCURRENT_STREAMS: 0}
    with Http2Client(server, settings) as client:
        assert client.fetch("GET", "/push").json == {"pushed": []}


def test_no_promise_is_made_after_the_client_has_changed_its_mind(server, add_route):
    asked, going_on = threading.Event(), threading.Event()

    def late(request: Request) -> Reply:
        asked.set()
        going_on.wait(PATIENCE)
        return Reply(pushes=("/pushed/1",))

    add_route("/late", late)
    with Http2Client(server, {SettingCodes.ENABLE_PUSH: 1}) as client:
        stream_id = client.request("GET", "/late")
        assert asked.wait(PATIENCE)
        client.h2.update_settings({SettingCodes.ENABLE_PUSH: 0})
        client.fetch("GET", "/get")  # the server has seen the settings by now
        going_on.set()
        assert client.want_answer(stream_id).status == 200
        assert client.pushes == {}


def test_a_hundred_streams_run_side_by_side(client):
    began = [client.queue("GET", f"/bytes/{n}?seed={n}") for n in range(1000, 1100)]
    client.flush()
    for n, stream_id in enumerate(began, 1000):
        answer = client.want_answer(stream_id)
        assert (answer.status, len(answer.body)) == (200, n)


def test_a_stream_that_waits_holds_up_no_other(client):
    slow = client.request("GET", "/delay/60")
    never = client.request("GET", "/never")
    client.want(lambda: client.answers[never].body == b".")
    assert client.fetch("GET", "/get").status == 200
    assert client.answers[slow].status == 0
    client.h2.reset_stream(slow)
    client.h2.reset_stream(never)
    assert client.fetch("GET", "/get").status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_body_that_nobody_reads_starves_no_other_stream(client, add_route, method):
    add_route("/deaf", lambda request: request.channel.wait(PATIENCE))
    deaf = [client.request("POST", "/deaf", end=False) for _ in range(3)]
    for stream_id in deaf:
        room = client.h2.local_flow_control_window(stream_id)
        client.send(stream_id, bytes(room))
    assert client.fetch(method, "/get").status == 200
    for stream_id in deaf:
        client.h2.reset_stream(stream_id)
    found = client.fetch("POST", "/upload", [], bytes(3 * MB)).json
    assert found["received"] == 3 * MB


def test_a_small_window_is_obeyed_to_the_byte(server):
    # h2 raises FlowControlError in the client if the server sends too much.
    with Http2Client(server, {SettingCodes.INITIAL_WINDOW_SIZE: 10}) as client:
        assert len(client.fetch("GET", "/bytes/100").body) == 100
        assert client.fetch("GET", "/get").json["args"] == {}


def test_a_stalled_stream_goes_on_when_the_initial_window_grows(server):
    with Http2Client(server, {SettingCodes.INITIAL_WINDOW_SIZE: 0}) as client:
        stream_id = client.request("GET", "/bytes/5000")
        client.want(lambda: client.answers[stream_id].status == 200)
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 65535})
        client.flush()
        assert len(client.want_answer(stream_id).body) == 5000


def stops_when_cancelled(add_route) -> threading.Event:
    """Add /stops, whose body never ends; return what is set when it is stopped."""
    stopped = threading.Event()

    def body(request: Request) -> Iterator[bytes]:
        try:
            while True:
                yield b"." * 1000
                request.channel.wait(0.001)
        finally:  # by Cancelled or by GeneratorExit, wherever it happens to be
            stopped.set()

    add_route("/stops", lambda request: Reply(body=body(request)))
    return stopped


def stops_when_reading_is_cancelled(add_route) -> threading.Event:
    """Add /reads, which reads its body; return what is set when it is stopped."""
    stopped = threading.Event()

    def reads(request: Request) -> Reply:
        try:
            while request.channel.read():
                pass
        except Cancelled:
            stopped.set()
            raise
        raise AssertionError("the body has no end")

    add_route("/reads", reads)
    return stopped


def test_a_reset_stops_the_route(client, add_route):
    stopped = stops_when_cancelled(add_route)
    stream_id = client.request("GET", "/stops")
    client.want(lambda: client.answers[stream_id].body)
    client.h2.reset_stream(stream_id)
    client.flush()
    assert stopped.wait(PATIENCE)
    assert client.fetch("GET", "/get").status == 200


def test_a_reset_stops_a_route_that_waits_for_its_body(client, add_route):
    stopped = stops_when_reading_is_cancelled(add_route)
    stream_id = client.request("POST", "/reads", end=False)
    client.send(stream_id, b"some")
    client.h2.reset_stream(stream_id)
    client.flush()
    assert stopped.wait(PATIENCE)


def test_a_reset_stops_a_route_that_waits_for_a_window(server):
    with Http2Client(server, {SettingCodes.INITIAL_WINDOW_SIZE: 0}) as client:
        stream_id = client.request("GET", "/bytes/10")
        client.want(lambda: client.answers[stream_id].status)
        client.h2.reset_stream(stream_id)
        assert client.fetch("HEAD", "/get").status == 200


def test_a_request_and_its_reset_may_come_together(client):
    for _ in range(20):
        client.h2.reset_stream(client.queue("GET", "/get"))
    assert client.fetch("GET", "/get").status == 200


def test_a_client_that_vanishes_stops_the_route(server, add_route):
    stopped = stops_when_cancelled(add_route)
    with Http2Client(server) as client:
        stream_id = client.request("GET", "/stops")
        client.want(lambda: client.answers[stream_id].body)
    assert stopped.wait(PATIENCE)


def test_a_client_may_vanish_in_the_middle_of_a_long_answer():
    window = {SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1}
    with http2bin.serve(tls=False) as server:
        with Http2Client(server, window, window=2**31 - 1 - 65535) as client:
            stream_id = client.request("GET", "/bytes/1000000000")
            client.want(lambda: client.answers[stream_id].body)
            # A reset rather than an end: the kernel drops what it still holds.
            linger = struct.pack("ii", 1, 0)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        with Http2Client(server) as client:
            assert client.fetch("GET", "/get").status == 200


def test_a_body_that_fails_resets_its_stream(client, add_route, caplog):
    def body() -> Iterator[bytes]:
        yield b"fine"
        raise ZeroDivisionError

    add_route("/breaks", lambda request: Reply(body=body()))
    answer = client.fetch("GET", "/breaks")
    assert (answer.body, answer.reset) == (b"fine", ErrorCodes.INTERNAL_ERROR)
    assert "the body of /breaks failed" in caplog.text
    assert client.fetch("GET", "/get").status == 200


def test_a_body_that_fails_after_its_reset_harms_nobody(client, add_route):
    failed = threading.Event()

    def body(request: Request) -> Iterator[bytes]:
        yield b"fine"
        with contextlib.suppress(Cancelled):
            request.channel.wait(PATIENCE)
        failed.set()
        raise ZeroDivisionError

    add_route("/breaks", lambda request: Reply(body=body(request)))
    stream_id = client.request("GET", "/breaks")
    client.want(lambda: client.answers[stream_id].body)
    client.h2.reset_stream(stream_id)
    client.flush()
    assert failed.wait(PATIENCE)
    assert client.fetch("GET", "/get").status == 200


def test_a_short_body_that_is_not_wanted_ends_quietly(client):
    stream_id = client.request("POST", "/nowhere", end=False)
    assert client.want_answer(stream_id).status == 404
    client.send(stream_id, bytes(1000), end=True)
    assert client.fetch("GET", "/get").status == 200
    assert client.answers[stream_id].reset is None


def test_a_long_body_that_is_not_wanted_is_stopped_without_an_error(client):
    stream_id = client.request("POST", "/nowhere", end=False)
    answer = client.want_answer(stream_id)
    client.send(stream_id, bytes(10 * MB))
    client.want(lambda: answer.reset is not None)
    assert (answer.status, answer.reset) == (404, ErrorCodes.NO_ERROR)
    assert client.fetch("POST", "/upload", [], bytes(MB)).json["received"] == MB


def test_a_stream_above_the_limit_is_refused_and_the_others_go_on():
    with http2bin.serve(max_concurrent_streams=2) as server:
        with Http2Client(server) as client:
            client.want(lambda: client.h2.remote_settings.max_concurrent_streams == 2)
            # Have h2 forget the limit, so that it lets us break it.
            client.h2.remote_settings.max_concurrent_streams = 100
            client.h2.remote_settings.acknowledge()
            began = [client.queue("GET", "/delay/60") for _ in range(3)]
            client.flush()
            answer = client.want_answer(began[2])
            assert answer.reset == ErrorCodes.REFUSED_STREAM
            client.h2.reset_stream(began[0])
            assert client.fetch("GET", "/get").status == 200


def test_the_limit_of_streams_is_128_unless_told(client):
    client.want(lambda: client.h2.remote_settings.max_concurrent_streams == 128)


def test_goaway_lets_the_running_stream_end_and_takes_no_other(add_route):
    going_on = threading.Event()

    def waits(request: Request) -> Reply:
        going_on.wait(PATIENCE)
        return Reply(body=b"done")

    add_route("/waits", waits)
    with http2bin.serve() as server, Http2Client(server) as client:
        stream_id = client.request("GET", "/waits")
        client.fetch("GET", "/get")
        server.goaway()
        server.goaway()  # says nothing new
        # h2 ends a connection at GOAWAY, whatever it says. Have it see none.
        data = client.sock.recv(65536)
        assert data == goaway_frame(last_stream_id=3)
        late = client.request("GET", "/get")
        assert client.want_answer(late).reset == ErrorCodes.REFUSED_STREAM
        going_on.set()
        assert client.want_answer(stream_id).body == b"done"
        client.want_eof()
        with Http2Client(server) as other:
            assert other.fetch("GET", "/get").status == 200


def goaway_frame(last_stream_id: int) -> bytes:
    return b"\x00\x00\x08\x07\x00" + struct.pack(">III", 0, last_stream_id, 0)


def test_goaway_ends_an_idle_connection(server):
    with http2bin.serve(tls=False) as server, Http2Client(server) as client:
        client.fetch("GET", "/get")
        server.goaway()
        client.want_eof()
        (goaway,) = client.goaways
        assert (goaway.error_code, goaway.last_stream_id) == (0, 1)


def test_a_client_that_breaks_the_protocol_is_told_so(client):
    stream_id = client.request("GET", "/never")
    client.want(lambda: client.answers[stream_id].body)
    client.sock.sendall(b"\x00\x00\x01\x00\x00\x00\x00\x00\x00?")  # DATA on stream 0
    client.want_eof()
    (goaway,) = client.goaways
    assert goaway.error_code == ErrorCodes.PROTOCOL_ERROR


def test_a_client_that_says_goaway_is_left(client):
    stream_id = client.request("GET", "/never")
    client.want(lambda: client.answers[stream_id].body)
    client.h2.close_connection()
    client.flush()
    client.want_eof()


def test_a_preface_may_come_in_pieces(in_clear):
    conn = h2.connection.H2Connection()
    conn.initiate_connection()
    with dial(in_clear) as sock:
        for byte in conn.data_to_send():
            sock.sendall(bytes([byte]))
        assert isinstance(
            conn.receive_data(sock.recv(65536))[0], h2.events.RemoteSettingsChanged
        )


def test_a_request_without_an_authority_is_known_by_its_host(client):
    stream_id = client.h2.get_next_available_stream_id()
    fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/get"),
        ("host", "example.org"),
    ]
    client.h2.send_headers(stream_id, fields, end_stream=True)
    client.flush()
    client.answers[stream_id] = Answer()
    assert client.want_answer(stream_id).json["url"] == "http://example.org/get"


# -- HTTP/1.1 -----------------------------------------------------------------


def test_a_connection_is_kept_for_the_next_request(server):
    before = server.connections, server.requests
    with contextlib.closing(connect_http1(server)) as conn:
        for path in ("/get", "/stream/2", "/trailers", "/never?", "/status/204")[:3]:
            assert fetch_http1(conn, "GET", path).status == 200
        assert fetch_http1(conn, "GET", "/status/204").status == 204
    assert (server.connections, server.requests) == (before[0] + 1, before[1] + 4)


def test_requests_may_be_sent_ahead_of_answers(server):
    get = b"\r\nGET /status/%d HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /ip HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    heard = say(server, get % 201 + get % 404 + last)
    assert heard.startswith(b"HTTP/1.1 201 Created\r\n")
    assert b"HTTP/1.1 404 Not Found\r\n" in heard
    assert b"connection: close\r\n" in heard
    assert b'"origin"' in heard


def test_a_status_without_a_name_has_an_empty_reason(in_clear):
    heard = say(in_clear, b"GET /status/599 HTTP/1.0\r\n\r\n")
    assert heard.startswith(b"HTTP/1.1 599 \r\n")


def test_a_client_of_http_1_0_gets_a_body_that_ends_with_the_connection(server):
    heard = say(server, b"GET /trailers HTTP/1.0\r\n\r\n")
    head, _, body = heard.partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert json.loads(body)["url"].endswith(":///trailers")


def test_a_client_of_http_1_0_gets_no_hints(in_clear):
    heard = say(in_clear, b"GET /early-hints HTTP/1.0\r\n\r\n")
    assert heard.startswith(b"HTTP/1.1 200 OK")


def test_hints_come_before_the_answer_in_http_1_1_too(server):
    heard = say(
        server, b"GET /early-hints HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    hints, head, _ = heard.split(b"\r\n\r\n", 2)
    assert hints.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: ")
    assert head.startswith(b"HTTP/1.1 200 OK")


def test_trailers_follow_the_chunks(server):
    heard = say(
        server, b"GET /trailers HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    head, _, rest = heard.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    size, _, rest = rest.partition(b"\r\n")
    body, rest = rest[: int(size, 16)], rest[int(size, 16) :]
    checksum = hashlib.sha256(body).hexdigest().encode()
    assert rest == b"\r\n0\r\nx-checksum: " + checksum + b"\r\n\r\n"


def test_an_empty_piece_of_a_body_does_not_end_it(in_clear, add_route):
    add_route("/pieces", lambda request: Reply(body=iter([b"a", b"", b"b"])))
    with contextlib.closing(connect_http1(in_clear)) as conn:
        assert fetch_http1(conn, "GET", "/pieces").body == b"ab"


def test_a_chunked_upload_may_have_extensions_and_trailers(server):
    heard = say(
        server,
        b"POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: close\r\n\r\n3;a=b\r\nabc\r\nA \r\n0123456789\r\n"
        b"0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n",
    )
    found = json.loads(heard.partition(b"\r\n\r\n")[2])
    assert found["received"] == 13
    assert found["trailers"] == {"x-sum": ["1", "2"]}


def test_a_chunked_upload_through_http_client_arrives_whole(server):
    with contextlib.closing(connect_http1(server)) as conn:
        conn.request("POST", "/upload", iter([bytes(1000)] * 100))
        assert json.loads(conn.getresponse().read())["received"] == 100_000


EXPECTING = (
    b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
)


@pytest.mark.parametrize("path", [b"/upload", b"/echo"])
def test_a_client_that_waits_is_told_to_continue(server, path):
    with dial(server) as sock:
        sock.sendall(EXPECTING % path)
        assert read_until(sock, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"data")
        assert b" 200 " in read_until(sock, b"\r\n\r\n")


def test_a_client_that_did_not_wait_is_not_told_to_continue(server):
    heard = say(
        server, EXPECTING % b"/upload" + b"dataGET / HTTP/1.0\r\nHost: x\r\n\r\n"
    )
    assert heard.startswith(b"HTTP/1.1 200 OK")


def test_a_client_that_waits_in_vain_is_answered_and_left(server):
    heard = say(server, EXPECTING % b"/nowhere")
    assert heard.startswith(b"HTTP/1.1 404 Not Found")
    assert b"connection: close" in heard


def test_a_long_body_that_is_not_wanted_ends_the_connection(server):
    body = bytes(1_500_000)
    head = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1500001\r\n\r\n"
    assert say(server, head + body).startswith(b"HTTP/1.1 404 Not Found")


def test_an_absolute_target_is_as_good_as_a_path(in_clear):
    end = b" HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n"
    heard = say(in_clear, b"GET http://x.org:80/get?a=1" + end)
    assert json.loads(heard.partition(b"\r\n\r\n")[2])["url"] == (
        "http://x.org:80/get?a=1"
    )
    assert b"text/html" in say(in_clear, b"GET http://x.org" + end)
    assert b'"http://y/get?a=http://b"' in say(in_clear, b"GET /get?a=http://b" + end)


@pytest.mark.parametrize(
    ("status", "request_bytes"),
    [
        (400, b"GET\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n"),
        (
            400,
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
            b"Content-Length: 2\r\n\r\n",
        ),
        (
            400,
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n",
        ),
        (501, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"),
        (505, b"GET / HTTP/3.0\r\n\r\n"),
        (505, b"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n"),
        (431, b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000),
        (431, b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n"),
    ],
)
def test_a_malformed_request_is_refused_and_ends_the_connection(
    server, status, request_bytes
):
    heard = say(server, request_bytes)
    assert heard.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close\r\n" in heard


def test_a_client_that_speaks_tls_to_a_cleartext_port_is_refused_at_once(in_clear):
    assert say(in_clear, b"\x16\x03\x01\x02\x00\x01").startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "chunks",
    [b"x\r\n", b"-1\r\n", b"\r\n", b"1\r\nab\r\n", b"0\r\nbad trailer\r\n\r\n"]
    + [b"1" * 5000],
)
def test_a_malformed_chunk_ends_the_connection(server, chunks):
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    # A route that reads it all can still say what was wrong,
    heard = say(server, head % b"/upload" + chunks)
    assert heard.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close\r\n" in heard
    # one that has begun to answer cannot, nor one that has answered.
    assert say(server, head % b"/echo" + chunks).startswith(b"HTTP/1.1 200 OK")
    heard = say(server, head % b"/nowhere" + chunks)
    assert heard.startswith(b"HTTP/1.1 404 ")
    assert heard.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    "part",
    [
        b"GET / HTT",
        b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
        b"POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5",
        b"",
        b"PRI * HTTP/2.0\r\n",
    ],
)
def test_a_request_that_is_cut_short_is_not_answered(in_clear, part):
    with dial(in_clear) as sock:
        sock.sendall(part)
        sock.shutdown(socket.SHUT_WR)
        assert read_to_end(sock) == b""


def test_a_body_that_fails_cuts_the_connection(in_clear, add_route, caplog):
    def body() -> Iterator[bytes]:
        yield b"fine"
        raise ZeroDivisionError

    add_route("/breaks", lambda request: Reply(body=body()))
    heard = say(in_clear, b"GET /breaks HTTP/1.1\r\nHost: x\r\n\r\n")
    assert heard.endswith(b"\r\n\r\n4\r\nfine\r\n")
    assert "failed" in caplog.text


def test_a_client_of_http_1_1_may_vanish_in_the_middle_of_an_answer():
    with http2bin.serve() as server:
        with dial(server) as sock:
            sock.sendall(b"GET /bytes/1000000000 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert sock.recv(10)
        with contextlib.closing(connect_http1(server)) as conn:
            assert fetch_http1(conn, "GET", "/get").status == 200


def test_goaway_ends_a_connection_of_http_1_1_after_its_request(add_route):
    asked, going_on = threading.Event(), threading.Event()

    def waits(request: Request) -> Reply:
        asked.set()
        going_on.wait(PATIENCE)
        return Reply(body=b"done")

    add_route("/waits", waits)
    with (
        http2bin.serve(tls=False) as server,
        dial(server) as idle,
        dial(server) as sock,
    ):
        idle.sendall(b"GET /status/204 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_until(idle, b"\r\n\r\n")
        sock.sendall(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
        assert asked.wait(PATIENCE)
        server.goaway()
        assert idle.recv(10) == b""
        idle.sendall(b"GET /status/204 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_to_end(idle) == b""
        going_on.set()
        assert read_to_end(sock).endswith(b"done")


# -- the server ---------------------------------------------------------------


def test_the_server_answers_at_both_addresses_of_localhost(server):
    for address in ("127.0.0.1", "::1") if has_ipv6() else ("127.0.0.1",):
        with dial(server, address=address) as sock:
            sock.sendall(b"GET /ip HTTP/1.0\r\n\r\n")
            assert f'"origin": "{address}"'.encode() in read_to_end(sock)


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as sock:
        sock.bind(("::1", 0))
        return True
    return False


def test_another_host_may_be_named():
    with http2bin.serve(host="127.0.0.1", tls=False) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert b" 200 " in say(server, b"GET / HTTP/1.0\r\n\r\n")


@pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6")
def test_a_host_may_be_an_address_of_ipv6():
    with http2bin.serve(host="::1", tls=False) as server:
        assert server.url == f"http://[::1]:{server.port}"


def test_tls_chooses_the_protocol_by_alpn_and_is_1_2_at_least(over_tls):
    for offered, chosen in [
        (("h2", "http/1.1"), "h2"),
        (("http/1.1",), "http/1.1"),
        ((), None),
    ]:
        with dial(over_tls, *offered) as sock:
            assert sock.selected_alpn_protocol() == chosen
            assert sock.version() in ("TLSv1.2", "TLSv1.3")


def test_a_client_that_does_not_speak_tls_is_dropped(over_tls):
    with socket.create_connection(("127.0.0.1", over_tls.port), PATIENCE) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP" not in read_to_end(sock)
    with socket.create_connection(("127.0.0.1", over_tls.port), PATIENCE) as sock:
        sock.shutdown(socket.SHUT_WR)
        assert read_to_end(sock) == b""


def test_a_record_that_is_none_ends_the_connection(over_tls):
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(dial(over_tls))
        with socket.socket(fileno=os.dup(sock.fileno())) as raw:
            raw.settimeout(PATIENCE)
            raw.sendall(b"this is no TLS record at all")
            read_to_end(raw)


def test_the_ca_file_is_there_as_long_as_the_server():
    with http2bin.serve() as server:
        assert server.ca_file is not None
        with open(server.ca_file, "rb") as file:
            assert file.read() == server.ca_pem
    assert not os.path.exists(server.ca_file)


def test_a_server_in_clear_has_no_ca(in_clear):
    assert (in_clear.ca_file, in_clear.ca_pem) == (None, b"")


def test_tls_without_trustme_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(RuntimeError, match=r"pip install hyper\[http2bin\]"):
        http2bin.Server()


@pytest.mark.parametrize("tls", [True, False])
def test_a_port_that_is_taken_is_an_error(in_clear, tls):
    with pytest.raises(OSError, match="in use"):
        http2bin.Server(port=in_clear.port, tls=tls)


@contextlib.contextmanager
def taken_in_ipv6_only() -> Iterator[int]:
    """Take a port in IPv6, and see that nobody else gets it in IPv4."""
    while True:
        with socket.socket() as reserved, socket.socket(socket.AF_INET6) as sock:
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reserved.bind(("127.0.0.1", 0))
            port = reserved.getsockname()[1]
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                sock.bind(("::1", port))
            except OSError:
                continue
            sock.listen()
            yield port
            return


@pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6")
def test_a_port_that_is_taken_in_ipv6_only_is_an_error():
    with taken_in_ipv6_only() as port, pytest.raises(OSError, match="taken on ::1"):
        http2bin.Server(port=port, tls=False)


def test_stop_leaves_no_thread_and_no_socket(tmp_path):
    before = set(threading.enumerate())
    for tls in (True, False):
        with contextlib.ExitStack() as stack:
            server = http2bin.Server(tls=tls)
            stack.callback(server.stop)
            idle = stack.enter_context(Http2Client(server))
            assert idle.fetch("GET", "/get").status == 200
            busy = stack.enter_context(Http2Client(server))
            for path in ("/never", "/delay/60", "/drip?duration=60"):
                busy.request("GET", path)
            busy.request("POST", "/upload", end=False)
            began = [busy.answers[1], busy.answers[5]]
            busy.want(lambda: all(answer.body for answer in began))  # noqa: B023
            old = stack.enter_context(dial(server, "http/1.1"))
            old.sendall(b"GET /delay/60 HTTP/1.1\r\nHost: x\r\n\r\n")
            new = stack.enter_context(
                socket.create_connection(("127.0.0.1", server.port), PATIENCE)
            )
            new.sendall(b"\x16")
            kept = stack.enter_context(contextlib.closing(connect_http1(server)))
            fetch_http1(kept, "GET", "/get")
            server.stop(grace=0.05)
            assert set(threading.enumerate()) == before
            server.stop()
            idle.want_eof()
            busy.want_eof()
            assert len(idle.goaways) == len(busy.goaways) == 1
            assert read_to_end(old) == b""
            with pytest.raises(ConnectionRefusedError):
                dial(server)
    gc.collect()  # what was not closed would warn now, and a warning is an error


@pytest.mark.parametrize("protocol", ["HTTP/2", "HTTP/1.1"])
def test_stop_lets_a_request_end_within_its_grace(add_route, protocol):
    asked, going_on = threading.Event(), threading.Event()

    def waits(request: Request) -> Reply:
        asked.set()
        going_on.wait(PATIENCE)
        return Reply(body=b"done")

    add_route("/waits", waits)
    with http2bin.serve(tls=False) as server:
        stopping = threading.Thread(target=server.stop, args=[PATIENCE])
        if protocol == "HTTP/2":
            with Http2Client(server) as client:
                stream_id = client.request("GET", "/waits")
                assert asked.wait(PATIENCE)
                stopping.start()
                data = b""
                while not data.endswith(goaway_frame(1)):  # hidden from h2, as above
                    client.h2.receive_data(data)
                    data = client.sock.recv(65536).removesuffix(b"")
                going_on.set()
                assert client.want_answer(stream_id).body == b"done"
                client.want_eof()
        else:
            with dial(server) as sock:
                sock.sendall(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
                assert asked.wait(PATIENCE)
                stopping.start()
                going_on.set()
                assert read_until(sock, b"done")
                assert read_to_end(sock) == b""
        stopping.join()


# -- the command --------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_a_signal_and_exits_with_0(tmp_path, number):
    ca_file = tmp_path / "ca.pem"
    process = subprocess.Popen(
        [sys.executable, "-m", "hyper.http2bin", "--ca-file", str(ca_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        url = process.stdout.readline().strip()
        advice = process.stdout.readline().strip()
        assert advice == f"SSL_CERT_FILE={ca_file} hyper {url}/get"
        context = ssl.create_default_context(cafile=ca_file)
        port = int(url.rpartition(":")[2])
        conn = http.client.HTTPSConnection("localhost", port, context=context)
        with contextlib.closing(conn):
            assert fetch_http1(conn, "GET", "/get").json["url"] == f"{url}/get"
            process.send_signal(number)
            _, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, errors) == (0, "")


def test_the_command_prints_where_it_is(capsys, tmp_path):
    answers = []

    def ask(server: http2bin.Server) -> None:
        with Http2Client(server) as client:
            answers.append(client.fetch("GET", "/get"))

    assert command.main(["--no-tls"], until=ask) == 0
    url, advice = capsys.readouterr().out.split("\n")[:2]
    assert advice == f"hyper {url}/get"
    for options in ([], ["--ca-file", str(tmp_path / "ca.pem")]):
        assert command.main(options, until=ask) == 0
        url, advice = capsys.readouterr().out.split("\n")[:2]
        assert advice.startswith("SSL_CERT_FILE=")
        assert advice.endswith(f" hyper {url}/get")
    assert (tmp_path / "ca.pem").read_text().startswith("-----BEGIN CERTIFICATE")
    assert [answer.status for answer in answers] == [200, 200, 200]


def test_the_command_ends_at_a_signal():
    def ask(server: http2bin.Server) -> None:
        # For this thread, which blocks it; others of this process may not.
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        command.wait_for_signal(server)

    assert command.main(["--no-tls"], until=ask) == 0


def test_the_command_says_what_is_wrong(in_clear, capsys):
    arguments = ["--no-tls", "--port", str(in_clear.port)]
    assert command.main(arguments) == 1
    assert "http2bin: " in capsys.readouterr().err


# -- curl ---------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    ("option", "version"),
    [("--http1.1", "1.1"), ("--http2", "2"), ("--http2-prior-knowledge", "2")],
)
def test_curl_downloads_and_uploads(server, tmp_path, option, version):
    if server.ca_file is None and option == "--http2":
        pytest.skip("the server has no Upgrade: h2c")
    words = ["curl", "-sS", option, "-m", "20", "-w", "%{stderr}%{http_version}"]
    if server.ca_file is not None:
        words += ["--cacert", server.ca_file]
    got = subprocess.run(
        [*words, f"{server.url}/bytes/3000000"], capture_output=True, check=True
    )
    assert got.stderr.decode() == version
    assert len(got.stdout) == 3_000_000
    path = tmp_path / "body"
    path.write_bytes(got.stdout)
    got = subprocess.run(
        [*words, "-T", str(path), f"{server.url}/upload"],
        capture_output=True,
        check=True,
    )
    assert json.loads(got.stdout)["sha256"] == (
        hashlib.sha256(path.read_bytes()).hexdigest()
    )
