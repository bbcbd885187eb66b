# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Durations, sizes and times: accepted and refused texts, and round trips."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import errors, units
from hypothesis import given, strategies as st

UTC = datetime.timezone.utc


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("90", 90), (90, 90), (0, 0), (1.5, 1.5), ("0", 0), ("30s", 30), ("15m", 900), ("2h", 7200), ("7d", 604800), ("2w", 1209600),
        ("1d12h", 129600), (" 1d 12h ", 129600), ("1w1d1h1m1s", 694861), ("1.5h", 5400),
    ],
)  # fmt: skip
def test_durations_are_read(value, seconds):
    assert units.parse_duration(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "h",
        "-1",
        -1,
        "12h1d",
        "1h1h",
        "1y",
        "1M",
        "1 2",
        "1d 5",
        "1.2.3",
        "1.s",
        ".5",
        True,
        None,
        [],
        float("nan"),
        float("inf"),
        "inf",
        "1e3",
        "٣s",
    ],
)
def test_a_text_that_is_not_a_duration_is_refused_with_the_allowed_forms(value):
    with pytest.raises(errors.ConfigError, match="1d12h"):
        units.parse_duration(value)


def test_an_age_needs_a_unit():
    assert units.parse_age("1d12h") == 129600
    for text in ("90", " 26 ", "1.5", "0"):
        with pytest.raises(errors.ConfigError, match="no unit.*Write %sd" % text.strip()):
            units.parse_age(text)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (512, 512), ("512", 512), ("512B", 512), (0, 0), ("1K", 1024), ("10M", 10 * 2**20), ("10 MiB", 10 * 2**20), ("10mb", 10 * 2**20),
        ("1.5G", 3 * 2**29), ("2T", 2**41), ("1p", 2**50), ("9007199254740993", 9007199254740993),
    ],
)  # fmt: skip
def test_sizes_are_read_exactly(value, size):
    assert units.parse_size(value) == size


@pytest.mark.parametrize("value", ["", "M", "-1", -1, "1.5", 1.5, "1X", "1 i", "1iB", True, None, "1M2K"])
def test_a_text_that_is_not_a_size_is_refused_with_the_allowed_forms(value):
    with pytest.raises(errors.ConfigError, match="10M"):
        units.parse_size(value)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (2**20 - 1, "1.0 MiB"), (10 * 2**20, "10.0 MiB"),
        (2**60, "1024.0 PiB"), (-2048, "-2.0 KiB"),
    ],
)  # fmt: skip
def test_sizes_for_people(size, text):
    assert units.format_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"), (0.45, "450ms"), (0.9999, "1s"), (1, "1s"), (12.34, "12.3s"), (20.04, "20s"), (59.99, "1m"), (930, "15m 30s"),
        (3599.6, "1h"), (7185, "2h"), (7199, "2h"), (86399, "1d"), (85200, "23h 40m"), (129600, "1d 12h"), (8640000, "100d"),
        (-90, "-1m 30s"),
    ],
)  # fmt: skip
def test_durations_for_people(seconds, text):
    assert units.format_duration(seconds) == text


@given(st.floats(min_value=1, max_value=1e9))
def test_a_duration_for_people_is_read_back_to_half_its_smaller_unit(seconds):
    error = abs(units.parse_duration(units.format_duration(seconds)) - seconds)
    assert error <= max(0.0501, min(1800.0, seconds / 60))


@given(st.datetimes(timezones=st.timezones()).filter(lambda moment: 2 < moment.year < 9998))
def test_times_are_written_in_utc_to_the_second_and_read_back(moment):
    text = units.format_utc(moment)
    assert text.endswith("Z") and len(text) == 20
    assert units.parse_utc(text) == moment.astimezone(UTC).replace(microsecond=0)


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(errors.ConfigError, match="aware"):
        units.format_utc(datetime.datetime(2024, 1, 12))


@pytest.mark.parametrize("text", ["2024-01-12", "2024-01-12T12:00:00", "2024-02-30T12:00:00Z", "2024-01-12T12:00:00.5Z", "", None])
def test_a_text_that_is_not_a_time_in_utc_is_refused(text):
    with pytest.raises(errors.ConfigError, match="2024-01-12T12:00:00Z"):
        units.parse_utc(text)


@pytest.mark.parametrize(
    ("text", "in_utc"),
    [
        ("2024-01-12", "2024-01-12T00:00:00Z"),
        (" 2024-01-12T13:00Z ", "2024-01-12T13:00:00Z"),
        ("2024-01-12T13:00", "2024-01-12T13:00:00Z"),
        ("2024-01-12T01:00+05:45", "2024-01-11T19:15:00Z"),
        ("0001-01-01", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_a_time_that_a_person_wrote_is_read(text, in_utc):
    moment = units.parse_time(text)
    assert moment.utcoffset() == datetime.timedelta() and units.format_utc(moment) == in_utc


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2024-02-30", "10000-01-01", "0001-01-01T00:00+14:00", "9999-12-31T23:59:59-23:59", "x" * 5000]
)
def test_a_text_that_is_not_a_time_is_refused(text):
    with pytest.raises(errors.ConfigError, match="in the years 1 to 9999") as raised:
        units.parse_time(text)
    assert len(str(raised.value)) < 250
