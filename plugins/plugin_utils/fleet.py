# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the command ``log-archive`` printed on the hosts of a play, in one table, failures first."""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone

from ansible.errors import AnsibleFilterError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import EXIT_DONE, EXIT_PARTLY
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.levels import VERIFICATION_LEVELS
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.lists import first
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import format_duration, format_size
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import adopted, report as texts
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.recap import MOST_PROBLEMS, recap as recap_of
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.records import complete
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.command import Row, errors as errors_of_result, rows as rows_of_result

if t.TYPE_CHECKING:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.fleet_rows import Host

TEXT_OF: t.Dict[str, t.Callable[[t.List[Row]], str]] = {
    # A job that could not start has no objects.
    "adopt": lambda rows: "\n".join(adopted.text(row) if "adopted" in row else recap_of(complete(row)) for row in rows),
    "doctor": lambda rows: texts.checks(rows, all=False),
    "prune": lambda rows: "\n".join(recap_of(complete(row), kept=False) for row in rows),
    "sync": lambda rows: "\n".join(recap_of(complete(row)) for row in rows),
    "verify": texts.verified,
}
"""What the command prints for people, by the name of the command: only what matters."""
VERBOSE_TEXT_OF: t.Dict[str, t.Callable[[t.List[Row]], str]] = {
    **TEXT_OF,
    "doctor": texts.checks,
    "prune": lambda rows: "\n".join(recap_of(complete(row)) for row in rows),
}
"""The same with everything."""


def hosts_of(results: t.Mapping[str, t.Any]) -> t.List[Host]:
    """The hosts, those with errors first. Archives that wait in the spool are no error."""
    hosts = []
    for host in each_host(results):
        for row in host.rows:
            # Only the page shows it, and it is most of a row.
            row.pop("coverage", None)
        hosts.append(host)
    return sorted(hosts, key=lambda host: (not host.errors, host.name))


def each_host(results: t.Mapping[str, t.Any]) -> t.Iterator[Host]:
    """The hosts, as they are in ``results``. What one printed is read when its turn comes."""
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.fleet_rows import Host

    for name, result in results.items():
        rows = rows_of_result(result)
        errors = [] if rows and all(map(_fine, rows)) else errors_of_result(result)
        if not isinstance(result, dict):
            state = "not run"
        elif result.get("unreachable"):
            state = "unreachable"
        elif result.get("no_jobs"):
            state = "no jobs"
        elif errors and rows and all(_fine(row) or row.get("outcome") == "locked" for row in rows):
            state = "locked"
        else:
            state = "failed" if errors else "ok"
        yield Host(name, state, rows, errors)


def _fine(row: Row) -> bool:
    return row.get("exit_code", EXIT_DONE) in (EXIT_DONE, EXIT_PARTLY) and not row.get("errors") and not row.get("error")


def errors_of(hosts: t.Iterable[Host]) -> t.List[str]:
    """A line for each error; its further lines are indented."""
    found = []
    for host in hosts:
        for error in host.errors:
            text = error[len(host.state + ": ") :] if error.startswith(host.state + ": ") else error
            found.append("%s: %s: %s" % (host.name, host.state.upper(), text.replace("\n", "\n  ")))
    return found


def lines(*parts: str) -> t.List[str]:
    """The lines of all parts."""
    return [line for part in parts for line in part.splitlines()]


def counted(hosts: t.Sequence[Host]) -> str:
    """The number of hosts in each state: ``2 hosts ok, 1 failed``."""
    states = [host.state for host in hosts]
    known = ("failed", "locked", "unreachable", "not run", "no jobs")
    others = ["%d %s" % (states.count(state), state) for state in known if state in states]
    return ", ".join(["%d host%s ok" % (states.count("ok"), "" if states.count("ok") == 1 else "s"), *others])


def weakest(levels: t.Iterable[str]) -> t.Optional[str]:
    """The weakest of these verification levels."""
    return min(levels, key=VERIFICATION_LEVELS.index, default=None)


def stores(values: t.Mapping[str, t.Any]) -> str:
    """``local=read_back s3=server_digest``"""
    return " ".join("%s=%s" % item for item in sorted(values.items())) or "-"


def totals(hosts: t.Sequence[Host], archives: int, source_bytes: int, size: int, level: t.Optional[str]) -> str:
    """The line of totals."""
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
    """The compression ratio."""
    return "%.1f" % (source_bytes / size) if size else "-"


def recap(results: t.Mapping[str, t.Any]) -> t.List[str]:
    """The lines of the filter fleet_recap."""
    hosts = hosts_of(results)
    cells = []
    all_archives: t.List[Row] = []
    levels: t.List[str] = []
    for host in hosts:
        # A job that failed comes before those of the same host that did not.
        for row in sorted(host.rows, key=lambda row: (not row["errors"], row["job"])):
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
            cells.append((host.name, "-", host.state, *["-"] * 7))
    head = ("HOST", "JOB", "OUTCOME", "ARCHIVES", "IN", "OUT", "RATIO", "VERIFIED", "PRUNED", "BACKLOG")
    last = totals(hosts, len(all_archives), _sum(all_archives, "source_bytes"), _sum(all_archives, "size"), weakest(levels))
    return lines(*errors_of(hosts), *warnings_of(hosts), texts.table(head, cells), last)


def warnings_of(hosts: t.Iterable[Host]) -> t.List[str]:
    """A line for each warning of a run."""
    found = []
    for host in hosts:
        for row in host.rows:
            warnings = first(row.get("warnings", []), MOST_PROBLEMS)
            found += ["%s: warning: %s: %s" % (host.name, row["job"], warning.replace("\n", "\n  ")) for warning in warnings]
    return found


def runs(results: t.Mapping[str, t.Any]) -> t.List[Row]:
    """The value of the filter fleet_runs."""
    found: t.List[Row] = []
    for host in hosts_of(results):
        found += [dict({"host": host.name}, **row) for row in host.rows]
        if host.errors and not host.rows:
            found.append({"host": host.name, "job": "-", "outcome": host.state, "errors": host.errors})
    return sorted(found, key=lambda run: not run["errors"])


def _verified(archives: t.Iterable[Row]) -> t.Dict[str, str]:
    """By store, the weakest level that an archive was verified with there."""
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
    every = [(host.name, row) for host in hosts for row in host.rows]
    rows = [(name, row) for name, row in every if "stream" not in row and "orphan" not in row]
    left = ["%s: orphan %s: %s" % (name, row["job"], row["state"]) for name, row in every if "orphan" in row]
    cells = [(host.name, "-", host.state, *["-"] * 6) for host in hosts if not host.rows]
    for name, row in sorted(rows, key=_worst_first):
        cells.append(
            (
                name,
                row["job"],
                row["state"].partition("\n")[0],
                row["last_success"] or "never",
                stores(texts.waiting(row)),
                "%d (%s)" % (row["archives"], format_size(row["bytes"])),
                ratio(row["source_bytes"], row["bytes"]),
                stores(row["verified"]),
                row["next_run"] or row["next_due"] or "-",
            )
        )
    without_rows = [host for host in hosts if not host.rows]
    head = ("HOST", "JOB", "STATE", "LAST SUCCESS", "BACKLOG", "ARCHIVES", "RATIO", "VERIFIED", "NEXT")
    levels = [level for _name, row in rows for level in row["verified"].values()]
    only = [row for _name, row in rows]
    last = totals(hosts, _sum(only, "archives"), _sum(only, "source_bytes"), _sum(only, "bytes"), weakest(levels))
    # Of a document with mistakes the table has the first line only.
    found = ["%s: FAILED: %s" % (name, row["state"].replace("\n", "\n  ")) for name, row in rows if "\n" in row["state"]]
    found += ["%s: %s" % (name, line) for name, row in rows for line in texts.findings(row)]
    return lines(*errors_of(without_rows), *found, texts.table(head, cells), *_streams(every), *first(left), last)


def _worst_first(item: t.Tuple[str, Row]) -> t.Tuple[int, str, str, str]:
    """The order of a table: failed, then waiting, then fine; each by host, then by job or stream and sink."""
    host, row = item
    return {EXIT_DONE: 2, EXIT_PARTLY: 1}.get(row["exit_code"], 0), host, row.get("job") or row["stream"], row.get("sink", "")


def _streams(rows: t.Sequence[t.Tuple[str, Row]]) -> t.List[str]:
    """The table of the streams; nothing without any."""
    found = sorted((item for item in rows if "stream" in item[1]), key=_worst_first)
    head = ("HOST", "STREAM", "SINK", "STATE", "LINES", "LAG", "REJECTED", "GAPS")
    cells = []
    for name, row in found:
        lag = "%s, %s" % (format_size(row["lag_bytes"]), format_duration(row["lag_seconds"])) if row["lag_bytes"] else "-"
        state = row["state"].partition("\n")[0]
        cells.append((name, row["stream"], row["sink"], state, str(row["lines"]), lag, str(row["rejected"]), str(row["gaps"])))
    return [texts.table(head, cells)] if cells else []


def page(results: t.Mapping[str, t.Any]) -> str:
    """The value of the filter fleet_page."""
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.fleet_page import render

    return render(each_host(results), datetime.now(timezone.utc))


def report(results: t.Mapping[str, t.Any], command: str, verbose: bool = False) -> t.List[str]:
    """The lines of the filter fleet_report."""
    if command not in TEXT_OF:
        raise AnsibleFilterError("fleet_report: unknown command %r; it must be one of %s" % (command, ", ".join(sorted(TEXT_OF))))
    failed: t.List[str] = []
    fine: t.List[str] = []
    text_of = (VERBOSE_TEXT_OF if verbose else TEXT_OF)[command]
    for host, result in sorted(results.items()):
        errors = errors_of_result(result)
        rows = rows_of_result(result)
        text = text_of(rows) if rows else "\n".join(errors) or "nothing"
        (failed if errors else fine).extend(["%s%s" % (host, ": FAILED" if errors else ""), *("  " + line for line in text.splitlines())])
    return failed + fine


def held(results: t.Mapping[str, t.Any]) -> t.List[Row]:
    """What can be restored, as the hosts listed it: each row once, by host, job and time."""
    rows = [row for result in results.values() for row in rows_of_result(result) if "error" not in row]
    # Hosts that share a store list the same archives.
    by_key = {(row["host"], row["job"], row.get("key", "")): row for row in rows if "key" not in row or texts.holders(t.cast("t.Any", row))}
    return sorted(
        by_key.values(), key=lambda row: (row["host"], row["job"], row["period"]["start"] if "key" in row else "", row.get("key", ""))
    )


def listing(results: t.Mapping[str, t.Any]) -> t.List[str]:
    """The lines of the filter fleet_list: hosts that could not list first, then a table."""
    rows = held(results)
    each = bool(rows) and "key" in rows[0]
    return lines(*errors_of(hosts_of(results)), texts.archives(rows) if each else texts.listing(rows))  # type: ignore[arg-type]
