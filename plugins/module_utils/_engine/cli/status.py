# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive status``."""

from __future__ import annotations

import typing as t

from . import output
from .options import add_jobs, age, documents

if t.TYPE_CHECKING:
    import argparse


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``status``."""
    add_jobs(parser)
    parser.add_argument(
        "--max-age",
        metavar="DURATION",
        type=age,
        help="report a job as overdue if its last success is older, such as 26h (default: two periods of the job)",
    )


def show(options: argparse.Namespace) -> int:
    """Show the status of jobs."""
    from ..state import status
    from ..tell import report

    rows = [status.of(document, options.max_age) for document in documents(options)]
    if options.json:
        output.print_json(rows)
    else:
        output.print_text(report.status(rows))
    return output.worst(row["exit_code"] for row in rows)
