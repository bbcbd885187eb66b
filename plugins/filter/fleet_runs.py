# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runs of a fleet's jobs, for whoever is told of them."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import fleet

DOCUMENTATION = r"""
name: fleet_runs
short_description: The recaps of the runs on all hosts, for the module recap_notify
version_added: 0.1.0
description:
  - Takes the registered results of a task that ran C(log-archive run --json), by host, and returns the recaps that the hosts told, those
    first where something went wrong.
  - A host that told nothing, because it could not be reached, has a recap that says so.
options:
  _input:
    description:
      - The results by the name of the host. One that is not there, because nothing was run, is welcome.
      - A dict with C(no_jobs) stands for a host that has nothing to run.
    type: dict
    required: true
seealso:
  - module: infra_ops.log_archive.recap_notify
  - plugin: infra_ops.log_archive.fleet_recap
    plugin_type: filter
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Tell of what the fleet has archived
  infra_ops.log_archive.recap_notify:
    recaps: "{{ dict(ansible_play_hosts_all | zip(results)) | infra_ops.log_archive.fleet_runs }}"
    notify:
      - type: chat
        url: "{{ mattermost_webhook }}"
  vars:
    results: "{{ ansible_play_hosts_all | map('extract', hostvars, 'told') }}"
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
