# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole lines from an offset on, in bounded memory, whatever the content is."""

from __future__ import annotations

import itertools
import math
import typing as t

from .content import BLOCK
from .fingerprint import skip_zeros

if t.TYPE_CHECKING:
    from .content import Content


AT_ONCE = 1 << 18
"""Bytes of a block at most: they stay in the cache of a processor, and the allocator keeps their memory."""

Line = t.Tuple[int, bytes]
"""The offset of a line, and the line without its newline."""


class Long(t.NamedTuple):
    """A line that is longer than allowed. length: in bytes without its newline; beginning: its first bytes."""

    offset: int
    length: int
    beginning: bytes


class Block(t.NamedTuple):
    """Whole lines. data: without the newline of the last one."""

    offset: int
    data: bytes

    def lines(self) -> t.Iterator[Line]:
        """Each of them."""
        lines = self.data.split(b"\n")
        return zip(itertools.accumulate([len(line) + 1 for line in lines], initial=self.offset), lines)


class Piece(t.NamedTuple):
    """What was read. blocks, lines: the lines, many at once and single ones; long: those that are longer than allowed; total: of all kinds.

    holes: (offset, length) of zero bytes before a line; end: the new offset. scanned: up to where there is no newline behind ``end``, so
    that a long line is not searched again each time it grows.
    """

    end: int
    scanned: int
    total: int
    blocks: t.List[Block]
    lines: t.List[Line]
    long: t.List[Long]
    holes: t.List[t.Tuple[int, int]]

    def every_line(self) -> t.Iterator[Line]:
        """The lines of both kinds."""
        return itertools.chain(self.lines, *(block.lines() for block in self.blocks))

    def ends(self, count: int) -> t.List[int]:
        """Where the last lines end, with their newlines, in any order: so many of each kind at most."""
        found = [offset + len(line) + 1 for offset, line in self.lines[-count:]]
        found += [long.offset + long.length + 1 for long in self.long[-count:]]
        left = count
        for block in reversed(self.blocks):
            at = len(block.data)
            while at >= 0 and left:
                found.append(block.offset + at + 1)
                at = block.data.rfind(b"\n", 0, at)
                left -= 1
        return found


class Limits(t.NamedTuple):
    """lines, size: how much to read at most, in lines and bytes; max_line: the longest line in bytes.

    share: divide what is not read yet of a file into pieces of about the same size; this one is so many times as large. 0.0: do not.
    """

    lines: int
    size: int
    max_line: int
    share: float = 0.0

    def of(self, unread: int) -> Limits:
        """The limits for a file of which so many bytes are not read yet."""
        if not self.share or unread <= self.size:
            return self
        return self._replace(size=math.ceil(unread / math.ceil(unread / self.size) * self.share))


def nothing_read(offset: int, scanned: int = 0) -> Piece:
    """The piece to which lines from an offset on are added."""
    return Piece(offset, scanned, 0, [], [], [], [])


def read_lines(content: Content, offset: int, limits: Limits, scanned: int = 0, final: bool = False) -> Piece:
    """Read whole lines from ``offset`` on. final: the content does not grow any more, so that its last line may lack the newline."""
    piece = nothing_read(offset, scanned)
    size = min(AT_ONCE, limits.size)
    while piece.total < limits.lines and piece.end - offset < limits.size:
        data = content.read(piece.end, size)
        if not data:
            break
        if data[0] == 0 or b"\n" not in data:
            before = piece.end
            piece = _read_odd(content, piece, limits.max_line, final)
            if piece.end == before:
                break
        else:
            piece = _with_block(piece, data, limits)
    return piece


def _with_block(piece: Piece, data: bytes, limits: Limits) -> Piece:
    """Add the whole lines of a block, up to a line that begins with zero bytes: that one is read by itself."""
    end = data.rfind(b"\n")
    # A byte is found several times faster than two of them.
    hole = data.find(b"\n\0") if b"\0" in data else -1
    if hole >= 0:
        end = hole
    most = limits.lines - piece.total
    count = data.count(b"\n", 0, end) + 1
    if count > most:
        end = sum(map(len, data.split(b"\n", most)[:most])) + most - 1
        count = most
    block = Block(piece.end, data[:end])
    if end <= limits.max_line or max(map(len, block.data.split(b"\n"))) <= limits.max_line:
        piece.blocks.append(block)
    else:
        for offset, line in block.lines():
            if len(line) > limits.max_line:
                piece.long.append(Long(offset, len(line), line[: limits.max_line]))
            else:
                piece.lines.append((offset, line))
    after = piece.end + end + 1
    return piece._replace(end=after, scanned=after, total=piece.total + count)


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
    # To read the beginning again may mean to decompress all that is before it again.
    kept = bytearray() if at == begin else None
    while newline < 0:
        data = content.read(at, BLOCK)
        if kept is not None:
            kept += data[: max_line - len(kept)]
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
    length = min(end - begin, max_line)
    beginning = content.read(begin, length) if kept is None else bytes(kept[:length])
    if end - begin > max_line:
        piece.long.append(Long(begin, end - begin, beginning))
    else:
        piece.lines.append((begin, beginning))
    after = end if newline < 0 else end + 1
    return piece._replace(end=after, scanned=after, total=piece.total + 1)
