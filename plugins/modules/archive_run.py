#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: archive_run
short_description: Run a whole archiving job
version_added: 0.9.0
description:
  - Runs a job in one call. It selects logs, packs and encrypts them, sends them to every store, verifies what arrived, applies retention,
    and returns the record of the run. The command C(log-archive run) does the same on the host, from cron or a timer.
  - A job has a catalog of its archives. A run also archives the periods that were missed since the last success, and completes an
    interrupted run.
  - If a store fails, the run continues with the others. An archive that a store could not take waits in O(job.spool) for the next run.
  - The module fails if the job failed or was only partly done. It returns RV(recap) in any case.
requirements:
  - cryptography (Python library on the host that runs the module)
  - boto3 (Python library on the host that runs the module, for S3)
  - paramiko (Python library on the host that runs the module, for SFTP)
notes:
  - The Python libraries isal and pybase64 make packing several times faster. The archives are the same without them.
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.job
attributes:
  check_mode:
    support: full
    details: Returns which logs the run would archive, and which archives it would send and prune. Nothing is written, not even to the
      catalog.
  diff_mode:
    support: full
    details: The keys of the archives that this run makes, and of those that it prunes.
  idempotent:
    support: full
    details: A log that is already archived is archived again only if it changes.
seealso:
  - module: infra_ops.log_archive.fernet_key
  - module: infra_ops.log_archive.archive_restore
  - module: infra_ops.log_archive.archive_info
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Ensure that there is a key
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

- name: Run the job from a document on the controller
  infra_ops.log_archive.archive_run:
    job: "{{ lookup('ansible.builtin.file', 'jobs/syslog.json') | from_json }}"
"""

RETURN = r"""
recap:
  description: The record of the run. In check mode what the run would do.
  returned: always, unless the job document is wrong or another run of the job is active
  type: dict
  contains:
    job:
      description: Name of the job.
      type: str
      returned: always
      sample: syslog
    host:
      description: Name of the host in the stores.
      type: str
      returned: always
      sample: web1
    check:
      description: Whether this was a dry run (check mode).
      type: bool
      returned: always
      sample: false
    started:
      description: When the run began, in UTC.
      type: str
      returned: always
      sample: "2024-01-12T13:05:00Z"
    seconds:
      description: How long the run took, in seconds.
      type: float
      returned: always
      sample: 1.42
    outcome:
      description: V(done), V(nothing to do), V(partly done), V(failed) or V(integrity failure).
      type: str
      returned: always
      sample: done
    exit_code:
      description: The exit code of C(log-archive run) for this outcome.
      type: int
      returned: always
      sample: 0
    changed:
      description: Whether the run changed anything.
      type: bool
      returned: always
      sample: true
    steps:
      description:
        - The steps of the run in order, by name (C(select) or C(fetch), C(pack), C(store NAME), C(prune NAME), C(notify) and others). Each
          has a C(state) (C(done), C(warning) or C(failed)) and the number of its C(errors) and C(warnings).
      type: dict
      returned: always
      sample: {"select": {"state": "done", "errors": 0, "warnings": 0}}
    archives:
      description: The archives that the run made or sent.
      type: list
      elements: dict
      returned: always
      contains:
        name:
          description: File name of the archive.
          type: str
          returned: always
          sample: syslog.20240112.12.tgz.fernet
        key:
          description: Path of the archive in a store.
          type: str
          returned: always
          sample: web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet
        state:
          description:
            - V(done), or V(spooled) if a store still awaits it. In check mode V(would be archived) or V(would be sent).
          type: str
          returned: always
          sample: done
        size:
          description: Size of the archive in bytes.
          type: int
          returned: if the archive exists
          sample: 2048
        sha256:
          description: SHA-256 of the archive.
          type: str
          returned: if the archive exists
        key_id:
          description: ID of the key that encrypts the archive. V(null) if it is not encrypted.
          type: str
          returned: if the archive exists
          sample: 0f1e2d3c4b5a6978
        sources:
          description: Paths of the logs in the archive.
          type: list
          elements: str
          returned: always
          sample: ["/var/log/events/syslog.20240112.12"]
        source_bytes:
          description: Total size of these logs in bytes.
          type: int
          returned: always
          sample: 65536
        stores:
          description:
            - The archive's copies by the name of the store. Each has a C(state) (C(verified) or C(pending)); if it was sent, its
              C(location), C(verified_by) (the level of verification), C(md5) and C(etag) as the store reports them,
              and C(attempts); else its C(error).
          type: dict
          returned: always
    missing:
      description: Periods that should have a log but have none.
      type: list
      elements: dict
      returned: always
      contains:
        start:
          description: Start of the period in UTC.
          type: str
          returned: always
          sample: "2024-01-12T12:00:00Z"
        end:
          description: End of the period in UTC.
          type: str
          returned: always
          sample: "2024-01-12T13:00:00Z"
    skipped:
      description: Logs that match but were skipped.
      type: list
      elements: dict
      returned: always
      contains:
        path:
          description: Path of the log.
          type: str
          returned: always
        reason:
          description: Why it was skipped.
          type: str
          returned: always
    open_since:
      description:
        - The start of the oldest period with a log that matches and could not be archived yet, in UTC. Later runs look back to it.
        - V(null) if there is no such log.
      type: str
      returned: always
    pruned:
      description:
        - The result of retention by the name of the store. Each has the number of archives that were C(kept), the keys of the archives that
          were C(removed), C(bytes_freed), the archives that could not be removed with the reason (C(failed)), and the C(refusals) of
          guards. In check mode it has a C(plan) with the reason why each archive is kept or removed.
      type: dict
      returned: always
    not_shipped:
      description:
        - By the name of the store, the archives that were not sent there because its retention would remove them at once. Each has the
          number of C(archives), the C(bytes) of their logs, the C(start) and the C(end) of their periods, and the C(policy). The logs are
          not deleted, even with O(job.delete_sources).
      type: dict
      returned: always
    given_up:
      description:
        - By the name of a store that is not required, the keys of the archives that it will not get, because more than its
          O(job.stores[].max_backlog) waited for it.
      type: dict
      returned: always
    sources_deleted:
      description: Paths of the logs that were deleted after every required store had them.
      type: list
      elements: str
      returned: always
    spool:
      description: The archives that wait in the spool for the next run.
      type: dict
      returned: always
      contains:
        archives:
          description: Number of archives.
          type: int
          returned: always
          sample: 0
        bytes:
          description: Their total size in bytes.
          type: int
          returned: always
          sample: 0
    ledger:
      description: The end of the ledger of the job. V(null) if the job has no ledger yet.
      type: dict
      returned: always
      contains:
        ledger:
          description: The ID of the ledger.
          type: str
          returned: always
          sample: 5b3c1f8c7d2e4a60b1f0c9d8e7a6b5c4
        seq:
          description: The number of its last entry.
          type: int
          returned: always
          sample: 41
    warnings:
      description: Warnings. The module shows them as warnings too.
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

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import places
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import JOB
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run.record import failure
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import (
    argument_spec,
    difference,
    hide_only_queries,
    reporting,
    unescaped_paths,
    warn,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import JOB_OPTION


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(JOB_OPTION), supports_check_mode=True)
    hide_only_queries(module, JOB_OPTION)
    with reporting(module) as result:
        document = normalise(unescaped_paths(module.params["job"], JOB), "job")
        places.check(document, subject="job")
        record = job.run(document, check=module.check_mode)
        result.update(recap=record, changed=record["changed"])
        warn(module, record["warnings"])
        if module._diff:
            pruned = [key for store in record["pruned"].values() for key in store["removed"]]
            result["diff"] = difference(sorted(set(pruned)), [archive["key"] for archive in record["archives"]])
        error = failure(record)
        if error is not None:
            raise error


if __name__ == "__main__":
    main()
