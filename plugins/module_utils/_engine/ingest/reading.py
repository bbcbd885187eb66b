# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of a source to batches. While there is a large backlog, another process parses most of them."""

from __future__ import annotations

import os
import typing as t

from ..base.units import parse_size
from .checkpoint import Rejected
from .records.parser import LineParser
from .tail.lines import Limits

if t.TYPE_CHECKING:
    from ..config.stream_document import StreamDocument
    from .checkpoint import Batch
    from .records.sftpgo_fast import Line
    from .sinks.base import Sink
    from .sinks.helper import Helper
    from .source import Found, Read, Source

    Refusals = t.Iterable[t.Tuple[int, bytes, str, str]]

LINES, SIZE = 5000, 4 << 20
"""Lines and bytes of a batch at most."""
OWN = 0.35
"""The part of the lines of a batch that this process parses beside another one: it has the database to serve, too."""
BACKLOG = 32 << 20
"""Bytes that are not read yet for which a process is started: its start takes as long as 2 MiB."""


class Reader:
    """Reads and parses for one sink. limit: lines of a batch at most. check: for a dry run, which creates no key."""

    def __init__(self, document: StreamDocument, check: bool) -> None:
        self._document = document
        self._check = check
        self._max_line = parse_size(document["parse"]["max_line"])
        self._helper: t.Optional[Helper] = None
        self._alone = check
        self.limit = LINES
        self.parser = LineParser(document, check)

    def widen(self) -> None:
        """Read twice as many lines at once, up to the usual number."""
        self.limit = min(LINES, self.limit * 2)

    def read(self, source: Source, sink: Sink) -> t.Optional[Found]:
        """Read the next lines and parse them; None if there is nothing to read now. Raises HelperError; then call ``fail``."""
        reading = source.read(Limits(self.limit, SIZE, self._max_line))
        if reading is None:
            # The backlog is read.
            self.close()
            self._alone = self._check
            return None
        if self._helper is None and is_full(reading) and source.backlog >= BACKLOG and not self._alone and self.limit == LINES:
            self._alone = len(os.sched_getaffinity(0)) < 2
            self._helper = None if self._alone else sink.helper(self._document)
        lines = reading.piece.lines
        if self._helper is None or not is_full(reading) or not self._helper.is_ready:
            return reading, sink.prepare_batch(self._batch(reading, self._parsed(reading, lines)))
        try:
            return reading, self._with_helper(self._helper, reading, sink)
        except BaseException:
            # It may hold an answer that nobody waits for any more.
            self.close()
            raise

    def _with_helper(self, helper: Helper, reading: Read, sink: Sink) -> Batch:
        """The batch, of which the other process parses the rest of the lines."""
        lines = reading.piece.lines
        own = int(len(lines) * OWN)
        helper.send(reading.batch.generation.id, reading.first_line, lines[own:])
        batch = sink.prepare_batch(self._batch(reading, self._parsed(reading, lines[:own])))
        part = helper.receive()
        texts = dict(lines[own:]) if part.refused else {}
        refused = self._rejected([(offset, texts[offset], reason, detail) for offset, reason, detail in part.refused])
        return batch._replace(staged=[*batch.staged, *part.staged], rejected=[*batch.rejected, *refused])

    def fail(self) -> None:
        """Go on without the other process until this backlog is read."""
        self.close()
        self._alone = True

    def close(self) -> None:
        """End the other process."""
        if self._helper is not None:
            self._helper.close()
            self._helper = None

    def _parsed(self, reading: Read, lines: t.Sequence[Line]) -> t.Tuple[t.Mapping[str, t.Any], Refusals]:
        self.parser.begin(reading.first_line)
        rows, refused = self.parser.parse_lines(lines)
        return rows, [(offset, line, error.reason, error.detail) for (offset, line), error in refused]

    def _batch(self, reading: Read, parsed: t.Tuple[t.Mapping[str, t.Any], Refusals]) -> Batch:
        """The batch with rows and rejected lines."""
        rows, refused = parsed
        sealed = self.parser.sealed
        long = [
            Rejected(each.offset, each.length, "too_long", "%d bytes" % each.length, sealed(each.beginning)) for each in reading.piece.long
        ]
        return reading.batch._replace(rows=rows, rejected=[*long, *self._rejected(refused)])

    def _rejected(self, refused: Refusals) -> t.List[Rejected]:
        return [Rejected(offset, len(line), reason, detail, self.parser.sealed(line)) for offset, line, reason, detail in refused]


def is_full(reading: Read) -> bool:
    """Whether a batch has as many lines or bytes as it can hold, so that there may be more to read. Its generation is in the sink."""
    before = reading.batch.before
    return before >= 0 and (len(reading.piece.lines) >= LINES or reading.batch.generation.offset - before >= SIZE)
