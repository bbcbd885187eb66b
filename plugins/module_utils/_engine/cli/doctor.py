# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive doctor``."""

from __future__ import annotations

import typing as t

from ..base.errors import NoJobsError
from . import output, stream_documents
from .options import add_jobs, each_document

if t.TYPE_CHECKING:
    import argparse

    from ..base.errors import LogArchiveError
    from ..config.document import JobDocument
    from ..run.doctor import Check


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``doctor``."""
    add_jobs(parser)


def examine(options: argparse.Namespace) -> int:
    """Show what is wrong with this host and its jobs, and the command that fixes it. It changes nothing."""
    from ..run import doctor
    from ..tell import report

    checks: t.List[Check] = list(doctor.host())

    def add(document: JobDocument) -> None:
        checks.extend(doctor.job(document, options.config))

    def failed(job: str, error: LogArchiveError) -> None:
        checks.append(doctor.unusable(job, error))

    # As in 'status', the names are those of jobs.
    rows = [] if options.jobs else stream_documents.status_of_all()
    try:
        each_document(options, add, failed)
    except NoJobsError:
        if not rows:
            raise
    checks.extend(doctor.stream(row) for row in rows)
    if options.json:
        output.print_json([check._asdict() for check in checks])
    else:
        output.print_text(report.checks([check._asdict() for check in checks]))
    return output.worst(check.exit_code for check in checks)
