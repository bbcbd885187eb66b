# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive run``, ``log-archive prune`` and ``log-archive sync``."""

from __future__ import annotations

from ..base import hints as t
from ..base.errors import LockedError, LogArchiveError, UsageError
from . import output
from .options import add_jobs_or_all, add_period, add_store, check_jobs_or_all, check_range, progress_of, stores

if t.TYPE_CHECKING:
    import argparse

    from ..config.document import JobDocument
    from ..run.context import Confirm
    from ..state.record import RunRecord


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``run``."""
    add_jobs_or_all(parser, "run every job")
    # A dry run uploads nothing, so it has nothing to ask.
    uploads = parser.add_mutually_exclusive_group()
    uploads.add_argument("--dry-run", action="store_true", help="show what a run would do, and change nothing")
    uploads.add_argument(
        "--confirm",
        action="store_true",
        help="ask before each upload to another machine; without an answer within two minutes, nothing is uploaded",
    )
    uploads.add_argument(
        "--no-upload", action="store_true", help="upload nothing to other machines; archives wait in the spool for a later run"
    )


def run(options: argparse.Namespace) -> int:
    """Run jobs."""
    from ..run import job

    check_jobs_or_all(options)
    confirm: t.Optional[Confirm] = _decline if options.no_upload else None
    if options.confirm:
        from .confirm import Questions

        confirm = Questions()
    progress = progress_of(options)
    targets: t.List[str] = []

    def run_one(document: JobDocument) -> RunRecord:
        targets.extend(str(target["path"]) for target in document["notify"] if target["type"] == "textfile")
        return job.run(document, confirm=confirm, progress=progress, check=options.dry_run, documented=True)

    code = _each(options, run_one, notify=not options.dry_run)
    if targets and not options.dry_run:
        from .leftovers import write_orphans

        # Its error is printed; the run itself is what it is.
        write_orphans(options.config, targets)
    return code


def add_send_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``send``."""
    add_jobs_or_all(parser, "send what waits for every job")
    parser.add_argument("--dry-run", action="store_true", help="show what would be sent, and change nothing")


def send(options: argparse.Namespace) -> int:
    """Send what waits in the spool."""
    from ..run import job

    check_jobs_or_all(options)
    progress = progress_of(options)
    return _each(options, lambda document: job.send(document, progress=progress, check=options.dry_run), notify=False)


def add_prune_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``prune``."""
    add_jobs_or_all(parser, "prune every job")
    add_store(parser, "prune only this store")
    parser.add_argument("--dry-run", action="store_true", help="show the plan, with a reason for each archive, and remove nothing")
    parser.add_argument(
        "--max-delete-share",
        metavar="SHARE",
        type=_share,
        help="for this call, instead of the policy's max_delete_share: the maximum share of the archives to delete, above 0 and up to 1",
    )


def prune(options: argparse.Namespace) -> int:
    """Apply the retention of jobs."""
    from ..run import job

    check_jobs_or_all(options)

    def prune_one(document: JobDocument) -> RunRecord:
        names = [store["name"] for store in stores(document, options.store)]
        return job.prune(document, names, check=options.dry_run, max_delete_share=options.max_delete_share)

    return _each(options, prune_one, notify=False)


def add_sync_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``sync``."""
    add_jobs_or_all(parser, "sync the stores of every job")
    parser.add_argument("--from", dest="source", metavar="STORE", help="copy only from this store (default: from any store of the job)")
    parser.add_argument("--to", dest="destination", metavar="STORE", help="copy only to this store (default: to every store of the job)")
    add_period(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would be copied, and copy nothing")


def sync(options: argparse.Namespace) -> int:
    """Copy archives between the stores of jobs."""
    check_jobs_or_all(options)
    check_range(options)
    if options.source is not None and options.source == options.destination:
        raise UsageError("--from and --to name the same store", hint="Name two stores of the job, or leave one of them out")
    progress = progress_of(options)

    def sync_one(document: JobDocument) -> RunRecord:
        from ..run.sync import Wanted, sync

        sources, destinations = ([store["name"] for store in stores(document, name)] for name in (options.source, options.destination))
        wanted = Wanted(sources, destinations, options.since, options.until)
        return sync(document, wanted, check=options.dry_run, progress=progress)

    return _each(options, sync_one, notify=False)


def _share(text: str) -> float:
    from argparse import ArgumentTypeError

    from ..holdings.policy import read_share

    try:
        return read_share(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _each(options: argparse.Namespace, call: t.Callable[[JobDocument], RunRecord], notify: bool) -> int:
    """Call it for each job document and print its record. If one job fails, the others still run.

    notify: report a document with mistakes to the receivers that can be read from it.
    """
    from ..config import files

    rows: t.List[t.Mapping[str, t.Any]] = []
    for path in files.find(options.config, options.jobs):
        try:
            record = call(_loaded(path, notify))
            rows.append(record)
        except Exception as error:
            from ..tell.records import complete

            rows.append(_row_of_error(path, output.typed_error(error)))
            record = complete(rows[-1])
        if not options.json:
            _print_record(record)
    if options.json:
        output.print_json(rows)
    return output.worst(row["exit_code"] for row in rows)


def _loaded(path: str, notify: bool) -> JobDocument:
    from ..config import files

    try:
        return files.load(path)
    except LogArchiveError as error:
        if notify:
            from ..config.salvage import salvage
            from ..run.early import report

            found = salvage(path)
            report(files.job_of(path), found.host, found.notify, found.log, error)
        raise


def _row_of_error(path: str, error: LogArchiveError) -> t.Dict[str, t.Any]:
    """The result of a job that could not start, in place of its run record."""
    from ..config import files

    return {
        "job": files.job_of(path),
        "exit_code": error.exit_code,
        "outcome": "locked" if isinstance(error, LockedError) else "failed",
        "errors": [str(error)],
        "error": output.error_object(error),
    }


def _print_record(record: RunRecord) -> None:
    from ..tell.recap import recap

    (output.print_error if record["errors"] else output.print_text)(recap(record))


def _decline(_name: str, _location: str, _size: int) -> bool:
    return False
