# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Periods tile time in every zone, and are read from names; tables of the nights in which clocks change, and properties."""

from __future__ import annotations

import datetime
import itertools
import os
import re
import subprocess
import sys
import zoneinfo

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import errors, periods
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.name_template import render_name
from hypothesis import example, given, settings, strategies as st
from rigs.examples import examples

UTC = datetime.timezone.utc
ZONES = (
    "UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu", "America/St_Johns",
    "Pacific/Apia",
)  # fmt: skip
SECOND = datetime.timedelta(seconds=1)


def utc(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)


def span(start, end):
    return periods.Period(utc(start), utc(end))


def period_of(pattern, name, timezone="UTC", use_regex=False):
    matched = periods.compile_pattern(pattern, use_regex).match(name, timezone)
    return matched and matched.period


# -- the nights in which clocks change --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "label", "start", "end"),
    [
        # Autumn: 02 comes twice and is one period of two hours. Spring: 02 is skipped.
        ("Europe/Paris", "2024102701", "2024-10-26T23:00", "2024-10-27T00:00"),
        ("Europe/Paris", "2024102702", "2024-10-27T00:00", "2024-10-27T02:00"),
        ("Europe/Paris", "2024102703", "2024-10-27T02:00", "2024-10-27T03:00"),
        ("Europe/Paris", "2024033101", "2024-03-31T00:00", "2024-03-31T01:00"),
        ("Europe/Paris", "2024033102", "2024-03-31T01:00", "2024-03-31T01:00"),
        ("Europe/Paris", "2024033103", "2024-03-31T01:00", "2024-03-31T02:00"),
        ("America/New_York", "2024110301", "2024-11-03T05:00", "2024-11-03T07:00"),
        ("America/New_York", "2024031002", "2024-03-10T07:00", "2024-03-10T07:00"),
        # Half an hour: 02:00 -> 01:30 in April, 02:00 -> 02:30 in October.
        ("Australia/Lord_Howe", "2024040701", "2024-04-06T14:00", "2024-04-06T15:30"),
        ("Australia/Lord_Howe", "2024040702", "2024-04-06T15:30", "2024-04-06T16:30"),
        ("Australia/Lord_Howe", "2024100601", "2024-10-05T14:30", "2024-10-05T15:30"),
        ("Australia/Lord_Howe", "2024100602", "2024-10-05T15:30", "2024-10-05T16:00"),
        # No midnight on 2018-11-04; 23 comes twice on 2018-02-17.
        ("America/Sao_Paulo", "2018110323", "2018-11-04T02:00", "2018-11-04T03:00"),
        ("America/Sao_Paulo", "2018110400", "2018-11-04T03:00", "2018-11-04T03:00"),
        ("America/Sao_Paulo", "2018110401", "2018-11-04T03:00", "2018-11-04T04:00"),
        ("America/Sao_Paulo", "2018021723", "2018-02-18T01:00", "2018-02-18T03:00"),
        ("Asia/Kathmandu", "2024011212", "2024-01-12T06:15", "2024-01-12T07:15"),
        # 00:01 -> 23:01 of the day before: logs of that time belong to 00.
        ("America/St_Johns", "2010110623", "2010-11-07T01:30", "2010-11-07T02:30"),
        ("America/St_Johns", "2010110700", "2010-11-07T02:30", "2010-11-07T04:30"),
        # A whole day is skipped: each of its hours is empty.
        ("Pacific/Apia", "2011122923", "2011-12-30T09:00", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011123000", "2011-12-30T10:00", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011123023", "2011-12-30T10:00", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011123100", "2011-12-30T10:00", "2011-12-30T11:00"),
    ],
)
def test_an_hour_in_a_name_covers_what_the_clocks_of_the_zone_show(zone, label, start, end):
    assert period_of("log.%Y%m%d%H", "log." + label, zone) == span(start, end)


@pytest.mark.parametrize(
    ("zone", "label", "start", "end"),
    [
        ("Europe/Paris", "20241027", "2024-10-26T22:00", "2024-10-27T23:00"),
        ("Europe/Paris", "20240331", "2024-03-30T23:00", "2024-03-31T22:00"),
        ("America/Sao_Paulo", "20181103", "2018-11-03T03:00", "2018-11-04T03:00"),
        ("America/Sao_Paulo", "20181104", "2018-11-04T03:00", "2018-11-05T02:00"),
        ("America/Sao_Paulo", "20180217", "2018-02-17T02:00", "2018-02-18T03:00"),
        ("Australia/Lord_Howe", "20240407", "2024-04-06T13:00", "2024-04-07T13:30"),
        ("Asia/Kathmandu", "20231231", "2023-12-30T18:15", "2023-12-31T18:15"),
        ("Pacific/Apia", "20111230", "2011-12-30T10:00", "2011-12-30T10:00"),
        ("UTC", "20240229", "2024-02-29T00:00", "2024-03-01T00:00"),
    ],
)
def test_a_day_in_a_name_covers_the_local_day(zone, label, start, end):
    assert period_of("log.%Y%m%d", "log." + label, zone) == span(start, end)


def test_a_skipped_minute_is_empty_at_the_moment_of_the_jump():
    assert period_of("%Y%m%d%H%M", "202403310205", "Europe/Paris") == span("2024-03-31T01:00", "2024-03-31T01:00")


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("unit", periods.UNITS)
@given(moment=st.datetimes(datetime.datetime(1971, 1, 1), datetime.datetime(2099, 1, 1)))
@example(moment=datetime.datetime(2024, 3, 31, 1, 0))
@example(moment=datetime.datetime(2024, 10, 27, 1, 30))
@example(moment=datetime.datetime(2018, 11, 4, 3, 0))
@example(moment=datetime.datetime(2010, 11, 7, 3, 0))
@example(moment=datetime.datetime(2011, 12, 30, 10, 0))
def test_periods_tile_the_time_line_without_gap_or_overlap(zone, unit, moment):
    moment = moment.replace(tzinfo=UTC)
    period = periods.period_containing(unit, moment, zone)
    assert period.start <= moment < period.end
    assert periods.period_containing(unit, period.end - SECOND, zone) == period
    following = periods.period_containing(unit, period.end, zone)
    assert following.start == period.end
    assert periods.period_containing(unit, period.start - SECOND, zone).end == period.start
    assert periods.expected_periods(unit, -1, 0, zone, period.end) == [period]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    ("unit", "label"),
    [
        ("hour", "%Y%m%d.%H"), ("hour", "%Y%d%m-%H"), ("hour", "%y%j%H"), ("hour", "%d%b%Y_%H"), ("day", "%Y%m%d"), ("day", "%Y%d%m"),
        ("day", "%B %d, %Y"), ("day", "%G%V-%Y%m%d"), ("day", "%Y%m%d%z"), ("week", "%G-W%V"), ("month", "%Y%m"), ("month", "%b-%y"),
    ],
)  # fmt: skip
# Of each label in each zone; of all together some thousands.
@settings(max_examples=examples(30))
@given(moment=st.datetimes(datetime.datetime(1971, 1, 1), datetime.datetime(2068, 1, 1)), stem=st.text(max_size=5))
@example(moment=datetime.datetime(2018, 11, 4, 3, 0), stem="%Y{host}")
@example(moment=datetime.datetime(2024, 10, 27, 1, 30), stem="")
@example(moment=datetime.datetime(2024, 10, 5, 15, 45), stem="")
def test_a_name_rendered_for_a_period_is_read_back_as_that_period(zone, unit, label, moment, stem):
    stem = stem.replace("/", "").replace("\0", "")
    period = periods.period_containing(unit, moment.replace(tzinfo=UTC), zone)
    name = render_name("{stem}@" + label + ".tgz", period.start, zone, {"stem": stem})
    assert name.startswith(stem + "@")
    assert period_of("*@" + label + ".tgz", name, zone) == period


# -- expected periods -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "offset", "zone", "now", "start", "end"),
    [
        ("hour", -1, "UTC", "2024-01-12T13:30", "2024-01-12T12:00", "2024-01-12T13:00"),
        ("hour", -1, "UTC", "2024-01-12T13:00", "2024-01-12T12:00", "2024-01-12T13:00"),
        ("hour", -1, "UTC", "2024-01-01T00:00", "2023-12-31T23:00", "2024-01-01T00:00"),
        ("hour", 0, "UTC", "2024-01-12T13:00", "2024-01-12T13:00", "2024-01-12T14:00"),
        ("hour", -2, "UTC", "2024-01-12T01:59", "2024-01-11T23:00", "2024-01-12T00:00"),
        # The skipped hour is not counted.
        ("hour", -1, "Europe/Paris", "2024-03-31T01:30", "2024-03-31T00:00", "2024-03-31T01:00"),
        ("hour", -2, "Europe/Paris", "2024-03-31T02:30", "2024-03-31T00:00", "2024-03-31T01:00"),
        # In the repeated hour the hour before is still 01.
        ("hour", -1, "Europe/Paris", "2024-10-27T00:30", "2024-10-26T23:00", "2024-10-27T00:00"),
        ("hour", -1, "Europe/Paris", "2024-10-27T01:30", "2024-10-26T23:00", "2024-10-27T00:00"),
        ("hour", -1, "Europe/Paris", "2024-10-27T02:00", "2024-10-27T00:00", "2024-10-27T02:00"),
        ("day", -1, "Pacific/Apia", "2011-12-30T10:00", "2011-12-29T10:00", "2011-12-30T10:00"),
        ("week", -1, "UTC", "2024-01-03T00:00", "2023-12-25T00:00", "2024-01-01T00:00"),
        ("month", -1, "Europe/Paris", "2024-03-31T22:30", "2024-02-29T23:00", "2024-03-31T22:00"),
        ("month", -1, "UTC", "2024-01-31T12:00", "2023-12-01T00:00", "2024-01-01T00:00"),
        ("month", -2, "UTC", "2024-03-31T12:00", "2024-01-01T00:00", "2024-02-01T00:00"),
    ],
)
def test_the_period_at_an_offset(unit, offset, zone, now, start, end):
    assert periods.expected_periods(unit, offset, 0, zone, utc(now)) == [span(start, end)]


def test_catch_up_adds_earlier_periods_by_their_start_and_leaves_out_the_skipped_hour():
    found = periods.expected_periods("hour", -1, 2 * 3600, "Europe/Paris", utc("2024-03-31T03:10"))
    assert found == [
        span("2024-03-31T00:00", "2024-03-31T01:00"),
        span("2024-03-31T01:00", "2024-03-31T02:00"),
        span("2024-03-31T02:00", "2024-03-31T03:00"),
    ]
    assert periods.expected_periods("hour", -1, 2 * 3600 - 1, "Europe/Paris", utc("2024-03-31T03:10")) == found[1:]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("hours", -1, 0, "UTC"), "'hour'"),
        (("hour", 1, 0, "UTC"), "last closed"),
        (("hour", True, 0, "UTC"), "last closed"),
        (("hour", "-1", 0, "UTC"), "last closed"),
        (("month", -100000, 0, "UTC"), "before year 1"),
        (("month", -1, 1e15, "UTC"), "before year 1"),
    ],
)
def test_a_wrong_unit_or_offset_is_refused(arguments, says):
    with pytest.raises(errors.ConfigError, match=says):
        periods.expected_periods(*arguments, utc("2024-01-12T13:30"))


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "name", "start", "end"),
    [
        ("syslog.%Y%m%d.%H", "syslog.20240112.12", "2024-01-12T12:00", "2024-01-12T13:00"),
        ("%Y%d%m.log", "20241201.log", "2024-01-12T00:00", "2024-01-13T00:00"),
        ("a-%Y-%m-%dT%H:%M.log", "a-2024-01-12T12:34.log", "2024-01-12T12:34", "2024-01-12T12:35"),
        ("a.%Y%j", "a.2024366", "2024-12-31T00:00", "2025-01-01T00:00"),
        ("a.%G-W%V", "a.2020-W53", "2020-12-28T00:00", "2021-01-04T00:00"),
        ("a.%G-W%V", "a.2025-W01", "2024-12-30T00:00", "2025-01-06T00:00"),
        ("a.%Y%m", "a.202412", "2024-12-01T00:00", "2025-01-01T00:00"),
        ("a.%Y", "a.2024", "2024-01-01T00:00", "2025-01-01T00:00"),
        ("a.%y%m%d", "a.691231", "1969-12-31T00:00", "1970-01-01T00:00"),
        ("a.%d%b%Y", "a.12May2024", "2024-05-12T00:00", "2024-05-13T00:00"),
        ("100%%.%Y%m%d", "100%.20240112", "2024-01-12T00:00", "2024-01-13T00:00"),
        ("%Y/%m/*/a.%Y%m%d", "2024/01/x/a.20240112", "2024-01-12T00:00", "2024-01-13T00:00"),
        ("**/a.%Y%m%d", "a.20240112", "2024-01-12T00:00", "2024-01-13T00:00"),
        ("**/a.%Y%m%d", "x/y/a.20240112", "2024-01-12T00:00", "2024-01-13T00:00"),
        # The leftmost reading of a run of digits counts, and a number that is no date is passed over.
        ("*%Y%m%d*", "syslog.2024011213", "2024-01-12T00:00", "2024-01-13T00:00"),
        ("*%Y%m%d*", "id99999999-20240112", "2024-01-12T00:00", "2024-01-13T00:00"),
        ("a[!0-9]?%Y%m%d", "a-x20240112", "2024-01-12T00:00", "2024-01-13T00:00"),
    ],
)
def test_the_period_in_a_name(pattern, name, start, end):
    assert period_of(pattern, name) == span(start, end)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("a.%Y%m%d", "a.20241345"),
        ("a.%Y%m%d", "a.20230229"),
        ("a.%Y%m%d", "a.20240112 "),
        ("a.%Y%m%d", "a.20240112\n"),
        ("a.%Y%m%d", "a.２０２４0112"),
        ("a.%H.%Y%m%d", "a.24.20240112"),
        ("a.%Y%j", "a.2023366"),
        ("a.%Y%j", "a.2023000"),
        ("a.%G%V", "a.202153"),
        ("a.%s", "a.999999999999"),
        ("a.%Y%m%d", "a.29991231x"),
        # Told twice, and not the same.
        ("%Y/%Y%m%d", "2023/20240112"),
        ("%y.%Y%m%d", "23.20240112"),
        ("%b.%Y%m%d", "Feb.20240112"),
        ("%j.%Y%m%d", "013.20240112"),
        ("%s.%Y%m%d", "1705060800.20240113"),
        # '*' and '?' stay within a folder.
        ("*/%Y%m%d", "a/b/20240112"),
        ("a?%Y%m%d/x", "a/20240112/x"),
        ("a[!x]%Y%m%d/x", "a/20240112/x"),
    ],
)
def test_a_name_of_the_right_shape_that_is_no_date_does_not_match(pattern, name):
    assert periods.compile_pattern(pattern, False).match(name, "UTC") is None


def test_an_offset_or_epoch_in_the_name_separates_the_two_readings_of_the_repeated_hour():
    pattern = "a.%Y%m%d%H%z"
    assert period_of(pattern, "a.2024102702+0200", "Europe/Paris") == span("2024-10-27T00:00", "2024-10-27T01:00")
    assert period_of(pattern, "a.2024102702+01:00", "Europe/Paris") == span("2024-10-27T01:00", "2024-10-27T02:00")
    assert period_of(pattern, "a.2024102702Z", "Europe/Paris") == span("2024-10-27T02:00", "2024-10-27T03:00")
    assert period_of(pattern, "a.2024102702-0330", "Europe/Paris") == span("2024-10-27T05:30", "2024-10-27T06:30")
    start = utc("2024-10-27T01:30")
    assert period_of("a.%s", "a.%d" % start.timestamp(), "Europe/Paris") == periods.Period(start, start + SECOND)
    assert period_of("a.%s.%H", "a.%d.02" % start.timestamp(), "Europe/Paris") == periods.Period(start, start + SECOND)


def test_a_day_with_an_offset_ends_as_the_days_of_the_zone_do_if_it_begins_as_they_do():
    assert period_of("a.%Y%m%d%z", "a.20241027+0200", "Europe/Paris") == span("2024-10-26T22:00", "2024-10-27T23:00")
    assert period_of("a.%Y%m%d%z", "a.20241027+0000", "Europe/Paris") == span("2024-10-27T00:00", "2024-10-28T00:00")


def test_a_regular_expression_matches_the_whole_name_and_may_hold_alternatives():
    pattern = periods.compile_pattern(r"(?:app|web)\.(?:%Y%m%d|%Y-%m-%d-%H)\.log(?:\.gz)?", True)
    assert pattern.match("app.20240112.log", "UTC") == ("day", span("2024-01-12T00:00", "2024-01-13T00:00"))
    assert pattern.match("web.2024-01-12-09.log.gz", "UTC") == ("hour", span("2024-01-12T09:00", "2024-01-12T10:00"))
    assert pattern.match("xapp.20240112.log", "UTC") is None
    assert pattern.match("app.20240112.log.gz2", "UTC") is None
    optional = periods.compile_pattern(r"app(\.%Y%m%d)?", True)
    assert optional.match("app", "UTC") == (None, None)
    assert optional.match("app.20240112", "UTC").unit == "day"
    assert periods.compile_pattern(r"a\%Y.*", True).match("a%Y\n\udcff", "UTC") == (None, None)


def test_a_pattern_without_codes_has_no_period():
    pattern = periods.compile_pattern("*.log", False)
    assert pattern.unit is None and not pattern.relative
    assert pattern.match("a\n\udcff.log", "UTC") == (None, None)
    assert pattern.match("a.log2", "UTC") is None
    assert periods.compile_pattern("[]x]a[^[]", False).match("]ab", "UTC") == (None, None)
    assert periods.compile_pattern("[a", False).match("[a", "UTC") == (None, None)


@pytest.mark.parametrize(
    ("pattern", "use_regex", "says"),
    [
        ("a.%q", False, r"'%q'.*%Y %y %m %d %H %M %S %j %b %B %G %V %s %z and %%"),
        ("a.%", False, "unknown time code"),
        ("a.%-d", True, "unknown time code"),
        ("a.[%Y]%m%d", True, r"inside \[...\]"),
        ("a.[%b]%Y", True, r"inside \[...\]"),
        ("a.(%Y", True, "not a valid regular expression"),
        ("a.[z-a]", False, "not a valid glob"),
        ("", False, "not a pattern"),
        (None, False, "not a pattern"),
        ("a.%H", False, "complete date.*%Y%m%d"),
        ("a.%m%d", False, "complete date"),
        ("a.%Y%d", False, "complete date"),
        ("a.%Y%V", False, "%G%V"),
        ("a.%Y%m%d%M", False, "complete date"),
        ("a.%Y%m%H", False, "complete date"),
        ("a.%z", False, "complete date"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused(pattern, use_regex, says):
    with pytest.raises(errors.ConfigError, match=says):
        periods.compile_pattern(pattern, use_regex)


def test_units_of_patterns_compare():
    units = [periods.compile_pattern(text, False).unit for text in ("%s", "%Y%j%H%M", "%Y%j%H", "%Y%j", "%G%V", "%Y%m", "%Y")]
    assert units == ["second", "minute", "hour", "day", "week", "month", "year"]
    assert periods.is_coarser("day", "hour") and not periods.is_coarser("hour", "hour") and not periods.is_coarser("minute", "hour")


# -- names of archives ------------------------------------------------------------------------------------------------


def test_fields_of_a_name_are_inserted_as_they_are():
    fields = {"stem": "100%{host}%Y", "host": "web1", "job": "j"}
    name = render_name("{stem}_{host}_%Y%d%m_%H%z%%", utc("2024-01-12T12:00"), "Europe/Paris", fields)
    assert name == "100%{host}%Y_web1_20241201_13+0100%"


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{stm}", r"'\{stm\}'.*Did you mean 'stem'.*\{host\} \{stem\}"),
        ("{stem}%q", "'%q'.*%Y"),
        ("{stem}%", "'%'"),
        ("{stem", "'{'"),
        ("a}", "'}'"),
        ("%Y/%m", "not a file name"),
        ("{empty}", "not a file name"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused_with_the_allowed_forms(template, says):
    with pytest.raises(errors.ConfigError, match=says):
        render_name(template, utc("2024-01-12T12:00"), "UTC", {"stem": "a", "host": "b", "empty": ""})


# -- time zones -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Europe/Pariss", "europe/paris", "Europe", "", "../etc/passwd", "/etc/localtime", "CEST", "a\0b", "é"])
def test_an_unknown_zone_is_refused_with_a_hint(name):
    with pytest.raises(errors.ConfigError, match="tzdata") as caught:
        periods.load_timezone(name)
    if "aris" in name:
        assert "'Europe/Paris'" in str(caught.value)


def test_utc_and_the_import_need_no_zone_data():
    code = (
        "import sys, datetime\n"
        "from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import periods\n"
        "from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import files\n"
        "now = datetime.datetime(2024, 1, 12, 13, tzinfo=datetime.timezone.utc)\n"
        "start = periods.expected_periods('hour', -1, 0, 'UTC', now)[0].start\n"
        "print(start, sorted({'zoneinfo', 'difflib', '_strptime', 'tempfile', 'subprocess'} & set(sys.modules)))\n"
        "try: periods.load_timezone('Europe/Paris')\n"
        "except Exception as error: print(type(error).__name__, 'tzdata' in str(error))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONTZPATH": ""}
    result = subprocess.run([sys.executable, "-c", code], env=environment, text=True, capture_output=True, check=True)
    lines = result.stdout.splitlines()
    assert lines[0] == "2024-01-12 12:00:00+00:00 []"
    try:
        import tzdata  # noqa: F401
    except ImportError:
        assert lines[1] == "ConfigError True"


@pytest.mark.parametrize("name", ["Europe/Paris", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu", "America/St_Johns"])
def test_the_local_zone_is_the_hosts_own_with_its_changes(host_zone, name):
    host_zone(name)
    for year in (2010, 2018, 2024):
        moment = datetime.datetime(year, 1, 1, tzinfo=UTC)
        while moment.year == year:
            local = moment.astimezone(periods.load_timezone("local"))
            there = moment.astimezone(zoneinfo.ZoneInfo(name))
            assert local.replace(tzinfo=None) == there.replace(tzinfo=None)
            assert (local.fold, local.utcoffset()) == (there.fold, there.utcoffset())
            for unit in ("hour", "day"):
                assert periods.period_containing(unit, moment, "local") == periods.period_containing(unit, moment, name)
            moment += datetime.timedelta(minutes=437)


def test_the_local_zone_may_be_a_posix_rule(host_zone):
    host_zone("CET-1CEST,M3.5.0,M10.5.0/3")
    assert period_of("%Y%m%d%H", "2024102702", "local") == span("2024-10-27T00:00", "2024-10-27T02:00")
    assert period_of("%Y%m%d%H", "2024033102", "local") == span("2024-03-31T01:00", "2024-03-31T01:00")


@pytest.mark.parametrize("use_regex", [False, True])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("%Y" * 500, "'%Y' occurs more than 16 times"),
        ("%Y%m%d.%H" * 400, "occurs more than 16 times"),
        ("a" * 4097, "has 4097 characters; the limit is 4096"),
    ],
    ids=["one code", "four codes", "no code"],
)
def test_a_pattern_that_would_take_minutes_to_compile_is_refused_at_once(text, says, use_regex):
    with pytest.raises(errors.ConfigError, match=says) as caught:
        periods.compile_pattern(text, use_regex)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("use_regex", [False, True])
def test_a_code_may_stand_in_the_folders_and_in_the_name(use_regex):
    pattern = periods.compile_pattern("%Y/%Y%m/%Y%m%d" + ".%Y" * 13, use_regex)
    assert pattern.match("2024/202401/20240112" + ".2024" * 13, "UTC").unit == "day"


# -- names far from the expected periods -----------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
@pytest.mark.parametrize("pattern", ["log.%Y%m%d", "log.%d-%m-%Y.%H", "*%Y%m%d*%Y*"])
def test_a_name_is_outside_of_days_only_if_its_period_is(pattern, zone):
    compiled = periods.compile_pattern(pattern, False)
    first, last = utc("2024-02-01T00:00"), utc("2024-02-03T00:00")
    outside = 0
    for year, month, day in itertools.product(("2023", "2024"), range(14), range(33)):
        fields = {"Y": year, "m": "%02d" % month, "d": "%02d" % day, "H": "23"}
        name = re.sub("%(.)", lambda found, fields=fields: fields[found[1]], pattern)
        if compiled.is_outside(name, "20240130", "20240205"):
            outside += 1
            period = compiled.match(name, zone).period
            assert period.end <= first or period.start >= last, name
    assert outside > 600, "most names are decided without their period"


@pytest.mark.parametrize("pattern", ["log.%y%m%d", "log.%Y%j", "log.%Y%m", "log.%Y%m%d%z", "log.%s", "log*"])
def test_a_pattern_without_a_plain_day_decides_by_its_period(pattern):
    name = re.sub(
        "%(.)", lambda found: {"z": "+0100", "Y": "2001", "y": "01", "j": "001", "m": "01", "d": "01", "s": "1"}[found[1]], pattern
    )
    compiled = periods.compile_pattern(pattern, False)
    assert compiled.match(name, "UTC") is not None
    assert not compiled.is_outside(name, "20240130", "20240205")


def test_an_optional_day_of_a_regular_expression_decides_by_its_period():
    assert not periods.compile_pattern(r"log\.%Y(%m%d)?", True).is_outside("log.2001", "20240130", "20240205")


@pytest.mark.parametrize("pattern", ["log", "*%%a%Y%m%d?%Y**", "%G-%V/**/%z"])
def test_a_glob_without_brackets_is_translated_when_a_name_is_matched(pattern):
    compiled = periods.compile_pattern(pattern, False)
    noted = list(compiled._groups)
    assert "_regex" not in vars(compiled) and compiled.unit == periods.compile_pattern("[a]" + pattern, False).unit
    assert compiled.match("a", "UTC") is None and compiled._groups == noted


@pytest.mark.parametrize("pattern", ["%", "a%q", "a%*%Y", "%Y%d", "%d" * 17])
def test_a_glob_with_a_wrong_code_is_refused_alike_without_brackets(pattern):
    messages = []
    for each in (pattern, "[a]" + pattern):
        with pytest.raises(errors.ConfigError) as caught:
            periods.compile_pattern(each, False)
        messages.append(caught.value.message)
    assert messages[0] == messages[1]
