# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: client_id
short_description: Client ids from the tokens that a stream has stored
version_added: 0.9.0
author:
  - infra_ops.log_archive contributors (@infra-ops)
description:
  - Decrypts tokens of client ids on the controller, with a keyring there or with keys from the escrow. The host that stored the tokens does
    not have to exist any more.
  - Use it only in a task with C(no_log=true). The result contains the ids.
options:
  _terms:
    description: The tokens.
    type: list
    elements: str
    required: true
  keyring:
    description: A folder on the controller with the keys of client ids. This or O(keys) is required.
    type: path
  keys:
    description: The keys, each as 44 characters of URL-safe base64, as the lookup P(infra_ops.log_archive.escrow_keys#lookup) returns them.
    type: list
    elements: str
  month:
    description: The month of the entries, such as V(2021-04), with O(keyring). By default the key of every month is tried.
    type: str
seealso:
  - module: infra_ops.log_archive.client_id_reveal
  - plugin: infra_ops.log_archive.escrow_keys
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Write the clients of errors on a lost host to a report
  ansible.builtin.copy:
    content: "{{ query('infra_ops.log_archive.client_id', *tokens, keys=escrowed) | join('\n') }}"
    dest: /root/clients.txt
    mode: "0600"
  vars:
    escrowed: "{{ query('infra_ops.log_archive.escrow_keys', 'web1', folder=inventory_dir ~ '/escrow', vault_secret=escrow_password) }}"
  no_log: true
"""

RETURN = r"""
_raw:
  description: The client ids, in the order of the tokens.
  type: list
  elements: str
"""

import typing as t

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import client_ids, keyring


class LookupModule(LookupBase):
    """See the documentation above."""

    def run(self, terms: t.Sequence[str], variables: t.Any = None, **kwargs: t.Any) -> t.List[str]:
        """The ids of these tokens."""
        self.set_options(var_options=variables, direct=kwargs)
        try:
            keys = self._keys()
            return [client_ids.reveal(keys, str(token)).text for token in terms]
        except LogArchiveError as error:
            raise AnsibleLookupError(str(error)) from None

    def _keys(self) -> t.Mapping[str, bytes]:
        folder, given = self.get_option("keyring"), self.get_option("keys")
        if (folder is None) == (given is None):
            raise AnsibleLookupError("the lookup infra_ops.log_archive.client_id requires keyring or keys, and not both")
        if folder is not None:
            return client_ids.keys_of(folder, self.get_option("month"))
        secrets = {}
        for text in given:
            secret = keyring.secret_of(str(text).encode("utf-8", "replace"))
            if secret is None:
                raise AnsibleLookupError("keys: one of them is not a Fernet key, which is 44 characters of URL-safe base64")
            secrets[keyring.key_id(secret)] = secret
        return secrets
