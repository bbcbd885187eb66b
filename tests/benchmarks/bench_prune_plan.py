# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long the retention plan takes: ten hosts with an archive every quarter of an hour, and a policy with every kind of rule."""

from __future__ import annotations

import contextlib
import datetime
import functools
import pathlib
import typing as t

from _measure import Benchmark, Sides, Target, timed
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import retention
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.policy import parse_policy

HOSTS = 10
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
POLICY = {
    "keep_last": 10,
    "keep_hourly": 48,
    "keep_daily": 30,
    "keep_weekly": 26,
    "keep_monthly": "unlimited",
    "keep_yearly": "unlimited",
    "keep_within": "7d",
    "keep_within_hourly": "1m",
    "keep_within_daily": "3m",
    "keep_within_weekly": "1y",
    "keep_within_monthly": "2y",
    "keep_within_yearly": "9y",
    "max_delete_share": 1,
}


def make_items(count: int) -> t.List[retention.Item]:
    """``count`` archives in the order in which stores list them: by key."""
    items = []
    for number in range(count):
        host = "web%02d" % (number % HOSTS)
        start = NOW - datetime.timedelta(minutes=15 * (number // HOSTS + 1))
        key = "logs/%s/syslog/%s.tgz.fernet" % (host, start.strftime("%Y/%m/%d/syslog.%Y%m%d.%H%M"))
        items.append(retention.Item(key, start, host, "syslog", 100_000))
    return sorted(items)


@contextlib.contextmanager
def prepare(count: int, folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    items = make_items(count // 100 if quick else count)
    policy = parse_policy(POLICY)
    yield Sides(lambda: timed(lambda: retention.plan(items, policy, NOW)))


BENCHMARKS = [
    Benchmark("prune-plan-10k", functools.partial(prepare, 10_000)),
    Benchmark("prune-plan-100k", functools.partial(prepare, 100_000)),
    Benchmark("retention", functools.partial(prepare, 1_000_000), Target("value", 2.0)),
]
