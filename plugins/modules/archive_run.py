#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: archive_run
short_description: Run a whole archiving job
version_added: 0.1.0
description:
  - Does in one call what a job document says - selects logs, packs and encrypts them, sends them to every store, verifies what arrived,
    applies retention, and returns a recap. The command C(log-archive run) does the same on the host from cron or a timer.
  - A job has a catalog of what it has archived. It also archives the periods that earlier runs have missed since the last success, and
    completes what an interrupted run has left.
  - Each store fails by itself. An archive that a store could not take waits in O(job.spool) for the next run.
  - The module fails where the job did not come to its end, also where it came to a part of it. The recap is returned in any case.
requirements:
  - cryptography (Python library on the host that runs the module)
  - boto3 (Python library on the host that runs the module, for S3)
  - paramiko (Python library on the host that runs the module, for SFTP)
notes:
  - With the Python libraries isal and pybase64 packing is several times faster; the archives are the same.
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.job
attributes:
  check_mode:
    support: full
    details: Says which logs would be archived and which archives sent and pruned. Nothing is written, not even to the catalog.
  diff_mode:
    support: full
    details: The keys of the archives that this run makes, and of those that it prunes.
  idempotent:
    support: full
    details: What is archived already is not archived again, until a log changes or the next period ends.
seealso:
  - module: infra_ops.log_archive.fernet_key
  - module: infra_ops.log_archive.archive_restore
  - module: infra_ops.log_archive.archive_info
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Make sure that there is a key
  infra_ops.log_archive.fernet_key:
    keyring: /etc/log-archive/keyring

- name: Archive the hourly syslog to this host and to a bucket
  infra_ops.log_archive.archive_run:
    job:
      name: syslog
      select:
        paths:
          - /var/log/events
        patterns:
          - syslog.%Y%m%d.%H
        period: hour
        timezone: Europe/Paris
        catch_up: 7d
      encryption:
        keyring: /etc/log-archive/keyring
      stores:
        - type: file
          path: /var/backups/log-archive
          retention:
            keep_within: 7d
        - type: s3
          bucket: logs
          prefix: fleet
          region: eu-west-3
      retention:
        keep_within: 1y
  register: archived

- name: Run the job that a file on the controller describes
  infra_ops.log_archive.archive_run:
    job: "{{ lookup('ansible.builtin.file', 'jobs/syslog.json') | from_json }}"
"""

RETURN = r"""
recap:
  description: What the run did. In check mode what it would do.
  returned: always, unless the job document is wrong or another run of the job is under way
  type: dict
  contains:
    job:
      description: Name of the job.
      type: str
      returned: always
      sample: syslog
    host:
      description: Name of the host as stores have it.
      type: str
      returned: always
      sample: web1
    check:
      description: Whether it ran in check mode.
      type: bool
      returned: always
      sample: false
    started:
      description: When it began, in UTC.
      type: str
      returned: always
      sample: "2024-01-12T13:05:00Z"
    seconds:
      description: How long it took.
      type: float
      returned: always
      sample: 1.42
    outcome:
      description: V(done), V(nothing to do), V(partly done), V(failed) or V(integrity failure).
      type: str
      returned: always
      sample: done
    exit_code:
      description: The status of the command C(log-archive run) for this outcome.
      type: int
      returned: always
      sample: 0
    changed:
      description: Whether anything was changed.
      type: bool
      returned: always
      sample: true
    steps:
      description:
        - What was done, in its order; by the name of the step (C(select) or C(fetch), C(pack), C(store NAME), C(prune NAME), C(notify) and
          others) its C(state) (C(done), C(warning) or C(failed)) and how many C(errors) and C(warnings) it had.
      type: dict
      returned: always
      sample: {"select": {"state": "done", "errors": 0, "warnings": 0}}
    archives:
      description:
        - The archives that were made or sent; C(name), C(key), C(state) (C(done), C(spooled), in check mode C(would be archived) or
          C(would be sent)), C(size), C(sha256), C(key_id), C(sources), C(source_bytes), and C(stores), by the name of the store C(state),
          C(location), C(verified_by), C(md5), C(etag), C(attempts) or C(error).
      type: list
      elements: dict
      returned: always
    missing:
      description: Periods that should have a log and have none; C(start) and C(end) in UTC.
      type: list
      elements: dict
      returned: always
    skipped:
      description: Logs that were left out; C(path) and C(reason).
      type: list
      elements: dict
      returned: always
    pruned:
      description:
        - By the name of the store how many archives were C(kept), which were C(removed), C(bytes_freed), and C(refusals) of guards. In
          check mode C(plan) says for each archive why it stays or goes.
      type: dict
      returned: always
    sources_deleted:
      description: Paths of the logs that were deleted after every required store had them.
      type: list
      elements: str
      returned: always
    spool:
      description: C(archives) and C(bytes) that wait in the spool.
      type: dict
      returned: always
      sample: {"archives": 0, "bytes": 0}
    warnings:
      description: What deserves attention; the module shows it as warnings too.
      type: list
      elements: str
      returned: always
      sample: []
    errors:
      description: What failed, and what to do about it.
      type: list
      elements: str
      returned: always
      sample: []
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import EXIT_DONE, LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import JOB
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import (
    JOB_OPTION,
    argument_spec,
    difference,
    reporting,
    unescaped_paths,
    warn,
)


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(JOB_OPTION), supports_check_mode=True)
    with reporting(module) as result:
        recap = job.run(normalise(unescaped_paths(module.params["job"], JOB), "job"), check=module.check_mode)
        result.update(recap=recap, changed=recap["changed"])
        warn(module, recap["warnings"])
        if module._diff:
            pruned = [key for store in recap["pruned"].values() for key in store["removed"]]
            result["diff"] = difference(sorted(set(pruned)), [archive["key"] for archive in recap["archives"]])
        if recap["exit_code"] != EXIT_DONE:
            raise _failure(recap)


def _failure(recap: t.Dict[str, t.Any]) -> LogArchiveError:
    waiting = recap["spool"]["archives"]
    error = LogArchiveError(
        "%s (%s)" % (recap["outcome"], "; ".join(recap["errors"]) or "archives wait for a store"),
        "job " + recap["job"],
        "%d archive(s) wait in the spool for the next run" % waiting if waiting else None,
    )
    error.exit_code = recap["exit_code"]
    return error


if __name__ == "__main__":
    main()
