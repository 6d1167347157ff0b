"""How a test talks to the scripted peer: this is the manual of test/peer.py."""

import pytest
from h2.errors import ErrorCodes


def test_a_dialogue_reads_like_one(peer):
    conn = peer.connection()
    stream_id = conn.request("POST", "/path", body=b"question", headers={"X-A": "b"})
    peer.greet()
    fields = peer.want_headers(stream_id)
    assert fields[b":method"] == b"POST"
    assert fields[b":path"] == b"/path"
    assert fields[b"x-a"] == b"b"
    assert peer.want_body(stream_id) == b"question"
    peer.send_headers(stream_id, status=200, fields=[("y", "z")])
    peer.send_data(stream_id, b"answer", end=True)
    response = conn.get_response(stream_id)
    assert response.status == 200
    assert response.headers[b"y"] == [b"z"]
    assert response.read() == b"answer"
    peer.want_nothing(conn)
    conn.close()
    assert peer.want_goaway() == ErrorCodes.NO_ERROR
    peer.want_eof()


def test_a_frame_of_another_kind_fails_the_test(peer):
    conn = peer.connection()
    conn.request("GET", "/")
    peer.greet()
    with pytest.raises(AssertionError, match="wanted GoAwayFrame"):
        peer.want_goaway()
