# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Leave out the logs that retention would drop as soon as they are archived: they are neither packed nor sent.

Retention is applied to what each store holds and awaits, and to everything that this run would add. ``max_delete_share`` does not count:
nothing is removed. The logs stay where they are, even with ``delete_sources``, because no store has ever had them.
"""

from __future__ import annotations

import typing as t

from ..archive import manifest as manifests
from ..base.errors import LogArchiveError
from ..base.units import format_size, format_utc
from .pack import groups_of

if t.TYPE_CHECKING:
    from ..archive import naming
    from ..config.document import RetentionOptions
    from ..sources.base import Source
    from ..state.record import NotShippedRecord
    from .context import Context


def leave_out(run: Context, sources: t.List[Source]) -> t.List[Source]:
    """The sources without those that no store would keep. What single stores would not keep is noted in ``run.unwanted``."""
    from .prune import policy_of

    policies = {}
    for name, options in run.stores.options.items():
        policy = policy_of(run, name)
        # What prunes an append-only store has a policy of its own.
        if policy is not None and not options["append_only"]:
            policies[name] = policy
    if not policies:
        return sources
    try:
        groups = groups_of(run, sources)
    except LogArchiveError:
        return sources  # Packing fails in the same way, and reports it.
    starts = {_start(group) for group in groups}
    for name, policy in policies.items():
        unwanted = _unwanted(run, name, policy, starts)
        if unwanted:
            unwanted -= _of_known_logs(run, groups)
        if unwanted:
            run.unwanted[name] = unwanted
            _record(run, name, policy, [group for group in groups if _start(group) in unwanted])
    everywhere = set.intersection(*(run.unwanted.get(name, set()) for name in run.stores.names))
    _warn(run)
    run.left_out.update(source.path for group in groups if _start(group) in everywhere for source in group.sources)
    return [source for source in sources if source.path not in run.left_out]


def _start(group: naming.Group) -> int:
    return int(group.period.start.timestamp())


def _unwanted(run: Context, name: str, policy: RetentionOptions, new: t.Set[int]) -> t.Set[int]:
    """The starts of new periods that retention would drop in this store."""
    held = run.catalog.held_by(run.host, run.job, name)
    awaited = _awaited(run, name)
    newest = max([held.newest() or 0, *awaited])
    if len(new) == 1 and min(new) >= newest:
        return set()  # Each rule keeps the newest.
    from ..holdings import retention
    from ..holdings.policy import read_policy
    from .recorded import starts_of

    there = {*starts_of(held, run.catalog.listings.last(run.job, name)), *awaited}
    rules = read_policy(policy)._replace(max_delete_share=1.0)
    judged = retention.judge(sorted(there | new, reverse=True), {}, rules, run.now, (run.host, run.job))
    return new.intersection(judged.unwanted) - there


def _awaited(run: Context, name: str) -> t.Set[int]:
    """The starts of the periods of the archives that wait for a store."""
    waiting = {key for key, stores in run.catalog.awaited(run.job).items() if name in stores}
    entries = run.catalog.entries(run.job, spooled=True) if waiting else []
    return {int(manifests.period_of(entry.manifest).start.timestamp()) for entry in entries if entry.key in waiting}


def _of_known_logs(run: Context, groups: t.Sequence[naming.Group]) -> t.Set[int]:
    """The starts of archives of logs that have been archived before. They are newer states, whatever the clock of the host was."""
    paths = {source.path for group in groups for source in group.sources}
    known = {path for path, _size, _mtime in run.catalog.archived_sources(run.job, sorted(paths))}
    return {_start(group) for group in groups if any(source.path in known for source in group.sources)}


def _record(run: Context, name: str, policy: RetentionOptions, groups: t.Sequence[naming.Group]) -> None:
    run.recorder.record["not_shipped"][name] = {
        "archives": len(groups),
        "bytes": sum(group.source_bytes for group in groups),
        "start": format_utc(min(group.period.start for group in groups)),
        "end": format_utc(max(group.period.end for group in groups)),
        "policy": ", ".join("%s %s" % item for item in policy.items() if item[0].startswith("keep_") and item[1] is not None),
    }


def _warn(run: Context) -> None:
    """Warn of what is left out, unless the last run left it out too. Older logs leave the time that runs look at, one after the other."""
    found = run.recorder.record["not_shipped"]
    last = run.catalog.runs.last_ended(run.job) if found else None
    before = last.record.get("not_shipped", {}) if last is not None and last.record else {}
    for name, what in found.items():
        same = before.get(name)
        if same is None or what["policy"] != same["policy"] or what["end"] > same["end"] or what["archives"] > same["archives"]:
            run.recorder.warn("store %s: %s" % (name, describe(what)))


def describe(what: NotShippedRecord) -> str:
    """One sentence about the archives that are not shipped to a store."""
    text = (
        "%d archive(s) of %s of logs (%s to %s) are not sent, because retention would remove them at once (%s)."
        " The logs stay where they are"
    )
    return text % (what["archives"], format_size(what["bytes"]), what["start"], what["end"], what["policy"])
