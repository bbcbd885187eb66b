# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which starts of a schedule do not exist, because clocks go forward."""

from __future__ import annotations

import pathlib
import zoneinfo

import pytest
import yaml

errors = pytest.importorskip("ansible.errors")

from ansible_collections.infra_ops.log_archive.plugins.filter.skipped_starts import skipped_starts  # noqa: E402

DEFAULTS = pathlib.Path(__file__).resolve().parents[4] / "playbooks" / "vars" / "awx.yml"


def daily(start: str, zone: str, more: str = "") -> str:
    return "DTSTART;TZID=%s:20260101T%s RRULE:FREQ=DAILY;INTERVAL=1%s" % (zone, start, more)


@pytest.mark.parametrize(
    ("rule", "skipped"),
    [
        (daily("013000", "Europe/London"), ["2026-03-29 01:30 Europe/London"]),
        (daily("023000", "Europe/Paris"), ["2026-03-29 02:30 Europe/Paris"]),
        (daily("020000", "America/New_York"), ["2026-03-08 02:00 America/New_York"]),
        # The night of the jump is a Saturday.
        (daily("003000", "Africa/Cairo", ";BYDAY=FR"), ["2026-04-24 00:30 Africa/Cairo"]),
        (daily("003000", "Africa/Cairo", ";BYDAY=MO,SU"), []),
        (daily("120000", "Europe/London", ";BYHOUR=1,4;BYMINUTE=15"), ["2026-03-29 01:15 Europe/London"]),
        (daily("043000", "Europe/London"), []),
        ("DTSTART:20260101T013000Z RRULE:FREQ=DAILY;INTERVAL=1", []),
        ("DTSTART;TZID=Europe/London:20260101T013000 RRULE:FREQ=HOURLY;INTERVAL=1", []),
    ],
)
def test_a_start_that_does_not_exist_is_found(rule: str, skipped: list[str]) -> None:
    assert skipped_starts(rule, today="2026-01-01")[:1] == skipped


def test_the_next_spring_is_within_the_days_that_are_considered() -> None:
    assert skipped_starts(daily("013000", "Europe/London"), today="2026-03-30") == ["2027-03-28 01:30 Europe/London"]


@pytest.mark.parametrize("rule", ["", "RRULE:FREQ=DAILY", daily("013000", "Europe/Atlantis"), daily("253000", "Europe/London")])
def test_a_rule_that_is_not_valid_is_refused(rule: str) -> None:
    with pytest.raises(errors.AnsibleFilterError, match="skipped_starts: "):
        skipped_starts(rule)


@pytest.mark.parametrize("name", ["nightly", "weekly-verify", "monthly-drill"])
def test_the_default_schedules_are_skipped_in_no_zone(name: str) -> None:
    rule = yaml.safe_load(DEFAULTS.read_text(encoding="utf-8").replace("!unsafe", ""))["_log_archive_awx_schedules"][name]
    places = [zone for zone in zoneinfo.available_timezones() if "/" in zone and not zone.startswith(("Etc/", "posix/", "right/"))]
    assert len(places) > 400
    assert [
        each for zone in places for each in skipped_starts(rule.replace("{{ log_archive_awx_time_zone }}", zone), today="2026-01-01")
    ] == []
