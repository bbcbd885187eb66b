# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Retention as a step of a run, and by itself."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from rigs.host import JOB, NOW, archives_in, file_store
from rigs.runs import tree

pytest.importorskip("cryptography")


def test_a_dry_run_of_prune_changes_nothing(host):
    host.write_logs(12, 13, 14)
    host.run()
    document = host.document(retention={"keep_last": 1, "max_delete_share": 1})
    before = tree(host.folder)
    planned = job.prune(document, now=NOW, check=True)
    assert tree(host.folder) == before
    assert job.prune(document, now=NOW)["pruned"]["file"]["removed"] == planned["pruned"]["file"]["removed"]
    assert len(archives_in(file_store(host.store))) == 1


def test_the_catalog_never_says_that_a_store_has_what_was_pruned(host):
    host.write_logs(12, 13, 14)
    host.run()
    host.run(retention={"keep_last": 1, "max_delete_share": 1})
    catalog = Catalog(str(host.state))
    assert list(catalog.held(JOB, "file")) == list(archives_in(file_store(host.store)))
    catalog.close()


def test_an_append_only_store_is_never_pruned_by_the_host(host, tmp_path):
    other = tmp_path / "other"
    stores = [{"type": "file", "path": str(host.store)}, {"type": "file", "name": "vault", "path": str(other), "append_only": True}]
    host.write_logs(11, 12, 13, 14)
    record = host.run(stores=stores, retention={"keep_last": 1, "max_delete_share": 1})
    assert list(record["pruned"]) == ["file"] and record["warnings"] == []
    assert (len(archives_in(file_store(host.store))), len(archives_in(file_store(other)))) == (1, 4)
    again = job.prune(host.document(stores=stores, retention={"keep_last": 1}), ["vault"], NOW)
    assert again["pruned"] == {} and "append-only" in again["warnings"][0]


def test_archives_kept_for_a_store_that_was_down_are_pruned_once_it_is_back(host):
    up, down = host.folder / "up", host.folder / "not-mounted" / "down"
    host.stores = [{"type": "file", "name": name, "path": str(path)} for name, path in (("up", up), ("down", down))]
    host.write_logs(11, 12, 13, 14)
    policy = {"keep_last": 1, "max_delete_share": 1}
    assert host.run(retention=policy)["exit_code"] == 3
    assert len(archives_in(file_store(up))) == 4
    down.parent.mkdir()
    assert host.run(retention=policy)["exit_code"] == 0
    assert [len(archives_in(file_store(path))) for path in (up, down)] == [1, 1]
