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
import gc
import itertools
import operator
import re
from collections.abc import Sequence

from ..base import hints as t
from ..base.errors import ConfigError
from ..base.named_tuple import NamedTuple

UNLIMITED = -1

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


class Duration(NamedTuple):
    """A span as restic writes it: ``1y5m7d2h``; all zero means not set."""

    years: int = 0
    months: int = 0
    days: int = 0
    hours: int = 0

    def __str__(self) -> str:
        return "".join("%d%s" % (number, unit) for number, unit in zip(self, "ymdh") if number)


class Policy(NamedTuple):
    """What to keep; see the module's text. Counters: 0 is not set, -1 no limit.

    min_keep: archives left in each group at the least, 1 or more; max_delete_share: the part of a group, above 0 and up to 1
    (no cap), that one run may remove.
    """

    keep_last: int = 0
    keep_hourly: int = 0
    keep_daily: int = 0
    keep_weekly: int = 0
    keep_monthly: int = 0
    keep_yearly: int = 0
    keep_within: Duration = Duration()
    keep_within_hourly: Duration = Duration()
    keep_within_daily: Duration = Duration()
    keep_within_weekly: Duration = Duration()
    keep_within_monthly: Duration = Duration()
    keep_within_yearly: Duration = Duration()
    min_keep: int = 1
    max_delete_share: float = 0.5


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


def plan(items: t.Iterable[Item], policy: Policy, now: datetime.datetime) -> Plan:
    """Decide for each item whether it is kept; nothing is removed here.

    Items are grouped by (host, job); the order of the input does not matter. Raises ConfigError if the policy
    keeps nothing, a time has no zone, or a key occurs twice (an archive counted twice would weaken the guards).
    """
    # This code creates no cycles, but with a million results the garbage collector would scan all of them again and again.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _plan(items, policy, now)
    finally:
        if collecting:
            gc.enable()


def _plan(items: t.Iterable[Item], policy: Policy, now: datetime.datetime) -> Plan:
    if _keeps_nothing(policy):
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


def _keeps_nothing(policy: Policy) -> bool:
    return not _rules(policy) and not any(policy.keep_within)


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


# -- reading a policy -----------------------------------------------------------------------------------------------------


def parse_duration(text: str) -> Duration:
    """Read restic's form (``2y5m7d3h``, units in any order); raises ValueError that states the mistake.

    Stricter than restic in one point: a unit given twice is refused, where restic takes the last.
    """
    parts = re.findall(r"([0-9]+)([ymdh])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        raise ValueError("%r is not a duration such as 1y5m7d2h (years, months, days, hours; a week is 7d)" % text)
    numbers = {unit: int(number) for number, unit in parts}
    if len(numbers) < len(parts):
        raise ValueError("%r names a unit twice" % text)
    return Duration(*(numbers.get(unit, 0) for unit in "ymdh"))


def parse_policy(mapping: t.Mapping[str, t.Any]) -> Policy:
    """Read a policy from plain values. Raises one ConfigError; its ``problems`` list every mistake.

    Counters and min_keep are integers or their text, a counter also ``unlimited`` or -1; ``keep_within*`` are texts as for
    ``parse_duration``; max_delete_share is a number. None means not set. A policy that keeps nothing is a mistake too.
    """
    fields: t.Dict[str, t.Any] = {}
    problems = []
    for name, value in mapping.items():
        if name not in Policy._fields:
            problems.append("%s: not known%s" % (name, _nearest(str(name))))
        elif value is not None:
            try:
                fields[name] = _READERS[name](value)
            except ValueError as error:
                problems.append("%s: %s" % (name, error))
    policy = Policy(**fields)
    if not problems and _keeps_nothing(policy):
        problems.append("no rule keeps anything: set at least one of keep_last, keep_hourly ... keep_within_yearly")
    if problems:
        raise ConfigError("the retention policy is wrong", problems=problems)
    return policy


def read_policy(options: t.Mapping[str, t.Any]) -> Policy:
    """Read the policy of a ``config.document.RetentionOptions``; see ``parse_policy``."""
    return parse_policy({name: value for name, value in options.items() if name != "name_template"})


def _nearest(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, Policy._fields, 1)
    return ", did you mean %s?" % near[0] if near else "; known are %s" % ", ".join(Policy._fields)


def _integer(value: t.Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]+\s*", value, re.ASCII):
        return int(value)
    raise ValueError("%r is not a whole number" % (value,))


def _read_count(value: t.Any) -> int:
    if value == "unlimited":
        return UNLIMITED
    try:
        count = _integer(value)
    except ValueError as error:
        raise ValueError("%s, nor 'unlimited'" % error) from None
    if count < UNLIMITED:
        raise ValueError("%d is negative; 'unlimited' or -1 keeps all" % count)
    return count


def _read_duration(value: t.Any) -> Duration:
    if not isinstance(value, str):
        raise ValueError("%r is not a duration such as 7d or 1y5m7d2h" % (value,))
    return parse_duration(value) if value.strip() else Duration()


def _read_min_keep(value: t.Any) -> int:
    number = _integer(value)
    if number < 1:
        raise ValueError("%d is too small; at least 1 archive is always kept" % number)
    return number


def read_share(value: t.Any) -> float:
    """A ``max_delete_share``, or its text. Raises ValueError."""
    try:
        share = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        share = float("nan")
    if not 0 < share <= 1:
        raise ValueError("%r is not a number above 0 and up to 1 (0.5 is half of a group)" % (value,))
    return share


_READERS: t.Dict[str, t.Callable[[t.Any], t.Any]] = {
    name: _read_duration if name.startswith("keep_within") else _read_count for name in Policy._fields if name.startswith("keep_")
}
_READERS.update(min_keep=_read_min_keep, max_delete_share=read_share)
