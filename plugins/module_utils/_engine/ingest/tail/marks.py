# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Marks at the ends of the last lines of a live file: up to where a file that lost its end is still what was read.

The end of a file is lost if the host crashes before the file system wrote it, or if somebody truncates the file to a part of its content.
"""

from __future__ import annotations

import typing as t

from .content import BLOCK
from .fingerprint import WINDOW, digest, tail

if t.TYPE_CHECKING:
    from ..checkpoint import Generation, Recent
    from .content import Content
    from .lines import Piece

LINES = 256
"""The last lines of a generation that have a mark each. Before them, the distance from one mark to the next grows."""
GROWTH = 1.25
"""How many times as far from the end a mark is as the next one, before the last lines."""
NEAR = 1 << 20
"""Bytes before the end of a file within which lines get marks. With more to come, the marks would be replaced at once."""
DIGITS = 16
"""Hex digits of the digest of a mark."""


class Kept(t.NamedTuple):
    """What a file still has of a generation. end: the end of its last line that was read; tail: the digest before it, as of a position;
    recent: the marks up to it; differs: whether the file certainly has other bytes behind it, so that it is no beginning of a copy."""

    end: int
    tail: str
    recent: Recent
    differs: bool = False


def noted(recent: Recent, content: Content, piece: Piece) -> Recent:
    """The marks of a generation of which this piece was read: the old ones, and those at the ends of the last lines of the piece."""
    # A last line may have no newline, and without the last marks a long line does not have to be read again.
    ends = [end for end in sorted(piece.ends(LINES)) if piece.end - NEAR < end <= piece.end]
    if not ends:
        return recent
    begin = max(0, ends[0] - WINDOW)
    data = content.read(begin, piece.end - begin)
    new = [(end, digest(data[max(0, end - WINDOW - begin) : end - begin])[:DIGITS]) for end in ends]
    return _thinned((*recent, *new))


def _thinned(recent: Recent) -> Recent:
    """The marks without most of the old ones."""
    if len(recent) <= LINES:
        return recent
    end = recent[-1][0]
    kept = list(reversed(recent[-LINES:]))
    for mark in reversed(recent[:-LINES]):
        if end - mark[0] >= GROWTH * (end - kept[-1][0]):
            kept.append(mark)
    return tuple(reversed(kept))


def kept_of(content: Content, base: int, size: int, generation: Generation) -> t.Optional[Kept]:
    """What a plain file still has of the generation that it was; None if less than WINDOW bytes are certain.

    All lines before ``end`` are certainly the ones that were read. If the file lost its end behind a mark of a line, all lines after it
    are new. base: the first offset that is not a zero byte; size: of the content.
    """
    last = min(size, generation.offset)
    known = {base + length: expected for length, expected in generation.head if length >= WINDOW}
    first = base + WINDOW
    if first > last or first not in known or not tail(content, first).startswith(known[first]):
        return None
    known.update(generation.recent)
    marks = sorted((mark for mark in known if first <= mark <= last), reverse=True)
    for mark in marks:
        if tail(content, mark).startswith(known[mark]):
            end = _line_before(content, base, mark)
            kept = Kept(end, tail(content, end), tuple(each for each in generation.recent if each[0] <= end), mark != marks[0])
            # If the content is intact now, then so was what was just read of it.
            return kept if end > base and tail(content, mark).startswith(known[mark]) else None
    return None


def _line_before(content: Content, base: int, mark: int) -> int:
    """The end of the last whole line before a mark, or ``base``."""
    at = mark
    while at > base:
        begin = max(base, at - BLOCK if at < mark else at - WINDOW)
        newline = content.read(begin, at - begin).rfind(b"\n")
        if newline >= 0:
            return begin + newline + 1
        at = begin
    return base
