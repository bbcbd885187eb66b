# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What monitoring asks of a job: when it last succeeded, what waits, when the next run is due, and whether that is bad."""

from __future__ import annotations

import os
import typing as t
from datetime import datetime, timezone

from ..base.errors import EXIT_DONE, EXIT_FAILED, EXIT_PARTLY
from ..base.units import format_duration, format_utc, parse_duration
from ..config.spec import LEVELS
from .catalog import FILE_NAME, Catalog, Run

PERIODS_UNTIL_OVERDUE = 2


def of(document: t.Dict[str, t.Any], max_age: t.Optional[float] = None, now: t.Optional[datetime] = None) -> t.Dict[str, t.Any]:
    """The state of one job: {job, last_run, last_exit_code, last_success, next_due, next_run, archives, bytes, source_bytes, verified,
    spool, backlog, state, exit_code}.

    next_due: when the running period ends. next_run: when cron or the timer runs the job, by its ``schedule``. archives, bytes,
    source_bytes: what is in the spool or in a store. verified: {store: the weakest level by which a copy there was proven}.
    backlog: {store: how many archives wait for it}.
    max_age: seconds after which a success is too old; by default two periods of the job (never for jobs without a period).
    exit_code: 0 fine; 1 the last run failed, or no success for too long; 3 archives wait for a store.
    """
    now = now or datetime.now(timezone.utc)
    row: t.Dict[str, t.Any] = {
        "job": document["name"],
        "last_run": None,
        "last_exit_code": None,
        "last_success": None,
        "next_due": _next_due(document, now),
        "next_run": _next_run(document, now),
        "archives": 0,
        "bytes": 0,
        "source_bytes": 0,
        "verified": {},
        "spool": {"archives": 0, "bytes": 0},
        "backlog": {},
        "state": "has never run",
        "exit_code": EXIT_FAILED,
    }
    if not os.path.exists(os.path.join(document["state"], FILE_NAME)):
        return row
    catalog = Catalog(document["state"])
    try:
        last = catalog.last_run(document["name"])
        success = catalog.last_success(document["name"], now.timestamp())
        spooled = catalog.entries(document["name"], spooled=True)
        row["archives"], row["bytes"], row["source_bytes"] = catalog.totals(document["name"])
        row["verified"] = {store: min(levels, key=LEVELS.index) for store, levels in catalog.levels(document["name"]).items()}
        for stores in catalog.awaited(document["name"]).values():
            for store in stores:
                row["backlog"][store] = row["backlog"].get(store, 0) + 1
    finally:
        catalog.close()
    row["spool"] = {"archives": len(spooled), "bytes": sum(entry.manifest["archive"]["size"] for entry in spooled)}
    if last is not None:
        row["last_run"] = _utc(last.started)
        row["last_exit_code"] = last.exit_code
    if success is not None:
        row["last_success"] = _utc(success.started)
    row["state"], row["exit_code"] = _judge(document, last, success, row, max_age, now)
    return row


def _judge(
    document: t.Dict[str, t.Any],
    last: t.Optional[Run],
    success: t.Optional[Run],
    row: t.Dict[str, t.Any],
    max_age: t.Optional[float],
    now: datetime,
) -> t.Tuple[str, int]:
    if last is None:
        return "has never run", EXIT_FAILED
    if last.ended is not None and last.exit_code not in (EXIT_DONE, EXIT_PARTLY):
        return "the last run failed", t.cast(int, last.exit_code)
    if max_age is None:
        max_age = _default_max_age(document)
    age = now.timestamp() - (success.started if success is not None else last.started)
    if max_age is not None and age > max_age:
        return "overdue: no success for %s" % format_duration(age), EXIT_FAILED
    if last.ended is None:
        return "runs now, or was killed; the next run completes it", EXIT_DONE if success is not None else EXIT_FAILED
    if row["spool"]["archives"] or last.exit_code == EXIT_PARTLY:
        return "archives wait for a store", EXIT_PARTLY
    return "fine", EXIT_DONE


def _default_max_age(document: t.Dict[str, t.Any]) -> t.Optional[float]:
    days = {"day": 1, "week": 7, "month": 31}
    period = document["select"]["period"]
    if period == "none":
        return None
    return PERIODS_UNTIL_OVERDUE * (3600 if period == "hour" else 86400 * days[period])


def _next_due(document: t.Dict[str, t.Any], now: datetime) -> t.Optional[str]:
    """When the running period ends, and with it the next log is there to be archived."""
    from ..base.periods import period_containing

    period = document["select"]["period"]
    if period == "none":
        return None
    return format_utc(period_containing(period, now, document["select"]["timezone"]).end)


def _next_run(document: t.Dict[str, t.Any], now: datetime) -> t.Optional[str]:
    from ..base import schedule
    from ..run.job import host_name

    if document["schedule"] is None:
        return None
    delay = schedule.offset(parse_duration(document["schedule"]["spread"]), host_name(document), document["name"])
    moment = schedule.next_run(schedule.parse(document["schedule"]["at"]), delay, now)
    return None if moment is None else format_utc(moment.astimezone(timezone.utc))


def _utc(seconds: float) -> str:
    return format_utc(datetime.fromtimestamp(seconds, timezone.utc))
