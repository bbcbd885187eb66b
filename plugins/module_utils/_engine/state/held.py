# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a store holds of a host and job according to the catalog: for retention, which reads no manifest, and the part that is asked for.

Retention must not cost more with each year that archives are kept: of 100,000 archives it reads 100,000 numbers from an index.
"""

from __future__ import annotations

import contextlib
import typing as t

from ..base import collector
from .database import text
from .manifests import decode, encode

if t.TYPE_CHECKING:
    import array

    from ..archive.facts import Manifest
    from .database import Database

_VERIFIED = "FROM copies WHERE job = ? AND host = ? AND store = ? AND state = 'verified'"


OPEN = "9999-12-31T23:59:59Z"


def touching(database: Database, job: str, start: t.Optional[str], end: t.Optional[str]) -> t.Tuple[str, t.Tuple[str, ...]]:
    """The condition for the archives of a job with a period that touches this time, and its values.

    It is a range of an index, because no period is longer than the longest of the job.
    """
    from datetime import timedelta

    from ..base.units import format_utc, parse_utc

    first = ""
    if start is not None:
        with contextlib.suppress(OverflowError):
            first = format_utc(parse_utc(start) - timedelta(seconds=longest(database, job)))
    return (
        "archives.job = ? AND period_start >= ? AND period_start <= ? AND (period_end >= ? OR period_start >= ?)",
        (job, first, OPEN if end is None else end, start or "", start or ""),
    )


def longest(database: Database, job: str) -> int:
    """The length of the longest period of a job's archives, in seconds."""
    return database.execute("SELECT MAX(seconds) FROM archives WHERE job = ?", (job,))[0][0] or 0


class Held:
    """The verified copies of one host, job and store in a catalog's database. Times are in seconds since the epoch."""

    def __init__(self, database: Database, host: str, job: str, store: str) -> None:
        self._database = database
        self._values = (job, host, store)

    def add(self, key: str, manifest: Manifest, verified_by: str, etag: t.Optional[str]) -> None:
        """Record an archive that another program put into the store, and that was verified there. All of it or nothing is recorded."""
        from .insertion import insert

        job, host, store = self._values
        with self._database.transaction():
            rows = self._database.execute("SELECT id, manifest, start FROM archives WHERE key = ?", (text(key),))
            if rows:
                (archive, recorded, start) = rows[0]
            else:
                archive, recorded = insert(self._database, host, job, key, manifest, spooled=False), encode(manifest)
                start = self._database.execute("SELECT start FROM archives WHERE id = ?", (archive,))[0][0]
            other = None if decode(recorded) == manifest else encode(manifest)
            self._database.execute(
                "INSERT OR REPLACE INTO copies (archive, store, key, state, verified_by, etag, manifest, host, job, start)"
                " VALUES (?, ?, ?, 'verified', ?, ?, ?, ?, ?, ?)",
                (archive, store, text(key), verified_by, etag, other, host, job, start),
            )
            self._database.execute("DELETE FROM prunes WHERE job = ? AND store = ?", (job, store))
            # The last whole listing did not have it: the store is listed again before it is pruned.
            self._database.execute("DELETE FROM listings WHERE job = ? AND store = ?", (job, store))

    def count(self) -> int:
        """How many archives."""
        return int(self._database.execute("SELECT COUNT(*) %s" % _VERIFIED, self._values)[0][0])

    def starts(self, most: int = -1) -> array.array[int]:
        """When the periods of the archives start, newest first, each once. most: only so many; -1 is all."""
        return self._database.integers("SELECT DISTINCT start %s ORDER BY start DESC LIMIT ?" % _VERIFIED, (*self._values, most))

    def newest(self) -> t.Optional[int]:
        """When the newest period starts; None if there is none."""
        rows = self._database.execute("SELECT MAX(start) %s" % _VERIFIED, self._values)
        return t.cast(t.Optional[int], rows[0][0])

    @collector.paused()
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

    def between(self, start: t.Optional[str], end: t.Optional[str]) -> t.Dict[str, Manifest]:
        """The archives with a period that touches this time (ISO 8601, UTC; either may be open): {key: manifest}."""
        condition, values = touching(self._database, self._values[0], start, end)
        return self._manifests(condition + " AND +archives.host = ? AND store = ?", (*values, *self._values[1:]))

    def named(self, name: str) -> t.Dict[str, Manifest]:
        """The archives with this name or key, or with a log of this path: {key: manifest}."""
        job_host_store = "+archives.job = ? AND +archives.host = ? AND store = ?"
        found = {}
        for condition, value in (
            ("archives.name = ?", text(name)),
            ("archives.id IN (SELECT archive FROM copies WHERE key = ?)", text(name)),
            ("archives.id IN (SELECT archive FROM sources WHERE path = ?)", name.encode("utf-8", "surrogateescape")),
        ):
            found.update(self._manifests("%s AND %s" % (job_host_store, condition), (*self._values, value)))
        return found

    def longest(self) -> int:
        """The length of the longest period, in seconds."""
        return longest(self._database, self._values[0])

    def _manifests(self, condition: str, values: t.Tuple[t.Any, ...]) -> t.Dict[str, Manifest]:
        rows = self._database.execute(
            "SELECT copies.key, COALESCE(copies.manifest, archives.manifest) FROM archives CROSS JOIN copies ON archive = archives.id"
            " WHERE +state = 'verified' AND " + condition,
            values,
        )
        return {key: decode(manifest) for key, manifest in rows}
