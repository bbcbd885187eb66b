# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a store holds of a host and job according to the catalog, as retention needs it: no manifest is read.

Retention must not cost more with each year that archives are kept: of 100,000 archives it reads 100,000 numbers from an index.
"""

from __future__ import annotations

import typing as t

from .database import text

if t.TYPE_CHECKING:
    import array

    from .database import Database

_VERIFIED = "FROM copies WHERE job = ? AND host = ? AND store = ? AND state = 'verified'"


class Held:
    """The verified copies of one host, job and store in a catalog's database. Times are in seconds since the epoch."""

    def __init__(self, database: Database, host: str, job: str, store: str) -> None:
        self._database = database
        self._values = (job, host, store)

    def count(self) -> int:
        """How many archives."""
        return int(self._database.execute("SELECT COUNT(*) %s" % _VERIFIED, self._values)[0][0])

    def starts(self) -> array.array[int]:
        """When the periods of the archives start, newest first, each once."""
        return self._database.integers("SELECT DISTINCT start %s ORDER BY start DESC" % _VERIFIED, self._values)

    def by_key(self) -> t.Dict[str, int]:
        """The start of the period of each archive."""
        return dict(t.cast(t.List[t.Tuple[str, int]], self._database.execute("SELECT key, start %s" % _VERIFIED, self._values)))

    def of_period(self, start: int) -> t.List[t.Tuple[str, int]]:
        """The archives of the period that starts then: (key, size in bytes)."""
        return t.cast(
            t.List[t.Tuple[str, int]],
            self._database.execute(
                "SELECT copies.key, size FROM copies JOIN archives ON archives.id = archive WHERE copies.job = ? AND copies.host = ?"
                " AND store = ? AND state = 'verified' AND copies.start = ? ORDER BY copies.key",
                (*self._values, start),
            ),
        )

    def start_of(self, key: str) -> t.Optional[int]:
        """When the period of the archive with this key starts; None if the store does not hold it."""
        rows = self._database.execute(
            "SELECT start FROM copies WHERE key = ? AND store = ? AND +state = 'verified'", (text(key), self._values[2])
        )
        return rows[0][0] if rows else None

    def below(self, folder: str) -> t.Set[str]:
        """The keys that begin with this prefix, which ends with '/'."""
        rows = self._database.execute(
            "SELECT key FROM copies WHERE key >= ? AND key < ? AND store = ? AND +state = 'verified'",
            (folder, folder[:-1] + "0", self._values[2]),
        )
        return {row[0] for row in rows}
