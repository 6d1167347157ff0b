"""Names that code written for older versions imports from here."""

from __future__ import annotations

from .protocol import HTTPVersion

__all__ = ["HTTPVersion"]
