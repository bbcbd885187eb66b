# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which periods of a job are archived: what is verified, waits, was pruned, is missing, is not due, and was never expected."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state import coverage, status
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.ledger.file import Ledger
from rigs.covered import Given
from rigs.host import JOB, NAME, NOW, at

DAY = "2024-01-12"


@pytest.fixture(autouse=True)
def utc(host_zone):
    """The schedules of these tests are of a host in UTC."""
    host_zone("UTC")


@pytest.fixture
def given(tmp_path):
    made = Given(tmp_path)
    with contextlib.closing(made.catalog):
        yield made


def letters(found, day=DAY):
    return found["days"][day]["periods"]


def test_each_state_of_an_archive_and_its_bytes(given):
    given.run("2024-01-12 00:05")
    given.run("2024-01-12 15:01")
    given.archive("2024-01-12 00:00", local="verified", s3="verified")
    given.archive("2024-01-12 01:00", local="pruned", s3="verified")
    given.archive("2024-01-12 02:00", local="verified", s3="pending")
    given.archive("2024-01-12 03:00", local="verified", s3="given up")
    given.archive("2024-01-12 04:00", local="pending", s3="pending")
    given.archive("2024-01-12 05:00", local="pruned", s3="pruned")
    given.archive("2024-01-12 06:00", local="given up", s3="given up")
    damaged = given.archive("2024-01-12 07:00", local="verified", s3="verified")
    given.archive("2024-01-12 08:00", size=40, logs=90, local="verified")
    # Of two archives of an hour the worse counts.
    given.archive("2024-01-12 08:30", hours=0.5, size=2, logs=10, local="pending")
    lost = given.archive("2024-01-12 09:00", local="verified")
    given.catalog.verifications.record(JOB, "s3", 0.0, {damaged: "its digest differs"}, False)
    found = given.of(lost=[("local", lost), ("local", "no such key")])
    assert letters(found) == "vvPPSxMPSM-----:" + "." * 8
    assert found["days"][DAY] == {
        "states": {"missing": 2, "partly": 3, "spooled": 2, "verified": 2, "pruned": 1, "due": 1, "none": 5},
        "periods": letters(found),
        "archives": 11,
        "source_bytes": 700 * 9 + 100,
        "bytes": 942,
    }
    assert found["states"] == found["days"][DAY]["states"]
    assert (found["unit"], found["timezone"], found["first"], found["last"]) == ("hour", "UTC", DAY, DAY)


@pytest.mark.parametrize(
    ("runs", "wanted"),
    [
        pytest.param([], "-" * 16, id="never ran"),
        pytest.param([("2024-01-12 15:01", 0)], "-" * 15 + ":", id="first run"),
        # The source had no log of the hours that the last success looked for; nobody has looked for the later ones.
        pytest.param([("2024-01-12 02:05", 0), ("2024-01-12 11:05", 0), ("2024-01-12 15:01", 1)], "-" * 11 + "MMMM:", id="failed since"),
        pytest.param([("2024-01-12 10:05", 1), ("2024-01-12 15:01", 1)], "-" * 9 + "MMMMMM:", id="never succeeded"),
    ],
)
def test_what_has_no_archive(given, runs, wanted):
    for moment, code in runs:
        given.run(moment, code)
    schedule = {"at": "1 past each hour", "spread": "0"}
    # A day on which nothing was expected has no entry.
    assert given.of(now=at("2024-01-12 15:30"), schedule=schedule)["days"].get(DAY, {"periods": "-" * 16})["periods"][:16] == wanted


def test_a_weekly_schedule_makes_hours_due_and_not_missing(given):
    # 2024-01-07 was a Sunday.
    given.run("2024-01-07 02:30")
    given.archive("2024-01-07 01:00", local="verified")
    weekly = {"at": "02:30 sunday", "spread": "0"}
    found = given.of(days=6, now=at("2024-01-12 15:30"), schedule=weekly)
    assert letters(found, "2024-01-07") == "-v" + ":" * 22
    assert found["states"] == {"verified": 1, "due": 5 * 24 + 14, "none": 1}
    # The next Sunday's run failed, or never began.
    found = given.of(days=8, now=at("2024-01-14 02:50"), schedule=weekly)
    assert letters(found, "2024-01-13") == "M" * 24
    assert letters(found, "2024-01-14") == "MM:" + "." * 21
    # Within the minutes that cron and a run may take nothing is missing.
    assert "missing" not in given.of(days=8, now=at("2024-01-14 02:33"), schedule=weekly)["states"]


def test_without_a_schedule_two_periods_are_given(given):
    given.run("2024-01-12 10:05")
    assert letters(given.of(now=at("2024-01-12 14:30"))) == "-" * 10 + "MM:::" + "." * 9


def test_a_log_that_was_not_ready_waits_for_the_next_run(given):
    given.run("2024-01-12 10:05")
    given.run("2024-01-12 14:05", open_since="2024-01-12T13:00:00Z")
    hourly = {"at": "5 past each hour", "spread": "0"}
    assert letters(given.of(now=at("2024-01-12 14:30"), schedule=hourly)) == "-" * 13 + "::" + "." * 9
    assert letters(given.of(now=at("2024-01-12 15:30"), schedule=hourly)) == "-" * 13 + "MM:" + "." * 8


def test_the_offset_of_a_selection_is_waited_for(given):
    given.run("2024-01-12 10:05")
    hourly = {"at": "5 past each hour", "spread": "0"}
    found = given.of(now=at("2024-01-12 14:30"), schedule=hourly, select={"offset": -2})
    assert letters(found) == "-" * 9 + "MMMM::" + "." * 9


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        # Clocks skip 02:00, and repeat it.
        pytest.param("2024-03-31", "vv.vvvvvvvvvvvvvvvvvvvvv", id="spring"),
        pytest.param("2024-10-27", "v" * 24, id="autumn"),
    ],
)
def test_days_and_hours_are_those_of_the_time_zone(given, day, hours):
    zone = "Europe/Paris"
    begin = datetime.fromisoformat(day + "T00:00").replace(tzinfo=timezone.utc) - timedelta(hours=3)
    for hour in range(30):
        given.archive(begin + timedelta(hours=hour), local="verified")
    now = begin + timedelta(days=2)
    given.run(now)
    found = given.of(days=3, now=now, select={"timezone": zone})
    assert letters(found, day) == hours
    assert found["days"][day]["archives"] == {"2024-03-31": 23, "2024-10-27": 25}[day]
    assert sum(one["archives"] for one in found["days"].values()) == 30


def test_weeks_and_days(given):
    select = {"period": "week", "patterns": ["syslog.%G%V"], "catch_up": "0"}
    given.run("2023-12-25 03:00")
    given.archive("2024-01-01 00:00", hours=168, local="verified")
    found = given.of(days=12, now=at("2024-01-12 15:30"), select=select, schedule={"at": "03:00 monday", "spread": "0"})
    # A week counts once, and on each of its days.
    assert found["states"] == {"verified": 1, "due": 1}
    assert {day: one["periods"] for day, one in found["days"].items()} == {
        **{"2024-01-%02d" % day: "v" for day in range(1, 8)},
        **{"2024-01-%02d" % day: ":" for day in range(8, 15) if day <= 12},
    }
    assert [one["archives"] for one in found["days"].values()] == [1] + [0] * 11
    daily = given.of(days=2, now=at("2024-01-12 15:30"), select={"period": "day", "patterns": ["syslog.%Y%m%d"], "catch_up": "0"})
    assert daily["unit"] == "day" and letters(daily) == ":"


def test_an_archive_of_many_hours_covers_each_of_them(given):
    given.run("2024-01-12 00:05")
    given.run("2024-01-12 15:01")
    given.archive("2024-01-11 22:00", hours=5, local="verified")
    assert letters(given.of())[:4] == "vvv-"


def test_a_job_without_periods_expects_nothing(given):
    given.run("2024-01-01 00:05")
    given.archive("2024-01-12 09:20", hours=0, local="verified")
    found = given.of(days=3, select={"period": "none", "patterns": ["*"]})
    assert list(found["days"]) == [DAY]
    assert letters(found) == "-" * 9 + "v" + "-" * 6 + "." * 8


def test_what_the_catalog_forgot_was_pruned_if_the_ledger_has_its_tombstones(given):
    given.run("2023-11-01 00:05")
    given.run("2024-01-12 15:01")
    ledger = Ledger(str(given.host.state), JOB)
    ledger.begin(NAME)
    key = "%s/%s/2023/11/20/syslog.20231120.%02d.tgz.fernet"
    forgotten = [{"archive": key % (NAME, JOB, hour), "store": store} for hour in range(3) for store in ("local", "s3")]
    known = given.archive("2023-11-21 05:00", local="pruned")
    ledger.append([("prune", payload) for payload in [*forgotten, {"archive": known, "store": "local"}]])
    found = given.of(days=90)
    assert letters(found, "2023-11-20") == "xxx" + "-" * 21
    assert letters(found, "2023-11-21") == "-" * 5 + "x" + "-" * 18
    assert found["states"]["pruned"] == 4
    # A ledger that cannot be read does not hide the rest: status reports it.
    (given.host.state / (JOB + ".ledger")).write_bytes(b"damaged\n")
    assert given.of(days=90)["states"]["pruned"] == 1


def test_a_dump_is_expected_on_the_days_on_which_a_run_begins(given, tmp_path):
    web = {"url": "https://intranet.example.com/export.zip"}
    given.run("2024-01-01 23:00")
    given.archive("2024-01-09 00:00", hours=24, local="verified")
    given.run("2024-01-09 23:00")
    document = {key: value for key, value in given.host.given(web=web).items() if key != "select"}
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise

    def of(schedule, now):
        job = normalise({**document, "schedule": {"at": schedule, "spread": "0"}})
        job["web"]["timezone"] = "UTC"
        found = coverage.of(job, 4, now=at(now))
        return "".join(found["days"].get("2024-01-%02d" % day, {"periods": "-"})["periods"] for day in (9, 10, 11, 12))

    assert of("23:00 daily", "2024-01-12 15:30") == "vMM:"
    # Only on Tuesdays.
    assert of("23:00 tuesday", "2024-01-12 15:30") == "v---"


def test_an_archive_that_a_new_store_never_got_is_in_some_stores(given):
    given.run("2024-01-12 14:01")
    given.archive("2024-01-12 12:00", local="verified")
    given.archive("2024-01-12 13:00", local="verified", new="verified")
    assert letters(given.of(lacked=given.catalog.lacking.of(JOB, "new")))[12:14] == "Pv"


def test_status_has_it_only_if_asked(given):
    given.run("2024-01-12 15:01")
    given.archive("2024-01-12 14:00", file="pending")
    document = given.host.document()
    row = status.of(document, now=NOW)
    assert (row["coverage"], row["keys"], row["oldest_unshipped"]) == (None, None, {"file": "2024-01-12T14:00:00Z"})
    status.add_coverage(row, document, 2)
    assert row["coverage"]["unit"] == "hour"
    assert row["keys"]["current"] and row["keys"]["others"] == 0 and row["keys"]["error"] is None
    assert row["keys"]["since"].startswith("20")
    document["encryption"]["keyring"] = str(given.host.folder / "nowhere")
    status.add_coverage(row, document, 2)
    assert row["keys"]["current"] is None and "nowhere" in row["keys"]["error"]
