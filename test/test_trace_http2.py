"""Frames out of bytes, and what is followed of settings, windows and tables."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hpack import Encoder, HeaderTuple, NeverIndexedHeaderTuple
from hyperframe.frame import (
    AltSvcFrame,
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from hyper.trace.http2 import MAX_WINDOWS, PREFACE, FrameReader
from hyper.trace.record import Field, Seen, Table, Windows


def wire(*frames: Frame) -> bytes:
    return b"".join(frame.serialize() for frame in frames)


def extension(kind: int, stream_id: int, body: bytes) -> ExtensionFrame:
    frame = ExtensionFrame(kind, stream_id, 0, body)
    frame.body_len = len(body)
    return frame


def received(*frames: Frame, reader: FrameReader | None = None) -> list[Seen]:
    return list((reader or FrameReader()).received(wire(*frames)))


def one(frame: Frame, reader: FrameReader | None = None) -> Seen:
    (seen,) = received(frame, reader=reader)
    return seen


def headers(
    encoder: Encoder, fields: Iterable[tuple[str, str]], stream_id: int = 1
) -> HeadersFrame:
    frame = HeadersFrame(stream_id, encoder.encode(fields))
    frame.flags.add("END_HEADERS")
    return frame


class TestFrames:
    @pytest.mark.parametrize("size", [1, 7, 1000])
    def test_they_may_come_in_pieces_of_any_size(self, size: int) -> None:
        data = wire(
            SettingsFrame(0, {3: 100, 9: 1, 0xFA: 5}),
            headers(Encoder(), [(":status", "200")]),
            DataFrame(1, b"hello", flags=["END_STREAM"]),
        )
        reader = FrameReader()
        seen = [
            frame
            for at in range(0, len(data), size)
            for frame in reader.received(data[at : at + size])
        ]
        assert [frame.kind for frame in seen] == ["SETTINGS", "HEADERS", "DATA"]
        assert seen[0].detail == {
            "MAX_CONCURRENT_STREAMS": 100,
            "NO_RFC7540_PRIORITIES": 1,
            "0xfa": 5,
        }
        assert (seen[2].length, seen[2].flags) == (5, ("END_STREAM",))

    @pytest.mark.parametrize("cut", [5, 24, 30])
    def test_a_client_begins_with_the_preface(self, cut: int) -> None:
        data = PREFACE + wire(SettingsFrame(0), PingFrame(0, b"12345678"))
        reader = FrameReader()
        seen = [*reader.sent(data[:cut]), *reader.sent(data[cut:])]
        assert [frame.kind for frame in seen] == ["SETTINGS", "PING"]

    @pytest.mark.parametrize(
        ("frame", "detail"),
        [
            (RstStreamFrame(1, 7), {"error": "REFUSED_STREAM"}),
            (RstStreamFrame(1, 99), {"error": "0x63"}),
            (PingFrame(0, b"12345678"), {"data": "3132333435363738"}),
            (GoAwayFrame(0, 5, 0), {"last_stream_id": 5, "error": "NO_ERROR"}),
            (
                GoAwayFrame(0, 5, 11, b"calm"),
                {
                    "last_stream_id": 5,
                    "error": "ENHANCE_YOUR_CALM",
                    "debug_data": "calm",
                },
            ),
            (
                PriorityFrame(3, 1, 15, True),
                {"depends_on": 1, "weight": 16, "exclusive": 1},
            ),
            (AltSvcFrame(0, b"o", b"h3"), {"origin": "o", "value": "h3"}),
            (
                extension(0x10, 0, b"\0\0\0\5u=1"),
                {"prioritized": 5, "priority": "u=1"},
            ),
            (extension(0xC, 0, b"\0\1x"), {"origins": "\0\1x"}),
            (extension(0x2A, 1, b"?"), {}),
        ],
    )
    def test_each_kind_says_what_it_has_to(
        self, frame: Frame, detail: dict[str, str | int]
    ) -> None:
        assert one(frame).detail == detail

    def test_padding_and_priority_are_told(self) -> None:
        padded = DataFrame(1, b"hi", pad_length=3, flags=["PADDED"])
        assert one(padded).detail == {"padding": 3}
        frame = HeadersFrame(1, Encoder().encode([("a", "b")]), depends_on=0)
        frame.flags |= {"PRIORITY", "END_HEADERS"}
        assert one(frame).detail["weight"] == 1

    def test_an_unknown_kind_has_its_number_for_a_name(self) -> None:
        assert one(extension(0x2A, 1, b"?")).kind == "0x2a"

    @pytest.mark.parametrize(
        "data",
        [
            b"\0\0\1\6\0\0\0\0\0x",  # a PING of one byte
            b"\0\0\1\0\x08\0\0\0\1\x09",  # DATA with more padding than there is
            b"\0\0\6\4\0\0\0\0\1\0\3\0\0\0\1",  # SETTINGS of a stream
        ],
    )
    def test_what_is_malformed_is_told_and_passed_over(self, data: bytes) -> None:
        reader = FrameReader()
        first, second = reader.received(data + wire(PingFrame(0, b"12345678")))
        assert str(first.detail["failure"]).startswith("malformed: ")
        assert second.kind == "PING"

    def test_payloads_are_kept_if_they_are_wanted(self) -> None:
        assert one(DataFrame(1, b"hi")).payload == b""
        frames = DataFrame(1, b"hi"), headers(Encoder(), [("cookie", "a")])
        shy = received(*frames, reader=FrameReader(payloads=True))
        assert [frame.payload for frame in shy] == [b"hi", b""]
        open_ = received(*frames, reader=FrameReader(payloads=True, secrets=True))
        assert all(frame.payload for frame in open_)
        assert [frame.length for frame in shy] == [frame.length for frame in open_]


class TestFields:
    def test_each_is_told_with_the_way_it_was_written(self) -> None:
        encoder, reader = Encoder(), FrameReader(tables=True)
        fields = [
            HeaderTuple(":status", "200"),
            HeaderTuple("server", "x" * 200),
            HeaderTuple("new", "1"),
            NeverIndexedHeaderTuple("secret", "2"),
        ]
        first = one(headers(encoder, fields), reader)
        assert [field.how for field in first.fields] == [
            "static 8",
            "literal, indexed, name static 54",
            "literal, indexed",
            "literal, never indexed",
        ]
        assert sum(field.size for field in first.fields) == first.length
        again = one(headers(encoder, [("new", "1")], 3), reader)
        assert again.fields == (Field("new", "1", "dynamic 62", 1),)
        assert again.table == Table(274, 4096, (("new", "1"), ("server", "x" * 200)))

    def test_a_literal_that_is_not_indexed_is_one(self) -> None:
        frame = HeadersFrame(1, b"\x00\1a\1b\x0f\x01\1c", flags=["END_HEADERS"])
        assert one(frame).fields == (
            Field("a", "b", "literal, not indexed", 5),
            Field("accept-encoding", "c", "literal, not indexed, name static 16", 4),
        )

    def test_a_new_size_of_the_table_is_no_field(self) -> None:
        encoder, reader = Encoder(), FrameReader(tables=True)
        list(reader.sent(PREFACE + wire(SettingsFrame(0, {1: 0}))))
        encoder.header_table_size = 0
        seen = one(headers(encoder, [("a", "b")]), reader)
        assert [field.name for field in seen.fields] == ["a"]
        assert seen.table == Table(0, 0)

    def test_they_are_complete_with_the_last_frame(self) -> None:
        block = Encoder().encode([(":status", "200"), ("a", "b")])
        first = HeadersFrame(1, block[:3], flags=["END_STREAM"])
        last = ContinuationFrame(1, block[3:], flags=["END_HEADERS"])
        begin, end = received(first, last)
        assert (begin.fields, begin.flags) == ((), ("END_STREAM",))
        assert [field.name for field in end.fields] == [":status", "a"]

    def test_promises_have_them_too(self) -> None:
        frame = PushPromiseFrame(1, 2, Encoder().encode([(":path", "/x")]))
        frame.flags.add("END_HEADERS")
        seen = one(frame)
        assert seen.detail == {"promised": 2}
        assert [field.value for field in seen.fields] == ["/x"]

    @pytest.mark.scenario(270)
    def test_secrets_are_told_if_they_are_wanted(self) -> None:
        names = ("authorization", "proxy-authorization", "cookie", "set-cookie")
        frame = headers(Encoder(), [(name, "word") for name in names])
        shy = one(frame, FrameReader(tables=True))
        assert {field.value for field in shy.fields} == {"[redacted]"}
        assert shy.table is not None
        assert {value for _, value in shy.table.entries} == {"[redacted]"}
        open_ = one(frame, FrameReader(secrets=True))
        assert {field.value for field in open_.fields} == {"word"}

    @pytest.mark.parametrize(
        "block",
        [
            *(b"\xff\xff\x7f", b"\x40\x7f", b"\xbf"),
            b"\xff" + b"\x80" * 10 + b"\0",  # an integer that goes on and on
            # A field of 4 KB, and many times a byte that stands for it.
            b"\x40\x01a\x7f\xa1\x1e" + b"x" * 4000 + b"\xbe" * 5000,
        ],
    )
    def test_a_block_that_cannot_be_decoded_ends_decoding(self, block: bytes) -> None:
        good = headers(Encoder(), [("a", "b")])
        bad = HeadersFrame(1, block, flags=["END_HEADERS"])
        for seen in received(bad, good):
            assert seen.detail == {"failure": "the header block cannot be decoded"}
            assert seen.fields == ()


class TestWindows:
    def test_data_takes_and_updates_give(self) -> None:
        reader = FrameReader()
        data = one(DataFrame(1, b"x" * 35), reader)
        assert data.windows == Windows(65500, 65535, 65500, 65535)
        (update,) = reader.sent(PREFACE + wire(WindowUpdateFrame(1, 100)))
        assert update.windows == Windows(65600, 65600, 65500, 65535)
        (whole,) = reader.sent(wire(WindowUpdateFrame(0, 10)))
        assert whole.windows == Windows(None, None, 65510, 65535)
        assert update.detail == {"increment": 100}

    def test_settings_of_the_other_side_move_all_streams(self) -> None:
        reader = FrameReader()
        received(DataFrame(1, b"x" * 35), reader=reader)
        list(reader.sent(PREFACE + wire(SettingsFrame(0, {4: 1000}))))
        seen = received(DataFrame(1, b""), DataFrame(3, b"x"), reader=reader)
        assert [frame.windows and frame.windows.stream for frame in seen] == [965, 999]

    def test_padding_counts(self) -> None:
        seen = one(DataFrame(1, b"hi", pad_length=3, flags=["PADDED"]))
        assert seen.windows == Windows(65529, 65535, 65529, 65535)

    def test_those_of_old_streams_are_forgotten(self) -> None:
        reader = FrameReader()
        frames = [DataFrame(n * 2 + 1, b"x") for n in range(MAX_WINDOWS + 1)]
        received(*frames, reader=reader)
        seen = one(DataFrame(1, b""), reader)
        assert seen.windows is not None
        assert seen.windows.stream == 65535
