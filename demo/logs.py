# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What there is to archive: hourly syslogs of three hosts, and a dump that an intranet offers in a zip."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import random
import zipfile

from files import remove, sized, write
from generate_syslog import write_hours
from screen import Screen

LINES = {"web1": 2000, "db1": 1200, "files1": 800}
"""The hosts of inventory.example, and how many lines they log in an hour."""

FIRST_HOURS = 26
LONGEST_PAUSE = 24
"""Hours: after a longer pause the demo starts over, because no logs were written in between."""

DUMP = "dump.sql"
DUMP_ROWS = 20_000

OWN = ("hosts", "stores", "state", "stream", "cloud", "ansible.log", "log-archive", "fleet.html")
"""What the demo creates in its folder."""


def write_logs(folder: pathlib.Path, screen: Screen) -> bool:
    """Write the missing hourly logs up to the last hour that has ended; return whether this is the first run.

    The state records the last hour, so that another run within the hour finds the logs unchanged.
    """
    known = folder / "state" / "logs.json"
    end = datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0) - datetime.timedelta(hours=1)
    hours = FIRST_HOURS
    again = ""
    if known.exists():
        last = datetime.datetime.fromisoformat(json.loads(known.read_text(encoding="ascii"))["last"])
        hours = int((end - last).total_seconds() // 3600)
        if hours > LONGEST_PAUSE:
            again = "the last run was %d hours ago: starting over; " % hours
            for name in OWN:
                remove(folder / name)
            hours = FIRST_HOURS
    first = not known.exists()
    size = count = 0
    for host, lines in LINES.items():
        # What a Debian host comes with.
        for usual in ("etc", "var/backups", "var/lib", "var/spool"):
            (folder / "hosts" / host / usual).mkdir(parents=True, exist_ok=True)
        logs = folder / "hosts" / host / "var" / "log" / "hourly"
        for path in write_hours(str(logs), max(hours, 0), end, lines, host):
            size += os.path.getsize(path)
            count += 1
    known.parent.mkdir(parents=True, exist_ok=True)
    if hours > 0:
        write(known, json.dumps({"last": end.isoformat()}))
    if count:
        span = "1 hour" if hours == 1 else "%d hours" % hours
        screen.end("%s%s of syslog for %s: %d logs, %s" % (again, span, ", ".join(LINES), count, sized(size)))
    else:
        screen.end("no hour has ended since the last run: no new syslog")
    return first


def write_dump(folder: pathlib.Path) -> None:
    """What the intranet offers: the dump of today in a zip, unless it is there. The dump itself lies beside what is served."""
    intranet = folder / "stores" / "intranet"
    dump, offered = intranet / DUMP, intranet / "root" / "export.zip"
    now = datetime.datetime.now()
    if offered.exists() and dump.exists():
        with zipfile.ZipFile(offered) as archive:
            if archive.getinfo(DUMP).date_time[:3] == (now.year, now.month, now.day):
                return
    number = random.Random(now.toordinal())
    rows = ["insert into orders values (%d, %d, '%s');\n" % (row, number.randrange(10**6), now.date()) for row in range(DUMP_ROWS)]
    offered.parent.mkdir(parents=True, exist_ok=True)
    write(dump, "".join(rows))
    with zipfile.ZipFile(intranet / ".export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(dump, DUMP)
    (intranet / ".export.zip").replace(offered)
