"""TLS for users: hands on what :mod:`hyper.transport.tls` has."""

from __future__ import annotations

from .transport.tls import init_context

__all__ = ["init_context"]
