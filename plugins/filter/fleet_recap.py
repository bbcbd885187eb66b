# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run of the jobs did on each host, in one table."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import fleet

DOCUMENTATION = r"""
name: fleet_recap
short_description: What a run of the jobs did on each host, for people
version_added: 0.1.0
description:
  - Takes the registered results of a task that ran C(log-archive run --json), by host, and returns lines to be shown.
  - First what went wrong, on hosts that could not be reached too; then a table of hosts and jobs with the archives that were made or sent,
    their size before and after, by what level each store has verified them (the weakest), how many were pruned there, and how many wait in
    the spool; then a line of totals. What failed comes first in the table too.
  - That archives wait is no failure here. Where a store has failed, the command says so.
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
- name: What the fleet has archived
  ansible.builtin.debug:
    msg: "{{ dict(ansible_play_hosts_all | zip(results)) | infra_ops.log_archive.fleet_recap }}"
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
        return {"fleet_recap": fleet.recap}
