# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole runs: what a run does and with which exit code, two runs at once, dry runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError, LockedError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from rigs.host import JOB, NOW, archives_in, at, file_store, files_below
from rigs.runs import GROUPS, OnBegin, assert_all_archived, read_logs, tree

pytest.importorskip("cryptography")


@pytest.mark.parametrize("group", GROUPS)
def test_a_run_archives_everything_and_the_next_has_nothing_to_do(host, group):
    host.write_logs(12, 13, 14)
    record = host.run(archive={"group": group})
    assert (record["outcome"], record["exit_code"], record["changed"]) == ("done", 0, True)
    assert {archive["state"] for archive in record["archives"]} == {"done"}
    assert {archive["stores"]["file"]["verified_by"] for archive in record["archives"]} == {"read_back"}
    assert record["warnings"] == record["errors"] == record["missing"] == []
    assert_all_archived(host, read_logs(host))
    before = files_below(host.store)
    again = host.run(archive={"group": group})
    assert (again["outcome"], again["exit_code"], again["changed"]) == ("nothing to do", 0, False)
    assert files_below(host.store) == before


def test_two_runs_at_once(host):
    host.write_logs(14)
    inside, go_on = threading.Event(), threading.Event()

    def hold(*_arguments):
        inside.set()
        assert go_on.wait(lab.patience(30))
        return True

    first = threading.Thread(target=lambda: job.run(host.document(), now=NOW, progress=lambda what, total: OnBegin(hold)))
    first.start()
    assert inside.wait(lab.patience(30))
    try:
        with pytest.raises(LockedError) as caught:
            host.run()
        assert caught.value.exit_code == 5
        assert "pid %d" % os.getpid() in str(caught.value)
    finally:
        go_on.set()
        first.join()
    assert host.run()["outcome"] == "nothing to do"


@pytest.mark.parametrize("again", [False, True])
def test_a_dry_run_changes_nothing_and_reports_what_the_run_does(host, again):
    policy = {"retention": {"keep_last": 2, "max_delete_share": 1}, "delete_sources": True}
    if again:
        host.write_logs(9, 10, 11)
        assert host.run(at("2024-01-12 12:05"))["exit_code"] == 0
    host.write_logs(12, 13, 14)
    before = tree(host.folder)
    planned = host.run(check=True, **policy)
    assert tree(host.folder) == before
    assert planned["check"] and planned["changed"] and planned["exit_code"] == 0
    done = host.run(**policy)
    assert [a["key"] for a in planned["archives"]] == [a["key"] for a in done["archives"]]
    assert {a["state"] for a in planned["archives"]} == {"would be archived"}
    assert planned["sources_deleted"] == done["sources_deleted"]
    assert planned["pruned"]["file"]["removed"] == done["pruned"]["file"]["removed"]
    assert len(done["pruned"]["file"]["removed"]) == (3 if again else 0)
    # The oldest of the new logs is not archived: retention would remove it at once.
    assert planned["not_shipped"] == done["not_shipped"] and done["not_shipped"]["file"]["archives"] == 1
    assert planned["warnings"] == done["warnings"]
    assert str(host.logs / "syslog.20240112.12") not in done["sources_deleted"]
    actions = {row["key"]: row["action"] for row in planned["pruned"]["file"]["plan"]}
    assert sorted(key for key, action in actions.items() if action == "keep") == sorted(archives_in(file_store(host.store)))
    before = tree(host.folder)
    assert host.run(check=True, **policy)["changed"] is False
    assert tree(host.folder) == before


@pytest.mark.parametrize("again", [False, True])
def test_a_dry_run_reports_what_is_wrong_with_the_keyring(host, again):
    if again:
        host.write_logs(12)
        host.run()
    host.write_logs(13)
    keyring = host.folder / "keyring"
    os.rename(keyring, host.folder / "elsewhere")
    planned = host.run(check=True)
    # An earlier task of the play may be the one that creates it: in check mode it did not.
    assert (planned["exit_code"], len(planned["archives"]), planned["errors"]) == (0, 1, [])
    assert sum("the keyring does not exist" in text for text in planned["warnings"]) == 1
    keyring.mkdir(mode=0o700)
    planned, done = host.run(check=True), host.run()
    assert (planned["exit_code"], planned["archives"], planned["errors"]) == (done["exit_code"], done["archives"], done["errors"])
    assert planned["exit_code"] == 2 and "no current key" in planned["errors"][0]


def test_a_dry_run_before_the_first_success(host, tmp_path):
    """The catalog is there, and what it knows is looked up in the stores too; still nothing is written."""
    down = tmp_path / "not" / "mounted"
    host.stores.append({"type": "file", "name": "down", "path": str(down), "attempts": 1})
    host.write_logs(13)
    assert host.run()["exit_code"] == 3
    host.write_logs(14)
    before = tree(host.folder)
    planned = host.run(check=True)
    assert tree(host.folder) == before
    assert [(a["state"], os.path.basename(a["key"])) for a in planned["archives"]] == [
        ("would be sent", "syslog.20240112.13.tgz.fernet"),
        ("would be archived", "syslog.20240112.14.tgz.fernet"),
    ]


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("killed", [False, True])
def test_a_dry_run_after_the_catalog_was_lost(host, group, killed):
    host.write_logs(12, 13, 14)
    host.run(archive={"group": group})
    shutil.rmtree(host.state)
    if killed:
        host.state.mkdir()
        catalog = Catalog(str(host.state))
        catalog.runs.begin(JOB, NOW.timestamp())
        catalog.close()
    before = tree(host.folder)
    assert host.run(check=True, archive={"group": group})["archives"] == []
    assert tree(host.folder) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("folder", ["state", "spool"])
def test_a_job_of_another_user_is_not_run_as_root(host, folder):
    """The user's next run could not change what root leaves among its files."""
    path = host.folder / folder
    path.mkdir(exist_ok=True)
    os.chown(path, 65534, 65534)
    with pytest.raises(ConfigError, match="%s: the job belongs to the user nobody" % path):
        host.run()
    assert host.run(check=True)["exit_code"] == 0


# collections.namedtuple evaluates one lambda; only what else is compiled counts.
COMPILED = """
import sys
before = set(sys.modules)
compiled = []
sys.addaudithook(lambda event, arguments: compiled.append(arguments[0]) if event == "compile" and arguments[1] == "<string>" else None)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli.main import main
code = main(sys.argv[1:])
annotations = [source for source in compiled if not source.startswith(b"lambda _cls")]
assert annotations == [], annotations
slow = {"argparse", "datetime", "enum", "json", "re", "sqlite3", "typing"} & set(sys.modules) - before
assert not slow, slow
sys.exit(code)
"""


def test_an_idle_run_compiles_no_annotation_and_loads_nothing_slow(host):
    """The types that it loads are named tuples of base.named_tuple: compiling annotations costs a tenth of an idle run. Its modules import
    base.hints and base.light, and its command line is read by cli.plain: the modules of Python that it leaves out cost a third."""
    host.write_logs(14)
    host.write_document(select={"period": "none", "patterns": ["*"]})
    assert host.command("run", JOB).returncode == 0
    idle = subprocess.run([sys.executable, "-c", COMPILED, "run", JOB], env=host.environment(), capture_output=True, text=True, check=False)
    assert (idle.returncode, "nothing to do" in idle.stdout) == (0, True), idle.stderr
