# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Searching 512 MiB of syslog in eight archives of a file store, beside our own restore into a folder and ``zgrep`` there.

Whole processes. The logs are as logrotate leaves them, compressed but for the newest; and, in another row, all plain.
"""

from __future__ import annotations

import contextlib
import datetime
import pathlib
import subprocess
import sys
import typing as t

import generate_syslog
from _measure import Benchmark, Sides, Target, run
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.create import Contents, create_archive
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import periods
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import envelope, keyring
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import files as selection
from bench_pack import MIB, emptied

ARCHIVES = 8
PATTERN = "Failed password for .* from 203.0.113.77"

OURS = """
import sys
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.patterns import Wanted
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.search import search_stores
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise_store
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.stock import Holdings
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.trust import Choice

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))

store, keyring, report, pattern = sys.argv[1:]
before = peak()
holdings = Holdings([normalise_store({"type": "file", "path": store}, "store")], "web1", "syslog", keyring)
found = 0
for part in search_stores([holdings], Choice(), Wanted(pattern)):
    if part.error is not None:
        raise part.error
    found += part.matched
with open(report, "w") as file:
    file.write("%d %d" % (peak() - before, found))
"""

PEER = """
import sys
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.restore import restore_from_stores
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise_store
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.stock import Holdings
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.trust import Choice

store, keyring, destination = sys.argv[1:]
holdings = Holdings([normalise_store({"type": "file", "path": store}, "store")], "web1", "syslog", keyring)
for restored in restore_from_stores([holdings], Choice(), destination):
    if restored.error is not None:
        raise restored.error
"""


class Searching:
    """The ways to search archives; each call is one round. size: of all logs together. plain: how many of them are not compressed."""

    def __init__(self, folder: pathlib.Path, size: int, plain: int) -> None:
        self.folder = folder
        self.store = self.folder / "store"
        self.keyring = self.folder / "keyring"
        self.report = self.folder / "report"
        logs = self.folder / "logs"
        logs.mkdir(parents=True)
        keyring.create(str(self.keyring))
        enclosing = envelope.FernetEnvelope(keyring.load_current(str(self.keyring)))
        for hour in range(ARCHIVES):
            start = datetime.datetime(2024, 1, 12, hour, tzinfo=datetime.timezone.utc)
            period = periods.Period(start, start + datetime.timedelta(hours=1))
            log = logs / ("syslog.20240112.%02d" % hour)
            generate_syslog.write_single(str(log), size // ARCHIVES)
            if hour < ARCHIVES - plain:
                subprocess.run(["gzip", str(log)], check=True)
                log = log.with_name(log.name + ".gz")
            archive = self.store / "web1" / "syslog" / "2024" / "01" / "12" / (log.name + ".tgz.fernet")
            create_archive(str(archive), Contents([selection.source_at(str(log), period)], "web1", "syslog", period), enclosing)
            log.unlink()

    def ours(self) -> float:
        return run([sys.executable, "-c", OURS, self.store, self.keyring, self.report, PATTERN]).seconds

    def memory(self) -> float:
        self.ours()
        return int(self.report.read_text().split()[0]) / MIB

    def peer(self) -> float:
        destination = emptied(self.folder / "restored")
        seconds = run([sys.executable, "-c", PEER, self.store, self.keyring, destination]).seconds
        counted = self.folder / "counted"
        seconds += run(["sh", "-c", 'zgrep -hc "$1" $(find "$2" -type f) > "$3"', "sh", PATTERN, destination, counted]).seconds
        found = sum(map(int, counted.read_text().split()))
        if found != int(self.report.read_text().split()[1]):
            raise RuntimeError("zgrep finds %d lines, and the search another number" % found)
        return seconds


@contextlib.contextmanager
def rotated(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    searching = Searching(folder, (16 if quick else 512) * MIB, 1)
    yield Sides(searching.ours, searching.peer)


@contextlib.contextmanager
def plain(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    searching = Searching(folder, (16 if quick else 512) * MIB, ARCHIVES)
    yield Sides(searching.ours, searching.peer)


@contextlib.contextmanager
def memory(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    """Peak resident memory above what the interpreter and the engine take, at 4 GiB; as the peer the same at 0.5 GiB."""
    sides = [Searching(folder / str(size), size * MIB, ARCHIVES) for size in ((64, 16) if quick else (4096, 512))]
    yield Sides(sides[0].memory, sides[1].memory)


BENCHMARKS = [
    Benchmark("search", rotated, Target("faster", 2)),
    Benchmark("search-plain", plain),
    Benchmark("search-memory", memory, Target("value", 64), "MiB"),
]
