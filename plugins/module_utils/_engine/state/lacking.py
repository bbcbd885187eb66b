# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives that one store lacks and another has, as the catalog records them.

A store that a job gets later, or under another name, has no copies on record. Retention decides in ``tell.lacking`` which of these
archives the store should have.
"""

from __future__ import annotations

import typing as t

from .database import text
from .held import longest

if t.TYPE_CHECKING:
    from datetime import datetime

    from .database import Database
    from .entry import Entry


class Lacked(t.NamedTuple):
    """An archive that a store lacks: its id, the host that made it, and its key. start: of its period, in seconds since the epoch;
    seconds: the length of the period. size: in bytes. begun: ``log-archive sync`` has begun to copy it there."""

    archive: int
    host: str
    key: str
    start: int
    seconds: int
    size: int
    begun: bool

    def touches(self, start: t.Optional[datetime], end: t.Optional[datetime]) -> bool:
        """Whether the period touches this time; either may be open."""
        first, last = (None if moment is None else moment.timestamp() for moment in (start, end))
        return (last is None or self.start < last) and (first is None or self.start + self.seconds > first or self.start >= first)


_FIRST, _LAST = -(1 << 62), 1 << 62
"""Before and after every period, in seconds since the epoch."""
# Of indexes alone, as far as possible: a catalog may have 100,000 archives, and each status asks.
_VERIFIED = "EXISTS (SELECT 1 FROM copies INDEXED BY copies_by_archive WHERE archive = archives.id AND state = 'verified' AND job = :job)"
_ABSENT = (
    "SELECT id FROM archives INDEXED BY %s WHERE job = :job AND spooled = 0 %s"
    " AND NOT EXISTS (SELECT 1 FROM copies WHERE archive = archives.id AND store = :store) AND " + _VERIFIED
)
_OPEN = (
    "SELECT archive FROM copies JOIN archives ON archives.id = archive"
    " WHERE state IN ('pending', :given_up) AND copies.job = :job AND store = :store AND spooled = 0 AND " + _VERIFIED
)
_BEGUN = "EXISTS (SELECT 1 FROM copies WHERE archive = archives.id AND store = :store AND state = 'pending')"
# What one store lacks another one has verified: most jobs never had another one. By ranges of the index copies_by_start, from host to host.
_ANOTHER = """
WITH RECURSIVE hosts (name) AS (
    SELECT MIN(host) FROM copies WHERE job = :job
    UNION ALL
    SELECT (SELECT MIN(host) FROM copies WHERE job = :job AND host > name) FROM hosts WHERE name IS NOT NULL
)
SELECT EXISTS (SELECT 1 FROM hosts JOIN copies ON host = name WHERE job = :job AND store < :store AND state = 'verified')
    OR EXISTS (SELECT 1 FROM hosts JOIN copies ON host = name WHERE job = :job AND store > :store AND state = 'verified')
"""
_QUERY = "SELECT id, host, key, start, seconds, size, " + _BEGUN + " FROM archives WHERE id IN (%s UNION %s) ORDER BY start, id"
_ALL = _QUERY % (_ABSENT % ("archives_by_job", ""), _OPEN)
# No period is longer than the longest of the job, so this is a range of the index.
_OF_TIME = _QUERY % (_ABSENT % ("archives_by_start", "AND start >= :first AND start < :last"), _OPEN)


class Lacking:
    """The archives that stores lack, in a catalog's database.

    A copy is "pending" while it is made. A copy that retention removed (pruned) is not lacking.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(
        self, job: str, store: str, given_up: bool = False, start: t.Optional[datetime] = None, end: t.Optional[datetime] = None
    ) -> t.List[Lacked]:
        """The archives of a job, in no spool, that another store has verified and this one lacks; oldest first.

        given_up: with those that the store was not to get (``max_backlog``). start, end: only those with a period that touches this time.
        """
        if not self._database.execute(_ANOTHER, {"job": job, "store": store})[0][0]:
            return []
        values: t.Dict[str, t.Any] = {"job": job, "store": store, "given_up": "given up" if given_up else "pending"}
        if start is not None or end is not None:
            values["first"] = _FIRST if start is None else start.timestamp() - longest(self._database, job)
            values["last"] = _LAST if end is None else end.timestamp()
        rows = self._database.execute(_OF_TIME if "first" in values else _ALL, values)
        found = [Lacked(row[0], row[1], row[2], row[3], row[4], row[5], bool(row[6])) for row in rows]
        return [one for one in found if one.touches(start, end)]

    def is_of_former_store(self, key: str, stores: t.Container[str]) -> bool:
        """Whether a store that is none of these has verified the archive with this key: it may have had another name."""
        rows = self._database.execute("SELECT store FROM copies WHERE key = ? AND state = 'verified'", (text(key),))
        return any(store not in stores for (store,) in rows)

    def begin(self, archive: int, store: str, key: str) -> None:
        """Record that a store is about to get this copy: from then on the catalog knows what may be there."""
        with self._database.transaction():
            self._database.execute(
                "INSERT OR IGNORE INTO copies (archive, store, key, state, host, job, start)"
                " SELECT id, ?, ?, 'pending', host, job, start FROM archives WHERE id = ?",
                (store, key, archive),
            )

    def abandon(self, archive: int, store: str) -> None:
        """Record that the store did not get the copy: another object has its name."""
        with self._database.transaction():
            self._database.execute("DELETE FROM copies WHERE archive = ? AND store = ? AND state = 'pending'", (archive, store))

    def leave_out(self, entry: Entry, stores: t.Iterable[str]) -> None:
        """Record that retention would remove the archive from these stores at once: they do not get it."""
        with self._database.transaction():
            self._database.executemany(
                "UPDATE copies SET state = 'pruned' WHERE archive = ? AND store = ? AND state = 'pending'",
                [(entry.id, store) for store in stores],
            )

    def give_up(self, entry: Entry, store: str) -> None:
        """Record that a store will not get its copy."""
        with self._database.transaction():
            self._database.execute(
                "UPDATE copies SET state = 'given up' WHERE archive = ? AND store = ? AND state = 'pending'", (entry.id, store)
            )
