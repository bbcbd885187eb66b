# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the commands about streams return."""

from __future__ import annotations

import typing as t


class SinkResult(t.TypedDict):
    """What one call stored in one sink. lines: rows and rejected lines. gap_bytes: of the gaps with a known length."""

    sink: str
    lines: int
    rows: int
    rejected: int
    gaps: int
    gap_bytes: int
    error: t.Optional[str]


class SinkState(t.NamedTuple):
    """What a process knows of a sink: why it is down, "" if it is not, and since when, in Unix seconds; what was stored since it started.

    failed: it does not pass without a person.
    """

    sink: str
    trouble: str
    since: float
    rejected: int
    gaps: int
    gap_bytes: int
    failed: bool = False


class IngestResult(t.TypedDict):
    """The result of ``ingest`` for one stream. check: a dry run. warnings: files and folders that could not be read or do not exist.

    exit_code: 0 done; 1 a sink failed; 3 something could not be read, or no folder of the stream exists.
    """

    stream: str
    host: str
    check: bool
    sinks: t.List[SinkResult]
    warnings: t.List[str]
    exit_code: int


class RetryResult(t.TypedDict):
    """The result of ``ingest --rejected`` for one sink. cut: lines of which only the beginning was kept, so that they were not tried."""

    stream: str
    sink: str
    tried: int
    stored: int
    rejected: int
    cut: int
    error: t.Optional[str]
    exit_code: int


class StreamRow(t.TypedDict):
    """The status of one stream in one sink. Sizes are in bytes, times in UTC ("2024-01-12T13:00:00Z").

    files: those that are followed now. position: path and offset of each file that is read now. lag_bytes: what was not read yet;
    lag_seconds: since when. waiting: documents that a search server does not have yet.
    rejected: lines that no table takes; accepted: how many more there are that a person has accepted. gap_bytes: of the gaps with a known
    length; gap_at: when the last one was noticed, None without one. rotations_left: how many rotations may come before the source removes
    unread lines, None without ``follow.backups``. error: why the sink or the keyring cannot be used. state: for people.
    exit_code: 0 fine; 1 the sink or the keyring cannot be used, nothing was stored yet, or one more rotation loses lines; 3 lines were
    rejected, or lost at the source within a day, and not accepted; documents have waited for long, or something cannot be read.
    """

    stream: str
    host: str
    sink: str
    files: int
    position: t.List[Position]
    lines: int
    read_at: t.Optional[str]
    lag_bytes: int
    lag_seconds: float
    waiting: int
    rejected: int
    accepted: int
    gaps: int
    gap_bytes: int
    gap_at: t.Optional[str]
    rotations_left: t.Optional[int]
    warnings: t.List[str]
    error: t.Optional[str]
    state: str
    exit_code: int


class Position(t.TypedDict):
    """A file that is read: its path, how much of its content was read, and the size of its content."""

    path: str
    offset: int
    size: int
