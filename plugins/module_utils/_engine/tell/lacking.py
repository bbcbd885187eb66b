# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which archives the stores of a job lack although the job keeps them: a store that the job got later, or under another name.

A store should have what another store has verified and what its own retention would keep beside what it holds already. What retention
removed there is not lacking.
"""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime, timezone

from ..archive.naming import host_name
from ..state import catalog as catalogs, status

if t.TYPE_CHECKING:
    from ..config.document import JobDocument, JobStore
    from ..state.lacking import Lacked
    from ..state.status import StatusRow


def status_of(document: JobDocument, max_age: t.Optional[float] = None, now: t.Optional[datetime] = None) -> StatusRow:
    """The status of one job (see ``state.status.of``), with what its stores lack and what they hold under an earlier name of the host."""
    row = status.of(document, max_age, now)
    if catalogs.exists(document["state"]):
        with contextlib.closing(catalogs.reading(document)) as catalog:
            lacking = {store["name"]: lacking_in(document, store, catalog, now) for store in document["stores"]}
            others = catalog.counts.of_other_hosts(document["name"], host_name(document["host"]))
        # What is begun is in the backlog.
        found = {name: sum(not one.begun for one in lacked) for name, lacked in lacking.items()}
        status.add_lacking(row, {name: count for name, count in found.items() if count})
        status.add_other_hosts(row, others)
    return row


def all_lacked(document: JobDocument, row: StatusRow) -> t.List[Lacked]:
    """The archives behind ``lacking`` of the status of a job. Raises LogArchiveError if the catalog cannot be used."""
    names = row["lacking"].keys()
    if not names:
        return []
    with contextlib.closing(catalogs.reading(document)) as catalog:
        return [one for store in document["stores"] if store["name"] in names for one in lacking_in(document, store, catalog)]


def lacking_in(
    document: JobDocument,
    store: JobStore,
    catalog: catalogs.Catalog,
    now: t.Optional[datetime] = None,
    given_up: bool = False,
    start: t.Optional[datetime] = None,
    end: t.Optional[datetime] = None,
) -> t.List[Lacked]:
    """The archives that the store lacks and should have, oldest first.

    given_up: with those that the store was not to get (``max_backlog``). start, end: only those with a period that touches this time.
    Raises LogArchiveError if the catalog cannot be used.
    """
    job, name = document["name"], store["name"]
    found = catalog.lacking.of(job, name, given_up, start, end)
    policy = store["retention"] or document["retention"]
    if policy is None or not found:
        return found
    from ..holdings import prune
    from ..holdings.policy import read_policy

    rules = read_policy(policy)
    due: t.Set[str] = set()
    # Retention judges each archive among all that the store would have.
    everything = found if start is None and end is None else catalog.lacking.of(job, name, given_up)
    for host in {one.host for one in found}:
        starts = catalog.held_by(host, job, name).by_key()
        starts.update((one.key, one.start) for one in everything if one.host == host)
        due |= prune.due(starts, rules, now or datetime.now(timezone.utc))
    # What was begun may be there: it is brought to its end.
    return [one for one in found if one.begun or one.key not in due]
