# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a store holds: with file stores and archives as a job makes them; then verified and pruned."""

from __future__ import annotations

import os

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.naming import manifest_key
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import IntegrityError, StoreNotFoundError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import (
    inventory,
    prune as pruning,
    retention,
    verify as verifying,
)
from rigs.host import NOW, Host, at, file_store, files_below

pytest.importorskip("cryptography")
KEYS = ["web1/syslog/2024/01/12/syslog.20240112.%d.tgz.fernet" % hour for hour in (12, 13, 14)]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A store with three archives, made once."""
    host = Host(tmp_path_factory.mktemp("host"))
    host.write_logs(12, 13, 14)
    host.run()
    return {name: (host.store / name).read_bytes() for name in files_below(host.store)}


@pytest.fixture
def store(template, tmp_path):
    for name, data in template.items():
        path = tmp_path / "store" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return file_store(tmp_path / "store")


def put(store, key, data=b"x", age=0):
    path = os.path.join(store.location(), key)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    os.utime(path, (NOW.timestamp() - age,) * 2)


def test_archives_orphans_damaged_and_others_are_told_apart(store):
    os.unlink(os.path.join(store.location(), KEYS[0]))
    put(store, manifest_key(KEYS[1]), b"{")
    put(store, "20241201.tgz")
    held = inventory.read(store)
    assert [archive.key for archive in held.archives] == [KEYS[2]]
    assert [orphan.key for orphan in held.orphans] == [manifest_key(KEYS[0])]
    assert list(held.damaged) == [KEYS[1]]
    assert [other.key for other in held.others] == ["20241201.tgz"]


def test_only_a_host_or_a_job(store):
    put(store, "web10/syslog/2024/01/12/x")
    put(store, "web1/syslog2/2024/01/12/x")
    assert len(inventory.read(store, "web1", "syslog").archives) == 3
    assert inventory.read(store, "web1", "syslog").others == []
    assert [other.key for other in inventory.read(store, "web1").others] == ["web1/syslog2/2024/01/12/x"]
    assert inventory.read(store, "web2").archives == []
    assert len(inventory.read(store, None, "syslog").archives) == 3


def test_known_manifests_are_not_fetched(store):
    held = inventory.read(store)
    for key in KEYS:
        put(store, manifest_key(key), b"not read")
    known = {archive.key: archive.manifest for archive in held.archives}
    assert [a.manifest for a in inventory.read(store, known=known).archives] == [a.manifest for a in held.archives]


def test_a_manifest_that_is_too_large_is_not_fetched(store):
    path = os.path.join(store.location(), manifest_key(KEYS[0]))
    os.truncate(path, 65 << 20)
    assert "is 68157440 bytes; the limit is 64" in inventory.read(store).damaged[KEYS[0]]
    with pytest.raises(IntegrityError):
        inventory.fetch_manifest(store, KEYS[0], 65 << 20)


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        (None, None, [12, 13, 14]),
        ("2024-01-12 13:00", None, [13, 14]),
        (None, "2024-01-12 13:00", [12]),
        ("2024-01-12 13:30", "2024-01-12 13:31", [13]),
        ("2024-01-12 15:00", None, []),
        (None, "2024-01-12 12:00", []),
    ],
)
def test_overlapping(store, start, end, hours):
    found = inventory.overlapping(inventory.read(store).archives, start and at(start), end and at(end))
    assert [archive.key for archive in found] == [KEYS[hour - 12] for hour in hours]


def test_named_and_latest(store):
    archives = inventory.read(store).archives
    (source,) = (source["path"] for source in archives[0].manifest["sources"])
    for name in (KEYS[0], os.path.basename(KEYS[0]), source):
        assert [archive.key for archive in inventory.named(archives, [name])] == [KEYS[0]]
    with pytest.raises(StoreNotFoundError, match=r"Near names: syslog\.20240112\.1"):
        inventory.named(archives, ["syslog.20240112.1.tgz.fernet", KEYS[0]])
    assert [archive.key for archive in inventory.latest(archives)] == [KEYS[2]]


def test_verify_each_archive(store):
    held = inventory.read(store)
    put(store, KEYS[1], b"other bytes")
    os.unlink(os.path.join(store.location(), KEYS[2]))
    checked = [verifying.verify(store, archive, None) for archive in held.archives]
    assert [one.level for one in checked] == ["read_back", None, None]
    assert checked[0].error is None and "bytes" in checked[1].error and "no such archive" in checked[2].error


def test_what_an_inventory_alone_shows(store):
    os.unlink(os.path.join(store.location(), KEYS[0]))
    put(store, manifest_key(KEYS[1]), b"{")
    os.unlink(os.path.join(store.location(), manifest_key(KEYS[2])))
    put(store, "20241201.tgz")
    found = verifying.unusable(inventory.read(store))
    assert [one.key for one in found] == KEYS
    assert [one.level for one in found] == [None] * 3


def policy(**rules):
    return retention.parse_policy(dict({"max_delete_share": 1}, **rules))


def test_prune_removes_archive_and_manifest(store):
    planned = pruning.plan(store, policy(keep_last=1), NOW)
    assert [item.key for item, _reason in planned.plan.remove] == KEYS[:2]
    before = {item.key: item.size for item in store.list()}
    done = pruning.execute(store, planned)
    assert done.removed == KEYS[:2] and done.failed == {}
    assert done.bytes_freed == before[KEYS[0]] + before[KEYS[1]]
    assert [item.key for item in store.list()] == [KEYS[2], manifest_key(KEYS[2])]


def test_prune_spares_what_another_store_awaits(store):
    planned = pruning.plan(store, policy(keep_last=1), NOW, known=pruning.Known(awaited={KEYS[0]: ["offsite"]}))
    assert [item.key for item, _reason in planned.plan.remove] == [KEYS[1]]
    assert "store offsite does not have it yet" in str(planned.plan.keep)


def test_prune_never_touches_what_it_cannot_judge(store):
    put(store, manifest_key(KEYS[0]), b"{")
    put(store, "foreign.tgz")
    planned = pruning.plan(store, policy(keep_last=1), NOW)
    pruning.execute(store, planned)
    assert list(planned.damaged) == [KEYS[0]]
    assert {KEYS[0], manifest_key(KEYS[0]), "foreign.tgz", KEYS[2]} <= {item.key for item in store.list()}


def test_prune_dates_other_tools_files_by_their_name_alone(store):
    for name in ("20240101.tgz", "20240201.tgz", "20240301.tgz", "notes.txt", "20241301.tgz", "sub/20240101.tgz"):
        put(store, name)
    planned = pruning.plan(store, policy(keep_last=1), at("2024-06-01 00:00"), pruning.Scope(name_template="%Y%d%m.tgz"))
    done = pruning.execute(store, planned)
    # 1 January, 2 January, 3 January; 20241301 is 13 January.
    assert [key for key in done.removed if "/" not in key] == ["20240101.tgz", "20240201.tgz", "20240301.tgz"]
    assert {"notes.txt", "20241301.tgz", "sub/20240101.tgz"} <= {item.key for item in store.list()}


def test_for_one_job_other_tools_files_age_as_its_own_archives_come(store):
    names = ["20243112.tgz", "20240101.tgz", "20241001.tgz", "notes.txt"]
    for name in names:
        put(store, name)
    scope = pruning.Scope("web1", "syslog", "%Y%d%m.tgz")
    newest = max(archive.manifest["period"]["start"] for archive in inventory.read(store, "web1", "syslog").archives)
    assert newest.startswith("2024-01-12")
    planned = pruning.plan(store, policy(keep_within="5d", max_delete_share=1.0), NOW, scope)
    assert [item.key for item, _reason in planned.plan.remove if "/" not in item.key] == ["20240101.tgz"]
    assert pruning.execute(store, planned).failed == {}
    assert {"20241001.tgz", "notes.txt"} <= {item.key for item in store.list()}


def test_a_lone_manifest_goes_when_it_is_old_or_its_removal_had_begun(store):
    for key, age in ((KEYS[0], 2 * 86400), (KEYS[1], 3600)):
        os.unlink(os.path.join(store.location(), key))
        os.utime(os.path.join(store.location(), manifest_key(key)), (NOW.timestamp() - age,) * 2)
    assert pruning.plan(store, policy(keep_last=5), NOW).leftovers == [manifest_key(KEYS[0])]
    planned = pruning.plan(store, policy(keep_last=5), NOW, known=pruning.Known(was_pruned=lambda key: key == KEYS[1]))
    assert planned.leftovers == [manifest_key(KEYS[0]), manifest_key(KEYS[1])]
    pruning.execute(store, planned)
    assert [item.key for item in store.list()] == [KEYS[2], manifest_key(KEYS[2])]


def test_a_plan_in_rows_tells_what_goes_first(store):
    rows = pruning.rows(pruning.plan(store, policy(keep_last=2), NOW).plan)
    assert [row["action"] for row in rows] == ["remove", "keep", "keep"]
    assert rows[0]["key"] == KEYS[0] and rows[0]["time"] == "2024-01-12T12:00:00Z" and rows[0]["reason"]
