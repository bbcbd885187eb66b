# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands that name an hour, a day or a log read that part of a store, and find in it what a whole reading finds."""

from __future__ import annotations

import contextlib
import json
from datetime import timedelta

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.naming import manifest_key
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import StoreDeniedError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import main
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli.recorded import records
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import inventory
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.trust import Choice, Trust
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job, part
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.base import Store
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.file import FileStore
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import report
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.command import errors as command_errors
from rigs.grown import grow
from rigs.host import JOB, NAME, NOW, Host, archives_in, at, file_store
from rigs.runs import lose

pytest.importorskip("cryptography")

FOREVER = {"keep_last": 1_000_000}


@pytest.fixture
def work(monkeypatch):
    """What was done since it was cleared: each prefix that was listed, and each key that was fetched."""
    done = []
    whole, survey, get = Store.list, FileStore.survey, Store.get
    monkeypatch.setattr(FileStore, "survey", lambda store, prefix, look: (done.append(prefix), survey(store, prefix, look))[1])
    monkeypatch.setattr(Store, "list", lambda store, prefix="": (done.append(prefix), whole(store, prefix))[1])
    monkeypatch.setattr(Store, "get", lambda store, key, *rest, **more: (done.append(key), get(store, key, *rest, **more))[1])
    return done


@pytest.fixture
def grown(host, work):
    """A host with 100 archives, the last three of them real, and a whole listing that is remembered."""
    grow(host, 97, now=at("2024-01-12 12:05"))
    host.write_logs(12, 13, 14)
    host.run()
    job.prune(host.document(retention=FOREVER), now=NOW)
    host.write_document()
    work.clear()
    return host


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def command(host, capsys, *arguments):
    """The exit code and the rows of a command."""
    code = main.main(["--json", arguments[0], "--config", str(host.folder / "jobs"), *arguments[1:], JOB])
    return code, json.loads(capsys.readouterr().out)


def hours(rows):
    return [row["key"].rpartition("/")[2][7:18] for row in rows]


def test_an_hour_is_verified_by_its_day(grown, capsys, work):
    code, rows = command(grown, capsys, "verify", "--since", "2024-01-12T13:00Z", "--until", "2024-01-12T14:00Z")
    assert (code, hours(rows)) == (0, ["20240112.13"])
    # The manifests of the hours before and after show that they only touch its borders.
    assert {one for one in work if not one.endswith(".json")} == {"web1/syslog/2024/01/12/", rows[0]["key"]}
    assert len([one for one in work if one.endswith(".json")]) == 3


def test_a_day_of_a_store_is_listed_by_its_prefix(grown, capsys, work):
    _code, rows = command(grown, capsys, "list", "--store", "file", "--since", "2024-01-10", "--until", "2024-01-11")
    assert hours(rows) == ["20240110.%02d" % hour for hour in range(24)]
    # A period of an hour may begin on the day before, and no later one is fetched.
    assert {one for one in work if one.endswith("/")} == {"web1/syslog/2024/01/%02d/" % day for day in (9, 10, 11)}
    assert len([one for one in work if one.endswith(".json")]) <= 26


@pytest.mark.parametrize("more", [{}, {"retention": FOREVER, "append_only": True}], ids=["without retention", "append-only"])
def test_a_store_that_is_never_pruned_is_listed_once(host, capsys, work, more):
    grow(host, 97, now=at("2024-01-12 12:05"))
    host.stores[0].update(more)
    host.write_logs(12, 13)
    assert host.run()["errors"] == [] and "web1/syslog/" in work
    host.write_logs(14)
    work.clear()
    assert host.run()["errors"] == [] and "web1/syslog/" not in work
    host.write_document()
    work.clear()
    _code, rows = command(host, capsys, "verify", "--since", "2024-01-12T13:00Z", "--until", "2024-01-12T14:00Z")
    assert hours(rows) == ["20240112.13"] and {one for one in work if one.endswith("/")} == {"web1/syslog/2024/01/12/"}


def test_a_run_without_a_catalog_reads_each_manifest_once(grown, work):
    lose(grown, "state")
    grown.write_logs(11, size=5000)
    work.clear()
    assert grown.run(select={"catch_up": "30h"})["errors"] == []
    fetched = [one for one in work if one.endswith(".json")]
    # That of the same hour once more, before another revision is sent.
    again = [one for one in set(fetched) if fetched.count(one) > 1]
    assert len(set(fetched)) == 100 and [one for one in again if "20240112.11." not in one] == []


def test_a_run_that_cannot_list_a_store_that_is_never_pruned_succeeds(host, monkeypatch):
    def refuse(store, prefix, *more):
        raise StoreDeniedError("no permission to list", prefix)

    monkeypatch.setattr(FileStore, "survey", refuse)
    host.write_logs(12, 13, 14)
    record = host.run()
    assert (record["exit_code"], record["warnings"], record["errors"]) == (0, [], [])


def test_a_drill_reads_the_folders_of_its_sample(host, capsys, work):
    grow(host, 97, now=at("2024-01-12 12:05"))
    host.write_document()
    _code, rows = command(host, capsys, "drill", "--sample", "2", "--seed", "any", "--folder", str(host.folder))
    folders = {one["archive"].rpartition("/")[0] + "/" for one in rows[0]["tried"]}
    assert len(rows[0]["tried"]) == 2 and {one for one in work if one.endswith("/")} == folders


def test_a_log_in_an_archive_that_the_catalog_does_not_record_is_restored(grown, capsys, work):
    """Its folder is read too."""
    lose(grown, "state")
    grown.write_logs(11, size=5000)
    grown.run(select={"catch_up": "30h"})
    job.prune(grown.document(retention=FOREVER), now=NOW)
    with contextlib.closing(Catalog(str(grown.state))) as catalog:
        unrecorded = catalog.listings.last(JOB, "file").unrecorded
    days = {key.rpartition("/")[0] + "/" for key in unrecorded}
    work.clear()
    name = str(grown.logs / "syslog.20240112.11")
    _code, rows = command(grown, capsys, "restore", "--name", name, "--to", str(grown.folder / "to"))
    assert [row["state"] for row in rows] == ["written"]
    assert days and {one for one in work if one.endswith("/")} == days | {"web1/syslog/2024/01/12/"}


def test_a_day_of_the_catalog_reads_the_entries_of_that_day(grown, capsys):
    with contextlib.closing(Catalog(str(grown.state))) as catalog:
        asked = []
        catalog._database._connection.set_trace_callback(asked.append)
        entries = list(catalog.entries_of(JOB, "2024-01-10T00:00:00Z", "2024-01-11T00:00:00Z"))
        assert len(entries) == 26, "those that touch its borders, too"
        plans = [row[3] for statement in asked for row in catalog._database.execute("EXPLAIN QUERY PLAN " + statement)]
        assert any("archives_by_period (job=? AND period_start>? AND period_start<?)" in plan for plan in plans), plans
        assert any("archives_by_length (job=?)" in plan for plan in plans), plans
        assert not any(plan.startswith("SCAN") for plan in plans), plans
    _code, rows = command(grown, capsys, "list", "--since", "2024-01-10", "--until", "2024-01-11")
    assert hours(rows) == ["20240110.%02d" % hour for hour in range(24)]


@pytest.mark.parametrize("by", ["path", "name", "key"])
def test_a_log_is_restored_by_the_folder_of_its_archive(grown, capsys, work, by):
    key = next(key for key in archives_in(file_store(grown.store)) if key.endswith("12.13.tgz.fernet"))
    name = {"path": str(grown.logs / "syslog.20240112.13"), "name": key.rpartition("/")[2], "key": key}[by]
    work.clear()
    _code, rows = command(grown, capsys, "restore", "--name", name, "--to", str(grown.folder / "to"))
    assert [(row["archive"], row["state"]) for row in rows] == [(key, "written")]
    assert sorted(set(work)) == ["web1/syslog/2024/01/12/", key, manifest_key(key)]


@pytest.mark.parametrize("damaged", [0, 1])
def test_the_latest_archive_is_found_by_the_manifests_of_the_last_periods(grown, capsys, work, damaged):
    keys = list(archives_in(file_store(grown.store)))
    if damaged:
        (grown.store / keys[-1]).unlink()
    work.clear()
    code, rows = command(grown, capsys, "restore", "--latest", "--to", str(grown.folder / "to"))
    found = [(row["archive"], row["state"]) for row in rows if row["state"] == "written"]
    assert (code, found) == (4 * damaged, [(keys[-1 - damaged], "written")])
    assert 0 < len([one for one in work if one.endswith(".json")]) <= part.LAST_PERIODS + 1


def test_no_query_for_a_name_reads_every_archive(grown):
    with contextlib.closing(Catalog(str(grown.state))) as catalog:
        held = catalog.held_by(NAME, JOB, "file")
        asked = []
        catalog._database._connection.set_trace_callback(asked.append)
        held.named("syslog.20240112.13.tgz.fernet"), held.longest(), held.newest()
        catalog._database._connection.set_trace_callback(None)
        plans = [row[3] for statement in asked for row in catalog._database.execute("EXPLAIN QUERY PLAN " + statement)]
        assert not any(plan.startswith("SCAN") for plan in plans), plans


@pytest.mark.parametrize("gone", [("manifest",), ("archive",), ("manifest", "archive")])
def test_what_was_deleted_is_found(grown, capsys, gone):
    key = next(key for key in archives_in(file_store(grown.store)) if key.endswith("12.13.tgz.fernet"))
    for what in gone:
        (grown.store / (manifest_key(key) if what == "manifest" else key)).unlink()
    code, rows = command(grown, capsys, "verify", "--since", "2024-01-12T13:00Z", "--until", "2024-01-12T14:00Z")
    assert (code, [row["key"] for row in rows if row["error"]]) == (4, [key])
    assert command(grown, capsys, "verify", "--since", "2024-01-12T14:00Z")[0] == 0


def test_a_damaged_manifest_is_found(grown, capsys):
    key = next(key for key in archives_in(file_store(grown.store)) if key.endswith("12.13.tgz.fernet"))
    (grown.store / manifest_key(key)).write_bytes(b"{}")
    code, rows = command(grown, capsys, "verify", "--since", "2024-01-12T13:00Z", "--until", "2024-01-12T14:00Z")
    assert (code, [row["key"] for row in rows if row["error"]]) == (4, [key])


@pytest.mark.parametrize("lost", [False, True])
def test_the_part_has_what_the_whole_store_has(grown, lost):
    if lost:
        # Its next run learns only what it looks for; the others are known from the whole listing of a prune.
        lose(grown, "state")
        grown.write_logs(11, size=5000)
        grown.run(select={"catch_up": "30h"})
        job.prune(grown.document(retention=FOREVER), now=NOW)
    document, store = grown.document(), file_store(grown.store)
    everything = inventory.read(store, NAME, JOB)
    for first in range(0, 110, 7):
        for length in (0, 1, 30, 2000):
            start = NOW - timedelta(hours=first + length)
            choice = Choice(start=start, end=start + timedelta(hours=length, minutes=30))
            with records(document, document["stores"], NAME) as recorded:
                trust = Trust(str(grown.keyring), False, recorded["file"], choice)
                held = inventory.read(store, NAME, JOB, trust=trust)
            assert trust.part is not None and held.damaged == {}
            wanted = [archive.key for archive in inventory.choose(everything.archives, choice)]
            assert [archive.key for archive in inventory.choose(held.archives, choice)] == wanted


def test_without_a_catalog_no_manifest_of_another_month_is_fetched(grown, capsys, work):
    for number, start in enumerate(("2023-10-01", "2023-11-30", "2023-12-31")):
        other = Host(grown.folder / str(number))
        grow(other, 2, now=at(start + " 12:05"))
        for key in archives_in(file_store(other.store)):
            for each in (key, manifest_key(key)):
                (grown.store / each).parent.mkdir(parents=True, exist_ok=True)
                (other.store / each).rename(grown.store / each)
    lose(grown, "state")
    work.clear()
    _code, rows = command(grown, capsys, "list", "--store", "file", "--since", "2024-01-10", "--until", "2024-01-11")
    assert len(rows) == 24
    assert {one[12:19] for one in work if one.endswith(".json")} == {"2023/12", "2024/01"}


def test_a_summary_does_not_grow_with_the_archives(grown, capsys):
    code, rows = command(grown, capsys, "verify", "--level", "size")
    assert (code, len(rows)) == (0, 100)
    damaged = rows[7]["key"]
    (grown.store / damaged).write_bytes(b"other")
    code, rows = command(grown, capsys, "verify", "--level", "size", "--summary")
    assert code == 4
    assert [(row["key"], row["archives"], bool(row["error"])) for row in rows] == [(damaged, 1, True), (None, 99, False)]
    assert len(json.dumps(rows)) < 2000
    assert report.verified(rows).splitlines()[-1] == "ok      file  99 archive(s) by size"
    assert command_errors({"rc": 4, "stdout": json.dumps(rows)})[0].startswith("syslog: store file: %s: " % damaged)
    assert command_errors({"rc": 0, "stdout": json.dumps(rows[1:])}) == []
