#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: archive_verify
short_description: Verify the archives of a store against their manifests
version_added: 0.9.0
description:
  - Verifies that each archive in a store has the size and digests that its manifest states. Fails if one does not.
  - O(level) sets how thorough the check is. Up to V(read_back) it needs no key, because the manifest has the digests of the encrypted
    archive.
  - With O(keyring), the HMAC of each manifest is checked at every level. An archive that an older version made has none, and is reported as
    not authenticated.
  - It also reports manifests that cannot be used and, without O(names), O(start) and O(end), manifests without an archive and archives
    without a manifest.
  - Without a key, it compares the bytes of an archive with its manifest, but does not prove that they can be decrypted. RV(unopened)
    counts the archives for recipients that were not opened. A key from O(identities) or O(archive_keys) proves that an archive can be
    decrypted. It does not prove who made the archive, because anyone can make one for a public key. The ledger of the host shows which
    archives the host made.
  - The module does not know which archives a host has stored. The command C(log-archive verify) on the host also compares the store with
    its catalog, and reports archives that were removed or replaced.
options:
  level:
    description:
      - The level of the verification, weakest first. V(size) compares the size. V(server_digest) compares a digest that the server keeps.
        V(remote_hash) hashes the stored file on the server. V(read_back) reads it back and hashes it on the host that runs the module. It
        also rejects an archive that a restore would refuse, as far as this is visible without the key. V(authenticated) uses the key to
        prove the manifest, the archive and every log in it.
      - With O(keyring), V(read_back) checks the logs too.
      - An archive that is read back needs space in C($TMPDIR), or in C(/var/tmp). They are read one at a time.
      - The default is O(store.verify), or the default level of the store. A store that does not have the level uses the next stronger one.
    type: str
    choices: [size, server_digest, remote_hash, read_back, authenticated]
  keyring:
    description:
      - The keyring, a folder of Fernet keys. O(level=authenticated) requires it for encrypted archives, except those for recipients.
    type: path
  unencrypted:
    description:
      - Whether to accept archives that are not encrypted. Anyone who can write to the store can put such an archive in place of an
        encrypted one.
    type: bool
    default: false
requirements:
  - cryptography (Python library on the host that runs the module, with O(keyring))
  - pyrage (Python library on the same host), with O(identities) of the type age
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.store
  - infra_ops.log_archive.choice
  - infra_ops.log_archive.offline
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: The module changes nothing.
  idempotent:
    support: full
    details: The module changes nothing.
seealso:
  - module: infra_ops.log_archive.archive_info
  - module: infra_ops.log_archive.archive_restore
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Read back the archives since the new year and check every byte
  infra_ops.log_archive.archive_verify:
    store:
      type: s3
      bucket: logs
      prefix: fleet
    job: syslog
    start: '2024-01-01'
    level: read_back
  register: checked

- name: Prove with the key that nobody has altered the archives of a host
  infra_ops.log_archive.archive_verify:
    store:
      type: s3
      bucket: logs
      prefix: fleet
    host: web1
    keyring: /etc/log-archive/keyring
    level: authenticated

- name: Show the number of archives that are intact
  ansible.builtin.debug:
    msg: "{{ checked.verified }} archives are intact"
"""

RETURN = r"""
failed_archives:
  description: The archives that failed verification.
  returned: always, even if the module fails because of them
  type: list
  elements: dict
  contains:
    archive:
      description: Key of the archive in the store.
      type: str
      returned: always
      sample: web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet
    error:
      description: Why the verification failed.
      type: str
      returned: always
      sample: there is no manifest beside the archive
verified:
  description: Number of archives that match their manifests.
  returned: always
  type: int
  sample: 48
levels:
  description:
    - Number of the verified archives by the level of their verification; V(size), V(server_digest), V(remote_hash), V(read_back) or
      V(authenticated).
    - With O(level=authenticated), an archive with a manifest that is not authenticated has V(read_back).
  returned: always
  type: dict
  sample: {server_digest: 48}
authenticated:
  description: Number of the verified archives with the right HMAC in their manifest. V(0) without O(keyring).
  returned: always
  type: int
  sample: 47
unauthenticated:
  description:
    - Number of the verified archives with a manifest that is not authenticated, because an older version made the archive, it is not
      encrypted, or O(identities) or O(archive_keys) opened it.
  returned: always
  type: int
  sample: 1
unopened:
  description:
    - Number of the verified archives that are encrypted for recipients and for which no key is available. It is not proven that they can
      be decrypted.
  returned: always
  type: int
  sample: 0
"""

import itertools

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import IntegrityError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.levels import CHECK_LEVELS
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import verify as verifying
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.trust import Trust
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import argument_spec, choice, chosen, opened, openers, reporting
from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import CHOICE, OPENING, STORE_OPTION


def main() -> None:
    arguments = argument_spec(STORE_OPTION, CHOICE, OPENING)
    arguments.update(level={"type": "str", "choices": list(CHECK_LEVELS)})
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    params = module.params
    with reporting(module) as result, opened(module) as store:
        trust = Trust(**openers(params), choice=choice(params))
        held, archives = chosen(params, store, trust)
        everything = not (params["names"] or params["start"] or params["end"])
        problems = verifying.unusable(held, None if everything else trust.choice)
        results = (verifying.verify(store, archive, params["level"], trust) for archive in archives)
        counts = verifying.count(itertools.chain(problems, results))
        failed = counts.failed_archives
        result.update(counts._asdict(), failed_archives=[one._asdict() for one in failed])
        if failed:
            raise IntegrityError(
                "%d of %d archives failed verification; %s: %s"
                % (len(failed), len(failed) + counts.verified, failed[0].archive, failed[0].error)
            )


if __name__ == "__main__":
    main()
