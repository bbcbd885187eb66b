# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run Ansible with less work for the same result: runs share packed modules and compiled templates, and Ansible waits less busily."""

from __future__ import annotations

import os
import pathlib
import shlex
import typing as t

FOLDER = pathlib.Path(__file__).parent
# Where the plugins keep what they share; the test session sets it, and without it nothing is shared.
SHARED = "LOG_ARCHIVE_SHARED_MODULES"
HOSTS_PYTHON = "LOG_ARCHIVE_HOSTS_PYTHON"


def environment(hosts_python: t.Sequence[str] = ()) -> t.Dict[str, str]:
    """Variables for any program of Ansible. hosts_python: how to run the interpreter of the hosts, if it is another version."""
    found = {"ANSIBLE_CONFIG": str(FOLDER / "ansible.cfg")}
    if SHARED in os.environ:
        # Not in the configuration: ansible-runner sets these variables itself, and adds to what they hold.
        found.update(ANSIBLE_CALLBACK_PLUGINS=str(FOLDER / "callback"), ANSIBLE_CALLBACKS_ENABLED="shared_modules,shared_templates")
        found[SHARED] = os.environ[SHARED]
        if hosts_python:
            found[HOSTS_PYTHON] = shlex.join(hosts_python)
    return found
