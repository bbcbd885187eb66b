# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""make host: the command in a virtualenv, without Ansible. No library is installed here: ``--version`` needs none."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from rigs.host import files_below

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
needs_make = pytest.mark.skipif(
    not shutil.which("make") or not (CHECKOUT / "Makefile").exists(), reason="the collection's tarball has no make"
)
pytestmark = needs_make


def make_host(prefix: pathlib.Path, folder: pathlib.Path = CHECKOUT) -> subprocess.CompletedProcess[str]:
    # MAKEFLAGS: this may run below another make.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "PREFIX")}
    command = ["make", "-C", str(folder), "host", "PREFIX=%s" % prefix, "PYTHON=%s" % sys.executable, "PIP=-c pass"]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_a_prefix_with_blanks_and_an_environment_of_another_python(tmp_path: pathlib.Path) -> None:
    prefix = tmp_path / "the log's  archive"
    # As an earlier run has left it.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
    done = make_host(prefix)
    assert done.returncode == 0, done.stdout + done.stderr
    command = subprocess.run([prefix / "bin/log-archive", "--version"], capture_output=True, text=True, cwd="/", check=True)
    assert command.stdout.startswith("log-archive ") and command.stdout in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == [prefix.name]
    assert not [name for name in files_below(prefix) if name.endswith(".new")]
    # Its interpreter is another version than PYTHON.
    (prefix / "bin/python").unlink()
    (prefix / "bin/python").write_text("#!/bin/sh\necho 3.1\n")
    (prefix / "bin/python").chmod(0o755)
    before = files_below(prefix)
    done = make_host(prefix)
    assert done.returncode == 2
    assert (
        "is a virtualenv of another Python (3.1; %s is %d.%d); nothing was changed" % (sys.executable, *sys.version_info[:2]) in done.stderr
    )
    assert files_below(prefix) == before


def test_a_folder_that_is_no_virtualenv_is_left_alone(tmp_path: pathlib.Path) -> None:
    (tmp_path / "data").write_text("mine")
    done = make_host(tmp_path)
    assert done.returncode == 2 and "has files and is not a virtualenv; nothing was changed" in done.stderr
    assert files_below(tmp_path) == ["data"]


def test_a_plain_prefix_names_its_interpreter_in_the_first_line(tmp_path: pathlib.Path) -> None:
    assert make_host(tmp_path / "plain").returncode == 0
    assert (tmp_path / "plain/bin/log-archive").read_text().splitlines()[0] == "#!%s/plain/bin/python -IXutf8" % tmp_path
