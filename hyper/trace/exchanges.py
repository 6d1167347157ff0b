"""Exchanges out of records: which request got which response, and when.

A trace has frames, or pieces of HTTP/1.1. What readers of archives and pictures look
for first are requests, so both kinds of pieces are put together here, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .record import Field, Record


@dataclass(slots=True)
class Exchange:
    """A request and its response, as far as they came."""

    connection: int
    stream_id: int
    protocol: str
    #: Seconds since the trace began: of the first piece, the end of the request, the
    #: head of the response, and the last piece.
    start: float
    sent: float
    first: float | None = None
    end: float = 0.0
    origin: str = ""
    method: str = ""
    path: str = ""
    status: int = 0
    reason: str = ""
    request: tuple[Field, ...] = ()
    response: tuple[Field, ...] = ()
    trailers: tuple[Field, ...] = ()
    #: Bytes of heads and of content, each way, as they were on the wire.
    head_sent: int = 0
    head_received: int = 0
    uploaded: int = 0
    received: int = 0
    #: Why it failed; "" if it did not.
    error: str = ""
    #: The response is complete.
    complete: bool = False


def exchanges(records: Sequence[Record]) -> list[Exchange]:
    """Return the exchanges of a trace in the order in which they began."""
    found: dict[tuple[int, int], Exchange] = {}
    origins: dict[int, str] = {}
    protocols: dict[int, str] = {}
    for record in records:
        if record.kind == "start":
            origins[record.connection] = str(record.detail.get("origin", ""))
        elif record.kind == "speak":
            protocols[record.connection] = str(record.detail.get("protocol", ""))
        elif record.kind == "closed":
            _fail_open(found, record)
        if not record.stream_id or not record.direction:
            continue
        if record.kind == "PUSH_PROMISE":
            _exchange(found, origins, protocols, record, record.promised)
        else:
            exchange = _exchange(found, origins, protocols, record, record.stream_id)
            _take(exchange, record)
    return list(found.values())


def _exchange(
    found: dict[tuple[int, int], Exchange],
    origins: dict[int, str],
    protocols: dict[int, str],
    record: Record,
    stream_id: int,
) -> Exchange:
    key = record.connection, stream_id
    if key not in found:
        found[key] = Exchange(
            record.connection,
            stream_id,
            protocols.get(record.connection, ""),
            record.time,
            record.time,
            end=record.time,
            origin=origins.get(record.connection, ""),
        )
        if record.kind == "PUSH_PROMISE":
            _take_request(found[key], record)
    return found[key]


def _take(exchange: Exchange, record: Record) -> None:
    # What is said of a stream after its end, such as credit, is not a part of it.
    if record.kind != "WINDOW_UPDATE" and not (
        exchange.complete and record.direction == "recv"
    ):
        exchange.end = record.time
    if record.kind == "RST_STREAM":
        who = "server" if record.direction == "recv" else "client"
        exchange.error = f"{who} reset it: {record.detail.get('error')}"
    sending = record.direction == "send"
    if sending and record.kind in ("HEADERS", "CONTINUATION", "REQUEST"):
        exchange.head_sent += record.length
        if record.fields and not exchange.request:
            _take_request(exchange, record)
    elif sending and record.kind in ("DATA", "BODY"):
        exchange.uploaded += record.length
    elif record.kind in ("HEADERS", "CONTINUATION", "RESPONSE"):
        exchange.head_received += record.length
        _take_response(exchange, record)
    elif record.kind in ("DATA", "BODY"):
        exchange.received += record.length
    if sending:
        exchange.sent = record.time
    elif record.ends_stream:
        exchange.complete = True


def _take_request(exchange: Exchange, record: Record) -> None:
    exchange.request = record.fields
    start = str(record.detail.get("start", ""))
    if start:
        exchange.method, exchange.path = (start.split(" ") + ["", ""])[:2]
    else:
        exchange.method = record.value(":method") or ""
        exchange.path = record.value(":path") or record.value(":authority") or ""


def _take_response(exchange: Exchange, record: Record) -> None:
    start = str(record.detail.get("start", ""))
    text = (start.split(" ") + [""])[1] if start else record.value(":status")
    if text is None:
        if record.fields:
            exchange.trailers = record.fields
        return
    if exchange.first is None:
        exchange.first = record.time
    if text.isdigit() and not text.startswith("1"):
        exchange.status = int(text)
        exchange.reason = start.split(" ", 2)[2] if start.count(" ") > 1 else ""
        exchange.response = record.fields


def _fail_open(found: dict[tuple[int, int], Exchange], record: Record) -> None:
    """Note the end of a connection in its exchanges that had not ended."""
    for exchange in found.values():
        if exchange.connection == record.connection and not (
            exchange.complete or exchange.error
        ):
            exchange.error = str(record.detail.get("reason", "the connection ended"))
            exchange.end = record.time
