# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metrics file of a job."""

from __future__ import annotations

import os

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise_receiver
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.status import blank
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.messages import Message
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.metrics import JobFacts
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.receivers import textfile
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.receivers.base import ReceiverError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.records import complete


def message(**changes):
    record = complete(dict({"host": "web1", "job": "syslog", "started": "2024-01-12T15:05:00Z", "seconds": 1.5}, **changes))
    return Message([record], facts=lambda: JobFacts(record["job"], "web1", record, blank(record["job"]), ["s"], {0: 1}))


def test_a_run_replaces_the_file_of_its_job(tmp_path):
    target = normalise_receiver({"type": "textfile", "path": str(tmp_path)})
    for seconds in (1.5, 2.5):
        textfile.deliver(target, message(seconds=seconds))
    textfile.deliver(target, message(job="auth"))
    assert sorted(os.listdir(tmp_path)) == ["log_archive_auth.prom", "log_archive_syslog.prom"]
    path = tmp_path / "log_archive_syslog.prom"
    assert 'log_archive_last_run_duration_seconds{archive_job="syslog",host="web1"} 2.5\n' in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_folder_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(ReceiverError, match="cannot write .*log_archive_syslog.prom: No such file or directory"):
        textfile.deliver(normalise_receiver({"type": "textfile", "path": str(tmp_path / "missing")}), message())
