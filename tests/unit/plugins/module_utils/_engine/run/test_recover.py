# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recovery: a spool or a catalog that was lost, copied back from before, or damaged."""

from __future__ import annotations

import datetime
import os
import shutil

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import create
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.database import FILE_NAME
from rigs import forgery
from rigs.host import JOB, NAME, archives_in, assert_complete, at, file_store
from rigs.runs import GROUPS, assert_all_archived, lose, read_logs, restore

pytest.importorskip("cryptography")


def test_a_foreign_file_in_the_spool_is_left_alone_and_stops_nothing(host):
    folder = host.spool / NAME / JOB / "2024" / "01" / "12"
    folder.mkdir(parents=True)
    (folder / "syslog.20240112.14.tgz.fernet").write_bytes(b"stranger")
    host.write_logs(14)
    record = host.run()
    assert record["exit_code"] == 0
    assert "syslog.20240112.14.tgz.fernet in the spool: it has no readable manifest" in record["warnings"][0]
    assert (folder / "syslog.20240112.14.tgz.fernet").read_bytes() == b"stranger"
    assert_complete(file_store(host.store), host, read_logs(host))


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("lost", [("state",), ("spool",), ("state", "spool")])
def test_state_lost_after_a_good_run(host, group, lost):
    host.write_logs(12, 13, 14)
    host.run(archive={"group": group})
    lose(host, *lost)
    assert host.run(archive={"group": group})["exit_code"] == 0
    assert_all_archived(host, read_logs(host))


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("lost", [("state",), ("spool",), ("state", "spool")])
def test_state_lost_while_one_store_waits(host, tmp_path, group, lost):
    down = tmp_path / "not" / "mounted"
    host.stores.append({"type": "file", "name": "down", "path": str(down), "attempts": 1})
    host.write_logs(12, 13, 14)
    assert host.run(archive={"group": group})["exit_code"] == 3
    lose(host, *lost)
    assert host.run(archive={"group": group})["exit_code"] == 3
    down.mkdir(parents=True)
    record = host.run(archive={"group": group})
    assert record["exit_code"] == 0, record["errors"]
    assert_all_archived(host, read_logs(host))
    assert_complete(file_store(down), host, read_logs(host))


@pytest.mark.parametrize("group", GROUPS)
def test_state_lost_and_then_the_spool_while_one_store_waits(host, tmp_path, group):
    """The first store's archive is another ciphertext than the one that waited in the spool."""
    down = tmp_path / "not" / "mounted"
    host.stores.append({"type": "file", "name": "down", "path": str(down), "attempts": 1})
    host.write_logs(13, 14)
    host.run(archive={"group": group})
    lose(host, "state", "spool")
    host.run(archive={"group": group})
    lose(host, "spool")
    host.run(archive={"group": group})
    down.mkdir(parents=True)
    record = host.run(archive={"group": group})
    assert record["exit_code"] == 0, record["errors"]
    assert_all_archived(host, read_logs(host))
    assert_complete(file_store(down), host, read_logs(host))


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("waits", [False, True])
def test_an_older_copy_of_the_catalog(host, tmp_path, group, waits):
    down = tmp_path / "not" / "mounted"
    if waits:
        host.stores.append({"type": "file", "name": "down", "path": str(down), "attempts": 1})
    host.write_logs(12)
    host.run(at("2024-01-12 13:05"), archive={"group": group})
    shutil.copytree(host.state, host.folder / "older")
    host.write_logs(13, 14)
    host.run(archive={"group": group})
    lose(host, "state")
    shutil.move(host.folder / "older", host.state)
    host.run(archive={"group": group})
    if waits:
        down.mkdir(parents=True)
    record = host.run(archive={"group": group})
    assert record["exit_code"] == 0, record["errors"]
    assert_all_archived(host, read_logs(host))
    if waits:
        assert_complete(file_store(down), host, read_logs(host))


def test_a_lost_catalog_when_only_some_of_its_sources_are_still_there(host):
    """One archive of two sources; then one of them goes, a new one comes and the catalog is lost: neither is archived twice."""
    old, stays = host.write_logs(12, 13)
    wanted = read_logs(host)
    host.run(at("2024-01-12 14:05"), archive={"group": "run"})
    old.unlink()
    host.write_logs(14)
    wanted.update(read_logs(host))
    lose(host, "state")
    assert host.run(archive={"group": "run"})["exit_code"] == 0
    assert_all_archived(host, wanted)


def test_a_damaged_catalog_says_what_to_do(host):
    host.write_logs(14)
    host.run()
    (host.state / FILE_NAME).write_bytes(b"not a database" * 1000)
    with pytest.raises(LogArchiveError, match="move it away"):
        host.run()
    lose(host, "state")
    assert host.run()["exit_code"] == 0
    assert_all_archived(host, read_logs(host))


def test_a_ciphertext_fetched_from_the_second_store_is_delivered_with_its_own_manifest(host, tmp_path):
    """Catalog and spool are lost; two stores have different ciphertexts of the log, and the first one is damaged."""
    first, second, third = ({"type": "file", "name": name, "path": str(tmp_path / name), "verify": "size"} for name in "abc")
    host.write_logs(14)
    host.run(stores=[first])
    lose(host, "state")
    host.run(stores=[second])
    lose(host, "state", "spool")
    (damaged,) = (tmp_path / "a").rglob("*.fernet")
    damaged.write_bytes(bytes(damaged.stat().st_size))
    record = host.run(stores=[first, second, third])
    assert record["errors"] == []
    assert archives_in(file_store(tmp_path / "c")) == archives_in(file_store(tmp_path / "b"))
    assert_complete(file_store(tmp_path / "c"), host, read_logs(host))


def test_a_new_state_comes_after_those_of_a_store_that_pruned_the_first(host):
    """Its name is free again, but the number of a state orders them."""
    growing = host.logs / "app.log"
    select = {"patterns": ["app.log"], "period": "none"}
    for number, text in enumerate(("one", "one two"), 1):
        growing.write_text(text)
        os.utime(growing, (1705060000 + number, 1705060000 + number))
        assert host.run(select=select)["exit_code"] == 0
    (first,) = host.store.rglob("app.log.tgz.fernet")
    forgery.remove(host.store, str(first.relative_to(host.store)))
    lose(host, "state")
    growing.write_text("one two three")
    os.utime(growing, (1705060003, 1705060003))
    (archive,) = host.run(select=select)["archives"]
    assert archive["name"] == "app.log.r3.tgz.fernet"
    restore(host, host.folder / "to")
    assert [path.read_text() for path in (host.folder / "to").rglob("app.log")] == ["one two three"]


def state(host, text, modified, name="app.log"):
    path = host.logs / name
    path.write_text(text)
    os.utime(path, (at(modified).timestamp(),) * 2)


def restored(host):
    restore(host, host.folder / "to")
    (path,) = (host.folder / "to").rglob("app.log")
    return path.read_text()


@pytest.mark.parametrize("second", ["2024-01-12 09:58", "2024-01-11 23:59", "1970-01-01 00:01"])
def test_the_last_state_is_the_one_that_was_archived_last_wherever_the_clock_was_set(host, monkeypatch, second):
    """Over midnight, the two are in folders of different days."""
    for text, now in (("one", "2024-01-12 00:01"), ("one two", second)):
        state(host, text, now)
        monkeypatch.setattr(create, "datetime", clock_at(now))
        assert host.run(at(now), select={"patterns": ["app.log"], "period": "none"})["exit_code"] == 0
    assert restored(host) == "one two"


def test_an_old_log_in_a_later_archive_does_not_make_its_other_logs_older(host, monkeypatch):
    select = {"patterns": ["*.log"], "period": "none"}
    for text, now in (("one", "2024-01-12 10:00"), ("one two", "2024-01-12 11:00")):
        state(host, text, now)
        monkeypatch.setattr(create, "datetime", clock_at(now))
        assert host.run(at(now), select=select, archive={"group": "run"})["exit_code"] == 0
        state(host, "old", "2020-01-01 00:00", "old.log")
    assert restored(host) == "one two"


def clock_at(text):
    """In place of the class datetime: its clock shows this time."""

    class Stopped(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return at(text).astimezone(tz)

    return Stopped
