# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the catalog of a job records of its stores, for the commands that compare the two."""

from __future__ import annotations

import contextlib
import time
import typing as t
from datetime import datetime, timedelta, timezone

if t.TYPE_CHECKING:
    from ..config.document import JobDocument, JobStore, RetentionOptions
    from ..holdings.trust import Choice, Part, Record
    from ..state.catalog import Catalog
    from ..state.held import Held
    from ..state.listings import Listing

LAST_PERIODS = 30
"""Periods in which the latest archives are searched. The newest ones may be damaged."""
MOST_TIME = timedelta(days=366)
"""Of a range, or of one period, that is listed day by day."""


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


def _record(document: JobDocument, store: JobStore, catalog: Catalog, host: t.Optional[str]) -> Record:
    from ..archive.naming import folder_keys, host_name
    from ..holdings.trust import Record

    job, name = document["name"], store["name"]
    policy = store["retention"] or document["retention"]
    own = host_name(document["host"])
    held = catalog.held_by(own, job, name)
    due: t.Container[str] = () if policy is None else _Due(held, policy)

    def part(choice: Choice) -> t.Optional[Part]:
        return _part(folder_keys(own, document), held, catalog.listings.last(job, name), choice) if host == own else None

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


def _part(everything: t.Sequence[str], held: Held, listing: t.Optional[Listing], choice: Choice) -> t.Optional[Part]:
    """The part of a store with all archives of the choice; None if it cannot be known. everything: the folders of the job.

    The catalog knows the archives that this host made. Others are found by the last whole listing, or by a listing of the days that are
    asked for: none has a longer period than any that is known.
    """
    from ..base.units import format_utc
    from ..holdings.inventory import ARCHIVES_OF_A_REQUEST
    from ..holdings.trust import Part

    if choice.latest and not (choice.names or choice.start or choice.end):
        starts = held.starts(LAST_PERIODS)
        choice = choice._replace(start=datetime.fromtimestamp(starts[-1], timezone.utc) if starts else None)
    if choice.start is None and choice.end is None:
        if not choice.names or listing is None or listing.unrecorded:
            return None
        recorded = {}
        for name in choice.names:
            found = held.named(name)
            if not found:
                return None
            recorded.update(found)
        folders = sorted({key.rpartition("/")[0] + "/" for key in recorded})
    else:
        recorded = held.between(*(None if moment is None else format_utc(moment) for moment in (choice.start, choice.end)))
        folders = list(everything) if listing is None else _days(everything, held, listing, choice) or list(everything)
    if held.count() <= ARCHIVES_OF_A_REQUEST * len(folders):
        folders = list(everything)
    others = {key for folder in folders for key in held.below(folder)} - recorded.keys()
    return Part(folders, recorded, others)


def _days(everything: t.Sequence[str], held: Held, listing: Listing, choice: Choice) -> t.List[str]:
    """The folders of the days on which a period may start that touches the time of the choice; none if there are too many."""
    from ..archive.naming import archive_key
    from ..base.periods import Period

    known = [held.newest() or 0, *(one.start for one in listing.unrecorded.values())]
    longest = max([held.longest(), *(one.seconds for one in listing.unrecorded.values())])
    last = datetime.fromtimestamp(max([time.time(), *known]), timezone.utc) + timedelta(days=1)
    end = last if choice.end is None else min(choice.end, last)
    if choice.start is None or end - choice.start > MOST_TIME or longest > MOST_TIME.total_seconds():
        return []
    folders: t.List[str] = []
    day = (choice.start - timedelta(seconds=longest)).astimezone(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    while day <= end:
        for folder in everything:
            host, job, _end = folder.split("/")
            folders.append(archive_key(host, job, Period(day, day), ""))
        day += timedelta(days=1)
    return folders
