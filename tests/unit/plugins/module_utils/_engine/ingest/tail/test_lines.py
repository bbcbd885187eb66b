# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole lines from any content: long ones, holes, compressed files, a last line without its newline."""

from __future__ import annotations

import contextlib
import gzip
import os
import pathlib
import tempfile
import typing as t

import hypothesis.strategies as st
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.tail import content, lines
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.tail.lines import (
    Limits,
    Long,
    Piece,
    nothing_read,
    read_lines,
)
from hypothesis import given, settings
from rigs.examples import examples

WIDE = Limits(1000, 1 << 22, 1000)


@contextlib.contextmanager
def opened(data: bytes, compressed: bool = False) -> t.Iterator[content.Content]:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "log")
        path.write_bytes(gzip.compress(data) if compressed else data)
        fd = os.open(path, os.O_RDONLY)
        made: content.Content = content.GzipContent(fd) if compressed else content.PlainContent(fd)
        with contextlib.closing(made):
            made.size()
            yield made


def read_all(data: bytes, limits: Limits, final: bool, compressed: bool) -> t.List[t.Tuple[int, int, t.Optional[bytes]]]:
    """What all pieces hold, by offset: (offset, length, line); a hole has None."""
    found: t.List[t.Tuple[int, int, t.Optional[bytes]]] = []
    with opened(data, compressed) as source:
        end = scanned = 0
        while True:
            piece = read_lines(source, end, limits, scanned, final)
            found += [(offset, len(line), line) for offset, line in piece.every_line()]
            found += [(long.offset, long.length, long.beginning) for long in piece.long]
            found += [(offset, length, None) for offset, length in piece.holes]
            assert piece.total == len(list(piece.every_line())) + len(piece.long)
            ends = {offset + len(line) + 1 for offset, line in piece.every_line()} | {each.offset + each.length + 1 for each in piece.long}
            assert set(piece.ends(1000)) == ends and max(ends, default=0) == max(piece.ends(1), default=0)
            if piece.end == end:
                return sorted(found, key=lambda each: each[0])
            end, scanned = piece.end, piece.scanned


def expected(data: bytes, max_line: int, final: bool) -> t.List[t.Tuple[int, int, t.Optional[bytes]]]:
    """The same, by the simplest way."""
    found: t.List[t.Tuple[int, int, t.Optional[bytes]]] = []
    at = 0
    for line in data.splitlines(keepends=True) if b"\r" not in data else [each + b"\n" for each in data.split(b"\n")]:
        whole = line.endswith(b"\n")
        text = line[:-1] if whole else line
        zeros = len(text) - len(text.lstrip(b"\0"))
        if whole or final:
            # Zero bytes that end in a newline are an empty line behind a hole.
            if zeros:
                found.append((at, zeros, None))
            if whole or text[zeros:]:
                found.append((at + zeros, len(text) - zeros, text[zeros : zeros + max_line]))
        at += len(line)
    return found


@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(st.sampled_from([b"\n", b"\0", b"\0\0\0\0", b"a", b"bcdefghi", b"x" * 40, b"a\0b"]), max_size=14).map(b"".join),
    st.integers(1, 5),
    st.integers(1, 60),
    st.booleans(),
    st.booleans(),
    st.sampled_from([16, 100, 1000]),
)
def test_any_content_in_blocks(data: bytes, count: int, size: int, final: bool, compressed: bool, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("BLOCK", "AT_ONCE"):
            patch.setattr(lines, name, block)
        assert read_all(data, Limits(count, size, 10), final, compressed) == expected(data, 10, final)


@settings(max_examples=examples(100), deadline=None)
@given(st.integers(1, 100), st.lists(st.tuples(st.integers(0, 260), st.sampled_from([0, 1, 30, 50, 120, 256])), min_size=1))
def test_a_compressed_file_can_be_read_anywhere(block: int, reads: t.List[t.Tuple[int, int]]) -> None:
    data = bytes(range(256))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "BLOCK", block)
        patch.setattr(content, "KEPT", 50)
        with opened(data, True) as source:
            for offset, count in reads:
                assert source.read(offset, count) == data[offset : offset + count]


@given(st.integers(0, 10_000), st.integers(1, 1000))
def test_what_is_unread_is_divided_evenly(unread: int, size: int) -> None:
    """No piece is larger than allowed, and all but the last one have about the same size."""
    pieces = []
    left = unread
    while left:
        pieces.append(min(left, Limits(1, size, 1, 1.0).of(left).size))
        left -= pieces[-1]
    assert len(pieces) == -(-unread // size)
    assert max(pieces, default=0) <= size and max(pieces, default=0) - min(pieces, default=0) <= 1


def test_two_readers_with_different_shares_leave_no_small_rest() -> None:
    pieces = []
    left = 1000
    while left:
        share = (0.9, 1.1)[len(pieces) % 2]
        pieces.append(min(left, Limits(1, 300, 1, share).of(left).size))
        left -= pieces[-1]
    assert pieces == [225, 285, 221, 269]


def test_a_line_that_grows_is_not_searched_again() -> None:
    with opened(b"x" * 5000) as source:
        piece = read_lines(source, 0, WIDE)
        assert piece == nothing_read(0, 5000)
    with opened(b"x" * 5000 + b"\n") as source:
        assert read_lines(source, 0, WIDE, 5000) == Piece(5001, 5001, 1, [], [], [Long(0, 5000, b"x" * 1000)], [])


@pytest.mark.parametrize("max_line", [1000, 4 << 20])
def test_long_lines_of_a_compressed_file_are_decompressed_once(monkeypatch, max_line: int) -> None:
    """A line may be longer than what is kept of the content: to go back to its beginning is to begin with the file again."""
    decompressed: t.List[int] = []
    take = content.GzipContent._data
    monkeypatch.setattr(content.GzipContent, "_data", lambda self, count: decompressed.append(len(data := take(self, count))) or data)
    length = 3 << 20
    with opened(b"".join(b"%d" % number * length + b"\n" for number in range(4)), True) as source:
        decompressed.clear()
        found = [read_lines(source, (length + 1) * number, Limits(1, 1 << 22, max_line)) for number in range(4)]
        assert sum(decompressed) == source.size()
    for number, piece in enumerate(found):
        beginning = b"%d" % number * min(length, max_line)
        assert [*piece.long, *piece.lines] == [Long(piece.end - length - 1, length, beginning)[:: 1 if max_line < length else 2]]


def test_a_very_long_line_and_a_large_hole_need_little_memory() -> None:
    import tracemalloc

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "log")
        with open(path, "wb") as file:
            file.truncate(3 << 30)
            file.seek(3 << 30)
            for _each in range(100):
                file.write(b"y" * (1 << 20))
            file.write(b"\nlast\n")
        with contextlib.closing(content.PlainContent(os.open(path, os.O_RDONLY))) as source:
            tracemalloc.start()
            piece = read_lines(source, 0, WIDE)
            rest = read_lines(source, piece.end, WIDE)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    assert piece.holes == [(0, 3 << 30)]
    assert [(long.offset, long.length, len(long.beginning)) for long in piece.long] == [(3 << 30, 100 << 20, 1000)]
    assert list(rest.every_line()) == [((3 << 30) + (100 << 20) + 1, b"last")]
    assert peak < 16 << 20


@pytest.mark.parametrize("damage", ["cut", "trailer", "middle"])
def test_a_damaged_compressed_file_gives_what_can_be_read(damage: str) -> None:
    plain = os.urandom(3 << 20)
    data = bytearray(gzip.compress(plain))
    if damage == "cut":
        del data[-1000:]
    elif damage == "trailer":
        data[-6] ^= 1
    else:
        data[len(data) // 2] ^= 255
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "log.gz")
        path.write_bytes(data)
        with contextlib.closing(content.GzipContent(os.open(path, os.O_RDONLY))) as source:
            with pytest.raises(content.DamagedError):
                source.size()
            readable = source.size()
            assert readable > 1 << 20
            assert source.read(1 << 20, 100) == plain[1 << 20 : (1 << 20) + 100]
