# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The starts of a schedule that daylight saving time skips."""

from __future__ import annotations

import datetime
import re
import typing as t
import zoneinfo

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: skipped_starts
short_description: The starts of a schedule that daylight saving time skips
version_added: 0.9.0
description:
  - When clocks go forward, the local times of an hour do not exist. AWX skips a daily or weekly start at such a time, so that night has no
    run.
  - Takes a recurrence rule as AWX writes it, and returns the starts in the next 400 days that do not exist in its time zone.
  - For rules in UTC and rules that repeat within a day (C(FREQ=HOURLY) and C(FREQ=MINUTELY)) the list is empty. A rule may list times with
    C(BYHOUR) and C(BYMINUTE), and weekdays with C(BYDAY). Other parts only exclude days, so they are not considered.
options:
  _input:
    description: The rule, such as V(DTSTART;TZID=Europe/London:20260101T013000 RRULE:FREQ=DAILY;INTERVAL=1).
    type: str
    required: true
  today:
    description: The first day to consider, as V(YYYY-MM-DD). The default is the current day.
    type: str
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Check that no night is skipped
  ansible.builtin.assert:
    that: nightly | infra_ops.log_archive.skipped_starts | length == 0
"""

RETURN = r"""
_value:
  description: The local times, such as V(2027-03-28 01:30 Europe/London), in order.
  type: list
  elements: str
"""

DAYS = 400
WEEKDAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
_START = re.compile(r"DTSTART(?:;TZID=(?P<zone>[^:;]+))?:(?P<start>[0-9]{8}T[0-9]{6})(?P<utc>Z?)")


def skipped_starts(rule: str, today: t.Optional[str] = None) -> t.List[str]:
    """The starts of ``rule`` in the next 400 days that do not exist in its time zone. ``today``: the first day, as YYYY-MM-DD."""
    match = _START.search(str(rule))
    if match is None:
        raise AnsibleFilterError("skipped_starts: the rule has no DTSTART such as 'DTSTART;TZID=Europe/Paris:20260101T043000': %s" % rule)
    parts = dict(re.findall(r"([A-Z]+)=([^;\s]+)", str(rule)[match.end() :]))
    if match["utc"] or match["zone"] is None or parts.get("FREQ") in ("HOURLY", "MINUTELY"):
        return []
    try:
        zone = zoneinfo.ZoneInfo(match["zone"])
        start = datetime.datetime.strptime(match["start"], "%Y%m%dT%H%M%S")
        first = datetime.date.fromisoformat(today) if today else datetime.date.today()
        hours = [int(each) for each in parts.get("BYHOUR", str(start.hour)).split(",")]
        minutes = [int(each) for each in parts.get("BYMINUTE", str(start.minute)).split(",")]
    except (ValueError, zoneinfo.ZoneInfoNotFoundError) as error:
        raise AnsibleFilterError("skipped_starts: the rule is not valid (%s): %s" % (error, rule)) from error
    weekdays = parts["BYDAY"].split(",") if "BYDAY" in parts else WEEKDAYS
    days = [first + datetime.timedelta(days=number) for number in range(DAYS)]
    times = [datetime.time(hour, minute) for hour in sorted(hours) for minute in sorted(minutes)]
    starts = [datetime.datetime.combine(day, time) for day in days if WEEKDAYS[day.weekday()] in weekdays for time in times]
    return ["%s %s" % (start.strftime("%Y-%m-%d %H:%M"), zone.key) for start in starts if not _exists(start, zone)]


def _exists(local: datetime.datetime, zone: zoneinfo.ZoneInfo) -> bool:
    """Whether the clocks of a zone show this time: it is the same after a way through UTC (PEP 495)."""
    there = local.replace(tzinfo=zone).astimezone(datetime.timezone.utc)
    return there.astimezone(zone).replace(tzinfo=None) == local


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"skipped_starts": skipped_starts}
