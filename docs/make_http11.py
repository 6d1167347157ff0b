"""Write the table in docs/http11.rst: what h11 and http.client read differently.

    python docs/make_http11.py            write it
    python docs/make_http11.py --print    print the page instead, as it would be

The responses, the verdicts and the reasons are those of test/shapes.py. What stands in
the page before the mark is written by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / "http11.rst"
MARK = ".. Written by docs/make_http11.py: do not edit below this line.\n"

sys.path[:0] = [str(DOCS.parent), str(DOCS.parent / "test")]

from make_scenarios import wrap  # noqa: E402
from shapes import TOPICS, Shape  # noqa: E402

from hyper import ConnectionLost, IncompleteRead  # noqa: E402


def verdict(shape: Shape) -> str:
    """Say what hyper makes of it."""
    if shape.error is not None:
        words = {IncompleteRead: "incomplete", ConnectionLost: "no answer"}
        return words.get(shape.error, "refused")
    if shape.tunnel is not None:
        return f"{shape.status}, and a tunnel"
    closes = not shape.again and not shape.eof
    return f"{shape.status}, then closes" if closes else str(shape.status)


def render(topics: dict[str, list[Shape]]) -> str:
    """Return the table, behind a sentence that counts."""
    shapes = [shape for each in topics.values() for shape in each]
    by_h11 = sum(shape.h11 != "" for shape in shapes)
    by_http_client = sum(shape.http_client != "" for shape in shapes)
    lines = wrap(
        "",
        f"{len(shapes)} responses are compared. h11 reads {by_h11} of them "
        f"differently, ``http.client`` {by_http_client}. They are listed here, with "
        f"what the other does and the section that ``hyper`` follows: 9112 4 is "
        f"section 4 of RFC 9112. A dash means that it reads the same.",
    )
    for topic, each in topics.items():
        differing = [shape for shape in each if shape.h11 or shape.http_client]
        if differing:
            lines += ["", topic, "-" * len(topic), "", *table(differing)]
    return "\n".join(lines) + "\n"


def table(shapes: Iterable[Shape]) -> list[str]:
    """Return a table in which what is read alike, one after the other, is one row."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 34 14 26 26", ""]
    lines += ["   * - The server sends", "     - hyper"]
    lines += ["     - h11", "     - http.client"]
    for texts, alike in groupby(shapes, readings):
        bullet = "   * - - "
        for shape in alike:
            lines += wrap(bullet, f"``{shape.name}``")
            bullet = "       - "
        for text in texts:
            lines += wrap("     - ", text.replace("*", "\\*"))
    return lines


def readings(shape: Shape) -> tuple[str, str, str]:
    return verdict(shape), shape.h11 or "—", shape.http_client or "—"


def main(arguments: list[str]) -> None:
    by_hand = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    page = by_hand + MARK + "\n" + render(TOPICS)
    if arguments == ["--print"]:
        sys.stdout.buffer.write(page.encode("utf-8"))
    else:
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
