#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: log_ingest
short_description: Store the new lines of live logs in SQL databases and search servers
version_added: 0.9.0
description:
  - Stores all current lines of a stream that its sinks do not have yet, each exactly once. The command C(log-archive ingest) does the same
    on the host, and C(log-archive follow) does it continuously.
  - Rows and the new position of the stream are committed in one transaction. A log may be renamed, compressed or copied between two calls.
  - Data that the source lost before it was read is recorded as a gap. Lines that do not fit into a table are stored as rejected lines with
    the reason.
  - If a sink fails, the module continues with the others, and then fails.
requirements:
  - PyMySQL (Python library on the host that runs the module, for MySQL and MariaDB)
  - psycopg 3 (Python library on the host that runs the module, for PostgreSQL)
  - elasticsearch 8 or 9 (Python library on the host that runs the module, for Elasticsearch)
  - opensearch-py (Python library on the host that runs the module, for OpenSearch)
notes:
  - The Python library msgspec makes parsing faster. The rows are the same without it.
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.stream
attributes:
  check_mode:
    support: full
    details: Counts the lines that would be stored. A line that only the database would reject is counted as a row.
  diff_mode:
    support: none
    details: The lines of a log are not shown.
  idempotent:
    support: full
    details: A second call stores only lines that were written since.
seealso:
  - module: infra_ops.log_archive.archive_run
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Store the new log lines of an SFTPGo server
  infra_ops.log_archive.log_ingest:
    stream:
      name: sftpgo
      follow:
        paths:
          - /var/log/sftpgo
        patterns:
          - sftpgo.log
        rotated:
          - sftpgo-*.log
      parse:
        profile: sftpgo
        timezone: Europe/Paris
      sinks:
        - type: postgresql
          host: db.example.com
          database: logs
          user: follower
          password: "{{ follower_password }}"
  register: ingested
"""

RETURN = r"""
ingested:
  description: The result for each sink. In check mode the numbers of what would be stored.
  returned: always, unless the stream document is wrong or another process follows the stream
  type: dict
  contains:
    stream:
      description: Name of the stream.
      type: str
      returned: always
      sample: sftpgo
    host:
      description: Name of the host in the sinks.
      type: str
      returned: always
      sample: web1
    check:
      description: Whether this was a dry run (check mode).
      type: bool
      returned: always
      sample: false
    sinks:
      description: The result of each sink.
      type: list
      elements: dict
      returned: always
      contains:
        sink:
          description: Name of the sink.
          type: str
          returned: always
          sample: postgresql
        lines:
          description: Number of lines, including rejected lines.
          type: int
          returned: always
          sample: 1204
        rows:
          description: Number of lines that became rows.
          type: int
          returned: always
          sample: 1203
        rejected:
          description: Number of lines that were stored as rejected.
          type: int
          returned: always
          sample: 1
        gaps:
          description: Number of gaps that were noticed.
          type: int
          returned: always
          sample: 0
        gap_bytes:
          description: The size in bytes of the gaps with a known size.
          type: int
          returned: always
          sample: 0
        error:
          description: Why the sink failed. V(null) if it did not.
          type: str
          returned: always
    warnings:
      description: Files and folders that could not be read or do not exist. The module shows them as warnings too.
      type: list
      elements: str
      returned: always
      sample: []
    exit_code:
      description: The exit code of C(log-archive ingest) for this outcome.
      type: int
      returned: always
      sample: 0
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_check import normalise_stream
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_spec import STREAM
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import argument_spec, reporting, unescaped_paths, warn
from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import STREAM_OPTION


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(STREAM_OPTION), supports_check_mode=True)
    with reporting(module) as result:
        document = normalise_stream(unescaped_paths(module.params["stream"], STREAM), "stream")
        found = follower.catch_up(document, check=module.check_mode)
        result.update(ingested=found, changed=any(sink["lines"] or sink["gaps"] for sink in found["sinks"]))
        warn(module, found["warnings"])
        failed = ["%s: %s" % (sink["sink"], sink["error"]) for sink in found["sinks"] if sink["error"]]
        if failed:
            raise LogArchiveError("failed (%s)" % "; ".join(failed), "stream " + found["stream"], "Call the module again; nothing is lost")


if __name__ == "__main__":
    main()
