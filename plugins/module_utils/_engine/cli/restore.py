# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive restore``."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..base.texts import line
from . import output
from .options import (
    add_archives,
    add_foreign,
    add_identities,
    add_store,
    check_foreign,
    check_range,
    each_document,
    progress_of,
)
from .recorded import holdings_of

if t.TYPE_CHECKING:
    import argparse

    from ..holdings.restore import Restored
    from ..holdings.stock import Holdings
    from ..tell.report import RestoredRow


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``restore``."""
    add_archives(parser)
    parser.add_argument("--to", metavar="FOLDER", required=True, help="destination; files keep their paths below it")
    names = "name or key of an archive, or path of a log, of which only that log is restored; repeatable"
    parser.add_argument("--name", metavar="NAME", action="append", default=[], help=names)
    parser.add_argument("--latest", action="store_true", help="only the newest period of each job")
    add_store(parser, "restore only from this store (default: from the first store of the job that has the archive)")
    add_foreign(parser)
    add_identities(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace files that have other content")
    parser.add_argument("--unencrypted", action="store_true", help="accept unencrypted archives of a job that encrypts")
    parser.add_argument("--dry-run", action="store_true", help="show what would be restored, and write nothing")


def restore(options: argparse.Namespace) -> int:
    """Restore archives. One that fails does not keep the others from being restored."""
    from ..base.rows import Rows
    from ..holdings.restore import failure, restore_from_stores
    from ..holdings.trust import Choice
    from ..tell import report

    check_range(options)
    check_foreign(options)
    results: Rows[RestoredRow] = Rows()
    done: t.List[Restored] = []
    with contextlib.ExitStack() as stack:
        holdings: t.List[Holdings] = []
        code = each_document(options, lambda document: holdings.append(holdings_of(document, options, stack)), lambda _job, _error: None)
        if not holdings:
            if options.json:
                output.print_json([])
            return code
        for restored in restore_from_stores(
            holdings,
            Choice(options.name, options.since, options.until, options.latest),
            os.path.abspath(options.to),
            options.overwrite,
            options.dry_run,
            progress_of(options),
            lambda text: output.print_error("log-archive: %s" % line(text)),
        ):
            for row in _rows(restored, options.dry_run):
                results.append(row)
            done.append(restored)
            if restored.error is not None:
                output.print_error("log-archive: %s was not restored: %s" % (line(restored.key), restored.error))
    if options.json:
        output.print_json(list(results))
    else:
        output.print_text(report.restored(results))
    output.print_library_problems()
    error = failure(done)
    if error is None:
        return code
    output.print_error("log-archive: %s" % error)
    return output.worst((code, error.exit_code))


def _rows(restored: Restored, dry_run: bool) -> t.Iterator[RestoredRow]:
    """The rows of one archive: one for each file, or one without a file if it failed."""
    common = {"archive": restored.key, "store": restored.store, "authenticated": restored.authenticated, "error": None}
    if restored.error is not None:
        failed = dict(common, path=None, name=None, size=0, sha256=None, state="failed", error=str(restored.error))
        yield t.cast("RestoredRow", failed)
    for file in restored.files:
        state = "would be written" if dry_run and file.state == "written" else file.state
        yield t.cast("RestoredRow", {**common, **file._asdict(), "state": state})
