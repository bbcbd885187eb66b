#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: archive_drill
short_description: Prove that archives in a store can be restored
version_added: 0.9.0
description:
  - Restores a sample of the archives of each host and job in a store to a private folder, compares every byte of every log with the
    manifest, and removes the plaintext.
  - The module needs nothing from the host that made the archives. So it can prove that the copies of the keys on the controller open them.
    The command C(log-archive drill) on the host compares the logs with its catalog instead.
  - With the same O(seed), the module chooses the same archives of a store again.
  - If an archive cannot be restored, the module tries the others, then fails and names the archives that failed.
options:
  sample:
    description: How many archives of each host and job to restore.
    type: int
    default: 3
  seed:
    description: The seed of the sample, any text. The default is today's date in UTC, so each day other archives are tried.
    type: str
  folder:
    description:
      - The folder in which to create the private folder. It needs space for the plaintext of one archive at a time. The default is
        C($TMPDIR), or C(/var/tmp).
    type: path
  keyring:
    description: The keyring, a folder of Fernet keys. Required for encrypted archives, except those for recipients.
    type: path
  unencrypted:
    description:
      - Whether to accept archives that are not encrypted. Anyone who can write to the store can put such an archive in place of an
        encrypted one.
    type: bool
    default: false
requirements:
  - cryptography (Python library on the host that runs the module)
  - pyrage (Python library on the same host), with O(identities) of the type age
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.store
  - infra_ops.log_archive.choice
  - infra_ops.log_archive.offline
attributes:
  check_mode:
    support: full
    details: It also runs in check mode, because it leaves nothing behind. In check mode it does not record the host key of a new SFTP
      server.
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: full
    details: It changes nothing.
seealso:
  - module: infra_ops.log_archive.archive_restore
  - module: infra_ops.log_archive.archive_verify
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Prove that the copies of the keys on the controller open the archives of a host
  infra_ops.log_archive.archive_drill:
    store:
      type: s3
      bucket: logs
    host: web1
    keyring: /srv/escrow/web1
  delegate_to: localhost

- name: Repeat the drill of a day, with ten archives of each host and job
  infra_ops.log_archive.archive_drill:
    store:
      type: file
      path: /var/backups/log-archive
    sample: 10
    seed: '2024-01-12'
    keyring: /etc/log-archive/keyring
"""

RETURN = r"""
drills:
  description: The result of the drill for each host and job, in this order.
  returned: always; if the store could not be read, those until then
  type: list
  elements: dict
  contains:
    host:
      description: The host that made the archives.
      type: str
      returned: always
      sample: web1
    job:
      description: The job that made them.
      type: str
      returned: always
      sample: syslog
    store:
      description: Name of the store.
      type: str
      returned: always
      sample: s3
    seed:
      description: The seed of the sample.
      type: str
      returned: always
      sample: '2024-01-12'
    archives:
      description: How many archives the store has of this host and job.
      type: int
      returned: always
      sample: 2160
    tried:
      description: The archives of the sample.
      type: list
      elements: dict
      returned: always
      contains:
        archive:
          description: Key of the archive.
          type: str
          returned: always
          sample: web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet
        start:
          description: Start of its period, in UTC.
          type: str
          returned: always
          sample: '2024-01-12T12:00:00Z'
        end:
          description: End of its period, in UTC.
          type: str
          returned: always
          sample: '2024-01-12T13:00:00Z'
        key_id:
          description: ID of the key that encrypts it. V(null) if it is not encrypted, or encrypted for recipients.
          type: str
          returned: always
          sample: 5d41402abc4b2a76
        size:
          description: Size of the archive in bytes.
          type: int
          returned: always
          sample: 1843210
        source_bytes:
          description: Size of its logs in bytes.
          type: int
          returned: always
          sample: 25270681
        files:
          description: Number of its logs.
          type: int
          returned: always
          sample: 1
        proven:
          description:
            - Whether the manifest that the logs were compared with is authenticated. V(false) if an older version made the archive, if it
              is not encrypted, and if O(identities) or O(archive_keys) opened it.
          type: bool
          returned: always
          sample: true
        seconds:
          description: How long it took to fetch, authenticate, decrypt, extract and compare it, in seconds.
          type: float
          returned: always
          sample: 0.912
        error:
          description: Why it was not restored as it was archived. V(null) if it was.
          type: str
          returned: always
          sample: the archive is damaged, or it was not encrypted with this key
    error:
      description: A problem with other archives of the listing, such as a damaged manifest. V(null) if there is none.
      type: str
      returned: always
      sample: '1 archive(s) cannot be used, the first: web1/syslog/2024/01/12/syslog.20240112.13.tgz.fernet: there is no archive'
    exit_code:
      description: The exit code of the command C(log-archive drill) for this result, V(0) if nothing failed.
      type: int
      returned: always
      sample: 0
"""

import datetime
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.staging import temporary_folder
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import drill
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import (
    argument_spec,
    choice,
    holdings,
    reporting,
    unescaped,
    warn,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import CHOICE, OPENING, STORE_OPTION


def main() -> None:
    arguments = argument_spec(STORE_OPTION, CHOICE, OPENING)
    arguments.update(sample={"type": "int", "default": drill.SAMPLE}, seed={"type": "str"}, folder={"type": "path"})
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    params = module.params
    with reporting(module) as result:
        result["drills"] = []
        if params["sample"] < 1:
            raise ConfigError("sample must be at least 1", str(params["sample"]))
        rows: t.List[drill.StoreDrill] = []
        for row in drill.of_listing(
            holdings(params, params["job"]),
            choice(params),
            params["sample"],
            params["seed"] or datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            os.path.abspath(unescaped(params["folder"] or temporary_folder())),
            module.check_mode,
            warn=lambda text: warn(module, [text]),
        ):
            rows.append(row)
            result["drills"].append({**row._asdict(), "tried": [one._asdict() for one in row.tried]})
        error = drill.failure(rows)
        if error is not None:
            raise error


if __name__ == "__main__":
    main()
