# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host still has of jobs, names and stores that no job document names any more. Nothing is changed here.

The catalog also knows jobs that run without a document, in a play (the module archive_run). Such a job is left over only once it has not
run for a while.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import typing as t

from ..archive.naming import MANIFEST_SUFFIX
from ..base.durable import TEMP_PREFIX
from ..base.errors import EXIT_PARTLY, LogArchiveError
from ..base.units import format_size
from ..config.spec import JOB
from . import catalog as catalogs
from .database import Database, path_in, text
from .renames import tables_of

if t.TYPE_CHECKING:
    from .record import SpoolRecord

    class OrphanRow(t.TypedDict):
        """What is left of a job, an earlier name or a store. Sizes are in bytes.

        orphan: "job" (no document names the job), "name" (the job no longer lists this earlier name in ``was``) or "store" (the job no
        longer has this store). job: its name; name: the earlier name; store: the name of the store. spool: the archives that wait.
        stores: how many archives the catalog records in each store. files: further files of the job in the state folder, by name.
        state_folder, spool_folder: where they are; None if there is none. state: all of that as text. exit_code: 3.
        """

        orphan: str
        job: str
        name: t.Optional[str]
        store: t.Optional[str]
        spool: SpoolRecord
        stores: t.Dict[str, int]
        files: t.List[str]
        state_folder: t.Optional[str]
        spool_folder: t.Optional[str]
        state: str
        exit_code: int


Given = t.Mapping[str, t.Any]
"""A job document as it was written; it may have mistakes."""

_FILE = re.compile(r"(.+?)\.(?:ledger(?:\.head|\.key|\.next\.key|\.sent)?|(?:removals|web)\.json)", re.DOTALL)
"""The files of a job in the state folder, beside the catalog and the lock. A ledger that was kept aside has a time in its name."""
_NO_FOLDER = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
RUNS_WITHOUT = 32 * 86400
"""Seconds after its last run at which a job that never had a document counts as left over: some jobs run once a month."""


def find(documents: t.Mapping[str, Given], now: float, defaults: bool) -> t.List[OrphanRow]:
    """What is left over. documents: of the host, by the names of their files. defaults: look in the default folders too. now: in seconds
    since the epoch. Raises LogArchiveError for a catalog that cannot be used, and for a folder that cannot be read."""
    known = {name: [name, *_texts(given.get("was"))] for name, given in documents.items()}
    owned = {name for names in known.values() for name in names}
    rows: t.Dict[str, OrphanRow] = {}
    for folder in _folders("spool", documents, defaults):
        for job, spool in _spooled(folder, owned).items():
            row = rows.setdefault(job, _row("job", job))
            row.update({"spool": spool, "spool_folder": folder})
    more: t.List[OrphanRow] = []
    for folder in _folders("state", documents, defaults):
        if catalogs.exists(folder):
            with contextlib.closing(_opened(folder)) as database:
                for job in _jobs(database) - owned:
                    if job in rows or _is_over(database, job, now):
                        row = rows.setdefault(job, _row("job", job))
                        row.update({"stores": _copies(database, job), "state_folder": folder})
                for job, names in known.items():
                    of_job = _of_living(database, job, names, documents[job])
                    for row in of_job:
                        row["state_folder"] = folder
                    more += of_job
        for job, files in _files(folder).items():
            # A catalog decides on the jobs that it knows.
            if job not in owned and (job in rows or not _knows(folder, job)):
                row = rows.setdefault(job, _row("job", job))
                row.update({"files": files, "state_folder": folder})
    found = [*rows.values(), *more]
    for row in found:
        row["state"] = _text(row)
    return sorted(found, key=lambda row: (row["job"], row["orphan"], row["name"] or "", row["store"] or ""))


def without_folders(documents: t.Mapping[str, Given]) -> t.List[str]:
    """The jobs whose documents cannot be read, or do not tell where spool and state are: what is left there is not found."""
    return [
        name
        for name, given in documents.items()
        if not given or not all(_is_path(given.get(kind) or JOB[kind]["default"]) for kind in ("spool", "state"))
    ]


def _opened(folder: str) -> Database:
    """The catalog, as it is. While a run writes to it, a reader that leaves no trace would have to copy all of it."""
    return Database(folder, readonly=not os.path.exists(path_in(folder) + "-wal"))


def _row(kind: str, job: str) -> OrphanRow:
    return {
        "orphan": kind,
        "job": job,
        "name": None,
        "store": None,
        "spool": {"archives": 0, "bytes": 0},
        "stores": {},
        "files": [],
        "state_folder": None,
        "spool_folder": None,
        "state": "",
        "exit_code": EXIT_PARTLY,
    }


def _text(row: OrphanRow) -> str:
    held = ["%d archive(s) in store %s" % (count, store) for store, count in sorted(row["stores"].items())]
    if row["orphan"] == "store":
        # The documents that had its options are gone, and only its administrator can list keys and accounts.
        return "the job no longer has this store: %s. A key or account that it used there cannot be seen from here" % ", ".join(held)
    if row["orphan"] == "name":
        return "the job no longer lists the earlier name '%s' in 'was': %s" % (row["name"], ", ".join(held))
    if row["spool"]["archives"]:
        size = format_size(row["spool"]["bytes"])
        held.insert(0, "%d archive(s), %s, wait in %s" % (row["spool"]["archives"], size, row["spool_folder"]))
    if row["files"]:
        held.append("%d file(s) in %s" % (len(row["files"]), row["state_folder"]))
    return "no document names this job: %s" % (", ".join(held) or "records of its runs in %s" % row["state_folder"])


def _folders(kind: str, documents: t.Mapping[str, Given], defaults: bool) -> t.List[str]:
    """The spools, or the state folders, of all jobs."""
    given = [document.get(kind) or JOB[kind]["default"] for document in documents.values()]
    folders = {os.path.expanduser(path) for path in given if _is_path(path)} | ({JOB[kind]["default"]} if defaults else set())
    return sorted(folders)


def _is_path(value: t.Any) -> bool:
    """Whether the system takes the value as a path."""
    try:
        return isinstance(value, str) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def _spooled(folder: str, owned: t.Container[str]) -> t.Dict[str, SpoolRecord]:
    """The archives in a spool of jobs that nobody owns."""
    found: t.Dict[str, SpoolRecord] = {}
    for host in _names_in(folder):
        for job in _names_in(os.path.join(folder, host)):
            if job in owned:
                continue
            for path, _folders_in, names in os.walk(os.path.join(folder, host, job), onerror=_refuse):
                for name in names:
                    if not name.endswith(MANIFEST_SUFFIX) and not name.startswith(TEMP_PREFIX):
                        record = found.setdefault(job, {"archives": 0, "bytes": 0})
                        record["archives"] += 1
                        with contextlib.suppress(FileNotFoundError):
                            record["bytes"] += os.lstat(os.path.join(path, name)).st_size
    return found


def _names_in(folder: str) -> t.List[str]:
    return sorted(entry.name for entry in _entries(folder) if entry.is_dir(follow_symlinks=False))


def _entries(folder: str) -> t.List[os.DirEntry[str]]:
    """What is in a folder; nothing if a document names what is no folder. Raises LogArchiveError if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        _refuse(error)
        return []


def _refuse(error: OSError) -> None:
    """Raise LogArchiveError unless there is no such folder."""
    if error.errno not in _NO_FOLDER:
        hint = "Run it as the user of the jobs, or as root" if error.errno == errno.EACCES else None
        raise LogArchiveError("cannot read the folder: %s" % error.strerror, error.filename, hint) from error


def _files(folder: str) -> t.Dict[str, t.List[str]]:
    """The files of jobs in a state folder, beside the catalog and the locks: {job: names of files}."""
    found: t.Dict[str, t.List[str]] = {}
    for name in sorted(entry.name for entry in _entries(folder)):
        file = _FILE.fullmatch(name)
        if file is not None:
            found.setdefault(file[1], []).append(name)
    return found


def files_of(folder: str, job: str) -> t.List[str]:
    """The names of the files of one job in the state folder."""
    return _files(folder).get(job, [])


def _jobs(database: Database) -> t.Set[str]:
    """The jobs that a catalog knows."""
    return {job for table in tables_of(database) if table != "copies" for (job,) in database.execute("SELECT DISTINCT job FROM %s" % table)}


def _knows(folder: str, job: str) -> bool:
    if not catalogs.exists(folder):
        return False
    with contextlib.closing(_opened(folder)) as database:
        return bool(tables_of(database, text(job)))


def _is_over(database: Database, job: str, now: float) -> bool:
    """Whether a job that has no document does not run without one either."""
    if database.execute("SELECT 1 FROM jobs WHERE job = ?", (job,)):
        return True
    last = database.execute("SELECT MAX(started) FROM runs WHERE job = ?", (job,))[0][0]
    return last is None or last < now - RUNS_WITHOUT


def _copies(database: Database, job: str) -> t.Dict[str, int]:
    # In the order of an index.
    query = "SELECT store, COUNT(*) FROM copies WHERE job = ? AND state = 'verified' GROUP BY host, store"
    found: t.Dict[str, int] = {}
    for store, count in database.execute(query, (text(job),)):
        found[store] = found.get(store, 0) + count
    return found


def _of_living(database: Database, job: str, names: t.Sequence[str], given: Given) -> t.List[OrphanRow]:
    """What a job with a document has in stores and under names that it no longer has."""
    found = []
    stores = given.get("stores")
    own = set(_texts([_store_name(store) for store in stores if isinstance(store, dict)])) if isinstance(stores, list) else set()
    for store, count in _copies(database, job).items():
        # Without a store the document has a mistake, which its own row reports.
        if own and store not in own:
            found.append(_row("store", job))
            found[-1].update({"store": store, "stores": {store: count}})
    folders = " AND ".join(["instr(key, ?) = 0"] * len(names))
    query = "SELECT store, key FROM copies WHERE job = ? AND state = 'verified' AND " + folders
    others: t.Dict[str, t.Dict[str, int]] = {}
    for store, key in database.execute(query, (text(job), *("/%s/" % text(name) for name in names))):
        name = key.split("/")[1] if key.count("/") > 1 else None
        if name is not None and store in own:
            counts = others.setdefault(name, {})
            counts[store] = counts.get(store, 0) + 1
    for name, counts in others.items():
        found.append(_row("name", job))
        found[-1].update({"name": name, "stores": counts})
    return found


def _store_name(store: Given) -> t.Any:
    return store.get("name") or store.get("type")


def _texts(given: t.Any) -> t.List[str]:
    return [each for each in given if isinstance(each, str)] if isinstance(given, list) else []
