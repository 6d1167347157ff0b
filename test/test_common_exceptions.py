"""The tree of errors: what catches what, and what an error can be asked."""

from __future__ import annotations

import copy
import inspect
import pickle
import ssl

import pytest
from h2.errors import ErrorCodes

from hyper.common import exceptions
from hyper.common.exceptions import (
    ChunkedDecodeError,
    ConnectError,
    ConnectionLost,
    ConnectionTerminated,
    ConnectTimeout,
    DecodingError,
    HyperError,
    IncompleteRead,
    InvalidResponseError,
    LineTooLongError,
    LocalProtocolError,
    PoolTimeout,
    ProxyError,
    ProxyResponse,
    ReadTimeout,
    RemoteProtocolError,
    RequestNotProcessed,
    StreamResetError,
    Timeout,
    TLSError,
    WriteTimeout,
)
from hyper.common.headers import HTTPHeaderMap

EVERY = [
    thing
    for _, thing in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(thing, HyperError)
]


REFUSAL = ProxyResponse(407, "No", HTTPHeaderMap(via="1.1 p"), b"who are you?")


class TestTheTree:
    @pytest.mark.parametrize(
        ("error", "caught_as"),
        [
            (LocalProtocolError, ValueError),
            (InvalidResponseError, RemoteProtocolError),
            (LineTooLongError, RemoteProtocolError),
            (ChunkedDecodeError, RemoteProtocolError),
            (ConnectError, OSError),
            (TLSError, ssl.SSLError),
            (ProxyError, ConnectionError),
            (ConnectionLost, ConnectionResetError),
            (ConnectionTerminated, ConnectionLost),
            (Timeout, TimeoutError),
            (ConnectTimeout, Timeout),
            (ReadTimeout, Timeout),
            (WriteTimeout, Timeout),
            (PoolTimeout, Timeout),
            (StreamResetError, HyperError),
            (RequestNotProcessed, StreamResetError),
            (IncompleteRead, HyperError),
            (DecodingError, HyperError),
        ],
    )
    def test_an_error_is_caught_by_the_name_python_has_for_it(self, error, caught_as):
        with pytest.raises(caught_as):
            raise error("what happened")

    @pytest.mark.parametrize("error", EVERY)
    def test_every_error_says_what_it_was_given_to_say(self, error):
        assert str(error("server reset stream 5")) == "server reset stream 5"

    @pytest.mark.parametrize("error", [ConnectError, TLSError])
    def test_an_error_without_text_has_none(self, error):
        assert str(error()) == ""

    @pytest.mark.parametrize("error", EVERY)
    def test_only_what_the_server_cannot_have_acted_on_is_safe_to_retry(self, error):
        safe = {
            LocalProtocolError,
            ConnectError,
            ProxyError,
            ConnectTimeout,
            PoolTimeout,
            RequestNotProcessed,
        }
        assert error("text").retry_safe is (error in safe)


class TestWhatErrorsCarry:
    def test_the_answer_of_a_proxy(self):
        assert ProxyError("no").response is None
        assert ProxyError("no", response=REFUSAL).response is REFUSAL
        assert REFUSAL.read() == REFUSAL.read() == b"who are you?"

    def test_a_goaways_code_last_stream_and_debug_data(self):
        error = ConnectionTerminated("bye", 2, 7, b"why")
        assert (error.error_code, error.last_stream_id) == (2, 7)
        assert error.debug_data == b"why"

    def test_a_resets_stream_code_and_side(self):
        error = StreamResetError("reset", 5, 8, by_peer=False)
        assert (error.stream_id, error.error_code, error.by_peer) == (5, 8, False)
        assert StreamResetError("reset").by_peer

    def test_the_stream_that_was_not_processed(self):
        error = RequestNotProcessed("refused", 9)
        assert (error.stream_id, error.error_code) == (9, ErrorCodes.REFUSED_STREAM)
        assert error.by_peer

    def test_the_part_of_a_body_that_came(self):
        error = IncompleteRead("cut", b"part", 12)
        assert (error.partial, error.expected) == (b"part", 12)


class TestFresh:
    @pytest.mark.scenario(238)
    @pytest.mark.parametrize("error", EVERY)
    def test_a_fresh_copy_is_another_object_that_names_the_first_as_its_cause(
        self, error
    ):
        stored = error("server went away")
        first, second = stored.fresh(), stored.fresh()
        assert first is not second
        assert type(first) is type(second) is error
        assert first.__cause__ is second.__cause__ is stored
        assert str(first) == "server went away"

    @pytest.mark.parametrize(
        "stored",
        [
            ProxyError("no", REFUSAL),
            ConnectionTerminated("bye", 2, 7, b"why"),
            StreamResetError("reset", 5, 8, False),
            RequestNotProcessed("refused", 9),
            IncompleteRead("cut", b"part", 12),
        ],
    )
    @pytest.mark.parametrize(
        "copied", [HyperError.fresh, copy.copy, lambda e: pickle.loads(pickle.dumps(e))]
    )
    def test_a_copy_carries_all_that_the_error_did(self, stored, copied):
        stored.retry_safe = True
        assert vars(copied(stored)) == vars(stored)
        assert copied(stored).args == stored.args

    @pytest.mark.scenario(238, 277)
    def test_raising_a_copy_leaves_the_stored_error_without_a_traceback(self):
        stored = ConnectionLost("gone")
        for _ in range(3):
            with pytest.raises(ConnectionLost) as caught:
                raise stored.fresh()
            assert len(caught.traceback) == 1
        assert stored.__traceback__ is None
