# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The findings of an audit on each host, in one table."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import audits

DOCUMENTATION = r"""
name: fleet_audit
short_description: The findings of an audit of ledgers and stores on each host, as readable text or as a page
version_added: 0.9.0
description:
  - Takes the results of C(log-archive ledger verify --json) on many hosts and returns lines to show, or an HTML page.
  - First come the findings. Then comes a table of hosts, jobs and stores, problems first, with the number of archives that a store must
    have according to the ledger, the number of entries of the ledger, and whether the witness on the controller has checked it. The last
    line has the totals.
positional: witnessed
options:
  witnessed:
    description: The registered results of M(infra_ops.log_archive.ledger_witness), by the name of the host. Each may be undefined.
    type: dict
    default: {}
  page:
    description: Whether to return an HTML page.
    type: bool
    default: false
extends_documentation_fragment:
  - infra_ops.log_archive.fleet_results
"""

EXAMPLES = r"""
- name: Show what the audit found
  ansible.builtin.debug:
    msg: "{{ dict(ansible_play_hosts_all | zip(results)) | infra_ops.log_archive.fleet_audit }}"
  vars:
    results: "{{ ansible_play_hosts_all | map('extract', hostvars, 'audited') }}"
  run_once: true
"""

RETURN = r"""
_value:
  description: The lines, or with O(page=true) the page as text.
  type: raw
"""


def _fleet_audit(
    results: t.Mapping[str, t.Any], witnessed: t.Optional[t.Mapping[str, t.Any]] = None, page: bool = False
) -> t.Union[str, t.List[str]]:
    return audits.page(results, witnessed or {}) if page else audits.audit(results, witnessed or {})


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"fleet_audit": _fleet_audit}
