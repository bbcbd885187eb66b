# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of a fleet, as one HTML page."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import fleet

DOCUMENTATION = r"""
name: fleet_page
short_description: The state of the jobs on each host, as one HTML page
version_added: 0.9.0
description:
  - Takes the results of C(log-archive status --json --coverage DAYS) on many hosts and returns one HTML file as text. It needs no other
    file and no server.
  - It shows problems first; then a table of hosts, jobs and days with the state of each day (verified, in some stores, spooled,
    missing, pruned by rule, not due yet, no log expected) and, on a click, of its hours; bytes and compression by day; stores; the last and
    the next run of each job, and its key; and streams.
  - Hosts without a result are on the page, with the reason. Without C(--coverage) the page has no days.
extends_documentation_fragment:
  - infra_ops.log_archive.fleet_results
"""

EXAMPLES = r"""
- name: Write the page of the fleet
  ansible.builtin.copy:
    content: "{{ dict(ansible_play_hosts_all | zip(results)) | infra_ops.log_archive.fleet_page }}"
    dest: /srv/reports/fleet.html
    mode: "0600"
  vars:
    results: "{{ ansible_play_hosts_all | map('extract', hostvars, 'state') }}"
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: The page.
  type: str
"""


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"fleet_page": fleet.page}
