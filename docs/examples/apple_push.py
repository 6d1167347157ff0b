"""Notifications to Apple devices: many at a time, all over one connection.

    python docs/examples/apple_push.py https://api.push.apple.com push.pem \\
        com.example.app 'Dinner is ready' < tokens.txt

sends a text to each device whose token is a line of the input, and prints what became
of those that it could not be sent to.

Apple's push service takes a POST for each device. It allows a number of them at a time,
which is one at first, and ends a connection when it likes. hyper sees to both: requests
wait for their turn, and what the service says it did not act on is sent once more, on a
new connection. What may have been delivered is never sent again.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone

from hyper import HTTP20Connection, HyperError
from hyper.tls import init_context


@dataclass(frozen=True)
class Outcome:
    """What became of one notification."""

    token: str
    #: 200 if the service took it. None: no answer came.
    status: int | None
    reason: str = ""
    #: For a device that is gone (410): since when.
    gone_since: datetime | None = None
    #: Without an answer: whether it was not delivered for sure, so that it may be sent
    #: again. Else nobody knows.
    retry_safe: bool = False


def send_all(
    conn: HTTP20Connection,
    topic: str,
    notifications: Iterable[tuple[str, bytes]],
    threads: int = 32,
) -> Iterator[Outcome]:
    """Send a payload to each device, and yield what became of it, in the same order.

    To use a token in the place of a certificate, add ``authorization`` to the headers.
    """

    def send(notification: tuple[str, bytes]) -> Outcome:
        token, payload = notification
        headers = {"apns-topic": topic, "apns-push-type": "alert"}
        try:
            stream_id = conn.request("POST", f"/3/device/{token}", payload, headers)
            with conn.get_response(stream_id) as response:
                body = response.read()
        except HyperError as error:
            return Outcome(token, None, str(error), retry_safe=error.retry_safe)
        told = json.loads(body) if body else {}
        since = told.get("timestamp")  # in milliseconds
        return Outcome(
            token,
            response.status,
            told.get("reason", ""),
            since and datetime.fromtimestamp(since / 1000, timezone.utc),
        )

    with ThreadPoolExecutor(threads) as executor:
        yield from executor.map(send, notifications)


def main(url: str, certificate: str, topic: str, text: str) -> None:
    payload = json.dumps({"aps": {"alert": text}}).encode()
    notifications = [(token, payload) for token in sys.stdin.read().split()]
    statuses: Counter[int | None] = Counter()
    context = init_context(cert=certificate)
    with HTTP20Connection(url, ssl_context=context, timeout=30) as conn:
        for outcome in send_all(conn, topic, notifications):
            statuses[outcome.status] += 1
            if outcome.gone_since is not None:
                print(f"{outcome.token} is gone since {outcome.gone_since:%Y-%m-%d}")
            elif outcome.status != 200:
                print(f"{outcome.token} {outcome.status} {outcome.reason}")
    print(f"{statuses[200]} of {len(notifications)} sent")


if __name__ == "__main__":
    main(*sys.argv[1:])
