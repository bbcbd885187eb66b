# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Staged files take their places all together or not at all, and nothing leads them out of the destination."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import pathlib
import pwd
import signal
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import staging
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.durable import TEMP_PREFIX
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import (
    ConfigError,
    DiskFullError,
    IntegrityError,
    LogArchiveError,
)
from rigs.swaps import OTHER_USER, can_swap, opened_to_all, others_folder, swapping

MTIME = 1_700_000_000_123_456_789


@pytest.fixture
def destination(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "destination"
    folder.mkdir()
    return folder


def staged_file(folder: staging.Staging, name: str, data: bytes, mode: int = 0o640) -> staging.StagedFile:
    staged = hashlib.md5(name.encode()).hexdigest()
    with folder.create(staged) as file:
        file.write(data)
    return staging.StagedFile(name, staged, len(data), hashlib.sha256(data).hexdigest(), mode, MTIME)


def publish(destination: pathlib.Path, files: t.Mapping[str, bytes], overwrite: bool = False) -> t.List[staging.ExtractedFile]:
    with staging.staging_in(str(destination)) as folder:
        return folder.publish([staged_file(folder, name, data) for name, data in files.items()], overwrite)


def files_below(folder: pathlib.Path) -> t.Dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../x", "a/../../x", "a//b", "", ".", "a/.", "nul\0", TEMP_PREFIX + "x", TEMP_PREFIX + "x/y"]
)
def test_a_name_that_leads_out_or_is_reserved_is_refused(name: str) -> None:
    with pytest.raises(IntegrityError, match="refused"):
        staging.check_name(name, "the archive")


@pytest.mark.parametrize("name", ["syslog", "a/b/c", "..a/b..", ".hidden", "a/%sx" % TEMP_PREFIX, "caf\u00e9\udcff"])
def test_a_plain_name_is_accepted(name: str) -> None:
    staging.check_name(name, "the archive")


# -- the staging folder -----------------------------------------------------------------------------------------------


def test_the_staging_folder_is_private_and_goes_at_the_end(destination: pathlib.Path) -> None:
    with staging.staging_in(str(destination)) as folder:
        (path,) = destination.iterdir()
        assert path.stat().st_mode & 0o777 == 0o700
        folder.create("file").close()
        assert files_below(path) == {"file": b""}
    assert os.listdir(destination) == []


def test_a_folder_that_another_process_removed_before_its_lock_is_made_again(
    destination: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two restores begin in one destination: the second takes the folder of the first for a leftover until that is locked."""
    locks = []
    lock = fcntl.flock

    def flock(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX:
            locks.append(descriptor)
            if len(locks) == 1:
                staging.remove_leftovers(str(destination))
        lock(descriptor, operation)

    monkeypatch.setattr(staging.fcntl, "flock", flock)
    with staging.staging_in(str(destination)) as held:
        with held.create("0") as file:
            file.write(b"a line")
        assert len(locks) == 2
        assert len([name for name in os.listdir(destination) if name.startswith(staging.STAGING_PREFIX)]) == 1
        staging.remove_leftovers(str(destination))
        assert len([name for name in os.listdir(destination) if name.startswith(staging.STAGING_PREFIX)]) == 1
    assert os.listdir(destination) == []


def test_the_staging_folder_goes_when_the_body_fails(destination: pathlib.Path) -> None:
    with pytest.raises(ZeroDivisionError), staging.staging_in(str(destination)) as folder:
        folder.create("file").close()
        raise ZeroDivisionError
    assert os.listdir(destination) == []


def test_the_staging_folder_of_a_killed_process_is_removed_by_the_next(destination: pathlib.Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import staging\n"
        "with staging.staging_in(sys.argv[1]) as folder:\n"
        "    folder.create('file').close()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(destination)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (leftover,) = os.listdir(destination)
    with staging.staging_in(str(destination)):
        (new,) = os.listdir(destination)
        assert new != leftover


def test_leftovers_are_removed_only_where_no_other_user_could_have_put_them(destination: pathlib.Path) -> None:
    leftover = destination / (staging.STAGING_PREFIX + "killed")
    leftover.mkdir()
    (leftover / "1").write_bytes(b"plaintext")
    destination.chmod(0o777)
    staging.remove_leftovers(str(destination))
    assert leftover.is_dir()
    destination.chmod(0o700)
    staging.remove_leftovers(str(destination))
    assert list(destination.iterdir()) == []
    staging.remove_leftovers(str(destination / "missing"))


def test_the_staging_folder_of_a_living_process_stays(destination: pathlib.Path) -> None:
    living = destination / (staging.STAGING_PREFIX + "living")
    living.mkdir()
    handle = os.open(living, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with staging.staging_in(str(destination)):
            pass
        assert living.is_dir()
    finally:
        os.close(handle)


# -- destinations that others control ---------------------------------------------------------------------------------


def refused(destination: pathlib.Path, files: t.Mapping[str, bytes]) -> str:
    with pytest.raises(ConfigError) as caught:
        publish(destination, files)
    return str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("where", ["destination", "above", "inside"])
def test_a_folder_of_another_user_is_refused_by_name_and_nothing_is_written(tmp_path: pathlib.Path, where: str) -> None:
    destination = tmp_path / "above" / "destination"
    inside = destination / "inside"
    inside.mkdir(parents=True)
    theirs = {"destination": destination, "above": destination.parent, "inside": inside}[where]
    os.chown(theirs, OTHER_USER, OTHER_USER)
    text = refused(destination, {"inside/file": b"x"})
    assert str(theirs) in text
    assert "belongs to the user with id %d" % OTHER_USER in text
    assert files_below(destination) == {}


@pytest.mark.parametrize("where", ["destination", "above", "inside"])
@pytest.mark.parametrize("mode", [0o777, 0o702])
def test_a_folder_that_others_can_write_to_is_refused_by_name_and_nothing_is_written(tmp_path: pathlib.Path, where: str, mode: int) -> None:
    destination = tmp_path / "above" / "destination"
    inside = destination / "inside"
    inside.mkdir(parents=True)
    theirs = {"destination": destination, "above": destination.parent, "inside": inside}[where]
    theirs.chmod(mode)
    text = refused(destination, {"inside/file": b"x"})
    assert str(theirs) in text
    assert "can write to the folder" in text
    assert files_below(destination) == {}


def test_a_new_folder_in_a_sticky_one_that_all_can_write_to_is_private_enough(tmp_path: pathlib.Path) -> None:
    tmp_path.chmod(0o1777)
    publish(tmp_path / "a" / "destination", {"file": b"x"})
    assert files_below(tmp_path) == {"a/destination/file": b"x"}
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    assert "mode 1777" in refused(tmp_path, {"file": b"x"})


def test_a_dry_run_refuses_what_a_run_would_refuse(tmp_path: pathlib.Path) -> None:
    destination = tmp_path / "destination"
    destination.mkdir()
    destination.chmod(0o777)
    with pytest.raises(ConfigError, match="can write to the folder"):
        staging.planned([staging.StagedFile("a", "1", 1, "", 0o600, 0)], str(destination), False)


@pytest.mark.skipif(not can_swap(), reason="needs root and renameat2")
def test_while_another_user_exchanges_the_destination_for_a_link_nothing_is_written_elsewhere(tmp_path: pathlib.Path) -> None:
    """The attack: the user owns the folder that holds the destination, and wants root to write into a folder like /etc/cron.d."""
    theirs = others_folder(opened_to_all(tmp_path) / "theirs")
    others_folder(theirs / "destination")
    target = tmp_path / "target"
    target.mkdir(mode=0o755)
    (theirs / "link").symlink_to(target)
    os.chown(theirs / "link", OTHER_USER, OTHER_USER, follow_symlinks=False)
    with swapping(theirs / "destination", theirs / "link"):
        for _turn in range(200):
            with contextlib.suppress(ConfigError, OSError):
                publish(theirs / "destination" / "below", {"job": b"* * * * * root id"})
    assert files_below(target) == {} and list(target.iterdir()) == []


# -- publishing -------------------------------------------------------------------------------------------------------


def test_files_get_their_names_modes_and_times(destination: pathlib.Path) -> None:
    published = publish(destination, {"a": b"1", "b/c/d": b"22"})
    assert [(file.name, file.path, file.size, file.state) for file in published] == [
        ("a", str(destination / "a"), 1, "written"),
        ("b/c/d", str(destination / "b/c/d"), 2, "written"),
    ]
    assert published[1].sha256 == hashlib.sha256(b"22").hexdigest()
    assert files_below(destination) == {"a": b"1", "b/c/d": b"22"}
    status = (destination / "b/c/d").stat()
    assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o640, MTIME)
    assert [(destination / name).stat().st_mode & 0o777 for name in ("b", "b/c")] == [0o700, 0o700]


def test_a_file_with_the_same_bytes_is_left_alone(destination: pathlib.Path) -> None:
    (destination / "a").write_bytes(b"same")
    before = (destination / "a").stat()
    published = publish(destination, {"a": b"same", "b": b"new"})
    assert [file.state for file in published] == ["unchanged", "written"]
    after = (destination / "a").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_one_file_with_other_bytes_stops_all(destination: pathlib.Path) -> None:
    (destination / "b").write_bytes(b"older")
    with pytest.raises(LogArchiveError, match="nothing was extracted") as raised:
        publish(destination, {"a": b"1", "b": b"newer", "c": b"3"})
    assert raised.value.subject == repr(str(destination / "b"))
    assert files_below(destination) == {"b": b"older"}


def test_other_bytes_are_replaced_on_request(destination: pathlib.Path) -> None:
    (destination / "b").write_bytes(b"older")
    assert [file.state for file in publish(destination, {"b": b"newer"}, overwrite=True)] == ["written"]
    assert files_below(destination) == {"b": b"newer"}


def test_a_plan_changes_nothing(destination: pathlib.Path) -> None:
    with staging.staging_in(str(destination)) as folder:
        plan = staging.planned([staged_file(folder, "a/b", b"1")], str(destination), False)
        assert [(file.name, file.state) for file in plan] == [("a/b", "written")]
        assert not (destination / "a").exists()


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("obstacle", ["link to a folder", "link to a file", "file for a folder", "folder for a file", "broken link"])
def test_obstacles_are_refused_before_anything_is_written(
    destination: pathlib.Path, tmp_path: pathlib.Path, obstacle: str, overwrite: bool
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    if obstacle == "link to a folder":
        (destination / "b").symlink_to(outside)
    elif obstacle == "link to a file":
        (destination / "b").mkdir()
        (outside / "file").write_bytes(b"theirs")
        (destination / "b/c").symlink_to(outside / "file")
    elif obstacle == "broken link":
        (destination / "b").mkdir()
        (destination / "b/c").symlink_to(outside / "missing")
    elif obstacle == "file for a folder":
        (destination / "b").write_bytes(b"x")
    else:
        (destination / "b/c").mkdir(parents=True)
    with pytest.raises(LogArchiveError, match="Choose another destination"):
        publish(destination, {"a": b"1", "b/c": b"2"}, overwrite)
    assert not (destination / "a").exists()
    assert files_below(outside) == ({"file": b"theirs"} if obstacle == "link to a file" else {})


def test_a_name_that_is_a_file_and_a_folder_is_refused(destination: pathlib.Path) -> None:
    with pytest.raises(LogArchiveError, match="Choose another destination"):
        publish(destination, {"a": b"1", "a/b": b"2"})
    assert os.listdir(destination) == []


# -- has and errors ---------------------------------------------------------------------------------------------------


def test_has_compares_kind_size_and_digest(destination: pathlib.Path) -> None:
    data = bytes(range(256)) * 1000
    (destination / "file").write_bytes(data)
    (destination / "link").symlink_to(destination / "file")
    digest = hashlib.sha256(data).hexdigest()
    assert staging.has(str(destination), "file", len(data), digest)
    assert not staging.has(str(destination), "file", len(data) - 1, digest)
    assert not staging.has(str(destination), "file", len(data), hashlib.sha256(b"").hexdigest())
    assert not staging.has(str(destination), "link", len(data), digest)
    assert not staging.has(str(destination.parent), "destination", len(data), digest)
    assert not staging.has(str(destination), "missing", 0, digest)
    assert not staging.has(str(destination / "missing"), "missing", 0, digest)
    assert not staging.has(str(destination), "file/below", 0, digest)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_an_error_of_ours(destination: pathlib.Path, number: int) -> None:
    with pytest.raises(DiskFullError) as raised, staging.failing_clearly(str(destination)):
        raise OSError(number, os.strerror(number))
    assert raised.value.subject == str(destination)


def test_another_error_of_the_system_names_the_file(destination: pathlib.Path) -> None:
    with pytest.raises(LogArchiveError, match="No such file") as raised, staging.failing_clearly(str(destination)):
        open(destination / "missing/file").close()
    assert (raised.value.subject, raised.value.hint) == (str(destination / "missing/file"), None)


@pytest.mark.parametrize(
    ("name", "subject"), [("destination", "destination"), ("var/log/x", "destination/var/log/x"), (None, "destination")]
)
def test_an_error_for_want_of_a_right_names_the_path_and_the_user(tmp_path: pathlib.Path, name: t.Optional[str], subject: str) -> None:
    with pytest.raises(LogArchiveError) as raised, staging.failing_clearly(str(tmp_path / "destination")):
        raise PermissionError(errno.EACCES, "Permission denied", name)
    user = pwd.getpwuid(os.geteuid()).pw_name
    assert str(
        raised.value
    ) == "%s: cannot write the file: Permission denied. The command runs as the user %s, who must be able to write there" % (
        tmp_path / subject,
        user,
    )
