# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Retention: the rules of ``restic forget`` plus guards, as a pure function of (items, policy, now).

Rules (restic: ``internal/data/snapshot_policy.go``, ``doc/060_forget.rst``), applied to each group alone, on the start of the
period of each archive, in UTC, newest first:

- ``keep_last`` N keeps the N newest; ``keep_hourly`` ... ``keep_yearly`` N keep the newest archive of each of the last N hours,
  days, ISO weeks, months, years that have any. -1 (written ``unlimited`` or -1) is no limit. The oldest archive is kept too
  while a counter has room.
- ``keep_within`` D keeps archives younger than D, measured from the newest archive and not from now; ``keep_within_hourly`` ...
  keep one per unit in that span. The border itself is outside. A month back from 31 October is 1 October, as in Go.
- One rule that keeps an archive is enough.

Guards, in this order: archives dated after ``now`` are neither counted nor removed; protected ones stay; ``min_keep`` are left
in each group; and if more than ``max_delete_share`` of a group would be removed, nothing of that group is, and the plan gives the reason
(see ``ALWAYS_ALLOWED`` for small groups). A backlog cut for the first time, or a long catch-up, meets the last guard by
design: look at the plan, then prune with a larger share for that time.
"""

from __future__ import annotations

import bisect
import datetime
import functools
import itertools
import operator
from collections.abc import Sequence

from ..base import collector, hints as t
from ..base.errors import ConfigError
from ..base.named_tuple import NamedTuple
from .policy import UNLIMITED, Duration, Policy, keeps_nothing

ALWAYS_ALLOWED = 3
"""``max_delete_share`` never refuses this many removals per group and run: with ``keep_last: 1`` a run in steady state
removes one archive of two, after two missed runs three of four. ``min_keep`` is the guard of groups that small."""

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_EPOCH_ORDINAL = 719163
"""``datetime.date(1970, 1, 1).toordinal()``"""
_MICROSECOND = datetime.timedelta(microseconds=1)
_SECOND = 1_000_000
_HOUR = 3600 * _SECOND
_DAY = 24 * _HOUR
_WEEK = 7 * _DAY


class Item(NamedTuple):
    """One archive that the policy judges.

    key: its name, unique in one plan; time: start of its period, aware; size: bytes; protected: why the caller forbids its
    removal, else None. expected: it is not in the store yet; it counts for the rules, and not for the guards, as it may never arrive.
    The caller protects it.
    """

    key: str
    time: datetime.datetime
    host: str
    job: str
    size: int
    protected: t.Optional[str] = None
    expected: bool = False


def _field(*names: str) -> t.Callable[[Item], t.Any]:
    """A function that returns fields of an item, in half the time of ``attrgetter``."""
    return operator.itemgetter(*map(Item._fields.index, names))


_key, _time, _host, _job, _size, _protected, _expected = map(_field, ("key", "time", "host", "job", "size", "protected", "expected"))


class Plan(NamedTuple):
    """The items to keep (by group, newest first) and to remove (oldest first), with reasons, and the removals that a guard refused."""

    keep: t.List[t.Tuple[Item, t.Tuple[str, ...]]]
    remove: t.List[t.Tuple[Item, str]]
    refusals: t.List[str]
    bytes_freed: int


@collector.paused()
def plan(items: t.Iterable[Item], policy: Policy, now: datetime.datetime) -> Plan:
    """Decide for each item whether it is kept; nothing is removed here.

    Items are grouped by (host, job); the order of the input does not matter. Raises ConfigError if the policy
    keeps nothing, a time has no zone, or a key occurs twice (an archive counted twice would weaken the guards).
    """
    if keeps_nothing(policy):
        raise ConfigError(
            "the retention policy is empty and would remove every archive",
            hint="Set at least one keep_ rule, or omit retention to keep everything",
        )
    now_micros = _micros(now, "now")
    ordered = list(items)
    keys = list(map(_key, ordered))
    # Stores list their archives by key, and then this is all: to sort them takes a fifth of the plan's time.
    if not all(map(operator.lt, keys, itertools.islice(keys, 1, None))):
        ordered.sort(key=_key)
        keys.sort()
        for key in itertools.compress(keys, map(operator.eq, keys, keys[1:])):
            raise ConfigError("this archive is listed twice", key, "Give each archive to the plan once")
    groups: t.Dict[t.Tuple[str, str], t.List[Item]] = {}
    for host, of_host in itertools.groupby(ordered, _host):
        for job, run in itertools.groupby(of_host, _job):
            groups.setdefault((host, job), []).extend(run)

    keep: t.List[t.Tuple[Item, t.Tuple[str, ...]]] = []
    remove: t.List[Item] = []
    removed_at: t.List[datetime.timedelta] = []
    refusals: t.List[str] = []
    for group in sorted(groups):
        members = groups[group]
        past, since = _newest_first(members, _since_epoch(members))
        # The newest are first: those in the future.
        future = next((count for count, span in enumerate(since) if span // _MICROSECOND <= now_micros), len(since))
        if future:
            keep.extend((item, ("dated in the future",)) for item in past[:future])
            past, since = past[future:], since[future:]
        reasons, refusal = _judge(past, _Micros(since), policy, group)
        if refusal is not None:
            refusals.append(refusal)
            refused = ("removal refused by max_delete_share %g" % policy.max_delete_share,)
            reasons = [words or refused for words in reasons]
        keep.extend(itertools.compress(zip(past, reasons), reasons))
        unwanted = list(map(operator.not_, reversed(reasons)))
        remove.extend(itertools.compress(reversed(past), unwanted))
        removed_at.extend(itertools.compress(reversed(since), unwanted))

    if len(groups) > 1:
        # The key of each is the next of these times: a list of a million indexes would take longer.
        remove.sort(key=functools.partial(next, iter(removed_at)))
    removal = list(zip(remove, itertools.repeat("no rule keeps it")))
    return Plan(keep, removal, refusals, sum(map(_size, remove)))


def _newest_first(members: t.List[Item], times: t.List[datetime.timedelta]) -> t.Tuple[t.List[Item], t.List[datetime.timedelta]]:
    """Items and their times, the newest first, and those of one time in the order that they have."""
    if all(map(operator.lt, times, itertools.islice(times, 1, None))):
        # Keys have the date, so those of one job are in the order of their times.
        return members[::-1], times[::-1]
    order = sorted(range(len(members)), key=times.__getitem__, reverse=True)
    return [members[index] for index in order], [times[index] for index in order]


def _since_epoch(items: t.Sequence[Item]) -> t.List[datetime.timedelta]:
    """The time of each item, since the epoch."""
    try:
        return list(map(operator.sub, map(_time, items), itertools.repeat(_EPOCH)))
    except TypeError:
        for item in items:
            _micros(item.time, item.key)  # It names the item.
        raise


class _Micros(Sequence[int]):
    """Spans in microseconds. The rules look at few of a million: to make a number of each takes a fifth of the plan's time."""

    def __init__(self, spans: t.Sequence[datetime.timedelta]) -> None:
        self._spans = spans

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, index: t.Any) -> t.Any:
        return self._spans[index] // _MICROSECOND


class _Negated(Sequence[int]):
    """Descending numbers as ascending ones, for bisect."""

    def __init__(self, numbers: t.Sequence[int]) -> None:
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: t.Any) -> t.Any:
        return -self._numbers[index]


class Judged(NamedTuple):
    """What a policy decides on the periods of one group, by their starts. unwanted: those to remove. counted: those that a rule keeps
    because of how many others there are. refusal: why a guard refused to remove any; then ``unwanted`` is empty."""

    unwanted: t.List[int]
    counted: t.List[int]
    refusal: t.Optional[str]


def judge(
    starts: t.Sequence[int], special: t.Mapping[int, Item], policy: Policy, now: datetime.datetime, group: t.Tuple[str, str]
) -> Judged:
    """The decision of ``plan`` on one group of which only the starts of the periods are known: it takes little memory for 100,000 periods.

    starts: in seconds since the epoch, newest first, each once. special: by start, the item of a period that is protected or expected.
    group: host and job.
    """
    plain = Item("", _EPOCH, *group, 0)
    latest = _micros(now, "now")
    past = starts if starts and starts[0] * _SECOND <= latest else [start for start in starts if start * _SECOND <= latest]
    items = [special.get(start, plain) for start in past] if special else [plain] * len(past)
    reasons, refusal = _judge(items, [start * _SECOND for start in past], policy, group)
    if refusal is not None:
        return Judged([], [], refusal)
    unwanted = [start for start, words in zip(past, reasons) if not words] if () in reasons else []
    counted = [start for start, words in zip(past, reasons) if words and not words[0].startswith("within ")] if unwanted else []
    return Judged(unwanted, counted, None)


def _judge(
    past: t.Sequence[Item], times: t.Sequence[int], policy: Policy, group: t.Tuple[str, str]
) -> t.Tuple[t.List[t.Tuple[str, ...]], t.Optional[str]]:
    """The reasons to keep each item of a group, () if there is none; and why a guard keeps the others, too.

    times: of the items, in microseconds, newest first.
    """
    expected = sum(map(_expected, past))  # The caller protects these, so no rule removes one.
    reasons = _guarded(past, _apply(times, policy), policy, expected)
    unwanted = reasons.count(())
    held = len(past) - expected
    if unwanted <= max(ALWAYS_ALLOWED, policy.max_delete_share * held + 1e-9):
        return reasons, None
    return reasons, (
        "%s: %d of %d archives would be removed, which exceeds max_delete_share %g, so none is removed. "
        "Check the policy; if it is right, prune with --max-delete-share 1 (in a play: log_archive_max_delete_share=1)"
        % ("/".join(filter(None, group)), unwanted, held, policy.max_delete_share)
    )


def _apply(times: t.Sequence[int], policy: Policy) -> t.List[t.Tuple[str, ...]]:
    """restic's ApplyPolicy: per time (microseconds, newest first) the reasons to keep it, () if there is none."""
    reasons: t.List[t.Tuple[str, ...]] = [()] * len(times)
    if not times:
        return reasons
    ages = _Negated(times)
    if any(policy.keep_within):
        count = bisect.bisect_left(ages, -_before(times[0], policy.keep_within))
        reasons[:count] = [("within " + str(policy.keep_within),)] * count

    oldest = len(times) - 1
    for label, start_of, count, span in _rules(policy):
        border = _before(times[0], span) if span else None
        # The first archive of each unit, from unit to unit; and the oldest.
        index, number, prefix = 0, 0, ""
        while border is None or times[index] > border:
            number += 1
            reasons[index] += ("%s%s #%d" % (prefix, label, number),)
            if number == count or index == oldest:
                break
            # A new unit begins at the first time before the start of the unit kept last.
            index = bisect.bisect_right(ages, -start_of(times[index]), index + 1)
            if index > oldest:
                index, prefix = oldest, "oldest "
    return reasons


def _guarded(past: t.Sequence[Item], reasons: t.List[t.Tuple[str, ...]], policy: Policy, expected: int) -> t.List[t.Tuple[str, ...]]:
    """The reasons of ``past``, newest first, with those that ``protected`` and ``min_keep`` add. expected: how many are."""
    if any(map(_protected, past)):
        reasons = [words or ((item.protected,) if item.protected else ()) for item, words in zip(past, reasons)]
    missing = policy.min_keep - (len(reasons) - reasons.count(()) - expected)
    for index, words in enumerate(reasons):
        if missing <= 0:
            break
        if not words:
            reasons[index] = ("among the newest, min_keep %d" % policy.min_keep,)
            missing -= 1
    return reasons


def _rules(policy: Policy) -> t.List[t.Tuple[str, t.Callable[[int], int], int, t.Optional[Duration]]]:
    """The rules that are set, but ``keep_within``: (label, start of the unit of a time, count, span or None)."""
    counted = [
        (unit, start_of, getattr(policy, "keep_" + unit), None)
        for unit, start_of in [("last", _instant_end)] + _UNITS
        if getattr(policy, "keep_" + unit) > 0 or getattr(policy, "keep_" + unit) == UNLIMITED
    ]
    spans = [(unit, start_of, getattr(policy, "keep_within_" + unit)) for unit, start_of in _UNITS]
    return counted + [("%s within %s" % (unit, span), start_of, UNLIMITED, span) for unit, start_of, span in spans if any(span)]


# -- calendar, in microseconds since the epoch, UTC -----------------------------------------------------------------------


def _micros(time: datetime.datetime, subject: str) -> int:
    try:
        since = time - _EPOCH
    except TypeError as error:
        raise ConfigError("the time %r is not a datetime with a time zone" % (time,), subject, "Give it in UTC") from error
    return (since.days * 86400 + since.seconds) * _SECOND + since.microseconds


def _instant_end(time: int) -> int:
    return time + 1


def _hour_start(time: int) -> int:
    return time - time % _HOUR


def _day_start(time: int) -> int:
    return time - time % _DAY


def _week_start(time: int) -> int:
    # The epoch is a Thursday; an ISO week, and with it its number and year, begins on Monday.
    return time - (time + 3 * _DAY) % _WEEK


def _month_start(time: int) -> int:
    return (_date(time).replace(day=1).toordinal() - _EPOCH_ORDINAL) * _DAY


def _year_start(time: int) -> int:
    return (_date(time).replace(month=1, day=1).toordinal() - _EPOCH_ORDINAL) * _DAY


_UNITS: t.List[t.Tuple[str, t.Callable[[int], int]]] = [
    ("hourly", _hour_start),
    ("daily", _day_start),
    ("weekly", _week_start),
    ("monthly", _month_start),
    ("yearly", _year_start),
]


def _date(time: int) -> datetime.date:
    return datetime.date.fromordinal(time // _DAY + _EPOCH_ORDINAL)


def _before(time: int, span: Duration) -> int:
    """``time`` minus ``span`` as Go's ``AddDate`` counts: years and months first, a day past the month's end runs on."""
    date = _date(time)
    year, month = divmod(date.year * 12 + date.month - 1 - span.years * 12 - span.months, 12)
    if year < datetime.MINYEAR:
        return (1 - _EPOCH_ORDINAL) * _DAY - 1
    days = datetime.date(year, month + 1, 1).toordinal() - _EPOCH_ORDINAL + date.day - 1 - span.days
    return days * _DAY + time % _DAY - span.hours * _HOUR
