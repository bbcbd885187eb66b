# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Figures about the archives of a job, for its status and its metrics."""

from __future__ import annotations

import typing as t

from .manifests import decode

if t.TYPE_CHECKING:
    from .database import Database


class PeriodCount(t.NamedTuple):
    """Archives of one period in one state (see ``Counts.by_period``). start: ISO 8601, UTC; seconds: how long the period is. source_bytes,
    size: bytes of the logs and of the archives."""

    start: str
    seconds: int
    state: str
    archives: int
    source_bytes: int
    size: int


_BY_PERIOD = """
SELECT period_start, seconds, CASE
    WHEN good > 0 AND good = copies - pruned THEN 'verified'
    WHEN good > 0 THEN 'partly'
    WHEN spooled >= 1 THEN 'spooled'
    WHEN pruned > 0 AND bad = 0 THEN 'pruned'
    ELSE 'missing' END AS state, COUNT(*), SUM(source_bytes), SUM(size)
FROM (
    SELECT archives.id, period_start, COALESCE(seconds, 0) AS seconds, archives.size, spooled, COUNT(copies.archive) AS copies,
        (SELECT COALESCE(SUM(sources.size), 0) FROM sources INDEXED BY sources_by_archive WHERE sources.archive = archives.id)
            AS source_bytes,
        COALESCE(SUM(copies.state = 'verified' AND failures.key IS NULL), 0) AS good,
        COALESCE(SUM(copies.state = 'verified' AND failures.key IS NOT NULL), 0) AS bad,
        COALESCE(SUM(copies.state = 'pruned'), 0) AS pruned
    FROM archives LEFT JOIN copies ON copies.archive = archives.id
        LEFT JOIN failures ON failures.job = archives.job AND failures.store = copies.store AND failures.key = copies.key
    WHERE %s GROUP BY archives.id
) GROUP BY period_start, seconds, state ORDER BY period_start
"""


class Counts:
    """The figures in a catalog's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def oldest_awaited(self, job: str) -> t.Dict[str, str]:
        """When the first of the archives that each store awaits was made: {store: time in UTC}."""
        rows = self._database.execute("SELECT store, MIN(archive) FROM copies WHERE state = 'pending' AND job = ? GROUP BY store", (job,))
        query = "SELECT manifest FROM archives WHERE id = ?"
        return {store: decode(self._database.execute(query, (archive,))[0][0])["created"] for store, archive in rows}

    def last_created(self, job: str) -> t.Optional[str]:
        """The latest time at which one of the last thousand archives of a job was made; None if there is none."""
        mark = '"created": "'
        # The ids first, from an index: SQLite would sort all manifests of the job.
        last = "SELECT id FROM archives WHERE job = ? ORDER BY id DESC LIMIT 1000"
        query = "SELECT MAX(CAST(substr(manifest, instr(manifest, CAST(? AS BLOB)) + ?, ?) AS TEXT)) FROM archives WHERE id IN (%s)" % last
        rows = self._database.execute(query, (mark, len(mark), len("2024-01-12T13:05:00Z"), job))
        return t.cast(t.Optional[str], rows[0][0])

    def copies(self, job: str, state: str) -> t.Dict[str, int]:
        """How many copies of a job's archives are in this state: {store: number}."""
        # By the index of the states: as a rule, few copies are in another one than "verified".
        query = "SELECT store, COUNT(*) FROM copies WHERE state = ? AND +job = ? GROUP BY store"
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
        # From indexes alone, because the rows of archives also hold the manifests.
        verified = "EXISTS (SELECT 1 FROM copies INDEXED BY copies_by_archive WHERE copies.archive = %s AND state = 'verified' AND job = ?)"
        query = "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM archives INDEXED BY archives_by_job WHERE job = ? AND (spooled >= 1 OR %s)"
        archives, size = self._database.execute(query % (verified % "archives.id"), (job, job))[0]
        spooled = "archive IN (SELECT id FROM archives WHERE job = ? AND spooled >= 1)"
        query = "SELECT COALESCE(SUM(size), 0) FROM sources INDEXED BY sources_by_archive WHERE archive >= 0 AND (%s OR %s)"
        return archives, size, self._database.execute(query % (verified % "sources.archive", spooled), (job, job))[0][0]

    def of_other_hosts(self, job: str, host: str) -> t.Dict[str, int]:
        """How many archives of a job are verified in a store under the name of another host: {host: number}."""
        # With two ranges of the index nothing is read if there are none.
        query = "SELECT host, COUNT(DISTINCT archive) FROM copies WHERE job = ? AND host %s ? AND state = 'verified' GROUP BY host"
        values = (job, host, job, host)
        return dict(t.cast(t.List[t.Tuple[str, int]], self._database.execute("%s UNION ALL %s" % (query % "<", query % ">"), values)))

    def by_period(self, job: str, start: str, end: str) -> t.List[PeriodCount]:
        """The archives of a job with a period that touches this time (ISO 8601, UTC), counted by period and state.

        The states: ``verified``: every store that did not prune its copy has a good one; ``partly``: some have; ``spooled``: no store has
        one yet; ``pruned``: retention removed all; ``missing``: no store has a good copy, or will get one. A copy is good if it was
        verified, and did not fail in ``log-archive verify`` since.
        """
        from .held import touching

        condition, values = touching(self._database, job, start, end)
        return [PeriodCount(*row) for row in self._database.execute(_BY_PERIOD % condition, values)]

    def without(self, copies: t.Iterable[t.Tuple[str, str]]) -> t.List[PeriodCount]:
        """The archives that lost these copies, each a (store, key): ``partly`` if another store has a verified one, else ``missing``."""
        lost: t.Dict[int, t.Set[str]] = {}
        for store, key in copies:
            for (archive,) in self._database.execute("SELECT archive FROM copies WHERE key = ? AND store = ?", (key, store)):
                lost.setdefault(archive, set()).add(store)
        found = []
        for archive, stores in lost.items():
            kept = self._database.execute("SELECT store FROM copies WHERE archive = ? AND state = 'verified'", (archive,))
            state = "partly" if {row[0] for row in kept} - stores else "missing"
            query = "SELECT period_start, COALESCE(seconds, 0) FROM archives WHERE id = ?"
            found += [PeriodCount(start, seconds, state, 0, 0, 0) for start, seconds in self._database.execute(query, (archive,))]
        return found
