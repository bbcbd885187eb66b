# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Statistics of a stream of SFTPGo's log: who moved how much, when, from where, and how that compares with the time before."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta, timezone

from ...base.errors import UsageError
from ...base.units import format_utc
from .queries import MOST_ROWS, Source

if t.TYPE_CHECKING:
    from .facts import Address, Hour, Point, Protocol, Statistics, Totals, Transfers, User
    from .queries import Rows, Select

UTC = timezone.utc
STEPS = ("hour", "day", "week")
MOST_POINTS = 20_000
"""Points of a trend: two years of hours."""


class Span(t.NamedTuple):
    """What is asked for: from ``since`` until ``until`` (aware; None is open), in steps ``by`` (None: chosen by the length)."""

    since: t.Optional[datetime] = None
    until: t.Optional[datetime] = None
    by: t.Optional[str] = None


def compute(select: Select, kind: str, stream: str, sink: str, span: Span, now: datetime) -> Statistics:
    """The statistics of a stream.

    select: executes a SELECT in the sink, in which ``?`` stands for a value. kind, sink: type and name of the sink. now: aware; a span with
    a start and no end is compared up to then. Raises UsageError for a span that ends before it begins, or with too many steps.
    """
    since, until = (None if moment is None else moment.astimezone(UTC) for moment in span[:2])
    if since is not None and until is None:
        until = max(now.astimezone(UTC), since)
    if since is not None and until is not None and until < since:
        raise UsageError("the end (%s) is before the start (%s)" % (format_utc(until), format_utc(since)), "--until")
    source = Source(select, kind, stream, since, until)
    transfers = source.transfers()
    users, failed_logins = _users(transfers, source), source.failed_logins()
    first, end = _bounds(transfers, since, until)
    by = span.by or _step_for(first, end)
    return {
        "stream": stream,
        "sink": sink,
        "hosts": source.hosts(),
        "created": format_utc(now),
        "since": None if first is None else format_utc(first),
        "until": None if end is None else format_utc(end),
        "by": by,
        "totals": _totals(transfers, users, failed_logins),
        "before": None if since is None or until is None else _before(select, kind, stream, since, until),
        "trend": _trend(transfers, by, first, end),
        "hours": _hours(transfers),
        "users": users,
        "files": [
            {"path": path, "username": username, "transfers": count, "bytes": int(size)} for path, username, count, size in source.files()
        ],
        "protocols": _protocols(transfers),
        "addresses": _addresses(source.addresses(), failed_logins),
    }


def _before(select: Select, kind: str, stream: str, since: datetime, until: datetime) -> t.Any:
    try:
        start = since - (until - since)
    except OverflowError:
        return None
    source = Source(select, kind, stream, start, since)
    transfers = source.transfers()
    totals = _totals(transfers, _users(transfers, source), source.failed_logins())
    return {"since": format_utc(start), "until": format_utc(since), "totals": totals}


def nothing() -> Transfers:
    """No transfers yet."""
    return {"transfers": 0, "uploads": 0, "downloads": 0, "bytes": 0, "bytes_uploaded": 0, "bytes_downloaded": 0, "failed": 0}


def _add(counts: Transfers, sender: str, failed: int, count: int, size: t.Any) -> None:
    if failed:
        counts["failed"] += count
        return
    size = int(size)  # MariaDB and PostgreSQL return a sum as a decimal number.
    counts["transfers"] += count
    counts["bytes"] += size
    if sender == "Upload":
        counts["uploads"] += count
        counts["bytes_uploaded"] += size
    else:
        counts["downloads"] += count
        counts["bytes_downloaded"] += size


def _totals(transfers: Rows, users: t.Sequence[User], failed_logins: Rows) -> Totals:
    counts = nothing()
    for _hour, _user, sender, _protocol, failed, count, size, _last in transfers:
        _add(counts, sender, failed, count, size)
    return {
        **counts,
        "users": len(users),
        "logins": sum(user["logins"] for user in users),
        "failed_logins": sum(row[1] for row in failed_logins),
        "commands": sum(user["commands"] for user in users),
    }


def _users(transfers: Rows, source: Source) -> t.List[User]:
    """All users, those with the most bytes first."""
    found: t.Dict[str, User] = {}

    def user(name: str, last: t.Any) -> User:
        one = found.setdefault(name, {"username": name, **nothing(), "logins": 0, "commands": 0, "last_seen": None})
        one["last_seen"] = max(one["last_seen"] or "", _iso(last))
        return one

    for _hour, name, sender, _protocol, failed, count, size, last in transfers:
        _add(user(name, last), sender, failed, count, size)
    for name, count, last in source.logins():
        user(name, last)["logins"] += count
    for name, count, last in source.commands():
        user(name, last)["commands"] += count
    return sorted(found.values(), key=lambda one: (-one["bytes"], -one["transfers"], one["username"]))


def _hours(transfers: Rows) -> t.List[Hour]:
    hours: t.List[Hour] = [{"hour": hour, "transfers": 0, "bytes": 0} for hour in range(24)]
    for hour, _user, _sender, _protocol, failed, count, size, _last in transfers:
        if not failed:
            hours[int(hour[11:])]["transfers"] += count
            hours[int(hour[11:])]["bytes"] += int(size)
    return hours


def _protocols(transfers: Rows) -> t.List[Protocol]:
    found: t.Dict[str, Protocol] = {}
    for _hour, _user, _sender, protocol, failed, count, size, _last in transfers:
        if not failed:
            one = found.setdefault(protocol, {"protocol": protocol, "transfers": 0, "bytes": 0})
            one["transfers"] += count
            one["bytes"] += int(size)
    return sorted(found.values(), key=lambda one: (-one["bytes"], one["protocol"]))


def _addresses(rows: Rows, failed_logins: Rows) -> t.List[Address]:
    """The addresses with the most bytes, then those of the others with the most failed logins."""
    found: t.Dict[str, Address] = {}
    for address, users, count, size in rows:
        found[address] = {"address": address, "users": users, "transfers": count, "bytes": int(size), "failed_logins": 0}
    for address, count in failed_logins:
        none: Address = {"address": address, "users": 0, "transfers": 0, "bytes": 0, "failed_logins": 0}
        found.setdefault(address, none)["failed_logins"] += count
    by_bytes = sorted(found.values(), key=lambda one: (-one["bytes"], -one["transfers"], one["address"]))
    busy, others = by_bytes[:MOST_ROWS], by_bytes[MOST_ROWS:]
    busy += sorted((one for one in others if one["failed_logins"]), key=lambda one: -one["failed_logins"])[:MOST_ROWS]
    return busy


# -- time -------------------------------------------------------------------------------------------------------------


def _bounds(
    transfers: Rows, since: t.Optional[datetime], until: t.Optional[datetime]
) -> t.Tuple[t.Optional[datetime], t.Optional[datetime]]:
    """The span of the trend: what was asked for; where it is open, from the first to the last hour with a transfer."""
    hours = [row[0] for row in transfers]
    if since is None and hours:
        since = _hour(min(hours))
    if until is None and hours:
        until = _hour(max(hours)) + timedelta(hours=1)
    return (since, until) if since is not None and until is not None else (None, None)


def _step_for(first: t.Optional[datetime], end: t.Optional[datetime]) -> str:
    if first is None or end is None or end - first > timedelta(days=120):
        return "week"
    return "hour" if end - first <= timedelta(days=3) else "day"


def _trend(transfers: Rows, by: str, first: t.Optional[datetime], end: t.Optional[datetime]) -> t.List[Point]:
    if first is None or end is None:
        return []
    step = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}[by]
    start = _start_of(by, first)
    if (end - start) / step > MOST_POINTS:
        raise UsageError("the trend has more than %d steps" % MOST_POINTS, by, "Choose longer steps (--by), or a shorter time")
    points: t.Dict[datetime, Point] = {}
    while start < end:
        points[start] = {"start": format_utc(start), **nothing()}
        start += step
    for hour, _user, sender, _protocol, failed, count, size, _last in transfers:
        _add(points[_start_of(by, _hour(hour))], sender, failed, count, size)
    return list(points.values())


def _start_of(by: str, moment: datetime) -> datetime:
    start = moment.replace(minute=0, second=0, microsecond=0)
    if by == "hour":
        return start
    start = start.replace(hour=0)
    return start - timedelta(days=start.weekday()) if by == "week" else start


def _hour(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H").replace(tzinfo=UTC)


def _iso(moment: t.Any) -> str:
    """A time as a database returns it (text, or a datetime), as text to the second."""
    return str(moment)[:19].replace(" ", "T") + "Z"
