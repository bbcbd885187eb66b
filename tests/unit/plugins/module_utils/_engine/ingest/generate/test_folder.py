# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A generated folder is one that SFTPGo could have left, and the same seed gives the same bytes."""

from __future__ import annotations

import gzip
import itertools
from datetime import datetime

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.progress import no_progress
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.generate.folder import generate_folder
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.generate.sftpgo import generate_lines
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records.parser import LineParser
from rigs.streams import document

START = datetime(2026, 1, 5)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def generated(folder, seed=7, compress=False):
    return generate_folder(str(folder), 3, 200, seed, START, compress, no_progress)


def test_the_same_seed_gives_the_same_files_and_another_seed_others(tmp_path):
    result = generated(tmp_path / "a")
    assert generated(tmp_path / "b") == dict(result, folder=str(tmp_path / "b"))
    generated(tmp_path / "c", seed=8)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert content(tmp_path / "a") != content(tmp_path / "c")


def test_names_lines_and_bytes_are_as_reported(tmp_path):
    result = generated(tmp_path)
    files = content(tmp_path)
    assert sorted(result["files"]) == sorted(files)
    assert result["files"][-1] == "sftpgo.log"
    assert all(name.startswith("sftpgo-2026-01-") for name in result["files"][:-1])
    assert [files[name].count(b"\n") for name in result["files"]] == [200, 200, 200]
    assert sum(result["lines"].values()) == 600
    assert sum(map(len, files.values())) == result["bytes"]


def test_compressed_files_hold_the_same_lines(tmp_path):
    generated(tmp_path / "plain")
    generated(tmp_path / "packed", compress=True)
    plain, packed = content(tmp_path / "plain"), content(tmp_path / "packed")
    assert {name.replace(".gz", ""): gzip.decompress(data) if name.endswith(".gz") else data for name, data in packed.items()} == plain


def test_every_line_is_read_as_what_it_was_made_as(tmp_path):
    parser = LineParser(document(tmp_path))
    lines = list(itertools.islice(generate_lines(3, START), 2000))
    for line in lines:
        table, _values = parser.parse(line.text.encode().rstrip(b"\n"))
        assert table == "sftpgo_" + line.kind
    assert {line.kind for line in lines} == {"transfer", "command", "login", "failed_login", "http", "application"}
    assert [line.time for line in lines] == sorted(line.time for line in lines)
    assert len({line.text for line in lines}) < len(lines), "two identical lines are two transfers"


def test_a_folder_that_has_a_log_already_is_left_alone(tmp_path):
    (tmp_path / "sftpgo.log").write_text("mine\n")
    with pytest.raises(LogArchiveError, match=r"already contains sftpgo\.log"):
        generated(tmp_path)
    assert content(tmp_path) == {"sftpgo.log": b"mine\n"}


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LogArchiveError, match="cannot write the logs"):
        generated(tmp_path / "file")
