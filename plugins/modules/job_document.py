#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: job_document
short_description: Manage the job documents of the command log-archive
version_added: 0.9.0
description:
  - Writes a job document to the file C(<folder>/<name>.json), or removes it. The command C(log-archive) reads it from there.
  - The document is checked first, in the same way as by the command, and the file is replaced atomically. If the document has
    a mistake, the file does not change.
  - The file begins with C(// Managed by Ansible) and the name of this collection. Use this line to find the files that Ansible has written.
options:
  folder:
    description: The folder of job documents. It must exist.
    type: path
    default: /etc/log-archive/jobs.d
  purge:
    description:
      - With O(jobs), remove the other documents in O(folder) that Ansible has written. Documents that operators wrote stay.
    type: bool
    default: false
  name:
    description: The name of the job. Required with O(state=absent). Otherwise it is O(job.name).
    type: str
  state:
    description: Whether the document exists.
    type: str
    choices: [present, absent]
    default: present
  mode:
    description:
      - The permissions of the file. A document that contains a secret is refused if other users could read it.
    type: raw
    default: "0640"
notes:
  - For archives without encryption, set O(job.encryption) to a dict with O(job.encryption.format=none).
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.document
  - ansible.builtin.files
attributes:
  check_mode:
    support: full
    details: The folder does not have to exist yet.
  diff_mode:
    support: full
    details: Secrets and unknown options are shown as C(********).
  idempotent:
    support: full
seealso:
  - plugin: infra_ops.log_archive.jobs
    plugin_type: lookup
  - module: infra_ops.log_archive.archive_run
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Write the documents of all jobs of the host
  infra_ops.log_archive.job_document:
    jobs: "{{ lookup('infra_ops.log_archive.jobs').values() }}"
    purge: true
    group: log-archive-operators
    mode: "0660"

- name: Remove a job
  infra_ops.log_archive.job_document:
    name: syslog
    state: absent

- name: Find the documents that Ansible has written
  ansible.builtin.find:
    paths: /etc/log-archive/jobs.d
    patterns: "*.json"
    contains: "// Managed by Ansible .*"
  register: written
"""

RETURN = r"""
path:
  description: The path of the file.
  returned: success, without O(jobs)
  type: str
  sample: /etc/log-archive/jobs.d/syslog.json
written:
  description: With O(jobs), the files that changed, or in check mode would change.
  returned: success
  type: list
  elements: str
  sample: [/etc/log-archive/jobs.d/syslog.json]
removed:
  description: With O(jobs), the files that were removed, or in check mode would be removed.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._documents import Kind, apply, arguments, constraints
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import DEFAULT_CONFIG
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import set_up
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import hide_only_queries, reporting
from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import DOCUMENT_OPTION

JOB = Kind("job", DEFAULT_CONFIG, DOCUMENT_OPTION, normalise, set_up.JOBS)


def main() -> None:
    module = AnsibleModule(argument_spec=arguments(JOB), add_file_common_args=True, supports_check_mode=True, **constraints(JOB))
    hide_only_queries(module, DOCUMENT_OPTION)
    with reporting(module) as result:
        apply(module, JOB, result)


if __name__ == "__main__":
    main()
