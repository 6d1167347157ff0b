"""How long everything took: a line for each connection and one for each stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..trace import Record
from .terminal import human, one_line


@dataclass(slots=True)
class _Stream:
    """When an exchange began and ended, in seconds."""

    connection: int
    stream_id: int
    path: str = ""
    start: float = 0.0
    first: float | None = None
    done: float | None = None
    status: str = "-"
    size: int = 0


class Stat:
    """Collects the times of connections and streams out of records."""

    def __init__(self) -> None:
        self._steps: dict[int, dict[str, float]] = {}
        self._words: dict[int, list[str]] = {}
        self._streams: dict[tuple[int, int], _Stream] = {}

    def __call__(self, record: Record) -> None:
        """Take a record."""
        steps = self._steps.setdefault(record.connection, {})
        if not record.direction:
            steps.setdefault(record.kind, record.time)
            words = self._words.setdefault(record.connection, [])
            for name in ("protocol", "version", "cipher"):
                if name in record.detail:
                    words.append(str(record.detail[name]))
            return
        if record.kind == "SETTINGS" and record.direction == "recv":
            steps.setdefault("settings", record.time)
        if record.stream_id:
            self._take(record)

    def _take(self, record: Record) -> None:
        key = record.connection, record.stream_id
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = _Stream(*key, start=record.time)
        if record.kind == "PUSH_PROMISE":
            promise = record.connection, record.promised
            path = record.value(":path") or ""
            self._streams[promise] = _Stream(*promise, path, record.time)
            return
        if record.kind == "REQUEST":
            stream.path = (str(record.detail["start"]).split(" ") + [""])[1]
        elif record.direction == "send":
            stream.path = record.value(":path") or stream.path
        if record.direction == "recv":
            if record.kind == "RESPONSE":
                stream.status = (str(record.detail["start"]).split(" ") + ["-"])[1]
            stream.status = record.value(":status") or stream.status
            if stream.first is None and record.kind != "WINDOW_UPDATE":
                stream.first = record.time
            if record.kind in ("DATA", "BODY"):
                stream.size += record.length
            if record.ends_stream or record.kind == "RST_STREAM":
                stream.done = record.time

    def lines(self) -> Iterator[str]:
        """Yield the table: times in milliseconds since the connection was begun."""
        for number, steps in self._steps.items():
            begun = steps.get("start", 0.0)
            if len(self._steps) > 1:
                yield f"connection {number}"
            said = [
                f"{name} {(steps[name] - begun) * 1000:.1f}"
                for name in ("dns", "tcp", "proxy", "tls", "settings")
                if name in steps
            ]
            words = one_line(" ".join(self._words.get(number, [])))
            yield f"{' '.join(said)} ms  {words}"
            yield f"{'id':>5} {'start':>8} {'first':>8} {'done':>8} code     size path"
            for stream in self._streams.values():
                if stream.connection == number:
                    yield _row(stream, begun)


def _row(stream: _Stream, begun: float) -> str:
    times = " ".join(
        f"{'-' if time is None else f'{(time - begun) * 1000:.1f}':>8}"
        for time in (stream.start, stream.first, stream.done)
    )
    size = human(stream.size)
    return (
        f"{stream.stream_id:>5} {times} {one_line(stream.status):>4} {size:>8} "
        f"{one_line(stream.path)}"
    )
