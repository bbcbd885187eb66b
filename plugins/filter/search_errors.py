# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was not searched of a host."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import searches

DOCUMENTATION = r"""
name: search_errors
short_description: The errors of a search on a host
version_added: 0.9.0
description:
  - Takes the registered result of a task that ran C(log-archive search --json) and returns the errors, one sentence each. It is not an
    error if nothing was found.
positional: _input, searched
options:
  searched:
    description: The result of the controller's own search in the stores of the host, if the host did not answer. It may be undefined.
    type: dict
extends_documentation_fragment:
  - infra_ops.log_archive.command_result
"""

EXAMPLES = r"""
- name: Search
  ansible.builtin.command:
    argv: [/usr/local/bin/log-archive, search, out of memory, --json]
  register: searched
  changed_when: false
  failed_when: searched | infra_ops.log_archive.search_errors | length > 0
"""

RETURN = r"""
_value:
  description: What failed.
  type: list
  elements: str
"""


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"search_errors": lambda result, searched=None: searches.errors(result, searched)}
