# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders of a store that had all that the catalog records of them, and nothing else, when they were last compared.

As long as neither the files of such a folder nor its archives in the catalog change, they need not be compared again. Triggers forget a
folder when an archive in it changes in the catalog, whichever release of the engine writes there. So the tables are made when they are
first needed, and the version of the schema stays.
"""

from __future__ import annotations

import typing as t

from .database import text
from .manifests import decode

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest
    from .database import Database

# Up to the last "/": rtrim removes all other characters of the key from its end.
_FOLDER = "rtrim({0}, replace({0}, '/', ''))"
_FORGET = "DELETE FROM compared WHERE folder = " + _FOLDER
_CREATE = (
    "CREATE TABLE IF NOT EXISTS compared (folder TEXT NOT NULL, job TEXT NOT NULL, store TEXT NOT NULL, mark TEXT NOT NULL,"
    " PRIMARY KEY (folder, job, store)) WITHOUT ROWID",
    "CREATE TRIGGER IF NOT EXISTS compared_insert AFTER INSERT ON copies BEGIN %s; END" % _FORGET.format("NEW.key"),
    "CREATE TRIGGER IF NOT EXISTS compared_update AFTER UPDATE OF archive, store, key, state, manifest, job ON copies BEGIN %s; %s; END"
    % (_FORGET.format("OLD.key"), _FORGET.format("NEW.key")),
    "CREATE TRIGGER IF NOT EXISTS compared_delete AFTER DELETE ON copies BEGIN %s; END" % _FORGET.format("OLD.key"),
    "CREATE TRIGGER IF NOT EXISTS compared_manifest AFTER UPDATE OF manifest ON archives BEGIN"
    " DELETE FROM compared WHERE folder IN (SELECT %s FROM copies WHERE archive = NEW.id); END" % _FOLDER.format("key"),
)
# By the index of the keys, from the first key of one folder past all others of it: '0' follows '/'.
_FOLDERS = """
WITH RECURSIVE firsts (first) AS (
    SELECT MIN(key) FROM copies
    UNION ALL
    SELECT (SELECT MIN(key) FROM copies WHERE key >= rtrim(%(folder)s, '/') || '0' AND key > first) FROM firsts WHERE first IS NOT NULL
), folders (folder) AS (SELECT %(folder)s FROM firsts WHERE first IS NOT NULL)
SELECT folder FROM folders WHERE EXISTS (
    SELECT 1 FROM copies
    WHERE key >= folder AND key < rtrim(folder, '/') || '0' AND store = ? AND +job = ? AND +state = 'verified'
)
""" % {"folder": _FOLDER.format("first")}


class Compared:
    """The folders of one job and store in a catalog's database."""

    def __init__(self, database: Database, job: str, store: str) -> None:
        self._database = database
        self._job = job
        self._store = store
        self._version: t.Optional[int] = None

    def is_empty(self) -> bool:
        """Whether the store holds nothing according to the catalog."""
        query = "SELECT EXISTS (SELECT 1 FROM copies INDEXED BY copies_by_start WHERE job = ? AND store = ? AND state = 'verified')"
        return not self._database.execute(query, (self._job, self._store))[0][0]

    def right(self) -> t.Dict[str, str]:
        """The folders that were right: {folder: its mark}."""
        self._version = self._data_version()
        if not self._database.execute("SELECT 1 FROM sqlite_master WHERE name = 'compared'"):
            return {}
        rows = self._database.execute("SELECT folder, mark FROM compared WHERE job = ? AND store = ?", (self._job, self._store))
        return dict(t.cast(t.List[t.Tuple[str, str]], rows))

    def folders(self) -> t.Set[str]:
        """The folders in which the store holds archives according to the catalog."""
        return {row[0] for row in self._database.execute(_FOLDERS, (self._store, self._job))}

    def held(self, folder: str) -> t.Dict[str, Manifest]:
        """What the store holds in this folder according to the catalog: {key: manifest}."""
        rows = self._database.execute(
            "SELECT copies.key, COALESCE(copies.manifest, archives.manifest) FROM copies JOIN archives ON archives.id = archive"
            " WHERE copies.key >= ? AND copies.key < ? AND store = ? AND +copies.job = ? AND +state = 'verified'",
            (text(folder), text(folder[:-1] + "0"), self._store, self._job),
        )
        return {key: decode(manifest) for key, manifest in rows}

    def remember(self, marks: t.Mapping[str, str]) -> None:
        """Record that these folders were right: {folder: its mark}. Nothing is recorded if the catalog has changed since ``right``, or if
        what is written here does not last."""
        if not (marks and self._database.lasts):
            return
        with self._database.transaction():
            if self._data_version() != self._version:
                return
            for statement in _CREATE:
                self._database.execute(statement)
            rows = [(folder, self._job, self._store, mark) for folder, mark in marks.items()]
            self._database.executemany("INSERT OR REPLACE INTO compared VALUES (?, ?, ?, ?)", rows)

    def _data_version(self) -> int:
        return int(self._database.execute("PRAGMA data_version")[0][0])
