"""What was worked out once, kept for the next time, within a bound."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def keep(kept: dict[K, V], key: K, value: V, limit: int) -> None:
    """Keep what was worked out; if that is too much, forget what was before.

    Threads may do so at once: there may be a few too many then, and none is wrong.
    """
    if len(kept) >= limit:
        kept.clear()
    kept[key] = value
