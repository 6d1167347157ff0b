"""Rows of the table of scenarios about the system and about time.

The processes are real ones: they stop, fork and die.
"""

import os
import signal
import subprocess
import sys
import textwrap

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, PingFrame, SettingsFrame
from test_everyday import connect, fetch
from test_exchange import finish, start
from threads import PATIENCE, background

from hyper import ReadTimeout, Timeout, WriteTimeout, http2bin


def run(program, service):
    """Run a program in an interpreter of its own, and return how it ended."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), service.url, service.ca_file],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.scenario(223)
def test_a_server_that_is_stopped_is_a_read_timeout_and_no_more(fresh_server):
    server = fresh_server("hypercorn", "h2", "echo")
    with connect(server, "h2", timeout=20) as conn:
        _, before = fetch(conn, "GET", "/hello")
        os.killpg(server.pid, signal.SIGSTOP)
        try:
            stream_id = conn.request("GET", "/hello", timeout=0.1)
            with pytest.raises(ReadTimeout):
                conn.get_response(stream_id)
        finally:
            os.killpg(server.pid, signal.SIGCONT)
        assert conn.is_connected, "it is not the connection's fault"
        assert fetch(conn, "GET", "/hello")[1] == before


@pytest.mark.scenario(225)
def test_a_child_that_leaves_our_connection_alone_does_it_no_harm():
    program = """
        import gc, os, sys
        from hyper import HTTP20Connection
        from hyper.tls import init_context

        conn = HTTP20Connection(sys.argv[1], ssl_context=init_context(sys.argv[2]))

        def ask(conn):
            stream_id = conn.request("GET", "/get")
            return conn.get_response(stream_id)

        ask(conn).read()
        child = os.fork()
        if not child:
            fresh = HTTP20Connection(
                sys.argv[1], ssl_context=init_context(sys.argv[2])
            )
            ask(fresh).read()
            fresh.close()
            del conn
            gc.collect()
            sys.exit(0)  # The interpreter takes leave of all that it had.
        assert os.waitpid(child, 0)[1] == 0
        assert conn.is_connected
        assert ask(conn).status == 200
        print("connected")
    """
    with http2bin.serve() as service:
        done = run(program, service)
        assert (done.stdout, done.stderr) == ("connected\n", "")
        assert service.connections == 2, "the parent's and the child's own"


@pytest.mark.scenario(226)
def test_a_program_may_end_with_all_of_it_still_open():
    program = """
        import sys, threading
        from hyper import HTTP20Connection
        from hyper.tls import init_context

        conn = HTTP20Connection(sys.argv[1], ssl_context=init_context(sys.argv[2]))
        endless = conn.get_response(conn.request("GET", "/drip?duration=60&delay=0"))
        unread = conn.get_response(conn.request("GET", "/get"))
        reader = threading.Thread(target=endless.read, daemon=True)
        reader.start()
        print("done")
    """
    with http2bin.serve() as service:
        done = run(program, service)
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)


@pytest.mark.scenario(246)
def test_a_response_that_does_not_begin_is_a_read_timeout_though_the_body_went(peer):
    conn = peer.connection()
    stream_id = conn.request("POST", "/", b"body", timeout=Timeout(read=0.05))
    peer.greet()
    peer.want_headers(stream_id)
    assert peer.want_body(stream_id) == b"body"
    with pytest.raises(ReadTimeout, match=f"the response on stream {stream_id}"):
        conn.get_response(stream_id)
    assert peer.want_reset(stream_id) == ErrorCodes.CANCEL
    second = conn.request("GET", "/")
    peer.want_headers(second)
    finish(peer, conn, second)


@pytest.mark.scenario(249)
def test_a_timeout_in_the_middle_of_a_frame_tears_nothing(peer):
    conn, first = start(peer, {SettingsFrame.INITIAL_WINDOW_SIZE: 2**30})
    peer.send_window_update(0, 2**30)
    assert conn.remote_settings.initial_window_size == 2**30
    # More than the buffers of both kernels take, so that it stops inside a frame.
    with pytest.raises(WriteTimeout):
        conn.request("POST", "/", bytes(100_000_000), timeout=0.05)
    going_on = background(conn.ping)  # Somebody has to be there to send the rest.
    peer.want_headers(3)
    peer.ignore = (*peer.ignore, DataFrame)
    assert peer.want_reset(3) == ErrorCodes.CANCEL
    for _ in range(2):  # ours, and the one of the cancel
        peer.send_ping(peer.want(PingFrame).opaque_data, ack=True)
    going_on.result()
    finish(peer, conn, first)
    second = conn.request("GET", "/")
    peer.want_headers(second)
    finish(peer, conn, second)
    assert peer.connections == 1


@pytest.mark.scenario(225)
def test_a_child_that_drops_a_response_of_ours_does_it_no_harm():
    program = """
        import gc, os, sys
        from hyper import HTTP20Connection
        from hyper.tls import init_context

        conn = HTTP20Connection(sys.argv[1], ssl_context=init_context(sys.argv[2]))

        def ask(conn):
            stream_id = conn.request("GET", "/get")
            return conn.get_response(stream_id)

        ask(conn).read()
        stream_id = conn.request("GET", "/never")
        unread = conn.get_response(stream_id)
        child = os.fork()
        if not child:
            fresh = HTTP20Connection(
                sys.argv[1], ssl_context=init_context(sys.argv[2])
            )
            ask(fresh).read()
            fresh.close()
            del conn, unread
            gc.collect()
            sys.exit(0)  # The interpreter takes leave of all that it had.
        assert os.waitpid(child, 0)[1] == 0
        assert conn.is_connected
        assert unread.read(1)
        assert ask(conn).status == 200
        print("connected")
    """
    with http2bin.serve() as service:
        done = run(program, service)
        assert (done.stdout, done.stderr) == ("connected\n", "")
        assert service.connections == 2, "the parent's and the child's own"
