# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make bench`` works in a fresh clone. The speeds are not judged here: other tests run at the same time."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(not (CHECKOUT / "Makefile").exists(), reason="the collection's tarball has no Makefile")


def test_every_benchmark_runs_from_a_clean_build_folder(tmp_path: pathlib.Path) -> None:
    clone = tmp_path / "clone"
    ignored = shutil.ignore_patterns(".*", "build", "output", "__pycache__")
    shutil.copytree(CHECKOUT, clone, ignore=ignored, symlinks=True)
    (clone / "build").mkdir()
    # These take minutes to install.
    (CHECKOUT / "build" / "search").mkdir(exist_ok=True)
    for name in ("venv-test", "venv-swift", "venv-awscli", "search"):
        (clone / "build" / name).symlink_to((CHECKOUT / "build" / name).resolve())
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "LOG_ARCHIVE_", "MAKE", "MFLAGS"))}
    environment.pop("PYTHONPATH")
    # A person's own configuration of pip, about which pip would warn.
    environment["PIP_FIND_LINKS"] = "%s %s" % (environment.get("PIP_FIND_LINKS", ""), tmp_path / "no-such-folder")
    done = subprocess.run(
        ["make", "--no-print-directory", "bench", "ARGS=--quick"], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    rows = json.loads((clone / "build" / "bench-quick.json").read_text(encoding="utf-8"))
    modules = {path.stem for path in (clone / "tests" / "benchmarks").glob("bench_*.py")}
    assert len(rows) >= len(modules)
    assert [row["name"] for row in rows if row["ours"] is None or row.get("skipped")] == []
    without_peer = {row["name"] for row in rows if row["peer"] is None}
    assert without_peer == {"follow-lag", "growth", "many-files", "prune-plan-100k", "prune-plan-10k", "retention", "small", "stats"}
