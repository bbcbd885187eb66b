#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# The action plugin of the same name, on the controller, does all of it.

from __future__ import annotations

DOCUMENTATION = r"""
module: ledger_witness
short_description: Check on the controller that the ledgers of a host only grow
version_added: 0.9.0
description:
  - Each job keeps a ledger, a signed chain of entries about archives that were stored and removed. A chain cannot show that its end was cut
    off, or that it was replaced. This module records the head of each ledger of a host on the controller, as
    C(<folder>/<host>/<job>.json), and fails if a ledger does not contain the recorded head.
  - It detects a ledger that was cut, deleted, started again or rewritten, and a host that was restored to an older state.
  - It warns about new entries with a time before the last check.
  - The first check trusts the ledger that it finds.
options:
  folder:
    description: The folder of the witness on the controller, an absolute path. It is created with mode 0700 if it is missing.
    type: str
    required: true
  host:
    description: The name of the folder of the host in O(folder). By default the name of the host in the inventory.
    type: str
  command:
    description: The path of the command on the host.
    type: path
    default: /opt/log-archive/bin/log-archive
  config:
    description: The folder of the job documents on the host. By default the default folder of the command.
    type: path
  jobs:
    description: Only the ledgers of these jobs. Empty means all.
    type: list
    elements: str
    default: []
  rows:
    description:
      - The output of C(log-archive run --json) or C(log-archive status --json). If it contains the recorded heads, the host is not asked
        again.
    type: list
    elements: dict
  accept:
    description: Whether to accept ledgers that do not contain the recorded head, for example after you restored an older state of the host.
    type: bool
    default: false
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
attributes:
  check_mode:
    support: full
    details: Nothing is written on the controller.
  diff_mode:
    support: none
    details: The heads are in the result.
  idempotent:
    support: full
    details: A recorded head is not written again.
seealso:
  - module: infra_ops.log_archive.key_escrow
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Check that the ledgers of the host contain the recorded heads
  infra_ops.log_archive.ledger_witness:
    folder: "{{ inventory_dir }}/witness"

- name: Accept the ledgers of a machine that was restored from a snapshot
  infra_ops.log_archive.ledger_witness:
    folder: "{{ inventory_dir }}/witness"
    accept: true
"""

RETURN = r"""
findings:
  description: The problems with ledgers, one text each. The module fails if there are any.
  returned: always
  type: list
  elements: str
  sample: []
accepted:
  description: The problems that were accepted.
  returned: success
  type: list
  elements: str
  sample: []
ledgers:
  description: The head of each ledger, by job. Empty if O(rows) showed that nothing is new.
  returned: always
  type: dict
  sample: {syslog: {ledger: 5b3c1f8c7d2e4a60b1f0c9d8e7a6b5c4, seq: 41, sha256: 9f86d081884c7d65..., key: 3d4017c3e843895a...}}
folder:
  description: The folder on the controller with the heads of the host.
  returned: success
  type: str
  sample: /srv/witness/web1
"""
