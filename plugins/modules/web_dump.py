#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: web_dump
short_description: Download a zip over HTTPS and extract files from it
version_added: 0.9.0
description:
  - Downloads a zip, such as the nightly dump of a database, and extracts one or all of its files into a folder. To archive the files as
    well, use the same options in a job (O(infra_ops.log_archive.archive_run#module:job.web)).
  - The version of the zip (C(ETag), C(Last-Modified)) is recorded in the folder, in C(.log-archive-web.json). An unchanged zip is not
    downloaded again while its files exist.
  - With O(modified=today) the file must be from today. If it is missing or older, nothing is extracted, and the module reports a warning
    or an error (O(absent)).
  - RV(reason) has one word for each kind of failure.
options:
  dest:
    description: The folder for the files. If it does not exist, it is created with mode 0700. Files with other content are replaced.
    type: path
    required: true
requirements:
  - urllib3 (Python library on the host that runs the module)
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.web
attributes:
  check_mode:
    support: full
    details: The zip is downloaded to a temporary folder and checked. No file in O(dest) is written.
  diff_mode:
    support: full
    details: The paths of the files, before and after.
  idempotent:
    support: full
seealso:
  - module: infra_ops.log_archive.zip_extract
  - module: infra_ops.log_archive.archive_run
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Download the dump of last night
  infra_ops.log_archive.web_dump:
    url: https://intranet.example.com:8000/export.zip
    member: dump.sql
    modified: today
    timezone: Europe/Paris
    ca_bundle: /etc/ssl/certs/intranet.pem
    user: dump
    password: "{{ vault_dump_password }}"
    dest: /srv/dump
  register: dump
"""

RETURN = r"""
files:
  description: The extracted files. Empty if the zip is unchanged, or if RV(problem) is set.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The path of the file.
      type: str
      returned: success
      sample: /srv/dump/dump.sql
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
unchanged:
  description: Whether the zip has not changed since the last download.
  returned: success
  type: bool
  sample: false
problem:
  description: Why nothing was extracted, if the file is missing or not from today. Otherwise V(null).
  returned: success
  type: str
  sample: null
reason:
  description:
    - One word for the kind of failure - V(dns), V(refused), V(unreachable), V(timeout), V(connection_lost), V(tls_name),
      V(tls_expired), V(tls_untrusted), V(tls), V(client_certificate), V(unauthorized), V(forbidden), V(not_found), V(busy),
      V(server_error), V(status), V(redirect), V(proxy), V(too_large), V(too_small), V(truncated), V(not_zip).
  returned: if the download fails
  type: str
  sample: tls_expired
"""

import datetime
import os
import tempfile
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import SelectionError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.staging import has
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise_web
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import WEB
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import dumps, web
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import (
    argument_spec,
    difference,
    hide_only_queries,
    reporting,
    unescaped,
    unescaped_paths,
    warn,
)

MEMORY = ".log-archive-web.json"


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(argument_spec(WEB), dest={"type": "path", "required": True}),
        supports_check_mode=True,
    )
    hide_only_queries(module, WEB)
    with reporting(module) as result:
        options = normalise_web(unescaped_paths(module.params, WEB))
        dest = os.path.abspath(unescaped(module.params["dest"]))
        if module.check_mode:
            with tempfile.TemporaryDirectory(prefix="log-archive-") as folder:
                result.update(_collect(options, dest, folder))
        else:
            result.update(_collect(options, dest, dest))
        if result["problem"] and options["absent"] == "error":
            raise SelectionError(result["problem"], hint="The task treats this as an error (absent)")
        warn(module, [result["problem"]] if result["problem"] else [])
        if module._diff:
            paths = [file["path"] for file in result["files"]]
            result["diff"] = difference([file["path"] for file in result["files"] if file["state"] == "unchanged"], paths)


def _collect(options: t.Mapping[str, t.Any], dest: str, folder: str) -> t.Dict[str, t.Any]:
    """Download to ``folder``, which is ``dest``, or in check mode a temporary folder."""
    memory = os.path.join(dest, MEMORY)
    now = datetime.datetime.now(datetime.timezone.utc)
    known, days = dumps.remembered(memory)
    if known is not None and not _is_there(dest, options["member"]):
        known = None
    got = web.collect(options, folder, now, known)
    if got.unchanged:
        return {"files": [], "unchanged": True, "problem": dumps.stale(options, days, now), "changed": False}
    files = [file._asdict() for file in got.files]
    if folder != dest:
        for file in files:
            state = "unchanged" if has(dest, file["name"], file["size"], file["sha256"]) else "written"
            file.update(path=os.path.join(dest, file["name"]), state=state)
    elif got.problem is None:
        dumps.remember(memory, got)
    return {"files": files, "unchanged": False, "problem": got.problem, "changed": any(file["state"] == "written" for file in files)}


def _is_there(dest: str, member: t.Optional[str]) -> bool:
    """Whether the files of the last download still exist: the member, or any file if all members are extracted."""
    if member is not None:
        return os.path.isfile(os.path.join(dest, member))
    return any(name != MEMORY for name in os.listdir(dest))


if __name__ == "__main__":
    main()
