# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the CPython interpreters of this machine: on PATH, in the usual folders, and those that pyenv installed.

``find_python.py 3.9`` prints the path of a Python 3.9, ``find_python.py 3.12+`` that of the newest from 3.12 on; nothing if there
is none.
"""

from __future__ import annotations

import glob
import os
import re
import subprocess
import sys
import typing as t

Version = t.Tuple[int, int]


def folders() -> t.List[str]:
    """Folders that may hold interpreters. pyenv's shims are left out: they answer for versions that are not enabled."""
    found = [name for name in os.environ.get("PATH", "").split(os.pathsep) if os.path.basename(name) != "shims"]
    found += ["/usr/local/bin", "/usr/bin"]
    for root in {os.environ.get("PYENV_ROOT", ""), os.path.expanduser("~/.pyenv")} - {""}:
        found += sorted(glob.glob(os.path.join(root, "versions", "*", "bin")), reverse=True)
    return found


def works(python: str) -> bool:
    """Whether the interpreter runs and has what a virtualenv and the engine need."""
    try:
        done = subprocess.run([python, "-c", "import ensurepip, sqlite3, ssl, venv"], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def candidates() -> t.Dict[Version, t.List[str]]:
    """Paths of interpreters by minor version of Python 3, the first in PATH first."""
    found: t.Dict[Version, t.List[str]] = {}
    for folder in folders():
        for path in glob.glob(os.path.join(folder, "python3.*")):
            match = re.fullmatch(r"python(3)\.(\d+)", os.path.basename(path))
            if match:
                found.setdefault((int(match[1]), int(match[2])), []).append(path)
    return found


def find(wanted: str) -> t.Optional[str]:
    """The interpreter for a version such as ``3.9``, or the newest one from a version such as ``3.12+`` on; None if there is none."""
    major, minor = wanted.rstrip("+").split(".")
    least = (int(major), int(minor))
    for version, paths in sorted(candidates().items(), reverse=True):
        if version == least or (wanted.endswith("+") and version > least):
            for path in paths:
                if works(path):
                    return path
    return None


if __name__ == "__main__":
    print(find(sys.argv[1]) or "")
