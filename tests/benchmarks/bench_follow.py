# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Following a generated SFTPGo log: into SQLite and MariaDB, lag, memory, and the statistics of what was stored.

The peer is the usual script: ``json``, the SHA-256 of the line as key, INSERT IGNORE of seven fields, a transaction for 5,000 lines. Ours
stores all fields, with indexes and hourly sums, and its position. The full run needs 20 GB below TMPDIR and about an hour.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime
import functools
import hashlib
import itertools
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import typing as t

import lab
from _measure import Benchmark, Measure, Sides, Target, run
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_check import normalise_stream
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.generate.sftpgo import generate_lines
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records.parser import LineParser, tables_of
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks import copy_text, schema
from lab.databases import DATABASE, DatabaseServer, mariadb_server
from rigs.command import install

MIB = 1 << 20
BATCH = 5000
RATE, PIECE = 2000, 0.05
"""Lines a second of the writer for the lag, and seconds between two of its writes."""
TIME = b'"time":"2026-'


def write_backlog(folder: pathlib.Path, lines: int, block: int = 200_000) -> None:
    """Rotated logs of about 10 MB with so many lines. After ``block`` of them they are the same in other years, with other paths."""
    folder.mkdir(parents=True)
    start = datetime.datetime(2026, 1, 5)
    made = [line.text.encode() for line in itertools.islice(generate_lines(7, start), min(lines, block))]
    number = 0
    while lines > 0:
        for first in range(0, min(len(made), lines), 30_000):
            part = b"".join(made[first : first + min(30_000, lines)])
            year, path = b'"time":"%d-' % (2026 + number), b'"virtual_path":"/%d/' % number
            name = "sftpgo-%d-%07d.log" % (2026 + number, first)
            (folder / name).write_bytes(part.replace(TIME, year).replace(b'"virtual_path":"/', path))
            lines -= len(made[first : first + min(30_000, lines)])
        number += 1


def write_stream(folder: pathlib.Path, logs: pathlib.Path, sink: t.Mapping[str, t.Any]) -> pathlib.Path:
    """The document of a stream of these logs."""
    folder.mkdir(parents=True, exist_ok=True)
    follow = {"paths": [str(logs)], "patterns": ["sftpgo.log"], "rotated": ["sftpgo-*.log"]}
    parse = {"profile": "sftpgo", "timezone": "UTC"}
    document = {"name": "sftpgo", "host": "web1", "follow": follow, "parse": parse, "sinks": [sink], "state": str(folder / "state")}
    path = folder / "sftpgo.json"
    path.touch(0o600)
    path.write_text(json.dumps(document))
    return path


def once(measure: Measure) -> Measure:
    """What takes minutes is measured in the first round, and is the same in the others."""
    return functools.lru_cache(maxsize=None)(measure)


def at_rest(*paths: pathlib.Path) -> None:
    """Remove databases of the round before, and let the disk come to rest."""
    for path in paths:
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    os.sync()


# -- peers ------------------------------------------------------------------------------------------------------------


def usual_way(kind: str, target: str, logs: str) -> None:
    """The peer, in a process of its own. target: the database file, or the port of the server."""
    names = ("level", "time", "sender", "remote_address", "username", "size_bytes")
    types = "level VARCHAR(20), time VARCHAR(40), sender VARCHAR(50), remote_address VARCHAR(64), username VARCHAR(255), size_bytes BIGINT"
    table = "CREATE TABLE logdata (%s, hash VARCHAR(64) PRIMARY KEY)" % types
    if kind == "sqlite":
        connection = sqlite3.connect(target, isolation_level=None)
        # As durable as ours.
        connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; " + table)

        def store(rows: t.List[t.List[t.Any]]) -> None:
            connection.execute("BEGIN")
            connection.executemany("INSERT OR IGNORE INTO logdata VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            connection.execute("COMMIT")

    else:
        import pymysql

        sink = json.loads(target)
        server = pymysql.connect(
            host=sink["host"], port=sink["port"], user=sink["user"], password=sink["password"], database=sink["database"], autocommit=True
        )
        cursor = server.cursor()
        cursor.execute(table)

        def store(rows: t.List[t.List[t.Any]]) -> None:
            cursor.executemany("INSERT IGNORE INTO logdata VALUES (%s, %s, %s, %s, %s, %s, %s)", rows)

    batch: t.List[t.List[t.Any]] = []
    for path in sorted(pathlib.Path(logs).iterdir()):
        with open(path, encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                batch.append([*map(row.get, names), hashlib.sha256(line.encode()).hexdigest()])
                if len(batch) == BATCH:
                    store(batch)
                    batch = []
    store(batch)


# -- benchmarks -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def into_sqlite(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    launcher, logs, ours, peer = install(folder), folder / "logs", folder / "ours.sqlite", folder / "peer.sqlite"
    write_backlog(logs, 5_000 if quick else 1_000_000)
    stream = write_stream(folder / "stream", logs, {"type": "sqlite", "path": str(ours)})

    def ingest() -> float:
        at_rest(ours)
        return run([launcher, "ingest", stream]).seconds

    def script() -> float:
        at_rest(peer)
        return run([sys.executable, __file__, "sqlite", peer, logs], env=environment()).seconds

    yield Sides(ingest, script)


def environment() -> t.Dict[str, str]:
    """For a process that runs this module."""
    return dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))


@contextlib.contextmanager
def maria(folder: pathlib.Path, quick: bool) -> t.Iterator[t.Tuple[DatabaseServer, pathlib.Path, Measure]]:
    """A server, the logs, and our side."""
    launcher, logs = install(folder), folder / "logs"
    write_backlog(logs, 5_000 if quick else 1_000_000)
    with mariadb_server() as server:
        stream = write_stream(folder / "stream", logs, server.sink())

        def ingest() -> float:
            server.run_sql("DROP DATABASE %s; CREATE DATABASE %s;" % (DATABASE, DATABASE))
            os.sync()
            return run([launcher, "ingest", stream]).seconds

        yield server, logs, ingest


@contextlib.contextmanager
def into_mariadb(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    with maria(folder, quick) as (server, logs, ingest):

        def script() -> float:
            server.run_sql("DROP DATABASE %s; CREATE DATABASE %s;" % (DATABASE, DATABASE))
            os.sync()
            return run([sys.executable, __file__, "mariadb", json.dumps(server.sink()), logs], env=environment()).seconds

        yield Sides(ingest, once(script))


@contextlib.contextmanager
def beside_load_data(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    """Beside one LOAD DATA for each table, of files that are prepared: no parsing, no hourly sums, no positions."""
    with maria(folder, quick) as (server, logs, ingest):
        document = normalise_stream(json.loads((folder / "stream" / "sftpgo.json").read_text()))
        parser, files, offset = LineParser(document), {}, 0
        with contextlib.ExitStack() as stack:
            for path in sorted(logs.iterdir()):
                for line in path.read_bytes().splitlines():
                    offset += 1
                    table, values = parser.parse(line)
                    if table not in files:
                        files[table] = stack.enter_context(open(folder / (table + ".csv"), "wb"))
                    files[table].write(copy_text.text_of([(1, offset, *values)]))
        tables = [each for statements in schema.create_statements(schema.MYSQL, tables_of(document)).values() for each in statements]
        loads = ["LOAD DATA LOCAL INFILE '%s' INTO TABLE %s CHARACTER SET utf8mb4" % (folder / (table + ".csv"), table) for table in files]

        def bare() -> float:
            server.run_sql("DROP DATABASE %s; CREATE DATABASE %s; USE %s; %s;" % (DATABASE, DATABASE, DATABASE, "; ".join(tables)))
            os.sync()
            begin = time.perf_counter()
            server.run_sql("USE %s; %s;" % (DATABASE, "; ".join(loads)))
            return time.perf_counter() - begin

        yield Sides(ingest, bare)


@contextlib.contextmanager
def lag(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    """How long after a line is written its row is committed: the time that 99 of 100 lines do not exceed."""
    launcher = install(folder)
    seconds = 2 if quick else 20
    lines = [line.text.encode() for line in itertools.islice(generate_lines(7, datetime.datetime(2026, 1, 5)), RATE * seconds)]
    rounds = itertools.count()
    yield Sides(lambda: lag_of(folder / ("round%d" % next(rounds)), launcher, lines))


def lag_of(folder: pathlib.Path, launcher: pathlib.Path, lines: t.Sequence[bytes]) -> float:
    """One round with an empty database."""
    (folder / "logs").mkdir(parents=True)
    log, database = folder / "logs" / "sftpgo.log", folder / "db.sqlite"
    log.touch()
    stream = write_stream(folder, folder / "logs", {"type": "sqlite", "path": str(database)})
    written: t.List[t.Tuple[int, float]] = []
    follower = subprocess.Popen([launcher, "follow", stream], stdout=subprocess.DEVNULL)
    try:
        lab.wait_until(database.exists, "the follower did not start")
        writer = threading.Thread(target=write_lines, args=(log, lines, written))
        writer.start()
        total, lags, known = sum(map(len, lines)), [], 0
        with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % database, uri=True)) as connection:
            while known < total:
                offset = offset_of(connection)
                now = time.monotonic()
                if offset > known:
                    lags += [now - moment for end, moment in list(written) if known < end <= offset]
                    known = offset
                time.sleep(0.005)
        writer.join()
    finally:
        follower.terminate()
        follower.wait()
    return sorted(lags)[len(lags) * 99 // 100]


def write_lines(log: pathlib.Path, lines: t.Sequence[bytes], written: t.List[t.Tuple[int, float]]) -> None:
    """Write lines at RATE; note the end of each and when it was written."""
    end, count, start = 0, int(RATE * PIECE), time.monotonic()
    with open(log, "ab", buffering=0) as file:
        for number, first in enumerate(range(0, len(lines), count)):
            time.sleep(max(0.0, start + number * PIECE - time.monotonic()))
            moment = time.monotonic()
            file.write(b"".join(lines[first : first + count]))
            for line in lines[first : first + count]:
                end += len(line)
                written.append((end, moment))


def offset_of(connection: sqlite3.Connection) -> int:
    """The position of the follower, 0 before it has any."""
    try:
        return int(connection.execute("SELECT COALESCE(MAX(read_offset), 0) FROM ingest_generation").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


class Stored(t.NamedTuple):
    """A backlog that was stored in one go. peak: of the process, in MiB."""

    launcher: pathlib.Path
    stream: pathlib.Path
    peak: float


@functools.cache
def stored(lines: int) -> Stored:
    """Store a backlog of so many lines. It is kept until the harness ends: two benchmarks use it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="log-archive-bench-"))
    atexit.register(shutil.rmtree, folder)
    launcher = install(folder)
    write_backlog(folder / "logs", lines)
    stream = write_stream(folder / "stream", folder / "logs", {"type": "sqlite", "path": str(folder / "db.sqlite")})
    peak = run([launcher, "ingest", stream]).peak / MIB
    # Of the logs only the database is needed any more.
    shutil.rmtree(folder / "logs")
    return Stored(launcher, stream, peak)


@contextlib.contextmanager
def memory(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    """Peak resident memory of a process that stores a large backlog; as the peer of one that stores a small one."""
    large, small = (20_000, 5_000) if quick else (10_000_000, 1_000_000)
    yield Sides(lambda: stored(large).peak, lambda: stored(small).peak)


@contextlib.contextmanager
def statistics(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    """All statistics of a large database, as a page."""
    database = stored(20_000 if quick else 10_000_000)
    yield Sides(lambda: run([database.launcher, "stats", database.stream, "--html", folder / "page.html"]).seconds)


BENCHMARKS = [
    Benchmark("ingest-sqlite", into_sqlite, Target("faster", 5)),
    Benchmark("ingest-mariadb", into_mariadb, Target("faster", 4)),
    Benchmark("ingest-mariadb-load", beside_load_data, Target("faster", 0.5)),
    Benchmark("follow-lag", lag, Target("value", 1.5)),
    Benchmark("follow-memory", memory, Target("value", 96), "MiB"),
    Benchmark("stats", statistics, Target("value", 10)),
]

if __name__ == "__main__":
    usual_way(*sys.argv[1:])
