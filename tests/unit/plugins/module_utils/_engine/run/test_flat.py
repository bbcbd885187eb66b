# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs of two hosts that share one flat folder with other programs: everything that a job does with a store works there too."""

from __future__ import annotations

import os
import pathlib
import shutil
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.naming import head_of
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import inventory
from rigs.host import JOB, Host, assert_complete, assert_tidy, at, files_below
from rigs.runs import lose, read_logs
from rigs.stores import new_store

pytest.importorskip("cryptography")

FOREIGN = {
    "backup.20240112.tgz": b"of another program",
    "web1~notes": b"",
    "below/syslog.20240112.12.tgz.fernet": b"x",
    "web1~syslog~20230101~old.tgz": b"an archive without a manifest",
}


class Shared:
    """The folder, and two hosts with a job each that use it."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.path = folder / "shared"
        for name, data in FOREIGN.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_bytes(data)
        self.store = {"type": "file", "path": str(self.path), "layout": "flat"}
        self.hosts = {name: Host(folder / name, [self.store]) for name in ("web1", "web2")}

    def run(self, host: str, /, **changes: t.Any) -> t.Dict[str, t.Any]:
        return self.hosts[host].run(host=host, **changes)

    def command(self, *arguments: str, **changes: t.Any) -> str:
        """The exit code and the output of the command on web1."""
        host = self.hosts["web1"]
        host.write_document(host="web1", **changes)
        done = host.command(*arguments)
        return "%d\n%s%s" % (done.returncode, done.stdout, done.stderr)

    def archives(self) -> t.List[str]:
        """The names of archives and manifests in the folder."""
        names = files_below(self.path)
        assert [name for name in names if name in FOREIGN] == sorted(FOREIGN)
        assert all((self.path / name).read_bytes() == data for name, data in FOREIGN.items())
        return [name for name in names if name not in FOREIGN and head_of(name) is None]

    def of(self, name: str) -> t.Any:
        """The store, as far as ``assert_complete`` looks at it: only the host's own archives."""
        return new_store(**self.store, name=name)


@pytest.fixture
def shared(tmp_path: pathlib.Path) -> Shared:
    made = Shared(tmp_path)
    for name, host in made.hosts.items():
        host.write_logs(12, 13, 14)
        assert made.run(name)["exit_code"] == 0
    return made


def named(host: str, *hours: int) -> t.List[str]:
    names = ["%s~%s~20240112~syslog.20240112.%d.tgz.fernet" % (host, JOB, hour) for hour in hours]
    return sorted([*names, *(name + ".manifest.json" for name in names)])


def test_two_hosts_and_jobs_with_the_same_logs_share_the_folder(shared: Shared) -> None:
    assert shared.archives() == named("web1", 12, 13, 14) + named("web2", 12, 13, 14)
    assert shared.run("web1", name="copy")["exit_code"] == 0
    assert len(shared.archives()) == 18
    for host in ("web1", "web2"):
        held = inventory.read(shared.of(host), host, JOB)
        assert len(held.archives) == 3 and not held.damaged and not held.orphans
    assert_tidy(shared.path)
    assert shared.run("web1")["archives"] == []


def test_the_command_verifies_lists_and_restores(shared: Shared, tmp_path: pathlib.Path) -> None:
    assert shared.command("check-config", JOB).startswith("0")
    # The last success of the test is long ago, and nothing else is wrong.
    found = shared.command("status", JOB, "--max-age", "36500d")
    assert found.startswith("0") and "file=read_back" in found
    listed = shared.command("list", JOB)
    assert listed.startswith("0") and "syslog.20240112.13.tgz.fernet" in listed
    restored = tmp_path / "restored"
    for lost in (False, True):
        if lost:
            lose(shared.hosts["web1"], "state", "spool")
        assert shared.command("restore", JOB, "--latest", "--to", str(restored)).startswith("0")
        log = shared.hosts["web1"].logs / "syslog.20240112.14"
        assert pathlib.Path(str(restored) + str(log)).read_bytes() == log.read_bytes()
        shutil.rmtree(restored)


def test_an_archive_without_a_manifest_is_found_by_verify(shared: Shared) -> None:
    found = shared.command("verify", JOB)
    assert found.startswith("4") and "web1/syslog/2023/01/01/old.tgz" in found
    os.rename(shared.path / "web1~syslog~20230101~old.tgz", shared.path / "old.tgz")
    assert shared.command("verify", JOB).startswith("0")


@pytest.mark.parametrize("delete", [False, True])
def test_a_lost_catalog_is_learned_again(shared: Shared, delete: bool) -> None:
    before = shared.archives()
    wanted = read_logs(shared.hosts["web1"])
    lose(shared.hosts["web1"], "state")
    record = shared.run("web1", delete_sources=delete)
    assert (record["exit_code"], record["archives"], len(record["sources_deleted"])) == (0, [], 3 if delete else 0)
    assert shared.archives() == before
    for name in named("web2", 12, 13, 14):
        (shared.path / name).unlink()
    (shared.path / "web1~syslog~20230101~old.tgz").unlink()
    for name in ("backup.20240112.tgz", "web1~notes"):
        (shared.path / name).unlink()
    assert_complete(shared.of("web1"), shared.hosts["web1"], wanted)


def test_other_logs_under_the_same_name_get_a_revision(shared: Shared) -> None:
    lose(shared.hosts["web1"], "state")
    (shared.hosts["web1"].logs / "syslog.20240112.13").write_bytes(b"other\n")
    assert shared.run("web1")["exit_code"] == 0
    assert "web1~syslog~20240112~syslog.20240112.13.r2.tgz.fernet" in shared.archives()


def test_retention_removes_the_archives_of_its_host_and_job_alone(shared: Shared) -> None:
    shared.run("web1", name="copy")
    kept = [name for name in shared.archives() if "~copy~" in name]
    record = shared.run("web1", retention={"keep_last": 1, "max_delete_share": 1, "min_keep": 1})
    assert (record["exit_code"], len(record["pruned"]["file"]["removed"])) == (0, 2)
    assert shared.archives() == sorted(kept + named("web1", 14) + named("web2", 12, 13, 14))
    assert shared.command("status", JOB, "--max-age", "36500d", retention={"keep_last": 1}).startswith("0")


def test_files_that_a_name_template_dates_go_on_request(shared: Shared) -> None:
    policy = {"keep_last": 1, "max_delete_share": 1, "min_keep": 1, "name_template": "backup.%Y%m%d.tgz"}
    for day in (1, 2):
        (shared.path / ("backup.2024010%d.tgz" % day)).touch()
    shared.run("web1", retention=policy)
    assert [name for name in files_below(shared.path) if name.startswith("backup")] == []
    assert named("web2", 12, 13, 14) == [name for name in files_below(shared.path) if name.startswith("web2") and head_of(name) is None]


@pytest.mark.parametrize("swap", [("web1", 12, "web1", 13), ("web2", 12, "web1", 12)])
def test_an_archive_in_the_place_of_another_is_found(shared: Shared, swap: t.Tuple[str, int, str, int]) -> None:
    (shared.path / "web1~syslog~20230101~old.tgz").unlink()
    for source, target in zip(named(swap[0], swap[1]), named(swap[2], swap[3])):
        os.replace(shared.path / source, shared.path / target)
    found = shared.command("verify", JOB)
    assert found.startswith("4") and "syslog.20240112.%d" % swap[3] in found
    assert shared.command("status", JOB).startswith("4")
    lose(shared.hosts["web1"], "state")
    record = shared.run("web1", now=at("2024-01-12 15:06"))
    assert any("syslog.20240112.%d" % swap[3] in text for text in record["warnings"])


def test_a_killed_upload_is_removed_and_sent_again(shared: Shared) -> None:
    leftover = shared.path / (".log-archive-%s-0123456789abcdef.part" % named("web1", 14)[0])
    leftover.write_bytes(b"half")
    others = shared.path / ".log-archive-web2~syslog~20240112~x-0123456789abcdef.part"
    others.write_bytes(b"half")
    shared.hosts["web1"].write_logs(11)
    assert shared.run("web1")["exit_code"] == 0
    assert others.exists() and not leftover.exists()
