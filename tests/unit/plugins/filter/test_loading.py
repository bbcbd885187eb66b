# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible loads all filters of a collection to find one, in each process that runs a task: loading them must be cheap."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import ansible_collections.infra_ops.log_archive.plugins.filter.sftp_account as one_of_them

LOAD = """
import importlib, json, sys
for name in sys.argv[2:]:
    importlib.import_module(sys.argv[1] + ".filter." + name)
engine = sys.argv[1] + ".module_utils._engine."
print(json.dumps(sorted({name[len(engine):].partition(".")[0] for name in sys.modules if name.startswith(engine)})))
"""

WORKING = {"archive", "audit", "cli", "cloud", "crypto", "holdings", "ingest", "run", "stores"}
"""Rooms of the engine that a filter needs for its result only, if at all."""


def test_loading_the_filters_loads_no_room_that_works_on_archives() -> None:
    package = one_of_them.__name__.rpartition(".filter.")[0]
    names = sorted(path.stem for path in pathlib.Path(one_of_them.__file__).parent.glob("[!_]*.py"))
    assert len(names) > 20
    done = subprocess.run([sys.executable, "-c", LOAD, package, *names], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "tell" in loaded
    assert not loaded & WORKING
