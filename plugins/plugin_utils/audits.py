# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an audit of a fleet's ledgers found, in one table or as one page."""

from __future__ import annotations

import typing as t
from html import escape

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.texts import printable
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import page_style, report as texts
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.command import errors as errors_of_result, rows as rows_of_result

HEAD = ("HOST", "JOB", "STORE", "ARCHIVES", "ENTRIES", "WITNESS", "FINDINGS")


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
    lines += ['<div class="table"><table>', "<tr>%s</tr>" % "".join("<th>%s</th>" % name.capitalize() for name in HEAD)]
    for row in rows:
        cells = "".join("<td>%s</td>" % _escaped(cell) for cell in row.cells)
        lines.append('<tr class="failed">%s</tr>' % cells if row.bad else "<tr>%s</tr>" % cells)
    title = "<h1>%s</h1>" % _escaped(_totals(results, findings))
    return page_style.page("Audit of archives", [title, *lines, "</table></div>"], page_style.REPORT_STYLE)


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
