# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ledger of a job: what a run enters and when, what is found against it and by which command, and what an operator can accept."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import shutil
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import naming
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import DiskFullError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import main as cli
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import ledger as keeping
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.ledger import chain, file as files
from rigs.holdings import KEYS
from rigs.host import JOB, Host, at, files_below
from rigs.runs import lose

pytest.importorskip("cryptography")
KEEP_TWO = {"retention": {"keep_last": 2, "max_delete_share": 1}}


def call(host: Host, *arguments: str) -> t.Tuple[int, t.Any, str]:
    """The exit code, the JSON and the errors of the command."""
    output, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(error):
        code = cli.main([*arguments, "--json", "--config", str(host.folder / "jobs")])
    return code, json.loads(output.getvalue()), error.getvalue()


def findings(host: Host) -> t.List[t.Tuple[str, t.Optional[str], t.Optional[str]]]:
    """What ``ledger verify`` finds: (kind, store, key)."""
    code, rows, _error = call(host, "ledger", "verify")
    found = [(finding["kind"], row["store"], finding["key"]) for row in rows for finding in row["findings"]]
    assert code == (4 if found else 0)
    return found


def ledger_of(host: Host) -> files.Ledger:
    return files.Ledger(str(host.state), JOB)


def ops(host: Host) -> t.List[t.Tuple[str, t.Optional[str]]]:
    entries = [chain.parse(line, "ledger") for line in ledger_of(host).lines()]
    return [(entry.op, entry.payload.get("archive")) for entry in entries]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    host = Host(tmp_path_factory.mktemp("site") / "host")
    host.write_logs(12, 13, 14)
    assert host.run()["exit_code"] == 0
    return host.folder


@pytest.fixture
def archived(template: pathlib.Path, tmp_path: pathlib.Path) -> Host:
    """A host that has archived three logs. Its paths are its own."""
    host = Host(tmp_path / "host")
    host.write_logs(12, 13, 14)
    assert host.run()["exit_code"] == 0
    host.write_document()
    return host


@pytest.mark.parametrize("left", [b"", b'{"half of the first entry'], ids=["empty", "half"])
def test_a_run_that_was_killed_while_it_began_the_ledger(left: bytes, host: Host) -> None:
    host.write_logs(14)
    host.state.mkdir(0o700)
    path = host.state / "syslog.ledger"
    path.touch(0o600)
    path.write_bytes(left)
    record = host.run()
    assert (record["exit_code"], record["errors"]) == (0, [])
    assert [op for op, _archive in ops(host)] == ["begin", "put"]


# -- what a run enters ------------------------------------------------------------------------------------------------


def test_each_archive_has_its_entry(archived: Host) -> None:
    assert ops(archived) == [("begin", None), *(("put", key) for key in KEYS)]
    assert findings(archived) == []
    contents, _head = ledger_of(archived).replay(signatures=True)
    stored = contents.held[("file", KEYS[0])]
    data = (archived.store / KEYS[0]).read_bytes()
    assert stored.size == len(data)
    assert stored.sha256 == chain.sha256_of(data)
    assert stored.manifest == chain.sha256_of((archived.store / naming.manifest_key(KEYS[0])).read_bytes())
    assert len(stored.key_ids) == 1


def test_an_idle_run_enters_nothing_and_reads_no_ledger(archived: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: (archived.state / name).read_bytes() for name in os.listdir(archived.state) if ".ledger" in name}
    monkeypatch.setattr(files.Ledger, "_folder", lambda self: pytest.fail("the ledger was opened"))
    assert archived.run()["outcome"] == "nothing to do"
    assert {name: (archived.state / name).read_bytes() for name in before} == before


def test_a_removal_has_its_tombstone_before_the_archive_goes(archived: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    there: t.List[bool] = []
    bury = keeping.Keeper.bury

    def look(self: keeping.Keeper, *arguments: t.Any) -> None:
        bury(self, *arguments)
        there.append(ops(archived)[-1] == ("prune", KEYS[0]) and (archived.store / KEYS[0]).exists())

    monkeypatch.setattr(keeping.Keeper, "bury", look)
    assert archived.run(**KEEP_TWO)["exit_code"] == 0
    assert there == [True]
    assert not (archived.store / KEYS[0]).exists()
    entry = chain.parse(list(ledger_of(archived).lines())[-1], "ledger")
    assert {name: entry.payload[name] for name in ("put", "rule", "store")} == {"put": 1, "rule": "no rule keeps it", "store": "file"}
    assert entry.payload["size"] > 0
    assert len(entry.payload["policy"]) == len(entry.payload["sha256"]) == 64
    assert findings(archived) == []


def test_nothing_is_removed_without_a_tombstone(archived: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk of the host is full. The next run removes it."""

    def full(fd: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_all", full)
        record = archived.run(**KEEP_TWO)
    assert record["exit_code"] == 1
    assert "the ledger cannot be written" in record["errors"][0]
    assert (archived.store / KEYS[0]).exists()
    assert archived.run(**KEEP_TWO)["pruned"]["file"]["removed"] == KEYS[:1]
    assert findings(archived) == []


def test_an_entry_that_could_not_be_written_is_written_by_the_next_run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(tmp_path / "host")
    host.write_logs(12, 13, 14)

    def full(self: files.Ledger, *_arguments: t.Any) -> None:
        raise DiskFullError("the ledger cannot be written", "x")

    with monkeypatch.context() as patch:
        patch.setattr(files.Ledger, "append", full)
        record = host.run()
    # The archives are more important than their entries, and the error is reported once.
    assert [archive["state"] for archive in record["archives"]] == ["done"] * 3
    assert record["errors"] == ["x: the ledger cannot be written"]
    assert host.run()["errors"] == []
    assert ops(host) == [("begin", None), *(("put", key) for key in KEYS)]


def test_what_an_earlier_release_stored_is_adopted(archived: Host) -> None:
    for name in os.listdir(archived.state):
        if ".ledger" in name:
            (archived.state / name).unlink()
    with contextlib.closing(Catalog(str(archived.state))) as catalog:
        catalog.entered.reset(JOB)
    shutil.rmtree(archived.store / "web1/syslog/ledger")
    assert archived.run()["outcome"] == "nothing to do"
    assert ops(archived) == [("begin", None), *(("adopt", key) for key in KEYS)]
    assert findings(archived) == []


def test_a_lost_catalog_learns_its_ledger_and_enters_nothing_twice(archived: Host) -> None:
    before = ops(archived)
    (archived.state / "catalog.sqlite").unlink()
    assert findings(archived) == []
    assert archived.run()["exit_code"] == 0
    assert ops(archived) == before
    with contextlib.closing(Catalog(str(archived.state))) as catalog:
        assert not catalog.entered.owes_entries(JOB)
    assert findings(archived) == []


def test_a_lost_state_begins_a_new_ledger_which_the_head_in_the_store_betrays(archived: Host) -> None:
    lose(archived, "state")
    assert archived.run()["exit_code"] == 0
    assert ops(archived) == [("begin", None), *(("adopt", key) for key in KEYS)]
    assert [kind for kind, _store, _key in findings(archived)] == ["cut"]


def test_the_head_is_in_the_store_and_only_the_last_ones_stay(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import heads

    monkeypatch.setattr(heads, "KEPT", 2)
    host = Host(tmp_path / "host")
    for hour in (10, 11, 12, 13, 14):
        host.write_logs(hour)
        assert host.run(at("2024-01-12 %d:05" % (hour + 1)))["exit_code"] == 0
    found = [naming.head_of("web1/syslog/ledger/" + name) for name in files_below(host.store / "web1/syslog/ledger")]
    assert [head.seq for head in found if head] == [4, 5]
    newest = json.loads((host.store / "web1/syslog/ledger" / files_below(host.store / "web1/syslog/ledger")[-1]).read_bytes())
    head = ledger_of(host).head()
    assert head is not None
    assert (newest["ledger"], newest["seq"], newest["sha256"], newest["key"]) == head
    assert chain.sha256_of(newest["entry"].encode()) == head.sha256
    assert (newest["host"], newest["job"]) == ("web1", JOB)


def test_a_store_that_was_out_of_reach_gets_the_head_from_the_next_run(archived: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import StoreUnavailableError
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores import file as file_stores

    put = file_stores.FileStore.put

    def out_of_reach(self: t.Any, path: t.Any, key: str, *rest: t.Any) -> t.Any:
        if "/ledger/" in key:
            raise StoreUnavailableError("it does not answer", "x")
        return put(self, path, key, *rest)

    archived.write_logs(15)
    with monkeypatch.context() as patch:
        patch.setattr(file_stores.FileStore, "put", out_of_reach)
        record = archived.run(at("2024-01-12 16:05"))
    assert record["exit_code"] == 0
    assert record["warnings"] == ["store file: cannot copy the head of the ledger there: x: it does not answer"]
    assert archived.run(at("2024-01-12 16:06"))["warnings"] == []
    names = files_below(archived.store / "web1/syslog/ledger")
    assert [int(name[:12]) for name in names] == [3, 4]


# -- attacks, and who finds them --------------------------------------------------------------------------------------


def remove(host: Host) -> None:
    (host.store / KEYS[1]).unlink()
    (host.store / naming.manifest_key(KEYS[1])).unlink()


def add(host: Host) -> None:
    """An archive of another job of this host, with its own key: only the ledger knows that it is none of this job."""
    other = Host(host.folder / "other")
    shutil.rmtree(other.keyring)
    shutil.copytree(host.keyring, other.keyring)
    other.write_logs(11)
    other.run(at("2024-01-12 12:05"))
    key = KEYS[0].replace(".12.tgz", ".11.tgz")
    for name in (key, naming.manifest_key(key)):
        shutil.copy(other.store / name, host.store / name)


def cut(host: Host) -> None:
    """Somebody cuts the last entry off, and makes the head fit."""
    path = host.state / (JOB + ".ledger")
    lines = path.read_bytes().splitlines(keepends=True)[:-1]
    path.write_bytes(b"".join(lines))
    last = chain.parse(lines[-1], "x")
    head = json.loads((host.state / (JOB + ".ledger.head")).read_bytes())
    head.update(seq=last.seq, sha256=chain.sha256_of(lines[-1]), size=len(b"".join(lines)))
    (host.state / (JOB + ".ledger.head")).write_text(json.dumps(head))


def change(host: Host) -> None:
    path = host.state / (JOB + ".ledger")
    path.write_bytes(path.read_bytes().replace(b'"op":"put"', b'"op":"pit"', 1))


def delete(host: Host) -> None:
    for name in ("", ".head", ".key"):
        (host.state / (JOB + ".ledger" + name)).unlink()


def test_an_archive_without_a_tombstone(archived: Host) -> None:
    remove(archived)
    assert findings(archived) == [("missing", "file", KEYS[1])]
    code, rows, _error = call(archived, "verify")
    assert code == 4
    assert [row["key"] for row in rows if row["error"]] == [KEYS[1]]
    code, rows, _error = call(archived, "status", "--max-age", "36500d")
    assert code == 4
    assert [finding["key"] for finding in rows[0]["findings"]] == [KEYS[1]]


def test_an_archive_without_a_tombstone_and_without_the_catalog(archived: Host) -> None:
    """Before there was a ledger, nothing showed this."""
    remove(archived)
    (archived.state / "catalog.sqlite").unlink()
    for command in (["verify"], ["status", "--max-age", "36500d"]):
        code, rows, _error = call(archived, *command)
        assert code == 4
        errors = [finding for row in rows for finding in row.get("findings", [row]) if finding["error"]]
        assert [finding["key"] for finding in errors] == [KEYS[1]]
        assert "the archive is gone, but the ledger has no tombstone for it (entry 2 put it there" in errors[0]["error"]
        assert "log-archive ledger accept syslog" in errors[0]["error"]


def test_an_archive_without_an_entry(archived: Host) -> None:
    add(archived)
    key = KEYS[0].replace(".12.tgz", ".11.tgz")
    assert findings(archived) == [("unrecorded", "file", key)]
    for command in (["verify"], ["status", "--max-age", "36500d"]):
        code, rows, _error = call(archived, *command)
        assert code == 4
        errors = [finding for row in rows for finding in row.get("findings", [row]) if finding["error"]]
        assert [finding["key"] for finding in errors] == [key]
        assert "the ledger has no entry for it: this host did not put it there" in errors[0]["error"]


@pytest.mark.parametrize("lost", [False, True])
def test_an_archive_that_was_replaced_with_its_manifest(lost: bool, archived: Host) -> None:
    other = Host(archived.folder / "other")
    shutil.rmtree(other.keyring)
    shutil.copytree(archived.keyring, other.keyring)
    (other.logs / "syslog.20240112.13").write_bytes(b"nothing happened\n" * 300)
    other.run(at("2024-01-12 14:05"))
    for name in (KEYS[1], naming.manifest_key(KEYS[1])):
        shutil.copy(other.store / name, archived.store / name)
    if lost:
        (archived.state / "catalog.sqlite").unlink()
    assert findings(archived) == [("replaced", "file", KEYS[1])]
    code, rows, _error = call(archived, "verify")
    assert code == 4
    assert [row["key"] for row in rows if row["error"]] == [KEYS[1]]


@pytest.mark.parametrize(
    ("attack", "why"),
    [(cut, "was cut"), (change, "cannot be read|broken at entry"), (delete, "the ledger is missing")],
)
def test_a_ledger_that_was_changed(attack: t.Callable[[Host], None], why: str, archived: Host) -> None:
    attack(archived)
    code, rows, error = call(archived, "ledger", "verify")
    assert code == 4
    found = [finding["error"] for row in rows for finding in row["findings"]]
    assert len(found) == 1
    assert __import__("re").search(why, found[0])
    assert "ledger accept" in found[0]
    code, rows, error = call(archived, "verify")
    assert code == 4
    assert [(row["store"], row["key"]) for row in rows if row["error"]] == [("ledger", None)]
    if attack is not change:  # 'status' reads the last entry alone.
        code, rows, error = call(archived, "status", "--max-age", "36500d")
        assert code == 4
        assert __import__("re").search(why, rows[0]["state"])


@pytest.mark.parametrize("attack", [cut, delete])
def test_a_run_with_a_changed_ledger_archives_and_removes_nothing(attack: t.Callable[[Host], None], archived: Host) -> None:
    attack(archived)
    archived.write_logs(15)
    record = archived.run(at("2024-01-12 16:05"), **KEEP_TWO)
    assert record["exit_code"] == 4
    assert [archive["state"] for archive in record["archives"]] == ["done"]
    assert record["pruned"].get("file", {"removed": []})["removed"] == []


def test_a_restored_machine_is_found_by_the_head_in_the_store(archived: Host, tmp_path: pathlib.Path) -> None:
    shutil.copytree(archived.state, tmp_path / "snapshot")
    archived.write_logs(15)
    assert archived.run(at("2024-01-12 16:05"))["exit_code"] == 0
    shutil.rmtree(archived.state)
    shutil.copytree(tmp_path / "snapshot", archived.state)
    (archived.logs / "syslog.20240112.15").unlink()
    key = KEYS[0].replace(".12.tgz", ".15.tgz")
    assert findings(archived) == [("cut", "file", None), ("unrecorded", "file", key)]
    code, rows, _error = call(archived, "status", "--max-age", "36500d")
    assert code == 4
    assert "or an older state of the host was restored" in rows[0]["state"]
    # It goes on, and forks.
    archived.write_logs(16)
    archived.run(at("2024-01-12 17:05"), select={"catch_up": "1h"})
    assert ("cut", "file", None) in findings(archived)


# -- what an operator accepts -----------------------------------------------------------------------------------------


def test_accepting_what_is_gone_and_what_came(archived: Host) -> None:
    remove(archived)
    add(archived)
    added = KEYS[0].replace(".12.tgz", ".11.tgz")
    code, done, _error = call(archived, "ledger", "accept", JOB, "--reason", "a disk died")
    assert (code, done[0]["adopted"], done[0]["lost"], done[0]["left"]) == (0, {"file": [added]}, {"file": [KEYS[1]]}, [])
    assert findings(archived) == []
    assert call(archived, "verify")[0] == 0
    assert call(archived, "status", "--max-age", "36500d")[0] == 0
    entries = [chain.parse(line, "ledger") for line in ledger_of(archived).lines(4)]
    assert [(entry.op, entry.payload["reason"]) for entry in entries] == [("adopt", "a disk died"), ("lost", "a disk died")]
    assert call(archived, "ledger", "accept", JOB, "--reason", "again")[1][0]["lost"] == {"file": []}


def test_an_archive_of_another_key_is_not_accepted(archived: Host) -> None:
    other = Host(archived.folder / "other")
    other.write_logs(11)
    other.run(at("2024-01-12 12:05"))
    key = KEYS[0].replace(".12.tgz", ".11.tgz")
    for name in (key, naming.manifest_key(key)):
        shutil.copy(other.store / name, archived.store / name)
    code, done, _error = call(archived, "ledger", "accept", JOB, "--reason", "x")
    assert (code, done[0]["adopted"]) == (4, {"file": []})
    assert [finding["key"] for finding in done[0]["left"]] == [key]


@pytest.mark.parametrize("attack", [cut, change, delete])
def test_accepting_a_broken_ledger_begins_a_new_one(attack: t.Callable[[Host], None], archived: Host) -> None:
    attack(archived)
    code, done, _error = call(archived, "ledger", "accept", JOB, "--reason", "the disk was damaged")
    assert code == 0
    assert done[0]["set_aside"].startswith(str(archived.state / (JOB + ".ledger.")))
    assert ops(archived) == [("begin", None), *(("adopt", key) for key in KEYS)]
    archived.write_logs(15)
    assert archived.run(at("2024-01-12 16:05"))["exit_code"] == 0
    assert call(archived, "verify")[0] == 0
    assert findings(archived) == []


# -- the command ------------------------------------------------------------------------------------------------------


def test_show_and_export(archived: Host) -> None:
    code, entries, _error = call(archived, "ledger", "show", "--since", "2")
    assert (code, [entry["seq"] for entry in entries], entries[0]["job"]) == (0, [2, 3], JOB)
    code, exported, _error = call(archived, "ledger", "export", JOB)
    assert "".join(exported["entries"]).encode() == (archived.state / (JOB + ".ledger")).read_bytes()
    assert exported["head"]["seq"] == 3


def test_rotate(archived: Host) -> None:
    before = ledger_of(archived).head()
    code, rows, _error = call(archived, "ledger", "rotate", JOB)
    assert before is not None
    assert (code, rows[0]["seq"]) == (0, 4)
    assert rows[0]["key"] != before.key
    archived.write_logs(15)
    assert archived.run(at("2024-01-12 16:05"))["exit_code"] == 0
    assert findings(archived) == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["accept"], "needs the name of one job"),
        (["accept", JOB], "--reason is missing"),
        (["verify", "--since", "1"], "has no option --since"),
        (["show", "--offline"], "has no option --offline"),
    ],
)
def test_wrong_usage(arguments: t.List[str], why: str, archived: Host) -> None:
    code, result, _error = call(archived, "ledger", *arguments)
    assert code == 2
    assert why in result["error"]["text"]


def test_the_key_of_a_ledger_is_never_archived(archived: Host) -> None:
    select = {"paths": [str(archived.state)], "patterns": ["*.key"], "period": "none"}
    record = archived.run(name="thief", select={**select, "catch_up": None}, encryption={"format": "none"})
    assert record["archives"] == []
