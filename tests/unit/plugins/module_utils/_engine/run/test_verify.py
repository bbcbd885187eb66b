# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""log-archive verify: what it records and reports, and that an upload in flight is not a failure."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.naming import manifest_key
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import durable
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state import status
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from rigs.host import JOB, NOW, Host, archives_in, file_store

pytest.importorskip("cryptography")


@pytest.fixture
def host(tmp_path):
    """A host with two archives, and a job with receivers."""
    made = Host(tmp_path)
    (tmp_path / "metrics").mkdir()
    made.notify = [{"type": "log", "path": str(tmp_path / "recaps.jsonl")}, {"type": "textfile", "path": str(tmp_path / "metrics")}]
    made.write_logs(13, 14)
    made.write_document(notify=made.notify)
    made.run(notify=made.notify)
    (tmp_path / "recaps.jsonl").unlink()
    made.events.unlink()
    return made


def verify(host, *arguments, code):
    done = host.command("verify", "--json", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def keys_of(host):
    return sorted(archives_in(file_store(host.store)))


def damage(host, key):
    path = host.store / key
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)


def recaps(host):
    path = host.folder / "recaps.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def metric(host, name):
    text = (host.folder / "metrics" / ("log_archive_%s.prom" % JOB)).read_text()
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith("log_archive_%s{" % name))


def test_a_failure_stays_until_the_archive_verifies_again(host):
    key = keys_of(host)[0]
    whole = (host.store / key).read_bytes()
    damage(host, key)
    failed = [row for row in verify(host, code=4) if row["error"]]
    assert [row["key"] for row in failed] == [key]
    events = [json.loads(line) for line in host.events.read_text().splitlines()]
    assert [event["event"] for event in events] == ["error", "verified", "run_ended"]
    assert key in events[0]["text"]
    (record,) = recaps(host)
    assert (record["outcome"], record["exit_code"], len(record["errors"])) == ("integrity failure", 4, 1)
    assert (metric(host, "verify_failures"), metric(host, "last_verify_timestamp_seconds") > 0) == (1, True)
    later = host.run(notify=host.notify)
    assert "store file: 1 archive(s) failed verification: %s" % key in later["warnings"][0]
    row = status.of(host.document(), now=NOW)
    assert (row["state"], row["exit_code"], row["verifications"]["file"]["failed"]) == ("verification failed in file (1)", 4, 1)
    assert metric(host, "verify_failures") == 1
    (host.store / key).write_bytes(whole)
    verify(host, "--since", "2024-01-12T14:00Z", code=0)
    assert status.of(host.document(), now=NOW)["exit_code"] == 4, "that archive was not verified"
    verify(host, code=0)
    assert status.of(host.document(), now=NOW)["state"] == "fine"
    assert metric(host, "verify_failures") == 0
    assert recaps(host)[-1]["outcome"] == "nothing to do" and len(recaps(host)) == 3
    verify(host, code=0)
    assert len(recaps(host)) == 3, "only a change is reported"


def test_a_failed_archive_that_is_pruned_is_none_any_more(host):
    damage(host, keys_of(host)[0])
    verify(host, code=4)
    host.write_document(retention={"keep_last": 1, "max_delete_share": 1})
    assert host.command("prune", JOB).returncode == 0
    assert status.of(host.document(), now=NOW)["verifications"]["file"]["failed"] == 0


def test_a_source_of_which_the_only_copy_failed_is_not_deleted(host):
    damage(host, keys_of(host)[0])
    verify(host, code=4)
    deleted = host.run(delete_sources=True)["sources_deleted"]
    assert deleted == [str(host.logs / "syslog.20240112.14")]


@pytest.mark.parametrize("active", [True, False])
def test_an_upload_in_flight_is_no_failure(host, active):
    """There is only a manifest, and the catalog awaits the archive: a run sends it now, or was killed."""
    key = keys_of(host)[0]
    _set_state(host, key, "pending")
    (host.store / key).unlink()
    note = "its upload is under way" if active else "its upload was cut; the next run completes it"
    assert _verified_while(host, active, 0 if active else 3) == {key: note}
    assert recaps(host) == []
    assert status.of(host.document(), now=NOW)["verifications"]["file"]["failed"] == 0


@pytest.mark.parametrize("active", [True, False])
def test_a_removal_in_flight_is_no_failure(host, active):
    key = keys_of(host)[0]
    _set_state(host, key, "pruned")
    (host.store / key).unlink()
    assert list(_verified_while(host, active, 0 if active else 3)) == [key]


def test_what_the_catalog_has_as_verified_is_a_failure_although_a_run_is_active(host):
    key = keys_of(host)[0]
    (host.store / key).unlink()
    assert _verified_while(host, True, 4) == {}
    os.unlink(host.store / manifest_key(key))
    assert _verified_while(host, True, 4) == {}


def test_a_damaged_archive_is_a_failure_whatever_the_catalog_has(host):
    key = keys_of(host)[0]
    _set_state(host, key, "pending")
    damage(host, key)
    assert _verified_while(host, True, 4) == {}


def test_a_store_that_fails_and_a_bad_document_do_not_hide_the_others(host):
    stores = [{"type": "file", "name": "gone", "path": str(host.folder / "no" / "where"), "attempts": 1}, *host.stores]
    host.write_document(stores=stores)
    (host.folder / "jobs" / "another.json").write_text("{")
    rows = verify(host, code=2)
    assert [(row["job"], row["store"], row["error"] is None) for row in rows] == [
        ("another", None, False),
        (JOB, "gone", False),
        (JOB, "file", True),
        (JOB, "file", True),
    ]
    (host.folder / "jobs" / "another.json").unlink()
    verify(host, code=1)
    shown = host.command("verify").stdout
    assert "FAILED  gone  -: " in shown and "ok      file  2 archive(s) by read_back" in shown


def _set_state(host, key, state):
    catalog = Catalog(str(host.state))
    catalog._database.execute("UPDATE copies SET state = ? WHERE key = ?", (state, key))
    catalog.close()


def _verified_while(host, active, code):
    if not active:
        rows = verify(host, code=code)
    else:
        with durable.lock(str(host.state / ("%s.lock" % JOB)), wait=False):
            rows = verify(host, code=code)
    return {row["key"]: row["note"] for row in rows if row["note"]}
