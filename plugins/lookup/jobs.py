# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: jobs
short_description: The job documents of a host, merged from variables
version_added: 0.1.0
author:
  - infra_ops.log_archive contributors (@infra-ops)
description:
  - Merges what C(all), groups and the host itself say about the host's jobs, checks the result, and returns the job documents by their
    names, as the module M(infra_ops.log_archive.job_document) writes them and M(infra_ops.log_archive.archive_run) takes them.
  - No variable needs to repeat what another one says. Ansible lets a host's variable replace a group's of the same name, so each place uses
    a name of its own, C(log_archive_jobs__) and whatever follows.
  - The variable C(log_archive_jobs), and every C(log_archive_jobs__*) that the host has, is a dict of job documents by the names of the
    jobs. They are merged in the alphabetical order of the variables' names, C(log_archive_jobs) first. What comes later wins. Dicts are
    merged key by key at every depth, lists are replaced, and V(null) takes a job, or an option, away.
  - Under each job lies the dict C(log_archive_job_defaults), and under that what tells where things are, see the list below. V(null) takes
    these away too.
  - C(stores) of a job is a list. An element is the name of a store in the dict C(log_archive_stores); or a dict with such a C(name) and
    options that go over that store's, such as C(retention); or, with a C(type) and a C(name) that is not there, a whole store of its own.
    Without C(stores) a job uses all of C(log_archive_stores).
  - The options of a job document are those of the option C(job) of M(infra_ops.log_archive.archive_run). C(encryption) may be V(none).
  - Every mistake of every job of the host is told at once, with the job, the key and what is allowed. No secret is told.
options:
  _terms:
    description: There are none. The plugin reads the variables of the host.
    type: list
    elements: str
notes:
  - Without C(log_archive_jobs) and C(log_archive_jobs__*), and where all jobs are taken away, it is an empty dict.
  - These options are filled in where no job and no C(log_archive_job_defaults) gives them - C(name) is the job's key; C(host) is
    C(inventory_hostname); C(encryption.keyring), unless nothing is encrypted, is C(log_archive_keyring), by default
    C(/etc/log-archive/keyring); C(spool) is C(log_archive_spool), by default C(/var/spool/log-archive); C(state) is C(log_archive_state),
    by default C(/var/lib/log-archive); C(log) is the file C(events.jsonl) in C(log_archive_log_dir), by default C(/var/log/log-archive).
  - Types are not converted. What a template makes must have the type that the document wants.
seealso:
  - module: infra_ops.log_archive.job_document
  - module: infra_ops.log_archive.archive_run
"""

EXAMPLES = r"""
# group_vars/all.yml: what holds for every host.
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
# group_vars/web.yml: web servers have another job, and keep less of the syslog.
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
# host_vars/web2.yml: this one has its logs elsewhere, and no job auth.
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
    - One dict of the host's job documents by their names. They hold what was given and what was filled in, and no option that nobody gave.
    - With C(query) it is the only element of a list.
  type: list
  elements: dict
"""

import typing as t

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import jobs


class LookupModule(LookupBase):
    """See the documentation above."""

    def run(self, terms: t.Sequence[t.Any], variables: t.Any = None, **kwargs: t.Any) -> t.List[t.Any]:
        """The documents of the host whose variables these are."""
        self.set_options(var_options=variables, direct=kwargs)
        if terms:
            raise AnsibleLookupError("The lookup infra_ops.log_archive.jobs takes no terms.")
        wanted = [*jobs.names(variables), jobs.DEFAULTS, jobs.STORES, *jobs.PLACES, "inventory_hostname"]
        given = {name: _plain(self._templar.template(variables[name])) for name in wanted if name in variables}
        try:
            return [jobs.effective(given.pop("inventory_hostname"), given)]
        except ConfigError as error:
            raise AnsibleLookupError(str(error)) from None


def _plain(value: t.Any) -> t.Any:
    """The value without Ansible's tags and lazy containers, as JSON has it."""
    if isinstance(value, t.Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return next((kind(value) for kind in (str, bool, int, float) if isinstance(value, kind)), value)
