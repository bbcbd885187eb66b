# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packing: names, keys, plain archives, and sources that change or disappear meanwhile."""

from __future__ import annotations

import os
import shutil
import tarfile

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import protected
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job
from rigs.host import JOB, NOW, archives_in, assert_complete, assert_restores, file_store, files_below
from rigs.runs import ALL, GROUPS, Meddler, Restless, assert_all_archived, read_logs

pytest.importorskip("cryptography")


@pytest.mark.parametrize("group", GROUPS)
def test_a_job_without_encryption_makes_plain_archives_that_tar_and_restore_read(host, group, tmp_path):
    logs = {str(path): path.read_bytes() for path in host.write_logs(12, 13, 14)}
    record = host.run(encryption="none", archive={"group": group})
    assert (record["exit_code"], record["errors"]) == (0, [])
    assert {archive["key_id"] for archive in record["archives"]} == {None}
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


def test_a_job_that_encrypts_restores_plain_archives_only_on_request(host, tmp_path):
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


def test_plain_archives_are_not_made_again_when_the_job_begins_to_encrypt(host):
    host.write_logs(13)
    host.run(encryption="none")
    host.write_logs(14)
    assert [archive["name"] for archive in host.run()["archives"]] == ["syslog.20240112.14.tgz.fernet"]


def test_no_keyring_is_a_config_failure_that_leaves_nothing(host):
    host.write_logs(14)
    shutil.rmtree(host.keyring)
    record = host.run()
    assert (record["outcome"], record["exit_code"]) == ("failed", 2)
    assert "log-archive key create" in record["errors"][0]
    assert host.spooled() == []
    assert not host.store.exists()


def test_a_keyring_that_others_may_read_is_refused_with_the_chmod(host):
    host.write_logs(14)
    host.keyring.chmod(0o755)
    record = host.run()
    assert record["exit_code"] == 2
    assert "chmod 0700 %s" % host.keyring in record["errors"][0]
    host.keyring.chmod(0o700)
    assert host.run()["exit_code"] == 0


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
    record = host.run(select=ALL, archive={"group": group})
    assert record["errors"] == []
    assert_all_archived(host, read_logs(host))
    assert host.run(select=ALL, archive={"group": group})["outcome"] == "nothing to do"


def test_the_longest_name_and_suffix(host):
    (host.logs / ("x" * 255)).write_bytes(b"1")
    for revision in (b"1", b"22"):
        (host.logs / ("x" * 255)).write_bytes(revision)
        record = host.run(select=ALL, archive={"suffix": "." + "s" * 40})
        assert record["errors"] == []
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
    record = host.run(archive={"group": group})
    assert [archive["sources"] for archive in record["archives"]] == [[str(path)]]
    store = file_store(host.store)
    new = archives_in(store)
    if group != "run":
        (key,) = (archive["key"] for archive in record["archives"])
        assert key.endswith(".r2.tgz.fernet")
    for key, manifest in new.items():
        assert_restores(store, key, manifest, host, read_logs(host) if key in record["archives"][0]["key"] else old)


def test_a_folder_that_becomes_a_link_to_the_keys_during_a_run_yields_none(host, tmp_path, monkeypatch):
    secrets = tmp_path / "etc"
    secrets.mkdir()
    (secrets / "id").write_text("a private key")
    monkeypatch.setattr(protected, "SETTINGS", str(secrets))
    bait = host.logs / "bait"
    bait.mkdir()
    (bait / "id").write_text("just a bait  ")

    def swap():
        if not bait.is_symlink():
            shutil.rmtree(bait)
            bait.symlink_to(secrets)

    record = job.run(host.document(select=ALL), now=NOW, progress=Meddler(swap))
    assert bait.is_symlink()
    assert "of the job is a symbolic link" in str(record["errors"] + record["warnings"] + record["skipped"]), record
    assert_all_archived(host, {})


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("gone", ["removed", "a link now", "a folder now", "a pipe now"])
def test_a_source_that_disappears_between_selection_and_packing(host, group, gone):
    """The others of its archive are archived. It is reported, as an error only if something else has taken its place."""
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
    record = job.run(host.document(archive={"group": group}), now=NOW, progress=Meddler(deed))
    assert_complete(file_store(host.store), host, wanted)
    assert str(victim) in " ".join(record["warnings"] + record["errors"])
    assert record["exit_code"] == (0 if gone == "removed" else 3)
    assert host.spooled() == []


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("how", ["removed", "replaced", "renamed"])
def test_a_source_that_disappears_while_it_is_packed_is_archived_whole(host, group, how):
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

    record = job.run(host.document(archive={"group": group}), now=NOW, progress=Meddler(deed, 1 << 20))
    assert "removed or replaced after it was read" in record["warnings"][0]
    assert_complete(file_store(host.store), host, wanted)
    assert record["exit_code"] == 0


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

    record = job.run(host.document(archive={"group": group}), now=NOW, progress=Meddler(meddle, 1 << 20))
    assert record["warnings"] == []
    assert_all_archived(host, read_logs(host))


@pytest.mark.parametrize("group", GROUPS)
def test_a_source_that_never_stops_changing(host, group):
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
def test_a_source_that_never_stops_changing_is_refused_on_request_and_the_others_are_archived(host, group):
    victim, other = host.write_logs(14, 13)

    def grow():
        with open(victim, "ab") as file:
            file.write(b"line\n")

    record = job.run(host.document(archive={"group": group, "changed": "refuse"}), now=NOW, progress=Restless(grow))
    assert record["exit_code"] == 3
    assert "it changed each of the 3 times" in record["errors"][0]
    assert_complete(file_store(host.store), host, {str(other): other.read_bytes()})
    assert host.run(archive={"group": group, "changed": "refuse"})["exit_code"] == 0
    assert_all_archived(host, read_logs(host))
