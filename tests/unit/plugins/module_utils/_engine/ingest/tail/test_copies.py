# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that begin alike and are there at the first look: copies, copies that are behind, and files with the same header."""

from __future__ import annotations

import collections
import contextlib
import gzip
import pathlib
import shutil
import sqlite3
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.pump import Pump
from rigs.streams import document, upload

HEADER = b"".join(b'{"sender": "common", "time": "2026-11-03T01:59:58.114", "message": "%060d"}\n' % number for number in range(30))
"""More than a KiB."""


class Following:
    """A folder of logs, a follower and a clock. restart: whether another follower starts before each look."""

    def __init__(self, folder: pathlib.Path, restart: bool) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.restart = restart
        self.now = 0.0
        self.document = document(folder)
        self.pump = self.new_pump()

    def new_pump(self) -> Pump:
        return Pump(self.document, self.document["sinks"][0], lambda: self.now)

    def write(self, name: str, begin: int, end: int, header: bytes = b"") -> None:
        with open(self.logs / name, "ab") as file:
            file.write(header + b"".join(upload(number) + b"\n" for number in range(begin, end)))

    def copy(self, name: str) -> None:
        """A copy of the live log."""
        data = (self.logs / "sftpgo.log").read_bytes()
        (self.logs / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)

    def follow(self) -> None:
        for _look in range(8):
            if self.restart:
                self.pump.close()
                self.pump = self.new_pump()
            self.pump.look()
            while self.pump.step():
                pass
            self.now += 10.0

    def select(self, statement: str) -> t.List[t.Tuple[t.Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.folder / "db.sqlite")) as connection:
            return connection.execute(statement).fetchall()

    def stored(self) -> t.Counter[int]:
        return collections.Counter(row[0] for row in self.select("SELECT size_bytes FROM sftpgo_transfer"))


@pytest.fixture(params=[False, True], ids=["one follower", "restarts"])
def following(tmp_path: pathlib.Path, request) -> t.Iterator[Following]:
    made = Following(tmp_path, request.param)
    yield made
    made.pump.close()


@pytest.mark.parametrize("lines", [1, 30])
@pytest.mark.parametrize("names", [["sftpgo-1.log"], ["sftpgo-1.log.gz"], ["sftpgo-1.log", "sftpgo-2.log"]], ids=["plain", "gzip", "two"])
def test_a_live_log_goes_on_beside_its_copies(following: Following, lines: int, names: t.List[str]) -> None:
    for number, name in enumerate(names):
        following.write("sftpgo.log", number * lines, (number + 1) * lines)
        following.copy(name)
    written = len(names) * lines
    for _growth in range(3):
        following.follow()
        assert following.stored() == collections.Counter(range(written))
        following.write("sftpgo.log", written, written + 5)
        written += 5
    following.follow()
    assert following.stored() == collections.Counter(range(written))
    assert following.select("SELECT * FROM ingest_gap") == []
    # Only the live log is read on.
    assert len(following.select("SELECT * FROM ingest_generation")) == 1


def test_a_copy_that_was_seen_before_the_truncation(following: Following) -> None:
    following.write("sftpgo.log", 0, 30)
    following.copy("sftpgo-1.log")
    following.follow()
    (following.logs / "sftpgo.log").write_bytes(b"")
    following.follow()
    following.write("sftpgo.log", 30, 60)
    following.follow()
    assert following.stored() == collections.Counter(range(60))


@pytest.mark.parametrize("live", [False, True])
def test_files_with_the_same_header_are_read_all(following: Following, live: bool) -> None:
    names = ["sftpgo-1.log", "sftpgo-2.log", "sftpgo.log" if live else "sftpgo-3.log"]
    for number, name in enumerate(names):
        following.write(name, number * 20, number * 20 + 20, HEADER)
    following.follow()
    assert following.stored() == collections.Counter(range(60))
    following.write(names[-1], 60, 70)
    following.follow()
    assert following.stored() == collections.Counter(range(70))
    assert following.select("SELECT * FROM ingest_gap") == []


def test_copies_of_several_days_without_the_log(following: Following) -> None:
    for day in range(3):
        following.write("sftpgo.log", day * 20, day * 20 + 20)
        shutil.copyfile(following.logs / "sftpgo.log", following.logs / ("sftpgo-%d.log" % day))
    (following.logs / "sftpgo.log").unlink()
    following.follow()
    assert following.stored() == collections.Counter(range(60))
    assert following.select("SELECT * FROM ingest_gap") == []
