# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A folder that is kept open is the one to which its path leads, at each use."""

from __future__ import annotations

import contextlib
import os
import pathlib
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import beneath
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.kept import KeptBelow, KeptFolder


class Kept:
    """A folder that counts how often it was opened."""

    def __init__(self, path: pathlib.Path) -> None:
        self.opens = 0
        self.folder = KeptFolder(str(path), self._open)

    @contextlib.contextmanager
    def _open(self, path: str) -> t.Iterator[int]:
        self.opens += 1
        with beneath.open_guarded(path) as folder:
            yield folder

    def names(self) -> t.List[str]:
        with self.folder.opened() as folder:
            return os.listdir(folder)


@pytest.fixture
def place(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "one").touch()
    return tmp_path / "there"


def test_it_is_opened_once_and_again_after_a_close(place: pathlib.Path) -> None:
    kept = Kept(place)
    assert [kept.names() for _use in range(3)] == [["one"]] * 3
    assert kept.opens == 1
    before = len(os.listdir("/proc/self/fd"))
    kept.folder.close()
    kept.folder.close()
    assert len(os.listdir("/proc/self/fd")) == before - 1
    assert kept.names() == ["one"]
    assert kept.opens == 2


def test_a_folder_that_takes_its_place_is_opened(place: pathlib.Path) -> None:
    kept = Kept(place)
    kept.names()
    place.rename(place.with_name("away"))
    with pytest.raises(FileNotFoundError):
        kept.names()
    (place.with_name("other")).mkdir()
    (place.with_name("other") / "two").touch()
    place.symlink_to("other")
    assert kept.names() == ["two"]


def test_it_is_refused_once_it_is_a_keyring(place: pathlib.Path) -> None:
    kept = Kept(place)
    kept.names()
    (place / "keyring.json").touch()
    with pytest.raises(ConfigError, match="keyring"):
        kept.names()


def test_a_folder_below_is_the_one_of_its_name_at_each_use(place: pathlib.Path) -> None:
    kept = KeptBelow()
    (place / "a" / "b").mkdir(parents=True)
    with beneath.open_folder(str(place)) as root:

        def put(name: str, create: bool = True) -> None:
            with kept.opened(root, "a/b", create) as folder:
                os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=folder))

        put("one", create=False)
        (place / "a").rename(place / "moved")
        with pytest.raises(FileNotFoundError):
            put("two", create=False)
        put("two")
        (place / "a").rename(place / "again")
        (place / "a").symlink_to("moved")
        with pytest.raises(OSError, match="symbolic|directory"):
            put("three")
        (place / "a").unlink()
        (place / "again").rename(place / "a")
        os.close(kept.open_file(root, "a/b/two"))
        (place / "a" / "b" / "keyring.json").touch()
        with pytest.raises(ConfigError, match="keyring"):
            put("four")
    assert sorted(path.name for path in place.rglob("*") if path.is_file()) == ["keyring.json", "one", "one", "two"]
    kept.close()
