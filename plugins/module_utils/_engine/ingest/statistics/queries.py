# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SQL of the statistics: the same for every kind of database.

Whole hours come from the hourly tables, the parts of an hour at the ends of the span from the rows. Generations that an older version
stored may not be in the hourly tables yet: then all of theirs comes from the rows.
"""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta, timezone

from ..records.tables import TRANSFER
from ..sinks.schema import GENERATION, HOURLY, HOURLY_FAILED_LOGINS, SQLITE, SUMMED
from ..sinks.sums import BYTES, selects

if t.TYPE_CHECKING:
    from ..sinks.schema import ControlTable
    from ..sinks.sql import SqlSink

    Rows = t.List[t.Sequence[t.Any]]
    Ends = t.Tuple[t.Optional[datetime], t.Optional[datetime]]
    """From when until when; None is open, and the second one itself does not belong to it."""

MOST_ROWS = 20
"""Files and addresses in the result."""
MOST_CANDIDATES = 1000
"""Files among which those of the result are, unless even more of them have the same number of bytes."""
OWN = "generation IN (SELECT id FROM %s WHERE stream = ?)" % GENERATION.name
"""The condition that a row is of the stream, which is its value."""
SHORT = 0.1
"""The part of the time of all rows up to which a span is short."""
_COUNTS = "SUM(uploads), SUM(downloads), SUM(bytes_uploaded), SUM(bytes_downloaded), SUM(failed)"
_TRANSFERS = "SUM(uploads + downloads), SUM(bytes_uploaded + bytes_downloaded)"


class Source:
    """The rows of the stream of a sink, of all its hosts, from ``since`` until before ``until`` (aware, in UTC; None is open)."""

    def __init__(self, sink: SqlSink, since: t.Optional[datetime], until: t.Optional[datetime]) -> None:
        self._sink = sink
        self._span = (since, until)
        self._whole, self._parts = whole_hours(since, until)
        values: t.List[t.Any] = [sink.stream]
        statement = "SELECT id FROM %s WHERE stream = ? AND id NOT IN (SELECT generation FROM %s) LIMIT 1" % (GENERATION.name, SUMMED.name)
        self._all_summed = sink.has_sums and not sink.select(statement, values)

    def hosts(self) -> t.List[str]:
        """The hosts that have stored lines of the stream, at any time."""
        rows = self._sink.select("SELECT DISTINCT host FROM %s WHERE stream = ? ORDER BY host" % GENERATION.name, [self._sink.stream])
        return [row[0] for row in rows]

    def hours(self) -> Rows:
        """Transfers by hour: the hour, uploads, downloads, their bytes, failed transfers."""
        return self._of(HOURLY, "hour_utc, " + _COUNTS, "GROUP BY hour_utc")

    def users(self) -> Rows:
        """By user: the name, uploads, downloads, their bytes, failed transfers, logins, commands, the last time of all of them."""
        return self._of(HOURLY, "username, %s, SUM(logins), SUM(commands), MAX(last_seen)" % _COUNTS, "GROUP BY username")

    def protocols(self) -> Rows:
        """Transfers by protocol: the protocol, their number, their bytes."""
        return self._of(HOURLY, "protocol, " + _TRANSFERS, "WHERE uploads + downloads > 0 GROUP BY protocol")

    def addresses(self) -> Rows:
        """Transfers by address: the address, the number of users, of transfers, of bytes."""
        columns = "client_ip, COUNT(DISTINCT username), " + _TRANSFERS
        return self._of(HOURLY, columns, "WHERE uploads + downloads > 0 GROUP BY client_ip")

    def failed_logins(self) -> Rows:
        """Failed logins by address: the address, their number."""
        return self._of(HOURLY_FAILED_LOGINS, "client_ip, SUM(failed_logins)", "GROUP BY client_ip")

    def files(self) -> Rows:
        """The files with the most bytes: path, user, number of transfers, bytes. Each user has files of the same names."""
        condition, limits = times_between("time_utc", self._span)
        values = [self._sink.stream, *limits]
        own = own_rows(self._sink, TRANSFER.name, self._span)
        statement = (
            "SELECT COALESCE(virtual_path, ''), username, COUNT(*), COALESCE(SUM(%s), 0) FROM %s WHERE %s%s AND error IS NULL"
            " GROUP BY 1, 2 ORDER BY 4 DESC" % (BYTES, TRANSFER.name, own, condition)
        )
        # To sort all files by nothing but their bytes takes a tenth less time. The rest decides only among files with the same number.
        rows = self._sink.select("%s LIMIT %d" % (statement, MOST_CANDIDATES), values)
        if len(rows) == MOST_CANDIDATES and rows[-1][3] == rows[MOST_ROWS - 1][3]:
            rows = self._sink.select("%s, 3 DESC, 1, 2 LIMIT %d" % (statement, MOST_ROWS), values)
        return sorted(rows, key=lambda row: (-row[3], -row[2], row[0], row[1] or ""))[:MOST_ROWS]

    def _of(self, table: ControlTable, columns: str, end: str) -> Rows:
        """A query of the hours of the span as ``table`` has them."""
        parts: t.List[str] = []
        values: t.List[t.Any] = []

        def add_rows(ends: Ends, condition: str = "") -> None:
            times, limits = times_between("time_utc", ends)
            own = own_rows(self._sink, TRANSFER.name, ends)
            for select in selects(self._sink.dialect, table, own + times + condition):
                parts.append(select)
                values.extend([self._sink.stream, *limits])

        for ends in self._parts:
            add_rows(ends)
        if self._whole is not None:
            if self._sink.has_sums:
                times, limits = times_between("hour_utc", self._whole)
                names = ", ".join(column.name for column in table.columns)
                parts.append("SELECT %s FROM %s WHERE %s%s" % (names, table.name, OWN, times))
                values += [self._sink.stream, *limits]
            if not self._sink.has_sums:
                add_rows(self._whole)
            elif not self._all_summed:
                add_rows(self._whole, " AND generation NOT IN (SELECT generation FROM %s)" % SUMMED.name)
        return self._sink.select("SELECT %s FROM (%s) AS hourly %s" % (columns, " UNION ALL ".join(parts), end), values)


def own_rows(sink: SqlSink, table: str, ends: Ends) -> str:
    """``OWN`` for rows of a table in a span of time.

    SQLite does not know how many rows that is, and prefers the key, which has all rows of the stream. The + leaves it the index by time.
    """
    if sink.dialect is not SQLITE:
        return OWN
    # One of them in a query is found in the index.
    ((first, last),) = sink.select("SELECT (SELECT MIN(time_utc) FROM {0}), (SELECT MAX(time_utc) FROM {0})".format(table))
    if first is None:
        return OWN
    begin, end = (datetime.fromisoformat(moment).replace(tzinfo=timezone.utc) for moment in (first, last))
    return "+" + OWN if min(ends[1] or end, end) - max(ends[0] or begin, begin) < SHORT * (end - begin) else OWN


def whole_hours(since: t.Optional[datetime], until: t.Optional[datetime]) -> t.Tuple[t.Optional[Ends], t.List[Ends]]:
    """The whole hours of a span, None if there is none, and the parts of hours before and after them."""
    first = since
    if since is not None and since != _floor(since):
        try:
            first = _floor(since) + timedelta(hours=1)
        except OverflowError:
            return None, [(since, until)]
    last = None if until is None else _floor(until)
    if first is not None and last is not None and last <= first:
        return None, [(since, until)]
    parts: t.List[Ends] = [(since, first)] if first != since else []
    return (first, last), parts + ([(last, until)] if last != until else [])


def _floor(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def times_between(column: str, ends: Ends) -> t.Tuple[str, t.List[str]]:
    """The condition that a time lies between two moments, and its values."""
    condition, values = "", []
    for sign, moment in ((">=", ends[0]), ("<", ends[1])):
        if moment is not None:
            condition += " AND %s %s ?" % (column, sign)
            values.append(moment.replace(tzinfo=None).isoformat(" ", "microseconds"))
    return condition, values
