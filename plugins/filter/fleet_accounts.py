# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The accounts on archive servers of hosts that the inventory no longer has, as readable text."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import orphans

DOCUMENTATION = r"""
name: fleet_accounts
short_description: The accounts on archive servers of hosts that the inventory no longer has, as readable text
version_added: 0.9.0
description:
  - Takes the results of C(getent passwd) on archive servers and returns a line for each account that
    P(infra_ops.log_archive.former_accounts#filter) finds, and for each server with accounts that cannot be read.
positional: inventory, removed
options:
  _input:
    description: The registered results of the task, by the name of the server. Each may be undefined.
    type: dict
    required: true
  inventory:
    description: The names of all hosts.
    type: list
    elements: str
    required: true
  removed:
    description: Accounts to leave out.
    type: list
    elements: str
    default: []
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Show the accounts of former hosts
  ansible.builtin.debug:
    msg: "{{ dict(groups['archive_server'] | zip(results)) | infra_ops.log_archive.fleet_accounts(groups['all']) }}"
  vars:
    results: "{{ groups['archive_server'] | map('extract', hostvars, 'passwd') }}"
  run_once: true
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"fleet_accounts": orphans.account_lines}
