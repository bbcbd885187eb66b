# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalog's file: private, read without a trace on request, and refused if it is damaged or newer."""

from __future__ import annotations

import os
import sqlite3
import stat

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.database import FILE_NAME, SCHEMA_VERSION
from rigs.manifests import manifest


def test_the_file_is_private_from_the_start(tmp_path):
    old = os.umask(0)
    try:
        catalog = Catalog(str(tmp_path))
        catalog.runs.begin("job", 1.0)
        for name in os.listdir(tmp_path):
            assert stat.S_IMODE(os.stat(tmp_path / name).st_mode) & 0o077 == 0, name
        catalog.close()
    finally:
        os.umask(old)


def test_readonly_leaves_no_trace(tmp_path):
    catalog = Catalog(str(tmp_path))
    catalog.add("host", "job", "k", manifest(), ["a"])
    catalog.close()
    before = {name: os.stat(tmp_path / name).st_mtime_ns for name in [".", *os.listdir(tmp_path)]}
    reader = Catalog(str(tmp_path), readonly=True)
    assert reader.by_key("k")
    reader.runs.begin("job", 1.0)
    reader.close()
    assert before == {name: os.stat(tmp_path / name).st_mtime_ns for name in [".", *os.listdir(tmp_path)]}


def test_readonly_sees_what_a_killed_run_left_in_the_write_ahead_log(tmp_path):
    writer = Catalog(str(tmp_path))
    writer.add("host", "job", "k", manifest(), ["a"])
    reader = Catalog(str(tmp_path), readonly=True)
    assert reader.by_key("k")
    reader.close()
    writer.close()


def test_readonly_of_a_file_that_was_never_filled_is_an_empty_catalog(tmp_path):
    (tmp_path / FILE_NAME).touch()
    reader = Catalog(str(tmp_path), readonly=True)
    assert reader.entries("job") == []
    reader.close()


def test_a_newer_catalog_is_left_alone(tmp_path):
    Catalog(str(tmp_path)).close()
    database = sqlite3.connect(tmp_path / FILE_NAME)
    database.execute("PRAGMA user_version=%d" % (SCHEMA_VERSION + 1))
    database.close()
    with pytest.raises(LogArchiveError, match="newer version"):
        Catalog(str(tmp_path))


@pytest.mark.parametrize("damage", ["text", "cut", "folder"])
def test_a_damaged_catalog_is_an_error(tmp_path, damage):
    path = tmp_path / FILE_NAME
    if damage == "folder":
        path.mkdir()
    elif damage == "text":
        path.write_bytes(b"no database\n" * 500)
    else:
        catalog = Catalog(str(tmp_path))
        for number in range(100):
            catalog.add("host", "job", "k%d" % number, manifest(), ["a"])
        catalog.close()
        os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(LogArchiveError, match="move it away"):
        catalog = Catalog(str(tmp_path))
        catalog.entries("job")
        catalog.awaited("job")
