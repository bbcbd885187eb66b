# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the command ``log-archive`` told a play about its jobs."""

from __future__ import annotations

import json
import typing as t

DOCUMENTATION = r"""
name: command_rows
short_description: What the command log-archive told a play, as a list
version_added: 0.1.0
description:
  - Takes the registered result of a task that ran C(log-archive COMMAND --json) and returns the list that the command printed; for C(run)
    and C(prune) the recaps of the jobs, for C(status) its rows, for C(verify) the archives that were checked.
  - The list is empty where the command did not come to a result. P(infra_ops.log_archive.command_errors#filter) says why.
options:
  _input:
    description: The result. One of a host that was unreachable or does not have the command is welcome, and so is one that is undefined.
    type: dict
    required: true
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Ask for the state of every job
  ansible.builtin.command:
    argv: [/usr/local/bin/log-archive, status, --json]
  register: told
  changed_when: false
  failed_when: told | infra_ops.log_archive.command_rows | length == 0
"""

RETURN = r"""
_value:
  description: What the command printed.
  type: list
  elements: dict
"""


def command_rows(result: t.Any) -> t.List[t.Dict[str, t.Any]]:
    """See DOCUMENTATION."""
    try:
        told = json.loads(result.get("stdout") or "") if isinstance(result, dict) else []
    except ValueError:
        return []
    return told if isinstance(told, list) else []


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"command_rows": command_rows}
