# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that survive a crash: the state on disk after success, after failure and after kill -9."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import durable
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import EXIT_LOCKED, LockedError

HOLDER = """
import sys, time
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.durable import lock
with lock(sys.argv[1], wait=False):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock ``tmp_path/lock``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "lock")],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path)),
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_file_is_written_whole_with_its_mode_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        durable.write_atomically(str(tmp_path / "file"), b"data", mode=0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "file").read_bytes() == b"data"
    assert (tmp_path / "file").stat().st_mode & 0o7777 == 0o644
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_is_replaced_and_private_by_default(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    durable.write_atomically(str(tmp_path / "file"), b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert (tmp_path / "file").stat().st_mode & 0o7777 == 0o600


def test_a_symlink_is_replaced_and_what_it_points_to_is_not_written(tmp_path):
    (tmp_path / "target").write_bytes(b"target")
    (tmp_path / "file").symlink_to("target")
    durable.write_atomically(str(tmp_path / "file"), b"new")
    assert (tmp_path / "target").read_bytes() == b"target"
    assert not (tmp_path / "file").is_symlink()


def test_a_device_or_a_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is not a regular file"):
        durable.write_atomically(str(tmp_path / "pipe"), b"data")
    assert stat.S_ISFIFO(os.lstat(tmp_path / "pipe").st_mode) and os.listdir(tmp_path) == ["pipe"]


def test_a_name_of_the_greatest_length_can_be_written(tmp_path):
    durable.write_atomically(str(tmp_path / ("n" * 255)), b"data")
    assert os.listdir(tmp_path) == ["n" * 255]


def test_a_full_disk_keeps_its_errno_and_the_old_file_and_leaves_nothing(small_filesystem):
    folder = small_filesystem(64 * 1024)
    durable.write_atomically(str(folder / "file"), b"old")
    with pytest.raises(OSError) as failure:
        durable.write_atomically(str(folder / "file"), bytes(1 << 20))
    assert failure.value.errno == errno.ENOSPC
    assert (folder / "file").read_bytes() == b"old"
    assert os.listdir(folder) == ["file"]


def test_a_failing_rename_leaves_nothing(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        durable.write_atomically(str(tmp_path / "taken"), b"data")
    assert os.listdir(tmp_path) == ["taken"]


def test_rename_moves_and_leaves_no_second_name(tmp_path):
    (tmp_path / "src").write_bytes(b"data")
    durable.rename_without_overwrite(str(tmp_path / "src"), str(tmp_path / "dst"))
    assert os.listdir(tmp_path) == ["dst"]
    assert (tmp_path / "dst").stat().st_nlink == 1


@pytest.mark.parametrize("taken", ["file", "folder", "dangling symlink"])
def test_rename_never_overwrites(tmp_path, taken):
    (tmp_path / "src").write_bytes(b"new")
    dst = tmp_path / "dst"
    if taken == "file":
        dst.write_bytes(b"old")
    elif taken == "folder":
        dst.mkdir()
    else:
        dst.symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        durable.rename_without_overwrite(str(tmp_path / "src"), str(dst))
    assert (tmp_path / "src").read_bytes() == b"new"
    assert not dst.is_file() or dst.read_bytes() == b"old"


def test_rename_completes_one_that_was_cut_between_its_two_steps(tmp_path):
    (tmp_path / "src").write_bytes(b"data")
    os.link(tmp_path / "src", tmp_path / "dst")
    durable.rename_without_overwrite(str(tmp_path / "src"), str(tmp_path / "dst"))
    assert os.listdir(tmp_path) == ["dst"]


def test_rename_names_are_relative_to_the_given_folder(tmp_path):
    (tmp_path / "src").write_bytes(b"data")
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        durable.rename_without_overwrite("src", "dst", dir_fd=fd)
    finally:
        os.close(fd)
    assert os.listdir(tmp_path) == ["dst"]


RENAME_AS_NOBODY = """
import os, sys
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.durable import rename_without_overwrite
os.chdir(sys.argv[1])
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    os.link("src", "probe")
except PermissionError:
    pass
else:
    sys.exit(77)
try:
    rename_without_overwrite("src", "dst")
except FileExistsError:
    print("taken")
"""


@pytest.mark.parametrize("taken", [False, True])
def test_rename_works_and_never_overwrites_without_hard_links(tmp_path, taken):
    if os.geteuid() != 0:
        pytest.skip("only root can make a file of another owner, which protected_hardlinks refuses to link")
    (tmp_path / "src").write_bytes(b"new")
    (tmp_path / "src").chmod(0o600)
    if taken:
        (tmp_path / "dst").write_bytes(b"old")
    os.chown(tmp_path, 65534, 65534)
    done = subprocess.run(
        [sys.executable, "-c", RENAME_AS_NOBODY, str(tmp_path)],
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path)),
        check=False,
    )
    if done.returncode == 77:
        pytest.skip("this kernel lets anybody make hard links (fs.protected_hardlinks=0)")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("taken\n" if taken else "")
    assert (tmp_path / "dst").read_bytes() == (b"old" if taken else b"new")
    assert (tmp_path / "src").exists() is taken


def test_a_held_lock_is_refused_with_pid_and_start(tmp_path, holder):
    with (
        pytest.raises(LockedError, match=r"pid %d, since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ" % holder.pid) as failure,
        durable.lock(str(tmp_path / "lock"), wait=False),
    ):
        pass
    assert failure.value.exit_code == EXIT_LOCKED
    assert failure.value.subject == str(tmp_path / "lock")


def test_a_lock_is_free_as_soon_as_its_holder_was_killed(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with durable.lock(str(tmp_path / "lock"), wait=False):
        assert ("pid %d," % os.getpid()) in (tmp_path / "lock").read_text()


def test_a_waiting_lock_comes_when_the_holder_ends(tmp_path, holder):
    got = threading.Event()

    def wait():
        with durable.lock(str(tmp_path / "lock"), wait=True):
            got.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not got.wait(0.2)
    holder.kill()
    assert got.wait(lab.patience(20))
    thread.join()


def test_a_lock_excludes_within_one_process_and_can_be_taken_again(tmp_path):
    path = str(tmp_path / "lock")
    with durable.lock(path, wait=False), pytest.raises(LockedError), durable.lock(path, wait=False):
        pass
    with durable.lock(path, wait=False):
        pass


def test_a_lock_is_given_on_a_full_disk(small_filesystem):
    folder = small_filesystem(64 * 1024)
    (folder / "lock").touch()
    with open(folder / "filler", "wb", buffering=0) as filler, pytest.raises(OSError):
        while True:
            filler.write(bytes(4096))
    with durable.lock(str(folder / "lock"), wait=False), pytest.raises(LockedError), durable.lock(str(folder / "lock"), wait=False):
        pass


def test_a_process_that_is_stopped_while_it_looks_at_a_lock_stops_no_run(tmp_path):
    path = str(tmp_path / "lock")
    with durable.lock(path, wait=False):
        pass
    got = threading.Event()

    def take():
        with durable.lock(path, wait=False):
            got.set()

    thread = threading.Thread(target=take)
    with open(path, "rb") as looking:
        # As ``is_locked`` does.
        fcntl.flock(looking, fcntl.LOCK_SH)
        thread.start()
        assert not got.wait(0.5)
    assert got.wait(lab.patience(20))
    thread.join()


def test_looking_at_a_lock_stops_no_run(tmp_path):
    """Processes that look all the time, and a run that takes the lock a hundred times."""
    path = str(tmp_path / "lock")
    assert durable.is_locked(path) is False
    ended = threading.Event()

    def look():
        while not ended.is_set():
            durable.is_locked(path)
            time.sleep(0.002)

    threads = [threading.Thread(target=look) for _thread in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _turn in range(100):
            with durable.lock(path, wait=False):
                assert durable.is_locked(path)
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_a_symlink_in_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "lock").symlink_to("target")
    with pytest.raises(OSError) as failure, durable.lock(str(tmp_path / "lock"), wait=False):
        pass
    assert failure.value.errno == errno.ELOOP
    assert not (tmp_path / "target").exists()


# -- folders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", "/"])
def test_every_new_folder_is_private(tmp_path, end):
    os.chmod(tmp_path, 0o755)
    for _again in range(2):
        durable.make_folders(str(tmp_path / "a/b/c") + end)
    assert [path.stat().st_mode & 0o777 for path in (tmp_path, tmp_path / "a", tmp_path / "a/b", tmp_path / "a/b/c")] == [
        0o755,
        0o700,
        0o700,
        0o700,
    ]


def test_a_file_in_place_of_a_folder_is_an_error(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        durable.make_folders(str(tmp_path / "a"))
    with pytest.raises(NotADirectoryError):
        durable.make_folders(str(tmp_path / "a/b"))


def test_what_is_brought_to_the_disk_meanwhile_is_what_was_written(tmp_path) -> None:
    piece = os.urandom(1 << 20)
    with open(tmp_path / "file", "wb") as file, contextlib.closing(durable.WriteBehind(file)) as sink:
        for _number in range(2 * durable.SYNC_EVERY // len(piece) + 1):
            sink.write(piece)
    assert (tmp_path / "file").read_bytes() == piece * (2 * durable.SYNC_EVERY // len(piece) + 1)


def test_a_disk_that_fails_meanwhile_is_reported() -> None:
    # The kernel refuses to sync this one.
    with open(os.devnull, "wb") as file:
        sink = durable.WriteBehind(file)
        sink.write(bytes(durable.SYNC_EVERY))
        with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
            sink.close()
