# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Delivery: stores that are down, names that are taken, leftovers of killed runs."""

from __future__ import annotations

import os

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import naming
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import deliver
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.ledger.file import Ledger
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.spool import Spool
from rigs.host import JOB, NAME, NOW, archives_in, assert_complete, file_store
from rigs.runs import read_logs

pytest.importorskip("cryptography")


def test_one_dead_store_does_not_stop_the_other(host, tmp_path):
    down = tmp_path / "not" / "mounted"
    host.stores = [{"type": "file", "name": "down", "path": str(down), "attempts": 1}, {"type": "file", "path": str(host.store)}]
    wanted_paths = host.write_logs(13, 14)
    record = host.run()
    assert (record["outcome"], record["exit_code"]) == ("partly done", 3)
    assert record["spool"]["archives"] == 2
    assert len(host.spooled()) == 4
    assert_complete(file_store(host.store), host, read_logs(host))
    for path in wanted_paths:
        path.unlink()
    down.mkdir(parents=True)
    later = host.run()
    assert (later["outcome"], later["exit_code"]) == ("done", 0)
    assert host.spooled() == []
    assert archives_in(file_store(down)) == archives_in(file_store(host.store))


def test_the_file_of_another_tool_is_not_overwritten(host):
    """Where something else stands at the key already, the archive gets the next name."""
    key = "%s/%s/2024/01/12/syslog.20240112.14.tgz.fernet" % (NAME, JOB)
    for name in (key, naming.manifest_key(key)):
        (host.store / name).parent.mkdir(parents=True, exist_ok=True)
        (host.store / name).write_bytes(b"foreign")
    host.write_logs(14)
    assert host.run()["exit_code"] == 0
    assert (host.store / key).read_bytes() == b"foreign"
    assert "syslog.20240112.14.r2.tgz.fernet" in os.listdir((host.store / key).parent)


def test_the_next_run_cleans_after_a_run_that_was_killed_while_it_cleaned(host):
    """An upload was cut in a first run, a second completed it and was killed while it cleaned: the third has nothing else to do."""
    host.write_logs(14)
    host.run()
    leftover = host.store / NAME / JOB / "2024" / "01" / "12" / ".log-archive-syslog.part"
    leftover.write_bytes(b"x")
    assert host.run()["outcome"] == "nothing to do"
    assert leftover.exists(), "a run after a good one does not look"
    catalog = Catalog(str(host.state))
    catalog.runs.begin(JOB, NOW.timestamp())
    catalog.close()
    assert host.run()["outcome"] == "nothing to do"
    assert not leftover.exists()


def test_small_archives_are_entered_and_leave_the_spool_together(host, monkeypatch):
    """Each write to the ledger, and each removal from the spool, waits for the disk."""
    entered, left = [], []
    append, remove = Ledger.append, Spool.remove
    monkeypatch.setattr(deliver, "MOST_UNSETTLED", 2)
    monkeypatch.setattr(deliver, "LEAST_FREE", 0)
    monkeypatch.setattr(Ledger, "append", lambda self, new: entered.append(len(new)) or append(self, new))
    monkeypatch.setattr(Spool, "remove", lambda self, *keys: left.append(len(keys)) or remove(self, *keys))
    host.write_logs(10, 11, 12, 13, 14)
    record = host.run()
    assert [archive["state"] for archive in record["archives"]] == ["done"] * 5
    assert entered == left == [2, 2, 1]
    assert host.spooled() == []


def test_large_archives_leave_the_spool_one_by_one(host, monkeypatch):
    left = []
    remove = Spool.remove
    monkeypatch.setattr(deliver, "LARGEST_UNSETTLED", 1)
    monkeypatch.setattr(Spool, "remove", lambda self, *keys: left.append(len(keys)) or remove(self, *keys))
    host.write_logs(12, 13, 14)
    host.run()
    assert left == [1, 1, 1]
