"""The stories of hpack-test-case: header sections in the words of other encoders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

# Not in the repository: beside it, or beside the folder that it is in.
STORIES = sorted(
    story
    for folder in Path(__file__).resolve().parents[2:4]
    for story in folder.glob("shared/data/hpack-test-case/*/*.json")
)


class Case(NamedTuple):
    """One section of a story."""

    fields: list[tuple[bytes, bytes]]
    block: bytes
    #: What the table may have from here on; 0: what it had.
    table_size: int


def cases_of(path: Path) -> Iterator[Case]:
    """Iterate over the sections of a story, in order."""
    for case in json.loads(path.read_text("utf-8"))["cases"]:
        fields = [
            (name.encode(), value.encode())
            for field in case["headers"]
            for name, value in field.items()
        ]
        block = bytes.fromhex(case["wire"])
        yield Case(fields, block, case.get("header_table_size", 0))


def each_story(test):
    """Run a test for each story, given as ``path``; skip it where there are none."""
    names = pytest.mark.parametrize(
        "path", STORIES, ids=lambda path: f"{path.parent.name}/{path.stem}"
    )
    reason = "the data of hpack-test-case is not there"
    return pytest.mark.skipif(not STORIES, reason=reason)(names(test))
