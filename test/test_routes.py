"""Ways to a server that are not simply TCP, in every kind of connection.

Against real proxies and servers, and scripted ones for what those never do.
"""

from __future__ import annotations

import re
import socket
import ssl
from base64 import b64encode

import pytest
from h2.errors import ErrorCodes
from servers import PASSWORD, PROXIES, USERNAME
from threads import background

from hyper import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    HTTP11Connection,
    HTTP20Connection,
    HTTPConnection,
    HTTPVersion,
    LocalProtocolError,
    ProxyError,
    RequestNotProcessed,
    TLSError,
    http2bin,
)
from hyper.tls import init_context
from hyper.transport.proxy import Proxy

KNOWN = f"{USERNAME}:{PASSWORD}"
SECRET = b64encode(KNOWN.encode())
every_proxy = pytest.mark.parametrize("name", PROXIES)
every_connection = pytest.mark.parametrize(
    "of", [HTTP11Connection, HTTP20Connection, HTTPConnection]
)


#: What a proxy has to offer for a scheme, without credentials and with them.
SCHEMES = {
    "http": ("connect", "auth"),
    "https": ("tls", "tls-auth"),
    "socks4": ("socks4", "auth"),
    "socks5": ("socks5", "auth"),
    "socks5h": ("socks5", "auth"),
}
#: What to say to the port that wants credentials; None is for the other port.
CREDENTIALS = {"open": None, "right": KNOWN, "wrong": f"{USERNAME}:wrong", "none": ""}


@pytest.fixture(scope="module")
def service():
    with http2bin.serve() as service:
        yield service


@pytest.fixture(scope="module")
def clear_service():
    with http2bin.serve(tls=False) as service:
        yield service


def fetch(conn, count=2):
    """Make so many requests at once; return the version they were answered in."""
    ids = [conn.request("POST", "/echo", b"%d" % number) for number in range(count)]
    responses = [conn.get_response(stream_id) for stream_id in ids]
    assert [one.read() for one in responses] == [b"%d" % n for n in range(count)]
    (version,) = {one.version for one in responses}
    return version


def outcome(conn, count=2):
    """Return the version that the server was spoken to in, or that it was refused.

    :param count: how many requests to make on one connection.
    """
    with conn:
        try:
            conn.request("GET", "/headers")
            response = conn.get_response()
        except ProxyError as error:
            return refusal(error)
        if response.status in (401, 407):  # of a request that was to be passed on
            return "refused"
        seen_by_server = response.read().lower()
        assert b"proxy-auth" not in seen_by_server
        assert SECRET.lower() not in seen_by_server
        conn.close()
        return fetch(conn, count)


def refusal(error):
    assert error.retry_safe
    assert "wrong" not in str(error)
    # SOCKS has no responses.
    assert error.response is None or error.response.status in (401, 407)
    return "refused"


# Real proxies.


@every_proxy
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.scenario(251, 252, 255, 256, 259, 260)
def test_every_version_goes_through_every_proxy_for_those_who_may(
    real_server, service, clear_service, name, scheme
):
    feature, feature_of_closed = SCHEMES[scheme]
    proxy = real_server(name, feature)
    # The authority of the server under test, and that of the proxy.
    context = init_context(service.ca_file)
    context.load_verify_locations(proxy.ca_file)
    h2, h1 = HTTPVersion.http20, HTTPVersion.http11
    ways = [
        (service, HTTP20Connection, h2),
        (service, HTTPConnection, h2),
        (service, HTTP11Connection, h1),
        (clear_service, HTTP20Connection, h2),
        (clear_service, HTTPConnection, h1),
        (clear_service, HTTP11Connection, h1),
    ]
    seen, expected = {}, {}
    for kind, credentials in CREDENTIALS.items():
        if credentials is not None and feature_of_closed not in proxy.features:
            continue
        for server, of, version in ways:
            conn = of(
                server.url,
                ssl_context=context,
                proxy=proxy.proxy_url(scheme, credentials),
                timeout=10,
            )
            case = kind, server.url, of
            # tinyproxy says HTTP/1.1 of what it passes on and hangs up nevertheless, so
            # that a second request might be lost.
            passed_on = server is clear_service and version is h1
            seen[case] = outcome(conn, 1 if passed_on else 2)
            expected[case] = "refused" if kind in ("wrong", "none") else version
    assert seen == expected


@pytest.mark.parametrize("name", ["tinyproxy", "squid"])
@every_connection
@pytest.mark.scenario(251, 256)
def test_set_tunnel_leads_through_real_proxies(
    real_server, service, clear_service, name, of
):
    proxy = real_server(name, "connect", "auth")
    known = {"Proxy-Authorization": b"Basic " + SECRET}
    context = init_context(service.ca_file)
    for server, secure in ((service, True), (clear_service, False)):
        for port, headers in (
            (proxy.ports.proxy, None),
            (proxy.ports.proxy_auth, known),
            (proxy.ports.proxy_auth, None),
        ):
            conn = of("localhost", port, secure, ssl_context=context, timeout=10)
            conn.set_tunnel("localhost", server.port, headers)
            refused = outcome(conn) == "refused"
            assert refused is (port == proxy.ports.proxy_auth and headers is None)


@every_proxy
@pytest.mark.scenario(255)
def test_the_certificate_of_a_proxy_is_verified_too(real_server, service, name):
    proxy = real_server(name, "tls")
    context = init_context(service.ca_file)  # knows the server's authority alone
    conn = HTTP20Connection(
        service.url, ssl_context=context, proxy=proxy.proxy_url("https"), timeout=10
    )
    with pytest.raises(TLSError, match="not accepted"):
        conn.request("GET", "/")


@every_proxy
def test_tls_with_a_proxy_may_have_a_context_of_its_own(real_server, service, name):
    server = real_server(name, "tls")
    proxy = Proxy.parse(server.proxy_url("https"), context=init_context(server.ca_file))
    context = init_context(service.ca_file)
    with HTTPConnection(
        service.url, ssl_context=context, proxy=proxy, timeout=10
    ) as conn:
        assert fetch(conn) is HTTPVersion.http20


@pytest.mark.parametrize(
    ("name", "scheme"), [("squid", "http"), ("microsocks", "socks5h")]
)
def test_a_server_that_the_proxy_cannot_reach_is_an_error(real_server, name, scheme):
    proxy = real_server(name)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    conn = HTTP20Connection(
        f"https://127.0.0.1:{port}", proxy=proxy.proxy_url(scheme), timeout=10
    )
    with pytest.raises(ProxyError):
        conn.request("GET", "/")


# Scripted proxies.


@pytest.mark.scenario(260)
def test_a_forwarded_request_says_where_to_and_who_asks(text_peer):
    conn = HTTP11Connection(
        "a.test",
        proxy=f"http://user:secret@127.0.0.1:{text_peer.port}",
        proxy_headers={"X-Via": "1"},
        timeout=10,
    )
    asking = background(conn.request, "GET", "/path?q#part", None, {"X-Own": "2"})
    text_peer.accept()
    assert text_peer.want_head() == [
        b"GET http://a.test/path?q HTTP/1.1",
        b"Host: a.test",
        b"Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=",
        b"X-Via: 1",
        b"X-Own: 2",
    ]
    asking.result()
    conn.close()


@pytest.mark.scenario(260)
def test_a_forwarded_request_goes_where_the_connection_leads_and_not_host(text_peer):
    """The proxy goes where the target says: a Host from elsewhere must not move it."""
    proxy = f"127.0.0.1:{text_peer.port}"
    with HTTP11Connection("a.test:81", proxy=proxy, timeout=10) as conn:
        conn.request("GET", "/x", headers={"Host": "b.test"})
        text_peer.accept()
        assert text_peer.want_head() == [
            b"GET http://a.test:81/x HTTP/1.1",
            b"Host: b.test",
        ]


def test_an_options_for_the_server_itself_is_forwarded_without_a_path(text_peer):
    conn = HTTP11Connection("a.test", proxy=f"127.0.0.1:{text_peer.port}", timeout=10)
    asking = background(conn.request, "OPTIONS", "*")
    text_peer.accept()
    assert text_peer.want_head()[0] == b"OPTIONS http://a.test HTTP/1.1"
    asking.result()
    conn.close()


@pytest.mark.scenario(256)
def test_a_tunnel_is_asked_for_with_headers_that_do_not_go_into_it(text_peer, service):
    conn = HTTP20Connection(
        "a.test",
        8443,
        secure=True,
        proxy_host="127.0.0.1",
        proxy_port=text_peer.port,
        proxy_headers={"X-Via": "1"},
        timeout=10,
    )
    asking = background(conn.request, "GET", "/")
    text_peer.accept()
    assert text_peer.want_head() == [
        b"CONNECT a.test:8443 HTTP/1.1",
        b"Host: a.test:8443",
        b"X-Via: 1",
    ]
    text_peer.send_bytes(b"HTTP/1.1 200 OK\r\n\r\n")
    hello = text_peer.want_bytes(100)
    assert hello[:1] == b"\x16", "TLS begins"
    assert b"X-Via" not in hello
    conn.close()
    asking.error()


@pytest.mark.scenario(252)
def test_a_refusal_has_the_response_of_the_proxy(text_peer):
    conn = HTTP20Connection(
        "https://a.test", proxy=f"127.0.0.1:{text_peer.port}", timeout=10
    )
    asking = background(conn.request, "GET", "/")
    text_peer.accept()
    text_peer.want_head()
    text_peer.send_bytes(
        b"HTTP/1.1 403 No\r\nX-Why: you\r\nContent-Length: 5\r\n\r\nnever"
    )
    error = asking.error()
    assert isinstance(error, ProxyError)
    assert error.response.status == 403
    assert error.response.headers["x-why"] == [b"you"]
    assert error.response.read() == b"never"


@pytest.mark.scenario(254)
def test_a_silent_proxy_is_a_timeout(text_peer):
    conn = HTTP20Connection(
        "https://a.test", proxy=f"127.0.0.1:{text_peer.port}", timeout=0.05
    )
    with pytest.raises(ConnectTimeout, match="127"):
        conn.request("GET", "/")


@every_connection
@pytest.mark.scenario(254)
def test_a_tunnel_that_ends_before_tls_is_spoken_is_an_error(text_peer, of):
    conn = of("https://a.test", proxy=f"127.0.0.1:{text_peer.port}", timeout=10)
    asking = background(conn.request, "GET", "/")
    text_peer.accept()
    text_peer.want_head()
    text_peer.send_bytes(b"HTTP/1.1 200 OK\r\n\r\n")
    text_peer.want_bytes(100)
    text_peer.hang_up()
    error = asking.error()
    assert isinstance(error, ConnectError)
    assert "a.test port 443" in str(error)
    assert error.retry_safe


@pytest.mark.scenario(253)
def test_what_comes_behind_the_answer_of_a_proxy_is_for_tls(text_peer):
    conn = HTTP20Connection(
        "https://a.test", proxy=f"127.0.0.1:{text_peer.port}", timeout=10
    )
    asking = background(conn.request, "GET", "/")
    text_peer.accept()
    text_peer.want_head()
    text_peer.send_bytes(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
    assert isinstance(asking.error(), TLSError)


@pytest.mark.parametrize(
    "options",
    [
        {"proxy": "ftp://a.test"},
        {"proxy": "http://a.test", "proxy_host": "b.test"},
        {"proxy": "http://a.test", "uds": "/path"},
        {"proxy": "http://a.test:99999"},
        {"proxy_host": "a b"},
    ],
)
@every_connection
def test_a_way_that_is_none_is_refused_at_once(of, options):
    with pytest.raises(LocalProtocolError):
        of("a.test", **options)


# set_tunnel, as http.client has it: the connection's own host is the proxy.


@every_connection
@pytest.mark.scenario(251, 256)
def test_a_tunnel_leads_through_the_connections_own_host(text_peer, of):
    conn = text_peer.client(of, secure=True)
    conn.set_tunnel("a.test", 8443, {"Proxy-Authorization": "Basic secret"})
    assert (conn.host, conn.port) == ("a.test", 8443)
    connecting = background(conn.connect)
    text_peer.accept()
    assert text_peer.want_head() == [
        b"CONNECT a.test:8443 HTTP/1.1",
        b"Host: a.test:8443",
        b"Proxy-Authorization: Basic secret",
    ]
    text_peer.send_bytes(b"HTTP/1.1 200 OK\r\n\r\n")
    hello = text_peer.want_bytes(100)
    assert hello[:1] == b"\x16", "TLS begins"
    conn.close()
    connecting.error()


def test_requests_in_a_tunnel_are_for_the_server_at_its_end(text_peer):
    conn = text_peer.connection()
    conn.set_tunnel("a.test:8080")
    asking = background(conn.request, "GET", "/path")
    text_peer.accept()
    assert text_peer.want_head()[0] == b"CONNECT a.test:8080 HTTP/1.1"
    text_peer.send_bytes(b"HTTP/1.1 200 OK\r\n\r\n")
    assert text_peer.want_head() == [b"GET /path HTTP/1.1", b"Host: a.test:8080"]
    text_peer.respond()
    assert conn.get_response(asking.result()).status == 200


@pytest.mark.parametrize(
    ("secure", "host", "where"),
    [
        (False, "a.test", b"a.test:80"),
        (True, "a.test", b"a.test:443"),
        (True, "[::1]:8443", b"[::1]:8443"),
        (True, "https://a.test", b"a.test:443"),
    ],
)
def test_where_a_tunnel_leads_to_is_read_as_every_host(text_peer, secure, host, where):
    conn = text_peer.connection(secure=secure)
    conn.set_tunnel(host)
    connecting = background(conn.connect)
    text_peer.accept()
    assert text_peer.want_head() == [
        b"CONNECT " + where + b" HTTP/1.1",
        b"Host: " + where,
    ]
    conn.close()
    connecting.error()


@every_connection
@pytest.mark.scenario(196)
def test_a_tunnel_that_cannot_be_asked_for_is_refused_at_once(text_peer, of):
    conn = text_peer.client(of)
    for arguments in [
        ("a.test\r\nX: y",),
        ("a test",),
        ("",),
        ("a.test:80", 81),
        ("https://a.test",),
        ("a.test", 70000),
        ("a.test", 80, {"X-Evil": "a\r\nX: y"}),
        ("a.test", 80, {"X\nEvil": "a"}),
        ("a.test", 80, {"Host": "b.test"}),
    ]:
        with pytest.raises(LocalProtocolError):
            conn.set_tunnel(*arguments)
    assert conn.host == "127.0.0.1", "nothing has changed"
    assert not text_peer.has_caller


def test_a_tunnel_comes_before_the_connection(text_peer):
    conn = text_peer.connection()
    asking = background(conn.request, "GET", "/")
    text_peer.accept()
    text_peer.want_head()
    stream_id = asking.result()
    with pytest.raises(LocalProtocolError, match="too late"):
        conn.set_tunnel("a.test")
    text_peer.respond(fields=b"Connection: close\r\n")
    assert conn.get_response(stream_id).read() == b""
    conn.set_tunnel("a.test")
    connecting = background(conn.connect)
    text_peer.accept()
    assert text_peer.want_head()[0] == b"CONNECT a.test:80 HTTP/1.1"
    with pytest.raises(LocalProtocolError, match="too late"):
        conn.set_tunnel("b.test")
    conn.close()
    connecting.error()


def test_what_was_asked_of_one_server_is_not_asked_of_another(text_peer):
    conn = text_peer.connection()
    asking = background(conn.request, "GET", "/")
    text_peer.accept()
    text_peer.want_head()
    stream_id = asking.result()
    text_peer.hang_up()
    assert conn.stats.streams == 1, "a call that looks at the connection"
    assert not conn.is_connected
    with pytest.raises(LocalProtocolError, match="too late"):
        conn.set_tunnel("a.test")
    with pytest.raises(ConnectionLost):
        conn.get_response(stream_id)
    conn.set_tunnel("a.test")


def test_after_closing_a_tunnel_may_lead_elsewhere(text_peer):
    conn = text_peer.connection()
    for host in ("a.test", "b.test"):
        conn.set_tunnel("never.test")
        conn.set_tunnel(host)
        connecting = background(conn.connect)
        text_peer.accept()
        assert text_peer.want_head()[0] == f"CONNECT {host}:80 HTTP/1.1".encode()
        text_peer.send_bytes(b"HTTP/1.1 200 OK\r\n\r\n")
        connecting.result()
        conn.close()


def test_a_tunnel_begins_where_a_socket_leads(text_peer):
    ours = socket.create_connection(("127.0.0.1", text_peer.port))
    text_peer.accept()
    conn = HTTP11Connection("proxy.test", sock=ours, timeout=10)
    conn.set_tunnel("a.test")
    connecting = background(conn.connect)
    assert text_peer.want_head()[0] == b"CONNECT a.test:80 HTTP/1.1"
    text_peer.send_bytes(b"HTTP/1.1 200 OK\r\n\r\n")
    connecting.result()
    conn.close()


@every_connection
def test_one_proxy_is_enough(of):
    conn = of("a.test", proxy="proxy.test")
    with pytest.raises(LocalProtocolError, match="has a proxy"):
        conn.set_tunnel("b.test")


# Other ways.


@every_connection
@pytest.mark.scenario(214)
def test_a_unix_socket_leads_to_a_server(of, tmp_path):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        conn = of("a.test", 80, uds=path, timeout=10)
        asking = background(conn.request, "GET", "/")
        sock, _ = listener.accept()
        with sock:
            sock.settimeout(10)
            expected = b"PRI * HTTP/2.0" if of is HTTP20Connection else b"GET / HTTP/1"
            assert sock.recv(65536).startswith(expected)
            asking.result()
            conn.close()


@pytest.mark.scenario(214)
def test_a_unix_socket_that_is_not_there_is_an_error(tmp_path):
    conn = HTTP11Connection("a.test", uds=str(tmp_path / "nobody"), timeout=10)
    with pytest.raises(ConnectError, match="No such file"):
        conn.request("GET", "/")


@pytest.mark.scenario(214)
def test_a_unix_socket_whose_queue_is_full_is_waited_for(tmp_path):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(path)
            conn = HTTP11Connection("a.test", uds=path, timeout=0.05)
            with pytest.raises(ConnectTimeout):
                conn.request("GET", "/")
            patient = HTTP11Connection("a.test", uds=path, timeout=10)
            connecting = background(patient.connect)
            listener.accept()[0].close()
            connecting.result()
            patient.close()


@every_connection
def test_a_socket_of_the_users_own_is_used_once(of):
    ours, theirs = socket.socketpair()
    with theirs:
        conn = of("a.test", 80, sock=ours, timeout=10)
        conn.request("GET", "/")
        assert theirs.recv(65536)[:3] in (b"PRI", b"GET")
        conn.close()
        with pytest.raises(ConnectError, match="has been used"):
            conn.request("GET", "/")


def test_where_the_socket_was_the_only_one_a_response_is_not_asked_for_again(peer):
    own = socket.create_connection(("127.0.0.1", peer.port))
    conn = peer.connection(sock=own)
    stream_id = conn.request("GET", "/")
    peer.greet()
    peer.want_headers(stream_id)
    peer.respond(stream_id, b"not here", status=421)
    assert conn.get_response(stream_id).status == 421


@pytest.mark.parametrize("on", ["the connection", "another"])
def test_what_is_refused_is_sent_again_if_there_is_a_connection_for_it(peer, on):
    own = socket.create_connection(("127.0.0.1", peer.port))
    conn = peer.connection(sock=own)
    conn.request("GET", "/")
    peer.greet()
    peer.want_headers(1)
    if on == "the connection":
        peer.send_reset(1, ErrorCodes.REFUSED_STREAM)
        asking = background(conn.get_response, 1)
        peer.want_headers(3)
        peer.respond(3, b"now")
        assert asking.result().read() == b"now"
        return
    peer.send_goaway(0)
    with pytest.raises(RequestNotProcessed) as caught:
        conn.get_response(1)
    assert caught.value.retry_safe


def test_the_reason_is_told_why_a_socket_of_ones_own_has_ended(peer):
    own = socket.create_connection(("127.0.0.1", peer.port))
    conn = peer.connection(sock=own)
    conn.request("GET", "/")
    peer.greet()
    peer.want_headers(1)
    peer.hang_up()
    with pytest.raises(ConnectionLost):
        conn.get_response(1)
    with pytest.raises(ConnectError, match="has been used") as caught:
        conn.request("GET", "/")
    assert str(caught.value.__cause__) == "the server closed the connection"


# TLS that the user has spoken.


def tls_socket(service, *alpn):
    """Return a socket that has shaken hands with the service."""
    context = init_context(service.ca_file)
    context.set_alpn_protocols(list(alpn))
    raw = socket.create_connection(("localhost", service.port))
    return context.wrap_socket(raw, server_hostname="localhost")


@pytest.mark.parametrize(
    ("of", "protocol"),
    [
        (HTTP20Connection, "h2"),
        (HTTPConnection, "h2"),
        (HTTPConnection, "http/1.1"),
        (HTTP11Connection, "http/1.1"),
        (HTTP11Connection, None),
    ],
)
def test_a_tls_socket_is_taken_as_it_is(service, of, protocol):
    own = tls_socket(service, *([protocol] if protocol else []))
    with of("localhost", service.port, sock=own, timeout=10) as conn:
        assert conn.secure
        version = "HTTP/2" if protocol == "h2" else "HTTP/1.1"
        assert fetch(conn).value == version
        assert own.getpeercert()["subjectAltName"]


@pytest.mark.parametrize(
    ("of", "protocol"), [(HTTP20Connection, "http/1.1"), (HTTP11Connection, "h2")]
)
def test_a_tls_socket_of_the_other_version_is_refused(service, of, protocol):
    own = tls_socket(service, protocol)
    with of("localhost", service.port, sock=own, timeout=10) as conn:
        with pytest.raises(TLSError, match=re.escape(protocol)):
            conn.request("GET", "/")


def test_the_key_of_a_tls_socket_is_compared_with_the_pins(service):
    own = tls_socket(service, "h2")
    pins = ["sha256//" + "A" * 43 + "="]
    with HTTP20Connection("localhost", sock=own, pins=pins, timeout=10) as conn:
        with pytest.raises(TLSError, match="not one of the pins"):
            conn.request("GET", "/")


def test_plain_http_can_go_through_a_tls_socket(service):
    own = tls_socket(service)
    with HTTP11Connection(
        "localhost", service.port, False, sock=own, timeout=10
    ) as conn:
        assert fetch(conn) is HTTPVersion.http11


@pytest.mark.scenario(255)
def test_a_tls_socket_may_lead_to_a_proxy(real_server, service):
    proxy = real_server("squid", "tls")
    context = init_context(proxy.ca_file)
    raw = socket.create_connection(("localhost", proxy.ports.proxy_tls))
    own = context.wrap_socket(raw, server_hostname="localhost")
    with HTTP20Connection(
        "localhost",
        proxy.ports.proxy_tls,
        ssl_context=init_context(service.ca_file),
        sock=own,
        timeout=10,
    ) as conn:
        conn.set_tunnel("localhost", service.port)
        assert fetch(conn) is HTTPVersion.http20


def test_threads_share_a_tls_socket(service):
    own = tls_socket(service, "h2")

    def work(number):
        for size in range(number, 300_000, 60_000):
            stream_id = conn.request("POST", "/echo", b"x" * size)
            assert len(conn.get_response(stream_id).read()) == size

    with HTTP20Connection("localhost", sock=own, timeout=30) as conn:
        for task in [background(work, number) for number in range(12)]:
            task.result(60)


@every_connection
def test_a_name_of_ones_own_is_verified_and_sent(service, of):
    context = init_context(service.ca_file)
    with of(
        "127.0.0.1",
        service.port,
        True,
        ssl_context=context,
        server_hostname="localhost",
        timeout=10,
    ) as conn:
        fetch(conn)
    wrong = of(
        "localhost", service.port, True, ssl_context=context, server_hostname="a.test"
    )
    with pytest.raises(TLSError, match=r"a\.test"):
        wrong.request("GET", "/")


@every_connection
def test_the_address_to_connect_from_may_be_chosen(text_peer, of):
    text_peer.client(of, source_address=("127.0.0.2", 0)).connect()
    text_peer.accept()
    assert text_peer.sock.getpeername()[0] == "127.0.0.2"


@every_connection
def test_an_address_that_is_not_ours_cannot_be_connected_from(text_peer, of):
    conn = text_peer.client(of, source_address=("192.0.2.1", 0))
    with pytest.raises(ConnectError, match="assign"):
        conn.connect()


@every_connection
def test_options_are_set_before_connecting(text_peer, of):
    small = (socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    text_peer.client(of, socket_options=[small]).connect()
    text_peer.accept()
    # A small window of TCP is agreed on when connecting.
    assert fill(text_peer.sock) < 5_000_000


def fill(sock):
    """Send until the network takes no more; return how much it took."""
    sock.setblocking(False)
    sent = 0
    while True:
        try:
            sent += sock.send(bytes(65536))
        except BlockingIOError:
            return sent


def test_any_context_will_do_for_a_proxy(text_peer):
    context = ssl.create_default_context()
    conn = HTTP20Connection(
        "https://a.test",
        ssl_context=context,
        proxy=f"https://127.0.0.1:{text_peer.port}",
        timeout=10,
    )
    asking = background(conn.connect)
    text_peer.accept()
    assert text_peer.want_bytes(1) == b"\x16", "TLS with the proxy begins first"
    conn.close()
    asking.error()
