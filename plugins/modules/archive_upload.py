#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: archive_upload
short_description: Send archives to a store and prove that they arrived
version_added: 0.1.0
description:
  - Sends archives, each with the manifest beside it, to a store, under the key C(<host>/<job>/<YYYY>/<MM>/<DD>/<archive>).
  - Each archive is verified after it was sent, as strongly as O(store.verify) asks, and is visible under its name only when it is whole.
  - Nothing in a store is ever overwritten. Where the same logs are there already, they are verified and nothing is sent; where other
    logs are under the same name, the archive gets the next free name (C(name.r2.tgz.fernet)).
  - What may pass (network, server error) is tried again, O(store.attempts) times in all; refused credentials and host keys are not.
options:
  archives:
    description:
      - Paths of the archives, such as those in RV(infra_ops.log_archive.archive_create#module:archives).
      - The manifest must be beside each.
    type: list
    elements: path
    required: true
  suffix:
    description:
      - The suffix with which the archives were made, so that a further revision gets the right name. By default V(.tgz.fernet), and V(.tgz)
        for one that is not encrypted.
    type: str
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.store
attributes:
  check_mode:
    support: full
    details: It looks into the store, and verifies what is there already.
  diff_mode:
    support: full
    details: The keys of these archives in the store, before and after.
  idempotent:
    support: full
    details: An archive that is in the store already, or another archive of the same logs, is verified and not sent again.
seealso:
  - module: infra_ops.log_archive.archive_create
  - module: infra_ops.log_archive.archive_verify
  - module: infra_ops.log_archive.archive_run
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Send archives to a bucket
  infra_ops.log_archive.archive_upload:
    archives: "{{ created.archives | map(attribute='path') }}"
    store:
      type: s3
      bucket: logs
      prefix: fleet
      region: eu-west-3

- name: Send archives to an SFTP server whose host key is known
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

- name: Say how sure it is
  ansible.builtin.debug:
    msg: "{{ item.location }} verified by {{ item.verified_by }}"
  loop: "{{ sent.archives }}"
"""

RETURN = r"""
archives:
  description: The archives in the store, in the order in which they were given.
  returned: always, as far as the module has come
  type: list
  elements: dict
  contains:
    path:
      description: Path of the local archive.
      type: str
      returned: success
      sample: /var/spool/syslog-archives/syslog.20240112.12.tgz.fernet
    key:
      description: Its key in the store.
      type: str
      returned: success
      sample: web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet
    location:
      description: Where that is, for people.
      type: str
      returned: success
      sample: s3://logs/fleet/web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet
    state:
      description:
        - V(sent) (in check mode it would be), V(present) where the very same archive was there already, or V(adopted) where another archive
          of the same logs was, which is kept.
      type: str
      returned: success
      sample: sent
    changed:
      description: Whether it was sent.
      type: bool
      returned: success
      sample: true
    size:
      description: Bytes of the archive.
      type: int
      returned: success
      sample: 143360
    md5:
      description: MD5 of the archive, in hex, by the manifest on this host.
      type: str
      returned: success
      sample: 9e107d9d372bb6826bd81d3542a419d6
    remote_md5:
      description: MD5 of what the store holds, in hex, as the server told it or as it was read back. V(null) where it was proven otherwise.
      type: str
      returned: success, not where check mode would send it
      sample: 9e107d9d372bb6826bd81d3542a419d6
    etag:
      description: The ETag that an S3 server gave it. V(null) for other stores.
      type: str
      returned: success, not where check mode would send it
      sample: 9e107d9d372bb6826bd81d3542a419d6
    verified_by:
      description: How it was proven; V(size), V(server_digest), V(remote_hash) or V(read_back).
      type: str
      returned: success, not where check mode would send it
      sample: server_digest
    attempts:
      description: How many attempts it took.
      type: int
      returned: success, not where check mode would send it
      sample: 1
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.manifest import period_of
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.naming import archive_key
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import ARCHIVE
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import envelope
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import send as sending
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import (
    argument_spec,
    difference,
    given,
    opened,
    reporting,
    unescaped,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import STORE_OPTION

SUFFIX = {"suffix": ARCHIVE["suffix"]}


def main() -> None:
    arguments = argument_spec(STORE_OPTION, SUFFIX)
    arguments.update(archives={"type": "list", "elements": "path", "required": True})
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    with reporting(module) as result:
        given_suffix = given(module.params, SUFFIX)["suffix"]
        result["archives"] = []
        with opened(module.params) as store:
            for path in map(unescaped, module.params["archives"]):
                manifest = sending.manifest_beside(path)
                suffix = given_suffix or envelope.suffix(manifest["encryption"]["format"])
                key = archive_key(manifest["host"], manifest["job"], period_of(manifest), manifest["archive"]["name"])
                if module.check_mode:
                    key, sent = sending.look(store, manifest, key, suffix)
                else:
                    sent = sending.send(store, path, manifest, key, suffix)
                result["archives"].append(dict(sending.sent_archive(store, key, manifest, sent), path=path))
                result["changed"] = result["changed"] or result["archives"][-1]["changed"]
        if module._diff:
            keys = [archive["key"] for archive in result["archives"]]
            result["diff"] = difference([a["key"] for a in result["archives"] if not a["changed"]], keys)


if __name__ == "__main__":
    main()
