"""What is special about connections that speak HTTP/2."""

import ssl

import pytest
from hyperframe.frame import HeadersFrame, PingFrame, SettingsFrame
from test_exchange import finish, start
from threads import background

import hyper
from hyper import (
    ConnectionLost,
    HTTP20Connection,
    HTTPConnection,
    HTTPVersion,
    LocalProtocolError,
    ReadTimeout,
    TLSError,
    http2bin,
)
from hyper.http20.reference import H2Machine
from hyper.http20.window import BaseFlowControlManager
from hyper.tls import init_context


@pytest.fixture(scope="module")
def service():
    with http2bin.serve() as service:
        yield service


def test_its_version_is_2(peer):
    assert HTTP20Connection.version is HTTPVersion.http20


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("a.test",), ("a.test", 443, True)),
        (("a.test:443",), ("a.test", 443, True)),
        (("a.test", 8080), ("a.test", 8080, False)),
        (("a.test", 8080, True), ("a.test", 8080, True)),
        (("https://a.test:8443",), ("a.test", 8443, True)),
        (("http://a.test",), ("a.test", 80, False)),
        (("[::1]:443",), ("::1", 443, True)),
    ],
)
def test_the_port_decides_about_tls_unless_told(args, expected):
    conn = HTTP20Connection(*args)
    assert (conn.host, conn.port, conn.secure) == expected


def test_an_unknown_option_is_an_error():
    with pytest.raises(TypeError, match="retries"):
        HTTP20Connection("a.test", retries=5)


def test_a_host_that_is_none_is_an_error():
    with pytest.raises(LocalProtocolError):
        HTTP20Connection("a b")


@pytest.mark.scenario(1)
def test_over_tls_h2_is_agreed_on(service):
    context = init_context(service.ca_file)
    with HTTP20Connection(service.url, ssl_context=context) as conn:
        conn.request("GET", "/get")
        response = conn.get_response()
        assert response.status == 200
        assert response.version is HTTPVersion.http20


@pytest.mark.scenario(6)
def test_without_tls_http2_is_spoken_from_the_first_byte():
    with http2bin.serve(tls=False) as service:
        with HTTP20Connection(service.host, service.port) as conn:
            conn.request("GET", "/get")
            assert conn.get_response().status == 200


@pytest.mark.scenario(3)
def test_a_server_without_http2_is_refused_by_name(real_server):
    server = real_server("nginx", "h1-tls")
    context = init_context(server.ca_file)
    port = server.h1_tls_port
    with HTTP20Connection("localhost", port, True, ssl_context=context) as conn:
        with pytest.raises(TLSError, match=r"does not speak HTTP/2.*http/1\.1"):
            conn.request("GET", "/hello")
        assert not conn.is_connected


def test_what_alpn_chose_may_be_overruled(real_server):
    server = real_server("nginx", "h1-tls")
    with HTTP20Connection(
        "localhost",
        server.h1_tls_port,
        True,
        ssl_context=init_context(server.ca_file),
        force_proto="h2",
    ) as conn:

        def exchange():
            conn.request("GET", "/hello")
            conn.get_response()

        with pytest.raises(hyper.RemoteProtocolError, match="speaks HTTP/1"):
            exchange()


@pytest.mark.scenario(11)
def test_a_certificate_of_nobody_known_is_refused(service):
    with HTTP20Connection(service.url) as conn:
        with pytest.raises(TLSError, match="was not accepted") as caught:
            conn.request("GET", "/get")
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        assert not conn.is_connected


def test_a_state_machine_may_be_given(peer):
    made = []

    class Mine(H2Machine):
        def __init__(self, settings):
            made.append(settings)
            super().__init__(settings)

    conn = peer.connection(state_machine=Mine)
    conn.request("GET", "/")
    peer.greet()
    assert made == [
        {SettingsFrame.INITIAL_WINDOW_SIZE: 1024 * 1024, SettingsFrame.ENABLE_PUSH: 0}
    ]
    assert peer.client_settings[SettingsFrame.INITIAL_WINDOW_SIZE] == 1024 * 1024
    assert peer.client_settings[SettingsFrame.ENABLE_PUSH] == 0


def test_a_window_manager_may_be_given(peer):
    windows = []

    class Mine(BaseFlowControlManager):
        def __init__(self, initial_window_size):
            windows.append(initial_window_size)
            super().__init__(initial_window_size)

        def increase_window_size(self, frame_size):
            return frame_size

    peer.connection(window_manager=Mine).request("GET", "/")
    peer.greet()
    assert windows == [16 * 1024 * 1024, 1024 * 1024]


# PING.


@pytest.mark.parametrize("data", [None, b"12345678", "12345678"])
def test_ping_returns_the_round_trip(peer, data):
    conn = peer.connection()
    task = background(conn.ping, *([] if data is None else [data]))
    peer.greet()
    frame = peer.want(PingFrame)
    assert data is None or frame.opaque_data == b"12345678"
    peer.send_ping(frame.opaque_data, ack=True)
    assert 0 < task.result() < 10


@pytest.mark.parametrize("data", [b"short", "-" * 9])
def test_a_ping_carries_eight_bytes(peer, data):
    with pytest.raises(ValueError, match="8 bytes"):
        peer.connection().ping(data)


def test_a_ping_that_is_not_answered_leaves_the_connection_alone(peer):
    conn = peer.connection()
    with pytest.raises(ReadTimeout, match="PING"):
        conn.ping(timeout=0.05)
    peer.greet()
    peer.ignore = (*peer.ignore, PingFrame)
    stream_id = conn.request("GET", "/")
    peer.want_headers(stream_id)
    peer.respond(stream_id)
    assert conn.get_response().status == 200


# Settings.


def test_the_servers_settings_are_waited_for(peer):
    conn = peer.connection()
    task = background(lambda: conn.max_concurrent_streams)
    peer.greet({SettingsFrame.MAX_CONCURRENT_STREAMS: 7})
    assert task.result() == 7
    assert conn.remote_settings.max_concurrent_streams == 7


@pytest.mark.scenario(9)
def test_settings_that_never_come_are_a_timeout(peer):
    conn = peer.connection(timeout=0.05)
    with pytest.raises(ReadTimeout, match="settings"):
        conn.remote_settings  # noqa: B018


@pytest.mark.parametrize("name", ["header_table_size", 1])
def test_settings_of_the_user_are_in_the_first_frame(peer, name):
    settings = {name: 8192, "initial_window_size": 5000, 0x9: 1}
    peer.connection(settings=settings).request("GET", "/")
    peer.greet()
    assert peer.client_settings[SettingsFrame.HEADER_TABLE_SIZE] == 8192
    assert peer.client_settings[SettingsFrame.INITIAL_WINDOW_SIZE] == 5000
    assert peer.client_settings[0x9] == 1


@pytest.mark.parametrize("name", ["no_such", "enable_push"])
def test_settings_that_are_not_the_users_are_an_error(name):
    with pytest.raises(LocalProtocolError):
        HTTP20Connection("a.test", settings={name: 1})


# Numbers.


def test_stats_tell_what_went_over_the_connection(peer):
    conn = peer.connection()
    assert conn.stats.streams == 0
    stream_id = conn.request("GET", "/")
    peer.greet()
    peer.want_headers(stream_id)
    peer.respond(stream_id, b"body")
    assert conn.get_response(stream_id).read() == b"body"
    stats = conn.stats
    assert stats.streams == 1
    assert stats.bytes_sent > 24
    assert stats.bytes_received > len(b"body")
    assert stats.frames_sent["HEADERS"] == 1
    assert stats.frames_received == {"DATA": 1, "HEADERS": 1, "SETTINGS": 1}
    assert stats.round_trip is None


def test_stats_have_the_round_trip_of_the_latest_ping(peer):
    conn = peer.connection()
    asking = background(conn.ping)
    peer.greet()
    peer.send_ping(peer.want(PingFrame).opaque_data, ack=True)
    round_trip = asking.result()
    assert conn.stats.round_trip == round_trip


def test_stats_of_http1_have_no_frames(text_peer):
    conn = text_peer.connection()
    conn.request("GET", "/")
    text_peer.accept()
    text_peer.want_head()
    text_peer.respond(b"body")
    assert conn.get_response().read() == b"body"
    stats = conn.stats
    assert (stats.streams, stats.frames_sent, stats.frames_received) == (1, {}, {})
    assert stats.bytes_received > len(b"body")


# Dead peers.


@pytest.mark.scenario(139)
def test_a_silent_server_that_does_not_answer_a_ping_fails_all_its_streams(peer):
    conn = peer.connection(keepalive=(0.05, 0.05))
    ids = [conn.request("GET", "/") for _ in range(3)]
    peer.greet()
    tasks = [background(conn.get_response, stream_id) for stream_id in ids]
    errors = [task.error() for task in tasks]
    assert {type(error) for error in errors} == {ConnectionLost}
    assert len({str(error) for error in errors}) == 1
    assert "dead" in str(errors[0])
    assert not errors[0].retry_safe
    assert not conn.is_connected


@pytest.mark.scenario(139, 142)
def test_a_slow_server_that_answers_pings_is_waited_for(peer):
    conn = peer.connection(keepalive=(0.05, 5))
    stream_id = conn.request("GET", "/")
    peer.greet()
    peer.want_headers(stream_id)
    asking = background(conn.get_response, stream_id)
    for _ in range(3):
        peer.send_ping(peer.want(PingFrame).opaque_data, ack=True)
    peer.respond(stream_id, b"at last")
    assert asking.result().read() == b"at last"


@pytest.mark.scenario(140)
def test_a_server_that_takes_nothing_more_is_found_dead_too(peer):
    peer.narrow()
    conn = peer.connection(keepalive=(0.1, 0.1))
    conn.connect()
    peer.greet({SettingsFrame.INITIAL_WINDOW_SIZE: 2**30})
    peer.send_window_update(0, 2**30)
    assert conn.remote_settings.initial_window_size == 2**30
    # More than both kernels take, so that the PING cannot leave.
    with pytest.raises(ConnectionLost, match="dead"):
        conn.request("POST", "/", bytes(30_000_000))


@pytest.mark.scenario(141)
def test_an_idle_connection_is_asked_for_a_sign_of_life_before_it_is_used(peer):
    conn = peer.connection(keepalive=(1e-9, 5))
    asking = background(conn.request, "GET", "/")
    peer.greet()
    peer.send_ping(peer.want(PingFrame).opaque_data, ack=True)
    peer.want_headers(asking.result())
    assert peer.connections == 1


@pytest.mark.scenario(141)
def test_an_idle_connection_that_has_died_is_replaced_before_it_is_used(peer):
    conn = peer.connection(keepalive=(1e-9, 1))
    asking = background(conn.request, "GET", "/")
    peer.greet()
    peer.send_ping(peer.want(PingFrame).opaque_data, ack=True)
    first = asking.result()
    peer.want_headers(first)
    finish(peer, conn, first)
    # From here on the first connection is silent.
    asking = background(conn.request, "POST", "/", iter([b"once"]))
    peer.greet()
    peer.send_ping(peer.want(PingFrame).opaque_data, ack=True)
    peer.ignore = (*peer.ignore, PingFrame)
    assert peer.want_headers(3)[b":method"] == b"POST"
    assert peer.want_body(3) == b"once"
    assert asking.result() == 3


@pytest.mark.parametrize("keepalive", [(0, 1), (1, 0), (-1, 1), (1, float("nan"))])
def test_keepalive_is_two_positive_numbers(keepalive):
    with pytest.raises(ValueError, match="positive"):
        HTTP20Connection("a.test", keepalive=keepalive)


# Secrets.


@pytest.mark.scenario(204)
def test_fields_that_the_user_calls_sensitive_are_never_indexed(peer):
    conn = peer.connection(sensitive=["X-API-Key"])
    for _ in range(2):
        conn.request("GET", "/", headers={"x-api-key": "secret", "x-other": "known"})
    peer.greet()
    fields = [peer.want(HeadersFrame).data for _ in range(2)]
    decoded = [list(peer.decoder.decode(block, raw=True)) for block in fields]
    for section in decoded:
        (key,) = [field for field in section if field[0] == b"x-api-key"]
        assert not key.indexable
    assert len(fields[1]) < len(fields[0]), "the other one was"


@pytest.mark.parametrize(
    ("sensitive", "error"), [("x-api-key", TypeError), (["a b"], LocalProtocolError)]
)
def test_sensitive_is_a_collection_of_names(sensitive, error):
    with pytest.raises(error):
        HTTP20Connection("a.test", sensitive=sensitive)


# Priorities, origins and alternatives.


def test_a_priority_may_be_changed_while_the_response_is_awaited(peer):
    conn, first = start(peer)
    conn.update_priority(first, 1)
    frame = peer.next_frame()
    while frame.type != 0x10:
        assert isinstance(frame, peer.ignore)
        frame = peer.next_frame()
    assert (frame.stream_id, frame.body) == (0, first.to_bytes(4, "big") + b"u=1")
    finish(peer, conn, first)


def test_a_priority_of_what_is_over_or_unknown_is_not_sent(peer):
    conn = peer.connection()
    conn.update_priority(1, "u=1")
    first = conn.request("GET", "/")
    peer.greet()
    peer.want_headers(first)
    finish(peer, conn, first)
    conn.update_priority(first, "u=1")
    conn.update_priority(99, "u=1")
    peer.want_nothing(conn)


def test_what_the_server_says_of_itself_and_others_is_shown(peer):
    conn, first = start(peer)
    assert (conn.origins, conn.alternative_services) == ((), {})
    origin = b"https://b.test"
    peer.send_bytes(extension(0xC, 0, len(origin).to_bytes(2, "big") + origin))
    peer.send_bytes(extension(0xA, 0, b"\0\x0ehttps://a.test" + b'h3=":443"'))
    finish(peer, conn, first)
    assert conn.origins == ("https://b.test",)
    assert conn.alternative_services == {"https://a.test": 'h3=":443"'}


def test_a_server_is_not_believed_to_be_endlessly_many(peer):
    conn, first = start(peer)
    for part in range(3):
        names = [b"https://%d.test" % n for n in range(part * 60, part * 60 + 60)]
        body = b"".join(len(name).to_bytes(2, "big") + name for name in names)
        peer.send_bytes(extension(0xC, 0, body))
    finish(peer, conn, first)
    assert len(conn.origins) == 100


def test_http1_has_nothing_to_say_about_priorities_and_origins(text_peer):
    conn = text_peer.client(HTTPConnection)
    assert (conn.origins, conn.alternative_services) == ((), {})
    conn.request("GET", "/")
    assert (conn.origins, conn.alternative_services) == ((), {})
    with pytest.raises(LocalProtocolError, match=r"HTTP/1\.1"):
        conn.update_priority(1, 1)


def extension(kind, stream_id, body):
    head = len(body).to_bytes(3, "big") + bytes([kind, 0])
    return head + stream_id.to_bytes(4, "big") + body
