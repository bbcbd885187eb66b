#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: cloudwatch_monitoring
short_description: Set up alarms, metric filters, retention and a dashboard in CloudWatch
version_added: 0.9.0
description:
  - Sets up monitoring of the jobs of a fleet and of the trail of an account in Amazon CloudWatch. It changes only what differs.
  - The alarm for a missing run uses the metric C(SuccessfulRuns), which jobs with C(notify) of the type C(cloudwatch) send. An hour without
    data counts as an hour without a successful run, so a new alarm is active until the first successful run.
  - Alarms that an earlier call with the same O(name) created and that are no longer needed are removed. Alarms that this module did not
    create are never changed or removed.
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.aws
  - infra_ops.log_archive.cloudwatch_monitoring
attributes:
  check_mode:
    support: full
    details: Reads what exists and returns what would change.
  diff_mode:
    support: full
    details: Each resource that differs, as JSON.
  idempotent:
    support: full
notes:
  - CloudWatch keeps the model of an anomaly band when its alarm is removed. A model without an alarm costs nothing and can be deleted in
    the console.
seealso:
  - module: infra_ops.log_archive.cloudwatch_logs
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Monitor the nightly jobs and the trail
  infra_ops.log_archive.cloudwatch_monitoring:
    region: eu-west-3
    run_log_group: /log-archive/runs
    trail_log_group: /aws/cloudtrail
    retention:
      - {log_group: /log-archive/runs, days: 365}
      - {log_group: /hosts/web1, days: 7}
    jobs:
      - {host: web1, job: syslog}
      - {host: db1, job: dumps, hours: 50}
    actions: ["arn:aws:sns:eu-west-3:123456789012:operators"]
  run_once: true
  delegate_to: localhost

- name: Remove all of it
  infra_ops.log_archive.cloudwatch_monitoring:
    region: eu-west-3
    state: absent
  run_once: true
  delegate_to: localhost
"""

RETURN = r"""
changes:
  description: The resources that were changed, in order. In check mode, those that would be changed.
  returned: unless the options are invalid
  type: list
  elements: dict
  contains:
    kind:
      description: V(log group), V(retention), V(metric filter), V(alarm) or V(dashboard).
      type: str
      returned: always
      sample: alarm
    name:
      description: Its name.
      type: str
      returned: always
      sample: log-archive-missing-run-web1-syslog
    state:
      description: V(created), V(changed) or V(removed).
      type: str
      returned: always
      sample: created
reason:
  description:
    - One word for the kind of failure of a request - V(credentials), V(expired), V(denied), V(clock), V(region), V(tls), V(throttled),
      V(unavailable), V(other).
  returned: if a request fails
  type: str
  sample: denied
"""

import contextlib
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._cloud_options import CLOUDWATCH_MONITORING
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.aws_service import open_service
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cloud import monitoring, reconcile
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.aws_spec import AWS
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import argument_spec, aws_options, given, reporting


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(AWS, CLOUDWATCH_MONITORING), supports_check_mode=True)
    with reporting(module) as result:
        options = given(module.params, CLOUDWATCH_MONITORING)
        settings = _settings(options)
        access = aws_options(module.params)
        with contextlib.closing(open_service("logs", access)) as logs, contextlib.closing(open_service("cloudwatch", access)) as service:
            found = reconcile.changes(settings, logs, service, options["state"] == "present")
            result["changes"] = []
            if module._diff:
                result["diff"] = [_difference(change) for change in found]
            for change in found:
                if not module.check_mode:
                    change.apply()
                state = "created" if change.before is None else "removed" if change.after is None else "changed"
                result["changes"].append({"kind": change.kind, "name": change.name, "state": state})
                result["changed"] = True


def _settings(options: t.Dict[str, t.Any]) -> monitoring.Settings:
    retention: t.Dict[str, t.Optional[int]] = {}
    for each in options["retention"]:
        if each["log_group"] in retention:
            raise ConfigError("the log group is given twice in retention", each["log_group"], "Remove one of them")
        retention[each["log_group"]] = each["days"] or None
    return monitoring.Settings(
        options["name"],
        options["namespace"],
        options["run_log_group"],
        options["trail_log_group"],
        retention,
        [monitoring.WatchedJob(each["host"], each["job"], each["hours"]) for each in options["jobs"]],
        options["actions"],
        options["dashboard"],
    )


def _difference(change: reconcile.Change) -> t.Dict[str, str]:
    header = "%s %s" % (change.kind, change.name)
    return {
        "before": monitoring.shown(change.before),
        "after": monitoring.shown(change.after),
        "before_header": header,
        "after_header": header,
    }


if __name__ == "__main__":
    main()
