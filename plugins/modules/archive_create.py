#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: archive_create
short_description: Pack and encrypt logs to archives in a folder
version_added: 0.9.0
description:
  - Packs logs into tgz files and encrypts them with the current key of a keyring, or each with its own key for recipients. Writes a
    manifest beside each archive, with the logs, sizes and digests.
  - Each archive is one standard Fernet token around a plain tgz. It is made in one pass, with little memory whatever its size.
  - An archive gets its final name when it is complete. Leftovers of a killed run are removed from the folder.
  - Unchanged logs that are archived already are skipped. If an archive with the same name holds other logs, or an earlier state of a log,
    the new archive is named C(name.r2.tgz.fernet). The module never overwrites an archive.
options:
  sources:
    description:
      - The logs to archive, such as RV(infra_ops.log_archive.log_select#module:files).
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Path of the log. It must be a regular file.
        type: path
        required: true
      period_start:
        description:
          - Start of the log's period, such as V(2024-01-12T12:00:00Z). The default offset is UTC.
          - By default the period starts and ends at the time of the last modification of the log.
        type: str
      period_end:
        description: End of the log's period (exclusive), in the same format. Required with O(sources[].period_start).
        type: str
      size:
        description: Ignored. It is accepted so that the result of M(infra_ops.log_archive.log_select) can be passed.
        type: int
      mtime:
        description: Ignored. It is accepted so that the result of M(infra_ops.log_archive.log_select) can be passed.
        type: float
  folder:
    description: The folder of the archives. It is created with mode 0700 if it is missing.
    type: path
    required: true
requirements:
  - cryptography (Python library on the host that runs the module)
  - pyrage (Python library on the same host), with recipients of the type age
notes:
  - The Python libraries isal and pybase64 make packing several times faster. The archives are the same without them.
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.archive
  - infra_ops.log_archive.sealing
attributes:
  check_mode:
    support: full
    details: The keyring is not read, because an earlier task may create it only in a real run.
  diff_mode:
    support: full
    details: The names of the archives before and after.
  idempotent:
    support: full
    details: A log is archived again only if its size or modification time changed, or if its archive is no longer in the folder.
seealso:
  - module: infra_ops.log_archive.log_select
  - module: infra_ops.log_archive.archive_upload
  - module: infra_ops.log_archive.fernet_key
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Find the log of the last full hour
  infra_ops.log_archive.log_select:
    paths:
      - /var/log/events
    patterns:
      - syslog.%Y%m%d.%H
    period: hour
  register: selected

- name: Archive it
  infra_ops.log_archive.archive_create:
    sources: "{{ selected.files }}"
    folder: /var/spool/syslog-archives
    job: syslog
    keyring: /etc/log-archive/keyring
  register: created

- name: Archive all of yesterday's logs together, named as an older tool did
  infra_ops.log_archive.archive_create:
    sources: "{{ selected.files }}"
    folder: /var/spool/syslog-archives
    job: syslog
    keyring: /etc/log-archive/keyring
    group: run
    name: 'syslog-{host}-%Y%d%m'
    suffix: .tar.gz.encrypted
    timezone: Europe/Paris
"""

RETURN = r"""
archives:
  description: The archives of the logs, ordered by period and name. Archives that were there already are included.
  returned: always; if the module fails, the archives until then
  type: list
  elements: dict
  contains:
    path:
      description: Path of the archive.
      type: str
      returned: success
      sample: /var/spool/syslog-archives/syslog.20240112.12.tgz.fernet
    name:
      description: Name of the archive.
      type: str
      returned: success
      sample: syslog.20240112.12.tgz.fernet
    manifest_path:
      description: Path of its manifest.
      type: str
      returned: success
      sample: /var/spool/syslog-archives/syslog.20240112.12.tgz.fernet.manifest.json
    state:
      description: V(created), or V(present) if the archive was there already. In check mode the state that a real run would give it.
      type: str
      returned: success
      sample: created
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
    sources:
      description: Paths of the logs in it.
      type: list
      elements: str
      returned: success
      sample: [/var/log/events/syslog.20240112.12]
    source_bytes:
      description: Size of the logs in it, in bytes.
      type: int
      returned: success
      sample: 1048576
    size:
      description: Size of the archive in bytes.
      type: int
      returned: success, except in check mode if the archive would be created
      sample: 143360
    md5:
      description: MD5 of the archive in hex. Stores compare it.
      type: str
      returned: success, except in check mode if the archive would be created
      sample: 9e107d9d372bb6826bd81d3542a419d6
    sha256:
      description: SHA-256 of the archive in hex.
      type: str
      returned: success, except in check mode if the archive would be created
      sample: d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592
    key_id:
      description: ID of the key that opens it.
      type: str
      returned: success, except in check mode if the archive would be created
      sample: 0f1e2d3c4b5a6978
    ratio:
      description: Size of the logs divided by the size of the archive.
      type: float
      returned: success, except in check mode if the archive would be created
      sample: 7.31
    seconds:
      description: Time to make the archive, in seconds.
      type: float
      returned: if RV(archives[].state) is V(created), except in check mode
      sample: 0.12
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.create import (
    Contents,
    create_archive,
    local_archive,
    place,
    remove_leftovers,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.naming import group, host_name
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.periods import Period
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import parse_time
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import recipient_problems, refuse
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.encryption_spec import SEALING
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import envelope
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources.files import Source, source_at
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import (
    argument_spec,
    difference,
    given,
    reporting,
    unescaped,
    warn,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import PACKING

SOURCE = {
    "type": "list",
    "elements": "dict",
    "required": True,
    "options": {
        "path": {"type": "path", "required": True},
        "period_start": {"type": "str"},
        "period_end": {"type": "str"},
        "size": {"type": "int"},
        "mtime": {"type": "float"},
    },
    "required_together": [("period_start", "period_end")],
}


def main() -> None:
    arguments = argument_spec(PACKING, SEALING)
    arguments.update(sources=SOURCE, folder={"type": "path", "required": True})
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    with reporting(module) as result:
        options = given(module.params, PACKING)
        encryption = {"format": envelope.FERNET, **given(module.params, SEALING)}
        if encryption["keyring"] is None and not encryption["recipients"]:
            raise ConfigError("keyring is missing", hint="Set keyring, recipients, or both")
        refuse(list(recipient_problems(encryption["recipients"], "recipients")), "options")
        host, job, suffix = host_name(options["host"]), options["job"], options["suffix"] or envelope.suffix(envelope.FERNET)
        sources = [_source(source) for source in module.params["sources"]]
        fields = {"host": host, "job": job}
        groups = group(sources, options["group"], options["name"], options["period"], options["timezone"], fields)
        enclosing, folder = None, unescaped(module.params["folder"])
        result["archives"] = []
        if not module.check_mode:
            remove_leftovers(folder)
        for each in groups:
            path, manifest = place(folder, each, suffix)
            state, seconds = "present", {}
            if manifest is None:
                state = "created"
                if not module.check_mode:
                    enclosing = enclosing or envelope.for_new_archives(encryption)
                    contents = Contents(each.sources, host, job, each.period)
                    created = create_archive(path, contents, enclosing, options["changed"] == "refuse")
                    manifest, seconds = created.manifest, {"seconds": round(created.seconds, 3)}
                    warn(module, created.warnings)
                result["changed"] = True
            result["archives"].append(dict(local_archive(path, each, manifest), state=state, **seconds))
        if module.check_mode and result["changed"]:
            envelope.check_new_archives(encryption, lambda text: warn(module, [text]))
        if module._diff:
            names = [archive["name"] for archive in result["archives"]]
            result["diff"] = difference([a["name"] for a in result["archives"] if a["state"] == "present"], names)


def _source(given_source: dict) -> Source:
    start, end = given_source["period_start"], given_source["period_end"]
    return source_at(unescaped(given_source["path"]), Period(parse_time(start), parse_time(end)) if start else None)


if __name__ == "__main__":
    main()
