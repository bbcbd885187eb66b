# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive drill``."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..base import beneath
from ..base.errors import LogArchiveError
from . import output
from .options import add_identities, add_jobs, add_store, each_document, progress_of
from .recorded import holdings_of

if t.TYPE_CHECKING:
    import argparse

    from ..config.document import JobDocument
    from ..run.drill import StoreDrill


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``drill``."""
    from ..run.drill import SAMPLE

    add_jobs(parser)
    add_store(parser, "drill only this store (default: every store of each job)")
    parser.add_argument(
        "--sample",
        metavar="N",
        type=_count,
        default=SAMPLE,
        help="how many archives of each job to restore from each store (default: %d)" % SAMPLE,
    )
    parser.add_argument(
        "--seed", metavar="TEXT", help="seed of the sample; the same seed chooses the same archives (default: today's date in UTC)"
    )
    parser.add_argument(
        "--folder",
        metavar="FOLDER",
        help="make a private folder for the plaintext in this folder (default: $TMPDIR, or /var/tmp)",
    )
    add_identities(parser)
    parser.add_argument("--html", metavar="FILE", help="also write the report to this HTML file")
    # What holdings_of takes from the options of ``restore``.
    parser.set_defaults(host=None, unencrypted=False)


def _count(text: str) -> int:
    import argparse

    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a number, at least 1: %r" % text)
    return int(text)


def drill(options: argparse.Namespace) -> int:
    """Restore a sample of the archives of each store to a private folder, compare every byte, and remove the plaintext."""
    import datetime

    from ..base.staging import temporary_folder
    from ..tell import drill_page, report_file

    began = datetime.datetime.now(datetime.timezone.utc)
    options.seed = options.seed or began.date().isoformat()
    folder = os.path.abspath(options.folder or temporary_folder())
    with beneath.open_folder(folder):
        pass  # One that does not exist is an error before anything is tried.
    drills: t.List[StoreDrill] = []
    errors: t.List[str] = []

    def failed(job: str, error: LogArchiveError) -> None:
        errors.append("%s: %s" % (job, error))

    code = each_document(options, lambda document: drills.extend(_of_job(document, options, folder)), failed)
    rows = [{**each._asdict(), "tried": [one._asdict() for one in each.tried]} for each in drills]
    if options.json:
        output.print_json(rows)
    else:
        output.print_text(drill_page.text(rows))
    codes = [code, *(each.exit_code for each in drills)]
    if options.html is not None:
        try:
            report_file.write(options.html, drill_page.render({"": (rows, errors)}, began), "page")
        except LogArchiveError as error:
            output.print_error("log-archive: %s" % error)
            codes.append(error.exit_code)
    return output.worst(codes)


def _of_job(document: JobDocument, options: argparse.Namespace, folder: str) -> t.Iterator[StoreDrill]:
    from ..run import drill as drills
    from ..state import catalog as catalogs

    with contextlib.ExitStack() as stack:
        holdings = holdings_of(document, options, stack)
        catalog = stack.enter_context(contextlib.closing(catalogs.reading(document)))
        for store in holdings.stores:
            held = catalog.held_by(t.cast(str, holdings.host), document["name"], store["name"])
            alone = holdings._replace(stores=[store])
            yield drills.of_store(alone, held, options.sample, options.seed, folder, progress_of(options))
