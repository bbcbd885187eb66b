# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sums by the hour of the rows of SFTPGo's log, so that statistics need not read all rows: ``schema.HOURLY``.

They are changed in the transaction that stores the rows, so they are exact. Each row of sums belongs to one generation: followers on other
hosts never wait for each other. The same sums as SQL are for rows that an older version stored, and for a part of an hour.
"""

from __future__ import annotations

import collections
import operator
import typing as t

from ..records.tables import COMMAND, FAILED_LOGIN, LOGIN, TRANSFER, Columns, Table, columns_of
from .schema import HOURLY, HOURLY_FAILED_LOGINS, ControlTable, Dialect

if t.TYPE_CHECKING:
    from ..records.tables import Rows

Sums = t.Sequence[t.Tuple[ControlTable, Columns]]
"""Rows of the hourly tables."""

MOST_BYTES = 1 << 50
"""Bytes of a transfer that are counted at most: a size beyond is a mistake in the log, and some of them would not fit into 64 bits."""
BYTES = "CASE WHEN size_bytes > %d THEN %d WHEN size_bytes > 0 THEN size_bytes ELSE 0 END" % (MOST_BYTES, MOST_BYTES)
"""The bytes of a transfer that are counted, as SQL."""
MOST_SUM = (1 << 63) - 1
"""The bytes of an hour that are counted at most: 64 bits do not hold more."""

_NOTHING = [0, 0, 0, 0, 0, 0, 0, ""]
"""The sums of a key without rows, and the time that was seen last."""


class HourlySums:
    """The sums of a batch."""

    def __init__(self) -> None:
        self._cells: t.Dict[t.Tuple[str, ...], t.List[t.Any]] = collections.defaultdict(_NOTHING.copy)
        self._failed: t.Counter[t.Tuple[str, ...]] = collections.Counter()

    def add(self, rows: t.Mapping[str, Rows]) -> None:
        """Add rows. rows: by the name of their table; each begins with the line's offset."""
        cells = self._cells
        if rows.get(TRANSFER.name):
            times, *names, senders, sizes, errors = _of_transfer(columns_of(rows[TRANSFER.name]))
            for cell, time, sender, size, error in zip(map(cells.__getitem__, _keys(times, *names)), times, senders, sizes, errors):
                if time > cell[7]:
                    cell[7] = time
                if error is not None:
                    cell[4] += 1
                elif sender == "Upload":
                    cell[0] += 1
                    if size is not None and size > 0:
                        cell[2] += size if size < MOST_BYTES else MOST_BYTES
                else:
                    cell[1] += 1
                    if size is not None and size > 0:
                        cell[3] += size if size < MOST_BYTES else MOST_BYTES
        for table, take, place in ((LOGIN, _of_login, 5), (COMMAND, _of_command, 6)):
            if rows.get(table.name):
                times, *names = take(columns_of(rows[table.name]))
                for cell, time in zip(map(cells.__getitem__, _keys(times, *names)), times):
                    cell[place] += 1
                    if time > cell[7]:
                        cell[7] = time
        if rows.get(FAILED_LOGIN.name):
            self._failed.update(_keys(*_of_failed_login(columns_of(rows[FAILED_LOGIN.name]))))

    def rows(self, generation: int) -> Sums:
        """The rows of sums. They are sorted: two processes that change the same sums do so in the same order, and never wait for each
        other in a circle.
        """
        cells, failed, found = self._cells, self._failed, []
        if cells:
            for cell in cells.values():
                cell[2], cell[3] = min(cell[2], MOST_SUM), min(cell[3], MOST_SUM)
            keys = sorted(cells)
            found.append((HOURLY, _with_hours(generation, *zip(*keys), *zip(*map(cells.__getitem__, keys)))))
        if failed:
            keys = sorted(failed)
            found.append((HOURLY_FAILED_LOGINS, _with_hours(generation, *zip(*keys), [failed[key] for key in keys])))
        return found


def sums_of_rows(generation: int, rows: t.Mapping[str, Rows]) -> Sums:
    """The rows of sums of rows."""
    sums = HourlySums()
    sums.add(rows)
    return sums.rows(generation)


def _with_hours(generation: int, hours: t.Sequence[str], *columns: t.Sequence[t.Any]) -> Columns:
    return Columns([[hour + ":00:00.000000" for hour in hours], (generation,) * len(hours), *columns])


def _keys(times: t.Sequence[str], *names: t.Sequence[t.Optional[str]]) -> t.Iterator[t.Tuple[str, ...]]:
    """By row: the hour, and these names, "" for None."""
    return zip([time[:13] for time in times], *[column if all(column) else [name or "" for name in column] for column in names])


def _taker(table: Table, *names: str) -> t.Callable[[t.Sequence[t.Any]], t.Tuple[t.Any, ...]]:
    """Takes these columns out of those of a table, of which the first is the line's offset."""
    columns = [column.name for column in table.columns]
    return operator.itemgetter(*(columns.index(name) + 1 for name in names))


_of_transfer = _taker(TRANSFER, "time_utc", "username", "client_ip", "protocol", "sender", "size_bytes", "error")
_of_login = _taker(LOGIN, "time_utc", "username", "client_ip", "protocol")
_of_command = _taker(COMMAND, "time_utc", "username", "client_ip", "protocol")
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
            value = "%s + %s" % (old, new)
            if column.name == "last_seen":
                value = "%s(%s, %s)" % (dialect.later, old, new)
            elif column.name.startswith("bytes_"):
                value = "CASE WHEN %s > %d - %s THEN %d ELSE %s END" % (old, MOST_SUM, new, MOST_SUM, value)
            changes.append("%s = %s" % (column.name, value))
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
