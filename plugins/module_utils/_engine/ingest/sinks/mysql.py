# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sinks ``mysql`` and ``mariadb``, with PyMySQL."""

from __future__ import annotations

import contextlib
import itertools
import typing as t

from ...base.libraries import needed
from ...base.units import parse_duration
from ...config.sink_spec import uses_tls
from ..records.tables import Columns, columns_of
from .base import ConflictError, RowRefusedError, SinkDeniedError, SinkError
from .copy_text import prepared_text
from .load_data import load
from .mysql_connection import connect
from .mysql_errors import NO_TLS_HINT, LoadNotAllowedError, sink_error
from .schema import MYSQL, REJECTED
from .server import ServerSink
from .sql import FEW, no_table
from .sums import insert_of, on_conflict

if t.TYPE_CHECKING:
    from ...config.stream_document import SinkOptions
    from ..records.tables import Rows, Table
    from .schema import ControlTable

AT_ONCE = 1000
"""Rows of sums in a statement: less than a MB, which every server takes."""
SESSION = (
    # PyMySQL before 1.1 leaves it to the server, which may choose another one.
    "NAMES utf8mb4",
    # Without the strict mode values are cut and changed, with a warning that nobody reads.
    "sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ENGINE_SUBSTITUTION'",
    "time_zone = '+00:00'",
    # A server may end the connection after each COMMIT, or return less than what is there.
    "completion_type = 0",
    "sql_select_limit = 18446744073709551615",
    "unique_checks = 1",
)


class MysqlSink(ServerSink):
    """A database of a MySQL or MariaDB server."""

    mark = "%s"
    dialect = MYSQL

    def __init__(self, options: SinkOptions, stream: str, host: str, tables: t.Sequence[Table], create: bool = True) -> None:
        with needed("PyMySQL", "a sink of type %s" % options["type"], module="pymysql"):
            import pymysql
        self._errors = pymysql.err
        self._user = options["user"]
        where = options["socket"] or "%s:%d" % (options["host"], options["port"] or 3306)
        super().__init__(options, stream, host, tables, "%s at %s" % (options["database"], where))
        timeout = max(1, int(parse_duration(options["timeout"])))
        encrypted = uses_tls(options["tls"], options["host"], options["socket"])
        given: t.Dict[str, t.Any] = {"ssl_disabled": True}
        if encrypted:
            import ssl

            given = {"ssl": ssl.create_default_context(cafile=options["ca_bundle"])}
        try:
            self._connection = connect(
                pymysql,
                options["socket"] or (options["host"], options["port"] or 3306),
                timeout,
                self.name,
                user=options["user"],
                password=options["password"] or "",
                database=options["database"],
                charset="utf8mb4",
                autocommit=True,
                read_timeout=timeout + self.grace,
                write_timeout=timeout,
                # An UPDATE then counts the rows that it found, even if it changes nothing.
                client_flag=pymysql.constants.CLIENT.FOUND_ROWS | pymysql.constants.CLIENT.LOCAL_FILES,
                **given,
            )
        except (self._errors.MySQLError, OSError) as error:
            raise self._failed(error) from None
        except RuntimeError as error:
            hint = "Install it, or let the user log in with another authentication plugin"
            raise SinkDeniedError("the login needs another Python library (%s)" % error, self.name, hint) from None
        try:
            if encrypted and not self._query("SHOW STATUS LIKE 'Ssl_cipher'")[0][1]:
                # PyMySQL before 1.2 goes on without encryption if the server has none.
                raise SinkDeniedError("the server does not encrypt the connection", self.name, NO_TLS_HINT)
            self._change("SET %s /*M! , max_statement_time = %d */" % (", ".join(SESSION), timeout))
            self._change("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            local_infile, most = self._query("SELECT @@local_infile, @@max_allowed_packet")[0]
            self._takes_text, self._connection.most_bytes = bool(local_infile), int(most)
            self.prepare(create)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        with contextlib.suppress(self._errors.MySQLError, OSError):
            self._connection.close()
        self._roll_back()

    def _existing_tables(self) -> t.Set[str]:
        return {str(row[0]) for row in self._query("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()")}

    def _check_table(self, table: str) -> None:
        schema, _dot, name = table.rpartition(".")
        found = self._query(
            "SELECT engine FROM information_schema.tables WHERE table_schema = COALESCE(%s, DATABASE()) AND table_name = %s",
            (schema or None, name),
        )
        if not found:
            raise SinkError("the table %s does not exist, or the user has no right to it" % table, self.name)
        if found[0][0] is None:
            raise no_table(table, self.name)
        if str(found[0][0]).lower() != "innodb":
            hint = "Run: ALTER TABLE %s ENGINE=InnoDB" % table
            raise SinkError("the table %s uses the engine %s, which does not support transactions" % (table, found[0][0]), self.name, hint)

    def _query(self, statement: str, values: t.Sequence[t.Any] = ()) -> t.List[t.Sequence[t.Any]]:
        with self._typed(), self._connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def _change(self, statement: str, values: t.Sequence[t.Any] = ()) -> int:
        with self._typed(), self._connection.cursor() as cursor:
            return int(cursor.execute(statement, values or None))

    def _prepared(self, table: str, columns: t.Sequence[str], rows: Rows) -> t.Any:
        return prepared_text(rows) if self._takes_text and len(rows) >= FEW else None

    def _insert_rows(self, table: str, columns: t.Sequence[str], rows: Rows) -> None:
        if table == REJECTED.name:
            rows = [self._fitting(row) for row in rows]
        # Only here is it known that the columns take every value as it is: elsewhere a warning may be no mistake.
        loaded = self._load(table, columns, rows) if table in self.tables else None
        if loaded is None:
            self._execute_rows(self._insert(table, columns), rows)
        elif not loaded:
            raise RowRefusedError("the database refuses a value in one of %d rows" % len(rows), self.name)

    def _load(self, table: str, columns: t.Sequence[str], rows: Rows) -> t.Optional[bool]:
        """Load rows; returns whether the server took all of them, None if they are too few or the server does not allow it."""
        if self._takes_text and len(rows) >= FEW:
            try:
                with self._typed():
                    return load(self._connection, table, columns, rows) == (len(rows), 0)
            except LoadNotAllowedError:
                self._takes_text = False
        return None

    def _fitting(self, row: t.Sequence[t.Any]) -> t.Tuple[t.Any, ...]:
        """The row of a rejected line. A line that may not fit into a statement, in which it takes twice its size, is cut."""
        most = self._connection.most_bytes * 3 // 8
        return tuple(value[: most // 2] if isinstance(value, bytes) and len(value) > most else value for value in row)

    def _execute_rows(self, statement: str, rows: Rows) -> None:
        with self._typed(), self._connection.cursor() as cursor:
            cursor.max_stmt_length = min(cursor.max_stmt_length, self._connection.most_bytes - 1)
            cursor.executemany(statement, rows)

    def _add_to_sums(self, table: ControlTable, sums: Rows) -> None:
        if not self._takes_text or len(sums) < FEW:
            self._upsert_sums(table, sums)
            return
        columns = columns_of(sums)
        # Of a batch, only the first hours are there already: with the position, this transaction has all sums of the generation.
        hours = set(columns[0])
        of = "FROM %s WHERE generation = %%s AND hour_utc IN (%s)" % (table.name, ", ".join(["%s"] * len(hours)))
        known = {row[0] for row in self._query("SELECT DISTINCT CAST(hour_utc AS CHAR) " + of, (columns[1][0], *hours))}
        adds = [hour in known for hour in columns[0]]
        for names in columns[2 : len(table.key)]:
            # The server ignores spaces at the end of a text: "a " may be the key of "a".
            padded = {name for name in set(names) if name.endswith(" ")}
            if padded:
                adds = [each or name in padded for each, name in zip(adds, names)]
        is_new = [not each for each in adds]
        new = Columns([list(itertools.compress(column, is_new)) for column in columns]) if any(adds) else sums
        loaded = self._load(table.name, [column.name for column in table.columns], new)
        if loaded is None:
            self._upsert_sums(table, new)
        elif not loaded:
            # It had a rejected line of such an hour.
            raise ConflictError("another process stored sums of the same hour", self.name)
        if any(adds):
            self._upsert_sums(table, Columns([list(itertools.compress(column, adds)) for column in columns]))

    def _upsert_sums(self, table: ControlTable, sums: Rows) -> None:
        # PyMySQL takes longer to write each value into the statement than the server to execute it; most values are the same.
        literals: t.Dict[t.Any, str] = {}
        head, tail = insert_of(table) + "VALUES ", on_conflict(self.dialect, table)
        with self._typed():
            for value in set().union(*columns_of(sums)):
                literals[value] = self._connection.escape(value)
            given = list(sums)
            for first in range(0, len(given), AT_ONCE):
                rows = ["(%s)" % ",".join([literals[value] for value in row]) for row in given[first : first + AT_ONCE]]
                self._change(head + ",".join(rows) + tail)

    def _insert_generation(self, statement: str, values: t.Sequence[t.Any]) -> int:
        with self._typed(), self._connection.cursor() as cursor:
            cursor.execute(statement, values)
            return int(cursor.lastrowid)

    @contextlib.contextmanager
    def _transaction(self) -> t.Iterator[None]:
        with self._typed():
            self._connection.begin()
            try:
                yield
                self._connection.commit()
            except BaseException:
                with contextlib.suppress(self._errors.MySQLError, OSError):
                    self._connection.rollback()
                raise

    @contextlib.contextmanager
    def _typed(self) -> t.Iterator[None]:
        try:
            yield
        except (self._errors.MySQLError, OSError, UnicodeEncodeError) as error:
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> Exception:
        return sink_error(error, self._errors, self, self._user)
