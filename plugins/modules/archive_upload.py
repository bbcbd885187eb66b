#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: archive_upload
short_description: Send archives to a store and verify them there
version_added: 0.9.0
description:
  - Sends archives, each with the manifest beside it, to a store. The key is C(<host>/<job>/<YYYY>/<MM>/<DD>/<archive>);
    O(store.layout) defines how it becomes the name in the store.
  - Each archive is verified in the store at the level O(store.verify). It is visible under its name only when it is complete.
  - The module never overwrites an object in a store. If the store already has the archive, it is verified and nothing is sent. The same
    applies to another archive of the same logs, if O(keyring) has its key and its manifest is authentic. If any other archive has the same
    name, the new archive gets the next free name (C(name.r2.tgz.fernet)).
  - Temporary failures (network, server errors) are retried, with up to O(store.attempts) attempts in total. Rejected credentials and host
    keys are not retried.
options:
  archives:
    description:
      - Paths of the archives, such as those in RV(infra_ops.log_archive.archive_create#module:archives).
      - The manifest of each must be beside it.
    type: list
    elements: path
    required: true
  keyring:
    description: The keyring, a folder of Fernet keys. With it, the module recognises another archive of the same logs in the store.
    type: path
  suffix:
    description:
      - The suffix of the names of the archives. A new revision of an archive gets the same suffix.
      - The default is V(.tgz.fernet), or V(.tgz) for archives that are not encrypted.
    type: str
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.store
attributes:
  check_mode:
    support: full
    details: The store is listed, and archives that it already has are verified.
  diff_mode:
    support: full
    details: The keys of the archives in the store, before and after.
  idempotent:
    support: full
    details: If the store has the archive, or with O(keyring) another archive of the same logs, it is verified and nothing is sent.
seealso:
  - module: infra_ops.log_archive.archive_create
  - module: infra_ops.log_archive.archive_verify
  - module: infra_ops.log_archive.archive_run
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Archive a log
  infra_ops.log_archive.archive_create:
    sources:
      - path: /var/log/events/syslog.20240112.12
    folder: /var/spool/syslog-archives
    job: syslog
    keyring: /etc/log-archive/keyring
  register: created

- name: Send the archive to a bucket
  infra_ops.log_archive.archive_upload:
    archives: "{{ created.archives | map(attribute='path') }}"
    store:
      type: s3
      bucket: logs
      prefix: fleet
      region: eu-west-3

- name: Send archives to an SFTP server with a known host key
  infra_ops.log_archive.archive_upload:
    archives:
      - /var/spool/syslog-archives/syslog.20240112.12.tgz.fernet
    store:
      type: sftp
      host: backup.example.com
      user: logs
      path: /archives
      private_key_file: /etc/log-archive/id_ed25519
      host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGmV1UgzCvlKtIiOmnQxUQGeB1PZrRV2yyuxXPwRGJ0W
  register: sent

- name: Show how each archive was verified
  ansible.builtin.debug:
    msg: "{{ item.location }} verified by {{ item.verified_by }}"
  loop: "{{ sent.archives }}"
"""

RETURN = r"""
archives:
  description: The archives, in the order of O(archives).
  returned: always; if the module fails, the archives until then
  type: list
  elements: dict
  contains:
    path:
      description: Path of the local archive.
      type: str
      returned: success
      sample: /var/spool/syslog-archives/syslog.20240112.12.tgz.fernet
    key:
      description: Key of the archive in the store.
      type: str
      returned: success
      sample: web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet
    location:
      description: Location of the archive in the store, in readable form.
      type: str
      returned: success
      sample: s3://logs/fleet/web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet
    state:
      description:
        - V(sent); V(present) if the same archive was there already; V(adopted) if another archive of the same logs was there, which is
          kept.
        - In check mode the state that a real run would give it.
      type: str
      returned: success
      sample: sent
    changed:
      description: Whether it was sent, or in check mode would be sent.
      type: bool
      returned: success
      sample: true
    size:
      description: Size of the archive in bytes.
      type: int
      returned: success
      sample: 143360
    md5:
      description: MD5 of the local archive in hex.
      type: str
      returned: success
      sample: 9e107d9d372bb6826bd81d3542a419d6
    remote_md5:
      description: MD5 of the stored archive in hex, as the server reported it or as it was read back. V(null) if it was verified otherwise.
      type: str
      returned: success, except in check mode if the archive would be sent
      sample: 9e107d9d372bb6826bd81d3542a419d6
    etag:
      description: ETag of the archive on an S3 server. V(null) for other stores.
      type: str
      returned: success, except in check mode if the archive would be sent
      sample: 9e107d9d372bb6826bd81d3542a419d6
    verified_by:
      description: Level of the verification; V(size), V(server_digest), V(remote_hash) or V(read_back).
      type: str
      returned: success, except in check mode if the archive would be sent
      sample: server_digest
    attempts:
      description: Number of attempts to send it.
      type: int
      returned: success, except in check mode if the archive would be sent
      sample: 1
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.manifest import period_of
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.naming import archive_key
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import ARCHIVE
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import envelope
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import send as sending
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.trust import Trust
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import (
    argument_spec,
    difference,
    given,
    opened,
    reporting,
    unescaped,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import OPENING, STORE_OPTION

SUFFIX = {"suffix": ARCHIVE["suffix"]}
RECOGNISING = {"keyring": OPENING["keyring"]}


def main() -> None:
    arguments = argument_spec(STORE_OPTION, SUFFIX, RECOGNISING)
    arguments.update(archives={"type": "list", "elements": "path", "required": True})
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    with reporting(module) as result:
        trust = Trust(**given(module.params, RECOGNISING))
        given_suffix = given(module.params, SUFFIX)["suffix"]
        result["archives"] = []
        with opened(module) as store:
            for path in map(unescaped, module.params["archives"]):
                manifest = sending.manifest_beside(path)
                suffix = given_suffix or envelope.suffix(manifest["encryption"]["format"])
                key = archive_key(manifest["host"], manifest["job"], period_of(manifest), manifest["archive"]["name"])
                if module.check_mode:
                    key, sent = sending.look(store, manifest, key, suffix, trust)
                else:
                    sent = sending.send(store, path, manifest, key, suffix, lambda: trust)
                result["archives"].append(dict(sending.sent_archive(store, key, manifest, sent), path=path))
                result["changed"] = result["changed"] or result["archives"][-1]["changed"]
        if module._diff:
            keys = [archive["key"] for archive in result["archives"]]
            result["diff"] = difference([a["key"] for a in result["archives"] if not a["changed"]], keys)


if __name__ == "__main__":
    main()
