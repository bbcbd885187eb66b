# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The statistics from SQL are those of the lines."""

from __future__ import annotations

import contextlib
import itertools
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import UsageError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.checkpoint import Batch, Generation, Place
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.generate.sftpgo import generate_lines
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records.parser import LineParser
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.opening import open_sink
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.statistics.compute import Span, compute
from rigs.statistics import totals
from rigs.streams import document

UTC = timezone.utc
START = datetime(2026, 1, 5)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
LINES = [line.text.encode().rstrip(b"\n") for line in itertools.islice(generate_lines(11, START), 6000)]


def store(wanted, sink, lines, public_id="one"):
    parser = LineParser(wanted)
    rows = {}
    for offset, line in enumerate(lines):
        table, values = parser.parse(line)
        rows.setdefault(table, []).append((offset, *values))
    place = Place("/logs/sftpgo.log", True, 1, 1, 1)
    sink.commit(Batch(-1, Generation(0, public_id, "/logs", ((1, "aa"),), 0, 1, "", len(lines), place, 1.0, False), rows))


@pytest.fixture(scope="module")
def sink(tmp_path_factory):
    wanted = document(tmp_path_factory.mktemp("stream"), parse={"profile": "sftpgo", "timezone": "UTC"})
    with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as opened:
        store(wanted, opened, LINES)
        yield opened


def of(sink, since=None, until=None, by=None, now=NOW):
    return compute(sink.select, "sqlite", sink.stream, "sqlite", Span(since, until, by), now)


def at(day, hour=0):
    return datetime(2026, 1, day, hour, tzinfo=UTC)


def test_the_totals_are_those_of_the_lines(sink):
    assert of(sink)["totals"] == totals(LINES)
    assert of(sink)["hosts"] == [sink.host]


def test_a_span_has_its_start_and_not_its_end_and_is_compared_with_the_one_before(sink):
    found = of(sink, at(7), at(8, 12))
    assert found["totals"] == totals(LINES, "2026-01-07", "2026-01-08T12")
    assert found["before"] == {
        "since": "2026-01-05T12:00:00Z",
        "until": "2026-01-07T00:00:00Z",
        "totals": totals(LINES, "2026-01-05T12", "2026-01-07"),
    }
    assert (found["since"], found["until"]) == ("2026-01-07T00:00:00Z", "2026-01-08T12:00:00Z")


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


def test_the_top_files_and_the_last_time_of_a_user(sink):
    transfers = [line for line in LINES if b'"size_bytes"' in line and b'"error"' not in line]
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
    own = [line for line in LINES if b'"username":"%s"' % user["username"].encode() in line and b'"connection_failed"' not in line]
    assert user["last_seen"] == max(line.split(b'"time":"')[1][:19].decode() for line in own) + "Z"


def test_no_lines_in_the_span(sink):
    found = of(sink, datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 1, 2, tzinfo=UTC))
    assert found["totals"] == totals([])
    assert found["users"] == found["files"] == []
    assert len(found["trend"]) == 24


def test_another_stream_in_the_same_sink_does_not_count(sink, tmp_path):
    wanted = document(tmp_path, parse={"profile": "sftpgo", "timezone": "UTC"}, name="other", sinks=[{"type": "sqlite", "path": sink.name}])
    with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as other:
        store(wanted, other, LINES[:50], "two")
        assert of(other)["totals"] == totals(LINES[:50])
    assert of(sink)["totals"] == totals(LINES)


def test_a_span_that_ends_before_it_begins_and_a_trend_without_end_are_mistakes(sink):
    with pytest.raises(UsageError, match="is before the start"):
        of(sink, at(8), at(7))
    with pytest.raises(UsageError, match="more than 20000 steps"):
        of(sink, datetime(1900, 1, 1, tzinfo=UTC), by="hour")
