# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive ingest``, ``log-archive follow`` and ``log-archive streams``."""

from __future__ import annotations

import typing as t

from ..base.errors import EXIT_DONE, LogArchiveError, UsageError
from . import output, stream_documents

if t.TYPE_CHECKING:
    import argparse

    from ..config.stream_document import SinkOptions, StreamDocument


def add_streams(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``streams``."""
    parser.add_argument("streams", metavar="STREAM", nargs="*", help="name of a stream, or path of its document (default: all streams)")
    parser.add_argument(
        "--accept",
        action="store_true",
        help="accept the current gaps and rejected lines: they stay in the sinks, but are no longer reported as a problem",
    )


def add_ingest_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ingest``."""
    parser.add_argument("streams", metavar="STREAM", nargs="*", help="name of a stream, or path of its document")
    parser.add_argument("--all", action="store_true", help="every stream")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--rejected", action="store_true", help="try rejected lines again, instead of reading new ones")
    what.add_argument("--dry-run", action="store_true", help="show how many lines would be stored, and change nothing")
    what.add_argument(
        "--print-schema",
        action="store_true",
        help="print the SQL or the requests that create the tables or index templates of each sink, and read nothing",
    )
    parser.add_argument("--sink", metavar="NAME", help="with --print-schema: only for this sink")


def ingest(options: argparse.Namespace) -> int:
    """Store what the streams have now."""
    if options.streams and options.all:
        raise UsageError("--all cannot be combined with names of streams")
    if not options.streams and not options.all:
        raise UsageError("no stream given", hint="Name a stream, or use --all")
    if options.print_schema:
        return _print_schema(options)
    if options.sink is not None:
        raise UsageError("--sink can only be used with --print-schema")
    from ..config import files
    from ..ingest import follower, retry
    from ..tell import streams
    from . import companions

    paths = files.find(options.config, options.streams, "stream")
    rows: t.List[t.Any] = []
    for path in paths:
        try:
            document = files.load_stream(path)
            if options.rejected:
                results = retry.retry(document)
                rows += results
                text = "\n".join(map(streams.retried, results))
            else:
                rows.append(follower.catch_up(document, check=options.dry_run))
                if not options.dry_run:
                    companions.after(document, rows[-1])
                text = streams.ingested(rows[-1])
        except LogArchiveError as error:
            if len(paths) == 1:
                raise
            # The others still get their lines.
            rows.append({"stream": files.job_of(path), "exit_code": error.exit_code, "error": output.error_object(error)})
            output.print_error("log-archive: stream %s: %s" % (rows[-1]["stream"], error))
        else:
            if not options.json:
                output.print_text(text)
    if options.json:
        output.print_json(rows)
    output.print_library_problems()
    return output.worst(row["exit_code"] for row in rows)


def _print_schema(options: argparse.Namespace) -> int:
    from ..config.sink_spec import SEARCH
    from ..ingest.sinks.opening import schema_of

    if options.json:
        raise UsageError("--print-schema prints SQL and requests, not a result")
    wanted: t.List[t.Tuple[StreamDocument, SinkOptions]] = []
    for document in stream_documents.named(options):
        sinks = document["sinks"] if options.sink is None else [stream_documents.sink_named(document, options.sink)]
        wanted += [(document, sink) for sink in sinks]
    if len({sink["type"] for _document, sink in wanted}) > 1:
        # Run in one of these servers, the statements for the others would create tables with the wrong types.
        known = ", ".join(dict.fromkeys("%s (%s)" % (sink["name"], sink["type"]) for _document, sink in wanted))
        raise UsageError("each type of sink needs other tables, and there are: %s" % known, hint="Name a sink with --sink")
    for document, sink in wanted:
        output.print_text("-- stream %s, sink %s (%s)" % (document["name"], sink["name"], sink["type"]))
        output.print_text(_templates(document, sink) if sink["type"] in SEARCH else schema_of(sink, document))
    return EXIT_DONE


def _templates(document: StreamDocument, sink: SinkOptions) -> str:
    """The requests that create the index templates, as consoles of search servers take them."""
    import json

    from ..ingest.records.parser import tables_of
    from ..ingest.sinks.search.documents import prefix_of, templates

    made = templates(prefix_of(sink["prefix"], document["name"]), tables_of(document), {})
    return "\n".join("PUT _index_template/%s\n%s\n" % (name, json.dumps(template, indent=2)) for name, template in made.items())


def add_follow_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``follow``."""
    parser.add_argument("streams", metavar="STREAM", nargs=1, help="name of a stream, or path of its document")


def follow(options: argparse.Namespace) -> int:
    """Follow a stream until SIGTERM or SIGINT."""
    import signal
    import threading

    from ..ingest import follower
    from ..tell import streams
    from . import companions

    document = stream_documents.named(options)[0]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_signal: stop.set())
    with companions.beside(document) as watch:
        result = follower.follow(document, stop, watch=watch, tell=lambda text: output.print_error("log-archive: " + text))
    if options.json:
        output.print_json(result)
    else:
        output.print_text(streams.ingested(result))
    output.print_library_problems()
    return result["exit_code"]


def show(options: argparse.Namespace) -> int:
    """Show the status of streams, after their gaps and rejected lines were accepted if that is wanted."""
    from ..config import files
    from ..ingest import status
    from ..tell import streams

    if options.accept:
        if not options.streams:
            raise UsageError("no stream given", hint="--accept needs the name of each stream")
        for document in stream_documents.named(options):
            status.accept(document)
    rows = [row for path in files.find(options.config, options.streams, "stream") for row in stream_documents.status_of(path)]
    if options.json:
        output.print_json(rows)
    else:
        output.print_text(streams.status(rows))
    return output.worst(row["exit_code"] for row in rows)
