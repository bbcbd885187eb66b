# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a benchmark is, and how time and memory are measured."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import typing as t

Measure = t.Callable[[], float]
"""One round of one side: does the work and returns what it took, in the benchmark's unit."""


class Sides(t.NamedTuple):
    """The two sides of a benchmark; ``peer`` is None if there is nothing to compare with."""

    ours: Measure
    peer: t.Optional[Measure] = None


class Target(t.NamedTuple):
    """What must be reached.

    kind ``faster``: peer / ours is at least ``limit``; ``cost``: ours / peer is at most ``limit``; ``value``: ours is at most
    ``limit``, in the benchmark's unit.
    """

    kind: str
    limit: float


class Benchmark(t.NamedTuple):
    """One row of the table.

    prepare: called as ``prepare(folder, quick)`` with an empty scratch folder, makes the input and starts servers, yields
    Sides, and stops what it started; ``quick`` asks for a small input. Raises lab.Unavailable where a tool is missing.
    """

    name: str
    prepare: t.Callable[[pathlib.Path, bool], t.ContextManager[Sides]]
    target: t.Optional[Target] = None
    unit: str = "s"


class Usage(t.NamedTuple):
    """What a finished process took: wall time in seconds, peak resident memory in bytes, CPU time in seconds."""

    seconds: float
    peak: int
    cpu: float


def timed(call: t.Callable[[], t.Any]) -> float:
    """Wall time of one call in this process, in seconds, with the garbage of earlier rounds collected first."""
    gc.collect()
    begin = time.perf_counter()
    result = call()
    seconds = time.perf_counter() - begin
    del result
    return seconds


# Linux sets a process's ru_maxrss at exec to the peak of what called fork or vfork, if that was larger. This launcher is as small as
# a Python can be (about 9 MiB), whatever the harness holds, and its own start is outside of the time.
_LAUNCHER = """
import os, sys, time
begin = time.perf_counter()
pid = os.fork()
if pid == 0:
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as error:
        os.write(2, ("%s: %s" % (sys.argv[2], error)).encode())
        os._exit(127)
_, status, usage = os.wait4(pid, 0)
seconds = time.perf_counter() - begin
with open(sys.argv[1], "w") as report:
    cpu = usage.ru_utime + usage.ru_stime
    report.write("[%r, %d, %r, %d]" % (seconds, usage.ru_maxrss * 1024, cpu, os.waitstatus_to_exitcode(status)))
"""


def run(argv: t.Sequence[t.Union[str, os.PathLike]], **options: t.Any) -> Usage:
    """Run a command to its end; raise RuntimeError with its output unless it succeeds.

    options are those of ``subprocess.run`` (env, cwd, stdin). The peak is the largest of the command and the children that it
    waited for, not their sum; below about 9 MiB it cannot be measured.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "report")
        launch = [sys.executable, "-I", "-S", "-c", _LAUNCHER, report, *map(os.fspath, argv)]
        done = subprocess.run(launch, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True, **options)
        seconds, peak, cpu, status = json.loads(pathlib.Path(report).read_text())
    if status:
        text = done.stdout.decode(errors="replace")[-2000:]
        ended = "by signal %d" % -status if status < 0 else "with status %d" % status
        raise RuntimeError("%s ended %s: %s" % (os.fspath(argv[0]), ended, text))
    return Usage(seconds, peak, cpu)


@contextlib.contextmanager
def scratch() -> t.Iterator[pathlib.Path]:
    """An empty folder that is gone afterwards; below TMPDIR, which must have room for the inputs."""
    with tempfile.TemporaryDirectory(prefix="log-archive-bench-") as folder:
        yield pathlib.Path(folder)
