"""Say where and with what figures were measured: they mean nothing without."""

from __future__ import annotations

import os
import platform
import re
import ssl
import subprocess
import time
from importlib.metadata import version


def describe(*more: str) -> str:
    """Return the date, the machine, the versions of what hyper stands on, and more."""
    facts = [
        time.strftime("%Y-%m-%d"),
        f"{platform.machine()}, {os.cpu_count()} CPUs",
        f"CPython {platform.python_version()}",
        ssl.OPENSSL_VERSION,
        f"h2 {version('h2')}",
    ]
    return ", ".join([*facts, *more])


def version_of(program: str, flag: str = "-v") -> str:
    """Return what a program calls itself, and its version."""
    told = subprocess.run([program, flag], check=True, capture_output=True, text=True)
    number = re.search(r"\d+(\.\d+)+", told.stdout + told.stderr)
    return f"{os.path.basename(program)} {number[0] if number else '?'}"
