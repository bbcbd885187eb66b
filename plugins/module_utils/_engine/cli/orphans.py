# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive orphans``: what is left of jobs, earlier names and stores that no job document names any more."""

from __future__ import annotations

import typing as t

from ..base.errors import EXIT_DONE, EXIT_PARTLY, ConfigError, UsageError
from . import output
from .leftovers import look
from .options import progress_of

if t.TYPE_CHECKING:
    import argparse

    from ..config.document import JobDocument
    from ..state.orphans import OrphanRow
    from ..state.record import RunRecord

OPTIONS_OF = {
    "into": ("adopt",),
    "stores_of": ("send", "remove-archives"),
    "store": ("send", "remove", "remove-archives"),
    "spool": ("remove",),
    "records": ("remove",),
}
"""The options that only some actions have."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``orphans``."""
    parser.add_argument(
        "action",
        nargs="?",
        default="list",
        choices=("list", "send", "adopt", "remove", "remove-archives"),
        help="list (default): show them, and change nothing. send: send the archives in the spool of JOB to stores of another job. adopt:"
        " give JOB's archives, ledger and records to another job, which lists JOB in 'was'. remove: remove what this host has of"
        " JOB; archives in stores stay. remove-archives: remove JOB's archives from the stores that it had, each with a tombstone in its"
        " ledger, which stays",
    )
    parser.add_argument(
        "job", metavar="JOB", nargs="?", help="the job that no document names, or the job that had the store or the earlier name"
    )
    parser.add_argument("--stores-of", metavar="JOB", help="send, remove-archives: use the stores and keys of this job")
    parser.add_argument(
        "--store", metavar="NAME", help="send, remove-archives: only this store. remove: only what the catalog records of this store"
    )
    parser.add_argument("--into", metavar="JOB", help="adopt: the job that lists JOB in 'was'")
    parser.add_argument("--spool", action="store_true", help="remove: give up archives that wait in the spool")
    parser.add_argument("--records", action="store_true", help="remove: forget archives that stores hold")
    parser.add_argument("--dry-run", action="store_true", help="each action: show what would be done, and change nothing")


def manage(options: argparse.Namespace) -> int:
    """List, send, adopt or remove."""
    for name, actions in OPTIONS_OF.items():
        if options.action not in actions and getattr(options, name) not in (None, False):
            option = "--" + name.replace("_", "-")
            raise UsageError("'orphans %s' has no option %s" % (options.action, option), hint="It is for 'orphans %s'" % actions[0])
    if options.action != "list" and options.job is None:
        raise UsageError("'orphans %s' needs the name of a job" % options.action, hint="'log-archive orphans' shows the names")
    return {"list": _list, "send": _send, "adopt": _adopt, "remove": _remove, "remove-archives": _remove_archives}[options.action](options)


def _list(options: argparse.Namespace) -> int:
    from ..tell import report

    found, problems = look(options.config)
    rows = [row for row in found if options.job in (None, row["job"])]
    for error in problems:
        output.print_error("log-archive: there may be more orphans: %s" % error)
    if options.json:
        output.print_json(rows)
    elif rows or not problems:
        output.print_text(report.orphans(rows) if rows else "no orphans")
    return output.worst([*(error.exit_code for error in problems), EXIT_PARTLY if rows else EXIT_DONE])


def _send(options: argparse.Namespace) -> int:
    from ..run.orphans import send

    document = _stores_of(options)
    rows = [row for row in _rows(options) if row["orphan"] == "job" and row["spool"]["archives"]]
    if not rows:
        raise ConfigError("nothing waits in the spool of such an orphan", options.job, "'log-archive orphans' lists them")
    record = send(rows[0], document, [options.store] if options.store else [], progress_of(options), options.dry_run)
    return _report(options, record)


def _adopt(options: argparse.Namespace) -> int:
    from ..run.job import locked
    from ..state import renames

    if options.into is None:
        raise UsageError("--into is missing", hint="Name the job that lists '%s' in 'was'" % options.job)
    document = _document(options, options.into)
    if options.job not in document["was"]:
        hint = 'Add "was": ["%s"] to its document, or in the inventory if Ansible writes it; else it cannot find the archives in its stores'
        raise ConfigError("the job '%s' does not list '%s' in 'was'" % (document["name"], options.job), hint=hint % options.job)
    taken: t.List[str] = []
    if options.dry_run:
        taken = document["was"] if renames.is_due(document) else []
    else:
        with locked(document) as names:
            taken = names
    if options.json:
        output.print_json([{"job": document["name"], "adopted": taken, "changed": bool(taken)}])
    else:
        verb = "would adopt " if options.dry_run else "adopted "
        what = ", ".join(taken) or "nothing is left to adopt"
        output.print_text("%s: %s%s" % (document["name"], verb if taken else "", what))
    return EXIT_DONE


def _remove(options: argparse.Namespace) -> int:
    from ..run.orphans import remove

    rows = [row for row in _rows(options) if options.store in (None, row["store"])]
    if not rows:
        raise ConfigError("there is no such orphan", options.job, "'log-archive orphans' lists them")
    done: t.List[t.Dict[str, t.Any]] = []
    for row in rows:
        removed = remove(row, options.spool, options.records, options.dry_run)
        done.append({"orphan": row["orphan"], "job": row["job"], "removed": removed, "changed": True})
    if options.json:
        output.print_json(done)
    else:
        would = "would remove" if options.dry_run else "removed"
        output.print_text("\n".join("%s: %s %s" % (one["job"], would, ", ".join(one["removed"])) for one in done))
    return EXIT_DONE


def _remove_archives(options: argparse.Namespace) -> int:
    from ..run.orphans import remove_archives

    document = _stores_of(options)
    rows = [row for row in _rows(options) if row["orphan"] == "job" and row["stores"]]
    if not rows:
        hint = "'log-archive orphans' lists them. If a job no longer has the store or the name, add it to the job again"
        raise ConfigError("no store has archives of such an orphan", options.job, hint)
    record = remove_archives(rows[0], document, [options.store] if options.store else [], progress_of(options), options.dry_run)
    return _report(options, record)


def _stores_of(options: argparse.Namespace) -> JobDocument:
    """The document of the job that --stores-of names."""
    if options.stores_of is None:
        raise UsageError("--stores-of is missing", hint="Name a job with the stores and keys to use")
    document = _document(options, options.stores_of)
    names = [store["name"] for store in document["stores"]]
    if options.store not in (None, *names):
        raise ConfigError("the job '%s' has no store of this name" % document["name"], options.store, "It has: %s" % ", ".join(names))
    return document


def _report(options: argparse.Namespace, record: RunRecord) -> int:
    from ..tell.recap import recap

    if options.json:
        output.print_json([record])
    else:
        (output.print_error if record["errors"] else output.print_text)(recap(record))
    return record["exit_code"]


def _rows(options: argparse.Namespace) -> t.List[OrphanRow]:
    """The orphans of the job. Raises LogArchiveError if not all documents are known: one of them may name it."""
    rows, problems = look(options.config)
    if problems:
        raise problems[0]
    return [row for row in rows if row["job"] == options.job]


def _document(options: argparse.Namespace, job: str) -> JobDocument:
    from ..config import files

    return files.load(files.find(options.config, [job])[0])
