# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive audit validate``."""

from __future__ import annotations

import datetime
import typing as t

from ..base.errors import ConfigError, LogArchiveError
from . import output
from .options import (
    add_identities,
    add_jobs,
    add_store,
    check_range,
    each_document,
    host_of,
    offline_of,
    progress_of,
    stores,
    time_argument,
)

if t.TYPE_CHECKING:
    import argparse

    from ..audit.facts import Report
    from ..audit.validate import Wanted
    from ..config.document import CloudTrailOptions, JobDocument


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``audit validate``."""
    add_jobs(parser)
    parser.add_argument(
        "--since",
        metavar="TIME",
        type=time_argument,
        help="start of the time to validate (2024-01-12 or 2024-01-12T13:00Z; default: where the last validation ended)",
    )
    parser.add_argument("--until", metavar="TIME", type=time_argument, help="end of the time to validate (default: now)")
    parser.add_argument(
        "--trail", metavar="NAME", help="only the digests of the trail of this name (default: of every trail in the bucket)"
    )
    parser.add_argument(
        "--trail-start",
        metavar="TIME",
        type=time_argument,
        help="when the trail or its log file validation was enabled or started again, so that its first digest refers to no earlier one",
    )
    parser.add_argument("--archives", action="store_true", help="validate the archives in the stores of the job instead of the bucket")
    add_store(parser, "validate the archives in this store")
    add_identities(parser)
    parser.add_argument("--host", help="archives of this host (default: this host)")
    parser.add_argument(
        "--offline", action="store_true", help="do not ask CloudTrail for public keys; use only those of earlier validations"
    )
    parser.add_argument("--html", metavar="FILE", help="write the report as an HTML page")
    parser.add_argument("--report", metavar="FILE", help="write the report as JSON")


def validate(options: argparse.Namespace) -> int:
    """Validate the trails of jobs."""
    from ..tell import audit_page, report_file

    check_range(options)
    reports: t.List[Report] = []
    failures: t.List[t.Dict[str, t.Any]] = []
    unsuited: t.List[str] = []

    def validate_job(document: JobDocument) -> None:
        if document["cloudtrail"] is None:
            if options.jobs:
                raise ConfigError("the job has no source cloudtrail", document["name"], "Name a job that archives a trail")
            unsuited.append(document["name"])
        else:
            reports.append(_validate(document, options))

    def add_failed(job: str, error: LogArchiveError) -> None:
        failures.append({"name": job, "error": output.error_object(error)})

    code = each_document(options, validate_job, add_failed)
    if unsuited and not reports and not failures:
        raise ConfigError("no job has the source cloudtrail", ", ".join(unsuited), "Add a job with it; see 'log-archive sample-config'")
    if options.json:
        output.print_json([*reports, *failures])
    else:
        output.print_text(audit_page.as_text(reports))
    for path, text in ((options.report, audit_page.as_json), (options.html, audit_page.render)):
        if path is not None:
            report_file.write(path, text(reports), "report")
    return output.worst([code, *(report["exit_code"] for report in reports)])


def _validate(document: JobDocument, options: argparse.Namespace) -> Report:
    from ..audit import opening

    trail = t.cast("CloudTrailOptions", document["cloudtrail"])
    job = opening.Job(document["name"], trail, document["state"], offline=options.offline)
    if not (options.archives or options.store):
        return opening.validate_bucket(job, _wanted(options), progress_of(options))
    from ..holdings.stock import Holdings
    from .recorded import records

    chosen = stores(document, options.store)
    host = host_of(document, options)
    encryption = document["encryption"]
    with records(document, chosen, host) as recorded:
        holdings = Holdings(
            chosen,
            host,
            document["name"],
            encryption["keyring"],
            encryption["format"] == "none",
            recorded,
            document["was"],
            offline_of(options),
        )
        return opening.validate_archives(job, holdings, _wanted(options), progress_of(options))


def _wanted(options: argparse.Namespace) -> Wanted:
    from ..audit.validate import Wanted

    now = datetime.datetime.now(datetime.timezone.utc)
    return Wanted(now, options.since, options.until, options.trail, options.trail_start)
