# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pack sources into archives in the spool, and deliver each archive to the stores."""

from __future__ import annotations

import itertools
import os
import typing as t
from datetime import timedelta

from ..archive import naming
from ..base.errors import LogArchiveError, SourceError
from ..base.units import format_utc, parse_utc
from .deliver import deliver, settle, settling

if t.TYPE_CHECKING:
    from ..archive.create import Created
    from ..crypto.envelope import NewEnvelope
    from ..sources.base import Source
    from .context import Context


def pack(run: Context, sources: t.Sequence[Source], below: str) -> bool:
    """Archive these sources and deliver each archive; returns whether further ones can be archived. below: the folder that holds them."""
    try:
        groups = groups_of(run, sources)
        if run.check and groups:
            _check_key(run)
    except LogArchiveError as error:
        run.recorder.fail(error)
        return False
    envelope = not_before = None
    for group in groups:
        run.recorder.begin("pack")
        try:
            if run.check:
                _expect(run, group)
            else:
                envelope = envelope or _envelope(run)
                not_before = _not_before(run) if not_before is None else not_before
                _archive(run, group, envelope, below, not_before)
        except LogArchiveError as error:
            run.recorder.fail(error)
            settle(run)
            return False  # No space, no key or no library: the next archive would fail in the same way.
    settle(run)
    return True


def groups_of(run: Context, sources: t.Sequence[Source]) -> t.List[naming.Group]:
    """The archives that these sources become. Raises LogArchiveError."""
    options, collector = run.document["archive"], run.collector
    fields = {"host": run.host, "job": run.job}
    longest = naming.LONGEST_NAME
    if any(store["layout"] == "flat" for store in run.document["stores"]):
        longest = naming.longest_flat_name(run.host, run.job, run.suffix)
    by = collector.grouping or options["group"]
    return naming.group(sources, by, options["name"], collector.period, collector.timezone, fields, longest)


def _free_key(run: Context, group: naming.Group) -> str:
    """The first revision of the archive's key that is free, in the catalog and in the spool."""
    first = naming.archive_key(run.host, run.job, group.period, group.name + run.suffix)
    # Many logs may have the same base name in different folders: none of them looks at the revisions of those before it.
    for revision in itertools.count(run.revisions.get(first, 0) + 1):
        key = naming.revised(first, run.suffix, revision)
        if not run.catalog.has_key(key) and run.spool.is_free(key):
            run.revisions[first] = revision
            return key
    raise AssertionError("unreachable: revisions do not end")


def _expect(run: Context, group: naming.Group) -> None:
    """Dry run: record the archive that the run would create."""
    key = _free_key(run, group)
    run.recorder.record["archives"].append(
        {
            "name": os.path.basename(key),
            "key": key,
            "state": "would be archived",
            "sources": [source.path for source in group.sources],
            "source_bytes": group.source_bytes,
            "stores": {},
        }
    )
    run.recorder.set_changed()
    run.expect(key, group.period.start)


def _check_key(run: Context) -> None:
    from ..crypto.envelope import check_new_archives

    run.recorder.begin("pack")
    check_new_archives(run.document["encryption"], run.recorder.warn)


def _envelope(run: Context) -> NewEnvelope:
    from ..crypto.envelope import for_new_archives

    return for_new_archives(run.document["encryption"])


def _not_before(run: Context) -> str:
    """After the archives of all earlier runs, whatever the clock shows: the last state of a log is the one that was archived last."""
    last = run.catalog.counts.last_created(run.job)
    return "" if last is None else format_utc(parse_utc(last) + timedelta(seconds=1))


def _archive(run: Context, group: naming.Group, envelope: NewEnvelope, below: str, not_before: str) -> None:
    from ..base.libraries import take_problems  # An idle run does not need it.

    key = _free_key(run, group)
    created = _create(run, key, group, envelope, below, not_before)
    if created is None:
        return
    if run.document["delete_sources"]:
        run.packed.update(zip((source["path"] for source in created.manifest["sources"]), created.identities))
    run.recorder.set_changed()
    for warning in [*created.warnings, *take_problems()]:
        run.recorder.warn(warning)
    made = created
    entry = settling(run, lambda: run.catalog.add(run.host, run.job, key, made.manifest, run.stores.names, made.identities))
    if run.unwanted:
        start = int(group.period.start.timestamp())
        run.catalog.lacking.leave_out(entry, [name for name, starts in run.unwanted.items() if start in starts])
    sha256, seconds = entry.manifest["archive"]["sha256"], round(created.seconds, 3)
    run.recorder.event("archived", archive=entry.name, size=entry.size, sha256=sha256, seconds=seconds)
    deliver(run, entry, run.recorder.add_archive(entry, "archived"))


def _create(run: Context, key: str, group: naming.Group, envelope: NewEnvelope, below: str, not_before: str) -> t.Optional[Created]:
    """Make one archive, without the sources that cannot be read: each is a warning or an error. None if no source is left."""
    from ..archive.create import Contents, create_archive

    sources = group.sources
    refuse = run.document["archive"]["changed"] == "refuse"

    def create() -> Created:
        with run.progress("pack %s" % os.path.basename(key), sum(source.size for source in sources)) as advance:
            contents = Contents(sources, run.host, run.job, group.period, below, not_before)
            return create_archive(run.spool.path(key), contents, envelope, refuse, advance, run.spool.folder_of(key))

    while sources:
        try:
            return settling(run, create)
        except SourceError as error:
            if error.vanished:
                run.recorder.warn(str(error))
            else:
                run.recorder.fail(error)
            sources = [source for source in sources if source.path != error.path]
    return None
