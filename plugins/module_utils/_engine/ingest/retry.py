# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Try rejected lines again, after the document was mended or the software updated."""

from __future__ import annotations

import contextlib
import typing as t

from ..base.errors import EXIT_DONE, EXIT_FAILED, EXIT_PARTLY, LogArchiveError
from .records.parser import LineParser, Refused
from .sinks.base import RowRefusedError
from .sinks.opening import open_sink

if t.TYPE_CHECKING:
    from ..config.stream_document import SinkOptions, StreamDocument
    from .facts import RetryResult

PAGE = 100
"""Lines that are fetched at once: each may have the size of ``parse.max_line``."""


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
                page = sink.rejected(after, PAGE)
                if not page:
                    break
                for stored in page:
                    line = stored.rejected
                    after = (stored.generation, line.line_offset)
                    if line.reason == "document":
                        result["tried"] += 1
                        result["stored"] += sink.send_again(stored.generation, line.line_offset)
                        continue
                    text = parser.unsealed(line.line)
                    if len(text) < line.length:
                        result["cut"] += 1
                        continue
                    result["tried"] += 1
                    try:
                        table, values = parser.parse(text)
                        result["stored"] += sink.store_rejected(stored.generation, line.line_offset, table, values)
                    except (Refused, RowRefusedError) as error:
                        result["rejected"] += 1
                        why = (error.reason, error.detail) if isinstance(error, Refused) else ("database", error.message)
                        if why != (line.reason, line.detail):
                            sink.reject_again(stored.generation, line.line_offset, *why)
            while sink.deliver():
                pass
            result["stored"] -= sink.refused
            result["rejected"] += sink.refused
            if sink.trouble is not None:
                raise sink.trouble
    except LogArchiveError as error:
        result["error"], result["exit_code"] = str(error), EXIT_FAILED
    else:
        if result["rejected"] or result["cut"]:
            result["exit_code"] = EXIT_PARTLY
    return result
