# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collect what the job's source has, archive it, and delete sources on request."""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from ..base.errors import LogArchiveError, SelectionError
from ..base.units import format_utc, parse_duration
from .pack import archive_new

if t.TYPE_CHECKING:
    from ..sources.files import Selection, Source
    from .context import Context


def collect(run: Context) -> t.List[Source]:
    """Archive what is selected, or was fetched, and is not archived yet; returns the sources that may be deleted afterwards."""
    if run.document["web"] is not None:
        _fetch(run)
        return []
    run.recorder.begin("select")
    try:
        selection = _select(run)
    except LogArchiveError as error:
        run.recorder.fail(error)
        return []
    run.recorder.record["skipped"] = [{"path": skipped.path, "reason": skipped.reason} for skipped in selection.skipped]
    archive_new(run, selection.files, "/")
    _note_missing(run, selection)
    return selection.files


def _fetch(run: Context) -> None:
    """Fetch what a web server has, archive it, and remember which version it was, so that it is not fetched again."""
    from ..sources import dumps

    run.recorder.begin("fetch")
    with contextlib.ExitStack() as stack:
        try:
            dump = stack.enter_context(dumps.fetched(run.document, run.now, run.progress, run.check))
        except LogArchiveError as error:
            run.recorder.fail(error)
            return
        if dump.problem is not None:
            if run.document["web"]["absent"] == "error":
                run.recorder.fail(SelectionError(dump.problem, hint="The job says that this is an error (web.absent)"))
            else:
                run.recorder.warn(dump.problem)
            return
        failed = len(run.recorder.record["errors"])
        archive_new(run, dump.files, dump.folder)
        if not run.check and len(run.recorder.record["errors"]) == failed:
            dump.remember()


def _select(run: Context) -> Selection:
    from ..sources.files import select

    options = dict(run.document["select"], must_exist=False)
    last = run.catalog.runs.last_success(run.job, run.now.timestamp())
    if last is not None:
        since = run.now.timestamp() - last.started
        options["catch_up"] = max(parse_duration(options["catch_up"]), since)
    return select(options, run.now)


def _note_missing(run: Context, selection: Selection) -> None:
    """Record the periods that should have a log, have none now, and were not archived before."""
    from ..base.periods import expected_periods

    select = run.document["select"]
    newest = [] if select["period"] == "none" else expected_periods(select["period"], select["offset"], 0, select["timezone"], run.now)
    first = run.catalog.runs.first(run.job)
    since = run.now.timestamp() if first is None else first
    # What the job never had a chance to archive is not missing: on its first run only the period that is due counts.
    periods = [p for p in selection.missing if p in newest or p.start.timestamp() >= since]
    periods = [p for p in periods if not run.catalog.covers(run.job, format_utc(p.start), format_utc(p.end))]
    run.recorder.record["missing"] = [{"start": format_utc(p.start), "end": format_utc(p.end)} for p in periods]
    patterns = ", ".join(select["patterns"])
    run.recorder.begin("select")
    if periods:
        spans = ", ".join("%s to %s" % (format_utc(p.start), format_utc(p.end)) for p in periods)
        text = "no log matches %s for %s" % (patterns, spans)
    elif select["period"] == "none" and not selection.files:
        text = "nothing matches %s in %s" % (patterns, ", ".join(select["paths"]))
    else:
        return
    if select["must_exist"]:
        run.recorder.fail(SelectionError(text, hint="The job requires it (select.must_exist)"))
    else:
        run.recorder.warn(text)


def delete_sources(run: Context, sources: t.Sequence[Source]) -> None:
    """Delete sources that every required store has verified and that have not changed since."""
    run.recorder.begin("delete sources")
    if run.check:
        run.recorder.record["sources_deleted"] = [source.path for source in sources]
        return
    archived = run.catalog.archived_sources(run.job, [source.path for source in sources])
    for (path, size, mtime_ns), archive in sorted(archived.items()):
        entry = run.catalog.entry(archive)
        copies = run.catalog.copies(entry)
        if any(name not in copies or copies[name].state == "pending" for name in run.stores.required):
            continue
        try:
            status = os.lstat(path)
            if not stat.S_ISREG(status.st_mode) or (status.st_size, status.st_mtime_ns) != (size, mtime_ns):
                continue
            os.unlink(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            run.recorder.fail(LogArchiveError("cannot delete the archived source: %s" % error.strerror, path))
            continue
        run.recorder.record["sources_deleted"].append(path)
        run.recorder.event("source_deleted", path=path, archive=entry.name)
