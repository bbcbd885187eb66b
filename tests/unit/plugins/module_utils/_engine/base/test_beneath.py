# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths below a folder that is held open: no symbolic link is followed, and only the very file that was read is deleted."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import beneath
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from rigs.swaps import OTHER_USER, can_swap, opened_to_all, others_folder, swapping, turns

needs_swaps = pytest.mark.skipif(not can_swap(), reason="needs root and renameat2")


def test_a_file_and_a_folder_are_opened_below_the_one_that_is_held(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "log").write_text("text")
    with beneath.open_folder(str(tmp_path)) as folder:
        descriptor = beneath.open_file(folder, "a/b/log")
        assert os.read(descriptor, 10) == b"text"
        os.close(descriptor)
        assert beneath.status_of(folder, "a/b/log").st_size == 4
        with beneath.open_below(folder, "a/new/deep", create=True) as deep:
            assert beneath.identity(os.fstat(deep)) == beneath.identity(os.stat(tmp_path / "a" / "new" / "deep"))


def test_the_folder_itself_may_be_reached_by_a_link(tmp_path: pathlib.Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "log").write_text("x")
    with beneath.open_folder(str(tmp_path / "link")) as folder:
        assert beneath.status_of(folder, "log").st_size == 1


@pytest.mark.parametrize("relative", ["link/log", "a/log", "a/link/log"])
def test_a_symbolic_link_on_the_way_is_an_error(tmp_path: pathlib.Path, relative: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "log").write_text("secret")
    (tmp_path / "link").symlink_to("outside")
    (tmp_path / "a" / "link").symlink_to("../outside")
    (tmp_path / "a" / "log").symlink_to("../outside/log")
    with beneath.open_folder(str(tmp_path)) as folder:
        with pytest.raises(OSError):
            beneath.open_file(folder, relative)
        if relative != "a/log":
            with pytest.raises(OSError):
                beneath.status_of(folder, relative)


@pytest.mark.parametrize("relative", ["", "/etc/passwd", "..", "a/../../x", "a//b", "a/.", "./a"])
def test_a_path_that_could_leave_the_folder_is_refused(tmp_path: pathlib.Path, relative: str) -> None:
    (tmp_path / "a").mkdir()
    with beneath.open_folder(str(tmp_path)) as folder, pytest.raises(OSError):
        beneath.open_file(folder, relative)


def test_a_named_pipe_does_not_make_us_wait(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with beneath.open_folder(str(tmp_path)) as folder:
        os.close(beneath.open_file(folder, "pipe"))


def test_only_a_regular_file_is_read_as_one(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    before = set(os.listdir("/proc/self/fd"))
    for other in (tmp_path / "pipe", tmp_path, "/dev/zero", tmp_path / "missing"):
        with pytest.raises(OSError) as caught:
            beneath.open_regular(str(other))
        assert caught.value.strerror
    for path, content in ((tmp_path / "file", b"content"), (tmp_path / "link", b"content"), (os.devnull, b"")):
        with open(beneath.open_regular(str(path)), "rb") as file:
            assert file.read() == content
    assert set(os.listdir("/proc/self/fd")) == before


def test_descriptors_are_closed_whatever_happens(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").mkdir()
    before = set(os.listdir("/proc/self/fd"))
    with beneath.open_folder(str(tmp_path)) as folder:
        for relative in ("a/missing", "missing/x", "a/.."):
            with pytest.raises(OSError):
                beneath.open_file(folder, relative)
    # Less the one by which the folder itself was listed.
    assert len(set(os.listdir("/proc/self/fd")) - before) <= 1


def test_only_the_very_file_is_removed(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "log"
    path.write_text("old")
    old = beneath.identity(path.lstat())
    path.rename(tmp_path / "log.1")
    path.write_text("new")
    with beneath.open_folder(str(tmp_path)) as folder:
        assert not beneath.remove(folder, "log", old, "private")
        assert beneath.remove(folder, "log.1", old, "private")
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"log": "new"}


@needs_swaps
def test_while_another_user_exchanges_a_folder_for_a_link_no_file_elsewhere_is_read(tmp_path: pathlib.Path) -> None:
    logs = others_folder(opened_to_all(tmp_path) / "logs")
    others_folder(logs / "app")
    (logs / "app" / "log").write_text("log")
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "log").write_text("secret")
    (logs / "link").symlink_to(tmp_path / "private")
    os.chown(logs / "link", OTHER_USER, OTHER_USER, follow_symlinks=False)
    read = set()
    with swapping(logs / "app", logs / "link"), beneath.open_folder(str(logs)) as folder:
        for _turn in turns(20000, lambda: read):
            try:
                descriptor = beneath.open_file(folder, "app/log")
            except OSError:
                continue
            read.add(os.read(descriptor, 10))
            os.close(descriptor)
    assert read == {b"log"}


@needs_swaps
def test_while_another_user_exchanges_two_files_only_the_one_that_was_read_is_removed(tmp_path: pathlib.Path) -> None:
    logs = others_folder(opened_to_all(tmp_path) / "logs")
    names = [logs / "one", logs / "two"]
    for path in names:
        path.write_text("log")
        os.chown(path, OTHER_USER, OTHER_USER)
    removed = []
    with contextlib.ExitStack() as stack:
        # An open file knows by its number of names whether it was removed; a look at names would race with the exchange.
        kept, other = [stack.enter_context(path.open()) for path in names]
        stack.enter_context(swapping(*names))
        folder = stack.enter_context(beneath.open_folder(str(logs)))
        for _turn in turns(900, lambda: removed):
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                if beneath.remove(folder, "one", beneath.identity(os.fstat(other.fileno())), beneath.private_name("one")):
                    removed.append(other)
            assert os.fstat(kept.fileno()).st_nlink == 1, "a file was removed that was not the one asked for"
            if not os.fstat(other.fileno()).st_nlink:
                (logs / "new").write_text("log")
                other = stack.enter_context((logs / "new").open())
                (logs / "new").rename(names[0] if names[1].exists() else names[1])
            elif not all(path.exists() for path in names):
                break  # Both names were taken again while one file had its private name, and it kept that.
    assert removed


@pytest.mark.parametrize(("mode", "says"), [(0o770, "group or others can write"), (0o707, "group or others can write"), (0o1777, "0?1777")])
def test_a_folder_that_others_can_write_to_is_refused(tmp_path: pathlib.Path, mode: int, says: str) -> None:
    folder = tmp_path / "destination"
    folder.mkdir()
    folder.chmod(mode)
    with beneath.open_folder(str(folder)) as descriptor, pytest.raises(ConfigError, match=says) as caught:
        beneath.require_private(descriptor, str(folder))
    assert "destination" in str(caught.value)


def test_a_folder_of_another_user_is_refused_and_our_own_is_not(tmp_path: pathlib.Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o755)
    with beneath.open_folder(str(mine)) as descriptor:
        beneath.require_private(descriptor, str(mine))
    if os.geteuid() == 0:
        theirs = others_folder(tmp_path / "theirs")
        with beneath.open_folder(str(theirs)) as descriptor, pytest.raises(ConfigError, match="user with id 65534"):
            beneath.require_private(descriptor, str(theirs))


def test_links_of_our_own_lead_to_a_private_folder_and_loops_end(tmp_path: pathlib.Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "absolute").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "relative").symlink_to("../real/deep")
    with beneath.open_private(str(tmp_path / "absolute" / "relative")) as folder:
        assert beneath.identity(os.fstat(folder)) == beneath.identity((tmp_path / "real" / "deep").stat())
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"), beneath.open_private(str(tmp_path / "loop")):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_link_of_another_user_in_a_sticky_folder_is_refused(tmp_path: pathlib.Path) -> None:
    tmp_path.chmod(0o1777)
    (tmp_path / "real").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to("real")
    os.chown(tmp_path / "link", OTHER_USER, OTHER_USER, follow_symlinks=False)
    with (
        pytest.raises(ConfigError, match="the symbolic link belongs to the user"),
        beneath.open_private(str(tmp_path / "link" / "x"), create=True),
    ):
        pass
    assert list((tmp_path / "real").iterdir()) == []


def test_a_tree_is_removed_with_its_links_but_not_what_they_lead_to(tmp_path: pathlib.Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "link").symlink_to(outside)
    (tree / "a" / "b" / "file").write_text("x")
    subprocess.run(["mkdir", "-p", "d/" * 1500], cwd=tree, check=True)
    with beneath.open_folder(str(tmp_path)) as folder:
        beneath.remove_tree(folder, "tree")
        beneath.remove_tree(folder, "tree")
        with pytest.raises(OSError):
            beneath.remove_tree(folder, "missing/../outside")
    assert [path.name for path in tmp_path.iterdir()] == ["outside"] and (outside / "kept").exists()


@pytest.mark.parametrize("way", ["keyring", "keyring/removed", "link", "a/b/up", "loop/../keyring"])
def test_no_way_leads_into_a_keyring(tmp_path: pathlib.Path, way: str) -> None:
    (tmp_path / "keyring" / "removed").mkdir(parents=True)
    (tmp_path / "keyring" / "keyring.json").write_text("{}")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a/b/up")
    (tmp_path / "a" / "b" / "up").symlink_to("../../keyring")
    (tmp_path / "loop").symlink_to("a")
    path = str(tmp_path) + "/" + way
    for call in (beneath.open_guarded, beneath.open_private, lambda path: beneath.guarded_parent(path + "/x")):
        with pytest.raises(ConfigError, match="it lies in the keyring"), call(path):
            pass
    with pytest.raises(ConfigError, match="it lies in the keyring"):
        beneath.real_path(path + "/new/x")
    with pytest.raises(ConfigError, match="it lies in the keyring"):
        beneath.real_path(path)


def test_the_real_path_is_known_as_far_as_it_exists(tmp_path: pathlib.Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real/deep")
    (tmp_path / "real" / "deep" / "log").symlink_to("../other/file")
    assert beneath.real_path(str(tmp_path / "link" / "new" / "x")) == str(tmp_path / "real" / "deep" / "new" / "x")
    assert beneath.real_path(str(tmp_path / "link")) == str(tmp_path / "real" / "deep")
    assert beneath.real_path(str(tmp_path / "link" / "log")) == str(tmp_path / "real" / "other" / "file")
    assert beneath.real_path("/") == "/"
