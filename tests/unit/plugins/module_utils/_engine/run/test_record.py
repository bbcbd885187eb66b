# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of a run: steps, outcome, events."""

from __future__ import annotations

import json

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError, LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run.record import Recorder, failure, outcome
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from rigs.host import JOB, NAME, NOW
from rigs.runs import assert_all_archived, read_logs

pytest.importorskip("cryptography")


def test_every_event_is_a_line_of_json_without_a_line_of_the_logs(host):
    (path,) = host.write_logs(14)
    host.run()
    events = [json.loads(line) for line in host.events.read_text().splitlines()]
    assert [event["event"] for event in events] == ["run_started", "archived", "stored", "run_ended"]
    assert {(event["job"], event["host"]) for event in events} == {(JOB, NAME)}
    assert "request" not in host.events.read_text()
    assert path.read_text().startswith("Jan 12 web1 app[14]: request")


def test_an_event_log_that_cannot_be_written_is_an_error_and_stops_nothing(host):
    host.write_logs(14)
    record = host.run(log=str(host.folder / "missing" / "events.jsonl"))
    assert record["exit_code"] == 3
    assert len(record["errors"]) == 1 and "event log" in record["errors"][0]
    assert_all_archived(host, read_logs(host))


def test_the_record_is_kept_in_the_catalog(host):
    host.write_logs(14)
    record = host.run()
    catalog = Catalog(str(host.state))
    last = catalog.runs.last(JOB)
    catalog.close()
    assert (last.exit_code, last.record) == (0, record)


@pytest.fixture
def recorder():
    return Recorder(JOB, NAME, NOW, False, None)


def test_a_step_is_listed_in_order_with_its_warnings_and_errors(recorder):
    recorder.begin("recover", listed=False)
    recorder.begin("select")
    recorder.warn("one")
    recorder.begin("pack")
    recorder.warn("two")
    recorder.fail(LogArchiveError("three"))
    recorder.warn("four")
    recorder.fail_store("s3", LogArchiveError("five"))
    recorder.begin("prune s3")
    assert list(recorder.record["steps"].items()) == [
        ("select", {"state": "warning", "errors": 0, "warnings": 1}),
        ("pack", {"state": "failed", "errors": 1, "warnings": 2}),
        ("store s3", {"state": "failed", "errors": 1, "warnings": 0}),
        ("prune s3", {"state": "done", "errors": 0, "warnings": 0}),
    ]
    assert recorder.record["warnings"] == ["one", "two", "four"]
    assert recorder.record["errors"] == ["three", "store s3: five"]


def test_an_unexpected_exception_is_an_error_of_the_current_step(recorder):
    recorder.begin("pack")
    recorder.abort(KeyboardInterrupt())
    recorder.conclude(1.23456, {"archives": 0, "bytes": 0})
    record = recorder.record
    assert record["errors"] == ["the run ended early: KeyboardInterrupt"]
    assert (record["steps"]["pack"]["errors"], record["exit_code"], record["outcome"], record["seconds"]) == (1, 1, "failed", 1.235)


def test_the_text_of_an_unexpected_exception_is_in_no_record(recorder):
    recorder.abort(KeyError("marker-of-a-secret"))
    assert recorder.record["errors"] == ["the run ended early: unexpected KeyError. This is a defect; report it with this line"]


def test_the_worst_error_without_any_change_is_the_exit_code(recorder):
    recorder.fail(LogArchiveError("one"))
    recorder.fail(ConfigError("two"))
    recorder.conclude(0, {"archives": 0, "bytes": 0})
    assert recorder.record["exit_code"] == 2


def test_a_removed_archive_or_a_deleted_source_is_a_change(recorder):
    recorder.record["pruned"]["file"] = {"kept": 1, "removed": ["key"], "bytes_freed": 1, "refusals": []}
    recorder.conclude(0, {"archives": 0, "bytes": 0})
    assert recorder.record["changed"] and recorder.record["outcome"] == "done"


@pytest.mark.parametrize(
    ("codes", "changed", "waiting", "check", "expected"),
    [
        ([], False, False, False, (0, "nothing to do")),
        ([], True, False, False, (0, "done")),
        ([], False, True, False, (3, "partly done")),
        ([], True, True, True, (0, "done")),
        ([1], False, False, False, (1, "failed")),
        ([1, 2], False, False, False, (2, "failed")),
        ([1], True, False, False, (3, "partly done")),
        ([1], False, True, False, (3, "partly done")),
        ([1, 4, 2], True, True, False, (4, "integrity failure")),
    ],
)
def test_outcomes(codes, changed, waiting, check, expected):
    assert outcome(codes, changed, waiting, check) == expected


def test_a_failed_run_is_one_error_with_the_exit_code_of_the_run(host):
    host.write_logs(14)
    record = host.run()
    assert failure(record) is None
    record.update(exit_code=3, outcome="partly done")
    record["spool"]["archives"] = 2
    error = failure(record)
    assert error.exit_code == 3
    assert str(error) == "job %s: partly done (archives wait for a store). 2 archive(s) wait in the spool for the next run" % JOB
    record.update(exit_code=4, outcome="integrity failure", errors=["one", "two"])
    record["spool"]["archives"] = 0
    error = failure(record)
    assert (error.exit_code, str(error)) == (4, "job %s: integrity failure (one; two)" % JOB)
