# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Schedules as people write them ("23:00 daily", "5 past each hour"), for cron, for systemd and for reports.

Pure: nothing here makes a timer. Times are the host's local times, as in cron and systemd. Sources: crontab(5) of Debian's cron for the
five fields, systemd.time(7) for OnCalendar.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import typing as t

from .errors import ConfigError

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FORMS = (
    '"23:00 daily", "02:30 sunday", "03:00 on day 1", "5 past each hour", "every 15 minutes", "every 6 hours"'
    ' or the five fields of cron, as "0 23 * * *"'
)

_YEARS = 29
"""A date that does not occur within this many years never occurs: 29 February and its weekdays recur within 28."""


class Schedule(t.NamedTuple):
    """The moments that match in every part: minutes, hours, days of the month, months, and weekdays (0 is Monday), each sorted."""

    minutes: t.Tuple[int, ...]
    hours: t.Tuple[int, ...]
    days: t.Tuple[int, ...]
    months: t.Tuple[int, ...]
    weekdays: t.Tuple[int, ...]


_ALL = Schedule(tuple(range(60)), tuple(range(24)), tuple(range(1, 32)), tuple(range(1, 13)), tuple(range(7)))
_FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")


def parse(at: str) -> Schedule:
    """Read a schedule in one of FORMS; raises ConfigError, which lists the allowed forms."""
    text = " ".join(at.lower().split())
    found = re.fullmatch(r"(\d{1,2}):(\d{2}) (?:(daily|every day)|(?:every )?(%s)s?|on day (\d{1,2}))" % "|".join(WEEKDAYS), text, re.ASCII)
    if found:
        hour, minute = int(found[1]), int(found[2])
        if hour > 23 or minute > 59:
            raise ConfigError("'%s' is not a time of day" % text.split()[0], at, "Use 00:00 to 23:59")
        schedule = _ALL._replace(minutes=(minute,), hours=(hour,))
        if found[4]:
            return schedule._replace(weekdays=(WEEKDAYS.index(found[4]),))
        if found[5]:
            if not 1 <= int(found[5]) <= 28:
                raise ConfigError("not every month has a day %s" % found[5], at, "Use day 1 to 28")
            return schedule._replace(days=(int(found[5]),))
        return schedule
    found = re.fullmatch(r"(\d{1,2}) past (?:each|every) hour", text, re.ASCII)
    if found and int(found[1]) < 60:
        return _ALL._replace(minutes=(int(found[1]),))
    found = re.fullmatch(r"every (?:(\d{1,2}) )?(minute|hour)s?", text, re.ASCII)
    if found:
        step, whole = int(found[1] or 1), 60 if found[2] == "minute" else 24
        if not step or whole % step:
            divisors = ", ".join(str(n) for n in range(1, whole // 2 + 1) if whole % n == 0)
            raise ConfigError(
                "'%s' does not divide the %s evenly" % (text, "hour" if whole == 60 else "day"), at, "Use one of %s" % divisors
            )
        steps = tuple(range(0, whole, step))
        return _ALL._replace(minutes=steps) if whole == 60 else _ALL._replace(minutes=(0,), hours=steps)
    fields = text.split()
    if len(fields) == 5 and all(re.fullmatch(r"[0-9*,/-]+", field) for field in fields):
        return _from_cron(fields, at)
    raise ConfigError("not a schedule", repr(at), "Write it as %s" % FORMS)


def _from_cron(fields: t.Sequence[str], at: str) -> Schedule:
    minutes, hours, days, months, weekdays = (
        _values(field, low, high, name, at)
        for field, name, (low, high) in zip(fields, _FIELDS, ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7)))
    )
    # cron's week begins on Sunday, which is 0 and also 7.
    schedule = Schedule(minutes, hours, days, months, tuple(sorted({(day - 1) % 7 for day in weekdays})))
    # Debian's cron combines the two day fields with "or" unless one of them begins with a star.
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    if either and (schedule.days == _ALL.days or schedule.weekdays == _ALL.weekdays):
        schedule = schedule._replace(days=_ALL.days, weekdays=_ALL.weekdays)
    if schedule.days != _ALL.days and schedule.weekdays != _ALL.weekdays:
        # cron runs when one of them matches, systemd when both do.
        raise ConfigError(
            "a day of the month cannot be combined with a day of the week, because cron and systemd treat this differently",
            at,
            "Give only one of them",
        )
    if next_run(schedule, 0, datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)) is None:
        raise ConfigError("the day does not exist", at)
    return schedule


def _values(field: str, low: int, high: int, name: str, at: str) -> t.Tuple[int, ...]:
    values: t.Set[int] = set()
    for part in field.split(","):
        found = re.fullmatch(r"(?:\*|([0-9]{1,3})(?:-([0-9]{1,3}))?)(?:/([0-9]{1,3}))?", part)
        if found is None:
            raise ConfigError("cannot read the field %s: %r" % (name, part[:20]), at, "Write it as %s" % FORMS)
        first = low if found[1] is None else int(found[1])
        # cron reads "5/10" as "5-59/10", and a star in the weekdays as 0-6.
        last = (
            (high if name != _FIELDS[4] or found[1] else 6) if found[1] is None or (found[3] and not found[2]) else int(found[2] or first)
        )
        step = int(found[3] or 1)
        if not (low <= first <= last <= high and step):
            raise ConfigError("the field %s is out of range: %r" % (name, part), at, "Use %d to %d" % (low, high))
        values.update(range(first, last + 1, step))
    return tuple(sorted(values))


def cron(schedule: Schedule) -> str:
    """The five fields of a crontab."""
    parts = list(schedule)
    parts[4] = tuple(sorted((day + 1) % 7 for day in schedule.weekdays))
    return " ".join(
        "*" if part == whole else ",".join(map(str, part)) for part, whole in zip(parts, _ALL._replace(weekdays=tuple(range(7))))
    )


def on_calendar(schedule: Schedule) -> str:
    """The value of OnCalendar= in a systemd timer."""

    def listed(part: t.Tuple[int, ...], whole: t.Tuple[int, ...]) -> str:
        return "*" if part == whole else ",".join("%02d" % value for value in part)

    days = "" if schedule.weekdays == _ALL.weekdays else ",".join(WEEKDAYS[day][:3].capitalize() for day in schedule.weekdays) + " "
    date = "*-%s-%s" % (listed(schedule.months, _ALL.months), listed(schedule.days, _ALL.days))
    return "%s%s %s:%s:00" % (days, date, listed(schedule.hours, _ALL.hours), listed(schedule.minutes, _ALL.minutes))


def offset(spread: float, host: str, job: str) -> int:
    """Seconds between the scheduled moment and the start of this job on this host: the same each time, evenly spread over the hosts.

    spread: all hosts begin within this many seconds.
    """
    digest = hashlib.sha256(("%s\0%s" % (host, job)).encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") % max(1, int(spread))


def next_run(
    schedule: Schedule, delay: float, now: datetime.datetime, zone: t.Optional[datetime.tzinfo] = None
) -> t.Optional[datetime.datetime]:
    """The first moment after ``now`` at which a run begins, ``delay`` seconds after the scheduled one; None if there is none.

    now: aware. zone: of the schedule's times, the host's own by default. An hour that clocks skip counts as the next one.
    """
    after = now - datetime.timedelta(seconds=delay)
    # A day early: the local date may differ from the date in the zone of ``now``.
    date = after.date() - datetime.timedelta(days=1)
    for _day in range(366 * _YEARS):
        if date.day in schedule.days and date.month in schedule.months and date.weekday() in schedule.weekdays:
            for hour in schedule.hours:
                for minute in schedule.minutes:
                    moment = datetime.datetime.combine(date, datetime.time(hour, minute))
                    aware = moment.astimezone() if zone is None else moment.replace(tzinfo=zone)
                    if aware.timestamp() > after.timestamp():
                        return aware + datetime.timedelta(seconds=delay)
        date += datetime.timedelta(days=1)
    return None


def last_run(
    schedule: Schedule, delay: float, now: datetime.datetime, zone: t.Optional[datetime.tzinfo] = None
) -> t.Optional[datetime.datetime]:
    """The last moment at or before ``now`` at which a run begins; the parameters are those of ``next_run``."""
    before = now - datetime.timedelta(seconds=delay)
    # A day late: the local date may differ from the date in the zone of ``now``.
    date = before.date() + datetime.timedelta(days=1)
    for _day in range(366 * _YEARS):
        if date.day in schedule.days and date.month in schedule.months and date.weekday() in schedule.weekdays:
            for hour in reversed(schedule.hours):
                for minute in reversed(schedule.minutes):
                    moment = datetime.datetime.combine(date, datetime.time(hour, minute))
                    aware = moment.astimezone() if zone is None else moment.replace(tzinfo=zone)
                    if aware.timestamp() <= before.timestamp():
                        return aware + datetime.timedelta(seconds=delay)
        date -= datetime.timedelta(days=1)
    return None
