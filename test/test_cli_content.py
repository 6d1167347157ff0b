"""Bodies out of the items of a command line."""

from __future__ import annotations

import json
from io import BufferedReader
from pathlib import Path

import pytest

from hyper.cli.content import Content, Multipart, content_of
from hyper.cli.items import UsageError, parse_items


def made(*texts: str, **kwargs: bool) -> Content:
    content = content_of(
        parse_items(texts),
        None,
        kwargs.get("form", False),
        kwargs.get("multipart", False),
    )
    assert content is not None
    return content


def test_nothing_is_no_body() -> None:
    assert content_of(parse_items(["X:1", "a==b"]), None, False, False) is None


def test_fields_are_a_json_object() -> None:
    content = made("name=Grüße", "n:=3", "l:=[1]")
    assert content.kind == "application/json; charset=utf-8"
    assert isinstance(content.source, bytes)
    assert json.loads(content.source) == {"name": "Grüße", "n": 3, "l": [1]}
    assert content.size == len(content.source)
    with content.opened() as body:
        assert body is content.source


def test_or_a_form() -> None:
    content = made("a=1 2", "a=&", form=True)
    assert content.source == b"a=1+2&a=%26"
    assert content.kind == "application/x-www-form-urlencoded"


def test_a_file_is_opened_when_it_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"text")
    content = made(f"@{path}")
    assert (content.kind, content.size, content.replayable) == ("text/plain", 4, True)
    with content.opened() as file:
        assert isinstance(file, BufferedReader)
        assert file.read() == b"text"
    assert file.closed


def test_standard_input_comes_once() -> None:
    content = made("@-")
    assert (content.size, content.replayable) == (None, False)


class TestMultipart:
    def test_it_has_a_part_for_each_field_and_file(self, tmp_path: Path) -> None:
        path = tmp_path / 'a".png'
        path.write_bytes(b"\0\1")
        content = made("a=b", f"f@{path}")
        body = content.source
        assert isinstance(body, Multipart)
        mark = f"--{body.boundary}".encode()
        assert content.kind == f"multipart/form-data; boundary={body.boundary}"
        assert b"".join(body) == (
            mark
            + b'\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
            + mark
            + b'\r\nContent-Disposition: form-data; name="f"; '
            b'filename="a%22.png"\r\nContent-Type: image/png\r\n\r\n\0\1\r\n'
            + mark
            + b"--\r\n"
        )

    def test_it_can_be_read_twice_and_knows_its_size(self, tmp_path: Path) -> None:
        path = tmp_path / "big"
        path.write_bytes(bytes(200_000))
        body = made("a=b", f"f@{path}").source
        assert isinstance(body, Multipart)
        assert len(body) == sum(map(len, body)) == sum(map(len, body))

    def test_it_may_be_asked_for(self) -> None:
        assert isinstance(made("a=b", multipart=True).source, Multipart)


@pytest.mark.parametrize(
    ("content", "item", "message"),
    [
        (b"\xff", "a=@{}", "is not UTF-8"),
        (b"nonsense", "a:=@{}", "the field 'a' is not JSON"),
        (b"[" * 100_000, "a:=@{}", "the field 'a' is not JSON"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused(
    tmp_path: Path, content: bytes, item: str, message: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        made(item.format(path))


@pytest.mark.parametrize("path", ["/", "/nowhere/x", "a\0b"])
def test_a_file_that_cannot_be_read_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match=r"cannot read|no regular file"):
        made(f"@{path}")
