# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policy of ``retention``: its rules and guards, read from the options of a document. An idle run checks it and plans nothing."""

from __future__ import annotations

from ..base import hints as t
from ..base.errors import ConfigError
from ..base.named_tuple import NamedTuple

UNLIMITED = -1


class Duration(NamedTuple):
    """A span as restic writes it: ``1y5m7d2h``; all zero means not set."""

    years: int = 0
    months: int = 0
    days: int = 0
    hours: int = 0

    def __str__(self) -> str:
        return "".join("%d%s" % (number, unit) for number, unit in zip(self, "ymdh") if number)


class Policy(NamedTuple):
    """What to keep; see the text of ``retention``. Counters: 0 is not set, -1 no limit.

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


def keeps_nothing(policy: Policy) -> bool:
    """Whether no rule is set."""
    rules: t.List[t.Any] = [value for name, value in zip(policy._fields, policy) if name.startswith("keep_")]
    return not any(any(rule) if isinstance(rule, Duration) else rule > 0 or rule == UNLIMITED for rule in rules)


def parse_duration(text: str) -> Duration:
    """Read restic's form (``2y5m7d3h``, units in any order); raises ValueError that states the mistake.

    Stricter than restic in one point: a unit given twice is refused, where restic takes the last.
    """
    parts: t.List[t.Tuple[str, str]] = []
    rest = text.strip()
    while rest:
        # Not a regular expression: each run reads the policy, and loading re takes a tenth of an idle run.
        number = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        unit, rest = rest[len(number) : len(number) + 1], rest[len(number) + 1 :]
        parts.append((number, unit))
    if not parts or not all(number and unit and unit in "ymdh" for number, unit in parts):
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
    if not problems and keeps_nothing(policy):
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
    if isinstance(value, str):
        digits = value.strip(" \t\n\r\f\v")
        digits = digits[1:] if digits.startswith("-") else digits
        if digits.isascii() and digits.isdigit():
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
