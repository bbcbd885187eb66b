#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: archive_adopt
short_description: Adopt the archives of an earlier script into a job
version_added: 0.9.0
description:
  - Reads the archives that an earlier script left in a store of a job, and gives each a manifest and an entry in the catalog and the ledger
    of the job. From then on they are listed, verified, searched, restored and removed by retention like the archives of the job. The
    command C(log-archive adopt) does the same.
  - The archives are not changed, moved or removed. They may be gzip tars, zips, or Fernet tokens around one of them.
  - An archive that a restore would refuse is not adopted. Such an archive is damaged, or contains links, devices, or names that lead out
    of the destination.
  - The module fails if an object with a matching name was not adopted. The others are adopted. RV(objects) is returned in any case.
options:
  store:
    description: Name of the store in O(job.stores) that has the archives.
    type: str
    required: true
  template:
    description:
      - The names of the archives below the root of the store, with strftime codes and the wildcards V(*), V(?), V([...]) and V(**). The
        codes give the period of each archive, in the time zone of the job.
      - For example, with V(%Y%d%m.tgz) the archive V(20241201.tgz) is of 12 January 2024.
    type: str
    required: true
  key_files:
    description:
      - Files on the host that runs the module, each with a Fernet key of the script. Only their owner may have access to them. The keyring
        of the job gets a copy of each key that opens an archive.
    type: list
    elements: path
    default: []
requirements:
  - cryptography (Python library on the host that runs the module)
  - boto3 (Python library on the host that runs the module, for S3)
  - paramiko (Python library on the host that runs the module, for SFTP)
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.job
attributes:
  check_mode:
    support: full
    details: Every archive is read, and RV(objects) shows which would be adopted. Nothing is written.
  diff_mode:
    support: full
    details: The keys of the archives that are adopted.
  idempotent:
    support: full
    details: An archive that was adopted is not adopted again.
seealso:
  - module: infra_ops.log_archive.archive_run
  - module: infra_ops.log_archive.archive_verify
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Adopt the dumps that a script named YYYYDDMM.tgz
  infra_ops.log_archive.archive_adopt:
    job: "{{ lookup('ansible.builtin.file', 'intranet-dump.json') | from_json }}"
    store: sftp
    template: '%Y%d%m.tgz'

- name: Adopt encrypted archives with the key of the script
  infra_ops.log_archive.archive_adopt:
    job: "{{ lookup('ansible.builtin.file', 'syslog.json') | from_json }}"
    store: bucket
    template: syslog.%Y%m%d.%H.tar.gz.encrypted
    key_files:
      - /root/fernet.key
  register: adopted

- name: Show which objects were not adopted, and why
  ansible.builtin.debug:
    msg: "{{ adopted.objects | selectattr('reason') | items2dict(key_name='name', value_name='reason') }}"
"""

RETURN = r"""
objects:
  description:
    - The objects of the store in folders that O(template) names, and those with a matching name. There are at most 1,000 with the state
      V(unmatched).
  returned: always, even if the module fails because of them
  type: list
  elements: dict
  contains:
    name:
      description: Name of the object, below the root of the store.
      type: str
      returned: always
      sample: 20241201.tgz
    size:
      description: Its size in bytes.
      type: int
      returned: always
      sample: 48113
    state:
      description:
        - V(adopted), also in check mode if it would be adopted. V(present), if the job adopted it before. V(failed), if it is damaged, a
          restore would refuse it, or no key opens it. V(refused), if its name matches but it cannot be adopted. V(unmatched), if its name
          does not match.
      type: str
      returned: always
      sample: adopted
    reason:
      description: Why it failed, was refused or does not match. V(null) if it was adopted.
      type: str
      returned: always
      sample: the name has the form of the template, but its date does not exist
    key:
      description: Key of the archive.
      type: str
      returned: always
      sample: web1/intranet-dump/2024/01/12/adopted:20241201.tgz
    period:
      description: The span of time that the name gives, in UTC.
      type: dict
      returned: always
      contains:
        start:
          description: Its start.
          type: str
          returned: always
          sample: '2024-01-12T00:00:00Z'
        end:
          description: Its end.
          type: str
          returned: always
          sample: '2024-01-13T00:00:00Z'
    content:
      description: V(tgz) or V(zip), the format of the archive, or of the content of a Fernet token.
      type: str
      returned: always
      sample: tgz
    key_id:
      description: ID of the key of an encrypted archive. V(null) if it is not encrypted.
      type: str
      returned: always
      sample: 6d1f8c0e2b9a4d37
    files:
      description: Number of files in it.
      type: int
      returned: always
      sample: 1
    source_bytes:
      description: Total size of the files in it, in bytes.
      type: int
      returned: always
      sample: 312004
unmatched:
  description: Number of objects in these folders with a name that does not match.
  returned: always, even if the module fails because of archives
  type: int
  sample: 2
own:
  description: Number of objects in the store that this collection put there.
  returned: always, even if the module fails because of archives
  type: int
  sample: 96
elsewhere:
  description: Number of other objects in folders that O(template) does not name.
  returned: always, even if the module fails because of archives
  type: int
  sample: 0
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import places
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import JOB
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run.adopt import Wanted, adopt, read_keys
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run.record import failure
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import (
    argument_spec,
    as_given,
    difference,
    hide_only_queries,
    reporting,
    unescaped_paths,
    warn,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import JOB_OPTION


def main() -> None:
    arguments = argument_spec(JOB_OPTION)
    arguments.update(
        store={"type": "str", "required": True},
        template={"type": "str", "required": True},
        key_files={"type": "list", "elements": "path", "default": [], "no_log": False},
    )
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    hide_only_queries(module, JOB_OPTION)
    with reporting(module) as result:
        document = normalise(unescaped_paths(module.params["job"], JOB), "job")
        places.check(document, subject="job")
        store, names = module.params["store"], [options["name"] for options in document["stores"]]
        if store not in names:
            raise ConfigError("the job '%s' has no store of this name" % document["name"], store, "Its stores are: %s" % ", ".join(names))
        keys = read_keys(as_given(module.params["key_files"], {"type": "list", "elements": "path"}))
        record = adopt(document, Wanted(store, module.params["template"], keys), check=module.check_mode)
        found = record["adopted"]
        result.update({name: found[name] for name in ("objects", "unmatched", "own", "elsewhere")}, changed=record["changed"])
        warn(module, record["warnings"])
        if module._diff:
            result["diff"] = difference([], [str(row["key"]) for row in found["objects"] if row["state"] == "adopted"])
        error = failure(record)
        if error is not None:
            raise error


if __name__ == "__main__":
    main()
