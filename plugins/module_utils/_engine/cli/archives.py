# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive list`` and ``log-archive verify``."""

from __future__ import annotations

import contextlib
import itertools
import typing as t

from ..base.errors import EXIT_PARTLY, ConfigError, IntegrityError, LogArchiveError, UsageError
from ..base.levels import CHECK_LEVELS
from . import output
from .named_host import refuse_unknown
from .options import (
    add_archives,
    add_foreign,
    add_identities,
    add_store,
    check_foreign,
    check_range,
    chosen_stores,
    each_document,
    host_of,
    is_foreign,
    job_of,
    offline_of,
    opened,
    progress_of,
    stores,
)
from .recorded import records

if t.TYPE_CHECKING:
    import argparse

    from ..config.document import JobDocument, JobStore
    from ..holdings.inventory import StoredArchive
    from ..state.catalog import Catalog
    from ..state.entry import Entry
    from ..tell.report import ArchiveRow, HostsRow, VerifiedRow


def add_list_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``list``."""
    add_archives(parser)
    add_store(parser, "list the contents of this store (default: the local catalog)")
    add_foreign(parser)
    parser.add_argument("--summary", action="store_true", help="show what can be restored of each host and job, not each archive")
    parser.add_argument(
        "--hosts",
        action="store_true",
        help="show the hosts that have archives in each store, or in the one of --store, and list no archive",
    )


def list_archives(options: argparse.Namespace) -> int:
    """List archives."""
    from ..tell import report

    check_range(options)
    check_foreign(options)
    if options.hosts:
        return _list_hosts(options)
    if options.of_job is not None and not options.store:
        raise UsageError(
            "--of-job needs --store", hint="The catalog knows only jobs of this host; 'log-archive orphans' shows those left over"
        )
    rows: t.List[ArchiveRow] = []
    failures: t.List[t.Dict[str, t.Any]] = []
    looked: t.List[t.Tuple[JobDocument, t.Sequence[JobStore]]] = []

    def add_rows(document: JobDocument) -> None:
        if options.store:
            _add_rows_of_store(rows, document, options)
        else:
            _add_rows_of_catalog(rows, document, options)
        looked.append((document, chosen_stores(document, options)[:1] if options.store else ()))

    code = each_document(options, add_rows, lambda job, error: failures.append({"job": job, "error": output.error_object(error)}))
    if not rows and not failures:
        try:
            refuse_unknown(options, looked)
        except ConfigError as error:
            # Nothing is a right answer here: of the stores that a fleet asks, only some may have archives of the host.
            output.print_error("log-archive: %s" % error)
    summary = report.listed(rows) if options.summary else []
    if options.json:
        output.print_json([*(summary if options.summary else rows), *failures])
    elif rows or not failures:
        output.print_text(report.listing(summary) if options.summary else report.archives(rows))
    return code


def _list_hosts(options: argparse.Namespace) -> int:
    """List the folders of hosts in stores: each place once."""
    from ..archive.naming import host_name
    from ..tell import report

    found: t.Dict[t.Tuple[str, str], HostsRow] = {}
    own: t.Set[str] = set()

    def look(document: JobDocument) -> None:
        own.add(host_name(document["host"]))
        for store_options in stores(document, options.store):
            row: HostsRow = {"store": store_options["name"], "location": "", "hosts": [], "own": [], "error": None}
            try:
                with opened(store_options) as store:
                    row["location"] = store.location()
                    if (row["location"], store_options["layout"]) in found:
                        continue
                    row["hosts"] = store.hosts()
            except LogArchiveError as error:
                row["error"] = str(error)
            found[row["location"] or row["store"], store_options["layout"]] = row

    failures: t.List[t.Dict[str, t.Any]] = []
    code = each_document(options, look, lambda job, error: failures.append({"job": job, "error": output.error_object(error)}))
    rows = list(found.values())
    for row in rows:
        row["own"] = sorted(own.intersection(row["hosts"]))
    if options.json:
        output.print_json([*rows, *failures])
    else:
        output.print_text(report.hosts(rows))
    return output.worst([code, *(EXIT_PARTLY for row in rows if row["error"])])


def _add_rows_of_store(rows: t.List[ArchiveRow], document: JobDocument, options: argparse.Namespace) -> None:
    """Raises IntegrityError if there are archives that cannot be listed, after all others were."""
    from ..base.lists import some
    from ..holdings import inventory
    from ..holdings.trust import NO_RECORD, Choice, Trust

    chosen, host = chosen_stores(document, options)[:1], host_of(document, options)
    job, was = job_of(document, options)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(opened(chosen[0]))
        recorded = {} if is_foreign(options) else stack.enter_context(records(document, chosen, host))
        choice = Choice(start=options.since, end=options.until)
        trust = Trust(record=recorded.get(store.name, NO_RECORD)._replace(held=dict), choice=choice)
        held = inventory.read(store, host, job, trust=trust, was=was)
        rows += [_row(archive, {store.name: "held"}) for archive in inventory.overlapping(held.archives, options.since, options.until)]
        if held.damaged:
            why = some([item.why for item in held.damaged.values()], separator="; ")
            raise IntegrityError("%d archive(s) are damaged and not listed: %s" % (len(held.damaged), why), "store %s" % store.name)


def _add_rows_of_catalog(rows: t.List[ArchiveRow], document: JobDocument, options: argparse.Namespace) -> None:
    from ..base.units import format_utc
    from ..holdings.inventory import StoredArchive, overlapping
    from ..state import catalog as catalogs

    if not catalogs.exists(document["state"]):
        return
    with contextlib.closing(catalogs.reading(document)) as catalog:
        start, end = (None if moment is None else format_utc(moment) for moment in (options.since, options.until))
        found = catalog.entries_of(document["name"], start, end)
        # Day by day, because the manifests of years do not fit into memory. The revisions of an archive are of the same day.
        for _day, entries_of_day in itertools.groupby(found, lambda entry: entry.manifest["period"]["start"][:10]):
            entries = {entry.key: entry for entry in entries_of_day if options.host in (None, "*", entry.host)}
            archives = [StoredArchive(entry.key, entry.size, None, entry.manifest) for entry in entries.values()]
            rows += [_cataloged_row(catalog, entries, archive) for archive in overlapping(archives, options.since, options.until)]


def _cataloged_row(catalog: Catalog, entries: t.Mapping[str, Entry], archive: StoredArchive) -> ArchiveRow:
    copies = catalog.copies(entries[archive.key])
    # A copy that was removed keeps the level with which it was verified.
    states = {name: (copy.verified_by or copy.state) if copy.state == "verified" else copy.state for name, copy in copies.items()}
    return _row(archive, states)


def _row(archive: StoredArchive, copies: t.Dict[str, str]) -> ArchiveRow:
    from ..archive.manifest import source_bytes

    manifest = archive.manifest
    return {
        "key": archive.key,
        "host": manifest["host"],
        "job": manifest["job"],
        "period": manifest["period"],
        "size": manifest["archive"]["size"],
        "source_bytes": source_bytes(manifest),
        "sources": [source["path"] for source in manifest["sources"]],
        "key_id": manifest["encryption"].get("key_id"),
        "sha256": manifest["archive"]["sha256"],
        "stores": copies,
    }


def add_verify_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``verify``."""
    add_archives(parser)
    add_store(parser, "verify only this store")
    add_identities(parser)
    parser.add_argument("--summary", action="store_true", help="with --json: only count the archives that verified")
    parser.add_argument("--level", choices=CHECK_LEVELS, help="how thorough the check is (default: the level of the store)")


def verify_archives(options: argparse.Namespace) -> int:
    """Verify what the stores hold."""
    from ..tell import report

    check_range(options)
    offline = offline_of(options)
    results: t.List[VerifiedRow] = []
    codes: t.List[int] = []
    looked: t.List[t.Tuple[JobDocument, t.Sequence[JobStore]]] = []

    def verify_job(document: JobDocument) -> None:
        from ..run.verify import Wanted, verify

        chosen = stores(document, options.store)
        wanted = Wanted(host_of(document, options), options.since, options.until, options.level, offline)
        with records(document, chosen, wanted.host) as recorded:
            done = verify(document, chosen, recorded, wanted, progress_of(options))
        results.extend(done.rows)
        codes.append(done.exit_code)
        looked.append((document, chosen))

    def add_failed(job: str, error: LogArchiveError) -> None:
        failed = {
            "job": job,
            "store": None,
            "key": None,
            "level": None,
            "authenticated": None,
            "opened": True,
            "error": str(error),
            "note": None,
            "archives": 0,
        }
        results.append(t.cast("VerifiedRow", failed))

    codes.append(each_document(options, verify_job, add_failed))
    if not results:
        refuse_unknown(options, looked)
    if options.json:
        output.print_json(report.summary_of(results) if options.summary else results)
        return output.worst(codes)
    shown = [row for row in results if row["store"] is not None]
    # Of a job that could not be verified, the error is printed already.
    if shown or not results:
        output.print_text(report.verified(shown))
    return output.worst(codes)
