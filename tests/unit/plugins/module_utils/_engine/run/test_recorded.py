# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Retention by what is recorded of a store: it decides as a whole listing does, and lists only what it must."""

from __future__ import annotations

import contextlib
import shutil
from datetime import timedelta

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job, recorded
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state import database
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.base import Store
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.file import FileStore
from rigs.grown import grow
from rigs.growth import calls_of
from rigs.host import JOB, NOW, Host, archives_in, file_store
from rigs.runs import lose

pytest.importorskip("cryptography")

HOUR = timedelta(hours=1)
POLICY = {"keep_last": 3, "max_delete_share": 1}


@pytest.fixture
def listed(monkeypatch):
    """The prefixes that were listed or surveyed since it was cleared."""
    prefixes = []

    def counting(look):
        def counted(store, prefix="", *more):
            found = look(store, prefix, *more)
            prefixes.append(prefix)
            return found

        return counted

    monkeypatch.setattr(Store, "list", counting(Store.list))
    monkeypatch.setattr(FileStore, "survey", counting(FileStore.survey))
    return prefixes


def hourly(host, hours, listed, **changes):
    """A run in each of these hours after 12, with a new log; returns the last record and the prefixes that the last run listed."""
    record = None
    for hour in hours:
        host.write_logs(hour)
        listed.clear()
        record = host.run(now=NOW.replace(hour=hour + 1), **{"retention": POLICY, **changes})
        assert record["errors"] == []
    return record, list(listed)


def held(host, incomplete=False):
    return [key.rpartition(".20240112.")[2][:2] for key in archives_in(file_store(host.store), incomplete)]


def test_only_the_days_of_a_removal_are_listed(host, listed):
    _record, first = hourly(host, [1], listed)
    assert "web1/syslog/" in first
    record, prefixes = hourly(host, [2, 3, 4, 5], listed)
    assert (prefixes, held(host)) == (["web1/syslog/2024/01/12/"], ["03", "04", "05"])
    pruned = record["pruned"]["file"]
    assert (pruned["kept"], len(pruned["removed"]), pruned["bytes_freed"] > 0) == (3, 1, True)


def test_nothing_is_listed_if_nothing_is_removed(host, listed):
    record, _first = hourly(host, [1], listed)
    record, prefixes = hourly(host, [2, 3], listed)
    assert (prefixes, record["pruned"]["file"]["kept"]) == ([], 3)


def test_an_archive_that_somebody_removed_does_not_count(host, listed):
    hourly(host, [1, 2, 3], listed)
    newest = archives_in(file_store(host.store))
    (host.store / list(newest)[2]).unlink()
    record, prefixes = hourly(host, [4], listed)
    # Of 1, 2 and 4 none goes, although the catalog has four archives.
    assert (record["pruned"]["file"]["removed"], prefixes[:2]) == ([], ["web1/syslog/2024/01/12/", "web1/syslog/"])
    record, prefixes = hourly(host, [5], listed)
    assert (len(record["pruned"]["file"]["removed"]), prefixes) == (1, ["web1/syslog/2024/01/12/"])
    assert held(host, incomplete=True)[:1] == ["02"]


def test_archives_that_the_catalog_does_not_record_count_and_are_read_once(host, listed, monkeypatch):
    hourly(host, [1, 2, 3], listed)
    lose(host, "state")
    hourly(host, [4, 5], listed)
    fetched = []
    get = Store.get
    monkeypatch.setattr(Store, "get", lambda store, key, *rest, **more: (fetched.append(key), get(store, key, *rest, **more)))
    record, prefixes = hourly(host, [6], listed)
    assert (prefixes, fetched) == (["web1/syslog/2024/01/12/"], [])
    assert held(host) == ["04", "05", "06"]


def test_an_archive_from_elsewhere_is_found_by_the_listing_of_its_day_or_after_a_week(host, listed):
    hourly(host, [1, 2, 3], listed)
    other = Host(host.folder / "other")
    shutil.rmtree(other.keyring)
    shutil.copytree(host.keyring, other.keyring)
    other.write_logs(0)
    other.run(now=NOW.replace(hour=1))
    shutil.copytree(other.store, host.store, dirs_exist_ok=True)
    record, prefixes = hourly(host, [4], listed)
    assert (prefixes[1], len(record["pruned"]["file"]["removed"])) == ("web1/syslog/", 2)
    host.write_logs(5)
    listed.clear()
    host.run(now=NOW + timedelta(seconds=recorded.LISTED_AGAIN), select={"catch_up": "30d"}, retention=POLICY)
    assert "web1/syslog/" in listed


def test_after_a_removal_that_was_cut_the_store_is_listed(host, listed, monkeypatch):
    hourly(host, [1, 2, 3], listed)
    with monkeypatch.context() as cut:
        cut.setattr(Store, "delete", lambda *_arguments, **_more: (_ for _ in ()).throw(KeyboardInterrupt()))
        host.write_logs(4)
        with pytest.raises(KeyboardInterrupt):
            host.run(now=NOW.replace(hour=5), retention=POLICY)
    record, prefixes = hourly(host, [5], listed)
    assert "web1/syslog/" in prefixes
    assert held(host) == ["03", "04", "05"]


def test_the_record_decides_as_a_whole_listing_does(host, listed):
    grow(host, 80, logs=False)
    for policy in ({"keep_within": "2d"}, {"keep_hourly": 5, "keep_within_daily": "3d", "min_keep": 7}, {"keep_last": 2}):
        retention = {**policy, "max_delete_share": 1}
        job.prune(host.document(retention=dict(POLICY, keep_last=1000)), now=NOW)
        with_listing = job.prune(host.document(retention=retention), now=NOW, check=True)["pruned"]["file"]
        document = host.document(retention=retention)
        listed.clear()
        record = job.run(document, now=NOW + HOUR / 2)["pruned"]["file"]
        assert "web1/syslog/" not in listed
        assert (record["removed"], record["kept"]) == (with_listing["removed"], with_listing["kept"])
        assert record["removed"] != []


def test_a_run_with_one_new_log_does_little_more_for_each_archive_in_the_store(host):
    def work(count):
        grown = Host(host.folder / str(count))
        grow(grown, count, now=NOW - HOUR)
        keep = {"keep_within": "%dh" % (count + 1)}
        grown.run(now=NOW - HOUR, retention={"keep_last": 100_000})
        job.prune(grown.document(retention={"keep_last": 100_000}), now=NOW - HOUR)
        grown.write_logs(14)
        return calls_of(lambda: grown.run(retention=keep))

    work(10)
    few, many = work(1000), work(2000)
    # One row of an index for each; the listing, the manifests and the plan took about two hundred calls.
    assert (many - few) / 1000 <= 5, (few, many)


def recorded_keys(host):
    with contextlib.closing(Catalog(str(host.state))) as catalog:
        return [entry.key for entry in catalog.entries(JOB)]


def test_records_of_pruned_archives_are_removed_once_no_run_needs_them(host):
    grow(host, 200)
    (host.logs / "syslog.20240105.00").touch()
    job.prune(host.document(retention={"keep_last": 150, "max_delete_share": 1}), now=NOW)
    assert len(recorded_keys(host)) == 200
    later = NOW + timedelta(days=32)
    job.prune(host.document(retention={"keep_last": 150}), now=later)
    assert len(recorded_keys(host)) == 200, "a run still looks for these logs: none has succeeded since"
    host.run(now=later, retention={"keep_last": 150}, select={"catch_up": "0h"})
    job.prune(host.document(retention={"keep_last": 150}, select={"catch_up": "0h"}), now=later)
    # 50 were removed from the store; the log of one is still there.
    kept = recorded_keys(host)
    assert len(kept) == 151 and kept[0].endswith("syslog.20240105.00.tgz.fernet")
    with contextlib.closing(Catalog(str(host.state))) as catalog:
        assert (
            catalog._database.execute("SELECT COUNT(*) FROM sources")
            == catalog._database.execute("SELECT COUNT(*) FROM copies")
            == [(151,)]
        )
    assert host.run(now=later, retention={"keep_last": 150}, select={"catch_up": "0h"})["changed"] is False


def test_a_dry_run_does_not_copy_the_catalog(host, monkeypatch):
    grow(host, 3)
    host.write_logs(12, 13, 14)
    monkeypatch.setattr(database, "_copied", lambda path: pytest.fail("copied"))
    assert len(host.run(check=True, retention=POLICY)["archives"]) == 3
    assert job.prune(host.document(retention=POLICY), now=NOW, check=True)["errors"] == []
