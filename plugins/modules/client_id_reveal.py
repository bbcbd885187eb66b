#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: client_id_reveal
short_description: Decrypt the client ids that a stream has stored
version_added: 0.9.0
description:
  - Decrypts tokens of client ids with the keys on the host of the stream. A stream with the profile C(client_events) stores such tokens in
    the field C(client_id) of its rows and documents.
  - The result contains the ids. Use the module in a task with C(no_log=true).
requirements:
  - cryptography (Python library on the host that runs the module)
options:
  keyring:
    description: The folder of the keys of client ids on the host, which is
      O(infra_ops.log_archive.log_ingest#module:stream.client_ids.keyring).
    type: path
    required: true
  tokens:
    description: The tokens to decrypt.
    type: list
    elements: str
    required: true
  month:
    description: The month of the entries, such as V(2021-04). By default the key of every month is tried.
    type: str
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: full
seealso:
  - module: infra_ops.log_archive.log_ingest
  - plugin: infra_ops.log_archive.client_id
    plugin_type: lookup
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Find out which client an error was about
  infra_ops.log_archive.client_id_reveal:
    keyring: /var/lib/log-archive/client-keys
    tokens: ["{{ row.client_id }}"]
  register: clients
  no_log: true
"""

RETURN = r"""
clients:
  description: The ids, in the order of O(tokens).
  returned: success
  type: list
  elements: dict
  contains:
    client_id:
      description: The id.
      type: str
      returned: success
      sample: C00012345
    client_key:
      description: Name of the key that decrypted it.
      type: str
      returned: success
      sample: 2021_April
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import client_ids
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import reporting


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "keyring": {"type": "path", "required": True, "no_log": False},
            "tokens": {"type": "list", "elements": "str", "required": True, "no_log": False},
            "month": {"type": "str"},
        },
        supports_check_mode=True,
    )
    with reporting(module) as result:
        keys = client_ids.keys_of(module.params["keyring"], module.params["month"])
        found = [client_ids.reveal(keys, token) for token in module.params["tokens"]]
        result["clients"] = [{"client_id": each.text, "client_key": each.key} for each in found]


if __name__ == "__main__":
    main()
