# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sink ``postgresql``, with psycopg 3. Rows arrive by COPY."""

from __future__ import annotations

import contextlib
import logging
import typing as t

from ...base.libraries import needed
from ...base.net import system_ca
from ...base.units import parse_duration
from ...config.sink_spec import uses_tls
from .base import SLOW, ConflictError, RowRefusedError, SinkDeniedError, SinkFullError, SinkUnavailableError, named_in, other_key
from .copy_text import prepared_text, text_of
from .other_server import POSTGRESQL as POSTGRESQL_SERVER, server_at, wrong_server
from .pg_connection import connect
from .schema import POSTGRESQL
from .server import ServerSink, read_only
from .sql import FEW, no_table

if t.TYPE_CHECKING:
    from ...config.stream_document import SinkOptions
    from ..records.tables import Rows, Table

# Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
UNIQUE_VIOLATION = "23505"
FULL = "53100"
PASSING = ("08", "53", "57P", "57014", "40", "55P", "25P", "58")
"""How the codes of errors begin that may pass: connection, resources, shutdown, a statement that took too long, conflict, lock, idle
transaction, system."""
SLOW_CODES = ("55P03", "57014")
READ_ONLY = "25006"
NO_CHARACTER = "22P05"
NO_SCHEMA = "3F000"
"""Without the right to a schema, the server does not see it."""
FIRST = 5
"""Seconds for the first attempt to connect: a server of another kind may not answer at all."""
SESSION = "-c TimeZone=UTC -c DateStyle=ISO -c default_transaction_isolation=read\\ committed -c idle_in_transaction_session_timeout=0"
"""They override what is set for the server, the database or the user. psycopg cannot read another style of dates. Rows that are sent early
wait in their transaction until the batch before is stored, and the transaction has to see that batch then."""
LOGIN = ("28", "3D")
RIGHT = "42501"
NOT_NULL = "23502"
VALUE = ("09", "21", "22", "23", "27", "38", "39", "44", "54", "P0")
"""A column, a check, a trigger or a view of the table does not take a row."""
TEXTS_OF_LOGIN = (
    "authentication failed",
    "no password supplied",
    "not permitted to log in",
    "does not exist",
    "no pg_hba.conf entry",
    "permission denied for database",
)
TEXTS_OF_TLS = ("certificate", "does not support SSL")
"""Before the connection stands there is no code, only the text of libpq, which holds no value."""


class PostgresqlSink(ServerSink):
    """A database of a PostgreSQL server."""

    mark = "%s"
    dialect = POSTGRESQL

    def __init__(self, options: SinkOptions, stream: str, host: str, tables: t.Sequence[Table], create: bool = True) -> None:
        with needed("psycopg", "a sink of type postgresql"):
            import psycopg
        # It logs that it gives up the other statements of a row that was refused; without a handler, Python prints that.
        logging.getLogger("psycopg").setLevel(logging.CRITICAL)
        self._error = psycopg.Error
        self._user = options["user"]
        port = options["port"] or 5432
        super().__init__(options, stream, host, tables, "%s at %s:%d" % (options["database"], options["socket"] or options["host"], port))
        timeout = max(2, int(parse_duration(options["timeout"])))
        given: t.Dict[str, t.Any] = {"sslmode": "disable"}
        if uses_tls(options["tls"], options["host"], options["socket"]):
            # libpq before 16 does not look for the CA certificates of the system.
            given = {"sslmode": "verify-full", "sslrootcert": options["ca_bundle"] or system_ca()}
        given.update(
            host=options["socket"] or options["host"],
            port=port,
            user=options["user"],
            password=options["password"],
            dbname=options["database"],
            autocommit=True,
            tcp_user_timeout=timeout * 1000,
            keepalives_idle=timeout,
            # The pool of a proxy may not keep prepared statements.
            prepare_threshold=None,
            options="%s -c statement_timeout=%d" % (SESSION, timeout * 1000),
            client_encoding="utf8",
        )
        for seconds in sorted({min(FIRST, timeout), timeout}):
            try:
                # The server ends a statement first, and reports it.
                self._connection = connect(psycopg, timeout + self.grace, connect_timeout=seconds, **given)
                break
            except psycopg.Error as error:
                failed = self._failed(error)
                if isinstance(failed, SinkUnavailableError) and not options["socket"]:
                    found = server_at(options["host"], port)
                    if found not in ("", POSTGRESQL_SERVER):
                        raise wrong_server(found, self.name, POSTGRESQL_SERVER) from None
                if seconds == timeout or not isinstance(error, psycopg.errors.ConnectionTimeout):
                    raise failed from None
        try:
            self.prepare(create)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        with contextlib.suppress(self._error):
            self._connection.close()
        self._roll_back()

    def _existing_tables(self) -> t.Set[str]:
        # Those that a name without its schema means, in whichever schema of the search_path they are.
        statement = "SELECT relname FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p') AND pg_catalog.pg_table_is_visible(oid)"
        return {str(row[0]) for row in self._query(statement)}

    def _check_table(self, table: str) -> None:
        found = self._query("SELECT relkind::text FROM pg_catalog.pg_class WHERE oid = to_regclass(%s)", (table,))
        # Ordinary and partitioned; if the table is not found, the first statement names it.
        if found and found[0][0] not in ("r", "p"):
            raise no_table(table, self.name)

    def _query(self, statement: str, values: t.Sequence[t.Any] = ()) -> t.List[t.Sequence[t.Any]]:
        with self._typed():
            return list(self._connection.execute(statement, values or None).fetchall())

    def _change(self, statement: str, values: t.Sequence[t.Any] = ()) -> int:
        with self._typed():
            return int(self._connection.execute(statement, values or None).rowcount)

    def _prepared(self, table: str, columns: t.Sequence[str], rows: Rows) -> t.Any:
        return prepared_text(rows) if len(rows) >= FEW else None

    def _insert_rows(self, table: str, columns: t.Sequence[str], rows: Rows) -> None:
        if self._mapping is not None and table == self._mapping.into:
            # The server converts a text to whatever type the column has, but not a number to a text or a boolean.
            rows = [tuple(str(value) if isinstance(value, int) else value for value in row) for row in rows]
        if len(rows) < FEW:
            self._execute_rows(self._insert(table, columns), rows)
            return
        statement = "COPY %s (%s) FROM STDIN" % (table, ", ".join(columns))
        with self._typed(), self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            if table in self.tables:
                copy.write(text_of(rows))
            else:
                # Rows with bytes, or of a table with types that are not known here.
                for row in rows:
                    copy.write_row(row)

    def _execute_rows(self, statement: str, rows: Rows) -> None:
        with self._typed(), self._connection.cursor() as cursor:
            cursor.executemany(statement, rows)

    def _insert_generation(self, statement: str, values: t.Sequence[t.Any]) -> int:
        return int(self._query(statement + " RETURNING id", values)[0][0])

    @contextlib.contextmanager
    def _transaction(self) -> t.Iterator[None]:
        with self._typed(), self._connection.transaction():
            if self._mapping is not None:
                # A constraint that waits for the COMMIT would not name the line that it refuses.
                self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            yield

    @contextlib.contextmanager
    def _typed(self) -> t.Iterator[None]:
        try:
            yield
        except (self._error, OSError, UnicodeEncodeError) as error:
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> Exception:
        """The error as one of ours. Messages of the server can hold values, so only their code and our words are shown."""
        code = getattr(error, "sqlstate", None) or ""
        if code == NOT_NULL:
            altered = self.not_filled(t.cast(t.Any, error).diag.column_name or "")
            if altered is not None:
                return altered
        if code == NO_CHARACTER:
            hint = "Create a database with the encoding UTF8"
            return RowRefusedError("the encoding of the database cannot represent a character (error %s)" % code, self.name, hint)
        if isinstance(error, UnicodeEncodeError) or (code.startswith(VALUE) and code != UNIQUE_VIOLATION):
            return RowRefusedError("the database refuses a value (error %s)" % code, self.name)
        if code == UNIQUE_VIOLATION:
            table, key = (getattr(t.cast(t.Any, error).diag, name) or "" for name in ("table_name", "constraint_name"))
            if key and not key.endswith("_pkey") and not table.startswith("ingest_"):
                return other_key(key, self.name)
            return ConflictError("another process stored the same position", self.name)
        if code == FULL:
            return SinkFullError("the database cannot be written (error %s)" % code, self.name, "Free some space; nothing is lost")
        text = str(error).strip().splitlines()[0] if not code and str(error).strip() else "error %s" % code
        if not code and any(part in text for part in TEXTS_OF_TLS):
            hint = "Renew the certificate of the server, or trust it with 'ca_bundle'"
            return SinkDeniedError("no verified TLS connection can be made (%s)" % text, self.name, hint)
        if code.startswith(LOGIN) or (not code and any(part in text for part in TEXTS_OF_LOGIN)):
            hint = "Check user, password and database; the account may be locked"
            return SinkDeniedError("the server refuses the user %s (%s)" % (self._user, text), self.name, hint)
        if code == NO_SCHEMA:
            hint = "Create the schema, or grant USAGE on it, or correct the search_path of the user"
            return SinkDeniedError(
                "no schema in the search_path of %s exists, or the user has no right to it (error %s)" % (self._user, code), self.name, hint
            )
        if code == RIGHT:
            pattern = r"permission denied for (?:table|schema|relation|sequence) \"?(\w+)"
            what = named_in(pattern, str(error), "a right on %s", "a right on a table or schema")
            hint = "Grant USAGE on the schema, and SELECT, INSERT and UPDATE on all tables of the stream"
            return SinkDeniedError("the user %s lacks %s (error %s)" % (self._user, what, code), self.name, hint)
        if code == READ_ONLY:
            return read_only(code, self.name)
        if not code:
            return SinkUnavailableError("the database cannot be reached (%s)" % text, self.name)
        if code in SLOW_CODES:
            return SinkUnavailableError("the database cannot store lines now (%s, %s)" % (SLOW, text), self.name)
        if code.startswith(PASSING):
            return SinkUnavailableError("the database cannot store lines now (%s)" % text, self.name)
        what = named_in(r"(?:relation|column) \"([\w.]+)\"", str(error), ": %s", "")
        return self.altered(what, code)
