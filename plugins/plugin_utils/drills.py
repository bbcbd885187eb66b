# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What restore drills of the hosts of a play found: as lines, as an HTML page to file, and as JSON.

A drill runs on the host by the command, or on the controller by the module archive_drill.
"""

from __future__ import annotations

import json
import typing as t
from datetime import datetime, timezone

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import EXIT_DONE, EXIT_FAILED
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import format_utc
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import drill_page
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.command import Row, errors as errors_of_result, rows as rows_of_result
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.stores import name_of


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


NOT_ON_CONTROLLER = "not tried: a folder of the host, which the controller cannot read"
NO_STORE = "nothing was tried: every store of the job is a folder of the host, which the controller cannot read"
NO_ACCOUNT = "not tried: the controller has no access to the account on the archive server"
IN_CHECK_MODE = "not tried: a dry run opens no account on the archive server"


def result_of(
    results: t.Sequence[t.Any], documents: t.Mapping[str, t.Any], store: str = "", check_mode: bool = False
) -> t.Dict[str, t.Any]:
    """The value of the filter drill_result. See DOCUMENTATION there."""
    rows: t.List[Row] = []
    tried: t.Set[t.Tuple[str, str]] = set()
    for one in results:
        job, name = one[one["ansible_loop_var"]][:2]
        tried.add((job, name))
        found = one.get("drills") or []
        rows += found
        if one.get("failed") and not any(row["exit_code"] for row in found):
            rows.append(_row(documents[job], name, str(one.get("msg")), one.get("exit_code", EXIT_FAILED)))
    for job, document in sorted(documents.items()):
        names = {name_of(each): each["type"] for each in document["stores"]}
        left_out = [name for name in names if (job, name) not in tried and store in ("", name)]
        for name in left_out:
            if names[name] == "file":
                alone = all(each == "file" for each in names.values())
                rows.append(_row(document, name, NO_STORE if alone else NOT_ON_CONTROLLER, EXIT_FAILED if alone else EXIT_DONE))
            else:
                rows.append(_row(document, name, IN_CHECK_MODE if check_mode else NO_ACCOUNT, EXIT_DONE if check_mode else EXIT_FAILED))
    return {"rc": max([EXIT_DONE, *(row["exit_code"] for row in rows)]), "stdout": json.dumps(rows)}


def _row(document: t.Any, store: str, error: str, code: int) -> Row:
    """A store of which nothing was tried."""
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run.drill import StoreDrill

    return StoreDrill(str(document["host"]), str(document["name"]), store, "", 0, [], error, code)._asdict()


def _of_host(host: str, result: t.Any) -> t.Tuple[t.List[Row], t.List[str]]:
    rows = rows_of_result(result)
    # What failed in a drill is in its rows.
    return [dict(row, host=host) for row in rows], errors_of_result(result)
