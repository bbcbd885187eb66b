# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Retention keeps exactly what restic keeps, and its guards hold."""

from __future__ import annotations

import datetime
import json
import pathlib
import random
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import retention
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.policy import (
    Duration,
    Policy,
    parse_duration,
    parse_policy,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.retention import Item
from hypothesis import given, settings, strategies as st
from rigs.examples import examples

UTC = datetime.timezone.utc
NOW = datetime.datetime(2026, 1, 1, tzinfo=UTC)
RESTIC = json.loads((pathlib.Path(__file__).parent / "retention_restic.json").read_text())


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=UTC)


def item(time: t.Union[str, datetime.datetime], key: t.Optional[str] = None, **fields: t.Any) -> Item:
    moment = at(time) if isinstance(time, str) else time
    values: t.Dict[str, t.Any] = dict({"host": "web1", "job": "syslog", "size": 10}, **fields)
    return Item(key=key or str(time), time=moment, **values)


def hours(count: int, end: str = "2024-03-10 12:00", **fields: t.Any) -> t.List[Item]:
    """``count`` hourly archives, oldest first, the last at ``end``."""
    last = at(end)
    moments = [last - datetime.timedelta(hours=back) for back in reversed(range(count))]
    return [item(moment, "%s/%s" % (fields.get("host", "web1"), moment), **fields) for moment in moments]


def kept(items: t.Iterable[Item], now: datetime.datetime = NOW, **policy: t.Any) -> t.List[str]:
    result = retention.plan(items, parse_policy(dict({"max_delete_share": 1}, **policy)), now)
    return sorted(entry[0].key for entry in result.keep)


# -- the same as restic ---------------------------------------------------------------------------------------------------


def restic_cases() -> t.Iterator[t.Any]:
    for case in RESTIC["cases"]:
        for unlimited in (1000, -1, "unlimited") if 1000 in case["policy"].values() else (1000,):
            policy = {name: unlimited if value == 1000 else value for name, value in case["policy"].items()}
            yield pytest.param(policy, case["keep"], id=" ".join("%s=%s" % pair for pair in policy.items()))


@pytest.mark.parametrize(("policy", "theirs"), list(restic_cases()))
def test_keeps_what_the_restic_program_keeps_for_the_same_reasons(policy: t.Dict[str, t.Any], theirs: t.Dict[str, t.List[str]]) -> None:
    items = [item(time) for time in RESTIC["times"]]
    random.Random(0).shuffle(items)
    ours = {}
    for entry, reasons in retention.plan(items, parse_policy(dict(policy, max_delete_share=1)), NOW).keep:
        # restic keeps the oldest while a counter has room since 0.16; the recording is of an earlier one.
        words = [reason.split(" #")[0] for reason in reasons if not reason.startswith("oldest ")]
        if words or entry.key != RESTIC["times"][0]:
            ours[entry.key] = words
    assert ours == {time: [words.replace(" snapshot", "") for words in reasons] for time, reasons in theirs.items()}


def naive_go_add_date(time: datetime.datetime, duration: Duration) -> datetime.datetime:
    year, month = time.year - duration.years, time.month - duration.months
    while month < 1:
        year, month = year - 1, month + 12
    first = time.replace(year=year, month=month, day=1)
    return first + datetime.timedelta(days=time.day - 1 - duration.days) - datetime.timedelta(hours=duration.hours)


def naive_apply_policy(snapshots: t.List[Item], p: Policy) -> t.Tuple[t.List[Item], t.List[Item]]:
    """restic's ApplyPolicy, line by line, without tags; ``snapshots`` newest first."""
    if not snapshots:
        return [], []
    bucker: t.Dict[str, t.Callable[[datetime.datetime, int], int]] = {
        "last": lambda d, nr: nr,
        "hourly": lambda d, nr: d.year * 1000000 + d.month * 10000 + d.day * 100 + d.hour,
        "daily": lambda d, nr: d.year * 10000 + d.month * 100 + d.day,
        "weekly": lambda d, nr: d.isocalendar()[0] * 100 + d.isocalendar()[1],
        "monthly": lambda d, nr: d.year * 100 + d.month,
        "yearly": lambda d, nr: d.year,
    }
    buckets = [[getattr(p, "keep_" + unit), bucker[unit], -1] for unit in bucker]
    buckets_within = [[getattr(p, "keep_within_" + unit), bucker[unit], -1] for unit in bucker if unit != "last"]
    latest = max(snapshot.time for snapshot in snapshots)
    keep, remove = [], []
    for nr, cur in enumerate(snapshots):
        keep_snap = any(p.keep_within) and cur.time > naive_go_add_date(latest, p.keep_within)
        for b in buckets:
            if b[0] > 0 or b[0] == -1:
                val = b[1](cur.time, nr)
                if val != b[2] or nr == len(snapshots) - 1:
                    keep_snap = True
                    b[2] = val
                    if b[0] > 0:
                        b[0] -= 1
        for b in buckets_within:
            if any(b[0]) and cur.time > naive_go_add_date(latest, b[0]):
                val = b[1](cur.time, nr)
                if val != b[2] or nr == len(snapshots) - 1:
                    keep_snap = True
                    b[2] = val
        (keep if keep_snap else remove).append(cur)
    return keep, remove


counts = st.one_of(st.just(0), st.integers(-1, 8))
spans = st.one_of(
    st.just(Duration()),
    st.builds(Duration, st.integers(0, 2), st.integers(0, 14), st.integers(0, 40), st.integers(0, 50)),
)
policies = st.builds(
    Policy,
    *[counts] * 6,
    *[spans] * 6,
    min_keep=st.just(1),
    max_delete_share=st.just(1.0),
).filter(lambda policy: any(policy[:6]) or any(any(span) for span in policy[6:12]))
moments = st.one_of(
    st.datetimes(datetime.datetime(2019, 12, 20), datetime.datetime(2021, 1, 20), timezones=st.just(UTC)),
    st.datetimes(datetime.datetime(2020, 2, 25), datetime.datetime(2020, 3, 5), timezones=st.just(UTC)),
    st.datetimes(datetime.datetime(1965, 1, 1), datetime.datetime(2040, 1, 1), timezones=st.just(UTC)),
    st.integers(0, 24 * 40).map(lambda back: datetime.datetime(2021, 1, 5, tzinfo=UTC) - datetime.timedelta(hours=back)),
)


@settings(max_examples=examples(500), deadline=None)
@given(st.lists(moments, max_size=40), policies)
def test_agrees_with_a_literal_transcription_of_restic(times: t.List[datetime.datetime], policy: Policy) -> None:
    items = [item(time, "%02d" % number) for number, time in enumerate(times)]
    keep, remove = naive_apply_policy(sorted(items, key=lambda entry: entry.time, reverse=True), policy)
    result = retention.plan(items, policy, datetime.datetime(2050, 1, 1, tzinfo=UTC))
    assert [entry for entry, _reasons in result.keep] == keep
    assert sorted(entry for entry, _reason in result.remove) == sorted(remove)
    assert all(reasons for _entry, reasons in result.keep)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(moments, max_size=30), policies, st.integers(1, 9), st.floats(0.01, 1), moments, st.randoms())
def test_guards_hold_for_every_plan(
    times: t.List[datetime.datetime], policy: Policy, least: int, share: float, now: datetime.datetime, rnd: random.Random
) -> None:
    items = [item(time, "%02d" % n, host="h%d" % (n % 2), protected="awaited" if n % 5 == 0 else None) for n, time in enumerate(times)]
    policy = policy._replace(min_keep=least, max_delete_share=share)
    result = retention.plan(items, policy, now)
    removed = [entry for entry, _reason in result.remove]
    assert sorted([entry for entry, _reasons in result.keep] + removed) == sorted(items)
    assert removed == sorted(removed, key=lambda entry: entry.time)
    assert result.bytes_freed == 10 * len(removed)
    assert not [entry for entry in removed if entry.time > now or entry.protected]
    for host in ("h0", "h1"):
        past = [entry for entry in items if entry.host == host and entry.time <= now]
        gone = [entry for entry in removed if entry.host == host]
        assert not gone or len(past) - len(gone) >= least
        assert len(gone) <= max(retention.ALWAYS_ALLOWED, share * len(past) + 1e-9)
    rnd.shuffle(items)
    assert retention.plan(items, policy, now) == result


# -- calendar -------------------------------------------------------------------------------------------------------------


def test_iso_weeks_do_not_break_at_the_new_year() -> None:
    # 2020-12-31 and 2021-01-03 are both in 2020-W53, 2021-01-04 begins 2021-W01, 2020-12-27 ends 2020-W52.
    items = [item(day) for day in ("2020-12-20", "2020-12-27", "2020-12-28", "2020-12-31", "2021-01-03", "2021-01-04")]
    assert kept(items, keep_weekly=3) == ["2020-12-27", "2021-01-03", "2021-01-04"]


def test_a_week_that_belongs_to_the_next_year_is_one_week() -> None:
    # 2019-12-30 and 2020-01-05 are both in 2020-W01.
    items = [item(day) for day in ("2019-12-01", "2019-12-29", "2019-12-30", "2020-01-05")]
    assert kept(items, keep_weekly=2) == ["2019-12-29", "2020-01-05"]


def test_the_hour_that_local_time_repeats_is_two_hours_in_utc() -> None:
    zoneinfo = pytest.importorskip("zoneinfo")
    try:
        berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    except zoneinfo.ZoneInfoNotFoundError:
        pytest.skip("no time zone data here")
    local = datetime.datetime(2021, 10, 31, 2, tzinfo=berlin)
    items = [item(local, "first"), item(local.replace(fold=1), "second"), item("2021-10-30 12:00", "before")]
    assert kept(items, keep_hourly=2) == ["first", "second"]
    assert kept(items, keep_last=1) == ["second"]


def test_days_are_utc_days_whatever_the_zone_of_the_item() -> None:
    ahead = datetime.timezone(datetime.timedelta(hours=14))
    items = [item(datetime.datetime(2024, 1, 2, 1, tzinfo=ahead), "a"), item("2024-01-01 23:00", "b"), item("2023-12-31", "c")]
    assert kept(items, keep_daily=2) == ["b", "c"]


def test_within_is_measured_from_the_newest_and_excludes_the_border() -> None:
    items = hours(49)
    newest = items[-1].time
    assert kept(items, keep_within="1d") == [entry.key for entry in items if entry.time > newest - datetime.timedelta(days=1)]
    assert len(kept(items, keep_within="1d")) == 24


def test_a_month_back_runs_on_past_a_short_month_as_in_go() -> None:
    # 31 March minus a month is "31 February" = 3 March (2 March in a leap year).
    items = [item(day) for day in ("2023-03-02", "2023-03-03", "2023-03-04", "2023-03-31")]
    assert kept(items, keep_within="1m") == ["2023-03-04", "2023-03-31"]
    items = [item(day) for day in ("2024-03-01", "2024-03-02", "2024-03-03", "2024-03-31")]
    assert kept(items, keep_within="1m") == ["2024-03-03", "2024-03-31"]


def test_within_reads_years_months_days_and_hours_as_restic_does() -> None:
    border = "1998-10-27 11:16:17"
    items = [item("1999-12-30 15:16:17"), item(border), item("1998-10-27 11:16:18")]
    assert kept(items, keep_within="1y2m3d4h") == ["1998-10-27 11:16:18", "1999-12-30 15:16:17"]


def test_a_span_longer_than_the_calendar_keeps_everything() -> None:
    items = [item("0001-01-01"), item("2024-01-01")]
    assert len(kept(items, keep_within="99999y")) == 2


def test_the_oldest_is_kept_while_a_counter_has_room_and_not_after() -> None:
    items = [item("2024-01-01 0%d:00" % hour) for hour in range(5)]
    assert kept(items, keep_daily=2) == ["2024-01-01 00:00", "2024-01-01 04:00"]
    assert kept(items, keep_daily=1) == ["2024-01-01 04:00"]


# -- reasons, order, groups -----------------------------------------------------------------------------------------------


def test_each_archive_has_its_reasons_in_words() -> None:
    items = [item("2024-01-0%d %s" % (day, time)) for day in (1, 2, 3) for time in ("10:00", "11:00")] + [item("2030-01-01")]
    result = retention.plan(items, parse_policy({"keep_last": 1, "keep_daily": 2, "keep_within": "2h", "max_delete_share": 1}), NOW)
    assert [(entry.key, reasons) for entry, reasons in result.keep] == [
        ("2030-01-01", ("dated in the future",)),
        ("2024-01-03 11:00", ("within 2h", "last #1", "daily #1")),
        ("2024-01-03 10:00", ("within 2h",)),
        ("2024-01-02 11:00", ("daily #2",)),
    ]
    assert [(entry.key, reason) for entry, reason in result.remove] == [
        ("2024-01-01 10:00", "no rule keeps it"),
        ("2024-01-01 11:00", "no rule keeps it"),
        ("2024-01-02 10:00", "no rule keeps it"),
    ]
    assert result.bytes_freed == 30


def test_removal_is_oldest_first_over_all_groups() -> None:
    items = hours(6, host="a") + hours(6, "2024-03-10 11:30", host="b")
    result = retention.plan(items, parse_policy({"keep_last": 3}), NOW)
    times = [entry.time for entry, _reason in result.remove]
    assert len(times) == 6 and times == sorted(times)
    assert [entry.host for entry, _reason in result.remove] == ["b", "a"] * 3


def test_hosts_and_jobs_do_not_count_for_each_other() -> None:
    items = [
        item("2024-01-0%d" % day, "%s-%s-%d" % (host, job, day), host=host, job=job)
        for host, job in [("a", "x"), ("a", "y"), ("b", "x")]
        for day in (1, 2)
    ]
    assert kept(items, keep_last=1) == sorted(entry.key for entry in items if entry.key.endswith("-2"))


def test_of_equal_times_the_first_key_counts_as_the_newest() -> None:
    assert kept([item("2024-01-01", key) for key in ("c", "a", "b")], keep_last=1) == ["a"]


def test_nothing_is_a_plan_of_nothing() -> None:
    assert retention.plan([], Policy(keep_last=1), NOW) == ([], [], [], 0)


# -- guards ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [Policy(), Policy(min_keep=5), Policy(keep_within=Duration(0, 0, 0, 0))])
def test_an_empty_policy_is_refused(policy: Policy) -> None:
    with pytest.raises(ConfigError, match="would remove every archive"):
        retention.plan([item("2024-01-01")], policy, NOW)


def test_archives_dated_in_the_future_neither_count_nor_go() -> None:
    items = [item("2024-01-01"), item("2024-01-02"), item("2024-01-03"), item("2024-06-01"), item("2024-06-02")]
    assert kept(items, at("2024-01-03"), keep_last=1) == ["2024-01-03", "2024-06-01", "2024-06-02"]
    assert kept(items, at("2024-01-03"), keep_within="25h") == ["2024-01-02", "2024-01-03", "2024-06-01", "2024-06-02"]
    assert len(kept(items, at("2023-01-01"), keep_last=1)) == 5


def test_a_future_archive_does_not_fill_min_keep() -> None:
    items = [item("2024-01-01"), item("2024-01-02"), item("2024-06-01")]
    assert len(kept(items, at("2024-01-03"), keep_last=1, min_keep=2)) == 3


def test_a_protected_archive_stays_with_the_callers_reason() -> None:
    items = [item("2024-01-01", protected="still awaited by store bucket"), item("2024-01-02"), item("2024-01-03")]
    result = retention.plan(items, parse_policy({"keep_last": 1}), NOW)
    assert result.keep[-1] == (items[0], ("still awaited by store bucket",))
    assert [entry.key for entry, _reason in result.remove] == ["2024-01-02"]


def test_min_keep_leaves_the_newest() -> None:
    assert kept(hours(10), keep_last=1, min_keep=4) == [entry.key for entry in hours(10)[-4:]]
    result = retention.plan(hours(3), parse_policy({"keep_last": 1, "min_keep": 2}), NOW)
    assert result.keep[1][1] == ("among the newest, min_keep 2",)


def test_too_large_a_removal_is_refused_for_the_whole_group_and_only_for_it() -> None:
    items = hours(100, host="a") + hours(5, host="b")
    result = retention.plan(items, parse_policy({"keep_last": 4, "max_delete_share": 0.5}), NOW)
    assert [entry.host for entry, _reason in result.remove] == ["b"]
    assert len(result.refusals) == 1
    assert result.refusals[0].startswith("a/syslog: 96 of 100 archives would be removed, which exceeds max_delete_share 0.5")
    refused = [reasons for entry, reasons in result.keep if entry.host == "a"]
    assert refused.count(("removal refused by max_delete_share 0.5",)) == 96


def test_the_share_itself_is_allowed_and_one_more_is_not() -> None:
    assert len(retention.plan(hours(100), Policy(keep_last=71, max_delete_share=0.29), NOW).remove) == 29
    assert retention.plan(hours(100), Policy(keep_last=70, max_delete_share=0.29), NOW).remove == []


@pytest.mark.parametrize(("count", "removed"), [(2, 1), (3, 2), (4, 3), (5, 0)])
def test_a_small_group_is_no_trap_for_the_share(count: int, removed: int) -> None:
    assert len(retention.plan(hours(count), Policy(keep_last=1, max_delete_share=0.1), NOW).remove) == removed


def test_an_archive_listed_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="listed twice"):
        retention.plan([item("2024-01-01", "k"), item("2024-01-02", "k")], Policy(keep_last=1), NOW)


def test_a_time_without_a_zone_is_refused_and_names_the_archive() -> None:
    with pytest.raises(ConfigError, match=r"^here: the time .* is not a datetime with a time zone"):
        retention.plan([item(datetime.datetime(2024, 1, 1), "here")], Policy(keep_last=1), NOW)
    with pytest.raises(ConfigError, match="^now: "):
        retention.plan([], Policy(keep_last=1), datetime.datetime(2024, 1, 1))


# -- reading a policy -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "written"),
    [("9h", "9h"), ("3d", "3d"), ("4d2h", "4d2h"), ("7m5d", "7m5d"), ("5d7m", "7m5d"), (" 4h3d9m ", "9m3d4h"), ("1y5m7d2h", "1y5m7d2h")],
)
def test_durations_are_read_and_written_as_restic_does(text: str, written: str) -> None:
    assert str(parse_duration(text)) == written


@pytest.mark.parametrize("text", ["", "2w", "1y4m3w1d", "s", "7", "-5d", "1y-5d", "1d 2h", "1d1d", "1.5d", "٣d", "7d\n7"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration|twice"):
        parse_duration(text)


def test_a_policy_is_read_from_plain_values() -> None:
    values = {
        "keep_last": 3,
        "keep_hourly": "24",
        "keep_daily": "unlimited",
        "keep_weekly": -1,
        "keep_monthly": None,
        "keep_within": "1y5m7d2h",
        "keep_within_daily": "",
        "min_keep": "2",
        "max_delete_share": "0.25",
    }
    expected = Policy(3, 24, -1, -1, keep_within=Duration(1, 5, 7, 2), min_keep=2, max_delete_share=0.25)
    assert parse_policy(values) == expected


def test_every_mistake_is_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_policy(
            {
                "keep_daly": 7,
                "keep_last": True,
                "keep_hourly": -2,
                "keep_weekly": "many",
                "keep_within": "2w",
                "keep_within_daily": 7,
                "min_keep": 0,
                "max_delete_share": 50,
            }
        )
    assert [line.split(":")[0] for line in caught.value.problems] == [
        "keep_daly",
        "keep_last",
        "keep_hourly",
        "keep_weekly",
        "keep_within",
        "keep_within_daily",
        "min_keep",
        "max_delete_share",
    ]
    assert "did you mean keep_daily?" in caught.value.problems[0]
    assert "'unlimited'" in caught.value.problems[3]


@pytest.mark.parametrize("share", [0, -0.1, 1.1, True, "half", [], float("nan")])
def test_a_share_that_is_no_share_is_refused(share: t.Any) -> None:
    with pytest.raises(ConfigError, match="max_delete_share: "):
        parse_policy({"keep_last": 1, "max_delete_share": share})


@pytest.mark.parametrize("values", [{}, {"keep_last": 0}, {"keep_last": None, "keep_within": "0d"}, {"min_keep": 3}])
def test_a_policy_that_keeps_nothing_is_a_mistake(values: t.Dict[str, t.Any]) -> None:
    with pytest.raises(ConfigError, match="no rule keeps anything"):
        parse_policy(values)
