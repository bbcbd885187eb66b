# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archives of a job with what its catalog records of them, for the commands that compare the two or read them."""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime, timezone

from .options import chosen_stores, host_of, is_foreign, job_of, offline_of

if t.TYPE_CHECKING:
    import argparse

    from ..config.document import JobDocument, JobStore, RetentionOptions
    from ..holdings.stock import Holdings
    from ..holdings.trust import Choice, Part, Record
    from ..state.catalog import Catalog
    from ..state.held import Held


@contextlib.contextmanager
def records(document: JobDocument, stores: t.Iterable[JobStore], host: t.Optional[str] = None) -> t.Iterator[t.Dict[str, Record]]:
    """What the catalog records of each store, by its name, and what the ledger has of it. The catalog stays open as long as the context.

    host: the host to read the archives of; None is every host.
    """
    from ..holdings.trust import NO_RECORD
    from ..run.signed import Signed
    from ..state import catalog as catalogs
    from ..state.rewraps import manifests_of

    signed = Signed(document)

    def of_store(store: JobStore, record: Record) -> Record:
        name = store["name"]
        return record._replace(signed=signed.of_store(name), exchanged=manifests_of(document["state"], document["name"], name))

    if not catalogs.exists(document["state"]):
        yield {store["name"]: of_store(store, NO_RECORD) for store in stores}
        return
    with contextlib.closing(catalogs.reading(document)) as catalog:
        yield {store["name"]: of_store(store, _record(document, store, catalog, host)) for store in stores}


def holdings_of(document: JobDocument, options: argparse.Namespace, stack: contextlib.ExitStack) -> Holdings:
    """The archives of a job that the options select, with their stores and keys. stack: keeps the catalog open."""
    from ..crypto.envelope import encrypts
    from ..holdings.stock import Holdings

    encryption = document["encryption"]
    chosen = chosen_stores(document, options)
    job, was = job_of(document, options)
    # The catalog knows only what this host has put into the stores of the job.
    recorded = {} if is_foreign(options) else stack.enter_context(records(document, chosen, host_of(document, options)))
    return Holdings(
        chosen,
        host_of(document, options),
        job,
        encryption["keyring"],
        options.unencrypted or not encrypts(encryption),
        recorded,
        was,
        offline_of(options),
    )


def _record(document: JobDocument, store: JobStore, catalog: Catalog, host: t.Optional[str]) -> Record:
    from ..archive.naming import folder_keys, host_name
    from ..holdings.trust import Record
    from ..run.part import part_of

    job, name = document["name"], store["name"]
    policy = store["retention"] or document["retention"]
    own = host_name(document["host"])
    held = catalog.held_by(own, job, name)
    due: t.Container[str] = () if policy is None else _Due(held, policy)

    def part(choice: Choice) -> t.Optional[Part]:
        return part_of(store, folder_keys(own, document), held, catalog.listings.last(job, name), choice) if host == own else None

    return Record(lambda: catalog.held(job, name), due, part, lambda: catalog.etags(job, name), compared=catalog.compared(job, name))


class _Due:
    """The archives that retention would remove now. The plan is made when it is first asked for."""

    def __init__(self, held: Held, policy: RetentionOptions) -> None:
        self._held = held
        self._policy = policy
        self._keys: t.Optional[t.Set[str]] = None

    def __contains__(self, key: object) -> bool:
        if self._keys is None:
            from ..holdings import prune
            from ..holdings.policy import read_policy

            self._keys = prune.due(self._held.by_key(), read_policy(self._policy), datetime.now(timezone.utc))
        return key in self._keys
