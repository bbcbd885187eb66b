# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job: what a run does, what it says and with which exit code, with sources that misbehave and with a state that was lost."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
import threading

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import create as archiving, naming
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import (
    ConfigError,
    LockedError,
    LogArchiveError,
    SourceError,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import files as selection
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.database import FILE_NAME
from rigs.host import JOB, NAME, NOW, Host, archives_in, assert_complete, assert_restores, assert_tidy, at, file_store, files_below

pytest.importorskip("cryptography")

ALL = {"patterns": ["*"], "period": "none", "recurse": True}
GROUPS = ["file", "period", "run"]


@pytest.fixture
def host(tmp_path):
    """A host whose folder is in memory where there is such a place: hundreds of runs need not wait for a disk."""
    if not os.access("/dev/shm", os.W_OK):
        yield Host(tmp_path)
        return
    with tempfile.TemporaryDirectory(prefix="log-archive-test-", dir="/dev/shm") as folder:
        yield Host(folder)


def read_logs(host):
    return {os.path.join(host.logs, name): (host.logs / name).read_bytes() for name in files_below(host.logs)}


def assert_all_archived(host, wanted):
    assert_complete(file_store(host.store), host, wanted)
    assert_tidy(host.store)
    assert host.spooled() == []


# -- without encryption -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", GROUPS)
def test_a_job_that_does_not_encrypt_leaves_plain_archives_that_tar_opens_and_restore_takes(host, group, tmp_path):
    logs = {str(path): path.read_bytes() for path in host.write_logs(12, 13, 14)}
    recap = host.run(encryption="none", archive={"group": group})
    assert (recap["exit_code"], recap["errors"]) == (0, [])
    assert {archive["key_id"] for archive in recap["archives"]} == {None}
    opened = {}
    for key, manifest in archives_in(file_store(host.store)).items():
        assert key.endswith(".tgz") and manifest["encryption"] == {"format": "none", "key_id": None}
        assert manifest["archive"]["sha256"] == manifest["tgz"]["sha256"]
        with tarfile.open(host.store / key, "r:gz") as tar:
            opened.update({"/" + member.name: tar.extractfile(member).read() for member in tar})
    assert opened == logs
    assert host.run(encryption="none", archive={"group": group})["outcome"] == "nothing to do"
    host.write_document(encryption="none", archive={"group": group})
    restored = host.command("restore", JOB, "--since", "2024-01-01", "--to", str(tmp_path / "to"))
    assert restored.returncode == 0, restored.stderr
    assert {path: (tmp_path / "to" / path.lstrip("/")).read_bytes() for path in logs} == logs


def test_a_job_that_encrypts_does_not_restore_what_is_not_encrypted_unless_told_to(host, tmp_path):
    """Whoever can write to a store could put a forged archive, and a manifest that fits it, in the place of an encrypted one."""
    host.write_logs(14)
    host.run(encryption="none")
    host.write_document()
    call = ["restore", JOB, "--since", "2024-01-01", "--to", str(tmp_path / "to")]
    refused = host.command(*call)
    assert refused.returncode == 4 and "--unencrypted" in refused.stderr
    assert files_below(tmp_path / "to") == []
    assert host.command(*call, "--unencrypted").returncode == 0
    (archive,) = host.store.rglob("*.tgz")
    with open(archive, "r+b") as file:
        file.seek(-9, os.SEEK_END)
        file.write(b"!")
    damaged = host.command(*call[:-1], str(tmp_path / "again"), "--unencrypted")
    assert damaged.returncode == 4 and files_below(tmp_path / "again") == []


def test_what_was_archived_in_the_clear_is_not_archived_again_when_the_job_begins_to_encrypt(host):
    host.write_logs(13)
    host.run(encryption="none")
    host.write_logs(14)
    assert [archive["name"] for archive in host.run()["archives"]] == ["syslog.20240112.14.tgz.fernet"]


# -- a good day -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", GROUPS)
def test_a_run_archives_everything_and_the_next_has_nothing_to_do(host, group):
    host.write_logs(12, 13, 14)
    recap = host.run(archive={"group": group})
    assert (recap["outcome"], recap["exit_code"], recap["changed"]) == ("done", 0, True)
    assert {archive["state"] for archive in recap["archives"]} == {"done"}
    assert {archive["stores"]["file"]["verified_by"] for archive in recap["archives"]} == {"read_back"}
    assert recap["warnings"] == recap["errors"] == recap["missing"] == []
    assert_all_archived(host, read_logs(host))
    before = files_below(host.store)
    again = host.run(archive={"group": group})
    assert (again["outcome"], again["exit_code"], again["changed"]) == ("nothing to do", 0, False)
    assert files_below(host.store) == before


def test_catch_up_to_the_last_success(host):
    host.write_logs(8)
    assert host.run(at("2024-01-12 09:05"), select={"catch_up": "0"})["exit_code"] == 0
    host.write_logs(9, 10, 11, 12, 13, 14)
    assert host.run(select={"catch_up": "0"})["exit_code"] == 0
    assert_all_archived(host, read_logs(host))


def test_a_run_under_a_wrong_clock_does_not_hide_periods(host):
    """The clock was years ahead for one run, which succeeded; what comes after it is right again is caught up all the same."""
    host.write_logs(8)
    assert host.run(at("2024-01-12 09:05"), select={"catch_up": "0"})["exit_code"] == 0
    assert host.run(at("2024-06-01 00:05"), select={"catch_up": "0"})["exit_code"] == 0
    host.write_logs(9, 10, 11, 12, 13, 14)
    host.run(select={"catch_up": "0"})
    assert_all_archived(host, read_logs(host))


def test_a_clock_that_goes_back(host):
    host.write_logs(12, 13, 14)
    assert host.run()["exit_code"] == 0
    assert host.run(at("2024-01-12 13:05"))["outcome"] == "nothing to do"
    assert host.run(at("2023-01-01 00:05"))["exit_code"] == 0
    assert host.run()["outcome"] == "nothing to do"
    assert_all_archived(host, read_logs(host))


def test_missing_periods_are_told_and_an_error_only_on_request(host):
    host.write_logs(13)
    recap = host.run()
    assert recap["missing"] == [{"start": "2024-01-12T14:00:00Z", "end": "2024-01-12T15:00:00Z"}]
    assert "no log matches syslog.%Y%m%d.%H" in recap["warnings"][0]
    assert recap["exit_code"] == 0
    assert host.run(select={"must_exist": True})["exit_code"] == 1


def test_two_runs_at_once(host):
    host.write_logs(14)
    inside, go_on = threading.Event(), threading.Event()

    def hold(*_arguments):
        inside.set()
        assert go_on.wait(30)
        return True

    first = threading.Thread(target=lambda: job.run(host.document(), now=NOW, progress=lambda what, total: _Held(hold)))
    first.start()
    assert inside.wait(30)
    try:
        with pytest.raises(LockedError) as caught:
            host.run()
        assert caught.value.exit_code == 5
        assert "pid %d" % os.getpid() in str(caught.value)
    finally:
        go_on.set()
        first.join()
    assert host.run()["outcome"] == "nothing to do"


class _Held:
    def __init__(self, hold):
        self._hold = hold

    def __enter__(self):
        self._hold()
        return lambda count: None

    def __exit__(self, *_error):
        return None


# -- check mode -------------------------------------------------------------------------------------------------------


def tree(folder):
    """All that a run could change: names, sizes, times to the nanosecond, modes, contents."""
    found = {}
    for path, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            full = os.path.join(path, name)
            status = os.lstat(full)
            content = None if name in folders else open(full, "rb").read()  # noqa: SIM115
            found[full] = (status.st_mode, status.st_size if content is not None else 0, status.st_mtime_ns, status.st_ino, content)
    return found


@pytest.mark.parametrize("again", [False, True])
def test_a_dry_run_changes_nothing_and_tells_what_the_run_does(host, again):
    policy = {"retention": {"keep_last": 2, "max_delete_share": 1}, "delete_sources": True}
    if again:
        host.write_logs(9, 10, 11)
        assert host.run(at("2024-01-12 12:05"))["exit_code"] == 0
    host.write_logs(12, 13, 14)
    before = tree(host.folder)
    said = host.run(check=True, **policy)
    assert tree(host.folder) == before
    assert said["check"] and said["changed"] and said["exit_code"] == 0
    done = host.run(**policy)
    assert [a["key"] for a in said["archives"]] == [a["key"] for a in done["archives"]]
    assert {a["state"] for a in said["archives"]} == {"would be archived"}
    assert said["sources_deleted"] == done["sources_deleted"]
    assert said["pruned"]["file"]["removed"] == done["pruned"]["file"]["removed"]
    assert len(done["pruned"]["file"]["removed"]) == (4 if again else 1)
    planned = {row["key"]: row["action"] for row in said["pruned"]["file"]["plan"]}
    assert sorted(key for key, action in planned.items() if action == "keep") == sorted(archives_in(file_store(host.store)))
    before = tree(host.folder)
    assert host.run(check=True, **policy)["changed"] is False
    assert tree(host.folder) == before


def test_a_dry_run_before_the_first_success(host, tmp_path):
    """The catalog is there, and what it knows is looked up in the stores too; still nothing is written."""
    down = tmp_path / "not" / "mounted"
    host.stores.append({"type": "file", "name": "down", "path": str(down), "attempts": 1})
    host.write_logs(13)
    assert host.run()["exit_code"] == 3
    host.write_logs(14)
    before = tree(host.folder)
    said = host.run(check=True)
    assert tree(host.folder) == before
    assert [(a["state"], os.path.basename(a["key"])) for a in said["archives"]] == [
        ("would be sent", "syslog.20240112.13.tgz.fernet"),
        ("would be archived", "syslog.20240112.14.tgz.fernet"),
    ]


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("killed", [False, True])
def test_a_dry_run_after_the_catalog_was_lost(host, group, killed):
    host.write_logs(12, 13, 14)
    host.run(archive={"group": group})
    shutil.rmtree(host.state)
    if killed:
        host.state.mkdir()
        catalog = Catalog(str(host.state))
        catalog.runs.begin(JOB, NOW.timestamp())
        catalog.close()
    before = tree(host.folder)
    assert host.run(check=True, archive={"group": group})["archives"] == []
    assert tree(host.folder) == before


def test_a_dry_run_of_prune_changes_nothing(host):
    host.write_logs(12, 13, 14)
    host.run()
    document = host.document(retention={"keep_last": 1, "max_delete_share": 1})
    before = tree(host.folder)
    said = job.prune(document, now=NOW, check=True)
    assert tree(host.folder) == before
    assert job.prune(document, now=NOW)["pruned"]["file"]["removed"] == said["pruned"]["file"]["removed"]
    assert len(archives_in(file_store(host.store))) == 1


# -- sources ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", GROUPS)
def test_awkward_names_and_contents(host, group):
    """Newline, bytes that are not UTF-8, percent and braces, very long, empty, nothing but zeros, same name in two folders."""
    names = [
        "line\nbreak.log",
        "\udcff\udc80.log",
        "100%d{job}.log",
        "ü" * 60,
        "x" * 255,
        "empty",
        "zeros",
        " ",
        "-rf",
        "~",
        "a.tgz.fernet",
        "m.manifest.json",
    ]
    for name in names:
        (host.logs / name).write_bytes(b"" if name == "empty" else bytes(70000) if name == "zeros" else os.fsencode(name))
    for folder in ("a", "b"):
        (host.logs / folder).mkdir()
        (host.logs / folder / "syslog").write_bytes(folder.encode())
    recap = host.run(select=ALL, archive={"group": group})
    assert recap["errors"] == []
    assert_all_archived(host, read_logs(host))
    assert host.run(select=ALL, archive={"group": group})["outcome"] == "nothing to do"


def test_the_longest_name_and_suffix(host):
    (host.logs / ("x" * 255)).write_bytes(b"1")
    for revision in (b"1", b"22"):
        (host.logs / ("x" * 255)).write_bytes(revision)
        recap = host.run(select=ALL, archive={"suffix": "." + "s" * 40})
        assert recap["errors"] == []
    assert len(archives_in(file_store(host.store))) == 2


def test_the_same_base_name_in_two_folders_makes_two_archives(host):
    for folder in ("a", "b"):
        (host.logs / folder).mkdir()
        (host.logs / folder / "syslog.20240112.14").write_bytes(folder.encode())
    host.run(select={"recurse": True})
    assert [os.path.basename(key) for key in archives_in(file_store(host.store))] == [
        "syslog.20240112.14.r2.tgz.fernet",
        "syslog.20240112.14.tgz.fernet",
    ]
    assert_all_archived(host, read_logs(host))


@pytest.mark.parametrize("group", GROUPS)
def test_a_source_that_changed_after_its_archive_is_archived_again(host, group):
    host.write_logs(13, 14)
    host.run(archive={"group": group})
    old = read_logs(host)
    path = host.write_logs(14, size=3500)[0]
    recap = host.run(archive={"group": group})
    assert [archive["sources"] for archive in recap["archives"]] == [[str(path)]]
    store = file_store(host.store)
    new = archives_in(store)
    if group != "run":
        (key,) = (archive["key"] for archive in recap["archives"])
        assert key.endswith(".r2.tgz.fernet")
    for key, manifest in new.items():
        assert_restores(store, key, manifest, host, read_logs(host) if key in recap["archives"][0]["key"] else old)


def test_links_folders_pipes_and_sockets_are_no_sources(host):
    (host.logs / "real").write_bytes(b"x")
    (host.logs / "link").symlink_to("real")
    (host.logs / "dangling").symlink_to("nothing")
    os.mkfifo(host.logs / "pipe")
    recap = host.run(select=ALL)
    assert {os.path.basename(skipped["path"]) for skipped in recap["skipped"]} == {"link", "dangling", "pipe"}
    assert_complete(file_store(host.store), host, {str(host.logs / "real"): b"x"})


def test_no_key_and_nothing_from_the_folder_of_keys_is_ever_archived(host, tmp_path, monkeypatch):
    """Whoever may edit a job document must not get at the keys through an archive of their own."""
    secrets = tmp_path / "etc"
    secrets.mkdir()
    (secrets / "id_ed25519").write_text("a private key")
    monkeypatch.setattr(selection, "_SECRETS", str(secrets))
    (host.logs / "link").symlink_to(secrets)
    (host.logs / "plain").write_bytes(b"x")
    recap = host.run(select=dict(ALL, paths=[str(host.logs), str(host.keyring), str(secrets), str(host.logs / "link")]))
    assert [archive["sources"] for archive in recap["archives"] if "plain" in archive["name"]] == [[str(host.logs / "plain")]]
    taken = {path for archive in recap["archives"] for path in archive["sources"]}
    assert not [path for path in taken if path.endswith((".key", "id_ed25519"))]
    refused = [skipped["path"] for skipped in recap["skipped"] if "never archived" in skipped["reason"]]
    assert sorted(map(os.path.basename, refused)) == sorted([*(n for n in os.listdir(host.keyring) if n.endswith(".key")), "id_ed25519"])


def test_a_folder_that_becomes_a_link_to_the_keys_while_a_run_is_under_way_yields_none(host, tmp_path, monkeypatch):
    secrets = tmp_path / "etc"
    secrets.mkdir()
    (secrets / "id").write_text("a private key")
    monkeypatch.setattr(selection, "_SECRETS", str(secrets))
    bait = host.logs / "bait"
    bait.mkdir()
    (bait / "id").write_text("just a bait  ")

    def swap():
        if not bait.is_symlink():
            shutil.rmtree(bait)
            bait.symlink_to(secrets)

    recap = job.run(host.document(select=ALL), now=NOW, progress=Meddler(swap))
    assert bait.is_symlink()
    assert "never archived" in str(recap["errors"] + recap["warnings"] + recap["skipped"]), recap
    assert_all_archived(host, {})


class Meddler:
    """Does something to a source at a moment of a run: when packing begins, or in the middle of it."""

    def __init__(self, deed, at_byte=None):
        self._deed = deed
        self._at = at_byte

    def __call__(self, what, total):
        return self if what.startswith("pack") else _Held(lambda: None)

    def __enter__(self):
        if self._at is None:
            self._deed()
        return self._advance

    def __exit__(self, *_error):
        return None

    def _advance(self, count):
        if self._at is not None:
            self._at -= count
            if self._at <= 0:
                self._at = None
                self._deed()


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("gone", ["removed", "a link now", "a folder now", "a pipe now"])
def test_a_source_that_goes_between_selection_and_packing(host, group, gone):
    """The others of its archive are archived; what went is told, and is an error only where something else stands in its place."""
    victim, other = host.write_logs(14, 13)

    def deed():
        if not os.path.isfile(victim) or os.path.islink(victim):
            return
        victim.unlink()
        if gone == "a link now":
            victim.symlink_to("/etc/passwd")
        elif gone == "a folder now":
            victim.mkdir()
        elif gone == "a pipe now":
            os.mkfifo(victim)

    wanted = {str(other): other.read_bytes()}
    recap = job.run(host.document(archive={"group": group}), now=NOW, progress=Meddler(deed))
    assert_complete(file_store(host.store), host, wanted)
    assert str(victim) in " ".join(recap["warnings"] + recap["errors"])
    assert recap["exit_code"] == (0 if gone == "removed" else 3)
    assert host.spooled() == []


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("how", ["removed", "replaced", "renamed"])
def test_a_source_that_goes_while_it_is_packed_is_archived_whole(host, group, how):
    victim = host.logs / "syslog.20240112.14"
    victim.write_bytes(os.urandom(3 << 20))
    wanted = {str(victim): victim.read_bytes()}

    def deed():
        if how == "removed":
            victim.unlink()
        else:
            victim.rename(host.folder / "moved")
        if how == "replaced":
            victim.write_bytes(b"new")

    recap = job.run(host.document(archive={"group": group}), now=NOW, progress=Meddler(deed, 1 << 20))
    assert "removed or replaced after it was read" in recap["warnings"][0]
    assert_complete(file_store(host.store), host, wanted)
    assert recap["exit_code"] == 0


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("deed", ["grows", "shrinks", "is rewritten"])
def test_a_source_that_changes_once_while_it_is_packed_is_packed_again(host, group, deed):
    victim = host.logs / "syslog.20240112.14"
    victim.write_bytes(os.urandom(3 << 20))

    def meddle():
        if deed == "grows":
            with open(victim, "ab") as file:
                file.write(b"one line more\n")
        elif deed == "shrinks":
            os.truncate(victim, 1000)
        else:
            with open(victim, "r+b") as file:
                file.write(b"other")

    recap = job.run(host.document(archive={"group": group}), now=NOW, progress=Meddler(meddle, 1 << 20))
    assert recap["warnings"] == []
    assert_all_archived(host, read_logs(host))


class Restless(Meddler):
    """Changes a source at every megabyte of every attempt."""

    def __init__(self, deed):
        super().__init__(deed, 1)

    def _advance(self, count):
        self._deed()


@pytest.mark.parametrize("group", GROUPS)
def test_a_source_that_never_rests(host, group):
    victim, other = host.write_logs(14, 13)

    def grow():
        with open(victim, "ab") as file:
            file.write(b"line\n")

    kept = job.run(host.document(archive={"group": group}), now=NOW, progress=Restless(grow))
    assert any("changed while it was read" in warning for warning in kept["warnings"])
    assert kept["exit_code"] == 0
    manifests = list(archives_in(file_store(host.store)).values())
    assert {s["path"]: s["changed"] for m in manifests for s in m["sources"]} == {str(victim): True, str(other): False}
    # At rest it is archived again, whole.
    final = host.run(archive={"group": group})
    assert [archive["sources"] for archive in final["archives"]] == [[str(victim)]]
    assert host.run(archive={"group": group})["outcome"] == "nothing to do"


@pytest.mark.parametrize("group", GROUPS)
def test_a_source_that_never_rests_is_refused_on_request_and_the_others_are_archived(host, group):
    victim, other = host.write_logs(14, 13)

    def grow():
        with open(victim, "ab") as file:
            file.write(b"line\n")

    recap = job.run(host.document(archive={"group": group, "changed": "refuse"}), now=NOW, progress=Restless(grow))
    assert recap["exit_code"] == 3
    assert "it changed each of the 3 times" in recap["errors"][0]
    assert_complete(file_store(host.store), host, {str(other): other.read_bytes()})
    assert host.run(archive={"group": group, "changed": "refuse"})["exit_code"] == 0
    assert_all_archived(host, read_logs(host))


def test_deleting_sources_waits_for_every_required_store_and_spares_what_changed(host, tmp_path):
    down = tmp_path / "not" / "mounted"
    host.stores = [{"type": "file", "path": str(host.store)}, {"type": "file", "name": "second", "path": str(down), "attempts": 1}]
    first, second = host.write_logs(13, 14)
    recap = host.run(delete_sources=True)
    assert recap["exit_code"] == 3
    assert recap["sources_deleted"] == []
    assert first.exists() and second.exists()
    down.mkdir(parents=True)
    second.write_bytes(b"changed since")
    recap = host.run(delete_sources=True)
    assert recap["exit_code"] == 0
    # The first is safe now. The second was archived anew in the same run, and is safe too.
    assert sorted(recap["sources_deleted"]) == [str(first), str(second)]
    assert len(archives_in(file_store(down))) == len(archives_in(file_store(host.store))) == 3


# -- stores -----------------------------------------------------------------------------------------------------------


def test_one_dead_store_does_not_stop_the_other(host, tmp_path):
    down = tmp_path / "not" / "mounted"
    host.stores = [{"type": "file", "name": "down", "path": str(down), "attempts": 1}, {"type": "file", "path": str(host.store)}]
    wanted_paths = host.write_logs(13, 14)
    recap = host.run()
    assert (recap["outcome"], recap["exit_code"]) == ("partly done", 3)
    assert recap["spool"]["archives"] == 2
    assert len(host.spooled()) == 4
    assert_complete(file_store(host.store), host, read_logs(host))
    for path in wanted_paths:
        path.unlink()
    down.mkdir(parents=True)
    later = host.run()
    assert (later["outcome"], later["exit_code"]) == ("done", 0)
    assert host.spooled() == []
    assert archives_in(file_store(down)) == archives_in(file_store(host.store))


def test_a_store_that_is_not_required_keeps_nothing_in_the_spool(host, tmp_path):
    host.stores.append({"type": "file", "name": "extra", "path": str(tmp_path / "no" / "where"), "required": False, "attempts": 1})
    host.write_logs(14)
    assert host.run()["exit_code"] == 3
    assert host.spooled() == []
    assert host.run()["outcome"] == "nothing to do"


def test_nobodys_file_is_overwritten(host):
    """Where something else stands at the key already, the archive gets the next name."""
    key = "%s/%s/2024/01/12/syslog.20240112.14.tgz.fernet" % (NAME, JOB)
    for name in (key, naming.manifest_key(key)):
        (host.store / name).parent.mkdir(parents=True, exist_ok=True)
        (host.store / name).write_bytes(b"foreign")
    host.write_logs(14)
    assert host.run()["exit_code"] == 0
    assert (host.store / key).read_bytes() == b"foreign"
    assert "syslog.20240112.14.r2.tgz.fernet" in os.listdir((host.store / key).parent)


def test_a_stranger_in_the_spool_is_left_alone_and_stops_nothing(host):
    folder = host.spool / NAME / JOB / "2024" / "01" / "12"
    folder.mkdir(parents=True)
    (folder / "syslog.20240112.14.tgz.fernet").write_bytes(b"stranger")
    host.write_logs(14)
    recap = host.run()
    assert recap["exit_code"] == 0
    assert "left alone" in recap["warnings"][0]
    assert (folder / "syslog.20240112.14.tgz.fernet").read_bytes() == b"stranger"
    assert_complete(file_store(host.store), host, read_logs(host))


# -- lost state -------------------------------------------------------------------------------------------------------


def lose(host, *what):
    for folder in what:
        shutil.rmtree(host.folder / folder)


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
    recap = host.run(archive={"group": group})
    assert recap["exit_code"] == 0, recap["errors"]
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
    recap = host.run(archive={"group": group})
    assert recap["exit_code"] == 0, recap["errors"]
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
    recap = host.run(archive={"group": group})
    assert recap["exit_code"] == 0, recap["errors"]
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


def test_what_a_run_left_that_was_killed_while_it_cleaned(host):
    """An upload was cut in a first run, a second completed it and was killed while it cleaned: the third has nothing else to do."""
    host.write_logs(14)
    host.run()
    leftover = host.store / NAME / JOB / "2024" / "01" / "12" / ".log-archive-syslog.part"
    leftover.write_bytes(b"x")
    assert host.run()["outcome"] == "nothing to do"
    assert leftover.exists(), "a run after a good one does not look"
    catalog = Catalog(str(host.state))
    catalog.runs.begin(JOB, NOW.timestamp())
    catalog.close()
    assert host.run()["outcome"] == "nothing to do"
    assert not leftover.exists()


def test_a_damaged_catalog_says_what_to_do(host):
    host.write_logs(14)
    host.run()
    (host.state / FILE_NAME).write_bytes(b"not a database" * 1000)
    with pytest.raises(LogArchiveError, match="move it away"):
        host.run()
    lose(host, "state")
    assert host.run()["exit_code"] == 0
    assert_all_archived(host, read_logs(host))


def test_the_catalog_never_says_that_a_store_has_what_was_pruned(host):
    host.write_logs(12, 13, 14)
    host.run()
    host.run(retention={"keep_last": 1, "max_delete_share": 1})
    catalog = Catalog(str(host.state))
    assert list(catalog.held(JOB, "file")) == list(archives_in(file_store(host.store)))
    catalog.close()


# -- keys -------------------------------------------------------------------------------------------------------------


def test_a_store_that_is_append_only_for_the_host_is_never_pruned_by_it(host, tmp_path):
    other = tmp_path / "other"
    stores = [{"type": "file", "path": str(host.store)}, {"type": "file", "name": "vault", "path": str(other), "append_only": True}]
    host.write_logs(11, 12, 13, 14)
    recap = host.run(stores=stores, retention={"keep_last": 1, "max_delete_share": 1})
    assert list(recap["pruned"]) == ["file"] and recap["warnings"] == []
    assert (len(archives_in(file_store(host.store))), len(archives_in(file_store(other)))) == (1, 4)
    again = job.prune(host.document(stores=stores, retention={"keep_last": 1}), ["vault"], NOW)
    assert again["pruned"] == {} and "append-only" in again["warnings"][0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("folder", ["state", "spool"])
def test_a_job_of_another_user_is_not_run_as_root(host, folder):
    """What root leaves among its files, the user's own next run could not touch."""
    path = host.folder / folder
    path.mkdir(exist_ok=True)
    os.chown(path, 65534, 65534)
    with pytest.raises(ConfigError, match="%s: the job belongs to the user nobody" % path):
        host.run()
    assert host.run(check=True)["exit_code"] == 0


def test_no_keyring_is_a_config_failure_that_leaves_nothing(host):
    host.write_logs(14)
    shutil.rmtree(host.keyring)
    recap = host.run()
    assert (recap["outcome"], recap["exit_code"]) == ("failed", 2)
    assert "log-archive key create" in recap["errors"][0]
    assert host.spooled() == []
    assert not host.store.exists()


def test_a_keyring_that_others_may_read_is_refused_with_the_chmod(host):
    host.write_logs(14)
    host.keyring.chmod(0o755)
    recap = host.run()
    assert recap["exit_code"] == 2
    assert "chmod 0700 %s" % host.keyring in recap["errors"][0]
    host.keyring.chmod(0o700)
    assert host.run()["exit_code"] == 0


# -- the recap and the events -----------------------------------------------------------------------------------------


def test_every_event_is_a_line_of_json_without_a_line_of_the_logs(host):
    (path,) = host.write_logs(14)
    host.run()
    events = [json.loads(line) for line in host.events.read_text().splitlines()]
    assert [event["event"] for event in events] == ["run_started", "archived", "stored", "run_ended"]
    assert {(event["job"], event["host"]) for event in events} == {(JOB, NAME)}
    assert "request" not in host.events.read_text()
    assert path.read_text().startswith("Jan 12 web1 app[14]: request")


def test_an_event_log_that_cannot_be_written_is_an_error_and_stops_nothing(host):
    host.write_logs(14)
    recap = host.run(log=str(host.folder / "missing" / "events.jsonl"))
    assert recap["exit_code"] == 3
    assert len(recap["errors"]) == 1 and "event log" in recap["errors"][0]
    assert_all_archived(host, read_logs(host))


def test_a_recap_is_kept_in_the_catalog(host):
    host.write_logs(14)
    recap = host.run()
    catalog = Catalog(str(host.state))
    last = catalog.runs.last(JOB)
    catalog.close()
    assert (last.exit_code, last.record) == (0, recap)


def test_creating_an_archive_where_one_stands_is_refused(host, tmp_path):
    path = tmp_path / "a.tgz.fernet"
    path.write_bytes(b"x")
    with pytest.raises(FileExistsError):
        archiving.create_archive(str(path), [], None, NAME, JOB, None)
    assert issubclass(SourceError, LogArchiveError)


def test_what_retention_spared_for_a_store_that_was_down_goes_once_that_store_is_back(host):
    up, down = host.folder / "up", host.folder / "not-mounted" / "down"
    host.stores = [{"type": "file", "name": name, "path": str(path)} for name, path in (("up", up), ("down", down))]
    host.write_logs(11, 12, 13, 14)
    policy = {"keep_last": 1, "max_delete_share": 1}
    assert host.run(retention=policy)["exit_code"] == 3
    assert len(archives_in(file_store(up))) == 4
    down.parent.mkdir()
    assert host.run(retention=policy)["exit_code"] == 0
    assert [len(archives_in(file_store(path))) for path in (up, down)] == [1, 1]
