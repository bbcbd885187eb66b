# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The CPU time of one run over 1,000 hourly logs of 20 KiB, for each archive: packed, encrypted, put into a file store and verified."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import pathlib
import typing as t

from _measure import Benchmark, Sides, Target, run
from rigs.command import install
from rigs.host import JOB, Host, log_bytes

LOGS = 1000
SIZE = 20 * 1024


@contextlib.contextmanager
def prepare(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    launcher = install(folder)
    count = 20 if quick else LOGS
    closed = datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0)
    numbers = itertools.count()

    def host() -> Host:
        """A host that has archived nothing yet."""
        one = Host(folder / ("host%d" % next(numbers)))
        for number in range(count):
            start = closed - datetime.timedelta(hours=number + 1)
            (one.logs / start.strftime("syslog.%Y%m%d.%H")).write_bytes(log_bytes(str(number), SIZE))
        one.write_document(select={"catch_up": "%dh" % (count + 2)})
        return one

    def ours() -> float:
        one = host()
        cpu = run([launcher, "run", JOB], env=one.environment()).cpu
        found = sum(1 for _path in one.store.rglob("*.tgz.fernet"))
        assert found == count, found
        return cpu * 1000 / count

    yield Sides(ours)


BENCHMARKS = [Benchmark("small", prepare, Target("value", 3), "ms of CPU an archive")]
