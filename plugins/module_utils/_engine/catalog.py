# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalog: the host's record of every archive, its sources, its state per store, and of every run (SQLite).

It lets a run know what is archived already, and lets the next run complete what a killed one left: an archive is in the catalog
from the moment at which it stands whole in the spool, and a copy is 'verified' only after its store has proven it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import typing as t

from . import manifest as manifests
from .errors import LogArchiveError

FILE_NAME = "catalog.sqlite"
SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE archives (
    id INTEGER PRIMARY KEY,
    host TEXT NOT NULL,
    job TEXT NOT NULL,
    key TEXT NOT NULL,
    period_start TEXT NOT NULL,
    period_end TEXT NOT NULL,
    size INTEGER NOT NULL,
    manifest TEXT NOT NULL,
    spooled INTEGER NOT NULL,
    UNIQUE (key)
);
CREATE TABLE sources (
    archive INTEGER NOT NULL REFERENCES archives (id),
    path BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    changed INTEGER NOT NULL
);
CREATE INDEX sources_by_path ON sources (path);
CREATE TABLE copies (
    archive INTEGER NOT NULL REFERENCES archives (id),
    store TEXT NOT NULL,
    key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'verified', 'pruned')),
    verified_by TEXT,
    etag TEXT,
    error TEXT,
    manifest TEXT,
    PRIMARY KEY (archive, store)
);
CREATE INDEX copies_by_state ON copies (state);
CREATE TABLE prunes (
    job TEXT NOT NULL,
    store TEXT NOT NULL,
    policy TEXT NOT NULL,
    PRIMARY KEY (job, store)
);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    started REAL NOT NULL,
    ended REAL,
    exit_code INTEGER,
    recap TEXT
);
CREATE INDEX runs_by_job ON runs (job, id);
"""


class Copy(t.NamedTuple):
    """One archive in one store. manifest: what that store holds, where it is not the catalog's own (adopted from the store)."""

    store: str
    key: str
    state: str
    verified_by: t.Optional[str]
    error: t.Optional[str]
    manifest: t.Optional[manifests.Manifest]


class Entry(t.NamedTuple):
    """One archive of the catalog. spooled: whether it still lies in the spool."""

    id: int
    host: str
    job: str
    key: str
    manifest: manifests.Manifest
    spooled: bool


class Run(t.NamedTuple):
    """One run of a job; times in seconds since the epoch, ``ended`` None while it runs or where it was killed."""

    started: float
    ended: t.Optional[float]
    exit_code: t.Optional[int]
    recap: t.Optional[t.Dict[str, t.Any]]


class Catalog:
    """The catalog in the folder ``state``, made where it is not there yet; without a folder an empty one in memory.

    Raises LogArchiveError for a damaged or newer file.
    """

    def __init__(self, state: t.Optional[str]) -> None:
        self.path = os.path.join(state, FILE_NAME) if state else ":memory:"
        try:
            # So that the file is private from its first moment, and SQLite's -wal and -shm with it.
            if state:
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            self._db = sqlite3.connect(self.path, timeout=60, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._create_or_check()
        except (OSError, sqlite3.Error) as error:
            raise LogArchiveError(
                "the catalog cannot be opened (%s)" % error,
                self.path,
                "If it is damaged, move it away: the next run makes a new one and recognises in the stores what was archived before",
            ) from error

    def close(self) -> None:
        self._db.close()

    def _create_or_check(self) -> None:
        with self._transaction():
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute("PRAGMA user_version=%d" % SCHEMA_VERSION)
            elif version > SCHEMA_VERSION:
                raise sqlite3.DatabaseError("it was made by a newer version of log-archive")

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)

    # -- archives -----------------------------------------------------------------------------------------------------

    def add(self, host: str, job: str, key: str, manifest: manifests.Manifest, stores: t.Iterable[str]) -> Entry:
        """Record an archive that stands whole in the spool, to be copied to these stores."""
        with self._transaction():
            period = manifest["period"]
            cursor = self._db.execute(
                "INSERT INTO archives (host, job, key, period_start, period_end, size, manifest, spooled) VALUES (?, ?, ?, ?, ?, ?, ?, 1)",
                (host, job, key, period["start"], period["end"], manifest["archive"]["size"], json.dumps(manifest)),
            )
            archive = t.cast(int, cursor.lastrowid)
            self._db.executemany(
                "INSERT INTO sources VALUES (?, ?, ?, ?, ?)",
                [(archive, os.fsencode(s["path"]), s["size"], s["mtime_ns"], s["changed"]) for s in manifest["sources"]],
            )
            self._await(archive, key, stores)
        return Entry(archive, host, job, key, manifest, True)

    def await_stores(self, entry: Entry, stores: t.Iterable[str]) -> None:
        """Let a spooled archive wait for stores that joined the job after it was made."""
        with self._transaction():
            self._await(entry.id, entry.key, stores)

    def _await(self, archive: int, key: str, stores: t.Iterable[str]) -> None:
        self._db.executemany(
            "INSERT OR IGNORE INTO copies (archive, store, key, state) VALUES (?, ?, ?, 'pending')",
            [(archive, store, key) for store in stores],
        )

    def entries(self, job: str, spooled: bool = False) -> t.List[Entry]:
        """The archives of a job, oldest period first; only those in the spool on request."""
        return self._entries("job = ? AND spooled >= ?", (job, int(spooled)))

    def entry(self, archive: int) -> Entry:
        """One archive by its id."""
        return self._entries("id = ?", (archive,))[0]

    def _entries(self, condition: str, values: t.Tuple[t.Any, ...]) -> t.List[Entry]:
        rows = self._db.execute(
            "SELECT id, host, job, key, manifest, spooled FROM archives WHERE %s ORDER BY period_start, key" % condition, values
        )
        return [Entry(row[0], row[1], row[2], row[3], json.loads(row[4]), bool(row[5])) for row in rows]

    def by_key(self, key: str) -> t.Optional[Entry]:
        """The archive with this key, if there is one."""
        return next(iter(self._entries("key = ?", (key,))), None)

    def archived_sources(self, job: str, paths: t.Iterable[str]) -> t.Dict[t.Tuple[str, int, int], int]:
        """Of these paths what the job has archived: {(path, size, mtime_ns): id of the archive}.

        A source that changed while it was read is not among them: it is archived again when it has come to rest.
        """
        found: t.Dict[t.Tuple[str, int, int], int] = {}
        for path in paths:
            rows = self._db.execute(
                "SELECT sources.size, mtime_ns, archive FROM sources JOIN archives ON archives.id = archive"
                " WHERE path = ? AND job = ? AND NOT changed",
                (os.fsencode(path), job),
            )
            for size, mtime_ns, archive in rows:
                found[(path, size, mtime_ns)] = archive
        return found

    def covers(self, job: str, start: str, end: str) -> bool:
        """Whether an archive of the job begins in this span of time (ISO 8601, UTC)."""
        query = "SELECT 1 FROM archives WHERE job = ? AND period_start >= ? AND period_start < ?"
        return self._db.execute(query, (job, start, end)).fetchone() is not None

    def forget(self, entry: Entry) -> None:
        """Take an archive out that is nowhere any more, so that its sources are archived again."""
        with self._transaction():
            self._db.execute("DELETE FROM copies WHERE archive = ?", (entry.id,))
            self._db.execute("DELETE FROM sources WHERE archive = ?", (entry.id,))
            self._db.execute("DELETE FROM archives WHERE id = ?", (entry.id,))

    def unspool(self, entry: Entry) -> None:
        """Record that the archive has left the spool; what stores that are not required still awaited of it is given up."""
        with self._transaction():
            self._db.execute("UPDATE archives SET spooled = 0 WHERE id = ?", (entry.id,))
            self._db.execute("DELETE FROM copies WHERE archive = ? AND state = 'pending'", (entry.id,))

    # -- copies -------------------------------------------------------------------------------------------------------

    def copies(self, entry: Entry) -> t.Dict[str, Copy]:
        """The state of one archive in each store, by the store's name."""
        rows = self._db.execute(
            "SELECT store, key, state, verified_by, error, manifest FROM copies WHERE archive = ? ORDER BY store", (entry.id,)
        )
        return {row[0]: Copy(row[0], row[1], row[2], row[3], row[4], json.loads(row[5]) if row[5] else None) for row in rows}

    def set_verified(
        self, entry: Entry, store: str, key: str, verified_by: str, etag: t.Optional[str], manifest: t.Optional[manifests.Manifest] = None
    ) -> None:
        """Record that a store has proven its copy; ``manifest`` where it holds another ciphertext of the same sources."""
        with self._transaction():
            self._db.execute(
                "UPDATE copies SET state = 'verified', key = ?, verified_by = ?, etag = ?, error = NULL, manifest = ?"
                " WHERE archive = ? AND store = ?",
                (key, verified_by, etag, json.dumps(manifest) if manifest else None, entry.id, store),
            )
            self._db.execute("DELETE FROM prunes WHERE job = ? AND store = ?", (entry.job, store))

    def set_failed(self, entry: Entry, store: str, error: str) -> None:
        """Record why a store does not have its copy yet."""
        self._db.execute("UPDATE copies SET error = ? WHERE archive = ? AND store = ?", (error, entry.id, store))

    def set_pruned(self, store: str, keys: t.Iterable[str]) -> None:
        """Record that copies are no longer in a store."""
        with self._transaction():
            self._db.executemany("UPDATE copies SET state = 'pruned' WHERE store = ? AND key = ?", [(store, key) for key in keys])

    def needs_prune(self, job: str, store: str, policy: str) -> bool:
        """Whether something came to the store since it was last pruned to its end by this policy (as text)."""
        return not self._db.execute("SELECT 1 FROM prunes WHERE job = ? AND store = ? AND policy = ?", (job, store, policy)).fetchone()

    def set_prune_done(self, job: str, store: str, policy: str) -> None:
        """Record that a store was pruned to its end by this policy: until something new arrives there is nothing to do."""
        self._db.execute("INSERT OR REPLACE INTO prunes VALUES (?, ?, ?)", (job, store, policy))

    def held(self, job: str, store: str) -> t.Dict[str, manifests.Manifest]:
        """What a store holds of a job by the catalog: {key: manifest}."""
        rows = self._db.execute(
            "SELECT copies.key, COALESCE(copies.manifest, archives.manifest) FROM copies JOIN archives ON archives.id = archive"
            " WHERE job = ? AND store = ? AND state = 'verified'",
            (job, store),
        )
        return {key: json.loads(manifest) for key, manifest in rows}

    def awaited(self, job: str) -> t.Dict[str, t.List[str]]:
        """Keys of the job that some store does not have yet: {key: [names of the stores]}."""
        awaited: t.Dict[str, t.List[str]] = {}
        rows = self._db.execute(
            "SELECT archives.key, store FROM copies JOIN archives ON archives.id = archive"
            " WHERE state = 'pending' AND job = ? ORDER BY store",
            (job,),
        )
        for key, store in rows:
            awaited.setdefault(key, []).append(store)
        return awaited

    # -- runs ---------------------------------------------------------------------------------------------------------

    def begin_run(self, job: str, started: float) -> int:
        """Record that a run began; returns its id."""
        return t.cast(int, self._db.execute("INSERT INTO runs (job, started) VALUES (?, ?)", (job, started)).lastrowid)

    def end_run(self, run: int, ended: float, exit_code: int, recap: t.Mapping[str, t.Any]) -> None:
        """Record how a run ended."""
        self._db.execute("UPDATE runs SET ended = ?, exit_code = ?, recap = ? WHERE id = ?", (ended, exit_code, json.dumps(recap), run))

    def first_run(self, job: str) -> t.Optional[float]:
        """When the job ran for the first time, in seconds since the epoch."""
        return t.cast("t.Optional[float]", self._db.execute("SELECT MIN(started) FROM runs WHERE job = ?", (job,)).fetchone()[0])

    def last_run(self, job: str, successful: bool = False) -> t.Optional[Run]:
        """The last run of a job, or the last one that ended with exit code 0."""
        row = self._db.execute(
            "SELECT started, ended, exit_code, recap FROM runs WHERE job = ? AND (exit_code = 0 OR NOT ?) ORDER BY id DESC LIMIT 1",
            (job, successful),
        ).fetchone()
        return None if row is None else Run(row[0], row[1], row[2], json.loads(row[3]) if row[3] else None)


class _Transaction:
    """BEGIN IMMEDIATE ... COMMIT, or ROLLBACK on an error."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: t.Any, error: t.Any, trace: t.Any) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")
