"""A virtual environment for each peer, made when it is first needed.

Peers get in each other's way: urllib3-future takes the place of urllib3 wherever both
are. hyper and the standard library run in the environment of `make bench`, hyper inside
of other libraries in theirs, with the working copy on PYTHONPATH.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
PLACE = HERE / ".venvs"
#: The environment that runs this.
OWN = "own"


class Missing(Exception):
    """A peer could not be installed; the message says why."""


def python_of(name: str) -> str:
    """Return the Python with what `requirements-NAME.txt` pins.

    :raises Missing: if that cannot be installed.
    """
    if name == OWN:
        return sys.executable
    wanted = (HERE / f"requirements-{name}.txt").read_bytes() + sys.version.encode()
    digest = hashlib.sha256(wanted).hexdigest()
    home = PLACE / name
    python, stamp = home / "bin" / "python", home / "installed"
    if not stamp.exists() or stamp.read_text() != digest:
        print(f"Installing {name} ...", file=sys.stderr)
        install(name, home)
        stamp.write_text(digest)
    return str(python)


def install(name: str, home: Path) -> None:
    venv.create(home, clear=True, with_pip=True, symlinks=True)
    command = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    command += ["-r", str(HERE / f"requirements-{name}.txt")]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line]
        raise Missing(f"{name} cannot be installed: {(lines or ['?'])[-1]}")


def pins(name: str) -> list[str]:
    """Return what an environment has that is pinned: "DISTRIBUTION VERSION" each."""
    if name == OWN:
        return []
    lines = (HERE / f"requirements-{name}.txt").read_text().splitlines()
    return [line.replace("==", " ") for line in lines if not line.startswith("#")]
