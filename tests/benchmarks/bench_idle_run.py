# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive run`` with nothing to do, as cron starts it every hour, beside an interpreter that does nothing. Whole processes."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import typing as t

import generate_syslog
from _measure import Benchmark, Sides, Target, run
from rigs.command import install

STARTS = 10
"""Starts per round: one takes some hundredths of a second, and the median of some of them is steadier."""


@contextlib.contextmanager
def prepare(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin" / "python"
    launcher = install(folder, python)
    (folder / "logs").mkdir()
    generate_syslog.write_hours(str(folder / "logs"), 24, datetime.datetime(2024, 1, 12, 12), lines=200)
    document = {
        "name": "syslog",
        "host": "web1",
        "select": {"paths": [str(folder / "logs")], "patterns": ["syslog.%Y%m%d.%H"]},
        "encryption": {"keyring": str(folder / "keyring")},
        "stores": [{"type": "file", "path": str(folder / "store")}],
        "retention": {"keep_within": "7d"},
        "spool": str(folder / "spool"),
        "state": str(folder / "state"),
    }
    (folder / "syslog.json").write_text(json.dumps(document))
    command = [launcher, "run", "--config", folder, "syslog"]
    run([launcher, "key", "create", "--keyring", folder / "keyring"])
    # The first run packs: it needs this interpreter's libraries. The runs that are measured need none.
    start = "from log_archive.cli.main import end_with_main; end_with_main()"
    run([sys.executable, "-c", start, *command[1:]], env=dict(os.environ, PYTHONPATH=str(folder / "lib")))
    assert b"nothing to do" in subprocess.run(command, check=True, capture_output=True).stdout

    def median(argv: t.Sequence[t.Any]) -> float:
        return statistics.median(run(argv).seconds for _start in range(1 if quick else STARTS))

    yield Sides(lambda: median(command), lambda: median([python, "-c", "pass"]))


BENCHMARKS = [Benchmark("idle-run", prepare, Target("cost", 3))]
