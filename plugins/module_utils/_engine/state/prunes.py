# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the catalog records of the prunes of a host's stores."""

from __future__ import annotations

import os

from ..base import hints as t
from .database import text

if t.TYPE_CHECKING:
    from .database import Database


class Prunes:
    """The prunes in a catalog's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def needed(self, job: str, store: str, policy: str) -> bool:
        """Whether the store got a copy since it was last pruned to the end by this policy (as text)."""
        return not self._database.execute("SELECT 1 FROM prunes WHERE job = ? AND store = ? AND policy = ?", (job, store, policy))

    def set_done(self, job: str, store: str, policy: str) -> None:
        """Record that a store was pruned to the end by this policy: nothing is left to do until it gets a new copy."""
        self._database.execute("INSERT OR REPLACE INTO prunes VALUES (?, ?, ?)", (job, store, policy))

    def set_refusals(self, job: str, store: str, refusals: t.Sequence[str]) -> None:
        """Record why guards refused to prune a store the last time; empty if they did not."""
        with self._database.transaction():
            self._database.execute("DELETE FROM refusals WHERE job = ? AND store = ?", (job, store))
            self._database.executemany("INSERT INTO refusals VALUES (?, ?, ?)", [(job, store, text(each)) for each in refusals])

    def refusals(self, job: str) -> t.Dict[str, t.List[str]]:
        """Why guards refused to prune the stores of a job the last time: {store: [reasons]}."""
        refusals: t.Dict[str, t.List[str]] = {}
        for store, reason in self._database.execute("SELECT store, reason FROM refusals WHERE job = ? ORDER BY store, reason", (job,)):
            refusals.setdefault(store, []).append(reason)
        return refusals

    def is_refused(self, job: str, store: str) -> bool:
        """Whether a guard refused to prune the store the last time."""
        return self._database.execute("SELECT 1 FROM refusals WHERE job = ? AND store = ?", (job, store)) != []

    def spent(self, job: str, before: str, most: int) -> t.Dict[int, t.List[str]]:
        """The oldest archives of a job that no store holds or awaits any more, with periods that ended before this time (ISO 8601, UTC):
        {id: every path of its logs}."""
        rows = self._database.execute(
            "SELECT id FROM archives WHERE job = ? AND period_start < ? AND period_end < ? AND NOT spooled AND NOT EXISTS"
            " (SELECT 1 FROM copies WHERE archive = archives.id AND +state NOT IN ('pruned', 'given up')) ORDER BY period_start LIMIT ?",
            (job, before, before, most),
        )
        paths = "SELECT path FROM sources WHERE archive = ?"
        return {row[0]: [os.fsdecode(path) for (path,) in self._database.execute(paths, row)] for row in rows}

    def forget(self, archives: t.Iterable[int]) -> None:
        """Remove the records of these archives."""
        values = [(archive,) for archive in archives]
        with self._database.transaction():
            for statement in (
                "DELETE FROM sources WHERE archive = ?",
                "DELETE FROM copies WHERE archive = ?",
                "DELETE FROM archives WHERE id = ?",
            ):
                self._database.executemany(statement, values)
