# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The results of ``log-archive ledger`` as text."""

from __future__ import annotations

import typing as t

from ..base.texts import lines as report_of

if t.TYPE_CHECKING:
    from ..state.ledger.chain import Head

    class LedgerFinding(t.TypedDict):
        """What an audit found. kind: see ``run.audit.Finding``; failed: the job cannot be looked at. key: of an archive."""

        kind: str
        key: t.Optional[str]
        error: str

    class LedgerHead(t.TypedDict):
        """Where a ledger ends (see ``state.ledger.chain.Head``)."""

        ledger: str
        seq: int
        sha256: str
        key: str

    class LedgerRow(t.TypedDict):
        """A store of a job against its ledger; without a store the ledger itself. archives: that must be there by the ledger."""

        job: str
        store: t.Optional[str]
        archives: int
        head: t.Optional[LedgerHead]
        findings: t.List[LedgerFinding]

    class WitnessRow(t.TypedDict):
        """What the witness gets of a job. was: its earlier names. last: the line of the last entry. entries: the lines from the one that
        the witness knows on; without one, the last alone. error: why the ledger cannot be read."""

        job: str
        was: t.List[str]
        head: t.Optional[LedgerHead]
        last: str
        entries: t.List[str]
        error: t.Optional[str]


def finding(kind: str, key: t.Optional[str], error: str) -> LedgerFinding:
    """A finding."""
    return {"kind": kind, "key": key, "error": error}


def row(
    job: str, store: t.Optional[str], archives: int = 0, head: t.Optional[Head] = None, findings: t.Sequence[LedgerFinding] = ()
) -> LedgerRow:
    """A row of the result."""
    known = None if head is None else t.cast("LedgerHead", head._asdict())
    return {"job": job, "store": store, "archives": archives, "head": known, "findings": list(findings)}


def audit(rows: t.Sequence[LedgerRow]) -> str:
    """The result of ``verify``: findings first."""
    lines = []
    for one in rows:
        lines += ["FOUND   %s  %s  %s: %s" % (one["job"], one["store"] or "-", each["kind"], each["error"]) for each in one["findings"]]
    for one in rows:
        if not one["findings"]:
            what = one["store"] or ("no ledger yet" if one["head"] is None else "ledger, %d entries" % (one["head"]["seq"] + 1))
            lines.append("ok      %s  %s  %d archive(s)" % (one["job"], what, one["archives"]))
    return report_of(lines) if lines else "no jobs"


def entries(rows: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """Entries, oldest first."""
    lines = []
    for one in rows:
        payload = one["payload"]
        what = "%s  %s" % (payload["store"], payload["archive"]) if "archive" in payload else ""
        why = payload.get("rule") or payload.get("reason")
        lines.append("%s  %6d  %s  %-6s  %s%s" % (one["job"], one["seq"], one["time"], one["op"], what, " (%s)" % why if why else ""))
    return report_of(lines) if lines else "no entries"


def accepted(
    job: str,
    adopted: t.Mapping[str, t.Sequence[str]],
    lost: t.Mapping[str, t.Sequence[str]],
    set_aside: t.Optional[str],
    left: t.Sequence[LedgerFinding],
) -> str:
    """What was accepted."""
    lines = [] if set_aside is None else ["%s: a new ledger was begun; the broken one is kept as %s" % (job, set_aside)]
    for what, by_store in (("adopted", adopted), ("lost", lost)):
        lines += ["%s  %-7s  %s  %s" % (job, what, store, key) for store, keys in sorted(by_store.items()) for key in keys]
    lines += ["%s  LEFT     %s: %s" % (job, each["kind"], each["error"]) for each in left]
    return report_of(lines) if lines else "%s: nothing to accept" % job
