# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run integration targets with ansible-playbook on this host: ``run.py [TARGET...]``, all of them by default.

The targets lie as ``ansible-test integration`` wants them, too. The collection is taken from $LOG_ARCHIVE_COLLECTIONS, by default from the
checkout as 'make' links it below build/collections.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import typing as t

TARGETS = pathlib.Path(__file__).resolve().parent / "targets"
CHECKOUT = TARGETS.parents[2]


def names() -> t.List[str]:
    """The targets that test something; those that others need begin with ``setup_``."""
    return sorted(path.name for path in TARGETS.iterdir() if path.is_dir() and not path.name.startswith("setup_"))


def prepare(target: str, folder: t.Union[str, os.PathLike[str]], variables: t.Mapping[str, t.Any]) -> t.List[str]:
    """The command that runs one target with these variables; what it reads is in ``folder``."""
    folder = pathlib.Path(folder).resolve()
    playbook = folder / "target.yml"
    # The implicit localhost, so that modules run with this interpreter.
    playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "roles": [target]}]), encoding="utf-8")
    given = folder / "variables.json"
    given.write_text(json.dumps(dict(variables)), encoding="utf-8")
    return [os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), str(playbook), "--extra-vars", "@%s" % given]


def environment(folder: t.Union[str, os.PathLike[str]]) -> t.Dict[str, str]:
    """The variables with which targets run; ``folder`` is for temporary files."""
    return {
        "ANSIBLE_COLLECTIONS_PATH": os.environ.get("LOG_ARCHIVE_COLLECTIONS", str(CHECKOUT / "build" / "collections")),
        "ANSIBLE_ROLES_PATH": str(TARGETS),
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_LOCAL_TEMP": os.path.join(folder, "ansible"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "1",
        "TMPDIR": str(folder),
    }


def run(
    target: str, folder: t.Union[str, os.PathLike[str]], variables: t.Mapping[str, t.Any], settings: t.Optional[t.Mapping[str, str]] = None
) -> subprocess.CompletedProcess[str]:
    """Run one target with these variables; ``folder`` is for temporary files, ``settings`` are more variables of the environment."""
    return subprocess.run(
        prepare(target, folder, variables),
        env=dict(os.environ, **(settings or {}), **environment(folder)),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def main(targets: t.Sequence[str]) -> int:
    """Run the targets on a file store; returns how many have failed."""
    failed = 0
    for target in targets or names():
        with tempfile.TemporaryDirectory() as folder:
            result = run(target, folder, {})
        print("%-16s %s" % (target, "ok" if result.returncode == 0 else "FAILED\n" + result.stdout), flush=True)
        failed += result.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
