# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Apply retention to the stores of a job, last of all."""

from __future__ import annotations

import json
import typing as t

from ..base.errors import LogArchiveError, StoreError

if t.TYPE_CHECKING:
    from ..config.document import RetentionOptions
    from .context import Context


def prune(run: Context, names: t.Sequence[str], always: bool) -> None:
    """Apply retention to each of these stores, unless archives still wait for it.

    The plan depends on what a store holds and not on the clock: a store that got no new copy since the last time is left out, unless
    ``always``.
    """
    awaited = {} if run.check else run.catalog.awaited(run.job)
    for name, options in run.stores.options.items():
        policy = options["retention"] or run.document["retention"]
        if policy is None or name not in names:
            continue
        run.recorder.begin("prune %s" % name, listed=False)
        if options["append_only"]:
            if always:
                run.recorder.warn("store %s was not pruned: it is append-only for this host; prune it on the server" % name)
            continue
        if name in run.stores.dead or any(name in stores for stores in awaited.values()):
            run.recorder.warn("store %s was not pruned: archives still wait for it" % name)
            continue
        if always or run.coming or run.catalog.needs_prune(run.job, name, _text(policy)):
            try:
                _prune_store(run, name, policy, awaited)
            except LogArchiveError as error:
                run.recorder.fail(error)


def _text(policy: RetentionOptions) -> str:
    """The policy as the catalog remembers it."""
    return json.dumps(policy, sort_keys=True)


def _prune_store(run: Context, name: str, policy: RetentionOptions, awaited: t.Mapping[str, t.Sequence[str]]) -> None:
    from ..holdings import prune as pruning, retention

    run.recorder.begin("prune %s" % name)
    store = run.stores.open(name)
    scope = pruning.Scope(run.host, run.job, policy["name_template"], run.collector.timezone)
    known = pruning.Known(run.catalog.held(run.job, name), awaited, run.coming, lambda key: run.catalog.was_pruned(name, key))
    pruning_plan = pruning.plan(store, retention.read_policy(policy), run.now, scope, known)
    plan = pruning_plan.plan
    done = pruning.predict(pruning_plan)
    if not run.check:
        # The catalog first: it never lists a copy that was deleted.
        run.catalog.set_pruned(name, done.removed)
        done = pruning.execute(store, pruning_plan)
    record = run.recorder.record["pruned"][name] = {
        "kept": len(plan.keep),
        "removed": done.removed,
        "bytes_freed": done.bytes_freed,
        "refusals": plan.refusals,
    }
    if run.check:
        record["plan"] = pruning.rows(plan)
    for refusal in plan.refusals:
        run.recorder.warn("store %s: %s" % (name, refusal))
    for key, why in pruning_plan.damaged.items():
        run.recorder.warn("store %s: retention ignores %s: its manifest cannot be used (%s)" % (name, key, why))
    for key, why in done.failed.items():
        run.recorder.fail(StoreError("cannot delete the archive: %s" % why, store.location(key)))
    if done.removed:
        run.recorder.event("pruned", store=name, removed=done.removed, bytes_freed=done.bytes_freed)
    # An archive that is kept only because another store awaits it may go once that store has it.
    if not (run.check or plan.refusals or done.failed or awaited):
        run.catalog.set_prune_done(run.job, name, _text(policy))
