# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The events of one month, made up: JSON objects with ID or CLIENTID, timestamp, log_level and thread."""

from __future__ import annotations

import calendar
import json
import os
import random
import typing as t
from datetime import datetime, timedelta

from ...base.durable import make_folders, new_file
from ...base.errors import LogArchiveError

if t.TYPE_CHECKING:
    from ...base.progress import Progress
    from .folder import Generated

CLIENTS = 200
THREADS = ("main", "worker-1", "worker-2", "worker-3", "scheduler", "http-nio-8080-exec-1", "http-nio-8080-exec-2")


def generate_month(folder: str, month: t.Tuple[int, int], lines: int, seed: int, progress: Progress) -> Generated:
    """Write ``logs_Apr_2021.txt`` to the folder, which is created if it is missing. month: year and month.

    A line with the key CLIENTID is an error, one with ID is data. The same arguments give the same bytes. Raises LogArchiveError if the
    file exists, or cannot be written.
    """
    year, number = month
    name = "logs_%s_%d.txt" % (calendar.month_abbr[number], year)
    path = os.path.join(folder, name)
    result: Generated = {"folder": folder, "files": [name], "lines": {"error": 0, "data": 0}, "bytes": 0}
    try:
        make_folders(folder, 0o755)
        with new_file(path, 0o644) as file, progress("generate %s" % path, lines, "lines") as advance:
            for kind, text in _events(random.Random(seed), datetime(year, number, 1), calendar.monthrange(year, number)[1], lines):
                result["bytes"] += file.write(text.encode("ascii"))
                result["lines"][kind] += 1
                advance(1)
    except FileExistsError:
        raise LogArchiveError("the file exists already", path, "Name another folder, or remove it first") from None
    except OSError as error:
        raise LogArchiveError("cannot write the log: %s" % error.strerror, error.filename or path) from error
    return result


def _events(chance: random.Random, start: datetime, days: int, lines: int) -> t.Iterator[t.Tuple[str, str]]:
    """Kind and text of each line, in the order of their times."""
    clients = ["C%08d" % chance.randrange(10**8) for _unused in range(CLIENTS)]
    step = days * 86400 / lines
    for number in range(lines):
        moment = start + timedelta(seconds=int((number + chance.random()) * step))
        is_error = chance.random() < 0.3
        identity = {"CLIENTID": chance.choice(clients)} if is_error else {"ID": "%08x" % chance.getrandbits(32)}
        level = "ERROR" if is_error else "INFO"
        event = {**identity, "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%S"), "log_level": level, "thread": chance.choice(THREADS)}
        yield "error" if is_error else "data", json.dumps(event) + "\n"
