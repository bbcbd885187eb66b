# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the command prints for people."""

from __future__ import annotations

import time

from ..base import hints as t
from ..base.lists import first
from ..base.texts import columns, line, lines as report_of
from ..base.units import format_size

if t.TYPE_CHECKING:
    from ..archive.facts import PeriodText
    from ..crypto.keyring import KeyInfo
    from ..state.orphans import OrphanRow
    from ..state.status import StatusRow

    # Not at run time: the command would build these types at every start.
    class ArchiveRow(t.TypedDict):
        """An archive in the result of ``list``. Sizes are in bytes. sources: paths of the logs.

        stores: by store name, ``held`` in the list of a store; in the list of the catalog the verification level of the copy, or its
        state if it is not verified.
        """

        key: str
        host: str
        job: str
        period: PeriodText
        size: int
        source_bytes: int
        sources: t.List[str]
        key_id: t.Optional[str]
        sha256: str
        stores: t.Dict[str, str]

    class ListedRow(t.TypedDict):
        """The archives of one host and job in the result of ``list --summary``. Sizes are in bytes.

        archives, size, source_bytes: of those that a store has. start, end: of their oldest and newest period, in UTC; None without any.
        waiting: archives that no store has yet. stores: by store name, how many of the archives it has.
        """

        host: str
        job: str
        archives: int
        waiting: int
        start: t.Optional[str]
        end: t.Optional[str]
        size: int
        source_bytes: int
        stores: t.Dict[str, int]

    class HostsRow(t.TypedDict):
        """A place in the result of ``list --hosts``. store: its name in the first job that has it. hosts: with archives there.

        own: which of them are this host, in its jobs. error: why the place could not be listed.
        """

        store: str
        location: str
        hosts: t.List[str]
        own: t.List[str]
        error: t.Optional[str]

    class VerifiedRow(t.TypedDict):
        """An archive in the result of ``verify``, or with an error and without a key a store that failed.

        level: proven verification level; None with an error or a note. note: why the archive is not whole, although nothing is wrong.

        authenticated: whether the manifest is; None if the key is not at hand, or with an error. opened: False if the archive has
        recipients and its key is not at hand. archives: how many a row stands for; in a summary the good ones of a store with one level
        have one row, without a key.
        """

        job: str
        store: str
        key: t.Optional[str]
        level: t.Optional[str]
        authenticated: t.Optional[bool]
        opened: bool
        error: t.Optional[str]
        note: t.Optional[str]
        archives: int

    class RestoredRow(t.TypedDict):
        """A file in the result of ``restore``, or an archive that failed.

        path: in the destination. name: in the archive, a key. size: bytes. state: written, unchanged, or in a dry run "would be written";
        failed for an archive, which has an error and no path, name and sha256. store: the store that gave the archive; None if none was
        needed. authenticated: whether its manifest is; None if the key was not needed and is not at hand.
        """

        archive: str
        store: t.Optional[str]
        authenticated: t.Optional[bool]
        error: t.Optional[str]
        path: t.Optional[str]
        name: t.Optional[str]
        size: int
        sha256: t.Optional[str]
        state: str


def archives(rows: t.Sequence[ArchiveRow]) -> str:
    """A table of archives and a line of totals."""
    if not rows:
        return "no archives"
    cells = []
    for row in rows:
        copies = " ".join("%s=%s" % item for item in sorted(row["stores"].items()))
        cells.append((row["period"]["start"], row["key"], format_size(row["size"]), copies))
    size, source_bytes = (format_size(sum(sizes)) for sizes in zip(*((row["size"], row["source_bytes"]) for row in rows)))
    total = "%d archive(s), %s, from %s of logs" % (len(rows), size, source_bytes)
    return table(("PERIOD", "ARCHIVE", "SIZE", "STORES"), cells) + "\n" + total


NOT_HELD = ("pending", "pruned", "given up")
"""The states of a copy that the store does not have, in the result of ``list``."""


def holders(row: ArchiveRow) -> t.List[str]:
    """The stores that have the archive, so that it can be restored."""
    return sorted(name for name, state in row["stores"].items() if state not in NOT_HELD)


def listed(rows: t.Iterable[ArchiveRow]) -> t.List[ListedRow]:
    """What can be restored of each host and job, sorted: how many archives, of which time, from which stores."""
    found: t.Dict[t.Tuple[str, str], ListedRow] = {}
    for row in rows:
        stores = holders(row)
        waits = not stores and "pending" in row["stores"].values()
        if not stores and not waits:
            continue
        host, job = row["host"], row["job"]
        blank: ListedRow = {
            "host": host,
            "job": job,
            "archives": 0,
            "waiting": 0,
            "start": None,
            "end": None,
            "size": 0,
            "source_bytes": 0,
            "stores": {},
        }
        total = found.setdefault((host, job), blank)
        if waits:
            total["waiting"] += 1
            continue
        start, end = row["period"]["start"], row["period"]["end"]
        total["archives"] += 1
        total["start"], total["end"] = min(total["start"] or start, start), max(total["end"] or end, end)
        total["size"] += row["size"]
        total["source_bytes"] += row["source_bytes"]
        for name in stores:
            total["stores"][name] = total["stores"].get(name, 0) + 1
    return [found[of] for of in sorted(found)]


def listing(rows: t.Sequence[ListedRow]) -> str:
    """A table of hosts and jobs and a line of totals."""
    if not rows:
        return "no archives"
    cells = []
    for row in rows:
        copies = " ".join("%s=%d" % item for item in sorted(row["stores"].items())) or "-"
        times = (row["start"] or "-", row["end"] or "-")
        cells.append((row["host"], row["job"], *times, str(row["archives"]), format_size(row["size"]), copies, str(row["waiting"])))
    total = "%d archive(s), %s" % (sum(row["archives"] for row in rows), format_size(sum(row["size"] for row in rows)))
    return table(("HOST", "JOB", "FROM", "UNTIL", "ARCHIVES", "SIZE", "STORES", "WAITING"), cells) + "\n" + total


def hosts(rows: t.Sequence[HostsRow]) -> str:
    """A line for each host that has archives in a store, and for each store that could not be listed."""
    cells = [(row["store"], host, "this host" if host in row["own"] else "", row["location"]) for row in rows for host in row["hosts"]]
    lines = [table(("STORE", "HOST", "", "PLACE"), cells)] if cells else ["no host has archives there"]
    return "\n".join([*lines, *(line("FAILED  %s  %s" % (row["store"], row["error"])) for row in rows if row["error"])])


def verified(results: t.Sequence[VerifiedRow]) -> str:
    """The results of a verification: failures first."""
    lines = ["FAILED  %s  %s: %s" % (result["store"], result["key"] or "-", result["error"]) for result in results if result["error"]]
    lines += ["note    %s  %s: %s" % (result["store"], result["key"], result["note"]) for result in results if result.get("note")]
    counts: t.Dict[t.Tuple[str, str], int] = {}
    for result in results:
        if not result["error"] and not result.get("note"):
            key = result["store"], str(result["level"])
            counts[key] = counts.get(key, 0) + result.get("archives", 1)
    lines += ["ok      %s  %d archive(s) by %s" % (store, count, level) for (store, level), count in sorted(counts.items())]
    closed = sum(result.get("archives", 1) for result in results if result.get("opened") is False)
    lines += [_CLOSED % closed] if closed else []
    lines += _unauthenticated(sum(result.get("archives", 1) for result in results if result.get("authenticated") is False))
    return report_of(lines) if lines else "no archives"


def summary_of(results: t.Iterable[VerifiedRow]) -> t.List[VerifiedRow]:
    """The results with one row for all good archives of a job, store and level: 10,000 rows have 3 MB."""
    bad: t.List[VerifiedRow] = []
    good: t.Dict[t.Tuple[t.Any, ...], VerifiedRow] = {}
    for result in results:
        if result["error"] or result["note"]:
            bad.append(result)
            continue
        of = (result["job"], result["store"], result["level"], result["authenticated"], result["opened"])
        count = result["archives"] + (good[of]["archives"] if of in good else 0)
        good[of] = {**result, "key": None, "archives": count}
    return bad + list(good.values())


def restored(results: t.Collection[RestoredRow]) -> str:
    """The files of a restore."""
    lines = ["%-9s  %s" % (row["state"], row["path"]) for row in results if row["path"] is not None]
    total = "%d file(s), %s" % (len(lines), format_size(sum(row["size"] for row in results)))
    return report_of([*lines, total, *_unauthenticated(len({row["archive"] for row in results if row["authenticated"] is False}))])


def rewrapped(results: t.Sequence[t.Tuple[str, t.Mapping[str, t.Any]]], dry_run: bool) -> str:
    """What a rewrap did in each store, by job (``run.rewrap.Rewrapped`` as a dict)."""
    lines = []
    for job, one in results:
        lines += ["FAILED  %s  %s  %s: %s" % (job, one["store"], key, why) for key, why in sorted(one["failed"].items())]
        if one["error"] is not None:
            lines.append("FAILED  %s  %s: %s" % (job, one["store"], one["error"]))
            continue
        counts = [(len(one["changed"]), "would be rewrapped" if dry_run else "rewrapped"), (one["unchanged"], "unchanged")]
        counts += [
            (one["without"], "without recipients"),
            (one["waiting"], "waiting in the spool, as they were made"),
        ]
        shown = ["%d %s" % (count, what) for number, (count, what) in enumerate(counts) if count or number < 2]
        lines.append("ok      %s  %s  archives: %s" % (job, one["store"], ", ".join(shown)))
    return report_of(lines) if lines else "no jobs"


_CLOSED = (
    "note    %d archive(s) were not opened, because this host has no key for them: their bytes match their manifests, but nothing shows"
    " that they can be decrypted. To check that: --level authenticated --identity FILE"
)
_UNAUTHENTICATED = (
    "note    %d archive(s) are not authenticated: an older version made them, they are not encrypted, or they are encrypted for"
    " recipients, so anyone can have made them"
)


def _unauthenticated(count: int) -> t.List[str]:
    return [_UNAUTHENTICATED % count] if count else []


def checks(found: t.Sequence[t.Mapping[str, t.Any]], all: bool = True) -> str:
    """What ``doctor`` found, failures first: a line for each check, and what fixes it. found: ``run.doctor.Check`` as JSON has it.

    all: show also what is right.
    """
    order = ("failed", "warning", "ok")
    rows = []
    for check in sorted(found, key=lambda check: order.index(check["state"])):
        if check["state"] == "ok" and not all:
            continue
        name = check["check"] if check["job"] is None else "%s: %s" % (check["job"], check["check"])
        rows.append("%-8s %s: %s" % (check["state"], line(name), line(check["text"])))
        if check["remedy"] and check["state"] != "ok":
            rows.append("%9s-> %s" % ("", line(check["remedy"])))
    counts = ["%d %s" % (sum(check["state"] == state for check in found), state) for state in order]
    return "\n".join([*rows, ", ".join(counts)])


def keys(folder: str, infos: t.Sequence[KeyInfo], changed: t.Optional[bool]) -> str:
    """A keyring, without its keys. changed: None if the command only lists."""
    lines = [] if changed is None else ["%s: %s" % (folder, "changed" if changed else "nothing to change")]
    cells = []
    for info in infos:
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(info.created)) if info.created is not None else "unknown"
        cells.append((info.id, created, "current" if info.current else "removed" if info.removed else "opens old archives"))
    return "\n".join([*map(line, lines), table(("KEY ID", "SINCE", "USE"), cells)])


def status(rows: t.Sequence[StatusRow]) -> str:
    """One line per job, then what is wrong in its stores."""
    cells = []
    for row in rows:
        spool = "%d (%s)" % (row["spool"]["archives"], format_size(row["spool"]["bytes"]))
        backlog = " ".join("%s=%d" % item for item in sorted(waiting(row).items())) or "-"
        held = "%d (%s)" % (row["archives"], format_size(row["bytes"]))
        levels = " ".join("%s=%s" % item for item in sorted(row["verified"].items())) or "-"
        following = row["next_run"] or row["next_due"] or "-"
        state = row["state"].partition("\n")[0]
        cells.append((row["job"], state, row["last_success"] or "never", following, held, levels, spool, backlog))
    head = ("JOB", "STATE", "LAST SUCCESS", "NEXT", "ARCHIVES", "VERIFIED", "SPOOL", "BACKLOG")
    return "\n".join([table(head, cells), *(text for row in rows for text in findings(row))])


def waiting(row: t.Mapping[str, t.Any]) -> t.Dict[str, int]:
    """The backlog of each store that has one: what waits for it in the spool, and what only ``log-archive sync`` copies there."""
    # An older engine does not report what stores lack.
    lacking = row.get("lacking", {})
    return {store: row["backlog"].get(store, 0) + lacking.get(store, 0) for store in {**row["backlog"], **lacking}}


def orphans(rows: t.Sequence[OrphanRow]) -> str:
    """A line for each thing that is left over, and what helps."""
    found = ["orphan  %s  %s" % (row["job"], row["state"]) for row in rows]
    return "\n".join(map(line, [*first(found), "'log-archive orphans --help' shows how to send, adopt or remove them"]))


def findings(row: StatusRow) -> t.List[str]:
    """What is wrong in the stores of a job, a line for each archive and for each store that could not be listed."""
    texts = ["FAILED  %s  %s  %s: %s" % (row["job"], found["store"], found["key"], found["error"]) for found in row.get("findings", [])]
    unreachable = row.get("unreachable", {})
    notes = ["note    %s  store %s cannot be listed: %s" % (row["job"], name, why) for name, why in unreachable.items()]
    refused = [
        "warning %s  store %s: retention was refused: %s" % (row["job"], store, why)
        for store, reasons in row.get("prune_refused", {}).items()
        for why in reasons
    ]
    return list(map(line, first(texts) + notes + refused))


def table(head: t.Sequence[str], rows: t.Sequence[t.Sequence[str]]) -> str:
    """Columns of text, each as wide as its widest cell."""
    shown = [[line(cell) for cell in row] for row in [head, *rows]]
    taken = [list(map(columns, row)) for row in shown]
    widths = list(map(max, zip(*taken)))
    padded = (zip(row, columns_of, widths) for row, columns_of in zip(shown, taken))
    return "\n".join("  ".join(cell + " " * (width - wide) for cell, wide, width in row).rstrip() for row in padded)
