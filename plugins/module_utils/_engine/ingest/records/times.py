# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The time of a line as text in UTC: "2026-11-03 01:59:58.114000"."""

from __future__ import annotations

import bisect
import re
import typing as t
from datetime import datetime, timedelta, timezone

from ...base.errors import ConfigError
from ...base.periods import load_timezone
from .refused import Refused

UTC = timezone.utc
FIRST_YEAR, LAST_YEAR = 1970, 9998
"""Years that every database stores, also after a conversion between time zones."""
MOST_TEXT = 64
"""Characters of a time as a line has it."""
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?:\s?([Zz]|[+-]\d\d:?(?:\d\d)?))?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MOST_TIMES = 1000
"""Hours or minutes that are remembered."""
FEW_HOURS = 15
"""Hours in a column, each of which can be replaced at once in less time than it takes for each text."""

Parser = t.Callable[[t.Any], t.Tuple[str, str]]
"""Called with the value of the time field; returns the time in UTC and the time as the line has it. Raises Refused."""
ColumnParser = t.Callable[[t.Sequence[str]], t.List[str]]
"""Called with the texts of the time field of many lines; returns the times in UTC. Raises Refused if one of them is refused."""


def time_parser(time_format: str, zone_name: str) -> Parser:
    """The parser for a format and a time zone as ``stream_spec.PARSE`` describes them. Raises ConfigError for an unknown time zone."""
    zone = load_timezone(zone_name)
    if time_format == "iso":
        return _iso_parser(zone)
    if time_format in ("unix", "unix_ms"):
        return _unix_parser(1_000_000 if time_format == "unix" else 1000)

    def parse(value: t.Any) -> t.Tuple[str, str]:
        text = _text(value)
        try:
            moment = datetime.strptime(text, time_format)
        except ValueError:
            raise Refused("bad_time", "not in the format %s" % time_format) from None
        return _utc_text(moment, zone), text

    return parse


def column_parser(parse: Parser, time_format: str, zone_name: str) -> ColumnParser:
    """The parser of many times at once, for the same format and time zone as ``parse``."""

    def parse_each(texts: t.Sequence[str]) -> t.List[str]:
        return [parse(text)[0] for text in texts]

    if time_format != "iso":
        return parse_each
    # The usual form, with milliseconds and without an offset, is looked at for all of them at once.
    usual, zeros, tens = "0000-00-00T00:00:00.000\n", str.maketrans("123456789", "0" * 9), frozenset("012345")
    step = len(usual)
    hours = _Hours(parse, zone_name == "UTC")

    def parse_column(texts: t.Sequence[str]) -> t.List[str]:
        every = "\n".join(texts) + "\n"
        is_usual = every.translate(zeros) == usual * len(texts) and tens.issuperset(every[14::step] + every[17::step])
        if not is_usual:
            return parse_each(texts)
        try:
            found = {hour: hours[hour] for hour in _hours_of(texts)}
        except KeyError:
            return parse_each(texts)
        if "".join(found).replace("T", " ") == "".join(found.values()):
            every = every.replace("T", " ")
        elif len(found) > FEW_HOURS:
            return [found[text[:14]] + text[14:] + "000" for text in texts]
        else:
            for hour, in_utc in found.items():
                every = every.replace(hour, in_utc)
        return every.replace("\n", "000\n").splitlines()

    return parse_column


def _hours_of(texts: t.Sequence[str]) -> t.Iterator[str]:
    """The beginnings of usual times, up to the minutes, each once."""
    # Lines of a log are nearly in this order, so this is fast.
    ordered = sorted(texts)
    at = 0
    while at < len(ordered):
        hour = ordered[at][:14]
        yield hour
        at = bisect.bisect_left(ordered, hour + ":", at)


class _Hours(t.Dict[str, str]):
    """By the text of a time up to its minutes: the same in UTC. Raises KeyError for another form, and if UTC has other minutes."""

    def __init__(self, parse: Parser, is_utc: bool) -> None:
        super().__init__()
        self._parse = parse
        self._is_utc = is_utc

    def __missing__(self, key: str) -> str:
        first = self._parse(key + "00")[0]
        # A time zone may change its offset within the hour.
        last = first if self._is_utc else self._parse(key + "59")[0]
        if len(key) != 14 or key[13] != ":" or first[:14] != last[:14] or first[14:16] != "00":
            raise KeyError(key)
        if len(self) > MOST_TIMES:
            self.clear()
        self[key] = first[:14]
        return first[:14]


def _iso_parser(zone: t.Any) -> Parser:
    # The lines of one minute share their conversion: the offset of the zone changes on whole minutes.
    minutes: t.Dict[str, str] = {}

    def parse(value: t.Any) -> t.Tuple[str, str]:
        text = _text(value)
        found = _ISO.fullmatch(text)
        if found is None:
            raise Refused("bad_time", "not in ISO format")
        day, minute, second, fraction, offset = found.groups()
        key = "%s %s%s" % (day, minute, offset or "")
        start = minutes.get(key)
        if start is None:
            try:
                # A log with few lines has a new minute with almost each: strptime would take most of the time.
                moment = datetime(int(day[:4]), int(day[5:7]), int(day[8:]), int(minute[:2]), int(minute[3:]))
                start = _utc_text(moment, zone if offset is None else _offset(offset))
            except ValueError:
                raise Refused("bad_time", "no such date, time or offset") from None
            if start[17:] != "00.000000":
                raise Refused("bad_time", "the offset of the time zone is not in whole minutes at that time")
            if len(minutes) > MOST_TIMES:
                minutes.clear()
            minutes[key] = start
        if second is not None and second > "59":
            if second != "60" or start[11:16] != "23:59":
                raise Refused("bad_time", "no such second")
            # A leap second. No database stores it; this is behind all other times of the day.
            second, fraction = "59", "999999"
        return "%s%s.%s" % (start[:17], second or "00", (fraction or "")[:6].ljust(6, "0")), text

    return parse


def _unix_parser(factor: int) -> Parser:
    def parse(value: t.Any) -> t.Tuple[str, str]:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise Refused("bad_time", "not a number")
        text = _text(str(value))
        try:
            moment = _EPOCH + timedelta(microseconds=round(float(text) * factor))
        except (ValueError, OverflowError):
            raise Refused("bad_time", "not a number of seconds in range") from None
        return _utc_text(moment, UTC), text

    return parse


def _text(value: t.Any) -> str:
    if not isinstance(value, str):
        raise Refused("bad_time", "missing" if value is None else "not a text")
    if len(value) > MOST_TEXT:
        raise Refused("bad_time", "longer than %d characters" % MOST_TEXT)
    return value


def _offset(text: str) -> timezone:
    if text in ("Z", "z"):
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    if digits[2:] > "59":
        raise ValueError(text)
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-size if text[0] == "-" else size)


def _utc_text(moment: datetime, zone: t.Any) -> str:
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise Refused("bad_time", "the year is not between %d and %d" % (FIRST_YEAR, LAST_YEAR))
    if moment.tzinfo is None:
        if zone is UTC:
            return moment.isoformat(" ", "microseconds")
        moment = moment.replace(tzinfo=zone)
    try:
        moment = moment.astimezone(UTC)
    except (ConfigError, OverflowError, ValueError):
        raise Refused("bad_time", "it cannot be converted to UTC") from None
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")
