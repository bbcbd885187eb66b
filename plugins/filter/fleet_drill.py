# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What restore drills found on each host."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import drills

DOCUMENTATION = r"""
name: fleet_drill
short_description: What restore drills found on each host, as readable text or as a report to file
version_added: 0.9.0
description:
  - Takes the results of C(log-archive drill --json) on many hosts and returns lines to show, hosts that failed first, or the whole report.
  - The report lists the archives that were tried for each job and store, the keys, the times, the failures, and the number of archives that
    were not tried.
positional: report
options:
  report:
    description: Return the report, as an HTML page or as JSON, instead of lines to show.
    type: str
    choices: [html, json]
extends_documentation_fragment:
  - infra_ops.log_archive.fleet_results
"""

EXAMPLES = r"""
- name: Show what the drill found
  ansible.builtin.debug:
    msg: "{{ dict(ansible_play_hosts_all | zip(results)) | infra_ops.log_archive.fleet_drill }}"
  vars:
    results: "{{ ansible_play_hosts_all | map('extract', hostvars, 'drilled') }}"
  run_once: true
"""

RETURN = r"""
_value:
  description: The lines, or with O(report) the report as text.
  type: raw
"""


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"fleet_drill": drills.drilled}
