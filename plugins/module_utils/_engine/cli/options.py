# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that several commands have, and the jobs, stores and archives that they name."""

from __future__ import annotations

import contextlib
import os
import sys

from ..base import hints as t
from ..base.errors import ConfigError, LogArchiveError, UsageError
from ..base.progress import no_progress
from ..config.spec import DEFAULT_CONFIG, DEFAULT_STREAMS
from . import output

if t.TYPE_CHECKING:
    import argparse
    from datetime import datetime

    from ..base.progress import Progress
    from ..config.document import JobDocument, JobStore
    from ..crypto.envelope import Offline
    from ..stores.base import Store

FOLDERS = {"job": ("LOG_ARCHIVE_CONFIG", DEFAULT_CONFIG), "stream": ("LOG_ARCHIVE_STREAMS", DEFAULT_STREAMS)}
"""By kind of document: the variable that names its folder, and the default."""


def default_config(kind: str) -> str:
    """The folder of documents of this kind if ``--config`` names none."""
    variable, folder = FOLDERS[kind]
    return os.environ.get(variable) or folder


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name jobs."""
    parser.add_argument("jobs", metavar="JOB", nargs="*", help="name of a job, or path of its document (default: all jobs)")


def add_jobs_or_all(parser: argparse.ArgumentParser, text: str) -> None:
    """Add the arguments that name jobs, for a command that changes something: it never means all jobs by naming none."""
    parser.add_argument("jobs", metavar="JOB", nargs="*", help="name of a job, or path of its document")
    parser.add_argument("--all", action="store_true", help=text)


def check_jobs_or_all(options: argparse.Namespace) -> None:
    """Raise UsageError unless the options name jobs, or all of them."""
    if options.jobs and options.all:
        raise UsageError("--all cannot be combined with names of jobs")
    if not options.jobs and not options.all:
        raise UsageError("no job given", hint="Name a job, or use --all")


def add_store(parser: argparse.ArgumentParser, text: str) -> None:
    """Add the option that names one store."""
    parser.add_argument("--store", metavar="NAME", help=text)


def add_archives(parser: argparse.ArgumentParser) -> None:
    """Add the options that select archives by job, period and host."""
    add_jobs(parser)
    add_range(parser)


def add_range(parser: argparse.ArgumentParser) -> None:
    """Add the options that select archives by period and host."""
    add_period(parser)
    parser.add_argument("--host", help="archives of this host (default: this host; '*' selects every host)")


def add_period(parser: argparse.ArgumentParser) -> None:
    """Add the options that select archives by period."""
    parser.add_argument(
        "--since", metavar="TIME", type=time_argument, help="only periods that end after this time (2024-01-12 or 2024-01-12T13:00Z)"
    )
    parser.add_argument("--until", metavar="TIME", type=time_argument, help="only periods that begin before this time")


def add_identities(parser: argparse.ArgumentParser) -> None:
    """Add the options with what opens archives beside the keyring of the job."""
    parser.add_argument(
        "--identity",
        metavar="FILE",
        action="append",
        default=[],
        help="file with the private key of a recipient, made by age-keygen or 'key new-identity'; repeatable",
    )
    parser.add_argument(
        "--archive-key-file",
        metavar="FILE",
        action="append",
        default=[],
        help="file with keys of single archives, one per line, as 'key unwrap' prints them; repeatable",
    )


def offline_of(options: argparse.Namespace) -> Offline:
    """What opens archives beside the keyring of the job. Raises IdentityError, MissingLibraryError."""
    from ..crypto.envelope import NOT_OFFLINE, Offline

    if not (options.identity or options.archive_key_file):
        return NOT_OFFLINE
    from ..crypto import recipients

    keys = [item for path in options.archive_key_file for item in recipients.read_archive_keys(path).items()]
    return Offline(recipients.read_identities(options.identity), dict(keys))


def add_foreign(parser: argparse.ArgumentParser) -> None:
    """Add the options that select archives of a job that has no document here."""
    parser.add_argument(
        "--of-job",
        metavar="NAME",
        help="archives of the job NAME, which needs no document, in the stores of JOB and with its keys ('*' selects every job)",
    )
    parser.add_argument(
        "--prefix", metavar="PREFIX", help="with --store: another prefix of the bucket, or another folder of the server or of this host"
    )


def check_foreign(options: argparse.Namespace) -> None:
    """Raise UsageError if these options do not go together with the others."""
    from ..config import files

    if options.prefix is not None and options.store is None:
        raise UsageError("--prefix needs --store", hint="Name the store in which the archives have this prefix")
    foreign = options.of_job is not None or options.prefix is not None
    if foreign and len(files.find(options.config, options.jobs)) != 1:
        raise UsageError("--of-job and --prefix need the name of one job", hint="Name the job with the stores and keys to use")


def job_of(document: JobDocument, options: argparse.Namespace) -> t.Tuple[t.Optional[str], t.List[str]]:
    """The job to select archives of, None for every job, and its earlier names."""
    if getattr(options, "of_job", None) is not None:
        return (None if options.of_job == "*" else options.of_job), []
    return document["name"], document["was"]


def is_foreign(options: argparse.Namespace) -> bool:
    """Whether the catalog of the job does not know the archives that are selected."""
    return getattr(options, "of_job", None) is not None or getattr(options, "prefix", None) is not None


def check_range(options: argparse.Namespace) -> None:
    """Raise UsageError for a range of time in which nothing can be."""
    if options.since is not None and options.until is not None and options.since > options.until:
        raise UsageError("--since is later than --until", hint="Swap them")


def age(text: str) -> float:
    """The type of an option that is an age, in seconds."""
    import argparse

    from ..base.units import parse_age

    try:
        return parse_age(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def documents(options: argparse.Namespace) -> t.List[JobDocument]:
    """The documents of the jobs that the options name. Raises ConfigError."""
    from ..config import files

    return [files.load(path) for path in files.find(options.config, options.jobs)]


def each_document(
    options: argparse.Namespace, call: t.Callable[[JobDocument], None], failed: t.Callable[[str, LogArchiveError], None]
) -> int:
    """Call it with the document of each job that the options name; returns the exit code of the jobs that failed.

    failed: called with the name of a job and its error, which is also printed: the job has a document or a catalog that cannot be used, or
    a store that fails. The other jobs are not affected. Raises ConfigError if a job has no document.
    """
    from ..config import files

    codes = []
    for path in files.find(options.config, options.jobs):
        try:
            call(files.load(path))
        except LogArchiveError as error:
            output.print_error("log-archive: %s" % error)
            codes.append(error.exit_code)
            failed(files.job_of(path), error)
    return output.worst(codes)


def stores(document: JobDocument, name: t.Optional[str]) -> t.List[JobStore]:
    """The store of the job with this name, or all its stores. Raises ConfigError if the job has no such store."""
    found = [store for store in document["stores"] if name in (None, store["name"])]
    if not found:
        known = ", ".join(store["name"] for store in document["stores"])
        raise ConfigError("the job '%s' has no store of this name" % document["name"], str(name), "Its stores are: %s" % known)
    return found


def chosen_stores(document: JobDocument, options: argparse.Namespace) -> t.List[JobStore]:
    """The stores that the options choose, with the prefix that they give. Raises ConfigError."""
    found = stores(document, options.store)
    prefix = getattr(options, "prefix", None)
    if prefix is None:
        return found
    changed = {**found[0], "prefix" if found[0]["type"] == "s3" else "path": prefix}
    return [t.cast("JobStore", changed)]


def opened(store: JobStore) -> t.ContextManager[Store]:
    """The store, open as long as the context lasts."""
    from ..stores.opening import open_store

    return contextlib.closing(open_store(store))


def host_of(document: JobDocument, options: argparse.Namespace) -> t.Optional[str]:
    """The host to select archives of; None for every host."""
    from ..archive.naming import host_name

    return None if options.host == "*" else options.host or host_name(document["host"])


def progress_of(options: argparse.Namespace) -> Progress:
    """A progress bar if somebody sees it."""
    if not sys.stderr.isatty():
        return no_progress
    from .progress import is_shown, progress_bar

    return progress_bar if is_shown(options) else no_progress


def time_argument(text: str) -> datetime:
    """The type of an option that is a time; without an offset it is in UTC."""
    import argparse

    from ..base.units import parse_time

    try:
        return parse_time(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
