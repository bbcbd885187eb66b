# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What restore drills on the hosts of a play found: as lines, as an HTML page to file, and as JSON."""

from __future__ import annotations

import json
import typing as t
from datetime import datetime, timezone

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import format_utc
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import drill_page
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.command import Row, errors as errors_of_result, rows as rows_of_result


def drilled(results: t.Mapping[str, t.Any], report: t.Optional[str] = None) -> t.Union[str, t.List[str]]:
    """The value of the filter fleet_drill: lines to show, or the report as ``html`` or ``json``."""
    hosts = {host: _of_host(host, result) for host, result in results.items()}
    now = datetime.now(timezone.utc)
    if report == "html":
        return drill_page.render(hosts, now)
    if report == "json":
        found = {host: {"stores": rows, "errors": errors} for host, (rows, errors) in hosts.items()}
        return json.dumps({"created": format_utc(now), "hosts": found}, indent=1, sort_keys=True) + "\n"
    # Hosts that failed first.
    lines: t.List[str] = []
    for host, (rows, errors) in sorted(hosts.items(), key=lambda item: (not item[1][1], item[0])):
        lines.append(host + (": FAILED" if errors else ""))
        lines += ["  " + line for line in (drill_page.text(rows).splitlines() if rows else errors or ["nothing"])]
    return [*lines, drill_page.totals([row for rows, _errors in hosts.values() for row in rows])]


def _of_host(host: str, result: t.Any) -> t.Tuple[t.List[Row], t.List[str]]:
    rows = rows_of_result(result)
    # What failed in a drill is in its rows.
    return [dict(row, host=host) for row in rows], errors_of_result(result)
