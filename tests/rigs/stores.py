# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stores as a job opens them, from a few options: the rest have their defaults."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.store_spec import STORE
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.opening import open_store

if t.TYPE_CHECKING:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.document import StoreOptions


def store_options(type: str, **given: t.Any) -> StoreOptions:
    """The options of a store with every default filled in. Unlike ``normalise_store``, it accepts wrong ones."""
    unknown = set(given) - set(STORE)
    assert not unknown, unknown
    return t.cast("StoreOptions", {name: dict(given, type=type).get(name, option.get("default")) for name, option in STORE.items()})


def new_store(type: str, **given: t.Any) -> t.Any:
    """A store of this type with these options."""
    return open_store(store_options(type, **given))
