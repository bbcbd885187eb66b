# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a search found on each host."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import searches

DOCUMENTATION = r"""
name: fleet_search
short_description: The lines that a search found on each host, as readable text or as a list
version_added: 0.9.0
description:
  - Takes the results of C(log-archive search --json) on many hosts and returns lines to show. First come the archives and logs
    that were not searched, then at most 200 of the lines that were found, and the totals.
positional: searched
options:
  searched:
    description:
      - The results of the controller's own searches in the stores of hosts that did not answer, by the name of the host, as the role
        P(infra_ops.log_archive.restore#role) records them. Each may be undefined.
    type: dict
    default: {}
  rows:
    description: Whether to return all that was found, as a list, in the form of C(log-archive search --json).
    type: bool
    default: false
extends_documentation_fragment:
  - infra_ops.log_archive.fleet_results
"""

EXAMPLES = r"""
- name: Show what was found
  ansible.builtin.debug:
    msg: "{{ dict(ansible_play_hosts_all | zip(results)) | infra_ops.log_archive.fleet_search }}"
  vars:
    results: "{{ ansible_play_hosts_all | map('extract', hostvars, 'searched') }}"
  run_once: true
"""

RETURN = r"""
_value:
  description: The lines, or with O(rows=true) the rows.
  type: list
  elements: raw
"""


def _fleet_search(results: t.Mapping[str, t.Any], searched: t.Optional[t.Mapping[str, t.Any]] = None, rows: bool = False) -> t.List[t.Any]:
    if rows:
        return [row for host, result in results.items() for row in searches.rows(result, (searched or {}).get(host))]
    return searches.text(results, searched or {})


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"fleet_search": _fleet_search}
