# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runs that the catalog records."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.database import Database
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.runs import Runs


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
