# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page of a fleet, as text: hosts without a result, names that are no HTML, its size. A browser shows it in tests/integration."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.coverage import STATES
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.status import blank
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import fleet_page, fleet_rows
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.fleet_rows import Host

NOW = datetime(2024, 3, 1, 12, 0, tzinfo=timezone.utc)
LETTERS = {letter: state for state, (letter, _words, _meaning) in STATES.items()}


def job(name="syslog", days=3, periods="v" * 24, end=NOW, **changes):
    """The row of a job. periods: of each day."""
    dates = [(end - timedelta(days=days - 1 - number)).date().isoformat() for number in range(days)]
    states = {LETTERS[letter]: periods.count(letter) for letter in sorted(set(periods)) if letter in LETTERS}
    cell = {"states": states, "periods": periods, "archives": 24, "source_bytes": 7_654_321, "bytes": 1_234_567}
    coverage = {
        "unit": "hour",
        "timezone": "UTC",
        "first": dates[0],
        "last": dates[-1],
        "states": states,
        "days": dict.fromkeys(dates, cell),
    }
    return {**blank(name), "state": "fine", "exit_code": 0, "coverage": coverage, **changes}


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page)[1])


def test_a_fleet_without_hosts_and_a_host_without_archives():
    page = fleet_page.render([], NOW)
    assert "Log archives of 0 hosts" in page and data_of(page)["jobs"] == [] and "There are no jobs." in page
    row = blank("syslog")
    row["coverage"] = {"unit": "hour", "timezone": "UTC", "first": "2024-02-28", "last": "2024-03-01", "states": {"none": 60}, "days": {}}
    page = fleet_page.render([Host("web1", "failed", [row], [])], NOW)
    assert "Log archives of web1" in page and "has never run" in page and "There are no jobs." not in page
    assert '<span class="strip"><b class="n">---</b></span>' in page


def test_hosts_that_could_not_report_are_on_the_page_with_the_reason():
    hosts = [
        Host("down", "unreachable", [], ["unreachable: no route"]),
        Host("new", "failed", [], ["not set up: no command"]),
        Host("old", "failed", [{**job(), "coverage": None, "keys": None, "oldest_unshipped": {}}], []),
        Host("idle", "no jobs", [], []),
    ]
    found = fleet_rows.rows_of(iter(hosts), NOW)
    assert [(row.host, row.level, row.state) for row in found.jobs] == [
        ("down", "failed", "unreachable"),
        ("new", "failed", "not set up: no command"),
        ("idle", "fine", "no jobs"),
        ("old", "fine", "fine"),
    ]
    assert [(each.host, each.where, each.text) for each in found.problems] == [
        ("down", "unreachable", "unreachable: no route"),
        ("new", "failed", "not set up: no command"),
    ]
    assert found.hosts == {"unreachable": 1, "failed": 2, "no jobs": 1} and found.dates == []
    assert fleet_page.render(hosts, NOW).count("no coverage known") == 4


def test_a_host_with_a_wrong_clock_adds_no_days():
    hosts = [Host("web1", "ok", [job()], []), Host("far", "ok", [job(end=NOW + timedelta(days=9000))], [])]
    found = fleet_rows.rows_of(hosts, NOW)
    assert found.dates == ["2024-02-28", "2024-02-29", "2024-03-01"]
    # It is tomorrow there.
    found = fleet_rows.rows_of([*hosts, Host("auckland", "ok", [job(end=NOW + timedelta(days=1))], [])], NOW)
    assert found.dates[-1] == "2024-03-02"


def test_what_a_host_prints_is_bounded():
    row = job()
    row["coverage"].update(
        first="<b>", last="9999-99-99", days={str(number): row["coverage"]["days"]["2024-03-01"] for number in range(5000)}
    )
    row["coverage"]["days"]["0"]["periods"] = "v" * 10_000
    page = fleet_page.render([Host("web1", "ok", [row], []), Host("web2", "ok", [job()], [])], NOW)
    assert len(page) < 60_000 and data_of(page)["dates"] == ["2024-02-28", "2024-02-29", "2024-03-01"]


@pytest.mark.parametrize(
    ("periods", "state"),
    [
        ("v" * 24, "verified"),
        ("vvMPS", "missing"),
        ("vvPS", "partly"),
        ("vxS", "spooled"),
        ("xxv--", "verified"),
        ("xx--", "pruned"),
        (":-..", "due"),
        ("....", "none"),
        ("", "none"),
    ],
)
def test_a_day_is_as_its_worst_period(periods, state):
    assert fleet_rows.state_of(periods) == state


def test_stores_add_up_and_problems_come_first():
    late = {"backlog": {"s3": 2}, "oldest_unshipped": {"s3": "2024-02-01T00:00:00Z"}, "exit_code": 3, "state": "archives wait for a store"}
    hosts = [
        Host("a", "ok", [job(verified={"local": "read_back", "s3": "size"})], []),
        Host("b", "failed", [job(**{**late, "oldest_unshipped": {"s3": "2024-02-02T00:00:00Z"}})], []),
        Host("c", "failed", [job(verified={"s3": "server_digest"}, **late)], []),
        Host(
            "d",
            "failed",
            [job(exit_code=4, unreachable={"local": "no answer"}, findings=[{"store": "s3", "key": "k", "error": "gone"}])],
            [],
        ),
    ]
    found = fleet_rows.rows_of(hosts, NOW)
    assert [row.host for row in found.jobs] == ["d", "b", "c", "a"]
    local, s3 = found.stores
    assert (local.name, local.level, local.unreachable, local.weakest) == ("local", "failed", 1, "read_back")
    assert (s3.level, s3.jobs, s3.waiting, s3.oldest, s3.oldest_host, s3.wrong, s3.weakest) == (
        "failed", 4, 4, "2024-02-01T00:00:00Z", "c", 1, "size",
    )  # fmt: skip
    assert [each.text for each in found.problems if each.host == "d"] == [
        "fine",
        "store s3: k: gone",
        "store local cannot be listed: no answer",
    ]


def test_only_the_scripts_of_the_page_run_and_names_are_text():
    evil = "</script><script>alert(1)</script>\u2028\x1b[2J"
    rows = [job(evil, state=evil + "\nsecond line", exit_code=1, backlog={evil: 1}, keys={"current": evil, "since": None, "others": 2})]
    page = fleet_page.render([Host(evil, "failed", rows, []), Host("b" + evil, "unreachable", [], [evil])], NOW)
    assert page.count("<script") == 2 and "alert(1)" in page and "\x1b" not in page
    assert data_of(page)["jobs"][0]["h"] == "</script><script>alert(1)</script>\\u2028\\x1b[2J"
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', page)[1]
    script = re.search(r"<script>(.*?)</script>\n</body>", page, re.DOTALL)[1]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    for text, name in ((script, "script-src"), (style, "style-src")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert "%s 'sha256-%s'" % (name, digest) in policy.replace("&#39;", "'")
    assert "default-src &#39;none&#39;" in policy or "default-src 'none'" in policy
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)


def test_a_thousand_hosts_and_ninety_days_take_less_than_five_megabytes():
    # As 100 hosts, of which one in ten has different hours on each day: what does not grow with hosts is little.
    mixed = "".join("vPSMx:"[number * 7 % 6] for number in range(24))
    hosts = [
        Host("web%03d.example.com" % number, "ok", [job(days=90, periods=mixed if number % 10 == 0 else "v" * 24)], [])
        for number in range(100)
    ]
    page = fleet_page.render(iter(hosts), NOW)
    assert len(page.encode()) * 10 < 5_000_000
    assert len(data_of(page)["dates"]) == 90
