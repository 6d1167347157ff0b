"""A server program as a child process: started, found ready, restarted, ended.

Forces. A server is ready when it accepts, and says so in nine different ways or not
at all; so it is asked, by connecting until it accepts, while the child is watched so
that one that died is reported with its log at once. The system picks the ports, yet
they have to be the server's in a moment, and again after a restart; so a socket that
never listens is bound to each port for as long as the server object lives. All nine
programs set SO_REUSEADDR, with which Linux lets them bind beside it, and nobody else
is given the port. (To pick a port, let it go and try again when it was lost does not
do: connecting then finds the listener of another program, and takes the server for
ready.) Servers fork workers; so each child leads a process group of its own and the
group is killed after its leader has ended.

Nothing here is thread-safe: a server belongs to the thread of its test.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from .content import write_files
from .recipe import PORT_NAMES, Options, Place, Ports, Recipe

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .authority import Authority

ADDRESS = "127.0.0.1"
READY_SECONDS = 20.0
STOP_SECONDS = 5.0

# One Event that is never set, to wait a given time on.
NEVER = threading.Event()


class ServerMissing(Exception):
    """The program of a server is not installed here."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class ServerFailed(Exception):
    """A server did not start, stop or reload; the message ends with its log."""


class RealServer:
    """One running server. Make it with `servers.start`; it is a context manager.

    ``host`` is the name to connect to and the one in the certificate. ``tls_port``,
    ``h2c_port``, ``h1_port`` and ``h1_tls_port`` are None where the server does not
    listen so; the first speaks h2 and http/1.1 by ALPN, the others what they are
    called (``h2c_port`` with prior knowledge; it may be the same port as
    ``h1_port``). Those of a proxy are in ``ports``; the backend, which it can be asked
    for and which speaks HTTP/1.1, is at ``backend_port``. ``ca_file`` is the path of
    the authority to trust. ``features`` are words of the recipe's; ``cannot`` has the
    reason for each other word.
    """

    host = "localhost"

    def __init__(
        self,
        recipe: Recipe,
        program: str,
        home: Path,
        authority: Authority,
        options: Options,
    ) -> None:
        self.name = recipe.name
        self.recipe = recipe
        self.features = recipe.features
        self.cannot = recipe.cannot
        self.ca_file = authority.ca_file
        self.directory = home
        self._children: list[subprocess.Popen[bytes]] = []
        self._cleanup = ExitStack()
        try:
            self.docroot = docroot = self._make_docroot()
            write_files(docroot)
            self.backend_port = (
                self._start_backend(docroot) if recipe.needs_backend else None
            )
            self.ports = self._reserve_ports()
            self._commands = recipe.prepare(
                Place(
                    program,
                    home,
                    docroot,
                    self.ports,
                    authority,
                    self.backend_port,
                    options,
                )
            )
            self._start()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<RealServer {self.name} {self.ports}>"

    @property
    def tls_port(self) -> int | None:
        return self.ports.tls

    @property
    def h2c_port(self) -> int | None:
        return self.ports.h2c

    @property
    def h1_port(self) -> int | None:
        return self.ports.h1

    @property
    def h1_tls_port(self) -> int | None:
        return self.ports.h1_tls

    @property
    def pid(self) -> int:
        """The process id of the (first) child, for a server that is running."""
        return self._children[0].pid

    @property
    def running(self) -> bool:
        """Whether every child of the server is alive."""
        return bool(self._children) and all(
            child.poll() is None for child in self._children
        )

    def url(self, path: str = "/") -> str:
        """Return the https URL of a path, on the port that speaks h2 by ALPN."""
        return self._url("https", self.ports.tls, path)

    def h2c_url(self, path: str = "/") -> str:
        """Return the http URL of a path, on the port for h2 with prior knowledge."""
        return self._url("http", self.ports.h2c, path)

    def h1_url(self, path: str = "/") -> str:
        """Return the http URL of a path, on a port that speaks HTTP/1.1."""
        return self._url("http", self.ports.h1, path)

    def h1_tls_url(self, path: str = "/") -> str:
        """Return the https URL of a path, on the port that offers http/1.1 alone."""
        return self._url("https", self.ports.h1_tls, path)

    def proxy_url(self, scheme: str, credentials: str | None = None) -> str:
        """Return the URL of a proxy.

        It is on the port with TLS for ``https``, and on the one that wants credentials
        if some are given, ``user:password``, or ``""``, which are none.
        """
        secure, closed = scheme == "https", credentials is not None
        if secure:
            port = self.ports.proxy_tls_auth if closed else self.ports.proxy_tls
        else:
            port = self.ports.proxy_auth if closed else self.ports.proxy
        url = self._url(scheme, port, "")
        return url.replace("://", f"://{credentials}@") if credentials else url

    def restart(self) -> None:
        """Kill the server and start it again, ready, on the same ports.

        It is killed with SIGKILL, so that no connection hears a goodbye. The backend,
        where there is one, and its counts live on.
        """
        self._end(hard=True)
        self._start()

    def reload(self) -> None:
        """Have the server replace its workers gracefully; return when it has begun.

        The new workers accept by then and the old ones have been told to finish what
        they have. Raises ServerFailed when that takes too long, and AssertionError
        for a server without the feature "reload".
        """
        reload = self.recipe.reload
        assert reload is not None, f"{self.name}: {self.cannot['reload']}"
        before = self._count_in_log(reload.words)
        os.kill(self.pid, reload.signal)
        self._wait_until(lambda: self._count_in_log(reload.words) > before, "reloaded")

    def stop(self) -> None:
        """End the server, its backend and what was made for it. Idempotent.

        It gets SIGTERM and five seconds; after that its whole group is killed.
        """
        try:
            self._end(hard=False)
        finally:
            self._cleanup.close()

    def log(self) -> str:
        """Return all the server wrote to its output and its log files so far."""
        parts = []
        for path in sorted(self.directory.glob("*.log")):
            text = path.read_text(errors="replace")
            if text:
                parts.append(f"--- {path}\n{text}")
        return "\n".join(parts)

    # Starting

    def _make_docroot(self) -> Path:
        if self.recipe.public_docroot and os.geteuid() == 0:
            # pytest's directories are closed to all but their owner.
            docroot = Path(tempfile.mkdtemp(prefix=f"hyper-{self.name}-"))
            docroot.chmod(0o755)
        else:
            docroot = self.directory / "docroot"
            docroot.mkdir()
        # Removed at the end, for pytest keeps the directories of three sessions.
        self._cleanup.callback(shutil.rmtree, docroot, ignore_errors=True)
        return docroot

    def _reserve_ports(self) -> Ports:
        """Return a port for each group of names; no other program gets them."""
        numbers: dict[str, int] = {}
        for names in self.recipe.ports:
            reservation = socket.socket()
            self._cleanup.callback(reservation.close)
            reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reservation.bind((ADDRESS, 0))
            numbers.update(dict.fromkeys(names, reservation.getsockname()[1]))
        return Ports(**numbers)

    def _start_backend(self, docroot: Path) -> int:
        script = Path(__file__).with_name("backend.py")
        with socket.create_server((ADDRESS, 0), backlog=128) as listener:
            port: int = listener.getsockname()[1]
            # -I: the modules beside the script must not hide those of that name.
            command = [sys.executable, "-I", str(script), "--docroot", str(docroot)]
            command += ["--listener", str(listener.fileno())]
            child = self._spawn(command, "backend.log", [listener.fileno()])
        self._cleanup.callback(end_child, child, hard=True)
        return port

    def _start(self) -> None:
        # What an earlier start logged does not count.
        words_before = self._count_in_log(self.recipe.ready_words)
        for command in self._commands:
            self._children.append(self._spawn(command, "output.log"))
        try:
            self._wait_until(
                lambda: self._is_ready(words_before), "ready", self._check_alive
            )
        except BaseException:
            self._end_children(hard=True)
            raise

    def _spawn(
        self, command: Sequence[str], log_name: str, descriptors: Sequence[int] = ()
    ) -> subprocess.Popen[bytes]:
        here = str(self.directory)
        environment = {
            **os.environ,
            # Whatever a server would like to keep, it keeps in its own directory.
            **dict.fromkeys(["HOME", "TMPDIR"], here),
            **dict.fromkeys(["XDG_CONFIG_HOME", "XDG_DATA_HOME"], here),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
        }
        with open(self.directory / log_name, "ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=environment,
                pass_fds=descriptors,
                start_new_session=True,
            )

    def _check_alive(self) -> None:
        for child in self._children:
            if child.poll() is not None:
                self._fail(f"ended with status {child.returncode}")

    def _is_ready(self, words_before: int) -> bool:
        words = self.recipe.ready_words
        if words and self._count_in_log(words) == words_before:
            return False
        return all(accepts(port) for port in self._port_numbers())

    def _count_in_log(self, words: str) -> int:
        return self.log().count(words) if words else 0

    def _port_numbers(self) -> list[int]:
        numbers = (getattr(self.ports, name) for name in PORT_NAMES)
        return sorted({number for number in numbers if number is not None})

    # Ending

    def _end(self, *, hard: bool) -> None:
        if self._children:
            self._end_children(hard=hard)
            # A worker may hold the ports for a moment longer than its master lived.
            self._wait_until(self._refuses_on_every_port, "gone")

    def _end_children(self, *, hard: bool) -> None:
        while self._children:
            end_child(self._children.pop(), hard=hard)

    def _refuses_on_every_port(self) -> bool:
        return not any(accepts(port) for port in self._port_numbers())

    # Both

    def _wait_until(
        self,
        happened: Callable[[], bool],
        state: str,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not happened():
            check()
            if time.monotonic() > deadline:
                self._fail(f"not {state} after {READY_SECONDS:g} seconds")
            NEVER.wait(0.02)
        check()

    def _fail(self, what: str) -> None:
        raise ServerFailed(f"{self.name}: {what}; its log:\n{self.log()}")

    def _url(self, scheme: str, port: int | None, path: str) -> str:
        assert port is not None, f"{self.name} has no such port"
        return f"{scheme}://{self.host}:{port}{path}"


def accepts(port: int) -> bool:
    """Return whether a server accepts on the port of the loopback."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        try:
            probe.connect((ADDRESS, port))
        except OSError:
            return False
        # A port that nobody has reserved may be the one that connect() picks for its
        # own end: TCP's simultaneous open then connects the socket to itself.
        itself: bool = probe.getsockname() == probe.getpeername()
        return not itself


def end_child(child: subprocess.Popen[bytes], *, hard: bool) -> None:
    """End a child that leads a process group, and all of the group."""
    if hard:
        kill_group(child.pid)
    else:
        child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        kill_group(child.pid)
        child.wait()
    # Workers that outlived their master. While one lives the number stays theirs; and
    # init reaps them, in its own time.
    kill_group(child.pid)


def kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        # Nobody of the group is left.
        pass
