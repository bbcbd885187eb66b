# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kind of the error that ended the command ``log-archive`` on a host."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import command

DOCUMENTATION = r"""
name: command_error_kind
short_description: The kind of the error that ended the command log-archive
version_added: 0.9.0
description:
  - Takes the registered result of a task that ran C(log-archive COMMAND --json) and returns the C(kind) of the error that ended the
    command, such as V(no_jobs) if the host has no job document. The kind stays the same even if the text of an error changes.
  - V(missing_command) means that the host does not have the command.
extends_documentation_fragment:
  - infra_ops.log_archive.command_result
"""

EXAMPLES = r"""
- name: Run every job
  ansible.builtin.command:
    argv: [/usr/local/bin/log-archive, run, --all, --json]
  register: archived
  changed_when: archived | infra_ops.log_archive.command_rows | selectattr('changed', 'defined') | selectattr('changed') | length > 0
  failed_when: archived.rc != 0 and archived | infra_ops.log_archive.command_error_kind != 'no_jobs'
"""

RETURN = r"""
_value:
  description: The kind of the error. It is V(none) if no error ended the command, or if the command did not report the kind.
  type: str
"""


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"command_error_kind": command.error_kind}
