# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is left of jobs, stores and hosts that the inventory no longer has, as readable text."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import orphans

DOCUMENTATION = r"""
name: fleet_orphans
short_description: What is left of jobs, stores and hosts that the inventory no longer has, as readable text
version_added: 0.9.0
description:
  - Takes the results of C(log-archive orphans --json) on many hosts and returns lines to show.
  - First come hosts that gave no result or could not read all of their job documents, then orphans, hosts in stores, and accounts. The last
    line names the servers on which accounts and keys cannot be seen.
positional: listed, inventory, servers, accounts
options:
  listed:
    description: The registered results of C(log-archive list --hosts --json), by the name of the host. Each may be undefined.
    type: dict
    required: true
  inventory:
    description: The names of all hosts.
    type: list
    elements: str
    required: true
  servers:
    description: The names and addresses of the archive servers.
    type: list
    elements: str
    required: true
  accounts:
    description: The lines of the filter P(infra_ops.log_archive.fleet_accounts#filter).
    type: list
    elements: str
    required: true
extends_documentation_fragment:
  - infra_ops.log_archive.fleet_results
"""

EXAMPLES = r"""
- name: Show what is left
  ansible.builtin.debug:
    msg: "{{ dict(hosts | zip(orphans)) | infra_ops.log_archive.fleet_orphans(dict(hosts | zip(listed)), groups['all'], [], []) }}"
  vars:
    hosts: "{{ ansible_play_hosts_all }}"
    orphans: "{{ hosts | map('extract', hostvars, 'orphans') }}"
    listed: "{{ hosts | map('extract', hostvars, 'listed') }}"
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
        return {"fleet_orphans": orphans.fleet}
