#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: archive_verify
short_description: Check what a store holds against the manifests
version_added: 0.1.0
description:
  - Proves for each archive of a store that the store holds what the manifest describes, and fails if one is not whole.
  - How sure it is depends on O(level). No key is needed, because the manifest has the digests of the encrypted archive.
  - Without O(names), O(start) and O(end), manifests that cannot be used or that have no archive are found too.
options:
  level:
    description:
      - How sure it must be. V(size), the weakest; V(server_digest), by a digest that the server has; V(remote_hash), by hashing the stored
        file on the server; V(read_back), by reading it back and hashing it here.
      - By default O(store.verify), or what is usual for the store. Where a store cannot do what is asked, it does the next stronger.
    type: str
    choices: [size, server_digest, remote_hash, read_back]
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.store
  - infra_ops.log_archive.choice
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: It changes nothing.
  idempotent:
    support: full
    details: It changes nothing.
seealso:
  - module: infra_ops.log_archive.archive_info
  - module: infra_ops.log_archive.archive_restore
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Read back what was archived since the new year and check every byte
  infra_ops.log_archive.archive_verify:
    store:
      type: s3
      bucket: logs
      prefix: fleet
    job: syslog
    start: '2024-01-01'
    level: read_back
"""

RETURN = r"""
archives:
  description: What was found for each archive.
  returned: always, also where the module fails because an archive is not whole
  type: list
  elements: dict
  contains:
    key:
      description: Key of the archive in the store.
      type: str
      returned: always
      sample: web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet
    ok:
      description: Whether it is what it must be.
      type: bool
      returned: always
      sample: true
    level:
      description: How that was proven; V(size), V(server_digest), V(remote_hash) or V(read_back). V(null) where it was not.
      type: str
      returned: always
      sample: server_digest
    error:
      description: Why it is not what it must be. V(null) where it is.
      type: str
      returned: always
      sample:
verified:
  description: How many archives are what they must be.
  returned: always
  type: int
  sample: 48
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import IntegrityError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.levels import VERIFICATION_LEVELS
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import verify as verifying
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import argument_spec, chosen, opened, reporting
from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import CHOICE, STORE_OPTION


def main() -> None:
    arguments = argument_spec(STORE_OPTION, CHOICE)
    arguments.update(level={"type": "str", "choices": list(VERIFICATION_LEVELS)})
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    params = module.params
    with reporting(module) as result, opened(params) as store:
        held, archives = chosen(params, store)
        checked = [] if params["names"] or params["start"] or params["end"] else verifying.unusable(held)
        checked += [verifying.verify(store, archive, params["level"]) for archive in archives]
        bad = [one for one in checked if one.error is not None]
        result["archives"] = [dict(one._asdict(), ok=one.error is None) for one in checked]
        result["verified"] = len(checked) - len(bad)
        if bad:
            raise IntegrityError("%d of %d archives are not what they must be; %s: %s" % (len(bad), len(checked), bad[0].key, bad[0].error))


if __name__ == "__main__":
    main()
