# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send or remove what a job left behind that no document names any more. To keep its archives, use ``was`` (``state.renames``)."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..base.errors import ConfigError, LogArchiveError
from ..base.lists import some
from ..state import catalog as catalogs
from ..state.database import Database
from ..state.folders import held, lock_of
from ..state.orphans import files_of
from ..state.renames import tables_of
from ..state.spool import Spool
from . import job as jobs

if t.TYPE_CHECKING:
    from ..base.progress import Progress
    from ..config.document import JobDocument
    from ..state.orphans import OrphanRow
    from ..state.record import RunRecord


REASON = "removed on request: no document names the job"
"""Why archives of an orphan were removed, in the plan and in the tombstones."""


def send(row: OrphanRow, document: JobDocument, stores: t.Sequence[str], progress: Progress, check: bool) -> RunRecord:
    """Send what waits in the spool of a job without a document, with the stores and keys of another job; returns the record of that.

    document: of that job, which has the same spool and state. stores: names; empty is all of its stores. Raises ConfigError if it has
    other folders, LockedError, LogArchiveError.
    """
    return jobs.send(_taken(row, document, stores), progress=progress, check=check)


def remove_archives(row: OrphanRow, document: JobDocument, stores: t.Sequence[str], progress: Progress, check: bool) -> RunRecord:
    """Remove the archives of a job without a document from stores, each with its tombstone; returns the record of that. Its ledger stays.

    document: of a job with the same spool and state, which has these stores. stores: names; empty is all that have archives of the orphan,
    by the catalog. Raises ConfigError if the job has other folders or lacks such a store, LockedError, LogArchiveError.
    """
    if row["spool"]["archives"]:
        text = "%d archive(s) wait in the spool" % row["spool"]["archives"]
        raise LogArchiveError(text, row["job"], "Send them (orphans send), or give them up (orphans remove --spool)")
    wanted = list(stores) or sorted(row["stores"])
    missing = [name for name in wanted if name not in (store["name"] for store in document["stores"])]
    if missing:
        hint = "Name a job that has it with --stores-of, or choose a store with --store"
        raise ConfigError("the job '%s' has no store %s" % (document["name"], some(missing)), row["job"], hint)
    return jobs.remove_archives(_taken(row, document, wanted), REASON, progress, check)


def _taken(row: OrphanRow, document: JobDocument, stores: t.Sequence[str]) -> JobDocument:
    """The document of a job, as one of the orphan. stores: names; empty is all of its stores."""
    for kind, folder in (("spool", row["spool_folder"] or document["spool"]), ("state", row["state_folder"] or document["state"])):
        if folder != t.cast("t.Mapping[str, t.Any]", document)[kind]:
            raise ConfigError("the job '%s' has another %s than the orphan '%s'" % (document["name"], kind, row["job"]), str(folder))
    chosen = [store for store in document["stores"] if not stores or store["name"] in stores]
    return t.cast("JobDocument", {**document, "name": row["job"], "was": [], "stores": chosen, "notify": []})


def remove(row: OrphanRow, spool: bool, records: bool, check: bool) -> t.List[str]:
    """Remove what this host has of a job, an earlier name or a store: returns what that is. Archives in stores stay.

    spool: give up archives that wait in the spool. records: forget archives that stores hold. Without these words such archives are a
    reason to refuse. Raises LogArchiveError, LockedError.
    """
    if row["spool"]["archives"] and not spool:
        text = "%d archive(s) wait in the spool, and may be in no store" % row["spool"]["archives"]
        raise LogArchiveError(text, row["job"], "Send them (orphans send), or give them up with --spool")
    if row["stores"] and not records:
        text = "this host would no longer know %d archive(s) in %s" % (sum(row["stores"].values()), some(sorted(row["stores"])))
        hint = (
            "Adopt them (orphans adopt), so that a job prunes and restores them; or remove them from the stores (orphans remove-archives);"
            " or forget them with --records: then they stay in the stores"
        )
        raise LogArchiveError(text, row["job"], hint)
    removed = ["%d archive(s) in %s" % (row["spool"]["archives"], row["spool_folder"])] * bool(row["spool"]["archives"])
    removed += ["the records of %d archive(s) in store %s" % (count, store) for store, count in sorted(row["stores"].items())]
    removed += [os.path.join(row["state_folder"] or "", name) for name in row["files"]]
    if row["orphan"] == "job" and not row["stores"] and row["state_folder"]:
        removed.append("the records of its runs")
    if not check:
        _remove(row)
    return removed


def _remove(row: OrphanRow) -> None:
    """Each step may be the last one: what is left is found again."""
    with contextlib.ExitStack() as stack:
        if row["state_folder"] is not None:
            state = stack.enter_context(held(row["state_folder"]))
            stack.enter_context(jobs.lock(row["state_folder"], row["job"], state))
        if row["spool_folder"] is not None:
            _empty_spool(row["spool_folder"], row["job"])
        if row["state_folder"] is None:
            return
        if catalogs.exists(row["state_folder"]):
            with contextlib.closing(Database(row["state_folder"])) as database:
                _forget(database, row)
        if row["orphan"] == "job":
            for name in [*files_of(row["state_folder"], row["job"]), os.path.basename(lock_of(row["state_folder"], row["job"]))]:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=state)


def _empty_spool(folder: str, job: str) -> None:
    with contextlib.closing(Spool(folder, [job])) as spool:
        try:
            for key in spool.clean():
                spool.remove(key)
        except OSError as error:
            raise LogArchiveError("cannot remove the archives in the spool: %s" % error.strerror, error.filename or folder) from error


def _forget(database: Database, row: OrphanRow) -> None:
    """Remove the records of a whole job, or of copies in a store or under an earlier name."""
    with database.transaction():
        if row["orphan"] == "job":
            database.execute("DELETE FROM sources WHERE archive IN (SELECT id FROM archives WHERE job = ?)", (row["job"],))
            for table in tables_of(database, row["job"]):
                database.execute("DELETE FROM %s WHERE job = ?" % table, (row["job"],))
        elif row["orphan"] == "store":
            # The archives stay known: other stores may have them, and their logs must not be archived again.
            for table in ("copies", "heads", "prunes", "refusals", "verifications", "failures", "listings", "differences"):
                database.execute("DELETE FROM %s WHERE job = ? AND store = ?" % table, (row["job"], row["store"]))
        else:
            database.execute(
                "DELETE FROM copies WHERE job = ? AND state = 'verified' AND substr(key, instr(key, '/') + 1, ?) = ?",
                (row["job"], len(row["name"] or "") + 1, "%s/" % row["name"]),
            )
