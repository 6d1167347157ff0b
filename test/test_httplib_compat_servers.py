"""http.client's twin against real servers: nine of them, and a proxy on the way."""

from __future__ import annotations

import contextlib
import hashlib
import json
import ssl
import sys
import urllib.request
import xmlrpc.client

import pytest
from servers import HELLO, SERVERS, ten_mebibytes_sha256

from hyper import http2bin
from hyper.httplib_compat import HTTPSConnection, patch

every_server = pytest.mark.parametrize("name", SERVERS)


def context_for(server):
    """Return a context that trusts the server and offers HTTP/2."""
    context = ssl.create_default_context(cafile=str(server.ca_file))
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def connect(server, port=None):
    """Return a context manager: a connection to the server."""
    return contextlib.closing(
        HTTPSConnection(
            "localhost",
            port or server.ports.tls,
            timeout=20,
            context=context_for(server),
        )
    )


def fetch(conn, *request, version=20, **options):
    """Make a request; return its response, and the body."""
    conn.request(*request, **options)
    response = conn.getresponse()
    assert response.version == version
    return response, response.read()


@every_server
def test_requests_go_one_after_the_other(real_server, name):
    server = real_server(name, "h2")
    with connect(server) as conn:
        for _ in range(3):
            response, body = fetch(conn, "GET", "/hello")
            assert (response.status, body) == (200, HELLO)
            response, body = fetch(conn, "HEAD", "/hello")
            assert (response.status, body) == (200, b"")
            response, body = fetch(conn, "GET", "/missing")
            assert response.status == 404
        used = conn.sock
        fetch(conn, "GET", "/hello")
        assert conn.sock is used


@every_server
def test_a_server_that_speaks_http1_gets_that(real_server, name):
    server = real_server(name, "h1-tls")
    with connect(server, server.ports.h1_tls) as conn:
        for _ in range(2):
            _, body = fetch(conn, "GET", "/hello", version=11)
            assert body == HELLO


@every_server
def test_what_has_not_changed_is_not_sent_again(real_server, name):
    server = real_server(name, "conditional")
    with connect(server) as conn:
        first, _ = fetch(conn, "GET", "/hello")
        etag, date = first.getheader("ETag"), first.getheader("Last-Modified")
        headers = {"If-None-Match": etag} if etag else {"If-Modified-Since": date}
        response, body = fetch(conn, "GET", "/hello", headers=headers)
        assert (response.status, body) == (304, b"")


@every_server
@pytest.mark.parametrize("how", ["whole", "by Content-Length", "in chunks"])
def test_uploads_arrive(real_server, name, how):
    server = real_server(name, "upload-digest")
    body = bytes(range(256)) * 4000
    pieces = [body[begin : begin + 9999] for begin in range(0, len(body), 9999)]
    with connect(server) as conn:
        if how == "whole":
            conn.request("POST", "/upload", body)
        elif how == "in chunks":
            conn.request("POST", "/upload", iter(pieces))
        else:
            conn.putrequest("POST", "/upload")
            conn.putheader("Content-Length", str(len(body)))
            conn.endheaders()
            for piece in pieces:
                conn.send(piece)
        response = conn.getresponse()
        assert response.version == 20
        assert json.loads(response.read()) == {
            "length": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
        }


@every_server
@pytest.mark.parametrize(
    "read",
    [
        lambda response: response.read(),
        lambda response: b"".join(iter(lambda: response.read(70_001), b"")),
        lambda response: b"".join(iter(response.read1, b"")),
    ],
    ids=["at once", "in pieces", "as it comes"],
)
def test_downloads_come_whole(real_server, name, read):
    server = real_server(name, "download")
    with connect(server) as conn:
        conn.request("GET", "/10mb")
        response = conn.getresponse()
        digest = hashlib.sha256(read(response)).hexdigest()
        assert digest == ten_mebibytes_sha256()
        response.close()  # Before Python 3.13 read1() leaves that to its user.
        _, body = fetch(conn, "GET", "/hello")
        assert body == HELLO


@every_server
def test_early_hints_are_passed_over(real_server, name):
    server = real_server(name, "early-hints")
    with connect(server) as conn:
        response, _ = fetch(conn, "GET", "/early-hints")
        assert response.status == 200


@every_server
def test_a_server_that_ends_connections_is_connected_to_again(fresh_server, name):
    server = fresh_server(name, "keepalive-requests", keepalive_requests=3)
    with connect(server) as conn:
        used = set()
        for number in range(10):
            _, body = fetch(conn, "GET", "/hello")
            assert body == HELLO, number
            used.add(conn.sock or number)
        assert len(used) > 2


@every_server
def test_urllib_runs_over_it(real_server, name):
    server = real_server(name, "h2", "echo-body")
    handler = urllib.request.HTTPSHandler(context=context_for(server))
    opener = urllib.request.build_opener(handler)
    with patch(), opener.open(server.url("/hello"), timeout=20) as response:
        assert (response.version, response.read()) == (20, HELLO)
    with patch(), opener.open(server.url("/echo"), b"a=b", timeout=20) as response:
        assert (response.version, response.read()) == (20, b"a=b")


@every_server
def test_xmlrpc_runs_over_it(real_server, name):
    server = real_server(name, "echo-body")
    # A call that comes back is read as an answer: that of all its arguments.
    url = server.url("/echo")
    with patch(), xmlrpc.client.ServerProxy(url, context=context_for(server)) as proxy:
        for argument in ("text", 1, [True, {"a": b"bytes"}]):
            answer = proxy.method(argument, 2)
            assert answer[0] == argument or answer[0][1]["a"].data == b"bytes"


@pytest.mark.parametrize("name", ["tinyproxy", "squid"])
def test_a_tunnel_leads_to_http2(real_server, name):
    proxy = real_server(name, "connect")
    with http2bin.serve() as service:
        conn = HTTPSConnection(
            "localhost", proxy.ports.proxy, timeout=20, context=context_for(service)
        )
        with contextlib.closing(conn):
            conn.set_tunnel("localhost", service.port, {"X-For": "the proxy"})
            _, body = fetch(conn, "GET", "/get", headers={"X-For": "the server"})
            told = json.loads(body)
            assert told["headers"]["X-For"] == "the server"
            assert told["url"] == service.url + "/get"
            if sys.version_info >= (3, 12):
                assert conn.get_proxy_response_headers() is not None
