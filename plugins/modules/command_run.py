#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# The action plugin of the same name, on the controller, does all of it.

from __future__ import annotations

DOCUMENTATION = r"""
module: command_run
short_description: Run the command log-archive on a host without copying a module to it
version_added: 0.9.0
description:
  - Runs C(log-archive ARGUMENTS --json) on the host over the connection, with the privileges of the task. Nothing is copied to the host.
    Over SSH this needs one round trip instead of several, and a quarter of the CPU time of M(ansible.builtin.command).
  - The module does not fail if the command fails. The filters P(infra_ops.log_archive.command_rows#filter),
    P(infra_ops.log_archive.command_errors#filter) and P(infra_ops.log_archive.command_error_kind#filter) read its result.
options:
  arguments:
    description: The command of C(log-archive) and its arguments, without C(--json) and C(--config).
    type: list
    elements: str
    required: true
  command:
    description: The path of the command on the host.
    type: path
    default: /opt/log-archive/bin/log-archive
  config:
    description: The folder of the job documents on the host. By default the default folder of the command.
    type: path
  witness:
    description:
      - After the command has printed rows, compare the ledgers of the host with the heads that the controller has recorded, as
        M(infra_ops.log_archive.ledger_witness) does. After C(run) and C(status) the host is asked only if the rows show that a ledger has
        grown.
    type: dict
    suboptions:
      folder:
        description: The folder of the witness on the controller, an absolute path.
        type: str
        required: true
      jobs:
        description: Only the ledgers of these jobs. Empty means all.
        type: list
        elements: str
        default: []
      accept:
        description: Whether to accept ledgers that do not contain the recorded head.
        type: bool
        default: false
      remember:
        description: Whether to record the new heads.
        type: bool
        default: true
notes:
  - The host needs a POSIX shell. The standard input of the command is empty.
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
attributes:
  check_mode:
    support: partial
    details: In check mode the command does not run. Use C(check_mode=false) with arguments that change nothing, such as C(--dry-run).
  diff_mode:
    support: none
    details: The command shows no differences.
  idempotent:
    support: partial
    details: As idempotent as the command in O(arguments).
seealso:
  - module: infra_ops.log_archive.archive_run
  - module: infra_ops.log_archive.ledger_witness
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Run every job
  infra_ops.log_archive.command_run:
    arguments: [run, --all]
  register: archived
  failed_when: archived | infra_ops.log_archive.command_errors | length > 0

- name: Get the state of every job, and check that its ledger only grew
  infra_ops.log_archive.command_run:
    arguments: [status]
    witness:
      folder: "{{ inventory_dir }}/witness"
  register: state
"""

RETURN = r"""
rc:
  description: The exit status of the command; V(2), with no output at all, if the host does not have the command.
  returned: always
  type: int
  sample: 0
stdout:
  description: The output of the command, as JSON.
  returned: always
  type: str
  sample: "[]"
stderr:
  description: The standard error of the command and of the connection.
  returned: always
  type: str
  sample: ""
no_jobs:
  description: V(true) if the host has no job document or no command, and the inventory has no job for it either.
  returned: if the host has nothing to run
  type: bool
  sample: true
witnessed:
  description: The result of the comparison with the witness. C(msg) describes a problem.
  returned: if O(witness) is set and the command printed rows
  type: dict
  sample: {findings: [], ledgers: {}, accepted: [], folder: /srv/witness/web1, changed: false}
"""
