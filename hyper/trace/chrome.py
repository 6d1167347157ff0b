"""A trace for the viewers of Chrome (``chrome://tracing``) and Perfetto.

It is in the Trace Event Format: a connection is a process, a stream a thread of it, an
exchange a slice, a frame an instant, and each window a counter, so that a stall is a
line that lies at zero.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from .exchanges import Exchange, exchanges
from .record import Record


def events(records: Sequence[Record], started: datetime) -> Iterator[str]:
    """Yield the text of the file."""
    lines = [*map(_name, _starts(records)), *map(_slice, exchanges(records))]
    for record in records:
        lines.append(_instant(record))
        lines += _counters(record)
    yield '{"traceEvents":[\n'
    yield ",\n".join(json.dumps(one, separators=(",", ":")) for one in lines)
    about = json.dumps({"started": started.isoformat()})
    yield f'\n],"displayTimeUnit":"ms","otherData":{about}}}\n'


def _starts(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.kind == "start"]


def _name(record: Record) -> dict[str, object]:
    return {
        "ph": "M",
        "name": "process_name",
        "pid": record.connection,
        "args": {"name": str(record.detail.get("origin", record.connection))},
    }


def _slice(exchange: Exchange) -> dict[str, object]:
    return {
        "ph": "X",
        "name": f"{exchange.method} {exchange.path}",
        "cat": "exchange",
        "pid": exchange.connection,
        "tid": exchange.stream_id,
        "ts": _micro(exchange.start),
        "dur": _micro(exchange.end - exchange.start),
        "args": {"status": exchange.status, "size": exchange.received},
    }


def _instant(record: Record) -> dict[str, object]:
    name = f"{record.direction} {record.kind}".strip()
    arguments: dict[str, object] = {"length": record.length, **record.detail}
    if record.flags:
        arguments["flags"] = "|".join(record.flags)
    if record.fields:
        arguments["fields"] = [f"{one.name}: {one.value}" for one in record.fields]
    return {
        "ph": "i",
        "s": "t",
        "name": name,
        "cat": record.direction or "connection",
        "pid": record.connection,
        "tid": record.stream_id,
        "ts": _micro(record.time),
        "args": arguments,
    }


def _counters(record: Record) -> list[dict[str, object]]:
    windows = record.windows
    if windows is None:
        return []
    # Who may send: the sender of DATA, or the receiver of WINDOW_UPDATE.
    theirs = (record.direction == "recv") == (record.kind == "DATA")
    whose = "server" if theirs else "client"
    left = {"connection": windows.connection}
    made = [_counter(record, f"{whose} may send", left)]
    if windows.stream is not None:
        name = f"{whose} may send on {record.stream_id}"
        made.append(_counter(record, name, {"stream": windows.stream}))
    return made


def _counter(record: Record, name: str, left: dict[str, int]) -> dict[str, object]:
    return {
        "ph": "C",
        "name": name,
        "pid": record.connection,
        "ts": _micro(record.time),
        "args": left,
    }


def _micro(seconds: float) -> float:
    return round(seconds * 1e6, 1)
