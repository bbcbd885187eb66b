# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many files: 100,000 in one archive, and 100,000 that are archived and stay in their folders.

many-files: the peak memory of the run that makes the archive and of the command that restores it, the larger of the two. many: CPU seconds
of a run that finds nothing new, beside ``find -type f -printf '%p %s %T@'`` over the same tree, which asks for the same of each file.
many-memory: the peak memory of that run.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import pathlib
import subprocess
import sys
import typing as t

from _measure import Benchmark, Sides, Target, run
from bench_pack import MIB
from rigs.command import install
from rigs.host import JOB, Host

FILES = 100_000
OF_A_FOLDER = 1000


def write_tree(folder: pathlib.Path, count: int, modified: float) -> None:
    """Logs of some bytes each, in folders of 1,000."""
    for number in range(0, count, OF_A_FOLDER):
        inner = folder / ("app%03d" % (number // OF_A_FOLDER))
        inner.mkdir(parents=True)
        for name in range(number, min(count, number + OF_A_FOLDER)):
            path = inner / ("%06d.log" % name)
            path.write_bytes(b"line %d\n" % name)
            os.utime(path, (modified, modified))


def archived_together(folder: pathlib.Path, count: int) -> Host:
    """A host with a job that archives all logs of a run together."""
    host = Host(folder)
    yesterday = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    write_tree(host.logs, count, yesterday.replace(hour=12).timestamp())
    # Without periods each log is looked for among the archived ones at each run.
    host.write_document(select={"patterns": ["*.log"], "recurse": True, "period": "none"}, archive={"group": "run"})
    return host


@contextlib.contextmanager
def many_files(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    launcher = install(folder)
    host = archived_together(folder / "host", FILES // 500 if quick else FILES)
    packing = run([launcher, "run", JOB], env=host.environment()).peak
    assert sum(1 for _path in host.store.rglob("*.tgz.fernet")) == 1
    restoring = run([launcher, "restore", JOB, "--to", host.folder / "to"], env=host.environment()).peak
    print("many-files: run %.0f MiB, restore %.0f MiB" % (packing / MIB, restoring / MIB), file=sys.stderr)
    # Memory is the same each time, and 100,000 files take minutes: one round is all.
    yield Sides(lambda: max(packing, restoring) / MIB)


@contextlib.contextmanager
def many(folder: pathlib.Path, quick: bool) -> t.Iterator[t.Tuple[t.Callable[[], t.Any], t.Callable[[], t.Any]]]:
    """The run with nothing new, and find; both as calls that return their usage."""
    launcher = install(folder)
    host = archived_together(folder / "host", FILES // 500 if quick else FILES)
    run([launcher, "run", JOB], env=host.environment())
    done = subprocess.run([launcher, "run", JOB], check=True, env=host.environment(), stdout=subprocess.PIPE)
    assert b"nothing to do" in done.stdout, done.stdout
    find = ["find", host.logs, "-type", "f", "-fprintf", "/dev/null", "%p %s %T@\n"]
    yield lambda: run([launcher, "run", JOB], env=host.environment()), lambda: run(find)


@contextlib.contextmanager
def many_time(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    with many(folder, quick) as (ours, peer):
        yield Sides(lambda: ours().cpu, lambda: peer().cpu)


@contextlib.contextmanager
def many_memory(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    with many(folder, quick) as (ours, peer):
        yield Sides(lambda: ours().peak / MIB, lambda: peer().peak / MIB)


BENCHMARKS = [
    Benchmark("many-files", many_files, Target("value", 128), "MiB"),
    Benchmark("many", many_time, Target("cost", 3)),
    Benchmark("many-memory", many_memory, Target("value", 100), "MiB"),
]
