# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command ``log-archive`` as a host has it: the engine as the package ``log_archive``, and a program that starts it."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import typing as t

ENGINE = pathlib.Path(__file__).resolve().parents[2] / "plugins" / "module_utils" / "_engine"
PROGRAM = """\
#!%s -IXutf8
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, %r)
from log_archive.cli.launch import launch

launch()
"""


def program(python: t.Union[str, os.PathLike[str]], library: t.Union[str, os.PathLike[str]]) -> str:
    """The text of the program. python: its interpreter; library: the folder that holds the package ``log_archive``."""
    return PROGRAM % (os.fspath(python), os.fspath(library))


def install(folder: pathlib.Path, python: t.Union[str, os.PathLike[str]] = sys.executable, engine: pathlib.Path = ENGINE) -> pathlib.Path:
    """Copy the engine to ``folder/lib``, compile it, write the program ``folder/log-archive``; return the program's path."""
    shutil.copytree(engine, folder / "lib" / "log_archive", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([python, "-m", "compileall", "-q", folder / "lib"], check=True)
    path = folder / "log-archive"
    path.write_text(program(python, folder / "lib"), encoding="utf-8")
    path.chmod(0o755)
    return path
