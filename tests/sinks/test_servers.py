# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sinks that are database servers, with the real ones: exactly once, whatever happens to the connection; least rights; TLS."""

from __future__ import annotations

import collections
import contextlib
import itertools
import json
import os
import pathlib
import pwd
import re
import shutil
import tempfile
import time
import typing as t
from datetime import datetime, timedelta, timezone

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import client_ids
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower, retry, status, turns
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.checkpoint import (
    Batch,
    Gap,
    Generation,
    Place as FilePlace,
    Rejected,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.generate.sftpgo import generate_lines
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records.parser import LineParser
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks import base
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.opening import open_sink, schema_of
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.server import ServerSink
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.statistics.compute import compute
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.statistics.rankings import rank
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.statistics.steps import Span
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.tail import matching
from lab.databases import DATABASE, PASSWORD, USER, mariadb_server, postgresql_server
from lab.https import Authority
from rigs import aws_logs, client_events
from rigs.databases import Place, started
from rigs.statistics import assert_figures_add_up, store_meanwhile, totals
from rigs.streams import document, upload
from rigs.sums import assert_sums_are_those_of_the_rows
from rigs.turns import InTurns, staged

# One worker starts the servers, and the others fill the gaps.
pytestmark = pytest.mark.xdist_group("databases")
DASHBOARDS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "grafana"
ODD = "tab\t, new\nline, \\N, back\\slash, %s, 'quotes\"; -- \U0001f600 ü"
FILE = FilePlace("/logs/caf\udce9/sftpgo.log", True, 2**63 + 5, 2**64 - 1, 500)
NEW = Generation(0, "web1-a-0", "/logs/caf\udce9", ((80, "aa" * 16),), 0, 100, "bb" * 16, 1, FILE, 1000.5, False)


def wanted_of(tmp_path: pathlib.Path, place: Place, **changes: t.Any) -> t.Any:
    return document(tmp_path, sinks=[{**place.sink, **changes.pop("sink", {})}], **changes)


def opened(wanted: t.Any) -> t.Any:
    return contextlib.closing(open_sink(wanted["sinks"][0], wanted))


def row(wanted: t.Any, number: int, **changes: t.Any) -> t.Tuple[t.Any, ...]:
    return LineParser(wanted).parse(upload(number, **changes))[1]


def catch_up(wanted: t.Any, check: bool = False) -> t.Any:
    return follower.catch_up(wanted, check, sleep=lambda _seconds: None)["sinks"][0]


def numbers(place: Place) -> t.List[int]:
    return [int(each[0]) for each in place.rows("SELECT size_bytes FROM sftpgo_transfer ORDER BY size_bytes")]


def write(path: pathlib.Path, *sizes: int) -> None:
    with open(path, "ab") as file:
        file.write(b"".join(upload(size) + b"\n" for size in sizes))


def test_rows_positions_rejected_lines_and_gaps(tmp_path, place) -> None:
    wanted = wanted_of(tmp_path, place)
    with opened(wanted) as sink:
        first = sink.commit(Batch(-1, NEW, {"sftpgo_transfer": [(0, *row(wanted, 1)), (50, *row(wanted, 2))]}))
        assert sink.open_generations() == [first] == sink.generations_like("aa" * 16)
        moved = first._replace(offset=200, lines=2, tail="cc" * 16, closed=True)
        gap, bad = Gap(150, None, "truncated", "why"), Rejected(100, 9, "not_json", ODD, b"\xff\0bytes\\")
        assert sink.commit(Batch(100, moved, {}, [bad], [gap, gap])) == moved
        assert (sink.open_generations(), sink.generations_like("aa" * 16)) == ([], [moved])
        assert (sink.rejected(None, 10, 999), sink.rejected((moved.id, 100), 10, 999)) == ([base.StoredLine(moved.id, bad)], [])
        totals = sink.totals()
        assert totals == base.Totals(2, 1, 0, totals.rejected_at, 1, 0, totals.gap_at)
        assert totals.gap_at == totals.rejected_at > 0
        # The time comes back as it was stored, to the last bit.
        assert [sink.totals(totals.rejected_at + later).accepted for later in (-0.001, 0, 0.001)] == [0, 1, 1]
        assert [Gap(*found) for found in sink.select("SELECT line_offset, bytes, kind, detail FROM ingest_gap")] == [gap]
        # A position that does not change is one row that was found.
        assert sink.commit(Batch(200, moved, {})) == moved
        sink.seal_rejected(moved.id, [(100, b"\0sealed'\xff")])
        assert sink.rejected(None, 10, 999)[0].rejected == bad._replace(line=b"\0sealed'\xff")
        sink.store_rejected(moved.id, [100], {"sftpgo_transfer": [(100, *row(wanted, 3))]})
        with pytest.raises(base.ConflictError):
            sink.store_rejected(moved.id, [100], {"sftpgo_transfer": [(100, *row(wanted, 3))]})
        assert_sums_are_those_of_the_rows(sink.select)
    assert numbers(place) == [1, 2, 3]


def test_a_sum_of_an_hour_that_needs_more_than_64_bits_is_the_largest_one(tmp_path, place) -> None:
    wanted = wanted_of(tmp_path, place)
    one = row(wanted, 1, size_bytes=1 << 62)
    with opened(wanted) as sink:
        first = sink.commit(Batch(-1, NEW, {"sftpgo_transfer": [(number, *one) for number in range(5000)]}))
        assert sink.commit(Batch(100, first._replace(offset=200), {"sftpgo_transfer": [(number, *one) for number in range(5000, 14_000)]}))
        assert [tuple(map(int, each)) for each in sink.select("SELECT uploads, bytes_uploaded FROM sftpgo_hourly")] == [
            (14_000, (1 << 63) - 1)
        ]


def test_a_position_that_another_process_moved(tmp_path, place) -> None:
    wanted = wanted_of(tmp_path, place)
    with opened(wanted) as sink, opened(wanted) as other:
        first = sink.commit(Batch(-1, NEW, {}))
        other.commit(Batch(100, first._replace(offset=200), {"sftpgo_transfer": [(100, *row(wanted, 1))]}))
        for batch in (Batch(100, first._replace(offset=300), {"sftpgo_transfer": [(101, *row(wanted, 2))]}), Batch(-1, NEW, {})):
            with pytest.raises(base.ConflictError):
                sink.commit(batch)
        assert sink.open_generations()[0].offset == 200
    assert numbers(place) == [1]


@pytest.mark.parametrize("lost", [False, True])
def test_two_processes_store_a_backlog_in_turns(tmp_path, place, logs, monkeypatch, lost: bool) -> None:
    """lost: the other process is killed when it is to store its batch."""
    in_turns = InTurns(monkeypatch)
    store, calls = turns.Helper.store, []

    def store_or_die(helper: t.Any) -> None:
        calls.append(helper)
        store(helper)
        if lost and len(calls) == 3:
            helper._process.kill()

    monkeypatch.setattr(turns.Helper, "store", store_or_die)
    wanted = wanted_of(tmp_path, place)
    write(logs / "sftpgo.log", *range(1, 1201))
    result = in_turns.catch_up(wanted)
    assert (result["error"], len(in_turns.reasons)) == (None, int(lost))
    assert len(in_turns.stored) >= 2
    assert numbers(place) == list(range(1, 1201))
    with opened(wanted) as sink:
        assert_sums_are_those_of_the_rows(sink.select)


def test_rows_that_are_sent_before_their_turn(tmp_path, place) -> None:
    wanted = wanted_of(tmp_path, place)

    def batch(first: int, generation: Generation) -> Batch:
        rows = {"sftpgo_transfer": [(each, *row(wanted, each)) for each in range(first, first + 100)]}
        return Batch(first, generation._replace(offset=first + 100), rows)

    with opened(wanted) as sink, opened(wanted) as other:
        generation = sink.commit(Batch(-1, NEW, {}))
        # Both are in the server at the same time, and the later one was sent first.
        later = staged(other, batch(200, generation))
        before = staged(sink, batch(100, generation))
        assert numbers(place) == []
        sink.commit(before)
        assert numbers(place) == [*range(100, 200)]
        other.commit(later)
        assert numbers(place) == [*range(100, 300)]
        # The position is not the one before: nothing of it is stored.
        for first in (400, 500):
            given = staged(sink, batch(first, generation))
            with pytest.raises(base.ConflictError, match="moved the position"):
                sink.commit(given)
        # Another batch than the one that was sent, and then that one.
        given = staged(sink, batch(300, generation))
        sink.commit(Batch(300, generation._replace(offset=300, read_at=2000.5), {}))
        assert numbers(place) == [*range(100, 300)]
        with pytest.raises(base.ConflictError, match="was rolled back"):
            sink.commit(given)
        # Rows that are there already, or that another process has sent. That is not the end of this connection.
        with pytest.raises(base.RowRefusedError):
            staged(sink, batch(200, generation))
        staged(other, batch(300, generation))
        other.close()
        sink.commit(staged(sink, batch(300, generation)))
        staged(sink, batch(400, generation))
    assert numbers(place) == [*range(100, 400)]
    with opened(wanted) as sink:
        assert sink.open_generations()[0].offset == 400
        assert_sums_are_those_of_the_rows(sink.select)


def test_many_rows_with_odd_texts_arrive_as_they_are(tmp_path, place) -> None:
    wanted = wanted_of(tmp_path, place)
    rows = [(each, *row(wanted, each, file_path=ODD, new={"ö": [1.5, ODD]}, ftp_mode=None)) for each in range(200)]
    with opened(wanted) as sink:
        sink.commit(Batch(-1, NEW, {"sftpgo_transfer": rows}))
        stored = sink.select("SELECT file_path, extra, ftp_mode, client_port FROM sftpgo_transfer")
    assert len(stored) == 200
    for file_path, extra, ftp_mode, port in stored:
        assert (file_path, ftp_mode, port) == (ODD, None, 50412)
        assert (json.loads(extra) if isinstance(extra, str) else extra) == {"new": {"ö": [1.5, ODD]}}
    assert place.rows("SELECT MIN(time_utc) FROM sftpgo_transfer")[0][0].startswith("2026-11-03 00:59:58.114")


def test_sums_of_hours_of_which_some_have_rows_already(tmp_path, place) -> None:
    wanted = wanted_of(tmp_path, place)
    with opened(wanted) as sink:
        generation, before = NEW, -1
        for first, hours in ((0, "00"), (100, "00 01"), (200, "01"), (300, "02")):
            rows = [
                (first + each, *row(wanted, each, time="2026-11-03T%s:00:00.000" % hour, username="user%d ö\\" % (each + first // 2)))
                for each, hour in zip(range(100), itertools.cycle(hours.split()))
            ]
            generation = sink.commit(Batch(before, generation._replace(offset=first + 100), {"sftpgo_transfer": rows}))
            before = generation.offset
        assert_sums_are_those_of_the_rows(sink.select)
        counts = sink.select("SELECT COUNT(*) FROM sftpgo_hourly GROUP BY hour_utc ORDER BY hour_utc")
        assert [int(each[0]) for each in counts] == [125, 125, 100]


def test_names_that_differ_in_spaces_at_their_end(tmp_path, place) -> None:
    wanted = wanted_of(tmp_path, place)
    rows = [(each, *row(wanted, each, username="user%d%s" % (each % 60, " " * (each // 60)))) for each in range(200)]
    with opened(wanted) as sink:
        sink.commit(Batch(-1, NEW, {"sftpgo_transfer": rows}))
        users = compute(sink, "central", Span(), datetime.now(timezone.utc))["users"]
    # MariaDB and MySQL count them as one.
    transfers: t.Counter[str] = collections.Counter()
    for user in users:
        transfers[user["username"].rstrip()] += user["transfers"]
    assert transfers == collections.Counter("user%d" % (each % 60) for each in range(200))


@pytest.mark.parametrize("server", ["mariadb"], indirect=True)
def test_a_server_without_load_data_gets_inserts(tmp_path, place, server) -> None:
    wanted = wanted_of(tmp_path, place)
    rows = [(each, *row(wanted, each, file_path=ODD)) for each in range(200)]
    try:
        with opened(wanted) as sink:
            # Once it is off when the sink asks, once it is switched off later.
            server.run_sql("SET GLOBAL local_infile = 0")
            first = sink.commit(Batch(-1, NEW, {"sftpgo_transfer": rows[:100]}))
        with opened(wanted) as sink:
            sink.commit(Batch(100, first._replace(offset=200), {"sftpgo_transfer": rows[100:]}))
    finally:
        server.run_sql("SET GLOBAL local_infile = 1")
    assert numbers(place) == [*range(200)]


def test_many_rows_with_one_that_the_database_refuses(tmp_path, place) -> None:
    wanted = wanted_of(tmp_path, place)
    good, bad = [(each, *row(wanted, each)) for each in range(100)], list(row(wanted, 1))
    bad[9] = "x" * 256
    with opened(wanted) as sink:
        for rows in ([*good, (100, *bad)], [*good, good[5]]):
            with pytest.raises(base.SinkError, match="refuses a value|rows beyond the stored position"):
                sink.commit(Batch(-1, NEW, {"sftpgo_transfer": rows}))
            assert sink.open_generations() == []
        sink.commit(Batch(-1, NEW, {"sftpgo_transfer": good}))
    assert numbers(place) == [*range(100)]


def test_a_value_that_the_database_refuses_stores_nothing(tmp_path, place) -> None:
    wanted = wanted_of(tmp_path, place)
    good, bad = (50, *row(wanted, 2)), list(row(wanted, 1))
    bad[9] = "x" * 256
    with opened(wanted) as sink:
        with pytest.raises(base.RowRefusedError):
            sink.commit(Batch(-1, NEW, {"sftpgo_transfer": [good, (0, *bad)]}))
        assert sink.open_generations() == []
        sink.commit(Batch(-1, NEW, {"sftpgo_transfer": [good]}))
    assert numbers(place) == [2]


def test_a_stream_with_every_kind_of_line(tmp_path, logs, place) -> None:
    write(logs / "sftpgo.log", *range(3000))
    with open(logs / "sftpgo.log", "ab") as file:
        file.write(b"no json\n" + upload(5000, username="u" * 300) + b"\n")
    wanted = wanted_of(tmp_path, place)
    before = status.of(wanted)[0]
    assert (before["state"], before["lag_bytes"]) == ("nothing was stored yet", (logs / "sftpgo.log").stat().st_size)
    planned = follower.catch_up(wanted, check=True)["sinks"][0]
    assert (planned["rows"], planned["rejected"], planned["error"]) == (3000, 2, None)
    with pytest.raises(base.NoSchemaError):
        open_sink(wanted["sinks"][0], wanted, create=False)
    first = catch_up(wanted)
    assert (first["rows"], first["rejected"], first["error"]) == (3000, 2, None)
    assert catch_up(wanted)["lines"] == 0
    assert status.of(wanted)[0]["exit_code"] == 3
    mended = wanted_of(tmp_path, place, parse={"long_values": "truncate"})
    assert retry.retry(mended)[0]["stored"] == 1
    assert numbers(place) == [*range(3000), 5000]


def test_a_connection_that_is_cut_at_any_byte(tmp_path, logs, place, server) -> None:
    """Among the cuts are those that lose the reply of a COMMIT that was carried out."""
    with lab.tcp_proxy((lab.HOST, server.port)) as proxy:
        wanted = wanted_of(tmp_path, place, sink={"port": proxy.port})
        assert catch_up(wanted)["error"] is None
        expected: t.List[int] = []
        for index in range(14):
            new = [index * 100 + each for each in range(60)]
            write(logs / "sftpgo.log", *new)
            expected += new
            proxy.reset_counts()
            if index % 2 == 0:
                assert catch_up(wanted)["error"] is None
                total = proxy.bytes_down
            else:
                # The reply of the COMMIT is among the last bytes that the server sends.
                proxy.cut_after(down=total - 3 * (index // 2) - 1)
                assert catch_up(wanted)["error"] is None
                proxy.restore()
            assert numbers(place) == expected
        with opened(wanted) as sink:
            assert_sums_are_those_of_the_rows(sink.select)


def test_statistics_are_those_of_the_lines_also_of_lines_that_an_older_version_stored(tmp_path, logs, place, server) -> None:
    start = datetime(2026, 1, 5)
    lines = [each.text.encode() for each in itertools.islice(generate_lines(11, start), 3000)]
    (logs / "sftpgo.log").write_bytes(b"".join(lines))
    wanted = wanted_of(tmp_path, place, parse={"timezone": "UTC"})
    assert catch_up(wanted)["error"] is None
    since, until = (datetime(2026, 1, 5, 10, 20, tzinfo=timezone.utc), datetime(2026, 1, 7, 9, 40, tzinfo=timezone.utc))

    def assert_figures() -> t.Any:
        with contextlib.closing(open_sink(wanted["sinks"][0], wanted, create=False)) as sink:
            whole = compute(sink, "server", Span(), since)
            assert whole["totals"] == totals(lines)
            assert compute(sink, "server", Span(since, until), since)["totals"] == totals(lines, "2026-01-05T10:20", "2026-01-07T09:40")
            return whole

    before = assert_figures()
    use = "USE %s; " % DATABASE if server.kind == "mariadb" else ""
    server.run_sql(use + "DROP TABLE ingest_summed; DROP TABLE sftpgo_hourly; DROP TABLE sftpgo_hourly_failed_login;")
    assert assert_figures() == before
    with opened(wanted) as sink:
        assert sink.has_sums
        assert_sums_are_those_of_the_rows(sink.select)
    assert assert_figures() == before


def test_all_figures_of_the_statistics_are_of_the_same_moment(tmp_path, place, monkeypatch) -> None:
    wanted = wanted_of(tmp_path, place)
    with opened(wanted) as other, contextlib.closing(open_sink(wanted["sinks"][0], wanted, create=False)) as sink:

        def store(number: int) -> None:
            other.commit(Batch(-1, NEW._replace(public_id="web1-%d" % number), {"sftpgo_transfer": [(0, *row(wanted, number))]}))

        store(0)
        store_meanwhile(monkeypatch, sink, store)
        now = datetime.now(timezone.utc)
        found = compute(sink, "central", Span(), now)
        assert found["totals"]["transfers"] == 1
        assert_figures_add_up(found)
        assert compute(sink, "central", Span(), now)["totals"]["transfers"] > 5


def test_the_queries_of_the_dashboard_give_the_figures_of_the_statistics(tmp_path, logs, place, server) -> None:
    boards = {kind: json.loads((DASHBOARDS / ("sftpgo-%s.json" % kind)).read_text()) for kind in ("mysql", "postgresql")}
    assert [[panel["title"], panel["type"]] for panel in boards["mysql"]["panels"]] == [
        [panel["title"], panel["type"]] for panel in boards["postgresql"]["panels"]
    ]
    board = boards["mysql" if server.kind == "mariadb" else "postgresql"]
    (logs / "sftpgo.log").write_bytes(
        b"".join(each.text.encode() for each in itertools.islice(generate_lines(11, datetime(2026, 1, 5)), 2000))
    )
    odd = [upload(number, time="2026-01-05T10:00:00.000", size_bytes=size) for number, size in enumerate((None, -5, 1 << 62, 1 << 62))]
    with open(logs / "sftpgo.log", "ab") as file:
        file.write(b"\n".join([*odd, b"no json", b""]))
    wanted = wanted_of(tmp_path, place, parse={"timezone": "UTC"})
    assert catch_up(wanted)["error"] is None
    # The ends of the dashboard's time are whole hours, as those of the hourly tables.
    since, until = datetime(2026, 1, 5, 8, tzinfo=timezone.utc), datetime(2026, 1, 6, 8, tzinfo=timezone.utc)
    with opened(wanted) as sink:
        figures = compute(sink, "server", Span(since, until), until)
        # Grafana's BETWEEN includes its end.
        answers = {
            panel["title"]: sink.select(as_grafana(panel["targets"][0]["rawSql"], since, until - timedelta(seconds=1)))
            for panel in board["panels"]
        }
        assert [tuple(row) for row in sink.select(board["templating"]["list"][1]["query"])] == [("sftpgo",)]
    totals_of = figures["totals"]
    names = ("uploads", "downloads", "failed", "logins", "commands", "users")
    assert [int(value) for value in answers["Transfers, logins, commands"][0]] == [totals_of[name] for name in names]
    assert [int(value) for value in answers["Bytes"][0]] == [totals_of["bytes_uploaded"], totals_of["bytes_downloaded"]]
    for title in ("Transfers by hour", "Bytes by hour"):
        assert len(answers[title]) <= 24
    assert sum(int(row[1]) for row in answers["Transfers by hour"]) == totals_of["uploads"]
    assert sum(int(row[1]) for row in answers["Bytes by hour"]) == totals_of["bytes_uploaded"]
    assert [row[0] for row in answers["Users"]] == [user["username"] for user in figures["users"]]
    assert [(row[0], row[1], int(row[3])) for row in answers["Files with the most bytes"]] == [
        (file["path"], file["username"], file["bytes"]) for file in figures["files"]
    ]
    assert {row[0]: int(row[1]) for row in answers["Bytes by protocol"]} == {
        one["protocol"]: one["bytes"] for one in figures["protocols"]
    } | {row[0]: 0 for row in answers["Bytes by protocol"] if not int(row[1])}
    assert answers["Addresses of clients"][0][0] == figures["addresses"][0]["address"]
    for title in ("Failed logins by address", "Failed logins by hour"):
        assert sum(int(row[1]) for row in answers[title]) == totals_of["failed_logins"]
    assert [(row[0], row[1], int(row[2]), row[4], row[5]) for row in answers["Followers"]] == [("sftpgo", "web1", 2005, 1, 0)]


def as_grafana(statement: str, since: datetime, until: datetime) -> str:
    """The statement with Grafana's macros and variables replaced, as its plugins for MySQL and PostgreSQL do."""
    ends = [moment.strftime("'%Y-%m-%dT%H:%M:%SZ'") for moment in (since, until)]
    statement = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN %s AND %s" % tuple(ends), statement)
    for macro, moment in (("$__unixEpochFrom()", since), ("$__unixEpochTo()", until)):
        statement = statement.replace(macro, "%d" % moment.timestamp())
    statement = statement.replace("${stream:sqlstring}", "'sftpgo','other'")
    assert "$" not in statement
    return statement


def test_a_live_file_that_loses_its_end(tmp_path, logs, place, monkeypatch) -> None:
    monkeypatch.setattr(matching, "COPY_SETTLES", 0.1)
    wanted, size = wanted_of(tmp_path, place), len(upload(100)) + 1
    write(logs / "sftpgo.log", *range(100, 400))
    assert catch_up(wanted)["rows"] == 300
    expected = [*range(100, 400)]
    # Cut before the last commit, then in the middle of what came after the cut.
    for lines, new in ((250, 500), (260, 600), (255, 700)):
        os.truncate(logs / "sftpgo.log", lines * size)
        write(logs / "sftpgo.log", *range(new, new + 20))
        expected += range(new, new + 20)
        result = follower.catch_up(wanted)["sinks"][0]
        assert (result["error"], result["gaps"], numbers(place)) == (None, 1, expected)
    with opened(wanted) as sink:
        assert_sums_are_those_of_the_rows(sink.select)


def test_a_server_that_cannot_be_reached_is_named_with_the_reason(tmp_path, logs, place, server) -> None:
    write(logs / "sftpgo.log", 1)
    error = catch_up(wanted_of(tmp_path, place, sink={"port": lab.free_port()}))["error"]
    assert "the database cannot be reached" in error and "Connection refused" in error


def test_a_server_that_is_killed_is_waited_for(tmp_path, logs, place, server) -> None:
    wanted = wanted_of(tmp_path, place)
    write(logs / "sftpgo.log", 1)
    assert catch_up(wanted)["error"] is None
    server.kill()
    try:
        write(logs / "sftpgo.log", 2)
        assert "the database cannot be reached" in catch_up(wanted)["error"]
        assert status.of(wanted)[0]["exit_code"] == 1
    finally:
        server.start()
    assert catch_up(wanted)["error"] is None
    assert numbers(place) == [1, 2]


USE = {"mariadb": "DROP USER IF EXISTS least@'%%'; USE %s" % DATABASE, "postgresql": "DROP ROLE IF EXISTS least"}


def account_of_page(kind: str) -> str:
    """The statements of docs/follow.md that create the account, with another name and password."""
    page = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "follow.md").read_text(encoding="utf-8")
    found = page.partition("<!-- tested: %s -->" % kind)[2].partition("<<END\n")[2].partition("\nEND\n")[0]
    return found.replace("follower", "least").replace("secret", PASSWORD)


def test_a_user_needs_no_more_than_insert_select_and_update(tmp_path, logs, place, server) -> None:
    wanted = wanted_of(tmp_path, place, sink={"user": "least"})
    with pytest.raises(base.SinkDeniedError), opened(wanted):
        pass
    schema = schema_of(wanted["sinks"][0], wanted)
    # The second time, as after an update that adds a table, it changes nothing.
    server.run_sql("%s; %s %s %s" % (USE[server.kind], schema, schema, account_of_page(server.kind)))
    write(logs / "sftpgo.log", 1)
    with open(logs / "sftpgo.log", "ab") as file:
        file.write(b"no json\n")
    assert (catch_up(wanted)["rows"], retry.retry(wanted)[0]["rejected"], numbers(place)) == (1, 1, [1])


def test_a_user_of_an_existing_table_needs_only_that_one_and_the_positions(tmp_path, logs, place, server) -> None:
    sink = {"user": "least", "table": "logdata", "columns": {"name": "username", "size": "size_bytes", "id": "row_id"}}
    wanted = wanted_of(tmp_path, place, sink=sink)
    table = "CREATE TABLE logdata (name VARCHAR(255), size BIGINT, id VARCHAR(80) PRIMARY KEY);"
    schema = schema_of(wanted["sinks"][0], wanted)
    assert "-- The columns of logdata can be filled with: " in schema and "row_id" in schema
    server.run_sql("%s; %s %s %s" % (USE[server.kind], table, schema, account_of_page(server.kind)))
    write(logs / "sftpgo.log", *range(100))
    with open(logs / "sftpgo.log", "ab") as file:
        file.write(b"no json\n" + upload(100, username="u" * 300) + b"\n")
    stored = catch_up(wanted)
    assert (stored["rows"], stored["rejected"], stored["error"]) == (100, 2, None)
    again = retry.retry(wanted_of(tmp_path, place, sink=sink, parse={"long_values": "truncate"}))[0]
    assert (again["stored"], again["rejected"], again["error"]) == (1, 1, None)
    assert [int(each[0]) for each in place.rows("SELECT size FROM logdata ORDER BY size")] == [*range(101)]
    assert status.of(wanted)[0]["lines"] == 102
    made = "SELECT table_name FROM information_schema.tables WHERE table_schema IN ('public', '%s')" % DATABASE
    assert {each[0] for each in place.rows(made)} == {"logdata", "ingest_schema", "ingest_generation", "ingest_gap", "ingest_rejected"}


CHANGES = (
    # What an administrator does, how it is undone, and what the error names.
    ("REVOKE INSERT ON {tables} FROM {who}", "GRANT INSERT ON {tables} TO {who}", "least lacks {insert}"),
    (
        "ALTER TABLE sftpgo_transfer RENAME TO gone",
        "ALTER TABLE gone RENAME TO sftpgo_transfer",
        "the table sftpgo_transfer does not exist",
    ),
    (
        "ALTER TABLE sftpgo_transfer RENAME COLUMN username TO gone",
        "ALTER TABLE sftpgo_transfer RENAME COLUMN gone TO username",
        "a table or column is missing or was altered: username",
    ),
    (
        "ALTER TABLE sftpgo_transfer ADD COLUMN more INTEGER NOT NULL DEFAULT 0;"
        " ALTER TABLE sftpgo_transfer ALTER COLUMN more DROP DEFAULT",
        "ALTER TABLE sftpgo_transfer DROP COLUMN more",
        "the column more must have a value, but no line has one",
    ),
    ("{read_only}", "{writable}", "the database is read-only"),
    (
        "ALTER TABLE ingest_generation ADD CONSTRAINT no CHECK (lines_read < 150)",
        "ALTER TABLE ingest_generation DROP CONSTRAINT no",
        "ingest_generation does not take the position: the database refuses",
    ),
)
NAMES = {
    "mariadb": {
        "tables": DATABASE + ".*",
        "who": "least@'%'",
        "insert": "the right INSERT on %s.ingest_generation" % DATABASE,
        "read_only": "SET GLOBAL read_only = 1",
        "writable": "SET GLOBAL read_only = 0",
    },
    "postgresql": {
        "tables": "ALL TABLES IN SCHEMA public",
        "who": "least",
        "insert": "a right on ingest_generation",
        "read_only": "ALTER ROLE least SET default_transaction_read_only = on",
        "writable": "ALTER ROLE least RESET default_transaction_read_only",
    },
}


def test_what_an_administrator_changed_is_named_and_nothing_is_lost(tmp_path, logs, place, server) -> None:
    wanted = wanted_of(tmp_path, place, sink={"user": "least"})
    schema = schema_of(wanted["sinks"][0], wanted)
    # The second time, as after an update that adds a table, it changes nothing.
    server.run_sql("%s; %s %s %s" % (USE[server.kind], schema, schema, account_of_page(server.kind)))
    write(logs / "sftpgo.log", 0)
    assert catch_up(wanted)["error"] is None
    use = "USE %s; " % DATABASE if server.kind == "mariadb" else ""
    expected = [0]
    for number, (change, undo, named) in enumerate(CHANGES):
        # One line and many arrive in different ways.
        new = [*range(100 * number + 1, 100 * number + (61 if number % 2 else 2))]
        server.run_sql(use + change.format(**NAMES[server.kind]))
        # Also before there is a line; only a line finds a column without a value and a constraint.
        for lines in ((), new) if "no line" not in named and "position" not in named else (new,):
            write(logs / "sftpgo.log", *lines)
            assert named.format(**NAMES[server.kind]) in (catch_up(wanted)["error"] or "")
        if "lacks" in named or "read-only" in named:
            # Also who only looks.
            assert named.format(**NAMES[server.kind]) in (status.of(wanted)[0]["error"] or "")
            assert named.format(**NAMES[server.kind]) in (catch_up(wanted, check=True)["error"] or "")
        server.run_sql(use + undo.format(**NAMES[server.kind]))
        again, expected = catch_up(wanted), expected + new
        assert (again["error"], again["rejected"], numbers(place)) == (None, 0, expected)


@pytest.mark.parametrize("moment", ["before", "connected"])
def test_a_server_that_hangs_is_given_up_and_waited_for(tmp_path, logs, place, server, moment: str, monkeypatch) -> None:
    monkeypatch.setattr(ServerSink, "grace", 0)
    with lab.tcp_proxy((lab.HOST, server.port)) as proxy:
        timeout = min(8.0, lab.patience(2))
        wanted = wanted_of(tmp_path, place, sink={"port": proxy.port, "timeout": "%.1f" % timeout})
        with opened(wanted) as sink:
            first = sink.commit(Batch(-1, NEW, {}))
            proxy.hang()
            begin = time.monotonic()
            with pytest.raises(base.SinkUnavailableError):
                if moment == "before":
                    open_sink(wanted["sinks"][0], wanted)
                else:
                    rows = [(each, *row(wanted, each)) for each in range(1000)]
                    sink.commit(Batch(100, first._replace(offset=200), {"sftpgo_transfer": rows}))
            # The batch, its rollback and the end of the connection each wait for the timeout.
            assert not lab.overdue(begin, 10 * timeout)
        proxy.restore()
        write(logs / "sftpgo.log", 1)
        assert catch_up(wanted)["error"] is None
    assert numbers(place) == [1]


def test_a_wrong_password_is_not_tried_again(tmp_path, logs, place, server) -> None:
    with lab.tcp_proxy((lab.HOST, server.port)) as proxy:
        for number, password in enumerate(("wrong", None), 1):
            result = catch_up(wanted_of(tmp_path, place, sink={"port": proxy.port, "password": password}))
            assert "the server refuses the user" in result["error"]
            assert "wrong" not in result["error"]
            assert proxy.connections == number


def test_a_locked_table_is_waited_for(tmp_path, logs, place, server, monkeypatch) -> None:
    monkeypatch.setattr(follower, "ATTEMPTS", 1)
    wanted = wanted_of(tmp_path, place, sink={"timeout": 2})
    write(logs / "sftpgo.log", 1)
    assert catch_up(wanted)["error"] is None
    write(logs / "sftpgo.log", 2)
    with opened(wanted) as other:
        for statement in {"mariadb": ["LOCK TABLES sftpgo_transfer WRITE"], "postgresql": ["BEGIN", "LOCK TABLE sftpgo_transfer"]}[
            server.kind
        ]:
            other._change(statement)
        assert "a statement took too long, or waited for a lock" in catch_up(wanted)["error"]
    assert (catch_up(wanted)["error"], numbers(place)) == (None, [1, 2])


def test_a_unique_key_of_an_administrator_refuses_lines(tmp_path, logs, place, server) -> None:
    wanted = wanted_of(tmp_path, place)
    write(logs / "sftpgo.log", *range(60))
    assert catch_up(wanted)["error"] is None
    use = "USE %s; " % DATABASE if server.kind == "mariadb" else ""
    server.run_sql(use + "ALTER TABLE sftpgo_transfer ADD CONSTRAINT of_admin UNIQUE (connection_id);")
    # One line and many arrive in different ways.
    for lines in (1, 60):
        write(logs / "sftpgo.log", *[0] * lines, 100 + lines)
        stored = catch_up(wanted)
        assert (stored["rows"], stored["rejected"], stored["error"]) == (1, lines, None)
    assert place.rows("SELECT DISTINCT detail FROM ingest_rejected")[0][0].endswith("the unique key of_admin")
    server.run_sql(use + "ALTER TABLE sftpgo_transfer DROP CONSTRAINT of_admin;")
    assert retry.retry(wanted)[0]["stored"] == 61
    assert numbers(place) == sorted([*range(60), 101, 160, *[0] * 61])


@pytest.mark.parametrize("kind", ["mariadb", "postgresql"])
def test_tls_is_verified(tmp_path, logs, authority, kind: str) -> None:
    certificate, key = authority.issue("localhost", ["localhost"])
    stranger = Authority(tmp_path / "stranger", "another CA")
    with contextlib.ExitStack() as stack:
        # The server's own user must be able to read them, and PostgreSQL wants the key to be its own.
        folder = pathlib.Path(stack.enter_context(readable_folder("mysql" if kind == "mariadb" else "postgres", certificate, key)))
        files = str(folder / "certificate"), str(folder / "key")
        if kind == "mariadb":
            server = started(mariadb_server("--ssl-cert=%s" % files[0], "--ssl-key=%s" % files[1]), stack)
        else:
            server = started(postgresql_server("-c", "ssl=on", "-c", "ssl_cert_file=" + files[0], "-c", "ssl_key_file=" + files[1]), stack)
        place = Place(server.sink(tls="verify"), lambda _statement: [], server)
        write(logs / "sftpgo.log", 1)
        good = {"host": "localhost", "ca_bundle": authority.certificate_file}
        assert catch_up(wanted_of(tmp_path, place, sink=good))["error"] is None
        for changes in ({"ca_bundle": stranger.certificate_file}, {"host": "127.0.0.1"}, {"ca_bundle": None}):
            error = catch_up(wanted_of(tmp_path, place, sink={**good, **changes}))["error"]
            assert "no verified TLS connection can be made (" in error and "certificate" in error.lower()


def test_a_server_without_tls_is_refused_where_it_is_wanted(tmp_path, logs, place, authority) -> None:
    error = catch_up(wanted_of(tmp_path, place, sink={"tls": "verify", "ca_bundle": authority.certificate_file}))["error"]
    assert "no verified TLS connection can be made (" in error


@contextlib.contextmanager
def readable_folder(user: str, certificate: str, key: str) -> t.Iterator[str]:
    folder = tempfile.mkdtemp(prefix="lab-")
    try:
        account = pwd.getpwnam(user)
        for name, source in (("certificate", certificate), ("key", key)):
            target = pathlib.Path(folder, name)
            target.write_bytes(pathlib.Path(source).read_bytes())
            target.chmod(0o600)
            for path in (target, pathlib.Path(folder)):
                os.chown(path, account.pw_uid, account.pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder)


def test_an_existing_table_is_filled_by_a_map_of_columns(tmp_path, logs, place, server) -> None:
    kinds = {"mariadb": ("DATETIME(3)", "ENGINE=MyISAM"), "postgresql": ("TIMESTAMP", "")}[server.kind]
    use, owner = ("USE %s; " % DATABASE, "") if server.kind == "mariadb" else ("", "ALTER TABLE logdata OWNER TO %s;" % USER)
    columns = "level VARCHAR(20), time %s, sender VARCHAR(50), remote_address VARCHAR(64), username VARCHAR(255), size_bytes BIGINT"
    server.run_sql("%sCREATE TABLE logdata (%s, hash VARCHAR(80) PRIMARY KEY) %s; %s" % (use, columns % kinds[0], kinds[1], owner))
    given = {"level": "level", "time": "time_utc", "sender": "sender", "remote_address": "client_ip", "username": "username"}
    table = "%s.logdata" % DATABASE if server.kind == "mariadb" else "logdata"
    sink = {"table": table, "columns": {**given, "size_bytes": "size_bytes", "hash": "row_id"}}
    wanted = wanted_of(tmp_path, place, sink=sink)
    absent = wanted_of(tmp_path, place, sink={**sink, "table": table.replace("logdata", "absent")})
    assert "absent" in (status.of(absent)[0]["error"] or "")
    if server.kind == "postgresql":
        assert status.of(wanted)[0]["error"] is None
    login = b'{"level":"info","time":"2026-11-03T02:00:04.010","sender":"login","ip":"198.51.100.2","username":"bob","method":"password"}'
    (logs / "sftpgo.log").write_bytes((upload(7) + b"\n") * 2 + login + b"\n" + upload(8, username="u" * 300) + b"\n")
    if server.kind == "mariadb":
        assert "MyISAM, which does not support transactions" in catch_up(wanted)["error"]
        server.run_sql("%sALTER TABLE logdata ENGINE=InnoDB;" % use)
    result = catch_up(wanted)
    assert (result["rows"], result["rejected"], result["error"]) == (3, 1, None)
    mended = wanted_of(tmp_path, place, sink=sink, parse={"long_values": "truncate"})
    assert retry.retry(mended)[0]["stored"] == 1
    rows = place.rows("SELECT sender, remote_address, username, size_bytes FROM logdata ORDER BY size_bytes, username")
    assert [row for row in rows if row[0] == "Upload"] == [
        ["Upload", "198.51.100.20", name, size] for name, size in (("alice", "7"), ("alice", "7"), ("u" * 255, "8"))
    ]
    assert [row[:3] for row in rows if row[0] == "login"] == [["login", "198.51.100.2", "bob"]]


def test_client_events(tmp_path, logs, place) -> None:
    sinks = [place.sink]
    lines = [client_events.event("2021-04-15T12:00:00", CLIENTID="ü" * 127), client_events.event("2021-05-15T12:00:00", ID="1")]
    (logs / "a.log").write_bytes(b"".join(line + b"\n" for line in lines) + b'{"CLIENTID": "secret"\n')
    result = catch_up(client_events.document(tmp_path, sinks=sinks))
    assert (result["rows"], result["rejected"], result["error"]) == (2, 1, None)
    rows = place.rows("SELECT kind, client_key, client_id FROM client_event ORDER BY line_offset")
    assert [row[:2] for row in rows] == [["error", "2021_April"], ["data", rows[1][1]]]
    assert client_ids.reveal(client_ids.keys_of(str(tmp_path / "keys")), rows[0][2]).text == "ü" * 127
    again = retry.retry(client_events.document(tmp_path, sinks=sinks))[0]
    assert (again["tried"], again["rejected"], again["error"]) == (1, 1, None)


@pytest.mark.parametrize("profile", ["cloudtrail", "vpc_flow", "route53_resolver", "route53_public"])
def test_logs_of_aws_and_their_statistics_are_those_of_sqlite(tmp_path, logs, place, profile: str) -> None:
    root = {"type": "Root", "arn": "arn:aws:iam::1:root"}
    records = [
        aws_logs.record(1),
        aws_logs.record(2, errorCode="AccessDenied", eventName=ODD.replace("\t", " ")),
        aws_logs.record(3, userIdentity=root),
    ]
    flows = [aws_logs.flow(1), aws_logs.flow(2, action="REJECT"), aws_logs.flow(3, bytes=(1 << 63) - 1), aws_logs.SKIPPED]
    queries = [aws_logs.query(1), aws_logs.query(2, rcode="NXDOMAIN", firewall_rule_action="BLOCK")]
    lines = {
        "cloudtrail": aws_logs.log_file(records),
        "vpc_flow": "\n".join([aws_logs.FLOW_HEADER, *flows, ""]).encode(),
        "route53_resolver": b"".join(json.dumps(query).encode() + b"\n" for query in queries),
        "route53_public": b"1.0 2026-11-03T02:00:01.130Z Z1 www.example.com A NXDOMAIN UDP FRA6 198.51.100.7 -\n",
    }
    (logs / "aws.log").write_bytes(lines[profile])
    found = []
    for sink in (place.sink, {"type": "sqlite", "path": str(tmp_path / "db.sqlite")}):
        wanted = document(tmp_path, sinks=[sink], follow={"patterns": ["aws.log"]}, parse={"profile": profile})
        assert (catch_up(wanted)["error"], catch_up(wanted)["lines"]) == (None, 0)
        with opened(wanted) as sink:
            since = datetime(2026, 11, 3, 1, tzinfo=timezone.utc)
            found.append([rank(sink, "one", profile, Span(*span), since) for span in ((), (since,), (None, None, "day"))])
    assert found[0] == found[1]
    assert found[0][0]["totals"] == found[0][1]["totals"]
    assert any(found[0][0]["totals"].values())
