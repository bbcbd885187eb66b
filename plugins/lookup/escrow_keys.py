# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: escrow_keys
short_description: The keys of hosts, from their copies on the controller
version_added: 0.9.0
author:
  - infra_ops.log_archive contributors (@infra-ops)
description:
  - Returns the Fernet keys of hosts, from the copies that the role P(infra_ops.log_archive.keys#role) keeps on the controller. The hosts
    do not have to exist any more.
  - Use it only in a task with C(no_log=true), and never as the list of a loop; otherwise Ansible shows the keys.
options:
  _terms:
    description: The names of the hosts in the inventory.
    type: list
    elements: str
    required: true
  folder:
    description: The folder of the copies, an absolute path.
    type: str
    required: true
  vault_secret:
    description: The password of the copies, if they are encrypted with Ansible Vault.
    type: str
seealso:
  - module: infra_ops.log_archive.key_escrow
"""

EXAMPLES = r"""
- name: Give this host the first key of a lost host, to open its archives
  infra_ops.log_archive.fernet_key:
    keyring: /root/web1-keyring
    key: "{{ query('infra_ops.log_archive.escrow_keys', 'web1', folder=inventory_dir ~ '/escrow', vault_secret=escrow_password) | first }}"
  no_log: true
"""

RETURN = r"""
_raw:
  description: The keys, each as 44 characters of URL-safe base64. A host without copies has no keys.
  type: list
  elements: str
"""

import typing as t

from ansible.plugins.lookup import LookupBase
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.escrow import Escrow


class LookupModule(LookupBase):
    """See the documentation above."""

    def run(self, terms: t.Sequence[str], variables: t.Any = None, **kwargs: t.Any) -> t.List[str]:
        """The keys of these hosts."""
        self.set_options(var_options=variables, direct=kwargs)
        escrows = [Escrow(self.get_option("folder"), host, self.get_option("vault_secret")) for host in terms]
        return [escrow.read(key_id) for escrow in escrows for key_id in escrow.ids()]
