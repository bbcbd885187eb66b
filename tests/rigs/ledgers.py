# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must be true of the ledger of a host, whatever came before."""

from __future__ import annotations

import collections
import contextlib
import typing as t

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.ledger import chain, file as files
from rigs.host import JOB, Host


def assert_whole(host: Host) -> chain.Contents:
    """The chain is whole, the catalog agrees with it, and no archive was entered twice. Returns the content of the ledger."""
    ledger = files.Ledger(str(host.state), JOB)
    contents, head = ledger.replay(signatures=True)
    entries = [chain.parse(line, "ledger") for line in ledger.lines()]
    places: t.Counter[t.Tuple[t.Any, ...]] = collections.Counter(
        (entry.op, entry.payload["store"], entry.payload["archive"]) for entry in entries if entry.op in ("put", "adopt", "prune")
    )
    assert not [place for place, count in places.items() if count > 1]
    with contextlib.closing(Catalog(str(host.state))) as catalog:
        known = catalog.entered.known(JOB)
        assert known is not None
        assert (known.ledger, known.seq) == (head.ledger, head.seq)
        assert not catalog.entered.owes_entries(JOB)
        assert catalog.entered.owed(JOB) == []
        for store in {store for store, _key in contents.held}:
            assert catalog.held(JOB, store).keys() == contents.of_store(store).keys()
    return contents
