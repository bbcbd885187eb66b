# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SQL of the statistics: the same for every kind of database."""

from __future__ import annotations

import typing as t

from ..records.tables import COMMAND, FAILED_LOGIN, LOGIN, TRANSFER
from ..sinks.schema import GENERATION

if t.TYPE_CHECKING:
    from datetime import datetime

    Rows = t.List[t.Sequence[t.Any]]
    Select = t.Callable[[str, t.Sequence[t.Any]], Rows]
    """Executes a SELECT, in which ``?`` stands for a value; returns the rows."""

MOST_ROWS = 20
"""Files and addresses in the result."""
_TEXT = {"mysql": "CHAR", "mariadb": "CHAR"}
"""The type to which a time is cast to become text; TEXT in all other databases."""


class Source:
    """The rows of one stream in a sink. kind: the type of the sink. since, until: None is open; ``until`` itself does not belong to it."""

    def __init__(self, select: Select, kind: str, stream: str, since: t.Optional[datetime], until: t.Optional[datetime]) -> None:
        self._select = select
        self._stream = stream
        self._hour = "SUBSTR(CAST(time_utc AS %s), 1, 13)" % _TEXT.get(kind, "TEXT")
        self._where = "generation IN (SELECT id FROM %s WHERE stream = ?)" % GENERATION.name
        self._values: t.List[t.Any] = [stream]
        for sign, moment in ((">=", since), ("<", until)):
            if moment is not None:
                self._where += " AND time_utc %s ?" % sign
                self._values.append(moment.strftime("%Y-%m-%d %H:%M:%S.%f"))

    def hosts(self) -> t.List[str]:
        """The hosts that have stored lines of the stream, at any time."""
        rows = self._select("SELECT DISTINCT host FROM %s WHERE stream = ? ORDER BY host" % GENERATION.name, [self._stream])
        return [row[0] for row in rows]

    def transfers(self) -> Rows:
        """Transfers by (hour as "2026-11-03 01", user, sender, protocol, failed): these, their number, their bytes, the last time."""
        return self._of(
            TRANSFER.name,
            "%s, COALESCE(username, ''), sender, COALESCE(protocol, ''), CASE WHEN error IS NULL THEN 0 ELSE 1 END,"
            " COUNT(*), COALESCE(SUM(size_bytes), 0), MAX(time_utc)" % self._hour,
            "GROUP BY 1, 2, 3, 4, 5",
        )

    def logins(self) -> Rows:
        """Logins by user: the user, their number, the last time."""
        return self._of(LOGIN.name, "COALESCE(username, ''), COUNT(*), MAX(time_utc)", "GROUP BY 1")

    def commands(self) -> Rows:
        """Commands by user: the user, their number, the last time."""
        return self._of(COMMAND.name, "COALESCE(username, ''), COUNT(*), MAX(time_utc)", "GROUP BY 1")

    def failed_logins(self) -> Rows:
        """Failed logins by address: the address, their number."""
        return self._of(FAILED_LOGIN.name, "COALESCE(client_ip, ''), COUNT(*)", "GROUP BY 1")

    def addresses(self) -> Rows:
        """Transfers by address: the address, the number of users, of transfers, of bytes."""
        return self._of(
            TRANSFER.name,
            "COALESCE(client_ip, ''), COUNT(DISTINCT username), COUNT(*), COALESCE(SUM(size_bytes), 0)",
            "AND error IS NULL GROUP BY 1",
        )

    def files(self) -> Rows:
        """The files with the most bytes: path, user, number of transfers, bytes. Each user has files of the same names."""
        return self._of(
            TRANSFER.name,
            "COALESCE(virtual_path, ''), username, COUNT(*), COALESCE(SUM(size_bytes), 0)",
            "AND error IS NULL GROUP BY 1, 2 ORDER BY 4 DESC, 3 DESC, 1 LIMIT %d" % MOST_ROWS,
        )

    def _of(self, table: str, columns: str, end: str) -> Rows:
        return self._select("SELECT %s FROM %s WHERE %s %s" % (columns, table, self._where, end), self._values)
