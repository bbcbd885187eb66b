# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archives of a store: listed with their manifests and chosen. With file stores and archives as a job makes them."""

from __future__ import annotations

import os

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.naming import manifest_key
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ArchiveNotFoundError, IntegrityError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import inventory
from rigs.holdings import KEYS, put
from rigs.host import at

pytest.importorskip("cryptography")


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


def test_manifests_of_recorded_archives_are_not_fetched(store):
    for key in KEYS[1:]:
        put(store, manifest_key(key), b"not read")
    held = inventory.read(store, recorded=KEYS[1:])
    assert ([one.key for one in held.archives], [one.key for one in held.recorded]) == (KEYS[:1], KEYS[1:])
    assert held.damaged == {}


def test_a_manifest_that_is_too_large_is_not_fetched(store):
    path = os.path.join(store.location(), manifest_key(KEYS[0]))
    os.truncate(path, 65 << 20)
    assert "is 68157440 bytes; the limit is 64" in inventory.read(store).damaged[KEYS[0]].why
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
    with pytest.raises(ArchiveNotFoundError, match=r"Similar names: syslog\.20240112\.1"):
        inventory.named(archives, ["syslog.20240112.1.tgz.fernet", KEYS[0]])
    assert [archive.key for archive in inventory.latest(archives)] == [KEYS[2]]


def test_choose_combines_names_times_and_latest(store):
    archives = inventory.read(store).archives
    afternoon = inventory.Choice(start=at("2024-01-12 13:00"))
    assert [archive.key for archive in inventory.choose(archives, afternoon)] == KEYS[1:]
    assert [archive.key for archive in inventory.choose(archives, afternoon._replace(latest=True))] == KEYS[2:]
    with pytest.raises(ArchiveNotFoundError, match="2 archives searched"):
        inventory.choose(archives, afternoon._replace(names=[KEYS[0]]))


def test_reports_of_an_archive_and_of_all(store):
    archives = inventory.read(store).archives
    held = inventory.held_archive(store, archives[0])
    assert {"key": KEYS[0], "location": store.location(KEYS[0]), "size": archives[0].size}.items() <= held.items()
    assert held["source_bytes"] == sum(source["size"] for source in archives[0].manifest["sources"]) == 3000
    totals = inventory.totals(archives)
    assert (totals["archives"], totals["source_bytes"], totals["hosts"], totals["jobs"]) == (3, 9000, ["web1"], ["syslog"])
    assert totals["size"] == sum(archive.size for archive in archives)


@pytest.mark.parametrize(
    ("options", "archives", "folders", "cheaper"),
    [
        ({"type": "s3", "layout": "tree"}, 1000, 2, True),
        ({"type": "s3", "layout": "tree"}, 1001, 2, False),
        ({"type": "sftp", "layout": "flat"}, 1000, 2, True),
        # A daily job has a folder for each archive.
        ({"type": "sftp", "layout": "tree"}, 2, 2, True),
        ({"type": "sftp", "layout": "tree"}, 3, 2, False),
        ({"type": "file", "layout": "tree"}, 3, 2, False),
    ],
)
def test_a_whole_listing_is_chosen_by_its_requests(options, archives, folders, cheaper):
    assert inventory.whole_is_cheaper(options, archives, folders) is cheaper
