# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive stats`` and ``log-archive generate``."""

from __future__ import annotations

import os
import typing as t
from datetime import timedelta

from ..base.errors import EXIT_DONE, ConfigError, LogArchiveError, UsageError
from ..config.sink_spec import SEARCH
from . import output, stream_documents
from .options import progress_of, time_argument

if t.TYPE_CHECKING:
    import argparse
    import threading

    from ..config.stream_document import PageOptions, SinkOptions, StreamDocument
    from ..ingest.generate.folder import Generated
    from ..ingest.sinks.sql import SqlSink
    from ..ingest.statistics.facts import Rankings, Statistics
    from ..ingest.statistics.steps import Span

FIRST_YEAR, LAST_YEAR = 1970, 9000
"""Years of a generated log. A stream stores lines up to 9998, and the last line can be years after the first."""
PAGE_SPAN = timedelta(days=7)
"""The time before now that the page of a follower shows."""


def add_stats_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``stats``."""
    parser.add_argument("stream", metavar="STREAM", help="name of a stream, or path of its document")
    parser.add_argument("--since", metavar="TIME", type=time_argument, help="only lines from this time on (such as 2026-11-03T02:00Z)")
    parser.add_argument("--until", metavar="TIME", type=time_argument, help="only lines before this time (with --since the default is now)")
    parser.add_argument("--by", choices=["hour", "day", "week"], help="step of the trend (default: chosen by the length of the time)")
    parser.add_argument("--sink", metavar="NAME", help="sink to read (default: the first one of the stream)")
    parser.add_argument("--html", metavar="FILE", help="write the statistics to this file, as an HTML page")


def stats(options: argparse.Namespace) -> int:
    """Print the statistics of a stream, or write them as a page."""
    from ..config import files
    from ..config.stream_check import HAVE_STATISTICS
    from ..config.stream_files import is_file_of
    from ..ingest.statistics.steps import Span
    from ..tell import report_file

    if options.html and options.json:
        raise UsageError("--html and --json cannot be used together", hint="Run the command twice")
    (path,) = files.find(options.config, [options.stream], "stream")
    document = files.load_stream(path)
    if options.html and (os.path.realpath(path) == os.path.realpath(options.html) or is_file_of(document, options.html)):
        raise UsageError("%s is a file of the stream, which the page must not replace" % options.html, "--html", "Name another file")
    profile = document["parse"]["profile"]
    if profile not in HAVE_STATISTICS:
        problem = "a stream with the profile %s has no statistics; these profiles have: %s" % (profile, ", ".join(HAVE_STATISTICS))
        raise ConfigError(problem, path)
    statistics = _computed(document, _sink(document, options.sink), Span(options.since, options.until, options.by), at_once=True)
    if options.json:
        output.print_json(statistics)
    elif options.html:
        umask = os.umask(0o022)
        os.umask(umask)
        report_file.write(options.html, _page(statistics), "page", 0o644 & ~umask)
        output.print_text("%s: written" % options.html)
    else:
        output.print_text(_text(statistics))
    return EXIT_DONE


def _page(statistics: t.Union[Statistics, Rankings], every: t.Optional[int] = None) -> str:
    from ..tell import rankings, statistics_page

    if "rankings" in statistics:
        return rankings.render_page(t.cast("Rankings", statistics), every)
    return statistics_page.render(statistics, every)


def _text(statistics: t.Union[Statistics, Rankings]) -> str:
    from ..tell import rankings, statistics_text

    if "rankings" in statistics:
        return rankings.render_text(t.cast("Rankings", statistics))
    return statistics_text.render(statistics)


def keep_page(document: StreamDocument, page: PageOptions, stop: threading.Event) -> None:
    """Write the page of a stream again and again until ``stop`` is set, and once more then. Report a failure, and try again."""
    from ..base.units import parse_duration

    every = parse_duration(page["every"])
    reported = ""
    while True:
        ending = stop.is_set()
        problem = _write_page(document, page["path"], every)
        if problem and problem != reported:
            output.print_error("log-archive: the page cannot be written: %s" % problem)
        reported = problem
        if ending:
            return
        stop.wait(every)


def _write_page(document: StreamDocument, path: str, every: float) -> str:
    """Write the page; returns why it could not be written, or ""."""
    from datetime import datetime, timezone

    from ..base.durable import write_atomically
    from ..ingest.sinks.base import NoSchemaError
    from ..ingest.statistics.steps import Span

    try:
        statistics = _computed(document, _sink(document, None), Span(datetime.now(timezone.utc) - PAGE_SPAN))
        write_atomically(path, _page(statistics, round(every)).encode("utf-8"), 0o644)
    except NoSchemaError:
        # The follower is about to create the tables, or reports why it cannot.
        return ""
    except LogArchiveError as error:
        return str(error)
    except OSError as error:
        return "%s: %s" % (path, error.strerror)
    return ""


def _sink(document: StreamDocument, name: t.Optional[str]) -> SinkOptions:
    sink = document["sinks"][0] if name is None else stream_documents.sink_named(document, name)
    others = [other["name"] for other in document["sinks"] if not other["table"] and other["type"] not in SEARCH]
    hint = "Read another sink: --sink %s" % others[0] if others else "Add an SQL sink without 'table' to the stream"
    if sink["type"] in SEARCH:
        raise ConfigError("a sink of type %s has no statistics" % sink["type"], sink["name"], hint)
    if sink["table"]:
        problem = "the sink fills the table %s, but statistics need the tables of the profile" % sink["table"]
        raise ConfigError(problem, sink["name"], hint)
    return sink


def _computed(document: StreamDocument, options: SinkOptions, span: Span, at_once: bool = False) -> t.Union[Statistics, Rankings]:
    """at_once: use two connections at the same time; a follower leaves the other processor to its work."""
    import contextlib
    from datetime import datetime, timezone

    from ..ingest.sinks.opening import open_sink
    from ..ingest.statistics.compute import compute
    from ..ingest.statistics.rankings import PROFILES, rank

    def opened() -> SqlSink:
        return open_sink(options, document, create=False)

    profile, now = document["parse"]["profile"], datetime.now(timezone.utc)
    with contextlib.closing(opened()) as sink:
        if profile in PROFILES:
            return rank(sink, options["name"], profile, span, now)
        return compute(sink, options["name"], span, now, opened if at_once else None)


def add_generate_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``generate``."""
    parser.add_argument(
        "kind",
        choices=["sftpgo", "client-events"],
        help="what to generate: the folder of an SFTPGo server's log, with rotated files; or the events of one month",
    )
    parser.add_argument("folder", metavar="FOLDER", nargs="?", help="where to write (client-events: by default the current folder)")
    parser.add_argument("--lines", metavar="N", type=int, default=10_000, help="lines of each file (default: 10000)")
    parser.add_argument("--seed", metavar="S", type=int, default=1, help="the same seed gives the same bytes (default: 1)")
    parser.add_argument("--files", metavar="N", type=int, help="sftpgo: number of files, the live log included (default: 3)")
    parser.add_argument("--start", metavar="TIME", type=time_argument, help="sftpgo: time of the first line (default: 2026-01-05)")
    parser.add_argument("--compress", action="store_true", help="sftpgo: compress the rotated files")
    parser.add_argument(
        "--month", metavar="YYYY-MM", help="client-events: the month of the events, which is also in the file name (logs_Apr_2021.txt)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def generate(options: argparse.Namespace) -> int:
    """Write a made-up log."""
    for name in ("files", "lines"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise UsageError("must be at least 1, not %d" % getattr(options, name), "--" + name)
    made = _generate_month(options) if options.kind == "client-events" else _generate_folder(options)
    if options.json:
        output.print_json(made)
    else:
        counts = ", ".join("%d %s" % (count, kind) for kind, count in sorted(made["lines"].items()))
        output.print_text("%s: %d file(s), %d lines (%s)" % (made["folder"], len(made["files"]), sum(made["lines"].values()), counts))
    return EXIT_DONE


def _check_year(year: int, option: str) -> None:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise UsageError("the year must be from %d to %d, not %d" % (FIRST_YEAR, LAST_YEAR, year), option)


def _generate_folder(options: argparse.Namespace) -> Generated:
    from datetime import datetime

    from ..ingest.generate.folder import generate_folder

    if options.folder is None:
        raise UsageError("no folder given", hint="Name the folder to write to")
    if options.month is not None:
        raise UsageError("sftpgo has no option --month", hint="It is for client-events")
    start = options.start.replace(tzinfo=None) if options.start else datetime(2026, 1, 5)
    _check_year(start.year, "--start")
    return generate_folder(options.folder, options.files or 3, options.lines, options.seed, start, options.compress, progress_of(options))


def _generate_month(options: argparse.Namespace) -> Generated:
    from datetime import datetime

    from ..ingest.generate.client_events import generate_month

    for name in ("files", "start", "compress"):
        if getattr(options, name):
            raise UsageError("client-events has no option --%s" % name, hint="It is for sftpgo")
    try:
        month = datetime.strptime(options.month or "", "%Y-%m")
    except ValueError:
        raise UsageError("not a month: %r" % (options.month or ""), "--month", "Write the year and the month, such as 2021-04") from None
    _check_year(month.year, "--month")
    return generate_month(options.folder or ".", (month.year, month.month), options.lines, options.seed, progress_of(options))
