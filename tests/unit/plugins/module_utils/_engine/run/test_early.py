# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run that cannot begin, or cannot be recorded, reaches the receivers all the same."""

from __future__ import annotations

import json

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import durable
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LockedError, LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.salvage import salvage
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state import catalog as catalogs
from rigs.host import JOB, NAME

pytest.importorskip("cryptography")


@pytest.fixture
def receivers(host):
    """The options of a log of recaps and of metrics, below the folder of the host."""
    (host.folder / "metrics").mkdir()
    return [{"type": "log", "path": str(host.folder / "recaps.jsonl")}, {"type": "textfile", "path": str(host.folder / "metrics")}]


def recaps(host):
    return [json.loads(line) for line in (host.folder / "recaps.jsonl").read_text().splitlines()]


def metrics(host):
    return (host.folder / "metrics" / ("log_archive_%s.prom" % JOB)).read_text()


def break_catalog(host):
    host.run()
    (host.state / "catalog.sqlite").write_bytes(b"not a database, " * 1000)


def replace_state(host):
    host.state.write_text("a file")


def replace_spool(host):
    host.spool.write_text("a file")


@pytest.mark.parametrize("damage", [break_catalog, replace_state, replace_spool])
def test_receivers_events_and_metrics_hear_of_what_cannot_be_used(host, receivers, damage):
    host.write_logs(14)
    damage(host)
    with pytest.raises(LogArchiveError) as caught:
        host.run(notify=receivers)
    (record,) = recaps(host)
    assert (record["job"], record["host"], record["outcome"], record["errors"]) == (JOB, NAME, "failed", [str(caught.value)])
    assert "log_archive_last_run_exit_code{" in metrics(host) and "} %d\n" % caught.value.exit_code in metrics(host)
    events = [json.loads(line) for line in host.events.read_text().splitlines()]
    assert [event["event"] for event in events[-2:]] == ["error", "run_ended"]


def test_another_run_that_is_active_is_no_failure(host, receivers):
    host.state.mkdir(mode=0o700)
    with durable.lock(str(host.state / ("%s.lock" % JOB)), wait=False), pytest.raises(LockedError):
        host.run(notify=receivers)
    assert not (host.folder / "recaps.jsonl").exists()


def test_a_dry_run_notifies_nobody(host, receivers):
    break_catalog(host)
    with pytest.raises(LogArchiveError):
        host.run(notify=receivers, check=True)
    assert not (host.folder / "recaps.jsonl").exists()


def test_a_catalog_that_breaks_during_the_run(host, receivers, monkeypatch):
    """The record cannot be kept; it has an error more, and is delivered."""
    host.write_logs(14)

    def fail(*_arguments):
        raise LogArchiveError("the catalog cannot be written")

    monkeypatch.setattr(catalogs.Catalog, "spooled", fail)
    monkeypatch.setattr("%s.runs.Runs.end" % catalogs.__name__.rpartition(".")[0], fail)
    record = host.run(notify=receivers)
    assert record["errors"].count("the catalog cannot be written") >= 2 and record["exit_code"] == 3
    assert len(recaps(host)) == 1


# -- a document with mistakes -----------------------------------------------------------------------------------------


def test_the_receivers_of_a_document_with_mistakes_hear_of_them(host, receivers):
    path = host.write_document(selct=1, notify=[*receivers, {"type": "mail"}])
    done = host.command("run", "--all", "--json")
    assert done.returncode == 2
    (record,) = recaps(host)
    assert "did you mean 'select'?" in record["errors"][0]
    assert (record["job"], record["host"], record["exit_code"]) == (JOB, NAME, 2)
    assert str(path) in record["errors"][0]
    assert "} 2\n" in metrics(host)
    assert json.loads(host.events.read_text().splitlines()[0])["event"] == "error"


@pytest.mark.parametrize("cut", ['"keyring": ', '"period"', '"spool"'])
def test_receivers_are_read_from_a_document_that_is_no_json(host, receivers, cut):
    given = json.loads(host.write_document(notify=receivers).read_text())
    text = json.dumps({"notify": given.pop("notify"), **given}, indent=1)
    path = host.folder / "jobs" / ("%s.json" % JOB)
    path.write_text(text.replace(cut, "'", 1))
    found = salvage(str(path))
    assert [target["type"] for target in found.notify] == ["log", "textfile"]


def test_receivers_before_the_mistake_are_read(host, receivers):
    path = host.write_document(notify=receivers)
    path.write_text(path.read_text().replace('"textfile"', '"textfile'))
    assert [target["type"] for target in salvage(str(path)).notify] == ["log"]


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '"notify": [', '{"notify": 1, "host": [], "log": 2}', "[" * 100_000, '{"notify": ' + "[" * 100_000]
)
def test_nothing_can_be_read(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    assert salvage(str(path)) == (None, [], None)
    path.write_bytes(b"\xff\xfe")
    assert salvage(str(path)) == (None, [], None)
    assert salvage(str(tmp_path / "missing.json")) == (None, [], None)


# -- one job of several -----------------------------------------------------------------------------------------------


def test_one_bad_document_has_a_row_of_its_own(host):
    host.write_logs(14)
    host.write_document(select={"patterns": ["*"], "period": "none"})
    assert host.command("run", "--all").returncode == 0
    (host.folder / "jobs" / "another.json").write_text('{"name": "another", "selct": 1}')
    done = host.command("status", "--json")
    broken, fine = json.loads(done.stdout)
    assert (done.returncode, broken["job"], broken["exit_code"]) == (2, "another", 2)
    assert "did you mean 'select'?" in broken["state"] and "mistakes in the job document" in broken["state"]
    assert (fine["job"], fine["state"]) == (JOB, "fine")
    shown = host.command("status").stdout.splitlines()
    assert len(shown) == 3 and "mistakes in the job document" in shown[1]
    done = host.command("list", "--json")
    archive, failed = json.loads(done.stdout)
    assert (done.returncode, archive["job"], failed["job"], failed["error"]["kind"]) == (2, JOB, "another", "config")
    done = host.command("list")
    assert done.returncode == 2 and "1 archive(s)" in done.stdout and "did you mean" in done.stderr


def test_a_catalog_that_is_broken_has_a_row_of_its_own(host):
    host.write_document()
    other = host.folder / "other"
    host.write_document(name="other", state=str(other / "state"), spool=str(other / "spool"))
    host.command("run", "--all")
    (other / "state" / "catalog.sqlite").write_bytes(b"not a database, " * 1000)
    done = host.command("status", "--json")
    assert done.returncode == 1
    assert [row["job"] for row in json.loads(done.stdout)] == ["other", JOB]
    assert "the catalog cannot be used" in json.loads(done.stdout)[0]["state"]
