#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: archive_restore
short_description: Restore logs from archives in a store
version_added: 0.9.0
description:
  - Fetches archives from a store and extracts their logs below a folder, each under its original path. C(/var/log/syslog) becomes
    C(var/log/syslog) below O(dest).
  - Authenticates a whole archive before it decrypts any of it. Refuses an archive that is damaged, altered or encrypted with another key,
    or that would write outside of O(dest). A refused archive leaves nothing on the disk.
  - Checks the HMAC of the manifest. An archive of an older version has none. It is restored and reported as not authenticated.
  - If an archive is damaged or forged, or its key is missing, the module restores the others, then fails and names the archives that were
    not restored.
  - Compares each file with the SHA-256 in the manifest. Restores modes and modification times, but not owners.
  - If several archives contain the same log (it was archived again after it had grown, or each day under the same name), only its last
    state is restored, and a warning names the other archives. To restore one of them, set O(names) to its key.
  - If O(names) has the path of a log, only that log of its archive is restored. With the name or the key of an archive, all its logs are
    restored.
  - Logs of several hosts with the same path conflict below one O(dest), which is an error. Restore them to different folders.
  - At least one of O(names), O(start), O(end) and O(latest) is required. They can be combined.
options:
  dest:
    description: The folder for the logs. It is created with mode 0700 if it is missing.
    type: path
    required: true
  latest:
    description: Only archives of the newest period of each host and job.
    type: bool
    default: false
  overwrite:
    description: Whether to replace existing files with other content. With V(false), such a file is an error, and its archive is not
      restored.
    type: bool
    default: false
  keyring:
    description: The keyring, a folder of Fernet keys. Required to restore encrypted archives, except those for recipients.
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
  - infra_ops.log_archive.fallback_stores
  - infra_ops.log_archive.choice
  - infra_ops.log_archive.offline
attributes:
  check_mode:
    support: full
    details: Compares the files below O(dest) with the manifests. It does not fetch archives and does not read the keyring.
  diff_mode:
    support: full
    details: The paths of the logs that were there before, and of all after.
  idempotent:
    support: full
    details: An archive is not fetched if all its logs are below O(dest) with the right content.
seealso:
  - module: infra_ops.log_archive.archive_info
  - module: infra_ops.log_archive.archive_verify
  - module: infra_ops.log_archive.fernet_key
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Restore the logs of an afternoon
  infra_ops.log_archive.archive_restore:
    store:
      type: s3
      bucket: logs
      prefix: fleet
    host: web1
    job: syslog
    start: 2024-01-12T12:00+01:00
    end: 2024-01-12T18:00+01:00
    keyring: /etc/log-archive/keyring
    dest: /srv/restored

- name: Restore from a bucket, or from the archive server if the bucket fails
  infra_ops.log_archive.archive_restore:
    store:
      type: s3
      bucket: logs
    fallback_stores:
      - type: sftp
        host: archive.example.com
        user: web1
        path: archives
        private_key_file: /etc/log-archive/id_ed25519
    host: web1
    latest: true
    keyring: /etc/log-archive/keyring
    dest: /srv/restored

- name: Restore archives that are encrypted for recipients, on the controller
  infra_ops.log_archive.archive_restore:
    store:
      type: s3
      bucket: logs
    host: web1
    latest: true
    identities:
      - /root/log-archive.identity
    dest: /srv/restored
  delegate_to: localhost

- name: Restore one log by its path
  infra_ops.log_archive.archive_restore:
    store:
      type: file
      path: /var/backups/log-archive
    names:
      - /var/log/events/syslog.20240112.12
    keyring: /etc/log-archive/keyring
    dest: /srv/restored
"""

RETURN = r"""
files:
  description: The logs.
  returned: always; if the module fails, the logs until then
  type: list
  elements: dict
  contains:
    path:
      description: Path of the restored log.
      type: str
      returned: success
      sample: /srv/restored/var/log/events/syslog.20240112.12
    name:
      description: Its name in the archive.
      type: str
      returned: success
      sample: var/log/events/syslog.20240112.12
    size:
      description: Its size in bytes.
      type: int
      returned: success
      sample: 1048576
    sha256:
      description: Its SHA-256 in hex, as in the manifest.
      type: str
      returned: success
      sample: d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592
    state:
      description: V(written), or V(unchanged) if the file was there already. In check mode the state that a real run would give it.
      type: str
      returned: success
      sample: written
    archive:
      description: Key of its archive.
      type: str
      returned: success
      sample: web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet
    store:
      description: Name of the store that gave the archive. V(null) if all its files were in place.
      type: str
      returned: success
      sample: s3
    authenticated:
      description:
        - Whether the HMAC of the manifest is valid, which proves that the host made the archive. V(false) if there is none, because an
          older version made the archive or it is not encrypted. V(false) also if O(identities) or O(archive_keys) opened the archive,
          because anyone can make an archive for a public key. V(null) if the key was not needed and is not available.
      type: bool
      returned: success
      sample: true
failed_archives:
  description: The archives that no store could give.
  returned: always; if the module fails early, the archives until then
  type: list
  elements: dict
  contains:
    archive:
      description: Key of the archive.
      type: str
      returned: always
      sample: web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet
    error:
      description: Why it was not restored.
      type: str
      returned: always
      sample: the archive is damaged, or it was not encrypted with this key
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.restore import (
    Restored,
    failure,
    restore_from_stores,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import (
    argument_spec,
    choice,
    difference,
    holdings,
    reporting,
    unescaped,
    warn,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import CHOICE, FALLBACK_STORES_OPTION, OPENING, STORE_OPTION


def main() -> None:
    arguments = argument_spec(STORE_OPTION, FALLBACK_STORES_OPTION, CHOICE, OPENING)
    arguments.update(
        dest={"type": "path", "required": True},
        latest={"type": "bool", "default": False},
        overwrite={"type": "bool", "default": False},
    )
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    params = module.params
    with reporting(module) as result:
        if not (params["names"] or params["start"] or params["end"] or params["latest"]):
            raise ConfigError("no archives are selected", hint="Set at least one of names, start, end and latest")
        done: t.List[Restored] = []
        result["files"], result["failed_archives"] = [], []
        for restored in restore_from_stores(
            [holdings(params, params["job"])],
            choice(params),
            os.path.abspath(unescaped(params["dest"])),
            params["overwrite"],
            module.check_mode,
            warn=lambda text: warn(module, [text]),
        ):
            common = {"archive": restored.key, "store": restored.store, "authenticated": restored.authenticated}
            result["files"] += [dict(file._asdict(), **common) for file in restored.files]
            done.append(restored)
            if restored.error is not None:
                result["failed_archives"].append({"archive": restored.key, "error": str(restored.error)})
            result["changed"] = result["changed"] or any(file.state == "written" for file in restored.files)
        if module._diff:
            paths = [file["path"] for file in result["files"]]
            result["diff"] = difference([f["path"] for f in result["files"] if f["state"] == "unchanged"], paths)
        error = failure(done)
        if error is not None:
            raise error


if __name__ == "__main__":
    main()
