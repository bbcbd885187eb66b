#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: cloudtrail_events
short_description: Show who did what, when and from where in an AWS account
version_added: 0.9.0
description:
  - Returns events of AWS CloudTrail with their service, action, region, response, principal, time, address and id. The events come from
    exactly one place - the bucket of a trail (O(bucket)), the event history of the last 90 days (O(history)), or log files (O(paths)).
  - If a file, a record or a region cannot be read, the module continues with the others, lists it in RV(unreadable), and reports a warning.
    The module fails if nothing could be read, or if the credentials are rejected.
  - The events are in the order of the files, which is roughly by time in each region. Events of the history begin with the newest.
  - The command C(log-archive audit events) can also read the archives of a job, and writes tables, CSV and JSON lines without a limit.
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.aws
  - infra_ops.log_archive.cloudtrail_events
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: The module changes nothing.
  idempotent:
    support: full
    details: The module changes nothing.
seealso:
  - module: infra_ops.log_archive.archive_run
  - module: infra_ops.log_archive.archive_restore
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: List denied calls of the last day
  infra_ops.log_archive.cloudtrail_events:
    bucket: example-trail
    region: eu-west-3
    filter:
      denied: true
  register: denied

- name: Show who used the root user in the last week, without a trail
  infra_ops.log_archive.cloudtrail_events:
    history: true
    regions: [us-east-1, eu-west-3]
    filter:
      root: true
      since: '2026-11-03'

- name: Find deletions in restored log files
  infra_ops.log_archive.cloudtrail_events:
    paths: [/srv/restored]
    filter:
      service: s3
      action: Delete*
      principal: alice
"""

RETURN = r"""
events:
  description: The events.
  returned: success
  type: list
  elements: dict
  contains:
    time:
      description: When the request was made.
      type: str
      returned: always
      sample: '2026-11-03T02:00:01Z'
    service:
      description: The service.
      type: str
      returned: always
      sample: s3.amazonaws.com
    action:
      description: The action of the API, or the name of the event.
      type: str
      returned: always
      sample: DeleteBucket
    region:
      description: The region.
      type: str
      returned: always
      sample: eu-west-3
    principal:
      description: Who made the request - an ARN, or for an identity without one its name or ID.
      type: str
      returned: always
      sample: arn:aws:iam::123456789012:user/alice
    ip:
      description: The address that the request came from, or the name of a service.
      type: str
      returned: always
      sample: 198.51.100.20
    response:
      description: The answer of the service (C(responseElements)). V(null) if the record has none.
      type: raw
      returned: always
      sample: null
    error_code:
      description: The error code, if the service rejected the request. Otherwise empty.
      type: str
      returned: always
      sample: AccessDenied
    error_message:
      description: The error message. Empty if there was no error.
      type: str
      returned: always
      sample: Access Denied
    event_id:
      description: The id of the event.
      type: str
      returned: always
      sample: 5a1c4f9e-0b0a-4d9c-9d6f-2f0e3f0c6a11
    event_class:
      description: V(management), V(data), V(insight) or V(network).
      type: str
      returned: always
      sample: management
    call_type:
      description: V(api_call), V(service_event), V(console_action), V(sign_in), V(insight) or V(vpc_endpoint).
      type: str
      returned: always
      sample: api_call
    denied:
      description: Whether a policy denied the request.
      type: bool
      returned: always
      sample: true
    root:
      description: Whether the root user made the request.
      type: bool
      returned: always
      sample: false
more:
  description: Whether there are more events than O(limit).
  returned: success
  type: bool
  sample: false
unreadable:
  description: The files, records and regions that could not be read, and records with missing or invalid fields. At most 1000.
  returned: success
  type: list
  elements: str
  sample: []
"""

import contextlib
import datetime
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._cloud_options import CLOUDTRAIL_EVENTS, WANTED_EVENTS
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit import reading
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit.events import Wanted, check, row_of
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.aws_spec import AWS
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import (
    argument_spec,
    aws_options,
    given,
    reporting,
    time_of,
    warn,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec=argument_spec(AWS, CLOUDTRAIL_EVENTS),
        supports_check_mode=True,
    )
    with reporting(module) as result:
        options = given(module.params, CLOUDTRAIL_EVENTS)
        wanted = _wanted(options["filter"])
        problems = reading.Problems()
        with contextlib.ExitStack() as stack:
            found = reading.events_in(_logs(module.params, options, wanted, problems, stack), wanted, problems)
            events = []
            result["more"] = False
            for event in found:
                if len(events) == options["limit"]:
                    result["more"] = True
                    break
                events.append(dict(row_of(event)))
            found.close()
        if problems.failed and not problems.done and not events:
            raise problems.errors[0]
        result["events"] = events
        result["unreadable"] = [str(error) for error in problems.errors]
        warn(module, result["unreadable"])


def _wanted(filters: t.Mapping[str, t.Any]) -> Wanted:
    times = {name: time_of(filters[name]) for name in ("since", "until")}
    wanted = Wanted(**{**{name: filters[name] for name in WANTED_EVENTS}, **times})
    check(wanted)
    return wanted


def _logs(
    params: t.Mapping[str, t.Any], options: t.Dict[str, t.Any], wanted: Wanted, problems: reading.Problems, stack: contextlib.ExitStack
) -> t.Iterator[reading.Log]:
    if [bool(options["bucket"]), options["history"], bool(options["paths"])].count(True) != 1:
        raise ConfigError("the events come from exactly one place", hint="Set one of bucket, history and paths")
    if options["paths"]:
        return reading.logs_of_paths(options["paths"], problems.report)
    trail: t.Any = {**aws_options(params), **options}
    now = datetime.datetime.now(datetime.timezone.utc)
    if options["history"]:
        return reading.logs_of_history(trail, wanted, now)
    return stack.enter_context(reading.logs_of_bucket(trail, wanted, now, problems.report))


if __name__ == "__main__":
    main()
