# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runs of a fleet's jobs, for notifications."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import fleet

DOCUMENTATION = r"""
name: fleet_runs
short_description: The recaps of the runs on all hosts, for the module recap_notify
version_added: 0.9.0
description:
  - Takes the results of C(log-archive run --json) on many hosts and returns the recaps of all hosts, failures first.
  - A host without a result, such as an unreachable one, gets a recap that reports this.
seealso:
  - module: infra_ops.log_archive.recap_notify
  - plugin: infra_ops.log_archive.fleet_recap
    plugin_type: filter
extends_documentation_fragment:
  - infra_ops.log_archive.fleet_results
"""

EXAMPLES = r"""
- name: Send a message about what the fleet has archived
  infra_ops.log_archive.recap_notify:
    recaps: "{{ dict(ansible_play_hosts_all | zip(results)) | infra_ops.log_archive.fleet_runs }}"
    notify:
      - type: chat
        url: "{{ mattermost_webhook }}"
  vars:
    results: "{{ ansible_play_hosts_all | map('extract', hostvars, 'archived') }}"
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: The recaps.
  type: list
  elements: dict
"""


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"fleet_runs": fleet.runs}
