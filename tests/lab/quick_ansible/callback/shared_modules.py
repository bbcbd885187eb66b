# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Let the runs of ansible-playbook in one test session share the modules that Ansible has packed.

Each run of Ansible packs every module that it uses, together with what the module imports, into a folder of its own. That took a third of
the processor's time in a run with many tasks. Here this folder is a link to one that all runs use: Ansible locks it, because its own
worker processes share it, too.
"""

from __future__ import annotations

import hashlib
import os
import typing as t

from ansible import __version__, constants
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: shared_modules
type: aggregate
short_description: Share packed modules between runs
description: For tests. E(LOG_ARCHIVE_SHARED_MODULES) is the folder.
"""


class CallbackModule(CallbackBase):
    """Makes the link before the first task."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "shared_modules"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: t.Any) -> None:
        # Ansible knows a packed module by its name alone.
        belongs_to = hashlib.sha256(repr((__version__, constants.COLLECTIONS_PATHS)).encode()).hexdigest()[:16]
        shared = os.path.join(os.environ["LOG_ARCHIVE_SHARED_MODULES"], belongs_to)
        os.makedirs(shared, exist_ok=True)
        os.symlink(shared, os.path.join(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache"))
