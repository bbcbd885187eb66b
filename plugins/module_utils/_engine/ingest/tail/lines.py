# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole lines from an offset on, in bounded memory, whatever the content is."""

from __future__ import annotations

import itertools
import typing as t

from .content import BLOCK
from .fingerprint import skip_zeros

if t.TYPE_CHECKING:
    from .content import Content


AT_ONCE = 1 << 18
"""Bytes that are read at once: they stay in the cache of a processor, and the allocator keeps their memory."""


class Long(t.NamedTuple):
    """A line that is longer than allowed. length: in bytes without its newline; beginning: its first bytes."""

    offset: int
    length: int
    beginning: bytes


class Piece(t.NamedTuple):
    """What was read. lines: (offset, bytes without newline); holes: (offset, length) of zero bytes before a line; end: the new offset.

    scanned: up to where there is no newline behind ``end``, so that a long line is not searched again each time it grows.
    """

    lines: t.List[t.Tuple[int, bytes]]
    long: t.List[Long]
    holes: t.List[t.Tuple[int, int]]
    end: int
    scanned: int


class Limits(t.NamedTuple):
    """lines, size: how much to read at most, in lines and bytes; max_line: the longest line in bytes."""

    lines: int
    size: int
    max_line: int


def read_lines(content: Content, offset: int, limits: Limits, scanned: int = 0, final: bool = False) -> Piece:
    """Read whole lines from ``offset`` on. final: the content does not grow any more, so that its last line may lack the newline."""
    piece = Piece([], [], [], offset, scanned)
    block = min(AT_ONCE, limits.size)
    while len(piece.lines) + len(piece.long) < limits.lines and piece.end - offset < limits.size:
        data = content.read(piece.end, block)
        if not data:
            break
        if data[0] == 0 or b"\n" not in data:
            before = piece.end
            piece = _read_odd(content, piece, limits.max_line, final)
            if piece.end == before:
                break
        else:
            piece = _split(piece, data, limits)
    return piece


def _split(piece: Piece, data: bytes, limits: Limits) -> Piece:
    """Add the whole lines of a block, up to a line that begins with zero bytes: that one is read by itself."""
    lines = data.split(b"\n", limits.lines - len(piece.lines) - len(piece.long))
    # What is not a whole line, or one too many.
    lines.pop()
    if b"\0" in data:
        lines = list(itertools.takewhile(lambda line: not line.startswith(b"\0"), lines))
    sizes = list(map(len, lines))
    # One more than there are lines: the end of the last one.
    offsets = list(itertools.accumulate([size + 1 for size in sizes], initial=piece.end))
    if max(sizes, default=0) <= limits.max_line:
        piece.lines.extend(zip(offsets, lines))
    else:
        for offset, line in zip(offsets, lines):
            if len(line) > limits.max_line:
                piece.long.append(Long(offset, len(line), line[: limits.max_line]))
            else:
                piece.lines.append((offset, line))
    return piece._replace(end=offsets[-1], scanned=offsets[-1])


def _read_odd(content: Content, piece: Piece, max_line: int, final: bool) -> Piece:
    """Read one line that begins with zero bytes or does not end in its block. If it has no newline yet, ``end`` stays."""
    size = content.size()
    begin = skip_zeros(content, piece.end, size)
    if begin >= size:
        if not final or begin == piece.end:
            return piece
        piece.holes.append((piece.end, size - piece.end))
        return piece._replace(end=size, scanned=size)
    at = max(begin, piece.scanned)
    newline = -1
    while newline < 0:
        data = content.read(at, BLOCK)
        found = data.find(b"\n")
        if found >= 0:
            newline = at + found
        elif not data:
            break
        at += len(data)
    if newline < 0 and not final:
        # A hole before the line is stored together with the line.
        return piece._replace(scanned=at)
    end = at if newline < 0 else newline
    if begin > piece.end:
        piece.holes.append((piece.end, begin - piece.end))
    if end - begin > max_line:
        piece.long.append(Long(begin, end - begin, content.read(begin, max_line)))
    else:
        piece.lines.append((begin, content.read(begin, end - begin)))
    after = end if newline < 0 else end + 1
    return piece._replace(end=after, scanned=after)
