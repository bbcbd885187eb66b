# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The input of the filters that show what the command ``log-archive`` did on each host of a play."""

from __future__ import annotations


class ModuleDocFragment:
    """The option ``_input`` of these filters."""

    DOCUMENTATION = r"""
options:
  _input:
    description:
      - The registered results of a task that ran C(log-archive COMMAND --json), by the name of the host.
      - A host may be unreachable or may not have the command. A result may be undefined if nothing ran on the host, or a dict with
        C(no_jobs) for a host that has nothing to run.
    type: dict
    required: true
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""
