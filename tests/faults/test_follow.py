# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Following under faults: a full disk, and a storm of kills and rotations."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import typing as t

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils import _engine
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.files import load_stream
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_check import normalise_stream
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower, retry
from lab.databases import mariadb_server, postgresql_server
from rigs.host import ENGINE_PATH
from rigs.storm import Outcome, Storm, rage
from rigs.streams import given, upload
from rigs.sums import assert_sums_are_those_of_the_rows

LONG = os.environ.get("LOG_ARCHIVE_STORM") == "long"
"""'make storm': 200 kills at 5,000 lines a second, and another seed each time unless LOG_ARCHIVE_SEED names one."""
EVERY = 2.0
"""Seconds between two rotations of the long form, so that files have some MiB."""
SEED = int(os.environ.get("LOG_ARCHIVE_SEED", "0")) or (int.from_bytes(os.urandom(4), "big") if LONG else 20261103)


def test_a_full_disk_loses_nothing(tmp_path: pathlib.Path) -> None:
    (tmp_path / "logs").mkdir()
    with contextlib.ExitStack() as stack:
        try:
            small = pathlib.Path(stack.enter_context(lab.small_filesystem(tmp_path / "small", 4 << 20)))
        except lab.Unavailable as reason:
            pytest.skip(str(reason))
        wanted = normalise_stream(given(tmp_path, sinks=[{"type": "sqlite", "path": str(small / "db.sqlite")}]))
        (small / "filler").write_bytes(b"x" * (3 << 20))
        (tmp_path / "logs" / "sftpgo.log").write_bytes(b"".join(upload(number) + b"\n" for number in range(6000)))
        result = follower.catch_up(wanted, sleep=lambda _seconds: None)
        assert result["exit_code"] == 1
        assert "Free some space; nothing is lost" in (result["sinks"][0]["error"] or "")
        (small / "filler").unlink()
        assert follower.catch_up(wanted)["exit_code"] == 0
        with contextlib.closing(sqlite3.connect(small / "db.sqlite")) as connection:
            rows = connection.execute("SELECT size_bytes FROM sftpgo_transfer ORDER BY size_bytes").fetchall()
            # As a version without sums left it.
            connection.executescript("DROP TABLE ingest_summed; DROP TABLE sftpgo_hourly; DROP TABLE sftpgo_hourly_failed_login")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert rows == [(number,) for number in range(6000)]
        with open(small / "filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        result = follower.catch_up(wanted, sleep=lambda _seconds: None)
        assert "Free some space; nothing is lost" in (result["sinks"][0]["error"] or "")
        (small / "filler").unlink()
        assert follower.catch_up(wanted)["exit_code"] == 0
        with contextlib.closing(sqlite3.connect(small / "db.sqlite")) as connection:
            assert connection.execute("SELECT SUM(uploads) FROM sftpgo_hourly").fetchall() == [(6000,)]
            assert_sums_are_those_of_the_rows(connection.execute)


TRY_AGAIN = """
import itertools, signal, sys
from {0}.config.files import load_stream
from {0}.ingest import retry
retry.LINES = 20
page, store = itertools.count(), retry._Page.store
retry._Page.store = lambda lines: store(lines) if next(page) < 30 else signal.pause()
retry.retry(load_stream(sys.argv[1]))
""".format(_engine.__name__)
"""The command, which waits after 600 lines: however late a test kills it, there are lines left."""


def test_rejected_lines_are_stored_once_though_the_command_is_killed(tmp_path: pathlib.Path) -> None:
    (tmp_path / "logs").mkdir()
    lines = 3000
    (tmp_path / "logs" / "sftpgo.log").write_bytes(b"".join(upload(number, username="x" * 300) + b"\n" for number in range(lines)))
    assert follower.catch_up(normalise_stream(given(tmp_path)))["sinks"][0]["rejected"] == lines
    mended = tmp_path / "sftpgo.json"
    mended.touch(0o600)
    mended.write_text(json.dumps(given(tmp_path, parse={"long_values": "truncate"})))
    with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite")) as connection:

        def count() -> int:
            return int(connection.execute("SELECT COUNT(*) FROM sftpgo_transfer").fetchone()[0])

        for _kill in range(4):
            before = count()
            running = subprocess.Popen([sys.executable, "-c", TRY_AGAIN, str(mended)], env=dict(os.environ, PYTHONPATH=ENGINE_PATH))
            lab.wait_until(lambda: count() > before, "no rejected line is stored")  # noqa: B023
            running.kill()
            running.wait()
        left = connection.execute("SELECT COUNT(*) FROM ingest_rejected WHERE stored_at IS NULL").fetchone()[0]
        assert 0 < left == lines - count()
        assert retry.retry(load_stream(str(mended)))[0]["stored"] == left
        rows = connection.execute("SELECT size_bytes FROM sftpgo_transfer ORDER BY size_bytes").fetchall()
        assert rows == [(number,) for number in range(lines)]
        assert_sums_are_those_of_the_rows(connection.execute)


def assert_exactly_once(outcome: Outcome) -> None:
    facts = (SEED, outcome.lines, outcome.early, outcome.files, outcome.kills, outcome.helpers)
    print("seed %d: %d lines, %d of them before the last catch-up, %d files left, %d kills, %d of them with a second process" % facts)
    twice, missing = outcome.stored - outcome.written, outcome.written - outcome.stored
    assert (len(twice), len(missing)) == (0, 0), (SEED, twice.most_common(5), missing.most_common(5))
    assert outcome.files > 3
    assert outcome.helpers >= (outcome.kills // 20 if LONG else 0)


LONG_STORM = Storm(kills=200, rate=5000, seed=SEED, every=EVERY, batch=1000)


def test_a_storm_into_sqlite(quick_path: pathlib.Path) -> None:
    storm = LONG_STORM if LONG else Storm(kills=8, rate=1000, seed=SEED)
    assert_exactly_once(rage(quick_path, storm, {"type": "sqlite", "path": str(quick_path / "db.sqlite")}))


@pytest.mark.parametrize(
    ("library", "run_server"),
    [("pymysql", mariadb_server), *([("psycopg", postgresql_server)] if LONG else [])],
    ids=["mariadb", *(["postgresql"] if LONG else [])],
)
def test_a_storm_into_a_server_that_is_killed_too(quick_path: pathlib.Path, library: str, run_server: t.Any) -> None:
    pytest.importorskip(library)
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(run_server())
        except lab.Unavailable as reason:
            pytest.skip(str(reason))
        storm = LONG_STORM if LONG else Storm(kills=4, rate=1000, seed=SEED, server_kills=2)
        assert_exactly_once(rage(quick_path, storm, server.sink(), server))
