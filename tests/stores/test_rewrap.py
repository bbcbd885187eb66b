# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""log-archive key rewrap over S3 and SFTP, with real servers; then restore, search and drill with the identity of the new recipient."""

from __future__ import annotations

import contextlib
import io
import subprocess

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import main
from rigs.host import JOB, Host, files_below
from rigs.recipients import HPKE, identity_file
from rigs.runs import read_logs


def command(host, *arguments):
    """Run the command in this process: starting another takes longer than the work."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main.main([*arguments, "--config", str(host.folder / "jobs")])
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def test_archives_in_s3_and_sftp_are_rewrapped_and_open_for_the_new_recipient_alone(options, tmp_path):
    pytest.importorskip("cryptography")
    host = Host(tmp_path / "host", [options("s3"), options("sftp")])
    first, first_file = identity_file(tmp_path, HPKE, "first")
    second, second_file = identity_file(tmp_path, HPKE, "second")
    host.write_logs(13, 14)
    host.write_document(encryption={"recipients": [first]})
    assert host.run(encryption={"recipients": [first]})["exit_code"] == 0
    done = command(host, "key", "rewrap", JOB, "--identity", first_file, "--add", second, "--remove", first)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("2 rewrapped, 0 unchanged") == 2
    for words in (["verify", "--level", "read_back"], ["ledger", "verify"], ["status", "--max-age", "36000d"]):
        checked = command(host, *words)
        assert checked.returncode == 0, checked.stdout + checked.stderr
    for store in ("s3", "sftp"):
        to = tmp_path / ("to-" + store)
        asked = ["restore", JOB, "--store", store, "--to", str(to), "--since", "2024-01-01", "--identity"]
        refused = command(host, *asked, first_file)
        assert refused.returncode == 2 and "the recipient %s was removed" % first in refused.stderr
        restored = command(host, *asked, second_file)
        assert restored.returncode == 0, restored.stderr
        assert [(to / name).read_bytes() for name in files_below(to)] == list(read_logs(host).values())
        lines = sum(log.count(b"request") for log in read_logs(host).values())
        found = command(host, "search", "request", "--store", store, "--identity", second_file)
        assert (found.returncode, found.stdout.count("request")) == (0, lines), found.stderr
        assert command(host, "search", "request", "--store", store, "--identity", first_file).returncode == 2
        drilled = command(host, "drill", "--store", store, "--identity", second_file)
        assert drilled.returncode == 0 and "2 of 2 archives restored, 0 failed" in drilled.stdout, drilled.stdout + drilled.stderr
    again = command(host, "key", "rewrap", JOB, "--identity", second_file, "--add", second, "--remove", first)
    assert again.stdout.count("0 rewrapped, 2 unchanged") == 2
