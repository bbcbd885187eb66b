# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A storm: a writer rotates in every way while the follower, its second process and its database are killed at random."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time
import typing as t

import lab
from ansible_collections.infra_ops.log_archive.plugins.module_utils import _engine
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_check import normalise_stream
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.opening import open_sink
from lab.databases import DatabaseServer
from lab.processes import children_of, send
from lab.search import SearchNode
from rigs.host import ENGINE_PATH
from rigs.source import PARSE, Source, stored
from rigs.sums import assert_sums_are_those_of_the_rows

ROTATIONS = ("rename", "rename", "compress", "compress", "copytruncate", "restore_copy", "move_folder_in", "reopen", "remove_read")
PIECE = 0.05
"""Seconds between two writes."""
HELPER_START = 2.0
"""Seconds that the second process of a follower gets to appear."""
FOLLOW = (
    "import sys; from {0}.cli.main import end_with_main; from {0}.ingest import reading, turns;"
    " reading.LINES = int(sys.argv.pop(1)); turns.BACKLOG = 1; end_with_main()"
).format(_engine.__name__)
"""The command, with small batches, and a second process for any backlog. It gets the lines of a batch before the other arguments."""


class Writer(threading.Thread):
    """Writes ``rate`` lines a second, and rotates about every ``every`` seconds, until it is stopped."""

    def __init__(self, folder: pathlib.Path, seed: int, rate: int, every: float) -> None:
        super().__init__(daemon=True)
        self.source = Source(folder, collections.Counter)
        self.ended = threading.Event()
        self.failure: t.Optional[BaseException] = None
        self._random = random.Random(seed)
        self._rate = rate
        self._share = PIECE / every

    def run(self) -> None:
        """Write and rotate. A machine that is slow for a moment gets the lines of that moment later."""
        began, written = time.monotonic(), 0
        try:
            while not self.ended.wait(PIECE):
                count = min(self._rate, max(1, int((time.monotonic() - began) * self._rate) - written))
                self.source.write(count, twice=self._random.random() < 0.1)
                written += count
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
    """written, stored: how often each line was. lines: written in all; early: stored before the last catch-up, which depends on the
    speed of the machine. helpers: second processes of followers that were killed, or whose follower was.
    """

    written: t.Counter[int]
    stored: t.Counter[int]
    lines: int
    early: int
    kills: int
    helpers: int
    files: int


class Storm(t.NamedTuple):
    """kills: of the follower; server_kills: after how many of them the server is killed too. rate: lines a second. seed: of all chances.
    Every other follower is killed after it has stored something. life: the longest time from then on, in seconds; the others get four
    times that from their start. Every eighth follower gets time for its second process. batch: lines of a batch.
    """

    kills: int
    rate: int
    seed: int
    every: float = 0.3
    server_kills: int = 5
    life: float = 0.2
    batch: int = 100


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
    command, environment = [sys.executable, "-c", FOLLOW, str(storm.batch), "follow", str(path)], dict(os.environ, PYTHONPATH=ENGINE_PATH)
    errors = folder / "errors"
    writer = Writer(folder / "logs", storm.seed, storm.rate, storm.every)
    writer.start()
    checked = normalise_stream(document)
    helpers = 0
    try:
        for number in range(1, storm.kills + 1):
            if number == storm.kills:
                # On a fast machine all the others may be over before the first rotation.
                lab.wait_until(lambda: _files(folder) > 3, "the writer does not rotate")
            with open(errors, "ab") as file:
                # A second process may outlive the follower, so there must be no pipe that it holds open.
                running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file, env=environment)
            if number % 2:
                # At any moment, while it starts among them.
                time.sleep(storm.life * 4 * chance.random())
            else:
                before = _sent(checked)
                # More than a first small file: what the kills hit must be a follower at work.
                enough = max(before, writer.source.numbers // 5)
                lab.wait_until(lambda: _sent(checked) > enough, "a follower stores nothing")  # noqa: B023
                if number % 8 == 4:
                    helpers += _kill_helper(running, checked, storm, chance)
                time.sleep(storm.life * chance.random())
            if server is not None and number % storm.server_kills == 0:
                server.kill()
                time.sleep(chance.random() * 0.3)
                server.start()
                time.sleep(chance.random() * 2)
            assert running.poll() is None, errors.read_text()
            running.kill()
            running.wait()
            writer.source.note_read(_read(checked))
    finally:
        writer.ended.set()
        writer.join()
    assert writer.failure is None
    early = _sent(checked)
    result = follower.catch_up(checked)
    assert result["exit_code"] == 0, result
    found = count() if count is not None else _rows(checked)
    return Outcome(writer.source.written, found, sum(writer.source.written.values()), early, storm.kills, helpers, _files(folder))


def _kill_helper(running: subprocess.Popen[bytes], document: t.Any, storm: Storm, chance: random.Random) -> bool:
    """Kill the second process of a follower, or leave it behind a follower that is killed next; False if it has none."""
    end = time.monotonic() + HELPER_START
    while not children_of(running.pid):
        if time.monotonic() > end:
            return False
        time.sleep(PIECE / 5)
    # It needs a moment to start.
    time.sleep(storm.life * 4 * chance.random())
    if chance.random() < 0.5:
        send(children_of(running.pid), signal.SIGKILL)
        before = _sent(document)
        lab.wait_until(lambda: _sent(document) > before, "a follower stores nothing without its second process")
    return True


def _files(folder: pathlib.Path) -> int:
    return sum(len(names) for _folder, _folders, names in os.walk(folder / "logs"))


def _sent(document: t.Any) -> int:
    """How many lines the first sink has; 0 if it does not answer now."""
    with contextlib.suppress(LogArchiveError), contextlib.closing(open_sink(document["sinks"][0], document, create=False)) as sink:
        return sink.totals().lines - sink.waiting
    return 0


def _read(document: t.Any) -> t.List[str]:
    """The paths of files that were read to their end."""
    with contextlib.suppress(LogArchiveError), contextlib.closing(open_sink(document["sinks"][0], document, create=False)) as sink:
        return [str(row[0]) for row in sink.select("SELECT path FROM ingest_generation WHERE closed = 1")]
    return []


def _rows(document: t.Any) -> t.Counter[int]:
    """How often the first sink has each line. Its sums must be those of the rows."""
    with contextlib.closing(open_sink(document["sinks"][0], document)) as opened:
        assert_sums_are_those_of_the_rows(opened.select)
        return stored(opened.select)
