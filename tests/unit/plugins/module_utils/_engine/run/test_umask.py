# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host with a umask of 000: nobody else can write to what the engine makes."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from rigs.host import NOW, Host


@pytest.fixture
def no_umask() -> t.Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def writable_by_others(folder: pathlib.Path) -> t.List[str]:
    found = [path for path in folder.rglob("*") if not path.is_symlink()]
    return ["%s %o" % (path, path.stat().st_mode & 0o777) for path in found if path.stat().st_mode & 0o022]


def test_nobody_can_write_to_what_a_run_and_the_commands_make(tmp_path: pathlib.Path, no_umask: None) -> None:
    tmp_path.chmod(0o755)
    logs = tmp_path / "given" / "logs"
    logs.mkdir(parents=True)
    for path in (tmp_path / "given", logs):
        path.chmod(0o755)
    deep = tmp_path / "new" / "a" / "b"
    host = Host(deep / "home", [{"type": "file", "path": str(deep / "store")}])
    for path in (host.logs, deep / "home", deep, tmp_path / "new" / "a", tmp_path / "new"):
        path.chmod(0o755)
    host.write_logs(12)
    for path in host.logs.iterdir():
        path.chmod(0o644)
    notify = [
        {"type": "log", "path": str(deep / "recap.jsonl")},
        {"type": "textfile", "path": str(deep / "home")},
    ]
    record = host.run(NOW, notify=notify, log=str(deep / "events.jsonl"))
    assert record["exit_code"] == 0, json.dumps(record, indent=1)
    host.write_document()
    (deep / "home" / "jobs").chmod(0o755)
    for arguments in (
        ["key", "create", "--keyring", str(deep / "keys" / "of" / "job")],
        ["restore", "syslog", "--to", str(deep / "restored" / "here")],
        ["generate", "sftpgo", str(deep / "made" / "logs"), "--files", "2", "--lines", "10", "--compress"],
    ):
        done = host.command(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    assert writable_by_others(tmp_path) == []
