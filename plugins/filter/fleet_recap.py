# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run of the jobs did on each host, in one table."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import fleet

DOCUMENTATION = r"""
name: fleet_recap
short_description: The result of the jobs on each host, as readable text
version_added: 0.9.0
description:
  - Takes the results of C(log-archive run --json) on many hosts and returns lines to show.
  - First come failures, including unreachable hosts. Then comes a table of hosts and jobs, failures first, with the archives that were
    made or sent, their size before and after, the weakest verification level in each store, how many archives were pruned there, and how
    many wait in the spool. The last line has the totals.
  - Archives that wait in the spool are not a failure in the table, but a failed store is.
extends_documentation_fragment:
  - infra_ops.log_archive.fleet_results
"""

EXAMPLES = r"""
- name: Show what the fleet has archived
  ansible.builtin.debug:
    msg: "{{ dict(ansible_play_hosts_all | zip(results)) | infra_ops.log_archive.fleet_recap }}"
  vars:
    results: "{{ ansible_play_hosts_all | map('extract', hostvars, 'archived') }}"
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
        return {"fleet_recap": fleet.recap}
