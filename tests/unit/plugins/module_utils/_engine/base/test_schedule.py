# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import shutil
import subprocess
import zoneinfo

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.schedule import cron, next_run, offset, on_calendar, parse

UTC = datetime.timezone.utc
PARIS = zoneinfo.ZoneInfo("Europe/Paris")

FORMS = {
    "23:00 daily": ("0 23 * * *", "*-*-* 23:00:00"),
    "7:05 every day": ("5 7 * * *", "*-*-* 07:05:00"),
    "02:30 sunday": ("30 2 * * 0", "Sun *-*-* 02:30:00"),
    "02:30 every Monday": ("30 2 * * 1", "Mon *-*-* 02:30:00"),
    "03:00 on day 1": ("0 3 1 * *", "*-*-01 03:00:00"),
    "5 past each hour": ("5 * * * *", "*-*-* *:05:00"),
    "every 15 minutes": ("0,15,30,45 * * * *", "*-*-* *:00,15,30,45:00"),
    "every minute": ("* * * * *", "*-*-* *:*:00"),
    "every 6 hours": ("0 0,6,12,18 * * *", "*-*-* 00,06,12,18:00:00"),
    "every hour": ("0 * * * *", "*-*-* *:00:00"),
    "0 23 * * *": ("0 23 * * *", "*-*-* 23:00:00"),
    "*/20 8-10,20 1 6,12 *": ("0,20,40 8,9,10,20 1 6,12 *", "*-06,12-01 08,09,10,20:00,20,40:00"),
    "5/30 * * * *": ("5,35 * * * *", "*-*-* *:05,35:00"),
    "0 0 * * 0,7": ("0 0 * * 0", "Sun *-*-* 00:00:00"),
    "0 0 * * 1-5": ("0 0 * * 1,2,3,4,5", "Mon,Tue,Wed,Thu,Fri *-*-* 00:00:00"),
    # Without a star in either day field cron runs when one of the two matches: here that is every day.
    "0 0 1-31 * 1": ("0 0 * * *", "*-*-* 00:00:00"),
    "0 0 13 * 0-6": ("0 0 * * *", "*-*-* 00:00:00"),
    "0 0 13 2 1-7": ("0 0 * 2 *", "*-02-* 00:00:00"),
    "0 0 */1 * 1": ("0 0 * * 1", "Mon *-*-* 00:00:00"),
    "0 0 * * */2": ("0 0 * * 0,2,4,6", "Tue,Thu,Sat,Sun *-*-* 00:00:00"),
}


@pytest.mark.parametrize("at", FORMS)
def test_each_form_becomes_the_fields_of_cron_and_a_calendar_of_systemd(at: str) -> None:
    assert (cron(parse(at)), on_calendar(parse(at))) == FORMS[at]


@pytest.mark.parametrize("at", FORMS)
def test_the_fields_for_cron_are_read_back_as_the_same_schedule(at: str) -> None:
    assert parse(cron(parse(at))) == parse(at)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("at", FORMS)
def test_systemd_understands_the_calendar(at: str) -> None:
    result = subprocess.run(["systemd-analyze", "calendar", on_calendar(parse(at))], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("at", "says"),
    [
        ("", "not a schedule"),
        ("nightly", '"23:00 daily"'),
        ("24:00 daily", "Use 00:00 to 23:59"),
        ("23:60 daily", "Use 00:00 to 23:59"),
        ("03:00 on day 31", "Use day 1 to 28"),
        ("75 past each hour", "not a schedule"),
        ("every 7 minutes", "Use one of 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30"),
        ("every 0 minutes", "does not divide the hour evenly"),
        ("60 * * * *", "the field minute is out of range"),
        ("* * 0 * *", "the field day of the month is out of range"),
        ("* * * 13 *", "the field month is out of range"),
        ("*/0 * * * *", "the field minute is out of range"),
        ("9-5 * * * *", "the field minute is out of range"),
        ("1-2-3 * * * *", "cannot read the field minute"),
        ("0 0 1 * 1", "cannot be combined with a day of the week, because cron and systemd"),
        ("0 0 31 2 *", "the day does not exist"),
        ("0 23 * *", "not a schedule"),
        ("0 23 * * * rm", "not a schedule"),
        ("0 23 * * " + "9" * 5000, "cannot read the field day of the week"),
        ("0 23 * * */" + "9" * 5000, "cannot read the field day of the week"),
        ("\u0661 * * * *", "not a schedule"),
        ("\u0662\u0663:00 daily", "not a schedule"),
    ],
)
def test_a_mistake_is_named_with_the_allowed_values(at: str, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(at)
    assert says in str(raised.value)


def test_the_29th_of_february_comes() -> None:
    assert next_run(parse("0 0 29 2 *"), 0, datetime.datetime(2025, 1, 1, tzinfo=UTC), UTC) == datetime.datetime(2028, 2, 29, tzinfo=UTC)


def test_the_next_run_is_later_than_now_and_delayed_by_the_offset() -> None:
    at = parse("5 past each hour")
    now = datetime.datetime(2024, 1, 12, 13, 5, 0, tzinfo=UTC)
    assert next_run(at, 0, now, UTC) == datetime.datetime(2024, 1, 12, 14, 5, tzinfo=UTC)
    assert next_run(at, 70, now, UTC) == datetime.datetime(2024, 1, 12, 13, 6, 10, tzinfo=UTC)
    assert next_run(at, 70, now.replace(minute=6, second=10), UTC) == datetime.datetime(2024, 1, 12, 14, 6, 10, tzinfo=UTC)


def test_times_are_those_of_the_zone_even_if_its_date_differs() -> None:
    now = datetime.datetime(2024, 1, 12, 23, 30, tzinfo=UTC)  # 00:30 on the 13th in Paris
    assert next_run(parse("01:00 daily"), 0, now, PARIS) == datetime.datetime(2024, 1, 13, 0, 0, tzinfo=UTC)
    tokyo = zoneinfo.ZoneInfo("Asia/Tokyo")
    assert next_run(parse("23:00 saturday"), 0, now, tokyo) == datetime.datetime(2024, 1, 13, 14, 0, tzinfo=UTC)


def test_a_night_that_leaves_an_hour_out_or_has_one_twice_has_one_run() -> None:
    spring = next_run(parse("02:30 daily"), 0, datetime.datetime(2024, 3, 30, 12, 0, tzinfo=UTC), PARIS)
    assert spring is not None and spring.astimezone(UTC) == datetime.datetime(2024, 3, 31, 1, 30, tzinfo=UTC)
    autumn = next_run(parse("02:30 daily"), 0, datetime.datetime(2024, 10, 26, 12, 0, tzinfo=UTC), PARIS)
    assert autumn is not None and autumn.astimezone(UTC) == datetime.datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    after = next_run(parse("02:30 daily"), 0, autumn, PARIS)
    assert after is not None and after.astimezone(UTC) == datetime.datetime(2024, 10, 28, 1, 30, tzinfo=UTC)


def test_a_thousand_hosts_are_spread_evenly_and_each_always_alike() -> None:
    hosts = ["web%d.example.com" % number for number in range(1000)]
    offsets = [offset(600, host, "syslog") for host in hosts]
    assert offsets == [offset(600, host, "syslog") for host in hosts]
    assert all(0 <= delay < 600 for delay in offsets)
    per_minute = [sum(delay // 60 == minute for delay in offsets) for minute in range(10)]
    # Of 1000 hosts 100 are expected in each minute, with a standard deviation of 9.5.
    assert min(per_minute) > 60 and max(per_minute) < 140
    assert len(set(offsets)) > 450
    assert offset(600, "web1", "syslog") != offset(600, "web1", "audit")


def test_no_spread_is_no_delay() -> None:
    assert [offset(spread, "web1", "syslog") for spread in (0, 0.5, 1)] == [0, 0, 0]
