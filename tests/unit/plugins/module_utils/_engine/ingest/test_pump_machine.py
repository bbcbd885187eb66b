# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random lists of actions against the follower and a simple model: every line that the source did not lose is stored exactly once."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import sqlite3
import tempfile
import typing as t

import hypothesis.strategies as st
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_check import normalise_stream
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import reading, turns
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.checkpoint import Stored, stored_of
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.helper import HelperError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.pump import Pump
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records.parser import LineParser
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.opening import open_sink
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.tail import lines as tail_lines, matching
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.tail.tracker import LINGER
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from rigs.examples import examples
from rigs.source import PARSE, Source, stored
from rigs.sums import assert_sums_are_those_of_the_rows

LINES, CLOCK = reading.LINES, matching.CLOCK
SIZES = reading.TURN_LINES, reading.PART, tail_lines.AT_ONCE
BACKLOG, PROCESS = turns.BACKLOG, turns.Helper
MOMENTS = ("is_ready", "send", "store", "receive")


class HelperHere:
    """The other process of a backlog, in this one: many of them start quickly. dies_at: at which of MOMENTS the next one fails."""

    dies_at: t.Optional[str] = None

    def __init__(self, document: t.Any, options: t.Any) -> None:
        self._parser = LineParser(document)
        self._sink = open_sink(options, document)
        self._stored: t.List[Stored] = []

    def _live(self, moment: str) -> None:
        if HelperHere.dies_at == moment:
            HelperHere.dies_at = None
            raise HelperError(moment)

    @property
    def is_ready(self) -> bool:
        self._live("is_ready")
        return True

    def send(self, read: t.Any) -> None:
        self._live("send")
        piece = read.piece
        parts = reading.parsed_parts(self._parser, read.first_line, piece.lines, piece.long, piece.blocks)
        self._batch = self._sink.stage_batch(read.batch, parts)

    def store(self) -> None:
        if HelperHere.dies_at != "store":
            self._stored.append(stored_of(self._batch, self._sink.commit(self._batch)))

    def receive(self, _batch: t.Any, _patience: float) -> Stored:
        self._live("store")
        self._live("receive")
        return self._stored.pop()

    def close(self) -> None:
        self._sink.close()


class Following(RuleBasedStateMachine):
    """A source, a follower that is killed at any time, and a clock."""

    def __init__(self) -> None:
        super().__init__()
        # In memory, if possible: each commit waits for the disk.
        self.folder = pathlib.Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
        # A file system there gives no inode a second time at once.
        self.disk = pathlib.Path(tempfile.mkdtemp())
        self.database = str(self.folder / "db.sqlite")
        self.now = 0.0
        self.start(self.folder)

    def start(self, folder: pathlib.Path) -> None:
        """Begin with an empty folder of logs."""
        follow = {"paths": [str(folder / "logs")], "patterns": ["app.log"], "rotated": ["app-*.log"], "recurse": True}
        self.document = normalise_stream(
            {"name": "app", "host": "web1", "follow": follow, "parse": PARSE, "sinks": [{"type": "sqlite", "path": self.database}]}
        )
        self.source = Source(folder / "logs", self.stored)
        self.pump = self.new_pump()
        self.look()

    @initialize(lines=st.sampled_from([1, 3, LINES]), clock=st.sampled_from([0.005, CLOCK]), in_turns=st.booleans(), disk=st.booleans())
    def choose(self, lines: int, clock: float, in_turns: bool, disk: bool) -> None:
        """With full batches the follower reads ahead, or two processes take turns; with exact clocks it recognises compressed files
        without decompressing them.
        """
        reading.LINES, matching.CLOCK = lines, clock
        if in_turns:
            turns.BACKLOG, turns.Helper = 0, t.cast(t.Any, HelperHere)
            reading.TURN_LINES, reading.PART, tail_lines.AT_ONCE = lines, 1, 1000
        self.pump.close()
        self.start(self.disk if disk else self.folder)

    def new_pump(self) -> Pump:
        return Pump(self.document, self.document["sinks"][0], lambda: self.now)

    def stored(self) -> t.Counter[int]:
        with contextlib.closing(sqlite3.connect(self.database)) as connection:
            return stored(connection.execute)

    def count(self, table: str) -> int:
        with contextlib.closing(sqlite3.connect(self.database)) as connection:
            return int(connection.execute("SELECT COUNT(*) FROM %s" % table).fetchone()[0])

    @rule(count=st.integers(1, 8), size=st.sampled_from([0, 0, 400]), twice=st.booleans())
    def write(self, count: int, size: int, twice: bool) -> None:
        self.source.write(count, size, twice)

    @rule()
    def write_part(self) -> None:
        self.source.write_part()

    @rule(append=st.booleans())
    def reopen(self, append: bool) -> None:
        self.source.use_append(append)

    @rule(
        how=st.sampled_from(["rename", "copytruncate", "truncate", "compress", "remove_oldest", "restore_copy", "rename", "compress"]),
        look=st.booleans(),
    )
    def rotate(self, how: str, look: bool) -> None:
        getattr(self.source, how)()
        if look:
            self.look()

    @rule(
        how=st.sampled_from(
            [
                "compress_slowly", "arrive_compressed", "copytruncate_late", "link", "rename_under_the_writer", "hide_behind_link",
                "hide_behind_folder", "hide_behind_pipe", "decompress", "shift_names", "rename_folder", "restore_old", "change_time",
                "replace", "rename_to_folder", "shred",
            ]
        ),
        between=st.sampled_from(["nothing", "look", "follow_a_step", "kill_before", "kill_after", "wait_and_look", "wait_long"]),
    )  # fmt: skip
    def rotate_slowly(self, how: str, between: str) -> None:
        getattr(self.source, how)(getattr(self, between))

    def nothing(self) -> None:
        pass

    def follow_a_step(self) -> None:
        self.follow(1)

    def kill_before(self) -> None:
        self.kill(False)

    def kill_after(self) -> None:
        self.kill(True)

    def wait_and_look(self) -> None:
        self.wait(10.0)
        self.follow(2)

    def wait_long(self) -> None:
        """Until a file counts as rotated, copied or damaged, and until one that is missing is given up."""
        for _look in range(4):
            self.wait(70.0)
            self.follow(2)

    @rule(share=st.floats(0, 1), count=st.integers(0, 8), look=st.booleans())
    def lose_end(self, share: float, count: int, look: bool) -> None:
        """count: so many new lines follow before the follower looks."""
        self.source.lose_end(share)
        self.source.write(count)
        if look:
            self.look()

    @rule(count=st.integers(1, 3))
    def move_folder_in(self, count: int) -> None:
        self.source.move_folder_in(count)

    @rule()
    def look(self) -> None:
        self.source.note_look()
        self.pump.look()

    @rule(steps=st.integers(1, 5))
    def follow(self, steps: int) -> None:
        self.look()
        for _each in range(steps):
            self.pump.step()

    @rule(committed=st.booleans())
    def kill(self, committed: bool) -> None:
        """committed: the kill comes after the commit, and the follower never learns of it."""
        if committed:
            self.look()
            self.pump.step()
        self.pump.close()
        self.pump = self.new_pump()
        self.look()

    @rule(moment=st.sampled_from(MOMENTS))
    def lose_helper(self, moment: str) -> None:
        HelperHere.dies_at = moment
        self.follow(3)

    @rule(seconds=st.sampled_from([0.5, 10.0, 70.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    def drain(self) -> None:
        for _each in range(6):
            self.pump.look()
            while self.pump.step():
                pass
            self.now += LINGER / 2

    @invariant()
    def nothing_is_stored_twice(self) -> None:
        stored = self.stored()
        assert not stored - self.source.written, "stored more often than written"

    def teardown(self) -> None:
        try:
            self.source.complete()
            self.drain()
            self.nothing_is_stored_twice()
            missing = self.source.written - self.stored()
            assert set(missing) <= self.source.endangered, "lines are missing that the source did not lose"
            assert not set(missing) & self.source.seen or self.count("ingest_gap"), "lines are missing, and no gap is reported"
            assert not self.source.gentle or self.count("ingest_gap") == 0, "a gap is reported, and nothing was lost"
            assert self.count("ingest_rejected") == 0
            with contextlib.closing(sqlite3.connect(self.database)) as connection:
                assert_sums_are_those_of_the_rows(connection.execute)
        finally:
            reading.LINES, matching.CLOCK = LINES, CLOCK
            reading.TURN_LINES, reading.PART, tail_lines.AT_ONCE = SIZES
            turns.BACKLOG, turns.Helper, HelperHere.dies_at = BACKLOG, PROCESS, None
            self.pump.close()
            shutil.rmtree(self.folder)
            shutil.rmtree(self.disk)


TestFollowing = Following.TestCase
TestFollowing.settings = settings(
    max_examples=int(os.environ.get("LOG_ARCHIVE_EXAMPLES", examples(40))),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


def test_a_line_that_is_lost_after_its_twin_was_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LINES", 1)
    following = Following()
    following.write(1, 0, True)
    following.follow(1)
    following.rotate("truncate", False)
    following.write(4, 0, False)
    following.teardown()


@pytest.mark.parametrize("how", ["copytruncate", "truncate", "rename", "compress"])
def test_a_look_after_batches_were_read_ahead(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr(reading, "LINES", 1)
    following = Following()
    following.write(8, 0, False)
    # Full batches, so that another one is read already when the log is rotated.
    following.follow(2)
    following.rotate(how, True)
    following.write(2, 0, False)
    following.follow(3)
    following.teardown()


@pytest.mark.parametrize("read", [3, 5, 7])
@pytest.mark.parametrize("steps", [0, 2])
def test_lines_behind_a_lost_end_whose_file_is_copied_and_truncated_at_once(monkeypatch: pytest.MonkeyPatch, read: int, steps: int) -> None:
    monkeypatch.setattr(reading, "LINES", 1)
    following = Following()
    following.write(6, 400, True)
    following.follow(read)
    following.look()
    following.lose_end(0.0, 4, False)
    following.look()
    following.follow(steps)
    following.rotate("copytruncate", True)
    following.teardown()


@pytest.mark.parametrize("lines", [5, 25])
def test_what_is_written_between_copy_and_truncation_is_a_gap_after_a_kill(monkeypatch: pytest.MonkeyPatch, lines: int) -> None:
    monkeypatch.setattr(reading, "LINES", 1)
    following = Following()
    following.write(lines, 0, False)
    following.rotate_slowly("copytruncate_late", "kill_after")
    following.kill(False)
    following.teardown()


@pytest.mark.parametrize("lines", [3, 25])
@pytest.mark.parametrize("between", ["nothing", "look", "follow_a_step", "kill_after"])
@pytest.mark.parametrize("how", ["replace", "rename_to_folder", "shred"])
def test_a_log_that_becomes_another_file(how: str, between: str, lines: int) -> None:
    following = Following()
    following.write(lines, 0, False)
    following.follow(1)
    following.rotate_slowly(how, between)
    following.write(1, 0, False)
    following.drain()
    assert following.count("ingest_gap") == 0
    following.teardown()


@pytest.mark.parametrize("between", ["look", "kill_after", "wait_long"])
def test_a_small_log_is_compressed_into_another_folder(between: str) -> None:
    following = Following()
    following.write(3, 0, False)
    following.follow(1)
    following.rotate("rename", False)
    following.wait_long()
    following.rotate_slowly("shift_names", between)
    following.rotate_slowly("compress_into_folder", between)
    following.kill(False)
    following.teardown()


@pytest.mark.parametrize("copied", [False, True])
def test_small_files_in_a_folder_that_gets_another_name(copied: bool) -> None:
    following = Following()
    following.move_folder_in(3)
    following.look()
    if copied:
        following.rotate("restore_copy", False)
    else:
        following.wait_long()
    following.rotate_slowly("rename_folder", "look")
    following.rotate("compress", True)
    following.teardown()


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("between", ["follow_a_step", "wait_long"])
def test_a_hidden_log_comes_back_and_loses_its_end_before_its_rotation(between: str, killed: bool) -> None:
    following = Following()
    following.write(20, 0, False)
    following.follow(1)
    following.write(20, 0, False)
    following.rotate_slowly("hide_behind_folder", between)
    if killed:
        following.kill(False)
    following.lose_end(0.5, 3, False)
    following.rotate("rename", False)
    following.teardown()


@pytest.mark.parametrize("killed", [False, True])
def test_a_new_version_of_a_log_loses_its_end(killed: bool) -> None:
    following = Following()
    following.write(20, 0, False)
    following.follow(1)
    following.rotate_slowly("replace", "nothing")
    following.look()
    following.lose_end(0.5, 3, False)
    if killed:
        following.kill(False)
    following.teardown()
