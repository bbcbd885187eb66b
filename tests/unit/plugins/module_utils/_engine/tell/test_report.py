# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the command prints for people."""

from __future__ import annotations

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto.keyring import KeyInfo
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import report
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.recap import recap as recap_of
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.records import complete


def test_a_recap_of_a_job_that_could_not_begin():
    recap = {"job": "x", "exit_code": 2, "outcome": "failed", "errors": ["why"]}
    assert recap_of(complete(recap)) == "x: failed\n  ERROR    why"


def test_a_recap_has_failures_first_and_shows_any_name():
    recap = {
        "job": "x",
        "outcome": "partly done",
        "errors": ["bad"],
        "warnings": ["odd"],
        "archives": [
            {"state": "spooled", "name": "a", "size": 10, "source_bytes": 20, "stores": {"s": {"state": "pending", "error": "down"}}}
        ],
        "pruned": {"s": {"removed": ["k"], "bytes_freed": 5, "kept": 3}},
        "sources_deleted": ["/x"],
        "skipped": [{"path": "/a\nb\udcff", "reason": "a pipe"}] * 12,
        "spool": {"archives": 1, "bytes": 10},
    }
    lines = recap_of(complete(recap)).splitlines()
    assert lines[1:3] == ["  ERROR    bad", "  warning  odd"]
    assert "           -- s: down" in lines
    assert any("1 removed" in line and "3 kept" in line for line in lines)
    assert any(r"/a\nb\xff: a pipe" in line for line in lines)
    assert lines[-1].startswith("  spool    1 archive(s)")


def test_the_error_of_a_store_is_shown_once():
    pending = {"state": "pending", "error": "s3://b: down. Check it"}
    archive = {"state": "spooled", "name": "a", "size": 10, "source_bytes": 20, "stores": {"s": pending}}
    recap = {"job": "x", "errors": ["store s: s3://b: down. Check it"], "archives": [archive, archive]}
    text = recap_of(complete(recap))
    assert text.count("down") == 1 and text.count("-- s: pending") == 2
    declined = {**archive, "stores": {"s": {"state": "pending", "error": "not confirmed"}}}
    assert "-- s: not confirmed" in recap_of(complete({**recap, "archives": [declined]}))


def test_tables_are_as_wide_as_their_widest_cell():
    assert report.table(("A", "B"), [("long", "x"), ("s", "y")]) == "A     B\nlong  x\ns     y"
    # On a terminal, each of these is four columns wide; the accent is a character of its own.
    assert report.table(("A", "B"), [("日本", "x"), ("cafe\u0301", "y")]) == "A     B\n日本  x\ncafe\u0301  y"
    assert report.archives([]) == "no archives"
    assert report.verified([]) == "no archives"


def test_the_plan_of_a_dry_run_may_leave_out_what_stays():
    plan = [{"action": action, "key": key, "time": "", "reason": "why"} for action, key in (("remove", "old"), ("keep", "new"))]
    pruned = {"removed": ["old"], "failed": {}, "bytes_freed": 5, "kept": 1, "plan": plan}
    record = complete({"job": "x", "check": True, "errors": [], "pruned": {"s": pruned}})
    assert [line.split() for line in recap_of(record).splitlines()[-2:]] == [["remove", "old", "(why)"], ["keep", "new", "(why)"]]
    short = recap_of(record, kept=False)
    assert "remove old" in short and "1 removed (5 B), 1 kept" in short and "keep " not in short


def row(key, start, host="web1", **stores):
    return {
        "key": key,
        "host": host,
        "job": "syslog",
        "period": {"start": start, "end": start[:-1] + "9"},
        "size": 5,
        "source_bytes": 50,
        "sources": [],
        "key_id": None,
        "sha256": "",
        "stores": stores,
    }


def test_a_summary_counts_what_can_be_restored():
    rows = [
        row("c", "2024-01-03", local="read_back", s3="pending"),
        row("b", "2024-01-02", local="size", s3="size"),
        row("gone", "2024-01-01", local="pruned", s3="given up"),
        row("a", "2024-01-09", local="pruned", s3="pending"),
        row("z", "2024-01-02", host="db1", s3="held"),
    ]
    blank = {"job": "syslog", "source_bytes": 50, "size": 5, "waiting": 0}
    assert report.listed(rows) == [
        {**blank, "host": "db1", "archives": 1, "start": "2024-01-02", "end": "2024-01-09", "stores": {"s3": 1}},
        {
            **blank,
            "host": "web1",
            "archives": 2,
            "waiting": 1,
            "size": 10,
            "source_bytes": 100,
            "start": "2024-01-02",
            "end": "2024-01-09",
            "stores": {"local": 2, "s3": 1},
        },
    ]
    lines = report.listing(report.listed(rows)).splitlines()
    assert lines[2].split() == ["web1", "syslog", "2024-01-02", "2024-01-09", "2", "10", "B", "local=2", "s3=1", "1"]
    assert lines[-1] == "3 archive(s), 15 B"
    assert report.listing([]) == "no archives"
    only_waiting = report.listing(report.listed([row("a", "2024-01-09", s3="pending")]))
    assert only_waiting.splitlines()[1].split() == ["web1", "syslog", "-", "-", "0", "0", "B", "-", "1"]


def test_keys_show_no_key():
    text = report.keys("/k", [KeyInfo("00", None, current=True, removed=False)], True)
    assert text == "/k: changed\nKEY ID  SINCE    USE\n00      unknown  current"
