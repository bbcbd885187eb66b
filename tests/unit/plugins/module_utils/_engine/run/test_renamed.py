# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A job that was renamed (``was``): nothing is archived twice, and what it archived before is pruned, restored and audited with it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import shutil
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import durable
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError, LockedError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import main as cli
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import files as documents
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state import removals, renames
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.folders import removals_path
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.ledger import file as files, moving
from rigs.host import JOB, NAME, Host, at, files_below
from rigs.runs import assert_all_archived, lose, read_logs, tree

pytest.importorskip("cryptography")
NEW = "events"
RENAMED = {"name": NEW, "was": [JOB]}
LATER = at("2024-01-12 16:05")
KEEP_TWO = {"retention": {"keep_last": 2, "max_delete_share": 1}}


def keys(job: str, *hours: int) -> t.List[str]:
    return ["%s/%s/2024/01/12/syslog.20240112.%02d.tgz.fernet" % (NAME, job, hour) for hour in hours]


def in_store(host: Host) -> t.List[str]:
    return [name for name in files_below(host.store) if name.endswith(".fernet")]


def call(host: Host, *arguments: str) -> t.Tuple[int, t.Any]:
    """The exit code and the JSON of the command."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = cli.main([*arguments, "--json", "--config", str(host.folder / "jobs")])
    return code, json.loads(output.getvalue())


@pytest.fixture
def archived(host: Host) -> Host:
    """A host that has archived three logs under the earlier name, and has a document with the new one."""
    host.write_logs(12, 13, 14)
    assert host.run()["exit_code"] == 0
    host.write_document(**RENAMED)
    return host


def test_nothing_is_archived_again_and_later_logs_get_the_new_name(archived: Host) -> None:
    archived.write_logs(15)
    record = archived.run(LATER, **RENAMED)
    assert (record["exit_code"], [archive["key"] for archive in record["archives"]]) == (0, keys(NEW, 15))
    assert in_store(archived) == [*keys(NEW, 15), *keys(JOB, 12, 13, 14)]
    assert_all_archived(archived, read_logs(archived))
    again = archived.run(LATER, **RENAMED)
    assert (again["outcome"], again["warnings"]) == ("nothing to do", [])


def test_nothing_is_archived_again_without_a_catalog(archived: Host) -> None:
    lose(archived, "state")
    assert archived.run(**RENAMED)["archives"] == []
    assert in_store(archived) == keys(JOB, 12, 13, 14)


def test_a_run_looks_back_to_the_last_success_under_the_earlier_name(archived: Host) -> None:
    """catch_up alone does not reach the log of 15 o'clock."""
    archived.write_logs(15)
    record = archived.run(at("2024-01-13 09:05"), select={"catch_up": "0"}, **RENAMED)
    assert [archive["key"] for archive in record["archives"]] == keys(NEW, 15)


def test_archives_of_the_earlier_name_are_pruned_by_the_rules_of_the_new_one(archived: Host) -> None:
    archived.write_logs(15)
    assert archived.run(LATER, **RENAMED, **KEEP_TWO)["pruned"]["file"]["removed"] == keys(JOB, 12, 13)
    assert in_store(archived) == [*keys(NEW, 15), *keys(JOB, 14)]
    assert call(archived, "ledger", "verify")[0] == 0


def test_they_are_one_group_for_retention_without_a_catalog_too(archived: Host) -> None:
    lose(archived, "state")
    archived.write_logs(15)
    assert archived.run(LATER, **RENAMED, **KEEP_TWO)["pruned"]["file"]["removed"] == keys(JOB, 12, 13)


def test_a_dry_run_shows_that_and_changes_nothing(archived: Host) -> None:
    before = tree(archived.folder)
    record = archived.run(LATER, check=True, **RENAMED, **KEEP_TWO)
    assert (record["archives"], record["pruned"]["file"]["removed"]) == ([], keys(JOB, 12))
    assert tree(archived.folder) == before
    archived.run(LATER, **RENAMED)
    before = tree(archived.folder)
    assert archived.run(LATER, check=True, **RENAMED)["changed"] is False
    assert tree(archived.folder) == before


def test_before_the_next_run_the_commands_know_the_job_already_and_change_nothing(archived: Host, tmp_path: pathlib.Path) -> None:
    before = tree(archived.state)
    _code, (row,) = call(archived, "status", "--max-age", "36000d")
    assert (row["job"], row["archives"], row["findings"], row["exit_code"]) == (NEW, 3, [], 0)
    assert row["ledger"] is not None
    assert [row["key"] for row in call(archived, "list")[1]] == keys(JOB, 12, 13, 14)
    assert call(archived, "ledger", "verify")[0] == 0
    code, rows = call(archived, "restore", "--to", str(tmp_path / "to"), "--since", "2024-01-12")
    assert (code, [row["state"] for row in rows]) == (0, ["written"] * 3)
    assert tree(archived.state) == before


@pytest.mark.parametrize("name", [NEW, JOB])
def test_archives_are_restored_under_each_name(archived: Host, tmp_path: pathlib.Path, name: str) -> None:
    archived.write_logs(15)
    archived.run(LATER, **RENAMED)
    code, rows = call(archived, "restore", name, "--to", str(tmp_path / "to"), "--since", "2024-01-12")
    assert (code, sorted(row["archive"] for row in rows)) == (0, [*keys(NEW, 15), *keys(JOB, 12, 13, 14)])
    code, rows = call(archived, "restore", name, "--to", str(tmp_path / "last"), "--latest")
    assert (code, [row["archive"] for row in rows]) == (0, keys(NEW, 15))
    assert len(call(archived, "list", name, "--store", "file")[1]) == 4
    assert call(archived, "verify", name)[0] == 0


def test_the_ledger_goes_on(archived: Host) -> None:
    head = files.Ledger(str(archived.state), JOB).head()
    assert head is not None
    archived.write_logs(15)
    archived.run(LATER, **RENAMED)
    contents, after = files.Ledger(str(archived.state), NEW).replay(signatures=True)
    assert (after.ledger, after.seq, len(contents.held)) == (head.ledger, head.seq + 1, 4)
    assert not moving.has_files(str(archived.state), JOB)
    assert call(archived, "ledger", "verify")[0] == 0
    assert call(archived, "verify")[0] == 0


def test_a_ledger_that_was_begun_under_the_new_name_goes_on_and_adopts_the_others(archived: Host) -> None:
    archived.write_logs(15)
    # The job ran once before its document got the earlier name.
    first = archived.run(LATER, name=NEW, select={"catch_up": "0"})
    assert [archive["key"] for archive in first["archives"]] == keys(NEW, 15)
    begun = files.Ledger(str(archived.state), NEW).head()
    record = archived.run(LATER, **RENAMED)
    assert (record["exit_code"], record["archives"], record["warnings"]) == (0, [], [])
    contents, after = files.Ledger(str(archived.state), NEW).replay(signatures=True)
    assert begun is not None and after.ledger == begun.ledger
    assert sorted(key for _store, key in contents.held) == [*keys(NEW, 15), *keys(JOB, 12, 13, 14)]
    assert [name for name in os.listdir(archived.state) if name.startswith(JOB + ".ledger.2")] != []
    assert (call(archived, "ledger", "verify")[0], call(archived, "verify")[0]) == (0, 0)
    assert call(archived, "status", "--max-age", "36000d")[1][0]["findings"] == []


def test_archives_in_the_spool_are_sent_under_their_own_keys(host: Host) -> None:
    host.write_logs(12, 13)
    host.store.write_text("")  # A file in the place of the store's folder.
    assert host.run()["exit_code"] == 3
    host.store.unlink()
    record = host.run(**RENAMED)
    assert (record["exit_code"], in_store(host), host.spooled()) == (0, keys(JOB, 12, 13), [])


def test_the_files_of_a_killed_run_are_taken_over(archived: Host) -> None:
    state = str(archived.state)
    gone = removals.Removal(str(archived.logs), "none", 1, 2, ".log-archive-x.removed")
    removals.begin(removals_path(state, JOB), [gone])
    removals.begin(removals_path(state, NEW), [gone._replace(relative="other")])
    (archived.state / ("%s.web.json" % JOB)).write_text("{}")
    assert renames.take_over(archived.document(**RENAMED)) == [JOB]
    assert [one.relative for one in removals.unfinished(removals_path(state, NEW))] == ["other", "none"]
    assert sorted(name for name in os.listdir(state) if name.endswith(".json")) == ["events.removals.json", "events.web.json"]
    assert renames.take_over(archived.document(**RENAMED)) == []


def test_names_form_a_chain_and_a_job_can_get_its_first_name_back(archived: Host) -> None:
    archived.run(**RENAMED)
    archived.write_logs(15)
    third = archived.run(LATER, name="third", was=[JOB, NEW])
    assert [archive["key"] for archive in third["archives"]] == keys("third", 15)
    archived.write_logs(16)
    first = archived.run(at("2024-01-12 17:05"), name=JOB, was=[NEW, "third"])
    assert [archive["key"] for archive in first["archives"]] == keys(JOB, 16)
    (archived.folder / "jobs" / "events.json").unlink()
    archived.write_document(was=[NEW, "third"])
    assert (call(archived, "ledger", "verify")[0], call(archived, "verify")[0]) == (0, 0)
    with contextlib.closing(Catalog(str(archived.state))) as catalog:
        assert len(catalog.entries(JOB)) == 5


# -- kills ------------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


STEPS = [
    (durable, "lock"), (os, "link"), (os, "unlink"), (os, "fsync"), (removals, "begin"), (removals, "keep"), (os, "rename"),
    (renames, "take_entries"), (renames, "_take_rows"),
]  # fmt: skip


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    host = Host(tmp_path_factory.mktemp("renamed") / "host")
    host.write_logs(12, 13, 14)
    assert host.run()["exit_code"] == 0
    removals.begin(removals_path(str(host.state), JOB), [])
    (host.state / ("%s.web.json" % JOB)).write_text("{}")
    return host.folder


def cut(document: t.Any, after: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Take over, and die before the step with this number; returns whether there was such a step."""
    left = after
    with monkeypatch.context() as patch:
        for owner, name in STEPS:
            step = getattr(owner, name)

            def dies(*arguments: t.Any, _step: t.Any = step, **options: t.Any) -> t.Any:
                nonlocal left
                if left == 0:
                    raise Killed
                left -= 1
                return _step(*arguments, **options)

            patch.setattr(owner, name, dies)
        try:
            renames.take_over(document)
        except Killed:
            return True
    return False


def test_a_takeover_that_was_killed_anywhere_is_completed(
    template: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between any two steps the commands find one whole ledger; afterwards nothing is left under the earlier name."""
    for number in range(100):
        folder = tmp_path / str(number)
        shutil.copytree(template, folder)
        host = Host(folder)
        host.write_document(**RENAMED)
        was_cut = cut(host.document(**RENAMED), number, monkeypatch)
        assert files.ledger_of(host.document(**RENAMED)).replay()[1].seq == 3
        assert call(host, "status", "--offline", "--max-age", "36000d")[1][0]["exit_code"] == 0
        renames.take_over(host.document(**RENAMED))
        assert not renames.is_due(host.document(**RENAMED))
        with contextlib.closing(Catalog(str(host.state))) as catalog:
            assert (len(catalog.entries(NEW)), catalog.entered.standing(NEW)) == (
                3,
                (files.Ledger(str(host.state), NEW).replay()[1].ledger, 3, []),
            )
        assert sorted(name for name in os.listdir(host.state) if name.startswith(JOB)) == [JOB + ".lock"]
        if not was_cut:
            break
    assert number > 15


def test_a_run_under_the_earlier_name_that_is_active_is_waited_for(archived: Host) -> None:
    with durable.lock(str(archived.state / ("%s.lock" % JOB)), wait=False), pytest.raises(LockedError):
        archived.run(**RENAMED)
    assert archived.run(**RENAMED)["exit_code"] == 0


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "was, problem",
    [
        ([NEW], "was: 'events' is the name of the job; list only its earlier names"),
        ([JOB, JOB], "was: 'syslog' is listed twice"),
        (["a/b"], "was[0]: 'a/b' is not allowed"),
    ],
    ids=["itself", "twice", "no name"],
)
def test_a_name_that_cannot_be_an_earlier_one(host: Host, was: t.List[str], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        host.document(name=NEW, was=was)
    assert [each for each in caught.value.problems if each.startswith(problem)] != []


def test_a_job_that_is_there_and_a_name_that_two_jobs_claim(host: Host) -> None:
    host.write_document()
    path = host.write_document(**RENAMED)
    with pytest.raises(ConfigError, match="'syslog' is another job of this host"):
        documents.load(str(path))
    host.write_document(name="third", was=[JOB])
    (host.folder / "jobs" / "syslog.json").unlink()
    for name, other in ((NEW, "third"), ("third", NEW)):
        with pytest.raises(ConfigError, match="the job '%s' claims the earlier name 'syslog' too" % other):
            documents.load(str(host.folder / "jobs" / (name + ".json")))


def test_a_host_that_was_renamed_is_no_loss_of_archives_and_the_job_keeps_the_name(host: Host) -> None:
    host.write_logs(12, 13)
    assert host.run()["exit_code"] == 0
    host.write_document(host="db1")
    code, (row,) = call(host, "status", "--max-age", "9999d", "--offline")
    assert code == 3 and "2 archive(s) have the host name web1" in row["state"] and "set 'host: web1'" in row["state"]
    for command in ("verify", "ledger"):
        code, rows = call(host, command, *(["verify"] if command == "ledger" else []))
        (error,) = [row["error"] for row in rows if row.get("error")] or [each["error"] for row in rows for each in row["findings"]]
        assert code == 4 and "2 archive(s) of the ledger are of the host web1" in error and "set 'host: web1'" in error
    host.write_document()
    assert (call(host, "verify")[0], call(host, "ledger", "verify")[0]) == (0, 0)
    assert call(host, "status", "--max-age", "9999d", "--offline")[0] == 0
