# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan the pruning of a store by what is recorded of it, so that a run does not list years of archives.

The catalog records what the host put there, and how the last whole listing differed from that. Before anything is removed, the days of
what is removed and of what is kept instead are listed. If they are not as recorded, or if the last whole listing is too old, the whole
store is listed. So it is if that takes no more requests.
"""

from __future__ import annotations

import collections
import os
import typing as t
from datetime import datetime, timedelta, timezone

from ..archive.naming import MANIFEST_SUFFIX, manifest_key
from ..base.units import format_utc, parse_utc
from ..holdings.inventory import whole_is_cheaper
from .look_back import looks_back_to

if t.TYPE_CHECKING:
    from ..config.document import StoreOptions
    from ..holdings.inventory import Inventory, StoredArchive
    from ..holdings.policy import Policy
    from ..holdings.prune import Pruning
    from ..holdings.retention import Item
    from ..state.held import Held
    from ..state.listings import Listing
    from ..stores.base import Store
    from .context import Context

LISTED_AGAIN = 7 * 86400
"""Seconds after which a run lists the whole store again: other hands may have put archives there, or taken some."""
MARGIN = timedelta(days=32)
"""Before what a run looks for: more than one period of any job."""
MOST_FORGOTTEN = 10_000
"""Archives at a time."""
MOST_PERIODS = 10_000
"""Periods to look at one by one."""


def plan_by_record(run: Context, store: Store, policy: Policy) -> t.Optional[Pruning]:
    """The plan of ``holdings.prune.plan``, without the archives that stay; None if the store has to be listed. Raises StoreError."""
    from ..holdings import prune as pruning, retention

    held = run.catalog.held_by(run.host, run.job, store.name)
    listing = run.catalog.listings.last(run.job, store.name)
    if listing is None or not 0 <= run.now.timestamp() - listing.at < LISTED_AGAIN:
        return None
    starts = starts_of(held, listing)
    judged = retention.judge(starts, _protected(run, held), policy, run.now, (run.host, run.job))
    count = held.count() - len(listing.lost) + len(listing.unrecorded)
    items = [item for start in reversed(judged.unwanted) for item in _items(run, held, listing, start)]
    if items:
        wanted = {*judged.unwanted, *judged.counted, *starts[: policy.min_keep]}
        if len(wanted) > MOST_PERIODS or not _is_as_recorded(store, run.stores.options[store.name], held, listing, wanted, count):
            return None
    refusals = [] if judged.refusal is None else [judged.refusal]
    removal = [(item, "no rule keeps it") for item in items]
    plan = retention.Plan([], removal, refusals, sum(item.size for item in items))
    return pruning.Pruning(plan, [], listing.unusable, count - len(items))


def look(run: Context, name: str) -> None:
    """List a store that retention does not list, unless that was done before: with what is remembered of it, a command that names a time or
    a log reads only the part of the store that has it. Raises StoreError."""
    from ..holdings import inventory

    if run.catalog.listings.last(run.job, name) is not None:
        return
    starts = run.catalog.held_by(run.host, run.job, name).by_key()
    held = inventory.read(run.stores.open(name), run.host, run.job, starts, run.trust_of(name), run.document["was"], starts)
    there = {item.key for item in held.recorded}.union(held.unlisted)
    _remember(run, name, held.archives, {key: item.why for key, item in held.damaged.items()}, starts.keys() - there)


def remember_inventory(run: Context, name: str, held: Inventory) -> None:
    """Record how a store differs from the catalog, as an inventory with all manifests showed."""
    here = run.catalog.held_by(run.host, run.job, name)
    unrecorded = [archive for archive in held.archives if here.start_of(archive.key) is None]
    _remember(run, name, unrecorded, {key: item.why for key, item in held.damaged.items()}, ())


def remember(run: Context, name: str, plan: Pruning) -> None:
    """Record how a store differs from the catalog, as its whole listing for a plan showed."""
    _remember(run, name, plan.unrecorded, plan.damaged, plan.lost)


def _remember(run: Context, name: str, archives: t.Sequence[StoredArchive], unusable: t.Dict[str, str], lost: t.Collection[str]) -> None:
    from ..archive.manifest import period_of
    from ..holdings.inventory import effective
    from ..state.listings import Listing, Unrecorded

    starts = effective(archives, lambda manifest: manifest["period"]["start"])
    unrecorded = {}
    for archive in archives:
        period = period_of(archive.manifest)
        length = int((period.end - period.start).total_seconds())
        unrecorded[archive.key] = Unrecorded(int(parse_utc(starts[archive.key]).timestamp()), length, archive.size)
    run.catalog.listings.remember(run.job, name, Listing(run.now.timestamp(), unrecorded, unusable, set(lost)))


def forget_spent(run: Context) -> None:
    """Remove the records of archives that no store has any more and that no later run needs.

    Their logs are gone, and even a log of that time would no longer be looked for. Without periods any log may be found again.
    """
    if run.collector.period == "none" or not run.collector.deletable:
        return
    back = looks_back_to(run)
    if back is None:
        return
    before = format_utc(min(back, run.now - timedelta(seconds=run.collector.catch_up)) - MARGIN)
    spent = run.catalog.prunes.spent(run.job, before, MOST_FORGOTTEN)
    gone = [archive for archive, paths in spent.items() if not any(os.path.lexists(path) for path in paths)]
    if gone:
        run.catalog.prunes.forget(gone)


def starts_of(held: Held, listing: t.Optional[Listing]) -> t.Sequence[int]:
    """The starts of the periods of all archives in the store, newest first. listing: how its last listing differed from the record."""
    starts = held.starts()
    if listing is None:
        return starts
    lost = collections.Counter(held.start_of(key) for key in listing.lost)
    gone = {start for start, count in lost.items() if start is not None and count >= len(held.of_period(start))}
    more = {one.start for one in listing.unrecorded.values()}
    if not (gone or more):
        return starts
    return sorted((more | set(starts)) - (gone - more), reverse=True)


def _protected(run: Context, held: Held) -> t.Dict[int, Item]:
    """By the start of its period, an archive that other stores do not have yet."""
    from ..holdings.prune import waiting_for
    from ..holdings.retention import Item

    protected = {}
    for key, stores in run.catalog.awaited(run.job).items():
        start = held.start_of(key)
        if start is not None:
            protected[start] = Item(key, _time(start), run.host, run.job, 0, waiting_for(stores))
    return protected


def _items(run: Context, held: Held, listing: Listing, start: int) -> t.List[Item]:
    """The archives of the period that starts then."""
    from ..holdings.retention import Item

    found = {key: size for key, size in held.of_period(start) if key not in listing.lost}
    found.update((key, one.size) for key, one in listing.unrecorded.items() if one.start == start)
    return [Item(key, _time(start), run.host, run.job, size) for key, size in sorted(found.items())]


def _is_as_recorded(store: Store, options: StoreOptions, held: Held, listing: Listing, starts: t.Collection[int], count: int) -> bool:
    """Whether the store has the recorded archives in the folders of these periods, and no others; False if there are too many folders."""
    keys = [key for start in starts for key, _size in held.of_period(start)]
    keys += [key for key, one in listing.unrecorded.items() if one.start in starts]
    folders = {key.rpartition("/")[0] + "/" for key in keys}
    if whole_is_cheaper(options, count, len(folders)):
        return False
    for folder in sorted(folders):
        listed = {item.key for item in store.list(folder)}
        there = {key for key in listed if not key.endswith(MANIFEST_SUFFIX) and manifest_key(key) in listed}
        expected = (held.below(folder) | {key for key in listing.unrecorded if key.startswith(folder)}) - listing.lost
        if there - listing.unusable.keys() != expected:
            return False
    return True


def _time(start: int) -> datetime:
    return datetime.fromtimestamp(start, timezone.utc)
