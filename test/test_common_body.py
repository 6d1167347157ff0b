"""Bodies: every form users give them in, their size, and reading them once more."""

from __future__ import annotations

import array
import io
import mmap
import socket
import tempfile

import pytest

from hyper.common.body import READ_SIZE, Body, Meter
from hyper.common.exceptions import LocalProtocolError


class Trickle:
    """A file that has nothing but ``read`` and gives two bytes at a time."""

    def __init__(self, data):
        self._data = io.BytesIO(data)

    def read(self, amount, /):
        return self._data.read(min(amount, 2))


class Told:
    """A file whose ``tell`` answers what the test says."""

    def __init__(self, *answers):
        self._answers = iter(answers)

    def tell(self):
        return next(self._answers)

    def seek(self, offset, whence=io.SEEK_SET):
        pass

    def read(self, amount, /):
        return b""


class TestBytes:
    @pytest.mark.parametrize(
        ("given", "data"),
        [
            (None, b""),
            (b"", b""),
            ("", b""),
            (b"bytes", b"bytes"),
            (bytearray(b"array"), b"array"),
            (memoryview(b"view"), b"view"),
            (memoryview(array.array("H", [0x6161, 0x6262])), b"aabb"),
            ("snowman \N{SNOWMAN}", b"snowman \xe2\x98\x83"),
        ],
    )
    def test_bytes_and_text_have_a_size_and_can_be_read_again(self, given, data):
        body = Body.of(given)
        assert body.length == len(data)
        assert body.replayable
        assert b"".join(body) == b"".join(body) == data

    @pytest.mark.parametrize("given", [None, b"", ""])
    def test_an_empty_body_has_no_pieces(self, given):
        assert list(Body.of(given)) == []

    def test_bytes_changed_later_are_sent_as_they_were(self):
        given = bytearray(b"before")
        body = Body.of(given)
        given[:] = b"after!"
        assert list(body) == [b"before"]


class TestFiles:
    @pytest.mark.parametrize("size", [0, 1, READ_SIZE, READ_SIZE + 1])
    def test_a_file_is_read_in_pieces_from_where_it_stands(self, size):
        data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        file = io.BytesIO(b"head" + data)
        file.seek(4)
        body = Body.of(file)
        assert body.length == size
        assert file.tell() == 4
        pieces = list(body)
        assert b"".join(pieces) == data
        assert all(0 < len(piece) <= READ_SIZE for piece in pieces)

    @pytest.mark.scenario(121)
    def test_a_file_that_can_seek_is_read_again_from_where_it_stood(self):
        file = io.BytesIO(b"head body")
        file.seek(5)
        body = Body.of(file)
        assert body.replayable
        assert list(body) == list(body) == [b"body"]

    def test_files_on_disk_and_in_memory_maps_have_a_size(self):
        with tempfile.TemporaryFile() as file:
            file.write(b"on disk")
            file.seek(3)
            body = Body.of(file)
            assert (body.length, list(body)) == (4, [b"disk"])
            with mmap.mmap(file.fileno(), 0) as mapped:
                body = Body.of(mapped)
                assert (body.length, list(body)) == (7, [b"on disk"])

    def test_a_device_has_no_size(self):
        with open("/dev/zero", "rb") as device:
            body = Body.of(device)
            assert (body.length, body.replayable) == (None, False)
            assert next(iter(body)) == bytes(READ_SIZE)

    @pytest.mark.scenario(121)
    def test_a_file_without_seek_has_no_size_and_is_read_once(self):
        body = Body.of(Trickle(b"12345"))
        assert body.length is None
        assert not body.replayable
        assert list(body) == [b"12", b"34", b"5"]
        assert list(body) == []

    def test_a_socket_has_no_size_and_its_short_reads_are_not_the_end(self):
        ours, theirs = socket.socketpair()
        with ours, theirs, ours.makefile("rb", buffering=0) as file:
            body = Body.of(file)
            assert (body.length, body.replayable) == (None, False)
            pieces = iter(body)
            theirs.sendall(b"one")
            assert next(pieces) == b"one"
            theirs.sendall(b"two")
            assert next(pieces) == b"two"
            theirs.close()
            assert list(pieces) == []

    def test_a_file_that_stands_behind_its_end_is_empty(self):
        file = io.BytesIO(b"short")
        file.seek(9)
        body = Body.of(file)
        assert (body.length, list(body)) == (0, [])

    @pytest.mark.parametrize(("start", "end"), [(None, 5), (0, None), ("0", 5)])
    def test_a_file_that_tells_no_numbers_has_no_size(self, start, end):
        body = Body.of(Told(start, end))
        assert (body.length, body.replayable) == (None, False)

    def test_a_text_file_is_refused_before_anything_is_read(self):
        with pytest.raises(TypeError, match="binary mode"):
            Body.of(io.StringIO("text"))

    def test_a_file_that_turns_out_to_give_text_is_refused(self):
        class Text:
            def read(self, amount, /):
                return "text"

        with pytest.raises(TypeError, match="yields bytes, not str"):
            list(Body.of(Text()))


class TestIterables:
    @pytest.mark.scenario(105)
    @pytest.mark.parametrize("kind", [list, tuple])
    def test_a_sequence_can_be_read_again_and_its_empty_pieces_are_left_out(self, kind):
        body = Body.of(kind([b"a", b"", bytearray(b"b"), memoryview(b"c")]))
        assert body.length is None
        assert body.replayable
        assert list(body) == list(body) == [b"a", b"b", b"c"]

    @pytest.mark.scenario(105, 121)
    def test_a_generator_is_read_once(self):
        body = Body.of(piece for piece in (b"a", b"", b"b"))
        assert body.length is None
        assert not body.replayable
        assert list(body) == [b"a", b"b"]

    def test_an_iterable_that_begins_anew_can_be_read_again(self):
        class Pieces:
            def __iter__(self):
                return iter((b"a", b"b"))

        body = Body.of(Pieces())
        assert body.replayable
        assert list(body) == list(body) == [b"a", b"b"]

    def test_a_generator_runs_only_as_far_as_the_body_is_read(self):
        ran = []

        def pieces():
            for number in range(3):
                ran.append(number)
                yield b"%d" % number

        iterator = iter(Body.of(pieces()))
        assert ran == []
        assert next(iterator) == b"0"
        assert ran == [0]

    @pytest.mark.scenario(105)
    def test_an_exception_of_the_users_iterable_is_passed_on(self):
        def pieces():
            yield b"a"
            raise LookupError("the disk is gone")

        iterator = iter(Body.of(pieces()))
        assert next(iterator) == b"a"
        with pytest.raises(LookupError, match="the disk is gone"):
            next(iterator)

    @pytest.mark.parametrize("pieces", [["text"], [1, 2], [None]])
    def test_a_sequence_of_anything_but_bytes_is_refused_at_once(self, pieces):
        with pytest.raises(TypeError, match="a body yields bytes, not"):
            Body.of(pieces)

    def test_a_generator_of_anything_but_bytes_is_refused_when_it_yields_it(self):
        body = Body.of(piece for piece in (b"a", "b"))
        iterator = iter(body)
        assert next(iterator) == b"a"
        with pytest.raises(TypeError, match="a body yields bytes, not str"):
            next(iterator)

    @pytest.mark.parametrize("given", [5, 1.5, object(), {"form": "data"}, {}, True])
    def test_anything_else_is_refused_by_its_type(self, given):
        with pytest.raises(TypeError, match=f"not {type(given).__name__}"):
            Body.of(given)


class TestMeter:
    @pytest.mark.scenario(104)
    def test_the_last_bytes_are_told_from_the_others(self):
        meter = Meter(5)
        assert not meter.add(2)
        assert meter.add(3)
        meter.finish()

    @pytest.mark.scenario(104)
    def test_a_body_longer_than_announced_is_an_error(self):
        meter = Meter(5)
        meter.add(5)
        with pytest.raises(
            LocalProtocolError, match="longer than its Content-Length"
        ) as caught:
            meter.add(1)
        assert not caught.value.retry_safe, "the head of the request has been sent"

    @pytest.mark.scenario(104)
    def test_a_body_shorter_than_announced_is_an_error(self):
        meter = Meter(5)
        meter.add(4)
        with pytest.raises(
            LocalProtocolError, match="has 4 bytes; its Content-Length"
        ) as caught:
            meter.finish()
        assert not caught.value.retry_safe

    def test_where_nothing_is_announced_nothing_is_wrong(self):
        meter = Meter(None)
        assert not meter.add(3)
        assert not meter.add(0)
        meter.finish()

    def test_an_announced_size_of_zero_is_kept_to(self):
        meter = Meter(0)
        meter.finish()
        with pytest.raises(LocalProtocolError):
            meter.add(1)
