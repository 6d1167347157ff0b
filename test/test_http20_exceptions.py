"""What older code catches by its old names is what is raised now."""

from __future__ import annotations

import builtins

import pytest
from h2.errors import ErrorCodes

import hyper
from hyper.common import exceptions as common
from hyper.http20 import exceptions
from hyper.http20.exceptions import (
    ConnectionError,
    HPACKDecodingError,
    HPACKEncodingError,
    HTTP20Error,
    ProtocolError,
    StreamResetError,
)


@pytest.mark.parametrize("name", exceptions.__all__)
def test_every_name_is_a_class_of_the_one_tree(name):
    error = getattr(exceptions, name)
    assert issubclass(error, HTTP20Error)
    assert issubclass(error, hyper.HyperError)
    assert str(error("what happened")) == "what happened"


@pytest.mark.parametrize(
    "error",
    [StreamResetError, ConnectionError, ProtocolError]
    + [HPACKEncodingError, HPACKDecodingError],
)
def test_the_base_of_all_catches_each(error):
    with pytest.raises(HTTP20Error):
        raise error("what happened")


@pytest.mark.parametrize("caught_as", [StreamResetError, HTTP20Error])
@pytest.mark.parametrize("code", [ErrorCodes.CANCEL, ErrorCodes.REFUSED_STREAM])
def test_a_stream_that_is_reset_is_caught(peer, caught_as, code):
    conn = peer.connection()
    stream_id = conn.request("POST", "/", iter([b"once"]))
    peer.greet()
    peer.want_headers(stream_id)
    peer.send_reset(stream_id, code)
    with pytest.raises(caught_as) as caught:
        conn.get_response(stream_id)
    assert caught.value.error_code == code


@pytest.mark.parametrize("caught_as", [StreamResetError, HTTP20Error])
def test_a_stream_that_was_too_late_for_a_goaway_is_caught(peer, caught_as):
    conn = peer.connection()
    stream_id = conn.request("POST", "/", iter([b"once"]))
    peer.greet()
    peer.send_goaway(last=0, code=ErrorCodes.ENHANCE_YOUR_CALM)
    with pytest.raises(caught_as):
        conn.get_response(stream_id)


CAUGHT_WHEN_LOST = [
    ConnectionError,
    HTTP20Error,
    common.ConnectionError,
    common.ConnectionResetError,
    common.SocketError,
    builtins.ConnectionResetError,
    OSError,
]


@pytest.mark.parametrize("caught_as", CAUGHT_WHEN_LOST)
def test_the_end_of_a_connection_is_caught(peer, caught_as):
    conn = peer.connection()
    stream_id = conn.request("GET", "/")
    peer.greet()
    peer.want_headers(stream_id)
    peer.hang_up()
    with pytest.raises(caught_as):
        conn.get_response(stream_id)


@pytest.mark.parametrize("caught_as", CAUGHT_WHEN_LOST)
def test_a_goaway_with_an_error_is_caught(peer, caught_as):
    conn = peer.connection()
    stream_id = conn.request("GET", "/")
    peer.greet()
    peer.want_headers(stream_id)
    peer.send_goaway(last=stream_id, code=ErrorCodes.PROTOCOL_ERROR)
    peer.hang_up()
    with pytest.raises(caught_as, match="PROTOCOL_ERROR"):
        conn.get_response(stream_id)


@pytest.mark.parametrize("caught_as", CAUGHT_WHEN_LOST)
def test_reading_after_the_connection_was_closed_is_caught(peer, caught_as):
    conn = peer.connection()
    stream_id = conn.request("GET", "/")
    peer.greet()
    peer.send_headers(stream_id)
    response = conn.get_response(stream_id)
    conn.close()
    with pytest.raises(caught_as):
        response.read()


def test_a_server_that_breaks_the_rules_is_caught(peer):
    conn = peer.connection()
    stream_id = conn.request("GET", "/")
    peer.greet()
    peer.send_data(2, b"on a stream that does not exist")
    with pytest.raises(ProtocolError):
        conn.get_response(stream_id)
