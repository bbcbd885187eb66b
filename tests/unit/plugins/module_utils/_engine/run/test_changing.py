# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host is rebuilt, and a host is downgraded, with the commands of docs/changing.md."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import re
import shlex
import shutil
import sqlite3
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import main as cli
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import files
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.database import SCHEMA_VERSION
from rigs.host import JOB, NOW, Host, files_below
from rigs.runs import assert_all_archived, read_logs

pytest.importorskip("cryptography")
PAGE = (pathlib.Path(__file__).resolve().parents[6] / "docs" / "changing.md").read_text(encoding="utf-8")


def commands_of(section: str, program: str) -> t.List[t.List[str]]:
    """The arguments of each command of this program in a section of the page."""
    text = PAGE.partition("\n## %s\n" % section)[2].partition("\n## ")[0]
    return [shlex.split(line) for line in re.findall(r"^ *%s (.*)$" % program, text, re.MULTILINE)]


def call(host: Host, *arguments: str) -> t.Tuple[int, t.Any]:
    """The exit code and the JSON of the command."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
        code = cli.main([*arguments, "--json", "--config", str(host.folder / "jobs")])
    return code, json.loads(output.getvalue())


def run(host: Host) -> t.List[str]:
    """The names of the archives that a run makes, without the ends."""
    record = job.run(files.load(str(host.write_document())), now=NOW, documented=True)
    assert record["exit_code"] == 0, record["errors"]
    return [archive["name"].partition(".tgz")[0] for archive in record["archives"]]


def archives_in_store(host: Host) -> t.List[str]:
    return [name.rpartition("/")[2].partition(".tgz")[0] for name in files_below(host.store) if name.endswith(".fernet")]


NAMES = ["syslog.20240112.%d" % hour for hour in (12, 13, 14)]


def test_a_host_is_rebuilt_and_knows_its_archives_again(host: Host, tmp_path: pathlib.Path) -> None:
    host.write_logs(12, 13)
    assert run(host) == NAMES[:2]
    new = Host(tmp_path / "rebuilt", stores=host.stores)
    new.store, new.logs = host.store, host.logs
    content = (host.logs / NAMES[0]).read_bytes()
    (host.logs / NAMES[0]).unlink()
    # As keys_restore_from_escrow does: the old keys beside a new one, which is current.
    for key in host.keyring.glob("*.key"):
        shutil.copy(key, new.keyring)
    new.write_logs(14)
    assert run(new) == NAMES[2:]
    assert archives_in_store(new) == NAMES
    code, rows = call(new, "verify", JOB)
    (found,) = [row["error"] for row in rows if row["error"]]
    assert code == 4 and "the head of another ledger" in found
    (accept,) = commands_of("Rebuild a host", "log-archive")
    assert call(new, *accept)[0] == 0
    assert call(new, "verify", JOB)[0] == 0
    code, _rows = call(new, "restore", JOB, "--since", "2024-01-12", "--store", "file", "--to", str(tmp_path / "restored"))
    restored = tmp_path / "restored" / str(host.logs)[1:] / NAMES[0]
    assert (code, restored.read_bytes()) == (0, content)


def test_a_host_with_the_catalog_of_a_later_version_is_downgraded(host: Host) -> None:
    host.write_logs(12, 13)
    assert run(host) == NAMES[:2]
    catalog = host.state / "catalog.sqlite"
    with contextlib.closing(sqlite3.connect(catalog)) as later:
        later.execute("ALTER TABLE archives ADD COLUMN of_a_later_version TEXT")
        later.execute("PRAGMA user_version=%d" % (SCHEMA_VERSION + 1))
        later.commit()
    before = catalog.read_bytes()
    host.write_logs(14)
    for words in (["run", JOB], ["status"], ["verify", JOB], ["prune", JOB], ["sync", JOB], ["orphans"]):
        code, rows = call(host, *words)
        told = json.dumps(rows)
        assert code in (1, 3) and "a newer version of log-archive wrote this catalog" in told or words == ["orphans"], (words, told)
    assert catalog.read_bytes() == before
    assert archives_in_store(host) == NAMES[:2]
    ((old, new),) = commands_of("Downgrade", "mv")
    folder = "/var/lib/log-archive"
    os.rename(old.replace(folder, str(host.state)), new.replace(folder, str(host.state)))
    assert run(host) == NAMES[2:]
    assert archives_in_store(host) == NAMES
    assert_all_archived(host, read_logs(host))
    assert call(host, "verify", JOB)[0] == 0
    assert (host.state / "catalog.sqlite.newer").read_bytes() == before
