"""Traces in files: four kinds, told apart by their suffixes.

``.jsonl`` is the trace itself: a line of JSON for each record, after one that says when
it began. It can be read back, so the other three can be made of it later.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from .record import Field, Record, Table, Windows

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
        except (ValueError, TypeError, KeyError) as error:
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


def _record(found: dict[str, Any]) -> Record:
    """Return the record that :func:`line` has written; TypeError if it is none."""
    windows, table = found.get("windows"), found.get("table")
    if table is not None:
        table = Table(
            table["size"], table["limit"], tuple(map(tuple, table["entries"]))
        )
    made = {
        "flags": tuple(found.get("flags", ())),
        "fields": tuple(Field(**one) for one in found.get("fields", ())),
        "windows": None if windows is None else Windows(**windows),
        "table": table,
        "payload": base64.b64decode(found.get("payload", "")),
    }
    return Record(**{**found, **made})
