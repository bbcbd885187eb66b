# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the catalog of a job records of its stores, for the commands that compare the two."""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime, timezone

if t.TYPE_CHECKING:
    from ..config.document import JobDocument, JobStore
    from ..holdings.trust import Record


@contextlib.contextmanager
def records(document: JobDocument, stores: t.Iterable[JobStore]) -> t.Iterator[t.Dict[str, Record]]:
    """What the catalog records of each store, by its name; nothing if there is no catalog. It stays open as long as the context lasts."""
    from ..state import catalog as catalogs

    if not catalogs.exists(document["state"]):
        yield {}
        return
    with contextlib.closing(catalogs.Catalog(document["state"])) as catalog:
        yield {store["name"]: _record(document, store, catalog) for store in stores}


def _record(document: JobDocument, store: JobStore, catalog: t.Any) -> Record:
    from ..archive.naming import host_name
    from ..holdings import prune, retention
    from ..holdings.trust import Record

    job, name = document["name"], store["name"]
    policy = store["retention"] or document["retention"]
    due: t.Container[str] = ()
    if policy is not None:
        due = prune.due(
            catalog.held_by(host_name(document["host"]), job, name).by_key(), retention.read_policy(policy), datetime.now(timezone.utc)
        )
    return Record(lambda: catalog.held(job, name), due)
