# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the last whole listing of a store differed from what the catalog records of it.

With it, later runs know what the store holds, and list only the days that they remove from.
"""

from __future__ import annotations

import typing as t

from ..base.named_tuple import NamedTuple
from .database import text

if t.TYPE_CHECKING:
    from .database import Database


class Unrecorded(NamedTuple):
    """An archive that the catalog does not record. start: of its period, in seconds since the epoch; seconds: how long that is; size in
    bytes."""

    start: int
    seconds: int
    size: int


class Listing(NamedTuple):
    """A whole listing of the archives of a job in one store. at: when it was made, in seconds since the epoch.

    unrecorded: by key, archives that the catalog does not record. unusable: {key: why}, archives with a manifest that cannot be used or is
    not believed. lost: keys of archives that the catalog records and the store did not list.
    """

    at: float
    unrecorded: t.Dict[str, Unrecorded]
    unusable: t.Dict[str, str]
    lost: t.Set[str]


class Listings:
    """The listings in a catalog's database. A prune invalidates one while it removes archives: it may be killed meanwhile."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self, job: str, store: str) -> t.Optional[Listing]:
        """The last listing; None if there is none, or a prune that was cut has changed the store since."""
        rows = self._database.execute("SELECT at FROM listings WHERE job = ? AND store = ?", (job, store))
        if not rows:
            return None
        listing = Listing(rows[0][0], {}, {}, set())
        query = "SELECT key, kind, start, seconds, size, error FROM differences WHERE job = ? AND store = ?"
        for key, kind, start, seconds, size, error in self._database.execute(query, (job, store)):
            if kind == "unrecorded":
                listing.unrecorded[key] = Unrecorded(start, seconds, size)
            elif kind == "unusable":
                listing.unusable[key] = error
            else:
                listing.lost.add(key)
        return listing

    def remember(self, job: str, store: str, listing: Listing) -> None:
        """Record a listing. Keys that are not Unicode are the work of other tools; a listing with one of them is not recorded."""
        rows: t.List[t.Tuple[t.Any, ...]] = [(job, store, key, "unrecorded", *one, None) for key, one in listing.unrecorded.items()]
        rows += [(job, store, key, "unusable", None, None, None, text(why)) for key, why in listing.unusable.items()]
        rows += [(job, store, key, "lost", None, None, None, None) for key in listing.lost]
        with self._database.transaction():
            self.forget(job, store)
            if all(row[2] == text(row[2]) for row in rows):
                self._database.execute("DELETE FROM differences WHERE job = ? AND store = ?", (job, store))
                self._database.executemany("INSERT INTO differences VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
                self._database.execute("INSERT INTO listings VALUES (?, ?, ?)", (job, store, listing.at))

    def forget(self, job: str, store: str) -> None:
        """Record that the last listing no longer counts."""
        self._database.execute("DELETE FROM listings WHERE job = ? AND store = ?", (job, store))

    def resume(self, job: str, store: str, at: float) -> None:
        """Record that the listing of that time counts again: what was removed since is recorded."""
        self._database.execute("INSERT OR REPLACE INTO listings VALUES (?, ?, ?)", (job, store, at))
