# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status of a job for monitoring, and its exit code."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import durable
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state import status
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.folders import lock_of
from rigs.host import JOB, NOW, Host


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path)
    made.state.mkdir()
    return made


def record(host, *runs):
    """Runs of (minutes ago, exit code or None for one that did not end)."""
    catalog = Catalog(str(host.state))
    for minutes, code in runs:
        started = (NOW - timedelta(minutes=minutes)).timestamp()
        run = catalog.runs.begin(JOB, started)
        if code is not None:
            catalog.runs.end(run, started + 1, {"exit_code": code, "errors": []})
    catalog.close()


@pytest.mark.parametrize(
    ("runs", "state", "code"),
    [
        ([], "has never run", 1),
        ([(5, 0)], "fine", 0),
        ([(5, 0), (1, None)], "the last run was killed", 1),
        ([(1, None)], "the last run was killed", 1),
        ([(300, 0), (240, None), (180, None), (1, None)], "overdue", 1),
        ([(300, 0)], "overdue", 1),
        ([(300, 0), (5, 3)], "overdue", 1),
        ([(65, 0), (5, 3)], "the last run was partly done", 3),
        ([(5, 3)], "the last run was partly done", 3),
        ([(65, 0), (5, 1)], "the last run failed", 1),
        ([(65, 0), (5, 4)], "the last run failed", 4),
        ([(65, 0), (5, 2)], "the last run failed", 2),
        ([(-60 * 24 * 365, 0), (300, 0)], "overdue", 1),
        ([(-60 * 24 * 365, 0)], "the last run began at 2025-01-11T15:05:00Z, which is in the future", 1),
        ([(300, 0), (-60 * 24 * 365, 0)], "overdue", 1),
        ([(-0.5, 0)], "fine", 0),
    ],
)
def test_states(host, runs, state, code):
    record(host, *runs)
    row = status.of(host.document(), now=NOW)
    assert (row["state"].startswith(state), row["exit_code"]) == (True, code), row
    assert row["next_due"] == "2024-01-12T16:00:00Z"


@pytest.mark.parametrize(
    ("runs", "state", "code"),
    [([(5, 0), (1, None)], "runs now", 0), ([(1, None)], "runs now", 1), ([(300, 0), (240, None)], "overdue", 1), ([(5, 0)], "fine", 0)],
)
def test_a_run_is_active_as_long_as_it_holds_the_lock(host, runs, state, code):
    record(host, *runs)
    with durable.lock(lock_of(str(host.state), JOB), wait=False):
        row = status.of(host.document(), now=NOW)
    assert (row["state"].startswith(state), row["exit_code"], row["running"]) == (True, code, True), row
    assert status.of(host.document(), now=NOW)["running"] is False


def test_no_catalog_yet(host):
    assert status.of(host.document(), now=NOW)["exit_code"] == 1
    assert list(host.state.iterdir()) == []


def test_the_maximum_age_of_the_caller(host):
    record(host, (10, 0))
    assert status.of(host.document(), max_age=660.0, now=NOW)["exit_code"] == 0
    assert status.of(host.document(), max_age=540.0, now=NOW)["exit_code"] == 1


def test_a_job_without_periods_is_never_overdue_by_itself(host):
    record(host, (600_000, 0))
    document = host.document(select={"period": "none", "patterns": ["*"]})
    row = status.of(document, now=NOW)
    assert (row["exit_code"], row["next_due"]) == (0, None)
    assert status.of(document, max_age=60.0, now=NOW)["exit_code"] == 1
    assert status.of(document, now=NOW - timedelta(days=3650))["exit_code"] == 1


def test_the_next_run_follows_the_schedule_and_the_spread(host):
    row = status.of(host.document(schedule={"at": "every minute", "spread": "0"}), now=NOW)
    assert row["next_run"] == "2024-01-12T15:06:00Z"
    late = status.of(host.document(schedule={"at": "every minute", "spread": "60"}), now=NOW)["next_run"]
    assert "2024-01-12T15:05:00Z" < late <= "2024-01-12T15:06:59Z"
    assert status.of(host.document(), now=NOW)["next_run"] is None


def test_archives_and_how_they_were_verified(host, tmp_path):
    host.write_logs(12, 13, 14, size=1000)
    weak = {"type": "file", "name": "weak", "path": str(tmp_path / "weak"), "verify": "size"}
    assert host.run(stores=[*host.stores, weak])["exit_code"] == 0
    row = status.of(host.document(stores=[*host.stores, weak]), now=NOW)
    assert (row["archives"], row["source_bytes"]) == (3, 3000)
    assert row["bytes"] == sum(path.stat().st_size for path in host.store.rglob("*.fernet"))
    assert row["verified"] == {"file": "read_back", "weak": "size"}
    assert host.run(retention={"keep_last": 1, "max_delete_share": 1}, stores=[*host.stores, weak])["exit_code"] == 0
    assert status.of(host.document(stores=[*host.stores, weak]), now=NOW)["archives"] == 1
