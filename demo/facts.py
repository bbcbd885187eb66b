# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The facts that the demo prints, from the results of the modules and from the files themselves."""

from __future__ import annotations

import collections
import hashlib
import os
import typing as t

CHUNK = 1 << 20

Event = t.Dict[str, t.Any]


class Results:
    """The results of a play, from the events of callback/events.py: by module, host and loop item."""

    def __init__(self) -> None:
        self.by_module: t.Dict[str, t.Dict[str, t.Dict[str, t.Dict[str, t.Any]]]] = collections.defaultdict(
            lambda: collections.defaultdict(dict)
        )
        self.failed: t.List[t.Tuple[str, str, str]] = []  # Host, task, reason.
        self.stats: t.Dict[str, t.Dict[str, int]] = {}
        self.seconds: t.Dict[str, float] = collections.defaultdict(float)
        self._started: t.Dict[str, float] = {}

    def add(self, event: Event) -> None:
        """Take in one event."""
        kind, host = event["event"], event.get("host", "")
        if kind == "stats":
            self.stats = event["hosts"]
        elif kind == "started":
            self._started[host] = event["time"]
        elif kind in ("ok", "failed"):
            self.seconds[host] += event["time"] - self._started.pop(host, event["time"])
        result = event.get("result")
        if result is None:
            return
        item = str(result.get("item", ""))
        self.by_module[event["action"].rpartition(".")[2]][host][item] = result
        if kind in ("failed", "item_failed"):
            self.failed.append((host, event["task"] + (" (%s)" % item if item else ""), result.get("msg", "no reason given")))

    def of(self, module: str, host: str) -> t.Dict[str, t.Dict[str, t.Any]]:
        """The results of a module on a host, by loop item."""
        return self.by_module[module][host]

    def all_of(self, module: str) -> t.List[t.Dict[str, t.Any]]:
        """The results of a module on all hosts."""
        return [result for items in self.by_module[module].values() for result in items.values()]

    @property
    def changed(self) -> int:
        """How many tasks have changed something, by Ansible's own recap."""
        return sum(stats["changed"] for stats in self.stats.values())


class Compared(t.NamedTuple):
    """Restored files beside their logs: how many are ``identical``, which logs were written to ``since`` they were archived (what was
    restored is what was archived, by its SHA-256) and which are ``wrong``, with the reason."""

    identical: int
    identical_bytes: int
    since: t.List[str]
    wrong: t.List[str]


def compare(held: t.Mapping[str, t.Any], restored: t.Mapping[str, t.Any], to_path: t.Callable[[str], str] = str) -> Compared:
    """Compare what ``archive_restore`` has restored, byte by byte, with the logs that ``archive_info`` lists.

    to_path: gives the file that a module's result means.
    """
    sources = {(archive["key"], source["name"]): source for archive in held["archives"] for source in archive["sources"]}
    files = {(file["archive"], file["name"]): file for file in restored["files"]}
    identical = identical_bytes = 0
    since, wrong = [], []
    for which, file in files.items():
        source = sources[which]
        path, log = to_path(file["path"]), to_path(source["path"])
        outcome = _outcome(path, log, source)
        if outcome == "identical":
            identical += 1
            identical_bytes += source["size"]
        elif outcome == "since":
            since.append(source["path"])
        else:
            wrong.append("%s: %s" % (file["path"], outcome))
    restored_logs = {sources[which]["path"] for which in files}
    wrong += ["%s: was not restored" % path for path in sorted({source["path"] for source in sources.values()} - restored_logs)]
    return Compared(identical, identical_bytes, since, wrong)


def _outcome(path: str, log: str, source: t.Mapping[str, t.Any]) -> str:
    if not os.path.isfile(path):
        return "is not there"
    try:
        # Read before it is asked for its size: what is written in between is noticed.
        same = _same_bytes(path, log)
        status = os.stat(log)
        if same:
            return "identical"
        untouched = (status.st_size, status.st_mtime_ns) == (source["size"], source["mtime_ns"]) and not source["changed"]
    except FileNotFoundError:
        untouched = False
    if untouched:
        return "differs from %s" % source["path"]
    return "since" if _sha256(path) == source["sha256"] else "is not what was archived of %s" % source["path"]


def _same_bytes(one: str, other: str) -> bool:
    with open(one, "rb") as first, open(other, "rb") as second:
        while True:
            chunk = first.read(CHUNK)
            if chunk != second.read(CHUNK):
                return False
            if not chunk:
                return True


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while True:
            chunk = file.read(CHUNK)
            if not chunk:
                return digest.hexdigest()
            digest.update(chunk)


def of_host(host: str, results: Results, compared: t.Mapping[str, Compared]) -> t.Dict[str, t.Any]:
    """What recap.j2 prints about one host; ``compared`` by store."""
    recaps = [result["recap"] for result in results.of("archive_run", host).values()]
    archives = [archive for recap in recaps for archive in recap["archives"]]
    stores = [_of_store(store, host, results, recaps, archives) for store in results.of("archive_info", host)]
    restored = [file for result in results.of("archive_restore", host).values() for file in result["files"]]
    return {
        "name": host,
        "seconds": results.seconds[host],
        "changed": results.stats[host]["changed"],
        "jobs": [recap["job"] for recap in recaps],
        "dumps": [_of_dump(recap) for recap in recaps if "fetch" in recap["steps"]],
        "archives": len(archives),
        "logs": sum(len(archive["sources"]) for archive in archives),
        "bytes_in": sum(archive["source_bytes"] for archive in archives),
        "bytes_out": sum(archive["size"] for archive in archives),
        "stores": stores,
        "pruned": sum(store["pruned"] for store in stores),
        "bytes_freed": sum(pruned["bytes_freed"] for recap in recaps for pruned in recap["pruned"].values()),
        "left_out": sorted(
            [skipped for recap in recaps for skipped in recap["skipped"]], key=lambda skipped: "permission" not in skipped["reason"]
        ),
        "warnings": [warning for recap in recaps for warning in recap["warnings"]],
        "restored": len(restored),
        "written": sum(file["state"] == "written" for file in restored),
        "identical": sum(one.identical for one in compared.values()),
        "identical_bytes": sum(one.identical_bytes for one in compared.values()),
        "since": sorted({path for one in compared.values() for path in one.since}),
        "since_files": sum(len(one.since) for one in compared.values()),
    }


def _of_dump(recap: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    return {
        "job": recap["job"],
        "archives": [archive["name"] for archive in recap["archives"]],
        "bytes": sum(archive["source_bytes"] for archive in recap["archives"]),
    }


def _of_store(
    store: str, host: str, results: Results, recaps: t.Sequence[t.Mapping[str, t.Any]], archives: t.Sequence[t.Mapping[str, t.Any]]
) -> t.Dict[str, t.Any]:
    totals = results.of("archive_info", host)[store]["totals"]
    checked = results.of("archive_verify", host)[store]
    return {
        "name": store,
        "archives": totals["archives"],
        "bytes": totals["size"],
        "pruned": sum(len(recap["pruned"].get(store, {}).get("removed", [])) for recap in recaps),
        "sent_verified_by": sorted({archive["stores"][store]["verified_by"] for archive in archives if store in archive["stores"]}),
        "verified": checked["verified"],
        "verified_by": sorted(checked["levels"]),
    }
