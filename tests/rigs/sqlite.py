# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A SQLite database as another process sees it."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t

_READ = """
import contextlib, sqlite3, sys
with contextlib.closing(sqlite3.connect(sys.argv[1])) as connection:
    print(*connection.execute(sys.argv[2]))
"""


def other_process(path: t.Union[str, os.PathLike[str]], query: str) -> str:
    """The rows that another process finds, which opens the database and closes it again."""
    done = subprocess.run([sys.executable, "-c", _READ, path, query], capture_output=True, text=True, check=True)
    return done.stdout.strip()
