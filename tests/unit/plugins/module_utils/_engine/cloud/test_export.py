# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports: one at a time for each account, found again by their name. A test server ends each at once and starts several."""

from __future__ import annotations

import time

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cloud import export as exports
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cloud.export import Export, ExportError, Wanted
from rigs.aws import answering

WANTED = Wanted("/g", "bucket", "prefix", 1000, 2000)
STARTED = {
    "taskName": WANTED.name,
    "logGroupName": "/g",
    "fromTime": 1000,
    "to": 1999,
    "destination": "bucket",
    "destinationPrefix": "prefix",
}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


def task(status, name="other", task_id="t-0", message=None):
    return {"taskId": task_id, "taskName": name, "status": {"code": status, **({"message": message} if message else {})}}


def tasks(answers, *found, **wanted):
    answers.add("describe_export_tasks", {"exportTasks": list(found)}, **wanted)


def export(answers, seconds=60.0, check=False):
    return exports.export(answers.service, WANTED, seconds, check)


def test_an_export_is_started_and_awaited():
    with answering("logs") as answers:
        tasks(answers, task("COMPLETED"))
        tasks(answers, task("COMPLETED"))
        answers.add("create_export_task", {"taskId": "t-1"}, **STARTED)
        for status in ("PENDING", "RUNNING", "COMPLETED"):
            tasks(answers, task(status, WANTED.name, "t-1"), taskId="t-1")
        assert export(answers) == Export("t-1", True)


def test_another_export_is_awaited():
    with answering("logs") as answers:
        tasks(answers)
        tasks(answers, task("RUNNING"))
        tasks(answers, task("PENDING_CANCEL"))
        tasks(answers)
        # Somebody else was faster.
        answers.add_error("create_export_task", "LimitExceededException")
        tasks(answers)
        answers.add("create_export_task", {"taskId": "t-1"}, **STARTED)
        tasks(answers, task("COMPLETED", WANTED.name, "t-1"), taskId="t-1")
        assert export(answers).changed


def test_another_export_that_does_not_end():
    with answering("logs") as answers:
        tasks(answers)
        tasks(answers, task("RUNNING", "of-somebody"))
        with pytest.raises(ExportError, match=r"/g: another export \(of-somebody\) did not end within 0 s. Try again after that"):
            export(answers, seconds=0)


def test_the_same_export_is_not_started_again():
    with answering("logs") as answers:
        tasks(answers, task("COMPLETED", WANTED.name, "t-1"))
        tasks(answers, task("COMPLETED", WANTED.name, "t-1"), taskId="t-1")
        assert export(answers) == Export("t-1", False)


def test_one_that_an_earlier_call_left_running_is_awaited():
    with answering("logs") as answers:
        tasks(answers, task("RUNNING", WANTED.name, "t-1"))
        tasks(answers, task("COMPLETED", WANTED.name, "t-1"), taskId="t-1")
        assert export(answers) == Export("t-1", False)


def test_one_that_failed_is_started_again():
    with answering("logs") as answers:
        tasks(answers, task("FAILED", WANTED.name, "t-1"))
        tasks(answers, task("FAILED", WANTED.name, "t-1"))
        answers.add("create_export_task", {"taskId": "t-2"}, **STARTED)
        tasks(answers, task("FAILED", WANTED.name, "t-2", "Access denied"), taskId="t-2")
        with pytest.raises(ExportError, match=r"t-2: the export ended as FAILED \(Access denied\)"):
            export(answers)


def test_one_that_does_not_end():
    with answering("logs") as answers:
        tasks(answers, task("RUNNING", WANTED.name, "t-1"))
        tasks(answers, task("RUNNING", WANTED.name, "t-1"), taskId="t-1")
        with pytest.raises(ExportError, match="did not end within 0 s. It goes on; run this again to wait for it"):
            export(answers, seconds=0)


def test_a_check_starts_nothing():
    with answering("logs") as answers:
        tasks(answers)
        assert export(answers, check=True) == Export(None, True)


@pytest.mark.parametrize(
    ("changes", "reason"), [({"start": 2000}, "start is not earlier than end"), ({"end": 10**14}, "the end of the export is in the future")]
)
def test_spans_that_cannot_be_exported(changes, reason):
    with answering("logs") as answers, pytest.raises(ConfigError, match=reason):
        exports.export(answers.service, WANTED._replace(**changes), 1)


def test_the_name_of_a_task_is_that_of_one_export():
    names = {WANTED._replace(**change).name for change in ({}, {"group": "/h"}, {"bucket": "b"}, {"prefix": "p"}, {"start": 1}, {"end": 3})}
    assert len(names) == 6 and WANTED.name == Wanted(*WANTED).name
