# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archives that are removed with a host, and those that no other store keeps."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.stores import Document, uses

DOCUMENTATION = r"""
name: removable_archives
short_description: The archives that are lost if a host's archives are removed
version_added: 0.9.0
description:
  - Takes the job documents of a host. Returns the folders of archives that Ansible can remove, which are those on the host itself and in
    its account on the archive server, and the jobs that would lose archives.
options:
  _input:
    description: The job documents by name, as the lookup P(infra_ops.log_archive.jobs#lookup) returns them.
    type: dict
    required: true
  host:
    description: The name of the host in the inventory.
    type: str
    required: true
  account:
    description: The account of the host on the archive server, if it is removed with its archives. Empty if it is not removed.
    type: str
    default: ""
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Show the folders with archives of this host
  ansible.builtin.debug:
    msg: "{{ (lookup('infra_ops.log_archive.jobs') | infra_ops.log_archive.removable_archives(inventory_hostname)).folders }}"
"""

RETURN = r"""
_value:
  description: The archives.
  type: dict
  contains:
    folders:
      description:
        - The folders with archives in the host's own stores, sorted. Usually this is the whole folder of the host. For a job with another
          C(host) it is only the folder of that job, because the folder of that host may contain archives of other hosts.
      type: list
      elements: str
    last_copies:
      description: The jobs that have archives only in stores that are removed.
      type: list
      elements: str
    append_only:
      description: The jobs with archives in an append-only store that is removed.
      type: list
      elements: str
"""


def removable_archives(documents: t.Mapping[str, Document], host: str, account: str = "") -> t.Dict[str, t.List[str]]:
    """See DOCUMENTATION."""
    folders = set()
    last_copies = []
    append_only = []
    for name, document in sorted(documents.items()):
        own = [store for store in document["stores"] if store["type"] == "file"]
        for store in own:
            parts = [store["path"].rstrip("/"), document["host"]] + ([name] if document["host"] != host else [])
            folders.add("/".join(parts))
        removed = own + [store for store in document["stores"] if uses(store, account)]
        if removed and len(removed) == len(document["stores"]):
            last_copies.append(name)
        if any(store.get("append_only") for store in removed):
            append_only.append(name)
    return {"folders": sorted(folders), "last_copies": last_copies, "append_only": append_only}


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"removable_archives": removable_archives}
