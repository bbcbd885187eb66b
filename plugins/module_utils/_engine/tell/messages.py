# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What notifications say of one run, or of the runs of a fleet: as text, as HTML for a mail, and as a table for Mattermost.

Plain functions and no template engine: a host gets no further library for a table, and what comes out of a recap is escaped in one place
for each form. Names of files come from whoever can make one, and messages of errors from any server.
"""

from __future__ import annotations

import typing as t
from html import escape

from ..base.units import format_duration, format_size
from ..config.store_spec import LEVELS
from . import report
from .receivers.base import News

Recap = t.Mapping[str, t.Any]
Row = t.Tuple[str, t.Sequence[str]]
"""A row of a table: its state, and its cells."""

PICTOGRAMS = {"done": ":white_check_mark:", "warning": ":warning:", "failed": ":x:"}
COLOURS = {"done": "#1a7f37", "warning": "#9a6700", "failed": "#cf222e"}
LONGEST = 200_000
"""Characters of a mail; a run of thousands of archives is told in its log."""
MOST_LINES = 200
"""Lines of a list in a mail."""
_CUT = "(cut)"


def failed(recap: Recap) -> bool:
    """Whether the run had errors; archives that wait for a store because nobody let them go are none."""
    return bool(recap["errors"])


def state(recap: Recap) -> str:
    """'failed', 'warning' or 'done'."""
    return "failed" if failed(recap) else "warning" if recap.get("warnings") else "done"


def news(
    recaps: t.Sequence[Recap], recovered: bool = False, log: t.Optional[str] = None, status: t.Optional[t.Callable[[], Recap]] = None
) -> News:
    """What receivers deliver. status: called for the state of the one job (``status.of`` and 'runs'), for its metrics."""
    states = [state(recap) for recap in recaps]
    worst = next((each for each in ("failed", "warning") if each in states), "done")
    title = subject(recaps, recovered)
    return News(
        job=recaps[0]["job"] if len(recaps) == 1 else None,
        state=worst,
        subject="[log-archive] " + title,
        text=lambda: _text(title, recaps),
        html=lambda: _html(title, worst, recaps),
        table=lambda limit: _table(title, worst, recaps, limit),
        recaps=recaps,
        metrics=lambda: metrics(recaps[0], status() if status else {}),
        log=log,
    )


def subject(recaps: t.Sequence[Recap], recovered: bool) -> str:
    """One line that says it all."""
    if len(recaps) == 1:
        recap = recaps[0]
        outcome = recap["outcome"] + (", recovered" if recovered else "")
        return _clean("%s %s: %s%s" % (recap["host"], recap["job"], outcome, " (dry run)" if recap.get("check") else ""))
    bad = sum(failed(recap) for recap in recaps)
    hosts = len({recap["host"] for recap in recaps})
    return "%s on %s: %s" % (_number(len(recaps), "run"), _number(hosts, "host"), "%d failed" % bad if bad else "done")


def _number(count: int, what: str) -> str:
    return "%d %s%s" % (count, what, "" if count == 1 else "s")


# -- what is said -----------------------------------------------------------------------------------------------------


def _facts(recap: Recap) -> t.List[t.Tuple[str, str]]:
    return [
        ("Host", recap["host"]),
        ("Job", recap["job"]),
        ("Outcome", recap["outcome"]),
        ("Started", recap.get("started", "-")),
        ("Duration", format_duration(recap["seconds"]) if "seconds" in recap else "-"),
        ("Errors", str(len(recap["errors"]))),
        ("Warnings", str(len(recap.get("warnings", [])))),
    ]


def _steps(recap: Recap) -> t.List[Row]:
    """Each step of the run with its state, its errors and warnings, and what it did."""
    rows = []
    for name, step in recap.get("steps", {}).items():
        counts = [_number(step[kind], kind[:-1]) for kind in ("errors", "warnings") if step[kind]]
        rows.append((step["state"], (name, ", ".join([*_done(recap, name), *counts]) or "done")))
    return rows


def _done(recap: Recap, step: str) -> t.List[str]:
    archives = recap.get("archives", [])
    kind, _blank, store = step.partition(" ")
    if step == "select":
        skipped, missing = len(recap.get("skipped", [])), len(recap.get("missing", []))
        return ["%d %s" % (count, what) for count, what in ((skipped, "skipped"), (missing, "missing")) if count]
    if step == "pack":
        return [_number(len(archives), "archive"), format_size(sum(_size(archive) for archive in archives))]
    if kind == "store":
        return _copies(archives, store)
    if kind == "prune" and store in recap.get("pruned", {}):
        pruned = recap["pruned"][store]
        return ["%d removed" % len(pruned["removed"]), format_size(pruned["bytes_freed"]), "%d kept" % pruned["kept"]]
    if step == "delete sources":
        return ["%d deleted" % len(recap.get("sources_deleted", []))]
    return []


def _copies(archives: t.Sequence[Recap], store: str) -> t.List[str]:
    copies = [archive["stores"][store] for archive in archives if store in archive["stores"]]
    levels = [copy["verified_by"] for copy in copies if copy.get("verified_by")]
    waiting = sum(copy["state"] == "pending" for copy in copies)
    said = ["%d verified by %s" % (levels.count(level), level) for level in LEVELS if level in levels]
    return said + ["%d waiting" % waiting] * bool(waiting)


def _archives(recap: Recap) -> t.List[Row]:
    """Each archive with its size and how its copies were verified."""
    rows = []
    for archive in recap.get("archives", []):
        copies = ["%s: %s" % (name, copy.get("verified_by") or copy["state"]) for name, copy in archive["stores"].items()]
        good = all(copy["state"] != "pending" for copy in archive["stores"].values())
        rows.append(("done" if good else "warning", (archive["name"], format_size(_size(archive)), archive["state"], ", ".join(copies))))
    return rows


def _size(archive: Recap) -> int:
    return t.cast(int, archive.get("size", archive.get("source_bytes", 0)))


def _removed(recap: Recap) -> t.List[str]:
    return ["%s: %s" % (store, key) for store, pruned in recap.get("pruned", {}).items() for key in pruned["removed"]]


def _runs(recaps: t.Sequence[Recap]) -> t.List[Row]:
    """Each run of a fleet, those with something to tell first."""
    order = ["failed", "warning", "done"]
    rows: t.List[Row] = []
    for recap in sorted(recaps, key=lambda recap: (order.index(state(recap)), recap["host"], recap["job"])):
        archives = recap.get("archives", [])
        told = "%d / %d" % (len(recap["errors"]), len(recap.get("warnings", [])))
        size = format_size(sum(_size(archive) for archive in archives))
        rows.append((state(recap), (recap["host"], recap["job"], recap["outcome"], str(len(archives)), size, told)))
    return rows


RUNS_HEAD = ("Host", "Job", "Outcome", "Archives", "Size", "Errors / warnings")


def _problems(recaps: t.Sequence[Recap]) -> t.List[t.Tuple[str, str]]:
    """('error' or 'warning', text), all errors before all warnings; with host and job where there are several runs."""
    found = []
    for kind in ("errors", "warnings"):
        for recap in recaps:
            where = "%s %s: " % (recap["host"], recap["job"]) if len(recaps) > 1 else ""
            found += [(kind[:-1], where + text) for text in recap.get(kind, [])]
    return found


# -- text -------------------------------------------------------------------------------------------------------------


def _text(title: str, recaps: t.Sequence[Recap]) -> str:
    lines = [title, ""]
    if len(recaps) == 1:
        lines += ["%-10s%s" % fact for fact in _facts(recaps[0])]
        steps = [(state_, *cells) for state_, cells in _steps(recaps[0])]
        lines += ["", report.table(("STATE", "STEP", "WHAT"), steps)] if steps else []
        lines += ["", report.recap(dict(recaps[0]))]
    else:
        runs = [(state_, *cells) for state_, cells in _runs(recaps)]
        lines += [report.table(("STATE", *(name.upper() for name in RUNS_HEAD)), runs), ""]
        lines += ["%-8s %s" % problem for problem in _problems(recaps)]
    return _clean(_cut("\n".join(lines), LONGEST)) + "\n"


def _clean(text: str) -> str:
    """Text that is UTF-8 and drives no terminal."""
    return "".join(character if character.isprintable() or character == "\n" else ascii(character)[1:-1] for character in text)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return text[: text.rfind("\n", 0, limit - len(_CUT))] + "\n" + _CUT


# -- HTML -------------------------------------------------------------------------------------------------------------


def _html(title: str, worst: str, recaps: t.Sequence[Recap]) -> str:
    parts = ['<h2 style="color:%s">%s</h2>' % (COLOURS[worst], _safe(title))]
    if len(recaps) == 1:
        recap = recaps[0]
        parts.append(_html_table((), [("done", fact) for fact in _facts(recap)]))
        parts.append(_html_table(("Step", "What"), _steps(recap), states=True))
        parts.append(_html_table(("Archive", "Size", "State", "Copies"), _archives(recap), states=True))
    else:
        parts.append(_html_table(RUNS_HEAD, _runs(recaps), states=True))
    parts.append(_html_table((), [("failed" if kind == "error" else "warning", (kind, text)) for kind, text in _problems(recaps)]))
    if len(recaps) == 1:
        parts.append(_html_table(("Pruned",), [("done", (name,)) for name in _removed(recaps[0])]))
    body = "\n".join(filter(None, parts))
    return '<!DOCTYPE html>\n<html><head><meta charset="utf-8"></head><body style="font-family:sans-serif">\n%s\n</body></html>\n' % body


def _html_table(head: t.Sequence[str], rows: t.Sequence[Row], states: bool = False) -> str:
    """A table, or nothing where it has no rows. states: whether its first column is the state."""
    if not rows:
        return ""
    cell = '<td style="border:1px solid #d0d7de;padding:3px 8px%s">%s</td>'
    lines = ['<table style="border-collapse:collapse;margin-bottom:1em">']
    if head:
        lines.append("<tr>%s</tr>" % "".join('<th align="left">%s</th>' % _safe(name) for name in ([""] if states else []) + list(head)))
    for state_, cells in rows[:MOST_LINES]:
        first = [cell % (";color:" + COLOURS[state_], state_)] if states else []
        lines.append("<tr>%s</tr>" % "".join(first + [cell % ("", _safe(text)) for text in cells]))
    if len(rows) > MOST_LINES:
        lines.append("<tr>%s</tr>" % (cell % ("", "and %d more" % (len(rows) - MOST_LINES))))
    return "\n".join([*lines, "</table>"])


def _safe(text: str) -> str:
    return escape(_clean(text))


# -- Mattermost -------------------------------------------------------------------------------------------------------


def _table(title: str, worst: str, recaps: t.Sequence[Recap], limit: int) -> str:
    """Markdown. Whatever is not ours stands in code, where no markup, no emoji and no @channel works."""
    lines = ["#### %s %s" % (PICTOGRAMS[worst], _code(title))]
    if len(recaps) == 1:
        facts = ["%s %s" % (name.lower(), value) for name, value in _facts(recaps[0])[3:]]
        lines += ["", ", ".join(facts), ""]
        lines += _markdown_table(("Step", "What"), _steps(recaps[0]))
        lines += _markdown_table(("Archive", "Size", "State", "Copies"), _archives(recaps[0]))
    else:
        lines += ["", *_markdown_table(RUNS_HEAD, _runs(recaps))]
    lines += ["- %s %s" % (PICTOGRAMS["failed" if kind == "error" else "warning"], _code(text)) for kind, text in _problems(recaps)]
    if len(recaps) == 1:
        removed = _removed(recaps[0])
        lines += ["", "Pruned:"] * bool(removed) + ["- " + _code(name) for name in removed]
    return _cut("\n".join(lines).rstrip("\n"), limit)


def _markdown_table(head: t.Sequence[str], rows: t.Sequence[Row]) -> t.List[str]:
    if not rows:
        return []
    lines = ["| | %s |" % " | ".join(head), "|:-:|" + ":--|" * len(head)]
    return lines + ["| %s | %s |" % (PICTOGRAMS[state_], " | ".join(_code(text) for text in cells)) for state_, cells in rows] + [""]


def _code(text: str) -> str:
    # A '|' would end the cell of a table also in code, and a backslash before it is seen outside of tables.
    return "`%s`" % (" ".join(_clean(text).split()).replace("`", "'").replace("|", "\u00a6") or " ")


# -- Prometheus -------------------------------------------------------------------------------------------------------

METRICS = (
    ("last_run_timestamp_seconds", "gauge", "When the job last ran, whatever came of it."),
    ("last_success_timestamp_seconds", "gauge", "When a run of the job that ended well began; not there before the first."),
    ("last_run_duration_seconds", "gauge", "How long the last run took."),
    ("last_run_exit_code", "gauge", "0 done, 1 failed, 2 wrong options, 3 partly done, 4 integrity failure."),
    ("last_run_errors", "gauge", "Errors of the last run."),
    ("last_run_warnings", "gauge", "Warnings of the last run."),
    ("last_run_archives", "gauge", "Archives that the last run made or sent."),
    ("last_run_bytes", "gauge", "Their size."),
    ("last_run_source_bytes", "gauge", "The size of the logs in them."),
    ("runs_total", "counter", "Runs that ended, by exit code."),
    ("archives", "gauge", "Archives of the job in the spool or in a store."),
    ("bytes", "gauge", "Their size."),
    ("source_bytes", "gauge", "The size of the logs in them."),
    ("spool_archives", "gauge", "Archives in the spool."),
    ("spool_bytes", "gauge", "Their size."),
    ("backlog_archives", "gauge", "Archives that wait for the store."),
    ("verified_level", "gauge", "The weakest proof of a copy in the store: 1 size, 2 server_digest, 3 remote_hash, 4 read_back."),
)


def metrics(recap: Recap, status: Recap) -> str:
    """The text of a file for Prometheus' textfile collector."""
    from ..base.units import parse_utc

    archives = recap.get("archives", [])
    plain: t.Dict[str, t.Any] = {
        "last_run_timestamp_seconds": parse_utc(recap["started"]).timestamp(),
        "last_run_duration_seconds": recap["seconds"],
        "last_run_exit_code": recap["exit_code"],
        "last_run_errors": len(recap["errors"]),
        "last_run_warnings": len(recap["warnings"]),
        "last_run_archives": len(archives),
        "last_run_bytes": sum(_size(archive) for archive in archives),
        "last_run_source_bytes": sum(archive["source_bytes"] for archive in archives),
        "archives": status["archives"],
        "bytes": status["bytes"],
        "source_bytes": status["source_bytes"],
        "spool_archives": status["spool"]["archives"],
        "spool_bytes": status["spool"]["bytes"],
    }
    if status["last_success"]:
        plain["last_success_timestamp_seconds"] = parse_utc(status["last_success"]).timestamp()
    samples: t.Dict[str, t.List[t.Tuple[t.Dict[str, str], t.Any]]] = {name: [({}, value)] for name, value in plain.items()}
    samples["runs_total"] = [({"exit_code": str(code)}, count) for code, count in sorted(status["runs"].items())]
    samples["backlog_archives"] = [({"store": store}, status["backlog"].get(store, 0)) for store in status["stores"]]
    samples["verified_level"] = [({"store": store}, LEVELS.index(level) + 1) for store, level in sorted(status["verified"].items())]
    lines = []
    for name, kind, about in METRICS:
        if samples.get(name):
            lines += ["# HELP log_archive_%s %s" % (name, about), "# TYPE log_archive_%s %s" % (name, kind)]
        for labels, value in samples.get(name, []):
            every = {"job": recap["job"], "host": recap["host"], **labels}
            lines.append("log_archive_%s{%s} %s" % (name, ",".join('%s="%s"' % (key, _label(every[key])) for key in every), repr(value)))
    return "\n".join(lines) + "\n"


def _label(text: str) -> str:
    return _clean(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
