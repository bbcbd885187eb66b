# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The arguments that act on the orphans of a host."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import orphans

DOCUMENTATION = r"""
name: orphan_actions
short_description: The arguments that act on the orphans of a host
version_added: 0.9.0
description:
  - Takes the result of C(log-archive orphans --json) on a host and returns the arguments of each further call of
    C(log-archive orphans) there, in the order of the calls. What the host does not have is left out.
positional: asked, jobs, options
options:
  _input:
    description: The registered result of the task.
    type: dict
    required: true
  asked:
    description: The names of the jobs for each action.
    type: dict
    required: true
    suboptions:
      send:
        description: Jobs with archives to send from the spool.
        type: list
        elements: str
        required: true
      adopt:
        description: Jobs that a job in O(jobs) takes over.
        type: list
        elements: str
        required: true
      remove_archives:
        description: Jobs with archives to remove from stores.
        type: list
        elements: str
        required: true
      remove:
        description: Jobs to remove from the host.
        type: list
        elements: str
        required: true
  jobs:
    description: The job documents of the host by name, as the lookup P(infra_ops.log_archive.jobs#lookup) returns them.
    type: dict
    required: true
  options:
    description: How to act.
    type: dict
    required: true
    suboptions:
      stores_of:
        description: The job that has the stores and keys to use.
        type: str
      store:
        description: Only this store.
        type: str
      spool:
        description: Whether to give up archives that wait in the spool.
        type: bool
      records:
        description: Whether to forget archives that stores have.
        type: bool
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Show how the job old would be removed
  ansible.builtin.debug:
    msg: "{{ orphans | infra_ops.log_archive.orphan_actions(asked, {}, {'records': true}) }}"
  vars:
    asked: {send: [], adopt: [], remove_archives: [], remove: [old]}
"""

RETURN = r"""
_value:
  description: The arguments of each call.
  type: list
  elements: list
"""


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"orphan_actions": orphans.actions}
