# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A skipped test fails under LOG_ARCHIVE_REQUIRE_ALL=1, unless its reason is one of the few that are allowed."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import typing as t

import pytest
from rigs import skips

ALLOWED_REASON = "no real logs beside this checkout (shared/data)"
TESTS = """\
import pytest

@pytest.fixture
def part():
    pytest.skip("the program 'swift' is not installed")

def test_in_a_fixture(part): pass
def test_in_the_test(): pytest.skip("needs fiu-run")
@pytest.mark.skipif(True, reason="needs root")
def test_by_a_mark(): pass
def test_allowed(): pytest.skip(%r)
@pytest.mark.xfail(reason="not done")
def test_expected_to_fail(): assert False
def test_passes(): pass
"""


def outcomes(folder: pathlib.Path, require_all: str, tests: str) -> t.Dict[str, int]:
    (folder / "test_it.py").write_text(tests, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="ascii")
    environment = dict(os.environ, LOG_ARCHIVE_REQUIRE_ALL=require_all, PYTHONPATH=str(pathlib.Path(skips.__file__).parents[1]))
    command = [sys.executable, "-m", "pytest", "-p", "rigs.skips", "-p", "no:cacheprovider", "-p", "no:xdist", str(folder)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    summary = done.stdout.splitlines()[-1]
    return {word.rstrip("s"): int(count) for count, word in re.findall(r"(\d+) (passed|failed|skipped|xfailed|errors?)\b", summary)}


def test_a_skip_fails_when_everything_is_required(tmp_path: pathlib.Path) -> None:
    assert outcomes(tmp_path, "1", TESTS % ALLOWED_REASON) == {"failed": 1, "error": 2, "skipped": 1, "passed": 1, "xfailed": 1}


def test_a_skip_is_a_skip_otherwise(tmp_path: pathlib.Path) -> None:
    assert outcomes(tmp_path, "", TESTS % ALLOWED_REASON) == {"skipped": 4, "passed": 1, "xfailed": 1}


@pytest.mark.parametrize(("require_all", "expected"), [("1", {"error": 1}), ("", {"skipped": 1})])
def test_a_module_that_skips_itself(tmp_path: pathlib.Path, require_all: str, expected: t.Dict[str, int]) -> None:
    assert outcomes(tmp_path, require_all, "import pytest\npytest.importorskip('no_such_library')\ndef test_it(): pass\n") == expected
