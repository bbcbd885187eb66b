# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run records as reports need them."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state import record as types
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import records

BRIEF = {"host": "web1", "job": "syslog", "outcome": "unreachable", "errors": ["no route to host"]}


def test_a_brief_record_gets_every_key_and_keeps_its_own():
    complete = records.complete(BRIEF)
    assert set(complete) == set(types.RunRecord.__annotations__)
    assert {key: complete[key] for key in BRIEF} == BRIEF
    assert records.complete(complete) == complete


def test_two_completed_records_share_nothing():
    one, other = records.complete({}), records.complete({})
    one["warnings"].append("x")
    one["steps"]["pack"] = {"state": "done", "errors": 0, "warnings": 0}
    assert other["warnings"] == [] and other["steps"] == {}


@pytest.mark.parametrize(
    ("changes", "state"),
    [({"errors": []}, "done"), ({"errors": [], "warnings": ["x"]}, "warning"), ({"errors": ["x"], "warnings": ["x"]}, "failed")]
    + [({"errors": ["x"], "outcome": "locked"}, "warning")],
)
def test_the_state_of_a_run(changes, state):
    record = records.complete(changes)
    assert records.state_of(record) == state
    assert records.has_failed(record) == (state == "failed")


def test_the_worst_state_of_several_runs():
    done, warning, failed = (records.complete({"errors": e, "warnings": w}) for e, w in (([], []), ([], ["x"]), (["x"], [])))
    assert records.worst_state([done, done]) == "done"
    assert records.worst_state([done, warning]) == "warning"
    assert records.worst_state([warning, failed, done]) == "failed"
    assert records.worst_state([]) == "done"
