# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make the picture of the fleet's page for the README (``make picture``): a made-up fleet, the same each time, in Chromium."""

from __future__ import annotations

import pathlib
import random
import sys
import tempfile
import typing as t
from datetime import datetime, timedelta, timezone

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT / "tests"), str(CHECKOUT / "build" / "collections")]

NOW = datetime(2026, 11, 26, 3, 12, tzinfo=timezone.utc)
DAYS = 90
WIDTH, HEIGHT = 1280, 1180
PICTURE = CHECKOUT / "docs" / "images" / "fleet-page.png"


def job(name: str, dice: random.Random, **story: t.Any) -> t.Dict[str, t.Any]:
    """The status of a job as the command prints it. story: kept: days of hours that retention keeps; missing: {days ago: hours}; late: how
    many of the last hours wait for the second store; known: since how many days the job exists."""
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.coverage import STATES
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.status import blank

    named = {letter: state for state, (letter, _words, _meaning) in STATES.items()}
    days: t.Dict[str, t.Any] = {}
    totals: t.Dict[str, int] = {}
    late = story.get("late", 0)
    for back in range(DAYS):
        hours = list("v" * 24) if back < story.get("kept", 40) else ["v", *"x" * 23]
        if back == 0:
            hours = list("vvv:") + ["."] * 20
        if back >= story.get("known", DAYS):
            hours = list("-" * 24)
        for hour in story.get("missing", {}).get(back, ()):
            hours[hour] = "M"
        for hour in range(23, -1, -1):
            if late and hours[hour] == "v":
                hours[hour], late = "P", late - 1
        states: t.Dict[str, int] = {}
        for letter in hours:
            if letter in named:
                states[named[letter]] = states.get(named[letter], 0) + 1
                totals[named[letter]] = totals.get(named[letter], 0) + 1
        logs = dice.randrange(52, 90) * 1_000_000 if states.keys() - {"none"} else 0
        cell = {"states": states, "periods": "".join(hours), "archives": 24 if logs else 0}
        cell.update(source_bytes=logs, bytes=logs * 100 // dice.randrange(540, 720))
        days[(NOW - timedelta(days=back)).date().isoformat()] = cell
    coverage = {
        "unit": "hour",
        "timezone": "UTC",
        "first": min(days),
        "last": max(days),
        "states": totals,
        "days": dict(sorted(days.items())),
    }
    made = sum(one["archives"] for one in days.values())
    return {
        **blank(name), "state": "fine", "exit_code": 0, "coverage": coverage, "archives": made,
        "source_bytes": sum(one["source_bytes"] for one in days.values()), "bytes": sum(one["bytes"] for one in days.values()),
        "last_run": "2026-11-26T03:05:11Z", "last_success": "2026-11-26T03:05:11Z", "next_run": "2026-11-26T04:05:11Z",
        "verified": {"archive-server": "remote_hash", "bucket": "server_digest"},
        "keys": {"current": "%016x" % dice.getrandbits(64), "since": "2026-09-14T06:00:00Z", "others": 2, "error": None},
    }  # fmt: skip


def fleet() -> t.List[t.Any]:
    """The made-up hosts."""
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.fleet_rows import Host

    dice = random.Random(7)
    stopped = {0: (0, 1, 2), 1: range(17, 24)}
    late = {
        "backlog": {"bucket": 31},
        "oldest_unshipped": {"bucket": "2026-11-24T20:05:13Z"},
        "spool": {"archives": 31, "bytes": 98_000_000},
    }
    rows = {
        "db1": [
            {
                **job("syslog", dice, missing={**stopped, 23: (4,)}), "exit_code": 1, "last_success": "2026-11-25T17:05:09Z",
                "state": "overdue: no success for 10h6m: /var/log/events: no permission to read it",
            }
        ],
        "web2": [{**job("syslog", dice, late=31), **late, "exit_code": 3, "state": "archives wait for a store"}, job("nginx", dice)],
        "web1": [job("syslog", dice), job("nginx", dice)],
        "web3": [job("syslog", dice, known=34), job("nginx", dice, known=34)],
        "files1": [job("syslog", dice, missing={61: (2, 3)})],
        "mail1": [job("syslog", dice)],
    }  # fmt: skip
    hosts = [Host(name + ".example.com", "failed" if found[0]["exit_code"] else "ok", found, []) for name, found in rows.items()]
    hosts.append(
        Host("build7.example.com", "unreachable", [], ["unreachable: connect to host build7.example.com port 22: No route to host"])
    )
    return hosts


def main() -> None:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.fleet_page import render
    from lab.browser import browser

    with tempfile.TemporaryDirectory() as folder:
        page = pathlib.Path(folder) / "fleet.html"
        page.write_text(render(fleet(), NOW), encoding="utf-8")
        with browser(pathlib.Path(folder) / "profile") as chromium:
            chromium.look(WIDTH, HEIGHT)
            chromium.open(page.as_uri())
            chromium.click("#strips tr[data-i='0'] .strip", (DAYS - 1.5) / DAYS)
            chromium.evaluate("window.scrollTo(0, 0)")
            chromium.send("Input.dispatchMouseEvent", type="mouseMoved", x=5, y=5)
            PICTURE.parent.mkdir(exist_ok=True)
            chromium.picture(PICTURE)
    print("%s: %d kB" % (PICTURE.relative_to(CHECKOUT), PICTURE.stat().st_size // 1000))


if __name__ == "__main__":
    main()
