# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of a source to batches."""

from __future__ import annotations

import typing as t

from ..base.units import parse_size
from .checkpoint import Rejected
from .records.parser import LineParser
from .tail.lines import Limits

if t.TYPE_CHECKING:
    from ..config.stream_document import StreamDocument
    from .checkpoint import Batch
    from .sinks.base import RowRefusedError
    from .source import Read, Source
    from .tail.lines import Piece

LINES, SIZE = 5000, 4 << 20
"""Lines and bytes of a batch at most."""


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

    def parse(self, reading: Read) -> Batch:
        """The batch of what was read, with rows and rejected lines."""
        return parsed_batch(self.parser, reading.batch, reading.first_line, reading.piece)

    def reject(self, reading: Read, batch: Batch, error: RowRefusedError) -> Batch:
        """The batch of a single line as a rejected line: the database refuses its row."""
        if not reading.piece.lines:
            raise error
        offset, line = reading.piece.lines[0]
        rejected = Rejected(offset, len(line), "database", error.message, self.parser.sealed(line))
        return batch._replace(rows={}, rejected=[rejected], sums=None)


def parsed_batch(parser: LineParser, batch: Batch, first_line: bytes, piece: Piece) -> Batch:
    """The batch with the rows and the rejected lines of a piece. first_line: of the file."""
    parser.begin(first_line)
    rows, refused = parser.parse_lines(piece.lines)
    sealed = parser.sealed
    long = [Rejected(each.offset, each.length, "too_long", "%d bytes" % each.length, sealed(each.beginning)) for each in piece.long]
    bad = [Rejected(offset, len(line), error.reason, error.detail, sealed(line)) for (offset, line), error in refused]
    return batch._replace(rows=rows, rejected=[*long, *bad])


def is_full(reading: Read) -> bool:
    """Whether a batch has as many lines or bytes as it can hold, so that there may be more to read. Its generation is in the sink."""
    before, piece = reading.batch.before, reading.piece
    return before >= 0 and (len(piece.lines) + len(piece.long) >= LINES or reading.batch.generation.offset - before >= SIZE)
