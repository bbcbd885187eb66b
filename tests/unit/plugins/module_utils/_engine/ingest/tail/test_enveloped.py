# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files as AWS delivers them are followed: each record once, whatever was read before."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower, reading, retry
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.tail import content, enveloped, lines, tracker
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.tail.lines import Limits
from rigs.aws_logs import FLOW_HEADER, SKIPPED, compressed, flow, log_file, query, record
from rigs.streams import document

NAME = "123456789012_CloudTrail_eu-west-1_20261103T0205Z_%s.json.gz"


@pytest.fixture
def logs(tmp_path):
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


def stream(tmp_path, profile, **parse):
    follow = {"patterns": ["*.json", "*.log"], "rotated": ["*_CloudTrail_*.json.gz", "*.log.gz", "*.parquet"], "recurse": True}
    return document(tmp_path, follow=follow, parse={"profile": profile, **parse})


def select(tmp_path, statement):
    with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite")) as connection:
        return connection.execute(statement).fetchall()


def ingested(wanted):
    result = follower.catch_up(wanted, sleep=lambda _seconds: None)
    (sink,) = result["sinks"]
    return sink["rows"], sink["rejected"], sink["gaps"]


def test_each_record_of_delivered_files_is_a_row_once(tmp_path, logs):
    wanted = stream(tmp_path, "cloudtrail")
    day = logs / "AWSLogs" / "2026" / "11" / "03"
    day.mkdir(parents=True)
    (day / (NAME % "a")).write_bytes(compressed(log_file([record(1), record(2)])))
    (day / (NAME % "b")).write_bytes(compressed(log_file([record(3), "odd", record(4, eventTime=...)])))
    (day / (NAME % "c")).write_bytes(compressed(log_file([])))
    (day / "123456789012_CloudTrail-Digest_eu-west-1_trail_eu-west-1_20261103T020000Z.json.gz").write_bytes(compressed(b"{}"))
    assert ingested(wanted) == (3, 2, 0)
    assert ingested(wanted) == (0, 0, 0)
    assert sorted(each[0][-1] for each in select(tmp_path, "SELECT event_id FROM cloudtrail_event")) == ["1", "2", "3"]
    assert sorted(each[0] for each in select(tmp_path, "SELECT reason FROM ingest_rejected")) == ["bad_time", "not_object"]
    # The file that is not compressed, and has one record a line, as "audit events --format raw" prints them.
    (day / "events.json").write_bytes(b"".join(json.dumps(record(number)).encode() + b"\n" for number in (5, 6)))
    assert ingested(wanted) == (2, 0, 0)


def test_a_file_that_is_being_written_is_read_record_by_record(tmp_path, logs):
    wanted = stream(tmp_path, "cloudtrail")
    data = log_file([record(number) for number in range(4)])
    path = logs / "whole.json"
    path.write_bytes(data[: len(data) * 2 // 3])
    assert ingested(wanted)[0] == 2
    path.write_bytes(data)
    assert ingested(wanted)[0] == 2
    assert select(tmp_path, "SELECT COUNT(DISTINCT event_id) FROM cloudtrail_event") == [(4,)]
    # Another file under the same name.
    path.write_bytes(log_file([record(number) for number in range(10, 13)]))
    assert ingested(wanted)[0] == 3


def test_a_row_is_at_the_offset_that_its_record_has_in_the_file(tmp_path, logs):
    data = log_file([record(1), record(2)])
    (logs / (NAME % "a")).write_bytes(compressed(data))
    ingested(stream(tmp_path, "cloudtrail"))
    places = select(tmp_path, "SELECT line_offset FROM cloudtrail_event ORDER BY line_offset")
    assert places == [(0,), (data.index(b',{"eventVersion"') + 1,)]


def test_flow_logs_with_different_fields_are_read_by_their_headers(tmp_path, logs):
    wanted = stream(tmp_path, "vpc_flow")
    hive = logs / "aws-account-id=123456789012" / "aws-service=vpcflowlogs" / "aws-region=eu-west-1" / "year=2026" / "hour=02"
    hive.mkdir(parents=True)
    (hive / "one.log.gz").write_bytes(compressed("\n".join([FLOW_HEADER, *map(flow, range(1, 200)), SKIPPED, ""]).encode()))
    (hive / "two.log.gz").write_bytes(compressed(b"bytes start srcaddr\n5 1793671200 192.0.2.250\n5 1793671200\n"))
    growing = hive / "live.log"
    growing.write_text("start srcaddr bytes\n1793671200 192.0.2.251 1\n")
    assert ingested(wanted) == (202, 1, 0)
    # A new process begins in the middle of a file.
    with open(growing, "a") as file:
        file.write("1793671201 192.0.2.251 2\n")
    assert ingested(wanted) == (1, 0, 0)
    assert select(tmp_path, "SELECT SUM(bytes) FROM vpc_flow_record WHERE srcaddr = '192.0.2.251'") == [(3,)]
    assert select(tmp_path, "SELECT COUNT(*) FROM vpc_flow_record WHERE log_status = 'SKIPDATA'") == [(1,)]
    assert select(tmp_path, "SELECT reason, line FROM ingest_rejected") == [("field_count", b"bytes start srcaddr\n5 1793671200")]
    assert retry.retry(wanted)[0]["tried"] == 1


def test_a_compressed_file_with_one_record_a_line_is_not_begun_again_for_each_block(tmp_path, logs, monkeypatch):
    began, rewind = [], content.GzipContent._rewind
    monkeypatch.setattr(content.GzipContent, "_rewind", lambda self: began.append(self) or rewind(self))
    for module, name in ((content, "KEPT"), (enveloped, "KEPT"), (lines, "AT_ONCE")):
        monkeypatch.setattr(module, name, getattr(module, name) >> 7)
    (logs / (NAME % "a")).write_bytes(compressed(b"".join(json.dumps(record(number)).encode() + b"\n" for number in range(200))))
    assert ingested(stream(tmp_path, "cloudtrail")) == (200, 0, 0)
    # To find its size, to read it, and for a few marks.
    assert len(began) < 10


def test_a_file_that_is_not_compressed_is_not_begun_again_for_each_batch(tmp_path, logs, monkeypatch):
    split, feed = [], enveloped.Splitter.feed
    monkeypatch.setattr(enveloped.Splitter, "feed", lambda self, data: split.append(len(data)) or feed(self, data))
    for module, name in ((enveloped, "KEPT_OF_PLAIN"), (enveloped, "BLOCK"), (reading, "SIZE"), (lines, "AT_ONCE")):
        monkeypatch.setattr(module, name, getattr(module, name) >> 7)
    data = log_file([record(number) for number in range(800)])
    (logs / "whole.json").write_bytes(data)
    assert ingested(stream(tmp_path, "cloudtrail")) == (800, 0, 0)
    # For a few marks it is begun again.
    assert sum(split) < 4 * len(data)


def test_query_logs_are_read(tmp_path, logs):
    (logs / "queries.log.gz").write_bytes(compressed(b"".join(json.dumps(query(n)).encode() + b"\n" for n in (1, 2))))
    assert ingested(stream(tmp_path, "route53_resolver")) == (2, 0, 0)


def parquet_file(path, rows):
    import pyarrow
    import pyarrow.parquet

    names = [name.replace("-", "_") for name in FLOW_HEADER.split()]
    columns = [[row[index] for row in rows] for index in range(len(names))]
    pyarrow.parquet.write_table(pyarrow.table(dict(zip(names, columns))), path)


def test_without_pyarrow_it_is_named_and_the_other_files_are_read(tmp_path, logs, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    wanted = stream(tmp_path, "vpc_flow")
    (logs / "one.log.gz").write_bytes(compressed(("%s\n%s\n" % (FLOW_HEADER, flow(1))).encode()))
    (logs / "two.parquet").write_bytes(b"PAR1" * 500)
    result = follower.catch_up(wanted, sleep=lambda _seconds: None)
    assert result["exit_code"] == 3
    assert result["sinks"][0]["rows"] == 1
    assert "the Python library 'pyarrow' is missing, needed for Parquet files" in result["warnings"][0]


def test_a_parquet_file_is_read(tmp_path, logs):
    pytest.importorskip("pyarrow")
    wanted = stream(tmp_path, "vpc_flow")
    (logs / "one.log.gz").write_bytes(compressed(("%s\n%s\n" % (FLOW_HEADER, flow(1))).encode()))
    rows = [[None if word == "-" else int(word) if word.isdigit() else word for word in flow(n).split()] for n in range(2, 20_000)]
    parquet_file(
        logs / "two.parquet",
        [*rows, [None if word == "-" else word for word in [*rows[0][:3], *"-" * 7, *rows[0][10:12]]] + [None, "SKIPDATA"]],
    )
    assert ingested(wanted)[0] == 20_000
    assert ingested(wanted)[0] == 0
    assert select(tmp_path, "SELECT COUNT(*) FROM vpc_flow_record WHERE log_status = 'SKIPDATA'") == [(1,)]
    damaged = (logs / "two.parquet").read_bytes()
    for name, data in (("no.parquet", b"PAR1" * 500), ("half.parquet", damaged[: len(damaged) // 2]), ("empty.parquet", b"")):
        (logs / name).write_bytes(data)
        assert ingested(wanted)[1:] == (0, 0)


def test_files_that_wait_for_their_turn_or_were_read_take_no_memory(tmp_path, logs):
    wanted = stream(tmp_path, "cloudtrail")
    for number in range(20):
        records = [record(number, requestID="x" * 300_000), record(number + 100)]
        (logs / (NAME % number)).write_bytes(compressed(log_file(records)))
    files = tracker.Tracker(wanted["follow"], "owner", (), lambda _first: [], enveloped=True)
    with contextlib.closing(files):
        files.scan()
        assert len(files.files) == 20
        assert kept_by(files) < 100_000
        for note, stored in files.notes():
            stored(note.generation)
        while True:
            reading = files.read(Limits(5000, 4 << 20, 1 << 20))
            if reading is None:
                break
            assert reading.piece.total == 3
            files.moved(reading, reading.batch.generation)
        assert kept_by(files) == 0


def kept_by(files):
    contents = [file.content for file in files.files.values() if file.content is not None]
    assert len(contents) == 20
    return sum(len(content._lines) + len(content._content._kept) for content in contents)
