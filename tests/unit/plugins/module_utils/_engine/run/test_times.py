# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modification times at both ends of the calendar: what is archived can be restored, and what cannot be is skipped by name."""

from __future__ import annotations

import os

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import FIRST_SECOND, LAST_SECOND
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state import spool as spools
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from rigs.host import JOB, NAME, Host, file_store
from rigs.runs import ALL, assert_all_archived, lose, read_logs, restore

pytest.importorskip("cryptography")

DATES = {
    "first": FIRST_SECOND * 10**9,
    "1901": -2177452800 * 10**9 - 1,
    "before-1970": -1,
    "1970": 0,
    "1970-and-a-nanosecond": 1,
    "2024": 1705068000123456789,
    "tar-needs-a-pax-header": (1 << 33) * 10**9,
    "2242-03-16": 8589934592 * 10**9 + 5,
    "last-in-64-bits": (1 << 63) - 1,
    "2262-and-later": 1 << 63,
    "3000": 32503680000 * 10**9 + 999_999_999,
    "last": LAST_SECOND * 10**9 + 999_999_999,
}


def write_dated(host: Host) -> None:
    for name, mtime_ns in DATES.items():
        path = host.logs / name
        path.write_text(name)
        os.utime(path, ns=(0, mtime_ns))
        if os.stat(path).st_mtime_ns != mtime_ns:
            pytest.skip("this file system has no such dates")


@pytest.mark.parametrize(
    ("zone", "group"), [("UTC", "file"), ("local", "period"), ("Pacific/Kiritimati", "run"), ("America/Los_Angeles", "file")]
)
def test_what_is_archived_is_restored_to_the_nanosecond(host, zone, group):
    write_dated(host)
    changes = {"select": dict(ALL, timezone=zone), "archive": {"group": group, "name": "{stem}-%Y%m%d"}}
    record = host.run(**changes)
    assert (record["exit_code"], record["warnings"]) == (0, [])
    assert host.run(**changes)["outcome"] == "nothing to do"
    assert_all_archived(host, read_logs(host))
    restore(host, host.folder / "to")
    for name, mtime_ns in DATES.items():
        assert os.stat(host.folder / "to" / str(host.logs / name)[1:]).st_mtime_ns == mtime_ns


@pytest.mark.parametrize("gone", [False, True])
def test_a_run_that_was_killed_before_the_catalog_knew_the_archive_is_completed(host, monkeypatch, gone):
    write_dated(host)

    def die(*_arguments):
        raise KeyboardInterrupt

    wanted = read_logs(host)
    with monkeypatch.context() as patched:
        patched.setattr(Catalog, "add", die)
        with pytest.raises(KeyboardInterrupt):
            host.run(select=ALL, archive={"group": "run"})
    if gone:
        for path in host.logs.iterdir():
            path.unlink()
    assert host.run(select=ALL, archive={"group": "run"})["errors"] == []
    assert_all_archived(host, wanted)


def test_a_lost_catalog_is_relearned(host):
    write_dated(host)
    host.run(select=ALL)
    lose(host, "state")
    assert host.run(select=ALL)["errors"] == []
    assert_all_archived(host, read_logs(host))


@pytest.mark.parametrize("mtime_ns", [FIRST_SECOND * 10**9 - 1, (LAST_SECOND + 1) * 10**9])
def test_a_time_that_is_no_date_is_skipped_by_name(host, mtime_ns):
    host.write_logs(14)
    good = read_logs(host)
    bad = host.logs / "bad"
    bad.write_text("bad")
    os.utime(bad, ns=(0, mtime_ns))
    if os.stat(bad).st_mtime_ns != mtime_ns:
        pytest.skip("this file system has no such dates")
    record = host.run(select=ALL)
    assert [(each["path"], "not a valid date" in each["reason"]) for each in record["skipped"]] == [(str(bad), True)]
    assert_all_archived(host, good)


def test_a_time_that_becomes_no_date_before_it_is_packed_is_an_error_of_that_log_alone(host, monkeypatch):
    host.write_logs(13, 14)
    good = read_logs(host)
    bad = host.logs / "bad"
    bad.write_text("bad")
    is_free = spools.Spool.is_free

    def set_time(self, key):
        if "bad" in key:
            os.utime(bad, ns=(0, (LAST_SECOND + 1) * 10**9))
        return is_free(self, key)

    monkeypatch.setattr(spools.Spool, "is_free", set_time)
    record = host.run(select=ALL)
    if os.stat(bad).st_mtime <= LAST_SECOND:
        pytest.skip("this file system has no such dates")
    assert ["not a valid date" in error for error in record["errors"]] == [True]
    assert_all_archived(host, good)


def test_keys_of_the_first_centuries_are_keys(host):
    write_dated(host)
    host.run(select=ALL)
    assert len(file_store(host.store).list("%s/%s/0001/01/03/" % (NAME, JOB))) == 2
