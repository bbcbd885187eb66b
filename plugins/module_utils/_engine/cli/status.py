# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive status``."""

from __future__ import annotations

import functools
import os
import typing as t

from ..base.errors import LogArchiveError, NoJobsError, UsageError
from . import output, stream_documents
from .leftovers import orphans, write_orphans
from .options import add_jobs, age, each_document, opened
from .recorded import records

PAGE_DAYS = 90
"""The last days that the page shows."""

if t.TYPE_CHECKING:
    import argparse

    from ..config.document import JobDocument, JobStore
    from ..ingest.facts import StreamRow
    from ..run.audit import Audit
    from ..state.orphans import OrphanRow
    from ..state.status import Finding, StatusRow


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``status``."""
    parser.add_argument("jobs", metavar="JOB", nargs="*", help="name of a job, or path of its document (default: all jobs and streams)")
    parser.add_argument(
        "--max-age",
        metavar="DURATION",
        type=age,
        help="report a job as overdue if its last success is older, such as 26h (default: two periods of the job)",
    )
    parser.add_argument(
        "--coverage",
        metavar="DAYS",
        type=_days,
        help="with --json, also print which periods of the last DAYS days are archived, and the keys in use; with --html, the days of the"
        " page (default: 90)",
    )
    parser.add_argument("--html", metavar="FILE", help="write the status and the coverage as an HTML page to this file (needs Jinja2)")
    parser.add_argument("--offline", action="store_true", help="report what this host knows, without the stores and without streams")


def _days(text: str) -> int:
    import argparse

    from ..state.coverage import MOST_DAYS

    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MOST_DAYS:
        raise argparse.ArgumentTypeError("not a number of days from 1 to %d: %r" % (MOST_DAYS, text))
    return int(text)


def add_metrics_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``metrics``."""
    add_jobs(parser)


def write_metrics(options: argparse.Namespace) -> int:
    """Write the metrics of jobs, as their runs do. From then on a job is known, and an alert fires if it never runs."""
    rows: t.List[t.Dict[str, t.Any]] = []

    targets: t.Set[str] = set()

    def write(document: JobDocument) -> None:
        from ..run.metrics import targets_of, write as write_files

        targets.update(targets_of(document))
        rows.append({"job": document["name"], "files": write_files(document), "error": None})

    def failed(job: str, error: LogArchiveError) -> None:
        rows.append({"job": job, "files": [], "error": output.error_object(error)})

    code = each_document(options, write, failed)
    if targets:
        code = output.worst([code, write_orphans(options.config, targets)])
    if options.json:
        output.print_json(rows)
    else:
        for row in rows:
            output.print_text("%s: %s" % (row["job"], ", ".join(row["files"]) or "no metrics file"))
    return code


def show(options: argparse.Namespace) -> int:
    """Show the status of jobs, and without names that of streams."""
    from ..run.audit import auditing
    from ..state import status
    from ..tell import report
    from ..tell.lacking import all_lacked, status_of

    if options.html and options.json:
        raise UsageError("--html and --json cannot be used together", hint="Run the command twice")
    days = options.coverage or (PAGE_DAYS if options.html else None)
    if days is not None and not (options.html or options.json):
        raise UsageError("--coverage needs --json or --html", hint="Its figures are not for a terminal")
    rows: t.List[StatusRow] = []
    found = [] if options.jobs or options.offline else stream_documents.status_of_all()
    left = [] if options.jobs else orphans(options.config)

    def add(document: JobDocument) -> None:
        row = status_of(document, options.max_age)
        with auditing(document) as audit:
            if not options.offline:
                status.add_findings(row, *_compare(document, audit))
            status.add_ledger(row, audit.head, audit.broken)
        if days is not None:
            status.add_coverage(row, document, days, all_lacked(document, row))
        rows.append(row)

    try:
        each_document(options, add, lambda job, error: rows.append(status.unusable(job, error)))
    except NoJobsError:
        # A host may have streams only, or what is left of its jobs.
        if not (found or left):
            raise
    if options.json:
        output.print_json([*rows, *found, *left], compact=days is not None)
    elif options.html:
        _write_page(options.html, [*rows, *found, *left])
    else:
        from ..tell import streams as texts

        parts = [report.status(rows)] * bool(rows) + [texts.status(found)] * bool(found) + [report.orphans(left)] * bool(left)
        output.print_text("\n".join(parts))
    return output.worst(row["exit_code"] for row in [*rows, *found, *left])


def _write_page(path: str, rows: t.Sequence[t.Union[StatusRow, StreamRow, OrphanRow]]) -> None:
    from datetime import datetime, timezone

    from ..archive.naming import host_name
    from ..tell import report_file
    from ..tell.fleet_page import render
    from ..tell.fleet_rows import Host

    failed = any(row["exit_code"] for row in rows)
    host = Host(host_name(None), "failed" if failed else "ok", t.cast("t.Sequence[t.Dict[str, t.Any]]", rows), [])
    page = render([host], datetime.now(timezone.utc))
    # The page names hosts and paths, so a new file is private. An existing file keeps its mode.
    report_file.write(path, page, "page", os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o600)
    output.print_text("%s: written" % path)


def _compare(document: JobDocument, audit: Audit) -> t.Tuple[t.List[Finding], t.Dict[str, str]]:
    """Compare the listings of the job's stores with the catalog and the ledger: what is wrong, and {store: why it could not be listed}."""
    from ..archive.naming import folder_keys, host_name
    from ..holdings.comparison import compare

    findings: t.List[Finding] = []
    unreachable: t.Dict[str, str] = {}
    own = folder_keys(host_name(document["host"]), document)
    with records(document, document["stores"]) as recorded:
        for store_options in document["stores"]:
            name = store_options["name"]
            record = recorded[name]
            if audit.is_alone:
                record = record._replace(compared=None)
            elif record.compared is None or record.compared.is_empty():
                continue
            try:
                # One attempt: the next call asks again, and a monitor does not wait.
                with opened(t.cast("JobStore", {**store_options, "attempts": 1})) as store:
                    explain = functools.partial(audit.explain, store)
                    wrong = compare(store, record, own, explain if audit.is_kept else None)
                    audit.check_heads(store, thorough=False)
            except LogArchiveError as error:
                unreachable[name] = str(error)
                continue
            findings += [{"store": name, "key": key, "error": why} for key, why in wrong.items()]
    return findings, unreachable
