# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive audit events``."""

from __future__ import annotations

import contextlib
import typing as t

from ..base.errors import EXIT_DONE, EXIT_FAILED, EXIT_PARTLY, ConfigError, UsageError
from ..base.texts import line
from . import output
from .options import add_identities, check_range, host_of, offline_of, stores, time_argument
from .recorded import records

if t.TYPE_CHECKING:
    import argparse
    from datetime import datetime

    from ..audit.events import Event, Wanted
    from ..audit.reading import Log, Problems
    from ..config.document import JobDocument

FORMATS = ("table", "jsonl", "csv", "raw")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``audit events``."""
    from ..audit.events import CALL_NAMES, CLASS_NAMES

    parser.add_argument("job", metavar="JOB", nargs="?", help="name of a job with the option 'cloudtrail', or path of its document")
    where = "where to read: the archives of the job (default), the bucket of its trail, or the event history of the last 90 days"
    parser.add_argument("--from", dest="source", choices=["archives", "bucket", "history"], default="archives", help=where)
    parser.add_argument("--file", metavar="PATH", action="append", default=[], help="read this log file, or all in this folder; repeatable")
    parser.add_argument("--since", metavar="TIME", type=time_argument, help="only events from this time on (such as 2026-11-03T02:00Z)")
    parser.add_argument("--until", metavar="TIME", type=time_argument, help="only events before this time")
    for name, text in (
        ("service", "service, such as s3 or s3.amazonaws.com"),
        ("action", "action, such as 'Delete*'"),
        ("region", "region"),
        ("principal", "ARN or id of the principal, or the last part of its ARN"),
        ("ip", "address, or network such as 198.51.100.0/24"),
        ("event-id", "id of the event"),
    ):
        parser.add_argument("--" + name, metavar="GLOB", default="", help="only this " + text)
    parser.add_argument("--response", metavar="TEXT", default="", help="only events with this text in the response or in the error")
    parser.add_argument("--errors", action="store_true", help="only events with an error")
    parser.add_argument("--denied", action="store_true", help="only requests that a policy denied")
    parser.add_argument("--root", action="store_true", help="only requests of the root user")
    parser.add_argument("--class", dest="classes", action="append", default=[], choices=CLASS_NAMES, help="only this class; repeatable")
    parser.add_argument("--type", dest="calls", action="append", default=[], choices=CALL_NAMES, help="only this type; repeatable")
    formats = "table; jsonl, a line of JSON for each event; csv; or raw, the records themselves as lines of JSON (default: table)"
    parser.add_argument("--format", choices=FORMATS, default="table", help=formats)
    parser.add_argument("--host", help="archives of this host (default: this host; '*' selects every host)")
    parser.add_argument("--store", metavar="NAME", help="read archives only from this store")
    add_identities(parser)


def events(options: argparse.Namespace) -> int:
    """Print the events of a trail."""
    from datetime import datetime, timezone

    from ..audit import events as audit_events
    from ..audit.reading import Problems, events_in

    check_range(options)
    if options.json and options.format != "table":
        raise UsageError("--json and --format cannot be used together")
    wanted = _wanted(options)
    audit_events.check(wanted)
    problems = Problems()
    with contextlib.ExitStack() as stack:
        logs = _logs(options, wanted, problems, datetime.now(timezone.utc), stack)
        _print(options, events_in(logs, wanted, problems), problems)
    for error in problems.errors:
        output.print_error("log-archive: %s" % error)
    if problems.more:
        output.print_error("log-archive: and %d more problems" % problems.more)
    if not problems.errors:
        return EXIT_DONE
    return EXIT_PARTLY if problems.done or not problems.failed else EXIT_FAILED


def _wanted(options: argparse.Namespace) -> Wanted:
    from ..audit.events import Wanted

    return Wanted(**{name: getattr(options, name) for name in Wanted._fields})


def _print(options: argparse.Namespace, found: t.Iterator[Event], problems: Problems) -> None:
    from ..tell import events as shown

    if options.json:
        from ..audit.events import row_of

        rows = [row_of(event) for event in found]
        errors = [output.error_object(error) for error in problems.errors]
        output.print_json({"events": rows, "problems": errors, "more_problems": problems.more})
    elif options.format == "table":
        text, count = shown.as_table(found)
        output.print_text(text)
        if count > shown.MOST_ROWS:
            output.print_error("log-archive: %d of %d events are shown; --format jsonl prints all" % (shown.MOST_ROWS, count))
    else:
        lines = {"jsonl": shown.as_json_lines, "csv": shown.as_csv, "raw": shown.as_records}[options.format](found)
        for text in lines:
            output.write("stdout", text + "\n")


def _logs(options: argparse.Namespace, wanted: Wanted, problems: Problems, now: datetime, stack: contextlib.ExitStack) -> t.Iterator[Log]:
    from ..audit import reading

    if options.file:
        if options.job is not None:
            raise UsageError("--file and a job cannot be used together")
        return reading.logs_of_paths(options.file, problems.report)
    if options.job is None:
        raise UsageError("no job given", hint="Name a job with the option 'cloudtrail', or a file with --file")
    document = _document(options)
    if options.source == "archives":
        return _of_archives(document, options, wanted, problems, stack)
    trail = document["cloudtrail"]
    if trail is None:
        raise ConfigError("the job '%s' has no option 'cloudtrail'" % document["name"], hint="Read its archives: --from archives")
    if options.source == "history":
        return reading.logs_of_history(trail, wanted, now)
    return stack.enter_context(reading.logs_of_bucket(trail, wanted, now, problems.report))


def _document(options: argparse.Namespace) -> JobDocument:
    from ..config import files

    (path,) = files.find(options.config, [options.job])
    return files.load(path)


def _of_archives(
    document: JobDocument, options: argparse.Namespace, wanted: Wanted, problems: Problems, stack: contextlib.ExitStack
) -> t.Iterator[Log]:
    import tempfile

    from ..audit import reading
    from ..crypto.envelope import encrypts
    from ..holdings.stock import Holdings

    host, chosen, encryption = host_of(document, options), stores(document, options.store), document["encryption"]
    held = stack.enter_context(records(document, chosen, host))
    holdings = Holdings(
        chosen, host, document["name"], encryption["keyring"], not encrypts(encryption), held, document["was"], offline_of(options)
    )
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="log-archive-"))
    return reading.logs_of_archives(
        holdings, reading.choice_of(wanted), folder, lambda text: output.print_error("log-archive: %s" % line(text)), problems.report
    )
