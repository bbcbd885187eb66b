# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runs that the catalog records."""

from __future__ import annotations

import json

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.database import Database
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.runs import EACH, IN_FULL, LISTED, Runs, blank_record


@pytest.fixture
def runs(tmp_path):
    database = Database(str(tmp_path))
    yield Runs(database)
    database.close()


def test_first_last_and_successful_runs(runs):
    assert runs.first("job") is runs.last("job") is runs.last_ended("job") is runs.last_success("job", 100.0) is None
    for started, code in ((1.0, 0), (50.0, 0), (3.0, 3)):
        runs.end(runs.begin("job", started), started + 1, {"exit_code": code, "x": 1})
    runs.begin("job", 4.0)
    assert runs.first("job") == 1.0
    assert runs.last("job") == (4.0, None, None, None)
    assert runs.last_ended("job") == (3.0, 4.0, 3, {"exit_code": 3, "x": 1})
    assert runs.last_success("job", 100.0) == (50.0, 51.0, 0, {"exit_code": 0, "x": 1})
    assert runs.last_success("job", 10.0).started == 1.0, "a success in the future proves nothing"
    assert runs.outcomes("job") == {0: 2, 3: 1}
    assert runs.last("other") is None


def record(skipped=0, **changes):
    files = [{"path": "/var/log/%d" % number, "reason": "x" * 80} for number in range(skipped)]
    return {**blank_record("job", "host"), "skipped": files, **changes}


def test_old_records_are_short_and_the_oldest_runs_are_only_counted(runs, monkeypatch):
    monkeypatch.setattr("%s.IN_SHORT" % Runs.__module__, 100)
    count = 20 * EACH
    for number in range(count):
        failed = number % 10 == 0
        runs.end(runs.begin("job", float(number)), number + 0.5, record(1000, exit_code=int(failed), errors=["e" * 1000] * failed))
    query = "SELECT COUNT(*), SUM(length(recap)), SUM(length(recap) > 1000) FROM runs"
    ((rows, characters, whole),) = runs._database.execute(query)
    assert (rows, whole) == (101, IN_FULL)
    assert characters <= 1000 * rows + IN_FULL * 120 * LISTED
    assert runs.outcomes("job") == {0: count * 9 // 10, 1: count // 10}
    assert len(runs.last("job").record["skipped"]) == LISTED
    assert (runs.first("job"), runs.last("job").started) == (0.0, count - 1.0)


def test_the_runs_that_later_runs_look_back_to_keep_what_they_need(runs, monkeypatch):
    monkeypatch.setattr("%s.IN_SHORT" % Runs.__module__, 10)
    monkeypatch.setattr("%s.IN_FULL" % Runs.__module__, 5)
    runs.end(runs.begin("job", 1.0), 2.0, record(exit_code=1))
    runs.end(runs.begin("job", 10.0), 11.0, record(2000, open_since="2024-01-12T12:00:00Z"))
    runs.end(runs.begin("job", 1e10), 1e10, record())
    runs.end(runs.begin("other", 5.0), 6.0, record())
    for number in range(4 * EACH):
        runs.end(runs.begin("job", 100.0 + number), 101.0 + number, record(exit_code=1))
    assert runs._database.execute("SELECT COUNT(*) FROM runs WHERE job = 'job'")[0][0] <= 10 + 3 + EACH
    success = runs.last_success("job", 300.0)
    assert (success.started, success.record["open_since"], success.record["skipped"]) == (10.0, "2024-01-12T12:00:00Z", [])
    assert runs.last_success("job", 2e10).started == 1e10
    assert (runs.first("job"), runs.first("other")) == (1.0, 5.0)


def test_a_record_of_an_older_version_is_cut_too(runs):
    recap = json.dumps({"job": "job", "host": "h", "errors": [], "x": "y" * 2000})
    for _run in range(2 * EACH):
        runs._database.execute("INSERT INTO runs (job, started, ended, exit_code, recap) VALUES ('job', 1.0, 2.0, 0, ?)", (recap,))
    runs.end(runs.begin("job", 1.0), 2.0, record())
    runs._cut("job", 3.0)
    assert runs._database.execute("SELECT SUM(length(recap) > 1000) FROM runs")[0][0] == IN_FULL - 1
