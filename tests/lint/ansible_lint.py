# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run ansible-lint in less than half the time: ``ansible_lint.py ARGUMENT...``.

It runs 'ansible-playbook --syntax-check' for each playbook and each role. Here these are copies of a process that has imported Ansible.
Each of its rules copies each task in depth. Here the copies share Ansible's strings.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import typing as t

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lab.quick_ansible.warm import WarmAnsible, copy_no_strings  # noqa: E402


@contextlib.contextmanager
def quick_syntax_checks() -> t.Iterator[None]:
    """Let ``subprocess.run`` run checks of syntax in copies of a process, one for each environment."""
    run, lock = subprocess.run, threading.Lock()
    ready: t.Dict[t.FrozenSet[t.Tuple[str, str]], WarmAnsible] = {}

    def run_quickly(argv: t.Sequence[str], *arguments: t.Any, **options: t.Any) -> subprocess.CompletedProcess[str]:
        if list(argv[:2]) != ["ansible-playbook", "--syntax-check"]:
            return run(argv, *arguments, **options)
        environment = frozenset(options["env"].items())
        # Several threads check.
        with lock:
            if environment not in ready:
                ready[environment] = stack.enter_context(contextlib.closing(WarmAnsible([], options["env"], log)))
        return ready[environment].run(argv, options.get("cwd") or os.getcwd())

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        log = pathlib.Path(folder, "warm-ansible.log")
        subprocess.run = run_quickly
        yield


def main() -> t.Any:
    (command,) = importlib.metadata.entry_points(group="console_scripts", name="ansible-lint")
    copy_no_strings()
    with quick_syntax_checks():
        return command.load()()


if __name__ == "__main__":
    sys.exit(main())
