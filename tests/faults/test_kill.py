# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""kill -9 at every step of the pipeline, then a normal run: every source archived exactly once, verified, restorable, nothing left over."""

from __future__ import annotations

import os
import pathlib
import random
import shutil
import time
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import inventory
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.opening import open_store
from rigs.host import Host, archives_in, assert_complete, assert_restores, assert_tidy, at, file_store, random_bytes
from rigs.ledgers import assert_whole

from faults.conftest import Killer

SEED = 20240112
MOST_STEPS = {"sftp": 45, "s3": 24}
"""Of the network stores' steps, evenly chosen: each needs three runs, of up to a second."""
RETENTION = {"retention": {"keep_last": 2, "max_delete_share": 1}, "delete_sources": True}
RANDOM_KILLS = 6


def sampled(steps: int, most: t.Optional[int]) -> t.List[int]:
    """All steps, or ``most`` of them evenly."""
    if most is None or steps <= most:
        return list(range(1, steps + 1))
    return sorted({1 + round(index * (steps - 1) / (most - 1)) for index in range(most)})


def finish(killer: Killer, host: Host, **changes: t.Any) -> t.Dict[str, t.Any]:
    """The normal run after a kill, and one more that must find nothing to do."""
    after = killer.run(host.document(**changes))
    assert after["error"] is None
    assert after["recap"]["errors"] == []
    assert after["recap"]["exit_code"] == 0
    assert host.spooled() == []
    again = killer.run(host.document(**changes))
    assert again["recap"]["outcome"] == "nothing to do", again
    assert_whole(host)
    return t.cast(t.Dict[str, t.Any], after["recap"])


def count_steps(killer: Killer, host: Host, **changes: t.Any) -> int:
    """How many steps an undisturbed run has."""
    run = killer.run(host.document(**changes), count=True)
    assert run["recap"]["exit_code"] == 0
    assert run["steps"] > 80
    return t.cast(int, run["steps"])


def kill_at(killer: Killer, host: Host, step: int, **changes: t.Any) -> None:
    """A run that is killed at this step. It may end some steps before the last that another run had: what it waited for came sooner."""
    run = killer.run(host.document(**changes), kill_at=step)
    assert run["killed"] or ((run["recap"] or {}).get("exit_code") == 0 and step - 20 < run["steps"] < step), (step, run)


def read_logs(paths: t.Iterable[pathlib.Path]) -> t.Dict[str, bytes]:
    return {str(path): path.read_bytes() for path in paths}


def test_what_is_no_step_changes_nothing(killer: Killer, quick_path: pathlib.Path) -> None:
    """Then a kill between two steps leaves what a kill at the second leaves."""
    host = Host(quick_path / "host")
    host.write_logs(10, 11, 12)
    assert host.run(at("2024-01-12 13:05"))["exit_code"] == 0
    host.write_logs(13, 14)
    run = killer.run(host.document(**RETENTION), watch=str(host.folder))
    assert run["recap"]["exit_code"] == 0
    assert run["missed"] == []
    assert run["watched"] > 150


def test_file_store_at_every_step(killer: Killer, quick_path: pathlib.Path) -> None:
    whole = Host(quick_path / "whole")
    whole.write_logs(13, 14)
    for step in range(1, count_steps(killer, whole) + 1):
        host = Host(quick_path / str(step))
        wanted = read_logs(host.write_logs(13, 14))
        kill_at(killer, host, step)
        finish(killer, host)
        assert_complete(file_store(host.store), host, wanted)
        assert_tidy(host.store)
        shutil.rmtree(host.folder)


def test_retention_and_deletion_of_sources_at_every_step(killer: Killer, quick_path: pathlib.Path) -> None:
    """Three archives are there, two come, two may stay. Whatever step is cut, no source goes before its archive is proven."""
    before = Host(quick_path / "host")
    wanted = read_logs(before.write_logs(10, 11, 12))
    assert before.run(at("2024-01-12 13:05"))["exit_code"] == 0
    wanted.update(read_logs(before.write_logs(13, 14)))
    shutil.copytree(before.folder, quick_path / "before", copy_function=shutil.copy2)
    steps = count_steps(killer, before, **RETENTION)
    for step in range(1, steps + 1):
        # The paths stay the same, because the catalog knows sources by them.
        shutil.rmtree(before.folder)
        shutil.copytree(quick_path / "before", before.folder, copy_function=shutil.copy2)
        host = before
        kill_at(killer, host, step, **RETENTION)
        held = archives_in_unfinished(host)
        for path in wanted:
            assert os.path.exists(path) or path in held, "a source was deleted before its archive was there (step %d)" % step
        finish(killer, host, **RETENTION)
        kept = archives_in(file_store(host.store))
        assert [source["path"] for manifest in kept.values() for source in manifest["sources"]] == sorted(wanted)[-2:]
        assert os.listdir(host.logs) == []
        for key, manifest in kept.items():
            assert_restores(file_store(host.store), key, manifest, host, wanted)
        assert_tidy(host.store)


def archives_in_unfinished(host: Host) -> t.Set[str]:
    """Sources of what the store holds right after a kill, and of what it held before."""
    held = {source["path"] for archive in inventory.read(file_store(host.store)).archives for source in archive.manifest["sources"]}
    return held | {str(host.logs / ("syslog.20240112.%02d" % hour)) for hour in (10, 11, 12)}


def sftp_options(server: t.Any, path: str, **more: t.Any) -> t.Dict[str, t.Any]:
    return dict(
        {
            "type": "sftp",
            "host": server.host,
            "port": server.port,
            "user": server.user,
            "private_key_file": server.private_key_file,
            "known_hosts_file": server.known_hosts_file,
            "path": path,
        },
        **more,
    )


def s3_options(server: t.Any, bucket: str, prefix: str = "", **more: t.Any) -> t.Dict[str, t.Any]:
    return dict(
        {
            "type": "s3",
            "endpoint_url": server.endpoint_url,
            "region": server.region,
            "bucket": bucket,
            "prefix": prefix,
            "access_key_id": server.access_key,
            "secret_access_key": server.secret_key,
            "addressing_style": "path",
        },
        **more,
    )


def test_sftp_store_at_every_step(killer: Killer, quick_path: pathlib.Path, openssh: t.Any) -> None:
    def new(name: str) -> Host:
        return Host(quick_path / name, [sftp_options(openssh, "kill-" + name)])

    whole = new("whole")
    whole.write_logs(13, 14)
    for step in sampled(count_steps(killer, whole), MOST_STEPS["sftp"]):
        host = new(str(step))
        wanted = read_logs(host.write_logs(13, 14))
        kill_at(killer, host, step)
        finish(killer, host)
        root = os.path.join(openssh.root_folder, "kill-%d" % step)
        assert_complete(file_store(root), host, wanted)
        assert_tidy(root)
        shutil.rmtree(root)


def test_s3_store_at_every_step(killer: Killer, quick_path: pathlib.Path, swift: t.Any, bucket: str) -> None:
    def new(name: str) -> Host:
        return Host(quick_path / name, [s3_options(swift, bucket, "kill-%s/" % name)])

    whole = new("whole")
    whole.write_logs(13, 14)
    for step in sampled(count_steps(killer, whole), MOST_STEPS["s3"]):
        host = new(str(step))
        wanted = read_logs(host.write_logs(13, 14))
        kill_at(killer, host, step)
        finish(killer, host)
        assert_complete(open_store(host.document()["stores"][0]), host, wanted)
    assert swift.client().list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


KINDS = ["file", "sftp", "s3"]


@pytest.mark.parametrize("kind", KINDS)
def test_random_moments_of_large_archives(kind: str, killer: Killer, quick_path: pathlib.Path, request: pytest.FixtureRequest) -> None:
    """12 MiB that do not compress, in two archives: kills in the middle of packing, writing, sending in parts and reading back."""
    chance = random.Random(SEED)
    server = None if kind == "file" else request.getfixturevalue("openssh" if kind == "sftp" else "swift")
    bucket = request.getfixturevalue("bucket") if kind == "s3" else ""

    def new(name: str) -> t.Tuple[Host, t.Dict[str, bytes]]:
        stores = {
            "file": lambda: None,
            "sftp": lambda: [sftp_options(server, "large-" + name)],
            "s3": lambda: [s3_options(server, bucket, "large-%s/" % name, part_size="5M")],
        }[kind]()
        host = Host(quick_path / name, stores)
        for hour in (13, 14):
            (host.logs / ("syslog.20240112.%d" % hour)).write_bytes(random_bytes(6 << 20))
        return host, read_logs(sorted(host.logs.iterdir()))

    whole, _wanted = new("whole")
    began = time.monotonic()
    assert killer.run(whole.document())["recap"]["exit_code"] == 0
    longest = time.monotonic() - began
    kills = 0
    for number in range(RANDOM_KILLS):
        host, wanted = new(str(number))
        # Some hosts are killed again and again before they get through.
        for _kill in range(1 + number % 3):
            moment = chance.uniform(0, longest)
            killed = killer.run(host.document(), after=moment)["killed"]
            # The machine may have been busy with something else when the time of a whole run was taken.
            longest = longest if killed else moment
            kills += killed
        finish(killer, host)
        store = open_store(host.document()["stores"][0])
        assert_complete(store, host, wanted)
        if kind == "sftp":
            assert_tidy(os.path.join(server.root_folder, "large-%d" % number))
        elif kind == "file":
            assert_tidy(host.store)
        else:
            uploads = server.client().list_multipart_uploads(Bucket=bucket, Prefix="large-%d/" % number).get("Uploads", [])
            assert uploads == []
        shutil.rmtree(host.folder)
    assert kills, "no run was caught alive"
