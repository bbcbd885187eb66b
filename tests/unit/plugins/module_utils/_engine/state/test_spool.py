# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The spool: what lies in it, what a killed run left there, and how an archive comes back to it."""

from __future__ import annotations

import os
import pathlib

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import manifest as manifests
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.spool import Spool
from rigs.host import files_below
from rigs.manifests import manifest

KEY = "web1/syslog/2024/01/12/a.tgz"


@pytest.fixture
def spool(tmp_path):
    return Spool(str(tmp_path), ["syslog"])


def add(spool, key, content=b"x", with_manifest=True):
    path = pathlib.Path(spool.path(key))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if with_manifest:
        path.with_name(path.name + ".manifest.json").write_bytes(b"{}")


def test_archives_of_every_host_name_but_only_of_the_job(spool):
    for key in (KEY, "old-name/syslog/2024/01/12/b.tgz", "web1/other/2024/01/12/c.tgz"):
        add(spool, key)
    assert spool.clean() == ["old-name/syslog/2024/01/12/b.tgz", KEY]
    assert spool.holds(KEY) and not spool.is_free(KEY)
    assert not spool.holds(KEY + "2") and spool.is_free(KEY + "2")


def test_a_dangling_link_is_no_archive_and_not_free(spool):
    add(spool, KEY)
    os.symlink("nothing", spool.path(KEY + "2"))
    assert not spool.holds(KEY + "2") and not spool.is_free(KEY + "2")


def test_clean_removes_unfinished_files_and_lone_manifests(spool, tmp_path):
    add(spool, KEY)
    add(spool, "web1/syslog/2024/01/12/lone.tgz.manifest.json", with_manifest=False)
    add(spool, "web1/syslog/2024/01/12/.log-archive-x.part", with_manifest=False)
    add(spool, "web1/syslog/2024/01/12/foreign", with_manifest=False)
    add(spool, "web1/other/2024/01/12/.log-archive-x.part", with_manifest=False)
    assert spool.clean() == [KEY, "web1/syslog/2024/01/12/foreign"]
    assert files_below(tmp_path) == [
        "web1/other/2024/01/12/.log-archive-x.part",
        KEY,
        KEY + ".manifest.json",
        "web1/syslog/2024/01/12/foreign",
    ]


def test_remove_leaves_no_empty_folder_of_a_day(spool, tmp_path):
    other = "web1/syslog/2024/02/01/b.tgz"
    add(spool, KEY)
    add(spool, other)
    spool.remove(KEY)
    assert files_below(tmp_path) == [other, other + ".manifest.json"]
    assert os.listdir(tmp_path / "web1" / "syslog" / "2024") == ["02"]
    spool.remove(other)
    assert os.listdir(tmp_path / "web1") == ["syslog"] and os.listdir(tmp_path / "web1" / "syslog") == []


def test_remove_after_the_spool_was_lost(spool, tmp_path):
    spool.remove(KEY)
    assert os.listdir(tmp_path) == []


def test_put_brings_archive_and_manifest(spool, tmp_path):
    spool.put(KEY, manifest(), lambda file: file.write(b"archive"))
    assert (tmp_path / KEY).read_bytes() == b"archive"
    assert (tmp_path / (KEY + ".manifest.json")).read_bytes() == manifests.dump(manifest())
    assert spool.clean() == [KEY]


def test_put_leaves_nothing_if_fetching_fails(spool, tmp_path):
    def fetch(file):
        file.write(b"half")
        raise OSError("cut")

    with pytest.raises(OSError, match="cut"):
        spool.put(KEY, manifest(), fetch)
    assert files_below(tmp_path) == []
