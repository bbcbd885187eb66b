# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A limit of memory or of threads: one clear line, nothing is lost, and the next run completes the work."""

from __future__ import annotations

import pathlib
import signal
import subprocess

import pytest
from rigs.host import COMMAND, JOB, Host, assert_complete, assert_tidy, file_store

SELECT = {"patterns": ["*"], "period": "none"}


@pytest.mark.parametrize("mebibytes", [30, 36, 44, 52, 60, 72, 90, 200])
def test_a_limit_of_memory_loses_nothing(tmp_path: pathlib.Path, mebibytes: int) -> None:
    host = Host(tmp_path)
    host.write_logs(13, 14, size=6 << 20)
    wanted = {str(path): path.read_bytes() for path in host.logs.iterdir()}
    host.write_document(select=SELECT, delete_sources=True)
    # Not by preexec_fn: that limits a copy of this process, which may have that much already.
    limited = ["prlimit", "--as=%d" % (mebibytes << 20), *COMMAND]
    done = subprocess.run([*limited, "run", JOB], env=host.environment(), capture_output=True, text=True, check=False)
    if done.returncode == -signal.SIGABRT:
        # The extension of cryptography, which is written in Rust, ends the process.
        assert "memory allocation of" in done.stderr
    else:
        assert "Traceback" not in done.stderr and "defect" not in done.stderr, done.stderr
        assert done.returncode in (0, 1, 2, 3), done.stderr
        assert done.returncode == 0 or "Raise its limits" in done.stderr or "cannot be loaded" in done.stderr, done.stderr
    again = host.command("run", JOB)
    assert again.returncode == 0, again.stdout + again.stderr
    assert_complete(file_store(host.store), host, wanted)
    assert_tidy(host.spool)
