# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collect what the job's source has, archive it, and delete sources on request."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import typing as t
from datetime import datetime, timezone

from ..base.beneath import identity, open_file, open_folder, remove, status_of
from ..base.errors import LogArchiveError, SelectionError
from ..base.staging import CHUNK
from ..base.units import format_utc
from .recover import relearn

if t.TYPE_CHECKING:
    from ..base.beneath import Identity
    from ..sources.base import Collected, Source
    from ..state.entry import Entry
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


def delete_sources(run: Context, sources: t.Sequence[Source]) -> None:
    """Delete sources that every required store has verified and that have not changed since."""
    run.recorder.begin("delete sources")
    if run.check:
        run.recorder.record["sources_deleted"] = [source.path for source in sources]
        return
    archived = run.catalog.archived_sources(run.job, [source.path for source in sources])
    for source in sorted(sources, key=lambda source: source.path):
        try:
            with open_folder(source.root) as root:
                status = status_of(root, source.relative)
                archive = archived.get((source.path, status.st_size, status.st_mtime_ns))
                entry = None if archive is None else run.catalog.entry(archive)
                if entry is None or not stat.S_ISREG(status.st_mode) or _is_awaited(run, entry):
                    continue
                if not _was_packed(run, entry, source, root, identity(status)):
                    run.recorder.warn("%s was not deleted: it is not the file that was archived" % ascii(source.path))
                elif remove(root, source.relative, identity(status)):
                    run.recorder.record["sources_deleted"].append(source.path)
                    run.recorder.event("source_deleted", path=source.path, archive=entry.name)
        except FileNotFoundError:
            continue
        except OSError as error:
            run.recorder.fail(LogArchiveError("cannot delete the archived source: %s" % error.strerror, source.path))


def _is_awaited(run: Context, entry: Entry) -> bool:
    """Whether a required store does not have the archive verified."""
    copies = run.catalog.copies(entry)
    return any(name not in copies or copies[name].state == "pending" for name in run.stores.required)


def _was_packed(run: Context, entry: Entry, source: Source, root: int, file: Identity) -> bool:
    """Whether this file is in the archive: this run has read the very file, or it has the bytes that an earlier run read."""
    if run.packed.get(source.path) == file:
        return True
    expected = next((facts["sha256"] for facts in entry.manifest["sources"] if facts["path"] == source.path), None)
    with open(open_file(root, source.relative), "rb") as reader:
        if identity(os.fstat(reader.fileno())) != file:
            return False
        sha256 = hashlib.sha256()
        for chunk in iter(lambda: reader.read(CHUNK), b""):
            sha256.update(chunk)
    return sha256.hexdigest() == expected
