#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: archive_search
short_description: Find lines in archived logs
version_added: 0.9.0
description:
  - Searches the logs in the archives of a store for a pattern, oldest archive first, and returns the lines.
  - Each archive is fetched, still encrypted, to an unnamed file in C($TMPDIR), or C(/var/tmp). It is authenticated there, then decrypted,
    unpacked and searched as a stream. No plaintext is written to a disk.
  - Logs that are compressed with gzip, bzip2 or xz are decompressed and searched. Logs in other compressed formats are reported in
    RV(failed_archives).
  - If an archive is damaged or forged, or its key is missing, the module searches the others, then fails and names the archives that were
    not searched.
  - It is not a failure if nothing is found.
  - The result contains the lines, so Ansible and AWX show and log them. If they may contain secrets, set C(no_log=true) for the task.
options:
  pattern:
    description:
      - A Python regular expression, or plain text with O(fixed=true). It is matched against one line at a time, as bytes. The only
        flag that can be used is V((?i\)).
    type: str
    required: true
  fixed:
    description: Whether O(pattern) is plain text.
    type: bool
    default: false
  ignore_case:
    description: Whether to ignore the difference between uppercase and lowercase letters.
    type: bool
    default: false
  context:
    description: How many lines to return before and after each match, at most 100.
    type: int
    default: 0
  count:
    description: Whether to return only how many lines of each log match.
    type: bool
    default: false
  max:
    description: End the search after this many matching lines. RV(complete) returns whether it ended early.
    type: int
    default: 1000
  keyring:
    description: The keyring, a folder of Fernet keys. Required to search encrypted archives, except those for recipients.
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
    details: It never changes anything. In check mode it does not record the host key of a new SFTP server.
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: full
    details: It changes nothing.
seealso:
  - module: infra_ops.log_archive.archive_restore
  - module: infra_ops.log_archive.archive_info
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Find failed logins from an address
  infra_ops.log_archive.archive_search:
    pattern: Failed password for .* from 203\.0\.113\.9
    store:
      type: s3
      bucket: logs
      prefix: fleet
    host: web1
    job: syslog
    start: 2024-01-12
    end: 2024-01-13
    keyring: /etc/log-archive/keyring
  register: found

- name: Show the lines
  ansible.builtin.debug:
    msg: "{{ found.lines | map(attribute='text') }}"

- name: Count a text in the archives of all hosts, on the controller
  infra_ops.log_archive.archive_search:
    pattern: out of memory
    fixed: true
    ignore_case: true
    count: true
    store:
      type: s3
      bucket: logs
    keyring: /root/keyring
  delegate_to: localhost
"""

RETURN = r"""
lines:
  description: The lines that match, with their context, oldest archive first. Empty with O(count=true).
  returned: always; if the module fails early, the lines until then
  type: list
  elements: dict
  contains:
    archive: &archive
      description: Key of the archive.
      type: str
      returned: success
      sample: web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet
    host: &host
      description: The host that wrote the log.
      type: str
      returned: success
      sample: web1
    job: &job
      description: The job that archived it.
      type: str
      returned: success
      sample: syslog
    store: &store
      description: Name of the store that gave the archive.
      type: str
      returned: success
      sample: s3
    authenticated: &authenticated
      description:
        - Whether the manifest of the archive is authenticated. V(false) if an older version made the archive or it is not encrypted.
          V(false) also if O(identities) or O(archive_keys) opened it, because anyone can make an archive for a public key.
      type: bool
      returned: success
      sample: true
    log: &log
      description: The log, by its name in the archive.
      type: str
      returned: success
      sample: var/log/events/syslog.20240112.12
    line:
      description: Number of the line in the log, from 1.
      type: int
      returned: success
      sample: 118
    text:
      description: The line, at most 4,096 bytes of it. A byte that is not UTF-8 is written as C(\xff).
      type: str
      returned: success
      sample: "Jan 12 12:04:07 web1 sshd[812]: Failed password for root from 203.0.113.9"
    matched:
      description: Whether the line matches. If not, it is context.
      type: bool
      returned: success
      sample: true
    cut:
      description: Whether RV(lines[].text) is a part of a longer line, with its first match.
      type: bool
      returned: success
      sample: false
counts:
  description: With O(count=true), the logs with a match.
  returned: always; if the module fails early, the logs until then
  type: list
  elements: dict
  contains:
    archive: *archive
    host: *host
    job: *job
    store: *store
    authenticated: *authenticated
    log: *log
    count:
      description: How many lines match.
      type: int
      returned: success
      sample: 3
matched:
  description: How many lines match.
  returned: always; if the module fails early, the lines until then
  type: int
  sample: 1
archives:
  description: How many archives were searched to their end.
  returned: always; if the module fails early, the archives until then
  type: int
  sample: 24
complete:
  description: Whether the search reached its end. V(false) if it ended early because of O(max).
  returned: success
  type: bool
  sample: true
failed_archives:
  description: The archives and logs that were not searched, or not to their end.
  returned: always; if the module fails early, the archives until then
  type: list
  elements: dict
  contains:
    archive:
      description: Key of the archive.
      type: str
      returned: always
      sample: web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet
    log:
      description: Name of the log in the archive. V(null) if the whole archive was not searched.
      type: str
      returned: always
      sample: var/log/events/syslog.20240112.12.gz
    error:
      description: Why it was not searched.
      type: str
      returned: always
      sample: the gzip file in the archive is cut
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.patterns import Wanted
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ArchiveNotFoundError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.search import Found, failure, search_stores
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.found import rows
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import (
    argument_spec,
    choice,
    holdings,
    reporting,
    warn,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import CHOICE, FALLBACK_STORES_OPTION, OPENING, STORE_OPTION

PLACE = ("host", "job", "store", "authenticated", "log")
LINE = (*PLACE, "line", "text", "matched", "cut")
COUNT = (*PLACE, "count")


def main() -> None:
    arguments = argument_spec(STORE_OPTION, FALLBACK_STORES_OPTION, CHOICE, OPENING)
    arguments.update(
        pattern={"type": "str", "required": True},
        fixed={"type": "bool", "default": False},
        ignore_case={"type": "bool", "default": False},
        context={"type": "int", "default": 0},
        count={"type": "bool", "default": False},
        max={"type": "int", "default": 1000},
    )
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    params = module.params
    with reporting(module) as result:
        result.update(lines=[], counts=[], matched=0, archives=0, failed_archives=[])
        wanted = Wanted(*(params[name] for name in ("pattern", "fixed", "ignore_case", "context", "count", "max")))
        failed: t.List[Found] = []
        try:
            for found in search_stores(
                [holdings(params, params["job"])], choice(params), wanted, module.check_mode, warn=lambda text: warn(module, [text])
            ):
                result["matched"] += found.matched
                result["archives"] += found.member is None and found.error is None
                for row in t.cast("t.List[t.Dict[str, t.Any]]", rows(found, wanted.only_count)):
                    if row["error"] is not None:
                        failed.append(found)
                        result["failed_archives"].append({"archive": row["key"], "log": row["log"], "error": row["error"]})
                    elif wanted.only_count:
                        result["counts"].append({"archive": row["key"], **{name: row[name] for name in COUNT}})
                    else:
                        result["lines"].append({"archive": row["key"], **{name: row[name] for name in LINE}})
        except ArchiveNotFoundError as error:
            if params["names"]:
                raise
            warn(module, [str(error)])
        result["complete"] = result["matched"] != wanted.most
        error = failure(failed)
        if error is not None:
            raise error


if __name__ == "__main__":
    main()
