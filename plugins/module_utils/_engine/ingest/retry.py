# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Try rejected lines again, after the document was mended or the software updated."""

from __future__ import annotations

import contextlib
import typing as t

from ..base.errors import EXIT_DONE, EXIT_FAILED, EXIT_PARTLY, IntegrityError, KeyringError, LogArchiveError
from .records.parser import LineParser
from .records.refused import NoRecord, Refused
from .sinks.base import ConflictError, RowRefusedError
from .sinks.opening import open_sink

if t.TYPE_CHECKING:
    from ..config.stream_document import SinkOptions, StreamDocument
    from .checkpoint import Rejected
    from .facts import RetryResult
    from .records.fill import Values
    from .sinks.base import Sink, StoredLine

    Row = t.Tuple[int, str, Values]

LINES, SIZE = 1000, 4 << 20
"""How many lines are fetched and stored at once, and about how many bytes: each may be as long as ``parse.max_line``."""


def retry(document: StreamDocument) -> t.List[RetryResult]:
    """Parse the rejected lines of each sink, and store those that a table takes now. A follower may run at the same time."""
    return [_retry(document, options) for options in document["sinks"]]


def _retry(document: StreamDocument, options: SinkOptions) -> RetryResult:
    result: RetryResult = {
        "stream": document["name"], "sink": options["name"], "tried": 0, "stored": 0, "rejected": 0, "cut": 0, "error": None,
        "exit_code": EXIT_DONE,
    }  # fmt: skip
    parser = LineParser(document)
    try:
        with contextlib.closing(open_sink(options, document)) as sink:
            after = None
            while True:
                lines = sink.rejected(after, LINES, SIZE)
                if not lines:
                    break
                # If another process stores some of the lines, what is left of them is fetched again.
                with contextlib.suppress(ConflictError):
                    _Page(sink, parser, lines, result).store()
                    after = (lines[-1].generation, lines[-1].rejected.line_offset)
                while sink.deliver():
                    pass
            result["stored"] -= sink.refused
            result["rejected"] += sink.refused
            if sink.trouble is not None:
                raise sink.trouble
    except LogArchiveError as error:
        result["error"], result["exit_code"] = str(error), EXIT_FAILED
    else:
        if result["error"]:
            result["exit_code"] = EXIT_FAILED
        elif result["rejected"] or result["cut"]:
            result["exit_code"] = EXIT_PARTLY
    return result


class _Page:
    """Rejected lines of one generation. result: counts what was stored at once, and the others once nothing can conflict any more."""

    def __init__(self, sink: Sink, parser: LineParser, lines: t.Sequence[StoredLine], result: RetryResult) -> None:
        self._sink = sink
        self._parser = parser
        self._lines = lines
        self._generation = lines[0].generation
        self._result = result
        # What the lines are now, by their offsets. Those that are encrypted now may be any of them.
        self._rows: t.List[Row] = []
        self._nothing: t.List[int] = []
        self._refused: t.Dict[int, t.Tuple[str, str]] = {}
        self._encrypted: t.List[t.Tuple[int, bytes]] = []
        self._cut = self._unread = 0

    def store(self) -> None:
        """Store each line that a table takes. Raises ConflictError."""
        documents = [each.rejected.line_offset for each in self._lines if each.rejected.reason == "document"]
        if documents:
            self._sink.send_again(self._generation, documents)
            self._count(len(documents))
        lines = {each.rejected.line_offset: each.rejected for each in self._lines if each.rejected.reason != "document"}
        for line in lines.values():
            self._parse(line)
        if self._encrypted:
            self._sink.seal_rejected(self._generation, self._encrypted)
        if self._nothing:
            self._sink.store_rejected(self._generation, self._nothing, {})
        self._store_rows(self._rows)
        changed = [(offset, *why) for offset, why in self._refused.items() if why != (lines[offset].reason, lines[offset].detail)]
        if changed:
            self._sink.reject_again(self._generation, changed)
        self._result["tried"] += len(self._nothing) + len(self._refused) + self._unread
        self._result["rejected"] += len(self._refused) + self._unread
        self._result["cut"] += self._cut

    def _parse(self, line: Rejected) -> None:
        """Find out what a line is now."""
        encrypted = self._parser.sealed_later(line.line, line.length)
        if encrypted is not None:
            self._encrypted.append((line.line_offset, encrypted))
        try:
            text = self._parser.unsealed(line.line, line.length)
        except KeyringError as error:
            self._result["error"] = self._result["error"] or str(error)
            self._unread += 1
            return
        except IntegrityError:
            # It was cut after it was encrypted, because the server does not take it whole.
            text = b""
        if len(text) < line.length:
            self._cut += 1
            return
        try:
            self._rows.append((line.line_offset, *self._parser.parse(text)))
        except NoRecord:
            self._nothing.append(line.line_offset)
        except Refused as error:
            self._refused[line.line_offset] = error.reason, error.detail

    def _store_rows(self, rows: t.Sequence[Row]) -> None:
        """Store rows, except for those that the database refuses: they are found by halves."""
        if not rows:
            return
        tables: t.Dict[str, t.List[t.Tuple[t.Any, ...]]] = {}
        for offset, table, values in rows:
            tables.setdefault(table, []).append((offset, *values))
        try:
            self._sink.store_rejected(self._generation, [row[0] for row in rows], tables)
        except RowRefusedError as error:
            if len(rows) == 1:
                self._refused[rows[0][0]] = "database", error.message
                return
            self._store_rows(rows[: len(rows) // 2])
            self._store_rows(rows[len(rows) // 2 :])
        else:
            self._count(len(rows))

    def _count(self, stored: int) -> None:
        self._result["tried"] += stored
        self._result["stored"] += stored
