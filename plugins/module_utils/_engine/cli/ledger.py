# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive ledger``."""

from __future__ import annotations

import itertools
import typing as t

from ..base.errors import EXIT_FAILED, EXIT_INTEGRITY, LogArchiveError, UsageError
from . import output
from .options import each_document, opened

if t.TYPE_CHECKING:
    import argparse

    from ..config.document import JobDocument
    from ..tell.ledger import LedgerHead, LedgerRow, WitnessRow

ACTIONS = ("verify", "show", "export", "witness", "accept", "rotate")
OPTIONS_OF = {"offline": ("verify",), "reason": ("accept",), "since": ("show", "export"), "known": ("witness",), "identity": ("accept",)}
"""The options that only some actions have."""
MOST_WITNESSED = 2000
"""Entries of a ledger that ``witness`` prints at a time: 1.2 MB."""
SHOWN = 20
"""Entries that ``show`` prints without --since."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ledger``."""
    parser.add_argument(
        "action",
        choices=ACTIONS,
        help="verify: check the chain and every signature, and compare the stores with it. show: print the last entries. export: print"
        " the raw entries. witness: print the head, and the entries since the one that the witness knows. accept: record the findings of"
        " an audit that you can explain. rotate: change the signing key",
    )
    parser.add_argument("jobs", metavar="JOB", nargs="*", help="name of a job, or path of its document (default: all jobs)")
    parser.add_argument("--offline", action="store_true", help="verify: check only the chain, and no store")
    parser.add_argument("--since", metavar="ENTRY", type=int, help="show, export: from the entry with this number on")
    parser.add_argument(
        "--known", metavar="JOB=ENTRY", action="append", help="witness: the number of the entry of a job's ledger that the witness knows"
    )
    parser.add_argument(
        "--identity", metavar="FILE", action="append", default=[], help="accept: adopt archives that this private key of a recipient opens"
    )
    parser.add_argument("--reason", metavar="TEXT", help="accept: the reason, which is kept in the ledger")


def manage(options: argparse.Namespace) -> int:
    """Verify, show, export, accept or rotate."""
    for name, actions in OPTIONS_OF.items():
        if options.action not in actions and getattr(options, name) not in (None, False, []):
            raise UsageError("'ledger %s' has no option --%s" % (options.action, name), hint="It is for 'ledger %s'" % actions[0])
    if options.action in ("accept", "rotate", "export") and len(options.jobs) != 1:
        raise UsageError("'ledger %s' needs the name of one job" % options.action)
    if options.action == "accept" and not options.reason:
        raise UsageError("--reason is missing", hint="It is kept in the ledger: why the archives are gone, or who put them there")
    if options.action == "verify":
        return _verify(options)
    return {"show": _show, "witness": _witness, "export": _export, "accept": _accept, "rotate": _rotate}[options.action](options)


def _verify(options: argparse.Namespace) -> int:
    from ..tell import ledger as report

    rows: t.List[LedgerRow] = []
    code = each_document(
        options,
        lambda document: rows.extend(_verified(document, options.offline)),
        lambda job, error: rows.append(report.row(job, None, findings=[report.finding("failed", None, str(error))])),
    )
    if options.json:
        output.print_json(rows)
    else:
        output.print_text(report.audit(rows))
    kinds = {finding["kind"] for row in rows for finding in row["findings"]}
    codes = [code, EXIT_FAILED] if "unreachable" in kinds else [code]
    return output.worst([*codes, EXIT_INTEGRITY] if kinds - {"failed", "unreachable"} else codes)


def _verified(document: JobDocument, offline: bool) -> t.List[LedgerRow]:
    """A row for the ledger of the job, and unless it is broken one for each store."""
    from ..run.audit import auditing, compare
    from ..tell import ledger as report

    job = document["name"]
    rows = []
    with auditing(document) as audit:
        contents = audit.contents(signatures=True)
        if audit.broken is not None:
            return [report.row(job, None, findings=[report.finding("broken", None, str(audit.broken))])]
        rows.append(report.row(job, None, head=audit.head, archives=0 if contents is None else len(contents.held)))
        for options in [] if offline or contents is None else document["stores"]:
            try:
                with opened(options) as store:
                    archives, found = compare(audit, store)
                findings = [report.finding(*finding) for finding in found]
            except LogArchiveError as error:
                archives, findings = 0, [report.finding("unreachable", None, str(error))]
            rows.append(report.row(job, options["name"], archives=archives, findings=findings))
    return rows


def _show(options: argparse.Namespace) -> int:
    from ..state.ledger.chain import parse
    from ..state.ledger.file import ledger_of
    from ..tell import ledger as report

    entries: t.List[t.Dict[str, t.Any]] = []

    def add(document: JobDocument) -> None:
        ledger = ledger_of(document)
        head = ledger.head()
        start = options.since if options.since is not None else 0 if head is None else max(0, head.seq + 1 - SHOWN)
        found = [parse(line, ledger.path) for line in ledger.lines(start)]
        entries.extend(dict(entry._asdict(), job=document["name"]) for entry in found)

    code = each_document(options, add, lambda job, error: None)
    if options.json:
        output.print_json(entries)
    else:
        output.print_text(report.entries(entries))
    return code


def _export(options: argparse.Namespace) -> int:
    from ..state.ledger.file import ledger_of

    def write(document: JobDocument) -> None:
        ledger = ledger_of(document)
        if options.json:
            head = ledger.head()
            lines = [line.decode("ascii") for line in ledger.lines(options.since or 0)]
            output.print_json({"job": document["name"], "head": None if head is None else head._asdict(), "entries": lines})
        else:
            for line in ledger.lines(options.since or 0):
                output.write("stdout", line.decode("ascii"))

    return each_document(options, write, lambda job, error: None)


def _witness(options: argparse.Namespace) -> int:
    known = {}
    for text in options.known or ():
        job, _equals, seq = text.rpartition("=")
        if not job or not seq.isdigit():
            raise UsageError("--known is not JOB=ENTRY: %s" % text)
        known[job] = int(seq)
    rows: t.List[WitnessRow] = []
    code = each_document(
        options,
        lambda document: rows.append(_witnessed(document, known)),
        lambda job, error: rows.append({"job": job, "was": [], "head": None, "last": "", "entries": [], "error": str(error)}),
    )
    output.print_json(rows)
    return code


def _witnessed(document: JobDocument, known: t.Mapping[str, int]) -> WitnessRow:
    from ..archive.naming import names_of
    from ..state.ledger.file import ledger_of

    ledger = ledger_of(document)
    row: WitnessRow = {"job": document["name"], "was": document["was"], "head": None, "last": "", "entries": [], "error": None}
    try:
        head = ledger.head()
    except FileNotFoundError:
        head = None  # The job has no state yet.
    if head is None:
        return row
    row["head"] = t.cast("LedgerHead", head._asdict())
    # If the job was renamed, the witness may know its ledger by an earlier name.
    start = next((known[name] for name in names_of(document) if name in known), head.seq)
    first = min(start, head.seq)
    lines = [line.decode("ascii") for line in itertools.islice(ledger.lines(first), MOST_WITNESSED)]
    row["last"] = next(ledger.lines(head.seq), b"").decode("ascii")
    row["entries"] = lines
    return row


def _accept(options: argparse.Namespace) -> int:
    from ..crypto.envelope import Offline
    from ..crypto.recipients import read_identities
    from ..run.accept import accept
    from ..tell import ledger as report

    done = []

    def one(document: JobDocument) -> None:
        done.append((document["name"], accept(document, options.reason, Offline(read_identities(options.identity)))))

    code = each_document(options, one, lambda job, error: None)
    left = [report.finding(*finding) for _job, accepted in done for finding in accepted.left]
    if options.json:
        output.print_json([{**accepted._asdict(), "job": job, "left": left} for job, accepted in done])
    else:
        for job, accepted in done:
            output.print_text(report.accepted(job, accepted.adopted, accepted.lost, accepted.set_aside, left))
    return output.worst([code, EXIT_INTEGRITY] if left else [code])


def _rotate(options: argparse.Namespace) -> int:
    from ..run.job import locked
    from ..state.ledger.file import Ledger

    rows = []

    def one(document: JobDocument) -> None:
        with locked(document):
            head = Ledger(document["state"], document["name"]).rotate()
        rows.append({"job": document["name"], **head._asdict()})

    code = each_document(options, one, lambda job, error: None)
    if options.json:
        output.print_json(rows)
    else:
        for row in rows:
            output.print_text("%s: the ledger has a new key since entry %d" % (row["job"], row["seq"]))
    return code
