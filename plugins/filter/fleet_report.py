# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the command ``log-archive`` told on each host of a play, for people."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.infra_ops.log_archive.plugins.filter.command_errors import command_errors
from ansible_collections.infra_ops.log_archive.plugins.filter.command_rows import command_rows
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import report

DOCUMENTATION = r"""
name: fleet_report
short_description: What the command log-archive told on each host, for people
version_added: 0.1.0
description:
  - Takes the registered results of a task that ran C(log-archive COMMAND --json), by host, and returns lines to be shown. They say what
    the command itself prints without C(--json).
  - Hosts where something went wrong come first, with what it was.
positional: command
options:
  _input:
    description: The results by the name of the host.
    type: dict
    required: true
  command:
    description: The command that ran.
    type: str
    choices: [prune, verify]
    required: true
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Show what was verified
  ansible.builtin.debug:
    msg: "{{ dict(ansible_play_hosts_all | zip(results)) | infra_ops.log_archive.fleet_report('verify') }}"
  vars:
    results: "{{ ansible_play_hosts_all | map('extract', hostvars, 'verified') }}"
  run_once: true
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

COMMANDS: t.Dict[str, t.Callable[[t.List[t.Dict[str, t.Any]]], str]] = {
    "prune": lambda rows: "\n".join(report.recap(row) for row in rows),
    "verify": report.verified,
}


def fleet_report(results: t.Mapping[str, t.Any], command: str) -> t.List[str]:
    """See DOCUMENTATION."""
    if command not in COMMANDS:
        raise AnsibleFilterError("fleet_report: %r is none of %s" % (command, ", ".join(sorted(COMMANDS))))
    bad: t.List[str] = []
    good: t.List[str] = []
    for host, result in results.items():
        errors = command_errors(result)
        rows = command_rows(result)
        told = COMMANDS[command](rows) if rows else "\n".join(errors) or "nothing"
        (bad if errors else good).extend(["%s%s" % (host, ": FAILED" if errors else ""), *("  " + line for line in told.splitlines())])
    return bad + good


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"fleet_report": fleet_report}
