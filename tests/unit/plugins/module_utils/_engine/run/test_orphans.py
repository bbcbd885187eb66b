# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is left of jobs, stores and earlier names: it is a row of ``status``, and can be sent, adopted or removed, each by its own word."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import main as cli
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import files
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job, orphans as orphans_of
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state import orphans
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.orphan_metrics import ORPHAN_METRICS
from rigs.host import COMMAND, JOB, NAME, NOW, Host, files_below
from rigs.runs import assert_all_archived, read_logs, tree

pytest.importorskip("cryptography")
LONG = ("--max-age", "36000d")


def call(host: Host, *arguments: str) -> t.Tuple[int, t.Any, str]:
    """The exit code, the JSON and the errors of the command."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = cli.main([*arguments, "--json", "--config", str(host.folder / "jobs")])
    return code, json.loads(output.getvalue()), errors.getvalue()


def run(host: Host, path: pathlib.Path) -> t.Dict[str, t.Any]:
    return job.run(files.load(str(path)), now=NOW, documented=True)


def left(host: Host) -> t.List[t.Tuple[str, str, str]]:
    """The orphans in status: (kind, job, text)."""
    code, rows, _errors = call(host, "status", *LONG)
    found = [(row["orphan"], row["job"], row["state"]) for row in rows if "orphan" in row]
    assert code == (3 if found else max(row["exit_code"] for row in rows))
    return found


@pytest.fixture
def other(host: Host) -> Host:
    """A host with a second job, 'other', which has run and finds nothing."""
    (host.folder / "none").mkdir()
    assert run(host, host.write_document(name="other", select={"paths": [str(host.folder / "none")]}))["exit_code"] == 0
    return host


@pytest.fixture
def waiting(other: Host) -> Host:
    """The same, after a job was removed while its two archives waited for the store."""
    other.write_logs(12, 13)
    other.store.write_text("")  # A file in the place of the store's folder.
    path = other.write_document()
    assert run(other, path)["exit_code"] == 3
    path.unlink()
    other.store.unlink()
    return other


@pytest.fixture
def gone(other: Host) -> Host:
    """The same, but the store has the archives of the job that was removed."""
    other.write_logs(12, 13)
    path = other.write_document()
    assert run(other, path)["exit_code"] == 0
    path.unlink()
    return other


def test_a_host_without_leftovers_has_no_orphans(other: Host) -> None:
    assert left(other) == []
    assert call(other, "orphans")[:2] == (0, [])


def test_archives_in_the_spool_of_a_job_without_a_document_are_an_orphan(waiting: Host) -> None:
    ((kind, name, text),) = left(waiting)
    assert (kind, name) == ("job", JOB)
    assert text.startswith("no document names this job: 2 archive(s), ")
    assert text.endswith("wait in %s, 3 file(s) in %s" % (waiting.spool, waiting.state))
    code, (row,), _errors = call(waiting, "orphans")
    assert (code, row["spool"]["archives"], row["stores"]) == (3, 2, {})


def test_without_a_catalog_too(waiting: Host) -> None:
    for path in waiting.state.iterdir():
        path.unlink()
    assert [(row["orphan"], row["job"], row["spool"]["archives"]) for row in call(waiting, "orphans")[1]] == [("job", JOB, 2)]


@pytest.mark.parametrize(
    "written",
    [
        {"spool": "{folder}/file"},
        {"spool": "{folder}/file/below"},
        {"spool": "{folder}/loop"},
        {"spool": "/" + 5000 * "x"},
        {"spool": "a\0b"},
        {"spool": "\ud800"},
        {"state": "{folder}/file"},
        {"state": "{folder}/loop"},
        {"state": "a\0b"},
        {"state": "\ud800"},
        {"was": ["\ud800"]},
        {"stores": [{"name": ["a"]}]},
        {"name": "b\udcff"},
    ],
    ids=lambda written: next(iter(written)),
)
def test_a_document_with_mistakes_does_not_hide_the_other_jobs(other: Host, written: t.Dict[str, t.Any]) -> None:
    (other.folder / "file").touch()
    (other.folder / "loop").symlink_to("loop")
    (other.state / "b\udcff.ledger").touch()
    text = json.dumps({"name": "bad", **written}).replace("{folder}", str(other.folder))
    path = other.folder / "jobs" / (written.get("name", "bad") + ".json")
    path.touch(0o600)
    path.write_text(text)
    code, rows, _errors = call(other, "status", *LONG)
    assert (code, {row["job"]: row["exit_code"] for row in rows if "orphan" not in row}["other"]) == (2, 0)
    code, rows, errors = call(other, "orphans")
    if written.get("spool", written.get("state")) in ("a\0b", "\ud800"):
        assert (code, "there may be more orphans" in errors) == (2, True)
    else:
        assert (code, errors) == (3 if rows else 0, "")


@pytest.mark.parametrize("written", [None, b"{", b"[]", b'{"was": ["%s"], "spool": ""' % JOB.encode()])
def test_a_document_that_cannot_be_read_may_name_what_is_left(waiting: Host, written: t.Optional[bytes]) -> None:
    path = waiting.folder / "jobs" / "new.json"
    if written is None:
        path.mkdir()
    else:
        path.write_bytes(written)
    code, rows, errors = call(waiting, "orphans")
    assert (code, [row["job"] for row in rows]) == (2, [JOB])
    assert "there may be more orphans: %s: " % path in errors
    before = tree(waiting.folder)
    for action in (["send", "--stores-of", "other"], ["remove", "--spool"], ["remove-archives", "--stores-of", "other"]):
        code, error, _errors = call(waiting, "orphans", action[0], JOB, *action[1:])
        assert (code, str(path) in error["error"]["text"]) == (2, True)
    assert tree(waiting.folder) == before
    path.rmdir() if written is None else path.unlink()
    assert call(waiting, "orphans", "remove", JOB, "--spool")[0] == 0
    path.write_bytes(b"{")
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
        assert cli.main(["orphans", "--config", str(path.parent)]) == 2
    assert output.getvalue() == ""


def test_a_catalog_that_cannot_be_used_may_have_more_orphans(waiting: Host) -> None:
    metrics = waiting.folder / "metrics"
    metrics.mkdir()
    (waiting.state / "catalog.sqlite").write_bytes(b"no database" * 1000)
    code, _rows, errors = call(waiting, "orphans")
    assert (code, "there may be more orphans" in errors) == (1, True)
    waiting.write_document(name="other", notify=[{"type": "textfile", "path": str(metrics)}])
    assert call(waiting, "metrics")[0] == 1
    assert [path.name for path in metrics.iterdir() if "orphan" in path.name] == []


def test_a_folder_that_cannot_be_read_may_have_more_orphans(waiting: Host) -> None:
    # Root reads every folder, unless it gives up this right.
    no_right = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    command = [*no_right, *COMMAND, "orphans", "--config", str(waiting.folder / "jobs")]
    waiting.spool.chmod(0)
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=waiting.environment(), check=False)
    finally:
        waiting.spool.chmod(0o700)
    assert (done.returncode, done.stdout) == (1, "")
    assert "there may be more orphans: %s: cannot read the folder: Permission denied" % waiting.spool in done.stderr


def test_what_waits_can_be_sent_with_the_stores_of_another_job(waiting: Host) -> None:
    before = tree(waiting.folder)
    code, (record,), _errors = call(waiting, "orphans", "send", JOB, "--stores-of", "other", "--dry-run")
    assert (code, [archive["state"] for archive in record["archives"]]) == (0, ["would be sent"] * 2)
    assert tree(waiting.folder) == before
    code, (record,), _errors = call(waiting, "orphans", "send", JOB, "--stores-of", "other", "--store", "file")
    assert (code, [archive["state"] for archive in record["archives"]]) == (0, ["done"] * 2)
    assert_all_archived(waiting, read_logs(waiting))
    assert call(waiting, "orphans", "send", JOB, "--stores-of", "other")[0] == 2


def test_the_records_of_archives_in_stores_are_an_orphan(gone: Host) -> None:
    text = "no document names this job: 2 archive(s) in store file, 4 file(s) in %s" % gone.state
    assert left(gone) == [("job", JOB, text)]


def test_they_are_adopted_by_a_job_that_lists_the_name(gone: Host) -> None:
    code, error, _errors = call(gone, "orphans", "adopt", JOB, "--into", "other")
    assert (code, error["error"]["message"]) == (2, "the job 'other' does not list 'syslog' in 'was'")
    gone.write_document(name="other", was=[JOB], select={"paths": [str(gone.folder / "none")]})
    assert left(gone) == []
    assert call(gone, "orphans", "adopt", JOB, "--into", "other", "--dry-run")[1] == [{"job": "other", "adopted": [JOB], "changed": True}]
    assert call(gone, "orphans", "adopt", JOB, "--into", "other")[1] == [{"job": "other", "adopted": [JOB], "changed": True}]
    assert call(gone, "orphans", "adopt", JOB, "--into", "other")[1] == [{"job": "other", "adopted": [], "changed": False}]
    with contextlib.closing(Catalog(str(gone.state))) as catalog:
        assert (len(catalog.entries("other")), catalog.entries(JOB)) == (2, [])


def test_records_are_removed_and_the_archives_stay(gone: Host) -> None:
    stored = files_below(gone.store)
    code, error, _errors = call(gone, "orphans", "remove", JOB)
    assert (code, error["error"]["message"]) == (1, "this host would no longer know 2 archive(s) in file")
    before = tree(gone.folder)
    assert call(gone, "orphans", "remove", JOB, "--records", "--dry-run")[0] == 0
    assert tree(gone.folder) == before
    assert call(gone, "orphans", "remove", JOB, "--records")[0] == 0
    assert (left(gone), files_below(gone.store)) == ([], stored)
    assert [name for name in os.listdir(gone.state) if name.startswith(JOB)] == []
    assert call(gone, "orphans", "remove", JOB, "--records")[0] == 2


def test_its_archives_are_removed_from_a_store_each_with_its_tombstone(gone: Host) -> None:
    archives = [name for name in files_below(gone.store) if ".tgz.fernet" in name]
    assert len(archives) == 4
    before = tree(gone.folder)
    words = ("orphans", "remove-archives", JOB, "--stores-of", "other")
    code, (record,), _errors = call(gone, *words, "--dry-run")
    planned = record["pruned"]["file"]
    assert (code, len(planned["removed"]), {row["reason"] for row in planned["plan"]}) == (0, 2, {orphans_of.REASON})
    assert tree(gone.folder) == before
    code, (record,), _errors = call(gone, *words)
    assert (code, record["changed"], record["pruned"]["file"]["removed"]) == (0, True, planned["removed"])
    assert [name for name in files_below(gone.store) if ".tgz.fernet" in name] == []
    entries = [json.loads(line) for line in (gone.state / "syslog.ledger").read_text().splitlines()]
    assert [(entry["payload"]["archive"], entry["payload"]["rule"]) for entry in entries if entry["op"] == "prune"] == [
        (key, orphans_of.REASON) for key in planned["removed"]
    ]
    # The ledger proves what was removed, until somebody removes it too.
    assert left(gone) == [("job", JOB, "no document names this job: 4 file(s) in %s" % gone.state)]
    assert call(gone, *words)[0] == 2
    assert call(gone, "orphans", "remove", JOB)[0] == 0
    assert left(gone) == []


def other_with(host: Host, **changes: t.Any) -> None:
    """Change the store of the other job."""
    host.write_document(name="other", select={"paths": [str(host.folder / "none")]}, stores=[{**host.stores[0], **changes}])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"append_only": True}, "the store is append-only for this host"),
        ({"path": "elsewhere"}, "the store does not list 2 archive(s) that the catalog records, so none was removed"),
    ],
    ids=["append-only", "another place"],
)
def test_archives_that_cannot_be_removed_stay_known(gone: Host, changes: t.Dict[str, t.Any], message: str) -> None:
    if "path" in changes:
        changes = {"path": str(gone.folder / changes["path"])}
    other_with(gone, **changes)
    stored, before = files_below(gone.store), left(gone)
    code, (record,), _errors = call(gone, "orphans", "remove-archives", JOB, "--stores-of", "other")
    assert (code, record["changed"]) == (1, False)
    assert message in record["errors"][0]
    assert (files_below(gone.store), left(gone)) == (stored, before)


def test_a_removal_of_archives_needs_a_job_with_their_store_and_an_empty_spool(gone: Host) -> None:
    other_with(gone, name="renamed")
    code, error, _errors = call(gone, "orphans", "remove-archives", JOB, "--stores-of", "other")
    assert (code, error["error"]["message"]) == (2, "the job 'other' has no store file")
    other_with(gone)
    gone.write_logs(14)
    mode = gone.store.stat().st_mode
    path = gone.write_document()
    gone.store.rename(gone.folder / "away")
    gone.store.write_text("")
    assert run(gone, path)["exit_code"] == 3
    path.unlink()
    gone.store.unlink()
    (gone.folder / "away").rename(gone.store)
    assert gone.store.stat().st_mode == mode
    code, error, _errors = call(gone, "orphans", "remove-archives", JOB, "--stores-of", "other")
    assert (code, error["error"]["message"]) == (1, "1 archive(s) wait in the spool")


def test_hosts_with_archives_in_a_store(gone: Host, capsys: pytest.CaptureFixture[str]) -> None:
    (gone.store / "web9" / "syslog").mkdir(parents=True)
    pytest.importorskip("paramiko")
    second = {"type": "sftp", "name": "second", "host": "127.0.0.1", "port": 1, "user": "nobody", "password": "none", "path": "/x"}
    second.update(attempts=1, accept_new_host_key=True, known_hosts_file=str(gone.folder / "known_hosts"))
    gone.write_document(name="other", select={"paths": [str(gone.folder / "none")]}, stores=[*gone.stores, second])
    code, (first, failed), _errors = call(gone, "list", "--hosts")
    assert (code, first["store"], first["location"], first["hosts"], first["own"]) == (3, "file", str(gone.store), [NAME, "web9"], [NAME])
    assert (failed["store"], failed["hosts"], bool(failed["error"])) == ("second", [], True)
    assert call(gone, "list", "--hosts", "--store", "file")[:2] == (0, [first])
    assert cli.main(["list", "--hosts", "--store", "file", "--config", str(gone.folder / "jobs")]) == 0
    assert [text.split()[:2] for text in capsys.readouterr().out.splitlines()[1:]] == [["file", NAME], ["file", "web9"]]


def test_archives_in_the_spool_are_given_up_by_their_own_word(waiting: Host) -> None:
    code, error, _errors = call(waiting, "orphans", "remove", JOB, "--records")
    assert (code, error["error"]["message"]) == (1, "2 archive(s) wait in the spool, and may be in no store")
    assert len(waiting.spooled()) == 4
    assert call(waiting, "orphans", "remove", JOB, "--spool")[0] == 0
    assert (left(waiting), waiting.spooled()) == ([], [])


def test_a_store_that_the_job_no_longer_has(host: Host) -> None:
    host.write_logs(12, 13)
    second = {"type": "file", "name": "second", "path": str(host.folder / "second")}
    assert run(host, host.write_document(stores=[*host.stores, second]))["exit_code"] == 0
    host.write_document()
    unseen = "A key or account that it used there cannot be seen from here"
    assert left(host) == [("store", JOB, "the job no longer has this store: 2 archive(s) in store second. %s" % unseen)]
    assert call(host, "orphans", "remove", JOB, "--store", "second", "--records")[0] == 0
    assert left(host) == []
    assert run(host, host.folder / "jobs" / "syslog.json")["archives"] == []


def test_an_earlier_name_that_is_no_longer_listed(host: Host) -> None:
    host.write_logs(12)
    run(host, host.write_document())
    (host.folder / "jobs" / "syslog.json").unlink()
    run(host, host.write_document(name="a_b", was=[JOB]))
    assert left(host) == []
    host.write_document(name="a_b")
    text = "the job no longer lists the earlier name 'syslog' in 'was': 1 archive(s) in store file"
    assert left(host) == [("name", "a_b", text)]
    assert call(host, "orphans", "remove", "a_b", "--records")[0] == 0
    assert left(host) == []


def test_a_job_that_runs_without_a_document_is_none_until_it_stops(other: Host) -> None:
    other.write_logs(12)
    assert other.run()["exit_code"] == 0  # As the module archive_run does.
    documents = files.all_given(str(other.folder / "jobs"))
    soon, late = (NOW.timestamp() + days * 86400 for days in (1, 40))
    assert [row["job"] for row in orphans.find(documents, soon, False)] == []
    assert [row["job"] for row in orphans.find(documents, late, False)] == [JOB]


def test_they_are_metrics_of_the_host(waiting: Host) -> None:
    textfiles = waiting.folder / "textfiles"
    textfiles.mkdir()
    notify = [{"type": "textfile", "path": str(textfiles)}]
    waiting.write_document(name="other", select={"paths": [str(waiting.folder / "none")]}, notify=notify)
    (row,) = call(waiting, "orphans")[1]
    assert call(waiting, "run", "other", "--dry-run")[0] == 0
    assert list(textfiles.iterdir()) == []
    assert call(waiting, "run", "other")[0] == 0

    def values() -> t.Dict[str, str]:
        lines = (textfiles / "log_archive-orphans.prom").read_text().splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))

    found = {"orphans": 1, "orphan_spool_archives": 2, "orphan_spool_bytes": row["spool"]["bytes"], "orphan_store_archives": 0}
    assert values() == {'log_archive_%s{host="%s"}' % (name, NAME): str(value) for name, value in found.items()}
    assert call(waiting, "orphans", "remove", JOB, "--spool")[0] == 0
    assert call(waiting, "metrics")[0] == 0
    assert set(values().values()) == {"0"}
    shutil.rmtree(textfiles)
    code, _rows, errors = call(waiting, "metrics")
    assert code == 1 and "log-archive: cannot write the metrics of orphans" in errors


def test_the_documentation_has_their_metrics() -> None:
    text = (pathlib.Path(__file__).resolve().parents[6] / "docs" / "metrics.md").read_text().partition("## Orphans")[2].partition("## ")[0]
    listed = re.findall(r"^\| `log_archive_(\w+)` \| (\w+) \| (.*) \|$", text, re.MULTILINE)
    assert listed == list(ORPHAN_METRICS)


def test_orphans_are_shown_on_a_host_without_any_job_and_for_people(waiting: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["orphans", "--config", str(waiting.folder / "jobs")]) == 3
    assert capsys.readouterr().out.startswith("orphan  syslog  no document names this job: 2 archive(s)")
    assert cli.main(["status", *LONG, "--config", str(waiting.folder / "jobs")]) == 3
    assert "orphan  syslog  no document names this job" in capsys.readouterr().out


def test_one_job_or_one_document_is_not_asked_for_orphans(waiting: Host) -> None:
    code, rows, _errors = call(waiting, "status", "other", *LONG)
    assert (code, [row["job"] for row in rows]) == (0, ["other"])


def test_send_ships_what_waits_and_archives_nothing_new(host: Host) -> None:
    host.write_logs(12)
    host.store.write_text("")
    path = host.write_document()
    assert run(host, path)["exit_code"] == 3
    assert call(host, "send", JOB)[0] == 3
    host.store.unlink()
    host.write_logs(13)
    assert [archive["state"] for archive in call(host, "send", "--all", "--dry-run")[1][0]["archives"]] == ["would be sent"]
    code, (record,), _errors = call(host, "send", JOB)
    assert (code, record["outcome"], [archive["state"] for archive in record["archives"]]) == (0, "done", ["done"])
    assert [name for name in files_below(host.store) if name.endswith("13.tgz.fernet")] == []
    assert call(host, "ledger", "verify")[0] == 0
    assert call(host, "send", JOB)[1][0]["outcome"] == "nothing to do"


@pytest.mark.parametrize(
    "arguments",
    [["send", JOB], ["remove-archives", JOB], ["adopt", JOB], ["remove"], ["list", "--spool"], ["adopt", JOB, "--records"]],
    ids=["no stores", "no stores to remove from", "no job to adopt it", "no name", "option of remove", "option of another action"],
)
def test_wrong_usage_is_refused(other: Host, arguments: t.List[str]) -> None:
    assert call(other, "orphans", *arguments)[0] == 2
