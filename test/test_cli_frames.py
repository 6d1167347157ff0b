"""``--frames`` and nghttp see the same frames of the same request.

nghttp shares no code with hyper. What servers choose anew for each connection, such as
how they cut a body into frames, is made the same by asking for little; what differs in
what the two clients themselves say is theirs and left out.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from command import shell
from servers import realserver
from servers.fixtures import SharedServers

from hyper.cli.frames import FrameView, HeadView
from hyper.cli.options import FRAME_KINDS
from hyper.cli.terminal import Painter
from hyper.trace import Field, Record, Table, Windows

#: Frames that a server sends in answer to what the client chose to say, or when it
#: likes: they are compared by their presence.
CHATTER = ("SETTINGS", "WINDOW_UPDATE", "PING", "GOAWAY")
#: A frame as nghttp shows it.
NGHTTP = re.compile(
    r"\[ *[0-9.]+\] recv (\w+) frame <length=(\d+), flags=0x([0-9a-f]{2}), "
    r"stream_id=(\d+)>"
)
#: The same as we do.
OURS = re.compile(
    r"\[ *[0-9.]+\] recv (\w+) +<len=(\d+) flags=([A-Z_|-]+) stream=(\d+)>"
)
FLAGS = {"END_STREAM": 1, "END_HEADERS": 4, "PADDED": 8, "PRIORITY": 32}

Frame = tuple[str, int, int]


def seen_by_nghttp(url: str) -> list[Frame]:
    """Return the frames of the response: type, flags, and of DATA the length."""
    shown = subprocess.run(
        ["nghttp", "-nv", "--no-dep", url],
        capture_output=True,
        text=True,
        timeout=realserver.READY_SECONDS,
        check=True,
    ).stdout
    found = [
        (kind, int(flags, 16), int(length))
        for kind, length, flags, _ in NGHTTP.findall(shown)
    ]
    return of_response(found)


def seen_by_us(shown: str) -> list[Frame]:
    found = [
        (kind, sum(FLAGS.get(flag, 0) for flag in flags.split("|")), int(length))
        for kind, length, flags, _ in OURS.findall(shown)
    ]
    return of_response(found)


def of_response(frames: list[Frame]) -> list[Frame]:
    """Leave out what is not a part of the response, and lengths but those of DATA."""
    return [
        (kind, flags, length if kind == "DATA" else 0)
        for kind, flags, length in frames
        if kind not in CHATTER
    ]


@pytest.mark.parametrize("path", ["/hello", "/text", "/nowhere"])
@pytest.mark.parametrize("name", ["nginx", "node", "nghttpd"])
def test_nghttp_sees_the_same_frames(
    real_server: SharedServers, name: str, path: str, tmp_path: Path
) -> None:
    if shutil.which("nghttp") is None:
        pytest.skip("nghttp is not installed")
    server = real_server(name, "h2")
    url = server.url(path)
    with shell({"SSL_CERT_FILE": str(server.ca_file)}, tmp_path) as prompt:
        # What nghttp says of itself may change how a server answers.
        fields = "accept:*/* accept-encoding:'gzip, deflate' user-agent:nghttp2/1"
        result = prompt.run(f"hyper --frames -n {url} {fields}")
    assert result.status == 0
    theirs, ours = seen_by_nghttp(url), seen_by_us(result.err)
    assert [kind for kind, _, _ in theirs][:1] == ["HEADERS"]
    assert ours == theirs


# What no server says to order.


def view(record: Record, *, hpack: bool = False, hexdump: bool = False) -> str:
    out = io.StringIO()
    kinds = frozenset(FRAME_KINDS)
    FrameView(out, Painter(False), kinds, hpack, hexdump)(record)
    return out.getvalue()


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (
            Record(0.061, 1, "RST_STREAM", "recv", 3, 4, detail={"error": "CANCEL"}),
            "[  0.061] recv RST_STREAM    <len=4 flags=- stream=3> CANCEL\n",
        ),
        (
            Record(
                0.1, 2, "RST_STREAM", "recv", 3, 4, detail={"error": "REFUSED_STREAM"}
            ),
            "[  0.100] (2) recv RST_STREAM    <len=4 flags=- stream=3> "
            "REFUSED_STREAM: safe to retry\n",
        ),
        (
            Record(
                1,
                1,
                "WINDOW_UPDATE",
                "send",
                1,
                4,
                detail={"increment": 5},
                windows=Windows(7, 9, 8, 10),
            ),
            "[  1.000] send WINDOW_UPDATE <len=4 flags=- stream=1> +5"
            "  window stream 7/9, connection 8/10\n",
        ),
        (
            Record(1, 1, "0x2a", "recv", 1, 4),
            "[  1.000] recv 0x2a          <len=4 flags=- stream=1>\n",
        ),
        (
            Record(1, 1, "GOAWAY", "recv", 0, 9, detail={"debug_data": "\x1b[2J"}),
            "[  1.000] recv GOAWAY        <len=9 flags=- stream=0> "
            "debug_data=\\x1b[2J\n",
        ),
        (
            Record(1, 1, "closed", detail={"failure": "a\nb"}),
            "[  1.000] closed failure=a\\nb\n",
        ),
    ],
)
def test_a_frame_is_a_line(record: Record, line: str) -> None:
    assert view(record) == line


def test_fields_and_tables_are_lines_below_it() -> None:
    record = Record(
        1,
        1,
        "HEADERS",
        "send",
        1,
        9,
        fields=(Field("a", "b\x07", "static 2", 1),),
        table=Table(34, 4096, (("a", "\x1b"),)),
    )
    head = "[  1.000] send HEADERS       <len=9 flags=- stream=1>\n"
    assert view(record) == f"{head}          a: b\\x07\n"
    assert view(record, hpack=True) == (
        f"{head}          a: b\\x07{' ' * 28}static 2, 1 B\n"
        "          table: 34 of 4096 B, 1 entries\n"
        "            62  a: \\x1b\n"
    )


def test_a_hexdump_of_much_is_cut() -> None:
    record = Record(1, 1, "DATA", "recv", 1, 2000, payload=bytes(2000))
    lines = view(record, hexdump=True).splitlines()
    assert lines[1] == f"          00000000  {'00 ' * 8} {'00 ' * 8} |{'.' * 16}|"
    assert lines[-1] == "          ... 976 bytes more"
    assert len(lines) == 66


def test_kinds_that_are_not_wanted_are_not_shown() -> None:
    out = io.StringIO()
    only = FrameView(out, Painter(False), frozenset(["headers"]))
    only(Record(1, 1, "DATA", "recv", 1))
    only(Record(1, 1, "closed"))
    assert out.getvalue() == ""
    only(Record(1, 1, "CONTINUATION", "recv", 1))
    assert out.getvalue() != ""


def test_only_heads_of_requests_are_shown_as_such() -> None:
    out = io.StringIO()
    heads = HeadView(out, Painter(True))
    heads(Record(1, 1, "HEADERS", "recv", 1, fields=(Field(":status", "200"),)))
    heads(Record(1, 1, "DATA", "send", 1))
    heads(Record(1, 1, "HEADERS", "send", 1, fields=(Field(":path", "/"),)))
    assert out.getvalue() == "\x1b[1m:path\x1b[0m: /\n\n"
