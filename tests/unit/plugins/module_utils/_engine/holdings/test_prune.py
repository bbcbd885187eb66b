# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pruning a store: the plan over the archives that it holds, and its execution. With file stores and archives as a job makes them."""

from __future__ import annotations

import os

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.naming import manifest_key
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import format_utc
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import inventory, prune as pruning, retention
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.policy import parse_policy
from hypothesis import given, strategies as st
from rigs.holdings import KEYS, put
from rigs.host import NOW, at

pytest.importorskip("cryptography")


def policy(**rules):
    return parse_policy(dict({"max_delete_share": 1}, **rules))


def test_prune_removes_archive_and_manifest(store):
    planned = pruning.plan(store, policy(keep_last=1), NOW)
    assert [item.key for item, _reason in planned.plan.remove] == KEYS[:2]
    before = {item.key: item.size for item in store.list()}
    done = pruning.execute(store, planned)
    assert done.removed == KEYS[:2] and done.failed == {}
    assert done.bytes_freed == before[KEYS[0]] + before[KEYS[1]]
    assert [item.key for item in store.list()] == [KEYS[2], manifest_key(KEYS[2])]


def test_prune_spares_what_another_store_awaits(store):
    planned = pruning.plan(store, policy(keep_last=1), NOW, known=pruning.Known(awaited={KEYS[0]: ["offsite"]}))
    assert [item.key for item, _reason in planned.plan.remove] == [KEYS[1]]
    assert "store offsite does not have it yet" in str(planned.plan.keep)


def test_a_folder_that_is_as_recorded_is_not_listed_and_the_plan_is_the_same(store, monkeypatch):
    starts = {key: int(at("2024-01-12 %d:00" % (12 + number)).timestamp()) for number, key in enumerate(KEYS)}
    listed = []

    def plan(**rules):
        return pruning.plan(store, policy(**rules), NOW, pruning.Scope("web1", "syslog"), pruning.Known(starts))

    monkeypatch.setattr(store, "list", lambda prefix, whole=store.list: (listed.append(prefix), whole(prefix))[1])
    with monkeypatch.context() as without_survey:
        without_survey.setattr(store, "survey", lambda prefix, look: None)
        kept, one_removed = plan(keep_last=3), plan(keep_last=2)
        assert one_removed.plan.bytes_freed > 0 and listed == ["web1/syslog/"] * 2
        listed.clear()
    assert (plan(keep_last=3).kept, kept.kept, listed) == (3, 3, [])
    assert (plan(keep_last=2).plan.remove, listed) == (one_removed.plan.remove, ["web1/syslog/2024/01/12/"])
    # A strange archive is seen, and so is one that is missing.
    stranger = KEYS[0].replace("syslog.20", "auth.20")
    for key, original in ((stranger, KEYS[0]), (manifest_key(stranger), manifest_key(KEYS[0]))):
        with open(os.path.join(store.location(), original), "rb") as file:
            put(store, key, file.read().replace(b'"name":"syslog.20', b'"name":"auth.20'))
    store.delete([KEYS[1]])
    planned = plan(keep_last=3)
    assert ([one.key for one in planned.unrecorded], list(planned.lost), planned.kept) == ([stranger], [KEYS[1]], 3)


def test_prune_never_touches_what_it_cannot_judge(store):
    put(store, manifest_key(KEYS[0]), b"{")
    put(store, "foreign.tgz")
    planned = pruning.plan(store, policy(keep_last=1), NOW)
    pruning.execute(store, planned)
    assert list(planned.damaged) == [KEYS[0]]
    assert {KEYS[0], manifest_key(KEYS[0]), "foreign.tgz", KEYS[2]} <= {item.key for item in store.list()}


def test_prune_dates_other_tools_files_by_their_name_alone(store):
    for name in ("20240101.tgz", "20240201.tgz", "20240301.tgz", "notes.txt", "20241301.tgz", "sub/20240101.tgz"):
        put(store, name)
    planned = pruning.plan(store, policy(keep_last=1), at("2024-06-01 00:00"), pruning.Scope(name_template="%Y%d%m.tgz"))
    done = pruning.execute(store, planned)
    # 1 January, 2 January, 3 January; 20241301 is 13 January.
    assert [key for key in done.removed if "/" not in key] == ["20240101.tgz", "20240201.tgz", "20240301.tgz"]
    assert {"notes.txt", "20241301.tgz", "sub/20240101.tgz"} <= {item.key for item in store.list()}


def test_for_one_job_other_tools_files_age_as_its_own_archives_come(store):
    names = ["20243112.tgz", "20240101.tgz", "20241001.tgz", "notes.txt"]
    for name in names:
        put(store, name)
    scope = pruning.Scope("web1", "syslog", "%Y%d%m.tgz")
    newest = max(archive.manifest["period"]["start"] for archive in inventory.read(store, "web1", "syslog").archives)
    assert newest.startswith("2024-01-12")
    planned = pruning.plan(store, policy(keep_within="5d", max_delete_share=1.0), NOW, scope)
    assert [item.key for item, _reason in planned.plan.remove if "/" not in item.key] == ["20240101.tgz"]
    assert pruning.execute(store, planned).failed == {}
    assert {"20241001.tgz", "notes.txt"} <= {item.key for item in store.list()}


def test_a_lone_manifest_goes_when_it_is_old_or_its_removal_had_begun(store):
    for key, age in ((KEYS[0], 2 * 86400), (KEYS[1], 3600)):
        os.unlink(os.path.join(store.location(), key))
        os.utime(os.path.join(store.location(), manifest_key(key)), (NOW.timestamp() - age,) * 2)
    assert pruning.plan(store, policy(keep_last=5), NOW).leftovers == [manifest_key(KEYS[0])]
    planned = pruning.plan(store, policy(keep_last=5), NOW, known=pruning.Known(was_pruned=lambda key: key == KEYS[1]))
    assert planned.leftovers == [manifest_key(KEYS[0]), manifest_key(KEYS[1])]
    pruning.execute(store, planned)
    assert [item.key for item in store.list()] == [KEYS[2], manifest_key(KEYS[2])]


def test_a_plan_in_rows_begins_with_what_is_removed(store):
    rows = pruning.rows(pruning.plan(store, policy(keep_last=2), NOW).plan)
    assert [row["action"] for row in rows] == ["remove", "keep", "keep"]
    assert rows[0]["key"] == KEYS[0] and rows[0]["time"] == "2024-01-12T12:00:00Z" and rows[0]["reason"]


@given(st.lists(st.datetimes(timezones=st.timezones()), max_size=5), st.lists(st.datetimes(timezones=st.timezones()), max_size=5))
def test_a_plan_in_rows_has_times_in_utc(removed, kept):
    def item(time):
        return retention.Item("key", time, "web1", "syslog", 0)

    plan = retention.Plan([(item(time), ("a rule",)) for time in kept], [(item(time), "none") for time in removed], [], 0)
    assert [row["time"] for row in pruning.rows(plan)] == [format_utc(time) for time in removed + kept]


def test_a_prediction_is_what_is_removed(store):
    planned = pruning.plan(store, policy(keep_last=1), NOW)
    assert pruning.predict(store, planned) == pruning.execute(store, planned)


def test_archives_that_are_coming_count(store):
    coming = retention.Item("web1/syslog/2024/01/12/syslog.20240112.15.tgz.fernet", at("2024-01-12 15:00"), "web1", "syslog", 0)
    planned = pruning.plan(store, policy(keep_last=1), NOW, known=pruning.Known(coming=[coming]))
    assert [item.key for item, _reason in planned.plan.remove] == KEYS
    # An archive that is there already does not count twice.
    there = coming._replace(key=KEYS[2], time=at("2024-01-12 14:00"))
    again = pruning.plan(store, policy(keep_last=1), NOW, known=pruning.Known(coming=[there]))
    assert [item.key for item, _reason in again.plan.remove] == KEYS[:2]


def test_archives_of_one_period_go_together(store):
    second = KEYS[0].replace("syslog.20", "auth.20")
    for key, original in ((second, KEYS[0]), (manifest_key(second), manifest_key(KEYS[0]))):
        with open(os.path.join(store.location(), original), "rb") as file:
            put(store, key, file.read().replace(b'"name":"syslog.20', b'"name":"auth.20'))
    planned = pruning.plan(store, policy(keep_last=2), NOW)
    assert [item.key for item, _reason in planned.plan.remove] == sorted([second, KEYS[0]])


def test_only_the_scope_is_pruned(store):
    assert pruning.plan(store, policy(keep_last=1), NOW, pruning.Scope("web2")).plan == ([], [], [], 0)
    assert pruning.plan(store, policy(keep_last=1), NOW, pruning.Scope("web1", "other")).plan == ([], [], [], 0)


def test_an_archive_that_cannot_be_removed_keeps_its_manifest(store, monkeypatch):
    delete = type(store)._delete

    def failing_delete(store, keys, outcome):
        delete(store, [key for key in keys if key != KEYS[0]], outcome)
        outcome.update({key: "read-only" for key in keys if key == KEYS[0]})

    monkeypatch.setattr(type(store), "_delete", failing_delete)
    done = pruning.execute(store, pruning.plan(store, policy(keep_last=1), NOW))
    assert done.removed == [KEYS[1]] and done.failed == {KEYS[0]: "read-only"}
    assert {KEYS[0], manifest_key(KEYS[0])} <= {item.key for item in store.list()}
