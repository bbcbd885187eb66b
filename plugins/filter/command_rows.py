# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The list that the command ``log-archive`` printed on a host."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import command

DOCUMENTATION = r"""
name: command_rows
short_description: The output of the command log-archive, as a list
version_added: 0.9.0
description:
  - Takes the registered result of a task that ran C(log-archive COMMAND --json) and returns the list that the command printed. For C(run)
    and C(prune) it holds the recaps of the jobs, for C(status) a row for each job, for C(verify) the archives that were checked.
  - The list is empty if the command did not print a result. P(infra_ops.log_archive.command_errors#filter) returns the reason.
extends_documentation_fragment:
  - infra_ops.log_archive.command_result
"""

EXAMPLES = r"""
- name: Get the state of every job
  ansible.builtin.command:
    argv: [/usr/local/bin/log-archive, status, --json]
  register: state
  changed_when: false
  failed_when: state | infra_ops.log_archive.command_rows | length == 0
"""

RETURN = r"""
_value:
  description: What the command printed.
  type: list
  elements: dict
"""


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"command_rows": command.rows}
