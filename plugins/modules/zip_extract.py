#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: zip_extract
short_description: List or extract an untrusted zip
version_added: 0.9.0
description:
  - Lists the members of a zip, and extracts one, some or all of them below a folder. Without O(dest) it only lists them.
  - Either all requested members are extracted, or none. A member that would leave the folder, is a link or a device, or is encrypted,
    damaged or duplicated is an error that names it. A zip that exceeds a limit is an error, too.
  - Only the compression methods store and deflate are supported. The memory that other methods need cannot be limited.
  - Extracted files have the mode 0600. Their modification times come from the zip. A time without a time zone counts as local time. Many
    tools also store the exact time (in the extra field UT or NTFS), which then takes precedence.
options:
  src:
    description: The path of the zip on the host that runs the module.
    type: path
    required: true
  dest:
    description: The folder for the files. If it does not exist, it is created with mode 0700.
    type: path
  members:
    description: The names of the members to extract, as in RV(members). By default all members are extracted.
    type: list
    elements: str
  overwrite:
    description: Whether to replace existing files with other content. With V(false), such a file is an error, and nothing is extracted.
    type: bool
    default: false
  max_size:
    description: The maximum total size of the extracted files, in bytes or with K, M, G, T or P (powers of 1024), such as V(10G).
    type: str
    default: 10G
  max_ratio:
    description: The maximum expansion ratio of a member, its uncompressed size divided by its compressed size.
    type: float
    default: 1000
  max_members:
    description: The maximum number of members in the zip.
    type: int
    default: 100000
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
attributes:
  check_mode:
    support: full
    details: The members are extracted and checked, but nothing is written.
  diff_mode:
    support: full
    details: The paths of the files, before and after.
  idempotent:
    support: full
seealso:
  - module: ansible.builtin.unarchive
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: List the members of a zip
  infra_ops.log_archive.zip_extract:
    src: /srv/export.zip
  register: export

- name: Extract one member
  infra_ops.log_archive.zip_extract:
    src: /srv/export.zip
    dest: /srv/export
    members: [dump.sql]

- name: Extract all members, up to one gigabyte
  infra_ops.log_archive.zip_extract:
    src: /srv/export.zip
    dest: /srv/export
    max_size: 1G
"""

RETURN = r"""
members:
  description: All members of the zip, in their order.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name of the member.
      type: str
      returned: success
      sample: dump.sql
    size:
      description: The uncompressed size in bytes, according to the zip.
      type: int
      returned: success
      sample: 1048576
    packed_size:
      description: The compressed size in bytes.
      type: int
      returned: success
      sample: 143360
    modified:
      description:
        - The modification time. With an offset if the zip contains the exact time, else in an unknown local time zone.
        - V(null) if it is not a valid time.
      type: str
      returned: success
      sample: "2024-01-12T23:00:00"
    encrypted:
      description: Whether the member is encrypted with a password.
      type: bool
      returned: success
      sample: false
    is_folder:
      description: Whether the member is a folder.
      type: bool
      returned: success
      sample: false
files:
  description: The extracted files. Empty without O(dest).
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The path of the file.
      type: str
      returned: success
      sample: /srv/export/dump.sql
    name:
      description: The name of the file in the zip.
      type: str
      returned: success
      sample: dump.sql
    size:
      description: The size of the file, in bytes.
      type: int
      returned: success
      sample: 1048576
    sha256:
      description: The SHA-256 of the file, in hex.
      type: str
      returned: success
      sample: d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592
    state:
      description: V(written), or V(unchanged) if the file already had the same content.
      type: str
      returned: success
      sample: written
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import parse_size
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import zips
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import difference, reporting, unescaped


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "path", "required": True},
            "dest": {"type": "path"},
            "members": {"type": "list", "elements": "str"},
            "overwrite": {"type": "bool", "default": False},
            "max_size": {"type": "str", "default": "10G"},
            "max_ratio": {"type": "float", "default": 1000},
            "max_members": {"type": "int", "default": 100000},
        },
        required_by={"members": "dest"},
        supports_check_mode=True,
    )
    params = module.params
    with reporting(module) as result:
        limits = zips.Limits(parse_size(params["max_size"]), params["max_ratio"], params["max_members"])
        source = unescaped(params["src"])
        result.update(members=[_as_result(member) for member in zips.members(source, limits)], files=[])
        if params["dest"] is not None:
            wanted = None if params["members"] is None else [unescaped(name) for name in params["members"]]
            dest = os.path.abspath(unescaped(params["dest"]))
            files = zips.extract(source, dest, wanted, limits, params["overwrite"], check=module.check_mode)
            result.update(files=[file._asdict() for file in files], changed=any(file.state == "written" for file in files))
            if module._diff:
                result["diff"] = difference([file.path for file in files if file.state == "unchanged"], [file.path for file in files])


def _as_result(member: zips.Member) -> t.Dict[str, t.Any]:
    return dict(member._asdict(), modified=None if member.modified is None else member.modified.isoformat())


if __name__ == "__main__":
    main()
