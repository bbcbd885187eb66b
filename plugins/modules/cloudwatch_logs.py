#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: cloudwatch_logs
short_description: Store, read and export events of CloudWatch Logs, and set their retention
version_added: 0.9.0
description:
  - Works on one log group of Amazon CloudWatch Logs. O(action) selects what to do.
  - With O(action=put), the events are sorted by time and sent in batches. The limits of the service are checked first, because the service
    drops some events without an error. Events that it would drop or has dropped are in RV(rejected), and the module fails after it has
    stored the others.
  - An account can run only one export at a time. The module waits for another export to end.
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.aws
  - infra_ops.log_archive.cloudwatch_logs
attributes:
  check_mode:
    support: full
    details: With O(action=put), the events are checked. O(action=filter) and O(action=query) read as usual.
  diff_mode:
    support: partial
    details: O(action=retention) shows the retention before and after. The other actions add something or only read.
  idempotent:
    support: partial
    details:
      - CloudWatch Logs does not detect duplicates. O(action=put) stores the events again at each call, and twice if an answer is lost.
      - O(action=export) starts nothing if the same export has completed before and AWS still lists it.
      - O(action=retention) changes the log group only if its retention differs.
seealso:
  - module: infra_ops.log_archive.cloudwatch_monitoring
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Keep the events of a host for a week, because its logs are archived
  infra_ops.log_archive.cloudwatch_logs:
    action: retention
    log_group: /hosts/web1
    days: 7
    region: eu-west-3

- name: Export the events of one day
  infra_ops.log_archive.cloudwatch_logs:
    action: export
    log_group: /hosts/web1
    start: 2024-01-12T00:00Z
    end: 2024-01-13T00:00Z
    bucket: example-exports
    prefix: hosts/web1
    wait: 1h

- name: Record that the maintenance began
  infra_ops.log_archive.cloudwatch_logs:
    action: put
    log_group: /operations
    log_stream: maintenance
    events:
      - text: "{{ inventory_hostname }} goes down for maintenance"

- name: Count the errors of the last day by program
  infra_ops.log_archive.cloudwatch_logs:
    action: query
    log_group: /hosts/web1
    query: filter @message like /error/ | stats count(*) as errors by program
    start: "{{ '%Y-%m-%dT%H:%M:%SZ' | strftime(now(utc=true).timestamp() - 86400, utc=true) }}"
  register: errors
"""

RETURN = r"""
stored:
  description: How many events were stored. In check mode, how many would be sent.
  returned: O(action=put)
  type: int
  sample: 12
rejected:
  description: The events that were not stored. If there are any, the module fails.
  returned: O(action=put)
  type: list
  elements: dict
  contains:
    index:
      description: The index of the event in O(events), starting at 0.
      type: int
      returned: always
      sample: 3
    reason:
      description: Why it was not stored.
      type: str
      returned: always
      sample: older than 14 days
rows:
  description:
    - With O(action=filter), the events in the order of the service, each with C(time) (milliseconds since 1970), C(stream) and C(message).
    - With O(action=query), the fields of each row by their names; all values are strings.
  returned: O(action=filter) or O(action=query)
  type: list
  elements: dict
  sample:
    - {"time": 1705064405000, "stream": web1, "message": started}
cut:
  description: Whether there may be more rows than O(limit).
  returned: O(action=filter) or O(action=query)
  type: bool
  sample: false
statistics:
  description: The statistics of the service about the query, such as C(recordsMatched), C(recordsScanned) and C(bytesScanned).
  returned: O(action=query)
  type: dict
  sample: {"recordsMatched": 2.0}
task_id:
  description: The ID of the export task. V(null) in check mode if the task does not exist yet.
  returned: O(action=export)
  type: str
  sample: cda45419-90ea-4db5-9833-aade86253e66
days:
  description: The retention in days, after the change; V(0) if events never expire.
  returned: O(action=retention)
  type: int
  sample: 7
reason:
  description:
    - One word for the kind of failure of a request - V(credentials), V(expired), V(denied), V(clock), V(region), V(tls), V(throttled),
      V(unavailable), V(other).
  returned: if a request fails
  type: str
  sample: denied
"""

import contextlib
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._cloud_options import CLOUDWATCH_LOGS
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.aws_service import Service, open_service
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import parse_duration, parse_time
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cloud import export as exports, logs, queries
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cloud.log_events import LogEvent, split
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.aws_spec import AWS
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import (
    argument_spec,
    aws_options,
    difference,
    given,
    reporting,
    warn,
)

Options = t.Dict[str, t.Any]


def main() -> None:
    module = AnsibleModule(
        argument_spec=argument_spec(AWS, CLOUDWATCH_LOGS),
        required_if=[
            ("action", "put", ["log_stream", "events"]),
            ("action", "filter", ["start"]),
            ("action", "query", ["query", "start"]),
            ("action", "export", ["start", "end", "bucket"]),
            ("action", "retention", ["days"]),
        ],
        supports_check_mode=True,
    )
    with reporting(module) as result:
        options = given(module.params, CLOUDWATCH_LOGS)
        with contextlib.closing(open_service("logs", aws_options(module.params))) as service:
            ACTIONS[options["action"]](module, service, options, result)


def _put(module: AnsibleModule, service: Service, options: Options, result: t.Dict[str, t.Any]) -> None:
    now = int(time.time() * 1000)
    events = [
        LogEvent(_milliseconds(event["time"], "events[%d].time" % place) if event["time"] else now, event["text"], place)
        for place, event in enumerate(options["events"])
    ]
    group = logs.need_group(service, options["log_group"])
    if module.check_mode:
        batches, rejected = split(events, now, group.retention)
        done = logs.Put(sum(map(len, batches)), rejected)
    else:
        done = logs.put(service, group.name, options["log_stream"], events, group.retention)
    result.update(
        changed=done.stored > 0,
        stored=done.stored,
        rejected=[{"index": each.place, "reason": each.reason} for each in done.rejected],
    )
    if done.error is not None:
        raise done.error
    if done.rejected:
        raise logs.RejectedEventsError(done.rejected, len(events), group.name)


def _filter(module: AnsibleModule, service: Service, options: Options, result: t.Dict[str, t.Any]) -> None:
    start, end = _span(options)
    wait = parse_duration(options["wait"])
    _found(module, queries.filtered(service, options["log_group"], options["pattern"], start, end, options["limit"], wait), result)


def _query(module: AnsibleModule, service: Service, options: Options, result: t.Dict[str, t.Any]) -> None:
    start, end = _span(options)
    wait = parse_duration(options["wait"])
    found = queries.queried(service, [options["log_group"]], options["query"], start, end, options["limit"], wait)
    _found(module, found, result)
    result["statistics"] = found.statistics


def _found(module: AnsibleModule, found: queries.Found, result: t.Dict[str, t.Any]) -> None:
    result.update(rows=found.rows, cut=found.cut)
    if found.cut:
        warn(module, ["there may be more than %d rows; increase limit, or choose a shorter span of time" % len(found.rows)])


def _export(module: AnsibleModule, service: Service, options: Options, result: t.Dict[str, t.Any]) -> None:
    start, end = _span(options)
    wanted = exports.Wanted(options["log_group"], options["bucket"], options["prefix"], start, end)
    done = exports.export(service, wanted, parse_duration(options["wait"]), module.check_mode)
    result.update(changed=done.changed, task_id=done.task_id)


def _retention(module: AnsibleModule, service: Service, options: Options, result: t.Dict[str, t.Any]) -> None:
    days = options["days"] or None
    logs.check_retention(days, "days")
    group = logs.need_group(service, options["log_group"])
    result["changed"] = logs.set_retention(service, group, days, module.check_mode)
    result["days"] = options["days"]
    if module._diff:
        before, after = ("never expires" if value is None else "%d days" % value for value in (group.retention, days))
        result["diff"] = difference([before], [after])


ACTIONS: t.Dict[str, t.Callable[[AnsibleModule, Service, Options, t.Dict[str, t.Any]], None]] = {
    "put": _put,
    "filter": _filter,
    "query": _query,
    "export": _export,
    "retention": _retention,
}


def _span(options: Options) -> t.Tuple[int, int]:
    """Start and end in milliseconds since the epoch."""
    start = _milliseconds(options["start"], "start")
    end = _milliseconds(options["end"], "end") if options["end"] else int(time.time() * 1000)
    if start >= end:
        raise ConfigError("start is not earlier than end", "%s, %s" % (options["start"], options["end"] or "now"), "Swap start and end")
    return start, end


def _milliseconds(text: str, subject: str) -> int:
    try:
        return int(parse_time(text).timestamp() * 1000)
    except ConfigError as error:
        raise ConfigError(error.message, subject, error.hint) from error


if __name__ == "__main__":
    main()
