#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: log_select
short_description: Find the logs of a period
version_added: 0.9.0
description:
  - Finds log files by folder, name, period, age and size, and returns the expected periods that have no log.
  - The period of a log is taken from its name, with the strftime codes in O(patterns) and the time zone O(timezone). Changes of daylight
    saving time are handled. If the name contains no time, the modification time is used.
  - Nothing is changed. Pass the result to M(infra_ops.log_archive.archive_create).
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.selection
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: It changes nothing.
  idempotent:
    support: full
    details: It changes nothing. The result depends on the files and on the time.
seealso:
  - module: infra_ops.log_archive.archive_create
  - module: infra_ops.log_archive.archive_run
  - module: ansible.builtin.find
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
    timezone: Europe/Paris
    must_exist: true
  register: selected

- name: Find the logs of the last seven days that are no longer written to
  infra_ops.log_archive.log_select:
    paths:
      - /var/log/app
    patterns:
      - '*-%Y-%m-%d.log'
    exclude:
      - debug-*
    recurse: true
    period: day
    catch_up: 6d
    quiet: 10m
    require_closed: true
  register: selected

- name: Show the days without a log
  ansible.builtin.debug:
    msg: "No log from {{ item.start }} to {{ item.end }}"
  loop: "{{ selected.missing }}"
"""

RETURN = r"""
files:
  description: The logs, sorted by period and path. Pass the list to O(infra_ops.log_archive.archive_create#module:sources).
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Absolute path.
      type: str
      returned: success
      sample: /var/log/events/syslog.20240112.12
    size:
      description: Size in bytes.
      type: int
      returned: success
      sample: 1048576
    mtime:
      description: Time of the last modification, in seconds since the epoch.
      type: float
      returned: success
      sample: 1705064400.25
    period_start:
      description: The start of the period of the log, in UTC.
      type: str
      returned: success
      sample: "2024-01-12T12:00:00Z"
    period_end:
      description: The end of the period of the log (exclusive), in UTC.
      type: str
      returned: success
      sample: "2024-01-12T13:00:00Z"
missing:
  description: The expected periods that have no log, in UTC. Always empty with O(period=none).
  returned: success
  type: list
  elements: dict
  contains:
    start:
      description: The start of the period.
      type: str
      returned: success
      sample: "2024-01-12T12:00:00Z"
    end:
      description: The end of the period (exclusive).
      type: str
      returned: success
      sample: "2024-01-12T13:00:00Z"
left_out:
  description: Files and folders that match but were skipped.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The path of the file or folder.
      type: str
      returned: success
      sample: /var/log/events/syslog.20240112.13
    reason:
      description: Why it was skipped.
      type: str
      returned: success
      sample: open for writing by 812 (rsyslogd)
total_size:
  description: The total size of the files, in bytes.
  returned: success
  type: int
  sample: 1048576
"""

from datetime import datetime, timezone

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import format_utc
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import SELECTION
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources.files import select
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import argument_spec, given, reporting


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(SELECTION), supports_check_mode=True)
    with reporting(module) as result:
        selection = select(given(module.params, SELECTION), datetime.now(timezone.utc))
        result["files"] = [
            {
                "path": source.path,
                "size": source.size,
                "mtime": source.mtime_ns / 10**9,
                "period_start": format_utc(source.period.start),
                "period_end": format_utc(source.period.end),
            }
            for source in selection.files
        ]
        result["missing"] = [{"start": format_utc(period.start), "end": format_utc(period.end)} for period in selection.missing]
        result["left_out"] = [skipped._asdict() for skipped in selection.skipped]
        result["total_size"] = sum(source.size for source in selection.files)


if __name__ == "__main__":
    main()
