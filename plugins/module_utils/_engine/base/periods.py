# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Periods: spans of time in UTC that are named by a local label, and the names of files that carry such labels.

A label is a local time without offset, such as the hour ``2024-10-27 02``. It covers the time from the first moment at which
the clocks of its time zone show it (or jump past it) to the first moment at which they show the next label. So the labels of
a unit tile the time line: when clocks go back, the repeated hour is one period of two hours; when they go forward, the
skipped hour is an empty period, which is never expected.
"""

from __future__ import annotations

import functools

from . import hints as t
from .errors import ConfigError
from .light import datetime
from .named_tuple import NamedTuple
from .units import UTC

UNITS = ("hour", "day", "week", "month")
"""The units that a caller can ask for."""

_ALL_UNITS = ("second", "minute", "hour", "day", "week", "month", "year")
_FIXED = {
    "second": datetime.timedelta(seconds=1),
    "minute": datetime.timedelta(minutes=1),
    "hour": datetime.timedelta(hours=1),
    "day": datetime.timedelta(days=1),
    "week": datetime.timedelta(weeks=1),
}
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)

# Not calendar.month_name: that follows the locale of the process, names of files do not.
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip

# The ranges are strict, so that a search with '*' does not settle on digits that are not a date.
_YEAR = "(?:19|2[0-9])[0-9]{2}"
_SHAPES = {
    "Y": _YEAR,
    "y": "[0-9]{2}",
    "m": "(?:0[1-9]|1[0-2])",
    "d": "(?:0[1-9]|[12][0-9]|3[01])",
    "H": "(?:[01][0-9]|2[0-3])",
    "M": "[0-5][0-9]",
    "S": "[0-5][0-9]",
    "j": "(?:[0-2][0-9]{2}|3[0-5][0-9]|36[0-6])",
    "b": "(?:%s)" % "|".join(month[:3] for month in _MONTHS),
    "B": "(?:%s)" % "|".join(_MONTHS),
    "G": _YEAR,
    "V": "(?:0[1-9]|[1-4][0-9]|5[0-3])",
    "s": "[0-9]{1,12}",
    "z": "(?:Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])",
}

RENDER: t.Dict[str, t.Callable[[datetime.datetime], str]] = {
    "Y": lambda local: "%04d" % local.year,
    "y": lambda local: "%02d" % (local.year % 100),
    "m": lambda local: "%02d" % local.month,
    "d": lambda local: "%02d" % local.day,
    "H": lambda local: "%02d" % local.hour,
    "M": lambda local: "%02d" % local.minute,
    "S": lambda local: "%02d" % local.second,
    "j": lambda local: "%03d" % local.timetuple().tm_yday,
    "b": lambda local: _MONTHS[local.month - 1][:3],
    "B": lambda local: _MONTHS[local.month - 1],
    "G": lambda local: "%04d" % local.isocalendar()[0],
    "V": lambda local: "%02d" % local.isocalendar()[1],
    "s": lambda local: "%d" % ((local - _EPOCH) // _FIXED["second"]),
    "z": lambda local: "%s%02d%02d" % (_sign_hours_minutes(local)),
}
"""By time code, its text for a time in the zone of the label."""

_CODES_HINT = "Allowed are %s and %%%%" % " ".join("%" + code for code in _SHAPES)
_BRACKETS = "Time codes are not allowed inside [...]; write %% for a percent sign"
_COMPLETE_DATES = "Use %Y%m%d or %Y%j, with %H, %H%M or %H%M%S as needed, or %G%V (ISO week), %Y%m, %Y, or %s"

LONGEST_PATTERN = 4096
"""Characters of a pattern; Linux allows a path of 4,096 bytes."""
MOST_REPEATS = 16
"""How often a pattern may hold the same time code. Each is compared with all before it, so the work grows with the square."""
MOST_PERIODS = 100_000  # Eleven years of hours.


class Period(NamedTuple):
    """A span of time: ``start`` belongs to it, ``end`` does not. Both are aware datetimes in UTC."""

    start: datetime.datetime
    end: datetime.datetime


class NameMatch(NamedTuple):
    """The time in a matching name: ``unit`` (second ... year) and ``period``; both None if it has none."""

    unit: t.Optional[str]
    period: t.Optional[Period]


_WITHOUT_TIME = NameMatch(None, None)


# -- time zones -------------------------------------------------------------------------------------------------------


@functools.cache
def load_timezone(name: str) -> datetime.tzinfo:
    """Return the time zone ``name``: an IANA name, "UTC" (needs no data base) or "local" (the host's own, with its DST).

    Raise ConfigError with the nearest known names if there is none.
    """
    if name == "UTC":
        return UTC
    if name == "local":
        return _HostZone()
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(name[:255])  # A longer name, which no file has, would exhaust the stack.
    except (KeyError, ValueError, OSError, TypeError) as error:  # OSError: "Europe" is a folder, "." a refused path
        known = ["UTC", "local", *sorted(zoneinfo.available_timezones())]
        raise ConfigError(
            "unknown time zone",
            repr(name),
            "%sUse an IANA name such as Europe/Paris, 'UTC' or 'local'; if the host has no time zone data, install tzdata "
            "(package tzdata, or 'pip install tzdata')" % did_you_mean(str(name), known),
        ) from error


class _HostZone(datetime.tzinfo):
    """The zone of the host as the C library has it (TZ or /etc/localtime), with fold as in PEP 495."""

    def utcoffset(self, dt: t.Optional[datetime.datetime]) -> t.Optional[datetime.timedelta]:
        if dt is None:
            return None
        naive = dt.replace(tzinfo=None, microsecond=0)
        return naive.replace(tzinfo=UTC) - _EPOCH - datetime.timedelta(seconds=naive.timestamp())

    def dst(self, dt: t.Optional[datetime.datetime]) -> t.Optional[datetime.timedelta]:
        return None

    def tzname(self, dt: t.Optional[datetime.datetime]) -> str:
        return "local"

    def fromutc(self, dt: datetime.datetime) -> datetime.datetime:
        whole = dt.replace(tzinfo=UTC, microsecond=0)
        local = datetime.datetime.fromtimestamp((whole - _EPOCH).total_seconds())
        return local.replace(tzinfo=self, microsecond=dt.microsecond)


def did_you_mean(word: str, known: t.Iterable[str]) -> str:
    """Return "Did you mean ...? " with up to three of ``known`` that are near ``word``, or an empty string."""
    import difflib

    names = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), names, 3, 0.6)
    return "Did you mean %s? " % " or ".join(repr(names[name]) for name in near) if near else ""


# -- labels and periods -----------------------------------------------------------------------------------------------


def period_containing(unit: str, moment: datetime.datetime, timezone: str) -> Period:
    """Return the period of ``unit`` that contains the aware datetime ``moment``. It is never empty."""
    return _period(unit, _label_containing(unit, moment, load_timezone(timezone)), load_timezone(timezone))


def expected_periods(unit: str, offset: int, catch_up_seconds: float, timezone: str, now: datetime.datetime) -> t.List[Period]:
    """Return the periods that a run at ``now`` (aware) is about, oldest first, without empty ones.

    unit: one of UNITS; offset: 0 is the period that contains now, -1 the last that is closed, -2 the one before ...;
    catch_up_seconds: every earlier period is added that starts no longer than this before the offset period, up to MOST_PERIODS.
    Raise ConfigError for a value that cannot be used.
    """
    if unit not in UNITS:
        raise ConfigError("unknown period", repr(unit), "%sUse %s" % (did_you_mean(str(unit), UNITS), ", ".join(UNITS)))
    if isinstance(offset, bool) or not isinstance(offset, int) or not -MOST_PERIODS <= offset <= 0:
        raise ConfigError("not a valid offset", repr(offset)[:60], "Use 0 (this period), -1 (the last closed one) ... -%d" % MOST_PERIODS)
    zone = load_timezone(timezone)
    try:
        label = _label_containing(unit, now, zone)
        period = _period(unit, label, zone)
        for _unused in range(-offset):
            label, period = _before(unit, label, zone)
        periods = [period]
        earliest = period.start - datetime.timedelta(seconds=catch_up_seconds)
        while True:
            label, period = _before(unit, label, zone)
            if period.start < earliest or len(periods) == MOST_PERIODS:
                return periods[::-1]
            periods.append(period)
    except (OverflowError, ValueError) as error:
        raise ConfigError("offset or catch_up reach back before year 1", hint="Use smaller values") from error


def _label_containing(unit: str, moment: datetime.datetime, zone: datetime.tzinfo) -> datetime.datetime:
    label = _floor(unit, moment.astimezone(zone).replace(tzinfo=None, fold=0))
    # Where clocks go back past the start of a label (St John's: 00:01 -> 23:01), what they show is the label before.
    while moment >= _start(_step(unit, label, 1), zone):
        label = _step(unit, label, 1)
    return label


def _before(unit: str, label: datetime.datetime, zone: datetime.tzinfo) -> t.Tuple[datetime.datetime, Period]:
    while True:
        label = _step(unit, label, -1)
        period = _period(unit, label, zone)
        if period.start < period.end:
            return label, period


def _period(unit: str, label: datetime.datetime, zone: datetime.tzinfo) -> Period:
    return Period(_start(label, zone), _start(_step(unit, label, 1), zone))


def _start(label: datetime.datetime, zone: datetime.tzinfo) -> datetime.datetime:
    """The first moment at which the clocks of ``zone`` show ``label`` or jump past it."""
    local = label.replace(tzinfo=zone)
    before = t.cast(datetime.timedelta, local.utcoffset())
    after = t.cast(datetime.timedelta, local.replace(fold=1).utcoffset())
    if before >= after:
        return local.astimezone(UTC)
    # The label is skipped: the moment of the jump is found between its two readings (PEP 495), to the second.
    naive = label.replace(tzinfo=UTC)
    low, high = naive - after, naive - before
    while high - low > _FIXED["second"]:
        middle = (low + (high - low) // 2).replace(microsecond=0)
        if middle.astimezone(zone).replace(tzinfo=None) >= label:
            high = middle
        else:
            low = middle
    return high


def _floor(unit: str, local: datetime.datetime) -> datetime.datetime:
    local = local.replace(minute=0, second=0, microsecond=0)
    if unit == "hour":
        return local
    local = local.replace(hour=0)
    if unit == "week":
        return local - datetime.timedelta(days=local.weekday())
    return local.replace(day=1) if unit == "month" else local


def _step(unit: str, label: datetime.datetime, count: int) -> datetime.datetime:
    if unit in _FIXED:
        return label + count * _FIXED[unit]
    if unit == "year":
        return label.replace(year=label.year + count)
    years, month = divmod(label.month - 1 + count, 12)
    return label.replace(year=label.year + years, month=month + 1)


# -- names of files ---------------------------------------------------------------------------------------------------


class NamePattern:
    """A compiled pattern; make it with ``compile_pattern``.

    pattern: the text; relative: whether it is matched against the path relative to the searched folder instead of the base
    name; unit: the finest unit (second ... year) of its time codes, None if it has none.
    """

    def __init__(self, pattern: str, use_regex: bool, greedy: bool = False) -> None:
        self.pattern = pattern
        self.relative = "/" in pattern
        self._use_regex, self._greedy = use_regex, greedy
        self._groups: t.List[str] = []
        if use_regex or "[" in pattern:
            effective = self._regex.groupindex.keys()
            if not effective >= set(self._groups):
                raise ConfigError("a time code has no effect here", repr(pattern), _BRACKETS)
        else:
            # Any other glob is valid. A run that finds only archived logs matches no name, and need not load re.
            self._note_codes()
        self._codes = [group[0] for group in self._groups]
        self._distinct = len(set(self._codes))
        self.unit = _unit_of(frozenset(self._codes), pattern)
        self._has_plain_day = not use_regex and {"Y", "m", "d"} <= set(self._codes) <= set("YmdHMS")

    @functools.cached_property
    def _regex(self) -> t.Pattern[str]:
        import re

        from . import globs

        self._groups.clear()
        try:
            text = self._from_regex() if self._use_regex else globs.translate(self.pattern, self._code, self._greedy)
            # "." matches a newline too: it is an ordinary character of a file's name.
            return re.compile(text, re.DOTALL)
        except (re.error, OverflowError, RecursionError) as error:
            kind = "regular expression" if self._use_regex else "glob"
            hint = _BRACKETS if self._groups else None
            raise ConfigError("not a valid %s: %s" % (kind, error), repr(self.pattern), hint) from error

    def _note_codes(self) -> None:
        """Note the time codes of a glob without brackets, as its translation does. Raises ConfigError."""
        place = self.pattern.find("%")
        while place >= 0:
            self._code(self.pattern[place + 1 : place + 2])
            place = self.pattern.find("%", place + 2)

    def is_outside(self, name: str, first: str, last: str) -> bool:
        """Whether the name matches and its day is before ``first`` or after ``last`` ("20240112"). False: ``match`` must decide."""
        found = self._regex.fullmatch(name) if self._has_plain_day else None
        if found is None:
            return False
        year, month, day = found.group("Y__0", "m__0", "d__0")
        return not first <= year + month + day <= last and (day < "29" or (day < "31" and month != "02"))

    def match(self, name: str, timezone: str) -> t.Optional[NameMatch]:
        """Return the time in ``name`` (a base name, or a relative path if ``relative``), or None if it does not match.

        A name that has the shape of the pattern but is not a date does not match. A label in an hour that clocks skip gives an
        empty period at the moment of the jump.
        """
        found = self._regex.fullmatch(name)
        if found is None:
            return None
        if not self._codes:
            return _WITHOUT_TIME
        values = {code: text for code, text in zip(self._codes, found.group(0, *self._groups)[1:]) if text is not None}
        unit = self.unit
        if len(values) < self._distinct:
            # An optional part or an alternative of a regular expression left codes out.
            try:
                unit = _unit_of(frozenset(values), self.pattern)
            except ConfigError:
                unit = None
        if unit is None:
            return _WITHOUT_TIME
        period = _read_period(values, unit, load_timezone(timezone))
        return None if period is None else NameMatch(unit, period)

    def example(self, start: datetime.datetime, timezone: str) -> str:
        """Return the pattern with the codes of the period that begins at ``start`` filled in, to show to people."""
        import re

        local = start.astimezone(load_timezone(timezone))
        return re.sub("%(.)", lambda found: RENDER[found[1]](local) if found[1] in RENDER else found[1], self.pattern)

    def _code(self, code: str) -> str:
        if code == "%":
            return "%"
        if code not in _SHAPES:
            raise ConfigError("unknown time code '%%%s'" % code, repr(self.pattern), _CODES_HINT)
        count = sum(1 for group in self._groups if group[0] == code)
        if count == MOST_REPEATS:
            raise ConfigError("the time code '%%%s' occurs more than %d times" % (code, MOST_REPEATS), repr(self.pattern[:60]))
        group = "%s__%d" % (code, count)
        self._groups.append(group)
        text = "(?P<%s>%s)" % (group, _SHAPES[code])
        # Agree with each earlier one that took part: in another branch of an alternative it did not.
        for earlier in reversed(range(count)):
            text = "(?(%s__%d)(?P=%s__%d)|%s)" % (code, earlier, code, earlier, text)
        return text

    def _from_regex(self) -> str:
        import re

        def replace(found: t.Match[str]) -> str:
            return found[0] if found[0].startswith("\\") else self._code(found[1])

        return re.sub(r"\\.|%(.?)", replace, self.pattern, flags=re.DOTALL)


def compile_pattern(pattern: str, use_regex: bool) -> NamePattern:
    """Compile a glob or regular expression with time codes; both must match the whole name.

    Codes: %Y %y %m %d %H %M %S %j, %b %B (English), %G %V (ISO week), %s (seconds since the epoch), %z (+0100, Z), and %% for a
    percent sign. A code that occurs twice must have the same text. In a glob '*', '?' and '[...]' do not match '/', '**' does;
    '**/' is any number of folders. In a regular expression refer back to groups by name: codes are groups too.
    Raise ConfigError for a pattern that is not valid or longer than LONGEST_PATTERN, for an unknown code, for one that occurs more
    than MOST_REPEATS times, and for codes that do not make a complete date.
    """
    if not isinstance(pattern, str) or not pattern:
        raise ConfigError("not a pattern", repr(pattern), "Give a glob or a regular expression")
    if len(pattern) > LONGEST_PATTERN:
        raise ConfigError(
            "the pattern has %d characters; the limit is %d" % (len(pattern), LONGEST_PATTERN),
            repr(pattern[:60] + "..."),
            "No path is longer; use several patterns",
        )
    return NamePattern(pattern, use_regex)


def is_coarser(unit: str, than: str) -> bool:
    """Whether ``unit`` (second ... year) is longer than the unit ``than``."""
    return _ALL_UNITS.index(unit) > _ALL_UNITS.index(than)


@functools.cache
def _unit_of(codes: t.FrozenSet[str], pattern: str) -> t.Optional[str]:
    """The finest unit of the codes; raise ConfigError if a part of the date is missing."""
    if not codes:
        return None
    if "s" in codes:
        return "second"
    year, month = codes & {"Y", "y"}, codes & {"m", "b", "B"}
    times = "".join(code for code in "HMS" if code in codes)
    if year and (month and "d" in codes or "j" in codes):
        unit = {"": "day", "H": "hour", "HM": "minute", "HMS": "second"}.get(times)
    elif codes <= {"G", "V", "z"} and "V" in codes and "G" in codes:
        unit = "week"
    elif year and codes <= {"Y", "y", "m", "b", "B", "z"}:
        unit = "month" if month else "year"
    else:
        unit = None
    if unit is None:
        given = " ".join("%" + code for code in _SHAPES if code in codes)
        raise ConfigError("%s is not a complete date" % given, repr(pattern), _COMPLETE_DATES)
    return unit


def _read_period(values: t.Dict[str, str], unit: str, zone: datetime.tzinfo) -> t.Optional[Period]:
    """The period in the texts of the codes, or None if there is no such date or the codes contradict each other."""
    if "z" in values:
        zone_of_label: datetime.tzinfo = _read_offset(values["z"])
    else:
        zone_of_label = zone
    try:
        if "s" in values:
            start = _EPOCH + datetime.timedelta(seconds=int(values["s"]))
            label = start.astimezone(zone_of_label)
            period = Period(start, start + _FIXED["second"])
        else:
            label = _read_label(values).replace(tzinfo=zone_of_label)
            period = _period_of_label(unit, label, zone)
    except (ValueError, OverflowError):  # 20240230, week 53 of a year with 52, the year 9999
        return None
    if any(RENDER[code](label) != text for code, text in values.items() if code != "z"):
        return None
    return period


def _period_of_label(unit: str, label: datetime.datetime, zone: datetime.tzinfo) -> Period:
    naive = label.replace(tzinfo=None)
    if label.tzinfo is zone:
        return _period(unit, naive, zone)
    start = label.astimezone(UTC)
    if unit in ("second", "minute", "hour"):
        return Period(start, start + _FIXED[unit])
    # A day with the offset that the zone shows at its start is the zone's own day, of 23 or 25 hours if clocks change.
    own = _period(unit, naive, zone)
    return own if own.start.astimezone(zone).utcoffset() == label.utcoffset() else _period(unit, naive, label.tzinfo or UTC)


def _read_label(values: t.Dict[str, str]) -> datetime.datetime:
    if "G" in values and not ("Y" in values or "y" in values):
        return datetime.datetime.fromisocalendar(int(values["G"]), int(values["V"]), 1)
    if "Y" in values:
        year = int(values["Y"])
    else:
        short = int(values["y"])
        year = short + (1900 if short >= 69 else 2000)  # POSIX strptime
    if "m" in values:
        month = int(values["m"])
    elif "b" in values or "B" in values:
        short_name = values.get("b") or values["B"][:3]
        month = [name[:3] for name in _MONTHS].index(short_name) + 1
    else:
        month = 1
    hour, minute, second = (int(values.get(code, "0")) for code in "HMS")
    label = datetime.datetime(year, month, int(values.get("d", "1")), hour, minute, second)
    if "j" in values and "d" not in values:
        label = label.replace(month=1) + datetime.timedelta(days=int(values["j"]) - 1)
    return label


def _read_offset(text: str) -> datetime.timezone:
    if text == "Z":
        return UTC
    offset = datetime.timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return datetime.timezone(-offset if text[0] == "-" else offset)


def _sign_hours_minutes(local: datetime.datetime) -> t.Tuple[str, int, int]:
    minutes = (local.utcoffset() or datetime.timedelta()) // _FIXED["minute"]
    return ("-" if minutes < 0 else "+", abs(minutes) // 60, abs(minutes) % 60)
