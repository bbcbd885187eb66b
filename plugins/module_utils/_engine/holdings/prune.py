# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Apply retention to a store: plan over the archives that it holds, then remove."""

from __future__ import annotations

import functools
import itertools
import operator
import re
import typing as t
from datetime import datetime, timedelta, timezone

from ..archive.naming import MANIFEST_SUFFIX, manifest_key, original_of
from ..base import collector
from ..base.periods import compile_pattern
from ..base.units import format_size, format_utc, parse_utc
from ..stores.base import Outcome, Store
from . import inventory, retention
from .policy import Policy
from .trust import Trust

if t.TYPE_CHECKING:
    from .facts import PlanRow

ORPHAN_AGE = timedelta(days=1)
"""A manifest without an archive belongs to an upload in progress. If it is older than this, it is a leftover."""

OTHER_TOOLS = "(other tools)"
"""The job of files that a name template dates, unless one job is pruned."""


class Scope(t.NamedTuple):
    """The part of a store that is pruned. host, job: None is every one. was: earlier names of the job; their archives count as its own.

    name_template: strftime pattern of names directly in the store's root that other tools put there, dated in ``timezone``. For one
    job they count as older archives of that job, so that they go as its own come; else they are a group by themselves.
    """

    host: t.Optional[str] = None
    job: t.Optional[str] = None
    name_template: t.Optional[str] = None
    timezone: str = "UTC"
    was: t.Sequence[str] = ()


class Known(t.NamedTuple):
    """The facts about the store in the catalog of the job.

    starts: by key, when the periods of the recorded archives start, in seconds since the epoch; their manifests are not fetched.
    awaited: {key: names of stores that do not have the archive yet}; such archives are kept. coming: archives that will be there when the
    plan is executed (dry run), or that are expected. was_pruned: whether an earlier prune has begun to remove the archive with this key; a
    manifest that it left is removed too. trust: how far other manifests are believed.
    """

    starts: t.Mapping[str, int] = {}
    awaited: t.Mapping[str, t.Sequence[str]] = {}
    coming: t.Sequence[retention.Item] = ()
    was_pruned: t.Callable[[str], bool] = lambda key: False
    trust: t.Optional[Trust] = None


BATCH = 200
"""Archives that are removed, and recorded as removed, at a time."""


def _ignore(_value: t.Any) -> None:
    pass


EVERYTHING = Scope()
NOTHING_KNOWN = Known()


class Pruning(t.NamedTuple):
    """The plan for one store. leftovers: manifests without an archive that are removed too. damaged: {key of an archive that
    retention ignores: why its manifest cannot be used}. kept: how many archives stay. unrecorded: those that are not in the catalog.
    lost: keys of archives that the catalog records and the store does not list."""

    plan: retention.Plan
    leftovers: t.List[str]
    damaged: t.Dict[str, str]
    kept: int
    unrecorded: t.Sequence[inventory.StoredArchive] = ()
    lost: t.Collection[str] = ()


class Pruned(t.NamedTuple):
    """What a prune did. removed: keys; failed: {key: why it could not be removed}. bytes_kept: of removed archives that stay in the store
    as versions."""

    removed: t.List[str]
    bytes_freed: int
    failed: t.Dict[str, str]
    bytes_kept: int = 0


@collector.paused()
def plan(store: Store, policy: Policy, now: datetime, scope: Scope = EVERYTHING, known: Known = NOTHING_KNOWN) -> Pruning:
    """Plan the pruning of a store or a part of it; nothing is changed. now: aware. Raises StoreError, ConfigError."""
    held = inventory.read(store, scope.host, scope.job, known.starts, known.trust, scope.was, known.starts)
    items = _items(held.archives, known.awaited, scope) + _recorded_items(_recorded(held), scope, known)
    if known.coming:
        keys = {item.key for item in items}
        items += [item for item in known.coming if item.key not in keys]
    items += _other_tools_items(store, held, scope)
    planned = _measured(store, _plan_periods(items, policy, now), held.unlisted)
    kept = sum(not item.expected for item, _reasons in planned.keep)
    return _pruning(planned, held, now, known)._replace(kept=kept)


def everything(store: Store, reason: str, now: datetime, scope: Scope, known: Known) -> Pruning:
    """The plan that removes every archive of a host and job, for this reason; nothing is changed. now: aware. Raises StoreError."""
    held = inventory.read(store, scope.host, scope.job, known.starts, known.trust, scope.was)
    found = [item for item in _items(held.archives, {}, scope) if item.protected is None]
    items = sorted(found + _recorded_items(_recorded(held), scope, known), key=lambda item: (item.time, item.key))
    removal = retention.Plan([], [(item, reason) for item in items], [], sum(item.size for item in items))
    return _pruning(removal, held, now, known)


def _pruning(planned: retention.Plan, held: inventory.Inventory, now: datetime, known: Known) -> Pruning:
    old = (now - ORPHAN_AGE).timestamp()
    leftovers = [
        orphan.key
        for orphan in held.orphans
        if (orphan.modified is not None and orphan.modified < old) or known.was_pruned(orphan.key[: -len(MANIFEST_SUFFIX)])
    ]
    damaged = {key: item.why for key, item in held.damaged.items()}
    return Pruning(planned, leftovers, damaged, 0, held.archives, known.starts.keys() - {key for key, _size in _recorded(held)})


def _recorded(held: inventory.Inventory) -> t.Iterator[t.Tuple[str, int]]:
    """The recorded archives in the store, each with its size; 0 if that was not asked for."""
    return itertools.chain(((item.key, item.size) for item in held.recorded), zip(held.unlisted, itertools.repeat(0)))


def _measured(store: Store, planned: retention.Plan, unlisted: t.Collection[str]) -> retention.Plan:
    """The plan with the sizes of those of these archives that it removes. Raises StoreError."""
    unmeasured = {item.key for item, _reason in planned.remove}.intersection(unlisted)
    folders = {key.rpartition("/")[0] + "/" for key in unmeasured}
    sizes = {item.key: item.size for folder in folders for item in inventory.objects_in(store, folder)}
    remove = [(item._replace(size=sizes.get(item.key, 0)) if item.key in unmeasured else item, reason) for item, reason in planned.remove]
    return planned._replace(remove=remove, bytes_freed=sum(item.size for item, _reason in remove))


def due(starts: t.Mapping[str, int], policy: Policy, now: datetime) -> t.Set[str]:
    """The keys of the archives that the policy would remove now, if no guard against large removals held it back.

    starts: by key, when the periods of the archives of one host and job start, in seconds since the epoch.
    """
    ordered = sorted(set(starts.values()), reverse=True)
    unwanted = set(retention.judge(ordered, {}, policy._replace(max_delete_share=1.0), now, ("", "")).unwanted)
    return {key for key, start in starts.items() if start in unwanted}


def predict(store: Store, pruning: Pruning) -> Pruned:
    """What ``execute`` will return if the store removes everything. Raises StoreError."""
    removed = [item.key for item, _reason in pruning.plan.remove]
    if removed and store.keeps_versions():
        return Pruned(removed, 0, {}, pruning.plan.bytes_freed)
    return Pruned(removed, pruning.plan.bytes_freed, {})


def kept_versions(location: str, bytes_kept: int) -> str:
    """The warning about removed archives that stay in a store as versions."""
    return "%s keeps %s of removed archives as versions; set versions to delete, or let a lifecycle rule of the bucket remove them" % (
        location,
        format_size(bytes_kept),
    )


def execute(
    store: Store, pruning: Pruning, begin: t.Callable[[t.List[str]], None] = _ignore, end: t.Callable[[Pruned], None] = _ignore
) -> Pruned:
    """Remove archives by the plan, oldest first; each archive before its manifest, so that an interrupted prune leaves no bare archive.

    begin: called with the keys of each batch before it is removed. end: called after each batch with its result, even if an error ended
    it early. Raises StoreError if the store fails as a whole.
    """
    items = [item for item, _reason in pruning.plan.remove]
    total = Pruned([], 0, {})
    for start in range(0, len(items), BATCH):
        batch = items[start : start + BATCH]
        begin([item.key for item in batch])
        archives: Outcome = {}
        manifests: Outcome = {}
        try:
            store.delete([item.key for item in batch], archives)
            # Files of other tools are in the root and have no manifest.
            store.delete([manifest_key(key) for key, why in archives.items() if why is None and "/" in key], manifests)
        finally:
            result = _result(batch, archives, manifests, store)
            total = Pruned(
                total.removed + result.removed,
                total.bytes_freed + result.bytes_freed,
                {**total.failed, **result.failed},
                total.bytes_kept + result.bytes_kept,
            )
            end(result)
    leftovers = store.delete(pruning.leftovers)
    return total._replace(failed={**total.failed, **{key: why for key, why in leftovers.items() if why is not None}})


def _result(batch: t.Sequence[retention.Item], archives: Outcome, manifests: Outcome, store: Store) -> Pruned:
    gone = [item for item in batch if archives.get(item.key, "unknown") is None]
    failed = {key: why for key, why in {**archives, **manifests}.items() if why is not None}
    kept = sum(item.size for item in gone if store.keeps_bytes(item.key))
    return Pruned([item.key for item in gone], sum(item.size for item in gone) - kept, failed, kept)


@collector.paused()
def rows(plan: retention.Plan) -> t.List[PlanRow]:
    """A plan as rows: first the archives to remove, then those to keep."""
    removed, kept = _texts(item.time for item, _reason in plan.remove), _texts(item.time for item, _reasons in plan.keep)
    found: t.List[PlanRow] = [
        {"action": "remove", "key": item.key, "time": time, "reason": reason} for (item, reason), time in zip(plan.remove, removed)
    ]
    found += [{"action": "keep", "key": item.key, "time": time, "reason": ", ".join(why)} for (item, why), time in zip(plan.keep, kept)]
    return found


def _texts(times: t.Iterable[datetime]) -> t.Iterator[str]:
    """Each time as ``format_utc`` writes it, in half the time: many are of the same day, and many at the same hour."""
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    day = functools.lru_cache(maxsize=None)(lambda days: format_utc(epoch + timedelta(days))[:11])
    second = functools.lru_cache(maxsize=None)(lambda seconds: format_utc(epoch + timedelta(seconds=seconds))[11:])
    for since in map(operator.sub, times, itertools.repeat(epoch)):
        yield day(since.days) + second(since.seconds)


def _plan_periods(items: t.Iterable[retention.Item], policy: Policy, now: datetime) -> retention.Plan:
    """The plan for whole periods: archives of one host, job and period are kept or removed together.

    Otherwise the ``auth.log`` of an hour could stand for the ``syslog`` of that hour, and keep_hourly would drop one of them.
    """
    ordered = sorted(items, key=operator.itemgetter(0))
    if _are_alone(ordered):
        return retention.plan(ordered, policy, now)
    # By time, host and job.
    periods: t.Dict[t.Tuple[t.Any, ...], t.List[retention.Item]] = {}
    for item in ordered:
        periods.setdefault(item[1:4], []).append(item)
    members = {of[0].key: of for of in periods.values() if len(of) > 1}
    planned = retention.plan([of[0] if len(of) == 1 else _representative(of) for of in periods.values()], policy, now)
    remove = [(item, reason) for first, reason in planned.remove for item in members.get(first.key, (first,))]
    return planned._replace(
        keep=[(item, reasons) for first, reasons in planned.keep for item in members.get(first.key, (first,))],
        remove=remove,
        bytes_freed=sum(item.size for item, _reason in remove),
    )


def _are_alone(ordered: t.Sequence[retention.Item]) -> bool:
    """Whether each item is the only one of its host, job and period, as with a job that archives one log an hour. ordered: by key, so that
    the periods of a job come in their order."""
    times = [item.time for item in ordered]
    hosts_and_jobs = itertools.groupby(ordered, operator.itemgetter(2, 3))
    return sum(1 for _group in itertools.islice(hosts_and_jobs, 2)) < 2 and all(map(operator.lt, times, itertools.islice(times, 1, None)))


def _representative(period: t.Sequence[retention.Item]) -> retention.Item:
    protected = next((item.protected for item in period if item.protected), None)
    return period[0]._replace(protected=protected, expected=all(item.expected for item in period))


def _items(archives: t.Sequence[inventory.StoredArchive], awaited: t.Mapping[str, t.Sequence[str]], scope: Scope) -> t.List[retention.Item]:
    starts = inventory.effective(archives, lambda manifest: manifest["period"]["start"])
    return [_item(archive, starts[archive.key], awaited, scope) for archive in archives]


def _recorded_items(archives: t.Iterable[t.Tuple[str, int]], scope: Scope, known: Known) -> t.List[retention.Item]:
    """The recorded archives of the host and job of the scope. archives: (key, size)."""
    # Column by column, which takes a third of the time: there may be 100,000.
    keys: t.Tuple[str, ...]
    keys, sizes = tuple(zip(*archives)) or ((), ())
    times = map(datetime.fromtimestamp, map(known.starts.__getitem__, keys), itertools.repeat(timezone.utc))
    protected = (waiting_for(known.awaited[key]) if key in known.awaited else None for key in keys)
    host, job = itertools.repeat(scope.host or ""), itertools.repeat(scope.job or "")
    return list(map(retention.Item._make, zip(keys, times, host, job, sizes, protected, itertools.repeat(False))))


def waiting_for(stores: t.Sequence[str]) -> t.Optional[str]:
    """Why an archive that these stores do not have yet is not removed; None if every store has it."""
    return "store %s does not have it yet" % ", ".join(stores) if stores else None


def _item(archive: inventory.StoredArchive, start: str, awaited: t.Mapping[str, t.Sequence[str]], scope: Scope) -> retention.Item:
    manifest = archive.manifest
    job = manifest["job"]
    protected = waiting_for(awaited.get(archive.key, ()))
    if protected is None and original_of(archive.key) is not None and archive.authenticated is not True:
        # Whoever can write a manifest could have named any object of the store, and this host would remove it.
        protected = "the catalog does not record that it was adopted, and its manifest is not authenticated"
    return retention.Item(
        key=archive.key,
        time=parse_utc(start),
        host=manifest["host"],
        job=scope.job if scope.job is not None and job in scope.was else job,
        size=archive.size,
        protected=protected,
    )


def _other_tools_items(store: Store, held: inventory.Inventory, scope: Scope) -> t.List[retention.Item]:
    if scope.name_template is None:
        return []
    host, job = ("", OTHER_TOOLS) if scope.host is None or scope.job is None else (scope.host, scope.job)
    pattern = compile_pattern(scope.name_template, use_regex=False)
    items = []
    # Only the names that may match: the store may have other hosts, too.
    beginning = re.split(r"[%*?\[\\]", scope.name_template, maxsplit=1)[0]
    own = [*(archive.key for archive in held.archives), *(item.key for item in held.recorded), *held.damaged]
    adopted = {original_of(key) for key in own}
    for other in held.others if scope.host is None else store.list(beginning):
        if "/" in other.key or other.key in adopted:
            continue
        match = pattern.match(other.key, scope.timezone)
        if match is not None and match.period is not None:
            items.append(retention.Item(other.key, match.period.start, host, job, other.size))
    return items
