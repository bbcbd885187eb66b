# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Statistics of a stream of SFTPGo's log: who moved how much, when, from where, and how that compares with the time before."""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime, timedelta

from ...base.units import format_utc
from .queries import MOST_ROWS, Source
from .steps import Span, hour_of, second_of, start_of, starts_of, step_for

if t.TYPE_CHECKING:
    from ..sinks.sql import SqlSink
    from .facts import Address, Before, Hour, Point, Protocol, Statistics, Totals, Transfers, User
    from .queries import Rows


def compute(sink: SqlSink, name: str, span: Span, now: datetime, open_another: t.Optional[t.Callable[[], SqlSink]] = None) -> Statistics:
    """The statistics of the stream of a sink, from all hosts.

    name: of the sink. now: in UTC; a span with a start and no end is compared up to then. open_another: opens the same sink once more; then
    the files, which take as long as all the rest, are found at the same time. Raises UsageError for a span that ends before it begins, or
    with too many steps.
    """
    from concurrent.futures import ThreadPoolExecutor

    span.check()
    since, until, _by = span
    if since is not None and until is None:
        until = max(now, since)

    def files() -> Rows:
        if open_another is None:
            return Source(sink, since, until).files()
        with contextlib.closing(open_another()) as another:
            return Source(another, since, until).files()

    with ThreadPoolExecutor(1) as pool:
        found = None if open_another is None else pool.submit(files)
        with sink.snapshot():
            statistics = _without_files(sink, name, Span(since, until, span.by), now)
            rows = files() if found is None else found.result()
    statistics["files"] = [
        {"path": path, "username": username, "transfers": int(count), "bytes": int(size)} for path, username, count, size in rows
    ]
    return statistics


def _without_files(sink: SqlSink, name: str, span: Span, now: datetime) -> Statistics:
    since, until = span.since, span.until
    source = Source(sink, since, until)
    hours, users, failed_logins = source.hours(), _users(source.users()), source.failed_logins()
    first, end = _bounds(hours, since, until)
    by = span.by or step_for(first, end)
    return {
        "stream": sink.stream,
        "sink": name,
        "hosts": source.hosts(),
        "created": format_utc(now),
        "since": None if first is None else format_utc(first),
        "until": None if end is None else format_utc(end),
        "by": by,
        "totals": _totals(users, failed_logins),
        "before": None if since is None or until is None else _before(sink, since, until),
        "trend": _trend(hours, by, first, end),
        "hours": _hours(hours),
        "users": users,
        "files": [],
        "protocols": _protocols(source.protocols()),
        "addresses": _addresses(source.addresses(), failed_logins),
    }


def _before(sink: SqlSink, since: datetime, until: datetime) -> t.Optional[Before]:
    try:
        start = since - (until - since)
    except OverflowError:
        return None
    source = Source(sink, start, since)
    totals = _totals(_users(source.users()), source.failed_logins())
    return {"since": format_utc(start), "until": format_utc(since), "totals": totals}


def nothing() -> Transfers:
    """No transfers yet."""
    return {"transfers": 0, "uploads": 0, "downloads": 0, "bytes": 0, "bytes_uploaded": 0, "bytes_downloaded": 0, "failed": 0}


def _add(counts: Transfers, uploads: t.Any, downloads: t.Any, uploaded: t.Any, downloaded: t.Any, failed: t.Any) -> None:
    # MariaDB and PostgreSQL return sums as decimal numbers.
    counts["uploads"] += int(uploads)
    counts["downloads"] += int(downloads)
    counts["transfers"] += int(uploads + downloads)
    counts["bytes_uploaded"] += int(uploaded)
    counts["bytes_downloaded"] += int(downloaded)
    counts["bytes"] += int(uploaded + downloaded)
    counts["failed"] += int(failed)


def _totals(users: t.Sequence[User], failed_logins: Rows) -> Totals:
    counts = nothing()
    for user in users:
        _add(counts, user["uploads"], user["downloads"], user["bytes_uploaded"], user["bytes_downloaded"], user["failed"])
    return {
        **counts,
        "users": len(users),
        "logins": sum(user["logins"] for user in users),
        "failed_logins": sum(int(row[1]) for row in failed_logins),
        "commands": sum(user["commands"] for user in users),
    }


def _users(rows: Rows) -> t.List[User]:
    """All users, those with the most bytes first."""
    users: t.List[User] = []
    for username, *counts, logins, commands, last_seen in rows:
        user: User = {
            "username": username, **nothing(), "logins": int(logins), "commands": int(commands), "last_seen": second_of(last_seen),
        }  # fmt: skip
        _add(user, *counts)
        users.append(user)
    return sorted(users, key=lambda one: (-one["bytes"], -one["transfers"], one["username"]))


def _hours(rows: Rows) -> t.List[Hour]:
    hours: t.List[Hour] = [{"hour": hour, "transfers": 0, "bytes": 0} for hour in range(24)]
    for hour, uploads, downloads, uploaded, downloaded, _failed in rows:
        one = hours[int(str(hour)[11:13])]
        one["transfers"] += int(uploads + downloads)
        one["bytes"] += int(uploaded + downloaded)
    return hours


def _protocols(rows: Rows) -> t.List[Protocol]:
    found: t.List[Protocol] = [{"protocol": name, "transfers": int(count), "bytes": int(size)} for name, count, size in rows]
    return sorted(found, key=lambda one: (-one["bytes"], one["protocol"]))


def _addresses(rows: Rows, failed_logins: Rows) -> t.List[Address]:
    """The addresses with the most bytes, then those of the others with the most failed logins."""
    found: t.Dict[str, Address] = {}
    for address, users, count, size in rows:
        found[address] = {"address": address, "users": users, "transfers": int(count), "bytes": int(size), "failed_logins": 0}
    for address, count in failed_logins:
        none: Address = {"address": address, "users": 0, "transfers": 0, "bytes": 0, "failed_logins": 0}
        found.setdefault(address, none)["failed_logins"] += int(count)
    by_bytes = sorted(found.values(), key=lambda one: (-one["bytes"], -one["transfers"], one["address"]))
    busy, others = by_bytes[:MOST_ROWS], by_bytes[MOST_ROWS:]
    busy += sorted((one for one in others if one["failed_logins"]), key=lambda one: -one["failed_logins"])[:MOST_ROWS]
    return busy


# -- time -------------------------------------------------------------------------------------------------------------


def _bounds(rows: Rows, since: t.Optional[datetime], until: t.Optional[datetime]) -> t.Tuple[t.Optional[datetime], t.Optional[datetime]]:
    """The span of the trend: what was asked for; where it is open, from the first to the last hour with a transfer."""
    hours = [str(row[0]) for row in rows if sum(row[1:3]) or row[5]]
    if since is None and hours:
        since = hour_of(min(hours))
    if until is None and hours:
        until = hour_of(max(hours)) + timedelta(hours=1)
    return (since, until) if since is not None and until is not None else (None, None)


def _trend(rows: Rows, by: str, first: t.Optional[datetime], end: t.Optional[datetime]) -> t.List[Point]:
    if first is None or end is None:
        return []
    points: t.Dict[datetime, Point] = {start: {"start": format_utc(start), **nothing()} for start in starts_of(by, first, end)}
    # The hours of a day share their point, unless each hour has its own.
    length = 13 if by == "hour" else 10
    known: t.Dict[str, Point] = {}
    for hour, *counts in rows:
        text = str(hour)
        point = known.get(text[:length])
        if point is None:
            if not any(counts):
                continue
            point = known[text[:length]] = points[start_of(by, hour_of(text))]
        _add(point, *counts)
    return list(points.values())
