# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A simulation of one day of a fleet: a store sees no herd, because the start of each run is spread."""

from __future__ import annotations

import collections
import datetime
import heapq
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import schedule

HOSTS = 10_000
SITES = 20
DAY = datetime.datetime(2024, 1, 12, tzinfo=datetime.timezone.utc)
UPLOAD = 20
"""Seconds that a run uses its store."""


def starts(at: str, spread: float, hosts: t.Sequence[str], jobs: t.Sequence[str]) -> t.List[float]:
    """When the first run of each job on each host begins, in seconds after midnight."""
    parsed = schedule.parse(at)
    moments = []
    for host in hosts:
        for job in jobs:
            moment = schedule.next_run(parsed, schedule.offset(spread, host, job), DAY, datetime.timezone.utc)
            assert moment is not None
            moments.append((moment - DAY).total_seconds())
    return sorted(moments)


def most_at_once(begins: t.Iterable[float], seconds: float = UPLOAD) -> int:
    """How many runs use a store at the same time, at the most."""
    running: t.List[float] = []
    most = 0
    for begin in begins:
        while running and running[0] <= begin:
            heapq.heappop(running)
        heapq.heappush(running, begin + seconds)
        most = max(most, len(running))
    return most


def hosts_of(site: int) -> t.List[str]:
    return ["web%05d.site%02d.example.com" % (number, site) for number in range(site, HOSTS, SITES)]


def test_without_a_spread_every_host_comes_at_once() -> None:
    assert most_at_once(starts("5 past each hour", 0, hosts_of(0), ["syslog"])) == HOSTS // SITES


@pytest.mark.parametrize(("at", "spread"), [("5 past each hour", 2400), ("02:30 daily", 3 * 3600)])
def test_one_store_of_all_hosts_sees_no_herd(at: str, spread: int) -> None:
    fleet = [host for site in range(SITES) for host in hosts_of(site)]
    begins = starts(at, spread, fleet, ["syslog"])
    average = HOSTS * UPLOAD / spread
    assert average <= most_at_once(begins) <= 1.6 * average + 10
    # Nor does a second have more than a few of them, or a tenth of the time much more than a tenth.
    assert max(collections.Counter(begins).values()) <= 4 * HOSTS / spread + 8
    tenths = collections.Counter(int((begin - begins[0]) * 10 // spread) for begin in begins)
    assert all(0.85 <= tenths[tenth] * 10 / HOSTS <= 1.15 for tenth in range(10)), tenths


def test_the_store_of_a_site_sees_a_site() -> None:
    for site in (0, 7, SITES - 1):
        most = most_at_once(starts("5 past each hour", 2400, hosts_of(site), ["syslog"]))
        assert HOSTS / SITES * UPLOAD / 2400 <= most <= 15


def test_several_jobs_of_a_host_begin_at_several_times() -> None:
    begins = starts("5 past each hour", 2400, ["web1.example.com"], ["job%d" % number for number in range(12)])
    assert len(set(begins)) == 12
    assert most_at_once(begins, 60) <= 4


def test_a_host_begins_at_the_same_moment_of_each_hour() -> None:
    parsed = schedule.parse("5 past each hour")
    delay = schedule.offset(2400, "web1", "syslog")
    moment, begins = DAY, []
    for _hour in range(24):
        following = schedule.next_run(parsed, delay, moment, datetime.timezone.utc)
        assert following is not None
        moment = following
        begins.append(moment)
    assert {later - earlier for earlier, later in zip(begins, begins[1:])} == {datetime.timedelta(hours=1)}
