# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive adopt``."""

from __future__ import annotations

import typing as t

from ..base.errors import ConfigError, UsageError
from . import output
from .options import documents, progress_of, stores

if t.TYPE_CHECKING:
    import argparse

    from ..config.document import JobDocument


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``adopt``."""
    parser.add_argument("store", metavar="STORE", help="name of the store that has the archives")
    parser.add_argument(
        "jobs",
        metavar="JOB",
        nargs="?",
        help="the job that gets the archives (default: the only job that has a store of this name)",
    )
    parser.add_argument(
        "--template",
        metavar="TEMPLATE",
        required=True,
        help="names of the archives below the root of the store, such as '%%Y%%d%%m.tgz' or 'old/syslog.%%Y%%m%%d.%%H.tar.gz.encrypted':"
        " time codes of strftime, in the time zone of the job, and the wildcards *, ?, [...] and **",
    )
    parser.add_argument(
        "--key-file",
        metavar="FILE",
        action="append",
        default=[],
        help="file with the Fernet key of the script (mode 0600); the keyring of the job gets a copy if it opens an archive; repeatable",
    )
    parser.add_argument("--dry-run", action="store_true", help="read every archive, show what would be adopted, and change nothing")


def adopt(options: argparse.Namespace) -> int:
    """Adopt the archives of an earlier script."""
    from ..run import adopt as adopting
    from ..tell import adopted

    document = _document(options)
    wanted = adopting.Wanted(options.store, options.template, adopting.read_keys(options.key_file))
    record = adopting.adopt(document, wanted, check=options.dry_run, progress=progress_of(options))
    if options.json:
        output.print_json([record])
    else:
        (output.print_error if record["errors"] else output.print_text)(adopted.text(record))
    return record["exit_code"]


def _document(options: argparse.Namespace) -> JobDocument:
    """The document of the job. Raises ConfigError, UsageError."""
    options.jobs = [options.jobs] if options.jobs else []
    found = documents(options)
    if options.jobs:
        stores(found[0], options.store)
        return found[0]
    having = [document for document in found if options.store in [store["name"] for store in document["stores"]]]
    if not having:
        known = sorted({store["name"] for document in found for store in document["stores"]})
        raise ConfigError("no job has a store of this name", options.store, "The stores are: %s" % ", ".join(known))
    if len(having) > 1:
        names = ", ".join(document["name"] for document in having)
        raise UsageError(
            "%d jobs have a store of the name '%s': %s" % (len(having), options.store, names), hint="Name the job after the store"
        )
    return having[0]
