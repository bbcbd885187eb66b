# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives of a host, a job and a prefix that no document names: they are listed and restored with the stores and keys of another job."""

from __future__ import annotations

import contextlib
import io
import json
import pathlib
import shutil
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import main as cli
from rigs.host import Host

pytest.importorskip("cryptography")


def call(host: Host, *arguments: str) -> t.Tuple[int, t.Any]:
    """The exit code and the JSON of the command."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = cli.main([*arguments, "--json", "--config", str(host.folder / "jobs")])
    return code, json.loads(output.getvalue())


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    """A host with one job, and a store that has archives of another host, which had a job that is no more."""
    host = Host(tmp_path)
    host.write_logs(12, 13)
    assert host.run(name="old", host="web9")["exit_code"] == 0
    shutil.rmtree(host.state)
    host.write_document()
    return host


OF_OLD = ["--store", "file", "--host", "web9", "--of-job", "old"]


def test_what_a_store_holds_is_listed_and_restored(host: Host, tmp_path: pathlib.Path) -> None:
    assert call(host, "list", "syslog", "--store", "file", "--host", "*")[1] == []
    for which in (OF_OLD, ["--store", "file", "--host", "*", "--of-job", "*"]):
        code, rows = call(host, "list", *which)
        assert (code, [(row["host"], row["job"]) for row in rows]) == (0, [("web9", "old")] * 2)
    code, rows = call(host, "restore", *OF_OLD, "--since", "2024-01-12", "--to", str(tmp_path / "to"))
    assert (code, [row["state"] for row in rows]) == (0, ["written"] * 2)
    assert not host.state.exists(), "the catalog of this host is not asked"


def test_a_host_of_which_there_are_no_archives_is_named(host: Host) -> None:
    def said(*arguments: str, code: int) -> str:
        done = host.command(*arguments)
        assert done.returncode == code, done.stderr
        return done.stderr

    wrong = "--host wbe9: there are no archives of this host. "
    near = wrong + "Did you mean 'web9'? 'log-archive list --hosts' shows the hosts of each store"
    assert near in said("verify", "syslog", "--host", "wbe9", code=2)
    assert near in said("list", "syslog", "--store", "file", "--host", "wbe9", code=0)
    assert wrong + "The catalog has those of this host" in said("list", "syslog", "--host", "wbe9", code=0)
    # These hosts are known, and have no archives of this job, or of this time.
    for known in ("web1", "web9", "*"):
        assert said("verify", "syslog", "--host", known, "--since", "2030-01-01", code=0) == ""


def test_another_prefix_of_the_store(host: Host, tmp_path: pathlib.Path) -> None:
    host.store.rename(host.folder / "moved")
    moved = [*OF_OLD, "--prefix", str(host.folder / "moved")]
    assert len(call(host, "list", *moved)[1]) == 2
    code, rows = call(host, "restore", "syslog", *moved, "--since", "2024-01-12", "--to", str(tmp_path / "to"))
    assert (code, len(rows)) == (0, 2)


@pytest.mark.parametrize(
    "arguments",
    [["list", "--of-job", "old"], ["restore", "--to", "/x", "--prefix", "p"], ["list", "--store", "file", "--of-job", "old"]],
    ids=["no store to list", "no store for the prefix", "several jobs"],
)
def test_what_is_missing_is_refused(host: Host, arguments: t.List[str]) -> None:
    host.write_document(name="second")
    assert call(host, *arguments)[0] == 2
