# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the command ``log-archive`` told on the hosts of a play, in one table, failures first."""

from __future__ import annotations

import typing as t

from ansible_collections.infra_ops.log_archive.plugins.filter.command_errors import command_errors
from ansible_collections.infra_ops.log_archive.plugins.filter.command_rows import command_rows
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import EXIT_DONE, EXIT_PARTLY
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import format_size
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import LEVELS
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import report

Row = t.Dict[str, t.Any]


class Host(t.NamedTuple):
    """One host of the play: how it fared (``ok``, ``failed``, ``unreachable``, ``not run`` or ``no jobs``), and what was told there."""

    name: str
    fared: str
    rows: t.List[Row]
    errors: t.List[str]


def hosts_of(results: t.Mapping[str, t.Any]) -> t.List[Host]:
    """The hosts, those first where something went wrong. Archives that wait in the spool are none of that."""
    hosts = []
    for name, result in results.items():
        rows = command_rows(result)
        errors = [] if rows and all(map(_fine, rows)) else command_errors(result)
        if not isinstance(result, dict):
            fared = "not run"
        elif result.get("unreachable"):
            fared = "unreachable"
        elif result.get("no_jobs"):
            fared = "no jobs"
        else:
            fared = "failed" if errors else "ok"
        hosts.append(Host(name, fared, rows, errors))
    return sorted(hosts, key=lambda host: not host.errors)


def _fine(row: Row) -> bool:
    return row["exit_code"] in (EXIT_DONE, EXIT_PARTLY) and not row.get("errors")


def errors_of(hosts: t.Iterable[Host]) -> t.List[str]:
    """A line for each thing that went wrong; of one that is told in several lines the further ones are indented."""
    told = []
    for host in hosts:
        for error in host.errors:
            text = error[len(host.fared + ": ") :] if error.startswith(host.fared + ": ") else error
            told.append("%s: %s: %s" % (host.name, host.fared.upper(), text.replace("\n", "\n  ")))
    return told


def lines(*texts: str) -> t.List[str]:
    """The lines of all texts that are not empty."""
    return [line for text in texts if text for line in text.splitlines()]


def counted(hosts: t.Sequence[Host]) -> str:
    """How many hosts fared how: ``2 hosts ok, 1 failed``."""
    fared = [host.fared for host in hosts]
    others = ["%d %s" % (fared.count(way), way) for way in ("failed", "unreachable", "not run", "no jobs") if way in fared]
    return ", ".join(["%d host%s ok" % (fared.count("ok"), "" if fared.count("ok") == 1 else "s"), *others])


def weakest(levels: t.Iterable[str]) -> t.Optional[str]:
    """The level by which the least sure of them was verified."""
    return min(levels, key=LEVELS.index, default=None)


def stores(values: t.Mapping[str, t.Any]) -> str:
    """``local=read_back s3=server_digest``"""
    return " ".join("%s=%s" % item for item in sorted(values.items())) or "-"


def totals(hosts: t.Sequence[Host], archives: int, source_bytes: int, size: int, level: t.Optional[str]) -> str:
    """The last line."""
    return "%s; %d archive%s, %s in, %s out, ratio %s, verified %s" % (
        counted(hosts),
        archives,
        "" if archives == 1 else "s",
        format_size(source_bytes),
        format_size(size),
        ratio(source_bytes, size),
        "at least by %s" % level if level else "-",
    )


def ratio(source_bytes: int, size: int) -> str:
    """How much smaller it became."""
    return "%.1f" % (source_bytes / size) if size else "-"


def recap(results: t.Mapping[str, t.Any]) -> t.List[str]:
    """The lines of the filter fleet_recap."""
    hosts = hosts_of(results)
    cells = []
    all_archives: t.List[Row] = []
    levels: t.List[str] = []
    for host in hosts:
        # A job that failed comes before those of the same host that did not.
        for row in sorted(host.rows, key=lambda row: not row["errors"]):
            archives = row.get("archives", [])
            verified = _verified(archives)
            all_archives += archives
            levels += verified.values()
            cells.append(
                (
                    host.name,
                    row["job"],
                    row["outcome"] + (" (dry run)" if row.get("check") else ""),
                    str(len(archives)),
                    format_size(_sum(archives, "source_bytes")),
                    format_size(_sum(archives, "size")),
                    ratio(_sum(archives, "source_bytes"), _sum(archives, "size")),
                    stores(verified),
                    stores({name: len(pruned["removed"]) for name, pruned in row.get("pruned", {}).items() if pruned["removed"]}),
                    _waiting(row.get("spool")),
                )
            )
        if not host.rows:
            cells.append((host.name, "-", host.fared, *["-"] * 7))
    head = ("HOST", "JOB", "OUTCOME", "ARCHIVES", "IN", "OUT", "RATIO", "VERIFIED", "PRUNED", "BACKLOG")
    last = totals(hosts, len(all_archives), _sum(all_archives, "source_bytes"), _sum(all_archives, "size"), weakest(levels))
    return lines(*errors_of(hosts), report.table(head, cells), last)


def runs(results: t.Mapping[str, t.Any]) -> t.List[Row]:
    """The value of the filter fleet_runs."""
    told: t.List[Row] = []
    for host in hosts_of(results):
        told += [dict({"host": host.name}, **row) for row in host.rows]
        if host.errors and not host.rows:
            told.append({"host": host.name, "job": "-", "outcome": host.fared, "errors": host.errors})
    return sorted(told, key=lambda run: not run["errors"])


def _verified(archives: t.Iterable[Row]) -> t.Dict[str, str]:
    """By the name of each store the weakest level by which an archive was verified there."""
    found: t.Dict[str, str] = {}
    for archive in archives:
        for name, copy in archive["stores"].items():
            if copy["state"] == "verified":
                found[name] = weakest([copy["verified_by"], found.get(name, copy["verified_by"])]) or ""
    return found


def _sum(rows: t.Iterable[Row], name: str) -> int:
    return sum(row.get(name, 0) for row in rows)


def _waiting(spool: t.Optional[Row]) -> str:
    return "%d (%s)" % (spool["archives"], format_size(spool["bytes"])) if spool and spool["archives"] else "-"


def status(results: t.Mapping[str, t.Any]) -> t.List[str]:
    """The lines of the filter fleet_status."""
    hosts = hosts_of(results)
    rows = [(host.name, row) for host in hosts for row in host.rows]
    cells = [(host.name, "-", host.fared, *["-"] * 6) for host in hosts if not host.rows]
    # What the rows say against their jobs stands in the table, worst first: failed, then waiting, then fine.
    for name, row in sorted(rows, key=lambda item: {EXIT_DONE: 2, EXIT_PARTLY: 1}.get(item[1]["exit_code"], 0)):
        cells.append(
            (
                name,
                row["job"],
                row["state"],
                row["last_success"] or "never",
                stores(row["backlog"]),
                "%d (%s)" % (row["archives"], format_size(row["bytes"])),
                ratio(row["source_bytes"], row["bytes"]),
                stores(row["verified"]),
                row["next_run"] or row["next_due"] or "-",
            )
        )
    told = [host for host in hosts if not host.rows]
    head = ("HOST", "JOB", "STATE", "LAST SUCCESS", "BACKLOG", "ARCHIVES", "RATIO", "VERIFIED", "NEXT")
    levels = [level for _name, row in rows for level in row["verified"].values()]
    only = [row for _name, row in rows]
    last = totals(hosts, _sum(only, "archives"), _sum(only, "source_bytes"), _sum(only, "bytes"), weakest(levels))
    return lines(*errors_of(told), report.table(head, cells), last)
