# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file store beyond the contract: symlinks, permissions, full disks, leftovers and other writers."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
import signal
import subprocess
import sys

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.durable import TEMP_PREFIX
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import (
    IntegrityError,
    SourceError,
    StoreDeniedError,
    StoreError,
    StoreExistsError,
    StoreFullError,
    StoreNotFoundError,
    StoreUnavailableError,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.base import Digests
from rigs.stores import new_store
from rigs.swaps import opened_to_all

MIB = 1 << 20
DATA = b"an archive"


def digests_of(data):
    return Digests(len(data), hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest())


DIGESTS = digests_of(DATA)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
def store(root):
    return new_store("file", path=str(root), attempts=1)


@pytest.fixture
def spooled(tmp_path):
    path = tmp_path / "spooled"
    path.write_bytes(DATA)
    return str(path)


def part_name(name, digests=DIGESTS):
    return "%s%s-%s.part" % (TEMP_PREFIX, name, digests.sha256[:16])


def everything(folder):
    return sorted(
        os.path.relpath(os.path.join(parent, name), folder) for parent, folders, files in os.walk(folder) for name in folders + files
    )


# -- opening and the root ----------------------------------------------------------------------------------------------


def test_options_that_are_not_given_have_their_defaults(root):
    store = new_store("file", attempts=3, retry_delay="2s", path=str(root))
    assert (store.type, store.name, store.verify_level, store.attempts, store.retry_delay) == ("file", "file", "read_back", 3, 2.0)
    assert store.location() == str(root)
    assert new_store("file", name="nas", verify="size", path=str(root)).verify_level == "size"


def test_opening_a_file_store_loads_no_library_of_other_stores(root):
    script = (
        "import sys; from rigs.stores import new_store;"
        "new_store('file', path=sys.argv[1]);"
        "print([name for name in ('boto3', 'botocore', 'paramiko', 'cryptography') if name in sys.modules])"
    )
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    done = subprocess.run([sys.executable, "-c", script, str(root)], capture_output=True, text=True, env=env, check=False)
    assert done.stdout == "[]\n", done.stderr
    assert not root.exists()


def test_root_folders_and_files_are_private(store, root, spooled):
    store.put(spooled, "a/b/c", DIGESTS)
    assert [path.stat().st_mode & 0o7777 for path in (root, root / "a", root / "a/b", root / "a/b/c")] == [0o700, 0o700, 0o700, 0o600]
    assert everything(root) == ["a", "a/b", "a/b/c"]
    assert (root / "a/b/c").stat().st_nlink == 1


def test_the_names_of_new_folders_are_on_the_disk_before_the_put_ends(store, root, spooled, monkeypatch):
    """A loss of power after the put must not take the folders of the archive, which has left the spool by then."""
    flushed = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: flushed.append(os.fstat(fd).st_ino) or fsync(fd))
    store.put(spooled, "a/b/c", DIGESTS)
    assert {path.stat().st_ino for path in (root.parent, root, root / "a", root / "a/b", root / "a/b/c")} <= set(flushed)


def test_a_root_whose_parent_is_missing_is_refused_with_the_command(tmp_path, spooled):
    store = new_store("file", path=str(tmp_path / "not mounted" / "root"), attempts=1)
    for call in (
        lambda: store.put(spooled, "key", DIGESTS),
        lambda: store.get("key", io.BytesIO()),
        lambda: store.verify("key", DIGESTS),
        store.list,
        store.clean,
        lambda: store.delete(["key"]),
    ):
        with pytest.raises(StoreNotFoundError, match="mkdir -p '%s'" % (tmp_path / "not mounted")):
            call()
    assert not (tmp_path / "not mounted").exists()


def test_a_relative_path_is_located_absolutely(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert new_store("file", path="root").location("a/b") == str(tmp_path / "root" / "a" / "b")


def test_free_bytes_are_those_of_the_file_system(small_filesystem):
    folder = small_filesystem(1 * MIB)
    assert new_store("file", path=str(folder / "root")).free_bytes() == MIB


# -- proof -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "level,proven", [("size", "size"), ("server_digest", "read_back"), ("remote_hash", "read_back"), ("read_back", "read_back")]
)
def test_levels_say_what_was_really_done(root, spooled, level, proven):
    store = new_store("file", path=str(root), verify=level)
    proof = store.put(spooled, "key", DIGESTS).verification
    assert proof == store.verify("key", DIGESTS)
    assert (proof.level, proof.md5) == (proven, DIGESTS.md5 if proven == "read_back" else None)


def test_a_rotten_spool_file_is_named(store, root, spooled):
    with open(spooled, "r+b") as file:
        file.write(b"X")
    with pytest.raises(IntegrityError, match="^%s: the archive in the spool changed after it was packed" % spooled):
        store.put(spooled, "a/key", DIGESTS)
    assert everything(root) == ["a"]


def test_an_unreadable_spool_file_is_not_blamed_on_the_store(store, root, tmp_path):
    with pytest.raises(SourceError, match="gone"):
        store.put(str(tmp_path / "gone"), "a/key", DIGESTS)
    with pytest.raises(SourceError, match="directory"):
        store.put(str(tmp_path), "a/key", DIGESTS)
    assert everything(root) == ["a"]


def test_bytes_changed_between_write_and_read_back_are_seen_and_removed(store, root, tmp_path):
    """A second descriptor changes the file while the copy is still going on."""
    data = bytes(3 * MIB)
    (tmp_path / "large").write_bytes(data)
    digests = digests_of(data)
    part = root / part_name("key", digests)

    def spoil(count):
        if part.stat().st_size == len(data):
            with open(part, "r+b") as file:
                file.write(b"X")

    with pytest.raises(IntegrityError, match="the MD5 of the stored archive is"):
        store.put(str(tmp_path / "large"), "key", digests, spoil)
    assert everything(root) == []


# -- symlinks and other things in the way ------------------------------------------------------------------------------


def test_a_root_may_be_a_symlink(tmp_path, root, spooled):
    (tmp_path / "disk").mkdir()
    root.symlink_to("disk")
    store = new_store("file", path=str(root))
    store.put(spooled, "a/key", DIGESTS)
    assert (tmp_path / "disk/a/key").read_bytes() == DATA
    assert [item.key for item in store.list()] == ["a/key"]
    assert store.delete(["a/key"]) == {"a/key": None}
    assert root.is_symlink() and everything(tmp_path / "disk") == []


def test_a_symlinked_folder_below_the_root_is_followed_by_nothing(store, root, tmp_path, spooled):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "key").write_bytes(DATA)
    (outside / (TEMP_PREFIX + "x.part")).write_bytes(b"x")
    root.mkdir()
    (root / "link").symlink_to(outside)
    with pytest.raises(StoreError, match="Symbolic links below .* are not followed"):
        store.put(spooled, "link/new", DIGESTS)
    with pytest.raises(StoreNotFoundError):
        store.get("link/key", io.BytesIO())
    with pytest.raises(StoreNotFoundError):
        store.verify("link/key", DIGESTS)
    assert store.list() == store.list("link/") == []
    assert store.clean() == store.clean("link/") == []
    store.delete(["link/key"])
    assert everything(outside) == sorted(["key", TEMP_PREFIX + "x.part"])
    assert (root / "link").is_symlink()


@pytest.mark.parametrize("what", ["symlink to the same bytes", "dangling symlink", "folder", "pipe"])
def test_a_key_that_is_not_a_file_is_neither_written_nor_read(store, root, tmp_path, spooled, what):
    root.mkdir()
    at_key = root / "key"
    if what == "folder":
        at_key.mkdir()
    elif what == "pipe":
        os.mkfifo(at_key)
    else:
        at_key.symlink_to(spooled if "same" in what else tmp_path / "nowhere")
    with pytest.raises(StoreExistsError, match="not overwritten"):
        store.put(spooled, "key", DIGESTS)
    with pytest.raises(StoreNotFoundError):
        store.get("key", io.BytesIO())
    assert store.list() == []
    assert everything(root) == ["key"]
    assert not (tmp_path / "nowhere").exists()


def test_a_symlink_in_place_of_the_temporary_name_is_not_written_through(store, root, tmp_path, spooled):
    (tmp_path / "victim").write_bytes(b"victim")
    root.mkdir()
    (root / part_name("key")).symlink_to(tmp_path / "victim")
    store.put(spooled, "key", DIGESTS)
    assert (tmp_path / "victim").read_bytes() == b"victim"
    assert everything(root) == ["key"] and not (root / "key").is_symlink()


def test_a_file_in_place_of_a_folder_is_explained(store, root, spooled):
    root.mkdir()
    (root / "a").write_bytes(b"x")
    with pytest.raises(StoreError, match="a file or a symbolic link is in place of a folder"):
        store.put(spooled, "a/key", DIGESTS)
    assert store.delete(["a/key"]) == {"a/key": None}
    assert (root / "a").read_bytes() == b"x"


def test_names_of_the_greatest_length_and_beyond(store, spooled):
    store.put(spooled, "n" * 255, DIGESTS)
    with pytest.raises(StoreError, match="too long"):
        store.put(spooled, "n" * 256, DIGESTS)


def test_a_name_that_is_no_utf_8_is_listed_read_and_deleted(store, root):
    root.mkdir()
    name = os.fsdecode(b"log\xff")
    (root / name).write_bytes(DATA)
    sink = io.BytesIO()
    store.get(name, sink)
    assert [item.key for item in store.list()] == [name] and sink.getvalue() == DATA
    assert store.delete([name]) == {name: None}


# -- leftovers and other writers ---------------------------------------------------------------------------------------


def test_a_leftover_of_a_killed_upload_is_begun_again(store, root, spooled):
    root.mkdir()
    (root / part_name("key")).write_bytes(b"rubbish that is longer than the archive")
    assert not store.put(spooled, "key", DIGESTS).existed
    assert (root / "key").read_bytes() == DATA
    assert everything(root) == ["key"]


def test_an_upload_killed_after_it_became_visible_is_complete(store, root, spooled):
    root.mkdir()
    (root / part_name("key")).write_bytes(DATA)
    os.link(root / part_name("key"), root / "key")
    assert store.put(spooled, "key", DIGESTS).existed
    assert [item.key for item in store.list()] == ["key"]
    assert store.clean() == [part_name("key")]
    assert (root / "key").read_bytes() == DATA


def test_an_upload_that_lives_is_neither_cleaned_nor_taken_over(store, root, spooled):
    root.mkdir()
    part = root / part_name("key")
    with open(part, "wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert store.clean() == []
        with pytest.raises(StoreUnavailableError, match="another process"):
            store.put(spooled, "key", DIGESTS)
        assert everything(root) == [part.name]
    assert not store.put(spooled, "key", DIGESTS).existed


PUT = """
import os, signal, sys
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.base import Digests
from rigs.stores import new_store
def die(count):
    os.kill(os.getpid(), signal.SIGKILL)
root, path, size, md5, sha256 = sys.argv[1:]
new_store("file", path=root).put(path, "a/key", Digests(int(size), md5, sha256), die)
"""


def test_a_put_that_was_killed_shows_nothing_and_the_next_one_completes_it(store, root, tmp_path):
    data = bytes(range(256)) * (3 * MIB // 256)
    (tmp_path / "large").write_bytes(data)
    digests = digests_of(data)
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    killed = subprocess.run([sys.executable, "-c", PUT, str(root), str(tmp_path / "large"), *map(str, digests)], env=env, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert everything(root) == ["a", "a/" + part_name("key", digests)]
    assert store.list() == []
    assert not store.put(str(tmp_path / "large"), "a/key", digests).existed
    assert everything(root) == ["a", "a/key"]
    assert (root / "a/key").read_bytes() == data


def test_a_key_taken_during_the_copy_is_not_overwritten(store, root, spooled):
    with pytest.raises(StoreExistsError):
        store.put(spooled, "key", DIGESTS, lambda count: (root / "key").write_bytes(b"faster"))
    assert (root / "key").read_bytes() == b"faster"
    assert everything(root) == ["key"]


def test_clean_takes_folders_along_that_became_empty_but_never_the_root(store, root):
    (root / "a/b").mkdir(parents=True)
    (root / "a/b" / part_name("x")).write_bytes(b"x")
    assert store.clean("a/") == ["a/b/" + part_name("x")]
    assert root.is_dir() and everything(root) == []


def test_delete_never_removes_a_folder_or_the_root(store, root):
    (root / "folder/inner").mkdir(parents=True)
    outcome = store.delete(["folder"])
    assert outcome["folder"]
    assert everything(root) == ["folder", "folder/inner"]
    (root / "key").write_bytes(b"x")
    (root / "folder/inner").rmdir()
    (root / "folder").rmdir()
    assert store.delete(["key"]) == {"key": None}
    assert root.is_dir()


# -- disks that are full or refuse -------------------------------------------------------------------------------------


def test_too_little_room_is_seen_before_anything_is_written(small_filesystem, tmp_path):
    folder = small_filesystem(1 * MIB)
    data = bytes(2 * MIB)
    (tmp_path / "large").write_bytes(data)
    moved = []
    with pytest.raises(StoreFullError, match=r"needs 2097152 bytes, and \d+ are free") as failure:
        new_store("file", path=str(folder)).put(str(tmp_path / "large"), "a/key", digests_of(data), moved.append)
    assert not failure.value.retryable and moved == []
    assert everything(folder) == ["a"]


def test_a_disk_that_fills_up_during_the_copy_is_full_and_nothing_is_left(small_filesystem, tmp_path):
    folder = small_filesystem(4 * MIB)
    data = bytes(3 * MIB)
    (tmp_path / "large").write_bytes(data)

    def fill(count):
        if not (folder / "filler").exists():
            with open(folder / "filler", "wb", buffering=0) as file, pytest.raises(OSError):
                while True:
                    file.write(bytes(65536))

    with pytest.raises(StoreFullError, match="No space left"):
        new_store("file", path=str(folder)).put(str(tmp_path / "large"), "a/key", digests_of(data), fill)
    assert everything(folder) == ["a", "filler"]


def test_no_inode_left_is_full_too(small_filesystem, spooled):
    folder = small_filesystem(4 * MIB, inodes=4)
    store = new_store("file", path=str(folder))
    with pytest.raises(StoreFullError):
        for number in range(4):
            store.put(spooled, "key%d" % number, DIGESTS)
    assert all(not name.startswith(TEMP_PREFIX) for name in everything(folder))


@pytest.fixture
def read_only(small_filesystem):
    folder = small_filesystem(4 * MIB)
    (folder / "key").write_bytes(DATA)
    (folder / (TEMP_PREFIX + "x.part")).write_bytes(b"x")
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    return folder


def test_a_read_only_store_refuses_writing_and_lets_read(read_only, spooled):
    store = new_store("file", path=str(read_only))
    with pytest.raises(StoreDeniedError, match="Read-only"):
        store.put(spooled, "a/new", DIGESTS)
    with pytest.raises(StoreDeniedError, match="Read-only"):
        store.clean()
    assert store.delete(["key"]) == {"key": os.strerror(errno.EROFS)}
    assert store.verify("key", DIGESTS).level == "read_back"
    assert [item.key for item in store.list()] == ["key"]


PUT_AS_NOBODY = """
import io, os, sys
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import StoreDeniedError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.base import Digests
from rigs.stores import new_store
root, path, size, md5, sha256 = sys.argv[1:]
store = new_store("file", path=root)
source = os.open(path, os.O_RDONLY)
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
for call in (
    lambda: store.put("/proc/self/fd/%d" % source, "key", Digests(int(size), md5, sha256)),
    lambda: store.list(),
    lambda: store.get("key", io.BytesIO()),
):
    try:
        call()
    except StoreDeniedError as error:
        print("denied", error.retryable)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_root_of_another_user_is_denied(root, spooled, tmp_path):
    opened_to_all(tmp_path)
    root.mkdir(mode=0o700)
    (root / "key").write_bytes(DATA)
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    done = subprocess.run(
        [sys.executable, "-c", PUT_AS_NOBODY, str(root), spooled, *map(str, DIGESTS)], capture_output=True, text=True, env=env, check=False
    )
    assert done.stdout == "denied False\n" * 3, done.stderr
