#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: fernet_key
short_description: Create, rotate, import and remove the keys of a keyring
version_added: 0.9.0
description:
  - Manages a keyring, a folder of Fernet keys. The current key encrypts new archives. The other keys open the archives that they encrypted.
  - Without further options it ensures that the keyring exists and has a current key.
  - Keys are never shown. The ID of a key identifies it and reveals nothing about it. Keep a copy of each key in a safe place. An archive
    without its key is lost.
options:
  state:
    description:
      - V(present) creates, rotates or imports a key.
      - V(absent) takes the key O(key_id) out of use. Its file is moved to the folder C(removed) of the keyring. The module never destroys a
        key.
    type: str
    choices: [present, absent]
    default: present
  key:
    description: A key to import, as 44 characters of URL-safe base64.
    type: str
  key_file:
    description: A file with a key to import, on the host that runs the module.
    type: path
  make_current:
    description: Whether the imported key becomes the current key.
    type: bool
    default: false
  rotate:
    description: Whether to create a new key and make it the current one.
    type: bool
    default: false
  max_age:
    description: Rotate only if the current key is older than this, such as V(90d), or if its age is unknown.
    type: str
  key_id:
    description: The ID of the key to take out of use, with O(state=absent). The current key cannot be taken out of use.
    type: str
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.encryption
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: The IDs of the keys and which one is current, but no key.
  idempotent:
    support: partial
    details: With O(rotate=true) each run creates a key. Use O(max_age) to rotate when it is due.
seealso:
  - module: infra_ops.log_archive.archive_create
  - module: infra_ops.log_archive.archive_run
  - name: Fernet
    description: The format of keys and archives.
    link: https://github.com/fernet/spec/blob/master/Spec.md
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Ensure that the current key is not older than 90 days
  infra_ops.log_archive.fernet_key:
    keyring: /etc/log-archive/keyring
    max_age: 90d
  register: keys

- name: Import the key of the fleet
  infra_ops.log_archive.fernet_key:
    keyring: /etc/log-archive/keyring
    key: "{{ vault_log_archive_key }}"
    make_current: true

- name: Take a key out of use
  infra_ops.log_archive.fernet_key:
    keyring: /etc/log-archive/keyring
    state: absent
    key_id: 0f1e2d3c4b5a6978
"""

RETURN = r"""
current:
  description: ID of the current key. V(null) if there is none, and in check mode if it would be a new key.
  returned: success
  type: str
  sample: 0f1e2d3c4b5a6978
previous:
  description: ID of the key that was current before. V(null) if there was none.
  returned: success
  type: str
  sample: 8796a5b4c3d2e1f0
key_id:
  description: ID of the key that was created, imported or taken out of use. V(null) in check mode if it would be a new key.
  returned: success
  type: str
  sample: 0f1e2d3c4b5a6978
keys:
  description: The keys of the keyring, oldest first. In check mode without the change.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: ID of the key.
      type: str
      returned: success
      sample: 0f1e2d3c4b5a6978
    created:
      description: Time when the keyring first got it, in seconds since the epoch. V(null) if unknown.
      type: float
      returned: success
      sample: 1705064400.0
    current:
      description: Whether it is the current key.
      type: bool
      returned: success
      sample: true
    removed:
      description: Whether it was taken out of use.
      type: bool
      returned: success
      sample: false
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import parse_age
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.encryption_spec import KEYRING
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import keyring
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import argument_spec, difference, given, reporting, unescaped


def main() -> None:
    arguments = argument_spec(KEYRING)
    arguments.update(
        state={"type": "str", "choices": ["present", "absent"], "default": "present"},
        key={"type": "str", "no_log": True},
        key_file={"type": "path", "no_log": False},
        make_current={"type": "bool", "default": False},
        rotate={"type": "bool", "default": False},
        max_age={"type": "str"},
        key_id={"type": "str", "no_log": False},
    )
    module = AnsibleModule(
        argument_spec=arguments,
        mutually_exclusive=[("key", "key_file", "max_age", "key_id")],
        required_if=[("state", "absent", ["key_id"]), ("make_current", True, ["key", "key_file"], True)],
        supports_check_mode=True,
    )
    with reporting(module) as result:
        folder = given(module.params, KEYRING)["keyring"]
        before = _keys(folder)
        change = _change(module.params, folder, module.check_mode)
        result.update(changed=change.changed, key_id=change.id, previous=change.previous, current=change.current)
        result["keys"] = [key._asdict() for key in _keys(folder)]
        if module._diff:
            result["diff"] = difference(map(_line, before), map(_line, _keys(folder)))
            if module.check_mode and change.changed:
                result["diff"]["after"] += "(changed: %s)\n" % (change.id or "a new key")


def _change(params: t.Mapping[str, t.Any], folder: str, check: bool) -> keyring.Change:
    importing = params["key"] or params["key_file"]
    if params["key_id"] and params["state"] == "present":
        raise ConfigError("key_id requires state=absent", hint="Remove key_id, or set state to absent")
    if params["rotate"] and (importing or params["key_id"]):
        raise ConfigError(
            "rotate cannot be combined with key, key_file or key_id", hint="Use one task to rotate and another one to import or remove"
        )
    max_age = parse_age(params["max_age"]) if params["max_age"] else None
    if params["state"] == "absent":
        return keyring.remove(folder, params["key_id"], check)
    if importing:
        text = params["key"] or keyring.read_key_text(unescaped(params["key_file"]))
        return keyring.import_key(folder, text, params["make_current"], check)
    change = keyring.create(folder, check)
    if change.changed or not (params["rotate"] or params["max_age"]):
        return change
    return keyring.rotate(folder, None if params["rotate"] else max_age, check)


def _keys(folder: str) -> t.List[keyring.KeyInfo]:
    return keyring.list_keys(folder) if os.path.isdir(folder) else []


def _line(key: keyring.KeyInfo) -> str:
    return key.id + (" (current)" if key.current else " (out of use)" if key.removed else "")


if __name__ == "__main__":
    main()
