"""Many threads, real servers, and what happens to them meanwhile.

The numbers are small enough for every day; HYPER_STRESS=1 in the environment makes
them those of the promise: 32 threads of 1,000 requests each, 20 seconds of reloads,
1,000 downloads that are cancelled.
"""

import json
import os
import threading
import time
from collections import Counter

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import RstStreamFrame
from recorder import Recorder
from servers import ten_mebibytes
from test_everyday import connect, fetch
from threads import background

from hyper import ReadTimeout, StreamResetError

PROMISE = os.environ.get("HYPER_STRESS") == "1"
REQUESTS = 1000 if PROMISE else 40
RELOADING = 20.0 if PROMISE else 2.0
CANCELS = 1000 if PROMISE else 100


@pytest.mark.scenario(227)
@pytest.mark.scenario(228)
@pytest.mark.scenario(274)
@pytest.mark.parametrize("name", ["nginx", "node"])
def test_32_threads_get_their_own_answers_beside_one_that_reads_for_ever(
    real_server, name
):
    server = real_server(name, "h2", "echo-body", "never")
    before = threading.active_count()
    answered = Counter()
    with connect(server, "h2", timeout=60) as conn:
        endless = conn.get_response(conn.request("GET", "/never"))
        reader = background(lambda: [*endless.read_chunked()])

        def ask(thread):
            for number in range(REQUESTS):
                body = b"the body of request %d of thread %d" % (number, thread)
                response = conn.get_response(conn.request("POST", "/echo", body))
                assert response.read() == body
                answered[thread] += 1

        tasks = [background(ask, thread) for thread in range(32)]
        for task in tasks:
            task.result(300)
        assert reader.running
        endless.close()
        with pytest.raises(StreamResetError):
            reader.result()
    assert answered == dict.fromkeys(range(32), REQUESTS)
    assert threading.active_count() == before


@pytest.mark.scenario(123)
@pytest.mark.scenario(131)
def test_reloads_lose_nothing_and_double_nothing(fresh_server):
    server = fresh_server("nginx", "h2", "count-kept", "reload")
    ends = time.monotonic() + RELOADING
    asked = Counter()
    reloads = 0
    with connect(server, "h2", timeout=60) as conn:

        def ask(thread):
            while time.monotonic() < ends:
                name = f"{thread}-{asked[thread]}"
                fetch(conn, "POST", f"/count/{name}", b"")
                asked[thread] += 1

        tasks = [background(ask, thread) for thread in range(16)]
        pause = threading.Event()
        while not pause.wait(1.0 if PROMISE else 0.2) and time.monotonic() < ends:
            server.reload()
            reloads += 1
        for task in tasks:
            task.result(120)
        counted = json.loads(fetch(conn, "GET", "/count")[1])
    expected = {f"{t}-{n}": 1 for t, count in asked.items() for n in range(count)}
    assert counted == expected
    assert reloads > 2
    assert len(expected) > 100


@pytest.mark.scenario(243)
def test_a_timeout_of_one_thread_does_not_touch_the_download_of_another(real_server):
    server = real_server("node", "h2", "download", "slow")
    with connect(server, "h2", timeout=60) as conn:
        silent = conn.request("GET", "/slow", timeout=0.2)
        download = background(lambda: fetch(conn, "GET", "/10mb")[1])
        with pytest.raises(ReadTimeout):
            conn.get_response(silent)
        assert download.result(60) == ten_mebibytes()


@pytest.mark.scenario(117)
@pytest.mark.scenario(118)
def test_downloads_cancelled_midway_are_reset_once_each_and_the_connection_lives(
    real_server,
):
    server = real_server("node", "h2", "download")
    recorder = Recorder()
    with connect(server, "h2", state_machine=recorder.machine) as conn:
        cancelled = []
        for _ in range(CANCELS):
            stream_id = conn.request("GET", "/10mb")
            with conn.get_response(stream_id) as response:
                assert len(response.read(100_000)) == 100_000
            cancelled.append(stream_id)
        assert fetch(conn, "GET", "/10mb")[1] == ten_mebibytes()
    assert len(recorder.connections) == 1
    resets = recorder.of(RstStreamFrame)
    assert [reset.stream_id for reset in resets] == cancelled
    assert {reset.error_code for reset in resets} == {ErrorCodes.CANCEL}
