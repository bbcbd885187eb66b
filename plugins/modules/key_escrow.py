#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# The action plugin of the same name, on the controller, does all of it.

from __future__ import annotations

DOCUMENTATION = r"""
module: key_escrow
short_description: Manage a keyring and copies of its keys on the controller
version_added: 0.9.0
description:
  - Manages a keyring like M(infra_ops.log_archive.fernet_key), and keeps a copy of each key of the host on the controller, as
    C(<folder>/<host>/<key id>.key). If the host is lost, the copies can open its archives.
  - A key encrypts nothing before its copy exists and has been read back. A new key is created on the controller, copied, and then sent to
    the host. If the module is killed in between, it leaves a copy of an unused key, but never a key without a copy.
  - Keys that were created on the host and keys that were taken out of use are copied too.
  - Copies are never overwritten or removed.
options:
  keyring:
    description: The folder of the keyring, on the host.
    type: path
    required: true
  folder:
    description: The folder of the copies on the controller, an absolute path. It is created with mode 0700 if it is missing.
    type: str
    required: true
  host:
    description: The name of the folder of the host in O(folder). By default the name of the host in the inventory.
    type: str
  vault_secret:
    description:
      - Encrypt the copies with Ansible Vault and this password. C(ansible-vault view) opens them.
      - Existing copies are not changed. If they are encrypted, this password must open them.
    type: str
  key:
    description: A key to import, as 44 characters of URL-safe base64.
    type: str
  make_current:
    description: Whether the imported key encrypts new archives from now on.
    type: bool
    default: false
  rotate:
    description: Whether to create a new key and make it the current one.
    type: bool
    default: false
  max_age:
    description: Rotate only if the current key is older than this, such as V(90d), or if its age is unknown.
    type: str
  restore:
    description:
      - Whether to restore keys that have a copy but are not in the keyring, for example after the host was rebuilt.
      - A restored key does not become the current key. If there is no current key, a new one is created.
    type: bool
    default: false
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: The IDs of the keys and which of them have a copy, but no key.
  idempotent:
    support: partial
    details: With O(rotate=true) each run creates a key. Use O(max_age) to rotate when it is due.
seealso:
  - module: infra_ops.log_archive.fernet_key
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Ensure that the current key is not older than 90 days, and that each key has a copy, encrypted with Ansible Vault
  infra_ops.log_archive.key_escrow:
    keyring: /etc/log-archive/keyring
    folder: "{{ inventory_dir }}/escrow"
    vault_secret: "{{ escrow_password }}"
    max_age: 90d

- name: Restore the keys of a rebuilt host
  infra_ops.log_archive.key_escrow:
    keyring: /etc/log-archive/keyring
    folder: "{{ inventory_dir }}/escrow"
    vault_secret: "{{ escrow_password }}"
    restore: true
"""

RETURN = r"""
copied:
  description: IDs of the keys that were copied to the controller, or in check mode would be copied.
  returned: success
  type: list
  elements: str
  sample: [0f1e2d3c4b5a6978]
restored:
  description: IDs of the keys that were restored from their copies.
  returned: success
  type: list
  elements: str
  sample: []
folder:
  description: The folder on the controller with the copies of the host.
  returned: success
  type: str
  sample: /srv/escrow/web1
current:
  description: ID of the current key. V(null) in check mode if it would be a new key.
  returned: success
  type: str
  sample: 0f1e2d3c4b5a6978
previous:
  description: ID of the key that was current before. V(null) if there was none.
  returned: success
  type: str
  sample: 8796a5b4c3d2e1f0
key_id:
  description: ID of the key that was created or imported. V(null) in check mode if it would be a new key.
  returned: success
  type: str
  sample: 0f1e2d3c4b5a6978
"""
