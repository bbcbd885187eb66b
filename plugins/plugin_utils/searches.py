# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a search on many hosts found: on the hosts by the command, and on the controller by the module archive_search."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import EXIT_FAILED
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.found import Printed
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.command import Row, errors as errors_of_result, rows as rows_of_result

MOST_LINES = 200
"""Lines that are shown of a fleet."""

Results = t.Mapping[str, t.Any]


def errors(result: t.Any, searched: t.Any) -> t.List[str]:
    """What was not searched of a host. result: of the command. searched: of the module, if the host did not answer; else undefined."""
    if isinstance(searched, dict):
        found = ["job %s: %s" % (job, one["msg"]) for job, one in _by_job(searched) if "exit_code" in one or "lines" not in one]
        return [*map(str, searched.get("errors", [])), *found]
    # The command found nothing.
    if isinstance(result, dict) and result.get("rc") == EXIT_FAILED and (result.get("stdout") or "").strip() == "[]":
        return []
    return errors_of_result(result)


def _by_job(searched: Results) -> t.List[t.Tuple[str, Row]]:
    return [(str(one.get(one.get("ansible_loop_var", "item"))), one) for one in searched.get("results", [])]


def rows(result: t.Any, searched: t.Any) -> t.List[Row]:
    """What was found on a host, as the rows of ``log-archive search --json`` without those of errors."""
    if not isinstance(searched, dict):
        return [row for row in rows_of_result(result) if row.get("error") is None]
    empty = {"line": None, "text": None, "matched": False, "cut": False, "count": None, "error": None}
    found = []
    for _job, one in _by_job(searched):
        for row in [*one.get("lines", []), *one.get("counts", [])]:
            found.append({**empty, **row, "key": row["archive"]})
            del found[-1]["archive"]
    return found


def text(results: Results, searched: Results) -> t.List[str]:
    """What was not searched, then the lines, and the totals."""
    failures: t.List[str] = []
    notes: t.List[str] = []
    found: t.List[Row] = []
    failed = 0
    for host, result in results.items():
        problems = errors(result, searched.get(host))
        failed += bool(problems)
        failures += ["%s: FAILED: %s" % (host, problem.replace("\n", "\n  ")) for problem in problems]
        if isinstance(searched.get(host), dict):
            notes.append("%s: does not answer; the controller searched its stores" % host)
        found += rows(result, searched.get(host))
    separated = any(not row["matched"] and row["line"] is not None for row in found)
    shown = Printed(separated).lines(t.cast(t.Any, found[:MOST_LINES]))
    if len(found) > MOST_LINES:
        shown.append("and %d more; the file of log_archive_search_report has them all" % (len(found) - MOST_LINES))
    matched = sum(row["count"] or int(row["matched"]) for row in found)
    total = "%d matching line%s; %d host%s searched, %d failed" % (
        matched,
        "" if matched == 1 else "s",
        len(results) - failed,
        "" if len(results) - failed == 1 else "s",
        failed,
    )
    return [line for part in (*failures, *notes, *shown, total) for line in part.splitlines()]
