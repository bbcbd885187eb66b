#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: archive_info
short_description: List the archives that a store holds
version_added: 0.1.0
description:
  - Lists the archives of a store with all that their manifests say - logs, sizes, digests, key, period, host and job.
  - The archives themselves are not read, and no key is needed.
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
  - module: infra_ops.log_archive.archive_verify
  - module: infra_ops.log_archive.archive_restore
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: List what a host has archived since the new year
  infra_ops.log_archive.archive_info:
    store:
      type: file
      path: /var/backups/log-archive
    host: web1
    job: syslog
    start: '2024-01-01'
  register: held

- name: Say how much it is
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
      description: Where that is, for people.
      type: str
      returned: success
      sample: /var/backups/log-archive/web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet
    size:
      description: Bytes of the archive, as the store lists it.
      type: int
      returned: success
      sample: 143360
    modified:
      description: When it was stored, in seconds since the epoch; V(null) where the store does not tell.
      type: float
      returned: success
      sample: 1705066201.0
    source_bytes:
      description: Bytes of the logs in it.
      type: int
      returned: success
      sample: 1048576
    host:
      description: Name of the host whose logs it holds.
      type: str
      returned: success
      sample: web1
    job:
      description: Name of the job that made it.
      type: str
      returned: success
      sample: syslog
    created:
      description: When it was made, in UTC.
      type: str
      returned: success
      sample: "2024-01-12T13:05:00Z"
    period:
      description: RV(archives[].period.start) and RV(archives[].period.end) of what it covers, in UTC.
      type: dict
      returned: success
      contains:
        start:
          description: Where it begins.
          type: str
          returned: success
          sample: "2024-01-12T12:00:00Z"
        end:
          description: Where it ends.
          type: str
          returned: success
          sample: "2024-01-12T13:00:00Z"
    archive:
      description: The archive as it was made; C(name), C(size), C(md5) and C(sha256).
      type: dict
      returned: success
    tgz:
      description: The tgz inside it; C(size) and C(sha256).
      type: dict
      returned: success
    encryption:
      description: How it is encrypted; C(format) and C(key_id), the id of the key that opens it.
      type: dict
      returned: success
    sources:
      description:
        - The logs in it; C(path) on its host, C(name) in the archive, C(size), C(mtime_ns), C(mode), C(uid), C(gid), C(sha256),
          C(changed) and C(vanished) (whether it changed or vanished while it was read), C(period).
      type: list
      elements: dict
      returned: success
    version:
      description: Version of the manifest.
      type: int
      returned: success
      sample: 1
    engine:
      description: Version of the engine that made it.
      type: str
      returned: success
      sample: 0.1.0
totals:
  description: The archives together.
  returned: success
  type: dict
  contains:
    archives:
      description: How many there are.
      type: int
      returned: success
      sample: 48
    size:
      description: Their bytes.
      type: int
      returned: success
      sample: 6881280
    source_bytes:
      description: Bytes of the logs in them.
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
  description: Archives whose manifest cannot be used, and why. They are not in RV(archives).
  returned: success
  type: dict
  sample: {}
without_archive:
  description: Keys of manifests whose archive is not there; an upload is under way, or was cut.
  returned: success
  type: list
  elements: str
  sample: []
others:
  description: Keys of what is neither an archive nor a manifest; another tool put it there.
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
    with reporting(module) as result, opened(module.params) as store:
        held, archives = chosen(module.params, store)
        result["archives"] = [inventory.held_archive(store, archive) for archive in archives]
        result["totals"] = inventory.totals(archives)
        result["damaged"] = held.damaged
        result["without_archive"] = [orphan.key for orphan in held.orphans]
        result["others"] = [other.key for other in held.others]


if __name__ == "__main__":
    main()
