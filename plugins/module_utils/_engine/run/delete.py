# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Delete sources on request, once every required store has verified their archive."""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from ..base.beneath import exists, finish_removal, identity, open_file, open_folder, parent_of, private_name, remove, status_of
from ..base.errors import LogArchiveError
from ..base.sparse import sha256_of_file
from ..state import removals
from ..state.folders import removals_path
from ..state.removals import Removal

if t.TYPE_CHECKING:
    from ..sources.base import Source
    from ..state.entry import Entry
    from .context import Context


def delete_sources(run: Context, sources: t.Sequence[Source]) -> None:
    """Delete sources that every required store has verified and that have not changed since."""
    run.recorder.begin("delete sources")
    if run.check:
        run.recorder.record["sources_deleted"] = [source.path for source in sources if source.path not in run.left_out]
        return
    archived = run.catalog.archived_sources(run.job, [source.path for source in sources])
    failures = run.catalog.verifications.failures(run.job)
    planned: t.List[t.Tuple[Removal, str]] = []
    for source in sorted(sources, key=lambda source: source.path):
        with _recording_errors(run, source.path), open_folder(source.root) as root:
            status = status_of(root, source.relative)
            archive = archived.get((source.path, status.st_size, status.st_mtime_ns))
            entry = None if archive is None else run.catalog.entry(archive)
            if entry is None or not stat.S_ISREG(status.st_mode) or not _is_held(run, entry, failures):
                continue
            if _was_packed(run, entry, source, root, status):
                removal = Removal(source.root, source.relative, *identity(status), private_name(source.relative))
                planned.append((removal, entry.name))
            else:
                run.recorder.warn("%s was not deleted: it is not the file that was archived" % ascii(source.path))
    if planned:
        path = removals_path(run.document["state"], run.job)
        earlier = removals.unfinished(path)
        removals.begin(path, [*earlier, *(removal for removal, _archive in planned)])
        open_ones = [removal for removal, archive_name in planned if not _remove(run, removal, archive_name)]
        removals.keep(path, [*earlier, *open_ones])


def finish_deletions(run: Context) -> None:
    """Complete the deletions of a killed run. Those files have private names, and may not be the files that it meant to delete.

    What cannot be answered now, because a folder is missing (not mounted) or a disk fails, stays recorded for the next run.
    """
    run.recorder.begin("delete sources")
    path = removals_path(run.document["state"], run.job)
    removals.keep(path, [removal for removal in removals.unfinished(path) if not _finish(run, removal, path)])


def _remove(run: Context, removal: Removal, archive_name: str) -> bool:
    """Delete one source; returns whether nothing is left to do."""
    with _recording_errors(run, removal.path), open_folder(removal.root) as root:
        if remove(root, removal.relative, (removal.device, removal.inode), removal.private):
            _record(run, removal, archive_name)
        return True
    return not _has_private_name(removal)


def _has_private_name(removal: Removal) -> bool:
    """Whether a file may still have the private name of a removal."""
    folder = os.path.dirname(removal.relative)
    try:
        with open_folder(removal.root) as root:
            return exists(root, os.path.join(folder, removal.private))
    except OSError:
        return True


def _finish(run: Context, removal: Removal, record: str) -> bool:
    """Complete one deletion; returns whether nothing is left to do."""
    try:
        with open_folder(removal.root) as root, parent_of(root, removal.relative):
            pass
    except OSError as error:
        run.recorder.warn(
            "a killed run was deleting %s, and its folder cannot be opened (%s); the next run tries again. If the folder is gone for good,"
            " remove %s" % (ascii(removal.path), error.strerror, record)
        )
        return False
    with _recording_errors(run, removal.path), open_folder(removal.root) as root:
        if finish_removal(root, removal.relative, (removal.device, removal.inode), removal.private):
            _record(run, removal, None)
        return True
    return not _has_private_name(removal)


def _record(run: Context, removal: Removal, archive: t.Optional[str]) -> None:
    run.recorder.record["sources_deleted"].append(removal.path)
    run.recorder.event("source_deleted", path=removal.path, archive=archive)


@contextlib.contextmanager
def _recording_errors(run: Context, path: str) -> t.Iterator[None]:
    """A source that no longer exists needs no deletion; any other error is recorded, and the next source is deleted."""
    try:
        yield
    except FileNotFoundError:
        pass
    except OSError as error:
        run.recorder.fail(LogArchiveError("cannot delete the archived source: %s" % error.strerror, path))


def _is_held(run: Context, entry: Entry, failures: t.Mapping[str, t.Mapping[str, str]]) -> bool:
    """Whether no required store awaits the archive, and a store of the job has it verified now. failures: of verifications."""
    copies = run.catalog.copies(entry)
    if any(name not in copies or copies[name].state == "pending" for name in run.stores.required):
        return False
    held = [copies[name] for name in run.stores.names if name in copies and copies[name].state == "verified"]
    return any(copy.key not in failures.get(copy.store, {}) for copy in held)


def _was_packed(run: Context, entry: Entry, source: Source, root: int, status: os.stat_result) -> bool:
    """Whether this file is in the archive: this run has read the very file, or it has the bytes that an earlier run read."""
    file = identity(status)
    if run.packed.get(source.path) == file:
        return True
    # The catalog, not the manifest: a log that was recognised after a rotation has another name there.
    expected = run.catalog.names.sha256(entry.id, source.path, status.st_size, status.st_mtime_ns)
    with open(open_file(root, source.relative), "rb") as reader:
        if identity(os.fstat(reader.fileno())) != file:
            return False
        return sha256_of_file(reader.fileno()) == expected
