# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stores that a host can restore each job of another host from."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.stores import Document, name_of, port_of, uses

DOCUMENTATION = r"""
name: restore_jobs
short_description: The stores that a host can restore each job from
version_added: 0.9.0
description:
  - Takes the job documents of the host that wrote the logs and returns, for each job, what the module
    M(infra_ops.log_archive.archive_restore) needs on the host that gets them.
  - A store of type V(file) is a folder of the host that wrote the logs. Another host cannot use it, unless O(store) names it because the
    folder is shared.
  - The options of the stores may hold secrets.
options:
  _input:
    description: The job documents by name, as the lookup P(infra_ops.log_archive.jobs#lookup) returns them.
    type: dict
    required: true
  at_home:
    description: Whether the logs are restored on the host that wrote them.
    type: bool
    default: false
  store:
    description: Only this store, by its name. Empty means all.
    type: str
    default: ""
  account:
    description: The account of the host that wrote the logs on the archive server, if another host must log in to it. Empty means none.
    type: str
    default: ""
  login:
    description: Options that replace those of the stores that use O(account). Without them these stores are skipped.
    type: dict
    default: {}
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Show the names of the stores that the jobs of this host can be restored from on another host
  ansible.builtin.debug:
    msg: >-
      {{ lookup('infra_ops.log_archive.jobs') | infra_ops.log_archive.restore_jobs | map(attribute='stores') | flatten
         | map(attribute='name') | unique }}
"""

RETURN = r"""
_value:
  description: One dict for each job that has such a store, sorted by name.
  type: list
  elements: dict
  contains:
    job:
      description: The name of the job.
      type: str
    was:
      description: The earlier names of the job.
      type: list
      elements: str
    host:
      description: The name of the host in the archives.
      type: str
    keyring:
      description: The keyring of the host that wrote the logs. V(none) if the job does not encrypt, or has none.
      type: str
    unencrypted:
      description: Whether the job does not encrypt.
      type: bool
    for_recipients:
      description: Whether the job encrypts for recipients.
      type: bool
    stores:
      description: The options of the stores, in the order of the job document. Empty if every store needs a O(login) and there is none.
      type: list
      elements: dict
    on_server:
      description: The address of the archive server, C(host) and C(port), for each store that uses O(account).
      type: list
      elements: dict
"""


NOT_FOR_RESTORE = ("required", "retention", "append_only")
"""Options of a job's store that the store itself does not have."""


def restore_jobs(
    documents: t.Mapping[str, Document], at_home: bool = False, store: str = "", account: str = "", login: t.Optional[Document] = None
) -> t.List[t.Dict[str, t.Any]]:
    """See DOCUMENTATION."""
    jobs = []
    for name, document in sorted(documents.items()):
        stores: t.List[Document] = []
        on_server: t.List[Document] = []
        for each in document["stores"]:
            if (name_of(each) != store) if store else (each["type"] == "file" and not at_home):
                continue
            options = {option: value for option, value in each.items() if option not in NOT_FOR_RESTORE}
            if uses(each, account):
                on_server.append({"host": each["host"], "port": port_of(each)})
                if not login:
                    continue
                options.update(login)
            stores.append(options)
        if stores or on_server:
            unencrypted = document["encryption"].get("format") == "none"
            jobs.append(
                {
                    "job": name,
                    "was": document.get("was", []),
                    "host": document["host"],
                    "keyring": None if unencrypted else document["encryption"].get("keyring"),
                    "unencrypted": unencrypted,
                    "for_recipients": bool(document["encryption"].get("recipients")),
                    "stores": stores,
                    "on_server": on_server,
                }
            )
    return jobs


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"restore_jobs": restore_jobs}
