# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Apply retention to a store: the plan of ``retention`` over what the store holds, and its execution."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta

from ..archive import manifest as manifests
from ..archive.naming import MANIFEST_SUFFIX, manifest_key
from ..base.periods import compile_pattern
from ..base.units import format_utc, parse_utc
from ..stores.base import Store
from . import inventory, retention

ORPHAN_AGE = timedelta(days=1)
"""A manifest without its archive belongs to an upload under way, or is left of an interrupted prune when it is older than this."""

FOREIGN = "(other tools)"
"""Stands for the job of files that a name template dates."""


class Pruning(t.NamedTuple):
    """What a prune of one store will do: the plan, the manifests left over to remove with it, and archives that cannot be judged."""

    plan: retention.Plan
    leftovers: t.List[str]
    damaged: t.Dict[str, str]


class Pruned(t.NamedTuple):
    """What was done: keys that are gone, bytes freed, and {key: why it is still there}."""

    removed: t.List[str]
    bytes_freed: int
    failed: t.Dict[str, str]


def plan(
    store: Store,
    policy: retention.Policy,
    now: datetime,
    host: t.Optional[str] = None,
    job: t.Optional[str] = None,
    name_template: t.Optional[str] = None,
    timezone: str = "UTC",
    known: t.Optional[t.Mapping[str, manifests.Manifest]] = None,
    awaited: t.Optional[t.Mapping[str, t.Sequence[str]]] = None,
    coming: t.Sequence[retention.Item] = (),
    let_go: t.Callable[[str], bool] = lambda key: False,
) -> Pruning:
    """Plan the pruning of a store, or of a host's or job's part of it. Nothing is changed.

    name_template: strftime pattern of names directly in the store's root that other tools put there, dated in ``timezone``. For one job
    they count as older archives of that job, so that they go as its own come; else they are a group of their own.
    known: manifests by key that need not be fetched. awaited: {key: names of stores that do not have it yet}; those are kept.
    coming: archives that will be there when the plan is carried out (check mode). let_go: whether the caller has begun to remove the
    archive with this key: its manifest is left of a prune that was killed.
    """
    held = inventory.read(store, host, job, known)
    items = [_item(archive, awaited or {}) for archive in held.archives]
    there = {item.key for item in items}
    items += [item for item in coming if item.key not in there]
    if name_template is not None:
        group = ("", FOREIGN) if host is None or job is None else (host, job)
        items += [item._replace(host=group[0], job=group[1]) for item in _foreign(store, held, host, name_template, timezone)]
    old = (now - ORPHAN_AGE).timestamp()
    stale = [
        orphan.key
        for orphan in held.orphans
        if (orphan.modified is not None and orphan.modified < old) or let_go(orphan.key[: -len(MANIFEST_SUFFIX)])
    ]
    return Pruning(_plan_periods(items, policy, now), stale, held.damaged)


def execute(store: Store, pruning: Pruning) -> Pruned:
    """Remove what the plan says, oldest first; each archive before its manifest, so that what is left can still be understood."""
    items = [item for item, _reason in pruning.plan.remove]
    outcome = store.delete([item.key for item in items])
    gone = [item for item in items if outcome[item.key] is None]
    failed = {key: why for key, why in outcome.items() if why is not None}
    # What other tools put there lies in the root and has no manifest.
    described = [manifest_key(item.key) for item in gone if "/" in item.key]
    for key, why in store.delete(described + pruning.leftovers).items():
        if why is not None:
            failed[key] = why
    return Pruned([item.key for item in gone], sum(item.size for item in gone), failed)


def described(plan: retention.Plan) -> t.List[t.Dict[str, str]]:
    """A plan as plain rows, {action, key, time, reason}: what goes first, then what stays."""
    rows = [("remove", item, reason) for item, reason in plan.remove]
    rows += [("keep", item, ", ".join(reasons)) for item, reasons in plan.keep]
    return [{"action": action, "key": item.key, "time": format_utc(item.time), "reason": reason} for action, item, reason in rows]


def _plan_periods(items: t.Iterable[retention.Item], policy: retention.Policy, now: datetime) -> retention.Plan:
    """The plan for whole periods: what a host and job archived of the same period stays or goes together.

    Else ``auth.log`` of an hour would stand in for the ``syslog`` of that hour, and a keep_hourly would drop one of them.
    """
    periods: t.Dict[t.Tuple[str, str, datetime], t.List[retention.Item]] = {}
    for item in sorted(items, key=lambda item: item.key):
        periods.setdefault((item.host, item.job, item.time), []).append(item)
    members = {of[0].key: of for of in periods.values()}
    planned = retention.plan(
        [of[0]._replace(protected=next((item.protected for item in of if item.protected), None)) for of in periods.values()], policy, now
    )
    remove = [(item, reason) for first, reason in planned.remove for item in members[first.key]]
    return planned._replace(
        keep=[(item, reasons) for first, reasons in planned.keep for item in members[first.key]],
        remove=remove,
        bytes_freed=sum(item.size for item, _reason in remove),
    )


def _item(archive: inventory.StoredArchive, awaited: t.Mapping[str, t.Sequence[str]]) -> retention.Item:
    manifest = archive.manifest
    waiting = awaited.get(archive.key)
    return retention.Item(
        key=archive.key,
        time=parse_utc(manifest["period"]["start"]),
        host=manifest["host"],
        job=manifest["job"],
        size=archive.size,
        protected="store %s does not have it yet" % ", ".join(waiting) if waiting else None,
    )


def _foreign(store: Store, held: inventory.Inventory, host: t.Optional[str], template: str, timezone: str) -> t.List[retention.Item]:
    pattern = compile_pattern(template, use_regex=False)
    others = held.others if host is None else store.list()
    items = []
    for other in others:
        if "/" in other.key:
            continue
        match = pattern.match(other.key, timezone)
        if match is not None and match.period is not None:
            items.append(retention.Item(other.key, match.period.start, "", FOREIGN, other.size))
    return items
