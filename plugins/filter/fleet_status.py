# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of the jobs on each host, in one table."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import fleet

DOCUMENTATION = r"""
name: fleet_status
short_description: The state of the jobs on each host, as readable text
version_added: 0.9.0
description:
  - Takes the results of C(log-archive status --json) on many hosts and returns lines to show.
  - First come the hosts without a result, with the reason. Then comes a table of hosts and jobs, problems first, with the last success, how
    many archives wait for each store, how many there are and their size, the weakest verification level in each store, and the next run;
    then a table of streams, with their lag, rejected lines and gaps; then orphans, which are jobs and stores that no document names any
    more. The last line has the totals.
extends_documentation_fragment:
  - infra_ops.log_archive.fleet_results
"""

EXAMPLES = r"""
- name: Show the state of the fleet
  ansible.builtin.debug:
    msg: "{{ dict(ansible_play_hosts_all | zip(results)) | infra_ops.log_archive.fleet_status }}"
  vars:
    results: "{{ ansible_play_hosts_all | map('extract', hostvars, 'state') }}"
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
