# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the command prints for people."""

from __future__ import annotations

import time
import typing as t

from ..base.units import format_size

if t.TYPE_CHECKING:
    from ..crypto.keyring import KeyInfo

Row = t.Dict[str, t.Any]


def recap(recap: t.Mapping[str, t.Any]) -> str:
    """One run: the outcome first, then failures, then what was done."""
    lines = ["%s: %s%s" % (recap["job"], recap["outcome"], " (dry run, nothing was changed)" if recap.get("check") else "")]
    lines += ["  ERROR    %s" % text for text in recap["errors"]]
    lines += ["  warning  %s" % text for text in recap.get("warnings", [])]
    for archive in recap.get("archives", []):
        lines.append("  %-8s %s" % (archive["state"], archive["name"] + _sizes(archive)))
        for name, copy in archive["stores"].items():
            how = copy.get("verified_by") or copy.get("error") or copy["state"]
            lines.append("           %s %s: %s" % ("ok" if copy["state"] == "verified" else "--", name, how))
    for name, pruned in recap.get("pruned", {}).items():
        count = len(pruned["removed"])
        if count or recap.get("check"):
            lines.append("  pruned   %s: %d removed (%s), %d kept" % (name, count, format_size(pruned["bytes_freed"]), pruned["kept"]))
        lines += _plan(pruned) if recap.get("check") else ["             %s" % key for key in pruned["removed"]]
    if recap.get("sources_deleted"):
        lines.append("  deleted  %d source(s) that every required store has" % len(recap["sources_deleted"]))
    if recap.get("skipped"):
        lines.append("  skipped  %d file(s):" % len(recap["skipped"]))
        lines += ["             %s: %s" % (_shown(skipped["path"]), skipped["reason"]) for skipped in recap["skipped"][:10]]
    if recap.get("spool", {}).get("archives"):
        lines.append(
            "  spool    %d archive(s), %s, wait for the next run" % (recap["spool"]["archives"], format_size(recap["spool"]["bytes"]))
        )
    return "\n".join(lines)


def _plan(pruned: Row) -> t.List[str]:
    return ["             %-6s %s  (%s)" % (item["action"], item["key"], item["reason"]) for item in pruned["plan"]]


def _sizes(archive: Row) -> str:
    if "size" not in archive:
        return "  (%s)" % format_size(archive["source_bytes"])
    return "  (%s from %s)" % (format_size(archive["size"]), format_size(archive["source_bytes"]))


def archives(rows: t.Sequence[Row]) -> str:
    """A table of archives and a line of totals."""
    if not rows:
        return "no archives"
    cells = [
        (row["period"]["start"], row["key"], format_size(row["size"]), " ".join("%s=%s" % item for item in sorted(row["stores"].items())))
        for row in rows
    ]
    total = "%d archive(s), %s, from %s of logs" % (
        len(rows),
        format_size(sum(row["size"] for row in rows)),
        format_size(sum(row["source_bytes"] for row in rows)),
    )
    return table(("PERIOD", "ARCHIVE", "SIZE", "STORES"), cells) + "\n" + total


def verified(results: t.Sequence[Row]) -> str:
    """What a verification found: failures first."""
    bad = [result for result in results if result["error"]]
    lines = ["FAILED  %s  %s: %s" % (result["store"], result["key"], result["error"]) for result in bad]
    counts: t.Dict[t.Tuple[str, str], int] = {}
    for result in results:
        if not result["error"]:
            counts[(result["store"], result["level"])] = counts.get((result["store"], result["level"]), 0) + 1
    lines += ["ok      %s  %d archive(s) by %s" % (store, count, level) for (store, level), count in sorted(counts.items())]
    return "\n".join(lines) if lines else "no archives"


def restored(results: t.Sequence[Row]) -> str:
    """The files of a restore."""
    lines = ["%-9s  %s" % (row["state"], _shown(row["path"])) for row in results]
    return "\n".join(lines + ["%d file(s), %s" % (len(results), format_size(sum(row["size"] for row in results)))])


def keys(folder: str, infos: t.Sequence[KeyInfo], changed: t.Optional[bool]) -> str:
    """A keyring, without its keys. changed: None if the command only lists."""
    lines = [] if changed is None else ["%s: %s" % (folder, "changed" if changed else "nothing to change")]
    cells = []
    for info in infos:
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(info.created)) if info.created is not None else "unknown"
        cells.append((info.id, created, "current" if info.current else "removed" if info.removed else "opens old archives"))
    return "\n".join([*lines, table(("KEY ID", "SINCE", "USE"), cells)])


def status(rows: t.Sequence[Row]) -> str:
    """One line per job."""
    cells = []
    for row in rows:
        spool = "%d (%s)" % (row["spool"]["archives"], format_size(row["spool"]["bytes"]))
        backlog = " ".join("%s=%d" % item for item in sorted(row["backlog"].items())) or "-"
        held = "%d (%s)" % (row["archives"], format_size(row["bytes"]))
        verified = " ".join("%s=%s" % item for item in sorted(row["verified"].items())) or "-"
        following = row["next_run"] or row["next_due"] or "-"
        cells.append((row["job"], row["state"], row["last_success"] or "never", following, held, verified, spool, backlog))
    return table(("JOB", "STATE", "LAST SUCCESS", "NEXT", "ARCHIVES", "VERIFIED", "SPOOL", "BACKLOG"), cells)


def table(head: t.Sequence[str], rows: t.Sequence[t.Sequence[str]]) -> str:
    """Columns of text, each as wide as its widest cell."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [head, *rows])


def _shown(path: str) -> str:
    return path if path.isprintable() else ascii(path)
