# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job documents that an archive server prunes a host with."""

from __future__ import annotations

import posixpath
import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.store_spec import STORE
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources.opening import KINDS
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.stores import Document, name_of, port_of, uses

DOCUMENTATION = r"""
name: prune_documents
short_description: The job documents with which an archive server prunes for a host
version_added: 0.9.0
description:
  - The archive server prunes for a host that is append-only there. This filter takes the host's job documents and returns the documents
    for C(log-archive prune) on the server. They hold the names, the retention and the folder, and no secret.
  - It skips a job that has no store on this server, or that keeps everything there.
  - It is an error if a store logs in with this account but no store uses this address, because the host does not trust the address that
    the store uses. It is also an error if a store's C(append_only) differs from O(account.append_only), because then neither the host
    nor the server could prune.
options:
  _input:
    description: The job documents by name, as the lookup P(infra_ops.log_archive.jobs#lookup) returns them.
    type: dict
    required: true
  account:
    description: The host's account on the server.
    type: dict
    required: true
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      chroot:
        description: Its folder on the server.
        type: str
        required: true
      append_only:
        description: Whether the host may only add archives. If not, the server prunes nothing for it, and the result is empty.
        type: bool
        default: true
  address:
    description: The address of the server as the stores have it.
    type: str
    required: true
  port:
    description: The port of the server as the stores have it.
    type: int
    default: 22
  state:
    description: The folder on the server for catalog and locks.
    type: str
    required: true
  log:
    description: The file on the server for one JSON line per event.
    type: str
    required: true
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Show what the archive server prunes for this host
  vars:
    name: "{{ inventory_hostname | infra_ops.log_archive.sftp_account }}"
    account: "{{ {'name': name, 'chroot': '/srv/log-archive/' ~ name} }}"
  ansible.builtin.debug:
    msg: >-
      {{ lookup('infra_ops.log_archive.jobs') | infra_ops.log_archive.prune_documents(account=account, address='archive.example.com',
         state='/var/lib/log-archive-server/' ~ inventory_hostname, log='/var/log/log-archive-server/events.jsonl') }}
"""

RETURN = r"""
_value:
  description: Job documents for the server by name.
  type: dict
"""


def prune_documents(
    documents: t.Mapping[str, Document], account: Document, address: str, state: str, log: str, port: t.Any = STORE["port"]["default"]
) -> t.Dict[str, t.Any]:
    """See DOCUMENTATION."""
    append_only = bool(account.get("append_only", True))
    stores = _stores_here(documents, account["name"], address, int(port))
    _check_append_only(stores, append_only)
    made: t.Dict[str, t.Any] = {}
    for name, store in stores if append_only else []:
        document = documents[name]
        retention = store.get("retention") or document.get("retention")
        if not retention:
            continue
        server_job = made.setdefault(
            name,
            {
                "name": name,
                **({"was": document["was"]} if document.get("was") else {}),
                "host": document["host"],
                "select": _selection(document),
                # The server has no key: running the job there by mistake archives nothing.
                "encryption": {"keyring": "/nonexistent"},
                "stores": [],
                "state": state,
                "log": log,
            },
        )
        server_job["stores"].append(
            {
                "type": "file",
                "name": name_of(store),
                "path": _folder(account["chroot"], store["path"]),
                **({"layout": store["layout"]} if store.get("layout") else {}),
                "retention": retention,
            }
        )
    return made


def _stores_here(documents: t.Mapping[str, Document], account: str, address: str, port: int) -> t.List[t.Tuple[str, Document]]:
    """The stores of the account on this server, each with the name of its job."""
    stores = [(name, store) for name in sorted(documents) for store in documents[name]["stores"] if uses(store, account)]
    here = [(name, store) for name, store in stores if (store.get("host"), port_of(store)) == (address, port)]
    if stores and not here:
        job, store = stores[0]
        used = "%s:%s" % (store.get("host"), port_of(store))
        raise AnsibleFilterError(
            "the stores of %s do not use the archive server at %s:%s: the store of job %s uses %s. Set archive_server_address and"
            " archive_server_port to the host and port of the store" % (account, address, port, job, used)
        )
    return here


def _check_append_only(stores: t.Iterable[t.Tuple[str, Document]], append_only: bool) -> None:
    wrong = ["%s of job %s" % (name_of(store), name) for name, store in stores if bool(store.get("append_only")) != append_only]
    if wrong:
        raise AnsibleFilterError(
            "archive_server_append_only is %s, so append_only must be the same for the store %s"
            % (str(append_only).lower(), " and the store ".join(wrong))
        )


def _selection(document: Document) -> Document:
    """The document needs one. Pruning uses only its time zone, for the dates in names that other tools gave."""
    source = next(document[kind] for kind in KINDS if document.get(kind))
    selection = {"paths": source.get("paths") or ["/nonexistent"]}
    return dict(selection, timezone=source["timezone"]) if "timezone" in source else selection


def _folder(chroot: str, path: str) -> str:
    """The path on the server of a path of the store, which sees the chroot folder as /."""
    inside = posixpath.normpath("/" + path.lstrip("/"))
    if inside.split("/")[1] != "archive":
        raise AnsibleFilterError("the path of the store is %s, but on the archive server the host can write only below /archive" % path)
    return chroot + inside


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"prune_documents": prune_documents}
