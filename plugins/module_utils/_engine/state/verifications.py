# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the last verifications of the stores of a host's jobs found, as the catalog records it."""

from __future__ import annotations

from ..base import hints as t
from .database import text

if t.TYPE_CHECKING:
    from .database import Database


class Verifications:
    """The verifications in a catalog's database. An archive stays failed until it verifies again, or is pruned."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, job: str, store: str, at: float, results: t.Mapping[str, t.Optional[str]], complete: bool) -> None:
        """Record one verification of a store.

        at: seconds since the epoch. results: by the key of each archive that was verified, None or its error. complete: whether that is
        every archive of the job; an earlier failure that is not among them is then gone.
        """
        failed = [(job, store, text(key), at, text(error)) for key, error in results.items() if error is not None]
        with self._database.transaction():
            self._database.execute("INSERT OR REPLACE INTO verifications VALUES (?, ?, ?)", (job, store, at))
            if complete:
                self._database.execute("DELETE FROM failures WHERE job = ? AND store = ?", (job, store))
            else:
                self._database.executemany("DELETE FROM failures WHERE store = ? AND key = ?", [(store, text(key)) for key in results])
            self._database.executemany("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?)", failed)

    def last(self, job: str) -> t.Dict[str, float]:
        """When each store of the job was last verified, in seconds since the epoch: {store: time}."""
        return dict(
            t.cast(t.List[t.Tuple[str, float]], self._database.execute("SELECT store, at FROM verifications WHERE job = ?", (job,)))
        )

    def failures(self, job: str) -> t.Dict[str, t.Dict[str, str]]:
        """The archives of the job that failed when they were last verified: {store: {key: error}}."""
        failures: t.Dict[str, t.Dict[str, str]] = {}
        query = "SELECT store, key, error FROM failures WHERE job = ? ORDER BY store, key"
        for store, key, error in self._database.execute(query, (job,)):
            failures.setdefault(store, {})[key] = error
        return failures
