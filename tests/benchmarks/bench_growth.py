# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the commands cost as archives accumulate: CPU seconds and peak memory of whole processes with 1,000, 10,000 and 100,000 archives.

Prints the table. The value of the benchmark is the number of operations beyond their limit. The slope is the exponent with which the CPU
time grows between the two largest sizes: 0 is flat, 1 is proportional to the number of archives.
"""

from __future__ import annotations

import contextlib
import datetime
import math
import os
import pathlib
import shutil
import statistics
import sys
import typing as t

from _measure import Benchmark, Sides, Target, Usage, run
from rigs.command import install
from rigs.grown import grow
from rigs.host import JOB, Host, log_bytes

SIZES = (1_000, 10_000, 100_000)
SMALL_SIZES = (25, 50)
HOUR = datetime.timedelta(hours=1)
RETENTION = {"keep_within": "20y", "keep_daily": 30, "keep_monthly": -1}


class Limit(t.NamedTuple):
    """What an operation may take with the largest number of archives: CPU seconds, MB, and the slope (1 is linear)."""

    seconds: float
    peak: float
    slope: float = 1.0


LIMITS = {
    "status": Limit(0.3, 64),
    "status --offline": Limit(0.3, 64),
    "run, nothing new": Limit(0.15, 32, 0.1),
    "run, one new log": Limit(0.3, 64),
    "run --dry-run": Limit(0.2, 64, 0.1),
    "metrics": Limit(0.3, 64),
    "list a day": Limit(0.2, 64, 0.1),
    "list a day of a store": Limit(0.3, 64, 0.2),
    "verify an hour": Limit(0.3, 64, 0.2),
    "restore an hour": Limit(0.3, 64, 0.2),
    "restore a log by name": Limit(0.3, 64, 0.2),
    "restore the latest": Limit(0.3, 64, 0.2),
    "search an hour": Limit(0.3, 64, 0.2),
    "sync an hour": Limit(0.3, 64, 0.2),
    "prune --dry-run": Limit(1.5, 200),
}


class Site:
    """A host with so many archives, and its operations. now: when it last ran is some hours before."""

    def __init__(self, folder: pathlib.Path, launcher: pathlib.Path, count: int, now: datetime.datetime) -> None:
        self.host = Host(folder)
        grow(self.host, count, now - 6 * HOUR)
        (self.host.folder / "metrics").mkdir()
        self.host.write_document(retention=RETENTION)
        self._launcher = launcher
        self._last = (now - HOUR).replace(minute=0, second=0, microsecond=0)
        self._round = 0
        # The first run lists the whole store, and the first comparison reads all manifests.
        self.measure("run, one new log")
        self.measure("status")

    def measure(self, operation: str) -> Usage:
        """Carry out an operation once."""
        if operation == "run, one new log":
            self._round += 1
            path = self.host.logs / self._last.strftime("syslog.%Y%m%d.%H")
            path.write_bytes(log_bytes(str(self._round), 3000))
            os.utime(path, (self._last.timestamp() + 3000 + self._round,) * 2)
        shutil.rmtree(self.host.folder / "to", ignore_errors=True)
        textfile = [{"type": "textfile", "path": str(self.host.folder / "metrics")}] * (operation == "metrics")
        self.host.write_document(retention=RETENTION, notify=textfile)
        return run([self._launcher, *self._arguments(operation)], env=self.host.environment())

    def _arguments(self, operation: str) -> t.List[str]:
        hour = ["--since", self._last.isoformat(), "--until", (self._last + HOUR).isoformat()]
        day = ["--since", (self._last - 24 * HOUR).isoformat(), "--until", self._last.isoformat()]
        to = ["--to", str(self.host.folder / "to")]
        if operation == "search an hour":
            return ["search", *hour, "--job", JOB, "request"]
        return {
            "status": ["status"],
            "status --offline": ["status", "--offline"],
            "run, nothing new": ["run"],
            "run, one new log": ["run"],
            "run --dry-run": ["run", "--dry-run"],
            "metrics": ["metrics"],
            "list a day": ["list", *day],
            "list a day of a store": ["list", "--store", "file", *day],
            "verify an hour": ["verify", *hour],
            "restore an hour": ["restore", *hour, *to],
            "restore a log by name": ["restore", "--name", str(self.host.logs / self._last.strftime("syslog.%Y%m%d.%H")), *to],
            "restore the latest": ["restore", "--latest", *to],
            "sync an hour": ["sync", "--dry-run", *hour],
            "prune --dry-run": ["prune", "--dry-run"],
        }[operation] + [JOB]


class Table:
    """The usages of each operation by size, over all rounds."""

    def __init__(self, sites: t.Mapping[int, Site]) -> None:
        self._sites = sites
        self._usages: t.Dict[t.Tuple[str, int], t.List[Usage]] = {}

    def measure(self) -> float:
        """Measure everything once more, print the table, and return how many operations are beyond their limits."""
        for operation in LIMITS:
            for count, site in self._sites.items():
                self._usages.setdefault((operation, count), []).append(site.measure(operation))
        print("\n".join(self._lines()), file=sys.stderr)
        return float(sum(not self.is_within(operation) for operation in LIMITS))

    def is_within(self, operation: str) -> bool:
        """Whether an operation is within its limit."""
        limit = LIMITS[operation]
        seconds, peak = self._median(operation, max(self._sites))
        return seconds <= limit.seconds and peak <= limit.peak and self.slope(operation) <= limit.slope

    def slope(self, operation: str) -> float:
        """The exponent with which the CPU time grows."""
        below, most = sorted(self._sites)[-2:]
        return math.log(self._median(operation, most)[0] / self._median(operation, below)[0]) / math.log(most / below)

    def _median(self, operation: str, count: int) -> t.Tuple[float, float]:
        usages = self._usages[operation, count]
        return statistics.median(one.cpu for one in usages), max(one.peak for one in usages) / 1e6

    def _lines(self) -> t.Iterator[str]:
        yield "%-24s%s%8s  %s" % (
            "CPU seconds / peak MB",
            "".join("%18s" % "{:,}".format(count) for count in self._sites),
            "slope",
            "limit",
        )
        for operation, limit in LIMITS.items():
            cells = "".join("%11.2f / %4.0f" % self._median(operation, count) for count in self._sites)
            met = "" if self.is_within(operation) else ", missed"
            wanted = "%g s, %g MB, slope %g%s" % (*limit, met)
            yield "%-24s%s%8.2f  %s" % (operation, cells, self.slope(operation), wanted)


@contextlib.contextmanager
def prepare(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    launcher = install(folder)
    now = datetime.datetime.now(datetime.timezone.utc)
    sites = {count: Site(folder / str(count), launcher, count, now) for count in (SMALL_SIZES if quick else SIZES)}
    yield Sides(Table(sites).measure)


BENCHMARKS = [Benchmark("growth", prepare, Target("value", 0), "operations beyond their limit")]
