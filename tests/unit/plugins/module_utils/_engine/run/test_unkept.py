# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What retention would remove at once is neither packed nor sent, and the run says so."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.lacking import status_of
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.recap import recap
from rigs.host import NOW, archives_in, at, file_store

pytest.importorskip("cryptography")

KEEP_2 = {"keep_last": 2, "max_delete_share": 0.01}


def names(path):
    return [key.rpartition("/")[2][:18] for key in sorted(archives_in(file_store(path)))]


@pytest.mark.parametrize("group", ["file", "period"])
def test_the_first_run_sends_only_what_retention_keeps(host, group):
    paths = host.write_logs(10, 11, 12, 13, 14, size=1000)
    planned = host.run(check=True, retention=KEEP_2, archive={"group": group}, delete_sources=True)
    record = host.run(retention=KEEP_2, archive={"group": group}, delete_sources=True)
    assert (record["exit_code"], record["errors"], len(record["archives"])) == (0, [], 2)
    assert len(archives_in(file_store(host.store))) == 2
    assert record["pruned"]["file"]["removed"] == []
    what = {"archives": 3, "bytes": 3000, "start": "2024-01-12T10:00:00Z", "end": "2024-01-12T13:00:00Z", "policy": "keep_last 2"}
    assert planned["not_shipped"] == record["not_shipped"] == {"file": what}
    warning = (
        "store file: 3 archive(s) of 2.9 KiB of logs (2024-01-12T10:00:00Z to 2024-01-12T13:00:00Z) are not sent, because retention would"
        " remove them at once (keep_last 2). The logs stay where they are"
    )
    assert planned["warnings"] == record["warnings"] == [warning]
    assert "  warning  %s" % warning in recap(record)
    # No store has ever had them, so they are not deleted.
    assert [path.exists() for path in paths] == [True, True, True, False, False]
    assert planned["sources_deleted"] == record["sources_deleted"] == [str(path) for path in paths[3:]]


def test_what_is_there_counts(host):
    host.write_logs(13, 14)
    host.run(retention=KEEP_2)
    # A log that comes late.
    host.write_logs(12)
    late = host.run(retention=KEEP_2)
    assert (late["archives"], late["not_shipped"]["file"]["archives"]) == ([], 1)
    # The same again is no news.
    again = host.run(retention=KEEP_2)
    assert (again["not_shipped"], again["warnings"]) == (late["not_shipped"], [])
    # Nor is it if fewer are left out, because the time moves on; a further one is.
    host.write_logs(11)
    assert len(host.run(retention=KEEP_2)["warnings"]) == 1
    (host.logs / "syslog.20240112.11").unlink()
    assert host.run(retention=KEEP_2)["warnings"] == []
    # By a rule that keeps more it is archived.
    assert len(host.run(retention={"keep_last": 3})["archives"]) == 1


def test_each_store_has_its_own_retention(host):
    second, vault = host.folder / "second", host.folder / "vault"
    host.stores[0]["retention"] = {"keep_last": 1}
    host.stores.append({"type": "file", "name": "second", "path": str(second), "retention": {"keep_last": 2}})
    host.stores.append({"type": "file", "name": "vault", "path": str(vault), "append_only": True})
    host.write_logs(12, 13, 14)
    record = host.run(retention={"keep_last": 1})
    # The host does not prune the vault, so everything goes there.
    assert [len(names(path)) for path in (host.store, second, vault)] == [1, 2, 3]
    assert {name: what["archives"] for name, what in record["not_shipped"].items()} == {"file": 2, "second": 1}
    assert record["spool"]["archives"] == 0
    # What a store was not to get is not lacking there, and is not a finding.
    assert status_of(host.document(retention={"keep_last": 1}), now=NOW)["lacking"] == {}
    host.write_document(retention={"keep_last": 1})
    assert host.command("verify").returncode == 0


def test_what_a_store_awaits_counts(host):
    mounted = host.folder / "not" / "mounted"
    host.stores[0].update(path=str(mounted), attempts=1)
    host.write_logs(13, 14)
    assert host.run(retention=KEEP_2)["exit_code"] == 3
    host.write_logs(12)
    assert host.run(retention=KEEP_2)["not_shipped"]["file"]["archives"] == 1
    mounted.mkdir(parents=True)
    host.run(retention=KEEP_2)
    assert names(mounted) == ["syslog.20240112.13", "syslog.20240112.14"]


def test_an_empty_backlog_does_not_keep_a_new_log_out(host):
    for hour in (12, 13, 14):
        host.write_logs(hour)
        record = host.run(at("2024-01-12 %d:05" % (hour + 1)), retention={"keep_last": 1})
        assert (len(record["archives"]), record["not_shipped"]) == (1, {})
    assert names(host.store) == ["syslog.20240112.14"]
