# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One archive in a folder: whole with its manifest beside it, or nothing."""

from __future__ import annotations

import os

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine import (
    archiving,
    keyring,
    manifest as manifests,
    periods,
    selection,
    shipping,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.naming import manifest_key
from faults.host import at

pytest.importorskip("cryptography")
PERIOD = periods.Period(at("2024-01-12 14:00"), at("2024-01-12 15:00"))
KEY = keyring.Key(keyring.key_id(bytes(32)), bytes(32))


@pytest.fixture
def make(tmp_path):
    """Call with a log's bytes for a new archive of it: (path, manifest)."""
    log = tmp_path / "log"
    made = []

    def created(content):
        log.write_bytes(content)
        path = str(tmp_path / ("%d.tgz" % len(made)))
        made.append(archiving.create_archive(path, [selection.Source(str(log), len(content), 0, PERIOD)], KEY, "h", "j", PERIOD))
        return path, made[-1].manifest

    return created


def test_find_unchanged(make, tmp_path):
    path, manifest = make(b"log")
    (source,) = manifest["sources"]
    same = selection.Source(source["path"], source["size"], source["mtime_ns"], PERIOD)
    assert archiving.find_unchanged(path, [same]) == manifest
    assert archiving.find_unchanged(path, [same._replace(mtime_ns=1)]) is None
    assert archiving.find_unchanged(path, [same, same]) is None
    assert archiving.find_unchanged(str(tmp_path / "missing"), [same]) is None
    os.truncate(path, 5)
    assert archiving.find_unchanged(path, [same]) is None


def test_nothing_half_written_is_left_where_a_source_cannot_be_read(tmp_path):
    missing = selection.Source(str(tmp_path / "missing"), 1, 0, PERIOD)
    with pytest.raises(archiving.SourceError) as caught:
        archiving.create_archive(str(tmp_path / "x.tgz"), [missing], KEY, "h", "j", PERIOD)
    assert caught.value.vanished
    assert os.listdir(tmp_path) == []


def test_what_a_killed_run_left_is_removed(tmp_path):
    (tmp_path / (archiving.TEMP_PREFIX + "x-1.part")).touch()
    (tmp_path / "x.tgz").touch()
    assert archiving.remove_leftovers(str(tmp_path)) == [archiving.TEMP_PREFIX + "x-1.part"]
    assert os.listdir(tmp_path) == ["x.tgz"]


def test_the_manifest_beside_an_archive_describes_it(make):
    path, manifest = make(b"log\n" * 1000)
    with open(manifest_key(path), "rb") as file:
        assert manifests.parse(file.read(), path) == manifest
    assert shipping.digests_of_file(path) == manifests.digests(manifest)
    assert os.stat(path).st_mode & 0o077 == 0


def test_an_archive_whose_manifest_nobody_would_read_is_not_made(make, tmp_path, monkeypatch):
    monkeypatch.setattr(archiving.manifests, "LARGEST", 100)
    with pytest.raises(archiving.LogArchiveError, match="too many sources"):
        make(b"log")
    assert os.listdir(tmp_path) == ["log"]
