# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A live file that loses its end, as in a crash of the host: what is left of it is not stored again, and what follows is."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import sqlite3
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower, pump, status
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.pump import Pump
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks import rows
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.tail import marks, matching
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.tail.content import PlainContent
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.tail.lines import Limits, read_lines
from rigs.streams import document, upload

SIZE = len(upload(100)) + 1


class Following:
    """A log, a follower and a clock. Lines have numbers from 100 to 999, and are equally long."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.log = folder / "logs" / "sftpgo.log"
        self.log.parent.mkdir()
        self.document = document(folder)
        self.now = 0.0
        self.start()

    def start(self) -> None:
        self.pump = Pump(self.document, self.document["sinks"][0], lambda: self.now)

    def write(self, begin: int, end: int) -> None:
        with open(self.log, "ab") as file:
            file.write(b"".join(upload(number) + b"\n" for number in range(begin, end)))

    def follow(self) -> None:
        """Look until a copy would have settled, and no further."""
        for _each in range(7):
            self.pump.look()
            while self.pump.step():
                pass
            self.now += 1.0

    def cut(self, size: int) -> None:
        os.truncate(self.log, size)

    def select(self, statement: str) -> t.List[t.Tuple[t.Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.folder / "db.sqlite")) as connection:
            return connection.execute(statement).fetchall()

    def stored(self) -> t.List[int]:
        return [row[0] for row in self.select("SELECT size_bytes FROM sftpgo_transfer ORDER BY size_bytes")]

    def rejected(self) -> t.List[bytes]:
        return [row[0] for row in self.select("SELECT line FROM ingest_rejected")]

    def gaps(self) -> t.List[t.Tuple[t.Any, ...]]:
        return self.select("SELECT kind, bytes FROM ingest_gap")

    def starts(self) -> t.List[int]:
        return [row[0] for row in self.select("SELECT start_offset FROM ingest_generation ORDER BY id")]


@pytest.fixture
def following(tmp_path: pathlib.Path) -> t.Iterator[Following]:
    found = Following(tmp_path)
    found.write(100, 150)
    found.follow()
    yield found
    found.pump.close()


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
@pytest.mark.parametrize("more", [0, 3, 30], ids=["no more", "shorter", "longer"])
def test_lines_before_the_cut_are_not_stored_again(following: Following, stopped: bool, more: int) -> None:
    if stopped:
        following.pump.close()
    following.cut(30 * SIZE)
    following.write(200, 200 + more)
    if stopped:
        following.start()
    following.follow()
    following.write(300, 303)
    following.follow()
    assert following.stored() == [*range(100, 150), *range(200, 200 + more), *range(300, 303)]
    assert following.starts() == [0, 30 * SIZE]
    assert [kind for kind, _length in following.gaps()] == ["removed" if stopped else "truncated"]
    assert following.rejected() == []
    found = status.of(following.document)[0]
    assert (found["lag_bytes"], found["lines"]) == (0, 53 + more)


def test_one_call_reads_on_behind_the_cut(following: Following, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call of ``ingest`` sees the file for the first time: it must not take it for a copy in progress, and leave it out, for ever."""
    monkeypatch.setattr(matching, "COPY_SETTLES", 0.5)
    monkeypatch.setattr(pump, "PAUSE", 0.001)
    following.pump.close()
    following.cut(30 * SIZE)
    following.write(200, 203)
    result = follower.catch_up(following.document)["sinks"][0]
    assert (result["rows"], result["gaps"], result["error"]) == (3, 1, None)
    assert following.stored() == [*range(100, 150), *range(200, 203)]


def test_a_line_that_was_cut_is_a_line_with_what_follows_it(following: Following) -> None:
    following.cut(30 * SIZE + 20)
    following.write(200, 202)
    following.follow()
    assert following.stored() == [*range(100, 150), 201]
    assert following.rejected() == [upload(130)[:20] + upload(200)]


def test_new_lines_that_are_as_long_as_the_lost_ones(following: Following) -> None:
    following.cut(30 * SIZE)
    following.write(200, 220)
    following.follow()
    assert following.stored() == [*range(100, 150), *range(200, 220)]


def test_the_lost_end_is_zero_bytes(following: Following) -> None:
    following.cut(30 * SIZE)
    following.cut(50 * SIZE)
    following.write(200, 203)
    following.follow()
    assert following.stored() == [*range(100, 150), *range(200, 203)]
    assert sorted(kind for kind, _length in following.gaps()) == ["hole", "truncated"]


def test_the_end_is_lost_again_and_again(following: Following) -> None:
    for lines, new in ((40, 200), (45, 300), (20, 400), (25, 500)):
        following.cut(lines * SIZE)
        following.write(new, new + 10)
        following.follow()
    assert following.stored() == [*range(100, 150), *(new + each for new in (200, 300, 400, 500) for each in range(10))]
    assert following.starts() == [0, 40 * SIZE, 45 * SIZE, 20 * SIZE, 25 * SIZE]


def test_after_the_cut_the_file_is_rotated(following: Following) -> None:
    following.cut(30 * SIZE)
    following.write(200, 203)
    following.pump.look()
    following.log.rename(following.log.with_name("sftpgo-1.log"))
    following.write(300, 303)
    following.follow()
    assert following.stored() == [*range(100, 150), *range(200, 203), *range(300, 303)]
    following.pump.close()
    following.start()
    following.follow()
    assert len(following.stored()) == 56


def test_a_file_that_was_copied_and_truncated_loses_its_end(following: Following) -> None:
    shutil.copyfile(following.log, following.log.with_name("sftpgo-1.log"))
    following.cut(0)
    following.write(200, 240)
    following.follow()
    following.cut(20 * SIZE)
    following.write(300, 303)
    following.follow()
    assert following.stored() == [*range(100, 150), *range(200, 240), *range(300, 303)]


def test_less_than_a_kib_is_stored_again(following: Following) -> None:
    following.cut(2 * SIZE)
    following.follow()
    assert following.stored() == [100, 100, 101, 101, *range(102, 150)]


def test_lines_that_were_not_read_are_lost(following: Following) -> None:
    following.write(200, 210)
    following.pump.look()
    following.cut(55 * SIZE)
    following.follow()
    assert following.stored() == [*range(100, 150), *range(200, 205)]
    assert following.gaps() == [("truncated", 5 * SIZE)]


def test_lines_that_are_lost_while_one_call_reads_are_reported_by_that_call(following: Following, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Pump.step

    def cut_before(pump: Pump) -> bool:
        monkeypatch.setattr(Pump, "step", step)
        following.cut(55 * SIZE)
        return step(pump)

    following.write(200, 210)
    monkeypatch.setattr(Pump, "step", cut_before)
    (result,) = follower.catch_up(following.document)["sinks"]
    assert (result["rows"], result["gaps"], result["gap_bytes"]) == (5, 1, 5 * SIZE)
    assert following.stored() == [*range(100, 150), *range(200, 205)]


@pytest.mark.parametrize("glance", [False, True], ids=["look", "glance"])
@pytest.mark.parametrize("unread", [0, 10])
def test_what_follows_a_truncation_is_not_counted_as_lost(following: Following, unread: int, glance: bool) -> None:
    following.write(200, 200 + unread)
    following.pump.look()
    following.cut(0)
    following.write(300, 390)
    if glance:
        following.pump.glance()
        assert not following.pump.step()
    following.follow()
    assert following.stored() == [*range(100, 150), *range(300, 390)]
    assert following.gaps() == [("truncated", unread * SIZE or None)]


def test_before_the_last_lines_marks_are_few(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"%09d\n" % number for number in range(100000)))
    content = PlainContent(os.open(log, os.O_RDONLY))
    recent: t.Tuple[t.Tuple[int, str], ...] = ()
    at = 0
    while at < content.size():
        piece = read_lines(content, at, Limits(100, 1 << 20, 1000))
        recent, at = marks.noted(recent, content, piece), piece.end
    content.close()
    offsets = [offset for offset, _digest in recent]
    assert offsets[-256:] == list(range(1000000 - 2550, 1000001, 10))
    assert len(offsets) < 300
    assert all((1000000 - before) <= 1.6 * (1000000 - after) + 2000 for before, after in zip(offsets, offsets[1:]))


def test_a_version_without_marks_ignores_them(following: Following) -> None:
    sink = following.select("SELECT %s FROM ingest_generation" % ", ".join(rows.COLUMNS))
    generation = rows.generation_of(sink[0])
    assert [offset for offset, _digest in generation.recent] == [number * SIZE for number in range(1, 51)]
    assert rows.row_of(generation, sink[0][1], sink[0][2]) == sink[0][1:]
    assert max(length for length, _digest in generation.head) < 50 * SIZE
    without = generation._replace(recent=())
    assert rows.row_of(without, "", "")[5] in rows.row_of(generation, "", "")[5].replace(",[%d," % rows.BEYOND, "]\0")


def test_a_cut_far_before_the_end_stores_few_lines_twice(following: Following) -> None:
    following.write(150, 990)
    following.follow()
    following.cut(500 * SIZE)
    following.write(990, 992)
    following.follow()
    stored = following.stored()
    assert sorted(set(stored)) == list(range(100, 992))
    twice = [number for number in stored if stored.count(number) == 2]
    assert set(twice) == set(range(600 - len(twice) // 2, 600))
    assert 0 < len(twice) // 2 <= 125
