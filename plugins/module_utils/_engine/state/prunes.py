# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the catalog records of the prunes of a host's stores."""

from __future__ import annotations

import typing as t

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
