"""The pytest fixtures of the real servers; a plugin that test/conftest.py names.

    @pytest.mark.parametrize("name", SERVERS)
    def test_says_hello(real_server, name):
        server = real_server(name, "h2", "echo")

starts the server in the first test that asks for it and ends it with the session; a
server that does not offer what was asked for skips the test and says why. A test
that restarts, reloads or configures a server takes `fresh_server` and gets its own.

A server that is not installed skips the test too, unless HYPER_REQUIRE_SERVERS=1 is
in the environment, as where all of them are known to be installed: then it fails.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NoReturn

import pytest

from . import RECIPES, start
from .authority import Authority, make_authority
from .realserver import RealServer, ServerFailed, ServerMissing


class SharedServers:
    """Call it with the name of a server and the features the test needs."""

    def __init__(self, ca: Authority, directories: pytest.TempPathFactory) -> None:
        self._ca = ca
        self._directories = directories
        self._running: dict[str, RealServer] = {}
        # A server that failed once fails at once the next time.
        self._failed: dict[str, ServerFailed] = {}

    def __call__(self, name: str, *features: str) -> RealServer:
        skip_without(name, features)
        if name in self._failed:
            raise self._failed[name]
        if name not in self._running:
            try:
                self._running[name] = start(
                    name, tmp_path=self._directories.mktemp(name), ca=self._ca
                )
            except ServerMissing as missing:
                skip_or_fail(missing)
            except ServerFailed as failed:
                self._failed[name] = failed
                raise
        server = self._running[name]
        assert server.running, f"{name} died under an earlier test:\n{server.log()}"
        return server

    def stop(self) -> None:
        with ExitStack() as stack:
            for server in self._running.values():
                stack.callback(server.stop)


class FreshServers:
    """Call it with a name, the features needed and the options of `servers.start`."""

    def __init__(self, ca: Authority, directories: pytest.TempPathFactory) -> None:
        self._ca = ca
        self._directories = directories
        self._stack = ExitStack()

    def __call__(
        self,
        name: str,
        *features: str,
        max_concurrent_streams: int | None = None,
        keepalive_requests: int | None = None,
    ) -> RealServer:
        skip_without(name, features)
        try:
            server = start(
                name,
                tmp_path=self._directories.mktemp(name),
                ca=self._ca,
                max_concurrent_streams=max_concurrent_streams,
                keepalive_requests=keepalive_requests,
            )
        except ServerMissing as missing:
            skip_or_fail(missing)
        return self._stack.enter_context(server)

    def stop(self) -> None:
        self._stack.close()


def skip_without(name: str, features: tuple[str, ...]) -> None:
    """Skip the test when the server does not offer one of the features."""
    for feature in features:
        if feature not in RECIPES[name].features:
            pytest.skip(f"{name}, {feature}: {RECIPES[name].cannot[feature]}")


def skip_or_fail(missing: ServerMissing) -> NoReturn:
    if os.environ.get("HYPER_REQUIRE_SERVERS") == "1":
        pytest.fail(str(missing))
    pytest.skip(str(missing))


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that issued the certificate of every server of the session."""
    return make_authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def real_server(
    ca: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SharedServers]:
    """A factory of servers that all tests of the session share."""
    shared = SharedServers(ca, tmp_path_factory)
    yield shared
    shared.stop()


@pytest.fixture
def fresh_server(
    ca: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FreshServers]:
    """A factory of servers of this test alone, which it may restart and reload."""
    fresh = FreshServers(ca, tmp_path_factory)
    yield fresh
    fresh.stop()
