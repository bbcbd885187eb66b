# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copy the head of the ledger to each store after a run that changed it: a ledger that is cut later no longer contains it.

Each head is an object of its own, so that this works in stores that never overwrite. Only the last ones stay, where the host may delete.
"""

from __future__ import annotations

import os
import typing as t

from ..archive.naming import HeadName, head_key
from ..base.durable import write_atomically
from ..base.errors import LogArchiveError
from ..holdings.send import digests_of_file
from ..state.folders import held
from ..state.ledger.chain import BrokenLedgerError, canonical, head_document
from ..state.ledger.file import Ledger
from ..state.ledger.parts import name_of

if t.TYPE_CHECKING:
    from .context import Context

KEPT = 10
"""Heads that stay in each store."""


def send(run: Context) -> None:
    """Copy the head to each store that has archives and not the head. A store that fails gets it from the next run."""
    run.recorder.begin("copy the head of the ledger", listed=False)
    try:
        ledger = Ledger(run.document["state"], run.job)
        head = ledger.head()
        # Who sends a head holds the lock of the job: the ledger has not grown since.
        line = ledger.last_line()
        if head is None or line is None:
            raise BrokenLedgerError("the ledger is missing", ledger.path)
        name = name_of(run.job, ".sent")
        with held(run.document["state"]) as state:
            write_atomically(name, canonical(head_document(head, line, run.host, run.job)), dir_fd=state)
    except (LogArchiveError, OSError) as error:
        if run.ledger_error is None:
            run.recorder.fail(error if isinstance(error, LogArchiveError) else LogArchiveError("cannot copy the head: %s" % error.strerror))
        return
    sent = run.catalog.entered.sent(run.job)
    path = os.path.join(run.document["state"], name)
    for store_name in run.catalog.entered.owed(run.job):
        if store_name in run.stores.dead or store_name not in run.stores.options:
            continue
        try:
            store = run.stores.open(store_name)
            key = head_key(run.host, run.job, HeadName(head.seq, head.ledger, head.sha256), store.layout.is_flat)
            store.put(path, key, digests_of_file(path))
            run.catalog.entered.set_sent(run.job, store_name, head.seq, key)
            _remove_old(run, store_name, [*sent.get(store_name, ()), key])
        except (LogArchiveError, OSError) as error:
            run.recorder.warn("store %s: cannot copy the head of the ledger there: %s" % (store_name, error))


def _remove_old(run: Context, name: str, keys: t.Sequence[str]) -> None:
    old = keys[:-KEPT]
    if old and not run.stores.options[name]["append_only"]:
        # One that stays does no harm.
        run.stores.open(name).delete(old)
    for key in old:
        run.catalog.entered.forget_head(run.job, name, key)
