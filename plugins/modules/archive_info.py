#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: archive_info
short_description: List the archives of a store
version_added: 0.9.0
description:
  - Lists the archives of a store with the contents of their manifests, such as logs, sizes, digests, key ID, period, host and job.
  - It reads only the manifests and needs no key.
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.store
  - infra_ops.log_archive.choice
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
  - module: infra_ops.log_archive.archive_verify
  - module: infra_ops.log_archive.archive_restore
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: List the archives of a host since the new year
  infra_ops.log_archive.archive_info:
    store:
      type: file
      path: /var/backups/log-archive
    host: web1
    job: syslog
    start: '2024-01-01'
  register: held

- name: Show their number and size
  ansible.builtin.debug:
    msg: "{{ held.totals.archives }} archives, {{ held.totals.size | human_readable }}"
"""

RETURN = r"""
archives:
  description: The archives, oldest first, each with the fields of its manifest.
  returned: success
  type: list
  elements: dict
  contains:
    key:
      description: Key of the archive in the store.
      type: str
      returned: success
      sample: web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet
    location:
      description: Location of the archive in readable form.
      type: str
      returned: success
      sample: /var/backups/log-archive/web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet
    size:
      description: Size of the archive in bytes, as the store lists it.
      type: int
      returned: success
      sample: 143360
    modified:
      description: Time when it was stored, in seconds since the epoch. V(null) if the store does not report it.
      type: float
      returned: success
      sample: 1705066201.0
    source_bytes:
      description: Size of the logs in it, in bytes.
      type: int
      returned: success
      sample: 1048576
    host:
      description: Name of the host of the logs.
      type: str
      returned: success
      sample: web1
    job:
      description: Name of the job that made it.
      type: str
      returned: success
      sample: syslog
    created:
      description: Time when it was made, in UTC.
      type: str
      returned: success
      sample: "2024-01-12T13:05:00Z"
    period:
      description: The period that the archive covers, in UTC.
      type: dict
      returned: success
      contains:
        start:
          description: Start of the period.
          type: str
          returned: success
          sample: "2024-01-12T12:00:00Z"
        end:
          description: End of the period.
          type: str
          returned: success
          sample: "2024-01-12T13:00:00Z"
    archive:
      description: The archive as it was made.
      type: dict
      returned: success
      contains:
        name:
          description: Its name.
          type: str
          returned: success
          sample: syslog.20240112.12.tgz.fernet
        size:
          description: Its size in bytes.
          type: int
          returned: success
          sample: 143360
        md5:
          description: Its MD5 in hex.
          type: str
          returned: success
          sample: 9e107d9d372bb6826bd81d3542a419d6
        sha256:
          description: Its SHA-256 in hex.
          type: str
          returned: success
          sample: d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592
    tgz:
      description: The tgz inside the archive.
      type: dict
      returned: success
      contains:
        size:
          description: Its size in bytes.
          type: int
          returned: success
          sample: 107520
        sha256:
          description: Its SHA-256 in hex.
          type: str
          returned: success
          sample: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
    encryption:
      description: The encryption of the archive.
      type: dict
      returned: success
      contains:
        format:
          description: V(fernet), or V(none) if the archive is a plain tgz.
          type: str
          returned: success
          sample: fernet
        key_id:
          description: ID of the key that opens it. V(null) if it is not encrypted.
          type: str
          returned: success
          sample: 0f1e2d3c4b5a6978
        wrapped:
          description: The key of this archive, encrypted for each recipient.
          type: list
          elements: dict
          returned: if it is encrypted for recipients
          contains:
            type:
              description: V(age), V(hpke), or V(keyring) if the key is encrypted with a key of the host's keyring.
              type: str
              returned: success
              sample: age
            recipient:
              description: The public key, or the ID of the key in the keyring.
              type: str
              returned: success
              sample: age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
            key:
              description: The encrypted key in base64.
              type: str
              returned: success
              sample: YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSA=
        removed:
          description: Recipients that C(log-archive key rewrap) has removed.
          type: list
          elements: str
          returned: if there are any
          sample: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]
    sources:
      description: The logs in the archive.
      type: list
      elements: dict
      returned: success
      contains:
        path:
          description: Path of the log on its host.
          type: str
          returned: success
          sample: /var/log/events/syslog.20240112.12
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
        mtime_ns:
          description: Its last modification, in nanoseconds since the epoch.
          type: int
          returned: success
          sample: 1705064399000000000
        mode:
          description: Its mode in octal.
          type: str
          returned: success
          sample: "0640"
        sha256:
          description: Its SHA-256 in hex.
          type: str
          returned: success
          sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
        uid:
          description: ID of its owner.
          type: int
          returned: if the manifest has it
          sample: 0
        gid:
          description: ID of its group.
          type: int
          returned: if the manifest has it
          sample: 4
        changed:
          description: Whether it changed while it was read.
          type: bool
          returned: if the manifest has it
          sample: false
        vanished:
          description: Whether it was removed or replaced while it was read. The archive has all of it.
          type: bool
          returned: if the manifest has it
          sample: false
        data:
          description:
            - The parts of a sparse file that have data, as pairs of offset and length in bytes. The C(sha256) of such a file is that of
              this map and the data, in GNU tar's sparse format 1.0.
          type: list
          elements: list
          returned: if the file has holes
          sample: [[0, 4096], [1048576, 0]]
        period:
          description: Its period, in UTC.
          type: dict
          returned: if the manifest has it
          contains:
            start:
              description: Start of the period.
              type: str
              returned: success
              sample: "2024-01-12T12:00:00Z"
            end:
              description: End of the period.
              type: str
              returned: success
              sample: "2024-01-12T13:00:00Z"
    version:
      description: Version of the manifest.
      type: int
      returned: success
      sample: 2
    hmac:
      description: HMAC of the manifest in hex. It can be checked with the key of the archive.
      type: str
      returned: if the archive is encrypted and RV(archives[].version) is 2 or higher, or if a job with a keyring adopted it
      sample: 5d41402abc4b2a76b9719d911017c592ae2b1b2c3d4e5f60718293a4b5c6d7e8
    adopted:
      description: How an archive that an earlier script made was adopted.
      type: dict
      returned: if the archive was adopted
      contains:
        key:
          description: Name of the object in the store.
          type: str
          returned: always
          sample: 20241201.tgz
        template:
          description: The template that gave the period from the name.
          type: str
          returned: always
          sample: '%Y%d%m.tgz'
        content:
          description: V(tgz) or V(zip).
          type: str
          returned: always
          sample: tgz
        hmac_key_id:
          description: ID of the key of the HMAC, if the archive is not encrypted.
          type: str
          returned: always
          sample: 6d1f8c0e2b9a4d37
    engine:
      description: Version of the engine that made it.
      type: str
      returned: success
      sample: 0.9.0
totals:
  description: Totals of RV(archives).
  returned: success
  type: dict
  contains:
    archives:
      description: Number of archives.
      type: int
      returned: success
      sample: 48
    size:
      description: Their size in bytes.
      type: int
      returned: success
      sample: 6881280
    source_bytes:
      description: Size of the logs in them, in bytes.
      type: int
      returned: success
      sample: 50331648
    hosts:
      description: Names of their hosts.
      type: list
      elements: str
      returned: success
      sample: [web1]
    jobs:
      description: Names of their jobs.
      type: list
      elements: str
      returned: success
      sample: [syslog]
damaged:
  description: Keys of archives with a manifest that cannot be used, and why. They are not in RV(archives).
  returned: success
  type: dict
  sample: {}
without_archive:
  description: Keys of manifests without an archive. An upload is under way, or was interrupted.
  returned: success
  type: list
  elements: str
  sample: []
others:
  description: Keys of objects that are neither archives nor manifests, such as files of other tools.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import inventory
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import argument_spec, chosen, opened, reporting
from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import CHOICE, STORE_OPTION


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(STORE_OPTION, CHOICE), supports_check_mode=True)
    with reporting(module) as result, opened(module) as store:
        held, archives = chosen(module.params, store)
        result["archives"] = [inventory.held_archive(store, archive) for archive in archives]
        result["totals"] = inventory.totals(archives)
        result["damaged"] = {key: item.why for key, item in held.damaged.items()}
        result["without_archive"] = [orphan.key for orphan in held.orphans]
        result["others"] = [other.key for other in held.others]


if __name__ == "__main__":
    main()
