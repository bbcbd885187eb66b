# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Eight days of a made-up fleet, as metrics: the engine writes the text of each file, as it does for the textfile collector.

The fleet is that of the picture of its page. On db1 no run of the job syslog has succeeded for 31 hours; on web2 the store bucket has
not been reachable for 20 hours, and lacks three archives since before; a copy on mail1 failed verification; a retired job of mail1 left
archives in a store; files1 lost lines of a stream.
"""

from __future__ import annotations

import math
import random
import typing as t
from datetime import datetime, timedelta, timezone

NOW = datetime(2026, 11, 26, 3, 12, tzinfo=timezone.utc)
DAYS = 8
EVERY = 600
"""Seconds between two scrapes."""

JOBS = (("db1", "syslog"), ("web1", "syslog"), ("web1", "nginx"), ("web2", "nginx"), ("mail1", "syslog"))
STREAMS = (("files1", "sftpgo"), ("files2", "sftpgo"), ("web1", "requests"))
GIB = 1 << 30
OUTAGE = 20
"""Hours since the store bucket can be reached from web2 no more."""


def openmetrics() -> t.Iterator[str]:
    """All samples of the days until NOW, each with its time, in the format OpenMetrics, oldest first."""
    moment = NOW - timedelta(days=DAYS)
    while moment <= NOW:
        for text in (*_jobs(moment), *_streams(moment), _orphans(moment)):
            for line in text.splitlines():
                if not line.startswith("#"):
                    yield "%s %d\n" % (line, moment.timestamp())
        moment += timedelta(seconds=EVERY)
    yield "# EOF\n"


def _dice(*words: object) -> random.Random:
    """Chance that is the same for the same words."""
    return random.Random(" ".join(map(str, words)))


def _ago(moment: datetime, hours: float) -> bool:
    """Whether it is at most so many hours before NOW."""
    return NOW - moment <= timedelta(hours=hours)


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _jobs(moment: datetime) -> t.Iterator[str]:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.status import blank
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.metrics import JobFacts, render

    for host, job in JOBS:
        # Each job runs five minutes after the hour, for some seconds.
        last = (moment - timedelta(minutes=6)).replace(minute=5, second=11)
        fails = host == "db1" and _ago(last, 31)
        success = min(last, NOW.replace(minute=5) - timedelta(hours=32)) if fails else last
        hours = int((last - (NOW - timedelta(days=40))).total_seconds() // 3600)
        # A prune in the night removes the archives of a day.
        kept = 24 * 32 + hours % 24 + 1
        logs = int(kept * _usual(host, job) * (1 + 0.03 * math.sin(last.timestamp() / 90000 + len(host))))
        waiting = _waiting(host, moment)
        oldest = {"bucket": (NOW - timedelta(hours=OUTAGE) + timedelta(minutes=5)).timestamp()} if waiting else {}
        ratio = 6.2 + len(host + job) % 4 + 0.3 * math.sin(last.timestamp() / 40000)
        status = {
            **blank(job),
            "archives": kept,
            "source_bytes": logs,
            "bytes": int(logs / ratio),
            "last_success": _utc(success),
            "backlog": {"archive-server": 0, "bucket": waiting},
            "spool": {"archives": waiting, "bytes": waiting * 3_200_000},
            "verified": {"archive-server": "remote_hash", "bucket": "server_digest"},
            "verifications": {
                store: {"last": _utc(_sunday(moment)), "failed": int(host == "mail1" and store == "bucket")}
                for store in ("archive-server", "bucket")
            },
            "lacking": {"bucket": 3} if host == "web2" and _ago(moment, 60) else {},
        }
        record = {
            "started": _utc(last),
            "seconds": round(2 + _bytes(host, job, last) / 4e7 + _dice(host, job, last).random() * 2 + 18 * bool(waiting), 2),
            "exit_code": 1 if fails else 3 if waiting else 0,
            "errors": ["/var/log/events: no permission to read it"] if fails else [],
            "warnings": ["bucket"] if waiting else [],
            "archives": [],
        }
        failed = max(0, int((last - (NOW - timedelta(hours=31))).total_seconds() // 3600)) if host == "db1" else 0
        partly = waiting
        facts = JobFacts(
            job,
            host,
            t.cast(t.Any, record),
            t.cast(t.Any, status),
            ("archive-server", "bucket"),
            {0: hours - failed - partly, 1: failed, 3: partly},
            oldest,
            (int((len(host + job) % 4 * 5 + 18) * GIB - waiting * 3.2e8), 40 * GIB),
            (NOW - timedelta(days=40)).timestamp(),
            last.timestamp(),
        )
        yield render(facts)


def _usual(host: str, job: str) -> float:
    """Bytes of the logs of a usual hour."""
    return (140e6 if job == "nginx" else 62e6) * (1 + len(host) % 3 * 0.3)


def _bytes(host: str, job: str, hour: datetime) -> int:
    """Bytes of the logs of an hour: more by day than by night, less at the weekend."""
    busy = 1 + 0.7 * math.sin((hour.hour - 8) / 24 * 2 * math.pi)
    week = 0.55 if hour.weekday() >= 5 else 1.0
    return int(_usual(host, job) * busy * week * _dice(host, job, hour.date(), hour.hour).uniform(0.85, 1.15))


def _waiting(host: str, moment: datetime) -> int:
    """Archives of web2 that wait for the store bucket: one more each hour."""
    return int((moment - (NOW - timedelta(hours=OUTAGE))).total_seconds() // 3600) if host == "web2" and _ago(moment, OUTAGE) else 0


def _sunday(moment: datetime) -> datetime:
    """The last Sunday at 04:30, when the stores are verified."""
    return (moment - timedelta(days=(moment.weekday() + 1) % 7)).replace(hour=4, minute=30, second=0) - timedelta(
        days=7 if moment.weekday() == 6 and moment.hour < 5 else 0
    )


def _streams(moment: datetime) -> t.Iterator[str]:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.stream_metrics import render

    for number, (host, stream) in enumerate(STREAMS):
        began = NOW - timedelta(days=DAYS)
        elapsed = (moment - began).total_seconds()
        rate = (0.9, 0.5, 2.2)[number]
        # The integral of a rate that changes with the hour of the day.
        phase = 2 * math.pi * (moment.timestamp() / 86400 - 1 / 3)
        lines = 4_000_000 + int(rate * (elapsed - 0.7 * 86400 / (2 * math.pi) * math.cos(phase)))
        lag = _dice(host, moment).uniform(0.2, 4.0)
        down = host == "files2" and timedelta(hours=70) <= NOW - moment <= timedelta(hours=71)
        behind = host == "web1" and timedelta(hours=26) <= NOW - moment <= timedelta(hours=28)
        if behind:
            lag = (moment - (NOW - timedelta(hours=28))).total_seconds()
        lost = host == "files1" and _ago(moment, 40)
        row = {
            "sink": "statistics",
            "lines": lines,
            "read_at": _utc(moment - timedelta(seconds=int(lag))),
            "files": 1,
            "warnings": [],
            "lag_bytes": int(lag * rate * 420),
            "lag_seconds": round(lag, 1),
            "rejected": 12 if host == "web1" and _ago(moment, 90) else 0,
            "gaps": int(lost),
            "gap_bytes": 180_224 * int(lost),
            "rotations_left": 9,
            "error": "the database cannot be reached" if down else None,
        }
        yield render(t.cast(t.Any, {"name": stream, "host": host}), [t.cast(t.Any, row)], moment.timestamp() - 20 - number * 7)


def _orphans(moment: datetime) -> str:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.orphan_metrics import render

    left = [t.cast(t.Any, {"spool": {"archives": 0, "bytes": 0}, "stores": {"bucket": 412}})]
    return render(left if _ago(moment, 100) else [], "mail1")
