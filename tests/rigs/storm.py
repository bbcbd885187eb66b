# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A storm: a writer rotates in every way while the follower, and its database, are killed at random."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import pathlib
import random
import subprocess
import threading
import time
import typing as t

import lab
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_check import normalise_stream
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower, status
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.opening import open_sink
from lab.databases import DatabaseServer
from lab.search import SearchNode
from rigs.host import COMMAND, ENGINE_PATH
from rigs.source import PARSE, Source, stored
from rigs.sums import assert_sums_are_those_of_the_rows

ROTATIONS = ("rename", "rename", "compress", "compress", "copytruncate", "restore_copy", "move_folder_in", "reopen")
PIECE = 0.05
"""Seconds between two writes."""


class Writer(threading.Thread):
    """Writes ``rate`` lines a second, and rotates about every ``every`` seconds, until it is stopped."""

    def __init__(self, folder: pathlib.Path, seed: int, rate: int, every: float) -> None:
        super().__init__(daemon=True)
        self.source = Source(folder, collections.Counter)
        self.ended = threading.Event()
        self.failure: t.Optional[BaseException] = None
        self._random = random.Random(seed)
        self._lines = max(1, int(rate * PIECE))
        self._share = PIECE / every

    def run(self) -> None:
        """Write and rotate."""
        try:
            while not self.ended.wait(PIECE):
                self.source.write(self._lines, twice=self._random.random() < 0.1)
                if self._random.random() < 0.2:
                    self.source.write_part()
                if self._random.random() < self._share:
                    self._rotate(self._random.choice(ROTATIONS))
            self.source.complete()
        except BaseException as error:
            self.failure = error

    def _rotate(self, how: str) -> None:
        if how == "move_folder_in":
            self.source.move_folder_in(20)
        elif how == "reopen":
            self.source.use_append(self._random.random() < 0.5)
        else:
            getattr(self.source, how)()


class Outcome(t.NamedTuple):
    """written, stored: how often each line was. lines: written in all; early: stored before the last catch-up."""

    written: t.Counter[int]
    stored: t.Counter[int]
    lines: int
    early: int
    kills: int
    files: int


class Storm(t.NamedTuple):
    """kills: of the follower; server_kills: after how many of them the server is killed too. rate: lines a second. seed: of all chances.
    Every other follower is killed after it has stored something. life: the longest time from then on, in seconds; the others get four
    times that from their start.
    """

    kills: int
    rate: int
    seed: int
    every: float = 0.3
    server_kills: int = 5
    life: float = 0.2


def rage(
    folder: pathlib.Path,
    storm: Storm,
    sink: t.Dict[str, t.Any],
    server: t.Optional[t.Union[DatabaseServer, SearchNode]] = None,
    count: t.Optional[t.Callable[[], t.Counter[int]]] = None,
) -> Outcome:
    """Let the storm rage, then catch up; the sums must then be those of the rows. count: how often a sink without SQL has each line."""
    chance = random.Random(storm.seed)
    follow = {"paths": [str(folder / "logs")], "patterns": ["app.log"], "rotated": ["app-*.log"], "recurse": True, "poll": 0.05}
    document = {"name": "app", "host": "web1", "follow": follow, "parse": PARSE, "sinks": [sink], "state": str(folder / "state")}
    path = folder / "app.json"
    path.touch(0o600)
    path.write_text(json.dumps(document))
    writer = Writer(folder / "logs", storm.seed, storm.rate, storm.every)
    writer.start()
    checked = normalise_stream(document)
    try:
        for number in range(1, storm.kills + 1):
            if number == storm.kills:
                # On a fast machine all the others may be over before the first rotation.
                lab.wait_until(lambda: _files(folder) > 3, "the writer does not rotate")
            command, environment = [*COMMAND, "follow", str(path)], dict(os.environ, PYTHONPATH=ENGINE_PATH)
            running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
            if number % 2:
                # At any moment, while it starts among them.
                time.sleep(storm.life * 4 * chance.random())
            else:
                before = _sent(checked)
                # More than a first small file: what the kills hit must be a follower at work.
                enough = max(before, writer.source.numbers // 5)
                lab.wait_until(lambda: _sent(checked) > enough, "a follower stores nothing")  # noqa: B023
                time.sleep(storm.life * chance.random())
            if server is not None and number % storm.server_kills == 0:
                server.kill()
                time.sleep(chance.random() * 0.3)
                server.start()
                time.sleep(chance.random() * 2)
            assert running.poll() is None, running.stderr and running.stderr.read().decode()
            running.kill()
            running.communicate()
    finally:
        writer.ended.set()
        writer.join()
    assert writer.failure is None
    early = sum((count() if count is not None else _rows(checked)).values())
    result = follower.catch_up(checked)
    assert result["exit_code"] == 0, result
    found = count() if count is not None else _rows(checked, sums=True)
    return Outcome(writer.source.written, found, sum(writer.source.written.values()), early, storm.kills, _files(folder))


def _files(folder: pathlib.Path) -> int:
    return sum(len(names) for _folder, _folders, names in os.walk(folder / "logs"))


def _sent(document: t.Any) -> int:
    """How many lines the first sink has, by the status."""
    row = status.of(document)[0]
    return row["lines"] - row["waiting"]


def _rows(document: t.Any, sums: bool = False) -> t.Counter[int]:
    """How often the first sink has each line. sums: check that its sums are those of the rows."""
    with contextlib.closing(open_sink(document["sinks"][0], document)) as opened:
        if sums:
            assert_sums_are_those_of_the_rows(opened.select)
        return stored(opened.select)
