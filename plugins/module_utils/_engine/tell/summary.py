# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The content of a notification, independent of its form: the rows of its tables, for one run or for the runs of a fleet."""

from __future__ import annotations

import typing as t

from ..base.levels import VERIFICATION_LEVELS
from ..base.lists import MOST_ROWS, REST, first
from ..base.texts import line, printable
from ..base.units import format_duration, format_size
from .recap import MOST_PROBLEMS
from .records import has_failed, state_of
from .texts import problem

if t.TYPE_CHECKING:
    from ..state.record import ArchiveRecord, RunRecord

Row = t.Tuple[str, t.Sequence[str]]
"""A row of a table: its state ('done', 'warning' or 'failed'), and its cells."""

MOST_OF_FLEET = 200
"""Errors and warnings of several runs that are listed."""

STEPS_HEAD = ("Step", "What")
ARCHIVES_HEAD = ("Archive", "Size", "State", "Copies")
RUNS_HEAD = ("Host", "Job", "Outcome", "Archives", "Size", "Errors / warnings")


def subject(records: t.Sequence[RunRecord], recovered: bool = False) -> str:
    """One line. recovered: whether the run before this one failed."""
    if len(records) == 1:
        record = records[0]
        outcome = record["outcome"] + (", recovered" if recovered else "")
        if has_failed(record) and record["outcome"] != "failed":
            outcome = "failed (%s)" % outcome
        return line("%s %s: %s%s" % (record["host"], record["job"], outcome, " (dry run)" if record["check"] else ""))
    failed = sum(map(has_failed, records))
    hosts = len({record["host"] for record in records})
    return "%s on %s: %s" % (_count(len(records), "run"), _count(hosts, "host"), "%d failed" % failed if failed else "done")


def facts(record: RunRecord) -> t.List[t.Tuple[str, str]]:
    """Names and values that describe one run."""
    return [
        ("Host", record["host"]),
        ("Job", record["job"]),
        ("Outcome", record["outcome"]),
        ("Started", record["started"] or "-"),
        ("Duration", format_duration(record["seconds"]) if record["started"] else "-"),
        ("Errors", str(len(record["errors"]))),
        ("Warnings", str(len(record["warnings"]))),
    ]


def steps(record: RunRecord) -> t.List[Row]:
    """Each step of a run with its state, what it did, and the numbers of its errors and warnings."""
    rows: t.List[Row] = []
    for name, step in record["steps"].items():
        counts = [_count(count, what) for count, what in ((step["errors"], "error"), (step["warnings"], "warning")) if count]
        rows.append((step["state"], (name, ", ".join([*_results(record, name), *counts]) or "done")))
    return rows


def archives(record: RunRecord) -> t.List[Row]:
    """Each archive with its size and how its copies were verified."""
    rows: t.List[Row] = []
    for archive in record["archives"][:MOST_ROWS]:
        copies = ["%s: %s" % (name, copy.get("verified_by") or copy["state"]) for name, copy in archive["stores"].items()]
        waits = any(copy["state"] == "pending" for copy in archive["stores"].values())
        cells = (archive["name"], format_size(size_of(archive)), archive["state"], ", ".join(copies))
        rows.append(("warning" if waits else "done", cells))
    if len(record["archives"]) > MOST_ROWS:
        rows.append(("done", (REST % (len(record["archives"]) - MOST_ROWS), "", "", "")))
    return rows


def removed(record: RunRecord) -> t.List[str]:
    """The archives that retention removed, with their stores."""
    return first(["%s: %s" % (store, key) for store, pruned in record["pruned"].items() for key in pruned["removed"]])


def runs(records: t.Sequence[RunRecord]) -> t.List[Row]:
    """Each run of a fleet: failed runs first, then runs with warnings."""
    order = ["failed", "warning", "done"]
    rows: t.List[Row] = []
    for record in sorted(records, key=lambda record: (order.index(state_of(record)), record["host"], record["job"])):
        size = format_size(sum(map(size_of, record["archives"])))
        counts = "%d / %d" % (len(record["errors"]), len(record["warnings"]))
        rows.append((state_of(record), (record["host"], record["job"], record["outcome"], str(len(record["archives"])), size, counts)))
    return rows


def problems(records: t.Sequence[RunRecord]) -> t.List[t.Tuple[str, str]]:
    """('error' or 'warning', text): all errors before all warnings, with host and job if there are several runs.

    Only the mistakes in a document have lines of their own, below the error.
    """
    found = []
    for kind, texts, safe in (
        ("error", [record["errors"] for record in records], printable),
        ("warning", [record["warnings"] for record in records], line),
    ):
        for record, lines in zip(records, texts):
            prefix = "%s %s: " % (record["host"], record["job"]) if len(records) > 1 else ""
            found += [(kind, line(prefix) + safe(text)) for text in first(list(map(problem, lines)), MOST_PROBLEMS)]
    rest = len(found) - MOST_OF_FLEET
    return found if rest <= 0 else [*found[:MOST_OF_FLEET], (found[MOST_OF_FLEET][0], REST % rest)]


def size_of(archive: ArchiveRecord) -> int:
    """Bytes of an archive; in a dry run, of the logs that it would hold."""
    return archive.get("size", archive.get("source_bytes", 0))


def _results(record: RunRecord, step: str) -> t.List[str]:
    kind, _blank, store = step.partition(" ")
    if step == "select":
        counts = ((len(record["skipped"]), "skipped"), (len(record["missing"]), "missing"))
        return ["%d %s" % (count, what) for count, what in counts if count]
    if step == "pack":
        return [_count(len(record["archives"]), "archive"), format_size(sum(map(size_of, record["archives"])))]
    if kind == "store":
        return _copies(record["archives"], store)
    if kind == "prune" and store in record["pruned"]:
        pruned = record["pruned"][store]
        return ["%d removed" % len(pruned["removed"]), format_size(pruned["bytes_freed"]), "%d kept" % pruned["kept"]]
    if step == "delete sources":
        return ["%d deleted" % len(record["sources_deleted"])]
    return []


def _copies(archives: t.Sequence[ArchiveRecord], store: str) -> t.List[str]:
    copies = [archive["stores"][store] for archive in archives if store in archive["stores"]]
    levels = [copy.get("verified_by") for copy in copies]
    waiting = sum(copy["state"] == "pending" for copy in copies)
    texts = ["%d verified by %s" % (levels.count(level), level) for level in VERIFICATION_LEVELS if level in levels]
    return texts + ["%d waiting" % waiting] * bool(waiting)


def _count(number: int, what: str) -> str:
    return "%d %s%s" % (number, what, "" if number == 1 else "s")
