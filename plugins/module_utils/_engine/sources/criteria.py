# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The criteria of a selection: its options, parsed and checked."""

from __future__ import annotations

import os

from ..base import hints as t
from ..base.errors import ConfigError
from ..base.light import datetime
from ..base.named_tuple import NamedTuple
from ..base.periods import (
    UNITS,
    NamePattern,
    Period,
    compile_pattern,
    did_you_mean,
    expected_periods,
    is_coarser,
    load_timezone,
    period_containing,
)
from ..base.units import parse_duration, parse_size
from ..config.spec import SELECTION

DEFAULTS: t.Dict[str, t.Any] = {name: option.get("default") for name, option in SELECTION.items()}
"""Every option of ``select`` with its default; ``paths`` must be given."""


class Criteria(NamedTuple):
    """The parsed options of a selection. ``modified``: first and last allowed time; ``expected``: adjoining periods, oldest first.

    days: first and last day, as "20240112", that any zone may show in an expected period.
    """

    now: datetime.datetime
    paths: t.List[str]
    patterns: t.List[NamePattern]
    exclude: t.List[NamePattern]
    recurse: bool
    period: str
    timezone: str
    expected: t.List[Period]
    days: t.Tuple[str, str]
    modified: t.Optional[t.Tuple[datetime.datetime, datetime.datetime]]
    quiet: float
    require_closed: bool
    min_size: t.Optional[int]
    max_size: t.Optional[int]
    must_exist: bool


def read(options: t.Mapping[str, t.Any], now: datetime.datetime) -> Criteria:
    """The criteria that ``options`` (see ``files.select``) mean at ``now``; raise ConfigError that names every problem."""
    problems: t.List[str] = []
    given = {**DEFAULTS, **options}
    for key in options:
        if key not in DEFAULTS:
            problems.append("%s: unknown option. %sAllowed are %s" % (key, did_you_mean(key, DEFAULTS), ", ".join(DEFAULTS)))

    def parsed(key: str, parse: t.Callable[..., t.Any], *arguments: t.Any) -> t.Any:
        try:
            return parse(*arguments)
        except ConfigError as error:
            problems.append("%s: %s" % (key, error))
            return None

    _check_types(given, problems)
    use_regex = given["use_regex"] is True
    patterns = [parsed("patterns", compile_pattern, text, use_regex) for text in given["patterns"]]
    exclude = [parsed("exclude", compile_pattern, text, use_regex) for text in given["exclude"]]
    timezone = given["timezone"]
    if not isinstance(timezone, str) or parsed("timezone", load_timezone, timezone) is None:
        if not isinstance(timezone, str):
            problems.append("timezone: must be a name, not %r" % (timezone,))
        timezone = "UTC"
    catch_up = parsed("catch_up", parse_duration, given["catch_up"]) or 0.0
    period = given["period"]
    expected: t.List[Period] = []
    if period != "none":
        # An unknown unit raises an error that lists the allowed ones.
        expected = parsed("period, offset, catch_up", expected_periods, period, given["offset"], catch_up, timezone, now) or []
    elif isinstance(given["offset"], bool) or not isinstance(given["offset"], int) or given["offset"] > 0:
        problems.append("offset: must be 0 or a negative whole number, not %r" % (given["offset"],))
    for pattern in patterns:
        if pattern is not None:
            problems += _pattern_problems(pattern, period, use_regex or given["recurse"] is not False)
    modified = None
    if given["modified"] == "today":
        # The end of the day belongs to the next day. Times are compared in whole seconds.
        day = period_containing("day", now, timezone)
        modified = (day.start, day.end - datetime.timedelta(seconds=1))
    elif given["modified"] is not None:
        age = parsed("modified", parse_duration, given["modified"])
        modified = (now - datetime.timedelta(seconds=age or 0), now)
    quiet = parsed("quiet", parse_duration, given["quiet"]) or 0.0
    min_size, max_size = (None if given[key] is None else parsed(key, parse_size, given[key]) for key in ("min_size", "max_size"))
    if min_size is not None and max_size is not None and min_size > max_size:
        problems.append("min_size: must not be larger than max_size (%r > %r)" % (given["min_size"], given["max_size"]))
    if problems:
        raise ConfigError("the selection is not valid", problems=problems)
    paths = [os.path.abspath(path) for path in given["paths"]]
    return Criteria(
        now, paths, patterns, exclude, given["recurse"], period, timezone, expected, _days(expected), modified, quiet,
        given["require_closed"], min_size, max_size, given["must_exist"],
    )  # fmt: skip


def _check_types(given: t.Dict[str, t.Any], problems: t.List[str]) -> None:
    """Add a problem for each flag and list that is none. A wrong list becomes an empty one."""
    for key in ("use_regex", "recurse", "require_closed", "must_exist"):
        if not isinstance(given[key], bool):
            problems.append("%s: must be true or false, not %r" % (key, given[key]))
    for key in ("paths", "patterns", "exclude"):
        value = given[key]
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) and item and "\0" not in item for item in value):
            problems.append("%s: must be a list of non-empty texts, not %r" % (key, value))
            given[key] = []
        elif not value and key != "exclude":
            problems.append("%s: must not be empty" % key)


def _pattern_problems(pattern: NamePattern, period: str, entered: bool) -> t.Iterator[str]:
    """Why a pattern can match nothing of these periods. entered: whether a pattern with a folder may match."""
    if pattern.unit and period in UNITS and is_coarser(pattern.unit, period):
        yield "patterns: %r contains only the %s, but period is %s. Add the missing time codes, or set period to %s" % (
            pattern.pattern,
            pattern.unit,
            period,
            pattern.unit if pattern.unit in UNITS else "none",
        )
    if pattern.relative and not entered:
        yield "patterns: %r contains a folder, but recurse is false. Set it to true, or add the folder to paths" % pattern.pattern


def _days(periods: t.Sequence[Period]) -> t.Tuple[str, str]:
    """The first and the last day of adjoining periods, two days wider: no zone is that far from UTC."""
    if not periods:
        return ("", "~")
    two_days = datetime.timedelta(days=2)
    first, last = periods[0].start.replace(tzinfo=None), periods[-1].end.replace(tzinfo=None)
    first = max(first, datetime.datetime.min + two_days) - two_days
    last = min(last, datetime.datetime.max - two_days) + two_days
    return ("%04d%02d%02d" % first.timetuple()[:3], "%04d%02d%02d" % last.timetuple()[:3])
