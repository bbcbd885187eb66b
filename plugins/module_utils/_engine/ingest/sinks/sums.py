# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sums by the hour of the rows of SFTPGo's log, so that statistics need not read all rows: ``schema.HOURLY``.

They are changed in the transaction that stores the rows, so they are exact. Each row of sums belongs to one generation: followers on other
hosts never wait for each other. The same sums as SQL are for rows that an older version stored, and for a part of an hour.
"""

from __future__ import annotations

import operator
import typing as t

from ..records.tables import COMMAND, FAILED_LOGIN, LOGIN, TRANSFER, Table
from .schema import HOURLY, HOURLY_FAILED_LOGINS, ControlTable, Dialect

if t.TYPE_CHECKING:
    Rows = t.Sequence[t.Sequence[t.Any]]

MOST_BYTES = 1 << 50
"""Bytes of a transfer that are counted at most: a size beyond is a mistake in the log, and some of them would not fit into 64 bits."""
BYTES = "CASE WHEN size_bytes > %d THEN %d WHEN size_bytes > 0 THEN size_bytes ELSE 0 END" % (MOST_BYTES, MOST_BYTES)
"""The bytes of a transfer that are counted, as SQL."""


def sums_of_rows(generation: int, rows: t.Mapping[str, Rows]) -> t.List[t.Tuple[ControlTable, t.List[t.Tuple[t.Any, ...]]]]:
    """The rows of sums of a batch. rows: by the name of their table; each begins with the line's offset.

    They are sorted: two processes that change the same sums do so in the same order, and never wait for each other in a circle.
    """
    cells: t.Dict[t.Tuple[str, ...], t.List[t.Any]] = {}
    for time, sender, client_ip, size, username, protocol, error in map(_of_transfer, rows.get(TRANSFER.name, ())):
        key = (time[:13], username or "", client_ip or "", protocol or "")
        cell = cells.get(key)
        if cell is None:
            cell = cells[key] = [0, 0, 0, 0, 0, 0, 0, time]
        if error is not None:
            cell[4] += 1
        else:
            side = 0 if sender == "Upload" else 1
            cell[side] += 1
            if size is not None and size > 0:
                cell[side + 2] += min(size, MOST_BYTES)
        if time > cell[7]:
            cell[7] = time
    for values, index in ((map(_of_login, rows.get(LOGIN.name, ())), 5), (map(_of_command, rows.get(COMMAND.name, ())), 6)):
        for time, client_ip, username, protocol in values:
            key = (time[:13], username or "", client_ip or "", protocol or "")
            cell = cells.setdefault(key, [0, 0, 0, 0, 0, 0, 0, time])
            cell[index] += 1
            if time > cell[7]:
                cell[7] = time
    failed: t.Dict[t.Tuple[str, str], int] = {}
    for time, client_ip in map(_of_failed_login, rows.get(FAILED_LOGIN.name, ())):
        place = (time[:13], client_ip or "")
        failed[place] = failed.get(place, 0) + 1
    hourly = [(_hour(key[0]), generation, *key[1:], *cells[key]) for key in sorted(cells)]
    refused = [(_hour(hour), generation, client_ip, failed[hour, client_ip]) for hour, client_ip in sorted(failed)]
    return [(table, found) for table, found in ((HOURLY, hourly), (HOURLY_FAILED_LOGINS, refused)) if found]


def _hour(text: str) -> str:
    return text + ":00:00.000000"


def _taker(table: Table, *names: str) -> t.Callable[[t.Sequence[t.Any]], t.Tuple[t.Any, ...]]:
    """Takes these columns out of a row that begins with the line's offset."""
    columns = [column.name for column in table.columns]
    return operator.itemgetter(*(columns.index(name) + 1 for name in names))


_of_transfer = _taker(TRANSFER, "time_utc", "sender", "client_ip", "size_bytes", "username", "protocol", "error")
_of_login = _taker(LOGIN, "time_utc", "client_ip", "username", "protocol")
_of_command = _taker(COMMAND, "time_utc", "client_ip", "username", "protocol")
_of_failed_login = _taker(FAILED_LOGIN, "time_utc", "client_ip")


# -- SQL --------------------------------------------------------------------------------------------------------------


def insert_of(table: ControlTable) -> str:
    """The beginning of an INSERT of rows of sums."""
    return "INSERT INTO %s (%s) " % (table.name, ", ".join(column.name for column in table.columns))


def on_conflict(dialect: Dialect, table: ControlTable) -> str:
    """The end of such an INSERT: it adds to sums that are there already."""
    changes = []
    for column in table.columns:
        if column.name not in table.key:
            new, old = dialect.inserted % column.name, "%s.%s" % (table.name, column.name)
            changes.append(
                "%s = %s" % (column.name, "%s(%s, %s)" % (dialect.later, old, new) if column.name == "last_seen" else old + " + " + new)
            )
    start = dialect.on_conflict
    return " " + (start % ", ".join(table.key) if "%s" in start else start) + ", ".join(changes)


def selects(dialect: Dialect, table: ControlTable, condition: str) -> t.List[str]:
    """SELECTs that sum up rows as ``sums_of_rows`` does, one for each table of rows. condition: on the rows."""
    if table is HOURLY_FAILED_LOGINS:
        head = "SELECT %s AS hour_utc, generation, COALESCE(client_ip, '') AS client_ip, COUNT(*) AS failed_logins" % dialect.hour
        return ["%s FROM %s WHERE %s GROUP BY 1, 2, 3" % (head, FAILED_LOGIN.name, condition)]
    found = []
    for source, sums in _SUMS.items():
        columns = ["%s AS hour_utc" % dialect.hour, "generation"]
        columns += ["COALESCE(%s, '') AS %s" % (name, name) for name in ("username", "client_ip", "protocol")]
        columns += ["%s AS %s" % (sums.get(column.name, "0"), column.name) for column in HOURLY.columns[5:-1]]
        columns.append("MAX(time_utc) AS last_seen")
        found.append("SELECT %s FROM %s WHERE %s GROUP BY 1, 2, 3, 4, 5" % (", ".join(columns), source, condition))
    return found


def _count(condition: str, value: str = "1") -> str:
    return "SUM(CASE WHEN %s THEN %s ELSE 0 END)" % (condition, value)


_UPLOAD, _DOWNLOAD = "error IS NULL AND sender = 'Upload'", "error IS NULL AND sender <> 'Upload'"
_SUMS: t.Dict[str, t.Dict[str, str]] = {
    TRANSFER.name: {
        "uploads": _count(_UPLOAD),
        "downloads": _count(_DOWNLOAD),
        "bytes_uploaded": _count(_UPLOAD, BYTES),
        "bytes_downloaded": _count(_DOWNLOAD, BYTES),
        "failed": _count("error IS NOT NULL"),
    },
    LOGIN.name: {"logins": "COUNT(*)"},
    COMMAND.name: {"commands": "COUNT(*)"},
}
"""By table of rows: the columns of ``HOURLY`` to which it adds."""
