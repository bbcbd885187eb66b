# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be restored of a fleet, as readable text or as rows."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import fleet

DOCUMENTATION = r"""
name: fleet_list
short_description: The archives that can be restored for each host and job, as readable text or as rows
version_added: 0.9.0
description:
  - Takes the results of C(log-archive list --json), with or without C(--summary), on many hosts and returns lines to show.
  - First come the hosts that could not list their archives, with the reason. Then comes a table by host, job and time. Archives that no
    store has are omitted; a summary counts those that still wait in the spool. Hosts that share a store list its archives only once.
positional: rows
options:
  rows:
    description: Whether to return the rows of the table as dicts, for a file.
    type: bool
    default: false
extends_documentation_fragment:
  - infra_ops.log_archive.fleet_results
"""

EXAMPLES = r"""
- name: Show what can be restored
  ansible.builtin.debug:
    msg: "{{ dict(ansible_play_hosts_all | zip(results)) | infra_ops.log_archive.fleet_list }}"
  vars:
    results: "{{ ansible_play_hosts_all | map('extract', hostvars, 'listed') }}"
  run_once: true
"""

RETURN = r"""
_value:
  description: The lines, or with O(rows=true) the rows.
  type: list
  elements: raw
"""


def _fleet_list(results: t.Mapping[str, t.Any], rows: bool = False) -> t.List[t.Any]:
    return fleet.held(results) if rows else fleet.listing(results)


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"fleet_list": _fleet_list}
