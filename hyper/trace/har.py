"""An archive of requests and responses: HAR 1.2, which browsers and proxies read.

HAR knows neither frames nor streams; fields that begin with an underscore are ours.
Bodies are not in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

from ..version import __version__
from .exchanges import Exchange, exchanges
from .record import Field, Record


def archive(records: Sequence[Record], started: datetime) -> Iterator[str]:
    """Yield the text of the file."""
    steps: dict[int, dict[str, Record]] = {}
    for record in records:
        steps.setdefault(record.connection, {}).setdefault(record.kind, record)
    seen: set[int] = set()
    entries = []
    for exchange in exchanges(records):
        first = exchange.connection not in seen
        seen.add(exchange.connection)
        entries.append(_entry(exchange, steps[exchange.connection], first, started))
    log = {
        "version": "1.2",
        "creator": {"name": "hyper", "version": __version__},
        "entries": entries,
    }
    yield json.dumps({"log": log}, indent=1) + "\n"


def _entry(
    exchange: Exchange, steps: dict[str, Record], first: bool, started: datetime
) -> dict[str, object]:
    """Return an entry; the first of a connection has the time that it took to make."""
    timings = _timings(exchange, steps, first)
    begun = (
        exchange.start
        - sum(timings[name] for name in ("dns", "connect") if timings[name] > 0) / 1000
    )
    address = steps["tcp"].detail.get("address", "") if "tcp" in steps else ""
    entry: dict[str, object] = {
        "startedDateTime": (started + timedelta(seconds=begun)).isoformat(),
        # The time of TLS is in that of connecting, too.
        "time": round(
            sum(time for name, time in timings.items() if time > 0 and name != "ssl"),
            3,
        ),
        "request": _request(exchange),
        "response": _response(exchange),
        "cache": {},
        "timings": timings,
        "connection": str(exchange.connection),
        "_stream": exchange.stream_id,
    }
    if address:
        entry["serverIPAddress"] = address
    if exchange.error:
        entry["_error"] = exchange.error
    return entry


def _timings(
    exchange: Exchange, steps: dict[str, Record], first: bool
) -> dict[str, float]:
    """Return the phases in milliseconds; -1 for those that there were none of."""

    def between(before: str, after: str) -> float:
        if not first or before not in steps or after not in steps:
            return -1
        return _milli(steps[after].time - steps[before].time)

    secured = "tls" if "tls" in steps else "tcp"
    received = exchange.end if exchange.first is None else exchange.first
    return {
        "blocked": -1,
        "dns": between("start", "dns"),
        "connect": between("dns", secured),
        "ssl": between("tcp", "tls"),
        "send": _milli(min(exchange.sent, received) - exchange.start),
        "wait": _milli(max(0.0, received - exchange.sent)),
        "receive": _milli(max(0.0, exchange.end - received)),
    }


def _request(exchange: Exchange) -> dict[str, object]:
    authority = _value(exchange.request, ":authority")
    host = authority or _value(exchange.request, "host")
    scheme = urlsplit(exchange.origin).scheme or "https"
    url = f"{scheme}://{host}{exchange.path}"
    made: dict[str, object] = {
        "method": exchange.method,
        "url": url,
        "httpVersion": exchange.protocol,
        "cookies": [],
        "headers": _pairs(exchange.request),
        "queryString": [
            {"name": name, "value": value}
            for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True)
        ],
        "headersSize": exchange.head_sent,
        "bodySize": exchange.uploaded,
    }
    if exchange.uploaded:
        kind = _value(exchange.request, "content-type")
        made["postData"] = {"mimeType": kind, "text": "", "comment": "not recorded"}
    return made


def _response(exchange: Exchange) -> dict[str, object]:
    return {
        "status": exchange.status,
        "statusText": exchange.reason,
        "httpVersion": exchange.protocol,
        "cookies": [],
        "headers": _pairs(exchange.response),
        "content": {
            "size": exchange.received,
            "mimeType": _value(exchange.response, "content-type"),
            "comment": "the bytes on the wire; the content is not recorded",
        },
        "redirectURL": _value(exchange.response, "location"),
        "headersSize": exchange.head_received,
        "bodySize": exchange.received,
        "_trailers": _pairs(exchange.trailers),
    }


def _value(fields: tuple[Field, ...], name: str) -> str:
    """Return the value of a field; "" if there is none."""
    return next((one.value for one in fields if one.name.lower() == name), "")


def _pairs(fields: tuple[Field, ...]) -> list[dict[str, str]]:
    return [{"name": one.name, "value": one.value} for one in fields]


def _milli(seconds: float) -> float:
    return round(seconds * 1000, 3)
