# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalog: the host's record of every archive, its sources, its copy in each store, and of every run (SQLite).

From it a run learns what is already archived, and what a killed run left to do: an archive is in the catalog as soon as it is whole in
the spool, and a copy is 'verified' only after its store has proven it.
"""

from __future__ import annotations

import itertools
import os

from ..base import hints as t
from .database import Database, Row, path_in, text
from .entered import Entered
from .manifests import decode, encode
from .prunes import Prunes
from .runs import Runs
from .verifications import Verifications

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest
    from ..base.beneath import Identity
    from ..config.document import JobDocument
    from .compared import Compared
    from .counts import Counts
    from .entry import Copy, Entry
    from .held import Held
    from .lacking import Lacking
    from .listings import Listings
    from .names import Names
    from .record import SpoolRecord

_ARCHIVED = (
    "SELECT path, sources.size, mtime_ns, archive FROM sources CROSS JOIN archives ON archives.id = archive"
    " WHERE path IN (%s) AND job = ? AND NOT changed"
)
_PATHS = 500
"""Paths, or ids, of one statement; older releases of SQLite allow 999 values."""
SourceState = t.Tuple[str, int, int]
"""A source as it was at one time: path, size in bytes, mtime in nanoseconds."""


def _batches(paths: t.Iterator[bytes]) -> t.Iterator[t.List[bytes]]:
    return iter(lambda: list(itertools.islice(paths, _PATHS)), [])


def exists(state: str) -> bool:
    """Whether the state folder has a catalog."""
    return os.path.exists(path_in(state))


def reading(document: JobDocument, readonly: bool = False) -> Catalog:
    """The catalog of a job, for a caller that does not hold its lock. It must exist.

    If the job was renamed and has not run since, that is a copy in memory in which the job has what its earlier names have.
    """
    if not document["was"]:
        return Catalog(document["state"], readonly)
    from . import renames

    if not renames.is_due(document):
        return Catalog(document["state"], readonly)
    return Catalog(document["state"], True, lambda database: renames.take_entries(database, document))


class Catalog:
    """The catalog in the folder ``state``, created if it is missing; None is an empty catalog in memory.

    readonly: leave no trace in the folder; the catalog must exist. change: applied to the database when it is opened. All methods raise
    LogArchiveError for a damaged or newer file, and DiskFullError if the file cannot grow.
    """

    def __init__(self, state: t.Optional[str], readonly: bool = False, change: t.Optional[t.Callable[[Database], None]] = None) -> None:
        self._database = Database(state, readonly)
        if change is not None:
            change(self._database)
        self.runs = Runs(self._database)
        self.prunes = Prunes(self._database)
        self.verifications = Verifications(self._database)
        self.entered = Entered(self._database)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    # An idle run needs none of the next six.

    @property
    def names(self) -> Names:
        """The archived logs under the names that they got later."""
        from .names import Names

        return Names(self._database)

    @property
    def counts(self) -> Counts:
        """Figures about the archives of a job."""
        from .counts import Counts

        return Counts(self._database)

    @property
    def listings(self) -> Listings:
        """How the last listings of stores differed from this record."""
        from .listings import Listings

        return Listings(self._database)

    @property
    def lacking(self) -> Lacking:
        """What a store lacks and another has."""
        from .lacking import Lacking

        return Lacking(self._database)

    def compared(self, job: str, store: str) -> Compared:
        """The folders of a store that were right when they were last compared."""
        from .compared import Compared

        return Compared(self._database, job, store)

    def held_by(self, host: str, job: str, store: str) -> Held:
        """What a store holds of a host and job."""
        from .held import Held

        return Held(self._database, host, job, store)

    # -- archives -----------------------------------------------------------------------------------------------------

    def add(
        self, host: str, job: str, key: str, manifest: Manifest, stores: t.Iterable[str], identities: t.Iterable[t.Optional[Identity]] = ()
    ) -> Entry:
        """Record an archive that is whole in the spool, to be copied to these stores. identities: device and inode of its logs,
        as far as they are known, in the order of the manifest.

        After a power failure the next run may have to record it again, from the spool. Until a copy is verified, that loses nothing."""
        from .entry import Entry
        from .insertion import insert

        with self._database.transaction(durable=False):
            archive = insert(self._database, host, job, key, manifest, identities)
            self._await(archive, key, stores)
        return Entry(archive, host, job, key, manifest, True)

    def await_stores(self, entry: Entry, stores: t.Iterable[str]) -> None:
        """Let a spooled archive wait for stores that the job has got since the archive was made."""
        with self._database.transaction():
            self._await(entry.id, entry.key, stores)

    def _await(self, archive: int, key: str, stores: t.Iterable[str]) -> None:
        self._database.executemany(
            "INSERT OR IGNORE INTO copies (archive, store, key, state, host, job, start)"
            " SELECT id, ?, ?, 'pending', host, job, start FROM archives WHERE id = ?",
            [(store, key, archive) for store in stores],
        )

    def entries(self, job: str, spooled: bool = False) -> t.List[Entry]:
        """The archives of a job, oldest period first, and within a period as they were made. spooled: only those in the spool."""
        return self._entries("job = ? AND spooled >= ?", (job, int(spooled)))

    def entries_of(self, job: str, start: t.Optional[str], end: t.Optional[str]) -> t.Iterator[Entry]:
        """Those with a period that touches this time (ISO 8601, UTC; either may be open). Few of their manifests are in memory at once."""
        from .held import touching

        condition, values = touching(self._database, job, start, end)
        ids = iter(self._database.integers("SELECT id FROM archives WHERE %s ORDER BY period_start, id" % condition, values))
        for some in iter(lambda: tuple(itertools.islice(ids, _PATHS)), ()):
            yield from self._entries("id IN (%s)" % ",".join("?" * len(some)), some)

    def entry(self, archive: int) -> Entry:
        """One archive by its id."""
        return self._entries("id = ?", (archive,))[0]

    def by_key(self, key: str) -> t.Optional[Entry]:
        """The archive with this key, or None."""
        return next(iter(self._entries("key = ?", (text(key),))), None)

    def has_key(self, key: str) -> bool:
        """Whether an archive has this key."""
        return self._database.execute("SELECT 1 FROM archives WHERE key = ?", (text(key),)) != []

    def _entries(self, condition: str, values: t.Tuple[t.Any, ...]) -> t.List[Entry]:
        rows = self._database.execute(
            "SELECT id, host, job, key, manifest, spooled FROM archives WHERE %s ORDER BY period_start, id" % condition, values
        )
        return [_entry(row) for row in rows]

    def archived_sources(self, job: str, paths: t.Iterable[str]) -> t.Dict[SourceState, int]:
        """The sources with these paths that the job has archived, each with the id of its archive.

        A source that changed while it was read is not among them: it is archived again once it no longer changes.
        """
        found: t.Dict[SourceState, int] = {}
        for some in _batches(path.encode("utf-8", "surrogateescape") for path in paths):
            for path, size, mtime_ns, archive in self._database.execute(_ARCHIVED % ",".join("?" * len(some)), (*some, job)):
                found[(path.decode("utf-8", "surrogateescape"), size, int(mtime_ns))] = archive
        return found

    def covers(self, job: str, start: str, end: str) -> bool:
        """Whether the period of an archive of the job begins in this span of time (ISO 8601, UTC)."""
        query = "SELECT 1 FROM archives WHERE job = ? AND period_start >= ? AND period_start < ?"
        return self._database.execute(query, (job, start, end)) != []

    def forget(self, entry: Entry) -> None:
        """Remove an archive that exists nowhere any more, so that its sources are archived again."""
        with self._database.transaction():
            self._database.execute("DELETE FROM copies WHERE archive = ?", (entry.id,))
            self._database.execute("DELETE FROM sources WHERE archive = ?", (entry.id,))
            self._database.execute("DELETE FROM archives WHERE id = ?", (entry.id,))

    def unspool(self, *entries: Entry) -> None:
        """Record that archives have left the spool. Copies that are still pending are of stores that the job no longer has."""
        ids = [(entry.id,) for entry in entries]
        with self._database.transaction():
            self._database.executemany("UPDATE archives SET spooled = 0 WHERE id = ?", ids)
            self._database.executemany("DELETE FROM copies WHERE archive = ? AND state = 'pending'", ids)

    # -- copies -------------------------------------------------------------------------------------------------------

    def copies(self, entry: Entry) -> t.Dict[str, Copy]:
        """The archive's copies by the name of the store."""
        rows = self._database.execute(
            "SELECT store, key, state, verified_by, error, manifest FROM copies WHERE archive = ? ORDER BY store", (entry.id,)
        )
        return {row[0]: _copy(row) for row in rows}

    def set_verified(
        self, entry: Entry, store: str, key: str, verified_by: str, etag: t.Optional[str], manifest: t.Optional[Manifest] = None
    ) -> None:
        """Record that a store has proven its copy. manifest: of what it holds, if that is another ciphertext of the same sources."""
        with self._database.transaction():
            self._database.execute(
                "UPDATE copies SET state = 'verified', key = ?, verified_by = ?, etag = ?, error = NULL, manifest = ?"
                " WHERE archive = ? AND store = ?",
                (key, verified_by, etag, encode(manifest) if manifest else None, entry.id, store),
            )
            self._database.execute("DELETE FROM prunes WHERE job = ? AND store = ?", (entry.job, store))

    def adopt(self, entry: Entry, store: str, manifest: Manifest) -> Entry:
        """Make the ciphertext that a store was found to hold the archive's own; other stores keep what they have."""
        with self._database.transaction():
            self._database.execute(
                "UPDATE copies SET manifest = CASE store WHEN ? THEN NULL ELSE COALESCE(manifest, ?) END"
                " WHERE archive = ? AND state = 'verified'",
                (store, encode(entry.manifest), entry.id),
            )
            self._database.execute(
                "UPDATE archives SET manifest = ?, size = ? WHERE id = ?", (encode(manifest), manifest["archive"]["size"], entry.id)
            )
        return entry._replace(manifest=manifest)

    def set_failed(self, entry: Entry, store: str, error: str) -> None:
        """Record why a store does not have its copy yet."""
        self._database.execute("UPDATE copies SET error = ? WHERE archive = ? AND store = ?", (text(error), entry.id, store))

    def set_pruned(self, store: str, keys: t.Iterable[str]) -> None:
        """Record that a store no longer has these copies."""
        pruned = [(store, text(key)) for key in keys]
        with self._database.transaction():
            self._database.executemany("UPDATE copies SET state = 'pruned' WHERE store = ? AND key = ?", pruned)
            for table in ("failures", "differences"):
                self._database.executemany("DELETE FROM %s WHERE store = ? AND key = ?" % table, pruned)

    def set_kept(self, store: str, keys: t.Iterable[str]) -> None:
        """Record that a store still has these copies: their removal failed."""
        with self._database.transaction():
            self._database.executemany(
                "UPDATE copies SET state = 'verified' WHERE store = ? AND key = ? AND state = 'pruned'",
                [(store, text(key)) for key in keys],
            )

    def state_of(self, store: str, key: str) -> t.Optional[str]:
        """The state of the copy that a store has, or will have, at this key; None if the catalog does not know it."""
        rows = self._database.execute("SELECT state FROM copies WHERE store = ? AND key = ?", (store, text(key)))
        return rows[0][0] if rows else None

    def was_pruned(self, store: str, key: str) -> bool:
        """Whether a copy was removed from a store, or its removal was at least begun."""
        return self._database.execute("SELECT 1 FROM copies WHERE store = ? AND key = ? AND state = 'pruned'", (store, text(key))) != []

    def held(self, job: str, store: str) -> t.Dict[str, Manifest]:
        """The archives of a job that a store holds according to the catalog: {key: manifest}."""
        rows = self._database.execute(
            "SELECT copies.key, COALESCE(copies.manifest, archives.manifest) FROM copies JOIN archives ON archives.id = archive"
            " WHERE copies.job = ? AND store = ? AND state = 'verified'",
            (job, store),
        )
        return {key: decode(manifest) for key, manifest in rows}

    def etags(self, job: str, store: str) -> t.Dict[str, str]:
        """The ETags of these archives, of a store that has ETags: {key: etag}."""
        query = "SELECT key, etag FROM copies WHERE job = ? AND store = ? AND state = 'verified' AND etag IS NOT NULL"
        return dict(self._database.execute(query, (job, store)))

    def awaited(self, job: str) -> t.Dict[str, t.List[str]]:
        """The archives of a job that a store does not have yet: {key: [names of the stores]}."""
        awaited: t.Dict[str, t.List[str]] = {}
        rows = self._database.execute(
            "SELECT archives.key, store FROM copies JOIN archives ON archives.id = archive"
            " WHERE state = 'pending' AND copies.job = ? ORDER BY store",
            (job,),
        )
        for key, store in rows:
            awaited.setdefault(key, []).append(store)
        return awaited

    # -- totals -------------------------------------------------------------------------------------------------------

    def spooled(self, job: str) -> SpoolRecord:
        """The archives of a job in the spool."""
        query = "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM archives WHERE job = ? AND spooled >= 1"
        archives, size = self._database.execute(query, (job,))[0]
        return {"archives": archives, "bytes": size}


# An idle run has no entries: it does not need to load their types.


def _entry(row: Row) -> Entry:
    from .entry import Entry

    return Entry(row[0], row[1], row[2], row[3], decode(row[4]), bool(row[5]))


def _copy(row: Row) -> Copy:
    from .entry import Copy

    return Copy(row[0], row[1], row[2], row[3], row[4], decode(row[5]) if row[5] else None)
