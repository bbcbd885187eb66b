# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One archive in a folder: whole with its manifest beside it, or nothing."""

from __future__ import annotations

import fcntl
import json
import os

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import create as archiving, manifest as manifests
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.create import Contents
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.naming import manifest_key
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import send as shipping
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import files as selection
from rigs.archives import ENVELOPE, PERIOD, archive_maker

pytest.importorskip("cryptography")


@pytest.fixture
def make(tmp_path):
    return archive_maker(tmp_path)


def test_find_unchanged(make, tmp_path):
    path, manifest = make(b"log")
    (source,) = manifest["sources"]
    same = selection.source_at(source["path"], PERIOD)
    assert archiving.find_unchanged(path, [same]) == manifest
    assert archiving.find_unchanged(path, [same._replace(mtime_ns=1)]) is None
    assert archiving.find_unchanged(path, [same, same]) is None
    assert archiving.find_unchanged(str(tmp_path / "missing"), [same]) is None
    os.truncate(path, 5)
    assert archiving.find_unchanged(path, [same]) is None


def test_nothing_half_written_is_left_where_a_source_cannot_be_read(tmp_path):
    missing = selection.Source(str(tmp_path / "missing"), 1, 0, PERIOD, str(tmp_path), (0, 0))
    with pytest.raises(archiving.SourceError) as caught:
        archiving.create_archive(str(tmp_path / "x.tgz"), Contents([missing], "h", "j", PERIOD), ENVELOPE)
    assert caught.value.vanished
    assert os.listdir(tmp_path) == []


def test_what_a_killed_process_left_is_removed_and_what_another_one_writes_is_not(tmp_path):
    """A part that is locked belongs to a process that lives."""
    left, living = (tmp_path / ("%sx-%d.part" % (archiving.TEMP_PREFIX, number)) for number in (1, 2))
    for part in (left, living):
        part.touch()
        (tmp_path / manifest_key(part.name)).touch()
    with open(living, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        archiving.remove_leftovers(str(tmp_path))
        assert sorted(os.listdir(tmp_path)) == sorted([living.name, manifest_key(living.name)])


def test_leftovers_in_a_folder_that_cannot_be_read_are_an_error_and_a_missing_folder_has_none(tmp_path):
    archiving.remove_leftovers(str(tmp_path / "missing"))
    (tmp_path / "file").touch()
    with pytest.raises(archiving.LogArchiveError, match="cannot read the folder: Not a directory"):
        archiving.remove_leftovers(str(tmp_path / "file"))


def test_the_manifest_beside_an_archive_describes_it(make):
    path, manifest = make(b"log\n" * 1000)
    with open(manifest_key(path), "rb") as file:
        assert manifests.parse(file.read(), path) == manifest
    assert shipping.digests_of_file(path) == manifests.digests(manifest)
    assert os.stat(path).st_mode & 0o077 == 0


def test_an_archive_whose_manifest_nobody_would_read_is_not_made(make, tmp_path, monkeypatch):
    monkeypatch.setattr(archiving, "LARGEST", 100)
    with pytest.raises(archiving.LogArchiveError, match="too many sources"):
        make(b"log")
    assert os.listdir(tmp_path) == ["log"]


def test_too_many_sources_are_refused_before_any_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(archiving, "LARGEST", 1000)
    missing = [selection.Source("/missing/%d" % number, 1, 0, PERIOD, "/missing", (0, 0)) for number in range(5)]
    with pytest.raises(archiving.LogArchiveError, match=r"too many sources for one archive \(5\)"):
        archiving.create_archive(str(tmp_path / "x"), Contents(missing, "h", "j", PERIOD), ENVELOPE)


def test_no_source_takes_less_of_a_manifest_than_is_counted_before_packing(make):
    _path, manifest = make(b"")
    (source,) = manifest["sources"]
    smallest = dict(source, mode="0000", mtime_ns=0, uid=0, gid=0, size=0, name="", path="", changed=True, vanished=True)
    assert len(json.dumps(smallest, separators=(",", ":"))) >= archiving.LEAST_FACTS


def test_creating_an_archive_where_one_stands_is_refused(tmp_path):
    path = tmp_path / "a.tgz.fernet"
    path.write_bytes(b"x")
    with pytest.raises(FileExistsError):
        archiving.create_archive(str(path), Contents([], "h", "j", PERIOD), ENVELOPE)
