# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of a source to batches."""

from __future__ import annotations

import itertools
import typing as t

from ..base.units import parse_size
from .checkpoint import Parsed, Rejected
from .records.parser import LineParser
from .tail.lines import Limits

if t.TYPE_CHECKING:
    from ..config.stream_document import StreamDocument
    from .checkpoint import Batch
    from .sinks.base import RowRefusedError
    from .source import Read, Source
    from .tail.lines import Block, Line, Long

LINES, SIZE = 5000, 4 << 20
"""The most lines and bytes of a batch."""
TURN_LINES, TURN_SIZE = 40_000, 6 << 20
"""The same when two processes store batches in turns: larger ones, because each commit waits for the disk. They are parsed in parts, which
takes less memory."""
PART = 1 << 20
"""About how many bytes of lines a part has."""


class Reader:
    """Reads and parses for one sink. limit: lines of a batch at most. check: for a dry run, which creates no key."""

    def __init__(self, document: StreamDocument, check: bool) -> None:
        self._max_line = parse_size(document["parse"]["max_line"])
        self.limit = LINES
        self.parser = LineParser(document, check)

    def widen(self) -> None:
        """Read twice as many lines at once, up to the usual number."""
        self.limit = min(LINES, self.limit * 2)

    def read(self, source: Source) -> t.Optional[Read]:
        """Read the next lines; None if there is nothing to read now."""
        return source.read(Limits(self.limit, SIZE, self._max_line))

    def read_turn(self, source: Source, share: float) -> t.Optional[Read]:
        """Read the next lines for a process that parses them in parts; None if there is nothing to read now. share: 1.0 is the average."""
        return source.read(Limits(TURN_LINES, TURN_SIZE, self._max_line, share))

    def parse(self, reading: Read) -> Batch:
        """The batch of what was read, with rows and rejected lines."""
        self.parser.begin(reading.first_line)
        parsed = _parsed(self.parser, reading.piece.every_line(), reading.piece.long)
        return reading.batch._replace(rows=parsed.rows, rejected=parsed.rejected)

    def parse_parts(self, reading: Read) -> t.Iterator[Parsed]:
        """The same in parts."""
        piece = reading.piece
        return parsed_parts(self.parser, reading.first_line, piece.lines, piece.long, piece.blocks)

    def reject(self, reading: Read, batch: Batch, error: RowRefusedError) -> Batch:
        """The batch of a single line as a rejected line: the database refuses its row."""
        lines = list(reading.piece.every_line())
        if not lines:
            raise error
        offset, line = lines[0]
        rejected = Rejected(offset, len(line), "database", error.message, self.parser.sealed(line))
        return batch._replace(rows={}, rejected=[rejected], sums=None)


def parsed_parts(
    parser: LineParser, first_line: bytes, lines: t.Sequence[Line], long: t.Sequence[Long], blocks: t.Iterable[Block]
) -> t.Iterator[Parsed]:
    """Lines and blocks of lines in parts: the next block is taken when it is needed. first_line: of the file."""
    parser.begin(first_line)
    if lines or long:
        yield _parsed(parser, lines, long)
    part: t.List[t.Iterable[Line]] = []
    size = 0
    for block in blocks:
        part.append(block.lines())
        size += len(block.data)
        if size >= PART:
            yield _parsed(parser, itertools.chain(*part))
            part, size = [], 0
    if part:
        yield _parsed(parser, itertools.chain(*part))


def _parsed(parser: LineParser, lines: t.Iterable[Line], long: t.Sequence[Long] = ()) -> Parsed:
    rows, refused = parser.parse_lines(lines)
    sealed = parser.sealed
    rejected = [Rejected(each.offset, each.length, "too_long", "%d bytes" % each.length, sealed(each.beginning)) for each in long]
    rejected += [Rejected(offset, len(line), error.reason, error.detail, sealed(line)) for (offset, line), error in refused]
    return Parsed(rows, rejected)


def is_full(reading: Read) -> bool:
    """Whether a batch has as many lines or bytes as it can hold, so that there may be more to read. Its generation is in the sink."""
    before, piece = reading.batch.before, reading.piece
    return before >= 0 and (piece.total >= LINES or reading.batch.generation.offset - before >= SIZE)
