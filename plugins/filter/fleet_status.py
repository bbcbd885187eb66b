# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of the jobs on each host, in one table."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import fleet

DOCUMENTATION = r"""
name: fleet_status
short_description: The state of the jobs on each host, for people
version_added: 0.1.0
description:
  - Takes the registered results of a task that ran C(log-archive status --json), by host, and returns lines to be shown.
  - First the hosts that told nothing, with the reason; then a table of hosts and jobs, those that are not fine first, with the last
    success, how many archives wait for each store, how many there are and how large, by what level each store has verified them (the
    weakest), and the next run; then a line of totals.
options:
  _input:
    description:
      - The results by the name of the host. One that is not there, because nothing was run, is welcome.
      - A dict with C(no_jobs) stands for a host that has nothing to run.
    type: dict
    required: true
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: The state of the fleet
  ansible.builtin.debug:
    msg: "{{ dict(ansible_play_hosts_all | zip(results)) | infra_ops.log_archive.fleet_status }}"
  vars:
    results: "{{ ansible_play_hosts_all | map('extract', hostvars, 'told') }}"
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
        return {"fleet_status": fleet.status}
