# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sink sqlite: rows and position commit together, and a position moves only from where it is."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading

import hypothesis.strategies as st
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.checkpoint import Batch, Gap, Generation, Place, Rejected
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records.parser import LineParser
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks import base, inserts, schema, sql
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.opening import open_sink
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.sql import print_schema
from hypothesis import given
from rigs.sqlite import other_process
from rigs.streams import document, upload
from rigs.sums import assert_sums_are_those_of_the_rows
from rigs.turns import staged

PLACE = Place("/logs/caf\udce9/sftpgo.log", True, 2**63 + 5, 2**64 - 1, 500)
NEW = Generation(0, "web1-a-0", "/logs/caf\udce9", ((80, "aa" * 16),), 0, 100, "bb" * 16, 1, PLACE, 1000.5, False)


@pytest.fixture
def wanted(tmp_path):
    return document(tmp_path)


@pytest.fixture
def sink(wanted):
    with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as opened:
        yield opened


def row(wanted, number: int):
    name, values = LineParser(wanted).parse(upload(number))
    assert name == "sftpgo_transfer"
    return values


def batch(wanted, generation: Generation, before: int, *offsets: int, **more) -> Batch:
    return Batch(before, generation, {"sftpgo_transfer": [(offset, *row(wanted, offset)) for offset in offsets]}, **more)


def select(wanted, statement: str) -> list:
    with contextlib.closing(sqlite3.connect(wanted["sinks"][0]["path"])) as connection:
        return connection.execute(statement).fetchall()


def test_creation_waits_for_another_process_that_creates_it(wanted) -> None:
    """Two streams begin for the first time in the same second."""
    other = sqlite3.connect(wanted["sinks"][0]["path"], isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    ended = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    ended.start()
    try:
        with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as sink:
            assert sink.open_generations() == []
    finally:
        ended.join()
        other.close()


def test_a_second_sink_of_the_process_leaves_the_first_its_locks(wanted, sink) -> None:
    """As the page and the metrics of a follower open them. Without locks, the next reader removes the log that the first writes to."""
    path = wanted["sinks"][0]["path"]
    open_sink(wanted["sinks"][0], wanted, create=False).close()
    assert other_process(path, "SELECT COUNT(*) FROM sftpgo_transfer") == "(0,)"
    sink.commit(batch(wanted, NEW, -1, 0, 50))
    assert other_process(path, "SELECT COUNT(*) FROM sftpgo_transfer") == "(2,)"


def test_a_new_generation_and_its_next_batch(wanted, sink) -> None:
    first = sink.commit(batch(wanted, NEW, -1, 0, 50))
    assert first == NEW._replace(id=first.id)
    assert sink.open_generations() == [first] == sink.generations_like("aa" * 16)
    moved = first._replace(offset=200, lines=2, tail="cc" * 16, place=PLACE._replace(live=False), closed=True)
    gap, bad = Gap(150, None, "truncated", "why"), Rejected(100, 9, "not_json", "detail", b"\xff\0bytes")
    assert sink.commit(batch(wanted, moved, 100, rejected=[bad], gaps=[gap])) == moved
    assert sink.open_generations() == []
    assert sink.generations_like("aa" * 16) == [moved]
    assert sink.rejected(None, 10, 1000) == [base.StoredLine(moved.id, bad)]
    assert sink.rejected((moved.id, 100), 10, 1000) == []
    assert select(wanted, "SELECT line_offset, bytes, kind, detail FROM ingest_gap") == [gap]
    totals = sink.totals()
    assert totals == base.Totals(2, 1, 0, totals.rejected_at, 1, 0, totals.gap_at)
    assert totals.gap_at == totals.rejected_at > 0
    assert [sink.totals(totals.rejected_at + later).accepted for later in (-0.001, 0, 0.001)] == [0, 1, 1]
    assert select(wanted, "SELECT generation, line_offset, size_bytes FROM sftpgo_transfer") == [(first.id, 0, 0), (first.id, 50, 50)]


def test_a_position_that_another_process_moved(wanted, sink) -> None:
    first = sink.commit(batch(wanted, NEW, -1, 0))
    with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as other:
        other.commit(batch(wanted, first._replace(offset=200), 100, 100))
    # In a database that was restored, another generation has the number.
    stranger = first._replace(public_id="web1-a-1", offset=300)
    for moved, before in ((first._replace(offset=300), 100), (stranger, 200)):
        with pytest.raises(base.ConflictError):
            sink.commit(batch(wanted, moved, before, 101))
    with pytest.raises(base.ConflictError):
        sink.commit(batch(wanted, NEW, -1, 0))
    assert select(wanted, "SELECT line_offset FROM sftpgo_transfer") == [(0,), (100,)]
    assert sink.open_generations()[0].offset == 200


def test_a_value_that_the_database_refuses_stores_nothing(wanted, sink) -> None:
    wrong = (0, *row(wanted, 1)[:8], 2**63, *row(wanted, 1)[9:])
    with pytest.raises(base.RowRefusedError):
        sink.commit(Batch(-1, NEW, {"sftpgo_transfer": [(50, *row(wanted, 2)), wrong]}))
    assert sink.open_generations() == []
    assert select(wanted, "SELECT * FROM sftpgo_transfer") == []
    sink.commit(batch(wanted, NEW, -1, 0))


def test_a_rejected_line_is_stored_once(wanted, sink) -> None:
    bad = [Rejected(offset, 3, "not_json", "", b"abc") for offset in (50, 60, 70)]
    generation = sink.commit(batch(wanted, NEW, -1, 0, rejected=bad)).id
    sink.store_rejected(generation, [50], {"sftpgo_transfer": [(50, *row(wanted, 3))]})
    # One of them is stored already, so none of this call is.
    with pytest.raises(base.ConflictError):
        sink.store_rejected(generation, [50, 60], {"sftpgo_transfer": [(offset, *row(wanted, 3)) for offset in (50, 60)]})
    assert [each.rejected.line_offset for each in sink.rejected(None, 5, 1000)] == [60, 70]
    sink.store_rejected(generation, [60, 70], {"sftpgo_transfer": [(70, *row(wanted, 3))]})
    assert (sink.rejected(None, 5, 1000), sink.totals().rejected) == ([], 0)
    assert select(wanted, "SELECT line_offset FROM sftpgo_transfer ORDER BY line_offset") == [(0,), (50,), (70,)]
    assert_sums_are_those_of_the_rows(sink.select)


@pytest.mark.parametrize(("lines", "size", "pages"), [(2, 1000, [2, 1, 1]), (9, 25, [2, 1, 1]), (9, 1, [1, 1, 1, 1]), (9, 1000, [3, 1])])
def test_pages_of_rejected_lines_are_bounded_and_of_one_generation(wanted, sink, tmp_path, lines: int, size: int, pages) -> None:
    def bad(*offsets: int) -> list:
        return [Rejected(offset, 10, "not_json", "", bytes(10)) for offset in offsets]

    sink.commit(batch(wanted, NEW, -1, rejected=bad(5, 1, 9)))
    sink.commit(batch(wanted, NEW._replace(public_id="without"), -1))
    sink.commit(batch(wanted, NEW._replace(public_id="second"), -1, rejected=bad(2)))
    other = document(tmp_path, name="other")
    with contextlib.closing(open_sink(other["sinks"][0], other)) as opened:
        opened.commit(batch(other, NEW._replace(public_id="other"), -1, rejected=bad(3)))
    found, after = [], None
    while True:
        page = sink.rejected(after, lines, size)
        if not page:
            break
        found.append([each.rejected.line_offset for each in page])
        after = (page[-1].generation, found[-1][-1])
    assert (list(map(len, found)), sum(found, [])) == (pages, [1, 5, 9, 2])


def test_streams_and_hosts_are_apart(wanted, sink, tmp_path) -> None:
    sink.commit(batch(wanted, NEW, -1, 0))
    for changes in ({"name": "other"}, {"host": "web2"}):
        other = document(tmp_path, **changes)
        with contextlib.closing(open_sink(other["sinks"][0], other)) as opened:
            assert (opened.open_generations(), opened.totals().lines) == ([], 0)


def test_the_file_is_private_and_a_newer_schema_is_refused(wanted, sink) -> None:
    path = wanted["sinks"][0]["path"]
    assert os.stat(path).st_mode & 0o777 == 0o600
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO ingest_schema VALUES (?, 0)", (schema.VERSION + 1,))
        connection.commit()
    with pytest.raises(base.SinkError, match="a newer version"):
        open_sink(wanted["sinks"][0], wanted)


def test_rows_have_an_index_by_time_and_one_that_a_person_adds_is_kept_up(wanted, sink) -> None:
    """One by user would take a fifth of the time of a backlog."""
    first = sink.commit(batch(wanted, NEW, -1, 0))
    of = "SELECT size_bytes FROM sftpgo_transfer WHERE username = 'alice'"

    def plan(statement: str) -> str:
        return str(select(wanted, "EXPLAIN QUERY PLAN " + statement)[0][3])

    assert "sftpgo_transfer_by_time_utc" in plan(of + " AND time_utc BETWEEN '2026-11-03' AND '2026-11-04'")
    assert plan(of).startswith("SCAN")
    sink._change("CREATE INDEX by_user ON sftpgo_transfer (username, time_utc)")
    sink.commit(batch(wanted, first._replace(offset=200), 100, 100))
    assert "by_user" in plan(of)
    assert select(wanted, of) == [(0,), (100,)]


def test_a_new_database_has_large_pages_and_an_older_one_keeps_its_own(wanted) -> None:
    """Also one that an administrator created from the printed schema."""
    path = wanted["sinks"][0]["path"]
    with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as sink:
        first = sink.commit(batch(wanted, NEW, -1, 0))
        tables = list(sink.tables.values())
    assert select(wanted, "PRAGMA page_size") == [(8192,)]
    os.unlink(path)
    with contextlib.closing(sqlite3.connect(path)) as printed:
        printed.execute("PRAGMA page_size=4096")
        printed.executescript(print_schema(schema.SQLITE, tables))
    with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as sink:
        assert sink.commit(batch(wanted, NEW, -1, 0)) == first
    assert select(wanted, "PRAGMA page_size") == [(4096,)]
    assert select(wanted, "SELECT line_offset FROM sftpgo_transfer") == [(0,)]
    assert select(wanted, "PRAGMA integrity_check") == [("ok",)]


def test_the_printed_schema_is_the_one_that_is_created(wanted, sink, tmp_path) -> None:
    with contextlib.closing(sqlite3.connect(str(tmp_path / "printed.sqlite"))) as printed:
        for _again in range(2):
            printed.executescript(print_schema(schema.SQLITE, sink.tables.values()))
        made = printed.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
        assert printed.execute("SELECT version FROM ingest_schema").fetchall() == [(schema.VERSION,)]
    assert made == select(wanted, "SELECT name, sql FROM sqlite_master ORDER BY name")


def test_a_file_that_is_no_database(wanted) -> None:
    with open(wanted["sinks"][0]["path"], "wb") as file:
        file.write(b"not a database, but long enough to be read as one" * 30)
    with pytest.raises(base.SinkError, match="cannot be used .*Name another file in 'path'"):
        open_sink(wanted["sinks"][0], wanted)


def test_a_pipe_in_place_of_the_database(wanted) -> None:
    os.mkfifo(wanted["sinks"][0]["path"])
    with pytest.raises(base.SinkError, match="the database cannot be opened: it is not a regular file"):
        open_sink(wanted["sinks"][0], wanted)


def test_a_database_in_a_folder_that_is_missing(wanted) -> None:
    options = {**wanted["sinks"][0], "path": os.path.join(os.path.dirname(wanted["sinks"][0]["path"]), "missing", "db.sqlite")}
    with pytest.raises(base.SinkError, match="the database cannot be opened: No such file or directory. Create its folder"):
        open_sink(options, wanted)


def test_a_database_that_another_process_locks(wanted, sink) -> None:
    with contextlib.closing(sqlite3.connect(wanted["sinks"][0]["path"], isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        sink._query("PRAGMA busy_timeout=10")
        with pytest.raises(base.SinkUnavailableError, match="locked"):
            sink.commit(batch(wanted, NEW, -1, 0))


def test_generations_are_found_whether_they_are_in_memory_or_not(wanted, sink, monkeypatch) -> None:
    made = [sink.commit(Batch(-1, NEW._replace(public_id="id-%d" % each, head=((80, "%02d" % (each % 3)),)), {})) for each in range(6)]
    for most in (5, 6):
        monkeypatch.setattr(sql, "MOST_KNOWN", most)
        with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as other:
            for first in ("00", "01", "02", "03"):
                assert other.generations_like(first) == [each for each in made if each.head[0][1] == first]
            moved = made[0]._replace(offset=made[0].offset + 1)
            made[0] = other.commit(Batch(made[0].offset, moved, {}))
            assert other.generations_like("00")[0] == moved


VALUES = (
    st.none() | st.integers(-(1 << 63), (1 << 63) - 1) | st.sampled_from(["", "0", "1.5", "a\0b", "\U0001f600"]) | st.binary(max_size=2)
)
SAME = st.tuples(VALUES).map(lambda value: value * 3)


@given(st.lists(st.tuples(VALUES, VALUES, VALUES) | SAME, min_size=1, max_size=20), st.sampled_from([999, 32766]), st.booleans())
def test_statements_of_many_rows_store_the_same_values(rows, variables: int, alike: bool) -> None:
    """Also with a version of SQLite that takes few values in a statement, and with rows that are all the same."""
    names = ["place", "number", "word", "bytes"][alike:]
    kept = [rows[0]] * len(rows) if alike else [(number, *row) for number, row in enumerate(rows, 1)]
    with pytest.MonkeyPatch.context() as patch, contextlib.closing(sqlite3.connect(":memory:")) as connection:
        patch.setattr(inserts, "VARIABLES", variables)
        patch.setattr(inserts, "SIZES", (1, 2, 8, 512))
        for table in ("plain", "many"):
            connection.execute("CREATE TABLE %s (place INTEGER PRIMARY KEY, number INTEGER, word TEXT, bytes BLOB)" % table)
        connection.executemany("INSERT INTO plain (%s) VALUES (%s)" % (", ".join(names), ", ".join("?" * len(names))), kept)
        for statement, values in inserts.inserts("many", names, kept):
            assert len(values) <= variables
            connection.execute(statement, values)
        typed = "SELECT *, TYPEOF(number), TYPEOF(word), TYPEOF(bytes) FROM %s ORDER BY place"
        assert connection.execute(typed % "many").fetchall() == connection.execute(typed % "plain").fetchall()


@pytest.mark.parametrize("value", ["\ud800", 1 << 64])
def test_a_value_that_sqlite_cannot_take_is_refused_in_any_row(wanted, sink, value) -> None:
    time, _text, *others = row(wanted, 1)
    rows = [(offset, time, value if offset == 599 else "now", *others) for offset in range(600)]
    first = sink.commit(batch(wanted, NEW, -1))
    with pytest.raises(base.RowRefusedError):
        sink.commit(staged(sink, Batch(100, first._replace(offset=200), {"sftpgo_transfer": rows})))
    assert select(wanted, "SELECT COUNT(*) FROM sftpgo_transfer") == [(0,)]
    assert sink.open_generations() == [first]
    assert_sums_are_those_of_the_rows(sink.select)


def test_a_batch_is_prepared_while_another_process_stores_one(wanted, sink) -> None:
    generation = sink.commit(batch(wanted, NEW, -1))
    with contextlib.closing(sqlite3.connect(wanted["sinks"][0]["path"], timeout=0)) as other:
        other.execute("BEGIN IMMEDIATE")
        given = staged(sink, batch(wanted, generation._replace(offset=200), 100, *range(sql.FEW)))
    assert given.rows["sftpgo_transfer"].prepared
    sink.commit(given)
    assert select(wanted, "SELECT COUNT(*) FROM sftpgo_transfer") == [(sql.FEW,)]


def test_sums_of_a_prepared_batch_are_added_to_those_that_are_there(wanted, sink) -> None:
    parser, end = LineParser(wanted), 100
    generation = sink.commit(batch(wanted, NEW, -1))
    for _each in range(2):
        rows, _refused = parser.parse_lines([(end + user, upload(1, username="user%d" % user)) for user in range(sql.FEW)])
        given = staged(sink, Batch(end, generation._replace(offset=end + sql.FEW), rows))
        assert [table.name for table, _sums in given.sums] == ["sftpgo_hourly"]
        generation = sink.commit(given)
        end += sql.FEW
    assert select(wanted, "SELECT COUNT(*), SUM(uploads) FROM sftpgo_hourly") == [(sql.FEW, 2 * sql.FEW)]
    assert_sums_are_those_of_the_rows(sink.select)


def test_a_row_at_a_position_that_has_one_is_an_error(wanted, sink) -> None:
    generation = sink.commit(batch(wanted, NEW, -1))
    sink._change("INSERT INTO sftpgo_transfer (generation, line_offset, time_utc, time_text) VALUES (?, 5, '', '')", (generation.id,))
    given = staged(sink, batch(wanted, generation._replace(offset=200), 100, *range(sql.FEW)))
    with pytest.raises(base.SinkError, match="already has rows beyond the stored position"):
        sink.commit(given)
    assert select(wanted, "SELECT COUNT(*) FROM sftpgo_transfer") == [(1,)]
    assert sink.open_generations() == [generation]


def test_a_unique_key_that_somebody_added_refuses_a_row(wanted, sink) -> None:
    generation = sink.commit(batch(wanted, NEW, -1))
    sink._change("CREATE UNIQUE INDEX of_admin ON sftpgo_transfer (username)")
    for refused in (
        batch(wanted, generation._replace(offset=200), 100, 100, 150),
        staged(sink, batch(wanted, generation._replace(offset=200), 100, 100, 150)),
    ):
        with pytest.raises(base.RowRefusedError, match="the unique key sftpgo_transfer.username"):
            sink.commit(refused)
    assert sink.open_generations() == [generation]


def test_positions_that_are_gone_are_not_created_again(wanted, sink) -> None:
    sink.commit(batch(wanted, NEW, -1, 0))
    sink._change("ALTER TABLE ingest_generation RENAME TO gone")
    with pytest.raises(base.SinkError, match="ingest_generation does not exist any more"):
        open_sink(wanted["sinks"][0], wanted)
    sink._change("ALTER TABLE gone RENAME TO ingest_generation")
    # The first process is still at work.
    sink._change("DELETE FROM ingest_schema")
    sink._change("DROP TABLE ingest_generation")
    open_sink(wanted["sinks"][0], wanted).close()
    assert select(wanted, "SELECT COUNT(*) FROM ingest_generation") == [(0,)]
