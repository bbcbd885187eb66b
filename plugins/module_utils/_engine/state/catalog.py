# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalog: the host's record of every archive, its sources, its state per store, and of every run (SQLite).

It lets a run know what is archived already, and lets the next run complete what a killed one left: an archive is in the catalog
from the moment at which it stands whole in the spool, and a copy is 'verified' only after its store has proven it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sqlite3
import typing as t

from ..archive import manifest as manifests
from ..base.errors import DiskFullError, LogArchiveError

FILE_NAME = "catalog.sqlite"
SCHEMA_VERSION = 1
LEAST_ROOM = 1 << 17
"""Bytes; SQLite needs so much beside the catalog for its write-ahead log and the index of it."""

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
CREATE INDEX archives_by_job ON archives (job, spooled);
CREATE INDEX archives_by_period ON archives (job, period_start);
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

    readonly: work on a copy in memory and leave no trace in the folder; the catalog must be there. All methods raise LogArchiveError
    for a damaged or newer file, DiskFullError where it cannot grow.
    """

    def __init__(self, state: t.Optional[str], readonly: bool = False) -> None:
        self.path = os.path.join(state, FILE_NAME) if state else ":memory:"
        try:
            # So that the file is private from its first moment, and SQLite's -wal and -shm with it.
            if state and not readonly:
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            self._db = _connected(self.path, readonly)
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error
        if not readonly:
            self._execute("PRAGMA journal_mode=WAL")
            # Enough for the records of runs: the last of them may be lost with the power. Transactions ask for more.
            self._execute("PRAGMA synchronous=NORMAL")
        self._create_or_check()

    def close(self) -> None:
        self._db.close()

    def _create_or_check(self) -> None:
        version = self._execute("PRAGMA user_version")[0][0]
        if version > SCHEMA_VERSION:
            raise LogArchiveError("the catalog was made by a newer version of log-archive", self.path, "Install that version again")
        if version == 0:
            with self._transaction():
                if self._execute("PRAGMA user_version")[0][0] == 0:
                    for statement in _SCHEMA.split(";"):
                        self._execute(statement)
                    self._execute("PRAGMA user_version=%d" % SCHEMA_VERSION)

    @contextlib.contextmanager
    def _transaction(self) -> t.Iterator[None]:
        """All or nothing, and on the disk when it ends."""
        self._execute("PRAGMA synchronous=FULL")
        self._execute("BEGIN IMMEDIATE")
        try:
            yield
            self._execute("COMMIT")
        except BaseException:
            # SQLite itself has rolled back where its disk was full.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _execute(self, statement: str, values: t.Sequence[t.Any] = ()) -> t.List[t.Tuple[t.Any, ...]]:
        try:
            return self._db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _executemany(self, statement: str, values: t.Iterable[t.Sequence[t.Any]]) -> None:
        try:
            self._db.executemany(statement, values)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> LogArchiveError:
        # SQLite's files beside the catalog fail on a full disk with no better word than "disk I/O error".
        if "full" in str(error) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or _is_full(os.path.dirname(self.path)):
            return DiskFullError("the catalog cannot be written (%s)" % error, self.path, "Free some space there; the next run goes on")
        return LogArchiveError(
            "the catalog cannot be used (%s)" % error,
            self.path,
            "If it is damaged, move it away: the next run makes a new one and recognises in the stores what was archived before",
        )

    # -- archives -----------------------------------------------------------------------------------------------------

    def add(self, host: str, job: str, key: str, manifest: manifests.Manifest, stores: t.Iterable[str]) -> Entry:
        """Record an archive that stands whole in the spool, to be copied to these stores."""
        with self._transaction():
            period = manifest["period"]
            self._execute(
                "INSERT INTO archives (host, job, key, period_start, period_end, size, manifest, spooled) VALUES (?, ?, ?, ?, ?, ?, ?, 1)",
                (host, job, key, period["start"], period["end"], manifest["archive"]["size"], json.dumps(manifest)),
            )
            archive = self._last_id()
            self._executemany(
                "INSERT INTO sources VALUES (?, ?, ?, ?, ?)",
                [(archive, os.fsencode(s["path"]), s["size"], s["mtime_ns"], s["changed"]) for s in manifest["sources"]],
            )
            self._await(archive, key, stores)
        return Entry(archive, host, job, key, manifest, True)

    def await_stores(self, entry: Entry, stores: t.Iterable[str]) -> None:
        """Let a spooled archive wait for stores that joined the job after it was made."""
        with self._transaction():
            self._await(entry.id, entry.key, stores)

    def _last_id(self) -> int:
        return t.cast(int, self._execute("SELECT last_insert_rowid()")[0][0])

    def _await(self, archive: int, key: str, stores: t.Iterable[str]) -> None:
        self._executemany(
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
        rows = self._execute(
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
            rows = self._execute(
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
        return self._execute(query, (job, start, end)) != []

    def forget(self, entry: Entry) -> None:
        """Take an archive out that is nowhere any more, so that its sources are archived again."""
        with self._transaction():
            self._execute("DELETE FROM copies WHERE archive = ?", (entry.id,))
            self._execute("DELETE FROM sources WHERE archive = ?", (entry.id,))
            self._execute("DELETE FROM archives WHERE id = ?", (entry.id,))

    def unspool(self, entry: Entry) -> None:
        """Record that the archive has left the spool; what stores that are not required still awaited of it is given up."""
        with self._transaction():
            self._execute("UPDATE archives SET spooled = 0 WHERE id = ?", (entry.id,))
            self._execute("DELETE FROM copies WHERE archive = ? AND state = 'pending'", (entry.id,))

    # -- copies -------------------------------------------------------------------------------------------------------

    def copies(self, entry: Entry) -> t.Dict[str, Copy]:
        """The state of one archive in each store, by the store's name."""
        rows = self._execute(
            "SELECT store, key, state, verified_by, error, manifest FROM copies WHERE archive = ? ORDER BY store", (entry.id,)
        )
        return {row[0]: Copy(row[0], row[1], row[2], row[3], row[4], json.loads(row[5]) if row[5] else None) for row in rows}

    def set_verified(
        self, entry: Entry, store: str, key: str, verified_by: str, etag: t.Optional[str], manifest: t.Optional[manifests.Manifest] = None
    ) -> None:
        """Record that a store has proven its copy; ``manifest`` where it holds another ciphertext of the same sources."""
        with self._transaction():
            self._execute(
                "UPDATE copies SET state = 'verified', key = ?, verified_by = ?, etag = ?, error = NULL, manifest = ?"
                " WHERE archive = ? AND store = ?",
                (key, verified_by, etag, json.dumps(manifest) if manifest else None, entry.id, store),
            )
            self._execute("DELETE FROM prunes WHERE job = ? AND store = ?", (entry.job, store))

    def adopt(self, entry: Entry, store: str, manifest: manifests.Manifest) -> Entry:
        """Let the ciphertext that a store was found to hold be the archive's own from now on; other stores keep what they have."""
        with self._transaction():
            self._execute(
                "UPDATE copies SET manifest = CASE store WHEN ? THEN NULL ELSE COALESCE(manifest, ?) END"
                " WHERE archive = ? AND state = 'verified'",
                (store, json.dumps(entry.manifest), entry.id),
            )
            self._execute(
                "UPDATE archives SET manifest = ?, size = ? WHERE id = ?", (json.dumps(manifest), manifest["archive"]["size"], entry.id)
            )
        return entry._replace(manifest=manifest)

    def set_failed(self, entry: Entry, store: str, error: str) -> None:
        """Record why a store does not have its copy yet."""
        self._execute("UPDATE copies SET error = ? WHERE archive = ? AND store = ?", (_text(error), entry.id, store))

    def set_pruned(self, store: str, keys: t.Iterable[str]) -> None:
        """Record that copies are no longer in a store."""
        with self._transaction():
            self._executemany("UPDATE copies SET state = 'pruned' WHERE store = ? AND key = ?", [(store, _text(key)) for key in keys])

    def was_pruned(self, store: str, key: str) -> bool:
        """Whether a copy was removed from a store, or its removal at least begun."""
        return self._execute("SELECT 1 FROM copies WHERE store = ? AND key = ? AND state = 'pruned'", (store, _text(key))) != []

    def needs_prune(self, job: str, store: str, policy: str) -> bool:
        """Whether something came to the store since it was last pruned to its end by this policy (as text)."""
        return not self._execute("SELECT 1 FROM prunes WHERE job = ? AND store = ? AND policy = ?", (job, store, policy))

    def set_prune_done(self, job: str, store: str, policy: str) -> None:
        """Record that a store was pruned to its end by this policy: until something new arrives there is nothing to do."""
        self._execute("INSERT OR REPLACE INTO prunes VALUES (?, ?, ?)", (job, store, policy))

    def held(self, job: str, store: str) -> t.Dict[str, manifests.Manifest]:
        """What a store holds of a job by the catalog: {key: manifest}."""
        rows = self._execute(
            "SELECT copies.key, COALESCE(copies.manifest, archives.manifest) FROM copies JOIN archives ON archives.id = archive"
            " WHERE job = ? AND store = ? AND state = 'verified'",
            (job, store),
        )
        return {key: json.loads(manifest) for key, manifest in rows}

    def awaited(self, job: str) -> t.Dict[str, t.List[str]]:
        """Keys of the job that some store does not have yet: {key: [names of the stores]}."""
        awaited: t.Dict[str, t.List[str]] = {}
        rows = self._execute(
            "SELECT archives.key, store FROM copies JOIN archives ON archives.id = archive"
            " WHERE state = 'pending' AND job = ? ORDER BY store",
            (job,),
        )
        for key, store in rows:
            awaited.setdefault(key, []).append(store)
        return awaited

    def totals(self, job: str) -> t.Tuple[int, int, int]:
        """Of the archives that are somewhere (in the spool, or verified in a store): how many, their bytes, and those of their sources."""
        somewhere = "job = ? AND (spooled OR EXISTS (SELECT 1 FROM copies WHERE copies.archive = archives.id AND state = 'verified'))"
        archives, size = self._execute("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM archives WHERE %s" % somewhere, (job,))[0]
        query = "SELECT COALESCE(SUM(sources.size), 0) FROM sources JOIN archives ON archives.id = sources.archive WHERE %s" % somewhere
        return archives, size, self._execute(query, (job,))[0][0]

    def levels(self, job: str) -> t.Dict[str, t.List[str]]:
        """How the copies of the job's archives were verified: {store: [levels]}."""
        levels: t.Dict[str, t.List[str]] = {}
        rows = self._execute(
            "SELECT DISTINCT store, verified_by FROM copies JOIN archives ON archives.id = archive"
            " WHERE state = 'verified' AND job = ? ORDER BY store",
            (job,),
        )
        for store, level in rows:
            levels.setdefault(store, []).append(level)
        return levels

    # -- runs ---------------------------------------------------------------------------------------------------------

    def begin_run(self, job: str, started: float) -> int:
        """Record that a run began; returns its id."""
        self._execute("INSERT INTO runs (job, started) VALUES (?, ?)", (job, started))
        return self._last_id()

    def end_run(self, run: int, ended: float, exit_code: int, recap: t.Mapping[str, t.Any]) -> None:
        """Record how a run ended."""
        self._execute("UPDATE runs SET ended = ?, exit_code = ?, recap = ? WHERE id = ?", (ended, exit_code, json.dumps(recap), run))

    def first_run(self, job: str) -> t.Optional[float]:
        """When the job ran for the first time, in seconds since the epoch."""
        rows = self._execute("SELECT started FROM runs WHERE job = ? ORDER BY id LIMIT 1", (job,))
        return t.cast(float, rows[0][0]) if rows else None

    def last_run(self, job: str) -> t.Optional[Run]:
        """The last run of a job."""
        return self._run("job = ?", (job,))

    def last_ended(self, job: str) -> t.Optional[Run]:
        """The last run of a job that came to its end, well or not."""
        return self._run("job = ? AND ended IS NOT NULL", (job,))

    def outcomes(self, job: str) -> t.Dict[int, int]:
        """How many runs of a job ended with each exit code."""
        return dict(self._execute("SELECT exit_code, COUNT(*) FROM runs WHERE job = ? AND ended IS NOT NULL GROUP BY exit_code", (job,)))

    def last_success(self, job: str, now: float) -> t.Optional[Run]:
        """The last run of a job that ended with exit code 0. What began after ``now`` ran while the clock was wrong, and proves nothing."""
        return self._run("job = ? AND exit_code = 0 AND started <= ?", (job, now))

    def _run(self, condition: str, values: t.Tuple[t.Any, ...]) -> t.Optional[Run]:
        query = "SELECT started, ended, exit_code, recap FROM runs WHERE %s ORDER BY id DESC LIMIT 1" % condition
        return next((Run(row[0], row[1], row[2], json.loads(row[3]) if row[3] else None) for row in self._execute(query, values)), None)


def _is_full(folder: str) -> bool:
    try:
        status = os.statvfs(folder)
    except OSError:
        return False
    return status.f_bavail * status.f_frsize < LEAST_ROOM


def _connected(path: str, readonly: bool) -> sqlite3.Connection:
    if not readonly:
        return sqlite3.connect(path, timeout=60, isolation_level=None)
    from urllib.parse import quote

    # SQLite would make a write-ahead log and remove it again; where none is left there is nothing in it to miss.
    mode = "mode=ro" if os.path.exists(path + "-wal") else "mode=ro&immutable=1"
    memory = sqlite3.connect(":memory:", isolation_level=None)
    with contextlib.closing(sqlite3.connect("file:%s?%s" % (quote(path), mode), timeout=60, uri=True)) as file:
        file.backup(memory)
    return memory


def _text(text: str) -> str:
    """Text that SQLite takes: names of other tools' files and messages about them may not be Unicode."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
