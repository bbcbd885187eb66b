# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stores that are not required: what they miss waits for them in the spool, up to a limit, and costs no source."""

from __future__ import annotations

import json
import shutil

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state import status
from rigs.host import NOW, archives_in, assert_complete, file_store
from rigs.runs import read_logs

pytest.importorskip("cryptography")


@pytest.fixture
def extra(host):
    """The folder of a store that is not required; it does not exist, so that the store is down."""
    folder = host.folder / "not-mounted" / "extra"
    host.stores.append({"type": "file", "name": "extra", "path": str(folder), "required": False, "attempts": 1})
    return folder


def test_a_job_without_a_required_store_is_refused(host):
    host.stores = [dict(store, required=False) for store in [*host.stores, {"type": "file", "name": "b", "path": "/b"}]]
    with pytest.raises(ConfigError) as caught:
        host.document()
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["stores[0].required"]
    assert "require at least one" in caught.value.problems[0]


def test_it_gets_what_it_missed_once_it_is_back(host, extra):
    host.write_logs(13, 14)
    record = host.run()
    assert (record["outcome"], record["spool"]["archives"]) == ("partly done", 2)
    assert_complete(file_store(host.store), host, read_logs(host))
    row = status.of(host.document(), now=NOW)
    assert (row["state"], row["backlog"]) == ("archives wait for a store that is not required", {"extra": 2})
    assert row["exit_code"] == 3
    extra.parent.mkdir()
    assert host.run()["outcome"] == "done"
    assert archives_in(file_store(extra)) == archives_in(file_store(host.store))
    assert host.spooled() == []
    assert status.of(host.document(), now=NOW)["state"] == "fine"


def test_it_gets_what_was_declined_once(host, monkeypatch):
    extra = host.folder / "extra"
    host.stores.append({"type": "file", "name": "extra", "path": str(extra), "required": False})
    host.write_logs(14)
    # A file store is not remote, so it is not asked for.
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.file import FileStore

    monkeypatch.setattr(FileStore, "remote", True)
    record = job.run(host.document(), now=NOW, confirm=lambda _name, location, _size: "/extra/" not in location)
    assert (record["exit_code"], record["errors"]) == (3, [])
    assert job.run(host.document(), now=NOW)["outcome"] == "done"
    assert len(archives_in(file_store(extra))) == 1


def test_the_oldest_are_given_up_beyond_the_limit_and_reported(host, extra):
    size = _size_of_one(host)
    host.stores[1]["max_backlog"] = 2 * size + size // 2
    host.write_logs(11, 12, 13, 14)
    record = host.run()
    keys = sorted(archives_in(file_store(host.store)))
    assert len(keys) == 4 and record["given_up"] == {"extra": keys[:2]}
    (warning,) = [text for text in record["warnings"] if "gave up" in text]
    assert "store extra: gave up 2 archive(s)" in warning and "2024-01-12T11:00:00Z to 2024-01-12T13:00:00Z" in warning
    events = [json.loads(line) for line in host.events.read_text().splitlines()]
    assert [event["archives"] for event in events if event["event"] == "given_up"] == [keys[:2]]
    assert record["spool"]["archives"] == 2
    row = status.of(host.document(), now=NOW)
    assert (row["backlog"], row["given_up"]) == ({"extra": 2}, {"extra": 2})
    assert host.run()["given_up"] == {}, "what was given up is not given up again"
    extra.parent.mkdir()
    host.run()
    assert sorted(archives_in(file_store(extra))) == keys[2:]


def test_what_a_required_store_awaits_too_is_not_given_up(host, extra):
    host.stores[0]["path"] = str(host.folder / "not" / "there")
    host.stores[0]["attempts"] = 1
    host.stores[1]["max_backlog"] = 1
    host.write_logs(13, 14)
    record = host.run()
    assert record["given_up"] == {} and record["spool"]["archives"] == 2


def test_sources_are_deleted_without_it(host, extra):
    paths = host.write_logs(13, 14)
    assert len(host.run(delete_sources=True)["sources_deleted"]) == 2
    assert not any(path.exists() for path in paths)


def test_no_source_is_deleted_that_no_store_holds_any_more(host):
    """Retention has removed the archive, and the log is the only copy."""
    (old, _new) = host.write_logs(11, 14)
    host.run()
    host.run(retention={"keep_last": 1, "max_delete_share": 1})
    assert len(archives_in(file_store(host.store))) == 1
    assert host.run(delete_sources=True)["sources_deleted"] == [str(host.logs / "syslog.20240112.14")]
    assert old.exists()


def test_a_required_store_that_the_job_gets_later_is_not_taken_for_one_that_has_it(host):
    host.write_logs(14)
    host.run()
    host.stores.append({"type": "file", "name": "later", "path": str(host.folder / "later")})
    assert host.run(delete_sources=True)["sources_deleted"] == []


def _size_of_one(host):
    host.write_logs(9)
    select = {"patterns": ["syslog.20240112.09"], "period": "none"}
    (host.folder / "probe").mkdir()
    size = host.run(
        select=select,
        state=str(host.folder / "probe" / "state"),
        spool=str(host.folder / "probe" / "spool"),
        stores=[{"type": "file", "path": str(host.folder / "probe" / "store")}],
    )["archives"][0]["size"]
    shutil.rmtree(host.folder / "probe")
    (host.logs / "syslog.20240112.09").unlink()
    host.events.unlink()
    return size
