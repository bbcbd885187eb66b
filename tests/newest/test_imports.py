# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every Python file of the collection, on the newest interpreter: 'make sanity' imports them on the oldest one, each alone."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def test_every_file_is_imported_without_a_word(collections_path: pathlib.Path) -> None:
    plugins = collections_path / "ansible_collections" / "infra_ops" / "log_archive" / "plugins"
    names = [".".join(path.relative_to(collections_path).with_suffix("").parts) for path in sorted(plugins.rglob("*.py"))]
    assert len(names) > 400
    environment = dict(os.environ, PYTHONPATH=str(collections_path))
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL, *names], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
