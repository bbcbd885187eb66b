# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compressed files at the start of a follower: those that were read are not decompressed again, and the others do not delay it."""

from __future__ import annotations

import contextlib
import gzip
import os
import pathlib
import sqlite3
import time
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.pump import Pump
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.tail import matching
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.tail.content import GzipContent
from rigs.streams import document, upload

COARSE = 0.05
"""Seconds by which the time of a change may be before the clock of the process: kernels use a coarse clock."""


@pytest.fixture
def decompressed(monkeypatch) -> t.List[int]:
    """The sizes of the compressed files that were decompressed to their ends."""
    found: t.List[int] = []
    size = GzipContent.size

    def noted(content: GzipContent) -> int:
        if content._size is None:
            found.append(size(content))
        return size(content)

    monkeypatch.setattr(GzipContent, "size", noted)
    monkeypatch.setattr(matching, "CLOCK", 0.0)
    return found


def lines(*numbers: int) -> bytes:
    return b"".join(upload(number) + b"\n" for number in numbers)


def compress(path: pathlib.Path) -> pathlib.Path:
    """As gzip does, which keeps the time of the last change."""
    status = path.stat()
    target = path.with_name(path.name + ".gz")
    target.write_bytes(gzip.compress(path.read_bytes()))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    path.unlink()
    return target


def caught_up(tmp_path: pathlib.Path) -> int:
    """How many lines one call stored."""
    time.sleep(COARSE)
    result = follower.catch_up(document(tmp_path), sleep=lambda _seconds: None)
    # What changes next must not seem to have changed before this.
    time.sleep(COARSE)
    assert (result["exit_code"], result["sinks"][0]["gaps"]) == (0, 0)
    return result["sinks"][0]["lines"]


def stored(tmp_path: pathlib.Path) -> t.List[int]:
    with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite")) as connection:
        return [row[0] for row in connection.execute("SELECT size_bytes FROM sftpgo_transfer ORDER BY size_bytes")]


def test_a_file_that_was_read_compressed_is_not_decompressed_again(tmp_path, logs, decompressed) -> None:
    for number in range(3):
        (logs / ("sftpgo-%d.log.gz" % number)).write_bytes(gzip.compress(lines(10 * number, 10 * number + 1)))
    assert (caught_up(tmp_path), len(decompressed)) == (6, 3)
    assert [(caught_up(tmp_path), len(decompressed)) for _call in range(2)] == [(0, 3)] * 2


@pytest.mark.parametrize("then", ["rename", "rewrite"])
def test_a_file_that_was_read_before_it_was_compressed_is_decompressed_once(tmp_path, logs, decompressed, then: str) -> None:
    rotated = logs / "sftpgo-1.log"
    rotated.write_bytes(lines(1, 2))
    os.utime(rotated, (1, 1))
    assert caught_up(tmp_path) == 2
    path = compress(rotated)
    assert [(caught_up(tmp_path), len(decompressed)) for _call in range(3)] == [(0, 1)] * 3
    if then == "rename":
        path.rename(logs / "sftpgo-2.log.gz")
    else:
        # Another program compresses it again, in place.
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1))
    assert [(caught_up(tmp_path), len(decompressed)) for _call in range(3)] == [(0, 2)] * 3
    assert stored(tmp_path) == [1, 2]


def test_other_content_behind_the_same_beginning_under_the_same_inode_is_read(tmp_path, logs, decompressed) -> None:
    common = range(100, 110)
    path = logs / "sftpgo-1.log.gz"
    path.write_bytes(gzip.compress(lines(*common, 201)))
    inode = path.stat().st_ino
    assert caught_up(tmp_path) == 11
    with open(path, "r+b") as file:
        file.truncate()
        file.write(gzip.compress(lines(*common, 202)))
    os.utime(path, (1, 1))
    assert path.stat().st_ino == inode
    assert (caught_up(tmp_path), len(decompressed)) == (11, 2)
    assert stored(tmp_path)[-2:] == [201, 202]


def test_a_look_at_many_compressed_files_ends_early_and_reports_no_loss(tmp_path, logs, decompressed) -> None:
    wanted, clock = document(tmp_path), iter(range(10**6))
    for number in range(30):
        (logs / ("sftpgo-%02d.log" % number)).write_bytes(lines(number))
    with contextlib.closing(Pump(wanted, wanted["sinks"][0])) as reader:
        reader.look()
        while reader.step():
            pass
    for number in range(30):
        path = logs / ("sftpgo-%02d.log" % number)
        path.write_bytes(path.read_bytes() + lines(100 + number))
        compress(path)
    (logs / "sftpgo.log").write_bytes(lines(500))
    looks = []
    # Each call of this clock is a second later.
    with contextlib.closing(Pump(wanted, wanted["sinks"][0], clock=lambda: float(next(clock)))) as reader:
        while not looks or reader.settles_in:
            before = len(decompressed)
            reader.look()
            looks.append(len(decompressed) - before)
            if len(looks) == 1:
                while reader.step():
                    pass
                # What is written now does not wait for the old files.
                assert 500 in stored(tmp_path)
        while reader.step():
            pass
        assert len(looks) > 3 and min(looks) >= 1 and max(looks) < 8
        assert reader.counts.gaps == 0
    assert stored(tmp_path) == [*range(30), *range(100, 130), 500]
