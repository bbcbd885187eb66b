# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The accounts on an archive server of hosts that the inventory no longer has."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import orphans

DOCUMENTATION = r"""
name: former_accounts
short_description: The accounts on an archive server of hosts that the inventory no longer has
version_added: 0.9.0
description:
  - Takes the result of C(getent passwd) on an archive server and returns the accounts that the role
    P(infra_ops.log_archive.archive_server#role) created for hosts that are not in O(inventory). Their keys could still add archives.
positional: inventory
options:
  _input:
    description: The registered result of the task. It may be undefined.
    type: dict
    required: true
  inventory:
    description: The names of all hosts.
    type: list
    elements: str
    required: true
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Show the accounts of former hosts
  ansible.builtin.debug:
    msg: "{{ passwd | infra_ops.log_archive.former_accounts(groups['all']) | map(attribute='account') }}"
"""

RETURN = r"""
_value:
  description: A dict with C(account), C(host) and C(folder) for each.
  type: list
  elements: dict
"""


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"former_accounts": orphans.former_accounts}
