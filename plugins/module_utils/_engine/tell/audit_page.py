# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reports of validations of trails: as text, as JSON, and as one HTML file that an auditor can file: no script, no request to another
server, for screens in light and dark, and for paper."""

from __future__ import annotations

import json
import typing as t
from html import escape

from ..audit.facts import WORDS
from ..base.lists import first
from ..base.texts import line
from .page_style import REPORT_STYLE, page

if t.TYPE_CHECKING:
    from ..audit.facts import Report

STATES = {0: "valid", 1: "failed", 3: "partly validated", 4: "NOT VALID"}
"""By exit code."""

_OWN_STYLE = (
    REPORT_STYLE
    + """\
:root { --good: #1a7f37; } @media (prefers-color-scheme: dark) { :root { --good: #3fb950; } }
@media print { :root { --good: #1a7f37; } }
.dim { color: var(--dim); } .bad { color: var(--failed); } .good { color: var(--good); }
"""
)

_CHAINS = ("Account", "Region", "Trail", "Digests valid", "Log files valid", "Verified until")
_FINDINGS = ("Finding", "Account", "Region", "Object or time", "Detail")


def as_json(reports: t.Sequence[Report]) -> str:
    """The reports as JSON."""
    return json.dumps(reports, indent=1, sort_keys=True) + "\n"


def as_text(reports: t.Sequence[Report]) -> str:
    """The reports for a terminal."""
    return "\n\n".join("\n".join(_lines(report)) for report in reports)


def _lines(report: Report) -> t.Iterator[str]:
    yield "%s: %s, %s to %s: %s" % (report["name"], report["location"], report["since"], report["until"], STATES[report["exit_code"]])
    yield "%d of %d digests and %d of %d log files are valid" % _counts(report)
    for chain in report["chains"]:
        yield "  %s %s %s: verified until %s" % (chain["account"], chain["region"], chain["trail"], chain["verified_until"] or "-")
    yield from first(["  %s %s" % (finding["word"], _about(finding)) for finding in report["findings"]])
    yield from first(
        ["  error in %s: %s" % (" ".join(filter(None, (one["account"], one["region"]))), one["error"]) for one in report["errors"]]
    )
    for note in report["notes"]:
        yield "  note: %s" % note


def _counts(report: Report) -> t.Tuple[int, int, int, int]:
    return report["valid_digests"], report["digests"], report["valid_logs"], report["logs"]


def _about(finding: t.Mapping[str, t.Any]) -> str:
    where = finding["subject"] or " ".join(filter(None, (finding["account"], finding["region"], finding["trail"])))
    return line("%s: %s (%s)" % (where, WORDS[finding["word"]], finding["detail"]))


def render(reports: t.Sequence[Report]) -> str:
    """The reports as an HTML page."""
    title = "Validation of CloudTrail"
    return page(title, ["<h1>%s</h1>" % title, *(_section(report) for report in reports)], _OWN_STYLE)


def _section(report: Report) -> str:
    state = '<b class="%s">%s</b>' % ("bad" if report["exit_code"] else "good", escape(STATES[report["exit_code"]]))
    parts = [
        "<h2>%s: %s</h2>" % (_text(report["name"]), state),
        "<p>%s, %s to %s</p>" % tuple(map(_text, (report["location"], report["since"], report["until"]))),
        "<p>%d of %d digests and %d of %d log files are valid.</p>" % _counts(report),
        '<p class="dim">Validated at %s by log-archive %s.</p>' % (_text(report["checked_at"]), _text(report["version"])),
    ]
    rows = [
        (
            chain["account"],
            chain["region"],
            chain["trail"],
            "%d of %d" % (chain["valid_digests"], chain["digests"]),
            "%d of %d" % (chain["valid_logs"], chain["logs"]),
            chain["verified_until"] or "-",
        )
        for chain in report["chains"]
    ]
    parts.append(_table(_CHAINS, rows))
    findings = [
        (
            "%s: %s" % (finding["word"], WORDS[finding["word"]]),
            finding["account"],
            finding["region"],
            finding["subject"] or " to ".join(filter(None, (finding["start"], finding["end"]))),
            finding["detail"],
        )
        for finding in report["findings"]
    ]
    parts.append("<h3>Findings</h3>" + _table(_FINDINGS, findings) if findings else "<p>There are no findings.</p>")
    errors = [(error["account"], error["region"], error["error"]) for error in report["errors"]]
    if errors:
        parts.append("<h3>Not validated</h3>" + _table(("Account", "Region", "Error"), errors))
    parts += ["<p>Note: %s</p>" % _text(note) for note in report["notes"]]
    newest = [(name, kept.get("end", ""), kept.get("key", ""), kept.get("sha256", "")) for name, kept in report["verified"].items()]
    if newest:
        parts.append("<h3>Newest verified digests</h3>" + _table(("Chain", "Ends at", "Digest", "SHA-256"), newest))
    return "\n".join(parts)


def _table(head: t.Sequence[str], rows: t.Sequence[t.Sequence[str]]) -> str:
    lines = ["<tr>%s</tr>" % "".join("<th>%s</th>" % _text(name) for name in head)]
    lines += ["<tr>%s</tr>" % "".join("<td>%s</td>" % _text(cell) for cell in row) for row in rows]
    return '<div class="table"><table>%s</table></div>' % "\n".join(lines)


def _text(text: str) -> str:
    return escape(line(text))
