#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: cloudtrail_validate
short_description: Validate that a CloudTrail trail is complete and unaltered
version_added: 0.9.0
description:
  - Validates the signed digests of a CloudTrail trail, and every log file that they name, in each account and region. Fails if anything is
    missing, changed or unexplained. RV(report.findings) lists the findings.
  - It finds more than C(aws cloudtrail validate-logs). Valid digests must cover the time from O(since) up to two hours ago without a gap.
    Also findings are missing digests at the end, a region without digests, a chain of digests that starts again, a log file that no digest
    names, a delete marker, and a replaced version.
  - With O(state), the module keeps the newest verified digest of each region and the public keys on the host that it runs on. The next
    validation continues from there and reports a finding if that digest is gone. Run the module on the controller
    (C(delegate_to=localhost)) to keep this record out of reach of the AWS accounts.
  - With O(store), it validates the archives of a job with the source C(cloudtrail) instead of the bucket. Then it asks AWS only for public
    keys, and with O(offline) for nothing.
  - Findings are reported again until a validation with a later O(since) has none.
options:
  name:
    description: The name of the record in O(state). With O(store) it is also the name of the job that made the archives.
    type: str
    default: trail
  since:
    description:
      - The start of the time to validate, such as V(2026-11-03) or V(2026-11-03T06:00Z). The default offset is UTC.
      - The default is the end of the last validation without a finding. Required for the first validation.
    type: str
  until:
    description: The end of the time to validate, in the format of O(since). The default is now.
    type: str
  trail:
    description: Only the digests of the trail with this name. By default those of every trail that delivers to the bucket.
    type: str
  trail_start:
    description:
      - When the trail, or its log file validation, was enabled or started again, in the format of O(since). The first digest of a region
        does not have to refer to an earlier digest if it begins within two hours of this time. That digest is kept in O(state).
    type: str
  state:
    description:
      - The folder for the record of verified digests and public keys. It is created with mode 0700. Without it, nothing is kept.
      - With the state folder of a job (C(/var/lib/log-archive)), the module shares the record with C(log-archive audit validate).
    type: path
  offline:
    description: Whether to use only the public keys in O(state) and not ask CloudTrail for others.
    type: bool
    default: false
  html:
    description: A file for the report as an HTML page. Each validation replaces it.
    type: path
  host:
    description: With O(store), only archives of the host with this name. By default archives of all hosts.
    type: str
  keyring:
    description: With O(store), the keyring (a folder of Fernet keys) of encrypted archives.
    type: path
  unencrypted:
    description: With O(store), whether to accept archives that are not encrypted. Anyone who can write to the store can make such archives.
    type: bool
    default: false
requirements:
  - cryptography (Python library on the host that runs the module)
  - pyrage (Python library on the same host), with O(identities) of the type age
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.cloudtrail
  - infra_ops.log_archive.trail_stores
  - infra_ops.log_archive.offline
attributes:
  check_mode:
    support: full
    details: The trail is validated. Nothing is kept in O(state), and O(html) is not written.
  diff_mode:
    support: N/A
    details: The module writes only the report O(html), which is new each time.
  idempotent:
    support: partial
    details: The record in O(state) does not count as a change. The report O(html) is new each time and does.
seealso:
  - module: infra_ops.log_archive.archive_verify
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Validate the last seven days of the trail, with the record of verified digests on the controller
  infra_ops.log_archive.cloudtrail_validate:
    bucket: example-trail
    organization: o-abcdef1234
    accounts: ['123456789012']
    regions: [eu-west-3, us-east-1]
    role_arn: arn:aws:iam::123456789012:role/trail-reader
    since: "{{ '%Y-%m-%d' | ansible.builtin.strftime(now(utc=true).timestamp() - 7 * 86400, utc=true) }}"
    state: /var/lib/log-archive-audit
    html: /srv/audit/cloudtrail.html
  delegate_to: localhost
  run_once: true

- name: Validate a month from the archives, without the bucket
  infra_ops.log_archive.cloudtrail_validate:
    bucket: example-trail
    name: trail
    since: '2026-10-01'
    until: '2026-11-01'
    state: /var/lib/log-archive
    offline: true
    keyring: /etc/log-archive/keyring
    store:
      type: sftp
      host: archive.example.com
      user: logs
      path: fleet
      private_key_file: /etc/log-archive/id_ed25519
  register: validated
"""

RETURN = r"""
report:
  description: The result of the validation. Times are in UTC.
  returned: always, even if the module fails because of findings
  type: dict
  contains:
    exit_code:
      description:
        - The exit status of C(log-archive audit validate) for this result. V(0) if everything is valid, V(4) if there is a finding, V(3) if
          a part could not be validated, V(1) if nothing could be validated.
      type: int
      returned: always
      sample: 0
    digests:
      description: Number of digests that were checked.
      type: int
      returned: always
      sample: 48
    valid_digests:
      description: Number of digests that are valid.
      type: int
      returned: always
      sample: 48
    logs:
      description: Number of log files that were checked.
      type: int
      returned: always
      sample: 512
    valid_logs:
      description: Number of log files that are valid.
      type: int
      returned: always
      sample: 512
    findings:
      description: What is missing, changed or unexplained.
      type: list
      elements: dict
      returned: always
      contains:
        word:
          description:
            - The kind of the finding. V(log_missing), V(log_changed), V(log_unreadable), V(log_unnamed), V(digest_missing),
              V(digest_changed), V(digest_moved), V(digest_unreadable), V(digest_unsigned), V(signature_wrong), V(key_missing),
              V(key_unusable), V(coverage_hole), V(tail_missing), V(tail_rewound), V(no_digests), V(chain_start_unknown), V(delete_marker),
              V(extra_version) or V(archive_damaged).
          type: str
          returned: always
          sample: log_missing
        account:
          description: The account.
          type: str
          returned: always
          sample: '123456789012'
        region:
          description: The region.
          type: str
          returned: always
          sample: eu-west-3
        trail:
          description: The name of the trail, if it is known.
          type: str
          returned: always
          sample: audit
        subject:
          description: The URL of the affected object, or the key of an archive. Empty for a finding about a time.
          type: str
          returned: always
          sample: s3://example-trail/AWSLogs/123456789012/CloudTrail/eu-west-3/2026/11/03/...
        detail:
          description: Further details.
          type: str
          returned: always
          sample: 2026-11-03T08:00:00Z to 2026-11-03T10:00:00Z
        start:
          description: The beginning of the affected time. V(null) for a finding about an object.
          type: str
          returned: always
          sample: '2026-11-03T08:00:00Z'
        end:
          description: The end of the affected time. V(null) for a finding about an object.
          type: str
          returned: always
          sample: '2026-11-03T10:00:00Z'
    chains:
      description: The digests of each trail in each account and region.
      type: list
      elements: dict
      returned: always
      contains:
        account:
          description: The account.
          type: str
          returned: always
          sample: '123456789012'
        region:
          description: The region.
          type: str
          returned: always
          sample: eu-west-3
        trail:
          description: The name of the trail.
          type: str
          returned: always
          sample: audit
        digests:
          description: Number of digests that were checked.
          type: int
          returned: always
          sample: 24
        valid_digests:
          description: Number of digests that are valid.
          type: int
          returned: always
          sample: 24
        logs:
          description: Number of log files that were checked.
          type: int
          returned: always
          sample: 256
        valid_logs:
          description: Number of log files that are valid.
          type: int
          returned: always
          sample: 256
        verified_until:
          description: The end of the newest valid digest.
          type: str
          returned: always
          sample: '2026-11-03T10:00:00Z'
    errors:
      description: Accounts and regions that could not be validated, or not completely, each with the reason.
      type: list
      elements: dict
      returned: always
      contains:
        account:
          description: The account.
          type: str
          returned: always
          sample: '123456789012'
        region:
          description: The region.
          type: str
          returned: always
          sample: eu-west-3
        kind:
          description: One word for the kind of the error, such as V(aws_denied), V(aws_throttled), V(aws_expired) or V(aws_region).
          type: str
          returned: always
          sample: aws_throttled
        error:
          description: The error.
          type: str
          returned: always
          sample: 'cloudtrail in eu-west-3: the server answered 400 ThrottlingException'
    notes:
      description: Checks that were skipped, such as that of versions if the credentials may not list them.
      type: list
      elements: str
      returned: always
      sample: []
    verified:
      description: The newest verified digest of each account, region and trail.
      type: dict
      returned: always
      sample: {}
"""

import datetime

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit import opening
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit.validate import Wanted, failure
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise_trail
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import audit_page, report_file
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import (
    argument_spec,
    holdings,
    reporting,
    time_of,
    unescaped,
    unescaped_paths,
    warn,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import OPENING, TRAIL, TRAIL_STORES


def main() -> None:
    arguments = {**argument_spec(TRAIL), **argument_spec(TRAIL_STORES), **argument_spec(OPENING)}
    arguments.update(
        name={"type": "str", "default": "trail"},
        since={"type": "str"},
        until={"type": "str"},
        trail={"type": "str"},
        trail_start={"type": "str"},
        state={"type": "path"},
        offline={"type": "bool", "default": False},
        html={"type": "path"},
        host={"type": "str"},
    )
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    params = module.params
    with reporting(module) as result:
        options = normalise_trail(unescaped_paths(params, TRAIL))
        state = None if params["state"] is None else unescaped(params["state"])
        job = opening.Job(params["name"], options, state, module.check_mode, params["offline"])
        since, until, begin = time_of(params["since"]), time_of(params["until"]), time_of(params["trail_start"])
        wanted = Wanted(datetime.datetime.now(datetime.timezone.utc), since, until, params["trail"], begin)
        if params["store"] is None:
            report = opening.validate_bucket(job, wanted)
        else:
            report = opening.validate_archives(job, holdings(params, params["name"]), wanted)
        result["report"] = report
        warn(module, report["notes"])
        if params["html"] is not None:
            result["changed"] = True
            if not module.check_mode:
                report_file.write(unescaped(params["html"]), audit_page.render([report]))
        error = failure(report)
        if error is not None:
            raise error


if __name__ == "__main__":
    main()
