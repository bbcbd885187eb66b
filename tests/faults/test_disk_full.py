# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A full disk under each part of a job: it is reported, nothing is half-made, and the next run completes once there is room."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import deliver
from rigs.host import Host, archives_in, assert_complete, assert_tidy, at, file_store, random_bytes

from faults.test_kill import sftp_options

MIB = 1 << 20


def fill(folder: pathlib.Path, leave: int = 0) -> pathlib.Path:
    """Take all the room of a file system but ``leave`` bytes."""
    path = folder / "filler"
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError:
            pass
        file.truncate(max(0, file.tell() - leave))
    return path


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    made = Host(tmp_path / "host")
    for hour in (13, 14):
        (made.logs / ("syslog.20240112.%d" % hour)).write_bytes(random_bytes(MIB))
    return made


def wanted(host: Host) -> t.Dict[str, bytes]:
    return {str(path): path.read_bytes() for path in host.logs.iterdir()}


def completes(host: Host, root: t.Union[str, pathlib.Path]) -> None:
    recap = host.run()
    assert recap["exit_code"] == 0, recap["errors"]
    assert_complete(file_store(root), host, wanted(host))
    assert_tidy(root)
    assert host.spooled() == []
    assert host.run()["outcome"] == "nothing to do"


@pytest.mark.parametrize("leave", [0, 4096, MIB, 5 * MIB // 4])
def test_the_spool(host: Host, small_filesystem: t.Any, leave: int) -> None:
    host.spool = small_filesystem(8 * MIB)
    filler = fill(host.spool, leave)
    recap = host.run()
    assert recap["exit_code"] in (1, 3)
    assert any("space" in error or "room" in error for error in recap["errors"]), recap["errors"]
    assert "its sources are untouched" in recap["errors"][0]
    left = [name for name in host.spooled() if name != "filler"]
    assert left == [], "something half-made is left"
    assert len(wanted(host)) == 2
    filler.unlink()
    completes(host, host.store)


@pytest.mark.parametrize("least_free", [0, deliver.LEAST_FREE])
@pytest.mark.parametrize("shared", [False, True], ids=["spool", "spool and store"])
def test_archives_that_stores_have_make_room(
    host: Host, small_filesystem: t.Any, monkeypatch: pytest.MonkeyPatch, shared: bool, least_free: int
) -> None:
    """There is room for one archive in the spool, or two. A quota may be less than the room that the file system reports."""
    monkeypatch.setattr(deliver, "LEAST_FREE", least_free)
    for hour in (15, 16):
        (host.logs / ("syslog.20240112.%d" % hour)).write_bytes(random_bytes(MIB))
    root = small_filesystem((8 if shared else 3) * MIB)
    host.spool = root / "spool"
    if shared:
        host.stores = [{"type": "file", "path": str(root / "store")}]
    recap = host.run(now=at("2024-01-12 17:05"))
    assert (recap["outcome"], recap["errors"], recap["warnings"]) == ("done", [], [])
    assert [archive["state"] for archive in recap["archives"]] == ["done"] * 4
    assert_complete(file_store(root / "store" if shared else host.store), host, wanted(host))
    assert host.spooled() == []


def test_no_more_files_in_the_spool(host: Host, small_filesystem: t.Any) -> None:
    host.spool = small_filesystem(8 * MIB, inodes=8)
    assert host.run()["exit_code"] in (1, 3)
    assert [name for name in host.spooled() if not name.endswith((".fernet", ".json"))] == []
    host.spool = host.folder / "larger"
    completes(host, host.store)


@pytest.mark.parametrize("leave", [0, 4096, MIB, 3 * MIB // 2])
def test_the_local_store(host: Host, small_filesystem: t.Any, leave: int) -> None:
    root = small_filesystem(16 * MIB)
    host.stores = [{"type": "file", "path": str(root / "store")}]
    filler = fill(root, leave)
    recap = host.run()
    assert recap["exit_code"] == 3
    assert any("room" in error or "space" in error for error in recap["errors"])
    assert recap["spool"]["archives"] >= 1
    assert_tidy(root)
    filler.unlink()
    completes(host, root / "store")


@pytest.mark.parametrize("leave", [0, 4096, MIB, 3 * MIB // 2])
def test_the_sftp_server(host: Host, small_filesystem: t.Any, openssh: t.Any, leave: int) -> None:
    root = small_filesystem(16 * MIB)
    host.stores = [sftp_options(openssh, str(root / "store"), retry_delay="0.05")]
    filler = fill(root, leave)
    recap = host.run()
    assert recap["exit_code"] == 3
    assert recap["errors"]
    assert recap["spool"]["archives"] >= 1
    filler.unlink()
    completes(host, root / "store")


@pytest.mark.parametrize("prune", ["after", "before"])
def test_a_full_sftp_server_recovers_by_retention(host: Host, small_filesystem: t.Any, openssh: t.Any, prune: str) -> None:
    """It has room for two archives, and the policy keeps two: without a prune before the upload it would stay full for ever."""
    root = pathlib.Path(small_filesystem(7 * MIB // 2))
    host.stores = [dict(sftp_options(openssh, str(root)), attempts=1)]
    policy = {"keep_last": 2, "max_delete_share": 1}
    assert host.run(retention=policy)["exit_code"] == 0
    (host.logs / "syslog.20240112.15").write_bytes(random_bytes(MIB))
    recap = host.run(now=at("2024-01-12 16:05"), retention=policy, prune=prune)
    assert (recap["exit_code"], recap["errors"]) == (0, [])
    assert [key[-14:-11] for key in sorted(archives_in(file_store(root)))] == [".14", ".15"]
    assert host.spooled() == [] and bool(recap["warnings"]) == (prune == "after")
    assert_tidy(root)


@pytest.mark.parametrize("leave", range(0, 400_000, 20_000))
def test_the_catalog(host: Host, small_filesystem: t.Any, leave: int) -> None:
    """At whatever moment the catalog cannot grow any more: an error of ours, and nothing is lost or done twice."""
    host.state = small_filesystem(8 * MIB)
    filler = fill(host.state, leave)
    host.write_document()
    done = host.command("run", "--all", "--json")
    assert "Traceback" not in done.stderr
    now_full = done.returncode != 0
    if now_full:
        assert "Free some space" in done.stdout, done.stdout
    assert json.loads(done.stdout)
    filler.unlink()
    completes(host, host.store)


def test_no_more_files_in_the_folder_of_the_catalog(host: Host, small_filesystem: t.Any) -> None:
    for inodes in (1, 2, 3, 4):
        host.state = small_filesystem(8 * MIB, inodes=inodes)
        host.write_document()
        done = host.command("run", "--all", "--json")
        assert "Traceback" not in done.stderr
        assert json.loads(done.stdout)[0]["exit_code"] in (0, 1, 3)
    host.state = host.folder / "larger"
    completes(host, host.store)


def test_the_event_log(host: Host, small_filesystem: t.Any) -> None:
    folder = small_filesystem(MIB)
    host.events = folder / "events.jsonl"
    filler = fill(folder)
    recap = host.run()
    assert recap["exit_code"] == 3
    assert [error for error in recap["errors"] if "event log" not in error] == []
    assert_complete(file_store(host.store), host, wanted(host))
    filler.unlink()
    assert host.run()["outcome"] == "nothing to do"
    assert [json.loads(line)["event"] for line in host.events.read_text().splitlines()] == ["run_started", "run_ended"]


@pytest.mark.parametrize("leave", [0, 100, 250, 4096])
def test_the_event_log_is_cut_within_a_line(host: Host, small_filesystem: t.Any, leave: int) -> None:
    """A line of which only a part fitted does not spoil the next one."""
    folder = small_filesystem(MIB)
    host.events = folder / "events.jsonl"
    host.events.write_bytes(b'{"event": "older"}\n' * 400)
    filler = fill(folder)
    with open(host.events, "r+b") as file:
        file.truncate(file.seek(0, os.SEEK_END) - leave)
    before = host.events.read_bytes().rpartition(b"\n")[0]
    host.events.write_bytes(before + b"\n")
    host.run()
    filler.unlink()
    host.run()
    lines = host.events.read_text().splitlines()
    events = []
    for line in lines:
        try:
            events.append(json.loads(line)["event"])
        except ValueError:
            continue
    assert events[-2:] == ["run_started", "run_ended"]


def test_the_destination_of_a_restore(host: Host, small_filesystem: t.Any) -> None:
    host.write_document()
    host.run()
    for leave in (0, 4096, MIB, 3 * MIB // 2):
        folder = small_filesystem(4 * MIB)
        filler = fill(folder, leave)
        done = host.command("restore", "--to", str(folder / "to"), "--name", "syslog.20240112.14.tgz.fernet", "--host", "web1")
        assert done.returncode == 1
        assert "no space left to extract the archive" in done.stderr
        assert [name for name in os.listdir(folder) if name != "filler" and os.listdir(folder / name)] == []
        filler.unlink()
        done = host.command("restore", "--to", str(folder / "to"), "--name", "syslog.20240112.14.tgz.fernet", "--host", "web1")
        assert done.returncode == 0
