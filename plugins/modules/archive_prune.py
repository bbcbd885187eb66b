#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: archive_prune
short_description: Remove archives from a store by retention rules
version_added: 0.9.0
description:
  - Applies retention to a store, with the semantics of C(restic forget). The rules apply to each host and job separately, by the start of
    the archives' periods in UTC. Archives of one host, job and period are kept or removed together.
  - Returns for each archive why it is kept or removed. Check mode returns the plan that a real run executes.
  - Guards prevent accidents. Archives dated in the future are neither counted nor removed. O(policy.min_keep) archives are always kept. If
    more than O(policy.max_delete_share) of the archives of a host and job would be removed, none of them is removed, the module fails,
    and RV(refusals) has the reasons.
  - Files of other tools are removed only if O(policy.name_template) matches their names.
  - For a local folder of archives, use a store of type V(file).
options:
  host:
    description: Only archives of the host with this name. By default archives of all hosts.
    type: str
  job:
    description: Only archives of this job. By default archives of all jobs.
    type: str
  timezone:
    description:
      - The time zone of dates in names that O(policy.name_template) matches, such as V(Europe/Paris).
      - V(local) is the time zone of the host that runs the module.
    type: str
    default: UTC
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.store
  - infra_ops.log_archive.retention
attributes:
  check_mode:
    support: full
    details: Returns the plan that a real run executes.
  diff_mode:
    support: full
    details: The keys of the archives before and after.
  idempotent:
    support: full
    details: A policy keeps the same archives until new ones are added.
seealso:
  - module: infra_ops.log_archive.archive_info
  - module: infra_ops.log_archive.archive_run
  - name: restic forget
    description: The origin of the rules.
    link: https://restic.readthedocs.io/en/stable/060_forget.html
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Keep all archives of the last 31 days, and one per day of the last year
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

- name: Remove old archives that another tool named by year, day and month
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
  description: The archives that are kept, newest first for each host and job.
  returned: success, or when an archive was not removed
  type: list
  elements: dict
  contains: &item
    key:
      description: Key of the archive.
      type: str
      returned: success
      sample: web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet
    time:
      description: Start of its period, in UTC.
      type: str
      returned: success
      sample: "2024-01-12T12:00:00Z"
    host:
      description: Its host. Empty for files of other tools.
      type: str
      returned: success
      sample: web1
    job:
      description: Its job.
      type: str
      returned: success
      sample: syslog
    size:
      description: Its size in bytes.
      type: int
      returned: success
      sample: 143360
    reasons:
      description: Why it is kept or removed.
      type: list
      elements: str
      returned: success
      sample: ["hourly #1", "daily #1"]
remove:
  description: The archives that the rules remove, oldest first.
  returned: success, or when an archive was not removed
  type: list
  elements: dict
  contains: *item
removed:
  description: Keys of the archives that were removed, or in check mode would be removed.
  returned: success, or when an archive was not removed
  type: list
  elements: str
  sample: [web1/syslog/2024/01/10/syslog.20240110.12.tgz.fernet]
bytes_freed:
  description: Total size in bytes of the archives in RV(removed).
  returned: success, or when an archive was not removed
  type: int
  sample: 143360
refusals:
  description: The reason for each host and job that O(policy.max_delete_share) protected. Also shown as warnings.
  returned: success, or when an archive was not removed
  type: list
  elements: str
  sample: []
damaged:
  description: Keys of archives that retention ignored because their manifest cannot be used, and why. Also shown as warnings.
  returned: success, or when an archive was not removed
  type: dict
  sample: {}
failed_keys:
  description: Keys of objects that could not be removed, and why.
  returned: success, or when an archive was not removed
  type: dict
  sample: {}
"""

import typing as t
from datetime import datetime, timezone

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import PruneRefusedError, StoreError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.lists import some
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import format_utc
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import RETENTION, SELECTION
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import prune as pruning
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.policy import read_policy
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.retention import Item
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import argument_spec, difference, given, opened, reporting, warn
from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import CHOICE, POLICY_OPTION, STORE_OPTION

OWN = {"host": CHOICE["host"], "job": CHOICE["job"], "timezone": SELECTION["timezone"]}


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(STORE_OPTION, POLICY_OPTION, OWN), supports_check_mode=True)
    with reporting(module) as result:
        own = given(module.params, OWN)
        policy = given(module.params["policy"], RETENTION, "policy")
        scope = pruning.Scope(own["host"], own["job"], policy["name_template"], own["timezone"])
        with opened(module) as store:
            pruning_plan = pruning.plan(store, read_policy(policy), datetime.now(timezone.utc), scope)
            plan = pruning_plan.plan
            result.update(
                keep=[_row(item, reasons) for item, reasons in plan.keep],
                remove=[_row(item, [reason]) for item, reason in plan.remove],
                removed=[],
                bytes_freed=0,
                refusals=plan.refusals,
                damaged=pruning_plan.damaged,
                failed_keys={},
            )

            def add(done: pruning.Pruned) -> None:
                # An error may end the prune later; the result then has what was removed before it.
                result["changed"] = result["changed"] or bool(done.removed)
                result["removed"] += done.removed
                result["bytes_freed"] += done.bytes_freed
                result["failed_keys"].update(done.failed)

            if module.check_mode:
                done = pruning.predict(store, pruning_plan)
                add(done)
            else:
                done = pruning.execute(store, pruning_plan, end=add)
                result["failed_keys"].update(done.failed)
            warn(module, [pruning.kept_versions(store.location(), done.bytes_kept)] if done.bytes_kept else [])
            result["changed"] = result["changed"] or bool(pruning_plan.leftovers)
            warn(module, plan.refusals)
            warn(module, ("retention ignores %s: its manifest cannot be used (%s)" % each for each in pruning_plan.damaged.items()))
            if module._diff:
                kept = sorted(item.key for item, _reasons in plan.keep)
                result["diff"] = difference(sorted(kept + result["removed"]), kept)
            if result["failed_keys"]:
                raise StoreError("cannot remove %d object(s); failed_keys has the reasons" % len(result["failed_keys"]), store.location())
            if plan.refusals:
                raise PruneRefusedError("retention was refused: %s" % some(plan.refusals, 3, "; "), store.location())


def _row(item: Item, reasons: t.Sequence[str]) -> t.Dict[str, t.Any]:
    row = {"key": item.key, "time": format_utc(item.time), "host": item.host, "job": item.job, "size": item.size}
    return dict(row, reasons=list(reasons))


if __name__ == "__main__":
    main()
