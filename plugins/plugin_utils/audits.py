# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an audit of a fleet's ledgers found, in one table or as one page."""

from __future__ import annotations

import typing as t
from html import escape

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.texts import printable
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import report as texts
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.command import errors as errors_of_result, rows as rows_of_result

HEAD = ("HOST", "JOB", "STORE", "ARCHIVES", "ENTRIES", "WITNESS", "FINDINGS")

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Audit of archives</title>
<style>
:root { color-scheme: light dark; }
body { margin: 0 auto; padding: 1.5rem; max-width: 70rem; font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #8888; text-align: left; } li { overflow-wrap: anywhere; }
.bad { color: #cf222e; font-weight: 600; }
</style>
</head>
<body>
<h1>%s</h1>
%s
</body>
</html>
"""


class Audited(t.NamedTuple):
    """One line of the table. bad: whether something was found."""

    cells: t.Tuple[str, ...]
    bad: bool


def audit(results: t.Mapping[str, t.Any], witnessed: t.Mapping[str, t.Any]) -> t.List[str]:
    """The findings, then the table, problems first, and the totals."""
    rows, findings = _audited(results, witnessed)
    return [*findings, *texts.table(HEAD, [row.cells for row in rows]).splitlines(), _totals(results, findings)]


def page(results: t.Mapping[str, t.Any], witnessed: t.Mapping[str, t.Any]) -> str:
    """The same as an HTML page."""
    rows, findings = _audited(results, witnessed)
    lines = ["<h2>Findings</h2>", "<ul>", *("<li>%s</li>" % _escaped(text) for text in findings), "</ul>"] if findings else []
    lines += ["<table>", "<tr>%s</tr>" % "".join("<th>%s</th>" % name.capitalize() for name in HEAD)]
    for row in rows:
        cells = "".join("<td>%s</td>" % _escaped(cell) for cell in row.cells)
        lines.append('<tr class="bad">%s</tr>' % cells if row.bad else "<tr>%s</tr>" % cells)
    return _PAGE % (_escaped(_totals(results, findings)), "\n".join([*lines, "</table>"]))


def _audited(results: t.Mapping[str, t.Any], witnessed: t.Mapping[str, t.Any]) -> t.Tuple[t.List[Audited], t.List[str]]:
    rows: t.List[Audited] = []
    findings: t.List[str] = []
    for host, result in results.items():
        found = rows_of_result(result)
        witness = witnessed.get(host)
        witness = witness if isinstance(witness, dict) else {}
        errors = errors_of_result(result)
        findings += ["%s: %s" % (host, text) for text in errors]
        findings += [
            "%s: witness: %s" % (host, text) for text in witness.get("findings") or ([witness["msg"]] if witness.get("msg") else [])
        ]
        for row in found:
            rows.append(_row(host, row, witness))
        if not found:
            state = "no jobs" if isinstance(result, dict) and result.get("no_jobs") else "no result"
            rows.append(Audited((host, "-", "-", "-", "-", "-", state), bool(errors)))
    return sorted(rows, key=lambda row: not row.bad), findings


def _row(host: str, row: t.Mapping[str, t.Any], witness: t.Mapping[str, t.Any]) -> Audited:
    head = row.get("head")
    state = "-"
    if row["store"] is None:
        prefix = "ledger of %s: " % row["job"]
        wrong = any(text.startswith(prefix) for text in witness.get("findings", []))
        state = "FAILED" if wrong else "seen" if row["job"] in witness.get("ledgers", {}) else "-"
    kinds = [finding["kind"] for finding in row["findings"]]
    counted = ", ".join("%d %s" % (kinds.count(kind), kind) for kind in sorted(set(kinds))) or "none"
    store = "(ledger)" if row["store"] is None else row["store"]
    entries = str(head["seq"] + 1) if head else "-"
    return Audited((host, row["job"], store, str(row["archives"]), entries, state, counted), bool(kinds) or state == "FAILED")


def _totals(results: t.Mapping[str, t.Any], findings: t.Sequence[str]) -> str:
    return "%d host%s audited, %s" % (
        len(results),
        "" if len(results) == 1 else "s",
        "nothing found" if not findings else "%d finding%s" % (len(findings), "" if len(findings) == 1 else "s"),
    )


def _escaped(text: str) -> str:
    return escape(printable(text))
