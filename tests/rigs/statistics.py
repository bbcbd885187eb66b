# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Statistics computed a second time, in Python from the lines themselves, to compare with those from SQL."""

from __future__ import annotations

import collections
import json
import typing as t

if t.TYPE_CHECKING:
    import pytest


def store_meanwhile(monkeypatch: pytest.MonkeyPatch, sink: t.Any, store: t.Callable[[int], None]) -> None:
    """From now on, more rows are stored after each SELECT of a sink. store: gets 1, 2, ..."""
    select = sink.select
    stored = 0

    def select_and_store(statement: str, values: t.Sequence[t.Any] = ()) -> t.Any:
        nonlocal stored
        found = select(statement, values)
        stored += 1
        store(stored)
        return found

    monkeypatch.setattr(sink, "select", select_and_store)


def assert_figures_add_up(statistics: t.Any) -> None:
    """Statistics of SFTPGo's log in which each part has all transfers."""
    for part in ("trend", "hours", "users", "files", "protocols", "addresses"):
        assert sum(row["transfers"] for row in statistics[part]) == statistics["totals"]["transfers"], part


def totals(lines: t.Iterable[bytes], start: str = "", end: str = "~") -> t.Dict[str, int]:
    """The totals of the lines with a time from ``start`` until before ``end`` (as the lines write it)."""
    counts: t.Counter[str] = collections.Counter()
    users = set()
    for text in lines:
        line = json.loads(text)
        if not start <= line["time"] < end:
            continue
        kind = {"Upload": "uploads", "Download": "downloads", "login": "logins", "connection_failed": "failed_logins"}.get(line["sender"])
        if "size_bytes" in line and "error" in line:
            kind = "failed"
        elif "size_bytes" in line:
            counts["transfers"] += 1
            counts["bytes"] += line["size_bytes"]
            counts["bytes_%sed" % line["sender"].lower()] += line["size_bytes"]
        elif "virtual_target_path" in line:
            kind = "commands"
        if kind:
            counts[kind] += 1
            if kind != "failed_logins":
                users.add(line["username"])
    names = (
        "transfers",
        "uploads",
        "downloads",
        "bytes",
        "bytes_uploaded",
        "bytes_downloaded",
        "failed",
        "logins",
        "failed_logins",
        "commands",
    )
    return {"users": len(users), **{name: counts[name] for name in names}}
