# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A thread reads two batches at most before they are taken, in their order, and ends at the first one that is not full."""

from __future__ import annotations

import time
import typing as t

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import ahead, reading
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.checkpoint import Batch, Generation, Place
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.tail.lines import Piece, nothing_read

GENERATION = Generation(1, "web1-a-0", "/logs", ((80, "aa" * 16),), 0, 0, "bb" * 16, 0, Place("/logs/a", True, 1, 1, 1), 0.0, False)


class Reading(t.NamedTuple):
    """What was read of a file."""

    piece: Piece
    batch: Batch
    first_line: bytes = b""


class Lines:
    """Batches with these numbers of lines. read: how many were read; after the last one MemoryError, or nothing is left."""

    def __init__(self, *counts: int, fails: bool = False) -> None:
        self.read = 0
        self._counts = counts
        self._fails = fails

    def __call__(self) -> t.Optional[t.Tuple[Reading, Batch]]:
        if self.read == len(self._counts):
            if self._fails:
                raise MemoryError
            return None
        batch = Batch(0, GENERATION._replace(offset=self.read), {})
        found = Reading(nothing_read(0)._replace(total=self._counts[self.read]), batch)
        self.read += 1
        return found, batch


@pytest.fixture
def start():
    started: t.List[ahead.Ahead] = []

    def begin(lines: Lines) -> ahead.Ahead:
        started.append(ahead.Ahead(lines))
        started[-1].start()
        return started[-1]

    yield begin
    for each in started:
        each.drop()
        assert not each.is_alive()


def taken(thread: ahead.Ahead) -> t.List[int]:
    """The numbers of the batches that can still be taken."""
    return [found[1].generation.offset for found in iter(thread.take, None)]


def test_two_batches_are_read_before_one_is_taken(start) -> None:
    lines = Lines(*[reading.LINES] * 5, 1, reading.LINES)
    thread = start(lines)
    for stored in range(4):
        lab.wait_until(lambda wanted=stored + 2: lines.read == wanted, "the thread does not read ahead")
        time.sleep(0.05)
        assert lines.read == stored + 2
        assert thread.take()[1].generation.offset == stored
    assert taken(thread) == [4, 5]
    assert lines.read == 6


def test_a_thread_that_is_stopped_leaves_what_it_has_read(start) -> None:
    lines = Lines(*[reading.LINES] * 5)
    thread = start(lines)
    lab.wait_until(lambda: lines.read == 2, "the thread does not read ahead")
    thread.stop()
    assert taken(thread) == [0, 1]
    assert lines.read == 2


@pytest.mark.parametrize("batches", [0, 1, 3])
def test_an_error_comes_behind_the_batches_before_it(start, batches: int) -> None:
    thread = start(Lines(*[reading.LINES] * batches, fails=True))
    assert [thread.take()[1].generation.offset for _each in range(batches)] == list(range(batches))
    with pytest.raises(MemoryError):
        thread.take()
