# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hourly sums of a sink, computed a second time from its rows, in Python."""

from __future__ import annotations

import collections
import typing as t

Select = t.Callable[[str], t.Iterable[t.Sequence[t.Any]]]
COUNTS = ("uploads", "downloads", "bytes_uploaded", "bytes_downloaded", "failed", "logins", "commands")


def assert_sums_are_those_of_the_rows(select: Select) -> None:
    """select: executes a SELECT in the sink, whatever kind of database it is."""
    wanted: t.Dict[t.Tuple[t.Any, ...], t.Counter[str]] = {}
    last: t.Dict[t.Tuple[t.Any, ...], str] = {}

    def cell(row: t.Sequence[t.Any]) -> t.Counter[str]:
        generation, time, *names = row
        key = (hour(time), generation, *(name or "" for name in names))
        last[key] = max(last.get(key, ""), text_of(time))
        return wanted.setdefault(key, collections.Counter())

    key = "generation, time_utc, username, client_ip, protocol"
    for *own, sender, size, error in select("SELECT %s, sender, size_bytes, error FROM sftpgo_transfer" % key):
        counts = cell(own)
        if error is not None:
            counts["failed"] += 1
        else:
            counts[sender.lower() + "s"] += 1
            counts["bytes_%sed" % sender.lower()] += size or 0
    for table, name in (("sftpgo_login", "logins"), ("sftpgo_command", "commands")):
        for own in select("SELECT %s FROM %s" % (key, table)):
            cell(own)[name] += 1
    names = "hour_utc, generation, username, client_ip, protocol"
    found = {}
    for row in select("SELECT %s, last_seen, %s FROM sftpgo_hourly" % (names, ", ".join(COUNTS))):
        found[(hour(row[0]), *row[1:5])] = (text_of(row[5]), tuple(row[6:]))
    assert found == {key: (last[key], tuple(counts[name] for name in COUNTS)) for key, counts in wanted.items()}
    refused: t.Counter[t.Tuple[t.Any, ...]] = collections.Counter()
    for generation, time, address in select("SELECT generation, time_utc, client_ip FROM sftpgo_failed_login"):
        refused[hour(time), generation, address or ""] += 1
    rows = select("SELECT hour_utc, generation, client_ip, failed_logins FROM sftpgo_hourly_failed_login")
    assert {(hour(row[0]), *row[1:3]): row[3] for row in rows} == refused


def hour(time: t.Any) -> str:
    return str(time)[:13]


def text_of(time: t.Any) -> str:
    """A time as a database returns it, to the microsecond."""
    return time if isinstance(time, str) else time.strftime("%Y-%m-%d %H:%M:%S.%f")
