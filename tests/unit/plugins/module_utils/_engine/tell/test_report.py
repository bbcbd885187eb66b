# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the command prints for people."""

from __future__ import annotations

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto.keyring import KeyInfo
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import report
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.records import complete


def test_a_recap_of_a_job_that_could_not_begin():
    recap = {"job": "x", "exit_code": 2, "outcome": "failed", "errors": ["why"]}
    assert report.recap(complete(recap)) == "x: failed\n  ERROR    why"


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
    lines = report.recap(complete(recap)).splitlines()
    assert lines[1:3] == ["  ERROR    bad", "  warning  odd"]
    assert "           -- s: down" in lines
    assert any("1 removed" in line and "3 kept" in line for line in lines)
    assert any(r"/a\nb\xff: a pipe" in line for line in lines)
    assert lines[-1].startswith("  spool    1 archive(s)")


def test_the_error_of_a_store_is_shown_once():
    pending = {"state": "pending", "error": "s3://b: down. Check it"}
    archive = {"state": "spooled", "name": "a", "size": 10, "source_bytes": 20, "stores": {"s": pending}}
    recap = {"job": "x", "errors": ["store s: s3://b: down. Check it"], "archives": [archive, archive]}
    text = report.recap(complete(recap))
    assert text.count("down") == 1 and text.count("-- s: pending") == 2
    declined = {**archive, "stores": {"s": {"state": "pending", "error": "not confirmed"}}}
    assert "-- s: not confirmed" in report.recap(complete({**recap, "archives": [declined]}))


def test_tables_are_as_wide_as_their_widest_cell():
    assert report.table(("A", "B"), [("long", "x"), ("s", "y")]) == "A     B\nlong  x\ns     y"
    assert report.archives([]) == "no archives"
    assert report.verified([]) == "no archives"


def test_keys_show_no_key():
    text = report.keys("/k", [KeyInfo("00", None, current=True, removed=False)], True)
    assert text == "/k: changed\nKEY ID  SINCE    USE\n00      unknown  current"
