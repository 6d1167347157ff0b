"""The command in a process of its own, without the time that Python takes to start.

A *zygote* imports hyper once and forks for each command line, so that the command has
its own descriptors, its own environment and directory, its own signals, and ends by the
exit status of a process; hundreds of them take a few seconds.

The zygote is this very file, run as a program. It has no thread, so that it may fork.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

#: Seconds that a command may take.
PATIENCE = 30.0


@dataclass(frozen=True)
class Result:
    """What a run of the command left behind."""

    status: int
    out: bytes
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


class Running:
    """A command that runs."""

    def __init__(self, control: socket.socket, pid: int) -> None:
        self._control = control
        self.pid = pid

    def interrupt(self) -> None:
        """Do what Ctrl-C does."""
        os.kill(self.pid, signal.SIGINT)

    def wait(self) -> int:
        """Return the exit status, negative for a signal, as subprocess does."""
        return int(self._control.recv(64))


class Shell:
    """Runs command lines that begin with ``hyper``, one at a time.

    :param environment: of every command.
    :param directory: where they run.
    """

    def __init__(self, environment: Mapping[str, str], directory: Path) -> None:
        self.environment = dict(environment)
        self.directory = directory
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(PATIENCE)
        with theirs:
            self._zygote = subprocess.Popen(
                [sys.executable, "-W", "error", __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
            )

    def close(self) -> None:
        self._control.close()
        self._zygote.wait()

    def start(
        self, line: str, stdin: int, stdout: int, stderr: int, **env: str
    ) -> Running:
        """Start a command line with these descriptors."""
        name, *words = shlex.split(line)
        assert name == "hyper", line
        measuring = {"HYPER_COVERAGE": "1"} if "COVERAGE_RUN" in os.environ else {}
        order = {
            "words": words,
            "environment": {**self.environment, **measuring, **env},
            "directory": str(self.directory),
        }
        message = json.dumps(order).encode()
        socket.send_fds(self._control, [message], [stdin, stdout, stderr])
        return Running(self._control, int(self._control.recv(64)))

    def run(self, line: str, stdin: bytes = b"", **env: str) -> Result:
        """Run a command line to its end, with files for its output."""
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
            files[0].write(stdin)
            files[0].seek(0)
            status = self.start(line, *(file.fileno() for file in files), **env).wait()
            files[1].seek(0)
            files[2].seek(0)
            return Result(status, files[1].read(), files[2].read().decode())

    def show(self, line: str, **env: str) -> tuple[int, str]:
        """Run a command line on a terminal; return its status and what that got."""
        ours, theirs = pty.openpty()
        try:
            try:
                running = self.start(line, theirs, theirs, theirs, **env)
            finally:
                os.close(theirs)
            shown = b""
            with contextlib.suppress(OSError):  # EIO: nobody has it open any more
                while piece := os.read(ours, 65536):
                    shown += piece
            return running.wait(), shown.decode().replace("\r\n", "\n")
        finally:
            os.close(ours)


@contextlib.contextmanager
def shell(environment: Mapping[str, str], directory: Path) -> Iterator[Shell]:
    """Have a shell for as long as the block runs."""
    with contextlib.closing(Shell(environment, directory)) as made:
        yield made


def breed(control: socket.socket) -> None:
    """Fork for each command that is asked for, until nobody asks."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1 << 20, 3)
        if not message:
            return
        pid = os.fork()
        if not pid:
            become(control, json.loads(message), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        control.send(str(os.waitstatus_to_exitcode(status)).encode())


def become(
    control: socket.socket, order: Mapping[str, Any], descriptors: list[int]
) -> NoReturn:
    """Be the command."""
    control.close()
    os.setsid()
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["directory"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from hyper.cli import main

    measuring = measure()
    try:
        status = main(order["words"])
    except SystemExit as exit:
        status = int(exit.code or 0)
    finally:
        # As an interpreter does it that ends, but for taking itself apart.
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        sys.stderr.flush()
        if measuring is not None:
            warnings.simplefilter("ignore")  # hyper was imported before.
            measuring.stop()
            measuring.save()
    os._exit(status)


def measure() -> Any:
    """Measure what is run, if the tests are; a child does not go on with it."""
    if "HYPER_COVERAGE" not in os.environ:
        return None
    import coverage

    root = Path(__file__).parent.parent
    measuring = coverage.Coverage(
        data_file=str(root / ".coverage"),
        data_suffix=True,
        config_file=str(root / "pyproject.toml"),
    )
    measuring.start()
    return measuring


if __name__ == "__main__":
    import hyper.cli  # noqa: F401  so that no child has to

    with socket.socket(fileno=int(sys.argv[1])) as control:
        breed(control)
