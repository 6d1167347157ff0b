"""Traces in files: four kinds, told apart by their suffixes.

``.jsonl`` is the trace itself: a line of JSON for each record, after one that says when
it began. It can be read back, so the other three can be made of it later.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from .record import Detail, Field, Record, Table, Windows

#: Makes the text of a file out of records and the time when they began.
Writer = Callable[[Sequence[Record], datetime], Iterable[str]]


def save(
    records: Sequence[Record],
    path: str | os.PathLike[str],
    started: datetime | None = None,
) -> None:
    """Write records to a file.

    :param path: its suffix says what to write: ``.jsonl`` the records; ``.html`` a page
        that shows them in any browser, without a network; ``.json`` a trace for
        Chrome's and Perfetto's viewers; ``.har`` an archive of requests and responses
        (HAR 1.2).
    :param started: when the trace began. None: now.
    :raises OSError: if it cannot be written.
    :raises ValueError: if its suffix is none of these.
    """
    write = writer(path)
    began = datetime.now(timezone.utc) if started is None else started
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(write(records, began))


def load(path: str | os.PathLike[str]) -> tuple[list[Record], datetime]:
    """Return the records of a ``.jsonl`` file, and when the trace began.

    :raises OSError: if it cannot be read.
    :raises ValueError: if it is no such file.
    """
    with open(path, encoding="utf-8") as file:
        try:
            started = datetime.fromisoformat(json.loads(file.readline())["started"])
            return [_record(json.loads(line)) for line in file], started
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ValueError(f"{os.fspath(path)} is no trace: {error}") from error


def writer(path: str | os.PathLike[str]) -> Writer:
    """Return what writes a file of this name.

    :raises ValueError: if its suffix is none of the four.
    """
    suffix = os.path.splitext(os.fspath(path))[1]
    if suffix == ".jsonl":
        return lines
    if suffix == ".html":
        from .waterfall import page

        return page
    if suffix == ".json":
        from .chrome import events

        return events
    if suffix == ".har":
        from .har import archive

        return archive
    raise ValueError(
        f"{os.fspath(path)!r} says not what to write: .jsonl, .html, .json or .har"
    )


def lines(records: Sequence[Record], started: datetime) -> Iterator[str]:
    """Yield the lines of a ``.jsonl`` file."""
    yield json.dumps({"hyper": 1, "started": started.isoformat()}) + "\n"
    for record in records:
        yield line(record)


def line(record: Record) -> str:
    """Return a record as a line of JSON, without what is empty."""
    found = {name: value for name, value in asdict(record).items() if value}
    found["time"] = record.time
    if record.payload:
        found["payload"] = base64.b64encode(record.payload).decode("ascii")
    return json.dumps(found, separators=(",", ":")) + "\n"


# What was read may be anybody's, so each value is looked at before others rely on it.


def _record(found: object) -> Record:
    """Return the record that :func:`line` has written; TypeError, KeyError: it is none.

    ValueError, if a number or the payload is none.
    """
    return Record(**_values(found, _RECORD))


def _values(found: object, readers: Mapping[str, Callable[[object], Any]]) -> Any:
    if not isinstance(found, dict):
        raise TypeError(f"{found!r} has no names")
    return {name: readers[name](value) for name, value in found.items()}


def _text(found: object) -> str:
    if not isinstance(found, str):
        raise TypeError(f"{found!r} is no text")
    return found


def _number(found: object) -> int:
    if not isinstance(found, int) or not -(2**63) < found < 2**63:
        raise TypeError(f"{found!r} is no number")
    return found


def _seconds(found: object) -> float:
    if not isinstance(found, (int, float)) or not 0 <= found < 1e9:
        raise TypeError(f"{found!r} is no time")
    return found


def _detail(found: object) -> Detail:
    return found if isinstance(found, str) else _number(found)


def _list(found: object) -> list[object]:
    if not isinstance(found, list):
        raise TypeError(f"{found!r} is no list")
    return found


def _details(found: object) -> dict[str, Detail]:
    if not isinstance(found, dict):
        raise TypeError(f"{found!r} has no names")
    return {name: _detail(value) for name, value in found.items()}


def _field(found: object) -> Field:
    return Field(**_values(found, _FIELD))


def _windows(found: object) -> Windows:
    return Windows(**_values(found, _WINDOWS))


def _entry(found: object) -> tuple[str, str]:
    name, value = _list(found)
    return _text(name), _text(value)


def _table(found: object) -> Table:
    return Table(**_values(found, _TABLE))


_FIELD = {"name": _text, "value": _text, "how": _text, "size": _number}
_WINDOWS = {
    "stream": lambda found: None if found is None else _number(found),
    "stream_size": lambda found: None if found is None else _number(found),
    "connection": _number,
    "connection_size": _number,
}
_TABLE = {
    "size": _number,
    "limit": _number,
    "entries": lambda found: tuple(map(_entry, _list(found))),
}
_RECORD: dict[str, Callable[[object], Any]] = {
    "time": _seconds,
    "connection": _number,
    "kind": _text,
    "direction": _text,
    "stream_id": _number,
    "length": _number,
    "flags": lambda found: tuple(map(_text, _list(found))),
    "fields": lambda found: tuple(map(_field, _list(found))),
    "detail": _details,
    "windows": _windows,
    "table": _table,
    "payload": lambda found: base64.b64decode(_text(found), validate=True),
}
