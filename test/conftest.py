"""The fixtures that tests of more than one file use."""

from collections.abc import Iterator

import pytest
from peer import Peer

pytest_plugins = ["servers.fixtures"]


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A scripted HTTP/2 server."""
    peer = Peer()
    yield peer
    peer.close()
