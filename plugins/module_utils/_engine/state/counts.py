# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Figures about the archives of a job, for its status and its metrics."""

from __future__ import annotations

import json
import typing as t

if t.TYPE_CHECKING:
    from .database import Database


class Counts:
    """The figures in a catalog's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def oldest_awaited(self, job: str) -> t.Dict[str, str]:
        """When the first of the archives that each store awaits was made: {store: time in UTC}."""
        rows = self._database.execute("SELECT store, MIN(archive) FROM copies WHERE state = 'pending' AND job = ? GROUP BY store", (job,))
        query = "SELECT manifest FROM archives WHERE id = ?"
        return {store: json.loads(self._database.execute(query, (archive,))[0][0])["created"] for store, archive in rows}

    def last_created(self, job: str) -> t.Optional[str]:
        """The latest time at which one of the last thousand archives of a job was made; None if there is none."""
        mark = '"created": "'
        # The ids first, from an index: SQLite would sort all manifests of the job.
        last = "SELECT id FROM archives WHERE job = ? ORDER BY id DESC LIMIT 1000"
        query = "SELECT MAX(substr(manifest, instr(manifest, ?) + ?, ?)) FROM archives WHERE id IN (%s)" % last
        rows = self._database.execute(query, (mark, len(mark), len("2024-01-12T13:05:00Z"), job))
        return t.cast(t.Optional[str], rows[0][0])

    def copies(self, job: str, state: str) -> t.Dict[str, int]:
        """How many copies of a job's archives are in this state: {store: number}."""
        query = "SELECT store, COUNT(*) FROM copies WHERE state = ? AND job = ? GROUP BY store"
        return dict(t.cast(t.List[t.Tuple[str, int]], self._database.execute(query, (state, job))))

    def levels(self, job: str) -> t.Dict[str, t.List[str]]:
        """The levels at which the copies of a job's archives were verified: {store: [levels]}."""
        levels: t.Dict[str, t.List[str]] = {}
        rows = self._database.execute(
            "SELECT DISTINCT store, verified_by FROM copies WHERE state = 'verified' AND job = ? ORDER BY store", (job,)
        )
        for store, level in rows:
            levels.setdefault(store, []).append(level)
        return levels

    def totals(self, job: str) -> t.Tuple[int, int, int]:
        """The archives of a job that exist in the spool or are verified in a store: their number, their bytes, their sources' bytes."""
        # Of indexes alone: the rows of archives have the manifests, too.
        verified = "EXISTS (SELECT 1 FROM copies INDEXED BY copies_by_archive WHERE copies.archive = %s AND state = 'verified' AND job = ?)"
        query = "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM archives INDEXED BY archives_by_job WHERE job = ? AND (spooled >= 1 OR %s)"
        archives, size = self._database.execute(query % (verified % "archives.id"), (job, job))[0]
        spooled = "archive IN (SELECT id FROM archives WHERE job = ? AND spooled >= 1)"
        query = "SELECT COALESCE(SUM(size), 0) FROM sources INDEXED BY sources_by_archive WHERE archive >= 0 AND (%s OR %s)"
        return archives, size, self._database.execute(query % (verified % "sources.archive", spooled), (job, job))[0][0]
