# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives of many logs, the manifests of which are kept compressed; here "many" are four."""

from __future__ import annotations

import os
import sqlite3
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import manifest as manifests
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import rows
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import files
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state import names
from rigs.host import Host, file_store
from rigs.runs import ALL, assert_all_archived, lose, read_logs, restore

pytest.importorskip("cryptography")

TOGETHER: t.Dict[str, t.Any] = {"select": ALL, "archive": {"group": "run"}}


@pytest.fixture(autouse=True)
def four_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MANY", 3)
    monkeypatch.setattr(rows, "OF_A_BLOCK", 3)
    monkeypatch.setattr(manifests, "LARGE", 0)


@pytest.fixture
def many(host: Host) -> Host:
    """A host with ten logs in two folders; one has a name that is not text, and one is below a name that another continues."""
    for name in ("a", "b/1", "b/2", "b.1", "c", "d", "e", "b/3", "f", os.fsdecode(b"\xff")):
        path = host.logs / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"log %s\n" % os.fsencode(name))
    return host


def recorded(host: Host) -> t.List[t.Any]:
    with sqlite3.connect(host.state / "catalog.sqlite") as database:
        return [row[0] for row in database.execute("SELECT manifest FROM archives ORDER BY id")]


def assert_restored(host: Host, folder: str, **options: t.Any) -> None:
    for state in ("written", "unchanged"):
        found = [one for each in restore(host, host.folder / folder, **options) for one in each.files]
        assert {file.state for file in found} == {state}
        wanted = read_logs(host)
        assert {file.path: open(file.path, "rb").read() for file in found} == {  # noqa: SIM115
            str(host.folder / folder) + path: content for path, content in wanted.items()
        }


def test_they_are_archived_recorded_and_restored(many: Host) -> None:
    assert many.run(**TOGETHER)["exit_code"] == 0
    assert_all_archived(many, read_logs(many))
    assert [type(one) for one in recorded(many)] == [bytes]
    assert_restored(many, "to")
    again = many.run(**TOGETHER)
    assert (again["outcome"], again["changed"]) == ("nothing to do", False)


def test_a_log_that_has_grown_and_a_new_one_are_archived_and_the_others_are_not(many: Host) -> None:
    many.run(**TOGETHER)
    (many.logs / "b/2").write_bytes(b"grown")
    (many.logs / "new").write_bytes(b"new")
    record = many.run(**TOGETHER)
    assert [sorted(one["sources"]) for one in record["archives"]] == [[str(many.logs / "b/2"), str(many.logs / "new")]]
    assert [type(one) for one in recorded(many)] == [bytes, str]
    assert_restored(many, "to")
    assert many.run(**TOGETHER)["outcome"] == "nothing to do"


def test_archived_logs_are_not_looked_at_one_by_one(many: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    many.run(**TOGETHER)
    judged: t.List[str] = []
    judge = files._judge
    monkeypatch.setattr(files, "_judge", lambda wanted, candidate: (judged.append(candidate.name), judge(wanted, candidate))[1])
    assert many.run(**TOGETHER)["outcome"] == "nothing to do"
    assert judged == []
    (many.logs / "c").write_bytes(b"another")
    assert len(many.run(**TOGETHER)["archives"]) == 1
    assert judged == ["c"]
    # A folder that has fewer logs now than the catalog knows of it.
    monkeypatch.setattr(names, "MORE", 0)
    monkeypatch.setattr(names, "TIMES", 0)
    assert many.run(**TOGETHER)["outcome"] == "nothing to do"
    assert len(judged) == 11


def test_archived_logs_are_still_deleted(many: Host) -> None:
    wanted = read_logs(many)
    many.run(**TOGETHER)
    record = many.run(**TOGETHER, delete_sources=True)
    assert sorted(record["sources_deleted"]) == sorted(wanted)
    (many.logs / "x").write_bytes(b"x")
    assert many.run(**TOGETHER, delete_sources=True)["sources_deleted"] == [str(many.logs / "x")]
    assert_all_archived(many, {**wanted, str(many.logs / "x"): b"x"})


@pytest.mark.parametrize("level", ["size", "read_back"])
def test_a_lost_catalog_learns_them_again(many: Host, level: str) -> None:
    many.run(**TOGETHER)
    wanted = read_logs(many)
    lose(many, "state", "spool")
    record = many.run(**TOGETHER, delete_sources=level == "read_back")
    assert (record["archives"], record["errors"]) == ([], [])
    assert [type(one) for one in recorded(many)] == [bytes]
    assert_all_archived(many, wanted)


def test_a_manifest_that_somebody_changed_is_refused(many: Host) -> None:
    many.run(**TOGETHER)
    store = file_store(many.store)
    (key,) = [item.key for item in store.list("") if item.key.endswith(".manifest.json")]
    path = many.store / key
    path.write_bytes(path.read_bytes().replace(b'"mode":"0644"', b'"mode":"0777"', 1))
    (one,) = restore(many, many.folder / "to")
    assert one.error is not None and "HMAC" in str(one.error)
    many.write_document(**TOGETHER)
    called = many.command("restore", "syslog", "--to", str(many.folder / "to"))
    assert called.returncode == 4 and "not the one that the catalog records" in called.stderr


def test_the_command_shows_restores_and_verifies_them(many: Host) -> None:
    many.run(**TOGETHER)
    many.write_document(**TOGETHER)
    for arguments in (["list"], ["list", "--store", "file"], ["verify", "--level", "authenticated"], ["ledger", "verify"], ["status"]):
        called = many.command(*arguments)
        assert (called.returncode, called.stderr) == (0, ""), arguments
    called = many.command("restore", "syslog", "--to", str(many.folder / "to"), "--name", str(many.logs / "b/2"))
    assert called.returncode == 0 and "1 file(s)" in called.stdout
    called = many.command("restore", "syslog", "--to", str(many.folder / "to"), "--json")
    assert called.returncode == 0 and called.stdout.count('"state": "written"') == 9
