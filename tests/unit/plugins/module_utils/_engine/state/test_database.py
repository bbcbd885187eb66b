# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalog's file: private, read without a trace on request, and refused if it is damaged or newer."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import stat
import threading

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.rows import Rows
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state import database
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.database import FILE_NAME, SCHEMA_VERSION
from rigs.manifests import manifest
from rigs.sqlite import other_process


def test_the_file_is_private_from_the_start(tmp_path):
    old = os.umask(0)
    try:
        catalog = Catalog(str(tmp_path))
        catalog.runs.begin("job", 1.0)
        for name in os.listdir(tmp_path):
            assert stat.S_IMODE(os.stat(tmp_path / name).st_mode) & 0o077 == 0, name
        catalog.close()
    finally:
        os.umask(old)


def test_creation_waits_for_another_process_that_creates_it(tmp_path):
    """Two jobs begin for the first time in the same second."""
    other = sqlite3.connect(str(tmp_path / FILE_NAME), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    ended = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    ended.start()
    try:
        with contextlib.closing(Catalog(str(tmp_path))) as catalog:
            assert catalog.runs.begin("job", 1.0) == 1
    finally:
        ended.join()
        other.close()


@pytest.mark.parametrize("readonly", [False, True])
def test_a_second_catalog_of_the_process_leaves_the_first_its_locks(tmp_path, readonly):
    """Without locks, the next reader removes the write-ahead log that the first writes to."""
    with contextlib.closing(Catalog(str(tmp_path))) as catalog:
        Catalog(str(tmp_path), readonly=readonly).close()
        assert other_process(tmp_path / FILE_NAME, "SELECT COUNT(*) FROM runs") == "(0,)"
        catalog.runs.begin("job", 1.0)
        assert other_process(tmp_path / FILE_NAME, "SELECT COUNT(*) FROM runs") == "(1,)"


def test_a_catalog_that_stays_locked_is_not_called_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "_PATIENCE", 0.2)
    with contextlib.closing(Catalog(str(tmp_path))) as catalog:
        other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
        with contextlib.closing(other), pytest.raises(LogArchiveError, match="locked.*Another process has been writing to it") as caught:
            other.execute("BEGIN IMMEDIATE")
            catalog.runs.begin("job", 1.0)
    assert "damaged" not in str(caught.value)


def test_readonly_reads_the_file_and_copies_it_for_what_is_written(tmp_path, monkeypatch):
    with contextlib.closing(Catalog(str(tmp_path))) as catalog:
        catalog.add("host", "job", "k", manifest(), ["a"])
    copied = []
    copy = database._copied
    monkeypatch.setattr(database, "_copied", lambda path: (copied.append(path), copy(path))[1])
    with contextlib.closing(Catalog(str(tmp_path), readonly=True)) as reader:
        assert reader.by_key("k") and list(reader.held_by("host", "job", "a").starts()) == [] and copied == []
        reader.add("host", "job", "k2", manifest(), ["a"])
        assert reader.by_key("k2") and reader.by_key("k") and len(copied) == 1
    with contextlib.closing(Catalog(str(tmp_path), readonly=True)) as reader:
        assert (reader.by_key("k2"), len(copied)) == (None, 1)


@pytest.mark.parametrize("finished", [False, True])
def test_readonly_while_a_run_writes(tmp_path, finished):
    with contextlib.closing(Catalog(str(tmp_path))) as catalog:
        catalog.add("host", "job", "0", manifest(), ["a"])
    with contextlib.closing(Catalog(str(tmp_path), readonly=True)) as reader, contextlib.closing(Catalog(str(tmp_path))) as writer:
        for number in range(1, 200):
            writer.add("host", "job", str(number), manifest(), ["a"])
        if finished:
            writer.close()
        # As the file is now: the pages of before and after must not be mixed.
        assert len(reader.entries("job")) == 200
        reader.add("host", "job", "x", manifest(), ["a"])
        assert (len(reader.entries("job")), reader._database.execute("PRAGMA integrity_check")) == (201, [("ok",)])


def test_readonly_leaves_no_trace(tmp_path):
    catalog = Catalog(str(tmp_path))
    catalog.add("host", "job", "k", manifest(), ["a"])
    catalog.close()
    before = {name: os.stat(tmp_path / name).st_mtime_ns for name in [".", *os.listdir(tmp_path)]}
    reader = Catalog(str(tmp_path), readonly=True)
    assert reader.by_key("k")
    reader.runs.begin("job", 1.0)
    reader.close()
    assert before == {name: os.stat(tmp_path / name).st_mtime_ns for name in [".", *os.listdir(tmp_path)]}


def test_readonly_sees_what_a_killed_run_left_in_the_write_ahead_log(tmp_path):
    writer = Catalog(str(tmp_path))
    writer.add("host", "job", "k", manifest(), ["a"])
    reader = Catalog(str(tmp_path), readonly=True)
    assert reader.by_key("k")
    reader.close()
    writer.close()


def test_readonly_of_a_file_that_was_never_filled_is_an_empty_catalog(tmp_path):
    (tmp_path / FILE_NAME).touch()
    reader = Catalog(str(tmp_path), readonly=True)
    assert reader.entries("job") == []
    reader.close()


def test_a_catalog_that_another_job_creates_at_the_same_moment_is_used(tmp_path, monkeypatch):
    """The first runs of two jobs of a host meet: the other one creates it between this one's look at the version and its transaction."""
    transaction = database.Database.transaction

    def later(self):
        monkeypatch.setattr(database.Database, "transaction", transaction)
        database.Database(str(tmp_path)).close()
        return transaction(self)

    monkeypatch.setattr(database.Database, "transaction", later)
    opened = database.Database(str(tmp_path))
    assert opened.execute("PRAGMA user_version") == [(SCHEMA_VERSION,)]
    opened.close()


def test_a_newer_catalog_is_left_alone(tmp_path):
    Catalog(str(tmp_path)).close()
    database = sqlite3.connect(tmp_path / FILE_NAME)
    database.execute("PRAGMA user_version=%d" % (SCHEMA_VERSION + 1))
    database.close()
    with pytest.raises(LogArchiveError, match="newer version"):
        Catalog(str(tmp_path))


@pytest.mark.parametrize("damage", ["text", "cut", "folder"])
def test_a_damaged_catalog_is_an_error(tmp_path, damage):
    path = tmp_path / FILE_NAME
    if damage == "folder":
        path.mkdir()
    elif damage == "text":
        path.write_bytes(b"no database\n" * 500)
    else:
        catalog = Catalog(str(tmp_path))
        for number in range(100):
            catalog.add("host", "job", "k%d" % number, manifest(), ["a"])
        catalog.close()
        os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(LogArchiveError, match="move it away"):
        catalog = Catalog(str(tmp_path))
        catalog.entries("job")
        catalog.awaited("job")


VERSION_1 = """
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
PRAGMA user_version = 1;
"""


def schema(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT type, name, tbl_name FROM sqlite_master ORDER BY name").fetchall()
        columns = {name: database.execute("PRAGMA table_info(%s)" % name).fetchall() for kind, name, _table in rows if kind == "table"}
        return (
            rows,
            {name: [column[1:4] for column in of] for name, of in columns.items()},
            database.execute("PRAGMA user_version").fetchall(),
        )


TO_VERSION_2 = """
DROP INDEX archives_by_job;
CREATE INDEX archives_by_job ON archives (job, spooled);
DROP INDEX archives_by_start;
DROP INDEX archives_by_length;
DROP INDEX archives_by_id;
DROP INDEX archives_by_name;
DROP INDEX sources_by_archive;
DROP INDEX copies_by_archive;
DROP INDEX copies_by_key;
DROP INDEX copies_by_start;
DROP INDEX copies_unentered;
ALTER TABLE copies DROP COLUMN entry;
ALTER TABLE copies DROP COLUMN tombstone;
ALTER TABLE archives DROP COLUMN start;
ALTER TABLE archives DROP COLUMN seconds;
ALTER TABLE archives DROP COLUMN name;
ALTER TABLE copies DROP COLUMN host;
ALTER TABLE copies DROP COLUMN job;
ALTER TABLE copies DROP COLUMN start;
DROP TABLE listings;
DROP TABLE differences;
DROP TABLE outcomes;
DROP TABLE ledgers;
DROP TABLE heads;
PRAGMA user_version = 2;
"""


def test_a_catalog_of_version_2_gets_the_starts_of_its_archives(tmp_path):
    key = "host/job/2024/01/12/x%s.tgz"
    later, earlier = 1705068000, 1705068000 - 7200
    with contextlib.closing(Catalog(str(tmp_path))) as catalog:
        for number, hour in (("", 14), (".r2", 12), (".r3", 13)):
            facts = manifest(path="/var/log/other" if number == ".r2" else "/var/log/x")
            facts["period"] = {"start": "2024-01-12T%02d:00:00Z" % hour, "end": "2024-01-12T15:00:00Z"}
            entry = catalog.add("host", "job", key % number, facts, ["a"])
            catalog.set_verified(entry, "a", key % number, "size", None)
    expected = schema(tmp_path / FILE_NAME)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as old:
        old.executescript(TO_VERSION_2)
    with contextlib.closing(Catalog(str(tmp_path))) as catalog:
        # The third is a later state of the first, although the clock was set back.
        assert catalog.held_by("host", "job", "a").by_key() == {key % "": later, key % ".r2": earlier, key % ".r3": later}
        assert list(catalog.held_by("host", "job", "a").starts()) == [later, earlier]
        assert catalog._database.execute("SELECT seconds, name FROM archives ORDER BY id") == [(3600, "x"), (10800, "x"), (7200, "x")]
    assert schema(tmp_path / FILE_NAME) == expected


def test_the_clock_of_the_last_archives_is_found_without_sorting_all(tmp_path):
    """Also in a catalog of version 4, which had no index for that; it has manifests as text, and as they are kept of many sources."""
    with contextlib.closing(Catalog(str(tmp_path))) as catalog:
        few = dict(manifest("a"), created="2024-01-12T15:00:01Z")
        many = dict(manifest("b"), created="2024-01-12T15:00:02Z", sources=Rows(rows=manifest("b")["sources"] * 3))
        for key, one in (("few", few), ("many", many), ("other", dict(few, created="2024-01-12T15:00:00Z"))):
            catalog.add("host", "job", key, one, ["a"])
    expected = schema(tmp_path / FILE_NAME)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as old:
        old.executescript("DROP INDEX archives_by_id; PRAGMA user_version = 4")
    with contextlib.closing(Catalog(str(tmp_path))) as catalog:
        assert schema(tmp_path / FILE_NAME) == expected
        assert catalog.counts.last_created("job") == "2024-01-12T15:00:02Z"
        assert [entry.manifest for entry in catalog.entries("job")] == [few, many, dict(few, created="2024-01-12T15:00:00Z")]
        asked = []
        catalog._database._connection.set_trace_callback(asked.append)
        assert catalog.counts.last_created("none") is None
        plans = [row[3] for statement in asked for row in catalog._database.execute("EXPLAIN QUERY PLAN " + statement)]
    assert not any("TEMP B-TREE" in plan for plan in plans), plans


def test_a_catalog_of_version_1_keeps_its_archives(tmp_path):
    facts = manifest(sha256="d" * 64)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as old:
        old.executescript(VERSION_1)
        old.execute(
            "INSERT INTO archives VALUES (7, 'host', 'job', 'k', '2024-01-12T14:00:00Z', '2024-01-12T15:00:00Z', 10, ?, 0)",
            (json.dumps(facts),),
        )
        old.execute("INSERT INTO sources VALUES (7, ?, 1, 2, 0)", (os.fsencode(facts["sources"][0]["path"]),))
        old.execute("INSERT INTO copies VALUES (7, 'a', 'k', 'verified', 'read_back', 'etag', NULL, NULL)")
        old.execute("INSERT INTO runs VALUES (1, 'job', 1.0, 2.0, 0, NULL)")
        old.commit()
    reader = Catalog(str(tmp_path), readonly=True)
    assert reader.by_key("k").manifest == facts
    reader.close()
    for _twice in range(2):
        catalog = Catalog(str(tmp_path))
        assert catalog.copies(catalog.by_key("k"))["a"].verified_by == "read_back"
        assert catalog.runs.last("job").exit_code == 0
        catalog.close()

    (tmp_path / "new").mkdir(mode=0o700)
    Catalog(str(tmp_path / "new")).close()
    assert schema(tmp_path / FILE_NAME) == schema(tmp_path / "new" / FILE_NAME)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        assert database.execute("SELECT sha256 FROM sources").fetchall() == [("d" * 64,)]
        database.execute("UPDATE copies SET state = 'given up'")
