# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stores of job documents, as a playbook gives them: without the defaults that the engine fills in."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.store_spec import STORE

Document = t.Mapping[str, t.Any]


def name_of(store: Document) -> str:
    """The name of a store."""
    return str(store.get("name") or store["type"])


def port_of(store: Document) -> int:
    """The port of an SFTP store."""
    return int(store.get("port") or STORE["port"]["default"])


def uses(store: Document, account: str) -> bool:
    """Whether a store is that of an account on the archive server; none is of no account."""
    return bool(account) and store["type"] == "sftp" and store.get("user") == account
