# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Spans of time, and the steps of their trends: hours, days, or weeks that begin on Monday, in UTC."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta, timezone

from ...base.errors import UsageError
from ...base.units import format_utc

LENGTHS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
MOST_POINTS = 20_000
"""Points of a trend: two years of hours."""


class Span(t.NamedTuple):
    """What is asked for: from ``since`` until before ``until`` (in UTC; None is open), in steps ``by`` (None: chosen by the length)."""

    since: t.Optional[datetime] = None
    until: t.Optional[datetime] = None
    by: t.Optional[str] = None

    def check(self) -> None:
        """Raise UsageError if it ends before it begins."""
        if self.since is not None and self.until is not None and self.until < self.since:
            raise UsageError("the end (%s) is before the start (%s)" % (format_utc(self.until), format_utc(self.since)), "--until")


def step_for(first: t.Optional[datetime], end: t.Optional[datetime]) -> str:
    """The step for a span of this length."""
    if first is None or end is None or end - first > timedelta(days=120):
        return "week"
    return "hour" if end - first <= timedelta(days=3) else "day"


def starts_of(by: str, first: datetime, end: datetime) -> t.List[datetime]:
    """When each step of a span begins. Raises UsageError if they are too many."""
    start, step = start_of(by, first), LENGTHS[by]
    if (end - start) / step > MOST_POINTS:
        text = "the time from %s to %s has more than %d steps (%ss)" % (first.date(), end.date(), MOST_POINTS, by)
        longer = "" if by == "week" else ", or longer steps with --by"
        raise UsageError(text, hint="Give a shorter time with --since and --until" + longer)
    starts = []
    try:
        while start < end:
            starts.append(start)
            start += step
    except OverflowError:
        pass  # That was the last step of the year 9999.
    return starts


def start_of(by: str, moment: datetime) -> datetime:
    """When the step with this time begins."""
    start = moment.replace(minute=0, second=0, microsecond=0)
    if by == "hour":
        return start
    start = start.replace(hour=0)
    return start - timedelta(days=start.weekday()) if by == "week" else start


def hour_of(text: str) -> datetime:
    """The hour of a time as a database returns it: text, or a datetime as text."""
    return datetime(int(text[:4]), int(text[5:7]), int(text[8:10]), int(text[11:13]), tzinfo=timezone.utc)


def second_of(moment: t.Any) -> str:
    """A time as a database returns it (text, or a datetime), as text to the second."""
    return str(moment)[:19].replace(" ", "T") + "Z"
