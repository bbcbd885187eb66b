# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collect the logs of a job from its source and archive the new ones."""

from __future__ import annotations

import contextlib
import os

from ..base import hints as t
from ..base.errors import LogArchiveError, SelectionError, SourceError
from ..base.units import format_utc
from .look_back import looks_back_to

if t.TYPE_CHECKING:
    from ..sources.base import Collected, Pending, Source
    from .context import Context

    AnySource = t.TypeVar("AnySource", Source, Pending)

PORTION = 5000
"""Sources that are looked for in the catalog at once."""
LISTED = 10
"""Files and folders that are errors of their own; all are in the record as skipped."""


def collect(run: Context) -> t.List[Source]:
    """Collect the sources of the job and archive those that are not archived yet; return the sources that may be deleted afterwards."""
    run.recorder.begin(run.collector.step)
    # A later step looks at archived logs only to delete them.
    if not run.document["delete_sources"]:
        run.collector.archived = lambda folder, names: run.catalog.names.last_states(run.job, folder, names)
    with contextlib.ExitStack() as stack:
        try:
            collected = stack.enter_context(run.collector.collect(run.now, looks_back_to(run), run.progress, run.check))
        except LogArchiveError as error:
            run.recorder.fail(error)
            return []
        run.recorder.record["skipped"] = [{"path": skipped.path, "reason": skipped.reason} for skipped in collected.skipped]
        errors = len(run.recorder.record["errors"])
        _archive_new(run, collected)
        # Only now is it known what could not be fetched.
        pending = _not_archived(run, collected.pending)
        run.recorder.record["open_since"] = _open_since(pending)
        if not run.check and len(run.recorder.record["errors"]) == errors:
            collected.remember()
    _report_missing(run, collected)
    _report_unreadable(run, [one for one in pending if one.unreadable])
    return collected.files if run.collector.deletable else []


def _open_since(pending: t.Sequence[Pending]) -> t.Optional[str]:
    return min((format_utc(one.period.start) for one in pending if one.period is not None), default=None)


def _archive_new(run: Context, collected: Collected) -> None:
    new = _not_archived(run, collected.files)
    if new and run.catalog.runs.last_success(run.job, run.now.timestamp()) is None:
        from .recover import relearn

        relearn(run, new)
        new = _not_archived(run, new)
    if new and run.collector.deletable:
        from .rotated import recognise

        new = recognise(run, new)
    if new and _has_retention(run):
        from .unkept import leave_out

        new = leave_out(run, new)
    if new:
        from .pack import pack

        if run.check:
            pack(run, new, collected.folder)
            return
        try:
            for batch in collected.fetch(new):
                if not pack(run, batch, collected.folder):
                    break
        except LogArchiveError as error:
            run.recorder.begin(run.collector.step)
            run.recorder.fail(error)


def _has_retention(run: Context) -> bool:
    return run.document["retention"] is not None or any(store["retention"] for store in run.document["stores"])


def _not_archived(run: Context, sources: t.Sequence[AnySource]) -> t.List[AnySource]:
    new: t.List[AnySource] = []
    # In portions: what is archived of 100,000 sources takes much memory.
    for start in range(0, len(sources), PORTION):
        some = sources[start : start + PORTION]
        archived = run.catalog.archived_sources(run.job, [source.path for source in some])
        new += [source for source in some if (source.path, source.size, source.mtime_ns) not in archived]
    return new


def _report_missing(run: Context, collected: Collected) -> None:
    """Report the expected periods that have no log now and were not archived before, or why there is nothing to archive at all."""
    first = run.catalog.runs.first(run.job)
    since = run.now.timestamp() if first is None else first
    # Periods before the first run of the job are not missing, except the one that is due.
    periods = [p for p in collected.missing if p in collected.due or p.start.timestamp() >= since]
    periods = [p for p in periods if not run.catalog.covers(run.job, format_utc(p.start), format_utc(p.end))]
    run.recorder.record["missing"] = [{"start": format_utc(p.start), "end": format_utc(p.end)} for p in periods]
    texts = [run.collector.describe_missing(periods)] if periods else []
    if collected.problem is not None:
        texts.append(collected.problem)
    if not texts:
        return
    text = "; ".join(texts)
    run.recorder.begin(run.collector.step)
    if run.collector.strict:
        run.recorder.fail(SelectionError(text, hint=run.collector.strict_hint))
    else:
        run.recorder.warn(text)


def _report_unreadable(run: Context, unreadable: t.Sequence[Pending]) -> None:
    """What cannot be read is an error: the run is not a success, so that later runs look for it again."""
    if not unreadable:
        return
    run.recorder.begin(run.collector.step)
    for one in unreadable[:LISTED]:
        run.recorder.fail(SourceError(one.reason, one.path, run.collector.unreadable_hint))
    more = unreadable[LISTED:]
    if more:
        text = "%d more files or folders cannot be read; '--json' lists them as skipped" % len(more)
        run.recorder.fail(SourceError(text, os.path.commonpath([one.path for one in more])))
