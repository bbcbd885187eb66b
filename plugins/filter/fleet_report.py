# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the command ``log-archive`` printed on each host of a play, as readable text."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import fleet

DOCUMENTATION = r"""
name: fleet_report
short_description: The output of the command log-archive on each host, as readable text
version_added: 0.9.0
description:
  - Takes the results of C(log-archive prune --json), C(log-archive sync --json) or C(log-archive verify --json) on many hosts and returns
    lines to show. They contain the output of the command without C(--json).
  - Hosts with a failure come first.
positional: command, verbose
options:
  command:
    description: The command that ran.
    type: str
    choices: [doctor, prune, sync, verify]
    required: true
  verbose:
    description:
      - Whether to show everything. Otherwise the plan of a prune in check mode has only the archives that it would remove, and the
        result of C(doctor) only the problems.
    type: bool
    default: false
extends_documentation_fragment:
  - infra_ops.log_archive.fleet_results
"""

EXAMPLES = r"""
- name: Show what was verified
  ansible.builtin.debug:
    msg: "{{ dict(ansible_play_hosts_all | zip(results)) | infra_ops.log_archive.fleet_report('verify') }}"
  vars:
    results: "{{ ansible_play_hosts_all | map('extract', hostvars, 'verified') }}"
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
        return {"fleet_report": fleet.report}
