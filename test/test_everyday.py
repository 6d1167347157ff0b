"""Everyday requests against real servers: nine programs, every way of connecting.

Each server is reached over HTTP/2 with TLS and without, and over HTTP/1.1, where it
can: what works with one version has to work with all.
"""

import hashlib
import io
import json
import threading

import pytest
from servers import HELLO, SERVERS, TEXT, ten_mebibytes, ten_mebibytes_sha256
from threads import background

from hyper import (
    HTTP11Connection,
    HTTP20Connection,
    HTTPConnection,
    HTTPVersion,
    ReadTimeout,
)
from hyper.tls import init_context

#: How to reach a server: the feature that says that it can be reached so.
WAYS = ("h2", "h2c", "h1")


#: What Apache and hypercorn do in HTTP/2 only.
of_http2 = [f"{name} {way}" for name in SERVERS for way in ("h2", "h2c")]


def connect(server, way, **options):
    """Return a connection to a server, by one of WAYS or as it chooses itself."""
    options.setdefault("timeout", 20)
    if way in ("h2", "either"):
        options["ssl_context"] = init_context(server.ca_file)
    if way == "either":
        return HTTPConnection("localhost", server.tls_port, True, **options)
    if way == "h2":
        return HTTP20Connection("localhost", server.tls_port, True, **options)
    if way == "h2c":
        return HTTP20Connection("localhost", server.h2c_port, **options)
    return HTTP11Connection("localhost", server.h1_port, **options)


@pytest.fixture(params=[f"{name} {way}" for name in SERVERS for way in WAYS])
def reach(request, real_server):
    """Return a function that returns a connection to a server with some features."""
    name, way = request.param.split()
    connections = []

    def reach(*features, **options):
        conn = connect(real_server(name, way, *features), way, **options)
        connections.append(conn)
        return conn

    yield reach
    for conn in connections:
        conn.close()


def fetch(conn, method, url, body=None, headers=None):
    response = conn.get_response(conn.request(method, url, body, headers))
    content = response.read()
    assert response.status == 200, content
    return response, content


def test_get(reach):
    conn = reach()
    response, content = fetch(conn, "GET", "/hello")
    assert content == HELLO
    assert response.version is conn.version


@pytest.mark.parametrize("name", SERVERS)
def test_get_in_the_version_that_the_server_chooses(real_server, name):
    with connect(real_server(name, "h2"), "either") as conn:
        response, content = fetch(conn, "GET", "/hello")
        assert content == HELLO
        assert response.version is HTTPVersion.http20


def test_a_download_of_ten_mebibytes(reach):
    _, content = fetch(reach("download"), "GET", "/10mb")
    assert hashlib.sha256(content).hexdigest() == ten_mebibytes_sha256()


@pytest.mark.parametrize("body", [bytes, io.BytesIO, iter], ids=lambda f: f.__name__)
def test_an_upload_of_ten_mebibytes(reach, body):
    conn = reach("upload-digest")
    data = ten_mebibytes()
    given = body(data if body is not iter else [data[:5_000_000], data[5_000_000:]])
    told = json.loads(fetch(conn, "POST", "/upload", given)[1])
    assert told == {"length": len(data), "sha256": ten_mebibytes_sha256()}


def test_a_hundred_requests_at_once(reach):
    conn = reach("echo")
    ids = {conn.request("GET", f"/echo/{n}"): n for n in range(100)}
    for stream_id in reversed(ids):
        response = conn.get_response(stream_id)
        assert response.read() == b"%d" % ids[stream_id]


def test_head(reach):
    conn = reach()
    assert fetch(conn, "HEAD", "/hello")[1] == b""
    assert fetch(conn, "GET", "/hello")[1] == HELLO, "nothing was left on the line"


def test_a_conditional_request(reach):
    conn = reach("conditional")
    first, _ = fetch(conn, "GET", "/hello")
    condition = {}
    if "etag" in first.headers:
        condition["If-None-Match"] = first.getheader("etag")
    if "last-modified" in first.headers:
        condition["If-Modified-Since"] = first.getheader("last-modified")
    response = conn.get_response(conn.request("GET", "/hello", headers=condition))
    assert (response.status, response.read()) == (304, b"")
    assert fetch(conn, "GET", "/hello")[1] == HELLO


def test_gzip(reach):
    conn = reach("gzip")
    accept = {"Accept-Encoding": "gzip"}
    response, content = fetch(conn, "GET", "/text", headers=accept)
    assert response.headers["content-encoding"] == [b"gzip"]
    assert content == TEXT
    raw = conn.get_response(conn.request("GET", "/text", headers=accept))
    assert len(raw.read(decode_content=False)) < len(TEXT) // 2


@pytest.mark.parametrize("reach", of_http2, indirect=True)
def test_trailers(reach):
    conn = reach("trailers")
    response, _ = fetch(conn, "GET", "/trailers", headers={"TE": "trailers"})
    assert response.trailers["x-trailer"] == [b"yes"]
    assert "x-trailer" not in response.headers


@pytest.mark.parametrize("reach", of_http2, indirect=True)
def test_early_hints(reach):
    response, _ = fetch(reach("early-hints"), "GET", "/early-hints")
    assert [interim.status for interim in response.informational] == [103]
    assert "link" in response.informational[0].headers


def test_a_slow_response_holds_up_nobody(reach):
    conn = reach("slow")
    slow = conn.request("GET", "/slow")
    if conn.version is HTTPVersion.http20:
        assert fetch(conn, "GET", "/hello")[1] == HELLO
    response = conn.get_response(slow)
    assert response.status == 200


def test_a_slow_response_may_be_given_up(reach):
    conn = reach("slow")
    with pytest.raises(ReadTimeout):
        conn.get_response(conn.request("GET", "/slow", timeout=(10, 0.05)))
    assert fetch(conn, "GET", "/hello")[1] == HELLO


def test_a_response_that_never_ends_can_be_left(reach):
    conn = reach("never")
    with conn.get_response(conn.request("GET", "/never")) as response:
        assert len(response.read(2)) == 2
    assert fetch(conn, "GET", "/hello")[1] == HELLO


def test_many_threads_share_a_connection(reach):
    conn = reach("echo")

    def ask(thread):
        for number in range(20):
            text = f"{thread}-{number}"
            assert fetch(conn, "GET", f"/echo/{text}")[1] == text.encode()

    tasks = [background(ask, thread) for thread in range(8)]
    for task in tasks:
        task.result(60)


@pytest.mark.scenario(222)
@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("way", ["h2", "h1"])
def test_a_server_may_restart_between_requests(fresh_server, name, way):
    server = fresh_server(name, way)
    before = threading.active_count()
    with connect(server, way) as conn:
        assert fetch(conn, "GET", "/hello")[1] == HELLO
        server.restart()
        assert fetch(conn, "GET", "/hello")[1] == HELLO
    assert threading.active_count() == before


@pytest.mark.parametrize("name", SERVERS)
def test_a_limit_of_streams_is_kept_to(fresh_server, name):
    server = fresh_server(name, "h2", "echo", "max-streams", max_concurrent_streams=10)
    with connect(server, "h2") as conn:
        assert conn.max_concurrent_streams == 10
        ids = {conn.request("GET", f"/echo/{n}"): n for n in range(50)}
        assert conn.open_streams <= 10
        for stream_id, number in ids.items():
            assert conn.get_response(stream_id).read() == b"%d" % number


def test_a_connection_that_the_server_ends_after_some_requests(fresh_server):
    server = fresh_server("nginx", "h2", "echo", keepalive_requests=10)
    with connect(server, "h2") as conn:
        for number in range(100):
            text = f"{number}"
            assert fetch(conn, "GET", f"/echo/{text}")[1] == text.encode()
