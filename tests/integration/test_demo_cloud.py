# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo of a CloudTrail trail finds what was deleted, and the archives have it."""

from __future__ import annotations

import pathlib
import subprocess
import sys

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]


def test_the_demo_finds_what_was_deleted(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, str(CHECKOUT / "demo" / "cloud.py"), "--folder", str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    whole, damaged, archived = [part for part in done.stdout.split("$ log-archive ") if part.startswith("audit validate")]
    assert "12 of 12 digests and 120 of 120 log files are valid" in whole and ": valid" in whole
    assert "NOT VALID" in damaged and "10 of 10 digests" in damaged
    assert all(word in damaged for word in ("tail_missing", "tail_rewound", "log_missing", "log_unnamed"))
    assert "12 of 12 digests and 120 of 120 log files are valid" in archived and ": valid" in archived
    assert "tail_missing" in (tmp_path / "demo" / "report.html").read_text()
