# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The input of the filters that read what the command ``log-archive`` printed on one host."""

from __future__ import annotations


class ModuleDocFragment:
    """The option ``_input`` of these filters."""

    DOCUMENTATION = r"""
options:
  _input:
    description:
      - The registered result of a task that ran C(log-archive COMMAND --json).
      - The host may be unreachable or may not have the command. The result may be undefined, or a dict with C(no_jobs) for a host that has
        nothing to run.
    type: dict
    required: true
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""
