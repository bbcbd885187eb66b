# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""log-archive adopt: archives of earlier scripts get a manifest, and stay where they are."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import re
import shlex
import tarfile

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.naming import manifest_key
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError, LockedError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import main as cli
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import keyring
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import adopt as names, inventory, prune
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.trust import Trust
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.verify import verify
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import adopt as adopting, job
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run.adopt import Wanted, adopt, read_keys
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.ledger.file import Ledger
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores import layout
from rigs.host import JOB, NAME, NOW, Host, at, file_store, files_below
from rigs.old_scripts import encrypted, member, new_key, tgz, zipped
from rigs.runs import tree

pytest.importorskip("cryptography")

TEMPLATE = "%Y%d%m.tgz"
LOG = b"a line\n" * 1000


@pytest.fixture
def old(host):
    """A host, and the folder of its store with three archives of a script that names them YYYYDDMM."""
    host.store.mkdir()
    for day in ("10", "11", "12"):
        (host.store / ("2024%s01.tgz" % day)).write_bytes(tgz(("dump.sql", b"dump of the %s\n" % day.encode() * 500)))
    return host


def adopted(machine, template=TEMPLATE, keys=(), check=False, **changes):
    return adopt(machine.document(**changes), Wanted("file", template, read_keys([str(key) for key in keys])), NOW, check)


def states(record):
    return {row["name"]: row["state"] for row in record["adopted"]["objects"]}


def reasons(record):
    return {row["name"]: row["reason"] for row in record["adopted"]["objects"] if row["reason"]}


def command(host, *arguments, code=0, document=None):
    """What a command prints. In this process: a test that needs ten would start ten."""
    host.write_document(**(document or {}))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        returned = cli.main([*arguments, "--config", str(host.folder / "jobs")])
    assert returned == code, out.getvalue() + err.getvalue()
    return out.getvalue() + ("" if "--json" in arguments else err.getvalue())


def originals(host):
    """What the script left, with times and inodes: whatever adopt does, it stays."""
    return {path: facts for path, facts in tree(host.store).items() if "/web1" not in path}


KEYS = ["web1/syslog/2024/01/%s/adopted:2024%s01.tgz" % (day, day) for day in ("10", "11", "12")]


def test_archives_are_adopted_where_they_are(old) -> None:
    before = originals(old)
    record = adopted(old)
    assert (record["exit_code"], record["changed"], states(record)) == (
        0,
        True,
        dict.fromkeys(["20241001.tgz", "20241101.tgz", "20241201.tgz"], "adopted"),
    )
    assert originals(old) == before
    assert [name for name in files_below(old.store) if name.startswith("web1/syslog/2024")] == [key + ".adopted.json" for key in KEYS]
    held = inventory.read(file_store(old.store), NAME, JOB)
    assert [archive.key for archive in held.archives] == KEYS
    assert (held.damaged, held.orphans) == ({}, [])
    manifest = held.archives[0].manifest
    assert manifest["period"] == {"start": "2024-01-10T00:00:00Z", "end": "2024-01-11T00:00:00Z"}
    assert [(source["path"], source["size"]) for source in manifest["sources"]] == [("dump.sql", 7500)]
    assert manifest["adopted"]["hmac_key_id"] == keyring.load_current(str(old.keyring)).id


def test_a_second_adopt_changes_nothing(old) -> None:
    adopted(old)
    before = tree(old.store)
    record = adopted(old)
    assert (record["exit_code"], record["changed"], set(states(record).values())) == (0, False, {"present"})
    assert record["outcome"] == "nothing to do"
    assert tree(old.store) == before


def test_a_dry_run_changes_nothing_and_says_what_would_be(old) -> None:
    before = tree(old.folder)
    record = adopted(old, check=True)
    assert (record["check"], set(states(record).values())) == (True, {"adopted"})
    assert tree(old.folder) == before


@pytest.mark.parametrize("loses", ["nothing", "catalog"])
def test_every_command_knows_adopted_archives(old, tmp_path, loses) -> None:
    adopted(old)
    if loses == "catalog":
        for path in old.state.glob("catalog*"):
            path.unlink()
        assert set(states(adopted(old)).values()) == {"adopted"}
    assert [row["key"] for row in json.loads(command(old, "list", JOB, "--json"))] == KEYS
    for level in ("size", "read_back", "authenticated"):
        rows = json.loads(command(old, "verify", JOB, "--level", level, "--json"))
        assert [(row["error"], row["authenticated"]) for row in rows] == [(None, True)] * 3
        assert level == "size" or {row["level"] for row in rows} == {level} or level == "read_back"
    assert "dump of the 11" in command(old, "search", "--fixed", "dump of the 11", "--max", "1")
    command(old, "restore", JOB, "--name", "adopted:20241101.tgz", "--to", str(tmp_path / "out"))
    assert (tmp_path / "out" / "dump.sql").read_bytes() == b"dump of the 11\n" * 500
    assert json.loads(command(old, "orphans", "--json")) == []
    command(old, "status", JOB, code=1)  # The job itself has never run.


def test_the_ledger_has_an_entry_of_each(old) -> None:
    adopted(old)
    contents = Ledger(str(old.state), JOB).replay()[0]
    assert sorted(key for _store, key in contents.held) == KEYS
    text = "".join(line.decode() if isinstance(line, bytes) else line for line in Ledger(str(old.state), JOB).lines())
    assert text.count('"op":"adopt"') == 3
    command(old, "ledger", "verify", JOB)


def test_retention_removes_the_object_and_its_manifest(old) -> None:
    adopted(old)
    document = old.document(retention={"keep_last": 1, "max_delete_share": 1.0, "name_template": TEMPLATE})
    record = job.prune(document, (), NOW)
    assert (record["errors"], record["pruned"]["file"]["removed"]) == ([], KEYS[:2])
    left = [name for name in files_below(old.store) if "ledger" not in name]
    assert left == ["20241201.tgz", KEYS[2] + ".adopted.json"]
    command(old, "verify", JOB)


def test_it_warns_of_what_retention_will_remove(old) -> None:
    policy = {"keep_last": 1, "max_delete_share": 1.0}
    (warning,) = adopted(old, check=True, retention=policy)["warnings"]
    assert "would remove 2 of these archives; 'log-archive prune syslog --dry-run'" in warning
    assert adopted(old, retention=policy)["warnings"] == [warning]
    assert job.prune(old.document(retention=policy), (), NOW, True)["pruned"]["file"]["removed"] == KEYS[:2]
    assert adopted(old, retention=policy)["warnings"] == []


def test_the_runs_of_the_job_count_what_was_adopted(old) -> None:
    adopted(old)
    old.write_logs(12, 13, 14)
    record = old.run(retention={"keep_last": 4})
    assert (record["exit_code"], record["warnings"]) == (0, [])
    assert record["pruned"]["file"]["removed"] == KEYS[:2]
    assert "20241201.tgz" in files_below(old.store)


@pytest.mark.parametrize("packed", [tgz, zipped], ids=["tgz", "zip"])
@pytest.mark.parametrize("keyring_has_it", [True, False], ids=["key in the keyring", "key file"])
def test_tokens_are_adopted_with_the_key_of_the_script(host, tmp_path, packed, keyring_has_it) -> None:
    host.store.mkdir()
    key = new_key(tmp_path / "fernet.key")
    (host.store / "syslog.20240112.12.tar.gz.encrypted").write_bytes(
        encrypted(key, packed(("var/log/events/syslog.20240112.12", LOG), ("b", b"")))
    )
    template = "syslog.%Y%m%d.%H.tar.gz.encrypted"
    wrong = adopted(host, template)
    assert (wrong["exit_code"], states(wrong)) == (2, {"syslog.20240112.12.tar.gz.encrypted": "failed"})
    assert "--key-file" in reasons(wrong)["syslog.20240112.12.tar.gz.encrypted"]
    if keyring_has_it:
        keyring.import_key(str(host.keyring), key)
        record = adopted(host, template)
    else:
        record = adopted(host, template, [tmp_path / "fernet.key"])
    assert (record["errors"], record["warnings"]) == ([], [])
    rows = json.loads(command(host, "verify", JOB, "--level", "authenticated", "--json"))
    assert [(row["level"], row["authenticated"]) for row in rows] == [("authenticated", True)]
    assert "syslog.20240112.12" in command(host, "search", "a line", "--count")
    command(host, "restore", JOB, "--since", "2024-01-12T12:00Z", "--to", str(tmp_path / "out"))
    assert (tmp_path / "out/var/log/events/syslog.20240112.12").read_bytes() == LOG
    assert key not in b"".join(path.read_bytes() for path in host.state.rglob("*") if path.is_file())


def test_a_job_without_encryption_adopts_without_an_hmac(old) -> None:
    document = {"encryption": {"format": "none"}}
    record = adopted(old, **document)
    assert record["exit_code"] == 0
    assert "hmac" not in json.loads((old.store / (KEYS[0] + ".adopted.json")).read_text())
    rows = json.loads(command(old, "verify", JOB, "--level", "authenticated", "--json", document=document))
    assert [(row["error"], row["authenticated"]) for row in rows] == [(None, False)] * 3


def test_a_job_without_a_keyring_refuses_keys(old, tmp_path) -> None:
    new_key(tmp_path / "key")
    with pytest.raises(ConfigError, match="no keyring"):
        adopted(old, keys=[tmp_path / "key"], encryption={"format": "none"})


NAMES = {
    "20243102.tgz": "refused",
    "20991201.tgz": "refused",
    "notes.txt": "unmatched",
    "20241201.tgz.part": "unmatched",
}


def test_it_says_why_a_name_was_not_understood(old) -> None:
    for name in NAMES:
        (old.store / name).write_bytes(tgz(("dump.sql", b"x")))
    (old.store / "sub").mkdir()
    (old.store / "sub" / "20241201.tgz").write_bytes(b"x")
    record = adopted(old)
    assert record["exit_code"] == 3
    assert {name: state for name, state in states(record).items() if state != "adopted"} == NAMES
    assert "date does not exist" in reasons(record)["20243102.tgz"]
    assert "future" in reasons(record)["20991201.tgz"]
    assert "does not match" in reasons(record)["notes.txt"]
    assert (record["adopted"]["unmatched"], record["adopted"]["elsewhere"]) == (2, 1)
    assert adopted(old)["changed"] is False


def test_a_store_full_of_other_names_fills_no_memory(old, monkeypatch) -> None:
    monkeypatch.setattr(names, "MOST_UNMATCHED", 2)
    for number in range(5):
        (old.store / ("other-%d" % number)).write_bytes(b"")
    record = adopted(old, check=True)
    assert (record["adopted"]["unmatched"], sorted(states(record))[-2:]) == (5, ["other-0", "other-1"])


def test_a_name_with_two_dates_is_ambiguous(host) -> None:
    host.store.mkdir()
    (host.store / "dump-20240110-20240112.tgz").write_bytes(tgz(("dump.sql", b"x")))
    assert "ambiguous" in reasons(adopted(host, "*%Y%m%d*.tgz"))["dump-20240110-20240112.tgz"]
    assert adopted(host, "dump-*-%Y%m%d.tgz")["exit_code"] == 0


@pytest.mark.parametrize(
    "template",
    [
        "",
        "/srv/archive/%Y%d%m.tgz",
        "../%Y%d%m.tgz",
        "./%Y%d%m.tgz",
        "%Y%d%m/",
        "old//%Y%d%m.tgz",
        ".log-archive-tmp-%Y%d%m.tgz",
        "%Y%d%m\0.tgz",
    ],
)
def test_a_template_that_matches_no_object_is_refused(template) -> None:
    with pytest.raises(ConfigError, match="no object of a store has such a name"):
        names.Template(template)


def test_a_template_may_name_folders(host) -> None:
    (host.store / "old" / "2024").mkdir(parents=True)
    (host.store / "old" / "2024" / "12.01 x.tgz").write_bytes(tgz(("./sub/dump.sql", b"x"), extra=[member("./sub", type=tarfile.DIRTYPE)]))
    record = adopted(host, "old/%Y/%d.%m x.tgz")
    assert record["exit_code"] == 0
    assert [name for name in files_below(host.store) if "adopted" in name] == [
        "web1/syslog/2024/01/12/adopted:old%2F2024%2F12.01%20x.tgz.adopted.json"
    ]
    rows = json.loads(command(host, "verify", JOB, "--level", "authenticated", "--json"))
    assert [row["error"] for row in rows] == [None]


HOSTILE = {
    "absolute": lambda: tgz(("/etc/passwd", b"x")),
    "parent": lambda: tgz(("../x", b"x")),
    "link": lambda: tgz(extra=[member("x", type=tarfile.SYMTYPE, linkname="/etc/passwd")]),
    "device": lambda: tgz(extra=[member("x", type=tarfile.CHRTYPE)]),
    "twice": lambda: tgz(("x", b"1"), ("./x", b"2")),
    "cut": lambda: tgz(("x", os.urandom(5000)))[:3000],
    "empty": tgz,
    "text": lambda: b"no archive at all",
    "zip with a parent": lambda: zipped(("../x", b"x")),
    "zip bomb": lambda: zipped(("x", bytes(8 << 20))),
    "cut zip": lambda: zipped(("x", os.urandom(5000)))[:-10],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_a_restore_would_refuse_is_not_adopted(old, kind) -> None:
    (old.store / "20240901.tgz").write_bytes(HOSTILE[kind]())
    record = adopted(old)
    assert (record["exit_code"], states(record)["20240901.tgz"]) == (4, "failed")
    assert list(states(record).values()).count("adopted") == 3
    assert not [name for name in files_below(old.store) if "20240901.tgz." in name]


def test_a_period_is_in_the_time_zone_of_the_job(old) -> None:
    adopted(old, select={"timezone": "Europe/Paris"})
    assert "web1/syslog/2024/01/11/adopted:20241201.tgz.adopted.json" in files_below(old.store)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", ["put", "add", "enter"])
def test_a_second_adopt_goes_on_where_the_first_was_killed(old, monkeypatch, step) -> None:
    def killed(*_arguments, **_options):
        raise Killed

    place = {
        "put": (adopting, "written"),
        "add": (adopting.Context, "enter"),
        "enter": ("ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.held.Held", "add"),
    }[step]
    with monkeypatch.context() as patch, pytest.raises(Killed):
        if isinstance(place[0], str):
            patch.setattr("%s.%s" % place, killed)
        else:
            patch.setattr(*place, killed)
        adopted(old)
    record = adopted(old)
    assert (record["exit_code"], record["errors"]) == (0, [])
    assert set(states(record).values()) <= {"adopted", "present"}
    assert sorted(key for _store, key in Ledger(str(old.state), JOB).replay()[0].held) == KEYS
    assert adopted(old)["changed"] is False
    command(old, "verify", JOB, "--level", "authenticated")


def test_a_wrong_template_is_named_and_can_be_undone(old) -> None:
    later = at("2025-01-01 00:00")
    wrong = adopt(old.document(), Wanted("file", "%Y%m%d.tgz"), later)
    assert wrong["exit_code"] == 0 and "web1/syslog/2024/12/01/adopted:20241201.tgz.adopted.json" in files_below(old.store)
    again = adopted(old)
    assert (again["exit_code"], again["changed"], set(states(again).values())) == (3, False, {"refused"})
    assert "'%Y%m%d.tgz' and another period, which starts at 2024-12-01T00:00:00Z" in reasons(again)["20241201.tgz"]
    for path in old.store.rglob("*.adopted.json"):
        path.unlink()
    command(old, "ledger", "accept", JOB, "--reason", "wrong template")
    right = adopted(old)
    assert (right["exit_code"], set(states(right).values())) == (0, {"adopted"})
    command(old, "verify", JOB, "--level", "authenticated")
    command(old, "ledger", "verify", JOB)


def test_two_adopts_do_not_meet(old) -> None:
    document = old.document()
    with job.locked(document), pytest.raises(LockedError):
        adopt(document, Wanted("file", TEMPLATE), NOW)


@pytest.mark.parametrize("append_only", [False, True])
def test_two_hosts_that_adopt_at_the_same_time_do_not_both_keep_an_archive(old, tmp_path, monkeypatch, append_only) -> None:
    """The other host adopts after this one has listed the store, and before it puts a manifest there."""
    other = Host(tmp_path / "other", [{"type": "file", "path": str(old.store)}])
    found = names.find

    def find_late(*arguments):
        result = found(*arguments)
        monkeypatch.setattr(names, "find", found)
        kept = adopted(other, TEMPLATE, host="web2")
        assert (kept["exit_code"], set(states(kept).values())) == (0, {"adopted"})
        return result

    before = originals(old)
    old.stores[0]["append_only"] = append_only
    monkeypatch.setattr(names, "find", find_late)
    record = adopted(old)
    assert (record["exit_code"], set(states(record).values())) == (3, {"refused"})
    reason = reasons(record)["20241201.tgz"]
    assert "already adopted, by the job syslog of the host web2; this job adopted it at the same time" in reason
    if append_only:
        assert "append-only" in reason
        return
    assert [name for name in files_below(old.store) if name.startswith("web1/syslog/2024")] == []
    assert {path: facts for path, facts in originals(old).items() if "/web2" not in path} == before
    assert adopted(old)["changed"] is False
    rows = json.loads(command(other, "verify", JOB, "--level", "authenticated", "--json", document={"host": "web2"}))
    assert [(row["error"], row["authenticated"]) for row in rows] == [(None, True)] * 3
    assert {str(row["stores"]) for row in json.loads(command(old, "list", JOB, "--json"))} == {"{'file': 'pruned'}"}
    command(old, "ledger", "verify", JOB)


def test_an_object_of_another_host_is_left_alone(old) -> None:
    adopted(old)
    other = adopted(old, host="web2")
    assert other["exit_code"] == 3
    assert set(reasons(other).values()) == {"it is already adopted, by the job syslog of the host web1"}
    assert not (old.store / "web2").exists()


def test_a_changed_object_is_found(old) -> None:
    adopted(old)
    (old.store / "20241201.tgz").write_bytes(tgz(("dump.sql", b"another")))
    assert "20241201.tgz" in command(old, "verify", JOB, code=4)
    for path in old.state.glob("catalog*"):
        path.unlink()
    record = adopted(old)
    assert (record["exit_code"], states(record)["20241201.tgz"]) == (4, "failed")
    assert "other bytes than its manifest" in reasons(record)["20241201.tgz"]


def test_a_forged_manifest_is_not_believed(old) -> None:
    adopted(old)
    right = old.store / (KEYS[2] + ".adopted.json")
    manifest = json.loads(right.read_text())
    manifest["period"]["start"] = "2024-01-12T01:00:00Z"
    right.write_text(json.dumps(manifest, sort_keys=True, separators=(",", ":")) + "\n")
    command(old, "verify", JOB, code=4)
    # One that points to another object: neither an archive of this software nor what has a manifest already can be its target.
    folder = old.store / "web1/syslog/2024/01/09"
    folder.mkdir()
    (folder / "adopted:20241101.tgz.adopted.json").write_text(json.dumps(manifest))
    held = inventory.read(file_store(old.store), NAME, JOB)
    assert KEYS[1] in [archive.key for archive in held.archives]
    assert "web1/syslog/2024/01/09/adopted:20241101.tgz" in held.damaged


def test_a_forged_manifest_does_not_make_a_prune_remove_an_object(old) -> None:
    document = {"encryption": {"format": "none"}}
    adopted(old, **document)
    for path in old.state.glob("catalog*"):
        path.unlink()
    policy = {"keep_last": 1, "max_delete_share": 1.0}
    record = job.prune(old.document(retention=policy, **document), (), NOW)
    assert record["pruned"]["file"]["removed"] == []
    scope, known = prune.Scope(NAME, JOB), prune.Known(trust=Trust())
    assert prune.everything(file_store(old.store), "on request", NOW, scope, known).plan.remove == []
    # What the catalog records goes by the rules.
    adopted(old, **document)
    record = job.prune(old.document(retention=policy, **document), (), NOW)
    assert record["pruned"]["file"]["removed"] == KEYS[:2]


def test_a_verification_without_the_key_does_not_take_a_plain_archive_for_a_token(old) -> None:
    adopted(old)
    store = file_store(old.store)
    trust = Trust(None, unencrypted=True)
    (first, *_others) = inventory.read(store, NAME, JOB, trust=trust).archives
    checked = verify(store, first, "read_back", trust)
    assert (checked.error, checked.level, checked.authenticated) == (None, "read_back", None)


def test_a_plain_zip_is_searched_and_restored(host, tmp_path) -> None:
    host.store.mkdir()
    (host.store / "20241201.zip").write_bytes(zipped(("sub/dump.sql", LOG)))
    assert adopted(host, "%Y%d%m.zip")["exit_code"] == 0
    assert ":1000" in command(host, "search", "a line", "--count")
    command(host, "restore", JOB, "--latest", "--to", str(tmp_path / "out"))
    assert (tmp_path / "out" / "sub" / "dump.sql").read_bytes() == LOG
    command(host, "drill", JOB)


def test_an_object_that_cannot_be_read_does_not_stop_the_others(old, monkeypatch) -> None:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import StoreDeniedError
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.file import FileStore

    right = FileStore._get

    def denied(self, name, start):
        if name == "20241101.tgz":
            raise StoreDeniedError("access denied", name)
        return right(self, name, start)

    monkeypatch.setattr(FileStore, "_get", denied)
    record = adopted(old)
    assert (record["exit_code"], states(record)["20241101.tgz"]) == (3, "failed")
    assert list(states(record).values()).count("adopted") == 2


def test_a_sync_copies_adopted_archives(old) -> None:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import sync as syncing

    adopted(old)
    second = old.folder / "second"
    old.stores.append({"type": "file", "name": "second", "path": str(second)})
    record = syncing.sync(old.document(), syncing.Wanted(["file"], ["second"]), NOW)
    assert (record["errors"], record["synced"]["second"]["copied"]) == ([], KEYS)
    assert (second / "20241201.tgz").read_bytes() == (old.store / "20241201.tgz").read_bytes()
    assert manifest_key(KEYS[0]) in [item.key for item in file_store(second).list()]
    command(old, "verify", JOB, "--level", "authenticated")


def test_a_sync_copies_objects_of_folders_to_a_flat_store(old, tmp_path, monkeypatch) -> None:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import sync as syncing

    (old.store / "old").mkdir()
    long = "%s-20241201.tgz" % ("b" * 160)
    for day, name in (("10", "20241001.tgz"), ("12", long)):
        (old.store / "old" / name).write_bytes(tgz(("dump.sql", b"older dump of the %s\n" % day.encode())))
    assert adopted(old, "old/*%Y%d%m.tgz")["exit_code"] == 0
    old.stores.append({"type": "file", "name": "second", "path": str(old.folder / "second"), "layout": "flat"})
    wanted = syncing.Wanted(["file"], ["second"])
    # With the longest name there is no room for the host, and that is seen before anything is read.
    monkeypatch.setattr(layout, "LONGEST_FLAT_NAME", 180)
    for check in (True, False):
        record = syncing.sync(old.document(), wanted, NOW, check)
        (key,) = record["synced"]["second"]["copied"]
        (error,) = record["errors"]
        assert key.endswith("/adopted:old%2F20241001.tgz") and "second" in error and "the limit is 180" in error
    monkeypatch.undo()
    assert syncing.sync(old.document(), wanted, NOW)["errors"] == []
    assert syncing.sync(old.document(), wanted, NOW)["changed"] is False
    assert [name for name in files_below(old.folder / "second") if long not in name and "ledger" not in name] == [
        "web1~syslog~20240110~adopted:old%2F20241001.tgz",
        "web1~syslog~20240110~adopted:old%2F20241001.tgz.adopted.json",
    ]
    rows = json.loads(command(old, "verify", JOB, "--level", "authenticated", "--json"))
    assert [(row["error"], row["authenticated"]) for row in rows] == [(None, True)] * 4
    command(old, "restore", JOB, "--store", "second", "--name", "adopted:old%2F20241001.tgz", "--to", str(tmp_path / "out"))
    assert (tmp_path / "out" / "dump.sql").read_bytes() == b"older dump of the 10\n"
    policy = {"keep_last": 1, "max_delete_share": 1.0}
    assert len(job.prune(old.document(retention=policy), (), NOW)["pruned"]["second"]["removed"]) == 1
    assert all(long in name or "ledger" in name for name in files_below(old.folder / "second"))


def test_the_same_archives_in_two_stores_are_one(old) -> None:
    second = old.folder / "second"
    second.mkdir()
    for name in ("20241001.tgz", "20241101.tgz", "20241201.tgz"):
        (second / name).write_bytes((old.store / name).read_bytes())
    old.stores.append({"type": "file", "name": "second", "path": str(second)})
    adopted(old)
    record = adopt(old.document(), Wanted("second", TEMPLATE), NOW)
    assert record["exit_code"] == 0
    assert [len(row["stores"]) for row in json.loads(command(old, "list", JOB, "--json"))] == [2, 2, 2]
    command(old, "verify", JOB)


def test_a_flat_store_is_adopted_too(old) -> None:
    old.stores[0]["layout"] = "flat"
    assert adopted(old)["exit_code"] == 0
    assert "web1~syslog~20240112~adopted:20241201.tgz.adopted.json" in files_below(old.store)
    command(old, "verify", JOB, "--level", "authenticated")
    record = job.prune(old.document(retention={"keep_last": 1, "max_delete_share": 1.0}), (), NOW)
    assert record["pruned"]["file"]["removed"] == KEYS[:2]
    assert "20241001.tgz" not in files_below(old.store)


def test_the_command_prints_each_object(old) -> None:
    (old.store / "20243102.tgz").write_bytes(b"")
    printed = command(old, "adopt", "file", "--template", TEMPLATE, "--dry-run", code=3)
    assert "20243102.tgz" in printed and "date does not exist" in printed
    assert "adopt    20241201.tgz" in printed
    assert "3 would be adopted" in printed
    command(old, "adopt", "nowhere", "--template", TEMPLATE, code=2)
    command(old, "adopt", "file", JOB, "--template", "plain.tgz", code=2)


def page_block(name):
    page = pathlib.Path(__file__).parents[6] / "docs" / "migrate.md"
    (block,) = re.findall(r"<!-- tested: %s -->\n```\w+\n(.*?)```" % name, page.read_text(encoding="utf-8"), re.DOTALL)
    return block


def run_page(host, name, old_name, content, key=None):
    """Run the commands of docs/migrate.md as they stand there, with folders of this test in place of servers and of those of a host."""
    document = json.loads(page_block(name))
    folders = {}
    for store in document["stores"]:
        store.setdefault("name", store["type"])
        folders[store["name"]] = host.folder / store["name"]
        folders[store["name"]].mkdir()
        (folders[store["name"]] / old_name).write_bytes(content)
    stores = [{"type": "file", "name": store_name, "path": str(folder)} for store_name, folder in folders.items()]
    document.update(host=NAME, state=str(host.state), spool=str(host.spool), stores=stores)
    document.pop("notify", None)
    document["log"] = str(host.events)
    if "keyring" in document["encryption"]:
        document["encryption"]["keyring"] = str(host.keyring)
    (host.folder / "jobs").mkdir()
    path = host.folder / "jobs" / (document["name"] + ".json")
    path.touch(0o600)
    path.write_text(json.dumps(document))
    printed = []
    for call in page_block("adopt " + name).splitlines():
        words = shlex.split(call.replace("/root/", "%s/" % host.folder))
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            returned = cli.main([*words[1:], "--config", str(host.folder / "jobs")])
        assert (words[0], returned) == ("log-archive", 0), out.getvalue()
        printed.append(out.getvalue())
    return printed


def test_the_commands_for_the_first_script_work(host) -> None:
    key = new_key(host.folder / "fernet.key")
    log = ("var/log/events/syslog.20240112.12", LOG)
    printed = run_page(host, "syslog", "syslog.20240112.12.tar.gz.encrypted", encrypted(key, tgz(log)))
    assert "1 would be adopted" in printed[0] and "2024-01-12T12:00:00Z to 2024-01-12T13:00:00Z" in printed[0]
    assert (host.folder / "restored" / log[0]).read_bytes() == LOG


def test_the_commands_for_the_second_script_work(host) -> None:
    printed = run_page(host, "dump", "20241201.tgz", tgz(("dump.sql", LOG)))
    assert "1 adopted" in printed[1] and "adopted:20241201.tgz" in printed[2]
    assert (host.folder / "restored" / "dump.sql").read_bytes() == LOG
