# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""When each job of a host runs, for cron and for systemd."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import schedule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import parse_duration
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise_options
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import SCHEDULE
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.documents import check_name

DOCUMENTATION = r"""
name: schedule_entries
short_description: The schedule of each job of a host, for cron and for systemd
version_added: 0.9.0
description:
  - Takes the job documents of a host and returns the times for a crontab or a systemd timer, for each job that has a C(schedule), sorted by
    name.
  - It returns nothing else from the documents, so the result holds no secret.
positional: host
options:
  _input:
    description: The job documents by name, as the lookup P(infra_ops.log_archive.jobs#lookup) returns them.
    type: dict
    required: true
  host:
    description: The name of the host, for a document without one. The spread depends on it.
    type: str
    required: true
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Show when the jobs of each host run
  ansible.builtin.debug:
    msg: "{{ query('infra_ops.log_archive.jobs') | first | infra_ops.log_archive.schedule_entries(inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: One dict for each job with a schedule.
  type: list
  elements: dict
  contains:
    name:
      description: The job's name.
      type: str
    at:
      description: The schedule as the document has it.
      type: str
    cron:
      description: The five fields of a crontab.
      type: str
    on_calendar:
      description: The value of C(OnCalendar) of a timer.
      type: str
    offset:
      description: The delay of this host in seconds, always the same.
      type: int
"""


def schedule_entries(documents: t.Mapping[str, t.Mapping[str, t.Any]], host: str) -> t.List[t.Dict[str, t.Any]]:
    """See DOCUMENTATION."""
    return [_entry(name, documents[name], host) for name in sorted(documents) if documents[name].get("schedule")]


def _entry(name: str, document: t.Mapping[str, t.Any], host: str) -> t.Dict[str, t.Any]:
    check_name("job", name, host)
    try:
        given = normalise_options(document["schedule"], SCHEDULE, "schedule")
        parsed = schedule.parse(given["at"])
        return {
            "name": name,
            # On one line, for a comment in the crontab.
            "at": " ".join(given["at"].split()),
            "cron": schedule.cron(parsed),
            "on_calendar": schedule.on_calendar(parsed),
            "offset": schedule.offset(parse_duration(given["spread"]), document.get("host") or host, name),
        }
    except LogArchiveError as error:
        raise AnsibleFilterError("%s: the schedule of job %s: %s" % (host, name, error)) from None


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"schedule_entries": schedule_entries}
