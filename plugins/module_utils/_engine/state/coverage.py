# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which periods of a job are archived, day by day, and how well: by its catalog, its ledger and its schedule. No store is asked."""

from __future__ import annotations

import bisect
import contextlib
import itertools
import typing as t
from datetime import datetime, timedelta, timezone

from ..archive import naming
from ..base.errors import LogArchiveError
from ..base.periods import expected_periods, load_timezone
from ..base.units import format_utc, parse_duration, parse_utc
from ..sources.opening import collector_of
from . import catalog as catalogs

if t.TYPE_CHECKING:
    from ..base.periods import Period
    from ..base.schedule import Schedule
    from ..config.document import JobDocument
    from ..sources.base import Collector
    from .catalog import Catalog
    from .counts import PeriodCount
    from .lacking import Lacked

    class Day(t.TypedDict):
        """One day of a job. states: how many of its periods are in each state of ``STATES``, 0 left out. periods: the letter of each period
        in order; of an hourly job always 24, with NO_PERIOD for an hour that has not begun or that clocks skip, and one letter for an hour
        that they repeat. archives, source_bytes, bytes: of the archives with a period that begins on this day; bytes of their logs, and
        their own."""

        states: t.Dict[str, int]
        periods: str
        archives: int
        source_bytes: int
        bytes: int

    class Coverage(t.TypedDict):
        """The last days of a job. unit: of a period: hour, day, week or month (hour for a job without periods). timezone: of the days and
        hours. first, last: the days. states: how many periods are in each state; a week counts once, and on each of its days in ``days``.
        days: {day: what it has}; days without a log that was expected, and without an archive, are left out."""

        unit: str
        timezone: str
        first: str
        last: str
        states: t.Dict[str, int]
        days: t.Dict[str, Day]


STATES = {
    "missing": ("M", "missing", "no store has a good copy, and a run should have archived it"),
    "partly": ("P", "in some stores", "verified in some stores; others do not have it yet, gave it up, or lost it"),
    "spooled": ("S", "spooled", "archived, and waits on the host for its first store"),
    "verified": ("v", "verified", "verified in every store that keeps it"),
    "pruned": ("x", "pruned by rule", "retention removed it from every store"),
    "due": (":", "not due yet", "the next run archives it"),
    "none": ("-", "no log expected", "no log was expected, or the source had none"),
}
"""The states of a period, the worst first: {name: (letter, words, what they mean)}."""
NO_PERIOD = "."
MOST_DAYS = 400

_RANK = {state: rank for rank, state in enumerate(STATES)}
_LATE = timedelta(minutes=5)
"""A run that begins this late is not missed: cron takes a moment, and the clock of the schedule is not exact."""
_HOURS = 24
_BEFORE = {"week": 7 * 86400.0, "month": 31 * 86400.0}


def of(
    document: JobDocument,
    days: int,
    lost: t.Iterable[t.Tuple[str, str]] = (),
    lacked: t.Iterable[Lacked] = (),
    now: t.Optional[datetime] = None,
) -> Coverage:
    """The last ``days`` days of a job, up to today in the time zone of its periods.

    lost: copies, each as (store, key), that a store was found not to have as the catalog records. lacked: archives that a store of the job
    should have and was never given. Raises LogArchiveError if the catalog
    cannot be used.
    """
    now = now or datetime.now(timezone.utc)
    collector = collector_of(document)
    unit = "hour" if collector.period == "none" else collector.period
    dates = expected_periods("day", 0, (days + 1) * 86400.0, collector.timezone, now)[-days:]
    # A week or a month may have begun before the first day, and reach into it.
    back = (now - dates[0].start).total_seconds() + _BEFORE.get(unit, 0.0)
    slots = [slot for slot in expected_periods(unit, 0, back, collector.timezone, now) if slot.end > dates[0].start]
    zone = load_timezone(collector.timezone)
    found = _Found(slots, [_date(each, zone) for each in dates])
    if catalogs.exists(document["state"]):
        with contextlib.closing(catalogs.reading(document)) as catalog:
            counts = catalog.counts
            archived = counts.by_period(document["name"], format_utc(slots[0].start), format_utc(now))
            for count in itertools.chain(archived, counts.without(lost)):
                found.add(count, zone)
            for one in lacked:
                found.cover(datetime.fromtimestamp(one.start, timezone.utc), one.seconds, "partly")
            _judge(found, slots, _Expected(document, collector, catalog, now))
            _bury(found, slots, document, catalog)
    return {
        "unit": unit,
        "timezone": collector.timezone,
        "first": found.dates[0],
        "last": found.dates[-1],
        "states": _counted(state or "none" for state in found.states),
        "days": found.days(unit, zone),
    }


class _Found:
    """What is known of each period: its state, None until it is known; and of each day: archives, bytes of logs, bytes of archives."""

    def __init__(self, slots: t.Sequence[Period], dates: t.List[str]) -> None:
        self.slots = slots
        self.dates = dates
        self.states: t.List[t.Optional[str]] = [None] * len(slots)
        self.sums = {date: [0, 0, 0] for date in dates}
        self._starts = [slot.start for slot in slots]

    def add(self, count: PeriodCount, zone: t.Any) -> None:
        """Add archives."""
        start = parse_utc(count.start)
        self.cover(start, count.seconds, count.state)
        sums = self.sums.get(start.astimezone(zone).date().isoformat())
        if sums is not None:
            for place, value in enumerate((count.archives, count.source_bytes, count.size)):
                sums[place] += value

    def cover(self, start: datetime, seconds: int, state: str) -> None:
        """Every period that this time touches has an archive in this state."""
        end = start + timedelta(seconds=seconds)
        first = max(bisect.bisect_right(self._starts, start) - 1, 0)
        for index in range(first, max(bisect.bisect_left(self._starts, end), first + 1)):
            if start < self.slots[index].end and (end > self.slots[index].start or start >= self.slots[index].start):
                self.states[index] = min([state, self.states[index] or state], key=_RANK.__getitem__)

    def days(self, unit: str, zone: t.Any) -> t.Dict[str, Day]:
        """The days that have something to show."""
        by_date: t.Dict[str, t.List[t.Tuple[int, str]]] = {date: [] for date in self.dates}
        for slot, state in zip(self.slots, self.states):
            begin, last = (moment.astimezone(zone) for moment in (slot.start, slot.end - timedelta(seconds=1)))
            date = begin.date()
            while date <= last.date():
                by_date.get(date.isoformat(), []).append((begin.hour, state or "none"))
                date += timedelta(days=1)
        days: t.Dict[str, Day] = {}
        for date_text, periods in by_date.items():
            states = _counted(state for _hour, state in periods)
            archives, source_bytes, size = self.sums[date_text]
            if states.keys() - {"none"} or archives:
                letters = "".join(STATES[state][0] for _hour, state in periods)
                if unit == "hour":
                    by_hour = {hour: STATES[state][0] for hour, state in periods}
                    letters = "".join(by_hour.get(hour, NO_PERIOD) for hour in range(_HOURS))
                days[date_text] = {
                    "states": states, "periods": letters, "archives": archives, "source_bytes": source_bytes, "bytes": size
                }  # fmt: skip
        return days


class _Expected:
    """What the schedule and the runs of a job state about a period without an archive."""

    def __init__(self, document: JobDocument, collector: Collector, catalog: Catalog, now: datetime) -> None:
        job = document["name"]
        success, open_since = catalog.runs.archived_until(job, now.timestamp())
        self.success = None if success is None else datetime.fromtimestamp(success, timezone.utc)
        self._open_since = None if open_since is None else parse_utc(open_since)
        self._now = now
        self._is_periodic = collector.period != "none"
        # The dump of a day is fetched on that day, if a run begins then. Others archive what has ended.
        self._at_run = document["web"] is not None
        self._offset = 0 if self._at_run else document["select"]["offset"] if document["select"] is not None else -1
        self._schedule: t.Optional[t.Tuple[Schedule, float]] = None
        if document["schedule"] is not None:
            from ..base import schedule

            delay = schedule.offset(parse_duration(document["schedule"]["spread"]), naming.host_name(document["host"]), job)
            self._schedule = schedule.parse(document["schedule"]["at"]), delay
        begun = catalog.runs.first(job) or catalog.runs.known_since(job)
        self._since = None
        if begun is not None and self._is_periodic:
            first = datetime.fromtimestamp(min(begun, now.timestamp()), timezone.utc)
            self._since = expected_periods(collector.period, self._offset, 0, collector.timezone, first)[0].start
        self._missed = self._last_begin(collector)

    def _last_begin(self, collector: Collector) -> t.Optional[datetime]:
        """When a run last had to begin. Without a schedule somebody starts the runs: two periods are enough, as for ``overdue``."""
        if self._schedule is None:
            length = {"hour": 1, "day": 24, "week": 7 * 24, "month": 31 * 24}.get(collector.period, 0)
            return self._now - timedelta(hours=2 * length)
        from ..base import schedule

        return schedule.last_run(*self._schedule, self._now - _LATE)

    def state(self, slots: t.Sequence[Period], index: int) -> str:
        """``missing``, ``due`` or ``none``."""
        slot = slots[index]
        if self._since is None or slot.start < self._since:
            return "none"
        if self._at_run:
            return self._of_dump(slot)
        later = index - self._offset - 1
        if later >= len(slots) or (self._offset and slots[later].end > self._now):
            return "due"
        ready = slots[later].end if self._offset else slot.start
        if self.success is not None and ready <= self.success:
            if self._open_since is None or slot.start < self._open_since:
                return "none"
            # A log of that time was not ready for the last success: the next run looks again.
            return "missing" if self._missed is not None and self._missed > self.success + _LATE else "due"
        return "missing" if self._missed is not None and ready < self._missed else "due"

    def _of_dump(self, slot: Period) -> str:
        from ..base import schedule

        begin = None if self._schedule is None else schedule.next_run(*self._schedule, slot.start)
        if begin is None or begin >= slot.end or (self.success is not None and begin <= self.success):
            return "none"
        return "missing" if begin <= self._now - _LATE else "due"


def _judge(found: _Found, slots: t.Sequence[Period], expected: _Expected) -> None:
    for index, state in enumerate(found.states):
        if state is None:
            found.states[index] = expected.state(slots, index)


def _bury(found: _Found, slots: t.Sequence[Period], document: JobDocument, catalog: Catalog) -> None:
    """Distinguish archives that the catalog has forgotten, because retention removed them from every store, from logs that never were.

    Their tombstones in the ledger have the day (UTC). Of a day with fewer tombstones than periods the first are taken: which hour it was is
    not known any more.
    """
    from .ledger import file as ledgers

    open_slots: t.Dict[str, t.List[int]] = {}
    for index, state in enumerate(found.states):
        if state == "none":
            open_slots.setdefault(slots[index].start.strftime("%Y/%m/%d"), []).append(index)
    if not open_slots or not any(ledgers.exists(document["state"], name) for name in naming.names_of(document)):
        return
    buried: t.Dict[str, t.Set[str]] = {}
    try:
        for line in ledgers.ledger_of(document).lines():
            if b'"op":"prune"' in line:
                store, key = _pruned(line)
                day = "/".join(key.split("/")[-4:-1])
                if day in open_slots and catalog.state_of(store, key) is None:
                    buried.setdefault(day, set()).add(key)
    except LogArchiveError:
        return  # ``status`` reports a ledger that cannot be read.
    for day, indexes in open_slots.items():
        for index in indexes[: len(buried.get(day, ()))]:
            found.states[index] = "pruned"


def _pruned(line: bytes) -> t.Tuple[str, str]:
    import json

    payload = json.loads(line)["payload"]
    return str(payload.get("store")), str(payload.get("archive"))


def _date(period: Period, zone: t.Any) -> str:
    return period.start.astimezone(zone).date().isoformat()


def _counted(states: t.Iterable[str]) -> t.Dict[str, int]:
    counts: t.Dict[str, int] = {}
    for state in states:
        counts[state] = counts.get(state, 0) + 1
    return {state: counts[state] for state in STATES if state in counts}
