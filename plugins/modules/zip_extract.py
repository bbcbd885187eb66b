#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: zip_extract
short_description: List a zip from elsewhere, or extract it with suspicion
version_added: 0.1.0
description:
  - Lists the members of a zip, and extracts one, some or all of them below a folder. Without O(dest) it only lists.
  - All that is asked for comes out whole, or nothing does. A member that would leave the folder, that is a link or a device, that is
    encrypted, damaged or there twice is an error that names it; so is a zip that unpacks to more than the limits allow.
  - Only members that are stored or deflated are extracted; what other compressions unpack to cannot be bounded in memory.
  - Files are readable by their owner only. Their time is the zip's, which carries no time zone and is taken as local.
options:
  src:
    description: The zip, on the host that runs the module.
    type: path
    required: true
  dest:
    description: The folder for the files. It is made, open to its owner only, if it is missing.
    type: path
  members:
    description: Names of the members to extract, as the list gives them. By default all.
    type: list
    elements: str
  overwrite:
    description: Whether files with other content are replaced. Without it they are an error and nothing is extracted.
    type: bool
    default: false
  max_size:
    description: The most that everything together may unpack to, such as V(10G).
    type: str
    default: 10G
  max_ratio:
    description: How many times as large as it is packed a member may become.
    type: float
    default: 1000
  max_members:
    description: How many members the zip may have.
    type: int
    default: 100000
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
attributes:
  check_mode:
    support: full
    details: The members are unpacked and checked, and nothing is written.
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
- name: See what is in a zip
  infra_ops.log_archive.zip_extract:
    src: /var/tmp/export.zip
  register: export

- name: Extract one file of it
  infra_ops.log_archive.zip_extract:
    src: /var/tmp/export.zip
    dest: /var/tmp/export
    members: [dump.sql]

- name: Extract everything, as long as it is not more than a gigabyte
  infra_ops.log_archive.zip_extract:
    src: /var/tmp/export.zip
    dest: /var/tmp/export
    max_size: 1G
"""

RETURN = r"""
members:
  description: Everything that is in the zip, in its order.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      returned: success
      sample: dump.sql
    size:
      description: Bytes that it has unpacked, as the zip says.
      type: int
      returned: success
      sample: 1048576
    packed_size:
      description: Bytes that it has in the zip.
      type: int
      returned: success
      sample: 143360
    modified:
      description: When it was last modified, in the local time of who made the zip; V(null) where that is no time.
      type: str
      returned: success
      sample: "2024-01-12T23:00:00"
    encrypted:
      description: Whether it needs a password.
      type: bool
      returned: success
      sample: false
    is_folder:
      description: Whether it is a folder.
      type: bool
      returned: success
      sample: false
files:
  description: The files that were asked for; empty without O(dest).
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Where it is.
      type: str
      returned: success
      sample: /var/tmp/export/dump.sql
    name:
      description: Its name in the zip.
      type: str
      returned: success
      sample: dump.sql
    size:
      description: Its bytes.
      type: int
      returned: success
      sample: 1048576
    sha256:
      description: Their SHA-256, in hex.
      type: str
      returned: success
      sample: d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592
    state:
      description: V(written), or V(unchanged) where the same bytes stood there already.
      type: str
      returned: success
      sample: written
"""

import os

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
        result.update(members=[_described(member) for member in zips.members(source, limits)], files=[])
        if params["dest"] is not None:
            wanted = None if params["members"] is None else [unescaped(name) for name in params["members"]]
            dest = os.path.abspath(unescaped(params["dest"]))
            files = zips.extract(source, dest, wanted, limits, params["overwrite"], check=module.check_mode)
            result.update(files=[file._asdict() for file in files], changed=any(file.state == "written" for file in files))
            if module._diff:
                result["diff"] = difference([file.path for file in files if file.state == "unchanged"], [file.path for file in files])


def _described(member: zips.Member) -> dict:
    return dict(member._asdict(), modified=None if member.modified is None else member.modified.isoformat())


if __name__ == "__main__":
    main()
