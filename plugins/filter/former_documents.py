# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Job documents for archives of a host or job that the inventory no longer has."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.stores import Document, name_of, uses

DOCUMENTATION = r"""
name: former_documents
short_description: Job documents for the archives of a host or job that the inventory no longer has
version_added: 0.9.0
description:
  - Takes the job documents of a host that can read the stores, and returns documents with these stores for archives that have other names
    there.
  - The documents are for the filter P(infra_ops.log_archive.restore_jobs#filter). They contain only what a restore needs. The
    options of the stores may contain secrets.
options:
  _input:
    description: The job documents by name, as the lookup P(infra_ops.log_archive.jobs#lookup) returns them.
    type: dict
    required: true
  host:
    description: The name of the host in the archives. Empty means that of each document.
    type: str
    default: ""
  job:
    description: >-
      The name of the job in the archives. The result is one document, with the encryption of the first document and the stores of all.
      Empty means the names of the documents.
    type: str
    default: ""
  store:
    description: The store to which O(prefix) applies, by its name.
    type: str
    default: ""
  prefix:
    description: The prefix in the bucket, or the folder, in which O(store) has the archives. Empty means that of the document.
    type: str
    default: ""
  account:
    description: The account of O(host) on the archive server, which replaces O(own_account). Empty means none.
    type: str
    default: ""
  own_account:
    description: The account on the archive server in the documents.
    type: str
    default: ""
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Show the names of the stores that may have archives of a host that no longer exists
  ansible.builtin.debug:
    msg: >-
      {{ (lookup('infra_ops.log_archive.jobs') | infra_ops.log_archive.former_documents(host='web9', job='syslog')).syslog.stores
         | map(attribute='name') }}
"""

RETURN = r"""
_value:
  description: The documents by name, each with C(name), C(was), C(host), C(encryption) and C(stores).
  type: dict
"""


def former_documents(
    documents: t.Mapping[str, Document],
    host: str = "",
    job: str = "",
    store: str = "",
    prefix: str = "",
    account: str = "",
    own_account: str = "",
) -> t.Dict[str, t.Dict[str, t.Any]]:
    """See DOCUMENTATION."""
    found: t.Dict[str, t.Dict[str, t.Any]] = {}
    for name, document in sorted(documents.items()):
        given = {
            "name": job or name,
            "was": [] if job else document.get("was", []),
            "host": host or document["host"],
            "encryption": document["encryption"],
            "stores": [],
        }
        made = found.setdefault(job or name, given)
        for each in document["stores"]:
            options = dict(each)
            if prefix and name_of(each) == store:
                options["prefix" if each["type"] == "s3" else "path"] = prefix
            if account and uses(each, own_account):
                options["user"] = account
            if name_of(options) not in map(name_of, made["stores"]):
                made["stores"].append(options)
    return found


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"former_documents": former_documents}
