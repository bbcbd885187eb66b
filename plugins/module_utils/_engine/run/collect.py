# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collect the logs of a job from its source and archive the new ones."""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime, timezone

from ..base.errors import LogArchiveError, SelectionError
from ..base.units import format_utc
from .recover import relearn

if t.TYPE_CHECKING:
    from ..sources.base import Collected, Source
    from .context import Context


def collect(run: Context) -> t.List[Source]:
    """Collect the sources of the job and archive those that are not archived yet; return the sources that may be deleted afterwards."""
    run.recorder.begin(run.collector.step)
    last = run.catalog.runs.last_success(run.job, run.now.timestamp())
    last_success = None if last is None else datetime.fromtimestamp(last.started, timezone.utc)
    with contextlib.ExitStack() as stack:
        try:
            collected = stack.enter_context(run.collector.collect(run.now, last_success, run.progress, run.check))
        except LogArchiveError as error:
            run.recorder.fail(error)
            return []
        run.recorder.record["skipped"] = [{"path": skipped.path, "reason": skipped.reason} for skipped in collected.skipped]
        errors = len(run.recorder.record["errors"])
        _archive_new(run, collected)
        if not run.check and len(run.recorder.record["errors"]) == errors:
            collected.remember()
    _report_missing(run, collected)
    return collected.files if run.collector.deletable else []


def _archive_new(run: Context, collected: Collected) -> None:
    new = _not_archived(run, collected.files)
    if new and run.catalog.runs.last_success(run.job, run.now.timestamp()) is None:
        relearn(run, new)
        new = _not_archived(run, new)
    if new:
        from .pack import pack

        pack(run, new, collected.folder)


def _not_archived(run: Context, sources: t.Sequence[Source]) -> t.List[Source]:
    archived = run.catalog.archived_sources(run.job, [source.path for source in sources])
    return [source for source in sources if (source.path, source.size, source.mtime_ns) not in archived]


def _report_missing(run: Context, collected: Collected) -> None:
    """Report the expected periods that have no log now and were not archived before, or why there is nothing to archive at all."""
    first = run.catalog.runs.first(run.job)
    since = run.now.timestamp() if first is None else first
    # Periods before the first run of the job are not missing, except the one that is due.
    periods = [p for p in collected.missing if p in collected.due or p.start.timestamp() >= since]
    periods = [p for p in periods if not run.catalog.covers(run.job, format_utc(p.start), format_utc(p.end))]
    run.recorder.record["missing"] = [{"start": format_utc(p.start), "end": format_utc(p.end)} for p in periods]
    text = run.collector.describe_missing(periods) if periods else collected.problem
    if text is None:
        return
    run.recorder.begin(run.collector.step)
    if run.collector.strict:
        run.recorder.fail(SelectionError(text, hint=run.collector.strict_hint))
    else:
        run.recorder.warn(text)
