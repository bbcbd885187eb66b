# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The statistics from SQL are those of the lines."""

from __future__ import annotations

import contextlib
import functools
import itertools
import random
import sqlite3
import typing as t
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import UsageError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.checkpoint import Batch, Generation, Place
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.generate.sftpgo import generate_lines
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records.parser import LineParser
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks import sql
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.opening import open_sink
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.statistics import queries
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.statistics.compute import compute
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.statistics.steps import Span
from rigs.statistics import assert_figures_add_up, store_meanwhile, totals
from rigs.streams import document, upload
from rigs.sums import assert_sums_are_those_of_the_rows

UTC = timezone.utc
START = datetime(2026, 1, 5)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@functools.cache
def lines() -> t.List[bytes]:
    """Made on the first use, because each process imports this file."""
    return [line.text.encode().rstrip(b"\n") for line in itertools.islice(generate_lines(11, START), 6000)]


def store(wanted, sink, lines, public_id="one"):
    parser = LineParser(wanted)
    rows = {}
    for offset, line in enumerate(lines):
        table, values = parser.parse(line)
        rows.setdefault(table, []).append((offset, *values))
    place = Place("/logs/sftpgo.log", True, 1, 1, 1)
    sink.commit(Batch(-1, Generation(0, public_id, "/logs", ((1, "aa"),), 0, len(lines), "", len(lines), place, 1.0, False), rows))


@pytest.fixture(scope="module")
def sink(tmp_path_factory):
    wanted = document(tmp_path_factory.mktemp("stream"), parse={"profile": "sftpgo", "timezone": "UTC"})
    with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as opened:
        store(wanted, opened, lines())
        yield opened


def of(sink, since=None, until=None, by=None, now=NOW):
    return compute(sink, "sqlite", Span(since, until, by), now)


def at(day, hour=0):
    return datetime(2026, 1, day, hour, tzinfo=UTC)


def test_the_totals_are_those_of_the_lines(sink):
    assert of(sink)["totals"] == totals(lines())
    assert of(sink)["hosts"] == [sink.host]


def test_a_span_has_its_start_and_not_its_end_and_is_compared_with_the_one_before(sink):
    found = of(sink, at(7), at(8, 12))
    assert found["totals"] == totals(lines(), "2026-01-07", "2026-01-08T12")
    assert found["before"] == {
        "since": "2026-01-05T12:00:00Z",
        "until": "2026-01-07T00:00:00Z",
        "totals": totals(lines(), "2026-01-05T12", "2026-01-07"),
    }
    assert (found["since"], found["until"]) == ("2026-01-07T00:00:00Z", "2026-01-08T12:00:00Z")


def plans(sink, monkeypatch, since, until):
    """How SQLite finds the rows of transfers for the statistics of a span."""
    asked, select = [], sink.select

    def noting(statement, values=()):
        asked.append((statement, values))
        return select(statement, values)

    monkeypatch.setattr(sink, "select", noting)
    compute(sink, "sqlite", Span(since, until), NOW)
    monkeypatch.undo()
    steps = [row[3] for statement, values in asked for row in sink.select("EXPLAIN QUERY PLAN " + statement, values)]
    # What states the limits of the time is an index of its own.
    return {step for step in steps if "sftpgo_transfer" in step and not step.startswith("SEARCH sftpgo_transfer USING COVERING INDEX")}


def test_a_short_span_reads_only_its_own_rows(sink, monkeypatch):
    since = at(8, 12) + timedelta(minutes=1)
    by_time = "SEARCH sftpgo_transfer USING INDEX sftpgo_transfer_by_time_utc (time_utc>? AND time_utc<?)"
    assert plans(sink, monkeypatch, since, since + timedelta(minutes=30)) == {by_time}
    # To find most rows by the time takes longer than to read all.
    assert all("(generation=?)" in step for step in plans(sink, monkeypatch, at(1), at(28)))
    assert all("(generation=?)" in step for step in plans(sink, monkeypatch, None, None))


@pytest.mark.parametrize("by", ["hour", "day", "week"])
def test_users_trend_hours_and_protocols_add_up_to_the_totals(sink, by):
    found = of(sink, by=by)
    for name in ("uploads", "downloads", "bytes_uploaded", "bytes_downloaded", "failed", "transfers", "bytes"):
        assert sum(user[name] for user in found["users"]) == found["totals"][name]
        assert sum(point[name] for point in found["trend"]) == found["totals"][name]
    for rows in (found["hours"], found["protocols"], found["addresses"]):
        assert sum(row["transfers"] for row in rows) <= found["totals"]["transfers"]
    assert sum(row["bytes"] for row in found["hours"]) == sum(row["bytes"] for row in found["protocols"]) == found["totals"]["bytes"]
    starts = [datetime.strptime(point["start"], "%Y-%m-%dT%H:%M:%SZ") for point in found["trend"]]
    step = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}[by]
    assert {later - earlier for earlier, later in zip(starts, starts[1:])} <= {step}, "no holes"


def test_all_figures_are_of_the_same_moment(tmp_path, monkeypatch):
    wanted = document(tmp_path)
    with (
        contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as other,
        contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as sink,
    ):
        store(wanted, other, [upload(1)])
        store_meanwhile(monkeypatch, sink, lambda number: store(wanted, other, [upload(1)], str(number)))
        found = of(sink)
        assert found["totals"]["transfers"] == 1
        assert_figures_add_up(found)
        assert of(sink)["totals"]["transfers"] > 5


def test_top_files_of_equal_size_are_always_the_same(tmp_path, monkeypatch):
    """Whether a look at the sizes alone finds them, or more files than it finds have the same size."""
    monkeypatch.setattr(queries, "MOST_ROWS", 3)
    wanted = document(tmp_path)
    lines = [upload(9).replace(b'"virtual_path":"', b'"virtual_path":"/%d' % number) for number in (5, 3, 8, 1, 4)]
    with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as sink:
        store(wanted, sink, [*lines, lines[1].replace(b'"size_bytes":9', b'"size_bytes":0'), upload(20)])
        found = []
        for candidates in (100, 4, 3):
            monkeypatch.setattr(queries, "MOST_CANDIDATES", candidates)
            found.append(of(sink)["files"])
    assert [(file["path"][:2], file["bytes"], file["transfers"]) for file in found[0]][1:] == [("/3", 9, 2), ("/1", 9, 1)]
    assert found[0][0]["bytes"] == 20
    assert found[0] == found[1] == found[2]


def test_the_top_files_and_the_last_time_of_a_user(sink):
    transfers = [line for line in lines() if b'"size_bytes"' in line and b'"error"' not in line]
    found = of(sink)
    for top in found["files"][:3]:
        path, username = top["path"], top["username"].replace("&", "\\u0026")
        same = [
            line for line in transfers if b'"virtual_path":"%s"' % path.encode() in line and b'"username":"%s"' % username.encode() in line
        ]
        assert top["transfers"] == len(same)
    sizes = [top["bytes"] for top in found["files"]]
    assert sizes == sorted(sizes, reverse=True)
    user = found["users"][0]
    own = [line for line in lines() if b'"username":"%s"' % user["username"].encode() in line and b'"connection_failed"' not in line]
    assert user["last_seen"] == max(line.split(b'"time":"')[1][:19].decode() for line in own) + "Z"


def test_spans_that_begin_and_end_within_an_hour(sink):
    chance = random.Random(4)
    for _each in range(25):
        since = at(5) + timedelta(seconds=chance.uniform(0, 4 * 86400))
        until = since + timedelta(seconds=chance.choice([0, 900, 5000, 90000, 200000]) * chance.random())
        found = of(sink, since, until)["totals"]
        assert found == totals(lines(), since.isoformat()[:26], until.isoformat()[:26]), (since, until)


def test_generations_that_an_older_version_stored_are_read_from_their_rows_and_then_summed_up_once(sink, tmp_path, monkeypatch):
    path = tmp_path / "old.sqlite"
    sink.select("VACUUM INTO ?", [str(path)])
    wanted = document(tmp_path, parse={"profile": "sftpgo", "timezone": "UTC"}, sinks=[{"type": "sqlite", "path": str(path)}])
    span = at(6) + timedelta(minutes=20), at(8) + timedelta(minutes=40)
    whole, part = of(sink), of(sink, *span)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(
            "DROP TABLE ingest_summed; DROP TABLE sftpgo_hourly; DROP TABLE sftpgo_hourly_failed_login;"
            "DELETE FROM ingest_schema; INSERT INTO ingest_schema VALUES (1, 0)"
        )

    def assert_same(create, has_sums):
        with contextlib.closing(open_sink(wanted["sinks"][0], wanted, create=create)) as old:
            assert old.has_sums is has_sums
            assert of(old) == whole
            assert of(old, *span) == part

    assert_same(create=False, has_sums=False)
    monkeypatch.setattr(sql, "SUMMED_AT_ONCE", 1000)
    with monkeypatch.context() as killed:
        killed.setattr(sql, "selects", lambda *_arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            open_sink(wanted["sinks"][0], wanted)
    assert_same(create=False, has_sums=True)
    for _each in range(2):
        assert_same(create=True, has_sums=True)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT MAX(version), (SELECT COUNT(*) FROM ingest_summed) FROM ingest_schema").fetchone() == (2, 1)
        assert_sums_are_those_of_the_rows(connection.execute)


def test_sizes_that_no_file_has_do_not_stop_the_statistics(tmp_path):
    wanted = document(tmp_path, parse={"profile": "sftpgo", "timezone": "UTC"})
    lines = [upload(number, size_bytes=size) for number, size in enumerate([2**63 - 1] * 3 + [-(2**63), -5, 7])]
    with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as opened:
        store(wanted, opened, lines)
        found = of(opened)
        assert found["totals"]["bytes"] == found["users"][0]["bytes"] == sum(file["bytes"] for file in found["files"]) == 3 * 2**50 + 7
        assert of(opened, at(5) + timedelta(minutes=1), NOW + timedelta(days=900, minutes=1))["totals"] == found["totals"]


def test_sums_of_more_than_64_bits(tmp_path):
    wanted = document(tmp_path)
    with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as sink:
        for hour in ("01", "02"):
            store(wanted, sink, [upload(1, size_bytes=1 << 62, time="2026-11-03T%s:00:00.000" % hour)] * 5000, hour)
        found = of(sink)
    assert found["totals"]["bytes"] == found["files"][0]["bytes"] == 10_000 << 50
    assert_figures_add_up(found)


def test_a_sum_of_an_hour_that_needs_more_than_64_bits_is_the_largest_one(tmp_path):
    wanted = document(tmp_path)
    one = LineParser(wanted).parse(upload(1, size_bytes=1 << 62))[1]
    place = Place("/logs/sftpgo.log", True, 1, 1, 1)
    generation = Generation(0, "one", "/logs", ((1, "aa"),), 0, 0, "", 0, place, 1.0, False)
    with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as sink:
        generation = sink.commit(Batch(-1, generation, {}))
        for first, last in (0, 8191), (8191, 8193), (8193, 20_000):
            sink.commit(Batch(0, generation, {"sftpgo_transfer": [(number, *one) for number in range(first, last)]}))
        assert sink.select("SELECT uploads, bytes_uploaded FROM sftpgo_hourly") == [(20_000, (1 << 63) - 1)]


def test_no_lines_in_the_span(sink):
    found = of(sink, datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 1, 2, tzinfo=UTC))
    assert found["totals"] == totals([])
    assert found["users"] == found["files"] == []
    assert len(found["trend"]) == 24


def test_another_stream_in_the_same_sink_does_not_count(sink, tmp_path):
    wanted = document(tmp_path, parse={"profile": "sftpgo", "timezone": "UTC"}, name="other", sinks=[{"type": "sqlite", "path": sink.name}])
    with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as other:
        store(wanted, other, lines()[:50], "two")
        assert of(other)["totals"] == totals(lines()[:50])
    assert of(sink)["totals"] == totals(lines())


def test_spans_at_the_ends_of_time(sink):
    last = datetime(9999, 12, 31, 23, 30, tzinfo=UTC)
    assert [point["start"] for point in of(sink, last, last + timedelta(minutes=29))["trend"]] == ["9999-12-31T23:00:00Z"]
    assert of(sink, datetime(2026, 1, 1, tzinfo=UTC), at(7), "week")["totals"] == totals(lines(), "", "2026-01-07")
    assert of(sink, at(6), at(6))["totals"] == totals([])
    assert of(sink, at(6, 5) + timedelta(minutes=3), at(6, 5) + timedelta(minutes=3))["totals"] == totals([])
    assert of(sink, datetime(1, 1, 1, tzinfo=UTC), datetime(300, 1, 1, tzinfo=UTC), "week")["before"] is None


def test_a_span_that_ends_before_it_begins_and_a_trend_without_end_are_mistakes(sink):
    with pytest.raises(UsageError, match="is before the start"):
        of(sink, at(8), at(7))
    with pytest.raises(
        UsageError,
        match="from 1900-01-01 to .* has more than 20000 steps .hours.. Give a shorter time",
    ):
        of(sink, datetime(1900, 1, 1, tzinfo=UTC), by="hour")
