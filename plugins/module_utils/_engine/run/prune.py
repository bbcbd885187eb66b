# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Apply retention to the stores of a job: last of all, or to make room for an upload."""

from __future__ import annotations

import contextlib
import functools

from ..base import hints as t, light
from ..base.errors import LogArchiveError, PruneRefusedError, RepeatedRefusalError, StoreDeniedError, StoreError
from ..base.lists import some

if t.TYPE_CHECKING:
    from ..config.document import RetentionOptions
    from ..holdings.prune import Pruned, Pruning
    from ..holdings.retention import Item
    from ..stores.base import Store
    from .context import Context


def prune(run: Context, names: t.Sequence[str], always: bool) -> None:
    """Apply retention to each of these stores. A run leaves out a store that archives still wait for.

    The plan depends on what a store holds and not on the clock: a store that got no new copy since the last time is left out, unless
    ``always``.
    """
    awaited = {} if run.check else run.catalog.awaited(run.job)
    for name, options in run.stores.options.items():
        policy = policy_of(run, name)
        if name not in names:
            continue
        if policy is None or options["append_only"]:
            _look(run, name)
        if policy is None:
            continue
        run.recorder.begin("prune %s" % name, listed=False)
        if options["append_only"]:
            if always:
                run.recorder.warn("store %s was not pruned: it is append-only for this host; prune it on the server" % name)
            continue
        waits = any(name in stores for stores in awaited.values())
        if waits and always:
            # It may be full, and then it gets them only after a prune.
            make_room(run, name)
        elif waits or name in run.stores.dead:
            run.recorder.warn("store %s was not pruned: archives still wait for it" % name)
        elif always or run.coming or run.catalog.prunes.needed(run.job, name, _text(policy)):
            unwanted = run.unwanted.get(name, set())
            coming = [item for item in run.coming if int(item.time.timestamp()) not in unwanted]
            with _recording(run, name):
                finished = _prune_store(run, name, policy, coming, listed=always or run.check)
                # An archive that is kept only because another store awaits it may go once that store has it.
                if finished and not (run.check or awaited):
                    run.catalog.prunes.set_done(run.job, name, _text(policy))


def _look(run: Context, name: str) -> None:
    """Learn what a store holds if this run sent something there (see ``recorded.look``)."""
    if name in run.stores.written and name not in run.stores.dead:
        from .recorded import look

        run.recorder.begin("list %s" % name, listed=False)
        # Other commands find the same without it: they read the whole store.
        try:
            look(run, name)
        except StoreDeniedError:
            # A host that may only add archives cannot list them.
            pass
        except LogArchiveError as error:
            run.recorder.warn("store %s cannot be listed, so commands that need a part of it read all of it: %s" % (name, error))


def make_room(run: Context, name: str) -> bool:
    """Apply retention to a store before the archives that wait for it are sent, as if they had arrived; returns whether there is more room.

    The guards count only what the store holds: the archives may not arrive.
    """
    from ..archive import manifest as manifests
    from ..holdings.retention import Item

    policy = policy_of(run, name)
    if policy is None or run.stores.options[name]["append_only"]:
        return False
    waiting = {key for key, stores in run.catalog.awaited(run.job).items() if name in stores}
    expected = [
        Item(entry.key, manifests.period_of(entry.manifest).start, run.host, run.job, 0, "it is about to be sent", True)
        for entry in run.catalog.entries(run.job, spooled=True)
        if entry.key in waiting
    ]
    record = run.recorder.record["pruned"]
    before = len(record[name]["removed"]) if name in record else 0
    with _recording(run, name):
        _prune_store(run, name, policy, expected)
    return name in record and len(record[name]["removed"]) > before


def remove_all(run: Context, reason: str) -> None:
    """Remove every archive of the job from its stores, for this reason, each with its tombstone.

    A store that the host may only add to, and one that does not list an archive that the catalog records, are errors.
    """
    from ..holdings import prune as pruning

    for name, options in run.stores.options.items():
        with _recording(run, name):
            store = run.stores.open(name)
            if options["append_only"]:
                raise StoreError("the store is append-only for this host", store.location(), "Remove the archives on the server")
            known = pruning.Known(
                run.catalog.held_by(run.host, run.job, name).by_key(),
                was_pruned=functools.partial(run.catalog.was_pruned, name),
                trust=run.trust_of(name),
            )
            plan = pruning.everything(store, reason, run.now, pruning.Scope(run.host, run.job), known)
            if plan.lost:
                text = "the store does not list %d archive(s) that the catalog records, so none was removed: %s"
                hint = "Name a job with a store '%s' that has them" % name
                raise StoreError(text % (len(plan.lost), some(sorted(plan.lost))), store.location(), hint)
            _carry_out(run, store, plan, reason)


def policy_of(run: Context, name: str) -> t.Optional[RetentionOptions]:
    """The retention policy of a store; None if it keeps everything."""
    return run.stores.options[name]["retention"] or run.document["retention"]


def _text(policy: RetentionOptions) -> str:
    """The policy as the catalog remembers it."""
    return light.dumps(policy, sort_keys=True)


def _prune_store(run: Context, name: str, policy: RetentionOptions, coming: t.Sequence[Item], listed: bool = True) -> bool:
    """Plan, and unless this is a dry run remove; returns whether nothing is left to remove. listed: list the store. Raises StoreError."""
    store = run.stores.open(name)
    pruning_plan = _plan(run, store, policy, coming, listed)
    refusals = pruning_plan.plan.refusals
    if refusals:
        _report_refusals(run, name, refusals)
    if not run.check:
        run.catalog.prunes.set_refusals(run.job, name, refusals)
    failed = _carry_out(run, store, pruning_plan, _text(policy))
    return not (refusals or failed)


def _carry_out(run: Context, store: Store, pruning_plan: Pruning, policy: str) -> t.Dict[str, str]:
    """Record the plan, and unless this is a dry run remove; returns why what is left could not be removed. policy: as text."""
    from ..holdings import prune as pruning

    name, plan = store.name, pruning_plan.plan
    record = run.recorder.record["pruned"].setdefault(name, {"kept": 0, "removed": [], "failed": {}, "bytes_freed": 0, "refusals": []})
    record["kept"] = pruning_plan.kept
    record["refusals"] = plan.refusals
    damaged = ["%s (%s)" % each for each in sorted(pruning_plan.damaged.items())]
    if damaged:
        # One warning: a host that may write to this store must not be able to fill the log with them.
        text = "store %s: retention ignores %d archive(s) because of their manifests: %s"
        run.recorder.warn(text % (name, len(damaged), some(damaged, separator="; ")))
    if run.check:
        done = pruning.predict(store, pruning_plan)
        if done.bytes_kept:
            run.recorder.warn("store %s: %s" % (name, pruning.kept_versions(store.location(), done.bytes_kept)))
        record["plan"] = pruning.rows(plan)
        record["removed"], record["bytes_freed"] = done.removed, done.bytes_freed
        return {}
    return _remove(run, store, pruning_plan, policy)


def _report_refusals(run: Context, name: str, refusals: t.Sequence[str]) -> None:
    """A refused prune is an error if an operator asked for it. In a run it is a warning, and an error once it has repeated too often."""
    for refusal in refusals:
        error = PruneRefusedError("retention was refused: %s" % refusal, "store %s" % name)
        if run.prunes_on_request:
            run.recorder.fail(error)
            continue
        # 'log-archive prune' leaves no run: if it succeeded, this is the first refusal since.
        before = run.catalog.runs.refused_in_a_row(run.job, name) if run.catalog.prunes.is_refused(run.job, name) else 0
        times = before + 1
        if times < run.document["fail_after_refusals"]:
            run.recorder.warn(str(error))
        else:
            run.recorder.fail(RepeatedRefusalError("retention was refused in %d runs in a row: %s" % (times, refusal), "store %s" % name))


def _plan(run: Context, store: Store, policy: RetentionOptions, coming: t.Sequence[Item], listed: bool) -> Pruning:
    """The plan for a store; unless it must be ``listed``, by what is known of it."""
    from ..holdings import prune as pruning
    from ..holdings.policy import read_policy

    rules = read_policy(policy)
    if not (listed or policy["name_template"]):
        from .recorded import plan_by_record

        plan = plan_by_record(run, store, rules)
        if plan is not None:
            return plan
    scope = pruning.Scope(run.host, run.job, policy["name_template"], run.collector.timezone, run.document["was"])
    awaited = {} if run.check else run.catalog.awaited(run.job)
    starts = run.catalog.held_by(run.host, run.job, store.name).by_key()
    known = pruning.Known(starts, awaited, coming, lambda key: run.catalog.was_pruned(store.name, key), run.trust_of(store.name))
    plan = pruning.plan(store, rules, run.now, scope, known)
    if not run.check:
        from .recorded import forget_spent, remember

        remember(run, store.name, plan)
        forget_spent(run)
    return plan


def _remove(run: Context, store: Store, pruning_plan: Pruning, policy: str) -> t.Dict[str, str]:
    """Remove by the plan; returns why what is left could not be removed. Each batch is recorded before the next begins."""
    from ..holdings import prune as pruning

    failed: t.Dict[str, str] = {}
    record = run.recorder.record["pruned"][store.name]

    rules = {item.key: (reason, item.size) for item, reason in pruning_plan.plan.remove}

    def begin(keys: t.List[str]) -> None:
        # The ledger before all: nothing is removed without its tombstone.
        run.ledger.bury(store.name, {key: rules[key] for key in keys}, policy)
        # The catalog first: it never lists a copy that was deleted.
        run.catalog.set_pruned(store.name, keys)

    def end(done: Pruned) -> None:
        record["removed"] = record["removed"] + done.removed
        record["bytes_freed"] += done.bytes_freed
        if done.removed:
            run.recorder.event("pruned", store=store.name, removed=done.removed, bytes_freed=done.bytes_freed)
        if done.failed:
            failed.update(done.failed)
            run.catalog.set_kept(store.name, done.failed)

    listings = run.catalog.listings
    listing = listings.last(run.job, store.name) if pruning_plan.plan.remove or pruning_plan.leftovers else None
    if listing is not None:
        # If this is cut, the store has to be listed again.
        listings.forget(run.job, store.name)
    try:
        done = pruning.execute(store, pruning_plan, begin, end)
        failed.update(done.failed)
        if listing is not None and not failed:
            listings.resume(run.job, store.name, listing.at)
        if done.bytes_kept:
            run.recorder.warn("store %s: %s" % (store.name, pruning.kept_versions(store.location(), done.bytes_kept)))
    finally:
        record["failed"].update(failed)
        _report_failed(run, store, failed)
    return failed


def _report_failed(run: Context, store: Store, failed: t.Mapping[str, str]) -> None:
    """One error for each reason: a store that became read-only has it for every archive."""
    by_reason: t.Dict[str, t.List[str]] = {}
    for key, why in sorted(failed.items()):
        by_reason.setdefault(why, []).append(store.location(key))
    for why, locations in by_reason.items():
        if len(locations) == 1:
            run.recorder.fail(StoreError("cannot delete the archive: %s" % why, locations[0]))
        else:
            run.recorder.fail(StoreError("cannot delete %d archives: %s" % (len(locations), why), some(locations)))


@contextlib.contextmanager
def _recording(run: Context, name: str) -> t.Iterator[None]:
    """The step of pruning this store. An error is recorded, and the other stores are pruned."""
    run.recorder.begin("prune %s" % name)
    try:
        yield
    except LogArchiveError as error:
        run.recorder.fail(error)
