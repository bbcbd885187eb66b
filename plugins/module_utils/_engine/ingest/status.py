# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status of a stream: where it is, how far it is behind, and what was lost or rejected. Looking changes nothing."""

from __future__ import annotations

import contextlib
import time
import typing as t
from datetime import datetime, timezone

from ..archive.naming import host_name
from ..base.errors import EXIT_DONE, EXIT_FAILED, EXIT_PARTLY, LogArchiveError
from ..base.units import format_utc
from ..state.events import EventLog
from . import accepted
from .records.parser import LineParser
from .sinks.dry import DrySink
from .source import ABSENT, absent_of, source_of
from .tail.file import READING
from .tail.tracker import Tracker

if t.TYPE_CHECKING:
    from ..config.stream_document import SinkOptions, StreamDocument
    from .facts import StreamRow
    from .journal.tracker import JournalTracker
    from .tail.file import File


NOTHING = "nothing was stored yet"
LONG_WAIT = 60.0
"""Seconds without a new line, after which documents that still wait are reported."""
RECENT_GAP = 86400.0
"""Seconds for which a gap is a problem of the stream, as in the alert LogArchiveStreamGap; later its time is still shown."""


def of(document: StreamDocument, now: t.Optional[float] = None) -> t.List[StreamRow]:
    """The status of a stream in each of its sinks. now: Unix seconds."""
    known, now = accepted.read(document), time.time() if now is None else now
    rows = [_of_sink(document, options, known.get(options["name"], accepted.Accepted()), now) for options in document["sinks"]]
    try:
        # The next line may need a key, and nothing else does.
        LineParser(document, check=True).sealed(b"")
    except LogArchiveError as error:
        for row in rows:
            if row["error"] is None:
                row["error"], row["exit_code"] = str(error), EXIT_FAILED
                row["state"] = str(error)
    return rows


def accept(document: StreamDocument) -> None:
    """Accept the gaps and rejected lines that each sink has now. Raises SinkError if one cannot be used: then none is accepted."""
    found = {}
    for options in document["sinks"]:
        with contextlib.closing(DrySink(options, document)) as sink:
            found[options["name"]] = sink.totals()
    accepted.write(document, {name: accepted.Accepted(totals.gap_at, totals.rejected_at) for name, totals in found.items()})
    log = EventLog(document["log"], document["name"], host_name(document["host"]))
    for name, totals in found.items():
        log.write("losses_accepted", sink=name, rejected=totals.rejected, gaps=totals.gaps, gap_bytes=totals.gap_bytes)


def unusable(stream: str, error: LogArchiveError) -> StreamRow:
    """The status of a stream with a document that cannot be used."""
    row = _blank(stream, "-", "-")
    row["error"], row["exit_code"] = str(error), error.exit_code
    row["state"] = str(error)
    return row


def blank(document: StreamDocument, sink: str) -> StreamRow:
    """The status of a stream that has stored nothing yet."""
    return _blank(document["name"], host_name(document["host"]), sink)


def _blank(stream: str, host: str, sink: str) -> StreamRow:
    return {
        "stream": stream, "host": host, "sink": sink, "files": 0, "position": [], "lines": 0,
        "read_at": None, "lag_bytes": 0, "lag_seconds": 0.0, "waiting": 0, "rejected": 0, "accepted": 0, "gaps": 0, "gap_bytes": 0,
        "gap_at": None, "rotations_left": None, "warnings": [], "error": None, "state": NOTHING, "exit_code": EXIT_FAILED,
    }  # fmt: skip


def _of_sink(document: StreamDocument, options: SinkOptions, known: accepted.Accepted, now: float) -> StreamRow:
    row = blank(document, options["name"])
    try:
        with contextlib.closing(DrySink(options, document)) as sink:
            sink.check_writable()
            totals = sink.totals(known.rejected)
            row["lines"], row["rejected"], row["accepted"] = totals.lines, totals.rejected - totals.accepted, totals.accepted
            row["gaps"], row["gap_bytes"] = totals.gaps, totals.gap_bytes
            row["gap_at"] = _utc(totals.gap_at)
            row["waiting"] = sink.waiting
            generations = sink.open_generations()
            source = source_of(document, generations, sink.generations_like)
            with contextlib.closing(source):
                source.scan()
                if isinstance(source, Tracker):
                    _measure(row, source, document["follow"]["backups"], now)
                else:
                    _measure_journal(row, t.cast("JournalTracker", source), now)
            absent = absent_of(document)
            if row["lines"] and absent.is_all:
                row["warnings"] = ["%s: %s" % (path, ABSENT) for path in absent.paths]
            read_at = max((each.read_at for each in generations), default=0.0)
            row["read_at"] = _utc(read_at)
    except LogArchiveError as error:
        row["error"] = row["state"] = str(error)
        return row
    row["state"], row["exit_code"] = _judge(row, read_at < now - LONG_WAIT, totals.gap_at > max(known.gap, now - RECENT_GAP))
    if row["state"] == NOTHING:
        row["state"] += _why_nothing(row, absent.paths, bool(document["follow"]["paths"]))
    return row


def _why_nothing(row: StreamRow, absent: t.Sequence[str], follows_files: bool) -> str:
    """What a person can do about a stream that has stored nothing: its document may have a mistake that only a look at the host shows."""
    if absent:
        return ": the folder %s does not exist" % absent[0]
    if not row["files"] and follows_files:
        return ": no file name matches 'patterns' or 'rotated'"
    return "" if row["lag_bytes"] or not follows_files else ": the files contain no complete line"


def _utc(seconds: float) -> t.Optional[str]:
    return format_utc(datetime.fromtimestamp(seconds, timezone.utc)) if seconds else None


def _measure(row: StreamRow, tracker: Tracker, backups: t.Optional[int], now: float) -> None:
    """What a look at the files adds to the status."""
    files = list(tracker.files.values())
    row["files"] = len(files)
    row["warnings"] = ["%s: %s" % problem for problem in sorted(tracker.problems.items())]
    reading = sorted((file for file in files if file.state == READING and file.generation is not None), key=lambda file: file.found.path)
    row["position"] = [{"path": f.found.path, "offset": f.generation.offset, "size": f.size} for f in reading if f.generation is not None]
    behind = [file for file in reading if file.unread]
    row["lag_bytes"] = sum(file.unread for file in behind)
    row["lag_seconds"] = max((round(max(0.0, now - _since(file)), 1) for file in behind), default=0.0)
    if backups is not None:
        folders = {file.found.folder for file in files}
        row["rotations_left"] = min((_rotations_left(files, folder, backups) for folder in folders), default=backups)


def _measure_journal(row: StreamRow, source: JournalTracker, now: float) -> None:
    """What a look at the journal adds to the status."""
    row["files"] = 1
    lag = source.lag()
    row["warnings"] = ["%s: %s" % problem for problem in sorted(source.problems.items())]
    row["lag_bytes"] = lag.size
    row["lag_seconds"] = round(max(0.0, now - lag.since), 1) if lag.since else 0.0
    if source.positions.current is not None:
        row["position"] = [
            {"path": source.name, "offset": source.positions.current.offset, "size": max(lag.end, source.positions.current.offset)}
        ]


def _since(file: File) -> float:
    """Since when a file has unread lines: the last time that some of it was read, or its last change."""
    read_at = file.generation.read_at if file.generation is not None else 0.0
    return read_at or file.found.mtime_ns / 1e9


def _rotations_left(files: t.Sequence[File], folder: str, backups: int) -> int:
    """How many rotations may come until the oldest unread file of a folder is removed."""
    rotated = sorted((f for f in files if f.found.folder == folder and not f.found.live), key=lambda f: f.found.mtime_ns, reverse=True)
    unread = [index for index, file in enumerate(rotated, 1) if file.state == READING and file.unread]
    return max(0, backups - max(unread, default=0))


def _judge(row: StreamRow, is_idle: bool, has_new_gap: bool) -> t.Tuple[str, int]:
    if row["rotations_left"] is not None and row["rotations_left"] < 1:
        return "the next rotation of the source removes lines that were not read", EXIT_FAILED
    if row["warnings"]:
        return "cannot read %s" % row["warnings"][0], EXIT_PARTLY
    if row["waiting"] and is_idle:
        return "documents wait to be sent", EXIT_PARTLY
    lost = "the source lost lines, last noticed at %s" % row["gap_at"]
    if has_new_gap:
        return lost, EXIT_PARTLY
    if row["rejected"]:
        return "lines were rejected", EXIT_PARTLY
    if not row["lines"]:
        return NOTHING, EXIT_FAILED
    return "fine; %s" % lost if row["gaps"] else "fine", EXIT_DONE
