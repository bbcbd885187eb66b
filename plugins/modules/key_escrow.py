#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# The action plugin of the same name, on the controller, does all of it.

from __future__ import annotations

DOCUMENTATION = r"""
module: key_escrow
short_description: Look after a keyring of which the controller holds a copy of each key
version_added: 0.1.0
description:
  - Does what M(infra_ops.log_archive.fernet_key) does, and keeps a copy of each key of the host's keyring on the controller, as
    C(<folder>/<host>/<key id>.key), so that a lost host does not take its archives with it.
  - A copy is there, and was read again, before its key encrypts anything. So a new key is made on the controller, copied, and then given to
    the host. Whatever is killed in between leaves a copy that is not used yet, never a key without a copy.
  - Keys that were made on the host itself are copied too, and those that were taken out of use.
  - A copy is never overwritten and never removed.
options:
  keyring:
    description: The folder of the keyring, on the host.
    type: path
    required: true
  folder:
    description: The folder of the copies on the controller, an absolute path. It is made, with mode C(0700), where it is missing.
    type: str
    required: true
  host:
    description: The name of the host's folder in it. By default its name in the inventory.
    type: str
  vault_secret:
    description:
      - Encrypt the copies with Ansible Vault and this password. C(ansible-vault view) opens them.
      - Copies that are there already stay as they are. An encrypted copy must open with this password.
    type: str
  key:
    description: A key to import, the 44 characters of its url-safe base64 text.
    type: str
  make_current:
    description: Whether the imported key encrypts new archives from now on.
    type: bool
    default: false
  rotate:
    description: Whether to make a fresh key the current one, now.
    type: bool
    default: false
  max_age:
    description: Make a fresh key the current one where the current one is older than this, such as V(90d), or of unknown age.
    type: str
  restore:
    description:
      - Whether to give the host each key of which there is a copy and that its keyring does not know, as after it was rebuilt.
      - None of them becomes the current key. Where there is none, a fresh one is made.
    type: bool
    default: false
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: The ids of the keys, and which have a copy. Never a key.
  idempotent:
    support: partial
    details: With O(rotate=true) each run makes a new key. Use O(max_age) to rotate when it is due.
seealso:
  - module: infra_ops.log_archive.fernet_key
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: A keyring with a key not older than a quarter of a year, and a copy of each key, encrypted with Ansible Vault
  infra_ops.log_archive.key_escrow:
    keyring: /etc/log-archive/keyring
    folder: "{{ inventory_dir }}/escrow"
    vault_secret: "{{ escrow_password }}"
    max_age: 90d

- name: Give a rebuilt host the keys of its archives back
  infra_ops.log_archive.key_escrow:
    keyring: /etc/log-archive/keyring
    folder: "{{ inventory_dir }}/escrow"
    vault_secret: "{{ escrow_password }}"
    restore: true
"""

RETURN = r"""
copied:
  description: The ids of the keys that were copied to the controller; in check mode those of the host that have no copy.
  returned: success
  type: list
  elements: str
  sample: [0f1e2d3c4b5a6978]
restored:
  description: The ids of the keys that the host was given from their copies.
  returned: success
  type: list
  elements: str
  sample: []
folder:
  description: The host's folder of copies, on the controller.
  returned: success
  type: str
  sample: /srv/escrow/web1
current:
  description: Id of the key that encrypts new archives. V(null) in check mode where it would be a new one.
  returned: success
  type: str
  sample: 0f1e2d3c4b5a6978
previous:
  description: Id of the key that did before. V(null) where there was none.
  returned: success
  type: str
  sample: 8796a5b4c3d2e1f0
key_id:
  description: Id of the key that was made or imported. V(null) where it would be a new one, in check mode.
  returned: success
  type: str
  sample: 0f1e2d3c4b5a6978
"""
