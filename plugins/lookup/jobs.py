# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: jobs
short_description: The job documents of a host, merged from variables
version_added: 0.9.0
author:
  - infra_ops.log_archive contributors (@infra-ops)
description:
  - Merges the jobs that C(all), the groups and the host itself define, checks the result, and returns the job documents by name, for the
    modules M(infra_ops.log_archive.job_document) and M(infra_ops.log_archive.archive_run).
  - In Ansible, a variable of a host replaces a variable of the same name of a group. To merge jobs instead, each group and host uses its
    own name, C(log_archive_jobs__) with any ending.
  - The variable C(log_archive_jobs), and every C(log_archive_jobs__*) of the host, is a dict of job documents by name. They are merged in
    the alphabetical order of the names of the variables, C(log_archive_jobs) first; the later one wins. Dicts are merged key by key at
    every depth, lists are replaced, and V(null) removes a job or an option.
  - Each job starts from the dict C(log_archive_job_defaults), which starts from the files and folders of the host (see the notes). V(null)
    also removes an option that these set.
  - C(stores) of a job is a list. An element is the name of a store in the dict C(log_archive_stores); or a dict with such a C(name) and
    options that replace those of the store, such as C(retention); or a complete store with a C(type) and a C(name) that is not in
    C(log_archive_stores). Without C(stores) a job uses all of C(log_archive_stores).
  - The options of a job document are those of the option C(job) of M(infra_ops.log_archive.archive_run). C(encryption) may be V(none).
  - The error lists every mistake in every job of the host, with the job, the key and what is allowed. It shows no secret.
options:
  _terms:
    description: The plugin takes no terms. It reads the variables of the host.
    type: list
    elements: str
notes:
  - Without C(log_archive_jobs) and C(log_archive_jobs__*), and if all jobs are removed, it returns an empty dict.
  - It fills in these options if neither the job nor C(log_archive_job_defaults) gives them - C(name) is the job's key; C(host) is
    C(inventory_hostname); C(encryption.keyring), for a job that encrypts, is C(log_archive_keyring), by default
    C(/etc/log-archive/keyring); C(spool) is C(log_archive_spool), by default C(/var/spool/log-archive); C(state) is C(log_archive_state),
    by default C(/var/lib/log-archive); C(log) is the file C(events.jsonl) in C(log_archive_log_dir), by default C(/var/log/log-archive).
  - With C(log_archive_roots), a dict of lists of folders, each path of a job must lie below one of the folders of its option - C(state),
    C(spool), C(log), C(notify), C(stores) (of type C(file)) or C(select). The role C(runner) fixes them on the host.
  - Types are not converted. A template must return the type that the document needs.
seealso:
  - module: infra_ops.log_archive.job_document
  - module: infra_ops.log_archive.archive_run
"""

EXAMPLES = r"""
# group_vars/all.yml: for every host.
#
#   log_archive_stores:
#     local:
#       type: file
#       path: /var/backups/log-archive
#       retention:
#         keep_within: 7d
#     bucket:
#       type: s3
#       bucket: logs
#       region: eu-west-3
#   log_archive_job_defaults:
#     retention:
#       keep_within: 1y
#   log_archive_jobs:
#     syslog:
#       select:
#         paths: [/var/log/events]
#         patterns: ["syslog.%Y%m%d.%H"]
#         period: hour
#       schedule:
#         at: 5 past each hour
#     auth:
#       select:
#         paths: [/var/log]
#         patterns: ["auth.log-%Y%m%d"]
#         period: day
#
# group_vars/web.yml: web servers have one more job, and keep the syslog for a shorter time.
#
#   log_archive_jobs__web:
#     syslog:
#       retention:
#         keep_within: 90d
#     access:
#       select:
#         paths: [/var/log/nginx]
#         patterns: ["access.log-%Y%m%d"]
#         period: day
#       stores:
#         - local
#         - name: bucket
#           prefix: web
#
# host_vars/web2.yml: this host has its logs in another folder, and no job auth.
#
#   log_archive_jobs__web__web2:
#     access:
#       select:
#         paths: [/srv/log/nginx]
#     auth: null

- name: Show the jobs of web2
  ansible.builtin.debug:
    msg: "{{ lookup('infra_ops.log_archive.jobs') }}"

# access:
#   encryption:
#     keyring: /etc/log-archive/keyring
#   host: web2
#   log: /var/log/log-archive/events.jsonl
#   name: access
#   retention:
#     keep_within: 1y
#   select:
#     paths: [/srv/log/nginx]
#     patterns: ["access.log-%Y%m%d"]
#     period: day
#   spool: /var/spool/log-archive
#   state: /var/lib/log-archive
#   stores:
#     - name: local
#       type: file
#       path: /var/backups/log-archive
#       retention:
#         keep_within: 7d
#     - name: bucket
#       type: s3
#       bucket: logs
#       region: eu-west-3
#       prefix: web
# syslog:
#   encryption:
#     keyring: /etc/log-archive/keyring
#   host: web2
#   log: /var/log/log-archive/events.jsonl
#   name: syslog
#   retention:
#     keep_within: 90d
#   schedule:
#     at: 5 past each hour
#   select:
#     paths: [/var/log/events]
#     patterns: ["syslog.%Y%m%d.%H"]
#     period: hour
#   spool: /var/spool/log-archive
#   state: /var/lib/log-archive
#   stores:
#     - name: local
#       type: file
#       path: /var/backups/log-archive
#       retention:
#         keep_within: 7d
#     - name: bucket
#       type: s3
#       bucket: logs
#       region: eu-west-3
"""

RETURN = r"""
_raw:
  description:
    - One dict of the host's job documents by name, with the options that were given or filled in and no others.
    - C(query) returns it as the only element of a list.
  type: list
  elements: dict
"""

import typing as t

from ansible.plugins.lookup import LookupBase
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import documents, jobs


class LookupModule(LookupBase):
    """See the documentation above."""

    def run(self, terms: t.Sequence[t.Any], variables: t.Any = None, **kwargs: t.Any) -> t.List[t.Any]:
        """The job documents of the host that has these variables."""
        return documents.look_up(self, jobs.KIND, terms, variables, kwargs)
