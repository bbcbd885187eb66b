# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Durations, sizes and times as people write and read them."""

from __future__ import annotations

from . import hints as t
from .errors import ConfigError
from .light import datetime

UTC = datetime.timezone.utc

_SECONDS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_BLANKS = " \t\n\r\f\v"
LONGEST_DURATION = 36525.0 * 86400
"""Seconds: 100 years. Every timer and every calendar can hold it."""
LARGEST_SIZE = (1 << 63) - 1
"""Bytes; no file system has larger files."""
_SIZE_LETTERS = "KMGTP"
_SIZE_UNITS = {"": 0, "B": 0}
_SIZE_UNITS.update((letter + end, power) for power, letter in enumerate(_SIZE_LETTERS, 1) for end in ("", "B", "IB"))
"""By the unit of a size in capitals, the power of 1024 that it stands for."""

FIRST_SECOND, LAST_SECOND = -62135424000, 253402127999
"""0001-01-03 to 9999-12-29, in seconds since the epoch: what a datetime can hold in every time zone. Only files with a modification time
in this range are archived and restored."""


def parse_duration(value: t.Union[str, int, float]) -> float:
    """Return ``value`` in seconds.

    A plain number is seconds; otherwise numbers with the units w, d, h, m, s, from the largest to the smallest, each at most
    once ("90", "15m", "1d12h", "1.5h"; blanks between them are allowed). Raise ConfigError for anything else, below zero, and above
    LONGEST_DURATION.
    """
    seconds: t.Union[int, float, None] = None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = value
    elif isinstance(value, str):
        seconds = _seconds(value.strip())
    # A comparison with NaN is false.
    if seconds is not None and 0 <= seconds <= LONGEST_DURATION:
        return float(seconds)
    raise ConfigError(
        "not a duration",
        _shown(value),
        "Use seconds (90) or numbers with w, d, h, m, s from large to small, at most 100 years: 30s, 15m, 2h, 7d, 2w, 1d12h",
    )


# Without regular expressions: loading re takes a tenth of an idle run.


def _is_number(text: str) -> bool:
    """Whether the text is a number without a sign, of at most 20 digits before the point and after it."""
    whole, point, part = text.partition(".")
    return all(digits.isascii() and digits.isdigit() and len(digits) <= 20 for digits in ((whole, part) if point else (whole,)))


def _seconds(text: str) -> t.Optional[float]:
    """The seconds of a duration as text, which neither begins nor ends with a blank; None if it is not one."""
    if _is_number(text):
        return float(text)
    units = iter(_SECONDS)
    seconds, rest = 0.0, text
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        unit, rest = rest[len(number) : len(number) + 1], rest[len(number) + 1 :].lstrip(_BLANKS)
        # Each unit is looked for after the one before.
        if not _is_number(number) or unit not in units:
            return None
        seconds += float(number) * _SECONDS[unit]
    return seconds if text else None


def parse_age(text: str) -> float:
    """``parse_duration`` for an age that a person gives: a number needs a unit, because 90 could be days as well as seconds."""
    try:
        seconds = parse_duration(text)
    except ConfigError as error:
        # Its hint also offers a number without a unit.
        hint = "Use numbers with w, d, h, m, s from large to small, at most 100 years: 30s, 15m, 2h, 7d, 2w, 1d12h"
        raise ConfigError(error.message, error.subject, hint) from None
    if text.strip()[-1:].isdigit():
        raise ConfigError("the duration has no unit", repr(text), "Write %sd for days, or another of w, d, h, m, s" % text.strip())
    return seconds


def parse_size(value: t.Union[str, int]) -> int:
    """Return ``value`` in bytes.

    A plain number is bytes; K, M, G, T, P (also written KiB or KB, in any case) are powers of 1024: "10M", "1.5G", 512.
    Raise ConfigError for anything else, below zero, and above LARGEST_SIZE.
    """
    size: t.Optional[int] = None
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str):
        text = value.strip().upper()
        number = text[: len(text) - len(text.lstrip("0123456789."))]
        unit = text[len(number) :].lstrip(_BLANKS)
        if _is_number(number) and unit in _SIZE_UNITS:
            power = _SIZE_UNITS[unit]
            if power or "." not in number:
                size = int(float(number) * 1024**power) if "." in number else int(number) * 1024**power
    if size is not None and 0 <= size <= LARGEST_SIZE:
        return size
    raise ConfigError("not a size", _shown(value), "Use whole bytes (512) or a number with K, M, G, T or P (powers of 1024): 10M, 1.5G")


def _shown(value: t.Any) -> str:
    """The value for a message, cut: repr refuses a number of more than 4,300 digits."""
    try:
        text = repr(value)
    except ValueError:
        return "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."


def format_size(size: t.Union[int, float]) -> str:
    """Return a number of bytes for people: ``512 B``, ``1.5 KiB``, ``10.0 MiB``."""
    if abs(size) < 1024:
        return "%d B" % size
    number = float(size)
    for letter in _SIZE_LETTERS:
        number /= 1024
        if abs(number) < 1023.95 or letter == _SIZE_LETTERS[-1]:
            break
    return "%.1f %siB" % (number, letter)


def format_duration(seconds: float) -> str:
    """Return seconds for people, in the two largest units: ``450ms``, ``12.3s``, ``15m 30s``, ``1d 12h``.

    ``parse_duration`` reads it back, except milliseconds and negative values.
    """
    if seconds < 0:
        return "-" + format_duration(-seconds)
    if seconds < 0.9995:
        return "%dms" % round(seconds * 1000)
    if seconds < 59.95:
        return ("%.1f" % seconds).replace(".0", "") + "s"
    # Rounded before it is split, so that 1 h 59 min 45 s becomes "2h" and never "1h 60m".
    if round(seconds / 60) >= 1440:
        large, small = "d", "h"
    elif round(seconds) >= 3600:
        large, small = "h", "m"
    else:
        large, small = "m", "s"
    whole, part = divmod(round(seconds / _SECONDS[small]), _SECONDS[large] // _SECONDS[small])
    return "%d%s %d%s" % (whole, large, part, small) if part else "%d%s" % (whole, large)


def format_utc(moment: datetime.datetime) -> str:
    """Return an aware datetime as ISO 8601 in UTC, cut to whole seconds: ``2024-01-12T12:00:00Z``."""
    if moment.tzinfo is not UTC:
        if moment.utcoffset() is None:
            raise ConfigError("the time has no time zone", str(moment), "Give an aware datetime")
        moment = moment.astimezone(UTC)
    return moment.isoformat()[:19] + "Z"


def parse_time(text: str) -> datetime.datetime:
    """Return what a person wrote as a datetime in UTC: ``2024-01-12``, ``2024-01-12T13:00Z``, with any offset; without one it is UTC."""
    try:
        moment = datetime.datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        hint = "Write it as 2024-01-12 or 2024-01-12T13:00Z, in the years 1 to 9999 of UTC"
        raise ConfigError("not a time", _shown(text), hint) from None


def parse_utc(text: str) -> datetime.datetime:
    """Return the aware UTC datetime that ``format_utc`` wrote; raise ConfigError for anything else."""
    if isinstance(text, str):
        try:
            moment = datetime.datetime.fromisoformat(text[:-1]).replace(tzinfo=UTC)
        except ValueError:
            pass
        else:
            # It also reads other shapes, in each release of Python more.
            if format_utc(moment) == text:
                return moment
    raise ConfigError("not a time in UTC", repr(text), "Write it as 2024-01-12T12:00:00Z")
