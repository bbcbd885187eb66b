# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drill on the controller, in the form of one on the host."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import drills

DOCUMENTATION = r"""
name: drill_result
short_description: The result of a drill on the controller, as the command on the host would return it
version_added: 0.9.0
description:
  - Takes the results of the module M(infra_ops.log_archive.archive_drill) for the stores of a host, and returns them as the registered
    result of a task that ran C(log-archive drill --json), for the filter P(infra_ops.log_archive.fleet_drill#filter).
  - The result includes stores that the controller could not use, with the reason. It is a failure if no archive of a job was tried.
positional: _input, documents, store
options:
  _input:
    description: The results of a loop. Each item begins with the name of a job and the name of a store.
    type: list
    elements: dict
    required: true
  documents:
    description: The job documents by name, as the lookup P(infra_ops.log_archive.jobs#lookup) returns them.
    type: dict
    required: true
  store:
    description: The store that the drill was limited to, by its name. Empty means all stores.
    type: str
    default: ""
  check_mode:
    description: Whether it was a dry run.
    type: bool
    default: false
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Record the drill
  ansible.builtin.set_fact:
    drilled: "{{ registered.results | infra_ops.log_archive.drill_result(lookup('infra_ops.log_archive.jobs')) }}"
"""

RETURN = r"""
_value:
  description: The exit code C(rc), and C(stdout), the rows in JSON.
  type: dict
"""


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"drill_result": drills.result_of}
