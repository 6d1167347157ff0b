"""Folders are floors: what is above may use what is below, never the other way round.

And the I/O stays in the transport: everything else can be tested, and understood,
without a socket, a thread or a clock.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

import hyper

ROOT = Path(hyper.__file__).parent
FILES = {
    ".".join(("hyper", *path.relative_to(ROOT).with_suffix("").parts)): path
    for path in ROOT.rglob("*.py")
}
MODULES = {name.removesuffix(".__init__") for name in FILES}

FLOORS = {
    "version": 0,
    "common": 1,
    "transport": 2,
    "trace": 2,
    "tls": 2,  # It hands on names of the transport.
    "exchange": 3,
    "response": 3,
    "verbs": 3,
    "http11": 4,
    "http20": 4,
    "connection": 5,
    "gateway": 5,
    "pool": 6,
    "httplib_compat": 6,
    "cli": 7,
    "contrib": 7,
    "http2bin": 7,
    "__main__": 8,
    "__init__": 9,
}
IO = {"socket", "select", "selectors", "threading", "_thread", "time"}
DOES_IO = {"transport", "http2bin", "cli", "contrib"}
SANS_IO = {"hyper.transport.proxy", "hyper.http11.protocol"} | {
    f"hyper.http20.{name}"
    for name in ("window", "hpack", "dialect", "machine", "reference", "protocol")
}


def imports(module: str, source: str) -> Iterator[str]:
    """Yield the full name of every module that the source of ``module`` imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            written = "." * node.level + (node.module or "")
            origin = resolve_name(written, module.rpartition(".")[0])
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                yield inner if inner in MODULES else origin


def faults(module: str, source: str) -> list[str]:
    """Return what is wrong with the imports of ``module``, a full name."""
    package = module.split(".")[1]
    sans_io = package == "common" or module in SANS_IO
    wrong = set()
    for name in imports(module, source):
        top, _, rest = name.partition(".")
        target = rest.partition(".")[0] or "__init__"
        if top != "hyper":
            bad = top in IO and (sans_io or package not in DOES_IO)
            bad |= top == "ssl" and sans_io and module != "hyper.common.exceptions"
        elif package == "http2bin" or target == "http2bin":
            bad = package != target  # It stands apart.
        else:
            above = FLOORS[target] - FLOORS[package]
            bad = above > 0 or (above == 0 and package != target and FLOORS[target] > 3)
            bad |= sans_io and target == "transport" != package
        if bad:
            wrong.add(f"{module} must not import {name}")
    return sorted(wrong)


@pytest.mark.parametrize("module", sorted(FILES))
def test_imports_point_down_and_io_stays_in_the_transport(module):
    assert faults(module, FILES[module].read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("hyper.common.body", "import socket"),
        ("hyper.common.body", "import os.path, time"),
        ("hyper.common.body", "from threading import Lock"),
        ("hyper.common.body", "import ssl"),
        ("hyper.common.exceptions", "import select"),
        ("hyper.common.stream", "from ..transport.deadline import Deadline"),
        ("hyper.common.stream", "from .. import transport"),
        ("hyper.transport.deadline", "from ..response import Response"),
        ("hyper.transport.proxy", "import select"),
        ("hyper.response", "from .http20.protocol import H2Protocol"),
        ("hyper.response", "import threading"),
        ("hyper.exchange", "def later():\n    from time import sleep"),
        ("hyper.http11.protocol", "from ..transport import deadline"),
        ("hyper.http11.connection", "from ..http20 import protocol"),
        ("hyper.http11.connection", "from ..http20.protocol import H2Protocol"),
        ("hyper.http20.window", "import _thread"),
        ("hyper.http20.connection", "from hyper.http11.protocol import H11Protocol"),
        ("hyper.http20.connection", "import hyper.http11.protocol"),
        ("hyper.http20.connection", "from ..connection import HTTPConnection"),
        ("hyper.http20.connection", "from .. import HTTPConnection"),
        ("hyper.http20.connection", "import hyper"),
        ("hyper.connection", "from . import pool"),
        ("hyper.pool", "from .cli.main import main"),
        ("hyper.cli.main", "from ..contrib.requests import HTTP20Adapter"),
        ("hyper.http2bin.server", "from ..common.headers import HTTPHeaderMap"),
        ("hyper.http2bin.__init__", "from ..version import __version__"),
    ],
)
def test_a_wrong_import_is_found(module, source):
    assert len(faults(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("hyper.common.exceptions", "import ssl"),
        ("hyper.common.body", "import io\nfrom .exceptions import HyperError"),
        (
            "hyper.transport.tls",
            "import threading\nfrom ..common import exceptions",
        ),
        ("hyper.transport.dial", "from .tls import TLSFilter"),
        ("hyper.exchange", "import ssl\nfrom .response import Line"),
        ("hyper.response", "from .transport import dial"),
        ("hyper.http20.connection", "from ..exchange import Connection"),
        ("hyper.http20.protocol", "from .window import STREAM_WINDOW"),
        (
            "hyper.connection",
            "from .http11 import protocol",
        ),
        (
            "hyper.http2bin.server",
            "import time\nfrom .wire import x",
        ),
        ("hyper.__init__", "from .connection import HTTPConnection"),
        ("hyper.cli.main", "import hyper.connection\nimport time"),
    ],
)
def test_a_right_import_is_not_complained_of(module, source):
    assert faults(module, source) == []
