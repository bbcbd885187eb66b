# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run prints for people. It is apart from ``report``, because an idle run loads it."""

from __future__ import annotations

from ..base import hints as t
from ..base.lists import MOST, MOST_ROWS, REST, first
from ..base.texts import lines as report_of
from ..base.units import format_size
from .texts import problem

if t.TYPE_CHECKING:
    from ..state.record import ArchiveRecord, PruneRecord, RunRecord, SyncRecord


MOST_PROBLEMS = 20
"""Errors, and warnings, that are listed."""


def recap(record: RunRecord, kept: bool = True) -> str:
    """One run: the outcome first, then errors and warnings, then what was done. kept: whether the plan of a dry run lists what stays."""
    lines = ["%s: %s%s" % (record["job"], record["outcome"], " (dry run, nothing was changed)" if record["check"] else "")]
    for text in first(list(map(problem, record["errors"])), MOST_PROBLEMS):
        # The mistakes in a document have lines of their own.
        lines += ("  ERROR    %s" % text).split("\n")
    lines += ["  warning  %s" % text for text in first(list(map(problem, record["warnings"])), MOST_PROBLEMS)]
    errors = set(record["errors"])
    for archive in record["archives"][:MOST_ROWS]:
        lines += _archive(archive, errors)
    if len(record["archives"]) > MOST_ROWS:
        lines.append(_DETAIL + REST % (len(record["archives"]) - MOST_ROWS))
    for name, pruned in record["pruned"].items():
        lines += _pruned(name, pruned, record["check"], kept)
    of_stores: t.Mapping[str, SyncRecord] = t.cast("t.Any", record).get("synced", {})
    for name, synced in of_stores.items():
        counts = (name, len(synced["copied"]), format_size(synced["bytes"]), len(synced["present"]), len(synced["failed"]))
        lines.append("  synced   %s: %d copied (%s), %d there already, %d failed" % counts)
        lines += [_DETAIL + key for key in first(synced["copied"])]
    if record["sources_deleted"]:
        lines.append("  deleted  %d source(s) that every required store has" % len(record["sources_deleted"]))
    if record["skipped"]:
        lines.append("  skipped  %d file(s):" % len(record["skipped"]))
        skipped = ["%s: %s" % (one["path"], one["reason"]) for one in record["skipped"]]
        lines += [_DETAIL + text for text in first(skipped, MOST)]
    spool = record["spool"]
    if spool["archives"]:
        lines.append("  spool    %d archive(s), %s, wait for the next run" % (spool["archives"], format_size(spool["bytes"])))
    return report_of(lines)


_DETAIL = " " * 13


def _archive(archive: ArchiveRecord, errors: t.Set[str]) -> t.List[str]:
    """The lines of an archive. errors: those of the run: the error of a store stands there once, not again under each archive."""
    logs = format_size(archive["source_bytes"])
    sizes = "%s from %s" % (format_size(archive["size"]), logs) if "size" in archive else logs
    lines = ["  %-8s %s  (%s)" % (archive["state"], archive["name"], sizes)]
    for name, copy in archive["stores"].items():
        error = copy.get("error")
        if error is not None and "store %s: %s" % (name, error) in errors:
            error = None
        result = copy.get("verified_by") or error or copy["state"]
        lines.append("           %s %s: %s" % ("ok" if copy["state"] == "verified" else "--", name, result))
    return lines


def _pruned(store: str, pruned: PruneRecord, check: bool, kept: bool) -> t.List[str]:
    lines = []
    removed = pruned["removed"]
    if removed or check:
        counts = len(removed), format_size(pruned["bytes_freed"]), pruned["kept"]
        lines.append("  pruned   %s: %d removed (%s), %d kept" % (store, *counts))
    if check:
        plan = [item for item in pruned["plan"] if kept or item["action"] == "remove"]
        return lines + [_DETAIL + "%-6s %s  (%s)" % (item["action"], item["key"], item["reason"]) for item in plan]
    return lines + [_DETAIL + key for key in first(removed)]
