# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors of the command ``log-archive`` on a host."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import command

DOCUMENTATION = r"""
name: command_errors
short_description: The errors of the command log-archive on a host
version_added: 0.9.0
description:
  - Takes the registered result of a task that ran C(log-archive COMMAND --json) and returns the errors, one sentence each. An empty list
    means that nothing failed.
  - With it, a play can run the command on every host, show the results, and then fail only the hosts with errors, each with its reasons.
positional: _input
options:
  partly:
    description: Whether to ignore archives that wait in the spool, for a run that should not send them.
    type: bool
    default: false
extends_documentation_fragment:
  - infra_ops.log_archive.command_result
"""

EXAMPLES = r"""
- name: Run every job
  ansible.builtin.command:
    argv: [/usr/local/bin/log-archive, run, --all, --json]
  register: archived
  changed_when: archived | infra_ops.log_archive.command_rows | selectattr('changed', 'defined') | selectattr('changed') | length > 0
  failed_when: archived | infra_ops.log_archive.command_errors | length > 0
"""

RETURN = r"""
_value:
  description: The errors, each with the job if the command named it.
  type: list
  elements: str
"""


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"command_errors": command.errors}
