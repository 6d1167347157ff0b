"""Server push: promises in every order, for the right authority, in bounds."""

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import PushPromiseFrame, SettingsFrame
from servers import HELLO
from test_everyday import connect
from threads import background, wait_for

from hyper import (
    HTTP20Connection,
    HTTP20Push,
    LocalProtocolError,
    ReadTimeout,
    StreamResetError,
    http2bin,
)
from hyper.http20.protocol import MAX_PUSHES
from hyper.tls import init_context


@pytest.fixture
def pushing(peer):
    """A peer whose client allows pushes and has one request under way, on stream 1."""
    peer.conn = peer.connection(enable_push=True)
    peer.conn.request("GET", "/")
    peer.greet()
    peer.want_headers(1)

    def promise(promised, path="/pushed", parent=1, **pseudo):
        fields = {
            ":method": "GET",
            ":scheme": "http",
            ":authority": f"127.0.0.1:{peer.port}",
            ":path": path,
            **{f":{name}": value for name, value in pseudo.items()},
        }
        fields = [*fields.items(), ("accept", "*/*")]
        return PushPromiseFrame(
            parent,
            promised,
            data=peer.encoder.encode([one for one in fields if one[1] is not None]),
            flags=["END_HEADERS"],
        )

    peer.promise = promise
    return peer


def test_without_enable_push_nothing_may_be_pushed(peer):
    conn = peer.connection()
    conn.request("GET", "/")
    peer.greet()
    assert peer.client_settings[SettingsFrame.ENABLE_PUSH] == 0
    with pytest.raises(LocalProtocolError, match="enable_push"):
        conn.get_pushes()


def test_a_push_tells_the_request_and_gives_the_response(pushing):
    assert pushing.client_settings[SettingsFrame.ENABLE_PUSH] == 1
    pushing.send(
        pushing.promise(2, "/style.css"),
        pushing.headers(1),
        pushing.headers(2, 200, [("a", "b")]),
        pushing.data(2, b"pushed", end=True),
        pushing.data(1, b"page", end=True),
    )
    response = pushing.conn.get_response()
    (push,) = pushing.conn.get_pushes()
    assert isinstance(push, HTTP20Push)
    assert (push.scheme, push.method, push.path) == (b"http", b"GET", b"/style.css")
    assert push.authority == b"127.0.0.1:%d" % pushing.port
    assert push.request_headers["accept"] == [b"*/*"]
    pushed = push.get_response()
    assert (pushed.status, pushed.headers["a"]) == (200, [b"b"])
    assert pushed.read() == b"pushed"
    assert response.read() == b"page"
    assert list(pushing.conn.get_pushes()) == [], "each is returned once"


@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "after head", "in body"])
def test_a_promise_may_come_at_any_time(pushing, place):
    page = [
        lambda: pushing.headers(1),
        lambda: pushing.data(1, b"pa"),
        lambda: pushing.data(1, b"ge", end=True),
    ]
    page.insert(place, lambda: pushing.promise(2))
    pushing.send(*(make() for make in page))
    assert pushing.conn.get_response().read() == b"page"
    assert [push.stream_id for push in pushing.conn.get_pushes()] == [2]


def test_pushes_may_be_taken_after_the_page_was_read(pushing):
    pushing.send(pushing.promise(2), pushing.promise(4, "/two"))
    pushing.respond(1, b"page")
    assert pushing.conn.get_response(1).read() == b"page"
    pushes = list(pushing.conn.get_pushes(1))
    assert [push.path for push in pushes] == [b"/pushed", b"/two"]
    pushing.respond(4, b"two")
    pushing.respond(2, b"one")
    assert [push.get_response().read() for push in pushes] == [b"one", b"two"]


def test_all_pushes_may_be_waited_for(pushing):
    task = background(lambda: [p.path for p in pushing.conn.get_pushes(1, True)])
    wait_for(lambda: task.waits_in("wait_until"))
    pushing.send(pushing.promise(2, "/a"))
    pushing.send(pushing.headers(1))
    pushing.send(pushing.promise(4, "/b"))
    assert task.running
    pushing.send_data(1, end=True)
    assert task.result() == [b"/a", b"/b"]


def test_waiting_for_pushes_ends_with_the_failure_of_the_page(pushing):
    pushes = pushing.conn.get_pushes(1, capture_all=True)
    pushing.send(pushing.promise(2, "/a"), pushing.reset(1, ErrorCodes.INTERNAL_ERROR))
    assert next(pushes).path == b"/a"
    with pytest.raises(StreamResetError):
        next(pushes)


def test_a_push_may_be_cancelled(pushing):
    pushing.send(pushing.promise(2))
    pushing.send_headers(1)
    page = pushing.conn.get_response()
    (push,) = pushing.conn.get_pushes()
    push.cancel()
    push.cancel()
    assert pushing.want_reset(2) == ErrorCodes.CANCEL
    with pytest.raises(StreamResetError):
        push.get_response()
    assert not page.closed


def test_a_pushed_response_has_the_deadlines_of_its_page(pushing):
    page = pushing.conn.request("GET", "/", timeout=0.1)
    pushing.want_headers(page)
    pushing.send(pushing.promise(2, parent=page), pushing.headers(page))
    response = pushing.conn.get_response(page)
    (push,) = pushing.conn.get_pushes(page)
    with pytest.raises(ReadTimeout, match="pushed response"):
        push.get_response()
    assert pushing.want_reset(2) == ErrorCodes.CANCEL
    assert not response.closed


@pytest.mark.scenario(155)
def test_a_promise_for_somebody_else_is_refused(pushing):
    pushing.send(pushing.promise(2, authority="evil.test"))
    pushing.respond(1, b"page")
    assert pushing.conn.get_response().read() == b"page"
    assert pushing.want_reset(2) == ErrorCodes.REFUSED_STREAM
    assert list(pushing.conn.get_pushes()) == []


@pytest.mark.parametrize(
    "pseudo", [{"method": "POST"}, {"path": None}], ids=["unsafe", "incomplete"]
)
def test_a_promise_of_no_safe_request_is_refused(pushing, pseudo):
    pushing.send(pushing.promise(2, **{"path": "/x", **pseudo}))
    pushing.respond(1, b"page")
    assert pushing.conn.get_response().read() == b"page"
    assert pushing.want_reset(2) == ErrorCodes.PROTOCOL_ERROR


def test_more_promises_than_anybody_needs_are_refused(pushing):
    for number in range(MAX_PUSHES + 1):
        pushing.send(pushing.promise(2 + 2 * number))
    pushing.send_headers(1)
    page = pushing.conn.get_response()
    assert pushing.want_reset(2 + 2 * MAX_PUSHES) == ErrorCodes.REFUSED_STREAM
    assert len(list(pushing.conn.get_pushes())) == MAX_PUSHES
    assert pushing.conn.open_streams == 1, "pushes take no place of requests"
    assert not page.closed


def test_pushes_that_came_whole_and_nobody_took_still_count(pushing):
    for number in range(MAX_PUSHES):
        pushing.send(pushing.promise(2 + 2 * number))
        pushing.respond(2 + 2 * number, b"pushed")
    pushing.send(pushing.promise(2 + 2 * MAX_PUSHES))
    pushing.send_headers(1)
    page = pushing.conn.get_response()
    assert pushing.want_reset(2 + 2 * MAX_PUSHES) == ErrorCodes.REFUSED_STREAM
    assert len(list(pushing.conn.get_pushes())) == MAX_PUSHES
    assert not page.closed


def test_who_closes_the_page_gives_up_its_pushes(pushing):
    pushing.send(pushing.promise(2), pushing.headers(1))
    response = pushing.conn.get_response()
    response.close()
    assert pushing.want_reset(1) == ErrorCodes.CANCEL
    assert pushing.want_reset(2) == ErrorCodes.CANCEL
    assert list(pushing.conn.get_pushes()) == []


def test_a_promise_for_a_request_that_was_given_up_is_refused(pushing):
    second = pushing.conn.request("GET", "/second")
    pushing.want_headers(second)
    pushing.send_goaway(1)
    pushing.send(pushing.promise(2, parent=second))
    pushing.respond(1)
    assert pushing.conn.get_response(1).status == 200
    assert pushing.want_reset(2) == ErrorCodes.REFUSED_STREAM


def test_pushes_of_an_unknown_request_are_an_error(pushing):
    with pytest.raises(LocalProtocolError, match="no request 99"):
        pushing.conn.get_pushes(99)


@pytest.mark.parametrize("name", ["nghttpd", "node", "nginx", "h2o", "caddy"])
@pytest.mark.parametrize("way", ["h2", "h2c"])
def test_real_servers_push(real_server, name, way):
    server = real_server(name, way, "push")
    with connect(server, way, enable_push=True) as conn:
        response = conn.get_response(conn.request("GET", "/pushing"))
        response.read()
        assert response.status == 200
        pushes = {push.path: push for push in conn.get_pushes(capture_all=True)}
        assert pushes[b"/hello"].get_response().read() == HELLO


def test_the_test_service_pushes():
    with http2bin.serve() as service:
        context = init_context(service.ca_file)
        with HTTP20Connection(
            service.url, enable_push=True, ssl_context=context, timeout=10
        ) as conn:
            conn.request("GET", "/push")
            conn.get_response().read()
            paths = [push.path for push in conn.get_pushes()]
            assert paths == [b"/pushed/1", b"/pushed/2"]
