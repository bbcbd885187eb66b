# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A test with real parts has a second try, and the summary shows its first failure; a unit test has one try."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest
from rigs import reruns

pytest.importorskip("pytest_rerunfailures", reason="this interpreter's virtualenv runs unit tests only")

CONFTEST = """\
import pathlib
from rigs import reruns
reruns.TESTS = pathlib.Path(__file__).parent
"""
FALLS_ONCE = """\
import pathlib
def test_it():
    tries = pathlib.Path(__file__).with_name("tries")
    with open(tries, "a") as stream:
        stream.write("x")
    assert tries.stat().st_size == 2, "the clock jumped"
"""


def run(folder: pathlib.Path, kind: str, tests: str) -> subprocess.CompletedProcess[str]:
    (folder / kind).mkdir()
    (folder / kind / "test_it.py").write_text(tests, encoding="utf-8")
    (folder / "conftest.py").write_text(CONFTEST, encoding="ascii")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="ascii")
    environment = dict(os.environ, PYTHONPATH=str(pathlib.Path(reruns.__file__).parents[1]))
    command = [sys.executable, "-m", "pytest", "-p", "rigs.reruns", "-p", "no:cacheprovider", "-p", "no:xdist", str(folder)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_test_with_real_parts_has_a_second_try_and_its_first_failure_is_printed(tmp_path: pathlib.Path) -> None:
    done = run(tmp_path, "fleet", FALLS_ONCE)
    assert done.returncode == 0
    assert "1 passed, 1 rerun" in done.stdout
    assert "tests with a second try" in done.stdout
    assert "fleet/test_it.py::test_it" in done.stdout
    assert "the clock jumped" in done.stdout


def test_a_test_with_real_parts_that_falls_twice_fails(tmp_path: pathlib.Path) -> None:
    done = run(tmp_path, "fleet", "def test_it(): assert False\n")
    assert done.returncode == 1
    assert "1 failed, 1 rerun" in done.stdout


def test_a_unit_test_has_one_try(tmp_path: pathlib.Path) -> None:
    done = run(tmp_path, "unit", FALLS_ONCE)
    assert done.returncode == 1
    assert "1 failed" in done.stdout
    assert "rerun" not in done.stdout.splitlines()[-1]
    assert "second try" not in done.stdout
