# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive restore``."""

from __future__ import annotations

import os
import typing as t

from ..base.errors import EXIT_DONE
from . import output
from .options import add_archives, add_store, check_range, documents, host_of, progress_of, stores

if t.TYPE_CHECKING:
    import argparse

    from ..tell.report import RestoredRow


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``restore``."""
    add_archives(parser)
    parser.add_argument("--to", metavar="FOLDER", required=True, help="destination; files keep their paths below it")
    parser.add_argument(
        "--name", metavar="NAME", action="append", default=[], help="name or key of an archive, or path of a log; repeatable"
    )
    parser.add_argument("--latest", action="store_true", help="only the newest period of each job")
    add_store(parser, "restore only from this store (default: from the first store of the job that has the archive)")
    parser.add_argument("--overwrite", action="store_true", help="replace files that have other content")
    parser.add_argument("--unencrypted", action="store_true", help="accept unencrypted archives of a job that encrypts")
    parser.add_argument("--dry-run", action="store_true", help="show what would be restored, and write nothing")


def restore(options: argparse.Namespace) -> int:
    """Restore archives."""
    from ..crypto.envelope import encrypts
    from ..holdings.inventory import Choice
    from ..holdings.restore import Holdings, restore_from_stores
    from ..tell import report

    check_range(options)
    holdings = []
    for document in documents(options):
        encryption = document["encryption"]
        unencrypted = options.unencrypted or not encrypts(encryption)
        where = stores(document, options.store), host_of(document, options), document["name"]
        holdings.append(Holdings(*where, encryption["keyring"], unencrypted))
    results: t.List[RestoredRow] = []
    for restored in restore_from_stores(
        holdings,
        Choice(options.name, options.since, options.until, options.latest),
        os.path.abspath(options.to),
        options.overwrite,
        options.dry_run,
        progress_of(options),
        lambda text: output.print_error("log-archive: %s" % text),
    ):
        for file in restored.files:
            state = "would be written" if options.dry_run and file.state == "written" else file.state
            results.append(
                {
                    "archive": restored.archive.key,
                    "store": restored.store,
                    "path": file.path,
                    "name": file.name,
                    "size": file.size,
                    "sha256": file.sha256,
                    "state": state,
                }
            )
    if options.json:
        output.print_json(results)
    else:
        output.print_text(report.restored(results))
    return EXIT_DONE
