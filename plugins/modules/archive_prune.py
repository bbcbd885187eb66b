#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: archive_prune
short_description: Remove from a store the archives that no retention rule keeps
version_added: 0.1.0
description:
  - Applies retention to a store, with the semantics of C(restic forget) - each host and job by itself, on the start of the archives'
    periods, in UTC.
  - Several archives of one host, job and period are kept or removed together.
  - Says for each archive why it stays or goes. Check mode returns the same plan that the real run executes.
  - Guards - archives dated in the future are neither counted nor removed, O(policy.min_keep) archives always stay, and where more than
    O(policy.max_delete_share) of the archives of a host and job would go, none of them goes and RV(refusals) says so.
  - What other tools put into the store is touched only where O(policy.name_template) dates it.
  - For a local folder of archives, give it as a store of type V(file).
options:
  host:
    description: Only the archives of the host that is stored under this name. By default of every host.
    type: str
  job:
    description: Only the archives of this job. By default of every job.
    type: str
  timezone:
    description: The time zone of the dates in names that O(policy.name_template) reads, as C(Europe/Paris); V(local) is the host's own.
    type: str
    default: UTC
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.store
  - infra_ops.log_archive.retention
attributes:
  check_mode:
    support: full
    details: The plan is the one that a real run executes.
  diff_mode:
    support: full
    details: The keys of the archives before and after.
  idempotent:
    support: full
    details: What a policy keeps, it keeps again as long as no archive is added.
seealso:
  - module: infra_ops.log_archive.archive_info
  - module: infra_ops.log_archive.archive_run
  - name: restic forget
    description: Where the rules come from.
    link: https://restic.readthedocs.io/en/stable/060_forget.html
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Keep all of 31 days, and of the year before one archive a day
  infra_ops.log_archive.archive_prune:
    store:
      type: s3
      bucket: logs
      prefix: fleet
    host: web1
    job: syslog
    policy:
      keep_within: 31d
      keep_within_daily: 1y
  register: pruned

- name: Remove old archives that another tool has named by day and month
  infra_ops.log_archive.archive_prune:
    store:
      type: file
      path: /var/backups/logs
    timezone: Europe/Paris
    policy:
      name_template: '%Y%d%m.tgz'
      keep_within: 90d
"""

RETURN = r"""
keep:
  description: The archives that stay, for each host and job newest first.
  returned: success, or when an archive could not be removed
  type: list
  elements: dict
  contains: &item
    key:
      description: Key of the archive.
      type: str
      returned: success
      sample: web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet
    time:
      description: Where its period begins, in UTC.
      type: str
      returned: success
      sample: "2024-01-12T12:00:00Z"
    host:
      description: Its host; empty for what another tool put there.
      type: str
      returned: success
      sample: web1
    job:
      description: Its job.
      type: str
      returned: success
      sample: syslog
    size:
      description: Its bytes.
      type: int
      returned: success
      sample: 143360
    reasons:
      description: Why it stays, or goes.
      type: list
      elements: str
      returned: success
      sample: ["hourly #1", "daily #1"]
remove:
  description: The archives that go, oldest first.
  returned: success, or when an archive could not be removed
  type: list
  elements: dict
  contains: *item
removed:
  description: Keys of the archives that are gone (in check mode - would be gone).
  returned: success, or when an archive could not be removed
  type: list
  elements: str
  sample: [web1/syslog/2024/01/10/syslog.20240110.12.tgz.fernet]
bytes_freed:
  description: Bytes of the archives that are gone (in check mode - would be gone).
  returned: success, or when an archive could not be removed
  type: int
  sample: 143360
refusals:
  description: Where a guard kept everything that the policy would have removed, and why. Also shown as warnings.
  returned: success, or when an archive could not be removed
  type: list
  elements: str
  sample: []
damaged:
  description: Archives that could not be judged, because their manifest cannot be used, and why. They stay. Also shown as warnings.
  returned: success, or when an archive could not be removed
  type: dict
  sample: {}
failed_keys:
  description: What could not be removed, and why.
  returned: success, or when an archive could not be removed
  type: dict
  sample: {}
"""

import typing as t
from datetime import datetime, timezone

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import StoreError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import format_utc
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import RETENTION, SELECTION
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import prune as pruning
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.retention import Item, read_policy
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import argument_spec, difference, given, opened, reporting, warn
from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import CHOICE, POLICY_OPTION, STORE_OPTION

OWN = {"host": CHOICE["host"], "job": CHOICE["job"], "timezone": SELECTION["timezone"]}


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(STORE_OPTION, POLICY_OPTION, OWN), supports_check_mode=True)
    with reporting(module) as result:
        own = given(module.params, OWN)
        policy = given(module.params["policy"], RETENTION, "policy")
        scope = pruning.Scope(own["host"], own["job"], policy["name_template"], own["timezone"])
        with opened(module.params) as store:
            pruning_plan = pruning.plan(store, read_policy(policy), datetime.now(timezone.utc), scope)
            plan = pruning_plan.plan
            done = pruning.predict(pruning_plan) if module.check_mode else pruning.execute(store, pruning_plan)
            result.update(
                changed=bool(done.removed or pruning_plan.leftovers),
                keep=[_row(item, reasons) for item, reasons in plan.keep],
                remove=[_row(item, [reason]) for item, reason in plan.remove],
                removed=done.removed,
                bytes_freed=done.bytes_freed,
                refusals=plan.refusals,
                damaged=pruning_plan.damaged,
                failed_keys=done.failed,
            )
            warn(module, plan.refusals)
            warn(module, ("%s is not judged, its manifest cannot be used (%s)" % each for each in pruning_plan.damaged.items()))
            if module._diff:
                kept = sorted(item.key for item, _reasons in plan.keep)
                result["diff"] = difference(sorted(kept + done.removed), kept)
            if done.failed:
                raise StoreError("%d object(s) cannot be removed, failed_keys says why" % len(done.failed), store.location())


def _row(item: Item, reasons: t.Sequence[str]) -> t.Dict[str, t.Any]:
    row = {"key": item.key, "time": format_utc(item.time), "host": item.host, "job": item.job, "size": item.size}
    return dict(row, reasons=list(reasons))


if __name__ == "__main__":
    main()
