# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The heads of ledgers that a store holds. Their names are enough to compare them: no object is read."""

from __future__ import annotations

import typing as t

from ..archive.naming import HeadName, head_of

if t.TYPE_CHECKING:
    from ..stores.base import Store


def heads_in(store: Store, host: str, job: str) -> t.List[HeadName]:
    """The heads that a store holds of one job, oldest first. Raises StoreError."""
    prefix = ("%s~%s~ledger-" if store.layout.is_flat else "%s/%s/ledger/") % (host, job)
    named = [head_of(item.key) for item in store.list(prefix)]
    return sorted(head for head in named if head is not None)
