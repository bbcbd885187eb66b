# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of a restore drill: as text, and as one HTML file that can be filed: no script, no request to another server, for screens in
light and dark, and for paper."""

from __future__ import annotations

import typing as t
from html import escape

from ..base.texts import line, printable
from ..base.units import format_size, format_utc
from .page_style import REPORT_STYLE, page

if t.TYPE_CHECKING:
    from datetime import datetime

    Row = t.Mapping[str, t.Any]
    """``run.drill.StoreDrill`` as its JSON has it."""

UNPROVEN = "as its manifest states, which is not authenticated"
_STORES = ("Host", "Job", "Store", "Archives", "Tried", "Not tried", "Failed", "Keys", "Seed")
_ARCHIVES = ("Archive", "Host", "Store", "Period", "Key", "Size", "Logs", "Seconds", "Result")


def text(rows: t.Sequence[Row]) -> str:
    """The drills of one host, for a terminal."""
    found = []
    for row in rows:
        failed = sum(one["error"] is not None for one in row["tried"])
        counts = "%d of %d archives restored, %d failed" % (len(row["tried"]) - failed, row["archives"], failed)
        texts = [counts] if row["tried"] else []
        texts += [row["error"]] if row["error"] else []
        found.append("%s: store %s: %s" % (line(row["job"]), line(row["store"]), line("; ".join(texts))))
        for one in row["tried"]:
            result = "FAILED: " + one["error"] if one["error"] else "as it was archived" if one["proven"] else UNPROVEN
            found.append(
                "  %s: %s of logs in %.1f s: %s" % (line(one["archive"]), format_size(one["source_bytes"]), one["seconds"], line(result))
            )
    return "\n".join([*found, totals(rows)])


def totals(rows: t.Sequence[Row]) -> str:
    """What was tried, in one line."""
    tried = [one for row in rows for one in row["tried"]]
    failed = sum(one["error"] is not None for one in tried) + sum(bool(row["exit_code"] and row["error"]) for row in rows)
    seeds = sorted({row["seed"] for row in rows if row["seed"]})
    return "tried %d of %d archives in %.1f s with the seed %s: %s" % (
        len(tried),
        sum(row["archives"] for row in rows),
        sum(one["seconds"] for one in tried),
        ", ".join(map(line, seeds)) or "-",
        "%d failed" % failed if failed else "all are as they were archived" if tried else "nothing was tried",
    )


def render(hosts: t.Mapping[str, t.Tuple[t.Sequence[Row], t.Sequence[str]]], began: datetime) -> str:
    """The report. hosts: by name, what the drill on that host printed, and its errors. began: aware."""
    rows = [row for found, _errors in hosts.values() for row in found]
    errors = ["%s: %s" % (host, error) if host else error for host, (_found, texts) in hosts.items() for error in texts]
    tried = [(row, one) for row in rows for one in row["tried"]]
    tried.sort(key=lambda pair: pair[1]["error"] is None)
    failed = bool(errors) or any(row["exit_code"] for row in rows)
    parts = ["<h2>Errors</h2><ul>%s</ul>" % "".join('<li class="failed">%s</li>' % _escaped(error) for error in errors)] if errors else []
    parts.append("<h2>Stores</h2>" + _table(_STORES, [_store_cells(row) for row in rows], [row["exit_code"] != 0 for row in rows]))
    parts.append(
        "<h2>Archives</h2>" + _table(_ARCHIVES, [_cells(*pair) for pair in tried], [one["error"] is not None for _row, one in tried])
    )
    when = (
        "%s. Each archive was fetched, authenticated, decrypted and extracted; every log was read again and compared with what the host"
        % (format_utc(began))
    )
    about = when + " recorded when it archived it. The plaintext was removed."
    shown = ["<h1>Restore drill: %s</h1>" % ("failed" if failed else "passed")]
    shown += ["<p>%s</p>" % _escaped(each) for each in (about, totals(rows))]
    return page("Restore drill", [*shown, *parts], REPORT_STYLE)


def _store_cells(row: Row) -> t.Sequence[str]:
    tried = row["tried"]
    keys = ", ".join(sorted({one["key_id"] or "none" for one in tried})) or "-"
    failed = "; ".join([str(sum(one["error"] is not None for one in tried))] * bool(tried) + [row["error"]] * bool(row["error"])) or "0"
    return (
        row["host"], row["job"], row["store"], str(row["archives"]), str(len(tried)), str(row["archives"] - len(tried)), failed, keys,
        row["seed"],
    )  # fmt: skip


def _cells(row: Row, one: Row) -> t.Sequence[str]:
    return (
        one["archive"], row["host"], row["store"], "%s to %s" % (one["start"], one["end"]), one["key_id"] or "none",
        format_size(one["size"]), "%d, %s" % (one["files"], format_size(one["source_bytes"])), "%.1f" % one["seconds"],
        ("as archived" if one["proven"] else UNPROVEN) if one["error"] is None else "FAILED: " + one["error"],
    )  # fmt: skip


def _table(head: t.Sequence[str], rows: t.Sequence[t.Sequence[str]], failed: t.Sequence[bool]) -> str:
    lines = ['<div class="table"><table>', "<tr>%s</tr>" % "".join("<th>%s</th>" % name for name in head)]
    for cells, bad in zip(rows, failed):
        shown = "".join("<td>%s</td>" % _escaped(cell) for cell in cells)
        lines.append('<tr class="failed">%s</tr>' % shown if bad else "<tr>%s</tr>" % shown)
    return "\n".join([*lines, "</table></div>"])


def _escaped(value: str) -> str:
    return escape(printable(value))
