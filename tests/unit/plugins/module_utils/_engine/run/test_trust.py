# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The attacks of operators, who may write job documents, and of other users of the host: no run gives them a key or follows their links."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import manifest as manifests
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import protected
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError, LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import files
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_check import normalise_stream
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import inventory, restore as restoring, stock
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.messages import Message
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.receivers import mail
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.receivers.base import ReceiverError
from rigs import streams
from rigs.host import Host, archives_in, file_store, files_below
from rigs.swaps import OTHER_USER, can_swap, opened_to_all, others_folder, swapping

pytest.importorskip("cryptography")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
needs_swaps = pytest.mark.skipif(not can_swap(), reason="needs root and renameat2")


def key_file(host: Host) -> pathlib.Path:
    """The file of the key of the host."""
    return next(host.keyring.glob("*.key"))


def tree_of_keys(host: Host) -> t.Dict[str, bytes]:
    """Everything in the keyring."""
    return {name: (host.keyring / name).read_bytes() for name in files_below(host.keyring)}


def settings_of(folder: pathlib.Path, monkeypatch: t.Any) -> pathlib.Path:
    """A folder that takes the place of /etc/log-archive."""
    settings = folder / "etc"
    settings.mkdir(mode=0o755)
    monkeypatch.setattr(protected, "SETTINGS", str(settings))
    return settings


# -- log: a key, with a mail that attaches the log --------------------------------------------------------------------


@pytest.mark.parametrize("link", [False, True])
def test_a_log_that_is_a_key_is_neither_written_nor_attached(host: Host, link: bool) -> None:
    before = tree_of_keys(host)
    log = key_file(host)
    if link:
        # The operator swapped the link in after the document was checked.
        (host.folder / "events").symlink_to(log)
        log = host.folder / "events"
    notify = [{"type": "mail", "to": ["root"], "attach_log": True}]
    document = host.document(log=str(log), notify=notify)
    record = host.run(log=str(log))
    assert record["exit_code"] != 0 and "it lies in the keyring" in "".join(record["errors"])
    with pytest.raises(ConfigError, match="it lies in the keyring"):
        mail.compose(document["notify"][0], Message([record], False, document["log"], dict))
    assert tree_of_keys(host) == before


def test_a_copy_of_a_key_outside_of_a_keyring_is_not_attached(host: Host) -> None:
    copy = host.folder / key_file(host).name
    copy.write_bytes(key_file(host).read_bytes())
    with pytest.raises(ConfigError, match="the name of a key"):
        mail.end_of_log(str(copy), 1000)


@pytest.mark.parametrize("name", ["%s", ".log-archive-%s-0123456789abcdef.part"])
def test_a_key_is_not_archived_not_even_while_it_is_written(host: Host, name: str) -> None:
    """A keyring writes a key under a temporary name first, and a run may meet it."""
    (host.logs / (name % key_file(host).name)).write_bytes(key_file(host).read_bytes())
    record = host.run(select={"patterns": ["*", ".*"], "period": "none"})
    assert record["archives"] == [] and [skipped["reason"] for skipped in record["skipped"]] == [protected.SECRET]


@pytest.mark.parametrize("folder", [".aws", ".ssh"])
def test_the_credentials_of_the_user_are_neither_archived_nor_attached(host: Host, folder: str) -> None:
    """With the role runner, the home of the user that runs the jobs is the state."""
    credentials = host.state / folder / "credentials"
    credentials.parent.mkdir(parents=True, mode=0o700)
    host.state.chmod(0o700)
    credentials.write_text("a secret of the user\n")
    (host.folder / "link").symlink_to(credentials)
    select = {"paths": [str(host.state), str(credentials)], "patterns": ["*"], "period": "none", "recurse": True}
    record = host.run(select=select, encryption="none")
    assert str(credentials) not in str([archive["sources"] for archive in record["archives"]])
    for path in (credentials, host.folder / "link"):
        with pytest.raises(ReceiverError, match="it may contain keys or passwords"):
            mail.end_of_log(str(path), 1000)


@pytest.mark.parametrize("where", ["keyring", "etc"])
@pytest.mark.parametrize("kind", ["log", "textfile"])
def test_notifications_are_not_written_among_keys_and_settings(host: Host, monkeypatch: t.Any, kind: str, where: str) -> None:
    settings_of(host.folder, monkeypatch)
    (host.folder / "link").symlink_to(where)
    path = host.folder / "link" / "x" if kind == "log" else host.folder / "link"
    before = files_below(host.folder / where)
    record = host.run(notify=[{"type": kind, "path": str(path)}])
    assert "it lies in" in "".join(record["warnings"])
    assert files_below(host.folder / where) == before


# -- state and spool ---------------------------------------------------------------------------------------------------


def plant_key_in_spool(host: Host, spool: pathlib.Path) -> None:
    """A symbolic link to a key in place of an archive, with a manifest that fits the key."""
    host.write_logs(14)
    host.run()
    manifest = next(iter(archives_in(file_store(host.store)).values()))
    key = key_file(host)
    data = key.read_bytes()
    planted = spool / "web1" / "syslog" / "2024" / "01" / "12" / "planted.tgz.fernet"
    planted.parent.mkdir(parents=True)
    planted.symlink_to(key)
    manifest["archive"].update(_facts(data), name=planted.name)
    planted.with_name(planted.name + ".manifest.json").write_bytes(manifests.dump(manifest))


def _facts(data: bytes) -> t.Any:
    import hashlib

    return {"size": len(data), "md5": hashlib.md5(data).hexdigest(), "sha256": hashlib.sha256(data).hexdigest()}


def in_store(host: Host) -> bytes:
    """Every byte of the store."""
    return b"".join((host.store / name).read_bytes() for name in files_below(host.store))


def test_a_link_to_a_key_in_the_spool_is_not_sent(host: Host) -> None:
    spool = host.folder / "own"
    spool.mkdir(mode=0o700)
    plant_key_in_spool(host, spool)
    host.run(spool=str(spool))
    assert key_file(host).read_bytes().strip() not in in_store(host)
    assert "planted" not in " ".join(files_below(host.store))


@needs_root
@pytest.mark.parametrize("which", ["spool", "state"])
@pytest.mark.parametrize("way", ["owner", "mode", "parent"])
def test_a_folder_that_an_operator_can_change_is_refused(host: Host, which: str, way: str) -> None:
    theirs = host.folder / "theirs"
    theirs.mkdir(mode=0o755)
    path = theirs / "folder" if way == "parent" else theirs
    plant_key_in_spool(host, path)
    if way == "mode":
        theirs.chmod(0o777)
    else:
        os.chown(theirs, OTHER_USER, OTHER_USER)
    before = in_store(host)
    with pytest.raises(LogArchiveError, match="belongs to the user|others can write"):
        host.run(**{which: str(path)})
    assert in_store(host) == before


@pytest.mark.parametrize("which", ["spool", "state"])
@pytest.mark.parametrize("where", ["keyring", "etc"])
def test_spool_and_state_do_not_lie_among_keys_and_settings(host: Host, monkeypatch: t.Any, which: str, where: str) -> None:
    settings_of(host.folder, monkeypatch)
    before = files_below(host.folder / where)
    (host.folder / "link").symlink_to(where)
    for path in (host.folder / where, host.folder / where / "new" / "deep", host.folder / "link", host.folder / "link" / "new"):
        with pytest.raises(ConfigError, match="it lies in"):
            host.run(**{which: str(path)})
    assert files_below(host.folder / where) == before and not (host.folder / where / "new").exists()


@pytest.mark.parametrize("name", ["catalog.sqlite", "catalog.sqlite-wal", "syslog.lock"])
def test_a_link_in_place_of_a_file_of_the_state_is_refused(host: Host, name: str) -> None:
    host.state.mkdir(mode=0o700)
    victim = host.folder / "victim"
    victim.write_bytes(b"victim")
    (host.state / name).symlink_to(victim)
    with pytest.raises(LogArchiveError):
        host.run()
    assert victim.read_bytes() == b"victim"


# -- a web job, with state/web as a link to the parent of the keyring ---------------------------------------------------


@pytest.mark.parametrize("where", ["web", "web/syslog"])
def test_a_web_job_removes_nothing_through_a_link(host: Host, where: str) -> None:
    parent = host.folder / "keys"
    (parent / "syslog").mkdir(parents=True)
    host.keyring.rename(parent / "syslog" / "keyring")
    host.keyring = parent / "syslog" / "keyring"
    before = tree_of_keys(host)
    link = host.state / where
    link.parent.mkdir(parents=True, mode=0o700)
    host.state.chmod(0o700)
    link.symlink_to(parent if where == "web" else parent / "syslog")
    given = host.given(encryption="none", web={"url": "https://127.0.0.1:1/x.zip", "attempts": 1, "timeout": "2"})
    del given["select"]
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job

    record = job.run(normalise(given))
    assert record["exit_code"] != 0
    assert tree_of_keys(host) == before


# -- file stores -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["keyring", "etc"])
def test_a_file_store_does_not_lie_among_keys_and_settings(host: Host, monkeypatch: t.Any, where: str) -> None:
    settings_of(host.folder, monkeypatch)
    (host.folder / "link").symlink_to(where)
    host.write_logs(14)
    before = files_below(host.folder / where)
    for path in (host.folder / where, host.folder / where / "new", host.folder / "link", host.folder / "link" / "new"):
        record = host.run(stores=[{"type": "file", "path": str(path)}])
        assert "it lies in" in "".join(record["errors"])
    assert files_below(host.folder / where) == before


# -- streams -----------------------------------------------------------------------------------------------------------


def test_a_stream_follows_no_key(host: Host, monkeypatch: t.Any) -> None:
    settings = settings_of(host.folder, monkeypatch)
    (settings / "other").write_bytes(b"a secret of the host\n")
    host.folder.joinpath("link").symlink_to("keyring")
    follow = {"paths": [str(host.keyring), str(settings), str(host.folder / "link")], "patterns": ["*.key", "other"], "rotated": []}
    row = follower.catch_up(streams.document(host.folder, follow=follow, state=str(host.state)))
    stored = b"".join(path.read_bytes() for path in [*host.folder.glob("db.sqlite*"), *host.state.iterdir()] if path.is_file())
    for secret in (key_file(host).read_bytes().strip(), b"a secret of the host"):
        assert secret not in stored
    assert row["exit_code"] != 0 and "it may contain keys or passwords" in str(row)


@pytest.mark.parametrize("option", ["state", "log", "sinks"])
@pytest.mark.parametrize("where", ["keyring", "etc"])
def test_no_path_of_a_stream_lies_among_keys_and_settings(host: Host, monkeypatch: t.Any, option: str, where: str) -> None:
    settings_of(host.folder, monkeypatch)
    (host.folder / "link").symlink_to(where)
    path = str(host.folder / "link" / "x")
    given = streams.given(host.folder, **{option: [{"type": "sqlite", "path": path}] if option == "sinks" else path})
    document = host.folder / "sftpgo.json"
    document.write_text(json.dumps(given))
    with pytest.raises(ConfigError, match="it lies in"):
        files.load_stream(str(document))
    with contextlib.suppress(LogArchiveError):
        follower.catch_up(normalise_stream(given))
    assert not (host.folder / where / "x").exists()


# -- restore -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("where", ["keyring", "etc"])
def test_nothing_is_restored_among_keys_and_settings(host: Host, monkeypatch: t.Any, where: str, check: bool) -> None:
    settings_of(host.folder, monkeypatch)
    (host.folder / "link").symlink_to(where)
    host.write_logs(14)
    host.run()
    document = host.document()
    before = files_below(host.folder / where)
    holdings = stock.Holdings(document["stores"], None, None, str(host.keyring))
    for path in (host.folder / where, host.folder / where / "new", host.folder / "link", host.folder / "link" / "new" / "deep"):
        with pytest.raises(ConfigError, match="it lies in"):
            list(restoring.restore_from_stores([holdings], inventory.Choice(), str(path), check=check))
    assert files_below(host.folder / where) == before


@pytest.mark.parametrize("link", [False, True])
def test_a_store_that_is_the_spool_gets_nothing_and_no_source_is_deleted_for_it(host: Host, link: bool) -> None:
    (host.folder / "link").symlink_to("spool")
    logs = host.write_logs(13, 14)
    record = host.run(stores=[{"type": "file", "path": str(host.folder / ("link" if link else "spool"))}], delete_sources=True)
    assert record["exit_code"] == 3 and "the store is the spool" in record["errors"][0]
    assert all(path.exists() for path in logs) and len([name for name in host.spooled() if name.endswith(".fernet")]) == 2
    assert host.run(delete_sources=True)["exit_code"] == 0, "with a store elsewhere the job goes on"
    assert len(archives_in(file_store(host.store))) == 2 and not any(path.exists() for path in logs)


def test_of_two_stores_in_one_folder_only_one_counts(host: Host) -> None:
    host.store.mkdir()
    (host.folder / "link").symlink_to("store")
    host.write_logs(13, 14)
    stores = [{"type": "file", "name": name, "path": str(host.folder / path)} for name, path in (("a", "store"), ("b", "link"))]
    record = host.run(stores=stores, delete_sources=True)
    assert "the stores a and b are the same folder" in record["errors"][0]
    assert {copy["state"] for archive in record["archives"] for copy in archive["stores"].values()} == {"verified", "pending"}
    assert record["sources_deleted"] == []


def test_a_host_and_a_name_do_not_lead_from_a_harmless_store_into_a_keyring(host: Host) -> None:
    host.write_logs(14)
    before = sorted(os.listdir(host.keyring))
    record = host.run(host=host.folder.name, name=host.keyring.name, stores=[{"type": "file", "path": str(host.folder.parent)}])
    assert "it lies in the keyring" in record["errors"][0]
    assert sorted(os.listdir(host.keyring)) == before


@needs_swaps
def test_a_folder_of_the_store_that_is_exchanged_for_a_link_leads_nowhere(tmp_path: pathlib.Path) -> None:
    """Another user owns a folder below the root of a file store and exchanges it for a link to a private one."""
    root = others_folder(opened_to_all(tmp_path) / "root")
    others_folder(root / "web1")
    outside = tmp_path / "outside"
    (outside / "syslog").mkdir(parents=True)
    (outside / "syslog" / "secret").write_bytes(b"secret")
    (root / "link").symlink_to(outside)
    os.chown(root / "link", OTHER_USER, OTHER_USER, follow_symlinks=False)
    store = file_store(root)
    listed = set()
    with swapping(root / "web1", root / "link"):
        for _turn in range(3000):
            listed.update(item.key for item in store.list("web1/"))
            store.delete(["web1/syslog/secret"])
    assert listed == set()
    assert (outside / "syslog" / "secret").read_bytes() == b"secret"


# -- interrupted deletions ---------------------------------------------------------------------------------------------


def test_the_record_of_a_deletion_is_kept_until_the_folder_of_the_log_is_back(host: Host) -> None:
    """A run was killed while it deleted a source, and the file system of the logs is not mounted at the next run."""
    host.write_logs(13)
    host.run()
    (log,) = host.logs.iterdir()
    private = ".log-archive-x.removed"
    status = log.stat()
    log.rename(host.logs / private)
    record = host.state / "syslog.removals.json"
    record.write_text(json.dumps([[str(host.logs), log.name, status.st_dev, status.st_ino, private]]))
    away = host.logs.rename(host.folder / "away")
    for _run in range(2):
        assert "its folder cannot be opened" in "".join(host.run()["warnings"])
        assert record.exists()
    # A run that deletes other sources meanwhile does not forget it.
    host.logs.mkdir()
    other = host.write_logs(14)
    host.logs.rename(host.folder / "logs2")
    moved = [str(host.folder / "logs2")]
    assert host.run(select={"paths": moved}, delete_sources=True)["sources_deleted"] == [os.path.join(moved[0], other[0].name)]
    assert record.exists()
    away.rename(host.logs)
    assert host.run()["sources_deleted"] == [str(log)]
    assert list(host.logs.iterdir()) == [] and not record.exists()
