# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Retention as a step of a run, and by itself."""

from __future__ import annotations

import contextlib
import json
import pathlib

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import (
    StoreDeniedError,
    StoreFullError,
    StoreUnavailableError,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.net import Retries
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import prune as pruning
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state import status
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.file import FileStore
from rigs.host import JOB, NOW, archives_in, at, file_store
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
    host.run(stores=stores)
    record = host.run(stores=stores, retention={"keep_last": 1, "max_delete_share": 1})
    assert list(record["pruned"]) == ["file"] and record["warnings"] == []
    assert (len(archives_in(file_store(host.store))), len(archives_in(file_store(other)))) == (1, 4)
    again = job.prune(host.document(stores=stores, retention={"keep_last": 1}), ["vault"], NOW)
    assert again["pruned"] == {} and "append-only" in again["warnings"][0]


@pytest.mark.parametrize(("error", "told"), [(StoreUnavailableError("it does not answer"), 1), (StoreDeniedError("not allowed"), 0)])
def test_a_store_without_retention_that_cannot_be_listed_is_a_warning(host, monkeypatch, error, told):
    def failing(*_given):
        raise error

    host.write_logs(12)
    host.run(now=at("2024-01-12 13:05"))
    # As a version of the engine left it that did not list such stores.
    with contextlib.closing(Catalog(str(host.state))) as catalog:
        catalog.listings.forget(JOB, "file")
    host.write_logs(13)
    with monkeypatch.context() as patched:
        patched.setattr(FileStore, "survey", failing)
        record = host.run(now=at("2024-01-12 14:05"))
    assert (record["exit_code"], len(archives_in(file_store(host.store)))) == (0, 2)
    # A host that may only add archives cannot list them, and need not.
    assert len(record["warnings"]) == told
    assert (
        not told or "store file cannot be listed, so commands that need a part of it read all of it: it does not" in record["warnings"][0]
    )
    host.write_logs(14)
    assert host.run()["warnings"] == []


def test_archives_kept_for_a_store_that_was_down_are_pruned_once_it_is_back(host):
    up, down = host.folder / "up", host.folder / "not-mounted" / "down"
    host.stores = [{"type": "file", "name": name, "path": str(path)} for name, path in (("up", up), ("down", down))]
    host.write_logs(11, 12, 13, 14)
    policy = {"keep_last": 1, "max_delete_share": 1}
    assert host.run()["exit_code"] == 3
    assert host.run(retention=policy)["exit_code"] == 3
    assert len(archives_in(file_store(up))) == 4
    down.parent.mkdir()
    assert host.run(retention=policy)["exit_code"] == 0
    assert [len(archives_in(file_store(path))) for path in (up, down)] == [1, 1]


# -- guards, cuts and full stores -------------------------------------------------------------------------------------


def test_a_refused_prune_is_a_warning_until_one_succeeds(host):
    host.write_logs(10, 11, 12, 13, 14)
    host.run()
    policy = {"keep_last": 1, "max_delete_share": 0.1}
    record = host.run(retention=policy)
    assert (record["exit_code"], record["outcome"], record["errors"]) == (0, "nothing to do", [])
    assert "store file: retention was refused: web1/syslog: 4 of 5" in record["warnings"][0]
    assert len(record["pruned"]["file"]["refusals"]) == 1
    again = host.run(retention=policy)
    assert (again["exit_code"], again["warnings"]) == (0, record["warnings"])
    row = status.of(host.document(), now=NOW)
    assert (row["state"], row["exit_code"]) == ("retention was refused in file (2 runs)", 3)
    assert list(row["prune_refused"]) == ["file"]
    # Who asks for a prune gets an error.
    assert job.prune(host.document(retention=policy), now=NOW, check=True)["exit_code"] == 3
    assert job.prune(host.document(retention=policy), now=NOW, max_delete_share=0.7)["exit_code"] == 3
    record = job.prune(host.document(retention=policy), now=NOW, max_delete_share=0.8)
    assert (record["exit_code"], len(record["pruned"]["file"]["removed"])) == (0, 4)
    assert status.of(host.document(), now=NOW)["prune_refused"] == {}


def test_a_refusal_that_repeats_becomes_a_failure(host):
    host.write_logs(10, 11, 12, 13, 14)
    host.run()
    given = {"retention": {"keep_last": 1, "max_delete_share": 0.1}, "fail_after_refusals": 3}
    assert [host.run(**given)["exit_code"] for _run in range(4)] == [0, 0, 1, 1]
    record = host.run(**given)
    assert record["errors"][0].startswith("store file: retention was refused in 5 runs in a row: web1/syslog: 4 of 5 archives")
    row = status.of(host.document(**given), now=NOW)
    assert (row["state"], row["exit_code"]) == ("the last run failed; retention was refused in file (5 runs)", 1)
    # A prune that an operator allows ends the row, also if the next one is refused.
    job.prune(host.document(**given), now=NOW, max_delete_share=1)
    assert status.of(host.document(**given), now=NOW)["prune_refused"] == {}
    host.write_logs(5, 6, 7, 8, 9)
    assert len(host.run(select={"catch_up": "24h"})["archives"]) == 5
    record = host.run(**given)
    assert record["exit_code"] == 0 and "retention was refused: web1/syslog: 5 of 6" in record["warnings"][0]


def test_the_share_of_one_prune_counts_for_the_policies_of_stores_too(host):
    host.write_logs(10, 11, 12, 13, 14)
    store = dict(host.stores[0], retention={"keep_last": 1, "max_delete_share": 0.1})
    host.run()
    assert len(host.run(stores=[store])["pruned"]["file"]["refusals"]) == 1
    document = host.document(stores=[store])
    assert len(job.prune(document, now=NOW, max_delete_share=1)["pruned"]["file"]["removed"]) == 4
    assert document == host.document(stores=[store]), "the document of the caller stays as it is"


def test_a_prune_that_is_cut_reports_and_logs_what_it_removed(host, monkeypatch):
    host.write_logs(10, 11, 12, 13, 14)
    host.run()
    keys = sorted(archives_in(file_store(host.store)))
    monkeypatch.setattr(pruning, "BATCH", 2)
    lost_after(monkeypatch, 6)
    record = job.prune(host.document(retention={"keep_last": 1, "max_delete_share": 1}), now=NOW)
    # Two archives and their manifests, then two archives; the connection ended before their manifests.
    assert record["pruned"]["file"]["removed"] == keys[:4]
    assert (record["changed"], record["exit_code"], record["outcome"]) == (True, 3, "partly done")
    assert record["pruned"]["file"]["bytes_freed"] > 0
    events = [json.loads(line) for line in host.events.read_text().splitlines()]
    assert [event["removed"] for event in events if event["event"] == "pruned"] == [keys[:2], keys[2:4]]
    catalog = Catalog(str(host.state))
    assert list(catalog.held(JOB, "file")) == keys[4:]
    catalog.close()


def test_a_deletion_within_a_batch_is_known_although_the_batch_was_cut(host, monkeypatch):
    host.write_logs(11, 12, 13, 14)
    host.run()
    keys = sorted(archives_in(file_store(host.store)))
    lost_after(monkeypatch, 2)
    record = job.prune(host.document(retention={"keep_last": 1, "max_delete_share": 1}), now=NOW)
    assert record["pruned"]["file"]["removed"] == keys[:2]


def test_what_cannot_be_removed_is_one_error_and_still_held(host, monkeypatch):
    host.write_logs(*range(14))
    host.run(select={"catch_up": "20h"})
    keys = sorted(archives_in(file_store(host.store)))
    monkeypatch.setattr(FileStore, "_delete", lambda store, asked, outcome: outcome.update(dict.fromkeys(asked, "Read-only file system")))
    record = job.prune(host.document(retention={"keep_last": 1, "max_delete_share": 1}), now=NOW)
    (error,) = record["errors"]
    assert "cannot delete 13 archives: Read-only file system" in error and "and 3 more" in error
    assert list(record["pruned"]["file"]["failed"]) == keys[:13]
    catalog = Catalog(str(host.state))
    assert list(catalog.held(JOB, "file")) == keys
    catalog.close()


@pytest.fixture
def small(host, monkeypatch):
    """The host's store has room for so many archives: a list with that number in it."""
    room = [3]
    put = FileStore._put

    def limited(store, path, key, digests, progress):
        if not key.endswith(".json") and len([one for one in store.list() if not one.key.endswith(".json")]) >= room[0]:
            raise StoreFullError("no space left", store.location(key))
        return put(store, path, key, digests, progress)

    monkeypatch.setattr(FileStore, "_put", limited)
    return room


def test_a_full_store_is_pruned_by_its_policy_and_the_upload_tried_again(host, small):
    host.write_logs(11, 12, 13)
    policy = {"keep_last": 3, "max_delete_share": 1}
    host.run(now=at("2024-01-12 14:05"), retention=policy)
    host.write_logs(14)
    record = host.run(retention=policy)
    assert (record["outcome"], record["errors"]) == ("done", [])
    assert [key[-14:-11] for key in sorted(archives_in(file_store(host.store)))] == [".12", ".13", ".14"]
    assert len(record["pruned"]["file"]["removed"]) == 1
    assert "no room" in record["warnings"][0]
    assert host.run(retention=policy)["outcome"] == "nothing to do"


def test_a_full_store_without_a_policy_keeps_everything(host, small):
    host.write_logs(11, 12, 13, 14)
    record = host.run()
    assert (record["exit_code"], record["pruned"], record["spool"]["archives"]) == (3, {}, 1)
    assert len(archives_in(file_store(host.store), incomplete=True)) == 3


def test_what_is_expected_does_not_count_for_the_guards(host, small):
    """The archives that wait may never arrive: the last one that the store has stays, and so does the share of what it has."""
    small[0] = 1
    host.write_logs(11)
    host.run(now=at("2024-01-12 12:05"))
    host.write_logs(12, 13, 14)
    record = host.run(retention={"keep_last": 1, "max_delete_share": 1})
    assert record["pruned"]["file"]["removed"] == []
    assert record["exit_code"] == 3
    assert len(archives_in(file_store(host.store), incomplete=True)) == 1


def test_the_share_that_may_go_is_of_what_the_store_has(host, small):
    small[0] = 6
    host.write_logs(*range(6))
    host.run(now=at("2024-01-12 06:05"), select={"catch_up": "12h"})
    host.write_logs(*range(6, 14))
    record = host.run(retention={"keep_last": 1, "max_delete_share": 0.8}, select={"catch_up": "15h"})
    # Five of seven would be less than the share.
    assert any("5 of 6 archives would be removed" in warning for warning in record["warnings"])
    assert record["pruned"]["file"]["removed"] == []


def test_an_archive_that_another_store_awaits_is_not_removed_to_make_room(host, small):
    host.stores.append({"type": "file", "name": "down", "path": str(host.folder / "not" / "there"), "attempts": 1})
    host.write_logs(11, 12, 13, 14)
    host.run()
    record = host.run(retention={"keep_last": 1, "max_delete_share": 1})
    assert record["pruned"]["file"]["removed"] == []
    assert record["spool"]["archives"] == 4


def test_prune_before_makes_room_before_the_first_upload(host, small):
    host.write_logs(11, 12, 13)
    policy = {"keep_last": 3, "max_delete_share": 1}
    host.run(now=at("2024-01-12 14:05"), retention=policy)
    host.write_logs(14)
    record = host.run(retention=policy, prune="before")
    assert (record["outcome"], record["errors"], record["warnings"]) == ("done", [], [])
    assert len(archives_in(file_store(host.store))) == 3
    events = [json.loads(line)["event"] for line in host.events.read_text().splitlines()]
    assert events[-3:] == ["pruned", "stored", "run_ended"]


def test_the_command_prune_makes_room_in_a_store_that_archives_wait_for(host, small):
    host.write_logs(11, 12, 13, 14)
    assert host.run()["spool"]["archives"] == 1
    record = job.prune(host.document(retention={"keep_last": 2, "max_delete_share": 1}), now=NOW)
    assert len(record["pruned"]["file"]["removed"]) == 2
    assert host.run(retention={"keep_last": 2, "max_delete_share": 1})["outcome"] == "done"


def lost_after(monkeypatch, count):
    """File stores lose their connection after so many deletions."""
    left = [count]

    def delete(store, keys, outcome):
        for key in keys:
            if not left[0]:
                raise StoreUnavailableError("the connection was lost", store.location())
            left[0] -= 1
            (host_path(store, key)).unlink()
            outcome[key] = None

    monkeypatch.setattr(FileStore, "_delete", delete)
    monkeypatch.setattr(Retries, "call", lambda _retries, call, _retryable, _reset: call())


def host_path(store, key):
    return pathlib.Path(store.location(key))


def test_a_store_full_of_useless_manifests_costs_one_warning(host):
    """As a host that may write to the store can make them."""
    host.write_logs(13, 14)
    host.run()
    for path in sorted(pathlib.Path(host.store).rglob("*.tgz.fernet"))[:1]:
        for number in range(12):
            copy = path.with_name("syslog.%d.tgz.fernet" % number)
            copy.write_bytes(b"junk")
            copy.with_name(copy.name + ".manifest.json").write_bytes(b"junk")
    record = job.prune(host.document(retention={"keep_last": 5}), now=NOW)
    (warning,) = record["warnings"]
    assert "store file: retention ignores 12 archive(s) because of their manifests: " in warning
    assert warning.endswith(" and 2 more")
