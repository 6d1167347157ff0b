"""hyper inside other libraries.

Each is in a module of its own, named after the library that it is for. None is imported
before somebody asks for it: ``import hyper.contrib`` needs none of the libraries.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .httpie import HTTP2TransportPlugin, HTTPTransportPlugin
    from .httpx import HyperTransport
    from .requests import HTTP20Adapter

__all__ = [
    "HTTP2TransportPlugin",
    "HTTP20Adapter",
    "HTTPTransportPlugin",
    "HyperTransport",
]

#: The module that each name is in.
_HOMES = {
    "HTTP20Adapter": "requests",
    "HTTP2TransportPlugin": "httpie",
    "HTTPTransportPlugin": "httpie",
    "HyperTransport": "httpx",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value  # The next time it is found without this function.
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
