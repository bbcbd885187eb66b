# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SQLite file of a host's catalog: its schema, its transactions and its errors. The sink sqlite shares the last two."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
import time

from ..base import hints as t
from ..base.beneath import open_guarded
from ..base.errors import DiskFullError, LogArchiveError
from .folders import held, is_anothers

if t.TYPE_CHECKING:
    import array
    import sqlite3
else:
    # The C module beneath ``sqlite3``, which also loads all of ``datetime`` (see ``base.light``).
    import _sqlite3 as sqlite3

FILE_NAME = "catalog.sqlite"
SCHEMA_VERSION = 5
LEAST_ROOM = 1 << 17
"""Bytes that SQLite needs beside a database for the write-ahead log and its index."""
_PATIENCE = 60
"""Seconds to wait for another writer."""

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
    start INTEGER,
    seconds INTEGER,
    name TEXT,
    UNIQUE (key)
);
CREATE INDEX archives_by_job ON archives (job, spooled, size);
CREATE INDEX archives_by_period ON archives (job, period_start);
CREATE INDEX archives_by_start ON archives (job, start);
CREATE INDEX archives_by_name ON archives (name);
CREATE INDEX archives_by_length ON archives (job, seconds);
CREATE INDEX archives_by_id ON archives (job);
CREATE TABLE sources (
    archive INTEGER NOT NULL REFERENCES archives (id),
    path BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    device INTEGER,
    inode INTEGER
);
CREATE INDEX sources_by_path ON sources (path);
CREATE INDEX sources_by_archive ON sources (archive, size);
CREATE INDEX sources_by_size ON sources (size, path);
CREATE INDEX sources_by_mtime ON sources (mtime_ns);
CREATE TABLE copies (
    archive INTEGER NOT NULL REFERENCES archives (id),
    store TEXT NOT NULL,
    key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'verified', 'pruned', 'given up')),
    verified_by TEXT,
    etag TEXT,
    error TEXT,
    manifest TEXT,
    host TEXT,
    job TEXT,
    start INTEGER,
    entry INTEGER,
    tombstone INTEGER,
    PRIMARY KEY (archive, store)
);
CREATE INDEX copies_by_state ON copies (state);
CREATE INDEX copies_by_archive ON copies (archive, state, job);
CREATE INDEX copies_by_key ON copies (key, store);
CREATE INDEX copies_by_start ON copies (job, host, store, state, start);
CREATE INDEX copies_unentered ON copies (job) WHERE state = 'verified' AND entry IS NULL;
CREATE TABLE ledgers (
    job TEXT NOT NULL PRIMARY KEY,
    ledger TEXT NOT NULL,
    seq INTEGER NOT NULL
);
CREATE TABLE heads (
    job TEXT NOT NULL,
    store TEXT NOT NULL,
    seq INTEGER NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (job, store, key)
);
CREATE TABLE prunes (
    job TEXT NOT NULL,
    store TEXT NOT NULL,
    policy TEXT NOT NULL,
    PRIMARY KEY (job, store)
);
CREATE TABLE refusals (
    job TEXT NOT NULL,
    store TEXT NOT NULL,
    reason TEXT NOT NULL
);
CREATE TABLE jobs (
    job TEXT NOT NULL PRIMARY KEY,
    since REAL NOT NULL
);
CREATE TABLE verifications (
    job TEXT NOT NULL,
    store TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (job, store)
);
CREATE TABLE failures (
    job TEXT NOT NULL,
    store TEXT NOT NULL,
    key TEXT NOT NULL,
    at REAL NOT NULL,
    error TEXT NOT NULL,
    PRIMARY KEY (job, store, key)
);
CREATE TABLE listings (
    job TEXT NOT NULL,
    store TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (job, store)
);
CREATE TABLE differences (
    job TEXT NOT NULL,
    store TEXT NOT NULL,
    key TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('unrecorded', 'unusable', 'lost')),
    start INTEGER,
    seconds INTEGER,
    size INTEGER,
    error TEXT,
    PRIMARY KEY (store, key, job)
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
CREATE TABLE outcomes (
    job TEXT NOT NULL,
    exit_code INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    PRIMARY KEY (job, exit_code)
);
"""

Row = t.Tuple[t.Any, ...]
if t.TYPE_CHECKING:
    Result = t.TypeVar("Result")


def path_in(state: str) -> str:
    """The path of the catalog in the state folder."""
    return os.path.join(state, FILE_NAME)


class Database:
    """The database in the folder ``state``, created if it is missing; None is an empty database in memory.

    readonly: leave no trace in the folder; the file must exist. What is written goes to a copy in memory, which is made when it is needed.
    lasts: whether what is written is kept. All methods raise LogArchiveError for a damaged or newer file, and DiskFullError if the file
    cannot grow.
    """

    def __init__(self, state: t.Optional[str], readonly: bool = False) -> None:
        self.path = path_in(state) if state else ":memory:"
        # Root may look at the catalog of another user, and leaves no trace there.
        readonly = readonly or (state is not None and is_anothers(state))
        self.lasts = state is not None and not readonly
        try:
            if state:
                _prepare(state, readonly)
            self._seen = _state_of(self.path) if readonly else None
            self._connection = _copied(self.path) if readonly and self._seen is None else _connected(self.path, readonly)
            self._synchronous = ""
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error
        if not readonly:
            self._guarded(lambda: write_ahead(self._connection))
            # Enough for the records of runs: a power failure may lose the last of them. Transactions ask for more.
            self._synchronise("NORMAL")
        self._create_or_check()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextlib.contextmanager
    def transaction(self, durable: bool = True) -> t.Iterator[None]:
        """All statements of the context or none of them.

        durable: they, and what was written before, are on the disk when the context ends; otherwise a power failure may lose them.
        """
        if self._seen is not None:
            self._copy()
        self._synchronise("FULL" if durable else "NORMAL")
        with transaction(self._connection, self.execute):
            yield

    def _synchronise(self, level: str) -> None:
        if self._synchronous != level:
            self.execute("PRAGMA synchronous=%s" % level)
            self._synchronous = level

    def execute(self, statement: str, values: t.Union[t.Sequence[t.Any], t.Mapping[str, t.Any]] = ()) -> t.List[Row]:
        """Execute one statement; returns the rows. values: of its parameters, in order or by name."""
        return self._guarded(lambda: self._connection.execute(statement, values).fetchall())

    def integers(self, statement: str, values: t.Sequence[t.Any] = ()) -> array.array[int]:
        """Execute one statement for a column of integers, which takes 8 bytes of memory for each."""
        import array

        return self._guarded(lambda: array.array("q", itertools.chain.from_iterable(self._connection.execute(statement, values))))

    def executemany(self, statement: str, values: t.Iterable[t.Sequence[t.Any]]) -> None:
        """Execute one statement for each of the values."""
        if self._seen is not None:
            self._copy()
        self._guarded(lambda: self._connection.executemany(statement, values))

    def insert(self, statement: str, values: t.Sequence[t.Any]) -> int:
        """Execute an INSERT; returns the id of the new row."""
        return self._guarded(lambda: t.cast(int, self._connection.execute(statement, values).lastrowid))

    def _guarded(self, call: t.Callable[[], Result]) -> Result:
        """Call it. If the file is read as it is, and the call writes or another process writes meanwhile, call it again with a copy."""
        try:
            result = call()
            if self._seen is None or self._seen == _state_of(self.path):
                return result
        except sqlite3.Error as error:
            if self._seen is None:
                raise self._failed(error) from error
        self._copy()
        try:
            return call()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _copy(self) -> None:
        """Go on with a copy in memory of the file as it is now."""
        self._connection.close()
        self._seen = None
        try:
            self._connection = _copied(self.path)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _create_or_check(self) -> None:
        version = self.execute("PRAGMA user_version")[0][0]
        if version > SCHEMA_VERSION:
            raise LogArchiveError("a newer version of log-archive wrote this catalog", self.path, "Install that version again")
        if version < SCHEMA_VERSION:
            with self.transaction():
                # Another process may have done it meanwhile.
                version = self.execute("PRAGMA user_version")[0][0]
                if version == 0:
                    self._execute_all(_SCHEMA)
                if version == 1:
                    self._migrate_from_1()
                if version in (1, 2):
                    self._migrate_from_2()
                if version in (1, 2, 3):
                    self._migrate_from_3()
                if version in (1, 2, 3, 4):
                    # It had no compressed manifests either (see ``manifests``), which older releases cannot read.
                    self.execute("CREATE INDEX archives_by_id ON archives (job)")
                self.execute("PRAGMA user_version=%d" % SCHEMA_VERSION)

    def _execute_all(self, statements: str) -> None:
        for statement in statements.split(";"):
            self.execute(statement)

    def _migrate_from_1(self) -> None:
        """Version 1 had no digests, devices and inodes of sources, no copies that were given up, and fewer tables."""
        import json
        import re

        self._execute_all("DROP INDEX copies_by_state; ALTER TABLE copies RENAME TO copies_1")
        for column in ("sha256 TEXT NOT NULL DEFAULT ''", "device INTEGER", "inode INTEGER"):
            self.execute("ALTER TABLE sources ADD COLUMN %s" % column)
        new = r"TABLE (copies|refusals|jobs|verifications|failures) |INDEX (copies_by_state|sources_by_size|sources_by_mtime) "
        self._execute_all(";".join(statement for statement in _SCHEMA.split(";") if re.search(new, statement)))
        columns = "archive, store, key, state, verified_by, etag, error, manifest"
        self.execute("INSERT INTO copies (%s) SELECT %s FROM copies_1" % (columns, columns))
        self.execute("DROP TABLE copies_1")
        for archive, manifest in self.execute("SELECT id, manifest FROM archives"):
            self.executemany(
                "UPDATE sources SET sha256 = ? WHERE path = ? AND archive = ?",
                [(source["sha256"], os.fsencode(source["path"]), archive) for source in json.loads(manifest)["sources"]],
            )

    def _migrate_from_2(self) -> None:
        """Version 2 found the name and the start of an archive only in its manifest, and had no record of what stores list."""
        import json
        import re

        from . import revisions

        for table, columns in (("archives", ("start", "seconds", "name TEXT")), ("copies", ("host TEXT", "job TEXT", "start"))):
            there = {row[1] for row in self.execute("PRAGMA table_info(%s)" % table)}
            for column in columns:
                if column.split()[0] not in there:
                    self.execute("ALTER TABLE %s ADD COLUMN %s" % (table, column if " " in column else column + " INTEGER"))
        indexes = r"archives_by_(job|start|name|length)|sources_by_archive|copies_by_(archive|key|start)"
        new = r"TABLE (listings|differences|outcomes) |INDEX (%s) " % indexes
        self.execute("DROP INDEX archives_by_job")
        self._execute_all(";".join(statement for statement in _SCHEMA.split(";") if re.search(new, statement)))
        begin = "CAST(strftime('%s', period_start) AS INTEGER)"
        self.execute("UPDATE archives SET start = %s, seconds = CAST(strftime('%%s', period_end) AS INTEGER) - %s" % (begin, begin))
        revisions.date_all(self.execute)
        for (archive,) in self.execute("SELECT id FROM archives"):
            manifest = json.loads(self.execute("SELECT manifest FROM archives WHERE id = ?", (archive,))[0][0])
            self.execute("UPDATE archives SET name = ? WHERE id = ?", (manifest["archive"]["name"], archive))
        self.execute("UPDATE copies SET (host, job, start) = (SELECT host, job, start FROM archives WHERE id = archive)")

    def _migrate_from_3(self) -> None:
        """Version 3 had no ledger."""
        import re

        there = {row[1] for row in self.execute("PRAGMA table_info(copies)")}
        for column in ("entry", "tombstone"):
            if column not in there:
                self.execute("ALTER TABLE copies ADD COLUMN %s INTEGER" % column)
        new = r"TABLE (ledgers|heads) |INDEX copies_unentered "
        self._execute_all(";".join(statement for statement in _SCHEMA.split(";") if re.search(new, statement)))

    def _failed(self, error: Exception) -> LogArchiveError:
        # On a full disk SQLite's files beside the catalog fail with a plain "disk I/O error".
        if "full" in str(error) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or is_full(os.path.dirname(self.path)):
            return DiskFullError("the catalog cannot be written (%s)" % error, self.path, "Free some space; the next run continues")
        hint: t.Optional[str] = (
            "If it is damaged, move it away: the next run creates a new one and reads from the stores which logs are already archived"
        )
        if "locked" in str(error):
            hint = "Another process has been writing to it for a minute. 'fuser' shows which. Once that has ended, run it again"
        elif getattr(error, "errno", None) == errno.EROFS:
            hint = None
        return LogArchiveError("the catalog cannot be used (%s)" % error, self.path, hint)


def _prepare(state: str, readonly: bool) -> None:
    """Create the file, so that it and SQLite's -wal and -shm are private from the start, and refuse symbolic links in their places.

    SQLite opens them by path. Only root and the user of the job can change names in the folder.
    """
    with open_guarded(state) if is_anothers(state) else held(state) as folder:
        prepare_file(folder, FILE_NAME, readonly)
        for name in (FILE_NAME + "-wal", FILE_NAME + "-shm", FILE_NAME + "-journal"):
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISLNK(os.lstat(name, dir_fd=folder).st_mode):
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.path.join(state, name))


def prepare_file(folder: int, name: str, readonly: bool = False) -> None:
    """Create the file of a database, private to its owner, or raise OSError if the one that is there cannot be used.

    It is not opened. If a process closes any descriptor of a file, it loses its locks on that file, also those of its other connections:
    then another process takes itself for the last one, and removes the write-ahead log that is still written to.
    """
    if not readonly:
        with contextlib.suppress(FileExistsError):
            os.mknod(name, stat.S_IFREG | 0o600, dir_fd=folder)
    kind = os.lstat(name, dir_fd=folder).st_mode
    code = 0
    if stat.S_ISLNK(kind):
        code = errno.ELOOP
    elif not stat.S_ISREG(kind):
        raise OSError(errno.EINVAL, "it is not a regular file", name)
    elif not os.access(name, os.R_OK if readonly else os.R_OK | os.W_OK, dir_fd=folder, effective_ids=True):
        code = errno.EROFS if not readonly and os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES
    if code:
        raise OSError(code, os.strerror(code), name)


def text(value: str) -> str:
    """The value as text that SQLite takes: file names of other tools, and messages about them, may not be Unicode."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def integer(value: int) -> t.Union[int, bytes]:
    """The value as SQLite takes it; ``int`` reads both back. SQLite has 64 bits; nanoseconds since the epoch need more from 2262 on."""
    return value if -(1 << 63) <= value < 1 << 63 else b"%d" % value


def integers(pair: t.Optional[t.Tuple[int, int]]) -> t.Tuple[t.Union[int, bytes, None], t.Union[int, bytes, None]]:
    """The same for two values that may be unknown."""
    return (None, None) if pair is None else (integer(pair[0]), integer(pair[1]))


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, execute: t.Callable[[str], t.Any]) -> t.Iterator[None]:
    """All statements of the context or none of them. execute: executes a statement on the connection, with errors of the caller."""
    execute("BEGIN IMMEDIATE")
    try:
        yield
        execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself if the disk was full.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def write_ahead(connection: sqlite3.Connection) -> None:
    """Give the file a write-ahead log. If another process does so at this moment, or creates the schema, SQLite fails without waiting."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
        time.sleep(0.01)


def is_full(folder: str) -> bool:
    """Whether the file system of the folder lacks the room that SQLite needs: then its errors do not always name the cause."""
    try:
        status = os.statvfs(folder)
    except OSError:
        return False
    return status.f_bavail * status.f_frsize < LEAST_ROOM


def _connected(path: str, readonly: bool) -> sqlite3.Connection:
    if not readonly:
        return sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
    return sqlite3.connect(_address(path), timeout=_PATIENCE, isolation_level=None, uri=True)


def _copied(path: str) -> sqlite3.Connection:
    memory = sqlite3.connect(":memory:", isolation_level=None)
    with contextlib.closing(sqlite3.connect(_address(path), timeout=_PATIENCE, uri=True)) as file:
        file.backup(memory)
    return memory


def _address(path: str) -> str:
    """The address with which SQLite opens a file that it must not change."""
    from urllib.parse import quote

    # In mode "ro" SQLite creates a write-ahead log and removes it again. Without a log there is nothing in it to miss.
    return "file:%s?mode=ro%s" % (quote(path), "" if os.path.exists(path + "-wal") else "&immutable=1")


def _state_of(path: str) -> t.Optional[t.Tuple[int, ...]]:
    """What changes if another process writes to the file; None if one may do so now, or was killed then: the file has a log beside it."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    if os.path.exists(path + "-wal"):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
