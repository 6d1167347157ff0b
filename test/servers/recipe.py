"""What has to be known of a server program in order to run it: data, and no more.

Nine programs differ in their configuration and in hardly anything else, so each is a
`Recipe` in a module of its own and `realserver` is the only code that starts, watches
and ends processes. A recipe's ``prepare`` is a function of a `Place`: it writes the
configuration into the place's directory and returns the commands to run. It neither
starts anything nor picks a port.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .authority import Authority

FEATURES: Mapping[str, str] = {
    "h2": "HTTP/2 by ALPN on the TLS port",
    "h2c": "HTTP/2 with prior knowledge on the cleartext port",
    "h1": "HTTP/1.1 on a cleartext port",
    "h1-tls": "a TLS port which offers http/1.1 alone",
    "conditional": "GET /hello with its validator gives 304",
    "download": "GET /10mb",
    "upload": "POST /upload reads the whole body and answers",
    "upload-digest": "... and says in JSON its length and sha256",
    "echo": "GET /echo/<text> gives <text>",
    "echo-body": "POST /echo gives the request's body",
    "gzip": "GET /text is gzip-encoded for a client that accepts it",
    "slow": "GET /slow answers after half a second",
    "never": "GET /never gives a byte every fifth of a second, for ever",
    "trailers": "GET /trailers with 'te: trailers' ends with 'x-trailer: yes'",
    "early-hints": "GET /early-hints gives 103 before 200",
    "count": "POST /count/<id> is counted, GET /count tells the counts in JSON",
    "count-kept": "... and the counts outlive restart() and reload()",
    "max-streams": "start(max_concurrent_streams=...) is obeyed",
    "keepalive-requests": "start(keepalive_requests=...) is obeyed on HTTP/2",
    "keepalive-requests-h1": "... is obeyed on HTTP/1.1",
    "reload": "reload() replaces the workers gracefully",
    "websocket": "CONNECT /websocket with :protocol websocket echoes messages",
    "push": "GET /pushing promises /hello to a client that allows pushes",
}
"""Each behaviour that a server may offer, by the word for it in `Recipe.cannot`."""

PROXY_FEATURES: Mapping[str, str] = {
    "connect": "CONNECT to any port of the loopback",
    "forward": "requests for http URLs are passed on",
    "tls": "the same on a TLS port",
    "socks4": "SOCKS4 to addresses",
    "socks5": "SOCKS5 to addresses and names",
    "auth": "a port that wants USERNAME and PASSWORD",
    "tls-auth": "a TLS port that wants them",
}
"""The same for proxies."""

USERNAME, PASSWORD = "alice", "sesame"

PORT_NAMES = (
    *("tls", "h2c", "h1", "h1_tls"),
    *("proxy", "proxy_auth", "proxy_tls", "proxy_tls_auth"),
)


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one server on 127.0.0.1; None is "does not listen so".

    ``h2c`` and ``h1`` are the same number where one port understands both.
    """

    tls: int | None = None
    h2c: int | None = None
    h1: int | None = None
    h1_tls: int | None = None
    proxy: int | None = None
    proxy_auth: int | None = None
    proxy_tls: int | None = None
    proxy_tls_auth: int | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What a test may ask of a server; None leaves the server's own default."""

    max_concurrent_streams: int | None = None
    keepalive_requests: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """All that a recipe may know when it writes a configuration."""

    program: str
    directory: Path
    docroot: Path
    ports: Ports
    authority: Authority
    backend_port: int | None
    options: Options

    @property
    def backend(self) -> str:
        """The URL of the backend, without a slash at its end."""
        return f"http://127.0.0.1:{self.backend_port}"

    def write(self, name: str, text: str) -> Path:
        """Write a configuration file into the directory and return its path."""
        path = self.directory / name
        path.write_text(text)
        return path


@dataclass(frozen=True, slots=True)
class Reload:
    """A graceful reload: the signal, and the words in the log that tell its end.

    The words must be logged once per reload and no earlier than the new workers
    accept: `RealServer.reload` waits until they are there once more than before.
    """

    signal: signal.Signals
    words: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to run one server program.

    ``find`` returns the program to run, or None when it is absent; ``package`` says
    what to install then. Every group of ``ports`` is one listening port: a tuple of
    the names (fields of `Ports`) under which it is known. ``cannot`` gives for each
    of `FEATURES`, or of ``words``, that is not offered the reason, for a test to skip
    with.
    ``ready_words`` have to be in the log, too, of a server that is ready.
    ``public_docroot`` is for a program whose workers always run as another user than
    root: under root its document root lies where everybody may read it.
    """

    name: str
    package: str
    find: Callable[[], str | None]
    prepare: Callable[[Place], Sequence[Sequence[str]]]
    ports: tuple[tuple[str, ...], ...]
    cannot: Mapping[str, str] = field(default_factory=dict)
    needs_backend: bool = False
    ready_words: str = ""
    public_docroot: bool = False
    reload: Reload | None = None
    words: Mapping[str, str] = field(default_factory=lambda: FEATURES)

    def __post_init__(self) -> None:
        unknown = self.cannot.keys() - self.words.keys()
        assert not unknown, f"{self.name}: no such feature: {sorted(unknown)}"

    @property
    def features(self) -> frozenset[str]:
        return frozenset(self.words) - self.cannot.keys()


def program(*names: str) -> Callable[[], str | None]:
    """Return a finder of the first of these programs.

    The sbin directories are searched too: a user who is not root has them not in
    PATH, and that is where Debian puts most servers.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

    def find() -> str | None:
        return next(
            filter(None, (shutil.which(name, path=path) for name in names)), None
        )

    return find


def python_package(name: str) -> Callable[[], str | None]:
    """Return a finder of an importable package; what it finds is the package's name."""

    def find() -> str | None:
        return name if importlib.util.find_spec(name) is not None else None

    return find
